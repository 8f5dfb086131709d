/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "storage/meta/consensus_raft_priv.h"
#include "tests/lib/raft_rig.h"
#include "tests/lib/test.h"

/* The rules of consensus_raft.c, one at a time; what needs chance is tried with some seeds. (R1)
 * and (R2) are looked at in every note of every test, by the rig. */
enum { SEEDS = 20 };

static struct raft_rig rig;

static void open_group(uint64_t seed, unsigned count)
{
	raft_rig_open(&rig, seed, count);
	raft_rig_form(&rig, count);
	raft_rig_run_ms(&rig, 1000);
}

static unsigned leader(void)
{
	ck_assert(raft_rig_run_until(&rig, raft_rig_has_leader, 60000));
	return raft_rig_leader(&rig);
}

static void restart(unsigned i)
{
	enum err err;
	ck_assert(raft_rig_start(&rig, i, &err));
}

START_TEST(followers_learn_of_a_commit_without_waiting_for_a_heartbeat)
{
	open_group(1, 3);
	for (int i = 0; i < 10; i++) {
		raft_rig_propose(&rig, leader(), 100);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 1000));
		raft_rig_run_ms(&rig, 30);
		ck_assert(raft_rig_all_even(&rig));
	}
	raft_rig_close(&rig);
}
END_TEST

START_TEST(a_leader_that_slept_through_an_election_serves_no_old_read)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		open_group(seed, 3);
		unsigned old = leader();
		raft_rig_read(&rig, old);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 1000));
		raft_rig_pause(&rig, old, true);
		raft_rig_run_ms(&rig, 5000);
		for (unsigned i = 0; i < 3; i++)
			if (i != old)
				raft_rig_propose(&rig, i, 10);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 60000));
		raft_rig_pause(&rig, old, false);
		raft_rig_read(&rig, old); /* the rig compares it with what was answered */
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 60000));
		ck_assert_uint_eq(rig.read_errs[ERR_OK], 2);
		raft_rig_close(&rig);
	}
}
END_TEST

START_TEST(a_new_leader_serves_no_read_before_its_barrier)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		open_group(seed, 3);
		unsigned old = leader();
		for (int i = 0; i < 5; i++)
			raft_rig_propose(&rig, old, 10);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 1000));
		/* Answered here, and nobody else knows that it is committed. */
		raft_rig_kill(&rig, old, true);
		for (int i = 0; i < 40; i++) {
			for (unsigned j = 0; j < 3; j++)
				raft_rig_read(&rig, j);
			raft_rig_run_ms(&rig, 100);
		}
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 60000));
		ck_assert_uint_gt(rig.read_errs[ERR_OK], 0);
		raft_rig_close(&rig);
	}
}
END_TEST

START_TEST(a_follower_of_three_reads_with_one_question)
{
	open_group(1, 3);
	unsigned follower = (leader() + 1) % 3;
	for (int i = 0; i < 10; i++) {
		uint64_t calls = sim_net_stats(rig.net)->calls;
		raft_rig_read(&rig, follower);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 1000));
		raft_rig_run_ms(&rig, 5);
		ck_assert_uint_eq(sim_net_stats(rig.net)->calls - calls, 1);
	}
	ck_assert_uint_eq(rig.read_errs[ERR_OK], 10);
	raft_rig_close(&rig);
}
END_TEST

/* The word of who asks is one vote, and none if it is a learner's. */
START_TEST(a_leader_cut_off_with_who_asks_serves_no_read)
{
	for (unsigned voters = 3; voters <= 5; voters += 2) {
		raft_rig_open(&rig, voters, 5);
		raft_rig_form(&rig, voters);
		raft_rig_run_ms(&rig, 1000);
		if (voters == 3) {
			ck_assert(raft_rig_change(&rig, leader(), CONSENSUS_ADD, 3));
			raft_rig_run_ms(&rig, 2000);
		}
		unsigned old = leader(), asker = voters == 3 ? 3 : (old + 1) % 5;
		raft_rig_read(&rig, asker);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 1000));
		ck_assert_uint_eq(rig.read_errs[ERR_OK], 1);
		sim_net_partition(rig.net, 1u << old | 1u << asker);
		raft_rig_read(&rig, asker);
		raft_rig_run_ms(&rig, 500); /* it takes itself for the leader still */
		ck_assert_uint_eq(rig.read_errs[ERR_OK], 1);
		sim_net_heal(rig.net);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 60000));
		raft_rig_close(&rig);
	}
}
END_TEST

