/* SPDX-License-Identifier: Apache-2.0 */
/* The ring changes while clients put, get and delete on several nodes, which keep each other's
 * shards and each know of it a little later than others; judged by one model.
 *
 * Each seed is a number of nodes and drives, a profile, and a row of targets, the next often while
 * shards are still on their way to the last. tests/lib/sim_mover.h moves them. Nothing fails, so:
 *
 * (O1) every key has a history that is linearizable;
 * (O2) no read fails, or has to decode or take another copy since a shard is not where it is looked
 *      for; and each got the bytes of the version it began on;
 * (O3) the last target is reached; then every shard that the index refers to is on its drive, and
 *      after a census of each drive nothing else is: the ledger over all nodes is right;
 * (O4) nothing is lent any more on any node, and all stop in order;
 * (O5) every operation, and every change of the ring, comes to an end.
 */
#include <stdio.h>
#include <string.h>

#include "storage/ring/ring_plan.h"
#include "tests/lib/ledger.h"
#include "tests/lib/sim_mover.h"
#include "tests/lib/sim_net.h"
#include "tests/lib/sim_order.h"
#include "tests/lib/sim_seeds.h"
#include "tests/lib/store_clients.h"
#include "tests/lib/test.h"

enum {
	BATCH = 10, /* seeds in one process */
	NODES_MAX = 5,
	CLIENTS_MAX = 6,
	SLOTS = 4, /* few, so that each move takes several steps */
	ENDS_MS = 600000,
	STEPS_MAX = 5000, /* of the mover, by when the last target has to be reached */
	TWICE_EVERY = 20,
};

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 5 };
#else
enum { SEEDS = 20 };
#endif

/* What all seeds did together; in memory that the tests' processes share. */
struct totals {
	uint64_t seeds, targets, begun, copied, there, homed, turned, flipped, emptied, freed;
	uint64_t early, census_shards, census_freed, collected;
	struct client_stats clients;
};

static struct totals *totals;

struct run {
	uint64_t seed, random;
	struct sim *sim;
	struct sim_net *net;
	struct sim_order *order;
	unsigned node_count, targets_left;
	struct ring_profile profile;
	struct sim_store stores[NODES_MAX], *nodes[NODES_MAX];
	struct sim_mover mover;
	struct store_model model;
	struct client_world worlds[NODES_MAX];
	struct store_clients clients;
};

static const bool may_reads_fail = false;

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
	uint64_t full = run->profile.k * (uint64_t)UNIT_LEN_SMALL;
	const uint64_t lens[] = {4097, 20000, 128 << 10, (128 << 10) + 1, full - 1, full + 1,
		2 * full + 12345, 12 * full};
	return lens[below(run, ARRAY_COUNT(lens))];
}

static bool are_over(void *arg)
{
	struct run *run = arg;
	store_clients_reap(&run->clients);
	return run->clients.count == 0;
}

static void start_client(struct run *run)
{
	static const enum client_kind kinds[] = {CLIENT_PUT, CLIENT_PUT, CLIENT_PUT, CLIENT_PUT,
		CLIENT_GET, CLIENT_GET, CLIENT_GET, CLIENT_DELETE, CLIENT_COPY, CLIENT_UPLOAD};
	if (run->clients.count == CLIENTS_MAX || !store_clients_have_room(&run->model))
		return;
	store_clients_start(&run->clients, &run->worlds[below(run, run->node_count)],
		kinds[below(run, ARRAY_COUNT(kinds))], below(run, STORE_MODEL_KEYS),
		choose_len(run), false);
}

static void do_one(
	struct run *run, unsigned node, enum client_kind kind, unsigned key, uint64_t len)
{
	enum err err = store_clients_do(&run->clients, &run->worlds[node], kind, key, len, ENDS_MS);
	ck_assert_msg(err == ERR_OK || err == ERR_CANCELED,
		"seed %lu: kind %u of key %u on node %u: %s", (unsigned long)run->seed, kind, key,
		node, err_name(err));
}

