/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#include "gateway/digest/kernels_priv.h"
#include "gateway/digest/lanes_avx512_priv.h"
#include "gateway/digest/md5_steps_priv.h"

/* MD5 in 16 lanes of 32 bits. The steps of a stream depend on each other, so a single one leaves
 * the unit idle for most of its latency; 16 take the time of one. */
#define F(b, c, d) _mm512_ternarylogic_epi32(b, c, d, 0xca)
#define G(b, c, d) _mm512_ternarylogic_epi32(b, c, d, 0xe4)
#define H(b, c, d) _mm512_ternarylogic_epi32(b, c, d, 0x96)
#define I(b, c, d) _mm512_ternarylogic_epi32(b, c, d, 0x39)
#define STEP(f, a, b, c, d, word, rotation, constant) \
	a = _mm512_add_epi32(a, _mm512_add_epi32(w[word], _mm512_set1_epi32((int)constant))); \
	a = _mm512_add_epi32(a, f(b, c, d)); \
	a = _mm512_add_epi32(b, _mm512_rol_epi32(a, rotation));

AVX512 void md5_run_avx512(uint32_t *const *states, const uint8_t *const *data, size_t block_count)
{
	_Alignas(64) uint32_t words[4][16];
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 4; j++)
			words[j][i] = states[i][j];
	__m512i a = _mm512_load_si512(words[0]), b = _mm512_load_si512(words[1]);
	__m512i c = _mm512_load_si512(words[2]), d = _mm512_load_si512(words[3]);

	for (size_t offset = 0; offset < block_count * 64; offset += 64) {
		__m512i w[16];
		lanes_load_blocks(data, offset, w);
		__m512i a0 = a, b0 = b, c0 = c, d0 = d;
		MD5_STEPS(STEP)
		a = _mm512_add_epi32(a, a0);
		b = _mm512_add_epi32(b, b0);
		c = _mm512_add_epi32(c, c0);
		d = _mm512_add_epi32(d, d0);
	}

	_mm512_store_si512(words[0], a);
	_mm512_store_si512(words[1], b);
	_mm512_store_si512(words[2], c);
	_mm512_store_si512(words[3], d);
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 4; j++)
			states[i][j] = words[j][i];
}

#endif
