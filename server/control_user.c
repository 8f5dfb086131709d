/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket about users. */
#include <stdlib.h>
#include <string.h>

#include "gateway/policy.h"
#include "server/control_user.h"

enum err control_find_user(struct node *node, const char *id, char *message)
{
	struct row_user row;
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_user_get(node->reader, bytes_of(id), &row);
	index_view_end(node->reader);
	if (err == ERR_NOT_FOUND)
		return node_refuse(message, err, "there is no user %.64s; see rubus user list", id);
	return err;
}

/* The user that a request names. */
static enum err find_named(
	struct node *node, const json_t *request, const char **ret_id, char *message)
{
	*ret_id = control_argument(request, "id");
	if (!*ret_id)
		return node_refuse(message, ERR_INVALID, "name the user's id");
	return control_find_user(node, *ret_id, message);
}

static enum err put_user(struct node *node, const struct command *command, char *message)
{
	struct command_result result;
	enum err err = node_propose(node, command, &result);
	if (err == ERR_VERSION)
		return node_refuse(message, err, "not all nodes know users yet; upgrade them");
	if (err == ERR_LIMIT)
		return node_refuse(message, err,
			"that owner has more than %d keys, or %d KiB of keys and their policies; "
			"delete some, or make their policies shorter",
			COMMAND_USER_KEYS_MAX, COMMAND_USER_KEYS_LEN_MAX / 1024);
	return err;
}

/* --- showing ---------------------------------------------------------------------------------- */

/* Under a view. */
static enum err user_json(
	struct node *node, struct bytes id, const struct row_user *row, json_t **ret_json)
{
	struct row_user_usage usage;
	enum err err = index_user_usage_get(node->reader, id, &usage);
	if (err)
		return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
	*ret_json = json_pack("{s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "id",
		control_text(id), "name", control_text(row->name), "email",
		control_text(row->email), "state",
		row->state == USER_ENABLED ? "enabled" : "disabled", "created_ms",
		(json_int_t)row->created_ms, "buckets", (json_int_t)usage.buckets, "objects",
		(json_int_t)usage.counts.objects, "versions", (json_int_t)usage.counts.versions,
		"bytes", (json_int_t)usage.counts.len, "has_policy", row->policy.len > 0);
	control_add_quota(*ret_json, &usage.quota);
	return ERR_OK;
}

enum err control_user_list(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	uint8_t from[ROW_OWNER_LEN_MAX + 1];
	size_t from_len = 0;
	json_t *list = json_array(), *json;
	enum err err = index_view_begin(node->reader);
	if (err) {
		json_decref(list);
		return err;
	}
	while (!err) {
		struct bytes id;
		struct row_user row;
		err = index_user_next(node->reader, bytes_make(from, from_len), &id, &row);
		if (!err && json_array_size(list) == CONTROL_LIST_MAX)
			err = control_refuse_long_list(message);
		if (err)
			break;
		from_len = id.len < sizeof from - 1 ? id.len : sizeof from - 1;
		memcpy(from, id.data, from_len);
		err = user_json(node, bytes_make(from, from_len), &row, &json);
		from[from_len++] = 0;
		if (!err)
			json_array_append_new(list, json);
	}
	index_view_end(node->reader);
	return control_end_list(err, list, ret_result);
}

enum err control_user_show(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *id = control_argument(request, "id");
	json_t *json = NULL, *keys = NULL, *grants = NULL;
	struct row_user row;
	if (!id)
		return node_refuse(message, ERR_INVALID, "name the user's id");
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_user_get(node->reader, bytes_of(id), &row);
	if (!err)
		err = user_json(node, bytes_of(id), &row, &json);
	if (!err && row.policy.len > 0)
		json_object_set_new(json, "policy", control_text(row.policy));
	index_view_end(node->reader);
	if (err == ERR_NOT_FOUND)
		return node_refuse(message, err, "there is no user %.64s; see rubus user list", id);
	json_t *of_user = json_pack("{s:s}", "user", id);
	if (!err)
		err = control_key_list(node, of_user, &keys, message);
	if (!err)
		err = control_grants_of(node, "", id, &grants);
	json_decref(of_user);
	if (err) {
		json_decref(keys);
		json_decref(json);
		return err;
	}
	json_object_set_new(json, "keys", keys);
	json_object_set_new(json, "grants", grants);
	*ret_result = json;
	return ERR_OK;
}

/* --- making and changing ---------------------------------------------------------------------- */

