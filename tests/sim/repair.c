/* SPDX-License-Identifier: Apache-2.0 */
/* A node whose drives are lost, given up, replaced, added and taken away, while clients use it and
 * its mender brings everything back to where it should be; judged by a model and a recount.
 *
 * Each seed is a number of drives, some of them in the ring, and a few lives of the node. In each
 * life clients put, get, delete, copy and upload; a drive vanishes, to be back in the next life, or
 * is given up for good; targets are set, and others in their stead. At most one drive
 * is lost at a time: the next one when all is whole again, since that is what P1 promises. A life
 * ends in order, by a kill, or by a power cut. Then faults end, and:
 *
 * (O1) every key has a history that is linearizable, and reads as its last value, all bytes of it;
 * (O2) no get failed on the way, and each got the bytes of the version it began on;
 * (O3) the mender comes to its end: the target is the ring, no shard is missing or elsewhere, none
 *      is left where it was, and the ledger agrees with the drives, record by record;
 * (O4) any m drives may be lost then, and everything is read;
 * (O5) then nothing is read or written on the drives any more, and nothing proposed;
 *      but by the scrub;
 * (O6) every operation ends, nothing stays lent, and the node stops in order;
 * (O7) a scrub finds a block that rots and a shard that is not there, and all is whole again;
 *      before, it misses none.
 */
#include <stdio.h>
#include <string.h>

#include "tests/lib/ledger.h"
#include "tests/lib/sim_seeds.h"
#include "tests/lib/store_clients.h"
#include "tests/lib/store_damage.h"
#include "tests/lib/test.h"

enum {
	BATCH = 5, /* seeds in one process */
	CLIENTS_MAX = 5,
	ENDS_MS = 600000, /* by when everything has to be over */
	QUIET_MS = 30000,
	TWICE_EVERY = 25,
};

enum { END_STOP, END_KILL, END_POWER_CUT, END_WAYS };

/* What all seeds did together; in memory that the tests' processes share. */
struct totals {
	uint64_t seeds, lives, ends[END_WAYS];
	uint64_t vanished, given_up, targets, retargets, paused;
	uint64_t rebuilt, copied, there, failed, freed, moves, emptied, repaired;
	uint64_t degraded_reads, narrowed, lost, bad, missing;
	struct client_stats clients;
};

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 6 };
#else
enum { SEEDS = 40 };
#endif

static struct totals *totals;

struct run {
	uint64_t seed, random;
	struct sim_store rig;
	struct store_model model;
	struct client_world world;
	struct store_clients clients;
	bool may_reads_fail; /* never */
	bool is_gone[SIM_STORE_DRIVES_MAX]; /* given up */
	bool is_away[SIM_STORE_DRIVES_MAX]; /* until the next life */
	unsigned width;
	uint64_t passes_wanted;
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
	uint64_t full = run->rig.profile.k * UNIT_LEN_SMALL;
	const uint64_t lens[] = {0, 4096, 4097, 20000, 100 << 10, 128 << 10, (128 << 10) + 1,
		full + 1, 2 * full + 12345, 700 << 10};
	return lens[below(run, chance(run, 60) ? 6 : ARRAY_COUNT(lens))];
}

static bool are_over(void *arg)
{
	struct run *run = arg;
	store_clients_reap(&run->clients);
	return run->clients.count == 0;
}

/* (O6) */
static void end_clients(struct run *run)
{
	if (sim_run_until(run->rig.sim, are_over, run, ENDS_MS))
		return;
	const struct client *client = run->clients.all[0];
	ck_abort_msg("seed %lu: %u operations do not end; one is of kind %u, put state %u, "
		     "proposed %u",
		(unsigned long)run->seed, run->clients.count, client->kind, client->put.state,
		client->is_proposed);
}

