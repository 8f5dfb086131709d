/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_drive.h"

#include <stdlib.h>

#include "erasure/checksum.h"
#include "tests/lib/test.h"

const struct id sim_drive_cluster = {{0xc1}};

void sim_drive_init(struct sim_drive *rig, uint64_t seed, uint64_t capacity,
	const struct drive_settings *settings)
{
	memset(rig, 0, sizeof *rig);
	rig->sim = sim_new(seed);
	rig->node = sim_node_new(rig->sim, "node");
	for (size_t i = 0; i < SIM_DRIVE_LOOPS; i++)
		rig->loops[i] = sim_node_loop(rig->node);
	rig->disk = sim_disk_new(rig->node, "disk", capacity);
	rig->kv = sim_kv_new(rig->node, 0);
	rig->settings = *settings;
	struct drive_identity identity = {
		.cluster = sim_drive_cluster, .drive = {{0xd1}}, .node = {{0xe1}}};
	ck_assert_ok(drive_format(sim_disk_base(rig->disk), &identity, settings));
}

void sim_drive_fini(struct sim_drive *rig)
{
	if (rig->drive)
		sim_drive_kill(rig, false);
	sim_kv_free(rig->kv);
	sim_disk_free(rig->disk);
	sim_free(rig->sim);
}

static void on_fenced(struct drive *drive, enum err err, void *arg)
{
	(void)drive;
	struct sim_drive *rig = arg;
	rig->fenced_count++;
	rig->fenced_err = err;
}

enum err sim_drive_open(struct sim_drive *rig)
{
	rig->fenced_count = 0;
	rig->is_stopped = false;
	rig->open_kv = sim_kv_open(rig->kv);
	struct drive_setup setup = {
		.disk = sim_disk_base(rig->disk),
		.locations = rig->open_kv,
		.owner = rig->loops[0],
		.committer = rig->loops[1],
		.worker = sim_node_worker(rig->node),
		.clock = sim_node_clock(rig->node),
		.random = sim_node_random(rig->node),
		.trace = sim_node_trace(rig->node),
		.settings = rig->settings,
		.fenced = on_fenced,
		.fenced_arg = rig,
	};
	enum err err = drive_open(&setup, sim_drive_cluster, &rig->drive);
	if (err != ERR_OK)
		kv_close(rig->open_kv);
	return err;
}

static void stopped(void *arg)
{
	struct sim_drive *rig = arg;
	rig->is_stopped = true;
}

static void stop(void *arg)
{
	struct sim_drive *rig = arg;
	drive_stop(rig->drive, stopped, rig);
}

static bool is_stopped(void *arg)
{
	struct sim_drive *rig = arg;
	return rig->is_stopped;
}

void sim_drive_close(struct sim_drive *rig)
{
	sim_call(rig->sim, rig->loops[0], stop, rig);
	ck_assert(sim_run_until(rig->sim, is_stopped, rig, 60000));
	drive_close(rig->drive);
	kv_close(rig->open_kv);
	rig->drive = NULL;
}

void sim_drive_kill(struct sim_drive *rig, bool power)
{
	sim_node_kill(rig->node);
	sim_bury(rig->drive);
	rig->drive = NULL;
	if (power)
		sim_disk_crash(rig->disk);
}

void sim_drive_fill(struct extent_id extent, uint8_t index, uint64_t offset, void *buf, size_t len)
{
	uint64_t state = extent.session * 1000003 + extent.counter * 257 + index + (offset << 20);
	test_random_fill(&state, buf, len);
}

/* --- jobs ------------------------------------------------------------------------------------- */

/* Fills in steps of 4 KiB, so that any range can be checked. */
static void fill(const struct drive_job *job, uint64_t offset, uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i += 4096)
		sim_drive_fill(job->extent, job->index, offset + i, buf + i, 4096);
}

static void end(struct drive_job *job, enum err err)
{
	job->err = err;
	job->is_done = true;
	if (job->done)
		job->done(job);
}

static void write_on(struct drive_job *job);

static void appended(struct shard_append *append, enum err err)
{
	struct drive_job *job = CONTAINER_OF(append->write, struct drive_job, write);
	job->is_busy[append - job->appends] = false;
	job->in_flight--;
	if (err != ERR_OK)
		job->err = err;
	write_on(job);
}

static void append_next(struct drive_job *job, unsigned i)
{
	uint64_t left = job->len - job->written;
	size_t len = left < job->piece_len ? left : job->piece_len;
	fill(job, job->written, job->bufs[i], len);
	uint64_t sums[256];
	checksum_blocks(job->bufs[i], len, shard_checksum_seed(job->extent, job->index),
		job->written / BLOCK_LEN, sums);
	job->appends[i].done = appended;
	job->is_busy[i] = true;
	job->in_flight++;
	job->written += len;
	size_t count = checksum_block_count(len);
	shard_write_append(&job->write, &job->appends[i], job->bufs[i], len, sums, count);
}

static void write_on(struct drive_job *job)
{
	bool gives_up = job->err != ERR_OK || (job->abort_at > 0 && job->written >= job->abort_at);
	if (gives_up) {
		if (job->in_flight > 0)
			return;
		job->is_aborted = true;
		shard_write_abort(&job->write);
		end(job, job->err != ERR_OK ? job->err : ERR_CANCELED);
		return;
	}
	for (unsigned i = 0; i < job->depth && job->written < job->len; i++) {
		if (job->hold_at > 0 && job->written >= job->hold_at)
			return;
		if (!job->is_busy[i])
			append_next(job, i);
	}
	if (job->in_flight == 0 && job->written == job->len)
		shard_write_seal(&job->write);
}

