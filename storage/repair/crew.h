/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_CREW_H
#define STORAGE_REPAIR_CREW_H

#include "storage/meta/index_ledger.h"
#include "storage/repair/rebuild.h"

/* Those who rebuild shards for the tasks of a node, as many at a time as there are, and who clear
 * away what was written in vain.
 *
 * A shard is written before the index knows of it. Its extent may be deleted meanwhile, and the
 * collector may have freed all that it knew of; or the ring may have changed. So whatever was
 * written is shown to crew_judge() afterwards:
 *
 * (W1) A shard that was written for an extent whose row is gone is freed.
 * (W2) One whose extent was garbage is looked at until the row is gone, or it is not garbage.
 * (W3) One whose row is there is never freed here, also if the ring has changed: to look first and
 *      free later is safe only for who empties leftovers (storage/repair/empty.h), since until then
 *      nothing is brought there again.
 * What is not judged any more because the process ended, the census of its drive finds.
 */
#define CREW_JOBS_MAX 256
#define CREW_WRITTEN_MAX 2304 /* shards that are ordered and not judged yet */
#define CREW_DOUBTS_MAX (2 * CREW_WRITTEN_MAX)
#define CREW_FREES_MAX 32

/* What jobs are for. */
enum crew_work { CREW_SCRUB, CREW_REPAIR, CREW_MOVE, CREW_RECODE, CREW_WORKS };

struct crew_done {
	uint64_t shards, bytes; /* are where they are to be; written */
	uint64_t failed; /* attempts */
};

struct crew;

struct crew_job {
	struct rebuild rebuild;
	struct crew *crew;
	struct crew_job *next;
	void (*done)(struct crew_job *job, enum err err); /* the job is free again after it */
	void *owner; /* with item: of who started it */
	unsigned item;
	enum crew_work work;
	size_t hint_len;
	uint8_t hint[DRIVE_HINT_LEN_MAX];
};

struct crew_written {
	uint16_t slot, drive;
	uint8_t shard;
	struct extent_id extent;
};

struct crew_counters {
	uint64_t rebuilt, copied, there; /* shards */
	uint64_t read_len, written_len;
	uint64_t failed; /* attempts */
	uint64_t freed; /* shards, written in vain */
};

struct crew {
	struct store_loop *store;
	struct throttle *throttle;
	struct crew_job *jobs; /* job_count of them; owned; NULL while nothing is to be done */
	struct crew_job *free_jobs;
	unsigned job_count, in_flight, job_max;
	struct crew_written doubts[CREW_DOUBTS_MAX];
	unsigned doubt_count;
	struct site_free frees[CREW_FREES_MAX];
	bool is_free_used[CREW_FREES_MAX];
	uint16_t free_drives[CREW_FREES_MAX];
	unsigned frees_in_flight;
	struct crew_counters counters;
	struct crew_done works[CREW_WORKS];
	void (*changed)(struct crew *crew); /* something ended */
};

/* job_max: at most CREW_JOBS_MAX. */
void crew_init(struct crew *crew, struct store_loop *store, struct throttle *throttle,
	unsigned job_max, void (*changed)(struct crew *crew));

/* Is there somebody to do a job now, and room to remember what was written? */
bool crew_has_room(struct crew *crew);

/* Whom the records of a body are written for, as the put said it; for rescue only. Under a view;
 * name has DRIVE_HINT_LEN_MAX bytes. Returns the length. */
size_t crew_make_name(struct crew *crew, const struct row_body *body, uint8_t *name);

/* Is the body stored as frames, which nobody could read without its row (pack.h)? */
bool crew_is_packed(const struct row_body *body);

/* What a job is about. */
struct crew_order {
	struct rebuild_extent extent;
	uint8_t shard;
	uint16_t drive;
	bool may_be_there, may_copy; /* as in rebuild_setup */
	uint64_t body; /* of the extent: for the record's hint */
	void (*done)(struct crew_job *job, enum err err);
	void *owner;
	unsigned item;
	enum crew_work work;
};

/* Starts a job; under a view. Only after crew_has_room(). */
void crew_start(struct crew *crew, const struct crew_order *order);

/* A shard was written, or may have been, and whoever ordered it told the index, or could not. Under
 * a view that was begun after that. */
void crew_judge(
	struct crew *crew, uint16_t slot, struct extent_id extent, uint8_t shard, uint16_t drive);

/* Looks at what was in doubt. Now and then, without a view. */
void crew_look(struct crew *crew);

/* Ends what is in flight, soon. crew_is_idle() then; then memory may be given back. */
void crew_cancel(struct crew *crew);
bool crew_is_idle(const struct crew *crew);
void crew_rest(struct crew *crew);

#endif
