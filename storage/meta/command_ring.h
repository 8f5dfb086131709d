/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_COMMAND_RING_H
#define STORAGE_META_COMMAND_RING_H

#include "storage/bytes.h"
#include "storage/id.h"

/* The commands that change the ring under extents (apply_move.c); part of command.h. */

/* A ring to move to, while extents stay readable: ring_encode(). STALE if its version is not the
 * one behind ring and target, or if its moves would wait for each other in a circle: those that
 * ring_order_untangle() has seen do not, so moves have begun since. REFUSED: not a ring of these
 * drives, or another number of slots. A target that is there already is replaced; what is on its
 * way to that one arrives, or is turned around, before it moves on. result.count: version of the
 * ring; it is the target's already if nothing has to move. */
struct command_ring_target {
	struct bytes ring;
};

#define COMMAND_RING_MOVES_MAX 256
#define COMMAND_RING_FLIPS_MAX 128

/* A shard of a slot, where ring and target differ. */
struct command_ring_move {
	uint16_t slot;
	uint8_t shard;
	uint16_t drive; /* of MOVE_EMPTIED */
	uint64_t since; /* which move, or leftover; not of MOVE_BEGIN */
};

/* Lists of command_ring_move. All or nothing; result.id is the place in the list of the first one
 * that could not be, from 0.
 *
 * BEGIN: from the ring's drive to the target's. STALE: ring and target do not differ there, or it
 * moves already. EARLY: another shard has to leave the drive's domain, or the drive has to be
 * emptied of such shards. LIMIT: RING_MOVES_MAX. Where the slot has no such shard the ring changes
 * at once.
 * FLIP: the new drive is the owner. EARLY until the cursor is at the end and no exception is left.
 * CANCEL: turns a move around that the target does not want any more, or whose new drive is gone.
 * One that goes nowhere ends instead, if the target has a drive for it.
 */
struct command_moves {
	struct bytes moves;
};

/* The extents behind cursor up to up_to, or all others, are on the new drive. STALE if the move is
 * another one, or the cursor elsewhere. LIMIT: the slot has more than COMMAND_MOVES_MAX extents
 * there. EARLY: an extent has another shard on the new drive, which has to come home first; or the
 * position goes away (to is 0), and an extent still has such a shard. */
struct command_move_advance {
	uint16_t slot;
	uint8_t shard;
	uint64_t since;
	struct extent_id cursor, up_to;
	bool is_end;
};

/* Shards of (slot, shard) that nothing names are gone from the drive. List of command_ring_move.
 * EARLY while a read could still need them; STALE if there are newer ones. */
struct command_move_emptied {
	struct bytes leftovers;
};

/* Writes down, some at a time, which shards a gone drive took along. result.count: the slot to go
 * on with; 0: that was all. */
struct command_span_begin {
	uint16_t drive;
	uint32_t slot;
};

#endif
