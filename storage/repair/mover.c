/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/mover_priv.h"

#include <assert.h>
#include <string.h>

void mover_init(struct mover *mover, struct crew *crew)
{
	memset(mover, 0, sizeof *mover);
	mover->crew = crew;
	for (unsigned i = 0; i < MOVER_LANES; i++)
		mover->lanes[i].mover = mover;
}

static void set_state(struct lane *lane, enum lane_state state)
{
	assert(lane->in_flight == 0 && !lane->is_proposed && !lane->is_flip_proposed);
	lane->state = state;
}

static void rest(struct lane *lane)
{
	lane->rest_until_ms = mover_now_ms(lane->mover) + MOVER_REST_MS;
	lane->awaits_repair = false;
	lane->mover->report.rests++;
	set_state(lane, LANE_RESTING);
}

/* Until repair has ended the exceptions of its slot, or for a while. */
static void await_repair(struct lane *lane)
{
	rest(lane);
	lane->awaits_repair = true;
}

/* --- proposing -------------------------------------------------------------------------------- */

static void lane_answered(struct index_proposal *proposal)
{
	struct lane *lane = CONTAINER_OF(proposal, struct lane, proposal);
	assert(lane->is_proposed);
	lane->is_proposed = false;
	lane->mover->crew->changed(lane->mover->crew);
}

static void propose(struct lane *lane, const struct command *command)
{
	lane->proposal = (struct index_proposal){
		.loop = lane->mover->crew->store->loop,
		.bytes = lane->command,
		.done = lane_answered,
	};
	enum err err = command_encode(
		command, lane->command, sizeof lane->command, &lane->proposal.len);
	assert(err == ERR_OK);
	lane->is_proposed = true;
	index_propose(mover_index(lane->mover), &lane->proposal);
}

static bool is_accepted(const struct index_proposal *proposal)
{
	return proposal->err == ERR_OK && proposal->result.code == COMMAND_OK;
}

/* The move of a lane, as commands name it. */
static struct bytes name_move(const struct lane *lane, uint8_t list[static 64])
{
	struct fields_out out = {.data = list, .cap = 64};
	struct command_ring_move item = {
		.slot = lane->slot, .shard = lane->shard, .since = lane->since};
	command_ring_move_append(&out, &item);
	assert(!out.is_full);
	return bytes_make(list, out.len);
}

static void propose_one(struct lane *lane, enum command_type type)
{
	uint8_t list[64];
	struct command command = {.type = type};
	struct command_moves moves = {.moves = name_move(lane, list)};
	if (type == COMMAND_MOVE_FLIP)
		command.move_flip = moves;
	else
		command.move_cancel = moves;
	set_state(lane, LANE_FLIPPING);
	propose(lane, &command);
}

static void flip_answered(struct index_proposal *proposal)
{
	struct lane *lane = CONTAINER_OF(proposal, struct lane, flip);
	assert(lane->is_flip_proposed);
	lane->is_flip_proposed = false;
	lane->mover->crew->changed(lane->mover->crew);
}

/* Right behind the advance that it needs. */
static void propose_flip(struct lane *lane)
{
	uint8_t list[64];
	struct command command = {.type = COMMAND_MOVE_FLIP};
	command.move_flip.moves = name_move(lane, list);
	lane->flip = (struct index_proposal){
		.loop = lane->mover->crew->store->loop,
		.bytes = lane->flip_command,
		.done = flip_answered,
	};
	enum err err = command_encode(
		&command, lane->flip_command, sizeof lane->flip_command, &lane->flip.len);
	assert(err == ERR_OK);
	lane->is_flip_proposed = lane->has_flip = true;
	index_propose(mover_index(lane->mover), &lane->flip);
}

/* --- choosing a move -------------------------------------------------------------------------- */

static bool is_taken(const struct mover *mover, const struct ring_moving *move)
{
	for (unsigned i = 0; i < MOVER_LANES; i++) {
		const struct lane *lane = &mover->lanes[i];
		if (lane->state != LANE_FREE && lane->slot == move->slot &&
			lane->shard == move->shard)
			return true;
	}
	return false;
}

