/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies, as a model: versions, parts and slices refer to bodies, references are counted, and the
 * last one's end is final.
 *
 * Commands are proposed from what was seen some time before, and applied once each, in any order;
 * bodies are dismantled in bounded steps by a collector that may die between freeing and saying so,
 * and then does the step again.
 *
 * (I1) The references that a body counts are those that there are.
 * (I2) A body without a reference never has one again.
 * (I3) What is reached from a version or a part is whole: no piece of it is gone.
 * (I4) Freed are only pieces that nothing names.
 * (I5) When all is quiet and no key is left, no body is left, and no extent.
 */
#include <string.h>

#include "tests/lib/explore.h"

enum {
	KEYS = 4,
	BODIES = 200,
	PIECES = 4,
	EXTENTS = 600,
	UPLOADS = 3,
	PARTS = 3,
	PENDING = 8,
	STEPS = 500,
};

enum mistake {
	MEANT,
	COPY_OF_WHAT_IS_GONE, /* a copy does not look whether the version still names the body */
	PARTS_KEEP_THEIRS, /* a completed upload's parts give their references up as well */
	SWAP_IGNORES_GENERATION,
	SLICE_WITHOUT_REFERENCE,
	STEP_IS_NOT_REPEATABLE, /* takes one reference of a piece each time it is done */
};

static const char *const mistakes[] = {"a copy revives a body",
	"complete takes the parts' references over and they are given up all the same",
	"a swap does not look at the generation", "a slice is no reference",
	"a step of dismantling that is done again counts again", 0};

struct piece {
	bool is_slice;
	unsigned of; /* an extent, or a body */
};

struct body {
	bool is_there;
	unsigned refs, generation;
	bool was_final; /* had no reference once */
	unsigned piece_count;
	struct piece pieces[PIECES];
};

struct upload {
	bool is_open;
	unsigned parts[PARTS]; /* body + 1 */
};

enum kind { PUT, COPY, DELETE, PART, PART_COPY, COMPLETE, ABORT, SWAP, DISMANTLED, KINDS };

/* A command, with what its proposer saw. */
struct pending {
	bool is_used;
	enum kind kind;
	unsigned key, body, source, upload, part, generation, extent, piece_count;
};

struct model {
	struct body bodies[BODIES];
	unsigned body_count;
	bool is_extent_there[EXTENTS]; /* on the drives */
	unsigned extent_count;
	unsigned keys[KEYS]; /* body + 1 */
	struct upload uploads[UPLOADS];
	struct pending pending[PENDING];
};

/* --- references ------------------------------------------------------------------------------- */

static void refer(struct explore *explore, struct model *model, unsigned number)
{
	struct body *body = &model->bodies[number];
	explore_expect(explore, body->is_there && !body->was_final, "(I2) zero is final");
	body->refs++;
}

static void let_go(struct explore *explore, struct model *model, unsigned number)
{
	struct body *body = &model->bodies[number];
	if (!explore_expect(explore, body->refs > 0, "(I1) nobody lets go of what is not held"))
		return;
	body->refs--;
	body->was_final |= body->refs == 0;
}

static unsigned new_extent(struct model *model)
{
	model->is_extent_there[model->extent_count] = true;
	return model->extent_count++;
}

static struct body *new_body(struct model *model)
{
	struct body *body = &model->bodies[model->body_count++];
	body->is_there = true;
	return body;
}

static void set_key(struct explore *explore, struct model *model, unsigned key, unsigned value)
{
	unsigned old = model->keys[key];
	model->keys[key] = value;
	if (old != 0)
		let_go(explore, model, old - 1);
}

static void set_part(struct explore *explore, struct upload *upload, struct model *model,
	unsigned part, unsigned value)
{
	unsigned old = upload->parts[part];
	upload->parts[part] = value;
	if (old != 0)
		let_go(explore, model, old - 1);
}

/* --- apply ------------------------------------------------------------------------------------ */

static void apply_put(struct explore *explore, struct model *model, const struct pending *command)
{
	struct upload *upload = &model->uploads[command->upload];
	if (command->kind == PART && !upload->is_open) {
		model->is_extent_there[command->extent] = false; /* refused: the writer frees it */
		return;
	}
	struct body *body = new_body(model);
	body->pieces[body->piece_count++] = (struct piece){false, command->extent};
	body->refs = 1;
	if (command->kind == PUT)
		set_key(explore, model, command->key, body - model->bodies + 1);
	else
		set_part(explore, upload, model, command->part, body - model->bodies + 1);
}

