/* SPDX-License-Identifier: Apache-2.0 */
/* How chunks become frames, one after the other, in the stage. */
#include <assert.h>
#include <string.h>

#include "storage/object/pack_priv.h"

/* The payload of the next frame, in the clear, as short as it gets. */
static enum err zip_frame(struct pack *pack, const uint8_t *in, struct frame *frame, uint8_t *out)
{
	size_t len;
	if (!pack->is_zipped || !frame_zip_should_try(&pack->guess))
		return ERR_OK;
	enum err err = frame_zip_deflate(&pack_store(pack)->zip, in, frame->len, out, &len);
	if (err == ERR_NO_MEMORY)
		return err;
	frame_zip_tell(&pack->guess, err == ERR_OK);
	if (err == ERR_OK) {
		frame->payload_len = len;
		frame->is_zipped = pack->has_paid = true;
	}
	return ERR_OK;
}

static enum err make_frame(struct pack *pack, struct pack_chunk *chunk)
{
	const uint8_t *in = chunk->buf + chunk->packed_len;
	uint8_t *out = pack->stage + pack->stage_len;
	struct frame frame = {
		.number = pack->next_frame, .len = frame_len_at(pack->len, pack->next_frame)};
	assert(frame.len <= chunk->filled_len - chunk->packed_len);
	frame.payload_len = frame.len;
	frame.is_last = pack->packed_len + frame.len == pack->len;
	enum err err = zip_frame(pack, in, &frame, out);
	if (err)
		return err;
	uint32_t stored_len = frame.payload_len;
	if (pack->is_sealed) {
		frame_seal_begin(&pack->seal, &frame);
		frame_seal_run(&pack->seal, frame.is_zipped ? out : in, frame.payload_len, out);
		frame_seal_end(&pack->seal, out + frame.payload_len);
		stored_len += FRAME_TAG_LEN;
	} else if (!frame.is_zipped) {
		memcpy(out, in, frame.len);
	}
	struct store_counters *counters = &pack_store(pack)->counters;
	counters->zipped_bytes += pack->is_zipped ? frame.len : 0;
	counters->zipped_stored_bytes += pack->is_zipped ? stored_len : 0;
	counters->sealed_bytes += pack->is_sealed ? frame.len : 0;
	if (pack->table)
		frame_table_set(pack->table, frame.number, frame.payload_len);
	pack->stage_len += stored_len;
	pack->frames_len += stored_len;
	pack->packed_len += frame.len;
	pack->next_frame++;
	chunk->packed_len += frame.len;
	return ERR_OK;
}

struct pack_chunk *pack_next_chunk(struct pack *pack)
{
	for (;;) {
		struct pack_chunk *chunk = &pack->chunks[pack->packing];
		if (chunk->is_full && chunk->packed_len < chunk->filled_len)
			return chunk;
		if (pack->packing == pack->filling)
			return NULL; /* it is to be filled first */
		pack->packing = pack->filling;
	}
}

void pack_make_frames(struct pack *pack)
{
	for (unsigned zips = 0; !pack->err;) {
		struct pack_chunk *chunk = pack_next_chunk(pack);
		if (!chunk)
			return;
		if (pack->is_open && pack->packed_len + FRAME_LEN >= pack->len)
			return; /* it may be the last frame, or not */
		uint32_t need = frame_len_at(pack->len, pack->next_frame) +
			(pack->is_sealed ? FRAME_TAG_LEN : 0);
		if (pack->stage_cap - pack->stage_len < need)
			return;
		zips += pack->is_zipped && pack->guess.skips == 0;
		if (zips > PACK_ZIPS_MAX) {
			pack_advance_soon(pack);
			return;
		}
		enum err err = make_frame(pack, chunk);
		if (err)
			pack_fail(pack, err);
	}
}
