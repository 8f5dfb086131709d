/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#include <immintrin.h>

#include "gateway/digest/kernels_priv.h"
#include "gateway/digest/md5_steps_priv.h"
#include "gateway/digest/sha256_constants_priv.h"
#include "storage/bytes.h"

/* MD5 and SHA-256 of up to 4 streams in one go. A step of MD5 waits for the one before it and uses
 * a fifth of the CPU; the SHA instructions have a unit of their own and need little else. So
 * between two steps of MD5 comes a part of SHA-256, of one or two streams, and the CPU does both at
 * once.
 *
 * MD5 of one or two streams is in ordinary registers, which keeps out of the way of the vectors, of
 * three or four in the lanes of vectors. These have 128 bits: the SHA instructions leave the upper
 * half of a register as it is, and where that is in use each takes a hundred times as long. */
#define BOTH __attribute__((target("sha,sse4.1,ssse3,avx2,avx512f,avx512vl,avx512bw")))
#define EACH_STREAM _Pragma("GCC unroll 2") for (int s = 0; s < stream_count; s++)

enum { LANE_COUNT = 4, PARTS = 16 /* of four rounds, of a block */ };

/* --- SHA-256 ---------------------------------------------------------------------------------- */

/* One or two streams in the middle of a block. */
struct pair {
	__m128i abef[2], cdgh[2], m[2][4];
};

/* The instructions want the eight words as (a b e f) and (c d g h). */
struct sha_state {
	__m128i abef, cdgh;
};

