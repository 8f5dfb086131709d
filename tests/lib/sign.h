/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIGN_H
#define TESTS_LIB_SIGN_H

#include "tests/lib/fake_exchange.h"

/* A signer of requests by AWS Signature Version 4, of its own, on OpenSSL: an oracle for
 * gateway/sigv4.c. */
struct sign {
	const char *key_id, *secret, *region;
	int64_t wall_ms;
};

/* Adds Host, x-amz-date, x-amz-content-sha256 and Authorization, and signs all headers. payload is
 * the value of x-amz-content-sha256; NULL: the digest of the body. The target's path and its
 * query's names and values must be in canonical escapes; the order of the query does not matter. */
void sign_request(struct fake_exchange *fake, const struct sign *sign, const char *payload);

#endif
