/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop.h"

#include <errno.h>
#include <h2o.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "server/disk_uring.h"
#include "server/thread.h"
#include "server/timer_wheel.h"
#include "storage/bytes.h"

/* One turn of a loop: wait for sockets (libh2o calls their callbacks), then take turns with disk
 * completions, tasks and timers while there are some, hand new disk operations to the kernel, and
 * wait again, no longer than the next timer.
 *
 * (N1) Tasks from other threads are pushed to a stack, newest first; the loop takes the whole stack
 *      at once and turns it over. So each sender's tasks stay in order, and pushing is one
 *      compare-and-swap.
 * (N2) A loop says that it is going to sleep before it looks at the stack for the last time, and a
 *      sender pushes before it looks whether the loop sleeps: one of them sees the other. The
 *      sender that takes the word back writes to the eventfd; the others need not. A loop that is
 *      awake costs its senders no system call, and a burst of tasks costs one.
 * (N3) Time is read once after each wait, when it is first asked for.
 * (N4) After server_loop_stop() the loop ends at a moment when no task is queued and no disk
 *      operation is pending.
 */
struct server_loop {
	struct loop base;
	_Atomic(struct task *) posted; /* from other threads, newest first (N1) */
	_Atomic bool is_asleep; /* (N2) */
	_Atomic bool is_stopping;
	struct task *first; /* queued, oldest first; own thread only */
	struct task **tail;
	bool is_now_known;
	uint64_t now_ms;
	struct disk_uring *uring;
	h2o_evloop_t *h2o;
	h2o_socket_t *wake_socket;
	h2o_socket_t *ring_socket;
	int wake_fd;
	bool is_started;
	pthread_t thread;
	struct timer_wheel timers;
	_Atomic uint64_t turns, tasks, wakeups;
	char name[16];
};

enum { ROUNDS_MAX = 16, RING_DEPTH = 256, WAIT_MS_MAX = 60 * 1000, SHORT_OF_MEMORY_WAIT_MS = 1 };

static __thread struct server_loop *current;

/* --- the seam -----------------------------------------------------------------------------------
 */

static struct server_loop *loop_of(struct loop *base)
{
	return CONTAINER_OF(base, struct server_loop, base);
}

/* A counter with one writer. */
static void count(_Atomic uint64_t *counter, uint64_t by)
{
	uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
	atomic_store_explicit(counter, value + by, memory_order_relaxed);
}

static void wake(struct server_loop *loop)
{
	if (!atomic_load(&loop->is_asleep) || !atomic_exchange(&loop->is_asleep, false))
		return;
	atomic_fetch_add_explicit(&loop->wakeups, 1, memory_order_relaxed);
	uint64_t one = 1;
	ssize_t len;
	do
		len = write(loop->wake_fd, &one, sizeof one);
	while (len < 0 && errno == EINTR);
	assert(len == sizeof one);
}

static void post(struct loop *base, struct task *task)
{
	struct server_loop *loop = loop_of(base);
	if (loop == current) {
		task->next = NULL;
		*loop->tail = task;
		loop->tail = &task->next;
		return;
	}
	struct task *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);
	do
		task->next = head;
	while (!atomic_compare_exchange_weak(&loop->posted, &head, task));
	wake(loop);
}

