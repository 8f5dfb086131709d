/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SEGMENT_READER_H
#define TESTS_LIB_SEGMENT_READER_H

#include "storage/disk.h"

/* Reads the segments of a drive by what storage/drive/format.h says about them, with none of the
 * product's code: for tests that compare what a drive believes with what is there. */
struct segment_record {
	uint64_t segment, generation, offset, record_len;
	uint64_t session, counter;
	uint8_t index, k, m;
	uint64_t shard_len;
	uint32_t bad_blocks; /* whose bytes do not match their checksum */
};

/* Calls found() for each record with a valid block 0, in the order of segment and offset; what was
 * freed and not overwritten is among them. Returns the number of records. Blocks. Memory that is
 * not there ends the process. */
size_t segment_reader_run(struct disk *disk,
	void (*found)(void *arg, const struct segment_record *record), void *arg);

#endif
