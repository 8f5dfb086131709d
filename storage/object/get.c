/* SPDX-License-Identifier: Apache-2.0 */
/* One range of a body on its way to a client.
 *
 * The range is cut at stripes. Up to GET_WINDOW of them are in flight; each reads the blocks it
 * needs of its data units, all at once:
 *
 *	FREE → READING → READY → (sent) → FREE
 *	           ↓        ↑
 *	        DECODING ───┘      when a unit is missing or damaged: any k units are read
 *
 * A stripe's buffers cover the same bytes of each unit, the region. In the simple case a unit reads
 * only its own blocks of the region; to decode, k units read all of it. What decoding needs beyond
 * the stripe's own buffers comes from decode_pool, which stands behind get_pool: who holds buffers
 * of get_pool may wait there, and who holds some there waits only for disks.
 */
#include <assert.h>
#include <string.h>

#include "erasure/checksum.h"
#include "storage/meta/index_ledger.h"
#include "storage/object/get_priv.h"

static void run_advance(struct task *task)
{
	struct get *get = CONTAINER_OF(task, struct get, advance_task);
	assert(get->magic == GET_MAGIC);
	get->is_advance_posted = false;
	get_advance(get);
}

void get_advance_soon(struct get *get)
{
	if (get->is_advance_posted)
		return;
	get->is_advance_posted = true;
	loop_post(get->setup.store->loop, &get->advance_task);
}

void get_fail(struct get *get, enum err err)
{
	if (get->err)
		return;
	get->err = err;
	get_read_hedge(get, true); /* nobody wants them now */
}

/* --- planning a stripe ------------------------------------------------------------------------ */

/* Says which blocks of which units hold the wanted bytes of the stripe, and the region around them.
 */
static void plan_units(struct get_stripe *stripe)
{
	const struct geometry *geometry = &stripe->extent.geometry;
	uint32_t unit_len = stripe_unit_len(geometry, stripe->number);
	stripe->unit_len = unit_len;
	stripe->region_start = unit_len;
	stripe->region_end = 0;
	stripe->wanted_count = 0;
	stripe->copy = 0;
	for (unsigned i = 0; i < get_unit_count(stripe); i++) {
		struct get_unit *unit = &stripe->units[i];
		unit->stripe = stripe;
		unit->start = unit->end = 0;
		unit->is_good = unit->is_bad = unit->is_extra = false;
		unit->is_late = unit->is_patient = unit->is_spared = false;
		uint64_t unit_start = (uint64_t)i * unit_len;
		if (i >= geometry->k || unit_start >= stripe->end ||
			unit_start + unit_len <= stripe->start)
			continue;
		uint32_t from = stripe->start > unit_start ? stripe->start - unit_start : 0;
		uint32_t to = stripe->end - unit_start < unit_len ? stripe->end - unit_start
								  : unit_len;
		unit->start = from / BLOCK_LEN * BLOCK_LEN;
		unit->end = round_up(to, BLOCK_LEN) < unit_len ? round_up(to, BLOCK_LEN) : unit_len;
		if (unit->start < stripe->region_start)
			stripe->region_start = unit->start;
		if (unit->end > stripe->region_end)
			stripe->region_end = unit->end;
		stripe->wanted_count++;
	}
}

static bool is_same_extent(const struct get_stripe *stripe, struct extent_id id)
{
	return stripe->has_extent && extent_id_is_equal(stripe->extent.id, id);
}

static void need_units(struct get_stripe *stripe)
{
	if (!stripe->has_units)
		memset(stripe->units, 0, sizeof stripe->units);
	stripe->has_units = true;
}

/* Reads that are set up for another extent are put away. */
static void set_extent(struct get_stripe *stripe, const struct get_extent *extent)
{
	need_units(stripe);
	for (unsigned i = 0; i < CODE_UNITS_MAX; i++)
		get_read_forget(&stripe->units[i]);
	stripe->extent = *extent;
	stripe->has_extent = true;
}

