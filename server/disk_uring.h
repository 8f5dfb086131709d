/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_DISK_URING_H
#define SERVER_DISK_URING_H

#include <stdbool.h>
#include <stddef.h>

#include "storage/disk.h"

/* The io_uring of one loop. All but open and close belongs to the thread that called enable. */
struct disk_uring;

/* Makes a ring that is not yet enabled, with room for depth operations in flight; more wait in a
 * queue of their own. Errors: ERR_UNSUPPORTED when the kernel or its owner refuses io_uring,
 * ERR_NO_MEMORY, ERR_LIMIT. */
MUST_USE enum err disk_uring_open(unsigned depth, struct disk_uring **ret_uring);

/* Takes a ring without operations. NULL is fine. */
void disk_uring_close(struct disk_uring *uring);

/* Binds the ring to the calling thread. Errors: ERR_UNSUPPORTED. */
MUST_USE enum err disk_uring_enable(struct disk_uring *uring);

/* A descriptor that is readable while completions wait. Borrowed. */
int disk_uring_fd(const struct disk_uring *uring);

/* Queues an operation until the next disk_uring_submit(). */
void disk_uring_start(struct disk_uring *uring, struct disk_op *op);

/* Hands what is queued to the kernel, in one call. Returns false when the kernel is short of memory
 * and asks to be called again later. */
MUST_USE bool disk_uring_submit(struct disk_uring *uring);

/* Calls done() of what is complete. Returns how many operations ended or were queued anew. */
unsigned disk_uring_reap(struct disk_uring *uring);

/* Operations started whose done() was not called yet. */
size_t disk_uring_pending(const struct disk_uring *uring);

#endif
