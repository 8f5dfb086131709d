/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a drive as an enemy or a broken drive would have them: each input is one 4 KiB block,
 * decoded as a superblock, a head of a segment, a record, and a further checksum block, as it is
 * and with a checksum that is right. What is accepted must be of a shape that readers can use. */
#include <stdlib.h>

#include "storage/drive/segment.h"
#include "storage/drive/superblock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct segment_life life = {
	.cluster = {{1}},
	.drive = {{2}},
	.number = 1,
	.generation = 5,
	.len = 1 << 20,
	.seed = 7,
	.token = 9,
};

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

static void decode_record(uint8_t *block)
{
	struct record_place place;
	segment_place(&life, 8192, &place);
	struct shard_info info;
	if (record_decode_head(block, &place, &info) != ERR_OK)
		return;
	check(record_info_is_valid(&info));
	check(info.hint.data >= block && info.hint.len <= RECORD_HINT_LEN_MAX);
	check(info.hint.data + info.hint.len <= block + FORMAT_BLOCK_LEN);
	uint64_t record_len = record_len_of(info.shard_len);
	check(place.offset + record_len <= life.len - SEGMENT_TAIL_LEN);
	check(record_shard_len(record_len) == info.shard_len);
}

static void decode_all(uint8_t *block)
{
	struct superblock superblock;
	if (superblock_decode(block, &superblock) == ERR_OK)
		check(segment_len_is_valid(superblock.segment_len));
	struct segment_life decoded;
	if (segment_decode(block, &decoded) == ERR_OK)
		check(segment_len_is_valid(decoded.len) && decoded.generation > 0);
	decode_record(block);
	struct record_place place;
	segment_place(&life, 8192, &place);
	struct shard_info info = {.extent = {1, 2}, .k = 1, .shard_len = 8 << 20};
	err_ignore(record_check_more(block, &place, &info, 1)); /* it must return, no more */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *block = calloc(1, FORMAT_BLOCK_LEN);
	if (!block)
		return 0;
	memcpy(block, data, len < FORMAT_BLOCK_LEN ? len : FORMAT_BLOCK_LEN);
	decode_all(block);
	put_le64(block + FORMAT_SUM_OFFSET, checksum(block, FORMAT_SUM_OFFSET, 0));
	decode_all(block);
	put_le64(block + FORMAT_SUM_OFFSET, checksum(block, FORMAT_SUM_OFFSET, life.seed));
	decode_all(block);
	free(block);
	return 0;
}
