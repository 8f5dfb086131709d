/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket about tasks and repair: in the control thread. */
#include "server/control_tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/digest/hex.h"
#include "server/background.h"

#define WHY_LEN 256
#define MIB (UINT64_C(1) << 20)
#define SPEED_MIB_MAX 1000000

enum err task_view_open(struct node *node, struct task_view *ret_view)
{
	struct task_view view = {0};
	enum err err = facts_new(node, &view.facts);
	if (!err)
		err = background_new(view.facts, &view.background);
	if (err) {
		facts_free(view.facts);
		return err;
	}
	*ret_view = view;
	return ERR_OK;
}

void task_view_close(struct task_view *view)
{
	background_free(view->background);
	facts_free(view->facts);
}

void task_add_progress(json_t *json, uint64_t bytes_done, uint64_t bytes_left, uint64_t rate)
{
	json_object_set_new(json, "bytes_done", json_integer((json_int_t)bytes_done));
	json_object_set_new(json, "bytes_left", json_integer((json_int_t)bytes_left));
	json_object_set_new(json, "bytes_per_second", json_integer((json_int_t)rate));
	if (bytes_left == 0)
		json_object_set_new(json, "eta_ms", json_integer(0));
	else if (rate > 0)
		json_object_set_new(
			json, "eta_ms", json_integer((json_int_t)(bytes_left / rate * 1000)));
}

/* --- one task --------------------------------------------------------------------------------- */

/* The node that a task's text names. */
static const struct fact_node *node_of_text(const struct facts *facts, const json_t *text)
{
	const char *by = json_string_value(json_object_get(text, "by"));
	char id[2 * ID_LEN + 1];
	for (size_t i = 0; by && i < facts->node_count; i++) {
		hex_encode(facts->nodes[i].id.bytes, ID_LEN, id);
		if (strcmp(id, by) == 0)
			return &facts->nodes[i];
	}
	return NULL;
}

static const struct mender_work *find_work(
	const struct task_view *view, uint64_t id, const struct background_node **ret_node)
{
	const struct background_node *node = view->background->responsible;
	for (unsigned work = 0; node && work < BOOK_WORKS; work++) {
		if (node->status.works[work].id != id)
			continue;
		*ret_node = node;
		return &node->status.works[work];
	}
	return NULL;
}

static void say_state(json_t *json, const char *state, const char *why)
{
	json_object_set_new(json, "state", json_string(state));
	json_object_set_new(json, "why", json_string(why));
}

/* Repair or a move, as the node that does it says. */
static void add_work(const struct task_view *view, const struct mender_work *work,
	const struct background_node *by, json_t *json)
{
	const struct mender_status *status = &by->status;
	char why[WHY_LEN] = "";
	json_object_set_new(json, "node", json_string(by->node->name));
	json_object_set_new(json, "shards_done", json_integer((json_int_t)work->done.shards));
	json_object_set_new(json, "shards_left", json_integer((json_int_t)work->shards_left));
	json_object_set_new(json, "attempts_failed", json_integer((json_int_t)work->done.failed));
	task_add_progress(json, work->done.bytes, work->bytes_left, work->bytes_per_second);
	if (status->lost > 0)
		snprintf(why, sizeof why,
			"of %llu extents too few shards can be read; bring back the drives that "
			"have them",
			(unsigned long long)status->lost);
	else if (status->blocked > 0)
		snprintf(why, sizeof why, "%llu shards wait for drives or nodes that are away",
			(unsigned long long)status->blocked);
	if (view->facts->steering.is_repair_paused || status->is_paused)
		say_state(json, "paused", "rubus repair resume lets it go on");
	else if (status->task == MENDER_BLOCKED)
		say_state(json, "waiting", why);
	else
		say_state(json, "running", why);
}

static void add_scrub(
	const struct task_view *view, const struct row_task *row, uint16_t drive, json_t *json)
{
	struct scrub_progress progress;
	char why[WHY_LEN];
	task_scrub_progress(view, drive, row->id, &progress);
	task_add_progress(
		json, progress.counts.bytes, progress.bytes_left, progress.bytes_per_second);
	json_object_set_new(json, "bad", json_integer((json_int_t)progress.counts.bad));
	json_object_set_new(json, "mended", json_integer((json_int_t)progress.counts.mended));
	json_object_set_new(json, "drives", json_integer(progress.drives));
	json_object_set_new(json, "drives_done", json_integer(progress.drives_done));
	if (progress.node)
		json_object_set_new(json, "node", json_string(progress.node->name));
	snprintf(why, sizeof why, "drive %u is not there", progress.drive_away);
	if (view->facts->steering.is_scrub_paused)
		say_state(json, "paused", "rubus scrub resume lets it go on");
	else if (!progress.is_running && progress.has_away)
		say_state(json, "waiting", why);
	else
		say_state(json, "running", progress.has_away ? why : "");
}

