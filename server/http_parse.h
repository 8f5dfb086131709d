/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_PARSE_H
#define SERVER_HTTP_PARSE_H

#include "gateway/exchange.h"

/* Limits of a request's head. */
struct http_limits {
	size_t head_len_max; /* request line, headers and the empty line */
	size_t target_len_max;
	size_t header_count_max;
};

/* What a head says. The slices lie in the buffer that was parsed. */
struct http_head {
	enum http_method method;
	struct bytes method_name;
	struct bytes target;
	size_t header_count;
	uint64_t body_len; /* with has_len */
	bool has_len; /* one Content-Length, and it counts */
	bool is_chunked;
	bool is_1_0;
	bool expects_continue;
	bool close; /* the connection ends with this exchange */
};

/* Why a head is refused, and the status that says so. */
struct http_refusal {
	unsigned status;
	const char *text;
};

/* Looks for the end of a head in the first len bytes of a connection. *line_offset is where the
 * last incomplete line begins; it is 0 before the first call and kept between calls, while data
 * grows at its end. Gives the length of the head, the empty line included.
 *
 * Errors: ERR_BUSY, more bytes are needed; ERR_INVALID and ERR_LIMIT, with *ret_refusal. */
enum err http_parse_scan(const uint8_t *data, size_t len, size_t head_len_max, size_t *line_offset,
	size_t *ret_head_len, struct http_refusal *ret_refusal) MUST_USE;

/* Parses a whole head of len bytes as http_parse_scan() found it. Names are made lower case in
 * place. headers has room for limits->header_count_max.
 *
 * Errors, with *ret_refusal: ERR_INVALID, ERR_LIMIT, ERR_UNSUPPORTED. */
enum err http_parse_head(uint8_t *data, size_t len, const struct http_limits *limits,
	struct http_header *headers, struct http_head *ret_head,
	struct http_refusal *ret_refusal) MUST_USE;

/* The framing of a chunked body, decoded where it lies. Zeroed before its first use. */
struct http_chunks {
	uint64_t left; /* bytes of body that may be taken now; 0 within framing */
	uint64_t size; /* as far as its digits were read */
	uint8_t state;
	uint8_t digit_count;
};

/* Takes framing from the front of data until a run of body bytes begins, and gives the length of
 * what it took. ERR_OK: chunks->left bytes of body follow. ERR_END: the body is complete. ERR_BUSY:
 * all of data was framing and more is needed. ERR_INVALID: it is no framing; the connection has to
 * be closed. */
enum err http_chunks_decode(
	struct http_chunks *chunks, const uint8_t *data, size_t len, size_t *ret_len) MUST_USE;

/* Tells that len bytes of body were taken. */
void http_chunks_take(struct http_chunks *chunks, size_t len);

#endif
