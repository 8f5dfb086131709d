/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/index_ledger.h"

#include "storage/meta/index_priv.h"
#include "storage/meta/ring_rows.h"

static bool find_exception(const struct row_extent *row, uint8_t shard, uint16_t *ret_drive)
{
	for (size_t i = 0; i < row_exception_count(row); i++) {
		struct row_exception exception = row_exception_at(row, i);
		if (exception.shard != shard)
			continue;
		*ret_drive = exception.drive;
		return true;
	}
	return false;
}

void index_shard_places(const struct ring_snapshot *ring, uint16_t slot, struct extent_id extent,
	const struct row_extent *row, uint8_t shard, struct ring_places *ret_places)
{
	uint16_t drive;
	if (!find_exception(row, shard, &drive)) {
		ring_snapshot_places(ring, slot, shard, extent, ret_places);
		return;
	}
	*ret_places = (struct ring_places){0};
	if (drive != 0 && !ring_snapshot_is_gone(ring, drive))
		ret_places->drives[ret_places->count++] = drive;
}

bool index_shard_belongs(const struct ring_snapshot *ring, uint16_t slot,
	const struct row_extent *row, uint8_t shard, uint16_t drive)
{
	uint16_t other = 0;
	if (shard >= row->k + row->m)
		return false;
	return ring_snapshot_is_place(ring, slot, shard, drive) ||
		(find_exception(row, shard, &other) && other == drive);
}

/* The counts of the first slot from *slot on that has some, which it becomes. */
static enum err next_counts(
	struct index_reader *reader, uint32_t *slot, struct row_slot_counts *ret_counts)
{
	struct row_key key;
	struct bytes found, value;
	row_key_slot(&key, *slot);
	enum err err = index_seek(reader, &key, 1, &found, &value);
	if (err == ERR_OK)
		err = row_slot_counts_decode(value, ret_counts);
	if (err == ERR_OK)
		*slot = get_be16(found.data + 1);
	return err;
}

/* --- walks ------------------------------------------------------------------------------------ */

struct walk {
	bool wants_exceptions;
	struct ring_profile profile; /* else extents of other codes */
};

/* Adds what is of another code than the profile's. */
static void count_off(const struct row_slot_counts *counts, struct ring_profile profile,
	struct index_profile_sums *sums)
{
	for (size_t i = 0; i < ROW_KINDS_MAX; i++) {
		const struct row_slot_kind *kind = &counts->kinds[i];
		struct ring_profile wanted = kind->is_mirrored ? ring_profile_mirror(profile)
							       : profile;
		if (kind->k == 0 || (kind->k == wanted.k && kind->m == wanted.m))
			continue;
		sums->off_extents += kind->extents;
		sums->off_len += kind->len;
		sums->wide_extents += kind->k + kind->m > profile.k + profile.m ? kind->extents : 0;
		if (kind->m >= wanted.m)
			continue;
		sums->under_extents += kind->extents;
		sums->under_len += kind->len;
		sums->bare_extents += kind->m == 0 ? kind->extents : 0;
		sums->bare_len += kind->m == 0 ? kind->len : 0;
	}
}

static uint64_t count_under(const struct row_slot_counts *counts, uint8_t m, uint64_t *ret_len)
{
	uint64_t extents = 0;
	*ret_len = 0;
	for (uint8_t i = 0; i < m && i < ROW_SHARDS_MAX; i++) {
		extents += counts->codes[i].extents;
		*ret_len += counts->codes[i].len;
	}
	return extents;
}

static bool has_any(const struct walk *walk, const struct row_slot_counts *counts)
{
	struct index_profile_sums sums = {0};
	if (walk->wants_exceptions)
		return counts->exceptions > 0;
	count_off(counts, walk->profile, &sums);
	return sums.off_extents > 0;
}

static bool is_wanted(const struct walk *walk, const struct row_extent *row)
{
	struct ring_profile wanted = ring_profile_of_len(walk->profile, row->len);
	return walk->wants_exceptions ? row->exceptions.len > 0
				      : row->k != wanted.k || row->m != wanted.m;
}

/* The first slot from one on that has any. Errors: ERR_NOT_FOUND. */
static enum err find_slot(
	struct index_reader *reader, const struct walk *walk, uint32_t from, uint16_t *ret_slot)
{
	for (uint32_t slot = from; slot <= UINT16_MAX; slot++) {
		struct row_slot_counts counts;
		enum err err = next_counts(reader, &slot, &counts);
		if (err != ERR_OK)
			return err;
		if (!has_any(walk, &counts))
			continue;
		*ret_slot = slot;
		return ERR_OK;
	}
	return ERR_NOT_FOUND;
}

