/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_bucket_config.h"

#include <stdio.h>

#include "gateway/bucket_config.h"
#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

static struct gateway_rig rig;

static void setup(void)
{
	gateway_rig_open(&rig);
	gateway_rig_bucket(&rig, "garden");
}

static void teardown(void)
{
	gateway_rig_close(&rig);
}

static const char *answer(void)
{
	return rig.fake.answer ? (const char *)rig.fake.answer : "";
}

static void assert_refused(const char *target, const char *body, unsigned status, const char *code)
{
	ck_assert_msg(gateway_rig_send(&rig, "PUT", target, body) == status, "%s: %u %s", body,
		rig.fake.response.status, answer());
	ck_assert_str_eq(gateway_rig_code(&rig), code);
}

#define DECLARED "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define TAG(key, value) "<Tag><Key>" key "</Key><Value>" value "</Value></Tag>"
#define TAGGING(tags) "<Tagging" NS "><TagSet>" tags "</TagSet></Tagging>"
#define RULE(items) "<CORSRule>" items "</CORSRule>"
#define CORS(rules) "<CORSConfiguration" NS ">" rules "</CORSConfiguration>"
#define ORIGIN(text) "<AllowedOrigin>" text "</AllowedOrigin>"
#define METHOD(text) "<AllowedMethod>" text "</AllowedMethod>"
#define LEAST ORIGIN("*") METHOD("GET")
#define OWNERSHIP(text) \
	"<OwnershipControls" NS "><Rule><ObjectOwnership>" text \
	"</ObjectOwnership></Rule></OwnershipControls>"
#define ENCRYPTION(algorithm) \
	"<ServerSideEncryptionConfiguration" NS "><Rule><ApplyServerSideEncryptionByDefault>" \
	"<SSEAlgorithm>" algorithm "</SSEAlgorithm></ApplyServerSideEncryptionByDefault>" \
	"<BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>"
#define BLOCK(items) \
	"<PublicAccessBlockConfiguration" NS ">" items "</PublicAccessBlockConfiguration>"

/* --- what is set is given back ---------------------------------------------------------------- */

static const struct kept {
	const char *target, *document;
	unsigned status;
	const char *missing;
} kept[] = {
	{"/garden?encryption", ENCRYPTION("AES256"), 200,
		"ServerSideEncryptionConfigurationNotFoundError"},
	{"/garden?tagging", TAGGING(TAG("a", "1") TAG("b&amp;", "")), 204, "NoSuchTagSet"},
	{"/garden?cors",
		CORS(RULE("<ID>one</ID>" ORIGIN("https://*.example.org") METHOD("GET")
				METHOD("PUT") "<AllowedHeader>x-*</AllowedHeader>"
					      "<ExposeHeader>ETag</ExposeHeader>"
					      "<MaxAgeSeconds>3000</MaxAgeSeconds>") RULE(LEAST)),
		200, "NoSuchCORSConfiguration"},
	{"/garden?ownershipControls", OWNERSHIP("BucketOwnerEnforced"), 200,
		"OwnershipControlsNotFoundError"},
	{"/garden?publicAccessBlock",
		BLOCK("<BlockPublicAcls>true</BlockPublicAcls>"
		      "<IgnorePublicAcls>false</IgnorePublicAcls>"
		      "<BlockPublicPolicy>true</BlockPublicPolicy>"
		      "<RestrictPublicBuckets>false</RestrictPublicBuckets>"),
		200, "NoSuchPublicAccessBlockConfiguration"},
};

START_TEST(what_was_set_is_given_back)
{
	const struct kept *one = &kept[_i];
	char expected[1024];
	snprintf(expected, sizeof expected, DECLARED "%s", one->document);
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", one->target, one->document), one->status);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", one->target), 200);
	ck_assert_str_eq(answer(), expected);
	ck_assert_str_eq(fake_exchange_answer_header(&rig.fake, "content-type"), "application/xml");
}
END_TEST

START_TEST(what_was_removed_is_not_set)
{
	const struct kept *one = &kept[_i];
	gateway_rig_send(&rig, "PUT", one->target, one->document);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "DELETE", one->target), 204);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", one->target), 404);
	ck_assert_str_eq(gateway_rig_code(&rig), one->missing);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "DELETE", one->target), 204);
}
END_TEST

