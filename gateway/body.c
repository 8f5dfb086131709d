/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/body.h"

#include "gateway/digest/digest.h"
#include "gateway/form_file.h"

/* From the socket to the drives:
 *
 *	exchange → request_body (framing off) → memory of the put → frames → digest lanes
 *	                                                    ↘ code, drives → durable
 *
 * Bytes are received where they stay: put_buffer() lends memory of a stripe, and a frame of it goes
 * through the digests while it is in cache. When the put has no memory, nothing is read from the
 * socket, and the client waits.
 *
 * (I1) Nothing is proposed of a body whose end was not seen, whose length is not the declared one,
 *      or whose digests are not what was promised; it is dropped, and its shards are freed.
 * (I2) One frame at a time is with the digest, in the order of the body. The put gets each frame
 *      back, also after it was discarded.
 * (I3) The request is held as long as the put is active; the timer is set only then.
 * (I4) While others wait for memory, a body that has some and receives nothing for STALL_MS ends
 *      with RequestTimeout.
 */
enum { STALL_MS = 5000 };

static void leave_lanes(struct body *body)
{
	if (body->is_in_lanes)
		digest_lanes_leave(&body->request->loop->lanes);
	body->is_in_lanes = false;
}

static void over(struct body *body)
{
	body->is_put_active = false;
	leave_lanes(body);
	request_body_fini(&body->source);
	timer_cancel(body->request->loop->loop, &body->timer);
	request_release(body->request);
}

static void discard(struct body *body)
{
	if (!body->is_put_active || body->is_discarding)
		return;
	body->is_discarding = true;
	pack_discard(&body->pack);
}

static void fail(struct body *body, enum s3_code code)
{
	if (body->progress != BODY_GOING)
		return;
	body->progress = BODY_FAILED;
	body->code = code;
	discard(body);
}

/* --- what the put tells ----------------------------------------------------------------------- */

static struct body *body_of_pack(struct pack *pack)
{
	return CONTAINER_OF(pack, struct body, pack);
}

static void submit_frame(struct body *body)
{
	body->job.stream = &body->stream;
	body->job.buf = body->first->data;
	body->job.len = body->first->len;
	digest_lanes_submit(&body->request->loop->lanes, &body->job);
}

static void digest_done(struct digest_job *job)
{
	struct body *body = CONTAINER_OF(job, struct body, job);
	struct put_frame *frame = body->first;
	body->first = frame->owner_data;
	if (body->first) {
		submit_frame(body);
	} else {
		if (body->is_received || body->progress != BODY_GOING)
			leave_lanes(body);
		request_advance_soon(body->request);
	}
	pack_frame_done(&body->pack, frame);
}

static void frame_came(struct pack *pack, struct put_frame *frame)
{
	struct body *body = body_of_pack(pack);
	frame->owner_data = NULL;
	if (body->first) {
		body->last->owner_data = frame;
		body->last = frame;
		return;
	}
	body->first = body->last = frame;
	submit_frame(body);
}

/* The client was not asked for anything while there was no memory: its time begins now. */
static void room_came(struct pack *pack)
{
	struct body *body = body_of_pack(pack);
	body->received_ms = loop_now_ms(body->request->loop->loop);
	request_advance_soon(body->request);
}

static void pack_ended(struct pack *pack, enum err err)
{
	struct body *body = body_of_pack(pack);
	request_advance_soon(body->request);
	if (err == ERR_OK) {
		body->is_durable = true;
		return;
	}
	/* The put is over, so there is nothing left to discard. */
	body->is_discarding = true;
	fail(body, s3_error_from_err(err, S3_INTERNAL_ERROR));
	over(body);
}

static void pack_discarded(struct pack *pack)
{
	over(body_of_pack(pack));
}

/* --- waiting for the client ------------------------------------------------------------------- */

/* Is the next step the client's? */
static bool waits_for_client(const struct body *body)
{
	return body->progress == BODY_GOING && !body->is_received &&
		!pack_waits_for_room(&body->pack) && !body->first;
}

static void timer_fired(struct timer *timer)
{
	struct body *body = CONTAINER_OF(timer, struct body, timer);
	struct loop *loop = body->request->loop->loop;
	uint64_t idle_ms = loop_now_ms(loop) - body->received_ms;
	if (idle_ms >= STALL_MS && waits_for_client(body) &&
		pack_keeps_others_waiting(&body->pack)) {
		fail(body, S3_REQUEST_TIMEOUT);
		request_advance_soon(body->request);
		return;
	}
	timer_set(loop, &body->timer, idle_ms >= STALL_MS ? 1000 : STALL_MS - idle_ms);
}

