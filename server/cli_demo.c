/* SPDX-License-Identifier: Apache-2.0 */
/* `rubus demo`: a node with all it needs in one directory, made at the first run, served again at
 * each later one.
 *
 *	DIR/rubus.yaml		its configuration; written before anything else is made
 *	DIR/node		state: index, log, keys, certificate
 *	DIR/drive1 …		its drives
 *
 * A run that was cut off before its init was finished is gone on with by the next. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/cli_demo.h"
#include "server/node.h"
#include "server/version.h"
#include "storage/bytes.h"

#define DRIVES_DEFAULT 4
#define S3_ADDRESS_DEFAULT "127.0.0.1:9000"
#define ADMIN_ADDRESS_DEFAULT "127.0.0.1:9001"
#define RESERVE_MIB 16 /* of each drive: several share one file system */
#define CONFIG_NAME "rubus.yaml"
#define PART_NAME "rubus.yaml.part"

struct demo {
	char dir[PATH_MAX]; /* absolute */
	char config_path[CLI_PATH_LEN + 32];
	unsigned drive_count;
	const char *s3_address, *admin_address;
	struct root_key root;
	bool is_new; /* its init is done by this run */
};

static enum cli_exit fail_errno(struct cli *cli, const char *path)
{
	int number = errno;
	if (number == EACCES || number == EPERM || number == EROFS)
		return cli_fail(cli, CLI_DENIED,
			"%s: %s; name a directory that you may write: rubus demo --dir ~/demo",
			path, strerror(number));
	return cli_fail(cli, number == ENOTDIR ? CLI_CONFLICT : CLI_FAILED,
		"%s: %s; name another directory with --dir", path, strerror(number));
}

/* --- the directory ---------------------------------------------------------------------------- */

/* Is there nothing in it but what a run that was cut off leaves? */
static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	bool is_so = dir != NULL;
	for (struct dirent *entry; is_so && (entry = readdir(dir));)
		is_so = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
			!strcmp(entry->d_name, PART_NAME);
	if (dir)
		closedir(dir);
	return is_so;
}

static enum cli_exit open_dir(struct cli *cli, struct demo *demo)
{
	const char *dir = cli_value(cli, "dir");
	if (!dir)
		return cli_fail(cli, CLI_USAGE, "--dir is not named; write: rubus demo --dir demo");
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return fail_errno(cli, dir);
	if (!realpath(dir, demo->dir))
		return fail_errno(cli, dir);
	/* In the file, and in the commands that are shown, it stands in single quotes. */
	if (strpbrk(demo->dir, "'\n\r\t"))
		return cli_fail(cli, CLI_USAGE,
			"%s: a demo's path has no quotes and no lines; name another with --dir",
			demo->dir);
	snprintf(demo->config_path, sizeof demo->config_path, "%s/%s", demo->dir, CONFIG_NAME);
	return CLI_OK;
}

static bool write_config(const struct demo *demo, FILE *file)
{
	fprintf(file,
		"# Made by rubus demo.\n"
		"state_dir: '%s/node'\ns3_address: '%s'\nadmin_address: '%s'\n"
		"log_level: warning\n"
		"reserve_mib: %d\ndrives:\n",
		demo->dir, demo->s3_address, demo->admin_address, RESERVE_MIB);
	for (unsigned i = 1; i <= demo->drive_count; i++)
		fprintf(file, "  - path: '%s/drive%u'\n", demo->dir, i);
	return fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;
}

static enum cli_exit make_config(struct cli *cli, const struct demo *demo)
{
	char part[sizeof demo->config_path + 8];
	if (!is_empty(demo->dir))
		return cli_fail(cli, CLI_CONFLICT,
			"%s holds files that are not a demo's; name an empty directory with --dir",
			demo->dir);
	snprintf(part, sizeof part, "%s/%s", demo->dir, PART_NAME);
	FILE *file = fopen(part, "we");
	if (!file)
		return fail_errno(cli, part);
	bool is_written = write_config(demo, file);
	is_written &= fclose(file) == 0;
	if (!is_written || rename(part, demo->config_path) != 0)
		return fail_errno(cli, demo->config_path);
	return CLI_OK;
}

/* --- options ---------------------------------------------------------------------------------- */

static enum cli_exit check_address(struct cli *cli, const char *option)
{
	char host[64];
	uint16_t port;
	const char *value = cli_value(cli, option);
	if (!value || config_parse_address(value, host, &port) == ERR_OK)
		return CLI_OK;
	return cli_fail(cli, CLI_USAGE, "--%s is '%s'; write ADDRESS:PORT, for example %s", option,
		value, S3_ADDRESS_DEFAULT);
}