/* The pending move that is the most urgent: of the slot with the fewest drives left. Those behind
 * the lane's last one come first among equals, so that none is passed over for long. */
static const struct ring_moving *choose_move(
	const struct mover *mover, const struct lane *lane, const struct ring_snapshot *ring)
{
	size_t count;
	const struct ring_moving *moves = ring_snapshot_moves(ring, &count);
	const struct ring_moving *best = NULL;
	unsigned best_rank = 0;
	for (size_t i = 0; i < count; i++) {
		bool is_behind = moves[i].slot > lane->slot ||
			(moves[i].slot == lane->slot && moves[i].shard > lane->shard);
		unsigned rank = 1 + 2 * mover_count_gone(ring, moves[i].slot) + is_behind;
		if (rank <= best_rank || is_taken(mover, &moves[i]))
			continue;
		best = &moves[i];
		best_rank = rank;
	}
	return best;
}

static void take_move(struct lane *lane, const struct ring_moving *move)
{
	lane->slot = move->slot;
	lane->shard = move->shard;
	lane->since = move->since;
	set_state(lane, LANE_LOADING);
}

/* --- copying ---------------------------------------------------------------------------------- */

static bool has_exception(const struct row_extent *row, uint8_t shard)
{
	for (size_t i = 0; i < row_exception_count(row); i++)
		if (row_exception_at(row, i).shard == shard)
			return true;
	return false;
}

static enum err load_extents(struct lane *lane)
{
	struct extent_id at = lane->cursor;
	enum err err = ERR_OK;
	lane->count = lane->next = 0;
	while (lane->count < MOVER_BATCH) {
		struct row_extent row;
		at = at.counter == UINT64_MAX ? (struct extent_id){at.session + 1, 0}
					      : (struct extent_id){at.session, at.counter + 1};
		err = index_extent_next(mover_reader(lane->mover), lane->slot, at, &at, &row);
		if (err)
			break;
		lane->extents[lane->count++] = (struct lane_extent){
			.id = at,
			.body = row.body,
			.needs_copy = lane->to != 0 && lane->shard < row.k + row.m &&
				!has_exception(&row, lane->shard),
		};
	}
	lane->is_end = err == ERR_NOT_FOUND;
	return lane->is_end ? ERR_OK : err;
}

/* Does the target not want the move any more, or can it not be? */
static enum err is_to_be_turned(struct lane *lane, const struct ring_snapshot *ring,
	const struct ring_moving *move, bool *ret_is)
{
	struct ring_snapshot *target;
	*ret_is = ring_snapshot_is_gone(ring, move->to);
	if (*ret_is)
		return ERR_OK;
	enum err err = index_ring_target(mover_reader(lane->mover), &target);
	if (err)
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	const struct ring *table = ring_snapshot_ring(target);
	uint16_t wanted = move->slot < table->slot_count && move->shard < table->width
		? ring_drive(table, move->slot, move->shard)
		: 0;
	*ret_is = wanted != 0 && (move->to == 0 || wanted == move->from);
	ring_snapshot_unref(target);
	return ERR_OK;
}

/* Is a flip allowed? It is refused too if not; this saves the command. */
static bool can_flip(struct lane *lane)
{
	struct row_slot_counts counts;
	enum err err = index_slot_counts(mover_reader(lane->mover), lane->slot, &counts);
	return err == ERR_NOT_FOUND ||
		(err == ERR_OK && counts.shards[lane->shard].exceptions == 0);
}

static void load_under_view(struct lane *lane, const struct ring_snapshot *ring)
{
	const struct ring_moving *move = ring_snapshot_move(ring, lane->slot, lane->shard);
	bool is_turned;
	if (!move || move->since != lane->since) {
		set_state(lane, LANE_FREE);
		return;
	}
	lane->to = move->to;
	lane->cursor = move->cursor;
	if (is_to_be_turned(lane, ring, move, &is_turned) != ERR_OK) {
		rest(lane);
	} else if (is_turned) {
		propose_one(lane, COMMAND_MOVE_CANCEL);
	} else if (move->is_ended) {
		if (can_flip(lane))
			propose_one(lane, COMMAND_MOVE_FLIP);
		else
			await_repair(lane);
	} else if (load_extents(lane) != ERR_OK) {
		rest(lane);
	} else {
		set_state(lane, LANE_COPYING);
	}
}