static void apply_copy(struct explore *explore, struct model *model, const struct pending *command)
{
	bool is_named = model->keys[command->source] == command->body + 1;
	if (!is_named && explore->mistake != COPY_OF_WHAT_IS_GONE)
		return;
	struct upload *upload = &model->uploads[command->upload];
	if (command->kind == COPY) {
		refer(explore, model, command->body);
		set_key(explore, model, command->key, command->body + 1);
	} else if (upload->is_open) {
		struct body *body = new_body(model);
		body->pieces[body->piece_count++] = (struct piece){true, command->body};
		body->refs = 1;
		if (explore->mistake != SLICE_WITHOUT_REFERENCE)
			refer(explore, model, command->body);
		set_part(explore, upload, model, command->part, body - model->bodies + 1);
	}
}

static void apply_complete(
	struct explore *explore, struct model *model, const struct pending *command)
{
	struct upload *upload = &model->uploads[command->upload];
	if (!upload->is_open || !(upload->parts[0] || upload->parts[1] || upload->parts[2]))
		return;
	struct body *body = new_body(model);
	for (unsigned i = 0; i < PARTS; i++) {
		if (upload->parts[i] == 0)
			continue;
		/* The part's reference is the slice's from now on. */
		body->pieces[body->piece_count++] = (struct piece){true, upload->parts[i] - 1};
		if (explore->mistake == PARTS_KEEP_THEIRS)
			let_go(explore, model, upload->parts[i] - 1);
		upload->parts[i] = 0;
	}
	upload->is_open = false;
	body->refs = 1;
	set_key(explore, model, command->key, body - model->bodies + 1);
}

static void apply_abort(struct explore *explore, struct model *model, const struct pending *command)
{
	struct upload *upload = &model->uploads[command->upload];
	for (unsigned i = 0; i < PARTS && upload->is_open; i++)
		set_part(explore, upload, model, i, 0);
	upload->is_open = false;
}

/* A new extent for the same bytes; the old one is freed by who swapped. */
static void apply_swap(struct model *model, const struct pending *command, bool is_checked)
{
	struct body *body = &model->bodies[command->body];
	bool is_stale = !body->is_there || body->was_final || body->pieces[0].is_slice ||
		(is_checked && body->generation != command->generation);
	unsigned freed = command->extent;
	if (!is_stale) {
		body->pieces[0].of = command->extent;
		body->generation++;
		freed = command->source; /* the extent that was seen */
	}
	model->is_extent_there[freed] = false;
}

/* The last piece's shards are freed: the piece goes, and at the end the body. Once only. */
static void apply_dismantled(
	struct explore *explore, struct model *model, const struct pending *command)
{
	struct body *body = &model->bodies[command->body];
	if (!body->is_there || body->piece_count == 0)
		return;
	bool is_again = body->piece_count != command->piece_count;
	const struct piece *piece = &body->pieces[body->piece_count - 1];
	if (is_again) {
		if (explore->mistake == STEP_IS_NOT_REPEATABLE && piece->is_slice)
			let_go(explore, model, piece->of);
		return;
	}
	if (piece->is_slice)
		let_go(explore, model, piece->of);
	body->is_there = --body->piece_count > 0;
}

static void apply(struct explore *explore, struct model *model, struct pending *command)
{
	struct pending copy = *command;
	command->is_used = false;
	if (copy.kind == PUT || copy.kind == PART)
		apply_put(explore, model, &copy);
	else if (copy.kind == COPY || copy.kind == PART_COPY)
		apply_copy(explore, model, &copy);
	else if (copy.kind == DELETE)
		set_key(explore, model, copy.key, 0);
	else if (copy.kind == COMPLETE)
		apply_complete(explore, model, &copy);
	else if (copy.kind == ABORT)
		apply_abort(explore, model, &copy);
	else if (copy.kind == SWAP)
		apply_swap(model, &copy, explore->mistake != SWAP_IGNORES_GENERATION);
	else
		apply_dismantled(explore, model, &copy);
}

/* --- proposing -------------------------------------------------------------------------------- */

/* Frees what the last piece of a final body is, and says so; or dies before that. */
static bool dismantle(struct explore *explore, struct model *model, struct pending *command)
{
	command->body = explore_below(explore, model->body_count + 1);
	const struct body *body = &model->bodies[command->body];
	if (command->body == model->body_count || !body->was_final || body->piece_count == 0)
		return false;
	const struct piece *piece = &body->pieces[body->piece_count - 1];
	if (!piece->is_slice)
		model->is_extent_there[piece->of] = false;
	command->piece_count = body->piece_count;
	return explore_chance(explore, 70);
}

