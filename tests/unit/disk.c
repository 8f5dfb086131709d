/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/disk.h"

#include <errno.h>
#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/clock_real.h"
#include "server/disk_count.h"
#include "server/disk_file.h"
#include "server/loop.h"
#include "server/worker_threads.h"
#include "storage/bytes.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

/* The same tests for every backend: what the seam promises, each of them keeps. */
enum backend { URING, PLAIN, SIM, COUNTED, BACKENDS };

enum { FLUSH_DELAY_US = 30000 };

struct world {
	enum backend backend;
	struct disk *disk;
	struct loop *loop;
	struct server_loop *server_loop;
	struct worker_threads *threads;
	struct disk *inner;
	struct disk_count *count;
	struct sim *sim;
	struct sim_disk *sim_disk;
	char dir[PATH_MAX];
};

static void world_open(struct world *world, enum backend backend)
{
	*world = (struct world){.backend = backend};
	if (backend == SIM) {
		world->sim = sim_new(7);
		struct sim_node *node = sim_node_new(world->sim, "node");
		world->loop = sim_node_loop(node);
		world->sim_disk = sim_disk_new(node, "sim", 0);
		world->disk = sim_disk_base(world->sim_disk);
		return;
	}
	test_dir_make(world->dir);
	struct server_loop_options options = {.is_ringless = backend == PLAIN, .ring_depth = 8};
	ck_assert_ok(server_loop_new(0, "disk", &options, &world->server_loop));
	ck_assert_ok(server_loop_start(world->server_loop));
	world->loop = server_loop_base(world->server_loop);
	ck_assert_ok(worker_threads_new("worker", 2, &world->threads));
	ck_assert_ok(
		server_disk_new(world->dir, worker_threads_worker(world->threads), &world->disk));
	if (backend == COUNTED) {
		world->inner = world->disk;
		ck_assert_ok(disk_count_new(world->inner, FLUSH_DELAY_US, &world->count));
		world->disk = disk_count_disk(world->count);
	}
}

static void world_close(struct world *world)
{
	if (world->sim) {
		sim_disk_free(world->sim_disk);
		sim_free(world->sim);
		return;
	}
	worker_threads_free(world->threads);
	server_loop_stop(world->server_loop);
	server_loop_join(world->server_loop);
	disk_count_free(world->count); /* its thread may be just about to have woken the loop */
	server_loop_free(world->server_loop);
	server_disk_free(world->inner ? world->inner : world->disk);
	test_dir_remove(world->dir);
}

/* --- operations, one after the other or all at once
 * -------------------------------------------------- */

enum kind { READ, WRITE, SYNC, PUNCH };

struct request {
	struct disk_op op;
	enum kind kind;
	struct disk_file *file;
	void *buf;
	size_t len;
	uint64_t offset;
	unsigned flags;
	unsigned done_count;
	struct batch *batch;
};

struct batch {
	struct task task;
	struct request *requests;
	unsigned count, done_count;
	bool is_starting;
	sem_t ended;
};

static void request_done(struct disk_op *op)
{
	struct request *request = CONTAINER_OF(op, struct request, op);
	ck_assert(!request->batch->is_starting);
	ck_assert(loop_is_current(op->loop));
	request->done_count++;
	if (++request->batch->done_count == request->batch->count)
		sem_post(&request->batch->ended);
}

static void request_start(struct request *r)
{
	r->op.done = request_done;
	switch (r->kind) {
	case READ:
		disk_read(&r->op, r->file, r->buf, r->len, r->offset);
		return;
	case WRITE:
		disk_write(&r->op, r->file, r->buf, r->len, r->offset, r->flags);
		return;
	case SYNC:
		disk_sync(&r->op, r->file);
		return;
	case PUNCH:
		disk_punch(&r->op, r->file, r->offset, r->len);
		return;
	}
}

static void batch_start(struct task *task)
{
	struct batch *batch = CONTAINER_OF(task, struct batch, task);
	batch->is_starting = true;
	for (unsigned i = 0; i < batch->count; i++)
		request_start(&batch->requests[i]);
	batch->is_starting = false;
}

