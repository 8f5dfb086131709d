/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void segment_name_format(uint64_t number, char ret_name[SEGMENT_NAME_LEN])
{
	snprintf(ret_name, SEGMENT_NAME_LEN, SEGMENT_DIR "/%016" PRIx64, number);
}

enum err segment_name_parse(const char *name, uint64_t *ret_number)
{
	uint64_t number = 0;
	size_t len = 0;
	for (; name[len]; len++) {
		char c = name[len];
		unsigned digit;
		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else
			return ERR_INVALID;
		number = number << 4 | digit;
	}
	if (len != 16 || number == 0)
		return ERR_INVALID;
	*ret_number = number;
	return ERR_OK;
}

void segment_encode(const struct segment_life *life, uint8_t block[FORMAT_BLOCK_LEN])
{
	struct segment_block b = {
		.magic = htole64(SEGMENT_MAGIC),
		.version = htole32(FORMAT_VERSION),
		.number = htole64(life->number),
		.generation = htole64(life->generation),
		.len = htole64(life->len),
		.epoch = htole64(life->epoch),
		.seed = htole64(life->seed),
		.token = htole64(life->token),
	};
	memcpy(b.cluster, life->cluster.bytes, ID_LEN);
	memcpy(b.drive, life->drive.bytes, ID_LEN);
	b.sum = htole64(checksum(&b, FORMAT_SUM_OFFSET, 0));
	memcpy(block, &b, sizeof b);
}

enum err segment_decode(const uint8_t block[FORMAT_BLOCK_LEN], struct segment_life *ret_life)
{
	struct segment_block b;
	memcpy(&b, block, sizeof b);
	if (le64toh(b.magic) != SEGMENT_MAGIC)
		return ERR_CORRUPT;
	if (le64toh(b.sum) != checksum(&b, FORMAT_SUM_OFFSET, 0))
		return ERR_CORRUPT;
	if (le32toh(b.version) > FORMAT_VERSION)
		return ERR_VERSION;
	struct segment_life life = {
		.number = le64toh(b.number),
		.generation = le64toh(b.generation),
		.len = le64toh(b.len),
		.epoch = le64toh(b.epoch),
		.seed = le64toh(b.seed),
		.token = le64toh(b.token),
	};
	memcpy(life.cluster.bytes, b.cluster, ID_LEN);
	memcpy(life.drive.bytes, b.drive, ID_LEN);
	if (!segment_len_is_valid(life.len) || life.generation == 0)
		return ERR_CORRUPT;
	*ret_life = life;
	return ERR_OK;
}

enum err segment_begin(struct disk_file *file, const struct segment_life *life)
{
	assert(segment_len_is_valid(life->len));
	uint8_t *block = aligned_alloc(FORMAT_BLOCK_LEN, FORMAT_BLOCK_LEN);
	if (!block)
		return ERR_NO_MEMORY;
	segment_encode(life, block);
	enum err err = disk_allocate(file, life->len);
	if (err == ERR_OK)
		err = disk_write_now(file, block, FORMAT_BLOCK_LEN, 0);
	if (err == ERR_OK)
		err = disk_write_now(file, block, FORMAT_BLOCK_LEN, life->len - SEGMENT_TAIL_LEN);
	if (err == ERR_OK)
		err = disk_sync_now(file);
	free(block);
	return err;
}

static bool is_zero(const uint8_t *block)
{
	return block[0] == 0 && memcmp(block, block + 1, FORMAT_BLOCK_LEN - 1) == 0;
}

/* Reads one of the heads. ERR_NOT_FOUND: nothing was written there. */
static enum err load_head(
	struct disk_file *file, uint64_t offset, uint8_t *block, struct segment_life *ret_life)
{
	size_t len;
	enum err err = disk_read_now(file, block, FORMAT_BLOCK_LEN, offset, &len);
	if (err != ERR_OK)
		return ERR_CORRUPT;
	if (len < FORMAT_BLOCK_LEN || is_zero(block))
		return ERR_NOT_FOUND;
	return segment_decode(block, ret_life);
}

enum err segment_load(struct disk_file *file, struct id drive, uint64_t number, uint64_t len,
	struct segment_life *ret_life)
{
	uint8_t *block = aligned_alloc(FORMAT_BLOCK_LEN, FORMAT_BLOCK_LEN);
	if (!block)
		return ERR_NO_MEMORY;
	struct segment_life life;
	enum err err = load_head(file, 0, block, &life);
	if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
		enum err copy_err = load_head(file, len - SEGMENT_TAIL_LEN, block, &life);
		err = copy_err == ERR_NOT_FOUND ? err : copy_err;
	}
	free(block);
	if (err != ERR_OK)
		return err;
	bool is_ours = memcmp(life.drive.bytes, drive.bytes, ID_LEN) == 0;
	if (!is_ours || life.number != number || life.len != len)
		return ERR_FOREIGN;
	*ret_life = life;
	return ERR_OK;
}

void segment_place(const struct segment_life *life, uint64_t offset, struct record_place *ret_place)
{
	*ret_place = (struct record_place){
		.drive = life->drive,
		.segment = life->number,
		.segment_len = life->len,
		.generation = life->generation,
		.seed = life->seed,
		.token = life->token,
		.offset = offset,
	};
}

void segment_scan_init(struct segment_scan *scan, struct disk_file *file,
	const struct segment_life *life, uint64_t offset, uint8_t *window)
{
	*scan = (struct segment_scan){
		.file = file,
		.life = *life,
		.offset = offset < SEGMENT_HEAD_LEN ? SEGMENT_HEAD_LEN : offset,
		.window = window,
	};
	scan->data_end = scan->offset;
}

