/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_HUB_H
#define SERVER_HTTP_HUB_H

#include "gateway/exchange.h"
#include "server/http_parse.h"

struct tls;
struct trace;

/* What clients may cost. */
struct http_settings {
	struct http_limits limits;
	unsigned connection_count_max; /* of one loop */
	unsigned handshake_count_max; /* likewise; one costs about 46 KiB */
	unsigned head_timeout_ms; /* from the first byte of a head, or of a handshake, to its end */
	unsigned idle_timeout_ms; /* between two requests */
	unsigned progress_timeout_ms; /* without one byte, while we wait for the client */
	unsigned linger_timeout_ms; /* for the client to read our last answer */
	unsigned rate_min; /* bytes a second, over a progress timeout spent waiting */
	unsigned long_head_count_max; /* in memory at a time: requests and answers above 4 KiB */
	size_t drain_len_max; /* of a body that nobody wants, for the sake of the connection */
};

/* 16 KiB heads with 100 headers, 8 KiB targets, 1024 connections, 10 s, 60 s, 30 s, 3 s, 1 KiB/s,
 * 64 long heads, 64 KiB. */
struct http_settings http_settings_default(void);

/* All connections of one loop. Everything is called on that loop, where no other
 * is said. */
struct http_hub;

/* Requests without a body, and with one. */
enum http_kind { HTTP_READ, HTTP_WRITE, HTTP_KINDS };

/* What has happened since the start. */
struct http_counts {
	uint64_t connections, requests, refused, timeouts, cut, evicted;
	uint64_t statuses[6]; /* by hundreds */
	uint64_t bytes_in, bytes_out; /* of bodies and answers */
	/* Answers below 400, and how long they took in all: from the head, or from the last byte of
	 * the body, to the status. */
	uint64_t answered[HTTP_KINDS], answer_us[HTTP_KINDS];
};

/* A connection that was accepted. */
struct http_accepted {
	int fd; /* not blocking, TCP_NODELAY */
	struct tls *tls; /* borrowed for the life of the hub; NULL is plain only */
	bool require_tls;
	struct exchange_handler *handler; /* borrowed likewise */
	char peer[56];
};

/* Makes the hub of one of the server's loops. trace may be NULL; both are borrowed. Errors:
 * ERR_NO_MEMORY. */
enum err http_hub_new(struct loop *loop, const struct http_settings *settings, struct trace *trace,
	struct http_hub **ret_hub) MUST_USE;

/* Frees a hub without connections. NULL is fine. */
void http_hub_free(struct http_hub *hub);

/* Counts a connection that is on its way to the hub; from any thread. Whoever hands out many at
 * once sees so where they went. */
void http_hub_reserve(struct http_hub *hub);

/* Takes over a connection that was reserved. Above the limit the longest idle one is closed for it,
 * and if all are busy, the new one. */
void http_hub_take(struct http_hub *hub, const struct http_accepted *accepted);

/* Connections now; from any thread. */
unsigned http_hub_connection_count(const struct http_hub *hub);

/* Adds what this hub has counted to *io_counts; from any thread. */
void http_hub_add_counts(const struct http_hub *hub, struct http_counts *io_counts);

/* Ends idle connections now and the others with their running exchange; those that are left after
 * the deadline are cut. Then stopped() is called, once, never before this returns. */
void http_hub_stop(
	struct http_hub *hub, unsigned deadline_ms, void (*stopped)(void *arg), void *arg);

#endif
