/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are written: the same bytes on each of several drives. Everything blocks. */
#include <stdio.h>
#include <stdlib.h>

#include "storage/meta/index_archive_priv.h"

#define NEW_SUFFIX ".new"

static void full_name(char name[ARCHIVE_NAME_LEN], uint64_t generation, bool is_new)
{
	archive_name(name, "full", generation);
	size_t len = strlen(name);
	if (is_new)
		snprintf(name + len, ARCHIVE_NAME_LEN - len, "%s", NEW_SUFFIX);
}

static void close_file(struct archive_stream *stream, unsigned home)
{
	disk_close(stream->files[home]);
	stream->files[home] = NULL;
}

/* The drive is left alone until the next start. */
static void fail_home(struct archive_files *files, unsigned home, enum err err)
{
	files->is_failed[home] = true;
	close_file(&files->log, home);
	close_file(&files->full, home);
	trace_event(files->setup->trace, TRACE_WARNING, 0,
		"archive of the index: %s is left out: %s", files->setup->homes[home].disk->path,
		err_text(err));
}

unsigned archive_files_count(const struct archive_files *files)
{
	unsigned count = 0;
	for (unsigned i = 0; i < files->setup->home_count; i++)
		count += files->log.files[i] != NULL;
	return count;
}

unsigned archive_files_spare(const struct archive_files *files)
{
	unsigned count = 0;
	for (unsigned i = 0; i < files->setup->home_count; i++)
		count += !files->log.files[i] && !files->is_failed[i];
	return count;
}

/* --- writing ---------------------------------------------------------------------------------- */

enum err archive_stream_write(struct archive_files *files, struct archive_stream *stream,
	const struct archive_frame *frame)
{
	size_t len;
	enum err err = archive_frame_encode(
		frame, stream->generation, stream->number, files->frame, &len);
	if (err != ERR_OK)
		return err;
	err = ERR_QUORUM;
	for (unsigned i = 0; i < files->setup->home_count; i++) {
		if (!stream->files[i])
			continue;
		enum err one = disk_write_now(stream->files[i], files->frame, len, stream->offset);
		if (one != ERR_OK) {
			fail_home(files, i, one);
			continue;
		}
		files->written_len += len;
		err = ERR_OK;
	}
	stream->offset += len;
	stream->number++;
	stream->is_dirty = true;
	return err;
}

enum err archive_stream_sync(struct archive_files *files, struct archive_stream *stream)
{
	enum err err = ERR_QUORUM;
	for (unsigned i = 0; i < files->setup->home_count; i++) {
		if (!stream->files[i])
			continue;
		enum err one = disk_sync_now(stream->files[i]);
		if (one != ERR_OK)
			fail_home(files, i, one);
		else
			err = ERR_OK;
	}
	stream->is_dirty = false;
	return err;
}

/* --- opening ---------------------------------------------------------------------------------- */

enum err archive_log_continue(struct archive_files *files, unsigned home, uint64_t generation,
	const struct archive_chain *chain)
{
	char name[ARCHIVE_NAME_LEN];
	struct disk_file *file;
	archive_name(name, "log", generation);
	enum err err = disk_open(files->setup->homes[home].disk, name, 0, &file);
	if (err != ERR_OK)
		return err;
	err = disk_truncate(file, chain->end_offset);
	if (err != ERR_OK) {
		disk_close(file);
		return err;
	}
	files->log.kind = "log";
	files->log.generation = generation;
	files->log.number = chain->end_number;
	files->log.offset = chain->end_offset;
	files->log.files[home] = file;
	return ERR_OK;
}

static enum err create(struct disk *disk, const char *name, struct disk_file **ret_file)
{
	struct disk_file *file;
	enum err err = disk_open(disk, name, DISK_CREATE, &file);
	if (err != ERR_OK)
		return err;
	err = disk_truncate(file, 0);
	if (err == ERR_OK)
		*ret_file = file;
	else
		disk_close(file);
	return err;
}

/* Makes both files on a home. */
static enum err begin_home(struct archive_files *files, unsigned home)
{
	struct disk *disk = files->setup->homes[home].disk;
	char name[ARCHIVE_NAME_LEN];
	enum err err = disk_make_dir(disk, ARCHIVE_DIR);
	archive_name(name, "log", files->log.generation);
	if (err == ERR_OK)
		err = create(disk, name, &files->log.files[home]);
	full_name(name, files->full.generation, true);
	if (err == ERR_OK)
		err = create(disk, name, &files->full.files[home]);
	if (err == ERR_OK)
		err = disk_sync_dir(disk);
	return err;
}

static enum err write_first(
	struct archive_files *files, struct archive_stream *stream, uint64_t base)
{
	uint8_t body[ARCHIVE_FIRST_LEN];
	memcpy(body, "rubusarc", 8);
	memcpy(body + 8, files->setup->node.bytes, ID_LEN);
	put_le64(body + 24, stream->generation);
	put_le64(body + 32, base);
	put_le64(body + 40, clock_wall_ms(files->setup->clock));
	struct archive_frame frame = {.kind = ARCHIVE_FIRST, .body = bytes_make(body, sizeof body)};
	return archive_stream_write(files, stream, &frame);
}

