/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/read_again.h"

/* Spreads all bits over all others (the finish of splitmix64). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

bool read_again_note(
	struct read_again *again, struct extent_id extent, uint8_t index, uint64_t start)
{
	uint64_t hash = mix(mix(mix(extent.session) ^ extent.counter) ^ start << 8 ^ index);
	_Atomic uint32_t *place = &again->marks[hash % READ_AGAIN_COUNT];
	uint32_t mark = (uint32_t)(hash >> 32) | 1; /* 0: none yet */
	if (atomic_load_explicit(place, memory_order_relaxed) == mark)
		return true;
	atomic_store_explicit(place, mark, memory_order_relaxed);
	return false;
}
