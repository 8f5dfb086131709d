/* SPDX-License-Identifier: Apache-2.0 */
/* rubus import: brings what is in another S3 service to the node of this machine, as one of its
 * clients, with a key of its own that is made for the run. */
#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/cli_priv.h"
#include "server/control.h"
#include "server/identity.h"
#include "server/import.h"

#define JOBS_DEFAULT 4
#define KEY_LIFE "30d" /* if nobody is left to delete it */
#define LINE_EVERY 10 /* seconds, where lines cannot be written over */

static atomic_bool stopped;

static void stop(int number)
{
	(void)number;
	atomic_store_explicit(&stopped, true, memory_order_relaxed);
}

/* What the options borrow. */
struct run {
	struct cli *cli;
	struct config *config;
	struct import_options options;
	char source_host[256], target_host[64], region[64];
	char certificate[IDENTITY_PATH_LEN];
	json_t *key; /* of our node */
	unsigned seconds;
};

/* --- what was typed --------------------------------------------------------------------------- */

/* "s3.eu-central-1.amazonaws.com" says its region. */
static void find_region(struct run *run, const char *typed)
{
	const char *host = run->source_host, *end = strstr(host, ".amazonaws.com");
	const char *named = getenv("AWS_REGION") ? getenv("AWS_REGION")
						 : getenv("AWS_DEFAULT_REGION");
	if (!typed && strncmp(host, "s3.", 3) == 0 && end && end > host + 3)
		snprintf(run->region, sizeof run->region, "%.*s", (int)(end - host - 3), host + 3);
	else
		snprintf(run->region, sizeof run->region, "%s",
			typed           ? typed
				: named ? named
					: "us-east-1");
	run->options.source.region = run->region;
}

static enum cli_exit take_url(struct run *run, const char *url)
{
	struct s3_wire_place *place = &run->options.source.place;
	const char *rest = strstr(url, "://");
	place->is_tls = strncmp(url, "https://", 8) == 0;
	if (!rest || (!place->is_tls && strncmp(url, "http://", 7) != 0))
		return cli_fail(run->cli, CLI_USAGE,
			"--from-s3 %.200s: a URL like https://s3.example.org is wanted", url);
	rest += 3;
	bool is_v6 = *rest == '[';
	size_t len = is_v6 ? strcspn(++rest, "]") : strcspn(rest, ":/");
	const char *after = rest + len + (is_v6 && rest[len] == ']');
	unsigned long port = place->is_tls ? 443 : 80;
	char *end = (char *)after;
	if (*after == ':')
		port = strtoul(after + 1, &end, 10);
	if (len == 0 || len >= sizeof run->source_host || port == 0 || port > UINT16_MAX ||
		(*end && strcmp(end, "/") != 0))
		return cli_fail(run->cli, CLI_USAGE,
			"--from-s3 %.200s: only a host and a port, without a path; buckets are "
			"named with --bucket",
			url);
	memcpy(run->source_host, rest, len);
	place->host = run->source_host;
	place->port = port;
	return CLI_OK;
}

static enum cli_exit take_credentials(struct run *run)
{
	struct s3_client_options *source = &run->options.source;
	source->access_key_id = getenv("AWS_ACCESS_KEY_ID");
	source->secret = getenv("AWS_SECRET_ACCESS_KEY");
	source->session_token = getenv("AWS_SESSION_TOKEN");
	if (!source->access_key_id || !source->secret)
		return cli_fail(run->cli, CLI_USAGE,
			"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key of the source");
	if (strlen(source->access_key_id) > SIGV4_KEY_ID_LEN_MAX ||
		strlen(source->secret) > SIGV4_SECRET_LEN_MAX ||
		(source->session_token && strlen(source->session_token) > 8192))
		return cli_fail(run->cli, CLI_USAGE, "the key in the environment is too long");
	return CLI_OK;
}

/* "50M" a second. */
static bool parse_rate(const char *text, uint64_t *ret_rate)
{
	static const char units[] = "KMGT";
	char *end;
	unsigned long long rate = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	if (!isdigit((unsigned char)text[0]) || (*end && (!unit || end[1])) || rate == 0 ||
		rate >> (63 - shift))
		return false;
	*ret_rate = (uint64_t)rate << shift;
	return true;
}

