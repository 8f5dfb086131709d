/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/scrub.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "storage/drive/record.h"

#define RETRY_MS 10000

void scrub_init(struct scrub *scrub, struct crew *crew, uint64_t period_ms)
{
	memset(scrub, 0, sizeof *scrub);
	scrub->crew = crew;
	scrub->period_ms = period_ms;
	scrub->save_ms = loop_now_ms(crew->store->loop);
}

static struct store *store_of(const struct scrub *scrub)
{
	return scrub->crew->store->store;
}

static struct index_reader *reader_of(const struct scrub *scrub)
{
	return scrub->crew->store->reader;
}

static uint64_t now_ms(const struct scrub *scrub)
{
	return loop_now_ms(scrub->crew->store->loop);
}

static void wait(struct scrub *scrub, uint64_t ms)
{
	scrub->due_ms = now_ms(scrub) + ms;
}

static uint16_t number_of(const struct scrub *scrub)
{
	return store_of(scrub)->drives[scrub->drive].number;
}

/* How long a drive's pass takes: all of them half the period, so that none is late. */
static uint64_t share_ms(const struct scrub *scrub)
{
	return scrub->period_ms / 2 / store_of(scrub)->drive_count;
}

/* So long after so many bytes. */
static void pace(struct scrub *scrub, struct drive *drive, uint64_t len)
{
	struct drive_space space;
	drive_space(drive, &space);
	uint64_t used = space.used > len ? space.used : len;
	uint64_t ms = (uint64_t)((double)len / used * share_ms(scrub));
	wait(scrub, ms < SCRUB_WAIT_MS_MAX ? ms : SCRUB_WAIT_MS_MAX);
}

/* --- proposing -------------------------------------------------------------------------------- */

static void proposal_done(struct index_proposal *proposal)
{
	struct scrub *scrub = CONTAINER_OF(proposal, struct scrub, proposal);
	assert(scrub->is_proposed);
	scrub->is_proposed = false;
	scrub->crew->changed(scrub->crew);
}

static void propose(struct scrub *scrub, const struct command *command)
{
	scrub->proposal = (struct index_proposal){
		.loop = scrub->crew->store->loop,
		.bytes = scrub->command,
		.done = proposal_done,
	};
	enum err err = command_encode(
		command, scrub->command, sizeof scrub->command, &scrub->proposal.len);
	assert(err == ERR_OK);
	scrub->is_proposed = true;
	index_propose(store_of(scrub)->index, &scrub->proposal);
}

static void propose_setting(struct scrub *scrub, const char *text)
{
	char name[32];
	snprintf(name, sizeof name, "scrub.%u", number_of(scrub));
	struct command command = {.type = COMMAND_SETTING_PUT};
	command.setting_put.name = bytes_of(name);
	command.setting_put.value = bytes_of(text);
	propose(scrub, &command);
}

/* (Z4) */
static void save_place(struct scrub *scrub)
{
	char text[64];
	scrub->save_ms = now_ms(scrub);
	snprintf(text, sizeof text, "{\"at\":\"%lx/%lx\"}", (unsigned long)scrub->extent.session,
		(unsigned long)scrub->extent.counter);
	propose_setting(scrub, text);
}

static void save_verdict(struct scrub *scrub)
{
	const struct scrub_counters *now = &scrub->counters, *before = &scrub->before;
	char text[256];
	snprintf(text, sizeof text,
		"{\"ended_ms\":%lu,\"shards\":%lu,\"bytes\":%lu,\"bad\":%lu,\"mended\":%lu,"
		"\"missing\":%lu,\"unread\":%lu}",
		(unsigned long)clock_wall_ms(store_of(scrub)->clock),
		(unsigned long)(now->shards - before->shards),
		(unsigned long)(now->bytes - before->bytes),
		(unsigned long)(now->bad - before->bad),
		(unsigned long)(now->mended - before->mended),
		(unsigned long)(now->missing - before->missing),
		(unsigned long)(now->unread - before->unread));
	trace_event(store_of(scrub)->trace, TRACE_INFO, 0, "scrub of drive %u: %s",
		number_of(scrub), text);
	propose_setting(scrub, text);
}

