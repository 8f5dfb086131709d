/* SPDX-License-Identifier: Apache-2.0 */
/* How one stripe of a get is read, and decoded when units are missing or damaged; the essay is in
 * get.c. */
#include <assert.h>

#include "storage/object/get_priv.h"

/* Ranges up to this may be read through the page cache: if they are asked for again, a copy is
 * cheaper than the disk. Longer ones go around it, so as not to push those out. */
#define GET_CACHED_LEN_MAX (4u << 20)

static uint16_t drive_of(const struct get_unit *unit)
{
	return unit->stripe->extent.drives[unit - unit->stripe->units];
}

void get_read_forget(struct get_unit *unit)
{
	if (unit->is_inited)
		site_read_fini(&unit->read);
	unit->is_inited = false;
}

static void turn_shard(struct get_extent *extent, unsigned shard)
{
	extent->drives[shard] = extent->others[shard];
	extent->others[shard] = 0;
}

/* Turns to the other drive that may have the shard, if there is one (G4), and so for the stripes to
 * come. */
static bool turn_unit(struct get_unit *unit)
{
	struct get_stripe *stripe = unit->stripe;
	struct get_extent *extent = &stripe->extent, *next = &stripe->get->extent;
	unsigned shard = unit - stripe->units;
	if (!extent->is_moving || extent->others[shard] == 0)
		return false;
	get_read_forget(unit);
	if (stripe->get->has_extent && extent_id_is_equal(next->id, extent->id) &&
		next->is_moving && next->drives[shard] == extent->drives[shard] &&
		next->others[shard] != 0)
		turn_shard(next, shard);
	turn_shard(extent, shard);
	return true;
}

static void tell_damage(const struct get_unit *unit)
{
	struct get *get = unit->stripe->get;
	const struct get_extent *extent = &unit->stripe->extent;
	get->setup.store->counters.bad_blocks++;
	trace_event(get->setup.store->store->trace, TRACE_WARNING, get->setup.request_id,
		"damaged block in extent %016lx/%lu shard %u on drive %u",
		(unsigned long)extent->id.session, (unsigned long)extent->id.counter,
		(unsigned)(unit - unit->stripe->units), drive_of(unit));
}

/* What another node did not give in time may come if it is waited for. */
static bool is_slowness(const struct get_unit *unit, enum err err)
{
	return unit->read.is_remote &&
		(err == ERR_CANCELED || err == ERR_TIMEOUT || err == ERR_BUSY);
}

/* True: it is to be read from another drive. */
static bool unit_failed(struct get_unit *unit, enum err err)
{
	struct get *get = unit->stripe->get;
	if (get->err)
		return false; /* it may have been canceled for that */
	bool is_late = is_slowness(unit, err) && !unit->is_patient;
	if (err == ERR_CHECKSUM || err == ERR_CORRUPT)
		tell_damage(unit);
	else if (err != ERR_NOT_FOUND)
		reach_failed(get->setup.store, drive_of(unit));
	if (!is_late && turn_unit(unit))
		return true;
	unit->is_late |= is_late;
	unit->is_bad |= !is_late;
	return false;
}

static void read_unit(struct get_stripe *stripe, unsigned index, uint32_t start, uint32_t end);

static void unit_read_done(struct site_read *read, enum err err)
{
	struct get_unit *unit = CONTAINER_OF(read, struct get_unit, read);
	struct get_stripe *stripe = unit->stripe;
	struct get *get = stripe->get;
	assert(get->magic == GET_MAGIC && unit->is_reading);
	unit->is_reading = false;
	stripe->reads_in_flight--;
	unit->is_good = err == ERR_OK;
	if (read->is_remote && (err == ERR_OK || err == ERR_CANCELED))
		reach_took(get->setup.store, drive_of(unit),
			loop_now_ms(get->setup.store->loop) - unit->begun_ms);
	if (err && unit_failed(unit, err))
		read_unit(stripe, unit - stripe->units, unit->start, unit->end);
	if (stripe->reads_in_flight == 0)
		get_advance(get);
}

/* --- units of other nodes --------------------------------------------------------------------- */

static uint64_t hedge_due_ms(const struct get_unit *unit)
{
	return unit->begun_ms + reach_hedge_ms(unit->stripe->get->setup.store, drive_of(unit));
}

static void hedge_at(struct get *get, uint64_t due_ms)
{
	struct loop *loop = get->setup.store->loop;
	uint64_t now_ms = loop_now_ms(loop);
	if (!get->hedge.is_set || get->hedge.due_ms > due_ms)
		timer_set(loop, &get->hedge, due_ms > now_ms ? due_ms - now_ms : 0);
}

