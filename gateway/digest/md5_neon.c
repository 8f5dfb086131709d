/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__aarch64__)
#include <arm_neon.h>

#include "gateway/digest/kernels_priv.h"
#include "gateway/digest/md5_steps_priv.h"

/* MD5 in 2 x 4 lanes of 32 bits: the steps of the second four fill the latency of the first. */
enum { LANE_COUNT = 8 };

/* Word 4 * quarter + i of four lanes goes to ret_words[i]. */
static inline void load_words(const uint8_t *const *data, size_t offset, uint32x4_t ret_words[4])
{
	uint32x4_t r0 = vreinterpretq_u32_u8(vld1q_u8(data[0] + offset));
	uint32x4_t r1 = vreinterpretq_u32_u8(vld1q_u8(data[1] + offset));
	uint32x4_t r2 = vreinterpretq_u32_u8(vld1q_u8(data[2] + offset));
	uint32x4_t r3 = vreinterpretq_u32_u8(vld1q_u8(data[3] + offset));
	uint64x2_t t0 = vreinterpretq_u64_u32(vtrn1q_u32(r0, r1));
	uint64x2_t t1 = vreinterpretq_u64_u32(vtrn2q_u32(r0, r1));
	uint64x2_t t2 = vreinterpretq_u64_u32(vtrn1q_u32(r2, r3));
	uint64x2_t t3 = vreinterpretq_u64_u32(vtrn2q_u32(r2, r3));
	ret_words[0] = vreinterpretq_u32_u64(vtrn1q_u64(t0, t2));
	ret_words[1] = vreinterpretq_u32_u64(vtrn1q_u64(t1, t3));
	ret_words[2] = vreinterpretq_u32_u64(vtrn2q_u64(t0, t2));
	ret_words[3] = vreinterpretq_u32_u64(vtrn2q_u64(t1, t3));
}

#define F(b, c, d) vbslq_u32(b, c, d)
#define G(b, c, d) vbslq_u32(d, b, c)
#define H(b, c, d) veorq_u32(b, veorq_u32(c, d))
#define I(b, c, d) veorq_u32(c, vornq_u32(b, d))
#define HALF(h, f, a, b, c, d, word, rotation, constant) \
	a[h] = vaddq_u32(a[h], vaddq_u32(w[h][word], vdupq_n_u32(constant))); \
	a[h] = vaddq_u32(a[h], f(b[h], c[h], d[h])); \
	a[h] = vsriq_n_u32(vshlq_n_u32(a[h], rotation), a[h], 32 - rotation); \
	a[h] = vaddq_u32(b[h], a[h]);
#define STEP(f, a, b, c, d, word, rotation, constant) \
	HALF(0, f, a, b, c, d, word, rotation, constant) \
	HALF(1, f, a, b, c, d, word, rotation, constant)

static inline void add(uint32x4_t sum[2], const uint32x4_t term[2])
{
	sum[0] = vaddq_u32(sum[0], term[0]);
	sum[1] = vaddq_u32(sum[1], term[1]);
}

void md5_run_neon(uint32_t *const *states, const uint8_t *const *data, size_t block_count)
{
	uint32_t words[4][LANE_COUNT];
	for (int i = 0; i < LANE_COUNT; i++)
		for (int j = 0; j < 4; j++)
			words[j][i] = states[i][j];
	uint32x4_t a[2] = {vld1q_u32(words[0]), vld1q_u32(words[0] + 4)};
	uint32x4_t b[2] = {vld1q_u32(words[1]), vld1q_u32(words[1] + 4)};
	uint32x4_t c[2] = {vld1q_u32(words[2]), vld1q_u32(words[2] + 4)};
	uint32x4_t d[2] = {vld1q_u32(words[3]), vld1q_u32(words[3] + 4)};

	for (size_t offset = 0; offset < block_count * 64; offset += 64) {
		uint32x4_t w[2][16];
#pragma GCC unroll 4
		for (int quarter = 0; quarter < 4; quarter++) {
			load_words(data, offset + 16 * quarter, w[0] + 4 * quarter);
			load_words(data + 4, offset + 16 * quarter, w[1] + 4 * quarter);
		}
		uint32x4_t a0[2] = {a[0], a[1]}, b0[2] = {b[0], b[1]};
		uint32x4_t c0[2] = {c[0], c[1]}, d0[2] = {d[0], d[1]};
		MD5_STEPS(STEP)
		add(a, a0);
		add(b, b0);
		add(c, c0);
		add(d, d0);
	}

	for (int h = 0; h < 2; h++) {
		vst1q_u32(words[0] + 4 * h, a[h]);
		vst1q_u32(words[1] + 4 * h, b[h]);
		vst1q_u32(words[2] + 4 * h, c[h]);
		vst1q_u32(words[3] + 4 * h, d[h]);
	}
	for (int i = 0; i < LANE_COUNT; i++)
		for (int j = 0; j < 4; j++)
			states[i][j] = words[j][i];
}

#endif
