/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/store_lives.h"

#include <stdio.h>

#include "tests/lib/ledger.h"
#include "tests/lib/store_damage.h"
#include "tests/lib/test.h"

enum { CLIENTS_MAX = 5, QUIET_MS = 30000 };

uint64_t store_lives_below(struct store_lives *lives, uint64_t n)
{
	return test_random(&lives->random) % n;
}

bool store_lives_chance(struct store_lives *lives, unsigned percent)
{
	return store_lives_below(lives, 100) < percent;
}

void store_lives_init(struct store_lives *lives, const struct sim_store_options *options)
{
	sim_store_init(&lives->rig, lives->seed, options);
	store_model_init(&lives->model, lives->seed);
	lives->world = (struct client_world){.rig = &lives->rig,
		.model = &lives->model,
		.random = lives->seed ^ 0x5eed,
		.seed = lives->seed,
		.may_reads_fail = &lives->may_reads_fail,
		.stats = &lives->totals->clients};
}

uint64_t store_lives_fini(struct store_lives *lives)
{
	lives->totals->seeds++;
	uint64_t hash = sim_trace_hash(lives->rig.sim);
	sim_store_fini(&lives->rig);
	return hash;
}

/* --- clients ---------------------------------------------------------------------------------- */

static uint64_t choose_len(struct store_lives *lives)
{
	uint64_t full = lives->rig.profile.k * UNIT_LEN_SMALL;
	const uint64_t lens[] = {0, 4096, 4097, 20000, 100 << 10, 128 << 10, (128 << 10) + 1,
		full + 1, 2 * full + 12345, 700 << 10};
	return lens[store_lives_below(
		lives, store_lives_chance(lives, 60) ? 6 : ARRAY_COUNT(lens))];
}

static bool are_over(void *arg)
{
	struct store_lives *lives = arg;
	store_clients_reap(&lives->clients);
	return lives->clients.count == 0;
}

static void end_clients(struct store_lives *lives)
{
	if (sim_run_until(lives->rig.sim, are_over, lives, STORE_LIVES_ENDS_MS))
		return;
	const struct client *client = lives->clients.all[0];
	ck_abort_msg("seed %lu: %u operations do not end; one is of kind %u, put state %u, "
		     "proposed %u",
		(unsigned long)lives->seed, lives->clients.count, client->kind, client->put.state,
		client->is_proposed);
}

static void start_client(struct store_lives *lives)
{
	static const enum client_kind kinds[] = {CLIENT_PUT, CLIENT_PUT, CLIENT_PUT, CLIENT_PUT,
		CLIENT_CREATE, CLIENT_GET, CLIENT_GET, CLIENT_GET, CLIENT_DELETE, CLIENT_DELETE,
		CLIENT_COPY, CLIENT_UPLOAD, CLIENT_LIST};
	if (lives->clients.count == CLIENTS_MAX || !store_clients_have_room(&lives->model))
		return;
	unsigned key = store_lives_below(
		lives, store_lives_chance(lives, 40) ? 3 : STORE_MODEL_KEYS);
	uint64_t len = choose_len(lives);
	enum client_kind kind = kinds[store_lives_below(lives, ARRAY_COUNT(kinds))];
	store_clients_start(&lives->clients, &lives->world, kind, key, len, false);
}

void store_lives_read_all(struct store_lives *lives)
{
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++) {
		enum err err = store_clients_do(
			&lives->clients, &lives->world, CLIENT_GET, key, 0, STORE_LIVES_ENDS_MS);
		ck_assert_msg(err == ERR_OK || err == ERR_CANCELED, "seed %lu: key %u: %s",
			(unsigned long)lives->seed, key, err_name(err));
	}
}

/* --- what may befall -------------------------------------------------------------------------- */

static unsigned count_in_service(const struct store_lives *lives)
{
	unsigned count = 0;
	for (unsigned i = 0; i < lives->rig.options.drive_count; i++)
		count += !lives->is_gone[i];
	return count;
}

struct ring_profile store_lives_profile(const struct store_lives *lives)
{
	struct ring_snapshot *ring = index_ring(lives->rig.index);
	struct ring_profile profile = ring_snapshot_ring(ring)->profile;
	ring_snapshot_unref(ring);
	return profile;
}

/* May one more drive be lost? All is where it should be, and none is away. */
static bool may_lose(struct store_lives *lives)
{
	for (unsigned i = 0; i < lives->rig.options.drive_count; i++)
		if (lives->is_away[i])
			return false;
	return store_lives_profile(lives).m > 0 && sim_store_is_whole(&lives->rig);
}

