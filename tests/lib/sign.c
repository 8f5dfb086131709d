/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sign.h"

#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/lib/test.h"

#define HASH_LEN SHA256_DIGEST_LENGTH

static void to_hex(const uint8_t *data, size_t len, char *ret_text)
{
	for (size_t i = 0; i < len; i++)
		snprintf(ret_text + 2 * i, 3, "%02x", data[i]);
}

static void hash_hex(const void *data, size_t len, char *ret_text)
{
	uint8_t hash[HASH_LEN];
	SHA256(data, len, hash);
	to_hex(hash, sizeof hash, ret_text);
}

static void mac(const void *key, size_t key_len, const char *text, uint8_t *ret_mac)
{
	unsigned len = HASH_LEN;
	HMAC(EVP_sha256(), key, key_len, (const uint8_t *)text, strlen(text), ret_mac, &len);
}

/* Of "name=value", by name and then by value: a name comes before those that it begins. */
static int compare_text(const void *a, const void *b)
{
	const char *left = *(char *const *)a, *right = *(char *const *)b;
	size_t left_len = strcspn(left, "="), right_len = strcspn(right, "=");
	int order = bytes_compare(bytes_make(left, left_len), bytes_make(right, right_len));
	return order ? order : strcmp(left + left_len, right + right_len);
}

static int compare_headers(const void *a, const void *b)
{
	const struct http_header *left = a, *right = b;
	return bytes_compare(left->name, right->name);
}

/* "name" becomes "name=", and all are sorted. */
static void put_query(FILE *out, const char *query)
{
	char *copy = strdup(query), *list[64];
	size_t count = 0;
	for (char *rest = copy, *one; (one = strsep(&rest, "&"));) {
		ck_assert_int_ge(
			asprintf(&list[count], "%s%s", one, strchr(one, '=') ? "" : "="), 0);
		count++;
	}
	qsort(list, count, sizeof *list, compare_text);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "%s%s", i > 0 ? "&" : "", list[i]);
		free(list[i]);
	}
	free(copy);
}

/* The canonical request; the names of the headers also go to ret_names. */
static char *canonical(const struct fake_exchange *fake, const char *payload, char *ret_names)
{
	struct http_header headers[FAKE_HEADERS_MAX];
	const char *target = (const char *)fake->x.target.data;
	const char *query = strchr(target, '?');
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fprintf(out, "%s\n%.*s\n", (const char *)fake->x.method_name.data,
		(int)(query ? query - target : (long)strlen(target)), target);
	if (query)
		put_query(out, query + 1);
	fprintf(out, "\n");
	memcpy(headers, fake->headers, sizeof headers);
	qsort(headers, fake->x.header_count, sizeof *headers, compare_headers);
	ret_names[0] = '\0';
	for (size_t i = 0; i < fake->x.header_count; i++) {
		const char *name = (const char *)headers[i].name.data;
		fprintf(out, "%s:%s\n", name, (const char *)headers[i].value.data);
		size_t at = strlen(ret_names);
		snprintf(ret_names + at, 2048 - at, "%s%s", i > 0 ? ";" : "", name);
	}
	fprintf(out, "\n%s\n%s", ret_names, payload);
	fclose(out);
	return text;
}

static void signature(const struct sign *sign, const char *day, const char *to_sign, char *ret_text)
{
	uint8_t key[HASH_LEN];
	char secret[256];
	snprintf(secret, sizeof secret, "AWS4%s", sign->secret);
	mac(secret, strlen(secret), day, key);
	mac(key, sizeof key, sign->region, key);
	mac(key, sizeof key, "s3", key);
	mac(key, sizeof key, "aws4_request", key);
	mac(key, sizeof key, to_sign, key);
	to_hex(key, sizeof key, ret_text);
}

void sign_request(struct fake_exchange *fake, const struct sign *sign, const char *payload)
{
	char date[32], day[16], body_hash[2 * HASH_LEN + 1], request_hash[2 * HASH_LEN + 1];
	char names[2048], to_sign[512], text[2 * HASH_LEN + 1], value[4096];
	time_t now = sign->wall_ms / 1000;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", &tm);
	strftime(day, sizeof day, "%Y%m%d", &tm);
	hash_hex(fake->body.data, fake->body.len, body_hash);
	if (!payload)
		payload = body_hash;
	fake_exchange_header(fake, "host", "s3.test:9000");
	fake_exchange_header(fake, "x-amz-date", date);
	fake_exchange_header(fake, "x-amz-content-sha256", payload);

	char *request = canonical(fake, payload, names);
	hash_hex(request, strlen(request), request_hash);
	free(request);
	snprintf(to_sign, sizeof to_sign, "AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s", date,
		day, sign->region, request_hash);
	signature(sign, day, to_sign, text);
	snprintf(value, sizeof value,
		"AWS4-HMAC-SHA256 Credential=%s/%s/%s/s3/aws4_request,SignedHeaders=%s,"
		"Signature=%s",
		sign->key_id, day, sign->region, names, text);
	fake_exchange_header(fake, "authorization", value);
}
