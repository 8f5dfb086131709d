/* SPDX-License-Identifier: Apache-2.0 */
/* The mirrored log of a simulated node, opened as server/node_log.c does it. */
#include <assert.h>
#include <string.h>

#include "tests/lib/sim_store.h"

enum {
	LOG_SEGMENT_LEN = SIM_STORE_LOG_LEN / 2,
	ANSWER_MS = 300,
	LOG_BETWEEN_COPIES = SIM_STORE_LOG_LEN
};

struct log_setup sim_store_log_setup(struct sim_store *rig)
{
	return (struct log_setup){
		.disk = sim_disk_base(rig->state),
		.state_disk = sim_disk_base(rig->state),
		.node = rig->options.node_id,
		.loop = rig->log_loop,
		.worker = sim_node_worker(rig->node),
		.random = sim_node_random(rig->node),
		.trace = sim_node_trace(rig->node),
		.segment_len = LOG_SEGMENT_LEN,
	};
}

static enum err open_mirror(struct sim_store *rig)
{
	rig->homes[0] = (struct log_home){.disk = sim_disk_base(rig->state)};
	for (unsigned i = 0; i < rig->options.drive_count; i++)
		rig->homes[1 + i] = (struct log_home){
			sim_disk_base(rig->drives[i].disk), rig->drives[i].id, i};
	unsigned late = rig->options.late_copies;
	struct log_mirror_setup setup = {
		.node = rig->options.node_id,
		.home_count = 1 + rig->options.drive_count - (late > 0),
		.copies = late > 0 ? late : rig->options.log_copies,
		.accepts_older = rig->options.accepts_older,
		.heal_count_max = rig->options.heal_count_max,
		.answer_ms = ANSWER_MS,
		.loop = rig->log_loop,
		.worker = sim_node_worker(rig->node),
		.trace = sim_node_trace(rig->node),
	};
	memcpy(setup.homes, rig->homes, sizeof setup.homes);
	return log_mirror_open(&setup, &rig->found, &rig->mirror);
}

enum err sim_store_open_consensus(struct sim_store *rig)
{
	if (rig->options.watch)
		return sim_store_open_raft(rig);
	if (rig->options.order) {
		rig->consensus = sim_order_open(rig->options.order, rig->node, rig->apply_loop);
		return ERR_OK;
	}
	struct consensus_single_setup single = {
		.log = sim_store_log_setup(rig), .clock = sim_node_clock(rig->node)};
	if (rig->options.log_copies > 0) {
		enum err err = open_mirror(rig);
		if (err != ERR_OK)
			return err;
		single.log.disk = single.log.state_disk = log_mirror_disk(rig->mirror);
	}
	uint64_t healed;
	enum err err = consensus_single_open(&single, &rig->consensus);
	if (err == ERR_CORRUPT && rig->mirror && log_mirror_heal(rig->mirror, &healed) == ERR_OK &&
		healed > 0) {
		rig->found.healed += healed;
		err = consensus_single_open(&single, &rig->consensus);
	}
	return err;
}

void sim_store_committed(void *arg, uint64_t log_index)
{
	struct sim_store *rig = arg;
	index_copies_committed(&rig->life->copies, log_index);
}

enum err sim_store_restore_index(struct sim_store *rig)
{
	struct index_copies_setup setup = {
		.kv = rig->kv,
		.mirror = rig->mirror,
		.consensus = rig->consensus,
		.loop = rig->apply_loop,
		.worker = sim_node_worker(rig->node),
		.trace = sim_node_trace(rig->node),
		.node = rig->options.node_id,
		.log_len_max = LOG_BETWEEN_COPIES,
		.accepts_older = rig->options.accepts_older,
	};
	memcpy(setup.homes, rig->homes, sizeof setup.homes);
	enum err err = index_copies_restore(&setup, &rig->is_restored, &rig->restored_home);
	if (err == ERR_OK)
		index_copies_init(&rig->life->copies, &setup);
	return err;
}

void sim_store_lend_late(struct sim_store *rig)
{
	rig->options.late_copies = 0;
	enum err err = log_mirror_add(
		rig->mirror, &rig->homes[rig->options.drive_count], rig->options.log_copies);
	assert(err == ERR_OK);
}

void sim_store_lose_state(struct sim_store *rig)
{
	assert(!rig->life);
	sim_kv_free(rig->index_kv);
	sim_disk_free(rig->state);
	rig->state = sim_disk_new(rig->node, "state", 0);
	rig->index_kv = sim_kv_new(rig->node, 0);
	if (rig->options.watch) {
		rig->options.is_founder = false;
		sim_store_found(rig);
	}
}
