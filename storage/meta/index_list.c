/* SPDX-License-Identifier: Apache-2.0 */
/* Things in order, under a view. */
#include "storage/meta/index_priv.h"

/* --- versions --------------------------------------------------------------------------------- */

void index_versions_init(
	struct index_version_cursor *cursor, struct index_reader *reader, uint64_t bucket)
{
	cursor->reader = reader;
	cursor->bucket = bucket;
	cursor->last.len = 0;
}

#define BUCKET_PREFIX_LEN (1 + 8)

static enum err take_row(
	struct index_version_cursor *cursor, struct bytes found, struct bytes value)
{
	struct row_object_key parsed;
	enum err err = row_key_parse_object(found, cursor->key_buf, &parsed);
	if (err != ERR_OK)
		return err;
	/* The same S3 key as the row before: that one is newer. */
	size_t key_len = found.len - 12;
	bool is_older = cursor->last.len == found.len &&
		memcmp(cursor->last.data, found.data, key_len) == 0;
	cursor->key = parsed.key;
	cursor->object = (struct object_info){.version = parsed.version, .is_latest = !is_older};
	memcpy(cursor->last.data, found.data, found.len);
	cursor->last.len = found.len;
	return row_version_decode(value, &cursor->object.row);
}

/* Moves to the first row at or behind a key. is_first_of_key: the row found, if any, is not behind
 * a newer version of its S3 key. */
static enum err seek(
	struct index_version_cursor *cursor, const struct row_key *key, bool is_first_of_key)
{
	struct bytes found, value;
	if (key->len < BUCKET_PREFIX_LEN || get_be64(key->data + 1) != cursor->bucket)
		return ERR_NOT_FOUND; /* a successor went past the bucket */
	enum err err = index_seek(cursor->reader, key, BUCKET_PREFIX_LEN, &found, &value);
	if (err != ERR_OK)
		return err;
	if (is_first_of_key)
		cursor->last.len = 0;
	return take_row(cursor, found, value);
}

static void begin_key(const struct index_version_cursor *cursor, struct row_key *key)
{
	row_key_id(key, TABLE_VERSION, cursor->bucket);
}

/* An S3 key is at most so long; a marker of a client may be longer, and then lies between keys. */
static struct bytes cut(struct bytes key)
{
	if (key.len > ROW_KEY_LEN_MAX)
		key.len = ROW_KEY_LEN_MAX;
	return key;
}

enum err index_versions_seek(struct index_version_cursor *cursor, struct bytes key)
{
	struct row_key row_key;
	begin_key(cursor, &row_key);
	row_key_escaped(&row_key, cut(key));
	if (key.len > ROW_KEY_LEN_MAX) /* behind the longest key that begins like it */
		row_key_u16(&row_key, 1);
	return seek(cursor, &row_key, true);
}

enum err index_versions_seek_after(struct index_version_cursor *cursor, struct bytes key)
{
	struct row_key row_key;
	begin_key(cursor, &row_key);
	row_key_escaped(&row_key, cut(key));
	row_key_u16(&row_key, 1); /* behind the end 00 00 */
	return seek(cursor, &row_key, true);
}

enum err index_versions_seek_after_version(
	struct index_version_cursor *cursor, struct bytes key, struct version_id version)
{
	if (key.len > ROW_KEY_LEN_MAX)
		return index_versions_seek_after(cursor, key);
	struct row_key row_key;
	row_key_version(&row_key, cursor->bucket, key, version);
	memcpy(cursor->last.data, row_key.data, row_key.len);
	cursor->last.len = row_key.len;
	row_key_u8(&row_key, 0);
	return seek(cursor, &row_key, false);
}

enum err index_versions_skip_prefix(struct index_version_cursor *cursor, struct bytes prefix)
{
	struct row_key row_key;
	begin_key(cursor, &row_key);
	row_key_escaped(&row_key, cut(prefix));
	if (!row_key_make_successor(&row_key))
		return ERR_NOT_FOUND;
	return seek(cursor, &row_key, true);
}

enum err index_versions_next(struct index_version_cursor *cursor)
{
	assert(cursor->last.len > 0);
	struct bytes found, value;
	enum err err = buffer_view_next(&cursor->reader->view, &found, &value);
	if (err != ERR_OK)
		return err;
	if (!bytes_has_prefix(found, bytes_make(cursor->last.data, BUCKET_PREFIX_LEN)))
		return ERR_NOT_FOUND;
	return take_row(cursor, found, value);
}

