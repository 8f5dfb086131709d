/* SPDX-License-Identifier: Apache-2.0 */
/* One body on its way to the drives.
 *
 *	OPENING → STREAMING → SEALING → (the next extent, or this one anew: OPENING) … → DURABLE
 *	                         ↓ too few shards  ↑
 *	                      RESCUING ────────────┘
 *
 * (after the last extent that was announced WAITING, until more is or nothing (U6))
 *
 * and from each of these to UNWINDING, when too few shards are left or the owner does not want the
 * body any more: what is in flight is awaited, open shards are aborted, sealed ones freed.
 *
 * Memory: the units of a stripe are taken together and given back together; who has none waits in
 * the pool's line, who has one takes a second only if it need not wait (U2). With k = 1 all shards
 * are written from the one unit.
 */
#include <assert.h>
#include <string.h>

#include "storage/object/put_priv.h"

static const char *const state_names[] = {
	[PUT_IDLE] = "idle",
	[PUT_OPENING] = "opening",
	[PUT_STREAMING] = "streaming",
	[PUT_SEALING] = "sealing",
	[PUT_RESCUING] = "rescuing",
	[PUT_WAITING] = "waiting",
	[PUT_DURABLE] = "durable",
	[PUT_UNWINDING] = "unwinding",
	[PUT_OVER] = "over",
};

static const unsigned allowed_moves[] = {
	[PUT_IDLE] = 1 << PUT_OPENING | 1 << PUT_STREAMING | 1 << PUT_DURABLE,
	[PUT_OPENING] = 1 << PUT_STREAMING | 1 << PUT_UNWINDING,
	[PUT_STREAMING] = 1 << PUT_OPENING | 1 << PUT_SEALING | 1 << PUT_DURABLE |
		1 << PUT_UNWINDING,
	[PUT_SEALING] = 1 << PUT_OPENING | 1 << PUT_DURABLE | 1 << PUT_RESCUING | 1 << PUT_WAITING |
		1 << PUT_UNWINDING,
	[PUT_RESCUING] = 1 << PUT_OPENING | 1 << PUT_DURABLE | 1 << PUT_WAITING |
		1 << PUT_UNWINDING,
	[PUT_WAITING] = 1 << PUT_OPENING | 1 << PUT_DURABLE | 1 << PUT_UNWINDING,
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
	put_advance(put);
}

void put_advance_soon(struct put *put)
{
	if (put->is_advance_posted)
		return;
	put->is_advance_posted = true;
	loop_post(put->setup.store->loop, &put->advance_task);
}

void put_fail(struct put *put, enum err err)
{
	if (put->err == ERR_OK)
		put->err = err;
}

static unsigned shards_alive(const struct put *put)
{
	unsigned count = 0;
	for (unsigned i = 0; i < put_shard_count(put); i++)
		count += put->shards[i].is_open && !put->shards[i].is_failed;
	return count;
}

/* Are there enough shards to read it back from? */
static bool may_be_rescued(const struct put *put)
{
	return !put->setup.is_rescue && !put->setup.must_fit && put->geometry.m > 0 &&
		put->geometry.body_len > STORE_INLINE_LEN_MAX &&
		shards_alive(put) >= put->geometry.k;
}

void put_fail_shard(struct put *put, struct put_shard *shard, enum err err)
{
	shard->is_failed = true;
	put->was_full |= err == ERR_NO_SPACE;
	bool is_ours = put->state == PUT_UNWINDING || (put->is_short && err == ERR_CANCELED);
	if (err != ERR_REFUSED && !is_ours) /* not what the put itself gave up */
		put_extent_avoid(put, shard->drive);
	if (put->state == PUT_OPENING || shards_alive(put) >= put_shards_needed(put))
		return;
	if (put_may_try_again(put))
		put->is_short = true;
	else if (may_be_rescued(put))
		put->is_weak = true;
	else
		put_fail(put, put->was_full ? ERR_NO_SPACE : ERR_QUORUM);
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool is_idle(const struct put *put)
{
	if (put->shards_in_flight > 0 || put->frees_in_flight > 0 || put->inline_frame_out ||
		put->rescue)
		return false;
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++)
		if (put->stripes[i].is_used &&
			(put->stripes[i].frames_out > 0 || put->stripes[i].appends_in_flight > 0))
			return false;
	return true;
}

