/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_CONN_PRIV_H
#define SERVER_HTTP_CONN_PRIV_H

#include <h2o.h>
#include <stdatomic.h>

#include "server/http_answer.h"
#include "server/http_hub.h"
#include "server/wire.h"

/* What http_hub.c, http_conn.c, http_intake.c and http_exchange.c share: one connection, the
 * exchange that runs on it, and the hub of all connections of a loop. The essay is in http_conn.c.
 */
#define CONN_MAGIC 0x4854434eu
#define EXCHANGE_MAGIC 0x48545845u

#define SMALL_BUFFER_LEN 4096
#define STASH_LEN_MIN 1024 /* room behind a head for the framing of a chunked body */
#define LARGE_BUFFER_EXTRA_LEN 4096 /* room behind the longest head */
#define PIECE_COUNT_MAX 16 /* of one exchange_send() */
#define SCRATCH_LEN 16384
#define SPARE_COUNT_MAX 64

/* What a connection waits for; its deadline follows from it. */
enum http_wait {
	WAIT_IDLE, /* the first byte of a head */
	WAIT_SHAKE, /* the rest of a handshake; not lengthened by progress */
	WAIT_HEAD, /* the rest of a head; likewise */
	WAIT_CLIENT, /* bytes of a body, or room for those of an answer */
	WAIT_HANDLER, /* no deadline of ours */
	WAIT_LINGER, /* the client's end of the connection */
	WAIT_COUNT,
};

enum conn_state {
	CONN_PEEKING, /* TLS or plain? */
	CONN_SHAKING, /* the handshake of TLS */
	CONN_HEAD, /* between exchanges, or in a head */
	CONN_EXCHANGE, /* the handler has the exchange */
	CONN_FLUSHING, /* the handler has ended it; the head of the answer is still to be sent */
	CONN_DRAINING, /* the answer is out; what is left of the body is thrown away */
	CONN_LINGERING, /* nothing more is sent; the client reads our last answer */
	CONN_CLOSED,
};

struct links {
	struct links *next, *prev;
};

/* A request and its answer. Lives from the end of the head until the answer is sent. */
struct http_exchange {
	struct exchange x;
	uint32_t magic;
	struct http_conn *conn;
	struct http_head head;

	/* The body of the request. */
	struct http_chunks chunks;
	uint64_t body_left; /* without chunks */
	bool body_ended;
	bool body_broken;
	bool body_timed_out;
	bool continue_owed; /* the client waits for "100 Continue" (X3) */
	bool continue_first; /* likewise, and has nothing to send after it */
	bool read_wanted; /* a read said ERR_BUSY and readable() is owed */
	uint64_t body_end_ns; /* when the handler had all of it; 0: not yet */

	/* The answer. */
	bool is_responded;
	bool head_queued;
	bool has_no_body; /* by its status or method, or because its head could not be sent */
	bool is_chunked;
	bool has_len;
	bool last_queued;
	bool close;
	bool send_in_flight; /* sent() is owed */
	bool is_ended; /* exchange_end() was called */
	bool gone_told;
	uint64_t answer_left; /* with has_len */
	uint8_t *answer; /* the head of the answer, in a buffer */
	size_t answer_len;
	size_t answer_cap;
	struct iovec out[WIRE_PIECE_COUNT_MAX];
	size_t out_index, out_count;
	char chunk_size[24];

	struct http_header headers[]; /* limits.header_count_max */
};

struct http_conn {
	uint32_t magic;
	enum conn_state state;
	enum http_wait wait;
	struct links links; /* among those who wait for the same */
	uint64_t wait_since_ms;
	uint64_t waited_ms; /* for the client, since the rate was last looked at */
	uint64_t waited_len; /* and what came of it */
	struct http_hub *hub;
	struct wire wire;
	h2o_socket_t *socket;
	struct tls *tls;
	struct exchange_handler *handler;
	struct http_exchange *exchange;
	struct task task;

	/* Bytes that were read and not used yet lie in [from, to); the head lies before them. */
	uint8_t *buffer;
	size_t buffer_cap, from, to;
	size_t line_offset; /* of the head's last incomplete line */
	size_t head_len;
	size_t drained_len;

	/* Facts. */
	bool is_readable; /* the kernel, or TLS, may have bytes */
	bool is_reading; /* we are told when it has */
	bool is_write_awaited; /* we are told when there is room */
	bool is_gone;
	bool has_timed_out;
	bool require_tls;
	bool in_advance;
	bool is_posted;
	char peer[56];
};

