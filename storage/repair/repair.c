/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/repair.h"

#include <assert.h>
#include <string.h>

void repair_init(struct repair *repair, struct crew *crew)
{
	memset(repair, 0, sizeof *repair);
	repair->crew = crew;
}

static struct index_reader *reader_of(const struct repair *repair)
{
	return repair->crew->store->reader;
}

static void move(struct repair *repair, enum repair_state state)
{
	assert(repair->state != state);
	repair->state = state;
}

/* --- scanning --------------------------------------------------------------------------------- */

static bool is_reachable(const struct repair *repair, uint16_t drive)
{
	struct site site;
	reach_find(repair->crew->store, drive, &site);
	return site_is_there(&site);
}

/* Shards that can be read now. */
static unsigned count_present(const struct repair *repair, const struct rebuild_extent *extent)
{
	unsigned count = 0;
	for (unsigned i = 0; i < extent->geometry.k + extent->geometry.m; i++)
		count += is_reachable(repair, extent->places[i][0]) ||
			is_reachable(repair, extent->places[i][1]);
	return count;
}

/* Is it said by a move that has yet to come by, so that it will end with that one? */
static bool is_movers(const struct ring_snapshot *ring, const struct rebuild_extent *extent,
	const struct row_exception *exception)
{
	const struct ring_moving *moving = ring_snapshot_move(ring, extent->slot, exception->shard);
	return moving && moving->to == exception->drive &&
		!ring_moving_has_passed(moving, extent->id);
}

/* Can the shard be brought to where the ring wants it, now? */
static bool can_be_target(const struct repair *repair, const struct rebuild_extent *extent,
	const struct row_exception *exception, uint16_t goal, unsigned present)
{
	bool is_there = is_reachable(repair, extent->places[exception->shard][0]);
	return goal != 0 && is_reachable(repair, goal) &&
		(is_there || present >= extent->geometry.k);
}

static void take_extent(struct repair *repair, const struct ring_snapshot *ring,
	const struct rebuild_extent *extent, const struct row_extent *row, unsigned present)
{
	struct repair_item item = {
		.slot = extent->slot,
		.extent = extent->id,
		.body = row->body,
		.target_first = repair->target_count,
	};
	for (size_t i = 0; i < row_exception_count(row); i++) {
		struct row_exception exception = row_exception_at(row, i);
		if (is_movers(ring, extent, &exception))
			continue;
		uint16_t goal = ring_snapshot_goal(ring, extent->slot, exception.shard);
		if (!can_be_target(repair, extent, &exception, goal, present)) {
			repair->report.blocked++;
			continue;
		}
		repair->targets[repair->target_count++] = (struct repair_target){
			.shard = exception.shard, .from = exception.drive, .drive = goal};
	}
	item.target_count = repair->target_count - item.target_first;
	repair->report.lost += present < extent->geometry.k;
	if (item.target_count > 0)
		repair->items[repair->item_count++] = item;
}

static void scan_extent(
	struct repair *repair, const struct ring_snapshot *ring, const struct row_extent *row)
{
	struct rebuild_extent extent;
	enum err err = rebuild_extent_init(
		&extent, ring, repair->place.slot, repair->place.extent, row);
	if (err) {
		repair->report.blocked++;
		return;
	}
	unsigned present = count_present(repair, &extent);
	unsigned level = present > row->k ? present - row->k : 0;
	if (level == repair->level)
		take_extent(repair, ring, &extent, row, present);
	else if (level > repair->level && level < repair->level_next)
		repair->level_next = level;
}

static bool is_batch_full(const struct repair *repair)
{
	return repair->item_count == REPAIR_BATCH ||
		repair->target_count + ROW_SHARDS_MAX > REPAIR_BATCH_SHARDS;
}

