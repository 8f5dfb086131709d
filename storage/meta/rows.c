/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/rows.h"

#include "storage/meta/notice.h"
#include "storage/meta/rows_notice.h"
#include "storage/meta/rows_priv.h"

/* --- what rows and commands share ------------------------------------------------------------- */

static const struct field version_id_list[] = {
	FIELD(1, FIELD_U64, struct version_id, index, 0),
	FIELD(2, FIELD_U32, struct version_id, position, 0),
};
FIELDS(row_version_id_fields, struct version_id, version_id_list);

static const struct field etag_list[] = {
	FIELD(1, FIELD_FIXED, struct etag, md5, 16),
	FIELD(2, FIELD_U32, struct etag, part_count, 0),
};
FIELDS(row_etag_fields, struct etag, etag_list);

static const struct field checksum_list[] = {
	FIELD(1, FIELD_U8, struct checksum, algorithm, 0),
	FIELD(2, FIELD_U8, struct checksum, type, 0),
	FIELD(3, FIELD_U8, struct checksum, len, 0),
	FIELD(4, FIELD_FIXED, struct checksum, value, 64),
};
FIELDS(row_checksum_fields, struct checksum, checksum_list);

static const struct field extent_id_list[] = {
	FIELD(1, FIELD_U64, struct extent_id, session, 0),
	FIELD(2, FIELD_U64, struct extent_id, counter, 0),
};
FIELDS(row_extent_id_fields, struct extent_id, extent_id_list);

/* --- the tables ------------------------------------------------------------------------------- */

static const struct field bucket_list[] = {
	FIELD(1, FIELD_U64, struct row_bucket, id, 0),
	FIELD(2, FIELD_BYTES, struct row_bucket, name, ROW_BUCKET_NAME_LEN_MAX),
	FIELD(3, FIELD_BYTES, struct row_bucket, owner, ROW_OWNER_LEN_MAX),
	FIELD(4, FIELD_U64, struct row_bucket, created_ms, 0),
	FIELD(5, FIELD_U8, struct row_bucket, versioning, 0),
	FIELD(6, FIELD_BOOL, struct row_bucket, has_lock, 0),
	FIELD(7, FIELD_U64, struct row_bucket, quota.len, 0),
	FIELD(8, FIELD_U64, struct row_bucket, change_count, 0),
	FIELD(9, FIELD_U8, struct row_bucket, class, 0),
	FIELD(10, FIELD_U64, struct row_bucket, watched, 0),
	FIELD(11, FIELD_BOOL, struct row_bucket, is_watch_filled, 0),
	FIELD(14, FIELD_U32, struct row_bucket, notified, 0),
	FIELD(20, FIELD_U64, struct row_bucket, quota.versions, 0),
	FIELD(21, FIELD_U64, struct row_bucket, quota.soft_len, 0),
	FIELD(22, FIELD_U64, struct row_bucket, quota.soft_versions, 0),
};
static FIELDS(bucket_fields, struct row_bucket, bucket_list);

static const struct field bucket_lock_list[] = {
	FIELD(1, FIELD_U8, struct row_bucket_lock, mode, 0),
	FIELD(2, FIELD_U32, struct row_bucket_lock, days, 0),
	FIELD(3, FIELD_U32, struct row_bucket_lock, years, 0),
};
static FIELDS(bucket_lock_fields, struct row_bucket_lock, bucket_lock_list);

static const struct field bucket_counts_list[] = {
	FIELD(1, FIELD_U64, struct row_bucket_counts, objects, 0),
	FIELD(2, FIELD_U64, struct row_bucket_counts, versions, 0),
	FIELD(3, FIELD_U64, struct row_bucket_counts, len, 0),
	FIELD(4, FIELD_U64, struct row_bucket_counts, uploads, 0),
	FIELD(5, FIELD_U64, struct row_bucket_counts, parts_len, 0),
};
static FIELDS(bucket_counts_fields, struct row_bucket_counts, bucket_counts_list);

