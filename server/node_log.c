/* SPDX-License-Identifier: Apache-2.0 */
/* Where the log of the index is, and what brings the index back when the state directory cannot.
 *
 * Drives on file systems of their own, two or more, each have a copy of the log, of the index and
 * of who the node is; else all of it is in the state directory alone. A member of a cluster has
 * the others for that; one whose log was mirrored when it was alone goes on with that. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "server/cluster.h"
#include "server/node_priv.h"
#include "storage/kv_lmdb.h"
#include "storage/meta/consensus_single.h"

#define DRIVES_FOR_THREE 4 /* as many as bodies survive the loss of two with */
#define HEAL_COUNT_MAX 4 /* more would be felt at a start */
#define COPY_LOG_LEN (3 * (uint64_t)NODE_LOG_SEGMENT_LEN) /* between copies of the index */

/* --- homes ------------------------------------------------------------------------------------ */

/* One copy on each file system, or on each drive, as the configuration says. */
static uint64_t domain_of(const struct node *node, const struct node_drive *drive, dev_t device)
{
	return node->config->log_copies > 0 ? (uint64_t)(drive - node->drives) : device;
}

/* The drives that can be read, behind the state directory. What is wrong with the others is told
 * when they are opened. */
static void find_homes(struct node *node)
{
	node->homes[0] = (struct log_home){.disk = node->state_disk.disk};
	node->home_count = 1;
	for (unsigned i = 0; i < node->drive_count; i++) {
		struct node_drive *drive = &node->drives[i];
		struct drive_identity identity;
		struct stat st;
		if (stat(drive->path, &st) != 0 ||
			node_open_disk(node, drive->path, &drive->disk) != ERR_OK ||
			drive_identify(drive->disk.disk, &identity) != ERR_OK ||
			!id_is_equal(identity.cluster, node->identity.cluster))
			continue;
		node->homes[node->home_count++] = (struct log_home){.disk = drive->disk.disk,
			.id = identity.drive,
			.domain = domain_of(node, drive, st.st_dev)};
	}
}
static_assert(STORE_DRIVES_MAX + 1 <= LOG_HOMES_MAX, "every drive is a home");

/* File systems that the drives are on; one that is missing has its own. */
static unsigned count_file_systems(const struct node *node)
{
	unsigned count = 0;
	for (unsigned i = 0; i < node->drive_count; i++) {
		struct stat own, other;
		bool is_first = true;
		if (stat(node->drives[i].path, &own) == 0)
			for (unsigned j = 0; j < i && is_first; j++)
				is_first = stat(node->drives[j].path, &other) != 0 ||
					other.st_dev != own.st_dev;
		count += is_first;
	}
	return count;
}

static unsigned wanted_copies(const struct node *node)
{
	if (node->config->log_copies > 0)
		return node->config->log_copies < node->drive_count ? node->config->log_copies
								    : node->drive_count;
	unsigned count = count_file_systems(node);
	return count >= DRIVES_FOR_THREE ? 3 : count > 1 ? 2 : 1;
}

/* Are the drives that are here on two file systems at least? Only then a mirror begins: where all
 * share one, a drive that is missing now would be in the way of the next start. */
static bool may_mirror(const struct node *node)
{
	for (unsigned i = 2; i < node->home_count; i++)
		if (node->homes[i].domain != node->homes[1].domain)
			return true;
	return false;
}

/* --- the log ---------------------------------------------------------------------------------- */

static enum err refuse_mirror(enum err err, const struct log_mirror_found *found, char *message)
{
	if (err != ERR_QUORUM)
		return node_refuse(
			message, err, "the copies of the log on the drives: %s", err_text(err));
	if (found->older == 0)
		return node_refuse(message, err,
			"no drive that is here has a copy of the index's log; bring the missing "
			"drives back");
	return node_refuse(message, err,
		"the drives that are here have only an older copy of the index's log (set %llu of "
		"%llu); bring the missing drives back, or lose what was written since and go on "
		"with the older one: RUBUS_ACCEPT_OLDER_INDEX=true rubus serve",
		(unsigned long long)found->older, (unsigned long long)found->highest);
}