/* Where the last life was. */
static void load_place(struct scrub *scrub)
{
	char name[32], text[256] = {0};
	struct bytes value;
	unsigned long session, counter, ended_ms;
	snprintf(name, sizeof name, "scrub.%u", number_of(scrub));
	if (index_view_begin(reader_of(scrub)) != ERR_OK) {
		wait(scrub, RETRY_MS);
		return;
	}
	enum err err = index_setting_get(reader_of(scrub), bytes_of(name), &value);
	if (err == ERR_OK && value.len < sizeof text)
		memcpy(text, value.data, value.len);
	index_view_end(reader_of(scrub));
	scrub->is_loaded = true;
	scrub->is_done = false;
	scrub->extent = (struct extent_id){0, 0};
	scrub->index = 0;
	scrub->before = scrub->counters;
	uint64_t wall_ms = clock_wall_ms(store_of(scrub)->clock);
	if (sscanf(text, "{\"at\":\"%lx/%lx\"", &session, &counter) == 2)
		scrub->extent = (struct extent_id){session, counter};
	else if (sscanf(text, "{\"ended_ms\":%lu", &ended_ms) == 1)
		scrub->is_done = wall_ms >= ended_ms && wall_ms - ended_ms < scrub->period_ms / 2;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void next_drive(struct scrub *scrub)
{
	scrub->drive = (scrub->drive + 1) % store_of(scrub)->drive_count;
	scrub->is_loaded = false;
	scrub->state = SCRUB_LISTING;
}

/* Has the drive had its pass? If all have, there is nothing to do for a while. */
static void skip_drive(struct scrub *scrub)
{
	uint64_t rest_ms = scrub->period_ms / 32 + 1;
	next_drive(scrub);
	if (++scrub->skipped < store_of(scrub)->drive_count)
		return;
	scrub->skipped = 0;
	wait(scrub, rest_ms < SCRUB_SAVE_MS ? rest_ms : SCRUB_SAVE_MS);
}

static void list_shards(struct scrub *scrub)
{
	struct drive *drive = store_drive(store_of(scrub), number_of(scrub));
	size_t count = 0;
	if (!scrub->is_loaded) {
		load_place(scrub);
		return;
	}
	if (!drive || scrub->is_done) {
		skip_drive(scrub);
		return;
	}
	scrub->skipped = 0;
	if (now_ms(scrub) - scrub->save_ms >= SCRUB_SAVE_MS) {
		scrub->state = SCRUB_SAVING;
		save_place(scrub);
		return;
	}
	enum err err = drive_list(
		drive, scrub->extent, scrub->index, scrub->entries, SCRUB_BATCH, &count);
	scrub->entry_count = count;
	scrub->entry_next = 0;
	scrub->offset = 0;
	if (err)
		wait(scrub, RETRY_MS);
	else if (count > 0)
		scrub->state = SCRUB_READING;
	else
		scrub->state = SCRUB_MATCHING;
	scrub->place = (struct index_place){0};
}

static void read_done(struct site_read *read, enum err err)
{
	struct scrub *scrub = CONTAINER_OF(read, struct scrub, read);
	assert(scrub->is_reading);
	scrub->is_reading = false;
	scrub->read_err = err;
	scrub->crew->changed(scrub->crew);
}

static void give_back(struct scrub *scrub)
{
	if (scrub->is_inited)
		site_read_fini(&scrub->read);
	scrub->is_inited = false;
	pool_give(&scrub->crew->store->decode_pool, scrub->buf);
	scrub->buf = NULL;
}

static void next_entry(struct scrub *scrub)
{
	const struct shard_entry *entry = &scrub->entries[scrub->entry_next++];
	give_back(scrub);
	scrub->counters.shards++;
	scrub->extent = entry->extent;
	scrub->index = entry->index + 1;
	scrub->offset = 0;
	scrub->state = scrub->entry_next < scrub->entry_count ? SCRUB_READING : SCRUB_LISTING;
}

static void read_slice(struct scrub *scrub, struct drive *drive)
{
	const struct shard_entry *entry = &scrub->entries[scrub->entry_next];
	struct site site = {.number = number_of(scrub), .drive = drive};
	uint64_t left = record_shard_len(entry->record_len) - scrub->offset;
	if (pool_take(&scrub->crew->store->decode_pool, POOL_64K, 1, &scrub->buf) != ERR_OK) {
		wait(scrub, 1000); /* clients need it */
		return;
	}
	scrub->read.loop = scrub->crew->store->loop;
	scrub->read.done = read_done;
	site_read_init(&scrub->read, &site, entry->extent, entry->index);
	scrub->is_inited = scrub->is_reading = true;
	site_read_start(&scrub->read, scrub->offset,
		left < SCRUB_SLICE_LEN ? left : SCRUB_SLICE_LEN, scrub->buf, false);
}

static void mended(struct crew_job *job, enum err err)
{
	struct scrub *scrub = job->owner;
	scrub->is_mending = false;
	scrub->counters.mended += err == ERR_OK;
	scrub->counters.unread += err != ERR_OK;
}

/* (Z1) */
static void mend(struct scrub *scrub)
{
	const struct shard_entry *entry = &scrub->entries[scrub->entry_next];
	struct row_extent row;
	if (!crew_has_room(scrub->crew) || index_view_begin(reader_of(scrub)) != ERR_OK) {
		wait(scrub, 1000);
		return;
	}
	scrub->counters.bad++;
	struct ring_snapshot *ring = index_ring(store_of(scrub)->index);
	uint16_t slot = ring_slot(ring_snapshot_ring(ring), entry->extent);
	struct crew_order order = {
		.shard = entry->index, .drive = number_of(scrub), .done = mended, .owner = scrub};
	enum err err = index_extent_get(reader_of(scrub), slot, entry->extent, &row);
	if (err == ERR_OK && !index_shard_belongs(ring, slot, &row, entry->index, number_of(scrub)))
		err = ERR_NOT_FOUND; /* it moved away, and goes */
	if (err == ERR_OK)
		err = rebuild_extent_init(&order.extent, ring, slot, entry->extent, &row);
	order.body = row.body;
	if (err == ERR_OK) {
		scrub->is_mending = true;
		crew_start(scrub->crew, &order);
	}
	ring_snapshot_unref(ring);
	index_view_end(reader_of(scrub));
	scrub->state = SCRUB_MENDING;
}

static void judge_slice(struct scrub *scrub, struct drive *drive)
{
	const struct shard_entry *entry = &scrub->entries[scrub->entry_next];
	uint64_t shard_len = record_shard_len(entry->record_len);
	enum err err = scrub->read_err;
	uint64_t len = shard_len - scrub->offset;
	give_back(scrub);
	pace(scrub, drive, len < SCRUB_SLICE_LEN ? len : SCRUB_SLICE_LEN);
	if (err == ERR_CHECKSUM || err == ERR_CORRUPT) {
		mend(scrub);
		return;
	}
	scrub->offset += SCRUB_SLICE_LEN;
	scrub->counters.bytes += len < SCRUB_SLICE_LEN ? len : SCRUB_SLICE_LEN;
	scrub->counters.unread += err != ERR_OK && err != ERR_NOT_FOUND;
	if (err || scrub->offset >= shard_len)
		next_entry(scrub); /* one that is not there any more was freed */
}

static void advance_reading(struct scrub *scrub)
{
	struct drive *drive = store_drive(store_of(scrub), number_of(scrub));
	if (!drive) {
		give_back(scrub);
		next_drive(scrub);
	} else if (scrub->is_inited) {
		judge_slice(scrub, drive);
	} else {
		read_slice(scrub, drive);
	}
}

static void end_mending(struct scrub *scrub)
{
	const struct shard_entry *entry = &scrub->entries[scrub->entry_next];
	if (index_view_begin(reader_of(scrub)) != ERR_OK) {
		wait(scrub, 1000);
		return;
	}
	struct ring_snapshot *ring = index_ring(store_of(scrub)->index);
	crew_judge(scrub->crew, ring_slot(ring_snapshot_ring(ring), entry->extent), entry->extent,
		entry->index, number_of(scrub));
	ring_snapshot_unref(ring);
	index_view_end(reader_of(scrub));
	next_entry(scrub);
}

/* --- matching --------------------------------------------------------------------------------- */

static bool is_live(struct scrub *scrub, const struct row_extent *row)
{
	struct row_body body;
	return index_body_get(reader_of(scrub), row->body, &body) == ERR_OK && body.refs > 0;
}

static bool is_listed(struct drive *drive, struct extent_id extent, uint8_t shard)
{
	struct shard_entry entry;
	size_t count;
	return drive_list(drive, extent, shard, &entry, 1, &count) != ERR_OK ||
		(count == 1 && extent_id_is_equal(entry.extent, extent) && entry.index == shard);
}

/* Of an extent, the shard that must be on the drive and is not. */
static void match(struct scrub *scrub, struct drive *drive, const struct ring_snapshot *ring,
	const struct row_extent *row)
{
	for (uint8_t i = 0; i < row->k + row->m; i++) {
		struct ring_places places;
		index_shard_places(ring, scrub->place.slot, scrub->place.extent, row, i, &places);
		if (places.count != 1 || places.drives[0] != number_of(scrub) ||
			is_listed(drive, scrub->place.extent, i) || !is_live(scrub, row))
			continue;
		scrub->missing[scrub->missing_count++] = (struct command_shard_move){
			.slot = scrub->place.slot,
			.extent = scrub->place.extent,
			.shard = i,
			.from = number_of(scrub),
		};
		return; /* a drive has one shard of an extent */
	}
}

/* Errors: ERR_NOT_FOUND, that was all. */
static enum err match_rows(struct scrub *scrub, struct drive *drive)
{
	enum err err = index_view_begin(reader_of(scrub));
	if (err)
		return err;
	struct ring_snapshot *ring = NULL;
	err = index_ring_view(reader_of(scrub), &ring);
	for (unsigned left = SCRUB_MATCH_ROWS;
		err == ERR_OK && left > 0 && scrub->missing_count < SCRUB_MISSING_MAX; left--) {
		struct row_extent row;
		struct extent_id found;
		if (scrub->place.slot >= ring_snapshot_ring(ring)->slot_count) {
			err = ERR_NOT_FOUND;
			break;
		}
		err = index_extent_next(
			reader_of(scrub), scrub->place.slot, scrub->place.extent, &found, &row);
		if (err == ERR_NOT_FOUND) {
			scrub->place = (struct index_place){.slot = scrub->place.slot + 1};
			err = ERR_OK;
			continue;
		}
		scrub->place.extent = found;
		if (err == ERR_OK)
			match(scrub, drive, ring, &row);
		scrub->place.extent.counter++;
	}
	ring_snapshot_unref(ring);
	index_view_end(reader_of(scrub));
	return err;
}

/* (Z2) */
static void tell_missing(struct scrub *scrub)
{
	uint8_t list[SCRUB_MISSING_MAX * 48];
	struct fields_out out = {.data = list, .cap = sizeof list};
	for (unsigned i = 0; i < scrub->missing_count; i++)
		command_shard_move_append(&out, &scrub->missing[i]);
	assert(!out.is_full);
	struct command command = {.type = COMMAND_EXTENT_UPDATE};
	command.extent_update.moves = bytes_make(list, out.len);
	trace_event(store_of(scrub)->trace, TRACE_WARNING, 0,
		"scrub: %u shards are not on drive %u, where they should be", scrub->missing_count,
		number_of(scrub));
	scrub->counters.missing += scrub->missing_count;
	scrub->missing_count = 0;
	scrub->state = SCRUB_TELLING;
	propose(scrub, &command);
}

static void advance_matching(struct scrub *scrub)
{
	struct drive *drive = store_drive(store_of(scrub), number_of(scrub));
	enum err err = drive ? match_rows(scrub, drive) : ERR_FENCED;
	if (scrub->missing_count > 0) {
		tell_missing(scrub);
	} else if (err == ERR_NOT_FOUND) {
		scrub->counters.passes++;
		scrub->is_loaded = false;
		scrub->state = SCRUB_SAVING;
		save_verdict(scrub);
	} else if (err == ERR_FENCED) {
		next_drive(scrub);
	} else {
		wait(scrub, err ? RETRY_MS : 20);
	}
}

/* --- deciding --------------------------------------------------------------------------------- */

static void advance(struct scrub *scrub)
{
	switch (scrub->state) {
	case SCRUB_LISTING:
		list_shards(scrub);
		return;
	case SCRUB_READING:
		advance_reading(scrub);
		return;
	case SCRUB_MENDING:
		end_mending(scrub);
		return;
	case SCRUB_MATCHING:
		advance_matching(scrub);
		return;
	case SCRUB_TELLING:
		scrub->state = SCRUB_MATCHING;
		return;
	case SCRUB_SAVING:
		scrub->state = SCRUB_LISTING;
		if (!scrub->is_loaded)
			next_drive(scrub);
		return;
	}
}

static bool is_waiting(const struct scrub *scrub)
{
	return scrub->is_reading || scrub->is_mending || scrub->is_proposed;
}

uint64_t scrub_advance(struct scrub *scrub)
{
	if (scrub->is_stopping && !is_waiting(scrub))
		give_back(scrub);
	if (scrub->period_ms == 0 || scrub->is_stopping || is_waiting(scrub) ||
		store_of(scrub)->drive_count == 0)
		return UINT64_MAX;
	if (now_ms(scrub) >= scrub->due_ms)
		advance(scrub);
	if (is_waiting(scrub))
		return UINT64_MAX;
	return scrub->due_ms > now_ms(scrub) ? scrub->due_ms - now_ms(scrub) : 0;
}

void scrub_stop(struct scrub *scrub)
{
	scrub->is_stopping = true;
}

bool scrub_is_idle(const struct scrub *scrub)
{
	return !is_waiting(scrub) && !scrub->buf;
}