void store_lives_vanish(struct store_lives *lives)
{
	unsigned i = store_lives_below(lives, lives->rig.options.drive_count);
	if (!may_lose(lives))
		return;
	lives->is_away[i] = true;
	lives->totals->vanished++;
	sim_disk_vanish(lives->rig.drives[i].disk);
}

/* Errors: those of the proposal. */
static enum err give_up(struct store_lives *lives, unsigned i)
{
	struct command command = {.type = COMMAND_DRIVE_UPDATE};
	command.drive_update.number = lives->rig.drives[i].number;
	command.drive_update.set = DRIVE_SET_STATE;
	command.drive_update.state = DRIVE_ROW_GONE;
	struct command_result result;
	return sim_store_propose(&lives->rig, &command, &result);
}

void store_lives_lose(struct store_lives *lives)
{
	unsigned i = store_lives_below(lives, lives->rig.options.drive_count);
	if (lives->is_gone[i] || count_in_service(lives) <= lives->drives_min || !may_lose(lives))
		return;
	lives->is_gone[i] = true;
	lives->totals->given_up++;
	sim_disk_vanish(lives->rig.drives[i].disk);
	if (store_lives_chance(lives, 50))
		sim_run_ms(lives->rig.sim, store_lives_below(lives, 500));
	err_ignore(give_up(lives, i)); /* done again in the next life */
}

void store_lives_pause(struct store_lives *lives)
{
	bool is_paused = store_lives_chance(lives, 30);
	lives->totals->paused += is_paused;
	mender_set(
		&lives->rig.life->mender, is_paused, store_lives_chance(lives, 30) ? 1 << 20 : 0);
}

void store_lives_check_target(const struct store_lives *lives, enum err err)
{
	ck_assert_msg(err == ERR_OK || err == ERR_CONFLICT, "seed %lu: a target: %s",
		(unsigned long)lives->seed, err_name(err));
}

/* --- a life ----------------------------------------------------------------------------------- */

static void count_life(struct store_lives *lives)
{
	const struct sim_store_life *life = lives->rig.life;
	struct store_lives_totals *totals = lives->totals;
	for (unsigned i = 0; i < life->loop_count; i++) {
		totals->degraded_reads += life->loops[i].counters.degraded_reads;
		totals->narrowed += life->loops[i].counters.narrowed;
	}
	totals->moves += life->mender.mover.report.moves;
	totals->repaired += life->mender.repair.last.shards + life->mender.repair.report.shards;
	totals->lives++;
	lives->count(lives);
}

static void stop(struct store_lives *lives)
{
	count_life(lives);
	lives->totals->ends[LIFE_STOP]++;
	ck_assert_ok(sim_store_stop(&lives->rig));
}

static void die(struct store_lives *lives, bool is_power_cut)
{
	count_life(lives);
	lives->totals->ends[is_power_cut ? LIFE_POWER_CUT : LIFE_KILL]++;
	sim_store_kill(&lives->rig, is_power_cut);
	store_clients_bury(&lives->clients, NULL);
}

void store_lives_start(struct store_lives *lives)
{
	enum err err = sim_store_start(&lives->rig);
	ck_assert_msg(err == ERR_OK, "seed %lu: the start failed: %s", (unsigned long)lives->seed,
		err_name(err));
	ck_assert_ok(sim_store_make_bucket(&lives->rig, BUCKET_UNVERSIONED, &lives->world.bucket));
	store_model_restart(&lives->model);
	for (unsigned i = 0; i < lives->rig.options.drive_count; i++)
		if (lives->is_gone[i])
			ck_assert_ok(give_up(lives, i));
}

static void be_busy(struct store_lives *lives)
{
	struct sim *sim = lives->rig.sim;
	for (uint64_t left = 10 + store_lives_below(lives, 20); left > 0; left--) {
		store_clients_reap(&lives->clients);
		start_client(lives);
		if (store_lives_chance(lives, 20))
			lives->befall(lives);
		if (store_lives_chance(lives, 15))
			sim_run_ms(sim, store_lives_below(lives, 8000));
		for (uint64_t steps = store_lives_below(lives, 300); steps > 0; steps--)
			sim_step(sim);
	}
}