enum err index_versions_next_key(struct index_version_cursor *cursor)
{
	enum err err;
	do
		err = index_versions_next(cursor);
	while (err == ERR_OK && !cursor->object.is_latest);
	return err;
}

/* --- buckets ---------------------------------------------------------------------------------- */

enum err index_bucket_next(struct index_reader *reader, struct bytes from, struct bytes owner,
	struct row_bucket *ret_bucket)
{
	struct row_key key;
	row_key_bucket_name(&key, cut(from));
	for (;;) {
		struct bytes found, value;
		struct row_bucket bucket;
		enum err err = index_seek(reader, &key, 1, &found, &value);
		if (err != ERR_OK)
			return err;
		if (value.len != 8)
			return ERR_CORRUPT;
		row_key_bucket_name(&key, bytes_from(found, 1));
		row_key_u8(&key, 0); /* just behind it */
		err = index_bucket_get(reader, get_le64(value.data), &bucket);
		if (err != ERR_OK)
			return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
		if (owner.len > 0 && !bytes_is_equal(owner, bucket.owner))
			continue;
		*ret_bucket = bucket;
		return ERR_OK;
	}
}

/* --- uploads and parts ------------------------------------------------------------------------ */

/* Where to look for what is behind (key, upload) and begins with the prefix. */
static void begin_uploads(struct row_key *row_key, uint64_t bucket, struct bytes prefix,
	struct bytes key, uint64_t upload)
{
	row_key_id(row_key, TABLE_UPLOAD, bucket);
	if (bytes_compare(key, prefix) < 0 || key.len == 0) {
		row_key_escaped(row_key, prefix);
		return;
	}
	row_key_escaped(row_key, cut(key));
	if (upload == UINT64_MAX || key.len > ROW_KEY_LEN_MAX) {
		row_key_u16(row_key, 1); /* behind the end 00 00 */
		return;
	}
	row_key_escaped_end(row_key);
	row_key_u64(row_key, upload + 1);
}

enum err index_upload_next(struct index_reader *reader, uint64_t bucket, struct bytes prefix,
	struct bytes key, uint64_t upload, struct index_upload *ret_upload)
{
	if (prefix.len > ROW_KEY_LEN_MAX)
		return ERR_NOT_FOUND;
	struct row_key row_key;
	begin_uploads(&row_key, bucket, prefix, key, upload);
	struct bytes found, value;
	enum err err = index_seek(reader, &row_key, BUCKET_PREFIX_LEN, &found, &value);
	while (err == ERR_OK) {
		struct row_object_key parsed;
		if (!bytes_has_prefix(found, bytes_make(row_key.data, BUCKET_PREFIX_LEN)))
			return ERR_NOT_FOUND;
		err = row_key_parse_object(found, ret_upload->key_buf, &parsed);
		if (err == ERR_OK)
			err = row_upload_decode(value, &ret_upload->row);
		if (err != ERR_OK)
			return err;
		if (!bytes_has_prefix(parsed.key, prefix))
			return ERR_NOT_FOUND;
		if (ret_upload->row.state == UPLOAD_OPEN) {
			ret_upload->key = parsed.key;
			ret_upload->upload = parsed.upload;
			return ERR_OK;
		}
		err = buffer_view_next(&reader->view, &found, &value);
	}
	return err;
}

enum err index_part_next(struct index_reader *reader, uint64_t upload, uint16_t from,
	uint16_t *ret_number, struct row_part *ret_part)
{
	struct row_key key;
	struct bytes found, value;
	row_key_part(&key, upload, from);
	enum err err = index_seek(reader, &key, 1 + 8, &found, &value);
	if (err == ERR_OK)
		err = row_part_decode(value, ret_part);
	if (err == ERR_OK)
		*ret_number = get_be16(found.data + 1 + 8);
	return err;
}

/* --- the rest --------------------------------------------------------------------------------- */

enum err index_access_key_next(struct index_reader *reader, struct bytes from, struct bytes *ret_id,
	struct row_access_key *ret_key)
{
	struct row_key key;
	struct bytes found, value;
	row_key_name(&key, TABLE_ACCESS_KEY, cut(from));
	enum err err = index_seek(reader, &key, 1, &found, &value);
	if (err == ERR_OK)
		err = row_access_key_decode(value, ret_key);
	if (err == ERR_OK)
		*ret_id = bytes_from(found, 1);
	return err;
}