static void be_busy(struct run *run)
{
	store_clients_reap(&run->clients);
	if (chance(run, 60))
		start_client(run);
	for (uint64_t steps = below(run, 60); steps > 0; steps--)
		sim_step(run->sim);
	if (chance(run, 5))
		sim_run_ms(run->sim, below(run, 300));
	if (chance(run, 5)) /* a census, as soon as there is nothing to collect */
		run->nodes[below(run, run->node_count)]->life->collector.census_due_ms = 1;
}

/* --- rings ------------------------------------------------------------------------------------ */

/* Some of the drives, on as many nodes as a slot needs. */
static unsigned choose_drives(struct run *run, struct ring_drive_info *infos)
{
	unsigned count = 0;
	do {
		count = 0;
		for (unsigned i = 0; i < run->node_count; i++)
			for (unsigned j = 0; j < run->stores[i].options.drive_count; j++)
				if (chance(run, 75))
					infos[count++] = (struct ring_drive_info){
						.number = run->stores[i].drives[j].number,
						.node = run->stores[i].options.node_id,
						.weight = (1 + below(run, 3)) << 40};
	} while (ring_domain_count(infos, count, RING_DOMAIN_NODE) <
		(unsigned)run->profile.k + run->profile.m);
	return count;
}

/* Plans a ring and proposes it. */
static void propose_ring(
	struct run *run, enum command_type type, const struct ring *old, uint64_t version)
{
	struct ring_drive_info infos[NODES_MAX * SIM_STORE_DRIVES_MAX];
	static uint8_t slots[2 * SLOTS * RING_WIDTH_MAX], bytes[sizeof slots + 512];
	struct ring_plan_request request = {
		.old = old,
		.drives = infos,
		.drive_count = choose_drives(run, infos),
		.profile = run->profile,
		.domain = RING_DOMAIN_NODE,
		.slot_count = SLOTS,
	};
	struct ring ring;
	ck_assert_ok(ring_plan(&request, slots, &ring));
	ring.version = version;
	struct command command = {.type = type};
	struct bytes *ret_bytes = type == COMMAND_RING_SET ? &command.ring_set.ring
							   : &command.ring_target.ring;
	ret_bytes->data = bytes;
	ck_assert_ok(ring_encode(&ring, bytes, sizeof bytes, &ret_bytes->len));
	struct command_result result = {0};
	enum err err = sim_store_propose(run->nodes[0], &command, &result);
	/* Moves that would wait for each other are not taken. */
	ck_assert_msg(err == ERR_OK || result.code == COMMAND_STALE, "%s", err_name(err));
	totals->targets += type == COMMAND_RING_TARGET && err == ERR_OK;
}

static void propose_target(struct run *run)
{
	struct ring_snapshot *ring, *target = NULL;
	ck_assert_ok(index_view_begin(run->nodes[0]->reader));
	ck_assert_ok(index_ring_view(run->nodes[0]->reader, &ring));
	enum err err = index_ring_target(run->nodes[0]->reader, &target);
	ck_assert(err == ERR_OK || err == ERR_NOT_FOUND);
	index_view_end(run->nodes[0]->reader);
	uint64_t version = ring_snapshot_ring(ring)->version;
	if (target && ring_snapshot_ring(target)->version > version)
		version = ring_snapshot_ring(target)->version;
	propose_ring(run, COMMAND_RING_TARGET, ring_snapshot_ring(ring), version + 1);
	ring_snapshot_unref(ring);
	ring_snapshot_unref(target);
}

