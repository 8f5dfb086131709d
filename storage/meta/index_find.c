/* SPDX-License-Identifier: Apache-2.0 */
/* Single rows, under a view. */
#include "storage/meta/index_priv.h"

enum err index_get(struct index_reader *reader, const struct row_key *key, struct bytes *ret_value)
{
	assert(reader->magic == READER_MAGIC && reader->has_begun);
	return buffer_view_get(&reader->view, row_key_bytes(key), ret_value);
}

enum err index_seek(struct index_reader *reader, const struct row_key *key, size_t prefix_len,
	struct bytes *ret_key, struct bytes *ret_value)
{
	assert(reader->magic == READER_MAGIC && reader->has_begun);
	assert(prefix_len <= key->len);
	struct bytes found, value;
	enum err err = buffer_view_seek(&reader->view, row_key_bytes(key), &found, &value);
	if (err != ERR_OK)
		return err;
	if (!bytes_has_prefix(found, bytes_make(key->data, prefix_len)))
		return ERR_NOT_FOUND;
	*ret_key = found;
	*ret_value = value;
	return ERR_OK;
}

/* Gets and decodes a row of a table. */
#define GET_ROW(reader, key, name, ret_row) \
	struct bytes value; \
	enum err get_err = index_get((reader), (key), &value); \
	return get_err != ERR_OK ? get_err : row_##name##_decode(value, (ret_row))

/* A name that is longer than its kind can be has no row. */
static bool is_possible(struct bytes name, size_t len_max)
{
	return name.len > 0 && name.len <= len_max;
}

/* --- buckets ---------------------------------------------------------------------------------- */

enum err index_bucket_get(
	struct index_reader *reader, uint64_t bucket, struct row_bucket *ret_bucket)
{
	struct row_key key;
	row_key_id(&key, TABLE_BUCKET, bucket);
	GET_ROW(reader, &key, bucket, ret_bucket);
}

enum err index_bucket_find(
	struct index_reader *reader, struct bytes name, struct row_bucket *ret_bucket)
{
	if (!is_possible(name, ROW_BUCKET_NAME_LEN_MAX))
		return ERR_NOT_FOUND;
	struct row_key key;
	struct bytes value;
	row_key_bucket_name(&key, name);
	enum err err = index_get(reader, &key, &value);
	if (err != ERR_OK)
		return err;
	if (value.len != 8)
		return ERR_CORRUPT;
	return index_bucket_get(reader, get_le64(value.data), ret_bucket);
}

enum err index_bucket_counts(
	struct index_reader *reader, uint64_t bucket, struct row_bucket_counts *ret_counts)
{
	struct row_key key;
	row_key_id(&key, TABLE_BUCKET_COUNTS, bucket);
	GET_ROW(reader, &key, bucket_counts, ret_counts);
}

enum err index_bucket_config(struct index_reader *reader, uint64_t bucket, enum bucket_config kind,
	struct bytes *ret_config)
{
	struct row_key key;
	row_key_bucket_config(&key, bucket, kind);
	return index_get(reader, &key, ret_config);
}

/* --- versions --------------------------------------------------------------------------------- */

/* Reads a version row, and what is in the overflow table. */
static enum err read_object(struct index_reader *reader, struct bytes value,
	struct version_id version, struct object_info *ret_object)
{
	struct object_info object = {.version = version};
	enum err err = row_version_decode(value, &object.row);
	if (err != ERR_OK)
		return err;
	if (object.row.has_overflow) {
		struct row_key key;
		struct row_overflow overflow;
		row_key_overflow(&key, version);
		err = index_get(reader, &key, &value);
		if (err == ERR_OK)
			err = row_overflow_decode(value, &overflow);
		if (err != ERR_OK)
			return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
		object.row.metadata = overflow.metadata;
		object.row.tags = overflow.tags;
	}
	*ret_object = object;
	return ERR_OK;
}

enum err index_version_find(struct index_reader *reader, uint64_t bucket, struct bytes key,
	struct object_info *ret_object)
{
	if (!is_possible(key, ROW_KEY_LEN_MAX))
		return ERR_NOT_FOUND;
	struct row_key row_key;
	struct bytes found, value;
	row_key_object(&row_key, TABLE_VERSION, bucket, key);
	enum err err = index_seek(reader, &row_key, row_key.len, &found, &value);
	if (err != ERR_OK)
		return err;
	if (found.len != row_key.len + 12)
		return ERR_CORRUPT;
	struct version_id version = {
		.index = ~get_be64(found.data + row_key.len),
		.position = ~get_be32(found.data + row_key.len + 8),
	};
	err = read_object(reader, value, version, ret_object);
	if (err == ERR_OK)
		ret_object->is_latest = true;
	return err;
}

enum err index_version_get(struct index_reader *reader, uint64_t bucket, struct bytes key,
	struct version_id version, struct object_info *ret_object)
{
	if (!is_possible(key, ROW_KEY_LEN_MAX))
		return ERR_NOT_FOUND;
	struct row_key row_key;
	struct bytes value;
	row_key_version(&row_key, bucket, key, version);
	enum err err = index_get(reader, &row_key, &value);
	return err != ERR_OK ? err : read_object(reader, value, version, ret_object);
}

