/* SPDX-License-Identifier: Apache-2.0 */
#include "server/disk_count.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "server/thread.h"
#include "storage/bytes.h"

/* All flushes are delayed by the same time, so they are due in the order in which they end, and a
 * thread that sleeps until the first of them is due serves them all. */
struct disk_count {
	struct disk base;
	struct disk *inner;
	uint64_t flush_delay_ns;
	_Atomic uint64_t reads, read_len, writes, written_len, syncs, dsync_writes, dir_syncs,
		punches;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct delayed *first;
	struct delayed **tail;
	bool is_stopping;
};

struct count_file {
	struct disk_file base;
	struct disk_file *inner;
};

/* A flush of its own, in the place of the caller's. */
struct delayed {
	struct disk_op op;
	struct disk_op *outer;
	struct disk_count *count;
	uint64_t due_ns;
	struct task task;
	struct delayed *next;
};

static struct disk_count *count_of(struct disk *base)
{
	return CONTAINER_OF(base, struct disk_count, base);
}

static struct disk_file *inner_of(struct disk_file *base)
{
	return CONTAINER_OF(base, struct count_file, base)->inner;
}

static void add(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static void count_write(struct disk_file *file, size_t len)
{
	add(&count_of(file->disk)->writes, 1);
	add(&count_of(file->disk)->written_len, len);
}

static void count_read(struct disk_file *file, size_t len)
{
	add(&count_of(file->disk)->reads, 1);
	add(&count_of(file->disk)->read_len, len);
}

/* --- delays ------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void sleep_until(uint64_t due_ns)
{
	struct timespec ts = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) != 0)
		;
}

static void delay_ended(struct task *task)
{
	struct delayed *delayed = CONTAINER_OF(task, struct delayed, task);
	struct disk_op *outer = delayed->outer;
	outer->err = delayed->op.err;
	outer->len = delayed->op.len;
	free(delayed);
	outer->done(outer);
}

static void *delay_main(void *arg)
{
	struct disk_count *count = arg;
	thread_set_name("flush delay");
	pthread_mutex_lock(&count->lock);
	for (;;) {
		while (!count->first && !count->is_stopping)
			pthread_cond_wait(&count->changed, &count->lock);
		struct delayed *delayed = count->first;
		if (!delayed)
			break;
		count->first = delayed->next;
		if (!count->first)
			count->tail = &count->first;
		pthread_mutex_unlock(&count->lock);
		sleep_until(delayed->due_ns);
		delayed->task.run = delay_ended;
		loop_post(delayed->op.loop, &delayed->task);
		pthread_mutex_lock(&count->lock);
	}
	pthread_mutex_unlock(&count->lock);
	return NULL;
}

static void flush_done(struct disk_op *op)
{
	struct delayed *delayed = CONTAINER_OF(op, struct delayed, op);
	struct disk_count *count = delayed->count;
	delayed->due_ns = now_ns() + count->flush_delay_ns;
	pthread_mutex_lock(&count->lock);
	*count->tail = delayed;
	count->tail = &delayed->next;
	pthread_mutex_unlock(&count->lock);
	pthread_cond_signal(&count->changed);
}

/* The operation to start in the place of a flush: another one, or the same without a delay. */
static struct disk_op *delay(struct disk_count *count, struct disk_op *op)
{
	if (count->flush_delay_ns == 0)
		return op;
	struct delayed *delayed = calloc(1, sizeof *delayed);
	if (!delayed)
		return op;
	delayed->op.done = flush_done;
	delayed->op.loop = op->loop;
	delayed->outer = op;
	delayed->count = count;
	return &delayed->op;
}

static void delay_now(struct disk_count *count)
{
	if (count->flush_delay_ns > 0)
		sleep_until(now_ns() + count->flush_delay_ns);
}

/* --- the seam ----------------------------------------------------------------------------- */

static enum err count_open(
	struct disk *base, const char *name, unsigned flags, struct disk_file **ret_file)
{
	struct count_file *file = calloc(1, sizeof *file);
	if (!file)
		return ERR_NO_MEMORY;
	enum err err = disk_open(count_of(base)->inner, name, flags, &file->inner);
	if (err != ERR_OK) {
		free(file);
		return err;
	}
	file->base.disk = base;
	*ret_file = &file->base;
	return ERR_OK;
}

static void count_close(struct disk_file *base)
{
	disk_close(inner_of(base));
	free(CONTAINER_OF(base, struct count_file, base));
}

static enum err count_size(struct disk_file *file, uint64_t *ret_size)
{
	return disk_size(inner_of(file), ret_size);
}

static enum err count_allocate(struct disk_file *file, uint64_t len)
{
	return disk_allocate(inner_of(file), len);
}

static enum err count_truncate(struct disk_file *file, uint64_t len)
{
	return disk_truncate(inner_of(file), len);
}

static enum err count_read_now(
	struct disk_file *file, void *buf, size_t len, uint64_t offset, size_t *ret_len)
{
	count_read(file, len);
	return disk_read_now(inner_of(file), buf, len, offset, ret_len);
}

static enum err count_write_now(
	struct disk_file *file, const void *buf, size_t len, uint64_t offset)
{
	count_write(file, len);
	return disk_write_now(inner_of(file), buf, len, offset);
}

static enum err count_sync_now(struct disk_file *file)
{
	add(&count_of(file->disk)->syncs, 1);
	enum err err = disk_sync_now(inner_of(file));
	delay_now(count_of(file->disk));
	return err;
}

static enum err count_sync_dir(struct disk *base)
{
	add(&count_of(base)->dir_syncs, 1);
	enum err err = disk_sync_dir(count_of(base)->inner);
	delay_now(count_of(base));
	return err;
}

static enum err count_rename(struct disk *base, const char *from, const char *to)
{
	return disk_rename(count_of(base)->inner, from, to);
}

static enum err count_remove(struct disk *base, const char *name)
{
	return disk_remove(count_of(base)->inner, name);
}

static enum err count_list(
	struct disk *base, const char *dir, void (*found)(void *arg, const char *name), void *arg)
{
	return disk_list(count_of(base)->inner, dir, found, arg);
}

static enum err count_make_dir(struct disk *base, const char *name)
{
	return disk_make_dir(count_of(base)->inner, name);
}

static enum err count_space(struct disk *base, struct disk_space *ret_space)
{
	return disk_space(count_of(base)->inner, ret_space);
}

static void start_read(
	struct disk_op *op, struct disk_file *file, void *buf, size_t len, uint64_t offset)
{
	count_read(file, len);
	disk_read(op, inner_of(file), buf, len, offset);
}

static void start_write(struct disk_op *op, struct disk_file *file, const void *buf, size_t len,
	uint64_t offset, unsigned flags)
{
	count_write(file, len);
	if (flags & DISK_DSYNC) {
		add(&count_of(file->disk)->dsync_writes, 1);
		op = delay(count_of(file->disk), op);
	}
	disk_write(op, inner_of(file), buf, len, offset, flags);
}

static void start_sync(struct disk_op *op, struct disk_file *file)
{
	add(&count_of(file->disk)->syncs, 1);
	disk_sync(delay(count_of(file->disk), op), inner_of(file));
}

static void start_punch(struct disk_op *op, struct disk_file *file, uint64_t offset, uint64_t len)
{
	add(&count_of(file->disk)->punches, 1);
	disk_punch(op, inner_of(file), offset, len);
}

static const struct disk_ops ops = {
	.open = count_open,
	.close = count_close,
	.size = count_size,
	.allocate = count_allocate,
	.truncate = count_truncate,
	.read_now = count_read_now,
	.write_now = count_write_now,
	.sync_now = count_sync_now,
	.sync_dir = count_sync_dir,
	.rename = count_rename,
	.remove = count_remove,
	.list = count_list,
	.make_dir = count_make_dir,
	.space = count_space,
	.read = start_read,
	.write = start_write,
	.sync = start_sync,
	.punch = start_punch,
};

enum err disk_count_new(struct disk *inner, unsigned flush_delay_us, struct disk_count **ret_count)
{
	struct disk_count *count = calloc(1, sizeof *count);
	if (!count)
		return ERR_NO_MEMORY;
	count->base = (struct disk){.ops = &ops, .path = inner->path};
	count->inner = inner;
	count->flush_delay_ns = (uint64_t)flush_delay_us * 1000;
	count->tail = &count->first;
	pthread_mutex_init(&count->lock, NULL);
	pthread_cond_init(&count->changed, NULL);
	if (flush_delay_us > 0) {
		enum err err = thread_start(&count->thread, delay_main, count);
		if (err != ERR_OK) {
			free(count);
			return err;
		}
	}
	*ret_count = count;
	return ERR_OK;
}

void disk_count_free(struct disk_count *count)
{
	if (!count)
		return;
	if (count->flush_delay_ns > 0) {
		pthread_mutex_lock(&count->lock);
		count->is_stopping = true;
		pthread_mutex_unlock(&count->lock);
		pthread_cond_signal(&count->changed);
		pthread_join(count->thread, NULL);
	}
	pthread_cond_destroy(&count->changed);
	pthread_mutex_destroy(&count->lock);
	free(count);
}

struct disk *disk_count_disk(struct disk_count *count)
{
	return &count->base;
}

struct disk_count_stats disk_count_stats(const struct disk_count *count)
{
	return (struct disk_count_stats){
		.reads = count->reads,
		.read_len = count->read_len,
		.writes = count->writes,
		.written_len = count->written_len,
		.syncs = count->syncs,
		.dsync_writes = count->dsync_writes,
		.dir_syncs = count->dir_syncs,
		.punches = count->punches,
	};
}
