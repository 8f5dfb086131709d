/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive_priv.h"

/* One record is read, on the reader's loop.
 *
 *	locate → open the segment's file → read block 0 and the data, at once → check
 *
 * A further checksum block is read when the range needs it. What does not match may have been
 * overtaken: its record was moved or freed after it was located, and its segment has begun a new
 * life (S3). So it is located again, once; only what does not match then is damaged. */

/* Shorter reads are the page cache's to put together. */
#define AGAIN_LEN_MIN (128u << 10)

static void proceed(struct shard_read *read);

void shard_read_init(struct shard_read *read, struct loop *loop, struct drive *drive,
	struct extent_id extent, uint8_t index)
{
	void (*done)(struct shard_read *, enum err) = read->done;
	*read = (struct shard_read){
		.loop = loop,
		.done = done,
		.drive = drive,
		.extent = extent,
		.index = index,
	};
}

void shard_read_fini(struct shard_read *read)
{
	assert(read->in_flight == 0);
	for (size_t i = 0; i < ARRAY_COUNT(read->heads); i++) {
		drive_head_give(read->drive, read->heads[i]);
		read->heads[i] = NULL;
	}
	read->has_head = false;
	read->more_number = 0;
}

static void finish(struct shard_read *read, enum err err)
{
	assert(read->in_flight == 0);
	struct drive *drive = read->drive;
	if (err == ERR_OK && drive_is_fenced(drive))
		err = ERR_FENCED; /* (D3) */
	if (err == ERR_CHECKSUM)
		atomic_fetch_add(&drive->counters.bad_blocks, 1);
	if (err != ERR_OK) {
		read->segment = NULL;
		read->has_head = false;
		read->more_number = 0;
	}
	atomic_fetch_sub(&drive->client_ios, 1);
	read->done(read, err);
}

static void place_of(const struct shard_read *read, struct record_place *ret_place)
{
	*ret_place = (struct record_place){
		.drive = read->drive->superblock.identity.drive,
		.segment = read->segment->number,
		.segment_len = read->drive->segment_len,
		.generation = read->generation,
		.seed = read->seed,
		.token = read->token,
		.offset = read->offset,
	};
}

/* Looks the row up in this loop's view. */
static enum err look_up(struct shard_read *read, struct location *ret_location)
{
	struct drive *drive = read->drive;
	unsigned loop = read->loop->index;
	assert(loop < DRIVE_LOOPS_MAX);
	struct buffer_view *view = &drive->views[loop];
	enum err err = ERR_OK;
	if (!drive->has_view[loop]) {
		err = buffer_view_open(drive->buffer, view);
		if (err != ERR_OK)
			return err;
		drive->has_view[loop] = true;
	}
	err = buffer_view_begin(view);
	if (err != ERR_OK)
		return err;
	err = table_get(drive, view, read->extent, read->index, ret_location);
	buffer_view_end(view);
	return err;
}

/* ERR_CONFLICT: the segment has begun another life since the row was read. */
static enum err locate_once(struct shard_read *read)
{
	struct location location;
	enum err err = look_up(read, &location);
	if (err != ERR_OK)
		return err;
	struct drive *drive = read->drive;
	struct segment *segment = drive_segment(drive, location.segment);
	if (!segment)
		return ERR_CORRUPT;
	pthread_mutex_lock(&drive->lock);
	bool is_same = segment->life.generation == location.generation;
	read->seed = segment->life.seed;
	read->token = segment->life.token;
	read->file = read->is_cached ? segment->cached : segment->direct;
	pthread_mutex_unlock(&drive->lock);
	if (!is_same)
		return ERR_CONFLICT;
	read->segment = segment;
	read->generation = location.generation;
	read->offset = location.offset;
	read->record_len = location.record_len;
	return ERR_OK;
}

