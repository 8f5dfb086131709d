/* SPDX-License-Identifier: Apache-2.0 */
/* Who may be chosen, and how often.
 *
 * A position holds some number of bytes, b. A drive of weight w then takes w / b positions, a
 * domain at most one in each slot; the best b is the greatest for which these suffice for all
 * positions (any such numbers can be made into slots of distinct domains: take the domains with the
 * most left, again and again). */
#include <stdlib.h>

#include "storage/drive/drive.h"
#include "storage/ring/ring_plan_priv.h"

/* --- domains ---------------------------------------------------------------------------------- */

static bool is_same_domain(
	const struct ring_drive_info *a, const struct ring_drive_info *b, enum ring_domain level)
{
	switch (level) {
	case RING_DOMAIN_ZONE:
		if (a->zone.len > 0 && bytes_is_equal(a->zone, b->zone))
			return true;
		/* fall through */
	case RING_DOMAIN_NODE:
		return id_is_equal(a->node, b->node);
	default:
		return a->number == b->number;
	}
}

uint32_t plan_label_domains(const struct ring_drive_info *drives, size_t drive_count,
	enum ring_domain level, uint32_t *labels)
{
	uint32_t count = 0;
	for (size_t i = 0; i < drive_count; i++) {
		labels[i] = drives[i].weight > 0 ? i : PLAN_NONE;
		count += drives[i].weight > 0;
		for (size_t j = 0; j < i && labels[i] != PLAN_NONE; j++) {
			if (labels[j] == PLAN_NONE || labels[j] == labels[i] ||
				!is_same_domain(&drives[i], &drives[j], level))
				continue;
			uint32_t low = labels[j] < labels[i] ? labels[j] : labels[i];
			uint32_t high = labels[j] ^ labels[i] ^ low;
			for (size_t l = 0; l <= i; l++)
				labels[l] = labels[l] == high ? low : labels[l];
			count--;
		}
	}
	return count;
}

size_t ring_domain_count(
	const struct ring_drive_info *drives, size_t drive_count, enum ring_domain domain)
{
	uint32_t labels[RING_DRIVES_MAX];
	assert(drive_count <= RING_DRIVES_MAX);
	return plan_label_domains(drives, drive_count, domain, labels);
}

enum ring_domain ring_domain_default(const struct ring_drive_info *drives, size_t drive_count)
{
	return ring_domain_count(drives, drive_count, RING_DOMAIN_NODE) > 1 ? RING_DOMAIN_NODE
									    : RING_DOMAIN_DRIVE;
}

/* --- drives ----------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
	const struct ring_drive_info *x = a, *y = b;
	return x->number < y->number ? -1 : x->number > y->number;
}

static int compare_domains(const void *a, const void *b)
{
	const struct plan_drive *x = a, *y = b;
	if (x->domain != y->domain)
		return x->domain < y->domain ? -1 : 1;
	return x->info->number < y->info->number ? -1 : x->info->number > y->info->number;
}

static bool is_well_formed(const struct ring_drive_info *drives, size_t drive_count)
{
	for (size_t i = 0; i < drive_count; i++) {
		if (drives[i].number == 0 || (i > 0 && drives[i].number == drives[i - 1].number))
			return false;
	}
	return true;
}

/* Drives of the other kind have no weight in this copy, if the ring can do without them (N2). */
static void prefer_class(struct plan *plan, enum ring_domain level, uint8_t drive_class,
	struct ring_drive_info *preferred, uint32_t *labels)
{
	for (size_t i = 0; i < plan->info_count; i++) {
		preferred[i] = plan->infos[i];
		if ((preferred[i].class == DRIVE_HDD) != (drive_class == DRIVE_HDD))
			preferred[i].weight = 0;
	}
	if (plan_label_domains(preferred, plan->info_count, level, labels) >= plan->width)
		memcpy(plan->infos, preferred, plan->info_count * sizeof *preferred);
}

static void add_drives(struct plan *plan, uint32_t *labels)
{
	for (size_t i = 0; i < plan->info_count; i++) {
		if (labels[i] == PLAN_NONE)
			continue;
		struct plan_drive *drive = &plan->drives[plan->drive_count++];
		drive->info = &plan->infos[i];
		drive->domain = labels[i];
	}
	qsort(plan->drives, plan->drive_count, sizeof *plan->drives, compare_domains);
	uint32_t label = PLAN_NONE;
	for (uint32_t i = 0; i < plan->drive_count; i++) {
		struct plan_drive *drive = &plan->drives[i];
		if (drive->domain != label) {
			label = drive->domain;
			plan->domains[plan->domain_count++].first = i;
		}
		drive->domain = plan->domain_count - 1;
		struct plan_domain *domain = &plan->domains[drive->domain];
		domain->drive_count++;
		domain->weight += drive->info->weight;
	}
}

