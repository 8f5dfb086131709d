/* SPDX-License-Identifier: Apache-2.0 */
/* Extents and the ledger: a shard that is where the ring says costs nothing; each other one is an
 * exception in its extent's row, and counted.
 *
 * (E1) Without an exception, a shard is on its owner by the ring; if a move of (slot, shard) is
 *      pending, on the new drive if the cursor has passed the extent, else there or on the old one.
 *      If the drives that it may be on are gone, it is nowhere.
 * (E2) An exception names the drive that has the shard, or 0: none has.
 * (E3) A shard that a command names on a gone drive is nowhere. A command whose extents then have
 *      fewer than k+1 shards (k without parity) is LOST: what it wrote is written again (P1).
 * (E4) A shard comes back only to where the ring wants it. So whoever looks for shards that nothing
 *      names never takes one that was written for a command to come.
 * (E5) No command brings a shard onto a drive that has another shard of its extent.
 * (E6) A drive that an exception named before, and that is no place by the ring, is in the table of
 *      leftovers from then on.
 */
#include "storage/meta/apply_priv.h"

#define EXCEPTION_LEN 3

static uint32_t extent_slot(const struct apply *apply, struct extent_id extent)
{
	assert(apply->ring);
	return ring_slot(ring_snapshot_ring(apply->ring), extent);
}

/* --- exceptions ------------------------------------------------------------------------------- */

bool apply_exception_find(const struct row_extent *row, uint8_t shard, uint16_t *ret_drive)
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

/* Is it said by the ring alone that the shard is on that drive (E1)? While the old drive of a move
 * is gone, only what the cursor has passed is taken for being on the new one. */
static bool is_said_by_ring(const struct apply *apply, uint32_t slot, struct extent_id extent,
	uint8_t shard, uint16_t drive)
{
	const struct ring_snapshot *ring = apply->ring;
	if (drive == 0 || ring_snapshot_is_gone(ring, drive))
		return false;
	const struct ring_moving *move = ring_snapshot_move(ring, slot, shard);
	if (!move)
		return ring_snapshot_is_place(ring, slot, shard, drive);
	return drive == move->to &&
		(ring_moving_has_passed(move, extent) || !ring_snapshot_is_gone(ring, move->from));
}

static size_t add_exception(uint8_t *buf, size_t len, uint8_t shard, uint16_t drive)
{
	buf[len] = shard;
	put_le16(buf + len + 1, drive);
	return len + EXCEPTION_LEN;
}

/* Writes down where all shards are, as exceptions from the ring. */
static struct bytes make_exceptions(
	const struct apply *apply, uint32_t slot, const struct command_extent *extent, uint8_t *buf)
{
	size_t len = 0;
	for (uint8_t shard = 0; shard < extent->k + extent->m; shard++) {
		uint16_t drive = get_le16(extent->drives.data + 2 * shard);
		if (is_said_by_ring(apply, slot, extent->extent, shard, drive))
			continue;
		if (ring_snapshot_is_gone(apply->ring, drive))
			drive = 0;
		len = add_exception(buf, len, shard, drive);
	}
	return bytes_make(buf, len);
}

struct bytes apply_exception_set(const struct apply *apply, uint32_t slot, struct extent_id extent,
	const struct row_extent *row, uint8_t shard, uint16_t drive, uint8_t *buf)
{
	size_t len = 0;
	for (uint8_t i = 0; i < row->k + row->m; i++) {
		uint16_t other;
		if (i == shard && !is_said_by_ring(apply, slot, extent, shard, drive))
			len = add_exception(buf, len, shard, drive);
		else if (i != shard && apply_exception_find(row, i, &other))
			len = add_exception(buf, len, i, other);
	}
	return bytes_make(buf, len);
}

/* --- counts ----------------------------------------------------------------------------------- */

static void count_exception(struct apply *apply, uint16_t drive, int64_t sign)
{
	struct row_key key;
	struct row_drive_counts counts = {0};
	if (drive == 0)
		return;
	row_key_drive_counts(&key, drive);
	bool is_there = apply_get_drive_counts(apply, &key, &counts);
	if (sign < 0 && (!is_there || counts.exceptions == 0)) {
		apply_fail(apply, ERR_CORRUPT);
		return;
	}
	counts.exceptions += sign;
	if (counts.exceptions > 0)
		apply_put_drive_counts(apply, &key, &counts);
	else
		apply_remove(apply, &key);
}

/* A shard that the cursor of its move has not passed. */
static void count_left(
	struct apply *apply, uint32_t slot, uint8_t shard, struct extent_id extent, int64_t sign)
{
	const struct ring_moving *move = ring_snapshot_move(apply->ring, slot, shard);
	struct row_key key;
	struct row_move row;
	if (!move || ring_moving_has_passed(move, extent))
		return;
	row_key_move(&key, slot, shard);
	if (!apply_get_move(apply, &key, &row) || (sign < 0 && row.left == 0)) {
		apply_fail(apply, ERR_CORRUPT);
		return;
	}
	row.left += sign;
	apply_put_move(apply, &key, &row);
}

