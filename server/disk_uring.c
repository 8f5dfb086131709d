/* SPDX-License-Identifier: Apache-2.0 */
#include "server/disk_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/disk_file.h"

/* Operations wait in a queue until the loop's turn ends, then go to the kernel together. No more
 * are in flight than the completion ring holds, so it cannot overflow. */
struct disk_uring {
	struct io_uring ring;
	struct disk_op *first;
	struct disk_op **tail;
	size_t queued_count;
	unsigned in_flight_count;
	unsigned in_flight_max;
};

/* COOP_TASKRUN lets a completion wait for the thread's next system call, which is the wait of its
 * event loop, instead of interrupting it; that wait returns early then. DEFER_TASKRUN would need
 * one more call per turn to fetch completions. Kernels before 6.0 and 5.19 lack the flags. */
static int queue_init(struct io_uring *ring, unsigned depth)
{
	static const unsigned flags[] = {
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	int result = -EINVAL;
	for (size_t i = 0; i < sizeof flags / sizeof flags[0] && result == -EINVAL; i++)
		result = io_uring_queue_init(depth, ring, flags[i] | IORING_SETUP_R_DISABLED);
	return result;
}

enum err disk_uring_open(unsigned depth, struct disk_uring **ret_uring)
{
	assert(depth > 0);
	struct disk_uring *uring = calloc(1, sizeof *uring);
	if (!uring)
		return ERR_NO_MEMORY;
	int result = queue_init(&uring->ring, depth);
	if (result < 0) {
		free(uring);
		if (result == -ENOMEM)
			return ERR_NO_MEMORY;
		return result == -EMFILE || result == -ENFILE ? ERR_LIMIT : ERR_UNSUPPORTED;
	}
	uring->tail = &uring->first;
	uring->in_flight_max = *uring->ring.cq.kring_entries;
	*ret_uring = uring;
	return ERR_OK;
}

void disk_uring_close(struct disk_uring *uring)
{
	if (!uring)
		return;
	assert(disk_uring_pending(uring) == 0);
	io_uring_queue_exit(&uring->ring);
	free(uring);
}

enum err disk_uring_enable(struct disk_uring *uring)
{
	/* liburing 2.3 declares io_uring_enable_rings() and does not export it. */
	long result = syscall(
		SYS_io_uring_register, uring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	return result < 0 ? ERR_UNSUPPORTED : ERR_OK;
}

int disk_uring_fd(const struct disk_uring *uring)
{
	return uring->ring.ring_fd;
}

void disk_uring_start(struct disk_uring *uring, struct disk_op *op)
{
	op->next = NULL;
	*uring->tail = op;
	uring->tail = &op->next;
	uring->queued_count++;
}

static void prepare(struct io_uring_sqe *sqe, struct disk_op *op)
{
	int fd = disk_file_fd(op->file);
	switch (op->kind) {
	case DISK_KIND_READ:
		io_uring_prep_readv(sqe, fd, &op->vec, 1, op->offset);
		break;
	case DISK_KIND_WRITE:
		io_uring_prep_writev2(
			sqe, fd, &op->vec, 1, op->offset, op->flags & DISK_DSYNC ? RWF_DSYNC : 0);
		break;
	case DISK_KIND_SYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	default:
		assert(op->kind == DISK_KIND_PUNCH);
		io_uring_prep_fallocate(
			sqe, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op->offset, op->extra);
	}
	io_uring_sqe_set_data(sqe, op);
}

/* Moves operations from the queue into the submission ring while both rings have room. */
static void fill(struct disk_uring *uring)
{
	while (uring->first && uring->in_flight_count < uring->in_flight_max) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
		if (!sqe)
			return;
		struct disk_op *op = uring->first;
		uring->first = op->next;
		if (!uring->first)
			uring->tail = &uring->first;
		uring->queued_count--;
		uring->in_flight_count++;
		prepare(sqe, op);
	}
}

bool disk_uring_submit(struct disk_uring *uring)
{
	for (;;) {
		fill(uring);
		if (io_uring_sq_ready(&uring->ring) == 0)
			return true;
		int result = io_uring_submit(&uring->ring);
		if (result == -EINTR)
			continue;
		if (result == -EAGAIN || result == -EBUSY)
			return false;
		assert(result > 0);
	}
}

unsigned disk_uring_reap(struct disk_uring *uring)
{
	enum { BATCH = 32 };
	struct io_uring_cqe *cqes[BATCH];
	unsigned reaped = 0;
	/* At most one ring full, so that a turn of the loop ends. */
	while (reaped < uring->in_flight_max) {
		unsigned count = io_uring_peek_batch_cqe(&uring->ring, cqes, BATCH);
		if (count == 0)
			break;
		struct {
			struct disk_op *op;
			int result;
		} ends[BATCH];
		for (unsigned i = 0; i < count; i++) {
			ends[i].op = io_uring_cqe_get_data(cqes[i]);
			ends[i].result = cqes[i]->res;
		}
		io_uring_cq_advance(&uring->ring, count);
		assert(uring->in_flight_count >= count);
		uring->in_flight_count -= count;
		reaped += count;
		for (unsigned i = 0; i < count; i++) {
			struct disk_op *op = ends[i].op;
			if (disk_file_step(op, ends[i].result))
				op->done(op);
			else
				disk_uring_start(uring, op);
		}
	}
	return reaped;
}

size_t disk_uring_pending(const struct disk_uring *uring)
{
	return uring->queued_count + uring->in_flight_count;
}
