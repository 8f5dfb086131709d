/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_RING_RING_PLAN_H
#define STORAGE_RING_RING_PLAN_H

#include "storage/ring/ring.h"

/* The planner: from the ring there is, or none, and the drives there are, to the next ring.
 *
 * What it seeks, in this order:
 * (N1) The drives of a slot are in different domains, and each has a weight. At the level of zones,
 *      drives of one node or of one zone are in one domain, and so is who shares either with them.
 * (N2) A ring of a flash class has no hdd, a ring of hdd nothing else, where such drives alone are
 *      in enough domains; where not, all drives are alike.
 * (N3) Capacity: as many bytes per position as 199/200 of the best that any table can have. The
 *      rest is left to (N5): small changes of weights move nothing.
 * (N4) No drive has less than 7/8 of its share: the positions that are its own in proportion to its
 *      weight, where no domain has more than one in each slot. So a new drive is never left empty.
 * (N5) The fewest shards move that (N1) to (N4) allow: exactly the fewest, not about. A shard stays
 *      on its drive only at its own place in the slot.
 * (N6) Of tables that move as few, one that has fewest positions above the shares.
 * (N7) Drives share slots with all others, as chance has it: all help when one is rebuilt.
 * A first plan is one with nothing to keep, by the same code. The same request always gives the
 * same ring, whatever the order of the drives.
 */
struct ring_plan_request {
	const struct ring *old; /* borrowed; NULL: none */
	const struct ring_drive_info
		*drives; /* borrowed; who leaves has no weight, or is not here */
	size_t drive_count;
	struct ring_profile profile;
	uint8_t domain; /* enum ring_domain */
	uint8_t class; /* storage class */
	uint8_t drive_class;
	uint32_t slot_count; /* the old ring's, if there is one */
};

/* Plans a ring. slots gets slot_count * (k + m) * 2 bytes and is borrowed by ret_ring, whose
 * version follows the old one's. Takes memory for slot_count * (k + m) positions while it runs, and
 * milliseconds (a tenth of a second for 100 drives and 1024 slots of 8).
 * Errors: ERR_QUORUM, fewer domains than k + m; ERR_INVALID, numbers out of range; ERR_NO_MEMORY.
 */
MUST_USE enum err ring_plan(
	const struct ring_plan_request *request, uint8_t *slots, struct ring *ret_ring);

/* The most bytes of clients that any ring of this request can hold. Errors: as ring_plan(). */
MUST_USE enum err ring_plan_best(const struct ring_plan_request *request, uint64_t *ret_len);

#endif
