/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/ring_model.h"

bool ring_model_has_mistake(const struct explore *explore, enum ring_model_mistake mistake)
{
	return explore->mistake == mistake;
}

/* --- what the index knows --------------------------------------------------------------------- */

bool ring_model_is_gone(const struct ring_model *model, unsigned drive)
{
	return drive == 0 || drive == model->gone;
}

/* Where a shard is to be written now. */
unsigned ring_model_goal(const struct ring_model *model, unsigned shard)
{
	return model->moves[shard].since ? model->moves[shard].to : model->ring[shard];
}

/* Does the ring alone make the drive a place of the shard? */
bool ring_model_is_place(const struct ring_model *model, unsigned shard, unsigned drive)
{
	const struct ring_model_move *move = &model->moves[shard];
	return move->since ? drive == move->from || drive == move->to : drive == model->ring[shard];
}

bool ring_model_belongs(const struct ring_model *model, const struct ring_model_extent *extent,
	unsigned shard, unsigned drive)
{
	return extent->has_row &&
		(ring_model_is_place(model, shard, drive) ||
			extent->exceptions[shard] == (int)drive);
}

/* Candidates of a reader, best first; 0: none. */
void ring_model_find_places(struct explore *explore, const struct ring_model *model,
	unsigned number, unsigned shard, unsigned places[2])
{
	const struct ring_model_move *move = &model->moves[shard];
	int exception = model->extents[number].exceptions[shard];
	places[1] = 0;
	if (exception != NONE) {
		places[0] = exception;
		return;
	}
	places[0] = ring_model_goal(model, shard);
	if (move->since && (int)number >= move->cursor &&
		!ring_model_has_mistake(explore, READ_ASKS_NEW_ONLY))
		places[1] = move->from;
}

/* --- commands --------------------------------------------------------------------------------- */

static int exception_of(
	struct explore *explore, const struct ring_model *model, unsigned shard, unsigned drive)
{
	if (ring_model_is_gone(model, drive))
		return MISSING;
	if (drive == ring_model_goal(model, shard))
		return NONE;
	if (ring_model_has_mistake(explore, LATE_WRITE_IS_NO_EXCEPTION) &&
		ring_model_is_place(model, shard, drive))
		return NONE;
	return drive;
}

bool ring_model_is_on(
	const struct ring_model *model, unsigned drive, unsigned extent, unsigned shard)
{
	return !ring_model_is_gone(model, drive) && model->on[drive][extent][shard];
}

void ring_model_put(struct explore *explore, struct ring_model *model, struct ring_model_put *put)
{
	struct ring_model_extent *extent = &model->extents[put->extent];
	unsigned durable = 0;
	unsigned there = 0;
	for (unsigned i = 0; i < WIDTH; i++) {
		there += ring_model_is_on(model, put->drives[i], put->extent, i);
		durable += ring_model_has_mistake(explore, GONE_COUNTS)
			? put->drives[i] != 0
			: !ring_model_is_gone(model, put->drives[i]);
	}
	put->is_used = false;
	extent->is_settled = true;
	model->index++;
	if (durable < 2) {
		for (unsigned i = 0; i < WIDTH; i++)
			model->on[put->drives[i]][put->extent][i] = false;
		return; /* refused */
	}
	explore_expect(explore, there >= 2, "(I4) what is acknowledged is there twice");
	extent->has_row = true;
	for (unsigned i = 0; i < WIDTH; i++)
		extent->exceptions[i] = exception_of(explore, model, i, put->drives[i]);
}

bool ring_model_has_exceptions(const struct ring_model *model, unsigned shard)
{
	for (unsigned i = 0; i < EXTENTS; i++)
		if (model->extents[i].has_row && model->extents[i].exceptions[shard] != NONE)
			return true;
	return false;
}

static void add_leftover(struct ring_model *model, unsigned shard, unsigned drive)
{
	if (!ring_model_is_gone(model, drive))
		model->leftovers[shard][drive] = model->index;
}

void ring_model_begin(struct explore *explore, struct ring_model *model, unsigned shard)
{
	unsigned to = model->target[shard];
	if (model->moves[shard].since || to == model->ring[shard] || ring_model_is_gone(model, to))
		return;
	if (model->leftovers[shard][to] != 0 &&
		!ring_model_has_mistake(explore, BEGIN_WHILE_EMPTYING))
		return;
	for (unsigned i = 0; i < WIDTH; i++)
		if (i != shard && ring_model_is_place(model, i, to))
			return;
	model->index++;
	model->leftovers[shard][to] = 0; /* none, but for the mistake */
	model->moves[shard] = (struct ring_model_move){model->index, model->ring[shard], to, 0};
}

