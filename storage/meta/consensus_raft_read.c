/* SPDX-License-Identifier: Apache-2.0 */
/* Linearizable reads without a clock (R5).
 *
 * A read waits for the next round. A round takes the commit index, asks every other voter of the
 * configurations whether its term is still the leader's, and holds if majorities of the voters of
 * both say so: then nobody else led when the question was asked, since who elects another leader
 * leaves the term first. All reads that waited when the round began have its index. A read that
 * arrives during a round waits for the next one.
 *
 * A follower asks the leader, one call for all reads that wait, and says its own term as it asks.
 * That is its answer to the question for these reads, and with it three voters have a majority
 * already: the leader answers at once and asks nobody. For other reads that wait it says nothing,
 * since they may have arrived later.
 *
 * Every question and every answer is of a member, not of its node: a node that lost its log knows
 * nothing of the votes that were given from it. */
#include "storage/meta/consensus_raft_priv.h"

enum { WIRE_VERSION = 1 };

static void encode_head(
	uint8_t out[READ_HEAD_LEN], enum read_type type, uint64_t term, uint64_t member_id)
{
	memset(out, 0, READ_HEAD_LEN);
	out[0] = WIRE_VERSION;
	out[1] = type;
	put_le64(out + 8, term);
	put_le64(out + 16, member_id);
}

/* --- lists ------------------------------------------------------------------------------------ */

static void push(struct reads *list, struct read_index *read)
{
	read->next = NULL;
	*list->last = read;
	list->last = &read->next;
}

/* Appends all of from to the list. */
static void move_all(struct reads *from, struct reads *to)
{
	if (!from->first)
		return;
	*to->last = from->first;
	to->last = from->last;
	from->first = NULL;
	from->last = &from->first;
}

static void read_done_run(struct task *task)
{
	struct read_index *read = CONTAINER_OF(task, struct read_index, task);
	read->done(read);
}

static void end_read(struct read_index *read, enum err err, uint64_t index)
{
	read->err = err;
	read->index = index;
	read->task.run = read_done_run;
	loop_post(read->loop, &read->task);
}

static void end_list(struct reads *list, uint64_t now_ms, enum err err, uint64_t index)
{
	struct read_index **link = &list->first;
	while (*link) {
		struct read_index *read = *link;
		if (read->due_ms > now_ms) {
			link = &read->next;
			continue;
		}
		*link = read->next;
		end_read(read, err, index);
	}
	list->last = link;
}

static void answer_remote(struct remote_read *remote, enum err err, uint64_t index)
{
	uint8_t head[8];
	put_le64(head, index);
	struct peer_request *request = remote->request;
	*remote = (struct remote_read){0};
	request->answer_head = bytes_make(head, err == ERR_OK ? sizeof head : 0);
	peer_request_answer(request, err);
}

/* --- rounds, at the leader -------------------------------------------------------------------- */

static bool has_waiting(const struct member *member)
{
	if (member->waiting_reads.first)
		return true;
	for (size_t i = 0; i < BATCHES_MAX; i++)
		if (member->remote_reads[i].is_used && !member->remote_reads[i].is_asked)
			return true;
	return false;
}

static bool said_yes(const struct member *member, uint64_t id)
{
	if (id == member->id)
		return true;
	for (size_t i = 0; i < CONSENSUS_MEMBERS_MAX; i++) {
		const struct ask *ask = &member->asks[i];
		if (ask->id == id && ask->round == member->round)
			return ask->is_yes;
	}
	return false;
}

/* asker: of a call for an index, who has said yes by asking; 0: the round's answers count. */
static bool has_majority(
	const struct member *member, const struct raft_configuration *conf, uint64_t asker)
{
	unsigned voters = 0, votes = 0;
	for (unsigned i = 0; i < conf->n; i++) {
		uint64_t id = conf->servers[i].id;
		if (conf->servers[i].role != RAFT_VOTER)
			continue;
		voters++;
		votes += asker > 0 ? id == member->id || id == asker : said_yes(member, id);
	}
	return votes > voters / 2;
}

static void end_round(struct member *member)
{
	member->is_asking = false;
	end_list(&member->asked_reads, UINT64_MAX, ERR_OK, member->round_index);
	for (size_t i = 0; i < BATCHES_MAX; i++)
		if (member->remote_reads[i].is_used && member->remote_reads[i].is_asked)
			answer_remote(&member->remote_reads[i], ERR_OK, member->round_index);
}

/* The reads of a round that came to nothing wait for another. */
static void give_up_round(struct member *member)
{
	member->is_asking = false;
	move_all(&member->asked_reads, &member->waiting_reads);
	for (size_t i = 0; i < BATCHES_MAX; i++)
		member->remote_reads[i].is_asked = false;
	member_retry(member);
}

