/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/shard_list.h"

#include <stdlib.h>

#include "storage/drive/location.h"
#include "storage/drive/segment.h"

struct shard_look {
	struct disk *disk;
	struct id drive;
	struct disk_file *file; /* the segment that was read last; NULL: none */
	uint64_t number; /* of it */
	struct segment_life life;
	uint8_t *block; /* FORMAT_BLOCK_LEN */
};

struct shard_list {
	struct shard_look *look;
	enum err (*found)(void *arg, const struct shard_info *info);
	void *arg;
};

static enum err open_segment(struct shard_look *look, uint64_t number)
{
	char name[SEGMENT_NAME_LEN];
	uint64_t len;
	if (look->file && look->number == number)
		return ERR_OK;
	disk_close(look->file);
	look->file = NULL;
	segment_name_format(number, name);
	enum err err = disk_open(look->disk, name, DISK_READ_ONLY, &look->file);
	if (err != ERR_OK)
		return err;
	look->number = number;
	err = disk_size(look->file, &len);
	if (err == ERR_OK)
		err = segment_load(look->file, look->drive, number, len, &look->life);
	if (err != ERR_OK) {
		disk_close(look->file);
		look->file = NULL;
	}
	return err;
}

static enum err read_record(struct shard_look *look, uint64_t offset, struct shard_info *ret_info)
{
	struct record_place place;
	size_t len;
	enum err err = disk_read_now(look->file, look->block, FORMAT_BLOCK_LEN, offset, &len);
	if (err == ERR_OK && len < FORMAT_BLOCK_LEN)
		err = ERR_NOT_FOUND;
	if (err != ERR_OK)
		return err;
	segment_place(&look->life, offset, &place);
	return record_decode_head(look->block, &place, ret_info);
}

static enum err look_at(
	struct shard_look *look, const struct location *location, struct shard_info *ret_info)
{
	enum err err = open_segment(look, location->segment);
	if (err == ERR_OK && look->life.generation != location->generation)
		err = ERR_NOT_FOUND;
	return err == ERR_OK ? read_record(look, location->offset, ret_info) : err;
}

static enum err read_rows(struct shard_list *list, struct kv_reader *reader, struct extent_id from)
{
	uint8_t first[LOCATION_KEY_LEN];
	struct bytes key, value;
	location_key_encode(from, 0, first);
	enum err err = kv_seek(reader, bytes_make(first, sizeof first), &key, &value);
	while (err == ERR_OK) {
		struct extent_id extent;
		struct location location;
		struct shard_info info;
		uint8_t index;
		if (location_key_decode(key, &extent, &index) != ERR_OK)
			return ERR_OK; /* rows of another kind follow */
		if (location_decode(value, &location) == ERR_OK &&
			look_at(list->look, &location, &info) == ERR_OK)
			err = list->found(list->arg, &info);
		if (err == ERR_OK)
			err = kv_next(reader, &key, &value);
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err shard_list_read(struct disk *disk, struct kv *locations, struct id drive,
	struct extent_id from, enum err (*found)(void *arg, const struct shard_info *info),
	void *arg)
{
	struct shard_list list = {.found = found, .arg = arg};
	struct kv_reader *reader;
	enum err err = shard_look_open(disk, drive, &list.look);
	if (err != ERR_OK)
		return err;
	err = kv_reader_open(locations, &reader);
	if (err == ERR_OK) {
		err = kv_reader_begin(reader);
		if (err == ERR_OK) {
			err = read_rows(&list, reader, from);
			kv_reader_end(reader);
		}
		kv_reader_close(reader);
	}
	shard_look_close(list.look);
	return err;
}

/* --- of a drive that is open ------------------------------------------------------------------ */

enum err shard_look_open(struct disk *disk, struct id drive, struct shard_look **ret_look)
{
	struct shard_look *look = calloc(1, sizeof *look);
	if (!look)
		return ERR_NO_MEMORY;
	look->disk = disk;
	look->drive = drive;
	look->block = aligned_alloc(FORMAT_BLOCK_LEN, FORMAT_BLOCK_LEN);
	if (!look->block) {
		free(look);
		return ERR_NO_MEMORY;
	}
	*ret_look = look;
	return ERR_OK;
}

void shard_look_close(struct shard_look *look)
{
	if (!look)
		return;
	disk_close(look->file);
	free(look->block);
	free(look);
}

/* A segment may have begun a new life since it was looked at last, and records move. */
static enum err look_again(
	struct shard_look *look, const struct shard_entry *entry, struct shard_info *ret_info)
{
	enum err err = open_segment(look, entry->segment);
	if (err == ERR_OK)
		err = read_record(look, entry->offset, ret_info);
	if (err == ERR_OK &&
		(!extent_id_is_equal(ret_info->extent, entry->extent) ||
			ret_info->index != entry->index))
		err = ERR_NOT_FOUND;
	return err;
}

enum err shard_look_read(
	struct shard_look *look, const struct shard_entry *entry, struct shard_info *ret_info)
{
	bool was_open = look->file && look->number == entry->segment;
	enum err err = look_again(look, entry, ret_info);
	if (err != ERR_NOT_FOUND || !was_open)
		return err;
	disk_close(look->file);
	look->file = NULL;
	return look_again(look, entry, ret_info);
}
