/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/hash_lanes.h"

#include <assert.h>

#include "gateway/digest/blocks.h"

/* What the lanes are at. Lanes 0 to busy_count - 1 have work; the others are given the data of lane
 * 0 and a state that nobody reads, because a kernel always runs all of its lanes. */
struct lanes {
	uint32_t *states[HASH_LANES_MAX];
	const uint8_t *data[HASH_LANES_MAX];
	size_t blocks_left[HASH_LANES_MAX];
	unsigned busy_count;
};

static void fill(struct lanes *lanes, unsigned lane_count, const struct hash_run **runs,
	const struct hash_run *end)
{
	for (; lanes->busy_count < lane_count && *runs < end; ++*runs) {
		if ((*runs)->block_count == 0)
			continue;
		lanes->states[lanes->busy_count] = (*runs)->state;
		lanes->data[lanes->busy_count] = (*runs)->data;
		lanes->blocks_left[lanes->busy_count] = (*runs)->block_count;
		lanes->busy_count++;
	}
}

static size_t shortest(const struct lanes *lanes)
{
	size_t block_count = lanes->blocks_left[0];
	for (unsigned i = 1; i < lanes->busy_count; i++)
		if (lanes->blocks_left[i] < block_count)
			block_count = lanes->blocks_left[i];
	return block_count;
}

/* Counts the blocks off and closes the gaps that finished lanes leave. */
static void step_on(struct lanes *lanes, size_t block_count)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < lanes->busy_count; i++) {
		if (lanes->blocks_left[i] == block_count)
			continue;
		lanes->states[kept] = lanes->states[i];
		lanes->data[kept] = lanes->data[i] + block_count * BLOCK_LEN;
		lanes->blocks_left[kept] = lanes->blocks_left[i] - block_count;
		kept++;
	}
	lanes->busy_count = kept;
}

void hash_lanes_run(const struct hash_kernel *kernel, const struct hash_run *runs, size_t run_count)
{
	assert(kernel->lane_count <= HASH_LANES_MAX);
	assert(kernel->lanes_min > 1);
	const struct hash_run *end = runs + run_count;
	uint32_t unread_state[HASH_WORDS_MAX] = {0};
	struct lanes lanes = {.busy_count = 0};

	for (;;) {
		fill(&lanes, kernel->lane_count, &runs, end);
		if (lanes.busy_count < kernel->lanes_min)
			break;
		for (unsigned i = lanes.busy_count; i < kernel->lane_count; i++) {
			lanes.states[i] = unread_state;
			lanes.data[i] = lanes.data[0];
		}
		size_t block_count = shortest(&lanes);
		kernel->run(lanes.states, lanes.data, block_count);
		step_on(&lanes, block_count);
	}
	do {
		for (unsigned i = 0; i < lanes.busy_count; i++)
			kernel->run_alone(lanes.states[i], lanes.data[i], lanes.blocks_left[i]);
		lanes.busy_count = 0;
		fill(&lanes, kernel->lane_count, &runs, end);
	} while (lanes.busy_count > 0);
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