/* --- public ----------------------------------------------------------------------------------- */

static enum s3_code read_promises(struct body *body, const struct body_setup *setup)
{
	struct request *request = body->request;
	struct request_body *source = &body->source;
	const struct gateway_settings *settings = &request->loop->gateway->settings;
	/* (E4) of sse.h: where the ETag is none, MD5 is not asked for. */
	unsigned wanted = setup->kinds |
		(sse_mode_of(sse_row_bytes(&body->encryption)) == SSE_C ? 0 : DIGEST_MD5);
	enum s3_code code = request_body_init(source, request, wanted, settings->object_len_max);
	if (code != S3_OK)
		return code;
	/* Empty is said with a length of 0; who says nothing at all may have lost a body. */
	if (!source->has_len || (!source->is_aws_chunked && !request->exchange->has_body_len))
		return S3_MISSING_CONTENT_LENGTH;
	if (setup->wants_crc64 && source->checksum_kind == 0)
		source->kinds |= DIGEST_CRC64NVME;
	digest_stream_init(&body->stream, source->kinds);
	return S3_OK;
}

void body_make_hint(
	const struct request *request, uint8_t buf[BODY_HINT_LEN_MAX], struct text_out *ret_hint)
{
	text_out_init(ret_hint, buf, BODY_HINT_LEN_MAX);
	text_put_bytes(ret_hint, request->bucket.name);
	text_put_char(ret_hint, '/');
	text_put_bytes(ret_hint, request->resource.key);
}

/* The key of an encrypted body. is_sealed: there is one. */
static enum s3_code make_key(struct body *body, const struct body_setup *setup,
	struct frame_key *ret_key, bool *ret_is_sealed)
{
	struct gateway *gateway = body->request->loop->gateway;
	*ret_is_sealed = setup->sse && setup->sse->mode != SSE_NONE;
	if (!*ret_is_sealed)
		return S3_OK;
	if (!body_may_have_frames(body->request))
		return S3_SERVICE_UNAVAILABLE;
	enum err err = sse_make_key(gateway, setup->sse, ret_key, &body->encryption);
	return s3_error_from_err(err, S3_INTERNAL_ERROR);
}

bool body_may_have_frames(const struct request *request)
{
	const struct index *index = request->loop->store->store->index;
	return index_known_command_version(index) >= COMMAND_VERSION_FRAMES;
}

bool body_is_zipped(const struct request *request)
{
	return request->rules && request->rules->compression == FRAME_ZSTD &&
		body_may_have_frames(request);
}

static enum err start_pack(
	struct body *body, const struct body_setup *setup, const struct frame_key *key)
{
	struct request *request = body->request;
	uint8_t hint_buf[BODY_HINT_LEN_MAX];
	struct text_out hint;
	body_make_hint(request, hint_buf, &hint);
	struct pack_setup pack_setup = {
		.put =
			{
				.store = request->loop->store,
				.hint = text_out_bytes(&hint),
				.upload = setup->upload,
				.part = setup->part,
				.len = body->source.len,
				.storage_class = setup->storage_class,
				.request_id = request->exchange->request_id,
				.is_open = request->form_file && !request->form_file->is_end_known,
			},
		.is_zipped = body_is_zipped(request),
		.key = key,
		.room = room_came,
		.frame = frame_came,
		.durable = pack_ended,
		.discarded = pack_discarded,
	};
	return pack_start(&body->pack, &pack_setup);
}

enum s3_code body_start(struct body *body, struct request *request, const struct body_setup *setup)
{
	memset(body, 0, offsetof(struct body, pack));
	body->pack.magic = 0;
	body->request = request;
	body->job.done = digest_done;
	body->timer.fire = timer_fired;
	struct frame_key key;
	bool is_sealed;
	enum s3_code code = make_key(body, setup, &key, &is_sealed);
	if (code != S3_OK)
		return code;
	code = read_promises(body, setup);
	if (code == S3_OK) {
		enum err err = start_pack(body, setup, is_sealed ? &key : NULL);
		code = s3_error_from_err(err, S3_INTERNAL_ERROR);
	}
	if (is_sealed)
		frame_key_wipe(&key);
	if (code != S3_OK) {
		request_body_fini(&body->source);
		return code;
	}
	body->is_put_active = true;
	body->is_in_lanes = true;
	digest_lanes_enter(&request->loop->lanes);
	request_hold(request);
	body->received_ms = loop_now_ms(request->loop->loop);
	timer_set(request->loop->loop, &body->timer, STALL_MS);
	return S3_OK;
}

