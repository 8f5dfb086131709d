/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about work in the background. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "server/cli_priv.h"
#include "storage/bytes.h"

#define FOLLOW_PAUSE_US 1000000
#define FOLLOW_LINE_EVERY 10 /* looks, where lines cannot be written over */
#define ETA_LEN 32

static json_int_t number_at(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static const char *text_at(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

/* When it would be over, in words. */
static void add_eta(json_t *object)
{
	const json_t *eta = json_object_get(object, "eta_ms");
	json_int_t s = json_integer_value(eta) / 1000;
	char text[ETA_LEN];
	if (!eta || number_at(object, "bytes_left") == 0)
		return;
	if (s < 120)
		snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT " s", s);
	else if (s < 7200)
		snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT " min", s / 60);
	else
		snprintf(text, sizeof text, "%.1f h", (double)s / 3600);
	json_object_set_new(object, "eta", json_string(text));
}

static void add_etas(json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		add_eta(json_array_get(list, i));
}

/* --- tasks ------------------------------------------------------------------------------------ */

static const struct cli_column task_columns[] = {
	{"TASK", "id", CLI_KIND_COUNT},
	{"KIND", "kind", CLI_KIND_TEXT},
	{"DRIVE", "drive", CLI_KIND_COUNT},
	{"STATE", "state", CLI_KIND_STATE},
	{"BEGAN", "began_ms", CLI_KIND_TIME},
	{"ENDED", "ended_ms", CLI_KIND_TIME},
	{"DONE", "bytes_done", CLI_KIND_LEN},
	{"LEFT", "bytes_left", CLI_KIND_LEN},
	{"RATE", "bytes_per_second", CLI_KIND_RATE},
	{"ETA", "eta", CLI_KIND_TEXT},
	{"NODE", "node", CLI_KIND_TEXT},
	{"VERDICT", "verdict", CLI_KIND_TEXT},
	{"WHY", "why", CLI_KIND_TEXT},
};

static enum cli_exit show_tasks(struct cli *cli, const char *call, const char *name)
{
	json_t *list;
	enum cli_exit status = cli_ask(cli, call, &list);
	if (status)
		return status;
	if (!cli->is_json)
		add_etas(list);
	cli_print_list(cli, name, task_columns, ARRAY_COUNT(task_columns), list);
	return CLI_OK;
}

enum cli_exit cli_run_tasks(struct cli *cli)
{
	return show_tasks(cli, "tasks", "tasks");
}

/* --- following one ---------------------------------------------------------------------------- */

static void print_progress(struct cli *cli, const json_t *task, bool is_terminal)
{
	char done[CLI_TEXT_LEN], left[CLI_TEXT_LEN], rate[CLI_TEXT_LEN];
	const char *why = text_at(task, "why"), *eta = text_at(task, "eta");
	cli_format_len(number_at(task, "bytes_done"), done);
	cli_format_len(number_at(task, "bytes_left"), left);
	cli_format_len(number_at(task, "bytes_per_second"), rate);
	fprintf(cli->err,
		"%stask %" JSON_INTEGER_FORMAT ": %s %s, %s done, %s left, %s/s%s%s%s%s%s",
		is_terminal ? "\r\033[K" : "", number_at(task, "id"), text_at(task, "kind"),
		text_at(task, "state"), done, left, rate, *eta ? ", " : "", eta, *why ? "; " : "",
		why, is_terminal ? "" : "\n");
	fflush(cli->err);
}

/* Does the verdict say that all is well? */
static bool is_good(const char *verdict)
{
	static const char *const good[] = {"whole", "clean", "mended"};
	for (size_t i = 0; i < ARRAY_COUNT(good); i++)
		if (strcmp(verdict, good[i]) == 0)
			return true;
	return false;
}

