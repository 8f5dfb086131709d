/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_S3_CLIENT_H
#define SERVER_S3_CLIENT_H

#include "gateway/sigv4_sign.h"
#include "server/s3_wire.h"

/* A client of S3 that blocks, for commands: one connection that is kept open, one request at a
 * time, paths (not virtual hosts), signatures of version 4. Used by one thread.
 *
 *	err = s3_client_send(client, &call);
 *	... s3_client_write() until call.body_len bytes were given, if call.is_streamed ...
 *	err = s3_client_answer(client);       the status and the headers
 *	err = s3_client_read(client, ...);    until ERR_END
 *
 * (K1) What the other side sends is bounded before it is believed: the head, the number of its
 *      headers, and what is read into memory.
 * (K2) After any error, and after an answer that was not read to its end, the connection is not
 *      used again; the next s3_client_send() opens a new one.
 * (K3) A request whose connection was kept and is found closed before a byte of the answer came is
 *      not repeated here; the caller knows what may be repeated.
 * (K4) However an answer drips and whatever goes before it, its head ends: s3_wire.h has the
 *bounds.
 */
#define S3_CLIENT_HEAD_LEN_MAX (64u << 10)
#define S3_CLIENT_HEADERS_MAX 128
#define S3_CLIENT_CALL_HEADERS_MAX 64
#define S3_CLIENT_TARGET_LEN_MAX (12u << 10)
#define S3_CLIENT_MESSAGE_LEN 512
#define S3_CLIENT_ERROR_LEN_MAX (64u << 10) /* of a document that says what is wrong */

struct s3_client_options {
	struct s3_wire_place place; /* borrowed, as all that follows */
	const char *access_key_id;
	const char *secret;
	const char *session_token; /* NULL: none */
	const char *region;
};

struct s3_call {
	const char *method;
	struct bytes bucket, key; /* both may be empty */
	const char *query; /* "uploads" or "list-type=2&prefix=a%2Fb", escaped; NULL: none */
	const struct http_header *headers; /* more of them, names in lower case */
	size_t header_count;
	struct bytes body; /* sent at once if it is not streamed */
	bool is_streamed; /* body_len bytes come by s3_client_write(), not signed themselves */
	uint64_t body_len;
};

struct s3_client {
	const struct s3_client_options *options;
	struct s3_wire *wire; /* NULL: not connected */

	/* What was answered; borrowed from head, until the next call. */
	unsigned status;
	struct http_header headers[S3_CLIENT_HEADERS_MAX];
	size_t header_count;

	char message[S3_CLIENT_MESSAGE_LEN]; /* why the last step failed, in one line */
	char code[64]; /* the Code of s3_client_refuse() */

	enum { S3_BODY_NONE, S3_BODY_LEN, S3_BODY_CHUNKS, S3_BODY_CLOSE } framing;
	bool is_head, keeps;
	uint64_t left; /* of the body, or of the chunk */
	bool is_chunk_begun;
	size_t in_pos, in_len; /* of bytes that were read and not taken */
	uint8_t head[S3_CLIENT_HEAD_LEN_MAX];
	uint8_t in[S3_CLIENT_HEAD_LEN_MAX];
};

/* options is borrowed for the life of the client, which is large: not for the stack. */
void s3_client_init(struct s3_client *client, const struct s3_client_options *options);
void s3_client_fini(struct s3_client *client);

/* Connects if need be and sends head and body (but for a streamed one). Errors, with message:
 * those of s3_wire.h; ERR_LIMIT, the target or the headers are too long. */
enum err s3_client_send(struct s3_client *client, const struct s3_call *call) MUST_USE;

/* Sends more of a streamed body. Errors: as s3_client_send(); as s3_client_refuse(), if the other
 * side said what is wrong with it. */
enum err s3_client_write(struct s3_client *client, const void *data, size_t len) MUST_USE;

/* Reads the head of the answer. Errors, with message: those of s3_wire.h; ERR_INVALID, it is no
 * HTTP; ERR_LIMIT. */
enum err s3_client_answer(struct s3_client *client) MUST_USE;

/* A header of the answer, by its name in lower case; empty if there is none. */
struct bytes s3_client_header(const struct s3_client *client, const char *name);

/* The length that the answer states for its body (of HEAD too); UINT64_MAX: it does not. */
uint64_t s3_client_body_len(const struct s3_client *client);

/* Reads 1 to cap bytes of the body. ERR_END: that was all. Errors: as s3_client_answer(). */
enum err s3_client_read(struct s3_client *client, void *buf, size_t cap, size_t *ret_len) MUST_USE;

/* Reads the rest of a short body and drops it. */
enum err s3_client_drop(struct s3_client *client) MUST_USE;

/* For an answer that is not what was hoped for: reads the document, sets code and message, and
 * gives the error: ERR_NOT_FOUND (404), ERR_DENIED (401, 403), ERR_PRECONDITION (412), ERR_CONFLICT
 * (409), ERR_UNSUPPORTED (501), ERR_UNAVAILABLE (429, 5xx: it may be tried again), else
 * ERR_REFUSED. What the connection says counts more. */
enum err s3_client_refuse(struct s3_client *client) MUST_USE;

/* send, answer; and refuse unless the status is 200 to 299. For calls that are not streamed. */
enum err s3_client_call(struct s3_client *client, const struct s3_call *call) MUST_USE;

#endif
