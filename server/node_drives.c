/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_drives.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/init.h"
#include "server/node_priv.h"

#define DRIVES_NAME "drives"
#define DRIVES_PART "drives.part"

/* --- the list --------------------------------------------------------------------------------- */

static enum err take_path(struct node *node, const char *path, bool is_added)
{
	unsigned count = node->drive_count;
	for (unsigned i = 0; i < count; i++)
		if (strcmp(node->drives[i].path, path) == 0)
			return ERR_OK;
	if (count == STORE_DRIVES_MAX)
		return ERR_LIMIT;
	node->drives[count] = (struct node_drive){.path = strdup(path), .is_added = is_added};
	if (!node->drives[count].path)
		return ERR_NO_MEMORY;
	node->drive_count = count + 1;
	return ERR_OK;
}

static enum err load_added(struct node *node, FILE *file)
{
	char line[IDENTITY_PATH_LEN];
	enum err err = ERR_OK;
	while (!err && fgets(line, sizeof line, file)) {
		size_t len = strcspn(line, "\n");
		if (line[len] != '\n' || line[0] != '/')
			return ERR_CORRUPT;
		line[len] = '\0';
		err = take_path(node, line, true);
	}
	return err ? err : ferror(file) ? ERR_IO : ERR_OK;
}

enum err node_list_drives(struct node *node, char *message)
{
	char path[IDENTITY_PATH_LEN];
	enum err err = identity_path(node->config->state_dir, DRIVES_NAME, path);
	for (unsigned i = 0; !err && i < node->config->drives_count; i++)
		err = take_path(node, node->config->drives[i].path, false);
	if (err)
		return err;
	FILE *file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? ERR_OK
				       : node_refuse(message, err_from_errno(errno), "%.300s: %s",
						 path, strerror(errno));
	err = load_added(node, file);
	fclose(file);
	return err ? node_refuse(message, err, "%.300s, the drives that were added: %s", path,
			     err_text(err))
		   : ERR_OK;
}

/* Writes the list of those that were added, but one (0: all). */
static enum err keep_added(struct node *node, uint16_t but)
{
	char path[IDENTITY_PATH_LEN], part[IDENTITY_PATH_LEN];
	enum err err = identity_path(node->config->state_dir, DRIVES_NAME, path);
	if (!err)
		err = identity_path(node->config->state_dir, DRIVES_PART, part);
	FILE *file = err ? NULL : fopen(part, "we");
	if (!file)
		return err ? err : err_from_errno(errno);
	for (unsigned i = 0; i < node->drive_count; i++)
		if (node->drives[i].is_added && (but == 0 || node->drives[i].number != but))
			fprintf(file, "%s\n", node->drives[i].path);
	bool is_written = fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;
	is_written &= fclose(file) == 0;
	if (!is_written || rename(part, path) != 0)
		return ERR_IO;
	return disk_sync_dir(node->state_disk.disk);
}

bool node_forget_drive(struct node *node, uint16_t number)
{
	for (unsigned i = 0; i < node->drive_count; i++) {
		const struct node_drive *drive = &node->drives[i];
		if (drive->number != number)
			continue;
		if (!drive->is_added)
			return true;
		enum err err = keep_added(node, number);
		if (err)
			trace_event(node->trace, TRACE_WARNING, 0,
				"drive %s was removed, and is still in the list of drives: %s",
				drive->path, err_text(err));
	}
	return false;
}

/* --- how they are ----------------------------------------------------------------------------- */

enum row_drive_state node_drive_state(struct node *node, const struct node_drive *drive)
{
	struct row_drive row;
	enum row_drive_state state = DRIVE_ROW_IN;
	if (drive->number == 0 || index_view_begin(node->reader) != ERR_OK)
		return state;
	if (index_drive_next(node->reader, drive->number, &row) == ERR_OK &&
		row.number == drive->number)
		state = row.state;
	index_view_end(node->reader);
	return state;
}

void node_count_drives(struct node *node, unsigned *ret_wanted, unsigned *ret_up)
{
	*ret_wanted = *ret_up = 0;
	for (unsigned i = 0; i < node->drive_count; i++) {
		const struct node_drive *drive = &node->drives[i];
		if (node_drive_state(node, drive) >= DRIVE_ROW_GONE)
			continue;
		++*ret_wanted;
		*ret_up += drive->drive && drive_state(drive->drive) == DRIVE_UP;
	}
}