static uint64_t now_ms(struct loop *base)
{
	struct server_loop *loop = loop_of(base);
	if (!loop->is_now_known) {
		struct timespec ts;
		int failed = clock_gettime(CLOCK_MONOTONIC, &ts);
		assert(!failed);
		loop->now_ms = (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
		loop->is_now_known = true;
	}
	return loop->now_ms;
}

static void set_timer(struct loop *base, struct timer *timer, uint64_t delay_ms)
{
	struct server_loop *loop = loop_of(base);
	assert(loop == current);
	if (timer->is_set)
		timer_wheel_cancel(&loop->timers, timer);
	timer_wheel_set(&loop->timers, timer, now_ms(base) + delay_ms);
}

static void cancel_timer(struct loop *base, struct timer *timer)
{
	struct server_loop *loop = loop_of(base);
	assert(loop == current);
	if (timer->is_set)
		timer_wheel_cancel(&loop->timers, timer);
}

static bool is_current(struct loop *base)
{
	return loop_of(base) == current;
}

static const struct loop_ops ops = {
	.post = post,
	.timer_set = set_timer,
	.timer_cancel = cancel_timer,
	.now_ms = now_ms,
	.is_current = is_current,
};

/* --- running ------------------------------------------------------------------------------------
 */

/* Appends what other threads posted to the queue, oldest first (N1). */
static void take_posted(struct server_loop *loop)
{
	if (!atomic_load_explicit(&loop->posted, memory_order_relaxed))
		return;
	struct task *task = atomic_exchange(&loop->posted, NULL);
	struct task *oldest = NULL;
	struct task **tail = &task->next; /* of the newest, which will be the last */
	while (task) {
		struct task *next = task->next;
		task->next = oldest;
		oldest = task;
		task = next;
	}
	*loop->tail = oldest;
	loop->tail = tail;
}

/* Runs the tasks that are queued now; those they post wait for the next round. */
static unsigned run_tasks(struct server_loop *loop)
{
	take_posted(loop);
	struct task *task = loop->first;
	loop->first = NULL;
	loop->tail = &loop->first;
	unsigned run = 0;
	while (task) {
		struct task *next = task->next;
		task->next = NULL;
		task->run(task);
		task = next;
		run++;
	}
	count(&loop->tasks, run);
	return run;
}

/* Returns false when the kernel asks for a pause. */
static bool run_round(struct server_loop *loop, bool *ret_was_busy)
{
	unsigned events = loop->uring ? disk_uring_reap(loop->uring) : 0;
	events += run_tasks(loop);
	events += timer_wheel_fire(&loop->timers, now_ms(&loop->base));
	*ret_was_busy = events > 0;
	return loop->uring ? disk_uring_submit(loop->uring) : true;
}

static bool is_idle(struct server_loop *loop)
{
	return !loop->first && !atomic_load(&loop->posted) &&
		(!loop->uring || disk_uring_pending(loop->uring) == 0);
}

static int32_t wait_ms(struct server_loop *loop)
{
	uint64_t next_ms = timer_wheel_next_ms(&loop->timers);
	if (next_ms <= loop->now_ms)
		return 0;
	uint64_t wait = next_ms - loop->now_ms;
	return wait < WAIT_MS_MAX ? wait : WAIT_MS_MAX;
}

static void poll_sockets(struct server_loop *loop, int32_t max_ms)
{
	if (loop->first || atomic_load(&loop->is_stopping))
		max_ms = 0;
	if (max_ms > 0) {
		atomic_store(&loop->is_asleep, true);
		if (atomic_load(&loop->posted) || atomic_load(&loop->is_stopping)) /* (N2) */
			max_ms = 0;
	}
	loop->is_now_known = false;
	/* EINTR is the end of a disk operation or a signal: either way there is a turn to do. */
	int failed = h2o_evloop_run(loop->h2o, max_ms);
	assert(!failed || errno == EINTR);
	atomic_store_explicit(&loop->is_asleep, false, memory_order_relaxed);
}

static void turn(struct server_loop *loop)
{
	bool was_busy = true;
	bool is_submitted = true;
	for (int round = 0; round < ROUNDS_MAX && was_busy && is_submitted; round++)
		is_submitted = run_round(loop, &was_busy);
	int32_t max_ms = was_busy && is_submitted ? 0 : wait_ms(loop);
	if (!is_submitted && max_ms > SHORT_OF_MEMORY_WAIT_MS)
		max_ms = SHORT_OF_MEMORY_WAIT_MS;
	poll_sockets(loop, max_ms);
	count(&loop->turns, 1);
}

static void wake_ready(h2o_socket_t *socket, const char *error)
{
	struct server_loop *loop = socket->data;
	uint64_t times;
	(void)error;
	ssize_t len = read(loop->wake_fd, &times, sizeof times);
	assert(len == sizeof times || errno == EAGAIN || errno == EINTR);
}

/* The completions are reaped at the beginning of each round anyway. */
static void ring_ready(h2o_socket_t *socket, const char *error)
{
	(void)socket;
	(void)error;
}

static h2o_socket_t *watch(struct server_loop *loop, int fd, h2o_socket_cb ready)
{
	h2o_socket_t *socket = h2o_evloop_socket_create(loop->h2o, fd, H2O_SOCKET_FLAG_DONT_READ);
	socket->data = loop;
	h2o_socket_read_start(socket, ready);
	return socket;
}

/* Stops watching a descriptor and leaves it open. */
static void unwatch(h2o_socket_t *socket)
{
	if (!socket)
		return;
	h2o_socket_export_t export;
	h2o_socket_read_stop(socket);
	int failed = h2o_socket_export(socket, &export);
	assert(!failed);
	h2o_buffer_dispose(&export.input);
}

void server_loop_run(struct server_loop *loop)
{
	assert(!current);
	current = loop;
	thread_set_name(loop->name);
	if (loop->uring && disk_uring_enable(loop->uring) != ERR_OK) {
		disk_uring_close(loop->uring);
		loop->uring = NULL;
	}
	timer_wheel_init(&loop->timers, now_ms(&loop->base));
	loop->wake_socket = watch(loop, loop->wake_fd, wake_ready);
	if (loop->uring)
		loop->ring_socket = watch(loop, disk_uring_fd(loop->uring), ring_ready);

	while (!atomic_load(&loop->is_stopping) || !is_idle(loop))
		turn(loop);

	unwatch(loop->ring_socket);
	unwatch(loop->wake_socket);
	poll_sockets(loop, 0); /* libh2o frees closed sockets in its next turn */
	current = NULL;
}

static void *thread_main(void *arg)
{
	server_loop_run(arg);
	return NULL;
}

/* --- the owner's side ---------------------------------------------------------------------------
 */

enum err server_loop_new(unsigned index, const char *name,
	const struct server_loop_options *options, struct server_loop **ret_loop)
{
	struct server_loop *loop = calloc(1, sizeof *loop);
	if (!loop)
		return ERR_NO_MEMORY;
	enum err err = ERR_OK;
	loop->base = (struct loop){.ops = &ops, .index = index};
	loop->tail = &loop->first;
	snprintf(loop->name, sizeof loop->name, "%s", name);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0) {
		err = ERR_LIMIT;
		goto out;
	}
	if (!options->is_ringless && !getenv("RUBUS_NO_IO_URING")) {
		unsigned depth = options->ring_depth ? options->ring_depth : RING_DEPTH;
		err = disk_uring_open(depth, &loop->uring);
		if (err != ERR_OK && err != ERR_UNSUPPORTED)
			goto out;
		err = ERR_OK;
	}
	loop->h2o = h2o_evloop_create();
	*ret_loop = loop;
	loop = NULL;
out:
	server_loop_free(loop);
	return err;
}

