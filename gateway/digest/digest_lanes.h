/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_DIGEST_LANES_H
#define GATEWAY_DIGEST_DIGEST_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/digest/digest_hall.h"
#include "gateway/digest/digest_stream.h"
#include "storage/loop.h"
#include "storage/worker.h"

/* The digests of all bodies that one loop receives, worked on together. */
struct digest_lanes;
struct hash_kernel;
struct hash_twin_kernel;

/* The next piece of one stream. Embedded in its owner; the first four members are the owner's to
 * set, the others are zeroed before the first use. Job, stream and buffer are borrowed from
 * digest_lanes_submit() until done(), and there is no taking them back. */
struct digest_job {
	struct digest_stream *stream;
	const uint8_t *buf;
	size_t len;
	void (*done)(struct digest_job *job);

	uint32_t magic;
	size_t offset; /* where the work is at */
	uint64_t window; /* the last one in which it was submitted */
	struct digest_lanes *lanes;
	struct digest_job *next;
	union {
		struct work work; /* lent to a worker */
		struct task answer; /* back from another loop */
	};
};

/* Jobs whose slices are worked on together, at most: half of them long ones, half short ones. */
enum { DIGEST_ACTIVE_MAX = 32 };

/* One per loop, embedded in it; only the loop's thread touches it. */
struct digest_lanes {
	struct digest_hall *hall; /* shared */
	struct loop *loop;
	struct worker *worker;
	const struct hash_kernel *md5, *sha256;
	const struct hash_twin_kernel *twins;
	struct task task;
	bool is_posted;
	struct timer hold_timer; /* when to look into the hall; it may be set in vain */
	unsigned in_flight; /* jobs submitted and not done */
	unsigned lane_count; /* so many long and so many short jobs at most */
	unsigned active_count, long_count;
	struct digest_job *active[DIGEST_ACTIVE_MAX];
	struct digest_job_list waiting; /* short ones */
	struct digest_job_list finished;
};

/* Borrows all until digest_lanes_fini(). Chooses the fastest kernels of this machine. */
void digest_lanes_init(struct digest_lanes *lanes, struct digest_hall *hall, struct loop *loop,
	struct worker *worker);

/* Nothing may be in flight, on any loop. */
void digest_lanes_fini(struct digest_lanes *lanes);

/* A body that will submit jobs is there; will submit no more. */
void digest_lanes_enter(struct digest_lanes *lanes);
void digest_lanes_leave(struct digest_lanes *lanes);

/* Takes job->len bytes (0 is allowed) of job->buf into job->stream, which may have no other job in
 * flight, and calls job->done() once, later, on this loop. Short jobs that are submitted during one
 * turn of the loop are worked on together at its end, long ones with those of other loops up to 3
 * ms later, and on any of them. Does not block or fail. */
void digest_lanes_submit(struct digest_lanes *lanes, struct digest_job *job);

static inline void digest_job_push(struct digest_job_list *list, struct digest_job *job)
{
	job->next = NULL;
	if (list->first)
		list->last->next = job;
	else
		list->first = job;
	list->last = job;
}

static inline struct digest_job *digest_job_pop(struct digest_job_list *list)
{
	struct digest_job *job = list->first;
	if (job)
		list->first = job->next;
	return job;
}

#endif
