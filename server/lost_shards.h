/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_LOST_SHARDS_H
#define SERVER_LOST_SHARDS_H

#include "server/node.h"
#include "storage/drive/drive.h"
#include "storage/shard/shard_wire.h"

/* Shards that lie on drives and that no row of the index names: what was written behind the end of
 * an archive that the index was made anew of, and what is garbage and not freed yet.
 *
 * A drive is gone through in batches, each from the place on that the one before it said. Drives of
 * other nodes are asked for by PEER_SHARD_LIST: the head is the place as a shard_key, with the
 * number of the drive; the head of the answer is the next place, 8 bytes that count shards which
 * could still get a row, and a byte, 1 if there is nothing behind it; its payload is shards, one
 * behind the other:
 *
 *	key 24, k 1, m 1, length of the hint 2, unit length 4, extent length 8, hint
 *
 * Integers are little-endian. What comes from another node is checked as anything from outside. */
enum {
	LOST_SHARD_LEN = SHARD_KEY_LEN + 16,
	LOST_HEAD_LEN = SHARD_KEY_LEN + 8 + 1,
	LOST_BATCH_LEN_MAX = 64 << 10,
	LOST_SCAN_MAX = 4096, /* shards of a drive in one batch, whether they have rows or not */
};

struct lost_shard {
	struct shard_key key;
	uint8_t k, m;
	uint32_t unit_len;
	uint32_t extent_len;
	struct bytes hint; /* borrowed from the batch */
};

struct lost_batch {
	struct shard_key next; /* in: where it begins; out: where the next one does */
	bool is_end; /* nothing is behind it */
	uint64_t unsettled; /* shards that were passed over: their sessions are open */
	size_t len; /* of bytes */
	uint8_t bytes[LOST_BATCH_LEN_MAX];
};

/* The next batch of a drive, here or on another node. Blocks; not on a loop. Errors:
 * ERR_UNAVAILABLE, the drive cannot be reached; ERR_UNSUPPORTED, its node is of an older version;
 * those of drives, of the index, of calls. */
MUST_USE enum err lost_shards_read(struct node *node, struct lost_batch *batch);

/* Takes a shard off a batch, from *at on. Errors: ERR_END; ERR_INVALID, it makes no sense. */
MUST_USE enum err lost_shards_next(
	const struct lost_batch *batch, size_t *at, struct lost_shard *ret_shard);

/* Answers other nodes. Before the loops run. */
struct cluster;
void lost_shards_serve(struct cluster *cluster);

#endif
