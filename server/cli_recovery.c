/* SPDX-License-Identifier: Apache-2.0 */
/* Commands for when a cluster was in trouble, or is to rest. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/cli_priv.h"
#include "server/node.h"
#include "server/recover.h"
#include "storage/bytes.h"

/* --- rubus cluster recover -------------------------------------------------------------------- */

static const struct cli_column recover_columns[] = {
	{"epoch", "epoch", CLI_KIND_COUNT},
	{"epoch after it", "epoch_after", CLI_KIND_COUNT},
	{"term of the log", "log_term", CLI_KIND_COUNT},
	{"end of the log", "log_index", CLI_KIND_COUNT},
	{"in extents", "stored", CLI_KIND_LEN},
	{"not readable here", "unreadable", CLI_KIND_LEN},
};

static const struct cli_column member_columns[] = {
	{"NODE", "name", CLI_KIND_TEXT},
	{"DUTY", "duty", CLI_KIND_TEXT},
	{"FATE", "fate", CLI_KIND_STATE},
};

static enum cli_exit read_epoch(struct cli *cli, uint64_t *ret_epoch)
{
	const char *text = cli_value(cli, "epoch");
	char *end = NULL;
	*ret_epoch = text ? strtoull(text, &end, 10) : 0;
	if (text && (*text < '1' || *text > '9' || *end))
		return cli_fail(cli, CLI_USAGE,
			"--epoch is '%s'; it is the number that the first survivor was given",
			text);
	return CLI_OK;
}

static json_int_t number_at(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* What it means, and what to do next. */
static void explain(struct cli *cli, const char *path, const struct recover_request *request,
	const json_t *result)
{
	long long epoch = number_at(result, "epoch_after");
	if (!request->is_sure && request->epoch == 0)
		fprintf(cli->err,
			"\nNothing was changed. With --yes this node alone goes on from the end of "
			"its log. Lost are writes that only the others had, and what cannot be "
			"read without their drives. Nodes that are called lost must never be "
			"started again as they are; they are refused.\n"
			"Where several survive, look on each and do it on the one with the "
			"highest term, and of those the highest end of the log:\n"
			"  rubus cluster recover --config %s --yes\n",
			path);
	else if (!request->is_sure)
		fprintf(cli->err,
			"\nNothing was changed. With --yes the log and the index of this node are "
			"set aside, and it has them again from the first survivor.\n"
			"  rubus cluster recover --config %s --epoch %lld --yes\n",
			path, epoch);
	else if (request->epoch == 0)
		fprintf(cli->err,
			"\nStart this node: rubus serve --config %s\n"
			"On each other survivor, stopped: rubus cluster recover --config FILE "
			"--epoch %lld --yes\n"
			"Then give up what is lost with rubus node gone NODE, and when all is as "
			"it should be: rubus cluster confirm\n",
			path, epoch);
	else
		fprintf(cli->err, "\nStart this node: rubus serve --config %s\n", path);
}

static enum cli_exit recover(struct cli *cli, const struct config *config, const char *path)
{
	struct recover_request request = {.is_sure = cli_value(cli, "yes") != NULL};
	struct logger_options options = {.fd = STDERR_FILENO, .level = TRACE_ERROR};
	struct logger *logger;
	char message[NODE_MESSAGE_LEN];
	json_t *result;
	enum cli_exit status = read_epoch(cli, &request.epoch);
	if (status)
		return status;
	umask(0077);
	enum err err = logger_open(&options, &logger);
	if (err)
		return cli_fail(cli, CLI_FAILED, "the log could not start: %s", err_text(err));
	err = recover_run(config, logger, &request, &result, message);
	logger_close(logger);
	if (err)
		return cli_fail(cli, cli_exit_of(err), "%s", message);
	if (cli->is_json) {
		cli_print_document(cli, result);
		return CLI_OK;
	}
	cli_print_fields(cli, recover_columns, ARRAY_COUNT(recover_columns), result);
	fputc('\n', cli->out);
	cli_print_table(cli, member_columns, ARRAY_COUNT(member_columns),
		json_object_get(result, "members"));
	fflush(cli->out);
	explain(cli, path, &request, result);
	json_decref(result);
	return CLI_OK;
}

enum cli_exit cli_run_cluster_recover(struct cli *cli)
{
	struct config *config = NULL;
	char path[CLI_PATH_LEN];
	enum cli_exit status = cli_config_path(cli, path);
	if (!status)
		status = cli_load_config(cli, &config);
	if (!status)
		status = recover(cli, config, path);
	config_free(config);
	return status;
}

/* --- rubus cluster confirm -------------------------------------------------------------------- */

enum cli_exit cli_run_cluster_confirm(struct cli *cli)
{
	static const struct cli_column columns[] = {{"was held up", "was_held", CLI_KIND_STATE}};
	return cli_show_object(cli, "cluster.confirm", columns, ARRAY_COUNT(columns));
}
