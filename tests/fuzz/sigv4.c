/* SPDX-License-Identifier: Apache-2.0 */
/* Requests in the form of tests/s3/sigv4_vectors.py: "METHOD TARGET TIME", headers, empty line.
 * Nobody but the holder of the secret may get in: an accepted request has the signature that this
 * computes from the explanation of a refused one. */
#include "gateway/sigv4.h"

#include <stdlib.h>

#include "gateway/digest/hex.h"
#include "gateway/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { INPUT_MAX = 8192, HEADERS_MAX = 32 };

static uint8_t query_buf[INPUT_MAX], explain_buf[64 * 1024];
static struct query query;
static struct http_header headers[HEADERS_MAX];
static struct sigv4_request request;
static struct sigv4 auth;
static struct s3_error_detail detail;

static void check(bool holds)
{
	if (!holds)
		abort();
}

static struct bytes take_until(struct bytes *text, char end)
{
	const uint8_t *found = text->len > 0 ? memchr(text->data, end, text->len) : NULL;
	struct bytes taken = {text->data, found ? (size_t)(found - text->data) : text->len};
	*text = bytes_from(*text, found ? taken.len + 1 : taken.len);
	return taken;
}

static bool read_request(struct bytes text, uint64_t *ret_now_s)
{
	struct uri uri;
	struct bytes line = take_until(&text, '\n');
	request.method = take_until(&line, ' ');
	struct bytes target = take_until(&line, ' ');
	*ret_now_s = 0;
	for (size_t i = 0; i < line.len; i++)
		*ret_now_s = (*ret_now_s * 10 + (line.data[i] & 15)) % 253402300800;
	if (uri_split(target, &uri) != ERR_OK ||
		query_parse(uri.query, query_buf, sizeof query_buf, &query) != ERR_OK)
		return false;
	request.path = uri.path;
	request.query = &query;
	request.headers = headers;
	request.header_count = 0;
	while (text.len > 0 && request.header_count < HEADERS_MAX) {
		line = take_until(&text, '\n');
		struct http_header *header = &headers[request.header_count++];
		header->name = take_until(&line, ':');
		header->value = line;
	}
	return true;
}

/* The signature of a request whose canonical form is the one explained. */
static void sign_again(char ret_signature[SIGV4_SIGNATURE_LEN + 1])
{
	uint8_t mac[SHA256_LEN];
	struct hmac_key key;
	sigv4_explain(&auth, &request, explain_buf, sizeof explain_buf, &detail);
	for (size_t i = 0; i < detail.field_count; i++) {
		if (strcmp(detail.fields[i].name, "StringToSign") != 0)
			continue;
		struct bytes text = detail.fields[i].value;
		sigv4_keys_find(NULL, auth.access_key_id, bytes_of("secret"), auth.scope, &key);
		hmac_sign(&key, text.data, text.len, mac);
		hex_encode(mac, sizeof mac, ret_signature);
		return;
	}
	check(false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint64_t now_s;
	if (len > INPUT_MAX || !read_request(bytes_make(data, len), &now_s))
		return 0;
	const struct sigv4_settings settings = {.region = bytes_of("rubus")};
	const struct bytes secret = bytes_of("secret");
	s3_error_detail_init(&detail);
	enum s3_code code = sigv4_parse(&request, &settings, now_s, &auth, &detail);
	if (code != S3_OK || auth.is_anonymous)
		return 0;
	check(auth.access_key_id.len > 0 && auth.signed_headers.len > 0);

	char signature[SIGV4_SIGNATURE_LEN + 1];
	struct sigv4_request original = request;
	sign_again(signature);
	code = sigv4_verify(&auth, &original, &secret, NULL, &detail);
	check((code == S3_OK) == (memcmp(signature, auth.signature, SIGV4_SIGNATURE_LEN) == 0));
	memcpy(auth.signature, signature, SIGV4_SIGNATURE_LEN);
	check(sigv4_verify(&auth, &original, &secret, NULL, &detail) == S3_OK);
	check(sigv4_verify(&auth, &original, NULL, NULL, &detail) == S3_INVALID_ACCESS_KEY_ID);
	auth.signature[now_s % SIGV4_SIGNATURE_LEN] ^= 1;
	check(sigv4_verify(&auth, &original, &secret, NULL, &detail) != S3_OK);
	return 0;
}
