/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_TEST_LOOP_H
#define TESTS_LIB_TEST_LOOP_H

#include <pthread.h>

#include "storage/loop.h"

/* A loop that runs when it is told to, or on a thread; for code that is to be tested without the
 * simulator. */
struct test_loop {
	struct loop loop;
	pthread_mutex_t lock;
	pthread_cond_t posted;
	struct task *first, **last;
	struct timer *timer; /* one is all that a buffer sets */
	bool is_stopping;
	pthread_t thread;
};

void test_loop_init(struct test_loop *t);

/* Runs what was posted until there is nothing more; was there anything? */
bool test_loop_run(struct test_loop *t);

/* Takes the next task, to be run by the caller; NULL: there is none, or the loop is stopping. */
struct task *test_loop_take(struct test_loop *t, bool waits);

/* Lets the timer that is set fire. */
void test_loop_fire(struct test_loop *t);

/* For pthread_create(); arg is the loop. Runs until test_loop_stop(). */
void *test_loop_thread(void *arg);
void test_loop_stop(struct test_loop *t);

#endif
