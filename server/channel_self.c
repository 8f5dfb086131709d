/* SPDX-License-Identifier: Apache-2.0 */
/* Calls and notes to ourselves: no wire, but the same order, room and ends. They wait in one queue
 * until a window's room is there; a task of the loop hands them over. */
#include <stdlib.h>

#include "server/channel_priv.h"

void self_post(struct channel_peers *peers)
{
	if (peers->is_self_posted || !peers->self_queue.first)
		return;
	peers->is_self_posted = true;
	loop_post(peers->loop, &peers->self_task);
}

void self_call(struct channel_peers *peers, struct peer_call *call)
{
	call_queue_push(&peers->self_queue, call);
	self_post(peers);
}

void self_note(struct channel_peers *peers, uint16_t kind, struct bytes head, struct bytes payload)
{
	if (!note_push(peers, &peers->self_queue, &peers->self_note_len, kind, head, payload))
		channel_count(&peers->cells.notes_lost, 1);
	self_post(peers);
}

/* The request of a local call: the call ended, and its answer goes nowhere. */
void self_cancel(struct channel_peers *peers, struct peer_call *call)
{
	struct channel_request *request = call->link;
	(void)peers;
	assert(request->magic == REQUEST_MAGIC && request->local == call);
	request->local = NULL;
}

/* The first in line becomes a request. Errors: ERR_BUSY, it waits for room; ERR_NO_MEMORY. */
static enum err hand_first(struct channel_peers *peers)
{
	struct peer_call *call = peers->self_queue.first;
	bool is_note = !call->done;
	struct channel_frame frame = {.type = is_note ? CHANNEL_NOTE : CHANNEL_CALL,
		.kind = call->kind,
		.head_len = call->head.len,
		.payload_len = call->payload.len};
	uint32_t charge = channel_charge(call->head.len, call->payload.len);
	if (peers->self_spent + charge > peers->channel->settings.window_len)
		return ERR_BUSY;
	struct channel_request *request;
	enum err err = request_new(peers, NULL, &frame, &request);
	if (err)
		return err;
	call_queue_remove(&peers->self_queue, call);
	peers->self_spent += charge;
	request->is_local = true;
	if (call->head.len > 0)
		memcpy(request->head, call->head.data, call->head.len);
	if (call->payload.len > 0)
		memcpy(request->buffer, call->payload.data, call->payload.len);
	if (is_note) {
		note_free(call);
	} else {
		call->state = CALL_LOCAL;
		call->link = request;
		request->local = call;
	}
	request_hand(request, peers->base.self);
	return ERR_OK;
}

void self_run(struct task *task)
{
	struct channel_peers *peers = CONTAINER_OF(task, struct channel_peers, self_task);
	peers->is_self_posted = false;
	/* What handlers start meanwhile waits for the next turn. */
	struct peer_call *last = peers->self_queue.last;
	bool is_last = !last;
	while (!is_last && peers->self_queue.first) {
		struct peer_call *call = peers->self_queue.first;
		is_last = call == last;
		enum err err = hand_first(peers);
		if (err == ERR_BUSY)
			return; /* an answer posts again */
		if (err && call->done) {
			call_end(call, err);
		} else if (err) {
			call_queue_remove(&peers->self_queue, call);
			note_free(call);
			channel_count(&peers->cells.notes_lost, 1);
		}
	}
	self_post(peers);
}

static void run_local_answer(struct task *task)
{
	struct channel_request *request = CONTAINER_OF(task, struct channel_request, base.task);
	struct peer_request *base = &request->base;
	struct peer_call *call = request->local;
	assert(request->magic == REQUEST_MAGIC && request->is_local);
	if (call && base->answer_payload.len > call->answer_cap) {
		call_end(call, ERR_LIMIT);
	} else if (call) {
		request->local = NULL;
		call->answer_err = base->answer_err;
		call->answer_head = base->answer_head;
		call->answer_len = base->answer_payload.len;
		if (call->answer_len > 0)
			memcpy(call->answer_buf, base->answer_payload.data, call->answer_len);
		call_end_now(call, ERR_OK);
	}
	request_end(request);
}

void self_answer(struct channel_request *request)
{
	struct channel_peers *peers = CONTAINER_OF(request->base.peers, struct channel_peers, base);
	request->state = REQUEST_ANSWERED;
	request->base.task.run = run_local_answer;
	loop_post(peers->loop, &request->base.task);
}

/* Ends what waits; what is with handlers ends with their answers. */
void self_stop(struct channel_peers *peers)
{
	while (peers->self_queue.first) {
		struct peer_call *call = peers->self_queue.first;
		if (call->done) {
			call_end(call, ERR_UNAVAILABLE);
			continue;
		}
		call_queue_remove(&peers->self_queue, call);
		note_free(call);
	}
}