START_TEST(a_bucket_that_is_made_again_has_no_configuration)
{
	const struct kept *one = &kept[_i];
	gateway_rig_send(&rig, "PUT", one->target, one->document);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "DELETE", "/garden"), 204);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "PUT", "/garden"), 200);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", one->target), 404);
	ck_assert_str_eq(gateway_rig_code(&rig), one->missing);
}
END_TEST

START_TEST(a_configuration_is_the_owners_business)
{
	const struct kept *one = &kept[_i];
	gateway_rig_be(&rig, "bob");
	assert_refused(one->target, one->document, 403, "AccessDenied");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", one->target), 403);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "DELETE", one->target), 403);
}
END_TEST

START_TEST(of_a_bucket_that_is_not_there_nothing_is_set)
{
	const struct kept *one = &kept[_i];
	char target[64];
	snprintf(target, sizeof target, "/meadow%s", one->target + strlen("/garden"));
	assert_refused(target, one->document, 404, "NoSuchBucket");
}
END_TEST

START_TEST(a_second_configuration_replaces_the_first)
{
	gateway_rig_send(&rig, "PUT", "/garden?tagging", TAGGING(TAG("a", "1")));
	gateway_rig_send(&rig, "PUT", "/garden?tagging", TAGGING(TAG("b", "2")));
	gateway_rig_ask(&rig, "GET", "/garden?tagging");
	ck_assert_str_eq(answer(), DECLARED TAGGING(TAG("b", "2")));
}
END_TEST

START_TEST(no_tags_are_no_set_of_tags)
{
	gateway_rig_send(&rig, "PUT", "/garden?tagging", TAGGING(TAG("a", "1")));
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden?tagging", TAGGING("")), 204);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/garden?tagging"), 404);
	ck_assert_str_eq(gateway_rig_code(&rig), "NoSuchTagSet");
}
END_TEST

START_TEST(what_is_not_said_of_public_access_is_false)
{
	gateway_rig_send(&rig, "PUT", "/garden?publicAccessBlock",
		BLOCK("<RestrictPublicBuckets>TRUE</RestrictPublicBuckets>"));
	gateway_rig_ask(&rig, "GET", "/garden?publicAccessBlock");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "BlockPublicAcls"), "false");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "RestrictPublicBuckets"), "true");
}
END_TEST

/* --- what is refused -------------------------------------------------------------------------- */