static enum err locate(struct shard_read *read)
{
	read->has_head = false;
	read->more_number = 0;
	read->checked_len = 0;
	enum err err = locate_once(read);
	if (err == ERR_CONFLICT)
		err = locate_once(read);
	return err == ERR_CONFLICT ? ERR_CORRUPT : err;
}

static bool range_is_valid(const struct shard_read *read)
{
	uint64_t shard_len = record_shard_len(read->record_len);
	if (read->len == 0 || read->start % BLOCK_LEN != 0)
		return false;
	if (read->start >= shard_len || read->len > shard_len - read->start)
		return false;
	return read->len % BLOCK_LEN == 0 || read->start + read->len == shard_len;
}

/* Located anew, or damaged. */
static void mismatch(struct shard_read *read)
{
	if (read->has_retried) {
		finish(read, ERR_CHECKSUM);
		return;
	}
	read->has_retried = true;
	atomic_fetch_add(&read->drive->counters.reread, 1);
	enum err err = locate(read);
	if (err != ERR_OK) {
		finish(read, err);
		return;
	}
	proceed(read);
}

static bool check_head(struct shard_read *read)
{
	struct record_place place;
	place_of(read, &place);
	struct shard_info info;
	if (record_decode_head(read->heads[0], &place, &info) != ERR_OK)
		return false;
	if (!extent_id_is_equal(info.extent, read->extent) || info.index != read->index)
		return false;
	if (record_len_of(info.shard_len) != read->record_len)
		return false;
	info.hint = (struct bytes){0};
	read->info = info;
	read->has_head = true;
	return true;
}

/* Checks the blocks whose checksums are in the block at hand, from checked_len on. */
static bool check_blocks(struct shard_read *read, uint32_t number)
{
	const uint8_t *sums = read->heads[number > 0];
	uint64_t seed = shard_checksum_seed(read->extent, read->index);
	while (read->checked_len < read->len) {
		uint64_t block = (read->start + read->checked_len) / BLOCK_LEN;
		if (record_sum_block(block) != number)
			break;
		size_t left = read->len - read->checked_len;
		size_t len = left < BLOCK_LEN ? left : BLOCK_LEN;
		uint64_t sum = checksum(read->buf + read->checked_len, len, seed + block);
		if (sum != record_get_sum(sums, block))
			return false;
		if (read->sums)
			read->sums[read->checked_len / BLOCK_LEN] = sum;
		read->checked_len += len;
	}
	return true;
}

static void check(struct shard_read *read);

static void more_was_read(struct disk_op *op)
{
	struct shard_read *read = CONTAINER_OF(op, struct shard_read, head_op);
	read->in_flight--;
	if (op->err != ERR_OK) {
		finish(read, op->err);
		return;
	}
	struct record_place place;
	place_of(read, &place);
	if (op->len < FORMAT_BLOCK_LEN ||
		record_check_more(read->heads[1], &place, &read->info, read->more_number) !=
			ERR_OK) {
		read->more_number = 0;
		mismatch(read);
		return;
	}
	check(read);
}

static void read_more(struct shard_read *read, uint32_t number)
{
	if (!read->heads[1])
		read->heads[1] = drive_head_take(read->drive);
	if (!read->heads[1]) {
		finish(read, ERR_NO_MEMORY);
		return;
	}
	read->more_number = number;
	read->in_flight++;
	read->head_op.loop = read->loop;
	read->head_op.done = more_was_read;
	disk_read(&read->head_op, read->file, read->heads[1], FORMAT_BLOCK_LEN,
		read->offset + (uint64_t)number * FORMAT_BLOCK_LEN);
}

static void check(struct shard_read *read)
{
	while (read->checked_len < read->len) {
		uint64_t block = (read->start + read->checked_len) / BLOCK_LEN;
		uint32_t number = record_sum_block(block);
		if (number > 0 && number != read->more_number) {
			read_more(read, number);
			return;
		}
		if (!check_blocks(read, number)) {
			mismatch(read);
			return;
		}
	}
	finish(read, ERR_OK);
}

