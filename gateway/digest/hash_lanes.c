/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/hash_lanes.h"

#include <assert.h>
#include <string.h>

#include "gateway/digest/blocks.h"
#include "gateway/digest/kernels_priv.h"

static size_t shortest(const struct hash_run *lanes, unsigned busy_count)
{
	size_t block_count = lanes[0].block_count;
	for (unsigned i = 1; i < busy_count; i++)
		if (lanes[i].block_count < block_count)
			block_count = lanes[i].block_count;
	return block_count;
}

/* Counts the blocks off and closes the gaps that finished lanes leave. Returns how many are busy.
 */
static unsigned step_on(struct hash_run *lanes, unsigned busy_count, size_t block_count)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < busy_count; i++) {
		struct hash_run lane = lanes[i];
		lane.data += block_count * HASH_BLOCK_LEN;
		lane.block_count -= block_count;
		if (lane.block_count > 0)
			lanes[kept++] = lane;
	}
	return kept;
}

/* Fills lanes from the list until it is empty and too few are busy; what those have left goes to
 * ret_left (room for HASH_LANES_MAX). Returns how many that are. */
static size_t run_while_worth(const struct hash_kernel *kernel, const struct hash_run *runs,
	size_t run_count, struct hash_run *ret_left)
{
	uint32_t unread_state[HASH_WORDS_MAX] = {0};
	uint32_t *states[HASH_LANES_MAX];
	const uint8_t *data[HASH_LANES_MAX];
	struct hash_run lanes[HASH_LANES_MAX];
	unsigned busy_count = 0;

	for (;;) {
		for (; busy_count < kernel->lane_count && run_count > 0; runs++, run_count--)
			if (runs->block_count > 0)
				lanes[busy_count++] = *runs;
		if (busy_count < kernel->lanes_min)
			break;
		size_t block_count = shortest(lanes, busy_count);
		for (unsigned i = 0; i < kernel->lane_count; i++) {
			/* A kernel runs all of its lanes. */
			states[i] = i < busy_count ? lanes[i].state : unread_state;
			data[i] = lanes[i < busy_count ? i : 0].data;
		}
		kernel->run(states, data, block_count);
		busy_count = step_on(lanes, busy_count, block_count);
	}
	memcpy(ret_left, lanes, busy_count * sizeof *lanes);
	return busy_count;
}

void hash_lanes_run(const struct hash_kernel *kernel, const struct hash_run *runs, size_t run_count)
{
	struct hash_run left[HASH_LANES_MAX];
	for (; run_count > 0; kernel = kernel->narrower) {
		assert(kernel->lane_count <= HASH_LANES_MAX);
		assert((kernel->lanes_min == 1) == !kernel->narrower);
		run_count = run_while_worth(kernel, runs, run_count, left);
		runs = left;
	}
}

void md5_run_alone(uint32_t *const *states, const uint8_t *const *data, size_t block_count)
{
	blocks_md5(states[0], data[0], block_count);
}

void sha256_run_alone(uint32_t *const *states, const uint8_t *const *data, size_t block_count)
{
	blocks_sha256(states[0], data[0], block_count);
}

static const struct hash_kernel *first_available(const struct hash_kernel *kernels, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (kernels[i].is_available())
			return &kernels[i];
	assert(!"the last kernel of a list runs anywhere");
	return NULL;
}

const struct hash_kernel *hash_lanes_choose_md5(void)
{
	size_t count;
	const struct hash_kernel *kernels = hash_lanes_list_md5(&count);
	return first_available(kernels, count);
}

const struct hash_kernel *hash_lanes_choose_sha256(void)
{
	size_t count;
	const struct hash_kernel *kernels = hash_lanes_list_sha256(&count);
	return first_available(kernels, count);
}

void hash_lanes_run_twins(
	const struct hash_twin_kernel *kernel, struct hash_twin_run *runs, unsigned count)
{
	uint32_t unread_state[HASH_WORDS_MAX] = {0};
	uint32_t *md5_states[HASH_TWINS_MAX], *sha256_states[HASH_TWINS_MAX];
	const uint8_t *data[HASH_TWINS_MAX];
	assert(count > 0 && count <= kernel->stream_count);
	assert(kernel->stream_count <= HASH_TWINS_MAX);
	size_t block_count = SIZE_MAX;
	for (unsigned i = 0; i < HASH_TWINS_MAX; i++) {
		md5_states[i] = i < count ? runs[i].md5 : unread_state;
		sha256_states[i] = i < count ? runs[i].sha256 : unread_state;
		data[i] = runs[i < count ? i : 0].data;
		if (i < count && runs[i].block_count < block_count)
			block_count = runs[i].block_count;
	}
	kernel->run(md5_states, sha256_states, data, count, block_count);
	for (unsigned i = 0; i < count; i++) {
		runs[i].data += block_count * HASH_BLOCK_LEN;
		runs[i].block_count -= block_count;
	}
}
