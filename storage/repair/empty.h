/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_EMPTY_H
#define STORAGE_REPAIR_EMPTY_H

#include "storage/meta/index_ledger.h"
#include "storage/object/store.h"

/* What moved away is freed where it was. Each node does so for its own drives: when no get can want
 * the old copies any more, one pass over all that a drive lists frees the shards that its leftovers
 * name and that the index has elsewhere; then the leftovers are struck off.
 *
 *	IDLE → LISTING → FREEING → PROPOSING → IDLE
 *
 * (X1) Nothing is freed before the smallest read_low of all sessions is above the leftover's since.
 * (X2) A shard without a row is freed only if it is settled that it will never have one; while one
 *      is not, its leftover stays.
 * (X3) A leftover is struck off only after all that the pass found of it is freed; until then
 *      nothing is brought there again (apply_move.c (M5)), so what was looked up may be freed
 *      later.
 * (X4) A pass begins only if there is a leftover to be emptied, and not while collection is held
 *      (storage/repair/collect.h (C7)): an index that is older than the drives does not name all
 *      that is to stay.
 */
#define EMPTY_LEFTOVERS_MAX 512 /* in one pass */
#define EMPTY_PROPOSE_MAX 64 /* by one command */
#define EMPTY_BATCH 256 /* shards looked up in one turn of the loop */
#define EMPTY_FREES_MAX 64
#define EMPTY_PAUSE_MS 2000 /* between two passes, so that one is for many leftovers */

enum empty_state {
	EMPTY_IDLE,
	EMPTY_LISTING,
	EMPTY_FREEING,
	EMPTY_PROPOSING,
};

struct empty_leftover {
	uint16_t slot;
	uint8_t shard;
	bool is_kept; /* something of it is not settled, or could not be freed */
	uint64_t since;
};

struct emptier;

struct empty_free {
	struct site_free op;
	struct emptier *emptier;
	uint16_t leftover; /* which one it is of */
	bool is_used;
};

struct emptier {
	struct store_loop *store;
	enum empty_state state;
	bool is_stopping;
	void (*changed)(struct emptier *emptier); /* something ended */
	uint64_t not_before_ms;
	uint16_t drive; /* of the pass; between passes: the one after which the next is sought */
	struct empty_leftover leftovers[EMPTY_LEFTOVERS_MAX]; /* ascending */
	unsigned leftover_count, proposed_from, proposed_to;
	uint64_t waits_for; /* log index that reads have to be past first */
	struct extent_id extent; /* where the listing goes on */
	uint8_t index;
	struct empty_free frees[EMPTY_FREES_MAX];
	unsigned frees_in_flight;
	struct index_proposal proposal;
	bool is_proposed;
	uint8_t command[64 + EMPTY_PROPOSE_MAX * 32];
	uint64_t freed, emptied; /* shards, leftovers */
};

void empty_init(struct emptier *emptier, struct store_loop *store,
	void (*changed)(struct emptier *emptier));

/* Goes on. True: soon again. */
bool empty_advance(struct emptier *emptier);

/* Begins nothing any more. It is over when it is idle. */
void empty_stop(struct emptier *emptier);

#endif
