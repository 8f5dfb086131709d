/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/acl.h"

#include <stdlib.h>

#include "tests/lib/test.h"

static struct acl acl;
static const struct bytes nobody;

static bool allows(const char *user, enum acl_permission permission)
{
	return acl_allows(acl_bytes(&acl), user ? bytes_of(user) : nobody, permission, false);
}

static enum s3_code canned(const char *name, const char *bucket_owner)
{
	return acl_make_canned(&acl, bytes_of(name), bytes_of("ann"), bytes_of(bucket_owner));
}

START_TEST(canned_lists_say_what_S3_says)
{
	ck_assert_int_eq(canned("private", "bob"), S3_OK);
	ck_assert_uint_eq(acl.len, 0);
	ck_assert(!allows(NULL, ACL_READ) && !allows("ann", ACL_READ));
	ck_assert_int_eq(canned("public-read", "bob"), S3_OK);
	ck_assert(
		allows(NULL, ACL_READ) && !allows(NULL, ACL_WRITE) && !allows(NULL, ACL_READ_ACP));
	ck_assert(allows("ann", ACL_WRITE_ACP) && acl_is_public(acl_bytes(&acl)));
	ck_assert_int_eq(canned("public-read-write", ""), S3_OK);
	ck_assert(allows(NULL, ACL_WRITE));
	ck_assert_int_eq(canned("authenticated-read", "bob"), S3_OK);
	ck_assert(allows("eve", ACL_READ) && !allows(NULL, ACL_READ));
	ck_assert(acl_is_public(acl_bytes(&acl)));
	ck_assert_int_eq(canned("bucket-owner-read", "bob"), S3_OK);
	ck_assert(allows("bob", ACL_READ) && !allows("bob", ACL_READ_ACP) &&
		!allows("eve", ACL_READ));
	ck_assert_int_eq(canned("bucket-owner-full-control", "bob"), S3_OK);
	ck_assert(allows("bob", ACL_WRITE_ACP) && !acl_is_public(acl_bytes(&acl)));
	ck_assert_int_eq(canned("bucket-owner-full-control", "ann"), S3_OK);
	ck_assert_uint_eq(acl.len, 0);
	ck_assert_int_eq(canned("log-delivery-write", ""), S3_OK);
	ck_assert(!allows(NULL, ACL_WRITE) && !allows("eve", ACL_WRITE));
	ck_assert_int_eq(canned("log-delivery-write", "bob"), S3_OK);
	ck_assert_uint_eq(acl.len, 0);
	ck_assert_int_eq(canned("aws-exec-read", "bob"), S3_INVALID_ARGUMENT);
	ck_assert_int_eq(canned("", "bob"), S3_INVALID_ARGUMENT);
}
END_TEST

