/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/superblock.h"

#include <stdlib.h>

#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

static struct superblock sample(uint64_t sequence)
{
	struct superblock superblock = {
		.identity = {.mount = 7, .claim = 8, .class = DRIVE_HDD},
		.sequence = sequence,
		.segment_len = DRIVE_SEGMENT_LEN_DEFAULT,
		.epoch = 3,
		.in_sync_set = 11,
		.archive = {5, 6},
		.archive_len = 12345,
		.archive_log_index = 678,
	};
	memset(superblock.identity.cluster.bytes, 1, ID_LEN);
	memset(superblock.identity.drive.bytes, 2, ID_LEN);
	memset(superblock.identity.node.bytes, 3, ID_LEN);
	return superblock;
}

static void assert_same(const struct superblock *a, const struct superblock *b)
{
	uint8_t block_a[FORMAT_BLOCK_LEN];
	uint8_t block_b[FORMAT_BLOCK_LEN];
	superblock_encode(a, block_a);
	superblock_encode(b, block_b);
	ck_assert_mem_eq(block_a, block_b, FORMAT_BLOCK_LEN);
}

struct rig {
	struct sim *sim;
	struct sim_node *node;
	struct sim_disk *disk;
	struct disk_file *file;
};

static void rig_open(struct rig *rig)
{
	rig->sim = sim_new(1);
	rig->node = sim_node_new(rig->sim, "node");
	rig->disk = sim_disk_new(rig->node, "disk", 0);
	ck_assert_ok(disk_open(
		sim_disk_base(rig->disk), SUPERBLOCK_NAME, DISK_CREATE | DISK_DIRECT, &rig->file));
}

static void rig_close(struct rig *rig)
{
	disk_close(rig->file);
	sim_disk_free(rig->disk);
	sim_free(rig->sim);
}

static void flip(struct rig *rig, uint64_t offset)
{
	uint8_t *block = aligned_alloc(FORMAT_BLOCK_LEN, FORMAT_BLOCK_LEN);
	uint64_t start = offset / FORMAT_BLOCK_LEN * FORMAT_BLOCK_LEN;
	size_t len;
	ck_assert_ok(disk_read_now(rig->file, block, FORMAT_BLOCK_LEN, start, &len));
	block[offset - start] ^= 0x10;
	ck_assert_ok(disk_write_now(rig->file, block, FORMAT_BLOCK_LEN, start));
	free(block);
}

START_TEST(what_is_encoded_is_decoded)
{
	struct superblock superblock = sample(4);
	uint8_t block[FORMAT_BLOCK_LEN];
	superblock_encode(&superblock, block);
	struct superblock decoded;
	ck_assert_ok(superblock_decode(block, &decoded));
	assert_same(&superblock, &decoded);
	ck_assert_uint_eq(decoded.identity.mount, 7);
	ck_assert_uint_eq(decoded.identity.claim, 8);
	ck_assert_uint_eq(decoded.in_sync_set, 11);
	ck_assert_uint_eq(decoded.archive_log_index, 678);
}
END_TEST

START_TEST(a_copy_with_any_byte_changed_is_refused)
{
	struct superblock superblock = sample(4);
	uint8_t block[FORMAT_BLOCK_LEN];
	superblock_encode(&superblock, block);
	struct superblock decoded;
	for (size_t i = 0; i < sizeof block; i++) {
		block[i] ^= 1 + i % 255;
		ck_assert_err(superblock_decode(block, &decoded), ERR_CORRUPT);
		block[i] ^= 1 + i % 255;
	}
	ck_assert_ok(superblock_decode(block, &decoded));
}
END_TEST

START_TEST(a_newer_version_is_named)
{
	struct superblock superblock = sample(4);
	uint8_t block[FORMAT_BLOCK_LEN];
	superblock_encode(&superblock, block);
	put_le32(block + 8, FORMAT_VERSION + 1);
	put_le64(block + FORMAT_SUM_OFFSET, checksum(block, FORMAT_SUM_OFFSET, 0));
	struct superblock decoded;
	ck_assert_err(superblock_decode(block, &decoded), ERR_VERSION);
}
END_TEST

START_TEST(a_segment_length_that_cannot_be_is_refused)
{
	struct superblock superblock = sample(4);
	superblock.segment_len = 12345;
	uint8_t block[FORMAT_BLOCK_LEN];
	superblock_encode(&superblock, block);
	struct superblock decoded;
	ck_assert_err(superblock_decode(block, &decoded), ERR_CORRUPT);
}
END_TEST

START_TEST(the_newer_copy_counts)
{
	struct rig rig;
	rig_open(&rig);
	struct superblock superblock = sample(0);
	struct superblock loaded;
	for (unsigned i = 0; i < 5; i++) {
		superblock.identity.mount++;
		ck_assert_ok(superblock_store(rig.file, &superblock));
		ck_assert_ok(superblock_load(rig.file, &loaded));
		assert_same(&superblock, &loaded);
	}
	rig_close(&rig);
}
END_TEST

START_TEST(the_older_copy_serves_when_the_newer_is_damaged)
{
	struct rig rig;
	rig_open(&rig);
	struct superblock superblock = sample(0);
	ck_assert_ok(superblock_store(rig.file, &superblock));
	struct superblock older = superblock;
	superblock.identity.mount++;
	ck_assert_ok(superblock_store(rig.file, &superblock));
	flip(&rig, (superblock.sequence & 1) * FORMAT_BLOCK_LEN + 100);
	struct superblock loaded;
	ck_assert_ok(superblock_load(rig.file, &loaded));
	assert_same(&older, &loaded);
	/* The next store goes over the damaged one, not over the only good one. */
	ck_assert_ok(superblock_store(rig.file, &loaded));
	flip(&rig, (loaded.sequence & 1) * FORMAT_BLOCK_LEN + 100);
	ck_assert_ok(superblock_load(rig.file, &loaded));
	assert_same(&older, &loaded);
	flip(&rig, (older.sequence & 1) * FORMAT_BLOCK_LEN + 100);
	ck_assert_err(superblock_load(rig.file, &loaded), ERR_CORRUPT);
	rig_close(&rig);
}
END_TEST

START_TEST(a_failed_write_or_flush_is_told)
{
	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;
		rig_open(&rig);
		struct superblock superblock = sample(0);
		sim_disk_fail_nth(rig.disk, i == 0 ? SIM_WRITE : SIM_SYNC, 1, SIM_EIO);
		ck_assert_err(superblock_store(rig.file, &superblock), ERR_IO);
		rig_close(&rig);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("superblock");
	TCase *tc = tcase_create("superblock");
	tcase_add_test(tc, what_is_encoded_is_decoded);
	tcase_add_test(tc, a_copy_with_any_byte_changed_is_refused);
	tcase_add_test(tc, a_newer_version_is_named);
	tcase_add_test(tc, a_segment_length_that_cannot_be_is_refused);
	tcase_add_test(tc, the_newer_copy_counts);
	tcase_add_test(tc, the_older_copy_serves_when_the_newer_is_damaged);
	tcase_add_test(tc, a_failed_write_or_flush_is_told);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
