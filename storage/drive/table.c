/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive_priv.h"

/* The location table: which record holds a shard.
 *
 * Rows go through a read buffer into a kv, off the path of acknowledgements: the segments are the
 * durable truth. The owner changes rows in commands of up to DRIVE_COMMAND_ITEMS records, each with
 * the rows of the segments it touches, so that what is committed always adds up.
 *
 * (T1) Every commit holds the mark: before that place nothing is reserved that is not in the table,
 *      or was and is freed. A start reads on from there.
 * (T2) A free is done when a commit without the row is durable whose mark is not before the place
 *      of the next reservation at the time of the removal. So a scan finds neither the record nor
 *      a copy of it that compaction was making.
 * (T3) A move only replaces the row that it began with.
 * (T4) A record is punched, and a segment recycled, only after the commit that no longer names it.
 */
#define TOUCHED_MAX (2 * DRIVE_COMMAND_ITEMS + 8)

/* One command while it is put together. */
struct command {
	struct shard_write *inserts[DRIVE_COMMAND_ITEMS];
	enum err results[DRIVE_COMMAND_ITEMS];
	size_t insert_count;
	struct shard_free *frees[DRIVE_COMMAND_ITEMS];
	size_t free_count;
	struct segment *touched[TOUCHED_MAX];
	size_t touched_count;
};

void table_touch(struct drive *drive, struct segment *segment)
{
	if (segment->is_touched)
		return;
	segment->is_touched = true;
	segment->next_touched = drive->touched;
	drive->touched = segment;
}

enum err table_get(struct drive *drive, struct buffer_view *view, struct extent_id extent,
	uint8_t index, struct location *ret_location)
{
	uint8_t key[LOCATION_KEY_LEN];
	location_key_encode(extent, index, key);
	struct bytes value;
	enum err err = buffer_view_get(view, bytes_make(key, sizeof key), &value);
	struct location location;
	if (err == ERR_OK)
		err = location_decode(value, &location);
	if (err != ERR_OK)
		return err;
	bool is_valid = location.segment < drive->segments_cap &&
		location.offset >= SEGMENT_HEAD_LEN &&
		location.record_len <= drive->segment_limit &&
		location.offset <= drive->segment_limit - location.record_len &&
		record_shard_len(location.record_len) > 0;
	if (!is_valid)
		return ERR_CORRUPT;
	*ret_location = location;
	return ERR_OK;
}

static void add_live(struct drive *drive, struct segment *segment, int64_t len)
{
	pthread_mutex_lock(&drive->lock);
	segment->live_len += len;
	pthread_mutex_unlock(&drive->lock);
	table_touch(drive, segment);
}

/* The table no longer names a record. */
static void release(struct drive *drive, struct location old)
{
	struct segment *segment = drive_segment(drive, old.segment);
	if (!segment || segment->life.generation != old.generation)
		return; /* of a segment that was lost */
	assert(segment->live_len >= old.record_len);
	add_live(drive, segment, -(int64_t)old.record_len);
	holes_add(drive,
		(struct hole){old.segment, old.generation, old.offset, old.record_len,
			drive->sequence + 1});
}

static enum err insert(struct drive *drive, struct shard_write *write, enum err *ret_result)
{
	struct location new = {
		write->segment->number, write->generation, write->offset, write->record_len};
	struct location old;
	enum err err = table_get(drive, &drive->view, write->info.extent, write->info.index, &old);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	bool has_old = err == ERR_OK;
	if (write->moved_from && !(has_old && location_is_equal(old, *write->moved_from))) {
		holes_add(drive,
			(struct hole){new.segment, new.generation, new.offset, new.record_len,
				drive->sequence + 1});
		table_touch(drive, write->segment);
		*ret_result = ERR_CONFLICT;
		return ERR_OK;
	}

	uint8_t key[LOCATION_KEY_LEN];
	uint8_t value[LOCATION_VALUE_LEN];
	location_key_encode(write->info.extent, write->info.index, key);
	location_encode(new, value);
	err = buffer_put(
		drive->buffer, bytes_make(key, sizeof key), bytes_make(value, sizeof value));
	if (err != ERR_OK)
		return err;
	add_live(drive, write->segment, write->record_len);
	if (has_old)
		release(drive, old);
	*ret_result = ERR_OK;
	return ERR_OK;
}

