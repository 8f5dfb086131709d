/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/raft_rig.h"
#include "tests/lib/test.h"

/* Groups of three to five members under faults; --seed=N runs that one, --seeds=N so many. */
enum { SEEDS = 50 };
static uint64_t seed_first = 1, seed_count = SEEDS;
static struct raft_rig rig;

static uint64_t below(uint64_t n)
{
	return raft_rig_below(&rig, n);
}

static struct sim_net_stats net_sum;
static uint64_t acked_sum, leads_sum, changes_sum, installs_sum, crashes_sum, lives_sum;

static void start_member(unsigned i)
{
	enum err err;
	if (!rig.members[i].consensus)
		ck_assert_msg(raft_rig_start(&rig, i, &err), "seed %lu: start: %s",
			(unsigned long)rig.seed, err_name(err));
}

static void crash_all(void)
{
	crashes_sum++;
	for (unsigned i = 0; i < rig.member_count; i++)
		raft_rig_kill(&rig, i, true);
	for (unsigned i = 0; i < rig.member_count; i++)
		start_member(i);
}

/* A little, or for longer than an election. */
static void slow_down(struct sim_disk *disk)
{
	if (below(4) == 0)
		sim_disk_set_slow_times(disk, 50000 + below(250000));
	sim_disk_per_mille(disk)[SIM_WRITE][SIM_SLOW] = 300;
}

static void one_fault(void)
{
	unsigned i = below(rig.member_count), j = below(rig.member_count);
	switch (below(14)) {
	case 0:
		sim_net_partition(rig.net, below(1 << rig.member_count));
		break;
	case 1:
		sim_net_cut(rig.net, rig.members[i].node, rig.members[j].node, true);
		break;
	case 2:
		raft_rig_kill(&rig, i, below(2));
		break;
	case 3:
		raft_rig_pause(&rig, i, !rig.members[i].is_paused);
		break;
	case 4:
		sim_net_break(rig.net, rig.members[i].node, rig.members[j].node);
		break;
	case 5:
		*sim_net_odds(rig.net) = (struct sim_net_odds){below(100), below(50), below(20)};
		break;
	case 6:
		if (below(2)) /* until the next life */
			slow_down(rig.members[i].disk);
		else
			sim_disk_fail_nth(rig.members[i].disk, SIM_WRITE, 1 + below(20), SIM_EIO);
		break;
	case 7:
		sim_node_jump_wall(rig.members[i].node, (int64_t)below(20000) - 10000);
		break;
	case 8:
		raft_rig_hold(&rig, i, below(2));
		break;
	case 9:
		if (below(6) == 0)
			crash_all();
		break;
	case 10:
		raft_rig_change(&rig, i, below(5), j);
		break;
	default:
		sim_net_heal(rig.net);
		for (unsigned k = 0; k < rig.member_count; k++)
			start_member(k);
		break;
	}
}

static void bury_failed(void)
{
	for (unsigned i = 0; i < rig.member_count; i++)
		if (rig.members[i].has_failed && rig.members[i].consensus)
			raft_rig_kill(&rig, i, below(2));
}

static void load(int rounds)
{
	for (int round = 0; round < rounds; round++) {
		for (int n = below(6); n > 0; n--)
			raft_rig_propose(&rig, below(rig.member_count),
				below(30) == 0 ? below(8000) : below(200));
		if (below(3) == 0)
			raft_rig_read(&rig, below(rig.member_count));
		raft_rig_run_ms(&rig, below(4) == 0 ? below(1500) : below(20));
		bury_failed();
		if (below(4) == 0)
			one_fault();
	}
}

