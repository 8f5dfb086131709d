/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#include <immintrin.h>

#include "gateway/digest/kernels_priv.h"

/* Folding with VPCLMULQDQ: sixteen remainders of 128 bits in four registers, each moved 2048 bits
 * on per turn. */
#define VPCLMUL __attribute__((target("vpclmulqdq,pclmul,avx512f")))

VPCLMUL static inline __m512i move_xor(__m512i rest, __m512i by, __m512i next)
{
	return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(rest, by, 0x00),
		_mm512_clmulepi64_epi128(rest, by, 0x11), next, 0x96);
}

VPCLMUL static inline __m128i move_xor_128(__m128i rest, __m128i by, __m128i next)
{
	__m128i moved = _mm_xor_si128(
		_mm_clmulepi64_si128(rest, by, 0x00), _mm_clmulepi64_si128(rest, by, 0x11));
	return _mm_xor_si128(moved, next);
}

VPCLMUL static inline __m512i load(const uint8_t *data)
{
	return _mm512_loadu_si512(data);
}

VPCLMUL static inline __m512i load_constant(const uint64_t by[2])
{
	return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)by));
}

VPCLMUL void crc_fold_vpclmul(const struct crc_constants *constants, uint64_t crc,
	const uint8_t *data, size_t len, uint8_t ret_rest[16])
{
	const __m512i by_2048 = load_constant(constants->by_2048);
	const __m512i by_512 = load_constant(constants->by_512);
	const __m128i by_128 = _mm_loadu_si128((const __m128i *)constants->by_128);
	__m512i start = _mm512_zextsi128_si512(_mm_cvtsi64_si128((long long)crc));
	__m512i x0 = _mm512_xor_si512(load(data), start);
	__m512i x1 = load(data + 64), x2 = load(data + 128), x3 = load(data + 192);

	for (data += 256, len -= 256; len >= 256; data += 256, len -= 256) {
		x0 = move_xor(x0, by_2048, load(data));
		x1 = move_xor(x1, by_2048, load(data + 64));
		x2 = move_xor(x2, by_2048, load(data + 128));
		x3 = move_xor(x3, by_2048, load(data + 192));
	}
	x0 = move_xor(x0, by_512, x1);
	x0 = move_xor(x0, by_512, x2);
	x0 = move_xor(x0, by_512, x3);
	for (; len >= 64; data += 64, len -= 64)
		x0 = move_xor(x0, by_512, load(data));

	__m128i rest = _mm512_extracti32x4_epi32(x0, 0);
	rest = move_xor_128(rest, by_128, _mm512_extracti32x4_epi32(x0, 1));
	rest = move_xor_128(rest, by_128, _mm512_extracti32x4_epi32(x0, 2));
	rest = move_xor_128(rest, by_128, _mm512_extracti32x4_epi32(x0, 3));
	for (; len >= 16; data += 16, len -= 16)
		rest = move_xor_128(rest, by_128, _mm_loadu_si128((const __m128i *)data));
	_mm_storeu_si128((__m128i *)ret_rest, rest);
}

#endif