static enum cli_exit take_options(struct cli *cli, struct demo *demo)
{
	const char *drives = cli_value(cli, "drives");
	enum cli_exit status = check_address(cli, "s3");
	if (!status)
		status = check_address(cli, "admin");
	if (status)
		return status;
	const char *s3 = cli_value(cli, "s3"), *admin = cli_value(cli, "admin");
	demo->s3_address = s3 ? s3 : S3_ADDRESS_DEFAULT;
	demo->admin_address = admin ? admin : ADMIN_ADDRESS_DEFAULT;
	demo->drive_count = DRIVES_DEFAULT;
	if (!drives)
		return CLI_OK;
	char *end;
	long count = strtol(drives, &end, 10);
	if (*drives < '0' || *drives > '9' || *end || count < 1 || count > STORE_DRIVES_MAX)
		return cli_fail(cli, CLI_USAGE, "--drives is '%s'; it must be 1 to %d", drives,
			STORE_DRIVES_MAX);
	demo->drive_count = count;
	return CLI_OK;
}

/* The configuration of the directory; addresses that were given are for this run. */
static enum cli_exit load_config(
	struct cli *cli, const struct demo *demo, struct config **ret_config)
{
	struct config *config;
	char message[CONFIG_MESSAGE_LEN];
	const char *s3 = cli_value(cli, "s3"), *admin = cli_value(cli, "admin");
	if (s3)
		setenv("RUBUS_S3_ADDRESS", s3, 1);
	if (admin)
		setenv("RUBUS_ADMIN_ADDRESS", admin, 1);
	enum err err = config_load(demo->config_path, &config, message);
	if (err)
		return cli_fail(cli, err == ERR_DENIED ? CLI_DENIED : CLI_BAD_CONFIG, "%s",
			message[0] ? message : err_text(err));
	if (cli_value(cli, "drives") && config->drives_count != demo->drive_count) {
		enum cli_exit status = cli_fail(cli, CLI_CONFLICT,
			"%s has %u drives; leave --drives out, or name another --dir", demo->dir,
			config->drives_count);
		config_free(config);
		return status;
	}
	*ret_config = config;
	return CLI_OK;
}

/* --- what is told ----------------------------------------------------------------------------- */

/* ADDRESS:PORT by which this machine reaches a listener. cap is at least 96. */
static void format_host(
	const char *address, const struct http_listener *listener, char *text, size_t cap)
{
	char host[64] = "";
	uint16_t port;
	err_ignore(config_parse_address(address, host, &port)); /* it was checked at the start */
	if (!host[0] || !strcmp(host, "0.0.0.0"))
		snprintf(host, sizeof host, "127.0.0.1");
	else if (!strcmp(host, "::"))
		snprintf(host, sizeof host, "::1");
	bool is_v6 = strchr(host, ':') != NULL;
	snprintf(text, cap, "%s%s%s:%u", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
		http_listener_port(listener));
}

static const char *text_at(const json_t *facts, const char *name)
{
	const char *text = json_string_value(json_object_get(facts, name));
	return text ? text : "";
}

void cli_demo_print_commands(FILE *out, const json_t *facts, const char *host)
{
	fprintf(out,
		"\nTry, in another terminal:\n\n"
		"  export AWS_ACCESS_KEY_ID=%s AWS_DEFAULT_REGION=%s\n"
		"  export AWS_SECRET_ACCESS_KEY=$(sed -n 's/^secret_access_key: //p' '%s')\n\n"
		"  aws --endpoint-url http://%s s3 mb s3://photos\n"
		"  s3cmd --no-ssl --host=%s --host-bucket=%s --region=%s ls\n"
		"  RESTIC_PASSWORD=raspberry restic -r s3:http://%s/backups init\n",
		text_at(facts, "access_key_id"), text_at(facts, "region"),
		text_at(facts, "root_key_file"), host, host, host, text_at(facts, "region"), host);
}

static const struct cli_column demo_columns[] = {
	{"  S3", "s3_text", CLI_KIND_TEXT},
	{"  metrics", "metrics_text", CLI_KIND_TEXT},
	{"  region", "region", CLI_KIND_TEXT},
	{"  access key", "access_key_id", CLI_KIND_TEXT},
	{"  secret", "secret_text", CLI_KIND_TEXT},
	{"  certificate", "certificate_text", CLI_KIND_TEXT},
};

