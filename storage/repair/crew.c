/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/crew.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/object/hint.h"

void crew_init(struct crew *crew, struct store_loop *store, struct throttle *throttle,
	unsigned job_max, void (*changed)(struct crew *crew))
{
	assert(job_max > 0 && job_max <= CREW_JOBS_MAX);
	*crew = (struct crew){
		.store = store, .throttle = throttle, .job_max = job_max, .changed = changed};
}

/* --- jobs ------------------------------------------------------------------------------------- */

/* Memory is there only while something is to be done. */
static bool has_jobs(struct crew *crew)
{
	if (crew->jobs)
		return true;
	crew->jobs = calloc(crew->job_max, sizeof *crew->jobs);
	if (!crew->jobs)
		return false;
	crew->job_count = crew->job_max;
	for (unsigned i = 0; i < crew->job_count; i++) {
		crew->jobs[i].crew = crew;
		crew->jobs[i].next = crew->free_jobs;
		crew->free_jobs = &crew->jobs[i];
	}
	return true;
}

/* Is decode_pool more than half lent, or waited for? Then it is left to clients; a job that ends
 * makes room. */
static bool is_crowded(const struct crew *crew)
{
	const struct pool *pool = &crew->store->decode_pool;
	return crew->in_flight > 0 && (pool->first || 2 * pool->lent_len > pool->limit_len);
}

bool crew_has_room(struct crew *crew)
{
	return has_jobs(crew) && crew->free_jobs && !is_crowded(crew) &&
		crew->doubt_count + CREW_WRITTEN_MAX <= CREW_DOUBTS_MAX;
}

static void rebuild_done(struct rebuild *rebuild, enum err err)
{
	struct crew_job *job = CONTAINER_OF(rebuild, struct crew_job, rebuild);
	struct crew *crew = job->crew;
	crew->counters.read_len += rebuild->read_len;
	crew->counters.written_len += rebuild->written_len;
	struct crew_done *work = &crew->works[job->work];
	work->bytes += rebuild->written_len;
	work->shards += err == ERR_OK;
	work->failed += err != ERR_OK;
	if (err)
		crew->counters.failed++;
	else if (rebuild->was_there)
		crew->counters.there++;
	else if (rebuild->sources == 1u << rebuild->setup.shard)
		crew->counters.copied++;
	else
		crew->counters.rebuilt++;
	job->done(job, err);
	crew->in_flight--;
	job->next = crew->free_jobs;
	crew->free_jobs = job;
	crew->changed(crew);
}

size_t crew_make_name(struct crew *crew, const struct row_body *body, uint8_t *name)
{
	struct row_bucket bucket;
	if (index_bucket_get(crew->store->reader, body->bucket, &bucket) != ERR_OK ||
		bucket.name.len + 1 + body->key.len > DRIVE_HINT_LEN_MAX)
		return 0;
	memcpy(name, bucket.name.data, bucket.name.len);
	name[bucket.name.len] = '/';
	if (body->key.len > 0)
		memcpy(name + bucket.name.len + 1, body->key.data, body->key.len);
	return bucket.name.len + 1 + body->key.len;
}

bool crew_is_packed(const struct row_body *body)
{
	return body->compression != 0 || body->encryption.len > 0;
}

/* Of a record that is made anew. */
static size_t make_hint(struct crew *crew, uint64_t body_id, uint8_t *hint)
{
	struct row_body body;
	if (index_body_get(crew->store->reader, body_id, &body) != ERR_OK)
		return 0;
	size_t len = crew_make_name(crew, &body, hint);
	if (!crew_is_packed(&body))
		return len;
	return hint_add_place(
		hint, len, DRIVE_HINT_LEN_MAX, &(struct hint_place){.is_packed = true});
}

