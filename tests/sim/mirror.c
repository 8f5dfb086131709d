/* SPDX-License-Identifier: Apache-2.0 */
/* A node with a mirrored log loses one thing in each life: a drive for a while, calls of a drive,
 * the state disk, bits of one copy of the log. Clients use it meanwhile, and the node ends in
 * order, by a kill, or by a power cut. Whatever it was:
 *
 * (O1) every start succeeds, and nothing that was acknowledged is lost;
 * (O2) an index that was made anew has the state hash that the lost one had at the same log index;
 * (O3) as long as there are drives for it, all copies that are wanted are in sync when a write was
 *      acknowledged. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/lib/ledger.h"
#include "tests/lib/store_client.h"
#include "tests/lib/test.h"

enum {
	BATCH = 10, /* seeds in one process */
	ENDS_MS = 240000,
	CLIENTS_MAX = 6,
};

enum fault {
	FAULT_NONE,
	FAULT_CALL,
	FAULT_VANISH,
	FAULT_AWAY,
	FAULT_SLOW,
	FAULT_STATE,
	FAULT_ROT,
	FAULTS
};
enum { END_STOP, END_KILL, END_POWER_CUT, END_WAYS };

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 8 };
#else
enum { SEEDS = 100 };
#endif

/* What all seeds did together; in memory that the tests' processes share. */
struct totals {
	uint64_t seeds, faults[FAULTS], ends[END_WAYS];
	uint64_t lent, healed, dropped, joined, from_log, from_copy, hashes;
	struct client_stats clients;
};
static struct totals *totals;
static uint64_t seed_first = 1, seed_count = SEEDS;

struct run {
	uint64_t seed, random;
	struct sim_store rig;
	struct store_model model;
	struct client_world world;
	struct client *clients[CLIENTS_MAX];
	unsigned client_count;
	bool may_reads_fail;
	enum fault fault; /* of the life before */
	unsigned bad_drive; /* whose faults there are: bodies make one good, not two */
	bool is_rotten; /* a copy may still have damage that only its turn to be read will show */
	struct sim_disk *rotting; /* one of the copies in sync */
	struct index_state_hash last; /* of the index when all was quiet; applied 0: it never was */
};

static uint64_t below(struct run *run, uint64_t n)
{
	return test_random(&run->random) % n;
}

/* --- clients ---------------------------------------------------------------------------------- */

static bool are_over(void *arg)
{
	struct run *run = arg;
	for (unsigned i = 0; i < run->client_count;) {
		if (run->clients[i]->is_done) {
			client_free(run->clients[i]);
			run->clients[i] = run->clients[--run->client_count];
		} else {
			i++;
		}
	}
	return run->client_count == 0;
}

static bool has_room(const struct run *run)
{
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		if (!store_model_has_room(&run->model, key))
			return false;
	return run->model.content_count + 40 < STORE_MODEL_CONTENTS;
}

static void start_client(struct run *run)
{
	static const enum client_kind kinds[] = {CLIENT_PUT, CLIENT_PUT, CLIENT_PUT, CLIENT_CREATE,
		CLIENT_GET, CLIENT_DELETE, CLIENT_COPY, CLIENT_LIST};
	static const uint64_t lens[] = {0, 100, 3000, 4096, 4096, 20000};
	if (run->client_count == CLIENTS_MAX || !has_room(run))
		return;
	enum client_kind kind = kinds[below(run, ARRAY_COUNT(kinds))];
	run->clients[run->client_count++] = client_start(&run->world, kind,
		below(run, STORE_MODEL_KEYS), lens[below(run, ARRAY_COUNT(lens))], false);
}

static void end_clients(struct run *run)
{
	ck_assert_msg(sim_run_until(run->rig.sim, are_over, run, ENDS_MS),
		"seed %lu: operations do not end", (unsigned long)run->seed);
}

/* Commands that change nothing that the model knows, so that the log grows. */
static void fill_log(struct run *run, unsigned count)
{
	static uint8_t value[3000];
	for (unsigned i = 0; i < count && run->rig.failed == ERR_OK; i++) {
		struct command command = {.type = COMMAND_SETTING_PUT};
		command.setting_put.name = bytes_of("filler");
		command.setting_put.value = bytes_make(value, sizeof value);
		struct command_result result;
		err_ignore(sim_store_propose(&run->rig, &command, &result)); /* it is only filler */
	}
}

/* --- faults ----------------------------------------------------------------------------------- */

static struct sim_disk *bad_disk(struct run *run)
{
	return run->rig.drives[run->bad_drive].disk;
}

static void fault_before(struct run *run, enum fault fault)
{
	if (fault == FAULT_AWAY)
		sim_disk_vanish(bad_disk(run));
	else if (fault == FAULT_CALL)
		sim_disk_fail_nth(bad_disk(run), SIM_ANY_CALL, 1 + below(run, 300), SIM_EIO);
	else if (fault == FAULT_SLOW)
		sim_disk_per_mille(bad_disk(run))[SIM_WRITE][SIM_SLOW] = 1 + below(run, 400);
}

