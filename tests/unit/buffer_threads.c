/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/buffer.h"
#include "storage/kv_lmdb.h"
#include "tests/lib/test.h"
#include "tests/lib/test_loop.h"

/* One writer, one committer and several readers on threads of their own, over a real map. Mostly
 * for the thread sanitizer. */
static char dir[PATH_MAX];
static struct kv *kv;
static struct test_loop writer, committer;
static struct buffer *buffer;
static uint64_t committed;

static void room(void *arg)
{
	(void)arg;
}

static void committed_to(void *arg, uint64_t sequence)
{
	(void)arg;
	ck_assert_uint_gt(sequence, committed);
	committed = sequence;
}

static void failed(void *arg, enum err err)
{
	(void)arg;
	ck_abort_msg("%s", err_name(err));
}

static void setup(void)
{
	test_dir_make(dir);
	ck_assert_ok(kv_lmdb_open(dir, 256u << 20, &kv));
	test_loop_init(&writer);
	test_loop_init(&committer);
	struct buffer_setup buffer_setup = {
		.kv = kv,
		.writer = &writer.loop,
		.committer = &committer.loop,
		.applied_key = bytes_of("~applied"),
		.arena_len = 64 << 10,
		.rows_max = 100,
		.command_len = 8 << 10,
		.idle_ms = 100,
		.room = room,
		.committed = committed_to,
		.failed = failed,
	};
	ck_assert_ok(buffer_new(&buffer_setup, &buffer));
}

static void teardown(void)
{
	ck_assert_ok(buffer_close(buffer));
	kv_close(kv);
	test_dir_remove(dir);
}

/* Each command moves an amount between two of the accounts, so that the sum stays; the writer also
 * writes how often it did. A reader that saw half a command would see another sum. */
enum {
	ACCOUNTS = 40,
	START_AMOUNT = 1000,
	TRANSFERS = 4000,
	READERS = 3,
};

static _Atomic bool writer_has_ended;

static struct bytes account_key(uint8_t buf[3], unsigned account)
{
	buf[0] = 'k';
	put_be16(buf + 1, account);
	return bytes_make(buf, 3);
}

static void *read_sums(void *arg)
{
	struct buffer_view own;
	ck_assert_ok(buffer_view_open(buffer, &own));
	uint64_t last = 0, random = (uintptr_t)arg, rounds = 0;
	while (!atomic_load(&writer_has_ended) || rounds < 10) {
		ck_assert_ok(buffer_view_begin(&own));
		ck_assert_uint_ge(own.snapshot, last);
		last = own.snapshot;
		int64_t sum = 0;
		unsigned count = 0;
		struct bytes key, value;
		enum err err = buffer_view_seek(&own, bytes_of("k"), &key, &value);
		while (err == ERR_OK && key.data[0] == 'k') {
			sum += (int64_t)get_le64(value.data);
			/* Accounts with nothing in them are removed. */
			ck_assert_uint_ne(get_le64(value.data), 0);
			count++;
			err = buffer_view_next(&own, &key, &value);
		}
		ck_assert_msg(sum == ACCOUNTS * START_AMOUNT || last == 0, "%ld at %lu", (long)sum,
			(unsigned long)last);
		ck_assert_ok(buffer_view_get(&own, bytes_of("a"), &value));
		ck_assert_uint_eq(get_le64(value.data), last);
		if (test_random(&random) % 16 == 0)
			usleep(200);
		buffer_view_end(&own);
		rounds++;
	}
	buffer_view_close(&own);
	return NULL;
}

static void transfer(uint64_t *random, int64_t amounts[ACCOUNTS], uint64_t sequence)
{
	uint8_t value[8], key[3];
	unsigned pair[2] = {test_random(random) % ACCOUNTS, test_random(random) % ACCOUNTS};
	int64_t amount = test_random(random) % 4 == 0 ? amounts[pair[0]] : 1;
	amounts[pair[0]] -= amount;
	amounts[pair[1]] += amount;
	for (int i = 0; i < 2; i++) {
		put_le64(value, amounts[pair[i]]);
		struct bytes k = account_key(key, pair[i]);
		ck_assert_ok(amounts[pair[i]] == 0 ? buffer_remove(buffer, k)
						   : buffer_put(buffer, k, bytes_make(value, 8)));
	}
	put_le64(value, sequence);
	ck_assert_ok(buffer_put(buffer, bytes_of("a"), bytes_make(value, 8)));
}

static void open_accounts(int64_t amounts[ACCOUNTS])
{
	uint8_t value[8], key[3];
	ck_assert_ok(buffer_begin(buffer, 1));
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		amounts[i] = START_AMOUNT;
		put_le64(value, START_AMOUNT);
		ck_assert_ok(
			buffer_put(buffer, account_key(key, i), bytes_make(value, sizeof value)));
	}
	put_le64(value, 1);
	ck_assert_ok(buffer_put(buffer, bytes_of("a"), bytes_make(value, 8)));
	buffer_publish(buffer);
}

START_TEST(readers_on_other_threads_never_see_half_a_command)
{
	int64_t amounts[ACCOUNTS];
	pthread_t readers[READERS];
	open_accounts(amounts);
	atomic_store(&writer_has_ended, false);
	pthread_create(&committer.thread, NULL, test_loop_thread, &committer);
	for (uintptr_t i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, read_sums, (void *)(i + 1));
	uint64_t random = 3;
	for (uint64_t sequence = 2; sequence <= TRANSFERS;) {
		test_loop_run(&writer);
		enum err err = buffer_begin(buffer, sequence);
		if (err == ERR_BUSY) {
			struct task *task = test_loop_take(&writer, true);
			task->run(task);
			continue;
		}
		ck_assert_ok(err);
		transfer(&random, amounts, sequence++);
		buffer_publish(buffer);
	}
	atomic_store(&writer_has_ended, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	test_loop_stop(&committer);
	pthread_join(committer.thread, NULL);
	ck_assert_uint_gt(committed, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("buffer_threads");
	TCase *tcase = tcase_create("buffer_threads");
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, readers_on_other_threads_never_see_half_a_command);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
