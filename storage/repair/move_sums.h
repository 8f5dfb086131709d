/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_MOVE_SUMS_H
#define STORAGE_REPAIR_MOVE_SUMS_H

#include "storage/meta/index_ledger.h"

/* What is left to be moved, by the counts of the index: no scan of extents. Shards whose place is
 * to be nowhere are not moved, but coded anew. */
struct move_sums {
	uint64_t shards;
	uint64_t shard_len; /* bytes of a typical one, of all that there are; 0: there are none */
};

/* Under a view; target NULL: none, only what is on its way. Errors: those of lookups. */
MUST_USE enum err move_sums(struct index_reader *reader, const struct ring_snapshot *snapshot,
	const struct ring *target, struct move_sums *ret_sums);

#endif
