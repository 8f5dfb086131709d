/* SPDX-License-Identifier: Apache-2.0 */
/* How bytes come into a pack: chunks are lent, and shown to the owner when they are full. */
#include <assert.h>
#include <stdlib.h>

#include "storage/object/pack_priv.h"

static enum pool_size size_for(uint64_t len)
{
	return len <= 4096     ? POOL_4K
		: len <= 8192  ? POOL_8K
		: len <= 16384 ? POOL_16K
		: len <= 65536 ? POOL_64K
			       : POOL_256K;
}

/* What the frames come to if none is zipped, with a table before them. */
static uint64_t stored_len_max(uint64_t len)
{
	return frame_sealed_len(len) + frame_table_len(len);
}

/* The first chunk and the stage. Errors: ERR_BUSY, room() follows; ERR_NO_MEMORY. */
static enum err take_memory(struct pack *pack)
{
	struct pool *pool = &pack_store(pack)->pack_pool;
	uint8_t *chunk, *stage;
	if (pack->wait.is_waiting)
		return ERR_BUSY;
	enum err err = pool_take(pool, size_for(pack->chunk_cap), 1, &chunk);
	if (err == ERR_OK) {
		err = pool_take(pool, size_for(pack->stage_cap), 1, &stage);
		if (err)
			pool_give(pool, chunk);
	}
	if (err == ERR_BUSY)
		pool_wait_start(pool, &pack->wait, (size_t)pack->chunk_cap + pack->stage_cap);
	if (err)
		return err;
	pack->chunks[0].buf = chunk;
	pack->stage = stage;
	return ERR_OK;
}

void pack_give_memory(struct pack *pack)
{
	struct pool *pool = &pack_store(pack)->pack_pool;
	pool_wait_cancel(pool, &pack->wait);
	for (unsigned i = 0; i < PACK_CHUNKS_MAX; i++) {
		pool_give(pool, pack->chunks[i].buf);
		pack->chunks[i].buf = NULL;
	}
	pool_give(pool, pack->stage);
	pack->stage = NULL;
}

static void pool_ready(struct pool_wait *wait)
{
	struct pack *pack = CONTAINER_OF(wait, struct pack, wait);
	assert(pack->magic == PACK_MAGIC);
	/* Now: who was first in line takes at once, or is last again. */
	if (pack->err || pack->is_discarded)
		return;
	enum err err = take_memory(pack);
	if (err == ERR_BUSY)
		return;
	if (err) {
		pack_fail(pack, err);
		return;
	}
	pack->wants_room = false;
	pack->setup.room(pack);
}

void pack_plan_memory(struct pack *pack)
{
	pack->wait.ready = pool_ready;
	uint64_t len = pack->is_open ? CHUNK_LEN_MAX : pack->len;
	pack->chunk_cap = pool_buffer_len(size_for(pack_at_most(len, CHUNK_LEN_MAX)));
	pack->stage_cap = pool_buffer_len(
		size_for(pack_at_most(stored_len_max(len), STAGE_LEN_MAX)));
}

/* A second chunk, if it is to be had at once. */
static enum err take_second(struct pack *pack)
{
	struct pack_chunk *chunk = &pack->chunks[!pack->filling];
	if (chunk->is_full || pack->len <= CHUNK_LEN_MAX)
		return ERR_BUSY;
	if (!chunk->buf) {
		enum err err = pool_take(
			&pack_store(pack)->pack_pool, size_for(pack->chunk_cap), 1, &chunk->buf);
		if (err)
			return err;
	}
	pack->filling = !pack->filling;
	return ERR_OK;
}

enum err pack_buffer(struct pack *pack, uint8_t **ret_buf, size_t *ret_cap)
{
	assert(pack->magic == PACK_MAGIC);
	if (!pack->has_frames)
		return put_buffer(&pack->put, ret_buf, ret_cap);
	if (pack->err)
		return pack->err;
	if (pack->taken_len == pack->len)
		return ERR_END;
	enum err err = pack->stage ? ERR_OK : take_memory(pack);
	if (err == ERR_OK && pack->chunks[pack->filling].is_full)
		err = take_second(pack);
	pack->wants_room = err == ERR_BUSY;
	if (err && err != ERR_BUSY)
		pack_fail(pack, err);
	if (err)
		return err;
	struct pack_chunk *chunk = &pack->chunks[pack->filling];
	*ret_buf = chunk->buf + chunk->filled_len;
	*ret_cap = pack_at_most(pack->chunk_cap - chunk->filled_len, pack->len - pack->taken_len);
	return ERR_OK;
}

static void show_chunk(struct pack *pack, struct pack_chunk *chunk)
{
	chunk->is_full = chunk->is_with_owner = true;
	chunk->frame = (struct put_frame){chunk->buf, chunk->filled_len, NULL};
	pack_advance_soon(pack);
	pack->setup.frame(pack, &chunk->frame);
}

void pack_filled(struct pack *pack, size_t len)
{
	assert(pack->magic == PACK_MAGIC);
	if (!pack->has_frames) {
		put_filled(&pack->put, len);
		return;
	}
	struct pack_chunk *chunk = &pack->chunks[pack->filling];
	assert(len > 0 && len <= pack->len - pack->taken_len);
	assert(!chunk->is_full && len <= pack->chunk_cap - chunk->filled_len);
	chunk->filled_len += len;
	pack->taken_len += len;
	if (chunk->filled_len == pack->chunk_cap ||
		(pack->taken_len == pack->len && !pack->is_open))
		show_chunk(pack, chunk);
}

static enum err grow_table(struct pack *pack)
{
	if (!pack->table)
		return ERR_OK;
	if (pack->len > FRAME_ZIPPED_LEN_MAX)
		return ERR_LIMIT;
	uint8_t *table = realloc(pack->table, frame_table_len(pack->len));
	if (!table)
		return ERR_NO_MEMORY;
	pack->table = table;
	return ERR_OK;
}

void pack_extend(struct pack *pack, uint64_t len)
{
	assert(pack->magic == PACK_MAGIC && pack->is_open);
	pack->is_open = false;
	pack->len += len;
	if (!pack->has_frames) {
		if (len > 0)
			put_extend(&pack->put, len);
		put_close(&pack->put);
		return;
	}
	assert(pack->taken_len + len == pack->len);
	enum err err = grow_table(pack);
	if (err)
		pack_fail(pack, err);
	struct pack_chunk *chunk = &pack->chunks[pack->filling];
	if (len == 0 && chunk->filled_len > 0 && !chunk->is_full)
		show_chunk(pack, chunk);
	pack_advance_soon(pack);
}
