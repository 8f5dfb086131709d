/* SPDX-License-Identifier: Apache-2.0 */
/* Which field of which command has which tag. Tags are never used again (F4). */
#include "storage/meta/command_priv.h"
#include "storage/meta/notice.h"
#include "storage/meta/rows_priv.h"

/* --- parts of commands ------------------------------------------------------------------------ */

static const struct field extent_list[] = {
	FIELD_OF(1, FIELD_STRUCT, struct command_extent, extent, 0, &row_extent_id_fields),
	FIELD(2, FIELD_U8, struct command_extent, k, 0),
	FIELD(3, FIELD_U8, struct command_extent, m, 0),
	FIELD(4, FIELD_U8, struct command_extent, class, 0),
	FIELD(5, FIELD_U32, struct command_extent, unit_len, 0),
	FIELD(6, FIELD_U32, struct command_extent, len, 0),
	FIELD(7, FIELD_BYTES, struct command_extent, drives, 2 * ROW_SHARDS_MAX),
};
FIELDS(command_extent_fields, struct command_extent, extent_list);

static const struct field conditions_list[] = {
	FIELD(1, FIELD_BOOL, struct command_conditions, if_none_match_any, 0),
	FIELD(2, FIELD_BOOL, struct command_conditions, if_match_any, 0),
	FIELD(3, FIELD_BOOL, struct command_conditions, has_if_match, 0),
	FIELD(4, FIELD_BOOL, struct command_conditions, has_if_none_match, 0),
	FIELD_OF(5, FIELD_STRUCT, struct command_conditions, if_match, 0, &row_etag_fields),
	FIELD_OF(6, FIELD_STRUCT, struct command_conditions, if_none_match, 0, &row_etag_fields),
	FIELD(7, FIELD_U64, struct command_conditions, if_match_time_ms, 0),
	FIELD(8, FIELD_BOOL, struct command_conditions, has_if_match_len, 0),
	FIELD(9, FIELD_U64, struct command_conditions, if_match_len, 0),
};
static FIELDS(conditions_fields, struct command_conditions, conditions_list);

static const struct field body_list[] = {
	FIELD(1, FIELD_U64, struct command_body, len, 0),
	FIELD(2, FIELD_U64, struct command_body, stored_len, 0),
	FIELD_OF(3, FIELD_STRUCT, struct command_body, etag, 0, &row_etag_fields),
	FIELD_OF(4, FIELD_STRUCTS, struct command_body, checksums, ROW_CHECKSUMS_MAX,
		&row_checksum_fields),
	FIELD(5, FIELD_U8, struct command_body, compression, 0),
	FIELD(6, FIELD_BYTES, struct command_body, frame_lens, ROW_FRAMES_LEN_MAX),
	FIELD(7, FIELD_BYTES, struct command_body, encryption, ROW_ENCRYPTION_LEN_MAX),
	FIELD(8, FIELD_BYTES, struct command_body, inline_data, ROW_INLINE_LEN_MAX),
	FIELD(9, FIELD_BYTES, struct command_body, extents, COMMAND_LEN_MAX),
	FIELD(10, FIELD_U64, struct command_body, staged, 0),
};
static FIELDS(body_fields, struct command_body, body_list);

static const struct field attributes_list[] = {
	FIELD(1, FIELD_BYTES, struct command_attributes, metadata, ROW_META_LEN_MAX),
	FIELD(2, FIELD_BYTES, struct command_attributes, tags, ROW_TAGS_LEN_MAX),
	FIELD(3, FIELD_U8, struct command_attributes, class, 0),
	FIELD(4, FIELD_U8, struct command_attributes, retention, 0),
	FIELD(5, FIELD_U64, struct command_attributes, retain_until_ms, 0),
	FIELD(6, FIELD_BOOL, struct command_attributes, has_legal_hold, 0),
	FIELD(7, FIELD_BYTES, struct command_attributes, owner, ROW_OWNER_LEN_MAX),
	FIELD(8, FIELD_BYTES, struct command_attributes, acl, ROW_ACL_LEN_MAX),
};
static FIELDS(attributes_fields, struct command_attributes, attributes_list);

static const struct field delete_list[] = {
	FIELD(1, FIELD_BYTES, struct command_delete, key, ROW_KEY_LEN_MAX),
	FIELD_OF(2, FIELD_STRUCT, struct command_delete, version, 0, &row_version_id_fields),
	FIELD(3, FIELD_BOOL, struct command_delete, is_null, 0),
	FIELD_OF(4, FIELD_STRUCT, struct command_delete, conditions, 0, &conditions_fields),
};
FIELDS(command_delete_fields, struct command_delete, delete_list);

