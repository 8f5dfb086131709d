/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on objects: put, delete, copy, update. */
#include "storage/meta/apply_priv.h"

static void tell_version(struct command_result *result, const struct apply_object *object)
{
	result->version = object->newest_id;
	result->is_null = object->newest.is_null;
	result->is_delete_marker = object->newest.is_delete_marker;
	result->etag = object->newest.etag;
	result->len = object->newest.len;
	result->time_ms = object->newest.time_ms;
}

bool apply_conditions_hold(const struct apply_object *object,
	const struct command_conditions *conditions, const struct etag *etag, uint64_t invocation,
	struct command_result *result)
{
	enum command_code code = apply_conditions(object, conditions, etag, invocation);
	if (code == COMMAND_OK)
		return true;
	if (object->is_current)
		tell_version(result, object);
	result->is_earlier = code == COMMAND_EXISTS;
	result->code = code == COMMAND_EXISTS ? COMMAND_OK : code;
	return false;
}

void apply_object_put_version(struct apply *apply, struct apply_object *object,
	struct row_version *row, const struct command_attributes *attributes,
	struct command_result *result)
{
	row->class = attributes->class;
	row->owner = attributes->owner;
	row->acl = attributes->acl;
	apply_lock_set(apply, &object->bucket, attributes, row);
	apply_version_insert(apply, object, 0, row, attributes->metadata, attributes->tags);
	tell_version(result, object);
}

