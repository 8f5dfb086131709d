/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving half of a link. Frames and heads come through a small buffer; the bytes of a
 * payload are received where they belong, several chunks with one system call, and opened there.
 *
 * Everything here is hostile until its record has opened, and after that it is still the word of
 * another machine: bounds, order and credit are checked, and whatever breaks a rule ends the link.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "server/channel_priv.h"
#include "server/clock_real.h"

#define READS_PER_TURN 16
#define PIECES_MAX 9 /* four chunks with their trailers, and what follows */

/* --- frames ----------------------------------------------------------------------------------- */

/* What the other side has granted; it never takes back. */
static void note_credit(struct channel_link *link, uint64_t credit)
{
	if (credit > link->credit)
		link->credit = credit;
	if (link->queue.first)
		link_mark(link);
}

static void note_pong(struct channel_link *link, uint64_t value)
{
	if (link->ping_us == 0 || value != link->ping_us || !link->remote)
		return;
	uint64_t rtt_us = clock_mono_ns(clock_real()) / 1000 - link->ping_us;
	if (rtt_us > UINT32_MAX)
		rtt_us = UINT32_MAX;
	uint32_t *smooth_us = &link->remote->rtt_us;
	*smooth_us = *smooth_us == 0 ? rtt_us : (*smooth_us * UINT64_C(7) + rtt_us) / 8;
	if (*smooth_us == 0)
		*smooth_us = 1;
	link->ping_us = 0;
}

static void note_bye(struct channel_link *link, const struct channel_frame *frame)
{
	channel_count(&link->peers->cells.refused_us, 1);
	if (frame->err == CHANNEL_REFUSED_EPOCH)
		channel_note_epoch(link->channel, frame->value);
	channel_complain(link->channel, 0, channel_who(link->node) + frame->err,
		"%s does not let us in (it: %llu; we: epoch %llu): %s", link->name,
		(unsigned long long)frame->value, (unsigned long long)link->epoch,
		channel_refusal_text(frame->err));
}

/* A call or note: is it within its credit (K7)? Then it gets its memory. */
static enum err begin_request(struct channel_link *link)
{
	struct link_in *in = &link->in;
	uint32_t charge = channel_charge(in->frame.head_len, in->frame.payload_len);
	if (link->received + charge > link->announced)
		return ERR_LIMIT;
	enum err err = request_new(link->peers, link, &in->frame, &in->request);
	if (err)
		return err;
	link->received += charge;
	in->head = in->request->head;
	in->payload = in->request->buffer;
	return ERR_OK;
}

/* An answer: to a call that is still there, and with room for it? */
static void begin_answer(struct channel_link *link)
{
	struct link_in *in = &link->in;
	in->call = link_find_call(link, in->frame.number);
	in->payload = NULL;
	in->head = in->short_head;
	if (in->frame.head_len > sizeof in->short_head)
		in->head = malloc(in->frame.head_len);
	enum err err = ERR_OK;
	if (!in->head)
		err = ERR_NO_MEMORY;
	else if (in->call && in->frame.payload_len > in->call->answer_cap)
		err = ERR_LIMIT;
	if (in->call && !err)
		in->payload = in->call->answer_buf;
	else if (in->call)
		call_end(in->call, err); /* forgets it here too */
}

static enum err begin_frame(struct channel_link *link)
{
	struct link_in *in = &link->in;
	in->is_void = false;
	in->request = NULL;
	in->call = NULL;
	in->head = NULL;
	in->payload = NULL;
	in->chunk_offset = in->chunk_got = 0;
	in->has_head = in->frame.head_len == 0;
	/* READY or BYE comes first, and once. */
	bool is_first = in->frame.type == CHANNEL_READY || in->frame.type == CHANNEL_BYE;
	if (is_first != (link->state == LINK_PROVING))
		return ERR_INVALID;
	if (in->frame.type == CHANNEL_CALL || in->frame.type == CHANNEL_NOTE)
		return begin_request(link);
	if (in->frame.type == CHANNEL_ANSWER)
		begin_answer(link);
	return ERR_OK;
}

static void end_answer(struct channel_link *link)
{
	struct link_in *in = &link->in;
	struct peer_call *call = in->call;
	uint8_t *head = in->head;
	in->call = NULL;
	in->head = NULL;
	if (call) {
		call->answer_err = in->frame.err;
		call->answer_head = bytes_make(head, in->frame.head_len);
		call->answer_len = in->frame.payload_len;
		link_end_answered(link, call);
	}
	if (head != in->short_head)
		free(head);
}