static const struct field shard_move_list[] = {
	FIELD(1, FIELD_U16, struct command_shard_move, slot, 0),
	FIELD_OF(2, FIELD_STRUCT, struct command_shard_move, extent, 0, &row_extent_id_fields),
	FIELD(3, FIELD_U8, struct command_shard_move, shard, 0),
	FIELD(4, FIELD_U16, struct command_shard_move, from, 0),
	FIELD(5, FIELD_U16, struct command_shard_move, drive, 0),
};
FIELDS(command_shard_move_fields, struct command_shard_move, shard_move_list);

/* --- commands --------------------------------------------------------------------------------- */

static const struct field session_open_list[] = {
	FIELD(1, FIELD_FIXED, struct command_session_open, node, ID_LEN),
	FIELD(2, FIELD_U64, struct command_session_open, start, 0),
};
static FIELDS(session_open_fields, struct command_session_open, session_open_list);

static const struct field session_close_list[] = {
	FIELD(1, FIELD_U64, struct command_session_close, session, 0),
};
static FIELDS(session_close_fields, struct command_session_close, session_close_list);

static const struct field session_report_list[] = {
	FIELD(1, FIELD_U64, struct command_session_report, open_low, 0),
	FIELD(2, FIELD_U64, struct command_session_report, read_low, 0),
};
static FIELDS(session_report_fields, struct command_session_report, session_report_list);

static const struct field bucket_create_list[] = {
	FIELD(1, FIELD_BYTES, struct command_bucket_create, name, ROW_BUCKET_NAME_LEN_MAX),
	FIELD(2, FIELD_BYTES, struct command_bucket_create, owner, ROW_OWNER_LEN_MAX),
	FIELD(3, FIELD_U8, struct command_bucket_create, versioning, 0),
	FIELD(4, FIELD_BOOL, struct command_bucket_create, has_lock, 0),
	FIELD(5, FIELD_U8, struct command_bucket_create, class, 0),
};
static FIELDS(bucket_create_fields, struct command_bucket_create, bucket_create_list);

static const struct field bucket_delete_list[] = {
	FIELD(1, FIELD_U64, struct command_bucket_delete, bucket, 0),
};
static FIELDS(bucket_delete_fields, struct command_bucket_delete, bucket_delete_list);

static const struct field bucket_update_list[] = {
	FIELD(1, FIELD_U64, struct command_bucket_update, bucket, 0),
	FIELD(2, FIELD_U64, struct command_bucket_update, change_count, 0),
	FIELD(3, FIELD_U32, struct command_bucket_update, set, 0),
	FIELD(4, FIELD_U8, struct command_bucket_update, versioning, 0),
	FIELD(5, FIELD_U64, struct command_bucket_update, quota.len, 0),
	FIELD(6, FIELD_BYTES, struct command_bucket_update, owner, ROW_OWNER_LEN_MAX),
	FIELD(7, FIELD_U8, struct command_bucket_update, class, 0),
	FIELD(8, FIELD_U8, struct command_bucket_update, config_kind, 0),
	FIELD(9, FIELD_BYTES, struct command_bucket_update, config, ROW_CONFIG_LEN_MAX),
	FIELD(20, FIELD_U64, struct command_bucket_update, quota.versions, 0),
	FIELD(21, FIELD_U64, struct command_bucket_update, quota.soft_len, 0),
	FIELD(22, FIELD_U64, struct command_bucket_update, quota.soft_versions, 0),
};
static FIELDS(bucket_update_fields, struct command_bucket_update, bucket_update_list);

static const struct field object_put_list[] = {
	FIELD(1, FIELD_U64, struct command_object_put, bucket, 0),
	FIELD(2, FIELD_BYTES, struct command_object_put, key, ROW_KEY_LEN_MAX),
	FIELD_OF(3, FIELD_STRUCT, struct command_object_put, conditions, 0, &conditions_fields),
	FIELD_OF(4, FIELD_STRUCT, struct command_object_put, attributes, 0, &attributes_fields),
	FIELD_OF(5, FIELD_STRUCT, struct command_object_put, body, 0, &body_fields),
	FIELD(6, FIELD_U64, struct command_object_put, invocation, 0),
	FIELD(7, FIELD_BYTES, struct command_object_put, origin, NOTICE_ORIGIN_LEN_MAX),
	FIELD(8, FIELD_BOOL, struct command_object_put, is_form, 0),
};
static FIELDS(object_put_fields, struct command_object_put, object_put_list);

