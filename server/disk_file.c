/* SPDX-License-Identifier: Apache-2.0 */
#include "server/disk_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "server/disk_plain.h"
#include "server/disk_uring.h"
#include "server/loop.h"
#include "storage/bytes.h"

/* A directory of the machine as a disk.
 *
 * (F1) Every name is looked up from the directory's descriptor, one component at a time, and no
 *      symbolic link is followed: what the disk touches is inside its directory, also when
 *      somebody else has written there.
 * (F2) A file system that refuses O_DIRECT gets ordinary calls; the alignment is demanded all the
 *      same, so that a program that works on one file system works on the other.
 */
struct server_disk {
	struct disk base;
	struct worker *worker;
	int dir_fd;
	char path[];
};

struct server_file {
	struct disk_file base;
	int fd;
	bool is_direct;
};

static struct server_disk *disk_of(struct disk *disk)
{
	return CONTAINER_OF(disk, struct server_disk, base);
}

static struct server_file *file_of(struct disk_file *file)
{
	return CONTAINER_OF(file, struct server_file, base);
}

static enum err last_error(void)
{
	switch (errno) {
	case ELOOP: /* a symbolic link where a file or directory should be (F1) */
		return ERR_DENIED;
	case ENOTDIR:
	case EISDIR:
		return ERR_INVALID;
	case ENOTEMPTY:
		return ERR_NOT_EMPTY;
	case EMFILE:
	case ENFILE:
		return ERR_LIMIT;
	case EOPNOTSUPP:
		return ERR_UNSUPPORTED;
	default:
		return err_from_errno(errno);
	}
}

/* --- names --------------------------------------------------------------------------------------
 */

static bool is_plain_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* A name taken apart: the descriptor of its directory, which close_place() gives back. */
struct place {
	int dir_fd;
	bool is_sub;
	const char *name;
};

static int open_dir(int dir_fd, const char *name, int flags)
{
	return openat(dir_fd, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | flags);
}

static enum err open_place(struct server_disk *disk, const char *name, struct place *ret_place)
{
	const char *slash = strchr(name, '/');
	if (!slash) {
		if (!is_plain_name(name))
			return ERR_INVALID;
		*ret_place = (struct place){.dir_fd = disk->dir_fd, .name = name};
		return ERR_OK;
	}
	char dir[NAME_MAX + 1];
	size_t dir_len = slash - name;
	if (dir_len > NAME_MAX)
		return ERR_INVALID;
	memcpy(dir, name, dir_len);
	dir[dir_len] = 0;
	if (!is_plain_name(dir) || !is_plain_name(slash + 1))
		return ERR_INVALID;
	int fd = open_dir(disk->dir_fd, dir, O_PATH);
	if (fd < 0)
		return last_error();
	*ret_place = (struct place){.dir_fd = fd, .is_sub = true, .name = slash + 1};
	return ERR_OK;
}

static void close_place(struct place *place)
{
	if (place->is_sub)
		close(place->dir_fd);
}

/* --- files --------------------------------------------------------------------------------------
 */

static int open_flags(unsigned flags)
{
	int os_flags = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
	os_flags |= flags & DISK_READ_ONLY ? O_RDONLY : O_RDWR;
	if (flags & DISK_CREATE)
		os_flags |= O_CREAT;
	if (flags & DISK_EXCLUSIVE)
		os_flags |= O_EXCL;
	if (flags & DISK_DIRECT)
		os_flags |= O_DIRECT;
	return os_flags;
}

/* Opens a regular file, without O_DIRECT if the file system has none (F2). */
static enum err open_regular(struct place *place, unsigned flags, int *ret_fd)
{
	int os_flags = open_flags(flags);
	int fd = openat(place->dir_fd, place->name, os_flags, 0600);
	if (fd < 0 && errno == EINVAL && os_flags & O_DIRECT) {
		/* The refused call may have made the file already. */
		os_flags &= ~(O_DIRECT | O_EXCL);
		fd = openat(place->dir_fd, place->name, os_flags, 0600);
	}
	if (fd < 0)
		return last_error();
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return ERR_INVALID;
	}
	if (flags & DISK_LOCK && flock(fd, LOCK_EX | LOCK_NB) != 0) {
		enum err err = errno == EWOULDBLOCK ? ERR_BUSY : last_error();
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return ERR_OK;
}

