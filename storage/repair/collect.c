/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/collect.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/repair/places.h"

#include "storage/shard/owed.h"

/* Frees that one extent may need: all shards, wherever they may be. */
#define PIECE_FREES_MAX (ROW_SHARDS_MAX * PLACES_MAX)
static_assert(PIECE_FREES_MAX <= COLLECT_FREES_MAX, "an extent's shards can be freed");

static void advance(struct collector *collector);

static void look_later(struct collector *collector, uint64_t delay_ms)
{
	timer_set(collector->store->loop, &collector->timer, delay_ms);
}

static void timer_fired(struct timer *timer)
{
	advance(CONTAINER_OF(timer, struct collector, timer));
}

/* --- freeing shards --------------------------------------------------------------------------- */

/* It was asked in time and did not answer: it is asked until it does. */
static void owe(struct collector *collector, const struct collect_free *slot)
{
	struct site site;
	reach_find(collector->store, slot->drive, &site);
	if (!site_is_remote(&site) ||
		!owed_take(collector->store->owed, &site, slot->extent, slot->index))
		reach_missed(collector->store, slot->drive);
}

static void free_done(struct site_free *op, enum err err)
{
	struct collect_free *slot = CONTAINER_OF(op, struct collect_free, op);
	struct collector *collector = slot->collector;
	assert(collector->frees_in_flight > 0);
	slot->next = collector->free_slots;
	collector->free_slots = slot;
	collector->frees_in_flight--;
	collector->remote_frees_in_flight -= op->is_remote;
	if (err == ERR_TIMEOUT)
		owe(collector, slot);
	else if (err && op->is_remote)
		reach_missed(collector->store, slot->drive);
	if (err)
		collector->counters.free_errors++;
	else
		collector->counters.shards_freed++;
	bool is_told = op->is_remote && collector->remote_frees_in_flight == 0;
	if (collector->is_waiting_for_slots || collector->is_stopping || is_told)
		look_later(collector, 0);
}

static bool has_slots(struct collector *collector, unsigned count)
{
	collector->is_waiting_for_slots = COLLECT_FREES_MAX - collector->frees_in_flight < count;
	return !collector->is_waiting_for_slots;
}

static void free_shard(struct collector *collector, const struct site *site,
	struct extent_id extent, uint8_t index)
{
	struct collect_free *slot = collector->free_slots;
	assert(slot);
	collector->free_slots = slot->next;
	slot->collector = collector;
	slot->drive = site->number;
	slot->extent = extent;
	slot->index = index;
	slot->op.loop = collector->store->loop;
	slot->op.done = free_done;
	collector->frees_in_flight++;
	collector->remote_frees_in_flight += site_is_remote(site);
	site_free_start(&slot->op, site, extent, index);
}

/* --- the census ------------------------------------------------------------------------------- */

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
			free_shard(collector, &site, entries[i].extent, entries[i].index);
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

static void begin_census(struct collector *collector)
{
	collector->state = COLLECT_CENSUS;
	collector->census_due_ms = 0;
	collector->census_drive = 0;
	collector->is_unsettled_left = false;
	if (collector->again_ms == 0)
		collector->unsettled_count = 0;
	look_later(collector, 0);
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
	look_later(collector, 0);
}

static void advance_census(struct collector *collector)
{
	if (!has_slots(collector, COLLECT_CENSUS_BATCH))
		return;
	if (collector->census_drive == collector->store->store->drive_count) {
		end_census(collector);
		return;
	}
	struct ring_snapshot *snapshot = index_ring(collector->store->store->index);
	if (!snapshot) {
		look_later(collector, COLLECT_IDLE_MS);
		return;
	}
	enum err err = census_batch(collector, snapshot);
	ring_snapshot_unref(snapshot);
	look_later(collector, err ? COLLECT_IDLE_MS : COLLECT_CENSUS_PAUSE_MS);
}

/* --- the queue -------------------------------------------------------------------------------- */