/* Reads that are set up for drives where the shards turned out not to be are put away. */
static void set_drives(struct get_stripe *stripe, const struct get_extent *extent)
{
	for (unsigned i = 0; extent->is_moving && i < get_unit_count(stripe); i++)
		if (stripe->extent.drives[i] != extent->drives[i])
			get_read_forget(&stripe->units[i]);
	stripe->extent = *extent;
}

/* Lays the next part of the range into a free stripe. */
static void plan_stripe(struct get *get, struct get_stripe *stripe)
{
	const struct get_extent *extent = &get->extent;
	if (is_same_extent(stripe, extent->id))
		set_drives(stripe, extent);
	else
		set_extent(stripe, extent);
	uint64_t offset = get->next_offset - extent->body_start + extent->offset;
	uint64_t end = extent->offset + extent->len;
	if (extent->body_start + extent->len > get->end_offset)
		end -= extent->body_start + extent->len - get->end_offset;
	uint32_t full_len = stripe_full_len(&extent->geometry);
	stripe->number = offset / full_len;
	stripe->start = offset % full_len;
	uint64_t stripe_end = end - (uint64_t)stripe->number * full_len;
	stripe->end = stripe_end < full_len ? stripe_end : full_len;
	plan_units(stripe);
}

/* How well a drive can be asked now; the more, the better. */
static unsigned rate_drive(struct store_loop *store, uint16_t number)
{
	struct site site;
	reach_find(store, number, &site);
	if (!site_is_there(&site))
		return 0;
	return reach_is_avoided(store, number) ? 1 : site_is_remote(&site) ? 2 : 3;
}

/* Of two drives that may have the shard, the one that is asked first: the nearer, else the first.
 */
static void choose_drive(struct get *get, const struct ring_places *places, unsigned shard)
{
	struct get_extent *extent = &get->extent;
	struct store_loop *store = get->setup.store;
	bool is_turned = rate_drive(store, places->drives[1]) >
		rate_drive(store, places->drives[0]);
	extent->drives[shard] = places->drives[is_turned];
	extent->others[shard] = places->drives[!is_turned];
}

/* While shards move: on which drives each may be. */
static void find_places(
	struct get *get, const struct ring_snapshot *snapshot, const struct index_piece *piece)
{
	struct get_extent *extent = &get->extent;
	unsigned count = extent->geometry.k + extent->geometry.m;
	extent->is_moving = true;
	for (unsigned i = 0; i < count; i++) {
		struct ring_places places;
		index_shard_places(snapshot, piece->slot, piece->extent, &piece->row, i, &places);
		extent->drives[i] = places.count > 0 ? places.drives[0] : 0;
		extent->others[i] = 0;
		if (places.count > 1)
			choose_drive(get, &places, i);
	}
}

/* Looks up on which drives the shards are: where the ring says, but for the exceptions. The
 * snapshot is taken after the view began: what left a place since is still there for us (G2). */
static enum err find_drives(struct get *get, const struct index_piece *piece)
{
	struct get_extent *extent = &get->extent;
	struct ring_snapshot *snapshot = index_ring(get->setup.store->store->index);
	if (!snapshot)
		return ERR_UNAVAILABLE;
	const struct ring *ring = ring_snapshot_ring(snapshot);
	unsigned count = extent->geometry.k + extent->geometry.m;
	enum err err = piece->slot < ring->slot_count ? ERR_OK : ERR_CORRUPT;
	for (size_t i = 0; i < row_exception_count(&piece->row); i++)
		if (row_exception_at(&piece->row, i).shard >= count)
			err = ERR_CORRUPT;
	extent->is_moving = false;
	if (err == ERR_OK && !ring_snapshot_is_steady(snapshot)) {
		find_places(get, snapshot, piece);
		ring_snapshot_unref(snapshot);
		return ERR_OK;
	}
	for (unsigned i = 0; err == ERR_OK && i < count; i++)
		extent->drives[i] = i < ring->width ? ring_drive(ring, piece->slot, i) : 0;
	ring_snapshot_unref(snapshot);
	for (size_t i = 0; err == ERR_OK && i < row_exception_count(&piece->row); i++) {
		struct row_exception exception = row_exception_at(&piece->row, i);
		extent->drives[exception.shard] = exception.drive;
	}
	return err;
}