static void end_request(struct channel_link *link)
{
	struct link_in *in = &link->in;
	struct channel_request *request = in->request;
	in->request = NULL;
	in->head = NULL;
	if (in->is_void) {
		request_drop(request);
		link_mark(link); /* its credit */
	} else {
		request_hand(request, link->node);
	}
}

/* The frame and what belongs to it are here. */
static enum err end_frame(struct channel_link *link)
{
	struct link_in *in = &link->in;
	in->has_frame = false;
	switch (in->frame.type) {
	case CHANNEL_CALL:
	case CHANNEL_NOTE:
		channel_count(&link->peers->cells.messages_in, 1);
		end_request(link);
		return ERR_OK;
	case CHANNEL_ANSWER:
		if (in->is_void)
			return ERR_INVALID;
		channel_count(&link->peers->cells.messages_in, 1);
		note_credit(link, in->frame.value);
		end_answer(link);
		return ERR_OK;
	case CHANNEL_CANCEL:
		request_cancel(link, in->frame.number);
		return ERR_OK;
	case CHANNEL_PING:
		link->pong_owed = true;
		link->pong_value = in->frame.value;
		link_mark(link);
		return ERR_OK;
	case CHANNEL_PONG:
		note_pong(link, in->frame.value);
		return ERR_OK;
	case CHANNEL_READY:
		link->state = LINK_OPEN;
		note_credit(link, in->frame.value);
		remote_note_ready(link);
		return ERR_OK;
	case CHANNEL_CREDIT:
		note_credit(link, in->frame.value);
		return ERR_OK;
	case CHANNEL_BYE:
		note_bye(link, &in->frame);
		return ERR_END;
	case CHANNEL_FRAME_TYPE_END:
		break;
	}
	return ERR_INVALID;
}

/* --- payloads --------------------------------------------------------------------------------- */

static size_t chunk_len(const struct link_in *in)
{
	size_t len = in->frame.payload_len - in->chunk_offset;
	return len < CHANNEL_CHUNK_LEN ? len : CHANNEL_CHUNK_LEN;
}

static bool has_payload(const struct link_in *in)
{
	return in->chunk_offset == in->frame.payload_len;
}

/* A chunk is whole. Of what nobody wants only the number is used. */
static enum err end_chunk(struct channel_link *link)
{
	struct link_in *in = &link->in;
	size_t len = chunk_len(in);
	const uint8_t *trailer = in->trailers[in->chunk_offset / CHANNEL_CHUNK_LEN];
	uint8_t *data = in->payload ? in->payload + in->chunk_offset : NULL;
	enum err err = data ? channel_seal_get(&link->seal_in, bytes_make(trailer, 1), data, len,
				      data, trailer + 1)
			    : channel_seal_skip(&link->seal_in);
	if (err)
		return err;
	if (data && trailer[0] > 1)
		return ERR_INVALID;
	in->is_void |= data && trailer[0] == 1;
	in->chunk_offset += len;
	in->chunk_got = 0;
	return ERR_OK;
}

/* Goes on by len bytes that lie where they belong; *ret_rest of them are not of this payload. */
static enum err advance(struct channel_link *link, size_t len, size_t *ret_rest)
{
	struct link_in *in = &link->in;
	while (len > 0 && !has_payload(in)) {
		size_t left = chunk_len(in) + CHANNEL_TRAILER_LEN - in->chunk_got;
		size_t step = len < left ? len : left;
		in->chunk_got += step;
		len -= step;
		if (step < left)
			break;
		enum err err = end_chunk(link);
		if (err)
			return err;
	}
	*ret_rest = len;
	return ERR_OK;
}

/* The places of the bytes that come next: those of up to four chunks, of one if nobody wants it. */
static size_t list_places(struct channel_link *link, struct iovec *pieces)
{
	struct link_in *in = &link->in;
	size_t count = 0, offset = in->chunk_offset, got = in->chunk_got;
	while (offset < in->frame.payload_len && count + 2 < PIECES_MAX) {
		size_t len = in->frame.payload_len - offset;
		len = len < CHANNEL_CHUNK_LEN ? len : CHANNEL_CHUNK_LEN;
		uint8_t *data = in->payload ? in->payload + offset : link->peers->scratch;
		uint8_t *trailer = in->trailers[offset / CHANNEL_CHUNK_LEN];
		if (got < len)
			pieces[count++] = (struct iovec){data + got, len - got};
		size_t trailer_got = got > len ? got - len : 0;
		pieces[count++] = (struct iovec){
			trailer + trailer_got, CHANNEL_TRAILER_LEN - trailer_got};
		got = 0;
		offset += len;
		if (!in->payload)
			break;
	}
	if (offset == in->frame.payload_len)
		pieces[count++] = (struct iovec){in->buffer, LINK_IN_LEN};
	return count;
}

