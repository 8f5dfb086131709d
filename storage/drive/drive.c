/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive_priv.h"

#include <stdlib.h>
#include <string.h>

void drive_poke(struct drive *drive)
{
	if (!atomic_exchange(&drive->is_poked, true))
		loop_post(drive->setup.owner, &drive->poke_task);
}

static void fail_all(struct drive *drive)
{
	enum err err = atomic_load(&drive->fence_err);
	if (!drive->has_told_fence) {
		drive->has_told_fence = true;
		trace_event(drive->trace, TRACE_ERROR, 0, "drive %s is taken out of service: %s",
			drive_path(drive), err_text(err));
		if (drive->setup.fenced)
			drive->setup.fenced(drive, err, drive->setup.fenced_arg);
	}
	reserve_fail_waiting(drive, ERR_FENCED);
	seal_fail_all(drive);
	table_fail_all(drive);
}

/* Has everything of the drive's own come to rest? */
static bool is_at_rest(const struct drive *drive)
{
	if (drive->making.is_busy || drive->refresh.is_busy || drive->sealing_count > 0)
		return false;
	if (holes_is_busy(drive) || compact_is_busy(drive))
		return false;
	return drive_is_fenced(drive) || table_is_settled(drive);
}

void drive_advance(struct drive *drive)
{
	assert(drive->magic == DRIVE_MAGIC);
	assert(loop_is_current(drive->setup.owner));
	if (drive_is_fenced(drive)) {
		fail_all(drive);
	} else {
		reserve_advance(drive);
		table_advance(drive);
		holes_advance(drive);
	}
	compact_advance(drive);
	if (drive_is_fenced(drive) && !drive->has_told_fence)
		fail_all(drive);

	if (drive->stopped && is_at_rest(drive)) {
		void (*stopped)(void *arg) = drive->stopped;
		drive->stopped = NULL;
		stopped(drive->stopped_arg);
	}
}

void drive_stop(struct drive *drive, void (*stopped)(void *arg), void *arg)
{
	drive->is_stopping = true;
	drive->stopped = stopped;
	drive->stopped_arg = arg;
	drive_commit(drive);
	drive_poke(drive);
}

void drive_fence(struct drive *drive, enum err err)
{
	assert(err != ERR_OK);
	int expected = ERR_OK;
	if (!atomic_compare_exchange_strong(&drive->fence_err, &expected, err))
		return;
	atomic_store_explicit(&drive->state, DRIVE_FENCED, memory_order_release);
	drive_poke(drive);
}

void drive_commit(struct drive *drive)
{
	atomic_store(&drive->is_commit_wanted, true);
	drive_poke(drive);
}

const struct drive_identity *drive_identity(const struct drive *drive)
{
	return &drive->superblock.identity;
}

enum drive_state drive_state(const struct drive *drive)
{
	return drive_is_fenced(drive) ? DRIVE_FENCED : DRIVE_UP;
}

const char *drive_path(const struct drive *drive)
{
	return drive->setup.disk->path;
}

void drive_counters(const struct drive *drive, struct drive_counters *ret_counters)
{
	*ret_counters = (struct drive_counters){
		.flushes = atomic_load(&drive->counters.flushes),
		.flush_ns = atomic_load(&drive->counters.flush_ns),
		.sealed = atomic_load(&drive->counters.sealed),
		.commits = atomic_load(&drive->counters.commits),
		.segments_made = atomic_load(&drive->counters.segments_made),
		.segments_recycled = atomic_load(&drive->counters.segments_recycled),
		.segments_compacted = atomic_load(&drive->counters.segments_compacted),
		.moved = atomic_load(&drive->counters.moved),
		.punched_len = atomic_load(&drive->counters.punched_len),
		.reread = atomic_load(&drive->counters.reread),
		.bad_blocks = atomic_load(&drive->counters.bad_blocks),
		.scanned = atomic_load(&drive->counters.scanned),
		.unreadable_len = atomic_load(&drive->counters.unreadable_len),
	};
}

/* Bytes of a segment that no record uses and that are not given back. */
uint64_t segment_garbage_len(const struct segment *segment)
{
	uint64_t used = segment->live_len + segment->reserved_len + segment->punched_len;
	uint64_t taken = segment->end > SEGMENT_HEAD_LEN ? segment->end - SEGMENT_HEAD_LEN : 0;
	return taken > used ? taken - used : 0;
}

void drive_space(struct drive *drive, struct drive_space *ret_space)
{
	struct drive_space space = {
		.total = atomic_load(&drive->total_len),
		.free = atomic_load(&drive->free_len),
	};
	pthread_mutex_lock(&drive->lock);
	for (uint64_t i = 1; i <= drive->segment_max; i++) {
		const struct segment *segment = drive->segments[i];
		if (!segment)
			continue;
		uint64_t room = drive->segment_limit - SEGMENT_HEAD_LEN;
		if (segment->state == SEGMENT_FREE)
			space.free += room - segment->punched_len;
		else if (segment->state == SEGMENT_SPARE)
			space.free += room;
		else if (segment->state == SEGMENT_ACTIVE)
			space.free += drive->segment_limit - segment->end;
		if (segment->state == SEGMENT_ACTIVE || segment->state == SEGMENT_CLOSED) {
			space.used += segment->live_len;
			space.garbage += segment_garbage_len(segment);
		}
	}
	pthread_mutex_unlock(&drive->lock);
	*ret_space = space;
}

struct segment *drive_segment(struct drive *drive, uint64_t number)
{
	pthread_mutex_lock(&drive->lock);
	struct segment *segment = number <= drive->segment_max ? drive->segments[number] : NULL;
	pthread_mutex_unlock(&drive->lock);
	return segment;
}

