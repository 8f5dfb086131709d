/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/segment.h"

#include <stdlib.h>

#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

enum { LEN = 1 << 20 };

static const struct segment_life life = {
	.cluster = {{1}},
	.drive = {{2}},
	.number = 9,
	.generation = 77,
	.len = LEN,
	.epoch = 4,
	.seed = 0x1234567890abcdefu,
	.token = 0xfedcba0987654321u,
};

static struct shard_info sample(uint64_t shard_len)
{
	return (struct shard_info){
		.extent = {21, 22},
		.index = 1,
		.k = 2,
		.m = 1,
		.unit_len = 256 << 10,
		.extent_len = shard_len + 17,
		.shard_len = shard_len,
		.hint = bytes_of("bucket/key"),
	};
}

static void encode(const struct record_place *place, const struct shard_info *info, uint8_t *block)
{
	record_encode_head(info, 4, block);
	record_set_place(place, info, block);
	for (uint64_t i = 0; i < checksum_block_count(info->shard_len) && i < RECORD_HEAD_SUMS; i++)
		record_put_sum(block, i, i * 1000003);
	record_close_head(place, block);
}

START_TEST(names_are_numbers)
{
	char name[SEGMENT_NAME_LEN];
	segment_name_format(0xabc, name);
	ck_assert_str_eq(name, "segments/0000000000000abc");
	uint64_t number;
	ck_assert_ok(segment_name_parse("0000000000000abc", &number));
	ck_assert_uint_eq(number, 0xabc);
	ck_assert_err(segment_name_parse("0000000000000ABC", &number), ERR_INVALID);
	ck_assert_err(segment_name_parse("000000000000abc", &number), ERR_INVALID);
	ck_assert_err(segment_name_parse("00000000000000abc", &number), ERR_INVALID);
	ck_assert_err(segment_name_parse("0000000000000000", &number), ERR_INVALID);
	ck_assert_err(segment_name_parse("", &number), ERR_INVALID);
}
END_TEST

START_TEST(a_head_with_any_byte_changed_is_refused)
{
	uint8_t block[FORMAT_BLOCK_LEN];
	segment_encode(&life, block);
	struct segment_life decoded;
	for (size_t i = 0; i < sizeof block; i++) {
		block[i] ^= 1 + i % 255;
		ck_assert_err(segment_decode(block, &decoded), ERR_CORRUPT);
		block[i] ^= 1 + i % 255;
	}
	ck_assert_ok(segment_decode(block, &decoded));
	ck_assert_mem_eq(&decoded, &life, sizeof life);
	put_le32(block + 8, FORMAT_VERSION + 1);
	put_le64(block + FORMAT_SUM_OFFSET, checksum(block, FORMAT_SUM_OFFSET, 0));
	ck_assert_err(segment_decode(block, &decoded), ERR_VERSION);
}
END_TEST

START_TEST(a_record_head_with_any_byte_changed_is_no_record)
{
	struct record_place place;
	segment_place(&life, 8192, &place);
	struct shard_info info = sample(68 << 12);
	uint8_t block[FORMAT_BLOCK_LEN];
	encode(&place, &info, block);
	struct shard_info decoded;
	for (size_t i = 0; i < sizeof block; i++) {
		block[i] ^= 1 + i % 255;
		ck_assert_err(record_decode_head(block, &place, &decoded), ERR_NOT_FOUND);
		block[i] ^= 1 + i % 255;
	}
	ck_assert_ok(record_decode_head(block, &place, &decoded));
	ck_assert(extent_id_is_equal(decoded.extent, info.extent));
	ck_assert_uint_eq(decoded.index, info.index);
	ck_assert_uint_eq(decoded.k, info.k);
	ck_assert_uint_eq(decoded.m, info.m);
	ck_assert_uint_eq(decoded.unit_len, info.unit_len);
	ck_assert_uint_eq(decoded.extent_len, info.extent_len);
	ck_assert_uint_eq(decoded.shard_len, info.shard_len);
	ck_assert(bytes_is_equal(decoded.hint, info.hint));
	for (uint64_t i = 0; i < checksum_block_count(info.shard_len); i++)
		ck_assert_uint_eq(record_get_sum(block, i), i * 1000003);
}
END_TEST

