/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/object/unpack.h"

#include <assert.h>
#include <string.h>

#define UNPACK_MAGIC 0x756e706bu
#define RUN_BODIES_MAX 64 /* bodies without frames that are looked at for one run */

static void advance(struct unpack *unpack);

static struct store_loop *store_of(const struct unpack *unpack)
{
	return unpack->setup.store;
}

static void run_advance(struct task *task)
{
	struct unpack *unpack = CONTAINER_OF(task, struct unpack, task);
	assert(unpack->magic == UNPACK_MAGIC);
	unpack->is_posted = false;
	advance(unpack);
}

static void advance_soon(struct unpack *unpack)
{
	if (unpack->is_posted)
		return;
	unpack->is_posted = true;
	loop_post(store_of(unpack)->loop, &unpack->task);
}

static void fail(struct unpack *unpack, enum err err)
{
	if (unpack->err == ERR_OK)
		unpack->err = err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
	advance_soon(unpack);
}

/* --- frames ----------------------------------------------------------------------------------- */

/* The table of a zipped body, under a view; empty for others. */
static enum err find_table(struct unpack *unpack, struct bytes *ret_table)
{
	const struct index_leaf *leaf = &unpack->leaf;
	struct index_reader *reader = store_of(unpack)->reader;
	*ret_table = (struct bytes){0};
	if (leaf->body.compression == FRAME_NOT_ZIPPED)
		return ERR_OK;
	if (leaf->body.compression != FRAME_ZSTD)
		return ERR_VERSION;
	if (leaf->body.len > FRAME_ZIPPED_LEN_MAX)
		return ERR_CORRUPT;
	if (leaf->body.kind != BODY_INLINE)
		return index_frames_get(reader, leaf->id, ret_table);
	struct bytes data;
	size_t table_len = frame_table_len(leaf->body.len);
	enum err err = index_inline_get(reader, leaf->id, &data);
	if (err == ERR_OK && data.len < table_len)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		*ret_table = bytes_make(data.data, table_len);
	return err;
}

/* Shows the walk the next entries of the table. */
static enum err show_table(struct unpack *unpack)
{
	struct bytes table;
	struct index_reader *reader = store_of(unpack)->reader;
	enum err err = index_view_begin(reader);
	if (err)
		return err;
	err = find_table(unpack, &table);
	if (err == ERR_OK)
		err = frame_walk_show(&unpack->walk, table);
	index_view_end(reader);
	return err;
}

static enum err begin_frame(struct unpack *unpack)
{
	enum err err = frame_walk_next(&unpack->walk, &unpack->frame);
	if (err == ERR_BUSY) {
		err = show_table(unpack);
		if (err == ERR_OK)
			err = frame_walk_next(&unpack->walk, &unpack->frame);
	}
	if (err)
		return err == ERR_END || err == ERR_BUSY ? ERR_CORRUPT : err;
	unpack->is_in_frame = true;
	unpack->payload_done = unpack->tag_done = 0;
	if (unpack->seal.ctx)
		frame_seal_begin(&unpack->seal, &unpack->frame);
	return ERR_OK;
}

static void take_payload(struct unpack *unpack)
{
	const struct frame *frame = &unpack->frame;
	size_t len = frame->payload_len - unpack->payload_done;
	uint8_t *out = unpack->buffers[frame->is_zipped] + unpack->payload_done;
	if (len > unpack->data_len)
		len = unpack->data_len;
	if (unpack->seal.ctx)
		frame_seal_run(&unpack->seal, unpack->data, len, out);
	else
		memcpy(out, unpack->data, len);
	unpack->payload_done += len;
	unpack->data += len;
	unpack->data_len -= len;
}

static void take_tag(struct unpack *unpack)
{
	size_t len = FRAME_TAG_LEN - unpack->tag_done;
	if (len > unpack->data_len)
		len = unpack->data_len;
	if (len == 0)
		return;
	memcpy(unpack->tag + unpack->tag_done, unpack->data, len);
	unpack->tag_done += len;
	unpack->data += len;
	unpack->data_len -= len;
}

