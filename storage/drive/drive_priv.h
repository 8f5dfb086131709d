/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_DRIVE_DRIVE_PRIV_H
#define STORAGE_DRIVE_DRIVE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "storage/buffer.h"
#include "storage/drive/drive.h"
#include "storage/drive/location.h"
#include "storage/drive/read_again.h"
#include "storage/drive/segment.h"
#include "storage/drive/superblock.h"

/* The inside of a drive.
 *
 * Three kinds of state, by who may touch it:
 *  - under `lock`, from any loop, for a few instructions: where space is reserved;
 *  - of the owner loop: flushes, the location table, frees, holes, compaction;
 *  - of the loop that writes or reads a shard: that shard's struct.
 * Whatever changes what the owner has to do pokes it; drive_advance() looks at the facts.
 *
 *	reserve.c      space for records; segments are made ahead
 *	shard_write.c  one record is written, on the writer's loop
 *	seal.c         records are flushed in groups
 *	table.c        the location table and its commits; frees
 *	holes.c        freed records are punched
 *	compact.c      segments with little left are emptied
 *	shard_read.c   one record is read, on the reader's loop
 *	drive_format.c a directory becomes a drive
 *	drive_open.c   the start
 *	drive.c        the rest
 *
 * A life of a segment goes FREE → MAKING → SPARE → ACTIVE → CLOSED → FREE.
 * (S1) Records are only reserved in the one ACTIVE segment, and its generation is greater than that
 *      of every CLOSED one. So places are in the order in which they were reserved.
 * (S2) A segment becomes FREE when nothing in it is live or reserved, and that is committed.
 * (S3) Nobody closes a file of a segment before the drive is closed: readers need not be counted. A
 *      reader that was overtaken by a new life meets a checksum that does not match, and looks the
 *      record up again.
 */
#define DRIVE_MAGIC 0x72647673u
#define DRIVE_LOOPS_MAX 128
#define DRIVE_HOLES_MAX 1024
#define DRIVE_PUNCHES_MAX 4
#define DRIVE_HEADS_KEPT 64
#define DRIVE_PUNCH_LEN_MIN (64u << 10)
#define DRIVE_COMMAND_ITEMS 32
#define DRIVE_COMMAND_LEN (24u << 10)
#define DRIVE_FROZEN_MAX 4
#define DRIVE_ABORTED_MAX 64
#define DRIVE_RESERVE_NAME "reserve"

enum segment_state {
	SEGMENT_NONE, /* there is no file */
	SEGMENT_FREE,
	SEGMENT_MAKING,
	SEGMENT_SPARE,
	SEGMENT_ACTIVE,
	SEGMENT_CLOSED,
	SEGMENT_LOST, /* its head is damaged; left alone */
};

struct segment {
	struct drive *drive;
	uint64_t number;

	/* Under the lock. */
	enum segment_state state;
	struct segment_life life;
	struct disk_file *direct, *cached; /* opened when first needed */
	uint64_t end; /* what lies behind was not reserved in this life */
	uint64_t reserved_len; /* of records neither in the table nor aborted */
	uint64_t live_len; /* of records that the table names; changed by the owner only */
	uint64_t punched_len; /* likewise */

	/* Of the owner. */
	unsigned punches; /* in flight */
	bool is_touched; /* its row is to be put */
	bool is_emptied; /* waits for a commit to become FREE */
	bool is_stuck; /* compaction could not empty it */
	uint64_t emptied_sequence;
	struct segment *next_touched, *next_emptied, *next_closed;
	bool is_flushing;
	struct shard_write *sealing, **sealing_tail; /* for the next flush */
	struct shard_write *flushing; /* for the one in flight */
	struct disk_op sync_op;
	uint64_t sync_ns; /* when it began */
};

/* What was freed and may be punched. */
struct hole {
	uint64_t segment;
	uint64_t generation;
	uint64_t offset, len;
	uint64_t sequence; /* only after this one is committed */
};

