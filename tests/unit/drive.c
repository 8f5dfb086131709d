/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive.h"

#include <stdlib.h>

#include "tests/lib/sim_drive.h"
#include "tests/lib/test.h"

static const struct drive_settings small = {
	.segment_len = 1 << 20,
	.commit_ms = 50,
	.max_uncommitted = 64,
	.compact_percent = 25,
	.reserve_len = 256 << 10,
};

static struct extent_id extent(uint64_t counter)
{
	return (struct extent_id){3, counter};
}

static void open_new(struct sim_drive *rig, const struct drive_settings *settings)
{
	sim_drive_init(rig, 1, 0, settings);
	ck_assert_ok(sim_drive_open(rig));
}

static void reopen(struct sim_drive *rig)
{
	ck_assert_ok(sim_drive_open(rig));
}

static size_t count_listed(struct sim_drive *rig, uint64_t *ret_len)
{
	struct shard_entry entries[512];
	size_t count;
	ck_assert_ok(drive_list(rig->drive, (struct extent_id){0, 0}, 0, entries, 512, &count));
	uint64_t len = 0;
	for (size_t i = 0; i < count; i++)
		len += entries[i].record_len;
	if (ret_len)
		*ret_len = len;
	return count;
}

static struct drive_counters counters(struct sim_drive *rig)
{
	struct drive_counters result;
	drive_counters(rig->drive, &result);
	return result;
}

