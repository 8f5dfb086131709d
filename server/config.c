/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include <arpa/inet.h>
#include <cyaml/cyaml.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "server/webhook.h"
#include "storage/meta/log_set.h"

#define LOOPS_MAX 64
#define MEMORY_MIB_MIN 8
#define MEMORY_MIB_MAX 65536
#define CONNECTIONS_MAX 100000
#define SEGMENT_MIB_MIN 96 /* a whole extent with its header */
#define SEGMENT_MIB_MAX 1024
#define RESERVE_MIB_MAX 65536
#define ARCHIVE_SECONDS_MIN 1
#define ARCHIVE_SECONDS_MAX 86400
#define DAY_SECONDS 86400
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

/* --- the file --------------------------------------------------------------------------------- */

static const cyaml_strval_t class_names[] = {
	{"nvme", DRIVE_NVME},
	{"ssd", DRIVE_SSD},
	{"hdd", DRIVE_HDD},
};

static const cyaml_strval_t log_format_names[] = {
	{"text", CONFIG_LOG_TEXT},
	{"json", CONFIG_LOG_JSON},
};

static const cyaml_strval_t log_level_names[] = {
	{"debug", CONFIG_LOG_DEBUG},
	{"info", CONFIG_LOG_INFO},
	{"warning", CONFIG_LOG_WARNING},
	{"error", CONFIG_LOG_ERROR},
};

static const cyaml_strval_t io_names[] = {
	{"auto", CONFIG_IO_AUTO},
	{"plain", CONFIG_IO_PLAIN},
};

static const cyaml_strval_t role_names[] = {
	{"storage", CONFIG_ROLE_STORAGE},
	{"witness", CONFIG_ROLE_WITNESS},
};

static const cyaml_strval_t bucket_defaults_names[] = {
	{"modern", CONFIG_BUCKETS_MODERN},
	{"classic", CONFIG_BUCKETS_CLASSIC},
};
static const cyaml_strval_t signature_v2_names[] = {
	{"presigned", CONFIG_SIGNATURE_V2_PRESIGNED},
	{"off", CONFIG_SIGNATURE_V2_OFF},
	{"all", CONFIG_SIGNATURE_V2_ALL},
};
static const cyaml_strval_t channel_names[] = {
	{"encrypted", CONFIG_CHANNEL_ENCRYPTED},
	{"integrity-only", CONFIG_CHANNEL_INTEGRITY_ONLY},
};

static const cyaml_schema_field_t drive_fields[] = {
	CYAML_FIELD_STRING_PTR("path", CYAML_FLAG_POINTER, struct config_drive, path, 1, PATH_MAX),
	CYAML_FIELD_ENUM("class", CYAML_FLAG_OPTIONAL, struct config_drive, class, class_names,
		CYAML_ARRAY_LEN(class_names)),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t drive_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_drive, drive_fields),
};

static const cyaml_schema_field_t webhook_fields[] = {
	CYAML_FIELD_STRING_PTR(
		"name", CYAML_FLAG_POINTER, struct config_webhook, name, 1, NOTICE_TARGET_LEN_MAX),
	CYAML_FIELD_STRING_PTR("url", CYAML_FLAG_POINTER, struct config_webhook, url, 1, 2048),
	CYAML_FIELD_STRING_PTR("token_file", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
		struct config_webhook, token_file, 1, PATH_MAX),
	CYAML_FIELD_STRING_PTR("certificate", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
		struct config_webhook, certificate, 1, PATH_MAX),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t webhook_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_webhook, webhook_fields),
};

static const cyaml_schema_value_t domain_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 253),
};

static const cyaml_schema_value_t address_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 128),
};

