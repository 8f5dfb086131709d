/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_WORKER_THREADS_H
#define SERVER_WORKER_THREADS_H

#include <stdint.h>

#include "storage/err.h"
#include "storage/worker.h"

struct worker_threads;

#define WORKER_THREADS_MAX 16

/* Starts thread_count threads (1 to WORKER_THREADS_MAX) that take calls in the order they were
 * submitted. name is what the system shows for them, up to 12 bytes. Gives the worker to the
 * caller. Errors: ERR_NO_MEMORY, ERR_LIMIT. */
MUST_USE enum err worker_threads_new(
	const char *name, unsigned thread_count, struct worker_threads **ret_threads);

/* The seam. Borrowed until worker_threads_free(). */
struct worker *worker_threads_worker(struct worker_threads *threads);

/* Waits until nothing is queued and nothing runs; the ends are posted then, but their loops may not
 * have run them yet. Gives how many calls there were since the start. Not on a loop. Blocks. */
uint64_t worker_threads_wait(struct worker_threads *threads);

/* Runs what is queued, posts its ends, and joins the threads. Nothing may be submitted any more;
 * the loops that wait for ends must still be there. NULL is fine. Blocks. */
void worker_threads_free(struct worker_threads *threads);

#endif
