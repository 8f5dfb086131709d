/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include "gateway/gateway.h"
#include "gateway/route.h"
#include "gateway/text_out.h"
#include "gateway/uri.h"
#include "storage/meta/notice.h"
#include "storage/object/get.h"
#include "storage/object/put.h"

/* One S3 request, from the head to the end of the answer.
 *
 *	start → target, query → signature → barrier → access key → route → bucket and its rules →
 *	rights → the route's start() → advance()... → answer
 *
 * (Q1) There is one gate: a handler runs only for a request that was authenticated and authorised,
 *      and none looks at credentials itself. ROUTE_FORM is the exception that brings its own:
 *      request_admit_form().
 * (Q2) A handler is told by `advance` when anything it waits for has happened; it decides there,
 *and only there (docs/STYLE.md, section 7). advance() is not called any more once it has answered.
 * (Q3) Every handler ends with request_answer…(), request_begin() and its last request_send(),
 *      request_fail…() or request_abandon(), once. When after that nothing is held
 *      (request_hold()), fini() is called, the exchange ends and the request goes back to its loop.
 * (Q4) What a handler takes (put, get, proposal) it holds the request for, and gives back also when
 *      the client has gone (is_gone). It may answer first and let go later.
 * (Q5) Before a handler starts, a read barrier was passed: every view of the index that it begins
 *      shows all that was answered before the request came.
 * (Q6) A view never lasts across a send or a wait.
 */
#define REQUEST_TEXT_LEN (64u << 10) /* of an answer that is made in memory, or of a command */
#define REQUEST_OP_LEN (76u << 10) /* of what a handler keeps */

enum request_state {
	REQUEST_FREE,
	REQUEST_STARTING, /* waits for the barrier */
	REQUEST_RUNNING, /* its handler works */
	REQUEST_ANSWERING, /* the last bytes of the answer are on their way */
	REQUEST_ENDING, /* answered; what is held is awaited */
};

struct request {
	uint32_t magic;
	enum request_state state;
	struct request *next; /* in the list of free ones */
	struct gateway_loop *loop;
	struct exchange *exchange; /* borrowed until exchange_end() */
	const struct route *route; /* NULL: none was found */
	uint8_t id_text[16]; /* x-amz-request-id */
	uint64_t now_ms; /* wall time when it came */

	/* What it asks for. */
	struct uri uri;
	struct query query;
	struct uri_resource resource; /* bucket and key, decoded */
	struct sigv4 auth;
	struct auth_principal principal;
	struct row_bucket bucket; /* with ROUTE_BUCKET_MUST_BE; bytes in bucket_buf */
	struct bucket_rules *rules; /* of that bucket, a reference; NULL: it has none */
	uint8_t bucket_buf[ROW_BUCKET_NAME_LEN_MAX + ROW_OWNER_LEN_MAX];

	/* Of a form: the file that is read in place of the body; NULL: the body is no form. */
	struct form_file *form_file;

	/* Facts. */
	bool is_gone; /* the client went away */
	bool is_readable; /* more of the body may be there */
	bool is_sending; /* what was sent last may not be reused yet */
	bool has_begun; /* exchange_respond() was called */
	bool is_website; /* asked as one: website.h */
	bool is_absence_told; /* that what is not there is not there was weighed already */
	bool is_advancing;
	bool is_advance_posted;
	unsigned holds;
	struct task advance_task;

	/* Of the handler. */
	void (*advance)(struct request *request);
	void (*last_sent)(struct request *request); /* may be NULL: the last piece may be reused */
	void (*fini)(struct request *request); /* may be NULL; starts nothing */
	int step; /* its states; 0 at start */
	struct request_stream *stream; /* of an answer made piece by piece: request_stream.h */
	struct index_proposal proposal;
	bool is_proposed, is_proposal_done;
	uint8_t *text; /* REQUEST_TEXT_LEN bytes of the loop's pool, once taken */
	struct text_out out; /* over text */
	struct pool_wait text_wait;
	struct s3_error_detail error; /* what request_fail() adds; empty at start */
	struct index_barrier barrier;
	struct { /* whose sender is not known: request_stranger.h */
		bool is_one, is_late;
		struct timer timer;
	} stranger;
	struct { /* of one of a website, what was decided */
		unsigned status; /* of the answer; 0: as usual */
		struct bytes location; /* where it is redirected to; empty: nowhere */
	} website;

	uint8_t origin_buf[NOTICE_ORIGIN_LEN_MAX]; /* of a command, where notices are kept */
	uint8_t target_buf[8192]; /* path, host and query, decoded */
	uint8_t reply_buf[4096]; /* an error document, or values of headers: see request_note() */
	size_t reply_len;
	_Alignas(64) uint8_t op[REQUEST_OP_LEN]; /* REQUEST_OP(); not zeroed */
};

/* What the handler keeps: a struct of its own, which it sets before it uses it. */
#define REQUEST_OP(request, type) \
	({ \
		static_assert(sizeof(type) <= REQUEST_OP_LEN, "the request has no room for it"); \
		(type *)(void *)(request)->op; \
	})

