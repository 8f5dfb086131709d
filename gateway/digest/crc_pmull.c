/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__aarch64__)
#include <arm_neon.h>

#include "gateway/digest/kernels_priv.h"

/* Folding with PMULL: four remainders of 128 bits, each moved 512 bits on per turn. */
#define PMULL __attribute__((target("+crypto")))

PMULL static inline uint64x2_t move_xor(uint64x2_t rest, poly64x2_t by, uint64x2_t next)
{
	poly64x2_t poly = vreinterpretq_p64_u64(rest);
	poly128_t first = vmull_p64(vgetq_lane_p64(poly, 0), vgetq_lane_p64(by, 0));
	poly128_t second = vmull_high_p64(poly, by);
	return veorq_u64(
		veorq_u64(vreinterpretq_u64_p128(first), vreinterpretq_u64_p128(second)), next);
}

static inline uint64x2_t load(const uint8_t *data)
{
	return vreinterpretq_u64_u8(vld1q_u8(data));
}

static inline poly64x2_t load_constant(const uint64_t by[2])
{
	return vreinterpretq_p64_u64(vld1q_u64(by));
}

PMULL void crc_fold_pmull(const struct crc_constants *constants, uint64_t crc, const uint8_t *data,
	size_t len, uint8_t ret_rest[16])
{
	const poly64x2_t by_512 = load_constant(constants->by_512);
	const poly64x2_t by_128 = load_constant(constants->by_128);
	uint64x2_t x0 = veorq_u64(load(data), vsetq_lane_u64(crc, vdupq_n_u64(0), 0));
	uint64x2_t x1 = load(data + 16), x2 = load(data + 32), x3 = load(data + 48);

	for (data += 64, len -= 64; len >= 64; data += 64, len -= 64) {
		x0 = move_xor(x0, by_512, load(data));
		x1 = move_xor(x1, by_512, load(data + 16));
		x2 = move_xor(x2, by_512, load(data + 32));
		x3 = move_xor(x3, by_512, load(data + 48));
	}
	x0 = move_xor(x0, by_128, x1);
	x0 = move_xor(x0, by_128, x2);
	x0 = move_xor(x0, by_128, x3);
	for (; len >= 16; data += 16, len -= 16)
		x0 = move_xor(x0, by_128, load(data));
	vst1q_u8(ret_rest, vreinterpretq_u8_u64(x0));
}

#endif
