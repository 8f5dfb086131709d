/* SPDX-License-Identifier: Apache-2.0 */
/* A node does a little of everything, and the n-th call of one of its disks fails, or the n-th
 * request for memory; for each n, until none fails any more. Whatever came of it, every operation
 * ends, and the node that is started afterwards has all that was acknowledged, and nothing else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/failing_memory.h"
#include "tests/lib/ledger.h"
#include "tests/lib/store_client.h"
#include "tests/lib/test.h"

enum { ENDS_MS = 240000, BATCH = 100, BATCHES_MAX = 8, DRIVES = 3 };

enum what { FAILS_DRIVE, FAILS_STATE, FAILS_MEMORY, FAILS_LOG_DRIVE, FAILS_OWN_DISK };

enum { STEP = 1 };

struct run {
	struct sim_store rig;
	struct store_model model;
	struct client_world world;
	struct client_stats stats;
	bool may_reads_fail;
	struct client *client;
};

static bool is_done(void *arg)
{
	return ((struct client *)arg)->is_done;
}

/* An operation, to its end; it may fail. */
static enum err do_one(struct run *run, enum client_kind kind, unsigned key, uint64_t len)
{
	struct client *client = client_start(&run->world, kind, key, len, true);
	ck_assert_msg(sim_run_until(run->rig.sim, is_done, client, ENDS_MS),
		"an operation of kind %u does not end", kind);
	enum err err = client->err;
	client_free(client);
	return err;
}

static enum err start(struct run *run)
{
	enum err err = sim_store_start(&run->rig);
	if (err != ERR_OK)
		return err;
	return sim_store_make_bucket(&run->rig, BUCKET_UNVERSIONED, &run->world.bucket);
}

static bool is_collected(void *arg)
{
	return sim_store_is_collected(arg);
}

/* A little of everything. A step that fails is not tried again. */
static void do_all(struct run *run)
{
	static const struct {
		enum client_kind kind;
		unsigned key;
		uint64_t len;
	} steps[] = {{CLIENT_PUT, 0, 300000}, {CLIENT_PUT, 1, 100}, {CLIENT_PUT, 2, 20000},
		{CLIENT_GET, 0, 0}, {CLIENT_GET, 2, 0}, {CLIENT_PUT, 0, 5000}, {CLIENT_COPY, 3, 0},
		{CLIENT_UPLOAD, 4, 70000}, {CLIENT_DELETE, 2, 0}, {CLIENT_LIST, 0, 0},
		{CLIENT_GET, 4, 0}};
	for (size_t i = 0; i < ARRAY_COUNT(steps) && run->rig.failed == ERR_OK; i++)
		err_ignore(do_one(run, steps[i].kind, steps[i].key, steps[i].len));
	sim_run_until(run->rig.sim, is_collected, &run->rig, 5000);
}

/* Starts on what is there, with nothing failing, and looks at everything. */
static void check_all(struct run *run)
{
	static const bool excused[DRIVES];
	run->may_reads_fail = false;
	ck_assert_ok(start(run));
	store_model_restart(&run->model);
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		ck_assert_ok(do_one(run, CLIENT_GET, key, 0));
	ck_assert_ok(do_one(run, CLIENT_LIST, 0, 0));
	ck_assert_ok(do_one(run, CLIENT_DELETE, 0, 0));
	ck_assert(sim_run_until(run->rig.sim, is_collected, &run->rig, ENDS_MS));
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		ck_assert(store_model_is_linearizable(&run->model, key));
	struct ledger_counts counts;
	ledger_check(&run->rig, excused, false, &counts);
	ck_assert_ok(sim_store_stop(&run->rig));
}

static void arm(struct run *run, enum what what, uint64_t n)
{
	if (what == FAILS_DRIVE)
		sim_disk_fail_nth(run->rig.drives[1].disk, SIM_ANY_CALL, n, SIM_EIO);
	else if (what == FAILS_STATE)
		sim_disk_fail_nth(run->rig.state, SIM_ANY_CALL, n, SIM_EIO);
	else if (what == FAILS_LOG_DRIVE)
		sim_disk_fail_nth(run->rig.drives[0].disk, SIM_ANY_CALL, n, SIM_EIO);
	else if (what == FAILS_OWN_DISK)
		sim_disk_fail_nth(run->rig.state, SIM_ANY_CALL, n, SIM_EIO);
	else if (what == FAILS_MEMORY)
		failing_memory_arm(n);
}

