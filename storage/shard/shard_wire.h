/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SHARD_SHARD_WIRE_H
#define STORAGE_SHARD_SHARD_WIRE_H

#include "erasure/stripe.h"
#include "storage/err.h"
#include "storage/id.h"

/* What nodes say to each other about shards: the heads of the calls PEER_SHARD_*.
 *
 *	OPEN    key, code, lengths; payload: the hint      → room is reserved
 *	APPEND  key, offset, checksums; payload: a unit    → it is written, not yet durable
 *	SEAL    key                                        → it is durable
 *	ABORT   key (a note)                                 the room is given back
 *	READ    key, start, length                         → checksums; payload: the bytes
 *	FREE    key                                        → it does not come back
 *	WHOLE   key, code, lengths, checksums, hint; payload: all of a short shard
 *	                                                   → it is durable
 *	CENSUS  log index                                  → the node's drives are looked through,
 *when its index is as new as that
 *
 * A write is named by its key alone: one shard of an extent is written to one drive once, so that
 * an open whose answer never came can be aborted, and a free finds a write that still goes on.
 * Integers are little-endian. Padding is zero. Every decoder refuses (ERR_INVALID) what is not so,
 * what is too long, and shapes that no extent has. */
struct shard_key {
	struct extent_id extent;
	uint16_t drive; /* its number in the index */
	uint8_t index;
};

static inline bool shard_key_is_equal(const struct shard_key *a, const struct shard_key *b)
{
	return extent_id_is_equal(a->extent, b->extent) && a->drive == b->drive &&
		a->index == b->index;
}

enum {
	SHARD_KEY_LEN = 24, /* session 8, counter 8, drive 2, index 1, zero 5 */
	SHARD_OPEN_LEN = SHARD_KEY_LEN + 16, /* k 1, m 1, zero 2, unit length 4, extent length 8 */
	SHARD_APPEND_LEN = SHARD_KEY_LEN + 8, /* offset 8; then 8 for each block */
	SHARD_READ_LEN = SHARD_KEY_LEN + 16, /* start 8, length 4, is_cached 1, zero 3 */
	SHARD_TRANSFER_LEN_MAX = UNIT_LEN, /* of one append or read */
	SHARD_CENSUS_LEN = 8,
	SHARD_SUMS_MAX = SHARD_TRANSFER_LEN_MAX / 16384,
	SHARD_SUMS_LEN_MAX = 8 * SHARD_SUMS_MAX,
	/* Of a shard that is written by one call, which holds the room of its payload until the
	 * drive has flushed: so it is to be short. */
	SHARD_WHOLE_LEN_MAX = 64 << 10,
	SHARD_WHOLE_SUMS_MAX = SHARD_WHOLE_LEN_MAX / 16384,
	SHARD_WHOLE_HEAD_LEN = SHARD_OPEN_LEN + 8 * SHARD_WHOLE_SUMS_MAX, /* and the hint */
};

struct shard_open {
	struct shard_key key;
	struct geometry geometry;
};

struct shard_whole {
	struct shard_open open;
	size_t sum_count;
	uint64_t sums[SHARD_WHOLE_SUMS_MAX];
	struct bytes hint; /* decoded: borrowed from the head */
};

struct shard_read_range {
	struct shard_key key;
	uint64_t start;
	uint32_t len;
	bool is_cached;
};

/* Each writes as many bytes as its length above says. */
void shard_key_encode(const struct shard_key *key, uint8_t *out);
void shard_open_encode(const struct shard_open *open, uint8_t *out);
void shard_read_range_encode(const struct shard_read_range *range, uint8_t *out);

/* The key and the offset; shard_sums_encode() writes what follows. */
void shard_append_encode(const struct shard_key *key, uint64_t offset, uint8_t *out);
void shard_sums_encode(const uint64_t *sums, size_t count, uint8_t *out);

/* Returns how long it is: at most SHARD_WHOLE_HEAD_LEN and the hint. */
size_t shard_whole_encode(const struct shard_whole *whole, uint8_t *out);

/* A head that is a key and nothing else. */
MUST_USE enum err shard_key_decode(struct bytes head, struct shard_key *ret_key);
MUST_USE enum err shard_open_decode(struct bytes head, struct shard_open *ret_open);
MUST_USE enum err shard_read_range_decode(struct bytes head, struct shard_read_range *ret_range);

/* Of a payload of len bytes, whose blocks' checksums have to be there. */
MUST_USE enum err shard_append_decode(struct bytes head, size_t len, struct shard_key *ret_key,
	uint64_t *ret_offset, uint64_t ret_sums[SHARD_SUMS_MAX]);

/* Of a payload of len bytes, which has to be the whole shard. */
MUST_USE enum err shard_whole_decode(struct bytes head, size_t len, struct shard_whole *ret_whole);

/* Exactly the checksums of len bytes. */
MUST_USE enum err shard_sums_decode(
	struct bytes head, size_t len, uint64_t ret_sums[SHARD_SUMS_MAX]);

#endif
