/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include "gateway/chunked.h"
#include "gateway/gateway.h"
#include "gateway/route.h"
#include "gateway/text_out.h"
#include "gateway/uri.h"
#include "storage/object/get.h"
#include "storage/object/put.h"

/* One S3 request, from the head to the end of the answer.
 *
 *	start → target and query → route → signature → access key → may this principal do that? →
 *	the route's handler → answer
 *
 * (Q1) There is one gate: request_start() authenticates and authorises before it calls a handler.
 *      No handler runs for a request that did not pass, and none looks at credentials itself.
 * (Q2) A handler is told by `advance` when anything it waits for has happened; it decides there, and
 *      only there (docs/STYLE.md, section 7).
 * (Q3) Every request ends with request_answer…() or request_fail() or request_abandon(), once; after
 *      that, when nothing of it is in flight, its exchange ends and it goes back to its loop.
 * (Q4) What a handler takes (put, get, proposal, buffers) it gives back before it ends, also when the
 *      client has gone (is_gone).
 */
#define REQUEST_TEXT_LEN (64 << 10) /* of an answer that is made in memory, or of a command */

enum request_state {
	REQUEST_FREE,
	REQUEST_RUNNING, /* its handler works */
	REQUEST_ANSWERING, /* the last bytes of the answer are on their way */
	REQUEST_ENDING, /* answered; what is in flight is awaited */
};

struct request {
	uint32_t magic;
	enum request_state state;
	struct request *next; /* in the list of free ones */
	struct gateway_loop *loop;
	struct exchange *exchange;
	const struct route *route;
	char id_text[17]; /* x-amz-request-id */

	/* What it asks for. */
	struct uri uri;
	struct query query;
	struct uri_resource resource; /* bucket and key, decoded */
	struct sigv4 auth;
	struct bytes owner; /* the principal: owner of the access key; empty: anonymous */
	uint8_t owner_buf[ROW_OWNER_LEN_MAX];
	struct row_bucket bucket; /* of resource.bucket when the route needs one; bytes in bucket_buf */
	uint8_t bucket_buf[ROW_BUCKET_NAME_LEN_MAX + ROW_OWNER_LEN_MAX];

	/* Facts. */
	bool is_gone; /* the client went away */
	bool is_sent; /* what was sent last may be reused */
	bool is_sending;
	bool is_answered;
	bool is_readable; /* more of the body may be there */
	struct task advance_task;
	bool is_advance_posted;
	unsigned in_flight; /* of the handler: proposal, put, get, jobs */

	/* Of the handler. */
	void (*advance)(struct request *request);
	int step; /* the handler's own states */
	union {
		struct put put;
		struct get get;
	};
	bool has_put, has_get;
	struct index_proposal proposal;
	bool is_proposed, is_proposal_done;
	uint8_t *text; /* from the loop's pool, when asked for: REQUEST_TEXT_LEN */
	struct text_out out; /* over text, for XML answers */
	struct s3_error_detail error;
	uint8_t buf[4096]; /* decoded target, headers of the answer */
	size_t buf_len;
	union request_op *op; /* what else the handler keeps; see the handlers' files */
};

/* The handler of an exchange: everything up to the route's handler. */
void request_start(struct exchange_handler *handler, struct exchange *x);

/* Calls request->advance() soon, once for any number of calls. */
void request_advance_soon(struct request *request);

/* The first header of that name (lower case), or false. ret_value may be NULL. */
bool request_header(const struct request *request, const char *name, struct bytes *ret_value);

/* Takes the text buffer from the pool, for `out`. Errors: ERR_BUSY, ERR_NO_MEMORY. */
MUST_USE enum err request_take_text(struct request *request);

/* Proposes a command that is encoded in request->text; is_proposal_done and advance() follow. */
MUST_USE enum err request_propose(struct request *request, struct command *command);

/* --- answers: the last act of a handler ---------------------------------------------------------- */

/* An answer without a body. headers are copied. */
void request_answer(
	struct request *request, unsigned status, const struct http_header *headers, size_t count);

/* An answer whose body is what stands in request->out; application/xml unless a header says. */
void request_answer_text(
	struct request *request, unsigned status, const struct http_header *headers, size_t count);

/* An error document (no body for HEAD); request->error may say more. */
void request_fail(struct request *request, enum s3_code code);

/* The same for one of our errors; not_found is what ERR_NOT_FOUND means here. */
void request_fail_err(struct request *request, enum err err, enum s3_code not_found);

/* Closes the connection without a status: the outcome is not known. */
void request_abandon(struct request *request);

/* Starts an answer of len bytes that the handler sends itself with request_send(). */
void request_begin(struct request *request, unsigned status, const struct http_header *headers,
	size_t count, uint64_t len);

/* Sends one piece; is_sent and advance() follow. */
void request_send(struct request *request, const uint8_t *data, size_t len, bool is_last);

#endif
