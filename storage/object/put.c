/* SPDX-License-Identifier: Apache-2.0 */
/* One body on its way to the drives.
 *
 *	OPENING → STREAMING → SEALING → (the next extent: OPENING) … → DURABLE
 *
 * and from each of these to UNWINDING, when too few shards are left or the owner does not want the
 * body any more: what is in flight is awaited, open shards are aborted, sealed ones freed.
 *
 * Memory: the units of a stripe are taken together and given back together; who has none waits in
 * the pool's line, who has one takes a second only if it need not wait (U2). With k = 1 all shards
 * are written from the one unit. */
#include "storage/object/put.h"

#include <assert.h>
#include <string.h>

#include "erasure/checksum.h"

#define PUT_MAGIC 0x70757421u

static void advance(struct put *put);

static const char *const state_names[] = {
	[PUT_IDLE] = "idle",
	[PUT_OPENING] = "opening",
	[PUT_STREAMING] = "streaming",
	[PUT_SEALING] = "sealing",
	[PUT_DURABLE] = "durable",
	[PUT_UNWINDING] = "unwinding",
	[PUT_OVER] = "over",
};

static const unsigned allowed_moves[] = {
	[PUT_IDLE] = 1 << PUT_OPENING | 1 << PUT_STREAMING | 1 << PUT_DURABLE,
	[PUT_OPENING] = 1 << PUT_STREAMING | 1 << PUT_UNWINDING,
	[PUT_STREAMING] = 1 << PUT_SEALING | 1 << PUT_DURABLE | 1 << PUT_UNWINDING,
	[PUT_SEALING] = 1 << PUT_OPENING | 1 << PUT_DURABLE | 1 << PUT_UNWINDING,
	[PUT_DURABLE] = 1 << PUT_UNWINDING | 1 << PUT_OVER,
	[PUT_UNWINDING] = 1 << PUT_OVER,
	[PUT_OVER] = 0,
};

static void move(struct put *put, enum put_state state)
{
	assert(allowed_moves[put->state] & 1u << state);
	trace_event(put->setup.store->store->trace, TRACE_DEBUG, put->setup.request_id, "put: %s",
		state_names[state]);
	put->state = state;
}

static void run_advance(struct task *task)
{
	struct put *put = CONTAINER_OF(task, struct put, advance_task);
	assert(put->magic == PUT_MAGIC);
	put->is_advance_posted = false;
	advance(put);
}

static void advance_soon(struct put *put)
{
	if (put->is_advance_posted)
		return;
	put->is_advance_posted = true;
	loop_post(put->setup.store->loop, &put->advance_task);
}

static void fail(struct put *put, enum err err)
{
	if (put->err == ERR_OK)
		put->err = err;
}

static unsigned shard_count(const struct put *put)
{
	return put->geometry.k + put->geometry.m;
}

/* How many shards make an extent durable (P1). */
static unsigned shards_needed(const struct put *put)
{
	return put->geometry.m > 0 ? put->geometry.k + 1 : put->geometry.k;
}

static unsigned shards_alive(const struct put *put)
{
	unsigned count = 0;
	for (unsigned i = 0; i < shard_count(put); i++)
		count += put->shards[i].is_open && !put->shards[i].is_failed;
	return count;
}

static void fail_shard(struct put *put, struct put_shard *shard, enum err err)
{
	shard->is_failed = true;
	if (err == ERR_NO_SPACE)
		put->was_full = true;
	if (put->state != PUT_OPENING && shards_alive(put) < shards_needed(put))
		fail(put, put->was_full ? ERR_NO_SPACE : ERR_QUORUM);
}

/* --- shards: callbacks record, advance() decides ---------------------------------------------- */

static void shard_ready(struct shard_write *write, enum err err)
{
	struct put_shard *shard = CONTAINER_OF(write, struct put_shard, write);
	assert(shard->is_opening);
	shard->is_opening = false;
	shard->put->shards_in_flight--;
	if (err)
		fail_shard(shard->put, shard, err);
	else
		shard->is_open = true;
	advance(shard->put);
}

