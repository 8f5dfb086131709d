/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of a key.
 *
 * Rows of a key are ordered newest first, so the current version is the first of them. A version
 * that S3 calls "null" has an id like any other and a mark in its row.
 *
 * (V1) A key has at most one null version.
 * (V2) If the null version is not the newest, table NULL_VERSION has its id. That row may also name
 *      a null version that has become the newest again; it never names one that is gone.
 * (V3) In a bucket that never had versioning a key has at most one row, a null one; then there are
 *      no rows in NULL_VERSION.
 */
#include "storage/meta/apply_priv.h"

/* --- finding ---------------------------------------------------------------------------------- */

void apply_object_newest(struct apply *apply, struct apply_object *object)
{
	struct row_key key;
	row_key_object(&key, TABLE_VERSION, object->bucket.id, object->key);
	struct bytes found, value;
	object->has_newest = apply_seek(apply, &key, key.len, &found, &value);
	object->is_current = false;
	if (!object->has_newest)
		return;
	uint8_t key_buf[ROW_KEY_LEN_MAX];
	struct row_object_key parsed;
	if (!apply_decode_is_ok(apply, row_key_parse_object(found, key_buf, &parsed)) ||
		!APPLY_DECODE(apply, version, value, &object->newest)) {
		object->has_newest = false;
		return;
	}
	object->newest_id = parsed.version;
	object->is_current = !object->newest.is_delete_marker;
}

bool apply_object_find(
	struct apply *apply, uint64_t bucket, struct bytes key, struct apply_object *ret_object)
{
	struct row_key row_key;
	row_key_id(&row_key, TABLE_BUCKET, bucket);
	*ret_object = (struct apply_object){.key = key};
	if (!apply_get_bucket(apply, &row_key, &ret_object->bucket))
		return false;
	apply_object_newest(apply, ret_object);
	return true;
}

bool apply_version_get(struct apply *apply, uint64_t bucket, struct bytes key,
	struct version_id version, struct row_version *ret_row)
{
	struct row_key row_key;
	row_key_version(&row_key, bucket, key, version);
	return apply_get_version(apply, &row_key, ret_row);
}

#define NULL_VALUE_LEN 12

static void null_value_encode(struct version_id version, uint8_t *value)
{
	put_le64(value, version.index);
	put_le32(value + 8, version.position);
}

bool apply_version_null(struct apply *apply, const struct apply_object *object,
	struct version_id *ret_version, struct row_version *ret_row)
{
	if (object->has_newest && object->newest.is_null) {
		*ret_version = object->newest_id;
		*ret_row = object->newest;
		return true;
	}
	struct row_key key;
	struct bytes value;
	row_key_object(&key, TABLE_NULL_VERSION, object->bucket.id, object->key);
	if (object->bucket.versioning == BUCKET_UNVERSIONED || !apply_get(apply, &key, &value))
		return false;
	if (value.len == NULL_VALUE_LEN) {
		ret_version->index = get_le64(value.data);
		ret_version->position = get_le32(value.data + 8);
		if (apply_version_get(apply, object->bucket.id, object->key, *ret_version, ret_row))
			return true;
	}
	apply_fail(apply, ERR_CORRUPT); /* (V2) */
	return false;
}

/* --- conditions ------------------------------------------------------------------------------- */

static bool fails_none_match(
	const struct apply_object *object, const struct command_conditions *conditions)
{
	if (!object->is_current)
		return false;
	return conditions->if_none_match_any ||
		(conditions->has_if_none_match &&
			etag_is_equal(&conditions->if_none_match, &object->newest.etag));
}

static bool fails_match(
	const struct apply_object *object, const struct command_conditions *conditions)
{
	const struct row_version *newest = &object->newest;
	if (conditions->has_if_match && !etag_is_equal(&conditions->if_match, &newest->etag))
		return true;
	if (conditions->if_match_time_ms != 0 &&
		conditions->if_match_time_ms / 1000 != newest->time_ms / 1000)
		return true;
	return conditions->has_if_match_len && conditions->if_match_len != newest->len;
}

enum command_code apply_conditions(const struct apply_object *object,
	const struct command_conditions *conditions, const struct etag *etag, uint64_t invocation)
{
	bool needs_current = conditions->if_match_any || conditions->has_if_match ||
		conditions->if_match_time_ms != 0 || conditions->has_if_match_len;
	if (needs_current && !object->is_current)
		return COMMAND_NO_KEY;
	if (!fails_none_match(object, conditions) &&
		!(needs_current && fails_match(object, conditions)))
		return COMMAND_OK;
	if (invocation != 0 && object->newest.invocation == invocation && etag &&
		etag_is_equal(&object->newest.etag, etag))
		return COMMAND_EXISTS;
	return COMMAND_PRECONDITION;
}

/* Would what is added be too much, when what is replaced goes? */
static bool is_over(const struct row_quota *quota, const struct row_bucket_counts *counts,
	const struct row_bucket_counts *replaced, const struct row_bucket_counts *added)
{
	uint64_t len = counts->len + counts->parts_len - replaced->len - replaced->parts_len;
	uint64_t versions = counts->versions - replaced->versions;
	if (quota->len > 0 && (len > quota->len || added->len > quota->len - len))
		return true;
	return quota->versions > 0 && added->versions > 0 && versions >= quota->versions;
}

