/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_DIGEST_HALL_H
#define GATEWAY_DIGEST_DIGEST_HALL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the long jobs of all loops wait for each other; see digest_hall.c. */
struct digest_job;
struct digest_lanes;
struct digest_stream;

struct digest_job_list {
	struct digest_job *first, *last;
};

struct digest_hall {
	pthread_mutex_t lock; /* of all that follows */
	struct digest_job_list waiting;
	unsigned waiting_count;
	const struct digest_lanes *holder; /* whose timer ends the hold; NULL: no hold is on */
	uint64_t held_ms; /* when it began */
	unsigned held_count; /* jobs that waited then */
	unsigned hold_skips, mistake_skips;
	uint64_t window;
	unsigned open_count; /* bodies that entered and have not left */
	unsigned body_count, body_count_before; /* of this window and the one before it */
	const struct digest_stream
		*last_stream; /* of the last job; an address, not to be followed */
	unsigned same_count; /* jobs in a row that were of last_stream */
};

/* One for all loops of a gateway, before the first of them. */
void digest_hall_init(struct digest_hall *hall);

/* Nothing may wait. */
void digest_hall_fini(struct digest_hall *hall);

/* A body that will add jobs is there, is not there any more. Any thread. */
void digest_hall_enter(struct digest_hall *hall);
void digest_hall_leave(struct digest_hall *hall);

/* Borrows the job until somebody takes it. Any thread. */
void digest_hall_add(struct digest_hall *hall, struct digest_job *job, uint64_t now_ms);

/* What a look at those that wait leads to: jobs are taken, or there is a hold. */
struct digest_take {
	struct digest_job_list jobs;
	unsigned count;
	bool is_alone; /* the one job is of a body that has been the only one for a while */
	uint64_t hold_ms; /* not 0: the caller looks again after so long */
};

/* Takes up to max jobs, in the order in which they came, if it is time. After a take that left
 * jobs, and after a hold that is its own, the caller has to look again (H1). Any thread. */
void digest_hall_take(struct digest_hall *hall, const struct digest_lanes *lanes, unsigned max,
	uint64_t now_ms, struct digest_take *ret_take);

#endif