void apply_object_put(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_object_put *put = &command->object_put;
	struct apply_object object;
	if (!apply_object_find(apply, put->bucket, put->key, &object)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	if (!apply_conditions_hold(
		    &object, &put->conditions, &put->body.etag, put->invocation, result))
		return;
	result->code = apply_is_over_quota(apply, &object, put->body.len, 0)
		? COMMAND_QUOTA
		: apply_lock_check_insert(apply, &object, &put->attributes);
	if (result->code != COMMAND_OK)
		return;
	struct row_version row = {
		.len = put->body.len,
		.etag = put->body.etag,
		.checksum_algorithm = put->body.checksums[0].algorithm,
		.checksum_type = put->body.checksums[0].type,
		.invocation = put->invocation,
	};
	result->code = apply_body_make(
		apply, 0, put->bucket, put->key, put->attributes.class, &put->body, &row.body);
	if (result->code != COMMAND_OK)
		return;
	apply_object_put_version(apply, &object, &row, &put->attributes, result);
	apply_notice_put(apply, &object, put->is_form ? NOTICE_CREATED_POST : NOTICE_CREATED_PUT,
		put->origin);
}

bool apply_source_find(struct apply *apply, uint64_t bucket, struct bytes key,
	struct version_id version, uint64_t body, struct row_version *ret_row)
{
	return apply_version_get(apply, bucket, key, version, ret_row) &&
		!ret_row->is_delete_marker && ret_row->body == body;
}

void apply_object_copy(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_object_copy *copy = &command->object_copy;
	struct apply_object object;
	struct row_version source;
	struct row_body body;
	if (!apply_object_find(apply, copy->bucket, copy->key, &object)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	if (!apply_source_find(apply, copy->source_bucket, copy->source_key, copy->source_version,
		    copy->source_body, &source)) {
		result->code = COMMAND_NO_VERSION;
		return;
	}
	if (!apply_conditions_hold(
		    &object, &copy->conditions, &source.etag, copy->invocation, result))
		return;
	result->code = apply_is_over_quota(apply, &object, source.len, 0)
		? COMMAND_QUOTA
		: apply_lock_check_insert(apply, &object, &copy->attributes);
	if (result->code != COMMAND_OK)
		return;
	/* The reference first: a copy onto itself removes its source. */
	if (!apply_body_ref(apply, copy->source_body, &body)) {
		apply_fail(apply, ERR_CORRUPT);
		return;
	}
	struct row_version row = {
		.body = source.body,
		.len = source.len,
		.etag = source.etag,
		.checksum_algorithm = source.checksum_algorithm,
		.checksum_type = source.checksum_type,
		.invocation = copy->invocation,
	};
	apply_object_put_version(apply, &object, &row, &copy->attributes, result);
	apply_notice_put(apply, &object, NOTICE_CREATED_COPY, copy->origin);
}

/* --- rename ----------------------------------------------------------------------------------- */

static void tell_of_rename(struct apply *apply, const struct command_object_rename *rename,
	const struct apply_object *object)
{
	apply_notice_put(apply, object, NOTICE_CREATED_COPY, rename->origin);
	apply_notice_add(apply, &object->bucket, NOTICE_REMOVED_DELETE, 1,
		&(struct apply_notice){.key = rename->source_key, .origin = rename->origin});
}

void apply_object_rename(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_object_rename *rename = &command->object_rename;
	struct apply_object object, source;
	struct row_body body;
	if (!apply_object_find(apply, rename->bucket, rename->source_key, &source) ||
		!apply_object_find(apply, rename->bucket, rename->key, &object)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	if (object.bucket.versioning != BUCKET_UNVERSIONED) {
		result->code = COMMAND_LOCKED;
		return;
	}
	if (!source.is_current || !version_id_is_equal(source.newest_id, rename->source_version)) {
		result->code = COMMAND_NO_VERSION;
		return;
	}
	if (!apply_conditions_hold(&object, &rename->conditions, NULL, 0, result))
		return;
	struct row_version row = source.newest;
	struct row_overflow overflow = {.metadata = row.metadata, .tags = row.tags};
	struct row_key key;
	row_key_overflow(&key, source.newest_id);
	/* The reference first: the source gives its own back. */
	if ((row.has_overflow && !apply_get_overflow(apply, &key, &overflow)) ||
		!apply_body_ref(apply, row.body, &body)) {
		apply_fail(apply, ERR_CORRUPT);
		return;
	}
	apply_version_remove(apply, &source, source.newest_id, &source.newest);
	apply_version_insert(apply, &object, 0, &row, overflow.metadata, overflow.tags);
	tell_version(result, &object);
	tell_of_rename(apply, rename, &object);
}

/* --- delete ----------------------------------------------------------------------------------- */

enum command_delete_code apply_object_remove(
	struct apply *apply, struct apply_object *object, uint32_t part)
{
	if (apply_lock_is_in_the_way(apply, object))
		return DELETE_LOCKED;
	if (object->bucket.versioning == BUCKET_UNVERSIONED) {
		if (object->has_newest)
			apply_version_remove(apply, object, object->newest_id, &object->newest);
		return DELETE_DONE;
	}
	struct row_version marker = {.is_delete_marker = true, .owner = object->bucket.owner};
	apply_version_insert(apply, object, part, &marker, (struct bytes){0}, (struct bytes){0});
	return DELETE_MARKER_MADE;
}

static enum command_delete_code judge_conditions(
	const struct apply_object *object, const struct command_delete *item)
{
	switch (apply_conditions(object, &item->conditions, NULL, 0)) {
	case COMMAND_OK:
		return DELETE_DONE;
	case COMMAND_NO_KEY:
		return DELETE_NO_KEY;
	default:
		return DELETE_PRECONDITION;
	}
}

/* A certain version. Conditions are about this one, whichever is current. */
static enum command_delete_code delete_version(struct apply *apply, struct apply_object *object,
	const struct command_object_delete *delete, const struct command_delete *item,
	uint32_t part)
{
	struct version_id version = item->version;
	struct row_version row;
	bool is_there = item->is_null
		? apply_version_null(apply, object, &version, &row)
		: apply_version_get(apply, object->bucket.id, item->key, version, &row);
	struct apply_object named = {.is_current = is_there && !row.is_delete_marker};
	if (is_there)
		named.newest = row;
	enum command_delete_code code = judge_conditions(&named, item);
	if (code != DELETE_DONE || !is_there)
		return code;
	if (apply_version_is_locked(apply, &row, delete->bypass_governance))
		return DELETE_LOCKED;
	apply_version_remove(apply, object, version, &row);
	apply_notice_add(apply, &object->bucket, NOTICE_REMOVED_DELETE, part,
		&(struct apply_notice){.key = item->key,
			.version = version,
			.row = &row,
			.origin = delete->origin});
	return row.is_delete_marker ? DELETE_MARKER_GONE : DELETE_DONE;
}

static enum command_delete_code delete_item(struct apply *apply,
	const struct command_object_delete *delete, const struct command_delete *item,
	uint32_t part, struct apply_object *object)
{
	object->key = item->key;
	apply_object_newest(apply, object);
	if (item->is_null || !version_id_is_none(item->version))
		return delete_version(apply, object, delete, item, part);
	enum command_delete_code code = judge_conditions(object, item);
	bool was_there = object->has_newest;
	if (code == DELETE_DONE)
		code = apply_object_remove(apply, object, part);
	if (code == DELETE_MARKER_MADE || (code == DELETE_DONE && was_there))
		apply_notice_removed(apply, object, part,
			code == DELETE_DONE ? NOTICE_REMOVED_DELETE : NOTICE_REMOVED_MARKER,
			delete->origin);
	return code;
}

/* A delete of one key has its outcome as the command's. */
static void tell_single(struct command_result *result, enum command_delete_code code)
{
	static const uint16_t codes[] = {
		[DELETE_DONE] = COMMAND_OK,
		[DELETE_MARKER_MADE] = COMMAND_OK,
		[DELETE_MARKER_GONE] = COMMAND_OK,
		[DELETE_NO_KEY] = COMMAND_NO_KEY,
		[DELETE_PRECONDITION] = COMMAND_PRECONDITION,
		[DELETE_LOCKED] = COMMAND_LOCKED,
	};
	result->code = codes[code];
}

void apply_object_delete(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_object_delete *delete = &command->object_delete;
	struct bytes list = delete->deletes;
	struct command_delete item;
	struct apply_object object;
	enum command_delete_code code = DELETE_DONE;
	uint32_t i = 0;
	while (command_delete_next(&list, &item) == ERR_OK) {
		if (i == 0 && !apply_object_find(apply, delete->bucket, item.key, &object)) {
			result->code = COMMAND_NO_BUCKET;
			return;
		}
		code = delete_item(apply, delete, &item, i, &object);
		result->deletes[i / 2] |= code << (i % 2 * 4);
		i++;
	}
	result->version = apply_place(apply, 0);
	result->count = i;
	result->is_delete_marker = code == DELETE_MARKER_MADE || code == DELETE_MARKER_GONE;
	result->is_null = object.bucket.versioning != BUCKET_ENABLED;
	if (i == 1)
		tell_single(result, code);
}

/* --- update ----------------------------------------------------------------------------------- */

/* Rules may be for versions with certain tags. */
static void tell_of_tags(struct apply *apply, const struct command_object_update *update,
	const struct row_version *row)
{
	struct row_key key;
	struct row_bucket bucket;
	row_key_id(&key, TABLE_BUCKET, update->bucket);
	if (!apply_get_bucket(apply, &key, &bucket))
		return;
	apply_event_add(apply, &bucket, update->key);
	apply_notice_add(apply, &bucket,
		update->tags.len > 0 ? NOTICE_TAGS_PUT : NOTICE_TAGS_DELETE, 0,
		&(struct apply_notice){.key = update->key,
			.version = update->version,
			.row = row,
			.origin = update->origin});
}

void apply_object_update(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_object_update *update = &command->object_update;
	struct row_version row;
	if (!apply_version_get(apply, update->bucket, update->key, update->version, &row) ||
		row.is_delete_marker) {
		result->code = COMMAND_NO_VERSION;
		return;
	}
	result->code = apply_lock_update(apply, update, &row);
	if (result->code != COMMAND_OK)
		return;
	struct row_overflow overflow = {.metadata = row.metadata, .tags = row.tags};
	struct row_key key;
	row_key_overflow(&key, update->version);
	if (row.has_overflow && !apply_get_overflow(apply, &key, &overflow)) {
		apply_fail(apply, ERR_CORRUPT);
		return;
	}
	if (update->set & OBJECT_SET_TAGS) {
		overflow.tags = update->tags;
		tell_of_tags(apply, update, &row);
	}
	if (update->set & OBJECT_SET_ACL)
		row.acl = update->acl;
	apply_version_write(apply, update->bucket, update->key, update->version, &row,
		overflow.metadata, overflow.tags, false);
	result->version = update->version;
}
