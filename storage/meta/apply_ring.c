/* SPDX-License-Identifier: Apache-2.0 */
/* The ring, and the ring that it is on its way to.
 *
 * (T1) A shard without an exception is where the ring says, so RING_SET changes it only where a
 * slot has no extents. Under extents it changes by a target, a place at a time (apply_move.c). (T2)
 * The target keeps to the rules of rings (ring_check()), and there is an order in which its moves
 * can be made. The ring on its way is a mixture, and keeps to one rule: no two shards of a slot are
 * in one domain of the target's, unless they were so before. (T3) When ring and target name the
 * same drives and nothing moves, the target becomes the ring, with its version, width and profile.
 * A place that the target does not have is 0 by then. (T4) To go back is a target that names the
 * old drives.
 */
#include <stdlib.h>

#include "storage/meta/apply_priv.h"
#include "storage/meta/ring_rows.h"
#include "storage/ring/ring_order.h"

/* --- drives ----------------------------------------------------------------------------------- */

struct ring_drive_info *apply_ring_drives(struct apply *apply, size_t *ret_count)
{
	struct ring_drive_info *drives = calloc(RING_DRIVES_MAX, sizeof *drives);
	struct row_key key;
	struct bytes found, value;
	size_t count = 0;
	if (!drives) {
		apply_fail(apply, ERR_NO_MEMORY);
		return NULL;
	}
	row_key_begin(&key, TABLE_DRIVE);
	bool is_there = apply_seek(apply, &key, 1, &found, &value);
	while (is_there && count < RING_DRIVES_MAX) {
		struct row_drive row;
		if (!APPLY_DECODE(apply, drive, value, &row))
			break;
		if (row.state < DRIVE_ROW_GONE)
			drives[count++] = (struct ring_drive_info){
				.number = row.number,
				.node = row.node,
				.zone = row.zone,
				.weight = row.state == DRIVE_ROW_IN ? row.weight : 0,
				.class = row.class,
			};
		is_there = apply_next(apply, bytes_make(key.data, 1), &found, &value);
	}
	*ret_count = count;
	return drives;
}

static bool has_ring_drive(const struct ring_snapshot *snapshot, uint16_t drive)
{
	size_t count;
	if (!snapshot)
		return false;
	const struct ring_moving *moves = ring_snapshot_moves(snapshot, &count);
	for (size_t i = 0; i < count; i++)
		if (moves[i].from == drive || moves[i].to == drive)
			return true;
	return ring_count_drive(ring_snapshot_ring(snapshot), drive) > 0;
}

bool apply_ring_has_drive(const struct apply *apply, uint16_t drive)
{
	return has_ring_drive(apply->ring, drive) || has_ring_drive(apply->target, drive);
}

/* --- rows ------------------------------------------------------------------------------------- */

static void remove_ring(struct apply *apply, uint8_t id)
{
	struct row_key key, part;
	struct bytes value;
	struct ring_head old;
	row_key_ring(&key, id, 0, 0);
	if (!apply_get(apply, &key, &value) ||
		!apply_decode_is_ok(apply, ring_head_decode(value, &old)))
		return;
	for (size_t at = 0; at < old.len; at += old.part_len) {
		row_key_ring(&part, id, old.version, at / old.part_len);
		apply_remove(apply, &part);
	}
	apply_remove(apply, &key);
}

/* Writes the parts that have changed. */
static void write_parts(struct apply *apply, uint8_t id, uint64_t version, struct bytes bytes)
{
	for (size_t at = 0; at < bytes.len; at += RING_PART_LEN) {
		struct row_key key;
		struct bytes part = bytes_from(bytes, at), old;
		if (part.len > RING_PART_LEN)
			part.len = RING_PART_LEN;
		row_key_ring(&key, id, version, at / RING_PART_LEN);
		if (!apply_get(apply, &key, &old) || !bytes_is_equal(part, old))
			apply_put(apply, &key, part);
	}
}

