/* SPDX-License-Identifier: Apache-2.0 */
/* The notifier at work on an index, with a webhook that does as it is told. */
#include "gateway/notifier.h"

#include <stdio.h>

#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

static struct store store;
static struct store_loop loop;
static struct notifier notifier;
static struct trace_ops trace_ops;
static struct trace trace;
static bool is_stopped;

/* The webhook: what it took, and what it answers. */
static struct hook {
	struct notifier_door door;
	struct notifier_post *post; /* that waits for an answer */
	bool is_slow; /* answers only when it is told to */
	enum err err;
	unsigned posts;
	char told[4096]; /* "key " of each that it took */
	struct task task;
} hook;

static void answer(void)
{
	struct notifier_post *post = hook.post;
	const char *key = memmem(post->body.data, post->body.len, "\"object\":{\"key\":\"", 17);
	size_t len = strlen(hook.told);
	ck_assert_ptr_nonnull(key);
	hook.post = NULL;
	if (hook.err == ERR_OK)
		snprintf(hook.told + len, sizeof hook.told - len, "%.*s ",
			(int)strcspn(key + 17, "\""), key + 17);
	post->err = hook.err;
	post->done(post);
}

static void answer_task(struct task *task)
{
	(void)task;
	answer();
}

static void take_post(struct notifier_door *door, struct notifier_post *post)
{
	ck_assert_ptr_eq(door, &hook.door);
	ck_assert_ptr_null(hook.post);
	hook.post = post;
	hook.posts++;
	hook.task.run = answer_task;
	if (!hook.is_slow)
		loop_post(post->loop, &hook.task);
}

static void note_event(
	struct trace *from, enum trace_level level, uint64_t request_id, const char *text)
{
	(void)from;
	(void)level;
	(void)request_id;
	(void)text;
}

static void begin(void)
{
	static struct notifier_door *doors[] = {&hook.door};
	static struct bytes names[1];
	names[0] = bytes_of("hook");
	trace_ops.event = note_event;
	trace = (struct trace){.ops = &trace_ops, .level = TRACE_ERROR};
	store = (struct store){.index = rig.index, .clock = &rig.clock, .trace = &trace};
	loop = (struct store_loop){.store = &store, .loop = &rig.loop.loop, .reader = rig.reader};
	struct notifier_setup setup = {.store = &loop,
		.region = bytes_of("rubus"),
		.webhook_count = 1,
		.names = names,
		.doors = doors};
	ck_assert_ok(notifier_start(&notifier, &setup));
}

static void note_stop(struct notifier *stopped)
{
	ck_assert_ptr_eq(stopped, &notifier);
	is_stopped = true;
}

static void end(void)
{
	is_stopped = false;
	notifier_stop(&notifier, note_stop);
	rig_pass(&rig, 1000);
	ck_assert(is_stopped);
}

/* What is put from now on is told to that webhook. */
static void notify(const char *target)
{
	static uint8_t config[512];
	struct fields_out out = {.data = config, .cap = sizeof config};
	struct notice_rule rule = {.id = bytes_of("rule"),
		.form = NOTICE_QUEUE,
		.target = bytes_of(target),
		.arn = bytes_of("arn"),
		.events = 1u << NOTICE_CREATED_PUT};
	struct command command = {.type = COMMAND_BUCKET_NOTIFY};
	notice_begin(&out);
	notice_append(&out, &rule);
	command.bucket_notify.bucket = bucket;
	command.bucket_notify.config = bytes_make(config, out.len);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}

static void set_up(void)
{
	rig_setup();
	notify("hook");
	hook = (struct hook){.door.post = take_post};
	begin();
}

static void tear_down(void)
{
	end();
	check_hash();
	rig_teardown();
}

static void put_keys(unsigned from, unsigned count)
{
	char key[16];
	for (unsigned i = from; i < from + count; i++) {
		snprintf(key, sizeof key, "k%u", i);
		put(key, "x", 1);
	}
}

START_TEST(notices_are_told_in_their_order_and_go)
{
	put_keys(0, 3);
	rig_pass(&rig, 1000);
	ck_assert_str_eq(hook.told, "k0 k1 k2 ");
	ck_assert(!has_rows(TABLE_NOTICE));
	put_keys(3, 1);
	rig_pass(&rig, 1000);
	ck_assert_str_eq(hook.told, "k0 k1 k2 k3 ");
	ck_assert_uint_eq(notifier.webhooks[0].counters.told, 4);
}
END_TEST

START_TEST(one_is_told_only_after_the_one_before_was_taken)
{
	hook.is_slow = true;
	put_keys(0, 2);
	rig_pass(&rig, 60000);
	ck_assert_uint_eq(hook.posts, 1);
	answer();
	rig_pass(&rig, 1000);
	ck_assert_uint_eq(hook.posts, 2);
	answer();
	rig_pass(&rig, 1000);
	ck_assert_str_eq(hook.told, "k0 k1 ");
}
END_TEST

