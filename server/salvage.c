/* SPDX-License-Identifier: Apache-2.0 */
#include "server/salvage.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/uri.h"
#include "server/salvage_copy.h"
#include "storage/bytes.h"

#define NAME_TRIES 100
#define META_CAP 512
#define REPORT_COUNT_MAX 10000 /* of each list */

struct salvage {
	struct node *node;
	pthread_t thread;
	bool is_dry;
	_Atomic bool is_canceled, is_done;
	_Atomic uint64_t wanted, made; /* objects, so far */
	struct index_reader *reader; /* of the thread */
	uint64_t bucket; /* its id; 0: not made yet */
	uint8_t class;
	char bucket_name[ROW_BUCKET_NAME_LEN_MAX + 1];
	char owner[64];

	/* The report; the thread's until is_done. */
	enum err err;
	json_t *drives, *recovered, *incomplete, *failed;
	uint64_t recovered_len, already, extents, unsettled;
	bool has_more;
};

/* --- what there is ---------------------------------------------------------------------------- */

static enum err read_drive(struct salvage *salvage, uint16_t number, struct lost_bodies *bodies,
	struct lost_batch *batch)
{
	enum err err = ERR_OK;
	batch->next = (struct shard_key){.extent = {.session = 1}, .drive = number};
	batch->is_end = false;
	while (!err && !batch->is_end) {
		struct lost_shard shard;
		size_t at = 0;
		err = lost_shards_read(salvage->node, batch);
		salvage->unsettled += err ? 0 : batch->unsettled;
		while (!err) {
			err = lost_shards_next(batch, &at, &shard);
			if (!err && shard.key.drive == number)
				err = lost_bodies_add(bodies, &shard);
		}
		if (err == ERR_END)
			err = atomic_load(&salvage->is_canceled) ? ERR_CANCELED : ERR_OK;
	}
	return err;
}

