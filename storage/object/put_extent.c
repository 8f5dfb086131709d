/* SPDX-License-Identifier: Apache-2.0 */
/* One extent of a put: which code it gets, the opening and sealing of its shards, and its line in
 * the list of what is durable. Callbacks record, put_advance() decides. */
#include <assert.h>
#include <string.h>

#include "erasure/checksum.h"
#include "storage/object/hint.h"
#include "storage/object/put_priv.h"
#include "storage/shard/owed.h"

static void shard_ready(struct site_write *write, enum err err)
{
	struct put_shard *shard = CONTAINER_OF(write, struct put_shard, write);
	assert(shard->is_opening);
	shard->is_opening = false;
	shard->put->shards_in_flight--;
	if (err)
		put_fail_shard(shard->put, shard, err);
	else
		shard->is_open = true;
	put_extent_watch(shard->put);
	put_advance(shard->put);
}

static void shard_sealed(struct site_write *write, enum err err)
{
	struct put_shard *shard = CONTAINER_OF(write, struct put_shard, write);
	assert(shard->is_sealing);
	shard->is_sealing = false;
	shard->put->shards_in_flight--;
	if (err)
		put_fail_shard(shard->put, shard, err);
	else
		shard->is_sealed = true;
	put_extent_watch(shard->put);
	put_advance(shard->put);
}

void put_extent_avoid(struct put *put, uint16_t drive_number)
{
	if (put->failed_count < CODE_UNITS_MAX)
		put->failed[put->failed_count++] = drive_number;
	reach_failed(put->setup.store, drive_number);
}

static void copy_done(struct site_whole *whole, enum err err)
{
	struct put_copy *copy = CONTAINER_OF(whole, struct put_copy, whole);
	struct put *put = copy->stripe->put;
	copy->stripe->copies_in_flight--;
	shard_sealed(&put->shards[copy - put->copies].write, err);
}

static struct shard_info describe(const struct put *put, unsigned index)
{
	return (struct shard_info){
		.extent = put->extent,
		.index = index,
		.k = put->geometry.k,
		.m = put->geometry.m,
		.unit_len = put->geometry.unit_len,
		.extent_len = put->geometry.body_len,
		.shard_len = stripe_shard_len(&put->geometry),
		.hint = {put->hint, put->hint_len},
	};
}

void put_extent_write_whole(
	struct put *put, unsigned index, struct put_stripe *stripe, const uint64_t *sums)
{
	struct put_shard *shard = &put->shards[index];
	struct put_copy *copy = &put->copies[index];
	struct shard_info info = describe(put, index);
	struct site site;
	reach_find(put->setup.store, shard->drive, &site);
	if (!site_is_there(&site)) {
		put_fail_shard(put, shard, ERR_UNAVAILABLE);
		put_advance_soon(put);
		return;
	}
	shard->is_sealing = shard->was_sealing = true;
	put->shards_in_flight++;
	stripe->copies_in_flight++;
	copy->stripe = stripe;
	copy->whole.loop = put->setup.store->loop;
	copy->whole.done = copy_done;
	site_whole_start(&copy->whole, &site, &info, stripe->units[0], sums,
		checksum_block_count(info.shard_len));
}

/* Is it worth to wait with the open until all bytes are there? Then one call does it all. */
static bool is_short_copy(const struct put *put)
{
	return put->geometry.k == 1 && put->stripe_count == 1 &&
		stripe_shard_len(&put->geometry) <= SHARD_WHOLE_LEN_MAX;
}

/* Would the put rather do without the drive? Because that failed it before, or, if it is of another
 * node, others of late. */
static bool is_unwanted(struct put *put, uint16_t number)
{
	if (put->choice == PUT_CHOOSES_ANY)
		return false;
	for (unsigned i = 0; i < put->failed_count; i++)
		if (put->failed[i] == number)
			return true;
	return put->choice == PUT_CHOOSES_SOUND && reach_is_avoided(put->setup.store, number);
}

