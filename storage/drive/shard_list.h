/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_DRIVE_SHARD_LIST_H
#define STORAGE_DRIVE_SHARD_LIST_H

#include "storage/drive/drive.h"

/* Calls found() for the shards of a drive that is not open, of extents from one on, in the order of
 * their ids, with what their records say; the hint is borrowed. What the table of locations does
 * not have yet, and records that cannot be read, are passed over. Blocks. Errors: of the table;
 * what found() returned; ERR_NO_MEMORY. */
MUST_USE enum err shard_list_read(struct disk *disk, struct kv *locations, struct id drive,
	struct extent_id from, enum err (*found)(void *arg, const struct shard_info *info),
	void *arg);

/* Reads what records say, of a drive that may be open. One thread at a time. */
struct shard_look;
MUST_USE enum err shard_look_open(struct disk *disk, struct id drive, struct shard_look **ret_look);
void shard_look_close(struct shard_look *look); /* NULL is fine */

/* What the record of a shard says that drive_list() found; its hint is borrowed until the next
 * call. Blocks. Errors: ERR_NOT_FOUND, it is not there any more; those of the disk. */
MUST_USE enum err shard_look_read(
	struct shard_look *look, const struct shard_entry *entry, struct shard_info *ret_info);

#endif
