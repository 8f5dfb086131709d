/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"

enum {
	TICK_MS = 500, /* of the server */
	POLL_STEPS = 16,
	STOP_MS = 60000,
};

/* One life of a node's process, beside that of its store. */
struct sim_cluster_life {
	struct sim_cluster_node *node;
	struct timer tick;
	struct steward steward;
	bool is_ending;
	struct index_proposal proposal; /* to add a drive */
	uint8_t bytes[256];
	bool is_proposed;
};

/* --- the steward ------------------------------------------------------------------------------ */

/* How another node is, as its answers to the server's question would say. */
static struct steward_node look_at(struct sim_cluster_node *node, struct sim_cluster_node *other)
{
	struct peer_info info;
	struct id id = other->rig.options.node_id;
	peer_info(node->rig.peers[0], id, &info);
	if (info.is_linked && other->rig.raft) {
		struct consensus_info told;
		consensus_info(other->rig.raft, &told);
		node->known_logs[other->number] = told.id;
	}
	return (struct steward_node){.id = id,
		.is_linked = info.is_linked,
		.silent_ms = info.silent_ms,
		.log_id = node->known_logs[other->number]};
}

static void tick(struct timer *timer)
{
	struct sim_cluster_life *life = CONTAINER_OF(timer, struct sim_cluster_life, tick);
	struct sim_cluster *cluster = life->node->cluster;
	struct steward_node nodes[SIM_CLUSTER_NODES_MAX];
	size_t count = 0;
	for (unsigned i = 0; i < cluster->node_count; i++)
		if (cluster->nodes[i].is_admitted)
			nodes[count++] = look_at(life->node, &cluster->nodes[i]);
	steward_tick(&life->steward, nodes, count);
	timer_set(life->node->rig.loops[0], timer, TICK_MS);
}

static void begin_tick(void *arg)
{
	struct sim_cluster_life *life = arg;
	struct sim_store *rig = &life->node->rig;
	struct steward_setup setup = {.loop = rig->loops[0],
		.consensus = rig->raft,
		.index = rig->index,
		.reader = rig->life->loops[0].reader,
		.trace = sim_node_trace(rig->node),
		.node = rig->options.node_id};
	steward_init(&life->steward, &setup);
	life->tick.fire = tick;
	timer_set(rig->loops[0], &life->tick, TICK_MS);
}

static void end_tick(void *arg)
{
	struct sim_cluster_life *life = arg;
	life->is_ending = true;
	if (life->tick.is_set)
		timer_cancel(life->node->rig.loops[0], &life->tick);
}

/* --- from a start to serving ------------------------------------------------------------------ */

static void drive_added(struct index_proposal *proposal)
{
	CONTAINER_OF(proposal, struct sim_cluster_life, proposal)->is_proposed = false;
}

static void propose(void *arg)
{
	struct sim_cluster_life *life = arg;
	index_propose(life->node->rig.index, &life->proposal);
}

/* Proposes the first drive that has no number yet; false: there is none. */
static bool add_drive(struct sim_cluster_node *node)
{
	struct sim_store *rig = &node->rig;
	struct sim_cluster_life *life = node->life;
	unsigned i = 0;
	while (i < rig->options.drive_count && rig->drives[i].number > 0)
		i++;
	if (i == rig->options.drive_count)
		return false;
	struct command command = {.type = COMMAND_DRIVE_ADD};
	command.drive_add.drive = rig->drives[i].id;
	command.drive_add.node = rig->options.node_id;
	command.drive_add.weight = UINT64_C(1) << 40;
	life->proposal = (struct index_proposal){
		.loop = rig->loops[0], .bytes = life->bytes, .done = drive_added};
	ck_assert_ok(
		command_encode(&command, life->bytes, sizeof life->bytes, &life->proposal.len));
	life->is_proposed = true;
	sim_call(rig->sim, rig->loops[0], propose, life);
	return true;
}

