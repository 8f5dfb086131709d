/* SPDX-License-Identifier: Apache-2.0 */
/* A copy that is damaged is mended frame by frame, from any copy in which that frame is whole: so a
 * bit that flipped in what looks like the end of one copy loses nothing. A frame that no copy has
 * whole is for log_open() to judge. */
#include "storage/meta/log_copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/meta/log_priv.h"

struct numbers {
	uint64_t *items;
	size_t count, cap;
	enum err err;
};

static void add_number(struct numbers *numbers, uint64_t number)
{
	for (size_t i = 0; i < numbers->count; i++)
		if (numbers->items[i] == number)
			return;
	if (numbers->count == numbers->cap) {
		size_t cap = numbers->cap > 0 ? 2 * numbers->cap : 16;
		uint64_t *items = realloc(numbers->items, cap * sizeof *items);
		if (!items) {
			numbers->err = ERR_NO_MEMORY;
			return;
		}
		numbers->items = items;
		numbers->cap = cap;
	}
	numbers->items[numbers->count++] = number;
}

static void found_name(void *arg, const char *name)
{
	uint64_t number;
	int len = 0;
	if (sscanf(name, "%16" SCNx64 "%n", &number, &len) == 1 && len == 16 && name[len] == 0)
		add_number(arg, number);
}

static enum err list(struct disk *disk, struct numbers *numbers)
{
	enum err err = disk_list(disk, LOG_DIR, found_name, numbers);
	return err == ERR_OK ? numbers->err : err;
}

/* --- healing ---------------------------------------------------------------------------------- */

struct heal_copy {
	struct disk *disk;
	enum err *err; /* it is not gone on with */
	struct log_segment *segment;
	struct log_frame frame;
	uint8_t *buf; /* LOG_FRAME_LEN_MAX */
	bool is_whole, is_dirty;
};

struct heal {
	struct heal_copy copies[LOG_COPIES_MAX];
	size_t count;
	uint64_t log_id;
	uint64_t healed;
};

static bool is_good(const struct heal_copy *copy)
{
	return *copy->err == ERR_OK;
}

/* Reads the frame at a place of one copy; what cannot be read is not whole. */
static void read_frame(const struct heal *heal, struct heal_copy *copy, uint64_t offset)
{
	struct log_frame *frame = &copy->frame;
	size_t got;
	copy->is_whole = false;
	if (!is_good(copy) || !copy->segment || offset + LOG_BLOCK_LEN > copy->segment->len)
		return;
	struct disk_file *file = copy->segment->file;
	if (disk_read_now(file, copy->buf, LOG_BLOCK_LEN, offset, &got) != ERR_OK ||
		got < LOG_BLOCK_LEN || log_frame_decode(copy->buf, frame) != ERR_OK)
		return;
	size_t len = log_frame_len(frame->payload_len);
	if (frame->log_id != heal->log_id || frame->offset != offset ||
		offset + len > copy->segment->len)
		return;
	if (len > LOG_BLOCK_LEN &&
		(disk_read_now(file, copy->buf, len, offset, &got) != ERR_OK || got < len))
		return;
	copy->is_whole = log_frame_is_whole(frame, copy->buf + LOG_FRAME_HEADER_LEN);
}

/* The frame at a place that counts: of the segment's last use, and of it the last. */
static const struct heal_copy *find_best(const struct heal *heal, uint64_t generation)
{
	const struct heal_copy *best = NULL;
	for (size_t i = 0; i < heal->count; i++) {
		const struct heal_copy *copy = &heal->copies[i];
		const struct log_frame *frame = &copy->frame;
		if (!copy->is_whole || (generation != 0 && frame->generation != generation))
			continue;
		if (!best || frame->generation > best->frame.generation ||
			(frame->generation == best->frame.generation &&
				frame->sequence > best->frame.sequence))
			best = copy;
	}
	return best;
}

static void write_frame(struct heal *heal, struct heal_copy *copy, const struct heal_copy *best)
{
	if (!is_good(copy) || (copy->is_whole && copy->frame.sum == best->frame.sum))
		return;
	size_t len = log_frame_len(best->frame.payload_len);
	*copy->err = disk_write_now(copy->segment->file, best->buf, len, best->frame.offset);
	copy->is_dirty = true;
	heal->healed++;
}

static void heal_frames(struct heal *heal)
{
	uint64_t generation = 0;
	for (uint64_t offset = 0;;) {
		for (size_t i = 0; i < heal->count; i++)
			read_frame(heal, &heal->copies[i], offset);
		const struct heal_copy *best = find_best(heal, generation);
		if (!best)
			return;
		generation = best->frame.generation;
		for (size_t i = 0; i < heal->count; i++)
			write_frame(heal, &heal->copies[i], best);
		offset += log_frame_len(best->frame.payload_len);
	}
}

/* Opens a segment in each copy; the longest one says how long the others are. One that was cut off
 * while it was made has no frames yet, and goes. */
