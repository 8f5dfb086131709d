/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_LOOP_H
#define STORAGE_LOOP_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* Loops: where code runs.
 *
 * A loop is one thread that runs tasks, timers and the completions of the disk operations that were
 * started on it. A struct belongs to one loop and only that loop's thread touches it; loops talk by
 * posting tasks. The server makes loops of threads with an event loop and an io_uring each; the
 * simulator makes them queues of one thread, and chooses which runs next from its seed.
 *
 * (L1) A task runs once for each time it was posted, on the thread of its loop, and never inside
 *      the call that posted it.
 * (L2) Tasks posted from one loop to another run in the order they were posted.
 * (L3) What was written before loop_post() is seen by the task (a release and an acquire).
 * (L4) A timer fires on its own loop, not before it is due, once. After timer_cancel() it does not.
 */
struct loop;
struct task;
struct timer;

struct loop_ops {
	void (*post)(struct loop *loop, struct task *task);
	void (*timer_set)(struct loop *loop, struct timer *timer, uint64_t delay_ms);
	void (*timer_cancel)(struct loop *loop, struct timer *timer);
	uint64_t (*now_ms)(struct loop *loop);
	bool (*is_current)(struct loop *loop);
};

struct loop {
	const struct loop_ops *ops;
	unsigned index; /* of this loop among all of the node's loops; names it in traces */
};

/* Embedded in what it is about; CONTAINER_OF() finds the way back. Zeroed before its first use. A
 * posted task may not be posted again, moved or freed before it has begun to run. */
struct task {
	void (*run)(struct task *task);
	struct task *next;
};

/* Embedded likewise. Zeroed before its first use. */
struct timer {
	void (*fire)(struct timer *timer);
	struct timer *next, *prev;
	uint64_t due_ms;
	bool is_set;
};

/* Runs the task on the loop, soon. Callable from any thread. Does not block or fail. */
static inline void loop_post(struct loop *loop, struct task *task)
{
	assert(task->run);
	loop->ops->post(loop, task);
}

/* Sets the timer, or sets it anew. Only on the loop's own thread. */
static inline void timer_set(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
	assert(timer->fire);
	loop->ops->timer_set(loop, timer, delay_ms);
}

/* Cancels a timer that may or may not be set. Only on the loop's own thread. */
static inline void timer_cancel(struct loop *loop, struct timer *timer)
{
	loop->ops->timer_cancel(loop, timer);
}

/* Monotonic milliseconds, read once per turn of the loop; good for deadlines. */
static inline uint64_t loop_now_ms(struct loop *loop)
{
	return loop->ops->now_ms(loop);
}

/* Is the caller on this loop's thread? For assertions. */
static inline bool loop_is_current(struct loop *loop)
{
	return loop->ops->is_current(loop);
}

#endif