static enum err file_open(
	struct disk *base, const char *name, unsigned flags, struct disk_file **ret_file)
{
	struct place place;
	enum err err = open_place(disk_of(base), name, &place);
	if (err != ERR_OK)
		return err;
	struct server_file *file = calloc(1, sizeof *file);
	if (!file) {
		err = ERR_NO_MEMORY;
		goto out;
	}
	err = open_regular(&place, flags, &file->fd);
	if (err != ERR_OK)
		goto out;
	file->base.disk = base;
	file->is_direct = flags & DISK_DIRECT;
	*ret_file = &file->base;
	file = NULL;
out:
	free(file);
	close_place(&place);
	return err;
}

static void file_close(struct disk_file *base)
{
	struct server_file *file = file_of(base);
	close(file->fd);
	free(file);
}

static enum err file_size(struct disk_file *file, uint64_t *ret_size)
{
	struct stat st;
	if (fstat(disk_file_fd(file), &st) != 0)
		return last_error();
	*ret_size = st.st_size;
	return ERR_OK;
}

static enum err file_truncate(struct disk_file *file, uint64_t len)
{
	while (ftruncate(disk_file_fd(file), len) != 0)
		if (errno != EINTR)
			return last_error();
	return ERR_OK;
}

static enum err file_allocate(struct disk_file *file, uint64_t len)
{
	while (fallocate(disk_file_fd(file), 0, 0, len) != 0) {
		if (errno == EINTR)
			continue;
		if (errno != EOPNOTSUPP && errno != ENOSYS)
			return last_error();
		/* No reservation on this file system; the length is right at least, and a full
		 * disk is then met by a write. */
		uint64_t size = 0;
		enum err err = file_size(file, &size);
		if (err != ERR_OK || size >= len)
			return err;
		return file_truncate(file, len);
	}
	return ERR_OK;
}

int disk_file_fd(const struct disk_file *file)
{
	return CONTAINER_OF(file, struct server_file, base)->fd;
}

/* --- operations ---------------------------------------------------------------------------------
 */

static void describe(struct disk_op *op, enum disk_kind kind, struct disk_file *file,
	const void *buf, size_t len, uint64_t offset)
{
	assert(!file_of(file)->is_direct ||
		((uintptr_t)buf % DISK_BLOCK_LEN == 0 && len % DISK_BLOCK_LEN == 0 &&
			offset % DISK_BLOCK_LEN == 0));
	op->kind = kind;
	op->file = file;
	op->vec = (struct iovec){.iov_base = (void *)buf, .iov_len = len};
	op->offset = offset;
	op->flags = 0;
	op->extra = 0;
	op->err = ERR_OK;
	op->len = 0;
}

static bool finish(struct disk_op *op, enum err err)
{
	op->err = err;
	return true;
}

bool disk_file_step(struct disk_op *op, long result)
{
	if (result == -EINTR || result == -EAGAIN)
		return false;
	if (result < 0) {
		errno = -result;
		return finish(op, last_error());
	}
	if (op->kind != DISK_KIND_READ && op->kind != DISK_KIND_WRITE)
		return finish(op, ERR_OK);

	size_t len = result;
	assert(len <= op->vec.iov_len);
	op->len += len;
	op->offset += len;
	op->vec.iov_base = (uint8_t *)op->vec.iov_base + len;
	op->vec.iov_len -= len;
	if (op->vec.iov_len == 0)
		return finish(op, ERR_OK);
	if (len == 0) /* the end of the file, or a disk that takes nothing */
		return finish(op, op->kind == DISK_KIND_READ ? ERR_OK : ERR_IO);
	if (file_of(op->file)->is_direct && len % DISK_BLOCK_LEN != 0)
		return finish(op, op->kind == DISK_KIND_READ ? ERR_OK : ERR_IO);
	return false;
}