enum err server_loop_start(struct server_loop *loop)
{
	assert(!loop->is_started);
	enum err err = thread_start(&loop->thread, thread_main, loop);
	if (err == ERR_OK)
		loop->is_started = true;
	return err;
}

void server_loop_stop(struct server_loop *loop)
{
	atomic_store(&loop->is_stopping, true);
	wake(loop);
}

void server_loop_join(struct server_loop *loop)
{
	assert(loop->is_started);
	pthread_join(loop->thread, NULL);
	loop->is_started = false;
}

void server_loop_free(struct server_loop *loop)
{
	if (!loop)
		return;
	assert(!loop->is_started);
	disk_uring_close(loop->uring);
	if (loop->h2o)
		h2o_evloop_destroy(loop->h2o);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	free(loop);
}

struct loop *server_loop_base(struct server_loop *loop)
{
	return &loop->base;
}

struct server_loop *server_loop_of(struct loop *base)
{
	assert(base->ops == &ops);
	return loop_of(base);
}

struct st_h2o_evloop_t *server_loop_h2o(struct server_loop *loop)
{
	return loop->h2o;
}

struct disk_uring *server_loop_uring(struct loop *base)
{
	return server_loop_of(base)->uring;
}

struct server_loop_stats server_loop_stats(const struct server_loop *loop)
{
	return (struct server_loop_stats){
		.turns = atomic_load_explicit(&loop->turns, memory_order_relaxed),
		.tasks = atomic_load_explicit(&loop->tasks, memory_order_relaxed),
		.wakeups = atomic_load_explicit(&loop->wakeups, memory_order_relaxed),
	};
}
