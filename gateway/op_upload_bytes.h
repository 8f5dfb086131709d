/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_UPLOAD_BYTES_H
#define GATEWAY_OP_UPLOAD_BYTES_H

#include "gateway/digest/digest_lanes.h"
#include "gateway/sse.h"
#include "storage/object/pack.h"
#include "storage/object/unpack.h"

/* A range of a body copied byte by byte into a body of its own: for a copy that cannot refer to its
 * source, because that one is made of slices of slices already, or is encrypted otherwise. */
struct op_upload_bytes {
	struct unpack *get; /* borrowed: started by the owner */
	struct pack pack;
	struct sse_row encryption; /* of the copy */
	const uint8_t *piece; /* of the get, which it gets back when all is copied */
	size_t piece_len;
	bool is_put_active;
	bool is_durable;
	bool is_discarding;
	enum err err; /* the put's */
	void *owner;
	void (*changed)(struct op_upload_bytes *bytes); /* durable, failed or over */

	/* Digests of the bytes, where they are asked for; frames wait for their turn. */
	struct digest_lanes *lanes; /* NULL: none are */
	bool is_in_lanes;
	struct digest_stream stream;
	struct digest_job job;
	struct put_frame *first, *last;
};

struct op_upload_bytes_setup {
	struct request *request;
	uint64_t upload; /* that it is a part of; 0: none */
	uint16_t part;
	uint64_t len;
	uint8_t storage_class;
	const struct sse *sse; /* of the copy; borrowed for the call */
	unsigned kinds; /* digests that are to be computed */
	struct unpack *get;
	void (*changed)(struct op_upload_bytes *bytes);
};

/* Begins the body; owner was set before. S3_OK, or why it was not begun. */
enum s3_code op_upload_bytes_start(
	struct op_upload_bytes *bytes, const struct op_upload_bytes_setup *setup) MUST_USE;

/* The get has a piece. */
void op_upload_bytes_piece(struct op_upload_bytes *bytes, const uint8_t *data, size_t len);

/* Durable, and digested if that was asked for. */
static inline bool op_upload_bytes_is_ready(const struct op_upload_bytes *bytes)
{
	return bytes->is_durable && !bytes->first;
}

/* When it is ready: what the index is told of it, but for its ETag and its checksums. */
void op_upload_bytes_describe(const struct op_upload_bytes *bytes, struct command_body *body);

/* Gives the body up; changed() follows when it is over. Does nothing when it is. */
void op_upload_bytes_drop(struct op_upload_bytes *bytes);

/* After a proposal with it, and before its result is cleared: the index has the body or nobody
 * knows, or nothing was made of it. True: it is over now, and changed() does not come. */
bool op_upload_bytes_settle(struct op_upload_bytes *bytes, const struct index_proposal *proposal);

#endif
