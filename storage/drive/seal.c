/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive_priv.h"

/* Records are flushed in groups.
 *
 * A writer whose last block is written sends one message. The owner flushes the file of its
 * segment; who comes while a flush is in flight goes with the next one, because a flush covers only
 * what was written before it began. After the flush the record goes into the location table, and
 * then the writer is told: so what was acknowledged is durable and found. */

#define FLUSH_SMOOTHED 8 /* one flush counts for an eighth of what is usual */

static void flush_start(struct segment *segment);

static void insert_later(struct drive *drive, struct shard_write *write)
{
	write->next = NULL;
	*drive->inserts_tail = write;
	drive->inserts_tail = &write->next;
}

/* The record will not be. */
static void give_up(struct shard_write *write)
{
	reserve_end(write->drive, write);
	shard_write_end(write, ERR_FENCED);
}

static void give_up_list(struct shard_write *write)
{
	while (write) {
		struct shard_write *next = write->next;
		give_up(write);
		write = next;
	}
}

/* Only the owner counts. */
static void count_time(struct drive *drive, uint64_t ns)
{
	uint64_t usual = atomic_load(&drive->counters.flush_ns);
	atomic_store(&drive->counters.flush_ns,
		usual == 0 ? ns : usual - usual / FLUSH_SMOOTHED + ns / FLUSH_SMOOTHED);
}

static void flushed(struct disk_op *op)
{
	struct segment *segment = CONTAINER_OF(op, struct segment, sync_op);
	struct drive *drive = segment->drive;
	count_time(drive, clock_mono_ns(drive->setup.clock) - segment->sync_ns);
	struct shard_write *write = segment->flushing;
	segment->flushing = NULL;
	segment->is_flushing = false;
	drive->sealing_count--;
	if (op->err != ERR_OK)
		drive_fence(drive, op->err);
	if (drive_is_fenced(drive)) {
		give_up_list(write);
	} else {
		while (write) {
			struct shard_write *next = write->next;
			insert_later(drive, write);
			write = next;
		}
		flush_start(segment);
	}
	drive_advance(drive);
}

static void flush_start(struct segment *segment)
{
	if (segment->is_flushing || !segment->sealing)
		return;
	struct drive *drive = segment->drive;
	segment->is_flushing = true;
	segment->flushing = segment->sealing;
	segment->sealing = NULL;
	segment->sealing_tail = &segment->sealing;
	drive->sealing_count++;
	atomic_fetch_add(&drive->counters.flushes, 1);
	segment->sync_ns = clock_mono_ns(drive->setup.clock);
	segment->sync_op.loop = drive->setup.owner;
	segment->sync_op.done = flushed;
	disk_sync(&segment->sync_op, segment->direct);
}

static void seal_task(struct task *task)
{
	struct shard_write *write = CONTAINER_OF(task, struct shard_write, task);
	struct drive *drive = write->drive;
	if (write->err != ERR_OK || drive_is_fenced(drive)) {
		give_up(write);
		drive_advance(drive);
		return;
	}
	struct segment *segment = write->segment;
	write->next = NULL;
	*segment->sealing_tail = write;
	segment->sealing_tail = &write->next;
	flush_start(segment);
}

void seal_post(struct shard_write *write)
{
	write->task.run = seal_task;
	loop_post(write->drive->setup.owner, &write->task);
}

/* What is being flushed now ends by itself. */
void seal_fail_all(struct drive *drive)
{
	struct shard_write *inserts = drive->inserts;
	drive->inserts = NULL;
	drive->inserts_tail = &drive->inserts;
	give_up_list(inserts);
	for (uint64_t i = 1; i <= drive->segment_max; i++) {
		struct segment *segment = drive->segments[i];
		if (!segment || !segment->sealing)
			continue;
		struct shard_write *sealing = segment->sealing;
		segment->sealing = NULL;
		segment->sealing_tail = &segment->sealing;
		give_up_list(sealing);
	}
}