static void fault_during(struct run *run, enum fault fault)
{
	if (fault == FAULT_VANISH)
		sim_disk_vanish(bad_disk(run));
	else if (fault == FAULT_CALL && below(run, 2) == 0)
		sim_disk_fail_nth(bad_disk(run), SIM_WRITE, 1 + below(run, 20), SIM_EIO);
}

/* Bits of each file of one copy turn over, in all that was ever written to it; the last frames are
 * a part of that, and of short logs all. */
static void rot_name(void *arg, const char *name)
{
	struct run *run = arg;
	char path[64];
	snprintf(path, sizeof path, "log/%s", name);
	if (below(run, 2) == 0)
		sim_disk_rot(run->rotting, path, 1 + below(run, 8));
}

static void fault_after(struct run *run, enum fault fault)
{
	if (fault == FAULT_STATE)
		sim_store_lose_state(&run->rig);
	if (fault == FAULT_ROT && run->rotting) {
		ck_assert_ok(disk_list(sim_disk_base(run->rotting), "log", rot_name, run));
		run->is_rotten = run->rig.options.heal_count_max == 0;
	}
	sim_disk_heal(bad_disk(run));
	sim_disk_return(bad_disk(run));
}

/* --- lives ------------------------------------------------------------------------------------ */

static void count_life(struct run *run)
{
	struct log_mirror_status status;
	log_mirror_status(run->rig.mirror, &status);
	totals->healed += run->rig.found.healed;
	totals->dropped += status.dropped;
	totals->joined += status.joined;
}

static void start(struct run *run)
{
	enum err err = sim_store_start(&run->rig);
	ck_assert_msg(err == ERR_OK, "seed %lu: the start failed: %s", (unsigned long)run->seed,
		err_name(err));
	store_model_restart(&run->model);
	if (run->rig.is_restored) {
		totals->from_log += run->rig.restored_home == UINT_MAX;
		totals->from_copy += run->rig.restored_home != UINT_MAX;
	}
	const struct index_state_hash *replayed = &run->rig.replayed;
	if (run->last.applied > 0 && replayed->applied == run->last.applied) {
		ck_assert_mem_eq(replayed, &run->last, sizeof run->last);
		totals->hashes += run->rig.is_restored;
	}
	ck_assert_ok(sim_store_make_bucket(&run->rig, BUCKET_UNVERSIONED, &run->world.bucket));
}

/* (O3) */
static void check_copies(struct run *run, enum fault fault)
{
	struct log_mirror_status status;
	log_mirror_status(run->rig.mirror, &status);
	bool is_bad = fault != FAULT_NONE && fault != FAULT_STATE && fault != FAULT_ROT;
	unsigned there = run->rig.options.drive_count - is_bad;
	ck_assert_uint_eq(status.wanted, run->rig.options.log_copies);
	unsigned wanted = status.wanted < there ? status.wanted : there;
	ck_assert_uint_ge(status.in_sync, wanted);
}

static void be_busy(struct run *run, enum fault fault)
{
	for (uint64_t left = 5 + below(run, 10); left > 0; left--) {
		are_over(run);
		start_client(run);
		if (below(run, 6) == 0)
			fault_during(run, fault);
		if (below(run, 4) == 0)
			fill_log(run, below(run, 40));
		for (uint64_t steps = below(run, 150); steps > 0; steps--)
			sim_step(run->rig.sim);
		ck_assert_msg(run->rig.failed == ERR_OK, "seed %lu: the index failed: %s",
			(unsigned long)run->seed, err_name(run->rig.failed));
	}
}

static void die(struct run *run, bool is_power_cut)
{
	sim_store_kill(&run->rig, is_power_cut);
	for (unsigned i = 0; i < run->client_count; i++)
		client_bury(run->clients[i]);
	run->client_count = 0;
}

static void live(struct run *run)
{
	/* What was lost at the end of the life before is made good by this start. */
	bool is_hurt = run->fault == FAULT_STATE || run->fault == FAULT_ROT;
	enum fault fault = is_hurt ? FAULT_NONE : below(run, FAULTS);
	if (run->is_rotten && fault != FAULT_STATE)
		fault = FAULT_NONE;
	run->fault = fault;
	unsigned how = below(run, END_WAYS);
	fault_before(run, fault);
	start(run);
	if (run->rig.options.late_copies > 0) {
		fill_log(run, below(run, 40));
		sim_store_lend_late(&run->rig);
		totals->lent++;
	}
	be_busy(run, fault);
	run->last.applied = 0;
	if (how == END_STOP || below(run, 2) == 0) {
		end_clients(run);
		fill_log(run, 1);
		check_copies(run, fault);
		sim_run_ms(run->rig.sim, below(run, 3000));
		index_state_hash(run->rig.index, &run->last);
	}
	struct log_mirror_status status;
	log_mirror_status(run->rig.mirror, &status);
	/* One copy that rots is one too many if it is the only one. */
	unsigned home = status.homes[below(run, status.in_sync)];
	run->rotting = status.in_sync > 1 ? run->rig.drives[home - 1].disk : NULL;
	count_life(run);
	totals->faults[fault]++;
	totals->ends[how]++;
	if (how == END_STOP)
		ck_assert_ok(sim_store_stop(&run->rig));
	else
		die(run, how == END_POWER_CUT);
	fault_after(run, fault);
}

