/* SPDX-License-Identifier: Apache-2.0 */
/* The disk that a mirror is.
 *
 * A call that blocks goes to the copies one after the other; when some do it and some do not, those
 * that did not are dropped (M2). A read is served by the first copy that can. The one write in
 * flight goes to all at once:
 *
 *   started → all have answered, or were given up → (set changed, on the worker) → done() */
#include <stdio.h>
#include <stdlib.h>

#include "storage/meta/log_mirror_priv.h"

static struct log_mirror *mirror_of(struct disk *disk)
{
	struct log_mirror *mirror = CONTAINER_OF(disk, struct log_mirror, disk);
	assert(mirror->magic == MIRROR_MAGIC);
	return mirror;
}

static struct mirror_file *file_of(struct disk_file *file)
{
	struct mirror_file *f = CONTAINER_OF(file, struct mirror_file, file);
	assert(f->mirror->magic == MIRROR_MAGIC);
	return f;
}

static struct disk *disk_of(const struct log_mirror *mirror, unsigned slot)
{
	return mirror->setup.homes[mirror->slots[slot].home].disk;
}

void mirror_fail(struct log_mirror *mirror, unsigned slot, enum err err)
{
	int none = ERR_OK;
	assert(err != ERR_OK);
	if (!atomic_compare_exchange_strong(&mirror->slots[slot].err, &none, err))
		return;
	pthread_mutex_lock(&mirror->lock);
	mirror->dropped++;
	pthread_mutex_unlock(&mirror->lock);
	trace_event(mirror->setup.trace, TRACE_ERROR, 0,
		"log: %s: %s, this copy of the log is dropped", disk_of(mirror, slot)->path,
		err_text(err));
}

/* --- calls that block ------------------------------------------------------------------------- */

/* What the slots answered to one call; -1: not asked. */
struct answers {
	int errs[LOG_SLOTS_MAX];
};

static struct answers no_answers(void)
{
	struct answers answers;
	for (unsigned i = 0; i < LOG_SLOTS_MAX; i++)
		answers.errs[i] = -1;
	return answers;
}

/* One answer of all (M2): those who failed alone are dropped. */
static enum err judge(struct log_mirror *mirror, const struct answers *answers)
{
	enum err first = ERR_IO;
	bool is_any = false, has_ok = false;
	for (unsigned i = 0; i < mirror->slot_count; i++) {
		if (answers->errs[i] < 0)
			continue;
		has_ok |= answers->errs[i] == ERR_OK;
		if (!is_any)
			first = answers->errs[i];
		is_any = true;
	}
	for (unsigned i = 0; i < mirror->slot_count && has_ok; i++)
		if (answers->errs[i] > ERR_OK)
			mirror_fail(mirror, i, answers->errs[i]);
	return has_ok ? ERR_OK : first;
}

/* Calls op(slot) for each slot that is in sync. */
#define FOR_EACH_SLOT(mirror, slot, call) \
	struct answers answers = no_answers(); \
	pthread_rwlock_rdlock(&(mirror)->calls); \
	for (unsigned slot = 0; slot < (mirror)->slot_count; slot++) \
		if (mirror_slot_is_in(mirror, slot)) \
			answers.errs[slot] = (call); \
	enum err err = judge(mirror, &answers); \
	pthread_rwlock_unlock(&(mirror)->calls)

static enum err missing_file(struct mirror_file *file, unsigned slot)
{
	return file->files[slot] ? ERR_OK : ERR_NOT_FOUND;
}

static void close_files(struct mirror_file *file)
{
	for (unsigned i = 0; i < LOG_SLOTS_MAX; i++) {
		struct log_slot *slot = &file->mirror->slots[i];
		if (slot->in_flight && slot->file == file->files[i])
			slot->is_left = true; /* a write that was given up still needs it */
		else
			disk_close(file->files[i]);
	}
}

