/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive_priv.h"

#include <stdlib.h>

/* Segments with little left are emptied.
 *
 *	OPENING → SCANNING ⇄ COPYING → SCANNING … → ENDING
 *
 * The owner reads the heads of a closed segment; a record that the location table still names is
 * copied as if it were written anew, and its row is replaced at its seal if it is still the same
 * (T3). Several copies may wait for one flush. A record with damaged blocks is copied as it is,
 * with the checksums that it had: repair shall find it. When the segment is empty and that is
 * committed, it is free for another life.
 *
 * (C1) A copy is begun only for a row that is there after its room was reserved; so the place of a
 *      copy is before the mark that the free of its shard waits for (T2).
 * (C2) One chunk is read or written at a time, and while clients use the drive one in PAUSE_MS.
 * (C3) A segment that could not be emptied is not tried again before the next start. */
#define PAUSE_MS 20
#define CHUNK_LEN (256u << 10)
#define WINDOW_LEN (64u << 10)
#define MOVES_MAX 8

enum compact_state {
	COMPACT_OPENING,
	COMPACT_SCANNING,
	COMPACT_COPYING,
	COMPACT_ENDING,
};

struct move {
	struct shard_write write;
	struct location from;
	struct compaction *compaction;
	bool is_busy;
};

struct compaction {
	struct drive *drive;
	struct segment *segment;
	struct disk_file *file;
	enum compact_state state;
	enum err err;
	bool is_waiting; /* something is in flight that ends with step() */
	bool has_paused;
	uint64_t offset; /* of the next look */
	uint64_t window_offset;
	size_t window_len;
	struct shard_info info; /* of the record being copied; its hint is in head */
	struct move *move; /* that copies it; NULL: not open */
	uint64_t copied_len;
	size_t chunk_len;
	uint32_t more_number; /* which further checksum block `more` is; 0: none */
	struct move moves[MOVES_MAX];
	struct shard_append append;
	struct disk_op op;
	struct work work;
	enum err open_err; /* of the work */
	uint64_t sums[CHUNK_LEN / BLOCK_LEN];
	uint8_t *head, *more, *window, *chunk; /* in one piece of memory, at head */
};

static void step(struct compaction *compaction);

static struct record_place place_at(const struct compaction *compaction, uint64_t offset)
{
	struct record_place place;
	segment_place(&compaction->segment->life, offset, &place);
	return place;
}

bool compact_is_busy(const struct drive *drive)
{
	return drive->compaction;
}

bool compact_is_in(const struct drive *drive, const struct segment *segment)
{
	return drive->compaction && drive->compaction->segment == segment;
}

void compact_free(struct drive *drive)
{
	if (!drive->compaction)
		return;
	free(drive->compaction->head);
	free(drive->compaction);
	drive->compaction = NULL;
}

static struct move *busy_move(struct compaction *compaction)
{
	for (size_t i = 0; i < MOVES_MAX; i++) {
		if (compaction->moves[i].is_busy)
			return &compaction->moves[i];
	}
	return NULL;
}

static struct move *idle_move(struct compaction *compaction)
{
	for (size_t i = 0; i < MOVES_MAX; i++) {
		if (!compaction->moves[i].is_busy)
			return &compaction->moves[i];
	}
	return NULL;
}

/* Does the table name the record at this place? */
static enum err is_live(struct compaction *compaction, uint64_t offset, bool *ret_is_live)
{
	struct drive *drive = compaction->drive;
	struct location here = {
		compaction->segment->number, compaction->segment->life.generation, offset, 0};
	struct location location;
	enum err err = buffer_view_begin(&drive->view);
	if (err != ERR_OK)
		return err;
	err = table_get(
		drive, &drive->view, compaction->info.extent, compaction->info.index, &location);
	buffer_view_end(&drive->view);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	*ret_is_live = err == ERR_OK && location_is_equal(location, here);
	return ERR_OK;
}

static void resume(struct compaction *compaction, enum err err)
{
	compaction->is_waiting = false;
	if (err != ERR_OK && compaction->err == ERR_OK)
		compaction->err = err;
	step(compaction);
}

/* --- scanning --------------------------------------------------------------------------------- */

static void window_was_read(struct disk_op *op)
{
	struct compaction *compaction = CONTAINER_OF(op, struct compaction, op);
	compaction->window_len = op->len / FORMAT_BLOCK_LEN * FORMAT_BLOCK_LEN;
	bool is_short = op->err == ERR_OK && compaction->window_len == 0;
	resume(compaction, is_short ? ERR_IO : op->err);
}

