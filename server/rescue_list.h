/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_RESCUE_LIST_H
#define SERVER_RESCUE_LIST_H

#include "server/config.h"
#include "storage/drive/drive.h"
#include "storage/meta/index_archive.h"

/* The drives of a configuration, and the archives on them. */
struct rescue_drive {
	const char *path;
	const char *why; /* what there is to say of it, a few words */
	struct disk *disk; /* NULL: it cannot be read */
	struct drive_identity identity;
	bool had_archive; /* when it was first looked at */
	struct archive_found first; /* the newest complete one then */
	bool has_archive;
	struct archive_found newest; /* complete, that was not tried yet */
};

struct rescue_list {
	struct rescue_drive drives[STORE_DRIVES_MAX];
	unsigned count;
	bool has_log; /* a drive has a copy of the log itself, which says more than any archive */
	uint64_t newest; /* generation that any drive has heard of */
	char newest_drives[ARCHIVE_COPIES_MAX * (2 * ID_LEN + 1)]; /* who had it */
};

/* Looks at all drives; they are only read. Blocks. Errors: ERR_FOREIGN, they are of different
 * clusters; ERR_CONFLICT, they have a log themselves, and it is not to be given up; ERR_NO_MEMORY.
 */
MUST_USE enum err rescue_list_open(const struct config *config, bool gives_up_log,
	struct rescue_list **ret_list, char *message);

/* The newest archive of all that was not given yet. Errors: ERR_NOT_FOUND. */
MUST_USE enum err rescue_list_next(struct rescue_list *list, const struct rescue_drive **ret_drive,
	struct archive_found *ret_found);

/* NULL is fine. */
void rescue_list_close(struct rescue_list *list);

#endif