#define TEXT(name, max) \
	CYAML_FIELD_STRING_PTR( \
		#name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config, name, 0, max)
#define NUMBER(name) CYAML_FIELD_UINT(#name, CYAML_FLAG_OPTIONAL, struct config, name)
#define SWITCH(name) CYAML_FIELD_BOOL(#name, CYAML_FLAG_OPTIONAL, struct config, name)
#define CHOICE(name, names) \
	CYAML_FIELD_ENUM( \
		#name, CYAML_FLAG_OPTIONAL, struct config, name, names, CYAML_ARRAY_LEN(names))

static const cyaml_schema_field_t config_fields[] = {
	TEXT(state_dir, PATH_MAX),
	CYAML_FIELD_SEQUENCE("drives", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config,
		drives, &drive_schema, 0, STORE_DRIVES_MAX),
	TEXT(s3_address, 128),
	TEXT(admin_address, 128),
	TEXT(node_name, 63),
	TEXT(zone, 63),
	CHOICE(role, role_names),
	TEXT(cluster_address, 128),
	CYAML_FIELD_SEQUENCE("advertised_addresses", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
		struct config, advertised_addresses, &address_schema, 0,
		CONFIG_ADVERTISED_ADDRESSES_MAX),
	CHOICE(channel, channel_names),
	TEXT(region, 64),
	SWITCH(region_strict),
	CHOICE(signature_v2, signature_v2_names),
	CHOICE(bucket_defaults, bucket_defaults_names),
	CYAML_FIELD_SEQUENCE("domains", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config,
		domains, &domain_schema, 0, 8),
	CYAML_FIELD_SEQUENCE("website_domains", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
		struct config, website_domains, &domain_schema, 0, 8),
	CYAML_FIELD_SEQUENCE("notify", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config,
		notify, &webhook_schema, 0, CONFIG_NOTIFY_MAX),
	SWITCH(require_tls),
	TEXT(tls_certificate, PATH_MAX),
	TEXT(tls_key, PATH_MAX),
	NUMBER(max_connections),
	NUMBER(loops),
	NUMBER(upload_memory_mib),
	NUMBER(download_memory_mib),
	NUMBER(segment_mib),
	NUMBER(reserve_mib),
	NUMBER(log_copies),
	NUMBER(archive_seconds),
	NUMBER(lifecycle_day_seconds),
	SWITCH(accept_damaged_index),
	SWITCH(sse_c_without_tls),
	SWITCH(accept_older_index),
	CHOICE(log_format, log_format_names),
	CHOICE(log_level, log_level_names),
	CHOICE(io, io_names),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, config_fields),
};

/* Collects what the library says of the first mistake; its first line names it, its last the place.
 */
struct complaint {
	char what[CONFIG_MESSAGE_LEN];
	char where[CONFIG_MESSAGE_LEN];
};

__attribute__((format(printf, 3, 0))) static void log_complaint(
	cyaml_log_t level, void *arg, const char *format, va_list args)
{
	struct complaint *complaint = arg;
	char line[CONFIG_MESSAGE_LEN];
	if (level < CYAML_LOG_ERROR)
		return;
	vsnprintf(line, sizeof line, format, args);
	line[strcspn(line, "\n")] = '\0';
	const char *text = line;
	if (strncmp(text, "Load: ", 6) == 0)
		text += 6;
	if (complaint->what[0] == '\0')
		snprintf(complaint->what, sizeof complaint->what, "%s", text);
	else if (complaint->where[0] == '\0' && strncmp(text, "  in ", 5) == 0)
		snprintf(complaint->where, sizeof complaint->where, "%s", text + 2);
}

static cyaml_config_t library_config(struct complaint *complaint)
{
	return (cyaml_config_t){
		.log_fn = log_complaint,
		.log_ctx = complaint,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_ERROR,
		.flags = CYAML_CFG_DEFAULT | CYAML_CFG_NO_ALIAS,
	};
}

/* The line of the file that sets a name, 0 if none does. */
static unsigned find_line(const char *path, const char *name)
{
	FILE *file = path ? fopen(path, "re") : NULL;
	if (!file)
		return 0;
	char line[1024];
	unsigned number = 0, found = 0;
	size_t len = strlen(name);
	while (!found && fgets(line, sizeof line, file)) {
		number++;
		const char *start = line + strspn(line, " -");
		if (strncmp(start, name, len) == 0 && start[len] == ':')
			found = number;
	}
	fclose(file);
	return found;
}

__attribute__((format(printf, 4, 5))) static enum err refuse(
	const char *path, const char *name, char *message, const char *format, ...)
{
	char why[256];
	va_list args;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	unsigned line = find_line(path, name);
	if (line > 0)
		snprintf(message, CONFIG_MESSAGE_LEN, "%.200s:%u: %s %s", path, line, name, why);
	else
		snprintf(message, CONFIG_MESSAGE_LEN, "%s %s", name, why);
	return ERR_INVALID;
}

static enum err load_file(const char *path, struct config **ret_config, char *message)
{
	if (access(path, R_OK) != 0) {
		enum err err = err_from_errno(errno);
		snprintf(message, CONFIG_MESSAGE_LEN, "%s: %s", path, strerror(errno));
		return err;
	}
	struct complaint complaint = {{0}, {0}};
	cyaml_config_t library = library_config(&complaint);
	cyaml_data_t *data = NULL;
	cyaml_err_t result = cyaml_load_file(path, &library, &config_schema, &data, NULL);
	if (result == CYAML_ERR_OOM)
		return ERR_NO_MEMORY;
	const char unexpected[] = "Unexpected key: ";
	if (strncmp(complaint.what, unexpected, strlen(unexpected)) == 0)
		return refuse(path, complaint.what + strlen(unexpected), message,
			"is not the name of a setting");
	if (result != CYAML_OK || !data) {
		snprintf(message, CONFIG_MESSAGE_LEN, "%.200s: %.120s %.150s", path,
			complaint.what[0] ? complaint.what : cyaml_strerror(result),
			complaint.where);
		return ERR_INVALID;
	}
	*ret_config = data;
	return ERR_OK;
}

/* --- the environment -------------------------------------------------------------------------- */

static bool lay_number(const char *value, unsigned *number)
{
	char *end;
	errno = 0;
	unsigned long parsed = strtoul(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || errno || parsed > UINT_MAX)
		return false;
	*number = parsed;
	return true;
}

static bool lay_switch(const char *value, bool *is_on)
{
	bool on = !strcmp(value, "true") || !strcmp(value, "yes") || !strcmp(value, "1");
	if (!on && strcmp(value, "false") && strcmp(value, "no") && strcmp(value, "0"))
		return false;
	*is_on = on;
	return true;
}

static bool lay_choice(const char *value, const cyaml_strval_t *names, size_t count, void *choice)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(value, names[i].str) == 0) {
			int number = names[i].val;
			memcpy(choice, &number, sizeof number);
			return true;
		}
	}
	return false;
}

