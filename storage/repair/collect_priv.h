/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_COLLECT_PRIV_H
#define STORAGE_REPAIR_COLLECT_PRIV_H

#include "storage/repair/collect.h"

/* What the two halves of the collector have in common: the queue (collect.c) and the census
 * (census.c). All on the loop of its store. */

/* Goes on after so long. */
void collect_look_later(struct collector *collector, uint64_t delay_ms);

/* Are there slots for so many frees? If not, it goes on when one ended. */
bool collect_has_slots(struct collector *collector, unsigned count);

/* Begins to free one shard; there is a slot. */
void collect_free_shard(struct collector *collector, const struct site *site,
	struct extent_id extent, uint8_t index);

/* Begins with the first drive, from the loop's next turn on. */
void collect_begin_census(struct collector *collector);

/* Does the next batch, or ends the census and leaves the collector idle. */
void collect_advance_census(struct collector *collector);

#endif
