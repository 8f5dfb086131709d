/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/expire.h"

#include <assert.h>
#include <stdlib.h>

#include "storage/repair/duty.h"
#include "storage/repair/expire_priv.h"

/* What a look at a bucket came to. */
enum look {
	LOOK_NOTHING, /* on to the next */
	LOOK_MORE, /* look at it again: there is more, and this turn has been long enough */
	LOOK_COMMAND, /* one is made */
	LOOK_FAILED,
};

static void look_later(struct expirer *expirer, uint64_t delay_ms)
{
	timer_set(expirer->store->loop, &expirer->timer, delay_ms);
}

static struct event_place place_max(void)
{
	return (struct event_place){.at = {UINT64_MAX, UINT32_MAX}, .hash = UINT64_MAX};
}

static int compare_places(const struct event_place *a, const struct event_place *b)
{
	if (a->at.index != b->at.index)
		return a->at.index < b->at.index ? -1 : 1;
	if (a->at.position != b->at.position)
		return a->at.position < b->at.position ? -1 : 1;
	return a->hash < b->hash ? -1 : a->hash > b->hash;
}

/* --- commands --------------------------------------------------------------------------------- */

static enum look make_command(
	struct expirer *expirer, struct expire_bucket *bucket, const struct command *command)
{
	enum err err = command_encode(
		command, expirer->bytes, COMMAND_LEN_MAX, &expirer->proposal.len);
	assert(err == ERR_OK);
	expirer->bucket = bucket;
	expirer->type = command->type;
	return LOOK_COMMAND;
}

static enum look watch(struct expirer *expirer, struct expire_bucket *bucket, uint64_t id,
	uint64_t watched, bool is_filled)
{
	struct command command = {.type = COMMAND_BUCKET_WATCH};
	command.bucket_watch = (struct command_bucket_watch){
		.bucket = id, .watched = watched, .is_filled = is_filled};
	return make_command(expirer, bucket, &command);
}

static enum look remove_events(struct expirer *expirer, struct expire_bucket *bucket, uint64_t id,
	const struct event_place *place)
{
	struct command command = {.type = COMMAND_EVENT_DONE};
	command.event_done = (struct command_event_done){
		.bucket = id, .watched = bucket ? bucket->watched : 0, .place = *place};
	expirer->place = *place;
	return make_command(expirer, bucket, &command);
}

static struct fields_out begin_list(struct expirer *expirer)
{
	expirer->item_count = 0;
	expirer->is_cut = false;
	return (struct fields_out){.data = expirer->list, .cap = EXPIRE_LIST_LEN};
}

/* --- filling ---------------------------------------------------------------------------------- */

static bool file_event(struct expirer *expirer, struct fields_out *out, struct version_id place,
	uint64_t time_ms, struct bytes key)
{
	if (expirer->item_count == EXPIRE_FILL_MAX || out->len + EXPIRE_ITEM_LEN_MAX > out->cap)
		return false;
	command_event_append(
		out, &(struct command_event){.place = place, .time_ms = time_ms, .key = key});
	assert(!out->is_full);
	expirer->item_count++;
	return true;
}

static void remember_key(struct expire_bucket *bucket, struct bytes key)
{
	memcpy(bucket->key, key.data, key.len);
	bucket->key_len = key.len;
}

/* Errors: ERR_NOT_FOUND, all are filed. */
static enum err file_versions(struct expirer *expirer, struct expire_bucket *bucket,
	struct bytes rules, struct fields_out *out)
{
	struct index_version_cursor cursor;
	index_versions_init(&cursor, expirer->store->reader, bucket->id);
	enum err err = bucket->key_len == 0
		? index_versions_seek(&cursor, bytes_make(NULL, 0))
		: index_versions_seek_after_version(
			  &cursor, bytes_make(bucket->key, bucket->key_len), bucket->version);
	while (err == ERR_OK) {
		const struct object_info *object = &cursor.object;
		struct bytes next;
		if (!expire_is_for(rules, cursor.key, &next)) {
			if (next.len == 0)
				return ERR_NOT_FOUND;
			err = index_versions_seek(&cursor, next);
			continue;
		}
		if (!file_event(expirer, out, object->version, object->row.time_ms, cursor.key))
			return ERR_OK;
		remember_key(bucket, cursor.key);
		bucket->version = object->version;
		err = index_versions_next(&cursor);
	}
	return err;
}

