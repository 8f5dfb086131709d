/* SPDX-License-Identifier: Apache-2.0 */
/* The side that joins: a command, so it may wait. */
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/join.h"

__attribute__((format(printf, 3, 4))) static enum err refuse(
	enum err err, char *message, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(message, CHANNEL_MESSAGE_LEN, format, args);
	va_end(args);
	return err;
}

/* Each call of it waits no longer than the timeout. */
static int connect_within(const struct channel_address *address, unsigned timeout_ms)
{
	struct sockaddr_storage to;
	socklen_t len;
	struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	if (!listen_parse_address(address->host, address->port, &to, &len))
		return -1;
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
		connect(fd, (struct sockaddr *)&to, len) == 0)
		return fd;
	close(fd);
	return -1;
}

static enum err send_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return ERR_UNAVAILABLE;
		data += sent;
		len -= sent;
	}
	return ERR_OK;
}

static enum err receive_all(int fd, uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t got = recv(fd, data, len, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0 ? ERR_CLOSED : ERR_UNAVAILABLE;
		data += got;
		len -= got;
	}
	return ERR_OK;
}

/* Shakes hands with who has made the token, or with nobody (J1). */
static enum err shake_hands(int fd, const struct join_token *token, const struct channel_self *self,
	struct channel_shake *shake, char *message)
{
	uint8_t hello_bytes[CHANNEL_HELLO_LEN], reply[CHANNEL_ACCEPT_LEN];
	uint8_t proof[CHANNEL_PROOF_LEN];
	char fingerprint[CHANNEL_FINGERPRINT_LEN + 1];
	struct channel_refused refused;
	size_t len;
	struct channel_hello hello = {.purpose = CHANNEL_JOIN,
		.cluster = token->cluster,
		.from = self->node,
		.to = join_token_number(token->secret)};
	channel_shake_hello(shake, self, token->secret, &hello, hello_bytes);
	enum err err = send_all(fd, hello_bytes, sizeof hello_bytes);
	if (!err)
		err = receive_all(fd, reply, CHANNEL_REFUSAL_LEN);
	if (err == ERR_CLOSED)
		return refuse(ERR_DENIED, message,
			"the token is not known there: it is spent or expired; make a new one on a "
			"node of the cluster");
	if (!err)
		err = channel_reply_len(reply, &len);
	if (!err && len == CHANNEL_REFUSAL_LEN) {
		err = channel_shake_refused(shake, reply, &refused);
		return err
			? err
			: refuse(ERR_REFUSED, message, "%s", channel_refusal_text(refused.reason));
	}
	if (!err)
		err = receive_all(fd, reply + CHANNEL_REFUSAL_LEN, len - CHANNEL_REFUSAL_LEN);
	if (!err)
		err = channel_shake_accepted(shake, reply);
	if (err)
		return err;
	channel_fingerprint(shake->peer_key, fingerprint);
	if (strcmp(fingerprint, token->fingerprint) != 0)
		return refuse(ERR_DENIED, message,
			"who answers has key %s, not that of who made the token; look who is at "
			"this address",
			fingerprint);
	channel_shake_prove(shake, proof);
	return send_all(fd, proof, sizeof proof);
}

static enum err ask_question(int fd, struct channel_seal *seal, const struct join_ask *ask)
{
	uint8_t wire[JOIN_ASK_WIRE_LEN] = {0}, plain[CHANNEL_FRAME_LEN], bytes[JOIN_ASK_LEN];
	uint8_t *head = wire + CHANNEL_FRAME_WIRE_LEN;
	struct channel_frame frame = {
		.type = CHANNEL_CALL, .number = 1, .value = 1, .head_len = JOIN_ASK_LEN};
	channel_frame_encode(&frame, plain);
	join_ask_encode(ask, bytes);
	enum err err = channel_seal_put(
		seal, (struct bytes){0}, plain, sizeof plain, wire, wire + CHANNEL_FRAME_LEN);
	if (!err)
		err = channel_seal_put(seal, bytes_make(head + JOIN_ASK_LEN, 1), bytes,
			JOIN_ASK_LEN, head, head + JOIN_ASK_LEN + 1);
	return err ? err : send_all(fd, wire, sizeof wire);
}

