/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SIGV4_SIGN_H
#define GATEWAY_SIGV4_SIGN_H

#include "gateway/sigv4.h"

/* Who sends a request of our own to another service of S3. */
struct sigv4_signer {
	struct bytes access_key_id;
	struct bytes secret; /* at most SIGV4_SECRET_LEN_MAX */
	struct bytes region; /* at most SIGV4_SIGN_REGION_LEN_MAX */
};

enum {
	SIGV4_SIGN_REGION_LEN_MAX = 64,
	SIGV4_SIGN_HEADER_NAMES_LEN_MAX = 1024, /* of all names, with a byte more for each */
};

/* Writes the value of the Authorization header of a request, as Signature Version 4 has it. All
 * headers of the request are signed; they are sorted by name, each name once, and among them are
 * host, x-amz-date (whose value is time_s) and x-amz-content-sha256. */
void sigv4_sign(const struct sigv4_signer *signer, const struct sigv4_request *request,
	uint64_t time_s, struct text_out *out);

#endif