static const struct cli_column verdict_columns[] = {
	{"task", "id", CLI_KIND_COUNT},
	{"kind", "kind", CLI_KIND_TEXT},
	{"drive", "drive", CLI_KIND_COUNT},
	{"verdict", "verdict", CLI_KIND_TEXT},
	{"began", "began_ms", CLI_KIND_TIME},
	{"ended", "ended_ms", CLI_KIND_TIME},
	{"shards", "shards_done", CLI_KIND_COUNT},
	{"bytes", "bytes_done", CLI_KIND_LEN},
	{"attempts failed", "attempts_failed", CLI_KIND_COUNT},
	{"shards damaged", "bad", CLI_KIND_COUNT},
	{"of them mended", "mended", CLI_KIND_COUNT},
	{"shards not there", "missing", CLI_KIND_COUNT},
	{"not readable", "unread", CLI_KIND_COUNT},
};

static enum cli_exit end_following(struct cli *cli, json_t *task)
{
	bool is_fine = is_good(text_at(task, "verdict"));
	cli_print_object(cli, verdict_columns, ARRAY_COUNT(verdict_columns), json_incref(task));
	if (!is_fine)
		fprintf(cli->err,
			"rubus: the verdict of task %" JSON_INTEGER_FORMAT " is '%s'; see "
			"rubus health\n",
			number_at(task, "id"), text_at(task, "verdict"));
	json_decref(task);
	return is_fine ? CLI_OK : CLI_FAILED;
}

enum cli_exit cli_run_tasks_follow(struct cli *cli)
{
	bool is_terminal = isatty(fileno(cli->err));
	for (unsigned look = 0;; look++) {
		json_t *task;
		enum cli_exit status = cli_ask(cli, "task.show", &task);
		if (status)
			return status;
		if (json_object_get(task, "ended_ms")) {
			if (is_terminal && look > 0)
				fputs("\r\033[K", cli->err);
			return end_following(cli, task);
		}
		add_eta(task);
		if (is_terminal || look % FOLLOW_LINE_EVERY == 0)
			print_progress(cli, task, is_terminal);
		json_decref(task);
		usleep(FOLLOW_PAUSE_US);
	}
}

/* --- repair ----------------------------------------------------------------------------------- */

static const struct cli_column repair_columns[] = {
	{"repair", "state", CLI_KIND_STATE},
	{"node", "node", CLI_KIND_TEXT},
	{"paused", "paused", CLI_KIND_TEXT},
	{"at most", "speed_text", CLI_KIND_TEXT},
	{"shards missing", "missing", CLI_KIND_COUNT},
	{"shards elsewhere", "elsewhere", CLI_KIND_COUNT},
	{"under profile", "under_profile", CLI_KIND_COUNT},
	{"shards that wait", "blocked", CLI_KIND_COUNT},
	{"extents not readable", "lost", CLI_KIND_COUNT},
};

static void add_speed(json_t *object)
{
	char text[CLI_TEXT_LEN];
	cli_format_len(number_at(object, "speed_max"), text);
	if (number_at(object, "speed_max") > 0)
		json_object_set_new(object, "speed_text", json_sprintf("%s/s", text));
	else
		json_object_set_new(object, "speed_text", json_string("as clients allow"));
}

/* Prints an object and a table of one of its lists. */
static enum cli_exit show_with_list(struct cli *cli, const char *call,
	const struct cli_column *columns, size_t count, const char *list,
	const struct cli_column *list_columns, size_t list_count)
{
	json_t *result;
	enum cli_exit status = cli_ask(cli, call, &result);
	if (status)
		return status;
	if (cli->is_json) {
		cli_print_document(cli, result);
		return CLI_OK;
	}
	add_speed(result);
	add_etas(json_object_get(result, list));
	cli_print_fields(cli, columns, count, result);
	if (json_array_size(json_object_get(result, list)) > 0) {
		fputc('\n', cli->out);
		cli_print_table(cli, list_columns, list_count, json_object_get(result, list));
	}
	json_decref(result);
	return CLI_OK;
}

enum cli_exit cli_run_repair_status(struct cli *cli)
{
	return show_with_list(cli, "repair.status", repair_columns, ARRAY_COUNT(repair_columns),
		"tasks", task_columns, ARRAY_COUNT(task_columns));
}

