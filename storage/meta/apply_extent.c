/* SPDX-License-Identifier: Apache-2.0 */
/* Extents and the ledger: a shard that is where the ring says costs nothing; each other one is an
 * exception in its extent's row, and counted with its slot. */
#include "storage/meta/apply_priv.h"

#define EXCEPTION_LEN 3

/* Where the ring wants a shard; 0: nowhere. */
static uint16_t ring_owner(const struct apply *apply, uint16_t slot, uint8_t shard)
{
	if (!apply->ring)
		return 0;
	const struct ring *ring = ring_snapshot_ring(apply->ring);
	if (slot >= ring->slot_count || shard >= ring->width)
		return 0;
	return ring_drive(ring, slot, shard);
}

static uint16_t extent_slot(const struct apply *apply, struct extent_id extent)
{
	assert(apply->ring);
	return ring_slot(ring_snapshot_ring(apply->ring), extent);
}

/* --- exceptions ------------------------------------------------------------------------------- */

static uint16_t shard_drive(
	const struct apply *apply, uint16_t slot, const struct row_extent *row, uint8_t shard)
{
	for (size_t i = 0; i < row_exception_count(row); i++) {
		struct row_exception exception = row_exception_at(row, i);
		if (exception.shard == shard)
			return exception.drive;
	}
	return ring_owner(apply, slot, shard);
}

/* Writes down where all shards are, as exceptions from the ring. */
static struct bytes make_exceptions(const struct apply *apply, uint16_t slot,
	const uint16_t *drives, uint8_t shard_count, uint8_t *buf)
{
	size_t len = 0;
	for (uint8_t shard = 0; shard < shard_count; shard++) {
		if (drives[shard] == ring_owner(apply, slot, shard))
			continue;
		buf[len] = shard;
		put_le16(buf + len + 1, drives[shard]);
		len += EXCEPTION_LEN;
	}
	return bytes_make(buf, len);
}

/* Counts a row in (sign 1) or out (-1) of its slot. Rows that contradict the counts are damage. */
static void count_extent(
	struct apply *apply, uint16_t slot, const struct row_extent *row, int64_t sign)
{
	struct row_key key;
	row_key_slot(&key, slot);
	struct row_slot_counts counts = {0};
	bool is_there = apply_get_slot_counts(apply, &key, &counts);
	uint64_t missing = 0;
	for (size_t i = 0; i < row_exception_count(row); i++)
		missing += row_exception_at(row, i).drive == 0;
	if (sign < 0 && (!is_there || counts.extents == 0 || counts.len < row->len)) {
		apply_fail(apply, ERR_CORRUPT);
		return;
	}
	counts.extents += sign;
	counts.len += sign * row->len;
	counts.exceptions += sign * (int64_t)row_exception_count(row);
	counts.missing += sign * (int64_t)missing;
	apply_put_slot_counts(apply, &key, &counts);
}

/* --- rows ------------------------------------------------------------------------------------- */

bool apply_extents_are_new(struct apply *apply, struct bytes extents)
{
	struct command_extent extent;
	if (extents.len > 0 && !apply->ring)
		return false;
	while (command_extent_next(&extents, &extent) == ERR_OK) {
		if (extent.extent.counter < apply->open_low)
			return false;
		uint16_t slot = extent_slot(apply, extent.extent);
		struct row_key row_key;
		row_key_extent(&row_key, slot, extent.extent);
		struct bytes value;
		if (apply_get(apply, &row_key, &value))
			return false;
	}
	return true;
}

static void add_extent(
	struct apply *apply, uint64_t body, uint16_t slot, const struct command_extent *extent)
{
	uint16_t drives[ROW_SHARDS_MAX];
	uint8_t exceptions[EXCEPTION_LEN * ROW_SHARDS_MAX];
	uint8_t shard_count = extent->k + extent->m;
	for (uint8_t shard = 0; shard < shard_count; shard++)
		drives[shard] = get_le16(extent->drives.data + 2 * shard);
	struct row_extent row = {
		.k = extent->k,
		.m = extent->m,
		.unit_len = extent->unit_len,
		.len = extent->len,
		.class = extent->class,
		.body = body,
		.exceptions = make_exceptions(apply, slot, drives, shard_count, exceptions),
	};
	struct row_key key;
	row_key_extent(&key, slot, extent->extent);
	apply_new_extent(apply, &key, &row);
	count_extent(apply, slot, &row, 1);
}

static void flush_pieces(
	struct apply *apply, uint64_t body, uint64_t end, struct row_piece *pieces, size_t *count)
{
	if (*count == 0)
		return;
	struct row_key key;
	row_key_pieces(&key, body, end, 0);
	size_t len = row_pieces_encode(pieces, *count, apply->row_buf);
	apply_put_new(apply, &key, bytes_make(apply->row_buf, len));
	*count = 0;
}

