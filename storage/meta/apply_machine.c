/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on drives, access keys and settings. */
#include "storage/meta/apply_priv.h"

/* --- drives ----------------------------------------------------------------------------------- */

/* Looks through all drives for one with that id; gives the greatest number too. */
static bool find_drive(
	struct apply *apply, const struct id *id, uint16_t *ret_number, uint16_t *ret_greatest)
{
	struct row_key key;
	struct bytes found, value;
	row_key_begin(&key, TABLE_DRIVE);
	*ret_greatest = 0;
	bool is_there = apply_seek(apply, &key, 1, &found, &value);
	while (is_there) {
		struct row_drive row;
		if (!APPLY_DECODE(apply, drive, value, &row))
			return false;
		*ret_greatest = row.number;
		if (memcmp(&row.drive, id, sizeof *id) == 0) {
			*ret_number = row.number;
			return true;
		}
		is_there = apply_next(apply, bytes_make(key.data, 1), &found, &value);
	}
	return false;
}

void apply_drive_add(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_drive_add *add = &command->drive_add;
	uint16_t number = 0, greatest;
	if (find_drive(apply, &add->drive, &number, &greatest)) {
		result->code = COMMAND_EXISTS;
		result->id = number;
		return;
	}
	if (greatest == UINT16_MAX) {
		result->code = COMMAND_LIMIT;
		return;
	}
	struct row_drive row = {
		.number = greatest + 1,
		.drive = add->drive,
		.node = add->node,
		.class = add->class,
		.state = DRIVE_ROW_IN,
		.weight = add->weight,
		.zone = add->zone,
		.added_ms = apply->time_ms,
	};
	struct row_key key;
	row_key_drive(&key, row.number);
	apply_new_drive(apply, &key, &row);
	result->id = row.number;
}

void apply_drive_update(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_drive_update *update = &command->drive_update;
	struct row_key key;
	struct row_drive row;
	row_key_drive(&key, update->number);
	if (!apply_get_drive(apply, &key, &row)) {
		result->code = COMMAND_NO_KEY;
		return;
	}
	if (update->set & DRIVE_SET_MOUNT) {
		if (update->mount != row.mount + 1) {
			result->code = COMMAND_STALE;
			result->count = row.mount;
			return;
		}
		row.mount = update->mount;
		row.node = update->node;
	}
	if (update->set & DRIVE_SET_STATE)
		row.state = update->state;
	if (update->set & DRIVE_SET_WEIGHT)
		row.weight = update->weight;
	if (update->set & DRIVE_SET_ZONE)
		row.zone = update->zone;
	if (update->set & DRIVE_SET_CLASS)
		row.class = update->class;
	apply_put_drive(apply, &key, &row);
	result->id = row.number;
	result->count = row.mount;
}

/* --- access keys and settings ----------------------------------------------------------------- */

void apply_key_put(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_key_put *put = &command->key_put;
	struct row_key key;
	struct row_access_key old;
	row_key_name(&key, TABLE_ACCESS_KEY, put->id);
	bool is_there = apply_get_access_key(apply, &key, &old);
	if (is_there ? put->must_be_new : put->must_exist) {
		result->code = is_there ? COMMAND_EXISTS : COMMAND_NO_KEY;
		return;
	}
	struct row_access_key row = {
		.secret = put->secret,
		.owner = put->owner,
		.description = put->description,
		.policy = put->policy,
		.state = put->state,
		.role = put->role,
		.created_ms = is_there ? old.created_ms : apply->time_ms,
		.expires_ms = put->expires_ms,
	};
	apply_put_access_key(apply, &key, &row);
	apply->access_keys_changed = true;
}

void apply_key_delete(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct row_key key;
	struct bytes value;
	row_key_name(&key, TABLE_ACCESS_KEY, command->key_delete.id);
	if (!apply_get(apply, &key, &value)) {
		result->code = COMMAND_NO_KEY;
		return;
	}
	apply_remove(apply, &key);
	apply->access_keys_changed = true;
}

void apply_setting_put(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_setting_put *put = &command->setting_put;
	struct row_key key;
	row_key_name(&key, TABLE_SETTING, put->name);
	if (put->value.len > 0)
		apply_put(apply, &key, put->value);
	else
		apply_remove(apply, &key);
	result->code = COMMAND_OK;
}
