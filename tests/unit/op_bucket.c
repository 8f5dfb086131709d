/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_bucket.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/digest/base64.h"
#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

static struct gateway_rig rig;

static void setup(void)
{
	gateway_rig_open(&rig);
}

static void teardown(void)
{
	gateway_rig_close(&rig);
}

static void assert_error(const char *method, const char *target, unsigned status, const char *code)
{
	ck_assert_uint_eq(gateway_rig_ask(&rig, method, target), status);
	ck_assert_str_eq(gateway_rig_code(&rig), code);
}

static const char *answer(void)
{
	return rig.fake.answer ? (const char *)rig.fake.answer : "";
}

/* --- create ----------------------------------------------------------------------------------- */

START_TEST(a_bucket_that_was_made_is_there)
{
	ck_assert_uint_eq(gateway_rig_ask(&rig, "PUT", "/garden"), 200);
	ck_assert_str_eq(fake_exchange_answer_header(&rig.fake, "location"), "/garden");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "HEAD", "/garden"), 200);
	ck_assert_str_eq(fake_exchange_answer_header(&rig.fake, "x-amz-bucket-region"), RIG_REGION);
}
END_TEST

START_TEST(a_trailing_slash_means_the_bucket)
{
	ck_assert_uint_eq(gateway_rig_ask(&rig, "PUT", "/garden/"), 200);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "HEAD", "/garden/"), 200);
}
END_TEST

START_TEST(the_own_bucket_is_not_made_again)
{
	gateway_rig_bucket(&rig, "garden");
	assert_error("PUT", "/garden", 409, "BucketAlreadyOwnedByYou");
}
END_TEST

START_TEST(in_the_oldest_region_making_it_again_succeeds)
{
	gateway_rig_bucket(&rig, "garden");
	rig.gateway.settings.region = bytes_of("us-east-1");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "PUT", "/garden"), 200);
}
END_TEST

START_TEST(the_bucket_of_another_exists)
{
	gateway_rig_bucket(&rig, "garden");
	gateway_rig_be(&rig, "bob");
	assert_error("PUT", "/garden", 409, "BucketAlreadyExists");
}
END_TEST

START_TEST(a_name_that_is_none_is_refused)
{
	assert_error("PUT", "/Garden", 400, "InvalidBucketName");
	assert_error("PUT", "/ab", 400, "InvalidBucketName");
	assert_error("PUT", "/192.168.1.1", 400, "InvalidBucketName");
}
END_TEST

START_TEST(nobody_makes_more_buckets_than_allowed)
{
	static const char *const targets[] = {"/one", "/two", "/three", "/four"};
	for (size_t i = 0; i < ARRAY_COUNT(targets); i++)
		ck_assert_uint_eq(gateway_rig_ask(&rig, "PUT", targets[i]), 200);
	assert_error("PUT", "/five", 400, "TooManyBuckets");
	gateway_rig_be(&rig, "bob");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "PUT", "/five"), 200);
}
END_TEST

static unsigned create_with(const char *name, const char *value)
{
	gateway_rig_make(&rig, "PUT", "/garden");
	fake_exchange_header(&rig.fake, name, value);
	sign_request(&rig.fake, &rig.sign, NULL);
	gateway_rig_run(&rig);
	return rig.fake.response.status;
}

START_TEST(what_a_bucket_cannot_have_is_refused)
{
	ck_assert_uint_eq(create_with("x-amz-bucket-object-lock-enabled", "perhaps"), 400);
	ck_assert_uint_eq(create_with("x-amz-acl", "public-read"), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "AccessControlListNotSupported");
	ck_assert_uint_eq(create_with("x-amz-grant-read", "id=1"), 400);
	ck_assert_uint_eq(create_with("x-amz-object-ownership", "Nobody"), 400);
	ck_assert_uint_eq(create_with("x-amz-acl", "private"), 200);
}
END_TEST

/* --- the document of create, and with it the bodies of all requests --------------------------- */

#define CONFIGURATION(location) \
	"<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" \
	"<LocationConstraint>" location "</LocationConstraint></CreateBucketConfiguration>"

START_TEST(the_own_region_is_a_good_location)
{
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden", CONFIGURATION(RIG_REGION)), 200);
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/empty", CONFIGURATION("")), 200);
}
END_TEST

