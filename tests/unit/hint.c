/* SPDX-License-Identifier: Apache-2.0 */
/* What records say of whom they were written for. */
#include "storage/object/hint.h"

#include <string.h>

#include "tests/lib/test.h"

static const struct hint_place place = {.first = 77,
	.offset = UINT64_C(64) << 20,
	.len = UINT64_C(5) << 30,
	.upload = 9,
	.part = 10000};

static size_t make(uint8_t *hint, size_t cap)
{
	memcpy(hint, "b/key", 5);
	return hint_add_place(hint, 5, cap, &place);
}

START_TEST(a_place_reads_as_it_was_written)
{
	uint8_t hint[64];
	struct bytes name;
	struct hint_place got;
	size_t len = make(hint, sizeof hint);
	ck_assert_uint_eq(len, 5 + HINT_PLACE_LEN);
	ck_assert(hint_read(bytes_make(hint, len), &name, &got));
	ck_assert(bytes_is_equal(name, bytes_of("b/key")));
	ck_assert_uint_eq(got.first, place.first);
	ck_assert_uint_eq(got.offset, place.offset);
	ck_assert_uint_eq(got.len, place.len);
	ck_assert_uint_eq(got.upload, place.upload);
	ck_assert_uint_eq(got.part, place.part);
}
END_TEST

START_TEST(a_name_without_a_place_is_all_of_the_hint)
{
	uint8_t hint[64];
	struct bytes name;
	struct hint_place got;
	size_t len = make(hint, 5 + HINT_PLACE_LEN - 1);
	ck_assert_uint_eq(len, 5);
	ck_assert(!hint_read(bytes_make(hint, len), &name, &got));
	ck_assert_uint_eq(name.len, 5);
	ck_assert(!hint_read((struct bytes){0}, &name, &got));
	ck_assert_uint_eq(name.len, 0);
	len = make(hint, sizeof hint);
	for (size_t cut = 1; cut < len; cut++) {
		ck_assert(!hint_read(bytes_make(hint, len - cut), &name, &got));
		ck_assert_uint_eq(name.len, len - cut);
	}
}
END_TEST

START_TEST(a_place_that_makes_no_sense_is_none)
{
	uint8_t hint[64];
	struct bytes name;
	struct hint_place got;
	size_t len = make(hint, sizeof hint);
	put_le64(hint + 5 + 12, place.len); /* the extent begins behind the body */
	ck_assert(!hint_read(bytes_make(hint, len), &name, &got));
	make(hint, sizeof hint);
	put_le64(hint + 5 + 20, UINT64_MAX);
	ck_assert(!hint_read(bytes_make(hint, len), &name, &got));
	make(hint, sizeof hint);
	hint[5 + 1] = HINT_PACKED; /* which has no length */
	ck_assert(!hint_read(bytes_make(hint, len), &name, &got));
	hint[5 + 1] = HINT_PACKED + 1;
	ck_assert(!hint_read(bytes_make(hint, len), &name, &got));
	ck_assert_uint_eq(name.len, len);
}
END_TEST

START_TEST(a_body_of_frames_says_so_whatever_else_is_known_of_it)
{
	uint8_t hint[64] = "b/key";
	struct bytes name;
	struct hint_place got, packed = place;
	packed.is_packed = true;
	size_t len = hint_add_place(hint, 5, sizeof hint, &packed);
	ck_assert(hint_read(bytes_make(hint, len), &name, &got));
	ck_assert(bytes_is_equal(name, bytes_of("b/key")));
	ck_assert(got.is_packed);
	ck_assert_uint_eq(got.first, place.first);
	ck_assert_uint_eq(got.offset, place.offset);
	ck_assert_uint_eq(got.len, 0);
	len = hint_add_place(hint, 5, sizeof hint, &(struct hint_place){.is_packed = true});
	ck_assert(hint_read(bytes_make(hint, len), &name, &got));
	ck_assert(got.is_packed && name.len == 5);
	make(hint, sizeof hint);
	ck_assert(hint_read(bytes_make(hint, len), &name, &got));
	ck_assert(!got.is_packed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hint");
	TCase *tc = tcase_create("hint");
	tcase_add_test(tc, a_place_reads_as_it_was_written);
	tcase_add_test(tc, a_name_without_a_place_is_all_of_the_hint);
	tcase_add_test(tc, a_place_that_makes_no_sense_is_none);
	tcase_add_test(tc, a_body_of_frames_says_so_whatever_else_is_known_of_it);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