START_TEST(nobody_says_that_he_heard_of_a_commit)
{
	open_group(1, 3);
	unsigned at = leader();
	uint64_t notes = sim_net_stats(rig.net)->notes;
	for (int i = 0; i < 10; i++) {
		raft_rig_propose(&rig, at, 100);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 1000));
		raft_rig_run_ms(&rig, 20);
		ck_assert(raft_rig_all_even(&rig));
	}
	/* Of each: two times the entry, its result, the commit index; and some heartbeats. */
	ck_assert_uint_le(sim_net_stats(rig.net)->notes - notes, 10 * 6 + 8);
	raft_rig_close(&rig);
}
END_TEST

START_TEST(what_is_longer_than_a_group_is_refused)
{
	open_group(1, 3);
	raft_rig_propose(&rig, 1, 200 * 1024); /* the rig's logs have short segments */
	ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 1000));
	ck_assert_uint_eq(rig.errs[ERR_LIMIT], 1);
	raft_rig_close(&rig);
}
END_TEST

START_TEST(many_commands_share_groups)
{
	open_group(1, 3);
	struct consensus_info before, after;
	unsigned at = leader();
	consensus_info(rig.members[at].consensus, &before);
	for (int i = 0; i < 1200; i++)
		raft_rig_propose(&rig, i % 3, 20);
	ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 20000));
	ck_assert_uint_eq(rig.errs[ERR_OK], 1200);
	consensus_info(rig.members[at].consensus, &after);
	ck_assert_uint_le(after.groups - before.groups, 12);
	raft_rig_close(&rig);
}
END_TEST

START_TEST(the_lead_is_handed_over)
{
	open_group(1, 3);
	unsigned old = leader(), next = (old + 1) % 3;
	ck_assert(raft_rig_change(&rig, old, CONSENSUS_HAND_OVER, next));
	raft_rig_run_ms(&rig, 300);
	ck_assert(!rig.is_changing);
	ck_assert_err(rig.change.err, ERR_OK);
	ck_assert_uint_eq(leader(), next);
	raft_rig_close(&rig);
}
END_TEST

static void stopped(void *arg)
{
	*(bool *)arg = true;
}

START_TEST(a_leader_that_stops_gives_the_lead_away)
{
	open_group(1, 3);
	unsigned old = leader();
	bool has_stopped = false;
	raft_rig_propose(&rig, old, 10);
	consensus_stop(rig.members[old].consensus, stopped, &has_stopped);
	raft_rig_run_ms(&rig, 800); /* less than an election timeout */
	ck_assert(has_stopped);
	ck_assert_uint_ne(leader(), old);
	ck_assert_uint_eq(rig.errs[ERR_OK] + rig.errs[ERR_UNAVAILABLE], 1);
	raft_rig_propose(&rig, leader(), 10);
	raft_rig_propose(&rig, old, 10);
	ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 10000));
	ck_assert_uint_ge(rig.errs[ERR_UNAVAILABLE], 1);
	sim_run_ms(rig.sim, 10000);
	consensus_close(rig.members[old].consensus);
	rig.members[old].consensus = NULL;
	sim_node_kill(rig.members[old].node);
	restart(old);
	raft_rig_propose(&rig, old, 10);
	ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 10000));
	raft_rig_run_ms(&rig, 1000);
	ck_assert(raft_rig_all_even(&rig));
	raft_rig_close(&rig);
}
END_TEST