static void shard_sealed(struct shard_write *write, enum err err)
{
	struct put_shard *shard = CONTAINER_OF(write, struct put_shard, write);
	assert(shard->is_sealing);
	shard->is_sealing = false;
	shard->put->shards_in_flight--;
	if (err)
		fail_shard(shard->put, shard, err);
	else
		shard->is_sealed = true;
	advance(shard->put);
}

static void open_shard(struct put *put, unsigned index, uint16_t drive_number)
{
	struct put_shard *shard = &put->shards[index];
	memset(shard, 0, sizeof *shard);
	shard->put = put;
	shard->drive = drive_number;
	struct drive *drive = store_drive(put->setup.store->store, drive_number);
	if (!drive) {
		shard->is_failed = true;
		return;
	}
	shard->write.loop = put->setup.store->loop;
	shard->write.ready = shard_ready;
	shard->write.sealed = shard_sealed;
	struct shard_info info = {
		.extent = put->extent,
		.index = index,
		.k = put->geometry.k,
		.m = put->geometry.m,
		.unit_len = put->geometry.unit_len,
		.extent_len = put->geometry.body_len,
		.shard_len = stripe_shard_len(&put->geometry),
		.hint = {put->hint, put->hint_len},
	};
	enum err err = shard_write_open(&shard->write, drive, &info);
	if (err == ERR_BUSY) {
		shard->is_opening = true;
		put->shards_in_flight++;
	} else if (err) {
		fail_shard(put, shard, err);
	} else {
		shard->is_open = true;
	}
}

/* --- extents ---------------------------------------------------------------------------------- */

/* Chooses the code for what can be written now, and on which drive each shard goes. The first k + m
 * drives of the slot are the shards' places; when some are not there, the code is narrowed to those
 * that are, so that P1 holds all the same. */
static enum err choose_code(struct put *put, const struct ring *ring, uint64_t len, uint8_t *ret_k,
	uint8_t *ret_m, uint16_t *drives)
{
	struct ring_profile profile = ring->profile;
	if (len <= STORE_MIRROR_LEN_MAX)
		profile = ring_profile_mirror(profile);
	uint8_t k = profile.k, m = profile.m;
	struct store_loop *store = put->setup.store;
	unsigned available = 0;
	uint16_t present[CODE_UNITS_MAX];
	for (unsigned i = 0; i < ring->width; i++) {
		uint16_t number = ring_drive(ring, put->slot, i);
		if (i < (unsigned)k + m)
			drives[i] = number;
		if (store_drive(store->store, number))
			present[available++] = number;
	}
	unsigned there = 0;
	for (unsigned i = 0; i < (unsigned)k + m; i++)
		there += store_drive(store->store, drives[i]) != NULL;
	if (there < (m > 0 ? k + 1u : k)) {
		if (m == 0 || available < 2)
			return ERR_QUORUM;
		k = k < available ? k : available - 1;
		m = 1;
		memcpy(drives, present, ((size_t)k + m) * sizeof *drives);
		store->counters.narrowed++;
	}
	*ret_k = k;
	*ret_m = m;
	return ERR_OK;
}

static enum err begin_extent(struct put *put)
{
	struct store_loop *store = put->setup.store;
	uint64_t len = put->setup.len - put->extent_start;
	uint32_t len_max = store->store->extent_len_max;
	if (len_max == 0)
		len_max = EXTENT_LEN_MAX;
	if (len > len_max)
		len = len_max;
	put->extent = index_extent_id_make(store->reader);
	struct ring_snapshot *snapshot = index_ring(store->store->index);
	if (put->extent.session == 0 || !snapshot) {
		ring_snapshot_unref(snapshot);
		return ERR_UNAVAILABLE;
	}
	const struct ring *ring = ring_snapshot_ring(snapshot);
	put->slot = ring_slot(ring, put->extent);
	uint8_t k, m;
	uint16_t drives[CODE_UNITS_MAX];
	enum err err = choose_code(put, ring, len, &k, &m, drives);
	ring_snapshot_unref(snapshot);
	if (err)
		return err;

