/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_LANES_AVX512_PRIV_H
#define GATEWAY_DIGEST_LANES_AVX512_PRIV_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define AVX512 __attribute__((target("avx512f,avx512bw")))

/* Turns 16 rows (a block of each lane) into 16 columns (a word of all lanes). */
AVX512 static inline void lanes_transpose(__m512i w[16])
{
	__m512i t[16];
#pragma GCC unroll 8
	for (int i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_epi32(w[i], w[i + 1]);
		t[i + 1] = _mm512_unpackhi_epi32(w[i], w[i + 1]);
	}
#pragma GCC unroll 4
	for (int i = 0; i < 16; i += 4) {
		w[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
		w[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
		w[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
		w[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
	}
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		t[i] = _mm512_shuffle_i32x4(w[i], w[i + 4], 0x88);
		t[i + 4] = _mm512_shuffle_i32x4(w[i], w[i + 4], 0xdd);
		t[i + 8] = _mm512_shuffle_i32x4(w[i + 8], w[i + 12], 0x88);
		t[i + 12] = _mm512_shuffle_i32x4(w[i + 8], w[i + 12], 0xdd);
	}
#pragma GCC unroll 8
	for (int i = 0; i < 8; i++) {
		w[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
		w[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
	}
}

/* Reads the next block of each lane, as words in the order of little-endian memory. */
AVX512 static inline void lanes_load_blocks(
	const uint8_t *const *data, size_t offset, __m512i ret_words[16])
{
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++)
		ret_words[i] = _mm512_loadu_si512(data[i] + offset);
	lanes_transpose(ret_words);
}

#endif
