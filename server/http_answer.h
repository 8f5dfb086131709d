/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_ANSWER_H
#define SERVER_HTTP_ANSWER_H

#include <time.h>

#include "gateway/exchange.h"

/* The line "Date: ...", formatted once a second. Zeroed before its first use; one for each loop. */
struct http_date {
	time_t second;
	char line[40];
};

/* What the connection says about an answer, beside what the handler says. */
struct http_answer {
	const struct http_response *response;
	struct http_date *date;
	bool is_chunked;
	bool close;
};

/* The reason phrase of a status; "Unknown" when there is none. */
const char *http_answer_reason(unsigned status);

/* Does an answer with this status, to this method, carry a body? */
bool http_answer_has_body(unsigned status, enum http_method method);

/* Writes the head of an answer, the empty line included. This is the only way by which headers
 * leave. Errors: ERR_INVALID, a name is no token or a value has a control character; ERR_LIMIT, it
 * does not fit. */
enum err http_answer_format(
	const struct http_answer *answer, char *buf, size_t cap, size_t *ret_len) MUST_USE;

/* Writes a whole short answer that refuses a request and closes the connection. buf has room for
 * 512 bytes. Gives the length. */
size_t http_answer_refuse(
	struct http_date *date, unsigned status, const char *text, char *buf, size_t cap);

#endif
