/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_MOVER_PRIV_H
#define STORAGE_REPAIR_MOVER_PRIV_H

#include "storage/repair/mover.h"

/* What the files of the mover share: mover_begin.c begins moves, mover.c carries them out. */

static inline struct index_reader *mover_reader(const struct mover *mover)
{
	return mover->crew->store->reader;
}

static inline struct index *mover_index(const struct mover *mover)
{
	return mover->crew->store->store->index;
}

static inline uint64_t mover_now_ms(const struct mover *mover)
{
	return loop_now_ms(mover->crew->store->loop);
}

/* Drives of a slot that were given up. */
static inline unsigned mover_count_gone(const struct ring_snapshot *snapshot, uint32_t slot)
{
	const struct ring *ring = ring_snapshot_ring(snapshot);
	unsigned count = 0;
	for (uint8_t i = 0; i < ring->width; i++)
		count += ring_snapshot_is_gone(snapshot, ring_drive(ring, slot, i));
	return count;
}

/* Begins the next few moves, if few enough are pending. */
void mover_begin_moves(struct mover *mover);

#endif