/* All of a frame was there: what of it is in the range goes to the owner. */
static enum err end_frame(struct unpack *unpack)
{
	const struct frame *frame = &unpack->frame;
	uint8_t *const *buffers = unpack->buffers;
	enum err err = ERR_OK;
	if (unpack->seal.ctx)
		err = frame_seal_check(&unpack->seal, unpack->tag);
	if (err == ERR_OK && frame->is_zipped)
		err = frame_zip_inflate(&store_of(unpack)->zip, buffers[1], frame->payload_len,
			buffers[0], frame->len);
	if (err)
		return err;
	assert(unpack->skip_len < frame->len);
	uint64_t len = frame->len - unpack->skip_len;
	if (len > unpack->run_end - unpack->next_offset)
		len = unpack->run_end - unpack->next_offset;
	const uint8_t *data = buffers[0] + unpack->skip_len;
	unpack->skip_len = 0;
	unpack->is_in_frame = false;
	unpack->next_offset += len;
	unpack->is_out = true;
	unpack->setup.piece(unpack, data, len);
	return ERR_OK;
}

/* Goes through what the get has given, up to the next piece for the owner. */
static void take_frames(struct unpack *unpack)
{
	while (!unpack->err && !unpack->is_out && unpack->has_data) {
		if (unpack->data_len == 0) {
			unpack->has_data = false;
			get_sent(&unpack->get);
			return;
		}
		enum err err = unpack->is_in_frame ? ERR_OK : begin_frame(unpack);
		if (err == ERR_OK) {
			take_payload(unpack);
			bool is_whole = unpack->payload_done == unpack->frame.payload_len;
			if (is_whole && unpack->seal.ctx)
				take_tag(unpack);
			if (is_whole && (!unpack->seal.ctx || unpack->tag_done == FRAME_TAG_LEN))
				err = end_frame(unpack);
		}
		if (err)
			fail(unpack, err);
	}
}

/* --- the get ---------------------------------------------------------------------------------- */

static void piece_came(struct get *get, const uint8_t *data, size_t len)
{
	struct unpack *unpack = CONTAINER_OF(get, struct unpack, get);
	assert(unpack->magic == UNPACK_MAGIC && !unpack->has_data);
	assert(!unpack->err); /* the get was canceled at once, or waits for the piece before */
	unpack->has_data = true;
	if (unpack->has_frames) {
		unpack->data = data;
		unpack->data_len = len;
		advance(unpack);
		return;
	}
	unpack->next_offset += len;
	unpack->is_out = true;
	unpack->setup.piece(unpack, data, len);
}

static void get_ended(struct get *get, enum err err)
{
	struct unpack *unpack = CONTAINER_OF(get, struct unpack, get);
	assert(unpack->magic == UNPACK_MAGIC);
	unpack->is_get_active = false;
	if (err && !unpack->err)
		unpack->err = err;
	advance(unpack);
}

/* No piece comes from here on; one that is here is given back. get_ended() follows. */
static void cancel_get(struct unpack *unpack)
{
	if (!unpack->is_get_active || unpack->is_canceled)
		return;
	unpack->is_canceled = true;
	unpack->has_data = false;
	get_cancel(&unpack->get);
}

static void start_get(struct unpack *unpack, uint64_t body, uint64_t start, uint64_t len)
{
	struct get_setup setup = {
		.store = unpack->setup.store,
		.body = body,
		.start = start,
		.len = len,
		.request_id = unpack->setup.request_id,
		.piece = piece_came,
		.done = get_ended,
	};
	unpack->get.magic = 0;
	unpack->is_get_active = true;
	unpack->has_data = false;
	get_start(&unpack->get, &setup);
}

/* --- runs ------------------------------------------------------------------------------------- */

static bool has_frames(const struct row_body *body)
{
	return body->compression != FRAME_NOT_ZIPPED || body->encryption.len > 0;
}

