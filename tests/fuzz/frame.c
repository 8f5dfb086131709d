/* SPDX-License-Identifier: Apache-2.0 */
/* Stored bodies as an enemy or a broken drive would have them: each input is a head (length 4,
 * kinds 1, first frame 1), a table and frames. Whatever they say, frames lie one behind the other
 * inside of what is stored, are no longer than they may be, and are handed out only if they are
 * sealed with the right key and unzip to their length. */
#include <stdlib.h>

#include "storage/object/frame_seal.h"
#include "storage/object/frame_zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEAD_LEN = 6, LEN_MAX = 4 << 20 };

static const struct frame_key key = {{1}, {2}};
static struct frame_zip zip;

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

/* In buffers that are no longer than the frame: a byte too many is seen. */
static void open_frame(
	const struct frame_form *form, const struct frame *frame, struct bytes stored)
{
	uint8_t *payload = malloc(frame->payload_len), *out = malloc(frame->len);
	struct frame_seal seal;
	enum err err = ERR_OK;
	check(payload && out);
	memcpy(payload, stored.data + frame->offset, frame->payload_len);
	if (form->is_sealed) {
		check(frame_seal_init(&seal, &key, true) == ERR_OK);
		frame_seal_begin(&seal, frame);
		frame_seal_run(&seal, payload, frame->payload_len, payload);
		err = frame_seal_check(&seal, stored.data + frame->offset + frame->payload_len);
		frame_seal_fini(&seal);
	}
	if (err == ERR_OK && frame->is_zipped)
		err = frame_zip_inflate(&zip, payload, frame->payload_len, out, frame->len);
	check(err == ERR_OK || err == ERR_CHECKSUM || err == ERR_CORRUPT);
	free(payload);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < HEAD_LEN)
		return 0;
	struct frame_form form = {
		.len = get_le32(data) % (LEN_MAX + 1),
		.is_zipped = data[4] & 1,
		.is_sealed = data[4] & 2,
	};
	struct bytes rest = {data + HEAD_LEN, len - HEAD_LEN}, table = {0};
	size_t table_len = form.is_zipped ? frame_table_len(form.len) : 0;
	if (rest.len < table_len)
		return 0;
	table.data = table_len > 0 ? rest.data : NULL;
	table.len = table_len;
	rest = bytes_from(rest, table_len);
	form.stored_len = rest.len;

	struct frame_walk walk;
	struct frame frame;
	uint64_t end = 0;
	enum err err = frame_walk_start(&walk, &form, table, data[5]);
	for (uint64_t i = data[5]; err == ERR_OK; i++) {
		err = frame_walk_next(&walk, &frame);
		if (err == ERR_BUSY && frame_walk_show(&walk, table) == ERR_OK)
			err = frame_walk_next(&walk, &frame);
		if (err != ERR_OK)
			break;
		check(frame.number == i && frame.offset >= end);
		check(frame.len > 0 && frame.len <= FRAME_LEN);
		check(frame.payload_len > 0 && frame.payload_len <= frame.len);
		end = frame.offset + frame.payload_len + (form.is_sealed ? FRAME_TAG_LEN : 0);
		check(end <= rest.len);
		open_frame(&form, &frame, rest);
	}
	check(err == ERR_END || err == ERR_CORRUPT);
	frame_zip_fini(&zip);
	return 0;
}
