/* SPDX-License-Identifier: Apache-2.0 */
/* The planner of first tables.
 *
 * Each domain gets a share of all positions in proportion to its weight, but no more than one
 * position in each slot; what a domain cannot take is shared among the others. Shares are whole
 * numbers that add up (largest remainder). Then slot by slot the domains with the most left of
 * their share are taken; a domain that must be in every slot that is left has the most left, so
 * this never runs into a corner. Ties are broken by a hash of slot and drive, so that the drives
 * that share slots with one drive are many: all of them help when it is rebuilt.
 */
#include <stdlib.h>

#include "erasure/checksum.h"
#include "storage/ring/ring.h"

struct plan_domain {
	uint64_t weight;
	uint32_t share; /* positions to get */
	uint32_t left; /* of them */
	bool is_full; /* one in every slot */
	size_t first; /* drive that stands for it */
};

struct plan_drive {
	const struct ring_drive_info *info;
	size_t domain;
	uint32_t left;
	uint32_t *at_position; /* how often it is at each position */
};

struct plan {
	struct plan_drive *drives; /* those with a weight */
	size_t drive_count;
	struct plan_domain *domains;
	size_t domain_count;
	uint32_t *at_positions;
	uint32_t slot_count;
	uint8_t width;
};

static bool is_same_domain(
	const struct ring_drive_info *a, const struct ring_drive_info *b, enum ring_domain domain)
{
	switch (domain) {
	case RING_DOMAIN_ZONE:
		if (a->zone.len > 0 || b->zone.len > 0)
			return bytes_is_equal(a->zone, b->zone);
		/* fall through */
	case RING_DOMAIN_NODE:
		return memcmp(&a->node, &b->node, sizeof a->node) == 0;
	default:
		return a->number == b->number;
	}
}

size_t ring_domain_count(
	const struct ring_drive_info *drives, size_t drive_count, enum ring_domain domain)
{
	size_t count = 0;
	for (size_t i = 0; i < drive_count; i++) {
		bool is_new = drives[i].weight > 0;
		for (size_t j = 0; j < i && is_new; j++)
			is_new = drives[j].weight == 0 ||
				!is_same_domain(&drives[i], &drives[j], domain);
		count += is_new;
	}
	return count;
}

enum ring_domain ring_domain_default(const struct ring_drive_info *drives, size_t drive_count)
{
	return ring_domain_count(drives, drive_count, RING_DOMAIN_NODE) > 1 ? RING_DOMAIN_NODE
									    : RING_DOMAIN_DRIVE;
}

static int compare_numbers(const void *a, const void *b)
{
	const struct plan_drive *x = a, *y = b;
	return x->info->number < y->info->number ? -1 : x->info->number > y->info->number;
}

/* Drives in the order of their numbers (R4), and the domains they make. */
static void find_domains(struct plan *plan, const struct ring_drive_info *drives,
	size_t drive_count, enum ring_domain level)
{
	for (size_t i = 0; i < drive_count; i++) {
		if (drives[i].weight > 0)
			plan->drives[plan->drive_count++].info = &drives[i];
	}
	qsort(plan->drives, plan->drive_count, sizeof *plan->drives, compare_numbers);
	for (size_t i = 0; i < plan->drive_count; i++) {
		struct plan_drive *drive = &plan->drives[i];
		drive->at_position = plan->at_positions + i * RING_WIDTH_MAX;
		while (drive->domain < plan->domain_count &&
			!is_same_domain(plan->drives[plan->domains[drive->domain].first].info,
				drive->info, level))
			drive->domain++;
		if (drive->domain == plan->domain_count)
			plan->domains[plan->domain_count++].first = i;
		plan->domains[drive->domain].weight += drive->info->weight;
	}
}

/* --- shares ----------------------------------------------------------------------------------- */

/* Domains whose proportion is more than every slot get every slot; the rest share what is left,
 * which may make others full. */
