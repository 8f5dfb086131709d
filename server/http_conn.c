/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of a client, from its first byte to its last.
 *
 *	PEEKING -> SHAKING -> HEAD <-> EXCHANGE -> FLUSHING -> DRAINING -> HEAD
 *	                       any of them -> LINGERING -> CLOSED
 *
 * Sockets, deadlines and the handler's calls each record a fact; advance() looks at the facts and
 *is the only one that decides.
 *
 * (C1) The handler is called from advance() only, so never inside one of its own calls. For each
 *      exchange: start() once, sent() once for each send, gone() at most once, nothing after
 *      exchange_end().
 * (C2) An idle connection holds no buffer. It borrows one with the first byte of a head and gives
 *it back when the exchange is over and nothing of the next head was read. (C3) Bytes are read only
 *into free room: of the caller for a body, of the buffer for a head. While nobody wants bytes the
 *socket is not read, and TCP tells the client to wait. (C4) Whoever waits for the client has a
 *deadline; it is a matter of which list of the hub the connection is in, so that a request sets no
 *timer. While the handler works there is none. (C5) An answer that ends the connection is followed
 *by shutdown() and a short wait for the client's end, during which what still comes is thrown away:
 *to close at once would make the kernel reset the connection, and the client might never read the
 *answer. (C6) An exchange that ends before its announced answer is complete resets the connection,
 *so that no client takes a part for the whole (X5). (C7) What must be closed is decided before the
 *head of the answer is written, so that the client is told.
 *
 * While an exchange runs the socket stays registered for reading, though nothing more is expected:
 * requests that follow each other so cost one recv(), one sendmsg() and a share of epoll_wait().
 * Only a client that pushes ahead makes us take it off, and put it back later.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "server/http_conn_priv.h"
#include "storage/trace.h"

#define STEPS_PER_TURN 64 /* a small request takes four */
#define REFUSAL_LEN_MAX 512

void conn_move(struct http_conn *conn, enum conn_state state)
{
	static const uint8_t steps[] = {
		[CONN_PEEKING] = 1 << CONN_SHAKING | 1 << CONN_HEAD,
		[CONN_SHAKING] = 1 << CONN_HEAD,
		[CONN_HEAD] = 1 << CONN_EXCHANGE,
		[CONN_EXCHANGE] = 1 << CONN_FLUSHING,
		[CONN_FLUSHING] = 1 << CONN_DRAINING | 1 << CONN_HEAD,
		[CONN_DRAINING] = 1 << CONN_HEAD,
		[CONN_LINGERING] = 0,
		[CONN_CLOSED] = 0,
	};
	bool is_end = state == CONN_CLOSED ||
		(state == CONN_LINGERING && conn->state != CONN_CLOSED);
	assert(is_end || (steps[conn->state] & 1 << state));
	conn->hub->shaking_count += (state == CONN_SHAKING) - (conn->state == CONN_SHAKING);
	conn->state = state;
}

/* --- readiness -------------------------------------------------------------------------------- */

/* Does the state, as it is, wait for bytes? */
static bool wants_read(const struct http_conn *conn)
{
	if (conn->is_write_awaited && conn->wire.write_wants_read)
		return true;
	if (conn->state == CONN_EXCHANGE || conn->state == CONN_FLUSHING)
		return conn->exchange->read_wanted;
	return true;
}

static void stop_reading(struct http_conn *conn)
{
	if (conn->is_reading)
		h2o_socket_read_stop(conn->socket);
	conn->is_reading = false;
}

/* Something came although nothing is wanted. More requests can wait; a reset is news. */
static void note_unwanted(struct http_conn *conn)
{
	uint8_t byte;

	stop_reading(conn);
	if (recv(conn->wire.fd, &byte, 1, MSG_PEEK) < 0 && errno != EAGAIN && errno != EINTR)
		conn->is_gone = true;
}

static void on_readable(h2o_socket_t *socket, const char *error)
{
	struct http_conn *conn = socket->data;

	assert(conn->magic == CONN_MAGIC);
	conn->is_readable = true;
	if (conn->is_write_awaited && conn->wire.write_wants_read)
		conn->is_write_awaited = false;
	if (error)
		conn->is_gone = true;
	else if (!wants_read(conn))
		note_unwanted(conn);
	conn_advance(conn);
}

