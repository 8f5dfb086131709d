/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about the ring, and about drives and nodes that come and go. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "server/cli_priv.h"
#include "storage/bytes.h"

#define REMOVE_TRIES 120
#define REMOVE_PAUSE_MS 500

static json_int_t number_at(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* --- the ring --------------------------------------------------------------------------------- */

static const struct cli_column show_columns[] = {
	{"version", "version", CLI_KIND_COUNT},
	{"profile", "profile", CLI_KIND_TEXT},
	{"domain", "domain", CLI_KIND_TEXT},
	{"slots", "slots", CLI_KIND_COUNT},
	{"survives", "survives_text", CLI_KIND_TEXT},
	{"one node away", "one_away", CLI_KIND_TEXT},
	{"durability", "durability_text", CLI_KIND_TEXT},
	{"usable", "usable", CLI_KIND_LEN},
	{"safe to fill", "safe", CLI_KIND_LEN},
	{"in extents", "stored", CLI_KIND_LEN},
};

static const struct cli_column show_drive_columns[] = {
	{"DRIVE", "drive", CLI_KIND_COUNT},
	{"NODE", "node", CLI_KIND_TEXT},
	{"STATE", "state", CLI_KIND_STATE},
	{"WEIGHT", "weight", CLI_KIND_LEN},
	{"PLACES", "shards", CLI_KIND_COUNT},
	{"BYTES", "bytes", CLI_KIND_LEN},
};

static const struct cli_column plan_columns[] = {
	{"what", "what", CLI_KIND_TEXT},
	{"plan", "plan", CLI_KIND_TEXT},
	{"version", "version", CLI_KIND_COUNT},
	{"changes", "changes", CLI_KIND_TEXT},
	{"applied", "applied", CLI_KIND_TEXT},
	{"domain", "domain", CLI_KIND_TEXT},
	{"profile before", "profile_before", CLI_KIND_TEXT},
	{"profile", "profile", CLI_KIND_TEXT},
	{"to move", "move_bytes", CLI_KIND_LEN},
	{"to code anew", "recode_bytes", CLI_KIND_LEN},
	{"takes", "hours_text", CLI_KIND_TEXT},
	{"usable before", "usable_before", CLI_KIND_LEN},
	{"usable after", "usable_after", CLI_KIND_LEN},
	{"safe to fill", "safe", CLI_KIND_LEN},
	{"room for it", "has_room", CLI_KIND_STATE},
	{"next", "next", CLI_KIND_TEXT},
};

static const struct cli_column plan_drive_columns[] = {
	{"DRIVE", "drive", CLI_KIND_COUNT},
	{"NODE", "node", CLI_KIND_TEXT},
	{"WEIGHT", "weight", CLI_KIND_LEN},
	{"PLACES", "shards_before", CLI_KIND_COUNT},
	{"AFTER", "shards_after", CLI_KIND_COUNT},
	{"BYTES", "bytes_before", CLI_KIND_LEN},
	{"AFTER", "bytes_after", CLI_KIND_LEN},
	{"IN", "bytes_in", CLI_KIND_LEN},
	{"OUT", "bytes_out", CLI_KIND_LEN},
};

/* Prints an object and the table of its drives. Takes the object. */
static void print_ring(struct cli *cli, const struct cli_column *columns, size_t count,
	const struct cli_column *drives, size_t drives_count, json_t *ring)
{
	if (cli->is_json) {
		cli_print_document(cli, ring);
		return;
	}
	cli_print_fields(cli, columns, count, ring);
	fputc('\n', cli->out);
	cli_print_table(cli, drives, drives_count, json_object_get(ring, "drives"));
	json_decref(ring);
}

enum cli_exit cli_run_layout_show(struct cli *cli)
{
	json_t *ring;
	enum cli_exit status = cli_ask(cli, "layout.show", &ring);
	if (!status)
		print_ring(cli, show_columns, ARRAY_COUNT(show_columns), show_drive_columns,
			ARRAY_COUNT(show_drive_columns), ring);
	return status;
}

/* Prints a plan. Takes it. */
static void print_plan(struct cli *cli, json_t *ring)
{
	if (!cli->is_json)
		json_object_set_new(ring, "hours_text",
			json_sprintf("%.1f h at %lld MiB/s for each node",
				number_at(ring, "move_ms") / 3600000.0,
				(long long)(number_at(ring, "rate") >> 20)));
	print_ring(cli, plan_columns, ARRAY_COUNT(plan_columns), plan_drive_columns,
		ARRAY_COUNT(plan_drive_columns), ring);
}

static enum cli_exit show_plan(struct cli *cli, const char *call)
{
	json_t *ring;
	enum cli_exit status = cli_ask(cli, call, &ring);
	if (!status)
		print_plan(cli, ring);
	return status;
}

enum cli_exit cli_run_layout_plan(struct cli *cli)
{
	const char *path = cli_value(cli, "out");
	json_t *ring;
	enum cli_exit status = cli_ask(cli, "layout.plan", &ring);
	if (status)
		return status;
	if (path && json_dump_file(ring, path, JSON_INDENT(2)) != 0) {
		json_decref(ring);
		return cli_fail(cli, CLI_FAILED,
			"%.300s could not be written: %s; name another file", path,
			strerror(errno));
	}
	print_plan(cli, ring);
	return CLI_OK;
}

/* The name of a plan is in the file that layout plan --out wrote, when that is what was named. */
enum cli_exit cli_run_layout_apply(struct cli *cli)
{
	const char *plan = cli->arguments[0];
	json_t *file = plan ? json_load_file(plan, 0, NULL) : NULL;
	const char *name = json_string_value(json_object_get(file, "plan"));
	if (name)
		cli->arguments[0] = name;
	enum cli_exit status = show_plan(cli, "layout.apply");
	json_decref(file);
	return status;
}

enum cli_exit cli_run_layout_diff(struct cli *cli)
{
	return show_plan(cli, "layout.diff");
}

enum cli_exit cli_run_layout_revert(struct cli *cli)
{
	return show_plan(cli, "layout.revert");
}

enum cli_exit cli_run_layout_history(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"VERSION", "version", CLI_KIND_COUNT},
		{"WHEN", "time_ms", CLI_KIND_TIME},
		{"FROM", "node", CLI_KIND_TEXT},
		{"PROFILE", "profile", CLI_KIND_TEXT},
		{"WHAT", "what", CLI_KIND_TEXT},
	};
	return cli_show_list(cli, "layout.history", "history", columns, ARRAY_COUNT(columns));
}

