/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the log.
 *
 * Operations wait in a queue. When no write is in flight, advance() packs as many as fit into one
 * frame and writes it with one synchronous write; its end ends them all, in order. A segment that
 * the next operation does not fit into is left, and a free one begins. There is always one free
 * segment, or one is being made on the worker. */
#include "storage/meta/log.h"

#include <stdlib.h>

#include "storage/meta/log_priv.h"

static void advance(struct log *log);

/* --- the end ---------------------------------------------------------------------------------- */

static void end_ops(struct log *log, struct log_op *op, enum err err)
{
	while (op) {
		struct log_op *next = op->next;
		op->next = NULL;
		log->stats.ops++;
		op->done(op, err);
		op = next;
	}
}

static void tell_stopped(struct log *log)
{
	struct task *stopped = log->stopped;
	if (!stopped || !log_is_idle(log))
		return;
	log->stopped = NULL;
	loop_post(log->stopped_loop, stopped);
}

/* Ends what waits in a dead log. A task of its own, since it also ends operations that were only
 * just given. */
static void bury_run(struct task *task)
{
	struct log *log = CONTAINER_OF(task, struct log, bury_task);
	assert(log->magic == LOG_MAGIC && log->err != ERR_OK);
	log->is_bury_posted = false;
	struct log_op *ops = log->first_op;
	log->first_op = NULL;
	log->last_op = &log->first_op;
	if (!log->was_told && log->setup.failed)
		log->setup.failed(log->setup.arg, log->err);
	log->was_told = true;
	end_ops(log, ops, log->err);
	tell_stopped(log);
}

static void die(struct log *log, enum err err)
{
	if (log->err == ERR_OK) {
		log->err = err;
		trace_event(log->setup.trace, TRACE_ERROR, 0, "log: %s: %s, no more is written",
			log->setup.disk->path, err_text(err));
	}
	if (log->is_bury_posted)
		return;
	log->is_bury_posted = true;
	loop_post(log->setup.loop, &log->bury_task);
}

/* --- segments --------------------------------------------------------------------------------- */

static void house_run(struct work *work)
{
	struct log_house *house = CONTAINER_OF(work, struct log_house, work);
	struct log *log = CONTAINER_OF(house, struct log, house);
	house->segment_err = ERR_OK;
	house->state_err = ERR_OK;
	for (struct log_segment *s; (s = log_segments_pop(&house->removed));)
		log_segment_remove(log->setup.disk, s);
	if (house->makes_segment)
		house->segment_err = log_segment_make(
			log->setup.disk, house->number, log->setup.segment_len, &house->segment);
	if (house->writes_state)
		house->state_err = log_state_write(log->setup.state_disk, &house->state);
}

static void house_done(struct work *work)
{
	struct log_house *house = CONTAINER_OF(work, struct log_house, work);
	struct log *log = CONTAINER_OF(house, struct log, house);
	assert(log->magic == LOG_MAGIC && house->is_running);
	house->is_running = false;
	if (house->makes_segment && house->segment_err == ERR_OK)
		log_segments_push(&log->free, house->segment);
	else if (house->makes_segment && log->waits_for_segment)
		die(log, house->segment_err);
	/* The state file only knows less then; it is written with the next segment again. */
	if (house->state_err != ERR_OK)
		trace_event(log->setup.trace, TRACE_WARNING, 0, "log: %s: log-state: %s",
			log->setup.state_disk->path, err_text(house->state_err));
	advance(log);
	tell_stopped(log);
}

/* Starts what is to be done beside the writing. */
static void keep_house(struct log *log)
{
	struct log_house *house = &log->house;
	if (log->is_stopping)
		return;
	size_t count = log->live.count + log->dropped.count + log->free.count;
	bool wants_segment = log->free.count == 0 &&
		(log->dropped.count == 0 || log->waits_for_segment);
	if (wants_segment && count >= LOG_SEGMENTS_MAX && log->waits_for_segment) {
		die(log, ERR_NO_SPACE);
		return;
	}
	if (house->is_running || (!wants_segment && !house->wants_state && !log->odd.first))
		return;
	house->makes_segment = wants_segment && count < LOG_SEGMENTS_MAX;
	house->writes_state = house->wants_state;
	house->wants_state = false;
	house->number = house->makes_segment ? log->next_number++ : 0;
	house->state = (struct log_state){log->setup.node, log->id, log->durable.sequence};
	house->segment = NULL;
	house->removed = log->odd;
	log->odd = (struct log_segments){0};
	house->is_running = true;
	worker_submit(log->setup.worker, &house->work);
}

