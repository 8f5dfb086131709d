/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket about the scrub: in the control thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/background.h"
#include "server/control_tasks.h"

/* --- how far it is ---------------------------------------------------------------------------- */

static uint64_t left_of(uint64_t used, uint64_t done)
{
	return used > done ? used - done : 0;
}

static void add_drive(const struct task_view *view, const struct fact_drive *drive, uint64_t task,
	struct scrub_progress *progress)
{
	const struct background_node *by = background_find_scrub(view->background, drive->number);
	const struct scrub_record *record = &drive->scrub;
	progress->drives++;
	if (record->is_there && record->ended_ms > 0 && record->task >= task) {
		progress->drives_done++;
		scrub_counts_add(&progress->counts, &record->counts);
		return;
	}
	if (!drive->is_up) {
		progress->has_away = true;
		progress->drive_away = drive->number;
	}
	if (by && by->status.scrub_now.pass.task >= task) {
		const struct scrub_now *now = &by->status.scrub_now;
		scrub_counts_add(&progress->counts, &now->pass.counts);
		progress->bytes_left += left_of(now->used, now->pass.counts.bytes);
		progress->bytes_per_second += now->bytes_per_second;
		progress->node = progress->is_running ? NULL : by->node;
		progress->is_running = true;
		return;
	}
	progress->is_running |= drive->is_up && progress->node;
	progress->bytes_left += drive->space.used;
}

void task_scrub_progress(const struct task_view *view, uint16_t only, uint64_t task,
	struct scrub_progress *ret_progress)
{
	const struct facts *facts = view->facts;
	*ret_progress = (struct scrub_progress){0};
	for (size_t i = 0; i < facts->drive_count; i++)
		if (only == 0 || facts->drives[i].number == only)
			add_drive(view, &facts->drives[i], task, ret_progress);
}

/* --- rubus scrub status ----------------------------------------------------------------------- */

static void add_counts(json_t *json, const struct scrub_counts *counts)
{
	json_object_set_new(json, "bad", json_integer((json_int_t)counts->bad));
	json_object_set_new(json, "mended", json_integer((json_int_t)counts->mended));
	json_object_set_new(json, "missing", json_integer((json_int_t)counts->missing));
	json_object_set_new(json, "unread", json_integer((json_int_t)counts->unread));
}

static json_t *drive_json(const struct task_view *view, const struct fact_drive *drive)
{
	const struct background_node *by = background_find_scrub(view->background, drive->number);
	const struct scrub_record *record = &drive->scrub;
	bool is_paused = view->facts->steering.is_scrub_paused;
	bool is_begun = record->is_there && record->ended_ms == 0;
	json_t *json = json_pack("{s:i, s:s, s:s}", "drive", drive->number, "node",
		drive->node ? drive->node->name : "?", "state",
		!drive->is_up                           ? "away"
			: is_paused && (by || is_begun) ? "paused"
			: by                            ? "running"
			: is_begun                      ? "waiting"
			: record->is_there              ? "done"
							: "never");
	if (by) {
		const struct scrub_now *now = &by->status.scrub_now;
		add_counts(json, &now->pass.counts);
		json_object_set_new(json, "began_ms", json_integer((json_int_t)now->pass.began_ms));
		task_add_progress(json, now->pass.counts.bytes,
			left_of(now->used, now->pass.counts.bytes), now->bytes_per_second);
	} else if (record->is_there) {
		add_counts(json, &record->counts);
		json_object_set_new(json, "began_ms", json_integer((json_int_t)record->began_ms));
		json_object_set_new(
			json, "bytes_done", json_integer((json_int_t)record->counts.bytes));
	}
	if (record->ended_ms > 0) {
		json_object_set_new(json, "ended_ms", json_integer((json_int_t)record->ended_ms));
		json_object_set_new(
			json, "verdict", json_string(scrub_counts_verdict(&record->counts)));
	}
	return json;
}

enum err control_scrub_status(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	struct task_view view;
	enum err err = task_view_open(node, &view);
	if (err)
		return err;
	const struct facts *facts = view.facts;
	const struct steering *steering = &facts->steering;
	uint64_t period_ms = steering->scrub_period_ms == UINT64_MAX ? SCRUB_PERIOD_MS
								     : steering->scrub_period_ms;
	struct scrub_progress progress;
	task_scrub_progress(&view, 0, 0, &progress);
	json_t *list = json_array();
	for (size_t i = 0; i < facts->drive_count; i++)
		json_array_append_new(list, drive_json(&view, &facts->drives[i]));
	*ret_result = json_pack("{s:b, s:o, s:I, s:o}", "paused", steering->is_scrub_paused,
		"period",
		period_ms > 0 ? json_sprintf("%.1f days", (double)period_ms / 86400000)
			      : json_string(STEERING_NEVER),
		"speed_max", (json_int_t)steering->scrub_speed, "drives", list);
	task_view_close(&view);
	return *ret_result ? ERR_OK : ERR_NO_MEMORY;
}

/* --- rubus scrub start ------------------------------------------------------------------------ */

static enum err start(struct node *node, uint16_t drive, json_t *list, char *message)
{
	char name[32] = TASK_NAME_SCRUB;
	struct command command = {.type = COMMAND_TASK_PUT};
	struct command_result result;
	if (drive > 0)
		scrub_record_name(drive, name);
	command.task_put.name = bytes_of(name);
	command.task_put.text = bytes_of("{\"kind\":\"scrub\"}");
	enum err err = node_propose(node, &command, &result);
	if (err == ERR_EXISTS)
		return node_refuse(message, ERR_EXISTS,
			"task %llu does that already; see rubus tasks follow %llu",
			(unsigned long long)result.id, (unsigned long long)result.id);
	if (!err) {
		json_t *json = json_pack(
			"{s:I, s:s}", "id", (json_int_t)result.id, "kind", "scrub");
		if (drive > 0)
			json_object_set_new(json, "drive", json_integer(drive));
		json_array_append_new(list, json);
	}
	return err;
}

static enum err start_drive(
	struct node *node, const struct facts *facts, const char *text, json_t *list, char *message)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);
	for (size_t i = 0; *text && !*end && i < facts->drive_count; i++)
		if (facts->drives[i].number == number)
			return start(node, (uint16_t)number, list, message);
	return node_refuse(message, ERR_NOT_FOUND,
		"there is no drive '%.32s' in service; see rubus tree", text);
}

static enum err start_node(
	struct node *node, const struct facts *facts, const char *name, json_t *list, char *message)
{
	const struct fact_node *wanted = facts_find_node(facts, name);
	enum err err = ERR_OK;
	if (!wanted)
		return node_refuse(message, ERR_NOT_FOUND,
			"there is no node '%.64s', or several have that name; see rubus node list",
			name);
	for (size_t i = 0; !err && i < facts->drive_count; i++)
		if (facts->drives[i].node == wanted)
			err = start(node, facts->drives[i].number, list, message);
	return err;
}

enum err control_scrub_start(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *drive = json_string_value(json_object_get(request, "drive"));
	const char *name = json_string_value(json_object_get(request, "node"));
	struct facts *facts;
	if (drive && name)
		return node_refuse(message, ERR_INVALID, "say --drive or --node, not both");
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	json_t *list = json_array();
	if (drive)
		err = start_drive(node, facts, drive, list, message);
	else if (name)
		err = start_node(node, facts, name, list, message);
	else
		err = start(node, 0, list, message);
	facts_free(facts);
	if (err)
		json_decref(list);
	else
		*ret_result = list;
	return err;
}
