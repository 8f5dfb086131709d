/* SPDX-License-Identifier: Apache-2.0 */
/* A node with its drives, used by clients, while everything fails that may; judged by a model.
 *
 * Each seed is a number of drives, settings, and a few lives of the node. In each life clients put,
 * get, delete, copy, list and upload while faults come; it ends in order, by a kill, or by a power
 * cut, with operations in flight or without. Then all faults end, the node starts once more, and:
 *
 * (O1) every key has a history that is linearizable, and reads as its last value, all bytes of it;
 *      and where the bucket has versions, every one that was made reads so too, until it is deleted
 *      by its id, and never again after that;
 * (O2) every get that ended well got the bytes of the version it began on (tests/lib/store_client);
 * (O3) what is put is done, what is deleted is collected: the ledger is right (tests/lib/ledger.h);
 * (O4) nothing is lent any more, and the node stops in order;
 * (O5) in each life, when faults end, every operation comes to an end.
 *
 * What may fail without loss is bounded as the promise P1 is: tests/lib/store_faults.h. In a narrow
 * seed no read may fail at all; in a wide one reads may fail for a while, and nothing may be lost.
 */
#include <stdio.h>
#include <string.h>

#include "tests/lib/ledger.h"
#include "tests/lib/sim_seeds.h"
#include "tests/lib/store_clients.h"
#include "tests/lib/store_faults.h"
#include "tests/lib/test.h"

enum {
	BATCH = 10, /* seeds in one process */
	CLIENTS_MAX = 6,
	ENDS_MS = 240000, /* by when every operation has to be over */
	TWICE_EVERY = 50,
};

enum { KV_INDEX, KV_LOCATIONS, KV_WHERE };
enum { END_STOP, END_KILL, END_POWER_CUT, END_WAYS };

/* What all seeds did together; in memory that the tests' processes share. */
struct totals {
	uint64_t seeds, lives, failed_starts, failed_indexes, fenced, excused;
	uint64_t ends[END_WAYS];
	uint64_t faults[SIM_FAULTS], state_faults, kv_faults[KV_WHERE][SIM_KV_FAULTS];
	uint64_t degraded_reads, bad_blocks, narrowed, rescued, missing, census_freed, collected;
	struct client_stats clients;
};

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 10 };
#else
enum { SEEDS = 200 };
#endif

static struct totals *totals;

struct run {
	uint64_t seed, random;
	struct sim_store rig;
	struct store_model model;
	struct store_versions versions;
	struct client_world world;
	struct store_clients clients;
	struct store_faults faults;
};

static uint64_t below(struct run *run, uint64_t n)
{
	return test_random(&run->random) % n;
}

static bool chance(struct run *run, unsigned percent)
{
	return below(run, 100) < percent;
}

/* --- clients ---------------------------------------------------------------------------------- */

static uint64_t choose_len(struct run *run)
{
	uint64_t full = run->rig.profile.k * (chance(run, 70) ? UNIT_LEN_SMALL : UNIT_LEN);
	const uint64_t lens[] = {0, 1, 4096, 4097, 20000, 100 << 10, 128 << 10, (128 << 10) + 1,
		full - 1, full, full + 1, 2 * full + 12345};
	if (run->rig.options.extent_len_max > 0 && chance(run, 25))
		return (600 << 10) + below(run, 100000); /* longer than a get reads ahead */
	return lens[below(run, chance(run, 60) ? 6 : ARRAY_COUNT(lens))];
}

static bool are_over(void *arg)
{
	struct run *run = arg;
	store_clients_reap(&run->clients);
	return run->clients.count == 0;
}

/* (O5) */
static void end_clients(struct run *run)
{
	if (sim_run_until(run->rig.sim, are_over, run, ENDS_MS))
		return;
	struct client *client = run->clients.all[0];
	ck_abort_msg("seed %lu: %u operations do not end; one is of kind %u, put state %u, "
		     "proposed %u",
		(unsigned long)run->seed, run->clients.count, client->kind, client->put.state,
		client->is_proposed);
}

static void start_client(struct run *run)
{
	static const enum client_kind kinds[] = {CLIENT_PUT, CLIENT_PUT, CLIENT_PUT, CLIENT_PUT,
		CLIENT_CREATE, CLIENT_GET, CLIENT_GET, CLIENT_GET, CLIENT_GET, CLIENT_DELETE,
		CLIENT_DELETE, CLIENT_COPY, CLIENT_UPLOAD, CLIENT_LIST,
		/* Where there are versions: */
		CLIENT_OLD_GET, CLIENT_OLD_GET, CLIENT_OLD_DELETE, CLIENT_OLD_DELETE};
	if (run->clients.count == CLIENTS_MAX || !store_clients_have_room(&run->model))
		return;
	enum client_kind kind =
		kinds[below(run, ARRAY_COUNT(kinds) - (run->world.versions ? 0 : 4))];
	/* Few keys, so that operations meet. */
	unsigned key = below(run, chance(run, 70) ? 3 : STORE_MODEL_KEYS);
	store_clients_start(&run->clients, &run->world, kind, key, choose_len(run), false);
}

