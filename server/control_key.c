/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket about access keys. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/auth.h"
#include "server/control_user.h"
#include "server/identity.h"

#define DESCRIPTION_LEN_MAX 256

static json_t *key_json(struct bytes id, const struct row_access_key *row, uint64_t now_ms)
{
	bool is_expired = row->expires_ms > 0 && now_ms >= row->expires_ms;
	json_t *json = json_pack("{s:o, s:o, s:s, s:s, s:I, s:o, s:b}", "id", control_text(id),
		"owner", control_text(row->owner), "role",
		row->role == AUTH_ROLE_ADMIN ? "admin" : "owner", "state",
		row->state != ACCESS_KEY_ENABLED ? "disabled"
			: is_expired             ? "expired"
						 : "enabled",
		"created_ms", (json_int_t)row->created_ms, "description",
		control_text(row->description), "has_policy", row->policy.len > 0);
	if (row->expires_ms > 0)
		json_object_set_new(json, "expires_ms", json_integer(row->expires_ms));
	return json;
}

static uint64_t now_of(const struct node *node)
{
	int64_t now_ms = clock_wall_ms(node->clock);
	return now_ms > 0 ? now_ms : 0;
}

enum err control_key_list(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *user = control_argument(request, "user");
	json_t *list = json_array();
	enum err err = index_view_begin(node->reader);
	if (err) {
		json_decref(list);
		return err;
	}
	uint8_t from[ROW_KEY_LEN_MAX];
	size_t from_len = 0;
	for (size_t i = 0; !err; i++) {
		struct bytes id;
		struct row_access_key row;
		err = index_access_key_next(node->reader, bytes_make(from, from_len), &id, &row);
		if (!err && i == CONTROL_LIST_MAX)
			err = control_refuse_long_list(message);
		if (err)
			break;
		if (!user || bytes_is_text(row.owner, user))
			json_array_append_new(list, key_json(id, &row, now_of(node)));
		/* The next one is behind this id and a zero byte. */
		from_len = id.len < sizeof from - 1 ? id.len : sizeof from - 1;
		memcpy(from, id.data, from_len);
		from[from_len++] = 0;
	}
	index_view_end(node->reader);
	return control_end_list(err, list, ret_result);
}

/* A key's row, with its texts copied out of the view. */
struct key_copy {
	struct row_access_key row;
	uint8_t secret[SECRET_BOX_LEN_MAX];
	uint8_t owner[ROW_OWNER_LEN_MAX];
	uint8_t description[DESCRIPTION_LEN_MAX];
	uint8_t *policy_memory; /* owned */
};

static void key_copy_fini(struct key_copy *copy)
{
	free(copy->policy_memory);
}

static struct bytes copy_bytes(struct bytes from, uint8_t *to, size_t cap)
{
	size_t len = from.len < cap ? from.len : cap;
	if (len > 0)
		memcpy(to, from.data, len);
	return bytes_make(to, len);
}

static enum err find_key(struct node *node, const json_t *request, struct key_copy *copy,
	const char **ret_id, char *message)
{
	const char *id = control_argument(request, "id");
	copy->policy_memory = NULL;
	if (!id)
		return node_refuse(message, ERR_INVALID, "name the key's id");
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_access_key_get(node->reader, bytes_of(id), &copy->row);
	if (!err) {
		struct row_access_key *row = &copy->row;
		row->secret = copy_bytes(row->secret, copy->secret, sizeof copy->secret);
		row->owner = copy_bytes(row->owner, copy->owner, sizeof copy->owner);
		row->description = copy_bytes(
			row->description, copy->description, sizeof copy->description);
		size_t policy_len = row->policy.len;
		copy->policy_memory = policy_len ? malloc(policy_len) : NULL;
		if (policy_len && !copy->policy_memory)
			err = ERR_NO_MEMORY;
		else
			row->policy = copy_bytes(row->policy, copy->policy_memory, policy_len);
	}
	index_view_end(node->reader);
	if (err == ERR_NOT_FOUND)
		return node_refuse(message, err, "there is no key %s; see rubus key list", id);
	*ret_id = id;
	return err;
}

