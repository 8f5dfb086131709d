/* SPDX-License-Identifier: Apache-2.0 */
/* Several nodes that keep each other's shards, used by clients on all of them, while nodes are
 * killed, cut off, paused and come back; judged by one model.
 *
 * Each seed is a number of nodes and drives, and who may be away: in a *narrow* run up to m nodes,
 * always the same ones; in a *wide* run any, one at a time, each back before the next; in a *rough*
 * run links break besides. Reads may fail in a rough run, and while more than one is away: what
 * was written without one stands the loss of one more. Commands are put in order by
 * tests/lib/sim_order.h. Then all is healed, and:
 *
 * (O1) every key has a history that is linearizable, whichever nodes were asked;
 * (O2) a read through a node that was not away itself did not fail otherwise, and got the bytes of
 *      the version it began on; so it is at the end, with any one node away;
 * (O3) what is put is done, what is deleted is collected on all drives, and nothing is left over:
 *      the ledger over all nodes is right;
 * (O4) nothing is lent any more on any node, and all stop in order;
 * (O5) every operation comes to an end; and with menders, everything gets where it should be.
 */
#include <stdio.h>
#include <string.h>

#include "tests/lib/ledger.h"
#include "tests/lib/sim_net.h"
#include "tests/lib/sim_order.h"
#include "tests/lib/sim_seeds.h"
#include "tests/lib/store_clients.h"
#include "tests/lib/test.h"

enum {
	BATCH = 10, /* seeds in one process */
	NODES_MAX = 5,
	CLIENTS_MAX = 8,
	ENDS_MS = 600000, /* by when everything has to be over */
	TWICE_EVERY = 25,
};

enum mode { NARROW, WIDE, ROUGH, MODES };
enum away { HERE, DEAD, CUT_OFF, PAUSED, AWAY_WAYS };

/* What all seeds did together; in memory that the tests' processes share. */
struct totals {
	uint64_t seeds, modes[MODES], aways[AWAY_WAYS];
	uint64_t degraded_reads, narrowed, missing, census_freed, collected;
	uint64_t opened, sealed, aborted, refused, reads, freed, bad_units;
	uint64_t net_faults[SIM_NET_FAULTS];
	struct client_stats clients;
};

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 10 };
#else
enum { SEEDS = 60 };
#endif

static struct totals *totals;

struct run {
	uint64_t seed, random;
	enum mode mode;
	struct sim *sim;
	struct sim_net *net;
	struct sim_order *order;
	unsigned node_count, away_max;
	struct sim_store nodes[NODES_MAX];
	enum away away[NODES_MAX];
	bool is_excused[NODES_MAX]; /* may be away */
	bool may_reads_fail[NODES_MAX];
	struct store_model model;
	struct client_world worlds[NODES_MAX];
	struct store_clients clients;
};

static uint64_t below(struct run *run, uint64_t n)
{
	return test_random(&run->random) % n;
}

static bool chance(struct run *run, unsigned percent)
{
	return below(run, 100) < percent;
}

static unsigned node_of(const struct run *run, const struct client *client)
{
	return client->world - run->worlds;
}

/* --- clients ---------------------------------------------------------------------------------- */

static uint64_t choose_len(struct run *run)
{
	uint64_t full = run->nodes[0].profile.k *
		(uint64_t)(chance(run, 70) ? UNIT_LEN_SMALL : UNIT_LEN);
	const uint64_t lens[] = {0, 4096, 4097, 20000, 100 << 10, 128 << 10, (128 << 10) + 1,
		full - 1, full, full + 1, 2 * full + 12345, 5 * full};
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
	if (sim_run_until(run->sim, are_over, run, ENDS_MS))
		return;
	struct client *client = run->clients.all[0];
	ck_abort_msg("seed %lu: %u operations do not end; one is of kind %u on node %u, put state "
		     "%u, proposed %u",
		(unsigned long)run->seed, run->clients.count, client->kind, node_of(run, client),
		client->put.state, client->is_proposed);
}