/* Are there k units without those that are late? */
static bool can_do_without(const struct get_stripe *stripe, uint64_t now_ms)
{
	struct store_loop *store = stripe->get->setup.store;
	unsigned count = 0;
	for (unsigned i = 0; i < get_unit_count(stripe); i++) {
		const struct get_unit *unit = &stripe->units[i];
		struct site site;
		reach_find(store, stripe->extent.drives[i], &site);
		if (unit->is_bad || unit->is_late || !site_is_there(&site))
			continue;
		if (unit->is_reading && unit->read.is_remote && now_ms >= hedge_due_ms(unit))
			continue;
		count += unit->is_reading || unit->is_good ||
			!reach_is_avoided(store, stripe->extent.drives[i]);
	}
	return count >= stripe->extent.geometry.k;
}

static void hedge_stripe(struct get_stripe *stripe, bool is_all)
{
	uint64_t now_ms = loop_now_ms(stripe->get->setup.store->loop);
	uint32_t late = 0;
	for (unsigned i = 0; i < get_unit_count(stripe); i++) {
		struct get_unit *unit = &stripe->units[i];
		if (!unit->is_reading || !unit->read.is_remote || (unit->is_patient && !is_all))
			continue;
		if (is_all || now_ms >= hedge_due_ms(unit))
			late |= 1u << i;
		else
			hedge_at(stripe->get, hedge_due_ms(unit));
	}
	bool is_given_up = is_all || can_do_without(stripe, now_ms);
	for (unsigned i = 0; late >> i != 0; i++) {
		if (!(late & 1u << i))
			continue;
		if (is_given_up)
			site_read_cancel(&stripe->units[i].read);
		else
			stripe->units[i].is_patient = true; /* there is no other way */
	}
}

