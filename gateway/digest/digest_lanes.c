/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/digest_lanes.h"

#include <assert.h>

#include "gateway/digest/digest_stream_priv.h"
#include "gateway/digest/hash_lanes.h"

/* Digest lanes: how a loop hashes the bodies that it receives.
 *
 * MD5 of one stream leaves most of a CPU idle, and so does SHA-256; many streams at once take
 * little longer than one. So jobs are not done when they are submitted: the first one posts a task,
 * and when that runs, all jobs that came in meanwhile go through the lanes together, slice by
 * slice, so that each byte is fetched from memory once for all of its digests.
 *
 * A small batch waits up to HOLD_MS for company, while at least twice as many bodies as it has are
 * on their way: those that submitted a job in this window of WINDOW_MS or the one before, and no
 * more than are open now. While the loop sleeps, clients have the CPU to send more. A hold that did
 * not double its batch was a mistake, and is followed by twice as many batches without a hold as
 * the last mistake was; so a fast body beside slow ones loses little.
 *
 * A body that has been the only one of its loop for a while (ALONE_COUNT jobs) has no use for lanes
 * and would hold up its loop for longest: its jobs go to a worker thread, as long as no other body
 * submits one. A job that is alone only now stays: on a worker it would cost as much as it does
 * here, and those that come in meanwhile would be alone too.
 *
 * A job is waiting (in the queue), active (at most twice as many as there are lanes: the next
 * slices are theirs), lent to a worker, or finished (until the end of the turn).
 *
 * (I1) A stream has at most one job in flight; is_busy says so. So what the slices of one turn
 * touch are different streams, and the order within a stream is that of submission.
 *
 * (I2) done() is called once per job, by the task or by the worker's answer, never inside
 * digest_lanes_submit(), and after that nothing here touches the job.
 *
 * (I3) A turn hashes at most TURN_LEN bytes per stream and at most DIGEST_ACTIVE_MAX streams at a
 * time, so that the loop serves others in between; the task posts itself while jobs are left.
 *
 * (I4) If and only if jobs are waiting or active, the task is posted or a hold is on: the timer is
 * set, nothing is active, and all that waits is long.
 *
 * Nothing here can fail. */
enum {
	TURN_LEN = 128 * 1024,
	ALONE_LEN_MIN = 64 * 1024, /* below, the way to a worker and back is not worth it */
	ALONE_COUNT = 4,
	HOLD_MS = 2,
	HELD_LEN_MIN = 64 * 1024, /* shorter ones do not wait, nor does what is with them */
	HOLD_GOAL_MAX = 8, /* more lanes than this save little */
	HOLD_SKIPS_MAX = 4,
	WINDOW_MS = 32,
	JOB_MAGIC = 0x6a6f6264,
};

static_assert((int)DIGEST_ACTIVE_MAX == 2 * (int)HASH_LANES_MAX, "short jobs leave room");

static void push(struct digest_job_list *list, struct digest_job *job)
{
	job->next = NULL;
	if (list->first)
		list->last->next = job;
	else
		list->first = job;
	list->last = job;
}

static struct digest_job *pop(struct digest_job_list *list)
{
	struct digest_job *job = list->first;
	if (job)
		list->first = job->next;
	return job;
}

static void finish(struct digest_lanes *lanes, struct digest_job *job)
{
	assert(job->magic == JOB_MAGIC);
	assert(job->stream->is_busy);
	job->magic = 0;
	job->stream->is_busy = false;
	lanes->in_flight--;
	job->done(job);
}

static void run_on_worker(struct work *work)
{
	struct digest_job *job = CONTAINER_OF(work, struct digest_job, work);
	assert(job->magic == JOB_MAGIC);
	digest_stream_update_job(job->stream, job->buf + job->offset, job->len - job->offset);
}

static void worker_done(struct work *work)
{
	struct digest_job *job = CONTAINER_OF(work, struct digest_job, work);
	finish(job->lanes, job);
}

