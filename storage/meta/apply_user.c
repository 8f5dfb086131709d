/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on users.
 *
 * (U1) An owner is a name in rows of buckets, versions and keys. One who has a row_user is a user,
 *      with a row of usage beside it; what rows and keys say is as true before as after.
 * (U2) Each key says whether its owner is a user, so that who is none costs no look at all.
 * (U3) A user's usage is the sum of its buckets at every place in the log: it is summed up when the
 *      owner becomes a user, and changes with each bucket from then on.
 * (U4) Who owns buckets is not deleted; all keys go with their user, and no key outlives it.
 */
#include "storage/meta/apply_priv.h"

/* Beside the keys: the user, its usage, and what the session keeps. */
static_assert(COMMAND_USER_KEYS_LEN_MAX + 4 * ROW_LEN_MAX <= APPLY_COMMAND_ROWS_LEN,
	"the rows of a user's keys fit in one command");

bool apply_user_is_any(struct apply *apply)
{
	struct row_key key;
	struct bytes found, value;
	row_key_begin(&key, TABLE_USER);
	return apply_seek(apply, &key, 1, &found, &value);
}

bool apply_user_is_there(struct apply *apply, struct bytes id)
{
	struct row_key key;
	struct bytes value;
	if (!apply->has_users)
		return false;
	row_key_name(&key, TABLE_USER, id);
	return apply_get(apply, &key, &value);
}

/* The next key of an owner behind `from`; ret_key is its key. */
static bool next_key(struct apply *apply, struct bytes owner, struct row_key *key,
	struct row_access_key *ret_row)
{
	struct bytes found, value;
	bool is_there = apply_seek(apply, key, 1, &found, &value);
	while (is_there) {
		if (!APPLY_DECODE(apply, access_key, value, ret_row))
			return false;
		if (bytes_is_equal(ret_row->owner, owner)) {
			row_key_begin(key, TABLE_ACCESS_KEY);
			row_key_bytes_append(key, bytes_from(found, 1));
			return true;
		}
		is_there = apply_next(apply, bytes_make(key->data, 1), &found, &value);
	}
	return false;
}

/* Are they, or their rows, more than one command may change? */
static bool has_too_many_keys(struct apply *apply, struct bytes owner, bool is_removal)
{
	struct row_key key;
	struct row_access_key row;
	size_t count = 0, len = 0;
	row_key_begin(&key, TABLE_ACCESS_KEY);
	while (next_key(apply, owner, &key, &row)) {
		row.has_user = true;
		len += buffer_row_len(
			key.len, is_removal ? 0 : row_access_key_encode(&row, apply->row_buf));
		if (++count > COMMAND_USER_KEYS_MAX || len > COMMAND_USER_KEYS_LEN_MAX)
			return true;
		row_key_u8(&key, 0);
	}
	return false;
}

/* Tells each key that its owner is a user, or removes it. */
static void change_keys(struct apply *apply, struct bytes owner, bool is_removal)
{
	struct row_key key, behind;
	struct row_access_key row;
	row_key_begin(&key, TABLE_ACCESS_KEY);
	while (next_key(apply, owner, &key, &row)) {
		behind = key;
		row_key_u8(&behind, 0);
		row.has_user = true;
		if (is_removal)
			apply_remove(apply, &key);
		else
			apply_put_access_key(apply, &key, &row);
		key = behind;
	}
	apply->access_keys_changed = true;
}

static void set_fields(const struct command_user_put *put, struct row_user *row)
{
	if (put->set & USER_SET_ABOUT) {
		row->name = put->name;
		row->email = put->email;
	}
	if (put->set & USER_SET_STATE)
		row->state = put->state;
	if (put->set & USER_SET_POLICY)
		row->policy = put->policy;
}

void apply_user_put(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_user_put *put = &command->user_put;
	struct row_key key, usage_key;
	struct row_user row = {.created_ms = apply->time_ms};
	struct row_user_usage usage = {0};
	row_key_name(&key, TABLE_USER, put->id);
	row_key_name(&usage_key, TABLE_USER_USAGE, put->id);
	bool is_there = apply_get_user(apply, &key, &row);
	if (is_there == put->must_be_new) {
		result->code = is_there ? COMMAND_EXISTS : COMMAND_NO_KEY;
		return;
	}
	if (!is_there && has_too_many_keys(apply, put->id, false)) {
		result->code = COMMAND_LIMIT;
		return;
	}
	set_fields(put, &row);
	apply_put_user(apply, &key, &row);
	if (!is_there) {
		accounting_sum(apply, put->id, &usage);
		change_keys(apply, put->id, false);
		apply->has_users = true;
	} else if (!apply_get_user_usage(apply, &usage_key, &usage)) {
		apply_fail(apply, ERR_CORRUPT);
		return;
	}
	if (put->set & USER_SET_QUOTA)
		usage.quota = put->quota;
	apply_put_user_usage(apply, &usage_key, &usage);
}

void apply_user_delete(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct bytes id = command->user_delete.id;
	struct row_key key;
	struct row_user_usage usage;
	row_key_name(&key, TABLE_USER_USAGE, id);
	if (!apply_get_user_usage(apply, &key, &usage)) {
		result->code = COMMAND_NO_KEY;
		return;
	}
	if (usage.buckets > 0) {
		result->code = COMMAND_NOT_EMPTY;
		result->count = usage.buckets;
		return;
	}
	if (has_too_many_keys(apply, id, true)) {
		result->code = COMMAND_LIMIT;
		return;
	}
	change_keys(apply, id, true);
	apply_remove(apply, &key);
	row_key_name(&key, TABLE_USER, id);
	apply_remove(apply, &key);
	apply->has_users = apply_user_is_any(apply);
}
