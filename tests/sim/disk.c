/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_disk.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/bytes.h"
#include "tests/lib/test.h"

/* The simulator itself: that it is deterministic, keeps the promises of the seams, breaks what is
 * not promised, and injects the faults it was asked for. "Sometimes" below means: in at least one
 * of SEEDS seeds. */
enum { SEEDS = 100, BLOCK = DISK_BLOCK_LEN, BLOCKS = 16, SECTOR = 512 };

struct rig {
	struct sim *sim;
	struct sim_node *node;
	struct loop *loop;
	struct sim_disk *sim_disk;
	struct disk *disk;
	struct disk_file *file;
};

static void rig_open(struct rig *rig, uint64_t seed)
{
	rig->sim = sim_new(seed);
	rig->node = sim_node_new(rig->sim, "node");
	rig->loop = sim_node_loop(rig->node);
	rig->sim_disk = sim_disk_new(rig->node, "disk", 0);
	rig->disk = sim_disk_base(rig->sim_disk);
	ck_assert_ok(disk_open(rig->disk, "file", DISK_CREATE, &rig->file));
	ck_assert_ok(disk_sync_dir(rig->disk));
}

static void rig_close(struct rig *rig)
{
	disk_close(rig->file);
	sim_node_kill(rig->node);
	sim_disk_free(rig->sim_disk);
	sim_free(rig->sim);
}

/* The power fails, and the file is opened again. */
static void rig_crash(struct rig *rig)
{
	sim_node_kill(rig->node);
	disk_close(rig->file);
	sim_disk_crash(rig->sim_disk);
	sim_disk_heal(rig->sim_disk);
	ck_assert_ok(disk_open(rig->disk, "file", 0, &rig->file));
}

struct wait {
	struct disk_op op;
	struct rig *rig;
	const void *buf;
	uint64_t offset;
	bool is_sync, is_done;
	unsigned flags;
};

static void wait_done(struct disk_op *op)
{
	CONTAINER_OF(op, struct wait, op)->is_done = true;
}

static void wait_start(void *arg)
{
	struct wait *wait = arg;
	wait->op.done = wait_done;
	wait->op.loop = wait->rig->loop;
	if (wait->is_sync)
		disk_sync(&wait->op, wait->rig->file);
	else
		disk_write(&wait->op, wait->rig->file, wait->buf, BLOCK, wait->offset, wait->flags);
}

static bool is_done(void *arg)
{
	return ((struct wait *)arg)->is_done;
}

static enum err perform(struct rig *rig, struct wait wait)
{
	wait.rig = rig;
	sim_call(rig->sim, rig->loop, wait_start, &wait);
	ck_assert(sim_run_until(rig->sim, is_done, &wait, 60000));
	return wait.op.err;
}

/* A block that tells of its number and version in every sector. */
static const uint8_t *block(unsigned number, unsigned version)
{
	static uint8_t buf[BLOCK];
	for (unsigned i = 0; i < BLOCK; i += SECTOR) {
		memset(buf + i, version, SECTOR);
		put_le32(buf + i, number);
	}
	return buf;
}

static void write_block(struct rig *rig, unsigned number, unsigned version)
{
	ck_assert_ok(
		disk_write_now(rig->file, block(number, version), BLOCK, (uint64_t)number * BLOCK));
}

/* The version that the sector holds; 0 where there is nothing. */
static unsigned version_of(struct rig *rig, unsigned number, unsigned sector)
{
	uint8_t buf[SECTOR] = {0};
	size_t len;
	ck_assert_ok(disk_read_now(
		rig->file, buf, SECTOR, (uint64_t)number * BLOCK + sector * SECTOR, &len));
	unsigned version = buf[SECTOR - 1];
	if (version != 0)
		ck_assert_uint_eq(get_le32(buf), number);
	return version;
}

