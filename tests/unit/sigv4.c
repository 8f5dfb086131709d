/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sigv4.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/sigv4_sample.h"
#include "tests/lib/test.h"

static struct bytes vectors;
static struct sigv4_keys keys;
static struct s3_error_detail detail;
static struct sigv4 auth;
static const struct sigv4_settings lenient = {.region = {(const uint8_t *)"rubus", 5}};

static enum s3_code parse(const struct sigv4_sample *sample)
{
	s3_error_detail_init(&detail);
	return sigv4_parse(&sample->request, &lenient, sample->now_s, &auth, &detail);
}

static enum s3_code verify(const struct sigv4_sample *sample)
{
	enum s3_code code = parse(sample);
	if (code != S3_OK)
		return code;
	if (auth.is_anonymous)
		return S3_ACCESS_DENIED;
	const char *text = sigv4_sample_secret(auth.access_key_id);
	struct bytes secret = bytes_of(text ? text : "");
	return sigv4_verify(&auth, &sample->request, text ? &secret : NULL, &keys, &detail);
}

static struct sigv4_sample sample;

static void load(const char *text)
{
	struct bytes bytes = bytes_of(text);
	ck_assert(sigv4_sample_take(&bytes, &sample));
}

#define SCOPE "20260101/rubus/s3/aws4_request"
#define AUTHORIZATION "authorization:AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" SCOPE ","
#define SIGNATURE "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024"
#define HEAD "GET /b/k 1767225600\nhost:h\nx-amz-date:20260101T000000Z\n"
#define UNSIGNED "x-amz-content-sha256:UNSIGNED-PAYLOAD\n"

static const struct http_header *header_of(const struct sigv4_sample *of, const char *name)
{
	for (size_t i = 0; i < of->request.header_count; i++) {
		if (bytes_is_text(of->headers[i].name, name))
			return &of->headers[i];
	}
	return NULL;
}

START_TEST(requests_signed_by_botocore_are_accepted)
{
	struct bytes text = vectors;
	size_t count = 0;
	sigv4_keys_init(&keys);
	while (text.len > 0) {
		ck_assert(sigv4_sample_take(&text, &sample));
		enum s3_code code = verify(&sample);
		ck_assert_msg(code == S3_OK, "%.*s: %s", (int)sample.target.len,
			(const char *)sample.target.data, s3_error_code(code));
		ck_assert_int_eq(auth.is_query, header_of(&sample, "authorization") == NULL);
		count++;
	}
	ck_assert_uint_ge(count, 200);
	sigv4_keys_fini(&keys);
}
END_TEST

/* Flips one bit of a value that is not in the signature's own text, so that it stays a request. */
static bool flip_somewhere(struct sigv4_sample *of, uint64_t *seed, uint8_t *copy, size_t cap)
{
	size_t at = test_random(seed) % (of->request.header_count + 1);
	struct bytes *victim = &of->request.path;
	if (at < of->request.header_count) {
		victim = &of->headers[at].value;
		if (bytes_is_text(of->headers[at].name, "accept-encoding"))
			return false;
	}
	if (victim->len == 0)
		return false;
	ck_assert_uint_le(victim->len, cap);
	memcpy(copy, victim->data, victim->len);
	size_t position = test_random(seed) % victim->len;
	uint8_t flipped = copy[position] ^ (1 << test_random(seed) % 8);
	/* Other spellings of the same value: runs of spaces, digits of escapes and of signatures in
	 * the other case, blanks in the header. */
	if (copy[position] == ' ' || flipped == ' ' || (flipped ^ copy[position]) == 0x20 ||
		copy[position] == '%' || flipped == '%')
		return false;
	copy[position] = flipped;
	victim->data = copy;
	return true;
}

START_TEST(one_flipped_bit_is_refused)
{
	struct bytes text = vectors;
	uint64_t seed = 5;
	size_t count = 0;
	uint8_t copy[2048];
	sigv4_keys_init(&keys);
	while (text.len > 0) {
		struct bytes start = text;
		for (int round = 0; round < 8; round++) {
			text = start;
			ck_assert(sigv4_sample_take(&text, &sample));
			if (!flip_somewhere(&sample, &seed, copy, sizeof copy))
				continue;
			ck_assert_msg(verify(&sample) != S3_OK, "%.*s\n%.200s",
				(int)sample.target.len, (const char *)sample.target.data,
				(const char *)copy);
			count++;
		}
	}
	ck_assert_uint_gt(count, 800);
	sigv4_keys_fini(&keys);
}
END_TEST

