/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_DISK_H
#define STORAGE_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "storage/err.h"
#include "storage/worker.h"

/* The seam to one directory on one file system. Everything this program stores, except what LMDB
 * maps, goes through here. Backends: io_uring, plain system calls on threads, and the simulator.
 *
 * What a backend promises, and the simulator breaks no further than this:
 * (D1) disk_sync() makes durable what was completely written to that file before it was started,
 *      and the file's length. A write with DISK_DSYNC makes durable itself only.
 * (D2) A created, renamed or removed name is durable after disk_sync_dir().
 * (D3) Unsynced writes may be lost, torn at 512-byte borders, or kept, each for itself.
 * (D4) After a failed write or sync nothing is known about the file: the caller fences the drive.
 *
 * Files opened with DISK_DIRECT take buffers, offsets and lengths that are multiples of 4096.
 */
#define DISK_BLOCK_LEN 4096

enum disk_flags {
	DISK_CREATE = 1 << 0, /* make the file if it is not there */
	DISK_EXCLUSIVE = 1 << 1, /* with DISK_CREATE: ERR_EXISTS if it is there */
	DISK_DIRECT = 1 << 2, /* around the page cache */
	DISK_READ_ONLY = 1 << 3,
	DISK_DSYNC = 1 << 4, /* for one write */
	DISK_LOCK = 1 << 5, /* ERR_BUSY while another one opened with this flag is not closed */
};

struct disk;
struct disk_file;

/* One asynchronous operation; embedded in what it is about, zeroed before its first use. */
struct disk_op {
	void (*done)(
		struct disk_op *op); /* on op->loop, once, never inside the call that started it */
	struct loop *loop; /* the loop that starts the operation and gets its end */
	enum err err; /* valid in done() */
	size_t len; /* in done(): bytes read; less than asked only at the end of the file */

	/* Of the backend. */
	struct disk_file *file;
	struct iovec vec;
	uint64_t offset;
	uint64_t extra;
	uint32_t flags;
	uint8_t kind;
	struct disk_op *next;
	struct work work;
};

struct disk_space {
	uint64_t total;
	uint64_t free; /* for us */
};

struct disk_ops {
	/* Blocking; for start-up, shutdown and worker threads. */
	enum err (*open)(
		struct disk *disk, const char *name, unsigned flags, struct disk_file **ret_file);
	void (*close)(struct disk_file *file);
	enum err (*size)(struct disk_file *file, uint64_t *ret_size);
	enum err (*allocate)(struct disk_file *file, uint64_t len);
	enum err (*truncate)(struct disk_file *file, uint64_t len);
	enum err (*read_now)(
		struct disk_file *file, void *buf, size_t len, uint64_t offset, size_t *ret_len);
	enum err (*write_now)(struct disk_file *file, const void *buf, size_t len, uint64_t offset);
	enum err (*sync_now)(struct disk_file *file);
	enum err (*sync_dir)(struct disk *disk);
	enum err (*rename)(struct disk *disk, const char *from, const char *to);
	enum err (*remove)(struct disk *disk, const char *name);
	enum err (*list)(struct disk *disk, const char *dir,
		void (*found)(void *arg, const char *name), void *arg);
	enum err (*make_dir)(struct disk *disk, const char *name);
	enum err (*space)(struct disk *disk, struct disk_space *ret_space);
	/* Asynchronous; started on op->loop. Starting does not fail. */
	void (*read)(
		struct disk_op *op, struct disk_file *file, void *buf, size_t len, uint64_t offset);
	void (*write)(struct disk_op *op, struct disk_file *file, const void *buf, size_t len,
		uint64_t offset, unsigned flags);
	void (*sync)(struct disk_op *op, struct disk_file *file);
	void (*punch)(struct disk_op *op, struct disk_file *file, uint64_t offset, uint64_t len);
};

struct disk {
	const struct disk_ops *ops;
	const char *path; /* for messages; owned by whoever made the disk */
};

/* Every backend's file begins so. */
struct disk_file {
	struct disk *disk;
};

