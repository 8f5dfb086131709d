/* SPDX-License-Identifier: Apache-2.0 */
#include "server/layout_history.h"

#include "tests/lib/test.h"

static json_t *numbered(unsigned number)
{
	return json_pack("{s:i}", "version", (int)number);
}

START_TEST(the_oldest_entries_are_forgotten)
{
	json_t *list = json_array();
	for (unsigned i = 1; i <= LAYOUT_HISTORY_MAX + 3; i++)
		ck_assert_int_eq(layout_history_append(list, numbered(i)), ERR_OK);
	ck_assert_uint_eq(json_array_size(list), LAYOUT_HISTORY_MAX);
	const json_t *first = json_array_get(list, 0);
	const json_t *last = json_array_get(list, LAYOUT_HISTORY_MAX - 1);
	ck_assert_int_eq(json_integer_value(json_object_get(first, "version")), 4);
	ck_assert_int_eq(
		json_integer_value(json_object_get(last, "version")), LAYOUT_HISTORY_MAX + 3);
	json_decref(list);
}
END_TEST

START_TEST(what_cannot_be_understood_is_an_empty_list)
{
	static const char *const texts[] = {"", "[", "{\"version\": 1}", "[1] [2]", "\xff"};
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		json_t *list = layout_history_parse(bytes_of(texts[i]));
		ck_assert(json_is_array(list));
		ck_assert_uint_eq(json_array_size(list), 0);
		json_decref(list);
	}
	json_t *list = layout_history_parse(bytes_of("[{\"version\": 1}, {\"version\": 2}]"));
	ck_assert_uint_eq(json_array_size(list), 2);
	json_decref(list);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("layout_history");
	TCase *tcase = tcase_create("layout_history");
	tcase_add_test(tcase, the_oldest_entries_are_forgotten);
	tcase_add_test(tcase, what_cannot_be_understood_is_an_empty_list);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
