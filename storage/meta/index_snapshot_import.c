/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, as who needs one: all that comes from the wire is checked here. */
#include "storage/meta/index_priv.h"
#include "storage/meta/index_snapshot_priv.h"

static void close_stage(struct snapshot_import *import)
{
	kv_close(import->kv);
	import->kv = NULL;
}

void snapshot_import_drop(struct snapshot_import *import)
{
	close_stage(import);
	if (import->is_staged)
		import->stage->drop(import->stage);
	import->is_staged = false;
	import->is_finished = false;
}

enum err snapshot_import_begin(struct snapshot_import *import)
{
	struct snapshot_stage *stage = import->stage;
	snapshot_import_drop(import);
	*import = (struct snapshot_import){.stage = stage, .is_staged = true};
	return stage->open(stage, &import->kv);
}

/* --- frames ----------------------------------------------------------------------------------- */

/* Takes a row off a frame. */
static enum err take_row(struct snapshot_import *import, struct bytes *rest, struct bytes *ret_key,
	struct bytes *ret_value)
{
	if (rest->len < FRAME_ROW_HEAD_LEN)
		return ERR_CORRUPT;
	size_t key_len = get_le32(rest->data), value_len = get_le32(rest->data + 4);
	struct bytes row = bytes_from(*rest, FRAME_ROW_HEAD_LEN);
	if (key_len == 0 || key_len > KV_KEY_LEN_MAX || value_len > KV_VALUE_LEN_MAX ||
		row.len < key_len + value_len)
		return ERR_CORRUPT;
	struct bytes key = bytes_make(row.data, key_len);
	struct bytes last = bytes_make(import->last_key, import->last_key_len);
	if (key.data[0] <= TABLE_LOCAL || bytes_compare(last, key) >= 0)
		return ERR_CORRUPT; /* (Z1) */
	memcpy(import->last_key, key.data, key.len);
	import->last_key_len = key.len;
	*ret_key = key;
	*ret_value = bytes_make(row.data + key_len, value_len);
	*rest = bytes_from(row, key_len + value_len);
	return ERR_OK;
}

static enum err take_rows(struct snapshot_import *import, struct bytes rows, uint32_t count)
{
	enum err err = kv_write_begin(import->kv);
	if (err != ERR_OK)
		return err;
	for (uint32_t i = 0; err == ERR_OK && i < count; i++) {
		struct bytes key, value;
		err = take_row(import, &rows, &key, &value);
		if (err == ERR_OK)
			err = kv_put(import->kv, key, value);
	}
	if (err == ERR_OK && rows.len > 0)
		err = ERR_CORRUPT;
	if (err != ERR_OK) {
		kv_abort(import->kv);
		return err;
	}
	import->row_count += count;
	return kv_commit(import->kv);
}

static enum err take_first(struct snapshot_import *import, struct bytes body)
{
	if (body.len != FRAME_FIRST_LEN)
		return ERR_CORRUPT;
	import->sequence = get_le64(body.data);
	import->time_ms = get_le64(body.data + 8);
	return ERR_OK;
}

static enum err take_last(struct snapshot_import *import, struct bytes body)
{
	if (body.len < 8 || get_le64(body.data) != import->row_count)
		return ERR_CORRUPT;
	return state_hash_decode(bytes_from(body, 8), &import->hash);
}

/* FIRST, ROWS ..., LAST. */
static bool may_follow(enum frame_kind before, unsigned kind)
{
	switch (kind) {
	case FRAME_FIRST:
		return before == 0;
	case FRAME_ROWS:
	case FRAME_LAST:
		return before == FRAME_FIRST || before == FRAME_ROWS;
	default:
		return false;
	}
}

