/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and reading the log.
 *
 * All segment files are looked at. Those whose first frame is whole are in the log, from the low
 * generation that the last frame names; they are read in order and every frame is checked against
 * the one before (F2). What is behind the end, in the last segment and in all files that are not of
 * the log, is searched for frames that should not be there (F3). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/meta/log_priv.h"

/* Reads a segment through a buffer of LOG_FRAME_LEN_MAX bytes. */
struct window {
	uint8_t *buf;
	const struct log_segment *segment;
	uint64_t offset;
	size_t len; /* bytes that are in buf, from offset of the segment */
};

static enum err load(struct window *window, const struct log_segment *segment, uint64_t offset,
	size_t len, const uint8_t **ret_data)
{
	assert(offset % LOG_BLOCK_LEN == 0 && len <= LOG_FRAME_LEN_MAX);
	assert(offset + len <= segment->len);
	bool is_there = window->segment == segment && offset >= window->offset &&
		offset + len <= window->offset + window->len;
	if (!is_there) {
		/* A file that was cut off may end inside a block. */
		uint64_t left = (segment->len - offset) / LOG_BLOCK_LEN * LOG_BLOCK_LEN;
		size_t wanted = left < LOG_FRAME_LEN_MAX ? left : LOG_FRAME_LEN_MAX;
		size_t got;
		window->segment = NULL;
		enum err err = disk_read_now(segment->file, window->buf, wanted, offset, &got);
		if (err != ERR_OK)
			return err;
		if (got < len)
			return ERR_CORRUPT;
		*window = (struct window){window->buf, segment, offset, got};
	}
	*ret_data = window->buf + (offset - window->offset);
	return ERR_OK;
}

/* The header at a place, if it is one of this log. ERR_NOT_FOUND: there is none. */
static enum err read_header(const struct log *log, struct window *window,
	const struct log_segment *segment, uint64_t offset, struct log_frame *ret_frame)
{
	const uint8_t *data;
	enum err err = load(window, segment, offset, LOG_BLOCK_LEN, &data);
	if (err == ERR_OK)
		err = log_frame_decode(data, ret_frame);
	if (err == ERR_OK && ret_frame->log_id != log->id)
		err = ERR_NOT_FOUND;
	return err;
}

/* The frame at its place, whole. ERR_NOT_FOUND: there is none, or it is torn. */
static enum err read_frame(const struct log *log, struct window *window,
	const struct log_segment *segment, uint64_t offset, struct log_frame *ret_frame,
	struct bytes *ret_payload)
{
	if (offset + LOG_BLOCK_LEN > segment->len)
		return ERR_NOT_FOUND;
	struct log_frame frame;
	enum err err = read_header(log, window, segment, offset, &frame);
	if (err != ERR_OK)
		return err;
	size_t len = log_frame_len(frame.payload_len);
	if (frame.offset != offset || offset + len > segment->len)
		return ERR_NOT_FOUND;
	if (segment->generation != 0 && frame.generation != segment->generation)
		return ERR_NOT_FOUND;
	const uint8_t *data;
	err = load(window, segment, offset, len, &data);
	if (err != ERR_OK)
		return err;
	if (!log_frame_is_whole(&frame, data + LOG_FRAME_HEADER_LEN))
		return ERR_NOT_FOUND;
	*ret_frame = frame;
	*ret_payload = bytes_make(data + LOG_FRAME_HEADER_LEN, frame.payload_len);
	return ERR_OK;
}

/* --- runs: where entries are ------------------------------------------------------------------ */

enum err log_reserve_runs(struct log *log, size_t count)
{
	if (log->run_count + count <= log->run_cap)
		return ERR_OK;
	size_t cap = 2 * (log->run_count + count);
	struct log_run *runs = realloc(log->runs, cap * sizeof *runs);
	if (!runs)
		return ERR_NO_MEMORY;
	log->runs = runs;
	log->run_cap = cap;
	return ERR_OK;
}

