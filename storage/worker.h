/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_WORKER_H
#define STORAGE_WORKER_H

#include "storage/loop.h"

/* The seam for calls that block or are long: they run on a worker thread and answer by message. In
 * the simulator a call runs at a later moment that the seed chooses. */
struct worker;

/* Embedded in what it is about. run() is called on a worker thread, then done() on the loop. */
struct work {
	void (*run)(struct work *work);
	void (*done)(struct work *work);
	struct loop *loop;
	struct task task; /* of the implementation */
};

struct worker_ops {
	void (*submit)(struct worker *worker, struct work *work);
};

struct worker {
	const struct worker_ops *ops;
};

/* Queues the call. Callable from any loop; done() runs on work->loop. Does not fail. */
static inline void worker_submit(struct worker *worker, struct work *work)
{
	assert(work->run && work->done && work->loop);
	worker->ops->submit(worker, work);
}

#endif
