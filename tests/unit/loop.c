/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop.h"

#include <dirent.h>
#include <h2o.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server/clock_real.h"
#include "server/random_real.h"
#include "server/timer_wheel.h"
#include "server/worker_threads.h"
#include "storage/bytes.h"
#include "tests/lib/test.h"

static struct server_loop *loop_start(bool is_ringless)
{
	struct server_loop *loop;
	struct server_loop_options options = {.is_ringless = is_ringless};
	ck_assert_ok(server_loop_new(0, "test", &options, &loop));
	ck_assert_ok(server_loop_start(loop));
	return loop;
}

static void loop_end(struct server_loop *loop)
{
	server_loop_stop(loop);
	server_loop_join(loop);
	server_loop_free(loop);
}

/* --- tasks --------------------------------------------------------------------------------------
 */

enum { SENDERS = 4, TASKS_EACH = 5000 };

struct numbered {
	struct task task;
	unsigned sender, number;
};

static struct numbered numbered[SENDERS][TASKS_EACH];
static unsigned next_number[SENDERS];
static bool is_out_of_order;
static struct loop *target;

static void numbered_run(struct task *task)
{
	struct numbered *n = CONTAINER_OF(task, struct numbered, task);
	if (next_number[n->sender]++ != n->number || !loop_is_current(target))
		is_out_of_order = true;
}

static void *sender_main(void *arg)
{
	unsigned sender = (uintptr_t)arg;
	for (unsigned i = 0; i < TASKS_EACH; i++) {
		numbered[sender][i] = (struct numbered){{.run = numbered_run}, sender, i};
		loop_post(target, &numbered[sender][i].task);
	}
	return NULL;
}

START_TEST(tasks_of_each_sender_run_once_and_in_order)
{
	struct server_loop *loop = loop_start(_i);
	target = server_loop_base(loop);
	pthread_t threads[SENDERS];
	for (uintptr_t i = 0; i < SENDERS; i++)
		pthread_create(&threads[i], NULL, sender_main, (void *)i);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	loop_end(loop);
	ck_assert(!is_out_of_order);
	for (unsigned i = 0; i < SENDERS; i++)
		ck_assert_uint_eq(next_number[i], TASKS_EACH);
}
END_TEST

struct gate {
	struct task task;
	sem_t reached, opened;
};

static void gate_run(struct task *task)
{
	struct gate *gate = CONTAINER_OF(task, struct gate, task);
	sem_post(&gate->reached);
	sem_wait(&gate->opened);
}

START_TEST(a_loop_that_is_awake_is_not_woken)
{
	struct server_loop *loop = loop_start(_i);
	target = server_loop_base(loop);
	struct gate gate = {.task.run = gate_run};
	sem_init(&gate.reached, 0, 0);
	sem_init(&gate.opened, 0, 0);
	loop_post(target, &gate.task);
	sem_wait(&gate.reached);
	uint64_t before = server_loop_stats(loop).wakeups;
	sender_main(0);
	uint64_t after = server_loop_stats(loop).wakeups;
	sem_post(&gate.opened);
	loop_end(loop);
	ck_assert_uint_le(before, 1);
	ck_assert_uint_eq(after, before);
	ck_assert_uint_eq(next_number[0], TASKS_EACH);
}
END_TEST

struct chain {
	struct task task;
	unsigned left;
	bool is_inside;
	sem_t ended;
};

static void chain_run(struct task *task)
{
	struct chain *chain = CONTAINER_OF(task, struct chain, task);
	assert(!chain->is_inside);
	chain->is_inside = true;
	if (chain->left-- > 0)
		loop_post(target, task);
	else
		sem_post(&chain->ended);
	chain->is_inside = false;
}

START_TEST(a_task_may_post_itself_anew_and_never_runs_inside_the_call)
{
	struct server_loop *loop = loop_start(_i);
	target = server_loop_base(loop);
	struct chain chain = {.task.run = chain_run, .left = 1000};
	sem_init(&chain.ended, 0, 0);
	loop_post(target, &chain.task);
	sem_wait(&chain.ended);
	loop_end(loop);
	ck_assert_uint_eq(chain.left, UINT_MAX);
}
END_TEST

/* Two loops that send one task to and fro. */
struct ball {
	struct task task;
	struct loop *sides[2];
	unsigned throws;
	sem_t ended;
};

static void ball_run(struct task *task)
{
	struct ball *ball = CONTAINER_OF(task, struct ball, task);
	if (++ball->throws == 20000)
		sem_post(&ball->ended);
	else
		loop_post(ball->sides[ball->throws & 1], task);
}