/* The questions of a leader that is cut off, and what others ask and propose when it hangs. */
START_TEST(who_stops_with_a_call_in_flight_ends)
{
	enum { LEADER_READS, OTHER_READS, OTHER_PROPOSES, CASES };
	for (unsigned what = 0; what < CASES; what++) {
		open_group(1, 3);
		unsigned at = what == LEADER_READS ? leader() : (leader() + 1) % 3;
		bool has_stopped = false;
		if (what == LEADER_READS)
			sim_net_partition(rig.net, 1u << at);
		else
			raft_rig_pause(&rig, leader(), true);
		if (what == OTHER_PROPOSES)
			raft_rig_propose(&rig, at, 10);
		else
			raft_rig_read(&rig, at);
		raft_rig_run_ms(&rig, 1);
		consensus_stop(rig.members[at].consensus, stopped, &has_stopped);
		raft_rig_run_ms(&rig, 5000);
		ck_assert(has_stopped);
		raft_rig_close(&rig);
	}
}
END_TEST

START_TEST(a_leader_does_not_remove_itself)
{
	open_group(1, 3);
	unsigned at = leader();
	ck_assert(raft_rig_change(&rig, at, CONSENSUS_REMOVE, at));
	raft_rig_run_ms(&rig, 100);
	ck_assert_err(rig.change.err, ERR_REFUSED);
	ck_assert(raft_rig_change(&rig, (at + 1) % 3, CONSENSUS_REMOVE, at));
	raft_rig_run_ms(&rig, 100);
	ck_assert_err(rig.change.err, ERR_UNAVAILABLE);
	raft_rig_close(&rig);
}
END_TEST

START_TEST(a_group_of_two_outlives_a_loss_of_power_while_it_grows)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		raft_rig_open(&rig, seed, 2);
		raft_rig_run_ms(&rig, 500);
		raft_rig_change(&rig, leader(), CONSENSUS_ADD, 1);
		raft_rig_run_ms(&rig, 500);
		raft_rig_change(&rig, leader(), CONSENSUS_PROMOTE, 1);
		raft_rig_run_ms(&rig, seed % 8);
		for (unsigned i = 0; i < 2; i++)
			raft_rig_kill(&rig, i, true);
		for (unsigned i = 0; i < 2; i++)
			restart(i);
		raft_rig_run_ms(&rig, 8000);
		raft_rig_propose(&rig, leader(), 10);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 10000));
		ck_assert_uint_eq(rig.errs[ERR_OK], 1);
		raft_rig_close(&rig);
	}
}
END_TEST

/* Only the log of who led says that the learner votes now; the other voter is gone. The learner,
 * whose disk may hang meanwhile, knows who led until it hears of nobody for long enough. */
START_TEST(a_learner_votes_for_who_led_when_nobody_leads_any_more)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		open_group(seed, 3);
		unsigned at = leader(), learner = (at + 1) % 3;
		struct sim_disk *disk = rig.members[learner].disk;
		ck_assert(raft_rig_change(&rig, at, CONSENSUS_DEMOTE, learner));
		raft_rig_run_ms(&rig, 1000);
		ck_assert_err(rig.change.err, ERR_OK);
		if (seed % 2 == 0) {
			sim_disk_set_slow_times(disk, 200000);
			sim_disk_fail_nth(disk, SIM_WRITE, 1, SIM_SLOW);
			raft_rig_propose(&rig, at, 10);
			raft_rig_run_ms(&rig, 100);
		}
		sim_net_partition(rig.net, 1u << at);
		ck_assert(raft_rig_change(&rig, at, CONSENSUS_PROMOTE, learner));
		raft_rig_run_ms(&rig, 50);
		raft_rig_kill(&rig, (at + 2) % 3, false);
		raft_rig_kill(&rig, at, false);
		sim_net_heal(rig.net);
		restart(at);
		ck_assert_uint_eq(leader(), at);
		raft_rig_close(&rig);
	}
}
END_TEST

