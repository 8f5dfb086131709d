/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/raft_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "storage/meta/consensus_raft_priv.h"
#include "storage/meta/log_priv.h"
#include "tests/lib/test.h"

enum { SEGMENT_LEN = 128 * 1024 };

uint64_t raft_rig_below(struct raft_rig *rig, uint64_t n)
{
	return test_random(&rig->random) % n;
}

/* --- the apply side --------------------------------------------------------------------------- */

static uint64_t hash_group(const struct group *group)
{
	uint64_t hash = group->count;
	for (size_t i = 0; i < group->count; i++)
		hash = hash * 31 +
			sim_hash_bytes(group->commands[i].bytes.data, group->commands[i].bytes.len);
	return hash;
}

/* The first time anybody applies an index. */
static void enter(struct raft_rig *rig, const struct group *group)
{
	for (size_t i = 0; i < group->count; i++) {
		struct bytes bytes = group->commands[i].bytes;
		RIG_ASSERT(rig, bytes.len >= 4);
		uint32_t number = get_le32(bytes.data);
		RIG_ASSERT(rig, number < rig->given);
		struct rig_command *command = &rig->commands[number];
		RIG_ASSERT(rig, bytes_is_equal(bytes, bytes_make(command->bytes, command->len)));
		RIG_ASSERT(rig, command->index == 0); /* once */
		command->index = group->index;
		bool was_refused = command->is_ended && command->proposal.err == ERR_UNAVAILABLE &&
			!command->is_lost;
		RIG_ASSERT(rig, !was_refused);
	}
}

static void judge(struct rig_member *member, const struct group *group)
{
	struct raft_rig *rig = member->rig;
	RIG_ASSERT(rig, group->index == member->applied + 1);
	RIG_ASSERT(rig, group->time_ms >= member->time_ms || rig->is_forged);
	RIG_ASSERT(rig, group->index < RIG_INDEX_MAX);
	member->applied = group->index;
	member->time_ms = group->time_ms;
	if (rig->is_forged)
		return;
	struct rig_entry *entry = &rig->ledger[group->index];
	struct rig_entry found = {group->term, group->time_ms, hash_group(group)};
	if (group->index > rig->ledger_end) {
		RIG_ASSERT(rig, group->index == rig->ledger_end + 1);
		rig->ledger_end = group->index;
		*entry = found;
		enter(rig, group);
	}
	RIG_ASSERT(rig, entry->term == found.term);
	RIG_ASSERT(rig, entry->time_ms == found.time_ms);
	RIG_ASSERT(rig, entry->hash == found.hash);
}

static void apply_held(void *arg)
{
	struct rig_member *member = arg;
	struct raft_rig *rig = member->rig;
	struct group *group = member->held;
	member->held = NULL;
	judge(member, group);
	for (size_t i = 0; i < group->count; i++) {
		struct proposal *proposal = group->commands[i].proposal;
		if (!proposal)
			continue;
		struct rig_command *command = CONTAINER_OF(proposal, struct rig_command, proposal);
		RIG_ASSERT(rig, command->member == member->number);
		RIG_ASSERT(rig,
			rig->is_forged ||
				command->number == get_le32(group->commands[i].bytes.data));
		put_le64(proposal->result, group->index);
		proposal->result_len = 8;
		proposal_end(proposal, ERR_OK);
	}
	group_applied(member->consensus, group);
	if (raft_rig_below(rig, 20) == 0) {
		member->durable = member->applied;
		if (rig->releases)
			consensus_release(member->consensus, member->durable);
	}
}

static void committed(void *arg, struct group *group)
{
	struct rig_member *member = arg;
	ck_assert_ptr_null(member->held);
	member->held = group;
	if (!member->is_holding)
		apply_held(member);
}

static void failed(void *arg, enum err err)
{
	struct rig_member *member = arg;
	ck_assert_int_ne(err, ERR_OK);
	RIG_ASSERT(member->rig, !member->has_failed);
	RIG_ASSERT(member->rig, err != ERR_CORRUPT || member->rig->is_forged);
	member->has_failed = true;
}

void raft_rig_hold(struct raft_rig *rig, unsigned i, bool is_holding)
{
	struct rig_member *member = &rig->members[i];
	member->is_holding = is_holding;
	if (!is_holding && member->held)
		sim_call(rig->sim, member->apply_loop, apply_held, member);
}