	uint32_t unit_len = UNIT_LEN;
	if (2 * (uint64_t)store->open_puts * (k + m) * UNIT_LEN > store->put_pool.limit_len)
		unit_len = UNIT_LEN_SMALL;
	bool is_geometry = stripe_geometry_init(&put->geometry, k, m, unit_len, len);
	assert(is_geometry);
	code_init(&put->code, k, m);
	put->stripe_count = stripe_count(&put->geometry);
	put->stripe_next = 0;
	put->stripes_written = 0;
	for (unsigned i = 0; i < shard_count(put); i++)
		open_shard(put, i, drives[i]);
	return ERR_OK;
}

/* Gives back the room of a shard that was opened and will not be sealed. */
static void abort_shard(struct put_shard *shard)
{
	if (shard->is_open && !shard->was_sealing)
		shard_write_abort(&shard->write);
	shard->is_open = false;
}

/* Enters the durable extent into the list that the index will get. */
static void end_extent(struct put *put)
{
	for (unsigned i = 0; i < shard_count(put); i++)
		abort_shard(&put->shards[i]); /* those that failed on the way */
	uint8_t drives[2 * CODE_UNITS_MAX];
	for (unsigned i = 0; i < shard_count(put); i++)
		put_le16(drives + 2 * i, put->shards[i].is_sealed ? put->shards[i].drive : 0);
	struct command_extent extent = {
		.extent = put->extent,
		.k = put->geometry.k,
		.m = put->geometry.m,
		.class = put->setup.storage_class,
		.unit_len = put->geometry.unit_len,
		.len = put->geometry.body_len,
		.drives = {drives, 2 * shard_count(put)},
	};
	struct fields_out out = {.data = put->extents + put->extents_len,
		.cap = sizeof put->extents - put->extents_len};
	command_extent_append(&out, &extent);
	assert(!out.is_full);
	put->extents_len += out.len;
	put->stored_len += extent.len;
	put->extent_start += extent.len;
}

/* --- stripes ---------------------------------------------------------------------------------- */

static enum pool_size unit_size(uint32_t unit_len)
{
	return unit_len <= 4096 ? POOL_4K : unit_len <= 65536 ? POOL_64K : POOL_256K;
}

/* The number of buffers that a stripe needs: with k = 1 the copies are written from one. */
static unsigned stripe_units(const struct put *put)
{
	return put->geometry.k == 1 ? 1 : shard_count(put);
}

static bool has_stripe(const struct put *put)
{
	return put->stripes[0].is_used || put->stripes[1].is_used;
}

/* Takes the buffers of the next stripe. Errors: ERR_BUSY, ERR_NO_MEMORY. */
static enum err take_stripe(struct put *put)
{
	struct put_stripe *stripe = !put->stripes[0].is_used ? &put->stripes[0] : &put->stripes[1];
	if (stripe->is_used)
		return ERR_BUSY;
	memset(stripe, 0, sizeof *stripe);
	uint32_t unit_len = stripe_unit_len(&put->geometry, put->stripe_next);
	unsigned count = stripe_units(put);
	enum err err = pool_take(
		&put->setup.store->put_pool, unit_size(unit_len), count, stripe->units);
	if (err)
		return err;
	stripe->put = put;
	stripe->is_used = true;
	stripe->unit_count = count;
	stripe->unit_len = unit_len;
	stripe->number = put->stripe_next++;
	stripe->body_len = stripe_body_len(&put->geometry, stripe->number);
	put->filling = stripe;
	return ERR_OK;
}

static void give_stripe(struct put_stripe *stripe)
{
	assert(stripe->is_used && stripe->frames_out == 0 && stripe->appends_in_flight == 0);
	for (unsigned i = 0; i < stripe->unit_count; i++)
		pool_give(&stripe->put->setup.store->put_pool, stripe->units[i]);
	stripe->is_used = false;
}

