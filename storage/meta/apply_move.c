/* SPDX-License-Identifier: Apache-2.0 */
/* Moves: how the ring changes under extents, a shard of a slot at a time. tests/sim/models_ring.c
 * is the model of this file.
 *
 * Where ring and target differ, BEGIN writes a move {from, to, cursor}. The mover copies the slot's
 * shards in the order of extent ids and tells by ADVANCE how far it is; FLIP makes the new drive
 * the owner. CANCEL turns a move around. What was left on the old drive is freed, and then EMPTIED.
 *
 *        BEGIN            ADVANCE ...            FLIP                    EMPTIED
 *   owner ----> {from, to, cursor} ----> at the end ----> owner, leftover ----> owner
 *                    CANCEL: {to, from, start}
 *
 * (M1) A (slot, shard) has at most one move. Its name is the log index of the command that began it
 *      or turned it around, and every step names it: a cursor alone may be the same again.
 * (M2) What the cursor has passed, and has no exception, is on the new drive; the rest is on the
 * new one or on the old one. So a write on the old drive that comes late is an exception, and after
 *      a turn the cursor is at the start.
 * (M3) The mover copies what is garbage, too, as long as it has a row: it may be being read.
 * (M4) A move flips when its cursor is at the end and no exception of (slot, shard) is left.
 * (M5) The old drive keeps what it has until no session reads a state from before the flip. Until
 * it was emptied it gets no such shards: what is looked up, and freed later, is not needed again.
 * (M6) No two shards of an extent get onto one drive (E5), and none of a slot into one domain.
 * (M7) A move's left counts the shards without exception that its cursor has not passed. Those are
 *      what is lost if the old drive is gone.
 * (M8) A span is there for each slot of a gone drive, from SPAN_BEGIN until a move away from the
 *      drive flips. Its cursor follows that of the move.
 * (M9) Where the target has no such shard, to is 0. Nothing is copied then: the cursor passes no
 *      extent that has one, so that re-coding has to come first, and if another target wants the
 *      place again, CANCEL just ends the move.
 */
#include <stdlib.h>

#include "storage/meta/apply_priv.h"

/* --- moves in an edit ------------------------------------------------------------------------- */