static enum err open_mirror(struct node *node, char *message)
{
	struct log_mirror_setup setup = {
		.node = node->identity.node,
		.home_count = node->home_count,
		.copies = wanted_copies(node),
		.accepts_older = node->config->accept_older_index,
		.heal_count_max = HEAL_COUNT_MAX,
		.loop = server_loop_base(node->log_loop),
		.worker = worker_threads_worker(node->workers),
		.trace = node->trace,
	};
	memcpy(setup.homes, node->homes, sizeof setup.homes);
	bool may_begin = setup.copies > 1 && !node->cluster && may_mirror(node);
	if (!may_begin && !log_mirror_is_there(node->homes, node->home_count))
		return ERR_OK;
	struct log_mirror_found found;
	enum err err = log_mirror_open(&setup, &found, &node->mirror);
	return err ? refuse_mirror(err, &found, message) : ERR_OK;
}

/* What brings the node back without its state directory. */
static void copy_identity(struct node *node, const struct node_drive *drive)
{
	char message[IDENTITY_MESSAGE_LEN];
	if (drive->disk.disk &&
		identity_copy(node->config->state_dir, drive->path, message) != ERR_OK)
		trace_event(node->trace, TRACE_WARNING, 0, "identity: %s", message);
}

void node_lend_drive(struct node *node, const struct node_drive *drive)
{
	struct stat st;
	struct id id = drive_identity(drive->drive)->drive;
	enum err err = stat(drive->path, &st) == 0 ? ERR_OK : err_from_errno(errno);
	copy_identity(node, drive);
	if (!err && node->mirror) {
		struct log_home home = {.disk = drive->disk.disk,
			.id = id,
			.domain = domain_of(node, drive, st.st_dev)};
		err = log_mirror_add(node->mirror, &home, wanted_copies(node));
	}
	if (!err)
		err = node_archive_lend(
			node, &(struct archive_home){.disk = drive->disk.disk, .drive = id});
	if (err)
		trace_event(node->trace, TRACE_WARNING, 0,
			"drive %s gets no copy of log and archive before the next start: %s",
			drive->path, err_text(err));
}

/* The log of one of several members. The first of a cluster goes on with the log that it had alone.
 */
static enum err open_member(struct node *node, const struct consensus_single_setup *single)
{
	enum err err = node_open_snapshots(node);
	if (err)
		return err;
	struct consensus_raft_setup setup = {.log = single->log,
		.clock = node->clock,
		.peers = node->cluster->consensus_peers,
		.snapshots = index_snapshots_store(node->snapshots),
		.keep_len = NODE_LOG_SEGMENT_LEN,
		.takes_over = node->cluster->is_recovery};
	err = ERR_EXISTS;
	if (!node->identity.is_joined)
		err = consensus_raft_found(&setup);
	if (err == ERR_OK || err == ERR_EXISTS)
		err = consensus_raft_open(&setup, &node->consensus);
	return err;
}

static enum err open_consensus(struct node *node, const struct consensus_single_setup *setup)
{
	return node->cluster ? open_member(node, setup)
			     : consensus_single_open(setup, &node->consensus);
}

/* A log that others have too does not go on without them: what one side accepts the other never
 * sees, and in the end one of them loses it. */
static enum err check_alone(const struct log_setup *log, char *message)
{
	size_t count;
	enum err err = consensus_raft_count(log, &count);
	if (err || count <= 1)
		return err;
	return node_refuse(message, ERR_INVALID,
		"this node is one of a cluster of %zu, and no cluster_address is set; set it to "
		"where the others find it",
		count);
}

static enum err check_and_open(
	struct node *node, const struct consensus_single_setup *setup, char *message)
{
	enum err err = node->cluster ? ERR_OK : check_alone(&setup->log, message);
	return err ? err : open_consensus(node, setup);
}

enum err node_open_log(struct node *node, char *message)
{
	find_homes(node);
	enum err err = open_mirror(node, message);
	if (err)
		return err;
	struct disk *disk = node->mirror ? log_mirror_disk(node->mirror) : node->state_disk.disk;
	struct consensus_single_setup setup = {
		.log = {.disk = disk,
			.state_disk = disk,
			.node = node->identity.node,
			.loop = server_loop_base(node->log_loop),
			.worker = worker_threads_worker(node->workers),
			.random = node->random,
			.trace = node->trace,
			.segment_len = NODE_LOG_SEGMENT_LEN},
		.clock = node->clock,
	};
	err = check_and_open(node, &setup, message);
	uint64_t healed;
	if (err == ERR_CORRUPT && node->mirror &&
		log_mirror_heal(node->mirror, &healed) == ERR_OK && healed > 0)
		err = check_and_open(node, &setup, message);
	if (err && message[0])
		return err;
	if (err)
		return node_refuse(message, err, "the log in %.300s/log: %s",
			node->mirror ? node->drives[0].path : node->config->state_dir,
			err_text(err));
	for (unsigned i = 0; i < node->drive_count; i++)
		copy_identity(node, &node->drives[i]);
	return ERR_OK;
}