static enum err take_piece(struct get *get, const struct index_piece *piece)
{
	struct get_extent *extent = &get->extent;
	extent->body_start = piece->start;
	extent->len = piece->len;
	extent->offset = piece->extent_offset;
	extent->id = piece->extent;
	if (!stripe_geometry_init(&extent->geometry, piece->row.k, piece->row.m,
		    piece->row.unit_len, piece->row.len) ||
		piece->len == 0 || piece->extent_offset + piece->len > piece->row.len ||
		get->next_offset < piece->start || get->next_offset >= piece->start + piece->len)
		return ERR_CORRUPT;
	get->has_extent = true;
	return find_drives(get, piece);
}

/* The bytes of a part that is in the index itself become a stripe that is ready. */
static enum err take_inline(
	struct get *get, struct get_stripe *stripe, const struct index_piece *piece)
{
	if (piece->inline_data.len != piece->len || piece->len > STORE_INLINE_LEN_MAX ||
		get->next_offset < piece->start || get->next_offset >= piece->start + piece->len)
		return ERR_CORRUPT;
	need_units(stripe);
	enum err err = pool_take(&get->setup.store->get_pool, POOL_4K, 1, &stripe->units[0].buf);
	if (err)
		return err;
	stripe->copy = 0;
	memcpy(stripe->units[0].buf, piece->inline_data.data, piece->len);
	stripe->units[0].is_extra = false;
	stripe->unit_len = STORE_INLINE_LEN_MAX;
	stripe->region_start = 0;
	stripe->region_end = STORE_INLINE_LEN_MAX;
	stripe->start = get->next_offset - piece->start;
	uint64_t left = get->end_offset - piece->start;
	stripe->end = left < piece->len ? left : piece->len;
	stripe->state = GET_STRIPE_READY;
	return ERR_OK;
}

