/* SPDX-License-Identifier: Apache-2.0 */
/* Collection, as a model: what is referred to, or read, or about to be referred to, is not freed;
 * and in the end nothing else is left.
 *
 * Two nodes write extents to drives and then propose them, in sessions; one command at a time is
 * applied. The collector sees the index as it was at some earlier time, frees what the garbage
 * queue names, and takes a census of each drive. Nodes report, late, the lowest counter that they
 * may still propose (open_low) and the oldest state that they read (read_low).
 *
 * (I1) A shard that the index refers to is on its drive.
 * (I2) What a get began to read stays until the get ends.
 * (I3) What a put may still propose stays until its proposal has a result.
 * (I4) When all is quiet, drives hold what the index refers to, and nothing else.
 */
#include <string.h>

#include "tests/lib/explore.h"

enum { NODES = 2, DRIVES = 2, EXTENTS = 120, KEYS = 4, GETS = 4, PUTS = 4, STEPS = 600 };

enum mistake {
	MEANT,
	CENSUS_IGNORES_OPEN_LOW,
	QUEUE_IGNORES_READ_LOW,
	OPEN_LOW_IS_THE_NEXT, /* reported without looking at what is being written */
	READ_LOW_IS_NOW, /* reported without looking at the gets */
	CENSUS_LOOKS_FIRST, /* at the index, and at the drive's list after it */
	RETURN_WITHOUT_CENSUS, /* of a drive that was away */
};

static const char *const mistakes[] = {"a census does not ask what is open",
	"the queue does not ask what is read", "open_low does not count the open puts",
	"read_low does not count the open gets",
	"a census looks at the index before it asks what is settled",
	"no census follows when a drive comes back", 0};

enum place { NOWHERE, ON_DRIVE };

struct extent {
	unsigned node, life; /* its session */
	unsigned counter;
	enum place places[DRIVES];
	unsigned since; /* log index of its row; 0: there is none */
	unsigned garbage_since; /* its last reference went there; 0: it has one, or never had */
	bool is_dismantled;
};

struct put {
	bool is_used, is_written;
	unsigned extent, key;
};

struct get {
	bool is_used;
	unsigned extent, index; /* the state that it reads */
};

struct node {
	unsigned life, next_counter;
	unsigned open_low, read_low; /* as the index knows them, of the session that is open */
	struct put puts[PUTS];
	struct get gets[GETS];
};

struct model {
	unsigned index; /* of the log */
	struct node nodes[NODES];
	struct extent extents[EXTENTS];
	unsigned extent_count;
	unsigned keys[KEYS]; /* extent + 1; 0: none */
	bool is_away[DRIVES];
	bool wants_census[DRIVES];
	/* A census that looked at the index and will free. */
	bool has_found[DRIVES];
	unsigned found[DRIVES];
};

/* --- the index -------------------------------------------------------------------------------- */

static void set_key(struct model *model, unsigned key, unsigned extent_and_one)
{
	model->index++;
	unsigned old = model->keys[key];
	if (old != 0)
		model->extents[old - 1].garbage_since = model->index;
	model->keys[key] = extent_and_one;
	if (extent_and_one != 0)
		model->extents[extent_and_one - 1].since = model->index;
}

static bool is_settled(
	const struct explore *explore, const struct model *model, const struct extent *extent)
{
	const struct node *node = &model->nodes[extent->node];
	return explore->mistake == CENSUS_IGNORES_OPEN_LOW || extent->life != node->life ||
		extent->counter < node->open_low;
}

