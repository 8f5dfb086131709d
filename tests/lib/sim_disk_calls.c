/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/sim_disk_priv.h"

enum { UNLIMITED_GIB = 1024 };

/* An operation in flight. */
struct flight {
	struct disk_op *op;
	struct sim_disk *disk;
	struct sim_file *file;
	enum sim_call call;
	enum sim_fault fault;
	uint64_t mark; /* what a sync covers */
	uint8_t *data; /* what a write was asked to write */
};

static struct sim_disk *disk_of(struct disk *base)
{
	return CONTAINER_OF(base, struct sim_disk, base);
}

static struct sim_handle *handle_of(struct disk_file *base)
{
	struct sim_handle *handle = CONTAINER_OF(base, struct sim_handle, base);
	assert(!handle->is_dead);
	return handle;
}

/* Begins a blocking call: it takes its time, and fails in the ways that are the same for all. */
static enum err begin(
	struct sim_disk *disk, enum sim_call call, size_t len, enum sim_fault *ret_fault)
{
	enum sim_fault fault = sim_disk_meet(disk, call);
	sim_spend(disk->sim, sim_disk_latency_ns(disk, call, len, fault == SIM_SLOW));
	*ret_fault = fault;
	if (fault == SIM_GONE)
		return ERR_IO;
	if (fault == SIM_EIO && call != SIM_WRITE && call != SIM_SYNC)
		return ERR_IO;
	return fault == SIM_FULL ? ERR_NO_SPACE : ERR_OK;
}

static enum err begin_plain(struct sim_disk *disk, enum sim_call call)
{
	enum sim_fault fault;
	return begin(disk, call, 0, &fault);
}

/* --- space -------------------------------------------------------------------------------- */

static bool has_room(
	const struct sim_disk *disk, const struct sim_file *file, uint64_t offset, uint64_t len)
{
	if (disk->capacity == 0)
		return true;
	uint64_t wanted = sim_file_holes(file, offset, len) * DISK_BLOCK_LEN;
	return wanted == 0 || sim_disk_used(disk) + wanted <= disk->capacity;
}

/* --- what the operations do --------------------------------------------------------------- */

/* Another place for a write: of this file, or of any. */
static void misdirect(struct sim_disk *disk, struct sim_file **file, uint64_t *offset)
{
	const struct sim_name *name;
	size_t count = 0;
	struct sim_file *chosen = *file;
	if (sim_random(disk->sim) % 2)
		for (size_t i = 0; (name = sim_names_at(disk->names, i)); i++)
			if (name->file && sim_random_below(disk->sim, ++count) == 0)
				chosen = name->file;
	uint64_t blocks = sim_file_size(chosen) / DISK_BLOCK_LEN + 1;
	uint64_t elsewhere = sim_random_below(disk->sim, blocks) * DISK_BLOCK_LEN;
	if (chosen == *file && elsewhere == *offset)
		elsewhere += DISK_BLOCK_LEN;
	*file = chosen;
	*offset = elsewhere;
}

static enum err do_write(struct sim_disk *disk, struct sim_file *file, const void *data, size_t len,
	uint64_t offset, bool is_dsync, enum sim_fault fault)
{
	switch (fault) {
	case SIM_GONE:
		return ERR_IO;
	case SIM_EIO:
		sim_file_tear(file, disk->sim, offset, data, len);
		return ERR_IO;
	case SIM_FULL:
		return ERR_NO_SPACE;
	case SIM_LOST:
		return ERR_OK;
	case SIM_TORN:
		sim_file_tear(file, disk->sim, offset, data, len);
		return ERR_OK;
	case SIM_MISDIRECTED:
		misdirect(disk, &file, &offset);
		break;
	default:
		break;
	}
	if (!has_room(disk, file, offset, len))
		return ERR_NO_SPACE;
	disk->stats.written_len += len;
	sim_file_change(file, SIM_CHANGE_WRITE, offset, data, len, is_dsync && fault != SIM_LIES);
	return ERR_OK;
}

static enum err do_sync(
	struct sim_disk *disk, struct sim_file *file, uint64_t mark, enum sim_fault fault)
{
	if (fault == SIM_GONE)
		return ERR_IO;
	if (fault == SIM_EIO) {
		sim_file_doom(file, disk->sim);
		return ERR_IO;
	}
	if (fault != SIM_LIES)
		sim_file_flush(file, mark);
	return ERR_OK;
}

