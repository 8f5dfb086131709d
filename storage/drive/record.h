/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_DRIVE_RECORD_H
#define STORAGE_DRIVE_RECORD_H

#include "storage/drive/drive.h"
#include "storage/drive/format.h"

/* The life of a segment that a record belongs to, and its place there (F3). */
struct record_place {
	struct id drive;
	uint64_t segment;
	uint64_t segment_len;
	uint64_t generation;
	uint64_t seed;
	uint64_t token;
	uint64_t offset;
};

/* Can this be a record at all? Its hint may be anything up to DRIVE_HINT_LEN_MAX. */
bool record_info_is_valid(const struct shard_info *info);

/* Begins block 0, without its place and a checksum of its own: record_set_place(), record_put_sum()
 * and record_close_head() follow. */
void record_encode_head(
	const struct shard_info *info, uint64_t epoch, uint8_t block[FORMAT_BLOCK_LEN]);

void record_set_place(const struct record_place *place, const struct shard_info *info,
	uint8_t block[FORMAT_BLOCK_LEN]);

/* Begins a further checksum block. */
void record_encode_more(const struct record_place *place, const struct shard_info *info,
	uint32_t number, uint8_t block[FORMAT_BLOCK_LEN]);

/* Notes the checksum of a block, in the checksum block that record_sum_block() names. */
void record_put_sum(uint8_t *checksum_block, uint64_t block, uint64_t sum);
uint64_t record_get_sum(const uint8_t *checksum_block, uint64_t block);

/* Ends block 0 or a further block: its own checksum. */
void record_close_head(const struct record_place *place, uint8_t block[FORMAT_BLOCK_LEN]);
void record_close_more(
	const struct record_place *place, uint32_t number, uint8_t block[FORMAT_BLOCK_LEN]);

/* Decodes what was read at place->offset. ret_info->hint points into the block. Errors:
 * ERR_NOT_FOUND, there is no record; ERR_VERSION, there is one of a newer version. */
MUST_USE enum err record_decode_head(const uint8_t block[FORMAT_BLOCK_LEN],
	const struct record_place *place, struct shard_info *ret_info);

/* Checks a further checksum block of the record that info is of. Errors: ERR_CHECKSUM; ERR_VERSION.
 */
MUST_USE enum err record_check_more(const uint8_t block[FORMAT_BLOCK_LEN],
	const struct record_place *place, const struct shard_info *info, uint32_t number);

#endif
