/* SPDX-License-Identifier: Apache-2.0 */
/* `rubus index rebuild`: the index from what the drives have of it; `rubus index salvage`: objects
 * from what of them no row names. */
#include <sys/stat.h>

#include <time.h>

#include "server/cli_priv.h"
#include "server/control.h"
#include "server/rescue.h"
#include "storage/bytes.h"

#define PROGRESS_LEN (64u << 20) /* a line for each so many bytes of rows */

static const struct cli_column columns[] = {
	{"archive on", "archive", CLI_KIND_TEXT},
	{"full copy of", "full_ms", CLI_KIND_TIME},
	{"complete up to", "end_ms", CLI_KIND_TIME},
	{"log index", "log_index", CLI_KIND_COUNT},
	{"generation", "generation", CLI_KIND_COUNT},
	{"newest known", "newest_known", CLI_KIND_COUNT},
	{"rows", "rows", CLI_KIND_COUNT},
	{"bytes of rows", "bytes", CLI_KIND_LEN},
	{"damaged archives", "damaged", CLI_KIND_COUNT},
};

static const struct cli_column drive_columns[] = {
	{"DRIVE", "path", CLI_KIND_TEXT},
	{"WHAT", "state", CLI_KIND_TEXT},
	{"LOG INDEX", "log_index", CLI_KIND_COUNT},
	{"COMPLETE UP TO", "end_ms", CLI_KIND_TIME},
};

struct shown {
	struct cli *cli;
	uint64_t len;
};

static void progress(void *arg, uint64_t rows, uint64_t len)
{
	struct shown *shown = arg;
	char text[CLI_TEXT_LEN];
	if (len < shown->len + PROGRESS_LEN)
		return;
	shown->len = len;
	cli_format_len(len, text);
	fprintf(shown->cli->err, "%llu rows, %s\n", (unsigned long long)rows, text);
}

static void tell_what_next(struct cli *cli, const json_t *report, bool is_dry)
{
	char end[CLI_TEXT_LEN], len[CLI_TEXT_LEN];
	cli_format_time(json_integer_value(json_object_get(report, "end_ms")), end);
	fprintf(cli->err,
		"\nWhat was written, deleted or changed after %s is not in the index%s. Objects of "
		"at most 4 KiB that were written after it are on no drive.\n",
		end, is_dry ? " that this archive brings back" : "");
	const json_t *late = json_object_get(report, "late");
	json_int_t extents = json_integer_value(json_object_get(late, "extents"));
	if (extents > 0) {
		cli_format_len(json_integer_value(json_object_get(late, "bytes")), len);
		fprintf(cli->err,
			"Of what was written the drives have %s, of %zu%s objects, which no row "
			"names; %s lists them.\n",
			len, json_array_size(json_object_get(late, "keys")),
			json_is_true(json_object_get(late, "more")) ? " or more" : "",
			is_dry ? "--json" : RESCUE_REPORT_NAME " in the state directory");
	}
	if (is_dry)
		return;
	fprintf(cli->err,
		"Shards that no row names stay on the drives until: rubus cluster confirm. Before "
		"it, rubus index salvage brings back what can be read of them.\n"
		"This node is the only member of its cluster now; the others join it anew, with "
		"state directories of their own.\n"
		"Start it with: rubus serve\n");
}

enum cli_exit cli_run_index_rebuild(struct cli *cli)
{
	struct config *config = NULL;
	char message[IDENTITY_MESSAGE_LEN];
	json_t *report = NULL;
	struct shown shown = {cli, 0};
	struct rescue_options options = {.is_dry = cli_value(cli, "dry-run") != NULL,
		.gives_up_log = cli_value(cli, "ignore-log") != NULL,
		.progress = cli->is_json ? NULL : progress,
		.arg = &shown};
	if (!cli_value(cli, "from-drives"))
		return cli_fail(cli, CLI_USAGE,
			"say what the index is made of: rubus index rebuild --from-drives");
	enum cli_exit status = cli_load_config(cli, &config);
	if (status)
		return status;
	umask(0077);
	enum err err = rescue_index(config, &options, &report, message);
	config_free(config);
	if (err)
		return cli_fail(cli, cli_exit_of(err), "%s", message);
	if (cli->is_json) {
		cli_print_document(cli, report);
		return CLI_OK;
	}
	cli_print_fields(cli, columns, ARRAY_COUNT(columns), report);
	fprintf(cli->out, "\n");
	cli_print_table(
		cli, drive_columns, ARRAY_COUNT(drive_columns), json_object_get(report, "drives"));
	tell_what_next(cli, report, options.is_dry);
	json_decref(report);
	return CLI_OK;
}

