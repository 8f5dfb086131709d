/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sigv4_chain.h"

#include "gateway/digest/digest.h"
#include "gateway/digest/hex.h"
#include "gateway/text_out.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum { MESSAGE_LEN_MAX = 26 + 17 + SIGV4_SCOPE_LEN_MAX + 1 + 3 * 65 };

void sigv4_chain_init(struct sigv4_chain *chain, const struct sigv4 *auth)
{
	assert(auth->is_verified && auth->scope.len <= SIGV4_SCOPE_LEN_MAX);
	chain->signing_key = auth->signing_key;
	chain->scope_len = auth->scope.len;
	memcpy(chain->scope, auth->scope.data, auth->scope.len);
	memcpy(chain->amz_date, auth->amz_date, sizeof chain->amz_date);
	memcpy(chain->previous, auth->signature, sizeof chain->previous);
}

void sigv4_chain_fini(struct sigv4_chain *chain)
{
	hmac_key_fini(&chain->signing_key);
}

static bool take(struct sigv4_chain *chain, const char *algorithm, const char *middle,
	const uint8_t sha256[SHA256_LEN], const uint8_t signature[SIGV4_SIGNATURE_LEN])
{
	uint8_t message[MESSAGE_LEN_MAX];
	struct text_out out;
	text_out_init(&out, message, sizeof message);
	text_put_text(&out, algorithm);
	text_put_char(&out, '\n');
	text_put(&out, chain->amz_date, sizeof chain->amz_date);
	text_put_char(&out, '\n');
	text_put(&out, chain->scope, chain->scope_len);
	text_put_char(&out, '\n');
	text_put(&out, chain->previous, sizeof chain->previous);
	text_put_char(&out, '\n');
	text_put_text(&out, middle);
	text_put_hex(&out, bytes_make(sha256, SHA256_LEN));
	assert(!out.overflowed);

	uint8_t mac[SHA256_LEN], given[SHA256_LEN];
	hmac_sign(&chain->signing_key, message, out.len, mac);
	if (hex_decode(bytes_make(signature, SIGV4_SIGNATURE_LEN), given, sizeof given) != ERR_OK ||
		!digest_is_equal(mac, given, sizeof mac))
		return false;
	memcpy(chain->previous, signature, sizeof chain->previous);
	return true;
}

bool sigv4_chain_take_chunk(struct sigv4_chain *chain, const uint8_t sha256[SHA256_LEN],
	const uint8_t signature[SIGV4_SIGNATURE_LEN])
{
	return take(chain, "AWS4-HMAC-SHA256-PAYLOAD", EMPTY_SHA256 "\n", sha256, signature);
}

bool sigv4_chain_take_trailer(struct sigv4_chain *chain, const uint8_t sha256[SHA256_LEN],
	const uint8_t signature[SIGV4_SIGNATURE_LEN])
{
	return take(chain, "AWS4-HMAC-SHA256-TRAILER", "", sha256, signature);
}