START_TEST(another_region_is_not)
{
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden", CONFIGURATION("mars-1")), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "IllegalLocationConstraintException");
}
END_TEST

START_TEST(the_region_that_signed_is_good_unless_regions_are_strict)
{
	rig.sign.region = "mars-1";
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden", CONFIGURATION("mars-1")), 200);
	rig.gateway.settings.region_is_strict = true;
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/meadow", CONFIGURATION("mars-1")), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "AuthorizationHeaderMalformed");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "Region"), RIG_REGION);
}
END_TEST

START_TEST(what_is_not_xml_is_refused)
{
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden", "<Create"), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "MalformedXML");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "HEAD", "/garden"), 404);
}
END_TEST

/* Creates with a body and one more header, in small pieces; returns the status. */
static unsigned create_body(
	const char *body, const char *name, const char *value, const char *payload)
{
	gateway_rig_make(&rig, "PUT", "/garden");
	fake_exchange_body(&rig.fake, body, strlen(body));
	if (name)
		fake_exchange_header(&rig.fake, name, value);
	rig.fake.piece_len = 3;
	rig.fake.is_slow = true;
	sign_request(&rig.fake, &rig.sign, payload);
	gateway_rig_run(&rig);
	return rig.fake.response.status;
}

START_TEST(a_body_may_come_in_small_and_late_pieces)
{
	ck_assert_uint_eq(create_body(CONFIGURATION(RIG_REGION), NULL, NULL, NULL), 200);
}
END_TEST

START_TEST(a_body_with_another_digest_than_was_signed_is_refused)
{
	static const char zeros[] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	ck_assert_uint_eq(create_body(CONFIGURATION(RIG_REGION), NULL, NULL, zeros), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "XAmzContentSHA256Mismatch");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "HEAD", "/garden"), 404);
}
END_TEST

START_TEST(a_content_md5_must_be_right)
{
	static const char body[] = CONFIGURATION(RIG_REGION);
	uint8_t md5[16];
	char text[BASE64_LEN(16) + 1];
	digest_md5(body, strlen(body), md5);
	md5[0] ^= 1;
	base64_encode(md5, sizeof md5, text);
	ck_assert_uint_eq(create_body(body, "content-md5", "not base64", NULL), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "InvalidDigest");
	ck_assert_uint_eq(create_body(body, "content-md5", text, NULL), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "BadDigest");
	md5[0] ^= 1;
	base64_encode(md5, sizeof md5, text);
	ck_assert_uint_eq(create_body(body, "content-md5", text, NULL), 200);
}
END_TEST

START_TEST(a_checksum_header_must_be_right)
{
	static const char body[] = CONFIGURATION(RIG_REGION);
	struct digest_stream stream;
	struct digest_values values;
	char text[BASE64_LEN(4) + 1];
	digest_stream_init(&stream, DIGEST_CRC32);
	digest_stream_update(&stream, body, strlen(body));
	digest_stream_final(&stream, &values);
	base64_encode(values.crc32, 4, text);
	ck_assert_uint_eq(create_body(body, "x-amz-checksum-crc32", "AAAAAA==", NULL), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "BadDigest");
	ck_assert_uint_eq(create_body(body, "x-amz-checksum-crc32", "AAAA", NULL), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "InvalidRequest");
	ck_assert_uint_eq(create_body(body, "x-amz-checksum-xxhash3", "AAAA", NULL), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "InvalidRequest");
	ck_assert_uint_eq(create_body(body, "x-amz-checksum-crc32", text, NULL), 200);
}
END_TEST