/* --- rubus index salvage ---------------------------------------------------------------------- */

#define LOOK_MS 200

static const struct cli_column salvage_columns[] = {
	{"bucket", "bucket", CLI_KIND_TEXT},
	{"bytes", "bytes", CLI_KIND_LEN},
	{"there already", "already", CLI_KIND_COUNT},
	{"extents found", "extents", CLI_KIND_COUNT},
};

static const struct cli_column looked_columns[] = {
	{"DRIVE", "number", CLI_KIND_COUNT},
	{"WHAT", "state", CLI_KIND_TEXT},
};

static const struct cli_column recovered_columns[] = {
	{"RECOVERED AS", "key", CLI_KIND_TEXT},
	{"BYTES", "bytes", CLI_KIND_LEN},
	{"PARTS", "parts", CLI_KIND_TEXT},
};

static const struct cli_column incomplete_columns[] = {
	{"INCOMPLETE", "object", CLI_KIND_TEXT},
	{"PART", "part", CLI_KIND_COUNT},
	{"BYTES", "bytes", CLI_KIND_LEN},
	{"WHY", "why", CLI_KIND_TEXT},
};

static const struct cli_column failed_columns[] = {
	{"COULD NOT BE PUT", "object", CLI_KIND_TEXT},
	{"WHY", "why", CLI_KIND_TEXT},
};

static void show_list(struct cli *cli, const struct cli_column *list_columns, size_t count,
	const json_t *result, const char *name)
{
	const json_t *list = json_object_get(result, name);
	if (json_array_size(list) == 0)
		return;
	fprintf(cli->out, "\n");
	cli_print_table(cli, list_columns, count, list);
}

static void show_salvage(struct cli *cli, const json_t *result)
{
	cli_print_fields(cli, salvage_columns, ARRAY_COUNT(salvage_columns), result);
	show_list(cli, looked_columns, ARRAY_COUNT(looked_columns), result, "drives");
	show_list(cli, recovered_columns, ARRAY_COUNT(recovered_columns), result, "recovered");
	show_list(cli, incomplete_columns, ARRAY_COUNT(incomplete_columns), result, "incomplete");
	show_list(cli, failed_columns, ARRAY_COUNT(failed_columns), result, "failed");
	fflush(cli->out);
	fprintf(cli->err,
		"\nDrives do not say whether what they have was acknowledged, overwritten or "
		"deleted since: all of it may be among these. Objects of at most 4 KiB are on no "
		"drive. Metadata, tags and versions are not known.\n"
		"Run it again when more drives are there. What is left is freed after: rubus "
		"cluster confirm\n");
	json_int_t unsettled = json_integer_value(json_object_get(result, "unsettled"));
	if (unsettled > 0)
		fprintf(cli->err,
			"%lld more shards are of nodes that may still be writing: if they are not, "
			"run it again in a minute.\n",
			(long long)unsettled);
	if (json_is_true(json_object_get(result, "more")))
		fprintf(cli->err, "There is more than is listed.\n");
}

static enum err ask_salvage(struct cli *cli, const struct config *config, bool is_dry,
	json_t **ret_result, char *message)
{
	static const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	json_int_t told = 0;
	bool begins = true;
	for (;;) {
		json_t *request = json_pack("{s:s, s:b, s:b}", "call", "index.salvage", "begin",
			begins, "dry_run", is_dry);
		enum err err = control_ask(config->state_dir, request, ret_result, message);
		json_decref(request);
		if (err || json_is_true(json_object_get(*ret_result, "done")))
			return err;
		json_int_t made = json_integer_value(json_object_get(*ret_result, "made"));
		if (!cli->is_json && made >= told + 100) {
			told = made;
			fprintf(cli->err, "%lld of %lld objects\n", (long long)made,
				(long long)json_integer_value(
					json_object_get(*ret_result, "objects")));
		}
		json_decref(*ret_result);
		begins = false;
		nanosleep(&pause, NULL);
	}
}

enum cli_exit cli_run_index_salvage(struct cli *cli)
{
	struct config *config = NULL;
	char message[CONTROL_MESSAGE_LEN];
	json_t *result = NULL;
	enum cli_exit status = cli_load_config(cli, &config);
	if (status)
		return status;
	enum err err = ask_salvage(
		cli, config, cli_value(cli, "dry-run") != NULL, &result, message);
	config_free(config);
	if (err)
		return cli_fail(cli, cli_exit_of(err), "%s", message);
	if (cli->is_json) {
		cli_print_document(cli, result);
		return CLI_OK;
	}
	show_salvage(cli, result);
	json_decref(result);
	return CLI_OK;
}