enum err index_version_null(struct index_reader *reader, uint64_t bucket, struct bytes key,
	struct object_info *ret_object)
{
	struct object_info newest;
	enum err err = index_version_find(reader, bucket, key, &newest);
	if (err != ERR_OK)
		return err;
	if (newest.row.is_null) {
		*ret_object = newest;
		return ERR_OK;
	}
	struct row_key row_key;
	struct bytes value;
	row_key_object(&row_key, TABLE_NULL_VERSION, bucket, key);
	err = index_get(reader, &row_key, &value);
	if (err != ERR_OK)
		return err;
	if (value.len != 12)
		return ERR_CORRUPT;
	struct version_id version = {get_le64(value.data), get_le32(value.data + 8)};
	return index_version_get(reader, bucket, key, version, ret_object);
}

/* --- bodies and extents ----------------------------------------------------------------------- */

enum err index_body_get(struct index_reader *reader, uint64_t body, struct row_body *ret_body)
{
	struct row_key key;
	row_key_id(&key, TABLE_BODY, body);
	GET_ROW(reader, &key, body, ret_body);
}

enum err index_frames_get(struct index_reader *reader, uint64_t body, struct bytes *ret_table)
{
	struct row_key key;
	row_key_id(&key, TABLE_FRAMES, body);
	return index_get(reader, &key, ret_table);
}

enum err index_inline_get(struct index_reader *reader, uint64_t body, struct bytes *ret_data)
{
	struct row_key key;
	struct row_body row;
	row_key_id(&key, TABLE_INLINE, body);
	enum err err = index_get(reader, &key, ret_data);
	if (err != ERR_NOT_FOUND)
		return err;
	err = index_body_get(reader, body, &row);
	if (err != ERR_OK)
		return err;
	if (row.kind != BODY_INLINE || row.stored_len != 0)
		return row.kind == BODY_INLINE ? ERR_CORRUPT : ERR_NOT_FOUND;
	*ret_data = bytes_make("", 0);
	return ERR_OK;
}

enum err index_extent_get(struct index_reader *reader, uint16_t slot, struct extent_id extent,
	struct row_extent *ret_row)
{
	struct row_key key;
	row_key_extent(&key, slot, extent);
	GET_ROW(reader, &key, extent, ret_row);
}

enum err index_slot_counts(
	struct index_reader *reader, uint16_t slot, struct row_slot_counts *ret_counts)
{
	struct row_key key;
	row_key_slot(&key, slot);
	GET_ROW(reader, &key, slot_counts, ret_counts);
}

enum err index_extent_is_settled(
	struct index_reader *reader, struct extent_id extent, bool *ret_is_settled)
{
	struct row_key key;
	struct bytes value;
	struct row_session row;
	row_key_id(&key, TABLE_SESSION, extent.session);
	enum err err = index_get(reader, &key, &value);
	if (err == ERR_NOT_FOUND) {
		/* Closed, if this view is not from before it was opened. */
		*ret_is_settled = extent.session >> 20 <= index_view_index(reader);
		return ERR_OK;
	}
	if (err == ERR_OK)
		err = row_session_decode(value, &row);
	if (err == ERR_OK)
		*ret_is_settled = extent.counter < row.open_low;
	return err;
}

/* --- uploads, keys, settings, drives ---------------------------------------------------------- */

enum err index_upload_get(struct index_reader *reader, uint64_t bucket, struct bytes key,
	uint64_t upload, struct row_upload *ret_upload)
{
	if (!is_possible(key, ROW_KEY_LEN_MAX))
		return ERR_NOT_FOUND;
	struct row_key row_key;
	row_key_upload(&row_key, bucket, key, upload);
	GET_ROW(reader, &row_key, upload, ret_upload);
}

enum err index_access_key_get(
	struct index_reader *reader, struct bytes id, struct row_access_key *ret_key)
{
	if (!is_possible(id, ROW_ACCESS_KEY_ID_LEN_MAX))
		return ERR_NOT_FOUND;
	struct row_key key;
	row_key_name(&key, TABLE_ACCESS_KEY, id);
	GET_ROW(reader, &key, access_key, ret_key);
}

enum err index_user_get(struct index_reader *reader, struct bytes id, struct row_user *ret_user)
{
	if (!is_possible(id, ROW_OWNER_LEN_MAX))
		return ERR_NOT_FOUND;
	struct row_key key;
	row_key_name(&key, TABLE_USER, id);
	GET_ROW(reader, &key, user, ret_user);
}

enum err index_user_usage_get(
	struct index_reader *reader, struct bytes id, struct row_user_usage *ret_usage)
{
	if (!is_possible(id, ROW_OWNER_LEN_MAX))
		return ERR_NOT_FOUND;
	struct row_key key;
	row_key_name(&key, TABLE_USER_USAGE, id);
	GET_ROW(reader, &key, user_usage, ret_usage);
}

enum err index_setting_get(struct index_reader *reader, struct bytes name, struct bytes *ret_value)
{
	if (!is_possible(name, ROW_SETTING_NAME_LEN_MAX))
		return ERR_NOT_FOUND;
	struct row_key key;
	row_key_name(&key, TABLE_SETTING, name);
	return index_get(reader, &key, ret_value);
}

enum err index_token_get(struct index_reader *reader, struct id token, struct row_token *ret_token)
{
	struct row_key key;
	row_key_token(&key, token);
	GET_ROW(reader, &key, token, ret_token);
}

enum err index_drive_get(struct index_reader *reader, uint16_t number, struct row_drive *ret_drive)
{
	struct row_key key;
	row_key_drive(&key, number);
	GET_ROW(reader, &key, drive, ret_drive);
}
