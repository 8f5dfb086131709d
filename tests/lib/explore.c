/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/explore.h"

#include <stdio.h>

#include "tests/lib/sim.h"
#include "tests/lib/test.h"

static const struct explore_model *model;
static uint64_t seed_first = 1, seed_count;

uint64_t explore_below(struct explore *explore, uint64_t n)
{
	return test_random(&explore->random) % n;
}

bool explore_chance(struct explore *explore, unsigned percent)
{
	return explore_below(explore, 100) < percent;
}

bool explore_expect(struct explore *explore, bool condition, const char *rule)
{
	if (!condition && !explore->broken)
		explore->broken = rule;
	return condition;
}

static const char *run(uint64_t seed, unsigned mistake)
{
	struct explore explore = {.random = seed, .mistake = mistake};
	model->run(&explore);
	return explore.broken;
}

START_TEST(no_seed_breaks_the_protocol)
{
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		const char *broken = run(seed, 0);
		ck_assert_msg(!broken, "--seed=%lu: not so: %s", (unsigned long)seed, broken);
	}
}
END_TEST

START_TEST(each_planted_mistake_is_found)
{
	for (uint64_t seed = 1; seed <= model->seeds; seed++) {
		const char *broken = run(seed, _i + 1);
		if (!broken)
			continue;
		printf("%s: \"%s\" is found by seed %lu: not so: %s\n", model->name,
			model->mistakes[_i], (unsigned long)seed, broken);
		return;
	}
	ck_abort_msg("\"%s\" is not found", model->mistakes[_i]);
}
END_TEST

int explore_main(int argc, char **argv, const struct explore_model *own_model)
{
	model = own_model;
	uint64_t seed = sim_seed_of(argc, argv, 0);
	seed_first = seed > 0 ? seed : 1;
	seed_count = seed > 0 ? 1 : model->seeds;
	int count = 0;
	while (model->mistakes[count])
		count++;
	Suite *suite = suite_create(model->name);
	TCase *tcase = tcase_create(model->name);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, no_seed_breaks_the_protocol);
	if (seed == 0)
		tcase_add_loop_test(tcase, each_planted_mistake_is_found, 0, count);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