/* How a block came through: all sectors of one version, or a mixture. */
static unsigned whole_version(struct rig *rig, unsigned number)
{
	unsigned first = version_of(rig, number, 0);
	for (unsigned sector = 1; sector < BLOCK / SECTOR; sector++)
		if (version_of(rig, number, sector) != first)
			return UINT_MAX;
	return first;
}

/* --- determinism -------------------------------------------------------------------------------- */

enum { STREAMS = 4, STREAM_OPS = 50 };

struct stream {
	struct wait wait;
	unsigned number, left;
	uint8_t buf[BLOCK];
	struct timer timer;
};

static void stream_done(struct disk_op *op)
{
	struct stream *stream = CONTAINER_OF(op, struct stream, wait.op);
	timer_set(op->loop, &stream->timer, stream->number);
}

static void stream_next(struct stream *stream)
{
	if (stream->left-- == 0)
		return;
	struct rig *rig = stream->wait.rig;
	random_fill(sim_node_random(rig->node), stream->buf, BLOCK);
	stream->wait.offset = (uint64_t)(stream->buf[0] % BLOCKS) * BLOCK;
	stream->wait.is_sync = stream->buf[1] % 4 == 0;
	stream->wait.flags = stream->buf[2] % 4 == 0 ? DISK_DSYNC : 0;
	wait_start(&stream->wait);
	stream->wait.op.done = stream_done;
}

static void stream_fire(struct timer *timer)
{
	stream_next(CONTAINER_OF(timer, struct stream, timer));
}

static void stream_start(void *arg)
{
	struct stream *stream = arg;
	stream->timer.fire = stream_fire;
	stream_next(stream);
}

/* Streams of operations whose ends choose what comes next. */
static uint64_t trace_of(uint64_t seed)
{
	struct rig rig;
	rig_open(&rig, seed);
	sim_disk_all_odds(rig.sim_disk, 20);
	struct stream *streams = calloc(STREAMS, sizeof *streams);
	for (unsigned i = 0; i < STREAMS; i++) {
		streams[i].number = i;
		streams[i].left = STREAM_OPS;
		streams[i].wait.rig = &rig;
		streams[i].wait.buf = streams[i].buf;
		sim_call(rig.sim, rig.loop, stream_start, &streams[i]);
	}
	sim_run_ms(rig.sim, 300);
	rig_crash(&rig);
	for (unsigned i = 0; i < BLOCKS; i++) {
		uint8_t buf[BLOCK] = {0};
		size_t len;
		ck_assert_ok(disk_read_now(rig.file, buf, BLOCK, (uint64_t)i * BLOCK, &len));
		sim_note(rig.sim, "after", i, len, sim_hash_bytes(buf, BLOCK));
	}
	ck_assert_uint_ge(sim_disk_stats(rig.sim_disk)->calls[SIM_WRITE], STREAM_OPS);
	uint64_t hash = sim_trace_hash(rig.sim);
	free(streams);
	rig_close(&rig);
	return hash;
}

START_TEST(the_same_seed_gives_the_same_trace_and_another_seed_another)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		uint64_t hash = trace_of(seed);
		void *disturbance = malloc(12345); /* other addresses */
		ck_assert_uint_eq(trace_of(seed), hash);
		ck_assert_uint_ne(trace_of(seed + 1000), hash);
		free(disturbance);
	}
}
END_TEST

/* --- tasks, timers, nodes ------------------------------------------------------------------------- */

struct step {
	struct task task;
	unsigned number;
};

static struct {
	unsigned order[20], count;
	uint64_t fired_ms;
} seen;

static void step_run(struct task *task)
{
	seen.order[seen.count++] = CONTAINER_OF(task, struct step, task)->number;
}