static bool batch_has_ended(void *arg)
{
	struct batch *batch = arg;
	return batch->done_count == batch->count;
}

static void perform(struct world *world, struct request *requests, unsigned count)
{
	struct batch batch = {.task.run = batch_start, .requests = requests, .count = count};
	for (unsigned i = 0; i < count; i++) {
		requests[i].batch = &batch;
		requests[i].op.loop = world->loop;
	}
	sem_init(&batch.ended, 0, 0);
	loop_post(world->loop, &batch.task);
	if (world->sim)
		ck_assert(sim_run_until(world->sim, batch_has_ended, &batch, 60000));
	else
		sem_wait(&batch.ended);
	sem_destroy(&batch.ended);
}

static enum err perform_one(struct world *world, struct request request, size_t *ret_len)
{
	perform(world, &request, 1);
	ck_assert_uint_eq(request.done_count, 1);
	if (ret_len)
		*ret_len = request.op.len;
	return request.op.err;
}

static uint8_t *buffer(size_t len, uint64_t seed)
{
	uint8_t *buf = aligned_alloc(DISK_BLOCK_LEN, round_up(len, DISK_BLOCK_LEN));
	ck_assert_ptr_nonnull(buf);
	test_random_fill(&seed, buf, len);
	return buf;
}

static struct disk_file *create(struct world *world, const char *name, unsigned flags)
{
	struct disk_file *file;
	ck_assert_ok(disk_open(world->disk, name, DISK_CREATE | flags, &file));
	return file;
}

/* --- tests --------------------------------------------------------------------------------------
 */

START_TEST(what_is_written_is_read_back)
{
	static const unsigned flags[] = {0, DISK_DIRECT};
	static const size_t lens[] = {4096, 65536, 1 << 20};
	struct world world;
	world_open(&world, _i);
	for (unsigned f = 0; f < 2; f++) {
		for (unsigned i = 0; i < ARRAY_COUNT(lens); i++) {
			size_t len = lens[i], read_len;
			uint8_t *out = buffer(len, i), *in = buffer(len, 99);
			struct disk_file *file = create(&world, "file", flags[f]);
			ck_assert_ok(perform_one(&world,
				(struct request){.kind = WRITE,
					.file = file,
					.buf = out,
					.len = len,
					.offset = 8192,
					.flags = i == 1 ? DISK_DSYNC : 0},
				&read_len));
			ck_assert_uint_eq(read_len, len);
			ck_assert_ok(perform_one(
				&world, (struct request){.kind = SYNC, .file = file}, NULL));
			ck_assert_ok(perform_one(&world,
				(struct request){.kind = READ,
					.file = file,
					.buf = in,
					.len = len,
					.offset = 8192},
				&read_len));
			ck_assert_uint_eq(read_len, len);
			ck_assert_mem_eq(in, out, len);
			disk_close(file);
			free(out);
			free(in);
		}
	}
	world_close(&world);
}
END_TEST

START_TEST(a_read_is_short_only_at_the_end_of_the_file)
{
	struct world world;
	world_open(&world, _i);
	uint8_t *out = buffer(10000, 1), *in = buffer(65536, 2);
	struct disk_file *file = create(&world, "file", 0);
	ck_assert_ok(disk_write_now(file, out, 10000, 0));
	size_t len;
	ck_assert_ok(perform_one(&world,
		(struct request){.kind = READ, .file = file, .buf = in, .len = 65536}, &len));
	ck_assert_uint_eq(len, 10000);
	ck_assert_mem_eq(in, out, 10000);
	ck_assert_ok(perform_one(&world,
		(struct request){
			.kind = READ, .file = file, .buf = in, .len = 4096, .offset = 1 << 20},
		&len));
	ck_assert_uint_eq(len, 0);
	disk_close(file);

	ck_assert_ok(disk_open(world.disk, "file", DISK_DIRECT | DISK_READ_ONLY, &file));
	ck_assert_ok(perform_one(&world,
		(struct request){.kind = READ, .file = file, .buf = in, .len = 65536}, &len));
	ck_assert_uint_eq(len, 10000);
	ck_assert_mem_eq(in, out, 10000);
	ck_assert_ok(disk_read_now(file, in, 4096, 8192, &len));
	ck_assert_uint_eq(len, 10000 - 8192);
	ck_assert_mem_eq(in, out + 8192, len);
	disk_close(file);
	free(out);
	free(in);
	world_close(&world);
}
END_TEST