static void add_entry(struct log *log, uint64_t index, struct log_segment *segment, uint64_t offset,
	uint32_t number)
{
	struct log_run *last = log->run_count > 0 ? &log->runs[log->run_count - 1] : NULL;
	if (last && !log->is_run_closed && last->segment == segment) {
		assert(last->end == index);
		last->end++;
		return;
	}
	assert(log->run_count < log->run_cap);
	log->is_run_closed = false;
	log->runs[log->run_count++] = (struct log_run){index, index + 1, segment, offset, number};
}

static void cut_runs(struct log *log, uint64_t index)
{
	while (log->run_count > 0 && log->runs[log->run_count - 1].first >= index)
		log->run_count--;
	if (log->run_count > 0 && log->runs[log->run_count - 1].end > index)
		log->runs[log->run_count - 1].end = index;
	log->is_run_closed = true;
}

/* What a segment begins with is what the segments before have told, if there are any. */
static enum err take_segment(struct log *log, const struct log_record *record)
{
	struct log_place *place = &log->durable;
	uint64_t term = get_le64(record->body.data), vote = get_le64(record->body.data + 8);
	if (place->sequence == 0) {
		place->next_index = record->index;
		place->last_term = record->term;
		place->term = term;
		place->vote = vote;
		return record->index > 0 ? ERR_OK : ERR_CORRUPT;
	}
	bool is_same = place->next_index == record->index && place->last_term == record->term &&
		place->term == term && place->vote == vote;
	return is_same ? ERR_OK : ERR_CORRUPT;
}

enum err log_take_record(struct log *log, const struct log_record *record,
	struct log_segment *segment, uint64_t offset, uint32_t number)
{
	struct log_place *place = &log->durable;
	switch (record->type) {
	case LOG_SEGMENT:
		return offset == 0 && number == 0 ? take_segment(log, record) : ERR_CORRUPT;
	case LOG_ENTRY:
		if (record->index != place->next_index)
			return ERR_CORRUPT;
		add_entry(log, record->index, segment, offset, number);
		place->next_index++;
		place->last_term = record->term;
		return ERR_OK;
	case LOG_VOTE:
		if (record->term < place->term)
			return ERR_CORRUPT;
		place->term = record->term;
		place->vote = record->index;
		return ERR_OK;
	case LOG_TRUNCATE:
		if (record->index == 0 || record->index > place->next_index)
			return ERR_CORRUPT;
		cut_runs(log, record->index);
		place->next_index = record->index;
		place->last_term = record->term;
		return ERR_OK;
	case LOG_SNAPSHOT:
		cut_runs(log, 0);
		place->next_index = record->index + 1;
		place->last_term = record->term;
		return ERR_OK;
	default:
		return ERR_CORRUPT;
	}
}

/* --- finding the segments --------------------------------------------------------------------- */

struct file_list {
	uint64_t *numbers;
	size_t count, cap;
	enum err err;
};

static void found_file(void *arg, const char *name)
{
	struct file_list *list = arg;
	uint64_t number;
	int len = 0;
	if (sscanf(name, "%16" SCNx64 "%n", &number, &len) != 1 || len != 16 || name[len] != 0)
		return;
	if (list->count == list->cap) {
		size_t cap = list->cap > 0 ? 2 * list->cap : 16;
		uint64_t *numbers = realloc(list->numbers, cap * sizeof *numbers);
		if (!numbers) {
			list->err = ERR_NO_MEMORY;
			return;
		}
		list->numbers = numbers;
		list->cap = cap;
	}
	list->numbers[list->count++] = number;
}

/* Puts a segment among the live ones, in the order of generations. */
static void insert_live(struct log *log, struct log_segment *segment)
{
	struct log_segments sorted = {0};
	bool is_in = false;
	for (struct log_segment *s; (s = log_segments_pop(&log->live));) {
		if (!is_in && segment->generation < s->generation) {
			log_segments_push(&sorted, segment);
			is_in = true;
		}
		log_segments_push(&sorted, s);
	}
	if (!is_in)
		log_segments_push(&sorted, segment);
	log->live = sorted;
}

