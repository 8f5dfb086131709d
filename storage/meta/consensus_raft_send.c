/* SPDX-License-Identifier: Apache-2.0 */
/* What libraft wants to be sent, as notes. Any of it may be lost.
 *
 * libraft names entries by index; their bytes are added here. What must not leave before a vote is
 * durable waits (R1); entries that wait are sent only if this member still leads the term. */
#include "storage/meta/consensus_raft_priv.h"

enum { PAYLOAD_LEN_MAX = PEER_NOTE_LEN_MAX };

static void send_note(
	struct member *member, struct id node, const struct raft_note *note, size_t payload_len)
{
	uint8_t head[RAFT_NOTE_LEN];
	raft_note_encode(note, head);
	peer_note(member->setup.peers, node, PEER_RAFT, bytes_make(head, sizeof head),
		bytes_make(member->out, payload_len));
}

/* Puts entries into the payload, as many as fit and may go together: one that changes the
 * configuration goes alone (R2). Returns how many. */
static uint32_t fill_payload(struct member *member, uint64_t first, uint32_t count, size_t *ret_len,
	uint64_t *ret_last_term)
{
	size_t len = 0;
	uint32_t put = 0;
	while (put < count) {
		struct entry *entry;
		if (member_entry(member, first + put, &entry) != ERR_OK)
			break; /* what is missing is asked for again */
		bool is_change = group_kind(entry->part) == GROUP_CHANGE;
		bool is_early = is_change && entry->index > member->raft.last_stored;
		bool fits = !is_early && len + RAFT_NOTE_ENTRY_LEN + entry->len <= PAYLOAD_LEN_MAX;
		if (!fits || (is_change && put > 0)) {
			entry_unref(entry);
			break;
		}
		note_entry_encode(member->out + len, entry->len, entry->term);
		memcpy(member->out + len + RAFT_NOTE_ENTRY_LEN, entry->bytes, entry->len);
		len += RAFT_NOTE_ENTRY_LEN + entry->len;
		*ret_last_term = entry->term;
		entry_unref(entry);
		put++;
		if (is_change)
			break;
	}
	*ret_len = len;
	return put;
}

static void send_append(struct member *member, struct id node, const struct raft_note *whole)
{
	struct raft_note note = *whole;
	uint32_t left = whole->count;
	do {
		size_t len;
		uint64_t last_term = 0;
		uint32_t put = fill_payload(member, note.index + 1, left, &len, &last_term);
		if (put == 0 && left > 0)
			return;
		note.count = put;
		send_note(member, node, &note, len);
		left -= put;
		note.index += put;
		note.index_term = last_term;
	} while (left > 0);
}

static void send_or_hold(struct member *member, struct id node, const struct raft_note *note)
{
	if (member->votes_pending > 0) {
		if (member->held_count < HELD_MAX)
			member->held[member->held_count++] = (struct held_note){node, *note};
		return;
	}
	if (note->type == NOTE_APPEND)
		send_append(member, node, note);
	else
		send_note(member, node, note, 0);
}

void member_send_held(struct member *member)
{
	assert(member->votes_pending == 0);
	size_t count = member->held_count;
	member->held_count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct held_note *held = &member->held[i];
		bool leads = member_leads(member) && member->raft.current_term == held->note.term;
		if (held->note.type != NOTE_APPEND || leads)
			send_or_hold(member, held->node, &held->note);
	}
}

/* --- libraft's messages ----------------------------------------------------------------------- */

static void set_append(struct raft_note *note, const struct raft_append_entries *append)
{
	note->type = NOTE_APPEND;
	note->term = append->term;
	note->index = append->prev_log_index;
	note->index_term = append->prev_log_term;
	note->extra = append->leader_commit;
	note->count = append->n_entries;
}

static void set_append_result(
	struct raft_note *note, const struct raft_append_entries_result *result)
{
	note->type = NOTE_APPEND_RESULT;
	note->term = result->term;
	note->index = result->last_log_index;
	note->extra = result->rejected;
	note->features = result->features;
	note->capacity = result->capacity;
}