static bool lay_text(const char *value, char **text)
{
	char *copy = strdup(value);
	if (!copy)
		return false;
	free(*text);
	*text = copy;
	return true;
}

static bool lay_field(struct config *config, const cyaml_schema_field_t *field, const char *value)
{
	void *member = (char *)config + field->data_offset;
	switch (field->value.type) {
	case CYAML_STRING:
		return lay_text(value, member);
	case CYAML_UINT:
		return lay_number(value, member);
	case CYAML_BOOL:
		return lay_switch(value, member);
	case CYAML_ENUM:
		return lay_choice(value, field->value.enumeration.strings,
			field->value.enumeration.count, member);
	default:
		return true; /* lists are for the file */
	}
}

static enum err lay_environment(struct config *config, char *message)
{
	for (const cyaml_schema_field_t *field = config_fields; field->key; field++) {
		char name[64] = "RUBUS_";
		size_t len = strlen(name);
		for (const char *p = field->key; *p && len + 1 < sizeof name; p++)
			name[len++] = *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p;
		const char *value = getenv(name);
		if (value && !lay_field(config, field, value)) {
			snprintf(message, CONFIG_MESSAGE_LEN, "%s: '%.200s' is not a value for it",
				name, value);
			return ERR_INVALID;
		}
	}
	return ERR_OK;
}

/* --- defaults and checks ---------------------------------------------------------------------- */

static bool default_text(char **text, const char *value)
{
	return *text || lay_text(value, text);
}

static bool default_name(struct config *config)
{
	char name[64] = "";
	if (!config->node_name && gethostname(name, sizeof name - 1) != 0)
		name[0] = '\0';
	return default_text(&config->node_name, name[0] ? name : "localhost");
}

static bool fill_in(struct config *config)
{
	if (config->max_connections == 0)
		config->max_connections = 1024;
	if (config->upload_memory_mib == 0)
		config->upload_memory_mib = 48;
	if (config->download_memory_mib == 0)
		config->download_memory_mib = 24;
	if (config->lifecycle_day_seconds == 0)
		config->lifecycle_day_seconds = DAY_SECONDS;
	if (config->archive_seconds == 0)
		config->archive_seconds = 300;
	if (config->segment_mib == 0)
		config->segment_mib = 256;
	if (config->loops == 0) {
		long cores = sysconf(_SC_NPROCESSORS_ONLN);
		config->loops = cores < 1 ? 1 : cores > 4 ? 4 : cores;
	}
	return default_text(&config->state_dir, "/var/lib/rubus") &&
		default_text(&config->s3_address, "0.0.0.0:9000") &&
		default_text(&config->admin_address, "127.0.0.1:9001") && default_name(config) &&
		default_text(&config->zone, "") && default_text(&config->cluster_address, "") &&
		default_text(&config->region, "rubus") &&
		default_text(&config->tls_certificate, "") && default_text(&config->tls_key, "");
}

