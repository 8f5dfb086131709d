/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test_loop.h"

#include "storage/bytes.h"
#include "tests/lib/test.h"

static struct test_loop *test_loop_of(struct loop *loop)
{
	return CONTAINER_OF(loop, struct test_loop, loop);
}

static void test_post(struct loop *loop, struct task *task)
{
	struct test_loop *t = test_loop_of(loop);
	pthread_mutex_lock(&t->lock);
	task->next = NULL;
	*t->last = task;
	t->last = &task->next;
	pthread_cond_signal(&t->posted);
	pthread_mutex_unlock(&t->lock);
}

static void test_timer_set(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
	(void)delay_ms;
	test_loop_of(loop)->timer = timer;
}

static void test_timer_cancel(struct loop *loop, struct timer *timer)
{
	(void)timer;
	test_loop_of(loop)->timer = NULL;
}

static uint64_t test_now_ms(struct loop *loop)
{
	(void)loop;
	return 0;
}

static bool test_is_current(struct loop *loop)
{
	(void)loop;
	return true;
}

static const struct loop_ops test_loop_ops = {
	test_post, test_timer_set, test_timer_cancel, test_now_ms, test_is_current};

void test_loop_init(struct test_loop *t)
{
	*t = (struct test_loop){.loop.ops = &test_loop_ops};
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->posted, NULL);
	t->last = &t->first;
}

struct task *test_loop_take(struct test_loop *t, bool waits)
{
	pthread_mutex_lock(&t->lock);
	while (waits && !t->first && !t->is_stopping)
		pthread_cond_wait(&t->posted, &t->lock);
	struct task *task = t->first;
	if (task) {
		t->first = task->next;
		if (!t->first)
			t->last = &t->first;
	}
	pthread_mutex_unlock(&t->lock);
	return task;
}

bool test_loop_run(struct test_loop *t)
{
	bool has_run = false;
	for (struct task *task; (task = test_loop_take(t, false)); has_run = true)
		task->run(task);
	return has_run;
}

void *test_loop_thread(void *arg)
{
	for (struct task *task; (task = test_loop_take(arg, true));)
		task->run(task);
	return NULL;
}

void test_loop_fire(struct test_loop *t)
{
	struct timer *timer = t->timer;
	ck_assert_ptr_nonnull(timer);
	t->timer = NULL;
	timer->fire(timer);
}

void test_loop_stop(struct test_loop *t)
{
	pthread_mutex_lock(&t->lock);
	t->is_stopping = true;
	pthread_cond_signal(&t->posted);
	pthread_mutex_unlock(&t->lock);
}