static void do_one(struct run *run, enum client_kind kind, unsigned key, uint64_t len)
{
	run->clients[run->client_count++] = client_start(&run->world, kind, key, len, true);
	struct client *client = run->clients[0];
	while (!client->is_done && sim_step(run->rig.sim))
		;
	ck_assert_msg(client->is_done && (client->err == ERR_OK || client->err == ERR_CANCELED),
		"seed %lu: kind %u of key %u: %s", (unsigned long)run->seed, kind, key,
		err_name(client->err));
	are_over(run);
}

static void finish(struct run *run)
{
	start(run);
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		do_one(run, CLIENT_GET, key, 0);
	do_one(run, CLIENT_LIST, 0, 0);
	do_one(run, CLIENT_PUT, 0, 4096);
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		ck_assert_msg(store_model_is_linearizable(&run->model, key),
			"seed %lu: key %u has no order", (unsigned long)run->seed, key);
	check_copies(run, FAULT_NONE);
	count_life(run);
	ck_assert_ok(sim_store_stop(&run->rig));
}

static void run_seed(uint64_t seed)
{
	static struct run run;
	memset(&run, 0, sizeof run);
	run.seed = run.random = seed;
	unsigned drives = 2 + below(&run, 5);
	struct sim_store_options options = {.drive_count = drives,
		.put_pool_len = 1 << 20,
		.get_pool_len = 1 << 20,
		.decode_pool_len = 1 << 20,
		.log_copies = drives >= 4 ? 3 : 2,
		.late_copies = drives > 2 && seed % 3 == 0 ? 2 : 0,
		.heal_count_max = below(&run, 2) == 0 ? 0 : UINT_MAX};
	sim_store_init(&run.rig, seed, &options);
	run.bad_drive = below(&run, drives);
	store_model_init(&run.model, seed);
	run.world = (struct client_world){.rig = &run.rig,
		.model = &run.model,
		.random = seed ^ 0x5eed,
		.seed = seed,
		.may_reads_fail = &run.may_reads_fail,
		.stats = &totals->clients};
	for (uint64_t lives = 2 + below(&run, 4); lives > 0; lives--)
		live(&run);
	finish(&run);
	totals->seeds++;
	sim_store_fini(&run.rig);
}

START_TEST(one_loss_in_each_life_loses_nothing)
{
	for (uint64_t i = 0; i < BATCH; i++) {
		uint64_t seed = seed_first + (uint64_t)_i * BATCH + i;
		if (seed < seed_first + seed_count)
			run_seed(seed);
	}
}
END_TEST

START_TEST(everything_has_happened)
{
	for (unsigned fault = 0; fault < FAULTS; fault++)
		ck_assert_uint_gt(totals->faults[fault], 0);
	for (unsigned how = 0; how < END_WAYS; how++)
		ck_assert_uint_gt(totals->ends[how], 0);
	ck_assert_uint_gt(totals->lent, 0);
	ck_assert_uint_gt(totals->healed, 0);
	ck_assert_uint_gt(totals->dropped, 0);
	ck_assert_uint_gt(totals->joined, 0);
	ck_assert_uint_gt(totals->from_log, 0);
	ck_assert_uint_gt(totals->from_copy, 0);
	ck_assert_uint_gt(totals->hashes, 0);
}
END_TEST

static void print_totals(void)
{
	printf("seeds %lu faults", totals->seeds);
	for (unsigned fault = 0; fault < FAULTS; fault++)
		printf(" %lu", totals->faults[fault]);
	printf(" lent %lu", totals->lent);
	printf(" healed %lu dropped %lu joined %lu from_log %lu from_copy %lu hashes %lu\n",
		totals->healed, totals->dropped, totals->joined, totals->from_log,
		totals->from_copy, totals->hashes);
}

int main(int argc, char **argv)
{
	totals = mmap(
		NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (totals == MAP_FAILED)
		return EXIT_FAILURE;
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--seeds=", 8) == 0)
			seed_count = strtoull(argv[i] + 8, NULL, 10);
	uint64_t seed = sim_seed_of(argc, argv, 0);
	if (seed > 0) {
		seed_first = seed;
		seed_count = 1;
	}
	Suite *suite = suite_create("mirror");
	TCase *tcase = tcase_create("seeds");
	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, one_loss_in_each_life_loses_nothing, 0,
		(int)((seed_count + BATCH - 1) / BATCH));
	if (seed_count >= 200)
		tcase_add_test(tcase, everything_has_happened);
	suite_add_tcase(suite, tcase);
	int status = test_run(suite);
	print_totals();
	return status;
}
