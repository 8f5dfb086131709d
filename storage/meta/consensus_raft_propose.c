/* SPDX-License-Identifier: Apache-2.0 */
/* Proposals: from their loops into groups, wherever the leader is.
 *
 *   pending --leader: into a group--------------------------> in flight --matched--> apply side
 *           --follower: into a batch --call--> leader's group -->
 *
 * A proposal gets a number when it leaves pending, and the term of the leader that it is for, which
 * takes it only in that term. It comes back to pending, with another number later, only when it is
 * known that the group with it is not in the log and never will be:
 *
 * - the leader refused it when it came for the first time, or nothing was sent;
 * - an entry of a later term is applied here: no entry of its term follows.
 *
 * A batch whose call broke is sent again, the same bytes, while its leader leads: that remembers
 * the last number it took from each node, so a batch is in the log once. (G1) of
 * consensus_single.c holds at the leader: while a group is being written the next one gathers. */
#include <stdlib.h>

#include "storage/meta/consensus_raft_priv.h"

enum {
	WIRE_VERSION = 1,
	FLIGHT_MS_MORE = CONSENSUS_FLIGHT_MS_MAX - CONSENSUS_PENDING_MS_MAX,
};

/* --- lists ------------------------------------------------------------------------------------ */

void proposals_push(struct proposals *list, struct proposal *proposal)
{
	proposal->next = NULL;
	*list->last = proposal;
	list->last = &proposal->next;
}

static struct proposal *pop(struct proposals *list)
{
	struct proposal *proposal = list->first;
	list->first = proposal->next;
	if (!list->first)
		list->last = &list->first;
	proposal->next = NULL;
	return proposal;
}

static struct proposal *unlink_at(struct proposals *list, struct proposal **link)
{
	struct proposal *proposal = *link;
	*link = proposal->next;
	if (!*link)
		list->last = link;
	proposal->next = NULL;
	return proposal;
}

/* Takes those in flight for which the predicate holds back to the front of pending, in order. */
static void take_back(struct member *member,
	bool (*is_meant)(const struct proposal *proposal, const void *arg), const void *arg)
{
	struct proposals back = {NULL, &back.first};
	struct proposal **link = &member->in_flight.first;
	while (*link)
		if (is_meant(*link, arg)) {
			struct proposal *proposal = unlink_at(&member->in_flight, link);
			proposal->due_ms -= FLIGHT_MS_MORE;
			proposals_push(&back, proposal);
		} else {
			link = &(*link)->next;
		}
	if (!back.first)
		return;
	*back.last = member->pending.first;
	if (!member->pending.first)
		member->pending.last = back.last;
	member->pending.first = back.first;
	member_retry(member);
}

static void fly(struct member *member, struct proposal *proposal)
{
	proposal->number = ++member->next_number;
	proposal->term = member->raft.current_term;
	proposal->due_ms += FLIGHT_MS_MORE;
	proposals_push(&member->in_flight, proposal);
}

struct proposal *member_match(struct member *member, uint64_t origin, uint64_t number)
{
	if (origin != member->life)
		return NULL;
	struct proposal **link = &member->in_flight.first;
	while (*link && (*link)->number < number)
		link = &(*link)->next;
	if (!*link || (*link)->number != number)
		return NULL;
	return unlink_at(&member->in_flight, link);
}

static bool is_of_earlier_term(const struct proposal *proposal, const void *arg)
{
	return proposal->term < *(const uint64_t *)arg;
}

void member_void_terms_before(struct member *member, uint64_t term)
{
	take_back(member, is_of_earlier_term, &term);
}

/* --- groups, at the leader -------------------------------------------------------------------- */

static size_t proposal_len(const struct proposal *proposal)
{
	return GROUP_COMMAND_HEAD_LEN + proposal->command.len;
}

/* How much of what waits the next group has. */
struct filling {
	size_t locals, batches, count, len;
};

