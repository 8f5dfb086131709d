/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_FAKE_EXCHANGE_H
#define TESTS_LIB_FAKE_EXCHANGE_H

#include "gateway/exchange.h"

/* A request made of buffers and the answer to it, without a connection: the other side of
 * gateway/exchange.h. What breaks its rules (X1 to X5) ends the test. */
#define FAKE_HEADERS_MAX 136

struct fake_exchange {
	struct exchange x;
	struct http_header headers[FAKE_HEADERS_MAX];
	char text[16384]; /* of the headers */
	size_t text_len;

	/* The body, given piece by piece. */
	struct bytes body; /* borrowed */
	size_t body_offset;
	size_t piece_len; /* at most so many bytes by one read; 0: all */
	bool is_slow; /* every other read says ERR_BUSY first */
	bool was_busy;
	enum err body_err; /* instead of the end: ERR_CLOSED, ERR_INVALID, ERR_TIMEOUT */
	unsigned reads;

	/* The client goes away behind so many bytes of the answer; 0: never. */
	size_t gone_after;
	bool is_gone;

	/* The answer. */
	bool is_answered, is_ended, is_whole;
	struct http_response response;
	struct http_header answer_headers[FAKE_HEADERS_MAX];
	char answer_text[16384];
	size_t answer_text_len;
	uint8_t *answer; /* the body, with a NUL behind it; freed by fake_exchange_fini() */
	size_t answer_len, answer_cap;
	unsigned sends;

	bool is_sending, is_last;
	enum err sent_err;
	struct task task; /* sent(), readable() and gone() */
	bool is_posted, owes_sent, owes_readable, owes_gone;
};

/* Makes a request without headers. target is borrowed. */
void fake_exchange_init(
	struct fake_exchange *fake, struct loop *loop, const char *method, const char *target);

/* Frees the answer. The exchange was ended. */
void fake_exchange_fini(struct fake_exchange *fake);

/* Adds a header; both are copied. */
void fake_exchange_header(struct fake_exchange *fake, const char *name, const char *value);

/* The body, borrowed. */
void fake_exchange_body(struct fake_exchange *fake, const void *data, size_t len);

/* Hands it to the handler. The caller then runs the loop. */
void fake_exchange_start(struct fake_exchange *fake, struct exchange_handler *handler);

/* A header of the answer, or NULL. */
const char *fake_exchange_answer_header(const struct fake_exchange *fake, const char *name);

/* The text between <name> and </name> in the answer, the first of them, into a buffer of 4096 bytes
 * of its own; NULL if there is none. */
const char *fake_exchange_element(const struct fake_exchange *fake, const char *name);

#endif