/* --- lives ------------------------------------------------------------------------------------ */

static void count_life(struct run *run)
{
	const struct sim_store_life *life = run->rig.life;
	for (unsigned i = 0; i < life->loop_count; i++) {
		totals->degraded_reads += life->loops[i].counters.degraded_reads;
		totals->bad_blocks += life->loops[i].counters.bad_blocks;
		totals->narrowed += life->loops[i].counters.narrowed;
		totals->rescued += life->loops[i].counters.rescued;
	}
	totals->census_freed += life->collector.counters.census_freed;
	totals->collected += life->collector.counters.bodies;
	for (unsigned i = 0; i < run->rig.options.drive_count; i++)
		totals->fenced += run->rig.drives[i].is_fenced;
	totals->failed_indexes += run->rig.failed != ERR_OK;
	totals->lives++;
}

/* Ends the life at once, with what is in flight. */
static void die(struct run *run, bool is_power_cut)
{
	count_life(run);
	totals->ends[is_power_cut ? END_POWER_CUT : END_KILL]++;
	sim_store_kill(&run->rig, is_power_cut);
	store_clients_bury(&run->clients, NULL);
}

static enum err make_bucket(struct run *run)
{
	return sim_store_make_bucket(&run->rig,
		run->world.versions ? BUCKET_ENABLED : BUCKET_UNVERSIONED, &run->world.bucket);
}

static enum err try_start(struct run *run)
{
	enum err err = sim_store_start(&run->rig);
	return err != ERR_OK ? err : make_bucket(run);
}

/* Starts; with faults it may take a second time. */
static void start(struct run *run, bool has_faults)
{
	for (unsigned left = has_faults ? 3 : 0; left > 0; left--)
		store_faults_inject(&run->faults);
	enum err err = try_start(run);
	if (err != ERR_OK) {
		ck_assert_msg(has_faults, "seed %lu: the start failed: %s",
			(unsigned long)run->seed, err_name(err));
		totals->failed_starts++;
		die(run, chance(run, 50));
		store_faults_heal(&run->faults);
		err = try_start(run);
		ck_assert_msg(err == ERR_OK, "seed %lu: the second start failed: %s",
			(unsigned long)run->seed, err_name(err));
	}
	store_model_restart(&run->model);
	for (unsigned i = 0; i < run->rig.options.drive_count; i++)
		ck_assert_msg(run->rig.drives[i].drive || run->faults.is_excused[i] ||
				run->faults.is_wide,
			"seed %lu: drive %u does not open: %s", (unsigned long)run->seed, i,
			err_name(run->rig.drives[i].open_err));
}

static void be_busy(struct run *run)
{
	struct sim_store *rig = &run->rig;
	for (uint64_t left = 6 + below(run, 14); left > 0 && rig->failed == ERR_OK; left--) {
		store_clients_reap(&run->clients);
		start_client(run);
		if (chance(run, 25))
			store_faults_inject(&run->faults);
		if (chance(run, 3))
			store_faults_heal(&run->faults);
		if (chance(run, 10))
			sim_run_ms(rig->sim, below(run, 1500));
		for (uint64_t steps = below(run, 150); steps > 0 && rig->failed == ERR_OK; steps--)
			sim_step(rig->sim);
	}
}

static bool is_collected(void *arg)
{
	return sim_store_is_collected(&((struct run *)arg)->rig);
}

/* What is deleted, given up or failed leaves nothing behind on the drives that are in service; also
 * before a start's census finds it. */
static void check_ledger(struct run *run, bool has_records)
{
	ck_assert_msg(sim_run_until(run->rig.sim, is_collected, run, ENDS_MS),
		"seed %lu: the garbage stays", (unsigned long)run->seed);
	bool is_excused[SIM_STORE_DRIVES_MAX];
	for (unsigned i = 0; i < run->rig.options.drive_count; i++)
		is_excused[i] = run->faults.is_excused[i] ||
			!sim_store_has_drive(&run->rig, run->rig.drives[i].number);
	struct ledger_counts counts;
	ledger_check(&run->rig, is_excused, has_records, &counts);
	totals->missing += counts.missing;
}