START_TEST(the_only_voter_leads_in_a_term_of_its_own)
{
	open_group(1, 2);
	ck_assert(raft_rig_change(&rig, leader(), CONSENSUS_DEMOTE, 1 - leader()));
	raft_rig_run_ms(&rig, 500);
	struct consensus_info before, after;
	unsigned only = leader();
	consensus_info(rig.members[only].consensus, &before);
	raft_rig_kill(&rig, only, true);
	restart(only);
	ck_assert_uint_eq(leader(), only);
	consensus_info(rig.members[only].consensus, &after);
	ck_assert_uint_gt(after.term, before.term);
	raft_rig_close(&rig);
}
END_TEST

START_TEST(the_last_of_a_group_takes_over_when_it_is_told_to)
{
	open_group(3, 3);
	for (unsigned i = 0; i < 20; i++)
		raft_rig_propose(&rig, leader(), 10);
	ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 10000));
	ck_assert(raft_rig_run_until(&rig, raft_rig_all_even, 10000));
	unsigned last = (leader() + 1) % 3;
	for (unsigned i = 0; i < 3; i++)
		raft_rig_kill(&rig, i, true);
	restart(last);
	raft_rig_run_ms(&rig, 5000);
	ck_assert_int_eq(raft_rig_leader(&rig), -1);
	rig.members[last].setup.takes_over = true;
	for (unsigned lives = 0; lives < 3; lives++) {
		struct consensus_members members;
		raft_rig_kill(&rig, last, true);
		restart(last);
		ck_assert(raft_rig_run_until(&rig, raft_rig_has_leader, 5000));
		raft_rig_propose(&rig, last, 10);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 10000));
		consensus_raft_members(rig.members[last].consensus, &members);
		ck_assert_uint_eq(members.count, 1);
		ck_assert_uint_eq(members.members[0].id, rig.members[last].log_id);
	}
	ck_assert_uint_eq(rig.errs[ERR_OK], 23);
	raft_rig_close(&rig);
}
END_TEST

/* --- figure 8 --------------------------------------------------------------------------------- */

/* What a slow transport does to appends: nothing goes, or what is of an old term goes first. */
static struct {
	bool is_on;
	uint64_t old_leader; /* log; 0: nobody's entries arrive */
	uint64_t old_term; /* later ones do not */
} slow_transport;

static bool be_slow_transport(void *arg, struct id to, struct peer_request *request)
{
	struct raft_note note;
	(void)arg;
	(void)to;
	if (request->kind != PEER_RAFT || !slow_transport.is_on)
		return true;
	ck_assert_ok(raft_note_decode(request->head, &note));
	if (note.type != NOTE_APPEND || note.count == 0)
		return true;
	if (note.from != slow_transport.old_leader)
		return false;
	struct bytes rest = bytes_make(request->payload, request->payload_len);
	uint32_t count = 0;
	for (; count < note.count && get_le64(rest.data + 8) <= slow_transport.old_term; count++)
		rest = bytes_from(rest, RAFT_NOTE_ENTRY_LEN + get_le32(rest.data));
	note.count = count;
	request->payload_len -= rest.len;
	raft_note_encode(&note, (uint8_t *)request->head.data);
	return count > 0;
}

static unsigned wait_for_leader(unsigned other_than)
{
	for (int i = 0; i < 600; i++) {
		int at = raft_rig_leader(&rig);
		if (at >= 0 && (unsigned)at != other_than && !rig.members[at].is_paused)
			return at;
		raft_rig_run_ms(&rig, 20);
	}
	ck_abort_msg("no leader");
}

