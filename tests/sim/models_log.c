/* SPDX-License-Identifier: Apache-2.0 */
/* The log, as a model: what was acknowledged is found again, whatever a crash does to the last
 * writes; and damage is told, never cut off.
 *
 * A frame is one write: its entries, or a truncation, with the segment's generation, its own
 * number, and a checksum that is seeded with the one of the frame before. A crash leaves the write
 * in flight or not. Replay takes frames as long as each follows from the one before; a valid frame
 * behind the place where it stops is damage.
 *
 * (I1) Every entry that was acknowledged and not truncated or released is found after a crash, with
 *      its value; unless replay says that there is damage.
 * (I2) What is found behind those was given, in order.
 * (I3) Replay says damage only if a durable frame was damaged.
 * (I4) What was truncated is not found.
 */
#include <string.h>

#include "tests/lib/explore.h"

enum {
	SEGMENTS = 4,
	SLOTS = 6, /* frames of a segment */
	ENTRIES = 400,
	STEPS = 300,
	IN_FLIGHT = 3,
};

enum mistake {
	MEANT,
	WRITES_OVERTAKE, /* several frames in flight, each acknowledged when it is written */
	TRUNCATION_OVERWRITES, /* goes back to the frame of the entry */
	CHECKSUM_IS_IGNORED, /* a torn frame counts when its number is right */
	DAMAGE_IS_CUT_OFF, /* replay takes a break for the end */
	RELEASED_TOO_EARLY, /* below what is applied, not below what is applied durably */
};

static const char *const mistakes[] = {"writes overtake each other", "a truncation is an overwrite",
	"a torn frame is not seen by its checksum", "damage is cut off silently",
	"segments go before their entries are applied durably", 0};

struct frame {
	bool is_valid;
	uint64_t number, seed; /* of the checksum: that of the frame before */
	bool is_truncation;
	unsigned index; /* of its entry, or the first one that is void */
	unsigned value;
};

struct flight {
	struct frame frame;
	unsigned segment, slot;
};

struct model {
	/* On the disk. */
	struct frame disk[SEGMENTS][SLOTS];
	unsigned durably_applied;
	unsigned base; /* what the log began with when its oldest segment did: in the state file */
	uint64_t base_number, base_checksum;
	unsigned base_segment;
	/* The writer. */
	unsigned segment, slot, segment_count; /* in use, from base_segment on */
	uint64_t next_number, checksum;
	unsigned next_index; /* of the next entry; from 1 */
	struct flight flights[IN_FLIGHT];
	unsigned flight_count;
	/* What is true. */
	unsigned values[ENTRIES]; /* of the entry at each index, as given */
	unsigned acknowledged; /* all up to here */
	unsigned voids; /* a truncation to here is in flight, if not 0 */
	unsigned next_value;
	bool is_damaged;
};