static void on_writable(h2o_socket_t *socket, const char *error)
{
	struct http_conn *conn = socket->data;

	assert(conn->magic == CONN_MAGIC);
	if (!conn->wire.write_wants_read)
		conn->is_write_awaited = false;
	if (conn->wire.read_wants_write)
		conn->is_readable = true;
	if (error)
		conn->is_gone = true;
	conn_advance(conn);
}

static void notify_write(struct http_conn *conn)
{
	if (!h2o_socket_is_writing(conn->socket))
		h2o_socket_notify_write(conn->socket, on_writable);
}

void conn_watch_read(struct http_conn *conn)
{
	if (conn->wire.read_wants_write)
		notify_write(conn);
	if (!conn->is_reading)
		h2o_socket_read_start(conn->socket, on_readable);
	conn->is_reading = true;
}

void conn_watch_write(struct http_conn *conn)
{
	conn->is_write_awaited = true;
	if (conn->wire.write_wants_read)
		conn_watch_read(conn);
	else
		notify_write(conn);
}

/* The share of the last wait that was spent on this client, and what came of it. */
void conn_note_progress(struct http_conn *conn, size_t len)
{
	struct http_hub *hub = conn->hub;

	if (conn->wait != WAIT_CLIENT)
		return;
	uint64_t now_ms = loop_now_ms(hub->loop);
	conn->waited_ms += now_ms - conn->wait_since_ms;
	conn->waited_len += len;
	hub_wait(hub, conn, WAIT_CLIENT);
	if (conn->waited_ms < hub->settings.progress_timeout_ms)
		return;
	if (conn->waited_len * 1000 < conn->waited_ms * hub->settings.rate_min)
		conn->has_timed_out = true;
	conn->waited_ms = conn->waited_len = 0;
}

/* --- ends ------------------------------------------------------------------------------------- */

void conn_release_buffer(struct http_conn *conn)
{
	struct http_hub *hub = conn->hub;

	if (conn->buffer)
		hub_take_back(conn->buffer_cap == SMALL_BUFFER_LEN ? &hub->small : &hub->large,
			conn->buffer);
	conn->buffer = NULL;
	conn->buffer_cap = conn->from = conn->to = conn->line_offset = conn->head_len = 0;
}

static void release_exchange(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;
	struct http_hub *hub = conn->hub;

	if (!exchange)
		return;
	if (exchange->answer)
		hub_take_back(exchange->answer_cap == SMALL_BUFFER_LEN ? &hub->small : &hub->large,
			exchange->answer);
	exchange->magic = 0;
	hub_take_back(&hub->exchanges, exchange);
	conn->exchange = NULL;
}

/* The handler has no exchange of this connection. The struct is freed when no task holds it. */
void conn_close(struct http_conn *conn)
{
	conn_move(conn, CONN_CLOSED);
	release_exchange(conn);
	conn_release_buffer(conn);
	wire_fini(&conn->wire);
	h2o_socket_close(conn->socket);
	conn->socket = NULL;
	hub_forget(conn->hub, conn);
}