static void begin(struct sim_cluster_node *node)
{
	struct sim_cluster *cluster = node->cluster;
	node->is_wanted = false;
	node->state = SIM_NODE_OPENING;
	node->life = sim_must(calloc(1, sizeof *node->life));
	node->life->node = node;
	node->lives++;
	cluster->counts.lives++;
	memset(node->known_logs, 0, sizeof node->known_logs);
	uint64_t corrupted = sim_kv_stats(node->rig.index_kv)->faults[SIM_KV_CORRUPT];
	enum err err = sim_store_begin(&node->rig);
	if (err == ERR_OK)
		return;
	/* The disk refused; nothing that it holds may be wrong. */
	corrupted = sim_kv_stats(node->rig.index_kv)->faults[SIM_KV_CORRUPT] - corrupted;
	ck_assert_msg(err == ERR_IO || err == ERR_NO_SPACE || (err == ERR_CORRUPT && corrupted > 0),
		"seed %lu: node %u does not open: %s", (unsigned long)cluster->seed, node->number,
		err_name(err));
	cluster->counts.start_errors++;
	sim_cluster_kill(node, false);
	node->is_wanted = true;
}

static void serve(struct sim_cluster_node *node)
{
	ck_assert_ok(sim_store_serve(&node->rig));
	sim_call(node->rig.sim, node->rig.loops[0], begin_tick, node->life);
	node->state = SIM_NODE_SERVING;
}

static void add_drives(struct sim_cluster_node *node)
{
	struct sim_store *rig = &node->rig;
	if (node->life->is_proposed)
		return;
	for (unsigned i = 0; i < rig->options.drive_count; i++)
		if (rig->drives[i].number == 0 && sim_store_find_number(rig, i) != ERR_OK)
			return; /* the index fails, as will be seen */
	if (!add_drive(node))
		serve(node);
}

static void restart(struct sim_cluster_node *node)
{
	if (node->rig.failed == ERR_CANCELED)
		node->cluster->counts.replaced++;
	else
		node->cluster->counts.failures++;
	sim_cluster_kill(node, false);
	node->is_wanted = true;
}

/* --- ends ------------------------------------------------------------------------------------- */

void sim_cluster_kill(struct sim_cluster_node *node, bool is_power_cut)
{
	assert(node->state != SIM_NODE_DOWN);
	sim_cluster_pause(node, false);
	if (node->cluster->ended)
		node->cluster->ended(node->cluster->arg, node);
	sim_store_kill(&node->rig, is_power_cut);
	sim_bury(node->life);
	node->life = NULL;
	node->state = SIM_NODE_DOWN;
	node->is_wanted = false;
}

void sim_cluster_pause(struct sim_cluster_node *node, bool is_paused)
{
	node->is_paused = is_paused;
	sim_node_pause(node->rig.node, is_paused);
}

static bool is_steward_idle(void *arg)
{
	const struct sim_cluster_life *life = arg;
	return !life->steward.is_changing && !life->steward.is_closing;
}

void sim_cluster_restart(struct sim_cluster_node *node, bool starts_again)
{
	assert(node->state == SIM_NODE_SERVING);
	node->state = SIM_NODE_STOPPING;
	node->starts_again = starts_again;
}

enum err sim_cluster_stop(struct sim_cluster_node *node)
{
	assert(node->state == SIM_NODE_SERVING || node->state == SIM_NODE_STOPPING);
	struct sim *sim = node->cluster->sim;
	sim_call(sim, node->rig.loops[0], end_tick, node->life);
	if (!sim_run_until(sim, is_steward_idle, node->life, STOP_MS))
		return ERR_TIMEOUT;
	enum err err = sim_store_stop(&node->rig);
	if (err != ERR_OK)
		return err;
	free(node->life);
	node->life = NULL;
	node->state = SIM_NODE_DOWN;
	node->is_wanted = false;
	return ERR_OK;
}

/* --- whatever is next ------------------------------------------------------------------------- */