/* The long file of a form has given what is its own in any case: how long is it? ERR_BUSY: its end
 * is not there yet. */
static enum err extend(struct body *body)
{
	struct form_file *file = body->request->form_file;
	enum s3_code code = S3_INTERNAL_ERROR;
	enum err err = form_file_end(file, &body->request->error, &code);
	if (err == ERR_OK)
		pack_extend(&body->pack, file->len - file->sure_len);
	else if (err != ERR_BUSY)
		fail(body, code);
	return err;
}

/* Reads on, into the put's memory or, behind the last byte of payload, into nothing. False: no more
 * now. */
static bool receive(struct body *body)
{
	uint8_t *buf, none;
	size_t cap, len;
	enum s3_code code = S3_INTERNAL_ERROR;
	enum err err = pack_buffer(&body->pack, &buf, &cap);
	bool is_payload = err == ERR_OK;
	if (err == ERR_END && pack_is_open(&body->pack))
		return extend(body) == ERR_OK;
	if (err == ERR_END) {
		buf = &none;
		cap = sizeof none;
	} else if (err) {
		return false; /* room() follows, or the put has failed and says so */
	}
	err = request_body_read(&body->source, buf, cap, &len, &code);
	if (err == ERR_BUSY)
		return false;
	if (err == ERR_END) {
		body->is_received = true;
		if (is_payload)
			fail(body, S3_INCOMPLETE_BODY);
		return false;
	}
	if (err) {
		fail(body, code);
		return false;
	}
	if (!is_payload) {
		fail(body, S3_INVALID_REQUEST); /* more than was declared */
		return false;
	}
	body->received_ms = loop_now_ms(body->request->loop->loop);
	body->request->loop->counters.bytes_in += len;
	pack_filled(&body->pack, len);
	return true;
}

enum body_progress body_advance(struct body *body)
{
	if (body->progress == BODY_GOING && body->request->is_gone)
		fail(body, S3_INCOMPLETE_BODY);
	while (body->progress == BODY_GOING && !body->is_received && receive(body))
		;
	if (body->progress != BODY_GOING || !body->is_received || !body->is_durable || body->first)
		return body->progress;

	digest_stream_final(&body->stream, &body->values);
	enum s3_code code = request_body_check(&body->source, &body->values);
	if (code != S3_OK) {
		fail(body, code);
	} else {
		body->progress = BODY_READY;
		timer_cancel(body->request->loop->loop, &body->timer);
	}
	return body->progress;
}

void body_describe(const struct body *body, struct command_body *ret_body)
{
	assert(body->progress == BODY_READY);
	struct checksum *checksum = &ret_body->checksums[0];
	pack_body(&body->pack, ret_body);
	ret_body->encryption = sse_row_bytes(&body->encryption);
	if (sse_mode_of(ret_body->encryption) == SSE_C)
		random_fill(body->request->loop->store->store->random, ret_body->etag.md5,
			sizeof ret_body->etag.md5);
	else
		memcpy(ret_body->etag.md5, body->values.md5, sizeof ret_body->etag.md5);
	ret_body->etag.part_count = 0;
	request_body_checksum(&body->source, checksum);
	if (checksum->algorithm == CHECKSUM_NONE && body->values.kinds & DIGEST_CRC64NVME)
		body_checksum(body, CHECKSUM_CRC64NVME, checksum);
}

void body_checksum(
	const struct body *body, enum checksum_algorithm algorithm, struct checksum *ret_checksum)
{
	struct bytes value = digest_value(&body->values, checksum_s3_digest(algorithm));
	*ret_checksum = (struct checksum){.algorithm = algorithm, .len = value.len};
	memcpy(ret_checksum->value, value.data, value.len);
}

void body_settle(struct body *body)
{
	const struct index_proposal *proposal = &body->request->proposal;
	uint16_t code = proposal->result.code;
	assert(body->request->is_proposal_done);
	bool is_made = proposal->err == ERR_OK && code == COMMAND_OK &&
		!proposal->result.is_earlier;
	bool is_unknown = proposal->err == ERR_UNKNOWN ||
		(proposal->err == ERR_OK && code == COMMAND_NO_RESULT);
	if (is_made || is_unknown)
		body_take(body);
	else
		body_drop(body);
}

void body_take(struct body *body)
{
	assert(body->progress == BODY_READY);
	body->progress = BODY_OVER;
	pack_fini(&body->pack);
	over(body);
}

void body_drop(struct body *body)
{
	if (body->progress == BODY_FAILED || body->progress == BODY_OVER)
		return;
	body->progress = BODY_OVER;
	discard(body);
}