void get_read_hedge(struct get *get, bool is_all)
{
	for (unsigned i = 0; i < GET_WINDOW; i++)
		if (get->stripes[i].reads_in_flight > 0)
			hedge_stripe(&get->stripes[i], is_all);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Names the shard to the read, if it does not have it yet. */
static void init_read(struct get_unit *unit, const struct site *site)
{
	struct get_stripe *stripe = unit->stripe;
	if (unit->is_inited && !unit->read.is_remote)
		return;
	unit->read.loop = stripe->get->setup.store->loop;
	unit->read.done = unit_read_done;
	site_read_init(&unit->read, site, stripe->extent.id, unit - stripe->units);
	unit->is_inited = true;
}

/* Starts to read bytes [start, end) of a unit, or marks it as one that cannot be had. */
static void read_unit(struct get_stripe *stripe, unsigned index, uint32_t start, uint32_t end)
{
	struct get *get = stripe->get;
	struct store_loop *store = get->setup.store;
	struct get_unit *unit = &stripe->units[index];
	struct site site;
	reach_find(store, stripe->extent.drives[index], &site);
	unit->is_good = false;
	if (!site_is_there(&site) && turn_unit(unit))
		reach_find(store, stripe->extent.drives[index], &site);
	if (!site_is_there(&site)) {
		unit->is_bad = true;
		return;
	}
	init_read(unit, &site);
	unit->start = start;
	unit->end = end;
	unit->is_reading = true;
	stripe->reads_in_flight++;
	if (unit->read.is_remote) {
		unit->begun_ms = loop_now_ms(store->loop);
		hedge_at(get, hedge_due_ms(unit));
	}
	site_read_start(&unit->read,
		stripe_shard_offset(&stripe->extent.geometry, stripe->number) + start, end - start,
		unit->buf + (start - stripe->region_start), get->setup.len <= GET_CACHED_LEN_MAX);
}

static bool covers_region(const struct get_stripe *stripe, const struct get_unit *unit)
{
	return unit->is_good && unit->start == stripe->region_start &&
		unit->end == stripe->region_end;
}

/* What it costs to have a unit: nothing, if it is there; else the way to it, and much more if it is
 * better not waited for. UINT64_MAX: it cannot be had. */
static uint64_t cost_of(struct get_stripe *stripe, unsigned index)
{
	struct store_loop *store = stripe->get->setup.store;
	struct get_unit *unit = &stripe->units[index];
	if (covers_region(stripe, unit))
		return 0;
	struct site site;
	reach_find(store, stripe->extent.drives[index], &site);
	if (!site_is_there(&site) && turn_unit(unit))
		reach_find(store, stripe->extent.drives[index], &site);
	if (!site_is_there(&site))
		unit->is_bad = true;
	if (unit->is_bad)
		return UINT64_MAX;
	bool is_last = unit->is_late || reach_is_avoided(store, stripe->extent.drives[index]);
	return 1 + reach_distance(store, &site) + ((uint64_t)is_last << 40);
}

/* Chooses the k cheapest units. Those that were late are waited for, now that they are needed. */
static enum err choose_sources(struct get_stripe *stripe, uint32_t *ret_sources)
{
	uint64_t costs[CODE_UNITS_MAX];
	for (unsigned i = 0; i < get_unit_count(stripe); i++)
		costs[i] = cost_of(stripe, i);
	uint32_t sources = 0;
	for (unsigned left = stripe->extent.geometry.k; left > 0; left--) {
		unsigned best = 0;
		for (unsigned i = 1; i < get_unit_count(stripe); i++)
			if (costs[i] < costs[best])
				best = i;
		if (costs[best] == UINT64_MAX)
			return ERR_QUORUM;
		if (costs[best] >= UINT64_C(1) << 40) {
			stripe->units[best].is_late = false;
			stripe->units[best].is_patient = true;
		}
		costs[best] = UINT64_MAX;
		sources |= 1u << best;
	}
	*ret_sources = sources;
	return ERR_OK;
}

/* With k = 1 every unit is a copy: reads the nearest into the one buffer. */
static void read_copy(struct get_stripe *stripe)
{
	uint32_t sources;
	enum err err = choose_sources(stripe, &sources);
	if (err) {
		get_fail(stripe->get, err);
		return;
	}
	struct get_unit *unit = &stripe->units[__builtin_ctz(sources)];
	struct get_unit *last = &stripe->units[stripe->copy];
	uint32_t start = last->start, end = last->end;
	if (last->is_bad || last->is_late)
		stripe->get->setup.store->counters.degraded_reads++;
	uint8_t *buf = last->buf;
	last->buf = NULL;
	unit->buf = buf;
	stripe->copy = unit - stripe->units;
	read_unit(stripe, stripe->copy, start, end);
}

/* The wanted unit that is the farthest to be sent; -1: all are here. */
static int farthest_unit(struct get_stripe *stripe)
{
	int farthest = -1;
	uint32_t longest = 0;
	for (unsigned i = 0; i < stripe->extent.geometry.k; i++) {
		struct site site;
		reach_find(stripe->get->setup.store, stripe->extent.drives[i], &site);
		uint32_t distance = reach_distance(stripe->get->setup.store, &site);
		if (distance > longest && !stripe->units[i].is_spared) {
			longest = distance;
			farthest = i;
		}
	}
	return farthest;
}

/* For each parity unit of this node, one that need not be sent, if the whole stripe is wanted: less
 * crosses the wire, and decoding is faster than that. */
static void spare_units(struct get_stripe *stripe)
{
	struct store_loop *store = stripe->get->setup.store;
	const struct geometry *geometry = &stripe->extent.geometry;
	for (unsigned i = 0; i < geometry->k; i++)
		if (stripe->units[i].start != 0 || stripe->units[i].end != stripe->unit_len)
			return;
	for (unsigned i = geometry->k; i < get_unit_count(stripe); i++) {
		int farthest = store_drive(store->store, stripe->extent.drives[i])
			? farthest_unit(stripe)
			: -1;
		if (farthest >= 0)
			stripe->units[farthest].is_spared = true;
	}
}

void get_read_stripe(struct get_stripe *stripe)
{
	struct store_loop *store = stripe->get->setup.store;
	stripe->state = GET_STRIPE_READING;
	if (store->peers && stripe->extent.geometry.k > 1)
		spare_units(stripe);
	if (stripe->extent.geometry.k == 1)
		read_copy(stripe);
	for (unsigned i = 0; i < stripe->extent.geometry.k && stripe->extent.geometry.k > 1; i++) {
		struct get_unit *unit = &stripe->units[i];
		if (!get_unit_is_wanted(unit))
			continue;
		if (reach_is_avoided(store, stripe->extent.drives[i]))
			unit->is_late = true;
		else if (!unit->is_spared)
			read_unit(stripe, i, unit->start, unit->end);
	}
	if (stripe->reads_in_flight == 0)
		get_advance_soon(stripe->get);
}

/* --- decoding --------------------------------------------------------------------------------- */

void get_give_extras(struct get_stripe *stripe)
{
	for (unsigned i = 0; i < CODE_UNITS_MAX; i++) {
		struct get_unit *unit = &stripe->units[i];
		if (!unit->is_extra)
			continue;
		pool_give(&stripe->get->setup.store->decode_pool, unit->buf);
		unit->buf = NULL;
		unit->is_extra = unit->is_good = false;
	}
}

/* Takes what memory the sources lack and reads them. Waits in the line of decode_pool if it must;
 * nothing of that pool is held meanwhile. */
static void decode_stripe(struct get_stripe *stripe)
{
	struct get *get = stripe->get;
	struct pool *pool = &get->setup.store->decode_pool;
	stripe->state = GET_STRIPE_DECODING;
	get_give_extras(stripe);
	uint32_t sources;
	enum err err = choose_sources(stripe, &sources);
	if (err) {
		get_fail(get, err);
		return;
	}
	unsigned lacking = 0;
	for (unsigned i = 0; i < get_unit_count(stripe); i++)
		lacking += (sources & 1u << i) && !stripe->units[i].buf;
	uint8_t *buffers[CODE_UNITS_MAX];
	err = pool_take(pool, get_region_size(stripe), lacking, buffers);
	if (err == ERR_BUSY) {
		if (!stripe->wait.is_waiting)
			pool_wait_start(pool, &stripe->wait,
				lacking * pool_buffer_len(get_region_size(stripe)));
		stripe->is_waiting_to_decode = true;
		return;
	}
	if (err) {
		get_fail(get, err);
		return;
	}
	stripe->is_waiting_to_decode = false;
	for (unsigned i = 0; i < get_unit_count(stripe); i++) {
		struct get_unit *unit = &stripe->units[i];
		if (!(sources & 1u << i))
			continue;
		if (!unit->buf) {
			unit->buf = buffers[--lacking];
			unit->is_extra = true;
		}
		if (!covers_region(stripe, unit))
			read_unit(stripe, i, stripe->region_start, stripe->region_end);
	}
	if (stripe->reads_in_flight == 0)
		get_advance_soon(get);
}

/* All reads of a decoding stripe have ended: decodes, or tries other sources. */
static void decode_units(struct get_stripe *stripe)
{
	struct get *get = stripe->get;
	uint8_t *units[CODE_UNITS_MAX] = {NULL};
	uint32_t present = 0, wanted = 0;
	unsigned count = 0;
	for (unsigned i = 0; i < get_unit_count(stripe); i++) {
		struct get_unit *unit = &stripe->units[i];
		units[i] = unit->buf;
		if (covers_region(stripe, unit)) {
			present |= 1u << i;
			count++;
		} else if (!unit->is_good && i < stripe->extent.geometry.k && unit->buf &&
			!unit->is_extra) {
			wanted |= 1u << i;
		}
	}
	if (count < stripe->extent.geometry.k) {
		decode_stripe(stripe);
		return;
	}
	struct code code;
	code_init(&code, stripe->extent.geometry.k, stripe->extent.geometry.m);
	bool is_decoded = code_decode(
		&code, &get->decoder, units, present, wanted, get_region_len(stripe));
	assert(is_decoded);
	for (unsigned i = 0; wanted >> i != 0; i++)
		get->setup.store->counters.degraded_reads += wanted >> i & 1 &&
			!stripe->units[i].is_spared;
	get_give_extras(stripe);
	stripe->state = GET_STRIPE_READY;
}

void get_read_advance(struct get_stripe *stripe)
{
	if (stripe->reads_in_flight > 0)
		return;
	if (stripe->state == GET_STRIPE_READING) {
		bool is_any_lost = false;
		for (unsigned i = 0; i < stripe->extent.geometry.k; i++)
			is_any_lost |= stripe->units[i].buf && !stripe->units[i].is_good;
		if (stripe->extent.geometry.k == 1 && !stripe->units[stripe->copy].is_good)
			read_copy(stripe);
		else if (is_any_lost)
			decode_stripe(stripe);
		else
			stripe->state = GET_STRIPE_READY;
	} else if (stripe->state == GET_STRIPE_DECODING && !stripe->is_waiting_to_decode) {
		decode_units(stripe);
	}
}

void get_read_pool_ready(struct pool_wait *wait)
{
	struct get_stripe *stripe = CONTAINER_OF(wait, struct get_stripe, wait);
	assert(stripe->get->magic == GET_MAGIC);
	if (!stripe->get->err)
		decode_stripe(stripe);
	if (stripe->get->err)
		get_advance_soon(stripe->get); /* no read may be in flight that would do it */
}
