/* SPDX-License-Identifier: Apache-2.0 */
/* What objects can be made of shards that no row names. */
#include "server/lost_bodies.h"

#include <string.h>

#include "tests/lib/test.h"

static struct lost_bodies bodies;

/* A shard of an extent of code (2, 1). */
static void add(uint64_t counter, uint8_t index, uint32_t len, const char *name,
	const struct hint_place *place)
{
	uint8_t hint[128];
	size_t hint_len = strlen(name);
	memcpy(hint, name, hint_len);
	if (place)
		hint_len = hint_add_place(hint, hint_len, sizeof hint, place);
	struct lost_shard shard = {
		.key = {.extent = {9, counter}, .drive = index + 1, .index = index},
		.k = 2,
		.m = 1,
		.unit_len = UNIT_LEN,
		.extent_len = len,
		.hint = bytes_make(hint, hint_len),
	};
	ck_assert_int_eq(lost_bodies_add(&bodies, &shard), ERR_OK);
}

static void add_whole(
	uint64_t counter, uint32_t len, const char *name, const struct hint_place *place)
{
	add(counter, 0, len, name, place);
	add(counter, 2, len, name, place);
}

static void judge(size_t body_count, size_t object_count)
{
	ck_assert_int_eq(lost_bodies_judge(&bodies), ERR_OK);
	ck_assert_uint_eq(bodies.body_count, body_count);
	ck_assert_uint_eq(bodies.object_count, object_count);
}

static void teardown(void)
{
	lost_bodies_free(&bodies);
}

static struct hint_place place_at(uint64_t first, uint64_t offset, uint64_t len)
{
	return (struct hint_place){.first = first, .offset = offset, .len = len};
}

START_TEST(extents_that_follow_each_other_are_one_object)
{
	struct hint_place first = place_at(4, 0, 300), second = place_at(4, 200, 300);
	add_whole(5, 100, "b/k", &second);
	add_whole(4, 200, "b/k", &first);
	judge(1, 1);
	ck_assert_uint_eq(bodies.objects[0].len, 300);
	ck_assert_uint_eq(bodies.bodies[0].count, 2);
	ck_assert_uint_eq(bodies.bodies[0].extents[0]->id.counter, 4);
}
END_TEST

START_TEST(a_body_with_a_gap_is_told_and_is_no_object)
{
	struct hint_place first = place_at(4, 0, 300), last = place_at(4, 250, 300);
	add_whole(4, 200, "b/k", &first);
	add_whole(6, 50, "b/k", &last);
	judge(1, 0);
	ck_assert_str_eq(bodies.bodies[0].why, "bytes from 200 on are missing, of 300");
}
END_TEST

START_TEST(an_extent_with_too_few_shards_is_told)
{
	struct hint_place place = place_at(4, 0, 200);
	add(4, 1, 200, "b/k", &place);
	add(4, 1, 200, "b/k", &place); /* found on two drives */
	judge(1, 0);
	ck_assert(strstr(bodies.bodies[0].why, "1 shards, and 2 are needed"));
}
END_TEST

START_TEST(of_two_writings_of_an_extent_the_readable_one_counts)
{
	struct hint_place first = place_at(4, 0, 300), second = place_at(4, 200, 300);
	add_whole(4, 200, "b/k", &first);
	add(5, 0, 100, "b/k", &second);
	add_whole(6, 100, "b/k", &second);
	add(7, 0, 100, "b/k", &second);
	judge(1, 1);
	ck_assert_uint_eq(bodies.bodies[0].extents[1]->id.counter, 6);
}
END_TEST

START_TEST(bodies_of_one_key_are_objects_each_the_newest_first)
{
	struct hint_place old = place_at(4, 0, 200), new = place_at(8, 0, 100);
	add_whole(4, 200, "b/k", &old);
	add_whole(8, 100, "b/k", &new);
	judge(2, 2);
	ck_assert_uint_eq(bodies.objects[0].len, 100);
}
END_TEST

START_TEST(parts_in_a_row_are_one_object_and_else_each_is_one)
{
	struct hint_place parts[3];
	for (unsigned i = 0; i < 3; i++) {
		parts[i] = place_at(10 + i, 0, 100);
		parts[i].upload = 7;
		parts[i].part = (uint16_t)(i + 1);
		add_whole(10 + i, 100, "b/k", &parts[i]);
		parts[i].upload = 8;
		parts[i].first = 20 + i;
		if (i != 1)
			add_whole(20 + i, 100, "b/k", &parts[i]);
	}
	judge(5, 3);
	ck_assert_uint_eq(bodies.objects[0].count, 1);
	ck_assert(bodies.objects[0].is_part && bodies.objects[1].is_part);
	ck_assert_uint_eq(bodies.objects[2].count, 3);
	ck_assert_uint_eq(bodies.objects[2].len, 300);
}
END_TEST

START_TEST(a_record_that_names_no_place_is_a_body_if_it_can_be_all_of_one)
{
	struct hint_place place = place_at(4, 0, 200);
	add_whole(3, 100, "b/alone", NULL);
	add(4, 0, 200, "b/k", NULL); /* made anew by repair: the other one says more */
	add(4, 1, 200, "b/k", &place);
	add_whole(5, EXTENT_LEN_MAX, "b/large", NULL);
	judge(3, 2);
	ck_assert(bodies.bodies[1].is_whole);
	ck_assert(!bodies.bodies[2].is_whole);
}
END_TEST

START_TEST(a_body_of_frames_is_told_and_is_no_object)
{
	struct hint_place first = place_at(4, 0, 0), second = place_at(4, 200, 0), plain;
	const struct hint_place anew = {.is_packed = true};
	first.is_packed = second.is_packed = true;
	add_whole(4, 200, "b/k", &first);
	add(5, 0, 100, "b/k", &anew); /* by repair: the other one says more */
	add(5, 2, 100, "b/k", &second);
	add_whole(7, 100, "b/repaired", &anew);
	add_whole(8, 100, "b/repaired", &anew);
	plain = place_at(9, 0, 100);
	add(9, 0, 100, "b/s", &anew); /* one record is enough */
	add(9, 2, 100, "b/s", &plain);
	judge(4, 0);
	for (size_t i = 0; i < bodies.body_count; i++)
		ck_assert(strstr(bodies.bodies[i].why, "compressed or encrypted"));
	ck_assert_uint_eq(bodies.bodies[0].count, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lost_bodies");
	TCase *tc = tcase_create("lost_bodies");
	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, extents_that_follow_each_other_are_one_object);
	tcase_add_test(tc, a_body_with_a_gap_is_told_and_is_no_object);
	tcase_add_test(tc, an_extent_with_too_few_shards_is_told);
	tcase_add_test(tc, of_two_writings_of_an_extent_the_readable_one_counts);
	tcase_add_test(tc, bodies_of_one_key_are_objects_each_the_newest_first);
	tcase_add_test(tc, parts_in_a_row_are_one_object_and_else_each_is_one);
	tcase_add_test(tc, a_record_that_names_no_place_is_a_body_if_it_can_be_all_of_one);
	tcase_add_test(tc, a_body_of_frames_is_told_and_is_no_object);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