static struct filling measure(const struct member *member)
{
	struct filling filling = {.len = GROUP_HEADER_LEN};
	for (; filling.batches < member->batch_count; filling.batches++) {
		size_t at = (member->batch_first + filling.batches) % BATCHES_MAX;
		const struct batch *batch = &member->batches[at];
		if (filling.count + batch->count > GROUP_COMMANDS_MAX ||
			filling.len + batch->request->payload_len > member->len_max)
			break;
		filling.count += batch->count;
		filling.len += batch->request->payload_len;
	}
	const struct proposal *proposal = member->pending.first;
	for (; proposal && filling.count < GROUP_COMMANDS_MAX; proposal = proposal->next) {
		if (filling.len + proposal_len(proposal) > member->len_max)
			break;
		filling.count++;
		filling.locals++;
		filling.len += proposal_len(proposal);
	}
	return filling;
}

static uint8_t *put_proposal(
	uint8_t *out, const struct member *member, const struct proposal *proposal)
{
	group_encode_command_head(out, proposal->command.len, member->life, proposal->number);
	out += GROUP_COMMAND_HEAD_LEN;
	memcpy(out, proposal->command.data, proposal->command.len);
	return out + proposal->command.len;
}

static void take_batches(struct member *member, uint8_t **out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct batch *batch = &member->batches[member->batch_first];
		struct peer_request *request = batch->request;
		memcpy(*out, request->payload, request->payload_len);
		*out += request->payload_len;
		batch->request = NULL;
		member->batch_first = (member->batch_first + 1) % BATCHES_MAX;
		member->batch_count--;
		peer_request_answer(request, ERR_OK);
	}
}

/* The time of a group is never less than that of one before (N3). */
static void tell_time(struct member *member)
{
	int64_t now_ms = clock_wall_ms(member->setup.clock);
	if (now_ms > 0 && (uint64_t)now_ms > member->time_ms)
		member->time_ms = now_ms;
}

static void make_group(struct member *member)
{
	struct filling filling = measure(member);
	uint64_t index = raft_last_index(&member->raft) + 1;
	struct entry *entry = entry_new(member, index, member->raft.current_term, filling.len);
	if (!entry) {
		member_fail(member, ERR_NO_MEMORY);
		return;
	}
	tell_time(member);
	group_encode_header(entry->bytes, GROUP_COMMANDS, member->time_ms, filling.count);
	uint8_t *out = entry->bytes + GROUP_HEADER_LEN;
	take_batches(member, &out, filling.batches);
	for (size_t i = 0; i < filling.locals; i++) {
		struct proposal *proposal = pop(&member->pending);
		fly(member, proposal);
		out = put_proposal(out, member, proposal);
	}
	assert(out == entry->bytes + filling.len && filling.count > 0);
	enum err err = member_submit(member, entry, RAFT_COMMAND);
	assert(err == ERR_OK || member_is_dead(member));
}

static bool can_make_group(struct member *member)
{
	struct raft *raft = &member->raft;
	uint64_t last = raft_last_index(raft);
	return member->barrier_index > 0 && raft_transferee(raft) == 0 &&
		last == raft->last_stored && last < raft->commit_index + GROUPS_MAX;
}

/* --- batches, from followers ------------------------------------------------------------------ */

static void forward_done(struct peer_call *call);

static void start_forward(struct member *member, struct id leader)
{
	struct forward *forward = &member->forward;
	forward->state = FORWARD_CALLING;
	forward->call.node = leader;
	forward->call.kind = PEER_PROPOSE;
	forward->call.deadline_ms = FORWARD_MS_MAX;
	forward->call.head = bytes_make(forward->head, PROPOSE_HEAD_LEN);
	forward->call.payload = bytes_make(forward->buf, forward->len);
	forward->call.done = forward_done;
	peer_call_start(member->setup.peers, &forward->call);
}

static bool is_in_batch(const struct proposal *proposal, const void *arg)
{
	const struct forward *forward = arg;
	return proposal->number >= forward->first && proposal->number <= forward->last;
}

static void forward_done(struct peer_call *call)
{
	struct forward *forward = CONTAINER_OF(call, struct forward, call);
	struct member *member = CONTAINER_OF(forward, struct member, forward);
	assert(forward->state == FORWARD_CALLING);
	forward->state = FORWARD_IDLE;
	bool was_refused = call->err == ERR_OK && call->answer_err != ERR_OK;
	bool is_again = forward->was_sent;
	forward->was_sent |= call->err != ERR_UNAVAILABLE;
	if (!is_again && (was_refused || call->err == ERR_UNAVAILABLE)) {
		take_back(member, is_in_batch, forward);
	} else if (call->err != ERR_OK || call->answer_err == ERR_BUSY) {
		forward->state = FORWARD_WAITING;
		member_retry(member);
	}
	member_advance_stop(member);
	member_settle(member);
}

