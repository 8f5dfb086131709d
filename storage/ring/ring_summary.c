/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ring/ring_summary.h"

#include <stdlib.h>

#include "storage/ring/ring_plan_priv.h"

typedef unsigned __int128 wide;

#define NUMBERS (UINT16_MAX + 1)

struct sum {
	const struct ring_summary_request *request;
	struct ring_drive_summary *drives; /* the caller's */
	struct ring_summary *summary;
	uint32_t *by_number; /* index of each drive, PLAN_NONE for who is gone */
	uint32_t *labels; /* domain of each drive, at the level in hand */
	struct ring_drive_info *others; /* a copy with other weights */
};

static uint64_t slot_len(const struct ring_summary_request *request, uint32_t slot)
{
	return request->slot_lens ? request->slot_lens[slot] : 0;
}

static uint64_t shard_len(uint64_t len, uint8_t k)
{
	return len / k + (len % k != 0);
}

static uint64_t narrow(wide len)
{
	return len < UINT64_MAX ? len : UINT64_MAX;
}

/* --- bytes and moves -------------------------------------------------------------------------- */

static struct ring_drive_summary *find(const struct sum *sum, uint16_t number)
{
	uint32_t i = sum->by_number[number];
	return i == PLAN_NONE ? NULL : &sum->drives[i];
}

static void add_positions(struct sum *sum, const struct ring *ring, bool is_after)
{
	for (uint32_t slot = 0; slot < ring->slot_count; slot++) {
		uint64_t len = shard_len(slot_len(sum->request, slot), ring->profile.k);
		for (uint8_t i = 0; i < ring->width; i++) {
			struct ring_drive_summary *drive = find(sum, ring_drive(ring, slot, i));
			if (!drive)
				continue;
			*(is_after ? &drive->positions_after : &drive->positions_before) += 1;
			*(is_after ? &drive->len_after : &drive->len_before) += len;
		}
	}
}

static void add_moves(struct sum *sum)
{
	const struct ring *old = sum->request->old;
	const struct ring *new = sum->request->new;
	for (uint32_t slot = 0; slot < new->slot_count; slot++) {
		uint64_t len = shard_len(slot_len(sum->request, slot), old->profile.k);
		for (uint8_t i = 0; i < old->width && i < new->width; i++) {
			if (ring_drive(old, slot, i) == ring_drive(new, slot, i))
				continue;
			struct ring_drive_summary *from = find(sum, ring_drive(old, slot, i));
			struct ring_drive_summary *to = find(sum, ring_drive(new, slot, i));
			sum->summary->move_count++;
			sum->summary->move_len += len;
			if (from)
				from->out_len += len;
			else
				sum->summary->rebuild_len += len;
			if (to)
				to->in_len += len;
		}
	}
}

static void add_stored(struct sum *sum)
{
	const struct ring *old = sum->request->old;
	const struct ring *new = sum->request->new;
	for (uint32_t slot = 0; slot < new->slot_count; slot++)
		sum->summary->stored_len += slot_len(sum->request, slot);
	if (old && (old->profile.k != new->profile.k || old->profile.m != new->profile.m))
		sum->summary->recode_len = sum->summary->stored_len;
}

/* The time of the node with most to do. */
static void add_time(struct sum *sum)
{
	const struct ring_summary_request *request = sum->request;
	uint64_t most = 0;
	for (size_t i = 0; i < request->drive_count; i++) {
		uint64_t in = 0, out = 0;
		for (size_t j = 0; j < request->drive_count; j++) {
			if (!id_is_equal(request->drives[i].node, request->drives[j].node))
				continue;
			in += sum->drives[j].in_len;
			out += sum->drives[j].out_len;
		}
		most = in > most ? in : most;
		most = out > most ? out : most;
	}
	if (request->rate > 0)
		sum->summary->move_ms = narrow(
			((wide)most * 1000 + request->rate - 1) / request->rate);
}

/* --- capacity --------------------------------------------------------------------------------- */

/* How much a drive holds; without its space and a weight, 0: not known. */
static uint64_t capacity(const struct ring_summary_request *request, size_t i)
{
	uint64_t weight = request->drives[i].weight;
	if (!request->spaces)
		return weight;
	uint64_t len = request->spaces[i].len;
	return weight > 0 && weight < len ? weight : len;
}

static uint64_t usable(const struct sum *sum, const struct ring *ring, bool is_after)
{
	uint64_t least = UINT64_MAX;
	for (size_t i = 0; i < sum->request->drive_count; i++) {
		const struct ring_drive_summary *drive = &sum->drives[i];
		uint32_t positions = is_after ? drive->positions_after : drive->positions_before;
		wide held = capacity(sum->request, i);
		if (positions == 0 || (held == 0 && !sum->request->spaces))
			continue;
		uint64_t len = narrow(held * ring->slot_count * ring->profile.k / positions);
		least = len < least ? len : least;
	}
	return least < UINT64_MAX ? least : 0;
}

static void add_room(struct sum *sum)
{
	const struct ring_summary_request *request = sum->request;
	const struct ring *new = request->new;
	uint64_t left = UINT64_MAX;
	sum->summary->has_room = true;
	for (size_t i = 0; request->spaces && i < request->drive_count; i++) {
		const struct ring_drive_summary *drive = &sum->drives[i];
		uint64_t free_len = request->spaces[i].free_len;
		if (drive->in_len > free_len)
			sum->summary->has_room = false;
		if (drive->positions_after == 0)
			continue;
		wide then = (wide)free_len + drive->out_len;
		then = then > drive->in_len ? then - drive->in_len : 0;
		uint64_t len = narrow(
			then * new->slot_count *new->profile.k / drive->positions_after);
		left = len < left ? len : left;
	}
	sum->summary->left_len = left < UINT64_MAX ? left : 0;
}