START_TEST(a_loop_keeps_the_order_and_the_seed_chooses_between_loops)
{
	bool was_mixed = false;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		struct loop *other = sim_node_loop(rig.node);
		struct step steps[20];
		seen.count = 0;
		for (unsigned i = 0; i < 20; i++) {
			steps[i] = (struct step){{.run = step_run}, i};
			loop_post(i < 10 ? rig.loop : other, &steps[i].task);
		}
		sim_run_ms(rig.sim, 10);
		ck_assert_uint_eq(seen.count, 20);
		unsigned next[2] = {0, 10};
		for (unsigned i = 0; i < 20; i++) {
			ck_assert_uint_eq(seen.order[i], next[seen.order[i] >= 10]++);
			was_mixed |= i < 10 && seen.order[i] >= 10;
		}
		rig_close(&rig);
	}
	ck_assert(was_mixed);
}
END_TEST

static struct rig *timer_rig;

static void timer_fire(struct timer *timer)
{
	(void)timer;
	seen.count++;
	seen.fired_ms = loop_now_ms(timer_rig->loop);
}

static void timers_set(void *arg)
{
	struct timer *timers = arg;
	for (unsigned i = 0; i < 3; i++) {
		timers[i].fire = timer_fire;
		timer_set(timer_rig->loop, &timers[i], 1000 * (i + 1));
	}
	timer_set(timer_rig->loop, &timers[0], 5000);
	timer_cancel(timer_rig->loop, &timers[2]);
}

START_TEST(timers_fire_in_virtual_time)
{
	struct rig rig;
	rig_open(&rig, 1);
	timer_rig = &rig;
	seen.count = 0;
	struct timer timers[3] = {0};
	uint64_t start_ms = loop_now_ms(rig.loop);
	sim_call(rig.sim, rig.loop, timers_set, timers);
	sim_run_ms(rig.sim, 1999);
	ck_assert_uint_eq(seen.count, 0);
	sim_run_ms(rig.sim, 10);
	ck_assert_uint_eq(seen.count, 1);
	ck_assert(!timers[1].is_set);
	sim_run_ms(rig.sim, 10000);
	ck_assert_uint_eq(seen.count, 2);
	ck_assert_uint_eq(seen.fired_ms, start_ms + 5000);
	rig_close(&rig);
}
END_TEST

struct life {
	struct rig *rig;
	struct step step;
	struct timer timer;
	struct wait wait;
	struct work work;
	unsigned ran;
};

static struct life *life;

static void life_task(struct task *task)
{
	(void)task;
	life->ran++;
}

static void life_timer(struct timer *timer)
{
	(void)timer;
	life->ran++;
}

static void life_op(struct disk_op *op)
{
	(void)op;
	life->ran++;
}

static void life_work(struct work *work)
{
	(void)work;
	life->ran++;
}

static void life_start(void *arg)
{
	(void)arg;
	struct loop *loop = life->rig->loop;
	life->step.task.run = life_task;
	life->timer.fire = life_timer;
	life->work = (struct work){.run = life_work, .done = life_work, .loop = loop};
	life->wait.rig = life->rig;
	life->wait.buf = block(1, 1);
	wait_start(&life->wait);
	life->wait.op.done = life_op;
	loop_post(loop, &life->step.task);
	timer_set(loop, &life->timer, 1);
	worker_submit(sim_node_worker(life->rig->node), &life->work);
}

START_TEST(nothing_of_a_killed_node_runs)
{
	for (unsigned is_killed = 0; is_killed < 2; is_killed++) {
		struct rig rig;
		rig_open(&rig, 1);
		life = calloc(1, sizeof *life);
		life->rig = &rig;
		sim_call(rig.sim, rig.loop, life_start, NULL);
		if (is_killed) {
			sim_node_kill(rig.node);
			ck_assert(!life->timer.is_set);
			ck_assert_uint_eq(life->ran, 0);
			free(life); /* whoever runs meets the address sanitizer */
			ck_assert(!sim_step(rig.sim));
		} else {
			sim_run_ms(rig.sim, 1000);
			ck_assert_uint_eq(life->ran, 5);
			free(life);
		}
		rig_close(&rig);
	}
}
END_TEST