/* --- lives ------------------------------------------------------------------------------------ */

bool raft_rig_start(struct raft_rig *rig, unsigned i, enum err *ret_err)
{
	struct rig_member *member = &rig->members[i];
	ck_assert_ptr_null(member->consensus);
	enum err err = consensus_raft_open(&member->setup, &member->consensus);
	if (err == ERR_OK) {
		err = consensus_replay(member->consensus, member->durable, NULL, NULL);
		if (err != ERR_OK)
			consensus_close(member->consensus);
	}
	*ret_err = err;
	if (err != ERR_OK) {
		member->consensus = NULL;
		sim_node_kill(member->node); /* forgets what it serves */
		return false;
	}
	member->applied = member->durable;
	member->time_ms = member->applied ? rig->ledger[member->applied].time_ms : 0;
	member->has_failed = member->has_stopped = member->is_holding = false;
	member->lives++;
	struct consensus_info info;
	consensus_info(member->consensus, &info);
	member->log_id = info.id;
	sim_net_start(member->peers);
	struct consensus_apply apply = {.loop = member->apply_loop,
		.time_ms = member->time_ms,
		.committed = committed,
		.failed = failed,
		.arg = member};
	consensus_start(member->consensus, &apply);
	return true;
}

void raft_rig_pause(struct raft_rig *rig, unsigned i, bool is_paused)
{
	rig->members[i].is_paused = is_paused;
	sim_node_pause(rig->members[i].node, is_paused);
}

/* What was on its way has no known end. */
static void lose(struct raft_rig *rig, unsigned i)
{
	for (uint32_t j = 0; j < rig->given; j++) {
		struct rig_command *command = &rig->commands[j];
		if (command->is_ended || command->member != i)
			continue;
		command->is_ended = command->is_lost = true;
		rig->ended++;
	}
	for (uint32_t j = 0; j < rig->reads_given; j++) {
		struct rig_read *read = &rig->reads[j];
		if (read->is_ended || read->member != i)
			continue;
		read->is_ended = read->is_lost = true;
		rig->reads_ended++;
	}
	if (rig->is_changing && rig->change.loop == rig->members[i].client_loop)
		rig->is_changing = false;
}

void raft_rig_kill(struct raft_rig *rig, unsigned i, bool is_crash)
{
	struct rig_member *member = &rig->members[i];
	if (!member->consensus)
		return;
	raft_rig_pause(rig, i, false);
	sim_node_kill(member->node);
	if (is_crash)
		sim_disk_crash(member->disk);
	sim_disk_heal(member->disk);
	sim_bury(member->consensus);
	member->consensus = NULL;
	member->held = NULL;
	member->is_exporting = member->is_importing = false;
	lose(rig, i);
}

/* Looks at every note that arrives: its term is durable at the sender (R1), and a change of the
 * configuration is alone (R2). */
static bool look_at_note(void *arg, struct id to, struct peer_request *request)
{
	struct raft_rig *rig = arg;
	struct raft_note note;
	(void)to;
	if (request->kind != PEER_RAFT)
		return true;
	ck_assert_ok(raft_note_decode(request->head, &note));
	for (unsigned i = 0; i < rig->member_count; i++) {
		const struct rig_member *from = &rig->members[i];
		if (!from->consensus || from->log_id != note.from)
			continue;
		const struct member *member = CONTAINER_OF(
			from->consensus, struct member, consensus);
		if (!(note.flags & NOTE_PRE_VOTE))
			RIG_ASSERT(rig, log_term(member->log) >= note.term);
	}
	struct bytes rest = bytes_make(request->payload, request->payload_len);
	for (uint32_t i = 0; i < note.count; i++) {
		size_t len = get_le32(rest.data);
		rest = bytes_from(rest, RAFT_NOTE_ENTRY_LEN);
		bool is_change = group_kind(bytes_make(rest.data, len)) == GROUP_CHANGE;
		RIG_ASSERT(rig, !is_change || note.count == 1);
		rest = bytes_from(rest, len);
	}
	return true;
}