/* The document in an aws-chunked body with a trailer. */
static unsigned create_chunked(const char *crc, size_t decoded_len)
{
	static const char document[] = CONFIGURATION(RIG_REGION);
	static char body[1024];
	char text[32];
	snprintf(body, sizeof body, "%zx\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n",
		strlen(document), document, crc);
	snprintf(text, sizeof text, "%zu", decoded_len);
	gateway_rig_make(&rig, "PUT", "/garden");
	fake_exchange_body(&rig.fake, body, strlen(body));
	fake_exchange_header(&rig.fake, "x-amz-trailer", "x-amz-checksum-crc32");
	fake_exchange_header(&rig.fake, "x-amz-decoded-content-length", text);
	rig.fake.piece_len = 7;
	sign_request(&rig.fake, &rig.sign, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
	gateway_rig_run(&rig);
	return rig.fake.response.status;
}

START_TEST(a_trailer_is_checked)
{
	static const char document[] = CONFIGURATION(RIG_REGION);
	struct digest_stream stream;
	struct digest_values values;
	char text[BASE64_LEN(4) + 1];
	digest_stream_init(&stream, DIGEST_CRC32);
	digest_stream_update(&stream, document, strlen(document));
	digest_stream_final(&stream, &values);
	base64_encode(values.crc32, 4, text);
	ck_assert_uint_eq(create_chunked("AAAAAA==", strlen(document)), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "BadDigest");
	ck_assert_uint_eq(create_chunked(text, strlen(document) + 1), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "IncompleteBody");
	ck_assert_uint_eq(create_chunked(text, strlen(document)), 200);
}
END_TEST

START_TEST(a_body_that_breaks_off_makes_nothing)
{
	static const char body[] = CONFIGURATION(RIG_REGION);
	gateway_rig_make(&rig, "PUT", "/garden");
	fake_exchange_body(&rig.fake, body, strlen(body));
	rig.fake.body.len = 10;
	rig.fake.body_err = ERR_CLOSED;
	sign_request(&rig.fake, &rig.sign, "UNSIGNED-PAYLOAD");
	gateway_rig_run(&rig);
	ck_assert(!rig.fake.is_answered);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "HEAD", "/garden"), 404);
}
END_TEST

START_TEST(a_document_that_is_too_long_is_not_read)
{
	gateway_rig_make(&rig, "PUT", "/garden");
	fake_exchange_body(&rig.fake, "", 0);
	rig.fake.x.has_body = true;
	rig.fake.x.body_len = 1 << 20;
	sign_request(&rig.fake, &rig.sign, "UNSIGNED-PAYLOAD");
	gateway_rig_run(&rig);
	ck_assert_str_eq(gateway_rig_code(&rig), "MaxMessageLengthExceeded");
	ck_assert_uint_eq(rig.fake.reads, 0);
}
END_TEST

/* --- delete ----------------------------------------------------------------------------------- */

START_TEST(an_empty_bucket_is_deleted)
{
	gateway_rig_bucket(&rig, "garden");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "DELETE", "/garden"), 204);
	assert_error("DELETE", "/garden", 404, "NoSuchBucket");
}
END_TEST

START_TEST(a_bucket_with_an_object_is_not)
{
	uint64_t bucket = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, bucket, "rose", "red");
	assert_error("DELETE", "/garden", 409, "BucketNotEmpty");
}
END_TEST

/* --- list ------------------------------------------------------------------------------------- */

START_TEST(everybody_sees_the_own_buckets)
{
	gateway_rig_bucket(&rig, "garden");
	gateway_rig_be(&rig, "bob");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "PUT", "/meadow"), 200);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/"), 200);
	ck_assert_ptr_null(strstr(answer(), "garden</Name>"));
	ck_assert_ptr_nonnull(strstr(answer(), "<Name>meadow</Name>"));
	gateway_rig_be(&rig, "admin");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/"), 200);
	ck_assert_ptr_nonnull(strstr(answer(), "<Name>garden</Name>"));
	ck_assert_ptr_nonnull(strstr(answer(), "<Name>meadow</Name>"));
}
END_TEST

START_TEST(buckets_come_in_pages)
{
	char target[256] = "/?max-buckets=2";
	gateway_rig_bucket(&rig, "aaa");
	gateway_rig_bucket(&rig, "bbb");
	gateway_rig_bucket(&rig, "ccc");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", target), 200);
	ck_assert_ptr_nonnull(strstr(answer(), "<Name>bbb</Name>"));
	ck_assert_ptr_null(strstr(answer(), "<Name>ccc</Name>"));
	const char *token = fake_exchange_element(&rig.fake, "ContinuationToken");
	ck_assert_ptr_nonnull(token);
	snprintf(target, sizeof target, "/?continuation-token=%s&max-buckets=2", token);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", target), 200);
	ck_assert_ptr_null(strstr(answer(), "<Name>bbb</Name>"));
	ck_assert_ptr_nonnull(strstr(answer(), "<Name>ccc</Name>"));
	ck_assert_ptr_null(fake_exchange_element(&rig.fake, "ContinuationToken"));
}
END_TEST

