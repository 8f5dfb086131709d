/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/state_compare.h"

#include <stdlib.h>

#include "storage/bytes.h"
#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

#define MEMBERS_MAX 5

static struct state_trail trails[MEMBERS_MAX];

static void setup(void)
{
	for (size_t i = 0; i < MEMBERS_MAX; i++) {
		trails[i] = (struct state_trail){0};
		state_trail_init(&trails[i]);
	}
}

static void teardown(void)
{
	for (size_t i = 0; i < MEMBERS_MAX; i++)
		state_trail_fini(&trails[i]);
}

/* A member applies up to an index; flavour 0 is what all others have. */
static void apply_to(size_t member, uint64_t log_index, uint64_t flavour)
{
	for (uint64_t at = state_trail_last(&trails[member]).log_index + 1; at <= log_index; at++) {
		struct state_hash hash = {0};
		hash.tables[3] = at * 7 + flavour;
		state_trail_add(&trails[member], at, &hash);
	}
}

/* Everybody tells everybody, some times, and looks. */
static void exchange(struct state_peer peers[MEMBERS_MAX][MEMBERS_MAX], size_t count)
{
	for (unsigned round = 0; round < 3; round++)
		for (size_t to = 0; to < count; to++)
			for (size_t from = 0; from < count; from++) {
				struct state_mark mark = state_trail_last(&trails[from]);
				if (from == to)
					continue;
				state_peer_tell(&peers[to][from], &mark,
					state_agrees_with(peers[from], MEMBERS_MAX));
				state_peer_compare(&peers[to][from], &trails[to]);
			}
}

START_TEST(members_with_the_same_rows_agree_wherever_they_are)
{
	struct state_peer peers[MEMBERS_MAX][MEMBERS_MAX] = {0};
	for (uint64_t at = 1; at < 3000; at += 97) {
		apply_to(0, at, 0);
		apply_to(1, at + 50, 0);
		apply_to(2, at / 2, 0);
		exchange(peers, 3);
		for (size_t i = 0; i < 3; i++)
			ck_assert(!state_must_stop(peers[i], MEMBERS_MAX, 3));
	}
	ck_assert_uint_eq(state_agrees_with(peers[0], MEMBERS_MAX), 3);
	ck_assert_uint_eq(state_agrees_with(peers[2], MEMBERS_MAX), 3);
}
END_TEST

START_TEST(the_one_that_differs_from_a_majority_stops_and_no_other)
{
	struct state_peer peers[MEMBERS_MAX][MEMBERS_MAX] = {0};
	apply_to(0, 100, 0);
	apply_to(1, 100, 1);
	apply_to(2, 90, 0);
	exchange(peers, 3);
	ck_assert(peers[0][1].differs);
	ck_assert(peers[1][0].differs);
	ck_assert(!state_must_stop(peers[0], MEMBERS_MAX, 3));
	ck_assert(state_must_stop(peers[1], MEMBERS_MAX, 3));
	ck_assert(!state_must_stop(peers[2], MEMBERS_MAX, 3));
}
END_TEST

