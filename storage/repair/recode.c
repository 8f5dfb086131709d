/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/recode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/object/frame.h"

void recode_init(struct recode *recode, struct crew *crew)
{
	*recode = (struct recode){.crew = crew};
}

static struct index_reader *reader_of(const struct recode *recode)
{
	return recode->crew->store->reader;
}

static uint64_t now_ms(const struct recode *recode)
{
	return loop_now_ms(recode->crew->store->loop);
}

static void changed(struct recode *recode)
{
	recode->crew->changed(recode->crew);
}

/* --- a job ------------------------------------------------------------------------------------ */

static void move_job(struct recode_job *job, enum recode_job_state state)
{
	assert(job->state != state);
	job->state = state;
	job->progress_ms = now_ms(job->recode);
}

static void fail(struct recode_job *job, enum err err)
{
	if (job->err == ERR_OK)
		job->err = err;
}

static void end_job(struct recode_job *job)
{
	struct recode *recode = job->recode;
	assert(!job->is_get_open && !job->is_put_open);
	timer_cancel(recode->crew->store->loop, &job->timer);
	if (job->err == ERR_CONFLICT || job->err == ERR_NOT_FOUND)
		recode->counters.refused++;
	else if (job->err != ERR_OK)
		recode->crew->works[CREW_RECODE].failed++;
	recode->blocked += job->err != ERR_OK;
	recode->in_flight--;
	recode->large_in_flight -= job->stored_len > RECODE_LARGE_LEN;
	move_job(job, RECODE_JOB_FREE);
	changed(recode);
}

static void count_done(struct recode_job *job)
{
	struct recode_counters *counters = &job->recode->counters;
	struct crew_done *done = &job->recode->crew->works[CREW_RECODE];
	const struct geometry *geometry = &job->put.geometry;
	counters->bodies++;
	counters->extents += job->extent_count;
	counters->len += job->stored_len;
	done->shards += job->extent_count * (geometry->k + geometry->m);
	done->bytes += job->stored_len * (geometry->k + geometry->m) / geometry->k;
}

static void answered(struct index_proposal *proposal);

static void propose_swap(struct recode_job *job)
{
	struct command_body body = {0};
	struct command command = {.type = COMMAND_BODY_SWAP};
	struct command_body_swap *swap = &command.body_swap;
	put_body(&job->put, &body);
	*swap = (struct command_body_swap){
		.body = job->body,
		.generation = job->generation,
		.stored_len = body.stored_len,
		.class = job->class,
		.extents = body.extents,
	};
	job->proposal = (struct index_proposal){
		.loop = job->recode->crew->store->loop,
		.bytes = job->command,
		.done = answered,
	};
	enum err err = command_encode(
		&command, job->command, sizeof job->command, &job->proposal.len);
	assert(err == ERR_OK);
	move_job(job, RECODE_JOB_SWAPPING);
	index_propose(job->recode->crew->store->store->index, &job->proposal);
}

/* Puts away what is left of a job that failed. */
static void unwind(struct recode_job *job)
{
	job->piece = NULL;
	if (job->is_get_open && !job->is_get_canceled) {
		job->is_get_canceled = true;
		get_cancel(&job->get);
	}
	if (job->is_put_open && !job->is_put_discarded) {
		job->is_put_discarded = true;
		put_discard(&job->put);
	}
	if (!job->is_get_open && !job->is_put_open)
		end_job(job);
}

static void advance_job(struct recode_job *job)
{
	switch (job->state) {
	case RECODE_JOB_COPYING:
		if (job->err != ERR_OK) {
			move_job(job, RECODE_JOB_ENDING);
			unwind(job);
		} else if (!job->is_get_open && job->is_put_durable) {
			propose_swap(job);
		}
		return;
	case RECODE_JOB_ENDING:
		unwind(job);
		return;
	case RECODE_JOB_FREE:
	case RECODE_JOB_SWAPPING:
		return;
	}
}

/* (N3) What is not known to be refused is left to the index: if it did not take the new extents,
 * their session's end makes them garbage. */
