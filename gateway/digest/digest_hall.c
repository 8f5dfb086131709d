/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/digest_hall.h"

#include <assert.h>

#include "gateway/digest/digest_lanes.h"

/* A kernel takes as long for one lane as for all of them, so what a byte costs is decided by how
 * many streams go through the lanes together. Their jobs wait here, those of all loops, until there
 * are as many as lanes, or as many as may be expected; whichever loop finds that it is so takes
 * them all.
 *
 * Expected are the bodies that added a job in this window of WINDOW_MS or the one before, and no
 * more than are open now. They are waited for HOLD_MS at most: the hold. While loops sleep, clients
 * have the CPU to send more, and what is here is on its way to the drives meanwhile. A hold that
 * brought less than half as many again was a mistake, and is followed by twice as many batches
 * without a hold as the last mistake was; so a fast body beside slow ones loses little.
 *
 * (H1) While jobs wait, a loop is going to look: the one that added the last of them, one that
 *      works on a batch, or the holder, whose timer ends the hold. A batch that is taken ends the
 *      hold; the timer is left alone, and whoever it wakes finds nothing, or the rest of a hold.
 * (H2) The lock is held for a few instructions per job, and nothing is called under it. */
enum { HOLD_MS = 3, HOLD_SKIPS_MAX = 4, ALONE_COUNT = 4, WINDOW_MS = 32 };

void digest_hall_init(struct digest_hall *hall)
{
	*hall = (struct digest_hall){.lock = PTHREAD_MUTEX_INITIALIZER};
}

void digest_hall_fini(struct digest_hall *hall)
{
	assert(hall->waiting_count == 0);
	pthread_mutex_destroy(&hall->lock);
}

void digest_hall_enter(struct digest_hall *hall)
{
	pthread_mutex_lock(&hall->lock);
	hall->open_count++;
	pthread_mutex_unlock(&hall->lock);
}

void digest_hall_leave(struct digest_hall *hall)
{
	pthread_mutex_lock(&hall->lock);
	assert(hall->open_count > 0);
	hall->open_count--;
	pthread_mutex_unlock(&hall->lock);
}

/* Counts the bodies of each window, each once. The clocks of two loops may differ by a turn, so a
 * window may seem to come back; then it counts as a new one, which costs a hold or saves one. */
static void note_body(struct digest_hall *hall, struct digest_job *job, uint64_t now_ms)
{
	uint64_t window = now_ms / WINDOW_MS + 1; /* 0: never */
	if (window < hall->window && hall->window - window == 1)
		window = hall->window;
	if (window != hall->window) {
		hall->body_count_before = window == hall->window + 1 ? hall->body_count : 0;
		hall->body_count = 0;
		hall->window = window;
	}
	if (job->window != window)
		hall->body_count++;
	job->window = window;
}

void digest_hall_add(struct digest_hall *hall, struct digest_job *job, uint64_t now_ms)
{
	pthread_mutex_lock(&hall->lock);
	hall->same_count = job->stream == hall->last_stream ? hall->same_count + 1 : 1;
	hall->last_stream = job->stream;
	note_body(hall, job, now_ms);
	digest_job_push(&hall->waiting, job);
	hall->waiting_count++;
	pthread_mutex_unlock(&hall->lock);
}

/* How many jobs are worth starting with. */
static unsigned goal(const struct digest_hall *hall, unsigned max)
{
	unsigned bodies = hall->body_count > hall->body_count_before ? hall->body_count
								     : hall->body_count_before;
	if (bodies > hall->open_count)
		bodies = hall->open_count;
	return bodies < max ? bodies : max;
}

/* A hold has had its time. */
static void judge_hold(struct digest_hall *hall)
{
	if (2 * hall->waiting_count >= 3 * hall->held_count) {
		hall->mistake_skips = 0;
		return;
	}
	unsigned skips = 2 * hall->mistake_skips + 1;
	hall->mistake_skips = skips < HOLD_SKIPS_MAX ? skips : HOLD_SKIPS_MAX;
	hall->hold_skips = hall->mistake_skips;
}

/* How long the caller is to hold what waits: 0, it is to be taken now; UINT64_MAX, another one
 * holds it. */
static uint64_t hold_ms(
	struct digest_hall *hall, const struct digest_lanes *lanes, unsigned max, uint64_t now_ms)
{
	if (hall->waiting_count >= goal(hall, max))
		return 0;
	if (!hall->holder) {
		if (hall->hold_skips > 0) {
			hall->hold_skips--;
			return 0;
		}
		hall->holder = lanes;
		hall->held_ms = now_ms;
		hall->held_count = hall->waiting_count;
		return HOLD_MS;
	}
	uint64_t past_ms = now_ms > hall->held_ms ? now_ms - hall->held_ms : 0;
	if (past_ms < HOLD_MS)
		return hall->holder == lanes ? HOLD_MS - past_ms : UINT64_MAX;
	judge_hold(hall);
	return 0;
}

static void take_jobs(struct digest_hall *hall, unsigned max, struct digest_take *take)
{
	take->is_alone = hall->waiting_count == 1 && hall->same_count >= ALONE_COUNT;
	while (take->count < max && hall->waiting.first) {
		digest_job_push(&take->jobs, digest_job_pop(&hall->waiting));
		hall->waiting_count--;
		take->count++;
	}
	hall->holder = NULL;
}

void digest_hall_take(struct digest_hall *hall, const struct digest_lanes *lanes, unsigned max,
	uint64_t now_ms, struct digest_take *ret_take)
{
	assert(max > 0);
	*ret_take = (struct digest_take){.count = 0};
	pthread_mutex_lock(&hall->lock);
	if (hall->waiting.first) {
		uint64_t ms = hold_ms(hall, lanes, max, now_ms);
		if (ms == 0)
			take_jobs(hall, max, ret_take);
		else if (ms != UINT64_MAX)
			ret_take->hold_ms = ms;
	}
	pthread_mutex_unlock(&hall->lock);
}
