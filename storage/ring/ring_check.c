/* SPDX-License-Identifier: Apache-2.0 */
/* The checker: what any ring must keep to, and what its summary must say, worked out without the
 * planner's code. It is slow and plain: everything is looked for where it is, each time. */
#include "storage/ring/ring.h"
#include "storage/ring/ring_summary.h"

static const struct ring_drive_info *find(
	const struct ring_drive_info *drives, size_t drive_count, uint16_t number)
{
	for (size_t i = 0; i < drive_count; i++) {
		if (drives[i].number == number)
			return &drives[i];
	}
	return NULL;
}

bool ring_share_domain(
	const struct ring_drive_info *a, const struct ring_drive_info *b, enum ring_domain domain)
{
	if (a->number == b->number)
		return true;
	if (domain == RING_DOMAIN_DRIVE)
		return false;
	if (memcmp(&a->node, &b->node, sizeof a->node) == 0)
		return true;
	return domain == RING_DOMAIN_ZONE && a->zone.len > 0 && bytes_is_equal(a->zone, b->zone);
}

static bool is_slot(const struct ring *ring, uint32_t slot, const struct ring_drive_info *drives,
	size_t drive_count)
{
	const struct ring_drive_info *row[RING_WIDTH_MAX];
	for (uint8_t i = 0; i < ring->width; i++) {
		uint16_t number = ring_drive(ring, slot, i);
		row[i] = find(drives, drive_count, number);
		if (number == 0 || !row[i] || row[i]->weight == 0)
			return false;
		for (uint8_t j = 0; j < i; j++) {
			if (ring_share_domain(row[i], row[j], ring->domain))
				return false;
		}
	}
	return true;
}

enum err ring_check(
	const struct ring *ring, const struct ring_drive_info *drives, size_t drive_count)
{
	if (ring->width == 0 || ring->width > RING_WIDTH_MAX || ring->profile.k == 0 ||
		ring->profile.k + ring->profile.m > ring->width || ring->slot_count == 0 ||
		ring->slots_len != 2 * (size_t)ring->slot_count * ring->width)
		return ERR_INVALID;
	for (uint32_t slot = 0; slot < ring->slot_count; slot++) {
		if (!is_slot(ring, slot, drives, drive_count))
			return ERR_INVALID;
	}
	return ERR_OK;
}

/* --- figures ---------------------------------------------------------------------------------- */

/* Would so many bytes of clients, spread over all slots alike, fit on every drive? */
static bool fits(const struct ring_summary_request *request, unsigned __int128 len)
{
	const struct ring *ring = request->new;
	for (size_t i = 0; i < request->drive_count; i++) {
		unsigned __int128 held = ring_count_drive(ring, request->drives[i].number) * len;
		unsigned __int128 room = request->drives[i].weight;
		if (request->spaces && request->spaces[i].len < room)
			room = request->spaces[i].len;
		if (held > room * ring->slot_count * ring->profile.k)
			return false;
	}
	return true;
}

/* The usable bytes fit, and one more for each shard of each slot does not. */
static bool is_usable(const struct ring_summary_request *request, uint64_t usable)
{
	return fits(request, usable) &&
		(usable == UINT64_MAX || !fits(request, (unsigned __int128)usable + 1));
}

/* What moves to a drive (or away from it): each position that one ring gives it and the other
 * gives to another. */
static void count_drive_moves(const struct ring_summary_request *request, const struct ring *here,
	const struct ring *there, uint16_t number, uint32_t *ret_count, uint64_t *ret_len)
{
	uint32_t count = 0;
	uint64_t len = 0;
	uint8_t k = request->old->profile.k;
	for (uint32_t slot = 0; slot < here->slot_count; slot++) {
		for (uint8_t i = 0; i < here->width && i < there->width; i++) {
			if (ring_drive(here, slot, i) != number ||
				ring_drive(there, slot, i) == number)
				continue;
			count++;
			if (request->slot_lens)
				len += (request->slot_lens[slot] + k - 1) / k;
		}
	}
	*ret_count = count;
	*ret_len = len;
}

static bool are_moves(const struct ring_summary_request *request,
	const struct ring_drive_summary *drives, const struct ring_summary *summary)
{
	uint64_t move_len = 0;
	uint32_t move_count = 0;
	for (size_t i = 0; i < request->drive_count && request->old; i++) {
		uint16_t number = request->drives[i].number;
		uint32_t in_count, out_count;
		uint64_t in_len, out_len;
		count_drive_moves(request, request->new, request->old, number, &in_count, &in_len);
		count_drive_moves(
			request, request->old, request->new, number, &out_count, &out_len);
		if (drives[i].number != number || drives[i].in_len != in_len ||
			drives[i].out_len != out_len)
			return false;
		move_count += in_count;
		move_len += in_len;
	}
	return summary->move_count == move_count && summary->move_len == move_len;
}

enum err ring_check_summary(const struct ring_summary_request *request,
	const struct ring_drive_summary *drives, const struct ring_summary *summary)
{
	enum err err = ring_check(request->new, request->drives, request->drive_count);
	if (err != ERR_OK)
		return err;
	if (request->old && request->old->slot_count != request->new->slot_count)
		return ERR_INVALID;
	if (!is_usable(request, summary->usable_after) || !are_moves(request, drives, summary))
		return ERR_INVALID;
	return ERR_OK;
}
