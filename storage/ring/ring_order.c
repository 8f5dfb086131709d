/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ring/ring_order.h"

/* A slot on its way. */
struct order {
	const struct ring_drive_info *now[RING_WIDTH_MAX]; /* NULL: nothing is there */
	const struct ring_drive_info *next[RING_WIDTH_MAX];
	enum ring_domain domain;
	uint8_t now_count, next_count;
};

static const struct ring_drive_info *find(
	const struct ring_drive_info *drives, size_t drive_count, uint16_t number)
{
	for (size_t i = 0; i < drive_count; i++)
		if (drives[i].number == number)
			return &drives[i];
	return NULL;
}

static void load(struct order *order, const struct ring *old, const struct ring *target,
	uint32_t slot, const struct ring_drive_info *drives, size_t drive_count)
{
	*order = (struct order){
		.domain = target->domain,
		.now_count = old->width,
		.next_count = target->width,
	};
	for (uint8_t i = 0; i < old->width; i++)
		order->now[i] = find(drives, drive_count, ring_drive(old, slot, i));
	for (uint8_t i = 0; i < target->width; i++)
		order->next[i] = find(drives, drive_count, ring_drive(target, slot, i));
}

static bool does_slot_move(const struct ring *old, const struct ring *target, uint32_t slot)
{
	size_t old_len = 2 * (size_t)old->width, len = 2 * (size_t)target->width;
	return old_len != len ||
		memcmp(old->slots + slot * len, target->slots + slot * len, len) != 0;
}

static bool share(
	const struct order *order, const struct ring_drive_info *a, const struct ring_drive_info *b)
{
	return a && b && ring_share_domain(a, b, order->domain);
}

static bool is_moving(const struct order *order, uint8_t i)
{
	return i < order->now_count && i < order->next_count && order->now[i] != order->next[i];
}

void ring_order_untangle(const struct ring *old, const struct ring *target, uint8_t *slots,
	const struct ring_drive_info *drives, size_t drive_count)
{
	for (uint32_t slot = 0; slot < target->slot_count; slot++) {
		if (!does_slot_move(old, target, slot))
			continue;
		struct order order;
		load(&order, old, target, slot, drives, drive_count);
		/* Who goes into the domain of a shard that moves takes that shard's place. */
		for (uint8_t i = 0; i < order.next_count; i++) {
			for (uint8_t j = 0; j < order.next_count; j++) {
				if (i == j || !is_moving(&order, i) || !is_moving(&order, j) ||
					share(&order, order.next[i], order.now[i]) ||
					!share(&order, order.next[i], order.now[j]) ||
					share(&order, order.next[j], order.now[j]))
					continue;
				const struct ring_drive_info *swap = order.next[i];
				order.next[i] = order.next[j];
				order.next[j] = swap;
				j = UINT8_MAX; /* i has another: from the start */
			}
		}
		uint8_t *row = slots + 2 * (size_t)slot * target->width;
		for (uint8_t i = 0; i < order.next_count; i++)
			if (order.next[i])
				put_le16(row + 2 * i, order.next[i]->number);
	}
}

/* Must the shard wait for another one to leave? */
static bool is_waiting(const struct order *order, uint8_t i)
{
	for (uint8_t j = 0; j < order->now_count; j++)
		if (i != j && share(order, order->next[i], order->now[j]))
			return true;
	return false;
}

static bool has_order(struct order *order)
{
	for (uint8_t i = order->next_count; i < order->now_count; i++)
		order->now[i] = NULL; /* these go, and wait for nobody */
	for (bool has_moved = true; has_moved;) {
		has_moved = false;
		for (uint8_t i = 0; i < order->now_count; i++) {
			if (!is_moving(order, i) || is_waiting(order, i))
				continue;
			order->now[i] = order->next[i];
			has_moved = true;
		}
	}
	for (uint8_t i = 0; i < order->now_count; i++)
		if (is_moving(order, i))
			return false;
	return true;
}

bool ring_order_exists(const struct ring *old, const struct ring *target,
	const struct ring_drive_info *drives, size_t drive_count)
{
	for (uint32_t slot = 0; slot < target->slot_count; slot++) {
		if (!does_slot_move(old, target, slot))
			continue;
		struct order order;
		load(&order, old, target, slot, drives, drive_count);
		if (!has_order(&order))
			return false;
	}
	return true;
}