START_TEST(a_shard_is_read_back)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	ck_assert_ok(sim_drive_write(&rig, extent(1), 0, 300 << 10));
	ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 0, 300 << 10, false));
	ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 0, 300 << 10, true));
	ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 64 << 10, 16 << 10, false));
	ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 288 << 10, 12 << 10, false));
	ck_assert_err(sim_drive_read(&rig, extent(1), 1, 0, 4096, false), ERR_NOT_FOUND);
	ck_assert_err(sim_drive_read(&rig, extent(2), 0, 0, 4096, false), ERR_NOT_FOUND);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_range_that_the_shard_has_not_is_refused)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	ck_assert_ok(sim_drive_write(&rig, extent(1), 0, 40 << 10));
	ck_assert_err(sim_drive_read(&rig, extent(1), 0, 0, 48 << 10, false), ERR_CORRUPT);
	ck_assert_err(sim_drive_read(&rig, extent(1), 0, 48 << 10, 16 << 10, false), ERR_CORRUPT);
	ck_assert_err(sim_drive_read(&rig, extent(1), 0, 4096, 4096, false), ERR_CORRUPT);
	ck_assert_err(sim_drive_read(&rig, extent(1), 0, 0, 4096, false), ERR_CORRUPT);
	ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 32 << 10, 8 << 10, false));
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_shard_with_several_checksum_blocks_is_read_back)
{
	struct drive_settings settings = small;
	settings.segment_len = 16 << 20;
	struct sim_drive rig;
	open_new(&rig, &settings);
	uint64_t len = (14 << 20) + 4096;
	struct drive_job job = {
		.rig = &rig,
		.loop = rig.loops[2],
		.kind = JOB_WRITE,
		.extent = extent(1),
		.len = len,
		.piece_len = 1 << 20,
		.depth = 4,
	};
	drive_job_start(&job);
	sim_run_ms(rig.sim, 5000);
	ck_assert(job.is_done);
	ck_assert_ok(job.err);
	drive_job_fini(&job);
	ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 0, 1 << 20, false));
	ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 4 << 20, 9 << 20, false));
	ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 12 << 20, (2 << 20) + 4096, false));
	sim_drive_close(&rig);
	reopen(&rig);
	ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 12 << 20, 16 << 10, false));
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(seals_that_come_together_share_a_flush)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	ck_assert_ok(sim_drive_write(&rig, extent(1), 0, 4096));
	enum { JOBS = 40 };
	struct drive_job *jobs = calloc(JOBS, sizeof jobs[0]);
	uint64_t before = counters(&rig).flushes;
	for (size_t i = 0; i < JOBS; i++) {
		jobs[i] = (struct drive_job){
			.rig = &rig,
			.loop = rig.loops[2 + i % 2],
			.kind = JOB_WRITE,
			.extent = extent(100 + i),
			.len = 4096,
			.piece_len = 16 << 10,
			.depth = 1,
		};
		drive_job_start(&jobs[i]);
	}
	sim_run_ms(rig.sim, 1000);
	uint64_t flushes = counters(&rig).flushes - before;
	for (size_t i = 0; i < JOBS; i++) {
		ck_assert(jobs[i].is_done);
		ck_assert_ok(jobs[i].err);
		drive_job_fini(&jobs[i]);
	}
	free(jobs);
	ck_assert_uint_ge(flushes, 1);
	ck_assert_uint_lt(flushes, JOBS / 2);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(one_seal_costs_one_flush)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	ck_assert_ok(sim_drive_write(&rig, extent(1), 0, 4096));
	sim_run_ms(rig.sim, 1000);
	uint64_t before = sim_disk_flushes(rig.disk);
	ck_assert_ok(sim_drive_write(&rig, extent(2), 0, 4096));
	ck_assert_uint_eq(sim_disk_flushes(rig.disk) - before, 1);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(an_open_write_holds_the_mark_back)
{
	struct drive_settings settings = small;
	settings.commit_ms = 3600 * 1000;
	struct sim_drive rig;
	open_new(&rig, &settings);
	struct drive_job slow = {
		.rig = &rig,
		.loop = rig.loops[2],
		.kind = JOB_WRITE,
		.extent = extent(1),
		.len = 64 << 10,
		.piece_len = 16 << 10,
		.depth = 1,
		.hold_at = 16 << 10,
	};
	drive_job_start(&slow);
	sim_run_ms(rig.sim, 1000);
	ck_assert_uint_eq(slow.written, 16 << 10);
	ck_assert_ok(sim_drive_write(&rig, extent(2), 0, 4096));
	drive_commit(rig.drive);
	sim_run_ms(rig.sim, 1000);
	uint64_t commits = counters(&rig).commits;
	ck_assert_uint_eq(commits, 1);
	/* Sealed behind the newer one, after the commit, and before a place that it holds. */
	drive_job_go_on(&slow);
	sim_run_ms(rig.sim, 1000);
	ck_assert(slow.is_done);
	ck_assert_ok(slow.err);
	ck_assert_uint_eq(counters(&rig).commits, commits);
	sim_drive_kill(&rig, true);
	drive_job_fini(&slow);
	reopen(&rig);
	ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 0, 64 << 10, false));
	ck_assert_ok(sim_drive_read(&rig, extent(2), 0, 0, 4096, false));
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_free_is_not_done_while_a_start_would_find_the_record)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	struct drive_job slow = {
		.rig = &rig,
		.loop = rig.loops[2],
		.kind = JOB_WRITE,
		.extent = extent(1),
		.len = 64 << 10,
		.piece_len = 16 << 10,
		.depth = 1,
		.hold_at = 16 << 10,
	};
	drive_job_start(&slow);
	sim_run_ms(rig.sim, 1000);
	ck_assert_ok(sim_drive_write(&rig, extent(2), 0, 4096));
	struct drive_job gone = {
		.rig = &rig, .loop = rig.loops[3], .kind = JOB_FREE, .extent = extent(2)};
	drive_job_start(&gone);
	sim_run_ms(rig.sim, 5000);
	ck_assert(!gone.is_done);
	ck_assert_err(sim_drive_read(&rig, extent(2), 0, 0, 4096, false), ERR_NOT_FOUND);
	drive_job_go_on(&slow);
	sim_run_ms(rig.sim, 5000);
	ck_assert(gone.is_done);
	ck_assert_ok(gone.err);
	drive_job_fini(&slow);
	drive_job_fini(&gone);
	sim_drive_kill(&rig, true);
	reopen(&rig);
	ck_assert_uint_eq(count_listed(&rig, NULL), 1);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(what_is_freed_stays_gone)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	for (uint64_t i = 0; i < 10; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(i), 0, 16 << 10));
	for (uint64_t i = 0; i < 10; i += 2)
		ck_assert_ok(sim_drive_free(&rig, extent(i), 0));
	ck_assert_ok(sim_drive_free(&rig, extent(77), 0));
	sim_drive_kill(&rig, true);
	reopen(&rig);
	ck_assert_uint_eq(count_listed(&rig, NULL), 5);
	for (uint64_t i = 0; i < 10; i++)
		ck_assert_err(sim_drive_read(&rig, extent(i), 0, 0, 16 << 10, false),
			i % 2 ? ERR_OK : ERR_NOT_FOUND);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_big_record_that_is_freed_is_punched)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	ck_assert_ok(sim_drive_write(&rig, extent(1), 0, 256 << 10));
	ck_assert_ok(sim_drive_write(&rig, extent(2), 0, 256 << 10));
	ck_assert_ok(sim_drive_free(&rig, extent(1), 0));
	sim_run_ms(rig.sim, 500);
	ck_assert_uint_eq(counters(&rig).punched_len, (256 << 10) + 4096);
	struct drive_space space;
	drive_space(rig.drive, &space);
	ck_assert_uint_eq(space.used, (256 << 10) + 4096);
	ck_assert_uint_eq(space.garbage, 0);
	ck_assert_ok(sim_drive_read(&rig, extent(2), 0, 0, 256 << 10, false));
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(small_records_are_punched_when_they_have_merged)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	for (uint64_t i = 0; i < 10; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(i), 0, 12 << 10));
	const uint64_t order[] = {4, 2, 3};
	for (size_t i = 0; i < 3; i++)
		ck_assert_ok(sim_drive_free(&rig, extent(order[i]), 0));
	sim_run_ms(rig.sim, 500);
	ck_assert_uint_eq(counters(&rig).punched_len, 0);
	ck_assert_ok(sim_drive_free(&rig, extent(5), 0));
	sim_run_ms(rig.sim, 500);
	ck_assert_uint_eq(counters(&rig).punched_len, 64 << 10);
	for (uint64_t i = 0; i < 10; i++)
		ck_assert_err(sim_drive_read(&rig, extent(i), 0, 0, 12 << 10, false),
			i >= 2 && i <= 5 ? ERR_NOT_FOUND : ERR_OK);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_segment_with_little_left_is_emptied_and_used_again)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	for (uint64_t i = 0; i < 64; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(i), 0, 28 << 10));
	for (uint64_t i = 0; i < 64; i++) {
		if (i % 16 != 0)
			ck_assert_ok(sim_drive_free(&rig, extent(i), 0));
	}
	sim_run_ms(rig.sim, 2000);
	ck_assert_uint_ge(counters(&rig).segments_compacted, 1);
	ck_assert_uint_ge(counters(&rig).moved, 1);
	for (uint64_t i = 0; i < 64; i++)
		ck_assert_err(sim_drive_read(&rig, extent(i), 0, 0, 28 << 10, false),
			i % 16 ? ERR_NOT_FOUND : ERR_OK);
	uint64_t made = counters(&rig).segments_made;
	for (uint64_t i = 100; i < 140; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(i), 0, 28 << 10));
	ck_assert_uint_ge(counters(&rig).segments_recycled, 1);
	ck_assert_uint_eq(counters(&rig).segments_made, made);
	sim_drive_kill(&rig, true);
	reopen(&rig);
	ck_assert_uint_eq(count_listed(&rig, NULL), 4 + 40);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