/* In the place's slot. Errors: ERR_NOT_FOUND, none is left there; ERR_BUSY. */
static enum err walk_slot(struct index_reader *reader, const struct walk *walk,
	struct index_place *place, size_t *rows_left, struct row_extent *ret_row)
{
	for (;;) {
		struct extent_id found;
		enum err err = index_extent_next(
			reader, place->slot, place->extent, &found, ret_row);
		if (err != ERR_OK)
			return err;
		place->extent = found;
		if (is_wanted(walk, ret_row))
			return ERR_OK;
		place->extent.counter++;
		if (--*rows_left == 0)
			return ERR_BUSY;
	}
}

static enum err walk_on(struct index_reader *reader, const struct walk *walk,
	struct index_place *place, size_t rows_max, struct row_extent *ret_row)
{
	assert(rows_max > 0);
	for (;;) {
		uint16_t slot;
		enum err err = find_slot(reader, walk, place->slot, &slot);
		if (err != ERR_OK)
			return err;
		if (slot != place->slot)
			*place = (struct index_place){.slot = slot};
		err = walk_slot(reader, walk, place, &rows_max, ret_row);
		if (err != ERR_NOT_FOUND)
			return err;
		if (place->slot == UINT16_MAX)
			return ERR_NOT_FOUND;
		*place = (struct index_place){.slot = place->slot + 1};
	}
}

enum err index_exception_next(struct index_reader *reader, struct index_place *place,
	size_t rows_max, struct row_extent *ret_row)
{
	return walk_on(reader, &(struct walk){.wants_exceptions = true}, place, rows_max, ret_row);
}

enum err index_off_profile_next(struct index_reader *reader, struct index_place *place,
	struct ring_profile profile, size_t rows_max, struct row_extent *ret_row)
{
	return walk_on(reader, &(struct walk){.profile = profile}, place, rows_max, ret_row);
}

/* --- moves, spans, leftovers ------------------------------------------------------------------ */

enum err index_move_next(
	struct index_reader *reader, uint16_t slot, uint8_t shard, struct index_move *ret_move)
{
	struct row_key key;
	struct bytes found, value;
	row_key_move(&key, slot, shard);
	enum err err = index_seek(reader, &key, 1, &found, &value);
	if (err != ERR_OK)
		return err;
	ret_move->slot = get_be16(found.data + 1);
	ret_move->shard = found.data[3];
	return row_move_decode(value, &ret_move->row);
}

/* What the drive took along (apply_move.c, (M7)). */
static enum err count_lost(struct index_reader *reader, uint16_t drive, uint16_t slot,
	uint8_t shard, uint64_t *ret_left)
{
	struct row_key key;
	struct bytes value;
	struct row_move move;
	struct row_slot_counts counts;
	row_key_move(&key, slot, shard);
	enum err err = index_get(reader, &key, &value);
	if (err == ERR_OK)
		err = row_move_decode(value, &move);
	if (err == ERR_OK && move.from == drive) {
		*ret_left = move.left;
		return ERR_OK;
	}
	if (err == ERR_OK || err == ERR_NOT_FOUND)
		err = index_slot_counts(reader, slot, &counts);
	if (err == ERR_NOT_FOUND)
		counts = (struct row_slot_counts){0};
	else if (err != ERR_OK)
		return err;
	*ret_left = counts.shards[shard].count - counts.shards[shard].exceptions;
	return ERR_OK;
}

enum err index_span_next(
	struct index_reader *reader, uint16_t drive, uint16_t slot, struct index_span *ret_span)
{
	struct row_key key;
	struct bytes found, value;
	row_key_span(&key, drive, slot);
	enum err err = index_seek(reader, &key, 1, &found, &value);
	if (err != ERR_OK)
		return err;
	ret_span->drive = get_be16(found.data + 1);
	ret_span->slot = get_be16(found.data + 3);
	err = row_span_decode(value, &ret_span->row);
	if (err == ERR_OK && ret_span->row.shard >= ROW_SHARDS_MAX)
		err = ERR_CORRUPT;
	if (err != ERR_OK)
		return err;
	return count_lost(
		reader, ret_span->drive, ret_span->slot, ret_span->row.shard, &ret_span->left);
}

enum err index_leftover_next(struct index_reader *reader, uint16_t slot, uint8_t shard,
	uint16_t drive, struct index_leftover *ret_leftover)
{
	struct row_key key;
	struct bytes found, value;
	row_key_leftover(&key, slot, shard, drive);
	enum err err = index_seek(reader, &key, 1, &found, &value);
	if (err != ERR_OK)
		return err;
	ret_leftover->slot = get_be16(found.data + 1);
	ret_leftover->shard = found.data[3];
	ret_leftover->drive = get_be16(found.data + 4);
	return row_leftover_decode(value, &ret_leftover->row);
}

/* --- counts ----------------------------------------------------------------------------------- */

