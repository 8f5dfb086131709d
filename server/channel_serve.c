/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of other nodes, and of our own: their memory, their handlers, their answers.
 *
 * A request holds its charge until it is answered (E4), and lives on when its link breaks: the
 * handler has it, and gives it back by answering. What it holds then counts against the room for
 * new links. */
#include <stdlib.h>

#include "server/channel_priv.h"

#define CHARGE_LEN_MAX (CHANNEL_REQUEST_LEN - 64) /* malloc()'s own share */

void request_list_push(struct request_list *list, struct channel_request *request)
{
	struct peer_request *base = &request->base;
	base->next = NULL;
	base->prev = list->last;
	if (list->last)
		list->last->next = base;
	else
		list->first = base;
	list->last = base;
}

void request_list_remove(struct request_list *list, struct channel_request *request)
{
	struct peer_request *base = &request->base;
	if (base->prev)
		base->prev->next = base->next;
	else
		list->first = base->next;
	if (base->next)
		base->next->prev = base->prev;
	else
		list->last = base->prev;
	base->next = base->prev = NULL;
}

static struct channel_peers *peers_of(struct channel_request *request)
{
	return CONTAINER_OF(request->base.peers, struct channel_peers, base);
}

static enum pool_size size_for(size_t len)
{
	if (len <= 4096)
		return POOL_4K;
	if (len <= 64 << 10)
		return POOL_64K;
	return len <= 256 << 10 ? POOL_256K : POOL_1280K;
}

enum err request_new(struct channel_peers *peers, struct channel_link *link,
	const struct channel_frame *frame, struct channel_request **ret_request)
{
	/* What is charged for the struct is used: a short answer's head needs no memory then. */
	static_assert(sizeof(struct channel_request) < CHARGE_LEN_MAX, "a request fits its charge");
	size_t head_cap = CHARGE_LEN_MAX - sizeof(struct channel_request);
	if (frame->head_len > head_cap)
		head_cap = frame->head_len;
	struct channel_request *request = malloc(sizeof *request + head_cap);
	if (!request)
		return ERR_NO_MEMORY;
	memset(request, 0, sizeof *request);
	if (frame->payload_len > 0) {
		enum err err = pool_take(
			&peers->pool, size_for(frame->payload_len), 1, &request->buffer);
		if (err) {
			free(request);
			return err;
		}
	}
	request->magic = REQUEST_MAGIC;
	request->link = link;
	request->charge = channel_charge(frame->head_len, frame->payload_len);
	request->head_cap = head_cap;
	request->base.peers = &peers->base;
	request->base.kind = frame->kind;
	request->base.is_note = frame->type == CHANNEL_NOTE;
	request->base.number = frame->number;
	request->base.head = bytes_make(request->head, frame->head_len);
	request->base.payload = request->buffer;
	request->base.payload_len = frame->payload_len;
	peers->request_count++;
	*ret_request = request;
	return ERR_OK;
}

/* Its room is free again: credit for the link, or room for new links. */
void request_give_room(struct channel_request *request)
{
	struct channel_peers *peers = peers_of(request);
	if (request->charge == 0)
		return;
	pool_give(&peers->pool, request->buffer);
	request->buffer = NULL;
	if (request->is_local)
		peers->self_spent -= request->charge;
	else if (request->link)
		request->link->granted += request->charge;
	else
		peers->reserved_len -= request->charge;
	request->charge = 0;
}

static void release(struct channel_request *request)
{
	struct channel_peers *peers = peers_of(request);
	request_give_room(request);
	assert(peers->request_count > 0);
	peers->request_count--;
	free(request->long_head);
	request->magic = 0;
	free(request);
	peers_settle(peers);
}

void request_drop(struct channel_request *request)
{
	release(request);
}

static void run_sent(struct task *task)
{
	struct channel_request *request = CONTAINER_OF(task, struct channel_request, base.task);
	assert(request->magic == REQUEST_MAGIC && request->state == REQUEST_ENDING);
	request->base.sent(&request->base);
	release(request);
}

