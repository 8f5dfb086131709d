/* SPDX-License-Identifier: Apache-2.0 */
/* Calls, from their start to their one end (E1).
 *
 *	NEW -> QUEUED -> SENDING -> SENT -> ENDING        LOCAL: to ourselves, its request is there
 *
 * A call is in one place: the queue of its link, the message that is being sent, a slot (from
 * SENDING on) and perhaps the answer that is being received. call_end() takes it out of all of
 * them, whatever it was that ended it, so that nothing of it is touched after done(). */
#include <stdlib.h>

#include "server/channel_priv.h"

/* --- queues ----------------------------------------------------------------------------------- */

void call_queue_push(struct call_queue *queue, struct peer_call *call)
{
	call->next = NULL;
	call->prev = queue->last;
	if (queue->last)
		queue->last->next = call;
	else
		queue->first = call;
	queue->last = call;
}

void call_queue_remove(struct call_queue *queue, struct peer_call *call)
{
	if (call->prev)
		call->prev->next = call->next;
	else
		queue->first = call->next;
	if (call->next)
		call->next->prev = call->prev;
	else
		queue->last = call->prev;
	call->next = call->prev = NULL;
}

/* --- slots ------------------------------------------------------------------------------------ */

enum err link_make_slots(struct channel_link *link)
{
	link->slots = calloc(LINK_SLOT_COUNT, sizeof *link->slots);
	if (!link->slots)
		return ERR_NO_MEMORY;
	for (unsigned i = 0; i < LINK_SLOT_COUNT; i++)
		link->slots[i].next = i + 1 < LINK_SLOT_COUNT ? i + 1 : SLOT_NONE;
	link->free_slot = 0;
	link->cancel_slot = SLOT_NONE;
	return ERR_OK;
}

/* A number says which slot, and which of the calls that were ever in it. */
bool link_take_slot(struct channel_link *link, struct peer_call *call)
{
	uint16_t index = link->free_slot;
	if (index == SLOT_NONE)
		return false;
	struct link_slot *slot = &link->slots[index];
	link->free_slot = slot->next;
	slot->call = call;
	slot->number = call->number = ++link->call_count * LINK_SLOT_COUNT + index;
	return true;
}

static struct link_slot *slot_of(struct channel_link *link, uint64_t number)
{
	return &link->slots[number % LINK_SLOT_COUNT];
}

static void free_slot(struct channel_link *link, struct link_slot *slot)
{
	slot->call = NULL;
	slot->number = 0;
	slot->next = link->free_slot;
	link->free_slot = slot - link->slots;
}

struct peer_call *link_find_call(struct channel_link *link, uint64_t number)
{
	struct link_slot *slot = slot_of(link, number);
	if (slot->number != number || !slot->call || slot->call->state != CALL_SENT)
		return NULL;
	return slot->call;
}

uint64_t link_take_cancel(struct channel_link *link)
{
	if (link->cancel_slot == SLOT_NONE)
		return 0;
	struct link_slot *slot = &link->slots[link->cancel_slot];
	uint64_t number = slot->number;
	link->cancel_slot = slot->next;
	free_slot(link, slot);
	return number;
}

/* --- ends ------------------------------------------------------------------------------------- */

static void run_end(struct task *task)
{
	struct peer_call *call = CONTAINER_OF(task, struct peer_call, task);
	assert(call->state == CALL_ENDING);
	call->done(call);
}

/* Takes a call that was sent, or is being sent, out of its link. */
static void leave_link(struct channel_link *link, struct peer_call *call)
{
	struct link_slot *slot = slot_of(link, call->number);
	assert(slot->call == call);
	slot->call = NULL;
	if (link->in.call == call) {
		/* Its answer is on its way; the rest of it goes nowhere. */
		link->in.call = NULL;
		link->in.payload = NULL;
		free_slot(link, slot);
	} else if (link->out.call == call) {
		link->out.call = NULL;
		link->out.is_void = true;
		free_slot(link, slot);
	} else {
		slot->next = link->cancel_slot;
		link->cancel_slot = slot - link->slots;
		link_mark(link);
	}
}

static void leave(struct peer_call *call)
{
	struct channel_peers *peers = CONTAINER_OF(call->peers, struct channel_peers, base);
	struct channel_link *link = call->link;
	timer_cancel(peers->loop, &call->timer);
	if (call->state == CALL_QUEUED)
		call_queue_remove(link ? &link->queue : &peers->self_queue, call);
	else if (call->state == CALL_LOCAL)
		self_cancel(peers, call);
	else if (call->state == CALL_SENDING || call->state == CALL_SENT)
		leave_link(link, call);
	call->link = NULL;
	call->state = CALL_ENDING;
}

void call_end(struct peer_call *call, enum err err)
{
	struct channel_peers *peers = CONTAINER_OF(call->peers, struct channel_peers, base);
	assert(call->state != CALL_ENDING);
	leave(call);
	call->err = err;
	call->answer_len = 0;
	call->answer_head = (struct bytes){0};
	call->task.run = run_end;
	loop_post(peers->loop, &call->task);
}

