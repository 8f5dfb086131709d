/* SPDX-License-Identifier: Apache-2.0 */
#include "server/worker_threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/thread.h"
#include "storage/bytes.h"

struct worker_threads {
	struct worker base;
	pthread_mutex_t lock;
	pthread_cond_t queued;
	pthread_cond_t settled; /* nothing is queued, nothing runs */
	struct task *first; /* work->task, linked */
	struct task **tail;
	unsigned idle_count;
	unsigned wake_count; /* idle threads that were signalled and have not run yet */
	unsigned running_count;
	uint64_t submitted_count;
	bool is_stopping;
	char name[16];
	unsigned thread_count;
	pthread_t threads[WORKER_THREADS_MAX];
};

static void run_done(struct task *task)
{
	struct work *work = CONTAINER_OF(task, struct work, task);
	work->done(work);
}

static void *thread_main(void *arg)
{
	struct worker_threads *threads = arg;
	thread_set_name(threads->name);
	pthread_mutex_lock(&threads->lock);
	for (;;) {
		while (!threads->first && !threads->is_stopping) {
			threads->idle_count++;
			pthread_cond_wait(&threads->queued, &threads->lock);
			threads->idle_count--;
			if (threads->wake_count > 0)
				threads->wake_count--;
		}
		struct task *task = threads->first;
		if (!task)
			break;
		threads->first = task->next;
		if (!threads->first)
			threads->tail = &threads->first;
		threads->running_count++;
		pthread_mutex_unlock(&threads->lock);

		struct work *work = CONTAINER_OF(task, struct work, task);
		work->run(work);
		work->task = (struct task){.run = run_done};
		loop_post(work->loop, &work->task);
		pthread_mutex_lock(&threads->lock);
		threads->running_count--;
		if (!threads->first && threads->running_count == 0)
			pthread_cond_broadcast(&threads->settled);
	}
	pthread_mutex_unlock(&threads->lock);
	return NULL;
}

static void submit(struct worker *worker, struct work *work)
{
	struct worker_threads *threads = CONTAINER_OF(worker, struct worker_threads, base);
	work->task = (struct task){.run = run_done};
	pthread_mutex_lock(&threads->lock);
	assert(!threads->is_stopping);
	*threads->tail = &work->task;
	threads->tail = &work->task.next;
	threads->submitted_count++;
	bool is_wanted = threads->idle_count > threads->wake_count;
	if (is_wanted)
		threads->wake_count++;
	pthread_mutex_unlock(&threads->lock);
	if (is_wanted)
		pthread_cond_signal(&threads->queued);
}

static const struct worker_ops ops = {.submit = submit};

enum err worker_threads_new(
	const char *name, unsigned thread_count, struct worker_threads **ret_threads)
{
	assert(thread_count > 0 && thread_count <= WORKER_THREADS_MAX);
	struct worker_threads *threads = calloc(1, sizeof *threads);
	if (!threads)
		return ERR_NO_MEMORY;
	threads->base.ops = &ops;
	threads->tail = &threads->first;
	snprintf(threads->name, sizeof threads->name, "%s", name);
	pthread_mutex_init(&threads->lock, NULL);
	pthread_cond_init(&threads->queued, NULL);
	pthread_cond_init(&threads->settled, NULL);
	while (threads->thread_count < thread_count) {
		enum err err = thread_start(
			&threads->threads[threads->thread_count], thread_main, threads);
		if (err != ERR_OK) {
			worker_threads_free(threads);
			return err;
		}
		threads->thread_count++;
	}
	*ret_threads = threads;
	return ERR_OK;
}

struct worker *worker_threads_worker(struct worker_threads *threads)
{
	return &threads->base;
}

uint64_t worker_threads_wait(struct worker_threads *threads)
{
	pthread_mutex_lock(&threads->lock);
	while (threads->first || threads->running_count > 0)
		pthread_cond_wait(&threads->settled, &threads->lock);
	uint64_t count = threads->submitted_count;
	pthread_mutex_unlock(&threads->lock);
	return count;
}

void worker_threads_free(struct worker_threads *threads)
{
	if (!threads)
		return;
	pthread_mutex_lock(&threads->lock);
	threads->is_stopping = true;
	pthread_mutex_unlock(&threads->lock);
	pthread_cond_broadcast(&threads->queued);
	for (unsigned i = 0; i < threads->thread_count; i++)
		pthread_join(threads->threads[i], NULL);
	assert(!threads->first);
	pthread_cond_destroy(&threads->queued);
	pthread_cond_destroy(&threads->settled);
	pthread_mutex_destroy(&threads->lock);
	free(threads);
}