static void answered(struct index_proposal *proposal)
{
	struct recode_job *job = CONTAINER_OF(proposal, struct recode_job, proposal);
	assert(job->state == RECODE_JOB_SWAPPING);
	enum err err = proposal->err != ERR_OK ? proposal->err
					       : command_code_err(proposal->result.code);
	if (err != ERR_OK && err != ERR_UNKNOWN) {
		fail(job, err);
		move_job(job, RECODE_JOB_ENDING);
		unwind(job);
		return;
	}
	if (err == ERR_OK)
		count_done(job);
	fail(job, err);
	job->is_put_open = false;
	put_fini(&job->put);
	end_job(job);
}

/* --- copying ---------------------------------------------------------------------------------- */

/* May the piece be copied now (N5)? If not, the timer comes. */
static bool is_piece_paid(struct recode_job *job)
{
	if (job->is_paid)
		return true;
	const struct geometry *geometry = &job->put.geometry;
	uint64_t len = job->piece_len;
	len += len * (geometry->k + geometry->m) / (geometry->k > 0 ? geometry->k : 1);
	uint64_t wait_ms = throttle_take(job->recode->crew->throttle, len, true);
	if (wait_ms > 0 && !job->timer.is_set)
		timer_set(job->recode->crew->store->loop, &job->timer, wait_ms);
	job->is_paid = wait_ms == 0;
	return job->is_paid;
}

/* Brings the piece of the get into the put, as far as there is room. */
static void pump(struct recode_job *job)
{
	while (job->state == RECODE_JOB_COPYING && job->err == ERR_OK && job->piece &&
		is_piece_paid(job)) {
		uint8_t *buf;
		size_t cap;
		if (put_buffer(&job->put, &buf, &cap) != ERR_OK)
			return; /* room() or durable() follows */
		size_t left = job->piece_len - job->piece_taken;
		size_t len = cap < left ? cap : left;
		memcpy(buf, job->piece + job->piece_taken, len);
		job->progress_ms = now_ms(job->recode);
		put_filled(&job->put, len);
		job->piece_taken += len;
		if (job->piece_taken < job->piece_len)
			continue;
		job->piece = NULL;
		get_sent(&job->get);
	}
}

static void timer_fired(struct timer *timer)
{
	pump(CONTAINER_OF(timer, struct recode_job, timer));
}

static void got_piece(struct get *get, const uint8_t *data, size_t len)
{
	struct recode_job *job = CONTAINER_OF(get, struct recode_job, get);
	assert(job->is_get_open && !job->piece);
	job->piece = data;
	job->piece_len = len;
	job->piece_taken = 0;
	job->is_paid = false;
	pump(job);
}

static void get_done(struct get *get, enum err err)
{
	struct recode_job *job = CONTAINER_OF(get, struct recode_job, get);
	job->is_get_open = false;
	fail(job, err);
	advance_job(job);
}

static void put_room(struct put *put)
{
	pump(CONTAINER_OF(put, struct recode_job, put));
}

/* Nobody digests it. */
static void put_frame(struct put *put, struct put_frame *frame)
{
	put_frame_done(put, frame);
}

static void put_durable(struct put *put, enum err err)
{
	struct recode_job *job = CONTAINER_OF(put, struct recode_job, put);
	job->is_put_durable = err == ERR_OK;
	job->is_put_open = err == ERR_OK;
	job->progress_ms = now_ms(job->recode);
	fail(job, err);
	advance_job(job);
}

static void put_discarded(struct put *put)
{
	struct recode_job *job = CONTAINER_OF(put, struct recode_job, put);
	job->is_put_open = false;
	advance_job(job);
}

static enum err start_put(struct recode_job *job, const struct row_body *body, bool must_fit)
{
	struct recode *recode = job->recode;
	struct put_setup setup = {
		.store = recode->crew->store,
		.len = job->stored_len,
		.storage_class = job->class,
		.is_packed = crew_is_packed(body),
		.must_fit = must_fit,
		.room = put_room,
		.frame = put_frame,
		.durable = put_durable,
		.discarded = put_discarded,
	};
	setup.hint = bytes_make(job->hint, crew_make_name(recode->crew, body, job->hint));
	return put_start(&job->put, &setup);
}

