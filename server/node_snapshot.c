/* SPDX-License-Identifier: Apache-2.0 */
/* Where an index that another member sends is staged: in "index.next" beside "index". It takes the
 * place of the index with one rename of the one file that a map is, so whatever ends the process
 * leaves the one or the other; the file that is still open goes on without a name. */
#include <string.h>

#include "server/node_priv.h"
#include "storage/kv_lmdb.h"

#define STAGE_NAME "index.next"
#define STAGE_FILE STAGE_NAME "/" KV_LMDB_FILE
#define INDEX_FILE "index/" KV_LMDB_FILE

static enum err remove_file(struct disk *disk, const char *name)
{
	enum err err = disk_remove(disk, name);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err clear(struct node *node)
{
	static const char *const names[] = {STAGE_FILE, STAGE_FILE "-lock", STAGE_NAME "/suspect"};
	enum err err = ERR_OK;
	for (size_t i = 0; !err && i < sizeof names / sizeof *names; i++)
		err = remove_file(node->state_disk.disk, names[i]);
	return err;
}

static enum err stage_open(struct snapshot_stage *stage, struct kv **ret_kv)
{
	struct node *node = CONTAINER_OF(stage, struct node, stage);
	char path[IDENTITY_PATH_LEN];
	enum err err = identity_path(node->config->state_dir, STAGE_NAME, path);
	if (!err)
		err = clear(node);
	return err ? err : kv_lmdb_open(path, NODE_INDEX_MAP_LEN, ret_kv);
}

static enum err stage_install(struct snapshot_stage *stage)
{
	struct node *node = CONTAINER_OF(stage, struct node, stage);
	enum err err = disk_rename(node->state_disk.disk, STAGE_FILE, INDEX_FILE);
	return err ? err : disk_sync_dir(node->state_disk.disk);
}

static void stage_drop(struct snapshot_stage *stage)
{
	/* What cannot be removed now is removed before the next is staged, or with the next start.
	 */
	err_ignore(clear(CONTAINER_OF(stage, struct node, stage)));
}

enum err node_open_snapshots(struct node *node)
{
	enum err err = clear(node); /* of a life that ended while it staged */
	if (err)
		return err;
	node->stage = (struct snapshot_stage){
		.open = stage_open, .install = stage_install, .drop = stage_drop};
	struct index_snapshots_setup setup = {
		.stage = &node->stage,
		.worker = worker_threads_worker(node->workers),
		.trace = node->trace,
	};
	return index_snapshots_new(&setup, &node->snapshots);
}
