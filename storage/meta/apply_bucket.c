/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on buckets. */
#include "storage/meta/apply_priv.h"

#define NAME_VALUE_LEN 8

void apply_bucket_create(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_bucket_create *create = &command->bucket_create;
	struct row_key key;
	struct bytes value;
	struct row_bucket row;
	row_key_bucket_name(&key, create->name);
	if (apply_get(apply, &key, &value)) {
		result->code = COMMAND_EXISTS;
		result->id = value.len == NAME_VALUE_LEN ? get_le64(value.data) : 0;
		row_key_id(&key, TABLE_BUCKET, result->id);
		if (!apply_get_bucket(apply, &key, &row))
			apply_fail(apply, ERR_CORRUPT);
		else
			result->is_mine = bytes_is_equal(row.owner, create->owner);
		return;
	}
	uint64_t id = row_id_make(apply_place(apply, 0));
	uint8_t id_value[NAME_VALUE_LEN];
	put_le64(id_value, id);
	apply_put_new(apply, &key, bytes_make(id_value, sizeof id_value));
	row = (struct row_bucket){
		.id = id,
		.name = create->name,
		.owner = create->owner,
		.created_ms = apply->time_ms,
		.versioning = create->versioning,
		.has_lock = create->has_lock,
		.change_count = 1,
		.class = create->class,
	};
	row_key_id(&key, TABLE_BUCKET, id);
	apply_new_bucket(apply, &key, &row);
	row_key_id(&key, TABLE_BUCKET_COUNTS, id);
	apply_new_bucket_counts(apply, &key, &(struct row_bucket_counts){0});
	accounting_give(apply, id, (struct bytes){0}, create->owner);
	result->id = id;
}

void apply_bucket_delete(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	uint64_t id = command->bucket_delete.bucket;
	struct row_key key;
	struct row_bucket row;
	struct row_bucket_counts counts;
	row_key_id(&key, TABLE_BUCKET, id);
	if (!apply_get_bucket(apply, &key, &row)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	accounting_get(apply, id, &counts);
	if (counts.versions > 0) {
		result->code = COMMAND_NOT_EMPTY;
		result->count = counts.versions;
		return;
	}
	accounting_give(apply, id, row.owner, (struct bytes){0});
	apply_remove(apply, &key);
	row_key_bucket_name(&key, row.name);
	apply_remove(apply, &key);
	accounting_remove(apply, id);
	struct bytes found, value;
	row_key_id(&key, TABLE_BUCKET_CONFIG, id);
	while (apply_seek(apply, &key, key.len, &found, &value))
		apply_remove_found(apply, found);
	/* Uploads do not keep a bucket, and neither do the tombstones of completed ones. */
	row_key_id(&key, TABLE_UPLOAD, id);
	if (apply_seek(apply, &key, key.len, &found, &value))
		apply_garbage_add(apply, GARBAGE_BUCKET, id, &(struct row_garbage){0});
}

static void set_config(struct apply *apply, const struct command_bucket_update *update)
{
	struct row_key key;
	row_key_bucket_config(&key, update->bucket, update->config_kind);
	if (update->config.len > 0)
		apply_put(apply, &key, update->config);
	else
		apply_remove(apply, &key);
}

void apply_bucket_update(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_bucket_update *update = &command->bucket_update;
	struct row_key key;
	struct row_bucket row;
	row_key_id(&key, TABLE_BUCKET, update->bucket);
	if (!apply_get_bucket(apply, &key, &row)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	if (update->change_count != 0 && update->change_count != row.change_count) {
		result->code = COMMAND_STALE;
		result->count = row.change_count;
		return;
	}
	if (update->set & BUCKET_SET_VERSIONING)
		row.versioning = update->versioning;
	if (update->set & BUCKET_SET_LOCK)
		row.has_lock = true;
	if (row.has_lock && row.versioning != BUCKET_ENABLED) {
		result->code = COMMAND_LOCKED;
		return;
	}
	bool sets_rule = (update->set & BUCKET_SET_CONFIG) &&
		update->config_kind == BUCKET_CONFIG_LOCK;
	if (sets_rule && !row.has_lock) {
		result->code = COMMAND_REFUSED;
		return;
	}
	if (update->set & BUCKET_SET_QUOTA)
		row.quota = update->quota;
	if (update->set & BUCKET_SET_OWNER) {
		accounting_give(apply, row.id, row.owner, update->owner);
		row.owner = update->owner;
	}
	if (update->set & BUCKET_SET_CLASS)
		row.class = update->class;
	if (update->set & BUCKET_SET_CONFIG)
		set_config(apply, update);
	row.change_count++;
	apply_put_bucket(apply, &key, &row);
	result->id = row.id;
	result->count = row.change_count;
}
