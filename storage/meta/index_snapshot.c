/* SPDX-License-Identifier: Apache-2.0 */
/* From the seam to a worker and back: nothing here blocks a loop but dropping a stage. */
#include "storage/meta/index_snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "storage/meta/index_snapshot_priv.h"

#define SNAPSHOTS_MAGIC 0x736e6170u

/* One operation on its way; there is one for the export and one for the import (T3). */
struct snapshot_job {
	struct index_snapshots *snapshots;
	struct work work;
	struct snapshot_op *op; /* NULL: none is on */
	enum err (*run)(struct index_snapshots *snapshots, struct snapshot_op *op);
};

struct index_snapshots {
	uint32_t magic;
	struct snapshot_store store;
	struct index_snapshots_setup setup;
	struct snapshot_export export;
	struct snapshot_import import;
	struct snapshot_job export_job, import_job;
	_Atomic bool has_installed;
};

static struct index_snapshots *snapshots_of(struct snapshot_store *store)
{
	struct index_snapshots *snapshots = CONTAINER_OF(store, struct index_snapshots, store);
	assert(snapshots->magic == SNAPSHOTS_MAGIC);
	return snapshots;
}

/* --- on a worker ------------------------------------------------------------------------------ */

static void job_run(struct work *work)
{
	struct snapshot_job *job = CONTAINER_OF(work, struct snapshot_job, work);
	job->op->err = job->run(job->snapshots, job->op);
}

static void job_done(struct work *work)
{
	struct snapshot_job *job = CONTAINER_OF(work, struct snapshot_job, work);
	struct snapshot_op *op = job->op;
	job->op = NULL;
	op->done(op);
}

static void start(struct snapshot_job *job, struct snapshot_op *op,
	enum err (*run)(struct index_snapshots *snapshots, struct snapshot_op *op))
{
	assert(!job->op && op->loop && op->done);
	job->op = op;
	job->run = run;
	job->work = (struct work){.run = job_run, .done = job_done, .loop = op->loop};
	worker_submit(job->snapshots->setup.worker, &job->work);
}

static enum err run_open(struct index_snapshots *snapshots, struct snapshot_op *op)
{
	return snapshot_export_open(&snapshots->export, &op->index);
}

static enum err run_read(struct index_snapshots *snapshots, struct snapshot_op *op)
{
	enum err err = snapshot_export_read(&snapshots->export, op->buf, &op->len);
	if (err != ERR_OK)
		trace_event(snapshots->setup.trace, TRACE_WARNING, 0,
			"a snapshot for another member ended early: %s", err_text(err));
	return err;
}

/* Says why, once for each snapshot. */
static enum err refuse(struct index_snapshots *snapshots, enum err err)
{
	if (err != ERR_OK)
		trace_event(snapshots->setup.trace, TRACE_WARNING, 0,
			"a snapshot from another member was not taken: %s", err_text(err));
	return err;
}

static enum err run_begin(struct index_snapshots *snapshots, struct snapshot_op *op)
{
	trace_event(snapshots->setup.trace, TRACE_INFO, 0,
		"a snapshot of the index at %llu comes from another member",
		(unsigned long long)op->index);
	return refuse(snapshots, snapshot_import_begin(&snapshots->import));
}

static enum err run_write(struct index_snapshots *snapshots, struct snapshot_op *op)
{
	struct bytes frame = bytes_make(op->buf, op->len);
	return refuse(snapshots, snapshot_import_write(&snapshots->import, frame));
}

static enum err run_finish(struct index_snapshots *snapshots, struct snapshot_op *op)
{
	return refuse(snapshots, snapshot_import_finish(&snapshots->import, op->index));
}

static enum err run_install(struct index_snapshots *snapshots, struct snapshot_op *op)
{
	enum err err = snapshot_import_install(&snapshots->import);
	if (err != ERR_OK)
		return refuse(snapshots, err);
	trace_event(snapshots->setup.trace, TRACE_INFO, 0,
		"the index is replaced by the snapshot at %llu; all is opened anew",
		(unsigned long long)op->index);
	atomic_store(&snapshots->has_installed, true);
	return ERR_CANCELED; /* (Z3) */
}

/* --- the seam --------------------------------------------------------------------------------- */

static void store_open(struct snapshot_store *store, struct snapshot_op *op)
{
	struct index_snapshots *snapshots = snapshots_of(store);
	assert(snapshots->export.index);
	start(&snapshots->export_job, op, run_open);
}

static void store_read(struct snapshot_store *store, struct snapshot_op *op)
{
	start(&snapshots_of(store)->export_job, op, run_read);
}

static void store_close(struct snapshot_store *store)
{
	struct index_snapshots *snapshots = snapshots_of(store);
	assert(!snapshots->export_job.op);
	snapshot_export_close(&snapshots->export);
}

static void store_begin(struct snapshot_store *store, struct snapshot_op *op)
{
	start(&snapshots_of(store)->import_job, op, run_begin);
}

static void store_write(struct snapshot_store *store, struct snapshot_op *op)
{
	start(&snapshots_of(store)->import_job, op, run_write);
}

static void store_finish(struct snapshot_store *store, struct snapshot_op *op)
{
	start(&snapshots_of(store)->import_job, op, run_finish);
}

static void store_install(struct snapshot_store *store, struct snapshot_op *op)
{
	start(&snapshots_of(store)->import_job, op, run_install);
}

static void store_drop(struct snapshot_store *store)
{
	struct index_snapshots *snapshots = snapshots_of(store);
	assert(!snapshots->import_job.op);
	snapshot_import_drop(&snapshots->import);
}

static const struct snapshot_store_ops store_ops = {
	.open = store_open,
	.read = store_read,
	.close = store_close,
	.begin = store_begin,
	.write = store_write,
	.finish = store_finish,
	.install = store_install,
	.drop = store_drop,
};

enum err index_snapshots_new(
	const struct index_snapshots_setup *setup, struct index_snapshots **ret_snapshots)
{
	assert(setup->stage && setup->worker);
	struct index_snapshots *snapshots = calloc(1, sizeof *snapshots);
	if (!snapshots)
		return ERR_NO_MEMORY;
	snapshots->magic = SNAPSHOTS_MAGIC;
	snapshots->store.ops = &store_ops;
	snapshots->setup = *setup;
	snapshots->import.stage = setup->stage;
	snapshots->export_job.snapshots = snapshots;
	snapshots->import_job.snapshots = snapshots;
	*ret_snapshots = snapshots;
	return ERR_OK;
}

void index_snapshots_attach(struct index_snapshots *snapshots, struct kv *kv, struct index *index)
{
	assert(snapshots->magic == SNAPSHOTS_MAGIC && kv && index);
	snapshots->export.kv = kv;
	snapshots->export.index = index;
}

struct snapshot_store *index_snapshots_store(struct index_snapshots *snapshots)
{
	return &snapshots->store;
}

bool index_snapshots_have_installed(const struct index_snapshots *snapshots)
{
	return atomic_load(&snapshots->has_installed);
}

void index_snapshots_free(struct index_snapshots *snapshots)
{
	if (!snapshots)
		return;
	assert(snapshots->magic == SNAPSHOTS_MAGIC);
	assert(!snapshots->export_job.op && !snapshots->import_job.op);
	snapshot_export_close(&snapshots->export);
	snapshot_import_drop(&snapshots->import);
	snapshots->magic = 0;
	free(snapshots);
}
