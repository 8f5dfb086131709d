/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_RECODE_H
#define STORAGE_REPAIR_RECODE_H

#include "storage/object/get.h"
#include "storage/object/put.h"
#include "storage/repair/crew.h"

/* Re-coding: what was written with another code than a put of today would choose is written anew.
 *
 * An extent keeps the code it was written with. When the ring's profile grows, extents have less
 * redundancy than it promises, or cost more than they need; when it is to shrink, they have shards
 * that are to have no place; and an extent that was narrowed while drives were away stays so. What
 * a put would choose is ring_profile_of_len() of ring_snapshot_profile(), which is the target's
 * profile as soon as that fits into the ring: a ring gets narrower only when this is done.
 *
 *	IDLE → SCANNING → ENDING → IDLE
 *
 * A round walks the extents of other codes once for each level, slot by slot (the index counts them
 * by slot, so that slots without any cost one lookup, and a ring without any costs no round). The
 * body that an extent is a piece of is written anew, all of it: read as a get does, checked block
 * by block, and written as a put does, under this node's session. Then one command swaps the
 * body's extents, if it is still of the generation that was read:
 *
 *	FREE → COPYING → SWAPPING → FREE          a job
 *	           ↘ ENDING ↗                     whatever fails
 *
 * The old extents are garbage then, by the index, and gets that began with them end with them. If
 * the swap is refused, the new ones are garbage, and freed at once.
 *
 * Bodies that are slices of others have no extents; those that they are made of are what is found.
 * A part of an open upload is a body as any other. Inline bodies have no code.
 *
 * (N1) The bytes of a body stay the same, and each was checked, or decoded from what was.
 * (N2) A new extent has the code that a put would choose now. Only where an extent has no parity at
 *      all is a narrower one good enough. Else the put is not begun, and the next round tries.
 * (N3) Nothing is lost that was there: the old extents go by the swap alone, which is durable.
 * (N4) The state is the index's: who was killed begins anew with what has not been swapped. Two who
 *      both think that they are the one do work twice; the slower one's swap is STALE.
 * (N5) It has the memory of the pools, takes from them while others do not wait for it, and gives
 *      up what has not got on for RECODE_STALL_MS. What it reads and writes passes the throttle;
 *      while that is paused nothing is held.
 * (N6) A round ends: each level is walked once.
 */
#define RECODE_JOBS 8 /* small bodies share their flushes */
#define RECODE_LARGE_JOBS 2 /* with so many of more than RECODE_LARGE_LEN no other is begun */
#define RECODE_LARGE_LEN (UINT64_C(1) << 20)
#define RECODE_SCAN_ROWS 256 /* in one turn of the loop */
#define RECODE_BLOCKED_MAX 32 /* in a row, and then the round is over */
#define RECODE_STALL_MS 30000
#define RECODE_RETRY_MS 2000 /* after a round that did nothing, and twice that, up to */
#define RECODE_RETRY_MS_MAX 60000

/* What is written, and attempts that failed, it counts as the crew's works[CREW_RECODE]. */

/* In the order of their urgency. */
enum recode_level {
	RECODE_RISK, /* fewer parity units than it should have */
	RECODE_WIDE, /* more shards than the profile has: the ring waits for it */
	RECODE_COST, /* another k, or more parity units */
	RECODE_LEVELS,
};

enum recode_state {
	RECODE_IDLE,
	RECODE_SCANNING,
	RECODE_ENDING, /* of jobs */
};

enum recode_job_state {
	RECODE_JOB_FREE,
	RECODE_JOB_COPYING,
	RECODE_JOB_SWAPPING,
	RECODE_JOB_ENDING, /* what failed is put away */
};

struct recode;

struct recode_job {
	struct recode *recode;
	enum recode_job_state state;
	enum err err; /* the first thing that went wrong */
	uint64_t body;
	uint32_t generation, extent_count;
	uint64_t stored_len;
	uint8_t class;
	uint64_t progress_ms;
	bool is_get_open, is_get_canceled, is_put_open, is_put_durable, is_put_discarded;
	const uint8_t *piece; /* of the get; NULL: none */
	size_t piece_len, piece_taken;
	bool is_paid; /* the piece has passed the throttle */
	struct timer timer; /* of the throttle */
	struct index_proposal proposal;
	uint8_t hint[DRIVE_HINT_LEN_MAX];
	uint8_t command[PUT_EXTENTS_LEN_MAX + 256];
	struct get get;
	struct put put;
};

struct recode_counters {
	uint64_t bodies, extents, len; /* coded anew; bytes as stored */
	uint64_t refused; /* swaps: the body was gone, or another */
};

struct recode {
	struct crew *crew; /* for its node, throttle and hints */
	enum recode_state state;
	bool is_stopping;
	enum recode_level level, level_max;
	struct index_place place;
	struct recode_job *jobs; /* RECODE_JOBS of them; owned; NULL while nothing is to be done */
	unsigned in_flight, large_in_flight;
	unsigned blocked_row; /* that could not be begun, one after the other */
	uint64_t blocked; /* in this round */
	uint64_t done_before; /* counters.bodies when the round began */
	uint64_t due_ms, retry_ms; /* of the next round */
	uint64_t rounds;
	struct recode_counters counters;
};

void recode_init(struct recode *recode, struct crew *crew);

/* Is it idle, and is it time for another round? */
bool recode_is_due(const struct recode *recode);

/* Begins a round of the levels up to one; it is idle. */
void recode_begin(struct recode *recode, enum recode_level level_max);

/* Drives or nodes came back: what could not be done may be done now. */
void recode_try_again(struct recode *recode);

/* Goes on; after anything changed, and soon again while it says true. */
bool recode_advance(struct recode *recode);

/* May it do anything? If not it gives up what it does, and is idle soon. */
void recode_allow(struct recode *recode, bool is_allowed);
bool recode_is_idle(const struct recode *recode);

/* Gives memory back; it is idle. */
void recode_rest(struct recode *recode);

#endif