static bool is_confirmed(const struct member *member, uint64_t asker)
{
	const struct raft *raft = &member->raft;
	if (!has_majority(member, &raft->configuration, asker))
		return false;
	return raft->configuration_uncommitted_index == 0 ||
		has_majority(member, &raft->configuration_committed, asker);
}

static void check_round(struct member *member)
{
	if (!member->is_asking)
		return;
	if (is_confirmed(member, 0)) {
		end_round(member);
		return;
	}
	for (size_t i = 0; i < CONSENSUS_MEMBERS_MAX; i++)
		if (member->asks[i].is_busy && member->asks[i].round == member->round)
			return;
	give_up_round(member);
}

static void ask_done(struct peer_call *call)
{
	struct ask *ask = CONTAINER_OF(call, struct ask, call);
	struct member *member = ask->member;
	assert(member->magic == MEMBER_MAGIC && ask->is_busy);
	ask->is_busy = false;
	ask->is_yes = call->err == ERR_OK && call->answer_err == ERR_OK;
	if (ask->round == member->round)
		check_round(member);
	member_advance_stop(member);
	member_settle(member);
}

static bool is_being_asked(const struct member *member, uint64_t id)
{
	for (size_t i = 0; i < CONSENSUS_MEMBERS_MAX; i++)
		if (member->asks[i].is_busy && member->asks[i].id == id)
			return true;
	return false;
}

/* Asks a voter, unless an earlier question to it is still open: then it does not count. */
static void ask_server(struct member *member, const struct raft_server *server)
{
	struct id node;
	if (server->role != RAFT_VOTER || server->id == member->id ||
		is_being_asked(member, server->id) || node_parse(server->address, &node) != ERR_OK)
		return;
	for (size_t i = 0; i < CONSENSUS_MEMBERS_MAX; i++) {
		struct ask *ask = &member->asks[i];
		if (ask->is_busy)
			continue;
		ask->member = member;
		ask->is_busy = true;
		ask->is_yes = false;
		ask->id = server->id;
		ask->round = member->round;
		encode_head(ask->head, READ_ASK_TERM, member->raft.current_term, server->id);
		ask->call.node = node;
		ask->call.kind = PEER_READ_INDEX;
		ask->call.deadline_ms = ASK_MS_MAX;
		ask->call.head = bytes_make(ask->head, READ_HEAD_LEN);
		ask->call.done = ask_done;
		peer_call_start(member->setup.peers, &ask->call);
		return;
	}
}

static void start_round(struct member *member)
{
	const struct raft *raft = &member->raft;
	member->is_asking = true;
	member->round++;
	member->round_index = raft->commit_index;
	move_all(&member->waiting_reads, &member->asked_reads);
	for (size_t i = 0; i < BATCHES_MAX; i++)
		member->remote_reads[i].is_asked = member->remote_reads[i].is_used;
	/* Who answered is told apart by the round; a slot that is free may be used again. */
	for (unsigned i = 0; i < raft->configuration.n; i++)
		ask_server(member, &raft->configuration.servers[i]);
	if (raft->configuration_uncommitted_index > 0)
		for (unsigned i = 0; i < raft->configuration_committed.n; i++)
			ask_server(member, &raft->configuration_committed.servers[i]);
	check_round(member);
}

/* --- asking the leader ------------------------------------------------------------------------ */

static void read_call_done(struct peer_call *call)
{
	struct member *member = CONTAINER_OF(call, struct member, read_call);
	assert(member->magic == MEMBER_MAGIC && member->is_reading);
	member->is_reading = false;
	bool is_answer = call->err == ERR_OK && call->answer_err == ERR_OK &&
		call->answer_head.len == 8 && get_le64(call->answer_head.data) < RAFT_TERM_MAX;
	if (is_answer) {
		end_list(
			&member->asked_reads, UINT64_MAX, ERR_OK, get_le64(call->answer_head.data));
	} else {
		move_all(&member->asked_reads, &member->waiting_reads);
		member_retry(member);
	}
	member_advance_stop(member);
	member_settle(member);
}

static void ask_leader(struct member *member)
{
	struct id leader;
	if (member->is_reading || member->is_asking || !member->waiting_reads.first ||
		member->retry.is_set || !member_leader_node(member, &leader))
		return;
	member->is_reading = true;
	move_all(&member->waiting_reads, &member->asked_reads);
	encode_head(member->read_head, READ_ASK_INDEX, member->raft.current_term, member->id);
	member->read_call.node = leader;
	member->read_call.kind = PEER_READ_INDEX;
	member->read_call.deadline_ms = 2 * ASK_MS_MAX;
	member->read_call.head = bytes_make(member->read_head, READ_HEAD_LEN);
	member->read_call.done = read_call_done;
	peer_call_start(member->setup.peers, &member->read_call);
}