static const struct field version_list[] = {
	FIELD(1, FIELD_BOOL, struct row_version, is_null, 0),
	FIELD(2, FIELD_BOOL, struct row_version, is_delete_marker, 0),
	FIELD(3, FIELD_BOOL, struct row_version, has_overflow, 0),
	FIELD(4, FIELD_U64, struct row_version, body, 0),
	FIELD(5, FIELD_U64, struct row_version, len, 0),
	FIELD_OF(6, FIELD_STRUCT, struct row_version, etag, 0, &row_etag_fields),
	FIELD(7, FIELD_U64, struct row_version, time_ms, 0),
	FIELD(8, FIELD_U8, struct row_version, class, 0),
	FIELD(9, FIELD_U8, struct row_version, checksum_algorithm, 0),
	FIELD(10, FIELD_U8, struct row_version, checksum_type, 0),
	FIELD(11, FIELD_U64, struct row_version, invocation, 0),
	FIELD(12, FIELD_BYTES, struct row_version, owner, ROW_OWNER_LEN_MAX),
	FIELD(13, FIELD_BYTES, struct row_version, metadata, ROW_META_LEN_MAX),
	FIELD(14, FIELD_BYTES, struct row_version, tags, ROW_TAGS_LEN_MAX),
	FIELD(15, FIELD_U8, struct row_version, retention, 0),
	FIELD(16, FIELD_U64, struct row_version, retain_until_ms, 0),
	FIELD(17, FIELD_BOOL, struct row_version, has_legal_hold, 0),
	FIELD(18, FIELD_BOOL, struct row_version, had_legal_hold, 0),
	FIELD(19, FIELD_BYTES, struct row_version, acl, ROW_ACL_LEN_MAX),
};
static FIELDS(version_fields, struct row_version, version_list);

static const struct field overflow_list[] = {
	FIELD(1, FIELD_BYTES, struct row_overflow, metadata, ROW_META_LEN_MAX),
	FIELD(2, FIELD_BYTES, struct row_overflow, tags, ROW_TAGS_LEN_MAX),
};
static FIELDS(overflow_fields, struct row_overflow, overflow_list);

static const struct field event_list[] = {
	FIELD(1, FIELD_U64, struct row_event, time_ms, 0),
	FIELD(2, FIELD_BYTES, struct row_event, key, ROW_KEY_LEN_MAX),
};
static FIELDS(event_fields, struct row_event, event_list);

static const struct field notice_list[] = {
	FIELD(1, FIELD_U8, struct row_notice, event, 0),
	FIELD(2, FIELD_U64, struct row_notice, time_ms, 0),
	FIELD(3, FIELD_BYTES, struct row_notice, bucket, ROW_BUCKET_NAME_LEN_MAX),
	FIELD(4, FIELD_BYTES, struct row_notice, owner, ROW_OWNER_LEN_MAX),
	FIELD(5, FIELD_BYTES, struct row_notice, key, ROW_KEY_LEN_MAX),
	FIELD(6, FIELD_BYTES, struct row_notice, rule, NOTICE_ID_LEN_MAX),
	FIELD_OF(7, FIELD_STRUCT, struct row_notice, version, 0, &row_version_id_fields),
	FIELD(8, FIELD_BOOL, struct row_notice, is_null, 0),
	FIELD(9, FIELD_BOOL, struct row_notice, has_body, 0),
	FIELD(10, FIELD_U64, struct row_notice, len, 0),
	FIELD_OF(11, FIELD_STRUCT, struct row_notice, etag, 0, &row_etag_fields),
	FIELD(12, FIELD_BYTES, struct row_notice, origin, NOTICE_ORIGIN_LEN_MAX),
};
static FIELDS(notice_fields, struct row_notice, notice_list);

static const struct field notice_queue_list[] = {
	FIELD(1, FIELD_U64, struct row_notice_queue, count, 0),
	FIELD(2, FIELD_U64, struct row_notice_queue, dropped, 0),
};
static FIELDS(notice_queue_fields, struct row_notice_queue, notice_queue_list);