static void propose(struct explore *explore, struct model *model, enum kind kind)
{
	struct pending *command = &model->pending[explore_below(explore, PENDING)];
	if (command->is_used || model->body_count + PENDING >= BODIES ||
		model->extent_count == EXTENTS)
		return;
	*command = (struct pending){.kind = kind,
		.key = explore_below(explore, KEYS),
		.source = explore_below(explore, KEYS),
		.upload = explore_below(explore, UPLOADS),
		.part = explore_below(explore, PARTS)};
	unsigned seen = model->keys[command->source];
	if (kind == PUT || kind == PART)
		command->extent = new_extent(model);
	if (kind == DISMANTLED && !dismantle(explore, model, command))
		return;
	if (kind == COPY || kind == PART_COPY || kind == SWAP) {
		if (seen == 0)
			return;
		command->body = seen - 1;
	}
	if (kind == SWAP) {
		const struct body *body = &model->bodies[command->body];
		if (body->pieces[0].is_slice)
			return;
		command->generation = body->generation;
		command->source = body->pieces[0].of;
		command->extent = new_extent(model);
	}
	command->is_used = true;
}

/* --- what has to hold ------------------------------------------------------------------------- */

static void check_whole(struct explore *explore, const struct model *model, unsigned number)
{
	const struct body *body = &model->bodies[number];
	if (!explore_expect(explore, body->is_there, "(I3) what is named is there"))
		return;
	for (unsigned i = 0; i < body->piece_count; i++) {
		if (body->pieces[i].is_slice)
			check_whole(explore, model, body->pieces[i].of);
		else
			explore_expect(explore, model->is_extent_there[body->pieces[i].of],
				"(I4) what is named is not freed");
	}
}

static void check(struct explore *explore, const struct model *model)
{
	unsigned refs[BODIES] = {0};
	for (unsigned i = 0; i < KEYS; i++)
		if (model->keys[i] != 0) {
			refs[model->keys[i] - 1]++;
			check_whole(explore, model, model->keys[i] - 1);
		}
	for (unsigned i = 0; i < UPLOADS * PARTS; i++) {
		unsigned part = model->uploads[i / PARTS].parts[i % PARTS];
		if (part != 0) {
			refs[part - 1]++;
			check_whole(explore, model, part - 1);
		}
	}
	for (unsigned i = 0; i < model->body_count; i++)
		for (unsigned j = 0; j < model->bodies[i].piece_count; j++)
			if (model->bodies[i].is_there && model->bodies[i].pieces[j].is_slice)
				refs[model->bodies[i].pieces[j].of]++;
	for (unsigned i = 0; i < model->body_count; i++)
		explore_expect(explore,
			!model->bodies[i].is_there || model->bodies[i].refs == refs[i],
			"(I1) references are counted");
}

/* (I5) */
static void settle(struct explore *explore, struct model *model)
{
	for (unsigned i = 0; i < PENDING; i++)
		if (model->pending[i].is_used)
			apply(explore, model, &model->pending[i]);
	for (unsigned i = 0; i < UPLOADS; i++)
		apply_abort(explore, model, &(struct pending){.upload = i});
	for (unsigned i = 0; i < KEYS; i++)
		set_key(explore, model, i, 0);
	for (unsigned tries = 0; tries < 40 * BODIES; tries++) {
		struct pending command = {.kind = DISMANTLED, .is_used = true};
		if (dismantle(explore, model, &command))
			apply(explore, model, &command);
	}
	for (unsigned i = 0; i < model->body_count; i++)
		explore_expect(explore, !model->bodies[i].is_there, "(I5) no body is left");
	for (unsigned i = 0; i < model->extent_count; i++)
		explore_expect(explore, !model->is_extent_there[i], "(I5) no extent is left");
}

static void run(struct explore *explore)
{
	static struct model model;
	memset(&model, 0, sizeof model);
	for (unsigned i = 0; i < STEPS && !explore->broken; i++) {
		unsigned which = explore_below(explore, KINDS + 10);
		struct pending *command = &model.pending[explore_below(explore, PENDING)];
		if (which < KINDS)
			propose(explore, &model, which);
		else if (which == KINDS)
			model.uploads[explore_below(explore, UPLOADS)].is_open = true;
		else if (command->is_used)
			apply(explore, &model, command);
		check(explore, &model);
	}
	if (!explore->broken)
		settle(explore, &model);
}

int main(int argc, char **argv)
{
	static const struct explore_model bodies = {
		.name = "model_bodies", .run = run, .mistakes = mistakes, .seeds = 1000};
	return explore_main(argc, argv, &bodies);
}
