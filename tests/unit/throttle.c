/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/throttle.h"

#include "storage/repair/fare.h"

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
	throttle_set(&rig.throttle, 0, false); /* it collects without a bound */
	throttle_look(&rig.throttle, (struct throttle_load){0});
	sim_run_ms(rig.sim, 1000);
	ck_assert_uint_gt(take_for(&rig, 1, 256 << 10), 0);
	throttle_set(&rig.throttle, 4 * MIB, false);
	ck_assert_uint_le(take_for(&rig, 1000, 64 << 10), 5 * MIB);
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
	ck_assert_uint_ge(taken, 9 * THROTTLE_FLOOR);
	ck_assert_uint_le(taken, 10 * THROTTLE_FLOOR + THROTTLE_FLOOR / 2);
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

/* Without clients it is at full speed within seconds of having been slow. */
START_TEST(nobody_there_is_given_way_to_no_longer)
{
	struct rig rig = make_rig(0);
	for (unsigned i = 0; i < 40; i++)
		throttle_look(&rig.throttle, (struct throttle_load){true, true});
	ck_assert(throttle_is_at_floor(&rig.throttle));
	for (unsigned ms = 0; ms < 3000; ms += THROTTLE_LOOK_MS)
		throttle_look(&rig.throttle, (struct throttle_load){0});
	ck_assert_uint_gt(rig.throttle.rate, UINT64_C(4) << 30);
	sim_free(rig.sim);
}
END_TEST

/* What was never used up is no measure of how fast it was. */
START_TEST(it_is_slow_within_a_second_also_when_it_had_no_bound)
{
	struct rig rig = make_rig(0);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t end_ms = loop_now_ms(rig.loop) + THROTTLE_LOOK_MS;
		for (; loop_now_ms(rig.loop) < end_ms; sim_run_ms(rig.sim, 10))
			if (throttle_take(&rig.throttle, 2 * MIB, false) > 0)
				continue;
		throttle_look(&rig.throttle, (struct throttle_load){true, true});
	}
	ck_assert_uint_le(rig.throttle.rate, 26 * MIB);
	ck_assert_uint_le(take_for(&rig, 1000, 64 << 10), 30 * MIB);
	sim_free(rig.sim);
}
END_TEST

/* --- how clients fare ------------------------------------------------------------------------- */

struct clients {
	struct fare fare;
	struct fare_sums sums;
	uint64_t now_ms;
};

/* So many requests of so long each, then a look. */
static struct throttle_load look_after(struct clients *clients, uint64_t ms, unsigned kind,
	uint64_t count, uint64_t us, bool is_at_floor)
{
	struct throttle_load load;
	clients->now_ms += ms;
	clients->sums.count[kind] += count;
	clients->sums.us[kind] += count * us;
	fare_look(&clients->fare, clients->now_ms, &clients->sums, is_at_floor, &load);
	return load;
}

START_TEST(what_is_usual_is_learned_while_there_is_no_work)
{
	struct clients clients = {.now_ms = 5000};
	struct throttle_load load = look_after(&clients, 5000, FARE_WRITE, 100, 10000, false);
	ck_assert(load.is_any && !load.is_waiting);
	load = look_after(&clients, 250, FARE_WRITE, 100, 12000, false);
	ck_assert(load.is_any && !load.is_waiting);
	load = look_after(&clients, 250, FARE_WRITE, 100, 30000, false);
	ck_assert(load.is_waiting);
	load = look_after(&clients, 250, FARE_READ, 2, 500, false); /* says nothing yet */
	ck_assert(!load.is_waiting);
	look_after(&clients, 2250, FARE_READ, 0, 0, false);
	ck_assert(!look_after(&clients, 250, FARE_READ, 0, 0, false).is_any);
}
END_TEST

START_TEST(what_was_never_undisturbed_is_given_way_to_and_then_learned)
{
	struct clients clients = {.now_ms = 100};
	ck_assert(!look_after(&clients, 250, FARE_READ, 0, 0, false).is_waiting);
	ck_assert(look_after(&clients, 250, FARE_READ, 50, 40000, false).is_waiting);
	ck_assert(!look_after(&clients, 250, FARE_READ, 50, 8000, true).is_waiting);
	ck_assert(!look_after(&clients, 250, FARE_READ, 50, 9000, false).is_waiting);
	ck_assert(look_after(&clients, 250, FARE_READ, 50, 40000, false).is_waiting);
}
END_TEST

START_TEST(clients_that_want_something_else_do_not_stop_the_work_for_ever)
{
	struct clients clients = {.now_ms = 5000};
	ck_assert(!look_after(&clients, 5000, FARE_READ, 50, 1000, false).is_waiting);
	ck_assert(look_after(&clients, 250, FARE_READ, 50, 90000, false).is_waiting);
	for (unsigned i = 0; i < 40; i++)
		ck_assert(!look_after(&clients, 250, FARE_READ, 50, 90000, true).is_waiting);
	ck_assert(!look_after(&clients, 250, FARE_READ, 50, 95000, false).is_waiting);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("throttle");
	TCase *tcase = tcase_create("rates");
	tcase_add_test(tcase, no_more_is_given_than_the_cap_allows);
	tcase_add_test(tcase, nobody_there_is_given_way_to_no_longer);
	tcase_add_test(tcase, it_is_slow_within_a_second_also_when_it_had_no_bound);
	tcase_add_test(tcase, what_is_usual_is_learned_while_there_is_no_work);
	tcase_add_test(tcase, what_was_never_undisturbed_is_given_way_to_and_then_learned);
	tcase_add_test(tcase, clients_that_want_something_else_do_not_stop_the_work_for_ever);
	tcase_add_test(tcase, clients_that_wait_are_given_way_to_down_to_the_floor);
	tcase_add_test(tcase, a_pause_begins_nothing_and_ends_what_was_begun);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