static bool is_used(const struct sim_cluster_node *node)
{
	const struct sim_cluster *cluster = node->cluster;
	return cluster->is_used && cluster->is_used(cluster->arg, node);
}

static void stop(struct sim_cluster_node *node)
{
	struct sim_cluster *cluster = node->cluster;
	if (cluster->ended)
		cluster->ended(cluster->arg, node);
	enum err err = sim_cluster_stop(node);
	if (err != ERR_OK)
		sim_cluster_print(cluster);
	ck_assert_msg(err == ERR_OK, "seed %lu: node %u does not stop",
		(unsigned long)cluster->seed, node->number);
	cluster->counts.stops++;
	node->is_wanted = node->starts_again;
}

static void poll(struct sim_cluster_node *node)
{
	if (node->state == SIM_NODE_DOWN && node->is_wanted)
		begin(node);
	if (node->state == SIM_NODE_DOWN || node->is_paused)
		return;
	if (node->rig.failed != ERR_OK) {
		restart(node);
		return;
	}
	if (node->state == SIM_NODE_OPENING && sim_store_has_begun(&node->rig) &&
		node->rig.opened_err == ERR_OK)
		node->state = SIM_NODE_ADDING;
	if (node->state == SIM_NODE_ADDING)
		add_drives(node);
	if (node->state == SIM_NODE_STOPPING && !is_used(node))
		stop(node);
}

void sim_cluster_poll(struct sim_cluster *cluster)
{
	for (unsigned i = 0; i < cluster->node_count; i++)
		poll(&cluster->nodes[i]);
}

/* --- running and looking ---------------------------------------------------------------------- */

static void look(struct sim_cluster *cluster)
{
	for (unsigned i = 0; i < cluster->node_count; i++)
		if (cluster->nodes[i].rig.raft)
			sim_watch_look(cluster->watch, cluster->nodes[i].rig.raft);
}

/* Some steps; false: nothing can happen any more. */
static bool step(struct sim_cluster *cluster)
{
	for (unsigned i = 0; i < POLL_STEPS; i++) {
		if (!sim_step(cluster->sim))
			return false;
		look(cluster);
	}
	return true;
}

bool sim_cluster_run_until(
	struct sim_cluster *cluster, bool (*predicate)(void *arg), void *arg, uint64_t max_ms)
{
	uint64_t until_ns = sim_now_ns(cluster->sim) + max_ms * 1000000;
	for (;;) {
		sim_cluster_poll(cluster);
		if (predicate && predicate(arg))
			return true;
		uint64_t now_ns = sim_now_ns(cluster->sim);
		if (now_ns >= until_ns)
			return false;
		if (!step(cluster)) /* all are down or paused */
			sim_run_ms(cluster->sim, (until_ns - now_ns) / 1000000 + 1);
	}
}

void sim_cluster_run_ms(struct sim_cluster *cluster, uint64_t ms)
{
	(void)sim_cluster_run_until(cluster, NULL, NULL, ms);
}

struct sim_cluster_node *sim_cluster_leader(struct sim_cluster *cluster)
{
	struct sim_cluster_node *leader = NULL;
	uint64_t term = 0;
	for (unsigned i = 0; i < cluster->node_count; i++) {
		struct consensus_info info;
		if (!cluster->nodes[i].rig.raft)
			continue;
		consensus_info(cluster->nodes[i].rig.raft, &info);
		if (info.role != CONSENSUS_LEADER || info.term < term)
			continue;
		leader = &cluster->nodes[i];
		term = info.term;
	}
	return leader;
}

