/* SPDX-License-Identifier: Apache-2.0 */
/* "log-members" beside the log: the last committed configuration, for when its entry is gone.
 *
 *   "rubusmbr" 8, version 4, 0 (4), log id 8, the place, the next place, XXH3 of all this 8
 *   place   base index 8, base term 8, index of the configuration 8, its length 4, 0 (4),
 *           the configuration and zeros
 *
 * Entries up to the base are of no use to members: they are from before the group was founded, or
 * a snapshot stands for them. The next place is that of a snapshot which is being installed, or
 * zeros. The file is replaced by renaming. */
#include <xxhash.h>

#include "storage/meta/consensus_raft_priv.h"
#include "storage/small_file.h"

#define FILE_NAME "log-members"

enum {
	FILE_VERSION = 1,
	PLACE_CONF_OFFSET = 32,
	PLACE_LEN = PLACE_CONF_OFFSET + CONFIGURATION_LEN_MAX,
	FILE_PLACE_OFFSET = 24,
	FILE_SUM_OFFSET = FILE_PLACE_OFFSET + 2 * PLACE_LEN,
	FILE_LEN = FILE_SUM_OFFSET + 8,
};

static const char file_magic[8] = "rubusmbr";

static enum err decode_place(const uint8_t in[PLACE_LEN], struct members_place *ret_place)
{
	struct members_place place = {
		.base_index = get_le64(in),
		.base_term = get_le64(in + 8),
		.conf_index = get_le64(in + 16),
		.conf_len = get_le32(in + 24),
	};
	struct consensus_members members;
	if (place.conf_len > CONFIGURATION_LEN_MAX)
		return ERR_CORRUPT;
	struct bytes conf = bytes_make(in + PLACE_CONF_OFFSET, place.conf_len);
	if (conf.len > 0 && configuration_decode(conf, &members) != ERR_OK)
		return ERR_CORRUPT;
	memcpy(place.conf, conf.data, conf.len);
	*ret_place = place;
	return ERR_OK;
}

static void encode_place(const struct members_place *place, uint8_t out[PLACE_LEN])
{
	put_le64(out, place->base_index);
	put_le64(out + 8, place->base_term);
	put_le64(out + 16, place->conf_index);
	put_le32(out + 24, place->conf_len);
	memcpy(out + PLACE_CONF_OFFSET, place->conf, place->conf_len);
}

enum err members_file_read(struct disk *disk, struct members_file *ret_file)
{
	uint8_t in[FILE_LEN];
	enum err err = small_file_read(disk, FILE_NAME, in, sizeof in);
	if (err != ERR_OK)
		return err;
	if (memcmp(in, file_magic, 8) != 0 ||
		get_le64(in + FILE_SUM_OFFSET) != XXH3_64bits(in, FILE_SUM_OFFSET))
		return ERR_CORRUPT;
	if (get_le32(in + 8) != FILE_VERSION)
		return ERR_VERSION;
	struct members_file found = {.log_id = get_le64(in + 16)};
	err = decode_place(in + FILE_PLACE_OFFSET, &found.now);
	if (err == ERR_OK)
		err = decode_place(in + FILE_PLACE_OFFSET + PLACE_LEN, &found.next);
	if (err == ERR_OK)
		*ret_file = found;
	return err;
}

static void encode(const struct members_file *file, uint8_t out[FILE_LEN])
{
	memset(out, 0, FILE_LEN);
	memcpy(out, file_magic, 8);
	put_le32(out + 8, FILE_VERSION);
	put_le64(out + 16, file->log_id);
	encode_place(&file->now, out + FILE_PLACE_OFFSET);
	encode_place(&file->next, out + FILE_PLACE_OFFSET + PLACE_LEN);
	put_le64(out + FILE_SUM_OFFSET, XXH3_64bits(out, FILE_SUM_OFFSET));
}

enum err members_file_write(struct disk *disk, const struct members_file *file)
{
	uint8_t out[FILE_LEN];
	encode(file, out);
	return small_file_write(disk, FILE_NAME, out, sizeof out);
}