/* The best that the drives of all other domains could hold, for each domain. */
static enum err add_safe(struct sum *sum)
{
	const struct ring_summary_request *request = sum->request;
	const struct ring *ring = request->new;
	size_t count = request->drive_count;
	uint64_t safe = sum->summary->usable_after;
	struct ring_plan_request best = {
		.drives = sum->others,
		.drive_count = count,
		.profile = ring->profile,
		.domain = ring->domain,
		.drive_class = ring->drive_class,
		.slot_count = ring->slot_count,
	};
	sum->summary->can_heal = plan_label_domains(request->drives, count, ring->domain,
					 sum->labels) > ring->width;
	for (size_t i = 0; i < count && sum->summary->can_heal; i++) {
		if (sum->labels[i] != i)
			continue;
		for (size_t j = 0; j < count; j++) {
			sum->others[j] = request->drives[j];
			if (sum->labels[j] == i)
				sum->others[j].weight = 0;
			else if (sum->others[j].weight > 0) {
				uint64_t held = capacity(request, j);
				sum->others[j].weight = held > 0 ? held : 1; /* full, and there */
			}
		}
		uint64_t len;
		enum err err = ring_plan_best(&best, &len);
		if (err != ERR_OK)
			return err;
		safe = len < safe ? len : safe;
	}
	sum->summary->safe_len = safe;
	return ERR_OK;
}

/* --- what it survives ------------------------------------------------------------------------- */

/* How many domains of one slot may be lost: those with most of its drives go first. */
static uint8_t slot_survives(const struct sum *sum, uint32_t slot)
{
	const struct ring *ring = sum->request->new;
	uint32_t labels[RING_WIDTH_MAX];
	uint8_t counts[RING_WIDTH_MAX] = {0};
	uint8_t domain_count = 0;
	for (uint8_t i = 0; i < ring->width; i++) {
		uint32_t drive = sum->by_number[ring_drive(ring, slot, i)];
		uint32_t label = drive == PLAN_NONE ? PLAN_NONE : sum->labels[drive];
		uint8_t domain = 0;
		while (domain < domain_count && labels[domain] != label)
			domain++;
		labels[domain] = label;
		counts[domain]++;
		domain_count += domain == domain_count;
	}
	uint8_t lost = 0, survives = 0;
	for (;;) {
		uint8_t most = 0;
		for (uint8_t i = 1; i < domain_count; i++)
			most = counts[i] > counts[most] ? i : most;
		lost += counts[most];
		if (lost > ring->profile.m)
			return survives;
		counts[most] = 0;
		survives++;
	}
}

static uint8_t survives(const struct sum *sum, enum ring_domain level)
{
	const struct ring_summary_request *request = sum->request;
	uint8_t least = UINT8_MAX;
	for (size_t i = 0; i < request->drive_count; i++) {
		sum->others[i] = request->drives[i];
		sum->others[i].weight = 1; /* one that is to leave is still there */
	}
	plan_label_domains(sum->others, request->drive_count, level, sum->labels);
	for (uint32_t slot = 0; slot < request->new->slot_count; slot++) {
		uint8_t slots = slot_survives(sum, slot);
		least = slots < least ? slots : least;
	}
	return least;
}

static void add_survives(struct sum *sum)
{
	sum->summary->survives = survives(sum, sum->request->new->domain);
	sum->summary->survives_drives = survives(sum, RING_DOMAIN_DRIVE);
	sum->summary->survives_nodes = survives(sum, RING_DOMAIN_NODE);
	sum->summary->survives_zones = survives(sum, RING_DOMAIN_ZONE);
}

/* --- the whole -------------------------------------------------------------------------------- */

static enum err add_all(struct sum *sum)
{
	const struct ring_summary_request *request = sum->request;
	for (uint32_t number = 0; number < NUMBERS; number++)
		sum->by_number[number] = PLAN_NONE;
	for (size_t i = 0; i < request->drive_count; i++) {
		sum->by_number[request->drives[i].number] = i;
		sum->drives[i] = (struct ring_drive_summary){.number = request->drives[i].number};
	}
	if (request->old) {
		add_positions(sum, request->old, false);
		add_moves(sum);
	}
	add_positions(sum, request->new, true);
	add_stored(sum);
	add_time(sum);
	sum->summary->usable_before = request->old ? usable(sum, request->old, false) : 0;
	sum->summary->usable_after = usable(sum, request->new, true);
	add_room(sum);
	add_survives(sum);
	return add_safe(sum);
}

enum err ring_summarize(const struct ring_summary_request *request,
	struct ring_drive_summary *ret_drives, struct ring_summary *ret_summary)
{
	if ((request->old && request->old->slot_count != request->new->slot_count) ||
		request->drive_count > RING_DRIVES_MAX)
		return ERR_INVALID;
	struct ring_summary summary = {0};
	struct sum sum = {
		.request = request,
		.drives = ret_drives,
		.summary = &summary,
		.by_number = calloc(NUMBERS, sizeof *sum.by_number),
		.labels = calloc(request->drive_count + 1, sizeof *sum.labels),
		.others = calloc(request->drive_count + 1, sizeof *sum.others),
	};
	enum err err = ERR_NO_MEMORY;
	if (sum.by_number && sum.labels && sum.others)
		err = add_all(&sum);
	free(sum.by_number);
	free(sum.labels);
	free(sum.others);
	if (err == ERR_OK)
		*ret_summary = summary;
	return err;
}
