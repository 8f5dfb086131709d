/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about nodes and the ring. */
#include <string.h>
#include <sys/stat.h>

#include "server/cli_priv.h"
#include "server/init.h"
#include "server/join.h"
#include "storage/bytes.h"

/* --- rubus join ------------------------------------------------------------------------------- */

static const struct cli_column join_columns[] = {
	{"state_dir", "state_dir", CLI_KIND_TEXT},
	{"drives", "drives", CLI_KIND_COUNT},
};

static enum cli_exit join(struct cli *cli, const struct config *config)
{
	struct join_token token;
	char message[IDENTITY_MESSAGE_LEN] = "";
	enum err err = join_token_parse(cli->arguments[0], &token);
	if (err)
		return cli_fail(cli, CLI_USAGE,
			"%s; make one on a node of the cluster with: rubus token create",
			err == ERR_CHECKSUM ? "the token has a typing error"
					    : "that is not a token");
	umask(0077);
	err = init_join(config, &token, message);
	explicit_bzero(&token, sizeof token);
	if (err)
		return cli_fail(cli, cli_exit_of(err), "%s", message);
	cli_print_object(cli, join_columns, ARRAY_COUNT(join_columns),
		json_pack("{s:s, s:i}", "state_dir", config->state_dir, "drives",
			(int)config->drives_count));
	return CLI_OK;
}

enum cli_exit cli_run_join(struct cli *cli)
{
	struct config *config = NULL;
	char path[CLI_PATH_LEN];
	enum cli_exit status = cli_config_path(cli, path);
	if (!status)
		status = cli_load_config(cli, &config);
	if (!status)
		status = join(cli, config);
	if (!status && !cli->is_json)
		fprintf(cli->err, "Start the node with: rubus serve --config %s\n", path);
	config_free(config);
	return status;
}

/* --- asking a node ---------------------------------------------------------------------------- */

static const struct cli_column token_columns[] = {
	{"token", "token", CLI_KIND_TEXT},
	{"good until", "end_ms", CLI_KIND_TIME},
};

enum cli_exit cli_run_token_create(struct cli *cli)
{
	enum cli_exit status = cli_show_object(
		cli, "token.create", token_columns, ARRAY_COUNT(token_columns));
	if (!status && !cli->is_json)
		fprintf(cli->err, "It admits one machine. There: rubus join TOKEN --config FILE\n");
	return status;
}

static const struct cli_column node_columns[] = {
	{"NODE", "number", CLI_KIND_COUNT},
	{"NAME", "name", CLI_KIND_TEXT},
	{"STATE", "state", CLI_KIND_STATE},
	{"DUTY", "duty", CLI_KIND_TEXT},
	{"ROLE", "role", CLI_KIND_TEXT},
	{"ZONE", "zone", CLI_KIND_TEXT},
	{"ADDRESSES", "addresses", CLI_KIND_TEXT},
};

enum cli_exit cli_run_node_list(struct cli *cli)
{
	return cli_show_list(cli, "node.list", "nodes", node_columns, ARRAY_COUNT(node_columns));
}

static const struct cli_column quorum_columns[] = {
	{"this node", "role", CLI_KIND_TEXT},
	{"term", "term", CLI_KIND_COUNT},
	{"commit", "commit", CLI_KIND_COUNT},
	{"voters", "voters", CLI_KIND_COUNT},
	{"needed", "needed", CLI_KIND_COUNT},
	{"commands known", "command_version", CLI_KIND_COUNT},
};

enum cli_exit cli_run_quorum(struct cli *cli)
{
	return cli_show_object(cli, "quorum", quorum_columns, ARRAY_COUNT(quorum_columns));
}
