/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/superblock.h"

#include <stdlib.h>

void superblock_encode(const struct superblock *superblock, uint8_t block[FORMAT_BLOCK_LEN])
{
	const struct drive_identity *identity = &superblock->identity;
	struct superblock_block b = {
		.magic = htole64(SUPERBLOCK_MAGIC),
		.version = htole32(FORMAT_VERSION),
		.class = htole32(identity->class),
		.sequence = htole64(superblock->sequence),
		.mount = htole64(identity->mount),
		.claim = htole64(identity->claim),
		.segment_len = htole64(superblock->segment_len),
		.epoch = htole64(superblock->epoch),
		.in_sync_set = htole64(superblock->in_sync_set),
		.archive =
			{
				.session = htole64(superblock->archive.session),
				.counter = htole64(superblock->archive.counter),
				.len = htole64(superblock->archive_len),
				.log_index = htole64(superblock->archive_log_index),
			},
	};
	memcpy(b.cluster, identity->cluster.bytes, ID_LEN);
	memcpy(b.drive, identity->drive.bytes, ID_LEN);
	memcpy(b.node, identity->node.bytes, ID_LEN);
	b.sum = htole64(checksum(&b, FORMAT_SUM_OFFSET, 0));
	memcpy(block, &b, sizeof b);
}

enum err superblock_decode(const uint8_t block[FORMAT_BLOCK_LEN], struct superblock *ret_superblock)
{
	struct superblock_block b;
	memcpy(&b, block, sizeof b);
	if (le64toh(b.magic) != SUPERBLOCK_MAGIC)
		return ERR_CORRUPT;
	if (le64toh(b.sum) != checksum(&b, FORMAT_SUM_OFFSET, 0))
		return ERR_CORRUPT;
	if (le32toh(b.version) > FORMAT_VERSION)
		return ERR_VERSION;
	if (le32toh(b.class) > DRIVE_HDD || !segment_len_is_valid(le64toh(b.segment_len)))
		return ERR_CORRUPT;

	struct superblock s = {
		.identity = {.mount = le64toh(b.mount),
			.claim = le64toh(b.claim),
			.class = le32toh(b.class)},
		.sequence = le64toh(b.sequence),
		.segment_len = le64toh(b.segment_len),
		.epoch = le64toh(b.epoch),
		.in_sync_set = le64toh(b.in_sync_set),
		.archive = {le64toh(b.archive.session), le64toh(b.archive.counter)},
		.archive_len = le64toh(b.archive.len),
		.archive_log_index = le64toh(b.archive.log_index),
	};
	memcpy(s.identity.cluster.bytes, b.cluster, ID_LEN);
	memcpy(s.identity.drive.bytes, b.drive, ID_LEN);
	memcpy(s.identity.node.bytes, b.node, ID_LEN);
	*ret_superblock = s;
	return ERR_OK;
}

/* A newer version in either copy rules: a program that is too old must not go by the other. */
static enum err newer_of(enum err err_0, const struct superblock *copy_0, enum err err_1,
	const struct superblock *copy_1, struct superblock *ret_superblock)
{
	if (err_0 == ERR_VERSION || err_1 == ERR_VERSION)
		return ERR_VERSION;
	if (err_0 != ERR_OK && err_1 != ERR_OK)
		return ERR_CORRUPT;
	if (err_0 != ERR_OK)
		*ret_superblock = *copy_1;
	else if (err_1 != ERR_OK)
		*ret_superblock = *copy_0;
	else
		*ret_superblock = copy_1->sequence > copy_0->sequence ? *copy_1 : *copy_0;
	return ERR_OK;
}

/* Reads one copy. One that cannot be read is a damaged one: the other may do. */
static enum err load_copy(
	struct disk_file *file, unsigned copy, uint8_t *buf, struct superblock *ret_superblock)
{
	size_t len;
	enum err err = disk_read_now(
		file, buf, FORMAT_BLOCK_LEN, (uint64_t)copy * FORMAT_BLOCK_LEN, &len);
	if (err != ERR_OK || len < FORMAT_BLOCK_LEN)
		return ERR_CORRUPT;
	return superblock_decode(buf, ret_superblock);
}

enum err superblock_load(struct disk_file *file, struct superblock *ret_superblock)
{
	uint8_t *buf = aligned_alloc(FORMAT_BLOCK_LEN, FORMAT_BLOCK_LEN);
	if (!buf)
		return ERR_NO_MEMORY;
	struct superblock copies[2];
	enum err err_0 = load_copy(file, 0, buf, &copies[0]);
	enum err err_1 = load_copy(file, 1, buf, &copies[1]);
	free(buf);
	return newer_of(err_0, &copies[0], err_1, &copies[1], ret_superblock);
}

enum err superblock_store(struct disk_file *file, struct superblock *superblock)
{
	uint8_t *buf = aligned_alloc(FORMAT_BLOCK_LEN, FORMAT_BLOCK_LEN);
	if (!buf)
		return ERR_NO_MEMORY;
	superblock->sequence++;
	superblock_encode(superblock, buf);
	uint64_t offset = (superblock->sequence & 1) * FORMAT_BLOCK_LEN;
	enum err err = disk_write_now(file, buf, FORMAT_BLOCK_LEN, offset);
	if (err == ERR_OK)
		err = disk_sync_now(file);
	free(buf);
	return err;
}
