/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a log: segments, and the state file.
 *
 *   log-state   "rubuslst" 8, version 4, 0 (4), node 16, log id 8, sequence 8, XXH3 of these 8
 *
 * The state file is written anew under another name, flushed, and renamed, so that it is whole. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/meta/log_priv.h"
#include "storage/small_file.h"

enum {
	STATE_LEN = 56,
	STATE_SUM_OFFSET = STATE_LEN - 8,
	STATE_VERSION = 1,
	ZEROS_LEN = 256 * 1024,
};

static const char state_magic[8] = "rubuslst";

void log_segments_push(struct log_segments *segments, struct log_segment *segment)
{
	segment->next = NULL;
	if (segments->last)
		segments->last->next = segment;
	else
		segments->first = segment;
	segments->last = segment;
	segments->count++;
}

struct log_segment *log_segments_pop(struct log_segments *segments)
{
	struct log_segment *segment = segments->first;
	if (!segment)
		return NULL;
	segments->first = segment->next;
	if (!segments->first)
		segments->last = NULL;
	segments->count--;
	segment->next = NULL;
	return segment;
}

static void make_name(uint64_t number, char name[LOG_NAME_LEN])
{
	snprintf(name, LOG_NAME_LEN, LOG_DIR "/%016" PRIx64, number);
}

void log_segment_close(struct log_segment *segment)
{
	if (!segment)
		return;
	disk_close(segment->file);
	free(segment);
}

void log_segment_remove(struct disk *disk, struct log_segment *segment)
{
	char name[LOG_NAME_LEN];
	make_name(segment->number, name);
	log_segment_close(segment);
	err_ignore(disk_remove(disk, name)); /* by the next start then */
}

enum err log_segment_open(struct disk *disk, uint64_t number, struct log_segment **ret_segment)
{
	char name[LOG_NAME_LEN];
	make_name(number, name);
	struct log_segment *segment = calloc(1, sizeof *segment);
	if (!segment)
		return ERR_NO_MEMORY;
	segment->number = number;
	enum err err = disk_open(disk, name, DISK_DIRECT, &segment->file);
	if (err == ERR_OK)
		err = disk_size(segment->file, &segment->len);
	if (err != ERR_OK) {
		log_segment_close(segment);
		return err;
	}
	*ret_segment = segment;
	return ERR_OK;
}

static enum err write_zeros(struct disk_file *file, uint64_t len)
{
	uint8_t *zeros = aligned_alloc(DISK_BLOCK_LEN, ZEROS_LEN);
	if (!zeros)
		return ERR_NO_MEMORY;
	memset(zeros, 0, ZEROS_LEN);
	enum err err = disk_allocate(file, len);
	for (uint64_t offset = 0; offset < len && err == ERR_OK; offset += ZEROS_LEN) {
		size_t left = len - offset < ZEROS_LEN ? len - offset : ZEROS_LEN;
		err = disk_write_now(file, zeros, left, offset);
	}
	free(zeros);
	return err == ERR_OK ? disk_sync_now(file) : err;
}

static enum err create(struct disk *disk, uint64_t number, uint64_t len, bool is_filled,
	struct log_segment **ret_segment)
{
	char name[LOG_NAME_LEN];
	make_name(number, name);
	struct log_segment *segment = calloc(1, sizeof *segment);
	if (!segment)
		return ERR_NO_MEMORY;
	segment->number = number;
	segment->len = len;
	enum err err = disk_open(
		disk, name, DISK_CREATE | DISK_EXCLUSIVE | DISK_DIRECT, &segment->file);
	bool is_made = err == ERR_OK;
	if (err == ERR_OK)
		err = is_filled ? write_zeros(segment->file, len)
				: disk_allocate(segment->file, len);
	if (err == ERR_OK)
		err = disk_sync_dir(disk);
	if (err != ERR_OK) {
		log_segment_close(segment);
		if (is_made) /* It is not used; the next start removes it if this does not. */
			err_ignore(disk_remove(disk, name));
		return err;
	}
	*ret_segment = segment;
	return ERR_OK;
}

enum err log_segment_make(
	struct disk *disk, uint64_t number, uint64_t len, struct log_segment **ret_segment)
{
	return create(disk, number, len, true, ret_segment);
}

enum err log_segment_create(
	struct disk *disk, uint64_t number, uint64_t len, struct log_segment **ret_segment)
{
	return create(disk, number, len, false, ret_segment);
}

/* --- the state file --------------------------------------------------------------------------- */

enum err log_state_read(struct disk *disk, struct log_state *ret_state)
{
	uint8_t in[STATE_LEN];
	enum err err = small_file_read(disk, LOG_STATE_NAME, in, sizeof in);
	if (err != ERR_OK)
		return err;
	if (memcmp(in, state_magic, 8) != 0 ||
		get_le64(in + STATE_SUM_OFFSET) != XXH3_64bits(in, STATE_SUM_OFFSET))
		return ERR_CORRUPT;
	if (get_le32(in + 8) != STATE_VERSION)
		return ERR_VERSION;
	memcpy(ret_state->node.bytes, in + 16, ID_LEN);
	ret_state->log_id = get_le64(in + 32);
	ret_state->sequence = get_le64(in + 40);
	return ERR_OK;
}

enum err log_state_write(struct disk *disk, const struct log_state *state)
{
	uint8_t out[STATE_LEN] = {0};
	memcpy(out, state_magic, 8);
	put_le32(out + 8, STATE_VERSION);
	memcpy(out + 16, state->node.bytes, ID_LEN);
	put_le64(out + 32, state->log_id);
	put_le64(out + 40, state->sequence);
	put_le64(out + STATE_SUM_OFFSET, XXH3_64bits(out, STATE_SUM_OFFSET));
	return small_file_write(disk, LOG_STATE_NAME, out, sizeof out);
}