/* The list is the same on all members: places are looked through in order, and emptied ones used
 * again. A kind that found no place may get one later, so that no more are taken out than are in.
 */
static void count_kind(struct row_slot_counts *counts, const struct row_extent *row, int64_t sign)
{
	bool is_mirrored = row->len <= RING_MIRROR_LEN_MAX;
	struct row_slot_kind *empty = NULL, *kind = NULL;
	for (size_t i = 0; i < ROW_KINDS_MAX && !kind; i++) {
		struct row_slot_kind *at = &counts->kinds[i];
		if (at->k == 0 && !empty)
			empty = at;
		if (at->k == row->k && at->m == row->m && at->is_mirrored == is_mirrored)
			kind = at;
	}
	if (!kind && empty && sign > 0) {
		*empty = (struct row_slot_kind){row->k, row->m, is_mirrored, 0, 0};
		kind = empty;
	}
	if (!kind || (sign < 0 && kind->len < row->len))
		return;
	kind->extents += sign;
	kind->len += sign * row->len;
	if (kind->extents == 0)
		*kind = (struct row_slot_kind){0};
}

/* Counts a row in (sign 1) or out (-1). Rows that contradict the counts are damage. */
static void count_extent(struct apply *apply, uint32_t slot, struct extent_id extent,
	const struct row_extent *row, int64_t sign)
{
	struct row_key key;
	struct row_slot_counts counts = {0};
	row_key_slot(&key, slot);
	bool is_there = apply_get_slot_counts(apply, &key, &counts);
	bool is_bad = row->k == 0 || row->k + row->m > ROW_SHARDS_MAX;
	if (is_bad || (sign < 0 && (!is_there || counts.extents == 0 || counts.len < row->len))) {
		apply_fail(apply, ERR_CORRUPT);
		return;
	}
	counts.extents += sign;
	counts.len += sign * row->len;
	counts.codes[row->m].extents += sign;
	counts.codes[row->m].len += sign * row->len;
	count_kind(&counts, row, sign);
	for (uint8_t shard = 0; shard < row->k + row->m; shard++) {
		struct row_slot_shard *of_shard = &counts.shards[shard];
		uint16_t drive;
		of_shard->count += sign;
		of_shard->len += sign * (int64_t)((row->len + row->k - 1) / row->k);
		if (!apply_exception_find(row, shard, &drive)) {
			count_left(apply, slot, shard, extent, sign);
			continue;
		}
		of_shard->exceptions += sign;
		of_shard->missing += sign * (drive == 0);
		counts.exceptions += sign;
		counts.missing += sign * (drive == 0);
		count_exception(apply, drive, sign);
	}
	apply_put_slot_counts(apply, &key, &counts);
}

/* --- rows ------------------------------------------------------------------------------------- */

void apply_extent_write(struct apply *apply, uint32_t slot, struct extent_id extent,
	const struct row_extent *old, struct row_extent *new)
{
	struct row_key key;
	row_key_extent(&key, slot, extent);
	if (old)
		count_extent(apply, slot, extent, old, -1);
	if (old && new)
		apply_put_extent(apply, &key, new);
	else if (new)
		apply_new_extent(apply, &key, new);
	else
		apply_remove(apply, &key);
	if (new)
		count_extent(apply, slot, extent, new, 1);
}

/* Are enough of its shards on drives that are not gone (E3)? */
static bool is_durable(const struct apply *apply, const struct command_extent *extent)
{
	unsigned durable = 0;
	for (size_t i = 0; i < extent->drives.len / 2; i++) {
		uint16_t drive = get_le16(extent->drives.data + 2 * i);
		durable += drive != 0 && !ring_snapshot_is_gone(apply->ring, drive);
	}
	return durable >= extent->k + (extent->m > 0);
}

enum command_code apply_extents_check(struct apply *apply, struct bytes extents)
{
	struct command_extent extent;
	if (extents.len > 0 && !apply->ring)
		return COMMAND_REFUSED;
	while (command_extent_next(&extents, &extent) == ERR_OK) {
		if (extent.extent.counter < apply->open_low)
			return COMMAND_REFUSED;
		struct row_key row_key;
		row_key_extent(&row_key, extent_slot(apply, extent.extent), extent.extent);
		struct bytes value;
		if (apply_get(apply, &row_key, &value))
			return COMMAND_REFUSED;
		/* A ring that was wider when the extent was begun has changed meanwhile. */
		if (!is_durable(apply, &extent) ||
			extent.k + extent.m > ring_snapshot_ring(apply->ring)->width)
			return COMMAND_LOST;
	}
	return COMMAND_OK;
}