static void heal(struct store_lives *lives)
{
	for (unsigned i = 0; i < lives->rig.options.drive_count; i++) {
		sim_disk_heal(lives->rig.drives[i].disk);
		lives->is_away[i] = false;
		if (!lives->is_gone[i])
			sim_disk_return(lives->rig.drives[i].disk);
	}
}

void store_lives_live(struct store_lives *lives)
{
	store_lives_start(lives);
	be_busy(lives);
	if (lives->judge)
		lives->judge(lives);
	uint64_t how = store_lives_below(lives, LIFE_ENDS);
	if (how == LIFE_STOP) {
		mender_set(&lives->rig.life->mender, store_lives_chance(lives, 20), 0);
		end_clients(lives);
		stop(lives);
	} else {
		die(lives, how == LIFE_POWER_CUT);
	}
	heal(lives);
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool is_whole(void *arg)
{
	return sim_store_is_whole(&((struct store_lives *)arg)->rig);
}

static bool is_collected(void *arg)
{
	return sim_store_is_collected(&((struct store_lives *)arg)->rig);
}

void store_lives_check_ledger(struct store_lives *lives, bool has_records)
{
	struct ledger_counts counts;
	sim_run_ms(lives->rig.sim, 5000); /* doubts end, tables are committed */
	ledger_check(&lives->rig, lives->is_gone, has_records, &counts);
	ck_assert_uint_eq(counts.missing, 0);
}

void store_lives_become_whole(struct store_lives *lives)
{
	mender_set(&lives->rig.life->mender, false, 0);
	ck_assert_msg(sim_run_until(lives->rig.sim, is_whole, lives, STORE_LIVES_ENDS_MS),
		"seed %lu: it does not become whole", (unsigned long)lives->seed);
	ck_assert_msg(sim_run_until(lives->rig.sim, is_collected, lives, STORE_LIVES_ENDS_MS),
		"seed %lu: the garbage stays", (unsigned long)lives->seed);
	store_lives_check_ledger(lives, lives->seed % 4 == 0);
}

void store_lives_check_order(struct store_lives *lives)
{
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		ck_assert_msg(store_model_is_linearizable(&lives->model, key),
			"seed %lu: key %u has no order", (unsigned long)lives->seed, key);
}

void store_lives_be_quiet(struct store_lives *lives)
{
	struct index_status before, after;
	uint64_t bytes = store_drive_bytes(&lives->rig);
	index_status(lives->rig.index, &before);
	sim_run_ms(lives->rig.sim, QUIET_MS);
	index_status(lives->rig.index, &after);
	ck_assert_uint_eq(store_drive_bytes(&lives->rig), bytes);
	ck_assert_uint_eq(after.applied, before.applied);
}

void store_lives_end(struct store_lives *lives)
{
	unsigned lost = 0, m = store_lives_profile(lives).m;
	for (unsigned tries = 0; tries < 20 && lost < m; tries++) {
		unsigned i = store_lives_below(lives, lives->rig.options.drive_count);
		if (lives->is_gone[i] || lives->is_away[i])
			continue;
		lives->is_away[i] = true;
		lost++;
		sim_disk_vanish(lives->rig.drives[i].disk);
	}
	store_lives_read_all(lives);
	stop(lives);
}

/* --- what all seeds did ----------------------------------------------------------------------- */

void store_lives_check_totals(const struct store_lives_totals *totals)
{
	for (unsigned how = 0; how < LIFE_ENDS; how++)
		ck_assert_uint_gt(totals->ends[how], 0);
	ck_assert(totals->vanished > 0 && totals->given_up > 0);
	ck_assert(totals->targets > 0 && totals->retargets > 0);
	ck_assert_uint_gt(totals->moves, 0);
	ck_assert_uint_gt(totals->narrowed, 0);
}

void store_lives_print_totals(const struct store_lives_totals *totals)
{
	printf("seeds %lu lives %lu ends stop %lu kill %lu power_cut %lu\n", totals->seeds,
		totals->lives, totals->ends[LIFE_STOP], totals->ends[LIFE_KILL],
		totals->ends[LIFE_POWER_CUT]);
	printf("vanished %lu given_up %lu targets %lu of them on the way %lu paused %lu\n",
		totals->vanished, totals->given_up, totals->targets, totals->retargets,
		totals->paused);
	printf("moves %lu repaired %lu degraded_reads %lu narrowed %lu\n", totals->moves,
		totals->repaired, totals->degraded_reads, totals->narrowed);
}
