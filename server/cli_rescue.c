/* SPDX-License-Identifier: Apache-2.0 */
/* `rubus index rebuild`: the index from what the drives have of it. */
#include <sys/stat.h>

#include "server/cli_priv.h"
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
		"\nWhat was written, deleted or changed after %s is not in the index%s.\n", end,
		is_dry ? " that this archive brings back" : "");
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
		"Shards that no row names stay on the drives until: rubus cluster confirm\n"
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