static void drop_runs(struct log *log, const struct log_segment *segment)
{
	size_t count = 0;
	while (count < log->run_count && log->runs[count].segment == segment)
		count++;
	log->run_count -= count;
	memmove(log->runs, log->runs + count, log->run_count * sizeof *log->runs);
}

static bool is_needed(const struct log *log, const struct log_segment *segment)
{
	for (size_t i = 0; i < log->run_count; i++)
		if (log->runs[i].segment == segment && log->runs[i].end > log->released + 1)
			return true;
	return false;
}

/* Frees the oldest segments as far as they are not needed. The last one stays: it holds the term,
 * the vote and the chain, until another begins with them. */
static void drop_segments(struct log *log)
{
	while (log->live.count > 1 && !is_needed(log, log->live.first)) {
		drop_runs(log, log->live.first);
		log_segments_push(&log->dropped, log_segments_pop(&log->live));
	}
	while (log->dropped.first && log->dropped.first->generation < log->durable.low_generation) {
		struct log_segment *segment = log_segments_pop(&log->dropped);
		if (segment->len == log->setup.segment_len)
			log_segments_push(&log->free, segment);
		else /* The next start removes it. */
			log_segment_close(segment);
	}
}

void log_release(struct log *log, uint64_t index)
{
	assert(log->magic == LOG_MAGIC);
	if (index <= log->released)
		return;
	log->released = index;
	drop_segments(log);
}

/* --- writing a frame -------------------------------------------------------------------------- */

static size_t op_len(const struct log_op *op)
{
	return log_record_len(op->record.body.len);
}

static size_t payload_cap(const struct log *log)
{
	const struct log_segment *segment = log->live.last;
	uint64_t left = segment->len - log->offset;
	return (left < LOG_FRAME_LEN_MAX ? left : LOG_FRAME_LEN_MAX) - LOG_FRAME_HEADER_LEN;
}

/* Does the operation fit into the segment being written? */
static bool has_room(const struct log *log, const struct log_op *op)
{
	if (!log->is_active || log->live.last->len - log->offset < LOG_BLOCK_LEN)
		return false;
	return op_len(op) <= payload_cap(log);
}

static void begin_segment(struct log *log)
{
	struct log_segment *segment = log_segments_pop(&log->free);
	segment->generation = ++log->generation;
	log_segments_push(&log->live, segment);
	log->is_active = true;
	log->offset = 0;
	log->house.wants_state = true;
}

/* What was known before this frame; true, because nothing is in flight. */
static size_t put_segment_record(struct log *log, uint8_t *out)
{
	struct log_record record = {
		.type = LOG_SEGMENT,
		.index = log->durable.next_index,
		.term = log->durable.last_term,
		.body.len = LOG_SEGMENT_BODY_LEN,
	};
	uint8_t *body = log_record_encode(out, &record);
	put_le64(body, log->durable.term);
	put_le64(body + 8, log->durable.vote);
	put_le64(body + 16, log->live.last->len);
	return log_record_len(LOG_SEGMENT_BODY_LEN);
}

static size_t put_op(const struct log_op *op, uint8_t *out)
{
	uint8_t *body = log_record_encode(out, &op->record);
	for (size_t i = 0; i < op->part_count; i++) {
		if (op->parts[i].len > 0)
			memcpy(body, op->parts[i].data, op->parts[i].len);
		body += op->parts[i].len;
	}
	return op_len(op);
}

/* Packs waiting operations into the buffer and moves them to log->written. */
static void pack(struct log *log)
{
	uint8_t *payload = log->buf + LOG_FRAME_HEADER_LEN;
	size_t len = 0, cap = payload_cap(log);
	uint32_t count = 0;
	if (log->offset == 0) {
		len += put_segment_record(log, payload);
		count++;
	}
	struct log_op **last = &log->written;
	while (log->first_op && len + op_len(log->first_op) <= cap) {
		struct log_op *op = log->first_op;
		len += put_op(op, payload + len);
		count++;
		log->first_op = op->next;
		*last = op;
		last = &op->next;
	}
	*last = NULL;
	if (!log->first_op)
		log->last_op = &log->first_op;
	assert(log->written);
	log->frame = (struct log_frame){
		.log_id = log->id,
		.generation = log->generation,
		.sequence = log->durable.sequence + 1,
		.offset = log->offset,
		.low_generation = log->live.first->generation,
		.previous_sum = log->durable.sum,
		.payload_len = len,
		.record_count = count,
	};
	log_frame_seal(log->buf, &log->frame);
}

