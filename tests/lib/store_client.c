/* SPDX-License-Identifier: Apache-2.0 */
/* One operation of a client: begins in a task, goes on in callbacks, ends once in client_end(). */
#include "tests/lib/store_client_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"

#define DIGEST_MS 3
#define SLOW_MS 300

uint64_t client_below(struct client *client, uint64_t n)
{
	return test_random(&client->world->random) % n;
}

bool client_chance(struct client *client, unsigned percent)
{
	return client_below(client, 100) < percent;
}

struct bytes client_key(unsigned key)
{
	static const char *const keys[STORE_MODEL_KEYS] = {
		"a", "b", "b/c", "b/d", "b0", "c\xff", "d/e/f", "~"};
	return bytes_of(keys[key]);
}

void client_end(struct client *client, enum err err)
{
	assert(!client->is_done && client->frame_count == 0 && !client->timer.is_set);
	client->err = err;
	client->is_done = true;
	struct client_stats *stats = client->world->stats;
	if (err == ERR_OK)
		stats->done[client->kind]++;
	else if (err == ERR_CANCELED)
		stats->canceled++;
	else if (err == ERR_UNKNOWN)
		stats->unknown++;
	else if (err == ERR_REFUSED)
		stats->refused++;
	else
		stats->failed++;
}

/* A failure that no client of a healthy node may see. */
void client_check_failure(struct client *client, const char *what, enum err err)
{
	const struct sim_store *rig = client->world->rig;
	ck_assert_msg(*client->world->may_reads_fail || rig->failed != ERR_OK ||
			index_session(rig->index) == 0,
		"seed %lu: %s of key %u (content %u): %s", (unsigned long)client->world->seed, what,
		client->key, client->content, err_name(err));
}

/* --- commands --------------------------------------------------------------------------------- */

static void proposal_done(struct index_proposal *proposal)
{
	struct client *client = CONTAINER_OF(proposal, struct client, proposal);
	client->is_proposed = false;
	if (proposal->err == ERR_OK)
		client->result = proposal->result;
	client->answered(client);
}

void client_propose(
	struct client *client, const struct command *command, void (*answered)(struct client *))
{
	client->proposal = (struct index_proposal){
		.loop = client->store->loop, .bytes = client->bytes, .done = proposal_done};
	ck_assert_ok(command_encode(
		command, client->bytes, sizeof client->bytes, &client->proposal.len));
	client->answered = answered;
	client->is_proposed = true;
	index_propose(client->world->rig->index, &client->proposal);
}

/* Of what came back: the error of the proposal, or of its result. */
enum err client_answer(const struct client *client)
{
	if (client->proposal.err != ERR_OK)
		return client->proposal.err;
	return command_code_err(client->result.code);
}

void client_begin_event(struct client *client, enum store_event_kind kind, uint32_t value)
{
	client->event = store_model_begin(client->world->model, client->key, kind, value);
	client->has_event = true;
}

/* Enters what became of the write into the model. */
void client_end_event(struct client *client, enum err err)
{
	assert(client->has_event);
	struct store_model *model = client->world->model;
	client->has_event = false;
	bool is_made = client->kind != CLIENT_DELETE ||
		command_result_delete(&client->result, 0) == DELETE_MARKER_MADE;
	if (err == ERR_OK && client->world->versions && is_made)
		store_versions_add(client->world->versions, client->key, client->result.version,
			model->keys[client->key].events[client->event].value);
	if (err == ERR_OK)
		store_model_happened(model, client->key, client->event);
	else if (err == ERR_PRECONDITION)
		store_model_refused(model, client->key, client->event);
	else if (err != ERR_UNKNOWN)
		store_model_did_not(model, client->key, client->event);
}

/* --- the body of a put or of a part ----------------------------------------------------------- */

static void put_ended(struct client *client, enum err err);
static void put_is_durable(struct client *client);
static void pump(struct client *client);

