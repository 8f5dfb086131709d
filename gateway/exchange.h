/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include <sys/uio.h>

#include "gateway/http_header.h"
#include "storage/err.h"
#include "storage/loop.h"

/* The seam to HTTP: one request and its answer, as the gateway sees it. The server makes exchanges
 * of connections; tests make them of buffers. All calls and callbacks are on exchange->loop.
 *
 * (X1) The handler's start() is called once when the head is complete and well-formed. The head is
 *      borrowed by the handler until it calls exchange_end(), which it does exactly once, when
 *      nothing of its own is in flight any more.
 * (X2) exchange_read() and exchange_send() never call back before they return.
 * (X3) "100 Continue" goes out at the first exchange_read() of a request that expects it, so that
 *      what can be refused early is refused before a byte of the body is sent. Where the body is
 *      empty it goes out before the answer: some clients cannot do without.
 * (X4) After gone() every read and send fails with ERR_CLOSED; exchange_end() is still owed.
 * (X5) If exchange_end() comes before the announced answer is complete, the connection is cut, so
 *      that no client takes a part for the whole. If it comes before the body was read, the server
 *      drains a little of it or closes.
 */
enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_PUT,
	HTTP_POST,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_OTHER,
};

struct http_response {
	unsigned status;
	const struct http_header *headers; /* copied by exchange_respond() */
	size_t header_count;
	bool has_len; /* false: the length is not known, the body is sent chunked */
	uint64_t len; /* also for HEAD: what GET would send */
	bool close; /* close the connection after this answer */
};

struct exchange;

/* Of the handler, while it lets the exchange wait. */
struct exchange_wait {
	struct exchange *next, *prev;
	uint64_t since_ms;
};

struct exchange_ops {
	enum err (*read)(struct exchange *x, uint8_t *buf, size_t cap, size_t *ret_len);
	void (*respond)(struct exchange *x, const struct http_response *response);
	void (*send)(struct exchange *x, const struct iovec *pieces, size_t count, bool is_last);
	void (*end)(struct exchange *x);
};

struct exchange {
	const struct exchange_ops *ops;
	struct loop *loop;

	/* The head of the request. */
	enum http_method method;
	struct bytes method_name;
	struct bytes target; /* as on the request line */
	const struct http_header *headers; /* all of them, in order, Host too */
	size_t header_count;
	bool has_body; /* Content-Length > 0 or Transfer-Encoding: chunked */
	bool has_body_len; /* Content-Length, of 0 too */
	uint64_t body_len; /* bytes on the wire; the gateway decodes aws-chunked itself */
	bool is_tls;
	const char *peer; /* address of the client, for logs and policies */
	uint64_t request_id;
	uint64_t start_ns; /* monotonic, when the head was complete */

	/* Of the handler, set in start(). */
	void *handler_data;
	struct exchange_wait wait;
	void (*readable)(struct exchange *x); /* after a read that said ERR_BUSY: try again */
	void (*sent)(
		struct exchange *x, enum err err); /* the pieces of the last send may be reused */
	void (*gone)(struct exchange *x); /* the client is gone or a deadline has passed */
};

/* Who gets the exchanges of a listener; one for each loop. */
struct exchange_handler {
	void (*start)(struct exchange_handler *handler, struct exchange *x);
};

/* Takes up to cap bytes of the body, without waiting. Errors: ERR_BUSY, none is there yet and
 * readable() will be called; ERR_END, the body is complete; ERR_INVALID, its framing is broken;
 * ERR_TIMEOUT; ERR_CLOSED, the client is gone. */
MUST_USE static inline enum err exchange_read(
	struct exchange *x, uint8_t *buf, size_t cap, size_t *ret_len)
{
	return x->ops->read(x, buf, cap, ret_len);
}

/* States the head of the answer, once. It leaves with the first exchange_send(), or at
 * exchange_end() when the answer has no body. The server adds Date, Server, Connection, and
 * Content-Length or Transfer-Encoding. */
static inline void exchange_respond(struct exchange *x, const struct http_response *response)
{
	x->ops->respond(x, response);
}

/* Sends up to 16 pieces of the body; they are borrowed until sent(). One send at a time. */
static inline void exchange_send(
	struct exchange *x, const struct iovec *pieces, size_t count, bool is_last)
{
	x->ops->send(x, pieces, count, is_last);
}

/* Ends the exchange; x is not valid afterwards. No send may be in flight. */
static inline void exchange_end(struct exchange *x)
{
	x->ops->end(x);
}

#endif
