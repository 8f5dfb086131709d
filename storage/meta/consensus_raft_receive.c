/* SPDX-License-Identifier: Apache-2.0 */
/* What other members say, checked before libraft sees it, since libraft asserts about much of it.
 *
 * Besides (R10) there is what libraft 0.22.1 does not take, though an honest member may say it
 * late:
 *
 * - An APPEND of the own term to a leader is an assertion; so is a vote of a pre-vote of another
 *   term, and a result of a vote is read as if it were a candidate's by who is none.
 * - An APPEND of an earlier term is answered with fields that were never set: it is answered here.
 * - An APPEND that ends below the commit index takes that back when the leader's is higher: the
 *   leader's is lowered to ours then.
 * - An APPEND from before the first entry that is still there is refused as if there were a gap, at
 *   which a leader that remembers a match asserts: it becomes one of no entries at our snapshot,
 *   which matches, since it is committed.
 * - A change of the configuration is taken for uncommitted until the commit index says otherwise;
 *   if the next one comes before, the first is forgotten and the one before it would come back with
 *   a rollback. There is a next one only when the first was committed, so that is said first. */
#include <stdlib.h>

#include "storage/meta/consensus_raft_priv.h"

bool member_is_of_node(const struct member *member, uint64_t id, struct id node)
{
	const struct raft_configuration *conf = &member->raft.configuration;
	char address[ADDRESS_LEN + 1];
	node_format(node, address);
	for (unsigned i = 0; i < conf->n; i++)
		if (conf->servers[i].id == id)
			return strcmp(conf->servers[i].address, address) == 0;
	return true;
}

static void give(struct member *member, struct id node, struct raft_message *message)
{
	char address[ADDRESS_LEN + 1];
	node_format(node, address);
	message->server_address = address;
	struct raft_event event = {.type = RAFT_RECEIVE, .receive.message = message};
	member_step(member, &event);
}

/* libraft denies its vote when its own log says that it has none; but the candidate's log counts,
 * and after a loss of power it may be the only one with the change that made a voter of us. So a
 * vote is asked for as if we were one: a term has one vote of ours, whatever we are. */
static void give_vote(struct member *member, struct id node, struct raft_message *message)
{
	struct raft_configuration *conf = &member->raft.configuration;
	unsigned at = 0;
	while (at < conf->n && conf->servers[at].id != member->id)
		at++;
	if (at == conf->n) {
		give(member, node, message);
		return;
	}
	int role = conf->servers[at].role;
	conf->servers[at].role = RAFT_VOTER;
	char address[ADDRESS_LEN + 1];
	node_format(node, address);
	message->server_address = address;
	struct raft_event event = {.type = RAFT_RECEIVE, .receive.message = message};
	member_step_bare(member, &event);
	assert(at < conf->n && conf->servers[at].id == member->id);
	conf->servers[at].role = role;
	member_settle(member);
}

/* --- votes ------------------------------------------------------------------------------------ */

static void receive_vote(const struct raft_note *note, struct raft_message *message)
{
	message->type = RAFT_REQUEST_VOTE;
	message->request_vote = (struct raft_request_vote){
		.version = 2,
		.term = note->term,
		.candidate_id = note->from,
		.last_log_index = note->index,
		.last_log_term = note->index_term,
		.disrupt_leader = note->flags & NOTE_DISRUPT,
		.pre_vote = note->flags & NOTE_PRE_VOTE,
	};
}

static bool receive_vote_result(
	struct member *member, const struct raft_note *note, struct raft_message *message)
{
	const struct raft *raft = &member->raft;
	bool is_pre_vote = note->flags & NOTE_PRE_VOTE;
	if (raft->state != RAFT_CANDIDATE || is_pre_vote != raft->candidate_state.in_pre_vote)
		return false;
	if (is_pre_vote && note->term != raft->current_term + 1)
		return false;
	message->type = RAFT_REQUEST_VOTE_RESULT;
	message->request_vote_result = (struct raft_request_vote_result){
		.version = 2,
		.term = note->term,
		.vote_granted = note->flags & NOTE_GRANTED,
		.pre_vote = is_pre_vote,
		.features = note->features,
		.capacity = note->capacity,
	};
	return true;
}

/* --- entries ---------------------------------------------------------------------------------- */

/* The entries of a payload, checked, each in memory of its own. */
static enum err take_entries(struct member *member, const struct raft_note *note,
	struct bytes payload, struct entry **entries)
{
	struct group_command *commands = member->scratch;
	uint64_t before = note->index_term;
	for (uint32_t i = 0; i < note->count; i++) {
		struct note_entry found;
		enum err err = note_entry_decode(&payload, before, note->term, commands, &found);
		if (err != ERR_OK)
			return err;
		if (found.bytes.len > member->len_max)
			return ERR_INVALID;
		if (group_kind(found.bytes) == GROUP_CHANGE && note->count > 1)
			return ERR_INVALID;
		entries[i] = entry_new(member, note->index + 1 + i, found.term, found.bytes.len);
		if (!entries[i])
			return ERR_NO_MEMORY;
		memcpy(entries[i]->bytes, found.bytes.data, found.bytes.len);
		before = found.term;
	}
	return payload.len == 0 ? ERR_OK : ERR_INVALID;
}

/* Says that the last configuration is committed, if another one follows it in the leader's log. */
static void commit_before_next(struct member *member, const struct raft_note *note)
{
	uint64_t index = member->raft.configuration_uncommitted_index;
	bool is_in_log = index > 0 && index <= note->index &&
		member_term_of(member, note->index) == note->index_term;
	if (is_in_log)
		member_commit_configuration(member, index);
}