static enum err file_read_now(
	struct disk_file *file, void *buf, size_t len, uint64_t offset, size_t *ret_len)
{
	struct disk_op op;
	describe(&op, DISK_KIND_READ, file, buf, len, offset);
	disk_plain_run(&op);
	if (op.err == ERR_OK)
		*ret_len = op.len;
	return op.err;
}

static enum err file_write_now(struct disk_file *file, const void *buf, size_t len, uint64_t offset)
{
	struct disk_op op;
	describe(&op, DISK_KIND_WRITE, file, buf, len, offset);
	disk_plain_run(&op);
	return op.err;
}

static enum err file_sync_now(struct disk_file *file)
{
	struct disk_op op;
	describe(&op, DISK_KIND_SYNC, file, NULL, 0, 0);
	disk_plain_run(&op);
	return op.err;
}

static void start(struct disk_op *op)
{
	assert(op->done && loop_is_current(op->loop));
	struct disk_uring *uring = server_loop_uring(op->loop);
	if (uring)
		disk_uring_start(uring, op);
	else
		disk_plain_start(disk_of(op->file->disk)->worker, op);
}

static void file_read(
	struct disk_op *op, struct disk_file *file, void *buf, size_t len, uint64_t offset)
{
	describe(op, DISK_KIND_READ, file, buf, len, offset);
	start(op);
}

static void file_write(struct disk_op *op, struct disk_file *file, const void *buf, size_t len,
	uint64_t offset, unsigned flags)
{
	describe(op, DISK_KIND_WRITE, file, buf, len, offset);
	op->flags = flags;
	start(op);
}

static void file_sync(struct disk_op *op, struct disk_file *file)
{
	describe(op, DISK_KIND_SYNC, file, NULL, 0, 0);
	start(op);
}

static void file_punch(struct disk_op *op, struct disk_file *file, uint64_t offset, uint64_t len)
{
	describe(op, DISK_KIND_PUNCH, file, NULL, 0, offset);
	op->extra = len;
	start(op);
}

/* --- the directory ------------------------------------------------------------------------------
 */

static enum err sync_fd(int fd)
{
	while (fsync(fd) != 0)
		if (errno != EINTR)
			return last_error();
	return ERR_OK;
}

/* Names of one directory, sorted. */
struct names {
	char **list;
	size_t count, cap;
};

static void names_fini(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
}

static enum err names_add(struct names *names, const char *name)
{
	if (names->count == names->cap) {
		size_t cap = names->cap ? 2 * names->cap : 64;
		char **list = reallocarray(names->list, cap, sizeof *list);
		if (!list)
			return ERR_NO_MEMORY;
		names->list = list;
		names->cap = cap;
	}
	names->list[names->count] = strdup(name);
	if (!names->list[names->count])
		return ERR_NO_MEMORY;
	names->count++;
	return ERR_OK;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err names_read(int dir_fd, const char *dir_name, struct names *names)
{
	int fd = open_dir(dir_fd, dir_name, O_RDONLY);
	if (fd < 0)
		return last_error();
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return ERR_NO_MEMORY;
	}
	enum err err = ERR_OK;
	while (err == ERR_OK) {
		errno = 0;
		struct dirent *entry = readdir(dir);
		if (!entry) {
			err = errno == 0 ? ERR_OK : last_error();
			break;
		}
		if (is_plain_name(entry->d_name))
			err = names_add(names, entry->d_name);
	}
	closedir(dir);
	if (names->count > 1)
		qsort(names->list, names->count, sizeof *names->list, compare_names);
	return err;
}

static enum err dir_sync(struct disk *base)
{
	struct server_disk *disk = disk_of(base);
	struct names names = {0};
	enum err err = names_read(disk->dir_fd, ".", &names);
	for (size_t i = 0; i < names.count && err == ERR_OK; i++) {
		int fd = open_dir(disk->dir_fd, names.list[i], O_RDONLY);
		if (fd < 0) {
			if (errno != ENOTDIR && errno != ELOOP && errno != ENOENT)
				err = last_error();
			continue;
		}
		err = sync_fd(fd);
		close(fd);
	}
	names_fini(&names);
	return err == ERR_OK ? sync_fd(disk->dir_fd) : err;
}