/* Moves payload that came with its frame to where it belongs. */
static enum err take_buffered(struct channel_link *link)
{
	struct link_in *in = &link->in;
	while (in->from < in->to && !has_payload(in)) {
		struct iovec pieces[PIECES_MAX];
		list_places(link, pieces);
		size_t len = in->to - in->from, rest;
		if (len > pieces->iov_len)
			len = pieces->iov_len;
		memcpy(pieces->iov_base, in->buffer + in->from, len);
		in->from += len;
		enum err err = advance(link, len, &rest);
		if (err)
			return err;
		assert(rest == 0);
	}
	return ERR_OK;
}

/* --- the bytes that are there ----------------------------------------------------------------- */

static enum err take_frame(struct channel_link *link, bool *ret_did)
{
	struct link_in *in = &link->in;
	if (in->to - in->from < CHANNEL_FRAME_WIRE_LEN)
		return ERR_OK;
	*ret_did = true;
	uint8_t plain[CHANNEL_FRAME_LEN];
	const uint8_t *from = in->buffer + in->from;
	enum err err = channel_seal_get(&link->seal_in, (struct bytes){0}, from, CHANNEL_FRAME_LEN,
		plain, from + CHANNEL_FRAME_LEN);
	if (!err)
		err = channel_frame_decode(plain, !link->is_dialer, &in->frame);
	if (err)
		return err;
	in->from += CHANNEL_FRAME_WIRE_LEN;
	err = begin_frame(link);
	in->has_frame = !err;
	return err;
}

static enum err take_head(struct channel_link *link, bool *ret_did)
{
	struct link_in *in = &link->in;
	size_t len = in->frame.head_len;
	if (in->to - in->from < len + CHANNEL_TRAILER_LEN)
		return ERR_OK;
	*ret_did = true;
	const uint8_t *from = in->buffer + in->from;
	in->from += len + CHANNEL_TRAILER_LEN;
	in->has_head = true;
	if (!in->head)
		return channel_seal_skip(&link->seal_in);
	enum err err = channel_seal_get(
		&link->seal_in, bytes_make(from + len, 1), from, len, in->head, from + len + 1);
	return !err && from[len] != 0 ? ERR_INVALID : err;
}

/* Takes what the buffer holds, as far as it goes. */
static enum err take_all(struct channel_link *link)
{
	struct link_in *in = &link->in;
	enum err err = ERR_OK;
	for (bool did = true; did && !err;) {
		did = false;
		if (!in->has_frame)
			err = take_frame(link, &did);
		else if (!in->has_head)
			err = take_head(link, &did);
		else
			err = take_buffered(link);
		if (!err && in->has_frame && in->has_head && has_payload(in)) {
			did = true;
			err = end_frame(link);
		}
	}
	size_t left = in->to - in->from;
	if (left > 0 && in->from > 0)
		memmove(in->buffer, in->buffer + in->from, left);
	in->from = 0;
	in->to = left;
	return err;
}

static enum err read_some(struct channel_link *link, bool *ret_more)
{
	struct link_in *in = &link->in;
	struct iovec pieces[PIECES_MAX];
	bool is_payload = in->has_frame && in->has_head;
	size_t count = 1, room = 0;
	if (is_payload)
		count = list_places(link, pieces);
	else
		pieces[0] = (struct iovec){in->buffer + in->to, LINK_IN_LEN - in->to};
	for (size_t i = 0; i < count; i++)
		room += pieces[i].iov_len;
	ssize_t len;
	do
		len = readv(link->fd, pieces, count);
	while (len < 0 && errno == EINTR);
	channel_count(&link->peers->cells.reads, 1);
	if (len < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_BUSY : ERR_CLOSED;
	if (len == 0)
		return ERR_CLOSED;
	channel_count(&link->peers->cells.bytes_in, len);
	*ret_more = (size_t)len == room;
	if (!is_payload) {
		in->to += len;
		return ERR_OK;
	}
	assert(in->from == 0 && in->to == 0);
	return advance(link, len, &in->to);
}

enum err link_receive(struct channel_link *link)
{
	bool more = true;
	for (unsigned i = 0; i < READS_PER_TURN && more; i++) {
		enum err err = read_some(link, &more);
		if (err == ERR_BUSY)
			return ERR_OK;
		if (!err) {
			uint64_t now_ms = loop_now_ms(link->peers->loop);
			atomic_store_explicit(&link->heard_ms, now_ms, memory_order_relaxed);
			if (link->remote)
				link->remote->heard_ms = now_ms;
			err = take_all(link);
		}
		if (err)
			return err;
	}
	return ERR_OK;
}