static const struct field object_delete_list[] = {
	FIELD(1, FIELD_U64, struct command_object_delete, bucket, 0),
	FIELD(2, FIELD_BOOL, struct command_object_delete, bypass_governance, 0),
	FIELD(3, FIELD_BYTES, struct command_object_delete, deletes, COMMAND_LEN_MAX),
	FIELD(4, FIELD_BYTES, struct command_object_delete, origin, NOTICE_ORIGIN_LEN_MAX),
};
static FIELDS(object_delete_fields, struct command_object_delete, object_delete_list);

static const struct field object_copy_list[] = {
	FIELD(1, FIELD_U64, struct command_object_copy, source_bucket, 0),
	FIELD(2, FIELD_BYTES, struct command_object_copy, source_key, ROW_KEY_LEN_MAX),
	FIELD_OF(3, FIELD_STRUCT, struct command_object_copy, source_version, 0,
		&row_version_id_fields),
	FIELD(4, FIELD_U64, struct command_object_copy, source_body, 0),
	FIELD(5, FIELD_U64, struct command_object_copy, bucket, 0),
	FIELD(6, FIELD_BYTES, struct command_object_copy, key, ROW_KEY_LEN_MAX),
	FIELD_OF(7, FIELD_STRUCT, struct command_object_copy, conditions, 0, &conditions_fields),
	FIELD_OF(8, FIELD_STRUCT, struct command_object_copy, attributes, 0, &attributes_fields),
	FIELD(9, FIELD_U64, struct command_object_copy, invocation, 0),
	FIELD(10, FIELD_BYTES, struct command_object_copy, origin, NOTICE_ORIGIN_LEN_MAX),
};
static FIELDS(object_copy_fields, struct command_object_copy, object_copy_list);

static const struct field object_update_list[] = {
	FIELD(1, FIELD_U64, struct command_object_update, bucket, 0),
	FIELD(2, FIELD_BYTES, struct command_object_update, key, ROW_KEY_LEN_MAX),
	FIELD_OF(3, FIELD_STRUCT, struct command_object_update, version, 0, &row_version_id_fields),
	FIELD(4, FIELD_U32, struct command_object_update, set, 0),
	FIELD(5, FIELD_BYTES, struct command_object_update, tags, ROW_TAGS_LEN_MAX),
	FIELD(6, FIELD_U8, struct command_object_update, retention, 0),
	FIELD(7, FIELD_U64, struct command_object_update, retain_until_ms, 0),
	FIELD(8, FIELD_BOOL, struct command_object_update, has_legal_hold, 0),
	FIELD(9, FIELD_BOOL, struct command_object_update, bypass_governance, 0),
	FIELD(10, FIELD_BYTES, struct command_object_update, origin, NOTICE_ORIGIN_LEN_MAX),
	FIELD(11, FIELD_BYTES, struct command_object_update, acl, ROW_ACL_LEN_MAX),
};
static FIELDS(object_update_fields, struct command_object_update, object_update_list);

static const struct field upload_create_list[] = {
	FIELD(1, FIELD_U64, struct command_upload_create, bucket, 0),
	FIELD(2, FIELD_BYTES, struct command_upload_create, key, ROW_KEY_LEN_MAX),
	FIELD_OF(3, FIELD_STRUCT, struct command_upload_create, attributes, 0, &attributes_fields),
	FIELD(4, FIELD_U8, struct command_upload_create, checksum_algorithm, 0),
	FIELD(5, FIELD_U8, struct command_upload_create, checksum_type, 0),
	FIELD(6, FIELD_BYTES, struct command_upload_create, encryption, ROW_ENCRYPTION_LEN_MAX),
};
static FIELDS(upload_create_fields, struct command_upload_create, upload_create_list);

static const struct field upload_part_list[] = {
	FIELD(1, FIELD_U64, struct command_upload_part, bucket, 0),
	FIELD(2, FIELD_BYTES, struct command_upload_part, key, ROW_KEY_LEN_MAX),
	FIELD(3, FIELD_U64, struct command_upload_part, upload, 0),
	FIELD(4, FIELD_U16, struct command_upload_part, part, 0),
	FIELD_OF(5, FIELD_STRUCT, struct command_upload_part, body, 0, &body_fields),
	FIELD(6, FIELD_BOOL, struct command_upload_part, is_counted, 0),
};
static FIELDS(upload_part_fields, struct command_upload_part, upload_part_list);

