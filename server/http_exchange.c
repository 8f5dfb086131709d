/* SPDX-License-Identifier: Apache-2.0 */
/* The exchange as its handler sees it: gateway/exchange.h on one side, the bytes of a connection on
 * the other. Nothing here calls the handler; what it is owed is noted, and http_conn.c calls. */
#include <stdio.h>

#include "server/http_conn_priv.h"

static struct http_exchange *exchange_of(struct exchange *x)
{
	struct http_exchange *exchange = CONTAINER_OF(x, struct http_exchange, x);
	assert(exchange->magic == EXCHANGE_MAGIC);
	assert(loop_is_current(exchange->x.loop));
	return exchange;
}

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

/* --- the body of the request ------------------------------------------------------------------ */

/* How many bytes of body may be taken before framing has to be looked at. */
static uint64_t run_len(const struct http_exchange *exchange)
{
	return exchange->head.is_chunked ? exchange->chunks.left : exchange->body_left;
}

static void take_run(struct http_exchange *exchange, size_t len)
{
	if (exchange->head.is_chunked) {
		http_chunks_take(&exchange->chunks, len);
		return;
	}
	exchange->body_left -= len;
	if (exchange->body_left == 0)
		exchange->body_ended = true;
}

/* Takes framing out of the stash until a run of body begins. */
static enum err take_framing(struct http_exchange *exchange)
{
	struct http_conn *conn = exchange->conn;
	size_t len = 0;

	if (!exchange->head.is_chunked)
		return ERR_OK;
	enum err err = http_chunks_decode(
		&exchange->chunks, conn->buffer + conn->from, conn->to - conn->from, &len);
	conn->from += len;
	if (err == ERR_INVALID)
		exchange->body_broken = true;
	if (err == ERR_END)
		exchange->body_ended = true;
	return err;
}

/* Takes body bytes that were read before they were asked for. */
static enum err take_stashed(
	struct http_exchange *exchange, uint8_t *buf, size_t cap, size_t *ret_len)
{
	struct http_conn *conn = exchange->conn;

	*ret_len = 0;
	for (;;) {
		enum err err = take_framing(exchange);
		if (err != ERR_OK)
			return err;
		size_t len = conn->to - conn->from;
		if (len > cap - *ret_len)
			len = cap - *ret_len;
		if (len > run_len(exchange))
			len = run_len(exchange);
		if (len == 0)
			return exchange->body_ended ? ERR_END : ERR_OK;
		memcpy(buf + *ret_len, conn->buffer + conn->from, len);
		conn->from += len;
		*ret_len += len;
		take_run(exchange, len);
		if (exchange->body_ended)
			return ERR_END;
	}
}

/* Reads from the connection: the run of body into buf and, of a chunked one, the framing behind it
 * into the stash, all at once. */
static enum err read_run(struct http_exchange *exchange, uint8_t *buf, size_t cap, size_t *ret_len)
{
	struct http_conn *conn = exchange->conn;
	struct iovec pieces[2];
	size_t count = 0, direct = run_len(exchange) < cap ? run_len(exchange) : cap;

	assert(conn->from == conn->to);
	if (direct > 0)
		pieces[count++] = (struct iovec){buf, direct};
	if (exchange->head.is_chunked && direct < cap) {
		conn->from = conn->to = conn->head_len;
		pieces[count++] = (struct iovec){
			conn->buffer + conn->to, conn->buffer_cap - conn->to};
	}
	size_t len = 0;
	bool more = false;
	enum err err = wire_read(&conn->wire, pieces, count, &len, &more);
	if (err == ERR_BUSY || (err == ERR_OK && !more))
		conn->is_readable = false;
	if (err != ERR_OK)
		return err;
	conn_note_progress(conn, len);
	hub_count(&conn->hub->counts.bytes_in, len);
	*ret_len = len < direct ? len : direct;
	conn->to += len - *ret_len;
	if (*ret_len > 0)
		take_run(exchange, *ret_len);
	return ERR_OK;
}