static void open_shard(struct put *put, unsigned index, uint16_t drive_number)
{
	struct put_shard *shard = &put->shards[index];
	memset(shard, 0, sizeof *shard);
	shard->put = put;
	shard->drive = drive_number;
	struct site site;
	reach_find(put->setup.store, drive_number, &site);
	if (!site_is_there(&site) || is_unwanted(put, drive_number)) {
		shard->is_failed = true;
		return;
	}
	put->has_remote |= site_is_remote(&site);
	if (site_is_remote(&site) && is_short_copy(put)) {
		shard->is_whole = shard->is_open = true;
		return;
	}
	shard->write.loop = put->setup.store->loop;
	shard->write.ready = shard_ready;
	shard->write.sealed = shard_sealed;
	struct shard_info info = describe(put, index);
	enum err err = site_write_open(&shard->write, &site, &info);
	if (err == ERR_BUSY) {
		shard->is_opening = true;
		put->shards_in_flight++;
	} else if (err) {
		put_fail_shard(put, shard, err);
	} else {
		shard->is_open = true;
	}
}

/* What records of the extent say of the body: with its place there. */
static void write_hint(struct put *put)
{
	struct hint_place place = {
		.is_packed = put->setup.is_packed,
		.first = put->first_counter,
		.offset = put->extent_start,
		.len = put->setup.len,
		.upload = put->setup.upload,
		.part = put->setup.part,
	};
	if (!put->setup.is_rescue && put->setup.hint.len <= sizeof put->hint)
		put->hint_len = hint_add_place(
			put->hint, put->setup.hint.len, sizeof put->hint, &place);
}

static bool is_available(struct put *put, uint16_t number)
{
	struct site site;
	reach_find(put->setup.store, number, &site);
	return site_is_there(&site) && !is_unwanted(put, number);
}

/* The drives of a slot that can be written to. */
struct choice {
	uint16_t drives[RING_WIDTH_MAX]; /* by position; where the shard of that number belongs */
	bool is_there[RING_WIDTH_MAX];
	unsigned width, available;
};

static void look_at_drives(
	struct put *put, const struct ring_snapshot *snapshot, struct choice *ret_choice)
{
	*ret_choice = (struct choice){.width = ring_snapshot_ring(snapshot)->width};
	for (unsigned i = 0; i < ret_choice->width; i++) {
		uint16_t number = ring_snapshot_goal(snapshot, put->slot, i);
		if (number == 0)
			number = ring_snapshot_leaving(snapshot, put->slot, i);
		ret_choice->drives[i] = number;
		ret_choice->is_there[i] = is_available(put, number);
		ret_choice->available += ret_choice->is_there[i];
	}
}

/* Shards whose place is there go to it, the others to drives of the slot that are left over. */
static void place_shards(const struct choice *choice, unsigned shard_count, uint16_t *drives)
{
	bool is_taken[RING_WIDTH_MAX] = {0};
	for (unsigned i = 0; i < shard_count; i++)
		is_taken[i] = choice->is_there[i];
	for (unsigned i = 0, next = 0; i < shard_count; i++) {
		drives[i] = choice->drives[i];
		if (choice->is_there[i])
			continue;
		while (next < choice->width && (is_taken[next] || !choice->is_there[next]))
			next++;
		assert(next < choice->width);
		drives[i] = choice->drives[next++];
	}
}

/* Chooses the code for what can be written now, and on which drive each shard goes. The first k + m
 * drives of the slot are the shards' places, or where these move to; when some are not there, the
 * code is narrowed to those that are, so that P1 holds all the same. What is begun anew from a
 * stripe in memory stays copies: meanwhile drives may have come back, or the ring have another
 * profile, but the stripe is one unit. */
