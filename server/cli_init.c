/* SPDX-License-Identifier: Apache-2.0 */
/* `rubus init`: makes a node of a configuration. */
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "server/cli_priv.h"
#include "server/init.h"
#include "storage/bytes.h"

static const struct cli_column init_columns[] = {
	{"state_dir", "state_dir", CLI_KIND_TEXT},
	{"drives", "drives", CLI_KIND_COUNT},
	{"access key id", "access_key_id", CLI_KIND_TEXT},
	{"secret", "secret_access_key", CLI_KIND_TEXT},
	{"kept in", "root_key_file", CLI_KIND_TEXT},
};

bool cli_is_root_key_given(void)
{
	return getenv("RUBUS_ROOT_SECRET_KEY") || getenv("RUBUS_ROOT_SECRET_KEY_FILE");
}

enum cli_exit cli_init_node(struct cli *cli, const struct config *config)
{
	char message[IDENTITY_MESSAGE_LEN];
	umask(0077);
	enum err err = init_node(config, message);
	if (err == ERR_OK)
		return CLI_OK;
	/* What is not well-formed is a root key of the environment. */
	return cli_fail(cli, err == ERR_INVALID ? CLI_BAD_CONFIG : cli_exit_of(err), "%s", message);
}

/* The secret is shown where we made it, and not where it was given to us. */
static enum cli_exit show_node(
	struct cli *cli, const struct config *config, const char *config_path)
{
	struct root_key root;
	char message[IDENTITY_MESSAGE_LEN], path[IDENTITY_PATH_LEN];
	enum err err = identity_load_root(config->state_dir, &root, message);
	if (!err)
		err = identity_path(config->state_dir, "root.key", path);
	if (err)
		return cli_fail(cli, cli_exit_of(err), "%s", message);
	bool is_given = cli_is_root_key_given();
	json_t *result = json_pack("{s:s, s:i, s:s, s:s}", "state_dir", config->state_dir, "drives",
		(int)config->drives_count, "access_key_id", root.id, "root_key_file", path);
	if (result && !is_given)
		json_object_set_new(result, "secret_access_key", json_string(root.secret));
	sodium_memzero(&root, sizeof root);
	cli_print_object(cli, init_columns, ARRAY_COUNT(init_columns), result);
	if (!cli->is_json)
		fprintf(cli->err, "%sStart the node with: rubus serve --config %s\n",
			is_given ? "" : "The secret is shown this once. ", config_path);
	return CLI_OK;
}

static enum cli_exit restore_node(
	struct cli *cli, const struct config *config, const char *config_path)
{
	char message[IDENTITY_MESSAGE_LEN];
	umask(0077);
	enum err err = init_from_drives(config, message);
	if (err)
		return cli_fail(cli, cli_exit_of(err), "%s", message);
	cli_print_object(cli, init_columns, ARRAY_COUNT(init_columns),
		json_pack("{s:s, s:i}", "state_dir", config->state_dir, "drives",
			(int)config->drives_count));
	if (!cli->is_json)
		fprintf(cli->err,
			"The start brings the index back from the drives: rubus serve --config "
			"%s\n",
			config_path);
	return CLI_OK;
}

enum cli_exit cli_run_init(struct cli *cli)
{
	struct config *config = NULL;
	char path[CLI_PATH_LEN];
	enum cli_exit status = cli_config_path(cli, path);
	if (!status)
		status = cli_load_config(cli, &config);
	if (status)
		return status;
	if (!cli_value(cli, "from-drives")) {
		status = cli_init_node(cli, config);
		if (!status)
			status = show_node(cli, config, path);
	} else {
		status = restore_node(cli, config, path);
	}
	config_free(config);
	return status;
}
