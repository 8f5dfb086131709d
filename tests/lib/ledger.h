/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_LEDGER_H
#define TESTS_LIB_LEDGER_H

#include "tests/lib/sim_store.h"

/* The recount of a store that is quiet: what the index refers to, what the drives say they hold,
 * and what is in their segments, each compared with the next.
 *
 * (C1) Every shard that the index refers to is on its drive, unless the drive is excused.
 * (C2) Every shard on a drive in service is referred to; or it is a spare: the row of its extent
 *      says that it is missing, and it is on a drive of its slot; or it moves, and is on one of the
 *      two drives.
 * (C3) Every shard that a drive lists is a whole record in a segment, unless the drive is excused.
 * (C4) Every extent belongs to a body that is there.
 * (C5) The hash of the index's state is that of its rows.
 */
struct ledger_counts {
	uint64_t extents, shards, missing;
};

/* Aborts the test with a message when something does not hold. is_excused is by the drive's place
 * in the rig. has_records: (C3) too, which takes as long as reading the drives. */
void ledger_check(struct sim_store *rig, const bool *is_excused, bool has_records,
	struct ledger_counts *ret_counts);

/* The same over several nodes with one index; is_excused is by node, then by drive:
 * SIM_STORE_DRIVES_MAX for each node. */
void ledger_check_all(struct sim_store *const *nodes, unsigned node_count, const bool *is_excused,
	bool has_records, struct ledger_counts *ret_counts);

#endif