static uint64_t failures(const struct run *run)
{
	return sim_disk_stats(run->rig.drives[0].disk)->faults[SIM_EIO] +
		sim_disk_stats(run->rig.drives[1].disk)->faults[SIM_EIO] +
		sim_disk_stats(run->rig.state)->faults[SIM_EIO] + failing_memory_failures();
}

/* Returns whether something failed. */
static bool run_nth(enum what what, uint64_t n)
{
	struct run *run = sim_must(calloc(1, sizeof *run));
	bool is_mirrored = what >= FAILS_LOG_DRIVE || (what == FAILS_MEMORY && n % 2 == 0);
	struct sim_store_options options = {.drive_count = DRIVES,
		.extent_len_max = 128 << 10,
		.log_copies = is_mirrored ? 2 : 0};
	sim_store_init(&run->rig, 1, &options);
	store_model_init(&run->model, 1);
	run->may_reads_fail = true;
	run->world = (struct client_world){.rig = &run->rig,
		.model = &run->model,
		.random = 4,
		.seed = 1,
		.may_reads_fail = &run->may_reads_fail,
		.stats = &run->stats};
	uint64_t before = failures(run);
	arm(run, what, n);
	enum err err = start(run);
	if (err == ERR_OK)
		do_all(run);
	/* Another copy of the log goes on. */
	if (what == FAILS_LOG_DRIVE)
		ck_assert(err == ERR_OK && run->rig.failed == ERR_OK);
	failing_memory_arm(0);
	sim_disk_heal(run->rig.drives[0].disk);
	sim_disk_heal(run->rig.drives[1].disk);
	sim_disk_heal(run->rig.state);
	bool has_failed = failures(run) > before;
	if (!has_failed)
		ck_assert_uint_gt(run->world.bucket, 0);
	sim_store_kill(&run->rig, n % 2 == 0);
	check_all(run);
	sim_store_fini(&run->rig);
	free(run);
	return has_failed;
}

/* The n of one batch; most are behind the last one that fails, and cost one run. */
static void run_batch(enum what what, unsigned batch)
{
	for (uint64_t n = batch * BATCH + 1; n <= (batch + 1) * BATCH; n += STEP) {
		bool has_failed = run_nth(what, n);
		if (!has_failed) {
			ck_assert_uint_gt(n, 20); /* else it was not armed */
			return;
		}
	}
	ck_assert_uint_lt(batch, BATCHES_MAX - 1);
}

START_TEST(any_call_of_a_drive_may_fail)
{
	run_batch(FAILS_DRIVE, _i);
}
END_TEST

START_TEST(any_call_of_the_state_disk_may_fail)
{
	run_batch(FAILS_STATE, _i);
}
END_TEST

START_TEST(any_call_of_a_drive_with_the_log_may_fail_and_the_node_goes_on)
{
	run_batch(FAILS_LOG_DRIVE, _i);
}
END_TEST

START_TEST(any_call_of_the_state_disk_beside_a_mirrored_log_may_fail)
{
	run_batch(FAILS_OWN_DISK, _i);
}
END_TEST

START_TEST(any_request_for_memory_may_fail)
{
	run_batch(FAILS_MEMORY, _i);
}
END_TEST

static unsigned only_what, only_n;

START_TEST(this_one)
{
	run_nth(only_what, only_n);
}
END_TEST

/* --nth=WHAT,N runs one; what as in enum what. */
int main(int argc, char **argv)
{
	Suite *suite = suite_create("store_nth");
	TCase *tcase = tcase_create("store_nth");
	tcase_set_timeout(tcase, 120);
	if (argc > 1 && sscanf(argv[1], "--nth=%u,%u", &only_what, &only_n) == 2) {
		tcase_add_test(tcase, this_one);
	} else {
		tcase_add_loop_test(tcase, any_call_of_a_drive_may_fail, 0, BATCHES_MAX);
		tcase_add_loop_test(tcase, any_call_of_the_state_disk_may_fail, 0, BATCHES_MAX);
		tcase_add_loop_test(tcase,
			any_call_of_a_drive_with_the_log_may_fail_and_the_node_goes_on, 0,
			BATCHES_MAX);
		tcase_add_loop_test(tcase,
			any_call_of_the_state_disk_beside_a_mirrored_log_may_fail, 0, BATCHES_MAX);
		tcase_add_loop_test(tcase, any_request_for_memory_may_fail, 0, BATCHES_MAX);
	}
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
