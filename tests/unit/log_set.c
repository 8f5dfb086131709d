/* SPDX-License-Identifier: Apache-2.0 */
/* Which copies rule, whatever homes are there (S2), (S3).
 *
 * A history of sets is made as a mirror makes it: in each step the members of the next set are
 * chosen, some of them carried, and the set is written home by home, in the order of (S1); the
 * process may end at any write. What a member of a finished set has is what was acknowledged. Then
 * every subset of the homes is looked at. */
#include <stdlib.h>

#include "storage/meta/log_set.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

enum { HOMES = 5, HISTORIES = 3000 };

static struct id home_id(unsigned i)
{
	return (struct id){{i}}; /* 0 is the state directory */
}

struct world {
	struct log_set sets[HOMES]; /* number 0: none */
	uint64_t acknowledged[HOMES]; /* what the home has of it; 0: no copy */
	uint64_t last;
	uint64_t highest;
	struct log_set current;
	uint64_t random;
};

static uint64_t below(struct world *world, uint64_t n)
{
	return test_random(&world->random) % n;
}

/* Writes the set to up to limit homes, as (S1) has it. Returns whether all were written. */
static bool write_set(struct world *world, const struct log_set *set, unsigned limit)
{
	bool members_first = set->carried_count == 0;
	for (int turn = 0; turn < 2; turn++)
		for (unsigned i = 0; i < HOMES; i++) {
			if (log_set_has(set, home_id(i)) != ((turn == 0) == members_first))
				continue;
			if (limit-- == 0)
				return false;
			world->sets[i] = *set;
		}
	return true;
}

/* One change of the set: some members stay, others join with a copy of what those have. */
static void change(struct world *world)
{
	struct log_set set = {.number = world->highest + 1, .previous = world->current.number};
	unsigned before = world->current.member_count;
	unsigned stay = before > 0 ? 1 + below(world, before) : 0;
	for (unsigned i = 0; i < stay; i++)
		set.members[set.member_count++] = world->current.members[i];
	set.carried_count = set.member_count;
	for (unsigned i = 1; i < HOMES && set.member_count < LOG_COPIES_MAX; i++) {
		bool is_new = !log_set_has(&set, home_id(i)) &&
			!log_set_has(&world->current, home_id(i));
		if (!is_new || below(world, 3) == 0)
			continue;
		set.members[set.member_count++] = home_id(i);
		world->acknowledged[i] = world->last; /* only a member has it */
	}
	if (set.member_count == 0)
		return;
	world->current = set;
	world->highest = set.number;
}

static void acknowledge(struct world *world)
{
	world->last++;
	for (unsigned i = 0; i < HOMES; i++)
		if (log_set_has(&world->current, home_id(i)))
			world->acknowledged[i] = world->last;
}

/* Of the homes in the mask: whoever rules has all that was acknowledged, if any witness of the
 * newest set is there. */
static void look(const struct world *world, unsigned mask, uint64_t *refused)
{
	struct log_set_found found[HOMES];
	unsigned homes[HOMES];
	size_t count = 0;
	bool has_witness = false;
	for (unsigned i = 0; i < HOMES; i++) {
		if (!(mask >> i & 1))
			continue;
		homes[count] = i;
		has_witness |= world->sets[i].number == world->highest;
		found[count++] = (struct log_set_found){
			home_id(i), world->sets[i].number > 0, world->sets[i]};
	}
	bool rules[HOMES] = {false};
	uint64_t number, older;
	enum err err = log_set_choose(found, count, false, rules, &number, &older);
	if (err == ERR_NOT_FOUND)
		return;
	if (err == ERR_QUORUM) {
		++*refused;
		for (size_t i = 0; i < count; i++)
			ck_assert(!rules[i]);
		err = log_set_choose(found, count, true, rules, &number, &older);
		unsigned ruling = 0;
		for (size_t i = 0; i < count; i++)
			ruling += rules[i];
		ck_assert_uint_eq(ruling, err == ERR_OK);
		ck_assert_int_eq(err, older > 0 ? ERR_OK : ERR_QUORUM);
		return;
	}
	ck_assert_ok(err);
	for (size_t i = 0; i < count && has_witness; i++)
		if (rules[i])
			ck_assert_uint_eq(world->acknowledged[homes[i]], world->last);
}