START_TEST(entries_of_earlier_terms_are_not_committed_by_counting)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		open_group(seed, 3);
		sim_net_set_filter(rig.net, be_slow_transport, NULL);
		unsigned first = leader();
		slow_transport.is_on = true;
		slow_transport.old_leader = 0;
		struct consensus_info info;
		consensus_info(rig.members[first].consensus, &info);
		slow_transport.old_term = info.term;
		raft_rig_propose(&rig, first, 10); /* only its own log has it */
		raft_rig_run_ms(&rig, 30);
		raft_rig_pause(&rig, first, true);
		unsigned second = wait_for_leader(first); /* only its own log has its barrier */
		raft_rig_run_ms(&rig, 30);
		raft_rig_pause(&rig, second, true);
		raft_rig_pause(&rig, first, false);
		slow_transport.old_leader = rig.members[first].log_id;
		raft_rig_run_ms(&rig, 6000); /* it leads again, and two of three have its entry */
		raft_rig_pause(&rig, first, true);
		slow_transport.is_on = false;
		raft_rig_pause(&rig, second, false);
		raft_rig_run_ms(&rig, 6000); /* whose last entry is of a later term, may lead */
		raft_rig_pause(&rig, first, false);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 60000));
		raft_rig_propose(&rig, first, 10);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 60000));
		raft_rig_run_ms(&rig, 1000);
		ck_assert(raft_rig_all_even(&rig));
		raft_rig_check_ends(&rig);
		raft_rig_close(&rig);
	}
}
END_TEST

/* --- writes that are taken back --------------------------------------------------------------- */

/* Its disk hangs with entries that nobody else has, and it hears of those in their place before the
 * write ends; the rig looks at what libraft takes for durable. */
START_TEST(the_end_of_a_write_that_was_taken_back_counts_for_nothing)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		open_group(seed, 3);
		unsigned old = leader();
		struct sim_disk *disk = rig.members[old].disk;
		sim_net_partition(rig.net, 1u << old);
		sim_disk_set_slow_times(disk, 300000); /* 6 s and more */
		sim_disk_per_mille(disk)[SIM_WRITE][SIM_SLOW] = 1000;
		for (int i = 0; i < 3; i++)
			raft_rig_propose(&rig, old, 10);
		unsigned next = wait_for_leader(old);
		for (int i = 0; i < 3; i++)
			raft_rig_propose(&rig, next, 10);
		raft_rig_run_ms(&rig, 100);
		sim_net_heal(rig.net);
		raft_rig_run_ms(&rig, 30000);
		sim_disk_heal(disk);
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 60000));
		ck_assert(raft_rig_run_until(&rig, raft_rig_all_even, 60000));
		raft_rig_check_ends(&rig);
		raft_rig_close(&rig);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("raft_rules");
	TCase *tcase = tcase_create("rules");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, followers_learn_of_a_commit_without_waiting_for_a_heartbeat);
	tcase_add_test(tcase, a_leader_that_slept_through_an_election_serves_no_old_read);
	tcase_add_test(tcase, a_new_leader_serves_no_read_before_its_barrier);
	tcase_add_test(tcase, a_follower_of_three_reads_with_one_question);
	tcase_add_test(tcase, a_leader_cut_off_with_who_asks_serves_no_read);
	tcase_add_test(tcase, nobody_says_that_he_heard_of_a_commit);
	tcase_add_test(tcase, what_is_longer_than_a_group_is_refused);
	tcase_add_test(tcase, many_commands_share_groups);
	tcase_add_test(tcase, the_lead_is_handed_over);
	tcase_add_test(tcase, a_leader_that_stops_gives_the_lead_away);
	tcase_add_test(tcase, who_stops_with_a_call_in_flight_ends);
	tcase_add_test(tcase, a_leader_does_not_remove_itself);
	tcase_add_test(tcase, a_group_of_two_outlives_a_loss_of_power_while_it_grows);
	tcase_add_test(tcase, a_learner_votes_for_who_led_when_nobody_leads_any_more);
	tcase_add_test(tcase, the_only_voter_leads_in_a_term_of_its_own);
	tcase_add_test(tcase, the_last_of_a_group_takes_over_when_it_is_told_to);
	tcase_add_test(tcase, entries_of_earlier_terms_are_not_committed_by_counting);
	tcase_add_test(tcase, the_end_of_a_write_that_was_taken_back_counts_for_nothing);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