START_TEST(an_added_amz_header_is_refused_and_others_are_not)
{
	static const char *const names[] = {"x-amz-copy-source", "x-amz-acl", "x-amz-meta-a",
		"x-amz-tagging", "x-amz-bypass-governance-retention", "x-amz-storage-class",
		"x-amz-"};
	struct bytes text = vectors;
	sigv4_keys_init(&keys);
	while (text.len > 0) {
		ck_assert(sigv4_sample_take(&text, &sample));
		for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
			size_t last = sample.request.header_count++;
			sample.headers[last] = (struct http_header){
				bytes_of(names[i]), bytes_of("/other/secret")};
			ck_assert_int_ne(verify(&sample), S3_OK);
			sample.headers[last].name = bytes_of("user-agent");
			ck_assert_int_eq(verify(&sample), S3_OK);
			sample.request.header_count--;
		}
	}
	sigv4_keys_fini(&keys);
}
END_TEST

START_TEST(an_unsigned_amz_header_is_named)
{
	load(HEAD UNSIGNED "x-amz-acl:private\nx-amz-copy-source:/a/b\n" AUTHORIZATION
			   "SignedHeaders=x-amz-date,Signature=" SIGNATURE "\n");
	ck_assert_int_eq(parse(&sample), S3_ACCESS_DENIED);
	ck_assert_str_eq(detail.fields[0].name, "HeadersNotSigned");
	ck_assert(bytes_is_text(detail.fields[0].value, "host, x-amz-acl, x-amz-copy-source"));
}
END_TEST

START_TEST(a_signed_amz_header_that_was_taken_away_is_missed)
{
	load(HEAD UNSIGNED AUTHORIZATION
		"SignedHeaders=host;x-amz-date;x-amz-tagging,Signature=" SIGNATURE "\n");
	ck_assert_int_eq(parse(&sample), S3_ACCESS_DENIED);
	load(HEAD UNSIGNED "x-amz-tagging:\n" AUTHORIZATION
			   "SignedHeaders=host;x-amz-date;x-amz-tagging,Signature=" SIGNATURE "\n");
	ck_assert_int_eq(parse(&sample), S3_OK);
}
END_TEST

START_TEST(the_authorization_header_may_have_any_order_and_spacing)
{
	static const char *const forms[] = {
		"Credential=AKIDEXAMPLE/" SCOPE
		",SignedHeaders=host;x-amz-date,Signature=" SIGNATURE,
		"Signature=" SIGNATURE ", Credential=AKIDEXAMPLE/" SCOPE
		", SignedHeaders=host;x-amz-date",
		"  SignedHeaders=host;x-amz-date ,  Signature=" SIGNATURE
		" ,Credential=AKIDEXAMPLE/" SCOPE,
	};
	for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
		char text[1024];
		snprintf(text, sizeof text, HEAD UNSIGNED "authorization:AWS4-HMAC-SHA256 %s\n",
			forms[i]);
		load(text);
		ck_assert_int_eq(parse(&sample), S3_OK);
		ck_assert(bytes_is_text(auth.access_key_id, "AKIDEXAMPLE"));
		ck_assert(bytes_is_text(auth.scope, SCOPE));
		ck_assert(bytes_is_text(auth.region, "rubus"));
		ck_assert(bytes_is_text(auth.signed_headers, "host;x-amz-date"));
		ck_assert_mem_eq(auth.signature, SIGNATURE, SIGV4_SIGNATURE_LEN);
	}
}
END_TEST