/* Gives back memory and shards of the extent being written. */
static void unwind_extent(struct put *put)
{
	pool_wait_cancel(&put->setup.store->put_pool, &put->wait);
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++)
		if (put->stripes[i].is_used)
			put_stripe_give(&put->stripes[i]);
	pool_give(&put->setup.store->put_pool, put->inline_buf);
	put->inline_buf = NULL;
	put->filling = NULL;
	put_free_written(put, true);
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
		put_free_shard(put, i, get_le16(extent.drives.data + 2 * i), extent.extent, i);
}

/* Unwinds step by step: the extent being written, then one listed extent after the other. */
static void advance_unwinding(struct put *put)
{
	if (put->rescue && !put_rescue_end(put))
		return;
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
	timer_cancel(put->setup.store->loop, &put->late);
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
	for (unsigned i = 0; i < put_shard_count(put); i++) {
		struct put_shard *shard = &put->shards[i];
		if (shard->is_failed || shard->was_sealing)
			continue;
		shard->is_sealing = shard->was_sealing = true;
		put->shards_in_flight++;
		site_write_seal(&shard->write);
	}
	put->step_ms = loop_now_ms(put->setup.store->loop);
	put->allowed_ms = 0;
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
	return put->stripes_written == put->stripe_count && !put_stripe_is_writing(put);
}

static void begin_extent(struct put *put)
{
	move(put, PUT_OPENING);
	enum err err = put_extent_begin(put);
	if (err)
		put_fail(put, err);
	put_advance_soon(put);
}

/* The extent is in the list; says what comes next. */
static void extent_ended(struct put *put)
{
	put->is_weak = false;
	put->tries = 0;
	put->kept = NULL;
	put_stripe_settle(put);
	if (put->extent_start < put->setup.len) {
		begin_extent(put);
	} else if (put->setup.is_open) {
		move(put, PUT_WAITING);
	} else {
		move(put, PUT_DURABLE);
		put->setup.durable(put, ERR_OK);
	}
}

/* All shards that are left are durable: enough, or it has to be rescued. */
static void extent_sealed(struct put *put)
{
	timer_cancel(put->setup.store->loop, &put->late);
	if (!put->is_weak) {
		put_extent_end(put);
		extent_ended(put);
		return;
	}
	put_stripe_settle(put);
	move(put, PUT_RESCUING);
	enum err err = put_rescue_begin(put);
	if (err)
		put_fail(put, err);
}

/* What was written first is freed when the new extent is there. */
static void advance_rescue(struct put *put)
{
	if (put->rescue) {
		if (!put_rescue_end(put))
			return;
		if (put->err) {
			put_advance_soon(put);
			return;
		}
		put_free_written(put, true);
	}
	if (put->frees_in_flight == 0)
		extent_ended(put);
}

/* Begins the extent anew, without those that failed. */
static void try_again(struct put *put)
{
	put->tries++;
	put->is_short = false;
	put_free_written(put, false);
	if (put->kept)
		put->kept->is_written = false;
	if (put->state != PUT_OPENING)
		move(put, PUT_OPENING);
	enum err err = put_extent_begin(put);
	if (err)
		put_fail(put, err);
	put_advance_soon(put);
}

static void extent_opened(struct put *put)
{
	timer_cancel(put->setup.store->loop, &put->late);
	if (shards_alive(put) >= put_shards_needed(put)) {
		move(put, PUT_STREAMING);
		put_stripe_advance(put);
		call_room(put);
	} else if (put_may_try_again(put)) {
		try_again(put);
	} else {
		put_fail(put, put->was_full ? ERR_NO_SPACE : ERR_QUORUM);
		put_advance_soon(put);
	}
}

