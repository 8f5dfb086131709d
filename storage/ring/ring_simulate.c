/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ring/ring_summary.h"

static bool is_failed(uint16_t drive, const uint16_t *failed, size_t failed_count)
{
	for (size_t i = 0; i < failed_count; i++) {
		if (failed[i] == drive)
			return true;
	}
	return false;
}

static uint8_t count_left(
	const struct ring *ring, uint32_t slot, const uint16_t *failed, size_t failed_count)
{
	uint8_t left = 0;
	for (uint8_t i = 0; i < ring->width; i++)
		left += !is_failed(ring_drive(ring, slot, i), failed, failed_count);
	return left;
}

void ring_simulate(const struct ring *ring, const uint16_t *failed, size_t failed_count,
	const uint64_t *slot_lens, struct ring_outlook *ret_outlook)
{
	uint8_t k = ring->profile.k;
	uint8_t m = ring->profile.m;
	struct ring_outlook outlook = {0};
	for (uint32_t slot = 0; slot < ring->slot_count; slot++) {
		uint8_t left = count_left(ring, slot, failed, failed_count);
		uint64_t len = slot_lens ? slot_lens[slot] : 0;
		outlook.readable += left >= k;
		outlook.unreadable += left < k;
		outlook.safe += left > k;
		outlook.unreadable_len += left < k ? len : 0;
		outlook.unsafe_len += left == k ? len : 0;
		if (left > k || (m == 0 && left == k))
			outlook.writable++;
		else if (m > 0 && left >= 2)
			outlook.narrowed++;
		else
			outlook.stopped++;
	}
	*ret_outlook = outlook;
}
