/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, and the tokens that they join with.
 *
 * (J1) A node is admitted once: the first of all as it is, every other by a token, in one step with
 *      the spending of the token.
 * (J2) A token admits one node, which is its id and its key. That node may ask again, with this or
 *      another token, and gets the same answer.
 * (J3) Numbers and ids of nodes are never used again: a removed node that comes back has another
 * id.
 */
#include "storage/meta/apply_priv.h"

/* Looks through all nodes: for one with the id, for one with the key, for the greatest number. */
struct node_search {
	struct id id;
	const uint8_t *key;
	bool is_found, is_key_taken;
	struct row_node row;
	uint16_t greatest;
	size_t count;
};

static bool search(struct apply *apply, struct node_search *found)
{
	struct row_key key;
	struct bytes name, value;
	row_key_begin(&key, TABLE_NODE);
	bool is_there = apply_seek(apply, &key, 1, &name, &value);
	while (is_there) {
		struct row_node row;
		if (!APPLY_DECODE(apply, node, value, &row))
			return false;
		found->greatest = row.number;
		found->count++;
		if (id_is_equal(row.id, found->id)) {
			found->row = row;
			found->is_found = true;
			return true;
		}
		if (memcmp(row.key, found->key, sizeof row.key) == 0)
			found->is_key_taken = true;
		is_there = apply_next(apply, bytes_make(key.data, 1), &name, &value);
	}
	return apply->err == ERR_OK;
}

/* Spends a token for a node (J2). */
static bool spend(struct apply *apply, struct id token, struct id node)
{
	static const struct id nobody;
	struct row_key key;
	struct row_token row;
	row_key_token(&key, token);
	if (!apply_get_token(apply, &key, &row) || row.end_ms <= apply->time_ms)
		return false;
	if (!id_is_equal(row.spent_by, nobody))
		return id_is_equal(row.spent_by, node);
	row.spent_by = node;
	apply_put_token(apply, &key, &row);
	return true;
}

static void take_about(struct row_node *row, const struct command_node_put *put)
{
	row->name = put->name;
	row->zone = put->zone;
	row->addresses = put->addresses;
	row->role = put->role;
	row->version_min = put->version_min;
	row->version_max = put->version_max;
}

static void admit(struct apply *apply, const struct command_node_put *put,
	const struct node_search *found, struct command_result *result)
{
	if (found->count >= ROW_NODES_MAX || found->greatest == UINT16_MAX)
		result->code = COMMAND_LIMIT;
	else if (found->is_key_taken)
		result->code = COMMAND_REFUSED;
	else if (found->count > 0 && !spend(apply, put->token, put->id))
		result->code = COMMAND_LOCKED;
	if (result->code != COMMAND_OK)
		return;
	struct row_node row = {
		.number = found->greatest + 1, .id = put->id, .joined_ms = apply->time_ms};
	memcpy(row.key, put->key, sizeof row.key);
	take_about(&row, put);
	struct row_key key;
	row_key_node(&key, row.number);
	apply_new_node(apply, &key, &row);
	result->id = row.number;
}

/* One that is admitted asks again: is it that node, with a token of its own (J2)? */
static enum command_code readmit(
	struct apply *apply, const struct command_node_put *put, const struct row_node *row)
{
	static const struct id none;
	if (id_is_equal(put->token, none))
		return COMMAND_OK; /* a change, by a member */
	if (memcmp(put->key, row->key, sizeof row->key) != 0)
		return COMMAND_REFUSED;
	return spend(apply, put->token, put->id) ? COMMAND_OK : COMMAND_LOCKED;
}

void apply_node_put(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_node_put *put = &command->node_put;
	struct node_search found = {.id = put->id, .key = put->key};
	if (!search(apply, &found))
		return;
	apply->nodes_changed = true;
	if (!found.is_found) {
		admit(apply, put, &found, result);
		return;
	}
	struct row_node row = found.row;
	result->code = readmit(apply, put, &row);
	if (result->code != COMMAND_OK)
		return;
	if (put->set & NODE_SET_ABOUT)
		take_about(&row, put);
	if (put->set & NODE_SET_STATE)
		row.state = put->state;
	if (put->set & NODE_SET_MAINTENANCE)
		row.maintenance_until_ms = put->maintenance_until_ms;
	if (put->set & NODE_SET_AWAY)
		row.away_ms = put->away_ms;
	struct row_key key;
	row_key_node(&key, row.number);
	apply_put_node(apply, &key, &row);
	result->id = row.number;
}

/* Has the node a drive that may hold shards? */
static bool has_drives(struct apply *apply, struct id node)
{
	struct row_key key;
	struct bytes found, value;
	row_key_begin(&key, TABLE_DRIVE);
	bool is_there = apply_seek(apply, &key, 1, &found, &value);
	while (is_there) {
		struct row_drive row;
		if (!APPLY_DECODE(apply, drive, value, &row))
			return true;
		if (id_is_equal(row.node, node) && row.state < DRIVE_ROW_GONE)
			return true;
		is_there = apply_next(apply, bytes_make(key.data, 1), &found, &value);
	}
	return false;
}

void apply_node_remove(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	static const uint8_t no_key[ROW_NODE_KEY_LEN];
	struct node_search found = {.id = command->node_remove.id, .key = no_key};
	if (!search(apply, &found))
		return;
	if (!found.is_found) {
		result->code = COMMAND_NO_KEY;
		return;
	}
	if (has_drives(apply, found.id)) {
		result->code = COMMAND_NOT_EMPTY;
		return;
	}
	struct row_key key;
	row_key_node(&key, found.row.number);
	apply_remove(apply, &key);
	apply_session_close_all(apply, found.id);
	apply->nodes_changed = true;
	result->id = found.row.number;
}

/* Removes what is past its end; counts the others. */
static size_t clean_tokens(struct apply *apply)
{
	struct row_key key;
	struct bytes found, value;
	size_t count = 0;
	row_key_begin(&key, TABLE_TOKEN);
	while (apply_seek(apply, &key, 1, &found, &value)) {
		struct row_token row;
		if (!APPLY_DECODE(apply, token, value, &row) || found.len != 1 + ID_LEN)
			return COMMAND_TOKENS_MAX;
		struct id token;
		memcpy(token.bytes, found.data + 1, ID_LEN);
		row_key_token(&key, token);
		if (row.end_ms <= apply->time_ms)
			apply_remove(apply, &key);
		else
			count++;
		row_key_u8(&key, 0); /* just behind it */
	}
	return count;
}

void apply_token_put(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_token_put *put = &command->token_put;
	struct row_key key;
	struct bytes value;
	if (clean_tokens(apply) >= COMMAND_TOKENS_MAX) {
		result->code = COMMAND_LIMIT;
		return;
	}
	row_key_token(&key, put->token);
	if (apply_get(apply, &key, &value)) {
		result->code = COMMAND_EXISTS;
		return;
	}
	struct row_token row = {.secret = put->secret,
		.made_ms = apply->time_ms,
		.end_ms = apply->time_ms + put->life_ms};
	apply_new_token(apply, &key, &row);
	apply->nodes_changed = true;
	result->time_ms = row.end_ms;
}

void apply_token_delete(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct row_key key;
	struct bytes value;
	row_key_token(&key, command->token_delete.token);
	if (!apply_get(apply, &key, &value)) {
		result->code = COMMAND_NO_KEY;
		return;
	}
	apply_remove(apply, &key);
	apply->nodes_changed = true;
}
