/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_body.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/xml_out.h"
#include "tests/lib/test.h"

static char seen[1024];
static uint32_t seen_count;
static enum s3_code answer;

static enum s3_code feed(struct xml_in *in, struct bytes document)
{
	enum s3_code code = S3_OK;
	for (; document.len > 0 && code == S3_OK; document = bytes_from(document, 1))
		code = xml_in_feed(in, bytes_make(document.data, 1));
	if (code == S3_OK)
		code = xml_in_finish(in);
	xml_in_fini(in);
	return code;
}

static void put(const char *label, struct bytes text)
{
	size_t len = strlen(seen);
	snprintf(seen + len, sizeof seen - len, "%s%.*s", label, (int)text.len,
		(const char *)text.data);
}

/* --- Delete ---------------------------------------------------------------------------------- */

static enum s3_code object_seen(void *context, const struct xml_delete_object *object)
{
	ck_assert_ptr_eq(context, seen);
	put(" ", object->key);
	if (object->has_version_id)
		put("?", object->version_id);
	if (object->has_etag)
		put("!", object->etag);
	seen_count++;
	return answer;
}

static struct xml_delete delete;

static enum s3_code parse_delete(const char *text)
{
	seen[0] = 0;
	seen_count = 0;
	ck_assert_ok(xml_delete_init(&delete, object_seen, seen));
	return feed(&delete.in, bytes_of(text));
}

START_TEST(a_delete_names_its_objects)
{
	ck_assert_int_eq(
		parse_delete(
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete xmlns=\""
			"http://s3.amazonaws.com/doc/2006-03-01/\">\n <Object>\n  <Key>a &"
			"lt;b</Key>"
			"</Object><Object><VersionId>v1</VersionId><Key> c</Key><ETag>&quot;e&quot;"
			"</ETag><Size>5</Size><LastModifiedTime>Sun, 06 Nov 1994 08:49:37 GMT"
			"</LastModifiedTime><New>x</New></Object><Quiet> true </Quiet></Delete>"),
		S3_OK);
	ck_assert_str_eq(seen, " a <b  c?v1!e");
	ck_assert(delete.is_quiet);
	ck_assert_uint_eq(delete.object_count, 2);
	ck_assert_uint_eq(delete.now.size, 5);
	ck_assert_uint_eq(delete.now.last_modified_s, 784111777);
	ck_assert_int_eq(
		parse_delete("<Delete><Quiet>false</Quiet><Object><Key>a</Key></Object></Delete>"),
		S3_OK);
	ck_assert(!delete.is_quiet);
}
END_TEST

#define BAD_TIME "<LastModifiedTime>x</LastModifiedTime>"

START_TEST(a_broken_delete_is_refused)
{
	static const char *const bad[] = {"<Delete/>", "<Delete><Quiet>true</Quiet></Delete>",
		"<Delete><Object/></Delete>", "<Delete><Object><Key/></Object></Delete>",
		"<Other><Object><Key>a</Key></Object></Other>",
		"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
		"<Delete><Object><Key>a</Key><Size>x</Size></Object></Delete>",
		"<Delete><Object><Key>a</Key></Object><Quiet>maybe</Quiet></Delete>",
		"<Delete><Object><Key>a</Key>" BAD_TIME "</Object></Delete>",
		"<Delete><Object><Key>a&x</Key></Object></Delete>"};
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		ck_assert_msg(parse_delete(bad[i]) == S3_MALFORMED_XML, "%s", bad[i]);
	answer = S3_ACCESS_DENIED;
	ck_assert_int_eq(
		parse_delete("<Delete><Object><Key>a</Key></Object></Delete>"), S3_ACCESS_DENIED);
	answer = S3_OK;
}
END_TEST

START_TEST(a_delete_has_at_most_1000_objects)
{
	static char text[64 * 1024];
	for (uint32_t count = 1000; count <= 1001; count++) {
		struct text_out out;
		text_out_init(&out, text, sizeof text - 1);
		text_put_text(&out, "<Delete>");
		for (uint32_t i = 0; i < count; i++)
			text_put_text(&out, "<Object><Key>k</Key></Object>");
		text_put_text(&out, "</Delete>");
		text[out.len] = 0;
		ck_assert_int_eq(parse_delete(text), count <= 1000 ? S3_OK : S3_MALFORMED_XML);
		ck_assert_uint_eq(seen_count, 1000);
	}
}
END_TEST

