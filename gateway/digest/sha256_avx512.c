/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#include "gateway/digest/kernels_priv.h"
#include "gateway/digest/lanes_avx512_priv.h"
#include "gateway/digest/sha256_constants_priv.h"

/* SHA-256 in 16 lanes of 32 bits. The SHA instructions of Intel's CPUs are busy for two cycles
 * each, so no number of interleaved streams gets more than half as much out of them. */

/* x ^ y ^ z, y where x is set and else z, the majority of the three. */
#define XOR(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0x96)
#define CHOOSE(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xca)
#define MAJORITY(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xe8)
#define ROR _mm512_ror_epi32

AVX512 static inline __m512i add3(__m512i a, __m512i b, __m512i c)
{
	return _mm512_add_epi32(a, _mm512_add_epi32(b, c));
}

/* Word i of the schedule, in the place of word i - 16. */
AVX512 static inline void schedule(__m512i w[16], int i)
{
	__m512i w2 = w[(i + 14) & 15], w15 = w[(i + 1) & 15];
	__m512i s0 = XOR(ROR(w15, 7), ROR(w15, 18), _mm512_srli_epi32(w15, 3));
	__m512i s1 = XOR(ROR(w2, 17), ROR(w2, 19), _mm512_srli_epi32(w2, 10));
	w[i & 15] = _mm512_add_epi32(add3(w[i & 15], s0, w[(i + 9) & 15]), s1);
}

/* A round without moving the eight words: a turns its name with the round. */
AVX512 static inline void take_round(__m512i s[8], int i, __m512i word)
{
#define WORD(n) s[((n)-i) & 7]
	__m512i e = WORD(4), a = WORD(0);
	__m512i wk = _mm512_add_epi32(word, _mm512_set1_epi32((int)sha256_constants[i]));
	__m512i s1 = XOR(ROR(e, 6), ROR(e, 11), ROR(e, 25));
	__m512i t1 = _mm512_add_epi32(add3(CHOOSE(e, WORD(5), WORD(6)), WORD(7), wk), s1);
	__m512i s0 = XOR(ROR(a, 2), ROR(a, 13), ROR(a, 22));
	WORD(3) = _mm512_add_epi32(WORD(3), t1);
	WORD(7) = add3(t1, s0, MAJORITY(a, WORD(1), WORD(2)));
#undef WORD
}

AVX512 static inline void take_block(__m512i s[8], __m512i w[16])
{
	const __m512i swap = _mm512_broadcast_i32x4(
		_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++)
		w[i] = _mm512_shuffle_epi8(w[i], swap);
#pragma GCC unroll 64
	for (int i = 0; i < 64; i++) {
		if (i >= 16)
			schedule(w, i);
		take_round(s, i, w[i & 15]);
	}
}

AVX512 void sha256_run_avx512(
	uint32_t *const *states, const uint8_t *const *data, size_t block_count)
{
	_Alignas(64) uint32_t words[8][16];
	__m512i s[8];
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 8; j++)
			words[j][i] = states[i][j];
#pragma GCC unroll 8
	for (int j = 0; j < 8; j++)
		s[j] = _mm512_load_si512(words[j]);

	for (size_t offset = 0; offset < block_count * 64; offset += 64) {
		__m512i w[16], before[8];
		lanes_load_blocks(data, offset, w);
#pragma GCC unroll 8
		for (int j = 0; j < 8; j++)
			before[j] = s[j];
		take_block(s, w);
#pragma GCC unroll 8
		for (int j = 0; j < 8; j++)
			s[j] = _mm512_add_epi32(s[j], before[j]);
	}

#pragma GCC unroll 8
	for (int j = 0; j < 8; j++)
		_mm512_store_si512(words[j], s[j]);
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 8; j++)
			states[i][j] = words[j][i];
}

#endif
