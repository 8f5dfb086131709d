/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a plan: which drives may be chosen, the best capacity, the bounds that follow for each
 * drive (ring_plan_share.c); which drives each slot gets (ring_plan_flow.c); then, here, drives
 * that are new in their slots change places with each other, and each gets a position. */
#include "storage/ring/ring_plan.h"

#include <stdlib.h>

#include "storage/ring/ring_plan_priv.h"

#define MIX_ROUNDS 8
#define NUMBERS (UINT16_MAX + 1)

/* --- what there was --------------------------------------------------------------------------- */

static uint8_t kept_width(const struct plan *plan)
{
	if (!plan->old)
		return 0;
	return plan->old->width < plan->width ? plan->old->width : plan->width;
}

/* The drive that was at a position, if it may be chosen; else PLAN_NONE. */
static uint32_t old_drive(const struct plan *plan, uint32_t slot, uint8_t position)
{
	return plan->by_number[ring_drive(plan->old, slot, position)];
}

static void note_old(struct plan *plan)
{
	for (uint32_t number = 0; number < NUMBERS; number++)
		plan->by_number[number] = PLAN_NONE;
	for (uint32_t i = 0; i < plan->drive_count; i++)
		plan->by_number[plan->drives[i].info->number] = i;
	for (uint32_t slot = 0; slot < plan->slot_count; slot++) {
		for (uint8_t i = 0; i < kept_width(plan); i++) {
			uint32_t drive = old_drive(plan, slot, i);
			if (drive != PLAN_NONE)
				plan_bit_set(plan->was_there, plan->drive_words, slot, drive);
		}
	}
}

/* --- mixing ----------------------------------------------------------------------------------- */

/* May a slot have one drive in place of another? */
static bool is_exchangeable(const struct plan *plan, uint32_t slot, uint32_t out, uint32_t in)
{
	uint32_t domain = plan->drives[in].domain;
	return domain == plan->drives[out].domain ||
		!plan_bit(plan->has_domain, plan->domain_words, slot, domain);
}

static void exchange(struct plan *plan, uint32_t a, uint32_t b)
{
	uint32_t slot_a = a / plan->width;
	uint32_t slot_b = b / plan->width;
	uint32_t drive_a = plan->entries[a];
	uint32_t drive_b = plan->entries[b];
	uint32_t domain_a = plan->drives[drive_a].domain;
	uint32_t domain_b = plan->drives[drive_b].domain;
	if (slot_a == slot_b || !is_exchangeable(plan, slot_a, drive_a, drive_b) ||
		!is_exchangeable(plan, slot_b, drive_b, drive_a))
		return;
	plan_bit_clear(plan->has_domain, plan->domain_words, slot_a, domain_a);
	plan_bit_clear(plan->has_domain, plan->domain_words, slot_b, domain_b);
	plan_bit_set(plan->has_domain, plan->domain_words, slot_a, domain_b);
	plan_bit_set(plan->has_domain, plan->domain_words, slot_b, domain_a);
	plan->entries[a] = drive_b;
	plan->entries[b] = drive_a;
}

/* The flow gives slots that it looked at together the same drives. Exchanges of drives that are new
 * in both slots, by chance, undo that and cost nothing (N7). */
static enum err mix(struct plan *plan)
{
	uint32_t entry_count = plan->slot_count * plan->width;
	uint32_t *new = calloc(entry_count, sizeof *new);
	if (!new)
		return ERR_NO_MEMORY;
	uint32_t count = 0;
	for (uint32_t entry = 0; entry < entry_count; entry++) {
		if (!plan_bit(plan->was_there, plan->drive_words, entry / plan->width,
			    plan->entries[entry]))
			new[count++] = entry;
	}
	uint64_t state = count;
	for (uint64_t i = 0; i < (uint64_t)MIX_ROUNDS * count; i++) {
		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		exchange(plan, new[i % count], new[(state >> 33) % count]);
	}
	free(new);
	return ERR_OK;
}

/* --- positions -------------------------------------------------------------------------------- */

static void place_at(
	struct plan *plan, uint32_t slot, uint8_t position, uint32_t *entry, uint8_t *slots)
{
	size_t width = plan->width;
	plan->at_position[*entry * width + position]++;
	put_le16(slots + 2 * (slot * width + position), plan->drives[*entry].info->number);
	*entry = PLAN_NONE;
}

/* Who was in the slot keeps its position. */
static void place_kept(struct plan *plan, uint32_t slot, uint8_t *slots)
{
	uint32_t *row = plan->entries + (size_t)slot * plan->width;
	for (uint8_t position = 0; position < kept_width(plan); position++) {
		uint32_t drive = old_drive(plan, slot, position);
		for (uint8_t i = 0; i < plan->width && drive != PLAN_NONE; i++) {
			if (row[i] != drive)
				continue;
			place_at(plan, slot, position, &row[i], slots);
			break;
		}
	}
}

/* The rest is placed so that each drive is at each position about equally often. */
static void place_new(struct plan *plan, uint32_t slot, uint8_t *slots)
{
	uint32_t *row = plan->entries + (size_t)slot * plan->width;
	for (uint8_t position = 0; position < plan->width; position++) {
		if (get_le16(slots + 2 * ((size_t)slot * plan->width + position)) != 0)
			continue;
		uint32_t *best = NULL;
		uint32_t best_count = 0;
		for (uint8_t i = 0; i < plan->width; i++) {
			if (row[i] == PLAN_NONE)
				continue;
			uint32_t count = plan->at_position[(size_t)row[i] * plan->width + position];
			if (best && count >= best_count)
				continue;
			best = &row[i];
			best_count = count;
		}
		assert(best);
		place_at(plan, slot, position, best, slots);
	}
}