static const struct field upload_part_copy_list[] = {
	FIELD(1, FIELD_U64, struct command_upload_part_copy, source_bucket, 0),
	FIELD(2, FIELD_BYTES, struct command_upload_part_copy, source_key, ROW_KEY_LEN_MAX),
	FIELD_OF(3, FIELD_STRUCT, struct command_upload_part_copy, source_version, 0,
		&row_version_id_fields),
	FIELD(4, FIELD_U64, struct command_upload_part_copy, source_body, 0),
	FIELD(5, FIELD_U64, struct command_upload_part_copy, offset, 0),
	FIELD(6, FIELD_U64, struct command_upload_part_copy, len, 0),
	FIELD(7, FIELD_U64, struct command_upload_part_copy, bucket, 0),
	FIELD(8, FIELD_BYTES, struct command_upload_part_copy, key, ROW_KEY_LEN_MAX),
	FIELD(9, FIELD_U64, struct command_upload_part_copy, upload, 0),
	FIELD(10, FIELD_U16, struct command_upload_part_copy, part, 0),
	FIELD_OF(11, FIELD_STRUCT, struct command_upload_part_copy, etag, 0, &row_etag_fields),
	FIELD_OF(12, FIELD_STRUCT, struct command_upload_part_copy, checksum, 0,
		&row_checksum_fields),
	FIELD(13, FIELD_BOOL, struct command_upload_part_copy, is_counted, 0),
};
static FIELDS(upload_part_copy_fields, struct command_upload_part_copy, upload_part_copy_list);

static const struct field upload_complete_list[] = {
	FIELD(1, FIELD_U64, struct command_upload_complete, bucket, 0),
	FIELD(2, FIELD_BYTES, struct command_upload_complete, key, ROW_KEY_LEN_MAX),
	FIELD(3, FIELD_U64, struct command_upload_complete, upload, 0),
	FIELD(4, FIELD_U64, struct command_upload_complete, change_count, 0),
	FIELD(5, FIELD_BYTES, struct command_upload_complete, parts, 2 * ROW_PART_MAX),
	FIELD_OF(6, FIELD_STRUCT, struct command_upload_complete, etag, 0, &row_etag_fields),
	FIELD_OF(7, FIELD_STRUCTS, struct command_upload_complete, checksums, ROW_CHECKSUMS_MAX,
		&row_checksum_fields),
	FIELD_OF(
		8, FIELD_STRUCT, struct command_upload_complete, conditions, 0, &conditions_fields),
	FIELD(9, FIELD_U64, struct command_upload_complete, parts_hash, 0),
	FIELD(10, FIELD_U64, struct command_upload_complete, invocation, 0),
	FIELD(11, FIELD_BYTES, struct command_upload_complete, origin, NOTICE_ORIGIN_LEN_MAX),
};
static FIELDS(upload_complete_fields, struct command_upload_complete, upload_complete_list);

static const struct field upload_abort_list[] = {
	FIELD(1, FIELD_U64, struct command_upload_abort, bucket, 0),
	FIELD(2, FIELD_BYTES, struct command_upload_abort, key, ROW_KEY_LEN_MAX),
	FIELD(3, FIELD_U64, struct command_upload_abort, upload, 0),
};
static FIELDS(upload_abort_fields, struct command_upload_abort, upload_abort_list);

static const struct field body_stage_list[] = {
	FIELD(1, FIELD_U64, struct command_body_stage, staged, 0),
	FIELD(2, FIELD_U64, struct command_body_stage, bucket, 0),
	FIELD(3, FIELD_BYTES, struct command_body_stage, key, ROW_KEY_LEN_MAX),
	FIELD(4, FIELD_BYTES, struct command_body_stage, extents, COMMAND_LEN_MAX),
};
static FIELDS(body_stage_fields, struct command_body_stage, body_stage_list);

static const struct field body_swap_list[] = {
	FIELD(1, FIELD_U64, struct command_body_swap, body, 0),
	FIELD(2, FIELD_U32, struct command_body_swap, generation, 0),
	FIELD(3, FIELD_U64, struct command_body_swap, stored_len, 0),
	FIELD(4, FIELD_U8, struct command_body_swap, class, 0),
	FIELD(5, FIELD_BYTES, struct command_body_swap, extents, COMMAND_LEN_MAX),
};
static FIELDS(body_swap_fields, struct command_body_swap, body_swap_list);

static const struct field extent_update_list[] = {
	FIELD(1, FIELD_BYTES, struct command_extent_update, moves, COMMAND_LEN_MAX),
};
static FIELDS(extent_update_fields, struct command_extent_update, extent_update_list);

static const struct field garbage_done_list[] = {
	FIELD(1, FIELD_U64, struct command_garbage_done, log_index, 0),
	FIELD(2, FIELD_U8, struct command_garbage_done, kind, 0),
	FIELD(3, FIELD_U64, struct command_garbage_done, id, 0),
};
static FIELDS(garbage_done_fields, struct command_garbage_done, garbage_done_list);