static void make_member(struct raft_rig *rig, unsigned i)
{
	static const char *const names[RIG_MEMBERS_MAX] = {"a", "b", "c", "d", "e"};
	struct rig_member *member = &rig->members[i];
	member->rig = rig;
	member->number = i;
	member->store.ops = &raft_rig_store_ops;
	member->id = (struct id){{0xa0 + i, 1, 2, 3}};
	member->node = sim_node_new(rig->sim, names[i]);
	member->loop = sim_node_loop(member->node);
	member->apply_loop = sim_node_loop(member->node);
	member->client_loop = sim_node_loop(member->node);
	member->disk = sim_disk_new(member->node, names[i], 0);
	member->peers = sim_net_peers(rig->net, member->node, member->loop, member->id, 0);
	member->setup = (struct consensus_raft_setup){
		.log = {.disk = sim_disk_base(member->disk),
			.state_disk = sim_disk_base(member->disk),
			.node = member->id,
			.loop = member->loop,
			.worker = sim_node_worker(member->node),
			.random = sim_node_random(member->node),
			.trace = sim_node_trace(member->node),
			.segment_len = SEGMENT_LEN},
		.clock = sim_node_clock(member->node),
		.peers = member->peers,
		.snapshots = &member->store,
		.keep_len = 1,
	};
	ck_assert_ok(log_create(&member->setup.log));
	if (i == 0)
		ck_assert_ok(consensus_raft_found(&member->setup));
}

void raft_rig_open(struct raft_rig *rig, uint64_t seed, unsigned nodes)
{
	*rig = (struct raft_rig){.seed = seed, .random = seed, .member_count = nodes};
	rig->commands = sim_must(calloc(RIG_COMMANDS_MAX, sizeof *rig->commands));
	rig->reads = sim_must(calloc(RIG_READS_MAX, sizeof *rig->reads));
	rig->ledger = sim_must(calloc(RIG_INDEX_MAX, sizeof *rig->ledger));
	rig->leader_of_term = sim_must(calloc(RIG_TERMS_MAX, sizeof *rig->leader_of_term));
	rig->sim = sim_new(seed);
	rig->net = sim_net_new(rig->sim);
	sim_net_set_filter(rig->net, look_at_note, rig);
	for (unsigned i = 0; i < nodes; i++)
		make_member(rig, i);
	for (unsigned i = 0; i < nodes; i++) {
		enum err err;
		ck_assert(raft_rig_start(rig, i, &err));
	}
}

void raft_rig_close(struct raft_rig *rig)
{
	for (unsigned i = 0; i < rig->member_count; i++)
		raft_rig_kill(rig, i, false);
	sim_net_free(rig->net);
	for (unsigned i = 0; i < rig->member_count; i++)
		sim_disk_free(rig->members[i].disk);
	sim_free(rig->sim);
	for (uint32_t i = 0; i < rig->given; i++)
		free(rig->commands[i].bytes);
	free(rig->commands);
	free(rig->reads);
	free(rig->ledger);
	free(rig->leader_of_term);
}

/* --- proposals and reads ---------------------------------------------------------------------- */

static void proposal_done(struct proposal *proposal)
{
	struct rig_command *command = CONTAINER_OF(proposal, struct rig_command, proposal);
	struct raft_rig *rig = command->rig;
	RIG_ASSERT(rig, !command->is_ended);
	command->is_ended = true;
	rig->ended++;
	rig->errs[proposal->err]++;
	if (rig->is_forged)
		return;
	if (proposal->err == ERR_UNAVAILABLE)
		RIG_ASSERT(rig, command->index == 0);
	if (proposal->err != ERR_OK)
		return;
	RIG_ASSERT(rig, command->index > 0 && get_le64(proposal->result) == command->index);
	if (command->index > rig->acked)
		rig->acked = command->index;
}

void raft_rig_propose(struct raft_rig *rig, unsigned i, size_t len)
{
	struct rig_member *member = &rig->members[i];
	if (!member->consensus)
		return;
	ck_assert_uint_lt(rig->given, RIG_COMMANDS_MAX);
	struct rig_command *command = &rig->commands[rig->given];
	command->rig = rig;
	command->number = rig->given++;
	command->member = i;
	command->len = 4 + len;
	command->bytes = sim_must(malloc(command->len));
	test_random_fill(&rig->random, command->bytes, command->len);
	put_le32(command->bytes, command->number);
	command->proposal.loop = member->client_loop;
	command->proposal.done = proposal_done;
	command->proposal.command = bytes_make(command->bytes, command->len);
	consensus_propose(member->consensus, &command->proposal);
}