static void load(struct lane *lane)
{
	if (index_view_begin(mover_reader(lane->mover)) != ERR_OK) {
		rest(lane);
		return;
	}
	struct ring_snapshot *ring = index_ring(mover_index(lane->mover));
	load_under_view(lane, ring);
	ring_snapshot_unref(ring);
	index_view_end(mover_reader(lane->mover));
}

static void job_done(struct crew_job *job, enum err err)
{
	struct lane *lane = job->owner;
	assert(lane->state == LANE_COPYING && lane->in_flight > 0);
	lane->in_flight--;
	lane->extents[job->item].is_good = err == ERR_OK;
}

/* An extent that is gone needs no copy, nor one whose shard an exception took over. */
static enum err start_extent(
	struct lane *lane, const struct ring_snapshot *ring, struct lane_extent *extent)
{
	struct row_extent row;
	struct crew_order order = {
		.shard = lane->shard,
		.drive = lane->to,
		.may_be_there = true,
		.may_copy = true,
		.body = extent->body,
		.done = job_done,
		.owner = lane,
		.item = extent - lane->extents,
		.work = CREW_MOVE,
	};
	enum err err = index_extent_get(mover_reader(lane->mover), lane->slot, extent->id, &row);
	if (err == ERR_NOT_FOUND || (err == ERR_OK && has_exception(&row, lane->shard))) {
		extent->needs_copy = false;
		return ERR_OK;
	}
	if (err == ERR_OK)
		err = rebuild_extent_init(&order.extent, ring, lane->slot, extent->id, &row);
	if (err || lane->shard >= row.k + row.m)
		return err ? err : ERR_CORRUPT;
	extent->is_started = true;
	lane->in_flight++;
	crew_start(lane->mover->crew, &order);
	return ERR_OK;
}

static void start_extents(struct lane *lane)
{
	if (lane->next == lane->count || !crew_has_room(lane->mover->crew) ||
		index_view_begin(mover_reader(lane->mover)) != ERR_OK)
		return;
	struct ring_snapshot *ring = index_ring(mover_index(lane->mover));
	for (; lane->next < lane->count && crew_has_room(lane->mover->crew); lane->next++) {
		struct lane_extent *extent = &lane->extents[lane->next];
		if (extent->needs_copy)
			err_ignore(start_extent(lane, ring, extent)); /* then it is not passed */
	}
	ring_snapshot_unref(ring);
	index_view_end(mover_reader(lane->mover));
}

/* --- advancing -------------------------------------------------------------------------------- */

/* (V1) How many from the first on are where they have to be. */
static unsigned count_done(const struct lane *lane)
{
	unsigned count = 0;
	while (count < lane->count &&
		(!lane->extents[count].needs_copy || lane->extents[count].is_good))
		count++;
	return count;
}

static void propose_advance(struct lane *lane)
{
	unsigned done = count_done(lane);
	bool is_end = lane->is_end && done == lane->count;
	set_state(lane, LANE_ADVANCING);
	lane->has_flip = false;
	if (done == 0 && !is_end)
		return;
	struct command command = {.type = COMMAND_MOVE_ADVANCE};
	command.move_advance = (struct command_move_advance){
		.slot = lane->slot,
		.shard = lane->shard,
		.since = lane->since,
		.cursor = lane->cursor,
		.is_end = is_end,
	};
	if (!is_end)
		command.move_advance.up_to = lane->extents[done - 1].id;
	propose(lane, &command);
	if (is_end && index_view_begin(mover_reader(lane->mover)) == ERR_OK) {
		bool is_ready = can_flip(lane);
		index_view_end(mover_reader(lane->mover));
		if (is_ready)
			propose_flip(lane);
	}
}

static bool judge_extents(struct lane *lane)
{
	if (index_view_begin(mover_reader(lane->mover)) != ERR_OK)
		return false;
	for (unsigned i = 0; i < lane->count; i++)
		if (lane->extents[i].is_started)
			crew_judge(lane->mover->crew, lane->slot, lane->extents[i].id, lane->shard,
				lane->to);
	index_view_end(mover_reader(lane->mover));
	return true;
}