START_TEST(public_grants_may_be_ignored_and_others_are_not)
{
	acl_init(&acl);
	ck_assert_int_eq(
		acl_add_header(&acl, ACL_READ,
			bytes_of("id=\"eve\", "
				 "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"")),
		S3_OK);
	struct bytes eve = bytes_of("eve"), blob = acl_bytes(&acl);
	ck_assert(acl_allows(blob, nobody, ACL_READ, false));
	ck_assert(!acl_allows(blob, nobody, ACL_READ, true));
	ck_assert(acl_allows(blob, eve, ACL_READ, true));
	ck_assert(!acl_allows(blob, bytes_of("ev"), ACL_READ, true));
}
END_TEST

START_TEST(headers_that_are_none_are_refused)
{
	static const char *const broken[] = {"", "eve", "id=", "id=\"\"", "name=eve", "uri=x",
		"id=eve,",
		"id=0123456789012345678901234567890123456789012345678901234567890123456789"};
	for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
		acl_init(&acl);
		enum s3_code code = acl_add_header(&acl, ACL_READ, bytes_of(broken[i]));
		/* A comma at the end is no grantee. */
		ck_assert_msg(code == (i == 6 ? S3_OK : S3_INVALID_ARGUMENT), "%s", broken[i]);
	}
	acl_init(&acl);
	ck_assert_int_eq(acl_add_header(&acl, ACL_READ, bytes_of("emailAddress=\"a@b\"")),
		S3_UNRESOLVABLE_GRANT);
}
END_TEST

START_TEST(a_list_has_a_bound_in_grants_and_bytes)
{
	struct acl_grant grant = {ACL_READ, ACL_USER, bytes_of("u")};
	acl_init(&acl);
	for (int i = 0; i < ACL_GRANTS_MAX; i++)
		ck_assert_int_eq(acl_append(&acl, &grant), ERR_OK);
	ck_assert_int_eq(acl_append(&acl, &grant), ERR_LIMIT);
	static const uint8_t longest[ROW_OWNER_LEN_MAX];
	grant.id = bytes_make(longest, sizeof longest);
	acl_init(&acl);
	while (acl_append(&acl, &grant) == ERR_OK)
		;
	ck_assert_uint_eq(acl.grant_count, 3);
	ck_assert_uint_le(acl.len, ROW_ACL_LEN_MAX);
}
END_TEST

START_TEST(damage_allows_nothing)
{
	ck_assert_int_eq(canned("public-read", "bob"), S3_OK);
	for (size_t len = 0; len < acl.len; len++)
		ck_assert(!acl_allows(bytes_make(acl.buf, len), nobody, ACL_READ, false));
	acl.buf[0] = ACL_FORMAT + 1;
	ck_assert(!allows(NULL, ACL_READ) && !allows("ann", ACL_READ));
}
END_TEST

static enum s3_code read_document(const char *text)
{
	struct acl_document document;
	ck_assert_int_eq(acl_document_init(&document), ERR_OK);
	enum s3_code code = xml_in_feed(&document.in, bytes_of(text));
	if (code == S3_OK)
		code = xml_in_finish(&document.in);
	xml_in_fini(&document.in);
	acl = document.acl;
	return code;
}

#define DOCUMENT(grants) \
	"<AccessControlPolicy><Owner><ID>ann</ID></Owner><AccessControlList>" grants \
	"</AccessControlList></AccessControlPolicy>"
#define GRANT(grantee, permission) \
	"<Grant><Grantee>" grantee "</Grantee><Permission>" permission "</Permission></Grant>"

START_TEST(a_document_comes_back_as_it_was_sent)
{
	uint8_t buf[4096];
	struct text_out out;
	ck_assert_int_eq(read_document(DOCUMENT(GRANT("<ID>eve</ID>", "READ")
					 GRANT("<ID>ann</ID>", "FULL_CONTROL"))),
		S3_OK);
	text_out_init(&out, buf, sizeof buf);
	acl_put_document(&out, bytes_of("ann"), acl_bytes(&acl));
	text_put_char(&out, '\0');
	ck_assert(!out.overflowed);
	struct acl first = acl;
	ck_assert_int_eq(read_document((const char *)buf), S3_OK);
	ck_assert(bytes_is_equal(acl_bytes(&first), acl_bytes(&acl)));
}
END_TEST

START_TEST(documents_that_are_none_are_refused)
{
	static const struct {
		const char *text;
		enum s3_code code;
	} cases[] = {
		{"<AccessControl/>", S3_MALFORMED_ACL},
		{DOCUMENT("<Other/>"), S3_MALFORMED_ACL},
		{DOCUMENT("<Grant></Grant>"), S3_MALFORMED_ACL},
		{DOCUMENT(GRANT("<ID>eve</ID>", "ALL")), S3_MALFORMED_ACL},
		{DOCUMENT(GRANT("", "READ")), S3_MALFORMED_ACL},
		{DOCUMENT(GRANT("<ID>a</ID><ID>b</ID>", "READ")), S3_MALFORMED_ACL},
		{DOCUMENT(GRANT("<ID></ID>", "READ")), S3_INVALID_ARGUMENT},
		{DOCUMENT(GRANT("<URI>http://x</URI>", "READ")), S3_INVALID_ARGUMENT},
		{DOCUMENT(GRANT("<EmailAddress>a@b</EmailAddress>", "READ")),
			S3_UNRESOLVABLE_GRANT},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		ck_assert_msg(read_document(cases[i].text) == cases[i].code, "%s", cases[i].text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("acl");
	TCase *tc = tcase_create("acl");
	tcase_add_test(tc, canned_lists_say_what_S3_says);
	tcase_add_test(tc, public_grants_may_be_ignored_and_others_are_not);
	tcase_add_test(tc, headers_that_are_none_are_refused);
	tcase_add_test(tc, a_list_has_a_bound_in_grants_and_bytes);
	tcase_add_test(tc, damage_allows_nothing);
	tcase_add_test(tc, a_document_comes_back_as_it_was_sent);
	tcase_add_test(tc, documents_that_are_none_are_refused);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
