/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SIGV4_CHAIN_H
#define GATEWAY_SIGV4_CHAIN_H

#include "gateway/sigv4.h"

/* The chain of signatures over the chunks of a body, each signed with the one before it. */
struct sigv4_chain {
	struct hmac_key signing_key;
	size_t scope_len;
	uint8_t scope[SIGV4_SCOPE_LEN_MAX];
	uint8_t amz_date[SIGV4_AMZ_DATE_LEN];
	uint8_t previous[SIGV4_SIGNATURE_LEN];
};

/* Starts the chain at the signature of a verified request; copies all it needs. */
void sigv4_chain_init(struct sigv4_chain *chain, const struct sigv4 *auth);

/* Wipes the signing key. */
void sigv4_chain_fini(struct sigv4_chain *chain);

/* Is this the signature (in hexadecimal) of the next chunk, or of the trailer, with that digest?
 * If so, the chain goes on from it. */
bool sigv4_chain_take_chunk(struct sigv4_chain *chain, const uint8_t sha256[SHA256_LEN],
	const uint8_t signature[SIGV4_SIGNATURE_LEN]) MUST_USE;
bool sigv4_chain_take_trailer(struct sigv4_chain *chain, const uint8_t sha256[SHA256_LEN],
	const uint8_t signature[SIGV4_SIGNATURE_LEN]) MUST_USE;

#endif