void call_end_now(struct peer_call *call, enum err err)
{
	struct channel_peers *peers = CONTAINER_OF(call->peers, struct channel_peers, base);
	assert(call->state == CALL_SENT || call->state == CALL_LOCAL);
	timer_cancel(peers->loop, &call->timer);
	call->state = CALL_ENDING;
	call->link = NULL;
	call->err = err;
	call->done(call);
}

void link_end_answered(struct channel_link *link, struct peer_call *call)
{
	struct link_slot *slot = slot_of(link, call->number);
	assert(slot->call == call && call->state == CALL_SENT);
	free_slot(link, slot);
	if (link->queue.first)
		link_mark(link);
	call_end_now(call, ERR_OK);
}

bool note_push(struct channel_peers *peers, struct call_queue *queue, size_t *io_total,
	uint16_t kind, struct bytes head, struct bytes payload)
{
	size_t len = head.len + payload.len;
	struct queued_note *note = NULL;
	if (*io_total + len <= peers->channel->settings.note_queue_len_max)
		note = malloc(sizeof *note + len);
	if (!note)
		return false;
	memset(note, 0, sizeof *note);
	if (head.len > 0)
		memcpy(note->bytes, head.data, head.len);
	if (payload.len > 0)
		memcpy(note->bytes + head.len, payload.data, payload.len);
	note->total = io_total;
	note->call.kind = kind;
	note->call.head = bytes_make(note->bytes, head.len);
	note->call.payload = bytes_make(note->bytes + head.len, payload.len);
	*io_total += sizeof *note + len;
	call_queue_push(queue, &note->call);
	return true;
}

void note_free(struct peer_call *call)
{
	assert(!call->done);
	struct queued_note *note = CONTAINER_OF(call, struct queued_note, call);
	*note->total -= sizeof *note + call->head.len + call->payload.len;
	free(note);
}

/* The link is gone: what was not begun was not sent. */
void link_end_calls(struct channel_link *link)
{
	struct channel_cells *cells = &link->peers->cells;
	struct peer_call *sending = link->out.call;
	if (sending && !sending->done) {
		link->out.call = NULL;
		note_free(sending);
	}
	for (unsigned i = 0; link->slots && i < LINK_SLOT_COUNT; i++) {
		if (link->slots[i].call)
			call_end(link->slots[i].call, ERR_CLOSED);
	}
	while (link->queue.first) {
		struct peer_call *call = link->queue.first;
		if (call->done) {
			call_end(call, ERR_UNAVAILABLE);
			continue;
		}
		call_queue_remove(&link->queue, call);
		note_free(call);
		channel_count(&cells->notes_lost, 1);
	}
	free(link->slots);
	link->slots = NULL;
}

/* --- the seam --------------------------------------------------------------------------------- */

struct channel_remote *channel_find_remote(struct channel_peers *peers, struct id node)
{
	struct channel_remote *remote = peers->remotes;
	while (remote && !id_is_equal(remote->node.id, node))
		remote = remote->next;
	return remote;
}

static struct channel_link *find_link(struct channel_peers *peers, struct id node)
{
	struct channel_remote *remote = channel_find_remote(peers, node);
	return remote && remote->link && remote->link->state == LINK_OPEN ? remote->link : NULL;
}

static void note_deadline(struct timer *timer)
{
	struct peer_call *call = CONTAINER_OF(timer, struct peer_call, timer);
	struct channel_peers *peers = CONTAINER_OF(call->peers, struct channel_peers, base);
	channel_count(&peers->cells.timeouts, 1);
	call_end(call, ERR_TIMEOUT);
}

void channel_call(struct peers *base, struct peer_call *call)
{
	struct channel_peers *peers = CONTAINER_OF(base, struct channel_peers, base);
	assert(loop_is_current(peers->loop));
	call->state = CALL_NEW;
	call->link = NULL;
	call->answer_len = 0;
	call->timer = (struct timer){.fire = note_deadline};
	bool is_self = id_is_equal(call->node, base->self);
	struct channel_link *link = is_self ? NULL : find_link(peers, call->node);
	if (peers->is_stopped || (!is_self && !link)) {
		call_end(call, ERR_UNAVAILABLE);
		return;
	}
	timer_set(peers->loop, &call->timer, call->deadline_ms);
	call->state = CALL_QUEUED;
	call->link = link;
	if (is_self) {
		self_call(peers, call);
	} else {
		call_queue_push(&link->queue, call);
		link_mark(link);
	}
}

void channel_cancel(struct peers *base, struct peer_call *call)
{
	assert(loop_is_current(base->loop) && call->state != CALL_NEW);
	if (call->state != CALL_ENDING)
		call_end(call, ERR_CANCELED);
}

/* Notes wait with the calls, copied; a link that is too far behind loses them (E3). */
void channel_note(
	struct peers *base, struct id node, uint16_t kind, struct bytes head, struct bytes payload)
{
	struct channel_peers *peers = CONTAINER_OF(base, struct channel_peers, base);
	assert(loop_is_current(peers->loop));
	if (peers->is_stopped)
		return;
	if (id_is_equal(node, base->self)) {
		self_note(peers, kind, head, payload);
		return;
	}
	struct channel_link *link = find_link(peers, node);
	if (link && note_push(peers, &link->queue, &link->note_len, kind, head, payload))
		link_mark(link);
	else
		channel_count(&peers->cells.notes_lost, 1);
}