static enum err choose_code(struct put *put, const struct ring_snapshot *snapshot, uint64_t len,
	struct ring_profile *ret_profile, uint16_t *drives)
{
	struct ring_profile usual = ring_profile_of_len(ring_snapshot_profile(snapshot), len);
	struct ring_profile wanted = put->kept ? ring_profile_mirror(usual) : usual;
	struct ring_profile profile = wanted;
	struct choice choice;
	unsigned there = 0;
	look_at_drives(put, snapshot, &choice);
	assert(wanted.k + wanted.m <= choice.width);
	for (unsigned i = 0; i < (unsigned)wanted.k + wanted.m; i++)
		there += choice.is_there[i];
	bool is_placed = there >= (wanted.m > 0 ? wanted.k + 1u : wanted.k);
	if (!is_placed && choice.available < (wanted.m > 0 ? 2 : wanted.k))
		return ERR_QUORUM;
	if (!is_placed && wanted.m > 0) {
		profile.k = wanted.k < choice.available ? wanted.k : choice.available - 1;
		profile.m = 1;
	}
	if (put->setup.must_fit && !ring_profile_is_equal(profile, usual))
		return ERR_QUORUM;
	if (is_placed)
		memcpy(drives, choice.drives, ((size_t)profile.k + profile.m) * sizeof *drives);
	else
		place_shards(&choice, (unsigned)profile.k + profile.m, drives);
	put->setup.store->counters.narrowed += !is_placed || !ring_profile_is_equal(profile, usual);
	*ret_profile = profile;
	return ERR_OK;
}

enum err put_extent_begin(struct put *put)
{
	struct store_loop *store = put->setup.store;
	/* More may have been announced since (U6), but what is kept is the old length. */
	uint64_t len = put->kept ? put->geometry.body_len : put->setup.len - put->extent_start;
	if (sizeof put->extents - put->extents_len < PUT_EXTENT_LEN_MAX)
		return ERR_LIMIT;
	uint32_t len_max = store->store->extent_len_max;
	if (len_max == 0)
		len_max = EXTENT_LEN_MAX;
	if (len > len_max)
		len = len_max;
	put->extent = index_extent_id_make(store->reader);
	struct ring_snapshot *snapshot = index_ring(store->store->index);
	bool is_closed = put->extents_len > 0 && put->extent.session != put->session;
	put->session = put->extent.session;
	if (put->first_counter == 0)
		put->first_counter = put->extent.counter;
	if (put->extent.session == 0 || !snapshot || is_closed) {
		ring_snapshot_unref(snapshot);
		return ERR_UNAVAILABLE;
	}
	put->slot = ring_slot(ring_snapshot_ring(snapshot), put->extent);
	struct ring_profile profile;
	uint16_t drives[CODE_UNITS_MAX];
	put->choice = PUT_CHOOSES_SOUND;
	enum err err = choose_code(put, snapshot, len, &profile, drives);
	while (err == ERR_QUORUM && put->choice < PUT_CHOOSES_ANY) {
		put->choice++; /* those that are better left alone, rather than too few */
		err = choose_code(put, snapshot, len, &profile, drives);
	}
	ring_snapshot_unref(snapshot);
	if (err)
		return err;

	uint8_t k = profile.k, m = profile.m;
	uint32_t unit_len = UNIT_LEN;
	if (put->kept)
		unit_len = put->geometry.unit_len;
	else if (2 * (uint64_t)store->open_puts * (k + m) * UNIT_LEN > store->put_pool.limit_len)
		unit_len = UNIT_LEN_SMALL;
	bool is_geometry = stripe_geometry_init(&put->geometry, k, m, unit_len, len);
	assert(is_geometry);
	code_init(&put->code, k, m);
	put->stripe_count = stripe_count(&put->geometry);
	put->stripe_next = put->kept ? 1 : 0;
	put->stripes_written = 0;
	put->has_remote = false;
	put->step_ms = loop_now_ms(store->loop);
	put->allowed_ms = 0;
	write_hint(put);
	for (unsigned i = 0; i < put_shard_count(put); i++)
		open_shard(put, i, drives[i]);
	return ERR_OK;
}

void put_extent_abort_shard(struct put_shard *shard)
{
	if (shard->is_open && !shard->was_sealing && !shard->is_whole)
		site_write_abort(&shard->write);
	shard->is_open = false;
}

/* --- (U5) ------------------------------------------------------------------------------------- */