static void start_client(struct run *run)
{
	static const enum client_kind kinds[] = {CLIENT_PUT, CLIENT_PUT, CLIENT_PUT, CLIENT_PUT,
		CLIENT_CREATE, CLIENT_GET, CLIENT_GET, CLIENT_GET, CLIENT_GET, CLIENT_DELETE,
		CLIENT_DELETE, CLIENT_COPY, CLIENT_UPLOAD, CLIENT_LIST};
	unsigned node = below(run, run->node_count);
	if (run->clients.count == CLIENTS_MAX || !store_clients_have_room(&run->model) ||
		run->away[node] == DEAD)
		return;
	enum client_kind kind = kinds[below(run, ARRAY_COUNT(kinds))];
	unsigned key = below(run, chance(run, 70) ? 3 : STORE_MODEL_KEYS);
	store_clients_start(&run->clients, &run->worlds[node], kind, key, choose_len(run), false);
}

static void do_one(
	struct run *run, unsigned node, enum client_kind kind, unsigned key, uint64_t len)
{
	enum err err = store_clients_do(&run->clients, &run->worlds[node], kind, key, len, ENDS_MS);
	ck_assert_msg(err == ERR_OK || err == ERR_CANCELED,
		"seed %lu: kind %u of key %u on node %u: %s", (unsigned long)run->seed, kind, key,
		node, err_name(err));
}

/* --- nodes that are away ---------------------------------------------------------------------- */

static void count_life(const struct sim_store *node)
{
	const struct sim_store_life *life = node->life;
	for (unsigned i = 0; i < life->loop_count; i++) {
		totals->degraded_reads += life->loops[i].counters.degraded_reads;
		totals->narrowed += life->loops[i].counters.narrowed;
		const struct shard_service_counters *served = &life->services[i].counters;
		totals->opened += served->opened;
		totals->sealed += served->sealed;
		totals->aborted += served->aborted;
		totals->refused += served->refused;
		totals->reads += served->reads;
		totals->freed += served->freed;
		totals->bad_units += served->bad_units;
	}
	totals->census_freed += life->collector.counters.census_freed;
	totals->collected += life->collector.counters.bodies;
}

static void kill_node(struct run *run, unsigned node)
{
	count_life(&run->nodes[node]);
	sim_store_kill(&run->nodes[node], chance(run, 50));
	store_clients_bury(&run->clients, &run->worlds[node]);
}

/* Cuts apart what is cut off, each by itself. */
static void cut_links(struct run *run)
{
	for (unsigned i = 0; i < run->node_count; i++)
		for (unsigned j = 0; j < run->node_count; j++)
			sim_net_cut(run->net, run->nodes[i].node, run->nodes[j].node,
				i != j && (run->away[i] == CUT_OFF || run->away[j] == CUT_OFF));
}

static unsigned count_away(const struct run *run)
{
	unsigned count = 0;
	for (unsigned i = 0; i < run->node_count; i++)
		count += run->away[i] != HERE;
	return count;
}

/* What was narrowed, or written without a node, stands the loss of one more and not of two. */
static void go_away(struct run *run, unsigned node, enum away how)
{
	run->away[node] = how;
	for (unsigned i = 0; i < run->node_count; i++)
		run->may_reads_fail[i] |= i == node || count_away(run) > 1;
	totals->aways[how]++;
	if (how == DEAD)
		kill_node(run, node);
	else if (how == PAUSED)
		sim_node_pause(run->nodes[node].node, true);
	cut_links(run);
	sim_order_cut(run->order, run->nodes[node].node, how == CUT_OFF);
}

static bool are_linked(void *arg)
{
	struct run *run = arg;
	for (unsigned i = 0; i < run->node_count; i++) {
		if (run->away[i] != HERE)
			continue;
		for (unsigned j = 0; j < run->node_count; j++) {
			struct store_loop *loops = run->nodes[i].life->loops;
			struct peer_info info;
			for (unsigned l = 0; l < SIM_STORE_LOOPS; l++) {
				peer_info(loops[l].peers, run->nodes[j].options.node_id, &info);
				if (run->away[j] == HERE && !info.is_linked)
					return false;
			}
		}
	}
	return true;
}

