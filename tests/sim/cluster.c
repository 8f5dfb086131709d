/* SPDX-License-Identifier: Apache-2.0 */
/* A whole cluster: nodes whose logs agree by libraft, with the index, drives, shards on each other,
 * collectors and menders, used by clients on all of them while nodes are killed, paused, cut off
 * and lose their power, alone and all at once; judged by one model.
 *
 * Nothing is promised to answer while faults last. What was answered holds:
 *
 * (O1) every key has a history that is linearizable across all nodes, those of conditional writes
 *      and listings among them, and every byte is one that its version was written with;
 * (O2) no member applies another command at a log index, or has another state after it, than any
 *      other, in any life; a term has one leader (tests/lib/sim_watch.h).
 *
 * Then faults end, and within a bounded time
 *
 * (O3) the group has the members and votes that it should, all nodes serve, and every operation
 *      has come to an end;
 * (O4) every key reads as its last value at every node, and what is put is done;
 * (O5) what was deleted is collected on all drives, nothing is left over, and everything is where
 *      it should be: the ledger over all nodes is right, and hashes are those of the rows;
 * (O6) nothing is lent any more, and all nodes stop in order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cluster_faults.h"
#include "tests/lib/ledger.h"

#include "tests/lib/sim_seeds.h"
#include "tests/lib/store_clients.h"
#include "tests/lib/test.h"

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 6 };
#else
enum { SEEDS = 100 };
#endif

enum {
	BATCH = 10,
	TWICE_EVERY = 50,
	ENOUGH = 100, /* seeds, to meet everything */
	CLIENTS_MAX = 8,
	FORM_MS = 120000,
	ENDS_MS = 300000, /* by when everything has to be over */
	LOOKS_MAX = 2,
	LOOK_MS = 1500,
};

/* What all seeds did together. */
static struct totals {
	uint64_t befell[BEFALLS], losses[LOSSES];
	uint64_t disk_faults[SIM_FAULTS], kv_faults[SIM_KV_FAULTS], targets, gone;
	uint64_t drives_replaced;
	uint64_t net_faults[SIM_NET_FAULTS];
	uint64_t lives, failures, stops, replaced, installs, leads, groups, states, entries;
	uint64_t degraded_reads, narrowed, missing, census_freed, collected;
	uint64_t virtual_ms;
	struct client_stats clients;
} * totals;

struct run {
	uint64_t seed, random;
	struct sim_cluster cluster;
	struct sim_admin admin;
	struct cluster_faults faults;
	struct store_model model;
	struct client_world worlds[SIM_CLUSTER_NODES_MAX];
	struct store_clients clients;
	bool may_reads_fail;
	bool is_harsh; /* faults follow each other quickly */
};

static uint64_t below(struct run *run, uint64_t n)
{
	return test_random(&run->random) % n;
}

static bool chance(struct run *run, unsigned percent)
{
	return below(run, 100) < percent;
}

static struct sim_cluster_node *any_node(struct run *run)
{
	return &run->cluster.nodes[below(run, run->cluster.node_count)];
}

/* --- clients ---------------------------------------------------------------------------------- */

static uint64_t choose_len(struct run *run)
{
	static const uint64_t lens[] = {0, 100, 4096, 4097, 20000, 60 << 10, 128 << 10,
		(128 << 10) + 1, 200 << 10, 300 << 10};
	return lens[below(run, chance(run, 80) ? 6 : ARRAY_COUNT(lens))];
}

static void start_client(struct run *run)
{
	static const enum client_kind kinds[] = {CLIENT_PUT, CLIENT_PUT, CLIENT_PUT, CLIENT_PUT,
		CLIENT_CREATE, CLIENT_CREATE, CLIENT_GET, CLIENT_GET, CLIENT_GET, CLIENT_DELETE,
		CLIENT_DELETE, CLIENT_COPY, CLIENT_UPLOAD, CLIENT_LIST};
	struct sim_cluster_node *node = any_node(run);
	if (run->clients.count == CLIENTS_MAX || node->state != SIM_NODE_SERVING ||
		!store_clients_have_room(&run->model))
		return;
	enum client_kind kind = kinds[below(run, ARRAY_COUNT(kinds))];
	unsigned key = below(run, chance(run, 70) ? 3 : STORE_MODEL_KEYS);
	store_clients_start(
		&run->clients, &run->worlds[node->number], kind, key, choose_len(run), false);
}