static enum err remove_row(struct drive *drive, struct shard_free *free)
{
	struct location old;
	enum err err = table_get(drive, &drive->view, free->extent, free->index, &old);
	if (err == ERR_NOT_FOUND)
		return ERR_OK;
	if (err != ERR_OK)
		return err;
	uint8_t key[LOCATION_KEY_LEN];
	location_key_encode(free->extent, free->index, key);
	err = buffer_remove(drive->buffer, bytes_make(key, sizeof key));
	if (err == ERR_OK)
		release(drive, old);
	return err;
}

static enum err put_segment_row(struct drive *drive, const struct segment *segment)
{
	pthread_mutex_lock(&drive->lock);
	struct segment_row row = {
		.generation = segment->life.generation,
		.seed = segment->life.seed,
		.token = segment->life.token,
		.end = segment->end,
		.live_len = segment->live_len,
		.punched_len = segment->punched_len,
	};
	pthread_mutex_unlock(&drive->lock);
	uint8_t key[SEGMENT_ROW_KEY_LEN];
	uint8_t value[SEGMENT_ROW_VALUE_LEN];
	segment_row_key_encode(segment->number, key);
	segment_row_encode(&row, value);
	return buffer_put(
		drive->buffer, bytes_make(key, sizeof key), bytes_make(value, sizeof value));
}

static enum err put_mark(struct buffer *buffer, struct place mark)
{
	uint8_t value[MARK_VALUE_LEN];
	mark_encode(mark, value);
	return buffer_put(buffer, bytes_of(MARK_KEY), bytes_make(value, sizeof value));
}

/* Takes what waits, as much as one command may hold. */
static void collect(struct drive *drive, struct command *command)
{
	while (drive->inserts && command->insert_count < DRIVE_COMMAND_ITEMS) {
		command->inserts[command->insert_count++] = drive->inserts;
		drive->inserts = drive->inserts->next;
	}
	if (!drive->inserts)
		drive->inserts_tail = &drive->inserts;
	size_t count = command->insert_count;
	while (drive->frees && count + command->free_count < DRIVE_COMMAND_ITEMS) {
		command->frees[command->free_count++] = drive->frees;
		drive->frees = drive->frees->next;
	}
	if (!drive->frees)
		drive->frees_tail = &drive->frees;
}

static enum err put_rows(struct drive *drive, struct command *command)
{
	enum err err = buffer_view_begin_latest(&drive->view);
	if (err != ERR_OK)
		return err;
	for (size_t i = 0; i < command->insert_count && err == ERR_OK; i++)
		err = insert(drive, command->inserts[i], &command->results[i]);
	for (size_t i = 0; i < command->free_count && err == ERR_OK; i++)
		err = remove_row(drive, command->frees[i]);
	buffer_view_end(&drive->view);

	while (err == ERR_OK && drive->touched && command->touched_count < TOUCHED_MAX) {
		struct segment *segment = drive->touched;
		drive->touched = segment->next_touched;
		segment->is_touched = false;
		command->touched[command->touched_count++] = segment;
		err = put_segment_row(drive, segment);
	}
	return err;
}

/* (S2) A segment that holds nothing any more becomes free with the next commit. */
static void check_emptied(struct drive *drive, struct segment *segment)
{
	pthread_mutex_lock(&drive->lock);
	if (compact_is_worth(drive, segment))
		drive->is_compact_due = true;
	bool is_empty = segment->state == SEGMENT_CLOSED && segment->live_len == 0 &&
		segment->reserved_len == 0 && segment->end == drive->segment_limit;
	pthread_mutex_unlock(&drive->lock);
	if (!is_empty || segment->is_emptied)
		return;
	segment->is_emptied = true;
	segment->emptied_sequence = drive->sequence;
	segment->next_emptied = drive->emptied;
	drive->emptied = segment;
}

static void free_end_task(struct task *task)
{
	struct shard_free *free = CONTAINER_OF(task, struct shard_free, task);
	free->done(free, free->err);
}

static void free_end(struct shard_free *free, enum err err)
{
	free->err = err;
	free->task.run = free_end_task;
	loop_post(free->loop, &free->task);
}

/* The command is visible: tells the writers; the frees wait for the commit. */
static void published(struct drive *drive, struct command *command)
{
	for (size_t i = 0; i < command->insert_count; i++) {
		reserve_end(drive, command->inserts[i]);
		atomic_fetch_add(&drive->counters.sealed, 1);
		shard_write_end(command->inserts[i], command->results[i]);
	}
	struct place position = reserve_position(drive);
	for (size_t i = 0; i < command->free_count; i++) {
		struct shard_free *free = command->frees[i];
		free->sequence = drive->sequence;
		free->mark_generation = position.generation;
		free->mark_offset = position.offset;
		free->next = NULL;
		*drive->freed_tail = free;
		drive->freed_tail = &free->next;
	}
	for (size_t i = 0; i < command->touched_count; i++)
		check_emptied(drive, command->touched[i]);
}