/* How far bodies without frames follow each other. Not all are looked at, if they are many. */
static enum err extend_run(struct unpack *unpack)
{
	struct index_leaf leaf;
	for (unsigned i = 1; i < RUN_BODIES_MAX && unpack->run_end < unpack->end_offset; i++) {
		enum err err = index_leaf_find(
			store_of(unpack)->reader, unpack->setup.body, unpack->run_end, &leaf);
		if (err)
			return err;
		if (has_frames(&leaf.body))
			return ERR_OK;
		unpack->run_end += leaf.len;
	}
	return ERR_OK;
}

static enum err open_seal(struct unpack *unpack)
{
	struct frame_key key;
	frame_seal_fini(&unpack->seal);
	if (unpack->leaf.body.encryption.len == 0)
		return ERR_OK;
	enum err err = unpack->setup.open(unpack, unpack->leaf.body.encryption, &key);
	if (err)
		return err;
	err = frame_seal_init(&unpack->seal, &key, true);
	frame_key_wipe(&key);
	return err;
}

/* Errors: ERR_BUSY, advance() follows. */
static enum err take_buffers(struct unpack *unpack)
{
	struct pool *pool = &store_of(unpack)->unpack_pool;
	if (unpack->buffers[0])
		return ERR_OK;
	if (unpack->wait.is_waiting)
		return ERR_BUSY;
	enum err err = pool_take(pool, POOL_64K, 2, unpack->buffers);
	if (err == ERR_BUSY)
		pool_wait_start(pool, &unpack->wait, 2 * FRAME_LEN);
	return err;
}

/* Begins the get of the frames of one body that are in the range. */
static enum err start_frames(struct unpack *unpack)
{
	const struct index_leaf *leaf = &unpack->leaf;
	struct frame_form form = {
		.len = leaf->body.len,
		.stored_len = leaf->body.stored_len,
		.is_zipped = leaf->body.compression != FRAME_NOT_ZIPPED,
		.is_sealed = leaf->body.encryption.len > 0,
	};
	struct bytes table;
	enum err err = find_table(unpack, &table);
	uint64_t table_len = leaf->body.kind == BODY_INLINE ? table.len : 0;
	if (err == ERR_OK && table_len > form.stored_len)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		err = open_seal(unpack);
	if (err)
		return err;
	form.stored_len -= table_len;
	uint64_t first = leaf->offset / FRAME_LEN;
	uint64_t last = (leaf->offset + leaf->len - 1) / FRAME_LEN;
	struct frame frame;
	err = frame_walk_start(&unpack->walk, &form, table, last);
	if (err == ERR_OK)
		err = frame_walk_next(&unpack->walk, &frame);
	uint64_t end = unpack->walk.offset;
	if (err == ERR_OK)
		err = frame_walk_start(&unpack->walk, &form, table, first);
	if (err)
		return err;
	uint64_t start = unpack->walk.offset;
	unpack->skip_len = leaf->offset % FRAME_LEN;
	unpack->is_in_frame = false;
	start_get(unpack, leaf->id, table_len + start, end - start);
	return ERR_OK;
}

/* Under a view: begins the next run. Errors: ERR_BUSY, advance() follows. */
static enum err begin_run(struct unpack *unpack)
{
	struct index_leaf *leaf = &unpack->leaf;
	enum err err = index_leaf_find(
		store_of(unpack)->reader, unpack->setup.body, unpack->next_offset, leaf);
	if (err)
		return err;
	uint64_t left = unpack->end_offset - unpack->next_offset;
	if (leaf->len > left)
		leaf->len = left;
	unpack->run_end = unpack->next_offset + leaf->len;
	unpack->has_frames = has_frames(&leaf->body);
	if (unpack->has_frames) {
		/* A whole inline body goes with its version: its bytes are taken now, and the get
		 * holds no memory that others wait for. */
		bool is_kept = leaf->body.kind != BODY_INLINE || leaf->id != unpack->setup.body;
		err = is_kept ? take_buffers(unpack) : ERR_OK;
		if (err == ERR_OK)
			return start_frames(unpack);
		unpack->run_end = unpack->next_offset;
		return err;
	}
	err = extend_run(unpack);
	if (err)
		return err;
	if (unpack->run_end > unpack->end_offset)
		unpack->run_end = unpack->end_offset;
	start_get(unpack, unpack->setup.body, unpack->next_offset,
		unpack->run_end - unpack->next_offset);
	return ERR_OK;
}