enum err exchange_take_body(
	struct http_exchange *exchange, uint8_t *buf, size_t cap, size_t *ret_len)
{
	struct http_conn *conn = exchange->conn;
	size_t total = 0;
	enum err err = exchange->body_broken ? ERR_INVALID : ERR_OK;

	while (err == ERR_OK && total < cap) {
		size_t len = 0;
		if (exchange->body_ended)
			break;
		err = take_stashed(exchange, buf + total, cap - total, &len);
		total += len;
		bool needs_more = err == ERR_BUSY || (err == ERR_OK && total < cap);
		if (!needs_more)
			break;
		err = ERR_BUSY;
		if (!conn->is_readable)
			break;
		err = read_run(exchange, buf + total, cap - total, &len);
		if (err == ERR_OK)
			total += len;
		if (err == ERR_OK && !exchange->head.is_chunked)
			break;
	}
	if (exchange->body_ended && exchange->body_end_ns == 0)
		exchange->body_end_ns = now_ns();
	/* What was taken is given first; the error is met again by the next call. */
	if (total > 0) {
		*ret_len = total;
		return ERR_OK;
	}
	if (exchange->body_ended)
		return ERR_END;
	return err == ERR_END ? ERR_CLOSED : err;
}

/* --- what is sent ----------------------------------------------------------------------------- */

static void queue(struct http_exchange *exchange, const void *data, size_t len)
{
	if (exchange->out_index == exchange->out_count)
		exchange->out_index = exchange->out_count = 0;
	assert(exchange->out_count < WIRE_PIECE_COUNT_MAX);
	if (len > 0)
		exchange->out[exchange->out_count++] = (struct iovec){(void *)data, len};
}

enum err exchange_flush(struct http_exchange *exchange)
{
	struct http_conn *conn = exchange->conn;

	while (exchange->out_index < exchange->out_count) {
		size_t len = 0;
		enum err err = wire_write(&conn->wire, exchange->out + exchange->out_index,
			exchange->out_count - exchange->out_index, &len);
		if (err != ERR_OK)
			return err;
		conn_note_progress(conn, len);
		hub_count(&conn->hub->counts.bytes_out, len);
		while (len > 0) {
			struct iovec *piece = &exchange->out[exchange->out_index];
			size_t part = len < piece->iov_len ? len : piece->iov_len;
			piece->iov_base = (uint8_t *)piece->iov_base + part;
			piece->iov_len -= part;
			len -= part;
			if (piece->iov_len == 0)
				exchange->out_index++;
		}
	}
	return ERR_OK;
}

/* Sends what it can now and notes what is owed for it. */
static void flush_and_note(struct http_exchange *exchange)
{
	struct http_conn *conn = exchange->conn;

	if (conn->is_write_awaited)
		return;
	enum err err = exchange_flush(exchange);
	if (err == ERR_BUSY)
		conn_watch_write(conn);
	else if (err != ERR_OK)
		conn->is_gone = true;
	if (err != ERR_BUSY)
		conn_post(conn);
}

static const char GO_ON[] = "HTTP/1.1 100 Continue\r\n\r\n";

static void queue_head(struct http_exchange *exchange)
{
	assert(exchange->is_responded && !exchange->head_queued);
	exchange->head_queued = true;
	if (exchange->continue_first)
		queue(exchange, GO_ON, sizeof GO_ON - 1);
	queue(exchange, exchange->answer, exchange->answer_len);
}

static enum err format_into(
	struct http_exchange *exchange, struct spares *spares, const struct http_answer *answer)
{
	char *buf = hub_lend(spares);
	size_t len = 0;

	if (!buf)
		return ERR_NO_MEMORY;
	enum err err = http_answer_format(answer, buf, spares->len, &len);
	if (err != ERR_OK) {
		hub_take_back(spares, buf);
		return err;
	}
	exchange->answer = (uint8_t *)buf;
	exchange->answer_len = len;
	exchange->answer_cap = spares->len;
	return ERR_OK;
}