static void fill_domains(struct plan *plan, uint64_t *ret_positions, uint64_t *ret_weight)
{
	for (;;) {
		uint64_t positions = (uint64_t)plan->slot_count * plan->width;
		uint64_t weight = 0;
		for (size_t i = 0; i < plan->domain_count; i++) {
			if (plan->domains[i].is_full)
				positions -= plan->slot_count;
			else
				weight += plan->domains[i].weight;
		}
		*ret_positions = positions;
		*ret_weight = weight;
		bool is_changed = false;
		for (size_t i = 0; i < plan->domain_count; i++) {
			struct plan_domain *domain = &plan->domains[i];
			if (domain->is_full ||
				(unsigned __int128)domain->weight * positions <
					(unsigned __int128)plan->slot_count * weight)
				continue;
			domain->is_full = true;
			is_changed = true;
		}
		if (!is_changed)
			return;
	}
}

/* Splits positions in proportion to weights, in whole numbers that add up: first all floors, then
 * one more for those with the largest remainders. */
struct split {
	uint64_t weight;
	uint32_t share;
	uint64_t remainder; /* in 2^-32 */
};

static void split_positions(struct split *parts, size_t count, uint64_t positions, uint64_t weight)
{
	uint64_t given = 0;
	for (size_t i = 0; i < count; i++) {
		unsigned __int128 exact = ((unsigned __int128)parts[i].weight * positions << 32) /
			weight;
		parts[i].share = exact >> 32;
		parts[i].remainder = (uint32_t)exact + 1;
		given += parts[i].share;
	}
	for (; given < positions; given++) {
		size_t best = 0;
		for (size_t i = 1; i < count; i++) {
			if (parts[i].remainder > parts[best].remainder)
				best = i;
		}
		parts[best].share++;
		parts[best].remainder = 0;
	}
}

static void share_domains(struct plan *plan, struct split *parts)
{
	uint64_t positions, weight;
	fill_domains(plan, &positions, &weight);
	size_t count = 0;
	for (size_t i = 0; i < plan->domain_count; i++) {
		if (!plan->domains[i].is_full)
			parts[count++] = (struct split){.weight = plan->domains[i].weight};
	}
	if (count > 0)
		split_positions(parts, count, positions, weight);
	count = 0;
	for (size_t i = 0; i < plan->domain_count; i++) {
		struct plan_domain *domain = &plan->domains[i];
		domain->share = domain->is_full ? plan->slot_count : parts[count++].share;
		domain->left = domain->share;
	}
}

static void share_drives(struct plan *plan, struct split *parts)
{
	for (size_t i = 0; i < plan->domain_count; i++) {
		size_t count = 0;
		for (size_t j = 0; j < plan->drive_count; j++) {
			if (plan->drives[j].domain == i)
				parts[count++] = (struct split){
					.weight = plan->drives[j].info->weight};
		}
		split_positions(parts, count, plan->domains[i].share, plan->domains[i].weight);
		count = 0;
		for (size_t j = 0; j < plan->drive_count; j++) {
			if (plan->drives[j].domain == i)
				plan->drives[j].left = parts[count++].share;
		}
	}
}

/* --- slots ------------------------------------------------------------------------------------ */

static uint64_t tie(uint32_t slot, uint16_t number)
{
	uint8_t bytes[6];
	put_le32(bytes, slot);
	put_le16(bytes + 4, number);
	return checksum(bytes, sizeof bytes, 0);
}

/* The domain with the most left that is not taken yet. */
static size_t pick_domain(const struct plan *plan, uint32_t slot, const bool *is_taken)
{
	size_t best = SIZE_MAX;
	uint64_t best_tie = 0;
	for (size_t i = 0; i < plan->domain_count; i++) {
		const struct plan_domain *domain = &plan->domains[i];
		if (is_taken[i] || (best != SIZE_MAX && domain->left < plan->domains[best].left))
			continue;
		uint64_t t = tie(slot, plan->drives[domain->first].info->number);
		if (best == SIZE_MAX || domain->left > plan->domains[best].left || t > best_tie) {
			best = i;
			best_tie = t;
		}
	}
	assert(best != SIZE_MAX);
	return best;
}

