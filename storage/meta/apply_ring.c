/* SPDX-License-Identifier: Apache-2.0 */
/* Setting the ring.
 *
 * A shard without an exception is where the ring says, so a ring must not change under extents: for
 * a slot that holds any, the new table has the same drives in the same places. */
#include <stdlib.h>

#include "storage/meta/apply_priv.h"
#include "storage/meta/ring_rows.h"

/* All drives that may be in a ring. */
static bool load_drives(struct apply *apply, struct ring_drive_info *drives, size_t *ret_count)
{
	struct row_key key;
	struct bytes found, value;
	size_t count = 0;
	row_key_begin(&key, TABLE_DRIVE);
	bool is_there = apply_seek(apply, &key, 1, &found, &value);
	while (is_there && count < RING_DRIVES_MAX) {
		struct row_drive row;
		if (!APPLY_DECODE(apply, drive, value, &row))
			return false;
		if (row.state == DRIVE_ROW_IN)
			drives[count++] = (struct ring_drive_info){
				.number = row.number,
				.node = row.node,
				.zone = row.zone,
				.weight = row.weight,
				.class = row.class,
			};
		is_there = apply_next(apply, bytes_make(key.data, 1), &found, &value);
	}
	*ret_count = count;
	return true;
}

static bool is_checked(struct apply *apply, const struct ring *ring)
{
	struct ring_drive_info *drives = calloc(RING_DRIVES_MAX, sizeof *drives);
	if (!drives) {
		apply_fail(apply, ERR_NO_MEMORY);
		return false;
	}
	size_t count;
	bool is_ok = load_drives(apply, drives, &count) &&
		ring_check(ring, drives, count) == ERR_OK;
	free(drives);
	return is_ok;
}

static bool is_same_slot(const struct ring *a, const struct ring *b, uint32_t slot)
{
	if (a->slot_count != b->slot_count || a->width != b->width)
		return false;
	size_t len = 2 * (size_t)a->width;
	return memcmp(a->slots + slot * len, b->slots + slot * len, len) == 0;
}

/* Would a slot that holds extents change? */
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

static void write_ring(struct apply *apply, uint8_t class, uint64_t version, struct bytes bytes)
{
	struct row_key key;
	struct bytes value;
	struct ring_head old;
	row_key_ring(&key, class, 0, 0);
	bool has_old = apply_get(apply, &key, &value) &&
		apply_decode_is_ok(apply, ring_head_decode(value, &old));
	for (size_t at = 0; has_old && at < old.len; at += RING_PART_LEN) {
		struct row_key part;
		row_key_ring(&part, class, old.version, at / RING_PART_LEN);
		apply_remove(apply, &part);
	}
	uint8_t buf[RING_HEAD_LEN];
	ring_head_encode(&(struct ring_head){.version = version, .len = bytes.len}, buf);
	apply_put(apply, &key, bytes_make(buf, sizeof buf));
	for (size_t at = 0; at < bytes.len; at += RING_PART_LEN) {
		struct bytes part = bytes_from(bytes, at);
		if (part.len > RING_PART_LEN)
			part.len = RING_PART_LEN;
		row_key_ring(&key, class, version, at / RING_PART_LEN);
		apply_put_new(apply, &key, part);
	}
}

void apply_ring_set(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct bytes bytes = command->ring_set.ring;
	struct ring ring;
	const struct ring *old = apply->ring ? ring_snapshot_ring(apply->ring) : NULL;
	if (ring_decode(bytes, &ring) != ERR_OK || ring.class != RING_STANDARD) {
		result->code = COMMAND_REFUSED;
		return;
	}
	result->count = old ? old->version : 0;
	if (ring.version != result->count + 1) {
		result->code = COMMAND_STALE;
		return;
	}
	if (!is_checked(apply, &ring)) {
		result->code = COMMAND_REFUSED;
		return;
	}
	if (old && moves_extents(apply, old, &ring)) {
		result->code = COMMAND_NOT_EMPTY;
		return;
	}
	struct ring_snapshot *snapshot;
	enum err err = ring_snapshot_new(&ring, &snapshot);
	if (err != ERR_OK) {
		apply_fail(apply, err);
		return;
	}
	write_ring(apply, ring.class, ring.version, bytes);
	ring_snapshot_unref(apply->ring_next);
	apply->ring_next = snapshot;
	result->count = ring.version;
}