static void set_vote(struct raft_note *note, const struct raft_request_vote *vote)
{
	note->type = NOTE_VOTE;
	note->term = vote->term;
	note->index = vote->last_log_index;
	note->index_term = vote->last_log_term;
	note->flags = (vote->disrupt_leader ? NOTE_DISRUPT : 0) |
		(vote->pre_vote ? NOTE_PRE_VOTE : 0);
}

static void set_vote_result(struct raft_note *note, const struct raft_request_vote_result *result)
{
	note->type = NOTE_VOTE_RESULT;
	note->term = result->term;
	note->features = result->features;
	note->capacity = result->capacity;
	note->flags = (result->vote_granted ? NOTE_GRANTED : 0) |
		(result->pre_vote ? NOTE_PRE_VOTE : 0);
}

/* Who sent a quiet note wants to hear only what is new to it: a rejection, a later term. */
static bool is_quiet(const struct member *member, const struct raft_append_entries_result *result)
{
	return member->quiet_term > 0 && result->rejected == 0 &&
		result->term == member->quiet_term;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The commit index that a follower takes from what was sent to it: not beyond what it has. */
static uint64_t *told_of(struct member *member, uint64_t id)
{
	struct told *free = &member->told[0];
	for (size_t i = 0; i < CONSENSUS_MEMBERS_MAX; i++) {
		struct told *told = &member->told[i];
		if (told->id == id)
			return &told->commit;
		if (told->commit < free->commit)
			free = told;
	}
	*free = (struct told){.id = id};
	return &free->commit;
}

void member_send(struct member *member, const struct raft_message *message)
{
	struct raft_note note = {.from = member->id, .to = message->server_id};
	struct id node;
	if (note.to == member->id || node_parse(message->server_address, &node) != ERR_OK)
		return;
	switch (message->type) {
	case RAFT_INSTALL_SNAPSHOT:
		member_push(member, note.to, node);
		return;
	case RAFT_APPEND_ENTRIES:
		set_append(&note, &message->append_entries);
		*told_of(member, note.to) = least(note.extra, note.index + note.count);
		break;
	case RAFT_APPEND_ENTRIES_RESULT:
		if (is_quiet(member, &message->append_entries_result))
			return;
		set_append_result(&note, &message->append_entries_result);
		break;
	case RAFT_REQUEST_VOTE:
		set_vote(&note, &message->request_vote);
		break;
	case RAFT_REQUEST_VOTE_RESULT:
		set_vote_result(&note, &message->request_vote_result);
		break;
	case RAFT_TIMEOUT_NOW:
		note.type = NOTE_LEAD_NOW;
		note.term = message->timeout_now.term;
		note.index = message->timeout_now.last_log_index;
		note.index_term = message->timeout_now.last_log_term;
		break;
	default:
		return;
	}
	send_or_hold(member, node, &note);
}

void member_send_refusal(struct member *member, struct id node, const struct raft_note *append)
{
	struct raft_note note = {
		.type = NOTE_APPEND_RESULT,
		.from = member->id,
		.to = append->from,
		.term = member->raft.current_term,
		.extra = append->index > 0 ? append->index : 1,
	};
	send_or_hold(member, node, &note);
}

void member_send_commit(struct member *member)
{
	const struct raft *raft = &member->raft;
	if (!member_leads(member))
		return;
	for (unsigned i = 0; i < raft->configuration.n; i++) {
		const struct raft_server *server = &raft->configuration.servers[i];
		struct id node;
		raft_index match;
		if (server->id == raft->id || raft_match_index(raft, server->id, &match) != 0)
			continue;
		uint64_t *told = told_of(member, server->id);
		if (*told >= least(raft->commit_index, match))
			continue;
		*told = least(raft->commit_index, match);
		uint64_t term = match > 0 ? member_term_of(member, match) : 0;
		if (term == 0 || node_parse(server->address, &node) != ERR_OK)
			continue;
		struct raft_note note = {
			.type = NOTE_APPEND,
			.flags = NOTE_QUIET,
			.from = member->id,
			.to = server->id,
			.term = raft->current_term,
			.index = match,
			.index_term = term,
			.extra = raft->commit_index,
		};
		send_or_hold(member, node, &note);
	}
}