/* Faults end: everything that waits ends, and what is proposed is done. */
static void live(void)
{
	sim_net_heal(rig.net);
	for (unsigned i = 0; i < rig.member_count; i++) {
		raft_rig_pause(&rig, i, false);
		sim_disk_heal(rig.members[i].disk);
		if (rig.members[i].consensus)
			raft_rig_hold(&rig, i, false);
		start_member(i);
	}
	raft_rig_run_ms(&rig, 2000);
	bury_failed();
	for (unsigned i = 0; i < rig.member_count; i++)
		start_member(i);
	bool have_ended = raft_rig_run_until(&rig, raft_rig_all_ended, 60000);
	if (!have_ended)
		raft_rig_print(&rig);
	ck_assert_msg(have_ended, "seed %lu: not all ended", (unsigned long)rig.seed);
	raft_rig_run_ms(&rig, 5000);
	uint64_t ok = rig.errs[ERR_OK], reads = rig.read_errs[ERR_OK], installs = rig.installs;
	uint32_t given = 0;
	struct consensus_members members;
	int leader = raft_rig_leader(&rig);
	if (leader < 0)
		raft_rig_print(&rig);
	ck_assert_msg(leader >= 0, "seed %lu: no leader", (unsigned long)rig.seed);
	consensus_raft_members(rig.members[leader].consensus, &members);
	for (size_t i = 0; i < members.count; i++)
		for (unsigned j = 0; j < rig.member_count; j++)
			if (members.members[i].id == rig.members[j].log_id) {
				raft_rig_propose(&rig, j, 100);
				raft_rig_read(&rig, j);
				given++;
			}
	ck_assert_msg(raft_rig_run_until(&rig, raft_rig_all_ended, 60000),
		"seed %lu: not all ended in peace", (unsigned long)rig.seed);
	/* What is in flight at who takes a snapshot is unknown. */
	bool are_done = rig.errs[ERR_OK] == ok + given || rig.installs > installs;
	if (!are_done)
		raft_rig_print(&rig);
	ck_assert_msg(are_done, "seed %lu: %lu of %u done", (unsigned long)rig.seed,
		(unsigned long)(rig.errs[ERR_OK] - ok), given);
	ck_assert_uint_eq(rig.read_errs[ERR_OK], reads + given);
	raft_rig_run_ms(&rig, 2000);
	for (size_t i = 0; i < members.count; i++)
		for (unsigned j = 0; j < rig.member_count; j++)
			if (members.members[i].id == rig.members[j].log_id)
				ck_assert_uint_eq(rig.members[j].applied, rig.ledger_end);
	raft_rig_check_ends(&rig);
}

static uint64_t run_seed(uint64_t seed)
{
	raft_rig_open(&rig, seed, 3 + seed % 3);
	rig.releases = seed % 4 != 0;
	raft_rig_form(&rig, seed % 2 ? 3 : rig.member_count);
	load(150);
	live();
	const struct sim_net_stats *stats = sim_net_stats(rig.net);
	for (int i = 0; i < SIM_NET_FAULTS; i++)
		net_sum.faults[i] += stats->faults[i];
	acked_sum += rig.errs[ERR_OK];
	leads_sum += rig.leads;
	changes_sum += rig.changes;
	installs_sum += rig.installs;
	for (unsigned i = 0; i < rig.member_count; i++)
		lives_sum += rig.members[i].lives;
	uint64_t hash = sim_trace_hash(rig.sim);
	raft_rig_close(&rig);
	return hash;
}

START_TEST(groups_agree_whatever_fails)
{
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		uint64_t hash = run_seed(seed);
		if (seed % 50 == 0)
			ck_assert_uint_eq(hash, run_seed(seed));
	}
	printf("raft_acked %lu\nraft_leads %lu\nraft_changes %lu\nraft_lives %lu\n",
		(unsigned long)acked_sum, (unsigned long)leads_sum, (unsigned long)changes_sum,
		(unsigned long)lives_sum);
	for (int i = 0; i < SIM_NET_FAULTS && seed_count > 50; i++)
		ck_assert_msg(net_sum.faults[i] > 0 || i == SIM_NET_FULL, "never: %s",
			sim_net_fault_name(i));
	printf("raft_installs %lu\n", (unsigned long)installs_sum);
	ck_assert(seed_count < 50 || (crashes_sum > 0 && installs_sum > 0));
}
END_TEST

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--seeds=", 8) == 0)
			seed_count = strtoull(argv[i] + 8, NULL, 10);
	seed_first = sim_seed_of(argc, argv, 0);
	seed_count = seed_first > 0 ? 1 : seed_count;
	seed_first = seed_first > 0 ? seed_first : 1;
	Suite *suite = suite_create("raft");
	TCase *tcase = tcase_create("seeds");
	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, groups_agree_whatever_fails);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