/* Moves what names a shard's new place by an exception into the rule. */
static void normalize(struct ring_model *model, unsigned shard, int low, int high)
{
	for (int i = low; i < high && i < EXTENTS; i++)
		if (model->extents[i].exceptions[shard] == (int)model->moves[shard].to)
			model->extents[i].exceptions[shard] = NONE;
}

/* Is another shard of the extent on the drive, by an exception? */
static bool is_other_there(
	const struct ring_model *model, int number, unsigned shard, unsigned drive)
{
	for (unsigned i = 0; i < WIDTH && model->extents[number].has_row; i++)
		if (i != shard && model->extents[number].exceptions[i] == (int)drive)
			return true;
	return false;
}

void ring_model_advance(
	struct explore *explore, struct ring_model *model, struct ring_model_mover *mover)
{
	struct ring_model_move *move = &model->moves[mover->shard];
	mover->is_used = false;
	if (move->since == 0 || move->cursor != mover->cursor)
		return;
	if (move->since != mover->since && !ring_model_has_mistake(explore, ADVANCE_NAMES_NO_MOVE))
		return;
	for (int i = move->cursor; i < mover->up_to && i < EXTENTS; i++)
		if (is_other_there(model, i, mover->shard, move->to) &&
			!ring_model_has_mistake(explore, TWO_ON_ONE_DRIVE))
			return; /* that exception comes home first */
	model->index++;
	normalize(model, mover->shard, move->cursor, mover->up_to);
	move->cursor = mover->up_to;
}

void ring_model_flip(struct explore *explore, struct ring_model *model, unsigned shard)
{
	struct ring_model_move *move = &model->moves[shard];
	if (move->since == 0 || ring_model_is_gone(model, move->to))
		return;
	if (move->cursor < END && !ring_model_has_mistake(explore, FLIP_BEFORE_END))
		return;
	if (ring_model_has_exceptions(
		    model, shard)) /* not needed here; but a drained drive is empty then */
		return;
	model->index++;
	model->ring[shard] = move->to;
	add_leftover(model, shard, move->from);
	move->since = 0;
}

/* Turns a move around, so that what it moved comes back. */
void ring_model_cancel(struct explore *explore, struct ring_model *model, unsigned shard)
{
	struct ring_model_move *move = &model->moves[shard];
	if (move->since == 0)
		return;
	if (model->target[shard] != move->from && !ring_model_is_gone(model, move->to))
		return;
	model->index++;
	int cursor = ring_model_has_mistake(explore, CANCEL_KEEPS_CURSOR) ? move->cursor : 0;
	*move = (struct ring_model_move){model->index, move->to, move->from, cursor};
}

/* The drive of a shard; 0: it is nowhere, or on one of two. */
int ring_model_known_place(const struct ring_model *model, unsigned number, unsigned shard)
{
	const struct ring_model_move *move = &model->moves[shard];
	int exception = model->extents[number].exceptions[shard];
	if (exception != NONE)
		return exception;
	if (move->since == 0)
		return model->ring[shard];
	return (int)number < move->cursor ? move->to : MISSING;
}

/* Would two shards be on one drive? */
bool ring_model_is_twice(const int places[WIDTH])
{
	for (unsigned i = 0; i < WIDTH; i++)
		for (unsigned j = 0; j < i; j++)
			if (places[i] == places[j] && places[i] != MISSING)
				return true;
	return false;
}

/* Some shards of an extent have come home. */
void ring_model_repair(
	struct explore *explore, struct ring_model *model, struct ring_model_repair *repair)
{
	struct ring_model_extent *extent = &model->extents[repair->extent];
	int places[WIDTH];
	repair->is_used = false;
	for (unsigned i = 0; i < WIDTH; i++) {
		int exception = extent->exceptions[i];
		unsigned drive = repair->drives[i];
		places[i] = drive != 0 ? (int)drive
				       : ring_model_known_place(model, repair->extent, i);
		if (drive == 0)
			continue;
		if (!extent->has_row || exception != repair->from[i] ||
			ring_model_is_gone(model, drive))
			return;
		if (!ring_model_is_place(model, i, drive) &&
			!ring_model_has_mistake(explore, REPAIR_TO_ANY_DRIVE))
			return;
	}
	if (ring_model_is_twice(places) && !ring_model_has_mistake(explore, TWO_ON_ONE_DRIVE))
		return;
	model->index++;
	for (unsigned i = 0; i < WIDTH; i++) {
		if (repair->drives[i] == 0)
			continue;
		extent->exceptions[i] = exception_of(explore, model, i, repair->drives[i]);
		if (repair->from[i] != MISSING && !ring_model_is_place(model, i, repair->from[i]))
			add_leftover(model, i, repair->from[i]);
	}
}
