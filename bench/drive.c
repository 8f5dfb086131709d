/* SPDX-License-Identifier: Apache-2.0 */
/* What does one drive take and give, and how many flushes does it need for it? Two loops write
 * shards of one size with so many in flight, each sealed before the next begins, then read them.
 * Prints name, value, unit. The drive is made in an empty directory below the first argument (or
 * the working directory) and left there. */
#include <limits.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "erasure/checksum.h"
#include "server/clock_real.h"
#include "server/disk_file.h"
#include "server/loop.h"
#include "server/random_real.h"
#include "server/worker_threads.h"
#include "storage/buffer.h"
#include "storage/drive/drive.h"
#include "storage/kv_lmdb.h"

enum { LOOPS = 2, CLIENTS_MAX = 64, PIECE_LEN = 256 << 10 };

static struct drive *drive;
static struct server_loop *loops[LOOPS + 1];
static sem_t ended;
static uint8_t *data;
static uint64_t counter;

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

/* One stream of shards: the same bytes, under the names first, first + 1, … */
struct client {
	struct task task;
	struct shard_write write;
	struct shard_append append;
	struct shard_read read;
	struct loop *loop;
	uint64_t first, shard, count, len, at;
	uint8_t *buf;
};

static struct client clients[CLIENTS_MAX];

static void next_write(struct client *client);

static void append_next(struct client *client);

static void appended(struct shard_append *append, enum err err)
{
	fail("append", err);
	append_next(CONTAINER_OF(append, struct client, append));
}

static void append_next(struct client *client)
{
	if (client->at == client->len) {
		shard_write_seal(&client->write);
		return;
	}
	uint64_t left = client->len - client->at;
	size_t len = left < PIECE_LEN ? left : PIECE_LEN;
	uint64_t sums[PIECE_LEN / BLOCK_LEN];
	struct extent_id extent = {1, client->first + client->shard};
	checksum_blocks(data, len, shard_checksum_seed(extent, 0), client->at / BLOCK_LEN, sums);
	client->at += len;
	client->append.done = appended;
	size_t count = checksum_block_count(len);
	shard_write_append(&client->write, &client->append, data, len, sums, count);
}

static void ready(struct shard_write *write, enum err err)
{
	fail("open", err);
	append_next(CONTAINER_OF(write, struct client, write));
}

static void sealed(struct shard_write *write, enum err err)
{
	fail("seal", err);
	struct client *client = CONTAINER_OF(write, struct client, write);
	client->shard++;
	next_write(client);
}

static void next_write(struct client *client)
{
	if (client->shard == client->count) {
		sem_post(&ended);
		return;
	}
	client->at = 0;
	client->write = (struct shard_write){
		.loop = client->loop, .ready = ready, .sealed = sealed};
	struct shard_info info = {
		.extent = {1, client->first + client->shard},
		.k = 1,
		.unit_len = PIECE_LEN,
		.extent_len = client->len,
		.shard_len = client->len,
	};
	enum err err = shard_write_open(&client->write, drive, &info);
	if (err == ERR_OK)
		append_next(client);
	else if (err != ERR_BUSY)
		fail("open", err);
}

static void read_next(struct client *client)
{
	if (client->at == client->len || client->at == 0) {
		if (client->at > 0) {
			shard_read_fini(&client->read);
			client->shard++;
			client->at = 0;
		}
		if (client->shard == client->count) {
			sem_post(&ended);
			return;
		}
		struct extent_id extent = {1, client->first + client->shard};
		void (*done)(struct shard_read *, enum err) = client->read.done;
		shard_read_init(&client->read, client->loop, drive, extent, 0);
		client->read.done = done;
	}
	uint64_t left = client->len - client->at;
	size_t len = left < PIECE_LEN ? left : PIECE_LEN;
	uint64_t start = client->at;
	client->at += len;
	shard_read_start(&client->read, start, len, client->buf, false);
}

static void was_read(struct shard_read *read, enum err err)
{
	fail("read", err);
	read_next(CONTAINER_OF(read, struct client, read));
}

static void write_task(struct task *task)
{
	next_write(CONTAINER_OF(task, struct client, task));
}

static void read_task(struct task *task)
{
	struct client *client = CONTAINER_OF(task, struct client, task);
	client->read.done = was_read;
	read_next(client);
}

