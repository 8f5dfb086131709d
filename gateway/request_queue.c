/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request_queue.h"

#include <assert.h>

static void remove_one(struct request_queue *queue, struct exchange *x)
{
	if (x->wait.prev)
		x->wait.prev->wait.next = x->wait.next;
	else
		queue->first = x->wait.next;
	if (x->wait.next)
		x->wait.next->wait.prev = x->wait.prev;
	else
		queue->last = x->wait.prev;
	x->handler_data = NULL;
	if (!queue->first)
		timer_cancel(queue->loop, &queue->timer);
}

static uint64_t due_ms(const struct request_queue *queue)
{
	return queue->first->wait.since_ms + REQUEST_QUEUE_MS_MAX;
}

static void timer_fired(struct timer *timer)
{
	struct request_queue *queue = CONTAINER_OF(timer, struct request_queue, timer);
	uint64_t now_ms = loop_now_ms(queue->loop);
	while (queue->first && due_ms(queue) <= now_ms)
		queue->refuse(queue, request_queue_take(queue));
	if (queue->first)
		timer_set(queue->loop, timer, due_ms(queue) - now_ms);
}

static void gone(struct exchange *x)
{
	remove_one(x->handler_data, x);
	exchange_end(x);
}

void request_queue_init(struct request_queue *queue, struct loop *loop,
	void (*refuse)(struct request_queue *queue, struct exchange *x))
{
	*queue = (struct request_queue){
		.loop = loop,
		.timer = {.fire = timer_fired},
		.refuse = refuse,
	};
}

void request_queue_append(struct request_queue *queue, struct exchange *x)
{
	assert(x->loop == queue->loop);
	x->handler_data = queue;
	x->gone = gone;
	x->wait = (struct exchange_wait){
		.prev = queue->last,
		.since_ms = loop_now_ms(queue->loop),
	};
	if (queue->last)
		queue->last->wait.next = x;
	else
		queue->first = x;
	queue->last = x;
	if (queue->first == x)
		timer_set(queue->loop, &queue->timer, REQUEST_QUEUE_MS_MAX);
}

struct exchange *request_queue_take(struct request_queue *queue)
{
	struct exchange *x = queue->first;
	if (x)
		remove_one(queue, x);
	return x;
}