static void proposal_done(struct index_proposal *proposal)
{
	struct collector *collector = CONTAINER_OF(proposal, struct collector, proposal);
	assert(collector->is_proposed);
	collector->is_proposed = false;
	collector->state = COLLECT_IDLE;
	bool is_fine = proposal->err == ERR_OK &&
		(proposal->result.code == COMMAND_OK || proposal->result.code == COMMAND_NO_BODY);
	if (is_fine && proposal->result.count == 0) {
		collector->counters.bodies += collector->garbage.kind == GARBAGE_BODY;
		collector->counters.uploads += collector->garbage.kind == GARBAGE_UPLOAD;
	}
	look_later(collector, is_fine ? 0 : COLLECT_IDLE_MS);
}

static void propose_step(struct collector *collector)
{
	struct command command = {.type = COMMAND_GARBAGE_DONE};
	command.garbage_done.log_index = collector->garbage.log_index;
	command.garbage_done.kind = collector->garbage.kind;
	command.garbage_done.id = collector->garbage.id;
	collector->proposal.loop = collector->store->loop;
	collector->proposal.bytes = collector->command;
	collector->proposal.done = proposal_done;
	enum err err = command_encode(
		&command, collector->command, sizeof collector->command, &collector->proposal.len);
	assert(err == ERR_OK);
	collector->state = COLLECT_PROPOSING;
	collector->is_proposed = true;
	index_propose(collector->store->store->index, &collector->proposal);
}

static void free_if_there(
	struct collector *collector, uint16_t number, struct extent_id extent, uint8_t index)
{
	struct site site;
	reach_find(collector->store, number, &site);
	if (site_is_there(&site))
		free_shard(collector, &site, extent, index);
	else
		reach_missed(collector->store, number);
}

/* Frees an extent's shards wherever they may be. */
static enum err free_piece(struct collector *collector, const struct index_piece *piece)
{
	struct ring_snapshot *snapshot = index_ring(collector->store->store->index);
	if (!snapshot)
		return ERR_UNAVAILABLE;
	unsigned count = piece->row.k + piece->row.m;
	enum err err = ERR_OK;
	assert(count <= ROW_SHARDS_MAX);
	for (unsigned i = 0; err == ERR_OK && i < count; i++) {
		struct places places;
		err = places_find(
			collector->reader, snapshot, piece, i, collector->has_leftovers, &places);
		for (unsigned j = 0; err == ERR_OK && j < places.count; j++)
			free_if_there(collector, places.drives[j], piece->extent, i);
	}
	ring_snapshot_unref(snapshot);
	return err;
}

/* Has any move left shards behind? Asked once for many extents. */
static enum err look_for_leftovers(struct collector *collector)
{
	struct index_leftover left;
	enum err err = index_leftover_next(collector->reader, 0, 0, 0, &left);
	if (err && err != ERR_NOT_FOUND)
		return err;
	collector->has_leftovers = err == ERR_OK;
	return ERR_OK;
}

/* Frees the shards of the body's next extents, as many as there are slots for. Sets is_body_freed
 * when those of its first row of pieces are under way. */
static enum err free_extents(struct collector *collector)
{
	struct row_body body;
	enum err err = index_body_get(collector->reader, collector->garbage.id, &body);
	if (err == ERR_NOT_FOUND || (err == ERR_OK && body.kind != BODY_EXTENTS)) {
		collector->is_body_freed = true;
		return ERR_OK;
	}
	if (err == ERR_OK)
		err = look_for_leftovers(collector);
	while (err == ERR_OK && has_slots(collector, PIECE_FREES_MAX)) {
		struct index_piece piece;
		err = index_piece_find(
			collector->reader, collector->garbage.id, collector->next_offset, &piece);
		if (err == ERR_NOT_FOUND) {
			collector->is_body_freed = true;
			return ERR_OK;
		}
		if (err == ERR_OK)
			err = free_piece(collector, &piece);
		if (err == ERR_OK)
			collector->next_offset = piece.start + piece.len;
	}
	return err;
}