static enum err sum_spans(struct index_reader *reader, struct index_slot_sums *sums)
{
	struct index_span span = {0};
	for (uint32_t drive = 0, slot = 0; drive <= UINT16_MAX;) {
		enum err err = index_span_next(reader, drive, slot, &span);
		if (err != ERR_OK)
			return err == ERR_NOT_FOUND ? ERR_OK : err;
		sums->lost += span.left;
		drive = span.slot == UINT16_MAX ? span.drive + 1u : span.drive;
		slot = span.slot == UINT16_MAX ? 0 : span.slot + 1u;
	}
	return ERR_OK;
}

enum err index_slot_sums(struct index_reader *reader, uint8_t m, struct index_slot_sums *ret_sums)
{
	struct index_slot_sums sums = {0};
	for (uint32_t slot = 0; slot <= UINT16_MAX; slot++) {
		struct row_slot_counts counts;
		enum err err = next_counts(reader, &slot, &counts);
		if (err == ERR_NOT_FOUND)
			break;
		if (err != ERR_OK)
			return err;
		uint64_t under_len;
		sums.extents += counts.extents;
		sums.len += counts.len;
		sums.exceptions += counts.exceptions;
		sums.missing += counts.missing;
		sums.under_extents += count_under(&counts, m, &under_len);
		sums.under_len += under_len;
	}
	enum err err = sum_spans(reader, &sums);
	if (err == ERR_OK)
		*ret_sums = sums;
	return err;
}

enum err index_profile_sums(struct index_reader *reader, struct ring_profile profile,
	struct index_profile_sums *ret_sums)
{
	struct index_profile_sums sums = {0};
	for (uint32_t slot = 0; slot <= UINT16_MAX; slot++) {
		struct row_slot_counts counts;
		enum err err = next_counts(reader, &slot, &counts);
		if (err == ERR_NOT_FOUND)
			break;
		if (err != ERR_OK)
			return err;
		count_off(&counts, profile, &sums);
	}
	*ret_sums = sums;
	return ERR_OK;
}

enum err index_drive_exceptions(struct index_reader *reader, uint16_t drive, uint64_t *ret_count)
{
	struct row_key key;
	struct bytes value;
	struct row_drive_counts counts = {0};
	row_key_drive_counts(&key, drive);
	enum err err = index_get(reader, &key, &value);
	if (err == ERR_OK)
		err = row_drive_counts_decode(value, &counts);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	*ret_count = counts.exceptions;
	return ERR_OK;
}

/* --- ring and drives -------------------------------------------------------------------------- */

enum err index_ring_view(struct index_reader *reader, struct ring_snapshot **ret_ring)
{
	assert(reader->magic == READER_MAGIC && reader->has_begun);
	return ring_rows_load(&reader->view, RING_STANDARD, ret_ring);
}

enum err index_ring_target(struct index_reader *reader, struct ring_snapshot **ret_target)
{
	assert(reader->magic == READER_MAGIC && reader->has_begun);
	return ring_rows_load(&reader->view, RING_STANDARD | RING_ROWS_TARGET, ret_target);
}

enum err index_command_version(struct index_reader *reader, uint16_t *ret_version)
{
	uint16_t version = COMMAND_VERSION;
	struct row_node row = {0};
	for (uint32_t number = 1; number <= UINT16_MAX; number = row.number + 1u) {
		enum err err = index_node_next(reader, number, &row);
		if (err == ERR_NOT_FOUND)
			break;
		if (err != ERR_OK)
			return err;
		/* That it has a row is of version 2. */
		uint16_t knows = row.version_max > 0 ? row.version_max : 2;
		version = knows < version ? knows : version;
	}
	*ret_version = version;
	return ERR_OK;
}

enum err index_cluster_epoch(struct index_reader *reader, uint64_t *ret_epoch)
{
	struct bytes value;
	enum err err = index_setting_get(reader, bytes_of(COMMAND_SETTING_EPOCH), &value);
	if (err == ERR_OK && value.len != 8)
		err = ERR_CORRUPT;
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	*ret_epoch = err == ERR_OK ? get_le64(value.data) : 0;
	return ERR_OK;
}

bool index_is_held(struct index_reader *reader)
{
	struct bytes value;
	return index_setting_get(reader, bytes_of(COMMAND_SETTING_HELD), &value) != ERR_NOT_FOUND;
}

enum err index_drive_claim(
	struct index_reader *reader, uint16_t drive, struct id node, uint64_t mount)
{
	struct row_drive row;
	enum err err = index_drive_get(reader, drive, &row);
	if (err != ERR_OK)
		return err;
	bool is_mine = row.mount == mount && memcmp(&row.node, &node, sizeof node) == 0;
	return is_mine && row.state < DRIVE_ROW_GONE ? ERR_OK : ERR_FENCED;
}
