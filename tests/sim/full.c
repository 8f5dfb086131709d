/* SPDX-License-Identifier: Apache-2.0 */
/* A node whose state disk runs full: what makes the index grow is refused, the rest goes on. */
#include "storage/meta/index_space.h"

#include "tests/lib/store_clients.h"
#include "tests/lib/test.h"

static struct sim_store rig;
static struct store_model model;
static struct client_world world;
static struct client_stats stats;
static bool may_reads_fail;

static void setup(void)
{
	struct sim_store_options options = {.drive_count = 1};
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

static enum err act(enum client_kind kind, unsigned key, uint64_t len)
{
	static struct store_clients clients;
	return store_clients_do(&clients, &world, kind, key, len, 60000);
}

/* Leaves so much free on the state disk. */
static void leave(uint64_t free)
{
	struct disk_space space;
	struct disk *disk = sim_disk_base(rig.state);
	sim_disk_set_capacity(rig.state, 0);
	ck_assert_ok(disk_space(disk, &space));
	sim_disk_set_capacity(rig.state, space.total - space.free + free);
}

/* What the log may still allocate beyond its free segments. */
static uint64_t log_need(void)
{
	struct consensus_info info;
	consensus_info(rig.consensus, &info);
	uint64_t spare = info.log_len - info.live_len;
	ck_assert_uint_gt(spare, 0);
	ck_assert_uint_lt(spare, SIM_STORE_LOG_LEN);
	return SIM_STORE_LOG_LEN - spare;
}

/* The first to ask has the file system looked at. */
static bool may_grow(void)
{
	sim_run_ms(rig.sim, 1100);
	index_may_grow(rig.index);
	sim_run_ms(rig.sim, 10);
	return index_may_grow(rig.index);
}

START_TEST(a_node_without_room_serves_reads_and_deletes)
{
	ck_assert_ok(act(CLIENT_PUT, 0, 100));
	ck_assert_ok(act(CLIENT_PUT, 1, 200000));
	leave(log_need() - 1);
	ck_assert(!may_grow());
	ck_assert_err(act(CLIENT_PUT, 2, 100), ERR_NO_SPACE);
	ck_assert_err(act(CLIENT_PUT, 2, 200000), ERR_NO_SPACE);
	ck_assert_ok(act(CLIENT_GET, 0, 0));
	ck_assert_ok(act(CLIENT_GET, 1, 0));
	ck_assert_ok(act(CLIENT_DELETE, 1, 0));
	ck_assert_ok(act(CLIENT_LIST, 0, 0));
	ck_assert_err(rig.failed, ERR_OK);
}
END_TEST

START_TEST(writes_come_back_when_there_is_room)
{
	leave(log_need() - 1);
	ck_assert(!may_grow());
	leave(log_need() + log_need() / 16);
	ck_assert(!may_grow()); /* it does not go to and fro */
	leave(log_need() * 2);
	ck_assert(may_grow());
	ck_assert_ok(act(CLIENT_PUT, 0, 100));
}
END_TEST

START_TEST(a_node_starts_without_room_and_says_so)
{
	ck_assert_ok(act(CLIENT_PUT, 0, 100));
	leave(log_need() / 2);
	ck_assert_ok(sim_store_stop(&rig));
	ck_assert_ok(sim_store_start(&rig));
	struct index_status status;
	index_status(rig.index, &status);
	ck_assert(status.is_space_low);
	ck_assert_uint_lt(status.space_free, status.space_wanted);
	ck_assert_ok(act(CLIENT_GET, 0, 0));
	ck_assert_ok(act(CLIENT_DELETE, 0, 0));
}
END_TEST

START_TEST(a_node_that_nobody_asks_does_not_look_at_its_disk)
{
	ck_assert_ok(act(CLIENT_PUT, 0, 100));
	sim_run_ms(rig.sim, 5000);
	uint64_t before = sim_disk_stats(rig.state)->calls[SIM_SPACE];
	sim_run_ms(rig.sim, 60000);
	ck_assert_uint_eq(sim_disk_stats(rig.state)->calls[SIM_SPACE], before);
}
END_TEST

START_TEST(drives_beside_the_index_leave_it_more_than_it_wants)
{
	ck_assert_uint_eq(index_space_kept(100, 300, 1000), 450);
	ck_assert_uint_eq(index_space_kept(100, 300, 20000), 1125);
	ck_assert_uint_eq(index_space_kept(100, 300, UINT64_C(800) << 30), UINT64_C(9) << 29);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("full");
	TCase *tcase = tcase_create("full");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_node_without_room_serves_reads_and_deletes);
	tcase_add_test(tcase, writes_come_back_when_there_is_room);
	tcase_add_test(tcase, a_node_starts_without_room_and_says_so);
	tcase_add_test(tcase, a_node_that_nobody_asks_does_not_look_at_its_disk);
	tcase_add_test(tcase, drives_beside_the_index_leave_it_more_than_it_wants);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