static struct recode_job *find_job(struct recode *recode, uint64_t body)
{
	for (unsigned i = 0; i < RECODE_JOBS; i++)
		if (recode->jobs[i].state != RECODE_JOB_FREE && recode->jobs[i].body == body)
			return &recode->jobs[i];
	return NULL;
}

static struct recode_job *free_job(struct recode *recode)
{
	for (unsigned i = 0; i < RECODE_JOBS; i++)
		if (recode->jobs[i].state == RECODE_JOB_FREE)
			return &recode->jobs[i];
	return NULL;
}

/* Under a view. Errors: ERR_NOT_FOUND, the body is garbage; ERR_EXISTS, it is being worked on;
 * ERR_REFUSED, not one that a put makes; those of a put. */
static enum err start_job(struct recode *recode, uint64_t body_id, bool must_fit)
{
	struct row_body body;
	enum err err = index_body_get(reader_of(recode), body_id, &body);
	if (err != ERR_OK)
		return err;
	if (body.refs == 0)
		return ERR_NOT_FOUND;
	if (body.kind != BODY_EXTENTS || body.stored_len <= STORE_INLINE_LEN_MAX ||
		body.stored_len > frame_sealed_len(PUT_LEN_MAX))
		return ERR_REFUSED;
	if (find_job(recode, body_id))
		return ERR_EXISTS;
	struct recode_job *job = free_job(recode);
	memset(job, 0, offsetof(struct recode_job, hint));
	job->recode = recode;
	job->timer.fire = timer_fired;
	job->body = body_id;
	job->generation = body.generation;
	job->extent_count = body.piece_count;
	job->stored_len = body.stored_len;
	job->class = body.class;
	err = start_put(job, &body, must_fit);
	if (err != ERR_OK)
		return err;
	job->is_put_open = job->is_get_open = true;
	recode->in_flight++;
	recode->large_in_flight += job->stored_len > RECODE_LARGE_LEN;
	move_job(job, RECODE_JOB_COPYING);
	get_start(&job->get,
		&(struct get_setup){
			.store = recode->crew->store,
			.body = body_id,
			.len = body.stored_len,
			.piece = got_piece,
			.done = get_done,
		});
	return ERR_OK;
}

/* --- a round ---------------------------------------------------------------------------------- */

static enum recode_level level_of(struct ring_profile profile, const struct row_extent *row)
{
	if (row->m < profile.m)
		return RECODE_RISK;
	return row->k + row->m > profile.k + profile.m ? RECODE_WIDE : RECODE_COST;
}

/* Do clients wait for memory? Then one job at a time is enough (N5). */
static bool is_crowded(const struct recode *recode)
{
	const struct pool *put = &recode->crew->store->put_pool;
	const struct pool *get = &recode->crew->store->get_pool;
	return put->first || get->first || 2 * put->lent_len > put->limit_len ||
		2 * get->lent_len > get->limit_len;
}

static bool has_room(struct recode *recode)
{
	if (!recode->jobs)
		recode->jobs = calloc(RECODE_JOBS, sizeof *recode->jobs);
	return recode->jobs && free_job(recode) && recode->large_in_flight < RECODE_LARGE_JOBS &&
		(recode->in_flight == 0 || !is_crowded(recode));
}

static void visit(struct recode *recode, struct ring_profile profile, const struct row_extent *row)
{
	if (level_of(profile, row) != recode->level)
		return;
	bool must_fit = row->m > 0 || profile.m == 0;
	enum err err = start_job(recode, row->body, must_fit);
	if (err == ERR_NOT_FOUND || err == ERR_EXISTS)
		return;
	recode->blocked += err != ERR_OK;
	recode->blocked_row = err == ERR_OK ? 0 : recode->blocked_row + 1;
}

static bool may_go_on(struct recode *recode)
{
	return recode->blocked_row < RECODE_BLOCKED_MAX && has_room(recode);
}

/* Begins jobs. ERR_BUSY: there is more to be scanned; ERR_NOT_FOUND: the end of the level;
 * ERR_OK: there is no room for another job. */
