/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_DRIVE_FORMAT_H
#define STORAGE_DRIVE_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "erasure/checksum.h"
#include "storage/id.h"

/* What a drive looks like on its file system.
 *
 *	superblock        two copies of struct superblock_block, 4 KiB each
 *	reserve           zeros; given back to the file system when commits need room
 *	segments/%016x    fixed length, preallocated; named by number, from 1 on
 *
 *	segment   = head | record | record | … | copy of head
 *	record    = block 0 | more checksum blocks | data of the shard
 *
 * All numbers are little-endian. Every place is a multiple of 4096. Each 4 KiB of our own ends in a
 * checksum of the 4088 bytes before it. Unused bytes are zero.
 *
 * (F1) A superblock is written over the older of its two copies; the valid one with the higher
 *      sequence counts. So one is always whole.
 * (F2) A segment begins a new life by a new head in both places, flushed before anything is written
 *      under it. A life has a generation, greater than those of all lives before it on this drive,
 *      and 16 random bytes that are never shown to a client.
 * (F3) A record is what begins with a valid block 0: checksum seeded with the first half of those
 *      16 bytes, the second half repeated in the block, and drive, segment, generation and offset
 *      are where it was read from. So bytes that a client sent, records of an earlier life, of
 *      another drive and of another place are not records.
 * (F4) Block 0 is written last. What it covers may not have reached the drive before a power cut;
 *      such a record was never acknowledged, and its blocks do not verify.
 * (F5) Block checksums are those of erasure/checksum.h, seeded by the shard: extent, index and the
 *      number of the block. The first RECORD_HEAD_SUMS are in block 0, then RECORD_MORE_SUMS in
 *      each further block, which is bound to its record and number in the same way as block 0.
 * (F6) The number of checksum blocks follows from the length of the shard, and the length of the
 *      shard from that of the record.
 *
 * A reader refuses a version greater than its own; the version is at the same place in all.
 */
enum {
	FORMAT_BLOCK_LEN = 4096,
	FORMAT_SUM_OFFSET = FORMAT_BLOCK_LEN - 8,
	FORMAT_VERSION = 1,
	RECORD_HINT_LEN_MAX = 1400,
	RECORD_HEAD_SUMS = 304,
	RECORD_MORE_SUMS = 500,
	RECORD_SHARD_LEN_MAX = 64 << 20,
	SEGMENT_HEAD_LEN = FORMAT_BLOCK_LEN,
	SEGMENT_TAIL_LEN = FORMAT_BLOCK_LEN,
	SEGMENT_LEN_MIN = 64 << 10,
	SEGMENT_LEN_MAX = 1 << 30,
};

#define SUPERBLOCK_MAGIC 0x3152444253554252u /* "RBUSBDR1" */
#define SEGMENT_MAGIC 0x3147455353554252u /* "RBUSSEG1" */
#define RECORD_HEAD_MAGIC 0x3143455253554252u /* "RBUSREC1" */
#define RECORD_MORE_MAGIC 0x314d555353554252u /* "RBUSSUM1" */

struct superblock_block {
	uint64_t magic;
	uint32_t version;
	uint32_t class; /* enum drive_class */
	uint64_t sequence;
	uint8_t cluster[ID_LEN];
	uint8_t drive[ID_LEN];
	uint8_t node[ID_LEN];
	uint64_t mount;
	uint64_t segment_len;
	uint64_t epoch; /* of the cluster; raised by a forced recovery */
	uint64_t in_sync_set; /* number of the index log's set of replicas */
	struct { /* the newest index archive; all zero if there is none */
		uint64_t session, counter; /* its first extent */
		uint64_t len;
		uint64_t log_index;
	} archive;
	uint64_t claim; /* of mount: about to be proposed; 0: none */
	uint8_t unused[FORMAT_SUM_OFFSET - 144];
	uint64_t sum; /* seed 0 */
};
static_assert(offsetof(struct superblock_block, sequence) == 16, "on disk");
static_assert(offsetof(struct superblock_block, cluster) == 24, "on disk");
static_assert(offsetof(struct superblock_block, mount) == 72, "on disk");
static_assert(offsetof(struct superblock_block, in_sync_set) == 96, "on disk");
static_assert(offsetof(struct superblock_block, archive) == 104, "on disk");
static_assert(offsetof(struct superblock_block, claim) == 136, "on disk");
static_assert(offsetof(struct superblock_block, unused) == 144, "on disk");
static_assert(offsetof(struct superblock_block, sum) == FORMAT_SUM_OFFSET, "on disk");
static_assert(sizeof(struct superblock_block) == FORMAT_BLOCK_LEN, "on disk");