/* A reader that keeps what it located. */
struct held {
	struct sim_drive *rig;
	struct shard_read read;
	uint8_t *buf;
	bool is_done;
	enum err err;
};

static void held_done(struct shard_read *read, enum err err)
{
	struct held *held = CONTAINER_OF(read, struct held, read);
	held->err = err;
	held->is_done = true;
}

static void held_start(void *arg)
{
	struct held *held = arg;
	held->is_done = false;
	shard_read_start(&held->read, 0, 28 << 10, held->buf, false);
}

static void held_read(struct held *held)
{
	sim_call(held->rig->sim, held->rig->loops[3], held_start, held);
	sim_run_ms(held->rig->sim, 500);
	ck_assert(held->is_done);
}

START_TEST(a_reader_that_was_overtaken_looks_again)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	for (uint64_t i = 0; i < 40; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(i), 0, 28 << 10));
	struct held *held = calloc(2, sizeof *held);
	for (size_t i = 0; i < 2; i++) {
		held[i].rig = &rig;
		held[i].buf = aligned_alloc(4096, 28 << 10);
		shard_read_init(&held[i].read, rig.loops[3], rig.drive, extent(i), 0);
		held[i].read.done = held_done;
		held_read(&held[i]);
		ck_assert_ok(held[i].err);
	}
	for (uint64_t i = 1; i < 40; i++)
		ck_assert_ok(sim_drive_free(&rig, extent(i), 0));
	sim_run_ms(rig.sim, 2000);
	ck_assert_uint_ge(counters(&rig).moved, 1);
	for (uint64_t i = 100; i < 160; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(i), 0, 28 << 10));
	ck_assert_uint_ge(counters(&rig).segments_recycled, 1);

	held_read(&held[0]);
	ck_assert_ok(held[0].err);
	uint8_t expected[4096];
	sim_drive_fill(extent(0), 0, 8192, expected, sizeof expected);
	ck_assert_mem_eq(held[0].buf + 8192, expected, sizeof expected);
	ck_assert_uint_eq(counters(&rig).reread, 1);
	held_read(&held[1]);
	ck_assert_err(held[1].err, ERR_NOT_FOUND);
	for (size_t i = 0; i < 2; i++) {
		shard_read_fini(&held[i].read);
		free(held[i].buf);
	}
	free(held);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_damaged_block_is_not_served)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	ck_assert_ok(sim_drive_write(&rig, extent(1), 0, 64 << 10));
	sim_disk_fail_nth(rig.disk, SIM_READ, 2, SIM_ROT);
	enum err err = sim_drive_read(&rig, extent(1), 0, 0, 64 << 10, false);
	ck_assert_msg(err == ERR_CHECKSUM, "%s", err_name(err));
	ck_assert_uint_eq(counters(&rig).bad_blocks, 1);
	ck_assert_uint_eq(counters(&rig).reread, 1);
	ck_assert_int_eq(drive_state(rig.drive), DRIVE_UP);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_failed_flush_fences_the_drive)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	ck_assert_ok(sim_drive_write(&rig, extent(1), 0, 16 << 10));
	sim_run_ms(rig.sim, 1000);
	sim_disk_fail_nth(rig.disk, SIM_SYNC, 1, SIM_EIO);
	ck_assert_err(sim_drive_write(&rig, extent(2), 0, 16 << 10), ERR_FENCED);
	sim_run_ms(rig.sim, 100);
	ck_assert_uint_eq(rig.fenced_count, 1);
	ck_assert_int_eq(rig.fenced_err, ERR_IO);
	ck_assert_int_eq(drive_state(rig.drive), DRIVE_FENCED);
	ck_assert_err(sim_drive_read(&rig, extent(1), 0, 0, 16 << 10, false), ERR_FENCED);
	ck_assert_err(sim_drive_write(&rig, extent(3), 0, 16 << 10), ERR_FENCED);
	ck_assert_err(sim_drive_free(&rig, extent(1), 0), ERR_FENCED);
	sim_drive_close(&rig);
	reopen(&rig);
	ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 0, 16 << 10, false));
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_failed_write_fences_the_drive)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	ck_assert_ok(sim_drive_write(&rig, extent(1), 0, 16 << 10));
	sim_run_ms(rig.sim, 1000);
	sim_disk_fail_nth(rig.disk, SIM_WRITE, 1, SIM_EIO);
	ck_assert_err(sim_drive_write(&rig, extent(2), 0, 16 << 10), ERR_FENCED);
	sim_run_ms(rig.sim, 100);
	ck_assert_uint_eq(rig.fenced_count, 1);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_full_drive_takes_no_shards_and_still_frees)
{
	struct sim_drive rig;
	sim_drive_init(&rig, 1, 6 << 20, &small);
	ck_assert_ok(sim_drive_open(&rig));
	uint64_t count = 0;
	enum err err = ERR_OK;
	for (; count < 200 && err == ERR_OK; count++)
		err = sim_drive_write(&rig, extent(count), 0, 92 << 10);
	ck_assert_err(err, ERR_NO_SPACE);
	ck_assert_uint_gt(count, 20);
	ck_assert_int_eq(drive_state(rig.drive), DRIVE_UP);
	for (uint64_t i = 0; i + 1 < count; i++)
		ck_assert_ok(sim_drive_free(&rig, extent(i), 0));
	sim_run_ms(rig.sim, 3000);
	ck_assert_uint_eq(count_listed(&rig, NULL), 0);
	for (uint64_t i = 0; i < 20; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(500 + i), 0, 92 << 10));
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_shard_written_again_replaces_the_first)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	ck_assert_ok(sim_drive_write(&rig, extent(1), 0, 60 << 10));
	ck_assert_ok(sim_drive_write(&rig, extent(1), 0, 60 << 10));
	uint64_t len;
	ck_assert_uint_eq(count_listed(&rig, &len), 1);
	struct drive_space space;
	drive_space(rig.drive, &space);
	ck_assert_uint_eq(space.used, len);
	sim_drive_kill(&rig, true);
	reopen(&rig);
	ck_assert_uint_eq(count_listed(&rig, &len), 1);
	drive_space(rig.drive, &space);
	ck_assert_uint_eq(space.used, len);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_power_cut_while_a_shard_is_written_again_leaves_one)
{
	bool is_done = false;
	for (uint64_t n = 1; !is_done; n++) {
		struct sim_drive rig;
		sim_drive_init(&rig, n, 0, &small);
		ck_assert_ok(sim_drive_open(&rig));
		ck_assert_ok(sim_drive_write(&rig, extent(1), 0, 60 << 10));
		struct drive_job job = {
			.rig = &rig,
			.loop = rig.loops[2],
			.kind = JOB_WRITE,
			.extent = extent(1),
			.len = 60 << 10,
			.piece_len = 16 << 10,
			.depth = 4,
		};
		drive_job_start(&job);
		for (uint64_t i = 0; i < n / 2 && !job.is_done; i++)
			ck_assert(sim_step(rig.sim));
		is_done = job.is_done;
		sim_drive_kill(&rig, true);
		drive_job_fini(&job);
		reopen(&rig);
		ck_assert_ok(sim_drive_read(&rig, extent(1), 0, 0, 60 << 10, false));
		sim_drive_close(&rig);
		sim_drive_fini(&rig);
	}
}
END_TEST