START_TEST(no_wake_up_is_lost_between_two_loops)
{
	struct server_loop *a = loop_start(_i);
	struct server_loop *b = loop_start(_i);
	struct ball ball = {.task.run = ball_run};
	ball.sides[0] = server_loop_base(a);
	ball.sides[1] = server_loop_base(b);
	sem_init(&ball.ended, 0, 0);
	loop_post(ball.sides[0], &ball.task);
	sem_wait(&ball.ended);
	loop_end(a);
	loop_end(b);
	ck_assert_uint_eq(ball.throws, 20000);
}
END_TEST

/* --- timers -------------------------------------------------------------------------------------
 */

struct alarm_test {
	struct task task;
	struct timer timer, canceled, again;
	uint64_t due_ms, fired_ms, again_due_ms, again_fired_ms;
	unsigned fired, canceled_fired, again_fired;
	sem_t ended;
};

static struct alarm_test alarms;

static void alarm_fire(struct timer *timer)
{
	(void)timer;
	alarms.fired++;
	alarms.fired_ms = loop_now_ms(target);
	timer_cancel(target, &alarms.canceled);
}

static void canceled_fire(struct timer *timer)
{
	(void)timer;
	alarms.canceled_fired++;
}

static void again_fire(struct timer *timer)
{
	(void)timer;
	alarms.again_fired++;
	alarms.again_fired_ms = loop_now_ms(target);
	sem_post(&alarms.ended);
}

static void alarm_set(struct task *task)
{
	(void)task;
	uint64_t now_ms = loop_now_ms(target);
	alarms.due_ms = now_ms + 20;
	alarms.again_due_ms = now_ms + 40;
	timer_set(target, &alarms.timer, 20);
	timer_set(target, &alarms.canceled, 30);
	timer_set(target, &alarms.again, 5);
	timer_set(target, &alarms.again, 40);
}

START_TEST(a_timer_fires_once_not_early_and_not_after_it_was_canceled)
{
	struct server_loop *loop = loop_start(_i);
	target = server_loop_base(loop);
	alarms.task.run = alarm_set;
	alarms.timer.fire = alarm_fire;
	alarms.canceled.fire = canceled_fire;
	alarms.again.fire = again_fire;
	sem_init(&alarms.ended, 0, 0);
	loop_post(target, &alarms.task);
	sem_wait(&alarms.ended);
	loop_end(loop);
	ck_assert_uint_eq(alarms.fired, 1);
	ck_assert_uint_ge(alarms.fired_ms, alarms.due_ms);
	ck_assert_uint_eq(alarms.canceled_fired, 0);
	ck_assert_uint_eq(alarms.again_fired, 1);
	ck_assert_uint_ge(alarms.again_fired_ms, alarms.again_due_ms);
}
END_TEST

enum { WHEEL_TIMERS = 200 };

static struct timer_wheel wheel;
static struct timer wheel_timers[WHEEL_TIMERS];
static uint64_t wheel_now_ms, wheel_random;

static void wheel_fire(struct timer *timer)
{
	ck_assert(!timer->is_set);
	ck_assert_uint_le(timer->due_ms, wheel_now_ms);
	/* Now and then a timer that fires cancels one that might be about to. */
	struct timer *other = &wheel_timers[test_random(&wheel_random) % WHEEL_TIMERS];
	if (other->is_set && test_random(&wheel_random) % 4 == 0)
		timer_wheel_cancel(&wheel, other);
}

static uint64_t earliest_ms(void)
{
	uint64_t earliest = UINT64_MAX;
	for (unsigned i = 0; i < WHEEL_TIMERS; i++)
		if (wheel_timers[i].is_set && wheel_timers[i].due_ms < earliest)
			earliest = wheel_timers[i].due_ms;
	return earliest;
}

/* A delay of any magnitude, also beyond the last wheel. */
static uint64_t random_delay(void)
{
	return test_random(&wheel_random) >> (test_random(&wheel_random) % 40 + 24);
}