static enum err dir_rename(struct disk *base, const char *from, const char *to)
{
	struct server_disk *disk = disk_of(base);
	struct place from_place, to_place;
	enum err err = open_place(disk, from, &from_place);
	if (err != ERR_OK)
		return err;
	err = open_place(disk, to, &to_place);
	if (err == ERR_OK) {
		if (renameat(from_place.dir_fd, from_place.name, to_place.dir_fd, to_place.name) !=
			0)
			err = last_error();
		close_place(&to_place);
	}
	close_place(&from_place);
	return err;
}

static enum err dir_remove(struct disk *base, const char *name)
{
	struct place place;
	enum err err = open_place(disk_of(base), name, &place);
	if (err != ERR_OK)
		return err;
	int failed = unlinkat(place.dir_fd, place.name, 0);
	if (failed && errno == EISDIR)
		failed = unlinkat(place.dir_fd, place.name, AT_REMOVEDIR);
	if (failed)
		err = last_error();
	close_place(&place);
	return err;
}

static enum err dir_list(
	struct disk *base, const char *dir, void (*found)(void *arg, const char *name), void *arg)
{
	if (strcmp(dir, ".") != 0 && !is_plain_name(dir))
		return ERR_INVALID;
	struct names names = {0};
	enum err err = names_read(disk_of(base)->dir_fd, dir, &names);
	for (size_t i = 0; i < names.count && err == ERR_OK; i++)
		found(arg, names.list[i]);
	names_fini(&names);
	return err;
}

static enum err dir_make(struct disk *base, const char *name)
{
	struct server_disk *disk = disk_of(base);
	if (!is_plain_name(name))
		return ERR_INVALID;
	if (mkdirat(disk->dir_fd, name, 0700) == 0)
		return ERR_OK;
	if (errno != EEXIST)
		return last_error();
	int fd = open_dir(disk->dir_fd, name, O_PATH);
	if (fd < 0)
		return last_error();
	close(fd);
	return ERR_OK;
}

static enum err dir_space(struct disk *base, struct disk_space *ret_space)
{
	struct statvfs st;
	if (fstatvfs(disk_of(base)->dir_fd, &st) != 0)
		return last_error();
	*ret_space = (struct disk_space){
		.total = (uint64_t)st.f_blocks * st.f_frsize,
		.free = (uint64_t)st.f_bavail * st.f_frsize,
	};
	return ERR_OK;
}

static const struct disk_ops ops = {
	.open = file_open,
	.close = file_close,
	.size = file_size,
	.allocate = file_allocate,
	.truncate = file_truncate,
	.read_now = file_read_now,
	.write_now = file_write_now,
	.sync_now = file_sync_now,
	.sync_dir = dir_sync,
	.rename = dir_rename,
	.remove = dir_remove,
	.list = dir_list,
	.make_dir = dir_make,
	.space = dir_space,
	.read = file_read,
	.write = file_write,
	.sync = file_sync,
	.punch = file_punch,
};

enum err server_disk_new(const char *path, struct worker *worker, struct disk **ret_disk)
{
	size_t path_size = strlen(path) + 1;
	struct server_disk *disk = calloc(1, sizeof *disk + path_size);
	if (!disk)
		return ERR_NO_MEMORY;
	disk->dir_fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (disk->dir_fd < 0) {
		enum err err = last_error();
		free(disk);
		return err;
	}
	memcpy(disk->path, path, path_size);
	disk->base = (struct disk){.ops = &ops, .path = disk->path};
	disk->worker = worker;
	*ret_disk = &disk->base;
	return ERR_OK;
}

void server_disk_free(struct disk *base)
{
	if (!base)
		return;
	struct server_disk *disk = disk_of(base);
	close(disk->dir_fd);
	free(disk);
}
