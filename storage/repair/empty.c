/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/empty.h"

#include <assert.h>
#include <string.h>

void empty_init(
	struct emptier *emptier, struct store_loop *store, void (*changed)(struct emptier *emptier))
{
	memset(emptier, 0, sizeof *emptier);
	emptier->store = store;
	emptier->changed = changed;
	for (unsigned i = 0; i < EMPTY_FREES_MAX; i++)
		emptier->frees[i].emptier = emptier;
}

static void set_state(struct emptier *emptier, enum empty_state state)
{
	assert(emptier->frees_in_flight == 0 || state == EMPTY_FREEING);
	emptier->state = state;
}

/* --- which ------------------------------------------------------------------------------------ */

static bool is_mine(const struct emptier *emptier, uint16_t drive)
{
	return store_drive(emptier->store->store, drive) != NULL;
}

/* Takes those of one drive that no get can want (X1): of the first behind the last one that has
 * any, or the first of all. Errors: ERR_NOT_FOUND, there are none; ERR_BUSY, it is too early. */
static enum err choose_leftovers(struct emptier *emptier)
{
	struct index_reader *reader = emptier->store->reader;
	struct index_leftover found;
	uint64_t read_low;
	uint32_t drive = UINT32_MAX;
	bool is_early = false;
	enum err err = index_read_low(reader, &read_low);
	uint32_t slot = 0, shard = 0, from = 0;
	emptier->leftover_count = 0;
	emptier->waits_for = UINT64_MAX;
	while (err == ERR_OK &&
		(err = index_leftover_next(reader, slot, shard, from, &found)) == ERR_OK) {
		slot = found.slot;
		shard = found.shard;
		from = found.drive + 1u;
		if (from > UINT16_MAX) {
			shard++;
			from = 0;
		}
		bool is_old = found.row.since < read_low;
		is_early |= !is_old; /* also those of others wait for what we read */
		if (!is_old && found.row.since < emptier->waits_for)
			emptier->waits_for = found.row.since;
		uint32_t rank = (uint16_t)(found.drive - emptier->drive - 1u);
		if (!is_old || !is_mine(emptier, found.drive) || rank > drive)
			continue;
		if (rank < drive)
			emptier->leftover_count = 0;
		drive = rank;
		if (emptier->leftover_count < EMPTY_LEFTOVERS_MAX)
			emptier->leftovers[emptier->leftover_count++] = (struct empty_leftover){
				.slot = slot, .shard = shard, .since = found.row.since};
	}
	if (err != ERR_NOT_FOUND)
		return err;
	if (emptier->leftover_count == 0)
		return is_early ? ERR_BUSY : ERR_NOT_FOUND;
	emptier->drive += drive + 1u;
	return ERR_OK;
}