static const struct refused {
	const char *target, *document;
	unsigned status;
	const char *code;
} refused[] = {
	{"tagging", "", 400, "MissingRequestBodyError"},
	{"tagging", "{}", 400, "MalformedXML"},
	{"tagging", "<Tagging>", 400, "MalformedXML"},
	{"tagging", "<Tags/>", 400, "MalformedXML"},
	{"tagging", TAGGING("<Tag><Key>a</Key></Tag>"), 400, "MalformedXML"},
	{"tagging", TAGGING(TAG("a", "1") TAG("a", "2")), 400, "InvalidTag"},
	{"tagging", TAGGING(TAG("", "1")), 400, "InvalidTag"},
	{"tagging", TAGGING(TAG("aws:a", "1")), 400, "InvalidTag"},
	{"tagging", "<!DOCTYPE a [<!ENTITY b \"c\">]>" TAGGING(""), 400, "MalformedXML"},
	{"cors", "", 400, "MissingRequestBodyError"},
	{"cors", CORS(""), 400, "MalformedXML"},
	{"cors", CORS(RULE("")), 400, "MalformedXML"},
	{"cors", CORS(RULE(ORIGIN("*"))), 400, "MalformedXML"},
	{"cors", CORS(RULE(METHOD("GET"))), 400, "MalformedXML"},
	{"cors", CORS(RULE(LEAST "<Other/>")), 400, "MalformedXML"},
	{"cors", CORS(RULE(LEAST) "<Other/>"), 400, "MalformedXML"},
	{"cors", CORS(RULE(LEAST "<ID>a</ID><ID>b</ID>")), 400, "MalformedXML"},
	{"cors", CORS(RULE(LEAST METHOD("PATCH"))), 400, "InvalidRequest"},
	{"cors", CORS(RULE(LEAST METHOD("get"))), 400, "InvalidRequest"},
	{"cors", CORS(RULE(LEAST METHOD("OPTIONS"))), 400, "InvalidRequest"},
	{"cors", CORS(RULE(LEAST ORIGIN("http://*.*"))), 400, "InvalidRequest"},
	{"cors", CORS(RULE(LEAST ORIGIN("a b"))), 400, "MalformedXML"},
	{"cors", CORS(RULE(LEAST ORIGIN("a&#13;&#10;b"))), 400, "MalformedXML"},
	{"cors", CORS(RULE(LEAST "<AllowedHeader>*a*</AllowedHeader>")), 400, "InvalidRequest"},
	{"cors", CORS(RULE(LEAST "<ExposeHeader>x-*</ExposeHeader>")), 400, "InvalidRequest"},
	{"cors", CORS(RULE(LEAST "<MaxAgeSeconds>-1</MaxAgeSeconds>")), 400, "MalformedXML"},
	{"cors", CORS(RULE(LEAST "<MaxAgeSeconds/>")), 400, "MalformedXML"},
	{"ownershipControls", OWNERSHIP("Somebody"), 400, "MalformedXML"},
	{"ownershipControls", "<OwnershipControls/>", 400, "MalformedXML"},
	{"ownershipControls",
		"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership>"
		"</Rule><Rule/></OwnershipControls>",
		400, "MalformedXML"},
	{"publicAccessBlock", BLOCK("<BlockPublicAcls>yes</BlockPublicAcls>"), 400, "MalformedXML"},
	{"publicAccessBlock", BLOCK("<BlockPublicAcls/>"), 400, "MalformedXML"},
	{"publicAccessBlock", BLOCK("<BlockPublicAcl>true</BlockPublicAcl>"), 400, "MalformedXML"},
	{"publicAccessBlock",
		BLOCK("<BlockPublicAcls>true</BlockPublicAcls>"
		      "<BlockPublicAcls>false</BlockPublicAcls>"),
		400, "MalformedXML"},
	{"encryption", "<ServerSideEncryptionConfiguration/>", 400, "MalformedXML"},
	{"encryption", ENCRYPTION("aws:kms"), 501, "NotImplemented"},
	{"encryption", ENCRYPTION("AES128"), 400, "MalformedXML"},
};

START_TEST(a_document_that_breaks_its_rules_is_refused)
{
	const struct refused *one = &refused[_i];
	char target[64];
	snprintf(target, sizeof target, "/garden?%s", one->target);
	assert_refused(target, one->document, one->status, one->code);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", target), 404);
}
END_TEST

#define TEN "aaaaaaaaaa"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static char large[BUCKET_CONFIG_DOCUMENT_LEN_MAX + 4096];

/* head, and piece as often as it is asked for, and tail. */
static const char *repeat(const char *head, const char *piece, unsigned count, const char *tail)
{
	size_t len = snprintf(large, sizeof large, "%s", head);
	for (unsigned i = 0; i < count; i++)
		len += snprintf(large + len, sizeof large - len, piece, i);
	snprintf(large + len, sizeof large - len, "%s", tail);
	return large;
}

START_TEST(there_may_be_a_hundred_rules_and_no_more)
{
	static const char head[] = "<CORSConfiguration>", tail[] = "</CORSConfiguration>";
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden?cors",
				  repeat(head, RULE(LEAST "<ID>%u</ID>"), 100, tail)),
		200);
	assert_refused("/garden?cors", repeat(head, RULE(LEAST "<ID>%u</ID>"), 101, tail), 400,
		"InvalidRequest");
}
END_TEST

START_TEST(there_may_be_fifty_tags_and_no_more)
{
	static const char head[] = "<Tagging><TagSet>", tail[] = "</TagSet></Tagging>";
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden?tagging",
				  repeat(head, TAG("k%u", "v"), 50, tail)),
		204);
	assert_refused(
		"/garden?tagging", repeat(head, TAG("k%u", "v"), 51, tail), 400, "InvalidTag");
}
END_TEST

START_TEST(a_document_has_a_bound)
{
	assert_refused("/garden?cors",
		repeat("<CORSConfiguration>", RULE(LEAST "<!-- %u -->"), 640,
			"</CORSConfiguration>"),
		400, "InvalidRequest");
	assert_refused("/garden?cors",
		repeat("<CORSConfiguration>"
		       "<CORSRule>" LEAST,
			ORIGIN("https://" HUNDRED HUNDRED "%u"), 240,
			"</CORSRule></CORSConfiguration>"),
		400, "MaxMessageLengthExceeded");
	assert_refused("/garden?cors", repeat("<!--", HUNDRED "%u", 645, "-->"), 400,
		"MaxMessageLengthExceeded");
}
END_TEST