/* libraft frees the batch of what it does not take; what it takes is in member->taken. */
static void give_append(
	struct member *member, struct id node, const struct raft_note *note, struct entry **entries)
{
	struct raft_entry list[NOTE_ENTRIES_MAX];
	void *batch = note->count > 0 ? raft_malloc(1) : NULL;
	if (note->count > 0 && !batch) {
		member_fail(member, ERR_NO_MEMORY);
		return;
	}
	for (uint32_t i = 0; i < note->count; i++) {
		struct entry *entry = entries[i];
		bool is_change = group_kind(entry->part) == GROUP_CHANGE;
		list[i] = (struct raft_entry){
			.term = entry->term,
			.type = is_change ? RAFT_CHANGE : RAFT_COMMAND,
			.buf = {entry->bytes + GROUP_HEADER_LEN, entry->len - GROUP_HEADER_LEN},
			.batch = batch,
		};
		if (is_change)
			commit_before_next(member, note);
	}
	struct raft_message message = {.type = RAFT_APPEND_ENTRIES,
		.server_id = note->from,
		.append_entries = {
			.version = 1,
			.term = note->term,
			.prev_log_index = note->index,
			.prev_log_term = note->index_term,
			.leader_commit = note->extra,
			.entries = list,
			.n_entries = note->count,
		}};
	member->taken = entries;
	member->taken_first = note->index + 1;
	member->quiet_term = note->flags & NOTE_QUIET ? note->term : 0;
	give(member, node, &message);
	member->quiet_term = 0;
	member->taken = NULL;
}

static void receive_append(
	struct member *member, struct id node, const struct raft_note *whole, struct bytes payload)
{
	struct raft *raft = &member->raft;
	struct raft_note note = *whole;
	if (note.term < raft->current_term) {
		member_send_refusal(member, node, &note);
		return;
	}
	if (note.count > NOTE_ENTRIES_MAX)
		return;
	if (raft->state == RAFT_LEADER && note.term == raft->current_term) {
		trace_event(member->setup.log.trace, TRACE_ERROR, 0,
			"raft: another leader in term %llu", (unsigned long long)note.term);
		return;
	}
	if (note.index < raft->trail.snapshot.index && member_term_of(member, note.index) == 0) {
		note.index = raft->trail.snapshot.index;
		note.index_term = raft->trail.snapshot.term;
		note.count = 0;
		payload.len = 0;
	}
	uint64_t end = note.index + note.count;
	if (end < raft->commit_index && note.extra > raft->commit_index)
		note.extra = raft->commit_index;
	struct entry *entries[NOTE_ENTRIES_MAX] = {0};
	enum err err = take_entries(member, &note, payload, entries);
	if (err == ERR_OK)
		give_append(member, node, &note, entries);
	else
		member->bad_notes++;
	for (uint32_t i = 0; i < note.count; i++)
		if (entries[i])
			entry_unref(entries[i]);
}

static void receive_append_result(const struct raft_note *note, struct raft_message *message)
{
	message->type = RAFT_APPEND_ENTRIES_RESULT;
	message->append_entries_result = (struct raft_append_entries_result){
		.version = 1,
		.term = note->term,
		.rejected = note->extra,
		.last_log_index = note->index,
		.features = note->features,
		.capacity = note->capacity,
	};
}

/* A rejection that says that the follower has less than it said before would be an assertion: its
 * log was lost under its id, or the note is forged. */
static bool result_makes_sense(const struct member *member, const struct raft_note *note)
{
	raft_index match;
	if (note->extra == 0 || !member_leads(member) || note->term != member->raft.current_term)
		return true;
	if (raft_match_index(&member->raft, note->from, &match) != 0)
		return true;
	return note->extra > match && note->index >= match;
}

/* --- notes ------------------------------------------------------------------------------------ */

static void receive_note(
	struct member *member, struct id node, const struct raft_note *note, struct bytes payload)
{
	struct raft_message message = {.server_id = note->from};
	switch (note->type) {
	case NOTE_APPEND:
		receive_append(member, node, note, payload);
		return;
	case NOTE_APPEND_RESULT:
		if (!result_makes_sense(member, note))
			return;
		receive_append_result(note, &message);
		break;
	case NOTE_VOTE:
		receive_vote(note, &message);
		give_vote(member, node, &message);
		return;
	case NOTE_VOTE_RESULT:
		if (!receive_vote_result(member, note, &message))
			return;
		break;
	case NOTE_LEAD_NOW:
		if (member_is_only_voter(member))
			return; /* it leads by itself, in a term of its own (R12) */
		message.type = RAFT_TIMEOUT_NOW;
		message.timeout_now = (struct raft_timeout_now){
			.version = 1,
			.term = note->term,
			.last_log_index = note->index,
			.last_log_term = note->index_term,
		};
		break;
	default:
		return;
	}
	give(member, node, &message);
}

void member_receive(void *arg, struct peer_request *request)
{
	struct member *member = arg;
	assert(member->magic == MEMBER_MAGIC);
	struct raft_note note;
	bool is_ready = member->has_started && !member->has_stopped && !member_is_dead(member);
	enum err err = raft_note_decode(request->head, &note);
	bool is_ours = err == ERR_OK && note.to == member->id;
	if (err != ERR_OK || (is_ours && !member_is_of_node(member, note.from, request->from)))
		member->bad_notes++;
	else if (is_ready && is_ours)
		receive_note(member, request->from, &note,
			bytes_make(request->payload, request->payload_len));
	peer_request_answer(request, ERR_OK);
}