/* Numbers of all drives of the index that may have shards. */
static enum err list_drives(struct salvage *salvage, uint16_t *numbers, size_t *ret_count)
{
	struct row_drive row;
	size_t count = 0;
	enum err err = index_view_begin(salvage->reader);
	if (err)
		return err;
	for (uint32_t from = 1; !err && from <= UINT16_MAX; from = row.number + 1u) {
		err = index_drive_next(salvage->reader, from, &row);
		if (!err && row.state < DRIVE_ROW_GONE && count < RING_DRIVES_MAX)
			numbers[count++] = row.number;
	}
	index_view_end(salvage->reader);
	*ret_count = count;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* A drive that cannot be looked at is told; what it has may be found the next time. */
static enum err read_drives(struct salvage *salvage, struct lost_bodies *bodies)
{
	uint16_t *numbers = calloc(RING_DRIVES_MAX, sizeof *numbers);
	struct lost_batch *batch = malloc(sizeof *batch);
	size_t count = 0;
	enum err err = numbers && batch ? list_drives(salvage, numbers, &count) : ERR_NO_MEMORY;
	for (size_t i = 0; !err && i < count; i++) {
		enum err read = read_drive(salvage, numbers[i], bodies, batch);
		if (read == ERR_CANCELED || read == ERR_NO_MEMORY)
			err = read;
		json_array_append_new(salvage->drives,
			json_pack("{s:i, s:s}", "number", (int)numbers[i], "state",
				read ? err_text(read) : "read"));
	}
	free(numbers);
	free(batch);
	return err;
}

/* --- the bucket ------------------------------------------------------------------------------- */

static enum err read_setting(struct salvage *salvage, const char *name, char *text, size_t cap)
{
	struct bytes value;
	enum err err = index_view_begin(salvage->reader);
	if (err)
		return err;
	err = index_setting_get(salvage->reader, bytes_of(name), &value);
	if (!err)
		snprintf(text, cap, "%.*s", (int)value.len, (const char *)value.data);
	index_view_end(salvage->reader);
	return err;
}

static enum err find_bucket(struct salvage *salvage)
{
	struct row_bucket row;
	enum err err = index_view_begin(salvage->reader);
	if (err)
		return err;
	err = index_bucket_find(salvage->reader, bytes_of(salvage->bucket_name), &row);
	if (!err) {
		snprintf(salvage->owner, sizeof salvage->owner, "%.*s", (int)row.owner.len,
			(const char *)row.owner.data);
		salvage->bucket = row.id;
		salvage->class = row.class;
	}
	index_view_end(salvage->reader);
	return err;
}

static enum err remember_bucket(struct salvage *salvage)
{
	struct command command = {.type = COMMAND_SETTING_PUT};
	struct command_result result;
	command.setting_put.name = bytes_of(SALVAGE_SETTING_BUCKET);
	command.setting_put.value = bytes_of(salvage->bucket_name);
	return node_propose_until(salvage->node, &command, &result);
}

static enum err create_bucket(struct salvage *salvage)
{
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	struct command_result result;
	char date[16];
	struct tm tm;
	time_t now = clock_wall_ms(salvage->node->clock) / 1000;
	gmtime_r(&now, &tm);
	strftime(date, sizeof date, "%Y%m%d", &tm);
	command.bucket_create.owner = bytes_of("root");
	enum err err = ERR_EXISTS;
	for (unsigned i = 1; err == ERR_EXISTS && i <= NAME_TRIES; i++) {
		int len = snprintf(
			salvage->bucket_name, sizeof salvage->bucket_name, "recovered-%s", date);
		if (i > 1)
			snprintf(salvage->bucket_name + len, sizeof salvage->bucket_name - len,
				"-%u", i);
		command.bucket_create.name = bytes_of(salvage->bucket_name);
		err = node_propose(salvage->node, &command, &result);
	}
	return err;
}

/* (S4) That of an earlier run, or a new one. */
static enum err make_bucket(struct salvage *salvage)
{
	if (salvage->bucket != 0)
		return ERR_OK;
	enum err err = read_setting(
		salvage, SALVAGE_SETTING_BUCKET, salvage->bucket_name, sizeof salvage->bucket_name);
	if (!err)
		err = find_bucket(salvage);
	if (err != ERR_NOT_FOUND || salvage->is_dry)
		return err;
	err = create_bucket(salvage);
	if (!err)
		err = remember_bucket(salvage);
	return err ? err : find_bucket(salvage);
}

/* --- one object ------------------------------------------------------------------------------- */

struct name {
	uint8_t key[URI_KEY_LEN_MAX + 1];
	size_t len;
	char body[40]; /* who it was */
	char parts[24]; /* empty: it was no upload */
};

/* BUCKET/KEY, shortened where that is too long for a key, and a suffix. */
static void set_key(struct name *name, struct bytes base, const char *suffix)
{
	size_t suffix_len = strlen(suffix), len = base.len;
	if (len > URI_KEY_LEN_MAX - suffix_len)
		len = URI_KEY_LEN_MAX - suffix_len;
	while (len < base.len && len > 0 && (base.data[len] & 0xc0) == 0x80)
		len--; /* not inside a character */
	memcpy(name->key, base.data, len);
	memcpy(name->key + len, suffix, suffix_len);
	name->len = len + suffix_len;
}

/* Is the key taken? ret_is_same: by the same body. */
static enum err look_up(struct salvage *salvage, const struct name *name, bool *ret_is_same)
{
	struct object_info info;
	struct metadata_pair pair;
	*ret_is_same = false;
	enum err err = index_view_begin(salvage->reader);
	if (err)
		return err;
	err = index_version_find(
		salvage->reader, salvage->bucket, bytes_make(name->key, name->len), &info);
	struct bytes rest = err ? (struct bytes){0} : info.row.metadata;
	while (metadata_next(&rest, &pair))
		*ret_is_same |= bytes_is_text(pair.name, SALVAGE_META_BODY) &&
			bytes_is_text(pair.value, name->body);
	index_view_end(salvage->reader);
	return err;
}

/* A key that is free, or has the body already (ERR_EXISTS). */
static enum err choose_name(
	struct salvage *salvage, const struct lost_object *object, struct name *name)
{
	const struct lost_body *body = &object->bodies[0];
	char suffix[80] = "";
	bool is_same;
	snprintf(name->body, sizeof name->body, "%" PRIx64 ".%" PRIx64, body->session, body->first);
	name->parts[0] = '\0';
	if (object->is_part)
		snprintf(name->parts, sizeof name->parts, "%u", body->part);
	else if (body->upload != 0)
		snprintf(name->parts, sizeof name->parts, "1-%zu", object->count);
	if (object->is_part)
		snprintf(suffix, sizeof suffix, ".part-%05u", body->part);
	set_key(name, body->name.len > 0 ? body->name : bytes_of("unnamed"), suffix);
	if (salvage->bucket == 0)
		return ERR_OK;
	enum err err = look_up(salvage, name, &is_same);
	if (!err && !is_same) {
		size_t len = strlen(suffix);
		snprintf(suffix + len, sizeof suffix - len, ".%s", name->body);
		set_key(name, body->name, suffix);
		err = look_up(salvage, name, &is_same);
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err ? err : ERR_EXISTS;
}

static json_t *text_json(struct bytes text)
{
	json_t *json = json_stringn((const char *)text.data, text.len);
	return json ? json : json_string("(its name is no text)");
}

static void append(struct salvage *salvage, json_t *list, json_t *item)
{
	if (json_array_size(list) < REPORT_COUNT_MAX) {
		json_array_append_new(list, item);
		return;
	}
	salvage->has_more = true;
	json_decref(item);
}

static void tell_recovered(
	struct salvage *salvage, const struct lost_object *object, const struct name *name)
{
	salvage->recovered_len += object->len;
	append(salvage, salvage->recovered,
		json_pack("{s:o, s:o, s:I, s:s, s:s}", "object", text_json(object->bodies[0].name),
			"key", text_json(bytes_make(name->key, name->len)), "bytes",
			(json_int_t)object->len, "parts", name->parts, "body", name->body));
}

static void tell_incomplete(struct salvage *salvage, const struct lost_body *body, const char *why)
{
	append(salvage, salvage->incomplete,
		json_pack("{s:o, s:i, s:I, s:s}", "object", text_json(body->name), "part",
			(int)body->part, "bytes", (json_int_t)body->len, "why", why));
}

static enum err put_object(
	struct salvage *salvage, const struct lost_object *object, const struct name *name)
{
	uint8_t metadata[META_CAP];
	size_t len = 0;
	bool was_read = false;
	enum err err = metadata_append(
		metadata, sizeof metadata, &len, bytes_of(SALVAGE_META_BODY), bytes_of(name->body));
	if (!err && name->parts[0])
		err = metadata_append(metadata, sizeof metadata, &len, bytes_of(SALVAGE_META_PARTS),
			bytes_of(name->parts));
	if (err)
		return err;
	struct salvage_target target = {
		.bucket = salvage->bucket,
		.key = bytes_make(name->key, name->len),
		.metadata = bytes_make(metadata, len),
		.owner = bytes_of(salvage->owner),
		.class = salvage->class,
	};
	err = salvage_copy(salvage->node, object, &target, &salvage->is_canceled, &was_read);
	if (!err)
		tell_recovered(salvage, object, name);
	else if (err == ERR_CANCELED)
		return err;
	else if (was_read)
		append(salvage, salvage->failed,
			json_pack("{s:o, s:s}", "object", text_json(object->bodies[0].name), "why",
				err_text(err)));
	else
		tell_incomplete(salvage, &object->bodies[0], err_text(err));
	return ERR_OK;
}

static enum err take_object(struct salvage *salvage, const struct lost_object *object)
{
	struct name name;
	enum err err = atomic_load(&salvage->is_canceled) ? ERR_CANCELED : make_bucket(salvage);
	if (err && !(salvage->is_dry && err == ERR_NOT_FOUND))
		return err;
	err = choose_name(salvage, object, &name);
	if (err == ERR_EXISTS)
		salvage->already++;
	else if (!err && salvage->is_dry)
		tell_recovered(salvage, object, &name);
	else if (!err)
		err = put_object(salvage, object, &name);
	atomic_fetch_add(&salvage->made, 1);
	return err == ERR_EXISTS ? ERR_OK : err;
}

/* --- the whole -------------------------------------------------------------------------------- */

static enum err take_all(struct salvage *salvage)
{
	struct lost_bodies bodies = {0};
	enum err err = read_drives(salvage, &bodies);
	if (!err)
		err = lost_bodies_judge(&bodies);
	salvage->extents = bodies.extent_count;
	salvage->has_more = bodies.has_more;
	atomic_store(&salvage->wanted, bodies.object_count);
	for (size_t i = 0; !err && i < bodies.body_count; i++)
		if (!bodies.bodies[i].is_whole)
			tell_incomplete(salvage, &bodies.bodies[i], bodies.bodies[i].why);
	for (size_t i = 0; !err && i < bodies.object_count; i++)
		err = take_object(salvage, &bodies.objects[i]);
	lost_bodies_free(&bodies);
	return err;
}

static void *run(void *arg)
{
	struct salvage *salvage = arg;
	enum err err = index_reader_open(salvage->node->index, &salvage->reader);
	if (!err)
		err = take_all(salvage);
	index_reader_close(salvage->reader);
	salvage->err = err;
	atomic_store(&salvage->is_done, true);
	return NULL;
}

static enum err begin(struct node *node, bool is_dry)
{
	struct salvage *salvage = calloc(1, sizeof *salvage);
	if (!salvage)
		return ERR_NO_MEMORY;
	salvage->node = node;
	salvage->is_dry = is_dry;
	salvage->drives = json_array();
	salvage->recovered = json_array();
	salvage->incomplete = json_array();
	salvage->failed = json_array();
	if (pthread_create(&salvage->thread, NULL, run, salvage) != 0) {
		json_decref(salvage->drives);
		json_decref(salvage->recovered);
		json_decref(salvage->incomplete);
		json_decref(salvage->failed);
		free(salvage);
		return ERR_NO_MEMORY;
	}
	node->salvage = salvage;
	return ERR_OK;
}

bool salvage_is_running(const struct salvage *salvage)
{
	return salvage && !atomic_load(&salvage->is_done);
}

void salvage_stop(struct salvage *salvage)
{
	if (!salvage)
		return;
	atomic_store(&salvage->is_canceled, true);
	pthread_join(salvage->thread, NULL);
	json_decref(salvage->drives);
	json_decref(salvage->recovered);
	json_decref(salvage->incomplete);
	json_decref(salvage->failed);
	free(salvage);
}

/* --- the control socket ----------------------------------------------------------------------- */

static json_t *report_json(const struct salvage *salvage)
{
	return json_pack("{s:b, s:b, s:s, s:O, s:O, s:O, s:O, s:I, s:I, s:I, s:I, s:b}", "done", 1,
		"dry_run", salvage->is_dry, "bucket", salvage->bucket_name, "drives",
		salvage->drives, "recovered", salvage->recovered, "incomplete", salvage->incomplete,
		"failed", salvage->failed, "bytes", (json_int_t)salvage->recovered_len, "already",
		(json_int_t)salvage->already, "extents", (json_int_t)salvage->extents, "unsettled",
		(json_int_t)salvage->unsettled, "more", salvage->has_more);
}

static enum err check_held(struct node *node, char *message)
{
	struct bytes value;
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_setting_get(node->reader, bytes_of(COMMAND_SETTING_HELD), &value);
	index_view_end(node->reader);
	if (err == ERR_NOT_FOUND)
		return node_refuse(message, ERR_CONFLICT,
			"collection is not held up: this is for an index that was rebuilt or "
			"recovered, before rubus cluster confirm");
	return err;
}

enum err control_index_salvage(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	bool is_dry = json_is_true(json_object_get(request, "dry_run"));
	enum err err = ERR_OK;
	if (json_is_true(json_object_get(request, "begin"))) {
		if (salvage_is_running(node->salvage))
			return node_refuse(message, ERR_BUSY, "one is at work already");
		salvage_stop(node->salvage); /* nobody came for its report */
		node->salvage = NULL;
		err = check_held(node, message);
		if (!err)
			err = begin(node, is_dry);
	}
	struct salvage *salvage = node->salvage;
	if (err)
		return err;
	if (!salvage)
		return node_refuse(message, ERR_NOT_FOUND, "none is at work");
	if (!atomic_load(&salvage->is_done)) {
		*ret_result = json_pack("{s:b, s:I, s:I}", "done", 0, "objects",
			(json_int_t)atomic_load(&salvage->wanted), "made",
			(json_int_t)atomic_load(&salvage->made));
		return ERR_OK;
	}
	err = salvage->err;
	if (err)
		node_refuse(message, err, "it ended early: %s; run it again", err_text(err));
	else
		*ret_result = report_json(salvage);
	node->salvage = NULL;
	salvage_stop(salvage);
	return err;
}
