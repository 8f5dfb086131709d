/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request_queue.h"

#include "storage/loop.h"
#include "tests/lib/test.h"

/* A loop whose clock is set by hand, with one timer. */
static struct timer *timer;
static uint64_t now_ms, due_ms;
static unsigned refused, ended;
static struct exchange *last_refused;

static void set_timer(struct loop *loop, struct timer *set, uint64_t delay_ms)
{
	(void)loop;
	timer = set;
	due_ms = now_ms + delay_ms;
}

static void cancel_timer(struct loop *loop, struct timer *set)
{
	(void)loop;
	(void)set;
	timer = NULL;
}

static uint64_t read_clock(struct loop *loop)
{
	(void)loop;
	return now_ms;
}

static const struct loop_ops loop_ops = {
	.timer_set = set_timer, .timer_cancel = cancel_timer, .now_ms = read_clock};
static struct loop loop = {.ops = &loop_ops};

static void end(struct exchange *x)
{
	(void)x;
	ended++;
}

static const struct exchange_ops exchange_ops = {.end = end};

static void refuse(struct request_queue *queue, struct exchange *x)
{
	(void)queue;
	last_refused = x;
	refused++;
}

static struct request_queue queue;
static struct exchange xs[3];

static void setup(void)
{
	timer = NULL;
	now_ms = 1000;
	refused = ended = 0;
	request_queue_init(&queue, &loop, refuse);
	for (size_t i = 0; i < ARRAY_COUNT(xs); i++)
		xs[i] = (struct exchange){.ops = &exchange_ops, .loop = &loop};
}

static void wait_until(uint64_t ms)
{
	now_ms = ms;
	struct timer *fired = timer;
	if (fired && due_ms <= now_ms) {
		timer = NULL;
		fired->fire(fired);
	}
}

START_TEST(the_first_to_come_is_the_first_to_be_taken)
{
	for (size_t i = 0; i < ARRAY_COUNT(xs); i++)
		request_queue_append(&queue, &xs[i]);
	for (size_t i = 0; i < ARRAY_COUNT(xs); i++)
		ck_assert_ptr_eq(request_queue_take(&queue), &xs[i]);
	ck_assert_ptr_null(request_queue_take(&queue));
	ck_assert_ptr_null(timer);
}
END_TEST

START_TEST(who_goes_away_leaves_the_others_in_their_order)
{
	for (size_t i = 0; i < ARRAY_COUNT(xs); i++)
		request_queue_append(&queue, &xs[i]);
	xs[1].gone(&xs[1]);
	ck_assert_uint_eq(ended, 1);
	ck_assert_ptr_eq(request_queue_take(&queue), &xs[0]);
	ck_assert_ptr_eq(request_queue_take(&queue), &xs[2]);
	ck_assert_ptr_null(request_queue_take(&queue));
}
END_TEST

START_TEST(who_has_waited_for_too_long_is_refused)
{
	request_queue_append(&queue, &xs[0]);
	now_ms = 5000;
	request_queue_append(&queue, &xs[1]);
	wait_until(1000 + REQUEST_QUEUE_MS_MAX);
	ck_assert_uint_eq(refused, 1);
	ck_assert_ptr_eq(last_refused, &xs[0]);
	wait_until(4999 + REQUEST_QUEUE_MS_MAX);
	ck_assert_uint_eq(refused, 1);
	wait_until(5000 + REQUEST_QUEUE_MS_MAX);
	ck_assert_ptr_eq(last_refused, &xs[1]);
	ck_assert_ptr_null(timer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("request_queue");
	TCase *one = tcase_create("queue");
	tcase_add_checked_fixture(one, setup, NULL);
	tcase_add_test(one, the_first_to_come_is_the_first_to_be_taken);
	tcase_add_test(one, who_goes_away_leaves_the_others_in_their_order);
	tcase_add_test(one, who_has_waited_for_too_long_is_refused);
	suite_add_tcase(suite, one);
	return test_run(suite);
}