/* The same; as with versions, the rules bound how often it looks in vain. */
static enum err file_uploads(struct expirer *expirer, struct expire_bucket *bucket,
	struct bytes rules, struct fields_out *out)
{
	struct index_upload upload;
	struct bytes next;
	for (;;) {
		enum err err = index_upload_next(expirer->store->reader, bucket->id,
			bytes_make(NULL, 0), bytes_make(bucket->key, bucket->key_len),
			bucket->upload, &upload);
		if (err)
			return err;
		expirer->counters.uploads++;
		struct version_id place = {upload.upload >> 20, upload.upload & ((1 << 20) - 1)};
		if (!expire_is_for(rules, upload.key, &next)) {
			if (next.len == 0)
				return ERR_NOT_FOUND;
			remember_key(bucket, next);
			bucket->upload = 0; /* just before the first that begins so */
			continue;
		}
		if (!file_event(expirer, out, place, upload.row.initiated_ms, upload.key))
			return ERR_OK;
		remember_key(bucket, upload.key);
		bucket->upload = upload.upload;
	}
}

/* (X3) What was filed is only known to be so when the command is decided; if it fails, the bucket
 * is forgotten, and filled from its beginning. */
static enum look fill(struct expirer *expirer, struct expire_bucket *bucket, struct bytes rules)
{
	struct fields_out out = begin_list(expirer);
	enum err err = ERR_NOT_FOUND;
	if (!bucket->is_in_uploads)
		err = file_versions(expirer, bucket, rules, &out);
	if (err == ERR_NOT_FOUND && !bucket->is_in_uploads) {
		bucket->is_in_uploads = true;
		bucket->key_len = 0;
	}
	if (err == ERR_NOT_FOUND)
		err = file_uploads(expirer, bucket, rules, &out);
	if (err && err != ERR_NOT_FOUND)
		return LOOK_FAILED;
	if (expirer->item_count == 0)
		return watch(expirer, bucket, bucket->id, bucket->watched, true);
	expirer->counters.filled += expirer->item_count;
	struct command command = {.type = COMMAND_EVENT_FILL};
	command.event_fill = (struct command_event_fill){.bucket = bucket->id,
		.watched = bucket->watched,
		.events = bytes_make(out.data, out.len)};
	return make_command(expirer, bucket, &command);
}

/* --- expiring --------------------------------------------------------------------------------- */

static bool is_of_age(
	const struct expirer *expirer, const struct expire_age *age, const struct row_event *event)
{
	uint64_t now_ms = (uint64_t)clock_wall_ms(expirer->store->store->clock);
	if (age->is_date)
		return age->date_ms <= now_ms;
	return age->days == 0 ||
		lifecycle_due_ms(event->time_ms, age->days, expirer->day_ms) <= now_ms;
}

/* Judges the keys of events that came of an age, up to where there is no room for more. */
static enum look pass_events(
	struct expirer *expirer, struct expire_bucket *bucket, unsigned age, struct bytes rules)
{
	struct fields_out out = begin_list(expirer);
	struct event_place place = bucket->ages[age].passed;
	unsigned looks = 0;
	enum err err = ERR_OK;
	while (!expirer->is_cut && looks < EXPIRE_LOOKS) {
		struct index_event event;
		err = index_event_next(expirer->store->reader, bucket->id, &place, &event);
		if (err || !is_of_age(expirer, &bucket->ages[age], &event.row))
			break;
		struct bytes key = bytes_make(expirer->key, event.row.key.len);
		memcpy(expirer->key, event.row.key.data, event.row.key.len);
		err = expire_judge(expirer, bucket->id, rules, key, &out);
		if (err)
			break;
		looks++;
		if (!expirer->is_cut)
			place = event.place;
	}
	if (err && err != ERR_NOT_FOUND)
		return LOOK_FAILED;
	expirer->counters.events += looks;
	if (expirer->item_count == 0) {
		bucket->ages[age].passed = place;
		return looks == EXPIRE_LOOKS ? LOOK_MORE : LOOK_NOTHING;
	}
	expirer->age = age;
	expirer->place = place;
	struct command command = {.type = COMMAND_EXPIRE};
	command.expire = (struct command_expire){.bucket = bucket->id,
		.watched = bucket->watched,
		.items = bytes_make(out.data, out.len)};
	return make_command(expirer, bucket, &command);
}

