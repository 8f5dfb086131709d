/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks: work in the background that has a beginning and an end, and verdicts of what ended.
 *
 * (T1) Ids rise, and are never used again: the newest task is never removed.
 * (T2) At most one open task has a name.
 * (T3) Of those that ended the COMMAND_TASKS_ENDED_MAX that did so last are kept.
 */
#include "storage/meta/apply_priv.h"

/* All tasks, looked through. */
struct task_search {
	struct bytes name;
	uint64_t newest;
	bool is_open; /* one of the name is: */
	struct row_task open;
	size_t open_count, ended_count;
	uint64_t ended_first_ms, ended_first; /* that ended first */
};

static void look_at(struct task_search *found, const struct row_task *row)
{
	found->newest = row->id;
	if (row->ended_ms == 0) {
		found->open_count++;
		if (bytes_is_equal(row->name, found->name)) {
			found->is_open = true;
			found->open = *row;
			/* What it was read from is borrowed until the search goes on. */
			found->open.name = found->name;
			found->open.text = bytes_make(NULL, 0);
		}
		return;
	}
	if (found->ended_count++ == 0 || row->ended_ms < found->ended_first_ms) {
		found->ended_first_ms = row->ended_ms;
		found->ended_first = row->id;
	}
}

static bool search(struct apply *apply, struct task_search *found)
{
	struct row_key key;
	struct bytes name, value;
	row_key_begin(&key, TABLE_TASK);
	bool is_there = apply_seek(apply, &key, 1, &name, &value);
	while (is_there) {
		struct row_task row;
		if (!APPLY_DECODE(apply, task, value, &row))
			return false;
		look_at(found, &row);
		is_there = apply_next(apply, row_key_bytes(&key), &name, &value);
	}
	return apply->err == ERR_OK;
}

/* (T3), before one more has ended; (T1): the newest stays, which is more than is asked for only if
 * the newest of all ended first. */
static void forget_first(struct apply *apply, const struct task_search *found)
{
	struct row_key key;
	if (found->ended_count < COMMAND_TASKS_ENDED_MAX || found->ended_first == found->newest)
		return;
	row_key_id(&key, TABLE_TASK, found->ended_first);
	apply_remove(apply, &key);
}

static void write(struct apply *apply, const struct task_search *found,
	const struct command_task_put *put, struct row_task *row)
{
	struct row_key key;
	row->text = put->text;
	if (put->is_end) {
		row->ended_ms = apply->time_ms > 0 ? apply->time_ms : 1;
		forget_first(apply, found);
	}
	row_key_id(&key, TABLE_TASK, row->id);
	apply_put_task(apply, &key, row);
}

static void begin(struct apply *apply, const struct task_search *found,
	const struct command_task_put *put, struct command_result *result)
{
	struct row_task row = {
		.id = found->newest + 1, .name = put->name, .began_ms = apply->time_ms};
	if (put->is_end)
		row.began_ms = put->began_ms;
	else if (found->is_open)
		result->code = COMMAND_EXISTS;
	else if (found->open_count >= COMMAND_TASKS_OPEN_MAX)
		result->code = COMMAND_LIMIT;
	result->id = result->code == COMMAND_EXISTS ? found->open.id : row.id;
	if (result->code == COMMAND_OK)
		write(apply, found, put, &row);
}

void apply_task_put(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_task_put *put = &command->task_put;
	struct task_search found = {.name = put->name};
	if (!search(apply, &found))
		return;
	if (put->id == 0) {
		begin(apply, &found, put, result);
	} else if (!found.is_open || found.open.id != put->id) {
		result->code = COMMAND_STALE;
	} else {
		result->id = put->id;
		write(apply, &found, put, &found.open);
	}
}