static void read_done(struct read_index *read_index)
{
	struct rig_read *read = CONTAINER_OF(read_index, struct rig_read, read);
	struct raft_rig *rig = read->rig;
	RIG_ASSERT(rig, !read->is_ended);
	read->is_ended = true;
	rig->reads_ended++;
	rig->read_errs[read_index->err]++;
	if (read_index->err == ERR_OK && !rig->is_forged)
		RIG_ASSERT(rig, read_index->index >= read->floor);
}

void raft_rig_read(struct raft_rig *rig, unsigned i)
{
	struct rig_member *member = &rig->members[i];
	if (!member->consensus || rig->reads_given == RIG_READS_MAX)
		return;
	struct rig_read *read = &rig->reads[rig->reads_given++];
	*read = (struct rig_read){.rig = rig, .member = i, .floor = rig->acked};
	read->read.loop = member->client_loop;
	read->read.done = read_done;
	consensus_read_index(member->consensus, &read->read);
}

static void change_done(struct consensus_change *change)
{
	struct raft_rig *rig = CONTAINER_OF(change, struct raft_rig, change);
	rig->is_changing = false;
	rig->changes += change->err == ERR_OK;
}

bool raft_rig_change(
	struct raft_rig *rig, unsigned at, enum consensus_change_kind kind, unsigned of)
{
	struct rig_member *member = &rig->members[at];
	if (rig->is_changing || !member->consensus)
		return false;
	rig->is_changing = true;
	rig->change = (struct consensus_change){
		.loop = member->client_loop,
		.kind = kind,
		.id = rig->members[of].log_id,
		.node = rig->members[of].id,
		.done = change_done,
	};
	consensus_raft_change(member->consensus, &rig->change);
	return true;
}

/* --- running ---------------------------------------------------------------------------------- */

int raft_rig_leader(struct raft_rig *rig)
{
	int leader = -1;
	uint64_t term = 0;
	for (unsigned i = 0; i < rig->member_count; i++) {
		struct consensus_info info;
		if (!rig->members[i].consensus)
			continue;
		consensus_info(rig->members[i].consensus, &info);
		if (info.role == CONSENSUS_LEADER && info.term > term) {
			leader = i;
			term = info.term;
		}
	}
	return leader;
}

/* What libraft takes for durable is not on its way to the log (R8). */
static void look_at_log(struct raft_rig *rig, const struct rig_member *at)
{
	const struct member *member = CONTAINER_OF(at->consensus, struct member, consensus);
	if (!member->has_started)
		return;
	const struct log_op *const lists[] = {member->log->written, member->log->first_op};
	for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
		for (const struct log_op *op = lists[i]; op; op = op->next) {
			if (op->record.type != LOG_ENTRY)
				continue;
			const struct entry *entry = (const void *)((const char *)op -
				offsetof(struct entry, op));
			RIG_ASSERT(
				rig, entry->is_void || op->record.index > member->raft.last_stored);
		}
}

static void look(struct raft_rig *rig)
{
	for (unsigned i = 0; i < rig->member_count; i++)
		if (rig->members[i].consensus && !rig->is_forged)
			look_at_log(rig, &rig->members[i]);
	for (unsigned i = 0; i < rig->member_count; i++) {
		struct consensus_info info;
		if (!rig->members[i].consensus)
			continue;
		consensus_info(rig->members[i].consensus, &info);
		if (info.role != CONSENSUS_LEADER || rig->is_forged)
			continue;
		RIG_ASSERT(rig, info.term < RIG_TERMS_MAX);
		uint64_t *leader = &rig->leader_of_term[info.term];
		rig->leads += *leader == 0;
		if (*leader != 0 && *leader != info.id)
			raft_rig_print(rig);
		RIG_ASSERT(rig, *leader == 0 || *leader == info.id);
		*leader = info.id;
	}
}

struct waiting {
	struct raft_rig *rig;
	bool (*predicate)(struct raft_rig *rig);
};

static bool look_and_ask(void *arg)
{
	struct waiting *waiting = arg;
	look(waiting->rig);
	return waiting->predicate && waiting->predicate(waiting->rig);
}

