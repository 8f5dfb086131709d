/* SPDX-License-Identifier: Apache-2.0 */
/* An extent that lost too many drives while it was written is written anew.
 *
 * A put gives the memory of a stripe back when it is written, so that it does not have what it
 * wrote. If fewer than k+1 shards are left, it goes on with those, down to k, to the extent's end
 * (the shards' length is reserved, and a record that is not whole is not sealed), and seals them:
 * from these the extent can be read, though it would not survive the loss of one more (P1). A get
 * of it feeds another put, of this extent only, which finds fewer drives, and writes a narrower
 * code. That one's extent takes the place of the first in the list, and the first one's shards are
 * freed. Nothing of this is told to the client, who waits a little longer for room.
 *
 * (Q1) The index never hears of the first extent; until it is freed the put's hold keeps it.
 * (Q2) The second put is not rescued: if it loses a drive, too, the client is told to try again.
 * (Q3) It comes to an end whatever happens: get and put do, and each end is awaited.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/object/get.h"
#include "storage/object/put_priv.h"

struct put_rescue {
	struct put *owner;
	enum err err;
	bool is_get_open, is_get_canceled, is_put_open, is_put_durable, is_put_discarded;
	const uint8_t *piece; /* of the get; NULL: none */
	size_t piece_len, piece_taken;
	struct get get;
	struct put put;
};

static bool is_over(const struct put_rescue *rescue)
{
	return !rescue->is_get_open &&
		(!rescue->is_put_open || (rescue->is_put_durable && rescue->err == ERR_OK));
}

/* Puts away what is left of one that failed. */
static void unwind(struct put_rescue *rescue)
{
	rescue->piece = NULL;
	if (rescue->is_get_open && !rescue->is_get_canceled) {
		rescue->is_get_canceled = true;
		get_cancel(&rescue->get);
	}
	if (rescue->is_put_open && !rescue->is_put_discarded) {
		rescue->is_put_discarded = true;
		put_discard(&rescue->put);
	}
}

/* Something has ended. */
static void advance(struct put_rescue *rescue, enum err err)
{
	if (rescue->err == ERR_OK)
		rescue->err = err;
	if (rescue->err != ERR_OK)
		unwind(rescue);
	if (is_over(rescue))
		put_advance_soon(rescue->owner); /* which frees it: not inside its own callback */
}

static void pump(struct put_rescue *rescue)
{
	while (rescue->piece && rescue->err == ERR_OK) {
		uint8_t *buf;
		size_t cap;
		if (put_buffer(&rescue->put, &buf, &cap) != ERR_OK)
			return; /* room() or durable() follows */
		size_t left = rescue->piece_len - rescue->piece_taken;
		size_t len = cap < left ? cap : left;
		memcpy(buf, rescue->piece + rescue->piece_taken, len);
		put_filled(&rescue->put, len);
		rescue->piece_taken += len;
		if (rescue->piece_taken < rescue->piece_len)
			continue;
		rescue->piece = NULL;
		get_sent(&rescue->get);
	}
}

static void got_piece(struct get *get, const uint8_t *data, size_t len)
{
	struct put_rescue *rescue = CONTAINER_OF(get, struct put_rescue, get);
	rescue->piece = data;
	rescue->piece_len = len;
	rescue->piece_taken = 0;
	pump(rescue);
}

static void get_done(struct get *get, enum err err)
{
	struct put_rescue *rescue = CONTAINER_OF(get, struct put_rescue, get);
	rescue->is_get_open = false;
	advance(rescue, err);
}

static void put_room(struct put *put)
{
	pump(CONTAINER_OF(put, struct put_rescue, put));
}

/* The owner of the first put has digested it. */
static void put_frame(struct put *put, struct put_frame *frame)
{
	put_frame_done(put, frame);
}

static void put_durable(struct put *put, enum err err)
{
	struct put_rescue *rescue = CONTAINER_OF(put, struct put_rescue, put);
	rescue->is_put_durable = rescue->is_put_open = err == ERR_OK;
	advance(rescue, err);
}

static void put_discarded(struct put *put)
{
	struct put_rescue *rescue = CONTAINER_OF(put, struct put_rescue, put);
	rescue->is_put_open = false;
	advance(rescue, ERR_OK);
}

static void start_get(struct put_rescue *rescue)
{
	const struct put *owner = rescue->owner;
	struct get_extent extent = {
		.len = owner->geometry.body_len,
		.id = owner->extent,
		.geometry = owner->geometry,
	};
	for (unsigned i = 0; i < put_shard_count(owner); i++)
		extent.drives[i] = owner->shards[i].is_sealed ? owner->shards[i].drive : 0;
	struct get_setup setup = {
		.store = owner->setup.store,
		.extent = &extent,
		.len = extent.len,
		.request_id = owner->setup.request_id,
		.piece = got_piece,
		.done = get_done,
	};
	rescue->is_get_open = true;
	get_start(&rescue->get, &setup);
}

enum err put_rescue_begin(struct put *put)
{
	assert(!put->rescue && put->is_weak && put->shards_in_flight == 0);
	struct put_rescue *rescue = calloc(1, sizeof *rescue);
	if (!rescue)
		return ERR_NO_MEMORY;
	struct put_setup setup = {
		.store = put->setup.store,
		.hint = bytes_make(put->hint, put->hint_len),
		.len = put->geometry.body_len,
		.storage_class = put->setup.storage_class,
		.is_rescue = true,
		.request_id = put->setup.request_id,
		.room = put_room,
		.frame = put_frame,
		.durable = put_durable,
		.discarded = put_discarded,
	};
	enum err err = put_start(&rescue->put, &setup);
	if (err) {
		free(rescue);
		return err;
	}
	rescue->owner = put;
	rescue->is_put_open = true;
	put->rescue = rescue;
	for (unsigned i = 0; i < put_shard_count(put); i++)
		if (put->shards[i].is_failed)
			put_extent_abort_shard(&put->shards[i]); /* no free is to wait for it */
	put->setup.store->counters.rescued++;
	start_get(rescue);
	return ERR_OK;
}

void put_rescue_cancel(struct put *put)
{
	struct put_rescue *rescue = put->rescue;
	if (!rescue || is_over(rescue))
		return;
	if (rescue->err == ERR_OK)
		rescue->err = ERR_CANCELED;
	unwind(rescue);
}

bool put_rescue_end(struct put *put)
{
	struct put_rescue *rescue = put->rescue;
	if (!is_over(rescue))
		return false;
	put->rescue = NULL;
	if (rescue->err == ERR_OK) {
		struct put *new = &rescue->put;
		assert(put->extents_len + new->extents_len <= sizeof put->extents);
		memcpy(put->extents + put->extents_len, new->extents, new->extents_len);
		put->extents_len += new->extents_len;
		put->stored_len += new->stored_len;
		put->extent_start += new->stored_len;
		put_fini(new);
	} else if (put->err == ERR_OK) {
		put->err = rescue->err;
	}
	free(rescue);
	return true;
}