START_TEST(a_record_is_none_anywhere_else)
{
	struct record_place place;
	segment_place(&life, 8192, &place);
	struct shard_info info = sample(4096);
	uint8_t block[FORMAT_BLOCK_LEN];
	encode(&place, &info, block);
	struct shard_info decoded;
	ck_assert_ok(record_decode_head(block, &place, &decoded));
	struct record_place other = place;
	other.offset += 4096;
	ck_assert_err(record_decode_head(block, &other, &decoded), ERR_NOT_FOUND);
	other = place;
	other.generation++;
	ck_assert_err(record_decode_head(block, &other, &decoded), ERR_NOT_FOUND);
	other = place;
	other.segment++;
	ck_assert_err(record_decode_head(block, &other, &decoded), ERR_NOT_FOUND);
	other = place;
	other.drive.bytes[0]++;
	ck_assert_err(record_decode_head(block, &other, &decoded), ERR_NOT_FOUND);
	other = place;
	other.seed++;
	ck_assert_err(record_decode_head(block, &other, &decoded), ERR_NOT_FOUND);
	other = place;
	other.token++;
	ck_assert_err(record_decode_head(block, &other, &decoded), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_record_with_a_shape_that_cannot_be_is_none)
{
	struct record_place place;
	segment_place(&life, 8192, &place);
	struct shard_info info = sample(8192);
	struct shard_info decoded;
	uint8_t block[FORMAT_BLOCK_LEN];
	const struct {
		size_t offset;
		uint64_t value;
		size_t len;
	} changes[] = {
		{offsetof(struct record_head_block, shard_len), 0, 8},
		{offsetof(struct record_head_block, shard_len), 8193, 8},
		{offsetof(struct record_head_block, shard_len), UINT64_MAX - 4095, 8},
		{offsetof(struct record_head_block, shard_len), LEN, 8},
		{offsetof(struct record_head_block, block_count), 2, 4},
		{offsetof(struct record_head_block, hint_len), RECORD_HINT_LEN_MAX + 1, 4},
		{offsetof(struct record_head_block, unit_len), 0, 4},
		{offsetof(struct record_head_block, extent_len), 2 * 8192 + 1, 8},
		{offsetof(struct record_head_block, place.k), 0, 1},
		{offsetof(struct record_head_block, place.index), 3, 1},
	};
	for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
		encode(&place, &info, block);
		memcpy(block + changes[i].offset, &changes[i].value, changes[i].len);
		record_close_head(&place, block);
		ck_assert_msg(record_decode_head(block, &place, &decoded) == ERR_NOT_FOUND,
			"change %zu", i);
	}
	place.offset = LEN - SEGMENT_TAIL_LEN - 8192;
	encode(&place, &info, block);
	ck_assert_err(record_decode_head(block, &place, &decoded), ERR_NOT_FOUND);
	place.offset -= 4096;
	encode(&place, &info, block);
	ck_assert_ok(record_decode_head(block, &place, &decoded));
}
END_TEST

START_TEST(a_further_block_with_any_byte_changed_is_refused)
{
	struct record_place place;
	segment_place(&life, 8192, &place);
	struct shard_info info = sample(32 << 20);
	uint8_t block[FORMAT_BLOCK_LEN];
	record_encode_more(&place, &info, 2, block);
	for (uint64_t i = 0; i < RECORD_MORE_SUMS; i++)
		record_put_sum(block, RECORD_HEAD_SUMS + RECORD_MORE_SUMS + i, i + 1);
	record_close_more(&place, 2, block);
	ck_assert_ok(record_check_more(block, &place, &info, 2));
	ck_assert_err(record_check_more(block, &place, &info, 1), ERR_CHECKSUM);
	struct shard_info other = info;
	other.index++;
	ck_assert_err(record_check_more(block, &place, &other, 2), ERR_CHECKSUM);
	for (size_t i = 0; i < sizeof block; i++) {
		block[i] ^= 1 + i % 255;
		ck_assert_err(record_check_more(block, &place, &info, 2), ERR_CHECKSUM);
		block[i] ^= 1 + i % 255;
	}
	ck_assert_ok(record_check_more(block, &place, &info, 2));
}
END_TEST

START_TEST(the_length_of_a_shard_follows_from_its_record)
{
	for (uint64_t len = 4096; len <= RECORD_SHARD_LEN_MAX; len += 4096) {
		ck_assert_uint_eq(record_shard_len(record_len_of(len)), len);
		uint64_t last = checksum_block_count(len) - 1;
		ck_assert_uint_lt(record_sum_block(last), record_head_count(len));
		ck_assert_uint_eq(record_sum_block(last), record_head_count(len) - 1);
	}
	ck_assert_uint_eq(record_shard_len(4096), 0);
	ck_assert_uint_eq(record_shard_len(0), 0);
}
END_TEST

/* --- in a file -------------------------------------------------------------------------------- */

struct rig {
	struct sim *sim;
	struct sim_node *node;
	struct sim_disk *disk;
	struct disk_file *file;
	uint8_t *window;
};

static void rig_open(struct rig *rig)
{
	rig->sim = sim_new(1);
	rig->node = sim_node_new(rig->sim, "node");
	rig->disk = sim_disk_new(rig->node, "disk", 0);
	rig->window = aligned_alloc(FORMAT_BLOCK_LEN, SEGMENT_SCAN_WINDOW_LEN);
	ck_assert_ok(disk_make_dir(sim_disk_base(rig->disk), SEGMENT_DIR));
	ck_assert_ok(disk_open(sim_disk_base(rig->disk), "segments/0000000000000009",
		DISK_CREATE | DISK_DIRECT, &rig->file));
	ck_assert_ok(segment_begin(rig->file, &life));
}

static void rig_close(struct rig *rig)
{
	free(rig->window);
	disk_close(rig->file);
	sim_disk_free(rig->disk);
	sim_free(rig->sim);
}