static enum err put_key(
	struct node *node, const char *id, const struct row_access_key *row, bool is_new)
{
	struct command command = {.type = COMMAND_KEY_PUT};
	command.key_put.id = bytes_of(id);
	command.key_put.must_be_new = is_new;
	command.key_put.must_exist = !is_new;
	command.key_put.secret = row->secret;
	command.key_put.owner = row->owner;
	command.key_put.description = row->description;
	command.key_put.policy = row->policy;
	command.key_put.state = row->state;
	command.key_put.role = row->role;
	command.key_put.expires_ms = row->expires_ms;
	struct command_result result;
	return node_propose(node, &command, &result);
}

/* Puts a key with a new secret, and tells it this once. */
static enum err put_secret(struct node *node, const char *id, const char *secret,
	struct row_access_key *row, bool is_new, json_t **ret_result)
{
	uint8_t sealed[SECRET_BOX_LEN_MAX];
	size_t sealed_len;
	enum err err = secret_box_seal(&node->box, bytes_of(secret), sealed, &sealed_len);
	if (err)
		return err;
	row->secret = bytes_make(sealed, sealed_len);
	err = put_key(node, id, row, is_new);
	if (!err)
		*ret_result = json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", id, "secret", secret,
			"access_key", id, "secret_key", secret, "owner", control_text(row->owner));
	return err;
}

/* What a client may sign with: no sign that stands between the parts of a signature. */
static bool is_plain(const char *text, size_t len_min, size_t len_max)
{
	size_t len = strlen(text);
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return len >= len_min && len <= len_max;
}

static enum err check_new_key(const struct control_new_key *new_key, char *message)
{
	const char *id = new_key->id, *secret = new_key->secret;
	if (!id != !secret)
		return node_refuse(
			message, ERR_INVALID, "name both --access-key and --secret-key, or none");
	if (id && (!is_plain(id, 3, ACCESS_KEY_ID_LEN_MAX) || strpbrk(id, "/,=<>&\"'")))
		return node_refuse(message, ERR_INVALID,
			"--access-key: 3 to %d printable characters without / , = < > & and "
			"quotes",
			ACCESS_KEY_ID_LEN_MAX);
	if (secret && !is_plain(secret, ACCESS_SECRET_LEN_MIN, ACCESS_SECRET_LEN_MAX))
		return node_refuse(message, ERR_INVALID,
			"--secret-key: %d to %d printable characters", ACCESS_SECRET_LEN_MIN,
			ACCESS_SECRET_LEN_MAX);
	return ERR_OK;
}

enum err control_key_make(struct node *node, const struct control_new_key *new_key,
	json_t **ret_result, char *message)
{
	struct root_key made;
	enum err err = check_new_key(new_key, message);
	if (err)
		return err;
	identity_make_access_key(&made);
	const char *id = new_key->id ? new_key->id : made.id;
	const char *description = new_key->description ? new_key->description : "";
	struct row_access_key row = {
		.owner = bytes_of(new_key->owner ? new_key->owner : id),
		.description = bytes_of(description),
		.role = new_key->role,
		.expires_ms = new_key->expires_ms,
	};
	if (row.owner.len > ROW_OWNER_LEN_MAX)
		err = node_refuse(message, ERR_INVALID, "such a long key id needs an owner");
	else if (row.description.len > DESCRIPTION_LEN_MAX)
		err = node_refuse(message, ERR_INVALID,
			"at most %d characters say what a key is for", DESCRIPTION_LEN_MAX);
	else
		err = put_secret(node, id, new_key->secret ? new_key->secret : made.secret, &row,
			true, ret_result);
	sodium_memzero(&made, sizeof made);
	if (err == ERR_EXISTS)
		return node_refuse(message, err, "key %s is there already", id);
	return err;
}

enum err control_key_create(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *owner = control_argument(request, "owner");
	const char *user = control_argument(request, "user");
	const char *role = control_argument(request, "role");
	const char *name = control_argument(request, "name");
	const char *expires = control_argument(request, "expires");
	struct control_new_key new_key = {
		.id = control_argument(request, "access-key"),
		.secret = control_argument(request, "secret-key"),
		.owner = user ? user : owner,
		.description = name ? name : control_argument(request, "description"),
	};
	if (owner && (strlen(owner) > ROW_OWNER_LEN_MAX || strpbrk(owner, "\r\n\t<>&")))
		return node_refuse(message, ERR_INVALID, "--owner: at most %d plain characters",
			ROW_OWNER_LEN_MAX);
	if (owner && user)
		return node_refuse(message, ERR_INVALID, "name --user or --owner, not both");
	if (role && strcmp(role, "admin") && strcmp(role, "owner"))
		return node_refuse(message, ERR_INVALID, "--role is admin or owner");
	if (expires && !control_read_expiry(expires, now_of(node), &new_key.expires_ms))
		return node_refuse(message, ERR_INVALID,
			"--expires: 90d, 12h, 30m, or a time to come such as 2030-12-31 or "
			"2030-12-31T12:00:00Z");
	new_key.role = role && strcmp(role, "admin") == 0 ? AUTH_ROLE_ADMIN : AUTH_ROLE_OWNER;
	enum err err = user ? control_find_user(node, user, message) : ERR_OK;
	return err ? err : control_key_make(node, &new_key, ret_result, message);
}

