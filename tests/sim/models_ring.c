/* SPDX-License-Identifier: Apache-2.0 */
/* The ring under extents, as a model: shards move from drive to drive while they are written, read,
 * deleted and repaired, and the index always knows where each one is.
 *
 * One slot, three copies of each extent. Puts choose drives by the ring as they know it and are
 * applied later, in any order of ids. Movers (old leaders and the new one) copy in the order of ids
 * and advance the cursor; a repairer brings exceptions home; emptiers look, and free later, what
 * moved away; one drive may be lost for good. One command at a time is applied.
 *
 * (I1) Where row, ring and moves say that a shard must be, it is.
 * (I2) What a get began to read stays until the get ends.
 * (I3) When all is quiet, the target is the ring, no shard is elsewhere or missing, and drives hold
 *      what the index says and nothing else.
 * (I4) A put that is applied has two shards on drives that are not lost by then.
 * (I5) No two shards of an extent are on one drive, as far as the index knows.
 */
#include <string.h>

#include "tests/lib/ring_model.h"

enum { STEPS = 1500 };

static const char *const mistakes[] = {"a flip does not wait for the cursor",
	"a late write on the old drive is no exception", "the cursor is ahead of the copies",
	"the old drive is emptied under a get", "a move is turned around and keeps its cursor",
	"a mover's step is taken for that of another move", "the mover skips what is garbage",
	"reads ask the new drive only", "a drive gets shards while it is being emptied",
	"the emptier does not ask what is settled", "repair writes where no rule expects it",
	"a shard on a drive that is gone counts", "dismantling frees on the new drive only",
	"two shards of an extent share a drive", 0};

/* --- who writes and reads --------------------------------------------------------------------- */

static void begin_put(struct explore *explore, struct ring_model *model)
{
	struct ring_model_put *put = &model->puts[explore_below(explore, PUTS)];
	unsigned number = explore_below(explore, EXTENTS); /* ids are not given in their order */
	struct ring_model_extent *extent = &model->extents[number];
	if (put->is_used || extent->is_given)
		return;
	*put = (struct ring_model_put){.is_used = true, .extent = number};
	extent->is_given = true;
	for (unsigned i = 0; i < WIDTH; i++) {
		extent->exceptions[i] = NONE;
		put->drives[i] = ring_model_goal(model, i);
		if (ring_model_is_gone(model, put->drives[i]))
			put->drives[i] = 0;
		else
			model->on[put->drives[i]][put->extent][i] = true;
	}
	unsigned failed = explore_below(explore, 4 * WIDTH);
	for (unsigned i = 0; i < WIDTH; i++)
		if (i == failed && put->drives[i] != 0) {
			model->on[put->drives[i]][put->extent][i] = false;
			put->drives[i] = 0;
		}
}

static void delete_extent(struct explore *explore, struct ring_model *model)
{
	struct ring_model_extent *extent = &model->extents[explore_below(explore, EXTENTS)];
	if (!extent->has_row || extent->is_garbage)
		return;
	extent->is_garbage = true;
	extent->garbage_since = ++model->index;
}

static void begin_get(struct explore *explore, struct ring_model *model)
{
	struct ring_model_get *get = &model->gets[explore_below(explore, GETS)];
	unsigned number = explore_below(explore, EXTENTS);
	struct ring_model_extent *extent = &model->extents[number];
	if (get->is_used || !extent->has_row || extent->is_garbage)
		return;
	*get = (struct ring_model_get){.is_used = true, .extent = number, .index = model->index};
	for (unsigned i = 0; i < WIDTH; i++) {
		ring_model_find_places(explore, model, number, i, get->places[i]);
		for (unsigned j = 0; j < 2; j++)
			get->is_excused[i] |= get->places[i][j] != 0 &&
				get->places[i][j] == model->gone;
		get->is_excused[i] |= get->places[i][0] == 0;
	}
}

static bool is_read_before(const struct ring_model *model, unsigned index)
{
	for (unsigned i = 0; i < GETS; i++)
		if (model->gets[i].is_used && model->gets[i].index < index)
			return true;
	return false;
}