static void read_window(struct compaction *compaction)
{
	uint64_t left = compaction->drive->segment_limit - compaction->offset;
	compaction->window_offset = compaction->offset;
	compaction->window_len = 0;
	compaction->is_waiting = true;
	compaction->op.loop = compaction->drive->setup.owner;
	compaction->op.done = window_was_read;
	disk_read(&compaction->op, compaction->file, compaction->window,
		left < WINDOW_LEN ? left : WINDOW_LEN, compaction->offset);
}

/* Goes on to the next record that is live; false: the window must be read first, or the end is
 * reached. */
static bool find_record(struct compaction *compaction)
{
	uint64_t window_end = compaction->window_offset + compaction->window_len;
	while (compaction->offset >= compaction->window_offset && compaction->offset < window_end) {
		const uint8_t *block = compaction->window +
			(compaction->offset - compaction->window_offset);
		struct record_place place = place_at(compaction, compaction->offset);
		struct shard_info info;
		enum err err = record_decode_head(block, &place, &info);
		if (err != ERR_OK) {
			compaction->offset += FORMAT_BLOCK_LEN;
			continue;
		}
		memcpy(compaction->head, block, FORMAT_BLOCK_LEN);
		info.hint.data = compaction->head + (info.hint.data - block);
		compaction->info = info;
		bool live = false;
		err = is_live(compaction, compaction->offset, &live);
		if (err != ERR_OK)
			compaction->err = err;
		if (live || err != ERR_OK)
			return live;
		compaction->offset += record_len_of(info.shard_len);
	}
	return false;
}

/* --- copying ---------------------------------------------------------------------------------- */

static void on_sealed(struct shard_write *write, enum err err)
{
	struct move *move = CONTAINER_OF(write, struct move, write);
	struct compaction *compaction = move->compaction;
	move->is_busy = false;
	if (err == ERR_OK)
		atomic_fetch_add(&compaction->drive->counters.moved, 1);
	else if (err != ERR_CONFLICT && compaction->err == ERR_OK)
		compaction->err = err;
	step(compaction);
}

static void skip_record(struct compaction *compaction)
{
	compaction->offset += record_len_of(compaction->info.shard_len);
	compaction->move = NULL;
	compaction->state = COMPACT_SCANNING;
}

/* The room of the copy is reserved: makes sure that it is still wanted (C1). */
static void begin_copy(struct compaction *compaction, struct move *move)
{
	bool live = false;
	enum err err = is_live(compaction, compaction->offset, &live);
	if (err != ERR_OK)
		compaction->err = err;
	if (err != ERR_OK || !live) {
		shard_write_abort(&move->write);
		skip_record(compaction);
		return;
	}
	compaction->move = move;
	compaction->copied_len = 0;
	compaction->chunk_len = 0;
	compaction->more_number = 0;
}

static void on_ready(struct shard_write *write, enum err err)
{
	struct move *move = CONTAINER_OF(write, struct move, write);
	if (err == ERR_OK)
		begin_copy(move->compaction, move);
	resume(move->compaction, err);
}

static void open_copy(struct compaction *compaction, struct move *move)
{
	struct drive *drive = compaction->drive;
	move->compaction = compaction;
	move->from = (struct location){compaction->segment->number,
		compaction->segment->life.generation, compaction->offset,
		record_len_of(compaction->info.shard_len)};
	move->write = (struct shard_write){
		.loop = drive->setup.owner,
		.ready = on_ready,
		.sealed = on_sealed,
		.moved_from = &move->from,
	};
	enum err err = shard_write_open(&move->write, drive, &compaction->info);
	if (err == ERR_OK)
		begin_copy(compaction, move);
	else if (err == ERR_BUSY)
		compaction->is_waiting = true;
	else
		compaction->err = err;
}

static void chunk_was_read(struct disk_op *op)
{
	struct compaction *compaction = CONTAINER_OF(op, struct compaction, op);
	bool is_short = op->err == ERR_OK && op->len < compaction->chunk_len;
	resume(compaction, is_short ? ERR_IO : op->err);
}

static void read_chunk(struct compaction *compaction)
{
	uint64_t left = compaction->info.shard_len - compaction->copied_len;
	uint64_t heads_len = (uint64_t)record_head_count(compaction->info.shard_len) *
		FORMAT_BLOCK_LEN;
	compaction->chunk_len = left < CHUNK_LEN ? left : CHUNK_LEN;
	compaction->is_waiting = true;
	compaction->op.loop = compaction->drive->setup.owner;
	compaction->op.done = chunk_was_read;
	disk_read(&compaction->op, compaction->file, compaction->chunk, compaction->chunk_len,
		compaction->offset + heads_len + compaction->copied_len);
}