/* --- adding one ------------------------------------------------------------------------------- */

/* Is that directory one of the drives by another name? */
static const struct node_drive *find_same(const struct node *node, const char *path)
{
	struct stat own, other;
	if (stat(path, &own) != 0)
		return NULL;
	for (unsigned i = 0; i < node->drive_count; i++)
		if (stat(node->drives[i].path, &other) == 0 && own.st_dev == other.st_dev &&
			own.st_ino == other.st_ino)
			return &node->drives[i];
	return NULL;
}

static enum err check_path(struct node *node, const char *path, uint16_t *ret_number, char *message)
{
	if (path[0] != '/' || strlen(path) >= IDENTITY_PATH_LEN - 1 || strchr(path, '\n'))
		return node_refuse(message, ERR_INVALID,
			"'%.200s' is not a path from the root; name the directory of the drive",
			path);
	const struct node_drive *same = find_same(node, path);
	if (same && same->drive && node_drive_state(node, same) < DRIVE_ROW_GONE) {
		*ret_number = same->number;
		return node_refuse(message, ERR_EXISTS,
			"%.200s is drive %u of this node already; see rubus drive list", path,
			same->number);
	}
	if (same)
		return node_refuse(message, ERR_CONFLICT,
			"%.200s was a drive of this node; restart the node without it and with an "
			"empty directory first",
			path);
	if (node->config->role == CONFIG_ROLE_WITNESS)
		return node_refuse(message, ERR_UNSUPPORTED,
			"this node is a witness, which has no drives; add it on another node");
	if (node->drive_count == STORE_DRIVES_MAX)
		return node_refuse(message, ERR_LIMIT,
			"a node has at most %d drives; add it to another node", STORE_DRIVES_MAX);
	return ERR_OK;
}

/* Takes the last drive back, which nobody has seen. */
static void forget_last(struct node *node, unsigned index)
{
	struct node_drive *drive = &node->drives[index];
	node_close_drive(drive);
	node_close_disk(&drive->disk);
	free(drive->path);
	*drive = (struct node_drive){0};
}

static enum err open_new(struct node *node, unsigned index, uint64_t weight, char *message)
{
	struct node_drive *drive = &node->drives[index];
	enum err err = node_open_drive(node, index);
	if (err)
		return node_refuse(message, err, "%.600s", drive->why);
	err = node_introduce_drive(node, index, weight);
	if (err == ERR_DENIED)
		return node_refuse(message, ERR_CONFLICT,
			"drive %.300s was given up or removed before; empty the directory to use "
			"it "
			"as a new one",
			drive->path);
	if (err == ERR_FENCED)
		return node_refuse(
			message, ERR_CONFLICT, "drive %.300s " NODE_OLD_COPY, drive->path);
	if (err)
		return node_refuse(message, err, "drive %.300s could not be added: %s; try again",
			drive->path, err_text(err));
	node->drive_count = index + 1;
	return ERR_OK;
}

enum err node_add_drive(struct node *node, const char *path, enum drive_class class,
	uint64_t weight, uint16_t *ret_number, char *message)
{
	enum err err = check_path(node, path, ret_number, message);
	if (err)
		return err;
	unsigned index = node->drive_count;
	char *copy = strdup(path);
	if (!copy)
		return ERR_NO_MEMORY;
	struct config_drive made = {.path = copy, .class = class};
	err = init_drive(node->config, &made, &node->identity, message);
	node->drives[index] = (struct node_drive){.path = copy, .is_added = true};
	if (!err)
		err = open_new(node, index, weight, message);
	if (err) {
		forget_last(node, index);
		return err;
	}
	*ret_number = node->drives[index].number;
	node_lend_drive(node, &node->drives[index]);
	err = keep_added(node, 0);
	if (err)
		return node_refuse(message, err,
			"drive %.200s is in service, but will not be at the next start: its line "
			"in "
			"%.200s/" DRIVES_NAME " could not be written; add it to the configuration",
			path, node->config->state_dir);
	trace_event(
		node->trace, TRACE_INFO, 0, "drive %s was added as drive %u", path, *ret_number);
	return ERR_OK;
}
