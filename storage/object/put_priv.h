/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_PUT_PRIV_H
#define STORAGE_OBJECT_PUT_PRIV_H

#include "storage/object/put.h"

#define PUT_MAGIC 0x70757421u

/* What the files of put share: put.c decides, put_extent.c opens shards and enters extents into the
 * list, put_stripe.c codes and writes stripes. Those two record facts and call put_advance(). */

static inline unsigned put_shard_count(const struct put *put)
{
	return put->geometry.k + put->geometry.m;
}

/* Looks at the facts and goes as far as they allow. */
void put_advance(struct put *put);
void put_advance_soon(struct put *put);

/* It cannot be done; the first reason counts. */
void put_fail(struct put *put, enum err err);

/* How many shards make an extent durable (P1). */
static inline unsigned put_shards_needed(const struct put *put)
{
	return put->geometry.m > 0 ? put->geometry.k + 1u : put->geometry.k;
}

/* A shard is given up; too few of them fail the put. */
void put_fail_shard(struct put *put, struct put_shard *shard, enum err err);

/* Chooses code and drives for what is left of the body, at most an extent, and opens its shards; an
 * extent that is begun anew from the stripe in memory is as long as it was.
 * Errors: ERR_UNAVAILABLE, no session; ERR_QUORUM, too few drives; ERR_LIMIT, too many extents. */
MUST_USE enum err put_extent_begin(struct put *put);

/* May the extent be begun anew if it fails as it is? */
static inline bool put_may_try_again(const struct put *put)
{
	return (put->has_remote || put->was_full) && put->tries + 1 < PUT_TRIES_MAX &&
		(put->state == PUT_OPENING || put->kept);
}

/* A drive failed the put: its next tries, and other puts for a while, are better without it. */
void put_extent_avoid(struct put *put, uint16_t drive_number);

/* Does not wait any longer for what is in flight to other nodes. */
void put_extent_cancel(struct put *put);

/* (U5): looks whether shards are late, or when they would be. */
void put_extent_watch(struct put *put);

/* Writes a copy of the stripe to another node by one call. */
void put_extent_write_whole(
	struct put *put, unsigned index, struct put_stripe *stripe, const uint64_t *sums);

/* Gives back the room of a shard that was opened and will not be sealed. */
void put_extent_abort_shard(struct put_shard *shard);

/* Has a shard freed that is or may be durable and that the index will not know; nobody waits for
 * it. */
void put_extent_free_late(struct put *put, unsigned index);

/* Has a shard freed, and counts it in flight; `slot` is which of the put's frees that takes. */
void put_free_shard(struct put *put, unsigned slot, uint16_t drive_number, struct extent_id extent,
	uint8_t index);

/* Gives back open shards, and frees those that are or may be durable, of the extent being written.
 * is_over: the put has nothing but these, and may wait. */
void put_free_written(struct put *put, bool is_over);

/* Enters the durable extent into the list that the index will get. */
void put_extent_end(struct put *put);

/* Takes over the current extent, all of whose shards that are left are sealed. put_advance()
 * follows when it is over. Errors: ERR_NO_MEMORY; those of a put. */
MUST_USE enum err put_rescue_begin(struct put *put);

/* Nobody wants it any more. */
void put_rescue_cancel(struct put *put);

/* Ends a rescue that is over: the new extent is in the list, or the put has failed. False: it is
 * not over. */
bool put_rescue_end(struct put *put);

static inline enum pool_size put_stripe_pool_size(uint32_t unit_len)
{
	return unit_len <= 4096 ? POOL_4K : unit_len <= 65536 ? POOL_64K : POOL_256K;
}

static inline bool put_stripe_is_full(const struct put_stripe *stripe)
{
	return stripe->filled_len == stripe->body_len;
}

/* The number of buffers that a stripe needs: with k = 1 the copies are written from one. */
unsigned put_stripe_units(const struct put *put);

bool put_stripe_is_any(const struct put *put);

/* Takes the buffers of the next stripe. Errors: ERR_BUSY, ERR_NO_MEMORY. */
MUST_USE enum err put_stripe_take(struct put *put);

void put_stripe_give(struct put_stripe *stripe);

/* Zeroes what no client byte fills of a full stripe (I3 of erasure/stripe.h). */
void put_stripe_pad(struct put_stripe *stripe);

/* Shows a frame, which is full, to the owner. */
void put_stripe_show(struct put_stripe *stripe, unsigned unit);

/* Is there one on its way to the shards? */
bool put_stripe_is_writing(const struct put *put);

/* Gives back the stripes that were written and whose frames came back. */
void put_stripe_settle(struct put *put);

/* Writes the stripes whose turn it is. */
void put_stripe_advance(struct put *put);

#endif
