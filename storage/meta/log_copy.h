/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_LOG_COPY_H
#define STORAGE_META_LOG_COPY_H

#include "storage/disk.h"
#include "storage/id.h"
#include "storage/meta/log_set.h"

/* Copies of a log, made and mended while the log is not open, or while nothing is written to it.
 * Copies in sync have the same segments with the same frames at the same places, but for the frame
 * that was being written when the process died. All functions block. */

/* Makes the copies the same: of each frame, what is whole in one copy is written to those in which
 * it is not. In a log of more than count_max
 * segments only of the one used last, where damage looks like the end of the log, and of those that
 * a copy does not have: damage before that log_open() finds. errs says which copies can be gone on
 * with: ERR_OK, or what failed. Counts the frames that were written. Errors: ERR_NOT_FOUND, none
 * has a state file; ERR_FOREIGN, a copy is another node's or another log's; ERR_NO_MEMORY. */
MUST_USE enum err log_copy_heal(struct disk *const *disks, size_t count, struct id node,
	size_t count_max, enum err *errs, uint64_t *ret_healed);

/* Makes a copy of the log in from, in place of whatever log is in to. Errors: ERR_NO_MEMORY; those
 * of the disks: *ret_is_source says whose. */
MUST_USE enum err log_copy_make(struct disk *from, struct disk *to, bool *ret_is_source);

/* Removes a log, its state file first. Errors: those of the disk. */
MUST_USE enum err log_copy_remove(struct disk *disk);

#endif