START_TEST(a_paused_node_runs_nothing_until_it_goes_on)
{
	struct rig rig;
	rig_open(&rig, 1);
	life = calloc(1, sizeof *life);
	life->rig = &rig;
	sim_call(rig.sim, rig.loop, life_start, NULL);
	sim_node_pause(rig.node, true);
	sim_run_ms(rig.sim, 1000);
	ck_assert_uint_eq(life->ran, 1); /* the worker is not a loop */
	sim_node_pause(rig.node, false);
	sim_run_ms(rig.sim, 1000);
	ck_assert_uint_eq(life->ran, 5);
	free(life);
	rig_close(&rig);
}
END_TEST

START_TEST(the_wall_clock_jumps_and_the_monotonic_one_does_not)
{
	struct rig rig;
	rig_open(&rig, 1);
	struct clock *clock = sim_node_clock(rig.node);
	int64_t wall_ms = clock_wall_ms(clock);
	uint64_t mono_ns = clock_mono_ns(clock);
	sim_node_jump_wall(rig.node, -3600000);
	sim_run_ms(rig.sim, 500);
	ck_assert_int_eq(clock_wall_ms(clock), wall_ms - 3600000 + 500);
	ck_assert_uint_eq(clock_mono_ns(clock), mono_ns + 500000000);
	rig_close(&rig);
}
END_TEST

/* --- what a crash takes ---------------------------------------------------------------------------- */

START_TEST(a_crash_takes_only_what_was_not_synced)
{
	unsigned kept = 0, lost = 0, torn = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		for (unsigned i = 0; i < BLOCKS; i++)
			write_block(&rig, i, 1);
		ck_assert_ok(disk_sync_now(rig.file));
		for (unsigned i = 0; i < BLOCKS; i += 2)
			write_block(&rig, i, 2);
		rig_crash(&rig);
		for (unsigned i = 0; i < BLOCKS; i++) {
			unsigned version = whole_version(&rig, i);
			ck_assert(i % 2 == 0 || version == 1);
			for (unsigned s = 0; s < BLOCK / SECTOR; s++)
				ck_assert_uint_ge(version_of(&rig, i, s), 1);
			kept += version == 2;
			lost += i % 2 == 0 && version == 1;
			torn += version == UINT_MAX;
		}
		rig_close(&rig);
	}
	ck_assert_uint_gt(kept, 0);
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_gt(torn, 0);
}
END_TEST

START_TEST(what_a_crash_left_is_there_after_the_next_crash)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		for (unsigned i = 0; i < BLOCKS; i++)
			write_block(&rig, i, 1);
		rig_crash(&rig);
		uint8_t before[BLOCKS * BLOCK] = {0}, after[BLOCKS * BLOCK] = {0};
		size_t before_len, after_len;
		ck_assert_ok(disk_read_now(rig.file, before, sizeof before, 0, &before_len));
		rig_crash(&rig);
		ck_assert_ok(disk_read_now(rig.file, after, sizeof after, 0, &after_len));
		ck_assert_uint_eq(before_len, after_len);
		ck_assert_mem_eq(before, after, sizeof after);
		rig_close(&rig);
	}
}
END_TEST

START_TEST(a_killed_process_loses_nothing_that_was_written)
{
	struct rig rig;
	rig_open(&rig, 1);
	write_block(&rig, 0, 1);
	sim_node_kill(rig.node);
	disk_close(rig.file);
	ck_assert_ok(disk_open(rig.disk, "file", 0, &rig.file));
	ck_assert_uint_eq(whole_version(&rig, 0), 1);
	rig_close(&rig);
}
END_TEST

START_TEST(a_write_with_dsync_makes_itself_durable_and_no_other)
{
	unsigned lost = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		write_block(&rig, 0, 1);
		write_block(&rig, 1, 1);
		struct wait wait = {.buf = block(1, 2), .offset = BLOCK, .flags = DISK_DSYNC};
		ck_assert_ok(perform(&rig, wait));
		rig_crash(&rig);
		ck_assert_uint_eq(whole_version(&rig, 1), 2);
		lost += whole_version(&rig, 0) == 0;
		rig_close(&rig);
	}
	ck_assert_uint_gt(lost, 0);
}
END_TEST

