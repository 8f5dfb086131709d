/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated node that is a member of a group: its consensus, and the place where an index that
 * another member sends is staged. */
#include "storage/meta/consensus_raft.h"
#include "tests/lib/sim_store.h"
#include "tests/lib/test.h"

static struct sim_store *rig_of(struct snapshot_stage *stage)
{
	return CONTAINER_OF(stage, struct sim_store, stage);
}

static void stage_drop(struct snapshot_stage *stage)
{
	struct sim_store *rig = rig_of(stage);
	sim_kv_free(rig->staged);
	rig->staged = NULL;
}

static enum err stage_open(struct snapshot_stage *stage, struct kv **ret_kv)
{
	struct sim_store *rig = rig_of(stage);
	stage_drop(stage);
	rig->staged = sim_kv_new(rig->node, 0);
	*ret_kv = sim_kv_open(rig->staged);
	return ERR_OK;
}

static enum err stage_install(struct snapshot_stage *stage)
{
	struct sim_store *rig = rig_of(stage);
	ck_assert_ptr_nonnull(rig->staged);
	ck_assert_ptr_null(rig->replaced); /* whoever installs starts anew */
	rig->replaced = rig->index_kv;
	rig->index_kv = rig->staged;
	rig->staged = NULL;
	rig->installs++;
	return ERR_OK;
}

static struct consensus_raft_setup setup_of(struct sim_store *rig)
{
	return (struct consensus_raft_setup){
		.log = sim_store_log_setup(rig),
		.clock = sim_node_clock(rig->node),
		.peers = rig->log_peers,
		.snapshots = rig->snapshots ? index_snapshots_store(rig->snapshots) : NULL,
		.keep_len = rig->options.log_keep_len,
	};
}

void sim_store_found(struct sim_store *rig)
{
	struct log_setup log = sim_store_log_setup(rig);
	ck_assert_ok(log_create(&log));
	struct consensus_raft_setup setup = setup_of(rig);
	if (rig->options.watch && rig->options.is_founder)
		ck_assert_ok(consensus_raft_found(&setup));
}

enum err sim_store_open_raft(struct sim_store *rig)
{
	rig->stage = (struct snapshot_stage){stage_open, stage_install, stage_drop};
	struct index_snapshots_setup snapshots = {.stage = &rig->stage,
		.worker = sim_node_worker(rig->node),
		.trace = sim_node_trace(rig->node)};
	enum err err = index_snapshots_new(&snapshots, &rig->snapshots);
	if (err != ERR_OK)
		return err;
	struct consensus_raft_setup setup = setup_of(rig);
	err = consensus_raft_open(&setup, &rig->raft);
	if (err == ERR_OK)
		rig->consensus = sim_watch_open(rig->options.watch, rig->raft);
	return err;
}

void sim_store_attach_raft(struct sim_store *rig)
{
	index_snapshots_attach(rig->snapshots, rig->kv, rig->index);
	sim_watch_attach(rig->consensus, rig->index);
}

/* What is staged does not outlive the process, and what it replaced has no name. */
static void clear(struct sim_store *rig)
{
	sim_kv_free(rig->staged);
	sim_kv_free(rig->replaced);
	rig->staged = rig->replaced = NULL;
}

void sim_store_close_raft(struct sim_store *rig)
{
	index_snapshots_free(rig->snapshots);
	sim_kv_free(rig->staged);
	rig->staged = NULL;
}

void sim_store_bury_raft(struct sim_store *rig)
{
	sim_bury(rig->raft);
	sim_bury(rig->snapshots);
	clear(rig);
}
