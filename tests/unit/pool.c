/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pool.h"

#include <string.h>

#include "storage/bytes.h"
#include "tests/lib/test.h"

/* A loop of one thread that runs what was posted when it is told to. */
struct fake_loop {
	struct loop loop;
	struct task *first;
	struct timer *timer;
	uint64_t now_ms;
};

static void fake_post(struct loop *loop, struct task *task)
{
	struct fake_loop *fake = CONTAINER_OF(loop, struct fake_loop, loop);
	struct task **link = &fake->first;
	while (*link)
		link = &(*link)->next;
	task->next = NULL;
	*link = task;
}

static void fake_timer_set(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
	struct fake_loop *fake = CONTAINER_OF(loop, struct fake_loop, loop);
	timer->is_set = true;
	timer->due_ms = fake->now_ms + delay_ms;
	fake->timer = timer;
}

static void fake_timer_cancel(struct loop *loop, struct timer *timer)
{
	(void)loop;
	timer->is_set = false;
}

static uint64_t fake_now_ms(struct loop *loop)
{
	return CONTAINER_OF(loop, struct fake_loop, loop)->now_ms;
}

static bool fake_is_current(struct loop *loop)
{
	(void)loop;
	return true;
}

static const struct loop_ops fake_ops = {
	fake_post, fake_timer_set, fake_timer_cancel, fake_now_ms, fake_is_current};

static void run_tasks(struct fake_loop *fake)
{
	while (fake->first) {
		struct task *task = fake->first;
		fake->first = task->next;
		task->run(task);
	}
}

static struct fake_loop fake = {.loop = {.ops = &fake_ops}};
static struct pool pool;

static void set_up(void)
{
	fake.now_ms = 1;
	fake.first = NULL;
	pool_init(&pool, &fake.loop, "test", 1 << 20);
}

static void tear_down(void)
{
	run_tasks(&fake);
	pool_fini(&pool);
}

START_TEST(buffers_are_aligned_and_apart)
{
	uint8_t *buffers[4];
	ck_assert_ok(pool_take(&pool, POOL_256K, 4, buffers));
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_eq((uintptr_t)buffers[i] % 4096, 0);
		memset(buffers[i], i, 256 << 10);
	}
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(buffers[i][0], i);
		ck_assert_int_eq(buffers[i][(256 << 10) - 1], i);
		pool_give(&pool, buffers[i]);
	}
}
END_TEST

START_TEST(the_bound_holds_and_all_or_nothing_is_lent)
{
	uint8_t *buffers[5], *one;
	ck_assert_err(pool_take(&pool, POOL_256K, 5, buffers), ERR_BUSY);
	ck_assert_uint_eq(pool.lent_len, 0);
	ck_assert_ok(pool_take(&pool, POOL_256K, 4, buffers));
	ck_assert_err(pool_take(&pool, POOL_4K, 1, &one), ERR_BUSY);
	for (int i = 0; i < 4; i++)
		pool_give(&pool, buffers[i]);
	ck_assert_ok(pool_take(&pool, POOL_4K, 1, &one));
	pool_give(&pool, one);
}
END_TEST

struct waiter {
	struct pool_wait wait;
	uint8_t *buffer;
	int *served, order;
};

static void waiter_ready(struct pool_wait *wait)
{
	struct waiter *waiter = CONTAINER_OF(wait, struct waiter, wait);
	ck_assert_ok(pool_take(&pool, POOL_256K, 1, &waiter->buffer));
	waiter->order = ++*waiter->served;
}

START_TEST(waiters_are_served_in_line_and_nobody_overtakes)
{
	uint8_t *buffers[4], *late;
	int served = 0;
	struct waiter a = {.wait.ready = waiter_ready, .served = &served};
	struct waiter b = a;
	ck_assert_ok(pool_take(&pool, POOL_256K, 4, buffers));
	pool_wait_start(&pool, &a.wait, 256 << 10);
	pool_wait_start(&pool, &b.wait, 256 << 10);
	pool_give(&pool, buffers[0]);
	ck_assert_err(pool_take(&pool, POOL_4K, 1, &late), ERR_BUSY);
	run_tasks(&fake);
	ck_assert_int_eq(a.order, 1);
	ck_assert_int_eq(b.order, 0);
	pool_give(&pool, buffers[1]);
	run_tasks(&fake);
	ck_assert_int_eq(b.order, 2);
	pool_give(&pool, a.buffer);
	pool_give(&pool, b.buffer);
	pool_give(&pool, buffers[2]);
	pool_give(&pool, buffers[3]);
}
END_TEST

START_TEST(idle_slabs_go_back)
{
	uint8_t *buffer;
	ck_assert_ok(pool_take(&pool, POOL_64K, 1, &buffer));
	ck_assert_uint_eq(pool.slab_count, 1);
	pool_give(&pool, buffer);
	ck_assert(fake.timer->is_set);
	fake.now_ms += POOL_IDLE_MS;
	fake.timer->is_set = false;
	fake.timer->fire(fake.timer);
	ck_assert_uint_eq(pool.slab_count, 0);
}
END_TEST

/* 4 slabs' worth of 256 KiB, all given back; then as much of 64 KiB. */
START_TEST(slabs_of_one_size_make_room_for_another)
{
	enum { SLABS = 4, LARGE = SLABS * 16, SMALL = SLABS * 64 };
	static uint8_t *buffers[SMALL];
	pool.limit_len = SLABS * POOL_SLAB_LEN;
	ck_assert_ok(pool_take(&pool, POOL_256K, LARGE, buffers));
	ck_assert_uint_eq(pool.slab_count, SLABS);
	for (int i = 0; i < LARGE; i++)
		pool_give(&pool, buffers[i]);
	ck_assert_ok(pool_take(&pool, POOL_64K, SMALL, buffers));
	ck_assert_uint_eq(pool.slab_count, SLABS + 1); /* one of 256 KiB is kept */
	for (int i = 0; i < SMALL; i++)
		pool_give(&pool, buffers[i]);
}
END_TEST

START_TEST(what_is_lent_again_comes_from_the_fullest_slab)
{
	static uint8_t *buffers[80];
	uint8_t *again;
	pool.limit_len = 4 * POOL_SLAB_LEN;
	ck_assert_ok(pool_take(&pool, POOL_64K, 80, buffers)); /* 64 of one slab, 16 of the next */
	for (int i = 1; i < 64; i++)
		pool_give(&pool, buffers[i]);
	ck_assert_ok(pool_take(&pool, POOL_64K, 1, &again));
	uintptr_t slab = ~(uintptr_t)(POOL_SLAB_LEN - 1);
	ck_assert_uint_eq((uintptr_t)again & slab, (uintptr_t)buffers[79] & slab);
	pool_give(&pool, again);
	pool_give(&pool, buffers[0]);
	for (int i = 64; i < 80; i++)
		pool_give(&pool, buffers[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pool");
	TCase *tc = tcase_create("pool");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, buffers_are_aligned_and_apart);
	tcase_add_test(tc, the_bound_holds_and_all_or_nothing_is_lent);
	tcase_add_test(tc, waiters_are_served_in_line_and_nobody_overtakes);
	tcase_add_test(tc, idle_slabs_go_back);
	tcase_add_test(tc, slabs_of_one_size_make_room_for_another);
	tcase_add_test(tc, what_is_lent_again_comes_from_the_fullest_slab);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