enum err drive_segment_add(struct drive *drive, uint64_t number, struct segment **ret_segment)
{
	if (number >= drive->segments_cap)
		return ERR_LIMIT;
	struct segment *segment = calloc(1, sizeof *segment);
	if (!segment)
		return ERR_NO_MEMORY;
	segment->drive = drive;
	segment->sealing_tail = &segment->sealing;
	segment->number = number;
	pthread_mutex_lock(&drive->lock);
	assert(!drive->segments[number]);
	drive->segments[number] = segment;
	if (number > drive->segment_max)
		drive->segment_max = number;
	pthread_mutex_unlock(&drive->lock);
	*ret_segment = segment;
	return ERR_OK;
}

enum err drive_segment_file(
	struct drive *drive, struct segment *segment, bool is_cached, struct disk_file **ret_file)
{
	struct disk_file **place = is_cached ? &segment->cached : &segment->direct;
	pthread_mutex_lock(&drive->lock);
	struct disk_file *file = *place;
	pthread_mutex_unlock(&drive->lock);
	if (!file) {
		char name[SEGMENT_NAME_LEN];
		segment_name_format(segment->number, name);
		unsigned flags = is_cached ? DISK_READ_ONLY : DISK_DIRECT;
		enum err err = disk_open(drive->setup.disk, name, flags, &file);
		if (err != ERR_OK)
			return err;
		pthread_mutex_lock(&drive->lock);
		struct disk_file *ours = *place ? file : NULL;
		if (*place)
			file = *place;
		else
			*place = file;
		pthread_mutex_unlock(&drive->lock);
		disk_close(ours);
	}
	*ret_file = file;
	return ERR_OK;
}

uint8_t *drive_head_take(struct drive *drive)
{
	pthread_mutex_lock(&drive->lock);
	uint8_t *head = drive->heads;
	if (head) {
		memcpy(&drive->heads, head, sizeof drive->heads);
		drive->head_count--;
	}
	pthread_mutex_unlock(&drive->lock);
	return head ? head : aligned_alloc(FORMAT_BLOCK_LEN, FORMAT_BLOCK_LEN);
}

void drive_head_give(struct drive *drive, uint8_t *head)
{
	if (!head)
		return;
	pthread_mutex_lock(&drive->lock);
	bool is_kept = drive->head_count < DRIVE_HEADS_KEPT;
	if (is_kept) {
		memcpy(head, &drive->heads, sizeof drive->heads);
		drive->heads = head;
		drive->head_count++;
	}
	pthread_mutex_unlock(&drive->lock);
	if (!is_kept)
		free(head);
}

/* Collects one page of a listing. */
static enum err list_view(struct buffer_view *view, struct extent_id from, uint8_t from_index,
	struct shard_entry *entries, size_t cap, size_t *ret_count)
{
	uint8_t start[LOCATION_KEY_LEN];
	location_key_encode(from, from_index, start);
	struct bytes key;
	struct bytes value;
	size_t count = 0;
	enum err err = buffer_view_seek(view, bytes_make(start, sizeof start), &key, &value);
	while (err == ERR_OK && count < cap) {
		struct shard_entry *entry = &entries[count];
		if (location_key_decode(key, &entry->extent, &entry->index) != ERR_OK)
			break;
		struct location location;
		err = location_decode(value, &location);
		if (err != ERR_OK)
			return err;
		entry->segment = location.segment;
		entry->offset = location.offset;
		entry->record_len = location.record_len;
		count++;
		err = buffer_view_next(view, &key, &value);
	}
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	*ret_count = count;
	return ERR_OK;
}

enum err drive_list(struct drive *drive, struct extent_id from, uint8_t from_index,
	struct shard_entry *entries, size_t cap, size_t *ret_count)
{
	if (drive_is_fenced(drive))
		return ERR_FENCED;
	struct buffer_view view = {0};
	enum err err = buffer_view_open(drive->buffer, &view);
	if (err != ERR_OK)
		return err;
	err = buffer_view_begin(&view);
	if (err == ERR_OK) {
		err = list_view(&view, from, from_index, entries, cap, ret_count);
		buffer_view_end(&view);
	}
	buffer_view_close(&view);
	return err;
}

static void poke_task(struct task *task)
{
	struct drive *drive = CONTAINER_OF(task, struct drive, poke_task);
	atomic_store(&drive->is_poked, false);
	drive_advance(drive);
}

struct drive *drive_new(const struct drive_setup *setup)
{
	struct drive *drive = calloc(1, sizeof *drive);
	if (!drive)
		return NULL;
	drive->magic = DRIVE_MAGIC;
	drive->setup = *setup;
	drive->trace = setup->trace;
	pthread_mutex_init(&drive->lock, NULL);
	drive->poke_task.run = poke_task;
	drive->inserts_tail = &drive->inserts;
	drive->frees_tail = &drive->frees;
	drive->freed_tail = &drive->freed;
	return drive;
}

void drive_free(struct drive *drive)
{
	for (uint64_t i = 1; drive->segments && i <= drive->segment_max; i++) {
		if (!drive->segments[i])
			continue;
		disk_close(drive->segments[i]->direct);
		disk_close(drive->segments[i]->cached);
		free(drive->segments[i]);
	}
	free(drive->segments);
	while (drive->heads) {
		uint8_t *head = drive->heads;
		memcpy(&drive->heads, head, sizeof drive->heads);
		free(head);
	}
	compact_free(drive);
	disk_close(drive->superblock_file);
	pthread_mutex_destroy(&drive->lock);
	drive->magic = 0;
	free(drive);
}

void drive_close(struct drive *drive)
{
	if (!drive)
		return;
	assert(drive->magic == DRIVE_MAGIC);
	table_close(drive);
	drive_free(drive);
}
