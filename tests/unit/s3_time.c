/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/s3_time.h"

#include <stdio.h>
#include <time.h>

#include "tests/lib/test.h"

START_TEST(formats_agree_with_libc)
{
	uint64_t seed = 7;
	for (int i = 0; i < 20000; i++) {
		time_t t = i == 0 ? 0 : i == 1 ? 253402300799 : test_random(&seed) % 253402300800;
		struct tm tm;
		gmtime_r(&t, &tm);
		char expected[64];
		uint8_t text[32];

		strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.042Z", &tm);
		s3_time_format_iso8601((uint64_t)t * 1000 + 42, text);
		ck_assert_mem_eq(text, expected, S3_TIME_ISO8601_LEN);
		uint64_t parsed;
		ck_assert_ok(s3_time_parse_iso8601(bytes_make(text, S3_TIME_ISO8601_LEN), &parsed));
		ck_assert_uint_eq(parsed, (uint64_t)t * 1000 + 42);

		strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		s3_time_format_http(t, text);
		ck_assert_mem_eq(text, expected, S3_TIME_HTTP_LEN);
		ck_assert_ok(s3_time_parse_http(bytes_make(text, S3_TIME_HTTP_LEN), &parsed));
		ck_assert_uint_eq(parsed, t);

		strftime(expected, sizeof expected, "%Y%m%dT%H%M%SZ", &tm);
		s3_time_format_amz(t, text);
		ck_assert_mem_eq(text, expected, S3_TIME_AMZ_LEN);
		ck_assert_ok(s3_time_parse_amz(bytes_make(text, S3_TIME_AMZ_LEN), &parsed));
		ck_assert_uint_eq(parsed, t);
	}
}
END_TEST

START_TEST(the_year_10000_is_not_written)
{
	uint8_t text[32];
	s3_time_format_iso8601(UINT64_MAX, text);
	ck_assert_mem_eq(text, "9999-12-31T23:59:59.999Z", S3_TIME_ISO8601_LEN);
	s3_time_format_http(UINT64_MAX, text);
	ck_assert_mem_eq(text, "Fri, 31 Dec 9999 23:59:59 GMT", S3_TIME_HTTP_LEN);
}
END_TEST

START_TEST(all_three_forms_of_http_are_read)
{
	static const char *const forms[] = {
		"Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
		"sun, 06 nov 1994 08:49:37 GMT",
	};
	for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
		uint64_t parsed = 0;
		ck_assert_ok(s3_time_parse_http(bytes_of(forms[i]), &parsed));
		ck_assert_uint_eq(parsed, 784111777);
	}
}
END_TEST

START_TEST(what_is_no_date_is_refused)
{
	static const char *const http[] = {"", "Sun", "Sun, ", "Sun, 31 Feb 1994 08:49:37 GMT",
		"Sun, 29 Feb 2100 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49:37 GMTx",
		"Sun, 06 Nov 1969 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "1994-11-06",
		"Sun Nov  6 08:49:37 1994 ", "Sun, 06 Nov 1994 08:60:37 GMT"};
	static const char *const amz[] = {"", "20130524T000000", "20130524T000000Z0",
		"20131324T000000Z", "20130524 000000Z", "2013-05-24T00:00:00Z", "20130532T000000Z"};
	static const char *const iso[] = {"2013-05-24T00:00:00", "2013-05-24T00:00:00.Z",
		"1970-01-01T00:00:00+01:00", "2013-05-24T00:00:00Zx", "2013-02-29T00:00:00Z"};
	uint64_t parsed;
	for (size_t i = 0; i < ARRAY_COUNT(http); i++)
		ck_assert_msg(
			s3_time_parse_http(bytes_of(http[i]), &parsed) != ERR_OK, "%s", http[i]);
	for (size_t i = 0; i < ARRAY_COUNT(amz); i++)
		ck_assert_msg(s3_time_parse_amz(bytes_of(amz[i]), &parsed) != ERR_OK, "%s", amz[i]);
	for (size_t i = 0; i < ARRAY_COUNT(iso); i++)
		ck_assert_msg(
			s3_time_parse_iso8601(bytes_of(iso[i]), &parsed) != ERR_OK, "%s", iso[i]);
}
END_TEST

START_TEST(iso8601_has_decimals_and_offsets)
{
	uint64_t parsed;
	ck_assert_ok(s3_time_parse_iso8601(bytes_of("1970-01-01T01:00:01.5Z"), &parsed));
	ck_assert_uint_eq(parsed, 3601500);
	ck_assert_ok(s3_time_parse_iso8601(bytes_of("1970-01-01T01:00:00.123456+01:00"), &parsed));
	ck_assert_uint_eq(parsed, 123);
	ck_assert_ok(s3_time_parse_iso8601(bytes_of("1970-01-01T00:00:60-01:00"), &parsed));
	ck_assert_uint_eq(parsed, 3659000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("s3_time");
	TCase *tc = tcase_create("s3_time");
	tcase_add_test(tc, formats_agree_with_libc);
	tcase_add_test(tc, the_year_10000_is_not_written);
	tcase_add_test(tc, all_three_forms_of_http_are_read);
	tcase_add_test(tc, what_is_no_date_is_refused);
	tcase_add_test(tc, iso8601_has_decimals_and_offsets);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