/* --- drives and nodes that come and go -------------------------------------------------------- */

static const struct cli_column change_columns[] = {
	{"drive", "drive", CLI_KIND_COUNT},
	{"path", "path", CLI_KIND_TEXT},
	{"node", "node", CLI_KIND_TEXT},
	{"class", "class", CLI_KIND_TEXT},
	{"weight", "weight", CLI_KIND_LEN},
	{"state", "state", CLI_KIND_STATE},
	{"next", "next", CLI_KIND_TEXT},
};

enum cli_exit cli_run_drive_add(struct cli *cli)
{
	return cli_show_object(cli, "drive.add", change_columns, ARRAY_COUNT(change_columns));
}

enum cli_exit cli_run_drive_drain(struct cli *cli)
{
	return show_plan(cli, "drive.drain");
}

enum cli_exit cli_run_drive_remove(struct cli *cli)
{
	return cli_show_object(cli, "drive.remove", change_columns, ARRAY_COUNT(change_columns));
}

enum cli_exit cli_run_drive_gone(struct cli *cli)
{
	return show_plan(cli, "drive.gone");
}

enum cli_exit cli_run_node_gone(struct cli *cli)
{
	return show_plan(cli, "node.gone");
}

enum cli_exit cli_run_node_gone_after(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"given up after", "gone_after", CLI_KIND_TEXT}};
	return cli_show_object(cli, "node.gone-after", columns, ARRAY_COUNT(columns));
}

enum cli_exit cli_run_drive_replace(struct cli *cli)
{
	return show_plan(cli, "drive.replace");
}

enum cli_exit cli_run_node_drain(struct cli *cli)
{
	return show_plan(cli, "node.drain");
}

/* The group has to let it go first, which takes some seconds. */
enum cli_exit cli_run_node_remove(struct cli *cli)
{
	static const struct timespec pause = {.tv_nsec = REMOVE_PAUSE_MS * 1000000};
	json_t *result;
	for (unsigned i = 0; i < REMOVE_TRIES; i++) {
		enum cli_exit status = cli_ask(cli, "node.remove", &result);
		if (status)
			return status;
		const char *state = json_string_value(json_object_get(result, "state"));
		if (state && strcmp(state, "removed") == 0) {
			cli_print_object(cli, change_columns, ARRAY_COUNT(change_columns), result);
			return CLI_OK;
		}
		json_decref(result);
		nanosleep(&pause, NULL);
	}
	return cli_fail(cli, CLI_FAILED,
		"the node is still a member of the group; see rubus quorum, and try again");
}