static void append_done(struct shard_append *append, enum err err)
{
	struct put_shard *shard = CONTAINER_OF(append->write, struct put_shard, write);
	struct put *put = shard->put;
	unsigned index = shard - put->shards;
	struct put_stripe *stripe = append == &put->stripes[0].appends[index] ? &put->stripes[0]
									      : &put->stripes[1];
	assert(stripe->appends_in_flight > 0);
	stripe->appends_in_flight--;
	if (err)
		fail_shard(put, shard, err);
	if (stripe->appends_in_flight == 0)
		advance(put);
}

static bool is_full(const struct put_stripe *stripe)
{
	return stripe->filled_len == stripe->body_len;
}

/* Codes a full stripe and starts to write it to the shards that are left. */
static void write_stripe(struct put *put, struct put_stripe *stripe)
{
	unsigned count = shard_count(put);
	uint64_t seeds[CODE_UNITS_MAX];
	uint64_t sums[CODE_UNITS_MAX][UNIT_LEN / BLOCK_LEN];
	uint64_t *sums_of[CODE_UNITS_MAX];
	uint32_t block = stripe_shard_offset(&put->geometry, stripe->number) / BLOCK_LEN;
	for (unsigned i = 0; i < count; i++) {
		seeds[i] = shard_checksum_seed(put->extent, i);
		sums_of[i] = sums[i];
	}
	if (put->geometry.k == 1) {
		for (unsigned i = 0; i < count; i++)
			checksum_blocks(
				stripe->units[0], stripe->unit_len, seeds[i], block, sums[i]);
	} else {
		code_encode_with_checksums(
			&put->code, stripe->units, stripe->unit_len, seeds, block, sums_of);
	}
	stripe->is_written = true;
	for (unsigned i = 0; i < count; i++) {
		struct put_shard *shard = &put->shards[i];
		if (shard->is_failed)
			continue;
		stripe->appends[i].done = append_done;
		stripe->appends_in_flight++;
		shard_write_append(&shard->write, &stripe->appends[i],
			stripe->units[put->geometry.k == 1 ? 0 : i], stripe->unit_len, sums[i],
			checksum_block_count(stripe->unit_len));
	}
}

/* Writes the stripes whose turn it is, gives back those that were written. */
static void advance_stripes(struct put *put)
{
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++) {
		struct put_stripe *stripe = &put->stripes[i];
		if (!stripe->is_used || !stripe->is_written || stripe->appends_in_flight > 0)
			continue;
		give_stripe(stripe);
	}
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++) {
		struct put_stripe *stripe = &put->stripes[i];
		if (stripe->is_used && !stripe->is_written && is_full(stripe) &&
			stripe->frames_out == 0 && stripe->number == put->stripes_written) {
			put->stripes_written++;
			write_stripe(put, stripe);
			i = -1; /* the other one may be next */
		}
	}
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool is_idle(const struct put *put)
{
	if (put->shards_in_flight > 0 || put->frees_in_flight > 0 || put->inline_frame_out)
		return false;
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++)
		if (put->stripes[i].is_used &&
			(put->stripes[i].frames_out > 0 || put->stripes[i].appends_in_flight > 0))
			return false;
	return true;
}

static void free_done(struct shard_free *shard_free, enum err err)
{
	struct put *put = shard_free->owner;
	/* A shard that could not be freed is found by the next census: nothing refers to it. */
	err_ignore(err);
	put->frees_in_flight--;
	advance(put);
}

static void free_shard(struct put *put, unsigned slot, uint16_t drive_number,
	struct extent_id extent, uint8_t index)
{
	struct drive *drive = store_drive(put->setup.store->store, drive_number);
	if (!drive)
		return;
	put->frees[slot] = (struct shard_free){.loop = put->setup.store->loop,
		.done = free_done,
		.drive = drive,
		.extent = extent,
		.index = index,
		.owner = put};
	put->frees_in_flight++;
	shard_free_start(&put->frees[slot]);
}