static struct empty_leftover *find_leftover(struct emptier *emptier, uint16_t slot, uint8_t shard)
{
	unsigned low = 0, high = emptier->leftover_count;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		struct empty_leftover *leftover = &emptier->leftovers[middle];
		if (leftover->slot == slot && leftover->shard == shard)
			return leftover;
		if (leftover->slot < slot || (leftover->slot == slot && leftover->shard < shard))
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* --- freeing ---------------------------------------------------------------------------------- */

static void free_done(struct site_free *op, enum err err)
{
	struct empty_free *slot = CONTAINER_OF(op, struct empty_free, op);
	struct emptier *emptier = slot->emptier;
	assert(slot->is_used && emptier->frees_in_flight > 0);
	slot->is_used = false;
	emptier->frees_in_flight--;
	if (err)
		emptier->leftovers[slot->leftover].is_kept = true; /* (X3) */
	else
		emptier->freed++;
	emptier->changed(emptier);
}

static bool has_free(const struct emptier *emptier)
{
	return emptier->frees_in_flight < EMPTY_FREES_MAX;
}

static void free_shard(struct emptier *emptier, struct drive *drive,
	const struct shard_entry *entry, const struct empty_leftover *leftover)
{
	struct empty_free *slot = emptier->frees;
	while (slot->is_used)
		slot++;
	struct site site = {.number = emptier->drive, .drive = drive};
	slot->is_used = true;
	slot->leftover = leftover - emptier->leftovers;
	slot->op.loop = emptier->store->loop;
	slot->op.done = free_done;
	emptier->frees_in_flight++;
	site_free_start(&slot->op, &site, entry->extent, entry->index);
}

/* Is the shard of a leftover one that nothing names, and never will? */
static enum err is_garbage(struct emptier *emptier, const struct ring_snapshot *ring,
	const struct shard_entry *entry, struct empty_leftover *leftover, bool *ret_is)
{
	struct index_reader *reader = emptier->store->reader;
	struct row_extent row;
	enum err err = index_extent_get(reader, leftover->slot, entry->extent, &row);
	if (err == ERR_OK) {
		*ret_is = !index_shard_belongs(
			ring, leftover->slot, &row, entry->index, emptier->drive);
		return ERR_OK;
	}
	if (err != ERR_NOT_FOUND)
		return err;
	err = index_extent_is_settled(reader, entry->extent, ret_is);
	leftover->is_kept |= err == ERR_OK && !*ret_is; /* (X2) */
	return err;
}

/* Looks at what was listed, as far as there is room to free. Under a view. */
static enum err look_up(struct emptier *emptier, struct drive *drive,
	const struct shard_entry *entries, size_t count)
{
	struct ring_snapshot *ring = index_ring(emptier->store->store->index);
	const struct ring *table = ring_snapshot_ring(ring);
	enum err err = ERR_OK;
	for (size_t i = 0; err == ERR_OK && i < count && has_free(emptier); i++) {
		struct empty_leftover *leftover = find_leftover(
			emptier, ring_slot(table, entries[i].extent), entries[i].index);
		bool is = false;
		if (leftover)
			err = is_garbage(emptier, ring, &entries[i], leftover, &is);
		if (err)
			break;
		if (is)
			free_shard(emptier, drive, &entries[i], leftover);
		emptier->extent = entries[i].extent;
		emptier->index = entries[i].index + 1;
	}
	ring_snapshot_unref(ring);
	return err;
}

/* --- deciding --------------------------------------------------------------------------------- */

static void end_pass(struct emptier *emptier)
{
	emptier->not_before_ms = loop_now_ms(emptier->store->loop) + EMPTY_PAUSE_MS;
	set_state(emptier, EMPTY_IDLE);
}

static bool begin_pass(struct emptier *emptier)
{
	if (emptier->is_stopping || loop_now_ms(emptier->store->loop) < emptier->not_before_ms ||
		index_view_begin(emptier->store->reader) != ERR_OK)
		return false;
	enum err err = index_is_held(emptier->store->reader) ? ERR_NOT_FOUND
							     : choose_leftovers(emptier);
	index_view_end(emptier->store->reader);
	if (err == ERR_BUSY)
		err_ignore(index_report_past(
			emptier->store->store->index, emptier->waits_for)); /* it may wait for us */
	if (err)
		return false;
	emptier->extent = (struct extent_id){0, 0};
	emptier->index = 0;
	set_state(emptier, EMPTY_LISTING);
	return true;
}

static bool list_shards(struct emptier *emptier)
{
	struct drive *drive = store_drive(emptier->store->store, emptier->drive);
	struct shard_entry entries[EMPTY_BATCH];
	size_t count = 0;
	if (!drive || emptier->is_stopping) {
		emptier->leftover_count = 0; /* nothing is struck off */
		set_state(emptier, EMPTY_FREEING);
		return true;
	}
	if (!has_free(emptier))
		return false;
	enum err err = drive_list(
		drive, emptier->extent, emptier->index, entries, EMPTY_BATCH, &count);
	if (err == ERR_OK && count == 0) {
		set_state(emptier, EMPTY_FREEING);
		return true;
	}
	if (err == ERR_OK && (err = index_view_begin(emptier->store->reader)) == ERR_OK) {
		err = look_up(emptier, drive, entries, count);
		index_view_end(emptier->store->reader);
	}
	if (err)
		emptier->leftover_count = 0;
	if (err)
		set_state(emptier, EMPTY_FREEING);
	return true;
}

static void proposal_done(struct index_proposal *proposal)
{
	struct emptier *emptier = CONTAINER_OF(proposal, struct emptier, proposal);
	assert(emptier->is_proposed);
	emptier->is_proposed = false;
	bool is_good = proposal->err == ERR_OK && proposal->result.code == COMMAND_OK;
	if (is_good)
		emptier->emptied += emptier->proposed_to - emptier->proposed_from;
	/* What was refused is newer now, and looked at in another pass. */
	emptier->proposed_from = emptier->proposed_to;
	emptier->changed(emptier);
}

static bool propose_emptied(struct emptier *emptier)
{
	uint8_t list[EMPTY_PROPOSE_MAX * 32];
	struct fields_out out = {.data = list, .cap = sizeof list};
	unsigned count = 0, i = emptier->proposed_from;
	for (; i < emptier->leftover_count && count < EMPTY_PROPOSE_MAX; i++) {
		const struct empty_leftover *leftover = &emptier->leftovers[i];
		if (leftover->is_kept)
			continue;
		struct command_ring_move item = {.slot = leftover->slot,
			.shard = leftover->shard,
			.drive = emptier->drive,
			.since = leftover->since};
		command_ring_move_append(&out, &item);
		count++;
	}
	emptier->proposed_to = i;
	if (count == 0)
		return false;
	assert(!out.is_full);
	struct command command = {.type = COMMAND_MOVE_EMPTIED};
	command.move_emptied.leftovers = bytes_make(list, out.len);
	emptier->proposal = (struct index_proposal){
		.loop = emptier->store->loop, .bytes = emptier->command, .done = proposal_done};
	enum err err = command_encode(
		&command, emptier->command, sizeof emptier->command, &emptier->proposal.len);
	assert(err == ERR_OK);
	emptier->is_proposed = true;
	index_propose(emptier->store->store->index, &emptier->proposal);
	return true;
}

bool empty_advance(struct emptier *emptier)
{
	switch (emptier->state) {
	case EMPTY_IDLE:
		return begin_pass(emptier);
	case EMPTY_LISTING:
		return list_shards(emptier);
	case EMPTY_FREEING:
		if (emptier->frees_in_flight > 0)
			return false;
		emptier->proposed_from = 0;
		set_state(emptier, EMPTY_PROPOSING);
		return true;
	case EMPTY_PROPOSING:
		if (emptier->is_proposed)
			return false;
		if (!emptier->is_stopping && propose_emptied(emptier))
			return false;
		end_pass(emptier);
		return false;
	}
	return false;
}

void empty_stop(struct emptier *emptier)
{
	emptier->is_stopping = true;
}
