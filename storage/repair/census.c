/* SPDX-License-Identifier: Apache-2.0 */
/* The census of a node's drives: what a collector finds that no row names (C5, C6). */
#include "storage/repair/collect_priv.h"
#include "storage/repair/places.h"

/* Remembers an extent that could still get a row, or sees that one which was remembered still could
 * (C5). */
static void note_unsettled(struct collector *collector, struct extent_id extent)
{
	for (unsigned i = 0; i < collector->unsettled_count; i++) {
		struct extent_id *high = &collector->unsettled[i];
		if (high->session != extent.session)
			continue;
		if (collector->again_ms == 0 && extent.counter > high->counter)
			high->counter = extent.counter;
		collector->is_unsettled_left |= extent.counter <= high->counter;
		return;
	}
	if (collector->again_ms > 0 || collector->unsettled_count == COLLECT_SESSIONS_MAX)
		return;
	collector->unsettled[collector->unsettled_count++] = extent;
	collector->is_unsettled_left = true;
}

/* What a batch of the census is judged by. */
struct census {
	uint16_t drive;
	struct ring_snapshot *ring; /* the newest; the only one, where nothing moved */
	struct ring_snapshot *seen; /* as the view has it; NULL: not looked up yet */
};

/* A shard that the newest ring has no place for on the drive. Nobody wants it if neither ring, row
 * nor leftover of the one view name it (C6). */
static enum err is_stray(struct collector *collector, struct census *census, uint16_t slot,
	const struct row_extent *row, uint8_t index, bool *ret_is_stray)
{
	enum err err = census->seen ? ERR_OK : index_ring_view(collector->reader, &census->seen);
	struct index_leftover left;
	bool is_left = false;
	if (err == ERR_OK)
		err = index_leftover_next(collector->reader, slot, index, census->drive, &left);
	if (err == ERR_OK)
		is_left = left.slot == slot && left.shard == index && left.drive == census->drive;
	else if (err != ERR_NOT_FOUND)
		return err;
	*ret_is_stray = !is_left &&
		!index_shard_belongs(census->seen, slot, row, index, census->drive);
	return ERR_OK;
}

/* Is there a row for the extent that has the shard here, or could there still be one? */
static enum err is_garbage(struct collector *collector, struct census *census,
	struct extent_id extent, uint8_t index, bool *ret_is_garbage)
{
	bool is_settled;
	enum err err = index_extent_is_settled(collector->reader, extent, &is_settled);
	if (err || !is_settled) {
		if (err == ERR_OK)
			note_unsettled(collector, extent);
		*ret_is_garbage = false;
		return err;
	}
	struct row_extent row;
	uint16_t slot = ring_slot(ring_snapshot_ring(census->ring), extent);
	err = index_extent_get(collector->reader, slot, extent, &row);
	*ret_is_garbage = err == ERR_NOT_FOUND;
	if (err == ERR_OK && !index_shard_belongs(census->ring, slot, &row, index, census->drive))
		return is_stray(collector, census, slot, &row, index, ret_is_garbage);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Goes on with the next drive. One that is fenced has its census when it is back. */
static void end_drive_census(struct collector *collector, enum err err)
{
	struct store *store = collector->store->store;
	if (err)
		trace_event(store->trace, TRACE_WARNING, 0,
			"census: drive %u could not be listed to its end: %s; it is looked at "
			"again after the next start",
			store->drives[collector->census_drive].number, err_text(err));
	collector->census_drive++;
	collector->census_extent = (struct extent_id){0, 0};
	collector->census_index = 0;
	collector->census_tries = 0;
}

/* Looks shards of a drive up, and frees those that nothing names. */
static enum err judge_shards(struct collector *collector, struct drive *drive,
	struct ring_snapshot *ring, const struct shard_entry *entries, size_t count)
{
	struct store *store = collector->store->store;
	struct census census = {
		.drive = store->drives[collector->census_drive].number, .ring = ring};
	enum err err = index_view_begin(collector->reader);
	if (err)
		return err;
	for (size_t i = 0; err == ERR_OK && i < count; i++) {
		bool garbage;
		err = is_garbage(collector, &census, entries[i].extent, entries[i].index, &garbage);
		if (err == ERR_OK && garbage) {
			struct site site = {.number = census.drive, .drive = drive};
			collect_free_shard(collector, &site, entries[i].extent, entries[i].index);
			collector->counters.census_freed++;
		}
	}
	index_view_end(collector->reader);
	ring_snapshot_unref(census.seen);
	return err;
}

/* Lists and judges one batch of a drive's shards. */
static enum err census_batch(struct collector *collector, struct ring_snapshot *ring)
{
	struct store *store = collector->store->store;
	uint16_t number = store->drives[collector->census_drive].number;
	struct drive *drive = store_drive(store, number);
	struct shard_entry entries[COLLECT_CENSUS_BATCH];
	size_t count = 0;
	enum err err = ERR_OK;
	if (drive)
		err = drive_list(drive, collector->census_extent, collector->census_index, entries,
			COLLECT_CENSUS_BATCH, &count);
	bool is_up = drive && drive_state(drive) == DRIVE_UP;
	if (err && is_up && ++collector->census_tries < COLLECT_CENSUS_TRIES)
		return err;
	if (err || count == 0) {
		end_drive_census(collector, err);
		return ERR_OK;
	}
	err = judge_shards(collector, drive, ring, entries, count);
	if (err)
		return err; /* the same batch again, later */
	collector->census_tries = 0;
	collector->counters.census_shards += count;
	collector->census_extent = entries[count - 1].extent;
	collector->census_index = entries[count - 1].index + 1;
	return err;
}

void collect_begin_census(struct collector *collector)
{
	collector->state = COLLECT_CENSUS;
	collector->census_due_ms = 0;
	collector->census_drive = 0;
	collector->is_unsettled_left = false;
	if (collector->again_ms == 0)
		collector->unsettled_count = 0;
	collect_look_later(collector, 0);
}

/* The node that is alone has freed itself what it did not enter; others may have been cut off. */
static void end_census(struct collector *collector)
{
	struct store_loop *store = collector->store;
	struct collect_counters *counters = &collector->counters;
	trace_event(store->store->trace, TRACE_INFO, 0,
		"census: %lu shards on the drives, %lu without an owner were freed",
		(unsigned long)counters->census_shards, (unsigned long)counters->census_freed);
	collector->state = COLLECT_IDLE;
	if (store->peers && collector->is_unsettled_left && collector->census_due_ms == 0) {
		collector->again_ms = collector->again_ms == 0 ? COLLECT_CENSUS_AGAIN_MS
							       : 2 * collector->again_ms;
		if (collector->again_ms > COLLECT_CENSUS_AGAIN_MS_MAX)
			collector->again_ms = COLLECT_CENSUS_AGAIN_MS_MAX;
		collector->census_due_ms = loop_now_ms(store->loop) + collector->again_ms;
	}
	collect_look_later(collector, 0);
}

void collect_advance_census(struct collector *collector)
{
	if (!collect_has_slots(collector, COLLECT_CENSUS_BATCH))
		return;
	if (collector->census_drive == collector->store->store->drive_count) {
		end_census(collector);
		return;
	}
	struct ring_snapshot *snapshot = index_ring(collector->store->store->index);
	if (!snapshot) {
		collect_look_later(collector, COLLECT_IDLE_MS);
		return;
	}
	enum err err = census_batch(collector, snapshot);
	ring_snapshot_unref(snapshot);
	collect_look_later(collector, err ? COLLECT_IDLE_MS : COLLECT_CENSUS_PAUSE_MS);
}