void apply_extents_add(
	struct apply *apply, uint64_t body, struct row_body *row, struct bytes extents)
{
	struct row_piece pieces[ROW_PIECES_MAX];
	size_t count = 0;
	struct command_extent extent;
	while (command_extent_next(&extents, &extent) == ERR_OK) {
		uint16_t slot = extent_slot(apply, extent.extent);
		add_extent(apply, body, slot, &extent);
		pieces[count++] = (struct row_piece){
			.len = extent.len,
			.extent = extent.extent,
			.slot = slot,
		};
		row->stored_len += extent.len;
		row->piece_count++;
		if (count == ROW_PIECES_MAX)
			flush_pieces(apply, body, row->stored_len, pieces, &count);
	}
	flush_pieces(apply, body, row->stored_len, pieces, &count);
}

/* Takes the next piece that is an extent; anything else is damage. */
static bool next_extent(struct apply *apply, struct row_pieces *pieces, struct row_piece *piece)
{
	enum err err = row_piece_next(pieces, piece);
	if (err == ERR_OK && piece->extent.session == 0)
		err = ERR_CORRUPT;
	if (err != ERR_OK && err != ERR_END)
		apply_fail(apply, err);
	return err == ERR_OK;
}

void apply_extents_remove(struct apply *apply, struct bytes pieces_value)
{
	struct row_pieces pieces;
	if (!apply_decode_is_ok(apply, row_pieces_decode(pieces_value, &pieces)))
		return;
	struct row_piece piece;
	while (next_extent(apply, &pieces, &piece)) {
		struct row_key key;
		row_key_extent(&key, piece.slot, piece.extent);
		struct row_extent row;
		if (!apply_get_extent(apply, &key, &row)) {
			apply_fail(apply, ERR_CORRUPT);
			return;
		}
		count_extent(apply, piece.slot, &row, -1);
		apply_remove(apply, &key);
	}
}

void apply_extents_rename(struct apply *apply, struct bytes pieces_value, uint64_t body)
{
	struct row_pieces pieces;
	if (!apply_decode_is_ok(apply, row_pieces_decode(pieces_value, &pieces)))
		return;
	struct row_piece piece;
	while (next_extent(apply, &pieces, &piece)) {
		struct row_key key;
		row_key_extent(&key, piece.slot, piece.extent);
		struct row_extent row;
		if (!apply_get_extent(apply, &key, &row)) {
			apply_fail(apply, ERR_CORRUPT);
			return;
		}
		row.body = body;
		apply_put_extent(apply, &key, &row);
	}
}

/* --- moves of single shards ------------------------------------------------------------------- */

static enum command_code check_move(struct apply *apply, const struct command_shard_move *move)
{
	struct row_key key;
	row_key_extent(&key, move->slot, move->extent);
	struct row_extent row;
	if (!apply_get_extent(apply, &key, &row))
		return COMMAND_NO_BODY;
	if (move->shard >= row.k + row.m)
		return COMMAND_REFUSED;
	if (shard_drive(apply, move->slot, &row, move->shard) != move->from)
		return COMMAND_STALE;
	return COMMAND_OK;
}

static void make_move(struct apply *apply, const struct command_shard_move *move)
{
	struct row_key key;
	row_key_extent(&key, move->slot, move->extent);
	struct row_extent row;
	if (!apply_get_extent(apply, &key, &row))
		return;
	count_extent(apply, move->slot, &row, -1);
	uint16_t drives[ROW_SHARDS_MAX];
	uint8_t exceptions[EXCEPTION_LEN * ROW_SHARDS_MAX];
	uint8_t shard_count = row.k + row.m;
	for (uint8_t shard = 0; shard < shard_count; shard++)
		drives[shard] = shard_drive(apply, move->slot, &row, shard);
	drives[move->shard] = move->drive;
	row.exceptions = make_exceptions(apply, move->slot, drives, shard_count, exceptions);
	apply_put_extent(apply, &key, &row);
	count_extent(apply, move->slot, &row, 1);
}

void apply_extent_update(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct bytes list = command->extent_update.moves;
	struct command_shard_move move;
	while (command_shard_move_next(&list, &move) == ERR_OK) {
		result->code = check_move(apply, &move);
		if (result->code != COMMAND_OK)
			return;
	}
	list = command->extent_update.moves;
	while (command_shard_move_next(&list, &move) == ERR_OK) {
		make_move(apply, &move);
		result->count++;
	}
}