START_TEST(buckets_are_chosen_by_prefix_and_region)
{
	gateway_rig_bucket(&rig, "aaa");
	gateway_rig_bucket(&rig, "abb");
	gateway_rig_bucket(&rig, "bbb");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/?prefix=ab"), 200);
	ck_assert_ptr_null(strstr(answer(), "<Name>aaa</Name>"));
	ck_assert_ptr_nonnull(strstr(answer(), "<Name>abb</Name>"));
	ck_assert_ptr_null(strstr(answer(), "<Name>bbb</Name>"));
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/?bucket-region=mars-1"), 200);
	ck_assert_ptr_null(strstr(answer(), "<Name>"));
}
END_TEST

START_TEST(max_buckets_is_1_to_10000)
{
	assert_error("GET", "/?max-buckets=0", 400, "InvalidArgument");
	assert_error("GET", "/?max-buckets=10001", 400, "InvalidArgument");
	assert_error("GET", "/?max-buckets=many", 400, "InvalidArgument");
}
END_TEST

START_TEST(a_thousand_buckets_are_one_answer)
{
	char name[64];
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "bucket-%04u-with-a-name-that-takes-some-room", i);
		gateway_rig_bucket(&rig, name);
	}
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/"), 200);
	ck_assert_uint_gt(rig.fake.sends, 1);
	unsigned count = 0;
	for (const char *p = answer(); (p = strstr(p, "<Name>bucket-")); p++, count++)
		ck_assert_uint_eq(strtoul(p + 13, NULL, 10), count);
	ck_assert_uint_eq(count, 1000);
	ck_assert_ptr_nonnull(strstr(answer(), "</ListAllMyBucketsResult>"));
}
END_TEST

/* --- what is always the same ------------------------------------------------------------------ */

START_TEST(the_location_is_the_region_but_for_the_oldest)
{
	gateway_rig_bucket(&rig, "garden");
	gateway_rig_ask(&rig, "GET", "/garden?location");
	ck_assert_ptr_nonnull(strstr(answer(), ">" RIG_REGION "</LocationConstraint>"));
	rig.gateway.settings.region = bytes_of("us-east-1");
	gateway_rig_ask(&rig, "GET", "/garden?location");
	ck_assert_ptr_nonnull(strstr(answer(), "></LocationConstraint>"));
}
END_TEST

START_TEST(versioning_that_was_never_set_is_an_empty_element)
{
	gateway_rig_bucket(&rig, "garden");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/garden?versioning"), 200);
	ck_assert_ptr_nonnull(strstr(answer(), "<VersioningConfiguration"));
	ck_assert_ptr_null(strstr(answer(), "<Status>"));
}
END_TEST

START_TEST(configurations_that_are_not_there_have_codes_of_their_own)
{
	static const char *const codes[][2] = {
		{"policy", "NoSuchBucketPolicy"},
		{"policyStatus", "NoSuchBucketPolicy"},
		{"cors", "NoSuchCORSConfiguration"},
		{"tagging", "NoSuchTagSet"},
		{"lifecycle", "NoSuchLifecycleConfiguration"},
		{"website", "NoSuchWebsiteConfiguration"},
		{"encryption", "ServerSideEncryptionConfigurationNotFoundError"},
		{"object-lock", "ObjectLockConfigurationNotFoundError"},
		{"ownershipControls", "OwnershipControlsNotFoundError"},
		{"publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"},
		{"replication", "ReplicationConfigurationNotFoundError"},
	};
	char target[64];
	gateway_rig_bucket(&rig, "garden");
	for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
		snprintf(target, sizeof target, "/garden?%s", codes[i][0]);
		assert_error("GET", target, 404, codes[i][1]);
	}
}
END_TEST

START_TEST(writes_of_what_is_not_served_are_not_implemented)
{
	gateway_rig_bucket(&rig, "garden");
	assert_error("PUT", "/garden?accelerate", 501, "NotImplemented");
	assert_error("PUT", "/garden?replication", 501, "NotImplemented");
}
END_TEST

