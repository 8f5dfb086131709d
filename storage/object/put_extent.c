/* SPDX-License-Identifier: Apache-2.0 */
/* One extent of a put: which code it gets, the opening and sealing of its shards, and its line in
 * the list of what is durable. Callbacks record, put_advance() decides. */
#include <assert.h>
#include <string.h>

#include "storage/object/put_priv.h"

static void shard_ready(struct shard_write *write, enum err err)
{
	struct put_shard *shard = CONTAINER_OF(write, struct put_shard, write);
	assert(shard->is_opening);
	shard->is_opening = false;
	shard->put->shards_in_flight--;
	if (err)
		put_fail_shard(shard->put, shard, err);
	else
		shard->is_open = true;
	put_advance(shard->put);
}

static void shard_sealed(struct shard_write *write, enum err err)
{
	struct put_shard *shard = CONTAINER_OF(write, struct put_shard, write);
	assert(shard->is_sealing);
	shard->is_sealing = false;
	shard->put->shards_in_flight--;
	if (err)
		put_fail_shard(shard->put, shard, err);
	else
		shard->is_sealed = true;
	put_advance(shard->put);
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
		put_fail_shard(put, shard, err);
	} else {
		shard->is_open = true;
	}
}

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

enum err put_extent_begin(struct put *put)
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
	for (unsigned i = 0; i < put_shard_count(put); i++)
		open_shard(put, i, drives[i]);
	return ERR_OK;
}

void put_extent_abort_shard(struct put_shard *shard)
{
	if (shard->is_open && !shard->was_sealing)
		shard_write_abort(&shard->write);
	shard->is_open = false;
}

void put_extent_end(struct put *put)
{
	for (unsigned i = 0; i < put_shard_count(put); i++)
		put_extent_abort_shard(&put->shards[i]); /* those that failed on the way */
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