enum err index_user_next(struct index_reader *reader, struct bytes from, struct bytes *ret_id,
	struct row_user *ret_user)
{
	struct row_key key;
	struct bytes found, value;
	row_key_name(&key, TABLE_USER, cut(from));
	enum err err = index_seek(reader, &key, 1, &found, &value);
	if (err == ERR_OK)
		err = row_user_decode(value, ret_user);
	if (err == ERR_OK)
		*ret_id = bytes_from(found, 1);
	return err;
}

enum err index_node_next(struct index_reader *reader, uint16_t from, struct row_node *ret_node)
{
	struct row_key key;
	struct bytes found, value;
	row_key_node(&key, from);
	enum err err = index_seek(reader, &key, 1, &found, &value);
	return err == ERR_OK ? row_node_decode(value, ret_node) : err;
}

enum err index_node_find(struct index_reader *reader, struct id id, struct row_node *ret_node)
{
	enum err err = index_node_next(reader, 1, ret_node);
	while (err == ERR_OK && !id_is_equal(ret_node->id, id))
		err = ret_node->number == UINT16_MAX
			? ERR_NOT_FOUND
			: index_node_next(reader, ret_node->number + 1, ret_node);
	return err;
}

enum err index_task_next(struct index_reader *reader, uint64_t from, struct row_task *ret_task)
{
	struct row_key key;
	struct bytes found, value;
	row_key_id(&key, TABLE_TASK, from);
	enum err err = index_seek(reader, &key, 1, &found, &value);
	return err == ERR_OK ? row_task_decode(value, ret_task) : err;
}

enum err index_task_find(struct index_reader *reader, struct bytes name, struct row_task *ret_task)
{
	uint64_t from = 1;
	struct row_task task;
	for (;;) {
		enum err err = index_task_next(reader, from, &task);
		if (err != ERR_OK)
			return err;
		if (task.ended_ms == 0 && bytes_is_equal(task.name, name))
			break;
		from = task.id + 1;
	}
	*ret_task = task;
	return ERR_OK;
}

#define EVENT_KEY_LEN (1 + 8 + 8 + 4 + 8)

enum err index_event_next(struct index_reader *reader, uint64_t bucket,
	const struct event_place *behind, struct index_event *ret_event)
{
	struct row_key key;
	struct bytes found, value;
	row_key_event(&key, bucket, behind);
	row_key_u8(&key, 0); /* just behind it */
	enum err err = index_seek(reader, &key, 1 + 8, &found, &value);
	if (err == ERR_OK && found.len != EVENT_KEY_LEN)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		err = row_event_decode(value, &ret_event->row);
	if (err == ERR_OK)
		ret_event->place = (struct event_place){
			.at = {get_be64(found.data + 9), get_be32(found.data + 17)},
			.hash = get_be64(found.data + 21)};
	return err;
}

enum err index_event_bucket_next(struct index_reader *reader, uint64_t from, uint64_t *ret_bucket)
{
	struct row_key key;
	struct bytes found, value;
	row_key_id(&key, TABLE_EVENT, from);
	enum err err = index_seek(reader, &key, 1, &found, &value);
	if (err == ERR_OK && found.len != EVENT_KEY_LEN)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		*ret_bucket = get_be64(found.data + 1);
	return err;
}

enum err index_notice_next(struct index_reader *reader, struct bytes target,
	struct version_id behind, struct index_notice *ret_notice)
{
	struct row_key key;
	struct bytes found, value;
	row_key_notice(&key, target, behind);
	size_t prefix_len = key.len - ROW_KEY_PLACE_LEN;
	row_key_u8(&key, 0); /* just behind it */
	enum err err = index_seek(reader, &key, prefix_len, &found, &value);
	if (err == ERR_OK && found.len != prefix_len + ROW_KEY_PLACE_LEN)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		err = row_notice_decode(value, &ret_notice->row);
	if (err == ERR_OK)
		ret_notice->place = (struct version_id){
			get_be64(found.data + prefix_len), get_be32(found.data + prefix_len + 8)};
	return err;
}