START_TEST(the_timer_wheel_agrees_with_a_plain_list)
{
	wheel_random = _i;
	wheel_now_ms = random_delay();
	timer_wheel_init(&wheel, wheel_now_ms);
	for (unsigned step = 0; step < 20000; step++) {
		struct timer *timer = &wheel_timers[test_random(&wheel_random) % WHEEL_TIMERS];
		timer->fire = wheel_fire;
		if (timer->is_set && test_random(&wheel_random) % 2 == 0)
			timer_wheel_cancel(&wheel, timer);
		else if (!timer->is_set)
			timer_wheel_set(&wheel, timer, wheel_now_ms + random_delay());
		if (step % 3 != 0)
			continue;
		uint64_t next_ms = timer_wheel_next_ms(&wheel);
		ck_assert_uint_le(next_ms, earliest_ms());
		ck_assert(next_ms >= wheel_now_ms &&
			(next_ms == UINT64_MAX) == (earliest_ms() == UINT64_MAX));
		wheel_now_ms = step % 2 && next_ms != UINT64_MAX ? next_ms
								 : wheel_now_ms + random_delay();
		timer_wheel_fire(&wheel, wheel_now_ms);
		ck_assert_uint_gt(earliest_ms(), wheel_now_ms);
	}
}
END_TEST

START_TEST(a_far_timer_is_looked_at_few_times_before_it_fires)
{
	static const uint64_t delays_ms[] = {1, 63, 64, 65, 60000, 86400000, UINT64_C(1) << 40};
	for (unsigned i = 0; i < ARRAY_COUNT(delays_ms); i++) {
		struct timer timer = {.fire = wheel_fire};
		wheel_random = 1;
		wheel_now_ms = 12345;
		timer_wheel_init(&wheel, wheel_now_ms);
		timer_wheel_set(&wheel, &timer, wheel_now_ms + delays_ms[i]);
		unsigned looks = 0;
		while (timer.is_set) {
			wheel_now_ms = timer_wheel_next_ms(&wheel);
			timer_wheel_fire(&wheel, wheel_now_ms);
			looks++;
		}
		ck_assert_uint_eq(wheel_now_ms, 12345 + delays_ms[i]);
		ck_assert_uint_le(looks, TIMER_WHEEL_LEVELS + (delays_ms[i] >> 29));
	}
}
END_TEST

/* --- sockets, workers, descriptors ---------------------------------------------------------------
 */

static int pair[2];
static sem_t socket_seen;
static struct server_loop *socket_loop;

static void socket_ready(h2o_socket_t *socket, const char *error)
{
	char byte;
	ck_assert_ptr_null(error);
	ck_assert_int_eq(recv(pair[0], &byte, 1, 0), 1);
	if (byte == 'z')
		h2o_socket_close(socket);
	sem_post(&socket_seen);
}

static void socket_watch(struct task *task)
{
	(void)task;
	h2o_socket_t *socket = h2o_evloop_socket_create(
		server_loop_h2o(socket_loop), pair[0], H2O_SOCKET_FLAG_DONT_READ);
	h2o_socket_read_start(socket, socket_ready);
}

