/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/hmac.h"

#include <string.h>

#include "gateway/digest/digest.h"

static void take_pad(uint32_t state[SHA256_WORDS], const uint8_t block[HASH_BLOCK_LEN], uint8_t pad)
{
	uint8_t padded[HASH_BLOCK_LEN];
	for (size_t i = 0; i < HASH_BLOCK_LEN; i++)
		padded[i] = block[i] ^ pad;
	blocks_init_sha256(state);
	blocks_sha256(state, padded, 1);
	explicit_bzero(padded, sizeof padded);
}

void hmac_key_init(struct hmac_key *key, const void *secret, size_t secret_len)
{
	uint8_t block[HASH_BLOCK_LEN] = {0};
	if (secret_len > HASH_BLOCK_LEN)
		digest_sha256(secret, secret_len, block);
	else if (secret_len > 0)
		memcpy(block, secret, secret_len);
	take_pad(key->inner, block, 0x36);
	take_pad(key->outer, block, 0x5c);
	explicit_bzero(block, sizeof block);
}

void hmac_key_fini(struct hmac_key *key)
{
	explicit_bzero(key, sizeof *key);
}

void hmac_sign(const struct hmac_key *key, const void *message, size_t message_len,
	uint8_t ret_mac[SHA256_LEN])
{
	uint32_t state[SHA256_WORDS];
	uint8_t inner[SHA256_LEN];
	size_t tail_len = message_len % HASH_BLOCK_LEN;
	const uint8_t *tail = message_len > 0 ? (const uint8_t *)message + message_len - tail_len
					      : NULL;

	memcpy(state, key->inner, sizeof state);
	if (message_len >= HASH_BLOCK_LEN)
		blocks_sha256(state, message, message_len / HASH_BLOCK_LEN);
	blocks_final_sha256(state, tail, tail_len, HASH_BLOCK_LEN + message_len, inner);
	memcpy(state, key->outer, sizeof state);
	blocks_final_sha256(state, inner, sizeof inner, HASH_BLOCK_LEN + sizeof inner, ret_mac);
}

void hmac_sign_once(const void *secret, size_t secret_len, const void *message, size_t message_len,
	uint8_t ret_mac[SHA256_LEN])
{
	struct hmac_key key;
	hmac_key_init(&key, secret, secret_len);
	hmac_sign(&key, message, message_len, ret_mac);
	hmac_key_fini(&key);
}
