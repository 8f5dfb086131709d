/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_MOVER_H
#define STORAGE_REPAIR_MOVER_H

#include "storage/repair/crew.h"

/* From the ring to its target: moves are begun, carried out and flipped (what the commands mean,
 * and what holds meanwhile, is in storage/meta/apply_move.c).
 *
 * A few lanes work at a time, each at one move, which is all shards of one number in one slot:
 *
 *	FREE → LOADING → COPYING → ADVANCING → LOADING ... → FLIPPING → FREE
 *	          ↓ it cannot go on now       ↓
 *	       RESTING → FREE
 *
 * A lane loads the next extents behind the cursor, has the crew bring their shards to the new
 * drive, and advances the cursor over those that are there. The old drive of a move may be gone:
 * then the shards are made anew from others. So a drive that was given up comes back by this, too,
 * and slots that lost more of their drives come first.
 *
 * The flip is proposed together with the last advance: it is refused if that one is, and then the
 * lane looks again.
 *
 * (V1) The cursor passes a shard only when it is on the new drive, durably.
 * (V2) Extents that are garbage are moved as others are.
 * (V3) A lane that cannot go on rests, and makes room for other moves. One that waits for repair,
 *      since its slot has exceptions still, is woken when repair has got on.
 * (V4) The state is the index's. Two movers that both think that they are the one do work twice; a
 *      step of the slower one is STALE.
 */
#define MOVER_LANES 32
#define MOVER_BATCH 64 /* extents of a lane */
#define MOVER_PENDING_MAX 64 /* moves begun; each costs readers a second look */
#define MOVER_BEGIN_MAX 32 /* by one command */
#define MOVER_REST_MS 2000
#define MOVER_REFUSED_MAX 64 /* begins that were refused, and are not asked again soon */

enum lane_state {
	LANE_FREE,
	LANE_LOADING,
	LANE_COPYING,
	LANE_ADVANCING,
	LANE_FLIPPING, /* or turning around */
	LANE_RESTING,
};

struct lane_extent {
	struct extent_id id;
	uint64_t body;
	bool needs_copy, is_started, is_good;
};

struct mover;

struct lane {
	struct mover *mover;
	enum lane_state state;
	uint16_t slot, to;
	uint8_t shard;
	uint64_t since; /* which move */
	struct extent_id cursor;
	bool is_end; /* the batch reaches the end of the slot */
	struct lane_extent extents[MOVER_BATCH];
	unsigned count, next, in_flight;
	uint64_t rest_until_ms;
	bool awaits_repair;
	struct index_proposal proposal;
	bool is_proposed;
	uint8_t command[256];
	struct index_proposal flip; /* that goes right behind the last advance */
	bool is_flip_proposed, has_flip;
	uint8_t flip_command[128];
};

struct mover_refused {
	uint16_t slot;
	uint8_t shard;
	uint64_t until_ms;
};

struct mover_report {
	uint64_t moves; /* flipped */
	uint64_t shards; /* passed */
	uint64_t rests;
	uint64_t begun; /* lists of moves that were */
};

struct mover {
	struct crew *crew;
	bool is_stopping;
	struct lane lanes[MOVER_LANES];
	/* Beginning. */
	struct index_proposal proposal;
	bool is_proposed;
	uint8_t command[1024];
	struct command_ring_move begins[MOVER_BEGIN_MAX];
	unsigned begin_count;
	uint32_t begin_at; /* position (slot * width + shard) to go on looking at */
	struct mover_refused refused[MOVER_REFUSED_MAX];
	unsigned refused_next;
	uint64_t begin_after_ms; /* nothing could be begun */
	struct mover_report report;
};

void mover_init(struct mover *mover, struct crew *crew);

/* Goes on; after anything changed. Returns in how many ms it is worth to come again. */
uint64_t mover_advance(struct mover *mover);

/* Exceptions came to their end: what waits for that looks again. */
void mover_retry(struct mover *mover);

/* May it begin anything? If not it comes to its end, and is idle. */
void mover_allow(struct mover *mover, bool is_allowed);
bool mover_is_idle(const struct mover *mover);

#endif
