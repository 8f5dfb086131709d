/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/object/frame.h"

#include <assert.h>
#include <string.h>

/* A form may come from a damaged row. */
static bool is_form(const struct frame_form *form, struct bytes table)
{
	if (form->len == 0 || form->len > UINT64_C(1) << 50 ||
		(!form->is_zipped && !form->is_sealed))
		return false;
	if (form->is_zipped)
		return form->len <= FRAME_ZIPPED_LEN_MAX && table.len == frame_table_len(form->len);
	return table.len == 0 && form->stored_len == frame_sealed_len(form->len);
}

static uint32_t tag_len(const struct frame_walk *walk)
{
	return walk->form.is_sealed ? FRAME_TAG_LEN : 0;
}

static uint32_t entry_at(const uint8_t *table, uint64_t number)
{
	return get_le16(table + number * FRAME_TABLE_ENTRY_LEN) + 1u;
}

enum err frame_walk_show(struct frame_walk *walk, struct bytes table)
{
	if (!is_form(&walk->form, table))
		return ERR_CORRUPT;
	uint64_t left = frame_count(walk->form.len) - walk->number;
	walk->window_start = walk->number;
	walk->window_count = left < FRAME_WINDOW ? left : FRAME_WINDOW;
	memcpy(walk->window, table.data + walk->number * FRAME_TABLE_ENTRY_LEN,
		walk->window_count * FRAME_TABLE_ENTRY_LEN);
	return ERR_OK;
}

enum err frame_walk_start(
	struct frame_walk *walk, const struct frame_form *form, struct bytes table, uint64_t number)
{
	if (!is_form(form, table) || number >= frame_count(form->len))
		return ERR_CORRUPT;
	walk->form = *form;
	walk->number = number;
	walk->window_start = walk->window_count = 0;
	walk->offset = number * (FRAME_LEN + tag_len(walk));
	if (!form->is_zipped)
		return ERR_OK;
	walk->offset = 0;
	for (uint64_t i = 0; i < number; i++)
		walk->offset += entry_at(table.data, i) + tag_len(walk);
	return frame_walk_show(walk, table);
}

enum err frame_walk_next(struct frame_walk *walk, struct frame *ret_frame)
{
	uint64_t count = frame_count(walk->form.len);
	if (walk->number == count)
		return ERR_END;
	struct frame frame = {
		.number = walk->number,
		.offset = walk->offset,
		.len = frame_len_at(walk->form.len, walk->number),
		.is_last = walk->number + 1 == count,
	};
	frame.payload_len = frame.len;
	if (walk->form.is_zipped) {
		uint64_t at = walk->number - walk->window_start;
		if (at >= walk->window_count)
			return ERR_BUSY;
		frame.payload_len = entry_at(walk->window, at);
		frame.is_zipped = frame.payload_len < frame.len;
	}
	uint64_t end = frame.offset + frame.payload_len + tag_len(walk);
	if (frame.payload_len > frame.len || end > walk->form.stored_len)
		return ERR_CORRUPT;
	walk->number++;
	walk->offset = end;
	*ret_frame = frame;
	return ERR_OK;
}
