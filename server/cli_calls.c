/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that ask the node that runs on this machine. */
#include <ctype.h>
#include <string.h>
#include <sys/types.h>

#include "server/cli_priv.h"
#include "server/control.h"
#include "storage/bytes.h"

static json_t *list_arguments(const struct cli *cli, size_t i)
{
	json_t *list = json_array();
	for (; i < CLI_WORDS_MAX && cli->arguments[i]; i++)
		if (json_array_append_new(list, json_string(cli->arguments[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* What of the command line goes into the request: the arguments, by their names in small letters,
 * and the options that are not about the command line itself. */
json_t *cli_make_request(const struct cli *cli, const char *call)
{
	static const char *const ours[] = {"config", "dir", "json"};
	const struct cli_command *command = cli->command;
	json_t *request = json_pack("{s:s}", "call", call);
	for (size_t i = 0; i < CLI_ARGUMENTS_MAX && command->arguments[i].name; i++) {
		char name[32] = "";
		for (size_t j = 0; command->arguments[i].name[j] && j + 1 < sizeof name; j++)
			name[j] = tolower((unsigned char)command->arguments[i].name[j]);
		json_t *value = command->arguments[i].is_repeated ? list_arguments(cli, i)
								  : json_string(cli->arguments[i]);
		if (cli->arguments[i] && json_object_set_new(request, name, value) != 0)
			goto not_text;
		if (!cli->arguments[i])
			json_decref(value);
	}
	for (size_t i = 0; i < CLI_OPTIONS_MAX && command->options[i]; i++) {
		const char *name = command->options[i]->name;
		bool is_ours = false;
		for (size_t j = 0; j < ARRAY_COUNT(ours); j++)
			is_ours |= strcmp(name, ours[j]) == 0;
		if (!is_ours && cli->values[i] &&
			json_object_set_new(request, name, json_string(cli->values[i])) != 0)
			goto not_text;
	}
	return request;
not_text:
	json_decref(request);
	return NULL;
}

enum cli_exit cli_ask(struct cli *cli, const char *call, json_t **ret_result)
{
	return cli_ask_request(cli, cli_make_request(cli, call), ret_result);
}

enum cli_exit cli_ask_request(struct cli *cli, json_t *request, json_t **ret_result)
{
	struct config *config;
	char message[CONTROL_MESSAGE_LEN] = "";
	if (!request)
		return cli_fail(cli, CLI_USAGE, "what was typed is not UTF-8; see rubus help");
	enum cli_exit status = cli_load_config(cli, &config);
	if (status) {
		json_decref(request);
		return status;
	}
	enum err err = control_ask(config->state_dir, request, ret_result, message);
	json_decref(request);
	config_free(config);
	if (err == ERR_OK)
		return CLI_OK;
	/* What is not well-formed is what was typed. */
	status = err == ERR_INVALID ? CLI_USAGE : cli_exit_of(err);
	return cli_fail(cli, status, "%s", message[0] ? message : err_text(err));
}

enum cli_exit cli_show_object(
	struct cli *cli, const char *call, const struct cli_column *columns, size_t count)
{
	json_t *result;
	enum cli_exit status = cli_ask(cli, call, &result);
	if (!status)
		cli_print_object(cli, columns, count, result);
	return status;
}

enum cli_exit cli_show_list(struct cli *cli, const char *call, const char *name,
	const struct cli_column *columns, size_t count)
{
	json_t *result;
	enum cli_exit status = cli_ask(cli, call, &result);
	if (!status)
		cli_print_list(cli, name, columns, count, result);
	return status;
}

/* --- the node --------------------------------------------------------------------------------- */

static const struct cli_column drive_columns[] = {
	{"DRIVE", "path", CLI_KIND_TEXT},
	{"NUMBER", "number", CLI_KIND_COUNT},
	{"STATE", "state", CLI_KIND_STATE},
	{"CLASS", "class", CLI_KIND_TEXT},
	{"SIZE", "total", CLI_KIND_LEN},
	{"USED", "used", CLI_KIND_LEN},
	{"FREE", "free", CLI_KIND_LEN},
	{"WHY", "why", CLI_KIND_TEXT},
};

static const struct cli_column status_columns[] = {
	{"state", "state", CLI_KIND_STATE},
	{"why", "why", CLI_KIND_TEXT},
	{"version", "version", CLI_KIND_TEXT},
	{"started", "started_ms", CLI_KIND_TIME},
	{"S3", "s3_address", CLI_KIND_TEXT},
	{"admin", "admin_address", CLI_KIND_TEXT},
	{"region", "region", CLI_KIND_TEXT},
	{"certificate", "tls_fingerprint", CLI_KIND_TEXT},
	{"profile", "profile_text", CLI_KIND_TEXT},
	{"durability", "durability", CLI_KIND_TEXT},
	{"index", "index_copies", CLI_KIND_TEXT},
	{"index archive", "index_archive", CLI_KIND_TEXT},
	{"drives", "drives_text", CLI_KIND_TEXT},
	{"index size", "index_bytes", CLI_KIND_LEN},
	{"free for it", "index_free", CLI_KIND_LEN},
};

static const struct cli_column waiting_columns[] = {
	{"state", "state", CLI_KIND_STATE},
	{"why", "why", CLI_KIND_TEXT},
	{"next", "next", CLI_KIND_TEXT},
	{"version", "version", CLI_KIND_TEXT},
	{"started", "started_ms", CLI_KIND_TIME},
};

static const struct cli_column waiting_member_columns[] = {
	{"NODE", "name", CLI_KIND_TEXT},
	{"STATE", "state", CLI_KIND_STATE},
	{"DUTY", "duty", CLI_KIND_TEXT},
};

static const struct cli_column space_columns[] = {
	{"objects", "objects", CLI_KIND_COUNT},
	{"stored", "bytes", CLI_KIND_LEN},
	{"still fits", "available", CLI_KIND_LEN},
	{"on drives", "raw_used", CLI_KIND_LEN},
	{"of", "raw_total", CLI_KIND_LEN},
	{"free for the index", "index_free", CLI_KIND_LEN},
	{"of at least", "index_free_wanted", CLI_KIND_LEN},
	{"full", "why", CLI_KIND_TEXT},
};

enum cli_exit cli_run_drive_list(struct cli *cli)
{
	return cli_show_list(
		cli, "drive.list", "drives", drive_columns, ARRAY_COUNT(drive_columns));
}

static json_int_t number_at(const json_t *object, const char *outer, const char *inner)
{
	const json_t *value = json_object_get(object, outer);
	return json_integer_value(inner ? json_object_get(value, inner) : value);
}

static void add_status_texts(json_t *status)
{
	char text[CLI_TEXT_LEN];
	int k = number_at(status, "profile", "k"), m = number_at(status, "profile", "m");
	snprintf(text, sizeof text, "%d data + %d parity shards", k, m);
	if (!json_object_get(status, "cluster"))
		json_object_set_new(status, "profile_text", json_string(k > 0 ? text : "unknown"));
	snprintf(text, sizeof text, "%d of %d up", (int)number_at(status, "drives_up", NULL),
		(int)number_at(status, "drives", NULL));
	json_object_set_new(status, "drives_text", json_string(text));
	json_object_set_new(
		status, "index_bytes", json_integer(number_at(status, "index", "bytes")));
	json_object_set_new(status, "index_free", json_integer(number_at(status, "index", "free")));
}

enum cli_exit cli_run_status(struct cli *cli)
{
	json_t *result;
	enum cli_exit status = cli_ask(cli, "status", &result);
	if (status)
		return status;
	if (cli->is_json) {
		cli_print_document(cli, result);
		return CLI_OK;
	}
	if (json_is_false(json_object_get(result, "ready"))) {
		json_t *members = json_incref(json_object_get(result, "members"));
		cli_print_object(cli, waiting_columns, ARRAY_COUNT(waiting_columns), result);
		fputc('\n', cli->out);
		cli_print_table(
			cli, waiting_member_columns, ARRAY_COUNT(waiting_member_columns), members);
		json_decref(members);
		return CLI_OK;
	}
	add_status_texts(result);
	cli_print_cluster(cli, json_object_get(result, "cluster"));
	json_t *drives = json_incref(json_object_get(result, "drive_list"));
	cli_print_object(cli, status_columns, ARRAY_COUNT(status_columns), result);
	fputc('\n', cli->out);
	cli_print_table(cli, drive_columns, ARRAY_COUNT(drive_columns), drives);
	json_decref(drives);
	return CLI_OK;
}

enum cli_exit cli_run_df(struct cli *cli)
{
	json_t *result;
	enum cli_exit status = cli_ask(cli, "df", &result);
	if (status)
		return status;
	if (cli->is_json) {
		cli_print_document(cli, result);
		return CLI_OK;
	}
	json_t *drives = json_incref(json_object_get(result, "drives"));
	cli_print_object(cli, space_columns, ARRAY_COUNT(space_columns), result);
	fputc('\n', cli->out);
	cli_print_table(cli, drive_columns, ARRAY_COUNT(drive_columns), drives);
	json_decref(drives);
	return CLI_OK;
}
