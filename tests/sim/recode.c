/* SPDX-License-Identifier: Apache-2.0 */
/* A store that grows and shrinks: from one drive to as many as there are and back, under clients,
 * while its mender codes what is there anew; judged by a model and a recount.
 *
 * Each seed begins with a ring of one to three drives and has a few lives. In each, clients put,
 * get, delete, copy and upload, and targets are set of other drives, with the profile that is usual
 * for so many: also while one is on its way. Where the profile stands it, a drive vanishes, to be
 * back in the next life, or is given up, one at a time; the next one when all is whole again. A
 * life ends in order, by a kill, or by a power cut. Then faults end, and:
 *
 * (O1) every key has a history that is linearizable, and reads as its last value, all bytes of it;
 * (O2) no get failed on the way, and each got the bytes of the version it began on;
 * (O3) the mender comes to its end: the target is the ring, every extent has the code that a put
 *      would choose, no shard is missing or elsewhere, none is left over, and the ledger agrees
 *      with the drives, record by record;
 * (O4) any m drives may be lost then, and everything is read;
 * (O5) then nothing is read or written on the drives any more, and nothing proposed;
 * (O6) every operation ends, nothing stays lent, and the node stops in order.
 */
#include <stdio.h>
#include <string.h>

#include "storage/meta/index_ledger.h"
#include "tests/lib/sim_seeds.h"
#include "tests/lib/store_lives.h"
#include "tests/lib/test.h"

/* What all seeds did together; in memory that the tests' processes share. */
struct totals {
	struct store_lives_totals lives;
	uint64_t grown, shrunk;
	uint64_t recoded, refused, failed;
};

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 5 };
#else
enum { SEEDS = 30 };
#endif

static struct totals *totals;

/* --- what befalls it -------------------------------------------------------------------------- */

/* Proposes a target of those drives. */
static enum err propose_target(struct store_lives *lives, const bool *is_in, unsigned count)
{
	struct ring_profile old = store_lives_profile(lives), new = ring_profile_default(count);
	enum err err = sim_store_propose_profile(&lives->rig, is_in, new);
	if (err == ERR_OK) {
		totals->lives.targets++;
		totals->grown += new.k + new.m > old.k + old.m;
		totals->shrunk += new.k + new.m < old.k + old.m;
	}
	return err;
}

/* A target of other drives. */
static void set_target(struct store_lives *lives)
{
	unsigned count = lives->rig.options.drive_count, in = 0;
	bool is_in[SIM_STORE_DRIVES_MAX] = {0};
	unsigned percent = 20 + store_lives_below(lives, 80);
	for (unsigned i = 0; i < count; i++)
		in += is_in[i] = !lives->is_gone[i] && !lives->is_away[i] &&
			store_lives_chance(lives, percent);
	if (in == 0)
		return;
	bool is_second = !sim_store_is_whole(&lives->rig);
	store_lives_check_target(lives, propose_target(lives, is_in, in));
	totals->lives.retargets += is_second;
}

static void befall(struct store_lives *lives)
{
	uint64_t which = store_lives_below(lives, 100);
	if (which < 20)
		store_lives_vanish(lives);
	else if (which < 30)
		store_lives_lose(lives);
	else if (which < 85)
		set_target(lives);
	else
		store_lives_pause(lives);
}

static void count(const struct store_lives *lives)
{
	const struct mender *mender = &lives->rig.life->mender;
	totals->recoded += mender->recode.counters.bodies;
	totals->refused += mender->recode.counters.refused;
	totals->failed += mender->crew.works[CREW_RECODE].failed;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* A ring that names a drive that is gone needs another, if no target does without it already; and
 * others get a last one, mostly of all drives that are left. */
static void set_last_target(struct store_lives *lives)
{
	bool is_in[SIM_STORE_DRIVES_MAX] = {0};
	unsigned in = 0;
	if (sim_store_is_whole(&lives->rig) && store_lives_chance(lives, 50))
		return;
	unsigned in_max = store_lives_chance(lives, 60) ? SIM_STORE_DRIVES_MAX
							: 1 + store_lives_below(lives, 3);
	for (unsigned i = 0; i < lives->rig.options.drive_count && in < in_max; i++)
		in += is_in[i] = !lives->is_gone[i];
	enum err err = propose_target(lives, is_in, in);
	ck_assert_msg(err == ERR_OK, "seed %lu: the last target: %s", (unsigned long)lives->seed,
		err_name(err));
}

/* (O3) */
static void check_codes(struct store_lives *lives)
{
	struct ring_snapshot *ring = index_ring(lives->rig.index);
	struct ring_profile profile = ring_snapshot_ring(ring)->profile;
	uint32_t slot_count = ring_snapshot_ring(ring)->slot_count;
	ring_snapshot_unref(ring);
	ck_assert_ok(index_view_begin(lives->rig.reader));
	for (uint32_t slot = 0; slot < slot_count; slot++) {
		struct extent_id at = {0, 0};
		struct row_extent row;
		for (; index_extent_next(lives->rig.reader, slot, at, &at, &row) == ERR_OK;
			at.counter++) {
			unsigned k = row.len <= 128 << 10 ? 1 : profile.k;
			ck_assert_msg(row.k == k && row.m == profile.m,
				"seed %lu: an extent of %u bytes has the code %u+%u, not %u+%u",
				(unsigned long)lives->seed, row.len, row.k, row.m, k, profile.m);
		}
	}
	index_view_end(lives->rig.reader);
}

static void finish(struct store_lives *lives)
{
	store_lives_start(lives);
	set_last_target(lives);
	if (store_lives_chance(lives, 50))
		store_lives_read_all(lives);
	store_lives_become_whole(lives); /* (O3) */
	check_codes(lives);
	store_lives_read_all(lives);
	store_lives_check_order(lives); /* (O1) */
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
		.drives_min = 1,
		.befall = befall,
		.count = count};
	unsigned ring_count = 1 + store_lives_below(&lives, 3);
	struct sim_store_options options = {
		.ring_count = ring_count,
		.drive_count = 4 + store_lives_below(&lives, SIM_STORE_DRIVES_MAX - 3),
		.put_pool_len = 2 << 20,
		.get_pool_len = 1 << 20,
		.decode_pool_len = store_lives_chance(&lives, 50) ? 1 << 20 : 3 << 20,
		.extent_len_max = store_lives_chance(&lives, 40) ? 96 << 10 : 0,
		.has_mender = true,
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
	ck_assert(totals->grown > 0 && totals->shrunk > 0);
	ck_assert(totals->recoded > 0 && totals->refused > 0);
}

/* --- the program ------------------------------------------------------------------------------ */

static void print_totals(void)
{
	store_lives_print_totals(&totals->lives);
	printf("grown %lu shrunk %lu recoded %lu refused %lu failed %lu\n", totals->grown,
		totals->shrunk, totals->recoded, totals->refused, totals->failed);
}

int main(int argc, char **argv)
{
	static const struct sim_seeds seeds = {
		.name = "recode",
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