/* Fills the batch. ERR_BUSY: there is more to be scanned; ERR_NOT_FOUND: the end of the level. */
static enum err scan(struct repair *repair)
{
	enum err err = index_view_begin(reader_of(repair));
	if (err)
		return err;
	struct ring_snapshot *ring = index_ring(repair->crew->store->store->index);
	for (unsigned left = REPAIR_SCAN_EXTENTS;
		left > 0 && err == ERR_OK && !is_batch_full(repair); left--) {
		struct row_extent row;
		err = index_exception_next(
			reader_of(repair), &repair->place, REPAIR_SCAN_ROWS, &row);
		if (err)
			break;
		scan_extent(repair, ring, &row);
		repair->place.extent.counter++;
	}
	ring_snapshot_unref(ring);
	index_view_end(reader_of(repair));
	return err == ERR_OK && !is_batch_full(repair) ? ERR_BUSY : err;
}

/* --- working ---------------------------------------------------------------------------------- */

static void job_done(struct crew_job *job, enum err err)
{
	struct repair *repair = job->owner;
	struct repair_target *target = &repair->targets[job->item];
	assert(repair->state == REPAIR_WORKING && target->is_started);
	target->is_good = err == ERR_OK;
	target->err = err;
	repair->targets_ended++;
}

static struct repair_item *item_of(struct repair *repair, unsigned target)
{
	struct repair_item *item = repair->items;
	while (target >= (unsigned)item->target_first + item->target_count)
		item++;
	return item;
}

/* Errors: ERR_NOT_FOUND, the extent is gone. */
static enum err start_target(
	struct repair *repair, const struct ring_snapshot *ring, unsigned number)
{
	struct repair_target *target = &repair->targets[number];
	const struct repair_item *item = item_of(repair, number);
	struct row_extent row;
	enum err err = index_extent_get(reader_of(repair), item->slot, item->extent, &row);
	if (err)
		return err;
	if (target->shard >= row.k + row.m)
		return ERR_CORRUPT;
	struct crew_order order = {
		.shard = target->shard,
		.drive = target->drive,
		.may_be_there = true,
		.may_copy = true,
		.body = item->body,
		.done = job_done,
		.owner = repair,
		.item = number,
		.work = CREW_REPAIR,
	};
	err = rebuild_extent_init(&order.extent, ring, item->slot, item->extent, &row);
	if (err)
		return err;
	target->is_started = true;
	crew_start(repair->crew, &order);
	return ERR_OK;
}

static void start_targets(struct repair *repair)
{
	if (repair->targets_started == repair->target_count || !crew_has_room(repair->crew) ||
		index_view_begin(reader_of(repair)) != ERR_OK)
		return;
	struct ring_snapshot *ring = index_ring(repair->crew->store->store->index);
	while (repair->targets_started < repair->target_count && crew_has_room(repair->crew)) {
		struct repair_target *target = &repair->targets[repair->targets_started];
		target->err = start_target(repair, ring, repair->targets_started++);
		repair->targets_ended += target->err != ERR_OK;
	}
	ring_snapshot_unref(ring);
	index_view_end(reader_of(repair));
}

/* --- telling the index ------------------------------------------------------------------------ */

static struct repair_target *find_target(
	struct repair *repair, const struct repair_item *item, uint8_t shard)
{
	for (unsigned i = 0; i < item->target_count; i++) {
		struct repair_target *target = &repair->targets[item->target_first + i];
		if (target->shard == shard && target->is_good && !target->is_dropped)
			return target;
	}
	return NULL;
}

/* Where a shard is when the command is done, as far as is certain; 0: nowhere, or on one of two. */
static uint16_t next_place(struct repair *repair, const struct repair_item *item,
	const struct rebuild_extent *extent, uint8_t shard)
{
	const struct repair_target *target = find_target(repair, item, shard);
	if (target)
		return target->drive;
	return extent->places[shard][1] == 0 ? extent->places[shard][0] : 0;
}