/* Opens one file and sees whether it begins with a frame. The process before may have died with a
 * write in flight, or while it made the file: what is read here must not go with the next loss of
 * power, so it is flushed first. */
static enum err sort_file(struct log *log, struct window *window, uint64_t number)
{
	struct log_segment *segment;
	enum err err = log_segment_open(log->setup.disk, number, &segment);
	if (err != ERR_OK)
		return err;
	if (number >= log->next_number)
		log->next_number = number + 1;
	err = disk_sync_now(segment->file);
	if (err != ERR_OK || segment->len % LOG_BLOCK_LEN != 0) {
		log_segments_push(&log->free, segment);
		return err;
	}
	struct log_frame frame;
	struct bytes payload;
	err = read_frame(log, window, segment, 0, &frame, &payload);
	if (err == ERR_OK && frame.generation > 0) {
		segment->generation = frame.generation;
		insert_live(log, segment);
		return ERR_OK;
	}
	log_segments_push(&log->free, segment);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err find_segments(struct log *log, struct window *window)
{
	struct file_list list = {0};
	enum err err = disk_list(log->setup.disk, LOG_DIR, found_file, &list);
	if (err == ERR_OK)
		err = list.err;
	if (err == ERR_OK && list.count > LOG_SEGMENTS_MAX)
		err = ERR_LIMIT;
	for (size_t i = 0; i < list.count && err == ERR_OK; i++)
		err = sort_file(log, window, list.numbers[i]);
	free(list.numbers);
	return err == ERR_OK ? disk_sync_dir(log->setup.disk) : err;
}

/* Segments below the low generation that the last frame names are free (F4). */
static enum err leave_old_segments(struct log *log, struct window *window)
{
	struct log_segment *last = log->live.last;
	if (!last)
		return ERR_OK;
	uint64_t low = 0;
	struct log_frame frame;
	struct bytes payload;
	enum err err;
	for (uint64_t offset = 0;; offset += log_frame_len(frame.payload_len)) {
		err = read_frame(log, window, last, offset, &frame, &payload);
		if (err != ERR_OK)
			break;
		low = frame.low_generation;
	}
	if (err != ERR_NOT_FOUND)
		return err;
	while (log->live.first->generation < low && log->live.first != last)
		log_segments_push(&log->free, log_segments_pop(&log->live));
	return log->live.first->generation == low ? ERR_OK : ERR_CORRUPT;
}

/* --- reading all of it ------------------------------------------------------------------------ */

static enum err take_payload(struct log *log, struct log_segment *segment,
	const struct log_frame *frame, struct bytes payload,
	enum err (*found)(void *arg, const struct log_record *record), void *arg)
{
	struct log_record record;
	uint32_t number = 0;
	enum err err;
	while ((err = log_record_decode(&payload, &record)) == ERR_OK) {
		bool is_first = frame->offset == 0 && number == 0;
		if ((record.type == LOG_SEGMENT) != is_first)
			return ERR_CORRUPT;
		err = log_reserve_runs(log, 1);
		if (err == ERR_OK)
			err = log_take_record(log, &record, segment, frame->offset, number);
		bool is_told = record.type == LOG_ENTRY || record.type == LOG_TRUNCATE ||
			record.type == LOG_SNAPSHOT;
		if (err == ERR_OK && found && is_told)
			err = found(arg, &record);
		if (err != ERR_OK)
			return err;
		number++;
	}
	if (err != ERR_END)
		return err;
	return number == frame->record_count ? ERR_OK : ERR_CORRUPT;
}

/* Does the frame go on from what was read? The first one read begins the chain. */
static bool goes_on(const struct log *log, const struct log_frame *frame)
{
	if (log->durable.sequence == 0)
		return frame->sequence > 0;
	return frame->sequence == log->durable.sequence + 1 &&
		frame->previous_sum == log->durable.sum;
}

/* Reads a segment to where it breaks off. */
static enum err read_segment(struct log *log, struct window *window, struct log_segment *segment,
	enum err (*found)(void *arg, const struct log_record *record), void *arg, uint64_t *ret_end)
{
	uint64_t offset = 0;
	for (;;) {
		struct log_frame frame;
		struct bytes payload;
		enum err err = read_frame(log, window, segment, offset, &frame, &payload);
		if (err == ERR_NOT_FOUND && offset > 0)
			break;
		if (err != ERR_OK)
			return err;
		if (!goes_on(log, &frame))
			return ERR_CORRUPT;
		err = take_payload(log, segment, &frame, payload, found, arg);
		if (err != ERR_OK)
			return err;
		log->durable.sequence = frame.sequence;
		log->durable.sum = frame.sum;
		log->durable.low_generation = frame.low_generation;
		offset += log_frame_len(frame.payload_len);
	}
	*ret_end = offset;
	return ERR_OK;
}

/* Searches the rest of a segment for frames that should not be there (F3), and for the highest
 * generation that was ever used. */
static enum err search_rest(
	struct log *log, struct window *window, const struct log_segment *segment, uint64_t offset)
{
	uint64_t next = log->durable.sequence + 1;
	uint64_t last_generation = log->live.last ? log->live.last->generation : 0;
	bool is_last = segment == log->live.last;
	for (uint64_t at = offset; at + LOG_BLOCK_LEN <= segment->len; at += LOG_BLOCK_LEN) {
		struct log_frame frame;
		enum err err = read_header(log, window, segment, at, &frame);
		if (err == ERR_NOT_FOUND)
			continue;
		if (err != ERR_OK)
			return err;
		bool is_torn_tail = frame.sequence == next && frame.offset == at &&
			(is_last ? at == offset && frame.generation == last_generation
				 : at == 0 && frame.generation > last_generation);
		if (frame.sequence >= next && !is_torn_tail)
			return ERR_CORRUPT;
		if (frame.generation > log->generation)
			log->generation = frame.generation;
	}
	return ERR_OK;
}

/* Searches the files that are not of the log; sorts out those that cannot be used: they were cut
 * off while they were made, or are of another length than segments now. Nothing is removed before
 * the log is known to be whole, and a start may still be refused after that. */
static enum err search_free(struct log *log, struct window *window)
{
	struct log_segments all = log->free;
	enum err err = ERR_OK;
	log->free = (struct log_segments){0};
	for (struct log_segment *s; (s = log_segments_pop(&all));) {
		if (err == ERR_OK)
			err = search_rest(log, window, s, 0);
		bool is_odd = s->len != log->setup.segment_len;
		log_segments_push(is_odd ? &log->odd : &log->free, s);
	}
	return err;
}

enum err log_replay(
	struct log *log, enum err (*found)(void *arg, const struct log_record *record), void *arg)
{
	struct window window = {.buf = log->buf};
	enum err err = find_segments(log, &window);
	if (err == ERR_OK)
		err = leave_old_segments(log, &window);
	uint64_t end = 0;
	for (struct log_segment *s = log->live.first; s && err == ERR_OK; s = s->next)
		err = read_segment(log, &window, s, found, arg, &end);
	if (err == ERR_OK && log->live.last) {
		log->generation = log->live.last->generation;
		err = search_rest(log, &window, log->live.last, end);
	}
	return err == ERR_OK ? search_free(log, &window) : err;
}

/* --- reading some of it ----------------------------------------------------------------------- */

/* Reads the entries of one run, from index first up to but without end. */
static enum err read_run(const struct log *log, struct window *window, const struct log_run *run,
	uint64_t first, uint64_t end, enum err (*found)(void *arg, const struct log_record *record),
	void *arg)
{
	uint64_t index = run->first;
	uint32_t number = 0;
	for (uint64_t offset = run->offset; index < end;) {
		struct log_frame frame;
		struct bytes payload;
		enum err err = read_frame(log, window, run->segment, offset, &frame, &payload);
		if (err != ERR_OK)
			return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
		struct log_record record;
		while (index < end && (err = log_record_decode(&payload, &record)) == ERR_OK) {
			bool is_before = offset == run->offset && number < run->record;
			number++;
			if (is_before || record.type != LOG_ENTRY)
				continue;
			if (record.index != index)
				return ERR_CORRUPT;
			err = index >= first ? found(arg, &record) : ERR_OK;
			if (err != ERR_OK)
				return err;
			index++;
		}
		if (err != ERR_OK && err != ERR_END)
			return err;
		offset += log_frame_len(frame.payload_len);
	}
	return ERR_OK;
}

enum err log_read(struct log *log, uint64_t first, uint64_t end,
	enum err (*found)(void *arg, const struct log_record *record), void *arg)
{
	assert(log->magic == LOG_MAGIC && first <= end);
	struct window window = {.buf = aligned_alloc(LOG_BLOCK_LEN, LOG_FRAME_LEN_MAX)};
	if (!window.buf)
		return ERR_NO_MEMORY;
	enum err err = ERR_OK;
	for (size_t i = 0; i < log->run_count && first < end && err == ERR_OK; i++) {
		const struct log_run *run = &log->runs[i];
		if (first >= run->end)
			continue;
		if (first < run->first)
			break;
		uint64_t run_end = end < run->end ? end : run->end;
		err = read_run(log, &window, run, first, run_end, found, arg);
		first = run_end;
	}
	free(window.buf);
	if (err == ERR_OK && first < end)
		err = ERR_NOT_FOUND;
	return err;
}

/* --- making an empty one ---------------------------------------------------------------------- */

/* Is a frame of any log at the beginning of a segment file? */
static enum err check_empty(const struct log_setup *setup, uint64_t number, uint8_t *buf)
{
	struct log_segment *segment;
	enum err err = log_segment_open(setup->disk, number, &segment);
	if (err != ERR_OK)
		return err;
	size_t len;
	err = disk_read_now(segment->file, buf, LOG_BLOCK_LEN, 0, &len);
	log_segment_close(segment);
	if (err != ERR_OK || len < LOG_BLOCK_LEN)
		return err;
	struct log_frame frame;
	return log_frame_decode(buf, &frame) == ERR_NOT_FOUND ? ERR_OK : ERR_EXISTS;
}

static enum err check_no_log(const struct log_setup *setup)
{
	struct log_state state;
	enum err err = log_state_read(setup->state_disk, &state);
	if (err != ERR_NOT_FOUND)
		return err == ERR_OK ? ERR_EXISTS : err;
	struct file_list list = {0};
	uint8_t *buf = aligned_alloc(LOG_BLOCK_LEN, LOG_BLOCK_LEN);
	err = buf ? disk_list(setup->disk, LOG_DIR, found_file, &list) : ERR_NO_MEMORY;
	if (err == ERR_OK)
		err = list.err;
	for (size_t i = 0; i < list.count && err == ERR_OK; i++)
		err = check_empty(setup, list.numbers[i], buf);
	free(list.numbers);
	free(buf);
	return err;
}

enum err log_create(const struct log_setup *setup)
{
	enum err err = disk_make_dir(setup->disk, LOG_DIR);
	if (err == ERR_OK)
		err = disk_sync_dir(setup->disk);
	if (err == ERR_OK)
		err = check_no_log(setup);
	if (err != ERR_OK)
		return err;
	struct log_state state = {.node = setup->node};
	while (state.log_id == 0)
		state.log_id = random_u64(setup->random);
	return log_state_write(setup->state_disk, &state);
}
