/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_SCRUB_H
#define STORAGE_REPAIR_SCRUB_H

#include "storage/repair/crew.h"
#include "storage/repair/scrub_record.h"
#include "storage/repair/steering.h"

/* Scrub: everything on the drives of this node is read now and then, before it is needed.
 *
 *	LISTING → READING → LISTING ... → MATCHING → (the next drive) LISTING ...
 *	             ↓↑
 *	           MENDING
 *
 * One drive after the other: all blocks of all shards that it lists are read and checked, spread
 * over half of the period for all drives; then all rows that have a shard there are looked up on
 * it. For the other half a drive that had its pass is left alone. A drive that somebody wants to be
 * scrubbed now (steering.h) has its pass first, and as fast as the throttle lets it.
 *
 * (Z1) A shard with a damaged block is made anew in its place from k others; the old record is
 *      replaced only by a whole one (rebuild.h (R3)). If that cannot be, it is tried in the next
 *      pass.
 * (Z2) A row whose shard is not on its drive gets an exception, and the repair makes it anew.
 * (Z3) Shards without rows are left to the census (collect.h).
 * (Z4) Where a pass is, is written down every SCRUB_SAVE_MS, or SCRUB_SAVE_SOON_MS if it is wanted
 *      now or found something, in the drive's record (scrub_record.h): a restart goes on there. At
 *      its end the record says what was found. Nothing else is written.
 * (Z5) A pass of the schedule leaves a verdict if it found something. What became of one that was
 *      wanted, who looks after the tasks reads in the records (task_book.h).
 */
#define SCRUB_PERIOD_MS (UINT64_C(14) * 24 * 3600 * 1000)
#define SCRUB_SAVE_MS (3600 * 1000)
#define SCRUB_SAVE_SOON_MS (60 * 1000)
#define SCRUB_SLICE_LEN (64u << 10) /* read at a time: what a client may have to wait for */
#define SCRUB_WAIT_MS_MAX 60000
#define SCRUB_BATCH 64
#define SCRUB_MATCH_ROWS 128 /* in one turn of the loop */
#define SCRUB_MISSING_MAX 32 /* in one command */

enum scrub_state {
	SCRUB_LISTING,
	SCRUB_READING,
	SCRUB_MENDING,
	SCRUB_MATCHING,
	SCRUB_TELLING, /* of rows without shards */
	SCRUB_MATCHED, /* the pass is over */
	SCRUB_SAVING,
	SCRUB_ENDING,
};

struct scrub_counters {
	struct scrub_counts counts; /* since the start */
	uint64_t passes; /* over a drive, to its end */
};

/* What it is doing. */
struct scrub_now {
	uint16_t drive; /* 0: nothing now */
	bool is_paused;
	struct scrub_record pass;
	uint64_t used; /* bytes on the drive */
	uint64_t bytes_per_second; /* smoothed */
};

struct scrub {
	struct crew *crew;
	struct throttle throttle; /* of its own: it is paused by itself */
	struct steering steering;
	uint64_t period_given_ms, period_ms; /* 0: never */
	enum scrub_state state;
	bool is_stopping;
	bool has_drive; /* one has been chosen */
	bool wants_choice; /* another may come first now */
	uint64_t due_ms; /* when it goes on */
	uint64_t save_ms; /* when the place was written down last */
	unsigned drive; /* which one of this node's */
	struct scrub_record pass; /* over it */
	struct scrub_counters counters;
	uint64_t rate, rate_ms, rate_bytes;
	struct shard_entry entries[SCRUB_BATCH];
	unsigned entry_count, entry_next;
	struct extent_id extent; /* listing goes on at it */
	uint8_t index;
	struct index_place place; /* of MATCHING */
	struct command_shard_move missing[SCRUB_MISSING_MAX];
	unsigned missing_count;
	struct site_read read;
	bool is_inited, is_reading, is_mending, is_proposed;
	enum err read_err;
	uint64_t offset;
	uint8_t *buf;
	struct index_proposal proposal;
	uint8_t command[SCRUB_MISSING_MAX * 48 + 512];
};

/* period_ms: where the settings of the index say none; 0: never. */
void scrub_init(struct scrub *scrub, struct crew *crew, uint64_t period_ms);

/* What is wanted of it now. */
void scrub_steer(struct scrub *scrub, const struct steering *steering, bool is_paused);

/* Does it read as fast as it may, so that the throttle has to look at clients? */
bool scrub_is_busy(const struct scrub *scrub);

void scrub_tell(struct scrub *scrub, struct scrub_now *ret_now);

/* Goes on. Returns in how many ms it is worth to come again. */
uint64_t scrub_advance(struct scrub *scrub);

/* Begins nothing any more. */
void scrub_stop(struct scrub *scrub);
bool scrub_is_idle(const struct scrub *scrub);

#endif