static bool is_over_quota(struct apply *apply, const struct apply_object *object,
	const struct row_bucket_counts *added, uint64_t parts_len)
{
	const struct row_bucket *bucket = &object->bucket;
	struct row_user_usage usage = {0};
	struct row_bucket_counts counts, replaced = {.parts_len = parts_len};
	struct version_id version;
	struct row_version row;
	bool is_limited = bucket->quota.len > 0 || bucket->quota.versions > 0;
	if (accounting_get_usage(apply, bucket, &usage))
		is_limited |= usage.quota.len > 0 || usage.quota.versions > 0;
	if (!is_limited)
		return false;
	if (bucket->versioning != BUCKET_ENABLED &&
		apply_version_null(apply, object, &version, &row)) {
		replaced.versions = 1;
		replaced.len = row.len;
	}
	accounting_get(apply, bucket->id, &counts);
	return is_over(&bucket->quota, &counts, &replaced, added) ||
		is_over(&usage.quota, &usage.counts, &replaced, added);
}

bool apply_is_over_quota(
	struct apply *apply, const struct apply_object *object, uint64_t len, uint64_t parts_len)
{
	return is_over_quota(
		apply, object, &(struct row_bucket_counts){.versions = 1, .len = len}, parts_len);
}

bool apply_part_is_over_quota(
	struct apply *apply, uint64_t bucket, struct bytes key, uint64_t len, uint64_t parts_len)
{
	struct apply_object object;
	return apply_object_find(apply, bucket, key, &object) &&
		is_over_quota(apply, &object, &(struct row_bucket_counts){.len = len}, parts_len);
}

/* --- changing --------------------------------------------------------------------------------- */

void apply_version_write(struct apply *apply, uint64_t bucket, struct bytes key,
	struct version_id version, struct row_version *row, struct bytes metadata,
	struct bytes tags, bool is_new)
{
	struct row_key row_key;
	row_key_overflow(&row_key, version);
	bool had_overflow = row->has_overflow;
	row->has_overflow = metadata.len + tags.len + row->acl.len > ROW_META_INLINE_MAX;
	row->metadata = row->has_overflow ? (struct bytes){0} : metadata;
	row->tags = row->has_overflow ? (struct bytes){0} : tags;
	if (row->has_overflow)
		apply_put_overflow(apply, &row_key,
			&(struct row_overflow){.metadata = metadata, .tags = tags});
	else if (had_overflow)
		apply_remove(apply, &row_key);
	row_key_version(&row_key, bucket, key, version);
	if (is_new)
		apply_new_version(apply, &row_key, row);
	else
		apply_put_version(apply, &row_key, row);
}

static void remove_null_pointer(struct apply *apply, const struct apply_object *object)
{
	if (object->bucket.versioning == BUCKET_UNVERSIONED)
		return; /* (V3) */
	struct row_key key;
	row_key_object(&key, TABLE_NULL_VERSION, object->bucket.id, object->key);
	apply_remove(apply, &key);
}

void apply_version_remove(struct apply *apply, struct apply_object *object,
	struct version_id version, const struct row_version *row)
{
	struct row_key key;
	struct row_version gone = *row;
	bool was_current = object->is_current;
	row_key_version(&key, object->bucket.id, object->key, version);
	apply_remove(apply, &key);
	if (gone.has_overflow) {
		row_key_overflow(&key, version);
		apply_remove(apply, &key);
	}
	if (gone.is_null)
		remove_null_pointer(apply, object);
	if (!gone.is_delete_marker)
		apply_body_unref(apply, gone.body);
	if (object->bucket.versioning == BUCKET_UNVERSIONED) {
		object->has_newest = false; /* (V3) */
		object->is_current = false;
	} else {
		apply_object_newest(apply, object);
		apply_event_add(apply, &object->bucket, object->key);
	}
	accounting_add(apply, object->bucket.id,
		&(struct row_bucket_counts){
			.objects = (uint64_t)object->is_current - was_current,
			.versions = -UINT64_C(1),
			.len = -gone.len,
		});
}

/* Makes room for the new newest version as the bucket's versioning has it. */
static void make_way(struct apply *apply, struct apply_object *object)
{
	struct version_id null_id;
	struct row_version null_row;
	if (object->bucket.versioning != BUCKET_ENABLED) {
		if (apply_version_null(apply, object, &null_id, &null_row))
			apply_version_remove(apply, object, null_id, &null_row);
		return;
	}
	if (!object->has_newest || !object->newest.is_null)
		return;
	uint8_t value[NULL_VALUE_LEN];
	null_value_encode(object->newest_id, value);
	struct row_key key;
	row_key_object(&key, TABLE_NULL_VERSION, object->bucket.id, object->key);
	apply_put(apply, &key, bytes_make(value, sizeof value)); /* (V2) */
}

void apply_version_insert(struct apply *apply, struct apply_object *object, uint32_t part,
	struct row_version *row, struct bytes metadata, struct bytes tags)
{
	make_way(apply, object);
	row->is_null = object->bucket.versioning != BUCKET_ENABLED;
	row->time_ms = apply->time_ms;
	row->has_overflow = false;
	struct version_id version = apply_place(apply, part);
	apply_version_write(
		apply, object->bucket.id, object->key, version, row, metadata, tags, true);
	apply_event_add(apply, &object->bucket, object->key);
	bool is_current = !row->is_delete_marker;
	accounting_add(apply, object->bucket.id,
		&(struct row_bucket_counts){
			.objects = (uint64_t)is_current - object->is_current,
			.versions = 1,
			.len = row->len,
		});
	object->has_newest = true;
	object->newest_id = version;
	object->newest = *row;
	object->is_current = is_current;
}
