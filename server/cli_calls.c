/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that ask the node that runs on this machine. */
#include <ctype.h>
#include <string.h>
#include <sys/types.h>

#include "server/cli_priv.h"
#include "server/control.h"
#include "storage/bytes.h"

/* What of the command line goes into the request: the arguments, by their names in small letters,
 * and the options that are not about the command line itself. */
static json_t *make_request(const struct cli *cli, const char *call)
{
	static const char *const ours[] = {"config", "dir", "json"};
	const struct cli_command *command = cli->command;
	json_t *request = json_pack("{s:s}", "call", call);
	for (size_t i = 0; i < CLI_ARGUMENTS_MAX && command->arguments[i].name; i++) {
		char name[32] = "";
		for (size_t j = 0; command->arguments[i].name[j] && j + 1 < sizeof name; j++)
			name[j] = tolower((unsigned char)command->arguments[i].name[j]);
		if (cli->arguments[i] &&
			json_object_set_new(request, name, json_string(cli->arguments[i])) != 0)
			goto not_text;
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
	struct config *config;
	char message[CONTROL_MESSAGE_LEN] = "";
	json_t *request = make_request(cli, call);
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

/* --- keys ------------------------------------------------------------------------------------- */

static const struct cli_column key_list_columns[] = {
	{"ID", "id", CLI_KIND_TEXT},
	{"OWNER", "owner", CLI_KIND_TEXT},
	{"ROLE", "role", CLI_KIND_TEXT},
	{"STATE", "state", CLI_KIND_STATE},
	{"CREATED", "created_ms", CLI_KIND_TIME},
	{"DESCRIPTION", "description", CLI_KIND_TEXT},
};

static const struct cli_column key_columns[] = {
	{"access key id", "id", CLI_KIND_TEXT},
	{"secret", "secret", CLI_KIND_TEXT},
	{"owner", "owner", CLI_KIND_TEXT},
	{"role", "role", CLI_KIND_TEXT},
	{"state", "state", CLI_KIND_STATE},
	{"created", "created_ms", CLI_KIND_TIME},
	{"description", "description", CLI_KIND_TEXT},
};

static enum cli_exit show_key(struct cli *cli, const char *call)
{
	return cli_show_object(cli, call, key_columns, ARRAY_COUNT(key_columns));
}

static enum cli_exit show_secret(struct cli *cli, const char *call)
{
	enum cli_exit status = show_key(cli, call);
	if (!status && !cli->is_json)
		fprintf(cli->err, "The secret is shown this once; keep it now.\n");
	return status;
}

enum cli_exit cli_run_key_create(struct cli *cli)
{
	return show_secret(cli, "key.create");
}

enum cli_exit cli_run_key_rotate(struct cli *cli)
{
	return show_secret(cli, "key.rotate");
}

enum cli_exit cli_run_key_list(struct cli *cli)
{
	return cli_show_list(
		cli, "key.list", "keys", key_list_columns, ARRAY_COUNT(key_list_columns));
}

enum cli_exit cli_run_key_show(struct cli *cli)
{
	return show_key(cli, "key.show");
}

enum cli_exit cli_run_key_disable(struct cli *cli)
{
	return show_key(cli, "key.disable");
}

enum cli_exit cli_run_key_enable(struct cli *cli)
{
	return show_key(cli, "key.enable");
}

enum cli_exit cli_run_key_delete(struct cli *cli)
{
	return show_key(cli, "key.delete");
}

/* --- buckets ---------------------------------------------------------------------------------- */

static const struct cli_column bucket_list_columns[] = {
	{"NAME", "name", CLI_KIND_TEXT},
	{"OWNER", "owner", CLI_KIND_TEXT},
	{"OBJECTS", "objects", CLI_KIND_COUNT},
	{"SIZE", "bytes", CLI_KIND_LEN},
	{"UPLOADS", "uploads", CLI_KIND_COUNT},
	{"CREATED", "created_ms", CLI_KIND_TIME},
};

static const struct cli_column bucket_columns[] = {
	{"bucket", "name", CLI_KIND_TEXT},
	{"owner", "owner", CLI_KIND_TEXT},
	{"objects", "objects", CLI_KIND_COUNT},
	{"size", "bytes", CLI_KIND_LEN},
	{"open uploads", "uploads", CLI_KIND_COUNT},
	{"created", "created_ms", CLI_KIND_TIME},
};

enum cli_exit cli_run_bucket_list(struct cli *cli)
{
	return cli_show_list(cli, "bucket.list", "buckets", bucket_list_columns,
		ARRAY_COUNT(bucket_list_columns));
}

enum cli_exit cli_run_bucket_show(struct cli *cli)
{
	return cli_show_object(cli, "bucket.show", bucket_columns, ARRAY_COUNT(bucket_columns));
}

enum cli_exit cli_run_bucket_create(struct cli *cli)
{
	return cli_show_object(cli, "bucket.create", bucket_columns, ARRAY_COUNT(bucket_columns));
}

enum cli_exit cli_run_bucket_delete(struct cli *cli)
{
	return cli_show_object(cli, "bucket.delete", bucket_columns, ARRAY_COUNT(bucket_columns));
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
