/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/steward_plan.h"

#include "tests/lib/test.h"

#define NODES_MAX 12
#define SELF 101 /* log of node 1 */

static struct consensus_members members;
static struct steward_node nodes[NODES_MAX];
static size_t node_count;
static struct consensus_change change;

static struct id id_of(uint8_t number)
{
	return (struct id){{number}};
}

/* Admits a node whose log has its number and 100. */
static void admit(uint8_t number)
{
	nodes[node_count++] = (struct steward_node){
		.id = id_of(number), .is_linked = true, .log_id = 100 + number};
}

static struct steward_node *node_of(uint8_t number)
{
	for (size_t i = 0; i < node_count; i++)
		if (nodes[i].id.bytes[0] == number)
			return &nodes[i];
	return NULL;
}

static void forget(uint8_t number)
{
	*node_of(number) = nodes[--node_count];
}

static void set_up(void)
{
	node_count = 0;
	members = (struct consensus_members){.count = 1,
		.members = {{.id = SELF,
			.node = id_of(1),
			.duty = CONSENSUS_VOTER,
			.match_index = 1000}}};
	admit(1);
}

static struct consensus_member *member_of(uint64_t id)
{
	for (size_t i = 0; i < members.count; i++)
		if (members.members[i].id == id)
			return &members.members[i];
	return NULL;
}

static enum err plan(void)
{
	return steward_plan(&members, nodes, node_count, SELF, &change);
}

/* Does what was planned; what is added is up to date at once. */
static void apply(void)
{
	switch (change.kind) {
	case CONSENSUS_ADD:
		members.members[members.count++] = (struct consensus_member){
			.id = change.id, .node = change.node, .match_index = 1000};
		break;
	case CONSENSUS_PROMOTE:
		member_of(change.id)->duty = CONSENSUS_VOTER;
		break;
	case CONSENSUS_DEMOTE:
		member_of(change.id)->duty = CONSENSUS_LEARNER;
		break;
	case CONSENSUS_REMOVE:
		*member_of(change.id) = members.members[members.count - 1];
		members.count--;
		break;
	case CONSENSUS_HAND_OVER:
		ck_abort_msg("nothing after this is decided here");
	}
}

static unsigned voter_count(void)
{
	unsigned count = 0;
	for (size_t i = 0; i < members.count; i++)
		count += members.members[i].duty == CONSENSUS_VOTER;
	return count;
}

/* Until all is as it should be; there is an end, and never fewer than min voters on the way. */
static void settle(unsigned min)
{
	for (unsigned i = 0; i < 60; i++) {
		ck_assert_uint_ge(voter_count(), min);
		if (plan() == ERR_END)
			return;
		apply();
	}
	ck_abort_msg("it never ends");
}

START_TEST(voters_are_odd_and_at_most_five)
{
	static const unsigned wanted[] = {0, 1, 2, 3, 3, 5, 5, 5, 5, 5};
	for (size_t i = 1; i < ARRAY_COUNT(wanted); i++)
		ck_assert_uint_eq(steward_voter_count(i), wanted[i]);
}
END_TEST

START_TEST(a_cluster_grows_to_nine)
{
	for (uint8_t number = 2; number <= 9; number++) {
		admit(number);
		settle(1);
		ck_assert_uint_eq(members.count, number);
		ck_assert_uint_eq(voter_count(), steward_voter_count(number));
	}
}
END_TEST

START_TEST(who_has_not_said_its_log_is_not_added)
{
	admit(2);
	node_of(2)->log_id = 0;
	ck_assert_err(plan(), ERR_END);
	node_of(2)->log_id = 102;
	node_of(2)->is_linked = false;
	ck_assert_err(plan(), ERR_END);
}
END_TEST

START_TEST(who_lags_is_not_promoted)
{
	admit(2);
	ck_assert_ok(plan());
	apply();
	member_of(102)->match_index = 1000 - STEWARD_LAG_MAX - 1;
	ck_assert_err(plan(), ERR_END);
	member_of(102)->match_index++;
	ck_assert_ok(plan());
	ck_assert_int_eq(change.kind, CONSENSUS_PROMOTE);
}
END_TEST

START_TEST(a_silent_voter_is_stood_in_for)
{
	for (uint8_t number = 2; number <= 4; number++)
		admit(number);
	settle(1);
	ck_assert_uint_eq(voter_count(), 3);
	uint8_t voter = 2;
	while (member_of(100 + voter)->duty != CONSENSUS_VOTER)
		voter++;
	node_of(voter)->is_linked = false;
	node_of(voter)->silent_ms = STEWARD_SILENT_MS - 1;
	ck_assert_err(plan(), ERR_END);
	node_of(voter)->silent_ms++;
	ck_assert_ok(plan());
	ck_assert_int_eq(change.kind, CONSENSUS_PROMOTE);
	settle(3);
	ck_assert_int_eq(member_of(100 + voter)->duty, CONSENSUS_LEARNER);
	ck_assert_uint_eq(voter_count(), 3);
}
END_TEST

START_TEST(a_silent_voter_of_three_stays_when_nobody_can_stand_in)
{
	admit(2);
	admit(3);
	settle(1);
	node_of(3)->is_linked = false;
	node_of(3)->silent_ms = 10 * STEWARD_SILENT_MS;
	ck_assert_err(plan(), ERR_END);
}
END_TEST

START_TEST(a_node_that_lost_its_log_comes_back_as_another_member)
{
	admit(2);
	admit(3);
	settle(1);
	node_of(3)->log_id = 203;
	settle(2);
	ck_assert_ptr_null(member_of(103));
	ck_assert_int_eq(member_of(203)->duty, CONSENSUS_VOTER);
}
END_TEST

START_TEST(a_removed_node_leaves_the_group)
{
	for (uint8_t number = 2; number <= 5; number++)
		admit(number);
	settle(1);
	forget(4);
	settle(3);
	ck_assert_ptr_null(member_of(104));
	ck_assert_uint_eq(voter_count(), 3);
}
END_TEST

START_TEST(a_leader_that_is_removed_hands_over)
{
	admit(2);
	admit(3);
	settle(1);
	forget(1);
	ck_assert_ok(plan());
	ck_assert_int_eq(change.kind, CONSENSUS_HAND_OVER);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("steward_plan");
	TCase *tc = tcase_create("steward_plan");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, voters_are_odd_and_at_most_five);
	tcase_add_test(tc, a_cluster_grows_to_nine);
	tcase_add_test(tc, who_has_not_said_its_log_is_not_added);
	tcase_add_test(tc, who_lags_is_not_promoted);
	tcase_add_test(tc, a_silent_voter_is_stood_in_for);
	tcase_add_test(tc, a_silent_voter_of_three_stays_when_nobody_can_stand_in);
	tcase_add_test(tc, a_node_that_lost_its_log_comes_back_as_another_member);
	tcase_add_test(tc, a_removed_node_leaves_the_group);
	tcase_add_test(tc, a_leader_that_is_removed_hands_over);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
