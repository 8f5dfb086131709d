/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket can be asked, one function each. They run in the control thread, which
 * has the node's own reader of the index to itself once the node has started. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/auth.h"
#include "gateway/names.h"
#include "server/control.h"
#include "server/control_check.h"
#include "server/control_cluster.h"
#include "server/control_drive.h"
#include "server/control_gone.h"
#include "server/control_health.h"
#include "server/control_layout.h"
#include "server/control_leave.h"
#include "server/control_node.h"
#include "server/control_recovery.h"
#include "server/control_tasks.h"
#include "server/control_waiting.h"
#include "server/net_test.h"
#include "server/node.h"
#include "server/node_space.h"
#include "server/node_status.h"
#include "server/salvage.h"

#define LIST_MAX 100000
#define DESCRIPTION_LEN_MAX 256

static enum err refuse_long_list(char *message)
{
	return node_refuse(
		message, ERR_LIMIT, "there are more than %d; the list would be too long", LIST_MAX);
}

static const char *argument(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));
	return text && text[0] ? text : NULL;
}

static json_t *text_of(struct bytes bytes)
{
	json_t *text = json_stringn(bytes.len ? (const char *)bytes.data : "", bytes.len);
	return text ? text : json_string("?"); /* not UTF-8 */
}

/* A list is complete when there is no next row. */
static enum err end_list(enum err err, json_t *list, json_t **ret_result)
{
	if (err != ERR_NOT_FOUND) {
		json_decref(list);
		return err;
	}
	*ret_result = list;
	return ERR_OK;
}

/* --- keys ------------------------------------------------------------------------------------- */

static json_t *key_json(struct bytes id, const struct row_access_key *row)
{
	return json_pack("{s:o, s:o, s:s, s:s, s:I, s:o}", "id", text_of(id), "owner",
		text_of(row->owner), "role", row->role == AUTH_ROLE_ADMIN ? "admin" : "owner",
		"state", row->state == ACCESS_KEY_ENABLED ? "enabled" : "disabled", "created_ms",
		(json_int_t)row->created_ms, "description", text_of(row->description));
}

static enum err key_list(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
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
		if (!err && i == LIST_MAX)
			err = refuse_long_list(message);
		if (err)
			break;
		json_array_append_new(list, key_json(id, &row));
		/* The next one is behind this id and a zero byte. */
		from_len = id.len < sizeof from - 1 ? id.len : sizeof from - 1;
		memcpy(from, id.data, from_len);
		from[from_len++] = 0;
	}
	index_view_end(node->reader);
	return end_list(err, list, ret_result);
}

/* A key's row, with its texts copied out of the view. */
struct key_copy {
	struct row_access_key row;
	uint8_t secret[SECRET_BOX_LEN_MAX];
	uint8_t owner[ROW_OWNER_LEN_MAX];
	uint8_t description[DESCRIPTION_LEN_MAX];
	uint8_t *policy;
};

static void key_copy_fini(struct key_copy *copy)
{
	free(copy->policy);
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
	const char *id = argument(request, "id");
	copy->policy = NULL;
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
		copy->policy = policy_len ? malloc(policy_len) : NULL;
		if (policy_len && !copy->policy)
			err = ERR_NO_MEMORY;
		else
			row->policy = copy_bytes(row->policy, copy->policy, policy_len);
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
		*ret_result = json_pack("{s:s, s:s, s:o}", "id", id, "secret", secret, "owner",
			text_of(row->owner));
	return err;
}