static enum cli_exit take_numbers(struct run *run)
{
	const char *jobs = cli_value(run->cli, "jobs"), *rate = cli_value(run->cli, "rate");
	unsigned long count = JOBS_DEFAULT;
	const char *end = "";
	if (jobs)
		count = isdigit((unsigned char)jobs[0]) ? strtoul(jobs, (char **)&end, 10) : 0;
	if (count == 0 || count > IMPORT_JOBS_MAX || *end)
		return cli_fail(run->cli, CLI_USAGE, "--jobs: 1 to %d", IMPORT_JOBS_MAX);
	run->options.jobs = count;
	if (rate && !parse_rate(rate, &run->options.rate))
		return cli_fail(
			run->cli, CLI_USAGE, "--rate %.40s: bytes a second, such as 50M", rate);
	return CLI_OK;
}

static enum cli_exit take_options(struct run *run)
{
	struct cli *cli = run->cli;
	struct import_options *options = &run->options;
	const char *url = cli_value(cli, "from-s3"), *prefix = cli_value(cli, "prefix");
	if (!url)
		return cli_fail(cli, CLI_USAGE, "say from where: --from-s3 URL");
	options->bucket = cli_value(cli, "bucket");
	options->to = cli_value(cli, "to");
	options->prefix = prefix ? prefix : "";
	options->with_versions = cli_value(cli, "versions");
	options->is_dry = cli_value(cli, "dry-run");
	options->stop = &stopped;
	if (options->to && !options->bucket)
		return cli_fail(cli, CLI_USAGE, "--to is for one bucket: name it with --bucket");
	enum cli_exit status = take_url(run, url);
	if (!status)
		status = take_credentials(run);
	if (!status)
		status = take_numbers(run);
	find_region(run, cli_value(cli, "region"));
	return status;
}

/* --- our node --------------------------------------------------------------------------------- */

/* All addresses are reached at the one of this machine. */
static enum cli_exit find_target(struct run *run)
{
	const struct config *config = run->config;
	struct s3_client_options *target = &run->options.target;
	struct s3_wire_place *place = &target->place;
	char *host = run->target_host;
	if (config_parse_address(config->s3_address, host, &place->port) != ERR_OK)
		return cli_fail(run->cli, CLI_BAD_CONFIG, "s3_address: %s", config->s3_address);
	if (!host[0] || strcmp(host, "0.0.0.0") == 0)
		snprintf(host, sizeof run->target_host, "127.0.0.1");
	else if (strcmp(host, "::") == 0)
		snprintf(host, sizeof run->target_host, "::1");
	place->host = host;
	place->is_tls = config->require_tls;
	if (config->tls_certificate[0])
		snprintf(run->certificate, sizeof run->certificate, "%s", config->tls_certificate);
	else if (identity_path(config->state_dir, "tls.crt", run->certificate) != ERR_OK)
		return cli_fail(run->cli, CLI_BAD_CONFIG, "state_dir: its path is too long");
	place->certificate = run->certificate;
	target->region = config->region;
	return CLI_OK;
}

static enum cli_exit ask_for_key(struct run *run)
{
	char message[CONTROL_MESSAGE_LEN];
	const char *owner = cli_value(run->cli, "owner");
	json_t *request = json_pack("{s:s, s:s, s:s, s:s, s:s}", "call", "key.create", "role",
		"admin", "expires", KEY_LIFE, "owner", owner ? owner : "root", "description",
		"of a rubus import; not needed once that has ended");
	enum err err = control_ask(run->config->state_dir, request, &run->key, message);
	json_decref(request);
	if (err)
		return cli_fail(run->cli, cli_exit_of(err), "%s", message);
	struct s3_client_options *target = &run->options.target;
	target->access_key_id = json_string_value(json_object_get(run->key, "id"));
	target->secret = json_string_value(json_object_get(run->key, "secret"));
	if (!target->access_key_id || !target->secret)
		return cli_fail(run->cli, CLI_FAILED, "the node's answer was not understood");
	return CLI_OK;
}

static void delete_key(struct run *run)
{
	char message[CONTROL_MESSAGE_LEN];
	json_t *result = NULL;
	if (!run->key)
		return;
	const char *id = json_string_value(json_object_get(run->key, "id"));
	json_t *request = json_pack("{s:s, s:s?}", "call", "key.delete", "id", id);
	if (control_ask(run->config->state_dir, request, &result, message) != ERR_OK)
		fprintf(run->cli->err,
			"rubus: the key of this run is still there: %s; rubus key delete %s\n",
			message, id ? id : "ID");
	json_decref(request);
	json_decref(result);
	json_decref(run->key);
}

/* --- showing it ------------------------------------------------------------------------------- */