static void change_ring(struct run *run)
{
	for (unsigned steps = 0;; steps++) {
		ck_assert_msg(steps < STEPS_MAX, "seed %lu: the ring does not change to its end",
			(unsigned long)run->seed);
		be_busy(run);
		if (run->targets_left > 0 && chance(run, 4)) {
			run->targets_left--;
			propose_target(run);
		}
		if (chance(run, 50))
			continue;
		bool is_any = sim_mover_step(&run->mover);
		if (!is_any && run->targets_left == 0)
			return;
		if (!is_any) {
			run->targets_left--;
			propose_target(run);
		}
	}
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool is_quiet(void *arg)
{
	struct run *run = arg;
	for (unsigned i = 0; i < run->node_count; i++) {
		struct sim_store *node = run->nodes[i];
		if (!sim_store_is_collected(node) || node->life->collector.census_due_ms != 0 ||
			node->life->collector.census_asked != node->life->store.census_index ||
			node->life->store.missed.count > 0)
			return false;
		for (unsigned l = 0; l < SIM_STORE_LOOPS; l++)
			if (node->life->services[l].owed.count > 0)
				return false;
	}
	return true;
}

/* A shard may have been brought where its body was just being dismantled. */
static void ask_census(struct run *run)
{
	for (unsigned i = 0; i < run->node_count; i++) {
		ck_assert_ok(index_view_begin(run->nodes[i]->reader));
		run->nodes[i]->life->store.census_index = index_view_index(run->nodes[i]->reader);
		index_view_end(run->nodes[i]->reader);
	}
}

/* (O3) */
static void check_all(struct run *run)
{
	ask_census(run);
	ck_assert_msg(sim_run_until(run->sim, is_quiet, run, ENDS_MS),
		"seed %lu: there is no quiet", (unsigned long)run->seed);
	bool is_excused[NODES_MAX * SIM_STORE_DRIVES_MAX] = {false};
	struct ledger_counts counts;
	ledger_check_all(run->nodes, run->node_count, is_excused, run->seed % 8 == 0, &counts);
	ck_assert_uint_eq(counts.missing, 0);
}

static void read_all(struct run *run)
{
	for (unsigned i = 0; i < run->node_count; i++)
		for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
			do_one(run, i, CLIENT_GET, key, 0);
}

static void count_all(struct run *run)
{
	const struct sim_mover *mover = &run->mover;
	totals->seeds++;
	totals->begun += mover->begun;
	totals->copied += mover->copied;
	totals->there += mover->there;
	totals->homed += mover->homed;
	totals->turned += mover->turned;
	totals->flipped += mover->flipped;
	totals->emptied += mover->emptied;
	totals->freed += mover->freed;
	totals->early += mover->early;
	for (unsigned i = 0; i < run->node_count; i++) {
		const struct sim_store_life *life = run->nodes[i]->life;
		totals->census_freed += life->collector.counters.census_freed;
		totals->census_shards += life->collector.counters.census_shards;
		totals->collected += life->collector.counters.bodies;
		for (unsigned l = 0; l < SIM_STORE_LOOPS; l++)
			ck_assert_uint_eq(life->loops[l].counters.degraded_reads, 0); /* (O2) */
	}
}

static void finish(struct run *run)
{
	ck_assert_msg(sim_run_until(run->sim, are_over, run, ENDS_MS),
		"seed %lu: %u operations do not end", (unsigned long)run->seed, run->clients.count);
	read_all(run);
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++) {
		if (store_model_is_linearizable(&run->model, key))
			continue;
		store_model_print(&run->model, key);
		ck_abort_msg("seed %lu: key %u has no order", (unsigned long)run->seed, key);
	}
	check_all(run);
	count_all(run);
	for (unsigned i = 0; i < run->node_count; i++)
		ck_assert_ok(sim_store_stop(run->nodes[i]));
}

/* --- one seed --------------------------------------------------------------------------------- */

static void make_nodes(struct run *run)
{
	static const char *const names[NODES_MAX] = {"n0", "n1", "n2", "n3", "n4"};
	struct sim_store_options options = {
		.extent_len_max = chance(run, 60) ? 96 << 10 : 0,
		.sim = run->sim,
		.net = run->net,
		.order = run->order,
	};
	for (unsigned i = 0; i < run->node_count; i++) {
		options.name = names[i];
		options.node_id = (struct id){{0xe0, i + 1}};
		options.drive_count = chance(run, 60) ? 2 : 1;
		run->nodes[i] = &run->stores[i];
		sim_store_init(run->nodes[i], 0, &options);
		ck_assert_ok(sim_store_start(run->nodes[i]));
		run->nodes[i]->profile = run->profile;
	}
}

