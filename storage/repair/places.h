/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_PLACES_H
#define STORAGE_REPAIR_PLACES_H

#include "storage/meta/index_ledger.h"

/* All drives that may have a shard of an extent, for who frees it. Readers ask
 * index_shard_places(), which names only those that are sure to have it. */
#define PLACES_MAX (RING_WIDTH_MAX + 16)

struct places {
	unsigned count;
	uint16_t drives[PLACES_MAX];
};

/* Finds them, under a view: by ring and row, on both ends of a move, and, if has_leftovers, where
 * shards of the slot were left over. A shard that its row calls missing may be on any drive of its
 * slot all the same: its flush failed, so that it was not counted, and a later start found it
 * there. More than PLACES_MAX are left to the census. Errors: those of a lookup. */
MUST_USE enum err places_find(struct index_reader *reader, const struct ring_snapshot *snapshot,
	const struct index_piece *piece, uint8_t shard, bool has_leftovers,
	struct places *ret_places);

#endif
