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

#endif