static enum err scan(struct recode *recode)
{
	enum err err = index_view_begin(reader_of(recode));
	if (err != ERR_OK)
		return ERR_OK; /* at the next look */
	struct ring_snapshot *ring = index_ring(recode->crew->store->store->index);
	struct ring_profile profile = ring_snapshot_profile(ring);
	ring_snapshot_unref(ring);
	for (unsigned left = RECODE_SCAN_ROWS; left > 0 && err == ERR_OK && may_go_on(recode);
		left--) {
		struct row_extent row;
		err = index_off_profile_next(
			reader_of(recode), &recode->place, profile, RECODE_SCAN_ROWS, &row);
		if (err != ERR_OK)
			break;
		visit(recode, profile, &row);
		recode->place.extent.counter++;
	}
	index_view_end(reader_of(recode));
	return err == ERR_OK && may_go_on(recode) ? ERR_BUSY : err;
}

static void end_round(struct recode *recode)
{
	bool is_useful = recode->counters.bodies > recode->done_before;
	uint64_t retry_ms = recode->retry_ms == 0 ? RECODE_RETRY_MS : 2 * recode->retry_ms;
	recode->retry_ms = is_useful             ? 0
		: retry_ms > RECODE_RETRY_MS_MAX ? RECODE_RETRY_MS_MAX
						 : retry_ms;
	recode->due_ms = now_ms(recode) + recode->retry_ms;
	recode->rounds++;
	recode->state = RECODE_IDLE;
}

static bool advance_scan(struct recode *recode)
{
	enum err err = scan(recode);
	if (recode->blocked_row >= RECODE_BLOCKED_MAX) {
		recode->state = RECODE_ENDING;
		return true;
	}
	if (err == ERR_NOT_FOUND) {
		recode->place = (struct index_place){0};
		if (recode->level == recode->level_max)
			recode->state = RECODE_ENDING;
		else
			recode->level++;
		return true;
	}
	if (err != ERR_OK && err != ERR_BUSY)
		recode->state = RECODE_ENDING;
	return err != ERR_OK;
}

static void give_up_stalled(struct recode *recode)
{
	for (unsigned i = 0; recode->jobs && i < RECODE_JOBS; i++) {
		struct recode_job *job = &recode->jobs[i];
		if (job->state != RECODE_JOB_COPYING ||
			(!recode->is_stopping &&
				now_ms(recode) < job->progress_ms + RECODE_STALL_MS))
			continue;
		fail(job, ERR_CANCELED);
		advance_job(job);
	}
}

/* --- public ----------------------------------------------------------------------------------- */

bool recode_is_due(const struct recode *recode)
{
	return recode->state == RECODE_IDLE && !recode->is_stopping &&
		now_ms(recode) >= recode->due_ms;
}

void recode_begin(struct recode *recode, enum recode_level level_max)
{
	assert(recode->state == RECODE_IDLE && !recode->is_stopping);
	recode->level = RECODE_RISK;
	recode->level_max = level_max;
	recode->place = (struct index_place){0};
	recode->blocked = recode->blocked_row = 0;
	recode->done_before = recode->counters.bodies;
	recode->state = RECODE_SCANNING;
}

void recode_try_again(struct recode *recode)
{
	recode->due_ms = recode->retry_ms = 0;
}

bool recode_advance(struct recode *recode)
{
	give_up_stalled(recode);
	if (recode->is_stopping && recode->state == RECODE_SCANNING)
		recode->state = RECODE_ENDING;
	switch (recode->state) {
	case RECODE_IDLE:
		return false;
	case RECODE_SCANNING:
		return advance_scan(recode);
	case RECODE_ENDING:
		if (recode->in_flight == 0)
			end_round(recode);
		return false;
	}
	return false;
}

void recode_allow(struct recode *recode, bool is_allowed)
{
	recode->is_stopping = !is_allowed;
}

bool recode_is_idle(const struct recode *recode)
{
	return recode->state == RECODE_IDLE && recode->in_flight == 0;
}

void recode_rest(struct recode *recode)
{
	assert(recode->in_flight == 0);
	free(recode->jobs);
	recode->jobs = NULL;
}