static const struct field drive_add_list[] = {
	FIELD(1, FIELD_FIXED, struct command_drive_add, drive, ID_LEN),
	FIELD(2, FIELD_FIXED, struct command_drive_add, node, ID_LEN),
	FIELD(3, FIELD_U8, struct command_drive_add, class, 0),
	FIELD(4, FIELD_U64, struct command_drive_add, weight, 0),
	FIELD(5, FIELD_BYTES, struct command_drive_add, zone, ROW_ZONE_LEN_MAX),
};
static FIELDS(drive_add_fields, struct command_drive_add, drive_add_list);

static const struct field drive_update_list[] = {
	FIELD(1, FIELD_U16, struct command_drive_update, number, 0),
	FIELD(2, FIELD_U32, struct command_drive_update, set, 0),
	FIELD(3, FIELD_U8, struct command_drive_update, state, 0),
	FIELD(4, FIELD_U8, struct command_drive_update, class, 0),
	FIELD(5, FIELD_U64, struct command_drive_update, weight, 0),
	FIELD(6, FIELD_BYTES, struct command_drive_update, zone, ROW_ZONE_LEN_MAX),
	FIELD(7, FIELD_FIXED, struct command_drive_update, node, ID_LEN),
	FIELD(8, FIELD_U64, struct command_drive_update, mount, 0),
};
static FIELDS(drive_update_fields, struct command_drive_update, drive_update_list);

static const struct field ring_set_list[] = {
	FIELD(1, FIELD_BYTES, struct command_ring_set, ring, COMMAND_LEN_MAX),
};
static FIELDS(ring_set_fields, struct command_ring_set, ring_set_list);

static const struct field ring_target_list[] = {
	FIELD(1, FIELD_BYTES, struct command_ring_target, ring, COMMAND_LEN_MAX),
};
static FIELDS(ring_target_fields, struct command_ring_target, ring_target_list);

static const struct field ring_move_list[] = {
	FIELD(1, FIELD_U16, struct command_ring_move, slot, 0),
	FIELD(2, FIELD_U8, struct command_ring_move, shard, 0),
	FIELD(3, FIELD_U16, struct command_ring_move, drive, 0),
	FIELD(4, FIELD_U64, struct command_ring_move, since, 0),
};
FIELDS(command_ring_move_fields, struct command_ring_move, ring_move_list);

static const struct field moves_list[] = {
	FIELD(1, FIELD_BYTES, struct command_moves, moves, COMMAND_LEN_MAX),
};
static FIELDS(moves_fields, struct command_moves, moves_list);

static const struct field move_advance_list[] = {
	FIELD(1, FIELD_U16, struct command_move_advance, slot, 0),
	FIELD(2, FIELD_U8, struct command_move_advance, shard, 0),
	FIELD(3, FIELD_U64, struct command_move_advance, since, 0),
	FIELD_OF(4, FIELD_STRUCT, struct command_move_advance, cursor, 0, &row_extent_id_fields),
	FIELD_OF(5, FIELD_STRUCT, struct command_move_advance, up_to, 0, &row_extent_id_fields),
	FIELD(6, FIELD_BOOL, struct command_move_advance, is_end, 0),
};
static FIELDS(move_advance_fields, struct command_move_advance, move_advance_list);

static const struct field move_emptied_list[] = {
	FIELD(1, FIELD_BYTES, struct command_move_emptied, leftovers, COMMAND_LEN_MAX),
};
static FIELDS(move_emptied_fields, struct command_move_emptied, move_emptied_list);

static const struct field span_begin_list[] = {
	FIELD(1, FIELD_U16, struct command_span_begin, drive, 0),
	FIELD(2, FIELD_U32, struct command_span_begin, slot, 0),
};
static FIELDS(span_begin_fields, struct command_span_begin, span_begin_list);

static const struct field key_put_list[] = {
	FIELD(1, FIELD_BYTES, struct command_key_put, id, ROW_ACCESS_KEY_ID_LEN_MAX),
	FIELD(2, FIELD_BOOL, struct command_key_put, must_be_new, 0),
	FIELD(3, FIELD_BOOL, struct command_key_put, must_exist, 0),
	FIELD(4, FIELD_BYTES, struct command_key_put, secret, ROW_SECRET_LEN_MAX),
	FIELD(5, FIELD_BYTES, struct command_key_put, owner, ROW_OWNER_LEN_MAX),
	FIELD(6, FIELD_BYTES, struct command_key_put, description, ROW_DESCRIPTION_LEN_MAX),
	FIELD(7, FIELD_BYTES, struct command_key_put, policy, ROW_POLICY_LEN_MAX),
	FIELD(8, FIELD_U8, struct command_key_put, state, 0),
	FIELD(9, FIELD_U8, struct command_key_put, role, 0),
	FIELD(10, FIELD_U64, struct command_key_put, expires_ms, 0),
};
static FIELDS(key_put_fields, struct command_key_put, key_put_list);