START_TEST(a_sync_covers_what_was_written_before_it_was_started)
{
	unsigned lost = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		write_block(&rig, 0, 1);
		struct wait sync = {.rig = &rig, .is_sync = true};
		sim_call(rig.sim, rig.loop, wait_start, &sync);
		write_block(&rig, 1, 1);
		ck_assert(sim_run_until(rig.sim, is_done, &sync, 1000));
		rig_crash(&rig);
		ck_assert_uint_eq(whole_version(&rig, 0), 1);
		lost += whole_version(&rig, 1) != 1;
		rig_close(&rig);
	}
	ck_assert_uint_gt(lost, 0);
}
END_TEST

START_TEST(a_write_in_flight_is_kept_lost_or_torn)
{
	unsigned kept = 0, lost = 0, torn = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		write_block(&rig, 0, 1);
		ck_assert_ok(disk_sync_now(rig.file));
		struct wait wait = {.rig = &rig, .buf = block(0, 2), .flags = DISK_DSYNC};
		sim_call(rig.sim, rig.loop, wait_start, &wait);
		rig_crash(&rig);
		unsigned version = whole_version(&rig, 0);
		kept += version == 2;
		lost += version == 1;
		torn += version == UINT_MAX;
		rig_close(&rig);
	}
	ck_assert_uint_eq(kept + lost + torn, SEEDS);
	ck_assert(kept > 0 && lost > 0 && torn > 0);
}
END_TEST

START_TEST(a_name_is_durable_after_sync_dir_and_not_before)
{
	unsigned lost = 0, undone = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		struct disk_file *made, *synced;
		rig_open(&rig, seed);
		ck_assert_ok(disk_open(rig.disk, "synced", DISK_CREATE, &synced));
		ck_assert_ok(disk_sync_dir(rig.disk));
		ck_assert_ok(disk_open(rig.disk, "made", DISK_CREATE, &made));
		ck_assert_ok(disk_sync_now(made));
		ck_assert_ok(disk_rename(rig.disk, "synced", "renamed"));
		disk_close(made);
		disk_close(synced);
		rig_crash(&rig);
		enum err err = disk_open(rig.disk, "made", 0, &made);
		lost += err == ERR_NOT_FOUND;
		if (err == ERR_OK)
			disk_close(made);
		err = disk_open(rig.disk, "renamed", 0, &made);
		enum err old_err = disk_open(rig.disk, "synced", 0, &synced);
		ck_assert((err == ERR_OK) != (old_err == ERR_OK));
		undone += old_err == ERR_OK;
		disk_close(err == ERR_OK ? made : synced);
		rig_close(&rig);
	}
	ck_assert(lost > 0 && lost < SEEDS);
	ck_assert(undone > 0 && undone < SEEDS);
}
END_TEST

/* --- faults ------------------------------------------------------------------------------------- */

START_TEST(a_lying_sync_loses_what_it_said_was_safe)
{
	unsigned lost = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		sim_disk_per_mille(rig.sim_disk)[SIM_SYNC][SIM_LIES] = 1000;
		write_block(&rig, 0, 1);
		ck_assert_ok(disk_sync_now(rig.file));
		ck_assert_uint_eq(sim_disk_stats(rig.sim_disk)->faults[SIM_LIES], 1);
		rig_crash(&rig);
		lost += whole_version(&rig, 0) == 0;
		rig_close(&rig);
	}
	ck_assert_uint_gt(lost, 0);
}
END_TEST

START_TEST(after_a_failed_sync_the_next_one_saves_less_than_it_says)
{
	unsigned lost = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		write_block(&rig, 0, 1);
		sim_disk_fail_nth(rig.sim_disk, SIM_SYNC, 1, SIM_EIO);
		ck_assert_err(disk_sync_now(rig.file), ERR_IO);
		ck_assert_ok(disk_sync_now(rig.file));
		rig_crash(&rig);
		lost += whole_version(&rig, 0) == 0;
		rig_close(&rig);
	}
	ck_assert(lost > 0 && lost < SEEDS);
}
END_TEST