static void add_extent(
	struct apply *apply, uint64_t body, uint32_t slot, const struct command_extent *extent)
{
	uint8_t exceptions[EXCEPTION_LEN * ROW_SHARDS_MAX];
	struct row_extent row = {
		.k = extent->k,
		.m = extent->m,
		.unit_len = extent->unit_len,
		.len = extent->len,
		.class = extent->class,
		.body = body,
		.exceptions = make_exceptions(apply, slot, extent, exceptions),
	};
	apply_extent_write(apply, slot, extent->extent, NULL, &row);
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
		uint32_t slot = extent_slot(apply, extent.extent);
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
		apply_extent_write(apply, piece.slot, piece.extent, &row, NULL);
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

/* --- shards that were made anew, or lost ------------------------------------------------------ */

/* Where a shard is for sure; 0: nowhere, or on one of two drives. */
static uint16_t known_place(const struct apply *apply, const struct command_shard_move *move,
	const struct row_extent *row, uint8_t shard)
{
	struct ring_places places;
	uint16_t drive;
	if (apply_exception_find(row, shard, &drive))
		return ring_snapshot_is_gone(apply->ring, drive) ? 0 : drive;
	ring_snapshot_places(apply->ring, move->slot, shard, move->extent, &places);
	return places.count == 1 ? places.drives[0] : 0;
}

/* Where the shard is after the whole list. */
static uint16_t next_place(const struct apply *apply, const struct command_shard_move *move,
	const struct row_extent *row, uint8_t shard, struct bytes list)
{
	struct command_shard_move other;
	uint16_t place = known_place(apply, move, row, shard);
	while (command_shard_move_next(&list, &other) == ERR_OK)
		if (other.slot == move->slot && other.shard == shard &&
			extent_id_is_equal(other.extent, move->extent))
			place = other.drive;
	return place;
}

/* Is the shard where the command thinks that it is? */
static bool is_from(const struct apply *apply, const struct command_shard_move *move,
	const struct row_extent *row)
{
	uint16_t drive;
	if (apply_exception_find(row, move->shard, &drive))
		return drive == move->from;
	const struct ring_moving *pending = ring_snapshot_move(
		apply->ring, move->slot, move->shard);
	if (pending && ring_moving_has_passed(pending, move->extent))
		return move->from == pending->to;
	return ring_snapshot_is_place(apply->ring, move->slot, move->shard, move->from);
}

static enum command_code check_move(
	struct apply *apply, const struct command_shard_move *move, struct bytes list)
{
	struct row_key key;
	struct row_extent row;
	row_key_extent(&key, move->slot, move->extent);
	if (!apply->ring || !apply_get_extent(apply, &key, &row))
		return COMMAND_NO_BODY;
	if (move->shard >= row.k + row.m)
		return COMMAND_REFUSED;
	if (!is_from(apply, move, &row))
		return COMMAND_STALE;
	if (move->drive == 0)
		return COMMAND_OK;
	if (ring_snapshot_is_gone(apply->ring, move->drive) ||
		!ring_snapshot_is_place(apply->ring, move->slot, move->shard, move->drive))
		return COMMAND_STALE; /* the ring has changed (E4) */
	for (uint8_t i = 0; i < row.k + row.m; i++)
		if (i != move->shard && next_place(apply, move, &row, i, list) == move->drive)
			return COMMAND_EARLY; /* (E5) */
	return COMMAND_OK;
}

static void make_move(struct apply *apply, const struct command_shard_move *move)
{
	struct row_key key;
	struct row_extent old;
	uint8_t exceptions[EXCEPTION_LEN * ROW_SHARDS_MAX];
	uint16_t drive;
	row_key_extent(&key, move->slot, move->extent);
	if (!apply_get_extent(apply, &key, &old))
		return;
	struct row_extent new = old;
	new.exceptions = apply_exception_set(
		apply, move->slot, move->extent, &old, move->shard, move->drive, exceptions);
	if (apply_exception_find(&old, move->shard, &drive) && drive != move->drive)
		apply_leftover_add(apply, move->slot, move->shard, drive);
	apply_extent_write(apply, move->slot, move->extent, &old, &new);
}

void apply_extent_update(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct bytes list = command->extent_update.moves;
	struct command_shard_move move;
	while (command_shard_move_next(&list, &move) == ERR_OK) {
		result->code = check_move(apply, &move, command->extent_update.moves);
		if (result->code != COMMAND_OK)
			return;
	}
	list = command->extent_update.moves;
	while (command_shard_move_next(&list, &move) == ERR_OK) {
		make_move(apply, &move);
		result->count++;
	}
}