static void count_life(const struct sim_cluster_node *node)
{
	const struct sim_store_life *life = node->rig.life;
	for (unsigned i = 0; i < life->loop_count; i++) {
		totals->degraded_reads += life->loops[i].counters.degraded_reads;
		totals->narrowed += life->loops[i].counters.narrowed;
	}
	totals->census_freed += life->collector.counters.census_freed;
	totals->collected += life->collector.counters.bodies;
}

static bool is_node_used(void *arg, const struct sim_cluster_node *node)
{
	const struct run *run = arg;
	for (unsigned i = 0; i < run->clients.count; i++)
		if (run->clients.all[i]->world == &run->worlds[node->number] &&
			!run->clients.all[i]->is_done)
			return true;
	return false;
}

static void process_ended(void *arg, struct sim_cluster_node *node)
{
	struct run *run = arg;
	count_life(node);
	store_clients_bury(&run->clients, &run->worlds[node->number]);
}

static void be_busy(struct run *run)
{
	run->may_reads_fail = true;
	for (uint64_t left = 20 + below(run, 40); left > 0; left--) {
		store_clients_reap(&run->clients);
		for (uint64_t n = below(run, 4); n > 0; n--)
			start_client(run);
		if (chance(run, 50))
			sim_cluster_run_ms(&run->cluster, below(run, 15));
		if (chance(run, run->is_harsh ? 45 : 20))
			cluster_faults_inject(&run->faults);
		cluster_faults_extend_ring(&run->faults);
		sim_admin_poll(&run->admin);
		if (chance(run, 25))
			sim_cluster_run_ms(
				&run->cluster, below(run, chance(run, 20) ? 8000 : 1500));
		else
			sim_cluster_run_ms(&run->cluster, below(run, 50));
	}
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool are_clients_over(void *arg)
{
	struct run *run = arg;
	store_clients_reap(&run->clients);
	return run->clients.count == 0;
}

static bool is_linked(struct sim_cluster_node *from, struct sim_cluster_node *to)
{
	bool is_linked = true;
	for (unsigned i = 0; i < SIM_STORE_LOOPS; i++) {
		struct peer_info info;
		peer_info(from->rig.peers[i], to->rig.options.node_id, &info);
		is_linked &= info.is_linked;
	}
	return is_linked;
}

static bool are_linked(struct run *run)
{
	struct sim_cluster_node *nodes = run->cluster.nodes;
	for (unsigned i = 0; i < run->cluster.node_count; i++)
		for (unsigned j = 0; j < run->cluster.node_count; j++)
			if (cluster_node_is_there(&nodes[i]) && cluster_node_is_there(&nodes[j]) &&
				!is_linked(&nodes[i], &nodes[j]))
				return false;
	return true;
}

static struct sim_cluster_node *first_there(struct run *run)
{
	struct sim_cluster_node *node = run->cluster.nodes;
	while (!cluster_node_is_there(node))
		node++;
	return node;
}

static struct sim_cluster_node *any_there(struct run *run)
{
	struct sim_cluster_node *node = any_node(run);
	return cluster_node_is_there(node) ? node : first_there(run);
}

static bool has_settled(void *arg)
{
	struct run *run = arg;
	return sim_cluster_is_settled(&run->cluster) && are_linked(run);
}

static bool is_quiet(void *arg)
{
	struct run *run = arg;
	cluster_faults_extend_ring(&run->faults);
	cluster_faults_replace_drives(&run->faults);
	sim_admin_poll(&run->admin);
	unsigned lost = run->admin.gone > 0; /* nobody can tell it any more */
	for (unsigned i = 0; i < run->cluster.node_count; i++) {
		struct sim_store *rig = &run->cluster.nodes[i].rig;
		if (!cluster_node_is_there(&run->cluster.nodes[i]))
			continue;
		if (run->cluster.nodes[i].state != SIM_NODE_SERVING)
			return false; /* it starts anew */
		const struct collector *collector = &rig->life->collector;
		if (collector->census_due_ms != 0 ||
			collector->census_asked != rig->life->store.census_index ||
			rig->life->store.missed.count > lost)
			return false;
		for (unsigned l = 0; l < SIM_STORE_LOOPS; l++)
			if (rig->life->services[l].owed.count > 0)
				return false;
		if (!sim_store_is_collected(rig))
			return false;
	}
	return sim_admin_is_idle(&run->admin) && has_settled(run) &&
		sim_store_is_whole(&first_there(run)->rig);
}

static void print_quiet(struct run *run)
{
	for (unsigned i = 0; i < run->cluster.node_count; i++) {
		struct sim_store *rig = &run->cluster.nodes[i].rig;
		if (run->cluster.nodes[i].state != SIM_NODE_SERVING)
			continue;
		const struct collector *collector = &rig->life->collector;
		fprintf(stderr,
			"node %u: collector in state %u, census %lu, missed %u, owed %u+%u, "
			"collected %u, whole %u, crippled %u; admin idle %u\n",
			i, collector->state, (unsigned long)collector->census_due_ms,
			rig->life->store.missed.count, rig->life->services[0].owed.count,
			rig->life->services[1].owed.count, sim_store_is_collected(rig),
			sim_store_is_whole(rig), cluster_node_is_crippled(&run->cluster.nodes[i]),
			sim_admin_is_idle(&run->admin));
		for (unsigned j = 0; j < rig->options.drive_count; j++)
			if (!rig->drives[j].drive)
				fprintf(stderr, "node %u: drive %u does not open: %s\n", i,
					rig->drives[j].number, err_name(rig->drives[j].open_err));
	}
}

static void want(struct run *run, bool (*predicate)(void *arg), const char *what)
{
	if (sim_cluster_run_until(&run->cluster, predicate, run, ENDS_MS))
		return;
	sim_cluster_print(&run->cluster);
	for (unsigned i = 0; i < run->clients.count; i++)
		fprintf(stderr, "client of kind %u on node %u, put state %u, proposed %u\n",
			run->clients.all[i]->kind,
			(unsigned)(run->clients.all[i]->world - run->worlds),
			run->clients.all[i]->put.state, run->clients.all[i]->is_proposed);
	print_quiet(run);
	ck_abort_msg("seed %lu: never: %s", (unsigned long)run->seed, what);
}

/* What has to go well; but a member may lag so far that it takes a snapshot, or meet what a disk
 * still had in store, and starts anew. That there is room again is seen by the next look, which
 * somebody has to ask for ((N3) of storage/meta/index_space.h). */
static void do_one(
	struct run *run, unsigned number, enum client_kind kind, unsigned key, uint64_t len)
{
	struct sim_cluster_node *node = &run->cluster.nodes[number];
	for (unsigned tries = 0;; tries++) {
		enum err err = store_clients_do(
			&run->clients, &run->worlds[number], kind, key, len, ENDS_MS);
		if (err == ERR_OK || err == ERR_CANCELED)
			return;
		if (err == ERR_NO_SPACE && tries < LOOKS_MAX) {
			sim_cluster_run_ms(&run->cluster, LOOK_MS);
			continue;
		}
		ck_assert_msg(node->rig.failed != ERR_OK,
			"seed %lu: kind %u of key %u on node %u: %s", (unsigned long)run->seed,
			kind, key, number, err_name(err));
		want(run, has_settled, "a node is back");
	}
}

static void read_all(struct run *run)
{

	for (unsigned i = 0; i < run->cluster.node_count; i++)
		if (cluster_node_is_there(&run->cluster.nodes[i]))
			do_one(run, i, CLIENT_LIST, 0, 0);
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		for (unsigned i = 0; i < 2; i++)
			do_one(run, any_there(run)->number, CLIENT_GET, key, 0);
}

static void check_orders(struct run *run)
{
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++) {
		if (store_model_is_linearizable(&run->model, key))
			continue;
		store_model_print(&run->model, key);
		ck_abort_msg("seed %lu: key %u has no order", (unsigned long)run->seed, key);
	}
}