/* Removes events that are of no use to any age. */
static enum look remove_passed(struct expirer *expirer, struct expire_bucket *bucket)
{
	struct event_place place = place_max();
	struct index_event event;
	for (unsigned i = 0; i < bucket->age_count; i++)
		if (compare_places(&bucket->ages[i].passed, &place) < 0)
			place = bucket->ages[i].passed;
	enum err err = index_event_next(
		expirer->store->reader, bucket->id, &(struct event_place){0}, &event);
	if (err == ERR_NOT_FOUND || (!err && compare_places(&event.place, &place) > 0))
		return LOOK_NOTHING;
	return err ? LOOK_FAILED : remove_events(expirer, bucket, bucket->id, &place);
}

static enum look look_at_watched(
	struct expirer *expirer, const struct row_bucket *row, struct bytes rules)
{
	struct expire_bucket *bucket = expire_bucket_of(expirer, row, rules);
	enum look look = LOOK_NOTHING;
	if (!bucket)
		return LOOK_FAILED;
	if (!row->is_watch_filled)
		return fill(expirer, bucket, rules);
	for (unsigned i = 0; look == LOOK_NOTHING && i < bucket->age_count; i++)
		look = pass_events(expirer, bucket, i, rules);
	return look == LOOK_NOTHING ? remove_passed(expirer, bucket) : look;
}

/* --- the round -------------------------------------------------------------------------------- */

static enum look look_at_bucket(struct expirer *expirer, const struct row_bucket *row)
{
	struct bytes rules = {0};
	enum err err = index_bucket_config(
		expirer->store->reader, row->id, BUCKET_CONFIG_LIFECYCLE, &rules);
	if (err && err != ERR_NOT_FOUND)
		return LOOK_FAILED;
	uint64_t watched = err ? 0 : lifecycle_watch_of(rules);
	if (row->watched != watched) {
		expire_forget(expirer, expire_bucket_find(expirer, row->id)); /* (X3) */
		return watch(expirer, NULL, row->id, watched, false);
	}
	if (watched == 0)
		return LOOK_NOTHING;
	assert(rules.len <= ROW_CONFIG_LEN_MAX);
	memcpy(expirer->rules, rules.data, rules.len);
	return look_at_watched(expirer, row, bytes_make(expirer->rules, rules.len));
}

static enum look look_at_names(struct expirer *expirer)
{
	struct row_bucket row;
	enum err err = index_bucket_next(expirer->store->reader,
		bytes_make(expirer->name, expirer->name_len), bytes_make(NULL, 0), &row);
	if (err == ERR_NOT_FOUND) {
		expirer->is_in_events = true;
		expirer->event_bucket = 0;
		return LOOK_NOTHING;
	}
	if (err)
		return LOOK_FAILED;
	/* The name is borrowed from the row, and other rows will be read. */
	uint8_t name[ROW_BUCKET_NAME_LEN_MAX];
	size_t len = row.name.len;
	memcpy(name, row.name.data, len);
	enum look look = look_at_bucket(expirer, &row);
	if (look == LOOK_NOTHING || look == LOOK_FAILED) {
		memcpy(expirer->name, name, len);
		expirer->name[len] = 0;
		expirer->name_len = len + 1;
	}
	return look;
}

/* Events of buckets that are gone, or not watched any more. */
static enum look look_at_events(struct expirer *expirer, bool *ret_is_over)
{
	uint64_t id;
	struct row_bucket row;
	enum err err = index_event_bucket_next(expirer->store->reader, expirer->event_bucket, &id);
	*ret_is_over = err == ERR_NOT_FOUND;
	if (err)
		return *ret_is_over ? LOOK_NOTHING : LOOK_FAILED;
	err = index_bucket_get(expirer->store->reader, id, &row);
	if (err && err != ERR_NOT_FOUND)
		return LOOK_FAILED;
	if (err == ERR_NOT_FOUND || row.watched == 0)
		return remove_events(expirer, NULL, id, &(struct event_place){0});
	expirer->event_bucket = id + 1;
	return LOOK_NOTHING;
}

static void begin_round(struct expirer *expirer)
{
	expirer->name_len = 0;
	expirer->is_in_events = false;
	expirer->has_worked = false;
}

static void propose(struct expirer *expirer)
{
	expirer->proposal.loop = expirer->store->loop;
	expirer->proposal.bytes = expirer->bytes;
	expirer->is_proposed = true;
	expirer->has_worked = true;
	index_propose(expirer->store->store->index, &expirer->proposal);
}