static const struct field key_delete_list[] = {
	FIELD(1, FIELD_BYTES, struct command_key_delete, id, ROW_ACCESS_KEY_ID_LEN_MAX),
};
static FIELDS(key_delete_fields, struct command_key_delete, key_delete_list);

static const struct field setting_put_list[] = {
	FIELD(1, FIELD_BYTES, struct command_setting_put, name, ROW_SETTING_NAME_LEN_MAX),
	FIELD(2, FIELD_BYTES, struct command_setting_put, value, ROW_CONFIG_LEN_MAX),
};
static FIELDS(setting_put_fields, struct command_setting_put, setting_put_list);

static const struct field user_put_list[] = {
	FIELD(1, FIELD_BYTES, struct command_user_put, id, ROW_OWNER_LEN_MAX),
	FIELD(2, FIELD_BOOL, struct command_user_put, must_be_new, 0),
	FIELD(3, FIELD_U32, struct command_user_put, set, 0),
	FIELD(4, FIELD_BYTES, struct command_user_put, name, ROW_USER_NAME_LEN_MAX),
	FIELD(5, FIELD_BYTES, struct command_user_put, email, ROW_EMAIL_LEN_MAX),
	FIELD(6, FIELD_U8, struct command_user_put, state, 0),
	FIELD(7, FIELD_BYTES, struct command_user_put, policy, ROW_POLICY_LEN_MAX),
	FIELD_OF(8, FIELD_STRUCT, struct command_user_put, quota, 0, &row_quota_fields),
};
static FIELDS(user_put_fields, struct command_user_put, user_put_list);

static const struct field user_delete_list[] = {
	FIELD(1, FIELD_BYTES, struct command_user_delete, id, ROW_OWNER_LEN_MAX),
};
static FIELDS(user_delete_fields, struct command_user_delete, user_delete_list);

static const struct field result_list[] = {
	FIELD(1, FIELD_U16, struct command_result, code, 0),
	FIELD_OF(2, FIELD_STRUCT, struct command_result, version, 0, &row_version_id_fields),
	FIELD(3, FIELD_U64, struct command_result, id, 0),
	FIELD_OF(4, FIELD_STRUCT, struct command_result, etag, 0, &row_etag_fields),
	FIELD(5, FIELD_U64, struct command_result, len, 0),
	FIELD(6, FIELD_U64, struct command_result, time_ms, 0),
	FIELD(7, FIELD_U64, struct command_result, count, 0),
	FIELD(8, FIELD_BOOL, struct command_result, is_null, 0),
	FIELD(9, FIELD_BOOL, struct command_result, is_delete_marker, 0),
	FIELD(10, FIELD_BOOL, struct command_result, is_earlier, 0),
	FIELD(11, FIELD_BOOL, struct command_result, is_mine, 0),
	FIELD(12, FIELD_FIXED, struct command_result, deletes, COMMAND_DELETES_MAX / 2),
};
FIELDS(command_result_fields, struct command_result, result_list);

static const struct field noop_list[] = {};
static const struct fields noop_fields = {noop_list, 0, 0};

static const struct field node_put_list[] = {
	FIELD(1, FIELD_FIXED, struct command_node_put, id, ID_LEN),
	FIELD(2, FIELD_U32, struct command_node_put, set, 0),
	FIELD(3, FIELD_FIXED, struct command_node_put, key, ROW_NODE_KEY_LEN),
	FIELD(4, FIELD_BYTES, struct command_node_put, name, ROW_NODE_NAME_LEN_MAX),
	FIELD(5, FIELD_BYTES, struct command_node_put, zone, ROW_ZONE_LEN_MAX),
	FIELD(6, FIELD_BYTES, struct command_node_put, addresses, ROW_ADDRESSES_LEN_MAX),
	FIELD(7, FIELD_U8, struct command_node_put, role, 0),
	FIELD(8, FIELD_U8, struct command_node_put, state, 0),
	FIELD(9, FIELD_U16, struct command_node_put, version_min, 0),
	FIELD(10, FIELD_U16, struct command_node_put, version_max, 0),
	FIELD(11, FIELD_U64, struct command_node_put, maintenance_until_ms, 0),
	FIELD(12, FIELD_U64, struct command_node_put, away_ms, 0),
	FIELD(13, FIELD_FIXED, struct command_node_put, token, ID_LEN),
};
static FIELDS(node_put_fields, struct command_node_put, node_put_list);