static void advance_freeing(struct collector *collector)
{
	enum err err = ERR_OK;
	if (!collector->is_body_freed) {
		err = index_view_begin(collector->reader);
		if (err == ERR_OK) {
			err = free_extents(collector);
			index_view_end(collector->reader);
		}
	}
	if (err) {
		collector->state = COLLECT_IDLE;
		look_later(collector, COLLECT_IDLE_MS);
	} else if (collector->is_body_freed && collector->remote_frees_in_flight == 0) {
		propose_step(collector); /* (C3) */
	}
}

/* Others look for what this node's puts left behind on their drives, and can tell only by its
 * report. */
static void report_to_others(struct collector *collector)
{
	struct index *index = collector->store->store->index;
	uint64_t now_ms = loop_now_ms(collector->store->loop);
	if (now_ms < collector->report_ms + COLLECT_REPORT_MS || !index_report_is_due(index))
		return;
	collector->report_ms = now_ms;
	err_ignore(index_report(index));
}

static void asked(struct peer_call *call)
{
	struct collector *collector = CONTAINER_OF(call, struct collector, ask);
	collector->is_asking = false;
	if (call->err != ERR_OK || call->answer_err != ERR_OK)
		reach_missed_node(collector->store->store, call->node); /* later */
	if (collector->is_stopping)
		look_later(collector, 0);
}

/* Takes out a node that missed something and is linked. */
static bool take_missed(struct collector *collector, struct id *ret_node)
{
	struct missed *missed = &collector->store->store->missed;
	bool is_found = false;
	pthread_mutex_lock(&missed->lock);
	for (unsigned i = 0; i < missed->count && !is_found; i++) {
		struct peer_info info;
		peer_info(collector->store->peers, missed->nodes[i], &info);
		if (!info.is_linked)
			continue;
		is_found = true;
		*ret_node = missed->nodes[i];
		missed->nodes[i] = missed->nodes[--missed->count];
	}
	pthread_mutex_unlock(&missed->lock);
	return is_found;
}

/* Asks a node that missed something to look for it; when no step is being done, so that the index
 * of now has what it missed. */
static void ask_missed(struct collector *collector)
{
	struct id node;
	if (collector->is_asking || index_view_begin(collector->reader) != ERR_OK)
		return;
	put_le64(collector->ask_head, index_view_index(collector->reader));
	index_view_end(collector->reader);
	if (!take_missed(collector, &node))
		return;
	collector->ask = (struct peer_call){
		.node = node,
		.kind = PEER_SHARD_CENSUS,
		.deadline_ms = REMOTE_DEADLINE_MS,
		.head = {collector->ask_head, SHARD_CENSUS_LEN},
		.done = asked,
	};
	collector->is_asking = true;
	peer_call_start(collector->store->peers, &collector->ask);
}