/* The extent is to be written anew, as soon as nothing of it is in flight. */
static void advance_short(struct put *put)
{
	if (put->shards_in_flight == 0 && !put_stripe_is_writing(put))
		try_again(put);
	else
		put_extent_cancel(put);
}

void put_advance(struct put *put)
{
	assert(put->magic == PUT_MAGIC);
	if (put->is_advance_posted)
		return; /* that one sees this fact too, and nothing is posted when the put ends */
	put_stripe_settle(put);
	if ((put->err || put->is_discarded) && put->state != PUT_UNWINDING) {
		move(put, PUT_UNWINDING);
		put->kept = NULL;
		put_extent_cancel(put);
		put_rescue_cancel(put);
	} else if (put->is_short && put->state != PUT_UNWINDING) {
		advance_short(put);
		return;
	}

	switch (put->state) {
	case PUT_OPENING:
		if (put->shards_in_flight == 0)
			extent_opened(put);
		return;
	case PUT_STREAMING:
		put_stripe_advance(put);
		if (put->err) {
			put_advance_soon(put);
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
			put_advance_soon(put);
		return;
	case PUT_RESCUING:
		advance_rescue(put);
		return;
	case PUT_UNWINDING:
		advance_unwinding(put);
		return;
	case PUT_WAITING:
		if (put->setup.is_open)
			return;
		move(put, PUT_DURABLE);
		put->setup.durable(put, ERR_OK);
		return;
	case PUT_IDLE:
	case PUT_DURABLE:
	case PUT_OVER:
		return;
	}
}

static void late_fired(struct timer *timer)
{
	struct put *put = CONTAINER_OF(timer, struct put, late);
	assert(put->magic == PUT_MAGIC);
	put_extent_watch(put);
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
		put_advance_soon(put);
	return ERR_OK;
}

enum err put_start(struct put *put, const struct put_setup *setup)
{
	assert(put->magic != PUT_MAGIC);
	assert(setup->room && setup->frame && setup->durable && setup->discarded);
	assert(!setup->is_open || setup->len > STORE_INLINE_LEN_MAX);
	memset(put, 0, offsetof(struct put, stripes));
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++)
		put->stripes[i].is_used = false;
	put->magic = PUT_MAGIC;
	put->setup = *setup;
	put->advance_task.run = run_advance;
	put->wait.ready = pool_ready;
	put->late.fire = late_fired;
	put->hint_len = setup->hint.len < sizeof put->hint ? setup->hint.len : sizeof put->hint;
	memcpy(put->hint, setup->hint.data, put->hint_len);
	index_hold_write(setup->store->reader, &put->hold);
	setup->store->open_puts++;

	enum err err;
	if (setup->len <= STORE_INLINE_LEN_MAX) {
		err = start_inline(put);
	} else {
		move(put, PUT_OPENING);
		err = put_extent_begin(put);
		if (err == ERR_OK)
			put_advance_soon(put);
	}
	if (err) {
		index_release_write(setup->store->reader, &put->hold);
		setup->store->open_puts--;
		put->magic = 0;
	}
	return err;
}

void put_extend(struct put *put, uint64_t len)
{
	assert(put->magic == PUT_MAGIC);
	assert(put->setup.is_open && len > 0);
	put->setup.len += len;
	if (put->state == PUT_WAITING && !put->err && !put->is_discarded)
		begin_extent(put);
}

void put_close(struct put *put)
{
	assert(put->magic == PUT_MAGIC);
	assert(put->setup.is_open);
	put->setup.is_open = false;
	put_advance_soon(put);
}

void put_discard(struct put *put)
{
	assert(put->magic == PUT_MAGIC);
	assert(!put->is_discarded);
	put->is_discarded = true;
	put_advance_soon(put);
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