START_TEST(a_body_must_be_protected)
{
	gateway_rig_make(&rig, "PUT", "/garden?tagging");
	fake_exchange_body(&rig.fake, TAGGING(""), strlen(TAGGING("")));
	sign_request(&rig.fake, &rig.sign, "UNSIGNED-PAYLOAD");
	gateway_rig_run(&rig);
	ck_assert_uint_eq(rig.fake.response.status, 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "InvalidRequest");
}
END_TEST

START_TEST(a_client_that_goes_away_sets_nothing)
{
	gateway_rig_make(&rig, "PUT", "/garden?tagging");
	fake_exchange_body(&rig.fake, TAGGING(""), strlen(TAGGING("")));
	rig.fake.body_err = ERR_CLOSED;
	sign_request(&rig.fake, &rig.sign, NULL);
	gateway_rig_run(&rig);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/garden?tagging"), 404);
}
END_TEST

/* --- what the index gives back ---------------------------------------------------------------- */

START_TEST(a_blob_that_is_damaged_is_not_rendered)
{
	static const struct {
		enum bucket_config kind;
		const char *text;
		size_t len;
		enum err err;
	} blobs[] = {
		{BUCKET_CONFIG_CORS, "", 0, ERR_CORRUPT},
		{BUCKET_CONFIG_CORS, "\2", 1, ERR_VERSION},
		{BUCKET_CONFIG_CORS, "\1\1", 2, ERR_CORRUPT},
		{BUCKET_CONFIG_CORS, "\1\11\0\0", 4, ERR_CORRUPT},
		{BUCKET_CONFIG_CORS, "\1\4\2\0a", 5, ERR_CORRUPT},
		{BUCKET_CONFIG_TAGS, "\1\1", 2, ERR_CORRUPT},
		{BUCKET_CONFIG_OWNERSHIP, "\1", 1, ERR_CORRUPT},
		{BUCKET_CONFIG_OWNERSHIP, "\1\7", 2, ERR_CORRUPT},
		{BUCKET_CONFIG_PUBLIC_ACCESS, "\1\20", 2, ERR_CORRUPT},
	};
	uint8_t buf[1024];
	struct text_out out;
	text_out_init(&out, buf, sizeof buf);
	ck_assert_int_eq(bucket_config_render(
				 blobs[_i].kind, bytes_make(blobs[_i].text, blobs[_i].len), &out),
		blobs[_i].err);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("op_bucket_config");
	TCase *tc = tcase_create("configurations");
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, what_was_set_is_given_back, 0, ARRAY_COUNT(kept));
	tcase_add_loop_test(tc, what_was_removed_is_not_set, 0, ARRAY_COUNT(kept));
	tcase_add_loop_test(
		tc, a_bucket_that_is_made_again_has_no_configuration, 0, ARRAY_COUNT(kept));
	tcase_add_loop_test(tc, a_configuration_is_the_owners_business, 0, ARRAY_COUNT(kept));
	tcase_add_loop_test(tc, of_a_bucket_that_is_not_there_nothing_is_set, 0, ARRAY_COUNT(kept));
	tcase_add_test(tc, a_second_configuration_replaces_the_first);
	tcase_add_test(tc, no_tags_are_no_set_of_tags);
	tcase_add_test(tc, what_is_not_said_of_public_access_is_false);
	tcase_add_loop_test(
		tc, a_document_that_breaks_its_rules_is_refused, 0, ARRAY_COUNT(refused));
	tcase_add_test(tc, there_may_be_a_hundred_rules_and_no_more);
	tcase_add_test(tc, there_may_be_fifty_tags_and_no_more);
	tcase_add_test(tc, a_document_has_a_bound);
	tcase_add_test(tc, a_body_must_be_protected);
	tcase_add_test(tc, a_client_that_goes_away_sets_nothing);
	tcase_add_loop_test(tc, a_blob_that_is_damaged_is_not_rendered, 0, 9);
	return test_run(suite);
}
