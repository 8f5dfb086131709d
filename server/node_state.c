/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a node that is on its disks: state directory, index, drives. */
#include "server/cluster.h"
#include "server/node_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/kv_lmdb.h"
#include "storage/meta/index_space.h"

#define LOCATIONS_MAP_LEN (UINT64_C(1) << 34)
#define INDEX_ROWS_MAX 16384
#define INDEX_LOG_LEN (2 * (uint64_t)NODE_LOG_SEGMENT_LEN)

/* --- the state directory ---------------------------------------------------------------------- */

enum err node_lock_state(struct node *node, char *message)
{
	char path[IDENTITY_PATH_LEN];
	enum err err = identity_path(node->config->state_dir, "lock", path);
	if (err)
		return err;
	node->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (node->lock_fd < 0)
		return node_refuse(
			message, err_from_errno(errno), "%.300s: %s", path, strerror(errno));
	if (flock(node->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return node_refuse(message, ERR_BUSY,
			"%.300s is served by another process; stop it first",
			node->config->state_dir);
	return ERR_OK;
}

/* What commits of the index may need at once. */
static uint64_t index_kv_len(void)
{
	return index_space_kv_len(INDEX_ROWS_MAX, BUFFER_ARENA_LEN_DEFAULT, sysconf(_SC_PAGESIZE));
}

static void index_failed(void *arg, enum err err)
{
	struct node *node = arg;
	if (node->snapshots && index_snapshots_have_installed(node->snapshots)) {
		node->failure = ERR_END;
		node->has_failed = true;
		kill(getpid(), NODE_SIGNAL);
		return;
	}
	trace_event(node->trace, TRACE_ERROR, 0,
		"the index stopped: %s; the node leaves service, look at the state directory's "
		"drive%s",
		err_text(err), node->mirror ? " and at those of the log" : "");
	node->failure = err;
	node->has_failed = true;
	kill(getpid(), SIGTERM);
}

static void index_committed(void *arg, uint64_t log_index)
{
	struct node *node = arg;
	index_copies_committed(&node->copies, log_index);
}

enum err node_open_index(struct node *node, char *message)
{
	char path[IDENTITY_PATH_LEN];
	enum err err = identity_path(node->config->state_dir, "index", path);
	if (!err)
		err = node_open_disk(node, node->config->state_dir, &node->state_disk);
	if (!err)
		err = node_open_log(node, message);
	if (!err)
		err = node_open_map(node, path, message);
	if (!err)
		err = node_open_archive(node);
	if (err)
		return err;
	struct index_setup setup = {
		.kv = node->archive ? index_archive_kv(node->archive) : node->index_kv,
		.disk = node->state_disk.disk,
		.log_disk = node->mirror ? log_mirror_disk(node->mirror) : NULL,
		.consensus = node->consensus,
		.apply = server_loop_base(node->apply_loop),
		.committer = server_loop_base(node->commit_loop),
		.clock = node->clock,
		.random = node->random,
		.trace = node->trace,
		.node = node->identity.node,
		.settings = {.rows_max = INDEX_ROWS_MAX,
			.is_alone = !node->cluster,
			.log_len = INDEX_LOG_LEN,
			.kv_len = index_kv_len()},
		.failed = index_failed,
		.committed = node->mirror && !node->cluster ? index_committed : NULL,
		.failed_arg = node,
	};
	err = index_open(&setup, &node->index);
	if (err)
		return node_refuse(message, err, "the index in %.300s: %s", path, err_text(err));
	if (node->archive)
		index_archive_attach(node->archive, node->index);
	if (node->snapshots)
		index_snapshots_attach(node->snapshots, node->index_kv, node->index);
	return index_reader_open(node->index, &node->reader);
}

/* --- drives ----------------------------------------------------------------------------------- */

static void drive_fenced(struct drive *drive, enum err err, void *arg)
{
	struct node *node = arg;
	trace_event(node->trace, TRACE_ERROR, 0,
		"drive %s is taken out of service: %s; the others go on", drive_path(drive),
		err_text(err));
}

static const char *drive_trouble(enum err err)
{
	switch (err) {
	case ERR_NOT_FOUND:
		return "is missing; mount it and start again, the others go on without it";
	case ERR_FOREIGN:
		return "belongs to another cluster; it is not touched";
	case ERR_VERSION:
		return "was written by a newer version; update rubus";
	case ERR_BUSY:
		return "is mounted already, by this or another process";
	case ERR_DENIED:
		return "cannot be written; try: chown -R $USER on it";
	default:
		return err_text(err);
	}
}

/* What a drive on the file system of the index leaves to it, so that shards fill their share and
 * no more; on all what the archive may need, and copies of the log and of the index. */
static enum err kept_for_index(const struct node *node, const char *path, uint64_t *ret_len)
{
	struct stat own, drive;
	struct disk_space space;
	*ret_len = ARCHIVE_LOG_LEN_MIN + kv_used(node->index_kv);
	if (node->mirror)
		*ret_len += INDEX_LOG_LEN + kv_used(node->index_kv);
	if (stat(node->config->state_dir, &own) != 0 || stat(path, &drive) != 0)
		return err_from_errno(errno);
	enum err err = disk_space(node->state_disk.disk, &space);
	if (!err && own.st_dev == drive.st_dev)
		*ret_len += index_space_kept(INDEX_LOG_LEN, index_kv_len(), space.total);
	return err;
}

static enum err open_locations(struct node_drive *drive)
{
	char path[IDENTITY_PATH_LEN];
	enum err err = identity_path(drive->path, "locations", path);
	return err ? err : kv_lmdb_open(path, LOCATIONS_MAP_LEN, &drive->locations);
}

static enum err open_shards(struct node *node, struct node_drive *drive, unsigned index)
{
	struct drive_setup setup = {
		.disk = drive->disk.disk,
		.locations = drive->locations,
		.owner = server_loop_base(node->loops[index % node->config->loops]),
		.committer = server_loop_base(node->locate_loop),
		.worker = worker_threads_worker(node->workers),
		.clock = node->clock,
		.random = node->random,
		.trace = node->trace,
		.settings = drive_settings_default(),
		.fenced = drive_fenced,
		.fenced_arg = node,
	};
	setup.settings.segment_len = (uint64_t)node->config->segment_mib << 20;
	setup.settings.reserve_len = (uint64_t)node->config->reserve_mib << 20;
	enum err err = kept_for_index(node, drive->path, &setup.settings.kept_len);
	return err ? err : drive_open(&setup, node->identity.cluster, &drive->drive);
}

/* A table says nothing that the segments do not: a damaged one is made anew from all of them. */
static enum err set_table_aside(struct node *node, struct node_drive *drive)
{
	char path[IDENTITY_PATH_LEN];
	kv_close(drive->locations);
	drive->locations = NULL;
	enum err err = identity_path(drive->path, "locations", path);
	if (!err)
		err = kv_lmdb_set_aside(path);
	if (err)
		return err;
	trace_event(node->trace, TRACE_WARNING, 0,
		"the table in %.300s is damaged: it is kept as " KV_LMDB_FILE
		".damaged and made anew from the segments",
		path);
	return open_locations(drive);
}

static enum err open_drive(struct node *node, struct node_drive *drive, unsigned index)
{
	enum err err = drive->disk.disk ? ERR_OK : node_open_disk(node, drive->path, &drive->disk);
	struct drive_identity identity;
	if (!err)
		err = drive_identify(drive->disk.disk, &identity);
	if (!err && memcmp(&identity.cluster, &node->identity.cluster, ID_LEN) != 0)
		err = ERR_FOREIGN;
	if (err)
		return err;
	err = open_locations(drive);
	if (!err)
		err = open_shards(node, drive, index);
	if (err != ERR_CORRUPT)
		return err;
	err = set_table_aside(node, drive);
	return err ? err : open_shards(node, drive, index);
}

void node_close_drive(struct node_drive *drive)
{
	if (drive->drive)
		drive_close(drive->drive);
	kv_close(drive->locations);
	drive->drive = NULL;
	drive->locations = NULL;
}

enum err node_open_drive(struct node *node, unsigned index)
{
	struct node_drive *drive = &node->drives[index];
	enum err err = open_drive(node, drive, index);
	if (!err)
		return ERR_OK;
	node_close_drive(drive);
	snprintf(drive->why, sizeof drive->why, "drive %.300s %s", drive->path, drive_trouble(err));
	return err;
}

enum err node_open_drives(struct node *node, char *message)
{
	unsigned opened = 0;
	for (unsigned i = 0; i < node->drive_count; i++) {
		if (node_open_drive(node, i) == ERR_OK)
			opened++;
		else
			trace_event(node->trace, TRACE_ERROR, 0, "%s", node->drives[i].why);
	}
	if (opened == 0 && node->drive_count > 0)
		return node_refuse(message, ERR_QUORUM, "%.500s; no drive is left to serve",
			node->drives[0].why);
	return ERR_OK;
}
