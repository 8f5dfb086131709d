/* SPDX-License-Identifier: Apache-2.0 */
/* The index against a drive: which rows have a shard there that is not there? */
#include "storage/repair/scrub_priv.h"

static struct store *store_of(const struct scrub *scrub)
{
	return scrub->crew->store->store;
}

static struct index_reader *reader_of(const struct scrub *scrub)
{
	return scrub->crew->store->reader;
}

static uint16_t number_of(const struct scrub *scrub)
{
	return store_of(scrub)->drives[scrub->drive].number;
}

static bool is_live(struct scrub *scrub, const struct row_extent *row)
{
	struct row_body body;
	return index_body_get(reader_of(scrub), row->body, &body) == ERR_OK && body.refs > 0;
}

static bool is_listed(struct drive *drive, struct extent_id extent, uint8_t shard)
{
	struct shard_entry entry;
	size_t count;
	return drive_list(drive, extent, shard, &entry, 1, &count) != ERR_OK ||
		(count == 1 && extent_id_is_equal(entry.extent, extent) && entry.index == shard);
}

/* Is the drive the only place because the other one, where the shard was, is gone? Then it is still
 * to be brought there. */
static bool is_expected(struct scrub *scrub, const struct ring_snapshot *ring,
	const struct row_extent *row, uint8_t shard)
{
	const struct ring_moving *move = ring_snapshot_move(ring, scrub->place.slot, shard);
	for (size_t i = 0; i < row_exception_count(row); i++)
		if (row_exception_at(row, i).shard == shard)
			return false;
	return move && !ring_moving_has_passed(move, scrub->place.extent);
}

/* Of an extent, the shard that must be on the drive and is not. */
static void match(struct scrub *scrub, struct drive *drive, const struct ring_snapshot *ring,
	const struct row_extent *row)
{
	for (uint8_t i = 0; i < row->k + row->m; i++) {
		struct ring_places places;
		index_shard_places(ring, scrub->place.slot, scrub->place.extent, row, i, &places);
		if (places.count != 1 || places.drives[0] != number_of(scrub) ||
			is_expected(scrub, ring, row, i) ||
			is_listed(drive, scrub->place.extent, i) || !is_live(scrub, row))
			continue;
		scrub->missing[scrub->missing_count++] = (struct command_shard_move){
			.slot = scrub->place.slot,
			.extent = scrub->place.extent,
			.shard = i,
			.from = number_of(scrub),
		};
		return; /* a drive has one shard of an extent */
	}
}

enum err scrub_match(struct scrub *scrub, struct drive *drive)
{
	enum err err = index_view_begin(reader_of(scrub));
	if (err)
		return err;
	struct ring_snapshot *ring = NULL;
	err = index_ring_view(reader_of(scrub), &ring);
	for (unsigned left = SCRUB_MATCH_ROWS;
		err == ERR_OK && left > 0 && scrub->missing_count < SCRUB_MISSING_MAX; left--) {
		struct row_extent row;
		struct extent_id found;
		if (scrub->place.slot >= ring_snapshot_ring(ring)->slot_count) {
			err = ERR_NOT_FOUND;
			break;
		}
		err = index_extent_next(
			reader_of(scrub), scrub->place.slot, scrub->place.extent, &found, &row);
		if (err == ERR_NOT_FOUND) {
			scrub->place = (struct index_place){.slot = scrub->place.slot + 1};
			err = ERR_OK;
			continue;
		}
		scrub->place.extent = found;
		if (err == ERR_OK)
			match(scrub, drive, ring, &row);
		scrub->place.extent.counter++;
	}
	ring_snapshot_unref(ring);
	index_view_end(reader_of(scrub));
	return err;
}
