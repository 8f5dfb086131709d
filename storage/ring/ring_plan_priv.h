/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_RING_RING_PLAN_PRIV_H
#define STORAGE_RING_RING_PLAN_PRIV_H

#include "storage/ring/ring_plan.h"

/* A plan in the making; the way through it is told in ring_plan.c. */

#define PLAN_NONE UINT32_MAX

typedef unsigned __int128 plan_wide; /* weights times positions, and bytes with a fraction */
#define PLAN_FRACTION_BITS 24 /* of bytes per position */

struct plan_drive {
	const struct ring_drive_info *info;
	uint32_t domain;
	uint64_t exact; /* positions in proportion to its weight, in 2^-32 */
	uint32_t lo; /* it never gets less */
	uint32_t fair; /* exact, in whole positions */
	uint32_t hi; /* it never gets more */
	uint32_t count; /* it has */
};

/* Drives of a domain are next to each other. */
struct plan_domain {
	plan_wide weight;
	uint32_t first, drive_count;
	uint32_t share; /* of all positions, while they are given out */
	bool is_full; /* it is in every slot */
};

struct plan {
	const struct ring *old; /* NULL: none */
	struct ring_drive_info *infos; /* all drives of the request, sorted by number */
	size_t info_count;
	struct plan_drive *drives; /* those that may be chosen */
	uint32_t drive_count;
	struct plan_domain *domains;
	uint32_t domain_count;
	uint32_t slot_count;
	uint8_t width;
	plan_wide best; /* bytes per position, with a fraction: no table reaches more */
	uint32_t *entries; /* slot by slot the drives chosen, width of them, in no order */
	uint64_t *has_domain; /* a bit for each domain, slot by slot */
	uint64_t *was_there; /* a bit for each drive, slot by slot: it costs nothing to have it */
	uint32_t domain_words, drive_words; /* of them for each slot */
	uint32_t *by_number; /* drive of each number, PLAN_NONE for others */
	uint32_t *at_position; /* drive by drive: how often it is at each position */
};

static inline bool plan_bit(const uint64_t *bits, uint32_t words, uint32_t slot, uint32_t i)
{
	return bits[(size_t)slot * words + i / 64] >> (i % 64) & 1;
}

static inline void plan_bit_set(uint64_t *bits, uint32_t words, uint32_t slot, uint32_t i)
{
	bits[(size_t)slot * words + i / 64] |= UINT64_C(1) << (i % 64);
}

static inline void plan_bit_clear(uint64_t *bits, uint32_t words, uint32_t slot, uint32_t i)
{
	bits[(size_t)slot * words + i / 64] &= ~(UINT64_C(1) << (i % 64));
}

/* Gives each drive with a weight the index of the first one of its domain, others PLAN_NONE.
 * Returns how many domains there are. */
uint32_t plan_label_domains(const struct ring_drive_info *drives, size_t drive_count,
	enum ring_domain level, uint32_t *labels);

/* Chooses among the infos the drives that may be in the ring, and finds their domains. Errors:
 * ERR_INVALID; ERR_QUORUM, fewer domains than the width; ERR_NO_MEMORY. */
MUST_USE enum err plan_choose_drives(
	struct plan *plan, enum ring_domain level, uint8_t drive_class);

/* Finds the best bytes per position. */
void plan_find_best(struct plan *plan);

/* Sets exact, lo, fair and hi of all drives. */
void plan_share(struct plan *plan);

/* Fills the entries. Errors: ERR_NO_MEMORY. */
MUST_USE enum err plan_fill(struct plan *plan);

#endif
