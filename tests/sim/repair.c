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

#include "tests/lib/sim_seeds.h"
#include "tests/lib/store_damage.h"
#include "tests/lib/store_lives.h"
#include "tests/lib/test.h"

/* What all seeds did together; in memory that the tests' processes share. */
struct totals {
	struct store_lives_totals lives;
	uint64_t rebuilt, copied, there, failed, freed, emptied;
	uint64_t lost, bad, missing;
};

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 6 };
#else
enum { SEEDS = 40 };
#endif

static struct totals *totals;

/* --- what befalls it -------------------------------------------------------------------------- */

static unsigned width_of(const struct store_lives *lives)
{
	return lives->rig.profile.k + lives->rig.profile.m;
}

/* A target of other drives, at least as many as the ring is wide. */
static void set_target(struct store_lives *lives)
{
	unsigned count = lives->rig.options.drive_count, in = 0, width = width_of(lives);
	bool is_in[SIM_STORE_DRIVES_MAX] = {0};
	for (unsigned i = 0; i < count; i++)
		in += is_in[i] = !lives->is_gone[i] && !lives->is_away[i] &&
			store_lives_chance(lives, 70);
	for (unsigned first = store_lives_below(lives, count), i = 0; i < count && in < width;
		i++) {
		unsigned drive = (first + i) % count;
		if (is_in[drive] || lives->is_gone[drive])
			continue;
		is_in[drive] = true;
		in++;
	}
	if (in < width)
		return;
	bool is_second = !sim_store_is_whole(&lives->rig);
	store_lives_check_target(lives, sim_store_propose_target(&lives->rig, is_in));
	totals->lives.targets++;
	totals->lives.retargets += is_second;
}

static void befall(struct store_lives *lives)
{
	lives->drives_min = width_of(lives);
	uint64_t which = store_lives_below(lives, 100);
	if (which < 25)
		store_lives_vanish(lives);
	else if (which < 50)
		store_lives_lose(lives);
	else if (which < 80)
		set_target(lives);
	else
		store_lives_pause(lives);
}

static void count(const struct store_lives *lives)
{
	const struct mender *mender = &lives->rig.life->mender;
	const struct crew_counters *crew = &mender->crew.counters;
	totals->rebuilt += crew->rebuilt;
	totals->copied += crew->copied;
	totals->there += crew->there;
	totals->failed += crew->failed;
	totals->freed += crew->freed;
	totals->emptied += mender->emptier.emptied;
}

/* (O7) What moves, and where from a lost drive, is not missing where it has yet to come. */
static void check_scrub(const struct store_lives *lives)
{
	const struct scrub_counts *counts = &lives->rig.life->mender.scrub.counters.counts;
	ck_assert_msg(counts->missing == 0, "seed %lu: a scrub misses %lu shards",
		(unsigned long)lives->seed, (unsigned long)counts->missing);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* A ring that names a drive that is gone needs another, if no target does without it already. */
static void replace_lost(struct store_lives *lives)
{
	bool is_in[SIM_STORE_DRIVES_MAX];
	for (unsigned i = 0; i < lives->rig.options.drive_count; i++)
		is_in[i] = !lives->is_gone[i];
	if (sim_store_is_whole(&lives->rig))
		return;
	enum err err = sim_store_propose_target(&lives->rig, is_in);
	ck_assert_msg(err == ERR_OK, "seed %lu: the last target: %s", (unsigned long)lives->seed,
		err_name(err));
}

struct scrubbing {
	struct store_lives *lives;
	uint64_t passes_wanted;
};

static bool is_scrubbed(void *arg)
{
	const struct scrubbing *scrubbing = arg;
	struct sim_store *rig = &scrubbing->lives->rig;
	return rig->life->mender.scrub.counters.passes >= scrubbing->passes_wanted &&
		sim_store_is_whole(rig);
}

/* (O7) */
static void be_scrubbed(struct store_lives *lives)
{
	struct sim_store *rig = &lives->rig;
	const struct scrub_counters *counters = &rig->life->mender.scrub.counters;
	check_scrub(lives);
	totals->lost += store_damage(rig, lives->is_gone, &lives->random);
	struct scrubbing scrubbing = {lives, counters->passes + 3 * rig->options.drive_count};
	ck_assert(sim_run_until(rig->sim, is_scrubbed, &scrubbing, STORE_LIVES_ENDS_MS));
	totals->bad += counters->counts.bad;
	totals->missing += counters->counts.missing;
	store_lives_check_ledger(lives, true);
}

static void finish(struct store_lives *lives)
{
	store_lives_start(lives);
	replace_lost(lives);
	if (store_lives_chance(lives, 50))
		store_lives_read_all(lives);
	store_lives_become_whole(lives); /* (O3) */
	store_lives_read_all(lives);
	store_lives_check_order(lives); /* (O1) */
	if (lives->rig.options.scrub_period_ms > 0)
		be_scrubbed(lives);
	else
		store_lives_be_quiet(lives); /* (O5) */
	store_lives_end(lives); /* (O4) */
}

/* --- one seed --------------------------------------------------------------------------------- */

/* Runs a seed; returns the hash of its trace. */
static uint64_t run_seed(uint64_t seed)
{
	static struct store_lives lives;
	lives = (struct store_lives){.seed = seed,
		.random = seed,
		.totals = &totals->lives,
		.befall = befall,
		.count = count,
		.judge = check_scrub};
	unsigned ring_count = 2 + store_lives_below(&lives, 4);
	struct sim_store_options options = {
		.ring_count = ring_count,
		.drive_count = ring_count + 1 +
			store_lives_below(&lives, SIM_STORE_DRIVES_MAX - ring_count),
		.put_pool_len = 2 << 20,
		.get_pool_len = 1 << 20,
		.decode_pool_len = store_lives_chance(&lives, 50) ? 1 << 20 : 3 << 20,
		.extent_len_max = store_lives_chance(&lives, 40) ? 96 << 10 : 0,
		.has_mender = true,
		.scrub_period_ms = seed % 3 == 0 ? 4000 : 0,
	};
	store_lives_init(&lives, &options);
	for (uint64_t left = 1 + store_lives_below(&lives, 4); left > 0; left--)
		store_lives_live(&lives);
	finish(&lives);
	return store_lives_fini(&lives);
}

static void check_totals(void)
{
	store_lives_check_totals(&totals->lives);
	ck_assert_uint_gt(totals->rebuilt, 0);
	ck_assert_uint_gt(totals->copied, 0);
	ck_assert_uint_gt(totals->there, 0);
	ck_assert_uint_gt(totals->emptied, 0);
	ck_assert_uint_gt(totals->lives.repaired, 0);
	ck_assert(totals->bad > 0 && totals->missing > 0);
}

/* --- the program ------------------------------------------------------------------------------ */

static void print_totals(void)
{
	store_lives_print_totals(&totals->lives);
	printf("rebuilt %lu copied %lu there %lu failed %lu freed %lu emptied %lu\n",
		totals->rebuilt, totals->copied, totals->there, totals->failed, totals->freed,
		totals->emptied);
	printf("scrub: lost %lu found %lu, bad %lu\n", totals->lost, totals->missing, totals->bad);
}

int main(int argc, char **argv)
{
	static const struct sim_seeds seeds = {
		.name = "repair",
		.run = run_seed,
		.count = SEEDS,
		.batch = 5,
		.twice_every = 25,
		.timeout_s = 300,
		.enough = 50,
		.check = check_totals,
		.print = print_totals,
	};
	totals = sim_seeds_share(sizeof *totals);
	return sim_seeds_main(&seeds, argc, argv);
}
