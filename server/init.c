/* SPDX-License-Identifier: Apache-2.0 */
#include "server/init.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/cluster.h"
#include "server/disk_file.h"
#include "server/node.h"
#include "server/random_real.h"
#include "server/tls.h"
#include "storage/meta/log.h"
#include "storage/meta/log_mirror.h"

#define JOIN_TIMEOUT_MS 10000 /* for each address of the token */

__attribute__((format(printf, 3, 4))) static enum err refuse(
	char *message, enum err err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(message, IDENTITY_MESSAGE_LEN, format, args);
	va_end(args);
	return err;
}

/* A certificate for the names of this machine, unless one is there. */
static enum err make_certificate(const struct config *config, char *message)
{
	char cert[IDENTITY_PATH_LEN], key[IDENTITY_PATH_LEN], why[TLS_MESSAGE_LEN] = "";
	char host[256] = "localhost";
	if (identity_path(config->state_dir, "tls.crt", cert) ||
		identity_path(config->state_dir, "tls.key", key))
		return ERR_LIMIT;
	if (access(cert, F_OK) == 0 && access(key, F_OK) == 0)
		return ERR_OK;
	/* One without the other is what an interrupted init leaves. */
	unlink(cert);
	unlink(key);
	if (gethostname(host, sizeof host - 1) != 0)
		snprintf(host, sizeof host, "localhost");
	const char *names[4 + 8] = {host, "localhost", "127.0.0.1", "::1"};
	size_t count = 4;
	for (unsigned i = 0; i < config->domains_count && count < ARRAY_COUNT(names); i++)
		names[count++] = config->domains[i];
	enum err err = tls_make_certificate(cert, key, names, count, why);
	return err ? refuse(message, err, "certificate: %s", why) : ERR_OK;
}

static enum err make_dir(const char *path, char *message)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return ERR_OK;
	int number = errno;
	return refuse(message, err_from_errno(number),
		"drive %.200s: %s; try: sudo install -d -o $USER -m 700 %.200s", path,
		strerror(number), path);
}

static enum err refuse_drive(char *message, enum err err, const char *path)
{
	if (err == ERR_DENIED)
		return refuse(message, err, "drive %.200s: %s; try: sudo chown -R $USER %.200s",
			path, err_text(err), path);
	if (err == ERR_NOT_EMPTY)
		return refuse(message, err,
			"drive %.300s holds files that are not ours; name an empty directory",
			path);
	return refuse(message, err, "drive %.300s: %s", path, err_text(err));
}

enum err init_drive(const struct config *config, const struct config_drive *drive,
	const struct identity *identity, char *message)
{
	struct disk *disk;
	enum err err = make_dir(drive->path, message);
	if (err)
		return err;
	err = server_disk_new(drive->path, NULL, &disk);
	if (err)
		return refuse_drive(message, err, drive->path);
	struct drive_identity found;
	err = drive_identify(disk, &found);
	if (!err && memcmp(&found.cluster, &identity->cluster, ID_LEN) != 0) {
		err = refuse(message, ERR_FOREIGN,
			"drive %.300s belongs to another cluster; it is not touched. If it is this "
			"node's and only the state directory is lost: rubus init --from-drives",
			drive->path);
	} else if (err == ERR_NOT_FOUND) {
		struct drive_identity made = {.cluster = identity->cluster,
			.node = identity->node,
			.class = drive->class};
		struct drive_settings settings = drive_settings_default();
		settings.segment_len = (uint64_t)config->segment_mib << 20;
		settings.reserve_len = (uint64_t)config->reserve_mib << 20;
		struct random_source *random;
		err = random_real_open(&random);
		if (!err) {
			random_fill(random, &made.drive, sizeof made.drive);
			err = drive_format(disk, &made, &settings);
		}
		if (err)
			err = refuse_drive(message, err, drive->path);
	} else if (err) {
		err = refuse_drive(message, err, drive->path);
	}
	server_disk_free(disk);
	return err;
}

enum err init_log(const struct config *config, const struct identity *identity, char *message)
{
	struct disk *disk;
	struct random_source *random;
	enum err err = random_real_open(&random);
	if (!err)
		err = server_disk_new(config->state_dir, NULL, &disk);
	if (err)
		return err;
	struct log_setup setup = {.disk = disk,
		.state_disk = disk,
		.node = identity->node,
		.random = random,
		.segment_len = NODE_LOG_SEGMENT_LEN};
	err = log_create(&setup);
	server_disk_free(disk);
	if (err == ERR_EXISTS)
		return ERR_OK;
	return err ? refuse(message, err, "the log in %.300s: %s", config->state_dir, err_text(err))
		   : ERR_OK;
}

/* What a node has besides its identity. */
static enum err make_rest(
	const struct config *config, const struct identity *identity, char *message)
{
	enum err err = make_certificate(config, message);
	for (unsigned i = 0; !err && i < config->drives_count; i++)
		err = init_drive(config, &config->drives[i], identity, message);
	if (!err)
		err = init_log(config, identity, message);
	return err ? err : identity_finish(config->state_dir, identity, message);
}

static enum err end_init(
	const struct config *config, struct identity *identity, enum err err, char *message)
{
	if (err && !message[0])
		refuse(message, err, "%.300s: %s", config->state_dir, err_text(err));
	identity_fini(identity);
	return err;
}

enum err init_node(const struct config *config, char *message)
{
	struct identity identity = {0};
	message[0] = '\0';
	enum err err = identity_begin(config->state_dir, &identity, message);
	if (!err)
		err = make_rest(config, &identity, message);
	return end_init(config, &identity, err, message);
}

