/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about users, access keys and buckets. */
#include <errno.h>
#include <string.h>

#include "server/cli_priv.h"
#include "storage/bytes.h"

#define POLICY_FILE_LEN_MAX (48u << 10) /* the node says what a policy may have */

/* Shows an object of which some fields are lists, each as a line. */
static void join_lists(json_t *object)
{
	static const struct {
		const char *list, *field, *other_field, *text;
	} all[] = {
		{"keys", "id", NULL, "keys_text"},
		{"grants", "bucket", NULL, "grants_text"},
	};
	for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
		json_t *item, *text = json_string("");
		size_t at;
		json_array_foreach(json_object_get(object, all[i].list), at, item)
		{
			const json_t *rights = json_object_get(item, "rights");
			const char *name = json_string_value(json_object_get(item, all[i].field));
			const char *key = json_string_value(json_object_get(item, "key"));
			const char *user = json_string_value(json_object_get(item, "user"));
			char may[32] = "";
			for (size_t j = 0; j < json_array_size(rights); j++)
				snprintf(may + strlen(may), sizeof may - strlen(may), "%s%s",
					j ? "+" : " ",
					json_string_value(json_array_get(rights, j)));
			json_t *longer = json_sprintf("%s%s%s%s%s", json_string_value(text),
				at ? ", " : "",
				name           ? name
					: key  ? "key "
					: user ? "user "
					       : "",
				name           ? ""
					: key  ? key
					: user ? user
					       : "",
				may);
			json_decref(text);
			text = longer;
		}
		if (json_string_length(text) > 0)
			json_object_set(object, all[i].text, text);
		json_decref(text);
	}
}

static enum cli_exit show(
	struct cli *cli, const char *call, const struct cli_column *columns, size_t count)
{
	json_t *result;
	enum cli_exit status = cli_ask(cli, call, &result);
	if (status)
		return status;
	if (!cli->is_json)
		join_lists(result);
	cli_print_object(cli, columns, count, result);
	return CLI_OK;
}

/* --- policies --------------------------------------------------------------------------------- */

static enum cli_exit read_policy(struct cli *cli, const char *path, json_t *request)
{
	static char text[POLICY_FILE_LEN_MAX];
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(path, "re");
	if (!file)
		return cli_fail(cli, CLI_NOT_FOUND, "%.300s: %s", path, strerror(errno));
	size_t len = fread(text, 1, sizeof text, file);
	bool is_bad = ferror(file) || len == sizeof text;
	if (!is_stdin)
		fclose(file);
	if (is_bad || json_object_set_new(request, "policy", json_stringn(text, len)) != 0)
		return cli_fail(cli, CLI_USAGE, "%.300s is no policy", path);
	return CLI_OK;
}

static enum cli_exit run_policy(struct cli *cli, const char *call)
{
	json_t *request = cli_make_request(cli, call), *result;
	enum cli_exit status = CLI_OK;
	if (request && cli->arguments[2])
		status = read_policy(cli, cli->arguments[2], request);
	if (status) {
		json_decref(request);
		return status;
	}
	status = cli_ask_request(cli, request, &result);
	if (status)
		return status;
	if (cli->is_json) {
		cli_print_document(cli, result);
		return CLI_OK;
	}
	const char *policy = json_string_value(json_object_get(result, "policy"));
	if (policy && *policy)
		fprintf(cli->out, "%s\n", policy);
	else
		fprintf(cli->err, "It has no policy.\n");
	json_decref(result);
	return CLI_OK;
}

enum cli_exit cli_run_user_policy(struct cli *cli)
{
	return run_policy(cli, "user.policy");
}

enum cli_exit cli_run_key_policy(struct cli *cli)
{
	return run_policy(cli, "key.policy");
}

/* --- users ------------------------------------------------------------------------------------ */

static const struct cli_column user_list_columns[] = {
	{"ID", "id", CLI_KIND_TEXT},
	{"NAME", "name", CLI_KIND_TEXT},
	{"STATE", "state", CLI_KIND_STATE},
	{"BUCKETS", "buckets", CLI_KIND_COUNT},
	{"OBJECTS", "objects", CLI_KIND_COUNT},
	{"SIZE", "bytes", CLI_KIND_LEN},
	{"QUOTA", "quota_bytes", CLI_KIND_LEN},
	{"EMAIL", "email", CLI_KIND_TEXT},
};

static const struct cli_column user_columns[] = {
	{"user", "id", CLI_KIND_TEXT},
	{"name", "name", CLI_KIND_TEXT},
	{"e-mail", "email", CLI_KIND_TEXT},
	{"access key id", "access_key", CLI_KIND_TEXT},
	{"secret", "secret_key", CLI_KIND_TEXT},
	{"state", "state", CLI_KIND_STATE},
	{"created", "created_ms", CLI_KIND_TIME},
	{"buckets", "buckets", CLI_KIND_COUNT},
	{"objects", "objects", CLI_KIND_COUNT},
	{"versions", "versions", CLI_KIND_COUNT},
	{"size", "bytes", CLI_KIND_LEN},
	{"quota", "quota_bytes", CLI_KIND_LEN},
	{"quota of objects", "quota_objects", CLI_KIND_COUNT},
	{"soft quota", "soft_quota_bytes", CLI_KIND_LEN},
	{"soft quota of objects", "soft_quota_objects", CLI_KIND_COUNT},
	{"policy", "has_policy", CLI_KIND_TEXT},
	{"keys", "keys_text", CLI_KIND_TEXT},
	{"may use", "grants_text", CLI_KIND_TEXT},
};

static enum cli_exit show_user(struct cli *cli, const char *call)
{
	return show(cli, call, user_columns, ARRAY_COUNT(user_columns));
}

