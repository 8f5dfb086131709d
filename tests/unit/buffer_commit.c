/* SPDX-License-Identifier: Apache-2.0 */
/* When the read buffer begins a commit while nobody asks for one. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "storage/buffer.h"
#include "storage/kv_lmdb.h"
#include "tests/lib/test.h"
#include "tests/lib/test_loop.h"

static char dir[PATH_MAX];
static struct kv *kv;
static struct buffer *buffer;
static struct test_loop writer, committer;
static uint64_t committed;

static void ignore_room(void *arg)
{
	(void)arg;
}

static void committed_to(void *arg, uint64_t sequence)
{
	(void)arg;
	committed = sequence;
}

static void failed(void *arg, enum err err)
{
	(void)arg;
	ck_abort_msg("a commit failed: %s", err_name(err));
}

static void open_buffer(size_t commit_len, size_t commit_rows)
{
	struct buffer_setup setup = {
		.kv = kv,
		.writer = &writer.loop,
		.committer = &committer.loop,
		.applied_key = bytes_of("~applied"),
		.arena_len = 64 << 10,
		.rows_max = 100,
		.commit_len = commit_len,
		.commit_rows = commit_rows,
		.command_len = 8 << 10,
		.idle_ms = 100,
		.room = ignore_room,
		.committed = committed_to,
		.failed = failed,
	};
	ck_assert_ok(buffer_new(&setup, &buffer));
}

static void setup(void)
{
	test_dir_make(dir);
	ck_assert_ok(kv_lmdb_open(dir, 256u << 20, &kv));
	test_loop_init(&writer);
	test_loop_init(&committer);
}

static void teardown(void)
{
	ck_assert_ok(buffer_close(buffer));
	kv_close(kv);
	test_dir_remove(dir);
}

static void run(void)
{
	while (test_loop_run(&committer) | test_loop_run(&writer))
		;
}

static void put(uint64_t sequence, const char *key, const char *value)
{
	ck_assert_ok(buffer_begin(buffer, sequence));
	ck_assert_ok(buffer_put(buffer, bytes_of(key), bytes_of(value)));
	buffer_publish(buffer);
}

START_TEST(a_free_committer_gets_small_commits_and_a_busy_one_big_ones)
{
	open_buffer(0, 3);
	put(1, "a", "1");
	put(2, "b", "2");
	run();
	ck_assert_uint_eq(committed, 0);
	put(3, "c", "3");
	for (uint64_t sequence = 4; sequence <= 11; sequence++) {
		char key[2] = {(char)('a' + sequence), '\0'};
		put(sequence, key, "4"); /* while those are on their way */
	}
	ck_assert(test_loop_run(&committer));
	test_loop_run(&writer);
	ck_assert_uint_eq(committed, 3);
	run();
	ck_assert_uint_eq(committed, 11);
}
END_TEST

START_TEST(few_long_rows_are_committed_as_early_as_many)
{
	char value[1024];
	memset(value, 'x', sizeof value - 1);
	value[sizeof value - 1] = '\0';
	open_buffer(2 * sizeof value, 0);
	put(1, "a", value);
	run();
	ck_assert_uint_eq(committed, 0);
	put(2, "b", value);
	run();
	ck_assert_uint_eq(committed, 2);
}
END_TEST

START_TEST(without_a_limit_a_commit_waits_for_time_or_a_full_generation)
{
	open_buffer(0, 0);
	for (uint64_t sequence = 1; sequence <= 100; sequence++) {
		char key[8];
		snprintf(key, sizeof key, "%d", (int)sequence);
		put(sequence, key, "x");
		run();
		ck_assert_uint_eq(committed, sequence < 100 ? 0 : 100);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("buffer_commit");
	TCase *tcase = tcase_create("commits");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_free_committer_gets_small_commits_and_a_busy_one_big_ones);
	tcase_add_test(tcase, few_long_rows_are_committed_as_early_as_many);
	tcase_add_test(tcase, without_a_limit_a_commit_waits_for_time_or_a_full_generation);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