static void add_open(
	const struct task_view *view, const struct row_task *row, const json_t *text, json_t *json)
{
	const struct background_node *by;
	const struct mender_work *work = find_work(view, row->id, &by);
	const struct fact_node *told_by = node_of_text(view->facts, text);
	uint16_t drive;
	if (steering_is_scrub(row->name, &drive)) {
		add_scrub(view, row, drive, json);
	} else if (work) {
		add_work(view, work, by, json);
	} else {
		if (told_by)
			json_object_set_new(json, "node", json_string(told_by->name));
		json_object_set(json, "bytes_done", json_object_get(text, "bytes"));
		say_state(json, "waiting", "no node answers that it does it");
	}
}

static void add_ended(
	const struct task_view *view, const struct row_task *row, const json_t *text, json_t *json)
{
	static const char *const fields[][2] = {{"verdict", "verdict"}, {"shards", "shards_done"},
		{"bytes", "bytes_done"}, {"failed", "attempts_failed"}, {"bad", "bad"},
		{"mended", "mended"}, {"missing", "missing"}, {"unread", "unread"}};
	const struct fact_node *by = node_of_text(view->facts, text);
	say_state(json, "done", "");
	json_object_set_new(json, "ended_ms", json_integer((json_int_t)row->ended_ms));
	if (by)
		json_object_set_new(json, "node", json_string(by->name));
	for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
		json_t *value = json_object_get(text, fields[i][0]);
		if (value)
			json_object_set(json, fields[i][1], value);
	}
}

static json_t *task_json(const struct task_view *view, const struct row_task *row)
{
	uint16_t drive = 0;
	bool is_scrub = steering_is_scrub(row->name, &drive);
	json_t *text = row->text.len > 0
		? json_loadb((const char *)row->text.data, row->text.len, 0, NULL)
		: NULL;
	const char *kind = json_string_value(json_object_get(text, "kind"));
	json_t *json = json_pack("{s:I, s:o, s:I}", "id", (json_int_t)row->id, "kind",
		is_scrub       ? json_string("scrub")
			: kind ? json_string(kind)
			       : json_stringn((const char *)row->name.data, row->name.len),
		"began_ms", (json_int_t)row->began_ms);
	if (json && drive > 0)
		json_object_set_new(json, "drive", json_integer(drive));
	if (json && row->ended_ms == 0)
		add_open(view, row, text, json);
	else if (json)
		add_ended(view, row, text, json);
	json_decref(text);
	return json;
}

/* --- lists ------------------------------------------------------------------------------------ */

/* Tasks that are open, or that ended, or both; the newest last. */
static enum err list_tasks(struct node *node, const struct task_view *view, bool wants_open,
	bool wants_ended, json_t *list)
{
	struct row_task row = {.id = 0};
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	while ((err = index_task_next(node->reader, row.id + 1, &row)) == ERR_OK)
		if (row.ended_ms == 0 ? wants_open : wants_ended)
			json_array_append_new(list, task_json(view, &row));
	index_view_end(node->reader);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err give_tasks(
	struct node *node, bool wants_open, bool wants_ended, json_t **ret_result)
{
	struct task_view view;
	enum err err = task_view_open(node, &view);
	if (err)
		return err;
	json_t *list = json_array();
	err = list_tasks(node, &view, wants_open, wants_ended, list);
	task_view_close(&view);
	if (err)
		json_decref(list);
	else
		*ret_result = list;
	return err;
}

enum err control_tasks(struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)message;
	return give_tasks(node, true, json_object_get(request, "all") != NULL, ret_result);
}

enum err control_repair_report(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	return give_tasks(node, false, true, ret_result);
}

enum err control_task_show(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *text = json_string_value(json_object_get(request, "id"));
	char *end = NULL;
	uint64_t id = text ? strtoull(text, &end, 10) : 0;
	struct task_view view;
	struct row_task row;
	if (id == 0 || *end)
		return node_refuse(
			message, ERR_INVALID, "a task has a number; see rubus tasks --all");
	enum err err = task_view_open(node, &view);
	if (err)
		return err;
	err = index_view_begin(node->reader);
	if (!err) {
		err = index_task_next(node->reader, id, &row);
		if (!err && row.id != id)
			err = ERR_NOT_FOUND;
		if (!err)
			*ret_result = task_json(&view, &row);
		index_view_end(node->reader);
	}
	task_view_close(&view);
	if (err == ERR_NOT_FOUND)
		return node_refuse(
			message, err, "there is no task %.20s; see rubus tasks --all", text);
	return err;
}