static void fill_forward(struct member *member)
{
	struct forward *forward = &member->forward;
	forward->first = member->next_number + 1;
	forward->term = member->raft.current_term;
	forward->was_sent = false;
	size_t len = 0;
	uint32_t count = 0;
	while (member->pending.first && count < GROUP_COMMANDS_MAX) {
		size_t more = proposal_len(member->pending.first);
		if (GROUP_HEADER_LEN + len + more > member->len_max)
			break;
		struct proposal *proposal = pop(&member->pending);
		fly(member, proposal);
		put_proposal(forward->buf + len, member, proposal);
		len += more;
		count++;
	}
	forward->last = member->next_number;
	forward->len = len;
	memset(forward->head, 0, sizeof forward->head);
	forward->head[0] = WIRE_VERSION;
	put_le64(forward->head + 8, member->life);
	put_le64(forward->head + 16, forward->term);
	put_le32(forward->head + 24, count);
}

/* Sends what waits, or again what may not have arrived. */
static void forward_some(struct member *member)
{
	struct forward *forward = &member->forward;
	struct id leader;
	/* What went to a leader that was: entries of the next one tell what became of it. */
	if (forward->state == FORWARD_WAITING && forward->term != member->raft.current_term)
		forward->state = FORWARD_IDLE;
	if (forward->state == FORWARD_CALLING || !member_leader_node(member, &leader))
		return;
	if (forward->state == FORWARD_WAITING) {
		if (!member->retry.is_set)
			start_forward(member, leader);
		return;
	}
	if (!member->pending.first || member->retry.is_set)
		return;
	fill_forward(member);
	start_forward(member, leader);
}

void member_gather(struct member *member)
{
	if (!member_leads(member)) {
		forward_some(member);
		return;
	}
	if (member->forward.state == FORWARD_WAITING)
		member->forward.state = FORWARD_IDLE;
	while (!member_is_dead(member) && can_make_group(member) &&
		(member->pending.first || member->batch_count > 0))
		make_group(member);
}

/* --- serving ---------------------------------------------------------------------------------- */

static struct origin *origin_of(struct member *member, struct id node)
{
	for (size_t i = 0; i < BATCHES_MAX; i++)
		if (member->origins[i].life != 0 && id_is_equal(member->origins[i].node, node))
			return &member->origins[i];
	for (size_t i = 0; i < BATCHES_MAX; i++) {
		bool is_old = member->origins[i].term != member->raft.current_term;
		if (!is_old)
			continue;
		member->origins[i] = (struct origin){.node = node};
		return &member->origins[i];
	}
	return NULL;
}

/* Checks the commands; all are of the life that the head names, with ascending numbers. */
static enum err check_batch(struct member *member, const struct peer_request *request,
	uint64_t *ret_life, size_t *ret_count, uint64_t *ret_last)
{
	const uint8_t *head = request->head.data;
	if (request->head.len != PROPOSE_HEAD_LEN || get_le32(head + 4) != 0)
		return ERR_INVALID;
	if (head[0] != WIRE_VERSION)
		return ERR_VERSION;
	uint64_t life = get_le64(head + 8), last = 0;
	size_t count = get_le32(head + 24);
	if (life == 0 || count == 0 || count > GROUP_COMMANDS_MAX)
		return ERR_INVALID;
	if (GROUP_HEADER_LEN + request->payload_len > member->len_max)
		return ERR_LIMIT;
	struct bytes payload = bytes_make(request->payload, request->payload_len);
	if (group_decode_commands(payload, count, member->scratch) != ERR_OK)
		return ERR_INVALID;
	for (size_t i = 0; i < count; i++) {
		const struct group_command *command = &member->scratch[i];
		if (command->origin != life || command->number <= last)
			return ERR_INVALID;
		last = command->number;
	}
	*ret_life = life;
	*ret_count = count;
	*ret_last = last;
	return ERR_OK;
}