static void start_client(struct run *run)
{
	static const enum client_kind kinds[] = {CLIENT_PUT, CLIENT_PUT, CLIENT_PUT, CLIENT_PUT,
		CLIENT_CREATE, CLIENT_GET, CLIENT_GET, CLIENT_GET, CLIENT_DELETE, CLIENT_DELETE,
		CLIENT_COPY, CLIENT_UPLOAD, CLIENT_LIST};
	if (run->clients.count == CLIENTS_MAX || !store_clients_have_room(&run->model))
		return;
	unsigned key = below(run, chance(run, 40) ? 3 : STORE_MODEL_KEYS);
	store_clients_start(&run->clients, &run->world, kinds[below(run, ARRAY_COUNT(kinds))], key,
		choose_len(run), false);
}

static void do_one(struct run *run, enum client_kind kind, unsigned key, uint64_t len)
{
	enum err err = store_clients_do(&run->clients, &run->world, kind, key, len, ENDS_MS);
	ck_assert_msg(err == ERR_OK || err == ERR_CANCELED, "seed %lu: kind %u of key %u: %s",
		(unsigned long)run->seed, kind, key, err_name(err));
}

static void read_all(struct run *run)
{
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		do_one(run, CLIENT_GET, key, 0);
}

/* --- drives ----------------------------------------------------------------------------------- */

static unsigned count_in_service(const struct run *run)
{
	unsigned count = 0;
	for (unsigned i = 0; i < run->rig.options.drive_count; i++)
		count += !run->is_gone[i];
	return count;
}

/* May one more drive be lost? All is where it should be, and none is away. */
static bool may_lose(struct run *run)
{
	for (unsigned i = 0; i < run->rig.options.drive_count; i++)
		if (run->is_away[i])
			return false;
	return sim_store_is_whole(&run->rig);
}

static void vanish(struct run *run)
{
	unsigned i = below(run, run->rig.options.drive_count);
	if (!may_lose(run))
		return;
	run->is_away[i] = true;
	totals->vanished++;
	sim_disk_vanish(run->rig.drives[i].disk);
}

/* Errors: those of the proposal. */
static enum err give_up(struct run *run, unsigned i)
{
	struct command command = {.type = COMMAND_DRIVE_UPDATE};
	command.drive_update.number = run->rig.drives[i].number;
	command.drive_update.set = DRIVE_SET_STATE;
	command.drive_update.state = DRIVE_ROW_GONE;
	struct command_result result;
	return sim_store_propose(&run->rig, &command, &result);
}

/* The drive is gone for good. */
static void lose(struct run *run)
{
	unsigned i = below(run, run->rig.options.drive_count);
	if (run->is_gone[i] || count_in_service(run) <= run->width || !may_lose(run))
		return;
	run->is_gone[i] = true;
	totals->given_up++;
	sim_disk_vanish(run->rig.drives[i].disk);
	if (chance(run, 50))
		sim_run_ms(run->rig.sim, below(run, 500));
	err_ignore(give_up(run, i)); /* done again in the next life */
}

/* One that vanished does not come back. */
static void give_up_lost(struct run *run)
{
	for (unsigned i = 0; i < run->rig.options.drive_count; i++)
		if (run->is_gone[i])
			ck_assert_ok(give_up(run, i));
}

/* A target of other drives, at least as many as the ring is wide. */
static void set_target(struct run *run)
{
	unsigned count = run->rig.options.drive_count, in = 0;
	bool is_in[SIM_STORE_DRIVES_MAX] = {0};
	for (unsigned i = 0; i < count; i++)
		in += is_in[i] = !run->is_gone[i] && !run->is_away[i] && chance(run, 70);
	for (unsigned first = below(run, count), i = 0; i < count && in < run->width; i++) {
		unsigned drive = (first + i) % count;
		if (is_in[drive] || run->is_gone[drive])
			continue;
		is_in[drive] = true;
		in++;
	}
	if (in < run->width)
		return;
	bool is_second = !sim_store_is_whole(&run->rig);
	enum err err = sim_store_propose_target(&run->rig, is_in);
	ck_assert_msg(err == ERR_OK || err == ERR_CONFLICT, "seed %lu: a target: %s",
		(unsigned long)run->seed, err_name(err));
	totals->targets++;
	totals->retargets += is_second;
}

