/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#include <immintrin.h>

#include "gateway/digest/kernels_priv.h"
#include "gateway/digest/md5_steps_priv.h"

/* MD5 in 8 lanes of 32 bits. */
#define AVX2 __attribute__((target("avx2")))

/* Turns 8 rows of 8 words into 8 columns. */
AVX2 static inline void transpose(__m256i w[8])
{
	__m256i t[8];
#pragma GCC unroll 4
	for (int i = 0; i < 8; i += 2) {
		t[i] = _mm256_unpacklo_epi32(w[i], w[i + 1]);
		t[i + 1] = _mm256_unpackhi_epi32(w[i], w[i + 1]);
	}
#pragma GCC unroll 2
	for (int i = 0; i < 8; i += 4) {
		w[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
		w[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
		w[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
		w[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
	}
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		t[i] = _mm256_permute2x128_si256(w[i], w[i + 4], 0x20);
		t[i + 4] = _mm256_permute2x128_si256(w[i], w[i + 4], 0x31);
	}
#pragma GCC unroll 8
	for (int i = 0; i < 8; i++)
		w[i] = t[i];
}

#define ADD _mm256_add_epi32
#define AND _mm256_and_si256
#define OR _mm256_or_si256
#define XOR _mm256_xor_si256
#define NOT(x) XOR(x, _mm256_set1_epi32(-1))

/* Each adds its function to a. The terms of G share no bit, so the one without b, which is known
 * earlier, is added first: that takes an instruction off the way from one step to the next. */
#define F(a, b, c, d) ADD(a, XOR(d, AND(b, XOR(c, d))))
#define G(a, b, c, d) ADD(ADD(a, _mm256_andnot_si256(d, c)), AND(d, b))
#define H(a, b, c, d) ADD(a, XOR(b, XOR(c, d)))
#define I(a, b, c, d) ADD(a, XOR(c, OR(b, NOT(d))))
#define STEP(f, a, b, c, d, word, rotation, constant) \
	a = ADD(a, ADD(w[word], _mm256_set1_epi32((int)constant))); \
	a = f(a, b, c, d); \
	a = OR(_mm256_slli_epi32(a, rotation), _mm256_srli_epi32(a, 32 - rotation)); \
	a = ADD(b, a);

AVX2 void md5_run_avx2(uint32_t *const *states, const uint8_t *const *data, size_t block_count)
{
	_Alignas(32) uint32_t words[4][8];
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < 4; j++)
			words[j][i] = states[i][j];
	__m256i a = _mm256_load_si256((__m256i *)words[0]);
	__m256i b = _mm256_load_si256((__m256i *)words[1]);
	__m256i c = _mm256_load_si256((__m256i *)words[2]);
	__m256i d = _mm256_load_si256((__m256i *)words[3]);

	for (size_t offset = 0; offset < block_count * 64; offset += 64) {
		__m256i w[16];
#pragma GCC unroll 8
		for (int i = 0; i < 8; i++) {
			w[i] = _mm256_loadu_si256((const __m256i *)(data[i] + offset));
			w[i + 8] = _mm256_loadu_si256((const __m256i *)(data[i] + offset + 32));
		}
		transpose(w);
		transpose(w + 8);
		__m256i a0 = a, b0 = b, c0 = c, d0 = d;
		MD5_STEPS(STEP)
		a = _mm256_add_epi32(a, a0);
		b = _mm256_add_epi32(b, b0);
		c = _mm256_add_epi32(c, c0);
		d = _mm256_add_epi32(d, d0);
	}

	_mm256_store_si256((__m256i *)words[0], a);
	_mm256_store_si256((__m256i *)words[1], b);
	_mm256_store_si256((__m256i *)words[2], c);
	_mm256_store_si256((__m256i *)words[3], d);
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < 4; j++)
			states[i][j] = words[j][i];
}

#endif
