/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/collect.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/repair/collect_priv.h"
#include "storage/repair/duty.h"
#include "storage/repair/places.h"
#include "storage/shard/owed.h"

/* Frees that one extent may need: all shards, wherever they may be. */
#define PIECE_FREES_MAX (ROW_SHARDS_MAX * PLACES_MAX)
static_assert(PIECE_FREES_MAX <= COLLECT_FREES_MAX, "an extent's shards can be freed");

static void advance(struct collector *collector);

void collect_look_later(struct collector *collector, uint64_t delay_ms)
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
		collect_look_later(collector, 0);
}

bool collect_has_slots(struct collector *collector, unsigned count)
{
	collector->is_waiting_for_slots = COLLECT_FREES_MAX - collector->frees_in_flight < count;
	return !collector->is_waiting_for_slots;
}

void collect_free_shard(struct collector *collector, const struct site *site,
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

/* --- the queue -------------------------------------------------------------------------------- */

static void proposal_done(struct index_proposal *proposal)
{
	struct collector *collector = CONTAINER_OF(proposal, struct collector, proposal);
	const struct collect_item *item = &collector->round[collector->round_at];
	assert(collector->is_proposed);
	collector->is_proposed = false;
	if (proposal->err ||
		(proposal->result.code != COMMAND_OK && proposal->result.code != COMMAND_NO_BODY)) {
		collector->state = COLLECT_IDLE;
		collect_look_later(collector, COLLECT_IDLE_MS);
		return;
	}
	if (proposal->result.count == 0) { /* else there is another step */
		collector->counters.bodies += item->kind == GARBAGE_BODY;
		collector->counters.uploads += item->kind == GARBAGE_UPLOAD;
		collector->round_at++;
	}
	collect_look_later(collector, 0);
}

static void advance_proposing(struct collector *collector)
{
	if (collector->is_proposed)
		return;
	if (collector->round_at == collector->round_count) {
		collector->state = COLLECT_IDLE;
		collect_look_later(collector, 0);
		return;
	}
	const struct collect_item *item = &collector->round[collector->round_at];
	struct command command = {.type = COMMAND_GARBAGE_DONE};
	command.garbage_done.log_index = item->log_index;
	command.garbage_done.kind = item->kind;
	command.garbage_done.id = item->id;
	collector->proposal.loop = collector->store->loop;
	collector->proposal.bytes = collector->command;
	collector->proposal.done = proposal_done;
	enum err err = command_encode(
		&command, collector->command, sizeof collector->command, &collector->proposal.len);
	assert(err == ERR_OK);
	collector->is_proposed = true;
	index_propose(collector->store->store->index, &collector->proposal);
}

static void free_if_there(
	struct collector *collector, uint16_t number, struct extent_id extent, uint8_t index)
{
	struct site site;
	reach_find(collector->store, number, &site);
	if (site_is_there(&site))
		collect_free_shard(collector, &site, extent, index);
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

/* Frees the shards of the next extents of the item that the round is at, as many as there are slots
 * for; goes on with the next item when all are under way. */
static enum err free_extents(struct collector *collector)
{
	const struct collect_item *item = &collector->round[collector->round_at];
	struct row_body body = {0};
	enum err err = item->kind == GARBAGE_BODY
		? index_body_get(collector->reader, item->id, &body)
		: ERR_NOT_FOUND;
	while (err == ERR_OK && body.kind == BODY_EXTENTS) {
		if (!collect_has_slots(collector, PIECE_FREES_MAX))
			return ERR_OK;
		struct index_piece piece;
		err = index_piece_find(collector->reader, item->id, collector->next_offset, &piece);
		if (err == ERR_OK)
			err = free_piece(collector, &piece);
		if (err == ERR_OK)
			collector->next_offset = piece.start + piece.len;
	}
	if (err && err != ERR_NOT_FOUND)
		return err;
	collector->round_at++;
	collector->next_offset = 0;
	return ERR_OK;
}

static enum err free_round(struct collector *collector)
{
	enum err err = index_view_begin(collector->reader);
	if (err)
		return err;
	err = look_for_leftovers(collector);
	collector->is_waiting_for_slots = false;
	while (err == ERR_OK && collector->round_at < collector->round_count &&
		!collector->is_waiting_for_slots)
		err = free_extents(collector);
	index_view_end(collector->reader);
	return err;
}

static void advance_freeing(struct collector *collector)
{
	enum err err = ERR_OK;
	if (collector->round_at < collector->round_count)
		err = free_round(collector);
	if (err) {
		collector->state = COLLECT_IDLE;
		collect_look_later(collector, COLLECT_IDLE_MS);
	} else if (collector->round_at == collector->round_count &&
		collector->remote_frees_in_flight == 0) {
		collector->state = COLLECT_PROPOSING; /* (C3) */
		collector->round_at = 0;
		advance_proposing(collector);
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
		collect_look_later(collector, 0);
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
	struct duty duty;
	enum err err = duty_look(collector->store, &duty);
	*ret_is_mine = duty.is_mine;
	if (!collector->store->peers)
		return err;
	uint64_t index = atomic_load(&collector->store->store->census_index);
	bool is_asked = index > collector->census_asked &&
		index <= index_view_index(collector->reader);
	if (is_asked || duty.sessions_sum != collector->sessions_sum) {
		collector->census_due_ms = loop_now_ms(collector->store->loop) +
			COLLECT_CENSUS_DELAY_MS;
		collector->again_ms = 0;
	}
	if (is_asked)
		collector->census_asked = index;
	collector->sessions_sum = duty.sessions_sum;
	return err;
}

/* Takes the oldest garbage that no get can still want. ERR_BUSY: it is too early. */
static enum err fill_round(struct collector *collector)
{
	uint64_t read_low;
	struct index_garbage garbage = {0};
	collector->round_count = 0;
	enum err err = index_read_low(collector->reader, &read_low);
	while (err == ERR_OK && collector->round_count < COLLECT_ROUND) {
		err = index_garbage_next(
			collector->reader, garbage.log_index, garbage.kind, garbage.id, &garbage);
		if (err == ERR_OK && garbage.log_index >= read_low) {
			collector->waits_for = garbage.log_index;
			err = ERR_BUSY;
		}
		if (err == ERR_OK)
			collector->round[collector->round_count++] = (struct collect_item){
				.log_index = garbage.log_index,
				.id = garbage.id,
				.kind = garbage.kind};
	}
	return collector->round_count > 0 ? ERR_OK : err;
}

static enum err take_garbage(struct collector *collector)
{
	bool is_mine;
	enum err err = index_view_begin(collector->reader);
	if (err)
		return err;
	err = look_at_nodes(collector, &is_mine);
	if (err == ERR_OK)
		err = fill_round(collector);
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
		collect_begin_census(collector);
		return;
	}
	if (err == ERR_BUSY) /* what we hold may have been given up since it was last reported */
		err_ignore(index_report_past(collector->store->store->index, collector->waits_for));
	if (err) {
		collect_look_later(collector, err == ERR_BUSY ? 50 : COLLECT_IDLE_MS);
		return;
	}
	collector->state = COLLECT_FREEING;
	collector->round_at = 0;
	collector->next_offset = 0;
	advance_freeing(collector);
}

/* (C7) */
static bool is_held(struct collector *collector)
{
	if (index_view_begin(collector->reader) != ERR_OK)
		return true;
	bool is_held = index_is_held(collector->reader);
	index_view_end(collector->reader);
	return is_held;
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
		collect_look_later(collector, COLLECT_IDLE_MS);
		return;
	}
	switch (collector->state) {
	case COLLECT_IDLE:
		advance_idle(collector);
		return;
	case COLLECT_CENSUS:
		collect_advance_census(collector);
		return;
	case COLLECT_FREEING:
		advance_freeing(collector);
		return;
	case COLLECT_PROPOSING:
		advance_proposing(collector);
		return;
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
	collect_look_later(collector, 0);
	return ERR_OK;
}

void collect_stop(struct collector *collector, void (*stopped)(struct collector *collector))
{
	collector->is_stopping = true;
	collector->stopped = stopped;
	collect_look_later(collector, 0);
}