static void write_record(struct rig *rig, uint64_t offset, uint64_t shard_len)
{
	uint8_t *block = aligned_alloc(FORMAT_BLOCK_LEN, FORMAT_BLOCK_LEN);
	struct record_place place;
	segment_place(&life, offset, &place);
	struct shard_info info = sample(shard_len);
	encode(&place, &info, block);
	ck_assert_ok(disk_write_now(rig->file, block, FORMAT_BLOCK_LEN, offset));
	free(block);
}

static void write_bytes(struct rig *rig, uint64_t offset, uint8_t byte)
{
	uint8_t *block = aligned_alloc(FORMAT_BLOCK_LEN, FORMAT_BLOCK_LEN);
	memset(block, byte, FORMAT_BLOCK_LEN);
	ck_assert_ok(disk_write_now(rig->file, block, FORMAT_BLOCK_LEN, offset));
	free(block);
}

static void assert_found(struct segment_scan *scan, uint64_t expected)
{
	struct shard_info info;
	uint64_t offset = 0;
	ck_assert_ok(segment_scan_next(scan, &info, &offset));
	ck_assert_uint_eq(offset, expected);
}

static void assert_end(struct segment_scan *scan)
{
	struct shard_info info;
	uint64_t offset;
	ck_assert_err(segment_scan_next(scan, &info, &offset), ERR_END);
}

START_TEST(the_copy_of_a_head_serves)
{
	struct rig rig;
	rig_open(&rig);
	struct segment_life loaded;
	write_bytes(&rig, 0, 0xee);
	ck_assert_ok(segment_load(rig.file, life.drive, 9, LEN, &loaded));
	ck_assert_mem_eq(&loaded, &life, sizeof life);
	struct id other = {{3}};
	ck_assert_err(segment_load(rig.file, other, 9, LEN, &loaded), ERR_FOREIGN);
	ck_assert_err(segment_load(rig.file, life.drive, 8, LEN, &loaded), ERR_FOREIGN);
	write_bytes(&rig, LEN - 4096, 0xee);
	ck_assert_err(segment_load(rig.file, life.drive, 9, LEN, &loaded), ERR_CORRUPT);
	write_bytes(&rig, 0, 0);
	write_bytes(&rig, LEN - 4096, 0);
	ck_assert_err(segment_load(rig.file, life.drive, 9, LEN, &loaded), ERR_NOT_FOUND);
	rig_close(&rig);
}
END_TEST

START_TEST(a_scan_finds_records_behind_gaps)
{
	struct rig rig;
	rig_open(&rig);
	write_record(&rig, 4096, 8192);
	write_record(&rig, 16384, 4096);
	write_record(&rig, 700 << 10, 4096);
	/* A head inside another record's data is skipped with it. */
	write_record(&rig, 100 << 12, 10 << 12);
	write_record(&rig, 105 << 12, 4096);
	struct segment_scan scan;
	segment_scan_init(&scan, rig.file, &life, 0, rig.window);
	assert_found(&scan, 4096);
	assert_found(&scan, 16384);
	assert_found(&scan, 100 << 12);
	assert_found(&scan, 700 << 10);
	assert_end(&scan);
	ck_assert_uint_eq(scan.data_end, (700 << 10) + 8192);
	ck_assert_uint_eq(scan.bad_len, 0);
	segment_scan_init(&scan, rig.file, &life, 20480, rig.window);
	assert_found(&scan, 100 << 12);
	rig_close(&rig);
}
END_TEST

START_TEST(a_scan_passes_over_what_cannot_be_read)
{
	struct rig rig;
	rig_open(&rig);
	write_record(&rig, 4096, 4096);
	write_record(&rig, 12288, 4096);
	struct segment_scan scan;
	segment_scan_init(&scan, rig.file, &life, 0, rig.window);
	sim_disk_fail_nth(rig.disk, SIM_READ, 1, SIM_EIO);
	sim_disk_fail_nth(rig.disk, SIM_READ, 2, SIM_EIO);
	assert_found(&scan, 12288);
	assert_end(&scan);
	ck_assert_uint_eq(scan.bad_len, 4096);
	rig_close(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("segment");
	TCase *tc = tcase_create("segment");
	tcase_add_test(tc, names_are_numbers);
	tcase_add_test(tc, a_head_with_any_byte_changed_is_refused);
	tcase_add_test(tc, a_record_head_with_any_byte_changed_is_no_record);
	tcase_add_test(tc, a_record_is_none_anywhere_else);
	tcase_add_test(tc, a_record_with_a_shape_that_cannot_be_is_none);
	tcase_add_test(tc, a_further_block_with_any_byte_changed_is_refused);
	tcase_add_test(tc, the_length_of_a_shard_follows_from_its_record);
	tcase_add_test(tc, the_copy_of_a_head_serves);
	tcase_add_test(tc, a_scan_finds_records_behind_gaps);
	tcase_add_test(tc, a_scan_passes_over_what_cannot_be_read);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
