/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sigv4_chain.h"

#include <stdlib.h>

#include "gateway/digest/digest.h"
#include "tests/lib/test.h"

/* The example of AWS's page on chunked uploads: 65 KiB of the letter a. */
static const char *const head[][2] = {
	{"host", "s3.amazonaws.com"},
	{"x-amz-date", "20130524T000000Z"},
	{"x-amz-storage-class", "REDUCED_REDUNDANCY"},
	{"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
	{"content-encoding", "aws-chunked"},
	{"x-amz-decoded-content-length", "66560"},
	{"content-length", "66824"},
	{"authorization",
		"AWS4-HMAC-SHA256 "
		"Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
		"SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;"
		"x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,"
		"Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"},
};

static const uint8_t signatures[3][65] = {
	"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
	"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
	"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
};

static void start(struct sigv4_chain *chain)
{
	struct http_header headers[ARRAY_COUNT(head)];
	for (size_t i = 0; i < ARRAY_COUNT(head); i++)
		headers[i] = (struct http_header){bytes_of(head[i][0]), bytes_of(head[i][1])};
	struct query query = {.param_count = 0};
	struct sigv4_request request = {
		.method = bytes_of("PUT"),
		.path = bytes_of("/examplebucket/chunkObject.txt"),
		.query = &query,
		.headers = headers,
		.header_count = ARRAY_COUNT(headers),
	};
	struct sigv4_settings settings = {.region_is_strict = false};
	struct sigv4 auth;
	struct s3_error_detail detail;
	struct bytes secret = bytes_of("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
	s3_error_detail_init(&detail);
	ck_assert_int_eq(sigv4_parse(&request, &settings, 1369353600, &auth, &detail), S3_OK);
	ck_assert_int_eq(sigv4_verify(&auth, &request, &secret, NULL, &detail), S3_OK);
	sigv4_chain_init(chain, &auth);
}

static void digest_of_letters(size_t len, uint8_t sha256[SHA256_LEN])
{
	char *data = malloc(len + 1);
	memset(data, 'a', len);
	digest_sha256(data, len, sha256);
	free(data);
}

START_TEST(the_chain_of_the_aws_example_holds)
{
	struct sigv4_chain chain;
	uint8_t sha256[SHA256_LEN];
	start(&chain);
	digest_of_letters(65536, sha256);
	ck_assert(sigv4_chain_take_chunk(&chain, sha256, signatures[0]));
	digest_of_letters(1024, sha256);
	ck_assert(sigv4_chain_take_chunk(&chain, sha256, signatures[1]));
	digest_of_letters(0, sha256);
	ck_assert(sigv4_chain_take_chunk(&chain, sha256, signatures[2]));
	sigv4_chain_fini(&chain);
}
END_TEST

START_TEST(chunks_do_not_fit_elsewhere_in_the_chain)
{
	struct sigv4_chain chain;
	uint8_t sha256[SHA256_LEN];
	start(&chain);
	digest_of_letters(65536, sha256);
	ck_assert(!sigv4_chain_take_chunk(&chain, sha256, signatures[1]));
	ck_assert(!sigv4_chain_take_trailer(&chain, sha256, signatures[0]));
	ck_assert(sigv4_chain_take_chunk(&chain, sha256, signatures[0]));
	ck_assert(!sigv4_chain_take_chunk(&chain, sha256, signatures[0]));
	sha256[31] ^= 1;
	ck_assert(!sigv4_chain_take_chunk(&chain, sha256, signatures[1]));
	sigv4_chain_fini(&chain);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sigv4_chain");
	TCase *tc = tcase_create("sigv4_chain");
	tcase_add_test(tc, the_chain_of_the_aws_example_holds);
	tcase_add_test(tc, chunks_do_not_fit_elsewhere_in_the_chain);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
