/* SPDX-License-Identifier: Apache-2.0 */
/* CopyObject, on a whole node in the simulator. */
#include <stdlib.h>

#include "gateway/digest/digest.h"
#include "gateway/digest/hex.h"
#include "tests/lib/object_rig.h"
#include "tests/lib/test.h"

#define DATA_LEN 700000u

static struct object_rig rig;
static uint8_t *data;

static void setup(void)
{
	uint64_t state = 1;
	data = malloc(DATA_LEN);
	ck_assert_ptr_nonnull(data);
	test_random_fill(&state, data, DATA_LEN);
	object_rig_open(&rig, 4);
}

static void teardown(void)
{
	object_rig_close(&rig);
	free(data);
}

/* "<md5>" with its quotes, in a buffer of its own. */
static const char *etag_of(const void *bytes, size_t len)
{
	static char text[64];
	uint8_t md5[MD5_LEN];
	digest_md5(bytes, len, md5);
	text[0] = '"';
	hex_encode(md5, sizeof md5, text + 1);
	text[33] = '"';
	text[34] = '\0';
	return text;
}

static unsigned put_text(const char *target, const char *text)
{
	return object_rig_send(&rig, "PUT", target, text, strlen(text));
}

static unsigned copy_with(
	const char *target, const char *source, const char *name, const char *value)
{
	object_rig_make(&rig, "PUT", target);
	fake_exchange_header(&rig.fake, "x-amz-copy-source", source);
	if (name)
		fake_exchange_header(&rig.fake, name, value);
	return object_rig_run(&rig, NULL);
}

START_TEST(a_copy_is_the_same_and_stays_when_its_source_goes)
{
	object_rig_make(&rig, "PUT", "/bkt/a%2Bb%20c%3F");
	fake_exchange_header(&rig.fake, "x-amz-meta-a", "1");
	fake_exchange_body(&rig.fake, data, 700000);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	ck_assert_uint_eq(copy_with("/bkt/copy", "/bkt/a+b%20c%3F", NULL, NULL), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "ETag"), etag_of(data, 700000));
	ck_assert_uint_eq(object_rig_ask(&rig, "DELETE", "/bkt/a%2Bb%20c%3F"), 204);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/copy"), 200);
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-meta-a"), "1");
	ck_assert_uint_eq(rig.fake.answer_len, 700000);
	ck_assert_int_eq(memcmp(rig.fake.answer, data, 700000), 0);
	ck_assert_uint_eq(copy_with("/bkt/other", "bkt/a+b%20c%3F", NULL, NULL), 404);
	ck_assert_str_eq(object_rig_code(&rig), "NoSuchKey");
	ck_assert_uint_eq(copy_with("/bkt/other", "nobkt/a", NULL, NULL), 404);
	ck_assert_str_eq(object_rig_code(&rig), "NoSuchBucket");
	ck_assert_uint_eq(copy_with("/bkt/other", "nothing", NULL, NULL), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidArgument");
}
END_TEST

START_TEST(a_copy_onto_itself_changes_something_or_is_refused)
{
	ck_assert_uint_eq(put_text("/bkt/key", "a"), 200);
	ck_assert_uint_eq(copy_with("/bkt/key", "bkt/key", NULL, NULL), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidRequest");
	object_rig_make(&rig, "PUT", "/bkt/key");
	fake_exchange_header(&rig.fake, "x-amz-copy-source", "bkt/key");
	fake_exchange_header(&rig.fake, "x-amz-metadata-directive", "REPLACE");
	fake_exchange_header(&rig.fake, "content-type", "text/plain");
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 200);
	ck_assert_str_eq(object_rig_header(&rig, "content-type"), "text/plain");
	ck_assert_uint_eq(rig.fake.answer_len, 1);
	ck_assert_int_eq(rig.fake.answer[0], 'a');
}
END_TEST

START_TEST(conditions_on_the_source_of_a_copy_are_kept)
{
	ck_assert_uint_eq(put_text("/bkt/key", "a"), 200);
	ck_assert_uint_eq(
		copy_with("/bkt/copy", "bkt/key", "x-amz-copy-source-if-match", etag_of("a", 1)),
		200);
	ck_assert_uint_eq(
		copy_with("/bkt/copy", "bkt/key", "x-amz-copy-source-if-match", etag_of("b", 1)),
		412);
	ck_assert_uint_eq(copy_with("/bkt/copy", "bkt/key", "x-amz-copy-source-if-none-match",
				  etag_of("a", 1)),
		412);
	ck_assert_uint_eq(copy_with("/bkt/copy", "bkt/key", "if-none-match", "*"), 412);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("op_copy");
	TCase *tcase = tcase_create("node");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_copy_is_the_same_and_stays_when_its_source_goes);
	tcase_add_test(tcase, a_copy_onto_itself_changes_something_or_is_refused);
	tcase_add_test(tcase, conditions_on_the_source_of_a_copy_are_kept);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