/* Takes over what the frame in flight said, now that it is durable. */
static void take_frame(struct log *log)
{
	struct log_segment *segment = log->live.last;
	uint32_t number = log->frame.offset == 0 ? 1 : 0;
	for (const struct log_op *op = log->written; op; op = op->next, number++) {
		enum err err = log_take_record(
			log, &op->record, segment, log->frame.offset, number);
		assert(err == ERR_OK);
	}
	log->durable.sequence = log->frame.sequence;
	log->durable.sum = log->frame.sum;
	log->durable.low_generation = log->frame.low_generation;
	size_t len = log_frame_len(log->frame.payload_len);
	log->offset += len;
	log->stats.writes++;
	log->stats.written_len += len;
}

static void write_done(struct disk_op *disk_op)
{
	struct log *log = CONTAINER_OF(disk_op, struct log, disk_op);
	assert(log->magic == LOG_MAGIC && log->in_flight);
	log->in_flight = false;
	struct log_op *ops = log->written;
	if (disk_op->err != ERR_OK) {
		die(log, disk_op->err);
	} else {
		take_frame(log);
		drop_segments(log);
	}
	log->written = NULL;
	end_ops(log, ops, disk_op->err);
	advance(log);
	tell_stopped(log);
}

static size_t count_waiting(const struct log *log)
{
	size_t count = 0;
	for (const struct log_op *op = log->first_op; op; op = op->next)
		count++;
	return count;
}

static void advance(struct log *log)
{
	if (log->err != ERR_OK) {
		if (log->first_op)
			die(log, log->err);
		return;
	}
	if (log->in_flight)
		return;
	log->waits_for_segment = false;
	if (log->first_op && !has_room(log, log->first_op)) {
		if (log->free.count > 0)
			begin_segment(log);
		else
			log->waits_for_segment = true;
	}
	keep_house(log);
	if (!log->first_op || log->waits_for_segment || log->err != ERR_OK)
		return;
	enum err err = log_reserve_runs(log, count_waiting(log));
	if (err != ERR_OK) {
		die(log, err);
		return;
	}
	pack(log);
	log->in_flight = true;
	log->disk_op.done = write_done;
	log->disk_op.loop = log->setup.loop;
	disk_write(&log->disk_op, log->live.last->file, log->buf,
		log_frame_len(log->frame.payload_len), log->frame.offset, DISK_DSYNC);
}

/* --- operations ------------------------------------------------------------------------------- */

static void give(struct log *log, struct log_op *op, const struct log_record *record)
{
	assert(log->magic == LOG_MAGIC && op->done);
	op->record = *record;
	op->next = NULL;
	*log->last_op = op;
	log->last_op = &op->next;
	advance(log);
}

void log_append(struct log *log, struct log_op *op, uint64_t index, uint64_t term,
	const struct bytes *parts, size_t part_count)
{
	assert(index == log->next_index);
	struct log_record record = {.type = LOG_ENTRY, .index = index, .term = term};
	for (size_t i = 0; i < part_count; i++)
		record.body.len += parts[i].len;
	assert(record.body.len <= log_entry_len_max(log));
	op->parts = parts;
	op->part_count = part_count;
	log->next_index++;
	give(log, op, &record);
}

void log_truncate(struct log *log, struct log_op *op, uint64_t index, uint64_t term_before)
{
	assert(index > 0 && index <= log->next_index);
	struct log_record record = {.type = LOG_TRUNCATE, .index = index, .term = term_before};
	op->part_count = 0;
	log->next_index = index;
	give(log, op, &record);
}

void log_set_vote(struct log *log, struct log_op *op, uint64_t term, uint64_t vote)
{
	assert(term >= log->durable.term);
	struct log_record record = {.type = LOG_VOTE, .index = vote, .term = term};
	op->part_count = 0;
	give(log, op, &record);
}

void log_mark_snapshot(struct log *log, struct log_op *op, uint64_t index, uint64_t term)
{
	struct log_record record = {.type = LOG_SNAPSHOT, .index = index, .term = term};
	op->part_count = 0;
	log->next_index = index + 1;
	give(log, op, &record);
}

void log_stop(struct log *log, struct loop *loop, struct task *stopped)
{
	assert(log->magic == LOG_MAGIC && !log->is_stopping && stopped->run);
	log->is_stopping = true;
	log->stopped = stopped;
	log->stopped_loop = loop;
	tell_stopped(log);
}

/* --- answers ---------------------------------------------------------------------------------- */

bool log_is_idle(const struct log *log)
{
	return !log->in_flight && !log->first_op && !log->house.is_running && !log->is_bury_posted;
}

uint64_t log_id(const struct log *log)
{
	return log->id;
}

