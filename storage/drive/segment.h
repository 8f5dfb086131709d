/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_DRIVE_SEGMENT_H
#define STORAGE_DRIVE_SEGMENT_H

#include "storage/disk.h"
#include "storage/drive/drive.h"
#include "storage/drive/format.h"
#include "storage/drive/record.h"

#define SEGMENT_DIR "segments"
#define SEGMENT_NAME_LEN 32

/* One life of a segment, as its head has it (F2). */
struct segment_life {
	struct id cluster;
	struct id drive;
	uint64_t number;
	uint64_t generation;
	uint64_t len;
	uint64_t epoch;
	uint64_t seed;
	uint64_t token;
};

void segment_name_format(uint64_t number, char ret_name[SEGMENT_NAME_LEN]);

/* Parses the name of a file in SEGMENT_DIR. Errors: ERR_INVALID, it is no segment's. */
MUST_USE enum err segment_name_parse(const char *name, uint64_t *ret_number);

void segment_encode(const struct segment_life *life, uint8_t block[FORMAT_BLOCK_LEN]);

/* Errors: ERR_CORRUPT; ERR_VERSION. */
MUST_USE enum err segment_decode(
	const uint8_t block[FORMAT_BLOCK_LEN], struct segment_life *ret_life);

/* Begins a life: allocates, writes both heads and flushes. Blocks. Errors: those of the disk. */
MUST_USE enum err segment_begin(struct disk_file *file, const struct segment_life *life);

/* Reads the head, the copy if need be. Blocks. Errors: ERR_NOT_FOUND, neither was ever written;
 * ERR_CORRUPT; ERR_VERSION; ERR_FOREIGN, it is another drive's or another segment's; ERR_NO_MEMORY.
 */
MUST_USE enum err segment_load(struct disk_file *file, struct id drive, uint64_t number,
	uint64_t len, struct segment_life *ret_life);

void segment_place(
	const struct segment_life *life, uint64_t offset, struct record_place *ret_place);

/* Looks for records from an offset on, 4 KiB by 4 KiB where there is none (so that one behind a gap
 * is found), in bounded memory. Blocks. bad_len counts what could not be read and was passed over.
 */
struct segment_scan {
	struct disk_file *file;
	struct segment_life life;
	uint64_t offset; /* where the next look is */
	uint64_t bad_len;
	uint64_t data_end; /* from here on there were only zeros so far */
	uint8_t *window; /* SEGMENT_SCAN_WINDOW_LEN bytes, 4 KiB-aligned; borrowed */
	uint64_t window_offset;
	size_t window_len;
};
#define SEGMENT_SCAN_WINDOW_LEN (256u << 10)

void segment_scan_init(struct segment_scan *scan, struct disk_file *file,
	const struct segment_life *life, uint64_t offset, uint8_t *window);

/* The next record. ret_info->hint is borrowed until the next call. Errors: ERR_END; ERR_VERSION. */
MUST_USE enum err segment_scan_next(
	struct segment_scan *scan, struct shard_info *ret_info, uint64_t *ret_offset);

/* Reads a whole record, which was found at an offset, and checks all its blocks. buf is
 * SEGMENT_SCAN_WINDOW_LEN bytes, 4 KiB-aligned. Blocks. Errors: ERR_CHECKSUM; those of the disk. */
MUST_USE enum err segment_verify(
	struct disk_file *file, const struct segment_life *life, uint64_t offset, uint8_t *buf);

/* Writes len bytes again as they are and flushes: whatever happened to earlier flushes, they are
 * durable then. buf as for segment_verify(). Blocks. Errors: those of the disk. */
MUST_USE enum err segment_renew(
	struct disk_file *file, uint64_t offset, uint64_t len, uint8_t *buf);

#endif