static void cancel_shards(struct put *put, uint32_t shards)
{
	for (unsigned i = 0; i < put_shard_count(put); i++) {
		if (!(shards & 1u << i))
			continue;
		struct put_shard *shard = &put->shards[i];
		if (shard->is_whole && shard->is_sealing)
			site_whole_cancel(&put->copies[i].whole);
		else if (shard->is_opening || shard->is_sealing)
			site_write_cancel(&shard->write);
		for (unsigned j = 0; j < PUT_STRIPES_MAX; j++)
			if (put->stripes[j].is_used && put->stripes[j].appending & 1u << i)
				site_append_cancel(&put->stripes[j].appends[i]);
	}
}

void put_extent_cancel(struct put *put)
{
	if (put->has_remote)
		cancel_shards(put, UINT32_MAX);
}

/* A step that began at start_ms: is it time to give up those that are still in flight? */
static void judge_step(struct put *put, bool is_enough, uint32_t in_flight, uint64_t start_ms,
	uint64_t *allowed_ms)
{
	if (in_flight == 0 || !is_enough)
		return;
	uint64_t took_ms = loop_now_ms(put->setup.store->loop) - start_ms;
	if (*allowed_ms == 0) {
		*allowed_ms = PUT_LATE_FACTOR * took_ms;
		if (*allowed_ms < PUT_LATE_MS_MIN)
			*allowed_ms = PUT_LATE_MS_MIN;
	}
	if (took_ms >= *allowed_ms)
		cancel_shards(put, in_flight);
	else if (!put->late.is_set)
		timer_set(put->setup.store->loop, &put->late, *allowed_ms - took_ms);
}

void put_extent_watch(struct put *put)
{
	if (!put->has_remote || put->state == PUT_UNWINDING)
		return;
	unsigned done_count = 0;
	uint32_t in_flight = 0, alive = 0;
	for (unsigned i = 0; i < put_shard_count(put); i++) {
		const struct put_shard *shard = &put->shards[i];
		if (shard->is_opening || shard->is_sealing)
			in_flight |= 1u << i;
		if (shard->is_open && !shard->is_failed)
			alive |= 1u << i;
		done_count += put->state == PUT_SEALING ? shard->is_sealed : shard->is_open;
	}
	unsigned enough = put_may_try_again(put) ? 1 : put_shards_needed(put);
	if (put->state == PUT_OPENING || put->state == PUT_SEALING)
		judge_step(put, done_count >= enough, in_flight, put->step_ms, &put->allowed_ms);
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++) {
		struct put_stripe *stripe = &put->stripes[i];
		unsigned written_count = __builtin_popcount(alive & ~stripe->appending);
		if (stripe->is_used && stripe->is_written)
			judge_step(put, written_count >= enough, stripe->appending,
				stripe->written_ms, &stripe->allowed_ms);
	}
}

/* --- its end ---------------------------------------------------------------------------------- */

void put_extent_free_late(struct put *put, unsigned index)
{
	struct store_loop *store = put->setup.store;
	struct site site;
	reach_find(store, put->shards[index].drive, &site);
	if (!store->owed || !site_is_there(&site) ||
		!owed_take(store->owed, &site, put->extent, index))
		reach_missed(store, put->shards[index].drive);
}

void put_extent_end(struct put *put)
{
	for (unsigned i = 0; i < put_shard_count(put); i++) {
		const struct put_shard *shard = &put->shards[i];
		put_extent_abort_shard(&put->shards[i]); /* those that failed on the way */
		if (shard->was_sealing && !shard->is_sealed)
			put_extent_free_late(put, i); /* it may become durable yet */
	}
	uint8_t drives[2 * CODE_UNITS_MAX];
	for (unsigned i = 0; i < put_shard_count(put); i++)
		put_le16(drives + 2 * i, put->shards[i].is_sealed ? put->shards[i].drive : 0);
	struct command_extent extent = {
		.extent = put->extent,
		.k = put->geometry.k,
		.m = put->geometry.m,
		.class = put->setup.storage_class,
		.unit_len = put->geometry.unit_len,
		.len = put->geometry.body_len,
		.drives = {drives, 2 * put_shard_count(put)},
	};
	struct fields_out out = {.data = put->extents + put->extents_len,
		.cap = sizeof put->extents - put->extents_len};
	command_extent_append(&out, &extent);
	assert(!out.is_full);
	put->extents_len += out.len;
	put->stored_len += extent.len;
	put->extent_start += extent.len;
}
