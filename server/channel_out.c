/* SPDX-License-Identifier: Apache-2.0 */
/* The sending half of a link: frames are sealed into one buffer, as many as fit, and leave it with
 * one system call. What is small and keeps the link alive goes first; then answers, or calls and
 * notes in the order in which they were started (E2). A payload is sealed from where it lies,
 * chunk by chunk, when there is room. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "server/channel_priv.h"
#include "server/clock_real.h"

#define SENDS_PER_TURN 32

/* In the place of what is no longer there (K8). */
static const uint8_t zeros[CHANNEL_CHUNK_LEN];

static bool has_room(const struct channel_link *link, size_t len)
{
	return LINK_OUT_LEN - link->out.to >= len;
}

static enum err need_buffer(struct channel_link *link)
{
	struct channel_peers *peers = link->peers;
	if (link->out.buffer)
		return ERR_OK;
	link->out.from = link->out.to = 0;
	if (peers->spare_out_count > 0)
		link->out.buffer = peers->spare_outs[--peers->spare_out_count];
	else
		link->out.buffer = malloc(LINK_OUT_LEN);
	return link->out.buffer ? ERR_OK : ERR_NO_MEMORY;
}

void link_drop_out(struct channel_link *link)
{
	struct channel_peers *peers = link->peers;
	if (!link->out.buffer)
		return;
	if (peers && peers->spare_out_count < SPARE_OUT_COUNT)
		peers->spare_outs[peers->spare_out_count++] = link->out.buffer;
	else
		free(link->out.buffer);
	link->out.buffer = NULL;
	link->out.from = link->out.to = 0;
}

/* --- sealing ---------------------------------------------------------------------------------- */

static enum err put_bytes(
	struct channel_link *link, const uint8_t *data, size_t len, uint8_t status)
{
	struct link_out *out = &link->out;
	uint8_t *to = out->buffer + out->to;
	assert(has_room(link, len + CHANNEL_TRAILER_LEN));
	to[len] = status;
	enum err err = channel_seal_put(
		&link->seal_out, bytes_make(to + len, 1), data, len, to, to + len + 1);
	if (!err)
		out->to += len + CHANNEL_TRAILER_LEN;
	return err;
}

/* Seals a frame and its head; there is room. */
static enum err put_frame(
	struct channel_link *link, const struct channel_frame *frame, struct bytes head)
{
	struct link_out *out = &link->out;
	uint8_t plain[CHANNEL_FRAME_LEN], *to = out->buffer + out->to;
	assert(frame->head_len == head.len);
	channel_frame_encode(frame, plain);
	enum err err = channel_seal_put(&link->seal_out, (struct bytes){0}, plain, sizeof plain, to,
		to + CHANNEL_FRAME_LEN);
	if (err)
		return err;
	out->to += CHANNEL_FRAME_WIRE_LEN;
	return head.len > 0 ? put_bytes(link, head.data, head.len, 0) : ERR_OK;
}

/* The payload is sealed to its end. */
static void end_message(struct channel_link *link)
{
	struct link_out *out = &link->out;
	struct peer_call *call = out->call;
	struct channel_request *request = out->request;
	out->is_message = out->is_void = false;
	out->call = NULL;
	out->request = NULL;
	out->payload = NULL;
	struct channel_cells *cells = &link->peers->cells;
	channel_count(&cells->messages_out, 1);
	if (call)
		channel_count(&cells->asked[call->kind], 1);
	else if (request)
		channel_count(&cells->answered[request->base.kind], 1);
	if (call && !call->done)
		note_free(call);
	else if (call)
		call->state = CALL_SENT;
	if (request)
		request_end(request);
}

static enum err put_chunk(struct channel_link *link)
{
	struct link_out *out = &link->out;
	size_t len = out->payload_len - out->payload_at;
	if (len > CHANNEL_CHUNK_LEN)
		len = CHANNEL_CHUNK_LEN;
	const uint8_t *from = out->is_void ? zeros : out->payload + out->payload_at;
	enum err err = put_bytes(link, from, len, out->is_void);
	if (err)
		return err;
	out->payload_at += len;
	if (out->payload_at == out->payload_len)
		end_message(link);
	return ERR_OK;
}

static void begin_payload(struct channel_link *link, struct bytes payload)
{
	struct link_out *out = &link->out;
	out->is_message = true;
	out->payload = payload.data;
	out->payload_len = payload.len;
	out->payload_at = 0;
	if (payload.len == 0)
		end_message(link);
}

/* --- what is next ----------------------------------------------------------------------------- */

static bool has_room_for(const struct channel_link *link, size_t head_len)
{
	return has_room(
		link, CHANNEL_FRAME_WIRE_LEN + (head_len > 0 ? head_len + CHANNEL_TRAILER_LEN : 0));
}

/* Would the dialer soon have to wait for credit that is there? */
static bool owes_credit(const struct channel_link *link)
{
	uint64_t fresh = link->granted - link->announced;
	return fresh > 0 &&
		(fresh >= link->channel->settings.window_len / 4 ||
			link->announced - link->received < CHANNEL_CHARGE_MAX);
}