/* Looks at who is there: whether the queue is this node's, and whether nodes came or went (C5). */
static enum err look_at_nodes(struct collector *collector, bool *ret_is_mine)
{
	struct peers *peers = collector->store->peers;
	*ret_is_mine = true;
	if (!peers)
		return ERR_OK;
	uint64_t sum = 0, from = 0, session;
	struct row_session row;
	enum err err;
	while ((err = index_session_next(collector->reader, from, &session, &row)) == ERR_OK) {
		sum += session;
		from = session + 1;
		struct peer_info info;
		if (memcmp(&row.node, &peers->self, sizeof row.node) >= 0)
			continue;
		peer_info(peers, row.node, &info);
		if (info.is_linked)
			*ret_is_mine = false;
	}
	uint64_t index = atomic_load(&collector->store->store->census_index);
	bool is_asked = index > collector->census_asked &&
		index <= index_view_index(collector->reader);
	if (is_asked || sum != collector->sessions_sum) {
		collector->census_due_ms = loop_now_ms(collector->store->loop) +
			COLLECT_CENSUS_DELAY_MS;
		collector->again_ms = 0;
	}
	if (is_asked)
		collector->census_asked = index;
	collector->sessions_sum = sum;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Takes the oldest garbage that no get can still want. ERR_BUSY: it is too early. */
static enum err take_garbage(struct collector *collector)
{
	uint64_t read_low;
	bool is_mine;
	enum err err = index_view_begin(collector->reader);
	if (err)
		return err;
	err = look_at_nodes(collector, &is_mine);
	if (err == ERR_OK)
		err = index_garbage_next(collector->reader, 0, 0, 0, &collector->garbage);
	if (err == ERR_OK)
		err = index_read_low(collector->reader, &read_low);
	if (err == ERR_OK && collector->garbage.log_index >= read_low)
		err = ERR_BUSY;
	index_view_end(collector->reader);
	return err == ERR_OK && !is_mine ? ERR_NOT_FOUND : err;
}

static void advance_idle(struct collector *collector)
{
	if (collector->store->peers) {
		report_to_others(collector);
		ask_missed(collector);
	}
	enum err err = take_garbage(collector);
	if (err && collector->census_due_ms != 0 &&
		loop_now_ms(collector->store->loop) >= collector->census_due_ms) {
		begin_census(collector);
		return;
	}
	if (err == ERR_BUSY) {
		/* What we hold may have been given up since it was last reported. */
		err_ignore(index_report(collector->store->store->index));
	}
	if (err) {
		look_later(collector, err == ERR_BUSY ? 50 : COLLECT_IDLE_MS);
		return;
	}
	collector->state = COLLECT_FREEING;
	collector->next_offset = 0;
	collector->is_body_freed = collector->garbage.kind != GARBAGE_BODY;
	advance_freeing(collector);
}

/* Is collection held up (C7)? As long as that cannot be read it is. */
static bool is_held(struct collector *collector)
{
	struct bytes value;
	if (index_view_begin(collector->reader) != ERR_OK)
		return true;
	enum err err = index_setting_get(collector->reader, bytes_of(COMMAND_SETTING_HELD), &value);
	index_view_end(collector->reader);
	return err != ERR_NOT_FOUND;
}

static void advance(struct collector *collector)
{
	if (collector->is_stopping) {
		if (collector->frees_in_flight > 0 || collector->is_proposed ||
			collector->is_asking)
			return;
		collector->state = COLLECT_STOPPED;
		timer_cancel(collector->store->loop, &collector->timer);
		free(collector->frees);
		collector->frees = NULL;
		collector->stopped(collector);
		return;
	}
	if (collector->state <= COLLECT_CENSUS && is_held(collector)) {
		look_later(collector, COLLECT_IDLE_MS);
		return;
	}
	switch (collector->state) {
	case COLLECT_IDLE:
		advance_idle(collector);
		return;
	case COLLECT_CENSUS:
		advance_census(collector);
		return;
	case COLLECT_FREEING:
		advance_freeing(collector);
		return;
	case COLLECT_PROPOSING:
	case COLLECT_STOPPED:
		return;
	}
}

enum err collect_start(struct collector *collector, struct store_loop *store)
{
	memset(collector, 0, sizeof *collector);
	collector->frees = calloc(COLLECT_FREES_MAX, sizeof *collector->frees);
	if (!collector->frees)
		return ERR_NO_MEMORY;
	for (unsigned i = 0; i < COLLECT_FREES_MAX; i++) {
		collector->frees[i].next = collector->free_slots;
		collector->free_slots = &collector->frees[i];
	}
	collector->store = store;
	collector->reader = store->reader;
	collector->timer.fire = timer_fired;
	collector->state = COLLECT_CENSUS;
	look_later(collector, 0);
	return ERR_OK;
}

void collect_stop(struct collector *collector, void (*stopped)(struct collector *collector))
{
	collector->is_stopping = true;
	collector->stopped = stopped;
	look_later(collector, 0);
}
