/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_upload_bytes.h"

#include <string.h>

#include "gateway/body.h"

/* Copies what is left of the piece, as far as there is room. */
static void pump(struct op_upload_bytes *bytes)
{
	while (bytes->piece_len > 0) {
		uint8_t *buf;
		size_t cap;
		if (bytes->is_discarding || pack_buffer(&bytes->pack, &buf, &cap) != ERR_OK)
			return; /* room() follows, or the end of the put */
		size_t len = cap < bytes->piece_len ? cap : bytes->piece_len;
		memcpy(buf, bytes->piece, len);
		bytes->piece += len;
		bytes->piece_len -= len;
		pack_filled(&bytes->pack, len);
	}
	unpack_sent(bytes->get);
}

static struct op_upload_bytes *of_pack(struct pack *pack)
{
	return CONTAINER_OF(pack, struct op_upload_bytes, pack);
}

static void room_came(struct pack *pack)
{
	struct op_upload_bytes *bytes = of_pack(pack);
	if (bytes->piece_len > 0)
		pump(bytes);
}

/* --- digests ---------------------------------------------------------------------------------- */

static void submit_frame(struct op_upload_bytes *bytes)
{
	bytes->job.stream = &bytes->stream;
	bytes->job.buf = bytes->first->data;
	bytes->job.len = bytes->first->len;
	digest_lanes_submit(bytes->lanes, &bytes->job);
}

static void digest_done(struct digest_job *job)
{
	struct op_upload_bytes *bytes = CONTAINER_OF(job, struct op_upload_bytes, job);
	struct put_frame *frame = bytes->first;
	bytes->first = frame->owner_data;
	if (bytes->first)
		submit_frame(bytes);
	pack_frame_done(&bytes->pack, frame);
	if (!bytes->first && bytes->is_durable)
		bytes->changed(bytes);
}

static void frame_came(struct pack *pack, struct put_frame *frame)
{
	struct op_upload_bytes *bytes = of_pack(pack);
	if (!bytes->lanes) {
		pack_frame_done(pack, frame);
		return;
	}
	frame->owner_data = NULL;
	if (bytes->first) {
		bytes->last->owner_data = frame;
		bytes->last = frame;
		return;
	}
	bytes->first = bytes->last = frame;
	submit_frame(bytes);
}

static void over(struct op_upload_bytes *bytes)
{
	bytes->is_put_active = false;
	if (bytes->is_in_lanes)
		digest_lanes_leave(bytes->lanes);
	bytes->is_in_lanes = false;
}

/* --- the put ---------------------------------------------------------------------------------- */

static void pack_ended(struct pack *pack, enum err err)
{
	struct op_upload_bytes *bytes = of_pack(pack);
	bytes->is_durable = err == ERR_OK;
	bytes->err = err;
	if (err)
		over(bytes);
	bytes->changed(bytes);
}

static void pack_discarded(struct pack *pack)
{
	struct op_upload_bytes *bytes = of_pack(pack);
	over(bytes);
	bytes->changed(bytes);
}

static enum err start_pack(struct op_upload_bytes *bytes, const struct op_upload_bytes_setup *setup,
	const struct frame_key *key)
{
	uint8_t hint_buf[BODY_HINT_LEN_MAX];
	struct text_out hint;
	body_make_hint(setup->request, hint_buf, &hint);
	struct pack_setup pack_setup = {
		.put =
			{
				.store = setup->request->loop->store,
				.hint = text_out_bytes(&hint),
				.upload = setup->upload,
				.part = setup->part,
				.len = setup->len,
				.storage_class = setup->storage_class,
				.request_id = setup->request->exchange->request_id,
			},
		.is_zipped = body_is_zipped(setup->request),
		.key = key,
		.room = room_came,
		.frame = frame_came,
		.durable = pack_ended,
		.discarded = pack_discarded,
	};
	return pack_start(&bytes->pack, &pack_setup);
}

enum s3_code op_upload_bytes_start(
	struct op_upload_bytes *bytes, const struct op_upload_bytes_setup *setup)
{
	void *owner = bytes->owner;
	struct gateway_loop *loop = setup->request->loop;
	struct frame_key key;
	bool is_sealed = setup->sse->mode != SSE_NONE;
	memset(bytes, 0, sizeof *bytes);
	bytes->owner = owner;
	bytes->get = setup->get;
	bytes->changed = setup->changed;
	bytes->job.done = digest_done;
	if (is_sealed && !body_may_have_frames(setup->request))
		return S3_SERVICE_UNAVAILABLE;
	enum err err = ERR_OK;
	if (is_sealed)
		err = sse_make_key(loop->gateway, setup->sse, &key, &bytes->encryption);
	if (err == ERR_OK)
		err = start_pack(bytes, setup, is_sealed ? &key : NULL);
	if (is_sealed)
		frame_key_wipe(&key);
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	bytes->is_put_active = true;
	if (setup->kinds) {
		bytes->lanes = &loop->lanes;
		bytes->is_in_lanes = true;
		digest_stream_init(&bytes->stream, setup->kinds);
		digest_lanes_enter(bytes->lanes);
	}
	return S3_OK;
}

void op_upload_bytes_piece(struct op_upload_bytes *bytes, const uint8_t *data, size_t len)
{
	assert(bytes->piece_len == 0 && len > 0);
	bytes->piece = data;
	bytes->piece_len = len;
	if (bytes->is_put_active)
		pump(bytes);
}

void op_upload_bytes_describe(const struct op_upload_bytes *bytes, struct command_body *body)
{
	assert(op_upload_bytes_is_ready(bytes));
	pack_body(&bytes->pack, body);
	body->encryption = sse_row_bytes(&bytes->encryption);
}

void op_upload_bytes_drop(struct op_upload_bytes *bytes)
{
	if (!bytes->is_put_active || bytes->is_discarding)
		return;
	bytes->is_discarding = true;
	bytes->piece_len = 0;
	pack_discard(&bytes->pack);
}

bool op_upload_bytes_settle(struct op_upload_bytes *bytes, const struct index_proposal *proposal)
{
	uint16_t code = proposal->result.code;
	bool is_made = proposal->err == ERR_OK && code == COMMAND_OK &&
		!proposal->result.is_earlier;
	bool is_unknown = proposal->err == ERR_UNKNOWN ||
		(proposal->err == ERR_OK && code == COMMAND_NO_RESULT);
	assert(bytes->is_put_active && bytes->is_durable);
	if (!is_made && !is_unknown) {
		op_upload_bytes_drop(bytes);
		return false;
	}
	pack_fini(&bytes->pack);
	over(bytes);
	return true;
}