static void was_read(struct shard_read *read, const struct disk_op *op, size_t want)
{
	if (op->err != ERR_OK)
		read->err = op->err;
	else if (op->len < want && read->err == ERR_OK)
		read->err = ERR_CHECKSUM;
	if (--read->in_flight > 0)
		return;
	if (read->err == ERR_CHECKSUM)
		mismatch(read);
	else if (read->err != ERR_OK)
		finish(read, read->err);
	else if (!read->has_head && !check_head(read))
		mismatch(read);
	else
		check(read);
}

static void head_was_read(struct disk_op *op)
{
	was_read(CONTAINER_OF(op, struct shard_read, head_op), op, FORMAT_BLOCK_LEN);
}

static void data_was_read(struct disk_op *op)
{
	struct shard_read *read = CONTAINER_OF(op, struct shard_read, data_op);
	was_read(read, op, read->len);
}

static void read_data(struct shard_read *read)
{
	read->err = ERR_OK;
	read->in_flight = read->has_head ? 1 : 2;
	if (!read->has_head) {
		read->head_op.loop = read->loop;
		read->head_op.done = head_was_read;
		disk_read(
			&read->head_op, read->file, read->heads[0], FORMAT_BLOCK_LEN, read->offset);
	}
	uint64_t heads_len = read->record_len - record_shard_len(read->record_len);
	read->data_op.loop = read->loop;
	read->data_op.done = data_was_read;
	disk_read(&read->data_op, read->file, read->buf, read->len,
		read->offset + heads_len + read->start);
}

static void open_run(struct work *work)
{
	struct shard_read *read = CONTAINER_OF(work, struct shard_read, work);
	read->err = drive_segment_file(read->drive, read->segment, read->is_cached, &read->file);
}

static void open_done(struct work *work)
{
	struct shard_read *read = CONTAINER_OF(work, struct shard_read, work);
	read->in_flight--;
	if (read->err != ERR_OK)
		finish(read, read->err);
	else
		read_data(read);
}

static void refuse_task(struct task *task)
{
	struct shard_read *read = CONTAINER_OF(task, struct shard_read, task);
	read->in_flight--;
	finish(read, read->err);
}

/* The end is told by a task: the caller may be the reader. */
static void refuse(struct shard_read *read, enum err err)
{
	read->err = err;
	read->in_flight++;
	read->task.run = refuse_task;
	loop_post(read->loop, &read->task);
}

/* From a located record on. */
static void proceed(struct shard_read *read)
{
	if (!range_is_valid(read)) {
		refuse(read, ERR_CORRUPT);
		return;
	}
	if (!read->heads[0])
		read->heads[0] = drive_head_take(read->drive);
	if (!read->heads[0]) {
		refuse(read, ERR_NO_MEMORY);
		return;
	}
	if (read->file) {
		read_data(read);
		return;
	}
	read->in_flight++;
	read->work.run = open_run;
	read->work.done = open_done;
	read->work.loop = read->loop;
	worker_submit(read->drive->setup.worker, &read->work);
}

void shard_read_start(
	struct shard_read *read, uint64_t start, size_t len, uint8_t *buf, bool cached)
{
	assert(read->in_flight == 0 && loop_is_current(read->loop));
	if (cached && len >= AGAIN_LEN_MIN)
		cached = read_again_note(&read->drive->again, read->extent, read->index, start);
	bool is_same_file = read->is_cached == cached;
	read->start = start;
	read->len = len;
	read->buf = buf;
	read->is_cached = cached;
	read->has_retried = false;
	read->checked_len = 0;
	atomic_fetch_add(&read->drive->client_ios, 1);
	if (drive_is_fenced(read->drive)) {
		refuse(read, ERR_FENCED);
		return;
	}
	enum err err = read->segment && is_same_file ? ERR_OK : locate(read);
	if (err != ERR_OK)
		refuse(read, err);
	else
		proceed(read);
}
