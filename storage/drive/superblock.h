/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_DRIVE_SUPERBLOCK_H
#define STORAGE_DRIVE_SUPERBLOCK_H

#include "storage/disk.h"
#include "storage/drive/drive.h"
#include "storage/drive/format.h"

#define SUPERBLOCK_NAME "superblock"

/* What a superblock says, in memory. */
struct superblock {
	struct drive_identity identity;
	uint64_t sequence;
	uint64_t segment_len;
	uint64_t epoch;
	uint64_t in_sync_set;
	struct extent_id archive;
	uint64_t archive_len;
	uint64_t archive_log_index;
};

/* Encodes one copy; its checksum too. */
void superblock_encode(const struct superblock *superblock, uint8_t block[FORMAT_BLOCK_LEN]);

/* Errors: ERR_CORRUPT; ERR_VERSION, written by a newer version. */
MUST_USE enum err superblock_decode(
	const uint8_t block[FORMAT_BLOCK_LEN], struct superblock *ret_superblock);

/* Reads the newer of the two copies. Blocks. Errors: ERR_CORRUPT, neither is valid; ERR_VERSION;
 * those of the disk. */
MUST_USE enum err superblock_load(struct disk_file *file, struct superblock *ret_superblock);

/* Raises the sequence, writes over the older copy and flushes. Blocks. After an error the drive is
 * not to be used. */
MUST_USE enum err superblock_store(struct disk_file *file, struct superblock *superblock);

#endif