static void show_progress(void *arg, const struct import_report *report, uint64_t moved_len)
{
	struct run *run = arg;
	bool is_terminal = isatty(fileno(run->cli->err));
	char moved[CLI_TEXT_LEN], rate[CLI_TEXT_LEN];
	run->seconds++;
	if (!is_terminal && run->seconds % LINE_EVERY != 0)
		return;
	cli_format_len(moved_len, moved);
	cli_format_len(moved_len / run->seconds, rate);
	fprintf(run->cli->err,
		"%s%" PRIu64 " listed, %" PRIu64 " there already, %" PRIu64 " copied, %" PRIu64
		" failed; %s, %s/s%s",
		is_terminal ? "\r\033[K" : "", report->listed_count, report->same_count,
		report->copied_count, report->failed_count, moved, rate, is_terminal ? "" : "\n");
	fflush(run->cli->err);
}

static const struct cli_column report_columns[] = {
	{"buckets", "buckets", CLI_KIND_COUNT},
	{"buckets made", "buckets_created", CLI_KIND_COUNT},
	{"listed", "listed", CLI_KIND_COUNT},
	{"there already", "same", CLI_KIND_COUNT},
	{"copied", "copied", CLI_KIND_COUNT},
	{"bytes copied", "copied_bytes", CLI_KIND_LEN},
	{"of them not verified by ETag", "unverified", CLI_KIND_COUNT},
	{"failed", "failed", CLI_KIND_COUNT},
};

static json_t *failures_json(const struct import_report *report)
{
	json_t *list = json_array();
	for (size_t i = 0; i < report->failure_count; i++) {
		const struct import_failure *failure = &report->failures[i];
		json_array_append_new(list,
			json_pack("{s:s*, s:s*, s:s*}", "bucket", failure->bucket, "key",
				failure->key, "message", failure->message));
	}
	return list;
}

static void show_report(struct run *run, const struct import_report *report)
{
	if (isatty(fileno(run->cli->err)))
		fputs("\r\033[K", run->cli->err);
	for (size_t i = 0; i < report->failure_count; i++)
		fprintf(run->cli->err, "rubus: %s/%s: %s\n", report->failures[i].bucket,
			report->failures[i].key, report->failures[i].message);
	if (report->failed_count > report->failure_count)
		fprintf(run->cli->err, "rubus: and more that are not named here\n");
	json_t *object = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "dry_run",
		run->options.is_dry, "buckets", (json_int_t)report->bucket_count, "buckets_created",
		(json_int_t)report->bucket_created_count, "listed",
		(json_int_t)report->listed_count, "same", (json_int_t)report->same_count, "copied",
		(json_int_t)report->copied_count, "copied_bytes", (json_int_t)report->copied_len,
		"unverified", (json_int_t)report->unverified_count, "failed",
		(json_int_t)report->failed_count, "failures", failures_json(report));
	if (run->options.is_dry && !run->cli->is_json)
		fprintf(run->cli->out, "This is what would be done.\n");
	cli_print_object(run->cli, report_columns, ARRAY_COUNT(report_columns), object);
}

static enum cli_exit import_it(struct run *run)
{
	struct import_report report;
	char message[S3_CLIENT_MESSAGE_LEN] = "";
	struct sigaction action = {.sa_handler = stop};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	enum err err = import_run(&run->options, show_progress, run, &report, message);
	enum cli_exit status = report.failed_count > 0 ? CLI_FAILED : CLI_OK;
	if (!err || err == ERR_CANCELED)
		show_report(run, &report);
	if (err == ERR_CANCELED) {
		fprintf(run->cli->err, "rubus: interrupted; run it again to go on\n");
		status = CLI_INTERRUPTED;
	} else if (err) {
		status = cli_fail(run->cli, cli_exit_of(err), "%s; run it again to go on",
			message[0] ? message : err_text(err));
	}
	import_report_fini(&report);
	return status;
}

enum cli_exit cli_run_import(struct cli *cli)
{
	struct run *run = calloc(1, sizeof *run);
	if (!run)
		return cli_fail(cli, CLI_FAILED, "%s", err_text(ERR_NO_MEMORY));
	run->cli = cli;
	enum cli_exit status = take_options(run);
	if (!status)
		status = cli_load_config(cli, &run->config);
	if (!status)
		status = find_target(run);
	if (!status)
		status = ask_for_key(run);
	if (!status)
		status = import_it(run);
	delete_key(run);
	config_free(run->config);
	free(run);
	return status;
}
