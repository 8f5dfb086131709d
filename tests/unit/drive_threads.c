/* SPDX-License-Identifier: Apache-2.0 */
/* A drive on a real directory, used by several loops at once. With the thread sanitizer it shows
 * that what is shared is under the lock. */
#include <limits.h>
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
#include "storage/kv_lmdb.h"
#include "tests/lib/sim_drive.h"
#include "tests/lib/test.h"

enum { LOOPS = 3, COMMITTER = LOOPS, CLIENTS_EACH = 4, ROUNDS = 60, KEPT = 8 };

struct rig {
	char path[PATH_MAX];
	char kv_path[PATH_MAX + 16];
	struct server_loop *loops[LOOPS + 1];
	struct worker_threads *threads;
	struct disk *disk;
	struct kv *kv;
	struct sim_drive sim; /* only its drive */
	sem_t ended;
};

static const struct drive_settings settings = {
	.segment_len = 2 << 20,
	.commit_ms = 20,
	.max_uncommitted = 50,
	.compact_percent = 50,
	.reserve_len = 1 << 20,
};

/* Writes, reads it back, and frees what it wrote KEPT rounds before. */
struct client {
	struct rig *rig;
	struct loop *loop;
	struct drive_job *job;
	unsigned number, round;
};

static void client_next(struct drive_job *done);

static uint64_t len_of(uint64_t counter)
{
	return 4096 * (1 + counter * 7 % 40);
}

static void client_start(struct client *client, enum job_kind kind, unsigned round)
{
	uint64_t counter = client->number * 1000 + round;
	client->job = calloc(1, sizeof *client->job);
	*client->job = (struct drive_job){
		.rig = &client->rig->sim,
		.loop = client->loop,
		.kind = kind,
		.extent = {9, counter},
		.len = len_of(counter),
		.piece_len = 64 << 10,
		.depth = 2,
		.is_cached = round % 2,
		.done = client_next,
		.arg = client,
	};
	drive_job_start(client->job);
}

static void client_next(struct drive_job *done)
{
	struct client *client = done->arg;
	enum job_kind kind = done->kind;
	ck_assert_msg(done->err == ERR_OK, "%d: %s", kind, err_name(done->err));
	ck_assert(!done->is_wrong);
	drive_job_fini(done);
	free(done);
	client->job = NULL;
	if (kind == JOB_WRITE) {
		client_start(client, JOB_READ, client->round);
	} else if (kind == JOB_READ && client->round >= KEPT) {
		client_start(client, JOB_FREE, client->round - KEPT);
	} else if (++client->round < ROUNDS) {
		client_start(client, JOB_WRITE, client->round);
	} else {
		sem_post(&client->rig->ended);
	}
}

static void rig_start(struct rig *rig)
{
	struct random_source *random;
	ck_assert_ok(random_real_open(&random));
	ck_assert_ok(worker_threads_new("worker", 2, &rig->threads));
	struct worker *worker = worker_threads_worker(rig->threads);
	ck_assert_ok(server_disk_new(rig->path, worker, &rig->disk));
	struct server_loop_options options = {0};
	for (unsigned i = 0; i <= LOOPS; i++)
		ck_assert_ok(server_loop_new(i, "loop", &options, &rig->loops[i]));
	struct drive_identity identity;
	if (drive_identify(rig->disk, &identity) == ERR_NOT_FOUND) {
		identity = (struct drive_identity){.cluster = sim_drive_cluster};
		ck_assert_ok(drive_format(rig->disk, &identity, &settings));
	}
	ck_assert_ok(kv_lmdb_open(rig->kv_path, 64 << 20, &rig->kv));
	struct drive_setup setup = {
		.disk = rig->disk,
		.locations = rig->kv,
		.owner = server_loop_base(rig->loops[0]),
		.committer = server_loop_base(rig->loops[COMMITTER]),
		.worker = worker,
		.clock = clock_real(),
		.random = random,
		.settings = settings,
	};
	ck_assert_ok(drive_open(&setup, sim_drive_cluster, &rig->sim.drive));
	for (unsigned i = 0; i <= LOOPS; i++)
		ck_assert_ok(server_loop_start(rig->loops[i]));
}

static void stopped(void *arg)
{
	struct rig *rig = arg;
	sem_post(&rig->ended);
}

struct stop {
	struct task task;
	struct rig *rig;
};

static void stop_task(struct task *task)
{
	struct stop *stop = CONTAINER_OF(task, struct stop, task);
	drive_stop(stop->rig->sim.drive, stopped, stop->rig);
}

static void rig_stop(struct rig *rig)
{
	struct stop stop = {.task = {.run = stop_task}, .rig = rig};
	loop_post(server_loop_base(rig->loops[0]), &stop.task);
	sem_wait(&rig->ended);
	for (unsigned i = 0; i <= LOOPS; i++) {
		server_loop_stop(rig->loops[i]);
		server_loop_join(rig->loops[i]);
	}
	drive_close(rig->sim.drive);
	kv_close(rig->kv);
	worker_threads_free(rig->threads);
	for (unsigned i = 0; i <= LOOPS; i++)
		server_loop_free(rig->loops[i]);
	server_disk_free(rig->disk);
}

static void assert_listed(struct rig *rig, size_t expected)
{
	struct shard_entry entries[512];
	size_t count;
	ck_assert_ok(drive_list(rig->sim.drive, (struct extent_id){0, 0}, 0, entries,
		ARRAY_COUNT(entries), &count));
	ck_assert_uint_eq(count, expected);
	uint64_t used = 0;
	for (size_t i = 0; i < count; i++)
		used += entries[i].record_len;
	struct drive_space space;
	drive_space(rig->sim.drive, &space);
	ck_assert_uint_eq(space.used, used);
}

START_TEST(several_loops_use_one_drive)
{
	struct rig *rig = calloc(1, sizeof *rig);
	test_dir_make(rig->path);
	snprintf(rig->kv_path, sizeof rig->kv_path, "%s.kv", rig->path);
	sem_init(&rig->ended, 0, 0);
	rig_start(rig);
	struct client clients[LOOPS * CLIENTS_EACH];
	for (unsigned i = 0; i < ARRAY_COUNT(clients); i++) {
		clients[i] = (struct client){.rig = rig, .number = i};
		clients[i].loop = server_loop_base(rig->loops[i % LOOPS]);
		client_start(&clients[i], JOB_WRITE, 0);
	}
	for (unsigned i = 0; i < ARRAY_COUNT(clients); i++)
		sem_wait(&rig->ended);
	assert_listed(rig, ARRAY_COUNT(clients) * KEPT);
	struct drive_counters counters;
	drive_counters(rig->sim.drive, &counters);
	ck_assert_uint_ge(counters.sealed, ARRAY_COUNT(clients) * ROUNDS);
	ck_assert_uint_le(counters.flushes, counters.sealed);
	ck_assert_uint_gt(counters.punched_len, 0);
	rig_stop(rig);

	rig_start(rig);
	assert_listed(rig, ARRAY_COUNT(clients) * KEPT);
	rig_stop(rig);
	sem_destroy(&rig->ended);
	test_dir_remove(rig->kv_path);
	test_dir_remove(rig->path);
	free(rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("drive_threads");
	TCase *tc = tcase_create("drive_threads");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, several_loops_use_one_drive);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
