/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_REPAIR_H
#define STORAGE_REPAIR_REPAIR_H

#include "storage/repair/crew.h"

/* Exceptions come to their end: what is missing is made anew where the ring wants it, and what is
 * elsewhere is brought there.
 *
 *	IDLE → SCANNING → WORKING → PROPOSING → SCANNING ... → IDLE
 *
 * A round walks all exceptions once for each level of redundancy that is left, from those that one
 * more loss would take; at a level in the order of slots, and in each from the oldest. Extents are
 * worked on in batches, whose shards the crew writes, and one command tells the index of a batch.
 * What cannot be done now (a drive is away, fewer than k shards are there) is counted and left to
 * the next round.
 *
 * (E1) Nothing is told to the index that was not sealed.
 * (E2) A shard is not told to be on a drive where another of its extent is, unless that one leaves
 *      in the same command.
 * (E3) A round ends: each level is walked once, and levels only rise.
 * (E4) The state is the index's: a round that was cut short is begun anew by who comes next.
 */
#define REPAIR_BATCH 256 /* extents */
#define REPAIR_SCAN_EXTENTS 64 /* in one turn of the loop, */
#define REPAIR_BATCH_SHARDS (COMMAND_MOVES_MAX)
#define REPAIR_SCAN_ROWS 512 /* rows for each of them */

enum repair_state {
	REPAIR_IDLE,
	REPAIR_SCANNING,
	REPAIR_WORKING,
	REPAIR_PROPOSING,
};

struct repair_target {
	uint8_t shard;
	uint16_t from, drive; /* from 0: missing */
	bool is_started, is_good, is_dropped; /* it is not told */
	enum err err;
};

struct repair_item {
	uint16_t slot;
	struct extent_id extent;
	uint64_t body;
	uint16_t target_first, target_count; /* in targets */
};

struct repair_report {
	uint64_t extents, shards; /* brought home */
	uint64_t blocked; /* shards that could not be, in this round */
	uint64_t lost; /* extents of which fewer than k shards can be read now */
};

struct repair {
	struct crew *crew;
	enum repair_state state;
	bool is_stopping;
	struct index_place place;
	unsigned level, level_next; /* shards beyond k that are left */
	struct repair_item items[REPAIR_BATCH];
	unsigned item_count;
	struct repair_target targets[REPAIR_BATCH_SHARDS];
	unsigned target_count, targets_started, targets_ended;
	unsigned item_from, item_to; /* proposed */
	bool is_proposed;
	bool is_single; /* item by item: the batch was refused */
	struct index_proposal proposal;
	uint8_t command[64 + REPAIR_BATCH_SHARDS * 64];
	struct repair_report report; /* of this round */
	struct repair_report last; /* of the one before */
	uint64_t rounds;
};

void repair_init(struct repair *repair, struct crew *crew);

/* Begins a round; it is idle. */
void repair_begin(struct repair *repair);

/* Goes on; after anything changed, and soon again while it says true. */
bool repair_advance(struct repair *repair);

/* May it begin anything? If not it comes to its end, and is idle. */
void repair_allow(struct repair *repair, bool is_allowed);

#endif
