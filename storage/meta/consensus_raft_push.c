/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, as leader: when libraft wants to send one, the state machine is exported and its bytes
 * go in calls, one at a time, each answered when the other has written it.
 *
 *   IDLE --INSTALL_SNAPSHOT--> OPENING --> SENDING (BEGIN, DATA ..., END) <--> READING --> IDLE
 *
 * Whatever goes wrong ends the push; libraft asks again with a later heartbeat. While a push runs
 * the log keeps what is behind its state. */
#include <stdlib.h>

#include "storage/meta/consensus_raft_priv.h"

static void push_end(struct member *member)
{
	struct push *push = &member->push;
	assert(push->state != PUSH_IDLE);
	push->state = PUSH_IDLE;
	free(push->buf);
	push->buf = NULL;
	if (push->is_open)
		member->setup.snapshots->ops->close(member->setup.snapshots);
	push->is_open = false;
	member_advance_stop(member);
}

static bool may_go_on(const struct member *member)
{
	return member_leads(member) && member->raft.current_term == member->push.term &&
		!member->has_stopped && atomic_load(&member->err) == ERR_OK;
}

static void push_sent(struct peer_call *call);

static void send_part(struct member *member, enum snapshot_part part, struct bytes payload)
{
	struct push *push = &member->push;
	push->state = PUSH_SENDING;
	push->part = part;
	struct snapshot_head head = {
		.part = part,
		.from = member->id,
		.to = push->to,
		.term = push->term,
		.number = push->number,
		.index = push->index,
		.index_term = push->index_term,
		.offset = push->offset,
		.conf_index = push->conf_index,
		.time_ms = member->time_ms,
	};
	snapshot_head_encode(&head, push->head);
	push->call.node = push->node;
	push->call.kind = PEER_SNAPSHOT;
	push->call.deadline_ms = SNAPSHOT_MS_MAX;
	push->call.head = bytes_make(push->head, SNAPSHOT_HEAD_LEN);
	push->call.payload = payload;
	push->call.done = push_sent;
	peer_call_start(member->setup.peers, &push->call);
}

static void push_read(struct snapshot_op *op)
{
	struct push *push = CONTAINER_OF(op, struct push, op);
	struct member *member = CONTAINER_OF(push, struct member, push);
	assert(member->magic == MEMBER_MAGIC && push->state == PUSH_READING);
	if (op->err != ERR_OK || !may_go_on(member))
		push_end(member);
	else if (op->len > 0)
		send_part(member, SNAPSHOT_DATA, bytes_make(push->buf, op->len));
	else
		send_part(member, SNAPSHOT_END, bytes_make(push->conf, push->conf_len));
}

static void read_more(struct member *member)
{
	struct push *push = &member->push;
	push->state = PUSH_READING;
	push->op = (struct snapshot_op){.loop = member->loop, .done = push_read, .buf = push->buf};
	member->setup.snapshots->ops->read(member->setup.snapshots, &push->op);
}

static void push_sent(struct peer_call *call)
{
	struct push *push = CONTAINER_OF(call, struct push, call);
	struct member *member = CONTAINER_OF(push, struct member, push);
	assert(member->magic == MEMBER_MAGIC && push->state == PUSH_SENDING);
	push->offset += push->part == SNAPSHOT_DATA ? call->payload.len : 0;
	bool was_taken = call->err == ERR_OK && call->answer_err == ERR_OK;
	if (was_taken && push->part != SNAPSHOT_END && may_go_on(member))
		read_more(member);
	else
		push_end(member);
}

/* The state has an index; what counts there is told to libraft at the other end. */
static enum err fix_state(struct member *member, uint64_t index)
{
	struct push *push = &member->push;
	const struct raft *raft = &member->raft;
	push->index = index;
	push->index_term = member_term_of(member, index);
	push->conf_index = raft->configuration_committed_index;
	if (push->index_term == 0 || push->conf_index > index || push->conf_index == 0)
		return ERR_BUSY; /* the export is older than the log or the members; soon it is not
				  */
	struct raft_buffer buf;
	if (raft_configuration_encode(&raft->configuration_committed, &buf) != 0)
		return ERR_NO_MEMORY;
	assert(buf.len <= CONFIGURATION_LEN_MAX);
	push->conf_len = buf.len;
	memcpy(push->conf, buf.base, buf.len);
	raft_free(buf.base);
	return ERR_OK;
}

static void push_opened(struct snapshot_op *op)
{
	struct push *push = CONTAINER_OF(op, struct push, op);
	struct member *member = CONTAINER_OF(push, struct member, push);
	assert(member->magic == MEMBER_MAGIC && push->state == PUSH_OPENING);
	push->is_open = op->err == ERR_OK;
	enum err err = op->err;
	if (err == ERR_OK)
		err = may_go_on(member) ? fix_state(member, op->index) : ERR_CANCELED;
	if (err == ERR_OK)
		send_part(member, SNAPSHOT_BEGIN, bytes_make(NULL, 0));
	else
		push_end(member);
}

void member_push(struct member *member, uint64_t to, struct id node)
{
	struct push *push = &member->push;
	if (!member->setup.snapshots || push->state != PUSH_IDLE || member->has_stopped)
		return;
	push->buf = malloc(SNAPSHOT_CHUNK_LEN);
	if (!push->buf)
		return; /* later, with the next heartbeat */
	push->state = PUSH_OPENING;
	push->to = to;
	push->node = node;
	push->term = member->raft.current_term;
	push->number = random_u64(member->setup.log.random) | 1;
	push->offset = 0;
	push->index = 0;
	push->op = (struct snapshot_op){.loop = member->loop, .done = push_opened};
	member->setup.snapshots->ops->open(member->setup.snapshots, &push->op);
}

bool member_is_pushing(const struct member *member)
{
	return member->push.state != PUSH_IDLE;
}
