/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/range.h"

#include "tests/lib/test.h"

static struct s3_error_detail detail;
static struct range range;

static void check(const char *header, uint64_t object_len, enum range_kind kind, uint64_t offset,
	uint64_t len)
{
	s3_error_detail_init(&detail);
	ck_assert_msg(
		range_parse(bytes_of(header), object_len, &range, &detail) == kind, "%s", header);
	if (kind == RANGE_OUTSIDE) {
		ck_assert(bytes_is_text(detail.fields[0].value, header));
		return;
	}
	ck_assert_msg(range.offset == offset && range.len == len, "%s", header);
}

START_TEST(a_single_range_is_answered_in_part)
{
	check("bytes=0-0", 100, RANGE_PART, 0, 1);
	check("bytes=00-01", 100, RANGE_PART, 0, 2);
	check("bytes=-101", 100, RANGE_PART, 0, 100);
	check("bytes=-1", 100, RANGE_PART, 99, 1);
	check("bytes=99-200", 100, RANGE_PART, 99, 1);
	check("bytes=5-", 100, RANGE_PART, 5, 95);
	check("Bytes=0-", 100, RANGE_PART, 0, 100);
	check("bytes=0-99999999999999999999999", 100, RANGE_PART, 0, 100);
	check("bytes=0-18446744073709551615", UINT64_MAX, RANGE_PART, 0, UINT64_MAX);
}
END_TEST

START_TEST(a_range_behind_the_end_is_outside)
{
	check("bytes=100-", 100, RANGE_OUTSIDE, 0, 0);
	check("bytes=-0", 100, RANGE_OUTSIDE, 0, 0);
	check("bytes=100-110", 100, RANGE_OUTSIDE, 0, 0);
	check("bytes=99999999999999999999999-", 100, RANGE_OUTSIDE, 0, 0);
	check("bytes=0-", 0, RANGE_OUTSIDE, 0, 0);
	check("bytes=-1", 0, RANGE_OUTSIDE, 0, 0);
	check("bytes=0-0", 0, RANGE_OUTSIDE, 0, 0);
	ck_assert_str_eq(detail.fields[1].name, "ActualObjectSize");
	ck_assert(bytes_is_text(detail.fields[1].value, "0"));
}
END_TEST

START_TEST(other_headers_are_ignored)
{
	static const char *const ignored[] = {"", "bytes", "bytes=", "bytes=-", "bytes=a-b",
		"bytes=5-4", "bytes=0-1,3-4", "bytes=0-1,", "bytes= 0-1", "bytes=0 -1",
		"octets=0-1", "bytes=--1", "bytes=0x1-2", "0-1", "bytes=1", "bytes=+1-2"};
	for (size_t i = 0; i < ARRAY_COUNT(ignored); i++)
		check(ignored[i], 100, RANGE_WHOLE, 0, 100);
	check("bytes=5-4", 0, RANGE_WHOLE, 0, 0);
}
END_TEST

START_TEST(a_copied_range_lies_inside_the_source)
{
	static const char *const bad[] = {"bytes=0-", "bytes=-5", "bytes=0-100", "bytes=5-4", "0-5",
		"bytes=0-5,7-8", "", "bytes=100-100"};
	s3_error_detail_init(&detail);
	ck_assert_int_eq(range_parse_copy(bytes_of("bytes=0-99"), 100, &range, &detail), S3_OK);
	ck_assert_uint_eq(range.len, 100);
	ck_assert_int_eq(range_parse_copy(bytes_of("bytes=7-7"), 100, &range, &detail), S3_OK);
	ck_assert_uint_eq(range.offset, 7);
	ck_assert_uint_eq(range.len, 1);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		ck_assert_int_eq(range_parse_copy(bytes_of(bad[i]), 100, &range, &detail),
			S3_INVALID_ARGUMENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("range");
	TCase *tc = tcase_create("range");
	tcase_add_test(tc, a_single_range_is_answered_in_part);
	tcase_add_test(tc, a_range_behind_the_end_is_outside);
	tcase_add_test(tc, other_headers_are_ignored);
	tcase_add_test(tc, a_copied_range_lies_inside_the_source);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