static bool are_its_over(void *arg)
{
	struct run *run = arg;
	for (unsigned i = 0; i < run->clients.count; i++)
		if (run->may_reads_fail[node_of(run, run->clients.all[i])] &&
			!run->clients.all[i]->is_done &&
			run->away[node_of(run, run->clients.all[i])] == HERE)
			return false;
	return are_linked(arg);
}

/* Brings a node back, and waits until nothing that was begun without it can tell. */
static void come_back(struct run *run, unsigned node)
{
	enum away how = run->away[node];
	run->away[node] = HERE;
	cut_links(run);
	sim_order_cut(run->order, run->nodes[node].node, false);
	if (how == PAUSED)
		sim_node_pause(run->nodes[node].node, false);
	if (how == DEAD)
		ck_assert_ok(sim_store_start(&run->nodes[node]));
	ck_assert_msg(sim_run_until(run->sim, are_its_over, run, ENDS_MS),
		"seed %lu: node %u does not come back", (unsigned long)run->seed, node);
	for (unsigned i = 0; i < run->node_count; i++)
		run->may_reads_fail[i] = run->mode == ROUGH || run->away[i] != HERE ||
			count_away(run) > 1;
}

static void change_nodes(struct run *run)
{
	unsigned node = below(run, run->node_count);
	if (run->away[node] != HERE) {
		come_back(run, node);
		return;
	}
	bool is_allowed = run->mode == NARROW ? run->is_excused[node] : true;
	if (is_allowed && count_away(run) < run->away_max)
		go_away(run, node, 1 + below(run, AWAY_WAYS - 1));
}

static void be_busy(struct run *run)
{
	for (uint64_t left = 15 + below(run, 30); left > 0; left--) {
		store_clients_reap(&run->clients);
		start_client(run);
		if (chance(run, 20))
			change_nodes(run);
		if (chance(run, 15))
			sim_run_ms(run->sim, below(run, 3000));
		for (uint64_t steps = below(run, 200); steps > 0; steps--)
			sim_step(run->sim);
	}
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool is_quiet(void *arg)
{
	struct run *run = arg;
	for (unsigned i = 0; i < run->node_count; i++) {
		struct sim_store *node = &run->nodes[i];
		if (!sim_store_is_collected(node) || node->life->collector.census_due_ms != 0 ||
			node->life->collector.census_asked != node->life->store.census_index ||
			node->life->store.missed.count > 0)
			return false;
		for (unsigned l = 0; l < SIM_STORE_LOOPS; l++)
			if (node->life->services[l].owed.count > 0)
				return false;
	}
	if (run->seed % 2 == 0 && !sim_store_is_whole(&run->nodes[0]))
		return false;
	return true;
}

static void read_all(struct run *run)
{
	for (unsigned i = 0; i < run->node_count; i++) {
		if (run->away[i] != HERE)
			continue;
		do_one(run, i, CLIENT_LIST, 0, 0);
		for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
			do_one(run, i, CLIENT_GET, key, 0);
	}
}

/* (O2) */
static void read_without_some(struct run *run)
{
	for (unsigned i = 0; i < run->node_count; i++)
		if (count_away(run) == 0 && chance(run, 60))
			go_away(run, i, 1 + below(run, AWAY_WAYS - 1));
	read_all(run);
	for (unsigned i = 0; i < run->node_count; i++)
		if (run->away[i] != HERE)
			come_back(run, i);
}

static void check_all(struct run *run)
{
	if (!sim_run_until(run->sim, is_quiet, run, ENDS_MS)) {
		for (unsigned i = 0; i < run->node_count; i++) {
			const struct collector *collector = &run->nodes[i].life->collector;
			const struct shard_service *services = run->nodes[i].life->services;
			fprintf(stderr,
				"node %u: collector in state %u, census %lu, frees %u, "
				"owed %u+%u, served writes %u+%u, frees %u+%u, collected %u\n",
				i, collector->state, (unsigned long)collector->census_due_ms,
				collector->frees_in_flight, services[0].owed.count,
				services[1].owed.count, services[0].writes_used,
				services[1].writes_used, services[0].frees_used,
				services[1].frees_used, sim_store_is_collected(&run->nodes[i]));
		}
		ck_abort_msg("seed %lu: there is no quiet", (unsigned long)run->seed);
	}
	struct sim_store *nodes[NODES_MAX];
	for (unsigned i = 0; i < run->node_count; i++)
		nodes[i] = &run->nodes[i];
	bool is_excused[NODES_MAX * SIM_STORE_DRIVES_MAX] = {false};
	struct ledger_counts counts;
	ledger_check_all(nodes, run->node_count, is_excused, run->seed % 8 == 0, &counts);
	totals->missing += counts.missing;
}

static void finish(struct run *run)
{
	sim_net_heal(run->net);
	for (unsigned i = 0; i < run->node_count; i++)
		if (run->away[i] != HERE)
			come_back(run, i);
	end_clients(run);
	ck_assert(sim_run_until(run->sim, are_linked, run, ENDS_MS));
	store_model_restart(&run->model);
	memset(run->may_reads_fail, 0, sizeof run->may_reads_fail);
	read_all(run);
	read_without_some(run);
	for (unsigned i = 0; i < run->node_count; i++) {
		do_one(run, i, CLIENT_PUT, i, (128 << 10) + 1);
		do_one(run, i, CLIENT_DELETE, (i + 1) % run->node_count, 0);
	}
	read_all(run);
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++) {
		if (store_model_is_linearizable(&run->model, key))
			continue;
		store_model_print(&run->model, key);
		ck_abort_msg("seed %lu: key %u has no order", (unsigned long)run->seed, key);
	}
	check_all(run);
	for (unsigned i = 0; i < run->node_count; i++) {
		count_life(&run->nodes[i]);
		ck_assert_ok(sim_store_stop(&run->nodes[i]));
	}
}

