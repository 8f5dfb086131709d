/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive_priv.h"

#include <stdlib.h>

/* One record is written, on the writer's loop.
 *
 * Data goes to its place as it comes. Checksums collect in block 0, which is kept until the seal,
 * and then in further blocks, each written when it is full. Two buffers serve these in turn: a
 * block holds the checksums of 8 MB, more than may be in flight, so the write of the one before
 * last has ended when its buffer is needed again, because the append that filled it waits for it.
 */

static void place_of(const struct shard_write *write, struct record_place *ret_place)
{
	const struct drive *drive = write->drive;
	*ret_place = (struct record_place){
		.drive = drive->superblock.identity.drive,
		.segment = write->segment->number,
		.segment_len = drive->segment_len,
		.generation = write->generation,
		.seed = write->segment->life.seed,
		.token = write->segment->life.token,
		.offset = write->offset,
	};
}

static void give_heads(struct shard_write *write)
{
	for (size_t i = 0; i < ARRAY_COUNT(write->heads); i++) {
		drive_head_give(write->drive, write->heads[i]);
		write->heads[i] = NULL;
	}
}

static enum err take_heads(struct shard_write *write)
{
	uint32_t count = record_head_count(write->info.shard_len);
	if (count > ARRAY_COUNT(write->heads))
		count = ARRAY_COUNT(write->heads);
	for (uint32_t i = 0; i < count; i++) {
		write->heads[i] = drive_head_take(write->drive);
		if (!write->heads[i]) {
			give_heads(write);
			return ERR_NO_MEMORY;
		}
	}
	return ERR_OK;
}

enum err shard_write_open(
	struct shard_write *write, struct drive *drive, const struct shard_info *info)
{
	assert(write->loop && write->ready && write->sealed);
	if (!record_info_is_valid(info))
		return ERR_INVALID;
	write->drive = drive;
	write->info = *info;
	write->info.hint = (struct bytes){0};
	write->record_len = record_len_of(info->shard_len);
	if (write->record_len > drive->segment_limit - SEGMENT_HEAD_LEN)
		return ERR_INVALID;
	write->written_len = write->block_count = 0;
	write->in_flight = write->in_flight_len = 0;
	write->is_sealing = false;
	write->err = ERR_OK;

	enum err err = take_heads(write);
	if (err != ERR_OK)
		return err;
	record_encode_head(info, drive->superblock.epoch, write->heads[0]);
	err = reserve_take(drive, write);
	if (err != ERR_OK && err != ERR_BUSY)
		give_heads(write);
	return err;
}

static void ready_task(struct task *task)
{
	struct shard_write *write = CONTAINER_OF(task, struct shard_write, task);
	if (write->err != ERR_OK)
		give_heads(write);
	write->ready(write, write->err);
}

void shard_write_ready(struct shard_write *write, enum err err)
{
	write->err = err;
	write->task.run = ready_task;
	loop_post(write->loop, &write->task);
}

static void fail(struct shard_write *write, enum err err)
{
	drive_fence(write->drive, err);
	write->err = ERR_FENCED;
}

static void append_end(struct shard_append *append)
{
	struct shard_write *write = append->write;
	assert(append->pending > 0);
	if (--append->pending > 0)
		return;
	atomic_fetch_sub(&write->drive->client_ios, 1);
	write->in_flight--;
	write->in_flight_len -= append->len;
	append->done(append, append->err);
}

static void append_written(struct disk_op *op)
{
	struct shard_append *append = CONTAINER_OF(op, struct shard_append, op);
	if (op->err != ERR_OK) {
		fail(append->write, op->err);
		append->err = ERR_FENCED;
	}
	append_end(append);
}

static void append_refused(struct task *task)
{
	struct shard_append *append = CONTAINER_OF(task, struct shard_append, task);
	append->err = append->write->err = ERR_FENCED;
	append_end(append);
}

static void write_head(struct shard_write *write);

/* A further checksum block was written: because it was full, or for the seal. */
static void more_written(struct shard_write *write, unsigned turn)
{
	struct shard_append *append = write->more_appends[turn];
	enum err err = write->more_ops[turn].err;
	write->more_appends[turn] = NULL;
	if (err != ERR_OK)
		fail(write, err);
	if (append) {
		if (err != ERR_OK)
			append->err = ERR_FENCED;
		append_end(append);
		return;
	}
	assert(write->is_sealing);
	write_head(write);
}

static void more_0_written(struct disk_op *op)
{
	more_written(CONTAINER_OF(op, struct shard_write, more_ops[0]), 0);
}

static void more_1_written(struct disk_op *op)
{
	more_written(CONTAINER_OF(op, struct shard_write, more_ops[1]), 1);
}