enum err control_key_show(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct key_copy copy;
	const char *id;
	enum err err = find_key(node, request, &copy, &id, message);
	json_t *grants, *json;
	if (!err)
		err = control_grants_of(node, id, "", &grants);
	if (!err) {
		json = key_json(bytes_of(id), &copy.row, now_of(node));
		json_object_set_new(json, "grants", grants);
		if (copy.row.policy.len > 0)
			json_object_set_new(json, "policy", control_text(copy.row.policy));
		*ret_result = json;
	}
	key_copy_fini(&copy);
	return err;
}

/* root.key says what the first key is: it goes with the key. made is NULL when the key is gone. */
static void follow_root(struct node *node, const char *id, const struct root_key *made)
{
	struct root_key root;
	char message[IDENTITY_MESSAGE_LEN];
	const char *state_dir = node->config->state_dir;
	enum err err = identity_load_root(state_dir, &root, message);
	if (!err && strcmp(root.id, id) == 0) {
		if (made)
			memcpy(root.secret, made->secret, sizeof root.secret);
		err = identity_put_root(state_dir, made ? &root : NULL, message);
	}
	sodium_memzero(&root, sizeof root);
	if (err && err != ERR_NOT_FOUND)
		trace_event(node->trace, TRACE_WARNING, 0, "root.key does not follow key %s: %s",
			id, message);
}

enum err control_key_rotate(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct key_copy copy;
	const char *id;
	enum err err = find_key(node, request, &copy, &id, message);
	if (err)
		return err;
	struct root_key made;
	identity_make_access_key(&made);
	err = put_secret(node, id, made.secret, &copy.row, false, ret_result);
	if (!err)
		follow_root(node, id, &made);
	sodium_memzero(&made, sizeof made);
	key_copy_fini(&copy);
	return err;
}

static enum err set_key_state(
	struct node *node, const json_t *request, json_t **ret_result, char *message, uint8_t state)
{
	struct key_copy copy;
	const char *id;
	enum err err = find_key(node, request, &copy, &id, message);
	if (err)
		return err;
	copy.row.state = state;
	err = put_key(node, id, &copy.row, false);
	if (!err)
		*ret_result = key_json(bytes_of(id), &copy.row, now_of(node));
	key_copy_fini(&copy);
	return err;
}

enum err control_key_disable(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	return set_key_state(node, request, ret_result, message, ACCESS_KEY_DISABLED);
}

enum err control_key_enable(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	return set_key_state(node, request, ret_result, message, ACCESS_KEY_ENABLED);
}

enum err control_key_delete(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct key_copy copy;
	const char *id;
	enum err err = find_key(node, request, &copy, &id, message);
	key_copy_fini(&copy);
	if (err)
		return err;
	struct command command = {.type = COMMAND_KEY_DELETE};
	command.key_delete.id = bytes_of(id);
	struct command_result result;
	err = control_drop_grants(node, id, NULL, message);
	if (!err)
		err = node_propose(node, &command, &result);
	if (err)
		return err;
	follow_root(node, id, NULL);
	*ret_result = json_pack("{s:s}", "id", id);
	return ERR_OK;
}

enum err control_key_policy(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *what = control_argument(request, "what");
	struct key_copy copy;
	struct bytes policy;
	const char *id;
	enum err err = find_key(node, request, &copy, &id, message);
	if (!err && (!what || strcmp(what, "show") != 0)) {
		err = control_read_policy(request, &policy, message);
		copy.row.policy = policy;
		if (!err)
			err = put_key(node, id, &copy.row, false);
	}
	if (!err)
		*ret_result = json_pack(
			"{s:s, s:o}", "id", id, "policy", control_text(copy.row.policy));
	key_copy_fini(&copy);
	return err;
}