enum err control_user_create(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *id = control_argument(request, "id");
	const char *name = control_argument(request, "name");
	const char *email = control_argument(request, "email");
	struct control_new_key new_key = {
		.id = control_argument(request, "access-key"),
		.secret = control_argument(request, "secret-key"),
		.owner = id,
		.description = "made with the user",
	};
	struct command command = {.type = COMMAND_USER_PUT};
	if (!control_is_user_id(id))
		return node_refuse(message, ERR_INVALID,
			"--id: 1 to %d letters, digits and . _ - @ + =", ROW_OWNER_LEN_MAX);
	command.user_put.id = bytes_of(id);
	command.user_put.must_be_new = true;
	command.user_put.set = USER_SET_ABOUT;
	command.user_put.name = bytes_of(name ? name : "");
	command.user_put.email = bytes_of(email ? email : "");
	if (command.user_put.name.len > ROW_USER_NAME_LEN_MAX ||
		command.user_put.email.len > ROW_EMAIL_LEN_MAX)
		return node_refuse(message, ERR_INVALID, "--name or --email is too long");
	enum err err = put_user(node, &command, message);
	if (err == ERR_EXISTS)
		return node_refuse(message, err, "user %s is there already", id);
	if (err)
		return err;
	err = control_key_make(node, &new_key, ret_result, message);
	if (err) {
		struct command undo = {.type = COMMAND_USER_DELETE};
		undo.user_delete.id = bytes_of(id);
		err_ignore(put_user(node, &undo, (char[NODE_MESSAGE_LEN]){0})); /* or it is left */
		return err;
	}
	json_object_del(*ret_result, "id");
	json_object_del(*ret_result, "secret");
	json_object_set_new(*ret_result, "id", json_string(id));
	json_object_set_new(*ret_result, "name", json_string(name ? name : ""));
	json_object_set_new(*ret_result, "email", json_string(email ? email : ""));
	return ERR_OK;
}

/* The quota of now, which a command sets as a whole. */
static enum err read_quota(struct node *node, const char *id, struct row_quota *ret_quota)
{
	struct row_user_usage usage;
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_user_usage_get(node->reader, bytes_of(id), &usage);
	if (!err)
		*ret_quota = usage.quota;
	index_view_end(node->reader);
	return err;
}

static enum err read_about(struct node *node, const char *id, struct command_user_put *put,
	char name[ROW_USER_NAME_LEN_MAX], char email[ROW_EMAIL_LEN_MAX])
{
	struct row_user row;
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_user_get(node->reader, bytes_of(id), &row);
	if (!err) {
		memcpy(name, row.name.len ? (const char *)row.name.data : "", row.name.len);
		memcpy(email, row.email.len ? (const char *)row.email.data : "", row.email.len);
		put->name = bytes_make(name, row.name.len);
		put->email = bytes_make(email, row.email.len);
	}
	index_view_end(node->reader);
	return err;
}

static enum err take_setting(
	struct command_user_put *put, const char *name, const char *value, char *message)
{
	bool is_quota;
	struct bytes text = bytes_of(value);
	enum err err = control_set_quota(&put->quota, name, value, &is_quota, message);
	if (err || is_quota) {
		put->set |= USER_SET_QUOTA;
		return err;
	}
	if (strcmp(name, "name") == 0 && text.len <= ROW_USER_NAME_LEN_MAX)
		put->name = text;
	else if (strcmp(name, "email") == 0 && text.len <= ROW_EMAIL_LEN_MAX)
		put->email = text;
	else
		return node_refuse(message, ERR_INVALID,
			"there is no setting %.32s, or its value is too long; see rubus help user "
			"set",
			name);
	put->set |= USER_SET_ABOUT;
	return ERR_OK;
}

enum err control_user_set(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *id, *value;
	char setting[32], name[ROW_USER_NAME_LEN_MAX], email[ROW_EMAIL_LEN_MAX];
	struct command command = {.type = COMMAND_USER_PUT};
	struct command_user_put *put = &command.user_put;
	enum err err = find_named(node, request, &id, message);
	if (!err)
		err = read_quota(node, id, &put->quota);
	if (!err)
		err = read_about(node, id, put, name, email);
	if (err)
		return err;
	put->id = bytes_of(id);
	for (size_t i = 0; !err && (value = control_setting(request, i, setting, sizeof setting));
		i++)
		err = take_setting(put, setting, value, message);
	if (!err)
		err = put_user(node, &command, message);
	return err ? err : control_user_show(node, request, ret_result, message);
}

static enum err set_state(struct node *node, const json_t *request, json_t **ret_result,
	char *message, enum user_state state)
{
	const char *id;
	struct command command = {.type = COMMAND_USER_PUT};
	enum err err = find_named(node, request, &id, message);
	if (err)
		return err;
	command.user_put.id = bytes_of(id);
	command.user_put.set = USER_SET_STATE;
	command.user_put.state = state;
	err = put_user(node, &command, message);
	return err ? err : control_user_show(node, request, ret_result, message);
}