static void check_ledger(struct run *run)
{
	struct sim_store *nodes[SIM_CLUSTER_NODES_MAX];
	bool is_excused[SIM_CLUSTER_NODES_MAX * SIM_STORE_DRIVES_MAX] = {false};
	struct ledger_counts counts;
	unsigned count = 0;
	for (unsigned i = 0; i < run->cluster.node_count; i++) {
		struct sim_cluster_node *node = &run->cluster.nodes[i];
		if (!cluster_node_is_there(node))
			continue;
		if (run->faults.loss == LOSS_OF_SHARDS && run->faults.loser == node)
			memset(is_excused + count * SIM_STORE_DRIVES_MAX, true,
				SIM_STORE_DRIVES_MAX);
		nodes[count++] = &node->rig;
	}
	ledger_check_all(nodes, count, is_excused, run->seed % 8 == 0, &counts);
	totals->missing += counts.missing;
}

static void finish(struct run *run)
{
	cluster_faults_heal(&run->faults);
	want(run, are_clients_over, "all operations end");
	want(run, has_settled, "all nodes serve as they should");
	store_model_restart(&run->model);
	run->may_reads_fail = false;
	read_all(run);

	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		do_one(run, any_there(run)->number, chance(run, 50) ? CLIENT_PUT : CLIENT_DELETE,
			key, 20000);
	want(run, is_quiet, "quiet");
	read_all(run);
	check_orders(run);
	check_ledger(run);
	for (unsigned i = 0; i < run->cluster.node_count; i++) {

		totals->installs += run->cluster.nodes[i].rig.installs;
		if (!cluster_node_is_there(&run->cluster.nodes[i]))
			continue;
		count_life(&run->cluster.nodes[i]);
		ck_assert_ok(sim_cluster_stop(&run->cluster.nodes[i]));
	}
}