struct punch {
	struct drive *drive;
	struct segment *segment;
	struct hole hole;
	struct disk_file *file;
	bool is_busy;
	enum err err;
	struct disk_op op;
	struct work work;
};

struct making {
	struct segment *segment;
	struct segment_life life;
	struct disk_file *file;
	bool is_new, is_busy;
	enum err err;
	struct work work;
};

struct compaction;

struct drive {
	uint32_t magic;
	struct drive_setup setup;
	struct superblock superblock;
	struct disk_file *superblock_file;
	struct trace *trace;
	uint64_t segment_len;
	uint64_t segment_limit; /* where records end */
	atomic_int state; /* enum drive_state */
	atomic_int fence_err;

	pthread_mutex_t lock;
	/* Under the lock. */
	struct segment **segments; /* [number]; NULL: none of this number yet */
	uint64_t segments_cap, segment_max;
	struct segment *active, *spare;
	struct segment *closed; /* since the owner last looked */
	uint64_t last_generation; /* of the newest life that records were reserved in */
	struct shard_write *first_open, *last_open; /* reserved, in order */
	struct shard_write *first_waiting, *last_waiting; /* for a segment */
	bool is_last_spare; /* compaction may have it, clients not */
	bool is_full; /* the last attempt to make a segment found no space */
	uint64_t retry_ns; /* when to attempt it again */
	struct hole aborted[DRIVE_ABORTED_MAX]; /* since the owner last looked */
	size_t aborted_count;
	uint8_t *heads; /* kept, linked through their first bytes */
	size_t head_count;

	/* Any thread. */
	atomic_bool is_poked, is_commit_wanted, has_reserve;
	struct task poke_task;
	atomic_uint_fast64_t total_len, free_len; /* of the file system, as last seen */
	atomic_uint client_ios;
	struct {
		atomic_uint_fast64_t flush_ns; /* of a typical one; smoothed */
		atomic_uint_fast64_t flushes, sealed, commits, segments_made, segments_recycled;
		atomic_uint_fast64_t segments_compacted, moved, punched_len, reread, bad_blocks;
		atomic_uint_fast64_t scanned, unreadable_len;
	} counters;

	struct read_again again;

	/* Each entry of its own loop. */
	struct buffer_view views[DRIVE_LOOPS_MAX];
	bool has_view[DRIVE_LOOPS_MAX];

	/* Of the owner. */
	bool has_told_fence, is_room_wanted, is_stopping;
	void (*stopped)(void *arg);
	void *stopped_arg;
	struct making making;
	uint64_t next_generation;
	struct buffer *buffer;
	struct buffer_view view;
	uint64_t sequence; /* of the last command published */
	uint64_t committed_sequence;
	struct place committed_mark;
	uint64_t frozen_sequence; /* of the newest commit begun, */
	struct place frozen_mark; /* and the mark in it */
	struct {
		uint64_t sequence;
		struct place mark;
	} frozen[DRIVE_FROZEN_MAX];
	unsigned frozen_count;
	struct shard_write *inserts, **inserts_tail; /* flushed, to be put into the table */
	struct shard_free *frees, **frees_tail; /* to be taken out of it */
	struct shard_free *freed, **freed_tail; /* out; wait for a commit */
	struct segment *touched, *emptied;
	struct hole pending_holes[DRIVE_HOLES_MAX]; /* a ring; wait for a commit */
	size_t pending_first, pending_count;
	struct hole holes[DRIVE_HOLES_MAX]; /* committed, by place */
	size_t hole_count;
	struct punch punches[DRIVE_PUNCHES_MAX];
	bool is_hole_due; /* one of them may be long enough */
	struct {
		bool is_busy, is_due;
		struct work work;
	} refresh;
	struct compaction *compaction;
	bool is_compact_due; /* there may be a segment for it */
	struct timer compact_timer;
	uint64_t sealing_count; /* messages of seals on their way and flushes */
};

/* --- drive.c --- */
/* The inside of a drive that drive_open() is to fill; NULL without memory. */
struct drive *drive_new(const struct drive_setup *setup);

