/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/read_again.h"

#include "tests/lib/test.h"

static struct read_again again;

static bool note(uint64_t session, uint64_t counter, uint8_t index, uint64_t start)
{
	return read_again_note(&again, (struct extent_id){session, counter}, index, start);
}

static void forget(void)
{
	memset(&again, 0, sizeof again);
}

START_TEST(a_range_is_new_once)
{
	forget();
	ck_assert(!note(0, 0, 0, 0));
	ck_assert(note(0, 0, 0, 0));
	ck_assert(note(0, 0, 0, 0));
}
END_TEST

START_TEST(ranges_that_differ_in_one_thing_are_others)
{
	forget();
	ck_assert(!note(1, 2, 0, 0));
	ck_assert(!note(1, 2, 0, 256 << 10));
	ck_assert(!note(1, 2, 1, 0));
	ck_assert(!note(1, 3, 0, 0));
	ck_assert(!note(2, 2, 0, 0));
	ck_assert(note(1, 2, 0, 0));
	ck_assert(note(1, 2, 0, 256 << 10));
}
END_TEST

/* Of a quarter as many as there are places an eighth or so is displaced. */
START_TEST(most_of_what_fits_is_kept)
{
	forget();
	unsigned count = READ_AGAIN_COUNT / 4, kept = 0;
	for (unsigned i = 0; i < count; i++)
		ck_assert(!note(7, i / 4, i % 4, 0));
	for (unsigned i = count; i-- > 0;)
		kept += note(7, i / 4, i % 4, 0);
	ck_assert_uint_gt(kept, count / 8 * 6);
}
END_TEST

START_TEST(what_was_long_ago_is_forgotten)
{
	forget();
	ck_assert(!note(1, 1, 0, 0));
	for (unsigned i = 0; i < 20 * READ_AGAIN_COUNT; i++)
		note(8, i, 0, 0);
	ck_assert(!note(1, 1, 0, 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("read_again");
	TCase *tcase = tcase_create("read_again");
	tcase_add_test(tcase, a_range_is_new_once);
	tcase_add_test(tcase, ranges_that_differ_in_one_thing_are_others);
	tcase_add_test(tcase, most_of_what_fits_is_kept);
	tcase_add_test(tcase, what_was_long_ago_is_forgotten);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
