/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/drive/drive.h"
#include "storage/err.h"
#include "storage/object/store.h"

/* The configuration of one node: one small YAML file, and environment variables over it.
 *
 * Every setting but drives has a variable: RUBUS_ and its name in capitals (RUBUS_S3_ADDRESS).
 * Everything that is not about this machine lives in the index and is changed while it runs. */
#define CONFIG_MESSAGE_LEN 512
#define CONFIG_ADVERTISED_ADDRESSES_MAX 4

struct config_drive {
	char *path;
	enum drive_class class;
};

/* A service that buckets may tell what happens. */
#define CONFIG_NOTIFY_MAX 16
struct config_webhook {
	char *name;
	char *url;
	char *token_file; /* NULL: none */
	char *certificate; /* the only one that is believed; NULL: what the system trusts */
};

enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };
/* Info comes first: it is what a file says that says nothing. */
enum config_log_level {
	CONFIG_LOG_INFO,
	CONFIG_LOG_DEBUG,
	CONFIG_LOG_WARNING,
	CONFIG_LOG_ERROR,
};

enum config_signature_v2 { /* as enum sigv2_use */
	CONFIG_SIGNATURE_V2_PRESIGNED,
	CONFIG_SIGNATURE_V2_OFF,
	CONFIG_SIGNATURE_V2_ALL,
};

enum config_bucket_defaults { CONFIG_BUCKETS_MODERN, CONFIG_BUCKETS_CLASSIC };

enum config_io { CONFIG_IO_AUTO, CONFIG_IO_PLAIN };
enum config_role { CONFIG_ROLE_STORAGE, CONFIG_ROLE_WITNESS };
enum config_channel { CONFIG_CHANNEL_ENCRYPTED, CONFIG_CHANNEL_INTEGRITY_ONLY };

struct config {
	char *state_dir; /* index, keys, certificate; 0700 */
	struct config_drive *drives;
	unsigned drives_count;
	char *s3_address;
	char *admin_address;
	char *node_name; /* what people call this machine; its host name if none is set */
	char *zone; /* machines that fail together have the same; may be empty */
	enum config_role role;
	char *cluster_address; /* where other nodes connect; empty: this node is alone */
	char **advertised_addresses; /* where others find it, tried in order; else cluster_address
				      */
	unsigned advertised_addresses_count;
	enum config_channel channel;
	char *region;
	bool region_strict; /* refuse signatures made for another region */
	enum config_signature_v2 signature_v2;
	enum config_bucket_defaults bucket_defaults;
	char **domains; /* buckets are virtual hosts under these */
	unsigned domains_count;
	char **website_domains; /* buckets are websites under these */
	unsigned website_domains_count;
	struct config_webhook *notify;
	unsigned notify_count;
	bool require_tls;
	char *tls_certificate, *tls_key; /* empty: the ones that init made */
	unsigned max_connections;
	unsigned loops; /* 0: one for each core, at most 4 */
	unsigned upload_memory_mib;
	unsigned download_memory_mib;
	unsigned segment_mib;
	unsigned reserve_mib; /* of each drive; 0: 1 % of it, at most 1 GiB */
	unsigned log_copies; /* of the index's log, on drives; 0: as many as is right */
	unsigned lifecycle_day_seconds; /* how long a day of lifecycle rules is; for tests */
	unsigned archive_seconds; /* changes of the index are on the drives after so long */
	bool accept_damaged_index; /* serve what is left of it */
	bool sse_c_without_tls; /* a proxy in front has TLS */
	bool accept_older_index; /* serve a copy that is not the newest known */
	enum config_log_format log_format;
	enum config_log_level log_level;
	enum config_io io;
};

/* Reads a configuration file (path; NULL: only the environment), lays the environment over it,
 * fills in defaults and checks every value. Gives the configuration to the caller. On failure
 * message (CONFIG_MESSAGE_LEN bytes) says in one line what is wrong, where, and how to mend it.
 * Errors: ERR_NOT_FOUND, ERR_DENIED, ERR_IO, ERR_INVALID, ERR_NO_MEMORY. */
MUST_USE enum err config_load(const char *path, struct config **ret_config, char *message);

/* NULL is fine. */
void config_free(struct config *config);

/* Splits "host:port" or "[v6]:port"; host may be empty for all addresses. host has 64 bytes.
 * Errors: ERR_INVALID. */
MUST_USE enum err config_parse_address(const char *text, char *ret_host, uint16_t *ret_port);

#endif