static void abandon(struct drive *drive, struct command *command)
{
	for (size_t i = 0; i < command->insert_count; i++) {
		reserve_end(drive, command->inserts[i]);
		shard_write_end(command->inserts[i], ERR_FENCED);
	}
	for (size_t i = 0; i < command->free_count; i++)
		free_end(command->frees[i], ERR_FENCED);
}

/* Opens a command; false: there is no room, or no more. */
static bool begin(struct drive *drive)
{
	enum err err = buffer_begin(drive->buffer, drive->sequence + 1);
	if (err == ERR_OK)
		return true;
	if (err == ERR_BUSY)
		drive->is_room_wanted = true;
	else
		drive_fence(drive, err);
	return false;
}

static void publish(struct drive *drive)
{
	drive->sequence++;
	buffer_publish(drive->buffer);
}

/* Publishes one command of what waits. False: there is no room for one, or it failed. */
static bool change_rows(struct drive *drive)
{
	if (!begin(drive))
		return false;
	struct command command = {0};
	collect(drive, &command);
	enum err err = put_rows(drive, &command);
	if (err != ERR_OK) {
		drive_fence(drive, err);
		abandon(drive, &command);
		return false;
	}
	publish(drive);
	published(drive, &command);
	return true;
}

static struct place free_place(const struct shard_free *free)
{
	return (struct place){0, free->mark_generation, free->mark_offset};
}

/* Must a commit be asked for although no row is to be changed, because the mark could go on? */
static bool is_mark_due(struct drive *drive)
{
	const struct shard_free *first = drive->freed;
	if (!first || first->sequence > drive->frozen_sequence)
		return false;
	if (place_compare(drive->frozen_mark, free_place(first)) >= 0)
		return false;
	return drive->sequence == drive->frozen_sequence &&
		place_compare(reserve_mark(drive), free_place(first)) >= 0;
}

static bool publish_mark(struct drive *drive)
{
	if (!begin(drive))
		return false;
	enum err err = put_mark(drive->buffer, reserve_mark(drive));
	if (err != ERR_OK) {
		drive_fence(drive, err);
		return false;
	}
	publish(drive);
	return true;
}

static void commit_if_wanted(struct drive *drive)
{
	if (is_mark_due(drive) && !publish_mark(drive))
		return;
	bool is_wanted = atomic_load(&drive->is_commit_wanted);
	bool is_new = drive->sequence > drive->frozen_sequence;
	if (is_wanted && !is_new && place_compare(reserve_mark(drive), drive->frozen_mark) != 0) {
		if (!publish_mark(drive))
			return;
		is_new = true;
	}
	if ((is_wanted || drive->is_stopping) && is_new)
		buffer_commit(drive->buffer);
	atomic_store(&drive->is_commit_wanted, false);
}

/* (T2) */
static void release_freed(struct drive *drive)
{
	while (drive->freed) {
		struct shard_free *free = drive->freed;
		if (free->sequence > drive->committed_sequence)
			break;
		if (place_compare(drive->committed_mark, free_place(free)) < 0)
			break;
		drive->freed = free->next;
		free_end(free, ERR_OK);
	}
	if (!drive->freed)
		drive->freed_tail = &drive->freed;
}

/* (T4) */
static void release_emptied(struct drive *drive)
{
	struct segment **link = &drive->emptied;
	while (*link) {
		struct segment *segment = *link;
		bool is_committed = segment->emptied_sequence <= drive->committed_sequence;
		if (!is_committed || compact_is_in(drive, segment)) {
			link = &segment->next_emptied;
			continue;
		}
		*link = segment->next_emptied;
		pthread_mutex_lock(&drive->lock);
		assert(segment->state == SEGMENT_CLOSED && segment->live_len == 0);
		segment->state = SEGMENT_FREE;
		drive->is_full = false;
		pthread_mutex_unlock(&drive->lock);
	}
}

void table_advance(struct drive *drive)
{
	while (drive->inserts || drive->frees || drive->touched) {
		if (drive->is_room_wanted || !change_rows(drive))
			return;
	}
	if (!drive->is_room_wanted)
		commit_if_wanted(drive);
	release_freed(drive);
	release_emptied(drive);
}

