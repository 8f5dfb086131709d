/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_DISK_COUNT_H
#define SERVER_DISK_COUNT_H

#include "storage/disk.h"

/* A disk around another that counts what goes through it, and makes its flushes as slow as those of
 * a drive that the machine does not have. For the cost tables and the benchmarks. */
struct disk_count;

struct disk_count_stats {
	uint64_t reads, read_len;
	uint64_t writes, written_len;
	uint64_t syncs; /* of files */
	uint64_t dsync_writes;
	uint64_t dir_syncs;
	uint64_t punches;
};

/* Wraps the disk, which is borrowed until disk_count_free(). Each flush (a sync, a write with
 * DISK_DSYNC) ends flush_delay_us later than the disk's own; 0 is no delay. Errors: ERR_NO_MEMORY,
 * ERR_LIMIT. */
MUST_USE enum err disk_count_new(
	struct disk *inner, unsigned flush_delay_us, struct disk_count **ret_count);

/* Takes the wrapper, whose files are closed. NULL is fine. */
void disk_count_free(struct disk_count *count);

/* The wrapped disk. Borrowed until disk_count_free(). */
struct disk *disk_count_disk(struct disk_count *count);

/* Counts since the wrapper was made. Any thread. */
struct disk_count_stats disk_count_stats(const struct disk_count *count);

#endif
