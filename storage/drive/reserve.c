/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive_priv.h"

/* Space for records.
 *
 * Any loop takes space from the active segment by moving its end, under the drive's lock. When it
 * is full the spare one takes its place, and the owner has a worker make the next: recycle a free
 * segment rather than allocate a new one, because blocks that were written before flush faster.
 *
 * The list of open writes is in the order of reservation; its head holds the mark back (D4).
 *
 * Space of the file system is looked at after each segment made and each commit. The reserve is a
 * preallocated file that is given up when less than an eighth of it is left beside it, so that
 * commits of the location table, and with them frees, go on; new segments are then not made. */
#define RETRY_NS 1000000000u

static void list_append(struct drive *drive, struct shard_write *write)
{
	write->next_open = NULL;
	write->prev_open = drive->last_open;
	if (drive->last_open)
		drive->last_open->next_open = write;
	else
		drive->first_open = write;
	drive->last_open = write;
}

static void list_remove(struct drive *drive, struct shard_write *write)
{
	if (write->prev_open)
		write->prev_open->next_open = write->next_open;
	else
		drive->first_open = write->next_open;
	if (write->next_open)
		write->next_open->prev_open = write->prev_open;
	else
		drive->last_open = write->prev_open;
	write->next_open = write->prev_open = NULL;
}

static bool has_room(const struct drive *drive, const struct segment *segment, uint64_t len)
{
	return segment && segment->end + len <= drive->segment_limit;
}

/* Puts the spare segment in place of the active one. Under the lock. */
static void turn(struct drive *drive)
{
	struct segment *old = drive->active;
	if (old) {
		old->state = SEGMENT_CLOSED;
		old->next_closed = drive->closed;
		drive->closed = old;
	}
	assert(drive->spare->life.generation > drive->last_generation); /* (S1) */
	drive->active = drive->spare;
	drive->active->state = SEGMENT_ACTIVE;
	drive->last_generation = drive->active->life.generation;
	drive->spare = NULL;
}

static void wait_for_segment(struct drive *drive, struct shard_write *write)
{
	write->next = NULL;
	if (drive->last_waiting)
		drive->last_waiting->next = write;
	else
		drive->first_waiting = write;
	drive->last_waiting = write;
}

/* Takes the room of the record from the active segment, or from the spare one in its place.
 * ERR_BUSY: there is neither. Under the lock. */
static enum err take_locked(struct drive *drive, struct shard_write *write)
{
	if (!has_room(drive, drive->active, write->record_len)) {
		if (!drive->spare)
			return ERR_BUSY;
		if (drive->active && drive->is_last_spare && !write->moved_from)
			return ERR_NO_SPACE;
		turn(drive);
	}
	struct segment *segment = drive->active;
	assert(has_room(drive, segment, write->record_len));
	write->segment = segment;
	write->generation = segment->life.generation;
	write->offset = segment->end;
	segment->end += write->record_len;
	segment->reserved_len += write->record_len;
	list_append(drive, write);
	return ERR_OK;
}

enum err reserve_take(struct drive *drive, struct shard_write *write)
{
	if (drive_is_fenced(drive))
		return ERR_FENCED;
	pthread_mutex_lock(&drive->lock);
	enum err err = drive->first_waiting ? ERR_BUSY : take_locked(drive, write);
	if (err == ERR_BUSY) {
		bool is_early = clock_mono_ns(drive->setup.clock) < drive->retry_ns;
		if (drive->is_full && is_early)
			err = ERR_NO_SPACE;
		else
			wait_for_segment(drive, write);
	}
	bool poke = err == ERR_BUSY || (err == ERR_OK && !drive->spare && !drive->is_full);
	pthread_mutex_unlock(&drive->lock);
	if (poke)
		drive_poke(drive);
	return err;
}

void reserve_end(struct drive *drive, struct shard_write *write)
{
	pthread_mutex_lock(&drive->lock);
	list_remove(drive, write);
	assert(write->segment->reserved_len >= write->record_len);
	write->segment->reserved_len -= write->record_len;
	pthread_mutex_unlock(&drive->lock);
}

void reserve_abort(struct drive *drive, struct shard_write *write)
{
	struct hole hole = {
		write->segment->number, write->generation, write->offset, write->record_len, 0};
	reserve_end(drive, write);
	pthread_mutex_lock(&drive->lock);
	/* One that finds no room here stays garbage until its segment is compacted. */
	if (drive->aborted_count < DRIVE_ABORTED_MAX)
		drive->aborted[drive->aborted_count++] = hole;
	pthread_mutex_unlock(&drive->lock);
	drive_poke(drive);
}

