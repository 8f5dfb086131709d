/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_RING_RING_ORDER_H
#define STORAGE_RING_RING_ORDER_H

#include "storage/ring/ring.h"

/* From one ring to the next, a shard at a time. A shard may not move into a domain that another
 * shard of its slot has yet to leave (P1 holds on the way, too), so that the moves of a slot wait
 * for each other; they must not do so in a circle.
 *
 * Drives: those that are not gone; a drive that is not among them has nothing to be waited for.
 * Both rings have the same number of slots. */

/* Changes in which order the target's slots name the drives that are new at their places, so that
 * no move waits for another where that can be. slots are the target's; no more shards move than
 * before. */
void ring_order_untangle(const struct ring *old, const struct ring *target, uint8_t *slots,
	const struct ring_drive_info *drives, size_t drive_count);

/* Can all moves be made one after the other? */
bool ring_order_exists(const struct ring *old, const struct ring *target,
	const struct ring_drive_info *drives, size_t drive_count);

#endif