enum err index_notice_queue(
	struct index_reader *reader, struct bytes target, struct row_notice_queue *ret_queue)
{
	struct row_key key;
	struct bytes value;
	row_key_name(&key, TABLE_NOTICE_QUEUE, target);
	enum err err = index_get(reader, &key, &value);
	return err == ERR_OK ? row_notice_queue_decode(value, ret_queue) : err;
}

enum err index_notice_queue_next(struct index_reader *reader, struct bytes from,
	struct bytes *ret_target, struct row_notice_queue *ret_queue)
{
	struct row_key key;
	struct bytes found, value;
	row_key_name(&key, TABLE_NOTICE_QUEUE, from);
	enum err err = index_seek(reader, &key, 1, &found, &value);
	if (err == ERR_OK)
		err = row_notice_queue_decode(value, ret_queue);
	if (err == ERR_OK)
		*ret_target = bytes_from(found, 1);
	return err;
}

enum err index_garbage_next(struct index_reader *reader, uint64_t log_index, uint8_t kind,
	uint64_t id, struct index_garbage *ret_garbage)
{
	struct row_key key;
	struct bytes found, value;
	row_key_garbage(&key, log_index, kind, id);
	row_key_u8(&key, 0); /* just behind it */
	enum err err = index_seek(reader, &key, 1, &found, &value);
	if (err == ERR_OK && found.len != 1 + 8 + 1 + 8)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		err = row_garbage_decode(value, &ret_garbage->row);
	if (err == ERR_OK) {
		ret_garbage->log_index = get_be64(found.data + 1);
		ret_garbage->kind = found.data[1 + 8];
		ret_garbage->id = get_be64(found.data + 1 + 8 + 1);
	}
	return err;
}

enum err index_session_next(struct index_reader *reader, uint64_t from, uint64_t *ret_session,
	struct row_session *ret_row)
{
	struct row_key key;
	struct bytes found, value;
	row_key_id(&key, TABLE_SESSION, from);
	enum err err = index_seek(reader, &key, 1, &found, &value);
	if (err == ERR_OK)
		err = row_session_decode(value, ret_row);
	if (err == ERR_OK)
		*ret_session = get_be64(found.data + 1);
	return err;
}

enum err index_read_low(struct index_reader *reader, uint64_t *ret_read_low)
{
	uint64_t low = UINT64_MAX;
	uint64_t from = 0;
	for (;;) {
		struct row_session row;
		uint64_t session;
		enum err err = index_session_next(reader, from, &session, &row);
		if (err == ERR_NOT_FOUND)
			break;
		if (err != ERR_OK)
			return err;
		if (row.read_low < low)
			low = row.read_low;
		from = session + 1;
	}
	*ret_read_low = low;
	return ERR_OK;
}

enum err index_extent_next(struct index_reader *reader, uint16_t slot, struct extent_id from,
	struct extent_id *ret_extent, struct row_extent *ret_row)
{
	struct row_key key;
	struct bytes found, value;
	row_key_extent(&key, slot, from);
	enum err err = index_seek(reader, &key, 1 + 2, &found, &value);
	if (err == ERR_OK && found.len != 1 + 2 + EXTENT_ID_LEN)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		err = row_extent_decode(value, ret_row);
	if (err == ERR_OK)
		*ret_extent = extent_id_decode(found.data + 1 + 2);
	return err;
}

enum err index_drive_next(struct index_reader *reader, uint16_t from, struct row_drive *ret_drive)
{
	struct row_key key;
	struct bytes found, value;
	row_key_drive(&key, from);
	enum err err = index_seek(reader, &key, 1, &found, &value);
	return err != ERR_OK ? err : row_drive_decode(value, ret_drive);
}

enum err index_state_recount(struct index_reader *reader, struct index_state_hash *ret_hash)
{
	struct state_hash hash = {0};
	struct row_key key;
	struct bytes found, value;
	row_key_begin(&key, TABLE_LOCAL);
	enum err err = index_seek(reader, &key, 0, &found, &value);
	while (err == ERR_OK) {
		state_hash_add(&hash, found, value);
		err = buffer_view_next(&reader->view, &found, &value);
	}
	if (err != ERR_NOT_FOUND)
		return err;
	ret_hash->applied = index_view_index(reader);
	memcpy(ret_hash->tables, hash.tables, sizeof hash.tables);
	return ERR_OK;
}
