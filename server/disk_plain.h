/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_DISK_PLAIN_H
#define SERVER_DISK_PLAIN_H

#include "storage/disk.h"

/* Does the operation with system calls, here and now; op->err and op->len are valid afterwards, and
 * op->done() is not called. Blocks. */
void disk_plain_run(struct disk_op *op);

/* Has the operation done on a worker thread; op->done() is called on op->loop. */
void disk_plain_start(struct worker *worker, struct disk_op *op);

#endif
