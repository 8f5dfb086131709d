/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_DISK_FILE_H
#define SERVER_DISK_FILE_H

#include "storage/disk.h"

/* Opens the directory as a disk and gives it to the caller; the path is copied. An operation goes
 * to the io_uring of the loop that starts it, or, if that loop has none, to the worker (borrowed
 * until server_disk_free()). Errors: ERR_NOT_FOUND, ERR_DENIED, ERR_INVALID (not a directory),
 * ERR_IO, ERR_NO_MEMORY. */
MUST_USE enum err server_disk_new(const char *path, struct worker *worker, struct disk **ret_disk);

/* Takes a disk whose files are closed. NULL is fine. */
void server_disk_free(struct disk *disk);

/* --- for disk_uring.c and disk_plain.c -----------------------------------------------------------
 */

enum disk_kind { DISK_KIND_READ = 1, DISK_KIND_WRITE, DISK_KIND_SYNC, DISK_KIND_PUNCH };

/* The file's descriptor. */
int disk_file_fd(const struct disk_file *file);

/* Counts the result of one system call (what it returned, or an errno value negated) towards the
 * operation. Returns true when the operation is at its end and op->err and op->len are valid; false
 * when the rest, as now described by op->vec and op->offset, is to be tried. */
MUST_USE bool disk_file_step(struct disk_op *op, long result);

#endif
