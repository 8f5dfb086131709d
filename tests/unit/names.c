/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/names.h"

#include "tests/lib/test.h"

START_TEST(bucket_names_are_those_of_s3)
{
	static const char *const good[] = {"abc", "a-b", "a.b", "1a2", "my-bucket.example.com",
		"1.2.3", "1.2.3.4a", "a--b",
		"012345678901234567890123456789012345678901234567890123456789abc"};
	static const char *const bad[] = {"", "ab", "Abc", "a_b", "-ab", "ab-", ".ab", "ab.",
		"a..b", "a.-b", "a-.b", "192.168.5.4", "1.2.3.4", "a b", "a/b", "xn--abc",
		"b\xc3\xa4r", "0123456789012345678901234567890123456789012345678901234567890123"};
	for (size_t i = 0; i < ARRAY_COUNT(good); i++)
		ck_assert_msg(names_is_bucket(bytes_of(good[i])), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		ck_assert_msg(!names_is_bucket(bytes_of(bad[i])), "%s", bad[i]);
}
END_TEST

START_TEST(keys_are_1_to_1024_bytes_of_utf8)
{
	static uint8_t key[1025];
	struct s3_error_detail detail;
	s3_error_detail_init(&detail);
	memset(key, 'k', sizeof key);
	ck_assert_int_eq(names_check_key(bytes_make(key, 1), &detail), S3_OK);
	ck_assert_int_eq(names_check_key(bytes_make(key, 1024), &detail), S3_OK);
	ck_assert_int_eq(names_check_key(bytes_of("../\x01"), &detail), S3_OK);
	ck_assert_int_eq(names_check_key(bytes_make(key, 1025), &detail), S3_KEY_TOO_LONG);
	ck_assert(bytes_is_text(detail.fields[0].value, "1025"));
	ck_assert_int_eq(names_check_key(bytes_make(key, 0), &detail), S3_INVALID_ARGUMENT);
	ck_assert_int_eq(names_check_key(bytes_of("\xff"), &detail), S3_INVALID_ARGUMENT);
}
END_TEST

START_TEST(tags_are_counted_in_characters)
{
	static uint8_t text[600];
	for (size_t i = 0; i < sizeof text; i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	struct bytes a = bytes_of("a"), none = bytes_of("");
	ck_assert_int_eq(names_check_tag(a, none), S3_OK);
	ck_assert_int_eq(names_check_tag(none, a), S3_INVALID_TAG);
	ck_assert_int_eq(names_check_tag(bytes_make(text, 256), bytes_make(text, 512)), S3_OK);
	ck_assert_int_eq(names_check_tag(bytes_make(text, 258), none), S3_INVALID_TAG);
	ck_assert_int_eq(names_check_tag(a, bytes_make(text, 514)), S3_INVALID_TAG);
	ck_assert_int_eq(names_check_tag(bytes_of("aws:x"), a), S3_INVALID_TAG);
	ck_assert_int_eq(names_check_tag(a, bytes_of("\xff")), S3_INVALID_TAG);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names");
	TCase *tc = tcase_create("names");
	tcase_add_test(tc, bucket_names_are_those_of_s3);
	tcase_add_test(tc, keys_are_1_to_1024_bytes_of_utf8);
	tcase_add_test(tc, tags_are_counted_in_characters);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
