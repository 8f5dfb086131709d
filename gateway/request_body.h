/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REQUEST_BODY_H
#define GATEWAY_REQUEST_BODY_H

#include "gateway/chunked.h"
#include "gateway/digest/digest_stream.h"
#include "gateway/request.h"

/* The body of a request as the client means it: aws-chunked framing taken off, its length known,
 *and everything the client said about its digests checked at its end.
 *
 *	code = request_body_init(&body, request, wanted, len_max);
 *	... request_body_read() into a buffer; the caller feeds a digest stream of body.kinds ...
 *	ERR_END → code = request_body_check(&body, &values);
 *	request_body_fini(&body);
 *
 * (B1) Nothing is made of a body before request_body_check() said S3_OK.
 * (B2) Promises are Content-MD5, one x-amz-checksum-*, x-amz-content-sha256, the trailer, the
 *      signatures of chunks, and the length. Each that was made is checked.
 * (B3) Payload is read into the caller's buffer straight away but for what arrives together with
 *      the framing around it.
 */
#define REQUEST_BODY_STAGE_LEN 512

struct request_body {
	struct request *request;
	bool has_len; /* false: chunked by HTTP only; the end is where it ends */
	uint64_t len; /* decoded */
	uint64_t taken_len; /* decoded, so far */
	uint64_t len_max;
	bool is_aws_chunked;
	bool is_over;
	unsigned kinds; /* set of enum digest_kind that the caller's stream must compute */

	/* What was promised. */
	bool has_md5;
	uint8_t md5[MD5_LEN];
	unsigned checksum_kind; /* an enum digest_kind; 0: none was sent or announced */
	bool has_checksum; /* its value is here: from a header, or the trailer when is_over */
	uint8_t checksum[DIGEST_LEN_MAX];
	bool has_sha256; /* in request->auth.payload_sha256 */

	/* Of aws-chunked bodies. */
	struct chunked chunked;
	struct digest_stream chunk_digest; /* SHA-256 of a signed chunk */
	size_t stage_from, stage_to;
	uint8_t stage[REQUEST_BODY_STAGE_LEN];
};

/* Reads the headers. wanted are digests that the caller needs for itself; body->kinds has them and
 * those that are to be checked. Errors leave their detail in request->error: S3_INVALID_DIGEST,
 * S3_INVALID_REQUEST, S3_MISSING_CONTENT_LENGTH, S3_ENTITY_TOO_LARGE, S3_INVALID_ARGUMENT,
 * S3_MALFORMED_TRAILER. */
enum s3_code request_body_init(struct request_body *body, struct request *request, unsigned wanted,
	uint64_t len_max) MUST_USE;

/* Wipes keys. Also after a failed init. */
void request_body_fini(struct request_body *body);

/* Did the client promise anything that would show that the body was damaged? */
bool request_body_is_protected(const struct request_body *body);

/* Takes up to cap (not 0) decoded bytes. ERR_OK with *ret_len > 0; ERR_END, all is there; ERR_BUSY,
 * advance() follows, with request->is_readable; any other: the request is to fail with *ret_code.
 */
MUST_USE enum err request_body_read(struct request_body *body, uint8_t *buf, size_t cap,
	size_t *ret_len, enum s3_code *ret_code);

/* After ERR_END: compares. values has all of body->kinds. S3_OK, S3_BAD_DIGEST, S3_INVALID_REQUEST
 * (a trailer that is no checksum), S3_CONTENT_SHA256_MISMATCH. */
enum s3_code request_body_check(
	struct request_body *body, const struct digest_values *values) MUST_USE;

/* The checksum that came with the body, for the version's row; CHECKSUM_NONE if none did. */
void request_body_checksum(const struct request_body *body, struct checksum *ret_checksum);

#endif