START_TEST(hundreds_of_operations_at_once_each_end_once)
{
	enum { COUNT = 600, LEN = 8192 };
	struct world world;
	world_open(&world, _i);
	struct disk_file *file = create(&world, "file", DISK_DIRECT);
	uint8_t *out = buffer(COUNT * LEN, 3), *in = buffer(COUNT * LEN, 4);
	struct request *requests = calloc(COUNT, sizeof *requests);
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < COUNT; i++)
			requests[i] = (struct request){.kind = pass ? READ : WRITE,
				.file = file,
				.buf = (pass ? in : out) + i * LEN,
				.len = LEN,
				.offset = i * LEN};
		perform(&world, requests, COUNT);
		for (unsigned i = 0; i < COUNT; i++) {
			ck_assert_uint_eq(requests[i].done_count, 1);
			ck_assert_ok(requests[i].op.err);
			ck_assert_uint_eq(requests[i].op.len, LEN);
		}
	}
	ck_assert_mem_eq(in, out, COUNT * LEN);
	disk_close(file);
	free(requests);
	free(out);
	free(in);
	world_close(&world);
}
END_TEST

START_TEST(a_punched_range_reads_as_zeros_and_the_length_stays)
{
	struct world world;
	world_open(&world, _i);
	struct disk_file *file = create(&world, "file", 0);
	uint8_t *out = buffer(65536, 5), *in = buffer(65536, 6);
	ck_assert_ok(disk_write_now(file, out, 65536, 0));
	ck_assert_ok(perform_one(&world,
		(struct request){.kind = PUNCH, .file = file, .offset = 16384, .len = 49152},
		NULL));
	uint64_t size;
	ck_assert_ok(disk_size(file, &size));
	ck_assert_uint_eq(size, 65536);
	size_t len;
	ck_assert_ok(disk_read_now(file, in, 65536, 0, &len));
	ck_assert_uint_eq(len, 65536);
	memset(out + 16384, 0, 49152);
	ck_assert_mem_eq(in, out, 65536);
	disk_close(file);
	free(out);
	free(in);
	world_close(&world);
}
END_TEST

START_TEST(space_is_allocated_and_cut)
{
	struct world world;
	world_open(&world, _i);
	struct disk_file *file = create(&world, "file", 0);
	uint64_t size;
	ck_assert_ok(disk_allocate(file, 1 << 20));
	ck_assert_ok(disk_size(file, &size));
	ck_assert_uint_eq(size, 1 << 20);
	ck_assert_ok(disk_allocate(file, 4096));
	ck_assert_ok(disk_size(file, &size));
	ck_assert_uint_eq(size, 1 << 20);
	uint8_t in[16];
	size_t len;
	ck_assert_ok(disk_read_now(file, in, sizeof in, (1 << 20) - 8, &len));
	ck_assert_uint_eq(len, 8);
	ck_assert_mem_eq(in, "\0\0\0\0\0\0\0\0", 8);
	ck_assert_ok(disk_truncate(file, 5000));
	ck_assert_ok(disk_size(file, &size));
	ck_assert_uint_eq(size, 5000);
	ck_assert_ok(disk_sync_now(file));
	disk_close(file);
	struct disk_space space;
	ck_assert_ok(disk_space(world.disk, &space));
	ck_assert(space.total > 0 && space.free <= space.total);
	world_close(&world);
}
END_TEST