static void more_was_read(struct disk_op *op)
{
	struct compaction *compaction = CONTAINER_OF(op, struct compaction, op);
	enum err err = op->err;
	struct record_place place = place_at(compaction, compaction->offset);
	if (err == ERR_OK)
		err = record_check_more(
			compaction->more, &place, &compaction->info, compaction->more_number);
	resume(compaction, err);
}

static void read_more(struct compaction *compaction, uint32_t number)
{
	compaction->more_number = number;
	compaction->is_waiting = true;
	compaction->op.loop = compaction->drive->setup.owner;
	compaction->op.done = more_was_read;
	disk_read(&compaction->op, compaction->file, compaction->more, FORMAT_BLOCK_LEN,
		compaction->offset + (uint64_t)number * FORMAT_BLOCK_LEN);
}

static void appended(struct shard_append *append, enum err err)
{
	struct compaction *compaction = CONTAINER_OF(append, struct compaction, append);
	compaction->copied_len += compaction->chunk_len;
	compaction->chunk_len = 0;
	resume(compaction, err);
}

/* Takes the checksums of the chunk from the record. False: a further checksum block has to be read
 * first. */
static bool take_sums(struct compaction *compaction)
{
	size_t count = checksum_block_count(compaction->chunk_len);
	uint64_t first = compaction->copied_len / BLOCK_LEN;
	for (size_t i = 0; i < count; i++) {
		uint32_t number = record_sum_block(first + i);
		if (number > 0 && number != compaction->more_number) {
			if (compaction->more_number != 0 && number < compaction->more_number)
				continue; /* taken before the block at hand was read */
			read_more(compaction, number);
			return false;
		}
		compaction->sums[i] = record_get_sum(
			number > 0 ? compaction->more : compaction->head, first + i);
	}
	return true;
}

static void append_chunk(struct compaction *compaction)
{
	if (!take_sums(compaction))
		return;
	const struct shard_info *info = &compaction->info;
	uint64_t seed = shard_checksum_seed(info->extent, info->index);
	size_t count = checksum_block_count(compaction->chunk_len);
	size_t good = checksum_blocks_verify(compaction->chunk, compaction->chunk_len, seed,
		compaction->copied_len / BLOCK_LEN, compaction->sums);
	if (good < count) {
		atomic_fetch_add(&compaction->drive->counters.bad_blocks, 1);
		trace_event(compaction->drive->trace, TRACE_WARNING, 0,
			"drive %s: a damaged block of extent %jx-%jx is copied as it is",
			drive_path(compaction->drive), (uintmax_t)info->extent.session,
			(uintmax_t)info->extent.counter);
	}
	compaction->is_waiting = true;
	compaction->append.done = appended;
	shard_write_append(&compaction->move->write, &compaction->append, compaction->chunk,
		compaction->chunk_len, compaction->sums, count);
}

static void copy(struct compaction *compaction)
{
	if (!compaction->move) {
		struct move *move = idle_move(compaction);
		if (move)
			open_copy(compaction, move);
		return;
	}
	if (compaction->chunk_len > 0) {
		append_chunk(compaction);
		return;
	}
	if (compaction->copied_len < compaction->info.shard_len) {
		read_chunk(compaction);
		return;
	}
	compaction->move->is_busy = true;
	shard_write_seal(&compaction->move->write);
	skip_record(compaction);
}

/* --- deciding --------------------------------------------------------------------------------- */

static void opened_run(struct work *work)
{
	struct compaction *compaction = CONTAINER_OF(work, struct compaction, work);
	compaction->open_err = drive_segment_file(
		compaction->drive, compaction->segment, false, &compaction->file);
}

static void opened_done(struct work *work)
{
	struct compaction *compaction = CONTAINER_OF(work, struct compaction, work);
	compaction->state = COMPACT_SCANNING;
	resume(compaction, compaction->open_err);
}

/* A copy that was not finished is given up. */
static void stop_copy(struct compaction *compaction)
{
	if (compaction->move)
		shard_write_abort(&compaction->move->write);
	compaction->move = NULL;
	compaction->state = COMPACT_ENDING;
}

