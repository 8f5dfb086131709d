/* SPDX-License-Identifier: Apache-2.0 */
/* The side that admits: one question on a link that has proven a token (J1), one answer. */
#include <stdlib.h>

#include <sodium.h>

#include "server/channel_priv.h"
#include "server/join.h"

#define JOIN_TIMEOUT_MS (30 * 1000) /* for who admits */

/* Reads the one question; the link's buffer holds it whole. */
static enum err read_ask(struct channel_link *link, struct join_ask *ret_ask)
{
	uint8_t plain[CHANNEL_FRAME_LEN], ask[JOIN_ASK_LEN];
	struct channel_frame frame;
	const uint8_t *at = link->in.buffer, *head = at + CHANNEL_FRAME_WIRE_LEN;
	enum err err = channel_seal_get(&link->seal_in, (struct bytes){0}, at, CHANNEL_FRAME_LEN,
		plain, at + CHANNEL_FRAME_LEN);
	if (!err)
		err = channel_frame_decode(plain, true, &frame);
	if (err)
		return err;
	if (frame.type != CHANNEL_CALL || frame.head_len != JOIN_ASK_LEN || frame.payload_len != 0)
		return ERR_INVALID;
	err = channel_seal_get(&link->seal_in, bytes_make(head + JOIN_ASK_LEN, 1), head,
		JOIN_ASK_LEN, ask, head + JOIN_ASK_LEN + 1);
	return err ? err : join_ask_decode(ask, ret_ask);
}

void join_take_ask(struct channel_link *link)
{
	struct channel *channel = link->channel;
	struct join_ask ask;
	if (link->joining || read_ask(link, &ask) != ERR_OK) {
		link_close(link, NULL);
		return;
	}
	struct channel_join_request *request = calloc(1, sizeof *request);
	if (!request) {
		link_close(link, NULL);
		return;
	}
	const struct channel_shake *shake = link->shake;
	request->token = shake->hello.to;
	request->node.id = shake->hello.from;
	memcpy(request->node.key, shake->peer_key, CHANNEL_KEY_LEN);
	memcpy(request->node.addresses, ask.addresses, sizeof ask.addresses);
	request->node.address_count = ask.address_count;
	memcpy(request->name, ask.name, sizeof request->name);
	request->link = link;
	link->joining = request;
	timer_set(channel->listener.loop, &link->timer, JOIN_TIMEOUT_MS);
	channel->join->ops->admit(channel->join, request);
}

void join_request_leave(struct channel_join_request *request)
{
	request->link = NULL;
}

/* Sends a frame and a head whole; a socket that has sent next to nothing has room for them. */
static enum err send_answer(struct channel_link *link, enum err answer, struct bytes head)
{
	size_t len = CHANNEL_FRAME_WIRE_LEN + (head.len > 0 ? head.len + CHANNEL_TRAILER_LEN : 0);
	uint8_t plain[CHANNEL_FRAME_LEN], *wire = calloc(1, len), *at;
	if (!wire)
		return ERR_NO_MEMORY;
	struct channel_frame frame = {
		.type = CHANNEL_ANSWER, .err = answer, .number = 1, .head_len = head.len};
	channel_frame_encode(&frame, plain);
	enum err err = channel_seal_put(&link->seal_out, (struct bytes){0}, plain, sizeof plain,
		wire, wire + CHANNEL_FRAME_LEN);
	at = wire + CHANNEL_FRAME_WIRE_LEN;
	if (!err && head.len > 0)
		err = channel_seal_put(&link->seal_out, bytes_make(at + head.len, 1), head.data,
			head.len, at, at + head.len + 1);
	if (!err)
		err = link_send_now(link, wire, len);
	free(wire);
	return err;
}

static enum err send_welcome(struct channel_link *link, const struct join_welcome *welcome)
{
	size_t len = 0;
	uint8_t *head = malloc(JOIN_WELCOME_LEN_MAX);
	enum err err = ERR_NO_MEMORY;
	if (head)
		err = join_welcome_encode(welcome, head, JOIN_WELCOME_LEN_MAX, &len);
	if (!err)
		err = send_answer(link, ERR_OK, bytes_make(head, len));
	if (head)
		sodium_memzero(head, JOIN_WELCOME_LEN_MAX);
	free(head);
	return err;
}

void join_request_end(
	struct channel_join_request *request, enum err err, const struct join_welcome *welcome)
{
	struct channel_link *link = request->link;
	char id[ID_TEXT_LEN];
	assert(err || welcome);
	if (!link) {
		free(request);
		return;
	}
	enum err sent = err ? send_answer(link, err, (struct bytes){0})
			    : send_welcome(link, welcome);
	trace_event(link->channel->trace, err || sent ? TRACE_WARNING : TRACE_INFO, 0,
		"node channel: node %s (%s) at %s asked to join: %s",
		channel_id_text(request->node.id, id), request->name, link->name,
		err || sent ? err_text(err ? err : sent) : "admitted");
	link->joining = NULL;
	free(request);
	link_close(link, NULL);
}