static enum err mirror_open(
	struct disk *disk, const char *name, unsigned flags, struct disk_file **ret_file)
{
	struct log_mirror *mirror = mirror_of(disk);
	struct mirror_file *file = calloc(1, sizeof *file);
	if (!file)
		return ERR_NO_MEMORY;
	file->file.disk = disk;
	file->mirror = mirror;
	file->flags = flags & ~(DISK_CREATE | DISK_EXCLUSIVE);
	snprintf(file->name, sizeof file->name, "%s", name);
	pthread_rwlock_rdlock(&mirror->calls);
	struct answers answers = no_answers();
	for (unsigned i = 0; i < mirror->slot_count; i++)
		if (mirror_slot_is_in(mirror, i))
			answers.errs[i] = disk_open(
				disk_of(mirror, i), name, flags, &file->files[i]);
	enum err err = judge(mirror, &answers);
	if (err == ERR_OK) {
		pthread_mutex_lock(&mirror->lock);
		file->link = &mirror->files;
		file->next = mirror->files;
		if (file->next)
			file->next->link = &file->next;
		mirror->files = file;
		pthread_mutex_unlock(&mirror->lock);
		*ret_file = &file->file;
	}
	pthread_rwlock_unlock(&mirror->calls);
	if (err != ERR_OK)
		free(file);
	return err;
}

static void mirror_close(struct disk_file *base)
{
	struct mirror_file *file = file_of(base);
	struct log_mirror *mirror = file->mirror;
	pthread_mutex_lock(&mirror->lock);
	*file->link = file->next;
	if (file->next)
		file->next->link = file->link;
	pthread_mutex_unlock(&mirror->lock);
	close_files(file);
	free(file);
}

/* Under the lock, so that none of them is closed meanwhile. */
enum err mirror_open_files(struct log_mirror *mirror, unsigned slot)
{
	enum err err = ERR_OK;
	pthread_mutex_lock(&mirror->lock);
	for (struct mirror_file *file = mirror->files; file && err == ERR_OK; file = file->next)
		err = disk_open(disk_of(mirror, slot), file->name, file->flags, &file->files[slot]);
	pthread_mutex_unlock(&mirror->lock);
	return err;
}

static enum err mirror_size(struct disk_file *base, uint64_t *ret_size)
{
	struct mirror_file *file = file_of(base);
	FOR_EACH_SLOT(file->mirror, i,
		file->files[i] ? disk_size(file->files[i], ret_size) : missing_file(file, i));
	return err;
}

static enum err mirror_allocate(struct disk_file *base, uint64_t len)
{
	struct mirror_file *file = file_of(base);
	FOR_EACH_SLOT(file->mirror, i,
		file->files[i] ? disk_allocate(file->files[i], len) : missing_file(file, i));
	return err;
}

static enum err mirror_truncate(struct disk_file *base, uint64_t len)
{
	struct mirror_file *file = file_of(base);
	FOR_EACH_SLOT(file->mirror, i,
		file->files[i] ? disk_truncate(file->files[i], len) : missing_file(file, i));
	return err;
}

static enum err mirror_write_now(
	struct disk_file *base, const void *buf, size_t len, uint64_t offset)
{
	struct mirror_file *file = file_of(base);
	FOR_EACH_SLOT(file->mirror, i,
		file->files[i] ? disk_write_now(file->files[i], buf, len, offset)
			       : missing_file(file, i));
	return err;
}

static enum err mirror_sync_now(struct disk_file *base)
{
	struct mirror_file *file = file_of(base);
	FOR_EACH_SLOT(file->mirror, i,
		file->files[i] ? disk_sync_now(file->files[i]) : missing_file(file, i));
	return err;
}

static enum err mirror_sync_dir(struct disk *disk)
{
	struct log_mirror *mirror = mirror_of(disk);
	FOR_EACH_SLOT(mirror, i, disk_sync_dir(disk_of(mirror, i)));
	return err;
}

static enum err mirror_rename(struct disk *disk, const char *from, const char *to)
{
	struct log_mirror *mirror = mirror_of(disk);
	FOR_EACH_SLOT(mirror, i, disk_rename(disk_of(mirror, i), from, to));
	return err;
}

static enum err mirror_remove(struct disk *disk, const char *name)
{
	struct log_mirror *mirror = mirror_of(disk);
	FOR_EACH_SLOT(mirror, i, disk_remove(disk_of(mirror, i), name));
	return err;
}