START_TEST(a_lost_write_leaves_the_old_and_a_misdirected_one_hits_another_place)
{
	unsigned elsewhere = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		for (unsigned i = 0; i < BLOCKS; i++)
			write_block(&rig, i, 1);
		sim_disk_fail_nth(rig.sim_disk, SIM_WRITE, 1, SIM_LOST);
		write_block(&rig, 3, 2);
		ck_assert_uint_eq(whole_version(&rig, 3), 1);
		sim_disk_fail_nth(rig.sim_disk, SIM_WRITE, 1, SIM_MISDIRECTED);
		write_block(&rig, 3, 2);
		ck_assert_uint_eq(whole_version(&rig, 3), 1);
		for (unsigned i = 0; i <= BLOCKS; i++) {
			uint8_t buf[BLOCK];
			size_t len;
			ck_assert_ok(
				disk_read_now(rig.file, buf, BLOCK, (uint64_t)i * BLOCK, &len));
			elsewhere += len == BLOCK && memcmp(buf, block(3, 2), BLOCK) == 0;
		}
		rig_close(&rig);
	}
	ck_assert_uint_eq(elsewhere, SEEDS);
}
END_TEST

START_TEST(a_torn_write_says_ok_and_a_failed_one_may_have_been_done_in_part)
{
	unsigned torn = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		write_block(&rig, 0, 1);
		write_block(&rig, 1, 1);
		sim_disk_fail_nth(rig.sim_disk, SIM_WRITE, 1, SIM_TORN);
		write_block(&rig, 0, 2);
		sim_disk_fail_nth(rig.sim_disk, SIM_WRITE, 1, SIM_EIO);
		ck_assert_err(disk_write_now(rig.file, block(1, 2), BLOCK, BLOCK), ERR_IO);
		torn += whole_version(&rig, 0) == UINT_MAX && whole_version(&rig, 1) == UINT_MAX;
		rig_close(&rig);
	}
	ck_assert_uint_gt(torn, 0);
}
END_TEST

START_TEST(rot_turns_bits_over_and_a_crash_does_not_heal_it)
{
	struct rig rig;
	rig_open(&rig, 1);
	for (unsigned i = 0; i < BLOCKS; i++)
		write_block(&rig, i, 1);
	ck_assert_ok(disk_sync_now(rig.file));
	ck_assert(sim_disk_rot(rig.sim_disk, "file", 1));
	ck_assert(!sim_disk_rot(rig.sim_disk, "missing", 1));
	rig_crash(&rig);
	unsigned bits = 0;
	for (unsigned i = 0; i < BLOCKS; i++) {
		uint8_t buf[BLOCK];
		size_t len;
		ck_assert_ok(disk_read_now(rig.file, buf, BLOCK, (uint64_t)i * BLOCK, &len));
		const uint8_t *expected = block(i, 1);
		for (unsigned j = 0; j < BLOCK; j++)
			bits += __builtin_popcount(buf[j] ^ expected[j]);
	}
	ck_assert_uint_eq(bits, 1);
	rig_close(&rig);
}
END_TEST

START_TEST(a_full_disk_refuses_and_a_punch_makes_room)
{
	struct rig rig;
	rig_open(&rig, 1);
	sim_disk_set_capacity(rig.sim_disk, 4 * BLOCK);
	ck_assert_ok(disk_allocate(rig.file, 3 * BLOCK));
	struct disk_space space;
	ck_assert_ok(disk_space(rig.disk, &space));
	ck_assert_uint_eq(space.total, 4 * BLOCK);
	ck_assert_uint_eq(space.free, BLOCK);
	ck_assert_err(disk_allocate(rig.file, 5 * BLOCK), ERR_NO_SPACE);
	write_block(&rig, 0, 1); /* reserved */
	write_block(&rig, 3, 1);
	ck_assert_err(disk_write_now(rig.file, block(4, 1), BLOCK, 4 * BLOCK), ERR_NO_SPACE);
	ck_assert_ok(disk_truncate(rig.file, 3 * BLOCK));
	ck_assert_ok(disk_write_now(rig.file, block(4, 1), BLOCK, 4 * BLOCK));
	rig_close(&rig);
}
END_TEST

