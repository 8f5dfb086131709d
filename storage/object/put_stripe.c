/* SPDX-License-Identifier: Apache-2.0 */
/* The stripes of a put: the memory they are filled in, their coding and their way to the shards.
 * Stripes are written in their order, each when it is full; the owner may have its frames for
 * longer, and has them still when the extent is sealed. The memory is given back when both are
 * done; that of a single stripe of copies, when its extent is durable. */
#include <assert.h>

#include "erasure/checksum.h"
#include "storage/object/put_priv.h"

unsigned put_stripe_units(const struct put *put)
{
	return put->geometry.k == 1 ? 1 : put_shard_count(put);
}

bool put_stripe_is_any(const struct put *put)
{
	return put->stripes[0].is_used || put->stripes[1].is_used;
}

bool put_stripe_is_writing(const struct put *put)
{
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++)
		if (put->stripes[i].is_used && put->stripes[i].appends_in_flight > 0)
			return true;
	return false;
}

enum err put_stripe_take(struct put *put)
{
	struct put_stripe *stripe = !put->stripes[0].is_used ? &put->stripes[0] : &put->stripes[1];
	if (stripe->is_used)
		return ERR_BUSY;
	memset(stripe, 0, offsetof(struct put_stripe, appends));
	uint32_t unit_len = stripe_unit_len(&put->geometry, put->stripe_next);
	unsigned count = put_stripe_units(put);
	enum err err = pool_take(
		&put->setup.store->put_pool, put_stripe_pool_size(unit_len), count, stripe->units);
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

void put_stripe_give(struct put_stripe *stripe)
{
	assert(stripe->is_used && stripe->frames_out == 0);
	assert(stripe->appends_in_flight == 0 && stripe->copies_in_flight == 0);
	for (unsigned i = 0; i < stripe->unit_count; i++)
		pool_give(&stripe->put->setup.store->put_pool, stripe->units[i]);
	stripe->is_used = false;
}

void put_stripe_pad(struct put_stripe *stripe)
{
	const struct geometry *geometry = &stripe->put->geometry;
	for (unsigned i = 0; i < geometry->k; i++) {
		uint32_t len = stripe_unit_body_len(geometry, stripe->number, i);
		memset(stripe->units[i] + len, 0, stripe->unit_len - len);
	}
}

void put_stripe_show(struct put_stripe *stripe, unsigned unit)
{
	uint32_t start = unit * stripe->unit_len;
	struct put_frame *frame = &stripe->frames[unit];
	*frame = (struct put_frame){stripe->units[unit], stripe->filled_len - start, NULL};
	stripe->frames_out++;
	stripe->put->setup.frame(stripe->put, frame);
}

static void append_done(struct site_append *append, enum err err)
{
	struct put_shard *shard = CONTAINER_OF(append->write, struct put_shard, write);
	struct put *put = shard->put;
	unsigned index = shard - put->shards;
	struct put_stripe *stripe = append == &put->stripes[0].appends[index] ? &put->stripes[0]
									      : &put->stripes[1];
	assert(stripe->appends_in_flight > 0);
	stripe->appends_in_flight--;
	stripe->appending &= ~(1u << index);
	if (err)
		put_fail_shard(put, shard, err);
	if (put->has_remote)
		put_extent_watch(put);
	if (stripe->appends_in_flight == 0)
		put_advance(put);
}

/* Codes a full stripe and starts to write it to the shards that are left. */
static void write_stripe(struct put *put, struct put_stripe *stripe)
{
	unsigned count = put_shard_count(put);
	assert(stripe->unit_count == put_stripe_units(put));
	assert(stripe->body_len == stripe_body_len(&put->geometry, stripe->number));
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
	stripe->allowed_ms = 0;
	if (put->has_remote && put->geometry.k == 1 && put->stripe_count == 1)
		put->kept = stripe;
	stripe->written_ms = loop_now_ms(put->setup.store->loop);
	for (unsigned i = 0; i < count; i++) {
		struct put_shard *shard = &put->shards[i];
		if (shard->is_whole && !shard->is_failed)
			put_extent_write_whole(put, i, stripe, sums[i]);
		if (shard->is_whole || shard->is_failed)
			continue;
		stripe->appends[i] = (struct site_append){.done = append_done};
		stripe->appends_in_flight++;
		stripe->appending |= 1u << i;
		site_write_append(&shard->write, &stripe->appends[i],
			stripe->units[put->geometry.k == 1 ? 0 : i], stripe->unit_len, sums[i],
			checksum_block_count(stripe->unit_len));
	}
}

void put_stripe_settle(struct put *put)
{
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++) {
		struct put_stripe *stripe = &put->stripes[i];
		if (stripe->is_used && stripe->is_written && stripe->appends_in_flight == 0 &&
			stripe->copies_in_flight == 0 && stripe->frames_out == 0 &&
			stripe != put->kept)
			put_stripe_give(stripe);
	}
}

void put_stripe_advance(struct put *put)
{
	for (unsigned i = 0; i < PUT_STRIPES_MAX; i++) {
		struct put_stripe *stripe = &put->stripes[i];
		if (stripe->is_used && !stripe->is_written && put_stripe_is_full(stripe) &&
			stripe->number == put->stripes_written) {
			put->stripes_written++;
			write_stripe(put, stripe);
			i = -1; /* the other one may be next */
		}
	}
}