static void place(struct plan *plan, uint8_t *slots)
{
	memset(slots, 0, 2 * (size_t)plan->slot_count * plan->width);
	for (uint32_t slot = 0; slot < plan->slot_count; slot++)
		place_kept(plan, slot, slots);
	for (uint32_t slot = 0; slot < plan->slot_count; slot++)
		place_new(plan, slot, slots);
}

/* --- the whole -------------------------------------------------------------------------------- */

static bool is_request(const struct ring_plan_request *request)
{
	struct ring_profile profile = request->profile;
	uint32_t slot_count = request->slot_count;
	if (request->old && request->old->slot_count != slot_count)
		return false;
	return request->drive_count <= RING_DRIVES_MAX && profile.k >= 1 &&
		profile.k + profile.m <= RING_WIDTH_MAX && slot_count >= 1 &&
		slot_count <= RING_SLOTS_MAX && (slot_count & (slot_count - 1)) == 0 &&
		request->domain <= RING_DOMAIN_ZONE;
}

static void fini_plan(struct plan *plan)
{
	free(plan->infos);
	free(plan->drives);
	free(plan->domains);
	free(plan->entries);
	free(plan->has_domain);
	free(plan->was_there);
	free(plan->by_number);
	free(plan->at_position);
}

/* Chooses drives and finds the best; the plan is the caller's to end, also on failure. */
static enum err begin_plan(struct plan *plan, const struct ring_plan_request *request)
{
	*plan = (struct plan){0};
	if (!is_request(request))
		return ERR_INVALID;
	plan->old = request->old;
	plan->slot_count = request->slot_count;
	plan->width = request->profile.k + request->profile.m;
	plan->info_count = request->drive_count;
	plan->infos = calloc(plan->info_count + 1, sizeof *plan->infos);
	plan->drives = calloc(plan->info_count + 1, sizeof *plan->drives);
	plan->domains = calloc(plan->info_count + 1, sizeof *plan->domains);
	if (!plan->infos || !plan->drives || !plan->domains)
		return ERR_NO_MEMORY;
	if (plan->info_count > 0)
		memcpy(plan->infos, request->drives, plan->info_count * sizeof *plan->infos);
	enum err err = plan_choose_drives(plan, request->domain, request->drive_class);
	if (err == ERR_OK)
		plan_find_best(plan);
	return err;
}

static enum err fill_plan(struct plan *plan)
{
	size_t slot_count = plan->slot_count;
	plan->domain_words = (plan->domain_count + 63) / 64;
	plan->drive_words = (plan->drive_count + 63) / 64;
	plan->entries = calloc(slot_count * plan->width, sizeof *plan->entries);
	plan->has_domain = calloc(slot_count * plan->domain_words, sizeof *plan->has_domain);
	plan->was_there = calloc(slot_count * plan->drive_words, sizeof *plan->was_there);
	plan->by_number = calloc(NUMBERS, sizeof *plan->by_number);
	plan->at_position = calloc(
		(size_t)plan->drive_count * plan->width, sizeof *plan->at_position);
	if (!plan->entries || !plan->has_domain || !plan->was_there || !plan->by_number ||
		!plan->at_position)
		return ERR_NO_MEMORY;
	note_old(plan);
	plan_share(plan);
	enum err err = plan_fill(plan);
	return err == ERR_OK ? mix(plan) : err;
}

enum err ring_plan(const struct ring_plan_request *request, uint8_t *slots, struct ring *ret_ring)
{
	struct plan plan;
	enum err err = begin_plan(&plan, request);
	if (err == ERR_OK)
		err = fill_plan(&plan);
	if (err == ERR_OK) {
		place(&plan, slots);
		*ret_ring = (struct ring){
			.class = request->class,
			.version = request->old ? request->old->version + 1 : 1,
			.slot_count = plan.slot_count,
			.width = plan.width,
			.domain = request->domain,
			.drive_class = request->drive_class,
			.profile = request->profile,
			.slots = slots,
			.slots_len = 2 * (size_t)plan.slot_count * plan.width,
		};
	}
	fini_plan(&plan);
	return err;
}

enum err ring_plan_best(const struct ring_plan_request *request, uint64_t *ret_len)
{
	struct plan plan;
	enum err err = begin_plan(&plan, request);
	if (err == ERR_OK) {
		plan_wide len = plan.best * plan.slot_count * request->profile.k;
		len >>= PLAN_FRACTION_BITS;
		*ret_len = len < UINT64_MAX ? len : UINT64_MAX;
	}
	fini_plan(&plan);
	return err;
}

enum err ring_plan_initial(const struct ring_drive_info *drives, size_t drive_count,
	struct ring_profile profile, enum ring_domain domain, uint32_t slot_count, uint8_t *slots,
	struct ring *ret_ring)
{
	struct ring_plan_request request = {
		.drives = drives,
		.drive_count = drive_count,
		.profile = profile,
		.domain = domain,
		.class = RING_STANDARD,
		.slot_count = slot_count,
	};
	return ring_plan(&request, slots, ret_ring);
}