/* The place of a move, or where it would be. */
static size_t find_place(const struct ring_edit *edit, uint32_t slot, uint8_t shard)
{
	size_t low = 0, high = edit->move_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct ring_moving *move = &edit->moves[middle];
		if (move->slot < slot || (move->slot == slot && move->shard < shard))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct ring_moving *find_move(const struct ring_edit *edit, uint32_t slot, uint8_t shard)
{
	size_t at = find_place(edit, slot, shard);
	if (at == edit->move_count || edit->moves[at].slot != slot ||
		edit->moves[at].shard != shard)
		return NULL;
	return &edit->moves[at];
}

static void insert_move(struct ring_edit *edit, struct ring_moving move)
{
	size_t at = find_place(edit, move.slot, move.shard);
	assert(edit->move_count < RING_MOVES_MAX);
	memmove(edit->moves + at + 1, edit->moves + at,
		(edit->move_count - at) * sizeof *edit->moves);
	edit->moves[at] = move;
	edit->move_count++;
}

static void remove_move(struct ring_edit *edit, uint32_t slot, uint8_t shard)
{
	size_t at = find_place(edit, slot, shard);
	edit->move_count--;
	memmove(edit->moves + at, edit->moves + at + 1,
		(edit->move_count - at) * sizeof *edit->moves);
}

static uint16_t edit_owner(const struct ring_edit *edit, uint32_t slot, uint8_t shard)
{
	return shard < edit->ring.width ? ring_drive(&edit->ring, slot, shard) : 0;
}

static void set_owner(struct ring_edit *edit, uint32_t slot, uint8_t shard, uint16_t drive)
{
	put_le16(edit->slots + 2 * ((size_t)slot * edit->ring.width + shard), drive);
}

static bool is_gone(const struct ring_edit *edit, uint16_t drive)
{
	for (size_t i = 0; i < edit->gone_count; i++)
		if (edit->gone[i] == drive)
			return true;
	return false;
}

static uint16_t target_drive(const struct apply *apply, uint32_t slot, uint8_t shard)
{
	const struct ring *target = ring_snapshot_ring(apply->target);
	return shard < target->width ? ring_drive(target, slot, shard) : 0;
}

/* --- rows ------------------------------------------------------------------------------------- */

static void read_slot_shard(
	struct apply *apply, uint32_t slot, uint8_t shard, struct row_slot_shard *ret_counts)
{
	struct row_key key;
	struct row_slot_counts counts = {0};
	row_key_slot(&key, slot);
	if (!apply_get_slot_counts(apply, &key, &counts))
		counts = (struct row_slot_counts){0};
	*ret_counts = counts.shards[shard];
}

static void write_move(struct apply *apply, const struct ring_moving *move, uint64_t left)
{
	struct row_key key;
	struct row_move old,
		row = {
			.from = move->from,
			.to = move->to,
			.cursor = move->cursor,
			.is_ended = move->is_ended,
			.began_ms = apply->time_ms,
			.since = move->since,
			.left = left,
		};
	row_key_move(&key, move->slot, move->shard);
	if (apply_get_move(apply, &key, &old) && old.since == row.since)
		row.began_ms = old.began_ms;
	apply_put_move(apply, &key, &row);
}

static void write_leftover(struct apply *apply, uint32_t slot, uint8_t shard, uint16_t drive)
{
	struct row_key key;
	if (drive == 0 || ring_snapshot_is_gone(apply->ring, drive))
		return;
	row_key_leftover(&key, slot, shard, drive);
	apply_put_leftover(apply, &key, &(struct row_leftover){.since = apply->place.index});
}

void apply_leftover_add(struct apply *apply, uint32_t slot, uint8_t shard, uint16_t drive)
{
	if (!ring_snapshot_is_place(apply->ring, slot, shard, drive))
		write_leftover(apply, slot, shard, drive);
}

/* The shard has left its old drive. */
static void leave_drive(struct apply *apply, uint32_t slot, uint8_t shard, uint16_t from)
{
	struct row_key key;
	write_leftover(apply, slot, shard, from);
	if (from == 0 || !ring_snapshot_is_gone(apply->ring, from))
		return;
	row_key_span(&key, from, slot);
	apply_remove(apply, &key); /* (M8) */
}

/* --- beginning -------------------------------------------------------------------------------- */

static const struct ring_drive_info *find_drive(
	const struct ring_drive_info *drives, size_t count, uint16_t number)
{
	for (size_t i = 0; i < count; i++)
		if (drives[i].number == number)
			return &drives[i];
	return NULL;
}

/* Has another shard of the slot to leave the drive's domain first (M6)? */
static bool is_domain_taken(const struct ring_edit *edit, enum ring_domain domain,
	const struct ring_drive_info *drives, size_t count, uint32_t slot, uint8_t shard,
	uint16_t to)
{
	const struct ring_drive_info *new = find_drive(drives, count, to);
	for (uint8_t i = 0; new &&i < edit->ring.width; i++) {
		if (i == shard)
			continue;
		const struct ring_moving *move = find_move(edit, slot, i);
		uint16_t places[] = {edit_owner(edit, slot, i), move ? move->from : 0,
			move ? move->to : 0}; /* it may be turned around */
		for (size_t j = 0; j < ARRAY_COUNT(places); j++) {
			const struct ring_drive_info *old = find_drive(drives, count, places[j]);
			if (old && ring_share_domain(new, old, domain))
				return true;
		}
	}
	return false;
}

static bool has_leftover(struct apply *apply, uint32_t slot, uint8_t shard, uint16_t drive)
{
	struct row_key key;
	struct bytes value;
	row_key_leftover(&key, slot, shard, drive);
	return apply_get(apply, &key, &value);
}

/* Checks one, and makes it in the edit. */
static enum command_code begin_one(struct apply *apply, struct ring_edit *edit,
	const struct ring_drive_info *drives, size_t drive_count,
	const struct command_ring_move *item)
{
	if (item->slot >= edit->ring.slot_count || item->shard >= edit->ring.width)
		return COMMAND_REFUSED;
	uint16_t from = edit_owner(edit, item->slot, item->shard);
	uint16_t to = target_drive(apply, item->slot, item->shard);
	if (from == to || find_move(edit, item->slot, item->shard) || is_gone(edit, to))
		return COMMAND_STALE;
	if (has_leftover(apply, item->slot, item->shard, to) || /* (M5) */
		is_domain_taken(edit, ring_snapshot_ring(apply->target)->domain, drives,
			drive_count, item->slot, item->shard, to))
		return COMMAND_EARLY;
	struct row_slot_shard counts;
	read_slot_shard(apply, item->slot, item->shard, &counts);
	if (counts.count == 0) {
		set_owner(edit, item->slot, item->shard, to);
		return COMMAND_OK;
	}
	if (edit->move_count == RING_MOVES_MAX)
		return COMMAND_LIMIT;
	insert_move(edit,
		(struct ring_moving){
			.slot = item->slot,
			.shard = item->shard,
			.from = from,
			.to = to,
			.since = apply->place.index,
		});
	return COMMAND_OK;
}

static void write_begun(
	struct apply *apply, const struct ring_edit *edit, const struct command_ring_move *item)
{
	const struct ring_moving *move = find_move(edit, item->slot, item->shard);
	struct row_slot_shard counts;
	if (!move) {
		leave_drive(apply, item->slot, item->shard,
			ring_drive(ring_snapshot_ring(apply->ring), item->slot, item->shard));
		return;
	}
	read_slot_shard(apply, item->slot, item->shard, &counts);
	write_move(apply, move, counts.count - counts.exceptions);
}

void apply_move_begin(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct bytes list = command->move_begin.moves;
	struct command_ring_move item;
	struct ring_edit edit;
	size_t drive_count;
	if (!apply->ring || !apply->target) {
		result->code = COMMAND_STALE;
		return;
	}
	struct ring_drive_info *drives = apply_ring_drives(apply, &drive_count);
	if (!drives || !apply_ring_edit(apply, &edit)) {
		free(drives);
		return;
	}
	for (result->id = 0;
		result->code == COMMAND_OK && command_ring_move_next(&list, &item) == ERR_OK;)
		if ((result->code = begin_one(apply, &edit, drives, drive_count, &item)) ==
			COMMAND_OK)
			result->id++;
	free(drives);
	if (result->code != COMMAND_OK) {
		apply_ring_dropped(&edit);
		return;
	}
	list = command->move_begin.moves;
	while (command_ring_move_next(&list, &item) == ERR_OK)
		write_begun(apply, &edit, &item);
	apply_ring_edited(apply, &edit);
}

/* --- advancing -------------------------------------------------------------------------------- */

/* What an extent that is being passed comes to. */
enum passing { PASS_NOTHING, PASS_SHARD, PASS_REDUNDANT, PASS_NOT_YET };

static enum passing judge(const struct ring_moving *move, const struct row_extent *row)
{
	uint16_t drive;
	for (uint8_t i = 0; i < row->k + row->m; i++)
		if (i != move->shard && move->to != 0 && apply_exception_find(row, i, &drive) &&
			drive == move->to)
			return PASS_NOT_YET; /* (E5) */
	if (move->shard >= row->k + row->m)
		return PASS_NOTHING;
	if (move->to == 0)
		return PASS_NOT_YET;
	if (!apply_exception_find(row, move->shard, &drive))
		return PASS_SHARD;
	return drive == move->to ? PASS_REDUNDANT : PASS_NOTHING;
}

static bool is_extent_behind(struct extent_id a, struct extent_id b)
{
	return a.session != b.session ? a.session > b.session : a.counter > b.counter;
}

struct pass {
	size_t rows, shards, redundant;
	enum command_code code;
};

/* The next extent of the slot behind one. */
static bool next_extent(struct apply *apply, uint32_t slot, struct extent_id *at,
	const struct command_move_advance *advance, struct row_extent *ret_row)
{
	struct row_key key;
	struct bytes found, value;
	if (at->counter == UINT64_MAX)
		*at = (struct extent_id){at->session + 1, 0};
	else
		at->counter++;
	row_key_extent(&key, slot, *at);
	if (!apply_seek(apply, &key, 3, &found, &value) ||
		!APPLY_DECODE(apply, extent, value, ret_row))
		return false;
	*at = extent_id_decode(found.data + 3);
	return advance->is_end || !is_extent_behind(*at, advance->up_to);
}

static struct pass look_ahead(struct apply *apply, const struct ring_moving *move,
	const struct command_move_advance *advance)
{
	struct pass pass = {.code = COMMAND_OK};
	struct extent_id at = move->cursor;
	struct row_extent row;
	while (next_extent(apply, move->slot, &at, advance, &row)) {
		enum passing passing = judge(move, &row);
		pass.shards += passing == PASS_SHARD || passing == PASS_REDUNDANT;
		pass.redundant += passing == PASS_REDUNDANT;
		if (passing == PASS_NOT_YET || ++pass.rows > COMMAND_MOVES_MAX) {
			pass.code = passing == PASS_NOT_YET ? COMMAND_EARLY : COMMAND_LIMIT;
			break;
		}
	}
	return pass;
}

/* Exceptions that name the new drive say what the cursor says from now on. */
static void drop_redundant(struct apply *apply, const struct ring_moving *move,
	const struct command_move_advance *advance)
{
	struct extent_id at = move->cursor;
	struct row_extent old;
	while (next_extent(apply, move->slot, &at, advance, &old)) {
		uint8_t buf[3 * ROW_SHARDS_MAX];
		size_t len = 0;
		if (judge(move, &old) != PASS_REDUNDANT)
			continue;
		for (size_t i = 0; i < row_exception_count(&old); i++) {
			if (row_exception_at(&old, i).shard == move->shard)
				continue;
			memcpy(buf + len, old.exceptions.data + 3 * i, 3);
			len += 3;
		}
		struct row_extent new = old;
		new.exceptions = bytes_make(buf, len);
		apply_extent_write(apply, move->slot, at, &old, &new);
	}
}

static void advance_span(struct apply *apply, const struct ring_moving *move)
{
	struct row_key key;
	struct row_span span;
	if (move->from == 0 || !ring_snapshot_is_gone(apply->ring, move->from))
		return;
	row_key_span(&key, move->from, move->slot);
	if (!apply_get_span(apply, &key, &span))
		return;
	span.cursor = move->cursor;
	apply_put_span(apply, &key, &span);
}

static void make_advance(struct apply *apply, const struct command_move_advance *advance,
	const struct pass *pass, struct ring_edit *edit)
{
	struct ring_moving *move = find_move(edit, advance->slot, advance->shard);
	struct row_key key;
	struct row_move row;
	if (pass->redundant > 0)
		drop_redundant(apply, move, advance);
	row_key_move(&key, advance->slot, advance->shard);
	if (!apply_get_move(apply, &key, &row) || row.left < pass->shards ||
		(advance->is_end && row.left != pass->shards)) {
		apply_fail(apply, ERR_CORRUPT);
		return;
	}
	if (!advance->is_end)
		move->cursor = advance->up_to;
	move->is_ended = advance->is_end;
	write_move(apply, move, row.left - pass->shards);
	advance_span(apply, move);
}

void apply_move_advance(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_move_advance *advance = &command->move_advance;
	const struct ring_moving *move = apply->ring
		? ring_snapshot_move(apply->ring, advance->slot, advance->shard)
		: NULL;
	if (!move || move->since != advance->since || move->is_ended ||
		!extent_id_is_equal(move->cursor, advance->cursor)) {
		result->code = COMMAND_STALE;
		return;
	}
	if (!advance->is_end && !is_extent_behind(advance->up_to, move->cursor)) {
		result->code = COMMAND_REFUSED;
		return;
	}
	struct pass pass = look_ahead(apply, move, advance);
	struct ring_edit edit;
	result->code = pass.code;
	result->count = pass.shards;
	if (pass.code != COMMAND_OK || !apply_ring_edit(apply, &edit))
		return;
	make_advance(apply, advance, &pass, &edit);
	apply_ring_edited(apply, &edit);
}

/* --- ending ----------------------------------------------------------------------------------- */

static enum command_code flip_one(
	struct apply *apply, struct ring_edit *edit, const struct command_ring_move *item)
{
	const struct ring_moving *move = find_move(edit, item->slot, item->shard);
	struct row_slot_shard counts;
	if (!move || move->since != item->since)
		return COMMAND_STALE;
	read_slot_shard(apply, item->slot, item->shard, &counts);
	if (!move->is_ended || counts.exceptions > 0 || is_gone(edit, move->to) ||
		(move->to == 0 && counts.count > 0))
		return COMMAND_EARLY; /* (M4) */
	set_owner(edit, item->slot, item->shard, move->to);
	remove_move(edit, item->slot, item->shard);
	return COMMAND_OK;
}

static enum command_code cancel_one(
	struct apply *apply, struct ring_edit *edit, const struct command_ring_move *item)
{
	struct ring_moving *move = find_move(edit, item->slot, item->shard);
	if (!move || move->since != item->since)
		return COMMAND_STALE;
	uint16_t wanted = apply->target ? target_drive(apply, item->slot, item->shard) : 0;
	bool is_unwanted = move->to == 0 ? wanted != 0 : apply->target && wanted == move->from;
	if (!is_gone(edit, move->to) && !is_unwanted)
		return COMMAND_REFUSED;
	if (move->to == 0 || (is_gone(edit, move->to) && is_gone(edit, move->from))) {
		remove_move(edit, item->slot, item->shard); /* there is nothing to move */
		return COMMAND_OK;
	}
	*move = (struct ring_moving){
		.slot = move->slot,
		.shard = move->shard,
		.from = move->to,
		.to = move->from,
		.since = apply->place.index,
	};
	return COMMAND_OK;
}

/* Both drives are gone, or the shards are to stay. The span of the one that is the owner stays. */
static void drop_move(
	struct apply *apply, const struct ring_edit *edit, const struct command_ring_move *item)
{
	const struct ring_moving *move = ring_snapshot_move(apply->ring, item->slot, item->shard);
	uint16_t owner = edit_owner(edit, item->slot, item->shard);
	struct row_key key;
	row_key_span(&key, move->from == owner ? move->to : move->from, item->slot);
	apply_remove(apply, &key);
	row_key_move(&key, item->slot, item->shard);
	apply_remove(apply, &key);
}

static void write_ended(struct apply *apply, const struct ring_edit *edit,
	const struct command_ring_move *item, bool is_flip)
{
	struct row_key key;
	struct row_slot_shard counts;
	if (is_flip) {
		row_key_move(&key, item->slot, item->shard);
		apply_remove(apply, &key);
		leave_drive(apply, item->slot, item->shard,
			ring_snapshot_move(apply->ring, item->slot, item->shard)->from);
		return;
	}
	const struct ring_moving *move = find_move(edit, item->slot, item->shard);
	if (!move) {
		drop_move(apply, edit, item);
		return;
	}
	read_slot_shard(apply, item->slot, item->shard, &counts);
	write_move(apply, move, counts.count - counts.exceptions);
}

static void end_moves(
	struct apply *apply, struct bytes moves, bool is_flip, struct command_result *result)
{
	struct bytes list = moves;
	struct command_ring_move item;
	struct ring_edit edit;
	if (!apply->ring) {
		result->code = COMMAND_STALE;
		return;
	}
	if (!apply_ring_edit(apply, &edit))
		return;
	for (result->id = 0; command_ring_move_next(&list, &item) == ERR_OK; result->id++) {
		result->code = is_flip ? flip_one(apply, &edit, &item)
				       : cancel_one(apply, &edit, &item);
		if (result->code == COMMAND_OK)
			continue;
		apply_ring_dropped(&edit);
		return;
	}
	list = moves;
	while (command_ring_move_next(&list, &item) == ERR_OK)
		write_ended(apply, &edit, &item, is_flip);
	apply_ring_edited(apply, &edit);
}

void apply_move_flip(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	end_moves(apply, command->move_flip.moves, true, result);
}

void apply_move_cancel(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	end_moves(apply, command->move_cancel.moves, false, result);
}