enum err plan_choose_drives(struct plan *plan, enum ring_domain level, uint8_t drive_class)
{
	uint32_t *labels = calloc(plan->info_count + 1, sizeof *labels);
	struct ring_drive_info *preferred = calloc(plan->info_count + 1, sizeof *preferred);
	enum err err = ERR_NO_MEMORY;
	if (!labels || !preferred)
		goto out;
	err = ERR_INVALID;
	qsort(plan->infos, plan->info_count, sizeof *plan->infos, compare_numbers);
	if (!is_well_formed(plan->infos, plan->info_count))
		goto out;
	prefer_class(plan, level, drive_class, preferred, labels);
	err = ERR_QUORUM;
	if (plan_label_domains(plan->infos, plan->info_count, level, labels) < plan->width)
		goto out;
	add_drives(plan, labels);
	err = ERR_OK;
out:
	free(preferred);
	free(labels);
	return err;
}

/* --- the best --------------------------------------------------------------------------------- */

static plan_wide with_fraction(uint64_t weight)
{
	return (plan_wide)weight << PLAN_FRACTION_BITS;
}

/* How often a drive can be chosen when a position has so many bytes. */
static uint32_t take(const struct plan *plan, const struct plan_drive *drive, plan_wide len)
{
	plan_wide count = with_fraction(drive->info->weight) / len;
	return count < plan->slot_count ? count : plan->slot_count;
}

static bool suffices(const struct plan *plan, plan_wide len)
{
	uint64_t positions = 0;
	for (uint32_t i = 0; i < plan->domain_count; i++) {
		const struct plan_domain *domain = &plan->domains[i];
		uint64_t share = 0;
		for (uint32_t j = 0; j < domain->drive_count; j++)
			share += take(plan, &plan->drives[domain->first + j], len);
		positions += share < plan->slot_count ? share : plan->slot_count;
	}
	return positions >= (uint64_t)plan->slot_count * plan->width;
}

void plan_find_best(struct plan *plan)
{
	/* With one unit of the fraction, a drive of one byte is in every slot: it suffices. */
	static_assert(RING_SLOTS_MAX <= 1 << PLAN_FRACTION_BITS, "the least suffices");
	plan_wide low = 1;
	plan_wide high = with_fraction(UINT64_MAX) + 1;
	while (high - low > 1) {
		plan_wide middle = low + (high - low) / 2;
		if (suffices(plan, middle))
			low = middle;
		else
			high = middle;
	}
	plan->best = low;
}

/* --- shares ----------------------------------------------------------------------------------- */

/* Domains whose proportion is more than every slot get every slot; the rest share what is left,
 * which may make others full. */
static void fill_domains(struct plan *plan, uint64_t *ret_positions, plan_wide *ret_weight)
{
	for (;;) {
		uint64_t positions = (uint64_t)plan->slot_count * plan->width;
		plan_wide weight = 0;
		for (uint32_t i = 0; i < plan->domain_count; i++) {
			if (plan->domains[i].is_full)
				positions -= plan->slot_count;
			else
				weight += plan->domains[i].weight;
		}
		*ret_positions = positions;
		*ret_weight = weight;
		bool is_changed = false;
		for (uint32_t i = 0; i < plan->domain_count; i++) {
			struct plan_domain *domain = &plan->domains[i];
			if (domain->is_full ||
				domain->weight * positions < weight * plan->slot_count)
				continue;
			domain->is_full = true;
			is_changed = true;
		}
		if (!is_changed)
			return;
	}
}

/* Gives what the floors left over to those who miss most, as far as the best capacity allows. */
static void round_shares(struct plan *plan, uint64_t left)
{
	for (; left > 0; left--) {
		struct plan_drive *most = NULL;
		for (uint32_t i = 0; i < plan->drive_count; i++) {
			struct plan_drive *drive = &plan->drives[i];
			if (plan->domains[drive->domain].share == plan->slot_count ||
				drive->fair == take(plan, drive, plan->best))
				continue;
			int64_t missing = drive->exact - ((uint64_t)drive->fair << 32);
			if (!most ||
				missing > (int64_t)(most->exact - ((uint64_t)most->fair << 32)))
				most = drive;
		}
		assert(most);
		most->fair++;
		plan->domains[most->domain].share++;
	}
}

void plan_share(struct plan *plan)
{
	uint64_t positions;
	plan_wide weight;
	fill_domains(plan, &positions, &weight);
	uint64_t left = (uint64_t)plan->slot_count * plan->width;
	for (uint32_t i = 0; i < plan->drive_count; i++) {
		struct plan_drive *drive = &plan->drives[i];
		struct plan_domain *domain = &plan->domains[drive->domain];
		plan_wide part = (plan_wide)drive->info->weight
			<< 32; /* at most 2^96, times 2^21 positions */
		drive->exact = domain->is_full ? part * plan->slot_count / domain->weight
					       : part * positions / weight;
		uint32_t floor = drive->exact >> 32;
		uint32_t most = (drive->exact / 8 * 7 + (drive->exact % 8 * 7 + 7) / 8 +
					UINT32_MAX) >>
			32; /* 7/8, rounded up */
		drive->lo = most < floor ? most : floor;
		drive->hi = take(plan, drive, plan->best * 199 / 200 + 1);
		drive->fair = floor;
		domain->share += floor;
		left -= floor;
	}
	round_shares(plan, left);
}
