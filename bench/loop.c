/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/clock_real.h"
#include "server/disk_file.h"
#include "server/loop.h"
#include "server/worker_threads.h"
#include "storage/bytes.h"

/* What do a message between loops, a timer and a disk operation cost? Prints name, value, unit. The
 * disk figures are for reads of 4 KiB with O_DIRECT from a file in the directory that is the first
 * argument (or the working directory). */
enum { MESSAGES = 200 * 1000, TIMERS = 1000 * 1000, READS = 20 * 1000, FILE_LEN = 64 << 20 };
enum { DEPTH_MAX = 64 };

static void print(const char *name, double value, const char *unit)
{
	printf("%-36s %12.3f %s\n", name, value, unit);
	fflush(stdout);
}

static void fail(const char *what, enum err err)
{
	if (err == ERR_OK)
		return;
	fprintf(stderr, "%s: %s\n", what, err_text(err));
	exit(1);
}

static double now_s(void)
{
	return clock_mono_ns(clock_real()) / 1e9;
}

static double cpu_s(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
		(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct server_loop *loop_start(unsigned index, bool is_ringless)
{
	struct server_loop *loop;
	struct server_loop_options options = {.is_ringless = is_ringless};
	fail("loop", server_loop_new(index, "bench", &options, &loop));
	fail("thread", server_loop_start(loop));
	return loop;
}

static void loop_end(struct server_loop *loop)
{
	server_loop_stop(loop);
	server_loop_join(loop);
	server_loop_free(loop);
}

/* --- messages --------------------------------------------------------------------------------- */

struct ball {
	struct task task;
	struct loop *sides[2];
	unsigned left;
	sem_t ended;
};

static void ball_run(struct task *task)
{
	struct ball *ball = CONTAINER_OF(task, struct ball, task);
	if (ball->left-- == 0)
		sem_post(&ball->ended);
	else
		loop_post(ball->sides[ball->left & 1], task);
}

static void measure_messages(const char *name, bool is_same)
{
	struct server_loop *a = loop_start(0, true), *b = loop_start(1, true);
	struct ball ball = {.task.run = ball_run, .left = MESSAGES};
	ball.sides[0] = server_loop_base(a);
	ball.sides[1] = server_loop_base(is_same ? a : b);
	sem_init(&ball.ended, 0, 0);
	double start_s = now_s();
	loop_post(ball.sides[0], &ball.task);
	sem_wait(&ball.ended);
	print(name, (now_s() - start_s) / MESSAGES * 1e9, "ns");
	loop_end(a);
	loop_end(b);
}

/* --- timers ----------------------------------------------------------------------------------- */

struct timer_bench {
	struct task task;
	struct loop *loop;
	struct timer timers[1024];
	double elapsed_s;
	sem_t ended;
};

static void never(struct timer *timer)
{
	(void)timer;
	abort();
}

static void timers_run(struct task *task)
{
	struct timer_bench *bench = CONTAINER_OF(task, struct timer_bench, task);
	double start_s = now_s();
	for (unsigned i = 0; i < TIMERS; i++) {
		struct timer *timer = &bench->timers[i * 7 % ARRAY_COUNT(bench->timers)];
		timer->fire = never;
		timer_set(bench->loop, timer, 60000 + i % 1000);
	}
	bench->elapsed_s = now_s() - start_s;
	for (unsigned i = 0; i < ARRAY_COUNT(bench->timers); i++)
		timer_cancel(bench->loop, &bench->timers[i]);
	sem_post(&bench->ended);
}

static void measure_timers(void)
{
	struct server_loop *loop = loop_start(0, true);
	static struct timer_bench bench;
	bench.task.run = timers_run;
	bench.loop = server_loop_base(loop);
	sem_init(&bench.ended, 0, 0);
	loop_post(bench.loop, &bench.task);
	sem_wait(&bench.ended);
	print("timer_set_again", bench.elapsed_s / TIMERS * 1e9, "ns");
	loop_end(loop);
}

/* --- reads ------------------------------------------------------------------------------------ */

struct read_bench {
	struct task task;
	struct loop *loop;
	struct disk_file *file;
	unsigned depth, started, ended;
	struct disk_op ops[DEPTH_MAX];
	uint8_t *bufs;
	sem_t all_ended;
};

static struct read_bench reads;

static void read_next(struct disk_op *op)
{
	uint64_t block = reads.started++ * UINT64_C(2654435761) % (FILE_LEN / DISK_BLOCK_LEN);
	disk_read(op, reads.file, reads.bufs + (op - reads.ops) * DISK_BLOCK_LEN, DISK_BLOCK_LEN,
		block * DISK_BLOCK_LEN);
}

static void read_done(struct disk_op *op)
{
	fail("read", op->err);
	if (++reads.ended == READS)
		sem_post(&reads.all_ended);
	else if (reads.started < READS)
		read_next(op);
}

static void reads_run(struct task *task)
{
	(void)task;
	for (unsigned i = 0; i < reads.depth; i++) {
		reads.ops[i] = (struct disk_op){.done = read_done, .loop = reads.loop};
		read_next(&reads.ops[i]);
	}
}

static void measure_reads(struct disk *disk, bool is_ringless, unsigned depth)
{
	struct server_loop *loop = loop_start(0, is_ringless);
	reads = (struct read_bench){.task.run = reads_run, .loop = server_loop_base(loop)};
	reads.depth = depth;
	reads.bufs = aligned_alloc(DISK_BLOCK_LEN, DEPTH_MAX * DISK_BLOCK_LEN);
	sem_init(&reads.all_ended, 0, 0);
	fail("open", disk_open(disk, "bench-loop.tmp", DISK_READ_ONLY | DISK_DIRECT, &reads.file));
	double start_s = now_s(), start_cpu_s = cpu_s();
	loop_post(reads.loop, &reads.task);
	sem_wait(&reads.all_ended);
	double elapsed_s = now_s() - start_s, elapsed_cpu_s = cpu_s() - start_cpu_s;
	char name[64];
	const char *backend = is_ringless ? "plain" : "uring";
	snprintf(name, sizeof name, "read_4k_%s_depth_%u", backend, depth);
	print(name, READS / elapsed_s, "ops/s");
	snprintf(name, sizeof name, "read_4k_%s_depth_%u_cpu", backend, depth);
	print(name, elapsed_cpu_s / READS * 1e6, "us/op");
	disk_close(reads.file);
	free(reads.bufs);
	loop_end(loop);
}

static void make_file(struct disk *disk)
{
	struct disk_file *file;
	size_t len = 1 << 20;
	uint8_t *buf = calloc(1, len);
	fail("create", disk_open(disk, "bench-loop.tmp", DISK_CREATE, &file));
	memset(buf, 'x', len);
	for (uint64_t at = 0; at < FILE_LEN; at += len)
		fail("write", disk_write_now(file, buf, len, at));
	fail("sync", disk_sync_now(file));
	disk_close(file);
	free(buf);
}

int main(int argc, char **argv)
{
	struct worker_threads *threads;
	struct disk *disk;
	fail("workers", worker_threads_new("worker", 2, &threads));
	fail("disk",
		server_disk_new(argc > 1 ? argv[1] : ".", worker_threads_worker(threads), &disk));
	measure_messages("message_to_own_loop", true);
	measure_messages("message_to_other_loop", false);
	measure_timers();
	make_file(disk);
	for (unsigned is_ringless = 0; is_ringless < 2; is_ringless++) {
		measure_reads(disk, is_ringless, 1);
		measure_reads(disk, is_ringless, 8);
		measure_reads(disk, is_ringless, DEPTH_MAX);
	}
	fail("remove", disk_remove(disk, "bench-loop.tmp"));
	server_disk_free(disk);
	worker_threads_free(threads);
	return 0;
}