enum err config_parse_address(const char *text, char *ret_host, uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	unsigned port;
	if (!colon || !lay_number(colon + 1, &port) || port > UINT16_MAX)
		return ERR_INVALID;
	const char *start = text, *end = colon;
	bool is_v6 = *start == '[';
	if (is_v6) {
		start++;
		if (end == text || *--end != ']')
			return ERR_INVALID;
	}
	if (end - start >= 64)
		return ERR_INVALID;
	char host[64] = "";
	memcpy(host, start, end - start);
	struct in6_addr address;
	if (host[0] && inet_pton(is_v6 ? AF_INET6 : AF_INET, host, &address) != 1)
		return ERR_INVALID;
	memcpy(ret_host, host, sizeof host);
	*ret_port = port;
	return ERR_OK;
}

static enum err check_range(const char *path, const char *name, unsigned value, unsigned min,
	unsigned max, char *message)
{
	if (value >= min && value <= max)
		return ERR_OK;
	return refuse(path, name, message, "is %u; it must be %u to %u", value, min, max);
}

static enum err check_drives(const struct config *config, const char *path, char *message)
{
	if (config->drives_count == 0 && config->role == CONFIG_ROLE_STORAGE)
		return refuse(
			path, "drives", message, "has no entry; list at least one '- path: DIR'");
	if (config->drives_count > 0 && config->role == CONFIG_ROLE_WITNESS)
		return refuse(path, "drives", message,
			"has '%.100s', and a witness has no drives; leave them out, or make it "
			"role: storage",
			config->drives[0].path);
	for (unsigned i = 0; i < config->drives_count; i++) {
		const char *drive = config->drives[i].path;
		if (drive[0] != '/')
			return refuse(path, "drives", message,
				"has '%.100s'; paths must begin with '/'", drive);
		if (strcmp(drive, config->state_dir) == 0)
			return refuse(path, "drives", message,
				"has the state_dir '%.100s'; use another directory", drive);
		for (unsigned j = 0; j < i; j++)
			if (strcmp(drive, config->drives[j].path) == 0)
				return refuse(path, "drives", message, "has '%.100s' twice", drive);
	}
	return ERR_OK;
}

static enum err check_numbers(const struct config *config, const char *path, char *message)
{
	enum err err = check_range(
		path, "max_connections", config->max_connections, 1, CONNECTIONS_MAX, message);
	if (!err)
		err = check_range(path, "loops", config->loops, 1, LOOPS_MAX, message);
	if (!err)
		err = check_range(path, "upload_memory_mib", config->upload_memory_mib,
			MEMORY_MIB_MIN, MEMORY_MIB_MAX, message);
	if (!err)
		err = check_range(path, "download_memory_mib", config->download_memory_mib,
			MEMORY_MIB_MIN, MEMORY_MIB_MAX, message);
	if (!err)
		err = check_range(path, "segment_mib", config->segment_mib, SEGMENT_MIB_MIN,
			SEGMENT_MIB_MAX, message);
	if (!err)
		err = check_range(
			path, "reserve_mib", config->reserve_mib, 0, RESERVE_MIB_MAX, message);
	if (!err)
		err = check_range(
			path, "log_copies", config->log_copies, 0, LOG_COPIES_MAX, message);
	if (!err)
		err = check_range(path, "archive_seconds", config->archive_seconds,
			ARCHIVE_SECONDS_MIN, ARCHIVE_SECONDS_MAX, message);
	if (!err)
		err = check_range(path, "lifecycle_day_seconds", config->lifecycle_day_seconds, 1,
			DAY_SECONDS, message);
	return err;
}