/* --- blocking calls ----------------------------------------------------------------------------
 * Names are relative to the disk's directory and may have one '/' ("segments/0000000000000007").
 */

/* Opens a file; gives it to the caller, who closes it. Errors: ERR_NOT_FOUND, ERR_EXISTS,
 * ERR_BUSY (of DISK_LOCK), ERR_DENIED, ERR_NO_SPACE, ERR_READ_ONLY, ERR_IO, ERR_NO_MEMORY. */
MUST_USE static inline enum err disk_open(
	struct disk *disk, const char *name, unsigned flags, struct disk_file **ret_file)
{
	return disk->ops->open(disk, name, flags, ret_file);
}

/* Takes the file. No operation may be in flight. NULL is fine. */
static inline void disk_close(struct disk_file *file)
{
	if (file)
		file->disk->ops->close(file);
}

MUST_USE static inline enum err disk_size(struct disk_file *file, uint64_t *ret_size)
{
	return file->disk->ops->size(file, ret_size);
}

/* Reserves space for the first len bytes and makes the file at least that long (fallocate). */
MUST_USE static inline enum err disk_allocate(struct disk_file *file, uint64_t len)
{
	return file->disk->ops->allocate(file, len);
}

MUST_USE static inline enum err disk_truncate(struct disk_file *file, uint64_t len)
{
	return file->disk->ops->truncate(file, len);
}

/* Reads up to len bytes; fewer only at the end of the file. */
MUST_USE static inline enum err disk_read_now(
	struct disk_file *file, void *buf, size_t len, uint64_t offset, size_t *ret_len)
{
	return file->disk->ops->read_now(file, buf, len, offset, ret_len);
}

MUST_USE static inline enum err disk_write_now(
	struct disk_file *file, const void *buf, size_t len, uint64_t offset)
{
	return file->disk->ops->write_now(file, buf, len, offset);
}

/* fdatasync, as (D1). */
MUST_USE static inline enum err disk_sync_now(struct disk_file *file)
{
	return file->disk->ops->sync_now(file);
}

/* Makes the names in the directory and in its direct sub-directories durable. */
MUST_USE static inline enum err disk_sync_dir(struct disk *disk)
{
	return disk->ops->sync_dir(disk);
}

MUST_USE static inline enum err disk_rename(struct disk *disk, const char *from, const char *to)
{
	return disk->ops->rename(disk, from, to);
}

MUST_USE static inline enum err disk_remove(struct disk *disk, const char *name)
{
	return disk->ops->remove(disk, name);
}

/* Calls found() for each name in dir ("." or a sub-directory), in byte order. */
MUST_USE static inline enum err disk_list(
	struct disk *disk, const char *dir, void (*found)(void *arg, const char *name), void *arg)
{
	return disk->ops->list(disk, dir, found, arg);
}

/* Makes a sub-directory; one that is there already is fine. */
MUST_USE static inline enum err disk_make_dir(struct disk *disk, const char *name)
{
	return disk->ops->make_dir(disk, name);
}

MUST_USE static inline enum err disk_space(struct disk *disk, struct disk_space *ret_space)
{
	return disk->ops->space(disk, ret_space);
}

/* --- asynchronous operations -------------------------------------------------------------------
 * The buffer is borrowed until done().
 */

static inline void disk_read(
	struct disk_op *op, struct disk_file *file, void *buf, size_t len, uint64_t offset)
{
	file->disk->ops->read(op, file, buf, len, offset);
}

static inline void disk_write(struct disk_op *op, struct disk_file *file, const void *buf,
	size_t len, uint64_t offset, unsigned flags)
{
	file->disk->ops->write(op, file, buf, len, offset, flags);
}

static inline void disk_sync(struct disk_op *op, struct disk_file *file)
{
	file->disk->ops->sync(op, file);
}

/* Gives the blocks back to the file system; the range reads as zeros afterwards. */
static inline void disk_punch(
	struct disk_op *op, struct disk_file *file, uint64_t offset, uint64_t len)
{
	file->disk->ops->punch(op, file, offset, len);
}

#endif