static const struct field body_list[] = {
	FIELD(1, FIELD_U8, struct row_body, kind, 0),
	FIELD(2, FIELD_U8, struct row_body, depth, 0),
	FIELD(3, FIELD_U64, struct row_body, refs, 0),
	FIELD(4, FIELD_U32, struct row_body, generation, 0),
	FIELD(5, FIELD_U64, struct row_body, len, 0),
	FIELD(6, FIELD_U64, struct row_body, stored_len, 0),
	FIELD_OF(7, FIELD_STRUCT, struct row_body, etag, 0, &row_etag_fields),
	FIELD_OF(8, FIELD_STRUCTS, struct row_body, checksums, ROW_CHECKSUMS_MAX,
		&row_checksum_fields),
	FIELD(9, FIELD_U32, struct row_body, part_count, 0),
	FIELD(10, FIELD_U32, struct row_body, piece_count, 0),
	FIELD(11, FIELD_U8, struct row_body, class, 0),
	FIELD(12, FIELD_U8, struct row_body, compression, 0),
	FIELD(13, FIELD_BYTES, struct row_body, encryption, ROW_ENCRYPTION_LEN_MAX),
	FIELD(14, FIELD_U64, struct row_body, bucket, 0),
	FIELD(15, FIELD_BYTES, struct row_body, key, ROW_KEY_LEN_MAX),
};
static FIELDS(body_fields, struct row_body, body_list);

static const struct field piece_list[] = {
	FIELD(1, FIELD_U64, struct row_piece, len, 0),
	FIELD_OF(2, FIELD_STRUCT, struct row_piece, extent, 0, &row_extent_id_fields),
	FIELD(3, FIELD_U16, struct row_piece, slot, 0),
	FIELD(4, FIELD_U64, struct row_piece, body, 0),
	FIELD(5, FIELD_U64, struct row_piece, offset, 0),
	FIELD(6, FIELD_U16, struct row_piece, part, 0),
};
static FIELDS(piece_fields, struct row_piece, piece_list);

static const struct field extent_list[] = {
	FIELD(1, FIELD_U8, struct row_extent, k, 0),
	FIELD(2, FIELD_U8, struct row_extent, m, 0),
	FIELD(3, FIELD_U32, struct row_extent, unit_len, 0),
	FIELD(4, FIELD_U32, struct row_extent, len, 0),
	FIELD(5, FIELD_U8, struct row_extent, class, 0),
	FIELD(6, FIELD_U64, struct row_extent, body, 0),
	FIELD(7, FIELD_BYTES, struct row_extent, exceptions, 3 * ROW_SHARDS_MAX),
};
static FIELDS(extent_fields, struct row_extent, extent_list);

static const struct field upload_list[] = {
	FIELD(1, FIELD_U64, struct row_upload, change_count, 0),
	FIELD(2, FIELD_U8, struct row_upload, state, 0),
	FIELD(3, FIELD_U64, struct row_upload, initiated_ms, 0),
	FIELD(4, FIELD_BYTES, struct row_upload, owner, ROW_OWNER_LEN_MAX),
	FIELD(5, FIELD_U8, struct row_upload, class, 0),
	FIELD(6, FIELD_U8, struct row_upload, checksum_algorithm, 0),
	FIELD(7, FIELD_U8, struct row_upload, checksum_type, 0),
	FIELD(8, FIELD_BYTES, struct row_upload, metadata, ROW_META_LEN_MAX),
	FIELD(9, FIELD_BYTES, struct row_upload, tags, ROW_TAGS_LEN_MAX),
	FIELD(10, FIELD_BYTES, struct row_upload, encryption, ROW_ENCRYPTION_LEN_MAX),
	FIELD(11, FIELD_U8, struct row_upload, retention, 0),
	FIELD(12, FIELD_U64, struct row_upload, retain_until_ms, 0),
	FIELD(13, FIELD_BOOL, struct row_upload, has_legal_hold, 0),
	FIELD_OF(14, FIELD_STRUCT, struct row_upload, version, 0, &row_version_id_fields),
	FIELD(15, FIELD_BOOL, struct row_upload, is_null, 0),
	FIELD_OF(16, FIELD_STRUCT, struct row_upload, etag, 0, &row_etag_fields),
	FIELD(17, FIELD_U64, struct row_upload, completed_ms, 0),
	FIELD(18, FIELD_U64, struct row_upload, parts_hash, 0),
	FIELD(19, FIELD_U64, struct row_upload, len, 0),
	FIELD(20, FIELD_BYTES, struct row_upload, acl, ROW_ACL_LEN_MAX),
	FIELD(21, FIELD_U64, struct row_upload, parts_len, 0),
};
static FIELDS(upload_fields, struct row_upload, upload_list);

