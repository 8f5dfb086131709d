/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#include <immintrin.h>

#include "gateway/digest/kernels_priv.h"

/* Folding with PCLMULQDQ: four remainders of 128 bits, each moved 512 bits on per turn. */
#define PCLMUL __attribute__((target("pclmul")))

PCLMUL static inline __m128i move(__m128i rest, __m128i by)
{
	return _mm_xor_si128(
		_mm_clmulepi64_si128(rest, by, 0x00), _mm_clmulepi64_si128(rest, by, 0x11));
}

static inline __m128i load(const uint8_t *data)
{
	return _mm_loadu_si128((const __m128i *)data);
}

PCLMUL void crc_fold_pclmul(const struct crc_constants *constants, uint64_t crc,
	const uint8_t *data, size_t len, uint8_t ret_rest[16])
{
	const __m128i by_512 = load((const uint8_t *)constants->by_512);
	const __m128i by_128 = load((const uint8_t *)constants->by_128);
	__m128i x0 = _mm_xor_si128(load(data), _mm_cvtsi64_si128((long long)crc));
	__m128i x1 = load(data + 16), x2 = load(data + 32), x3 = load(data + 48);

	for (data += 64, len -= 64; len >= 64; data += 64, len -= 64) {
		x0 = _mm_xor_si128(move(x0, by_512), load(data));
		x1 = _mm_xor_si128(move(x1, by_512), load(data + 16));
		x2 = _mm_xor_si128(move(x2, by_512), load(data + 32));
		x3 = _mm_xor_si128(move(x3, by_512), load(data + 48));
	}
	x0 = _mm_xor_si128(move(x0, by_128), x1);
	x0 = _mm_xor_si128(move(x0, by_128), x2);
	x0 = _mm_xor_si128(move(x0, by_128), x3);
	for (; len >= 16; data += 16, len -= 16)
		x0 = _mm_xor_si128(move(x0, by_128), load(data));
	_mm_storeu_si128((__m128i *)ret_rest, x0);
}

#endif