static void lend_to_worker(struct digest_lanes *lanes, struct digest_job *job)
{
	job->work.run = run_on_worker;
	job->work.done = worker_done;
	job->work.loop = lanes->loop;
	worker_submit(lanes->worker, &job->work);
}

static bool is_for_worker(const struct digest_lanes *lanes, const struct digest_job *job)
{
	return lanes->same_count >= ALONE_COUNT && job->len - job->offset >= ALONE_LEN_MIN &&
		(job->stream->kinds & ~DIGEST_CRCS) != 0;
}

static void fill_active(struct digest_lanes *lanes)
{
	while (lanes->active_count < lanes->active_max && lanes->waiting.first) {
		lanes->active[lanes->active_count++] = pop(&lanes->waiting);
		lanes->waiting_count--;
	}
	if (!lanes->waiting.first)
		lanes->has_short = false;
}

/* Moves what is through from active to finished. */
static void drop_finished(struct digest_lanes *lanes)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < lanes->active_count; i++) {
		struct digest_job *job = lanes->active[i];
		if (job->offset == job->len)
			push(&lanes->finished, job);
		else
			lanes->active[kept++] = job;
	}
	lanes->active_count = kept;
}

/* Takes a slice of each active job into all of its digests. */
static void run_slices(struct digest_lanes *lanes)
{
	struct hash_run md5_runs[DIGEST_ACTIVE_MAX], sha256_runs[DIGEST_ACTIVE_MAX];
	size_t md5_count = 0, sha256_count = 0;

	for (unsigned i = 0; i < lanes->active_count; i++) {
		struct digest_job *job = lanes->active[i];
		struct digest_stream *stream = job->stream;
		struct bytes blocks;
		if (job->offset == job->len)
			continue;
		size_t len = digest_stream_slice_len(stream, job->len - job->offset);
		digest_stream_take_slice(stream, job->buf + job->offset, len, &blocks);
		job->offset += len;
		size_t block_count = blocks.len / HASH_BLOCK_LEN;
		if (stream->kinds & DIGEST_MD5)
			md5_runs[md5_count++] = (struct hash_run){
				stream->md5, blocks.data, block_count};
		if (stream->kinds & DIGEST_SHA256)
			sha256_runs[sha256_count++] = (struct hash_run){
				stream->sha256, blocks.data, block_count};
	}
	hash_lanes_run(lanes->md5, md5_runs, md5_count);
	hash_lanes_run(lanes->sha256, sha256_runs, sha256_count);
}

static void post(struct digest_lanes *lanes)
{
	if (lanes->is_posted)
		return;
	lanes->is_posted = true;
	loop_post(lanes->loop, &lanes->task);
}

static void advance(struct digest_lanes *lanes)
{
	for (size_t turn_len = 0; turn_len < TURN_LEN; turn_len += DIGEST_SLICE_LEN) {
		fill_active(lanes);
		if (lanes->active_count == 0)
			return;
		if (lanes->active_count == 1 && is_for_worker(lanes, lanes->active[0])) {
			lend_to_worker(lanes, lanes->active[0]);
			lanes->active_count = 0;
			return;
		}
		run_slices(lanes);
		drop_finished(lanes);
	}
	if (lanes->active_count > 0 || lanes->waiting.first)
		post(lanes);
}

/* --- company -------------------------------------------------------------------------- */

/* Counts the bodies of each window, each once. */
static void note_body(struct digest_lanes *lanes, struct digest_job *job)
{
	uint64_t window = loop_now_ms(lanes->loop) / WINDOW_MS + 1; /* 0: never */
	if (window != lanes->window) {
		lanes->body_count_before = window == lanes->window + 1 ? lanes->body_count : 0;
		lanes->body_count = 0;
		lanes->window = window;
	}
	if (job->window != window)
		lanes->body_count++;
	job->window = window;
}

/* How many jobs are worth starting with. */
static unsigned hold_goal(const struct digest_lanes *lanes)
{
	unsigned bodies = lanes->body_count > lanes->body_count_before ? lanes->body_count
								       : lanes->body_count_before;
	if (bodies > lanes->open_count)
		bodies = lanes->open_count;
	return bodies / 2 < HOLD_GOAL_MAX ? bodies / 2 : HOLD_GOAL_MAX;
}

