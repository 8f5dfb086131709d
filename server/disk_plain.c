/* SPDX-License-Identifier: Apache-2.0 */
#include "server/disk_plain.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server/disk_file.h"
#include "storage/bytes.h"

/* Where the kernel (or qemu-user) does not know RWF_DSYNC, a flush of the whole file is more than
 * was asked for and never less. */
static ssize_t write_dsync(int fd, const struct iovec *vec, uint64_t offset)
{
	ssize_t len = pwritev2(fd, vec, 1, offset, RWF_DSYNC);
	if (len >= 0 || (errno != ENOSYS && errno != EOPNOTSUPP))
		return len;
	len = pwritev(fd, vec, 1, offset);
	if (len >= 0 && fdatasync(fd) != 0)
		return -1;
	return len;
}

static ssize_t call_once(const struct disk_op *op)
{
	int fd = disk_file_fd(op->file);
	switch (op->kind) {
	case DISK_KIND_READ:
		return preadv(fd, &op->vec, 1, op->offset);
	case DISK_KIND_WRITE:
		if (op->flags & DISK_DSYNC)
			return write_dsync(fd, &op->vec, op->offset);
		return pwritev(fd, &op->vec, 1, op->offset);
	case DISK_KIND_SYNC:
		return fdatasync(fd);
	default:
		assert(op->kind == DISK_KIND_PUNCH);
		return fallocate(
			fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op->offset, op->extra);
	}
}

void disk_plain_run(struct disk_op *op)
{
	long result;
	do {
		result = call_once(op);
		if (result < 0)
			result = -errno;
	} while (!disk_file_step(op, result));
}

static void run(struct work *work)
{
	disk_plain_run(CONTAINER_OF(work, struct disk_op, work));
}

static void run_done(struct work *work)
{
	struct disk_op *op = CONTAINER_OF(work, struct disk_op, work);
	op->done(op);
}

void disk_plain_start(struct worker *worker, struct disk_op *op)
{
	op->work = (struct work){.run = run, .done = run_done, .loop = op->loop};
	worker_submit(worker, &op->work);
}