static enum err read_answer(
	int fd, struct channel_seal *seal, struct join_welcome *ret_welcome, char *message)
{
	uint8_t wire[CHANNEL_FRAME_WIRE_LEN], plain[CHANNEL_FRAME_LEN];
	struct channel_frame frame;
	enum err err = receive_all(fd, wire, sizeof wire);
	if (!err)
		err = channel_seal_get(seal, (struct bytes){0}, wire, CHANNEL_FRAME_LEN, plain,
			wire + CHANNEL_FRAME_LEN);
	if (!err)
		err = channel_frame_decode(plain, false, &frame);
	if (!err && frame.type != CHANNEL_ANSWER)
		err = ERR_INVALID;
	if (!err && frame.err == ERR_DENIED)
		return refuse(ERR_REFUSED, message,
			"the cluster does not admit this node: another one has used the token, or "
			"its time is over; make a new one with: rubus token create");
	if (!err && frame.err != ERR_OK)
		return refuse(ERR_REFUSED, message, "the cluster does not admit this node: %s",
			err_text(frame.err));
	if (err)
		return err;
	uint8_t *head = malloc(frame.head_len + CHANNEL_TRAILER_LEN);
	if (!head)
		return ERR_NO_MEMORY;
	err = receive_all(fd, head, frame.head_len + CHANNEL_TRAILER_LEN);
	if (!err)
		err = channel_seal_get(seal, bytes_make(head + frame.head_len, 1), head,
			frame.head_len, head, head + frame.head_len + 1);
	if (!err)
		err = join_welcome_decode(bytes_make(head, frame.head_len), ret_welcome);
	sodium_memzero(head, frame.head_len);
	free(head);
	return err;
}

static enum err ask_on(int fd, const struct join_token *token, const struct channel_self *self,
	const struct join_ask *ask, struct join_welcome *ret_welcome, char *message)
{
	struct channel_shake shake;
	struct channel_seal out = {0}, in = {0};
	enum err err = shake_hands(fd, token, self, &shake, message);
	if (!err)
		err = channel_shake_finish(&shake, &out, &in);
	channel_shake_fini(&shake);
	if (!err)
		err = ask_question(fd, &out, ask);
	if (!err)
		err = read_answer(fd, &in, ret_welcome, message);
	channel_seal_fini(&out);
	channel_seal_fini(&in);
	return err;
}

enum err join_run(const struct join_token *token, const struct channel_self *self,
	const struct join_ask *ask, unsigned timeout_ms, struct join_welcome **ret_welcome,
	char *message)
{
	assert(id_is_equal(token->cluster, self->cluster));
	struct join_welcome *welcome = calloc(1, sizeof *welcome);
	if (!welcome)
		return refuse(ERR_NO_MEMORY, message, "no memory");
	enum err err = refuse(ERR_UNAVAILABLE, message,
		"nobody answers at the addresses of the token; is the node that made it up, and "
		"can this machine reach it?");
	for (unsigned i = 0; i < token->address_count; i++) {
		const struct channel_address *address = &token->addresses[i];
		int fd = connect_within(address, timeout_ms);
		if (fd < 0)
			continue;
		snprintf(message, CHANNEL_MESSAGE_LEN,
			"what answers at %s:%u is not a node that knows this token", address->host,
			address->port);
		err = ask_on(fd, token, self, ask, welcome, message);
		close(fd);
		if (!err || err == ERR_REFUSED)
			break;
		if (err != ERR_DENIED)
			err = ERR_UNAVAILABLE;
	}
	if (err) {
		sodium_memzero(welcome, sizeof *welcome);
		free(welcome);
		return err;
	}
	message[0] = '\0';
	*ret_welcome = welcome;
	return ERR_OK;
}