START_TEST(nothing_runs_when_nothing_is_to_be_done)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	for (uint64_t i = 0; i < 30; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(i), 0, 60 << 10));
	for (uint64_t i = 0; i < 15; i++)
		ck_assert_ok(sim_drive_free(&rig, extent(i), 0));
	sim_run_ms(rig.sim, 5000);
	struct sim_disk_stats before = *sim_disk_stats(rig.disk);
	uint64_t commits = sim_kv_stats(rig.kv)->commits;
	sim_run_ms(rig.sim, 3600 * 1000);
	ck_assert_mem_eq(&before, sim_disk_stats(rig.disk), sizeof before);
	ck_assert_uint_eq(sim_kv_stats(rig.kv)->commits, commits);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("drive");
	TCase *tc = tcase_create("drive");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_shard_is_read_back);
	tcase_add_test(tc, a_range_that_the_shard_has_not_is_refused);
	tcase_add_test(tc, a_shard_with_several_checksum_blocks_is_read_back);
	tcase_add_test(tc, seals_that_come_together_share_a_flush);
	tcase_add_test(tc, one_seal_costs_one_flush);
	tcase_add_test(tc, an_open_write_holds_the_mark_back);
	tcase_add_test(tc, a_free_is_not_done_while_a_start_would_find_the_record);
	tcase_add_test(tc, what_is_freed_stays_gone);
	tcase_add_test(tc, a_big_record_that_is_freed_is_punched);
	tcase_add_test(tc, small_records_are_punched_when_they_have_merged);
	tcase_add_test(tc, a_segment_with_little_left_is_emptied_and_used_again);
	tcase_add_test(tc, a_reader_that_was_overtaken_looks_again);
	tcase_add_test(tc, a_damaged_block_is_not_served);
	tcase_add_test(tc, a_failed_flush_fences_the_drive);
	tcase_add_test(tc, a_failed_write_fences_the_drive);
	tcase_add_test(tc, a_full_drive_takes_no_shards_and_still_frees);
	tcase_add_test(tc, a_shard_written_again_replaces_the_first);
	tcase_add_test(tc, a_power_cut_while_a_shard_is_written_again_leaves_one);
	tcase_add_test(tc, nothing_runs_when_nothing_is_to_be_done);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