/* Closes so that the client sees a broken connection, not an end. */
static void reset_now(struct http_conn *conn)
{
	struct linger linger = {.l_onoff = 1};

	setsockopt(conn->wire.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	hub_count(&conn->hub->counts.cut, 1);
	conn_close(conn);
}

static void linger(struct http_conn *conn)
{
	release_exchange(conn);
	conn_release_buffer(conn);
	conn_move(conn, CONN_LINGERING);
	wire_shutdown(&conn->wire);
	hub_wait(conn->hub, conn, WAIT_LINGER);
	conn->is_readable = true;
	conn_watch_read(conn);
}

static bool step_lingering(struct http_conn *conn)
{
	if (conn->is_gone || conn->has_timed_out) {
		conn_close(conn);
		return false;
	}
	if (!conn->is_readable)
		return false;
	enum err err = wire_discard(&conn->wire);
	conn->is_readable = false;
	if (err == ERR_OK || err == ERR_BUSY)
		conn_watch_read(conn);
	else
		conn_close(conn);
	return false;
}

/* Answers what is no request, as far as the client takes it at once, and ends the connection. */
void conn_refuse(struct http_conn *conn, struct http_refusal refusal)
{
	char text[REFUSAL_LEN_MAX];
	size_t len = http_answer_refuse(
		&conn->hub->date, refusal.status, refusal.text, text, sizeof text);
	size_t written = 0;

	hub_count(&conn->hub->counts.refused, 1);
	hub_count(&conn->hub->counts.statuses[refusal.status / 100], 1);
	trace_event(conn->hub->trace, TRACE_DEBUG, 0, "%s: refused with %u: %s", conn->peer,
		refusal.status, refusal.text);
	struct iovec piece = {text, len};
	/* Whoever does not even read this is not missed. */
	err_ignore(wire_write(&conn->wire, &piece, 1, &written));
	linger(conn);
}

/* --- the exchange ----------------------------------------------------------------------------- */

/* Calls the handler, which may call back into the exchange; nothing is decided meanwhile (C1). */
void conn_start_exchange(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;

	exchange_init_http(exchange, conn);
	hub_count(&conn->hub->counts.requests, 1);
	hub_wait(conn->hub, conn, WAIT_HANDLER);
	conn->waited_ms = conn->waited_len = 0;
	conn_move(conn, CONN_EXCHANGE);
	conn->handler->start(conn->handler, &exchange->x);
}

static void flush(struct http_conn *conn)
{
	if (conn->is_gone || conn->is_write_awaited)
		return;
	enum err err = exchange_flush(conn->exchange);
	if (err == ERR_BUSY)
		conn_watch_write(conn);
	else if (err != ERR_OK)
		conn->is_gone = true;
}

/* Sees who is waited for, and sets the deadline accordingly (C4). */
static void wait_for_somebody(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;
	bool is_client = exchange->read_wanted || exchange->out_index < exchange->out_count;

	if (is_client && conn->wait != WAIT_CLIENT) {
		hub_wait(conn->hub, conn, WAIT_CLIENT);
	} else if (!is_client && conn->wait == WAIT_CLIENT) {
		conn_note_progress(conn, 0);
		hub_wait(conn->hub, conn, WAIT_HANDLER);
	}
}

/* A deadline has passed: a body that does not come is told to the handler, which may still answer.
 * A client that does not take the answer is gone. */
static void note_timeout(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;

	conn->has_timed_out = false;
	hub_count(&conn->hub->counts.timeouts, 1);
	if (exchange->out_index == exchange->out_count && !exchange->body_ended &&
		!exchange->is_ended)
		exchange->body_timed_out = true;
	else
		conn->is_gone = true;
}

/* One call of the handler, if one is owed. */
static bool call_handler(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;
	struct exchange *x = &exchange->x;

	if (exchange->send_in_flight &&
		(conn->is_gone || exchange->out_index == exchange->out_count)) {
		exchange->send_in_flight = false;
		if (x->sent)
			x->sent(x, conn->is_gone ? ERR_CLOSED : ERR_OK);
		return true;
	}
	if (conn->is_gone && !exchange->gone_told) {
		exchange->gone_told = true;
		exchange->read_wanted = false;
		if (x->gone)
			x->gone(x);
		return true;
	}
	if (exchange->read_wanted && (conn->is_readable || exchange->body_timed_out)) {
		exchange->read_wanted = false;
		if (x->readable)
			x->readable(x);
		return true;
	}
	return false;
}

static bool step_exchange(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;

	if (conn->has_timed_out)
		note_timeout(conn);
	flush(conn);
	if (!exchange->is_ended) {
		if (call_handler(conn))
			return true;
		wait_for_somebody(conn);
		return false;
	}
	if (conn->is_gone || !exchange_is_answered(exchange)) {
		reset_now(conn);
		return false;
	}
	conn_move(conn, CONN_FLUSHING);
	return true;
}

/* The answer is out. */
static bool next_exchange(struct http_conn *conn)
{
	if (conn->exchange->close) {
		linger(conn);
		return false;
	}
	release_exchange(conn);
	conn_move(conn, CONN_HEAD);
	size_t len = conn->to - conn->from;
	if (len == 0) {
		conn_release_buffer(conn);
	} else {
		memmove(conn->buffer, conn->buffer + conn->from, len);
		conn->from = conn->line_offset = conn->head_len = 0;
		conn->to = len;
	}
	hub_wait(conn->hub, conn, len > 0 ? WAIT_HEAD : WAIT_IDLE);
	return true;
}

static bool step_flushing(struct http_conn *conn)
{
	if (conn->has_timed_out)
		note_timeout(conn);
	flush(conn);
	if (conn->is_gone) {
		reset_now(conn);
		return false;
	}
	if (conn->exchange->out_index < conn->exchange->out_count) {
		wait_for_somebody(conn);
		return false;
	}
	if (conn->exchange->body_ended || conn->exchange->close)
		return next_exchange(conn);
	conn_move(conn, CONN_DRAINING);
	conn->drained_len = 0;
	hub_wait(conn->hub, conn, WAIT_CLIENT);
	return true;
}

static bool step_draining(struct http_conn *conn)
{
	struct http_hub *hub = conn->hub;

	for (;;) {
		size_t len = 0;
		enum err err = ERR_CLOSED;
		if (!conn->is_gone && !conn->has_timed_out)
			err = exchange_take_body(conn->exchange, hub->scratch, SCRATCH_LEN, &len);
		if (err == ERR_END)
			return next_exchange(conn);
		if (err == ERR_BUSY) {
			conn_watch_read(conn);
			return false;
		}
		conn->drained_len += len;
		if (err != ERR_OK || conn->drained_len > hub->settings.drain_len_max) {
			conn_close(conn);
			return false;
		}
	}
}

/* --- the one that decides --------------------------------------------------------------------- */

static bool step(struct http_conn *conn)
{
	switch (conn->state) {
	case CONN_PEEKING:
		return conn_step_peeking(conn);
	case CONN_SHAKING:
		return conn_step_shaking(conn);
	case CONN_HEAD:
		return conn_step_head(conn);
	case CONN_EXCHANGE:
		return step_exchange(conn);
	case CONN_FLUSHING:
		return step_flushing(conn);
	case CONN_DRAINING:
		return step_draining(conn);
	case CONN_LINGERING:
		return step_lingering(conn);
	case CONN_CLOSED:
		break;
	}
	return false;
}

static void run_posted(struct task *task)
{
	struct http_conn *conn = CONTAINER_OF(task, struct http_conn, task);

	assert(conn->magic == CONN_MAGIC && conn->is_posted);
	conn->is_posted = false;
	conn_advance(conn);
}

void conn_post(struct http_conn *conn)
{
	if (conn->in_advance || conn->is_posted)
		return;
	conn->is_posted = true;
	loop_post(conn->hub->loop, &conn->task);
}

void conn_advance(struct http_conn *conn)
{
	unsigned steps = 0;

	assert(!conn->in_advance);
	conn->in_advance = true;
	while (steps < STEPS_PER_TURN && step(conn))
		steps++;
	conn->in_advance = false;
	/* A client that is as fast as we are is not the only one. */
	if (steps == STEPS_PER_TURN && conn->state != CONN_CLOSED)
		conn_post(conn);
	if (conn->state == CONN_CLOSED && !conn->is_posted) {
		conn->magic = 0;
		free(conn);
	}
}

void conn_cut(struct http_conn *conn)
{
	conn->is_gone = true;
	conn_advance(conn);
}

struct http_conn *conn_new(struct http_hub *hub, const struct http_accepted *accepted)
{
	struct http_conn *conn = calloc(1, sizeof *conn);
	if (!conn)
		return NULL;
	conn->magic = CONN_MAGIC;
	conn->state = accepted->tls ? CONN_PEEKING : CONN_HEAD;
	conn->hub = hub;
	conn->wire.fd = accepted->fd;
	conn->tls = accepted->tls;
	conn->require_tls = accepted->require_tls;
	conn->handler = accepted->handler;
	conn->task.run = run_posted;
	memcpy(conn->peer, accepted->peer, sizeof conn->peer);
	conn->socket = h2o_evloop_socket_create(hub->h2o, accepted->fd, H2O_SOCKET_FLAG_DONT_READ);
	conn->socket->data = conn;
	return conn;
}