static void end(struct compaction *compaction)
{
	struct drive *drive = compaction->drive;
	struct segment *segment = compaction->segment;
	bool is_emptied = segment->live_len == 0;
	if (is_emptied) {
		atomic_fetch_add(&drive->counters.segments_compacted, 1);
	} else if (!drive->is_stopping && !drive_is_fenced(drive) &&
		compaction->err != ERR_NO_SPACE) {
		segment->is_stuck = true; /* (C3) */
		trace_event(drive->trace, TRACE_WARNING, 0,
			"drive %s: segment %ju could not be emptied: %s", drive_path(drive),
			(uintmax_t)segment->number, err_text(compaction->err));
	}
	drive->is_compact_due = compaction->err != ERR_NO_SPACE;
	timer_cancel(drive->setup.owner, &drive->compact_timer);
	compact_free(drive);
	drive_poke(drive);
}

static bool must_pause(struct compaction *compaction)
{
	struct drive *drive = compaction->drive;
	if (compaction->has_paused || atomic_load(&drive->client_ios) == 0)
		return false;
	compaction->has_paused = true;
	timer_set(drive->setup.owner, &drive->compact_timer, PAUSE_MS);
	return true;
}

static bool is_over(const struct compaction *compaction)
{
	const struct drive *drive = compaction->drive;
	return compaction->err != ERR_OK || drive->is_stopping || drive_is_fenced(drive);
}

static void scan(struct compaction *compaction)
{
	if (find_record(compaction))
		compaction->state = COMPACT_COPYING;
	else if (compaction->offset >= compaction->drive->segment_limit)
		compaction->state = COMPACT_ENDING;
	else if (compaction->err == ERR_OK)
		read_window(compaction);
}

static void step(struct compaction *compaction)
{
	while (!compaction->is_waiting) {
		if (is_over(compaction) && compaction->state != COMPACT_ENDING)
			stop_copy(compaction);
		if (compaction->state == COMPACT_ENDING) {
			if (!busy_move(compaction))
				end(compaction);
			return;
		}
		if (compaction->drive->compact_timer.is_set || must_pause(compaction))
			return;
		if (compaction->state == COMPACT_SCANNING) {
			scan(compaction);
		} else {
			if (!compaction->move && !idle_move(compaction))
				return;
			copy(compaction);
		}
		compaction->has_paused = false;
	}
}

static void pause_over(struct timer *timer)
{
	struct drive *drive = CONTAINER_OF(timer, struct drive, compact_timer);
	if (drive->compaction)
		step(drive->compaction);
}

bool compact_is_worth(const struct drive *drive, const struct segment *segment)
{
	uint64_t room = drive->segment_limit - SEGMENT_HEAD_LEN;
	if (segment->state != SEGMENT_CLOSED || segment->end != drive->segment_limit)
		return false;
	if (segment->live_len == 0 || segment->reserved_len > 0 || segment->is_stuck)
		return false;
	return segment->live_len < room / 100 * drive->setup.settings.compact_percent;
}

/* The closed segment with the least left, if that is little enough. */
static struct segment *pick(struct drive *drive)
{
	struct segment *best = NULL;
	pthread_mutex_lock(&drive->lock);
	for (uint64_t i = 1; i <= drive->segment_max; i++) {
		struct segment *segment = drive->segments[i];
		if (!segment || !compact_is_worth(drive, segment))
			continue;
		if (!best || segment->live_len < best->live_len)
			best = segment;
	}
	pthread_mutex_unlock(&drive->lock);
	return best;
}

static void start(struct drive *drive, struct segment *segment)
{
	struct compaction *compaction = calloc(1, sizeof *compaction);
	uint8_t *memory = aligned_alloc(
		FORMAT_BLOCK_LEN, 2 * FORMAT_BLOCK_LEN + WINDOW_LEN + CHUNK_LEN);
	if (!compaction || !memory) {
		free(compaction);
		free(memory);
		return; /* it is not urgent */
	}
	compaction->drive = drive;
	compaction->segment = segment;
	compaction->offset = SEGMENT_HEAD_LEN;
	compaction->head = memory;
	compaction->more = memory + FORMAT_BLOCK_LEN;
	compaction->window = memory + 2 * FORMAT_BLOCK_LEN;
	compaction->chunk = compaction->window + WINDOW_LEN;
	compaction->is_waiting = true;
	drive->compaction = compaction;
	drive->compact_timer.fire = pause_over;
	compaction->work.run = opened_run;
	compaction->work.done = opened_done;
	compaction->work.loop = drive->setup.owner;
	worker_submit(drive->setup.worker, &compaction->work);
}

void compact_advance(struct drive *drive)
{
	if (drive->compaction) {
		if (is_over(drive->compaction))
			step(drive->compaction);
		return;
	}
	if (!drive->is_compact_due || drive->is_stopping || drive_is_fenced(drive))
		return;
	struct segment *segment = pick(drive);
	if (segment)
		start(drive, segment);
	else
		drive->is_compact_due = false;
}
