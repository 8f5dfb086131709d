/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/scrub.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "storage/drive/record.h"
#include "storage/repair/scrub_priv.h"

#define RETRY_MS 10000

void scrub_init(struct scrub *scrub, struct crew *crew, uint64_t period_ms)
{
	memset(scrub, 0, sizeof *scrub);
	scrub->crew = crew;
	scrub->period_given_ms = scrub->period_ms = period_ms;
	scrub->rate_ms = loop_now_ms(crew->store->loop);
	throttle_init(&scrub->throttle, crew->store->loop, 0);
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

/* Is the pass one that somebody waits for? */
static bool is_wanted(const struct scrub *scrub)
{
	return scrub->has_drive && scrub->steering.scrub_wanted[scrub->drive] > 0 &&
		scrub->pass.task >= scrub->steering.scrub_wanted[scrub->drive];
}

/* So long after so many bytes. */
static void pace(struct scrub *scrub, struct drive *drive, uint64_t len)
{
	struct drive_space space;
	if (is_wanted(scrub))
		return;
	drive_space(drive, &space);
	uint64_t used = space.used > len ? space.used : len;
	uint64_t ms = (uint64_t)((double)len / used * share_ms(scrub));
	wait(scrub, ms < SCRUB_WAIT_MS_MAX ? ms : SCRUB_WAIT_MS_MAX);
}

static void measure_rate(struct scrub *scrub)
{
	uint64_t ms = now_ms(scrub) - scrub->rate_ms, bytes = scrub->counters.counts.bytes;
	if (ms < 1000)
		return;
	uint64_t rate = (bytes - scrub->rate_bytes) * 1000 / ms;
	scrub->rate = scrub->rate == 0 ? rate : scrub->rate - scrub->rate / 4 + rate / 4;
	scrub->rate_bytes = bytes;
	scrub->rate_ms += ms;
}

/* Counts of this life, and of the pass. */
static void count(struct scrub *scrub, const struct scrub_counts *counts)
{
	scrub_counts_add(&scrub->counters.counts, counts);
	scrub_counts_add(&scrub->pass.counts, counts);
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

/* (Z4) */
static void save_record(struct scrub *scrub)
{
	char name[32], text[SCRUB_RECORD_LEN_MAX];
	scrub->save_ms = now_ms(scrub);
	scrub_record_name(number_of(scrub), name);
	scrub_record_format(&scrub->pass, text);
	struct command command = {.type = COMMAND_SETTING_PUT};
	command.setting_put.name = bytes_of(name);
	command.setting_put.value = bytes_of(text);
	propose(scrub, &command);
	if (scrub->pass.ended_ms > 0)
		trace_event(store_of(scrub)->trace, TRACE_INFO, 0, "scrub of drive %u: %s",
			number_of(scrub), text);
}

static void save_place(struct scrub *scrub)
{
	scrub->pass.at = scrub->extent;
	save_record(scrub);
}

/* --- choosing --------------------------------------------------------------------------------- */

enum need { NEED_NONE, NEED_DUE, NEED_WANTED };

/* Does a drive need a pass, or the rest of one? */
static enum need judge_drive(
	const struct scrub *scrub, unsigned drive, const struct scrub_record *record)
{
	uint64_t wanted = scrub->steering.scrub_wanted[drive];
	uint64_t wall_ms = clock_wall_ms(store_of(scrub)->clock);
	if (!store_drive(store_of(scrub), store_of(scrub)->drives[drive].number))
		return NEED_NONE;
	if (wanted > 0 && (!record->is_there || record->task < wanted || record->ended_ms == 0))
		return NEED_WANTED;
	if (scrub->period_ms == 0)
		return NEED_NONE;
	return record->ended_ms > 0 && wall_ms >= record->ended_ms &&
			wall_ms - record->ended_ms < scrub->period_ms / 2
		? NEED_NONE
		: NEED_DUE;
}

/* Goes on where an earlier life was, or begins; a pass that began before it was wanted is begun
 * anew, so that it sees all that was there then. */
static void take_drive(struct scrub *scrub, unsigned drive, const struct scrub_record *record)
{
	uint64_t wanted = scrub->steering.scrub_wanted[drive];
	scrub->drive = drive;
	scrub->has_drive = true;
	scrub->state = SCRUB_LISTING;
	if (record->is_there && record->ended_ms == 0 && record->task >= wanted)
		scrub->pass = *record;
	else
		scrub->pass = (struct scrub_record){.is_there = true,
			.task = wanted,
			.began_ms = clock_wall_ms(store_of(scrub)->clock)};
	scrub->extent = scrub->pass.at;
	scrub->index = 0;
	scrub->save_ms = now_ms(scrub);
}

/* Which one next, from the one behind this on: one that is wanted, or else one that is due. */
static enum err find_drive(struct scrub *scrub)
{
	unsigned found = 0, drives = store_of(scrub)->drive_count;
	enum need best = NEED_NONE;
	struct scrub_record record, best_record;
	for (unsigned i = 1; i <= drives; i++) {
		unsigned drive = (scrub->drive + i) % drives;
		enum err err = scrub_record_read(
			reader_of(scrub), store_of(scrub)->drives[drive].number, &record);
		if (err)
			return err;
		enum need need = judge_drive(scrub, drive, &record);
		if (need <= best)
			continue;
		best = need;
		best_record = record;
		found = drive;
	}
	if (best == NEED_NONE)
		return ERR_NOT_FOUND;
	take_drive(scrub, found, &best_record);
	return ERR_OK;
}

static void choose(struct scrub *scrub)
{
	uint64_t rest_ms = scrub->period_ms / 32 + 1;
	if (index_view_begin(reader_of(scrub)) != ERR_OK) {
		wait(scrub, RETRY_MS);
		return;
	}
	enum err err = find_drive(scrub);
	index_view_end(reader_of(scrub));
	scrub->wants_choice = false;
	if (err == ERR_NOT_FOUND)
		wait(scrub, rest_ms < SCRUB_SAVE_MS ? rest_ms : SCRUB_SAVE_MS);
	else if (err)
		wait(scrub, RETRY_MS);
}

/* The drive is left, to be chosen again or not. */
static void leave_drive(struct scrub *scrub)
{
	scrub->has_drive = false;
	scrub->state = SCRUB_LISTING;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool is_save_due(const struct scrub *scrub)
{
	const struct scrub_counts *counts = &scrub->pass.counts;
	bool is_soon = is_wanted(scrub) || counts->bad > 0 || counts->unread > 0;
	return now_ms(scrub) - scrub->save_ms >= (is_soon ? SCRUB_SAVE_SOON_MS : SCRUB_SAVE_MS);
}

static void list_shards(struct scrub *scrub)
{
	size_t count = 0;
	if (!scrub->has_drive) {
		choose(scrub);
		return;
	}
	struct drive *drive = store_drive(store_of(scrub), number_of(scrub));
	if (!drive) {
		leave_drive(scrub);
		return;
	}
	if (is_save_due(scrub)) {
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
	count(scrub, &(struct scrub_counts){.shards = 1});
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
	left = left < SCRUB_SLICE_LEN ? left : SCRUB_SLICE_LEN;
	uint64_t wait_ms = throttle_take(&scrub->throttle, left, false);
	if (wait_ms > 0) {
		wait(scrub, wait_ms);
		return;
	}
	if (pool_take(&scrub->crew->store->decode_pool, POOL_64K, 1, &scrub->buf) != ERR_OK) {
		wait(scrub, 1000); /* clients need it */
		return;
	}
	scrub->read.loop = scrub->crew->store->loop;
	scrub->read.done = read_done;
	site_read_init(&scrub->read, &site, entry->extent, entry->index);
	scrub->is_inited = scrub->is_reading = true;
	site_read_start(&scrub->read, scrub->offset, left, scrub->buf, false);
}

static void mended(struct crew_job *job, enum err err)
{
	struct scrub *scrub = job->owner;
	scrub->is_mending = false;
	count(scrub, &(struct scrub_counts){.mended = err == ERR_OK, .unread = err != ERR_OK});
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
	count(scrub, &(struct scrub_counts){.bad = 1});
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
	count(scrub,
		&(struct scrub_counts){.bytes = err     ? 0
				: len < SCRUB_SLICE_LEN ? len
							: SCRUB_SLICE_LEN,
			.unread = err != ERR_OK && err != ERR_NOT_FOUND});
	if (err || scrub->offset >= shard_len)
		next_entry(scrub); /* one that is not there any more was freed */
}

static void advance_reading(struct scrub *scrub)
{
	struct drive *drive = store_drive(store_of(scrub), number_of(scrub));
	if (!drive) {
		give_back(scrub);
		leave_drive(scrub);
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
	count(scrub, &(struct scrub_counts){.missing = scrub->missing_count});
	scrub->missing_count = 0;
	scrub->state = SCRUB_TELLING;
	propose(scrub, &command);
}

static void advance_matching(struct scrub *scrub)
{
	struct drive *drive = store_drive(store_of(scrub), number_of(scrub));
	enum err err = drive ? scrub_match(scrub, drive) : ERR_FENCED;
	if (scrub->missing_count > 0) {
		tell_missing(scrub);
	} else if (err == ERR_NOT_FOUND) {
		scrub->counters.passes++;
		scrub->pass.ended_ms = clock_wall_ms(store_of(scrub)->clock);
		scrub->state = SCRUB_MATCHED;
	} else if (err == ERR_FENCED) {
		leave_drive(scrub);
	} else {
		wait(scrub, err ? RETRY_MS : is_wanted(scrub) ? 1 : 20);
	}
}

/* --- ending ----------------------------------------------------------------------------------- */

/* (Z5) */
static void tell_verdict(struct scrub *scrub)
{
	char name[32], text[ROW_TASK_TEXT_LEN_MAX];
	const char *verdict = scrub_counts_verdict(&scrub->pass.counts);
	struct command command = {.type = COMMAND_TASK_PUT};
	scrub->state = SCRUB_ENDING;
	if (scrub->pass.task > 0 || strcmp(verdict, "clean") == 0)
		return;
	scrub_record_name(number_of(scrub), name);
	scrub_counts_format(&scrub->pass.counts, verdict, text, sizeof text);
	command.task_put.name = bytes_of(name);
	command.task_put.is_end = true;
	command.task_put.began_ms = scrub->pass.began_ms;
	command.task_put.text = bytes_of(text);
	propose(scrub, &command);
}

/* The end of a pass is said until it is known; a place may be lost. */
static void go_on_saved(struct scrub *scrub)
{
	bool is_end = scrub->pass.ended_ms > 0;
	if (is_end && scrub->proposal.err != ERR_OK) {
		scrub->state = SCRUB_MATCHED;
		wait(scrub, RETRY_MS);
	} else if (is_end) {
		tell_verdict(scrub);
	} else {
		scrub->state = SCRUB_LISTING;
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
	case SCRUB_MATCHED:
		scrub->state = SCRUB_SAVING;
		save_record(scrub);
		return;
	case SCRUB_SAVING:
		go_on_saved(scrub);
		return;
	case SCRUB_ENDING:
		leave_drive(scrub);
		return;
	}
}

static bool is_waiting(const struct scrub *scrub)
{
	return scrub->is_reading || scrub->is_mending || scrub->is_proposed;
}

/* Is there anything it may have to do? */
static bool has_work(const struct scrub *scrub)
{
	bool is_any = scrub->period_ms > 0;
	for (unsigned i = 0; i < store_of(scrub)->drive_count; i++)
		is_any |= scrub->steering.scrub_wanted[i] > 0;
	return is_any;
}

/* Holds nothing, and if it may choose another drive, has none; where nothing would be lost. */
static void let_go(struct scrub *scrub)
{
	if (scrub->state != SCRUB_LISTING && scrub->state != SCRUB_READING)
		return;
	give_back(scrub);
	if (scrub->wants_choice)
		leave_drive(scrub);
}

uint64_t scrub_advance(struct scrub *scrub)
{
	if (is_waiting(scrub))
		return UINT64_MAX;
	if (scrub->is_stopping || scrub->throttle.is_paused || scrub->wants_choice)
		let_go(scrub);
	if (scrub->is_stopping || scrub->throttle.is_paused || store_of(scrub)->drive_count == 0 ||
		(!scrub->has_drive && !has_work(scrub)))
		return UINT64_MAX;
	measure_rate(scrub);
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

void scrub_steer(struct scrub *scrub, const struct steering *steering, bool is_paused)
{
	uint64_t period_ms = steering->scrub_period_ms == UINT64_MAX ? scrub->period_given_ms
								     : steering->scrub_period_ms;
	bool is_same = period_ms == scrub->period_ms &&
		memcmp(steering->scrub_wanted, scrub->steering.scrub_wanted,
			sizeof steering->scrub_wanted) == 0;
	scrub->steering = *steering;
	scrub->period_ms = period_ms;
	throttle_set(&scrub->throttle, steering->scrub_speed, is_paused);
	if (is_same)
		return;
	scrub->wants_choice = true;
	scrub->due_ms = 0;
}

bool scrub_is_busy(const struct scrub *scrub)
{
	return is_wanted(scrub) && !scrub->is_stopping;
}

void scrub_tell(struct scrub *scrub, struct scrub_now *ret_now)
{
	struct drive_space space = {0};
	*ret_now = (struct scrub_now){.is_paused = scrub->throttle.is_paused};
	if (!scrub->has_drive)
		return;
	drive_space(store_of(scrub)->drives[scrub->drive].drive, &space);
	ret_now->drive = number_of(scrub);
	ret_now->pass = scrub->pass;
	ret_now->used = space.used;
	ret_now->bytes_per_second = scrub->rate;
}
