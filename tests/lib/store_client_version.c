/* SPDX-License-Identifier: Apache-2.0 */
/* What clients do with the versions of a key, by their ids. */
#include "tests/lib/store_client_priv.h"
#include "tests/lib/test.h"

/* Before the barrier: what is gone now is not found behind it. */
void client_choose_version(struct client *client)
{
	struct store_versions *versions = client->world->versions;
	client->version = NULL;
	if (!versions)
		return;
	if (client->kind == CLIENT_OLD_DELETE)
		client->version = store_versions_choose_old(
			versions, client->key, client_below(client, UINT32_MAX));
	else if (client->is_whole)
		client->version = store_versions_walk(versions);
	else
		client->version = store_versions_choose(
			versions, client->key, client_below(client, UINT32_MAX));
	if (!client->version)
		return;
	client->key = client->version->key;
	client->was_gone = client->version->state == VERSION_GONE;
	if (client->kind == CLIENT_OLD_DELETE)
		client->version->state = VERSION_ASKED;
}

static void check_found(struct client *client, const struct object_info *info)
{
	const struct store_version *version = client->version;
	struct store_model *model = client->world->model;
	ck_assert_msg(!client->was_gone, "seed %lu: a version of key %u that was deleted is there",
		(unsigned long)client->world->seed, client->key);
	ck_assert_uint_eq(info->row.is_delete_marker, version->content == 0);
	if (version->content == 0)
		return;
	ck_assert_uint_eq(store_content_of(model, &info->row.etag), version->content);
	ck_assert_uint_eq(info->row.len, store_content_len(model, version->content));
}

void client_begin_old_get(struct client *client)
{
	struct index_reader *reader = client->store->reader;
	struct object_info info;
	if (!client->version) {
		client_end(client, ERR_OK);
		return;
	}
	enum err err = index_view_begin(reader);
	if (err) {
		client_check_failure(client, "view", err);
		client_end(client, err);
		return;
	}
	err = index_version_get(
		reader, client->world->bucket, client_key(client->key), client->version->id, &info);
	if (err == ERR_OK) {
		check_found(client, &info);
	} else if (err == ERR_NOT_FOUND) {
		ck_assert_msg(client->version->state != VERSION_THERE,
			"seed %lu: a version of key %u is lost", (unsigned long)client->world->seed,
			client->key);
	} else {
		client_check_failure(client, "lookup of a version", err);
	}
	if (err == ERR_OK && !info.row.is_delete_marker && info.row.len > 0) {
		client_read(client, &info);
		return;
	}
	index_view_end(reader);
	client_end(client, err == ERR_NOT_FOUND ? ERR_OK : err);
}

static void deleted(struct client *client)
{
	enum err err = client_answer(client);
	struct store_version *version = client->version;
	assert(version->state == VERSION_ASKED);
	if (err == ERR_OK) {
		ck_assert_uint_eq(command_result_delete(&client->result, 0),
			version->content == 0 ? DELETE_MARKER_GONE : DELETE_DONE);
		version->state = VERSION_GONE;
	} else if (err != ERR_UNKNOWN) {
		version->state = VERSION_THERE;
	}
	client_end(client, err);
}

void client_begin_old_delete(struct client *client)
{
	uint8_t list[256];
	struct fields_out out = {.data = list, .cap = sizeof list};
	if (!client->version) {
		client_end(client, ERR_OK);
		return;
	}
	struct command_delete item = {
		.key = client_key(client->key), .version = client->version->id};
	command_delete_append(&out, &item);
	assert(!out.is_full);
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	command.object_delete.bucket = client->world->bucket;
	command.object_delete.deletes = bytes_make(list, out.len);
	client_propose(client, &command, deleted);
}
