/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_GET_PLAN_H
#define GATEWAY_OP_GET_PLAN_H

#include "gateway/sse.h"

/* What GetObject and HeadObject are to answer: which version, which bytes of it, which headers. */
struct op_get_plan {
	unsigned status; /* 200 or 206 */
	uint64_t body; /* id */
	uint64_t start, len; /* of the body */
	struct sse_customer customer; /* the key that came; to be wiped */
	struct response_headers headers; /* borrow from here, the request and its notes */
	uint8_t pairs[ROW_META_LEN_MAX]; /* of metadata, copied out of the view */
};

/* Finds a version of a key by the text of a versionId; has_version false: the current one. A delete
 * marker is found too. Under a view, which the object borrows. Returns S3_OK, S3_NO_SUCH_KEY,
 * S3_NO_SUCH_VERSION or S3_INVALID_ARGUMENT with their details, or what the index came to. */
enum s3_code op_get_find_version(struct request *request, uint64_t bucket, struct bytes key,
	bool has_version, struct bytes version_text, struct object_info *ret_object) MUST_USE;

/* The version that a request names by key and versionId, if it is an object and they still have the
 * route's right to it. A delete marker is refused; headers are then what the answer has to say of
 * it. Under a view, as above. Returns what that does, S3_ACCESS_DENIED and S3_METHOD_NOT_ALLOWED.
 */
enum s3_code op_get_find_object(struct request *request, struct response_headers *headers,
	struct object_info *ret_object) MUST_USE;

/* Plans the answer, under a view. With anything but S3_OK the headers are those of the failure. */
enum s3_code op_get_plan(struct request *request, struct op_get_plan *plan) MUST_USE;

#endif
