/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/bytes.h"

#include "tests/lib/test.h"

static void check_trimmed(struct bytes text, const char *chars, struct bytes expected)
{
	ck_assert(bytes_is_equal(bytes_trim(text, chars), expected));
}

START_TEST(trimming_takes_the_given_bytes_off_both_ends_only)
{
	check_trimmed(bytes_of(" \t a \t b\t "), " \t", bytes_of("a \t b"));
	check_trimmed(bytes_of("\t a "), " ", bytes_of("\t a"));
	check_trimmed(bytes_of("a"), " \t\r\n", bytes_of("a"));
	check_trimmed(bytes_of("\r\n\t "), " \t\r\n", bytes_of(""));
	check_trimmed(bytes_of(""), " ", bytes_of(""));
}
END_TEST

START_TEST(trimming_keeps_a_zero_byte)
{
	check_trimmed(bytes_make(" \0a\0 ", 5), " \t", bytes_make("\0a\0", 3));
}
END_TEST

START_TEST(trimming_reads_nothing_of_an_empty_run)
{
	check_trimmed(bytes_make(NULL, 0), " ", bytes_make(NULL, 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bytes");
	TCase *tc = tcase_create("bytes");
	tcase_add_test(tc, trimming_takes_the_given_bytes_off_both_ends_only);
	tcase_add_test(tc, trimming_keeps_a_zero_byte);
	tcase_add_test(tc, trimming_reads_nothing_of_an_empty_run);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