struct segment_block {
	uint64_t magic;
	uint32_t version;
	uint32_t unused_0;
	uint8_t cluster[ID_LEN];
	uint8_t drive[ID_LEN];
	uint64_t number;
	uint64_t generation;
	uint64_t len; /* of the file */
	uint64_t epoch;
	uint64_t seed; /* random: of the checksums of record heads */
	uint64_t token; /* random: repeated in each */
	uint8_t unused[FORMAT_SUM_OFFSET - 96];
	uint64_t sum; /* seed 0 */
};
static_assert(offsetof(struct segment_block, cluster) == 16, "on disk");
static_assert(offsetof(struct segment_block, number) == 48, "on disk");
static_assert(offsetof(struct segment_block, epoch) == 72, "on disk");
static_assert(offsetof(struct segment_block, unused) == 96, "on disk");
static_assert(offsetof(struct segment_block, sum) == FORMAT_SUM_OFFSET, "on disk");
static_assert(sizeof(struct segment_block) == FORMAT_BLOCK_LEN, "on disk");

/* Where a checksum block is: the same in both kinds. */
struct record_place_block {
	uint64_t token;
	uint8_t drive[ID_LEN];
	uint64_t segment;
	uint64_t generation;
	uint64_t offset; /* of block 0 in the segment */
	uint64_t session, counter; /* the extent */
	uint8_t index, k, m;
	uint8_t unused[5];
};
static_assert(sizeof(struct record_place_block) == 72, "on disk");

struct record_head_block {
	uint64_t magic;
	uint32_t version;
	uint32_t unit_len;
	struct record_place_block place;
	uint64_t epoch;
	uint64_t extent_len;
	uint64_t shard_len;
	uint32_t block_count;
	uint32_t hint_len;
	uint8_t unused[136];
	uint8_t hint[RECORD_HINT_LEN_MAX];
	uint64_t sums[RECORD_HEAD_SUMS];
	uint64_t sum; /* seed of the segment */
};
static_assert(offsetof(struct record_head_block, place) == 16, "on disk");
static_assert(offsetof(struct record_head_block, epoch) == 88, "on disk");
static_assert(offsetof(struct record_head_block, shard_len) == 104, "on disk");
static_assert(offsetof(struct record_head_block, unused) == 120, "on disk");
static_assert(offsetof(struct record_head_block, hint) == 256, "on disk");
static_assert(offsetof(struct record_head_block, sums) == 1656, "on disk");
static_assert(offsetof(struct record_head_block, sum) == FORMAT_SUM_OFFSET, "on disk");
static_assert(sizeof(struct record_head_block) == FORMAT_BLOCK_LEN, "on disk");

struct record_more_block {
	uint64_t magic;
	uint32_t version;
	uint32_t number; /* from 1 on */
	struct record_place_block place;
	uint64_t sums[RECORD_MORE_SUMS];
	uint64_t sum; /* seed of the segment + number */
};
static_assert(offsetof(struct record_more_block, place) == 16, "on disk");
static_assert(offsetof(struct record_more_block, sums) == 88, "on disk");
static_assert(offsetof(struct record_more_block, sum) == FORMAT_SUM_OFFSET, "on disk");
static_assert(sizeof(struct record_more_block) == FORMAT_BLOCK_LEN, "on disk");

static inline bool segment_len_is_valid(uint64_t len)
{
	return len % FORMAT_BLOCK_LEN == 0 && len >= SEGMENT_LEN_MIN && len <= SEGMENT_LEN_MAX;
}

/* Checksum blocks of a shard of so many bytes, block 0 among them. */
static inline uint32_t record_head_count(uint64_t shard_len)
{
	uint64_t sums = (shard_len + BLOCK_LEN - 1) / BLOCK_LEN;
	if (sums <= RECORD_HEAD_SUMS)
		return 1;
	return 1 + (sums - RECORD_HEAD_SUMS + RECORD_MORE_SUMS - 1) / RECORD_MORE_SUMS;
}

static inline uint64_t record_len_of(uint64_t shard_len)
{
	return (uint64_t)record_head_count(shard_len) * FORMAT_BLOCK_LEN + shard_len;
}

/* (F6) The other way around; 0 if no shard makes such a record. */
static inline uint64_t record_shard_len(uint64_t record_len)
{
	for (uint64_t heads = 1; heads * FORMAT_BLOCK_LEN < record_len && heads < 16; heads++) {
		uint64_t shard_len = record_len - heads * FORMAT_BLOCK_LEN;
		if (shard_len % FORMAT_BLOCK_LEN == 0 && record_head_count(shard_len) == heads)
			return shard_len;
	}
	return 0;
}

/* Which checksum block has the checksum of a block, and where in it. */
static inline uint32_t record_sum_block(uint64_t block)
{
	return block < RECORD_HEAD_SUMS ? 0 : 1 + (block - RECORD_HEAD_SUMS) / RECORD_MORE_SUMS;
}

static inline uint32_t record_sum_position(uint64_t block)
{
	return block < RECORD_HEAD_SUMS ? block : (block - RECORD_HEAD_SUMS) % RECORD_MORE_SUMS;
}

#endif