/* Takes a batch, or says that it is not taken. ERR_EXISTS: it was taken before. */
static enum err take_batch(struct member *member, struct peer_request *request)
{
	uint64_t life, last;
	size_t count;
	enum err err = check_batch(member, request, &life, &count, &last);
	if (err != ERR_OK)
		return err;
	if (!member_leads(member) || member->has_stopped || member_is_dead(member) ||
		get_le64(request->head.data + 16) != member->raft.current_term)
		return ERR_UNAVAILABLE;
	if (!member_is_of_group(member, request->from))
		return ERR_DENIED;
	struct origin *origin = origin_of(member, request->from);
	if (!origin)
		return ERR_BUSY;
	bool is_same = origin->life == life && origin->term == member->raft.current_term;
	if (is_same && last <= origin->number)
		return ERR_EXISTS;
	if (member->batch_count == BATCHES_MAX)
		return ERR_BUSY;
	size_t at = (member->batch_first + member->batch_count++) % BATCHES_MAX;
	member->batches[at] = (struct batch){.request = request, .count = count};
	*origin = (struct origin){request->from, life, member->raft.current_term, last};
	return ERR_OK;
}

void member_serve_propose(void *arg, struct peer_request *request)
{
	struct member *member = arg;
	assert(member->magic == MEMBER_MAGIC);
	enum err err = take_batch(member, request);
	if (err != ERR_OK)
		peer_request_answer(request, err == ERR_EXISTS ? ERR_OK : err);
	else
		member_settle(member);
}

void member_refuse_batches(struct member *member)
{
	for (; member->batch_count > 0; member->batch_count--) {
		struct batch *batch = &member->batches[member->batch_first];
		peer_request_answer(batch->request, ERR_UNAVAILABLE);
		batch->request = NULL;
		member->batch_first = (member->batch_first + 1) % BATCHES_MAX;
	}
}

/* --- from the loops --------------------------------------------------------------------------- */

/* A proposal arrives. Those behind it in the loop's queue arrive before the group is gathered. */
static void propose_run(struct task *task)
{
	struct proposal *proposal = CONTAINER_OF(task, struct proposal, task);
	struct member *member = member_of(proposal->consensus);
	if (member->is_stopping || member_is_dead(member)) {
		proposal_end(proposal, ERR_UNAVAILABLE);
		return;
	}
	if (GROUP_HEADER_LEN + proposal_len(proposal) > member->len_max) {
		proposal_end(proposal, ERR_LIMIT);
		return;
	}
	proposal->due_ms = member_now_ms(member) + CONSENSUS_PENDING_MS_MAX;
	proposals_push(&member->pending, proposal);
	member_watch_deadlines(member);
	member_settle_soon(member);
}

void member_propose(struct consensus *consensus, struct proposal *proposal)
{
	struct member *member = member_of(consensus);
	proposal->consensus = consensus;
	proposal->result_len = 0;
	proposal->task.run = propose_run;
	loop_post(member->loop, &proposal->task);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void expire(struct proposals *list, uint64_t now_ms, enum err err)
{
	struct proposal **link = &list->first;
	while (*link)
		if ((*link)->due_ms <= now_ms)
			proposal_end(unlink_at(list, link), err);
		else
			link = &(*link)->next;
}

void member_expire_proposals(struct member *member, uint64_t now_ms)
{
	expire(&member->pending, now_ms, ERR_UNAVAILABLE);
	expire(&member->in_flight, now_ms, ERR_UNKNOWN);
}

void member_end_proposals(struct member *member)
{
	expire(&member->pending, UINT64_MAX, ERR_UNAVAILABLE);
	expire(&member->in_flight, UINT64_MAX, ERR_UNKNOWN);
}

void member_lose_flight(struct member *member)
{
	expire(&member->in_flight, UINT64_MAX, ERR_UNKNOWN);
}

bool member_has_proposals(const struct member *member)
{
	return member->pending.first || member->in_flight.first;
}

void member_propose_init(struct member *member)
{
	member->pending.last = &member->pending.first;
	member->in_flight.last = &member->in_flight.first;
	do
		member->life = random_u64(member->setup.log.random);
	while (member->life == 0);
}
