/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sigv2.h"

#include "gateway/uri.h"
#include "tests/lib/test.h"

/* The examples of AWS's page "Signing and authenticating REST requests", with its key. */
#define KEY_ID "AKIAIOSFODNN7EXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define NOW_S 1175024202 /* Tue, 27 Mar 2007 19:36:42 */

enum { HEADERS_MAX = 12 };

static struct sigv4_request request;
static struct http_header headers[HEADERS_MAX];
static struct query query;
static uint8_t query_buf[1024];
static struct sigv4 auth;
static struct s3_error_detail detail;
static struct sigv4_settings settings;
static uint64_t now_s;

static void load(const char *method, const char *bucket, const char *target)
{
	struct uri uri;
	ck_assert_int_eq(uri_split(bytes_of(target), &uri), ERR_OK);
	ck_assert_int_eq(query_parse(uri.query, query_buf, sizeof query_buf, &query), ERR_OK);
	request = (struct sigv4_request){
		.method = bytes_of(method),
		.path = uri.path,
		.query = &query,
		.headers = headers,
		.host_bucket = bytes_of(bucket),
	};
	settings = (struct sigv4_settings){.v2 = SIGV2_ALL};
	now_s = NOW_S;
}

static void add(const char *name, const char *value)
{
	ck_assert_uint_lt(request.header_count, HEADERS_MAX);
	headers[request.header_count++] = (struct http_header){bytes_of(name), bytes_of(value)};
}

static enum s3_code parse(void)
{
	s3_error_detail_init(&detail);
	return sigv4_parse(&request, &settings, now_s, &auth, &detail);
}

static enum s3_code verify(void)
{
	struct bytes secret = bytes_of(SECRET);
	enum s3_code code = parse();
	ck_assert(auth.is_v2);
	return code == S3_OK ? sigv4_verify(&auth, &request, &secret, NULL, &detail) : code;
}

static void load_get(void)
{
	load("GET", "awsexamplebucket1", "/photos/puppy.jpg");
	add("host", "awsexamplebucket1.us-west-1.s3.amazonaws.com");
	add("date", "Tue, 27 Mar 2007 19:36:42 +0000");
	add("authorization", "AWS " KEY_ID ":qgk2+6Sv9/oM7G3qLEjTH1a1l1g=");
}

START_TEST(the_examples_of_aws_are_accepted)
{
	load_get();
	ck_assert_int_eq(verify(), S3_OK);

	load("PUT", "awsexamplebucket1", "/photos/puppy.jpg");
	add("content-type", "image/jpeg");
	add("content-length", "94328");
	add("date", "Tue, 27 Mar 2007 21:15:45 +0000");
	add("authorization", "AWS " KEY_ID ":iqRzw+ileNPu1fhspnRs8nOjjIA=");
	now_s = 1175030145;
	ck_assert_int_eq(verify(), S3_OK);

	load("GET", "awsexamplebucket1", "/?prefix=photos&max-keys=50&marker=puppy");
	add("date", "Tue, 27 Mar 2007 19:42:41 +0000");
	add("authorization", "AWS " KEY_ID ":m0WP8eCtspQl5Ahe6L1SozdX9YA=");
	ck_assert_int_eq(verify(), S3_OK);

	load("GET", "awsexamplebucket1", "/?acl");
	add("date", "Tue, 27 Mar 2007 19:44:46 +0000");
	add("authorization", "AWS " KEY_ID ":82ZHiFIjc+WbcwFKGUVEQspPn+0=");
	ck_assert_int_eq(verify(), S3_OK);

	load("DELETE", "", "/awsexamplebucket1/photos/puppy.jpg");
	add("date", "Tue, 27 Mar 2007 21:20:27 +0000");
	add("authorization", "AWS " KEY_ID ":GJN6i3QqGVSgLAyasautUJpoUUs=");
	now_s = 1175030427;
	ck_assert_int_eq(verify(), S3_OK);

	/* botocore signs a slash behind a bucket that it does not send. */
	for (int i = 0; i < 2; i++) {
		load("GET", "", i == 0 ? "/awsexamplebucket1/?acl" : "/awsexamplebucket1?acl");
		add("date", "Tue, 27 Mar 2007 19:44:46 +0000");
		add("authorization", "AWS " KEY_ID ":82ZHiFIjc+WbcwFKGUVEQspPn+0=");
		ck_assert_int_eq(verify(), S3_OK);
	}
}
END_TEST