static enum err do_read(struct sim_disk *disk, struct sim_file *file, void *buf, size_t len,
	uint64_t offset, enum sim_fault fault, size_t *ret_len)
{
	if (fault == SIM_GONE || fault == SIM_EIO)
		return ERR_IO;
	if (fault == SIM_ROT)
		sim_disk_rot_range(disk, file, offset, len);
	*ret_len = sim_file_read(file, buf, len, offset);
	disk->stats.read_len += *ret_len;
	return ERR_OK;
}

/* --- blocking calls ----------------------------------------------------------------------- */

static void check_alignment(
	const struct sim_handle *handle, const void *buf, size_t len, uint64_t offset)
{
	if (!(handle->flags & DISK_DIRECT))
		return;
	assert((uintptr_t)buf % DISK_BLOCK_LEN == 0);
	assert(len % DISK_BLOCK_LEN == 0);
	assert(offset % DISK_BLOCK_LEN == 0);
}

static bool is_locked(const struct sim_disk *disk, const struct sim_file *file)
{
	for (struct sim_handle *handle = disk->handles; handle; handle = handle->next)
		if (handle->file == file && handle->flags & DISK_LOCK)
			return true;
	return false;
}

static enum err find_or_make(
	struct sim_disk *disk, const char *text, unsigned flags, struct sim_file **ret_file)
{
	const struct sim_name *name = sim_names_find(disk->names, text);
	if (name && !name->file)
		return ERR_INVALID;
	if (name) {
		if (flags & DISK_CREATE && flags & DISK_EXCLUSIVE)
			return ERR_EXISTS;
		if (flags & DISK_LOCK && is_locked(disk, name->file))
			return ERR_BUSY;
		sim_file_ref(name->file);
		*ret_file = name->file;
		return ERR_OK;
	}
	if (!(flags & DISK_CREATE))
		return ERR_NOT_FOUND;
	struct sim_file *file = sim_file_new(disk->file_number++);
	enum err err = sim_names_add(disk->names, text, file);
	if (err != ERR_OK) {
		sim_file_unref(file);
		return err;
	}
	*ret_file = file;
	return ERR_OK;
}

static enum err sim_open(
	struct disk *base, const char *name, unsigned flags, struct disk_file **ret_file)
{
	struct sim_disk *disk = disk_of(base);
	enum err err = begin_plain(disk, SIM_OPEN);
	if (err == ERR_OK && !sim_names_is_valid(name))
		err = ERR_INVALID;
	struct sim_file *file = NULL;
	if (err == ERR_OK)
		err = find_or_make(disk, name, flags, &file);
	sim_note(disk->sim, "open", sim_hash_bytes(name, strlen(name)), flags, err);
	if (err != ERR_OK)
		return err;
	struct sim_handle *handle = sim_must(calloc(1, sizeof *handle));
	*handle = (struct sim_handle){
		.base.disk = base, .file = file, .flags = flags, .next = disk->handles};
	disk->handles = handle;
	*ret_file = &handle->base;
	return ERR_OK;
}

void sim_disk_close_handle(struct disk_file *base)
{
	struct sim_handle *handle = CONTAINER_OF(base, struct sim_handle, base);
	struct sim_handle **link = &disk_of(base->disk)->handles;
	while (*link != handle)
		link = &(*link)->next;
	*link = handle->next;
	sim_file_unref(handle->file);
	free(handle);
}

static enum err sim_size(struct disk_file *base, uint64_t *ret_size)
{
	struct sim_handle *handle = handle_of(base);
	enum err err = begin_plain(disk_of(base->disk), SIM_SIZE);
	if (err == ERR_OK)
		*ret_size = sim_file_size(handle->file);
	return err;
}

static enum err sim_allocate(struct disk_file *base, uint64_t len)
{
	struct sim_handle *handle = handle_of(base);
	struct sim_disk *disk = disk_of(base->disk);
	enum err err = begin_plain(disk, SIM_ALLOCATE);
	if (err == ERR_OK && handle->flags & DISK_READ_ONLY)
		err = ERR_IO;
	if (err == ERR_OK && !has_room(disk, handle->file, 0, len))
		err = ERR_NO_SPACE;
	if (err == ERR_OK)
		sim_file_change(handle->file, SIM_CHANGE_ALLOCATE, 0, NULL, len, false);
	sim_note(disk->sim, "allocate", sim_file_number(handle->file), len, err);
	return err;
}

