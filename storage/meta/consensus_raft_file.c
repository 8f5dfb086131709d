/* SPDX-License-Identifier: Apache-2.0 */
/* "log-members" beside the log: the last committed configuration, for when its entry is gone.
 *
 *   "rubusmbr" 8, version 4, length of the configuration 4, log id 8, base index 8, base term 8,
 *   index of the configuration 8, the configuration and zeros, XXH3 of all this 8
 *
 * Entries up to the base are of no use to members: they are from before the group was founded, or
 * a snapshot stands for them. The file is replaced by renaming. */
#include <xxhash.h>

#include "storage/meta/consensus_raft_priv.h"

#define FILE_NAME "log-members"
#define FILE_NAME_NEW "log-members.new"

enum {
	FILE_VERSION = 1,
	FILE_CONF_OFFSET = 48,
	FILE_SUM_OFFSET = FILE_CONF_OFFSET + CONFIGURATION_LEN_MAX,
	FILE_LEN = FILE_SUM_OFFSET + 8,
};

static const char file_magic[8] = "rubusmbr";

enum err members_file_read(struct disk *disk, struct members_file *ret_file)
{
	struct disk_file *file;
	enum err err = disk_open(disk, FILE_NAME, DISK_READ_ONLY, &file);
	if (err != ERR_OK)
		return err;
	uint8_t in[FILE_LEN];
	size_t len;
	err = disk_read_now(file, in, sizeof in, 0, &len);
	disk_close(file);
	if (err != ERR_OK)
		return err;
	if (len != sizeof in || memcmp(in, file_magic, 8) != 0 ||
		get_le64(in + FILE_SUM_OFFSET) != XXH3_64bits(in, FILE_SUM_OFFSET))
		return ERR_CORRUPT;
	if (get_le32(in + 8) != FILE_VERSION)
		return ERR_VERSION;
	size_t conf_len = get_le32(in + 12);
	struct consensus_members members;
	if (conf_len > CONFIGURATION_LEN_MAX ||
		configuration_decode(bytes_make(in + FILE_CONF_OFFSET, conf_len), &members) !=
			ERR_OK)
		return ERR_CORRUPT;
	*ret_file = (struct members_file){
		.log_id = get_le64(in + 16),
		.base_index = get_le64(in + 24),
		.base_term = get_le64(in + 32),
		.conf_index = get_le64(in + 40),
		.conf_len = conf_len,
	};
	memcpy(ret_file->conf, in + FILE_CONF_OFFSET, conf_len);
	return ERR_OK;
}

static void encode(const struct members_file *file, uint8_t out[FILE_LEN])
{
	memset(out, 0, FILE_LEN);
	memcpy(out, file_magic, 8);
	put_le32(out + 8, FILE_VERSION);
	put_le32(out + 12, file->conf_len);
	put_le64(out + 16, file->log_id);
	put_le64(out + 24, file->base_index);
	put_le64(out + 32, file->base_term);
	put_le64(out + 40, file->conf_index);
	memcpy(out + FILE_CONF_OFFSET, file->conf, file->conf_len);
	put_le64(out + FILE_SUM_OFFSET, XXH3_64bits(out, FILE_SUM_OFFSET));
}

enum err members_file_write(struct disk *disk, const struct members_file *file)
{
	uint8_t out[FILE_LEN];
	encode(file, out);
	struct disk_file *to;
	enum err err = disk_open(disk, FILE_NAME_NEW, DISK_CREATE, &to);
	if (err != ERR_OK)
		return err;
	err = disk_truncate(to, 0);
	if (err == ERR_OK)
		err = disk_write_now(to, out, sizeof out, 0);
	if (err == ERR_OK)
		err = disk_sync_now(to);
	disk_close(to);
	if (err == ERR_OK)
		err = disk_rename(disk, FILE_NAME_NEW, FILE_NAME);
	return err == ERR_OK ? disk_sync_dir(disk) : err;
}