/* A frame without head and payload that is owed. */
static bool take_small(struct channel_link *link, struct channel_frame *ret_frame)
{
	*ret_frame = (struct channel_frame){0};
	if (link->ready_owed) {
		link->ready_owed = false;
		ret_frame->type = CHANNEL_READY;
		ret_frame->value = link->announced = link->granted;
		return true;
	}
	if (link->pong_owed) {
		link->pong_owed = false;
		ret_frame->type = CHANNEL_PONG;
		ret_frame->value = link->pong_value;
		return true;
	}
	if (!link->is_dialer && owes_credit(link)) {
		ret_frame->type = CHANNEL_CREDIT;
		ret_frame->value = link->announced = link->granted;
		return true;
	}
	if (link->is_dialer && (ret_frame->number = link_take_cancel(link)) != 0) {
		ret_frame->type = CHANNEL_CANCEL;
		return true;
	}
	if (link->ping_owed) {
		link->ping_owed = false;
		link->ping_us = clock_mono_ns(clock_real()) / 1000;
		ret_frame->type = CHANNEL_PING;
		ret_frame->value = link->ping_us;
		return true;
	}
	return false;
}

static enum err begin_answer(struct channel_link *link, bool *ret_did)
{
	if (!link->answers.first)
		return ERR_OK;
	struct channel_request *request = CONTAINER_OF(
		link->answers.first, struct channel_request, base);
	struct peer_request *base = &request->base;
	if (!has_room_for(link, base->answer_head.len))
		return ERR_OK;
	*ret_did = true;
	request_list_remove(&link->answers, request);
	request->state = REQUEST_SENDING;
	link->out.request = request;
	/* Its room goes back with the answer, unless the answer lies in it. */
	if (base->answer_payload.len == 0)
		request_give_room(request);
	struct channel_frame frame = {.type = CHANNEL_ANSWER,
		.err = base->answer_err,
		.head_len = base->answer_head.len,
		.payload_len = base->answer_payload.len,
		.number = base->number,
		.value = link->granted};
	link->announced = link->granted;
	enum err err = put_frame(link, &frame, base->answer_head);
	if (err)
		return err;
	begin_payload(link, base->answer_payload);
	return ERR_OK;
}

static enum err begin_call(struct channel_link *link, bool *ret_did)
{
	struct peer_call *call = link->queue.first;
	if (!call || link->state != LINK_OPEN || !has_room_for(link, call->head.len))
		return ERR_OK;
	bool is_note = !call->done;
	uint32_t charge = channel_charge(call->head.len, call->payload.len);
	if (link->spent + charge > link->credit || (!is_note && !link_take_slot(link, call)))
		return ERR_OK;
	*ret_did = true;
	call_queue_remove(&link->queue, call);
	call->state = CALL_SENDING;
	link->out.call = call;
	link->spent += charge;
	struct channel_frame frame = {.type = is_note ? CHANNEL_NOTE : CHANNEL_CALL,
		.kind = call->kind,
		.head_len = call->head.len,
		.payload_len = call->payload.len,
		.number = is_note ? 0 : call->number,
		.value = is_note ? 0 : call->deadline_ms};
	enum err err = put_frame(link, &frame, call->head);
	if (err)
		return err;
	begin_payload(link, call->payload);
	return ERR_OK;
}

/* Seals the next piece, if there is one and room for it. */
static enum err put_next(struct channel_link *link, bool *ret_did)
{
	struct channel_frame frame;
	*ret_did = false;
	if (link->out.is_message) {
		if (!has_room(link, CHANNEL_CHUNK_LEN + CHANNEL_TRAILER_LEN))
			return ERR_OK;
		*ret_did = true;
		return put_chunk(link);
	}
	if (!has_room_for(link, 0))
		return ERR_OK;
	if (take_small(link, &frame)) {
		*ret_did = true;
		return put_frame(link, &frame, (struct bytes){0});
	}
	return link->is_dialer ? begin_call(link, ret_did) : begin_answer(link, ret_did);
}

enum err link_flush(struct channel_link *link)
{
	struct link_out *out = &link->out;
	struct channel_cells *cells = &link->peers->cells;
	for (unsigned i = 0; i < SENDS_PER_TURN; i++) {
		bool did = true;
		if (link->is_write_awaited)
			return ERR_OK;
		enum err err = need_buffer(link);
		while (!err && did)
			err = put_next(link, &did);
		if (err)
			return err;
		if (out->from == out->to) {
			link_drop_out(link);
			return ERR_OK;
		}
		ssize_t len;
		do
			len = send(link->fd, out->buffer + out->from, out->to - out->from,
				MSG_NOSIGNAL);
		while (len < 0 && errno == EINTR);
		channel_count(&cells->writes, 1);
		if (len < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			return ERR_CLOSED;
		if (len > 0)
			channel_count(&cells->bytes_out, len);
		out->from += len > 0 ? len : 0;
		if (out->from < out->to) {
			link_await_write(link);
			return ERR_OK;
		}
		out->from = out->to = 0;
	}
	/* Others on this loop have something to say too. */
	link_mark(link);
	return ERR_OK;
}