START_TEST(broken_credentials_have_the_codes_of_s3)
{
	static const struct {
		const char *authorization;
		enum s3_code code;
	} cases[] = {
		{"AWS AKID:c2ln", S3_INVALID_REQUEST},
		{"Bearer x", S3_INVALID_ARGUMENT},
		{"AWS4-HMAC-SHA256 ", S3_AUTHORIZATION_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=a/" SCOPE ",SignedHeaders=host",
			S3_AUTHORIZATION_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=a/" SCOPE ",SignedHeaders=host,Signature=00",
			S3_AUTHORIZATION_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=/" SCOPE ",SignedHeaders=host,Signature=" SIGNATURE,
			S3_AUTHORIZATION_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=" SCOPE ",SignedHeaders=host,Signature=" SIGNATURE,
			S3_AUTHORIZATION_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=a/20260102/r/s3/aws4_request,"
		 "SignedHeaders=host,Signature=" SIGNATURE,
			S3_AUTHORIZATION_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=a/20260101/r/ec2/aws4_request,"
		 "SignedHeaders=host,Signature=" SIGNATURE,
			S3_AUTHORIZATION_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=a/" SCOPE ",SignedHeaders=,Signature=" SIGNATURE,
			S3_AUTHORIZATION_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=a/" SCOPE ",Credential=b/" SCOPE
		 ",SignedHeaders=host,Signature=" SIGNATURE,
			S3_AUTHORIZATION_HEADER_MALFORMED},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char text[1024];
		snprintf(text, sizeof text, HEAD UNSIGNED "authorization:%s\n",
			cases[i].authorization);
		load(text);
		enum s3_code code = parse(&sample);
		ck_assert_msg(code == cases[i].code, "%s: %s", cases[i].authorization,
			s3_error_code(code));
	}
}
END_TEST

START_TEST(two_mechanisms_at_once_are_refused)
{
	load("GET /b?X-Amz-Signature=00 1767225600\nhost:h\nx-amz-date:20260101T000000Z\n" UNSIGNED
			AUTHORIZATION "SignedHeaders=host;x-amz-date,Signature=" SIGNATURE "\n");
	ck_assert_int_eq(parse(&sample), S3_INVALID_ARGUMENT);
	load(HEAD UNSIGNED AUTHORIZATION "SignedHeaders=host;x-amz-date,Signature=" SIGNATURE
					 "\n" AUTHORIZATION
					 "SignedHeaders=host;x-amz-date,Signature=" SIGNATURE "\n");
	ck_assert_int_eq(parse(&sample), S3_INVALID_ARGUMENT);
	load("GET /b?AWSAccessKeyId=a&Signature=b&Expires=1 1767225600\nhost:h\n"
	     "authorization:AWS a:c2ln\n");
	ck_assert_int_eq(parse(&sample), S3_INVALID_ARGUMENT);
}
END_TEST

START_TEST(the_clock_may_be_15_minutes_off_and_not_more)
{
	load(HEAD UNSIGNED AUTHORIZATION "SignedHeaders=host;x-amz-date,Signature=" SIGNATURE "\n");
	uint64_t time_s = sample.now_s;
	sample.now_s = time_s + 900;
	ck_assert_int_eq(parse(&sample), S3_OK);
	sample.now_s = time_s - 900;
	ck_assert_int_eq(parse(&sample), S3_OK);
	sample.now_s = time_s - 901;
	ck_assert_int_eq(parse(&sample), S3_REQUEST_TIME_TOO_SKEWED);
	sample.now_s = time_s + 901;
	ck_assert_int_eq(parse(&sample), S3_REQUEST_TIME_TOO_SKEWED);
	ck_assert(bytes_is_text(detail.fields[0].value, "20260101T000000Z"));
	ck_assert(bytes_is_text(detail.fields[1].value, "2026-01-01T00:15:01.000Z"));
	ck_assert(bytes_is_text(detail.fields[2].value, "900000"));
}
END_TEST

START_TEST(the_date_header_stands_in_for_x_amz_date)
{
	load("GET / 1767225600\nhost:h\ndate:Thu, 01 Jan 2026 00:00:00 GMT\n" UNSIGNED AUTHORIZATION
	     "SignedHeaders=date;host,Signature=" SIGNATURE "\n");
	ck_assert_int_eq(parse(&sample), S3_OK);
	ck_assert_mem_eq(auth.amz_date, "20260101T000000Z", SIGV4_AMZ_DATE_LEN);
	load("GET / 1767225600\nhost:h\n" UNSIGNED AUTHORIZATION
	     "SignedHeaders=date;host,Signature=" SIGNATURE "\n");
	ck_assert_int_eq(parse(&sample), S3_ACCESS_DENIED);
}
END_TEST

