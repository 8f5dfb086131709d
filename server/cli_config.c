/* SPDX-License-Identifier: Apache-2.0 */
/* Which configuration a command is about, and `rubus config check`. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/cli_priv.h"
#include "storage/bytes.h"

#define CONFIG_PATH_DEFAULT "/etc/rubus/rubus.yaml"

enum cli_exit cli_config_path(struct cli *cli, char *ret_path)
{
	const char *config = cli_value(cli, "config");
	const char *dir = cli_has_option(cli, "dir") ? cli_value(cli, "dir") : NULL;
	if (config && dir)
		return cli_fail(cli, CLI_USAGE,
			"--config and --dir both name a configuration; "
			"leave one out");
	const char *path = config ? config : getenv("RUBUS_CONFIG");
	if (!path || !*path)
		path = CONFIG_PATH_DEFAULT;
	int len = dir ? snprintf(ret_path, CLI_PATH_LEN, "%s/rubus.yaml", dir)
		      : snprintf(ret_path, CLI_PATH_LEN, "%s", path);
	if (len >= CLI_PATH_LEN)
		return cli_fail(cli, CLI_USAGE, "the path of the configuration is too long");
	return CLI_OK;
}

static enum cli_exit load_config(struct cli *cli, const char *path, struct config **ret_config)
{
	char message[CONFIG_MESSAGE_LEN];
	enum err err = config_load(path, ret_config, message);
	if (err == ERR_OK)
		return CLI_OK;
	if (err == ERR_NOT_FOUND)
		return cli_fail(cli, CLI_BAD_CONFIG,
			"%s; name another with --config or --dir, or try: rubus demo --dir demo",
			message);
	if (err == ERR_DENIED)
		return cli_fail(cli, CLI_DENIED,
			"%s; run this as the user that runs the node, or with sudo", message);
	return cli_fail(cli, CLI_BAD_CONFIG, "%s", message[0] ? message : err_text(err));
}

enum cli_exit cli_load_config(struct cli *cli, struct config **ret_config)
{
	char path[CLI_PATH_LEN];
	enum cli_exit status = cli_config_path(cli, path);
	return status ? status : load_config(cli, path, ret_config);
}

/* --- rubus config check ----------------------------------------------------------------------- */

static const struct cli_column setting_columns[] = {
	{"state_dir", "state_dir", CLI_KIND_TEXT},
	{"s3_address", "s3_address", CLI_KIND_TEXT},
	{"admin_address", "admin_address", CLI_KIND_TEXT},
	{"node_name", "node_name", CLI_KIND_TEXT},
	{"zone", "zone", CLI_KIND_TEXT},
	{"role", "role", CLI_KIND_TEXT},
	{"cluster_address", "cluster_address", CLI_KIND_TEXT},
	{"advertised_addresses", "advertised_addresses", CLI_KIND_TEXT},
	{"channel", "channel", CLI_KIND_TEXT},
	{"region", "region", CLI_KIND_TEXT},
	{"region_strict", "region_strict", CLI_KIND_TEXT},
	{"signature_v2", "signature_v2", CLI_KIND_TEXT},
	{"bucket_defaults", "bucket_defaults", CLI_KIND_TEXT},
	{"domains", "domains", CLI_KIND_TEXT},
	{"website_domains", "website_domains", CLI_KIND_TEXT},
	{"notify", "notify", CLI_KIND_TEXT},
	{"require_tls", "require_tls", CLI_KIND_TEXT},
	{"tls_certificate", "tls_certificate", CLI_KIND_TEXT},
	{"tls_key", "tls_key", CLI_KIND_TEXT},
	{"max_connections", "max_connections", CLI_KIND_COUNT},
	{"loops", "loops", CLI_KIND_COUNT},
	{"upload_memory_mib", "upload_memory_mib", CLI_KIND_COUNT},
	{"download_memory_mib", "download_memory_mib", CLI_KIND_COUNT},
	{"segment_mib", "segment_mib", CLI_KIND_COUNT},
	{"reserve_mib", "reserve_mib", CLI_KIND_COUNT},
	{"log_copies", "log_copies", CLI_KIND_COUNT},
	{"archive_seconds", "archive_seconds", CLI_KIND_COUNT},
	{"lifecycle_day_seconds", "lifecycle_day_seconds", CLI_KIND_COUNT},
	{"accept_damaged_index", "accept_damaged_index", CLI_KIND_TEXT},
	{"sse_c_without_tls", "sse_c_without_tls", CLI_KIND_TEXT},
	{"accept_older_index", "accept_older_index", CLI_KIND_TEXT},
	{"log_format", "log_format", CLI_KIND_TEXT},
	{"log_level", "log_level", CLI_KIND_TEXT},
	{"io", "io", CLI_KIND_TEXT},
};