START_TEST(where_no_majority_agrees_nobody_stops)
{
	struct state_peer peers[MEMBERS_MAX][MEMBERS_MAX] = {0};
	for (size_t i = 0; i < 3; i++)
		apply_to(i, 100, i);
	exchange(peers, 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert(!state_must_stop(peers[i], MEMBERS_MAX, 3));
	struct state_peer two[MEMBERS_MAX][MEMBERS_MAX] = {0};
	exchange(two, 2);
	ck_assert(two[0][1].differs && two[1][0].differs);
	ck_assert(!state_must_stop(two[0], MEMBERS_MAX, 2));
	ck_assert(!state_must_stop(two[1], MEMBERS_MAX, 2));
}
END_TEST

START_TEST(a_member_that_is_away_is_no_part_of_a_majority)
{
	struct state_peer peers[MEMBERS_MAX][MEMBERS_MAX] = {0};
	apply_to(0, 100, 0);
	apply_to(1, 100, 1);
	apply_to(2, 100, 0);
	exchange(peers, 3); /* of five: two agree */
	for (size_t i = 0; i < 3; i++)
		ck_assert(!state_must_stop(peers[i], MEMBERS_MAX, 5));
}
END_TEST

START_TEST(a_mark_from_ahead_is_compared_when_this_member_is_there)
{
	struct state_peer peer = {0};
	apply_to(0, 200, 1);
	apply_to(1, 100, 0);
	struct state_mark ahead = state_trail_last(&trails[0]);
	state_peer_tell(&peer, &ahead, 1);
	ck_assert(!state_peer_compare(&peer, &trails[1]));
	struct state_mark later = {300, 0};
	state_peer_tell(&peer, &later, 1); /* does not push it out */
	apply_to(1, 250, 0);
	ck_assert(state_peer_compare(&peer, &trails[1]));
	ck_assert_uint_eq(peer.compared, 200);
	ck_assert(!state_peer_compare(&peer, &trails[1])); /* said once */
}
END_TEST

START_TEST(a_new_state_that_is_the_same_ends_a_difference)
{
	struct state_peer peer = {0};
	apply_to(0, 100, 0);
	state_peer_tell(&peer, &(struct state_mark){100, 1}, 1);
	ck_assert(state_peer_compare(&peer, &trails[0]));
	apply_to(0, 101, 0);
	struct state_mark same = state_trail_last(&trails[0]);
	state_peer_tell(&peer, &same, 1);
	ck_assert(!state_peer_compare(&peer, &trails[0]));
	ck_assert(!peer.differs);
}
END_TEST

START_TEST(a_mark_that_the_trail_has_lost_is_passed_over)
{
	struct state_peer peer = {0};
	apply_to(0, STATE_TRAIL_LEN + 100, 0);
	state_peer_tell(&peer, &(struct state_mark){50, 1}, 1);
	ck_assert(!state_peer_compare(&peer, &trails[0]));
	ck_assert_uint_eq(peer.compared, 0);
	ck_assert_uint_eq(peer.told.log_index, 0);
}
END_TEST

START_TEST(an_index_marks_each_group_and_a_planted_row_shows)
{
	put("a", "text", 1);
	struct state_mark first = index_state_mark(rig.index), second;
	ck_assert_uint_gt(first.log_index, 0);
	put("b", "text", 2);
	second = index_state_mark(rig.index);
	ck_assert_uint_gt(second.log_index, first.log_index);
	ck_assert(second.digest != first.digest);
	rig_reopen(&rig, false);
	uint64_t digest;
	struct state_mark again = index_state_mark(rig.index);
	ck_assert_uint_ge(again.log_index, second.log_index);
	rig_reopen(&rig, true); /* all of the log once more */
	ck_assert(index_state_find(rig.index, second.log_index, &digest));
	ck_assert_uint_eq(digest, second.digest);

	struct state_peer peer = {0};
	struct state_mark planted = {second.log_index, second.digest ^ 1};
	state_peer_tell(&peer, &planted, 1);
	ck_assert(index_state_compare(rig.index, &peer));
	ck_assert(peer.differs);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("state_compare");
	TCase *compare = tcase_create("compare");
	tcase_add_checked_fixture(compare, setup, teardown);
	tcase_add_test(compare, members_with_the_same_rows_agree_wherever_they_are);
	tcase_add_test(compare, the_one_that_differs_from_a_majority_stops_and_no_other);
	tcase_add_test(compare, where_no_majority_agrees_nobody_stops);
	tcase_add_test(compare, a_member_that_is_away_is_no_part_of_a_majority);
	tcase_add_test(compare, a_mark_from_ahead_is_compared_when_this_member_is_there);
	tcase_add_test(compare, a_new_state_that_is_the_same_ends_a_difference);
	tcase_add_test(compare, a_mark_that_the_trail_has_lost_is_passed_over);
	suite_add_tcase(suite, compare);
	TCase *index = tcase_create("index");
	tcase_add_checked_fixture(index, rig_setup, rig_teardown);
	tcase_add_test(index, an_index_marks_each_group_and_a_planted_row_shows);
	suite_add_tcase(suite, index);
	return test_run(suite);
}
