/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "storage/meta/consensus_raft_priv.h"
#include "tests/lib/raft_rig.h"
#include "tests/lib/test.h"

/* What a member is told by others who lie, (R10) of consensus_raft.c: libraft, as Debian builds it,
 * has no assertions that would stop it. */
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

static bool forge(void *arg, struct id to, struct peer_request *request)
{
	(void)to;
	uint64_t *random = arg;
	uint8_t *head = (uint8_t *)request->head.data;
	if (test_random(random) % 10 > 0 || request->head.len == 0)
		return true;
	static const uint64_t odd[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 59, 2, 3};
	size_t at = test_random(random) % request->head.len;
	switch (test_random(random) % 4) {
	case 0:
		head[at] = test_random(random);
		break;
	case 1:
		if (at + 8 <= request->head.len)
			put_le64(head + at / 8 * 8, odd[test_random(random) % ARRAY_COUNT(odd)]);
		break;
	case 2:
		if (request->payload_len > 0)
			request->payload[test_random(random) % request->payload_len] ^= 1u
				<< test_random(random) % 8;
		break;
	default:
		request->payload_len = test_random(random) % (request->payload_len + 1);
		break;
	}
	return true;
}

START_TEST(no_byte_of_a_peer_ends_the_process)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		open_group(seed, 3);
		uint64_t random = seed;
		rig.is_forged = true; /* who is lied to may disagree; nobody may crash */
		sim_net_set_filter(rig.net, forge, &random);
		for (int i = 0; i < 100; i++) {
			for (unsigned j = 0; j < 3; j++) {
				raft_rig_propose(&rig, j, raft_rig_below(&rig, 300));
				raft_rig_read(&rig, j);
			}
			raft_rig_run_ms(&rig, 40);
			for (unsigned j = 0; j < 3; j++)
				if (rig.members[j].has_failed)
					raft_rig_kill(&rig, j, false);
		}
		raft_rig_close(&rig);
	}
}
END_TEST

struct forgery {
	unsigned from, to;
	struct raft_note note;
	struct bytes payload;
};

static void send_forged(void *arg)
{
	const struct forgery *forgery = arg;
	uint8_t head[RAFT_NOTE_LEN];
	raft_note_encode(&forgery->note, head);
	peer_note(rig.members[forgery->from].peers, rig.members[forgery->to].id, PEER_RAFT,
		bytes_make(head, sizeof head), forgery->payload);
}

static struct member *member_at(unsigned i)
{
	return CONTAINER_OF(rig.members[i].consensus, struct member, consensus);
}

/* A note that fits the group, as the member could send it. */
static struct forgery forged(unsigned from, unsigned to, uint8_t type)
{
	struct consensus_info info;
	consensus_info(rig.members[to].consensus, &info);
	const struct member *member = member_at(to);
	return (struct forgery){.from = from,
		.to = to,
		.note = {.type = type,
			.from = rig.members[from].log_id,
			.to = rig.members[to].log_id,
			.term = info.term,
			.index = info.commit_index,
			.index_term = member_term_of(member, info.commit_index)}};
}

static void send_and_wait(struct forgery *forgery)
{
	sim_call(rig.sim, rig.members[forgery->from].loop, send_forged, forgery);
	raft_rig_run_ms(&rig, 500);
	raft_rig_propose(&rig, 0, 10);
	ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 20000));
	/* Changes go on. */
	unsigned at = leader();
	ck_assert(raft_rig_change(&rig, at, CONSENSUS_DEMOTE, (at + 1) % 3));
	raft_rig_run_ms(&rig, 500);
	ck_assert_err(rig.change.err, ERR_OK);
	raft_rig_close(&rig);
}

/* An entry of its own that it did not begin would be in its log. */
START_TEST(a_second_leader_of_a_term_is_not_believed)
{
	open_group(1, 3);
	unsigned at = leader();
	struct raft *raft = &member_at(at)->raft;
	uint64_t last = raft_last_index(raft);
	struct forgery forgery = forged((at + 1) % 3, at, NOTE_APPEND);
	ck_assert_uint_eq(forgery.note.index, last);
	uint8_t payload[RAFT_NOTE_ENTRY_LEN + GROUP_HEADER_LEN];
	note_entry_encode(payload, GROUP_HEADER_LEN, forgery.note.term);
	group_encode_header(payload + RAFT_NOTE_ENTRY_LEN, GROUP_BARRIER, 1, 0);
	forgery.note.count = 1;
	forgery.payload = bytes_make(payload, sizeof payload);
	sim_call(rig.sim, rig.members[forgery.from].loop, send_forged, &forgery);
	raft_rig_run_ms(&rig, 50);
	ck_assert_uint_eq(raft_last_index(raft), last);
	forgery.note.count = 0;
	forgery.payload.len = 0;
	send_and_wait(&forgery);
}
END_TEST

