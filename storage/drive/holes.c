/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive_priv.h"

/* What was freed goes back to the file system.
 *
 * A freed record waits for the commit that no longer names it, then merges with the holes beside
 * it. A hole of 64 KiB or more is punched; a smaller one waits for neighbours. Memory is bounded: a
 * hole that finds no room here, and all that a start did not see, is garbage until its segment is
 * compacted.
 *
 * (H1) A hole is of one life of a segment; holes of a segment are forgotten when its next life is
 *      made, and no life is made while one is being punched. */

void holes_add(struct drive *drive, struct hole hole)
{
	assert(hole.len > 0);
	if (drive->pending_count == DRIVE_HOLES_MAX)
		return;
	size_t at = (drive->pending_first + drive->pending_count) % DRIVE_HOLES_MAX;
	drive->pending_holes[at] = hole;
	drive->pending_count++;
}

void holes_forget(struct drive *drive, uint64_t segment)
{
	size_t kept = 0;
	for (size_t i = 0; i < drive->hole_count; i++) {
		if (drive->holes[i].segment != segment)
			drive->holes[kept++] = drive->holes[i];
	}
	drive->hole_count = kept;
}

/* The first hole that is not before this place. */
static size_t find(const struct drive *drive, uint64_t segment, uint64_t offset)
{
	size_t low = 0;
	size_t high = drive->hole_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct hole *hole = &drive->holes[middle];
		bool is_before = hole->segment != segment ? hole->segment < segment
							  : hole->offset < offset;
		if (is_before)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool touches(const struct hole *a, const struct hole *b)
{
	return a->segment == b->segment && a->generation == b->generation &&
		a->offset + a->len == b->offset;
}

static void remove_at(struct drive *drive, size_t i)
{
	drive->hole_count--;
	memmove(&drive->holes[i], &drive->holes[i + 1],
		(drive->hole_count - i) * sizeof drive->holes[0]);
}

/* Adds a hole whose commit is durable, and merges it with those beside it. */
static void merge(struct drive *drive, struct hole hole)
{
	size_t i = find(drive, hole.segment, hole.offset);
	if (i < drive->hole_count && touches(&hole, &drive->holes[i])) {
		hole.len += drive->holes[i].len;
		remove_at(drive, i);
	}
	if (i > 0 && touches(&drive->holes[i - 1], &hole)) {
		hole.offset = drive->holes[i - 1].offset;
		hole.len += drive->holes[i - 1].len;
		remove_at(drive, --i);
	}
	if (hole.len >= DRIVE_PUNCH_LEN_MIN)
		drive->is_hole_due = true;
	if (drive->hole_count == DRIVE_HOLES_MAX)
		return;
	memmove(&drive->holes[i + 1], &drive->holes[i],
		(drive->hole_count - i) * sizeof drive->holes[0]);
	drive->holes[i] = hole;
	drive->hole_count++;
}

/* Is the hole still one of the life that its segment is in? */
static bool is_current(struct drive *drive, const struct hole *hole)
{
	const struct segment *segment = drive->segments[hole->segment];
	bool is_in_use = segment->state == SEGMENT_ACTIVE || segment->state == SEGMENT_CLOSED ||
		segment->state == SEGMENT_FREE;
	return is_in_use && segment->life.generation == hole->generation;
}

static void take_committed(struct drive *drive)
{
	while (drive->pending_count > 0) {
		struct hole hole = drive->pending_holes[drive->pending_first];
		if (hole.sequence > drive->committed_sequence)
			break;
		drive->pending_first = (drive->pending_first + 1) % DRIVE_HOLES_MAX;
		drive->pending_count--;
		pthread_mutex_lock(&drive->lock);
		bool is_wanted = is_current(drive, &hole);
		pthread_mutex_unlock(&drive->lock);
		if (is_wanted)
			merge(drive, hole);
	}
}

static void punch_end(struct punch *punch, enum err err)
{
	struct drive *drive = punch->drive;
	punch->is_busy = false;
	punch->segment->punches--;
	if (err == ERR_OK) {
		uint64_t room = drive->segment_limit - SEGMENT_HEAD_LEN;
		pthread_mutex_lock(&drive->lock);
		uint64_t punched_len = punch->segment->punched_len + punch->hole.len;
		/* More than there is: a part was punched before the last crash, too. */
		punch->segment->punched_len = punched_len < room ? punched_len : room;
		pthread_mutex_unlock(&drive->lock);
		atomic_fetch_add(&drive->counters.punched_len, punch->hole.len);
		drive->refresh.is_due = true;
	} else if (err != ERR_UNSUPPORTED) {
		drive_fence(drive, err);
	}
	drive->is_hole_due = true;
	drive_advance(drive);
}

static void punched(struct disk_op *op)
{
	punch_end(CONTAINER_OF(op, struct punch, op), op->err);
}

static void punch_open_run(struct work *work)
{
	struct punch *punch = CONTAINER_OF(work, struct punch, work);
	punch->err = drive_segment_file(punch->drive, punch->segment, false, &punch->file);
}

static void punch_open_done(struct work *work)
{
	struct punch *punch = CONTAINER_OF(work, struct punch, work);
	if (punch->err != ERR_OK) {
		punch_end(punch, punch->err);
		return;
	}
	punch->op.loop = punch->drive->setup.owner;
	punch->op.done = punched;
	disk_punch(&punch->op, punch->file, punch->hole.offset, punch->hole.len);
}

static void punch_start(struct drive *drive, struct punch *punch, struct hole hole)
{
	punch->drive = drive;
	punch->segment = drive->segments[hole.segment];
	punch->hole = hole;
	punch->is_busy = true;
	punch->segment->punches++;
	punch->work.run = punch_open_run;
	punch->work.done = punch_open_done;
	punch->work.loop = drive->setup.owner;
	worker_submit(drive->setup.worker, &punch->work);
}

static struct punch *idle_punch(struct drive *drive)
{
	for (size_t i = 0; i < DRIVE_PUNCHES_MAX; i++) {
		if (!drive->punches[i].is_busy)
			return &drive->punches[i];
	}
	return NULL;
}

void holes_advance(struct drive *drive)
{
	take_committed(drive);
	size_t i = 0;
	while (drive->is_hole_due && i < drive->hole_count) {
		if (drive->holes[i].len < DRIVE_PUNCH_LEN_MIN) {
			i++;
			continue;
		}
		struct punch *punch = idle_punch(drive);
		if (!punch)
			return;
		struct hole hole = drive->holes[i];
		remove_at(drive, i);
		punch_start(drive, punch, hole);
	}
	drive->is_hole_due = false;
}

bool holes_is_busy(const struct drive *drive)
{
	for (size_t i = 0; i < DRIVE_PUNCHES_MAX; i++) {
		if (drive->punches[i].is_busy)
			return true;
	}
	return false;
}