enum err control_user_disable(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	return set_state(node, request, ret_result, message, USER_DISABLED);
}

enum err control_user_enable(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	return set_state(node, request, ret_result, message, USER_ENABLED);
}

/* --- policies --------------------------------------------------------------------------------- */

enum err control_read_policy(const json_t *request, struct bytes *ret_policy, char *message)
{
	const char *what = control_argument(request, "what");
	const char *text = control_argument(request, "policy"), *why = "";
	struct policy *policy;
	*ret_policy = (struct bytes){0};
	if (what && strcmp(what, "remove") == 0)
		return ERR_OK;
	if (!what || strcmp(what, "set") != 0)
		return node_refuse(message, ERR_INVALID, "write set, show or remove");
	if (!text)
		return node_refuse(message, ERR_INVALID, "name the file of the policy");
	enum err err = policy_parse(
		POLICY_OF_KEY, bytes_of(text), (struct bytes){0}, &policy, &why);
	if (err == ERR_LIMIT)
		return node_refuse(message, err, "a policy has at most %u bytes", POLICY_LEN_MAX);
	if (err)
		return node_refuse(message, err, "the policy is refused: %s", why);
	policy_free(policy);
	*ret_policy = bytes_of(text);
	return ERR_OK;
}

static enum err show_policy(struct node *node, const char *id, json_t **ret_result, char *message)
{
	struct row_user row;
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_user_get(node->reader, bytes_of(id), &row);
	if (!err)
		*ret_result = json_pack("{s:s, s:o}", "id", id, "policy", control_text(row.policy));
	index_view_end(node->reader);
	return err == ERR_NOT_FOUND
		? node_refuse(message, err, "there is no user %.64s; see rubus user list", id)
		: err;
}

enum err control_user_policy(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *what = control_argument(request, "what"), *id;
	struct command command = {.type = COMMAND_USER_PUT};
	enum err err = find_named(node, request, &id, message);
	if (!err && (!what || strcmp(what, "show") != 0)) {
		err = control_read_policy(request, &command.user_put.policy, message);
		command.user_put.id = bytes_of(id);
		command.user_put.set = USER_SET_POLICY;
		if (!err)
			err = put_user(node, &command, message);
	}
	return err ? err : show_policy(node, id, ret_result, message);
}

/* --- deleting --------------------------------------------------------------------------------- */

struct gift {
	struct control_buckets buckets;
	const char *from;
	uint64_t ids[256];
	size_t count;
};

static enum err find_gift(
	struct control_buckets *buckets, struct node *node, const struct row_bucket *row)
{
	(void)node;
	struct gift *gift = CONTAINER_OF(buckets, struct gift, buckets);
	if (bytes_is_text(row->owner, gift->from))
		gift->ids[gift->count++] = row->id;
	return gift->count == ARRAY_COUNT(gift->ids) ? ERR_END : ERR_OK;
}

/* Gives all buckets of one to another, some at a time. */
static enum err give_buckets(struct node *node, const char *from, const char *to)
{
	struct gift gift = {.buckets.call = find_gift, .from = from};
	struct command_result result;
	enum err err;
	do {
		gift.count = 0;
		err = control_each_bucket(node, &gift.buckets);
		if (err == ERR_END)
			err = ERR_OK;
		for (size_t i = 0; !err && i < gift.count; i++) {
			struct command command = {.type = COMMAND_BUCKET_UPDATE};
			command.bucket_update.bucket = gift.ids[i];
			command.bucket_update.set = BUCKET_SET_OWNER;
			command.bucket_update.owner = bytes_of(to);
			err = node_propose(node, &command, &result);
			if (err == ERR_NOT_FOUND)
				err = ERR_OK; /* deleted meanwhile */
		}
	} while (!err && gift.count > 0);
	return err;
}

enum err control_user_delete(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *id, *heir = control_argument(request, "give-buckets-to");
	struct command command = {.type = COMMAND_USER_DELETE};
	enum err err = find_named(node, request, &id, message);
	if (!err && heir)
		err = strcmp(heir, id) == 0
			? node_refuse(message, ERR_INVALID, "give them to somebody else")
			: control_find_user(node, heir, message);
	if (!err && heir)
		err = give_buckets(node, id, heir);
	if (err)
		return err;
	command.user_delete.id = bytes_of(id);
	err = put_user(node, &command, message);
	if (err == ERR_NOT_EMPTY)
		return node_refuse(message, err,
			"user %s owns buckets: delete them, or write --give-buckets-to ID", id);
	if (!err)
		err = control_drop_grants(node, NULL, id, message);
	if (!err)
		*ret_result = json_pack("{s:s}", "id", id);
	return err;
}
