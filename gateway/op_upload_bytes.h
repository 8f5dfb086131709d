/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_UPLOAD_BYTES_H
#define GATEWAY_OP_UPLOAD_BYTES_H

#include "storage/object/get.h"
#include "storage/object/put.h"

/* A range of a body copied byte by byte into a body of its own: for a part that cannot refer to its
 * source, because that one is made of slices of slices already. */
struct op_upload_bytes {
	struct get *get; /* borrowed: started by the owner */
	struct put put;
	const uint8_t *piece; /* of the get, which it gets back when all is copied */
	size_t piece_len;
	bool is_put_active;
	bool is_durable;
	bool is_discarding;
	enum err err; /* the put's */
	void *owner;
	void (*changed)(struct op_upload_bytes *bytes); /* durable, failed or over */
};

/* Begins the body; owner was set before. Errors are those of put_start(). */
MUST_USE enum err op_upload_bytes_start(struct op_upload_bytes *bytes,
	const struct put_setup *setup, struct get *get,
	void (*changed)(struct op_upload_bytes *bytes));

/* The get has a piece. */
void op_upload_bytes_piece(struct op_upload_bytes *bytes, const uint8_t *data, size_t len);

/* Gives the body up; changed() follows when it is over. Does nothing when it is. */
void op_upload_bytes_drop(struct op_upload_bytes *bytes);

/* The index has the body, or nobody knows. */
void op_upload_bytes_take(struct op_upload_bytes *bytes);

#endif