static void format_answer(struct http_exchange *exchange, const struct http_response *response)
{
	struct http_hub *hub = exchange->conn->hub;
	struct http_answer answer = {
		.response = response,
		.date = &hub->date,
		.is_chunked = exchange->is_chunked,
		.close = exchange->close,
	};
	enum err err = format_into(exchange, &hub->small, &answer);
	if (err == ERR_LIMIT)
		err = format_into(exchange, &hub->large, &answer);
	if (err == ERR_OK)
		return;
	/* A header that cannot be sent as it is: the client gets an answer, but not this one. */
	static const struct http_response failure = {.status = 500, .has_len = true, .close = true};
	exchange->has_no_body = true;
	exchange->close = true;
	answer = (struct http_answer){.response = &failure, .date = &hub->date, .close = true};
	if (err == ERR_NO_MEMORY || format_into(exchange, &hub->small, &answer) != ERR_OK)
		exchange->conn->is_gone = true;
}

/* Can the connection go on after this answer, whatever the handler does with the rest of the body?
 * A client that still waits for "100 Continue" may send the body or the next request: nobody knows
 * which, so the connection has to end. */
static bool can_go_on(const struct http_exchange *exchange)
{
	if (exchange->body_ended)
		return true;
	return !exchange->continue_owed && !exchange->body_broken && !exchange->body_timed_out &&
		exchange->head.has_len &&
		exchange->body_left <= exchange->conn->hub->settings.drain_len_max;
}

/* --- what the handler calls ------------------------------------------------------------------- */

static enum err read_body(struct exchange *x, uint8_t *buf, size_t cap, size_t *ret_len)
{
	struct http_exchange *exchange = exchange_of(x);
	struct http_conn *conn = exchange->conn;

	assert(cap > 0 && !exchange->is_ended);
	exchange->read_wanted = false;
	if (conn->is_gone)
		return ERR_CLOSED;
	if (exchange->body_timed_out)
		return ERR_TIMEOUT;
	if (exchange->continue_owed) {
		exchange->continue_owed = false;
		if (conn->from == conn->to && !exchange->head_queued) {
			queue(exchange, GO_ON, sizeof GO_ON - 1);
			flush_and_note(exchange);
		}
	}
	enum err err = exchange_take_body(exchange, buf, cap, ret_len);
	if (err == ERR_CLOSED) {
		conn->is_gone = true;
		conn_post(conn);
	}
	if (err == ERR_BUSY) {
		exchange->read_wanted = true;
		conn_watch_read(conn);
	}
	return err;
}

/* How long the client waited for us alone. */
static void count_answer(struct http_exchange *exchange, unsigned status)
{
	struct http_count_cells *counts = &exchange->conn->hub->counts;
	enum http_kind kind = exchange->x.has_body ? HTTP_WRITE : HTTP_READ;
	uint64_t from_ns = kind == HTTP_WRITE ? exchange->body_end_ns : exchange->x.start_ns;
	hub_count(&counts->statuses[status / 100], 1);
	if (status >= 400 || from_ns == 0)
		return;
	hub_count(&counts->answered[kind], 1);
	hub_count(&counts->answer_us[kind], (now_ns() - from_ns) / 1000);
}

static void respond(struct exchange *x, const struct http_response *response)
{
	struct http_exchange *exchange = exchange_of(x);
	struct http_conn *conn = exchange->conn;

	assert(!exchange->is_responded && !exchange->is_ended);
	assert(response->status >= 200 && response->status <= 599);
	exchange->is_responded = true;
	exchange->has_no_body = !http_answer_has_body(response->status, x->method);
	exchange->has_len = response->has_len;
	exchange->answer_left = response->has_len ? response->len : 0;
	exchange->is_chunked = !response->has_len && !exchange->has_no_body &&
		!exchange->head.is_1_0;
	bool ends_by_close = !response->has_len && !exchange->has_no_body && exchange->head.is_1_0;
	exchange->close = exchange->head.close || response->close || conn->hub->is_stopping ||
		ends_by_close || !can_go_on(exchange);
	count_answer(exchange, response->status);
	format_answer(exchange, response);
	if (conn->is_gone)
		conn_post(conn);
}