static enum cli_exit tell_of_secret(struct cli *cli, enum cli_exit status)
{
	if (!status && !cli->is_json)
		fprintf(cli->err, "The secret is shown this once; keep it now.\n");
	return status;
}

enum cli_exit cli_run_user_create(struct cli *cli)
{
	return tell_of_secret(cli, show_user(cli, "user.create"));
}

enum cli_exit cli_run_user_list(struct cli *cli)
{
	return cli_show_list(
		cli, "user.list", "users", user_list_columns, ARRAY_COUNT(user_list_columns));
}

enum cli_exit cli_run_user_show(struct cli *cli)
{
	return show_user(cli, "user.show");
}

enum cli_exit cli_run_user_set(struct cli *cli)
{
	return show_user(cli, "user.set");
}

enum cli_exit cli_run_user_disable(struct cli *cli)
{
	return show_user(cli, "user.disable");
}

enum cli_exit cli_run_user_enable(struct cli *cli)
{
	return show_user(cli, "user.enable");
}

enum cli_exit cli_run_user_delete(struct cli *cli)
{
	return show_user(cli, "user.delete");
}

/* --- keys ------------------------------------------------------------------------------------- */

static const struct cli_column key_list_columns[] = {
	{"ID", "id", CLI_KIND_TEXT},
	{"OWNER", "owner", CLI_KIND_TEXT},
	{"ROLE", "role", CLI_KIND_TEXT},
	{"STATE", "state", CLI_KIND_STATE},
	{"CREATED", "created_ms", CLI_KIND_TIME},
	{"EXPIRES", "expires_ms", CLI_KIND_TIME},
	{"DESCRIPTION", "description", CLI_KIND_TEXT},
};

static const struct cli_column key_columns[] = {
	{"access key id", "id", CLI_KIND_TEXT},
	{"secret", "secret", CLI_KIND_TEXT},
	{"owner", "owner", CLI_KIND_TEXT},
	{"role", "role", CLI_KIND_TEXT},
	{"state", "state", CLI_KIND_STATE},
	{"created", "created_ms", CLI_KIND_TIME},
	{"expires", "expires_ms", CLI_KIND_TIME},
	{"description", "description", CLI_KIND_TEXT},
	{"policy", "has_policy", CLI_KIND_TEXT},
	{"may use", "grants_text", CLI_KIND_TEXT},
};

static enum cli_exit show_key(struct cli *cli, const char *call)
{
	return show(cli, call, key_columns, ARRAY_COUNT(key_columns));
}

enum cli_exit cli_run_key_create(struct cli *cli)
{
	return tell_of_secret(cli, show_key(cli, "key.create"));
}

enum cli_exit cli_run_key_rotate(struct cli *cli)
{
	return tell_of_secret(cli, show_key(cli, "key.rotate"));
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
	{"QUOTA", "quota_bytes", CLI_KIND_LEN},
	{"UPLOADS", "uploads", CLI_KIND_COUNT},
	{"CREATED", "created_ms", CLI_KIND_TIME},
};

static const struct cli_column bucket_columns[] = {
	{"bucket", "name", CLI_KIND_TEXT},
	{"owner", "owner", CLI_KIND_TEXT},
	{"objects", "objects", CLI_KIND_COUNT},
	{"versions", "versions", CLI_KIND_COUNT},
	{"size", "bytes", CLI_KIND_LEN},
	{"open uploads", "uploads", CLI_KIND_COUNT},
	{"quota", "quota_bytes", CLI_KIND_LEN},
	{"quota of objects", "quota_objects", CLI_KIND_COUNT},
	{"soft quota", "soft_quota_bytes", CLI_KIND_LEN},
	{"soft quota of objects", "soft_quota_objects", CLI_KIND_COUNT},
	{"created", "created_ms", CLI_KIND_TIME},
	{"others", "grants_text", CLI_KIND_TEXT},
};

enum cli_exit cli_run_bucket_list(struct cli *cli)
{
	return cli_show_list(cli, "bucket.list", "buckets", bucket_list_columns,
		ARRAY_COUNT(bucket_list_columns));
}

static enum cli_exit show_bucket(struct cli *cli, const char *call)
{
	return show(cli, call, bucket_columns, ARRAY_COUNT(bucket_columns));
}

enum cli_exit cli_run_bucket_show(struct cli *cli)
{
	return show_bucket(cli, "bucket.show");
}

enum cli_exit cli_run_bucket_create(struct cli *cli)
{
	return show_bucket(cli, "bucket.create");
}

enum cli_exit cli_run_bucket_delete(struct cli *cli)
{
	return show_bucket(cli, "bucket.delete");
}

enum cli_exit cli_run_bucket_set(struct cli *cli)
{
	return show_bucket(cli, "bucket.set");
}

/* What is left of a grant, or was taken. */
static enum cli_exit show_grant(struct cli *cli, const char *call)
{
	static const struct cli_column columns[] = {
		{"bucket", "name", CLI_KIND_TEXT},
		{"may use it", "grants_text", CLI_KIND_TEXT},
	};
	json_t *result;
	enum cli_exit status = cli_ask(cli, call, &result);
	if (status)
		return status;
	if (!cli->is_json) {
		json_object_set_new(result, "grants", json_pack("[O]", result));
		join_lists(result);
		json_object_del(result, "grants");
	}
	cli_print_object(cli, columns, ARRAY_COUNT(columns), result);
	return CLI_OK;
}

enum cli_exit cli_run_bucket_allow(struct cli *cli)
{
	return show_grant(cli, "bucket.allow");
}

enum cli_exit cli_run_bucket_deny(struct cli *cli)
{
	return show_grant(cli, "bucket.deny");
}