static uint64_t checksum_of(const struct frame *frame)
{
	uint64_t sum = frame->seed * 31 + frame->number * 7;
	return sum * 0x9e3779b97f4a7c15u + frame->index * 3 + frame->value + frame->is_truncation;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Lets go of the oldest segments whose entries are all applied. */
static void release(struct explore *explore, struct model *model)
{
	unsigned applied = explore->mistake == RELEASED_TOO_EARLY ? model->acknowledged
								  : model->durably_applied;
	while (model->segment_count > 1) {
		unsigned last = model->base;
		const struct frame *frames = model->disk[model->base_segment];
		for (unsigned i = 0; i < SLOTS; i++)
			if (frames[i].index > last)
				last = frames[i].index;
		if (last > applied || model->flight_count > 0)
			return;
		unsigned next = (model->base_segment + 1) % SEGMENTS;
		const struct frame *first = &model->disk[next][0];
		if (model->segment == next && model->slot == 0)
			return;
		model->base = last;
		model->base_segment = next;
		model->base_number = first->number;
		model->base_checksum = first->seed;
		model->segment_count--;
	}
}

static bool find_room(struct explore *explore, struct model *model)
{
	if (model->slot < SLOTS)
		return true;
	release(explore, model);
	if (model->segment_count == SEGMENTS)
		return false;
	model->segment = (model->segment + 1) % SEGMENTS;
	model->segment_count++;
	model->slot = 0;
	return true;
}

static void write(struct explore *explore, struct model *model, struct frame frame)
{
	unsigned max = explore->mistake == WRITES_OVERTAKE ? IN_FLIGHT : 1;
	if (model->flight_count >= max || model->voids != 0 || !find_room(explore, model))
		return;
	frame.is_valid = true;
	frame.number = model->next_number++;
	frame.seed = model->checksum;
	model->checksum = checksum_of(&frame);
	model->flights[model->flight_count++] = (struct flight){
		frame, model->segment, model->slot++};
	if (frame.is_truncation) {
		model->voids = frame.index;
		model->next_index = frame.index;
	} else {
		model->values[frame.index] = frame.value;
		model->next_index++;
	}
}

static void append(struct explore *explore, struct model *model)
{
	if (model->next_index < ENTRIES)
		write(explore, model,
			(struct frame){.index = model->next_index, .value = model->next_value++});
}

static void truncate(struct explore *explore, struct model *model)
{
	if (model->flight_count > 0 || model->acknowledged <= model->durably_applied ||
		model->acknowledged <= model->base)
		return;
	unsigned low = model->durably_applied > model->base ? model->durably_applied : model->base;
	unsigned index = low + 1 + explore_below(explore, model->acknowledged - low);
	if (explore->mistake != TRUNCATION_OVERWRITES) {
		write(explore, model, (struct frame){.is_truncation = true, .index = index});
		return;
	}
	/* Goes back to where that entry is, and lets the next frame be written over it. */
	for (unsigned slot = 0; slot < model->slot; slot++) {
		const struct frame *frame = &model->disk[model->segment][slot];
		if (frame->index != index || frame->is_truncation)
			continue;
		model->slot = slot;
		model->next_number = frame->number;
		model->checksum = frame->seed;
		model->next_index = index;
		model->acknowledged = index - 1;
		return;
	}
}

/* A write is durable; the entries that are, all of them from the first, are acknowledged. */
static void end_write(struct explore *explore, struct model *model)
{
	if (model->flight_count == 0)
		return;
	unsigned i = explore_below(explore, model->flight_count);
	struct flight flight = model->flights[i];
	memmove(&model->flights[i], &model->flights[i + 1],
		(--model->flight_count - i) * sizeof flight);
	model->disk[flight.segment][flight.slot] = flight.frame;
	if (flight.frame.is_truncation) {
		model->acknowledged = flight.frame.index - 1;
		model->voids = 0;
	} else {
		model->acknowledged = flight.frame.index;
	}
}

/* --- a crash, and replay ---------------------------------------------------------------------- */

static struct frame torn(struct frame frame)
{
	frame.is_valid = false;
	frame.value = 0;
	return frame;
}

static void lose_writes(struct explore *explore, struct model *model)
{
	for (unsigned i = 0; i < model->flight_count; i++) {
		const struct flight *flight = &model->flights[i];
		struct frame *place = &model->disk[flight->segment][flight->slot];
		if (explore_chance(explore, 40))
			*place = flight->frame;
		else if (explore_chance(explore, 50))
			*place = torn(flight->frame);
	}
	model->flight_count = 0;
}

/* Is a frame of this life of its segment, with a higher number, behind the place? */
static bool is_more_behind(const struct model *model, unsigned segment, unsigned slot)
{
	for (unsigned i = segment; i < SEGMENTS; i++, slot = 0) {
		unsigned at = (model->base_segment + i) % SEGMENTS;
		for (unsigned j = slot; j < SLOTS; j++) {
			const struct frame *frame = &model->disk[at][j];
			if (frame->is_valid && frame->number > model->next_number)
				return true;
		}
	}
	return false;
}

/* Takes frames from the oldest segment on; false: there is damage. */
static bool replay(struct explore *explore, struct model *model, unsigned *values)
{
	model->next_number = model->base_number;
	model->checksum = model->base_checksum;
	model->next_index = model->base + 1;
	model->slot = SLOTS;
	unsigned count = 0;
	for (; count < SEGMENTS * SLOTS; count++) {
		unsigned at = (model->base_segment + count / SLOTS) % SEGMENTS;
		const struct frame *frame = &model->disk[at][count % SLOTS];
		bool is_valid = frame->is_valid || explore->mistake == CHECKSUM_IS_IGNORED;
		if (!is_valid || frame->number != model->next_number ||
			frame->seed != model->checksum)
			break;
		model->checksum = checksum_of(frame);
		model->next_number++;
		if (!frame->is_truncation)
			values[frame->index] = frame->value;
		model->next_index = frame->index + !frame->is_truncation;
	}
	model->segment = (model->base_segment + count / SLOTS) % SEGMENTS;
	model->segment_count = count / SLOTS + 1;
	model->slot = count % SLOTS;
	if (count == SEGMENTS * SLOTS) {
		model->segment = (model->base_segment + SEGMENTS - 1) % SEGMENTS;
		model->segment_count = SEGMENTS;
		model->slot = SLOTS;
		return true;
	}
	return explore->mistake == DAMAGE_IS_CUT_OFF ||
		!is_more_behind(model, count / SLOTS, count % SLOTS);
}

static void crash(struct explore *explore, struct model *model)
{
	lose_writes(explore, model);
	unsigned found[ENTRIES] = {0};
	bool is_whole = replay(explore, model, found);
	if (!is_whole) {
		explore_expect(
			explore, model->is_damaged, "(I3) damage is told only if there is any");
		return;
	}
	unsigned low = model->durably_applied;
	explore_expect(explore, model->base <= low, "(I1) what is not applied durably is there");
	unsigned safe = model->acknowledged;
	if (model->voids != 0 && model->next_index == model->voids)
		safe = model->voids - 1; /* the truncation in flight was kept */
	for (unsigned i = low + 1; i <= safe; i++)
		explore_expect(explore, i < model->next_index && found[i] == model->values[i],
			"(I1) what was acknowledged is found");
	for (unsigned i = safe + 1; i < model->next_index; i++)
		explore_expect(
			explore, found[i] == model->values[i], "(I2) what is found was given");
	explore_expect(explore, model->next_index <= safe + 1 + IN_FLIGHT,
		"(I4) what was truncated is not found");
	model->acknowledged = model->next_index - 1;
	model->voids = 0;
}

/* A bit turns in a durable frame that has others behind it: then replay must see it. */
static void rot(struct explore *explore, struct model *model)
{
	unsigned slot = explore_below(explore, SLOTS);
	if (model->flight_count > 0 || slot + 2 >= model->slot || model->voids != 0)
		return;
	model->disk[model->segment][slot].is_valid = false;
	model->is_damaged = true;
}

static void step(struct explore *explore, struct model *model)
{
	uint64_t which = explore_below(explore, 1000);
	if (which < 450)
		append(explore, model);
	else if (which < 820)
		end_write(explore, model);
	else if (which < 860)
		truncate(explore, model);
	else if (which < 930 && model->acknowledged > model->durably_applied)
		model->durably_applied += explore_below(
			explore, model->acknowledged - model->durably_applied + 1);
	else if (which < 990)
		crash(explore, model);
	else if (which < 992)
		rot(explore, model);
}

static void run(struct explore *explore)
{
	static struct model model;
	memset(&model, 0, sizeof model);
	model.segment_count = 1;
	model.next_number = model.base_number = 1;
	model.next_index = 1;
	model.next_value = 1;
	for (unsigned i = 0; i < STEPS && !explore->broken && !model.is_damaged; i++)
		step(explore, &model);
	if (!explore->broken)
		crash(explore, &model);
}

int main(int argc, char **argv)
{
	static const struct explore_model log = {
		.name = "model_log", .run = run, .mistakes = mistakes, .seeds = 2000};
	return explore_main(argc, argv, &log);
}