static const struct field node_remove_list[] = {
	FIELD(1, FIELD_FIXED, struct command_node_remove, id, ID_LEN),
};
static FIELDS(node_remove_fields, struct command_node_remove, node_remove_list);

static const struct field token_put_list[] = {
	FIELD(1, FIELD_FIXED, struct command_token_put, token, ID_LEN),
	FIELD(2, FIELD_BYTES, struct command_token_put, secret, ROW_SECRET_LEN_MAX),
	FIELD(3, FIELD_U64, struct command_token_put, life_ms, 0),
};
static FIELDS(token_put_fields, struct command_token_put, token_put_list);

static const struct field token_delete_list[] = {
	FIELD(1, FIELD_FIXED, struct command_token_delete, token, ID_LEN),
};
static FIELDS(token_delete_fields, struct command_token_delete, token_delete_list);

static const struct field task_put_list[] = {
	FIELD(1, FIELD_U64, struct command_task_put, id, 0),
	FIELD(2, FIELD_BYTES, struct command_task_put, name, ROW_TASK_NAME_LEN_MAX),
	FIELD(3, FIELD_BOOL, struct command_task_put, is_end, 0),
	FIELD(4, FIELD_U64, struct command_task_put, began_ms, 0),
	FIELD(5, FIELD_BYTES, struct command_task_put, text, ROW_TASK_TEXT_LEN_MAX),
};
static FIELDS(task_put_fields, struct command_task_put, task_put_list);

static const struct field bucket_watch_list[] = {
	FIELD(1, FIELD_U64, struct command_bucket_watch, bucket, 0),
	FIELD(2, FIELD_U64, struct command_bucket_watch, watched, 0),
	FIELD(3, FIELD_BOOL, struct command_bucket_watch, is_filled, 0),
};
static FIELDS(bucket_watch_fields, struct command_bucket_watch, bucket_watch_list);

static const struct field event_list[] = {
	FIELD_OF(1, FIELD_STRUCT, struct command_event, place, 0, &row_version_id_fields),
	FIELD(2, FIELD_U64, struct command_event, time_ms, 0),
	FIELD(3, FIELD_BYTES, struct command_event, key, ROW_KEY_LEN_MAX),
};
FIELDS(command_event_fields, struct command_event, event_list);

static const struct field event_fill_list[] = {
	FIELD(1, FIELD_U64, struct command_event_fill, bucket, 0),
	FIELD(2, FIELD_U64, struct command_event_fill, watched, 0),
	FIELD(3, FIELD_BYTES, struct command_event_fill, events, COMMAND_LEN_MAX),
};
static FIELDS(event_fill_fields, struct command_event_fill, event_fill_list);

static const struct field event_done_list[] = {
	FIELD(1, FIELD_U64, struct command_event_done, bucket, 0),
	FIELD(2, FIELD_U64, struct command_event_done, watched, 0),
	FIELD_OF(3, FIELD_STRUCT, struct command_event_done, place.at, 0, &row_version_id_fields),
	FIELD(4, FIELD_U64, struct command_event_done, place.hash, 0),
};
static FIELDS(event_done_fields, struct command_event_done, event_done_list);

static const struct field expire_item_list[] = {
	FIELD(1, FIELD_U8, struct command_expire_item, kind, 0),
	FIELD(2, FIELD_BYTES, struct command_expire_item, key, ROW_KEY_LEN_MAX),
	FIELD_OF(3, FIELD_STRUCT, struct command_expire_item, version, 0, &row_version_id_fields),
	FIELD(4, FIELD_U64, struct command_expire_item, due_ms, 0),
};
FIELDS(command_expire_item_fields, struct command_expire_item, expire_item_list);

static const struct field expire_list[] = {
	FIELD(1, FIELD_U64, struct command_expire, bucket, 0),
	FIELD(2, FIELD_U64, struct command_expire, watched, 0),
	FIELD(3, FIELD_BYTES, struct command_expire, items, COMMAND_LEN_MAX),
};
static FIELDS(expire_fields, struct command_expire, expire_list);

static const struct field bucket_notify_list[] = {
	FIELD(1, FIELD_U64, struct command_bucket_notify, bucket, 0),
	FIELD(2, FIELD_U64, struct command_bucket_notify, change_count, 0),
	FIELD(3, FIELD_BYTES, struct command_bucket_notify, config, ROW_CONFIG_LEN_MAX),
};
static FIELDS(bucket_notify_fields, struct command_bucket_notify, bucket_notify_list);