START_TEST(what_was_not_taken_is_told_again_ever_more_rarely)
{
	hook.err = ERR_CLOSED;
	put_keys(0, 2);
	rig_pass(&rig, 10000);
	unsigned soon = hook.posts;
	ck_assert_uint_ge(soon, 3);
	ck_assert_uint_le(soon, 5);
	rig_pass(&rig, 600000);
	ck_assert_uint_le(hook.posts, soon + 16);
	ck_assert_str_eq(hook.told, "");
	hook.err = ERR_OK;
	rig_pass(&rig, NOTIFIER_RETRY_MS_MAX + 1000);
	ck_assert_str_eq(hook.told, "k0 k1 ");
	ck_assert(!has_rows(TABLE_NOTICE));
}
END_TEST

START_TEST(what_was_told_and_not_removed_is_told_again_after_a_start)
{
	hook.is_slow = true;
	put_keys(0, 2);
	rig_pass(&rig, 1000);
	hook.is_slow = false;
	answer(); /* the first was taken, and nothing of it is in the index */
	is_stopped = false;
	notifier_stop(&notifier, note_stop);
	rig_pass(&rig, 10000);
	ck_assert(is_stopped);
	ck_assert_str_eq(hook.told, "k0 ");
	begin();
	rig_pass(&rig, 1000);
	ck_assert_str_eq(hook.told, "k0 k0 k1 ");
	ck_assert(!has_rows(TABLE_NOTICE));
}
END_TEST

START_TEST(many_are_removed_in_batches)
{
	put_keys(0, 3 * NOTIFIER_BATCH);
	uint64_t before = rig.log.count;
	rig_pass(&rig, 5000);
	ck_assert_uint_eq(notifier.webhooks[0].counters.told, 3 * NOTIFIER_BATCH);
	ck_assert_uint_eq(rig.log.count - before, 3);
	ck_assert(!has_rows(TABLE_NOTICE));
}
END_TEST

START_TEST(what_is_too_old_is_given_up)
{
	end();
	put_keys(0, 2);
	rig.log.time_ms += NOTIFIER_KEEP_MS + 1000;
	put_keys(2, 1);
	begin();
	rig_pass(&rig, 1000);
	ck_assert_str_eq(hook.told, "k2 ");
	ck_assert_uint_eq(notifier.webhooks[0].counters.given_up, 2);
	ck_assert(!has_rows(TABLE_NOTICE));
}
END_TEST

static uint64_t waiting(const char *target)
{
	struct row_notice_queue queue = {0};
	ck_assert_ok(index_view_begin(rig.reader));
	enum err err = index_notice_queue(rig.reader, bytes_of(target), &queue);
	index_view_end(rig.reader);
	ck_assert(err == ERR_OK || err == ERR_NOT_FOUND);
	return queue.count;
}

START_TEST(what_nobody_is_told_is_given_up_when_it_is_too_old)
{
	hook.is_slow = true;
	put_keys(0, 1);
	notify("gone");
	put_keys(1, COMMAND_NOTICE_STEP + 100);
	notify("other");
	put_keys(2, 1);
	rig_pass(&rig, 3 * NOTICE_SWEEP_IDLE_MS);
	ck_assert_uint_eq(waiting("gone"), COMMAND_NOTICE_STEP + 100);
	rig.log.time_ms += NOTIFIER_KEEP_MS + NOTICE_SWEEP_LATE_MS + 1000;
	put_keys(3, 2);
	rig_pass(&rig, 2 * NOTICE_SWEEP_IDLE_MS);
	ck_assert_uint_eq(waiting("gone"), 0);
	ck_assert_uint_eq(waiting("other"), 2);
	uint64_t before = rig.log.count;
	rig_pass(&rig, 5 * NOTICE_SWEEP_IDLE_MS);
	ck_assert_uint_eq(rig.log.count, before);
	hook.is_slow = false;
	answer();
	rig_pass(&rig, 1000);
	ck_assert_str_eq(hook.told, "k0 ");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notifier");
	TCase *tcase = tcase_create("telling");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, notices_are_told_in_their_order_and_go);
	tcase_add_test(tcase, one_is_told_only_after_the_one_before_was_taken);
	tcase_add_test(tcase, what_was_not_taken_is_told_again_ever_more_rarely);
	tcase_add_test(tcase, what_was_told_and_not_removed_is_told_again_after_a_start);
	tcase_add_test(tcase, many_are_removed_in_batches);
	tcase_add_test(tcase, what_is_too_old_is_given_up);
	tcase_add_test(tcase, what_nobody_is_told_is_given_up_when_it_is_too_old);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
