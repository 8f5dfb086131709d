/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/move_sums.h"

/* Adds what a place of the ring has to move: all of its shards, or those behind a cursor. */
static enum err count_place(struct index_reader *reader, const struct ring_snapshot *snapshot,
	const struct ring *target, const struct row_slot_shard *counts, uint32_t slot,
	uint8_t shard, uint64_t *shards)
{
	uint16_t to = target && shard < target->width ? ring_drive(target, slot, shard) : 0;
	struct index_move move;
	if (ring_snapshot_move(snapshot, slot, shard)) {
		enum err err = index_move_next(reader, slot, shard, &move);
		*shards += err == ERR_OK && move.row.to != 0 ? move.row.left : 0;
		return err;
	}
	if (to != 0 && ring_drive(ring_snapshot_ring(snapshot), slot, shard) != to)
		*shards += counts->count - counts->exceptions;
	return ERR_OK;
}

enum err move_sums(struct index_reader *reader, const struct ring_snapshot *snapshot,
	const struct ring *target, struct move_sums *ret_sums)
{
	const struct ring *ring = ring_snapshot_ring(snapshot);
	struct move_sums sums = {0};
	uint64_t len = 0, count = 0;
	for (uint32_t slot = 0; slot < ring->slot_count; slot++) {
		struct row_slot_counts counts;
		enum err err = index_slot_counts(reader, slot, &counts);
		if (err == ERR_NOT_FOUND)
			continue;
		for (uint8_t i = 0; i < ring->width && err == ERR_OK; i++) {
			len += counts.shards[i].len;
			count += counts.shards[i].count;
			err = count_place(
				reader, snapshot, target, &counts.shards[i], slot, i, &sums.shards);
		}
		if (err != ERR_OK)
			return err;
	}
	sums.shard_len = count > 0 ? len / count : 0;
	*ret_sums = sums;
	return ERR_OK;
}