/* (E2) */
static bool is_taken(struct repair *repair, const struct repair_item *item,
	const struct rebuild_extent *extent, const struct repair_target *target)
{
	for (unsigned i = 0; i < extent->geometry.k + extent->geometry.m; i++)
		if (i != target->shard && next_place(repair, item, extent, i) == target->drive)
			return true;
	return false;
}

static bool is_still_wanted(const struct ring_snapshot *ring, const struct repair_item *item,
	const struct row_extent *row, const struct repair_target *target)
{
	for (size_t i = 0; i < row_exception_count(row); i++) {
		struct row_exception exception = row_exception_at(row, i);
		if (exception.shard == target->shard)
			return exception.drive == target->from &&
				ring_snapshot_goal(ring, item->slot, target->shard) ==
				target->drive;
	}
	return false;
}

/* Drops what the command would be refused for, as far as can be seen. */
static void check_item(
	struct repair *repair, const struct ring_snapshot *ring, const struct repair_item *item)
{
	struct row_extent row;
	struct rebuild_extent extent;
	enum err err = index_extent_get(reader_of(repair), item->slot, item->extent, &row);
	if (err == ERR_OK)
		err = rebuild_extent_init(&extent, ring, item->slot, item->extent, &row);
	for (unsigned i = 0; i < item->target_count; i++) {
		struct repair_target *target = &repair->targets[item->target_first + i];
		target->is_dropped = !target->is_good || err != ERR_OK ||
			!is_still_wanted(ring, item, &row, target);
	}
	for (unsigned i = 0; i < item->target_count && err == ERR_OK; i++) {
		struct repair_target *target = &repair->targets[item->target_first + i];
		if (target->is_dropped || !is_taken(repair, item, &extent, target))
			continue;
		target->is_dropped = true;
		i = -1; /* others may have counted on it */
	}
}

static void append_item(
	struct repair *repair, struct fields_out *out, const struct repair_item *item)
{
	for (unsigned i = 0; i < item->target_count; i++) {
		const struct repair_target *target = &repair->targets[item->target_first + i];
		struct command_shard_move shard_move = {
			.slot = item->slot,
			.extent = item->extent,
			.shard = target->shard,
			.from = target->from,
			.drive = target->drive,
		};
		if (!target->is_dropped)
			command_shard_move_append(out, &shard_move);
	}
}

static void proposal_done(struct index_proposal *proposal)
{
	struct repair *repair = CONTAINER_OF(proposal, struct repair, proposal);
	assert(repair->state == REPAIR_PROPOSING);
	bool is_good = proposal->err == ERR_OK && proposal->result.code == COMMAND_OK;
	unsigned count = repair->item_to - repair->item_from;
	for (unsigned i = repair->item_from; is_good && i < repair->item_to; i++)
		repair->report.extents++;
	if (is_good)
		repair->report.shards += proposal->result.count;
	repair->item_from = repair->item_to;
	if (!is_good && count > 1) {
		repair->is_single = true;
		repair->item_from = repair->item_to - count;
	}
	repair->is_proposed = false;
	repair->crew->changed(repair->crew);
}

static void propose(struct repair *repair, struct bytes moves)
{
	struct command command = {.type = COMMAND_EXTENT_UPDATE};
	command.extent_update.moves = moves;
	repair->proposal = (struct index_proposal){
		.loop = repair->crew->store->loop,
		.bytes = repair->command,
		.done = proposal_done,
	};
	enum err err = command_encode(
		&command, repair->command, sizeof repair->command, &repair->proposal.len);
	assert(err == ERR_OK);
	repair->is_proposed = true;
	index_propose(repair->crew->store->store->index, &repair->proposal);
}