static void close_stream(struct archive_stream *stream)
{
	for (unsigned i = 0; i < ARCHIVE_HOMES_MAX; i++)
		close_file(stream, i);
}

enum err archive_files_begin(struct archive_files *files, uint64_t base)
{
	if (files->log.is_dirty)
		err_ignore(archive_stream_sync(files, &files->log)); /* homes that fail are out */
	close_stream(&files->log);
	close_stream(&files->full);
	files->top++;
	files->log = (struct archive_stream){.kind = "log", .generation = files->top};
	files->full = (struct archive_stream){.kind = "full", .generation = files->top};
	unsigned wanted = files->setup->copies;
	for (unsigned i = 0; i < files->setup->home_count && wanted > 0; i++) {
		if (files->is_failed[i])
			continue;
		enum err err = begin_home(files, i);
		if (err != ERR_OK)
			fail_home(files, i, err);
		else
			wanted--;
	}
	enum err err = write_first(files, &files->log, base);
	return err == ERR_OK ? write_first(files, &files->full, base) : err;
}

/* --- ending ----------------------------------------------------------------------------------- */

/* Removes what is older than a generation; what stays by an error goes with the next one. */
static void remove_old(struct disk *disk, uint64_t low)
{
	struct archive_list list;
	char name[ARCHIVE_NAME_LEN];
	if (archive_list(disk, &list) == ERR_OK) {
		for (size_t i = 0; i < list.full_count; i++) {
			archive_name(name, "full", list.fulls[i]);
			if (list.fulls[i] < low)
				err_ignore(disk_remove(disk, name)); /* see above */
		}
		for (size_t i = 0; i < list.log_count; i++) {
			archive_name(name, "log", list.logs[i]);
			if (list.logs[i] < low)
				err_ignore(disk_remove(disk, name)); /* likewise */
		}
	}
	archive_list_free(&list);
}

/* The oldest generation that stays on a drive (A4). */
static uint64_t keep_from(const struct archive_files *files, struct disk *disk)
{
	struct disk_space space;
	bool is_tight = disk_space(disk, &space) == ERR_OK &&
		space.free / ARCHIVE_ROOM_FACTOR < files->full.offset;
	return is_tight ? files->full.generation : files->complete;
}

static enum err name_full(struct archive_files *files, unsigned home)
{
	struct disk *disk = files->setup->homes[home].disk;
	char from[ARCHIVE_NAME_LEN], to[ARCHIVE_NAME_LEN];
	full_name(from, files->full.generation, true);
	full_name(to, files->full.generation, false);
	close_file(&files->full, home);
	enum err err = disk_rename(disk, from, to);
	return err == ERR_OK ? disk_sync_dir(disk) : err;
}

/* On all drives, so that whichever is left says what there was. */
static void write_newest(struct archive_files *files, const struct archive_newest *newest)
{
	for (unsigned i = 0; i < files->setup->home_count; i++) {
		struct disk *disk = files->setup->homes[i].disk;
		if (files->is_failed[i])
			continue;
		enum err err = disk_make_dir(disk, ARCHIVE_DIR);
		if (err == ERR_OK)
			err = archive_newest_write(disk, newest);
		if (err != ERR_OK)
			fail_home(files, i, err);
	}
}

enum err archive_files_end(struct archive_files *files, const struct archive_newest *newest)
{
	struct archive_newest named = *newest;
	bool is_named[ARCHIVE_HOMES_MAX] = {0};
	enum err err = archive_stream_sync(files, &files->log);
	if (err == ERR_OK)
		err = archive_stream_sync(files, &files->full);
	for (unsigned i = 0; i < files->setup->home_count && err == ERR_OK; i++) {
		if (!files->full.files[i])
			continue;
		enum err one = name_full(files, i);
		if (one != ERR_OK)
			fail_home(files, i, one);
		else
			named.drives[named.count++] = files->setup->homes[i].drive;
		is_named[i] = one == ERR_OK;
	}
	if (err != ERR_OK || named.count == 0)
		return err != ERR_OK ? err : ERR_QUORUM;
	write_newest(files, &named);
	for (unsigned i = 0; i < files->setup->home_count; i++) {
		struct disk *disk = files->setup->homes[i].disk;
		if (!files->is_failed[i])
			remove_old(disk, is_named[i] ? keep_from(files, disk) : files->complete);
	}
	files->complete = files->full.generation;
	return ERR_OK;
}

void archive_files_drop(struct archive_files *files)
{
	char name[ARCHIVE_NAME_LEN];
	full_name(name, files->full.generation, true);
	for (unsigned i = 0; i < files->setup->home_count; i++) {
		if (!files->full.files[i])
			continue;
		close_file(&files->full, i);
		/* By the next copy then, which removes what has no name. */
		err_ignore(disk_remove(files->setup->homes[i].disk, name));
	}
}

void archive_files_clean(struct archive_files *files, unsigned home, uint64_t generation)
{
	char name[ARCHIVE_NAME_LEN];
	full_name(name, generation, true);
	err_ignore(disk_remove(files->setup->homes[home].disk, name)); /* mostly there is none */
}

void archive_files_close(struct archive_files *files)
{
	archive_files_drop(files);
	close_stream(&files->log);
	free(files->frame);
	files->frame = NULL;
}