BOTH static inline struct sha_state load_state(const uint32_t *state)
{
	__m128i dcba = _mm_loadu_si128((const __m128i *)state);
	__m128i hgfe = _mm_loadu_si128((const __m128i *)(state + 4));
	__m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
	__m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
	return (struct sha_state){
		_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

BOTH static inline void store_state(uint32_t *state, const struct sha_state *from)
{
	__m128i feba = _mm_shuffle_epi32(from->abef, 0x1b);
	__m128i dchg = _mm_shuffle_epi32(from->cdgh, 0xb1);
	_mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* The next four words of the message schedule, from the last sixteen; m0 has the oldest. */
BOTH static inline __m128i next_words(__m128i m0, __m128i m1, __m128i m2, __m128i m3)
{
	__m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(m0, m1), _mm_alignr_epi8(m3, m2, 4));
	return _mm_sha256msg2_epu32(sum, m3);
}

/* Part i of the block at offset. */
BOTH static inline __attribute__((always_inline)) void take_part(struct pair *pair,
	struct sha_state *states, const uint8_t *const *data, size_t offset, int i,
	int stream_count)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	const __m128i k = _mm_load_si128((const __m128i *)(sha256_constants + 4 * i));
	EACH_STREAM
	{
		__m128i *m = pair->m[s];
		if (i == 0) {
			pair->abef[s] = states[s].abef;
			pair->cdgh[s] = states[s].cdgh;
		}
		if (i < 4)
			m[i] = _mm_shuffle_epi8(
				_mm_loadu_si128((const __m128i *)(data[s] + offset + 16 * i)),
				swap);
		else
			m[i & 3] = next_words(
				m[i & 3], m[(i + 1) & 3], m[(i + 2) & 3], m[(i + 3) & 3]);
		__m128i wk = _mm_add_epi32(m[i & 3], k);
		pair->cdgh[s] = _mm_sha256rnds2_epu32(pair->cdgh[s], pair->abef[s], wk);
		pair->abef[s] = _mm_sha256rnds2_epu32(
			pair->abef[s], pair->cdgh[s], _mm_shuffle_epi32(wk, 0x0e));
		if (i == PARTS - 1) {
			states[s].abef = _mm_add_epi32(states[s].abef, pair->abef[s]);
			states[s].cdgh = _mm_add_epi32(states[s].cdgh, pair->cdgh[s]);
		}
	}
}

/* --- three or four streams -------------------------------------------------------------------- */

/* Words 4 n to 4 n + 3 of the block of each lane. */
BOTH static inline void load_words(const uint8_t *const *data, size_t offset, __m128i ret_words[4])
{
	__m128i rows[LANE_COUNT], t[LANE_COUNT];
#pragma GCC unroll 4
	for (int i = 0; i < LANE_COUNT; i++)
		rows[i] = _mm_loadu_si128((const __m128i *)(data[i] + offset));
#pragma GCC unroll 2
	for (int i = 0; i < 2; i++) {
		t[2 * i] = _mm_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
		t[2 * i + 1] = _mm_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
	}
	ret_words[0] = _mm_unpacklo_epi64(t[0], t[2]);
	ret_words[1] = _mm_unpackhi_epi64(t[0], t[2]);
	ret_words[2] = _mm_unpacklo_epi64(t[1], t[3]);
	ret_words[3] = _mm_unpackhi_epi64(t[1], t[3]);
}

#define F(b, c, d) _mm_ternarylogic_epi32(b, c, d, 0xca)
#define G(b, c, d) _mm_ternarylogic_epi32(b, c, d, 0xe4)
#define H(b, c, d) _mm_ternarylogic_epi32(b, c, d, 0x96)
#define I(b, c, d) _mm_ternarylogic_epi32(b, c, d, 0x39)

/* A step and half a part of SHA-256: first of one pair of streams, then of the other. */
#define STEP(f, a, b, c, d, word, rotation, constant) \
	a = _mm_add_epi32(a, _mm_add_epi32(w[word], _mm_set1_epi32((int)constant))); \
	a = _mm_add_epi32(a, f(b, c, d)); \
	a = _mm_add_epi32(b, _mm_rol_epi32(a, rotation)); \
	if (step % 2 == 1) \
		take_part(&pair, &sha[step / 32 * 2], data + step / 32 * 2, offset, step / 2 % 16, \
			2); \
	step++;

BOTH static void run_lanes(uint32_t *const *md5_states, uint32_t *const *sha256_states,
	const uint8_t *const *data, size_t block_count)
{
	_Alignas(16) uint32_t words[4][LANE_COUNT];
	struct sha_state sha[LANE_COUNT];
	for (int i = 0; i < LANE_COUNT; i++) {
		for (int j = 0; j < 4; j++)
			words[j][i] = md5_states[i][j];
		sha[i] = load_state(sha256_states[i]);
	}
	__m128i a = _mm_load_si128((__m128i *)words[0]);
	__m128i b = _mm_load_si128((__m128i *)words[1]);
	__m128i c = _mm_load_si128((__m128i *)words[2]);
	__m128i d = _mm_load_si128((__m128i *)words[3]);

	for (size_t offset = 0; offset < block_count * 64; offset += 64) {
		__m128i w[16];
#pragma GCC unroll 4
		for (int i = 0; i < 4; i++)
			load_words(data, offset + 16 * (size_t)i, w + 4 * i);
		struct pair pair;
		int step = 0;
		__m128i a0 = a, b0 = b, c0 = c, d0 = d;
		MD5_STEPS(STEP)
		a = _mm_add_epi32(a, a0);
		b = _mm_add_epi32(b, b0);
		c = _mm_add_epi32(c, c0);
		d = _mm_add_epi32(d, d0);
	}

	_mm_store_si128((__m128i *)words[0], a);
	_mm_store_si128((__m128i *)words[1], b);
	_mm_store_si128((__m128i *)words[2], c);
	_mm_store_si128((__m128i *)words[3], d);
	for (int i = 0; i < LANE_COUNT; i++) {
		for (int j = 0; j < 4; j++)
			md5_states[i][j] = words[j][i];
		store_state(sha256_states[i], &sha[i]);
	}
}

/* --- one or two streams ----------------------------------------------------------------------- */

#undef F
#undef G
#undef H
#undef I
#undef STEP

/* Each adds its function to a; G as in md5_avx2.c. */
#define F(a, b, c, d) (a + (d ^ (b & (c ^ d))))
#define G(a, b, c, d) ((a + (~d & c)) + (d & b))
#define H(a, b, c, d) (a + (b ^ (c ^ d)))
#define I(a, b, c, d) (a + (c ^ (b | ~d)))
#define STEP(f, a, b, c, d, word, rotation, constant) \
	EACH_STREAM \
	{ \
		a[s] += get_le32(data[s] + offset + 4 * (word)) + constant; \
		a[s] = f(a[s], b[s], c[s], d[s]); \
		a[s] = b[s] + (a[s] << rotation | a[s] >> (32 - rotation)); \
	} \
	if (step % 4 == 3) \
		take_part(&pair, sha, data, offset, step / 4, stream_count); \
	step++;

BOTH static inline __attribute__((always_inline)) void run_few(uint32_t *const *md5_states,
	uint32_t *const *sha256_states, const uint8_t *const *data, size_t block_count,
	int stream_count)
{
	uint32_t a[2], b[2], c[2], d[2];
	struct sha_state sha[2];
	EACH_STREAM
	{
		a[s] = md5_states[s][0];
		b[s] = md5_states[s][1];
		c[s] = md5_states[s][2];
		d[s] = md5_states[s][3];
		sha[s] = load_state(sha256_states[s]);
	}
	for (size_t offset = 0; offset < block_count * 64; offset += 64) {
		struct pair pair;
		int step = 0;
		uint32_t a0[2], b0[2], c0[2], d0[2];
		EACH_STREAM
		{
			a0[s] = a[s];
			b0[s] = b[s];
			c0[s] = c[s];
			d0[s] = d[s];
		}
		MD5_STEPS(STEP)
		EACH_STREAM
		{
			a[s] += a0[s];
			b[s] += b0[s];
			c[s] += c0[s];
			d[s] += d0[s];
		}
	}
	EACH_STREAM
	{
		md5_states[s][0] = a[s];
		md5_states[s][1] = b[s];
		md5_states[s][2] = c[s];
		md5_states[s][3] = d[s];
		store_state(sha256_states[s], &sha[s]);
	}
}

BOTH void md5_sha256_run_ni(uint32_t *const *md5_states, uint32_t *const *sha256_states,
	const uint8_t *const *data, unsigned count, size_t block_count)
{
	_mm256_zeroupper();
	if (count > 2)
		run_lanes(md5_states, sha256_states, data, block_count);
	else if (count == 2)
		run_few(md5_states, sha256_states, data, block_count, 2);
	else
		run_few(md5_states, sha256_states, data, block_count, 1);
}

#endif