START_TEST(keys_written_by_xml_out_are_read_back)
{
	uint64_t seed = 8;
	for (int round = 0; round < 3000; round++) {
		static const char alphabet[] = "ab/<>&\"' \t\n\r%+;]\x7f";
		char key[40], text[1024];
		size_t len = 1 + test_random(&seed) % (sizeof key - 1);
		for (size_t i = 0; i < len; i++)
			key[i] = alphabet[test_random(&seed) % strlen(alphabet)];
		struct text_out out;
		text_out_init(&out, text, sizeof text - 1);
		text_put_text(&out, "<Delete><Object><Key>");
		xml_put(&out, bytes_make(key, len));
		text_put_text(&out, "</Key></Object></Delete>");
		text[out.len] = 0;
		ck_assert_int_eq(parse_delete(text), S3_OK);
		ck_assert(bytes_is_equal(bytes_of(seen + 1), bytes_make(key, len)));
	}
}
END_TEST

/* --- CompleteMultipartUpload ----------------------------------------------------------------- */

static enum s3_code part_seen(void *context, const struct xml_part *part)
{
	char number[16];
	ck_assert_ptr_eq(context, seen);
	snprintf(number, sizeof number, " %u", part->number);
	put(number, bytes_of(""));
	put("=", part->etag);
	for (size_t i = 0; i < XML_CHECKSUM_COUNT; i++) {
		if (part->checksums[i].data)
			put("!", part->checksums[i]);
	}
	seen_count++;
	return S3_OK;
}

static enum s3_code parse_complete(const char *text)
{
	static struct xml_complete body;
	seen[0] = 0;
	seen_count = 0;
	ck_assert_ok(xml_complete_init(&body, part_seen, seen));
	enum s3_code code = feed(&body.in, bytes_of(text));
	if (code == S3_OK)
		ck_assert_uint_eq(body.part_count, seen_count);
	return code;
}

START_TEST(parts_are_read_whatever_the_root_is_called)
{
	static const char *const roots[] = {
		"CompleteMultipartUpload", "CompletedMultipartUpload", "x"};
	for (size_t i = 0; i < ARRAY_COUNT(roots); i++) {
		char text[1024];
		snprintf(text, sizeof text,
			"<%s><Part><PartNumber> 1 </PartNumber><ETag>\"a\"</ETag></"
			"Part><Part><ETag>b"
			"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumSHA256>s</"
			"ChecksumSHA256>"
			"<PartNumber>10000</PartNumber></Part></%s>",
			roots[i], roots[i]);
		ck_assert_int_eq(parse_complete(text), S3_OK);
		ck_assert_str_eq(seen, " 1=a 10000=b!AAAAAA==!s");
	}
}
END_TEST

#define PART(number) "<Part><PartNumber>" number "</PartNumber><ETag>e</ETag></Part>"

