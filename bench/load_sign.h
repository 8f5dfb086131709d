/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_SIGN_H
#define BENCH_LOAD_SIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/digest/hmac.h"

/* Makes heads of requests, signed with SigV4. One key for the life of the program: it is over
 * before midnight matters. */
struct load_signer {
	const char *address, *id, *region; /* borrowed */
	uint16_t port;
	struct hmac_key key;
	char date[9], amz_date[17];
};

struct load_request {
	const char *method, *path;
	const char *query; /* encoded and sorted; empty: none */
	const char *payload; /* x-amz-content-sha256 */
	bool has_len;
	uint64_t len; /* of the body */
};

/* Derives the key; the fields before it are set. */
void load_signer_start(struct load_signer *signer, const char *secret);

/* Writes the head and returns its length. */
size_t load_sign(const struct load_signer *signer, const struct load_request *request,
	char *ret_head, size_t cap);

#endif
