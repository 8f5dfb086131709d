/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ERASURE_STRIPE_H
#define ERASURE_STRIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The geometry of an extent: where each byte of it lies in its shards.
 *
 * An extent of body_len bytes is cut into stripes of k * unit_len bytes; stripe s is k data units
 * one after the other, then m parity units. Shard i is unit i of all stripes, one after the other.
 *
 *	extent   |0           stripe 0           |         stripe 1         | the rest|
 *	shard 0  |  unit 0 of stripe 0   | unit 0 of stripe 1    | unit 0 |
 *	shard 1  |  unit 1 of stripe 0   | unit 1 of stripe 1    | unit 1 |
 *	shard k  |  first parity         | first parity          | parity |
 *
 * (I1) All units are unit_len bytes, except those of the last stripe, which are a k-th of what is
 *      left, rounded up to UNIT_GRAIN.
 * (I2) All shards of an extent are equally long, a multiple of UNIT_GRAIN.
 * (I3) The bytes of data units beyond the end of the extent are padding: they are zero.
 * (I4) unit_len is a multiple of BLOCK_LEN, so no block of a shard lies in two stripes. Only the
 *      last block of a shard may be short.
 *
 * These are pure functions of the geometry. A geometry that comes from outside is made with
 * stripe_geometry_init(), which refuses; the others assert that they are asked about what is
 * there. Stripes, units and blocks are counted from 0. */

enum {
	UNIT_LEN = 262144,
	UNIT_LEN_SMALL = 65536, /* when memory is short */
	UNIT_GRAIN = 4096,
	EXTENT_LEN_MAX = 64 << 20,
};

struct geometry {
	uint8_t k;
	uint8_t m;
	uint32_t unit_len;
	uint32_t body_len;
};

/* A piece of a range of the extent: bytes that are next to each other in one data unit. */
struct stripe_piece {
	uint32_t stripe;
	uint32_t unit; /* a data unit: less than k */
	uint32_t unit_offset;
	uint32_t len;
	uint32_t shard_offset;
	uint32_t body_offset;
};

/* What is left of a walk over a range. Copies of it walk on their own. Borrows the geometry. */
struct stripe_walk {
	const struct geometry *geometry;
	uint32_t offset;
	uint32_t end;
};

/* Blocks that follow each other in a shard, and the bytes they are. */
struct stripe_blocks {
	uint32_t first;
	uint32_t count;
	uint32_t shard_offset;
	uint32_t len;
};

/* Makes a geometry, and returns false if there is none with these numbers: k 1 to 16, m 0 to 4,
 * unit_len UNIT_LEN or UNIT_LEN_SMALL, body_len 1 to EXTENT_LEN_MAX. */
bool stripe_geometry_init(struct geometry *geometry, uint64_t k, uint64_t m, uint64_t unit_len,
	uint64_t body_len) __attribute__((warn_unused_result));

/* The number of stripes, at least 1. */
uint32_t stripe_count(const struct geometry *geometry);

/* The bytes of the extent that a full stripe holds: k * unit_len. */
uint32_t stripe_full_len(const struct geometry *geometry);

/* The bytes of the extent that this stripe holds, without padding. */
uint32_t stripe_body_len(const struct geometry *geometry, uint32_t stripe);

/* The position in the extent of the first byte of this stripe. */
uint32_t stripe_body_offset(const struct geometry *geometry, uint32_t stripe);

/* The length of each unit of this stripe (I1). */
uint32_t stripe_unit_len(const struct geometry *geometry, uint32_t stripe);

/* The position of a unit of this stripe in its shard: the same for all shards. */
uint32_t stripe_shard_offset(const struct geometry *geometry, uint32_t stripe);

/* The bytes of the extent that a data unit of this stripe holds; what follows up to
 * stripe_unit_len() is padding (I3). May be 0 in the last stripe. */
uint32_t stripe_unit_body_len(const struct geometry *geometry, uint32_t stripe, unsigned unit);

/* The length of each shard (I2). */
uint32_t stripe_shard_len(const struct geometry *geometry);

/* The number of blocks of each shard. */
uint32_t stripe_block_count(const struct geometry *geometry);

/* The stripe in which a byte of a shard lies; shard_offset is below stripe_shard_len(). */
uint32_t stripe_of_shard_offset(const struct geometry *geometry, uint32_t shard_offset);

/* The blocks that hold len bytes of a shard from shard_offset on: what has to be read to check
 * them. len is at least 1, and the bytes are inside the shard. */
struct stripe_blocks stripe_blocks_of(
	const struct geometry *geometry, uint32_t shard_offset, uint32_t len);

/* Starts a walk over len bytes of the extent from offset on, which lie inside it. */
struct stripe_walk stripe_walk_start(
	const struct geometry *geometry, uint64_t offset, uint64_t len);

/* Gives the next piece of the range, in the order of the extent; false when there is none left. The
 * pieces cover the range without gap, and two never touch inside one unit. */
bool stripe_walk_next(struct stripe_walk *walk, struct stripe_piece *ret_piece);

#endif