static enum err check_cluster(const struct config *config, const char *path, char *message)
{
	char host[64];
	uint16_t port;
	if (config->cluster_address[0] &&
		config_parse_address(config->cluster_address, host, &port))
		return refuse(path, "cluster_address", message,
			"is '%.100s'; write ADDRESS:PORT, for example 0.0.0.0:9002",
			config->cluster_address);
	for (unsigned i = 0; i < config->advertised_addresses_count; i++) {
		const char *address = config->advertised_addresses[i];
		if (config_parse_address(address, host, &port) || !host[0] || port == 0)
			return refuse(path, "advertised_addresses", message,
				"has '%.100s'; write ADDRESS:PORT, for example 192.168.1.7:9002",
				address);
	}
	if (config->cluster_address[0] && config->advertised_addresses_count == 0 &&
		(config_parse_address(config->cluster_address, host, &port) || !host[0] ||
			!strcmp(host, "0.0.0.0") || !strcmp(host, "::")))
		return refuse(path, "advertised_addresses", message,
			"has no entry, and cluster_address is every address; list where others "
			"find this node, for example [192.168.1.7:9002]");
	if (config->node_name[0] == '\0' ||
		strspn(config->node_name, NAME_CHARS) != strlen(config->node_name))
		return refuse(path, "node_name", message,
			"is '%.100s'; use letters, digits, '-', '_' and '.'", config->node_name);
	return ERR_OK;
}

static enum err check_domains(const struct config *config, const char *path, char *message)
{
	for (unsigned i = 0; i < config->website_domains_count; i++)
		for (unsigned j = 0; j < config->domains_count; j++)
			if (strcasecmp(config->website_domains[i], config->domains[j]) == 0)
				return refuse(path, "website_domains", message,
					"has '%.100s', as domains has; a name is for one of them",
					config->domains[j]);
	return ERR_OK;
}

static enum err check_notify(const struct config *config, const char *path, char *message)
{
	struct webhook_url url;
	for (unsigned i = 0; i < config->notify_count; i++) {
		const struct config_webhook *one = &config->notify[i];
		if (strspn(one->name, NAME_CHARS) != strlen(one->name))
			return refuse(path, "notify", message,
				"has the name '%.64s'; use letters, digits, '-', '_' and '.'",
				one->name);
		if (!webhook_parse_url(one->url, &url))
			return refuse(path, "notify", message,
				"has the url '%.150s'; write http(s)://HOST[:PORT]/PATH", one->url);
		for (unsigned j = 0; j < i; j++)
			if (strcmp(one->name, config->notify[j].name) == 0)
				return refuse(path, "notify", message, "has the name '%.64s' twice",
					one->name);
	}
	return ERR_OK;
}

static enum err check(const struct config *config, const char *path, char *message)
{
	char host[64];
	uint16_t port;
	if (config_parse_address(config->s3_address, host, &port))
		return refuse(path, "s3_address", message,
			"is '%.100s'; write ADDRESS:PORT, for example 0.0.0.0:9000",
			config->s3_address);
	if (config_parse_address(config->admin_address, host, &port))
		return refuse(path, "admin_address", message,
			"is '%.100s'; write ADDRESS:PORT, for example 127.0.0.1:9001",
			config->admin_address);
	if (config->state_dir[0] != '/')
		return refuse(path, "state_dir", message, "is '%.100s'; it must begin with '/'",
			config->state_dir);
	if (config->region[0] == '\0' ||
		strspn(config->region,
			"abcdefghijklmnopqrstuvwxyz"
			"0123456789-") != strlen(config->region))
		return refuse(path, "region", message,
			"is '%.100s'; use lower-case letters, digits and '-'", config->region);
	if ((config->tls_certificate[0] == '\0') != (config->tls_key[0] == '\0'))
		return refuse(path, "tls_certificate", message,
			"and tls_key go together; set both or none");
	enum err err = check_cluster(config, path, message);
	if (!err)
		err = check_domains(config, path, message);
	if (!err)
		err = check_notify(config, path, message);
	if (!err)
		err = check_numbers(config, path, message);
	return err ? err : check_drives(config, path, message);
}

enum err config_load(const char *path, struct config **ret_config, char *message)
{
	struct config *config = NULL;
	enum err err = ERR_OK;
	message[0] = '\0';
	if (path)
		err = load_file(path, &config, message);
	else if (!(config = calloc(1, sizeof *config)))
		err = ERR_NO_MEMORY;
	if (!err)
		err = lay_environment(config, message);
	if (!err && !fill_in(config))
		err = ERR_NO_MEMORY;
	if (!err)
		err = check(config, path, message);
	if (err) {
		config_free(config);
		return err;
	}
	*ret_config = config;
	return ERR_OK;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	struct complaint complaint = {{0}, {0}};
	cyaml_config_t library = library_config(&complaint);
	cyaml_free(&library, &config_schema, config, 0);
}