/* --- deciding --------------------------------------------------------------------------------- */

static void finish(struct unpack *unpack)
{
	struct store_loop *store = store_of(unpack);
	cancel_get(unpack);
	if (unpack->is_get_active || unpack->is_out)
		return;
	pool_wait_cancel(&store->unpack_pool, &unpack->wait);
	for (size_t i = 0; i < ARRAY_COUNT(unpack->buffers); i++)
		pool_give(&store->unpack_pool, unpack->buffers[i]);
	frame_seal_fini(&unpack->seal);
	index_release_read(store->reader, &unpack->hold);
	unpack->magic = 0;
	unpack->setup.done(unpack, unpack->err);
}

static void begin_next_run(struct unpack *unpack)
{
	struct index_reader *reader = store_of(unpack)->reader;
	enum err err = index_view_begin(reader);
	if (err == ERR_OK) {
		err = begin_run(unpack);
		index_view_end(reader);
	}
	if (err && err != ERR_BUSY)
		fail(unpack, err);
}

static void advance(struct unpack *unpack)
{
	assert(unpack->magic == UNPACK_MAGIC);
	if (unpack->is_posted)
		return; /* that one sees this fact too, and nothing is posted when it ends */
	if (unpack->err) {
		finish(unpack);
		return;
	}
	if (unpack->has_frames && unpack->has_data) {
		enum err err = take_buffers(unpack);
		if (err == ERR_OK)
			take_frames(unpack);
		else if (err != ERR_BUSY)
			fail(unpack, err);
		return;
	}
	if (unpack->is_get_active || unpack->is_out)
		return;
	if (unpack->next_offset == unpack->end_offset)
		finish(unpack);
	else if (unpack->next_offset < unpack->run_end)
		fail(unpack, ERR_CORRUPT); /* there was less than the frames come to */
	else
		begin_next_run(unpack);
}

static void pool_ready(struct pool_wait *wait)
{
	struct unpack *unpack = CONTAINER_OF(wait, struct unpack, wait);
	assert(unpack->magic == UNPACK_MAGIC);
	/* Now: who was first in line takes at once, or is last again. */
	enum err err = unpack->err ? ERR_OK : take_buffers(unpack);
	if (err && err != ERR_BUSY)
		fail(unpack, err);
	else
		advance_soon(unpack);
}

/* --- public ----------------------------------------------------------------------------------- */

void unpack_start(struct unpack *unpack, const struct unpack_setup *setup)
{
	assert(unpack->magic != UNPACK_MAGIC);
	assert(setup->open && setup->piece && setup->done && setup->len > 0);
	memset(unpack, 0, offsetof(struct unpack, get));
	unpack->magic = UNPACK_MAGIC;
	unpack->setup = *setup;
	unpack->next_offset = unpack->run_end = setup->start;
	unpack->end_offset = setup->start + setup->len;
	unpack->wait.ready = pool_ready;
	unpack->task.run = run_advance;
	index_hold_read(setup->store->reader, &unpack->hold);
	enum err err = begin_run(unpack);
	if (err && err != ERR_BUSY) /* it is begun anew when there is memory */
		fail(unpack, err);
}

void unpack_sent(struct unpack *unpack)
{
	assert(unpack->magic == UNPACK_MAGIC && unpack->is_out);
	unpack->is_out = false;
	if (unpack->has_frames) {
		advance_soon(unpack);
		return;
	}
	unpack->has_data = false;
	if (unpack->is_get_active)
		get_sent(&unpack->get);
}

void unpack_cancel(struct unpack *unpack)
{
	assert(unpack->magic == UNPACK_MAGIC);
	unpack->is_out = false;
	cancel_get(unpack); /* now: its next piece may be posted */
	fail(unpack, ERR_CANCELED);
}
