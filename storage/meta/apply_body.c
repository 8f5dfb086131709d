/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies: their rows, their references, and the commands that change what they are made of. */
#include "storage/meta/apply_priv.h"

static void write_body(struct apply *apply, uint64_t body, const struct row_body *row, bool is_new)
{
	struct row_key key;
	row_key_id(&key, TABLE_BODY, body);
	if (is_new)
		apply_new_body(apply, &key, row);
	else
		apply_put_body(apply, &key, row);
}

static bool read_body(struct apply *apply, uint64_t body, struct row_body *ret_row)
{
	struct row_key key;
	row_key_id(&key, TABLE_BODY, body);
	return apply_get_body(apply, &key, ret_row);
}

/* --- references ------------------------------------------------------------------------------- */

bool apply_body_ref(struct apply *apply, uint64_t body, struct row_body *ret_row)
{
	if (!read_body(apply, body, ret_row) || ret_row->refs == 0)
		return false;
	ret_row->refs++;
	write_body(apply, body, ret_row, false);
	return true;
}

void apply_body_unref(struct apply *apply, uint64_t body)
{
	struct row_body row;
	if (!read_body(apply, body, &row) || row.refs == 0) {
		apply_fail(apply, ERR_CORRUPT);
		return;
	}
	row.refs--;
	struct row_key key;
	row_key_id(&key, TABLE_BODY, body);
	if (row.refs > 0 || row.kind != BODY_INLINE)
		apply_put_body(apply, &key, &row);
	if (row.refs > 0)
		return;
	if (row.kind != BODY_INLINE) {
		apply_garbage_add(apply, GARBAGE_BODY, body, &(struct row_garbage){0});
		return;
	}
	apply_remove(apply, &key);
	if (row.len > 0) {
		row_key_id(&key, TABLE_INLINE, body);
		apply_remove(apply, &key);
	}
}

/* --- making ----------------------------------------------------------------------------------- */

static void describe_body(struct row_body *row, const struct command_body *body, uint8_t class)
{
	row->len = body->len;
	row->etag = body->etag;
	memcpy(row->checksums, body->checksums, sizeof row->checksums);
	row->class = class;
	row->compression = body->compression;
	row->encryption = body->encryption;
}

static uint64_t make_inline(
	struct apply *apply, uint32_t part, uint8_t class, const struct command_body *body)
{
	uint64_t id = row_id_make(apply_place(apply, part));
	struct row_body row = {.kind = BODY_INLINE, .refs = 1};
	describe_body(&row, body, class);
	row.stored_len = body->inline_data.len;
	write_body(apply, id, &row, true);
	if (body->inline_data.len > 0) {
		struct row_key key;
		row_key_id(&key, TABLE_INLINE, id);
		apply_put_new(apply, &key, body->inline_data);
	}
	return id;
}

static void write_frames(struct apply *apply, uint64_t body, struct bytes frame_lens)
{
	if (frame_lens.len == 0)
		return;
	struct row_key key;
	row_key_id(&key, TABLE_FRAMES, body);
	apply_put_new(apply, &key, frame_lens);
}

/* The staged body of this session, made whole by what came with the command. */
static enum command_code take_stage(struct apply *apply, uint64_t bucket, struct bytes key,
	uint8_t class, const struct command_body *body)
{
	struct row_key stage;
	row_key_stage(&stage, apply->session, body->staged);
	struct bytes value;
	struct row_body row;
	if (!apply_get(apply, &stage, &value) || !read_body(apply, body->staged, &row))
		return COMMAND_NO_BODY;
	uint64_t added = 0;
	struct bytes list = body->extents;
	struct command_extent extent;
	while (command_extent_next(&list, &extent) == ERR_OK)
		added += extent.len;
	if (row.stored_len + added != body->stored_len || row.bucket != bucket ||
		!bytes_is_equal(row.key, key))
		return COMMAND_REFUSED;
	describe_body(&row, body, class);
	apply_extents_add(apply, body->staged, &row, body->extents);
	write_frames(apply, body->staged, body->frame_lens);
	write_body(apply, body->staged, &row, false);
	apply_remove(apply, &stage);
	return COMMAND_OK;
}

enum command_code apply_body_make(struct apply *apply, uint32_t part, uint64_t bucket,
	struct bytes key, uint8_t class, const struct command_body *body, uint64_t *ret_body)
{
	if (body->extents.len == 0 && body->staged == 0) {
		*ret_body = make_inline(apply, part, class, body);
		return COMMAND_OK;
	}
	enum command_code checked = apply_extents_check(apply, body->extents);
	if (checked != COMMAND_OK)
		return checked;
	if (body->staged != 0) {
		enum command_code code = take_stage(apply, bucket, key, class, body);
		if (code == COMMAND_OK)
			*ret_body = body->staged;
		return code;
	}
	uint64_t id = row_id_make(apply_place(apply, part));
	struct row_body row = {.kind = BODY_EXTENTS, .refs = 1, .bucket = bucket, .key = key};
	describe_body(&row, body, class);
	apply_extents_add(apply, id, &row, body->extents);
	write_frames(apply, id, body->frame_lens);
	write_body(apply, id, &row, true);
	*ret_body = id;
	return COMMAND_OK;
}

