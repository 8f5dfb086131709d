/* SPDX-License-Identifier: Apache-2.0 */
/* How one stripe of a get is read, and decoded when units are missing or damaged; the essay is in
 * get.c. */
#include <assert.h>

#include "storage/object/get_priv.h"

/* Ranges up to this are read through the page cache: they are likely to be asked for again, and a
 * copy is cheaper than the disk. Longer ones go around it, so as not to push those out. */
#define GET_CACHED_LEN_MAX (4u << 20)

static void unit_read_done(struct shard_read *read, enum err err)
{
	struct get_unit *unit = CONTAINER_OF(read, struct get_unit, read);
	struct get_stripe *stripe = unit->stripe;
	struct get *get = stripe->get;
	assert(get->magic == GET_MAGIC && unit->is_reading);
	unit->is_reading = false;
	stripe->reads_in_flight--;
	if (err) {
		unit->is_bad = true;
		if (err == ERR_CHECKSUM || err == ERR_CORRUPT) {
			get->setup.store->counters.bad_blocks++;
			trace_event(get->setup.store->store->trace, TRACE_WARNING,
				get->setup.request_id,
				"damaged block in extent %016lx/%lu shard %u on drive %u",
				(unsigned long)stripe->extent.id.session,
				(unsigned long)stripe->extent.id.counter,
				(unsigned)(unit - stripe->units),
				stripe->extent.drives[unit - stripe->units]);
		}
	} else {
		unit->is_good = true;
	}
	if (stripe->reads_in_flight == 0)
		get_advance(get);
}

/* Starts to read bytes [start, end) of a unit, or marks it as one that cannot be had. */
static void read_unit(struct get_stripe *stripe, unsigned index, uint32_t start, uint32_t end)
{
	struct get *get = stripe->get;
	struct get_unit *unit = &stripe->units[index];
	struct drive *drive = store_drive(get->setup.store->store, stripe->extent.drives[index]);
	unit->is_good = false;
	if (!drive) {
		unit->is_bad = true;
		return;
	}
	if (!unit->is_inited) {
		shard_read_init(
			&unit->read, get->setup.store->loop, drive, stripe->extent.id, index);
		unit->read.done = unit_read_done;
		unit->is_inited = true;
	}
	unit->start = start;
	unit->end = end;
	unit->is_reading = true;
	stripe->reads_in_flight++;
	shard_read_start(&unit->read,
		stripe_shard_offset(&stripe->extent.geometry, stripe->number) + start, end - start,
		unit->buf + (start - stripe->region_start), get->setup.len <= GET_CACHED_LEN_MAX);
}

void get_read_stripe(struct get_stripe *stripe)
{
	stripe->state = GET_STRIPE_READING;
	for (unsigned i = 0; i < stripe->extent.geometry.k; i++)
		if (get_unit_is_wanted(&stripe->units[i]))
			read_unit(stripe, i, stripe->units[i].start, stripe->units[i].end);
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

static bool covers_region(const struct get_stripe *stripe, const struct get_unit *unit)
{
	return unit->is_good && unit->start == stripe->region_start &&
		unit->end == stripe->region_end;
}

/* Chooses k units to decode from: those that are read already first, then data, then parity. */
static enum err choose_sources(struct get_stripe *stripe, uint32_t *ret_sources)
{
	uint32_t sources = 0;
	unsigned count = 0;
	for (int is_second = 0; is_second < 2; is_second++) {
		for (unsigned i = 0;
			i < get_unit_count(stripe) && count < stripe->extent.geometry.k; i++) {
			struct get_unit *unit = &stripe->units[i];
			if (sources & 1u << i || unit->is_bad ||
				(!is_second && !covers_region(stripe, unit)))
				continue;
			if (!store_drive(
				    stripe->get->setup.store->store, stripe->extent.drives[i])) {
				unit->is_bad = true;
				continue;
			}
			sources |= 1u << i;
			count++;
		}
	}
	*ret_sources = sources;
	return count < stripe->extent.geometry.k ? ERR_QUORUM : ERR_OK;
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
		} else if (unit->is_bad && i < stripe->extent.geometry.k && unit->buf &&
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
	get->setup.store->counters.degraded_reads += __builtin_popcount(wanted);
	get_give_extras(stripe);
	stripe->state = GET_STRIPE_READY;
}

void get_read_advance(struct get_stripe *stripe)
{
	if (stripe->reads_in_flight > 0)
		return;
	if (stripe->state == GET_STRIPE_READING) {
		bool is_any_bad = false;
		for (unsigned i = 0; i < stripe->extent.geometry.k; i++)
			is_any_bad |= stripe->units[i].is_bad && stripe->units[i].buf;
		if (is_any_bad)
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
