/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/query.h"

#include "tests/lib/test.h"

static uint8_t scratch[4096];
static struct query query;

static void parse(const char *text)
{
	ck_assert_ok(query_parse(bytes_of(text), scratch, sizeof scratch, &query));
}

static void check_canonical(const char *text, const char *without, const char *expected)
{
	parse(text);
	uint8_t buf[256];
	struct text_out out;
	text_out_init(&out, buf, sizeof buf);
	query_put_canonical(&out, &query, without);
	ck_assert_msg(bytes_is_text(text_out_bytes(&out), expected), "%s: %.*s", text, (int)out.len,
		(const char *)buf);
}

START_TEST(parameters_are_decoded_once)
{
	struct bytes value;
	parse("prefix=a%2Bb%2520&uploads&x=a+b&empty=&a%3Db=c=d");
	ck_assert_uint_eq(query.param_count, 5);
	ck_assert(query_find(&query, "prefix", &value) && bytes_is_text(value, "a+b%20"));
	ck_assert(query_find(&query, "uploads", &value) && value.len == 0);
	ck_assert(query_find(&query, "x", &value) && bytes_is_text(value, "a b"));
	ck_assert(query_find(&query, "empty", &value) && value.len == 0);
	ck_assert(query_find(&query, "a=b", &value) && bytes_is_text(value, "c=d"));
	ck_assert(!query_has(&query, "Prefix"));
	ck_assert(!query_has(&query, ""));
}
END_TEST

START_TEST(the_first_of_duplicates_is_meant_and_all_are_signed)
{
	struct bytes value;
	parse("a=2&&a=1&");
	ck_assert_uint_eq(query.param_count, 2);
	ck_assert(query_find(&query, "a", &value) && bytes_is_text(value, "2"));
	check_canonical("a=2&&a=1&", NULL, "a=1&a=2");
}
END_TEST

START_TEST(the_canonical_form_is_sorted_by_encoded_name_then_value)
{
	check_canonical("uploadId=x&partNumber=1", NULL, "partNumber=1&uploadId=x");
	check_canonical("delete", NULL, "delete=");
	check_canonical("a-b=1&a=2", NULL, "a=2&a-b=1");
	check_canonical("a=1&%C3%A4=2&%21=3&Z=4", NULL, "%21=3&%C3%A4=2&Z=4&a=1");
	check_canonical("x=a+b&y=a%2bb&z=/~", NULL, "x=a%20b&y=a%2Bb&z=%2F~");
	check_canonical("", NULL, "");
	check_canonical("b=1&X-Amz-Signature=f&a=1", "X-Amz-Signature", "a=1&b=1");
}
END_TEST

START_TEST(broken_escapes_and_too_many_parameters_are_refused)
{
	ck_assert_err(query_parse(bytes_of("a=%2"), scratch, sizeof scratch, &query), ERR_INVALID);
	ck_assert_err(query_parse(bytes_of("%=1"), scratch, sizeof scratch, &query), ERR_INVALID);
	char text[2 * QUERY_PARAMS_MAX + 2];
	for (size_t i = 0; i <= QUERY_PARAMS_MAX; i++)
		memcpy(text + 2 * i, "a&", 2);
	struct bytes most = {(uint8_t *)text, 2 * QUERY_PARAMS_MAX};
	ck_assert_ok(query_parse(most, scratch, sizeof scratch, &query));
	ck_assert_uint_eq(query.param_count, QUERY_PARAMS_MAX);
	most.len += 2;
	ck_assert_err(query_parse(most, scratch, sizeof scratch, &query), ERR_LIMIT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("query");
	TCase *tc = tcase_create("query");
	tcase_add_test(tc, parameters_are_decoded_once);
	tcase_add_test(tc, the_first_of_duplicates_is_meant_and_all_are_signed);
	tcase_add_test(tc, the_canonical_form_is_sorted_by_encoded_name_then_value);
	tcase_add_test(tc, broken_escapes_and_too_many_parameters_are_refused);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