static uint64_t least_sent;

static bool look_at_append(void *arg, struct id to, struct peer_request *request)
{
	struct raft_note note;
	(void)arg;
	(void)to;
	if (request->kind != PEER_RAFT || raft_note_decode(request->head, &note) != ERR_OK)
		return true;
	if (note.type == NOTE_APPEND && note.index < least_sent)
		least_sent = note.index;
	return true;
}

static void send_forged_twice(void *arg)
{
	struct forgery *forgery = arg;
	forgery->note.extra++; /* beyond what it has: the leader probes */
	send_forged(arg);
	forgery->note.extra--; /* of what was probed */
	send_forged(arg);
}

/* Or it would be sent what it has, from the first entry on, or a snapshot. */
START_TEST(a_rejection_does_not_take_back_what_was_confirmed)
{
	open_group(1, 3);
	unsigned at = leader();
	for (int i = 0; i < 20; i++)
		raft_rig_propose(&rig, at, 10);
	ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 1000));
	raft_rig_run_ms(&rig, 100);
	struct forgery forgery = forged((at + 1) % 3, at, NOTE_APPEND_RESULT);
	uint64_t match = least_sent = forgery.note.index;
	forgery.note.extra = match;
	forgery.note.index = forgery.note.index_term = 0;
	sim_net_set_filter(rig.net, look_at_append, NULL);
	sim_call(rig.sim, rig.members[forgery.from].loop, send_forged_twice, &forgery);
	raft_rig_run_ms(&rig, 500);
	ck_assert_uint_eq(least_sent, match);
	ck_assert_uint_eq(rig.installs, 0);
	send_and_wait(&forgery);
}
END_TEST

static unsigned results, rejections;

static bool look_at_result(void *arg, struct id to, struct peer_request *request)
{
	struct raft_note note;
	const struct forgery *forgery = arg;
	(void)to;
	if (request->kind != PEER_RAFT || raft_note_decode(request->head, &note) != ERR_OK)
		return true;
	if (note.type == NOTE_APPEND_RESULT && note.from == forgery->note.to) {
		results++;
		rejections += note.extra > 0;
	}
	return true;
}

/* It comes late, and is no gap: the entries were there, and were committed. */
START_TEST(an_append_from_before_the_snapshot_is_confirmed)
{
	open_group(1, 3);
	rig.releases = true;
	unsigned at = leader();
	for (int i = 0; i < 400; i++) {
		raft_rig_propose(&rig, at, 1000);
		raft_rig_run_ms(&rig, 10);
	}
	ck_assert(raft_rig_run_until(&rig, raft_rig_all_ended, 10000));
	struct forgery forgery = forged(at, (at + 1) % 3, NOTE_APPEND);
	const struct raft *raft = &member_at(forgery.to)->raft;
	forgery.note.index = raft->trail.snapshot.index / 2;
	forgery.note.index_term = 1;
	ck_assert_uint_gt(forgery.note.index, 0);
	ck_assert_uint_eq(member_term_of(member_at(forgery.to), forgery.note.index), 0);
	sim_net_set_filter(rig.net, look_at_result, &forgery);
	sim_call(rig.sim, rig.members[at].loop, send_forged, &forgery);
	raft_rig_run_ms(&rig, 50);
	ck_assert_uint_gt(results, 0);
	ck_assert_uint_eq(rejections, 0);
	sim_net_set_filter(rig.net, NULL, NULL);
	raft_rig_close(&rig);
}
END_TEST

START_TEST(an_entry_that_is_no_configuration_is_not_taken_for_one)
{
	open_group(1, 3);
	unsigned at = leader();
	struct forgery forgery = forged(at, (at + 1) % 3, NOTE_APPEND);
	uint8_t payload[RAFT_NOTE_ENTRY_LEN + GROUP_HEADER_LEN + 16];
	memset(payload, 0xff, sizeof payload);
	note_entry_encode(payload, GROUP_HEADER_LEN + 16, forgery.note.term);
	group_encode_header(payload + RAFT_NOTE_ENTRY_LEN, GROUP_CHANGE, 1, 0);
	forgery.note.count = 1;
	forgery.payload = bytes_make(payload, sizeof payload);
	send_and_wait(&forgery);
}
END_TEST

