/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_RESPONSE_H
#define GATEWAY_RESPONSE_H

#include "gateway/request.h"

/* Pieces of answers that several operations make. */

/* Adds a header to a list of REQUEST_HEADERS_MAX. */
struct response_headers {
	struct http_header list[REQUEST_HEADERS_MAX];
	size_t count;
};

static inline void response_add(
	struct response_headers *headers, const char *name, struct bytes value)
{
	assert(headers->count < REQUEST_HEADERS_MAX);
	headers->list[headers->count++] = (struct http_header){bytes_of(name), value};
}

/* <Owner>: an owner is its own id and display name. */
void response_put_owner(struct text_out *out, struct bytes owner);

/* The ETag with its quotes: "9b2cf535f27731c974343645a3985328-2". */
void response_put_etag(struct text_out *out, const struct etag *etag);

/* 2026-11-21T12:48:16.000Z. */
void response_put_time(struct text_out *out, uint64_t time_ms);

/* A version's id as clients see it: "null", or a v and 24 hexadecimal digits. Without the v it
 * could be a number, and minio-js makes one of what looks so. */
#define RESPONSE_VERSION_LEN 25
void response_put_version(struct text_out *out, struct version_id version, bool is_null);

/* The other way. Errors: ERR_INVALID. */
MUST_USE enum err response_parse_version(
	struct bytes text, struct version_id *ret_version, bool *ret_is_null);

/* The same for the versionId of a request. S3_OK, or S3_INVALID_ARGUMENT with its detail. */
enum s3_code response_read_version(struct request *request, struct bytes text,
	struct version_id *ret_version, bool *ret_is_null) MUST_USE;

/* <Location>: the object's URL, as the client would write it. */
void response_put_location(struct text_out *out, const struct request *request);

#endif
