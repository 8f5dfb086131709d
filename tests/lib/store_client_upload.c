/* SPDX-License-Identifier: Apache-2.0 */
/* An upload of a client: its parts one after the other, some of them copies, then its end. */
#include "tests/lib/store_client_priv.h"
#include "tests/lib/test.h"

static void next_part(struct client *client);

static void upload_over(struct client *client)
{
	client_end(client, client->err);
}

/* Gives the upload up, for that reason. */
static void abort_upload(struct client *client, enum err err)
{
	client->err = err;
	struct command command = {.type = COMMAND_UPLOAD_ABORT};
	command.upload_abort.bucket = client->world->bucket;
	command.upload_abort.key = client_key(client->key);
	command.upload_abort.upload = client->upload;
	client_propose(client, &command, upload_over);
}

static void complete_answered(struct client *client)
{
	enum err err = client_answer(client);
	client_end_event(client, err);
	if (err == ERR_OK || err == ERR_UNKNOWN)
		client_end(client, err);
	else
		abort_upload(client, err);
}

static void complete(struct client *client)
{
	struct store_model *model = client->world->model;
	client->content = store_content_join(model, client->parts, client->part_count);
	uint8_t numbers[2 * CLIENT_PARTS_MAX];
	for (unsigned i = 0; i < client->part_count; i++)
		put_le16(numbers + 2 * i, 1 + 3 * i);
	struct command command = {.type = COMMAND_UPLOAD_COMPLETE};
	struct command_upload_complete *args = &command.upload_complete;
	args->bucket = client->world->bucket;
	args->key = client_key(client->key);
	args->upload = client->upload;
	args->change_count = client->change_count;
	args->parts = bytes_make(numbers, 2 * client->part_count);
	args->etag = store_content_etag(model, client->content);
	args->parts_hash = client->content;
	client_begin_event(client, STORE_WRITE, client->content);
	client_propose(client, &command, complete_answered);
}

void client_part_ended(struct client *client, enum err err)
{
	if (err != ERR_OK) {
		abort_upload(client, err);
		return;
	}
	client->change_count = client->result.count;
	client->part++;
	next_part(client);
}

static void part_answered(struct client *client)
{
	enum err err = client_answer(client);
	if (client_keep_or_discard(client, err))
		client_part_ended(client, err);
}

void client_part_is_durable(struct client *client)
{
	struct command command = {.type = COMMAND_UPLOAD_PART};
	struct command_upload_part *part = &command.upload_part;
	part->bucket = client->world->bucket;
	part->key = client_key(client->key);
	part->upload = client->upload;
	part->part = 1 + 3 * client->part;
	part->is_counted = true;
	put_body(&client->put, &part->body);
	part->body.etag = store_content_etag(client->world->model, client->content);
	client_propose(client, &command, part_answered);
}

static void copied(struct client *client)
{
	client_part_ended(client, client_answer(client));
}

static bool copy_part(struct client *client)
{
	struct object_info info;
	if (!client_find_source(client, &info) || info.row.len == 0)
		return false;
	struct store_slice *slice = &client->parts[client->part];
	slice->content = store_content_of(client->world->model, &info.row.etag);
	slice->offset = client_below(client, info.row.len);
	slice->len = 1 + client_below(client, info.row.len - slice->offset);
	uint32_t content = store_content_join(client->world->model, slice, 1);
	struct command command = {.type = COMMAND_UPLOAD_PART_COPY};
	struct command_upload_part_copy *part = &command.upload_part_copy;
	part->source_bucket = part->bucket = client->world->bucket;
	part->source_key = client_key(client->source);
	part->source_version = info.version;
	part->source_body = info.row.body;
	part->offset = slice->offset;
	part->len = slice->len;
	part->key = client_key(client->key);
	part->upload = client->upload;
	part->part = 1 + 3 * client->part;
	part->etag = store_content_etag(client->world->model, content);
	client_propose(client, &command, copied);
	return true;
}

static void next_part(struct client *client)
{
	if (client->part == client->part_count) {
		if (client_chance(client, 15))
			abort_upload(client, ERR_CANCELED);
		else
			complete(client);
		return;
	}
	if (client_chance(client, 40) && copy_part(client))
		return;
	uint64_t len = 1 + client_below(client, client->len + 1);
	client->content = store_content_new(client->world->model, len);
	client->parts[client->part] = (struct store_slice){client->content, 0, len};
	client_start_body(client, len);
}

static void upload_created(struct client *client)
{
	enum err err = client_answer(client);
	if (err != ERR_OK) {
		client_end(client, err);
		return;
	}
	client->upload = client->result.id;
	next_part(client);
}

void client_begin_upload(struct client *client)
{
	client->part_count = 1 + client_below(client, CLIENT_PARTS_MAX);
	struct command command = {.type = COMMAND_UPLOAD_CREATE};
	command.upload_create.bucket = client->world->bucket;
	command.upload_create.key = client_key(client->key);
	client_propose(client, &command, upload_created);
}