bool raft_rig_run_until(
	struct raft_rig *rig, bool (*predicate)(struct raft_rig *rig), uint64_t max_ms)
{
	struct waiting waiting = {rig, predicate};
	return sim_run_until(rig->sim, look_and_ask, &waiting, max_ms);
}

void raft_rig_run_ms(struct raft_rig *rig, uint64_t ms)
{
	uint64_t until_ms = sim_now_ns(rig->sim) / 1000000 + ms;
	raft_rig_run_until(rig, NULL, ms);
	uint64_t now_ms = sim_now_ns(rig->sim) / 1000000;
	if (now_ms < until_ms) /* nothing happens until then */
		sim_run_ms(rig->sim, until_ms - now_ms);
}

bool raft_rig_all_ended(struct raft_rig *rig)
{
	return rig->ended == rig->given && rig->reads_ended == rig->reads_given;
}

bool raft_rig_all_even(struct raft_rig *rig)
{
	for (unsigned i = 0; i < rig->member_count; i++)
		if (rig->members[i].consensus && rig->members[i].applied < rig->ledger_end)
			return false;
	return true;
}

bool raft_rig_has_leader(struct raft_rig *rig)
{
	return raft_rig_leader(rig) >= 0;
}

static bool has_changed(struct raft_rig *rig)
{
	return !rig->is_changing;
}

static void change_until_done(struct raft_rig *rig, enum consensus_change_kind kind, unsigned of)
{
	for (int tries = 0; tries < 200; tries++) {
		uint64_t before = rig->changes;
		RIG_ASSERT(rig, raft_rig_run_until(rig, raft_rig_has_leader, 60000));
		raft_rig_change(rig, raft_rig_leader(rig), kind, of);
		RIG_ASSERT(rig, raft_rig_run_until(rig, has_changed, 60000));
		if (rig->changes > before)
			return;
		raft_rig_run_ms(rig, 50);
	}
	raft_rig_print(rig);
	ck_abort_msg("seed %lu: no change %d err %s of %u", (unsigned long)rig->seed, kind,
		err_name(rig->change.err), of);
}

void raft_rig_form(struct raft_rig *rig, unsigned voters)
{
	for (unsigned i = 1; i < rig->member_count; i++) {
		change_until_done(rig, CONSENSUS_ADD, i);
		if (i < voters)
			change_until_done(rig, CONSENSUS_PROMOTE, i);
	}
}

void raft_rig_check_ends(struct raft_rig *rig)
{
	for (uint32_t i = 0; i < rig->given; i++) {
		const struct rig_command *command = &rig->commands[i];
		RIG_ASSERT(rig, command->is_ended);
		if (command->is_lost || command->proposal.err == ERR_UNKNOWN)
			continue;
		RIG_ASSERT(rig, (command->proposal.err == ERR_OK) == (command->index > 0));
	}
}

void raft_rig_print(struct raft_rig *rig)
{
	for (unsigned i = 0; i < rig->member_count; i++) {
		const struct rig_member *member = &rig->members[i];
		if (!member->consensus) {
			fprintf(stderr, "%u: dead\n", i);
			continue;
		}
		struct consensus_info info;
		struct consensus_members members;
		consensus_info(member->consensus, &info);
		consensus_raft_members(member->consensus, &members);
		fprintf(stderr,
			"%u: role %d, term %lu, leader %lx, commit %lu, applied %lu%s, err %s; ", i,
			info.role, (unsigned long)info.term, (unsigned long)info.leader,
			(unsigned long)info.commit_index, (unsigned long)member->applied,
			member->held ? ", held" : "", err_name(info.err));
		for (size_t j = 0; j < members.count; j++)
			fprintf(stderr, " %02x%s", members.members[j].node.bytes[0],
				members.members[j].duty == CONSENSUS_VOTER ? "v" : "l");
		fprintf(stderr, " at %lu%s\n", (unsigned long)members.index,
			members.is_committed ? "" : " uncommitted");
	}
	for (uint32_t i = 0; i < rig->given; i++)
		if (!rig->commands[i].is_ended)
			fprintf(stderr, "command %u of %u\n", i, rig->commands[i].member);
	for (uint32_t i = 0; i < rig->reads_given; i++)
		if (!rig->reads[i].is_ended)
			fprintf(stderr, "read %u of %u\n", i, rig->reads[i].member);
}
