/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_SCRUB_H
#define STORAGE_REPAIR_SCRUB_H

#include "storage/repair/crew.h"

/* Scrub: everything on the drives of this node is read now and then, before it is needed.
 *
 *	LISTING → READING → LISTING ... → MATCHING → (the next drive) LISTING ...
 *	             ↓↑
 *	           MENDING
 *
 * One drive after the other: all blocks of all shards that it lists are read and checked, spread
 * over half of SCRUB_PERIOD_MS for all drives; then all rows that have a shard there are looked up
 * on it. For the other half a drive that had its pass is left alone.
 *
 * (Z1) A shard with a damaged block is made anew in its place from k others; the old record is
 *      replaced only by a whole one (rebuild.h (R3)). If that cannot be, it is tried in the next
 *      pass.
 * (Z2) A row whose shard is not on its drive gets an exception, and the repair makes it anew.
 * (Z3) Shards without rows are left to the census (collect.h).
 * (Z4) Where a pass is, is written down every SCRUB_SAVE_MS, in the setting "scrub." and the number
 *      of the drive: a restart goes on there. At its end that setting says what was found.
 */
#define SCRUB_PERIOD_MS (UINT64_C(14) * 24 * 3600 * 1000)
#define SCRUB_SAVE_MS (3600 * 1000)
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
	SCRUB_SAVING,
};

struct scrub_counters {
	uint64_t shards, bytes; /* read */
	uint64_t bad, mended; /* shards with damaged blocks */
	uint64_t missing; /* rows whose shard was not there */
	uint64_t unread; /* shards that could not be read for another reason */
	uint64_t passes; /* over a drive, to its end */
};

struct scrub {
	struct crew *crew;
	uint64_t period_ms; /* 0: never */
	enum scrub_state state;
	bool is_stopping, is_loaded; /* the cursor of this drive was looked up */
	uint64_t due_ms; /* when it goes on */
	uint64_t save_ms; /* when the place was written down last */
	unsigned drive; /* which one of this node's */
	bool is_done; /* it had its pass not long ago */
	unsigned skipped; /* drives, one after the other */
	struct scrub_counters counters, before; /* since the start; as of the pass's begin */
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
	uint8_t command[SCRUB_MISSING_MAX * 48 + 256];
};

void scrub_init(struct scrub *scrub, struct crew *crew, uint64_t period_ms);

/* Goes on. Returns in how many ms it is worth to come again. */
uint64_t scrub_advance(struct scrub *scrub);

/* Begins nothing any more. */
void scrub_stop(struct scrub *scrub);
bool scrub_is_idle(const struct scrub *scrub);

#endif
