/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/spans.h"

/* Is the drive a place of the slot without a span? */
static bool lacks_span(struct index_reader *reader, const struct ring_snapshot *ring, uint32_t slot,
	uint16_t drive)
{
	struct index_span span;
	bool is_place = false;
	for (uint8_t i = 0; i < ring_snapshot_ring(ring)->width; i++)
		is_place |= ring_snapshot_is_place(ring, slot, i, drive);
	if (!is_place)
		return false;
	enum err err = index_span_next(reader, drive, slot, &span);
	return err == ERR_NOT_FOUND ||
		(err == ERR_OK && (span.drive != drive || span.slot != slot));
}

/* A slot of a gone drive of which the index does not know yet that it is lost. */
static bool find_lacking(
	struct index *index, struct index_reader *reader, struct command_span_begin *ret_begin)
{
	struct ring_snapshot *ring = index_ring(index);
	bool is_found = false;
	size_t count = 0;
	const uint16_t *gone = ring ? ring_snapshot_gone(ring, &count) : NULL;
	for (size_t i = 0; i < count && !is_found; i++) {
		uint32_t slot_count = ring_snapshot_ring(ring)->slot_count;
		for (uint32_t slot = 0; slot < slot_count && !is_found; slot++) {
			is_found = lacks_span(reader, ring, slot, gone[i]);
			*ret_begin = (struct command_span_begin){.drive = gone[i], .slot = slot};
		}
	}
	ring_snapshot_unref(ring);
	return is_found;
}

/* Errors: ERR_NOT_FOUND, there is none. */
static enum err find_gone_leftover(
	struct index *index, struct index_reader *reader, struct command_span_begin *ret_begin)
{
	struct ring_snapshot *ring = index_ring(index);
	struct index_leftover found;
	enum err err = ring ? ERR_OK : ERR_NOT_FOUND;
	uint16_t slot = 0, drive = 0;
	uint8_t shard = 0;
	while (err == ERR_OK &&
		(err = index_leftover_next(reader, slot, shard, drive, &found)) == ERR_OK) {
		if (ring_snapshot_is_gone(ring, found.drive)) {
			*ret_begin = (struct command_span_begin){found.drive, found.slot};
			break;
		}
		slot = found.slot;
		shard = found.shard + (found.drive == UINT16_MAX);
		drive = found.drive + 1;
	}
	ring_snapshot_unref(ring);
	return err;
}

bool spans_find_next(
	struct index *index, struct index_reader *reader, struct command_span_begin *ret_begin)
{
	return find_lacking(index, reader, ret_begin) ||
		find_gone_leftover(index, reader, ret_begin) == ERR_OK;
}
