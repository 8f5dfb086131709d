/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_DIGEST_LANES_H
#define GATEWAY_DIGEST_DIGEST_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/digest/digest_stream.h"
#include "storage/loop.h"
#include "storage/worker.h"

/* The digests of all bodies that one loop receives, worked on together. */
struct digest_lanes;
struct hash_kernel;

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
	struct work work;
};

/* Jobs whose slices are worked on together, at most: twice as many as there are lanes, because some
 * are short. */
enum { DIGEST_ACTIVE_MAX = 32 };

struct digest_job_list {
	struct digest_job *first, *last;
};

/* One per loop, embedded in it; only the loop's thread touches it. */
struct digest_lanes {
	struct loop *loop;
	struct worker *worker;
	const struct hash_kernel *md5, *sha256;
	struct task task;
	bool is_posted;
	unsigned in_flight; /* jobs submitted and not done */
	const struct digest_stream
		*last_stream; /* of the last job; an address, not to be followed */
	unsigned same_count; /* jobs in a row that were of last_stream */
	unsigned active_count, active_max;
	struct digest_job *active[DIGEST_ACTIVE_MAX];
	struct digest_job_list waiting, finished;
	unsigned waiting_count;
	bool has_short; /* among those that wait */
	/* Company: see digest_lanes.c. */
	struct timer hold_timer;
	bool is_held, is_hold_over;
	unsigned held_count; /* jobs when the hold began */
	unsigned hold_skips, mistake_skips;
	uint64_t window;
	unsigned open_count; /* bodies that entered and have not left */
	unsigned body_count, body_count_before; /* of this window and the one before it */
};

/* Borrows loop and worker until digest_lanes_fini(). Chooses the fastest kernels of this machine.
 */
void digest_lanes_init(struct digest_lanes *lanes, struct loop *loop, struct worker *worker);

/* Nothing may be in flight. */
void digest_lanes_fini(struct digest_lanes *lanes);

/* A body that will submit jobs is there, is not there any more. */
void digest_lanes_enter(struct digest_lanes *lanes);
void digest_lanes_leave(struct digest_lanes *lanes);

/* Takes job->len bytes (0 is allowed) of job->buf into job->stream, which may have no other job in
 * flight, and calls job->done() once, later, on the loop. What is submitted during one turn of the
 * loop is worked on together at its end or, when little came, up to 2 ms later. Does not block or
 * fail. */
void digest_lanes_submit(struct digest_lanes *lanes, struct digest_job *job);

#endif