/* --- one seed --------------------------------------------------------------------------------- */

static void make_nodes(struct run *run)
{
	static const char *const names[NODES_MAX] = {"n0", "n1", "n2", "n3", "n4"};
	static const size_t put_pools[] = {1 << 20, 3 << 20};
	struct sim_store_options options = {
		.put_pool_len = put_pools[below(run, ARRAY_COUNT(put_pools))],
		.get_pool_len = 1 << 20,
		.decode_pool_len = 1 << 20,
		.extent_len_max = chance(run, 30) ? 96 << 10 : 0,
		.sim = run->sim,
		.net = run->net,
		.order = run->order,
		.has_mender = run->seed % 2 == 0,
	};
	for (unsigned i = 0; i < run->node_count; i++) {
		options.name = names[i];
		options.node_id = (struct id){{0xe0, i + 1}};
		options.drive_count = chance(run, 30) ? 2 : 1;
		sim_store_init(&run->nodes[i], 0, &options);
		ck_assert_ok(sim_store_start(&run->nodes[i]));
	}
}

static void make_ring(struct run *run)
{
	struct sim_store *nodes[NODES_MAX];
	for (unsigned i = 0; i < run->node_count; i++)
		nodes[i] = &run->nodes[i];
	ck_assert_ok(sim_store_propose_ring(nodes, run->node_count));
	uint64_t bucket;
	ck_assert_ok(sim_store_make_bucket(
		&run->nodes[0], run->seed % 4 == 0 ? BUCKET_ENABLED : BUCKET_UNVERSIONED, &bucket));
	for (unsigned i = 0; i < run->node_count; i++)
		run->worlds[i] = (struct client_world){.rig = &run->nodes[i],
			.model = &run->model,
			.bucket = bucket,
			.random = run->seed ^ 0x5eed ^ i,
			.seed = run->seed,
			.may_reads_fail = &run->may_reads_fail[i],
			.stats = &totals->clients};
}