static void end_advance(struct lane *lane)
{
	bool is_all = count_done(lane) == lane->count;
	bool was_proposed = is_all || count_done(lane) > 0;
	if (!judge_extents(lane) && !lane->mover->is_stopping)
		return; /* at the next look */
	bool is_good = was_proposed && is_accepted(&lane->proposal);
	if (is_good)
		lane->mover->report.shards += lane->proposal.result.count;
	lane->count = 0;
	if (is_good && lane->has_flip && is_accepted(&lane->flip)) {
		lane->mover->report.moves++;
		set_state(lane, LANE_FREE);
	} else if (is_all && (is_good || lane->proposal.result.code == COMMAND_STALE))
		set_state(lane, LANE_LOADING);
	else
		rest(lane);
}

static void end_flip(struct lane *lane)
{
	if (is_accepted(&lane->proposal)) {
		lane->mover->report.moves++;
		set_state(lane, LANE_FREE);
	} else {
		rest(lane);
	}
}

/* Returns true if it may go on at once. */
static bool advance_lane(struct lane *lane)
{
	enum lane_state state = lane->state;
	if (lane->is_proposed || lane->is_flip_proposed)
		return false;
	switch (state) {
	case LANE_FREE:
		return false;
	case LANE_LOADING:
		if (lane->mover->is_stopping)
			set_state(lane, LANE_FREE);
		else
			load(lane);
		break;
	case LANE_COPYING:
		if (lane->mover->is_stopping && lane->next < lane->count) {
			lane->count = lane->next;
			lane->is_end = false;
		}
		start_extents(lane);
		if (lane->next == lane->count && lane->in_flight == 0)
			propose_advance(lane);
		break;
	case LANE_ADVANCING:
		end_advance(lane);
		break;
	case LANE_FLIPPING:
		end_flip(lane);
		break;
	case LANE_RESTING:
		if (lane->mover->is_stopping || mover_now_ms(lane->mover) >= lane->rest_until_ms)
			set_state(lane, LANE_FREE);
		break;
	}
	return lane->state != state;
}

/* --- public ----------------------------------------------------------------------------------- */

/* Gives free lanes something to do. */
static void fill_lanes(struct mover *mover)
{
	struct ring_snapshot *ring = index_ring(mover_index(mover));
	for (unsigned i = 0; ring && i < MOVER_LANES; i++) {
		struct lane *lane = &mover->lanes[i];
		const struct ring_moving *move = lane->state == LANE_FREE
			? choose_move(mover, lane, ring)
			: NULL;
		if (move)
			take_move(lane, move);
	}
	ring_snapshot_unref(ring);
}

uint64_t mover_advance(struct mover *mover)
{
	uint64_t due_ms = UINT64_MAX;
	mover_begin_moves(mover);
	if (!mover->is_stopping)
		fill_lanes(mover);
	for (unsigned i = 0; i < MOVER_LANES; i++) {
		struct lane *lane = &mover->lanes[i];
		while (advance_lane(lane))
			;
		if (lane->state == LANE_RESTING && lane->rest_until_ms < due_ms)
			due_ms = lane->rest_until_ms;
	}
	uint64_t now = mover_now_ms(mover);
	if (due_ms > now + MOVER_REST_MS / 4)
		due_ms = now + MOVER_REST_MS / 4; /* others may have made room for a begin */
	return due_ms > now ? due_ms - now : 0;
}

void mover_retry(struct mover *mover)
{
	for (unsigned i = 0; i < MOVER_LANES; i++)
		if (mover->lanes[i].state == LANE_RESTING && mover->lanes[i].awaits_repair)
			mover->lanes[i].rest_until_ms = 0;
}

void mover_allow(struct mover *mover, bool is_allowed)
{
	mover->is_stopping = !is_allowed;
}

bool mover_is_idle(const struct mover *mover)
{
	for (unsigned i = 0; i < MOVER_LANES; i++)
		if (mover->lanes[i].state != LANE_FREE)
			return false;
	return !mover->is_proposed;
}