/* Closes its files and frees it, whatever of it was opened. */
void drive_free(struct drive *drive);

/* Tells the owner that there may be something to do. Any thread. */
void drive_poke(struct drive *drive);

/* Goes as far as the facts allow. Only on the owner. */
void drive_advance(struct drive *drive);

static inline bool drive_is_fenced(const struct drive *drive)
{
	return atomic_load_explicit(&drive->state, memory_order_acquire) != DRIVE_UP;
}

/* The segment of a number, which may come from a row; NULL: there is none. Takes the lock. */
struct segment *drive_segment(struct drive *drive, uint64_t number);

/* The file of a segment; opens it. Blocks. Any thread. */
MUST_USE enum err drive_segment_file(
	struct drive *drive, struct segment *segment, bool is_cached, struct disk_file **ret_file);

/* Heads of records: 4 KiB, aligned. Any thread. NULL: there is no memory. */
uint8_t *drive_head_take(struct drive *drive);
void drive_head_give(struct drive *drive, uint8_t *head);

/* Makes an entry for a segment of this number. Errors: ERR_NO_MEMORY; ERR_LIMIT. */
MUST_USE enum err drive_segment_add(
	struct drive *drive, uint64_t number, struct segment **ret_segment);

uint64_t segment_garbage_len(const struct segment *segment);

/* --- reserve.c --- */

/* Reserves write->record_len. Errors as shard_write_open(). Any thread. */
MUST_USE enum err reserve_take(struct drive *drive, struct shard_write *write);

/* The record is in the table, or never will be. Any thread. */
void reserve_end(struct drive *drive, struct shard_write *write);

/* The record was given up by its writer. Any thread. */
void reserve_abort(struct drive *drive, struct shard_write *write);

/* The place before which nothing is reserved and not in the table. Any thread. */
struct place reserve_mark(struct drive *drive);

/* The place of the next reservation. Any thread. */
struct place reserve_position(struct drive *drive);

/* On the owner: makes a spare segment if there is none, closes what is full. */
void reserve_advance(struct drive *drive);
void reserve_fail_waiting(struct drive *drive, enum err err);

/* The reserve of a file system for which none is configured. */
uint64_t drive_reserve_len(uint64_t total);

/* Looks at the file system and holds or gives back the reserve. Blocks. */
void reserve_refresh(struct drive *drive);

/* --- shard_write.c --- */

/* Ends the wait for a segment. On the owner. */
void shard_write_ready(struct shard_write *write, enum err err);

/* Ends a seal: tells the writer. On the owner. */
void shard_write_end(struct shard_write *write, enum err err);

/* --- seal.c --- */
void seal_post(struct shard_write *write);
void seal_fail_all(struct drive *drive);

/* --- table.c --- */
MUST_USE enum err table_open(struct drive *drive, struct place mark);

/* Commits what is published. Blocks; after the loops have stopped. Fine for one not open. */
void table_close(struct drive *drive);
MUST_USE enum err table_get(struct drive *drive, struct buffer_view *view, struct extent_id extent,
	uint8_t index, struct location *ret_location);
void table_advance(struct drive *drive);
void table_fail_all(struct drive *drive);
void table_touch(struct drive *drive, struct segment *segment);

/* Nothing is on its way into the table, and all of it is committed. */
bool table_is_settled(const struct drive *drive);

/* --- holes.c --- */
void holes_add(struct drive *drive, struct hole hole);
void holes_forget(struct drive *drive, uint64_t segment);
void holes_advance(struct drive *drive);
bool holes_is_busy(const struct drive *drive);

/* --- compact.c --- */
void compact_advance(struct drive *drive);
bool compact_is_busy(const struct drive *drive);
bool compact_is_in(const struct drive *drive, const struct segment *segment);
void compact_free(struct drive *drive);

/* Is so little left of it? Under the lock. */
bool compact_is_worth(const struct drive *drive, const struct segment *segment);

#endif