static void timer_fired(struct timer *timer);

static void later(struct client *client, uint64_t ms)
{
	client->timer.fire = timer_fired;
	if (!client->timer.is_set)
		timer_set(client->store->loop, &client->timer, ms);
}

static void give_frames(struct client *client)
{
	while (client->frame_count > 0) {
		struct put_frame *frame = client->frames[--client->frame_count];
		put_frame_done(&client->put, frame);
	}
}

static void on_frame(struct put *put, struct put_frame *frame)
{
	struct client *client = CONTAINER_OF(put, struct client, put);
	ck_assert_uint_lt(client->frame_count, ARRAY_COUNT(client->frames));
	client->frames[client->frame_count++] = frame;
	later(client, client_below(client, DIGEST_MS));
}

static void on_room(struct put *put)
{
	pump(CONTAINER_OF(put, struct client, put));
}

static void discard(struct client *client)
{
	client->is_discarded = true;
	if (client->timer.is_set)
		timer_cancel(client->store->loop, &client->timer);
	give_frames(client);
	put_discard(&client->put);
}

static void pump(struct client *client)
{
	while (!client->is_discarded) {
		if (client->filled >= client->cancel_at) {
			discard(client);
			return;
		}
		uint8_t *buf;
		size_t cap;
		if (put_buffer(&client->put, &buf, &cap) != ERR_OK)
			return; /* room() or durable() follows */
		size_t len = client->is_slow ? 1 + client_below(client, cap) : cap;
		store_content_fill(client->world->model, client->content, client->filled, buf, len);
		client->filled += len;
		put_filled(&client->put, len);
		if (client->is_slow) {
			later(client, client_below(client, SLOW_MS));
			return;
		}
	}
}

static void on_durable(struct put *put, enum err err)
{
	struct client *client = CONTAINER_OF(put, struct client, put);
	ck_assert(!client->is_discarded);
	if (err == ERR_OK && client->frame_count > 0) {
		client->is_durable = true; /* the timer goes on when they are digested */
		return;
	}
	if (client->timer.is_set)
		timer_cancel(client->store->loop, &client->timer);
	ck_assert_uint_eq(client->frame_count, 0);
	if (err != ERR_OK)
		put_ended(client, err);
	else
		put_is_durable(client);
}

static void on_discarded(struct put *put)
{
	struct client *client = CONTAINER_OF(put, struct client, put);
	ck_assert(client->is_discarded);
	put_ended(client, client->cancel_at == UINT64_MAX ? client->err : ERR_CANCELED);
}

void client_start_body(struct client *client, uint64_t len)
{
	client->filled = 0;
	client->is_discarded = client->is_durable = false;
	client->cancel_at = client_chance(client, 4) ? client_below(client, len + 1) : UINT64_MAX;
	if (client->cancel_at == len)
		client->cancel_at = UINT64_MAX;
	struct put_setup setup = {
		.store = client->store,
		.hint = client_key(client->key),
		.len = len,
		.request_id = 1,
		.room = on_room,
		.frame = on_frame,
		.durable = on_durable,
		.discarded = on_discarded,
	};
	enum err err = put_start(&client->put, &setup);
	if (err != ERR_OK)
		put_ended(client, err);
	else
		pump(client);
}

/* --- put -------------------------------------------------------------------------------------- */

static void put_ended(struct client *client, enum err err)
{
	if (client->kind == CLIENT_UPLOAD) {
		client_part_ended(client, err);
		return;
	}
	if (client->has_event)
		client_end_event(client, err == ERR_PRECONDITION ? ERR_PRECONDITION : ERR_CANCELED);
	client_end(client, err == ERR_PRECONDITION ? ERR_REFUSED : err);
}

/* The index took the body, or will or will not be known to have; or it did not. */
bool client_keep_or_discard(struct client *client, enum err err)
{
	if (err == ERR_OK || err == ERR_UNKNOWN) {
		put_fini(&client->put);
		return true;
	}
	client->err = err;
	discard(client);
	return false;
}