static void lose_drive(struct explore *explore, struct ring_model *model)
{
	if (model->gone != 0)
		return;
	model->gone = 1 + explore_below(explore, DRIVES - 1);
	model->index++;
	memset(model->on[model->gone], 0, sizeof model->on[0]);
	for (unsigned i = 0; i < GETS; i++)
		for (unsigned j = 0; j < WIDTH; j++)
			for (unsigned c = 0; c < 2; c++)
				model->gets[i].is_excused[j] |= model->gets[i].places[j][c] ==
					model->gone;
	for (unsigned i = 0; i < WIDTH; i++)
		model->leftovers[i][model->gone] = 0;
	for (unsigned i = 0; i < WIDTH; i++)
		if (model->repair.drives[i] == model->gone)
			model->repair.is_used = false;
}

/* --- background ------------------------------------------------------------------------------- */

/* Is there any shard of the extent from which others can be made? */
static bool can_make(const struct ring_model *model, unsigned extent)
{
	for (unsigned d = 1; d < DRIVES; d++)
		for (unsigned i = 0; i < WIDTH; i++)
			if (ring_model_is_on(model, d, extent, i))
				return true;
	return false;
}

static void set_target(struct explore *explore, struct ring_model *model)
{
	if (explore_chance(explore, 60) && memcmp(model->old, model->ring, sizeof model->old)) {
		for (unsigned i = 0; i < WIDTH; i++)
			if (ring_model_is_gone(model, model->old[i]))
				return;
		memcpy(model->target, model->old, sizeof model->old); /* layout revert */
		return;
	}
	unsigned shard = explore_below(explore, WIDTH);
	unsigned drive = 1 + explore_below(explore, DRIVES - 1);
	for (unsigned i = 0; i < WIDTH; i++)
		if (ring_model_is_place(model, i, drive) || model->target[i] == drive ||
			model->old[i] == drive)
			return;
	if (ring_model_is_gone(model, drive))
		return;
	memcpy(model->old, model->ring, sizeof model->old);
	model->target[shard] = drive;
	model->index++;
}

/* A gone drive is nobody's target, as soon as there is another. */
static void mend_target(struct explore *explore, struct ring_model *model)
{
	unsigned drive = 1 + explore_below(explore, DRIVES - 1);
	bool is_free = !ring_model_is_gone(model, drive);
	for (unsigned i = 0; i < WIDTH; i++)
		is_free &= model->target[i] != drive && !ring_model_is_place(model, i, drive);
	for (unsigned i = 0; i < WIDTH && is_free; i++)
		if (ring_model_is_gone(model, model->target[i])) {
			model->target[i] = drive;
			return;
		}
}

static void go_on_with_move(
	struct explore *explore, struct ring_model *model, struct ring_model_mover *mover)
{
	if (mover->is_used) {
		unsigned number = mover->up_to - 1;
		bool is_lost = mover->up_to < END && !model->extents[number].has_row;
		if (is_lost)
			model->on[mover->to][number][mover->shard] = false;
		ring_model_advance(explore, model, mover);
		return;
	}
	unsigned shard = explore_below(explore, WIDTH);
	const struct ring_model_move *move = &model->moves[shard];
	if (move->since == 0 || ring_model_is_gone(model, move->to) || move->cursor == END)
		return;
	*mover = (struct ring_model_mover){true, shard, move->since, move->to, move->cursor, END};
	for (unsigned i = move->cursor; i < EXTENTS; i++) {
		struct ring_model_extent *extent = &model->extents[i];
		if (!extent->has_row || extent->exceptions[shard] != NONE)
			continue;
		if (extent->is_garbage && ring_model_has_mistake(explore, MOVER_SKIPS_GARBAGE))
			continue;
		if (!can_make(model, i))
			mover->is_used = false;
		else if (!ring_model_has_mistake(explore, ADVANCE_BEFORE_COPY) ||
			explore_chance(explore, 50))
			model->on[move->to][i][shard] = true;
		mover->up_to = i + 1;
		return;
	}
}

static void go_on_with_repair(struct explore *explore, struct ring_model *model)
{
	struct ring_model_repair *repair = &model->repair;
	if (repair->is_used) {
		for (unsigned i = 0; i < WIDTH; i++)
			if (!model->extents[repair->extent].has_row)
				model->on[repair->drives[i]][repair->extent][i] = false;
		ring_model_repair(explore, model, repair);
		return;
	}
	unsigned number = explore_below(explore, EXTENTS);
	struct ring_model_extent *extent = &model->extents[number];
	if (!extent->has_row || !can_make(model, number))
		return;
	*repair = (struct ring_model_repair){.extent = number};
	for (unsigned i = 0; i < WIDTH; i++) {
		unsigned drive = ring_model_goal(model, i);
		if (ring_model_has_mistake(explore, REPAIR_TO_ANY_DRIVE) &&
			explore_chance(explore, 50))
			drive = 1 + explore_below(explore, DRIVES - 1);
		if (extent->exceptions[i] == NONE || ring_model_is_gone(model, drive))
			continue;
		model->on[drive][number][i] = true;
		repair->is_used = true;
		repair->drives[i] = drive;
		repair->from[i] = extent->exceptions[i];
	}
}

