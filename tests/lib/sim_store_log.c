/* SPDX-License-Identifier: Apache-2.0 */
/* The mirrored log of a simulated node, opened as server/node_log.c does it. */
#include <assert.h>
#include <string.h>

#include "tests/lib/sim_store.h"

enum { ANSWER_MS = 300, LOG_BETWEEN_COPIES = SIM_STORE_LOG_LEN };

enum err sim_store_open_mirror(struct sim_store *rig)
{
	rig->homes[0] = (struct log_home){.disk = sim_disk_base(rig->state)};
	for (unsigned i = 0; i < rig->options.drive_count; i++)
		rig->homes[1 + i] = (struct log_home){
			sim_disk_base(rig->drives[i].disk), rig->drives[i].id, i};
	struct log_mirror_setup setup = {
		.node = rig->options.node_id,
		.home_count = 1 + rig->options.drive_count,
		.copies = rig->options.log_copies,
		.accepts_older = rig->options.accepts_older,
		.answer_ms = ANSWER_MS,
		.loop = rig->log_loop,
		.worker = sim_node_worker(rig->node),
		.trace = sim_node_trace(rig->node),
	};
	memcpy(setup.homes, rig->homes, sizeof setup.homes);
	return log_mirror_open(&setup, &rig->found, &rig->mirror);
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

void sim_store_lose_state(struct sim_store *rig)
{
	assert(!rig->life);
	sim_kv_free(rig->index_kv);
	sim_disk_free(rig->state);
	rig->state = sim_disk_new(rig->node, "state", 0);
	rig->index_kv = sim_kv_new(rig->node, 0);
}