uint64_t apply_body_make_slices(struct apply *apply, uint32_t part, struct row_body *row,
	const struct row_piece *pieces, size_t count)
{
	uint64_t id = row_id_make(apply_place(apply, part));
	row->kind = BODY_SLICES;
	row->refs = 1;
	row->stored_len = 0;
	row->piece_count = count;
	uint64_t end = 0;
	for (size_t i = 0; i < count; i += ROW_PIECES_MAX) {
		size_t here = count - i < ROW_PIECES_MAX ? count - i : ROW_PIECES_MAX;
		for (size_t j = 0; j < here; j++)
			end += pieces[i + j].len;
		struct row_key key;
		row_key_pieces(&key, id, end, i / ROW_PIECES_MAX);
		size_t len = row_pieces_encode(pieces + i, here, apply->row_buf);
		apply_put_new(apply, &key, bytes_make(apply->row_buf, len));
	}
	assert(end == row->len);
	write_body(apply, id, row, true);
	return id;
}

/* --- commands --------------------------------------------------------------------------------- */

static void extend_stage(
	struct apply *apply, const struct command_body_stage *stage, struct command_result *result)
{
	struct row_key key;
	row_key_stage(&key, apply->session, stage->staged);
	struct bytes value;
	struct row_body row;
	if (!apply_get(apply, &key, &value) || !read_body(apply, stage->staged, &row)) {
		result->code = COMMAND_NO_BODY;
		return;
	}
	if (row.bucket != stage->bucket || !bytes_is_equal(row.key, stage->key)) {
		result->code = COMMAND_REFUSED;
		return;
	}
	apply_extents_add(apply, stage->staged, &row, stage->extents);
	row.len = row.stored_len;
	write_body(apply, stage->staged, &row, false);
	result->id = stage->staged;
}

void apply_body_stage(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_body_stage *stage = &command->body_stage;
	result->code = apply_extents_check(apply, stage->extents);
	if (result->code != COMMAND_OK)
		return;
	if (stage->staged != 0) {
		extend_stage(apply, stage, result);
		return;
	}
	uint64_t id = row_id_make(apply_place(apply, 0));
	struct row_body row = {
		.kind = BODY_EXTENTS,
		.refs = 1,
		.bucket = stage->bucket,
		.key = stage->key,
	};
	apply_extents_add(apply, id, &row, stage->extents);
	row.len = row.stored_len;
	write_body(apply, id, &row, true);
	struct row_key key;
	row_key_stage(&key, apply->session, id);
	apply_put_new(apply, &key, bytes_make("", 0));
	result->id = id;
}

/* Gives the body's extents to a husk: a body without references that waits in the garbage table, so
 * that what is being read stays until nobody reads it. */
static void move_extents_to_husk(struct apply *apply, uint64_t body, const struct row_body *row)
{
	uint64_t husk_id = row_id_make(apply_place(apply, 0));
	struct row_body husk = {
		.kind = BODY_EXTENTS,
		.len = row->stored_len,
		.stored_len = row->stored_len,
		.piece_count = row->piece_count,
		.class = row->class,
		.bucket = row->bucket,
		.key = row->key,
	};
	struct row_key key;
	row_key_id(&key, TABLE_PIECES, body);
	struct bytes prefix = row_key_bytes(&key);
	struct bytes found, value;
	struct row_key at = key;
	while (apply_seek(apply, &at, prefix.len, &found, &value)) {
		struct row_key moved;
		row_key_id(&moved, TABLE_PIECES, husk_id);
		row_key_bytes_append(&moved, bytes_from(found, prefix.len));
		row_key_begin(&at, TABLE_PIECES);
		row_key_bytes_append(&at, bytes_from(found, 1));
		apply_extents_rename(apply, value, husk_id);
		apply_put_new(apply, &moved, value);
		apply_remove(apply, &at);
	}
	write_body(apply, husk_id, &husk, true);
	apply_garbage_add(apply, GARBAGE_BODY, husk_id, &(struct row_garbage){0});
}

void apply_body_swap(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_body_swap *swap = &command->body_swap;
	struct row_body row;
	size_t added;
	if (!read_body(apply, swap->body, &row) || row.refs == 0) {
		result->code = COMMAND_NO_BODY;
		return;
	}
	if (row.generation != swap->generation) {
		result->code = COMMAND_STALE;
		return;
	}
	if (row.kind != BODY_EXTENTS || row.stored_len != swap->stored_len ||
		fields_list_count(swap->extents, &added) != ERR_OK) {
		result->code = COMMAND_REFUSED;
		return;
	}
	result->code = apply_extents_check(apply, swap->extents);
	if (result->code != COMMAND_OK)
		return;
	/* An extent costs its row, its slot's counts and a little. */
	if (row.piece_count + row.piece_count / 8 + 2 * added + 16 > COMMAND_ROWS_MAX) {
		result->code = COMMAND_LIMIT;
		return;
	}
	move_extents_to_husk(apply, swap->body, &row);
	row.stored_len = 0;
	row.piece_count = 0;
	row.class = swap->class;
	row.generation++;
	apply_extents_add(apply, swap->body, &row, swap->extents);
	write_body(apply, swap->body, &row, false);
	result->id = swap->body;
	result->count = row.generation;
}