/* --- repair ----------------------------------------------------------------------------------- */

static const char *repair_state(const struct task_view *view)
{
	static const char *const states[] = {[MENDER_NOTHING] = "whole",
		[MENDER_REPAIRING] = "repairing",
		[MENDER_MOVING] = "moving",
		[MENDER_RECODING] = "recoding",
		[MENDER_BLOCKED] = "waiting",
		[MENDER_ELSEWHERE] = "unknown"};
	const struct background_node *by = view->background->responsible;
	if (!by)
		return "unknown";
	bool is_whole = by->status.task == MENDER_NOTHING && !view->facts->is_moving &&
		!view->facts->has_gone && view->facts->exceptions == 0;
	if (view->facts->steering.is_repair_paused && !is_whole)
		return "paused";
	if (by->status.task != MENDER_NOTHING || is_whole)
		return states[by->status.task];
	return view->facts->is_moving ? "moving" : "waiting"; /* it has not looked yet */
}

enum err control_repair_status(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	struct task_view view;
	enum err err = task_view_open(node, &view);
	if (err)
		return err;
	const struct facts *facts = view.facts;
	const struct background_node *by = view.background->responsible;
	json_t *list = json_array();
	err = list_tasks(node, &view, true, false, list);
	json_t *json = json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "state",
		repair_state(&view), "node", by ? by->node->name : "", "paused",
		facts->steering.is_repair_paused, "speed_max",
		(json_int_t)facts->steering.repair_speed, "missing", (json_int_t)facts->missing,
		"elsewhere", (json_int_t)(facts->exceptions - facts->missing_exceptions),
		"under_profile", (json_int_t)facts->under_profile, "blocked",
		(json_int_t)(by ? by->status.blocked : 0), "lost",
		(json_int_t)(by ? by->status.lost : 0), "tasks", list);
	task_view_close(&view);
	if (err)
		json_decref(json);
	else
		*ret_result = json;
	return err;
}

/* --- settings --------------------------------------------------------------------------------- */

static enum err put_setting(
	struct node *node, const char *name, const char *value, json_t **ret_result)
{
	struct command command = {.type = COMMAND_SETTING_PUT};
	struct command_result result;
	command.setting_put.name = bytes_of(name);
	command.setting_put.value = bytes_of(value);
	enum err err = node_propose(node, &command, &result);
	if (!err)
		*ret_result = json_pack("{s:s, s:s}", "setting", name, "value", value);
	return err;
}

static enum err put_speed(struct node *node, const json_t *request, const char *name,
	json_t **ret_result, char *message)
{
	const char *text = json_string_value(json_object_get(request, "mib"));
	char *end = NULL, value[24];
	unsigned long mib = text ? strtoul(text, &end, 10) : 0;
	if (!text || !*text || *end || *text == '-' || mib > SPEED_MIB_MAX)
		return node_refuse(message, ERR_INVALID,
			"say how many MiB a second, 1 to %d; 0 is as clients allow", SPEED_MIB_MAX);
	snprintf(value, sizeof value, "%llu", (unsigned long long)(mib * MIB));
	return put_setting(node, name, mib > 0 ? value : "", ret_result);
}

enum err control_repair_pause(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	return put_setting(node, STEERING_REPAIR_PAUSED, "1", ret_result);
}

enum err control_repair_resume(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	return put_setting(node, STEERING_REPAIR_PAUSED, "", ret_result);
}

enum err control_repair_speed(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	return put_speed(node, request, STEERING_REPAIR_SPEED, ret_result, message);
}

enum err control_scrub_pause(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	return put_setting(node, STEERING_SCRUB_PAUSED, "1", ret_result);
}

enum err control_scrub_resume(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	return put_setting(node, STEERING_SCRUB_PAUSED, "", ret_result);
}

enum err control_scrub_speed(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	return put_speed(node, request, STEERING_SCRUB_SPEED, ret_result, message);
}

enum err control_scrub_period(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *text = json_string_value(json_object_get(request, "days"));
	char *end = NULL, value[24];
	unsigned long days = text ? strtoul(text, &end, 10) : 0;
	if (text && strcmp(text, STEERING_NEVER) == 0)
		return put_setting(node, STEERING_SCRUB_PERIOD, STEERING_NEVER, ret_result);
	if (!text || !*text || *end || days < 1 || days > 365)
		return node_refuse(message, ERR_INVALID,
			"say in how many days all is to be read, 1 to 365; or never");
	snprintf(value, sizeof value, "%llu", (unsigned long long)days * 24 * 3600 * 1000);
	return put_setting(node, STEERING_SCRUB_PERIOD, value, ret_result);
}