START_TEST(who_rules_has_all_that_was_acknowledged)
{
	uint64_t refused = 0;
	for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
		struct world world = {.random = seed};
		for (unsigned steps = 1 + below(&world, 5); steps > 0; steps--) {
			change(&world);
			if (world.highest == 0)
				continue;
			bool is_last = steps == 1 && below(&world, 2) == 0;
			unsigned limit = is_last ? below(&world, HOMES) : HOMES;
			if (write_set(&world, &world.current, limit))
				acknowledge(&world);
		}
		/* Of a change that no home has heard of nobody knows. */
		world.highest = 0;
		for (unsigned i = 0; i < HOMES; i++)
			if (world.sets[i].number > world.highest)
				world.highest = world.sets[i].number;
		for (unsigned mask = 1; mask < 1u << HOMES; mask++)
			look(&world, mask, &refused);
	}
	ck_assert_uint_gt(refused, 1000);
}
END_TEST

START_TEST(all_homes_together_never_refuse)
{
	for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
		struct world world = {.random = seed};
		change(&world);
		if (world.highest == 0)
			continue;
		write_set(&world, &world.current, HOMES);
		acknowledge(&world);
		change(&world);
		write_set(&world, &world.current, below(&world, HOMES + 1));
		struct log_set_found found[HOMES];
		for (unsigned i = 0; i < HOMES; i++)
			found[i] = (struct log_set_found){
				home_id(i), world.sets[i].number > 0, world.sets[i]};
		bool rules[HOMES];
		uint64_t number, older;
		ck_assert_ok(log_set_choose(found, HOMES, false, rules, &number, &older));
	}
}
END_TEST

/* As when a drive was put back from an image of it. */
START_TEST(a_member_that_went_back_in_time_does_not_rule)
{
	struct log_set now = {.number = 5, .previous = 4, .member_count = 2, .carried_count = 1};
	now.members[0] = home_id(1);
	now.members[1] = home_id(2);
	struct log_set then = now;
	then.number = 3;
	then.previous = 2;
	struct log_set_found found[3] = {
		{home_id(0), true, now}, {home_id(1), true, then}, {.home = home_id(2)}};
	bool rules[3];
	uint64_t number, older;
	ck_assert_int_eq(log_set_choose(found, 3, false, rules, &number, &older), ERR_QUORUM);
	ck_assert_uint_eq(number, 5);
	ck_assert_uint_eq(older, 3);
	then.number = 4; /* it is carried, and the change was not over */
	found[1].set = then;
	ck_assert_ok(log_set_choose(found, 3, false, rules, &number, &older));
	ck_assert(!rules[0] && rules[1] && !rules[2]);
	found[2].has_set = true;
	found[2].set = then; /* it joined, and has not heard of it */
	ck_assert_ok(log_set_choose(found, 3, false, rules, &number, &older));
	ck_assert(!rules[0] && rules[1] && !rules[2]);
}
END_TEST

START_TEST(two_sets_of_one_number_are_unclear)
{
	struct log_set_found found[2];
	for (unsigned i = 0; i < 2; i++) {
		struct log_set set = {.number = 7, .previous = 6, .member_count = 1};
		set.members[0] = home_id(1 + i);
		found[i] = (struct log_set_found){home_id(1 + i), true, set};
	}
	bool rules[2];
	uint64_t number, older;
	ck_assert_int_eq(log_set_choose(found, 2, false, rules, &number, &older), ERR_QUORUM);
	ck_assert_uint_eq(older, 7);
	ck_assert_ok(log_set_choose(found, 2, true, rules, &number, &older));
	ck_assert(rules[0] && !rules[1]);
}
END_TEST

START_TEST(a_set_is_read_as_it_was_written_and_damage_is_found)
{
	struct sim *sim = sim_new(1);
	struct sim_node *node = sim_node_new(sim, "node");
	struct sim_disk *disk = sim_disk_new(node, "disk", 0);
	struct log_set read, set = {.node = {{9}}, .number = 4, .previous = 3, .member_count = 2};
	set.carried_count = 1;
	set.members[0] = home_id(1);
	set.members[1] = home_id(3);
	ck_assert_int_eq(log_set_read(sim_disk_base(disk), &read), ERR_NOT_FOUND);
	ck_assert_ok(log_set_write(sim_disk_base(disk), &set));
	ck_assert_ok(log_set_read(sim_disk_base(disk), &read));
	ck_assert_mem_eq(&read, &set, sizeof set);
	ck_assert(sim_disk_rot(disk, "log-set", 1));
	enum err err = log_set_read(sim_disk_base(disk), &read);
	ck_assert_int_eq(err, ERR_CORRUPT);
	sim_disk_free(disk);
	sim_free(sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log_set");
	TCase *tcase = tcase_create("log_set");
	tcase_add_test(tcase, who_rules_has_all_that_was_acknowledged);
	tcase_add_test(tcase, all_homes_together_never_refuse);
	tcase_add_test(tcase, a_member_that_went_back_in_time_does_not_rule);
	tcase_add_test(tcase, two_sets_of_one_number_are_unclear);
	tcase_add_test(tcase, a_set_is_read_as_it_was_written_and_damage_is_found);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