static void put_answered(struct client *client)
{
	enum err err = client_answer(client);
	if (!client_keep_or_discard(client, err))
		return;
	client_end_event(client, err);
	client_end(client, err);
}

static void put_is_durable(struct client *client)
{
	if (client->kind == CLIENT_UPLOAD) {
		client_part_is_durable(client);
		return;
	}
	struct command command = {.type = COMMAND_OBJECT_PUT};
	struct command_object_put *put = &command.object_put;
	put->bucket = client->world->bucket;
	put->key = client_key(client->key);
	put->conditions.if_none_match_any = client->kind == CLIENT_CREATE;
	put_body(&client->put, &put->body);
	put->body.etag = store_content_etag(client->world->model, client->content);
	client_propose(client, &command, put_answered);
}

static void begin_put(struct client *client)
{
	client->content = store_content_new(client->world->model, client->len);
	client_begin_event(client, client->kind == CLIENT_CREATE ? STORE_CREATE : STORE_WRITE,
		client->content);
	client_start_body(client, client->len);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Since when what a view shows may have been so: on one node of several it may be behind. */
static uint64_t since(struct client *client)
{
	struct client_world *world = client->world;
	bool is_alone = !world->rig->options.order && !world->rig->options.watch;
	return is_alone ? store_model_now(world->model) : client->since;
}

/* Reads what the key is, under a view. Errors: ERR_NOT_FOUND; of the machine. */
static enum err find(struct client *client, unsigned key, struct object_info *info)
{
	struct client_world *world = client->world;
	enum err err = index_version_find(
		client->store->reader, world->bucket, client_key(key), info);
	if (err == ERR_OK && info->row.is_delete_marker)
		err = ERR_NOT_FOUND;
	if (err == ERR_NOT_FOUND)
		store_model_read_since(world->model, key, since(client), 0);
	if (err != ERR_OK)
		return err;
	uint32_t content = store_content_of(world->model, &info->row.etag);
	ck_assert_msg(content > 0, "seed %lu: key %u is something that nobody wrote",
		(unsigned long)world->seed, key);
	ck_assert_uint_eq(info->row.len, store_content_len(world->model, content));
	store_model_read_since(world->model, key, since(client), content);
	return ERR_OK;
}

/* --- get -------------------------------------------------------------------------------------- */

static void on_piece(struct get *get, const uint8_t *data, size_t len)
{
	struct client *client = CONTAINER_OF(get, struct client, get);
	struct client_world *world = client->world;
	ck_assert_uint_le(client->read_at + len, client->read_end);
	ck_assert_msg(
		store_content_matches(world->model, client->content, client->read_at, data, len),
		"seed %lu: key %u, content %u: wrong bytes at %lu", (unsigned long)world->seed,
		client->key, client->content, (unsigned long)client->read_at);
	client->read_at += len;
	client->has_piece = true;
	later(client, client->is_slow ? client_below(client, SLOW_MS) : 0);
}

static void on_got(struct get *get, enum err err)
{
	struct client *client = CONTAINER_OF(get, struct client, get);
	if (client->timer.is_set)
		timer_cancel(client->store->loop, &client->timer);
	if (err == ERR_OK) {
		ck_assert_uint_eq(client->read_at, client->read_end);
	} else if (err != ERR_CANCELED) {
		client_check_failure(client, "get", err);
		client->world->stats->get_errors++;
	}
	client_end(client, err);
}

void client_read(struct client *client, const struct object_info *info)
{
	client->content = store_content_of(client->world->model, &info->row.etag);
	bool is_whole = client->is_whole || client_chance(client, 40);
	client->read_at = is_whole ? 0 : client_below(client, info->row.len);
	client->read_end = is_whole
		? info->row.len
		: client->read_at + 1 + client_below(client, info->row.len - client->read_at);
	struct get_setup setup = {
		.store = client->store,
		.body = info->row.body,
		.start = client->read_at,
		.len = client->read_end - client->read_at,
		.request_id = 2,
		.piece = on_piece,
		.done = on_got,
	};
	get_start(&client->get, &setup);
	index_view_end(client->store->reader);
	if (!client->is_whole && client_chance(client, 5)) {
		client->cancel_at = 0;
		later(client, client_below(client, 5));
	}
}

static void begin_get(struct client *client)
{
	enum err err = index_view_begin(client->store->reader);
	if (err != ERR_OK) {
		client_check_failure(client, "view", err);
		client_end(client, err);
		return;
	}
	struct object_info info;
	err = find(client, client->key, &info);
	if (err != ERR_OK || info.row.len == 0) {
		index_view_end(client->store->reader);
		if (err != ERR_OK && err != ERR_NOT_FOUND)
			client_check_failure(client, "lookup", err);
		client_end(client, err == ERR_NOT_FOUND ? ERR_OK : err);
		return;
	}
	client_read(client, &info);
}

static void timer_fired(struct timer *timer)
{
	struct client *client = CONTAINER_OF(timer, struct client, timer);
	bool is_get = client->kind == CLIENT_GET || client->kind == CLIENT_OLD_GET;
	if (is_get && client->cancel_at == 0) {
		client->cancel_at = UINT64_MAX;
		client->has_piece = false;
		get_cancel(&client->get);
	} else if (is_get) {
		if (client->has_piece) {
			client->has_piece = false;
			get_sent(&client->get);
		}
	} else {
		give_frames(client);
		if (client->is_durable)
			put_is_durable(client);
		else
			pump(client);
	}
}

/* --- delete, copy, list ----------------------------------------------------------------------- */

static void write_answered(struct client *client)
{
	enum err err = client_answer(client);
	client_end_event(client, err);
	client_end(client, err);
}

static void begin_delete(struct client *client)
{
	uint8_t list[256];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command_delete item = {.key = client_key(client->key)};
	command_delete_append(&out, &item);
	assert(!out.is_full);
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	command.object_delete.bucket = client->world->bucket;
	command.object_delete.deletes = bytes_make(list, out.len);
	client_begin_event(client, STORE_WRITE, 0);
	client_propose(client, &command, write_answered);
}

/* Finds the source of a copy. Ends the client if there is none. */
bool client_find_source(struct client *client, struct object_info *info)
{
	enum err err = index_view_begin(client->store->reader);
	if (err == ERR_OK) {
		err = find(client, client->source, info);
		index_view_end(client->store->reader);
	}
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		client_check_failure(client, "lookup of a source", err);
	return err == ERR_OK;
}

static void begin_copy(struct client *client)
{
	struct object_info info;
	if (!client_find_source(client, &info)) {
		client_end(client, ERR_OK);
		return;
	}
	client->content = store_content_of(client->world->model, &info.row.etag);
	struct command command = {.type = COMMAND_OBJECT_COPY};
	struct command_object_copy *copy = &command.object_copy;
	copy->source_bucket = copy->bucket = client->world->bucket;
	copy->source_key = client_key(client->source);
	copy->source_version = info.version;
	copy->source_body = info.row.body;
	copy->key = client_key(client->key);
	client_begin_event(client, STORE_WRITE, client->content);
	client_propose(client, &command, write_answered);
}

static void begin_list(struct client *client)
{
	struct client_world *world = client->world;
	enum err err = index_view_begin(client->store->reader);
	struct index_version_cursor cursor;
	unsigned key = 0;
	if (err == ERR_OK) {
		index_versions_init(&cursor, client->store->reader, world->bucket);
		err = index_versions_seek(&cursor, bytes_of(""));
	}
	bool has_view = err == ERR_OK || err == ERR_NOT_FOUND;
	while (err == ERR_OK) {
		while (key < STORE_MODEL_KEYS && bytes_compare(client_key(key), cursor.key) < 0)
			store_model_read_since(world->model, key++, since(client), 0);
		ck_assert(key < STORE_MODEL_KEYS && bytes_is_equal(client_key(key), cursor.key));
		ck_assert(cursor.object.is_latest);
		uint32_t content = store_content_of(world->model, &cursor.object.row.etag);
		if (cursor.object.row.is_delete_marker)
			content = 0;
		else
			ck_assert_uint_gt(content, 0);
		store_model_read_since(world->model, key++, since(client), content);
		err = index_versions_next_key(&cursor);
	}
	while (err == ERR_NOT_FOUND && key < STORE_MODEL_KEYS)
		store_model_read_since(world->model, key++, since(client), 0);
	if (has_view)
		index_view_end(client->store->reader);
	if (err != ERR_NOT_FOUND)
		client_check_failure(client, "list", err);
	client_end(client, err == ERR_NOT_FOUND ? ERR_OK : err);
}

/* --- beginning and end ------------------------------------------------------------------------ */

static void begin_kind(struct client *client)
{
	static void (*const begins[CLIENT_KINDS_ALL])(struct client *) = {
		[CLIENT_PUT] = begin_put,
		[CLIENT_CREATE] = begin_put,
		[CLIENT_GET] = begin_get,
		[CLIENT_DELETE] = begin_delete,
		[CLIENT_COPY] = begin_copy,
		[CLIENT_UPLOAD] = client_begin_upload,
		[CLIENT_LIST] = begin_list,
		[CLIENT_OLD_GET] = client_begin_old_get,
		[CLIENT_OLD_DELETE] = client_begin_old_delete,
	};
	begins[client->kind](client);
}

static void barrier_done(struct index_barrier *barrier, enum err err)
{
	struct client *client = CONTAINER_OF(barrier, struct client, barrier);
	if (err == ERR_OK) {
		begin_kind(client);
		return;
	}
	if (client->kind == CLIENT_OLD_DELETE && client->version)
		client->version->state = VERSION_THERE; /* nobody was asked */
	client_check_failure(client, "barrier", err);
	client_end(client, err);
}

static void begin(void *arg)
{
	struct client *client = arg;
	client->since = store_model_now(client->world->model);
	if (client->kind >= CLIENT_KINDS)
		client_choose_version(client);
	client->barrier.loop = client->store->loop;
	client->barrier.done = barrier_done;
	enum err err = index_read_barrier(client->world->rig->index, &client->barrier);
	if (err != ERR_BUSY)
		barrier_done(&client->barrier, err);
}

struct client *client_start(struct client_world *world, enum client_kind kind, unsigned key,
	uint64_t len, bool is_whole)
{
	struct client *client = sim_must(calloc(1, sizeof *client));
	client->world = world;
	client->kind = kind;
	client->key = key;
	client->len = len;
	client->is_whole = is_whole;
	client->loop = client_below(client, SIM_STORE_LOOPS);
	client->source = client_below(client, STORE_MODEL_KEYS);
	client->is_slow = !is_whole && client_chance(client, kind == CLIENT_GET ? 40 : 20);
	client->cancel_at = UINT64_MAX;
	client->store = &world->rig->life->loops[client->loop];
	world->stats->ops[kind]++;
	world->stats->slow += client->is_slow;
	sim_call(world->rig->sim, world->rig->loops[client->loop], begin, client);
	return client;
}

void client_free(struct client *client)
{
	assert(client->is_done);
	free(client);
}

void client_bury(struct client *client)
{
	if (client->is_done) {
		free(client);
		return;
	}
	/* A write that was not proposed yet did not happen; any other may have. */
	if (client->has_event && !client->is_proposed)
		client_end_event(client, ERR_CANCELED);
	client->is_done = true;
	sim_bury(client);
}
