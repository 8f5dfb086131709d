/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive_priv.h"

#define NEW_NAME "superblock.new"
#define RESERVE_LEN_MAX (1u << 30)

/* What a directory holds before it is formatted. */
struct contents {
	bool has_superblock;
	bool has_segments;
	bool has_other;
};

uint64_t drive_reserve_len(uint64_t total)
{
	uint64_t len = total / 100 / FORMAT_BLOCK_LEN * FORMAT_BLOCK_LEN;
	return len < RESERVE_LEN_MAX ? len : RESERVE_LEN_MAX;
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/* What an earlier attempt left is no obstacle, nor what file systems are made with. */
static void found_name(void *arg, const char *name)
{
	static const char *const ours[] = {NEW_NAME, DRIVE_RESERVE_NAME, "lost+found", ".", ".."};
	struct contents *contents = arg;
	if (strcmp(name, SUPERBLOCK_NAME) == 0)
		contents->has_superblock = true;
	else if (strcmp(name, SEGMENT_DIR) == 0)
		contents->has_segments = true;
	else if (!is_one_of(name, ours, ARRAY_COUNT(ours)))
		contents->has_other = true;
}

static void found_inside(void *arg, const char *name)
{
	struct contents *contents = arg;
	if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		contents->has_other = true;
}

static enum err check_empty(struct disk *disk)
{
	struct contents contents = {0};
	enum err err = disk_list(disk, ".", found_name, &contents);
	if (err == ERR_OK && contents.has_superblock)
		return ERR_EXISTS;
	if (err == ERR_OK && contents.has_segments)
		err = disk_list(disk, SEGMENT_DIR, found_inside, &contents);
	if (err != ERR_OK)
		return err;
	return contents.has_other ? ERR_NOT_EMPTY : ERR_OK;
}

static enum err make_reserve(struct disk *disk, uint64_t len)
{
	struct disk_file *file;
	enum err err = disk_open(disk, DRIVE_RESERVE_NAME, DISK_CREATE, &file);
	if (err != ERR_OK)
		return err;
	if (len > 0)
		err = disk_allocate(file, len);
	if (err == ERR_OK)
		err = disk_sync_now(file);
	disk_close(file);
	return err;
}

/* Writes both copies, so that from the start one may be damaged. */
static enum err write_superblock(
	struct disk *disk, const struct drive_identity *identity, uint64_t segment_len)
{
	struct superblock superblock = {.identity = *identity, .segment_len = segment_len};
	struct disk_file *file;
	enum err err = disk_open(disk, NEW_NAME, DISK_CREATE | DISK_DIRECT, &file);
	if (err != ERR_OK)
		return err;
	err = superblock_store(file, &superblock);
	if (err == ERR_OK)
		err = superblock_store(file, &superblock);
	disk_close(file);
	return err;
}

enum err drive_format(struct disk *disk, const struct drive_identity *identity,
	const struct drive_settings *settings)
{
	assert(segment_len_is_valid(settings->segment_len));
	enum err err = check_empty(disk);
	if (err != ERR_OK)
		return err;
	struct disk_space space;
	err = disk_space(disk, &space);
	if (err != ERR_OK)
		return err;
	uint64_t reserve_len = settings->reserve_len;
	if (reserve_len == 0)
		reserve_len = drive_reserve_len(space.total);

	err = disk_make_dir(disk, SEGMENT_DIR);
	if (err == ERR_OK)
		err = make_reserve(disk, reserve_len);
	if (err == ERR_OK)
		err = write_superblock(disk, identity, settings->segment_len);
	if (err == ERR_OK)
		err = disk_sync_dir(disk);
	if (err == ERR_OK)
		err = disk_rename(disk, NEW_NAME, SUPERBLOCK_NAME);
	if (err == ERR_OK)
		err = disk_sync_dir(disk);
	return err;
}

enum err drive_identify(struct disk *disk, struct drive_identity *ret_identity)
{
	struct disk_file *file;
	enum err err = disk_open(disk, SUPERBLOCK_NAME, DISK_READ_ONLY, &file);
	if (err != ERR_OK)
		return err;
	struct superblock superblock;
	err = superblock_load(file, &superblock);
	disk_close(file);
	if (err == ERR_OK)
		*ret_identity = superblock.identity;
	return err;
}