static enum err open_segments(struct heal *heal, uint64_t number)
{
	uint64_t len = 0;
	for (size_t i = 0; i < heal->count; i++) {
		struct heal_copy *copy = &heal->copies[i];
		if (!is_good(copy))
			continue;
		enum err err = log_segment_open(copy->disk, number, &copy->segment);
		if (err == ERR_NO_MEMORY)
			return err;
		if (err != ERR_OK && err != ERR_NOT_FOUND)
			*copy->err = err;
		if (err == ERR_OK && copy->segment->len > len)
			len = copy->segment->len;
	}
	bool is_made = len > 0 && len % LOG_BLOCK_LEN == 0;
	for (size_t i = 0; i < heal->count; i++) {
		struct heal_copy *copy = &heal->copies[i];
		if (!is_good(copy) || (is_made && copy->segment && copy->segment->len == len))
			continue;
		if (copy->segment)
			log_segment_remove(copy->disk, copy->segment);
		copy->segment = NULL;
		if (!is_made)
			continue;
		*copy->err = log_segment_make(copy->disk, number, len, &copy->segment);
		copy->is_dirty = true;
	}
	return ERR_OK;
}

/* The generation of the segment, as the copies' first frames say; 0: it has no frame. */
static uint64_t find_generation(struct heal *heal)
{
	for (size_t i = 0; i < heal->count; i++)
		read_frame(heal, &heal->copies[i], 0);
	const struct heal_copy *best = find_best(heal, 0);
	return best ? best->frame.generation : 0;
}

/* Opens a segment in all copies, heals its frames or only looks for its generation, and closes it.
 */
static enum err visit_segment(
	struct heal *heal, uint64_t number, bool is_healed, uint64_t *ret_generation)
{
	for (size_t i = 0; i < heal->count; i++)
		heal->copies[i].is_dirty = false;
	enum err err = open_segments(heal, number);
	bool is_new = false;
	for (size_t i = 0; i < heal->count; i++)
		is_new |= heal->copies[i].is_dirty;
	if (err == ERR_OK && (is_healed || is_new))
		heal_frames(heal);
	if (err == ERR_OK)
		*ret_generation = find_generation(heal);
	for (size_t i = 0; i < heal->count; i++) {
		struct heal_copy *copy = &heal->copies[i];
		if (copy->segment && copy->is_dirty && is_good(copy))
			*copy->err = disk_sync_now(copy->segment->file);
		log_segment_close(copy->segment);
		copy->segment = NULL;
	}
	return err;
}

/* The state file that knows of the latest frame becomes that of all. */
static enum err heal_states(struct heal *heal, struct id node)
{
	struct log_state states[LOG_COPIES_MAX] = {0};
	const struct log_state *best = NULL;
	for (size_t i = 0; i < heal->count; i++) {
		enum err err = log_state_read(heal->copies[i].disk, &states[i]);
		if (err == ERR_NOT_FOUND || err == ERR_CORRUPT)
			continue;
		if (err != ERR_OK) {
			*heal->copies[i].err = err;
			continue;
		}
		if (!id_is_equal(states[i].node, node) ||
			(best && best->log_id != states[i].log_id))
			return ERR_FOREIGN;
		if (!best || states[i].sequence > best->sequence)
			best = &states[i];
	}
	if (!best)
		return ERR_NOT_FOUND;
	heal->log_id = best->log_id;
	for (size_t i = 0; i < heal->count; i++)
		if (is_good(&heal->copies[i]) && memcmp(&states[i], best, sizeof *best) != 0)
			*heal->copies[i].err = log_state_write(heal->copies[i].disk, best);
	return ERR_OK;
}

static enum err heal_segments(struct heal *heal, struct id node, size_t count_max)
{
	struct numbers numbers = {0};
	enum err err = heal_states(heal, node);
	for (size_t i = 0; i < heal->count && err == ERR_OK; i++) {
		struct heal_copy *copy = &heal->copies[i];
		if (is_good(copy))
			*copy->err = list(copy->disk, &numbers);
		err = numbers.err;
	}
	bool is_all = numbers.count <= count_max;
	uint64_t last = 0, last_generation = 0, generation = 0;
	for (size_t i = 0; i < numbers.count && err == ERR_OK; i++) {
		err = visit_segment(heal, numbers.items[i], is_all, &generation);
		if (err != ERR_OK || generation <= last_generation)
			continue;
		last = numbers.items[i];
		last_generation = generation;
	}
	if (err == ERR_OK && !is_all && last_generation > 0)
		err = visit_segment(heal, last, true, &generation);
	free(numbers.items);
	return err;
}

enum err log_copy_heal(struct disk *const *disks, size_t count, struct id node, size_t count_max,
	enum err *errs, uint64_t *ret_healed)
{
	assert(count > 0 && count <= LOG_COPIES_MAX);
	struct heal heal = {.count = count};
	enum err err = ERR_OK;
	for (size_t i = 0; i < count; i++) {
		errs[i] = ERR_OK;
		heal.copies[i] = (struct heal_copy){.disk = disks[i], .err = &errs[i]};
		heal.copies[i].buf = aligned_alloc(LOG_BLOCK_LEN, LOG_FRAME_LEN_MAX);
		if (!heal.copies[i].buf)
			err = ERR_NO_MEMORY;
	}
	if (err == ERR_OK)
		err = heal_segments(&heal, node, count_max);
	for (size_t i = 0; i < count; i++)
		free(heal.copies[i].buf);
	*ret_healed = heal.healed;
	return err;
}