static enum err sim_truncate(struct disk_file *base, uint64_t len)
{
	struct sim_handle *handle = handle_of(base);
	struct sim_disk *disk = disk_of(base->disk);
	enum err err = begin_plain(disk, SIM_TRUNCATE);
	if (err == ERR_OK && handle->flags & DISK_READ_ONLY)
		err = ERR_IO;
	if (err == ERR_OK)
		sim_file_change(handle->file, SIM_CHANGE_TRUNCATE, len, NULL, 0, false);
	sim_note(disk->sim, "truncate", sim_file_number(handle->file), len, err);
	return err;
}

static enum err sim_read_now(
	struct disk_file *base, void *buf, size_t len, uint64_t offset, size_t *ret_len)
{
	struct sim_handle *handle = handle_of(base);
	struct sim_disk *disk = disk_of(base->disk);
	check_alignment(handle, buf, len, offset);
	enum sim_fault fault;
	enum err err = begin(disk, SIM_READ, len, &fault);
	if (err == ERR_OK)
		err = do_read(disk, handle->file, buf, len, offset, fault, ret_len);
	sim_note(disk->sim, "read_now", sim_file_number(handle->file), offset, err);
	return err;
}

static enum err sim_write_now(struct disk_file *base, const void *buf, size_t len, uint64_t offset)
{
	struct sim_handle *handle = handle_of(base);
	struct sim_disk *disk = disk_of(base->disk);
	check_alignment(handle, buf, len, offset);
	enum sim_fault fault;
	enum err err = begin(disk, SIM_WRITE, len, &fault);
	if (err == ERR_OK && handle->flags & DISK_READ_ONLY)
		err = ERR_IO;
	if (err == ERR_OK)
		err = do_write(disk, handle->file, buf, len, offset, false, fault);
	sim_note(disk->sim, "write_now", sim_file_number(handle->file), offset,
		sim_hash_bytes(buf, len));
	return err;
}

static enum err sim_sync_now(struct disk_file *base)
{
	struct sim_handle *handle = handle_of(base);
	struct sim_disk *disk = disk_of(base->disk);
	enum sim_fault fault;
	enum err err = begin(disk, SIM_SYNC, 0, &fault);
	if (err == ERR_OK)
		err = do_sync(disk, handle->file, sim_file_mark(handle->file), fault);
	sim_note(disk->sim, "sync_now", sim_file_number(handle->file), 0, err);
	return err;
}

static enum err sim_sync_dir(struct disk *base)
{
	struct sim_disk *disk = disk_of(base);
	enum sim_fault fault;
	enum err err = begin(disk, SIM_SYNC_DIR, 0, &fault);
	if (err == ERR_OK && fault != SIM_LIES)
		sim_names_flush(disk->names);
	sim_note(disk->sim, "sync_dir", fault, 0, err);
	return err;
}

static enum err sim_rename(struct disk *base, const char *from, const char *to)
{
	struct sim_disk *disk = disk_of(base);
	enum err err = begin_plain(disk, SIM_RENAME);
	if (err == ERR_OK && (!sim_names_is_valid(from) || !sim_names_is_valid(to)))
		err = ERR_INVALID;
	if (err == ERR_OK)
		err = sim_names_rename(disk->names, from, to);
	sim_note(disk->sim, "rename", sim_hash_bytes(from, strlen(from)),
		sim_hash_bytes(to, strlen(to)), err);
	return err;
}

static enum err sim_remove(struct disk *base, const char *name)
{
	struct sim_disk *disk = disk_of(base);
	enum err err = begin_plain(disk, SIM_REMOVE);
	if (err == ERR_OK && !sim_names_is_valid(name))
		err = ERR_INVALID;
	if (err == ERR_OK)
		err = sim_names_remove(disk->names, name);
	sim_note(disk->sim, "remove", sim_hash_bytes(name, strlen(name)), 0, err);
	return err;
}