/* --- one seed --------------------------------------------------------------------------------- */

static void make_nodes(struct run *run)
{
	struct sim_store_options options = {
		.put_pool_len = chance(run, 50) ? 1 << 20 : 3 << 20,
		.get_pool_len = 1 << 20,
		.decode_pool_len = 1 << 20,
		.extent_len_max = chance(run, 30) ? 96 << 10 : 0,
		.has_mender = true,
		.log_keep_len = chance(run, 50) ? 1 : 4 * SIM_STORE_LOG_LEN,
	};
	unsigned count = chance(run, 50) ? 3 : 4 + below(run, chance(run, 70) ? 2 : 6);
	unsigned joining = count < 7 && (chance(run, 40) || run->faults.loss == LOSS_OF_ALL)
		? 1 + below(run, 2)
		: 0;
	for (unsigned i = 0; i < count + joining; i++) {
		options.drive_count = 1 + chance(run, 30);
		struct sim_cluster_node *node = sim_cluster_add(&run->cluster, &options);
		node->is_admitted = node->is_wanted = node->is_in_ring = i < count;
	}
}

static void make_bucket(struct run *run)
{

	struct sim_store *nodes[SIM_CLUSTER_NODES_MAX];
	unsigned founders = 0;
	for (unsigned i = 0; i < run->cluster.node_count; i++) {
		nodes[i] = &run->cluster.nodes[i].rig;
		founders += run->cluster.nodes[i].is_in_ring;
	}
	ck_assert_ok(sim_store_propose_ring(nodes, founders));
	uint64_t bucket;
	ck_assert_ok(sim_store_make_bucket(
		nodes[0], run->seed % 4 == 0 ? BUCKET_ENABLED : BUCKET_UNVERSIONED, &bucket));
	for (unsigned i = 0; i < run->cluster.node_count; i++)
		run->worlds[i] = (struct client_world){.rig = nodes[i],
			.model = &run->model,
			.bucket = bucket,
			.random = run->seed ^ 0x5eed ^ i,
			.seed = run->seed,
			.may_reads_fail = &run->may_reads_fail,
			.stats = &totals->clients};
}

static void set_up(struct run *run, uint64_t seed)
{
	memset(run, 0, sizeof *run);
	run->seed = run->random = seed;
	run->is_harsh = chance(run, 40);
	sim_cluster_init(&run->cluster, seed);
	run->cluster.ended = process_ended;
	run->cluster.is_used = is_node_used;
	run->cluster.arg = run;
	sim_admin_init(&run->admin, &run->cluster, seed);
	cluster_faults_init(&run->faults, &run->cluster, &run->admin, seed);
	store_model_init(&run->model, seed);
	make_nodes(run);
	want(run, has_settled, "the cluster forms");
	make_bucket(run);
	want(run, has_settled, "all see the ring");
}

static void count_disks(const struct sim_store *rig)
{
	for (unsigned fault = 0; fault < SIM_FAULTS; fault++) {
		totals->disk_faults[fault] += sim_disk_stats(rig->state)->faults[fault];
		for (unsigned i = 0; i < rig->options.drive_count; i++)
			totals->disk_faults[fault] +=
				sim_disk_stats(rig->drives[i].disk)->faults[fault];
	}
	for (unsigned fault = 0; fault < SIM_KV_FAULTS; fault++)
		totals->kv_faults[fault] += sim_kv_stats(rig->index_kv)->faults[fault];
}

static void count_run(const struct run *run)
{
	const struct sim_cluster *cluster = &run->cluster;
	struct sim_watch_counts counts;
	sim_watch_counts(cluster->watch, &counts);
	totals->leads += counts.leads;
	totals->groups += counts.groups;
	totals->states += counts.states;
	totals->entries += counts.last;
	totals->lives += cluster->counts.lives;
	totals->failures += cluster->counts.failures;
	totals->stops += cluster->counts.stops;
	totals->replaced += cluster->counts.replaced;
	totals->virtual_ms += sim_now_ns(cluster->sim) / 1000000;

	totals->losses[run->faults.loser ? run->faults.loss : LOSS_NONE]++;
	totals->targets += run->admin.targets;
	totals->gone += run->admin.gone;
	totals->drives_replaced += run->faults.replaced;
	for (unsigned what = 0; what < BEFALLS; what++)
		totals->befell[what] += run->faults.befell[what];
	for (unsigned fault = 0; fault < SIM_NET_FAULTS; fault++)
		totals->net_faults[fault] += sim_net_stats(cluster->net)->faults[fault];
	for (unsigned i = 0; i < cluster->node_count; i++)
		count_disks(&cluster->nodes[i].rig);
}