/* Finds out where the next byte of the range is. */
static enum err find_piece(struct get *get, struct get_stripe *stripe)
{
	if (get->has_extent && get->next_offset < get->extent.body_start + get->extent.len)
		return ERR_OK;
	get->has_extent = false;
	struct index_reader *reader = get->setup.store->reader;
	enum err err = index_view_begin(reader);
	if (err)
		return err;
	struct index_piece piece;
	err = index_piece_find(reader, get->setup.body, get->next_offset, &piece);
	if (err == ERR_OK && piece.body.kind == BODY_INLINE)
		err = take_inline(get, stripe, &piece);
	else if (err == ERR_OK)
		err = take_piece(get, &piece);
	index_view_end(reader);
	return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

/* --- buffers ---------------------------------------------------------------------------------- */

static enum err take_buffers(struct get_stripe *stripe)
{
	uint8_t *buffers[CODE_UNITS_MAX];
	enum err err = pool_take(&stripe->get->setup.store->get_pool, get_region_size(stripe),
		stripe->wanted_count, buffers);
	if (err)
		return err;
	unsigned next = 0;
	for (unsigned i = 0; i < stripe->extent.geometry.k; i++)
		if (get_unit_is_wanted(&stripe->units[i]))
			stripe->units[i].buf = buffers[next++];
	return ERR_OK;
}

static void give_buffers(struct get_stripe *stripe)
{
	if (!stripe->has_units)
		return;
	get_give_extras(stripe);
	for (unsigned i = 0; i < CODE_UNITS_MAX; i++) {
		pool_give(&stripe->get->setup.store->get_pool, stripe->units[i].buf);
		stripe->units[i].buf = NULL;
	}
}

/* --- the window ------------------------------------------------------------------------------- */

/* Begins the next stripe of the range. Errors: ERR_BUSY, no memory for it now; *ret_len of it are
 * lacking. */
static enum err begin_stripe(struct get *get, struct get_stripe *stripe, size_t *ret_len)
{
	*ret_len = STORE_INLINE_LEN_MAX;
	enum err err = find_piece(get, stripe);
	if (err || stripe->state == GET_STRIPE_READY)
		return err;
	plan_stripe(get, stripe);
	*ret_len = stripe->wanted_count * pool_buffer_len(get_region_size(stripe));
	err = take_buffers(stripe);
	if (err)
		return err;
	get_read_stripe(stripe);
	return ERR_OK;
}

/* Begins as many stripes as window and memory allow. */
static void fill_window(struct get *get)
{
	while (get->next_offset < get->end_offset && !get->wait.is_waiting &&
		get->order_read - get->order_sent < GET_WINDOW) {
		struct get_stripe *stripe = &get->stripes[get->order_read % GET_WINDOW];
		assert(stripe->state == GET_STRIPE_FREE);
		size_t len;
		enum err err = begin_stripe(get, stripe, &len);
		if (err == ERR_BUSY) {
			/* Who has a stripe goes on when that one is sent. */
			if (get->order_read == get->order_sent)
				pool_wait_start(&get->setup.store->get_pool, &get->wait, len);
			return;
		}
		if (err) {
			get_fail(get, err);
			return;
		}
		get->next_offset += stripe->end - stripe->start;
		get->order_read++;
	}
}

static void get_pool_ready(struct pool_wait *wait)
{
	struct get *get = CONTAINER_OF(wait, struct get, wait);
	assert(get->magic == GET_MAGIC);
	if (!get->err)
		fill_window(get); /* now: who was first in line takes at once, or is last again */
	get_advance_soon(get);
}

/* Hands out the next piece of the oldest stripe, if it is ready. */
static void send_piece(struct get *get)
{
	if (get->is_sending || get->order_sent == get->order_read)
		return;
	struct get_stripe *stripe = &get->stripes[get->order_sent % GET_WINDOW];
	if (stripe->state != GET_STRIPE_READY)
		return;
	uint32_t offset = stripe->start + get->sent_len;
	unsigned index = stripe->copy > 0 ? stripe->copy : offset / stripe->unit_len;
	uint32_t in_unit = offset % stripe->unit_len;
	uint32_t len = stripe->unit_len - in_unit;
	if (len > stripe->end - offset)
		len = stripe->end - offset;
	get->is_sending = true;
	get->sending_len = len;
	get->setup.store->counters.get_bytes += len;
	const uint8_t *data = stripe->inline_data ? stripe->inline_data : stripe->units[index].buf;
	get->setup.piece(get, data + (in_unit - stripe->region_start), len);
}

static void hedge_fired(struct timer *timer)
{
	struct get *get = CONTAINER_OF(timer, struct get, hedge);
	assert(get->magic == GET_MAGIC);
	get_read_hedge(get, false);
}

static bool is_idle(const struct get *get)
{
	if (get->is_sending)
		return false;
	for (unsigned i = 0; i < GET_WINDOW; i++)
		if (get->stripes[i].reads_in_flight > 0)
			return false;
	return true;
}

static void finish(struct get *get)
{
	struct store_loop *store = get->setup.store;
	pool_wait_cancel(&store->get_pool, &get->wait);
	timer_cancel(store->loop, &get->hedge);
	for (unsigned i = 0; i < GET_WINDOW; i++) {
		struct get_stripe *stripe = &get->stripes[i];
		pool_wait_cancel(&store->decode_pool, &stripe->wait);
		give_buffers(stripe);
		for (unsigned j = 0; stripe->has_units && j < CODE_UNITS_MAX; j++)
			get_read_forget(&stripe->units[j]);
	}
	if (!get->has_no_body)
		index_release_read(store->reader, &get->hold);
	store->counters.gets++;
	get->magic = 0;
	get->setup.done(get, get->err);
}

void get_advance(struct get *get)
{
	assert(get->magic == GET_MAGIC);
	if (get->is_advance_posted)
		return; /* that one sees this fact too, and nothing is posted when the get ends */
	if (get->err) {
		if (is_idle(get))
			finish(get);
		return;
	}
	for (unsigned i = 0; i < GET_WINDOW; i++)
		get_read_advance(&get->stripes[i]);
	if (!get->err)
		fill_window(get);
	if (get->err) {
		get_advance_soon(get);
		return;
	}
	if (get->order_sent == get->order_read && get->next_offset == get->end_offset) {
		finish(get);
		return;
	}
	send_piece(get);
}

/* --- public ----------------------------------------------------------------------------------- */

/* A whole inline body is gone with the version that names it, so its bytes are taken now. */
static enum err start_inline(struct get *get)
{
	struct bytes data;
	enum err err = index_inline_get(get->setup.store->reader, get->setup.body, &data);
	if (err)
		return err;
	if (data.len > sizeof get->inline_buf || get->end_offset > data.len)
		return ERR_CORRUPT;
	struct get_stripe *stripe = &get->stripes[0];
	memcpy(get->inline_buf, data.data, data.len);
	stripe->inline_data = get->inline_buf;
	stripe->unit_len = STORE_INLINE_LEN_MAX;
	stripe->region_end = STORE_INLINE_LEN_MAX;
	stripe->start = get->setup.start;
	stripe->end = get->end_offset;
	stripe->state = GET_STRIPE_READY;
	get->next_offset = get->end_offset;
	get->order_read = 1;
	return ERR_OK;
}

void get_start(struct get *get, const struct get_setup *setup)
{
	assert(get->magic != GET_MAGIC);
	assert(setup->piece && setup->done && setup->len > 0);
	struct index_reader *reader = setup->store->reader;
	memset(get, 0, offsetof(struct get, stripes));
	get->magic = GET_MAGIC;
	get->setup = *setup;
	get->advance_task.run = run_advance;
	get->wait.ready = get_pool_ready;
	get->hedge.fire = hedge_fired;
	get->next_offset = setup->start;
	get->end_offset = setup->start + setup->len;
	for (unsigned i = 0; i < GET_WINDOW; i++) {
		memset(&get->stripes[i], 0, offsetof(struct get_stripe, units));
		get->stripes[i].get = get;
		get->stripes[i].wait.ready = get_read_pool_ready;
	}
	if (setup->extent) {
		get->has_no_body = get->has_extent = true;
		get->extent = *setup->extent;
		get_advance_soon(get);
		return;
	}
	index_hold_read(reader, &get->hold);
	struct row_body body;
	enum err err = index_body_get(reader, setup->body, &body);
	if (err == ERR_OK && body.kind == BODY_INLINE)
		err = start_inline(get);
	if (err)
		get_fail(get, err == ERR_NOT_FOUND ? ERR_CORRUPT : err);
	get_advance_soon(get);
}

void get_sent(struct get *get)
{
	assert(get->magic == GET_MAGIC && get->is_sending);
	get->is_sending = false;
	get->sent_len += get->sending_len;
	struct get_stripe *stripe = &get->stripes[get->order_sent % GET_WINDOW];
	if (get->sent_len == stripe->end - stripe->start) {
		give_buffers(stripe);
		stripe->state = GET_STRIPE_FREE;
		get->sent_len = 0;
		get->order_sent++;
	}
	get_advance_soon(get);
}

void get_cancel(struct get *get)
{
	assert(get->magic == GET_MAGIC);
	get_fail(get, ERR_CANCELED);
	get->is_sending = false;
	get_advance_soon(get);
}
