/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sigv4_sign.h"

#include "tests/lib/test.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* The examples of AWS's "Signature Calculations for the Authorization Header". */
static const struct sigv4_signer example = {
	.access_key_id = {(const uint8_t *)"AKIAIOSFODNN7EXAMPLE", 20},
	.secret = {(const uint8_t *)"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 40},
	.region = {(const uint8_t *)"us-east-1", 9},
};
enum { EXAMPLE_TIME_S = 1369353600 }; /* 20130524T000000Z */

static struct http_header header(const char *name, const char *value)
{
	return (struct http_header){bytes_of(name), bytes_of(value)};
}

START_TEST(a_get_with_a_range_has_the_documented_signature)
{
	struct http_header headers[] = {
		header("host", "examplebucket.s3.amazonaws.com"),
		header("range", "bytes=0-9"),
		header("x-amz-content-sha256", EMPTY_SHA256),
		header("x-amz-date", "20130524T000000Z"),
	};
	struct query query = {0};
	struct sigv4_request request = {.method = bytes_of("GET"),
		.path = bytes_of("/test.txt"),
		.query = &query,
		.headers = headers,
		.header_count = ARRAY_COUNT(headers)};
	uint8_t buf[512];
	struct text_out out;
	text_out_init(&out, buf, sizeof buf);
	sigv4_sign(&example, &request, EXAMPLE_TIME_S, &out);
	text_put_char(&out, '\0');
	ck_assert_str_eq((char *)buf,
		"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
		"aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature="
		"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}
END_TEST

START_TEST(a_query_is_signed)
{
	struct http_header headers[] = {
		header("host", "examplebucket.s3.amazonaws.com"),
		header("x-amz-content-sha256", EMPTY_SHA256),
		header("x-amz-date", "20130524T000000Z"),
	};
	struct query query = {.param_count = 2,
		.params = {{bytes_of("prefix"), bytes_of("J")},
			{bytes_of("max-keys"), bytes_of("2")}}};
	struct sigv4_request request = {.method = bytes_of("GET"),
		.path = bytes_of("/"),
		.query = &query,
		.headers = headers,
		.header_count = ARRAY_COUNT(headers)};
	uint8_t buf[512];
	struct text_out out;
	text_out_init(&out, buf, sizeof buf);
	sigv4_sign(&example, &request, EXAMPLE_TIME_S, &out);
	text_put_char(&out, '\0');
	ck_assert_ptr_nonnull(strstr((char *)buf,
		"Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sigv4_sign");
	TCase *tc = tcase_create("sigv4_sign");
	tcase_add_test(tc, a_get_with_a_range_has_the_documented_signature);
	tcase_add_test(tc, a_query_is_signed);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