START_TEST(amz_headers_are_sorted_and_joined)
{
	load("PUT", "static.example.com", "/db-backup.dat.gz");
	add("x-amz-acl", "public-read");
	add("content-type", "application/x-download");
	add("content-md5", "4gJE4saaMU4BqNR0kLY+lw==");
	add("x-amz-meta-reviewedby", "joe@example.com");
	add("x-amz-meta-reviewedby", "jane@example.com");
	add("x-amz-meta-filechecksum", "0x02661779");
	add("x-amz-meta-checksumalgorithm", "crc32");
	add("date", "Tue, 27 Mar 2007 21:06:08 +0000");
	add("authorization", "AWS " KEY_ID ":jtBQa0Aq+DkULFI8qrpwIjGEx0E=");
	now_s = 1175029568;
	ck_assert_int_eq(verify(), S3_OK);
}
END_TEST

/* What would be in it for who changes one thing of a request that somebody else has signed. */
START_TEST(another_request_is_not_signed)
{
	load_get();
	request.method = bytes_of("PUT");
	ck_assert_int_eq(verify(), S3_SIGNATURE_DOES_NOT_MATCH);
	load_get();
	request.path = bytes_of("/photos/puppy.jpg2");
	ck_assert_int_eq(verify(), S3_SIGNATURE_DOES_NOT_MATCH);
	load_get();
	request.host_bucket = bytes_of("other");
	ck_assert_int_eq(verify(), S3_SIGNATURE_DOES_NOT_MATCH);
	load_get();
	add("x-amz-acl", "public-read");
	ck_assert_int_eq(verify(), S3_SIGNATURE_DOES_NOT_MATCH);
	load_get();
	add("x-amz-date", "Tue, 27 Mar 2007 19:36:42 GMT");
	ck_assert_int_eq(verify(), S3_SIGNATURE_DOES_NOT_MATCH);
	load("GET", "awsexamplebucket1", "/photos/puppy.jpg?acl");
	add("date", "Tue, 27 Mar 2007 19:36:42 +0000");
	add("authorization", "AWS " KEY_ID ":qgk2+6Sv9/oM7G3qLEjTH1a1l1g=");
	ck_assert_int_eq(verify(), S3_SIGNATURE_DOES_NOT_MATCH);
}
END_TEST

START_TEST(one_flipped_bit_of_the_mac_is_refused)
{
	struct bytes secret = bytes_of(SECRET);
	load_get();
	for (size_t bit = 0; bit < 8 * SHA1_LEN; bit++) {
		ck_assert_int_eq(parse(), S3_OK);
		auth.mac[bit / 8] ^= 1 << bit % 8;
		ck_assert_int_eq(sigv4_verify(&auth, &request, &secret, NULL, &detail),
			S3_SIGNATURE_DOES_NOT_MATCH);
		ck_assert(!auth.is_verified);
	}
	ck_assert_int_eq(
		sigv4_verify(&auth, &request, NULL, NULL, &detail), S3_INVALID_ACCESS_KEY_ID);
}
END_TEST

#define PRESIGNED(expires) \
	"/photos/puppy.jpg?AWSAccessKeyId=" KEY_ID "&Expires=" expires \
	"&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"

START_TEST(a_presigned_request_lives_until_it_expires)
{
	load("GET", "johnsmith", PRESIGNED("1175139620"));
	ck_assert_int_eq(verify(), S3_OK);
	now_s = 1175139620;
	ck_assert_int_eq(verify(), S3_OK);
	now_s++;
	ck_assert_int_eq(verify(), S3_ACCESS_DENIED);
	ck_assert_str_eq(detail.message, "Request has expired");
	load("GET", "johnsmith", PRESIGNED("1175139621"));
	ck_assert_int_eq(verify(), S3_SIGNATURE_DOES_NOT_MATCH);
	load("GET", "johnsmith", PRESIGNED("soon"));
	ck_assert_int_eq(verify(), S3_ACCESS_DENIED);
	load("GET", "johnsmith", "/k?AWSAccessKeyId=" KEY_ID "&Expires=1175139620");
	ck_assert_int_eq(verify(), S3_ACCESS_DENIED);
}
END_TEST