enum { NAMES_CAP = 200 };

static void collect_name(void *arg, const char *name)
{
	char *names = arg;
	size_t len = strlen(names);
	snprintf(names + len, NAMES_CAP - len, "%s ", name);
}

START_TEST(names_are_made_renamed_removed_and_listed_in_order)
{
	struct world world;
	world_open(&world, _i);
	ck_assert_ok(disk_make_dir(world.disk, "sub"));
	ck_assert_ok(disk_make_dir(world.disk, "sub"));
	static const char *const made[] = {"sub/10", "b", "sub/9", "a", "sub/0A", "Z"};
	for (unsigned i = 0; i < ARRAY_COUNT(made); i++)
		disk_close(create(&world, made[i], DISK_EXCLUSIVE));
	ck_assert_ok(disk_rename(world.disk, "a", "sub/zz"));
	ck_assert_ok(disk_rename(world.disk, "sub/9", "b"));
	ck_assert_ok(disk_remove(world.disk, "Z"));
	ck_assert_ok(disk_sync_dir(world.disk));
	char names[NAMES_CAP] = "";
	ck_assert_ok(disk_list(world.disk, ".", collect_name, names));
	ck_assert_str_eq(names, "b sub ");
	names[0] = 0;
	ck_assert_ok(disk_list(world.disk, "sub", collect_name, names));
	ck_assert_str_eq(names, "0A 10 zz ");
	world_close(&world);
}
END_TEST

START_TEST(names_that_are_wrong_are_refused)
{
	struct world world;
	world_open(&world, _i);
	struct disk_file *file = NULL;
	disk_close(create(&world, "there", 0));
	ck_assert_ok(disk_make_dir(world.disk, "sub"));
	ck_assert_err(disk_open(world.disk, "missing", 0, &file), ERR_NOT_FOUND);
	ck_assert_err(disk_open(world.disk, "none/missing", DISK_CREATE, &file), ERR_NOT_FOUND);
	ck_assert_err(
		disk_open(world.disk, "there", DISK_CREATE | DISK_EXCLUSIVE, &file), ERR_EXISTS);
	static const char *const bad[] = {
		"", ".", "..", "/", "/etc", "../x", "sub/../x", "sub/", "sub/..", "a/b/c", "./x"};
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		ck_assert_err(disk_open(world.disk, bad[i], DISK_CREATE, &file), ERR_INVALID);
		ck_assert_err(disk_remove(world.disk, bad[i]), ERR_INVALID);
		ck_assert_err(disk_rename(world.disk, "there", bad[i]), ERR_INVALID);
		ck_assert_err(disk_rename(world.disk, bad[i], "there"), ERR_INVALID);
		ck_assert_err(disk_make_dir(world.disk, bad[i]), ERR_INVALID);
	}
	ck_assert_err(disk_open(world.disk, "sub", 0, &file), ERR_INVALID);
	ck_assert_err(disk_remove(world.disk, "missing"), ERR_NOT_FOUND);
	ck_assert_err(disk_rename(world.disk, "missing", "x"), ERR_NOT_FOUND);
	ck_assert_err(disk_list(world.disk, "missing", collect_name, NULL), ERR_NOT_FOUND);
	ck_assert_ptr_null(file);
	world_close(&world);
}
END_TEST

START_TEST(a_lock_keeps_others_with_a_lock_away_until_it_is_closed)
{
	struct world world;
	world_open(&world, _i);
	struct disk_file *first = create(&world, "file", DISK_LOCK), *second;
	ck_assert_err(disk_open(world.disk, "file", DISK_LOCK, &second), ERR_BUSY);
	ck_assert_ok(disk_open(world.disk, "file", 0, &second));
	disk_close(second);
	disk_close(first);
	ck_assert_ok(disk_open(world.disk, "file", DISK_LOCK, &second));
	disk_close(second);
	world_close(&world);
}
END_TEST

