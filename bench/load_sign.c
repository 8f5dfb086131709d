/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load_sign.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gateway/digest/digest.h"
#include "gateway/digest/hex.h"

#define HEADERS "host;x-amz-content-sha256;x-amz-date"

static void hmac(const void *key, size_t key_len, const char *text, uint8_t *ret_digest)
{
	struct hmac_key hmac_key;
	hmac_key_init(&hmac_key, key, key_len);
	hmac_sign(&hmac_key, text, strlen(text), ret_digest);
}

void load_signer_start(struct load_signer *signer, const char *secret)
{
	time_t now = time(NULL);
	struct tm tm;
	gmtime_r(&now, &tm);
	strftime(signer->date, sizeof signer->date, "%Y%m%d", &tm);
	strftime(signer->amz_date, sizeof signer->amz_date, "%Y%m%dT%H%M%SZ", &tm);
	char start[256];
	uint8_t a[SHA256_LEN], b[SHA256_LEN];
	int len = snprintf(start, sizeof start, "AWS4%s", secret);
	assert(len < (int)sizeof start);
	hmac(start, len, signer->date, a);
	hmac(a, sizeof a, signer->region, b);
	hmac(b, sizeof b, "s3", a);
	hmac(a, sizeof a, "aws4_request", b);
	hmac_key_init(&signer->key, b, sizeof b);
}

static void make_signature(
	const struct load_signer *signer, const struct load_request *request, char *ret_text)
{
	char canonical[2048], to_sign[512], hash[2 * SHA256_LEN + 1];
	uint8_t digest[SHA256_LEN];
	int len = snprintf(canonical, sizeof canonical,
		"%s\n%s\n%s\nhost:%s:%u\nx-amz-content-sha256:%s\nx-amz-date:%s\n\n" HEADERS "\n%s",
		request->method, request->path, request->query, signer->address, signer->port,
		request->payload, signer->amz_date, request->payload);
	assert(len < (int)sizeof canonical);
	digest_sha256(canonical, len, digest);
	hex_encode(digest, sizeof digest, hash);
	len = snprintf(to_sign, sizeof to_sign, "AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s",
		signer->amz_date, signer->date, signer->region, hash);
	hmac_sign(&signer->key, to_sign, len, digest);
	hex_encode(digest, sizeof digest, ret_text);
}

size_t load_sign(const struct load_signer *signer, const struct load_request *request,
	char *ret_head, size_t cap)
{
	char signature[2 * SHA256_LEN + 1], content[64] = "";
	make_signature(signer, request, signature);
	if (request->has_len)
		snprintf(content, sizeof content, "Content-Length: %" PRIu64 "\r\n", request->len);
	size_t len = snprintf(ret_head, cap,
		"%s %s%s%s HTTP/1.1\r\nHost: %s:%u\r\n%sx-amz-content-sha256: %s\r\n"
		"x-amz-date: %s\r\nAuthorization: AWS4-HMAC-SHA256 Credential=%s/%s/%s/s3/"
		"aws4_request,SignedHeaders=" HEADERS ",Signature=%s\r\n\r\n",
		request->method, request->path, request->query[0] ? "?" : "", request->query,
		signer->address, signer->port, content, request->payload, signer->amz_date,
		signer->id, signer->date, signer->region, signature);
	assert(len < cap);
	return len;
}
