/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/places.h"

static void add_drive(struct places *places, uint16_t drive)
{
	for (unsigned i = 0; i < places->count; i++)
		if (places->drives[i] == drive)
			return;
	if (drive != 0 && places->count < PLACES_MAX)
		places->drives[places->count++] = drive;
}

static enum err add_leftovers(
	struct index_reader *reader, uint16_t slot, uint8_t shard, struct places *places)
{
	struct index_leftover left;
	for (uint32_t from = 0; from <= UINT16_MAX; from = left.drive + 1u) {
		enum err err = index_leftover_next(reader, slot, shard, from, &left);
		if (err)
			return err == ERR_NOT_FOUND ? ERR_OK : err;
		if (left.slot != slot || left.shard != shard)
			return ERR_OK;
		add_drive(places, left.drive);
	}
	return ERR_OK;
}

enum err places_find(struct index_reader *reader, const struct ring_snapshot *snapshot,
	const struct index_piece *piece, uint8_t shard, bool has_leftovers,
	struct places *ret_places)
{
	const struct ring *ring = ring_snapshot_ring(snapshot);
	unsigned width = piece->slot < ring->slot_count ? ring->width : 0;
	struct places places = {.count = 0};
	if (shard < width)
		add_drive(&places, ring_drive(ring, piece->slot, shard));
	for (size_t i = 0; i < row_exception_count(&piece->row); i++) {
		struct row_exception exception = row_exception_at(&piece->row, i);
		if (exception.shard != shard)
			continue;
		add_drive(&places, exception.drive);
		for (unsigned j = 0; j < width && exception.drive == 0; j++)
			add_drive(&places, ring_drive(ring, piece->slot, j));
	}
	const struct ring_moving *move = ring_snapshot_move(snapshot, piece->slot, shard);
	if (move) {
		add_drive(&places, move->from);
		add_drive(&places, move->to);
	}
	enum err err = has_leftovers ? add_leftovers(reader, piece->slot, shard, &places) : ERR_OK;
	if (err == ERR_OK)
		*ret_places = places;
	return err;
}
