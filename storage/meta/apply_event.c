/* SPDX-License-Identifier: Apache-2.0 */
/* Events: when something happened to which key, so that what lifecycle rules make due is found
 * without looking at all the rest.
 *
 * (E1) In a watched bucket each command that makes a version or an upload, removes one of several
 *      versions, or changes tags leaves an event of the key at its own place in the log. Whoever
 *      waits as long as a rule says and then looks at the key has missed nothing: whether a version
 *      is current, since when it is not, and how old it is only change with an event.
 * (E2) Places are in the order of cluster time, so what is due is a run from the first event on.
 * (E3) An event is a hint. What becomes of the key is judged by its rows, when the command that
 *      does it is applied; one event too many costs a look.
 * (E4) What was there when the watch began gets its events at the places where it began. The watch
 *      is for certain rules: other rules are another watch, since for them events that have been
 *      seen to may be due again.
 */
#include <xxhash.h>

#include "storage/meta/apply_priv.h"
#include "storage/meta/lifecycle.h"

static void put_event(struct apply *apply, uint64_t bucket, struct version_id at, uint64_t time_ms,
	struct bytes key)
{
	struct row_key row_key;
	row_key_event(&row_key, bucket,
		&(struct event_place){.at = at, .hash = XXH3_64bits(key.data, key.len)});
	apply_put_event(apply, &row_key, &(struct row_event){.time_ms = time_ms, .key = key});
}

void apply_event_add(struct apply *apply, const struct row_bucket *bucket, struct bytes key)
{
	if (bucket->watched != 0)
		put_event(apply, bucket->id, apply->place, apply->time_ms, key);
}

static uint64_t rules_of(struct apply *apply, uint64_t bucket)
{
	struct row_key key;
	struct bytes rules;
	row_key_bucket_config(&key, bucket, BUCKET_CONFIG_LIFECYCLE);
	return apply_get(apply, &key, &rules) ? lifecycle_watch_of(rules) : 0;
}

void apply_bucket_watch(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_bucket_watch *watch = &command->bucket_watch;
	struct row_key key;
	struct row_bucket row;
	row_key_id(&key, TABLE_BUCKET, watch->bucket);
	if (!apply_get_bucket(apply, &key, &row)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	bool is_same = row.watched == watch->watched;
	if (rules_of(apply, watch->bucket) != watch->watched || (watch->is_filled && !is_same)) {
		result->code = COMMAND_STALE;
		return;
	}
	row.watched = watch->watched;
	row.is_watch_filled = is_same && (row.is_watch_filled || watch->is_filled);
	/* The key was in the way of the configuration's. */
	row_key_id(&key, TABLE_BUCKET, watch->bucket);
	apply_put_bucket(apply, &key, &row);
}

void apply_event_fill(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_event_fill *fill = &command->event_fill;
	struct row_key key;
	struct row_bucket row;
	row_key_id(&key, TABLE_BUCKET, fill->bucket);
	if (!apply_get_bucket(apply, &key, &row)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	if (row.watched != fill->watched || row.is_watch_filled) {
		result->code = COMMAND_STALE;
		return;
	}
	struct bytes list = fill->events;
	struct command_event event;
	while (command_event_next(&list, &event) == ERR_OK)
		put_event(apply, fill->bucket, event.place, event.time_ms, event.key);
}

void apply_event_done(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_event_done *done = &command->event_done;
	struct row_key key, end;
	struct row_bucket row;
	row_key_id(&key, TABLE_BUCKET, done->bucket);
	bool is_there = apply_get_bucket(apply, &key, &row);
	if ((is_there ? row.watched : 0) != done->watched ||
		(done->watched != 0 && !row.is_watch_filled)) {
		result->code = COMMAND_STALE;
		return;
	}
	struct bytes found, value;
	row_key_event(&end, done->bucket, &done->place);
	row_key_id(&key, TABLE_EVENT, done->bucket);
	for (unsigned i = 0; apply_seek(apply, &key, key.len, &found, &value); i++) {
		if (done->watched != 0 && bytes_compare(found, row_key_bytes(&end)) > 0)
			return;
		if (i == COMMAND_EVENT_STEP) {
			result->count = 1;
			return;
		}
		apply_remove_found(apply, found);
	}
}

/* --- expire ----------------------------------------------------------------------------------- */

static bool is_alone(struct apply *apply, const struct apply_object *object)
{
	struct row_key key;
	struct bytes found, value;
	row_key_object(&key, TABLE_VERSION, object->bucket.id, object->key);
	size_t prefix_len = key.len;
	row_key_version(&key, object->bucket.id, object->key, object->newest_id);
	row_key_u8(&key, 0); /* just behind it */
	return !apply_seek(apply, &key, prefix_len, &found, &value);
}

static bool expire_version(
	struct apply *apply, struct apply_object *object, struct version_id version, uint32_t part)
{
	struct row_version row;
	if (!apply_version_get(apply, object->bucket.id, object->key, version, &row) ||
		apply_version_is_locked(apply, &row, false))
		return false;
	apply_version_remove(apply, object, version, &row);
	apply_notice_add(apply, &object->bucket, NOTICE_EXPIRED_DELETE, part,
		&(struct apply_notice){.key = object->key, .version = version, .row = &row});
	return true;
}

static bool expire_current(struct apply *apply, struct apply_object *object, uint32_t part)
{
	enum command_delete_code code = apply_object_remove(apply, object, part);
	if (code == DELETE_LOCKED)
		return false;
	apply_notice_removed(apply, object, part,
		code == DELETE_MARKER_MADE ? NOTICE_EXPIRED_MARKER : NOTICE_EXPIRED_DELETE,
		(struct bytes){0});
	return true;
}

static bool expire_upload(
	struct apply *apply, struct apply_object *object, const struct command_expire_item *item)
{
	struct row_key key;
	struct row_upload row;
	row_key_upload(&key, object->bucket.id, item->key, item->version.index);
	if (!apply_get_upload(apply, &key, &row) || row.state != UPLOAD_OPEN)
		return false;
	apply_upload_drop(apply, object->bucket.id, item->key, item->version.index);
	apply_upload_uncount(apply, object->bucket.id, &row);
	return true;
}

static bool expire_item(struct apply *apply, struct apply_object *object,
	const struct command_expire_item *item, uint32_t part)
{
	if (apply->time_ms < item->due_ms)
		return false;
	if (item->kind == EXPIRE_UPLOAD)
		return expire_upload(apply, object, item);
	object->key = item->key;
	apply_object_newest(apply, object);
	bool is_newest = object->has_newest &&
		version_id_is_equal(object->newest_id, item->version);
	switch (item->kind) {
	case EXPIRE_CURRENT:
		return is_newest && object->is_current && expire_current(apply, object, part);
	case EXPIRE_OLD:
		return object->has_newest && !is_newest &&
			expire_version(apply, object, item->version, part);
	default:
		return is_newest && object->newest.is_delete_marker && is_alone(apply, object) &&
			expire_version(apply, object, item->version, part);
	}
}

void apply_expire(struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_expire *expire = &command->expire;
	struct bytes list = expire->items;
	struct command_expire_item item;
	struct apply_object object;
	for (uint32_t i = 0; command_expire_next(&list, &item) == ERR_OK; i++) {
		if (i == 0 && !apply_object_find(apply, expire->bucket, item.key, &object)) {
			result->code = COMMAND_NO_BUCKET;
			return;
		}
		if (i == 0 && rules_of(apply, expire->bucket) != expire->watched) {
			result->code = COMMAND_STALE;
			return;
		}
		result->count += expire_item(apply, &object, &item, i);
	}
}
