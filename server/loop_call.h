/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_LOOP_CALL_H
#define SERVER_LOOP_CALL_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "storage/err.h"
#include "storage/loop.h"

/* How threads that may block talk to loops: they wait for one answer. For the main thread and the
 * control socket's; never on a loop. */
struct completion {
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	bool is_done;
	enum err err;
};

void completion_init(struct completion *completion);

/* Any thread, once. */
void completion_end(struct completion *completion, enum err err);

/* Waits for the end; after it the completion may be thrown away. */
enum err completion_wait(struct completion *completion) MUST_USE;

/* The same, for at most so many seconds (NULL: for ever); ERR_TIMEOUT: it goes on, and may be
 * waited for again. */
MUST_USE enum err completion_wait_for(
	struct completion *completion, const struct timespec *patience);

/* Runs a function on a loop and waits for what it returns. */
MUST_USE enum err loop_call(struct loop *loop, enum err (*function)(void *arg), void *arg);

#endif
