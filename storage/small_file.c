/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/small_file.h"

#include <assert.h>
#include <stdio.h>

enum err small_file_read(struct disk *disk, const char *name, void *ret_bytes, size_t len)
{
	struct disk_file *file;
	enum err err = disk_open(disk, name, DISK_READ_ONLY, &file);
	if (err != ERR_OK)
		return err;
	size_t found;
	err = disk_read_now(file, ret_bytes, len, 0, &found);
	disk_close(file);
	if (err != ERR_OK)
		return err;
	return found == len ? ERR_OK : ERR_CORRUPT;
}

enum err small_file_write(struct disk *disk, const char *name, const void *bytes, size_t len)
{
	char name_new[SMALL_FILE_NAME_LEN_MAX + sizeof ".new"];
	int name_len = snprintf(name_new, sizeof name_new, "%s.new", name);
	assert(name_len > 0 && (size_t)name_len < sizeof name_new);
	struct disk_file *file;
	enum err err = disk_open(disk, name_new, DISK_CREATE, &file);
	if (err != ERR_OK)
		return err;
	err = disk_truncate(file, 0);
	if (err == ERR_OK)
		err = disk_write_now(file, bytes, len, 0);
	if (err == ERR_OK)
		err = disk_sync_now(file);
	disk_close(file);
	if (err == ERR_OK)
		err = disk_rename(disk, name_new, name);
	return err == ERR_OK ? disk_sync_dir(disk) : err;
}