static void set_up(struct run *run, uint64_t seed)
{
	memset(run, 0, sizeof *run);
	run->seed = run->random = seed;
	run->mode = below(run, MODES);
	run->node_count = 2 + below(run, NODES_MAX - 1);
	run->sim = sim_new(seed);
	run->net = sim_net_new(run->sim);
	run->order = sim_order_new(run->sim);
	store_model_init(&run->model, seed);
	make_nodes(run);
	make_ring(run);
	ck_assert(sim_run_until(run->sim, are_linked, run, ENDS_MS));
	sim_run_ms(run->sim, 100); /* all see the ring */
	unsigned m = run->nodes[0].profile.m;
	run->away_max = run->mode == NARROW ? m : 1;
	for (unsigned left = m; left > 0; left--)
		run->is_excused[below(run, run->node_count)] = true;
	for (unsigned i = 0; i < run->node_count; i++)
		run->may_reads_fail[i] = run->mode == ROUGH;
	if (run->mode == ROUGH)
		*sim_net_odds(run->net) = (struct sim_net_odds){
			.lose = below(run, 50), .slow = below(run, 30), .brk = below(run, 20)};
	totals->modes[run->mode]++;
}

/* Runs a seed; returns the hash of its trace. */
static uint64_t run_seed(uint64_t seed)
{
	static struct run run;
	set_up(&run, seed);
	be_busy(&run);
	finish(&run);
	for (unsigned fault = 0; fault < SIM_NET_FAULTS; fault++)
		totals->net_faults[fault] += sim_net_stats(run.net)->faults[fault];
	totals->seeds++;
	uint64_t hash = sim_trace_hash(run.sim);
	for (unsigned i = 0; i < run.node_count; i++)
		sim_store_fini(&run.nodes[i]);
	sim_order_free(run.order);
	sim_net_free(run.net);
	sim_free(run.sim);
	return hash;
}

static void check_totals(void)
{
	for (unsigned mode = 0; mode < MODES; mode++)
		ck_assert_uint_gt(totals->modes[mode], 0);
	for (unsigned how = DEAD; how < AWAY_WAYS; how++)
		ck_assert_uint_gt(totals->aways[how], 0);
	for (unsigned kind = 0; kind < CLIENT_KINDS; kind++)
		ck_assert_uint_gt(totals->clients.done[kind], 0);
	ck_assert_uint_gt(totals->degraded_reads, 0);
	ck_assert_uint_gt(totals->narrowed, 0);
	ck_assert_uint_gt(totals->census_freed, 0);
	ck_assert_uint_gt(totals->collected, 0);
	ck_assert_uint_gt(totals->aborted, 0);
	ck_assert_uint_gt(totals->freed, 0);
}

/* --- the program ------------------------------------------------------------------------------ */

static void print_totals(void)
{
	printf("seeds %lu narrow %lu wide %lu rough %lu dead %lu cut %lu paused %lu\n",
		totals->seeds, totals->modes[NARROW], totals->modes[WIDE], totals->modes[ROUGH],
		totals->aways[DEAD], totals->aways[CUT_OFF], totals->aways[PAUSED]);
	printf("served opened %lu sealed %lu aborted %lu refused %lu reads %lu freed %lu\n",
		totals->opened, totals->sealed, totals->aborted, totals->refused, totals->reads,
		totals->freed);
	printf("net");
	for (unsigned fault = 0; fault < SIM_NET_FAULTS; fault++)
		printf(" %s %lu", sim_net_fault_name(fault), totals->net_faults[fault]);
	printf("\nclients");
	static const char *const names[CLIENT_KINDS] = {
		"put", "create", "get", "delete", "copy", "upload", "list"};
	for (unsigned kind = 0; kind < CLIENT_KINDS; kind++)
		printf(" %s %lu/%lu", names[kind], totals->clients.done[kind],
			totals->clients.ops[kind]);
	printf(" refused %lu failed %lu unknown %lu canceled %lu get_errors %lu\n",
		totals->clients.refused, totals->clients.failed, totals->clients.unknown,
		totals->clients.canceled, totals->clients.get_errors);
	printf("degraded_reads %lu narrowed %lu missing_shards %lu census_freed %lu collected "
	       "%lu\n",
		totals->degraded_reads, totals->narrowed, totals->missing, totals->census_freed,
		totals->collected);
}

int main(int argc, char **argv)
{
	static const struct sim_seeds seeds = {
		.name = "shards",
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