/* The facts as people like to read them. */
static json_t *make_texts(const json_t *facts)
{
	const char *secret = text_at(facts, "secret_access_key");
	const char *file = text_at(facts, "root_key_file");
	json_t *texts = json_pack("{s:o, s:o, s:s, s:o}", "s3_text",
		json_sprintf("%s (https too)", text_at(facts, "endpoint")), "metrics_text",
		json_sprintf("%s/metrics", text_at(facts, "admin_endpoint")), "region",
		text_at(facts, "region"), "certificate_text",
		json_sprintf("SHA-256 %s", text_at(facts, "tls_fingerprint")));
	if (json_object_get(facts, "access_key_id"))
		json_object_update_new(texts,
			json_pack("{s:s, s:o}", "access_key_id", text_at(facts, "access_key_id"),
				"secret_text",
				secret[0] ? json_sprintf("%s (shown this once; kept in %s)", secret,
						    file)
					  : json_sprintf("in %s", file)));
	return texts;
}

static void print_text(
	struct cli *cli, const struct node *node, const json_t *facts, const char *host)
{
	unsigned up = 0;
	for (unsigned i = 0; i < node->drive_count; i++)
		up += node->drives[i].drive != NULL;
	fprintf(cli->out, "rubus %s: one node with %u of %u drives in %s\n\n", RUBUS_VERSION, up,
		node->drive_count, text_at(facts, "dir"));
	cli_print_object(cli, demo_columns, ARRAY_COUNT(demo_columns), make_texts(facts));
	if (json_object_get(facts, "access_key_id"))
		cli_demo_print_commands(cli->out, facts, host);
	else
		fprintf(cli->out,
			"\nThe first key was deleted; make one with: rubus key create --dir '%s'\n",
			text_at(facts, "dir"));
	fprintf(cli->out, "\nCtrl-C ends it; the same command serves it again.\n");
}

static void announce(struct cli *cli, const struct cli_service *service, struct node *node)
{
	const struct demo *demo = service->arg;
	char host[96], admin[96], fingerprint[TLS_FINGERPRINT_LEN];
	format_host(service->config->s3_address, node->s3_listener, host, sizeof host);
	format_host(service->config->admin_address, node->admin_listener, admin, sizeof admin);
	tls_fingerprint(node->tls, fingerprint);
	json_t *facts = json_pack("{s:s, s:o, s:o, s:s, s:s, s:i}", "dir", demo->dir, "endpoint",
		json_sprintf("http://%s", host), "admin_endpoint", json_sprintf("http://%s", admin),
		"region", service->config->region, "tls_fingerprint", fingerprint, "drives",
		(int)service->config->drives_count);
	if (demo->root.id[0])
		json_object_update_new(facts,
			json_pack("{s:s, s:o}", "access_key_id", demo->root.id, "root_key_file",
				json_sprintf("%s/node/root.key", demo->dir)));
	if (demo->is_new && !cli_is_root_key_given())
		json_object_set_new(facts, "secret_access_key", json_string(demo->root.secret));
	if (cli->is_json) {
		cli_print_document(cli, facts);
		return;
	}
	print_text(cli, node, facts, host);
	json_decref(facts);
}

/* --- the command ------------------------------------------------------------------------------ */

static enum cli_exit load_root(struct cli *cli, const struct config *config, struct demo *demo)
{
	char message[IDENTITY_MESSAGE_LEN];
	enum err err = identity_load_root(config->state_dir, &demo->root, message);
	if (err == ERR_NOT_FOUND) /* the first key was deleted */
		return CLI_OK;
	return err ? cli_fail(cli, cli_exit_of(err), "%s", message) : CLI_OK;
}

static enum cli_exit run(struct cli *cli, struct demo *demo)
{
	struct config *config = NULL;
	enum cli_exit status = open_dir(cli, demo);
	if (!status && access(demo->config_path, F_OK) != 0)
		status = make_config(cli, demo);
	if (!status)
		status = load_config(cli, demo, &config);
	if (status)
		return status;
	demo->is_new = !identity_is_there(config->state_dir);
	if (demo->is_new)
		status = cli_init_node(cli, config);
	if (!status)
		status = load_root(cli, config, demo);
	if (!status) {
		struct cli_service service = {.config = config,
			.announce = announce,
			.arg = demo,
			.port_hint = "; or take another port: --s3 127.0.0.1:9100 --admin "
				     "127.0.0.1:9101"};
		status = cli_serve(cli, &service);
	}
	config_free(config);
	return status;
}

enum cli_exit cli_run_demo(struct cli *cli)
{
	struct demo demo = {0};
	if (cli_value(cli, "nodes"))
		return cli_run_demo_nodes(cli);
	enum cli_exit status = take_options(cli, &demo);
	if (!status)
		status = run(cli, &demo);
	sodium_memzero(&demo.root, sizeof demo.root);
	return status;
}