static void forget_all(struct expirer *expirer)
{
	while (expirer->buckets)
		expire_forget(expirer, expirer->buckets);
}

/* Under a view. */
static enum look look(struct expirer *expirer, bool *ret_is_over)
{
	struct duty duty;
	*ret_is_over = false;
	if (duty_look(expirer->store, &duty) != ERR_OK)
		return LOOK_FAILED;
	if (!duty.is_mine || index_is_held(expirer->store->reader)) {
		forget_all(expirer); /* (X5) */
		*ret_is_over = true;
		return LOOK_NOTHING;
	}
	return expirer->is_in_events ? look_at_events(expirer, ret_is_over)
				     : look_at_names(expirer);
}

static uint64_t idle_ms(const struct expirer *expirer)
{
	uint64_t share = expirer->day_ms / 24;
	return share < EXPIRE_IDLE_MS ? share + 1 : EXPIRE_IDLE_MS;
}

static void stop_now(struct expirer *expirer)
{
	timer_cancel(expirer->store->loop, &expirer->timer);
	forget_all(expirer);
	free(expirer->list);
	free(expirer->bytes);
	free(expirer->rules);
	expirer->stopped(expirer);
}

static void advance(struct expirer *expirer)
{
	bool is_over;
	if (expirer->is_proposed)
		return;
	if (expirer->is_stopping) {
		stop_now(expirer);
		return;
	}
	enum look found = LOOK_FAILED;
	if (index_view_begin(expirer->store->reader) == ERR_OK) {
		found = look(expirer, &is_over);
		index_view_end(expirer->store->reader);
	}
	if (found == LOOK_COMMAND) {
		propose(expirer);
	} else if (found == LOOK_FAILED) {
		look_later(expirer, EXPIRE_RETRY_MS);
	} else if (found == LOOK_NOTHING && is_over) {
		look_later(expirer, expirer->has_worked ? 0 : idle_ms(expirer));
		begin_round(expirer);
	} else {
		look_later(expirer, 0);
	}
}

static void timer_fired(struct timer *timer)
{
	advance(CONTAINER_OF(timer, struct expirer, timer));
}

/* What an EXPIRE did not do is judged again: it changed, or by cluster time it is early yet. */
static bool is_all_done(struct expirer *expirer, const struct index_proposal *proposal)
{
	if (proposal->err || proposal->result.code != COMMAND_OK)
		return false;
	if (expirer->type != COMMAND_EXPIRE)
		return true;
	expirer->counters.expired += proposal->result.count;
	if (proposal->result.count < expirer->item_count)
		return false;
	expirer->bucket->ages[expirer->age].passed = expirer->place;
	return true;
}

static void proposal_done(struct index_proposal *proposal)
{
	struct expirer *expirer = CONTAINER_OF(proposal, struct expirer, proposal);
	bool is_known = proposal->err == ERR_OK && proposal->result.code == COMMAND_OK;
	bool is_done = is_all_done(expirer, proposal);
	expirer->is_proposed = false;
	if (!is_known && expirer->bucket)
		expire_forget(expirer, expirer->bucket);
	look_later(expirer, is_done || expirer->is_stopping ? 0 : EXPIRE_RETRY_MS);
}

/* --- life ------------------------------------------------------------------------------------- */

enum err expire_start(struct expirer *expirer, struct store_loop *store, uint64_t day_ms)
{
	assert(day_ms > 0);
	*expirer = (struct expirer){.store = store, .day_ms = day_ms};
	expirer->list = malloc(EXPIRE_LIST_LEN);
	expirer->bytes = malloc(COMMAND_LEN_MAX);
	expirer->rules = malloc(ROW_CONFIG_LEN_MAX);
	if (!expirer->list || !expirer->bytes || !expirer->rules) {
		free(expirer->list);
		free(expirer->bytes);
		free(expirer->rules);
		return ERR_NO_MEMORY;
	}
	expirer->timer.fire = timer_fired;
	expirer->proposal.done = proposal_done;
	look_later(expirer, 0);
	return ERR_OK;
}

void expire_stop(struct expirer *expirer, void (*stopped)(struct expirer *expirer))
{
	expirer->is_stopping = true;
	expirer->stopped = stopped;
	look_later(expirer, 0);
}