/* Looks first and frees later. */
static void go_on_with_empty(struct explore *explore, struct ring_model *model)
{
	struct ring_model_empty *empty = &model->empties[explore_below(explore, EMPTIES)];
	if (empty->is_used) {
		model->on[empty->drive][empty->extent][empty->shard] = false;
		empty->is_used = false;
		return;
	}
	unsigned shard = explore_below(explore, WIDTH), drive = explore_below(explore, DRIVES);
	unsigned since = model->leftovers[shard][drive];
	if (since == 0)
		return;
	if (is_read_before(model, since) && !ring_model_has_mistake(explore, EMPTY_IGNORES_READS))
		return;
	for (unsigned i = 0; i < EXTENTS; i++) {
		struct ring_model_extent *extent = &model->extents[i];
		if (!model->on[drive][i][shard] || ring_model_belongs(model, extent, shard, drive))
			continue;
		if (!extent->is_settled && !ring_model_has_mistake(explore, EMPTY_FREES_UNSETTLED))
			continue;
		*empty = (struct ring_model_empty){true, i, shard, drive};
		return;
	}
	for (unsigned i = 0; i < EMPTIES; i++)
		if (model->empties[i].is_used)
			return; /* until those have ended */
	model->leftovers[shard][drive] = 0;
	model->index++;
}

static void dismantle(struct explore *explore, struct ring_model *model, unsigned number)
{
	struct ring_model_extent *extent = &model->extents[number];
	if (!extent->has_row || !extent->is_garbage || is_read_before(model, extent->garbage_since))
		return;
	for (unsigned i = 0; i < WIDTH; i++)
		for (unsigned d = 1; d < DRIVES; d++) {
			bool is_known = d == ring_model_goal(model, i) ||
				extent->exceptions[i] == (int)d;
			if (!ring_model_has_mistake(explore, DISMANTLE_FORGETS_FROM))
				is_known |= ring_model_is_place(model, i, d) ||
					model->leftovers[i][d] != 0;
			if (is_known)
				model->on[d][number][i] = false;
		}
	extent->has_row = false;
	model->index++;
}

/* --- what has to hold ------------------------------------------------------------------------- */

/* Where a shard must be, as far as the index can know. */
static bool is_where_it_must(const struct ring_model *model, unsigned number, unsigned shard)
{
	const struct ring_model_move *move = &model->moves[shard];
	int exception = model->extents[number].exceptions[shard];
	if (exception != NONE)
		return ring_model_is_gone(model, exception) ||
			ring_model_is_on(model, exception, number, shard);
	if (move->since == 0)
		return ring_model_is_gone(model, model->ring[shard]) ||
			ring_model_is_on(model, model->ring[shard], number, shard);
	if (ring_model_is_gone(model, move->to) || ring_model_is_on(model, move->to, number, shard))
		return true;
	return (int)number >= move->cursor &&
		(ring_model_is_gone(model, move->from) ||
			ring_model_is_on(model, move->from, number, shard));
}

static void check_drives(struct explore *explore, const struct ring_model *model, unsigned number)
{
	int places[WIDTH];
	for (unsigned i = 0; i < WIDTH; i++)
		places[i] = ring_model_known_place(model, number, i);
	explore_expect(
		explore, !ring_model_is_twice(places), "(I5) one shard of an extent on a drive");
}

static void check(struct explore *explore, const struct ring_model *model)
{
	for (unsigned n = 0; n < EXTENTS; n++)
		for (unsigned i = 0; i < WIDTH && model->extents[n].has_row; i++)
			explore_expect(explore, is_where_it_must(model, n, i),
				"(I1) a shard is where the index says");
	for (unsigned n = 0; n < EXTENTS; n++)
		if (model->extents[n].has_row)
			check_drives(explore, model, n);
	for (unsigned g = 0; g < GETS; g++) {
		const struct ring_model_get *get = &model->gets[g];
		for (unsigned i = 0; i < WIDTH && get->is_used; i++)
			explore_expect(explore,
				get->is_excused[i] ||
					ring_model_is_on(
						model, get->places[i][0], get->extent, i) ||
					ring_model_is_on(model, get->places[i][1], get->extent, i),
				"(I2) what is read stays");
	}
}