static void on_ready(struct shard_write *write, enum err err)
{
	struct drive_job *job = CONTAINER_OF(write, struct drive_job, write);
	if (err != ERR_OK)
		end(job, err);
	else
		write_on(job);
}

static void on_sealed(struct shard_write *write, enum err err)
{
	end(CONTAINER_OF(write, struct drive_job, write), err);
}

static void start_write(struct drive_job *job)
{
	for (unsigned i = 0; i < job->depth; i++) {
		job->bufs[i] = aligned_alloc(4096, job->piece_len);
		ck_assert_ptr_nonnull(job->bufs[i]);
	}
	job->write.loop = job->loop;
	job->write.ready = on_ready;
	job->write.sealed = on_sealed;
	struct shard_info info = {
		.extent = job->extent,
		.index = job->index,
		.k = 2,
		.m = 1,
		.unit_len = 64 << 10,
		.extent_len = job->len,
		.shard_len = job->len,
		.hint = bytes_of("bucket/key"),
	};
	enum err err = shard_write_open(&job->write, job->rig->drive, &info);
	if (err == ERR_OK)
		write_on(job);
	else if (err != ERR_BUSY)
		end(job, err);
}

static void on_read(struct shard_read *read, enum err err)
{
	struct drive_job *job = CONTAINER_OF(read, struct drive_job, read);
	if (err == ERR_OK) {
		uint8_t *expected = aligned_alloc(4096, job->len);
		ck_assert_ptr_nonnull(expected);
		fill(job, job->start, expected, job->len);
		job->is_wrong = memcmp(expected, job->bufs[0], job->len) != 0;
		free(expected);
	}
	shard_read_fini(read);
	end(job, err);
}

static void start_read(struct drive_job *job)
{
	job->bufs[0] = aligned_alloc(4096, job->len);
	ck_assert_ptr_nonnull(job->bufs[0]);
	shard_read_init(&job->read, job->loop, job->rig->drive, job->extent, job->index);
	job->read.done = on_read;
	shard_read_start(&job->read, job->start, job->len, job->bufs[0], job->is_cached);
}

static void on_freed(struct shard_free *free, enum err err)
{
	end(CONTAINER_OF(free, struct drive_job, free), err);
}

static void start_free(struct drive_job *job)
{
	job->free.loop = job->loop;
	job->free.done = on_freed;
	job->free.drive = job->rig->drive;
	job->free.extent = job->extent;
	job->free.index = job->index;
	shard_free_start(&job->free);
}

static void start_task(struct task *task)
{
	struct drive_job *job = CONTAINER_OF(task, struct drive_job, task);
	if (job->kind == JOB_WRITE)
		start_write(job);
	else if (job->kind == JOB_READ)
		start_read(job);
	else
		start_free(job);
}

void drive_job_start(struct drive_job *job)
{
	assert(job->depth <= JOB_DEPTH_MAX);
	job->task.run = start_task;
	loop_post(job->loop, &job->task);
}

static void go_on_task(struct task *task)
{
	struct drive_job *job = CONTAINER_OF(task, struct drive_job, task);
	job->hold_at = 0;
	write_on(job);
}

void drive_job_go_on(struct drive_job *job)
{
	assert(job->hold_at > 0 && job->in_flight == 0);
	job->task.run = go_on_task;
	loop_post(job->loop, &job->task);
}

void drive_job_fini(struct drive_job *job)
{
	for (unsigned i = 0; i < JOB_DEPTH_MAX; i++)
		free(job->bufs[i]);
	for (size_t i = 0; i < ARRAY_COUNT(job->write.heads); i++) {
		if (!job->is_done && job->kind == JOB_WRITE)
			free(job->write.heads[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(job->read.heads); i++) {
		if (!job->is_done && job->kind == JOB_READ)
			free(job->read.heads[i]);
	}
}

static bool job_is_done(void *arg)
{
	struct drive_job *job = arg;
	return job->is_done;
}

static enum err run(struct drive_job *job)
{
	drive_job_start(job);
	if (!sim_run_until(job->rig->sim, job_is_done, job, 60000))
		ck_abort_msg("a job did not end");
	drive_job_fini(job);
	return job->err;
}

enum err sim_drive_write(
	struct sim_drive *rig, struct extent_id extent, uint8_t index, uint64_t len)
{
	struct drive_job job = {
		.rig = rig,
		.loop = rig->loops[2],
		.kind = JOB_WRITE,
		.extent = extent,
		.index = index,
		.len = len,
		.piece_len = 64 << 10,
		.depth = 2,
	};
	return run(&job);
}

enum err sim_drive_read(struct sim_drive *rig, struct extent_id extent, uint8_t index,
	uint64_t start, uint64_t len, bool is_cached)
{
	struct drive_job job = {
		.rig = rig,
		.loop = rig->loops[3],
		.kind = JOB_READ,
		.extent = extent,
		.index = index,
		.start = start,
		.len = len,
		.is_cached = is_cached,
	};
	enum err err = run(&job);
	return job.is_wrong ? ERR_COUNT : err;
}

enum err sim_drive_free(struct sim_drive *rig, struct extent_id extent, uint8_t index)
{
	struct drive_job job = {
		.rig = rig,
		.loop = rig->loops[2],
		.kind = JOB_FREE,
		.extent = extent,
		.index = index,
	};
	return run(&job);
}