/* Under the lock. */
static struct place position_locked(const struct drive *drive)
{
	if (!drive->active)
		return (struct place){0, drive->last_generation, UINT64_MAX};
	return (struct place){drive->active->number, drive->last_generation, drive->active->end};
}

struct place reserve_position(struct drive *drive)
{
	pthread_mutex_lock(&drive->lock);
	struct place place = position_locked(drive);
	pthread_mutex_unlock(&drive->lock);
	return place;
}

struct place reserve_mark(struct drive *drive)
{
	pthread_mutex_lock(&drive->lock);
	const struct shard_write *first = drive->first_open;
	struct place place = position_locked(drive);
	if (first)
		place = (struct place){first->segment->number, first->generation, first->offset};
	pthread_mutex_unlock(&drive->lock);
	return place;
}

static struct shard_write *pop_waiting(struct drive *drive)
{
	struct shard_write *write = drive->first_waiting;
	drive->first_waiting = write->next;
	if (!drive->first_waiting)
		drive->last_waiting = NULL;
	return write;
}

/* Serves who waits for a segment, as far as there is room, in the order they came. */
static void serve_waiting(struct drive *drive)
{
	for (;;) {
		struct shard_write *write = NULL;
		enum err err = ERR_OK;
		pthread_mutex_lock(&drive->lock);
		if (drive->first_waiting)
			err = take_locked(drive, drive->first_waiting);
		if (drive->first_waiting && err != ERR_BUSY)
			write = pop_waiting(drive);
		pthread_mutex_unlock(&drive->lock);
		if (!write)
			return;
		shard_write_ready(write, err);
	}
}

void reserve_fail_waiting(struct drive *drive, enum err err)
{
	for (;;) {
		pthread_mutex_lock(&drive->lock);
		struct shard_write *write = drive->first_waiting ? pop_waiting(drive) : NULL;
		pthread_mutex_unlock(&drive->lock);
		if (!write)
			return;
		shard_write_ready(write, err);
	}
}

/* --- the reserve ------------------------------------------------------------------------------ */

static uint64_t margin(const struct drive *drive)
{
	return drive->setup.settings.reserve_len / 8;
}

static enum err reserve_allocate(struct drive *drive, uint64_t len)
{
	struct disk_file *file;
	enum err err = disk_open(drive->setup.disk, DRIVE_RESERVE_NAME, DISK_CREATE, &file);
	if (err != ERR_OK)
		return err;
	err = disk_allocate(file, len);
	disk_close(file);
	return err;
}

/* Notes how much new segments may take. Blocks. */
static void look_at_space(struct drive *drive)
{
	struct disk_space space;
	if (disk_space(drive->setup.disk, &space) != ERR_OK)
		return; /* what was seen last still stands */
	uint64_t kept = margin(drive) + drive->setup.settings.kept_len;
	if (!atomic_load(&drive->has_reserve))
		kept += drive->setup.settings.reserve_len;
	atomic_store(&drive->total_len, space.total);
	atomic_store(&drive->free_len, space.free > kept ? space.free - kept : 0);
}

void reserve_refresh(struct drive *drive)
{
	struct disk_space space;
	uint64_t len = drive->setup.settings.reserve_len;
	if (disk_space(drive->setup.disk, &space) != ERR_OK)
		return; /* the next commit shows whether there is room */
	if (atomic_load(&drive->has_reserve) && space.free < margin(drive)) {
		if (disk_remove(drive->setup.disk, DRIVE_RESERVE_NAME) == ERR_OK) {
			atomic_store(&drive->has_reserve, false);
			trace_event(drive->trace, TRACE_WARNING, 0,
				"drive %s is full: its reserve is in use", drive_path(drive));
		}
	} else if (!atomic_load(&drive->has_reserve) &&
		space.free > 2 * len + drive->setup.settings.kept_len) {
		if (reserve_allocate(drive, len) == ERR_OK)
			atomic_store(&drive->has_reserve, true);
	}
	look_at_space(drive);
}

/* --- segments --------------------------------------------------------------------------------- */

