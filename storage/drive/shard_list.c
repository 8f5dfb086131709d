/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/shard_list.h"

#include <stdlib.h>

#include "storage/drive/location.h"
#include "storage/drive/segment.h"

struct shard_list {
	struct disk *disk;
	struct id drive;
	struct disk_file *file; /* the segment that was read last; NULL: none */
	uint64_t number; /* of it */
	struct segment_life life;
	uint8_t *block; /* FORMAT_BLOCK_LEN */
	enum err (*found)(void *arg, const struct shard_info *info);
	void *arg;
};

static enum err open_segment(struct shard_list *list, uint64_t number)
{
	char name[SEGMENT_NAME_LEN];
	uint64_t len;
	if (list->file && list->number == number)
		return ERR_OK;
	disk_close(list->file);
	list->file = NULL;
	segment_name_format(number, name);
	enum err err = disk_open(list->disk, name, DISK_READ_ONLY, &list->file);
	if (err != ERR_OK)
		return err;
	list->number = number;
	err = disk_size(list->file, &len);
	if (err == ERR_OK)
		err = segment_load(list->file, list->drive, number, len, &list->life);
	if (err != ERR_OK) {
		disk_close(list->file);
		list->file = NULL;
	}
	return err;
}

static enum err read_record(
	struct shard_list *list, const struct location *location, struct shard_info *ret_info)
{
	struct record_place place;
	size_t len;
	enum err err = open_segment(list, location->segment);
	if (err == ERR_OK && list->life.generation != location->generation)
		err = ERR_NOT_FOUND;
	if (err == ERR_OK)
		err = disk_read_now(
			list->file, list->block, FORMAT_BLOCK_LEN, location->offset, &len);
	if (err == ERR_OK && len < FORMAT_BLOCK_LEN)
		err = ERR_NOT_FOUND;
	if (err != ERR_OK)
		return err;
	segment_place(&list->life, location->offset, &place);
	return record_decode_head(list->block, &place, ret_info);
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
			read_record(list, &location, &info) == ERR_OK)
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
	struct shard_list list = {.disk = disk, .drive = drive, .found = found, .arg = arg};
	struct kv_reader *reader;
	list.block = aligned_alloc(FORMAT_BLOCK_LEN, FORMAT_BLOCK_LEN);
	if (!list.block)
		return ERR_NO_MEMORY;
	enum err err = kv_reader_open(locations, &reader);
	if (err == ERR_OK) {
		err = kv_reader_begin(reader);
		if (err == ERR_OK) {
			err = read_rows(&list, reader, from);
			kv_reader_end(reader);
		}
		kv_reader_close(reader);
	}
	disk_close(list.file);
	free(list.block);
	return err;
}