size_t log_entry_len_max(const struct log *log)
{
	uint64_t len = log->setup.segment_len;
	return (len < LOG_FRAME_LEN_MAX ? len : LOG_FRAME_LEN_MAX) - LOG_FRAME_HEADER_LEN -
		log_record_len(LOG_SEGMENT_BODY_LEN) - log_record_len(0);
}

uint64_t log_next_index(const struct log *log)
{
	return log->next_index;
}

uint64_t log_first_index(const struct log *log)
{
	return log->run_count > 0 ? log->runs[0].first : log->durable.next_index;
}

uint64_t log_end_index(const struct log *log)
{
	return log->durable.next_index;
}

uint64_t log_last_term(const struct log *log)
{
	return log->durable.last_term;
}

uint64_t log_term(const struct log *log)
{
	return log->durable.term;
}

uint64_t log_vote(const struct log *log)
{
	return log->durable.vote;
}

void log_stats(const struct log *log, struct log_stats *ret_stats)
{
	const struct log_segments *lists[] = {&log->live, &log->dropped, &log->free};
	*ret_stats = log->stats;
	ret_stats->free_segments = log->free.count;
	for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
		ret_stats->segments += lists[i]->count;
		for (struct log_segment *s = lists[i]->first; s; s = s->next)
			ret_stats->len += s->len;
	}
}

/* --- opening and closing ---------------------------------------------------------------------- */

static void close_segments(struct log_segments *segments)
{
	for (struct log_segment *s; (s = log_segments_pop(segments));)
		log_segment_close(s);
}

static void log_free(struct log *log)
{
	close_segments(&log->live);
	close_segments(&log->dropped);
	close_segments(&log->free);
	close_segments(&log->odd);
	free(log->runs);
	free(log->buf);
	log->magic = 0;
	free(log);
}

/* Reads the state file and all segments; makes the first free segment, so that there is one. */
static enum err open_files(
	struct log *log, enum err (*found)(void *arg, const struct log_record *record), void *arg)
{
	struct log_state state;
	enum err err = log_state_read(log->setup.state_disk, &state);
	if (err != ERR_OK)
		return err;
	if (memcmp(state.node.bytes, log->setup.node.bytes, ID_LEN) != 0)
		return ERR_FOREIGN;
	log->id = state.log_id;
	err = log_replay(log, found, arg);
	if (err != ERR_OK)
		return err;
	if (log->durable.sequence < state.sequence)
		return ERR_CORRUPT;
	if (log->free.count > 0)
		return ERR_OK;
	struct log_segment *segment;
	err = log_segment_make(log->setup.disk, log->next_number, log->setup.segment_len, &segment);
	if (err != ERR_OK)
		return err;
	log->next_number++;
	log_segments_push(&log->free, segment);
	return ERR_OK;
}

enum err log_open(const struct log_setup *setup,
	enum err (*found)(void *arg, const struct log_record *record), void *arg,
	struct log **ret_log)
{
	assert(setup->segment_len % LOG_BLOCK_LEN == 0);
	assert(setup->segment_len >= LOG_SEGMENT_LEN_MIN);
	struct log *log = calloc(1, sizeof *log);
	if (!log)
		return ERR_NO_MEMORY;
	log->magic = LOG_MAGIC;
	log->setup = *setup;
	log->last_op = &log->first_op;
	log->bury_task.run = bury_run;
	log->house.work = (struct work){.run = house_run, .done = house_done, .loop = setup->loop};
	log->durable.next_index = 1;
	log->buf = aligned_alloc(LOG_BLOCK_LEN, LOG_FRAME_LEN_MAX);
	enum err err = log->buf ? open_files(log, found, arg) : ERR_NO_MEMORY;
	if (err != ERR_OK) {
		log_free(log);
		return err;
	}
	log->next_index = log->durable.next_index;
	trace_event(setup->trace, TRACE_INFO, 0, "log: %s: entries %lu to %lu in %zu segments",
		setup->disk->path, (unsigned long)log_first_index(log),
		(unsigned long)log->durable.next_index - 1, log->live.count);
	*ret_log = log;
	return ERR_OK;
}

void log_close(struct log *log)
{
	if (!log)
		return;
	assert(log->magic == LOG_MAGIC);
	struct log_state state = {log->setup.node, log->id, log->durable.sequence};
	enum err err = log->err == ERR_OK ? log_state_write(log->setup.state_disk, &state) : ERR_OK;
	if (err != ERR_OK)
		trace_event(log->setup.trace, TRACE_WARNING, 0, "log: %s: log-state: %s",
			log->setup.state_disk->path, err_text(err));
	log_free(log);
}
