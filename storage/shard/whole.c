/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/shard/whole.h"

#include "erasure/checksum.h"

static void finish(struct site_whole *whole, enum err err)
{
	if (whole->is_open)
		site_write_abort(&whole->write);
	whole->is_open = false;
	whole->step = WHOLE_OVER;
	whole->done(whole, err);
}

static void run_finish(struct task *task)
{
	struct site_whole *whole = CONTAINER_OF(task, struct site_whole, task);
	finish(whole, whole->err);
}

/* Nothing ends inside the call that began it. */
static void finish_soon(struct site_whole *whole, enum err err)
{
	whole->step = WHOLE_OVER;
	whole->err = err;
	loop_post(whole->loop, &whole->task);
}

/* --- step by step ----------------------------------------------------------------------------- */

static void sealed(struct site_write *write, enum err err)
{
	finish(CONTAINER_OF(write, struct site_whole, write), err);
}

static void appended(struct site_append *append, enum err err)
{
	struct site_whole *whole = CONTAINER_OF(append, struct site_whole, append);
	if (err == ERR_OK && whole->is_canceled)
		err = ERR_CANCELED;
	if (err) {
		finish(whole, err);
		return;
	}
	whole->is_open = false;
	whole->step = WHOLE_SEALING;
	site_write_seal(&whole->write);
}

static void append(struct site_whole *whole)
{
	whole->is_open = true;
	whole->step = WHOLE_WRITING;
	whole->append.done = appended;
	site_write_append(&whole->write, &whole->append, whole->buf, whole->info.shard_len,
		whole->sums, whole->sum_count);
}

static void opened(struct site_write *write, enum err err)
{
	struct site_whole *whole = CONTAINER_OF(write, struct site_whole, write);
	whole->is_open = err == ERR_OK;
	if (err == ERR_OK && whole->is_canceled)
		err = ERR_CANCELED;
	if (err)
		finish(whole, err);
	else
		append(whole);
}

static void open(struct site_whole *whole)
{
	whole->step = WHOLE_OPENING;
	memset(&whole->write, 0, sizeof whole->write);
	memset(&whole->append, 0, sizeof whole->append);
	whole->write.loop = whole->loop;
	whole->write.ready = opened;
	whole->write.sealed = sealed;
	enum err err = site_write_open(&whole->write, &whole->site, &whole->info);
	if (err == ERR_OK)
		append(whole);
	else if (err != ERR_BUSY)
		finish_soon(whole, err);
}

/* --- by one call ------------------------------------------------------------------------------ */

static void answered(struct peer_call *call)
{
	struct site_whole *whole = CONTAINER_OF(call, struct site_whole, call);
	enum err err = call->err ? call->err : call->answer_err;
	if (err == ERR_UNSUPPORTED && !whole->is_canceled)
		open(whole);
	else
		finish(whole, err);
}

static void ask(struct site_whole *whole)
{
	const struct shard_info *info = &whole->info;
	struct shard_whole wire = {
		.open.key = {info->extent, whole->site.number, info->index},
		.sum_count = whole->sum_count,
		.hint = info->hint,
	};
	bool is_geometry = stripe_geometry_init(
		&wire.open.geometry, info->k, info->m, info->unit_len, info->extent_len);
	assert(is_geometry && stripe_shard_len(&wire.open.geometry) == info->shard_len);
	memcpy(wire.sums, whole->sums, sizeof wire.sums);
	whole->step = WHOLE_CALLING;
	whole->call = (struct peer_call){
		.node = whole->site.node,
		.kind = PEER_SHARD_WHOLE,
		.deadline_ms = REMOTE_DEADLINE_MS,
		.head = {whole->head, shard_whole_encode(&wire, whole->head)},
		.payload = {whole->buf, info->shard_len},
		.done = answered,
	};
	peer_call_start(whole->site.peers, &whole->call);
}

void site_whole_start(struct site_whole *whole, const struct site *site,
	const struct shard_info *info, const uint8_t *buf, const uint64_t *sums, size_t sum_count)
{
	assert(whole->loop && whole->done && site_is_there(site));
	assert(info->shard_len <= SHARD_WHOLE_LEN_MAX && info->hint.len <= DRIVE_HINT_LEN_MAX);
	assert(sum_count == checksum_block_count(info->shard_len));
	whole->site = *site;
	whole->info = *info;
	whole->buf = buf;
	whole->task = (struct task){.run = run_finish};
	whole->sum_count = sum_count;
	memset(whole->sums, 0, sizeof whole->sums);
	memcpy(whole->sums, sums, sum_count * sizeof *sums);
	whole->is_open = whole->is_canceled = false;
	if (site_is_remote(site))
		ask(whole);
	else
		open(whole);
}

void site_whole_cancel(struct site_whole *whole)
{
	whole->is_canceled = true;
	switch (whole->step) {
	case WHOLE_CALLING:
		peer_call_cancel(&whole->call);
		return;
	case WHOLE_OPENING:
	case WHOLE_SEALING:
		site_write_cancel(&whole->write);
		return;
	case WHOLE_WRITING:
		site_append_cancel(&whole->append);
		return;
	case WHOLE_OVER:
		return;
	}
}
