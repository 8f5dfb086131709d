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
#include "storage/meta/consensus_single.h"
#include "storage/meta/index_space.h"

#define INDEX_MAP_LEN (UINT64_C(1) << 38) /* address space: 256 GiB */
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
	trace_event(node->trace, TRACE_ERROR, 0,
		"the index stopped: %s; the node leaves service, look at the state directory's "
		"drive",
		err_text(err));
	node->failure = err;
	node->has_failed = true;
	kill(getpid(), SIGTERM);
}

/* The log of one of several members. The first of a cluster goes on with the log that it had alone.
 */
static enum err open_member(
	struct node *node, const struct consensus_single_setup *single, char *message)
{
	struct consensus_raft_setup setup = {
		.log = single->log, .clock = node->clock, .peers = node->cluster->consensus_peers};
	enum err err = ERR_EXISTS;
	if (!node->identity.is_joined)
		err = consensus_raft_found(&setup);
	if (err == ERR_OK || err == ERR_EXISTS)
		err = consensus_raft_open(&setup, &node->consensus);
	return err ? node_refuse(message, err, "the log in %.300s/log: %s", node->config->state_dir,
			     err_text(err))
		   : ERR_OK;
}

static enum err open_log(struct node *node, char *message)
{
	struct consensus_single_setup setup = {
		.log = {.disk = node->state_disk.disk,
			.state_disk = node->state_disk.disk,
			.node = node->identity.node,
			.loop = server_loop_base(node->log_loop),
			.worker = worker_threads_worker(node->workers),
			.random = node->random,
			.trace = node->trace,
			.segment_len = NODE_LOG_SEGMENT_LEN},
		.clock = node->clock,
	};
	if (node->cluster)
		return open_member(node, &setup, message);
	enum err err = consensus_single_open(&setup, &node->consensus);
	return err ? node_refuse(message, err, "the log in %.300s/log: %s", node->config->state_dir,
			     err_text(err))
		   : ERR_OK;
}

static enum err pass_by(void *arg, const struct group *group)
{
	(void)arg;
	(void)group;
	return ERR_OK;
}

/* What is left of the index, when that is accepted. */
static enum err open_damaged(struct node *node, const char *path, char *message)
{
	uint64_t bad_rows = 0;
	enum err err = ERR_CORRUPT;
	if (node->config->accept_damaged_index)
		err = kv_lmdb_open_damaged(path, INDEX_MAP_LEN, &bad_rows, &node->index_kv);
	if (!err) {
		trace_event(node->trace, TRACE_ERROR, 0,
			"the index in %.300s has %llu damaged rows, which is accepted: what they "
			"say is lost, the rest is served",
			path, (unsigned long long)bad_rows);
		return ERR_OK;
	}
	return node_refuse(message, err,
		"the index in %.300s is damaged and was not touched, and the log does not reach "
		"back to its beginning; put back a copy of %.300s, with its log%s",
		path, node->config->state_dir,
		node->config->accept_damaged_index
			? "; too much is damaged to serve the rest"
			: ", or try accept_damaged_index: true to serve what is left");
}

/* A damaged map is made anew if the log still has all that ever changed the index. */
static enum err set_index_aside(struct node *node, const char *path, char *message)
{
	if (node->cluster || consensus_replay(node->consensus, 0, pass_by, NULL) != ERR_OK)
		return open_damaged(node, path, message);
	enum err err = kv_lmdb_set_aside(path);
	if (err)
		return err;
	trace_event(node->trace, TRACE_WARNING, 0,
		"the index in %.300s is damaged: it is kept as " KV_LMDB_FILE
		".damaged and made anew from the log; look at the drive below it",
		path);
	return kv_lmdb_open(path, INDEX_MAP_LEN, &node->index_kv);
}

static enum err open_map(struct node *node, const char *path, char *message)
{
	enum err err = kv_lmdb_open(path, INDEX_MAP_LEN, &node->index_kv);
	if (err == ERR_CORRUPT)
		err = set_index_aside(node, path, message);
	if (err && !message[0])
		return node_refuse(message, err, "the index in %.300s: %s", path, err_text(err));
	return err;
}

enum err node_open_index(struct node *node, char *message)
{
	char path[IDENTITY_PATH_LEN];
	enum err err = identity_path(node->config->state_dir, "index", path);
	if (!err)
		err = node_open_disk(node, node->config->state_dir, &node->state_disk);
	if (!err)
		err = open_log(node, message);
	if (!err)
		err = open_map(node, path, message);
	if (err)
		return err;
	struct index_setup setup = {
		.kv = node->index_kv,
		.disk = node->state_disk.disk,
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
		.failed_arg = node,
	};
	err = index_open(&setup, &node->index);
	if (err)
		return node_refuse(message, err, "the index in %.300s: %s", path, err_text(err));
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
 * no more. */
static enum err kept_for_index(const struct node *node, const char *path, uint64_t *ret_len)
{
	struct stat own, drive;
	struct disk_space space;
	if (stat(node->config->state_dir, &own) != 0 || stat(path, &drive) != 0)
		return err_from_errno(errno);
	enum err err = disk_space(node->state_disk.disk, &space);
	if (!err)
		*ret_len = own.st_dev != drive.st_dev
			? 0
			: index_space_kept(INDEX_LOG_LEN, index_kv_len(), space.total);
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
	enum err err = node_open_disk(node, drive->path, &drive->disk);
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
	node_close_disk(&drive->disk);
	drive->drive = NULL;
	drive->locations = NULL;
}

enum err node_open_drives(struct node *node, char *message)
{
	unsigned opened = 0;
	for (unsigned i = 0; i < node->config->drives_count; i++) {
		struct node_drive *drive = &node->drives[i];
		drive->path = node->config->drives[i].path;
		enum err err = open_drive(node, drive, i);
		if (err) {
			node_close_drive(drive);
			snprintf(drive->why, sizeof drive->why, "drive %.300s %s", drive->path,
				drive_trouble(err));
			trace_event(node->trace, TRACE_ERROR, 0, "%s", drive->why);
		} else {
			opened++;
		}
	}
	if (opened == 0)
		return node_refuse(message, ERR_QUORUM, "%.500s; no drive is left to serve",
			node->drives[0].why);
	return ERR_OK;
}
