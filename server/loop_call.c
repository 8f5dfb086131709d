/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop_call.h"

#include "storage/bytes.h"

void completion_init(struct completion *completion)
{
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&completion->mutex, NULL);
	pthread_cond_init(&completion->condition, &monotonic);
	pthread_condattr_destroy(&monotonic);
	completion->is_done = false;
	completion->err = ERR_OK;
}

void completion_end(struct completion *completion, enum err err)
{
	pthread_mutex_lock(&completion->mutex);
	assert(!completion->is_done);
	completion->is_done = true;
	completion->err = err;
	/* Under the lock: once it is released, the waiter may throw the completion away. */
	pthread_cond_signal(&completion->condition);
	pthread_mutex_unlock(&completion->mutex);
}

enum err completion_wait(struct completion *completion)
{
	return completion_wait_for(completion, NULL);
}

enum err completion_wait_for(struct completion *completion, const struct timespec *patience)
{
	struct timespec end = {0};
	int result = 0;
	if (patience) {
		clock_gettime(CLOCK_MONOTONIC, &end);
		end.tv_sec += patience->tv_sec;
		end.tv_nsec += patience->tv_nsec;
		if (end.tv_nsec >= 1000000000) {
			end.tv_nsec -= 1000000000;
			end.tv_sec++;
		}
	}
	pthread_mutex_lock(&completion->mutex);
	while (!completion->is_done && result == 0)
		result = patience
			? pthread_cond_timedwait(&completion->condition, &completion->mutex, &end)
			: pthread_cond_wait(&completion->condition, &completion->mutex);
	bool is_done = completion->is_done;
	pthread_mutex_unlock(&completion->mutex);
	if (!is_done)
		return ERR_TIMEOUT;
	pthread_cond_destroy(&completion->condition);
	pthread_mutex_destroy(&completion->mutex);
	return completion->err;
}

struct call {
	struct task task;
	enum err (*function)(void *arg);
	void *arg;
	struct completion completion;
};

static void run_call(struct task *task)
{
	struct call *call = CONTAINER_OF(task, struct call, task);
	completion_end(&call->completion, call->function(call->arg));
}

enum err loop_call(struct loop *loop, enum err (*function)(void *arg), void *arg)
{
	assert(!loop_is_current(loop));
	struct call call = {.task.run = run_call, .function = function, .arg = arg};
	completion_init(&call.completion);
	loop_post(loop, &call.task);
	return completion_wait(&call.completion);
}
