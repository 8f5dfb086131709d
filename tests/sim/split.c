/* SPDX-License-Identifier: Apache-2.0 */
/* The split brain of libraft 0.15 (canonical/raft#386): a voter is told that another one votes in
 * its stead, and has that in memory only, since its disk hangs. With that it can look newer than
 * who has less, and with votes from before the change the two would be a majority of their own
 * beside that of the leader. tests/sim/mutants.py plants what 0.15 did; here it must not happen,
 *and tests/lib/sim_watch.h is what sees it.
 *
 * Four nodes, of which A leads and A, B, C vote; the real steward changes the votes:
 *
 *	B is cut off until D votes instead. C is cut off when it has the first of the two changes.
 *	B, whose disk hangs, hears A again: the changes are in its memory. Then A, D | B, C.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/sim_cluster.h"
#include "tests/lib/test.h"

enum {
	NODES = 4,
	WAIT_MS = 300000,
	HANG_TIMES = 400000, /* a write takes 8 s and more, several election timeouts */
};

static struct sim_cluster cluster;
static struct sim_cluster_node *a, *b, *c, *d;
static unsigned seeds = 10;

static bool is_voter(struct consensus *consensus, const struct sim_cluster_node *node)
{
	struct consensus_members members;
	consensus_raft_members(consensus, &members);
	for (size_t i = 0; i < members.count; i++)
		if (id_is_equal(members.members[i].node, node->rig.options.node_id))
			return members.members[i].duty == CONSENSUS_VOTER;
	return false;
}

/* As A knows it, and it is committed. */
static bool has_vote(const struct sim_cluster_node *node, bool has)
{
	struct consensus_members members;
	consensus_raft_members(a->rig.raft, &members);
	return members.is_committed && is_voter(a->rig.raft, node) == has;
}

static bool has_d_a_vote(void *arg)
{
	(void)arg;
	return has_vote(d, true) && is_voter(c->rig.raft, d);
}

static bool has_b_no_vote(void *arg)
{
	(void)arg;
	return has_vote(b, false);
}

static bool has_b_heard(void *arg)
{
	(void)arg;
	return !is_voter(b->rig.raft, b);
}

static void want(bool (*predicate)(void *arg), void *arg, const char *what)
{
	if (sim_cluster_run_until(&cluster, predicate, arg, WAIT_MS))
		return;
	sim_cluster_print(&cluster);
	ck_abort_msg("seed %lu: never: %s", (unsigned long)cluster.seed, what);
}

static void make_cluster(uint64_t seed)
{
	struct sim_store_options options = {
		.drive_count = 1, .log_keep_len = 4 * SIM_STORE_LOG_LEN};
	sim_cluster_init(&cluster, seed);
	for (unsigned i = 0; i < NODES; i++) {
		struct sim_cluster_node *node = sim_cluster_add(&cluster, &options);
		node->is_admitted = node->is_wanted = true;
	}
	want(sim_cluster_is_settled, &cluster, "the cluster forms");
}

static void cast(void)
{
	a = sim_cluster_leader(&cluster);
	b = c = d = NULL;
	for (unsigned i = 0; i < NODES; i++) {
		struct sim_cluster_node *node = &cluster.nodes[i];
		if (node == a)
			continue;
		if (!is_voter(a->rig.raft, node))
			d = node;
		else if (!b)
			b = node;
		else
			c = node;
	}
	ck_assert(b && c && d);
}

static void cut(
	const struct sim_cluster_node *one, const struct sim_cluster_node *other, bool is_cut)
{
	sim_net_cut(cluster.net, one->rig.node, other->rig.node, is_cut);
	sim_net_cut(cluster.net, other->rig.node, one->rig.node, is_cut);
}

static void cut_off(const struct sim_cluster_node *node)
{
	for (unsigned i = 0; i < NODES; i++)
		if (&cluster.nodes[i] != node)
			cut(node, &cluster.nodes[i], true);
}

static void hang(struct sim_disk *disk)
{
	sim_disk_set_slow_times(disk, HANG_TIMES);
	for (unsigned call = 0; call < SIM_CALLS; call++)
		sim_disk_per_mille(disk)[call][SIM_SLOW] = 1000;
}

/* A command of A's; it is committed when A's majority has it. */
static void make_bucket(const char *name)
{
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	command.bucket_create.name = bytes_of(name);
	command.bucket_create.owner = bytes_of("owner");
	struct command_result result;
	ck_assert_ok(sim_store_propose(&a->rig, &command, &result));
}

static void run_seed(uint64_t seed)
{
	make_cluster(seed);
	cast();
	make_bucket("before");
	cut_off(b);
	want(has_d_a_vote, NULL, "D votes");
	cut_off(c);
	want(has_b_no_vote, NULL, "B does not");
	ck_assert(is_voter(c->rig.raft, b)); /* for all that it knows */

	hang(b->rig.state);
	cut(a, b, false);
	want(has_b_heard, NULL, "B hears of it");
	sim_net_partition(cluster.net, 1u << a->number | 1u << d->number);
	make_bucket("meanwhile");
	sim_cluster_run_ms(&cluster, 60000);

	sim_disk_heal(b->rig.state);
	sim_net_heal(cluster.net);
	want(sim_cluster_is_settled, &cluster, "all agree");
	a = sim_cluster_leader(&cluster);
	make_bucket("after");
	want(sim_cluster_is_settled, &cluster, "all agree in the end");
	for (unsigned i = 0; i < NODES; i++)
		sim_cluster_kill(&cluster.nodes[i], false);
	sim_cluster_fini(&cluster);
}

START_TEST(who_has_a_change_in_memory_only_is_not_elected_by_it)
{
	for (uint64_t seed = 1; seed <= seeds; seed++)
		run_seed(seed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("split");
	TCase *tcase = tcase_create("libraft_0.15");
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, who_has_a_change_in_memory_only_is_not_elected_by_it);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
