/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_MOVER_H
#define TESTS_LIB_SIM_MOVER_H

#include "storage/meta/index_ledger.h"
#include "tests/lib/sim_store.h"

/* Moves shards in a simulated cluster from its ring to the target, one step at a time and in an
 * order of chance, while the world goes on: begins, copies, advances, turns around, flips, empties.
 * It does what storage/meta/apply_move.c asks of a mover, and no more. It looks at the index of the
 * first node and copies from any. */
struct sim_mover {
	struct sim *sim;
	struct sim_store *const *nodes; /* borrowed */
	unsigned node_count;
	uint64_t random;

	struct ring_snapshot *ring, *target; /* as of this step; target NULL: none */
	uint64_t begun, copied, there, homed, turned, flipped, emptied, freed;
	uint64_t early; /* commands that had to wait */
};

/* Does a step. False: there is nothing left to do. */
bool sim_mover_step(struct sim_mover *mover);

#endif