static const struct cli_column report_columns[] = {
	{"TASK", "id", CLI_KIND_COUNT},
	{"KIND", "kind", CLI_KIND_TEXT},
	{"DRIVE", "drive", CLI_KIND_COUNT},
	{"VERDICT", "verdict", CLI_KIND_TEXT},
	{"BEGAN", "began_ms", CLI_KIND_TIME},
	{"ENDED", "ended_ms", CLI_KIND_TIME},
	{"SHARDS", "shards_done", CLI_KIND_COUNT},
	{"BYTES", "bytes_done", CLI_KIND_LEN},
	{"FAILED", "attempts_failed", CLI_KIND_COUNT},
	{"DAMAGED", "bad", CLI_KIND_COUNT},
	{"MENDED", "mended", CLI_KIND_COUNT},
	{"NOT THERE", "missing", CLI_KIND_COUNT},
	{"NOT READABLE", "unread", CLI_KIND_COUNT},
	{"NODE", "node", CLI_KIND_TEXT},
};

enum cli_exit cli_run_repair_report(struct cli *cli)
{
	return cli_show_list(
		cli, "repair.report", "verdicts", report_columns, ARRAY_COUNT(report_columns));
}

/* --- what is set ------------------------------------------------------------------------------ */

static enum cli_exit set(struct cli *cli, const char *call)
{
	static const struct cli_column columns[] = {
		{"setting", "setting", CLI_KIND_TEXT},
		{"value", "value", CLI_KIND_TEXT},
	};
	json_t *result;
	enum cli_exit status = cli_ask(cli, call, &result);
	if (status)
		return status;
	if (cli->is_json)
		cli_print_object(cli, columns, ARRAY_COUNT(columns), json_incref(result));
	json_decref(result);
	return CLI_OK;
}

enum cli_exit cli_run_repair_pause(struct cli *cli)
{
	return set(cli, "repair.pause");
}

enum cli_exit cli_run_repair_resume(struct cli *cli)
{
	return set(cli, "repair.resume");
}

enum cli_exit cli_run_repair_speed(struct cli *cli)
{
	return set(cli, "repair.speed");
}

enum cli_exit cli_run_scrub_pause(struct cli *cli)
{
	return set(cli, "scrub.pause");
}

enum cli_exit cli_run_scrub_resume(struct cli *cli)
{
	return set(cli, "scrub.resume");
}

enum cli_exit cli_run_scrub_speed(struct cli *cli)
{
	return set(cli, "scrub.speed");
}

enum cli_exit cli_run_scrub_period(struct cli *cli)
{
	return set(cli, "scrub.period");
}

/* --- scrub ------------------------------------------------------------------------------------ */

enum cli_exit cli_run_scrub_start(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"TASK", "id", CLI_KIND_COUNT},
		{"KIND", "kind", CLI_KIND_TEXT},
		{"DRIVE", "drive", CLI_KIND_COUNT},
	};
	return cli_show_list(cli, "scrub.start", "tasks", columns, ARRAY_COUNT(columns));
}

enum cli_exit cli_run_scrub_status(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"all is read within", "period", CLI_KIND_TEXT},
		{"paused", "paused", CLI_KIND_TEXT},
		{"at most", "speed_text", CLI_KIND_TEXT},
	};
	static const struct cli_column drive_columns[] = {
		{"DRIVE", "drive", CLI_KIND_COUNT},
		{"NODE", "node", CLI_KIND_TEXT},
		{"STATE", "state", CLI_KIND_STATE},
		{"BEGAN", "began_ms", CLI_KIND_TIME},
		{"ENDED", "ended_ms", CLI_KIND_TIME},
		{"DONE", "bytes_done", CLI_KIND_LEN},
		{"LEFT", "bytes_left", CLI_KIND_LEN},
		{"RATE", "bytes_per_second", CLI_KIND_RATE},
		{"ETA", "eta", CLI_KIND_TEXT},
		{"DAMAGED", "bad", CLI_KIND_COUNT},
		{"MENDED", "mended", CLI_KIND_COUNT},
		{"NOT THERE", "missing", CLI_KIND_COUNT},
		{"NOT READABLE", "unread", CLI_KIND_COUNT},
		{"VERDICT", "verdict", CLI_KIND_TEXT},
	};
	return show_with_list(cli, "scrub.status", columns, ARRAY_COUNT(columns), "drives",
		drive_columns, ARRAY_COUNT(drive_columns));
}
