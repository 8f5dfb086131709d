/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/record.h"

uint64_t shard_checksum_seed(struct extent_id extent, uint8_t index)
{
	uint8_t name[EXTENT_ID_LEN + 1];
	extent_id_encode(extent, name);
	name[EXTENT_ID_LEN] = index;
	return checksum(name, sizeof name, 0);
}

bool record_info_is_valid(const struct shard_info *info)
{
	if (info->k == 0 || info->index >= info->k + info->m)
		return false;
	if (info->shard_len == 0 || info->shard_len > RECORD_SHARD_LEN_MAX)
		return false;
	if (info->shard_len % FORMAT_BLOCK_LEN != 0)
		return false;
	if (info->unit_len == 0 || info->unit_len % BLOCK_LEN != 0)
		return false;
	if (info->extent_len > info->shard_len * info->k)
		return false;
	return info->hint.len <= RECORD_HINT_LEN_MAX;
}

void record_set_place(const struct record_place *place, const struct shard_info *info,
	uint8_t block[FORMAT_BLOCK_LEN])
{
	struct record_place_block b = {
		.token = htole64(place->token),
		.segment = htole64(place->segment),
		.generation = htole64(place->generation),
		.offset = htole64(place->offset),
		.session = htole64(info->extent.session),
		.counter = htole64(info->extent.counter),
		.index = info->index,
		.k = info->k,
		.m = info->m,
	};
	memcpy(b.drive, place->drive.bytes, ID_LEN);
	static_assert(offsetof(struct record_head_block, place) ==
			offsetof(struct record_more_block, place),
		"the same in both");
	memcpy(block + offsetof(struct record_head_block, place), &b, sizeof b);
}

void record_encode_head(
	const struct shard_info *info, uint64_t epoch, uint8_t block[FORMAT_BLOCK_LEN])
{
	assert(record_info_is_valid(info));
	struct record_head_block b = {
		.magic = htole64(RECORD_HEAD_MAGIC),
		.version = htole32(FORMAT_VERSION),
		.unit_len = htole32(info->unit_len),
		.epoch = htole64(epoch),
		.extent_len = htole64(info->extent_len),
		.shard_len = htole64(info->shard_len),
		.block_count = htole32(checksum_block_count(info->shard_len)),
		.hint_len = htole32(info->hint.len),
	};
	if (info->hint.len > 0)
		memcpy(b.hint, info->hint.data, info->hint.len);
	memcpy(block, &b, sizeof b);
}

void record_encode_more(const struct record_place *place, const struct shard_info *info,
	uint32_t number, uint8_t block[FORMAT_BLOCK_LEN])
{
	assert(number > 0);
	struct record_more_block b = {
		.magic = htole64(RECORD_MORE_MAGIC),
		.version = htole32(FORMAT_VERSION),
		.number = htole32(number),
	};
	memcpy(block, &b, sizeof b);
	record_set_place(place, info, block);
}

static size_t sum_offset(uint64_t block)
{
	size_t start = record_sum_block(block) == 0 ? offsetof(struct record_head_block, sums)
						    : offsetof(struct record_more_block, sums);
	return start + 8 * record_sum_position(block);
}

void record_put_sum(uint8_t *checksum_block, uint64_t block, uint64_t sum)
{
	put_le64(checksum_block + sum_offset(block), sum);
}

uint64_t record_get_sum(const uint8_t *checksum_block, uint64_t block)
{
	return get_le64(checksum_block + sum_offset(block));
}

void record_close_head(const struct record_place *place, uint8_t block[FORMAT_BLOCK_LEN])
{
	put_le64(block + FORMAT_SUM_OFFSET, checksum(block, FORMAT_SUM_OFFSET, place->seed));
}

void record_close_more(
	const struct record_place *place, uint32_t number, uint8_t block[FORMAT_BLOCK_LEN])
{
	uint64_t sum = checksum(block, FORMAT_SUM_OFFSET, place->seed + number);
	put_le64(block + FORMAT_SUM_OFFSET, sum);
}

static bool is_at(const struct record_place_block *block, const struct record_place *place)
{
	return le64toh(block->token) == place->token &&
		memcmp(block->drive, place->drive.bytes, ID_LEN) == 0 &&
		le64toh(block->segment) == place->segment &&
		le64toh(block->generation) == place->generation &&
		le64toh(block->offset) == place->offset;
}

enum err record_decode_head(const uint8_t block[FORMAT_BLOCK_LEN], const struct record_place *place,
	struct shard_info *ret_info)
{
	if (get_le64(block) != RECORD_HEAD_MAGIC)
		return ERR_NOT_FOUND;
	if (get_le64(block + FORMAT_SUM_OFFSET) != checksum(block, FORMAT_SUM_OFFSET, place->seed))
		return ERR_NOT_FOUND;
	struct record_head_block b;
	memcpy(&b, block, sizeof b);
	if (!is_at(&b.place, place))
		return ERR_NOT_FOUND;
	if (le32toh(b.version) > FORMAT_VERSION)
		return ERR_VERSION;

	struct shard_info info = {
		.extent = {le64toh(b.place.session), le64toh(b.place.counter)},
		.index = b.place.index,
		.k = b.place.k,
		.m = b.place.m,
		.unit_len = le32toh(b.unit_len),
		.extent_len = le64toh(b.extent_len),
		.shard_len = le64toh(b.shard_len),
		.hint = {block + offsetof(struct record_head_block, hint), le32toh(b.hint_len)},
	};
	if (!record_info_is_valid(&info))
		return ERR_NOT_FOUND;
	if (le32toh(b.block_count) != checksum_block_count(info.shard_len))
		return ERR_NOT_FOUND;
	uint64_t end = place->offset + record_len_of(info.shard_len);
	if (end > place->segment_len - SEGMENT_TAIL_LEN)
		return ERR_NOT_FOUND;
	*ret_info = info;
	return ERR_OK;
}

enum err record_check_more(const uint8_t block[FORMAT_BLOCK_LEN], const struct record_place *place,
	const struct shard_info *info, uint32_t number)
{
	struct record_more_block b;
	memcpy(&b, block, sizeof b);
	if (le64toh(b.magic) != RECORD_MORE_MAGIC)
		return ERR_CHECKSUM;
	if (le64toh(b.sum) != checksum(block, FORMAT_SUM_OFFSET, place->seed + number))
		return ERR_CHECKSUM;
	if (!is_at(&b.place, place) || le32toh(b.number) != number)
		return ERR_CHECKSUM;
	if (le32toh(b.version) > FORMAT_VERSION)
		return ERR_VERSION;
	struct extent_id extent = {le64toh(b.place.session), le64toh(b.place.counter)};
	bool is_same = extent_id_is_equal(extent, info->extent) && b.place.index == info->index &&
		b.place.k == info->k && b.place.m == info->m;
	return is_same ? ERR_OK : ERR_CHECKSUM;
}
