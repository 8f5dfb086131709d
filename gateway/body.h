/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_BODY_H
#define GATEWAY_BODY_H

#include "gateway/checksum_s3.h"
#include "gateway/digest/digest_lanes.h"
#include "gateway/request_body.h"
#include "gateway/sse.h"
#include "gateway/text_out.h"
#include "gateway/uri.h"
#include "storage/object/pack.h"

/* The bytes of an object or part on their way from the client to the drives; body.c has the
 * invariants.
 *
 *	code = body_start(&body, request, &setup);
 *	...in the handler's advance():
 *	switch (body_advance(&body)) { BODY_GOING: return; BODY_FAILED: request_fail(body.code); ...
 *} BODY_READY: body_describe() → request_propose(); and then body_take() or body_drop().
 */
enum body_progress {
	BODY_GOING, /* advance() follows */
	BODY_READY, /* durable, and all that was promised about it is so */
	BODY_FAILED, /* `code`; nothing of it is left */
	BODY_OVER, /* it was taken or dropped */
};

struct body_setup {
	unsigned kinds; /* digests that are wanted in any case; MD5 is among them */
	bool wants_crc64; /* compute a CRC64NVME where the client asks for no checksum */
	uint8_t storage_class;
	const struct sse *sse; /* borrowed for the call; NULL: not encrypted */
	uint64_t upload; /* that it is a part of; 0: none */
	uint16_t part;
};

struct body {
	struct request *request;
	enum body_progress progress;
	enum s3_code code; /* of BODY_FAILED */
	struct request_body source;
	bool is_put_active; /* between put_start() and its last callback, or put_fini() */
	bool is_discarding;
	bool is_received; /* the source is at its end */
	bool is_durable;
	bool is_in_lanes; /* entered the digest lanes and has not left */
	struct sse_row encryption; /* of the body */
	uint64_t received_ms; /* when bytes came last */
	struct timer timer;

	/* Frames wait here for the digest, which takes one at a time. */
	struct put_frame *first, *last;
	struct digest_stream stream;
	struct digest_job job;
	struct digest_values values; /* when it is ready */

	struct pack pack; /* pack_start() zeroes what it needs */
};

/* Whom a body is written for, as records of its shards say it: bucket, '/', key. */
#define BODY_HINT_LEN_MAX (ROW_BUCKET_NAME_LEN_MAX + 1 + URI_KEY_LEN_MAX)
void body_make_hint(
	const struct request *request, uint8_t buf[BODY_HINT_LEN_MAX], struct text_out *ret_hint);

/* Reads what the headers say of the body and begins to receive. What it returns beside S3_OK is the
 * answer; nothing was begun then. Holds the request from here until the body is over. */
enum s3_code body_start(
	struct body *body, struct request *request, const struct body_setup *setup) MUST_USE;

/* Do all nodes know how to read bodies with frames? Are new ones in the bucket to be zipped? */
bool body_may_have_frames(const struct request *request);
bool body_is_zipped(const struct request *request);

/* The session that its extents are of, which their proposal needs; 0: it has none. */
static inline uint64_t body_session(const struct body *body)
{
	return pack_session(&body->pack);
}

/* Goes as far as it can; in the handler's advance(). */
enum body_progress body_advance(struct body *body);

/* When it is ready: what the index is told of it. checksums[0] is the client's, or else the one
 * that was wanted. Borrows the put. */
void body_describe(const struct body *body, struct command_body *ret_body);

/* One of the digests that were computed, as a checksum; when it is ready or taken. */
void body_checksum(
	const struct body *body, enum checksum_algorithm algorithm, struct checksum *ret_checksum);

/* After the proposal with the body is done, and before its result is cleared: takes the body if the
 * index has it or nobody knows, drops it if nothing was made of it. */
void body_settle(struct body *body);

/* The index has the body now, or nobody knows. */
void body_take(struct body *body);

/* The body is not wanted, or not any more. Does nothing when it is over or has failed. */
void body_drop(struct body *body);

#endif