START_TEST(a_drive_that_vanished_fails_every_call_until_it_returns)
{
	struct rig rig;
	rig_open(&rig, 1);
	write_block(&rig, 0, 1);
	sim_disk_vanish(rig.sim_disk);
	uint8_t buf[BLOCK];
	size_t len;
	struct disk_file *file;
	ck_assert_err(disk_read_now(rig.file, buf, BLOCK, 0, &len), ERR_IO);
	ck_assert_err(disk_open(rig.disk, "file", 0, &file), ERR_IO);
	struct wait wait = {.buf = block(0, 2)};
	ck_assert_err(perform(&rig, wait), ERR_IO);
	ck_assert_err(perform(&rig, (struct wait){.is_sync = true}), ERR_IO);
	sim_disk_return(rig.sim_disk);
	ck_assert_uint_eq(whole_version(&rig, 0), 1);
	rig_close(&rig);
}
END_TEST

static void count_name(void *arg, const char *name)
{
	(void)name;
	++*(unsigned *)arg;
}

START_TEST(a_short_list_leaves_names_out)
{
	struct rig rig;
	rig_open(&rig, 1);
	for (char name[] = "a"; *name <= 'z'; ++*name) {
		struct disk_file *file;
		ck_assert_ok(disk_open(rig.disk, name, DISK_CREATE, &file));
		disk_close(file);
	}
	unsigned count = 0;
	ck_assert_ok(disk_list(rig.disk, ".", count_name, &count));
	ck_assert_uint_eq(count, 27);
	sim_disk_fail_nth(rig.sim_disk, SIM_LIST, 1, SIM_SHORT);
	count = 0;
	ck_assert_ok(disk_list(rig.disk, ".", count_name, &count));
	ck_assert_uint_lt(count, 27);
	rig_close(&rig);
}
END_TEST

START_TEST(a_slow_operation_takes_long)
{
	struct rig rig;
	rig_open(&rig, 1);
	uint64_t start_ns = sim_now_ns(rig.sim);
	ck_assert_ok(perform(&rig, (struct wait){.buf = block(0, 1)}));
	uint64_t usual_ns = sim_now_ns(rig.sim) - start_ns;
	sim_disk_fail_nth(rig.sim_disk, SIM_WRITE, 1, SIM_SLOW);
	start_ns = sim_now_ns(rig.sim);
	ck_assert_ok(perform(&rig, (struct wait){.buf = block(0, 2)}));
	ck_assert_uint_gt(sim_now_ns(rig.sim) - start_ns, 50 * usual_ns);
	rig_close(&rig);
}
END_TEST

START_TEST(the_nth_call_fails_and_no_other)
{
	for (uint64_t n = 1; n <= 5; n++) {
		struct rig rig;
		rig_open(&rig, n);
		sim_disk_fail_nth(rig.sim_disk, SIM_ANY_CALL, n, SIM_EIO);
		for (uint64_t i = 1; i <= 5; i++) {
			uint64_t size;
			ck_assert_err(disk_size(rig.file, &size), i == n ? ERR_IO : ERR_OK);
		}
		ck_assert_uint_eq(sim_disk_stats(rig.sim_disk)->calls[SIM_SIZE], 5);
		rig_close(&rig);
	}
}
END_TEST