START_TEST(a_file_opened_to_read_is_not_written)
{
	struct world world;
	world_open(&world, _i);
	disk_close(create(&world, "file", 0));
	struct disk_file *file;
	ck_assert_ok(disk_open(world.disk, "file", DISK_READ_ONLY, &file));
	uint8_t *out = buffer(4096, 7);
	ck_assert_int_ne(
		perform_one(&world,
			(struct request){.kind = WRITE, .file = file, .buf = out, .len = 4096},
			NULL),
		ERR_OK);
	uint64_t size;
	ck_assert_ok(disk_size(file, &size));
	ck_assert_uint_eq(size, 0);
	disk_close(file);
	free(out);
	world_close(&world);
}
END_TEST

START_TEST(a_buffer_that_is_not_aligned_is_a_mistake_of_ours)
{
	struct world world;
	world_open(&world, _i);
	struct disk_file *file = create(&world, "file", DISK_DIRECT);
	uint8_t *out = buffer(8192, 8);
	if (!world.sim)
		test_dir_remove(world.dir);
	err_ignore(disk_write_now(file, out + 512, 4096, 0)); /* stops the process */
}
END_TEST

START_TEST(a_symbolic_link_is_not_followed)
{
	struct world world;
	world_open(&world, _i);
	char path[PATH_MAX + 16];
	snprintf(path, sizeof path, "%s/link", world.dir);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	snprintf(path, sizeof path, "%s/dir", world.dir);
	ck_assert_int_eq(symlink("/etc", path), 0);
	struct disk_file *file;
	ck_assert_err(disk_open(world.disk, "link", DISK_READ_ONLY, &file), ERR_DENIED);
	ck_assert_int_ne(disk_open(world.disk, "dir/passwd", DISK_READ_ONLY, &file), ERR_OK);
	ck_assert_int_ne(disk_list(world.disk, "dir", collect_name, path), ERR_OK);
	ck_assert_int_ne(disk_make_dir(world.disk, "dir"), ERR_OK);
	world_close(&world);
}
END_TEST

START_TEST(flushes_are_counted_and_made_as_slow_as_was_asked)
{
	struct world world;
	world_open(&world, COUNTED);
	struct disk_file *file = create(&world, "file", 0);
	uint8_t *buf = buffer(4096, 9);
	struct request requests[] = {
		{.kind = WRITE, .file = file, .buf = buf, .len = 4096, .flags = DISK_DSYNC},
		{.kind = SYNC, .file = file},
		{.kind = SYNC, .file = file},
	};
	uint64_t start_ns = clock_mono_ns(clock_real());
	perform(&world, requests, 3);
	ck_assert_uint_ge(clock_mono_ns(clock_real()) - start_ns, FLUSH_DELAY_US * 1000);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_ok(requests[i].op.err);
	ck_assert_uint_eq(requests[0].op.len, 4096);
	ck_assert_ok(perform_one(&world,
		(struct request){.kind = WRITE, .file = file, .buf = buf, .len = 4096}, NULL));
	size_t len;
	ck_assert_ok(disk_read_now(file, buf, 100, 0, &len));
	ck_assert_ok(disk_sync_dir(world.disk));
	struct disk_count_stats stats = disk_count_stats(world.count);
	ck_assert_uint_eq(stats.writes, 2);
	ck_assert_uint_eq(stats.written_len, 8192);
	ck_assert_uint_eq(stats.dsync_writes, 1);
	ck_assert_uint_eq(stats.syncs, 2);
	ck_assert_uint_eq(stats.dir_syncs, 1);
	ck_assert_uint_eq(stats.reads, 1);
	disk_close(file);
	free(buf);
	world_close(&world);
}
END_TEST

/* A read as a backend has it in hand, of 10000 bytes at 50000. */
static struct disk_op half_way(struct disk_file *file, enum disk_kind kind, uint8_t *buf)
{
	return (struct disk_op){.kind = kind, .file = file, .vec = {buf, 10000}, .offset = 50000};
}