START_TEST(a_strict_region_is_told_to_the_client)
{
	const struct sigv4_settings strict = {
		.region = bytes_of("garage"), .region_is_strict = true};
	load(HEAD UNSIGNED AUTHORIZATION "SignedHeaders=host;x-amz-date,Signature=" SIGNATURE "\n");
	s3_error_detail_init(&detail);
	ck_assert_int_eq(sigv4_parse(&sample.request, &strict, sample.now_s, &auth, &detail),
		S3_AUTHORIZATION_HEADER_MALFORMED);
	ck_assert_str_eq(detail.fields[0].name, "Region");
	ck_assert(bytes_is_text(detail.fields[0].value, "garage"));
}
END_TEST

START_TEST(every_payload_mode_is_known_or_refused)
{
	static const struct {
		const char *text;
		enum s3_code code;
		enum sigv4_payload payload;
	} cases[] = {
		{"UNSIGNED-PAYLOAD", S3_OK, SIGV4_PAYLOAD_UNSIGNED},
		{"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", S3_OK,
			SIGV4_PAYLOAD_HEX},
		{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", S3_OK, SIGV4_PAYLOAD_SIGNED_CHUNKS},
		{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", S3_OK,
			SIGV4_PAYLOAD_SIGNED_CHUNKS_TRAILER},
		{"STREAMING-UNSIGNED-PAYLOAD-TRAILER", S3_OK,
			SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER},
		{"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", S3_NOT_IMPLEMENTED, 0},
		{"STREAMING-", S3_NOT_IMPLEMENTED, 0},
		{"streaming-unsigned-payload-trailer", S3_INVALID_ARGUMENT, 0},
		{"", S3_INVALID_ARGUMENT, 0},
		{"e3b0", S3_INVALID_ARGUMENT, 0},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char text[1024];
		snprintf(text, sizeof text,
			HEAD "x-amz-content-sha256:%s\n" AUTHORIZATION
			     "SignedHeaders=host;x-amz-date,Signature=" SIGNATURE "\n",
			cases[i].text);
		load(text);
		ck_assert_int_eq(parse(&sample), cases[i].code);
		if (cases[i].code == S3_OK)
			ck_assert_int_eq(auth.payload, cases[i].payload);

		/* The same without credentials: only what is not signed. */
		snprintf(text, sizeof text, HEAD "x-amz-content-sha256:%s\n", cases[i].text);
		load(text);
		bool is_unsigned = cases[i].code == S3_OK &&
			(cases[i].payload == SIGV4_PAYLOAD_UNSIGNED ||
				cases[i].payload == SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER);
		ck_assert_int_eq(parse(&sample) == S3_OK, is_unsigned);
	}
}
END_TEST

START_TEST(a_missing_payload_header_is_refused_unless_anonymous)
{
	load(HEAD AUTHORIZATION "SignedHeaders=host;x-amz-date,Signature=" SIGNATURE "\n");
	ck_assert_int_eq(parse(&sample), S3_INVALID_REQUEST);
	load(HEAD);
	ck_assert_int_eq(parse(&sample), S3_OK);
	ck_assert(auth.is_anonymous);
	ck_assert_int_eq(auth.payload, SIGV4_PAYLOAD_UNSIGNED);
}
END_TEST

START_TEST(no_payload_mode_lets_a_wrong_signature_in)
{
	static const char *const modes[] = {"UNSIGNED-PAYLOAD",
		"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"};
	static const char *const methods[] = {"GET", "PUT", "POST", "DELETE", "HEAD"};
	for (size_t i = 0; i < ARRAY_COUNT(modes) * ARRAY_COUNT(methods) * 2; i++) {
		const char *mode = modes[i % ARRAY_COUNT(modes)];
		const char *method = methods[i / ARRAY_COUNT(modes) % ARRAY_COUNT(methods)];
		char text[1024];
		if (i % 2 == 0)
			snprintf(text, sizeof text,
				"%s /b/k 1767225600\nhost:h\nx-amz-date:20260101T000000Z\n"
				"x-amz-content-sha256:%s\n" AUTHORIZATION
				"SignedHeaders=host;x-amz-date,Signature=" SIGNATURE "\n",
				method, mode);
		else
			snprintf(text, sizeof text,
				"%s /b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
				"AKIDEXAMPLE/" SCOPE "&X-Amz-Date=20260101T000000Z&X-Amz-Expires=9&"
				"X-Amz-SignedHeaders=host&X-Amz-Signature=" SIGNATURE
				" 1767225600\nhost:h\n"
				"x-amz-content-sha256:%s\n",
				method, mode);
		load(text);
		ck_assert_int_eq(verify(&sample), S3_SIGNATURE_DOES_NOT_MATCH);
		ck_assert(!auth.is_verified);
	}
}
END_TEST

#define PRESIGNED(date, expires) \
	"GET /b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&" \
	"X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Frubus%2Fs3%2F" \
	"aws4_request&X-Amz-Date=" date "&X-Amz-Expires=" expires \
	"&X-Amz-SignedHeaders=host&X-Amz-Signature=" SIGNATURE " 1767225600\nhost:h\n"

START_TEST(presigned_requests_live_for_a_second_to_a_week)
{
	static const char *const bad[] = {PRESIGNED("20260101T000000Z", "0"),
		PRESIGNED("20260101T000000Z", "604801"), PRESIGNED("20260101T000000Z", "-1"),
		PRESIGNED("20260101T000000Z", ""),
		PRESIGNED("20260101T000000Z", "18446744073709551617"), PRESIGNED("20260101", "1")};
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		load(bad[i]);
		ck_assert_int_eq(parse(&sample), S3_AUTHORIZATION_QUERY_PARAMETERS_ERROR);
	}
	load(PRESIGNED("20260101T000000Z", "604800"));
	uint64_t time_s = sample.now_s;
	sample.now_s = time_s + 604800;
	ck_assert_int_eq(parse(&sample), S3_OK);
	sample.now_s = time_s + 604801;
	ck_assert_int_eq(parse(&sample), S3_ACCESS_DENIED);
	ck_assert_str_eq(detail.message, "Request has expired");
	ck_assert(bytes_is_text(detail.fields[1].value, "2026-01-08T00:00:00.000Z"));
	sample.now_s = time_s - 901;
	ck_assert_int_eq(parse(&sample), S3_ACCESS_DENIED);
	ck_assert_str_eq(detail.message, "Request is not yet valid");
}
END_TEST

