/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include "storage/err.h"
#include "storage/loop.h"

/* A loop of the server: one thread that waits for sockets, other threads, timers and the disk in
 * one place. */
struct server_loop;
struct disk_uring;
struct st_h2o_evloop_t;

struct server_loop_options {
	bool is_ringless; /* no io_uring: disk operations go to the worker */
	unsigned ring_depth; /* operations in flight; 0 is 256 */
};

/* Makes a loop and gives it to the caller. name is what the system shows for its thread, up to 15
 * bytes. index names the loop in traces. Where the kernel refuses io_uring, or RUBUS_NO_IO_URING is
 * set in the environment, the loop goes on without. Errors: ERR_NO_MEMORY, ERR_LIMIT. */
MUST_USE enum err server_loop_new(unsigned index, const char *name,
	const struct server_loop_options *options, struct server_loop **ret_loop);

/* Runs the loop in a thread of its own. Errors: ERR_NO_MEMORY, ERR_LIMIT. */
MUST_USE enum err server_loop_start(struct server_loop *loop);

/* Runs the loop in the calling thread until it is stopped. Once per loop. */
void server_loop_run(struct server_loop *loop);

/* Ends the loop after it has run the tasks that are queued and got the end of every disk operation.
 * Callable from any thread. */
void server_loop_stop(struct server_loop *loop);

/* Waits until a loop that was started has ended. Blocks. */
void server_loop_join(struct server_loop *loop);

/* Takes a loop that has ended or never ran; every h2o socket on it was closed. NULL is fine. One
 * descriptor stays open: libh2o keeps that of its epoll. Loops live as long as the process. */
void server_loop_free(struct server_loop *loop);

/* The seam. Borrowed until server_loop_free(). */
struct loop *server_loop_base(struct server_loop *loop);

/* The loop behind the seam. */
struct server_loop *server_loop_of(struct loop *base);

/* For socket readiness, on the loop's own thread. Borrowed. */
struct st_h2o_evloop_t *server_loop_h2o(struct server_loop *loop);

/* The loop's io_uring; NULL when it has none. Borrowed. */
struct disk_uring *server_loop_uring(struct loop *base);

/* How often the loop went to sleep and was woken by other threads; for tests and metrics. */
struct server_loop_stats {
	uint64_t turns;
	uint64_t tasks;
	uint64_t wakeups; /* writes to the loop's eventfd */
};
struct server_loop_stats server_loop_stats(const struct server_loop *loop);

#endif
