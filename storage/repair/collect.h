/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_COLLECT_H
#define STORAGE_REPAIR_COLLECT_H

#include "storage/object/store.h"

/* The collector: gives back what nothing refers to any more.
 *
 * Two sources. The garbage queue of the index names bodies, uploads and sessions in the order in
 * which their last reference went; each is dismantled in bounded steps: the shards of up to 128
 * extents are freed on their drives, then a command removes their rows. A census of a drive finds
 * what no row names: shards of puts that a crash cut off, and those that were deleted while the
 * drive was away. It runs once for each drive after the node has started.
 *
 * (C1) A shard is freed only if the index does not refer to its extent, and its session is closed
 * or its counter is below what that session has open. (C2) An extent is freed only below the
 * smallest read_low of all open sessions, so that no get loses what it began to read. (C3) The rows
 * go when the drives were told; what a crash makes a drive remember again, and a drive that was not
 * there, is cleaned by its census. (C4) Nothing is written while there is no garbage.
 */
#define COLLECT_FREES_MAX 4096 /* shards that drives are about to forget */
#define COLLECT_IDLE_MS 500 /* between two looks at an empty queue */
#define COLLECT_CENSUS_BATCH 256 /* shards looked up in one turn of the loop */
#define COLLECT_CENSUS_PAUSE_MS 1
#define COLLECT_CENSUS_TRIES 20 /* to list the shards of a drive that is not fenced */

enum collect_state {
	COLLECT_IDLE,
	COLLECT_CENSUS,
	COLLECT_FREEING, /* shards of one step */
	COLLECT_PROPOSING,
	COLLECT_STOPPED,
};

struct collect_free {
	struct shard_free op;
	struct collector *collector;
	struct collect_free *next;
};

struct collect_counters {
	uint64_t census_shards, census_freed;
	uint64_t bodies, uploads, shards_freed, free_errors;
};

struct collector {
	struct store_loop *store;
	struct index_reader *reader;
	enum collect_state state;
	bool is_stopping;
	bool is_allowed; /* false: after a forced recovery, until an operator confirms */
	void (*stopped)(struct collector *collector);
	struct timer timer;

	/* The census. */
	unsigned census_drive;
	struct extent_id census_extent;
	uint8_t census_index;
	unsigned census_tries; /* to list this drive's next shards, that failed */

	/* The step being done. */
	struct index_garbage garbage;
	uint64_t next_offset; /* of the body: extents before it are freed or being freed */
	bool is_body_freed;
	struct collect_free *frees; /* COLLECT_FREES_MAX of them */
	struct collect_free *free_slots;
	unsigned frees_in_flight;
	bool is_waiting_for_slots;
	struct index_proposal proposal;
	uint8_t command[512];
	bool is_proposed;
	struct collect_counters counters;
};

/* Begins, on store's loop. Errors: ERR_NO_MEMORY. */
MUST_USE enum err collect_start(struct collector *collector, struct store_loop *store);

/* Ends when nothing is in flight; stopped() follows, never inside the call. */
void collect_stop(struct collector *collector, void (*stopped)(struct collector *collector));

#endif
