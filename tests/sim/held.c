/* SPDX-License-Identifier: Apache-2.0 */
/* A node whose index may be older than its drives: nothing is freed until somebody has said that
 * the index counts. */
#include "tests/lib/store_clients.h"
#include "tests/lib/test.h"

#define LONG_MS 120000

static struct sim_store rig;
static struct store_model model;
static struct client_world world;
static struct client_stats stats;
static bool may_reads_fail;

static void hold(const char *value)
{
	struct command command = {.type = COMMAND_SETTING_PUT};
	struct command_result result;
	command.setting_put.name = bytes_of(COMMAND_SETTING_HELD);
	command.setting_put.value = bytes_of(value);
	ck_assert_ok(sim_store_propose(&rig, &command, &result));
}

static void setup(void)
{
	struct sim_store_options options = {.drive_count = 3, .ring_count = 2, .has_mender = true};
	sim_store_init(&rig, 7, &options);
	store_model_init(&model, 7);
	world = (struct client_world){.rig = &rig,
		.model = &model,
		.random = 7,
		.seed = 7,
		.stats = &stats,
		.may_reads_fail = &may_reads_fail};
	ck_assert_ok(sim_store_start(&rig));
	ck_assert_ok(sim_store_make_bucket(&rig, BUCKET_UNVERSIONED, &world.bucket));
}

static void teardown(void)
{
	ck_assert_ok(sim_store_stop(&rig));
	sim_store_fini(&rig);
}

static void act(enum client_kind kind, unsigned key, uint64_t len)
{
	static struct store_clients clients;
	ck_assert_ok(store_clients_do(&clients, &world, kind, key, len, 60000));
}

static uint64_t used(unsigned drive)
{
	struct drive_space space;
	drive_space(rig.drives[drive].drive, &space);
	return space.used;
}

START_TEST(what_was_deleted_stays_on_the_drives)
{
	act(CLIENT_PUT, 0, 300000);
	uint64_t before = used(0);
	ck_assert_uint_gt(before, 0);
	hold("an index that was made anew");
	act(CLIENT_DELETE, 0, 0);
	sim_run_ms(rig.sim, LONG_MS);
	ck_assert_uint_eq(used(0), before);
	ck_assert_ok(sim_store_stop(&rig)); /* nor does the census of a start free it */
	ck_assert_ok(sim_store_start(&rig));
	sim_run_ms(rig.sim, LONG_MS);
	ck_assert_uint_eq(used(0), before);
	hold("");
	sim_run_ms(rig.sim, LONG_MS);
	ck_assert_uint_eq(used(0), 0);
	ck_assert_uint_eq(used(1), 0);
}
END_TEST

START_TEST(what_moved_away_stays_where_it_was)
{
	act(CLIENT_PUT, 0, 300000);
	uint64_t before = used(0);
	hold("an index that was made anew");
	ck_assert_ok(sim_store_propose_target(&rig, (bool[]){false, true, true}));
	sim_run_ms(rig.sim, LONG_MS);
	ck_assert_uint_gt(used(2), 0);
	ck_assert_uint_eq(used(0), before);
	hold("");
	sim_run_ms(rig.sim, LONG_MS);
	ck_assert(sim_store_is_whole(&rig));
	ck_assert_uint_eq(used(0), 0);
	act(CLIENT_GET, 0, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("held");
	TCase *tcase = tcase_create("held");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, what_was_deleted_stays_on_the_drives);
	tcase_add_test(tcase, what_moved_away_stays_where_it_was);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
