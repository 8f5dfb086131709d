/* SPDX-License-Identifier: Apache-2.0 */
/* Grants: who beside its owner may use a bucket. */
#include <string.h>

#include "gateway/bucket_config.h"
#include "gateway/grants.h"
#include "server/control_user.h"

/* Another change of the bucket may come between: it is looked at again. */
#define TRIES 8

static json_t *rights_json(uint8_t rights)
{
	json_t *list = json_array();
	static const struct {
		uint8_t right;
		const char *name;
	} all[] = {{GRANT_READ, "read"}, {GRANT_WRITE, "write"}, {GRANT_OWN, "owner"}};
	for (size_t i = 0; i < ARRAY_COUNT(all); i++)
		if (rights & all[i].right)
			json_array_append_new(list, json_string(all[i].name));
	return list;
}

/* Under a view. Empty: there are none. */
static enum err read_grants(struct node *node, uint64_t bucket, struct bytes *ret_rest)
{
	struct bytes blob;
	*ret_rest = (struct bytes){0};
	enum err err = index_bucket_config(node->reader, bucket, BUCKET_CONFIG_GRANTS, &blob);
	if (err == ERR_NOT_FOUND)
		return ERR_OK;
	return err ? err : bucket_config_open(blob, ret_rest);
}

enum err control_grants_in(struct node *node, uint64_t bucket, json_t **ret_list)
{
	struct bytes rest;
	struct grant grant;
	enum err err = read_grants(node, bucket, &rest);
	json_t *list = json_array();
	while (!err && (err = grants_next(&rest, &grant)) == ERR_OK)
		json_array_append_new(list,
			json_pack("{s:o, s:o}", grant.kind == GRANT_OF_KEY ? "key" : "user",
				control_text(grant.id), "rights", rights_json(grant.rights)));
	if (err != ERR_END) {
		json_decref(list);
		return err;
	}
	*ret_list = list;
	return ERR_OK;
}

/* --- of whom ---------------------------------------------------------------------------------- */

struct search {
	struct control_buckets buckets;
	struct bytes key_id, user;
	json_t *list;
};

static enum err search_bucket(
	struct control_buckets *buckets, struct node *node, const struct row_bucket *row)
{
	struct search *search = CONTAINER_OF(buckets, struct search, buckets);
	struct bytes rest;
	enum err err = row->change_count > 1 ? read_grants(node, row->id, &rest) : ERR_END;
	if (err)
		return err == ERR_END ? ERR_OK : err;
	uint8_t rights = grants_rights(rest, search->key_id, search->user);
	if (rights)
		json_array_append_new(search->list,
			json_pack("{s:o, s:o}", "bucket", control_text(row->name), "rights",
				rights_json(rights)));
	return ERR_OK;
}

enum err control_grants_of(
	struct node *node, const char *key_id, const char *user, json_t **ret_list)
{
	struct search search = {
		.buckets.call = search_bucket,
		.key_id = bytes_of(key_id),
		.user = bytes_of(user),
		.list = json_array(),
	};
	enum err err = control_each_bucket(node, &search.buckets);
	if (err)
		json_decref(search.list);
	else
		*ret_list = search.list;
	return err;
}

/* --- changing --------------------------------------------------------------------------------- */

/* The rights that somebody has to be left with, of what they have. */
struct change {
	struct grant grant; /* whose */
	uint8_t give, take;
};

/* Under a view: makes the blob with the change in it. */
static enum err change_blob(struct node *node, uint64_t bucket, const struct change *change,
	struct text_out *out, uint8_t *ret_rights)
{
	struct bytes rest;
	struct grant grant = change->grant;
	enum err err = read_grants(node, bucket, &rest);
	if (err)
		return err;
	bool is_key = grant.kind == GRANT_OF_KEY;
	uint8_t had = grants_rights(
		rest, is_key ? grant.id : (struct bytes){0}, is_key ? (struct bytes){0} : grant.id);
	grant.rights = (had | change->give) & ~change->take;
	*ret_rights = grant.rights;
	return grants_set(rest, &grant, out);
}