/* Gives back memory and open shards, and frees what is durable of the extent being written. */
static void unwind_extent(struct put *put)
{
	pool_wait_cancel(&put->setup.store->put_pool, &put->wait);
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++)
		if (put->stripes[i].is_used)
			give_stripe(&put->stripes[i]);
	pool_give(&put->setup.store->put_pool, put->inline_buf);
	put->inline_buf = NULL;
	put->filling = NULL;
	for (unsigned i = 0; i < shard_count(put); i++) {
		struct put_shard *shard = &put->shards[i];
		if (shard->is_sealed)
			free_shard(put, i, shard->drive, put->extent, i);
		else
			abort_shard(shard);
		memset(shard, 0, sizeof *shard);
	}
	put->geometry = (struct geometry){0};
}

/* Frees the shards of the next extent that was entered into the list. */
static void unwind_listed(struct put *put)
{
	struct bytes rest = {put->extents + put->unwound_len, put->extents_len - put->unwound_len};
	struct command_extent extent;
	enum err err = command_extent_next(&rest, &extent);
	assert(err == ERR_OK);
	put->unwound_len = put->extents_len - rest.len;
	for (unsigned i = 0; i < (unsigned)extent.k + extent.m; i++)
		free_shard(put, i, get_le16(extent.drives.data + 2 * i), extent.extent, i);
}

/* Unwinds step by step: the extent being written, then one listed extent after the other. */
static void advance_unwinding(struct put *put)
{
	if (!is_idle(put))
		return;
	if (!put->is_extent_unwound) {
		put->is_extent_unwound = true;
		unwind_extent(put);
	}
	while (put->frees_in_flight == 0 && put->unwound_len < put->extents_len)
		unwind_listed(put);
	if (put->frees_in_flight > 0)
		return;
	move(put, PUT_OVER);
	index_release_write(put->setup.store->reader, &put->hold);
	put->setup.store->open_puts--;
	put->magic = 0;
	if (put->is_discarded)
		put->setup.discarded(put);
	else
		put->setup.durable(put, put->err);
}

static void seal_shards(struct put *put)
{
	for (unsigned i = 0; i < shard_count(put); i++) {
		struct put_shard *shard = &put->shards[i];
		if (shard->is_failed)
			continue;
		shard->is_sealing = shard->was_sealing = true;
		put->shards_in_flight++;
		shard_write_seal(&shard->write);
	}
}

static void call_room(struct put *put)
{
	if (!put->wants_room || put->state != PUT_STREAMING)
		return;
	put->wants_room = false;
	put->setup.room(put);
}

static bool is_extent_streamed(const struct put *put)
{
	return put->stripes_written == put->stripe_count && !has_stripe(put);
}

/* An extent is durable, or it failed; says what comes next. */
static void extent_sealed(struct put *put)
{
	end_extent(put);
	if (put->extent_start == put->setup.len) {
		move(put, PUT_DURABLE);
		put->setup.durable(put, ERR_OK);
		return;
	}
	move(put, PUT_OPENING);
	enum err err = begin_extent(put);
	if (err)
		fail(put, err);
	advance_soon(put);
}

static void extent_opened(struct put *put)
{
	if (shards_alive(put) < shards_needed(put)) {
		fail(put, put->was_full ? ERR_NO_SPACE : ERR_QUORUM);
		advance_soon(put);
		return;
	}
	move(put, PUT_STREAMING);
	call_room(put);
}

static void advance(struct put *put)
{
	assert(put->magic == PUT_MAGIC);
	if (put->is_advance_posted)
		return; /* that one sees this fact too, and nothing is posted when the put ends */
	if ((put->err || put->is_discarded) && put->state != PUT_UNWINDING)
		move(put, PUT_UNWINDING);

	switch (put->state) {
	case PUT_OPENING:
		if (put->shards_in_flight == 0)
			extent_opened(put);
		return;
	case PUT_STREAMING:
		advance_stripes(put);
		if (put->err) {
			advance_soon(put);
		} else if (put->taken_len == put->setup.len &&
			put->setup.len <= STORE_INLINE_LEN_MAX) {
			if (put->inline_frame_out)
				return;
			move(put, PUT_DURABLE);
			put->setup.durable(put, ERR_OK);
		} else if (is_extent_streamed(put)) {
			move(put, PUT_SEALING);
			seal_shards(put);
		} else {
			call_room(put);
		}
		return;
	case PUT_SEALING:
		if (put->shards_in_flight > 0)
			return;
		extent_sealed(put);
		if (put->err)
			advance_soon(put);
		return;
	case PUT_UNWINDING:
		advance_unwinding(put);
		return;
	case PUT_IDLE:
	case PUT_DURABLE:
	case PUT_OVER:
		return;
	}
}