static enum err key_create(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct root_key made;
	identity_make_access_key(&made);
	const char *owner = argument(request, "owner");
	const char *role = argument(request, "role");
	const char *description = argument(request, "description");
	if (owner && (strlen(owner) > ROW_OWNER_LEN_MAX || strpbrk(owner, "\r\n\t<>&")))
		return node_refuse(message, ERR_INVALID, "--owner: at most %d plain characters",
			ROW_OWNER_LEN_MAX);
	if (role && strcmp(role, "admin") && strcmp(role, "owner"))
		return node_refuse(message, ERR_INVALID, "--role is admin or owner");
	struct row_access_key row = {
		.owner = bytes_of(owner ? owner : made.id),
		.description = bytes_of(description ? description : ""),
		.role = role && strcmp(role, "admin") == 0 ? AUTH_ROLE_ADMIN : AUTH_ROLE_OWNER,
	};
	if (row.description.len > DESCRIPTION_LEN_MAX)
		return node_refuse(message, ERR_INVALID, "--description: at most %d characters",
			DESCRIPTION_LEN_MAX);
	enum err err = put_secret(node, made.id, made.secret, &row, true, ret_result);
	sodium_memzero(&made, sizeof made);
	return err;
}

static enum err key_show(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct key_copy copy;
	const char *id;
	enum err err = find_key(node, request, &copy, &id, message);
	if (!err)
		*ret_result = key_json(bytes_of(id), &copy.row);
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

static enum err key_rotate(
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
		*ret_result = key_json(bytes_of(id), &copy.row);
	key_copy_fini(&copy);
	return err;
}

static enum err key_disable(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	return set_key_state(node, request, ret_result, message, ACCESS_KEY_DISABLED);
}

static enum err key_enable(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	return set_key_state(node, request, ret_result, message, ACCESS_KEY_ENABLED);
}

static enum err key_delete(
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
	err = node_propose(node, &command, &result);
	if (err)
		return err;
	follow_root(node, id, NULL);
	*ret_result = json_pack("{s:s}", "id", id);
	return ERR_OK;
}

/* --- buckets ---------------------------------------------------------------------------------- */

/* Under a view. */
static enum err bucket_json(struct node *node, const struct row_bucket *row, json_t **ret_json)
{
	struct row_bucket_counts counts;
	enum err err = index_bucket_counts(node->reader, row->id, &counts);
	if (err == ERR_NOT_FOUND) {
		memset(&counts, 0, sizeof counts);
		err = ERR_OK;
	}
	if (err)
		return err;
	*ret_json = json_pack("{s:o, s:o, s:I, s:I, s:I, s:I}", "name", text_of(row->name), "owner",
		text_of(row->owner), "created_ms", (json_int_t)row->created_ms, "objects",
		(json_int_t)counts.objects, "bytes", (json_int_t)counts.len, "uploads",
		(json_int_t)counts.uploads);
	return ERR_OK;
}

static enum err bucket_list(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	json_t *list = json_array();
	enum err err = index_view_begin(node->reader);
	if (err) {
		json_decref(list);
		return err;
	}
	uint8_t from[ROW_BUCKET_NAME_LEN_MAX + 1];
	size_t from_len = 0;
	for (size_t i = 0; !err; i++) {
		struct row_bucket row;
		err = index_bucket_next(
			node->reader, bytes_make(from, from_len), bytes_make(NULL, 0), &row);
		if (!err && i == LIST_MAX)
			err = refuse_long_list(message);
		json_t *json;
		if (err || (err = bucket_json(node, &row, &json)) != ERR_OK)
			break;
		json_array_append_new(list, json);
		assert(row.name.len <= ROW_BUCKET_NAME_LEN_MAX);
		memcpy(from, row.name.data, row.name.len);
		from_len = row.name.len;
		from[from_len++] = 0;
	}
	index_view_end(node->reader);
	return end_list(err, list, ret_result);
}

static enum err bucket_show(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *name = argument(request, "name");
	if (!name)
		return node_refuse(message, ERR_INVALID, "name the bucket");
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	struct row_bucket row;
	err = index_bucket_find(node->reader, bytes_of(name), &row);
	if (!err)
		err = bucket_json(node, &row, ret_result);
	index_view_end(node->reader);
	if (err == ERR_NOT_FOUND)
		return node_refuse(
			message, err, "there is no bucket %s; see rubus bucket list", name);
	return err;
}

static enum err bucket_create(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *name = argument(request, "name");
	const char *owner = argument(request, "owner");
	if (!name || !names_is_bucket(bytes_of(name)))
		return node_refuse(message, ERR_INVALID,
			"a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens");
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	command.bucket_create.name = bytes_of(name);
	command.bucket_create.owner = bytes_of(owner ? owner : "root");
	struct command_result result;
	enum err err = node_propose(node, &command, &result);
	if (err == ERR_EXISTS)
		return node_refuse(message, err, "bucket %s is there already", name);
	if (!err)
		*ret_result = json_pack("{s:s}", "name", name);
	return err;
}

static enum err bucket_delete(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *name = argument(request, "name");
	if (!name)
		return node_refuse(message, ERR_INVALID, "name the bucket");
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	struct row_bucket row;
	err = index_bucket_find(node->reader, bytes_of(name), &row);
	uint64_t bucket = err ? 0 : row.id;
	index_view_end(node->reader);
	if (!err) {
		struct command command = {.type = COMMAND_BUCKET_DELETE};
		command.bucket_delete.bucket = bucket;
		struct command_result result;
		err = node_propose(node, &command, &result);
	}
	if (err == ERR_NOT_FOUND)
		return node_refuse(
			message, err, "there is no bucket %s; see rubus bucket list", name);
	if (err == ERR_NOT_EMPTY)
		return node_refuse(
			message, err, "bucket %s is not empty; delete its objects first", name);
	if (!err)
		*ret_result = json_pack("{s:s}", "name", name);
	return err;
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum err (*call)(
		struct node *node, const json_t *request, json_t **ret_result, char *message);
} calls[] = {
	{"key.create", key_create},
	{"key.list", key_list},
	{"key.show", key_show},
	{"key.rotate", key_rotate},
	{"key.disable", key_disable},
	{"key.enable", key_enable},
	{"key.delete", key_delete},
	{"bucket.create", bucket_create},
	{"bucket.list", bucket_list},
	{"bucket.show", bucket_show},
	{"bucket.delete", bucket_delete},
	{"status", node_status},
	{"drive.list", node_status_drives},
	{"df", node_space},
	{"token.create", control_token_create},
	{"node.list", control_node_list},
	{"quorum", control_quorum},
	{"health", control_health},
	{"tree", control_tree},
	{"node.show", control_node_show},
	{"node.maintenance", control_node_maintenance},
	{"node.can-stop", control_node_can_stop},
	{"drive.safe-to-remove", control_drive_safe_to_remove},
	{"cluster.confirm", control_cluster_confirm},
	{"index.salvage", control_index_salvage},
	{"cluster.rest", control_cluster_rest},
	{"node.gone", control_node_gone},
	{"node.gone-after", control_node_gone_after},
	{"net.test", control_net_test},
	{"time.check", control_time_check},
	{"layout.show", control_layout_show},
	{"layout.simulate", control_layout_simulate},
	{"layout.plan", control_layout_plan},
	{"layout.apply", control_layout_apply},
	{"tasks", control_tasks},
	{"task.show", control_task_show},
	{"repair.status", control_repair_status},
	{"repair.report", control_repair_report},
	{"repair.pause", control_repair_pause},
	{"repair.resume", control_repair_resume},
	{"repair.speed", control_repair_speed},
	{"scrub.start", control_scrub_start},
	{"scrub.status", control_scrub_status},
	{"scrub.pause", control_scrub_pause},
	{"scrub.resume", control_scrub_resume},
	{"scrub.speed", control_scrub_speed},
	{"scrub.period", control_scrub_period},
	{"layout.diff", control_layout_diff},
	{"layout.revert", control_layout_revert},
	{"layout.history", control_layout_history},
	{"drive.add", control_drive_add},
	{"drive.drain", control_drive_drain},
	{"drive.remove", control_drive_remove},
	{"drive.gone", control_drive_gone},
	{"drive.replace", control_drive_replace},
	{"node.drain", control_node_drain},
	{"node.remove", control_node_remove},
};

enum err control_call(struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *name = argument(request, "call");
	if (!node->is_ready)
		return control_waiting(node, request, ret_result, message);
	for (size_t i = 0; name && i < ARRAY_COUNT(calls); i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].call(node, request, ret_result, message);
	return node_refuse(message, ERR_UNSUPPORTED, "the node does not know this request");
}