static void crash(struct explore *explore, struct ring_model *model)
{
	model->movers[explore_below(explore, MOVERS)].is_used = false;
	model->wants_census = true;
}

static void step(struct explore *explore, struct ring_model *model)
{
	unsigned shard = explore_below(explore, WIDTH);
	uint64_t which = explore_below(explore, 1000);
	if (which < 50)
		begin_put(explore, model);
	else if (which < 110) {
		struct ring_model_put *put = &model->puts[explore_below(explore, PUTS)];
		if (put->is_used)
			ring_model_put(explore, model, put);
	} else if (which < 135)
		delete_extent(explore, model);
	else if (which < 175)
		begin_get(explore, model);
	else if (which < 185)
		model->gets[explore_below(explore, GETS)].is_used = false;
	else if (which < 250)
		set_target(explore, model);
	else if (which < 350)
		ring_model_begin(explore, model, shard);
	else if (which < 550)
		go_on_with_move(explore, model, &model->movers[explore_below(explore, MOVERS)]);
	else if (which < 650)
		ring_model_flip(explore, model, shard);
	else if (which < 730)
		ring_model_cancel(explore, model, shard);
	else if (which < 820)
		go_on_with_repair(explore, model);
	else if (which < 870)
		go_on_with_empty(explore, model);
	else if (which < 997)
		dismantle(explore, model, explore_below(explore, EXTENTS));
	else if (which < 999)
		crash(explore, model);
	else if (explore_chance(explore, 50))
		lose_drive(explore, model);
	if (model->gone != 0)
		mend_target(explore, model);
}

/* What no row needs; when a node starts. */
static void take_census(struct ring_model *model)
{
	for (unsigned d = 1; d < DRIVES; d++)
		for (unsigned n = 0; n < EXTENTS; n++)
			for (unsigned i = 0; i < WIDTH; i++)
				if (!ring_model_belongs(model, &model->extents[n], i, d))
					model->on[d][n][i] = false;
}

/* (I3) */
static void settle(struct explore *explore, struct ring_model *model)
{
	memset(model->gets, 0, sizeof model->gets);
	for (unsigned i = 0; i < PUTS; i++)
		if (model->puts[i].is_used)
			ring_model_put(explore, model, &model->puts[i]);
	for (unsigned round = 0; round < 8000 && !explore->broken; round++) {
		if (model->gone != 0)
			mend_target(explore, model);
		ring_model_begin(explore, model, round % WIDTH);
		ring_model_flip(explore, model, round % WIDTH);
		ring_model_cancel(explore, model, round % WIDTH);
		go_on_with_move(explore, model, &model->movers[round % MOVERS]);
		go_on_with_repair(explore, model);
		go_on_with_empty(explore, model);
		dismantle(explore, model, round % EXTENTS);
		if (round % 64 == 0)
			check(explore, model);
	}
	if (model->wants_census)
		take_census(model);
	for (unsigned i = 0; i < WIDTH; i++) {
		explore_expect(explore,
			!model->moves[i].since && model->ring[i] == model->target[i],
			"(I3) the target is the ring");
		explore_expect(explore, !ring_model_has_exceptions(model, i),
			"(I3) every shard is where it belongs");
		for (unsigned n = 0; n < EXTENTS; n++)
			for (unsigned d = 1; d < DRIVES; d++)
				explore_expect(explore,
					model->on[d][n][i] ==
						(model->extents[n].has_row && d == model->ring[i]),
					"(I3) drives hold what the index says");
	}
}

static void run(struct explore *explore)
{
	static struct ring_model model;
	memset(&model, 0, sizeof model);
	model.index = 1;
	for (unsigned i = 0; i < WIDTH; i++)
		model.ring[i] = model.target[i] = model.old[i] = i + 1;
	for (unsigned i = 0; i < STEPS && !explore->broken; i++) {
		step(explore, &model);
		check(explore, &model);
	}
	if (!explore->broken)
		settle(explore, &model);
}

int main(int argc, char **argv)
{
	static const struct explore_model ring = {
		.name = "model_ring", .run = run, .mistakes = mistakes, .seeds = 500};
	return explore_main(argc, argv, &ring);
}