static unsigned read_low_of_all(const struct model *model)
{
	unsigned low = ~0u;
	for (unsigned i = 0; i < NODES; i++)
		if (model->nodes[i].read_low < low)
			low = model->nodes[i].read_low;
	return low;
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* A drive that is away keeps what it has. */
static void free_shard(struct model *model, unsigned extent, unsigned drive)
{
	if (!model->is_away[drive])
		model->extents[extent].places[drive] = NOWHERE;
}

static void begin_put(struct explore *explore, struct model *model, unsigned number)
{
	struct node *node = &model->nodes[number];
	struct put *put = &node->puts[explore_below(explore, PUTS)];
	if (put->is_used || model->extent_count == EXTENTS)
		return;
	model->extents[model->extent_count] = (struct extent){
		.node = number, .life = node->life, .counter = node->next_counter++};
	*put = (struct put){.is_used = true,
		.extent = model->extent_count++,
		.key = explore_below(explore, KEYS)};
}

static void go_on_with_put(struct explore *explore, struct model *model, unsigned number)
{
	struct put *put = &model->nodes[number].puts[explore_below(explore, PUTS)];
	if (!put->is_used)
		return;
	struct extent *extent = &model->extents[put->extent];
	if (!put->is_written) {
		for (unsigned i = 0; i < DRIVES; i++) {
			if (!model->is_away[i])
				extent->places[i] = ON_DRIVE;
			else
				put->is_used = false;
		}
		for (unsigned i = 0; i < DRIVES && !put->is_used; i++)
			free_shard(model, put->extent, i);
		put->is_written = put->is_used;
		return;
	}
	for (unsigned i = 0; i < DRIVES; i++)
		explore_expect(explore, extent->places[i] == ON_DRIVE,
			"(I3) what is about to be proposed stays");
	set_key(model, put->key, put->extent + 1);
	put->is_used = false;
}

static void begin_get(struct explore *explore, struct model *model, unsigned number)
{
	struct get *get = &model->nodes[number].gets[explore_below(explore, GETS)];
	unsigned found = model->keys[explore_below(explore, KEYS)];
	if (!get->is_used && found != 0)
		*get = (struct get){true, found - 1, model->index};
}

static void end_get(struct explore *explore, struct model *model, unsigned number)
{
	struct get *get = &model->nodes[number].gets[explore_below(explore, GETS)];
	get->is_used = false;
}

static void report(struct explore *explore, struct model *model, unsigned number)
{
	struct node *node = &model->nodes[number];
	unsigned open_low = node->next_counter, read_low = model->index;
	for (unsigned i = 0; i < PUTS && explore->mistake != OPEN_LOW_IS_THE_NEXT; i++)
		if (node->puts[i].is_used &&
			model->extents[node->puts[i].extent].counter < open_low)
			open_low = model->extents[node->puts[i].extent].counter;
	for (unsigned i = 0; i < GETS && explore->mistake != READ_LOW_IS_NOW; i++)
		if (node->gets[i].is_used && node->gets[i].index < read_low)
			read_low = node->gets[i].index;
	node->open_low = open_low;
	node->read_low = read_low;
	model->index++;
}

static void restart(struct model *model, unsigned number)
{
	struct node *node = &model->nodes[number];
	memset(node->puts, 0, sizeof node->puts);
	memset(node->gets, 0, sizeof node->gets);
	node->life++;
	node->next_counter = 1;
	node->open_low = 1;
	node->read_low = model->index++;
	for (unsigned i = 0; i < DRIVES; i++)
		model->wants_census[i] = true;
}

/* --- the collector ---------------------------------------------------------------------------- */

static void dismantle(struct explore *explore, struct model *model, unsigned number)
{
	struct extent *extent = &model->extents[number];
	if (extent->garbage_since == 0 || extent->is_dismantled)
		return;
	if (explore->mistake != QUEUE_IGNORES_READ_LOW &&
		extent->garbage_since >= read_low_of_all(model))
		return;
	for (unsigned i = 0; i < DRIVES; i++)
		free_shard(model, number, i); /* or its census will */
	extent->is_dismantled = true;
	model->index++;
}

static bool has_row(const struct extent *extent)
{
	return extent->since != 0 && !extent->is_dismantled;
}

/* One shard of the census of a drive. The order counts: first is asked whether it is settled, then
 * whether there is a row; a put that ends between the two is seen by the second. */
static void take_census(
	struct explore *explore, struct model *model, unsigned drive, unsigned number)
{
	struct extent *extent = &model->extents[number];
	if (model->is_away[drive])
		return;
	if (model->has_found[drive]) {
		struct extent *found = &model->extents[model->found[drive]];
		model->has_found[drive] = false;
		if (explore->mistake == CENSUS_LOOKS_FIRST ? is_settled(explore, model, found)
							   : !has_row(found))
			free_shard(model, model->found[drive], drive);
		return;
	}
	if (extent->places[drive] == NOWHERE)
		return;
	model->has_found[drive] = explore->mistake == CENSUS_LOOKS_FIRST
		? !has_row(extent)
		: is_settled(explore, model, extent);
	model->found[drive] = number;
}

/* A census to its end, if the drive is to have one. */
static void end_census(struct explore *explore, struct model *model, unsigned drive)
{
	model->has_found[drive] = false;
	if (!model->wants_census[drive] || model->is_away[drive])
		return;
	for (unsigned number = 0; number < model->extent_count; number++) {
		take_census(explore, model, drive, number);
		if (model->has_found[drive])
			take_census(explore, model, drive, number);
	}
	model->wants_census[drive] = false;
}

/* --- what happens, and what has to hold ------------------------------------------------------- */

static void check(struct explore *explore, const struct model *model)
{
	for (unsigned key = 0; key < KEYS; key++)
		for (unsigned i = 0; i < DRIVES && model->keys[key] != 0; i++)
			explore_expect(explore,
				model->extents[model->keys[key] - 1].places[i] == ON_DRIVE,
				"(I1) what is referred to is there");
	for (unsigned n = 0; n < NODES; n++)
		for (unsigned i = 0; i < GETS; i++)
			for (unsigned d = 0; d < DRIVES && model->nodes[n].gets[i].is_used; d++)
				explore_expect(explore,
					model->extents[model->nodes[n].gets[i].extent].places[d] ==
						ON_DRIVE,
					"(I2) what is read stays");
}

static void step(struct explore *explore, struct model *model)
{
	unsigned node = explore_below(explore, NODES);
	unsigned drive = explore_below(explore, DRIVES);
	unsigned extent = explore_below(explore, model->extent_count + 1);
	uint64_t which = explore_below(explore, 100);
	if (which < 12)
		begin_put(explore, model, node);
	else if (which < 30)
		go_on_with_put(explore, model, node);
	else if (which < 36)
		begin_get(explore, model, node);
	else if (which < 42)
		end_get(explore, model, node);
	else if (which < 48)
		report(explore, model, node);
	else if (which < 50)
		set_key(model, explore_below(explore, KEYS), 0);
	else if (which < 51)
		restart(model, node);
	else if (which < 53) {
		model->wants_census[drive] |= explore->mistake != RETURN_WITHOUT_CENSUS;
		model->is_away[drive] = !model->is_away[drive];
		model->has_found[drive] = false;
	} else if (which < 55)
		end_census(explore, model, drive);
	else if (extent < model->extent_count && which < 67)
		dismantle(explore, model, extent);
	else if (extent < model->extent_count)
		take_census(explore, model, drive, extent);
}

/* (I4) Everything ends, and the collector does what is left. */
static void settle(struct explore *explore, struct model *model)
{
	memset(model->is_away, 0, sizeof model->is_away);
	for (unsigned i = 0; i < NODES; i++) {
		memset(model->nodes[i].gets, 0, sizeof model->nodes[i].gets);
		for (unsigned tries = 0; tries < 200; tries++)
			go_on_with_put(explore, model, i);
	}
	for (unsigned i = 0; i < 2 * NODES; i++)
		report(explore, model, i % NODES); /* the second one is above all garbage */
	for (unsigned i = 0; i < DRIVES; i++)
		end_census(explore, model, i);
	for (unsigned number = 0; number < model->extent_count; number++)
		dismantle(explore, model, number);
	check(explore, model);
	for (unsigned number = 0; number < model->extent_count; number++)
		for (unsigned i = 0; i < DRIVES; i++)
			explore_expect(explore,
				has_row(&model->extents[number]) ||
					model->extents[number].places[i] == NOWHERE,
				"(I4) nothing is left over");
}

static void run(struct explore *explore)
{
	static struct model model;
	memset(&model, 0, sizeof model);
	model.index = 1;
	for (unsigned i = 0; i < NODES; i++)
		restart(&model, i);
	for (unsigned i = 0; i < STEPS && !explore->broken; i++) {
		step(explore, &model);
		check(explore, &model);
	}
	if (!explore->broken)
		settle(explore, &model);
}

int main(int argc, char **argv)
{
	static const struct explore_model collection = {
		.name = "model_collection", .run = run, .mistakes = mistakes, .seeds = 1000};
	return explore_main(argc, argv, &collection);
}