bool sim_cluster_is_settled(void *arg)
{
	struct sim_cluster *cluster = arg;
	struct sim_cluster_node *leader = sim_cluster_leader(cluster);
	struct consensus_members members;
	struct index_status first, status;
	unsigned admitted = 0, voters = 0;
	if (!leader || leader->state != SIM_NODE_SERVING)
		return false;
	consensus_raft_members(leader->rig.raft, &members);
	index_status(leader->rig.index, &first);
	for (unsigned i = 0; i < cluster->node_count; i++) {
		struct sim_cluster_node *node = &cluster->nodes[i];
		if (!node->is_admitted)
			continue;
		admitted++;
		if (node->state != SIM_NODE_SERVING || node->rig.failed != ERR_OK)
			return false;
		struct consensus_info info;
		consensus_info(node->rig.raft, &info);
		bool is_listed = false;
		for (size_t j = 0; j < members.count; j++)
			is_listed |= members.members[j].id == info.id;
		index_status(node->rig.index, &status);
		if (!is_listed || status.applied != first.applied)
			return false;
	}
	for (size_t i = 0; i < members.count; i++)
		voters += members.members[i].duty == CONSENSUS_VOTER;
	return members.is_committed && members.count == admitted &&
		voters == steward_voter_count(admitted);
}

static void print_node(const struct sim_cluster_node *node)
{
	static const char *const states[SIM_NODE_STATES] = {
		"down", "opening", "adding", "serving", "stopping"};
	fprintf(stderr, "node %u: %s%s%s", node->number, states[node->state],
		node->is_admitted ? "" : ", not admitted", node->is_paused ? ", paused" : "");
	if (!node->rig.raft || !node->rig.index) {
		fprintf(stderr, "\n");
		return;
	}
	struct consensus_info info;
	struct consensus_members members;
	struct index_status status;
	consensus_info(node->rig.raft, &info);
	consensus_raft_members(node->rig.raft, &members);
	index_status(node->rig.index, &status);
	fprintf(stderr,
		", log %lx role %d term %lu leader %lx commit %lu applied %lu session %lx "
		"proposals %zu err %s, members",
		(unsigned long)info.id, info.role, (unsigned long)info.term,
		(unsigned long)info.leader, (unsigned long)info.commit_index,
		(unsigned long)status.applied, (unsigned long)status.session, status.proposals,
		err_name(info.err));
	for (size_t i = 0; i < members.count; i++)
		fprintf(stderr, " %u%s", members.members[i].node.bytes[1] - 1,
			members.members[i].duty == CONSENSUS_VOTER ? "v" : "l");
	fprintf(stderr, " at %lu%s\n", (unsigned long)members.index,
		members.is_committed ? "" : " uncommitted");
}

void sim_cluster_print(struct sim_cluster *cluster)
{
	for (unsigned i = 0; i < cluster->node_count; i++)
		print_node(&cluster->nodes[i]);
}

/* --- the world -------------------------------------------------------------------------------- */

void sim_cluster_init(struct sim_cluster *cluster, uint64_t seed)
{
	memset(cluster, 0, sizeof *cluster);
	cluster->seed = seed;
	cluster->sim = sim_new(seed);
	cluster->net = sim_net_new(cluster->sim);
	cluster->watch = sim_watch_new(seed);
}

struct sim_cluster_node *sim_cluster_add(
	struct sim_cluster *cluster, const struct sim_store_options *options)
{
	static const char *const names[SIM_CLUSTER_NODES_MAX] = {
		"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"};
	assert(cluster->node_count < SIM_CLUSTER_NODES_MAX);
	unsigned number = cluster->node_count++;
	struct sim_cluster_node *node = &cluster->nodes[number];
	struct sim_store_options own = *options;
	own.sim = cluster->sim;
	own.net = cluster->net;
	own.watch = cluster->watch;
	own.is_founder = number == 0;
	own.name = names[number];
	own.node_id = (struct id){{0xe0, number + 1}};
	node->cluster = cluster;
	node->number = number;
	sim_store_init(&node->rig, 0, &own);
	return node;
}

void sim_cluster_fini(struct sim_cluster *cluster)
{
	for (unsigned i = 0; i < cluster->node_count; i++)
		sim_store_fini(&cluster->nodes[i].rig);
	sim_watch_free(cluster->watch);
	sim_net_free(cluster->net);
	sim_free(cluster->sim);
}
