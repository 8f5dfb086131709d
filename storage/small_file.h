/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SMALL_FILE_H
#define STORAGE_SMALL_FILE_H

#include "storage/disk.h"

/* Files of a few bytes that are read and written as a whole. Whatever ends a write, the old file is
 * there or the new one, and after ERR_OK the new one stays: it is written and flushed as NAME.new,
 * which then takes the name. Both block. */
#define SMALL_FILE_NAME_LEN_MAX 64

/* Errors: ERR_NOT_FOUND; ERR_CORRUPT, it has fewer bytes; those of the disk. */
MUST_USE enum err small_file_read(struct disk *disk, const char *name, void *ret_bytes, size_t len);

/* Errors: those of the disk. */
MUST_USE enum err small_file_write(
	struct disk *disk, const char *name, const void *bytes, size_t len);

#endif
