/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_HASH_LANES_H
#define GATEWAY_DIGEST_HASH_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Several independent streams hashed at once, one per lane of the vector unit (MD5) or interleaved
 * to hide the latency of the CPU's hash instructions (SHA-256). */
enum { HASH_LANES_MAX = 16 };

/* One way to hash. Kernels are constants, in lists of those compiled for this architecture, the
 * fastest first; a machine may lack what one needs. */
struct hash_kernel {
	const char *name;
	bool (*is_available)(void);
	unsigned lane_count;
	unsigned lanes_min; /* with fewer busy, the narrower kernel is faster */

	/* Takes block_count blocks from each of lane_count streams into their states (words as in
	 * blocks.h; two lanes may share a state that nobody reads). */
	void (*run)(uint32_t *const *states, const uint8_t *const *data, size_t block_count);

	/* For what is left when lanes run empty. NULL if and only if lanes_min is 1. */
	const struct hash_kernel *narrower;
};

/* Whole blocks of one stream. State and data are borrowed for the call. */
struct hash_run {
	uint32_t *state;
	const uint8_t *data;
	size_t block_count;
};

/* The lists; they end with a kernel that any machine has. */
const struct hash_kernel *hash_lanes_list_md5(size_t *ret_count);
const struct hash_kernel *hash_lanes_list_sha256(size_t *ret_count);

/* The first of a list that this machine can run. */
const struct hash_kernel *hash_lanes_choose_md5(void);
const struct hash_kernel *hash_lanes_choose_sha256(void);

/* Hashes all runs, which must be of different streams, in any order. A lane that is through takes
 * the next run. Does not allocate. */
void hash_lanes_run(
	const struct hash_kernel *kernel, const struct hash_run *runs, size_t run_count);

/* --- twins ------------------------------------------------------------------------------------ */

/* MD5 and SHA-256 of the same blocks, of few streams: in less time than one after the other. */
struct hash_twin_kernel {
	const char *name;
	unsigned stream_count; /* at most */

	/* Takes block_count blocks from each of count streams. All pointers are valid, beyond count
	 * too; what is there may be shared and is not to be read. */
	void (*run)(uint32_t *const *md5_states, uint32_t *const *sha256_states,
		const uint8_t *const *data, unsigned count, size_t block_count);
};

#define HASH_TWINS_MAX 4

struct hash_twin_run {
	uint32_t *md5, *sha256; /* states */
	const uint8_t *data;
	size_t block_count;
};

/* What this machine has; NULL: nothing. */
const struct hash_twin_kernel *hash_lanes_choose_twins(void);

/* Takes as many blocks from each of count runs, at most as many as the kernel can, as the shortest
 * has, and counts them off. */
void hash_lanes_run_twins(
	const struct hash_twin_kernel *kernel, struct hash_twin_run *runs, unsigned count);

#endif
