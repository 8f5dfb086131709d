/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/throttle.h"

#include "tests/lib/sim.h"
#include "tests/lib/test.h"

enum { MIB = 1 << 20 };

struct rig {
	struct sim *sim;
	struct loop *loop;
	struct throttle throttle;
};

static struct rig make_rig(uint64_t cap)
{
	struct rig rig = {.sim = sim_new(1)};
	rig.loop = sim_node_loop(sim_node_new(rig.sim, "node"));
	throttle_init(&rig.throttle, rig.loop, cap);
	return rig;
}

/* Takes what it can get for a while; returns the bytes. */
static uint64_t take_for(struct rig *rig, uint64_t ms, uint64_t len)
{
	uint64_t taken = 0, end_ms = loop_now_ms(rig->loop) + ms;
	while (loop_now_ms(rig->loop) < end_ms) {
		uint64_t wait_ms = throttle_take(&rig->throttle, len, false);
		if (wait_ms == 0)
			taken += len;
		else
			sim_run_ms(rig->sim, wait_ms);
	}
	return taken;
}

START_TEST(no_more_is_given_than_the_cap_allows)
{
	struct rig rig = make_rig(10 * MIB);
	uint64_t taken = take_for(&rig, 10000, 256 << 10);
	ck_assert_uint_le(taken, 103 * MIB);
	ck_assert_uint_ge(taken, 90 * MIB);
	sim_free(rig.sim);
}
END_TEST

START_TEST(clients_that_wait_are_given_way_to_down_to_the_floor)
{
	struct rig rig = make_rig(0);
	for (unsigned i = 0; i < 40; i++)
		throttle_look(&rig.throttle, (struct throttle_load){.is_waiting = true});
	ck_assert_uint_eq(rig.throttle.rate, THROTTLE_FLOOR);
	uint64_t taken = take_for(&rig, 10000, 64 << 10);
	ck_assert_uint_ge(taken, 45 * MIB);
	ck_assert_uint_le(taken, 52 * MIB);
	throttle_look(&rig.throttle, (struct throttle_load){0});
	ck_assert_uint_gt(rig.throttle.rate, THROTTLE_FLOOR);
	sim_free(rig.sim);
}
END_TEST

START_TEST(a_pause_begins_nothing_and_ends_what_was_begun)
{
	struct rig rig = make_rig(0);
	throttle_set(&rig.throttle, 0, true);
	ck_assert_uint_eq(take_for(&rig, 3000, 4096), 0);
	sim_run_ms(rig.sim, 100);
	ck_assert_uint_eq(throttle_take(&rig.throttle, 4096, true), 0);
	throttle_set(&rig.throttle, 0, false);
	ck_assert_uint_gt(take_for(&rig, 100, 4096), 0);
	sim_free(rig.sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("throttle");
	TCase *tcase = tcase_create("rates");
	tcase_add_test(tcase, no_more_is_given_than_the_cap_allows);
	tcase_add_test(tcase, clients_that_wait_are_given_way_to_down_to_the_floor);
	tcase_add_test(tcase, a_pause_begins_nothing_and_ends_what_was_begun);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