static double run(unsigned client_count, void (*task)(struct task *task))
{
	double start = now_s();
	for (unsigned i = 0; i < client_count; i++) {
		clients[i].shard = clients[i].at = 0;
		clients[i].task.run = task;
		loop_post(clients[i].loop, &clients[i].task);
	}
	for (unsigned i = 0; i < client_count; i++)
		sem_wait(&ended);
	return now_s() - start;
}

static void measure(const char *size, uint64_t len, unsigned client_count, uint64_t total)
{
	uint64_t each = total / client_count;
	for (unsigned i = 0; i < client_count; i++) {
		clients[i].loop = server_loop_base(loops[i % LOOPS]);
		clients[i].first = counter;
		clients[i].count = each;
		clients[i].len = len;
		counter += each;
	}
	struct drive_counters before, after;
	drive_counters(drive, &before);
	double seconds = run(client_count, write_task);
	drive_counters(drive, &after);
	double count = each * client_count;
	double flushes = after.flushes - before.flushes;
	printf("drive_write_%s_%u %.0f /s\n", size, client_count, count / seconds);
	printf("drive_write_%s_%u_len %.1f MB/s\n", size, client_count,
		count * len / seconds / 1e6);
	printf("drive_write_%s_%u_flushes %.3f /shard\n", size, client_count, flushes / count);
	seconds = run(client_count, read_task);
	printf("drive_read_%s_%u %.0f /s\n", size, client_count, count / seconds);
	printf("drive_read_%s_%u_len %.1f MB/s\n", size, client_count, count * len / seconds / 1e6);
	fflush(stdout);
}

static void stopped(void *arg)
{
	(void)arg;
	sem_post(&ended);
}

static void stop_task(struct task *task)
{
	(void)task;
	drive_stop(drive, stopped, NULL);
}

static struct worker_threads *threads;
static struct disk *disk;
static struct kv *kv;

static void start(const char *parent)
{
	char path[PATH_MAX];
	char kv_path[PATH_MAX + 8];
	snprintf(path, sizeof path, "%s/rubus-bench-drive", parent);
	snprintf(kv_path, sizeof kv_path, "%s.kv", path);
	mkdir(path, 0700);
	struct random_source *random;
	fail("random", random_real_open(&random));
	fail("worker", worker_threads_new("worker", 2, &threads));
	fail(path, server_disk_new(path, worker_threads_worker(threads), &disk));
	struct server_loop_options options = {0};
	for (unsigned i = 0; i <= LOOPS; i++)
		fail("loop", server_loop_new(i, "loop", &options, &loops[i]));
	struct drive_identity identity = {
		.cluster = {{1}}, .drive = {{2}}, .node = {{3}}, .class = DRIVE_NVME};
	struct drive_settings settings = drive_settings_default();
	settings.max_uncommitted = BUFFER_ROWS_DEFAULT;
	settings.reserve_len = 64 << 20;
	fail("format", drive_format(disk, &identity, &settings));
	fail("kv", kv_lmdb_open(kv_path, 1u << 30, &kv));
	struct drive_setup setup = {
		.disk = disk,
		.locations = kv,
		.owner = server_loop_base(loops[0]),
		.committer = server_loop_base(loops[LOOPS]),
		.worker = worker_threads_worker(threads),
		.clock = clock_real(),
		.random = random,
		.settings = settings,
	};
	fail("open", drive_open(&setup, identity.cluster, &drive));
	for (unsigned i = 0; i <= LOOPS; i++)
		fail("loop", server_loop_start(loops[i]));
}

static void stop(void)
{
	struct task task = {.run = stop_task};
	loop_post(server_loop_base(loops[0]), &task);
	sem_wait(&ended);
	for (unsigned i = 0; i <= LOOPS; i++) {
		server_loop_stop(loops[i]);
		server_loop_join(loops[i]);
	}
	drive_close(drive);
	kv_close(kv);
	worker_threads_free(threads);
	for (unsigned i = 0; i <= LOOPS; i++)
		server_loop_free(loops[i]);
	server_disk_free(disk);
}

int main(int argc, char **argv)
{
	sem_init(&ended, 0, 0);
	data = aligned_alloc(4096, PIECE_LEN);
	memset(data, 0x5a, PIECE_LEN);
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		clients[i].buf = aligned_alloc(4096, PIECE_LEN);
	start(argc > 1 ? argv[1] : ".");
	measure("4k", 4096, 1, 2000);
	measure("4k", 4096, 64, 32000);
	measure("256k", 256 << 10, 1, 500);
	measure("256k", 256 << 10, 16, 2000);
	measure("4m", 4 << 20, 8, 128);
	stop();
	return 0;
}