static void pause_mender(struct run *run)
{
	bool is_paused = chance(run, 30);
	totals->paused += is_paused;
	mender_set(&run->rig.life->mender, is_paused, chance(run, 30) ? 1 << 20 : 0);
}

static void do_something(struct run *run)
{
	uint64_t which = below(run, 100);
	if (which < 25)
		vanish(run);
	else if (which < 50)
		lose(run);
	else if (which < 80)
		set_target(run);
	else
		pause_mender(run);
}

/* --- lives ------------------------------------------------------------------------------------ */

static void count_life(struct run *run)
{
	const struct sim_store_life *life = run->rig.life;
	const struct crew_counters *crew = &life->mender.crew.counters;
	for (unsigned i = 0; i < life->loop_count; i++) {
		totals->degraded_reads += life->loops[i].counters.degraded_reads;
		totals->narrowed += life->loops[i].counters.narrowed;
	}
	totals->rebuilt += crew->rebuilt;
	totals->copied += crew->copied;
	totals->there += crew->there;
	totals->failed += crew->failed;
	totals->freed += crew->freed;
	totals->moves += life->mender.mover.report.moves;
	totals->emptied += life->mender.emptier.emptied;
	totals->repaired += life->mender.repair.last.shards + life->mender.repair.report.shards;
	totals->lives++;
}

/* (O7) What moves, and where from a lost drive, is not missing where it has yet to come. */
static void check_scrub(const struct run *run)
{
	const struct scrub_counts *counts = &run->rig.life->mender.scrub.counters.counts;
	ck_assert_msg(counts->missing == 0, "seed %lu: a scrub misses %lu shards",
		(unsigned long)run->seed, (unsigned long)counts->missing);
}

static void die(struct run *run, bool is_power_cut)
{
	check_scrub(run);
	count_life(run);
	totals->ends[is_power_cut ? END_POWER_CUT : END_KILL]++;
	sim_store_kill(&run->rig, is_power_cut);
	store_clients_bury(&run->clients, NULL);
}

static void start(struct run *run)
{
	enum err err = sim_store_start(&run->rig);
	ck_assert_msg(err == ERR_OK, "seed %lu: the start failed: %s", (unsigned long)run->seed,
		err_name(err));
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	command.bucket_create.name = bytes_of("bucket");
	command.bucket_create.owner = bytes_of("owner");
	struct command_result result;
	err = sim_store_propose(&run->rig, &command, &result);
	ck_assert(err == ERR_OK || err == ERR_EXISTS);
	run->world.bucket = result.id;
	run->width = run->rig.profile.k + run->rig.profile.m;
	store_model_restart(&run->model);
	give_up_lost(run);
}

static void be_busy(struct run *run)
{
	struct sim_store *rig = &run->rig;
	for (uint64_t left = 10 + below(run, 20); left > 0; left--) {
		store_clients_reap(&run->clients);
		start_client(run);
		if (chance(run, 20))
			do_something(run);
		if (chance(run, 15))
			sim_run_ms(rig->sim, below(run, 8000));
		for (uint64_t steps = below(run, 300); steps > 0; steps--)
			sim_step(rig->sim);
	}
}

static void heal(struct run *run)
{
	for (unsigned i = 0; i < run->rig.options.drive_count; i++) {
		sim_disk_heal(run->rig.drives[i].disk);
		run->is_away[i] = false;
		if (!run->is_gone[i])
			sim_disk_return(run->rig.drives[i].disk);
	}
}

