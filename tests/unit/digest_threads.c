/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "gateway/digest/digest_lanes.h"
#include "tests/lib/test.h"

/* Loops that are threads, and bodies of each that wait for those of the others. */

enum { BODIES_PER_LOOP = 6, PIECES = 40, DATA_LEN = 100000 };

static uint8_t data[DATA_LEN];
static _Atomic unsigned bodies_left;

struct threaded {
	struct loop loop;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t posted;
	struct task *first, **tail;
	struct timer *timer;
	struct digest_lanes lanes;
	struct worker worker;
	struct threaded_body {
		struct digest_stream stream;
		struct digest_job job;
		unsigned piece_count;
		struct threaded *on;
	} bodies[BODIES_PER_LOOP];
};

static struct threaded *threaded_of(struct loop *loop)
{
	return CONTAINER_OF(loop, struct threaded, loop);
}

static void threaded_post(struct loop *loop, struct task *task)
{
	struct threaded *on = threaded_of(loop);
	pthread_mutex_lock(&on->lock);
	task->next = NULL;
	*on->tail = task;
	on->tail = &task->next;
	pthread_cond_signal(&on->posted);
	pthread_mutex_unlock(&on->lock);
}

static bool threaded_is_current(struct loop *loop)
{
	return pthread_equal(threaded_of(loop)->thread, pthread_self());
}

static uint64_t threaded_now_ms(struct loop *loop)
{
	struct timespec now;
	(void)loop;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void threaded_timer_set(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
	timer->due_ms = threaded_now_ms(loop) + delay_ms;
	timer->is_set = true;
	threaded_of(loop)->timer = timer;
}

static void threaded_timer_cancel(struct loop *loop, struct timer *timer)
{
	timer->is_set = false;
	threaded_of(loop)->timer = NULL;
}

static void threaded_submit(struct worker *worker, struct work *work)
{
	(void)worker;
	work->run(work);
	work->done(work);
}

static const struct loop_ops threaded_ops = {.post = threaded_post,
	.timer_set = threaded_timer_set,
	.timer_cancel = threaded_timer_cancel,
	.now_ms = threaded_now_ms,
	.is_current = threaded_is_current};
static const struct worker_ops threaded_worker_ops = {.submit = threaded_submit};

static void submit_threaded(struct threaded_body *body)
{
	size_t len = body->piece_count % 5 == 0 ? 1000 : 70000 + body->piece_count;
	body->job.stream = &body->stream;
	body->job.buf = data + body->piece_count;
	body->job.len = len;
	digest_lanes_submit(&body->on->lanes, &body->job);
}

static void threaded_done(struct digest_job *job)
{
	struct threaded_body *body = CONTAINER_OF(job, struct threaded_body, job);
	ck_assert(threaded_is_current(&body->on->loop));
	if (++body->piece_count < PIECES) {
		submit_threaded(body);
		return;
	}
	digest_lanes_leave(&body->on->lanes);
	atomic_fetch_sub(&bodies_left, 1);
}

/* The next task; NULL: there is none now. */
static struct task *threaded_next(struct threaded *on)
{
	pthread_mutex_lock(&on->lock);
	if (!on->first) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&on->posted, &on->lock, &until);
	}
	struct task *task = on->first;
	if (task && !(on->first = task->next))
		on->tail = &on->first;
	pthread_mutex_unlock(&on->lock);
	return task;
}

static void *run_threaded(void *arg)
{
	struct threaded *on = arg;
	on->thread = pthread_self();
	for (unsigned i = 0; i < BODIES_PER_LOOP; i++) {
		on->bodies[i] = (struct threaded_body){.on = on, .job.done = threaded_done};
		digest_stream_init(&on->bodies[i].stream, DIGEST_MD5 | DIGEST_SHA256);
		digest_lanes_enter(&on->lanes);
		submit_threaded(&on->bodies[i]);
	}
	/* A loop may hold the jobs of others when its own are done. */
	while (atomic_load(&bodies_left) > 0 || on->lanes.is_posted) {
		struct task *task = threaded_next(on);
		struct timer *timer = on->timer;
		if (task) {
			task->run(task);
		} else if (timer && timer->due_ms <= threaded_now_ms(&on->loop)) {
			threaded_timer_cancel(&on->loop, timer);
			timer->fire(timer);
		}
	}
	return NULL;
}

START_TEST(loops_work_on_the_jobs_of_each_other)
{
	enum { LOOPS = 3 };
	static struct threaded threads[LOOPS];
	pthread_t ids[LOOPS];
	struct digest_hall hall;
	digest_hall_init(&hall);
	bodies_left = LOOPS * BODIES_PER_LOOP;
	for (unsigned i = 0; i < LOOPS; i++) {
		struct threaded *on = &threads[i];
		*on = (struct threaded){.loop.ops = &threaded_ops,
			.worker.ops = &threaded_worker_ops,
			.lock = PTHREAD_MUTEX_INITIALIZER,
			.posted = PTHREAD_COND_INITIALIZER};
		on->tail = &on->first;
		digest_lanes_init(&on->lanes, &hall, &on->loop, &on->worker);
	}
	for (unsigned i = 0; i < LOOPS; i++)
		ck_assert_int_eq(pthread_create(&ids[i], NULL, run_threaded, &threads[i]), 0);
	for (unsigned i = 0; i < LOOPS; i++)
		ck_assert_int_eq(pthread_join(ids[i], NULL), 0);
	struct digest_stream want;
	struct digest_values got_values, want_values;
	digest_stream_init(&want, DIGEST_MD5 | DIGEST_SHA256);
	for (unsigned i = 0; i < PIECES; i++)
		digest_stream_update(&want, data + i, i % 5 == 0 ? 1000 : 70000 + i);
	digest_stream_final(&want, &want_values);
	for (unsigned i = 0; i < LOOPS; i++) {
		for (unsigned j = 0; j < BODIES_PER_LOOP; j++) {
			digest_stream_final(&threads[i].bodies[j].stream, &got_values);
			ck_assert_mem_eq(&got_values, &want_values, sizeof got_values);
		}
		digest_lanes_fini(&threads[i].lanes);
	}
	digest_hall_fini(&hall);
}
END_TEST

int main(void)
{
	uint64_t random = 1;
	test_random_fill(&random, data, sizeof data);
	Suite *suite = suite_create("digest_threads");
	TCase *tc = tcase_create("threads");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, loops_work_on_the_jobs_of_each_other);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
