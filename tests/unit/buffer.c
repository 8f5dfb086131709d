/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/buffer.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/kv_lmdb.h"
#include "tests/lib/model.h"
#include "tests/lib/test.h"
#include "tests/lib/test_loop.h"

/* --- a buffer over a real map ----------------------------------------------------------------- */

static char dir[PATH_MAX];
static struct kv *kv;
static struct test_loop writer, committer;
static struct buffer *buffer;
static struct buffer_view view;
static int rooms, failures;
static enum err failure;
static uint64_t committed;
static bool is_replaying; /* the next buffer that is opened */
static const char *extra; /* the value of the row that freezing() adds */

static void room(void *arg)
{
	(void)arg;
	rooms++;
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
	failures++;
	failure = err;
}

static void freezing(void *arg, struct buffer *frozen)
{
	(void)arg;
	if (extra)
		ck_assert_ok(buffer_put(frozen, bytes_of("~extra"), bytes_of(extra)));
}

static const struct bytes applied_key = {(const uint8_t *)"~applied", 8};

static void open_buffer(size_t arena_len, size_t rows_max)
{
	struct buffer_setup setup = {
		.kv = kv,
		.writer = &writer.loop,
		.committer = &committer.loop,
		.applied_key = applied_key,
		.arena_len = arena_len,
		.rows_max = rows_max,
		.command_len = 8 << 10,
		.idle_ms = 100,
		.is_replaying = is_replaying,
		.room = room,
		.committed = committed_to,
		.failed = failed,
		.freezing = freezing,
	};
	ck_assert_ok(buffer_new(&setup, &buffer));
	ck_assert_ok(buffer_view_open(buffer, &view));
}

static void setup(void)
{
	test_dir_make(dir);
	ck_assert_ok(kv_lmdb_open(dir, 256u << 20, &kv));
	test_loop_init(&writer);
	test_loop_init(&committer);
	open_buffer(64 << 10, 100);
}

static void teardown(void)
{
	buffer_view_close(&view);
	/* What a test left uncommitted, or made fail, is its own business. */
	err_ignore(buffer_close(buffer));
	kv_close(kv);
	test_dir_remove(dir);
}

/* Buffers of processes that ended; reachable, so that they do not count as leaks. */
static struct buffer *buried[8];
static int buried_count;