static void live(struct run *run)
{
	start(run);
	be_busy(run);
	uint64_t how = below(run, END_WAYS);
	if (how == END_STOP) {
		mender_set(&run->rig.life->mender, chance(run, 20), 0);
		end_clients(run);
		count_life(run);
		totals->ends[END_STOP]++;
		ck_assert_ok(sim_store_stop(&run->rig));
	} else {
		die(run, how == END_POWER_CUT);
	}
	heal(run);
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool is_whole(void *arg)
{
	return sim_store_is_whole(&((struct run *)arg)->rig);
}

static bool is_collected(void *arg)
{
	return sim_store_is_collected(&((struct run *)arg)->rig);
}

/* A ring that names a drive that is gone needs another, if no target does without it already. */
static void replace_lost(struct run *run)
{
	bool is_in[SIM_STORE_DRIVES_MAX];
	for (unsigned i = 0; i < run->rig.options.drive_count; i++)
		is_in[i] = !run->is_gone[i];
	if (sim_store_is_whole(&run->rig))
		return;
	enum err err = sim_store_propose_target(&run->rig, is_in);
	ck_assert_msg(err == ERR_OK, "seed %lu: the last target: %s", (unsigned long)run->seed,
		err_name(err));
}

static void check_ledger(struct run *run, bool has_records)
{
	bool is_excused[SIM_STORE_DRIVES_MAX] = {0};
	struct ledger_counts counts;
	sim_run_ms(run->rig.sim, 5000); /* doubts end, tables are committed */
	memcpy(is_excused, run->is_gone, sizeof is_excused);
	ledger_check(&run->rig, is_excused, has_records, &counts);
	ck_assert_uint_eq(counts.missing, 0);
}

/* (O3) */
static void become_whole(struct run *run)
{
	mender_set(&run->rig.life->mender, false, 0);
	ck_assert_msg(sim_run_until(run->rig.sim, is_whole, run, ENDS_MS),
		"seed %lu: it does not become whole", (unsigned long)run->seed);
	ck_assert_msg(sim_run_until(run->rig.sim, is_collected, run, ENDS_MS),
		"seed %lu: the garbage stays", (unsigned long)run->seed);
	check_ledger(run, run->seed % 4 == 0);
}

static bool is_scrubbed(void *arg)
{
	struct run *run = arg;
	return run->rig.life->mender.scrub.counters.passes >= run->passes_wanted &&
		sim_store_is_whole(&run->rig);
}

/* (O7) */
static void be_scrubbed(struct run *run)
{
	const struct scrub_counters *counters = &run->rig.life->mender.scrub.counters;
	check_scrub(run);
	totals->lost += store_damage(&run->rig, run->is_gone, &run->random);
	run->passes_wanted = counters->passes + 3 * run->rig.options.drive_count;
	ck_assert(sim_run_until(run->rig.sim, is_scrubbed, run, ENDS_MS));
	totals->bad += counters->counts.bad;
	totals->missing += counters->counts.missing;
	check_ledger(run, true);
}

static void be_quiet(struct run *run)
{
	struct index_status before, after;
	uint64_t bytes = store_drive_bytes(&run->rig);
	index_status(run->rig.index, &before);
	sim_run_ms(run->rig.sim, QUIET_MS);
	index_status(run->rig.index, &after);
	ck_assert_uint_eq(store_drive_bytes(&run->rig), bytes);
	ck_assert_uint_eq(after.applied, before.applied);
}

/* (O4) Some m drives of those that are left. */
static void lose_any(struct run *run)
{
	unsigned lost = 0;
	for (unsigned tries = 0; tries < 20 && lost < run->rig.profile.m; tries++) {
		unsigned i = below(run, run->rig.options.drive_count);
		if (run->is_gone[i] || run->is_away[i])
			continue;
		run->is_away[i] = true;
		lost++;
		sim_disk_vanish(run->rig.drives[i].disk);
	}
	read_all(run);
}

static void finish(struct run *run)
{
	start(run);
	replace_lost(run);
	if (chance(run, 50))
		read_all(run);
	become_whole(run);
	read_all(run);
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		ck_assert_msg(store_model_is_linearizable(&run->model, key),
			"seed %lu: key %u has no order", (unsigned long)run->seed, key);
	if (run->rig.options.scrub_period_ms > 0)
		be_scrubbed(run);
	else
		be_quiet(run);
	lose_any(run);
	count_life(run);
	totals->ends[END_STOP]++;
	ck_assert_ok(sim_store_stop(&run->rig));
}

/* --- one seed --------------------------------------------------------------------------------- */

static void set_up(struct run *run, uint64_t seed)
{
	memset(run, 0, sizeof *run);
	run->seed = run->random = seed;
	unsigned ring_count = 2 + below(run, 4);
	struct sim_store_options options = {
		.ring_count = ring_count,
		.drive_count = ring_count + 1 + below(run, SIM_STORE_DRIVES_MAX - ring_count),
		.put_pool_len = 2 << 20,
		.get_pool_len = 1 << 20,
		.decode_pool_len = chance(run, 50) ? 1 << 20 : 3 << 20,
		.extent_len_max = chance(run, 40) ? 96 << 10 : 0,
		.has_mender = true,
		.scrub_period_ms = seed % 3 == 0 ? 4000 : 0,
	};
	sim_store_init(&run->rig, seed, &options);
	store_model_init(&run->model, seed);
	run->world = (struct client_world){.rig = &run->rig,
		.model = &run->model,
		.random = seed ^ 0x5eed,
		.seed = seed,
		.may_reads_fail = &run->may_reads_fail,
		.stats = &totals->clients};
}

/* Runs a seed; returns the hash of its trace. */
static uint64_t run_seed(uint64_t seed)
{
	static struct run run;
	set_up(&run, seed);
	for (uint64_t lives = 1 + below(&run, 4); lives > 0; lives--)
		live(&run);
	finish(&run);
	totals->seeds++;
	uint64_t hash = sim_trace_hash(run.rig.sim);
	sim_store_fini(&run.rig);
	return hash;
}

static void check_totals(void)
{
	for (unsigned how = 0; how < END_WAYS; how++)
		ck_assert_uint_gt(totals->ends[how], 0);
	ck_assert(totals->vanished > 0 && totals->given_up > 0);
	ck_assert(totals->targets > 0 && totals->retargets > 0);
	ck_assert_uint_gt(totals->rebuilt, 0);
	ck_assert_uint_gt(totals->copied, 0);
	ck_assert_uint_gt(totals->there, 0);
	ck_assert_uint_gt(totals->moves, 0);
	ck_assert_uint_gt(totals->emptied, 0);
	ck_assert_uint_gt(totals->repaired, 0);
	ck_assert_uint_gt(totals->narrowed, 0);
	ck_assert(totals->bad > 0 && totals->missing > 0);
}

/* --- the program ------------------------------------------------------------------------------ */

static void print_totals(void)
{
	printf("seeds %lu lives %lu ends stop %lu kill %lu power_cut %lu\n", totals->seeds,
		totals->lives, totals->ends[END_STOP], totals->ends[END_KILL],
		totals->ends[END_POWER_CUT]);
	printf("vanished %lu given_up %lu targets %lu of them on the way %lu paused %lu\n",
		totals->vanished, totals->given_up, totals->targets, totals->retargets,
		totals->paused);
	printf("rebuilt %lu copied %lu there %lu failed %lu freed %lu moves %lu emptied %lu "
	       "repaired %lu\n",
		totals->rebuilt, totals->copied, totals->there, totals->failed, totals->freed,
		totals->moves, totals->emptied, totals->repaired);
	printf("degraded_reads %lu narrowed %lu scrub: lost %lu found %lu, bad %lu\n",
		totals->degraded_reads, totals->narrowed, totals->lost, totals->missing,
		totals->bad);
}

int main(int argc, char **argv)
{
	static const struct sim_seeds seeds = {
		.name = "repair",
		.run = run_seed,
		.count = SEEDS,
		.batch = BATCH,
		.twice_every = TWICE_EVERY,
		.timeout_s = 300,
		.enough = 50,
		.check = check_totals,
		.print = print_totals,
	};
	totals = sim_seeds_share(sizeof *totals);
	return sim_seeds_main(&seeds, argc, argv);
}
