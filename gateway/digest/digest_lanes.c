/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/digest_lanes.h"

#include <assert.h>

#include "gateway/digest/digest_stream_priv.h"
#include "gateway/digest/hash_lanes.h"

/* Digest lanes: how the loops hash the bodies that they receive.
 *
 * MD5 of one stream leaves most of a CPU idle, and so does SHA-256; many streams at once take
 * little longer than one. So jobs are not done when they are submitted. Short ones (below LONG_LEN)
 * wait for the end of the turn and go through the lanes of their loop together. Long ones wait in
 * the hall (digest_hall.c) for those of all loops; the loop that finds enough of them there takes
 * them all as its batch. Slices of all streams take turns, so that each byte is fetched from memory
 * once for all of its digests. What comes meanwhile does not join a batch: it would leave the other
 * lanes empty at the batch's end, and a batch of its own is soon there.
 *
 * A body that has been the only one for a while has no use for lanes and would hold up its loop for
 * longest: its jobs go to a worker thread, as long as no other body submits a long one. A job that
 * is alone only now stays: on a worker it would cost as much as it does here, and those that come
 * in meanwhile would be alone too.
 *
 * A job is waiting (in the queue or in the hall), active (the next slices are theirs), lent to a
 * worker, or finished (until the end of the turn, and until its own loop is told).
 *
 * (I1) A stream has at most one job in flight; is_busy says so. So what the slices of one turn
 * touch are different streams, and the order within a stream is that of submission.
 *
 * (I2) done() is called once per job, on the loop that submitted it, by a task or by the worker's
 * answer, never inside digest_lanes_submit(), and after that nothing here touches the job.
 *
 * (I3) A turn hashes at most TURN_LEN bytes per stream and at most DIGEST_ACTIVE_MAX streams at a
 * time, so that the loop serves others in between; the task posts itself while jobs are left.
 *
 * (I4) If jobs are waiting in the queue or active, the task is posted; (H1) is for the hall.
 *
 * Nothing here can fail. */
enum {
	TURN_LEN = 128 * 1024,
	LONG_LEN = 64 * 1024, /* below, neither a hold nor the way to a worker is worth it */
	JOB_MAGIC = 0x6a6f6264,
};

static_assert((int)DIGEST_ACTIVE_MAX == 2 * (int)HASH_LANES_MAX, "long ones and short ones");

static bool is_long(const struct digest_job *job)
{
	return job->len >= LONG_LEN;
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
	job->work.loop = job->lanes->loop;
	worker_submit(lanes->worker, &job->work);
}

static void answer(struct task *task)
{
	struct digest_job *job = CONTAINER_OF(task, struct digest_job, answer);
	finish(job->lanes, job);
}

/* Calls done() of what is through, or has its own loop call it. done() may submit: that is not done
 * before the next turn. */
static void finish_all(struct digest_lanes *lanes)
{
	struct digest_job_list finished = lanes->finished;
	lanes->finished = (struct digest_job_list){NULL, NULL};
	for (struct digest_job *job; (job = digest_job_pop(&finished));) {
		if (job->lanes == lanes) {
			finish(lanes, job);
		} else {
			job->answer.run = answer;
			loop_post(job->lanes->loop, &job->answer);
		}
	}
}

static void take_short(struct digest_lanes *lanes)
{
	while (lanes->active_count - lanes->long_count < lanes->lane_count && lanes->waiting.first)
		lanes->active[lanes->active_count++] = digest_job_pop(&lanes->waiting);
}

/* Looks into the hall for a batch. */
static void take_long(struct digest_lanes *lanes)
{
	struct digest_take take;
	digest_hall_take(lanes->hall, lanes, lanes->lane_count, loop_now_ms(lanes->loop), &take);
	struct digest_job *first = take.jobs.first;
	if (take.hold_ms > 0)
		timer_set(lanes->loop, &lanes->hold_timer, take.hold_ms);
	if (take.is_alone && first && (first->stream->kinds & ~DIGEST_CRCS) != 0) {
		lend_to_worker(lanes, first);
		return;
	}
	for (struct digest_job *job; (job = digest_job_pop(&take.jobs));) {
		lanes->active[lanes->active_count++] = job;
		lanes->long_count++;
	}
}