enum err snapshot_import_write(struct snapshot_import *import, struct bytes frame)
{
	const uint8_t *head = frame.data;
	if (!import->kv || frame.len < FRAME_HEAD_LEN || frame.len > SNAPSHOT_CHUNK_LEN)
		return ERR_CORRUPT;
	if (head[0] != FRAME_VERSION)
		return ERR_VERSION;
	uint32_t count = get_le32(head + 4);
	unsigned kind = head[1];
	if (get_le64(head + FRAME_SUM_OFFSET) != frame_sum(head, frame.len) ||
		get_le64(head + 8) != import->number || head[2] != 0 || head[3] != 0 ||
		!may_follow(import->seen, kind) || (kind != FRAME_ROWS && count != 0))
		return ERR_CORRUPT;
	struct bytes body = bytes_from(frame, FRAME_HEAD_LEN);
	import->number++;
	import->seen = kind;
	switch (kind) {
	case FRAME_FIRST:
		return take_first(import, body);
	case FRAME_ROWS:
		return take_rows(import, body, count);
	default:
		return take_last(import, body);
	}
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Reads all rows again, as they are on the disk now. */
static enum err recount(struct kv *kv, uint64_t *ret_count, struct state_hash *ret_hash)
{
	static const uint8_t first[1];
	struct kv_reader *reader;
	struct bytes key, value;
	struct state_hash hash = {0};
	uint64_t count = 0;
	enum err err = kv_reader_open(kv, &reader);
	if (err != ERR_OK)
		return err;
	err = kv_reader_begin(reader);
	if (err == ERR_OK) {
		err = kv_seek(reader, bytes_make(first, 1), &key, &value);
		for (; err == ERR_OK; count++) {
			state_hash_add(&hash, key, value);
			err = kv_next(reader, &key, &value);
		}
		kv_reader_end(reader);
	}
	kv_reader_close(reader);
	if (err != ERR_NOT_FOUND)
		return err;
	*ret_count = count;
	*ret_hash = hash;
	return ERR_OK;
}

static enum err put_number(struct kv *kv, struct bytes key, uint64_t number)
{
	uint8_t value[8];
	put_le64(value, number);
	return kv_put(kv, key, bytes_make(value, sizeof value));
}

static enum err put_local(struct snapshot_import *import)
{
	static const uint8_t applied_key[] = {INDEX_APPLIED_KEY};
	struct row_key key;
	uint8_t hash[STATE_HASH_LEN_MAX];
	size_t hash_len = state_hash_encode(&import->hash, hash);
	enum err err = kv_write_begin(import->kv);
	if (err != ERR_OK)
		return err;
	row_key_name(&key, TABLE_LOCAL, bytes_of("state-hash"));
	err = kv_put(import->kv, row_key_bytes(&key), bytes_make(hash, hash_len));
	row_key_name(&key, TABLE_LOCAL, bytes_of("time"));
	if (err == ERR_OK)
		err = put_number(import->kv, row_key_bytes(&key), import->time_ms);
	if (err == ERR_OK)
		err = put_number(
			import->kv, bytes_make(applied_key, sizeof applied_key), import->sequence);
	if (err == ERR_OK)
		return kv_commit(import->kv);
	kv_abort(import->kv);
	return err;
}

enum err snapshot_import_finish(struct snapshot_import *import, uint64_t index)
{
	uint64_t count = 0;
	struct state_hash hash;
	if (!import->kv || import->seen != FRAME_LAST || import->is_finished ||
		place_complete(import->sequence) != index)
		return ERR_CORRUPT;
	enum err err = recount(import->kv, &count, &hash);
	if (err == ERR_OK &&
		(count != import->row_count || memcmp(&hash, &import->hash, sizeof hash) != 0))
		err = ERR_CORRUPT; /* (Z2) */
	if (err == ERR_OK)
		err = put_local(import);
	import->is_finished = err == ERR_OK;
	return err;
}

enum err snapshot_import_install(struct snapshot_import *import)
{
	assert(import->kv && import->is_finished);
	close_stage(import);
	enum err err = import->stage->install(import->stage);
	import->is_staged = err != ERR_OK;
	return err;
}
