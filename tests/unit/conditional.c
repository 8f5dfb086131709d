/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/conditional.h"

#include "tests/lib/test.h"

/* The object of these tests: ETag "e", changed at 08:49:37. */
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AT "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static struct s3_error_detail detail;

static size_t headers_of(const char *const (*pairs)[2], struct http_header *headers)
{
	size_t count = 0;
	for (; count < 4 && pairs[count][0]; count++)
		headers[count] = (struct http_header){
			bytes_of(pairs[count][0]), bytes_of(pairs[count][1])};
	return count;
}

static enum s3_code read_with(const char *const (*pairs)[2])
{
	struct http_header headers[4];
	struct conditional_read conditions;
	conditional_parse_read(headers, headers_of(pairs, headers), false, &conditions);
	s3_error_detail_init(&detail);
	return conditional_check_read(&conditions, bytes_of("e"), 784111777, &detail);
}

START_TEST(reads_follow_the_precedence_of_rfc_9110)
{
	static const struct {
		const char *pairs[4][2];
		enum s3_code code;
	} cases[] = {
		{{{NULL}}, S3_OK},
		{{{"if-match", "\"e\""}}, S3_OK},
		{{{"if-match", "e"}}, S3_OK},
		{{{"if-match", "W/\"e\""}}, S3_OK},
		{{{"if-match", "\"x\", \"e\""}}, S3_OK},
		{{{"if-match", "*"}}, S3_OK},
		{{{"if-match", "\"x\""}}, S3_PRECONDITION_FAILED},
		{{{"if-match", ""}}, S3_PRECONDITION_FAILED},
		{{{"if-none-match", "\"e\""}}, S3_NOT_MODIFIED},
		{{{"if-none-match", "*"}}, S3_NOT_MODIFIED},
		{{{"if-none-match", "\"x\""}}, S3_OK},
		{{{"if-modified-since", BEFORE}}, S3_OK},
		{{{"if-modified-since", AT}}, S3_NOT_MODIFIED},
		{{{"if-modified-since", AFTER}}, S3_NOT_MODIFIED},
		{{{"if-modified-since", "yesterday"}}, S3_OK},
		{{{"if-unmodified-since", BEFORE}}, S3_PRECONDITION_FAILED},
		{{{"if-unmodified-since", AT}}, S3_OK},
		{{{"if-unmodified-since", "yesterday"}}, S3_OK},
		{{{"if-match", "\"e\""}, {"if-unmodified-since", BEFORE}}, S3_OK},
		{{{"if-none-match", "\"x\""}, {"if-modified-since", AFTER}}, S3_OK},
		{{{"if-none-match", "\"e\""}, {"if-modified-since", BEFORE}}, S3_NOT_MODIFIED},
		{{{"if-match", "\"e\""}, {"if-none-match", "\"e\""}}, S3_NOT_MODIFIED},
		{{{"if-match", "\"x\""}, {"if-none-match", "\"e\""}}, S3_PRECONDITION_FAILED},
		{{{"if-unmodified-since", BEFORE}, {"if-none-match", "\"e\""}},
			S3_PRECONDITION_FAILED},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		enum s3_code code = read_with(cases[i].pairs);
		ck_assert_msg(code == cases[i].code, "case %zu: %s", i, s3_error_code(code));
		ck_assert_uint_eq(detail.field_count, code == S3_PRECONDITION_FAILED);
	}
}
END_TEST

