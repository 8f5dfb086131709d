/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#include <immintrin.h>

#include "gateway/digest/kernels_priv.h"
#include "gateway/digest/sha256_constants_priv.h"

/* SHA-256 of 2 streams with SHA-NI. An instruction of two rounds answers after 4 cycles and can be
 * issued every 2, so two interleaved streams keep it busy; more gain nothing. */
#define SHA_NI __attribute__((target("sha,sse4.1,ssse3")))
#define EACH_STREAM _Pragma("GCC unroll 2") for (int s = 0; s < STREAM_COUNT; s++)

enum { STREAM_COUNT = 2 };

/* The instructions want the eight words as (a b e f) and (c d g h). */
SHA_NI static inline void load_state(const uint32_t *state, __m128i *ret_abef, __m128i *ret_cdgh)
{
	__m128i dcba = _mm_loadu_si128((const __m128i *)state);
	__m128i hgfe = _mm_loadu_si128((const __m128i *)(state + 4));
	__m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
	__m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
	*ret_abef = _mm_alignr_epi8(cdab, efgh, 8);
	*ret_cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
}

SHA_NI static inline void store_state(uint32_t *state, __m128i abef, __m128i cdgh)
{
	__m128i feba = _mm_shuffle_epi32(abef, 0x1b);
	__m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
	_mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* The next four words of the message schedule, from the last sixteen; m0 has the oldest. */
SHA_NI static inline __m128i next_words(__m128i m0, __m128i m1, __m128i m2, __m128i m3)
{
	__m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(m0, m1), _mm_alignr_epi8(m3, m2, 4));
	return _mm_sha256msg2_epu32(sum, m3);
}

SHA_NI void sha256_run_ni(uint32_t *const *states, const uint8_t *const *data, size_t block_count)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i abef[STREAM_COUNT], cdgh[STREAM_COUNT];
	EACH_STREAM load_state(states[s], &abef[s], &cdgh[s]);

	for (size_t offset = 0; offset < block_count * 64; offset += 64) {
		__m128i m[STREAM_COUNT][4], abef0[STREAM_COUNT], cdgh0[STREAM_COUNT];
		EACH_STREAM
		{
			abef0[s] = abef[s];
			cdgh0[s] = cdgh[s];
		}
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
			const __m128i k = _mm_load_si128(
				(const __m128i *)(sha256_constants + 4 * i));
			EACH_STREAM
			{
				const uint8_t *words = data[s] + offset + 16 * (i & 3);
				m[s][i & 3] = i < 4
					? _mm_shuffle_epi8(
						  _mm_loadu_si128((const __m128i *)words), swap)
					: next_words(m[s][i & 3], m[s][(i + 1) & 3],
						  m[s][(i + 2) & 3], m[s][(i + 3) & 3]);
			}
			EACH_STREAM
			{
				__m128i wk = _mm_add_epi32(m[s][i & 3], k);
				cdgh[s] = _mm_sha256rnds2_epu32(cdgh[s], abef[s], wk);
				abef[s] = _mm_sha256rnds2_epu32(
					abef[s], cdgh[s], _mm_shuffle_epi32(wk, 0x0e));
			}
		}
		EACH_STREAM
		{
			abef[s] = _mm_add_epi32(abef[s], abef0[s]);
			cdgh[s] = _mm_add_epi32(cdgh[s], cdgh0[s]);
		}
	}
	EACH_STREAM store_state(states[s], abef[s], cdgh[s]);
}

#endif
