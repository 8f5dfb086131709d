/* SPDX-License-Identifier: Apache-2.0 */
/* The checker: what any ring must keep to, said without the planner's code. */
#include "storage/ring/ring.h"

static const struct ring_drive_info *find(
	const struct ring_drive_info *drives, size_t drive_count, uint16_t number)
{
	for (size_t i = 0; i < drive_count; i++) {
		if (drives[i].number == number)
			return &drives[i];
	}
	return NULL;
}

static bool share_domain(
	const struct ring_drive_info *a, const struct ring_drive_info *b, enum ring_domain domain)
{
	if (a->number == b->number)
		return true;
	bool share_node = memcmp(&a->node, &b->node, sizeof a->node) == 0;
	if (domain == RING_DOMAIN_DRIVE)
		return false;
	if (domain == RING_DOMAIN_NODE || a->zone.len == 0 || b->zone.len == 0)
		return share_node;
	return bytes_is_equal(a->zone, b->zone);
}

static bool is_slot(const struct ring *ring, uint32_t slot, const struct ring_drive_info *drives,
	size_t drive_count)
{
	const struct ring_drive_info *row[RING_WIDTH_MAX];
	for (uint8_t i = 0; i < ring->width; i++) {
		row[i] = find(drives, drive_count, ring_drive(ring, slot, i));
		if (!row[i] || row[i]->weight == 0)
			return false;
		for (uint8_t j = 0; j < i; j++) {
			if (share_domain(row[i], row[j], ring->domain))
				return false;
		}
	}
	return true;
}

enum err ring_check(
	const struct ring *ring, const struct ring_drive_info *drives, size_t drive_count)
{
	if (ring->width == 0 || ring->width > RING_WIDTH_MAX || ring->profile.k == 0 ||
		ring->profile.k + ring->profile.m > ring->width ||
		ring->slots_len != 2 * (size_t)ring->slot_count * ring->width)
		return ERR_INVALID;
	for (uint32_t slot = 0; slot < ring->slot_count; slot++) {
		if (!is_slot(ring, slot, drives, drive_count))
			return ERR_INVALID;
	}
	return ERR_OK;
}
