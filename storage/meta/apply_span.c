/* SPDX-License-Identifier: Apache-2.0 */
/* What moves leave on old drives, and what gone drives took along: (M5) and (M8) of apply_move.c.
 */
#include "storage/meta/apply_priv.h"

#define SPANS_PER_STEP 400

/* --- what is left behind ---------------------------------------------------------------------- */

void apply_move_emptied(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct bytes list = command->move_emptied.leftovers;
	struct command_ring_move item;
	struct row_key key;
	struct row_leftover row;
	for (result->id = 0; command_ring_move_next(&list, &item) == ERR_OK; result->id++) {
		row_key_leftover(&key, item.slot, item.shard, item.drive);
		if (!apply_get_leftover(apply, &key, &row) || row.since != item.since)
			result->code = COMMAND_STALE;
		else if (apply_is_read(apply, row.since))
			result->code = COMMAND_EARLY; /* (M5) */
		if (result->code != COMMAND_OK)
			return;
	}
	list = command->move_emptied.leftovers;
	while (command_ring_move_next(&list, &item) == ERR_OK) {
		row_key_leftover(&key, item.slot, item.shard, item.drive);
		apply_remove(apply, &key);
	}
}

/* --- spans ------------------------------------------------------------------------------------ */

/* The shard of the slot whose place the drive is; false: none. */
static bool find_shard(const struct apply *apply, uint32_t slot, uint16_t drive, uint8_t *ret_shard)
{
	const struct ring *ring = ring_snapshot_ring(apply->ring);
	for (uint8_t i = 0; i < ring->width; i++) {
		*ret_shard = i;
		if (ring_snapshot_is_place(apply->ring, slot, i, drive))
			return true;
	}
	return false;
}

/* Writes the span of a slot. Returns how many rows changed. */
static size_t write_span(struct apply *apply, uint32_t slot, const struct row_drive *drive)
{
	uint8_t shard;
	struct row_key key;
	struct row_span old;
	if (!find_shard(apply, slot, drive->number, &shard))
		return 0;
	row_key_span(&key, drive->number, slot);
	if (apply_get_span(apply, &key, &old))
		return 0;
	const struct ring_moving *move = ring_snapshot_move(apply->ring, slot, shard);
	struct row_span span = {.shard = shard, .began_ms = drive->gone_ms};
	if (move && move->from == drive->number)
		span.cursor = move->cursor;
	apply_new_span(apply, &key, &span);
	return 1;
}

/* What a gone drive holds needs not be freed. Returns how many rows changed. */
static size_t forget_leftovers(struct apply *apply, uint32_t slot, uint16_t drive)
{
	struct row_key key;
	size_t count = 0;
	for (uint8_t shard = 0; shard < ROW_SHARDS_MAX; shard++) {
		struct bytes value;
		row_key_leftover(&key, slot, shard, drive);
		if (!apply_get(apply, &key, &value))
			continue;
		apply_remove(apply, &key);
		count++;
	}
	return count;
}

void apply_span_begin(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_span_begin *begin = &command->span_begin;
	struct row_key key;
	struct row_drive drive;
	row_key_drive(&key, begin->drive);
	if (!apply_get_drive(apply, &key, &drive)) {
		result->code = COMMAND_NO_KEY;
		return;
	}
	if (drive.state != DRIVE_ROW_GONE || !apply->ring) {
		result->code = drive.state < DRIVE_ROW_GONE ? COMMAND_REFUSED : COMMAND_OK;
		return;
	}
	uint32_t slot = begin->slot, end = ring_snapshot_ring(apply->ring)->slot_count;
	size_t changed = 0;
	for (; slot < end && changed < SPANS_PER_STEP; slot++)
		changed += write_span(apply, slot, &drive) +
			forget_leftovers(apply, slot, drive.number);
	result->count = slot < end ? slot : 0;
}