static void pool_ready(struct pool_wait *wait)
{
	struct put *put = CONTAINER_OF(wait, struct put, wait);
	assert(put->magic == PUT_MAGIC);
	call_room(put);
}

/* --- public ----------------------------------------------------------------------------------- */

static enum err start_inline(struct put *put)
{
	if (put->setup.len > 0) {
		enum err err = pool_take(&put->setup.store->put_pool, POOL_4K, 1, &put->inline_buf);
		if (err && err != ERR_BUSY)
			return err;
	}
	move(put, PUT_STREAMING);
	if (put->setup.len == 0)
		advance_soon(put);
	return ERR_OK;
}

enum err put_start(struct put *put, const struct put_setup *setup)
{
	assert(put->magic != PUT_MAGIC);
	assert(setup->room && setup->frame && setup->durable && setup->discarded);
	memset(put, 0, offsetof(struct put, stripes));
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++)
		put->stripes[i].is_used = false;
	put->magic = PUT_MAGIC;
	put->setup = *setup;
	put->advance_task.run = run_advance;
	put->wait.ready = pool_ready;
	put->hint_len = setup->hint.len < sizeof put->hint ? setup->hint.len : sizeof put->hint;
	memcpy(put->hint, setup->hint.data, put->hint_len);
	index_hold_write(setup->store->reader, &put->hold);
	setup->store->open_puts++;

	enum err err;
	if (setup->len <= STORE_INLINE_LEN_MAX) {
		err = start_inline(put);
	} else {
		move(put, PUT_OPENING);
		err = begin_extent(put);
		if (err == ERR_OK)
			advance_soon(put);
	}
	if (err) {
		index_release_write(setup->store->reader, &put->hold);
		setup->store->open_puts--;
		put->magic = 0;
	}
	return err;
}

/* No buffer now; when it is not because others have them, the put ends. */
static enum err refuse_buffer(struct put *put, enum err err)
{
	if (err != ERR_BUSY) {
		fail(put, err);
		advance_soon(put);
	}
	return err;
}

static enum err inline_buffer(struct put *put, uint8_t **ret_buf, size_t *ret_cap)
{
	struct pool *pool = &put->setup.store->put_pool;
	if (!put->inline_buf) {
		enum err err = pool_take(pool, POOL_4K, 1, &put->inline_buf);
		if (err == ERR_BUSY && !put->wait.is_waiting)
			pool_wait_start(pool, &put->wait, 4096);
		put->wants_room = err == ERR_BUSY;
		if (err)
			return refuse_buffer(put, err);
	}
	*ret_buf = put->inline_buf + put->taken_len;
	*ret_cap = put->setup.len - put->taken_len;
	return ERR_OK;
}

enum err put_buffer(struct put *put, uint8_t **ret_buf, size_t *ret_cap)
{
	assert(put->magic == PUT_MAGIC);
	if (put->err)
		return put->err;
	if (put->taken_len == put->setup.len)
		return ERR_END;
	if (put->setup.len <= STORE_INLINE_LEN_MAX)
		return inline_buffer(put, ret_buf, ret_cap);
	put->wants_room = true;
	if (put->state != PUT_STREAMING || put->wait.is_waiting)
		return ERR_BUSY;
	if (!put->filling) {
		if (put->stripe_next == put->stripe_count)
			return ERR_BUSY; /* the extent is to be sealed first */
		enum err err = take_stripe(put);
		if (err == ERR_BUSY && !has_stripe(put)) {
			size_t len = pool_buffer_len(unit_size(
					     stripe_unit_len(&put->geometry, put->stripe_next))) *
				stripe_units(put);
			pool_wait_start(&put->setup.store->put_pool, &put->wait, len);
		}
		if (err)
			return refuse_buffer(put, err);
	}
	put->wants_room = false;
	struct put_stripe *stripe = put->filling;
	uint32_t offset = stripe->filled_len % stripe->unit_len;
	uint32_t left = stripe->body_len - stripe->filled_len;
	*ret_buf = stripe->units[stripe->filled_len / stripe->unit_len] + offset;
	*ret_cap = left < stripe->unit_len - offset ? left : stripe->unit_len - offset;
	return ERR_OK;
}

