/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on drives, access keys and settings.
 *
 * (D1) A drive is in, then draining (and perhaps in again), then gone or not, then removed. Gone is
 *      for good: its shards are made anew from that command on. It is removed when neither ring,
 *      target, moves, exceptions nor leftovers name it. Its row stays, and so does its number.
 * (D2) A mount is a claim: (drive, node, next number). The number proves that the claimer has seen
 *      the newest superblock; whose claim is not the newest any more fences the drive. Who has
 *      brought back a drive that is gone is told LOCKED: it is wiped, and added as another one.
 */
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

/* Does anything of the ledger name the drive? */
static bool is_referred_to(struct apply *apply, uint16_t number)
{
	struct row_key key;
	struct bytes found, value;
	row_key_drive_counts(&key, number);
	if (apply_ring_has_drive(apply, number) || apply_get(apply, &key, &value))
		return true;
	row_key_begin(&key, TABLE_LEFTOVER);
	bool is_there = apply_seek(apply, &key, 1, &found, &value);
	while (is_there) {
		if (get_be16(found.data + 4) == number)
			return true;
		is_there = apply_next(apply, bytes_make(key.data, 1), &found, &value);
	}
	return false;
}

/* Which states may follow (D1). */
static enum command_code check_state(
	struct apply *apply, const struct row_drive *row, enum row_drive_state next)
{
	if (row->state == next)
		return COMMAND_OK;
	if (row->state == DRIVE_ROW_REMOVED ||
		(row->state == DRIVE_ROW_GONE && next != DRIVE_ROW_REMOVED))
		return COMMAND_REFUSED;
	if (next == DRIVE_ROW_REMOVED && is_referred_to(apply, row->number))
		return COMMAND_NOT_EMPTY;
	return COMMAND_OK;
}

/* The ring has it among those that are gone, from this command on. */
static void add_gone(struct apply *apply, uint16_t number)
{
	struct ring_edit edit;
	if (!apply->ring || ring_snapshot_is_gone(apply->ring, number) ||
		!apply_ring_edit(apply, &edit))
		return;
	if (edit.gone_count == RING_DRIVES_MAX) {
		apply_ring_dropped(&edit);
		apply_fail(apply, ERR_LIMIT);
		return;
	}
	size_t at = edit.gone_count++;
	for (; at > 0 && edit.gone[at - 1] > number; at--)
		edit.gone[at] = edit.gone[at - 1];
	edit.gone[at] = number;
	apply_ring_edited(apply, &edit);
}

static void set_state(struct apply *apply, struct row_drive *row, enum row_drive_state next)
{
	if (next >= DRIVE_ROW_GONE && row->state < DRIVE_ROW_GONE)
		row->gone_ms = apply->time_ms;
	if (next >= DRIVE_ROW_GONE)
		add_gone(apply, row->number);
	row->state = next;
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
	result->id = row.number;
	result->count = row.mount;
	if (update->set & DRIVE_SET_STATE)
		result->code = check_state(apply, &row, update->state);
	if (update->set & DRIVE_SET_MOUNT) {
		if (row.state >= DRIVE_ROW_GONE)
			result->code = COMMAND_LOCKED; /* (D2) */
		else if (update->mount != row.mount + 1)
			result->code = COMMAND_STALE;
	}
	if (result->code != COMMAND_OK)
		return;
	if (update->set & DRIVE_SET_MOUNT) {
		row.mount = update->mount;
		row.node = update->node;
	}
	if (update->set & DRIVE_SET_STATE)
		set_state(apply, &row, update->state);
	if (update->set & DRIVE_SET_WEIGHT)
		row.weight = update->weight;
	if (update->set & DRIVE_SET_ZONE)
		row.zone = update->zone;
	if (update->set & DRIVE_SET_CLASS)
		row.class = update->class;
	apply_put_drive(apply, &key, &row);
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
		.has_user = apply_user_is_there(apply, put->owner),
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

/* May the epoch become that? */
static enum command_code check_epoch(
	struct apply *apply, const struct row_key *key, struct bytes value)
{
	struct bytes old;
	if (value.len != 8)
		return COMMAND_REFUSED;
	if (apply_get(apply, key, &old) && old.len == 8 &&
		get_le64(value.data) <= get_le64(old.data))
		return COMMAND_STALE;
	return COMMAND_OK;
}

void apply_setting_put(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_setting_put *put = &command->setting_put;
	struct row_key key;
	row_key_name(&key, TABLE_SETTING, put->name);
	if (bytes_is_text(put->name, COMMAND_SETTING_EPOCH)) {
		result->code = check_epoch(apply, &key, put->value);
		if (result->code != COMMAND_OK)
			return;
	}
	if (put->value.len > 0)
		apply_put(apply, &key, put->value);
	else
		apply_remove(apply, &key);
	result->code = COMMAND_OK;
}