static const struct field part_list[] = {
	FIELD(1, FIELD_U64, struct row_part, body, 0),
	FIELD(2, FIELD_U64, struct row_part, len, 0),
	FIELD_OF(3, FIELD_STRUCT, struct row_part, etag, 0, &row_etag_fields),
	FIELD(4, FIELD_U64, struct row_part, time_ms, 0),
	FIELD(6, FIELD_U8, struct row_part, depth, 0),
	FIELD_OF(5, FIELD_STRUCT, struct row_part, checksum, 0, &row_checksum_fields),
	FIELD(7, FIELD_BOOL, struct row_part, is_counted, 0),
};
static FIELDS(part_fields, struct row_part, part_list);

static const struct field session_list[] = {
	FIELD(1, FIELD_FIXED, struct row_session, node, ID_LEN),
	FIELD(2, FIELD_U64, struct row_session, start, 0),
	FIELD(3, FIELD_U64, struct row_session, opened_ms, 0),
	FIELD(4, FIELD_U64, struct row_session, open_low, 0),
	FIELD(5, FIELD_U64, struct row_session, read_low, 0),
	FIELD(6, FIELD_U64, struct row_session, result_low, 0),
};
static FIELDS(session_fields, struct row_session, session_list);

static const struct field garbage_list[] = {
	FIELD(1, FIELD_U64, struct row_garbage, bucket, 0),
	FIELD(2, FIELD_BYTES, struct row_garbage, key, ROW_KEY_LEN_MAX),
	FIELD(3, FIELD_U64, struct row_garbage, time_ms, 0),
	FIELD(4, FIELD_BYTES, struct row_garbage, parts_taken, ROW_PARTS_TAKEN_LEN),
};
static FIELDS(garbage_fields, struct row_garbage, garbage_list);

static const struct field drive_list[] = {
	FIELD(1, FIELD_U16, struct row_drive, number, 0),
	FIELD(2, FIELD_FIXED, struct row_drive, drive, ID_LEN),
	FIELD(3, FIELD_FIXED, struct row_drive, node, ID_LEN),
	FIELD(4, FIELD_U64, struct row_drive, mount, 0),
	FIELD(5, FIELD_U8, struct row_drive, class, 0),
	FIELD(6, FIELD_U8, struct row_drive, state, 0),
	FIELD(7, FIELD_U64, struct row_drive, weight, 0),
	FIELD(8, FIELD_BYTES, struct row_drive, zone, ROW_ZONE_LEN_MAX),
	FIELD(9, FIELD_U64, struct row_drive, added_ms, 0),
	FIELD(10, FIELD_U64, struct row_drive, gone_ms, 0),
};
static FIELDS(drive_fields, struct row_drive, drive_list);