START_TEST(the_setting_says_which_are_heard)
{
	load_get();
	settings.v2 = SIGV2_PRESIGNED;
	ck_assert_int_eq(verify(), S3_INVALID_REQUEST);
	settings.v2 = SIGV2_OFF;
	ck_assert_int_eq(verify(), S3_INVALID_REQUEST);
	load("GET", "johnsmith", PRESIGNED("1175139620"));
	settings.v2 = SIGV2_PRESIGNED;
	ck_assert_int_eq(verify(), S3_OK);
	settings.v2 = SIGV2_OFF;
	ck_assert_int_eq(verify(), S3_INVALID_REQUEST);
}
END_TEST

START_TEST(the_clock_may_be_15_minutes_off_and_not_more)
{
	load_get();
	now_s = NOW_S + 900;
	ck_assert_int_eq(verify(), S3_OK);
	now_s = NOW_S + 901;
	ck_assert_int_eq(verify(), S3_REQUEST_TIME_TOO_SKEWED);
	now_s = NOW_S - 901;
	ck_assert_int_eq(verify(), S3_REQUEST_TIME_TOO_SKEWED);
}
END_TEST

START_TEST(broken_credentials_are_refused)
{
	static const char *const broken[] = {
		"AWS ", "AWS x", "AWS :c2ln", "AWS x:c2ln", "AWS x:", "AWS x:****"};
	for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
		load("GET", "", "/b");
		add("date", "Tue, 27 Mar 2007 19:36:42 GMT");
		add("authorization", broken[i]);
		ck_assert_int_eq(verify(), S3_INVALID_ARGUMENT);
	}
	load("GET", "", "/b");
	add("authorization", "AWS " KEY_ID ":qgk2+6Sv9/oM7G3qLEjTH1a1l1g=");
	ck_assert_int_eq(verify(), S3_ACCESS_DENIED);
	load_get();
	headers[2] = headers[1];
	add("authorization", "AWS " KEY_ID ":qgk2+6Sv9/oM7G3qLEjTH1a1l1g=");
	add("authorization", "AWS4-HMAC-SHA256 x");
	ck_assert_int_eq(verify(), S3_INVALID_ARGUMENT);
}
END_TEST

START_TEST(chunks_cannot_be_signed_by_it)
{
	load("PUT", "", "/b/k");
	add("date", "Tue, 27 Mar 2007 19:36:42 GMT");
	add("authorization", "AWS " KEY_ID ":qgk2+6Sv9/oM7G3qLEjTH1a1l1g=");
	add("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
	ck_assert_int_eq(verify(), S3_INVALID_REQUEST);
}
END_TEST

START_TEST(a_refusal_can_be_explained)
{
	static uint8_t buf[SIGV4_EXPLAIN_LEN];
	load_get();
	request.path = bytes_of("/other");
	ck_assert_int_eq(verify(), S3_SIGNATURE_DOES_NOT_MATCH);
	sigv4_explain(&auth, &request, buf, sizeof buf, &detail);
	ck_assert_uint_eq(detail.field_count, 4);
	ck_assert(bytes_is_text(detail.fields[1].value,
		"GET\n\n\nTue, 27 Mar 2007 19:36:42 +0000\n/awsexamplebucket1/other"));
	ck_assert(bytes_is_text(detail.fields[2].value, "qgk2+6Sv9/oM7G3qLEjTH1a1l1g="));
}
END_TEST

START_TEST(later_sub_resources_are_not_covered)
{
	ck_assert(sigv2_covers("acl") && sigv2_covers("uploadId") && sigv2_covers("website"));
	ck_assert(sigv2_covers("list-type=2") && sigv2_covers("versions"));
	ck_assert(!sigv2_covers("retention") && !sigv2_covers("legal-hold"));
	ck_assert(!sigv2_covers("encryption") && !sigv2_covers("ac") && !sigv2_covers("acls"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sigv2");
	TCase *tc = tcase_create("sigv2");
	tcase_add_test(tc, the_examples_of_aws_are_accepted);
	tcase_add_test(tc, amz_headers_are_sorted_and_joined);
	tcase_add_test(tc, another_request_is_not_signed);
	tcase_add_test(tc, one_flipped_bit_of_the_mac_is_refused);
	tcase_add_test(tc, a_presigned_request_lives_until_it_expires);
	tcase_add_test(tc, the_setting_says_which_are_heard);
	tcase_add_test(tc, the_clock_may_be_15_minutes_off_and_not_more);
	tcase_add_test(tc, broken_credentials_are_refused);
	tcase_add_test(tc, chunks_cannot_be_signed_by_it);
	tcase_add_test(tc, a_refusal_can_be_explained);
	tcase_add_test(tc, later_sub_resources_are_not_covered);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