static enum err mirror_make_dir(struct disk *disk, const char *name)
{
	struct log_mirror *mirror = mirror_of(disk);
	FOR_EACH_SLOT(mirror, i, disk_make_dir(disk_of(mirror, i), name));
	return err;
}

/* The least that any copy has. */
static enum err least_space(struct disk *disk, struct disk_space *least)
{
	struct disk_space space;
	enum err err = disk_space(disk, &space);
	if (err == ERR_OK && space.free < least->free)
		*least = space;
	return err;
}

static enum err mirror_space(struct disk *disk, struct disk_space *ret_space)
{
	struct log_mirror *mirror = mirror_of(disk);
	struct disk_space least = {.free = UINT64_MAX};
	FOR_EACH_SLOT(mirror, i, least_space(disk_of(mirror, i), &least));
	if (err == ERR_OK)
		*ret_space = least;
	return err;
}

/* --- reading: the first copy that can --------------------------------------------------------- */

static enum err mirror_read_now(
	struct disk_file *base, void *buf, size_t len, uint64_t offset, size_t *ret_len)
{
	struct mirror_file *file = file_of(base);
	struct log_mirror *mirror = file->mirror;
	struct answers answers = no_answers();
	bool is_read = false;
	pthread_rwlock_rdlock(&mirror->calls);
	for (unsigned i = 0; i < mirror->slot_count && !is_read; i++) {
		if (!mirror_slot_is_in(mirror, i) || !file->files[i])
			continue;
		answers.errs[i] = disk_read_now(file->files[i], buf, len, offset, ret_len);
		is_read = answers.errs[i] == ERR_OK;
	}
	enum err err = judge(mirror, &answers);
	pthread_rwlock_unlock(&mirror->calls);
	return err;
}

struct listing {
	void (*found)(void *arg, const char *name);
	void *arg;
	bool has_begun;
};

static void found_name(void *arg, const char *name)
{
	struct listing *listing = arg;
	listing->has_begun = true;
	listing->found(listing->arg, name);
}

static enum err mirror_list(
	struct disk *disk, const char *dir, void (*found)(void *arg, const char *name), void *arg)
{
	struct log_mirror *mirror = mirror_of(disk);
	struct listing listing = {found, arg, false};
	struct answers answers = no_answers();
	bool is_over = false;
	pthread_rwlock_rdlock(&mirror->calls);
	for (unsigned i = 0; i < mirror->slot_count && !is_over; i++) {
		if (!mirror_slot_is_in(mirror, i))
			continue;
		answers.errs[i] = disk_list(disk_of(mirror, i), dir, found_name, &listing);
		is_over = answers.errs[i] == ERR_OK || listing.has_begun;
	}
	enum err err = judge(mirror, &answers);
	pthread_rwlock_unlock(&mirror->calls);
	return err;
}

/* --- the write -------------------------------------------------------------------------------- */

static void end_write(struct log_mirror *mirror, enum err err)
{
	struct disk_op *write = mirror->write;
	mirror->write = NULL;
	write->err = err;
	write->done(write);
}

static void change_done(struct work *work)
{
	struct log_mirror *mirror = CONTAINER_OF(work, struct log_mirror, change);
	end_write(mirror, mirror->change_err);
}

/* The copies that the write went to and that failed, and those that failed otherwise. */
static void settle(struct log_mirror *mirror)
{
	bool has_ok = false, has_failed = false;
	enum err err = ERR_IO;
	for (unsigned i = 0; i < mirror->slot_count; i++) {
		const struct log_slot *slot = &mirror->slots[i];
		if (slot->is_waited)
			return;
		bool is_member = log_set_has(&mirror->set, mirror->setup.homes[slot->home].id);
		bool is_in = mirror_slot_is_in(mirror, i);
		has_ok |= is_in;
		has_failed |= is_member && !is_in;
		if (is_member && !is_in)
			err = atomic_load(&slot->err);
	}
	if (!has_ok) {
		end_write(mirror, err);
	} else if (has_failed || mirror->setup.home_count < atomic_load(&mirror->offered_count)) {
		worker_submit(mirror->setup.worker, &mirror->change);
	} else {
		end_write(mirror, ERR_OK);
	}
}