START_TEST(an_unknown_key_is_told_apart_in_the_answer_only)
{
	sigv4_keys_init(&keys);
	load("GET / 1767225600\nhost:h\nx-amz-date:20260101T000000Z\n" UNSIGNED
	     "authorization:AWS4-HMAC-SHA256 Credential=nobody/" SCOPE
	     ",SignedHeaders=host;x-amz-date,Signature=" SIGNATURE "\n");
	ck_assert_int_eq(verify(&sample), S3_INVALID_ACCESS_KEY_ID);
	ck_assert_str_eq(detail.fields[0].name, "AWSAccessKeyId");
	sigv4_keys_fini(&keys);
}
END_TEST

START_TEST(a_key_in_the_cache_is_not_used_for_another_secret)
{
	sigv4_keys_init(&keys);
	struct bytes text = vectors;
	ck_assert(sigv4_sample_take(&text, &sample));
	ck_assert_int_eq(verify(&sample), S3_OK);
	ck_assert_int_eq(verify(&sample), S3_OK);
	ck_assert_uint_eq(keys.derived_count, 1);
	struct bytes other = bytes_of("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEZ");
	ck_assert_int_eq(parse(&sample), S3_OK);
	ck_assert_int_eq(sigv4_verify(&auth, &sample.request, &other, &keys, &detail),
		S3_SIGNATURE_DOES_NOT_MATCH);
	ck_assert_uint_eq(keys.derived_count, 2);
	sigv4_keys_fini(&keys);
}
END_TEST

START_TEST(a_cache_that_is_too_small_still_gives_the_right_keys)
{
	uint64_t seed = 9;
	sigv4_keys_init(&keys);
	for (int i = 0; i < 3000; i++) {
		char id[16], secret[16], scope[64];
		unsigned n = test_random(&seed) % 200;
		snprintf(id, sizeof id, "id%u", n);
		snprintf(secret, sizeof secret, "secret%u", n);
		snprintf(scope, sizeof scope, "20260101/r%u/s3/aws4_request", n % 3);
		struct hmac_key cached, derived;
		sigv4_keys_find(&keys, bytes_of(id), bytes_of(secret), bytes_of(scope), &cached);
		sigv4_keys_find(NULL, bytes_of(id), bytes_of(secret), bytes_of(scope), &derived);
		ck_assert_mem_eq(&cached, &derived, sizeof cached);
	}
	ck_assert_uint_gt(keys.derived_count, 200);
	ck_assert_uint_lt(keys.derived_count, 3000);
	sigv4_keys_fini(&keys);
}
END_TEST

