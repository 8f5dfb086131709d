/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, as who has what others need. */
#include "storage/meta/index_priv.h"
#include "storage/meta/index_snapshot_priv.h"

#include <xxhash.h>

#define GROWTH_PART 10

uint64_t frame_sum(const uint8_t *frame, size_t len)
{
	assert(len >= FRAME_HEAD_LEN);
	return XXH3_64bits_withSeed(
		frame + FRAME_HEAD_LEN, len - FRAME_HEAD_LEN, XXH3_64bits(frame, FRAME_SUM_OFFSET));
}

/* --- opening ---------------------------------------------------------------------------------- */

static enum err get_number(struct kv_reader *reader, struct bytes key, uint64_t *ret_number)
{
	struct bytes value;
	enum err err = kv_get(reader, key, &value);
	if (err == ERR_OK && value.len != 8)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		*ret_number = get_le64(value.data);
	return err;
}

/* What the commit says of itself. Errors: ERR_NOT_FOUND, nothing was committed yet. */
static enum err read_local(struct snapshot_export *export)
{
	static const uint8_t applied_key[] = {INDEX_APPLIED_KEY};
	struct row_key key;
	struct bytes value;
	enum err err = get_number(
		export->reader, bytes_make(applied_key, sizeof applied_key), &export->sequence);
	row_key_name(&key, TABLE_LOCAL, bytes_of("time"));
	if (err == ERR_OK)
		err = get_number(export->reader, row_key_bytes(&key), &export->time_ms);
	row_key_name(&key, TABLE_LOCAL, bytes_of("state-hash"));
	if (err == ERR_OK)
		err = kv_get(export->reader, row_key_bytes(&key), &value);
	if (err == ERR_OK && value.len > STATE_HASH_LEN_MAX)
		err = ERR_CORRUPT;
	if (err != ERR_OK)
		return err;
	memcpy(export->hash, value.data, value.len);
	export->hash_len = value.len;
	return ERR_OK;
}

/* Groups without a command leave no trace in the rows: if nothing was published since the commit,
 * it is the state after all groups up to the one that was applied before that was looked at. */
static void raise_sequence(struct snapshot_export *export)
{
	const struct index *index = export->index;
	uint64_t applied = atomic_load(&index->applied);
	if (buffer_published(index->buffer) == export->sequence &&
		applied > place_complete(export->sequence))
		export->sequence = applied << PLACE_BITS | PLACE_LAST;
}

enum err snapshot_export_open(struct snapshot_export *export, uint64_t *ret_index)
{
	assert(!export->reader);
	enum err err = kv_reader_open(export->kv, &export->reader);
	if (err != ERR_OK)
		return err;
	err = kv_reader_begin(export->reader);
	if (err != ERR_OK) {
		kv_reader_close(export->reader);
		export->reader = NULL;
		return err;
	}
	err = read_local(export);
	if (err != ERR_OK) {
		snapshot_export_close(export);
		return err == ERR_NOT_FOUND ? ERR_BUSY : err;
	}
	raise_sequence(export);
	export->used = kv_used(export->kv);
	export->next = FRAME_FIRST;
	export->has_row = false;
	export->has_sought = false;
	export->number = 0;
	export->row_count = 0;
	*ret_index = place_complete(export->sequence);
	return ERR_OK;
}

void snapshot_export_close(struct snapshot_export *export)
{
	if (!export->reader)
		return;
	kv_reader_end(export->reader);
	kv_reader_close(export->reader);
	export->reader = NULL;
}

/* --- frames ----------------------------------------------------------------------------------- */

static size_t end_frame(struct snapshot_export *export, enum frame_kind kind, uint32_t row_count,
	uint8_t *frame, size_t len)
{
	frame[0] = FRAME_VERSION;
	frame[1] = kind;
	frame[2] = 0;
	frame[3] = 0;
	put_le32(frame + 4, row_count);
	put_le64(frame + 8, export->number++);
	put_le64(frame + FRAME_SUM_OFFSET, frame_sum(frame, len));
	return len;
}

/* Moves on, past the rows of LOCAL, which is the first table. */
static enum err next_row(struct snapshot_export *export)
{
	static const uint8_t first[] = {TABLE_LOCAL + 1};
	enum err err = export->has_sought
		? kv_next(export->reader, &export->key, &export->value)
		: kv_seek(export->reader, bytes_make(first, 1), &export->key, &export->value);
	export->has_sought = true;
	export->has_row = err == ERR_OK;
	return err;
}

static enum err put_rows(struct snapshot_export *export, uint8_t *buf, size_t *ret_len)
{
	size_t len = FRAME_HEAD_LEN;
	uint32_t count = 0;
	enum err err = export->has_row ? ERR_OK : next_row(export);
	while (err == ERR_OK) {
		struct bytes key = export->key, value = export->value;
		size_t row_len = FRAME_ROW_HEAD_LEN + key.len + value.len;
		if (len + row_len > SNAPSHOT_CHUNK_LEN)
			break;
		put_le32(buf + len, key.len);
		put_le32(buf + len + 4, value.len);
		memcpy(buf + len + FRAME_ROW_HEAD_LEN, key.data, key.len);
		if (value.len > 0)
			memcpy(buf + len + FRAME_ROW_HEAD_LEN + key.len, value.data, value.len);
		len += row_len;
		count++;
		err = next_row(export);
	}
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	if (err == ERR_NOT_FOUND)
		export->next = FRAME_LAST;
	export->row_count += count;
	*ret_len = end_frame(export, FRAME_ROWS, count, buf, len);
	return ERR_OK;
}

static size_t put_first(struct snapshot_export *export, uint8_t *buf)
{
	put_le64(buf + FRAME_HEAD_LEN, export->sequence);
	put_le64(buf + FRAME_HEAD_LEN + 8, export->time_ms);
	export->next = FRAME_ROWS;
	return end_frame(export, FRAME_FIRST, 0, buf, FRAME_HEAD_LEN + FRAME_FIRST_LEN);
}

static size_t put_last(struct snapshot_export *export, uint8_t *buf)
{
	put_le64(buf + FRAME_HEAD_LEN, export->row_count);
	memcpy(buf + FRAME_HEAD_LEN + 8, export->hash, export->hash_len);
	export->next = 0;
	return end_frame(export, FRAME_LAST, 0, buf, FRAME_HEAD_LEN + 8 + export->hash_len);
}

enum err snapshot_export_read(struct snapshot_export *export, uint8_t *buf, size_t *ret_len)
{
	assert(export->reader);
	uint64_t most = export->used + export->used / GROWTH_PART + SNAPSHOT_GROWTH_LEN;
	if (kv_used(export->kv) > most)
		return ERR_BUSY; /* (Z4) */
	switch (export->next) {
	case FRAME_FIRST:
		*ret_len = put_first(export, buf);
		return ERR_OK;
	case FRAME_ROWS:
		return put_rows(export, buf, ret_len);
	case FRAME_LAST:
		*ret_len = put_last(export, buf);
		return ERR_OK;
	default:
		*ret_len = 0;
		return ERR_OK;
	}
}