static const struct field node_list[] = {
	FIELD(1, FIELD_U16, struct row_node, number, 0),
	FIELD(2, FIELD_FIXED, struct row_node, id, ID_LEN),
	FIELD(3, FIELD_FIXED, struct row_node, key, ROW_NODE_KEY_LEN),
	FIELD(4, FIELD_BYTES, struct row_node, name, ROW_NODE_NAME_LEN_MAX),
	FIELD(5, FIELD_BYTES, struct row_node, zone, ROW_ZONE_LEN_MAX),
	FIELD(6, FIELD_BYTES, struct row_node, addresses, ROW_ADDRESSES_LEN_MAX),
	FIELD(7, FIELD_U8, struct row_node, role, 0),
	FIELD(8, FIELD_U8, struct row_node, state, 0),
	FIELD(9, FIELD_U16, struct row_node, version_min, 0),
	FIELD(10, FIELD_U16, struct row_node, version_max, 0),
	FIELD(11, FIELD_U64, struct row_node, joined_ms, 0),
	FIELD(12, FIELD_U64, struct row_node, maintenance_until_ms, 0),
	FIELD(13, FIELD_U64, struct row_node, away_ms, 0),
};
static FIELDS(node_fields, struct row_node, node_list);

static const struct field token_list[] = {
	FIELD(1, FIELD_BYTES, struct row_token, secret, ROW_SECRET_LEN_MAX),
	FIELD(2, FIELD_U64, struct row_token, made_ms, 0),
	FIELD(3, FIELD_U64, struct row_token, end_ms, 0),
	FIELD(4, FIELD_FIXED, struct row_token, spent_by, ID_LEN),
};
static FIELDS(token_fields, struct row_token, token_list);

static const struct field access_key_list[] = {
	FIELD(1, FIELD_BYTES, struct row_access_key, secret, ROW_SECRET_LEN_MAX),
	FIELD(2, FIELD_BYTES, struct row_access_key, owner, ROW_OWNER_LEN_MAX),
	FIELD(3, FIELD_BYTES, struct row_access_key, description, ROW_DESCRIPTION_LEN_MAX),
	FIELD(4, FIELD_BYTES, struct row_access_key, policy, ROW_POLICY_LEN_MAX),
	FIELD(5, FIELD_U8, struct row_access_key, state, 0),
	FIELD(6, FIELD_U8, struct row_access_key, role, 0),
	FIELD(7, FIELD_U64, struct row_access_key, created_ms, 0),
	FIELD(8, FIELD_U64, struct row_access_key, expires_ms, 0),
	FIELD(9, FIELD_BOOL, struct row_access_key, has_user, 0),
};
static FIELDS(access_key_fields, struct row_access_key, access_key_list);

static const struct field user_list[] = {
	FIELD(1, FIELD_BYTES, struct row_user, name, ROW_USER_NAME_LEN_MAX),
	FIELD(2, FIELD_BYTES, struct row_user, email, ROW_EMAIL_LEN_MAX),
	FIELD(3, FIELD_BYTES, struct row_user, policy, ROW_POLICY_LEN_MAX),
	FIELD(4, FIELD_U8, struct row_user, state, 0),
	FIELD(5, FIELD_U64, struct row_user, created_ms, 0),
};
static FIELDS(user_fields, struct row_user, user_list);

static const struct field quota_list[] = {
	FIELD(1, FIELD_U64, struct row_quota, len, 0),
	FIELD(2, FIELD_U64, struct row_quota, versions, 0),
	FIELD(3, FIELD_U64, struct row_quota, soft_len, 0),
	FIELD(4, FIELD_U64, struct row_quota, soft_versions, 0),
};
FIELDS(row_quota_fields, struct row_quota, quota_list);

static const struct field user_usage_list[] = {
	FIELD_OF(1, FIELD_STRUCT, struct row_user_usage, counts, 0, &bucket_counts_fields),
	FIELD(2, FIELD_U64, struct row_user_usage, buckets, 0),
	FIELD_OF(3, FIELD_STRUCT, struct row_user_usage, quota, 0, &row_quota_fields),
};
static FIELDS(user_usage_fields, struct row_user_usage, user_usage_list);

static const struct field move_list[] = {
	FIELD(1, FIELD_U16, struct row_move, from, 0),
	FIELD(2, FIELD_U16, struct row_move, to, 0),
	FIELD_OF(3, FIELD_STRUCT, struct row_move, cursor, 0, &row_extent_id_fields),
	FIELD(4, FIELD_BOOL, struct row_move, is_ended, 0),
	FIELD(5, FIELD_U64, struct row_move, began_ms, 0),
	FIELD(6, FIELD_U64, struct row_move, since, 0),
	FIELD(7, FIELD_U64, struct row_move, left, 0),
};
static FIELDS(move_fields, struct row_move, move_list);

