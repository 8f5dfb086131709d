/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/kernels_priv.h"
#include "gateway/digest/md5_steps_priv.h"
#include "storage/bytes.h"

/* MD5 in 4 lanes of the compiler's own vectors: SSE2 or NEON where they are, and plain registers
 * elsewhere. */
enum { LANE_COUNT = 4 };

typedef uint32_t lanes_u32 __attribute__((vector_size(4 * LANE_COUNT)));

/* Each adds its function to a; G as in md5_avx2.c. */
#define F(a, b, c, d) (a + (d ^ (b & (c ^ d))))
#define G(a, b, c, d) ((a + (~d & c)) + (d & b))
#define H(a, b, c, d) (a + (b ^ (c ^ d)))
#define I(a, b, c, d) (a + (c ^ (b | ~d)))
#define STEP(f, a, b, c, d, word, rotation, constant) \
	a += w[word] + constant; \
	a = f(a, b, c, d); \
	a = b + ((a << rotation) | (a >> (32 - rotation)));

static inline lanes_u32 gather(const uint8_t *const *data, size_t offset)
{
	return (lanes_u32){get_le32(data[0] + offset), get_le32(data[1] + offset),
		get_le32(data[2] + offset), get_le32(data[3] + offset)};
}

static inline lanes_u32 gather_state(uint32_t *const *states, int word)
{
	return (lanes_u32){states[0][word], states[1][word], states[2][word], states[3][word]};
}

void md5_run_plain(uint32_t *const *states, const uint8_t *const *data, size_t block_count)
{
	lanes_u32 a = gather_state(states, 0), b = gather_state(states, 1);
	lanes_u32 c = gather_state(states, 2), d = gather_state(states, 3);

	for (size_t offset = 0; offset < block_count * 64; offset += 64) {
		lanes_u32 w[16];
		for (int i = 0; i < 16; i++)
			w[i] = gather(data, offset + 4 * i);
		lanes_u32 a0 = a, b0 = b, c0 = c, d0 = d;
		MD5_STEPS(STEP)
		a += a0;
		b += b0;
		c += c0;
		d += d0;
	}

	for (int i = 0; i < LANE_COUNT; i++) {
		states[i][0] = a[i];
		states[i][1] = b[i];
		states[i][2] = c[i];
		states[i][3] = d[i];
	}
}
