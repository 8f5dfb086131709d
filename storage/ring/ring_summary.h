/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_RING_RING_SUMMARY_H
#define STORAGE_RING_RING_SUMMARY_H

#include "storage/ring/ring.h"

/* What a ring means to its owner: how much it holds, what it survives, and what it takes to get to
 * it from another. Nothing here changes anything; `plan` shows it before `apply`.
 *
 * What is known of the bytes is the stored bytes of each slot (row_slot_counts). A shard of a slot
 * is taken to be a k-th of them, rounded up; extents of a code other than the ring's (mirrored,
 * narrowed, of an older profile) make that an estimate, a little too low. */

/* Of a drive, as it says itself. */
struct ring_drive_space {
	uint64_t len; /* that it can hold: its records and what is free. Not what others use */
	uint64_t free_len;
};

struct ring_summary_request {
	const struct ring *old; /* borrowed; NULL: none */
	const struct ring *new; /* borrowed; the same as old: how things are */
	const struct ring_drive_info *drives; /* of both rings; who is missing is gone */
	const struct ring_drive_space *spaces; /* of each drive; NULL: unknown */
	size_t drive_count;
	const uint64_t *slot_lens; /* stored bytes of each slot; NULL: nothing is stored */
	uint64_t rate; /* bytes per second that a node takes in and gives out; 0: unknown */
};

struct ring_drive_summary {
	uint16_t number;
	uint32_t positions_before, positions_after;
	uint64_t len_before;
	uint64_t len_after; /* when all is moved and coded as the new ring says */
	uint64_t in_len, out_len; /* to be moved */
};

struct ring_summary {
	uint64_t stored_len;
	/* Bytes of clients until the first drive is full: as its weight says, or less if it is
	 * known to hold less. A drive that is there and has no weight, since it is to leave, counts
	 * with what it holds, if that is known. */
	uint64_t usable_before, usable_after;
	/* Of usable_after, what still fits when any one domain is gone and its shards were made
	 * anew; all of it if they cannot be, for want of domains (can_heal). */
	uint64_t safe_len;
	bool can_heal;
	uint64_t left_len; /* bytes of clients that fit on top, after the moves; 0 if unknown */
	bool has_room; /* what is moved in fits everywhere; true if unknown */
	uint32_t move_count; /* (slot, shard)s */
	uint64_t move_len;
	uint64_t rebuild_len; /* of move_len, from drives that are gone */
	uint64_t recode_len; /* stored bytes that are coded otherwise than the new ring says */
	uint64_t move_ms; /* of the node with most to take in or give out; 0 if unknown */
	/* How many of the worst may be lost without a byte: of the ring's domains, of drives, nodes
	 * and zones (drives without a zone make one of each node). */
	uint8_t survives, survives_drives, survives_nodes, survives_zones;
};

/* Sums up. ret_drives has drive_count entries. Errors: ERR_INVALID, the rings have different
 * slots; ERR_NO_MEMORY. */
MUST_USE enum err ring_summarize(const struct ring_summary_request *request,
	struct ring_drive_summary *ret_drives, struct ring_summary *ret_summary);

/* Checks the new ring (ring_check()), and with code of its own the usable bytes, the moves and
 * their bytes that a summary reports. For every table before it is proposed. Errors: ERR_INVALID.
 */
MUST_USE enum err ring_check_summary(const struct ring_summary_request *request,
	const struct ring_drive_summary *drives, const struct ring_summary *summary);

/* --- what if -------------------------------------------------------------------------------------
 */

/* A ring with some drives failed; nothing moved yet. Extents are taken to be coded as the ring
 * says. */
struct ring_outlook {
	uint32_t readable, unreadable; /* slots */
	uint32_t writable, narrowed, stopped; /* slots: as the profile says; (a - 1, 1); 503 */
	uint32_t safe; /* slots of which one more domain may be lost */
	uint64_t unreadable_len; /* stored bytes */
	uint64_t unsafe_len; /* readable, and would not survive the loss of one more domain */
};

void ring_simulate(const struct ring *ring, const uint16_t *failed, size_t failed_count,
	const uint64_t *slot_lens, struct ring_outlook *ret_outlook);

/* --- durability ----------------------------------------------------------------------------------
 *
 * A stripe is on w = k + m units that fail independently, each at a rate f, and is lost when m + 1
 * are down at once. A unit that is down is whole again after r on average; all that are down are
 * repaired one after the other. With i units down, the next fails at a_i = (w - i) f, and one comes
 * back at b = 1 / r (b_0 = 0). The mean time from i to i + 1 down is
 *
 *     T_i = 1 / a_i + b_i / a_i * T_(i-1),
 *
 * that to loss T = T_0 + ... + T_m, and a year's chance of loss 1 - exp(-1 year / T). f follows
 * from the part that fails in a year: 1 - exp(-f * 1 year) = afr. r is the wait for a new part plus
 * the time to make the shards of one unit anew; where a domain is free, it is the time until a
 * drive is given up instead of the wait.
 *
 * It does not know what fails together (supply, fire, theft, firmware, our own mistakes): that is
 * the greater part of what really happens. It says which ring is better, not how good one is. */
struct ring_durability_assumptions {
	double afr; /* part of the units that fails in a year */
	double wait_hours; /* until a part is replaced */
	double give_up_hours; /* until a domain that is free takes its place */
	double rebuild_hours; /* to make one unit's shards anew */
};

#define RING_DURABILITY_DEFAULT \
	((struct ring_durability_assumptions){ \
		.afr = 0.02, .wait_hours = 7 * 24, .give_up_hours = 24, .rebuild_hours = 12})

struct ring_durability {
	double repair_hours; /* r */
	double slot_loss; /* a year's chance that the stripes of a slot are lost */
	double any_loss; /* that those of any slot are; slots on the same drives are lost together
			  */
	uint32_t group_count; /* different sets of drives that slots are on */
	uint8_t nines; /* of 1 - any_loss, floored */
};

/* has_free: there are more domains than a slot is wide (can_heal of the summary). Errors:
 * ERR_INVALID, assumptions out of range; ERR_NO_MEMORY. */
MUST_USE enum err ring_durability(const struct ring *ring, bool has_free,
	const struct ring_durability_assumptions *assumptions,
	struct ring_durability *ret_durability);

#endif