/* Ends the process's memory, keeps what is in the map. */
static void crash(void)
{
	buried[buried_count++] = buffer;
	buffer_view_close(&view);
	kv_close(kv);
	ck_assert_ok(kv_lmdb_open(dir, 256u << 20, &kv));
	test_loop_init(&writer);
	test_loop_init(&committer);
	open_buffer(64 << 10, 100);
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

static void ck_assert_value(const char *key, const char *expected)
{
	struct bytes value;
	ck_assert_ok(buffer_view_get(&view, bytes_of(key), &value));
	ck_assert(bytes_is_text(value, expected));
}

static void ck_assert_missing(const char *key)
{
	struct bytes value;
	ck_assert_err(buffer_view_get(&view, bytes_of(key), &value), ERR_NOT_FOUND);
}

static void ck_assert_scan(struct buffer_view *v, const struct model *model, struct bytes from)
{
	struct bytes key, value;
	size_t i = model_seek(model, from);
	enum err err = buffer_view_seek(v, from, &key, &value);
	while (err == ERR_OK) {
		if (key.data[0] != '~') {
			ck_assert_uint_lt(i, model->count);
			ck_assert(bytes_is_equal(key, model->rows[i].key));
			ck_assert(bytes_is_equal(value, model->rows[i].value));
			i++;
		}
		err = buffer_view_next(v, &key, &value);
	}
	ck_assert_err(err, ERR_NOT_FOUND);
	ck_assert_uint_eq(i, model->count);
}

START_TEST(a_view_sees_what_was_published_when_it_began)
{
	put(1, "a", "1");
	ck_assert_ok(buffer_begin(buffer, 2));
	ck_assert_ok(buffer_put(buffer, bytes_of("a"), bytes_of("2")));
	ck_assert_ok(buffer_view_begin(&view));
	ck_assert_ok(buffer_put(buffer, bytes_of("b"), bytes_of("2")));
	buffer_publish(buffer);
	ck_assert_value("a", "1");
	ck_assert_missing("b");
	buffer_view_end(&view);
	ck_assert_ok(buffer_view_begin(&view));
	ck_assert_value("a", "2");
	ck_assert_value("b", "2");
	buffer_view_end(&view);
}
END_TEST

START_TEST(the_writer_sees_the_rows_of_its_open_command)
{
	put(1, "a", "1");
	ck_assert_ok(buffer_begin(buffer, 2));
	ck_assert_ok(buffer_view_begin_latest(&view));
	ck_assert_ok(buffer_put(buffer, bytes_of("b"), bytes_of("2")));
	ck_assert_ok(buffer_put(buffer, bytes_of("b"), bytes_of("3")));
	ck_assert_ok(buffer_remove(buffer, bytes_of("a")));
	ck_assert_value("b", "3");
	ck_assert_missing("a");
	buffer_view_end(&view);
	buffer_publish(buffer);
}
END_TEST

START_TEST(a_removed_row_stays_hidden_over_one_in_the_map)
{
	put(1, "a", "1");
	put(2, "b", "1");
	buffer_commit(buffer);
	run();
	ck_assert_uint_eq(committed, 2);
	ck_assert_ok(buffer_begin(buffer, 3));
	ck_assert_ok(buffer_remove(buffer, bytes_of("a")));
	buffer_publish(buffer);
	struct bytes key, value;
	for (int i = 0; i < 2; i++) {
		ck_assert_ok(buffer_view_begin(&view));
		ck_assert_missing("a");
		ck_assert_ok(buffer_view_seek(&view, bytes_of("a"), &key, &value));
		ck_assert(bytes_is_text(key, "b"));
		buffer_view_end(&view);
		buffer_commit(buffer);
		run();
	}
	ck_assert_uint_eq(buffer_row_count(buffer), 0);
}
END_TEST

START_TEST(an_empty_value_is_not_a_removal)
{
	put(1, "a", "");
	for (int i = 0; i < 2; i++) {
		ck_assert_ok(buffer_view_begin(&view));
		ck_assert_value("a", "");
		buffer_view_end(&view);
		buffer_commit(buffer);
		run();
	}
}
END_TEST

START_TEST(what_is_uncommitted_is_committed_when_time_has_passed)
{
	put(1, "a", "1");
	run();
	ck_assert_uint_eq(committed, 0);
	test_loop_fire(&writer);
	run();
	ck_assert_uint_eq(committed, 1);
	ck_assert_uint_eq(buffer_applied(buffer), 1);
	ck_assert_ptr_null(writer.timer);
	crash();
	ck_assert_uint_eq(buffer_applied(buffer), 1);
	ck_assert_uint_eq(buffer_published(buffer), 1);
	ck_assert_ok(buffer_view_begin(&view));
	ck_assert_value("a", "1");
	buffer_view_end(&view);
}
END_TEST

START_TEST(a_command_without_rows_counts_as_applied_too)
{
	ck_assert_ok(buffer_begin(buffer, 5));
	buffer_publish(buffer);
	test_loop_fire(&writer);
	run();
	ck_assert_uint_eq(committed, 5);
	crash();
	ck_assert_uint_eq(buffer_applied(buffer), 5);
}
END_TEST

START_TEST(rows_of_the_owner_go_into_the_same_commit)
{
	extra = "first";
	put(1, "a", "1");
	buffer_commit(buffer);
	extra = "second";
	put(2, "a", "2");
	run();
	crash();
	ck_assert_ok(buffer_view_begin(&view));
	ck_assert_value("a", "1");
	ck_assert_value("~extra", "first");
	buffer_view_end(&view);
	extra = NULL;
}
END_TEST

START_TEST(a_crash_keeps_whole_commands_up_to_the_applied_one)
{
	uint64_t sequence = 0;
	char key[16];
	for (int i = 0; i < 500; i++) {
		enum err err = buffer_begin(buffer, sequence + 1);
		if (err == ERR_BUSY) {
			run();
			continue;
		}
		ck_assert_ok(err);
		sequence++;
		for (int j = 0; j < 7; j++) {
			snprintf(key, sizeof key, "%d", j);
			struct bytes value = bytes_make(&sequence, sizeof sequence);
			ck_assert_ok(buffer_put(buffer, bytes_of(key), value));
		}
		buffer_publish(buffer);
	}
	/* A command that never ends, then the end of the process. */
	if (buffer_begin(buffer, sequence + 1) == ERR_BUSY) {
		run();
		ck_assert_ok(buffer_begin(buffer, sequence + 1));
	}
	ck_assert_ok(buffer_put(buffer, bytes_of("0"), bytes_of("half")));
	run();
	crash();
	uint64_t applied = buffer_applied(buffer);
	ck_assert_uint_gt(applied, 300);
	ck_assert_ok(buffer_view_begin(&view));
	for (int j = 0; j < 7; j++) {
		struct bytes value;
		snprintf(key, sizeof key, "%d", j);
		ck_assert_ok(buffer_view_get(&view, bytes_of(key), &value));
		ck_assert_mem_eq(value.data, &applied, sizeof applied);
	}
	buffer_view_end(&view);
}
END_TEST

START_TEST(a_close_commits_what_was_published_and_no_open_command)
{
	put(1, "a", "1");
	buffer_commit(buffer);
	put(2, "b", "2");
	ck_assert_ok(buffer_begin(buffer, 3));
	ck_assert_ok(buffer_put(buffer, bytes_of("b"), bytes_of("3")));
	buffer_view_close(&view);
	ck_assert_ok(buffer_close(buffer));
	buffer = NULL;
	crash();
	ck_assert_uint_eq(buffer_applied(buffer), 2);
	ck_assert_ok(buffer_view_begin(&view));
	ck_assert_value("a", "1");
	ck_assert_value("b", "2");
	buffer_view_end(&view);
}
END_TEST

/* Fills until the buffer is busy; answers the last sequence. */
static uint64_t fill(uint64_t sequence)
{
	static uint8_t value[4000];
	for (;;) {
		enum err err = buffer_begin(buffer, sequence + 1);
		if (err == ERR_BUSY)
			return sequence;
		ck_assert_ok(err);
		ck_assert_ok(buffer_put(
			buffer, bytes_make(&sequence, 8), bytes_make(value, sizeof value)));
		buffer_publish(buffer);
		sequence++;
	}
}

START_TEST(a_full_buffer_is_busy_until_a_commit_makes_room)
{
	uint64_t last = fill(0);
	ck_assert_uint_gt(last, 20);
	ck_assert_uint_lt(last, 40);
	ck_assert_int_eq(rooms, 0);
	run();
	ck_assert_int_eq(rooms, 1);
	ck_assert_ok(buffer_begin(buffer, last + 1));
	buffer_publish(buffer);
}
END_TEST

START_TEST(a_view_that_stays_does_not_stop_the_writer_at_once_and_is_waited_for)
{
	ck_assert_ok(buffer_view_begin(&view));
	uint64_t last = fill(0);
	run();
	uint64_t more = fill(last);
	ck_assert_uint_gt(more, last);
	run();
	struct buffer_view other;
	ck_assert_ok(buffer_view_open(buffer, &other));
	ck_assert_ok(buffer_view_begin(&other));
	more = fill(more);
	run();
	more = fill(more);
	rooms = 0;
	run();
	ck_assert_err(buffer_begin(buffer, more + 1), ERR_BUSY);
	run();
	ck_assert_int_eq(rooms, 0);
	buffer_view_end(&view);
	run();
	ck_assert_int_eq(rooms, 1);
	ck_assert_ok(buffer_begin(buffer, more + 1));
	buffer_publish(buffer);
	buffer_view_end(&other);
	buffer_view_close(&other);
}
END_TEST

START_TEST(a_command_that_needs_too_much_is_never_seen)
{
	static uint8_t value[4000];
	put(1, "a", "1");
	ck_assert_ok(buffer_begin(buffer, 2));
	ck_assert_ok(buffer_remove(buffer, bytes_of("a")));
	ck_assert_ok(buffer_put(buffer, bytes_of("x"), bytes_make(value, sizeof value)));
	ck_assert_err(
		buffer_put(buffer, bytes_of("y"), bytes_make(value, sizeof value)), ERR_LIMIT);
	ck_assert_err(buffer_put(buffer, bytes_of("z"), bytes_of("1")), ERR_LIMIT);
	ck_assert_err(buffer_begin(buffer, 3), ERR_LIMIT);
	ck_assert_ok(buffer_view_begin(&view));
	ck_assert_value("a", "1");
	ck_assert_missing("x");
	buffer_view_end(&view);
}
END_TEST

START_TEST(a_replay_commits_by_itself_while_no_loop_runs)
{
	is_replaying = true;
	crash();
	char key[16];
	for (uint64_t sequence = 1; sequence <= 250; sequence++) {
		snprintf(key, sizeof key, "%d", (int)sequence);
		put(sequence, key, "v");
	}
	ck_assert_uint_eq(buffer_applied(buffer), 200);
	ck_assert_ptr_null(committer.first);
	ck_assert_ptr_null(writer.timer);
	buffer_start(buffer);
	run();
	test_loop_fire(&writer);
	run();
	ck_assert_uint_eq(buffer_applied(buffer), 250);
	ck_assert_ok(buffer_view_begin(&view));
	ck_assert_value("1", "v");
	ck_assert_value("250", "v");
	buffer_view_end(&view);
}
END_TEST

/* A kv that fails: everything but the named call goes to the real one. */
static struct kv_ops failing_ops;
static const struct kv_ops *real_ops;
static bool is_detached; /* the writer has heard of the commit too */

static enum err fail_commit(struct kv *failing)
{
	failing->ops->abort(failing);
	return ERR_IO;
}

static enum err fail_put(struct kv *failing, struct bytes key, struct bytes value)
{
	(void)failing;
	(void)key;
	(void)value;
	return ERR_NO_SPACE;
}

static enum err fail_begin(struct kv *failing)
{
	(void)failing;
	return ERR_IO;
}

START_TEST(a_failed_commit_is_told_once_and_ends_the_writing_only)
{
	put(1, "old", "1");
	buffer_commit(buffer);
	run();
	const struct kv_ops *ops = kv->ops;
	failing_ops = *ops;
	if (_i == 0)
		failing_ops.commit = fail_commit;
	else if (_i == 1)
		failing_ops.put = fail_put;
	else
		failing_ops.write_begin = fail_begin;
	kv->ops = &failing_ops;
	put(2, "new", "2");
	buffer_commit(buffer);
	put(3, "newer", "3");
	run();
	ck_assert_int_eq(failures, 1);
	ck_assert_err(failure, _i == 1 ? ERR_NO_SPACE : ERR_IO);
	ck_assert_err(buffer_begin(buffer, 4), failure);
	kv->ops = ops;
	buffer_commit(buffer);
	run();
	ck_assert_int_eq(failures, 1);
	ck_assert_ok(buffer_view_begin(&view));
	ck_assert_value("old", "1");
	ck_assert_value("new", "2");
	ck_assert_value("newer", "3");
	buffer_view_end(&view);
	buffer_view_close(&view);
	ck_assert_err(buffer_close(buffer), failure);
	buffer = NULL;
	crash();
	ck_assert_uint_eq(buffer_applied(buffer), 1);
}
END_TEST

/* Everything that can happen between a view's two halves. */
static enum err begin_after_commit(struct kv_reader *reader)
{
	kv->ops = real_ops;
	ck_assert_ok(buffer_begin(buffer, 2));
	ck_assert_ok(buffer_put(buffer, bytes_of("a"), bytes_of("2")));
	ck_assert_ok(buffer_put(buffer, bytes_of("b"), bytes_of("2")));
	buffer_publish(buffer);
	buffer_commit(buffer);
	test_loop_run(&committer);
	if (is_detached)
		test_loop_run(&writer);
	return kv_reader_begin(reader);
}

START_TEST(a_commit_while_a_view_begins_is_seen_whole)
{
	put(1, "a", "1");
	real_ops = kv->ops;
	failing_ops = *kv->ops;
	failing_ops.reader_begin = begin_after_commit;
	is_detached = _i == 1;
	kv->ops = &failing_ops;
	ck_assert_ok(buffer_view_begin(&view));
	ck_assert_value("b", "2");
	ck_assert_value("a", "2");
	buffer_view_end(&view);
}
END_TEST

START_TEST(random_commands_read_like_a_sorted_map_at_every_step)
{
	uint64_t random = 5, sequence = 0;
	struct model model = {0};
	for (int i = 0; i < 1500; i++) {
		enum err err = buffer_begin(buffer, sequence + 1);
		if (err == ERR_BUSY) {
			run();
			continue;
		}
		ck_assert_ok(err);
		sequence++;
		for (int j = test_random(&random) % 4; j >= 0; j--) {
			uint8_t key[4], value[100];
			size_t key_len = 1 + test_random(&random) % 3;
			for (size_t k = 0; k < key_len; k++)
				key[k] = 'a' + test_random(&random) % 6;
			size_t value_len = test_random(&random) % sizeof value;
			test_random_fill(&random, value, value_len);
			struct bytes k = bytes_make(key, key_len), v = bytes_make(value, value_len);
			if (test_random(&random) % 3 == 0) {
				ck_assert_ok(buffer_remove(buffer, k));
				model_remove(&model, k);
			} else {
				ck_assert_ok(buffer_put(buffer, k, v));
				model_put(&model, k, v);
			}
		}
		buffer_publish(buffer);
		if (test_random(&random) % 8 == 0)
			test_loop_run(&committer);
		if (test_random(&random) % 8 == 0)
			test_loop_run(&writer);
		if (i % 20 == 0) {
			uint8_t from = 'a' + test_random(&random) % 6;
			ck_assert_ok(buffer_view_begin(&view));
			ck_assert_scan(&view, &model, bytes_make(NULL, 0));
			ck_assert_scan(&view, &model, bytes_make(&from, 1));
			buffer_view_end(&view);
		}
	}
	ck_assert_uint_gt(committed, 0);
	model_free(&model);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("buffer");
	TCase *tcase = tcase_create("buffer");
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_view_sees_what_was_published_when_it_began);
	tcase_add_test(tcase, the_writer_sees_the_rows_of_its_open_command);
	tcase_add_test(tcase, a_removed_row_stays_hidden_over_one_in_the_map);
	tcase_add_test(tcase, an_empty_value_is_not_a_removal);
	tcase_add_test(tcase, what_is_uncommitted_is_committed_when_time_has_passed);
	tcase_add_test(tcase, a_command_without_rows_counts_as_applied_too);
	tcase_add_test(tcase, rows_of_the_owner_go_into_the_same_commit);
	tcase_add_test(tcase, a_crash_keeps_whole_commands_up_to_the_applied_one);
	tcase_add_test(tcase, a_close_commits_what_was_published_and_no_open_command);
	tcase_add_test(tcase, a_full_buffer_is_busy_until_a_commit_makes_room);
	tcase_add_test(tcase, a_view_that_stays_does_not_stop_the_writer_at_once_and_is_waited_for);
	tcase_add_test(tcase, a_command_that_needs_too_much_is_never_seen);
	tcase_add_test(tcase, a_replay_commits_by_itself_while_no_loop_runs);
	tcase_add_loop_test(tcase, a_failed_commit_is_told_once_and_ends_the_writing_only, 0, 3);
	tcase_add_loop_test(tcase, a_commit_while_a_view_begins_is_seen_whole, 0, 2);
	tcase_add_test(tcase, random_commands_read_like_a_sorted_map_at_every_step);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