START_TEST(every_fault_is_injected_when_it_is_asked_for)
{
	uint64_t faults[SIM_FAULTS] = {0};
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		sim_disk_all_odds(rig.sim_disk, 30);
		for (unsigned i = 0; i < 200; i++) {
			uint8_t buf[BLOCK];
			size_t len;
			unsigned count = 0;
			/* Only the faults count here. */
			err_ignore(disk_write_now(rig.file, block(i, 1), BLOCK, i * BLOCK));
			err_ignore(disk_sync_now(rig.file));
			err_ignore(disk_read_now(rig.file, buf, BLOCK, 0, &len));
			err_ignore(disk_list(rig.disk, ".", count_name, &count));
		}
		sim_disk_vanish(rig.sim_disk);
		for (unsigned fault = 0; fault < SIM_FAULTS; fault++)
			faults[fault] += sim_disk_stats(rig.sim_disk)->faults[fault];
		rig_close(&rig);
	}
	for (unsigned fault = 0; fault < SIM_FAULTS; fault++)
		ck_assert_msg(faults[fault] > 0, "never injected: %s", sim_fault_name(fault));
}
END_TEST

START_TEST(flushes_are_counted)
{
	struct rig rig;
	rig_open(&rig, 1);
	uint64_t before = sim_disk_flushes(rig.sim_disk);
	ck_assert_ok(perform(&rig, (struct wait){.buf = block(0, 1)}));
	ck_assert_uint_eq(sim_disk_flushes(rig.sim_disk), before);
	ck_assert_ok(perform(&rig, (struct wait){.buf = block(0, 1), .flags = DISK_DSYNC}));
	ck_assert_ok(perform(&rig, (struct wait){.is_sync = true}));
	ck_assert_ok(disk_sync_now(rig.file));
	ck_assert_uint_eq(sim_disk_flushes(rig.sim_disk), before + 3);
	rig_close(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_disk");
	TCase *tc = tcase_create("sim_disk");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_same_seed_gives_the_same_trace_and_another_seed_another);
	tcase_add_test(tc, a_loop_keeps_the_order_and_the_seed_chooses_between_loops);
	tcase_add_test(tc, timers_fire_in_virtual_time);
	tcase_add_test(tc, nothing_of_a_killed_node_runs);
	tcase_add_test(tc, a_paused_node_runs_nothing_until_it_goes_on);
	tcase_add_test(tc, the_wall_clock_jumps_and_the_monotonic_one_does_not);
	tcase_add_test(tc, a_crash_takes_only_what_was_not_synced);
	tcase_add_test(tc, what_a_crash_left_is_there_after_the_next_crash);
	tcase_add_test(tc, a_killed_process_loses_nothing_that_was_written);
	tcase_add_test(tc, a_write_with_dsync_makes_itself_durable_and_no_other);
	tcase_add_test(tc, a_sync_covers_what_was_written_before_it_was_started);
	tcase_add_test(tc, a_write_in_flight_is_kept_lost_or_torn);
	tcase_add_test(tc, a_name_is_durable_after_sync_dir_and_not_before);
	tcase_add_test(tc, a_lying_sync_loses_what_it_said_was_safe);
	tcase_add_test(tc, after_a_failed_sync_the_next_one_saves_less_than_it_says);
	tcase_add_test(tc, a_lost_write_leaves_the_old_and_a_misdirected_one_hits_another_place);
	tcase_add_test(tc, a_torn_write_says_ok_and_a_failed_one_may_have_been_done_in_part);
	tcase_add_test(tc, rot_turns_bits_over_and_a_crash_does_not_heal_it);
	tcase_add_test(tc, a_full_disk_refuses_and_a_punch_makes_room);
	tcase_add_test(tc, a_drive_that_vanished_fails_every_call_until_it_returns);
	tcase_add_test(tc, a_short_list_leaves_names_out);
	tcase_add_test(tc, a_slow_operation_takes_long);
	tcase_add_test(tc, the_nth_call_fails_and_no_other);
	tcase_add_test(tc, every_fault_is_injected_when_it_is_asked_for);
	tcase_add_test(tc, flushes_are_counted);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