static struct bytes field_of(const char *name)
{
	for (size_t i = 0; i < detail.field_count; i++) {
		if (strcmp(detail.fields[i].name, name) == 0)
			return detail.fields[i].value;
	}
	ck_abort_msg("no field %s", name);
}

START_TEST(a_refusal_can_be_explained)
{
	static uint8_t buf[SIGV4_EXPLAIN_LEN];
	load("PUT /b/a%20b?x=1&a 1767225600\nhost:h\nx-amz-date:20260101T000000Z\n" UNSIGNED
	     "x-amz-meta-a:  1   2 \nx-amz-meta-a:3\n" AUTHORIZATION
	     "SignedHeaders=host;x-amz-date;x-amz-meta-a,Signature=" SIGNATURE "\n");
	ck_assert_int_eq(verify(&sample), S3_SIGNATURE_DOES_NOT_MATCH);
	sigv4_explain(&auth, &sample.request, buf, sizeof buf, &detail);
	ck_assert(bytes_is_text(field_of("CanonicalRequest"),
		"PUT\n/b/a%20b\na=&x=1\nhost:h\nx-amz-date:20260101T000000Z\nx-amz-meta-a:1 2,3\n\n"
		"host;x-amz-date;x-amz-meta-a\nUNSIGNED-PAYLOAD"));
	ck_assert(bytes_has_prefix(field_of("StringToSign"),
		bytes_of("AWS4-HMAC-SHA256\n20260101T000000Z\n" SCOPE "\n")));
	ck_assert(
		bytes_has_prefix(field_of("CanonicalRequestBytes"), bytes_of("50 55 54 0a 2f 62")));
	ck_assert(bytes_has_prefix(field_of("StringToSignBytes"), bytes_of("41 57 53 34")));

	s3_error_detail_init(&detail);
	sigv4_explain(&auth, &sample.request, buf, 100, &detail);
	ck_assert_uint_le(field_of("CanonicalRequest").len, 100);
}
END_TEST

static void read_vectors(const char *path)
{
	FILE *file = path ? fopen(path, "rb") : NULL;
	if (!file) {
		fprintf(stderr, "usage: sigv4 tests/corpus/sigv4/vectors.txt\n");
		exit(EXIT_FAILURE);
	}
	enum { CAP = 1 << 20 };
	uint8_t *buf = malloc(CAP);
	vectors = bytes_make(buf, fread(buf, 1, CAP, file));
	fclose(file);
}

int main(int argc, char **argv)
{
	read_vectors(argc > 1 ? argv[1] : NULL);
	Suite *suite = suite_create("sigv4");
	TCase *tc = tcase_create("sigv4");
	tcase_add_test(tc, requests_signed_by_botocore_are_accepted);
	tcase_add_test(tc, one_flipped_bit_is_refused);
	tcase_add_test(tc, an_added_amz_header_is_refused_and_others_are_not);
	tcase_add_test(tc, an_unsigned_amz_header_is_named);
	tcase_add_test(tc, a_signed_amz_header_that_was_taken_away_is_missed);
	tcase_add_test(tc, the_authorization_header_may_have_any_order_and_spacing);
	tcase_add_test(tc, broken_credentials_have_the_codes_of_s3);
	tcase_add_test(tc, two_mechanisms_at_once_are_refused);
	tcase_add_test(tc, the_clock_may_be_15_minutes_off_and_not_more);
	tcase_add_test(tc, the_date_header_stands_in_for_x_amz_date);
	tcase_add_test(tc, a_strict_region_is_told_to_the_client);
	tcase_add_test(tc, every_payload_mode_is_known_or_refused);
	tcase_add_test(tc, a_missing_payload_header_is_refused_unless_anonymous);
	tcase_add_test(tc, no_payload_mode_lets_a_wrong_signature_in);
	tcase_add_test(tc, presigned_requests_live_for_a_second_to_a_week);
	tcase_add_test(tc, an_unknown_key_is_told_apart_in_the_answer_only);
	tcase_add_test(tc, a_key_in_the_cache_is_not_used_for_another_secret);
	tcase_add_test(tc, a_cache_that_is_too_small_still_gives_the_right_keys);
	tcase_add_test(tc, a_refusal_can_be_explained);
	suite_add_tcase(suite, tc);
	int status = test_run(suite);
	free((void *)vectors.data);
	return status;
}
