/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive_priv.h"

#include <stdlib.h>

/* The start of a drive.
 *
 * The location table knows every segment as it was at the last commit, and its mark says up to
 * where it is complete. What is to be looked at is little: the heads of segments that had no row,
 * nothing live, or a generation not below the mark's, since only those can have begun another life
 * or taken records since; and the records behind the mark in them.
 *
 * (O1) Of two records of one shard the one at the later place counts, if it is whole: it may have
 *      been cut off before its flush, and then the earlier one was not given up. It is written
 *      again and flushed before the table names it in place of the other: a flush of it may have
 *      failed, after which the bytes can be there and not be durable, and a second flush says OK.
 * (O2) Nothing is appended to a segment of an earlier mounting: what had been reserved there is not
 *      known. Its rest is given back if it was never written.
 * (O3) What a start finds is flushed before the table names it: the process may have ended between
 *      the writes of a record and their flush.
 * (O4) A start changes the table only, in steps that each add up. So it may be cut off at any point
 *      and begin again. */
#define BATCH_MAX 256

struct batch_entry {
	uint8_t key[LOCATION_KEY_LEN];
	struct location location;
};

struct opening {
	struct drive *drive;
	struct kv *kv;
	struct kv_reader *reader;
	bool has_begun, has_mark;
	struct place mark;
	uint64_t generation_max;
	uint64_t *numbers; /* of the files found */
	size_t number_count, number_cap;
	enum err err; /* of the listing */
	struct segment **scans;
	uint64_t *scan_offsets; /* [number] */
	size_t scan_count;
	uint8_t *window, *record; /* SEGMENT_SCAN_WINDOW_LEN each */
	struct batch_entry *batch;
	size_t batch_count;
};

/* --- segments --------------------------------------------------------------------------------- */

static void found_segment(void *arg, const char *name)
{
	struct opening *opening = arg;
	uint64_t number;
	if (opening->err != ERR_OK || segment_name_parse(name, &number) != ERR_OK)
		return;
	if (opening->number_count == opening->number_cap) {
		size_t cap = opening->number_cap ? 2 * opening->number_cap : 64;
		uint64_t *numbers = realloc(opening->numbers, cap * sizeof *numbers);
		if (!numbers) {
			opening->err = ERR_NO_MEMORY;
			return;
		}
		opening->numbers = numbers;
		opening->number_cap = cap;
	}
	opening->numbers[opening->number_count++] = number;
}

/* Room for four times the segments that fill the file system, because punched ones take less. */
static enum err allocate_segments(struct opening *opening, uint64_t total)
{
	struct drive *drive = opening->drive;
	uint64_t cap = 4 * (total / drive->segment_len) + 64;
	for (size_t i = 0; i < opening->number_count; i++) {
		if (opening->numbers[i] >= UINT32_MAX)
			return ERR_CORRUPT;
		if (opening->numbers[i] >= cap)
			cap = opening->numbers[i] + 64;
	}
	drive->segments_cap = cap;
	drive->segments = calloc(cap, sizeof drive->segments[0]);
	opening->scans = calloc(opening->number_count + 1, sizeof opening->scans[0]);
	opening->scan_offsets = calloc(cap, sizeof opening->scan_offsets[0]);
	opening->batch = calloc(BATCH_MAX, sizeof opening->batch[0]);
	opening->window = aligned_alloc(FORMAT_BLOCK_LEN, SEGMENT_SCAN_WINDOW_LEN);
	opening->record = aligned_alloc(FORMAT_BLOCK_LEN, SEGMENT_SCAN_WINDOW_LEN);
	bool is_complete = drive->segments && opening->scans && opening->scan_offsets &&
		opening->batch && opening->window && opening->record;
	return is_complete ? ERR_OK : ERR_NO_MEMORY;
}