static void none_run(struct task *task)
{
	settle(CONTAINER_OF(task, struct log_mirror, none_task));
}

static void slot_written(struct disk_op *op)
{
	struct log_slot *slot = CONTAINER_OF(op, struct log_slot, op);
	struct log_mirror *mirror = slot->mirror;
	assert(mirror->magic == MIRROR_MAGIC && slot->in_flight);
	slot->in_flight = false;
	if (slot->is_left)
		disk_close(slot->file);
	if (!slot->is_waited)
		return; /* it was given up */
	slot->is_waited = false;
	if (op->err != ERR_OK)
		mirror_fail(mirror, slot - mirror->slots, op->err);
	settle(mirror);
}

/* Gives up those who do not answer while another one did. */
static void give_up(struct log_mirror *mirror)
{
	bool has_answered = false, is_waited = false;
	for (unsigned i = 0; i < mirror->slot_count; i++) {
		is_waited |= mirror->slots[i].is_waited;
		has_answered |= !mirror->slots[i].is_waited && mirror_slot_is_in(mirror, i);
	}
	if (!is_waited || !has_answered)
		return;
	for (unsigned i = 0; i < mirror->slot_count; i++) {
		if (!mirror->slots[i].is_waited)
			continue;
		mirror->slots[i].is_waited = false;
		mirror_fail(mirror, i, ERR_TIMEOUT);
	}
	settle(mirror);
}

/* Looks once in answer_ms while something is written: a write that was there at the last look is
 * late. */
static void timer_fired(struct timer *timer)
{
	struct log_mirror *mirror = CONTAINER_OF(timer, struct log_mirror, timer);
	if (!mirror->write)
		return;
	bool is_late = mirror->seen_number == mirror->write_number;
	mirror->seen_number = mirror->write_number;
	timer_set(mirror->setup.loop, timer, mirror->setup.answer_ms);
	if (is_late)
		give_up(mirror);
}

static void mirror_write(struct disk_op *op, struct disk_file *base, const void *buf, size_t len,
	uint64_t offset, unsigned flags)
{
	struct mirror_file *file = file_of(base);
	struct log_mirror *mirror = file->mirror;
	assert(!mirror->write && op->loop == mirror->setup.loop);
	bool is_taken = false;
	mirror->write = op;
	mirror->write_number++;
	for (unsigned i = 0; i < mirror->slot_count; i++) {
		struct log_slot *slot = &mirror->slots[i];
		if (!mirror_slot_is_in(mirror, i))
			continue;
		if (!file->files[i]) {
			mirror_fail(mirror, i, ERR_NOT_FOUND);
			continue;
		}
		assert(!slot->in_flight);
		slot->in_flight = slot->is_waited = is_taken = true;
		slot->op.done = slot_written;
		slot->op.loop = op->loop;
		slot->file = file->files[i];
		disk_write(&slot->op, file->files[i], buf, len, offset, flags);
	}
	if (!is_taken)
		loop_post(op->loop, &mirror->none_task);
	else if (!mirror->timer.is_set)
		timer_set(op->loop, &mirror->timer, mirror->setup.answer_ms);
}

/* A log reads, flushes and punches nothing asynchronously. */
static const struct disk_ops mirror_ops = {
	.open = mirror_open,
	.close = mirror_close,
	.size = mirror_size,
	.allocate = mirror_allocate,
	.truncate = mirror_truncate,
	.read_now = mirror_read_now,
	.write_now = mirror_write_now,
	.sync_now = mirror_sync_now,
	.sync_dir = mirror_sync_dir,
	.rename = mirror_rename,
	.remove = mirror_remove,
	.list = mirror_list,
	.make_dir = mirror_make_dir,
	.space = mirror_space,
	.write = mirror_write,
};

void mirror_init_disk(struct log_mirror *mirror)
{
	mirror->disk = (struct disk){&mirror_ops, "the mirrored log"};
	mirror->change = (struct work){
		.run = mirror_change_run, .done = change_done, .loop = mirror->setup.loop};
	mirror->none_task.run = none_run;
	mirror->timer.fire = timer_fired;
}

struct disk *log_mirror_disk(struct log_mirror *mirror)
{
	return &mirror->disk;
}