static const struct cli_column drive_columns[] = {
	{"DRIVE", "path", CLI_KIND_TEXT},
	{"CLASS", "class", CLI_KIND_TEXT},
};

static json_t *drives_json(const struct config *config)
{
	static const char *const classes[] = {
		[DRIVE_NVME] = "nvme", [DRIVE_SSD] = "ssd", [DRIVE_HDD] = "hdd"};
	json_t *drives = json_array();
	for (unsigned i = 0; i < config->drives_count; i++)
		json_array_append_new(drives,
			json_pack("{s:s, s:s}", "path", config->drives[i].path, "class",
				classes[config->drives[i].class]));
	return drives;
}

static json_t *texts_json(char *const *texts, unsigned count)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

/* Names only: what is behind them is in the file. */
static json_t *webhooks_json(const struct config *config)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < config->notify_count; i++)
		json_array_append_new(list, json_string(config->notify[i].name));
	return list;
}

static json_t *cluster_json(const struct config *config)
{
	return json_pack("{s:o, s:o, s:s, s:s, s:s, s:s, s:o, s:s}", "website_domains",
		texts_json(config->website_domains, config->website_domains_count), "notify",
		webhooks_json(config), "node_name", config->node_name, "zone", config->zone, "role",
		config->role == CONFIG_ROLE_WITNESS ? "witness" : "storage", "cluster_address",
		config->cluster_address, "advertised_addresses",
		texts_json(config->advertised_addresses, config->advertised_addresses_count),
		"channel",
		config->channel == CONFIG_CHANNEL_INTEGRITY_ONLY ? "integrity-only" : "encrypted");
}

static json_t *settings_json(const struct config *config)
{
	static const char *const levels[] = {[CONFIG_LOG_INFO] = "info",
		[CONFIG_LOG_DEBUG] = "debug",
		[CONFIG_LOG_WARNING] = "warning",
		[CONFIG_LOG_ERROR] = "error"};
	static const char *const v2[] = {[CONFIG_SIGNATURE_V2_PRESIGNED] = "presigned",
		[CONFIG_SIGNATURE_V2_OFF] = "off",
		[CONFIG_SIGNATURE_V2_ALL] = "all"};
	json_t *settings = json_pack(
		"{s:s, s:s, "
		"s:i, s:i, s:i, s:b, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:s, s:s, s:i, s:i, s:i, "
		"s:i, s:i, s:i, s:s, s:s, s:s, s:o, s:o, s:b}",
		"bucket_defaults",
		config->bucket_defaults == CONFIG_BUCKETS_CLASSIC ? "classic" : "modern",
		"signature_v2", v2[config->signature_v2], "archive_seconds",
		(int)config->archive_seconds, "lifecycle_day_seconds",
		(int)config->lifecycle_day_seconds, "log_copies", (int)config->log_copies,
		"accept_older_index", config->accept_older_index, "state_dir", config->state_dir,
		"s3_address", config->s3_address, "admin_address", config->admin_address, "region",
		config->region, "region_strict", config->region_strict, "require_tls",
		config->require_tls, "accept_damaged_index", config->accept_damaged_index,
		"tls_certificate", config->tls_certificate, "tls_key", config->tls_key,
		"max_connections", (int)config->max_connections, "loops", (int)config->loops,
		"upload_memory_mib", (int)config->upload_memory_mib, "download_memory_mib",
		(int)config->download_memory_mib, "segment_mib", (int)config->segment_mib,
		"reserve_mib", (int)config->reserve_mib, "log_format",
		config->log_format == CONFIG_LOG_JSON ? "json" : "text", "log_level",
		levels[config->log_level], "io", config->io == CONFIG_IO_PLAIN ? "plain" : "auto",
		"domains", texts_json(config->domains, config->domains_count), "drives",
		drives_json(config), "sse_c_without_tls", config->sse_c_without_tls);
	json_t *cluster = cluster_json(config);
	if (settings && json_object_update(settings, cluster) != 0) {
		json_decref(settings);
		settings = NULL;
	}
	json_decref(cluster);
	return settings;
}

enum cli_exit cli_run_config_check(struct cli *cli)
{
	struct config *config;
	enum cli_exit status = load_config(cli, cli->arguments[0], &config);
	if (status)
		return status;
	json_t *settings = settings_json(config);
	config_free(config);
	if (!settings)
		return cli_fail(cli, CLI_FAILED, "the settings are not all UTF-8");
	json_t *drives = json_incref(json_object_get(settings, "drives"));
	cli_print_object(cli, setting_columns, ARRAY_COUNT(setting_columns), settings);
	if (!cli->is_json) {
		fputc('\n', cli->out);
		cli_print_table(cli, drive_columns, ARRAY_COUNT(drive_columns), drives);
		fprintf(cli->err, "%s is fine.\n", cli->arguments[0]);
	}
	json_decref(drives);
	return CLI_OK;
}
