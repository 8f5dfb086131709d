/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket about buckets. */
#include <stdlib.h>
#include <string.h>

#include "gateway/names.h"
#include "server/control_user.h"
#include "storage/object/frame.h"

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
	*ret_json = json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "name",
		control_text(row->name), "owner", control_text(row->owner), "created_ms",
		(json_int_t)row->created_ms, "objects", (json_int_t)counts.objects, "versions",
		(json_int_t)counts.versions, "bytes", (json_int_t)counts.len, "uploads",
		(json_int_t)counts.uploads);
	control_add_quota(*ret_json, &row->quota);
	struct bytes blob;
	err = index_bucket_config(node->reader, row->id, BUCKET_CONFIG_COMPRESSION, &blob);
	bool is_zipped = err == ERR_OK && blob.len == 2 && blob.data[1] == FRAME_ZSTD;
	json_object_set_new(*ret_json, "compression", json_string(is_zipped ? "zstd" : "none"));
	return ERR_OK;
}

enum err control_each_bucket(struct node *node, struct control_buckets *buckets)
{
	uint8_t from[ROW_BUCKET_NAME_LEN_MAX + 1];
	size_t from_len = 0;
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	while (!err) {
		struct row_bucket row;
		err = index_bucket_next(
			node->reader, bytes_make(from, from_len), bytes_make(NULL, 0), &row);
		if (err)
			break;
		assert(row.name.len <= ROW_BUCKET_NAME_LEN_MAX);
		memcpy(from, row.name.data, row.name.len);
		from_len = row.name.len;
		from[from_len++] = 0;
		err = buckets->call(buckets, node, &row);
	}
	index_view_end(node->reader);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

struct list {
	struct control_buckets buckets;
	const char *owner; /* NULL: everybody's */
	json_t *list;
};

static enum err list_bucket(
	struct control_buckets *buckets, struct node *node, const struct row_bucket *row)
{
	struct list *list = CONTAINER_OF(buckets, struct list, buckets);
	json_t *json;
	if (list->owner && !bytes_is_text(row->owner, list->owner))
		return ERR_OK;
	if (json_array_size(list->list) == CONTROL_LIST_MAX)
		return ERR_LIMIT;
	enum err err = bucket_json(node, row, &json);
	if (!err)
		json_array_append_new(list->list, json);
	return err;
}

enum err control_bucket_list(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct list list = {
		.buckets.call = list_bucket,
		.owner = control_argument(request, "user"),
		.list = json_array(),
	};
	enum err err = control_each_bucket(node, &list.buckets);
	if (err == ERR_LIMIT)
		err = control_refuse_long_list(message);
	return control_end_list(err ? err : ERR_NOT_FOUND, list.list, ret_result);
}

enum err control_bucket_show(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *name = control_argument(request, "name");
	if (!name)
		return node_refuse(message, ERR_INVALID, "name the bucket");
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	struct row_bucket row;
	err = index_bucket_find(node->reader, bytes_of(name), &row);
	json_t *json = NULL, *grants;
	if (!err)
		err = bucket_json(node, &row, &json);
	if (!err && !(err = control_grants_in(node, row.id, &grants)))
		json_object_set_new(json, "grants", grants);
	index_view_end(node->reader);
	if (err == ERR_NOT_FOUND)
		return node_refuse(
			message, err, "there is no bucket %s; see rubus bucket list", name);
	if (err)
		json_decref(json);
	else
		*ret_result = json;
	return err;
}

enum err control_bucket_create(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *name = control_argument(request, "name");
	const char *owner = control_argument(request, "owner");
	const char *user = control_argument(request, "user");
	enum err err = user ? control_find_user(node, user, message) : ERR_OK;
	if (err)
		return err;
	if (!name || !names_is_bucket(bytes_of(name)))
		return node_refuse(message, ERR_INVALID,
			"a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens");
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	command.bucket_create.name = bytes_of(name);
	command.bucket_create.owner = bytes_of(user ? user : owner ? owner : "root");
	struct command_result result;
	err = node_propose(node, &command, &result);
	if (err == ERR_EXISTS)
		return node_refuse(message, err, "bucket %s is there already", name);
	if (!err)
		*ret_result = json_pack("{s:s}", "name", name);
	return err;
}

enum err control_bucket_delete(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *name = control_argument(request, "name");
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

/* --- settings --------------------------------------------------------------------------------- */

/* A blob of gateway/bucket_config.c. */
static enum err take_compression(
	struct node *node, struct command_bucket_update *update, const char *value, char *message)
{
	static const uint8_t zstd[] = {1, FRAME_ZSTD};
	bool is_zstd = strcmp(value, "zstd") == 0;
	if (!is_zstd && strcmp(value, "none") != 0)
		return node_refuse(message, ERR_INVALID, "compression is zstd or none");
	if (index_known_command_version(node->index) < COMMAND_VERSION_FRAMES)
		return node_refuse(message, ERR_VERSION, "not all nodes know how to do that yet");
	update->set |= BUCKET_SET_CONFIG;
	update->config_kind = BUCKET_CONFIG_COMPRESSION;
	update->config = bytes_make(zstd, is_zstd ? sizeof zstd : 0);
	return ERR_OK;
}

/* Puts a setting into the update. */
static enum err take_setting(struct node *node, struct command_bucket_update *update,
	const char *name, const char *value, char *message)
{
	bool is_quota;
	enum err err = control_set_quota(&update->quota, name, value, &is_quota, message);
	if (err || is_quota) {
		update->set |= BUCKET_SET_QUOTA;
		return err;
	}
	if (strcmp(name, "owner") == 0) {
		update->set |= BUCKET_SET_OWNER;
		update->owner = bytes_of(value);
		return control_find_user(node, value, message);
	}
	if (strcmp(name, "compression") == 0)
		return take_compression(node, update, value, message);
	return node_refuse(
		message, ERR_INVALID, "there is no setting %.32s; see rubus help bucket set", name);
}

enum err control_bucket_set(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *name = control_argument(request, "name"), *value;
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	struct command_bucket_update *update = &command.bucket_update;
	struct command_result result;
	struct row_bucket row;
	char setting[32];
	if (!name)
		return node_refuse(message, ERR_INVALID, "name the bucket");
	if (index_known_command_version(node->index) < command_type_version(COMMAND_USER_PUT))
		return node_refuse(message, ERR_VERSION, "not all nodes know how to do that yet");
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_bucket_find(node->reader, bytes_of(name), &row);
	update->bucket = row.id;
	update->change_count = row.change_count;
	update->quota = row.quota;
	index_view_end(node->reader);
	if (err == ERR_NOT_FOUND)
		return node_refuse(
			message, err, "there is no bucket %s; see rubus bucket list", name);
	for (size_t i = 0; !err && (value = control_setting(request, i, setting, sizeof setting));
		i++)
		err = take_setting(node, update, setting, value, message);
	if (!err)
		err = node_propose(node, &command, &result);
	return err ? err : control_bucket_show(node, request, ret_result, message);
}