/* Writes further checksum block `number`, which is complete. */
static void write_more(struct shard_write *write, uint32_t number, struct shard_append *append)
{
	unsigned turn = (number - 1) & 1;
	struct record_place place;
	place_of(write, &place);
	record_close_more(&place, number, write->heads[1 + turn]);
	write->more_appends[turn] = append;
	if (append)
		append->pending++;
	struct disk_op *op = &write->more_ops[turn];
	op->loop = write->loop;
	op->done = turn == 0 ? more_0_written : more_1_written;
	disk_write(op, write->segment->direct, write->heads[1 + turn], FORMAT_BLOCK_LEN,
		write->offset + (uint64_t)number * FORMAT_BLOCK_LEN, 0);
}

/* Notes the checksum of the next block. */
static void put_sum(struct shard_write *write, struct shard_append *append, uint64_t sum)
{
	uint64_t block = write->block_count++;
	uint32_t number = record_sum_block(block);
	if (number == 0) {
		record_put_sum(write->heads[0], block, sum);
		return;
	}
	unsigned turn = (number - 1) & 1;
	if (record_sum_position(block) == 0) {
		assert(!write->more_appends[turn]);
		struct record_place place;
		place_of(write, &place);
		record_encode_more(&place, &write->info, number, write->heads[1 + turn]);
	}
	record_put_sum(write->heads[1 + turn], block, sum);
	if (record_sum_position(block) == RECORD_MORE_SUMS - 1)
		write_more(write, number, append);
}

void shard_write_append(struct shard_write *write, struct shard_append *append, const uint8_t *buf,
	size_t len, const uint64_t *checksums, size_t checksum_count)
{
	struct drive *drive = write->drive;
	assert(loop_is_current(write->loop) && !write->is_sealing);
	assert(len > 0 && len % FORMAT_BLOCK_LEN == 0 && write->written_len % BLOCK_LEN == 0);
	assert(write->written_len + len <= write->info.shard_len);
	assert(checksum_count == checksum_block_count(len));
	assert(write->in_flight_len + len <= SHARD_APPEND_IN_FLIGHT_MAX);

	append->write = write;
	append->len = len;
	append->pending = 1;
	append->err = ERR_OK;
	write->in_flight++;
	write->in_flight_len += len;
	atomic_fetch_add(&drive->client_ios, 1);
	uint64_t offset = write->offset +
		(uint64_t)record_head_count(write->info.shard_len) * FORMAT_BLOCK_LEN +
		write->written_len;
	write->written_len += len;
	if (drive_is_fenced(drive)) {
		append->task.run = append_refused;
		loop_post(write->loop, &append->task);
		return;
	}
	for (size_t i = 0; i < checksum_count; i++)
		put_sum(write, append, checksums[i]);
	append->op.loop = write->loop;
	append->op.done = append_written;
	disk_write(&append->op, write->segment->direct, buf, len, offset, 0);
}

static void head_written(struct disk_op *op)
{
	struct shard_write *write = CONTAINER_OF(op, struct shard_write, head_op);
	atomic_fetch_sub(&write->drive->client_ios, 1);
	if (op->err != ERR_OK)
		fail(write, op->err);
	seal_post(write);
}

/* (F4) The last write of a record. */
static void write_head(struct shard_write *write)
{
	if (write->err != ERR_OK) {
		atomic_fetch_sub(&write->drive->client_ios, 1);
		seal_post(write);
		return;
	}
	struct record_place place;
	place_of(write, &place);
	record_set_place(&place, &write->info, write->heads[0]);
	record_close_head(&place, write->heads[0]);
	write->head_op.loop = write->loop;
	write->head_op.done = head_written;
	disk_write(&write->head_op, write->segment->direct, write->heads[0], FORMAT_BLOCK_LEN,
		write->offset, 0);
}

void shard_write_seal(struct shard_write *write)
{
	assert(loop_is_current(write->loop) && !write->is_sealing);
	assert(write->in_flight == 0 && write->written_len == write->info.shard_len);
	write->is_sealing = true;
	atomic_fetch_add(&write->drive->client_ios, 1);
	if (drive_is_fenced(write->drive))
		write->err = ERR_FENCED;

	uint64_t last = checksum_block_count(write->info.shard_len) - 1;
	uint32_t number = record_sum_block(last);
	if (write->err == ERR_OK && number > 0 && record_sum_position(last) < RECORD_MORE_SUMS - 1)
		write_more(write, number, NULL);
	else
		write_head(write);
}

void shard_write_abort(struct shard_write *write)
{
	struct drive *drive = write->drive;
	assert(write->in_flight == 0 && !write->is_sealing);
	reserve_abort(drive, write);
	give_heads(write);
}

static void sealed_task(struct task *task)
{
	struct shard_write *write = CONTAINER_OF(task, struct shard_write, task);
	give_heads(write);
	write->sealed(write, write->err);
}

void shard_write_end(struct shard_write *write, enum err err)
{
	write->err = err;
	write->task.run = sealed_task;
	loop_post(write->loop, &write->task);
}