static void write_ring(struct apply *apply, uint8_t id, const struct ring *ring)
{
	size_t cap = ring_encoded_len(ring);
	uint8_t *buf = malloc(cap);
	struct ring_head old, head = {.version = ring->version, .part_len = RING_PART_LEN};
	struct row_key key;
	struct bytes value;
	size_t len;
	if (!buf || ring_encode(ring, buf, cap, &len) != ERR_OK) {
		free(buf);
		apply_fail(apply, ERR_NO_MEMORY);
		return;
	}
	head.len = len;
	row_key_ring(&key, id, 0, 0);
	bool is_there = apply_get(apply, &key, &value) && ring_head_decode(value, &old) == ERR_OK;
	if (!is_there || memcmp(&old, &head, sizeof head) != 0) {
		uint8_t head_buf[RING_HEAD_LEN];
		remove_ring(apply, id);
		ring_head_encode(&head, head_buf);
		apply_put(apply, &key, bytes_make(head_buf, sizeof head_buf));
	}
	write_parts(apply, id, ring->version, bytes_make(buf, len));
	free(buf);
}
static_assert(sizeof(struct ring_head) == 16, "heads have no gaps");

/* --- changing it ------------------------------------------------------------------------------ */

static void edit_free(struct ring_edit *edit)
{
	free(edit->slots);
	free(edit->moves);
	free(edit->gone);
	*edit = (struct ring_edit){0};
}

static bool edit_make(struct apply *apply, const struct ring *ring, struct ring_edit *edit)
{
	*edit = (struct ring_edit){
		.ring = *ring,
		.slots = malloc(ring->slots_len),
		.moves = calloc(RING_MOVES_MAX, sizeof *edit->moves),
		.gone = calloc(RING_DRIVES_MAX, sizeof *edit->gone),
	};
	if (!edit->slots || !edit->moves || !edit->gone) {
		edit_free(edit);
		apply_fail(apply, ERR_NO_MEMORY);
		return false;
	}
	memcpy(edit->slots, ring->slots, ring->slots_len);
	edit->ring.slots = edit->slots;
	return true;
}

bool apply_ring_edit(struct apply *apply, struct ring_edit *ret_edit)
{
	if (!edit_make(apply, ring_snapshot_ring(apply->ring), ret_edit))
		return false;
	const struct ring_moving *moves = ring_snapshot_moves(apply->ring, &ret_edit->move_count);
	if (ret_edit->move_count > 0)
		memcpy(ret_edit->moves, moves, ret_edit->move_count * sizeof *moves);
	const uint16_t *gone = ring_snapshot_gone(apply->ring, &ret_edit->gone_count);
	if (ret_edit->gone_count > 0)
		memcpy(ret_edit->gone, gone, ret_edit->gone_count * sizeof *gone);
	return true;
}

void apply_ring_dropped(struct ring_edit *edit)
{
	edit_free(edit);
}

/* (T3) */
static bool is_reached(const struct ring_edit *edit, const struct ring *target)
{
	const struct ring *ring = &edit->ring;
	if (edit->move_count > 0)
		return false;
	for (uint32_t slot = 0; slot < ring->slot_count; slot++) {
		for (uint8_t i = 0; i < ring->width; i++) {
			uint16_t wanted = i < target->width ? ring_drive(target, slot, i) : 0;
			if (ring_drive(ring, slot, i) != wanted)
				return false;
		}
	}
	return true;
}

static void set_target(struct apply *apply, struct ring_snapshot *target)
{
	apply->target_changes = true;
	apply->target_next = target;
}

static void finish_edit(struct apply *apply, struct ring_edit *edit, const struct ring *target)
{
	struct ring_snapshot *snapshot;
	struct ring ring = edit->ring;
	if (target && is_reached(edit, target)) {
		ring = *target;
		remove_ring(apply, RING_STANDARD | RING_ROWS_TARGET);
		set_target(apply, NULL);
	}
	write_ring(apply, RING_STANDARD, &ring);
	enum err err = ring_snapshot_new_moving(&ring, target, edit->moves, edit->move_count,
		edit->gone, edit->gone_count, &snapshot);
	edit_free(edit);
	if (err != ERR_OK) {
		apply_fail(apply, err);
		return;
	}
	ring_snapshot_unref(apply->ring_next);
	apply->ring_next = snapshot;
}

void apply_ring_edited(struct apply *apply, struct ring_edit *edit)
{
	finish_edit(apply, edit, apply->target ? ring_snapshot_ring(apply->target) : NULL);
}

/* --- commands --------------------------------------------------------------------------------- */

static bool is_same_slot(const struct ring *a, const struct ring *b, uint32_t slot)
{
	if (a->slot_count != b->slot_count || a->width != b->width)
		return false;
	size_t len = 2 * (size_t)a->width;
	return memcmp(a->slots + slot * len, b->slots + slot * len, len) == 0;
}