void request_end(struct channel_request *request)
{
	struct channel_peers *peers = peers_of(request);
	request_give_room(request);
	if (request->is_local)
		self_post(peers);
	else if (request->link)
		link_mark(request->link);
	request->link = NULL;
	request->state = REQUEST_ENDING;
	if (!request->base.sent) {
		release(request);
		return;
	}
	request->base.task.run = run_sent;
	loop_post(peers->loop, &request->base.task);
}

void request_hand(struct channel_request *request, struct id from)
{
	struct peers *base = request->base.peers;
	uint16_t kind = request->base.kind;
	request->base.from = from;
	request->state = REQUEST_HANDED;
	if (request->link)
		request_list_push(&request->link->requests, request);
	if (kind < PEER_KIND_COUNT && base->services[kind].handle)
		base->services[kind].handle(base->services[kind].arg, &request->base);
	else
		peer_request_answer(&request->base, ERR_UNSUPPORTED);
}

/* The other side wants no answer any more. A handler is not told. */
void request_cancel(struct channel_link *link, uint64_t number)
{
	struct peer_request *base = link->requests.first;
	while (base && base->number != number)
		base = base->next;
	if (base) {
		CONTAINER_OF(base, struct channel_request, base)->is_canceled = true;
		return;
	}
	base = link->answers.first;
	while (base && base->number != number)
		base = base->next;
	if (!base)
		return;
	struct channel_request *request = CONTAINER_OF(base, struct channel_request, base);
	request_list_remove(&link->answers, request);
	request_end(request);
}

/* The link is gone. Its window was given back whole; what requests still hold is not free. */
void link_orphan_requests(struct channel_link *link)
{
	struct channel_peers *peers = link->peers;
	struct channel_request *request = link->out.request;
	if (link->in.request) {
		link->in.request->link = NULL;
		peers->reserved_len += link->in.request->charge;
		request_drop(link->in.request);
		link->in.request = NULL;
	}
	if (request) {
		request->link = NULL;
		peers->reserved_len += request->charge;
		request_end(request);
		link->out.request = NULL;
	}
	while (link->answers.first) {
		request = CONTAINER_OF(link->answers.first, struct channel_request, base);
		request_list_remove(&link->answers, request);
		request->link = NULL;
		peers->reserved_len += request->charge;
		request_end(request);
	}
	while (link->requests.first) {
		request = CONTAINER_OF(link->requests.first, struct channel_request, base);
		request_list_remove(&link->requests, request);
		request->link = NULL;
		peers->reserved_len += request->charge;
	}
}

/* Keeps the head of an answer, which may lie in the head of the request. */
static void keep_head(struct channel_request *request)
{
	struct peer_request *base = &request->base;
	size_t len = base->answer_head.len;
	uint8_t *to = request->head;
	assert(len <= PEER_HEAD_LEN_MAX && base->answer_payload.len <= PEER_PAYLOAD_LEN_MAX);
	if (len == 0)
		return;
	if (len > request->head_cap)
		to = request->long_head = malloc(len);
	if (!to) {
		base->answer_err = ERR_NO_MEMORY;
		base->answer_head = base->answer_payload = (struct bytes){0};
		return;
	}
	memmove(to, base->answer_head.data, len);
	base->answer_head = bytes_make(to, len);
}

void channel_answer(struct peers *peers, struct peer_request *base)
{
	struct channel_request *request = CONTAINER_OF(base, struct channel_request, base);
	struct channel_link *link = request->link;
	assert(loop_is_current(peers->loop));
	assert(request->magic == REQUEST_MAGIC && request->state == REQUEST_HANDED);
	assert(base->answer_err < ERR_COUNT);
	if (request->is_local) {
		keep_head(request);
		self_answer(request);
		return;
	}
	if (link)
		request_list_remove(&link->requests, request);
	if (!link || base->is_note || request->is_canceled) {
		request_end(request);
		return;
	}
	keep_head(request);
	request->state = REQUEST_ANSWERED;
	request_list_push(&link->answers, request);
	link_mark(link);
}
