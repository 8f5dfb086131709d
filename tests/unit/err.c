/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/err.h"

#include <errno.h>

#include "tests/lib/test.h"

START_TEST(every_error_has_a_name_and_a_text)
{
	for (int i = 0; i < ERR_COUNT; i++) {
		ck_assert_ptr_nonnull(err_name(i));
		ck_assert_uint_gt(strlen(err_text(i)), 0);
	}
}
END_TEST

START_TEST(errno_becomes_ours)
{
	ck_assert_int_eq(err_from_errno(ENOSPC), ERR_NO_SPACE);
	ck_assert_int_eq(err_from_errno(EIO), ERR_IO);
	ck_assert_int_eq(err_from_errno(EACCES), ERR_DENIED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("err");
	TCase *tc = tcase_create("err");
	tcase_add_test(tc, every_error_has_a_name_and_a_text);
	tcase_add_test(tc, errno_becomes_ours);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
