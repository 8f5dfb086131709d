/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_MENDER_H
#define STORAGE_REPAIR_MENDER_H

#include <pthread.h>

#include "storage/repair/empty.h"
#include "storage/repair/move_sums.h"
#include "storage/repair/mover.h"
#include "storage/repair/recode.h"
#include "storage/repair/repair.h"
#include "storage/repair/scrub.h"
#include "storage/repair/task_book.h"

/* The mender: sees to it that everything is where it should be, in the background.
 *
 * One on each node, on one of its loops for clients. Each empties its own drives of what moved
 * away, and scrubs them (storage/repair/scrub.h). That of the node with the lowest id of those
 * which have a session and are linked does the rest for all:
 *
 *   a drive that was given up   SPAN_BEGIN, until the index knows what it took along
 *   exceptions                  storage/repair/repair.h
 *   a ring with a target        storage/repair/mover.h
 *   extents of other codes      storage/repair/recode.h
 *
 * What is missing comes first. While shards move, only what has less redundancy than it should, and
 * what the moves wait for, is coded anew; when nothing is to be moved any more, what only costs
 * more than it needs.
 *
 * It does not decide where things should be: drives are given up, and targets set, by others.
 *
 * (S1) With nothing wrong it reads a few rows when something was applied, and writes nothing; the
 *      scrub apart.
 * (S2) All that it reads and writes on drives has passed the throttle, which gives way to clients.
 * (S3) Its place is in the index: it may be killed at any time and goes on after the next start, on
 *      this node or on another. What it counts begins anew.
 * (S4) Work is a task of the index, which ends with a verdict when none is left (task_book.h). It
 * is paused, and bounded, by settings of the index (steering.h): on all nodes, for good.
 */
#define MENDER_LOOK_MS 500
#define MENDER_IDLE_LOOK_MS 2000 /* while nothing is known to be wrong */
#define MENDER_ALERT_LOOK_MS 100 /* for a while after the ring has changed: a target may follow */
#define MENDER_ALERT_MS 1000
#define MENDER_DOUBTS_MS 200 /* between two looks at what may have been written in vain */
#define MENDER_RETRY_MS \
	5000 /* after a round that could not do everything, and twice that, up to \
	      */
#define MENDER_RETRY_MS_MAX 60000
#define MENDER_MOVED_MS 100 /* or sooner, so long after moves got on; rounds that take long: */
#define MENDER_MOVED_ROUNDS 4 /* so many times what the last one took */

enum mender_task {
	MENDER_NOTHING, /* all is where it should be */
	MENDER_REPAIRING,
	MENDER_MOVING,
	MENDER_RECODING,
	MENDER_BLOCKED, /* something is wrong that cannot be mended now: a drive or a node is away
			 */
	MENDER_ELSEWHERE, /* another node does it */
};

/* One open task that this node does for all. */
struct mender_work {
	uint64_t id; /* 0: none */
	uint64_t began_ms; /* cluster time */
	struct crew_done done; /* since then */
	uint64_t shards_left, bytes_left; /* as far as the index knows now */
	uint64_t bytes_per_second; /* written, smoothed */
};

struct mender_status {
	enum mender_task task;
	bool is_responsible;
	struct mender_work works[BOOK_WORKS];
	uint64_t throttle_rate; /* bytes per second that it may read and write now */
	struct scrub_now scrub_now;
	bool is_paused;
	uint64_t began_ms; /* of the clock, when the work began; 0: there is none */
	uint64_t shards_left, bytes_left; /* to be written, as far as the index knows now */
	uint64_t shards_done, bytes_done; /* since it began */
	uint64_t blocked; /* shards that could not be mended in the last round */
	uint64_t under_profile_extents, under_profile_len; /* coded otherwise than a put would;
							    * bytes as stored */
	uint64_t bare_len; /* of them, bytes that the loss of one node or drive would take */
	uint64_t lost; /* extents of which fewer than k shards can be read now */
	uint64_t bytes_per_second; /* written, smoothed */
	uint64_t eta_ms; /* UINT64_MAX: not known */
	uint64_t speed_max; /* as set; 0: as clients allow */
	struct scrub_counters scrub; /* of this node's drives, since its start */
};

struct mender_setup {
	struct store_loop *store;
	unsigned job_max; /* shards at a time; 0: MENDER_JOBS */
	uint64_t speed_max; /* bytes per second, read and written; 0: as clients allow */
	uint64_t scrub_period_ms; /* SCRUB_PERIOD_MS; 0: never */
	/* How clients fare, on all loops, while the work goes as slowly as it ever does, or not;
	 * NULL: looks at this loop's pools. On the loop. */
	void (*load)(void *arg, bool is_at_floor, struct throttle_load *ret_load);
	void *load_arg;
};
#define MENDER_JOBS 256 /* small shards share their flushes */

struct mender {
	struct mender_setup setup;
	struct throttle throttle;
	struct crew crew;
	struct repair repair;
	struct mover mover;
	struct recode recode;
	struct emptier emptier;
	struct scrub scrub;
	struct task_book book;
	struct steering steering;
	struct timer timer;
	struct timer throttle_timer;
	struct task task;
	bool is_task_posted, is_stopping, is_responsible, is_working;
	void (*stopped)(struct mender *mender);

	/* What the last look saw. */
	uint64_t look_ms, doubts_ms, applied, nodes_sum;
	struct ring_snapshot *ring_seen; /* owned; to see that there is another */
	uint64_t alert_until_ms;
	uint64_t spans_applied; /* up to where no span was to be begun */
	struct index_slot_sums sums;
	struct move_sums moves;
	struct index_profile_sums off; /* of other codes */
	uint64_t off_written_len; /* to be written to code them anew */
	uint64_t round_due_ms, retry_ms, rounds_seen;
	uint64_t round_began_ms, round_took_ms;
	uint64_t moves_seen, repaired_seen; /* what mover and repair had done */
	bool has_exceptions, has_moves, has_others; /* of other codes */
	const char *move_kind;

	/* Of the work that is being done. */
	uint64_t began_ms, done_before, len_before, rate_len, rate_ms, rate;
	uint64_t work_rates[BOOK_WORKS], work_lens[BOOK_WORKS];
	struct index_proposal proposal; /* SPAN_BEGIN */
	bool is_proposed;
	uint8_t command[128];

	pthread_mutex_t lock; /* of what other threads see or set: */
	struct mender_status status;
	bool wants_pause;
	uint64_t wants_speed;
};

/* Begins, on the loop of setup->store, whose reader and decode_pool it uses. */
void mender_start(struct mender *mender, const struct mender_setup *setup);

/* Ends when nothing is in flight; stopped() follows, never inside the call. On its loop. Its status
 * may still be asked for, as long as it is there. */
void mender_stop(struct mender *mender, void (*stopped)(struct mender *mender));

void mender_status(struct mender *mender, struct mender_status *ret_status); /* any thread */

/* Pauses this node's or lets it go on, beside what the index wants; says how fast it may be at
 * most, 0: as clients allow. Any thread. */
void mender_set(struct mender *mender, bool is_paused, uint64_t speed_max);

#endif