START_TEST(the_acl_is_that_of_the_owner)
{
	gateway_rig_bucket(&rig, "garden");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/garden?acl"), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "Permission"), "FULL_CONTROL");
	/* What was read may be written back. */
	char document[2048];
	snprintf(document, sizeof document, "%s", answer());
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden?acl", document), 200);
	char *name = strstr(document, "<Grantee");
	name = strstr(name, "alice");
	memcpy(name, "mallo", 5);
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden?acl", document), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "AccessControlListNotSupported");
}
END_TEST

START_TEST(the_acl_of_an_object_needs_the_object)
{
	uint64_t bucket = gateway_rig_bucket(&rig, "garden");
	assert_error("GET", "/garden/rose?acl", 404, "NoSuchKey");
	gateway_rig_put(&rig, bucket, "rose", "red");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/garden/rose?acl"), 200);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "PUT", "/garden/rose?acl"), 200);
	assert_error("PUT", "/garden/tulip?acl", 404, "NoSuchKey");
}
END_TEST

START_TEST(an_object_without_tags_has_an_empty_set)
{
	uint64_t bucket = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, bucket, "rose", "red");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/garden/rose?tagging"), 200);
	ck_assert_ptr_nonnull(strstr(answer(), "<TagSet></TagSet>"));
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/garden/rose?tagging&versionId=null"), 200);
	assert_error("GET", "/garden/rose?tagging&versionId=wrong", 400, "InvalidArgument");
}
END_TEST

static TCase *make_case(Suite *suite, const char *name)
{
	TCase *made = tcase_create(name);
	tcase_add_checked_fixture(made, setup, teardown);
	tcase_set_timeout(made, 60);
	suite_add_tcase(suite, made);
	return made;
}

int main(void)
{
	Suite *suite = suite_create("op_bucket");
	TCase *create = make_case(suite, "create");
	tcase_add_test(create, a_bucket_that_was_made_is_there);
	tcase_add_test(create, a_trailing_slash_means_the_bucket);
	tcase_add_test(create, the_own_bucket_is_not_made_again);
	tcase_add_test(create, in_the_oldest_region_making_it_again_succeeds);
	tcase_add_test(create, the_bucket_of_another_exists);
	tcase_add_test(create, a_name_that_is_none_is_refused);
	tcase_add_test(create, nobody_makes_more_buckets_than_allowed);
	tcase_add_test(create, what_a_bucket_cannot_have_is_refused);
	TCase *body = make_case(suite, "body");
	tcase_add_test(body, the_own_region_is_a_good_location);
	tcase_add_test(body, another_region_is_not);
	tcase_add_test(body, the_region_that_signed_is_good_unless_regions_are_strict);
	tcase_add_test(body, what_is_not_xml_is_refused);
	tcase_add_test(body, a_body_may_come_in_small_and_late_pieces);
	tcase_add_test(body, a_body_with_another_digest_than_was_signed_is_refused);
	tcase_add_test(body, a_content_md5_must_be_right);
	tcase_add_test(body, a_checksum_header_must_be_right);
	tcase_add_test(body, a_trailer_is_checked);
	tcase_add_test(body, a_body_that_breaks_off_makes_nothing);
	tcase_add_test(body, a_document_that_is_too_long_is_not_read);
	TCase *remove = make_case(suite, "delete");
	tcase_add_test(remove, an_empty_bucket_is_deleted);
	tcase_add_test(remove, a_bucket_with_an_object_is_not);
	TCase *list = make_case(suite, "list");
	tcase_add_test(list, everybody_sees_the_own_buckets);
	tcase_add_test(list, buckets_come_in_pages);
	tcase_add_test(list, buckets_are_chosen_by_prefix_and_region);
	tcase_add_test(list, max_buckets_is_1_to_10000);
	tcase_add_test(list, a_thousand_buckets_are_one_answer);
	TCase *stub = make_case(suite, "stub");
	tcase_add_test(stub, the_location_is_the_region_but_for_the_oldest);
	tcase_add_test(stub, versioning_that_was_never_set_is_an_empty_element);
	tcase_add_test(stub, configurations_that_are_not_there_have_codes_of_their_own);
	tcase_add_test(stub, writes_of_what_is_not_served_are_not_implemented);
	tcase_add_test(stub, the_acl_is_that_of_the_owner);
	tcase_add_test(stub, the_acl_of_an_object_needs_the_object);
	tcase_add_test(stub, an_object_without_tags_has_an_empty_set);
	return test_run(suite);
}