struct http_count_cells {
	_Atomic uint64_t connections, requests, refused, timeouts, cut, evicted;
	_Atomic uint64_t statuses[6];
	_Atomic uint64_t bytes_in, bytes_out;
	_Atomic uint64_t answered[HTTP_KINDS], answer_us[HTTP_KINDS];
};

/* Blocks of one length that are kept for the next user. */
struct spares {
	size_t len;
	size_t lent_count, lent_max; /* those of connections are bounded by their number */
	size_t count;
	void *first;
};

struct http_hub {
	struct loop *loop;
	struct st_h2o_evloop_t *h2o;
	struct http_settings settings;
	struct trace *trace;
	struct links waits[WAIT_COUNT]; /* each oldest first */
	struct timer timer; /* set for the first deadline of all, or earlier */
	struct spares small, large, exchanges;
	struct http_date date;
	uint64_t last_request_id;
	_Atomic unsigned connection_count;
	unsigned shaking_count; /* connections in CONN_SHAKING */
	struct http_count_cells counts;
	bool is_stopping;
	struct timer stop_timer;
	struct task stopped_task;
	void (*stopped)(void *arg);
	void *stopped_arg;
	uint8_t scratch[SCRATCH_LEN];
};

/* --- http_hub.c --- */

/* Blocks; NULL when there is no memory. */
void *hub_lend(struct spares *spares);
void hub_take_back(struct spares *spares, void *block);

/* Puts the connection among those who wait for this, as the newest. */
void hub_wait(struct http_hub *hub, struct http_conn *conn, enum http_wait wait);

/* Makes room for one more handshake: the oldest one goes, if there are as many as there may be. */
void hub_admit_handshake(struct http_hub *hub);

/* Takes a closed connection out of the books. */
void hub_forget(struct http_hub *hub, struct http_conn *conn);

/* A counter with one writer. */
static inline void hub_count(_Atomic uint64_t *cell, uint64_t by)
{
	uint64_t value = atomic_load_explicit(cell, memory_order_relaxed);
	atomic_store_explicit(cell, value + by, memory_order_relaxed);
}

/* --- http_conn.c --- */

/* Opens a connection on an accepted descriptor, which it takes. NULL when there is no memory. */
struct http_conn *conn_new(struct http_hub *hub, const struct http_accepted *accepted);

/* Goes as far as the facts allow. */
void conn_advance(struct http_conn *conn);

/* Sees to it that conn_advance() runs, not before the caller has returned. */
void conn_post(struct http_conn *conn);

/* Ends the connection at once. The handler is told first when it has an exchange. */
void conn_cut(struct http_conn *conn);

/* Asks to be told when the connection can be read, or written. */
void conn_watch_read(struct http_conn *conn);
void conn_watch_write(struct http_conn *conn);

/* Notes bytes that were moved, for deadlines and rates. */
void conn_note_progress(struct http_conn *conn, size_t len);

/* Changes the state; only steps that the essay has. */
void conn_move(struct http_conn *conn, enum conn_state state);

/* Calls the handler with the exchange whose head was parsed. */
void conn_start_exchange(struct http_conn *conn);

/* Answers what is no request, as far as the client takes it at once, and ends the connection. */
void conn_refuse(struct http_conn *conn, struct http_refusal refusal);

/* Closes; no handler has an exchange of this connection. The struct is freed when the call of
 * conn_advance() returns. */
void conn_close(struct http_conn *conn);

void conn_release_buffer(struct http_conn *conn);

/* --- http_intake.c: go on in these states; false when there is nothing more to do now --- */

bool conn_step_peeking(struct http_conn *conn);
bool conn_step_shaking(struct http_conn *conn);
bool conn_step_head(struct http_conn *conn);

/* --- http_exchange.c --- */

/* Makes the exchange of a head that was parsed into exchange->head. */
void exchange_init_http(struct http_exchange *exchange, struct http_conn *conn);

/* Takes up to cap bytes of the body without waiting. Errors: as exchange_read(). */
enum err exchange_take_body(
	struct http_exchange *exchange, uint8_t *buf, size_t cap, size_t *ret_len) MUST_USE;

/* Writes what is queued. ERR_OK when nothing is left. Errors: ERR_BUSY, ERR_CLOSED. */
enum err exchange_flush(struct http_exchange *exchange) MUST_USE;

/* Is the answer complete, as far as it was announced? */
bool exchange_is_answered(const struct http_exchange *exchange);

#endif