/* On a worker. */
static enum err make_now(struct drive *drive)
{
	struct making *making = &drive->making;
	struct disk_space space;
	enum err err = disk_space(drive->setup.disk, &space);
	if (err != ERR_OK)
		return err;
	uint64_t need = making->is_new ? drive->segment_len : making->segment->punched_len;
	if (space.free < need + margin(drive) + drive->setup.settings.kept_len)
		return ERR_NO_SPACE;
	char name[SEGMENT_NAME_LEN];
	segment_name_format(making->life.number, name);
	if (!making->file) {
		unsigned flags = DISK_DIRECT | (making->is_new ? DISK_CREATE : 0);
		err = disk_open(drive->setup.disk, name, flags, &making->file);
		if (err != ERR_OK)
			return err;
	}
	err = segment_begin(making->file, &making->life);
	if (err == ERR_OK && making->is_new)
		err = disk_sync_dir(drive->setup.disk);
	return err;
}

static void make_run(struct work *work)
{
	struct making *making = CONTAINER_OF(work, struct making, work);
	struct drive *drive = CONTAINER_OF(making, struct drive, making);
	making->err = make_now(drive);
	if (making->err == ERR_NO_SPACE && making->is_new && making->file) {
		char name[SEGMENT_NAME_LEN];
		segment_name_format(making->life.number, name);
		disk_close(making->file);
		making->file = NULL;
		/* What is left is an empty segment, which the next attempt or start takes. */
		err_ignore(disk_remove(drive->setup.disk, name));
	}
	look_at_space(drive);
}

static void make_done(struct work *work)
{
	struct making *making = CONTAINER_OF(work, struct making, work);
	struct drive *drive = CONTAINER_OF(making, struct drive, making);
	struct segment *segment = making->segment;
	enum err err = making->err;
	making->is_busy = false;
	drive->refresh.is_due = true;
	pthread_mutex_lock(&drive->lock);
	if (!segment->direct)
		segment->direct = making->file;
	if (err == ERR_OK) {
		segment->life = making->life;
		segment->end = SEGMENT_HEAD_LEN;
		segment->live_len = segment->punched_len = 0;
		segment->state = SEGMENT_SPARE;
		drive->spare = segment;
	} else {
		segment->state = making->is_new ? SEGMENT_NONE : SEGMENT_FREE;
	}
	drive->is_full = err != ERR_OK;
	drive->retry_ns = clock_mono_ns(drive->setup.clock) + RETRY_NS;
	pthread_mutex_unlock(&drive->lock);

	if (err == ERR_OK)
		atomic_fetch_add(making->is_new ? &drive->counters.segments_made
						: &drive->counters.segments_recycled,
			1);
	if (err != ERR_OK && err != ERR_NO_SPACE && err != ERR_NO_MEMORY)
		drive_fence(drive, err);
	if (err != ERR_OK)
		reserve_fail_waiting(drive, err);
	drive_advance(drive);
}

/* A segment to begin a life in: a free one, else a number that is not in use. Under the lock. */
static struct segment *pick_locked(struct drive *drive, uint64_t *ret_new_number)
{
	uint64_t unused = drive->segment_max + 1;
	for (uint64_t i = 1; i <= drive->segment_max; i++) {
		struct segment *segment = drive->segments[i];
		if (segment && segment->state == SEGMENT_FREE && segment->punches == 0)
			return segment;
		if ((!segment || segment->state == SEGMENT_NONE) && i < unused)
			unused = i;
	}
	*ret_new_number = unused;
	return NULL;
}

/* Could no other segment be made after the spare one? Then it is kept for compaction, which makes
 * room. Under the lock. */
static bool is_last_locked(struct drive *drive)
{
	if (!drive->spare || atomic_load(&drive->free_len) >= drive->segment_len)
		return false;
	uint64_t number;
	return !pick_locked(drive, &number);
}