/* Moves what is through from active to finished. */
static void drop_finished(struct digest_lanes *lanes)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < lanes->active_count; i++) {
		struct digest_job *job = lanes->active[i];
		if (job->offset < job->len) {
			lanes->active[kept++] = job;
			continue;
		}
		lanes->long_count -= is_long(job);
		digest_job_push(&lanes->finished, job);
	}
	lanes->active_count = kept;
}

/* Takes a slice of each active job into all of its digests. */
static void run_slices(struct digest_lanes *lanes)
{
	struct hash_run md5_runs[DIGEST_ACTIVE_MAX], sha256_runs[DIGEST_ACTIVE_MAX];
	struct hash_twin_run twins[DIGEST_ACTIVE_MAX];
	size_t md5_count = 0, sha256_count = 0, twin_count = 0;

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
		bool has_md5 = stream->kinds & DIGEST_MD5,
		     has_sha256 = stream->kinds & DIGEST_SHA256;
		if (has_md5 && has_sha256 && block_count > 0)
			twins[twin_count++] = (struct hash_twin_run){
				stream->md5, stream->sha256, blocks.data, block_count};
		else if (has_md5)
			md5_runs[md5_count++] = (struct hash_run){
				stream->md5, blocks.data, block_count};
		else if (has_sha256)
			sha256_runs[sha256_count++] = (struct hash_run){
				stream->sha256, blocks.data, block_count};
	}
	/* Others would fill lanes beside them. */
	if (lanes->twins && twin_count > 0 && twin_count <= lanes->twins->stream_count &&
		md5_count + sha256_count == 0)
		hash_lanes_run_twins(lanes->twins, twins, twin_count);
	for (size_t i = 0; i < twin_count; i++) {
		md5_runs[md5_count++] = (struct hash_run){
			twins[i].md5, twins[i].data, twins[i].block_count};
		sha256_runs[sha256_count++] = (struct hash_run){
			twins[i].sha256, twins[i].data, twins[i].block_count};
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

/* Goes on with what is active, for a turn. */
static void advance(struct digest_lanes *lanes)
{
	for (size_t turn_len = 0; turn_len < TURN_LEN; turn_len += DIGEST_SLICE_LEN) {
		take_short(lanes);
		if (lanes->active_count == 0)
			return;
		run_slices(lanes);
		drop_finished(lanes);
	}
}

static void run_task(struct task *task)
{
	struct digest_lanes *lanes = CONTAINER_OF(task, struct digest_lanes, task);
	assert(lanes->is_posted);
	lanes->is_posted = false;
	if (lanes->long_count == 0)
		take_long(lanes);
	bool had_batch = lanes->long_count > 0;
	advance(lanes);
	if (had_batch && lanes->long_count == 0)
		take_long(lanes); /* what came meanwhile (H1) */
	if (lanes->active_count > 0 || lanes->waiting.first)
		post(lanes);
	finish_all(lanes);
}

static void hold_timer_fired(struct timer *timer)
{
	post(CONTAINER_OF(timer, struct digest_lanes, hold_timer));
}

void digest_lanes_init(struct digest_lanes *lanes, struct digest_hall *hall, struct loop *loop,
	struct worker *worker)
{
	*lanes = (struct digest_lanes){.hall = hall,
		.loop = loop,
		.worker = worker,
		.task.run = run_task,
		.hold_timer.fire = hold_timer_fired};
	lanes->md5 = hash_lanes_choose_md5();
	lanes->sha256 = hash_lanes_choose_sha256();
	lanes->twins = hash_lanes_choose_twins();
	lanes->lane_count = lanes->md5->lane_count;
}

void digest_lanes_fini(struct digest_lanes *lanes)
{
	assert(lanes->in_flight == 0 && lanes->active_count == 0);
	assert(!lanes->is_posted);
	if (lanes->hold_timer.is_set)
		timer_cancel(lanes->loop, &lanes->hold_timer);
}

void digest_lanes_enter(struct digest_lanes *lanes)
{
	digest_hall_enter(lanes->hall);
}

void digest_lanes_leave(struct digest_lanes *lanes)
{
	digest_hall_leave(lanes->hall);
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
	lanes->in_flight++;
	if (is_long(job))
		digest_hall_add(lanes->hall, job, loop_now_ms(lanes->loop));
	else
		digest_job_push(&lanes->waiting, job);
	post(lanes);
}