static enum err list_segments(struct opening *opening)
{
	struct drive *drive = opening->drive;
	struct disk_space space;
	enum err err = disk_space(drive->setup.disk, &space);
	if (err != ERR_OK)
		return err;
	if (drive->setup.settings.reserve_len == 0)
		drive->setup.settings.reserve_len = drive_reserve_len(space.total);
	/* (O3) A segment that was made shortly before the process ended may have no durable name.
	 */
	err = disk_sync_dir(drive->setup.disk);
	if (err == ERR_OK)
		err = disk_list(drive->setup.disk, SEGMENT_DIR, found_segment, opening);
	if (err == ERR_OK)
		err = opening->err;
	if (err == ERR_OK)
		err = allocate_segments(opening, space.total);
	for (size_t i = 0; i < opening->number_count && err == ERR_OK; i++) {
		struct segment *segment;
		err = drive_segment_add(drive, opening->numbers[i], &segment);
	}
	return err;
}

/* --- the table -------------------------------------------------------------------------------- */

static enum err begin_reading(struct opening *opening)
{
	enum err err = kv_reader_begin(opening->reader);
	opening->has_begun = err == ERR_OK;
	return err;
}

static void end_reading(struct opening *opening)
{
	if (opening->has_begun)
		kv_reader_end(opening->reader);
	opening->has_begun = false;
}

static struct segment_life life_of_row(
	const struct drive *drive, uint64_t number, const struct segment_row *row)
{
	return (struct segment_life){
		.cluster = drive->superblock.identity.cluster,
		.drive = drive->superblock.identity.drive,
		.number = number,
		.generation = row->generation,
		.len = drive->segment_len,
		.epoch = drive->superblock.epoch,
		.seed = row->seed,
		.token = row->token,
	};
}

static enum err take_segment_row(struct opening *opening, struct bytes key, struct bytes value)
{
	struct drive *drive = opening->drive;
	uint64_t number;
	struct segment_row row;
	enum err err = segment_row_key_decode(key, &number);
	if (err == ERR_OK)
		err = segment_row_decode(value, &row);
	if (err != ERR_OK)
		return err;
	uint64_t room = drive->segment_limit - SEGMENT_HEAD_LEN;
	if (row.live_len > room || row.punched_len > room)
		return ERR_CORRUPT;
	if (row.generation > opening->generation_max)
		opening->generation_max = row.generation;
	struct segment *segment = drive_segment(drive, number);
	if (!segment) {
		if (row.live_len > 0)
			trace_event(drive->trace, TRACE_ERROR, 0,
				"drive %s: segment %ju is missing, with %ju bytes",
				drive_path(drive), (uintmax_t)number, (uintmax_t)row.live_len);
		return ERR_OK;
	}
	segment->life = life_of_row(drive, number, &row);
	segment->live_len = row.live_len;
	segment->punched_len = row.punched_len;
	return ERR_OK;
}

static enum err read_mark(struct opening *opening)
{
	struct bytes value;
	enum err err = kv_get(opening->reader, bytes_of(MARK_KEY), &value);
	if (err == ERR_NOT_FOUND)
		return ERR_OK;
	if (err == ERR_OK)
		err = mark_decode(value, &opening->mark);
	opening->has_mark = err == ERR_OK;
	opening->generation_max = opening->mark.generation;
	return err;
}