/* The request that this handler's struct is in. */
#define REQUEST_OF_OP(op_pointer) CONTAINER_OF(op_pointer, struct request, op)

static inline struct index_reader *request_reader(const struct request *request)
{
	return request->loop->store->reader;
}

/* Makes the loop's queue of exchanges that wait for a request. */
void request_loop_init(struct gateway_loop *loop);

/* The exchange's handler: everything up to the route's start(). */
void request_start(struct exchange_handler *handler, struct exchange *x);

/* Who sent a form, and may they? A form says so in its body; its handler asks when it has read that
 * far, before it takes a byte of the file (Q1). The fields stand for the exchange's headers
 * meanwhile, and the key is in request->resource. S3_OK, or why not. */
struct sigv4_form;
enum s3_code request_admit_form(struct request *request, const struct sigv4_form *form) MUST_USE;

/* Who signed a request for another service than S3, whose body was read and has this digest (in
 * hexadecimal; both borrowed)? Sets the principal. S3_OK, or why not. */
enum s3_code request_admit_signed(
	struct request *request, struct bytes service, struct bytes payload) MUST_USE;

/* Records that something happened: advance() runs soon, once for any number of calls, and never
 * inside this one. On the request's loop. */
void request_advance_soon(struct request *request);

/* Something of the handler is in flight, and no longer. The last release after the answer ends the
 * request: it is not touched after that. */
void request_hold(struct request *request);
void request_release(struct request *request);

/* --- what the client said --------------------------------------------------------------------- */

/* The first header of that name (lower case), or false. ret_value may be NULL. */
bool request_header(const struct request *request, const char *name, struct bytes *ret_value);

/* The value of a query parameter, or empty. */
struct bytes request_param(const struct request *request, const char *name);

/* A decimal query parameter. S3_OK with the fallback when it is not there; S3_INVALID_ARGUMENT with
 * the detail set. */
enum s3_code request_param_uint(struct request *request, const char *name, uint64_t fallback,
	uint64_t max, uint64_t *ret_value) MUST_USE;

/* --- memory and the index --------------------------------------------------------------------- */

/* Takes the text buffer, and starts an empty `out` over it. Errors: ERR_BUSY, advance() follows
 * when it is worth another try; ERR_NO_MEMORY. ERR_OK again when it was taken before. */
MUST_USE enum err request_take_text(struct request *request);

/* Copies bytes that must live until the head of the answer is made, such as values of headers. 4096
 * bytes for all of them; empty when there is no room. Also starts `ret_out` for what is formatted
 * in place: see request_note_begin(). */
struct bytes request_note(struct request *request, struct bytes bytes);

/* Formats into the same place: begin, write to the text, end gives what was written. */
void request_note_begin(struct request *request, struct text_out *ret_out);
struct bytes request_note_end(struct request *request, struct text_out *out);

/* Encodes a command into request->text (taken before) and proposes it; is_proposal_done and
 * advance() follow. Holds the request meanwhile. Errors: ERR_LIMIT, it does not fit. */
MUST_USE enum err request_propose(struct request *request, const struct command *command);

/* After is_proposal_done: true when the command has a result, which the caller looks at. Else the
 * request was failed (it was not done) or abandoned (nobody knows), and the handler is over. Clears
 * is_proposed and is_proposal_done. */
bool request_proposal_has_result(struct request *request);

/* --- answers: the last act of a handler ------------------------------------------------------- */

/* An answer without a body. Here and below headers are borrowed for the call, at most
 * REQUEST_HEADERS_MAX; x-amz-request-id and x-amz-id-2 are added. */
#define REQUEST_HEADERS_MAX 128
void request_answer(
	struct request *request, unsigned status, const struct http_header *headers, size_t count);

/* An answer whose body is what stands in request->out, application/xml. */
void request_answer_xml(
	struct request *request, unsigned status, const struct http_header *headers, size_t count);

/* An answer that is constant, application/xml. */
void request_answer_document(struct request *request, struct bytes document);

/* An error document (none for HEAD and 304); request->error says more, if set. After
 * request_begin() it cuts the connection. */
void request_fail(struct request *request, enum s3_code code);

/* The same with more headers, such as Content-Range, ETag or x-amz-delete-marker. */
void request_fail_with(struct request *request, enum s3_code code,
	const struct http_header *headers, size_t count);

/* The same for one of our errors; not_found is what ERR_NOT_FOUND means here. ERR_UNKNOWN closes
 * the connection without a status. */
void request_fail_err(struct request *request, enum err err, enum s3_code not_found);

/* The same for the result of a command that was not OK. */
void request_fail_command(struct request *request, const struct command_result *result);

/* Closes the connection without a status: the outcome is not known. */
void request_abandon(struct request *request);

/* Starts an answer whose body the handler sends itself with request_send(). With a HEAD request, or
 * has_len and len 0, it is over at once. */
void request_begin(struct request *request, unsigned status, const struct http_header *headers,
	size_t count, bool has_len, uint64_t len);

/* Sends one piece, borrowed while is_sending; advance() follows, but for the last. When the client
 * has gone, is_gone is set instead. One at a time. */
void request_send(struct request *request, const uint8_t *data, size_t len, bool is_last);

#endif
