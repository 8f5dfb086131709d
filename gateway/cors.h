/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CORS_H
#define GATEWAY_CORS_H

#include "gateway/request.h"

/* Cross-origin requests of browsers: which rule of a bucket a request falls under, and what it is
 * told. Rules are what bucket_rules_cors() gives.
 *
 * (K1) Headers of CORS grant nothing: they tell a browser who may see an answer that is the same
 *      without them. So they are on errors, too, and on what is not signed.
 * (K2) An answer of a bucket that has rules varies with the origin, whether one was named or not.
 */
enum cors_method { /* a set */
	CORS_GET = 1 << 0,
	CORS_PUT = 1 << 1,
	CORS_HEAD = 1 << 2,
	CORS_POST = 1 << 3,
	CORS_DELETE = 1 << 4,
};

struct cors_match {
	bool is_any_origin; /* the rule allows "*": that is what is told, and no credentials */
	unsigned methods; /* of the rule */
	struct bytes items; /* the rule's, for bucket_config_cors_next() */
};

/* The first rule that allows an origin the method and, of a preflight, all headers of a list
 * ("a, b"; data NULL: none were asked for). False: none. */
bool cors_find(struct bytes cors, struct bytes origin, struct bytes method, struct bytes headers,
	struct cors_match *ret_match);

/* Looks up what the headers below are made of, for an answer that comes before the bucket was
 * looked up: nothing becomes of it but headers. Under a view. */
void cors_prepare(struct request *request);

/* Answers an OPTIONS request after cors_prepare(). */
void cors_answer_preflight(struct request *request);

/* Adds what any other answer says, to a list with room for CORS_HEADERS_MAX; texts are made in
 * buf. */
#define CORS_HEADERS_MAX 6
#define CORS_TEXT_LEN 3072
void cors_add_headers(
	const struct request *request, uint8_t *buf, struct http_header *headers, size_t *count);

#endif