START_TEST(a_readable_socket_wakes_the_loop)
{
	socket_loop = loop_start(_i);
	sem_init(&socket_seen, 0, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	struct task task = {.run = socket_watch};
	loop_post(server_loop_base(socket_loop), &task);
	for (char c = 'a'; c <= 'z'; c++) {
		ck_assert_int_eq(send(pair[1], &c, 1, 0), 1);
		sem_wait(&socket_seen);
	}
	close(pair[1]);
	loop_end(socket_loop);
}
END_TEST

static unsigned open_descriptors(void)
{
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* libh2o never closes its epoll descriptor. */
START_TEST(a_loop_leaves_no_descriptor_of_ours_behind)
{
	loop_end(loop_start(_i));
	unsigned before = open_descriptors();
	for (unsigned i = 0; i < 5; i++)
		loop_end(loop_start(_i));
	ck_assert_uint_le(open_descriptors(), before + 5);
}
END_TEST

enum { CALLS = 500 };

struct call {
	struct work work;
	unsigned order;
	bool is_run_elsewhere, is_done_here;
};

static struct call calls[CALLS];
static unsigned calls_run, calls_done;
static sem_t calls_ended;

static void call_run(struct work *work)
{
	struct call *call = CONTAINER_OF(work, struct call, work);
	call->order = calls_run++;
	call->is_run_elsewhere = !loop_is_current(target);
}

static void call_done(struct work *work)
{
	struct call *call = CONTAINER_OF(work, struct call, work);
	call->is_done_here = loop_is_current(target);
	if (++calls_done == CALLS)
		sem_post(&calls_ended);
}

START_TEST(calls_run_on_the_worker_in_order_and_end_on_their_loop)
{
	struct server_loop *loop = loop_start(_i);
	target = server_loop_base(loop);
	struct worker_threads *threads;
	ck_assert_ok(worker_threads_new("worker", 1, &threads));
	sem_init(&calls_ended, 0, 0);
	for (unsigned i = 0; i < CALLS; i++) {
		calls[i].work = (struct work){.run = call_run, .done = call_done, .loop = target};
		worker_submit(worker_threads_worker(threads), &calls[i].work);
	}
	sem_wait(&calls_ended);
	worker_threads_free(threads);
	loop_end(loop);
	for (unsigned i = 0; i < CALLS; i++) {
		ck_assert_uint_eq(calls[i].order, i);
		ck_assert(calls[i].is_run_elsewhere);
		ck_assert(calls[i].is_done_here);
	}
}
END_TEST

START_TEST(an_idle_worker_wakes_for_a_call)
{
	struct server_loop *loop = loop_start(_i);
	target = server_loop_base(loop);
	struct worker_threads *threads;
	ck_assert_ok(worker_threads_new("worker", 2, &threads));
	sem_init(&calls_ended, 0, 0);
	for (unsigned i = 0; i < 100; i++) {
		calls_done = CALLS - 1;
		calls[i].work = (struct work){.run = call_run, .done = call_done, .loop = target};
		worker_submit(worker_threads_worker(threads), &calls[i].work);
		sem_wait(&calls_ended);
	}
	worker_threads_free(threads);
	loop_end(loop);
}
END_TEST

static sem_t meeting;

static void meet_run(struct work *work)
{
	(void)work;
	/* Ends only when the other call runs at the same time. */
	sem_post(&meeting);
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	int value = 0;
	while (value < 2 && time(NULL) < until.tv_sec)
		sem_getvalue(&meeting, &value);
	ck_assert_int_eq(value, 2);
}

START_TEST(two_worker_threads_run_two_calls_at_once)
{
	struct server_loop *loop = loop_start(_i);
	target = server_loop_base(loop);
	struct worker_threads *threads;
	ck_assert_ok(worker_threads_new("worker", 2, &threads));
	sem_init(&calls_ended, 0, 0);
	sem_init(&meeting, 0, 0);
	calls_done = CALLS - 2;
	for (unsigned i = 0; i < 2; i++) {
		calls[i].work = (struct work){.run = meet_run, .done = call_done, .loop = target};
		worker_submit(worker_threads_worker(threads), &calls[i].work);
	}
	sem_wait(&calls_ended);
	worker_threads_free(threads);
	loop_end(loop);
}
END_TEST

START_TEST(clocks_and_random_bytes_come_from_the_machine)
{
	struct clock *clock = clock_real();
	uint64_t first_ns = clock_mono_ns(clock);
	ck_assert_uint_le(first_ns, clock_mono_ns(clock));
	ck_assert_int_le(llabs(clock_wall_ms(clock) / 1000 - (int64_t)time(NULL)), 2);
	struct random_source *random;
	ck_assert_ok(random_real_open(&random));
	ck_assert_uint_ne(random_u64(random), random_u64(random));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loop");
	TCase *tc = tcase_create("loop");
	tcase_set_timeout(tc, 60);
	/* Each with an io_uring and without. */
	tcase_add_loop_test(tc, tasks_of_each_sender_run_once_and_in_order, 0, 2);
	tcase_add_loop_test(tc, a_loop_that_is_awake_is_not_woken, 0, 2);
	tcase_add_loop_test(tc, a_task_may_post_itself_anew_and_never_runs_inside_the_call, 0, 2);
	tcase_add_loop_test(tc, no_wake_up_is_lost_between_two_loops, 0, 2);
	tcase_add_loop_test(tc, a_timer_fires_once_not_early_and_not_after_it_was_canceled, 0, 2);
	tcase_add_loop_test(tc, a_readable_socket_wakes_the_loop, 0, 2);
	tcase_add_loop_test(tc, a_loop_leaves_no_descriptor_of_ours_behind, 0, 2);
	tcase_add_loop_test(tc, calls_run_on_the_worker_in_order_and_end_on_their_loop, 0, 2);
	tcase_add_loop_test(tc, an_idle_worker_wakes_for_a_call, 0, 2);
	tcase_add_loop_test(tc, two_worker_threads_run_two_calls_at_once, 0, 2);
	tcase_add_loop_test(tc, the_timer_wheel_agrees_with_a_plain_list, 0, 10);
	tcase_add_test(tc, a_far_timer_is_looked_at_few_times_before_it_fires);
	tcase_add_test(tc, clocks_and_random_bytes_come_from_the_machine);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
