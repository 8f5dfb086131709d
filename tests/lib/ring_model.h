/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_RING_MODEL_H
#define TESTS_LIB_RING_MODEL_H

#include "tests/lib/explore.h"

/* What the index does with one slot of the ring, for tests/sim/models_ring.c: a model of the
 * commands of storage/meta/apply_move.c. */

enum { WIDTH = 3, DRIVES = 7, EXTENTS = 40, PUTS = 6, GETS = 6, MOVERS = 3, EMPTIES = 3 };
enum { NONE = -1, MISSING = 0, END = EXTENTS }; /* of exceptions; of cursors */

enum ring_model_mistake {
	MEANT,
	FLIP_BEFORE_END,
	LATE_WRITE_IS_NO_EXCEPTION,
	ADVANCE_BEFORE_COPY,
	EMPTY_IGNORES_READS,
	CANCEL_KEEPS_CURSOR,
	ADVANCE_NAMES_NO_MOVE, /* compares the cursor only */
	MOVER_SKIPS_GARBAGE,
	READ_ASKS_NEW_ONLY,
	BEGIN_WHILE_EMPTYING,
	EMPTY_FREES_UNSETTLED,
	REPAIR_TO_ANY_DRIVE,
	GONE_COUNTS,
	DISMANTLE_FORGETS_FROM,
	TWO_ON_ONE_DRIVE,
};

struct ring_model_move {
	unsigned since; /* log index, and its name; 0: there is none */
	unsigned from, to;
	int cursor; /* extents below have moved */
};

struct ring_model_extent {
	bool is_given, has_row, is_garbage, is_settled;
	unsigned garbage_since;
	int exceptions[WIDTH];
};

struct ring_model_put {
	bool is_used;
	unsigned extent;
	unsigned drives[WIDTH]; /* 0: not written */
};

struct ring_model_get {
	bool is_used, is_excused[WIDTH];
	unsigned extent, index;
	unsigned places[WIDTH][2];
};

struct ring_model_mover {
	bool is_used;
	unsigned shard, since, to;
	int cursor, up_to; /* extents below up_to were copied */
};

struct ring_model_repair {
	bool is_used;
	unsigned extent;
	unsigned drives[WIDTH]; /* 0: that shard stays where it is */
	int from[WIDTH];
};

struct ring_model_empty {
	bool is_used;
	unsigned extent, shard, drive;
};

struct ring_model {
	unsigned index;
	unsigned ring[WIDTH], target[WIDTH], old[WIDTH];
	struct ring_model_move moves[WIDTH];
	unsigned leftovers[WIDTH][DRIVES]; /* log index; 0: none */
	unsigned gone; /* drive; 0: none */
	bool wants_census;
	struct ring_model_extent extents[EXTENTS];
	bool on[DRIVES][EXTENTS][WIDTH];
	struct ring_model_put puts[PUTS];
	struct ring_model_get gets[GETS];
	struct ring_model_mover movers[MOVERS];
	struct ring_model_repair repair;
	struct ring_model_empty empties[EMPTIES];
};

/* What the index knows. */
bool ring_model_has_mistake(const struct explore *explore, enum ring_model_mistake mistake);
bool ring_model_is_gone(const struct ring_model *model, unsigned drive);
unsigned ring_model_goal(const struct ring_model *model, unsigned shard);
bool ring_model_is_place(const struct ring_model *model, unsigned shard, unsigned drive);
bool ring_model_belongs(const struct ring_model *model, const struct ring_model_extent *extent,
	unsigned shard, unsigned drive);
void ring_model_find_places(struct explore *explore, const struct ring_model *model,
	unsigned number, unsigned shard, unsigned places[2]);
bool ring_model_is_on(
	const struct ring_model *model, unsigned drive, unsigned extent, unsigned shard);
void ring_model_put(struct explore *explore, struct ring_model *model, struct ring_model_put *put);
bool ring_model_has_exceptions(const struct ring_model *model, unsigned shard);
void ring_model_begin(struct explore *explore, struct ring_model *model, unsigned shard);
void ring_model_advance(
	struct explore *explore, struct ring_model *model, struct ring_model_mover *mover);
void ring_model_flip(struct explore *explore, struct ring_model *model, unsigned shard);
void ring_model_cancel(struct explore *explore, struct ring_model *model, unsigned shard);
int ring_model_known_place(const struct ring_model *model, unsigned number, unsigned shard);
bool ring_model_is_twice(const int places[WIDTH]);
void ring_model_repair(
	struct explore *explore, struct ring_model *model, struct ring_model_repair *repair);

#endif
