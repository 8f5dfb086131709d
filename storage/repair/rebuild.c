/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/rebuild.h"

#include <assert.h>
#include <string.h>

#include "erasure/checksum.h"
#include "storage/meta/index_ledger.h"

#define REBUILD_MAGIC 0x72626c64u

static void advance(struct rebuild *rebuild);

static void move(struct rebuild *rebuild, enum rebuild_state state)
{
	assert(rebuild->in_flight == 0 && rebuild->state != REBUILD_OVER);
	rebuild->state = state;
}

static void end_one(struct rebuild *rebuild)
{
	assert(rebuild->magic == REBUILD_MAGIC && rebuild->in_flight > 0);
	rebuild->in_flight--;
	advance(rebuild);
}

static void fail(struct rebuild *rebuild, enum err err)
{
	if (rebuild->err == ERR_OK)
		rebuild->err = err;
}

static void run_task(struct task *task)
{
	end_one(CONTAINER_OF(task, struct rebuild, task));
}

/* Goes on from the loop: nothing ends inside the call that began it. */
static void advance_soon(struct rebuild *rebuild)
{
	rebuild->in_flight++;
	loop_post(rebuild->setup.store->loop, &rebuild->task);
}

static unsigned unit_count(const struct rebuild *rebuild)
{
	return rebuild->extent.geometry.k + rebuild->extent.geometry.m;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void give_buffers(struct rebuild *rebuild)
{
	for (unsigned i = 0; i < rebuild->buffer_count; i++)
		pool_give(&rebuild->setup.store->decode_pool, rebuild->buffers[i]);
	rebuild->buffer_count = 0;
	rebuild->made = NULL;
	for (unsigned i = 0; i < unit_count(rebuild); i++)
		rebuild->units[i].buf = NULL;
}

static enum pool_size size_of(uint32_t len)
{
	return len <= 4096     ? POOL_4K
		: len <= 8192  ? POOL_8K
		: len <= 16384 ? POOL_16K
		: len <= 65536 ? POOL_64K
			       : POOL_256K;
}

static void pool_ready(struct pool_wait *wait)
{
	end_one(CONTAINER_OF(wait, struct rebuild, wait)); /* takes at once, or is last again */
}

/* Takes buffers, or waits in line for them. True: they are there. */
static bool take_buffers(struct rebuild *rebuild, uint32_t len, unsigned count)
{
	struct pool *pool = &rebuild->setup.store->decode_pool;
	enum err err = pool_take(pool, size_of(len), count, rebuild->buffers);
	if (err == ERR_BUSY) {
		rebuild->in_flight++;
		pool_wait_start(pool, &rebuild->wait, count * pool_buffer_len(size_of(len)));
	} else if (err) {
		fail(rebuild, err);
	} else {
		rebuild->buffer_count = count;
	}
	return err == ERR_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void read_done(struct site_read *read, enum err err)
{
	struct rebuild_unit *unit = CONTAINER_OF(read, struct rebuild_unit, read);
	struct rebuild *rebuild = unit->rebuild;
	assert(rebuild->magic == REBUILD_MAGIC && unit->is_reading);
	unsigned index = unit - rebuild->units;
	uint16_t drive = rebuild->extent.places[index][unit->place];
	struct store_loop *store = rebuild->setup.store;
	unit->is_reading = false;
	unit->is_good = err == ERR_OK;
	if (err == ERR_CHECKSUM || err == ERR_CORRUPT) {
		store->counters.bad_blocks++;
		trace_event(store->store->trace, TRACE_WARNING, 0,
			"damaged block in extent %016lx/%lu shard %u on drive %u",
			(unsigned long)rebuild->extent.id.session,
			(unsigned long)rebuild->extent.id.counter, index, drive);
	} else if (err && err != ERR_NOT_FOUND && err != ERR_CANCELED) {
		reach_failed(store, drive);
	}
	if (err) {
		site_read_fini(&unit->read);
		unit->is_inited = false;
		unit->place++;
	}
	end_one(rebuild);
}

/* Finds the next place of a unit that can be reached. False: it is not to be had. */
static bool find_site(struct rebuild *rebuild, unsigned index, struct site *ret_site)
{
	struct rebuild_unit *unit = &rebuild->units[index];
	for (; unit->place < ARRAY_COUNT(rebuild->extent.places[index]); unit->place++) {
		reach_find(
			rebuild->setup.store, rebuild->extent.places[index][unit->place], ret_site);
		if (site_is_there(ret_site))
			return true;
	}
	unit->is_bad = true;
	return false;
}

static void read_unit(struct rebuild *rebuild, unsigned index, uint32_t len, uint8_t *buf)
{
	struct rebuild_unit *unit = &rebuild->units[index];
	struct site site;
	unit->is_good = false;
	unit->buf = buf;
	if (!find_site(rebuild, index, &site))
		return;
	if (!unit->is_inited) {
		unit->read.loop = rebuild->setup.store->loop;
		unit->read.done = read_done;
		site_read_init(&unit->read, &site, rebuild->extent.id, index);
		unit->is_inited = true;
	}
	unit->is_reading = true;
	rebuild->in_flight++;
	rebuild->read_len += len;
	site_read_start(&unit->read, rebuild->offset, len, buf, false);
}

/* The farther, the more; what answered before comes before what did not; UINT64_MAX: it cannot be
 * had. */
static uint64_t cost_of(struct rebuild *rebuild, unsigned index)
{
	struct store_loop *store = rebuild->setup.store;
	struct site site;
	if (rebuild->units[index].is_bad || !find_site(rebuild, index, &site))
		return UINT64_MAX;
	bool is_last = reach_is_avoided(store, site.number);
	return reach_distance(store, &site) + ((uint64_t)is_last << 40);
}

/* A copy, or the k cheapest others. */
static enum err choose_sources(struct rebuild *rebuild)
{
	unsigned shard = rebuild->setup.shard;
	uint64_t costs[CODE_UNITS_MAX];
	for (unsigned i = 0; i < CODE_UNITS_MAX; i++)
		costs[i] = i < unit_count(rebuild) ? cost_of(rebuild, i) : UINT64_MAX;
	rebuild->sources = 0;
	if (costs[shard] != UINT64_MAX) {
		rebuild->sources = 1u << shard;
		return ERR_OK;
	}
	for (unsigned left = rebuild->extent.geometry.k; left > 0; left--) {
		unsigned best = 0;
		for (unsigned i = 1; i < unit_count(rebuild); i++)
			if (costs[i] < costs[best])
				best = i;
		if (costs[best] == UINT64_MAX)
			return ERR_QUORUM;
		costs[best] = UINT64_MAX;
		rebuild->sources |= 1u << best;
	}
	return ERR_OK;
}

static bool is_copying(const struct rebuild *rebuild)
{
	return rebuild->sources == 1u << rebuild->setup.shard;
}

/* Is what is read what is written? With k = 1 each shard is a copy of the others. */
static bool is_plain(const struct rebuild *rebuild)
{
	return is_copying(rebuild) || rebuild->extent.geometry.k == 1;
}

static void read_chunk(struct rebuild *rebuild)
{
	unsigned next = 0;
	for (unsigned i = 0; i < unit_count(rebuild); i++)
		if (rebuild->sources & 1u << i)
			read_unit(rebuild, i, rebuild->chunk_len, rebuild->buffers[next++]);
	rebuild->made = is_plain(rebuild) ? rebuild->buffers[0] : rebuild->buffers[next];
	if (rebuild->in_flight == 0)
		advance_soon(rebuild);
}

/* Does not change it if sources are missing still. */
static bool has_all_sources(const struct rebuild *rebuild)
{
	for (unsigned i = 0; i < unit_count(rebuild); i++)
		if ((rebuild->sources & 1u << i) && !rebuild->units[i].is_good)
			return false;
	return true;
}

static void decode(struct rebuild *rebuild)
{
	if (is_plain(rebuild))
		return;
	struct code code;
	uint8_t *units[CODE_UNITS_MAX] = {NULL};
	for (unsigned i = 0; i < unit_count(rebuild); i++)
		units[i] = rebuild->units[i].buf;
	units[rebuild->setup.shard] = rebuild->made;
	code_init(&code, rebuild->extent.geometry.k, rebuild->extent.geometry.m);
	bool is_decoded = code_decode(&code, &rebuild->decoder, units, rebuild->sources,
		1u << rebuild->setup.shard, rebuild->chunk_len);
	assert(is_decoded);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_ready(struct site_write *write, enum err err)
{
	struct rebuild *rebuild = CONTAINER_OF(write, struct rebuild, write);
	rebuild->is_open = err == ERR_OK;
	if (err)
		fail(rebuild, err);
	end_one(rebuild);
}

static void write_sealed(struct site_write *write, enum err err)
{
	struct rebuild *rebuild = CONTAINER_OF(write, struct rebuild, write);
	if (err)
		fail(rebuild, err);
	end_one(rebuild);
}

static void append_done(struct site_append *append, enum err err)
{
	struct rebuild *rebuild = CONTAINER_OF(append, struct rebuild, append);
	if (err)
		fail(rebuild, err);
	end_one(rebuild);
}

static void whole_done(struct site_whole *whole, enum err err)
{
	struct rebuild *rebuild = CONTAINER_OF(whole, struct rebuild, whole);
	if (err)
		fail(rebuild, err);
	end_one(rebuild);
}

/* False: its drive cannot be reached. */
static bool describe(struct rebuild *rebuild, struct site *ret_site, struct shard_info *ret_info)
{
	const struct geometry *geometry = &rebuild->extent.geometry;
	*ret_info = (struct shard_info){
		.extent = rebuild->extent.id,
		.index = rebuild->setup.shard,
		.k = geometry->k,
		.m = geometry->m,
		.unit_len = geometry->unit_len,
		.extent_len = geometry->body_len,
		.shard_len = rebuild->shard_len,
		.hint = rebuild->setup.hint,
	};
	reach_find(rebuild->setup.store, rebuild->setup.drive, ret_site);
	if (!site_is_there(ret_site))
		fail(rebuild, ERR_UNAVAILABLE);
	return site_is_there(ret_site);
}

static void open_shard(struct rebuild *rebuild)
{
	struct shard_info info;
	struct site site;
	if (!describe(rebuild, &site, &info))
		return;
	rebuild->write.loop = rebuild->setup.store->loop;
	rebuild->write.ready = write_ready;
	rebuild->write.sealed = write_sealed;
	enum err err = site_write_open(&rebuild->write, &site, &info);
	rebuild->is_open = err == ERR_OK;
	if (err == ERR_BUSY)
		rebuild->in_flight++;
	else if (err)
		fail(rebuild, err);
}

static void sum_chunk(const struct rebuild *rebuild, uint64_t *sums)
{
	checksum_blocks(rebuild->made, rebuild->chunk_len,
		shard_checksum_seed(rebuild->extent.id, rebuild->setup.shard),
		rebuild->offset / BLOCK_LEN, sums);
}

/* Writes all of a short shard. */
static void write_whole(struct rebuild *rebuild)
{
	uint64_t sums[SHARD_WHOLE_SUMS_MAX];
	struct shard_info info;
	struct site site;
	if (!describe(rebuild, &site, &info)) {
		advance_soon(rebuild);
		return;
	}
	sum_chunk(rebuild, sums);
	rebuild->written_len += rebuild->chunk_len;
	rebuild->whole.loop = rebuild->setup.store->loop;
	rebuild->whole.done = whole_done;
	rebuild->in_flight++;
	site_whole_start(&rebuild->whole, &site, &info, rebuild->made, sums,
		checksum_block_count(rebuild->chunk_len));
}

static void write_chunk(struct rebuild *rebuild)
{
	uint64_t sums[REBUILD_CHUNK_LEN / BLOCK_LEN];
	sum_chunk(rebuild, sums);
	rebuild->append.done = append_done;
	rebuild->in_flight++;
	rebuild->written_len += rebuild->chunk_len;
	site_write_append(&rebuild->write, &rebuild->append, rebuild->made, rebuild->chunk_len,
		sums, checksum_block_count(rebuild->chunk_len));
}

static void seal(struct rebuild *rebuild)
{
	rebuild->in_flight++;
	rebuild->is_open = false;
	site_write_seal(&rebuild->write);
}

/* --- deciding --------------------------------------------------------------------------------- */

static void timer_fired(struct timer *timer)
{
	end_one(CONTAINER_OF(timer, struct rebuild, timer));
}

static void finish(struct rebuild *rebuild)
{
	give_buffers(rebuild);
	if (rebuild->is_open)
		site_write_abort(&rebuild->write);
	rebuild->is_open = false;
	for (unsigned i = 0; i < unit_count(rebuild); i++)
		if (rebuild->units[i].is_inited)
			site_read_fini(&rebuild->units[i].read);
	move(rebuild, REBUILD_OVER);
	rebuild->magic = 0;
	rebuild->setup.done(rebuild, rebuild->err);
}

/* Looks for the shard where it is to be: one block of it says that it is whole (drive.h (D1)). */
static void probe(struct rebuild *rebuild)
{
	struct rebuild_unit *unit = &rebuild->units[rebuild->setup.shard];
	if (unit->is_good && unit->place == 0) {
		rebuild->was_there = true;
		finish(rebuild);
		return;
	}
	uint32_t len = rebuild->shard_len < BLOCK_LEN ? rebuild->shard_len : BLOCK_LEN;
	uint16_t first = rebuild->extent.places[rebuild->setup.shard][0];
	bool is_probed = unit->place > 0 || unit->is_good || unit->is_bad ||
		first != rebuild->setup.drive;
	if (!is_probed && !take_buffers(rebuild, len, 1)) {
		if (rebuild->err)
			finish(rebuild);
		return;
	}
	if (!is_probed)
		read_unit(rebuild, rebuild->setup.shard, len, rebuild->buffers[0]);
	if (rebuild->in_flight > 0)
		return;
	give_buffers(rebuild);
	move(rebuild, REBUILD_PACING);
	advance_soon(rebuild);
}

/* Waits for its share before it takes memory (R2). */
static void pace(struct rebuild *rebuild)
{
	uint32_t left = rebuild->shard_len - rebuild->offset;
	rebuild->chunk_len = left < rebuild->chunk_len_max ? left : rebuild->chunk_len_max;
	enum err err = choose_sources(rebuild);
	if (err == ERR_QUORUM && rebuild->may_probe) {
		struct rebuild_unit *own = &rebuild->units[rebuild->setup.shard];
		rebuild->may_probe = own->is_bad = false;
		own->place = 0;
		move(rebuild, REBUILD_PROBING);
		probe(rebuild);
		return;
	}
	if (err) {
		fail(rebuild, err);
		finish(rebuild);
		return;
	}
	uint64_t units = 1 + __builtin_popcount(rebuild->sources);
	uint64_t wait_ms = throttle_take(
		rebuild->setup.throttle, units * rebuild->chunk_len, rebuild->is_open);
	if (wait_ms > 0) {
		rebuild->in_flight++;
		timer_set(rebuild->setup.store->loop, &rebuild->timer, wait_ms);
		return;
	}
	bool is_to_open = !rebuild->is_open && !rebuild->is_short;
	move(rebuild, is_to_open ? REBUILD_OPENING : REBUILD_WAITING);
	if (rebuild->state == REBUILD_OPENING)
		open_shard(rebuild);
	if (rebuild->in_flight == 0)
		advance_soon(rebuild);
}

static void take_memory(struct rebuild *rebuild)
{
	unsigned count = __builtin_popcount(rebuild->sources) + !is_plain(rebuild);
	if (!take_buffers(rebuild, rebuild->chunk_len, count)) {
		if (rebuild->err)
			finish(rebuild);
		return;
	}
	move(rebuild, REBUILD_READING);
	read_chunk(rebuild);
}

static void end_reading(struct rebuild *rebuild)
{
	if (!has_all_sources(rebuild)) {
		give_buffers(rebuild);
		move(rebuild, REBUILD_PACING); /* with others */
		pace(rebuild);
		return;
	}
	decode(rebuild);
	move(rebuild, rebuild->is_short ? REBUILD_SEALING : REBUILD_WRITING);
	if (rebuild->is_short)
		write_whole(rebuild);
	else
		write_chunk(rebuild);
}

static void end_writing(struct rebuild *rebuild)
{
	give_buffers(rebuild);
	rebuild->offset += rebuild->chunk_len;
	if (rebuild->offset == rebuild->shard_len) {
		move(rebuild, REBUILD_SEALING);
		seal(rebuild);
		return;
	}
	move(rebuild, REBUILD_PACING);
	pace(rebuild);
}

static void advance(struct rebuild *rebuild)
{
	assert(rebuild->magic == REBUILD_MAGIC);
	if (rebuild->in_flight > 0)
		return;
	if (rebuild->is_canceled && rebuild->state != REBUILD_SEALING)
		fail(rebuild, ERR_CANCELED);
	if (rebuild->err) {
		finish(rebuild);
		return;
	}
	switch (rebuild->state) {
	case REBUILD_IDLE:
		move(rebuild, rebuild->is_short ? REBUILD_PACING : REBUILD_PROBING);
		advance(rebuild);
		return;
	case REBUILD_PROBING:
		probe(rebuild);
		return;
	case REBUILD_PACING:
		pace(rebuild);
		return;
	case REBUILD_OPENING:
		move(rebuild, REBUILD_WAITING);
		/* fall through */
	case REBUILD_WAITING:
		take_memory(rebuild);
		return;
	case REBUILD_READING:
		end_reading(rebuild);
		return;
	case REBUILD_WRITING:
		end_writing(rebuild);
		return;
	case REBUILD_SEALING:
		finish(rebuild);
		return;
	case REBUILD_OVER:
		return;
	}
}

/* --- public ----------------------------------------------------------------------------------- */

enum err rebuild_extent_init(struct rebuild_extent *ret_extent, const struct ring_snapshot *ring,
	uint16_t slot, struct extent_id id, const struct row_extent *row)
{
	struct rebuild_extent extent = {.id = id, .slot = slot};
	if (!stripe_geometry_init(&extent.geometry, row->k, row->m, row->unit_len, row->len))
		return ERR_CORRUPT;
	for (unsigned i = 0; i < (unsigned)row->k + row->m; i++) {
		struct ring_places places;
		index_shard_places(ring, slot, id, row, i, &places);
		for (unsigned j = 0; j < places.count; j++)
			extent.places[i][j] = places.drives[j];
	}
	*ret_extent = extent;
	return ERR_OK;
}

void rebuild_start(struct rebuild *rebuild, const struct rebuild_setup *setup)
{
	const struct geometry *geometry = &setup->extent->geometry;
	assert(rebuild->magic != REBUILD_MAGIC && setup->done && setup->drive != 0);
	assert(setup->shard < geometry->k + geometry->m);
	memset(rebuild, 0, sizeof *rebuild);
	rebuild->magic = REBUILD_MAGIC;
	rebuild->setup = *setup;
	rebuild->extent = *setup->extent;
	rebuild->setup.extent = &rebuild->extent;
	rebuild->task.run = run_task;
	rebuild->timer.fire = timer_fired;
	rebuild->wait.ready = pool_ready;
	rebuild->shard_len = stripe_shard_len(geometry);
	size_t room = setup->store->decode_pool.limit_len;
	rebuild->chunk_len_max = (geometry->k + 1u) * REBUILD_CHUNK_LEN > room / 2
		? REBUILD_CHUNK_LEN_SMALL
		: REBUILD_CHUNK_LEN;
	for (unsigned i = 0; i < CODE_UNITS_MAX; i++)
		rebuild->units[i].rebuild = rebuild;
	struct rebuild_unit *own = &rebuild->units[setup->shard];
	bool is_at_goal = rebuild->extent.places[setup->shard][0] == setup->drive;
	rebuild->is_short = rebuild->shard_len <= SHARD_WHOLE_LEN_MAX;
	rebuild->may_probe = rebuild->is_short && setup->may_be_there && is_at_goal;
	own->is_bad = !setup->may_copy && (!setup->may_be_there || rebuild->is_short);
	if (is_at_goal && (!setup->may_be_there || rebuild->is_short))
		own->place = 1; /* not what is to be replaced */
	advance_soon(rebuild);
}

void rebuild_cancel(struct rebuild *rebuild)
{
	assert(rebuild->magic == REBUILD_MAGIC);
	rebuild->is_canceled = true;
	for (unsigned i = 0; i < unit_count(rebuild); i++)
		if (rebuild->units[i].is_reading)
			site_read_cancel(&rebuild->units[i].read);
	if (rebuild->state == REBUILD_OPENING && rebuild->in_flight > 0)
		site_write_cancel(&rebuild->write);
	if (rebuild->state == REBUILD_WRITING && rebuild->in_flight > 0)
		site_append_cancel(&rebuild->append);
	if (rebuild->state == REBUILD_SEALING && rebuild->in_flight > 0 && rebuild->is_short)
		site_whole_cancel(&rebuild->whole);
	if (rebuild->timer.is_set) {
		timer_cancel(rebuild->setup.store->loop, &rebuild->timer);
		loop_post(rebuild->setup.store->loop, &rebuild->task);
	}
	if (rebuild->wait.is_waiting) {
		pool_wait_cancel(&rebuild->setup.store->decode_pool, &rebuild->wait);
		loop_post(rebuild->setup.store->loop, &rebuild->task);
	}
}
