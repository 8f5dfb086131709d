/* SPDX-License-Identifier: Apache-2.0 */
/* A connection before an exchange: TLS or plain, the handshake, and the heads of requests. The
 * states are those of http_conn.c. */
#include <errno.h>
#include <sys/socket.h>

#include "server/http_conn_priv.h"
#include "server/tls.h"

#define TLS_FIRST_BYTE 0x16

/* --- before the first head -------------------------------------------------------------------- */

bool conn_step_peeking(struct http_conn *conn)
{
	uint8_t byte = 0;

	if (conn->is_gone || conn->has_timed_out) {
		conn_close(conn);
		return false;
	}
	if (!conn->is_readable)
		return false;
	ssize_t n = recv(conn->wire.fd, &byte, 1, MSG_PEEK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		conn->is_readable = false;
		return false;
	}
	if (n <= 0) {
		conn_close(conn);
		return false;
	}
	if (byte != TLS_FIRST_BYTE) {
		conn_move(conn, CONN_HEAD);
		if (conn->require_tls) {
			conn_refuse(conn, (struct http_refusal){400, "only HTTPS is spoken here"});
			return false;
		}
		return true;
	}
	hub_admit_handshake(conn->hub);
	if (tls_accept(conn->tls, conn->wire.fd, &conn->wire.ssl) != ERR_OK) {
		conn_close(conn);
		return false;
	}
	conn_move(conn, CONN_SHAKING);
	hub_wait(conn->hub, conn, WAIT_SHAKE);
	return true;
}

bool conn_step_shaking(struct http_conn *conn)
{
	if (conn->is_gone || conn->has_timed_out) {
		conn_close(conn);
		return false;
	}
	if (!conn->is_readable)
		return false;
	enum err err = wire_shake(&conn->wire);
	if (err == ERR_BUSY) {
		conn->is_readable = false;
		conn_watch_read(conn);
		return false;
	}
	if (err != ERR_OK) {
		conn_close(conn);
		return false;
	}
	conn_move(conn, CONN_HEAD);
	hub_wait(conn->hub, conn, WAIT_IDLE);
	return true;
}

/* --- the head --------------------------------------------------------------------------------- */

/* Makes room for more of a head. False when there is no memory. */
static bool grow_buffer(struct http_conn *conn)
{
	struct http_hub *hub = conn->hub;
	struct spares *spares = conn->buffer ? &hub->large : &hub->small;
	uint8_t *buffer = hub_lend(spares);
	size_t to = conn->to, line_offset = conn->line_offset;

	if (!buffer)
		return false;
	if (to > 0)
		memcpy(buffer, conn->buffer, to);
	conn_release_buffer(conn);
	conn->buffer = buffer;
	conn->buffer_cap = spares->len;
	conn->to = to;
	conn->line_offset = line_offset;
	return true;
}

/* Parses the head in the first head_len bytes of the buffer. */
static bool take_head(struct http_conn *conn)
{
	struct http_hub *hub = conn->hub;
	struct http_refusal refusal = {503, "no memory"};

	bool is_narrow = conn->buffer_cap == SMALL_BUFFER_LEN &&
		conn->buffer_cap - conn->head_len < STASH_LEN_MIN;
	size_t head_len = conn->head_len;
	struct http_exchange *exchange = hub_lend(&hub->exchanges);
	if (!exchange || (is_narrow && !grow_buffer(conn))) {
		if (exchange)
			hub_take_back(&hub->exchanges, exchange);
		conn_refuse(conn, refusal);
		return false;
	}
	memset(exchange, 0, sizeof *exchange);
	conn->head_len = conn->from = head_len;
	enum err err = http_parse_head(conn->buffer, head_len, &hub->settings.limits,
		exchange->headers, &exchange->head, &refusal);
	conn->exchange = exchange;
	if (err != ERR_OK) {
		conn_refuse(conn, refusal);
		return false;
	}
	conn_start_exchange(conn);
	return true;
}

static enum err read_head(struct http_conn *conn)
{
	size_t len = 0;
	bool more = false;

	if ((!conn->buffer || conn->to == conn->buffer_cap) && !grow_buffer(conn))
		return ERR_CLOSED;
	struct iovec piece = {conn->buffer + conn->to, conn->buffer_cap - conn->to};
	enum err err = wire_read(&conn->wire, &piece, 1, &len, &more);
	if (err == ERR_OK) {
		conn->to += len;
		hub_count(&conn->hub->counts.bytes_in, len);
	}
	if (err == ERR_BUSY || (err == ERR_OK && !more))
		conn->is_readable = false;
	return err;
}

static bool end_without_head(struct http_conn *conn)
{
	if (conn->has_timed_out && conn->to > 0)
		conn_refuse(
			conn, (struct http_refusal){408, "the head of the request took too long"});
	else
		conn_close(conn);
	return false;
}

bool conn_step_head(struct http_conn *conn)
{
	struct http_refusal refusal;

	if (conn->is_gone || conn->has_timed_out || (conn->hub->is_stopping && conn->to == 0))
		return end_without_head(conn);
	for (;;) {
		enum err err = ERR_BUSY;
		if (conn->to > conn->line_offset)
			err = http_parse_scan(conn->buffer, conn->to,
				conn->hub->settings.limits.head_len_max, &conn->line_offset,
				&conn->head_len, &refusal);
		if (err == ERR_OK)
			return take_head(conn);
		if (err != ERR_BUSY) {
			conn_refuse(conn, refusal);
			return false;
		}
		if (conn->is_readable)
			err = read_head(conn);
		if (err == ERR_BUSY)
			break;
		if (err != ERR_OK) {
			conn_close(conn);
			return false;
		}
	}
	if (conn->to == 0)
		conn_release_buffer(conn);
	else if (conn->wait != WAIT_HEAD)
		hub_wait(conn->hub, conn, WAIT_HEAD);
	conn_watch_read(conn);
	return false;
}
