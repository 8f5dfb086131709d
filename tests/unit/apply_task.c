/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks and their verdicts, seen through proposals and lookups. */
#include <stdio.h>

#include "tests/lib/index_rig.h"
#include "tests/lib/test.h"

static struct rig rig;

static void set_up(void)
{
	rig_open(&rig);
}

static void tear_down(void)
{
	rig_close(&rig);
}

static struct command_result put(uint64_t id, const char *name, bool is_end, const char *text)
{
	struct command command = {.type = COMMAND_TASK_PUT};
	command.task_put.id = id;
	command.task_put.name = bytes_of(name);
	command.task_put.is_end = is_end;
	command.task_put.text = bytes_of(text);
	return rig_propose(&rig, &command);
}

static size_t count_tasks(bool is_ended, uint64_t *ret_first, uint64_t *ret_last)
{
	struct row_task row = {.id = 0};
	size_t count = 0;
	ck_assert_ok(index_view_begin(rig.reader));
	while (index_task_next(rig.reader, row.id + 1, &row) == ERR_OK) {
		if ((row.ended_ms != 0) != is_ended)
			continue;
		*ret_first = count++ == 0 ? row.id : *ret_first;
		*ret_last = row.id;
	}
	index_view_end(rig.reader);
	return count;
}

START_TEST(a_task_begins_once_is_told_of_and_ends)
{
	struct command_result begun = put(0, "repair", false, "{}");
	ck_assert_uint_eq(begun.code, COMMAND_OK);
	struct command_result again = put(0, "repair", false, "{}");
	ck_assert_uint_eq(again.code, COMMAND_EXISTS);
	ck_assert_uint_eq(again.id, begun.id);
	ck_assert_uint_eq(put(0, "scrub", false, "{}").code, COMMAND_OK);
	ck_assert_uint_eq(put(begun.id + 1, "repair", false, "{}").code, COMMAND_STALE);
	ck_assert_uint_eq(put(begun.id, "scrub", false, "{}").code, COMMAND_STALE);
	ck_assert_uint_eq(put(begun.id, "repair", false, "half").code, COMMAND_OK);
	struct row_task row;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_task_find(rig.reader, bytes_of("repair"), &row));
	ck_assert(row.id == begun.id && bytes_is_text(row.text, "half") && row.ended_ms == 0);
	index_view_end(rig.reader);
	rig.log.time_ms += 5000;
	ck_assert_uint_eq(put(begun.id, "repair", true, "whole").code, COMMAND_OK);
	ck_assert_uint_eq(put(begun.id, "repair", true, "twice").code, COMMAND_STALE);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_err(index_task_find(rig.reader, bytes_of("repair"), &row), ERR_NOT_FOUND);
	ck_assert_ok(index_task_next(rig.reader, begun.id, &row));
	ck_assert(bytes_is_text(row.text, "whole"));
	ck_assert_uint_ge(row.ended_ms, row.began_ms + 5000);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(as_many_verdicts_are_kept_as_are_to_and_open_tasks_beside_them)
{
	uint64_t first = 0, last = 0;
	uint64_t open = put(0, "scrub", false, "{}").id;
	for (unsigned i = 0; i < COMMAND_TASKS_ENDED_MAX + 10; i++) {
		rig.log.time_ms += 10;
		uint64_t id = put(0, "repair", false, "{}").id;
		ck_assert_uint_gt(id, last);
		ck_assert_uint_eq(put(id, "repair", true, "done").code, COMMAND_OK);
		last = id;
	}
	ck_assert_uint_eq(count_tasks(true, &first, &last), COMMAND_TASKS_ENDED_MAX);
	ck_assert_uint_eq(last - first, COMMAND_TASKS_ENDED_MAX - 1);
	ck_assert_uint_eq(count_tasks(false, &first, &last), 1);
	ck_assert_uint_eq(first, open);
	rig.log.time_ms += 10;
	ck_assert_uint_eq(put(open, "scrub", true, "done").code, COMMAND_OK);
	ck_assert_uint_eq(count_tasks(true, &first, &last), COMMAND_TASKS_ENDED_MAX);
	ck_assert_uint_eq(first, open);
}
END_TEST

START_TEST(a_verdict_without_a_task_says_itself_when_its_work_began)
{
	struct command command = {.type = COMMAND_TASK_PUT};
	struct row_task row;
	command.task_put.name = bytes_of("scrub.3");
	command.task_put.is_end = true;
	command.task_put.began_ms = 17;
	command.task_put.text = bytes_of("found");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_task_next(rig.reader, 0, &row));
	ck_assert(row.began_ms == 17 && row.ended_ms > 0 && bytes_is_text(row.name, "scrub.3"));
	index_view_end(rig.reader);
}
END_TEST

START_TEST(there_is_a_bound_for_open_tasks_and_none_is_without_a_name)
{
	char name[16];
	for (unsigned i = 0; i < COMMAND_TASKS_OPEN_MAX; i++) {
		snprintf(name, sizeof name, "scrub.%u", i);
		ck_assert_uint_eq(put(0, name, false, "{}").code, COMMAND_OK);
	}
	ck_assert_uint_eq(put(0, "repair", false, "{}").code, COMMAND_LIMIT);
	ck_assert_uint_eq(put(0, "", false, "{}").code, COMMAND_REFUSED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("apply_task");
	TCase *tc = tcase_create("apply_task");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_task_begins_once_is_told_of_and_ends);
	tcase_add_test(tc, as_many_verdicts_are_kept_as_are_to_and_open_tasks_beside_them);
	tcase_add_test(tc, a_verdict_without_a_task_says_itself_when_its_work_began);
	tcase_add_test(tc, there_is_a_bound_for_open_tasks_and_none_is_without_a_name);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