static void make_bucket(struct run *run)
{
	uint64_t bucket;
	ck_assert_ok(sim_store_make_bucket(
		run->nodes[0], run->seed % 4 == 0 ? BUCKET_ENABLED : BUCKET_UNVERSIONED, &bucket));
	for (unsigned i = 0; i < run->node_count; i++)
		run->worlds[i] = (struct client_world){.rig = run->nodes[i],
			.model = &run->model,
			.bucket = bucket,
			.random = run->seed ^ 0x5eed ^ i,
			.seed = run->seed,
			.may_reads_fail = &may_reads_fail,
			.stats = &totals->clients};
}

static void set_up(struct run *run, uint64_t seed)
{
	static const struct ring_profile profiles[] = {{1, 1}, {2, 1}, {1, 2}};
	memset(run, 0, sizeof *run);
	run->seed = run->random = seed;
	run->node_count = 3 + below(run, NODES_MAX - 2);
	run->profile = profiles[below(run, ARRAY_COUNT(profiles))];
	run->targets_left = 1 + below(run, 3);
	run->sim = sim_new(seed);
	run->net = sim_net_new(run->sim);
	run->order = sim_order_new(run->sim);
	store_model_init(&run->model, seed);
	make_nodes(run);
	propose_ring(run, COMMAND_RING_SET, NULL, 1);
	make_bucket(run);
	sim_run_ms(run->sim, 1000); /* all are linked and see the ring */
	run->mover = (struct sim_mover){.sim = run->sim,
		.nodes = run->nodes,
		.node_count = run->node_count,
		.random = seed ^ 0x30e5};
}

/* Runs a seed; returns the hash of its trace. */
static uint64_t run_seed(uint64_t seed)
{
	static struct run run;
	set_up(&run, seed);
	for (unsigned i = 0; i < 20; i++)
		be_busy(&run);
	change_ring(&run);
	finish(&run);
	uint64_t hash = sim_trace_hash(run.sim);
	for (unsigned i = 0; i < run.node_count; i++)
		sim_store_fini(run.nodes[i]);
	sim_order_free(run.order);
	sim_net_free(run.net);
	sim_free(run.sim);
	return hash;
}

static void check_totals(void)
{
	ck_assert_uint_gt(totals->targets, 0);
	ck_assert_uint_gt(totals->copied, 0);
	ck_assert_uint_gt(totals->there, 0);
	ck_assert_uint_gt(totals->homed, 0);
	ck_assert_uint_gt(totals->turned, 0);
	ck_assert_uint_gt(totals->flipped, 0);
	ck_assert_uint_gt(totals->emptied, 0);
	ck_assert_uint_gt(totals->freed, 0);
	ck_assert_uint_gt(totals->early, 0);
	ck_assert_uint_gt(totals->collected, 0);
	ck_assert_uint_gt(totals->census_shards, 0);
	/* A delete frees what is there; only a race leaves something to a census. */
	ck_assert_uint_le(100 * totals->census_freed, totals->collected);
}

/* --- the program ------------------------------------------------------------------------------ */

static void print_totals(void)
{
	printf("seeds %lu targets %lu begun %lu copied %lu there %lu homed %lu turned %lu flipped "
	       "%lu emptied %lu freed %lu early %lu census %lu census_freed %lu collected %lu\n",
		totals->seeds, totals->targets, totals->begun, totals->copied, totals->there,
		totals->homed, totals->turned, totals->flipped, totals->emptied, totals->freed,
		totals->early, totals->census_shards, totals->census_freed, totals->collected);
	printf("puts %lu/%lu gets %lu/%lu deletes %lu/%lu failed %lu get_errors %lu\n",
		totals->clients.done[CLIENT_PUT], totals->clients.ops[CLIENT_PUT],
		totals->clients.done[CLIENT_GET], totals->clients.ops[CLIENT_GET],
		totals->clients.done[CLIENT_DELETE], totals->clients.ops[CLIENT_DELETE],
		totals->clients.failed, totals->clients.get_errors);
}

int main(int argc, char **argv)
{
	static const struct sim_seeds seeds = {
		.name = "ring_change",
		.run = run_seed,
		.count = SEEDS,
		.batch = BATCH,
		.twice_every = TWICE_EVERY,
		.timeout_s = 300,
		.enough = 40,
		.check = check_totals,
		.print = print_totals,
	};
	totals = sim_seeds_share(sizeof *totals);
	return sim_seeds_main(&seeds, argc, argv);
}
