/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_REBUILD_H
#define STORAGE_REPAIR_REBUILD_H

#include "erasure/stripe.h"
#include "storage/object/store.h"
#include "storage/repair/throttle.h"
#include "storage/shard/whole.h"

/* One shard of one extent is made anew, on the drive where it is to be.
 *
 *	PROBING → PACING → OPENING → WAITING → READING → WRITING → SEALING → OVER
 *	   ↓ it is there  ↖________________________________↙ the next chunk, without OPENING
 *	  OVER
 *
 * A short one (SHARD_WHOLE_LEN_MAX) is neither looked for nor opened: it is read, and then written
 *by one operation, in SEALING; to write it again costs less than to ask whether it is there.
 *
 * Chunk by chunk: from a copy of the shard, if it is to be had; else any k other shards are read,
 * and decoded. Where a copy turns out to be damaged, missing or away, others are read in its place.
 *
 * (R1) What is written was checked block by block when it was read, or decoded from what was.
 * (R2) It holds the memory of one chunk, at most REBUILD_CHUNK_LEN of each shard that is read and
 *      of the one that is written, from decode_pool; and none while it waits for anything but
 *      drives.
 *      A record that is open holds back what its drive has freed (drive.h (D4), (D6)); so it is not
 *      opened before its first chunk may be read, and not left open by a pause.
 * (R3) done(ERR_OK) means that the shard is on the drive, durably. It replaces one that was there
 *      only then: so a damaged one may be rebuilt in its place.
 * (R4) The index does not know of it. Whoever starts one makes it known, or frees what was written
 *      if there is nothing to be known any more.
 * (R5) done() is called once, last, when nothing is in flight, and never inside a call. It comes
 *      also if the other nodes are silent (storage/shard/remote.h (R3)).
 */
#define REBUILD_CHUNK_LEN UNIT_LEN
#define REBUILD_CHUNK_LEN_SMALL UNIT_LEN_SMALL /* when decode_pool is small */

/* An extent, and where its shards may be, the best place first; 0: no place. */
struct rebuild_extent {
	struct extent_id id;
	uint16_t slot;
	struct geometry geometry;
	uint16_t places[CODE_UNITS_MAX][2];
};

struct rebuild;

struct rebuild_setup {
	struct store_loop *store;
	struct throttle *throttle;
	const struct rebuild_extent *extent; /* copied */
	uint8_t shard;
	uint16_t drive; /* where it is to be */
	bool may_be_there; /* then that is enough */
	bool may_copy; /* false: what is found at its places is damaged */
	struct bytes hint; /* as of the put; borrowed until done() */
	void (*done)(struct rebuild *rebuild, enum err err);
};

enum rebuild_state {
	REBUILD_IDLE,
	REBUILD_PROBING,
	REBUILD_PACING, /* for the throttle */
	REBUILD_OPENING,
	REBUILD_WAITING, /* for memory */
	REBUILD_READING,
	REBUILD_WRITING,
	REBUILD_SEALING,
	REBUILD_OVER,
};

struct rebuild_unit {
	struct rebuild *rebuild;
	struct site_read read;
	uint8_t *buf; /* while a chunk is being read */
	uint8_t place; /* which one is asked */
	bool is_inited, is_reading, is_good, is_bad;
};

struct rebuild {
	uint32_t magic;
	enum rebuild_state state;
	struct rebuild_setup setup;
	struct rebuild_extent extent;
	enum err err; /* the first that makes it impossible */
	bool is_canceled, is_open, was_there;
	bool is_short; /* written by one operation */
	bool may_probe; /* it may be there, and was not looked for */
	unsigned in_flight; /* calls of drives, timers and pools whose end is awaited */
	uint32_t sources; /* units being read */
	uint32_t shard_len, chunk_len_max;
	uint32_t offset, chunk_len; /* in the shard */
	unsigned buffer_count;
	uint8_t *buffers[CODE_UNITS_MAX + 1];
	uint8_t *made; /* of them, what is written */
	union {
		struct {
			struct site_write write;
			struct site_append append;
		};
		struct site_whole whole; /* if it is short */
	};
	struct pool_wait wait;
	struct timer timer;
	struct task task;
	uint64_t read_len, written_len; /* bytes, for who counts */
	struct code_decoder decoder;
	struct rebuild_unit units[CODE_UNITS_MAX];
};

/* Says where the shards of an extent may be. Under the view that found the row; the ring is of
 * after it began. Errors: ERR_CORRUPT. */
MUST_USE enum err rebuild_extent_init(struct rebuild_extent *ret_extent,
	const struct ring_snapshot *ring, uint16_t slot, struct extent_id id,
	const struct row_extent *row);

/* Errors of done(): ERR_QUORUM, fewer than k others can be read now; those of the drive that is
 * written, ERR_UNAVAILABLE among them; ERR_CANCELED. */
void rebuild_start(struct rebuild *rebuild, const struct rebuild_setup *setup);

/* done(ERR_CANCELED) follows, or with the end that was on its way. */
void rebuild_cancel(struct rebuild *rebuild);

#endif