/* Would a slot that holds extents change (T1)? */
static bool moves_extents(struct apply *apply, const struct ring *old, const struct ring *new)
{
	struct row_key key;
	struct bytes found, value;
	row_key_begin(&key, TABLE_SLOT_COUNTS);
	bool is_there = apply_seek(apply, &key, 1, &found, &value);
	while (is_there) {
		struct row_slot_counts counts;
		uint16_t slot = get_be16(found.data + 1);
		if (!APPLY_DECODE(apply, slot_counts, value, &counts))
			return true;
		if (counts.extents > 0 && !is_same_slot(old, new, slot))
			return true;
		is_there = apply_next(apply, bytes_make(key.data, 1), &found, &value);
	}
	return false;
}

/* Is it a ring of these drives, and can it be moved to from the old one (T2)? It could from what it
 * was planned on, so that one which cannot is too late: moves have begun meanwhile. */
static enum command_code check(struct apply *apply, const struct ring *ring, const struct ring *old)
{
	size_t count;
	enum command_code code = COMMAND_OK;
	struct ring_drive_info *drives = apply_ring_drives(apply, &count);
	if (!drives || ring_check(ring, drives, count) != ERR_OK)
		code = COMMAND_REFUSED;
	else if (old && !ring_order_exists(old, ring, drives, count))
		code = COMMAND_STALE;
	free(drives);
	return code;
}

/* The drives that were given up before there was a ring. */
static void load_gone(struct apply *apply, struct ring_edit *edit)
{
	struct row_key key;
	struct bytes found, value;
	row_key_begin(&key, TABLE_DRIVE);
	bool is_there = apply_seek(apply, &key, 1, &found, &value);
	while (is_there && edit->gone_count < RING_DRIVES_MAX) {
		struct row_drive row;
		if (!APPLY_DECODE(apply, drive, value, &row))
			return;
		if (row.state >= DRIVE_ROW_GONE)
			edit->gone[edit->gone_count++] = row.number;
		is_there = apply_next(apply, bytes_make(key.data, 1), &found, &value);
	}
}

void apply_ring_set(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct ring ring;
	struct ring_edit edit;
	size_t move_count = 0;
	const struct ring *old = apply->ring ? ring_snapshot_ring(apply->ring) : NULL;
	if (old)
		(void)ring_snapshot_moves(apply->ring, &move_count);
	if (ring_decode(command->ring_set.ring, &ring) != ERR_OK || ring.class != RING_STANDARD ||
		move_count > 0 || apply->target) {
		result->code = COMMAND_REFUSED;
		return;
	}
	result->count = old ? old->version : 0;
	if (ring.version != result->count + 1) {
		result->code = COMMAND_STALE;
		return;
	}
	result->code = check(apply, &ring, NULL);
	if (result->code != COMMAND_OK)
		return;
	if (old && moves_extents(apply, old, &ring)) {
		result->code = COMMAND_NOT_EMPTY;
		return;
	}
	if (!edit_make(apply, &ring, &edit))
		return;
	load_gone(apply, &edit);
	finish_edit(apply, &edit, NULL);
	result->count = ring.version;
}

void apply_ring_target(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct ring target;
	struct ring_edit edit;
	struct ring_snapshot *snapshot;
	if (!apply->ring || ring_decode(command->ring_target.ring, &target) != ERR_OK) {
		result->code = COMMAND_REFUSED;
		return;
	}
	const struct ring *ring = ring_snapshot_ring(apply->ring);
	result->count = apply->target ? ring_snapshot_ring(apply->target)->version : ring->version;
	if (target.version != result->count + 1) {
		result->code = COMMAND_STALE;
		return;
	}
	if (!apply_ring_edit(apply, &edit))
		return;
	/* The edit's slots serve to judge the order, and are made anew. */
	struct ring arrived;
	ring_snapshot_arrived(apply->ring, edit.slots, &arrived);
	result->code = target.class == ring->class && target.slot_count == ring->slot_count
		? check(apply, &target, &arrived)
		: COMMAND_REFUSED;
	memcpy(edit.slots, ring->slots, ring->slots_len);
	if (result->code != COMMAND_OK) {
		edit_free(&edit);
		return;
	}
	result->count = target.version;
	if (!is_reached(&edit, &target)) {
		enum err err = ring_snapshot_new(&target, &snapshot);
		if (err != ERR_OK) {
			edit_free(&edit);
			apply_fail(apply, err);
			return;
		}
		write_ring(apply, RING_STANDARD | RING_ROWS_TARGET, &target);
		set_target(apply, snapshot);
	}
	finish_edit(apply, &edit, &target); /* what is written may be another profile now */
}
