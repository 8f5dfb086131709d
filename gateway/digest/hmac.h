/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_HMAC_H
#define GATEWAY_DIGEST_HMAC_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/digest/blocks.h"

/* HMAC-SHA256. A key is kept as the two states that it leads to, so that a short message costs its
 * own blocks and one more. A secret: to be wiped with hmac_key_fini(). May be copied. */
struct hmac_key {
	uint32_t inner[SHA256_WORDS];
	uint32_t outer[SHA256_WORDS];
};

/* Keys may have any length. key is borrowed for the call. */
void hmac_key_init(struct hmac_key *key, const void *secret, size_t secret_len);

/* Wipes the key. */
void hmac_key_fini(struct hmac_key *key);

void hmac_sign(const struct hmac_key *key, const void *message, size_t message_len,
	uint8_t ret_mac[SHA256_LEN]);

/* Both steps for a key that is used once. */
void hmac_sign_once(const void *secret, size_t secret_len, const void *message, size_t message_len,
	uint8_t ret_mac[SHA256_LEN]);

#endif
