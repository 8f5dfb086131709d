/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_PUT_H
#define GATEWAY_OP_PUT_H

#include "gateway/body.h"
#include "gateway/response.h"

/* PutObject: the route's start(). */
void op_put_start(struct request *request);

/* Receives a body, in advance(), and calls propose() when it is durable and request->text is there;
 * true: what propose() proposed is under way. What fails is answered. */
bool op_put_receive(
	struct request *request, struct body *body, enum err (*propose)(struct request *request));

/* Headers of answers that several writes give. Values are noted in the request. */
void op_put_add_etag(
	struct request *request, struct response_headers *headers, const struct etag *etag);

/* The version made, where the bucket has versions at all. */
void op_put_add_version(struct request *request, struct response_headers *headers,
	struct version_id version, bool is_null);

/* The value of a checksum, and its type if asked for. Nothing for CHECKSUM_NONE. */
void op_put_add_checksum(struct request *request, struct response_headers *headers,
	const struct checksum *checksum, uint32_t part_count, bool with_type);

#endif