START_TEST(the_source_of_a_copy_is_never_not_modified)
{
	static const char *const none_match[][2] = {
		{"x-amz-copy-source-if-none-match", "\"e\""}, {"if-match", "\"x\""}, {NULL, NULL}};
	static const char *const modified[][2] = {
		{"x-amz-copy-source-if-modified-since", AFTER}, {NULL, NULL}};
	static const char *const good[][2] = {{"x-amz-copy-source-if-match", "e"},
		{"x-amz-copy-source-if-unmodified-since", BEFORE}, {NULL, NULL}};
	struct http_header headers[4];
	struct conditional_read conditions;
	struct bytes etag = bytes_of("e");

	s3_error_detail_init(&detail);
	conditional_parse_read(headers, headers_of(none_match, headers), true, &conditions);
	ck_assert_int_eq(conditional_check_copy_source(&conditions, etag, 784111777, &detail),
		S3_PRECONDITION_FAILED);
	ck_assert(bytes_is_text(detail.fields[0].value, "x-amz-copy-source-If-None-Match"));

	s3_error_detail_init(&detail);
	conditional_parse_read(headers, headers_of(modified, headers), true, &conditions);
	ck_assert_int_eq(conditional_check_copy_source(&conditions, etag, 784111777, &detail),
		S3_PRECONDITION_FAILED);
	conditional_parse_read(headers, headers_of(good, headers), true, &conditions);
	ck_assert_int_eq(
		conditional_check_copy_source(&conditions, etag, 784111777, &detail), S3_OK);
	ck_assert_int_eq(
		conditional_check_copy_source(&conditions, bytes_of("x"), 784111777, &detail),
		S3_PRECONDITION_FAILED);
}
END_TEST

static enum s3_code write_with(const char *const (*pairs)[2], struct conditional_write *condition)
{
	struct http_header headers[4];
	s3_error_detail_init(&detail);
	return conditional_parse_write(headers, headers_of(pairs, headers), condition, &detail);
}

START_TEST(writes_are_decided_by_presence_and_etag)
{
	static const struct {
		const char *pairs[4][2];
		enum s3_code absent, same, other;
	} cases[] = {
		{{{NULL}}, S3_OK, S3_OK, S3_OK},
		{{{"if-none-match", "*"}}, S3_OK, S3_PRECONDITION_FAILED, S3_PRECONDITION_FAILED},
		{{{"if-none-match", "\"*\""}}, S3_OK, S3_PRECONDITION_FAILED,
			S3_PRECONDITION_FAILED},
		{{{"if-match", "\"e\""}}, S3_NO_SUCH_KEY, S3_OK, S3_PRECONDITION_FAILED},
		{{{"if-match", "e"}}, S3_NO_SUCH_KEY, S3_OK, S3_PRECONDITION_FAILED},
		{{{"if-match", "*"}}, S3_NO_SUCH_KEY, S3_OK, S3_OK},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct conditional_write condition;
		ck_assert_int_eq(write_with(cases[i].pairs, &condition), S3_OK);
		ck_assert_int_eq(conditional_check_write(&condition, false, bytes_of(""), &detail),
			cases[i].absent);
		ck_assert_int_eq(conditional_check_write(&condition, true, bytes_of("e"), &detail),
			cases[i].same);
		ck_assert_int_eq(conditional_check_write(&condition, true, bytes_of("x"), &detail),
			cases[i].other);
	}
}
END_TEST

START_TEST(conditions_we_cannot_keep_are_refused)
{
	static const char *const cases[][4][2] = {
		{{"if-none-match", "\"e\""}},
		{{"if-none-match", ""}},
		{{"if-match", ""}},
		{{"if-match", "\"a\", \"b\""}},
		{{"if-match", "\"a\""}, {"if-match", "\"b\""}},
		{{"if-match", "\"a\""}, {"if-none-match", "*"}},
		{{"if-unmodified-since", AT}},
		{{"if-modified-since", AT}},
		{{"x-amz-if-match-size", "5"}},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct conditional_write condition;
		ck_assert_int_eq(write_with(cases[i], &condition), S3_NOT_IMPLEMENTED);
		ck_assert_str_eq(detail.fields[0].name, "Header");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conditional");
	TCase *tc = tcase_create("conditional");
	tcase_add_test(tc, reads_follow_the_precedence_of_rfc_9110);
	tcase_add_test(tc, the_source_of_a_copy_is_never_not_modified);
	tcase_add_test(tc, writes_are_decided_by_presence_and_etag);
	tcase_add_test(tc, conditions_we_cannot_keep_are_refused);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
