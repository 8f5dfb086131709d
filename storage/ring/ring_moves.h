/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_RING_RING_MOVES_H
#define STORAGE_RING_RING_MOVES_H

#include "storage/ring/ring.h"

/* The shards of a slot that change their drive when one ring follows another. In the index each is
 * a row while it is pending (row_move), one at most for each (slot, shard). */
struct ring_move {
	uint16_t slot;
	uint8_t shard;
	uint16_t from, to;
};

/* Lists the moves from one ring to another, in an order in which each drive's moves, in and out,
 * are spread evenly over the whole list: whoever works on the first few at a time uses all drives
 * as the whole does. Positions that only one of the rings has are no moves: nothing is there, or
 * nothing stays, until the extents are coded anew.
 *
 * moves has room for slot_count * width of the narrower ring. Errors: ERR_INVALID, the rings have
 * different slots; ERR_NO_MEMORY. */
MUST_USE enum err ring_moves(const struct ring *old, const struct ring *new,
	struct ring_move *ret_moves, size_t *ret_count);

#endif