static void queue_pieces(
	struct http_exchange *exchange, const struct iovec *pieces, size_t count, bool is_last)
{
	uint64_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += pieces[i].iov_len;
	if (exchange->has_len) {
		assert(len <= exchange->answer_left);
		assert(!is_last || len == exchange->answer_left);
		exchange->answer_left -= len;
	}
	if (exchange->is_chunked && len > 0) {
		int size_len = snprintf(exchange->chunk_size, sizeof exchange->chunk_size,
			"%llx\r\n", (unsigned long long)len);
		queue(exchange, exchange->chunk_size, size_len);
	}
	for (size_t i = 0; i < count; i++)
		queue(exchange, pieces[i].iov_base, pieces[i].iov_len);
	if (exchange->is_chunked) {
		static const char ends[] = "\r\n0\r\n\r\n";
		size_t from = len > 0 ? 0 : 2;
		queue(exchange, ends + from, (is_last ? sizeof ends - 1 : 2) - from);
	}
}

static void send_pieces(struct exchange *x, const struct iovec *pieces, size_t count, bool is_last)
{
	struct http_exchange *exchange = exchange_of(x);

	assert(exchange->is_responded && !exchange->is_ended);
	assert(!exchange->send_in_flight && !exchange->last_queued);
	assert(count <= PIECE_COUNT_MAX);
	exchange->send_in_flight = true;
	exchange->last_queued = is_last;
	if (exchange->conn->is_gone) {
		conn_post(exchange->conn);
		return;
	}
	if (!exchange->head_queued)
		queue_head(exchange);
	if (!exchange->has_no_body)
		queue_pieces(exchange, pieces, count, is_last);
	flush_and_note(exchange);
}

static void end(struct exchange *x)
{
	struct http_exchange *exchange = exchange_of(x);

	assert(!exchange->is_ended && !exchange->send_in_flight);
	exchange->is_ended = true;
	exchange->read_wanted = false;
	if (exchange->is_responded && !exchange->head_queued && exchange_is_answered(exchange))
		queue_head(exchange);
	conn_post(exchange->conn);
}

bool exchange_is_answered(const struct http_exchange *exchange)
{
	if (!exchange->is_responded)
		return false;
	if (exchange->has_no_body)
		return true;
	return exchange->has_len ? exchange->answer_left == 0 : exchange->last_queued;
}

void exchange_init_http(struct http_exchange *exchange, struct http_conn *conn)
{
	static const struct exchange_ops ops = {
		.read = read_body, .respond = respond, .send = send_pieces, .end = end};
	const struct http_head *head = &exchange->head;
	exchange->magic = EXCHANGE_MAGIC;
	exchange->conn = conn;
	exchange->body_left = head->body_len;
	exchange->body_ended = !head->is_chunked && head->body_len == 0;
	exchange->continue_owed = head->expects_continue && !exchange->body_ended;
	exchange->continue_first = head->expects_continue && head->has_len && exchange->body_ended;
	exchange->x = (struct exchange){
		.ops = &ops,
		.loop = conn->hub->loop,
		.method = head->method,
		.method_name = head->method_name,
		.target = head->target,
		.headers = exchange->headers,
		.header_count = head->header_count,
		.has_body = !exchange->body_ended,
		.has_body_len = head->has_len,
		.body_len = head->body_len,
		.is_tls = conn->wire.ssl != NULL,
		.peer = conn->peer,
		.request_id = ++conn->hub->last_request_id,
		.start_ns = now_ns(),
	};
}