static const struct field span_list[] = {
	FIELD(1, FIELD_U8, struct row_span, shard, 0),
	FIELD_OF(2, FIELD_STRUCT, struct row_span, cursor, 0, &row_extent_id_fields),
	FIELD(3, FIELD_U64, struct row_span, began_ms, 0),
};
static FIELDS(span_fields, struct row_span, span_list);

static const struct field leftover_list[] = {
	FIELD(1, FIELD_U64, struct row_leftover, since, 0),
};
static FIELDS(leftover_fields, struct row_leftover, leftover_list);

static const struct field task_list[] = {
	FIELD(1, FIELD_U64, struct row_task, id, 0),
	FIELD(2, FIELD_BYTES, struct row_task, name, ROW_TASK_NAME_LEN_MAX),
	FIELD(3, FIELD_U64, struct row_task, began_ms, 0),
	FIELD(4, FIELD_U64, struct row_task, ended_ms, 0),
	FIELD(5, FIELD_BYTES, struct row_task, text, ROW_TASK_TEXT_LEN_MAX),
};
static FIELDS(task_fields, struct row_task, task_list);

static const struct field slot_shard_list[] = {
	FIELD(1, FIELD_U64, struct row_slot_shard, count, 0),
	FIELD(2, FIELD_U64, struct row_slot_shard, len, 0),
	FIELD(3, FIELD_U64, struct row_slot_shard, exceptions, 0),
	FIELD(4, FIELD_U64, struct row_slot_shard, missing, 0),
};
static FIELDS(slot_shard_fields, struct row_slot_shard, slot_shard_list);

static const struct field slot_code_list[] = {
	FIELD(1, FIELD_U64, struct row_slot_code, extents, 0),
	FIELD(2, FIELD_U64, struct row_slot_code, len, 0),
};
static FIELDS(slot_code_fields, struct row_slot_code, slot_code_list);

static const struct field slot_kind_list[] = {
	FIELD(1, FIELD_U8, struct row_slot_kind, k, 0),
	FIELD(2, FIELD_U8, struct row_slot_kind, m, 0),
	FIELD(3, FIELD_BOOL, struct row_slot_kind, is_mirrored, 0),
	FIELD(4, FIELD_U64, struct row_slot_kind, extents, 0),
	FIELD(5, FIELD_U64, struct row_slot_kind, len, 0),
};
static FIELDS(slot_kind_fields, struct row_slot_kind, slot_kind_list);

static const struct field slot_counts_list[] = {
	FIELD(1, FIELD_U64, struct row_slot_counts, extents, 0),
	FIELD(2, FIELD_U64, struct row_slot_counts, len, 0),
	FIELD(3, FIELD_U64, struct row_slot_counts, exceptions, 0),
	FIELD(4, FIELD_U64, struct row_slot_counts, missing, 0),
	FIELD_OF(5, FIELD_STRUCTS, struct row_slot_counts, shards, ROW_SHARDS_MAX,
		&slot_shard_fields),
	FIELD_OF(
		6, FIELD_STRUCTS, struct row_slot_counts, codes, ROW_SHARDS_MAX, &slot_code_fields),
	FIELD_OF(7, FIELD_STRUCTS, struct row_slot_counts, kinds, ROW_KINDS_MAX, &slot_kind_fields),
};
static FIELDS(slot_counts_fields, struct row_slot_counts, slot_counts_list);

static const struct field drive_counts_list[] = {
	FIELD(1, FIELD_U64, struct row_drive_counts, exceptions, 0),
};
static FIELDS(drive_counts_fields, struct row_drive_counts, drive_counts_list);

/* --- bytes ------------------------------------------------------------------------------------ */

