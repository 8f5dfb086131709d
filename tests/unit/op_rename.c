/* SPDX-License-Identifier: Apache-2.0 */
/* RenameObject, on a whole node in the simulator. */
#include "tests/lib/object_rig.h"
#include "tests/lib/test.h"

static struct object_rig rig;

static void setup(void)
{
	object_rig_open(&rig, 4);
}

static void teardown(void)
{
	object_rig_close(&rig);
}

static unsigned put(const char *target, const char *text)
{
	return object_rig_send(&rig, "PUT", target, text, strlen(text));
}

static unsigned rename_with(
	const char *target, const char *source, const char *name, const char *value)
{
	object_rig_make(&rig, "PUT", target);
	if (source)
		fake_exchange_header(&rig.fake, "x-amz-rename-source", source);
	if (name)
		fake_exchange_header(&rig.fake, name, value);
	return object_rig_run(&rig, NULL);
}

static void check(const char *target, const char *text)
{
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", target), text ? 200 : 404);
	if (text) {
		ck_assert_uint_eq(rig.fake.answer_len, strlen(text));
		ck_assert_mem_eq(rig.fake.answer, text, strlen(text));
	}
}

static void check_refused(unsigned status, unsigned got, const char *code)
{
	ck_assert_uint_eq(got, status);
	ck_assert_str_eq(object_rig_code(&rig), code);
}

START_TEST(an_object_gets_another_key_and_keeps_what_it_has)
{
	object_rig_make(&rig, "PUT", "/bkt/a%20b");
	fake_exchange_header(&rig.fake, "x-amz-meta-colour", "red");
	fake_exchange_header(&rig.fake, "x-amz-tagging", "k=v");
	fake_exchange_body(&rig.fake, "text", 4);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	ck_assert_uint_eq(rename_with("/bkt/c?renameObject", "/a%20b", NULL, NULL), 200);
	check("/bkt/a%20b", NULL);
	check("/bkt/c", "text");
	ck_assert_str_eq(fake_exchange_answer_header(&rig.fake, "x-amz-meta-colour"), "red");
	ck_assert_str_eq(fake_exchange_answer_header(&rig.fake, "x-amz-tagging-count"), "1");
}
END_TEST

START_TEST(an_object_in_the_way_is_replaced_unless_a_condition_forbids_it)
{
	put("/bkt/a", "one");
	put("/bkt/b", "two");
	check_refused(412, rename_with("/bkt/b?renameObject", "a", "if-none-match", "*"),
		"PreconditionFailed");
	check_refused(412, rename_with("/bkt/b?renameObject", "a", "if-match", "\"none\""),
		"PreconditionFailed");
	check("/bkt/b", "two");
	ck_assert_uint_eq(rename_with("/bkt/b?renameObject", "a", NULL, NULL), 200);
	check("/bkt/b", "one");
	check("/bkt/a", NULL);
}
END_TEST

START_TEST(conditions_of_the_source_are_judged)
{
	put("/bkt/a", "one");
	check_refused(412,
		rename_with("/bkt/b?renameObject", "a", "x-amz-rename-source-if-match", "\"no\""),
		"PreconditionFailed");
	check_refused(412,
		rename_with("/bkt/b?renameObject", "a", "x-amz-rename-source-if-none-match",
			"\"f97c5d29941bfb1b2fdab0874906ab82\""),
		"PreconditionFailed");
	ck_assert_uint_eq(rename_with("/bkt/b?renameObject", "a", "x-amz-rename-source-if-match",
				  "\"f97c5d29941bfb1b2fdab0874906ab82\""),
		200);
	check("/bkt/b", "one");
}
END_TEST

START_TEST(what_cannot_be_renamed_is_refused)
{
	put("/bkt/a", "one");
	check_refused(404, rename_with("/bkt/b?renameObject", "none", NULL, NULL), "NoSuchKey");
	check_refused(400, rename_with("/bkt/a?renameObject", "a", NULL, NULL), "InvalidRequest");
	check_refused(400, rename_with("/bkt/b?renameObject", NULL, NULL, NULL), "InvalidArgument");
	check_refused(400, rename_with("/bkt/b?renameObject", "/", NULL, NULL), "InvalidArgument");
	check_refused(400, rename_with("/bkt/b?renameObject", "%x", NULL, NULL), "InvalidArgument");
	check_refused(501,
		rename_with("/bkt/b?renameObject", "a", "if-modified-since",
			"Sat, 21 Nov 2026 12:48:16 GMT"),
		"NotImplemented");
	check("/bkt/a", "one");
}
END_TEST

START_TEST(a_bucket_with_versions_renames_nothing)
{
	static const char document[] = "<VersioningConfiguration><Status>Suspended</Status>"
				       "</VersioningConfiguration>";
	put("/bkt/a", "one");
	ck_assert_uint_eq(put("/bkt?versioning", document), 200);
	check_refused(
		409, rename_with("/bkt/b?renameObject", "a", NULL, NULL), "InvalidBucketState");
	check("/bkt/a", "one");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("op_rename");
	TCase *tcase = tcase_create("renaming");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, an_object_gets_another_key_and_keeps_what_it_has);
	tcase_add_test(tcase, an_object_in_the_way_is_replaced_unless_a_condition_forbids_it);
	tcase_add_test(tcase, conditions_of_the_source_are_judged);
	tcase_add_test(tcase, what_cannot_be_renamed_is_refused);
	tcase_add_test(tcase, a_bucket_with_versions_renames_nothing);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
