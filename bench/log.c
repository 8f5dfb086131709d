/* SPDX-License-Identifier: Apache-2.0 */
/* What a durable command costs: proposals from one loop through the log to an apply side that does
 * nothing, with a number of them in flight, on the directory named (default: .). */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/clock_real.h"
#include "server/disk_file.h"
#include "server/loop.h"
#include "server/random_real.h"
#include "server/worker_threads.h"
#include "storage/meta/consensus_single.h"

enum {
	DEPTH_MAX = 512,
	COMMAND_LEN = 400,
	ROUND_MS = 1500,
};

static struct consensus *consensus;
static uint8_t command[COMMAND_LEN];

static struct bench {
	struct proposal proposals[DEPTH_MAX];
	struct task task;
	struct loop *loop;
	unsigned depth, in_flight;
	uint64_t ended;
	bool is_ending;
	sem_t all_ended;
} bench;

static void fail(const char *what, enum err err)
{
	if (err == ERR_OK)
		return;
	fprintf(stderr, "%s: %s\n", what, err_text(err));
	exit(EXIT_FAILURE);
}

static void print_event(
	struct trace *trace, enum trace_level level, uint64_t request_id, const char *text)
{
	(void)trace;
	(void)level;
	(void)request_id;
	fprintf(stderr, "%s\n", text);
}

static double now_s(void)
{
	return clock_mono_ns(clock_real()) / 1e9;
}

static void committed(void *arg, struct group *group)
{
	(void)arg;
	for (size_t i = 0; i < group->count; i++)
		proposal_end(group->commands[i].proposal, ERR_OK);
	group_applied(consensus, group);
}

static void failed(void *arg, enum err err)
{
	(void)arg;
	fail("log", err);
}

static void propose(struct proposal *proposal)
{
	bench.in_flight++;
	consensus_propose(consensus, proposal);
}

static void done(struct proposal *proposal)
{
	fail("proposal", proposal->err);
	bench.ended++;
	bench.in_flight--;
	if (!bench.is_ending)
		propose(proposal);
	else if (bench.in_flight == 0)
		sem_post(&bench.all_ended);
}

static void begin_run(struct task *task)
{
	(void)task;
	for (unsigned i = 0; i < bench.depth; i++)
		propose(&bench.proposals[i]);
}

static void end_run(struct task *task)
{
	(void)task;
	bench.is_ending = true;
}

static void measure(struct loop *loop, unsigned depth)
{
	struct consensus_info before, after;
	bench = (struct bench){.task.run = begin_run, .loop = loop, .depth = depth};
	sem_init(&bench.all_ended, 0, 0);
	for (unsigned i = 0; i < depth; i++) {
		bench.proposals[i].loop = loop;
		bench.proposals[i].done = done;
		bench.proposals[i].command = bytes_make(command, sizeof command);
	}
	consensus_info(consensus, &before);
	double start_s = now_s();
	loop_post(loop, &bench.task);
	usleep(ROUND_MS * 1000);
	struct task end = {.run = end_run};
	loop_post(loop, &end);
	sem_wait(&bench.all_ended);
	double elapsed_s = now_s() - start_s;
	consensus_info(consensus, &after);
	double groups = after.groups - before.groups;
	printf("log_depth_%u_commands %.0f ops/s\n", depth, bench.ended / elapsed_s);
	printf("log_depth_%u_latency %.1f us\n", depth, elapsed_s * 1e6 * depth / bench.ended);
	printf("log_depth_%u_group %.1f commands/write\n", depth, bench.ended / groups);
	consensus_release(consensus, after.commit_index);
}

static struct server_loop *loop_start(unsigned index, const char *name)
{
	struct server_loop *loop;
	struct server_loop_options options = {0};
	fail(name, server_loop_new(index, name, &options, &loop));
	fail(name, server_loop_start(loop));
	return loop;
}

static void loop_end(struct server_loop *loop)
{
	server_loop_stop(loop);
	server_loop_join(loop);
}

static sem_t has_stopped;

static void stopped(void *arg)
{
	(void)arg;
	sem_post(&has_stopped);
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"log/0000000000000000", "log/0000000000000001",
		"log/0000000000000002", "log/0000000000000003", "log-state", "log"};
	char dir[4096];
	snprintf(dir, sizeof dir, "%s/bench-log.XXXXXX", argc > 1 ? argv[1] : ".");
	char *path = mkdtemp(dir) ? realpath(dir, NULL) : NULL;
	if (!path || chdir(path) != 0) {
		perror(dir);
		return EXIT_FAILURE;
	}
	struct worker_threads *threads;
	struct disk *disk;
	fail("workers", worker_threads_new("worker", 1, &threads));
	fail("disk", server_disk_new(".", worker_threads_worker(threads), &disk));
	struct server_loop *loops[3];
	for (unsigned i = 0; i < 3; i++)
		loops[i] = loop_start(i, (const char *[]){"proposer", "log", "apply"}[i]);
	static const struct trace_ops trace_ops = {print_event};
	struct trace trace = {&trace_ops, TRACE_WARNING};
	struct consensus_single_setup setup = {
		.log = {.disk = disk,
			.state_disk = disk,
			.loop = server_loop_base(loops[1]),
			.worker = worker_threads_worker(threads),
			.trace = &trace,
			.segment_len = LOG_SEGMENT_LEN_DEFAULT},
		.clock = clock_real(),
	};
	fail("random", random_real_open(&setup.log.random));
	fail("create", log_create(&setup.log));
	fail("open", consensus_single_open(&setup, &consensus));
	struct consensus_apply apply = {
		.loop = server_loop_base(loops[2]), .committed = committed, .failed = failed};
	consensus_start(consensus, &apply);
	for (unsigned depth = 1; depth <= DEPTH_MAX; depth *= 8)
		measure(server_loop_base(loops[0]), depth);
	sem_init(&has_stopped, 0, 0);
	consensus_stop(consensus, stopped, NULL);
	sem_wait(&has_stopped);
	for (unsigned i = 0; i < 3; i++)
		loop_end(loops[i]);
	worker_threads_free(threads);
	consensus_close(consensus);
	server_disk_free(disk);
	for (unsigned i = 0; i < 3; i++)
		server_loop_free(loops[i]);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		remove(names[i]);
	if (rmdir(path) != 0)
		perror(path);
	free(path);
	return EXIT_SUCCESS;
}