static enum err change_bucket(
	struct node *node, const char *name, const struct change *change, uint8_t *ret_rights)
{
	uint8_t buf[ROW_CONFIG_LEN_MAX];
	struct text_out out;
	struct row_bucket row;
	struct command_result result;
	enum err err = ERR_CONFLICT;
	for (int i = 0; i < TRIES && err == ERR_CONFLICT; i++) {
		text_out_init(&out, buf, sizeof buf);
		err = index_view_begin(node->reader);
		if (err)
			return err;
		err = index_bucket_find(node->reader, bytes_of(name), &row);
		if (!err)
			err = change_blob(node, row.id, change, &out, ret_rights);
		index_view_end(node->reader);
		if (err)
			return err;
		struct command command = {.type = COMMAND_BUCKET_UPDATE};
		command.bucket_update.bucket = row.id;
		command.bucket_update.change_count = row.change_count;
		command.bucket_update.set = BUCKET_SET_CONFIG;
		command.bucket_update.config_kind = BUCKET_CONFIG_GRANTS;
		command.bucket_update.config = text_out_bytes(&out);
		err = node_propose(node, &command, &result);
	}
	return err;
}

static uint8_t wanted_rights(const json_t *request)
{
	return (json_object_get(request, "read") ? GRANT_READ : 0) |
		(json_object_get(request, "write") ? GRANT_WRITE : 0) |
		(json_object_get(request, "owner") ? GRANT_OWN : 0);
}

/* Whose grant it is. */
static enum err read_whose(
	struct node *node, const json_t *request, struct grant *grant, bool must_be, char *message)
{
	const char *key = control_argument(request, "key");
	const char *user = control_argument(request, "user");
	struct row_access_key row;
	if (!key == !user)
		return node_refuse(message, ERR_INVALID, "name one of --key and --user");
	*grant = (struct grant){
		.kind = key ? GRANT_OF_KEY : GRANT_OF_USER, .id = bytes_of(key ? key : user)};
	if (grant->id.len > (key ? ROW_ACCESS_KEY_ID_LEN_MAX : ROW_OWNER_LEN_MAX))
		return node_refuse(message, ERR_NOT_FOUND, "there is no %s of such a long name",
			key ? "key" : "user");
	if (!must_be)
		return ERR_OK;
	if (user)
		return control_find_user(node, user, message);
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_access_key_get(node->reader, grant->id, &row);
	index_view_end(node->reader);
	return err == ERR_NOT_FOUND
		? node_refuse(message, err, "there is no key %s; see rubus key list", key)
		: err;
}

static enum err change_grant(
	struct node *node, const json_t *request, bool is_allow, json_t **ret_result, char *message)
{
	const char *name = control_argument(request, "name");
	struct change change = {.give = 0};
	uint8_t rights = wanted_rights(request), left;
	if (!name)
		return node_refuse(message, ERR_INVALID, "name the bucket");
	enum err err = read_whose(node, request, &change.grant, is_allow, message);
	if (err)
		return err;
	if (is_allow && rights == 0)
		return node_refuse(message, ERR_INVALID, "say what: --read, --write or --owner");
	if (is_allow)
		change.give = rights;
	else
		change.take = rights ? rights : GRANT_RIGHTS;
	err = change_bucket(node, name, &change, &left);
	if (err == ERR_NOT_FOUND)
		return node_refuse(
			message, err, "there is no bucket %s; see rubus bucket list", name);
	if (err == ERR_LIMIT)
		return node_refuse(message, err, "a bucket has at most %d grants", GRANTS_MAX);
	if (!err)
		*ret_result = json_pack("{s:s, s:o, s:o}", "name", name,
			change.grant.kind == GRANT_OF_KEY ? "key" : "user",
			control_text(change.grant.id), "rights", rights_json(left));
	return err;
}

enum err control_bucket_allow(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	return change_grant(node, request, true, ret_result, message);
}

enum err control_bucket_deny(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	return change_grant(node, request, false, ret_result, message);
}

enum err control_drop_grants(struct node *node, const char *key_id, const char *user, char *message)
{
	json_t *list, *item;
	size_t i;
	uint8_t left;
	struct change change = {
		.grant = {.kind = user ? GRANT_OF_USER : GRANT_OF_KEY,
			.id = bytes_of(user ? user : key_id)},
		.take = GRANT_RIGHTS,
	};
	enum err err = control_grants_of(node, user ? "" : key_id, user ? user : "", &list);
	if (err)
		return err;
	json_array_foreach(list, i, item)
	{
		const char *name = json_string_value(json_object_get(item, "bucket"));
		if (!err)
			err = change_bucket(node, name, &change, &left);
		if (err == ERR_NOT_FOUND)
			err = ERR_OK; /* the bucket is gone */
		if (err)
			err = node_refuse(message, err, "its grant of bucket %s stays: %s", name,
				err_text(err));
	}
	json_decref(list);
	return err;
}