/* --- making, removing ------------------------------------------------------------------------- */

static enum err remove_segments(struct disk *disk)
{
	struct numbers numbers = {0};
	enum err err = list(disk, &numbers);
	for (size_t i = 0; i < numbers.count && err == ERR_OK; i++) {
		char name[LOG_NAME_LEN];
		snprintf(name, sizeof name, LOG_DIR "/%016" PRIx64, numbers.items[i]);
		err = disk_remove(disk, name);
	}
	free(numbers.items);
	return err;
}

enum err log_copy_remove(struct disk *disk)
{
	enum err err = disk_remove(disk, LOG_STATE_NAME);
	if (err == ERR_OK)
		err = disk_sync_dir(disk);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	err = remove_segments(disk);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Copies all bytes. *ret_is_source: it is from that failed. */
static enum err copy_bytes(const struct log_segment *from, const struct log_segment *to,
	uint8_t *buf, bool *ret_is_source)
{
	for (uint64_t offset = 0; offset < from->len;) {
		size_t len;
		*ret_is_source = true;
		enum err err = disk_read_now(from->file, buf, LOG_FRAME_LEN_MAX, offset, &len);
		if (err == ERR_OK && len == 0)
			err = ERR_CORRUPT;
		if (err != ERR_OK)
			return err;
		*ret_is_source = false;
		err = disk_write_now(to->file, buf, len / LOG_BLOCK_LEN * LOG_BLOCK_LEN, offset);
		if (err != ERR_OK)
			return err;
		offset += len;
	}
	return disk_sync_now(to->file);
}

static enum err copy_segment(
	struct disk *from, struct disk *to, uint64_t number, uint8_t *buf, bool *ret_is_source)
{
	struct log_segment *source, *copy = NULL;
	*ret_is_source = true;
	enum err err = log_segment_open(from, number, &source);
	if (err != ERR_OK)
		return err;
	*ret_is_source = false;
	err = log_segment_create(to, number, source->len, &copy);
	if (err == ERR_OK)
		err = copy_bytes(source, copy, buf, ret_is_source);
	log_segment_close(source);
	log_segment_close(copy);
	return err;
}

static enum err copy_segments(struct disk *from, struct disk *to, bool *ret_is_source)
{
	struct numbers numbers = {0};
	*ret_is_source = true;
	enum err err = list(from, &numbers);
	uint8_t *buf = aligned_alloc(LOG_BLOCK_LEN, LOG_FRAME_LEN_MAX);
	if (err == ERR_OK && !buf)
		err = ERR_NO_MEMORY;
	for (size_t i = 0; i < numbers.count && err == ERR_OK; i++)
		err = copy_segment(from, to, numbers.items[i], buf, ret_is_source);
	free(buf);
	free(numbers.items);
	return err;
}

/* What a group of members keeps beside the log, if there is one. */
static enum err copy_members(struct disk *from, struct disk *to, bool *ret_is_source)
{
	struct disk_file *file;
	size_t len = 0;
	enum err err = disk_open(from, LOG_MEMBERS_NAME, DISK_READ_ONLY, &file);
	if (err == ERR_NOT_FOUND)
		return ERR_OK;
	uint8_t *buf = malloc(LOG_MEMBERS_LEN_MAX);
	*ret_is_source = true;
	if (err == ERR_OK) {
		err = buf ? disk_read_now(file, buf, LOG_MEMBERS_LEN_MAX, 0, &len) : ERR_NO_MEMORY;
		disk_close(file);
	}
	if (err == ERR_OK) {
		*ret_is_source = false;
		err = disk_open(to, LOG_MEMBERS_NAME, DISK_CREATE, &file);
	}
	if (err == ERR_OK) {
		err = disk_truncate(file, 0);
		if (err == ERR_OK)
			err = disk_write_now(file, buf, len, 0);
		if (err == ERR_OK)
			err = disk_sync_now(file);
		disk_close(file);
	}
	free(buf);
	return err;
}

enum err log_copy_make(struct disk *from, struct disk *to, bool *ret_is_source)
{
	struct log_state state;
	*ret_is_source = true;
	enum err err = log_state_read(from, &state);
	if (err != ERR_OK)
		return err;
	*ret_is_source = false;
	err = disk_make_dir(to, LOG_DIR);
	if (err == ERR_OK)
		err = log_copy_remove(to);
	if (err == ERR_OK)
		err = copy_segments(from, to, ret_is_source);
	if (err == ERR_OK)
		err = copy_members(from, to, ret_is_source);
	if (err != ERR_OK)
		return err;
	*ret_is_source = false;
	return log_state_write(to, &state); /* with the names of all */
}
