/* SPDX-License-Identifier: Apache-2.0 */
/* Commands for when a cluster was in trouble, or is to rest. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/cli_priv.h"
#include "server/control.h"
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

/* --- rubus cluster stop ----------------------------------------------------------------------- */

#define BUSY_MS_MAX 15000 /* then what still runs is cut off */
#define END_MS_MAX 60000
#define STEP_MS 100

struct stopping {
	struct cli *cli;
	const struct config *config;
	json_t *ended; /* names */
	unsigned left_out; /* nodes that are not known to have ended */
};

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
}

static enum err take_step(struct stopping *stopping, const char *step, const char *name,
	json_t **ret_result, char *message)
{
	json_t *request = json_pack(
		"{s:s, s:s, s:s?}", "call", "cluster.rest", "step", step, "name", name);
	enum err err = control_ask(stopping->config->state_dir, request, ret_result, message);
	json_decref(request);
	return err;
}

static void tell(const struct stopping *stopping, const char *name, const char *what)
{
	if (!stopping->cli->is_json)
		fprintf(stopping->cli->out, "%s: %s\n", name, what);
	fflush(stopping->cli->out);
}

static void wait_idle(struct stopping *stopping)
{
	char message[CONTROL_MESSAGE_LEN];
	for (unsigned ms = 0; ms < BUSY_MS_MAX; ms += STEP_MS) {
		json_t *result = NULL;
		if (take_step(stopping, "busy", NULL, &result, message) != ERR_OK)
			return;
		bool is_idle = number_at(result, "requests") == 0;
		json_decref(result);
		if (is_idle)
			return;
		nap();
	}
}

/* Is the node still linked to ours? */
static bool is_up(struct stopping *stopping, const char *name)
{
	char message[CONTROL_MESSAGE_LEN];
	json_t *result = NULL,
	       *request = json_pack("{s:s, s:s}", "call", "node.show", "name", name);
	enum err err = control_ask(stopping->config->state_dir, request, &result, message);
	const char *state = json_string_value(json_object_get(result, "state"));
	bool is_up = !err && state && strcmp(state, "up") == 0;
	json_decref(result);
	json_decref(request);
	return is_up;
}

/* Has the node of this machine let go of its state directory? */
static bool is_free(const struct config *config)
{
	char path[IDENTITY_PATH_LEN];
	if (identity_path(config->state_dir, "lock", path))
		return false;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool is_free = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (fd >= 0)
		close(fd);
	return is_free;
}

static void end_one(struct stopping *stopping, const json_t *node)
{
	const char *name = json_string_value(json_object_get(node, "name"));
	bool is_this = json_is_true(json_object_get(node, "is_this"));
	char message[CONTROL_MESSAGE_LEN];
	json_t *result = NULL;
	enum err err = take_step(stopping, "end", name, &result, message);
	json_decref(result);
	bool has_ended = false;
	for (unsigned ms = 0; !err && !has_ended && ms < END_MS_MAX; ms += STEP_MS) {
		has_ended = is_this ? is_free(stopping->config) : !is_up(stopping, name);
		if (!has_ended)
			nap();
	}
	stopping->left_out += !has_ended;
	tell(stopping, name, has_ended ? "stopped" : err ? message : "has not ended");
	if (has_ended)
		json_array_append_new(stopping->ended, json_string(name));
}

/* The others, then who leads of them, then this one. */
static void end_all(struct stopping *stopping, const json_t *nodes)
{
	for (unsigned round = 0; round < 3; round++) {
		for (size_t i = 0; i < json_array_size(nodes); i++) {
			const json_t *node = json_array_get(nodes, i);
			const char *state = json_string_value(json_object_get(node, "state"));
			bool is_this = json_is_true(json_object_get(node, "is_this"));
			bool leads = json_is_true(json_object_get(node, "leads"));
			if (!state || strcmp(state, "closed") != 0) {
				stopping->left_out += round == 0;
				if (round == 0)
					tell(stopping,
						json_string_value(json_object_get(node, "name")),
						"cannot be reached, and is left as it is");
			} else if (round == (is_this ? 2u : leads ? 1u : 0u)) {
				end_one(stopping, node);
			}
		}
	}
}

static enum cli_exit stop_all(struct stopping *stopping)
{
	char message[CONTROL_MESSAGE_LEN];
	json_t *nodes = NULL;
	enum err err = take_step(stopping, "close", NULL, &nodes, message);
	if (err)
		return cli_fail(stopping->cli, cli_exit_of(err), "%s", message);
	tell(stopping, "all", "no writes are taken any more");
	wait_idle(stopping);
	end_all(stopping, nodes);
	json_decref(nodes);
	if (stopping->cli->is_json)
		cli_print_document(stopping->cli,
			json_pack("{s:O, s:i}", "stopped", stopping->ended, "left_out",
				(int)stopping->left_out));
	if (stopping->left_out == 0)
		return CLI_OK;
	fprintf(stopping->cli->err, "rubus: %u nodes are not known to have ended; look at them\n",
		stopping->left_out);
	return CLI_FAILED;
}

enum cli_exit cli_run_cluster_stop(struct cli *cli)
{
	struct config *config;
	enum cli_exit status = cli_load_config(cli, &config);
	if (status)
		return status;
	struct stopping stopping = {.cli = cli, .config = config, .ended = json_array()};
	status = stop_all(&stopping);
	json_decref(stopping.ended);
	config_free(config);
	return status;
}
