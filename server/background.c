/* SPDX-License-Identifier: Apache-2.0 */
#include "server/background.h"

#include <stdlib.h>
#include <string.h>

#include "storage/bytes.h"

#define ASK_DEADLINE_MS 2000

/* --- bytes ------------------------------------------------------------------------------------ */

/* Writes or reads the fields one by one: what is written in one place is read in the same. */
struct fields_walk {
	uint8_t *out; /* NULL: reads */
	struct bytes in;
	size_t len;
};

static void walk(struct fields_walk *fields, uint64_t *field)
{
	if (fields->out) {
		assert(fields->len + 8 <= BACKGROUND_LEN);
		put_le64(fields->out + fields->len, *field);
	} else {
		*field = fields->len + 8 <= fields->in.len ? get_le64(fields->in.data + fields->len)
							   : 0;
	}
	fields->len += 8;
}

static void walk_work(struct fields_walk *fields, struct mender_work *work)
{
	walk(fields, &work->id);
	walk(fields, &work->began_ms);
	walk(fields, &work->done.shards);
	walk(fields, &work->done.bytes);
	walk(fields, &work->done.failed);
	walk(fields, &work->shards_left);
	walk(fields, &work->bytes_left);
	walk(fields, &work->bytes_per_second);
}

static void walk_scrub(struct fields_walk *fields, struct scrub_now *now)
{
	struct scrub_counts *counts = &now->pass.counts;
	uint64_t drive = now->drive;
	walk(fields, &drive);
	now->drive = (uint16_t)drive;
	walk(fields, &now->pass.task);
	walk(fields, &now->pass.began_ms);
	walk(fields, &now->pass.ended_ms);
	walk(fields, &counts->shards);
	walk(fields, &counts->bytes);
	walk(fields, &counts->bad);
	walk(fields, &counts->mended);
	walk(fields, &counts->missing);
	walk(fields, &counts->unread);
	walk(fields, &now->used);
	walk(fields, &now->bytes_per_second);
}

static void walk_status(struct fields_walk *fields, struct mender_status *status)
{
	uint64_t flags = status->is_responsible | status->is_paused << 1;
	uint64_t task = status->task;
	walk(fields, &flags);
	walk(fields, &task);
	status->is_responsible = flags & 1;
	status->is_paused = flags >> 1 & 1;
	status->task = task <= MENDER_ELSEWHERE ? (enum mender_task)task : MENDER_NOTHING;
	walk(fields, &status->blocked);
	walk(fields, &status->lost);
	walk(fields, &status->throttle_rate);
	walk(fields, &status->speed_max);
	walk_scrub(fields, &status->scrub_now);
	for (unsigned work = 0; work < BOOK_WORKS; work++)
		walk_work(fields, &status->works[work]);
}

size_t background_encode(const struct mender_status *status, uint8_t *buf)
{
	struct mender_status copy = *status;
	struct fields_walk fields = {.out = buf};
	walk_status(&fields, &copy);
	return fields.len;
}

void background_decode(struct bytes bytes, struct mender_status *ret_status)
{
	struct fields_walk fields = {.in = bytes};
	memset(ret_status, 0, sizeof *ret_status);
	walk_status(&fields, ret_status);
}

/* --- answering -------------------------------------------------------------------------------- */

static void serve(void *arg, struct peer_request *request)
{
	struct cluster *cluster = arg;
	struct mender_status status;
	uint8_t buf[BACKGROUND_LEN];
	if (!cluster->node->is_ready || !cluster->node->is_mending) {
		peer_request_answer(request, ERR_UNAVAILABLE);
		return;
	}
	mender_status(&cluster->node->mender, &status);
	request->answer_head = bytes_make(buf, background_encode(&status, buf));
	peer_request_answer(request, ERR_OK);
}

void background_serve(struct cluster *cluster)
{
	for (unsigned i = 0; i < cluster->node->config->loops; i++)
		peers_serve(cluster->loop_peers[i], PEER_BACKGROUND, serve, cluster);
}

/* --- asking ----------------------------------------------------------------------------------- */

struct question;

struct question_call {
	struct peer_call call;
	struct question *question;
	struct background_node *to;
};

struct question {
	struct cluster *cluster;
	size_t count, ended;
	struct question_call *calls;
	struct completion completion;
};

static void answered(struct peer_call *call)
{
	struct question_call *one = CONTAINER_OF(call, struct question_call, call);
	struct question *question = one->question;
	if (call->err == ERR_OK && call->answer_err == ERR_OK) {
		background_decode(call->answer_head, &one->to->status);
		one->to->has_answered = true;
	}
	if (++question->ended == question->count)
		completion_end(&question->completion, ERR_OK);
}

static enum err begin(void *arg)
{
	struct question *question = arg;
	for (size_t i = 0; i < question->count; i++)
		peer_call_start(question->cluster->loop_peers[0], &question->calls[i].call);
	return ERR_OK;
}

static enum err ask_others(const struct facts *facts, struct background *background)
{
	struct question question = {.cluster = facts->node->cluster};
	question.calls = calloc(facts->node_count, sizeof *question.calls);
	if (!question.calls)
		return ERR_NO_MEMORY;
	for (size_t i = 0; i < facts->node_count; i++) {
		const struct fact_node *node = &facts->nodes[i];
		if (node->is_own || !node->is_up)
			continue;
		struct question_call *one = &question.calls[question.count++];
		one->question = &question;
		one->to = &background->nodes[i];
		one->call = (struct peer_call){.node = node->id,
			.kind = PEER_BACKGROUND,
			.deadline_ms = ASK_DEADLINE_MS,
			.done = answered};
	}
	if (question.count > 0) {
		completion_init(&question.completion);
		err_ignore(loop_call(question.cluster->loop, begin, &question)); /* never fails */
		err_ignore(completion_wait(&question.completion)); /* each has its own end */
	}
	free(question.calls);
	return ERR_OK;
}

enum err background_new(const struct facts *facts, struct background **ret_background)
{
	struct background *background = calloc(1, sizeof *background);
	if (!background)
		return ERR_NO_MEMORY;
	background->count = facts->node_count;
	background->nodes = calloc(facts->node_count, sizeof *background->nodes);
	enum err err = background->nodes ? ERR_OK : ERR_NO_MEMORY;
	for (size_t i = 0; !err && i < facts->node_count; i++) {
		struct background_node *one = &background->nodes[i];
		one->node = &facts->nodes[i];
		if (!one->node->is_own || !facts->node->is_mending)
			continue;
		mender_status(&facts->node->mender, &one->status);
		one->has_answered = true;
	}
	if (!err && facts->node->cluster)
		err = ask_others(facts, background);
	if (err) {
		background_free(background);
		return err;
	}
	for (size_t i = 0; i < background->count; i++)
		if (background->nodes[i].has_answered && background->nodes[i].status.is_responsible)
			background->responsible = &background->nodes[i];
	*ret_background = background;
	return ERR_OK;
}

void background_free(struct background *background)
{
	if (!background)
		return;
	free(background->nodes);
	free(background);
}

const struct background_node *background_find_scrub(
	const struct background *background, uint16_t drive)
{
	for (size_t i = 0; i < background->count; i++)
		if (background->nodes[i].has_answered &&
			background->nodes[i].status.scrub_now.drive == drive)
			return &background->nodes[i];
	return NULL;
}
