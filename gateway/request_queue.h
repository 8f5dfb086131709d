/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REQUEST_QUEUE_H
#define GATEWAY_REQUEST_QUEUE_H

#include "gateway/exchange.h"

/* Exchanges that wait until a request of their loop is over, because as many as may be are in
 * progress. A burst of small requests waits for milliseconds; who has waited for
 * REQUEST_QUEUE_MS_MAX is refused.
 *
 * (W1) The order is that in which they came.
 * (W2) Nothing of a body is read meanwhile, so they hold a connection's memory and no more.
 * (W3) A client that goes away leaves the queue at once.
 */
#define REQUEST_QUEUE_MS_MAX 10000

struct request_queue {
	struct loop *loop;
	struct exchange *first, *last;
	struct timer timer; /* while there are any: the first has waited for too long */
	void (*refuse)(struct request_queue *queue, struct exchange *x);
};

void request_queue_init(struct request_queue *queue, struct loop *loop,
	void (*refuse)(struct request_queue *queue, struct exchange *x));

/* Lets the exchange wait. It is refuse()d later, taken, or ended when its client goes. */
void request_queue_append(struct request_queue *queue, struct exchange *x);

/* The one that has waited longest; NULL: none waits. */
struct exchange *request_queue_take(struct request_queue *queue);

#endif
