/* SPDX-License-Identifier: Apache-2.0 */
/* How bytes come into a put: memory is lent where they stay, and full frames are shown to the
 * owner. What goes wrong is a fact for put_advance(). */
#include <assert.h>

#include "storage/object/put_priv.h"

/* No buffer now; when it is not because others have them, the put ends. */
static enum err refuse_buffer(struct put *put, enum err err)
{
	if (err != ERR_BUSY) {
		put_fail(put, err);
		put_advance_soon(put);
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
		enum err err = put_stripe_take(put);
		if (err == ERR_BUSY && !put_stripe_is_any(put)) {
			size_t len = pool_buffer_len(put_stripe_pool_size(
					     stripe_unit_len(&put->geometry, put->stripe_next))) *
				put_stripe_units(put);
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
	if (put_stripe_is_full(stripe)) {
		put_stripe_pad(stripe);
		put->filling = NULL;
		put_advance_soon(put);
	}
	if (put_stripe_is_full(stripe) || stripe->filled_len % stripe->unit_len == 0)
		put_stripe_show(stripe, unit);
}

void put_frame_done(struct put *put, struct put_frame *frame)
{
	assert(put->magic == PUT_MAGIC);
	if (frame == &put->inline_frame) {
		assert(put->inline_frame_out);
		put->inline_frame_out = false;
		put_advance_soon(put);
		return;
	}
	struct put_stripe *stripe = &put->stripes[frame >= put->stripes[1].frames];
	assert(stripe->is_used && stripe->frames_out > 0);
	stripe->frames_out--;
	if (stripe->frames_out > 0)
		return;
	if (put->state == PUT_DURABLE && !put->is_discarded)
		put_stripe_settle(put); /* put_fini() may be next */
	else
		put_advance_soon(put);
}