static uint64_t run_seed(uint64_t seed)
{
	static struct run run;
	set_up(&run, seed);
	be_busy(&run);
	finish(&run);
	count_run(&run);
	uint64_t hash = sim_trace_hash(run.cluster.sim);
	sim_cluster_fini(&run.cluster);
	return hash;
}

/* --- the program ------------------------------------------------------------------------------ */

static void check_totals(void)
{
	for (unsigned what = 0; what < BEFALLS; what++)
		ck_assert_msg(totals->befell[what] > 0, "never: %s", befall_name(what));
	for (unsigned fault = 0; fault < SIM_NET_FAULTS; fault++)
		ck_assert_msg(totals->net_faults[fault] > 0 || fault == SIM_NET_FULL, "never: %s",
			sim_net_fault_name(fault));
	for (unsigned kind = 0; kind < CLIENT_KINDS; kind++)
		ck_assert_uint_gt(totals->clients.done[kind], 0);
	for (unsigned loss = 0; loss < LOSSES; loss++)
		ck_assert_uint_gt(totals->losses[loss], 0);
	ck_assert_uint_gt(totals->targets, 0);
	ck_assert_uint_gt(totals->gone, 0);
	ck_assert_uint_gt(totals->drives_replaced, 0);
	ck_assert_uint_gt(totals->clients.unknown, 0);
	ck_assert_uint_gt(totals->failures, 0);
	ck_assert_uint_gt(totals->stops, 0);
	ck_assert_uint_gt(totals->replaced, 0);
	ck_assert_uint_gt(totals->groups, 0);
	ck_assert_uint_gt(totals->states, 0);
	ck_assert_uint_gt(totals->degraded_reads, 0);
	ck_assert_uint_gt(totals->narrowed, 0);
	ck_assert_uint_gt(totals->census_freed, 0);
	ck_assert_uint_gt(totals->collected, 0);
}

static void print_totals(void)
{
	static const char *const kinds[CLIENT_KINDS] = {
		"put", "create", "get", "delete", "copy", "upload", "list"};
	printf("befell");
	for (unsigned what = 0; what < BEFALLS; what++)
		printf(" %s %lu", befall_name(what), totals->befell[what]);
	printf("\nnet");
	for (unsigned fault = 0; fault < SIM_NET_FAULTS; fault++)
		printf(" %s %lu", sim_net_fault_name(fault), totals->net_faults[fault]);
	printf("\ndisk");
	for (unsigned fault = 0; fault < SIM_FAULTS; fault++)
		printf(" %s %lu", sim_fault_name(fault), totals->disk_faults[fault]);
	printf("\nindex_map");
	for (unsigned fault = 0; fault < SIM_KV_FAULTS; fault++)
		printf(" %lu", totals->kv_faults[fault]);
	printf("\nlosses of_shards %lu of_state %lu of_all %lu; drives_given_up %lu replaced %lu "
	       "targets %lu",
		totals->losses[LOSS_OF_SHARDS], totals->losses[LOSS_OF_STATE],
		totals->losses[LOSS_OF_ALL], totals->gone, totals->drives_replaced,
		totals->targets);
	printf("\nlives %lu stops %lu failures %lu replaced %lu installs %lu leads %lu entries %lu "
	       "groups_compared %lu states_compared %lu virtual_s %lu\n",
		totals->lives, totals->stops, totals->failures, totals->replaced, totals->installs,
		totals->leads, totals->entries, totals->groups, totals->states,
		totals->virtual_ms / 1000);
	printf("clients");
	for (unsigned kind = 0; kind < CLIENT_KINDS; kind++)
		printf(" %s %lu/%lu", kinds[kind], totals->clients.done[kind],
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
		.name = "cluster",
		.run = run_seed,
		.count = SEEDS,
		.batch = BATCH,
		.twice_every = TWICE_EVERY,
		.timeout_s = 300,
		.enough = ENOUGH,
		.check = check_totals,
		.print = print_totals,
	};
	totals = sim_seeds_share(sizeof *totals);
	return sim_seeds_main(&seeds, argc, argv);
}
