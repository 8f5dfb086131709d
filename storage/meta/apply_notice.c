/* SPDX-License-Identifier: Apache-2.0 */
/* Notices: what happened to keys, queued for webhooks until these were told.
 *
 * (N1) A notice is written by the command that it is about: there is one if and only if that was
 *      applied, and in a bucket that tells nothing none of this reads or writes a row.
 * (N2) Each webhook has a queue of its own, in the order of the log. A notice goes when its webhook
 *      has answered, or is too old: each is told at least once, and those of a key in order, to one
 *      after the other. A webhook that is not there holds up no other one.
 * (N3) A queue has at most NOTICE_QUEUE_MAX notices. What happens while it is full is not told,
 *      only counted: to refuse the change would have a webhook stop the bucket.
 */
#include "storage/meta/apply_priv.h"
#include "storage/meta/notice.h"

static void write_queue(struct apply *apply, struct bytes target, struct row_notice_queue *queue)
{
	struct row_key key;
	row_key_name(&key, TABLE_NOTICE_QUEUE, target);
	if (queue->count > 0 || queue->dropped > 0)
		apply_put_notice_queue(apply, &key, queue);
	else
		apply_remove(apply, &key);
}

static void enqueue(struct apply *apply, struct bytes target, struct version_id place,
	const struct row_notice *notice)
{
	struct row_key key;
	struct row_notice_queue queue;
	row_key_name(&key, TABLE_NOTICE_QUEUE, target);
	if (!apply_get_notice_queue(apply, &key, &queue))
		queue = (struct row_notice_queue){0};
	if (queue.count >= NOTICE_QUEUE_MAX) { /* (N3) */
		queue.dropped++;
	} else {
		queue.count++;
		row_key_notice(&key, target, place);
		apply_new_notice(apply, &key, notice);
	}
	write_queue(apply, target, &queue);
}

static bool is_removal(enum notice_event event)
{
	return event >= NOTICE_REMOVED_DELETE && event <= NOTICE_EXPIRED_MARKER;
}

void apply_notice_add(struct apply *apply, const struct row_bucket *bucket, enum notice_event event,
	uint32_t part, const struct apply_notice *about)
{
	struct row_key key;
	struct bytes config;
	struct notice_rule rule;
	if (!(bucket->notified & 1u << event)) /* (N1) */
		return;
	row_key_bucket_config(&key, bucket->id, BUCKET_CONFIG_NOTIFICATION);
	if (!apply_get(apply, &key, &config) || !notice_find(config, event, about->key, &rule))
		return;
	struct row_notice notice = {
		.event = event,
		.time_ms = apply->time_ms,
		.bucket = bucket->name,
		.owner = bucket->owner,
		.key = about->key,
		.rule = rule.id,
		.origin = about->origin,
	};
	if (bucket->versioning != BUCKET_UNVERSIONED)
		notice.version = about->version;
	if (about->row) {
		notice.is_null = about->row->is_null;
		notice.has_body = !is_removal(event);
	}
	if (notice.has_body) {
		notice.len = about->row->len;
		notice.etag = about->row->etag;
	}
	enqueue(apply, rule.target, apply_place(apply, part), &notice);
}

void apply_notice_put(struct apply *apply, const struct apply_object *object,
	enum notice_event event, struct bytes origin)
{
	apply_notice_add(apply, &object->bucket, event, 0,
		&(struct apply_notice){.key = object->key,
			.version = object->newest_id,
			.row = &object->newest,
			.origin = origin});
}

void apply_notice_removed(struct apply *apply, const struct apply_object *object, uint32_t part,
	enum notice_event event, struct bytes origin)
{
	struct apply_notice about = {.key = object->key, .origin = origin};
	if (object->has_newest) {
		about.version = object->newest_id;
		about.row = &object->newest;
	}
	apply_notice_add(apply, &object->bucket, event, part, &about);
}

/* --- commands --------------------------------------------------------------------------------- */

void apply_bucket_notify(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_bucket_notify *notify = &command->bucket_notify;
	struct row_key key;
	struct row_bucket row;
	row_key_id(&key, TABLE_BUCKET, notify->bucket);
	if (!apply_get_bucket(apply, &key, &row)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	if (notify->change_count != 0 && notify->change_count != row.change_count) {
		result->code = COMMAND_STALE;
		result->count = row.change_count;
		return;
	}
	row.notified = notice_events_of(notify->config);
	row.change_count++;
	apply_put_bucket(apply, &key, &row);
	row_key_bucket_config(&key, notify->bucket, BUCKET_CONFIG_NOTIFICATION);
	if (notify->config.len > 0)
		apply_put(apply, &key, notify->config);
	else
		apply_remove(apply, &key);
	result->id = row.id;
	result->count = row.change_count;
}

void apply_notice_done(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_notice_done *done = &command->notice_done;
	struct row_key key, end;
	struct row_notice_queue queue;
	struct bytes found, value;
	row_key_name(&key, TABLE_NOTICE_QUEUE, done->target);
	if (!apply_get_notice_queue(apply, &key, &queue))
		return;
	row_key_notice(&end, done->target, done->place);
	row_key_notice(&key, done->target, (struct version_id){0});
	size_t prefix_len = key.len - ROW_KEY_PLACE_LEN;
	uint64_t removed = 0;
	while (apply_seek(apply, &key, prefix_len, &found, &value) &&
		bytes_compare(found, row_key_bytes(&end)) <= 0) {
		if (removed == COMMAND_NOTICE_STEP) {
			result->count = 1;
			break;
		}
		apply_remove_found(apply, found);
		removed++;
	}
	queue.count = queue.count > removed ? queue.count - removed : 0;
	if (removed > 0)
		write_queue(apply, done->target, &queue);
}