/* Begins a hold if one is due. */
static bool hold(struct digest_lanes *lanes)
{
	if (lanes->active_count > 0 || lanes->has_short || lanes->waiting_count >= hold_goal(lanes))
		return false;
	if (lanes->hold_skips > 0) {
		lanes->hold_skips--;
		return false;
	}
	lanes->is_held = true;
	lanes->held_count = lanes->waiting_count;
	timer_set(lanes->loop, &lanes->hold_timer, HOLD_MS);
	return true;
}

static void end_hold(struct digest_lanes *lanes)
{
	lanes->is_held = false;
	timer_cancel(lanes->loop, &lanes->hold_timer);
	if (lanes->waiting_count >= 2 * lanes->held_count) {
		lanes->mistake_skips = 0;
	} else {
		unsigned skips = 2 * lanes->mistake_skips + 1;
		lanes->mistake_skips = skips < HOLD_SKIPS_MAX ? skips : HOLD_SKIPS_MAX;
		lanes->hold_skips = lanes->mistake_skips;
	}
	lanes->is_hold_over = true;
	post(lanes);
}

static void hold_timer_fired(struct timer *timer)
{
	struct digest_lanes *lanes = CONTAINER_OF(timer, struct digest_lanes, hold_timer);
	assert(lanes->is_held);
	end_hold(lanes);
}

static void run_task(struct task *task)
{
	struct digest_lanes *lanes = CONTAINER_OF(task, struct digest_lanes, task);
	assert(lanes->is_posted && !lanes->is_held);
	lanes->is_posted = false;
	if (!lanes->is_hold_over && hold(lanes))
		return;
	lanes->is_hold_over = false;
	advance(lanes);

	/* done() may submit: that goes to waiting and is not done before the next turn. */
	struct digest_job_list finished = lanes->finished;
	lanes->finished = (struct digest_job_list){NULL, NULL};
	for (struct digest_job *job; (job = pop(&finished));)
		finish(lanes, job);
}

void digest_lanes_init(struct digest_lanes *lanes, struct loop *loop, struct worker *worker)
{
	*lanes = (struct digest_lanes){.loop = loop,
		.worker = worker,
		.task.run = run_task,
		.hold_timer.fire = hold_timer_fired};
	lanes->md5 = hash_lanes_choose_md5();
	lanes->sha256 = hash_lanes_choose_sha256();
	lanes->active_max = 2 * lanes->md5->lane_count;
}

void digest_lanes_fini(struct digest_lanes *lanes)
{
	assert(lanes->in_flight == 0);
	assert(!lanes->is_posted && !lanes->is_held);
}

void digest_lanes_enter(struct digest_lanes *lanes)
{
	assert(loop_is_current(lanes->loop));
	lanes->open_count++;
}

void digest_lanes_leave(struct digest_lanes *lanes)
{
	assert(loop_is_current(lanes->loop) && lanes->open_count > 0);
	lanes->open_count--;
}

void digest_lanes_submit(struct digest_lanes *lanes, struct digest_job *job)
{
	assert(loop_is_current(lanes->loop));
	assert(job->magic != JOB_MAGIC);
	assert(!job->stream->is_busy);
	assert(job->done);
	job->magic = JOB_MAGIC;
	job->stream->is_busy = true;
	job->offset = 0;
	job->lanes = lanes;
	lanes->same_count = job->stream == lanes->last_stream ? lanes->same_count + 1 : 1;
	lanes->last_stream = job->stream;
	lanes->in_flight++;
	lanes->waiting_count++;
	push(&lanes->waiting, job);
	if (job->len < HELD_LEN_MIN)
		lanes->has_short = true;
	else
		note_body(lanes, job);
	if (!lanes->is_held)
		post(lanes);
	else if (lanes->has_short || lanes->waiting_count >= hold_goal(lanes))
		end_hold(lanes);
}