static void fail_frees(struct shard_free *free)
{
	while (free) {
		struct shard_free *next = free->next;
		free_end(free, ERR_FENCED);
		free = next;
	}
}

void table_fail_all(struct drive *drive)
{
	fail_frees(drive->frees);
	fail_frees(drive->freed);
	drive->frees = drive->freed = NULL;
	drive->frees_tail = &drive->frees;
	drive->freed_tail = &drive->freed;
}

bool table_is_settled(const struct drive *drive)
{
	if (drive->inserts || drive->frees || drive->freed || drive->touched)
		return false;
	if (atomic_load(&drive->is_commit_wanted))
		return false;
	return drive->committed_sequence == drive->sequence;
}

static void free_task(struct task *task)
{
	struct shard_free *free = CONTAINER_OF(task, struct shard_free, task);
	struct drive *drive = free->drive;
	if (drive_is_fenced(drive)) {
		free_end(free, ERR_FENCED);
		return;
	}
	free->next = NULL;
	*drive->frees_tail = free;
	drive->frees_tail = &free->next;
	drive_poke(drive);
}

void shard_free_start(struct shard_free *free)
{
	assert(free->loop && free->done && free->drive);
	free->task.run = free_task;
	loop_post(free->drive->setup.owner, &free->task);
}

/* --- what the read buffer says ---------------------------------------------------------------- */

static void on_room(void *arg)
{
	struct drive *drive = arg;
	drive->is_room_wanted = false;
	drive_advance(drive);
}

static void on_committed(void *arg, uint64_t sequence)
{
	struct drive *drive = arg;
	drive->committed_sequence = sequence;
	unsigned kept = 0;
	for (unsigned i = 0; i < drive->frozen_count; i++) {
		if (drive->frozen[i].sequence <= sequence)
			drive->committed_mark = drive->frozen[i].mark;
		else
			drive->frozen[kept++] = drive->frozen[i];
	}
	drive->frozen_count = kept;
	drive->refresh.is_due = true;
	atomic_fetch_add(&drive->counters.commits, 1);
	drive_advance(drive);
}

static void on_failed(void *arg, enum err err)
{
	drive_fence(arg, err);
}

/* (T1) */
static void on_freezing(void *arg, struct buffer *buffer)
{
	struct drive *drive = arg;
	struct place mark = reserve_mark(drive);
	if (put_mark(buffer, mark) != ERR_OK)
		mark = drive->frozen_mark;
	assert(drive->frozen_count < DRIVE_FROZEN_MAX);
	drive->frozen_sequence = buffer_published(buffer);
	drive->frozen_mark = mark;
	drive->frozen[drive->frozen_count].sequence = drive->frozen_sequence;
	drive->frozen[drive->frozen_count].mark = mark;
	drive->frozen_count++;
}

enum err table_open(struct drive *drive, struct place mark)
{
	const struct drive_settings *settings = &drive->setup.settings;
	struct buffer_setup setup = {
		.kv = drive->setup.locations,
		.writer = drive->setup.owner,
		.committer = drive->setup.committer,
		.applied_key = bytes_of(APPLIED_KEY),
		.arena_len = DRIVE_ARENA_LEN,
		.rows_max = settings->max_uncommitted,
		.command_len = DRIVE_COMMAND_LEN,
		.idle_ms = settings->commit_ms,
		.room = on_room,
		.committed = on_committed,
		.failed = on_failed,
		.freezing = on_freezing,
		.arg = drive,
	};
	enum err err = buffer_new(&setup, &drive->buffer);
	if (err != ERR_OK)
		return err;
	drive->sequence = buffer_applied(drive->buffer);
	drive->committed_sequence = drive->frozen_sequence = drive->sequence;
	drive->committed_mark = drive->frozen_mark = mark;
	return buffer_view_open(drive->buffer, &drive->view);
}

void table_close(struct drive *drive)
{
	buffer_view_close(&drive->view);
	for (size_t i = 0; i < DRIVE_LOOPS_MAX; i++) {
		if (drive->has_view[i])
			buffer_view_close(&drive->views[i]);
	}
	if (!drive->buffer)
		return;
	enum err err = buffer_close(drive->buffer);
	drive->buffer = NULL;
	/* Nothing is lost: the next start finds what the commit would have held. */
	if (err != ERR_OK)
		trace_event(drive->trace, TRACE_WARNING, 0, "drive %s: last commit: %s",
			drive_path(drive), err_text(err));
}
