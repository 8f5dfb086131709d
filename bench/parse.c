/* SPDX-License-Identifier: Apache-2.0 */
/* What does the text of S3 cost: checking a signature, a row of a listing, an aws-chunked MiB?
 * Prints "name value unit". */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/chunked.h"
#include "gateway/digest/hex.h"
#include "gateway/listing.h"
#include "gateway/policy.h"
#include "gateway/s3_time.h"
#include "gateway/sigv4.h"
#include "gateway/xml_out.h"

enum { NOW_S = 1767225600, ROUNDS = 5, ROWS = 1000 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Seconds per call, the best of some runs of 20 ms. */
static double cost(void (*call)(void))
{
	double best = 1e9;
	for (int i = 0; i < ROUNDS; i++) {
		double start = now(), took;
		unsigned count = 0;
		do {
			call();
			count++;
			took = now() - start;
		} while (took < 0.02);
		if (took / count < best)
			best = took / count;
	}
	return best;
}

static void print(const char *name, double value, const char *unit)
{
	printf("%-40s %10.3f %s\n", name, value, unit);
}

/* --- a signature: the headers of a small PUT by an SDK ---------------------------------------- */

static struct http_header headers[] = {
	{{(const uint8_t *)"host", 4}, {(const uint8_t *)"s3.example.com:9000", 19}},
	{{NULL, 0}, {NULL, 0}},
	{{NULL, 0}, {NULL, 0}},
	{{NULL, 0}, {NULL, 0}},
	{{NULL, 0}, {NULL, 0}},
	{{NULL, 0}, {NULL, 0}},
	{{NULL, 0}, {NULL, 0}},
	{{NULL, 0}, {NULL, 0}},
};
static char authorization[512];
static struct sigv4_keys *keys;
static struct query query;
static struct sigv4_request request;
static const struct sigv4_settings settings = {.region_is_strict = false};
static struct bytes secret;
static struct sigv4 auth;

static enum s3_code check_signature(void)
{
	struct s3_error_detail detail;
	s3_error_detail_init(&detail);
	enum s3_code code = sigv4_parse(&request, &settings, NOW_S, &auth, &detail);
	return code == S3_OK ? sigv4_verify(&auth, &request, &secret, keys, &detail) : code;
}

static void set_header(size_t i, const char *name, const char *value)
{
	headers[i] = (struct http_header){bytes_of(name), bytes_of(value)};
}

static void set_authorization(const char *signature)
{
	snprintf(authorization, sizeof authorization,
		"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/s3/aws4_request, "
		"SignedHeaders=content-type;host;if-none-match;x-amz-checksum-crc32;"
		"x-amz-content-sha256;x-amz-date, Signature=%s",
		signature);
	set_header(7, "authorization", authorization);
}

/* Signs the request with what the refusal explains. */
static void sign(void)
{
	static uint8_t buf[SIGV4_EXPLAIN_LEN];
	char signature[SIGV4_SIGNATURE_LEN + 1];
	uint8_t mac[SHA256_LEN];
	struct hmac_key key;
	struct s3_error_detail detail;
	must(check_signature() == S3_SIGNATURE_DOES_NOT_MATCH);
	s3_error_detail_init(&detail);
	sigv4_explain(&auth, &request, buf, sizeof buf, &detail);
	struct bytes text = detail.fields[0].value; /* StringToSign is the first */
	sigv4_keys_find(NULL, auth.access_key_id, secret, auth.scope, &key);
	hmac_sign(&key, text.data, text.len, mac);
	hex_encode(mac, sizeof mac, signature);
	set_authorization(signature);
	must(check_signature() == S3_OK);
}

static void verify_cached(void)
{
	must(check_signature() == S3_OK);
}

static void verify_derived(void)
{
	struct sigv4_keys *cached = keys;
	keys = NULL;
	must(check_signature() == S3_OK);
	keys = cached;
}

static void measure_sigv4(void)
{
	keys = calloc(1, sizeof *keys);
	sigv4_keys_init(keys);
	secret = bytes_of("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
	request = (struct sigv4_request){
		.method = bytes_of("PUT"),
		.path = bytes_of(
			"/datastore/.chunks/0123/"
			"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
		.query = &query,
		.headers = headers,
		.header_count = ARRAY_COUNT(headers),
	};
	set_header(1, "content-type", "application/octet-stream");
	set_header(2, "if-none-match", "*");
	set_header(3, "x-amz-checksum-crc32", "AAAAAA==");
	set_header(4, "x-amz-content-sha256",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	set_header(5, "x-amz-date", "20260101T000000Z");
	set_header(6, "user-agent", "an SDK with a long name for itself");
	set_authorization("0000000000000000000000000000000000000000000000000000000000000000");
	sign();
	print("sigv4 parse and verify, key cached", cost(verify_cached) * 1e6, "us");
	print("sigv4 parse and verify, key derived", cost(verify_derived) * 1e6, "us");
	sigv4_keys_fini(keys);
	free(keys);
}

/* --- policies --------------------------------------------------------------------------------- */

static const char policy_json[] =
	"{\"Version\":\"2012-10-17\",\"Statement\":["
	"{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":["
	"\"arn:aws:s3:::garden\",\"arn:aws:s3:::garden/*\"],\"Condition\":{\"Bool\":{"
	"\"aws:SecureTransport\":\"false\"}}},"
	"{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"bob\",\"eve\"]},\"Action\":["
	"\"s3:GetObject\",\"s3:PutObject\"],\"Resource\":\"arn:aws:s3:::garden/home/"
	"${aws:username}/*\"}]}";
static struct policy *policy;

static bool policy_value(const struct policy_request *asked, enum policy_key key, struct bytes name,
	uint8_t *buf, struct bytes *ret_value)
{
	(void)name;
	(void)buf;
	*ret_value = key == POLICY_KEY_SECURE_TRANSPORT ? bytes_of("true") : asked->owner;
	return true;
}

static void compile_policy(void)
{
	const char *why;
	policy_free(policy);
	must(policy_parse(POLICY_OF_BUCKET, bytes_of(policy_json), bytes_of("garden"), &policy,
		     &why) == ERR_OK);
}

static void evaluate_policy(void)
{
	struct policy_request asked = {
		.owner = bytes_of("bob"),
		.action = "s3:PutObject",
		.bucket = bytes_of("garden"),
		.key = bytes_of("home/bob/0123456789abcdef0123456789abcdef/0123456789abcdef"),
		.value = policy_value,
	};
	must(policy_evaluate(policy, &asked) == POLICY_ALLOW);
}

static void measure_policies(void)
{
	print("policy of two statements compiled", cost(compile_policy) * 1e6, "us");
	print("policy of two statements evaluated", cost(evaluate_policy) * 1e6, "us");
	policy_free(policy);
}

/* --- rows of a listing ------------------------------------------------------------------------ */

static char row_keys[ROWS][100];
static struct listing_cursor cursor;
static size_t cursor_at;
static uint8_t page[1 << 20];

static enum err arrive(size_t at)
{
	cursor_at = at;
	if (at >= ROWS)
		return ERR_NOT_FOUND;
	cursor.key = bytes_make(row_keys[at], sizeof row_keys[at] - 1);
	return ERR_OK;
}

static enum err seek(struct listing_cursor *of, struct bytes key)
{
	(void)of;
	(void)key;
	return arrive(0);
}

static enum err next(struct listing_cursor *of)
{
	(void)of;
	return arrive(cursor_at + 1);
}

static void write_row(struct text_out *out, struct bytes key)
{
	uint8_t date[S3_TIME_ISO8601_LEN];
	s3_time_format_iso8601((uint64_t)NOW_S * 1000 + cursor_at, date);
	text_put_text(out, "<Contents><Key>");
	xml_put(out, key);
	text_put_text(out, "</Key><LastModified>");
	text_put(out, date, sizeof date);
	text_put_text(out, "</LastModified><ETag>\"");
	text_put_hex(out, bytes_make(row_keys[0], 16));
	text_put_text(out, "\"</ETag><Size>");
	text_put_uint(out, 4194304 + cursor_at);
	text_put_text(out, "</Size><StorageClass>STANDARD</StorageClass></Contents>");
}

static void write_page(void)
{
	struct listing listing;
	struct listing_item item;
	struct text_out out;
	size_t count = 0;
	text_out_init(&out, page, sizeof page);
	listing_init(&listing, &cursor, bytes_of(""), bytes_of("|"), ROWS);
	while (listing_next(&listing, &item) == ERR_OK) {
		write_row(&out, item.key);
		count++;
	}
	must(count == ROWS && !out.overflowed);
}

static void measure_listing(void)
{
	cursor = (struct listing_cursor){.seek = seek, .next = next};
	for (size_t i = 0; i < ROWS; i++)
		snprintf(row_keys[i], sizeof row_keys[i], "store/.chunks/%04zx/%078zx", i, i);
	print("listing and XML", ROWS / cost(write_page) * 1e-6, "Mrows/s");
}

/* --- aws-chunked ------------------------------------------------------------------------------ */

static uint8_t body[(1 << 20) + 32];
static size_t body_len;

static void decode_body(void)
{
	struct chunked decoder;
	struct s3_error_detail detail;
	struct sigv4 unsigned_auth = {
		.is_anonymous = true, .payload = SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER};
	struct bytes payload;
	size_t used, at = 0;
	enum chunked_event event;
	s3_error_detail_init(&detail);
	must(chunked_init(&decoder, &unsigned_auth, 1 << 20, bytes_of(""), &detail) == S3_OK);
	do {
		event = chunked_feed(&decoder, body + at, body_len - at, &used, &payload);
		at += used;
	} while (event != CHUNKED_END);
	chunked_fini(&decoder);
}

int main(void)
{
	measure_sigv4();
	measure_policies();
	measure_listing();
	memcpy(body, "100000\r\n", 8);
	memcpy(body + 8 + (1 << 20), "\r\n0\r\n\r\n", 7);
	body_len = 8 + (1 << 20) + 7;
	print("aws-chunked, a body of 1 MiB", cost(decode_body) * 1e6, "us");
	return 0;
}
