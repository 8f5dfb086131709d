/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rescue_list.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/disk_file.h"
#include "server/identity.h"
#include "storage/meta/log_mirror.h"

static void note_newest(struct rescue_list *list, const struct archive_found *found)
{
	if (found->newest <= list->newest)
		return;
	list->newest = found->newest;
	char *at = list->newest_drives;
	*at = '\0';
	for (unsigned i = 0; i < found->newest_count; i++) {
		if (i > 0)
			*at++ = ' ';
		sodium_bin2hex(at, 2 * ID_LEN + 1, found->newest_drives[i].bytes, ID_LEN);
		at += 2 * ID_LEN;
	}
}

static void look(struct rescue_list *list, struct rescue_drive *drive, uint64_t older_than)
{
	struct archive_found found;
	enum err err = archive_find(drive->disk, older_than, &found);
	note_newest(list, &found);
	drive->has_archive = err == ERR_OK;
	if (!err)
		drive->newest = found;
	if (older_than > 0)
		return;
	drive->had_archive = drive->has_archive;
	drive->first = drive->newest;
	drive->why = err == ERR_OK     ? "has an archive"
		: err == ERR_NOT_FOUND ? "has no complete archive"
				       : err_text(err);
}

static void open_drive(struct rescue_list *list, struct rescue_drive *drive)
{
	enum err err = server_disk_new(drive->path, NULL, &drive->disk);
	if (!err) {
		err = drive_identify(drive->disk, &drive->identity);
		if (err) {
			server_disk_free(drive->disk);
			drive->disk = NULL;
		}
	}
	drive->why = err_text(err);
	if (!err)
		look(list, drive, 0);
}

/* All of one cluster, and none with a log beside it. */
static enum err check(struct rescue_list *list, bool gives_up_log, char *message)
{
	const struct rescue_drive *first = NULL;
	for (unsigned i = 0; i < list->count; i++) {
		const struct rescue_drive *drive = &list->drives[i];
		struct log_home home = {.disk = drive->disk, .id = drive->identity.drive};
		if (!drive->disk)
			continue;
		list->has_log |= log_mirror_is_there(&home, 1);
		if (list->has_log && !gives_up_log) {
			snprintf(message, IDENTITY_MESSAGE_LEN,
				"drive %.200s has a copy of the log itself, which brings back "
				"everything: rubus init --from-drives, then rubus serve; if that "
				"log cannot be used, give it up with --ignore-log",
				drive->path);
			return ERR_CONFLICT;
		}
		if (first && !id_is_equal(first->identity.cluster, drive->identity.cluster)) {
			snprintf(message, IDENTITY_MESSAGE_LEN,
				"drive %.200s is of another cluster than %.200s; take it out of "
				"the configuration",
				drive->path, first->path);
			return ERR_FOREIGN;
		}
		first = first ? first : drive;
	}
	return ERR_OK;
}

enum err rescue_list_open(const struct config *config, bool gives_up_log,
	struct rescue_list **ret_list, char *message)
{
	struct rescue_list *list = calloc(1, sizeof *list);
	if (!list)
		return ERR_NO_MEMORY;
	*ret_list = list;
	for (; list->count < config->drives_count; list->count++) {
		list->drives[list->count].path = config->drives[list->count].path;
		open_drive(list, &list->drives[list->count]);
	}
	return check(list, gives_up_log, message);
}

enum err rescue_list_next(struct rescue_list *list, const struct rescue_drive **ret_drive,
	struct archive_found *ret_found)
{
	struct rescue_drive *best = NULL;
	for (unsigned i = 0; i < list->count; i++) {
		struct rescue_drive *drive = &list->drives[i];
		if (drive->has_archive && (!best || drive->newest.sequence > best->newest.sequence))
			best = drive;
	}
	if (!best)
		return ERR_NOT_FOUND;
	*ret_drive = best;
	*ret_found = best->newest;
	look(list, best, best->newest.generation); /* for the next time */
	return ERR_OK;
}

void rescue_list_close(struct rescue_list *list)
{
	if (!list)
		return;
	for (unsigned i = 0; i < list->count; i++)
		if (list->drives[i].disk)
			server_disk_free(list->drives[i].disk);
	free(list);
}