/* The next items: all, or one by one after a batch was refused. False: there is no view now. */
static bool propose_items(struct repair *repair)
{
	uint8_t list[REPAIR_BATCH_SHARDS * 48];
	struct fields_out out = {.data = list, .cap = sizeof list};
	if (index_view_begin(reader_of(repair)) != ERR_OK)
		return false;
	struct ring_snapshot *ring = index_ring(repair->crew->store->store->index);
	while (out.len == 0 && repair->item_from < repair->item_count) {
		repair->item_to = repair->is_single ? repair->item_from + 1 : repair->item_count;
		for (unsigned i = repair->item_from; i < repair->item_to; i++) {
			check_item(repair, ring, &repair->items[i]);
			append_item(repair, &out, &repair->items[i]);
		}
		if (out.len == 0)
			repair->item_from = repair->item_to;
	}
	ring_snapshot_unref(ring);
	index_view_end(reader_of(repair));
	assert(!out.is_full);
	if (out.len > 0)
		propose(repair, bytes_make(list, out.len));
	return true;
}

/* Shows the crew what was written. False: there is no view now. */
static bool judge_batch(struct repair *repair)
{
	if (index_view_begin(reader_of(repair)) != ERR_OK)
		return false;
	for (unsigned i = 0; i < repair->target_count; i++) {
		const struct repair_target *target = &repair->targets[i];
		const struct repair_item *item = item_of(repair, i);
		if (target->is_started)
			crew_judge(repair->crew, item->slot, item->extent, target->shard,
				target->drive);
		repair->report.blocked += !target->is_good || target->is_dropped;
	}
	index_view_end(reader_of(repair));
	return true;
}

/* --- deciding --------------------------------------------------------------------------------- */

static void end_round(struct repair *repair)
{
	repair->last = repair->report;
	repair->rounds++;
	move(repair, REPAIR_IDLE);
}

static void begin_level(struct repair *repair, unsigned level)
{
	repair->level = level;
	repair->level_next = UINT32_MAX;
	repair->place = (struct index_place){0};
}

static void begin_batch(struct repair *repair)
{
	repair->item_count = repair->target_count = 0;
	repair->targets_started = repair->targets_ended = 0;
	repair->item_from = repair->item_to = 0;
	repair->is_single = false;
}

static bool advance_scan(struct repair *repair)
{
	enum err err = repair->is_stopping ? ERR_CANCELED : scan(repair);
	if (repair->item_count > 0 && (err == ERR_OK || err == ERR_NOT_FOUND)) {
		move(repair, REPAIR_WORKING);
		return true;
	}
	if (err == ERR_BUSY || err == ERR_OK)
		return true;
	if (err == ERR_NOT_FOUND && repair->level_next != UINT32_MAX) {
		begin_level(repair, repair->level_next);
		return true;
	}
	end_round(repair);
	return false;
}

static bool advance_work(struct repair *repair)
{
	if (repair->is_stopping)
		repair->target_count = repair->targets_started;
	start_targets(repair);
	if (repair->targets_ended < repair->target_count)
		return false;
	move(repair, REPAIR_PROPOSING);
	return true;
}

static bool advance_proposals(struct repair *repair)
{
	if (repair->is_proposed)
		return false;
	if (repair->item_from < repair->item_count && !repair->is_stopping) {
		if (!propose_items(repair))
			return true;
		if (repair->is_proposed)
			return false;
	}
	if (!judge_batch(repair) && !repair->is_stopping)
		return true;
	begin_batch(repair);
	move(repair, REPAIR_SCANNING);
	return true;
}

void repair_begin(struct repair *repair)
{
	assert(repair->state == REPAIR_IDLE && !repair->is_stopping);
	repair->report = (struct repair_report){0};
	begin_batch(repair);
	begin_level(repair, 0);
	move(repair, REPAIR_SCANNING);
}

bool repair_advance(struct repair *repair)
{
	switch (repair->state) {
	case REPAIR_IDLE:
		return false;
	case REPAIR_SCANNING:
		return advance_scan(repair);
	case REPAIR_WORKING:
		return advance_work(repair);
	case REPAIR_PROPOSING:
		return advance_proposals(repair);
	}
	return false;
}

void repair_allow(struct repair *repair, bool is_allowed)
{
	repair->is_stopping = !is_allowed;
}
