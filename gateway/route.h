/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include "gateway/exchange.h"
#include "gateway/query.h"
#include "gateway/s3_error.h"
#include "gateway/uri.h"

/* Routes: which operation a request asks for. route_table.c has them all, also those that are
 * refused; docs/S3.md is printed from it.
 *
 * (R1) A request has one route or none. What it names beyond method and resource are sub-resources:
 *      the query parameters that any route of its scope names. All of a route's must be there, and
 *      none that the route does not know. So a sub-resource that we do not serve is never taken for
 *      the plain operation (PUT /b/k?torrent does not store an object).
 * (R2) Other query parameters choose nothing.
 */
enum route_scope {
	ROUTE_SERVICE,
	ROUTE_BUCKET,
	ROUTE_OBJECT,
};

enum route_support {
	ROUTE_YES,
	ROUTE_STUB, /* answers, as a service does that does not use the feature */
	ROUTE_NO,
};

enum route_body {
	ROUTE_BODY_NONE, /* not read */
	ROUTE_BODY_XML, /* a small document that the handler reads */
	ROUTE_BODY_PAYLOAD, /* the bytes of an object or part */
};

enum route_flags {
	ROUTE_BUCKET_MUST_BE = 1 << 0, /* request->bucket is looked up, or NoSuchBucket */
	ROUTE_WRITE = 1 << 1,
	ROUTE_CHECKSUM = 1 << 2, /* the body must come with an MD5, a checksum or a signed digest */
	ROUTE_OBJECT_CHECKSUM = 1 << 3, /* x-amz-checksum-* is the object's, not the body's */
	ROUTE_FORM = 1 << 5, /* who may is said by its body: request_admit_form() */
	ROUTE_FREES = 1 << 4, /* with ROUTE_WRITE: served also when the index may not grow */
};

#define ROUTE_PARAMS_MAX 2

struct request;

struct route {
	const char *operation; /* as AWS names it: "PutObject" */
	const char *action; /* of policies: "s3:PutObject" */
	enum http_method method;
	enum route_scope scope;
	const char *params[ROUTE_PARAMS_MAX]; /* sub-resources, "name" or "name=value" */
	const char *optional; /* one that may be there too */
	const char *header; /* must be there; NULL: none */
	const char *without_header; /* must not be there */
	enum route_support support;
	enum route_body body;
	unsigned flags;
	void (*start)(struct request *request); /* NULL: refused with `refusal` */
	enum s3_code refusal;
	const char *document; /* of op_stub_document() */
	uint8_t config; /* enum bucket_config, of op_bucket_config_*() */
	enum s3_code missing; /* the same: it is not set */
	const char *legacy; /* an older name of the same requests */
	const char *note; /* for docs/S3.md */
};

/* The route of a request. Returns S3_OK; S3_METHOD_NOT_ALLOWED, no operation has this method with
 * these sub-resources; S3_INVALID_REQUEST, sub-resources that exclude each other;
 * S3_INVALID_ARGUMENT, one with a value it cannot have. */
enum s3_code route_find(enum http_method method, enum route_scope scope, const struct query *query,
	const struct http_header *headers, size_t header_count,
	const struct route **ret_route) MUST_USE;

/* All routes, in the order of docs/S3.md. */
extern const struct route route_table[];
extern const size_t route_count;

static inline size_t route_index(const struct route *route)
{
	return route - route_table;
}

#endif