static const struct field object_rename_list[] = {
	FIELD(1, FIELD_U64, struct command_object_rename, bucket, 0),
	FIELD(2, FIELD_BYTES, struct command_object_rename, source_key, ROW_KEY_LEN_MAX),
	FIELD_OF(3, FIELD_STRUCT, struct command_object_rename, source_version, 0,
		&row_version_id_fields),
	FIELD(4, FIELD_BYTES, struct command_object_rename, key, ROW_KEY_LEN_MAX),
	FIELD_OF(5, FIELD_STRUCT, struct command_object_rename, conditions, 0, &conditions_fields),
	FIELD(6, FIELD_BYTES, struct command_object_rename, origin, NOTICE_ORIGIN_LEN_MAX),
};
static FIELDS(object_rename_fields, struct command_object_rename, object_rename_list);

static const struct field notice_done_list[] = {
	FIELD(1, FIELD_BYTES, struct command_notice_done, target, NOTICE_TARGET_LEN_MAX),
	FIELD_OF(2, FIELD_STRUCT, struct command_notice_done, place, 0, &row_version_id_fields),
};
static FIELDS(notice_done_fields, struct command_notice_done, notice_done_list);

const struct fields *const command_type_fields[COMMAND_TYPE_COUNT] = {
	[COMMAND_NOOP] = &noop_fields,
	[COMMAND_SESSION_OPEN] = &session_open_fields,
	[COMMAND_SESSION_CLOSE] = &session_close_fields,
	[COMMAND_SESSION_REPORT] = &session_report_fields,
	[COMMAND_BUCKET_CREATE] = &bucket_create_fields,
	[COMMAND_BUCKET_DELETE] = &bucket_delete_fields,
	[COMMAND_BUCKET_UPDATE] = &bucket_update_fields,
	[COMMAND_OBJECT_PUT] = &object_put_fields,
	[COMMAND_OBJECT_DELETE] = &object_delete_fields,
	[COMMAND_OBJECT_COPY] = &object_copy_fields,
	[COMMAND_OBJECT_UPDATE] = &object_update_fields,
	[COMMAND_UPLOAD_CREATE] = &upload_create_fields,
	[COMMAND_UPLOAD_PART] = &upload_part_fields,
	[COMMAND_UPLOAD_PART_COPY] = &upload_part_copy_fields,
	[COMMAND_UPLOAD_COMPLETE] = &upload_complete_fields,
	[COMMAND_UPLOAD_ABORT] = &upload_abort_fields,
	[COMMAND_BODY_STAGE] = &body_stage_fields,
	[COMMAND_BODY_SWAP] = &body_swap_fields,
	[COMMAND_EXTENT_UPDATE] = &extent_update_fields,
	[COMMAND_GARBAGE_DONE] = &garbage_done_fields,
	[COMMAND_DRIVE_ADD] = &drive_add_fields,
	[COMMAND_DRIVE_UPDATE] = &drive_update_fields,
	[COMMAND_RING_SET] = &ring_set_fields,
	[COMMAND_KEY_PUT] = &key_put_fields,
	[COMMAND_KEY_DELETE] = &key_delete_fields,
	[COMMAND_SETTING_PUT] = &setting_put_fields,
	[COMMAND_NODE_PUT] = &node_put_fields,
	[COMMAND_NODE_REMOVE] = &node_remove_fields,
	[COMMAND_TOKEN_PUT] = &token_put_fields,
	[COMMAND_TOKEN_DELETE] = &token_delete_fields,
	[COMMAND_RING_TARGET] = &ring_target_fields,
	[COMMAND_MOVE_BEGIN] = &moves_fields,
	[COMMAND_MOVE_ADVANCE] = &move_advance_fields,
	[COMMAND_MOVE_FLIP] = &moves_fields,
	[COMMAND_MOVE_CANCEL] = &moves_fields,
	[COMMAND_MOVE_EMPTIED] = &move_emptied_fields,
	[COMMAND_SPAN_BEGIN] = &span_begin_fields,
	[COMMAND_TASK_PUT] = &task_put_fields,
	[COMMAND_BUCKET_WATCH] = &bucket_watch_fields,
	[COMMAND_EVENT_FILL] = &event_fill_fields,
	[COMMAND_EVENT_DONE] = &event_done_fields,
	[COMMAND_EXPIRE] = &expire_fields,
	[COMMAND_USER_PUT] = &user_put_fields,
	[COMMAND_USER_DELETE] = &user_delete_fields,
	[COMMAND_BUCKET_NOTIFY] = &bucket_notify_fields,
	[COMMAND_NOTICE_DONE] = &notice_done_fields,
	[COMMAND_OBJECT_RENAME] = &object_rename_fields,
};