static enum err read_table(struct opening *opening)
{
	enum err err = read_mark(opening);
	if (err != ERR_OK)
		return err;
	uint8_t start[SEGMENT_ROW_KEY_LEN];
	segment_row_key_encode(0, start);
	struct bytes key;
	struct bytes value;
	err = kv_seek(opening->reader, bytes_make(start, sizeof start), &key, &value);
	while (err == ERR_OK && key.data[0] == SEGMENT_ROW_TAG) {
		err = take_segment_row(opening, key, value);
		if (err == ERR_OK)
			err = kv_next(opening->reader, &key, &value);
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* --- heads ------------------------------------------------------------------------------------ */

/* What to make of a segment whose head is not valid. */
static void take_headless(struct opening *opening, struct segment *segment, enum err err)
{
	struct drive *drive = opening->drive;
	if (segment->live_len > 0) {
		trace_event(drive->trace, TRACE_WARNING, 0, "drive %s: head of segment %ju: %s",
			drive_path(drive), (uintmax_t)segment->number, err_text(err));
		segment->state = SEGMENT_CLOSED;
		return;
	}
	/* A head is torn when the power fails while a life begins; nothing was reserved in it. But
	 * with no table there is nothing to tell this from the loss of a head that records need. */
	bool is_unused = opening->has_mark || err == ERR_NOT_FOUND;
	segment->state = is_unused ? SEGMENT_FREE : SEGMENT_LOST;
	if (!is_unused)
		trace_event(drive->trace, TRACE_ERROR, 0,
			"drive %s: the head of segment %ju is damaged; its records are not found",
			drive_path(drive), (uintmax_t)segment->number);
}

/* Reads the head, and notes from where on the records are to be looked for. */
static enum err take_head(struct opening *opening, struct segment *segment)
{
	struct drive *drive = opening->drive;
	struct disk_file *file;
	enum err err = drive_segment_file(drive, segment, false, &file);
	if (err != ERR_OK)
		return err;
	struct segment_life life;
	err = segment_load(
		file, drive->superblock.identity.drive, segment->number, drive->segment_len, &life);
	if (err == ERR_VERSION || err == ERR_NO_MEMORY)
		return err;
	if (err == ERR_OK && life.generation < segment->life.generation)
		err = ERR_CORRUPT; /* an older one than the table has seen */
	if (err != ERR_OK) {
		take_headless(opening, segment, err);
		return ERR_OK;
	}
	if (life.generation != segment->life.generation)
		segment->live_len = segment->punched_len = 0;
	segment->life = life;
	if (life.generation > opening->generation_max)
		opening->generation_max = life.generation;
	bool is_marked = life.generation == opening->mark.generation;
	uint64_t offset = is_marked ? opening->mark.offset : 0;
	if (life.generation >= opening->mark.generation && offset < drive->segment_limit) {
		opening->scan_offsets[segment->number] = offset;
		opening->scans[opening->scan_count++] = segment;
	}
	return ERR_OK;
}

static int by_generation(const void *a, const void *b)
{
	uint64_t generation_a = (*(struct segment *const *)a)->life.generation;
	uint64_t generation_b = (*(struct segment *const *)b)->life.generation;
	return generation_a < generation_b ? -1 : generation_a > generation_b;
}

static enum err read_heads(struct opening *opening)
{
	struct drive *drive = opening->drive;
	for (uint64_t i = 1; i <= drive->segment_max; i++) {
		struct segment *segment = drive->segments[i];
		if (!segment)
			continue;
		segment->state = SEGMENT_CLOSED;
		bool is_old = segment->life.generation > 0 && segment->live_len > 0 &&
			segment->life.generation < opening->mark.generation;
		enum err err = is_old ? ERR_OK : take_head(opening, segment);
		if (err != ERR_OK)
			return err;
	}
	qsort(opening->scans, opening->scan_count, sizeof opening->scans[0], by_generation);
	return ERR_OK;
}

/* --- records behind the mark ------------------------------------------------------------------ */

static enum err put_segment_rows(struct opening *opening)
{
	struct drive *drive = opening->drive;
	enum err err = ERR_OK;
	for (uint64_t i = 1; i <= drive->segment_max && err == ERR_OK; i++) {
		struct segment *segment = drive->segments[i];
		if (!segment || !segment->is_touched)
			continue;
		struct segment_row row = {segment->life.generation, segment->life.seed,
			segment->life.token, drive->segment_limit, segment->live_len,
			segment->punched_len};
		uint8_t key[SEGMENT_ROW_KEY_LEN];
		uint8_t value[SEGMENT_ROW_VALUE_LEN];
		segment_row_key_encode(i, key);
		segment_row_encode(&row, value);
		err = kv_put(
			opening->kv, bytes_make(key, sizeof key), bytes_make(value, sizeof value));
	}
	return err;
}

static enum err put_batch(struct opening *opening, const struct place *mark)
{
	enum err err = ERR_OK;
	for (size_t i = 0; i < opening->batch_count && err == ERR_OK; i++) {
		const struct batch_entry *entry = &opening->batch[i];
		uint8_t value[LOCATION_VALUE_LEN];
		location_encode(entry->location, value);
		err = kv_put(opening->kv, bytes_make(entry->key, sizeof entry->key),
			bytes_make(value, sizeof value));
	}
	if (err == ERR_OK)
		err = put_segment_rows(opening);
	if (err == ERR_OK && mark) {
		uint8_t value[MARK_VALUE_LEN];
		mark_encode(*mark, value);
		err = kv_put(opening->kv, bytes_of(MARK_KEY), bytes_make(value, sizeof value));
	}
	return err;
}

/* Commits what was found so far (O4). mark: the last commit of the start. */
static enum err commit_batch(struct opening *opening, const struct place *mark)
{
	end_reading(opening);
	enum err err = kv_write_begin(opening->kv);
	if (err != ERR_OK)
		return err;
	err = put_batch(opening, mark);
	if (err != ERR_OK) {
		kv_abort(opening->kv);
		return err;
	}
	err = kv_commit(opening->kv);
	if (err != ERR_OK)
		return err;
	opening->batch_count = 0;
	for (uint64_t i = 1; i <= opening->drive->segment_max; i++) {
		if (opening->drive->segments[i])
			opening->drive->segments[i]->is_touched = false;
	}
	return begin_reading(opening);
}

/* The location that the table has now: the batch is newer than what is committed. */
static enum err find_location(struct opening *opening, const uint8_t key[LOCATION_KEY_LEN],
	struct batch_entry **ret_entry, struct location *ret_location)
{
	for (size_t i = 0; i < opening->batch_count; i++) {
		if (memcmp(opening->batch[i].key, key, LOCATION_KEY_LEN) != 0)
			continue;
		*ret_entry = &opening->batch[i];
		*ret_location = opening->batch[i].location;
		return ERR_OK;
	}
	struct bytes value;
	enum err err = kv_get(opening->reader, bytes_make(key, LOCATION_KEY_LEN), &value);
	if (err == ERR_OK)
		err = location_decode(value, ret_location);
	return err;
}

static void count_live(struct opening *opening, struct location location, int64_t sign)
{
	struct segment *segment = drive_segment(opening->drive, location.segment);
	if (!segment || segment->life.generation != location.generation)
		return;
	segment->live_len += sign * (int64_t)location.record_len;
	segment->is_touched = true;
}

static enum err take_record(struct opening *opening, const struct segment *segment,
	const struct shard_info *info, uint64_t offset)
{
	if (opening->batch_count == BATCH_MAX) {
		enum err err = commit_batch(opening, NULL);
		if (err != ERR_OK)
			return err;
	}
	struct location new = {
		segment->number, segment->life.generation, offset, record_len_of(info->shard_len)};
	uint8_t key[LOCATION_KEY_LEN];
	location_key_encode(info->extent, info->index, key);
	struct batch_entry *entry = NULL;
	struct location old;
	enum err err = find_location(opening, key, &entry, &old);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	if (err == ERR_OK) {
		struct place new_place = {0, new.generation, new.offset};
		struct place old_place = {0, old.generation, old.offset};
		if (place_compare(new_place, old_place) <= 0)
			return ERR_OK;
		err = segment_verify(segment->direct, &segment->life, offset, opening->record);
		if (err != ERR_OK)
			return ERR_OK; /* (O1) */
		err = segment_renew(segment->direct, offset, new.record_len, opening->record);
		if (err != ERR_OK)
			return err;
		count_live(opening, old, -1);
	}
	if (!entry)
		entry = &opening->batch[opening->batch_count++];
	memcpy(entry->key, key, sizeof key);
	entry->location = new;
	count_live(opening, new, 1);
	atomic_fetch_add(&opening->drive->counters.scanned, 1);
	return ERR_OK;
}

static enum err scan_segment(struct opening *opening, struct segment *segment)
{
	struct drive *drive = opening->drive;
	enum err err = disk_sync_now(segment->direct); /* (O3) */
	if (err != ERR_OK)
		return err;
	struct segment_scan scan;
	segment_scan_init(&scan, segment->direct, &segment->life,
		opening->scan_offsets[segment->number], opening->window);
	struct shard_info info;
	uint64_t offset;
	while ((err = segment_scan_next(&scan, &info, &offset)) == ERR_OK) {
		err = take_record(opening, segment, &info, offset);
		if (err != ERR_OK)
			return err;
	}
	if (err != ERR_END)
		return err;
	if (scan.bad_len > 0) {
		atomic_fetch_add(&drive->counters.unreadable_len, scan.bad_len);
		trace_event(drive->trace, TRACE_WARNING, 0,
			"drive %s: %ju bytes of segment %ju cannot be read", drive_path(drive),
			(uintmax_t)scan.bad_len, (uintmax_t)segment->number);
		segment->is_stuck = true;
	}
	struct hole tail = {segment->number, segment->life.generation, scan.data_end,
		drive->segment_limit - scan.data_end, 0};
	bool is_punched = segment->punched_len >= tail.len;
	if (tail.len > 0 && !is_punched) /* (O2) */
		holes_add(drive, tail);
	return ERR_OK;
}

/* The states that segments begin this mounting with. */
static void settle_segments(struct opening *opening)
{
	struct drive *drive = opening->drive;
	for (uint64_t i = 1; i <= drive->segment_max; i++) {
		struct segment *segment = drive->segments[i];
		if (!segment)
			continue;
		segment->end = drive->segment_limit;
		if (segment->state == SEGMENT_CLOSED && segment->live_len == 0)
			segment->state = segment->is_stuck ? SEGMENT_LOST : SEGMENT_FREE;
	}
	drive->is_compact_due = true;
	drive->last_generation = opening->generation_max;
	drive->next_generation = opening->generation_max + 1;
}

static enum err scan_all(struct opening *opening)
{
	for (size_t i = 0; i < opening->scan_count; i++) {
		enum err err = scan_segment(opening, opening->scans[i]);
		if (err != ERR_OK)
			return err;
	}
	settle_segments(opening);
	opening->mark = (struct place){0, opening->generation_max, UINT64_MAX};
	return commit_batch(opening, &opening->mark);
}

static enum err recover(struct opening *opening)
{
	enum err err = list_segments(opening);
	if (err == ERR_OK)
		err = kv_reader_open(opening->kv, &opening->reader);
	if (err == ERR_OK)
		err = begin_reading(opening);
	if (err == ERR_OK)
		err = read_table(opening);
	if (err == ERR_OK)
		err = read_heads(opening);
	if (err == ERR_OK)
		err = scan_all(opening);
	end_reading(opening);
	kv_reader_close(opening->reader);
	free(opening->numbers);
	free(opening->scans);
	free(opening->scan_offsets);
	free(opening->batch);
	free(opening->window);
	free(opening->record);
	return err;
}

/* --- opening ---------------------------------------------------------------------------------- */

static enum err open_superblock(struct drive *drive, struct id cluster)
{
	enum err err = disk_open(drive->setup.disk, SUPERBLOCK_NAME, DISK_DIRECT | DISK_LOCK,
		&drive->superblock_file);
	if (err == ERR_OK)
		err = superblock_load(drive->superblock_file, &drive->superblock);
	if (err != ERR_OK)
		return err;
	if (memcmp(drive->superblock.identity.cluster.bytes, cluster.bytes, ID_LEN) != 0)
		return ERR_FOREIGN;
	drive->segment_len = drive->superblock.segment_len;
	drive->segment_limit = drive->segment_len - SEGMENT_TAIL_LEN;
	return ERR_OK;
}

static void find_reserve(struct drive *drive)
{
	struct disk_file *file;
	if (disk_open(drive->setup.disk, DRIVE_RESERVE_NAME, DISK_READ_ONLY, &file) == ERR_OK) {
		atomic_store(&drive->has_reserve, true);
		disk_close(file);
	}
	reserve_refresh(drive);
}

enum err drive_open(const struct drive_setup *setup, struct id cluster, struct drive **ret_drive)
{
	assert(setup->disk && setup->locations && setup->owner && setup->committer);
	assert(setup->worker && setup->clock && setup->random);
	struct drive *drive = drive_new(setup);
	if (!drive)
		return ERR_NO_MEMORY;
	struct opening opening = {.drive = drive, .kv = setup->locations};
	enum err err = open_superblock(drive, cluster);
	if (err == ERR_OK)
		err = recover(&opening);
	if (err == ERR_OK) {
		find_reserve(drive);
		err = table_open(drive, opening.mark);
	}
	if (err != ERR_OK) {
		table_close(drive);
		drive_free(drive);
		return err;
	}
	*ret_drive = drive;
	return ERR_OK;
}

enum err drive_set_mount(struct drive *drive, struct id node, uint64_t mount, uint64_t claim)
{
	struct drive_identity *identity = &drive->superblock.identity;
	identity->node = node;
	identity->mount = mount;
	identity->claim = claim;
	return superblock_store(drive->superblock_file, &drive->superblock);
}
