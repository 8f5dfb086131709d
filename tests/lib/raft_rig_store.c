/* SPDX-License-Identifier: Apache-2.0 */
/* A state machine that can be moved: its bytes are the hashes of the ledger. */
#include "tests/lib/raft_rig.h"
#include "tests/lib/test.h"

enum { EXPORT_COUNT_MAX = 50 };

static struct rig_member *member_of_store(struct snapshot_store *store)
{
	return CONTAINER_OF(store, struct rig_member, store);
}

static void op_done_run(struct task *task)
{
	struct snapshot_op *op = CONTAINER_OF(task, struct snapshot_op, task);
	op->done(op);
}

static void op_later(void *arg)
{
	struct snapshot_op *op = arg;
	op->task = (struct task){.run = op_done_run};
	loop_post(op->loop, &op->task);
}

static void end_op(struct rig_member *member, struct snapshot_op *op, enum err err)
{
	op->err = err;
	uint64_t ns = sim_random_below(member->rig->sim, 20000000);
	sim_later(member->rig->sim, member->node, ns, op_later, NULL, op);
}

static void export_open(struct snapshot_store *store, struct snapshot_op *op)
{
	struct rig_member *member = member_of_store(store);
	RIG_ASSERT(member->rig, !member->is_exporting);
	member->is_exporting = true;
	member->export_index = op->index = member->applied;
	member->export_at = 0;
	end_op(member, op, ERR_OK);
}

static void export_read(struct snapshot_store *store, struct snapshot_op *op)
{
	struct rig_member *member = member_of_store(store);
	RIG_ASSERT(member->rig, member->is_exporting);
	uint64_t count = member->export_index - member->export_at;
	if (count > EXPORT_COUNT_MAX)
		count = EXPORT_COUNT_MAX;
	for (uint64_t i = 0; i < count; i++)
		put_le64(op->buf + 8 * i, member->rig->ledger[++member->export_at].hash);
	op->len = 8 * count;
	end_op(member, op, ERR_OK);
}

static void export_close(struct snapshot_store *store)
{
	struct rig_member *member = member_of_store(store);
	RIG_ASSERT(member->rig, member->is_exporting);
	member->is_exporting = false;
}

static void import_begin(struct snapshot_store *store, struct snapshot_op *op)
{
	struct rig_member *member = member_of_store(store);
	RIG_ASSERT(member->rig, !member->is_importing);
	member->is_importing = true;
	member->import_index = op->index;
	member->import_at = 0;
	end_op(member, op, ERR_OK);
}

static void import_write(struct snapshot_store *store, struct snapshot_op *op)
{
	struct rig_member *member = member_of_store(store);
	RIG_ASSERT(member->rig, member->is_importing && op->len % 8 == 0);
	for (size_t i = 0; i < op->len / 8; i++)
		RIG_ASSERT(member->rig,
			get_le64(op->buf + 8 * i) == member->rig->ledger[++member->import_at].hash);
	end_op(member, op, ERR_OK);
}

static void import_finish(struct snapshot_store *store, struct snapshot_op *op)
{
	struct rig_member *member = member_of_store(store);
	RIG_ASSERT(member->rig, member->import_at == member->import_index);
	end_op(member, op, ERR_OK);
}

static void import_install(struct snapshot_store *store, struct snapshot_op *op)
{
	struct rig_member *member = member_of_store(store);
	RIG_ASSERT(member->rig, member->is_importing && op->index == member->import_index);
	RIG_ASSERT(member->rig, !member->held && op->index > member->applied);
	member->is_importing = false;
	member->applied = member->durable = op->index;
	member->time_ms = member->rig->ledger[op->index].time_ms;
	member->rig->installs++;
	end_op(member, op, ERR_OK);
}

static void import_drop(struct snapshot_store *store)
{
	member_of_store(store)->is_importing = false;
}

const struct snapshot_store_ops raft_rig_store_ops = {
	.open = export_open,
	.read = export_read,
	.close = export_close,
	.begin = import_begin,
	.write = import_write,
	.finish = import_finish,
	.install = import_install,
	.drop = import_drop,
};