/* Zeroes what no client byte fills of a stripe (I3 of erasure/stripe.h). */
static void pad_stripe(struct put *put, struct put_stripe *stripe)
{
	for (unsigned i = 0; i < put->geometry.k; i++) {
		uint32_t len = stripe_unit_body_len(&put->geometry, stripe->number, i);
		memset(stripe->units[i] + len, 0, stripe->unit_len - len);
	}
}

static void show_frame(struct put *put, struct put_stripe *stripe, unsigned unit)
{
	uint32_t start = unit * stripe->unit_len;
	struct put_frame *frame = &stripe->frames[unit];
	*frame = (struct put_frame){stripe->units[unit], stripe->filled_len - start, NULL};
	stripe->frames_out++;
	put->setup.frame(put, frame);
}

void put_filled(struct put *put, size_t len)
{
	assert(put->magic == PUT_MAGIC);
	assert(len > 0 && len <= put->setup.len - put->taken_len);
	put->taken_len += len;
	put->setup.store->counters.put_bytes += len;
	if (put->setup.len <= STORE_INLINE_LEN_MAX) {
		if (put->taken_len < put->setup.len)
			return;
		put->inline_frame = (struct put_frame){put->inline_buf, put->taken_len, NULL};
		put->inline_frame_out = true;
		put->setup.frame(put, &put->inline_frame);
		return;
	}
	struct put_stripe *stripe = put->filling;
	assert(stripe && len <= stripe->body_len - stripe->filled_len);
	unsigned unit = stripe->filled_len / stripe->unit_len;
	stripe->filled_len += len;
	if (is_full(stripe)) {
		pad_stripe(put, stripe);
		put->filling = NULL;
	}
	if (is_full(stripe) || stripe->filled_len % stripe->unit_len == 0)
		show_frame(put, stripe, unit);
}

void put_frame_done(struct put *put, struct put_frame *frame)
{
	assert(put->magic == PUT_MAGIC);
	if (frame == &put->inline_frame) {
		assert(put->inline_frame_out);
		put->inline_frame_out = false;
		advance_soon(put);
		return;
	}
	struct put_stripe *stripe = &put->stripes[frame >= put->stripes[1].frames];
	assert(stripe->is_used && stripe->frames_out > 0);
	stripe->frames_out--;
	if (stripe->frames_out == 0)
		advance_soon(put);
}

void put_discard(struct put *put)
{
	assert(put->magic == PUT_MAGIC);
	assert(!put->is_discarded);
	put->is_discarded = true;
	advance_soon(put);
}

void put_body(const struct put *put, struct command_body *body)
{
	assert(put->magic == PUT_MAGIC && put->state == PUT_DURABLE);
	body->len = put->setup.len;
	if (put->setup.len <= STORE_INLINE_LEN_MAX) {
		body->inline_data = bytes_make(put->inline_buf, put->setup.len);
		return;
	}
	body->stored_len = put->stored_len;
	body->extents = bytes_make(put->extents, put->extents_len);
}

void put_fini(struct put *put)
{
	assert(put->magic == PUT_MAGIC);
	assert(put->state == PUT_DURABLE && !put->is_discarded && is_idle(put));
	pool_give(&put->setup.store->put_pool, put->inline_buf);
	index_release_write(put->setup.store->reader, &put->hold);
	put->setup.store->open_puts--;
	put->setup.store->counters.puts++;
	move(put, PUT_OVER);
	put->magic = 0;
}
