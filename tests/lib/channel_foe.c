/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/channel_foe.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"

static void set_timeout(struct foe *foe, unsigned timeout_ms)
{
	struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	setsockopt(foe->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
}

void foe_connect(struct foe *foe, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	memset(foe, 0, sizeof *foe);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	foe->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(foe->fd, 0);
	ck_assert_int_eq(connect(foe->fd, (struct sockaddr *)&to, sizeof to), 0);
	set_timeout(foe, 30 * 1000);
}

void foe_close(struct foe *foe)
{
	close(foe->fd);
	channel_seal_fini(&foe->out);
	channel_seal_fini(&foe->in);
}

void foe_send(struct foe *foe, const void *data, size_t len)
{
	const uint8_t *at = data;
	while (len > 0) {
		ssize_t sent = send(foe->fd, at, len, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return; /* the node has ended it: what comes is seen by reading */
		at += sent;
		len -= sent;
	}
}

size_t foe_read_all(struct foe *foe, unsigned timeout_ms, bool *ret_has_ended)
{
	uint8_t buf[4096];
	size_t total = 0;
	set_timeout(foe, timeout_ms);
	for (;;) {
		ssize_t got = recv(foe->fd, buf, sizeof buf, 0);
		if (got < 0 && errno == EINTR)
			continue;
		*ret_has_ended = got == 0 || (got < 0 && errno != EAGAIN);
		if (got <= 0)
			return total;
		total += got;
	}
}

bool foe_read(struct foe *foe, uint8_t *buf, size_t len)
{
	while (len > 0) {
		ssize_t got = recv(foe->fd, buf, len, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		buf += got;
		len -= got;
	}
	return true;
}

void foe_sum(const struct channel_self *self, uint8_t hello[CHANNEL_HELLO_LEN])
{
	static const char use[] = "rubus channel: hello";
	uint8_t key[32];
	crypto_generichash(key, sizeof key, (const uint8_t *)use, sizeof use - 1, self->secret, 32);
	crypto_generichash(hello + CHANNEL_HELLO_LEN - CHANNEL_MAC_LEN, CHANNEL_MAC_LEN, hello,
		CHANNEL_HELLO_LEN - CHANNEL_MAC_LEN, key, sizeof key);
}

void foe_hello(struct foe *foe, const struct channel_self *self, struct id to, uint64_t epoch,
	uint8_t out[CHANNEL_HELLO_LEN])
{
	struct channel_hello hello = {.purpose = CHANNEL_CLIENTS,
		.cluster = self->cluster,
		.epoch = epoch,
		.from = self->node,
		.to = to};
	channel_shake_hello(&foe->shake, self, self->secret, &hello, out);
}

uint64_t foe_enter(struct foe *foe, const struct channel_self *self, struct id to)
{
	uint8_t hello[CHANNEL_HELLO_LEN], accept[CHANNEL_ACCEPT_LEN], proof[CHANNEL_PROOF_LEN];
	struct channel_frame frame;
	foe_hello(foe, self, to, 1, hello);
	foe_send(foe, hello, sizeof hello);
	ck_assert(foe_read(foe, accept, sizeof accept));
	ck_assert_ok(channel_shake_accepted(&foe->shake, accept));
	channel_shake_prove(&foe->shake, proof);
	foe_send(foe, proof, sizeof proof);
	ck_assert_ok(channel_shake_finish(&foe->shake, &foe->out, &foe->in));
	ck_assert(foe_read_frame(foe, &frame));
	ck_assert_int_eq(frame.type, CHANNEL_READY);
	return frame.value;
}

static void seal_chunk(struct foe *foe, uint8_t *wire, size_t len)
{
	static const uint8_t zeros[CHANNEL_CHUNK_LEN];
	wire[len] = 0;
	ck_assert_ok(channel_seal_put(
		&foe->out, bytes_make(wire + len, 1), zeros, len, wire, wire + len + 1));
	foe_send(foe, wire, len + CHANNEL_TRAILER_LEN);
}

void foe_send_frame(struct foe *foe, const uint8_t frame[CHANNEL_FRAME_LEN], size_t head_len,
	size_t payload_len)
{
	uint8_t *wire = malloc(CHANNEL_CHUNK_LEN + CHANNEL_TRAILER_LEN);
	ck_assert_ok(channel_seal_put(&foe->out, (struct bytes){0}, frame, CHANNEL_FRAME_LEN, wire,
		wire + CHANNEL_FRAME_LEN));
	foe_send(foe, wire, CHANNEL_FRAME_WIRE_LEN);
	if (head_len > 0)
		seal_chunk(foe, wire, head_len);
	while (payload_len > 0) {
		size_t len = payload_len < CHANNEL_CHUNK_LEN ? payload_len : CHANNEL_CHUNK_LEN;
		seal_chunk(foe, wire, len);
		payload_len -= len;
	}
	free(wire);
}

bool foe_read_frame(struct foe *foe, struct channel_frame *ret_frame)
{
	uint8_t wire[CHANNEL_FRAME_WIRE_LEN], plain[CHANNEL_FRAME_LEN];
	if (!foe_read(foe, wire, sizeof wire))
		return false;
	if (channel_seal_get(&foe->in, (struct bytes){0}, wire, CHANNEL_FRAME_LEN, plain,
		    wire + CHANNEL_FRAME_LEN) != ERR_OK)
		return false;
	return channel_frame_decode(plain, false, ret_frame) == ERR_OK;
}
