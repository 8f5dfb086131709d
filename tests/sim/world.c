/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "storage/bytes.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

/* The simulated world itself: that it is deterministic, and that its nodes, loops, timers and
 * clocks are what the seams promise. */
enum { BLOCK = DISK_BLOCK_LEN, BLOCKS = 16 };

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

/* --- determinism -------------------------------------------------------------------------- */

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

/* --- tasks, timers, nodes ----------------------------------------------------------------- */

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
	uint8_t buf[BLOCK];
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
	life->wait.buf = life->buf;
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

int main(void)
{
	Suite *suite = suite_create("sim_world");
	TCase *tc = tcase_create("sim_world");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_same_seed_gives_the_same_trace_and_another_seed_another);
	tcase_add_test(tc, a_loop_keeps_the_order_and_the_seed_chooses_between_loops);
	tcase_add_test(tc, timers_fire_in_virtual_time);
	tcase_add_test(tc, nothing_of_a_killed_node_runs);
	tcase_add_test(tc, a_paused_node_runs_nothing_until_it_goes_on);
	tcase_add_test(tc, the_wall_clock_jumps_and_the_monotonic_one_does_not);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