static size_t pick_drive(const struct plan *plan, uint32_t slot, size_t domain)
{
	size_t best = SIZE_MAX;
	uint64_t best_tie = 0;
	for (size_t i = plan->domains[domain].first; i < plan->drive_count; i++) {
		const struct plan_drive *drive = &plan->drives[i];
		if (drive->domain != domain ||
			(best != SIZE_MAX && drive->left < plan->drives[best].left))
			continue;
		uint64_t t = tie(slot, drive->info->number);
		if (best == SIZE_MAX || drive->left > plan->drives[best].left || t > best_tie) {
			best = i;
			best_tie = t;
		}
	}
	assert(best != SIZE_MAX);
	return best;
}

/* Orders the drives of a slot so that each is at each position about equally often. */
static void place(struct plan *plan, size_t *chosen, uint8_t *slot_row)
{
	for (uint8_t position = 0; position < plan->width; position++) {
		size_t best = position;
		for (size_t i = position + 1; i < plan->width; i++) {
			if (plan->drives[chosen[i]].at_position[position] <
				plan->drives[chosen[best]].at_position[position])
				best = i;
		}
		size_t drive = chosen[best];
		chosen[best] = chosen[position];
		chosen[position] = drive;
		plan->drives[drive].at_position[position]++;
		put_le16(slot_row + 2 * position, plan->drives[drive].info->number);
	}
}

static void fill_slots(struct plan *plan, bool *is_taken, uint8_t *slots)
{
	for (uint32_t slot = 0; slot < plan->slot_count; slot++) {
		size_t chosen[RING_WIDTH_MAX];
		memset(is_taken, 0, plan->domain_count);
		for (uint8_t i = 0; i < plan->width; i++) {
			size_t domain = pick_domain(plan, slot, is_taken);
			is_taken[domain] = true;
			plan->domains[domain].left--;
			chosen[i] = pick_drive(plan, slot, domain);
			plan->drives[chosen[i]].left--;
		}
		place(plan, chosen, slots + 2 * (size_t)slot * plan->width);
	}
}

static bool is_request(size_t drive_count, struct ring_profile profile, uint32_t slot_count)
{
	return drive_count <= RING_DRIVES_MAX && profile.k >= 1 &&
		profile.k + profile.m <= RING_WIDTH_MAX && slot_count >= 1 &&
		slot_count <= RING_SLOTS_MAX && (slot_count & (slot_count - 1)) == 0;
}

static enum err make_plan(struct plan *plan, const struct ring_drive_info *drives,
	size_t drive_count, enum ring_domain domain, uint8_t *slots)
{
	struct split *parts = calloc(drive_count + 1, sizeof *parts);
	bool *is_taken = calloc(drive_count + 1, sizeof *is_taken);
	enum err err = ERR_NO_MEMORY;
	if (!parts || !is_taken || !plan->drives || !plan->domains || !plan->at_positions)
		goto out;
	find_domains(plan, drives, drive_count, domain);
	err = ERR_QUORUM;
	if (plan->domain_count < plan->width)
		goto out;
	share_domains(plan, parts);
	share_drives(plan, parts);
	fill_slots(plan, is_taken, slots);
	err = ERR_OK;
out:
	free(parts);
	free(is_taken);
	return err;
}

enum err ring_plan_initial(const struct ring_drive_info *drives, size_t drive_count,
	struct ring_profile profile, enum ring_domain domain, uint32_t slot_count, uint8_t *slots,
	struct ring *ret_ring)
{
	if (!is_request(drive_count, profile, slot_count))
		return ERR_INVALID;
	struct plan plan = {
		.drives = calloc(drive_count + 1, sizeof *plan.drives),
		.domains = calloc(drive_count + 1, sizeof *plan.domains),
		.at_positions = calloc(drive_count + 1, RING_WIDTH_MAX * sizeof(uint32_t)),
		.slot_count = slot_count,
		.width = profile.k + profile.m,
	};
	enum err err = make_plan(&plan, drives, drive_count, domain, slots);
	free(plan.drives);
	free(plan.domains);
	free(plan.at_positions);
	if (err != ERR_OK)
		return err;
	*ret_ring = (struct ring){
		.class = RING_STANDARD,
		.version = 1,
		.slot_count = slot_count,
		.width = plan.width,
		.domain = domain,
		.profile = profile,
		.slots = slots,
		.slots_len = 2 * (size_t)slot_count * plan.width,
	};
	return ERR_OK;
}