START_TEST(broken_part_lists_have_the_codes_of_s3)
{
	static const struct {
		const char *text;
		enum s3_code code;
	} cases[] = {
		{"<C/>", S3_MALFORMED_XML},
		{"<C><Part/></C>", S3_MALFORMED_XML},
		{"<C><Part><PartNumber>1</PartNumber></Part></C>", S3_MALFORMED_XML},
		{"<C><Part><ETag>e</ETag></Part></C>", S3_MALFORMED_XML},
		{"<C>" PART("x") "</C>", S3_MALFORMED_XML},
		{"<C>" PART("-1") "</C>", S3_MALFORMED_XML},
		{"<C>" PART("0") "</C>", S3_INVALID_ARGUMENT},
		{"<C>" PART("10001") "</C>", S3_INVALID_ARGUMENT},
		{"<C>" PART("2") PART("1") "</C>", S3_INVALID_PART_ORDER},
		{"<C>" PART("1") PART("1") "</C>", S3_INVALID_PART_ORDER},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		ck_assert_msg(parse_complete(cases[i].text) == cases[i].code, "%s", cases[i].text);
}
END_TEST

START_TEST(ten_thousand_parts_are_taken)
{
	enum { CAP = 4 << 20 };
	char *text = malloc(CAP);
	struct text_out out;
	text_out_init(&out, text, CAP - 1);
	text_put_text(&out, "<C>");
	for (uint32_t i = 1; i <= 10000; i++) {
		text_put_text(&out, "<Part><PartNumber>");
		text_put_uint(&out, i);
		text_put_text(&out,
			"</PartNumber><ETag>\"0123456789abcdef0123456789abcdef\"</ETag>"
			"<ChecksumSHA256>AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
			"</ChecksumSHA256></Part>");
	}
	text_put_text(&out, "</C>");
	ck_assert(!out.overflowed);
	text[out.len] = 0;
	ck_assert_int_eq(parse_complete(text), S3_OK);
	ck_assert_uint_eq(seen_count, 10000);
	free(text);
}
END_TEST

/* --- the small ones -------------------------------------------------------------------------- */

static enum s3_code parse_create_bucket(const char *text, const char *location)
{
	struct xml_create_bucket body;
	ck_assert_ok(xml_create_bucket_init(&body));
	enum s3_code code = feed(&body.in, bytes_of(text));
	if (code == S3_OK)
		ck_assert(bytes_is_text(bytes_make(body.location, body.location_len), location));
	return code;
}

#define CREATE(inside) "<CreateBucketConfiguration>" inside "</CreateBucketConfiguration>"

START_TEST(a_location_may_be_given_empty_or_absent)
{
	ck_assert_int_eq(
		parse_create_bucket(
			CREATE("<LocationConstraint>eu-west-1</LocationConstraint>"), "eu-west-1"),
		S3_OK);
	ck_assert_int_eq(parse_create_bucket(CREATE("<LocationConstraint/>"), ""), S3_OK);
	ck_assert_int_eq(parse_create_bucket(CREATE(""), ""), S3_OK);
	ck_assert_int_eq(parse_create_bucket("<Other/>", ""), S3_MALFORMED_XML);
	ck_assert_int_eq(
		parse_create_bucket(
			CREATE("<LocationConstraint>"
			       "01234567890123456789012345678901234567890123456789012345678901234"
			       "</LocationConstraint>"),
			""),
		S3_INVALID_LOCATION_CONSTRAINT);
}
END_TEST

static enum s3_code parse_versioning(const char *text, enum xml_versioning_status *ret_status)
{
	struct xml_versioning body;
	ck_assert_ok(xml_versioning_init(&body));
	enum s3_code code = feed(&body.in, bytes_of(text));
	*ret_status = body.status;
	return code;
}

#define VERSIONING(inside) "<VersioningConfiguration>" inside "</VersioningConfiguration>"

START_TEST(versioning_is_enabled_or_suspended)
{
	enum xml_versioning_status status;
	ck_assert_int_eq(parse_versioning(VERSIONING("<Status>Enabled</Status>"), &status), S3_OK);
	ck_assert_int_eq(status, XML_VERSIONING_ENABLED);
	ck_assert_int_eq(
		parse_versioning(VERSIONING("<MfaDelete>Disabled</MfaDelete><Status>Suspended"
					    "</Status>"),
			&status),
		S3_OK);
	ck_assert_int_eq(status, XML_VERSIONING_SUSPENDED);
	ck_assert_int_eq(parse_versioning(VERSIONING("<Status>enabled</Status>"), &status),
		S3_MALFORMED_XML);
	ck_assert_int_eq(
		parse_versioning(VERSIONING(""), &status), S3_ILLEGAL_VERSIONING_CONFIGURATION);
	ck_assert_int_eq(parse_versioning(VERSIONING("<MfaDelete>Enabled</MfaDelete>"), &status),
		S3_NOT_IMPLEMENTED);
	ck_assert_int_eq(parse_versioning("<X/>", &status), S3_MALFORMED_XML);
}
END_TEST

static enum s3_code parse_tagging(const char *text)
{
	static struct xml_tagging body;
	uint8_t buf[64];
	ck_assert_ok(xml_tagging_init(&body, 2, buf, sizeof buf));
	enum s3_code code = feed(&body.in, bytes_of(text));
	seen[0] = 0;
	for (uint32_t i = 0; i < body.tag_count; i++) {
		put(" ", body.tags[i].key);
		put("=", body.tags[i].value);
	}
	return code;
}

#define TAG(key, value) "<Tag><Key>" key "</Key><Value>" value "</Value></Tag>"
#define TAGGING(tags) "<Tagging><TagSet>" tags "</TagSet></Tagging>"

START_TEST(tags_are_collected)
{
	ck_assert_int_eq(parse_tagging(TAGGING("")), S3_OK);
	ck_assert_str_eq(seen, "");
	ck_assert_int_eq(parse_tagging(TAGGING(TAG("a", " 1 ") TAG("b&amp;", ""))), S3_OK);
	ck_assert_str_eq(seen, " a= 1  b&=");
}
END_TEST

START_TEST(bad_tags_are_refused)
{
	static const struct {
		const char *text;
		enum s3_code code;
	} cases[] = {
		{TAGGING(TAG("a", "1") TAG("a", "2")), S3_INVALID_TAG},
		{TAGGING(TAG("a", "1") TAG("b", "2") TAG("c", "3")), S3_INVALID_TAG},
		{TAGGING(TAG("", "1")), S3_INVALID_TAG},
		{TAGGING(TAG("aws:a", "1")), S3_INVALID_TAG},
		{TAGGING(TAG("a",
			 "0123456789012345678901234567890123456789012345678901234567890123456")),
			S3_INVALID_TAG},
		{TAGGING("<Tag><Key>a</Key></Tag>"), S3_MALFORMED_XML},
		{TAGGING("<Tag><Value>a</Value></Tag>"), S3_MALFORMED_XML},
		{TAGGING("<Tag><Key>a</Key><Key>b</Key><Value/></Tag>"), S3_MALFORMED_XML},
		{TAGGING("<Other/>"), S3_MALFORMED_XML},
		{"<Tagging><Tags/></Tagging>", S3_MALFORMED_XML},
		{"<X/>", S3_MALFORMED_XML},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		ck_assert_msg(parse_tagging(cases[i].text) == cases[i].code, "%s", cases[i].text);
}
END_TEST

static bool is_private(const char *grants)
{
	char text[2048];
	struct xml_acl body;
	snprintf(text, sizeof text,
		"<AccessControlPolicy><Owner><ID>me</ID><DisplayName>x</DisplayName>"
		"</Owner><AccessControlList>%s</AccessControlList></AccessControlPolicy>",
		grants);
	ck_assert_ok(xml_acl_init(&body));
	ck_assert_int_eq(feed(&body.in, bytes_of(text)), S3_OK);
	return xml_acl_is_private(&body);
}

#define GRANT(grantee, permission) \
	"<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" " \
	"xsi:type=\"CanonicalUser\">" grantee "</Grantee><Permission>" permission \
	"</Permission></Grant>"

START_TEST(a_private_acl_is_recognised)
{
	ck_assert(is_private(""));
	ck_assert(is_private(GRANT("<ID>me</ID><DisplayName>x</DisplayName>", "FULL_CONTROL")));
	ck_assert(!is_private(GRANT("<ID>you</ID>", "FULL_CONTROL")));
	ck_assert(!is_private(GRANT("<ID>me</ID>", "READ")));
	ck_assert(!is_private(GRANT("<ID>me</ID>", "FULL_CONTROL") GRANT("<ID>you</ID>", "READ")));
	ck_assert(!is_private(
		GRANT("<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>", "READ")));
	ck_assert(!is_private(GRANT("<EmailAddress>a@b</EmailAddress>", "FULL_CONTROL")));
	ck_assert(!is_private(GRANT("", "FULL_CONTROL")));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("xml_body");
	TCase *tc = tcase_create("xml_body");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_delete_names_its_objects);
	tcase_add_test(tc, a_broken_delete_is_refused);
	tcase_add_test(tc, a_delete_has_at_most_1000_objects);
	tcase_add_test(tc, keys_written_by_xml_out_are_read_back);
	tcase_add_test(tc, parts_are_read_whatever_the_root_is_called);
	tcase_add_test(tc, broken_part_lists_have_the_codes_of_s3);
	tcase_add_test(tc, ten_thousand_parts_are_taken);
	tcase_add_test(tc, a_location_may_be_given_empty_or_absent);
	tcase_add_test(tc, versioning_is_enabled_or_suspended);
	tcase_add_test(tc, tags_are_collected);
	tcase_add_test(tc, bad_tags_are_refused);
	tcase_add_test(tc, a_private_acl_is_recognised);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
