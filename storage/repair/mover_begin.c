/* SPDX-License-Identifier: Apache-2.0 */
/* Which moves are begun, and when. */
#include "storage/repair/mover_priv.h"

#include <assert.h>
#include <string.h>

static void note_refused(struct mover *mover, const struct command_ring_move *item)
{
	mover->refused[mover->refused_next] = (struct mover_refused){.slot = item->slot,
		.shard = item->shard,
		.until_ms = mover_now_ms(mover) + MOVER_REST_MS};
	mover->refused_next = (mover->refused_next + 1) % MOVER_REFUSED_MAX;
}

static bool was_refused(const struct mover *mover, uint32_t slot, uint8_t shard)
{
	for (unsigned i = 0; i < MOVER_REFUSED_MAX; i++) {
		const struct mover_refused *refused = &mover->refused[i];
		if (refused->slot == slot && refused->shard == shard &&
			mover_now_ms(mover) < refused->until_ms)
			return true;
	}
	return false;
}

static void begin_answered(struct index_proposal *proposal)
{
	struct mover *mover = CONTAINER_OF(proposal, struct mover, proposal);
	assert(mover->is_proposed);
	mover->is_proposed = false;
	bool is_answer = proposal->err == ERR_OK;
	if (is_answer && proposal->result.code != COMMAND_OK &&
		proposal->result.id < mover->begin_count) {
		/* The others are begun now, and the one that could not be later: mostly it waits
		 * for one of them. */
		struct command_ring_move *refused = &mover->begins[proposal->result.id];
		note_refused(mover, refused);
		mover->begin_count--;
		memmove(refused, refused + 1,
			(mover->begin_count - proposal->result.id) * sizeof *refused);
	} else {
		if (is_answer && proposal->result.code == COMMAND_OK)
			mover->report.begun++;
		if (!is_answer)
			mover->begin_after_ms = mover_now_ms(mover) + MOVER_REST_MS;
		mover->begin_count = 0;
	}
	mover->crew->changed(mover->crew);
}

static void propose_begins(struct mover *mover)
{
	uint8_t list[MOVER_BEGIN_MAX * 32];
	struct fields_out out = {.data = list, .cap = sizeof list};
	for (unsigned i = 0; i < mover->begin_count; i++)
		command_ring_move_append(&out, &mover->begins[i]);
	assert(!out.is_full);
	struct command command = {.type = COMMAND_MOVE_BEGIN};
	command.move_begin.moves = bytes_make(list, out.len);
	mover->proposal = (struct index_proposal){
		.loop = mover->crew->store->loop,
		.bytes = mover->command,
		.done = begin_answered,
	};
	enum err err = command_encode(
		&command, mover->command, sizeof mover->command, &mover->proposal.len);
	assert(err == ERR_OK);
	mover->is_proposed = true;
	index_propose(mover_index(mover), &mover->proposal);
}

/* Has the drive to be emptied of such shards first? */
static bool is_leftover(const struct mover *mover, uint32_t slot, uint8_t shard, uint16_t drive)
{
	struct index_leftover leftover;
	enum err err = index_leftover_next(mover_reader(mover), slot, shard, drive, &leftover);
	return err == ERR_OK && leftover.slot == slot && leftover.shard == shard &&
		leftover.drive == drive;
}

static bool is_to_begin(const struct mover *mover, const struct ring_snapshot *snapshot,
	const struct ring *target, uint32_t slot, uint8_t shard)
{
	const struct ring *ring = ring_snapshot_ring(snapshot);
	uint16_t to = shard < target->width ? ring_drive(target, slot, shard) : 0;
	return ring_drive(ring, slot, shard) != to && !ring_snapshot_is_gone(snapshot, to) &&
		!ring_snapshot_move(snapshot, slot, shard) && !was_refused(mover, slot, shard) &&
		!is_leftover(mover, slot, shard, to);
}

/* Takes the next few that may be begun: first of the slots that lost most drives. */
static void choose_begins(
	struct mover *mover, const struct ring_snapshot *snapshot, const struct ring *target)
{
	const struct ring *ring = ring_snapshot_ring(snapshot);
	uint32_t count = ring->slot_count * ring->width, at = mover->begin_at;
	for (unsigned gone = ring->width + 1; gone > 0 && mover->begin_count == 0; gone--) {
		for (uint32_t i = 0; i < count && mover->begin_count < MOVER_BEGIN_MAX; i++) {
			uint32_t position = (at + i) % count, slot = position / ring->width;
			uint8_t shard = position % ring->width;
			if (position == 0 && mover->begin_count > 0)
				break; /* a list ascends */
			if (mover_count_gone(snapshot, slot) != gone - 1 ||
				!is_to_begin(mover, snapshot, target, slot, shard))
				continue;
			mover->begins[mover->begin_count++] = (struct command_ring_move){
				.slot = slot, .shard = shard};
			mover->begin_at = (position + 1) % count;
		}
	}
}

static size_t count_pending(const struct mover *mover)
{
	size_t count = 0;
	struct ring_snapshot *snapshot = index_ring(mover_index(mover));
	if (snapshot)
		(void)ring_snapshot_moves(snapshot, &count);
	ring_snapshot_unref(snapshot);
	return count;
}

/* Looks for moves to begin, if few enough are pending. */
static void look_for_begins(struct mover *mover)
{
	struct ring_snapshot *target;
	if (mover_now_ms(mover) < mover->begin_after_ms ||
		count_pending(mover) >= MOVER_PENDING_MAX ||
		index_view_begin(mover_reader(mover)) != ERR_OK)
		return;
	struct ring_snapshot *snapshot = index_ring(mover_index(mover));
	if (index_ring_target(mover_reader(mover), &target) == ERR_OK) {
		choose_begins(mover, snapshot, ring_snapshot_ring(target));
		ring_snapshot_unref(target);
	}
	ring_snapshot_unref(snapshot);
	index_view_end(mover_reader(mover));
	if (mover->begin_count == 0)
		mover->begin_after_ms = mover_now_ms(mover) + MOVER_REST_MS / 4;
}

void mover_begin_moves(struct mover *mover)
{
	if (mover->is_proposed || mover->is_stopping)
		return;
	if (mover->begin_count == 0)
		look_for_begins(mover);
	if (mover->begin_count > 0)
		propose_begins(mover);
}