START_TEST(a_call_cut_short_goes_on_where_it_ended)
{
	struct world world;
	world_open(&world, PLAIN);
	struct disk_file *file = create(&world, "file", 0);
	static uint8_t buf[10000];
	static const enum disk_kind kinds[] = {DISK_KIND_READ, DISK_KIND_WRITE};
	for (unsigned i = 0; i < 2; i++) {
		struct disk_op op = half_way(file, kinds[i], buf);
		ck_assert(!disk_file_step(&op, -EINTR));
		ck_assert(!disk_file_step(&op, -EAGAIN));
		ck_assert_uint_eq(op.offset, 50000);
		ck_assert(!disk_file_step(&op, 4096));
		ck_assert_uint_eq(op.offset, 54096);
		ck_assert_ptr_eq(op.vec.iov_base, buf + 4096);
		ck_assert_uint_eq(op.vec.iov_len, 10000 - 4096);
		struct disk_op ended = op, failed = op;
		ck_assert(disk_file_step(&op, 10000 - 4096));
		ck_assert_ok(op.err);
		ck_assert_uint_eq(op.len, 10000);
		ck_assert(disk_file_step(&ended, 0));
		ck_assert_int_eq(ended.err, kinds[i] == DISK_KIND_READ ? ERR_OK : ERR_IO);
		ck_assert_uint_eq(ended.len, 4096);
		ck_assert(disk_file_step(&failed, -ENOSPC));
		ck_assert_err(failed.err, ERR_NO_SPACE);
	}
	disk_close(file);
	world_close(&world);
}
END_TEST

START_TEST(the_environment_can_forbid_io_uring)
{
	struct server_loop *loop;
	struct server_loop_options options = {0};
	ck_assert_int_eq(setenv("RUBUS_NO_IO_URING", "1", 1), 0);
	ck_assert_ok(server_loop_new(0, "test", &options, &loop));
	ck_assert_ptr_null(server_loop_uring(server_loop_base(loop)));
	server_loop_free(loop);
}
END_TEST

START_TEST(a_directory_that_is_not_there_is_no_disk)
{
	struct disk *disk;
	ck_assert_err(server_disk_new("/nonexistent/rubus", NULL, &disk), ERR_NOT_FOUND);
	ck_assert_err(server_disk_new("/etc/passwd", NULL, &disk), ERR_INVALID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("disk");
	TCase *tc = tcase_create("disk");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, what_is_written_is_read_back, 0, BACKENDS);
	tcase_add_loop_test(tc, a_read_is_short_only_at_the_end_of_the_file, 0, BACKENDS);
	tcase_add_loop_test(tc, hundreds_of_operations_at_once_each_end_once, 0, BACKENDS);
	tcase_add_loop_test(tc, a_punched_range_reads_as_zeros_and_the_length_stays, 0, BACKENDS);
	tcase_add_loop_test(tc, space_is_allocated_and_cut, 0, BACKENDS);
	tcase_add_loop_test(tc, names_are_made_renamed_removed_and_listed_in_order, 0, BACKENDS);
	tcase_add_loop_test(tc, names_that_are_wrong_are_refused, 0, BACKENDS);
	tcase_add_loop_test(
		tc, a_lock_keeps_others_with_a_lock_away_until_it_is_closed, 0, BACKENDS);
	tcase_add_loop_test(tc, a_file_opened_to_read_is_not_written, 0, BACKENDS);
	tcase_add_loop_test_raise_signal(
		tc, a_buffer_that_is_not_aligned_is_a_mistake_of_ours, SIGABRT, 0, BACKENDS);
	tcase_add_loop_test(tc, a_symbolic_link_is_not_followed, 0, PLAIN + 1);
	tcase_add_test(tc, flushes_are_counted_and_made_as_slow_as_was_asked);
	tcase_add_test(tc, a_call_cut_short_goes_on_where_it_ended);
	tcase_add_test(tc, the_environment_can_forbid_io_uring);
	tcase_add_test(tc, a_directory_that_is_not_there_is_no_disk);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