/* The part of a path that a listing of dir shows, or NULL. */
static const char *shown_part(const char *path, const char *dir)
{
	if (strcmp(dir, ".") == 0)
		return strchr(path, '/') ? NULL : path;
	size_t len = strlen(dir);
	return strncmp(path, dir, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;
}

static enum err sim_list(
	struct disk *base, const char *dir, void (*found)(void *arg, const char *name), void *arg)
{
	struct sim_disk *disk = disk_of(base);
	enum sim_fault fault;
	enum err err = begin(disk, SIM_LIST, 0, &fault);
	if (err != ERR_OK)
		return err;
	const struct sim_name *name = sim_names_find(disk->names, dir);
	if (strcmp(dir, ".") != 0 && (!name || name->file))
		return name ? ERR_INVALID : ERR_NOT_FOUND;
	for (size_t i = 0; (name = sim_names_at(disk->names, i)); i++) {
		const char *part = shown_part(name->text, dir);
		if (part && !(fault == SIM_SHORT && sim_random(disk->sim) % 2))
			found(arg, part);
	}
	return ERR_OK;
}

static enum err sim_make_dir(struct disk *base, const char *name)
{
	struct sim_disk *disk = disk_of(base);
	enum err err = begin_plain(disk, SIM_MAKE_DIR);
	if (err == ERR_OK && (!sim_names_is_valid(name) || strchr(name, '/')))
		err = ERR_INVALID;
	const struct sim_name *there = sim_names_find(disk->names, name);
	if (err == ERR_OK && there)
		return there->file ? ERR_INVALID : ERR_OK;
	if (err == ERR_OK)
		err = sim_names_add(disk->names, name, NULL);
	return err;
}

static enum err sim_space(struct disk *base, struct disk_space *ret_space)
{
	struct sim_disk *disk = disk_of(base);
	enum err err = begin_plain(disk, SIM_SPACE);
	if (err != ERR_OK)
		return err;
	uint64_t total = disk->capacity ? disk->capacity : (uint64_t)UNLIMITED_GIB << 30;
	uint64_t taken = sim_disk_used(disk);
	*ret_space = (struct disk_space){total, taken < total ? total - taken : 0};
	return ERR_OK;
}

/* --- asynchronous operations -------------------------------------------------------------- */

static void flight_free(struct flight *flight)
{
	flight->disk->flight_count--;
	sim_file_unref(flight->file);
	free(flight->data);
	free(flight);
}

static void op_done(struct task *task)
{
	struct disk_op *op = CONTAINER_OF(task, struct disk_op, work.task);
	op->done(op);
}

static enum err flight_perform(struct flight *flight, struct disk_op *op)
{
	struct sim_disk *disk = flight->disk;
	enum err err;
	switch (flight->call) {
	case SIM_READ:
		return do_read(disk, flight->file, op->vec.iov_base, op->vec.iov_len, op->offset,
			flight->fault, &op->len);
	case SIM_WRITE:
		/* A borrowed buffer stays as it is. */
		assert(memcmp(flight->data, op->vec.iov_base, op->vec.iov_len) == 0);
		if (op->flags & DISK_READ_ONLY)
			return ERR_IO;
		err = do_write(disk, flight->file, flight->data, op->vec.iov_len, op->offset,
			op->flags & DISK_DSYNC, flight->fault);
		if (err == ERR_OK)
			op->len = op->vec.iov_len;
		return err;
	case SIM_SYNC:
		return do_sync(disk, flight->file, flight->mark, flight->fault);
	default:
		assert(flight->call == SIM_PUNCH);
		if (flight->fault == SIM_EIO || flight->fault == SIM_GONE)
			return ERR_IO;
		sim_file_change(flight->file, SIM_CHANGE_PUNCH, op->offset, NULL, op->extra, false);
		return ERR_OK;
	}
}

static void flight_end(void *arg)
{
	struct flight *flight = arg;
	struct disk_op *op = flight->op;
	struct sim_disk *disk = flight->disk;
	if (disk->is_gone)
		flight->fault = SIM_GONE;
	op->err = flight_perform(flight, op);
	sim_note(disk->sim, sim_call_name(flight->call), sim_file_number(flight->file), op->offset,
		flight->data ? sim_hash_bytes(flight->data, op->vec.iov_len) : op->err);
	flight_free(flight);
	op->work.task = (struct task){.run = op_done};
	loop_post(op->loop, &op->work.task);
}

/* The process is gone; the machine may still have done some of what it asked for. The operation
 * itself is not touched. */
static void flight_drop(void *arg)
{
	struct flight *flight = arg;
	struct sim_disk *disk = flight->disk;
	struct disk_op *op = flight->op;
	if (!disk->is_gone && flight->fault == SIM_FAULTS) {
		uint64_t fate = sim_random_below(disk->sim, 3);
		if (flight->call == SIM_WRITE && fate == 0)
			sim_file_tear(
				flight->file, disk->sim, op->offset, flight->data, op->vec.iov_len);
		else if (flight->call == SIM_WRITE && fate == 1)
			err_ignore(do_write(disk, flight->file, flight->data, op->vec.iov_len,
				op->offset, false, SIM_FAULTS)); /* nobody is left to be told */
		else if (flight->call == SIM_SYNC && fate == 1)
			sim_file_flush(flight->file, flight->mark);
		else if (flight->call == SIM_PUNCH && fate == 1)
			sim_file_change(
				flight->file, SIM_CHANGE_PUNCH, op->offset, NULL, op->extra, false);
	}
	flight_free(flight);
}

static void start(struct disk_op *op, struct disk_file *base, enum sim_call call, const void *buf,
	size_t len, uint64_t offset, unsigned flags)
{
	struct sim_handle *handle = handle_of(base);
	struct sim_disk *disk = disk_of(base->disk);
	assert(op->done && loop_is_current(op->loop));
	assert(sim_node_of(op->loop) == disk->node);
	check_alignment(handle, buf, len, offset);
	op->file = base;
	op->vec = (struct iovec){(void *)buf, len};
	op->offset = offset;
	op->flags = flags | (handle->flags & DISK_READ_ONLY);
	op->kind = call;
	op->err = ERR_OK;
	op->len = 0;

	struct flight *flight = sim_must(calloc(1, sizeof *flight));
	*flight = (struct flight){.op = op, .disk = disk, .file = handle->file, .call = call};
	flight->fault = sim_disk_meet(disk, call);
	flight->mark = sim_file_mark(handle->file);
	if (call == SIM_WRITE) {
		flight->data = sim_must(malloc(len + 1));
		memcpy(flight->data, buf, len);
	}
	sim_file_ref(handle->file);
	disk->flight_count++;
	uint64_t ns = sim_disk_latency_ns(disk, call, len, flight->fault == SIM_SLOW);
	if (flags & DISK_DSYNC) {
		disk->stats.dsync_writes++;
		ns += sim_disk_latency_ns(disk, SIM_SYNC, 0, false);
	}
	sim_later(disk->sim, disk->node, ns, flight_end, flight_drop, flight);
}

static void sim_read(
	struct disk_op *op, struct disk_file *file, void *buf, size_t len, uint64_t offset)
{
	start(op, file, SIM_READ, buf, len, offset, 0);
}

static void sim_write(struct disk_op *op, struct disk_file *file, const void *buf, size_t len,
	uint64_t offset, unsigned flags)
{
	start(op, file, SIM_WRITE, buf, len, offset, flags);
}

static void sim_sync(struct disk_op *op, struct disk_file *file)
{
	start(op, file, SIM_SYNC, NULL, 0, 0, 0);
}

static void sim_punch(struct disk_op *op, struct disk_file *file, uint64_t offset, uint64_t len)
{
	op->extra = len;
	start(op, file, SIM_PUNCH, NULL, 0, offset, 0);
}

const struct disk_ops sim_disk_ops = {
	.open = sim_open,
	.close = sim_disk_close_handle,
	.size = sim_size,
	.allocate = sim_allocate,
	.truncate = sim_truncate,
	.read_now = sim_read_now,
	.write_now = sim_write_now,
	.sync_now = sim_sync_now,
	.sync_dir = sim_sync_dir,
	.rename = sim_rename,
	.remove = sim_remove,
	.list = sim_list,
	.make_dir = sim_make_dir,
	.space = sim_space,
	.read = sim_read,
	.write = sim_write,
	.sync = sim_sync,
	.punch = sim_punch,
};