static void make_start(struct drive *drive)
{
	uint64_t number = 0;
	pthread_mutex_lock(&drive->lock);
	struct segment *segment = pick_locked(drive, &number);
	bool is_new = !segment;
	if (is_new && number <= drive->segment_max)
		segment = drive->segments[number];
	pthread_mutex_unlock(&drive->lock);
	enum err err = segment ? ERR_OK : drive_segment_add(drive, number, &segment);
	if (err != ERR_OK) {
		pthread_mutex_lock(&drive->lock);
		drive->is_full = true;
		drive->retry_ns = clock_mono_ns(drive->setup.clock) + RETRY_NS;
		pthread_mutex_unlock(&drive->lock);
		reserve_fail_waiting(drive, err == ERR_LIMIT ? ERR_NO_SPACE : err);
		return;
	}

	pthread_mutex_lock(&drive->lock);
	segment->state = SEGMENT_MAKING;
	struct disk_file *file = segment->direct;
	pthread_mutex_unlock(&drive->lock);
	segment->is_stuck = segment->is_emptied = false;
	holes_forget(drive, segment->number);
	struct making *making = &drive->making;
	making->segment = segment;
	making->file = file;
	making->is_new = is_new;
	making->is_busy = true;
	making->life = (struct segment_life){
		.cluster = drive->superblock.identity.cluster,
		.drive = drive->superblock.identity.drive,
		.number = segment->number,
		.generation = drive->next_generation++,
		.len = drive->segment_len,
		.epoch = drive->superblock.epoch,
		.seed = random_u64(drive->setup.random),
		.token = random_u64(drive->setup.random),
	};
	making->work.run = make_run;
	making->work.done = make_done;
	making->work.loop = drive->setup.owner;
	worker_submit(drive->setup.worker, &making->work);
}

/* What is behind the end of a closed segment is given back. */
static void close_segment(struct drive *drive, struct segment *segment)
{
	pthread_mutex_lock(&drive->lock);
	uint64_t end = segment->end;
	uint64_t generation = segment->life.generation;
	segment->end = drive->segment_limit;
	pthread_mutex_unlock(&drive->lock);
	table_touch(drive, segment);
	struct hole hole = {segment->number, generation, end, drive->segment_limit - end, 0};
	if (hole.len > 0)
		holes_add(drive, hole);
}

/* What was reserved and aborted since the last look. */
static void take_aborted(struct drive *drive)
{
	struct hole aborted[DRIVE_ABORTED_MAX];
	pthread_mutex_lock(&drive->lock);
	size_t count = drive->aborted_count;
	memcpy(aborted, drive->aborted, count * sizeof aborted[0]);
	drive->aborted_count = 0;
	pthread_mutex_unlock(&drive->lock);
	for (size_t i = 0; i < count; i++) {
		holes_add(drive, aborted[i]);
		table_touch(drive, drive->segments[aborted[i].segment]);
	}
}

static void refresh_run(struct work *work)
{
	reserve_refresh(CONTAINER_OF(work, struct drive, refresh.work));
}

static void refresh_done(struct work *work)
{
	struct drive *drive = CONTAINER_OF(work, struct drive, refresh.work);
	drive->refresh.is_busy = false;
	drive_advance(drive);
}

static void refresh_start(struct drive *drive)
{
	drive->refresh.is_due = false;
	drive->refresh.is_busy = true;
	drive->refresh.work.run = refresh_run;
	drive->refresh.work.done = refresh_done;
	drive->refresh.work.loop = drive->setup.owner;
	worker_submit(drive->setup.worker, &drive->refresh.work);
}

void reserve_advance(struct drive *drive)
{
	pthread_mutex_lock(&drive->lock);
	drive->is_last_spare = is_last_locked(drive);
	pthread_mutex_unlock(&drive->lock);
	serve_waiting(drive);

	pthread_mutex_lock(&drive->lock);
	struct segment *closed = drive->closed;
	drive->closed = NULL;
	pthread_mutex_unlock(&drive->lock);
	while (closed) {
		struct segment *next = closed->next_closed;
		close_segment(drive, closed);
		closed = next;
	}
	take_aborted(drive);
	if (drive->refresh.is_due && !drive->refresh.is_busy)
		refresh_start(drive);

	pthread_mutex_lock(&drive->lock);
	bool is_retry_due = clock_mono_ns(drive->setup.clock) >= drive->retry_ns;
	bool is_wanted = drive->first_waiting || (drive->active && !drive->is_stopping);
	bool is_idle = !drive->spare && !drive->making.is_busy;
	bool is_possible = !drive->is_full || is_retry_due;
	bool is_refused = drive->first_waiting && !is_possible;
	pthread_mutex_unlock(&drive->lock);
	if (is_idle && is_wanted && is_possible)
		make_start(drive);
	else if (is_idle && is_refused)
		reserve_fail_waiting(drive, ERR_NO_SPACE);
}
