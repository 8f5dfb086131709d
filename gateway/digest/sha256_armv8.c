/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__aarch64__)
#include <arm_neon.h>

#include "gateway/digest/kernels_priv.h"
#include "gateway/digest/sha256_constants_priv.h"

/* SHA-256 of 2 streams with the instructions of ARMv8. One stream waits for each answer; two
 * interleaved ones run nearly twice as fast. */
#define SHA2 __attribute__((target("+crypto")))
#define EACH_STREAM _Pragma("GCC unroll 2") for (int s = 0; s < STREAM_COUNT; s++)

enum { STREAM_COUNT = 2 };

SHA2 void sha256_run_armv8(uint32_t *const *states, const uint8_t *const *data, size_t block_count)
{
	uint32x4_t abcd[STREAM_COUNT], efgh[STREAM_COUNT];
	EACH_STREAM
	{
		abcd[s] = vld1q_u32(states[s]);
		efgh[s] = vld1q_u32(states[s] + 4);
	}
	for (size_t offset = 0; offset < block_count * 64; offset += 64) {
		uint32x4_t m[STREAM_COUNT][4], abcd0[STREAM_COUNT], efgh0[STREAM_COUNT];
		EACH_STREAM
		{
			abcd0[s] = abcd[s];
			efgh0[s] = efgh[s];
		}
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
			const uint32x4_t k = vld1q_u32(sha256_constants + 4 * i);
			EACH_STREAM
			{
				const uint8_t *words = data[s] + offset + 16 * (i & 3);
				m[s][i & 3] = i < 4
					? vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(words)))
					: vsha256su1q_u32(
						  vsha256su0q_u32(m[s][i & 3], m[s][(i + 1) & 3]),
						  m[s][(i + 2) & 3], m[s][(i + 3) & 3]);
			}
			EACH_STREAM
			{
				uint32x4_t wk = vaddq_u32(m[s][i & 3], k);
				uint32x4_t abcd1 = abcd[s];
				abcd[s] = vsha256hq_u32(abcd[s], efgh[s], wk);
				efgh[s] = vsha256h2q_u32(efgh[s], abcd1, wk);
			}
		}
		EACH_STREAM
		{
			abcd[s] = vaddq_u32(abcd[s], abcd0[s]);
			efgh[s] = vaddq_u32(efgh[s], efgh0[s]);
		}
	}
	EACH_STREAM
	{
		vst1q_u32(states[s], abcd[s]);
		vst1q_u32(states[s] + 4, efgh[s]);
	}
}

#endif
