/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_LISTENER_H
#define SERVER_HTTP_LISTENER_H

#include "server/http_hub.h"
#include "server/listen.h"

/* An address on which clients are accepted. One loop accepts and hands each connection to the hub
 * that has the fewest. */
struct http_listener;

#define LISTENER_MESSAGE_LEN LISTEN_MESSAGE_LEN
#define LISTENER_HUB_COUNT_MAX 64

struct http_listener_options {
	const char *address; /* numeric; "::" is every address of both kinds */
	uint16_t port; /* 0 lets the system choose */
	struct tls *tls; /* NULL is plain only; borrowed until the hubs are freed */
	bool require_tls;
	struct loop *loop; /* the loop that accepts */
	struct http_hub **hubs; /* copied; the hubs are borrowed */
	struct loop **loops; /* of the hubs; copied */
	struct exchange_handler *
		*handlers; /* one for each hub; copied, the handlers are borrowed */
	size_t hub_count;
	struct trace *trace; /* may be NULL */
};

/* Binds, listens, and has the loop begin to accept. Any thread; may block shortly. message has
 * LISTENER_MESSAGE_LEN bytes and gets one sentence on failure, which names the process that has the
 * port when that can be known. Errors: ERR_EXISTS, the port is in use; ERR_DENIED; ERR_INVALID, the
 * address; ERR_NOT_FOUND, it is not an address of this machine; ERR_NO_MEMORY; ERR_LIMIT. */
enum err http_listener_open(const struct http_listener_options *options, char *message,
	struct http_listener **ret_listener) MUST_USE;

/* The port that is listened on. */
uint16_t http_listener_port(const struct http_listener *listener);

/* Accepts no more; what was accepted is on its way to the hubs before what this thread posts to
 * their loops next. Only on the loop that accepts. */
void http_listener_stop(struct http_listener *listener);

/* Frees a listener that was stopped. NULL is fine. */
void http_listener_free(struct http_listener *listener);

#endif