static void live(struct run *run)
{
	start(run, chance(run, 25));
	be_busy(run);
	uint64_t how = below(run, END_WAYS);
	if (how == END_STOP || chance(run, 20)) {
		store_faults_heal(&run->faults);
		end_clients(run);
	}
	if (how == END_STOP && run->rig.failed == ERR_OK)
		check_ledger(run, false);
	if (how == END_STOP && run->rig.failed == ERR_OK) {
		count_life(run);
		totals->ends[END_STOP]++;
		ck_assert_ok(sim_store_stop(&run->rig));
	} else {
		die(run, how == END_POWER_CUT);
	}
	store_faults_heal(&run->faults);
	run->faults.may_reads_fail = run->faults.is_wide;
}

/* --- the last life ---------------------------------------------------------------------------- */

static void do_one(struct run *run, enum client_kind kind, unsigned key, uint64_t len)
{
	enum err err = store_clients_do(&run->clients, &run->world, kind, key, len, ENDS_MS);
	ck_assert_msg(err == ERR_OK || err == ERR_CANCELED, "seed %lu: kind %u of key %u: %s",
		(unsigned long)run->seed, kind, key, err_name(err));
}

static void read_all(struct run *run)
{
	do_one(run, CLIENT_LIST, 0, 0);
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		do_one(run, CLIENT_GET, key, 0);
	for (unsigned i = 0; i < run->versions.count; i++)
		do_one(run, CLIENT_OLD_GET, 0, 0);
}

/* Are there drives enough for a put to be durable? */
static bool can_write(const struct run *run)
{
	const struct sim_store *rig = &run->rig;
	unsigned there = 0;
	for (unsigned i = 0; i < rig->options.drive_count; i++)
		there += sim_store_has_drive(rig, rig->drives[i].number);
	return there == rig->options.drive_count || there >= 2;
}

static void finish(struct run *run)
{
	run->faults.may_reads_fail = false;
	start(run, false);
	for (unsigned i = 0; i < run->rig.options.drive_count; i++)
		ck_assert_msg(run->rig.drives[i].drive || run->faults.is_excused[i],
			"seed %lu: drive %u does not open: %s", (unsigned long)run->seed, i,
			err_name(run->rig.drives[i].open_err));
	read_all(run);
	if (can_write(run)) {
		do_one(run, CLIENT_PUT, 0, (128 << 10) + 1);
		do_one(run, CLIENT_DELETE, 1, 0);
		do_one(run, CLIENT_PUT, 2, 30000);
	}
	read_all(run);
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++) {
		if (store_model_is_linearizable(&run->model, key))
			continue;
		store_model_print(&run->model, key);
		ck_abort_msg("seed %lu: key %u has no order", (unsigned long)run->seed, key);
	}
	check_ledger(run, run->seed % 8 == 0);
	count_life(run);
	totals->ends[END_STOP]++;
	ck_assert_ok(sim_store_stop(&run->rig));
}

/* --- one seed --------------------------------------------------------------------------------- */

static void set_up(struct run *run, uint64_t seed)
{
	static const unsigned drive_counts[] = {1, 2, 3, 3, 4, 6};
	static const size_t put_pools[] = {512 << 10, 1 << 20, 3 << 20};
	memset(run, 0, sizeof *run);
	run->seed = run->random = seed;
	struct sim_store_options options = {
		.drive_count = drive_counts[below(run, ARRAY_COUNT(drive_counts))],
		.put_pool_len = put_pools[below(run, ARRAY_COUNT(put_pools))],
		.get_pool_len = 1 << 20,
		.decode_pool_len = 1 << 20,
		.extent_len_max = chance(run, 30) ? 96 << 10 : 0,
	};
	sim_store_init(&run->rig, seed, &options);
	store_model_init(&run->model, seed);
	run->world = (struct client_world){.rig = &run->rig,
		.model = &run->model,
		.versions = seed % 4 == 0 ? &run->versions : NULL,
		.random = seed ^ 0x5eed,
		.seed = seed,
		.stats = &totals->clients};
	store_faults_init(&run->faults, &run->rig, seed ^ 0xfa17);
	run->world.may_reads_fail = &run->faults.may_reads_fail;
	for (unsigned i = 0; i < options.drive_count; i++)
		totals->excused += run->faults.is_excused[i];
}

static void count_faults(const struct run *run)
{
	const struct sim_store *rig = &run->rig;
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		for (unsigned fault = 0; fault < SIM_FAULTS; fault++)
			totals->faults[fault] += sim_disk_stats(rig->drives[i].disk)->faults[fault];
		for (unsigned fault = 0; fault < SIM_KV_FAULTS; fault++)
			totals->kv_faults[KV_LOCATIONS][fault] +=
				sim_kv_stats(rig->drives[i].locations)->faults[fault];
	}
	for (unsigned fault = 0; fault < SIM_FAULTS; fault++)
		totals->state_faults += sim_disk_stats(rig->state)->faults[fault];
	for (unsigned fault = 0; fault < SIM_KV_FAULTS; fault++)
		totals->kv_faults[KV_INDEX][fault] += sim_kv_stats(rig->index_kv)->faults[fault];
}