void crew_start(struct crew *crew, const struct crew_order *order)
{
	struct crew_job *job = crew->free_jobs;
	assert(job);
	crew->free_jobs = job->next;
	crew->in_flight++;
	job->done = order->done;
	job->owner = order->owner;
	job->item = order->item;
	job->work = order->work;
	job->hint_len = make_hint(crew, order->body, job->hint);
	struct rebuild_setup setup = {
		.store = crew->store,
		.throttle = crew->throttle,
		.extent = &order->extent,
		.shard = order->shard,
		.drive = order->drive,
		.may_be_there = order->may_be_there,
		.may_copy = order->may_copy,
		.hint = bytes_make(job->hint, job->hint_len),
		.done = rebuild_done,
	};
	rebuild_start(&job->rebuild, &setup);
}

/* --- what was written in vain ----------------------------------------------------------------- */

enum verdict { KEEP, FREE, WAIT };

static enum verdict judge(struct crew *crew, const struct crew_written *written)
{
	struct index_reader *reader = crew->store->reader;
	struct row_extent row;
	struct row_body body;
	enum err err = index_extent_get(reader, written->slot, written->extent, &row);
	if (err == ERR_NOT_FOUND)
		return FREE; /* (W1) */
	if (err == ERR_OK)
		err = index_body_get(reader, row.body, &body);
	return err || body.refs == 0 ? WAIT : KEEP; /* (W2), (W3) */
}

void crew_judge(
	struct crew *crew, uint16_t slot, struct extent_id extent, uint8_t shard, uint16_t drive)
{
	struct crew_written written = {
		.slot = slot, .extent = extent, .shard = shard, .drive = drive};
	if (judge(crew, &written) == KEEP)
		return;
	assert(crew->doubt_count < CREW_DOUBTS_MAX);
	crew->doubts[crew->doubt_count++] = written;
}

static void free_done(struct site_free *op, enum err err)
{
	struct crew *crew = op->owner;
	unsigned slot = op - crew->frees;
	if (err)
		reach_missed(crew->store, crew->free_drives[slot]); /* its census finds it */
	crew->is_free_used[slot] = false;
	crew->frees_in_flight--;
	crew->counters.freed++;
	crew->changed(crew);
}

/* True: it is under way, or can be left to the census. */
static bool free_one(struct crew *crew, const struct crew_written *written)
{
	struct site site;
	reach_find(crew->store, written->drive, &site);
	if (!site_is_there(&site)) {
		reach_missed(crew->store, written->drive);
		return true;
	}
	for (unsigned i = 0; i < CREW_FREES_MAX; i++) {
		if (crew->is_free_used[i])
			continue;
		crew->is_free_used[i] = true;
		crew->free_drives[i] = written->drive;
		crew->frees_in_flight++;
		crew->frees[i] = (struct site_free){
			.loop = crew->store->loop, .done = free_done, .owner = crew};
		site_free_start(&crew->frees[i], &site, written->extent, written->shard);
		return true;
	}
	return false;
}

void crew_look(struct crew *crew)
{
	if (crew->doubt_count == 0 || index_view_begin(crew->store->reader) != ERR_OK)
		return;
	unsigned left = 0;
	for (unsigned i = 0; i < crew->doubt_count; i++) {
		struct crew_written written = crew->doubts[i];
		enum verdict verdict = judge(crew, &written);
		if (verdict == WAIT || (verdict == FREE && !free_one(crew, &written)))
			crew->doubts[left++] = written;
	}
	crew->doubt_count = left;
	index_view_end(crew->store->reader);
}

/* --- ending ----------------------------------------------------------------------------------- */

void crew_cancel(struct crew *crew)
{
	for (unsigned i = 0; i < crew->job_count; i++)
		if (crew->jobs[i].rebuild.magic != 0)
			rebuild_cancel(&crew->jobs[i].rebuild);
}

bool crew_is_idle(const struct crew *crew)
{
	return crew->in_flight == 0 && crew->frees_in_flight == 0;
}

void crew_rest(struct crew *crew)
{
	assert(crew->in_flight == 0);
	free(crew->jobs);
	crew->jobs = crew->free_jobs = NULL;
	crew->job_count = 0;
}