START_TEST(the_only_voter_does_not_lead_in_the_term_of_another)
{
	open_group(1, 2);
	unsigned only = leader();
	ck_assert(raft_rig_change(&rig, only, CONSENSUS_DEMOTE, 1 - only));
	raft_rig_run_ms(&rig, 500);
	sim_net_set_filter(rig.net, NULL, NULL);
	struct forgery forgery = forged(1 - only, only, NOTE_VOTE);
	forgery.note.term += 5;
	forgery.note.flags = NOTE_DISRUPT;
	forgery.note.index = forgery.note.index_term = 0;
	sim_call(rig.sim, rig.members[1 - only].loop, send_forged, &forgery);
	raft_rig_run_ms(&rig, 100);
	ck_assert_uint_eq(leader(), only);
	struct consensus_info info;
	consensus_info(rig.members[only].consensus, &info);
	ck_assert_uint_gt(info.term, forgery.note.term);
	raft_rig_close(&rig);
}
END_TEST

START_TEST(a_note_out_of_range_is_refused)
{
	struct raft_note note = {.type = NOTE_APPEND,
				 .from = 1,
				 .to = 2,
				 .term = 5,
				 .index = 9,
				 .index_term = 4,
				 .extra = 7},
			 found;
	uint8_t head[RAFT_NOTE_LEN];
	raft_note_encode(&note, head);
	ck_assert_ok(raft_note_decode(bytes_make(head, sizeof head), &found));
	uint8_t again[RAFT_NOTE_LEN];
	raft_note_encode(&found, again);
	ck_assert(memcmp(head, again, sizeof head) == 0);
	for (size_t len = 0; len < sizeof head; len++)
		ck_assert_int_ne(raft_note_decode(bytes_make(head, len), &found), ERR_OK);
	static const struct raft_note bad[] = {
		{.type = NOTE_APPEND, .from = 0, .to = 2, .term = 5},
		{.type = NOTE_APPEND, .from = 1, .to = 1, .term = 5},
		{.type = NOTE_APPEND, .from = 1, .to = 2, .term = 0},
		{.type = NOTE_APPEND, .from = 1, .to = 2, .term = RAFT_TERM_MAX},
		{.type = NOTE_APPEND, .from = 1, .to = 2, .term = 5, .index = 9},
		{.type = NOTE_APPEND, .from = 1, .to = 2, .term = 5, .index_term = 3},
		{.type = NOTE_APPEND, .from = 1, .to = 2, .term = 5, .index = 9, .index_term = 6},
		{.type = NOTE_APPEND,
			.from = 1,
			.to = 2,
			.term = 5,
			.flags = NOTE_QUIET,
			.count = 1},
		{.type = NOTE_APPEND_RESULT, .from = 1, .to = 2, .term = 5, .index = 9, .extra = 9},
		{.type = NOTE_VOTE, .from = 1, .to = 2, .term = 5, .flags = NOTE_GRANTED},
		{.type = NOTE_VOTE_RESULT, .from = 1, .to = 2, .term = 5, .flags = NOTE_DISRUPT},
		{.type = NOTE_LEAD_NOW, .from = 1, .to = 2, .term = 5},
		{.type = 5, .from = 1, .to = 2, .term = 5},
	};
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		raft_note_encode(&bad[i], head);
		ck_assert_err(raft_note_decode(bytes_make(head, sizeof head), &found), ERR_INVALID);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("raft_forged");
	TCase *tcase = tcase_create("lies");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, no_byte_of_a_peer_ends_the_process);
	tcase_add_test(tcase, a_second_leader_of_a_term_is_not_believed);
	tcase_add_test(tcase, a_rejection_does_not_take_back_what_was_confirmed);
	tcase_add_test(tcase, an_append_from_before_the_snapshot_is_confirmed);
	tcase_add_test(tcase, an_entry_that_is_no_configuration_is_not_taken_for_one);
	tcase_add_test(tcase, the_only_voter_does_not_lead_in_the_term_of_another);
	tcase_add_test(tcase, a_note_out_of_range_is_refused);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