/* Rows are checked before they are made, so they fit. */
static size_t encode(const struct fields *fields, const void *row, uint8_t *buf)
{
	struct fields_out out = {.data = buf, .cap = ROW_LEN_MAX};
	buf[0] = ROW_FORMAT;
	out.len = 1;
	fields_encode(&out, fields, row);
	assert(!out.is_full);
	return out.len;
}

static enum err check_format(struct bytes value)
{
	if (value.len == 0 || value.data[0] == 0)
		return ERR_CORRUPT;
	return value.data[0] > ROW_FORMAT ? ERR_VERSION : ERR_OK;
}

static enum err decode(const struct fields *fields, struct bytes value, void *row)
{
	enum err err = check_format(value);
	if (err != ERR_OK)
		return err;
	return fields_decode(fields, bytes_from(value, 1), row) == ERR_OK ? ERR_OK : ERR_CORRUPT;
}

#define X(name) \
	size_t row_##name##_encode(const struct row_##name *row, uint8_t *buf) \
	{ \
		return encode(&name##_fields, row, buf); \
	} \
	enum err row_##name##_decode(struct bytes value, struct row_##name *ret_row) \
	{ \
		return decode(&name##_fields, value, ret_row); \
	}
ROWS_TABLE(X)
#undef X

size_t row_pieces_encode(const struct row_piece *pieces, size_t count, uint8_t *buf)
{
	assert(count > 0 && count <= ROW_PIECES_MAX);
	struct fields_out out = {.data = buf, .len = 1, .cap = ROW_LEN_MAX};
	buf[0] = ROW_FORMAT;
	for (size_t i = 0; i < count; i++)
		fields_list_append(&out, &piece_fields, &pieces[i]);
	assert(!out.is_full);
	return out.len;
}

enum err row_pieces_decode(struct bytes value, struct row_pieces *ret_row)
{
	enum err err = check_format(value);
	if (err != ERR_OK)
		return err;
	ret_row->list = bytes_from(value, 1);
	return ERR_OK;
}

enum err row_piece_next(struct row_pieces *row, struct row_piece *ret_piece)
{
	enum err err = fields_list_next(&piece_fields, &row->list, ret_piece);
	if (err == ERR_OK || err == ERR_END)
		return err;
	return ERR_CORRUPT;
}

/* --- metadata --------------------------------------------------------------------------------- */

#define PAIR_HEAD_LEN 3

bool metadata_next(struct bytes *rest, struct metadata_pair *ret_pair)
{
	if (rest->len < PAIR_HEAD_LEN)
		return false;
	size_t name_len = rest->data[0];
	size_t value_len = get_le16(rest->data + 1);
	if (rest->len < PAIR_HEAD_LEN + name_len + value_len)
		return false;
	ret_pair->name = bytes_make(rest->data + PAIR_HEAD_LEN, name_len);
	ret_pair->value = bytes_make(rest->data + PAIR_HEAD_LEN + name_len, value_len);
	*rest = bytes_from(*rest, PAIR_HEAD_LEN + name_len + value_len);
	return true;
}

enum err metadata_append(
	uint8_t *buf, size_t cap, size_t *len, struct bytes name, struct bytes value)
{
	assert(*len <= cap);
	if (name.len > UINT8_MAX || value.len > UINT16_MAX ||
		PAIR_HEAD_LEN + name.len + value.len > cap - *len)
		return ERR_LIMIT;
	uint8_t *p = buf + *len;
	p[0] = name.len;
	put_le16(p + 1, value.len);
	if (name.len > 0)
		memcpy(p + PAIR_HEAD_LEN, name.data, name.len);
	if (value.len > 0)
		memcpy(p + PAIR_HEAD_LEN + name.len, value.data, value.len);
	*len += PAIR_HEAD_LEN + name.len + value.len;
	return ERR_OK;
}

bool metadata_is_valid(struct bytes metadata)
{
	struct metadata_pair pair;
	while (metadata_next(&metadata, &pair)) {
	}
	return metadata.len == 0;
}