/* Asks to be admitted, and keeps what the answer says. */
static enum err ask(const struct config *config, const struct join_token *token,
	struct identity *identity, char *message)
{
	static const uint8_t no_secret[CHANNEL_KEY_LEN];
	char why[CHANNEL_MESSAGE_LEN] = "";
	struct join_welcome *welcome;
	struct channel_self self;
	struct join_ask about = {0};
	enum err err = cluster_own_addresses(config, about.addresses, &about.address_count);
	if (err || about.address_count == 0)
		return refuse(message, ERR_INVALID,
			"where the others find this node is not set; set cluster_address and "
			"advertised_addresses");
	snprintf(about.name, sizeof about.name, "%s", config->node_name);
	channel_self_init(&self, identity->cluster, identity->node, identity->node_key, no_secret);
	err = join_run(token, &self, &about, JOIN_TIMEOUT_MS, &welcome, why);
	channel_self_fini(&self);
	if (err)
		return refuse(message, err, "%s", why);
	memcpy(identity->cluster_key, welcome->cluster_key, IDENTITY_KEY_LEN);
	err = identity_put_key(config->state_dir, identity, message);
	if (!err)
		err = identity_put_secret(config->state_dir, welcome->secret, message);
	if (!err)
		err = cluster_keep_nodes(config->state_dir, welcome->nodes, welcome->node_count);
	if (!err && welcome->epoch > 1)
		err = identity_put_epoch(config->state_dir,
			&(struct identity_epoch){.number = welcome->epoch}, message);
	explicit_bzero(welcome, sizeof *welcome);
	free(welcome);
	return err;
}

/* A node whose state is lost and whose drives are not is the same node again: they know its keys,
 * and the others its drives. */
static enum err find_self(
	const struct config *config, struct id cluster, struct id *ret_node, char *message)
{
	char dir[IDENTITY_PATH_LEN];
	struct identity kept = {0};
	enum err err = ERR_NOT_FOUND;
	const char *drive = NULL;
	for (unsigned i = 0; i < config->drives_count && err; i++) {
		drive = config->drives[i].path;
		if (identity_path(drive, "identity", dir) != ERR_OK ||
			identity_load(dir, &kept, message) != ERR_OK ||
			!id_is_equal(kept.cluster, cluster))
			continue;
		err = ERR_OK;
	}
	message[0] = '\0';
	if (err)
		return err;
	err = identity_restore(config->state_dir, drive, &kept, message);
	*ret_node = kept.node;
	identity_fini(&kept);
	return err;
}

enum err init_join(const struct config *config, const struct join_token *token, char *message)
{
	struct identity identity = {0};
	message[0] = '\0';
	struct id node;
	enum err found = find_self(config, token->cluster, &node, message);
	if (found && found != ERR_NOT_FOUND)
		return end_init(config, &identity, found, message);
	enum err err = identity_begin_join(
		config->state_dir, token->cluster, found ? NULL : &node, &identity, message);
	if (!err)
		err = ask(config, token, &identity, message);
	if (!err)
		err = make_rest(config, &identity, message);
	return end_init(config, &identity, err, message);
}

/* --- of drives -------------------------------------------------------------------------------- */

/* Is the drive one of that node's, or not there? */
static enum err check_drive(
	const struct config_drive *drive, const struct identity *identity, char *message)
{
	struct disk *disk;
	struct drive_identity found;
	enum err err = server_disk_new(drive->path, NULL, &disk);
	if (err)
		return ERR_OK;
	err = drive_identify(disk, &found);
	server_disk_free(disk);
	if (err ||
		(id_is_equal(found.cluster, identity->cluster) &&
			id_is_equal(found.node, identity->node)))
		return ERR_OK;
	return refuse(message, ERR_FOREIGN,
		"drive %.300s belongs to another node than the drives before it; take it out of "
		"the configuration",
		drive->path);
}

/* Only a log on a drive brings back everything. */
static enum err check_log(const struct config *config, char *message)
{
	bool is_there = false;
	for (unsigned i = 0; i < config->drives_count && !is_there; i++) {
		struct log_home home = {0};
		if (server_disk_new(config->drives[i].path, NULL, &home.disk) != ERR_OK)
			continue;
		is_there = log_mirror_is_there(&home, 1);
		server_disk_free(home.disk);
	}
	if (is_there)
		return ERR_OK;
	return refuse(message, ERR_NOT_FOUND,
		"no drive has a copy of the index's log; a node of a cluster that is still there "
		"joins it anew with rubus join, and when nothing else is left: rubus index rebuild "
		"--from-drives");
}

enum err init_restore_identity(const struct config *config, const char *drive,
	struct identity *ret_identity, char *message)
{
	return identity_restore(config->state_dir, drive, ret_identity, message);
}

enum err init_finish_identity(
	const struct config *config, const struct identity *identity, char *message)
{
	enum err err = make_certificate(config, message);
	return err ? err : identity_finish(config->state_dir, identity, message);
}

enum err init_from_drives(const struct config *config, char *message)
{
	struct identity identity = {0};
	message[0] = '\0';
	enum err err = ERR_NOT_FOUND;
	for (unsigned i = 0; i < config->drives_count && err == ERR_NOT_FOUND; i++)
		err = identity_restore(
			config->state_dir, config->drives[i].path, &identity, message);
	for (unsigned i = 0; !err && i < config->drives_count; i++)
		err = check_drive(&config->drives[i], &identity, message);
	if (!err)
		err = check_log(config, message);
	if (!err)
		err = init_finish_identity(config, &identity, message);
	if (err && !message[0])
		refuse(message, err, "%.300s: %s", config->state_dir, err_text(err));
	identity_fini(&identity);
	return err;
}