/* Before its barrier is committed a leader does not know what is (R4). */
static bool knows_commit(const struct member *member)
{
	return member->barrier_index > 0 && member->raft.commit_index >= member->barrier_index;
}

void member_ask(struct member *member)
{
	if (!member_leads(member)) {
		ask_leader(member);
		return;
	}
	if (knows_commit(member) && !member->is_asking && !member->is_reading &&
		has_waiting(member) && !member->retry.is_set)
		start_round(member);
}

void member_lose_reads(struct member *member)
{
	if (member->is_asking)
		give_up_round(member);
	for (size_t i = 0; i < BATCHES_MAX; i++)
		if (member->remote_reads[i].is_used)
			answer_remote(&member->remote_reads[i], ERR_UNAVAILABLE, 0);
}

/* --- serving ---------------------------------------------------------------------------------- */

/* Is the leader sure with the word of who asks alone? The member is that node's. */
static bool is_sure_with(struct member *member, struct id node, uint64_t term, uint64_t asker)
{
	return knows_commit(member) && term == member->raft.current_term && asker != 0 &&
		member_is_of_node(member, asker, node) && is_confirmed(member, asker);
}

static enum err serve(struct member *member, struct peer_request *request, uint8_t answer[8])
{
	const uint8_t *head = request->head.data;
	if (request->head.len != READ_HEAD_LEN || get_le32(head + 4) != 0)
		return ERR_INVALID;
	if (head[0] != WIRE_VERSION)
		return ERR_VERSION;
	if (!member->has_started || member->has_stopped || member_is_dead(member))
		return ERR_UNAVAILABLE;
	uint64_t term = get_le64(head + 8), id = get_le64(head + 16);
	if (head[1] == READ_ASK_TERM)
		return term == member->raft.current_term && id == member->id ? ERR_OK : ERR_REFUSED;
	if (head[1] != READ_ASK_INDEX)
		return ERR_UNSUPPORTED;
	if (!member_leads(member))
		return ERR_UNAVAILABLE;
	if (is_sure_with(member, request->from, term, id)) {
		put_le64(answer, member->raft.commit_index);
		request->answer_head = bytes_make(answer, 8);
		return ERR_OK;
	}
	for (size_t i = 0; i < BATCHES_MAX; i++) {
		if (member->remote_reads[i].is_used)
			continue;
		member->remote_reads[i] = (struct remote_read){.request = request, .is_used = true};
		return ERR_BUSY;
	}
	return ERR_LIMIT;
}

void member_serve_read(void *arg, struct peer_request *request)
{
	struct member *member = arg;
	assert(member->magic == MEMBER_MAGIC);
	uint8_t answer[8];
	enum err err = serve(member, request, answer);
	if (err == ERR_BUSY)
		member_settle(member);
	else
		peer_request_answer(request, err);
}

/* --- from the loops --------------------------------------------------------------------------- */

/* A read arrives. Those behind it in the loop's queue arrive before anybody is asked. */
static void read_run(struct task *task)
{
	struct read_index *read = CONTAINER_OF(task, struct read_index, task);
	struct member *member = member_of(read->consensus);
	if (member->is_stopping || member_is_dead(member)) {
		end_read(read, ERR_UNAVAILABLE, 0);
		return;
	}
	read->due_ms = member_now_ms(member) + CONSENSUS_PENDING_MS_MAX;
	push(&member->waiting_reads, read);
	member_watch_deadlines(member);
	member_settle_soon(member);
}

void member_read_index(struct consensus *consensus, struct read_index *read)
{
	read->consensus = consensus;
	read->task.run = read_run;
	loop_post(member_of(consensus)->loop, &read->task);
}

void member_expire_reads(struct member *member, uint64_t now_ms)
{
	end_list(&member->waiting_reads, now_ms, ERR_UNAVAILABLE, 0);
	end_list(&member->asked_reads, now_ms, ERR_UNAVAILABLE, 0);
}

void member_end_reads(struct member *member)
{
	member_expire_reads(member, UINT64_MAX);
	for (size_t i = 0; i < BATCHES_MAX; i++)
		if (member->remote_reads[i].is_used)
			answer_remote(&member->remote_reads[i], ERR_UNAVAILABLE, 0);
}

bool member_has_reads(const struct member *member)
{
	return member->waiting_reads.first || member->asked_reads.first;
}

void member_read_init(struct member *member)
{
	member->waiting_reads.last = &member->waiting_reads.first;
	member->asked_reads.last = &member->asked_reads.first;
}