/* Reads what stands at scan->offset, and on as far as the window goes. Where the disk refuses the
 * whole it is asked for a single block, and a block that cannot be read is passed over. */
static void fill_window(struct segment_scan *scan, uint64_t end)
{
	uint64_t left = end - scan->offset;
	size_t want = left < SEGMENT_SCAN_WINDOW_LEN ? left : SEGMENT_SCAN_WINDOW_LEN;
	size_t len = 0;
	enum err err = disk_read_now(scan->file, scan->window, want, scan->offset, &len);
	if (err != ERR_OK) {
		want = FORMAT_BLOCK_LEN;
		err = disk_read_now(scan->file, scan->window, want, scan->offset, &len);
	}
	if (err != ERR_OK) {
		scan->bad_len += FORMAT_BLOCK_LEN;
		scan->data_end = scan->offset + FORMAT_BLOCK_LEN;
		len = 0;
	}
	if (len < want)
		memset(scan->window + len, 0, want - len);
	scan->window_offset = scan->offset;
	scan->window_len = want;
}

enum err segment_scan_next(
	struct segment_scan *scan, struct shard_info *ret_info, uint64_t *ret_offset)
{
	uint64_t end = scan->life.len - SEGMENT_TAIL_LEN;
	while (scan->offset + FORMAT_BLOCK_LEN <= end) {
		uint64_t window_end = scan->window_offset + scan->window_len;
		if (scan->offset < scan->window_offset || scan->offset >= window_end)
			fill_window(scan, end);

		struct record_place place;
		segment_place(&scan->life, scan->offset, &place);
		const uint8_t *block = scan->window + (scan->offset - scan->window_offset);
		enum err err = record_decode_head(block, &place, ret_info);
		if (err == ERR_NOT_FOUND) {
			scan->offset += FORMAT_BLOCK_LEN;
			if (!is_zero(block))
				scan->data_end = scan->offset;
			continue;
		}
		if (err != ERR_OK)
			return err;
		*ret_offset = scan->offset;
		scan->offset += record_len_of(ret_info->shard_len);
		scan->data_end = scan->offset;
		return ERR_OK;
	}
	return ERR_END;
}

static enum err read_exactly(struct disk_file *file, uint8_t *buf, size_t len, uint64_t offset)
{
	size_t got;
	enum err err = disk_read_now(file, buf, len, offset, &got);
	if (err != ERR_OK)
		return err;
	return got == len ? ERR_OK : ERR_CHECKSUM;
}

/* Brings the checksum block `number` of the record to the second block of buf. */
static enum err load_more(struct disk_file *file, const struct record_place *place,
	const struct shard_info *info, uint32_t number, uint8_t *more)
{
	uint64_t offset = place->offset + (uint64_t)number * FORMAT_BLOCK_LEN;
	enum err err = read_exactly(file, more, FORMAT_BLOCK_LEN, offset);
	return err == ERR_OK ? record_check_more(more, place, info, number) : err;
}

enum err segment_verify(
	struct disk_file *file, const struct segment_life *life, uint64_t offset, uint8_t *buf)
{
	uint8_t *more = buf + FORMAT_BLOCK_LEN;
	uint8_t *data = buf + BLOCK_LEN;
	const size_t room = SEGMENT_SCAN_WINDOW_LEN - BLOCK_LEN;
	struct record_place place;
	segment_place(life, offset, &place);
	struct shard_info info;
	enum err err = read_exactly(file, buf, FORMAT_BLOCK_LEN, offset);
	if (err == ERR_OK && record_decode_head(buf, &place, &info) != ERR_OK)
		err = ERR_CHECKSUM;
	if (err != ERR_OK)
		return err;

	uint64_t seed = shard_checksum_seed(info.extent, info.index);
	uint64_t start = offset + (uint64_t)record_head_count(info.shard_len) * FORMAT_BLOCK_LEN;
	for (uint64_t at = 0; at < info.shard_len; at += BLOCK_LEN) {
		uint64_t left = info.shard_len - at;
		size_t len = left < BLOCK_LEN ? left : BLOCK_LEN;
		if (at % room == 0) {
			err = read_exactly(file, data, left < room ? left : room, start + at);
		}
		uint64_t block = at / BLOCK_LEN;
		uint32_t number = record_sum_block(block);
		if (err == ERR_OK && number > 0 && record_sum_position(block) == 0)
			err = load_more(file, &place, &info, number, more);
		if (err != ERR_OK)
			return err;
		uint64_t sum = checksum(data + at % room, len, seed + block);
		if (sum != record_get_sum(number > 0 ? more : buf, block))
			return ERR_CHECKSUM;
	}
	return ERR_OK;
}

enum err segment_renew(struct disk_file *file, uint64_t offset, uint64_t len, uint8_t *buf)
{
	enum err err = ERR_OK;
	for (uint64_t at = 0; at < len && err == ERR_OK; at += SEGMENT_SCAN_WINDOW_LEN) {
		uint64_t left = len - at;
		size_t part = left < SEGMENT_SCAN_WINDOW_LEN ? left : SEGMENT_SCAN_WINDOW_LEN;
		err = read_exactly(file, buf, part, offset + at);
		if (err == ERR_OK)
			err = disk_write_now(file, buf, part, offset + at);
	}
	return err == ERR_OK ? disk_sync_now(file) : err;
}