/* Runs a seed; returns the hash of its trace. */
static uint64_t run_seed(uint64_t seed)
{
	static struct run run;
	set_up(&run, seed);
	for (uint64_t lives = 1 + below(&run, 4); lives > 0; lives--)
		live(&run);
	finish(&run);
	count_faults(&run);
	totals->seeds++;
	uint64_t hash = sim_trace_hash(run.rig.sim);
	sim_store_fini(&run.rig);
	return hash;
}

static void check_totals(void)
{
	for (unsigned fault = 0; fault < SIM_FAULTS; fault++)
		ck_assert_msg(totals->faults[fault] > 0, "%s", sim_fault_name(fault));
	for (unsigned fault = 0; fault < SIM_KV_FAULTS; fault++) {
		ck_assert_msg(totals->kv_faults[KV_INDEX][fault] > 0, "index kv %u", fault);
		ck_assert_msg(totals->kv_faults[KV_LOCATIONS][fault] > 0, "locations kv %u", fault);
	}
	for (unsigned how = 0; how < END_WAYS; how++)
		ck_assert_uint_gt(totals->ends[how], 0);
	for (unsigned kind = 0; kind < CLIENT_KINDS_ALL; kind++)
		ck_assert_uint_gt(totals->clients.done[kind], 0);
	ck_assert_uint_gt(totals->state_faults, 0);
	ck_assert_uint_gt(totals->failed_indexes, 0);
	ck_assert_uint_gt(totals->fenced, 0);
	ck_assert_uint_gt(totals->degraded_reads, 0);
	ck_assert_uint_gt(totals->bad_blocks, 0);
	ck_assert_uint_gt(totals->narrowed, 0);
	ck_assert_uint_gt(totals->rescued, 0);
	ck_assert_uint_gt(totals->census_freed, 0);
	ck_assert_uint_gt(totals->collected, 0);
}

/* --- the program ------------------------------------------------------------------------------ */

static void print_totals(void)
{
	printf("seeds %lu lives %lu excused_drives %lu\n", totals->seeds, totals->lives,
		totals->excused);
	printf("ends stop %lu kill %lu power_cut %lu failed_starts %lu failed_indexes %lu\n",
		totals->ends[END_STOP], totals->ends[END_KILL], totals->ends[END_POWER_CUT],
		totals->failed_starts, totals->failed_indexes);
	printf("faults");
	for (unsigned fault = 0; fault < SIM_FAULTS; fault++)
		printf(" %s %lu", sim_fault_name(fault), totals->faults[fault]);
	printf(" state %lu fenced %lu\nkv_faults", totals->state_faults, totals->fenced);
	for (unsigned fault = 0; fault < SIM_KV_FAULTS; fault++)
		printf(" %lu+%lu", totals->kv_faults[KV_INDEX][fault],
			totals->kv_faults[KV_LOCATIONS][fault]);
	printf("\nclients");
	static const char *const names[CLIENT_KINDS_ALL] = {"put", "create", "get", "delete",
		"copy", "upload", "list", "old_get", "old_delete"};
	for (unsigned kind = 0; kind < CLIENT_KINDS_ALL; kind++)
		printf(" %s %lu/%lu", names[kind], totals->clients.done[kind],
			totals->clients.ops[kind]);
	printf(" refused %lu failed %lu unknown %lu canceled %lu slow %lu get_errors %lu\n",
		totals->clients.refused, totals->clients.failed, totals->clients.unknown,
		totals->clients.canceled, totals->clients.slow, totals->clients.get_errors);
	printf("degraded_reads %lu bad_blocks %lu narrowed %lu rescued %lu missing_shards %lu "
	       "census_freed %lu collected %lu\n",
		totals->degraded_reads, totals->bad_blocks, totals->narrowed, totals->rescued,
		totals->missing, totals->census_freed, totals->collected);
}

int main(int argc, char **argv)
{
	static const struct sim_seeds seeds = {
		.name = "store",
		.run = run_seed,
		.count = SEEDS,
		.batch = BATCH,
		.twice_every = TWICE_EVERY,
		.timeout_s = 300,
		.enough = 500,
		.check = check_totals,
		.print = print_totals,
	};
	totals = sim_seeds_share(sizeof *totals);
	return sim_seeds_main(&seeds, argc, argv);
}
