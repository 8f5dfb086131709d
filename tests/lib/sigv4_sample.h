/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIGV4_SAMPLE_H
#define TESTS_LIB_SIGV4_SAMPLE_H

#include "gateway/sigv4.h"

/* Requests in the form of tests/s3/sigv4_vectors.py: "METHOD TARGET TIME", a line "name:value" for
 * each header, an empty line. */
enum { SIGV4_SAMPLE_HEADERS_MAX = 40 };

/* One request with what its struct borrows. */
struct sigv4_sample {
	struct sigv4_request request;
	uint64_t now_s;
	struct bytes target;
	struct query query;
	uint8_t query_buf[4096];
	struct http_header headers[SIGV4_SAMPLE_HEADERS_MAX];
};

/* Takes a request off a text, which it borrows. Says if it is one. */
bool sigv4_sample_take(struct bytes *text, struct sigv4_sample *sample);

/* The secret of one of the two keys that sign them, or NULL. */
const char *sigv4_sample_secret(struct bytes key_id);

#endif