/* --- the index's map -------------------------------------------------------------------------- */

static enum err pass_by(void *arg, const struct group *group)
{
	(void)arg;
	(void)group;
	return ERR_OK;
}

static void fill_copies(const struct node *node, struct index_copies_setup *setup)
{
	*setup = (struct index_copies_setup){
		.kv = node->index_kv,
		.mirror = node->mirror,
		.consensus = node->consensus,
		.loop = server_loop_base(node->apply_loop),
		.worker = worker_threads_worker(node->copier),
		.trace = node->trace,
		.node = node->identity.node,
		.log_len_max = COPY_LOG_LEN,
		.accepts_older = node->config->accept_older_index,
	};
	memcpy(setup->homes, node->homes, sizeof setup->homes);
}

/* Can a damaged map be made anew? From a log that has all that ever changed the index, or from a
 * copy. */
static bool can_restore(const struct node *node)
{
	if (node->cluster)
		return false;
	if (!node->mirror)
		return consensus_replay(node->consensus, 0, pass_by, NULL) == ERR_OK;
	struct index_copies_setup setup;
	fill_copies(node, &setup);
	return index_copies_can_restore(&setup);
}

/* What is left of the index, when that is accepted. */
static enum err open_damaged(struct node *node, const char *path, char *message)
{
	uint64_t bad_rows = 0;
	enum err err = ERR_CORRUPT;
	if (node->config->accept_damaged_index)
		err = kv_lmdb_open_damaged(path, NODE_INDEX_MAP_LEN, &bad_rows, &node->index_kv);
	if (!err) {
		trace_event(node->trace, TRACE_ERROR, 0,
			"the index in %.300s has %llu damaged rows, which is accepted: what they "
			"say is lost, the rest is served",
			path, (unsigned long long)bad_rows);
		return ERR_OK;
	}
	return node_refuse(message, err,
		"the index in %.300s is damaged and was not touched, and the log does not reach "
		"back to its beginning, or to an archive on a drive; put back a copy of "
		"%.300s, with its log%s",
		path, node->config->state_dir,
		node->config->accept_damaged_index
			? "; too much is damaged to serve the rest"
			: ", or try accept_damaged_index: true to serve what is left");
}

static enum err set_index_aside(struct node *node, const char *path, char *message)
{
	bool is_whole = can_restore(node);
	if (!is_whole && !node_can_rebuild(node))
		return open_damaged(node, path, message);
	enum err err = kv_lmdb_set_aside(path);
	if (err)
		return err;
	trace_event(node->trace, TRACE_WARNING, 0,
		"the index in %.300s is damaged: it is kept as " KV_LMDB_FILE
		".damaged and made anew from %s; look at the drive below it",
		path, is_whole ? "the log" : "an archive and the log");
	return kv_lmdb_open(path, NODE_INDEX_MAP_LEN, &node->index_kv);
}

/* Makes the index what the drives say, when it is lost or does not fit the log. */
static enum err restore(struct node *node, const char *path, char *message)
{
	struct index_copies_setup setup;
	bool is_restored = false;
	unsigned home = UINT_MAX;
	fill_copies(node, &setup);
	enum err err = index_copies_restore(&setup, &is_restored, &home);
	if (err == ERR_CORRUPT && node_rebuild_index(node, path) == ERR_OK)
		err = ERR_OK;
	if (err)
		return node_refuse(message, err,
			"the index in %.300s does not fit the log on the drives, and no copy of it "
			"does; put back a copy of %.300s: %s",
			path, node->config->state_dir, err_text(err));
	if (is_restored)
		trace_event(node->trace, TRACE_WARNING, 0,
			"the index in %.300s is made anew from %s", path,
			home == UINT_MAX ? "the log" : node->homes[home].disk->path);
	index_copies_init(&node->copies, &setup);
	return ERR_OK;
}

enum err node_open_map(struct node *node, const char *path, char *message)
{
	enum err err = kv_lmdb_open(path, NODE_INDEX_MAP_LEN, &node->index_kv);
	if (err == ERR_CORRUPT)
		err = set_index_aside(node, path, message);
	if (!err && node->mirror && !node->cluster)
		err = restore(node, path, message);
	else if (!err && node_index_is_lost(node)) /* without an archive the index says so */
		err_ignore(node_rebuild_index(node, path));
	if (err && !message[0])
		return node_refuse(message, err, "the index in %.300s: %s", path, err_text(err));
	return err;
}
