/* SPDX-License-Identifier: Apache-2.0 */
/* Shards that other nodes write to drives of this one. */
#include <assert.h>

#include "erasure/checksum.h"
#include "storage/meta/index_ledger.h"
#include "storage/shard/shard_service_priv.h"

static void advance(struct served_write *write);

static uint64_t now_ms(const struct shard_service *service)
{
	return loop_now_ms(service->store->loop);
}

/* --- the table -------------------------------------------------------------------------------- */

static struct served_write **bucket_of(struct shard_service *service, const struct shard_key *key)
{
	uint64_t mixed = (key->extent.session ^ key->extent.counter << 8 ^
				 (uint64_t)key->drive << 4 ^ key->index) *
		UINT64_C(0x9e3779b97f4a7c15);
	return &service->buckets[mixed >> 56];
}

static struct served_write *find(struct shard_service *service, const struct shard_key *key)
{
	struct served_write *write = *bucket_of(service, key);
	while (write && !shard_key_is_equal(&write->key, key))
		write = write->next;
	return write;
}

static struct served_write *take(struct shard_service *service, const struct shard_key *key)
{
	struct served_write *write = service->unused_writes;
	struct served_write **bucket = bucket_of(service, key);
	service->unused_writes = write->next;
	service->writes_used++;
	*write = (struct served_write){.service = service, .key = *key, .next = *bucket};
	*bucket = write;
	return write;
}

static void give(struct served_write *write)
{
	struct shard_service *service = write->service;
	struct served_write **at = bucket_of(service, &write->key);
	while (*at != write)
		at = &(*at)->next;
	*at = write->next;
	write->state = SERVED_FREE;
	write->next = service->unused_writes;
	service->unused_writes = write;
	service->writes_used--;
}

/* The write that a node may go on with. */
static struct served_write *find_open(
	struct shard_service *service, const struct shard_key *key, struct id from)
{
	struct served_write *write = find(service, key);
	if (!write || write->state != SERVED_OPEN || write->is_dropped || write->is_whole ||
		!id_is_equal(write->from, from))
		return NULL;
	write->used_ms = now_ms(service);
	return write;
}

static unsigned appends_in_flight(const struct served_write *write)
{
	unsigned count = 0;
	for (unsigned i = 0; i < SHARD_SERVICE_APPENDS; i++)
		count += write->appends[i].request != NULL;
	return count;
}

/* --- (V2) ------------------------------------------------------------------------------------- */

static enum err check_owner(struct shard_service *service, const struct shard_key *key)
{
	struct extent_id extent = key->extent;
	struct index_reader *reader = service->store->reader;
	struct ring_snapshot *snapshot = index_ring(service->store->store->index);
	if (!snapshot)
		return ERR_UNAVAILABLE;
	enum err err = index_view_begin(reader);
	if (err) {
		ring_snapshot_unref(snapshot);
		return err;
	}
	uint16_t slot = ring_slot(ring_snapshot_ring(snapshot), extent);
	bool is_settled;
	err = index_extent_is_settled(reader, extent, &is_settled);
	if (err == ERR_OK && is_settled) {
		struct row_extent row;
		err = index_extent_get(reader, slot, extent, &row);
		if (err == ERR_NOT_FOUND ||
			(err == ERR_OK &&
				!index_shard_belongs(snapshot, slot, &row, key->index, key->drive)))
			err = ERR_REFUSED;
	}
	index_view_end(reader);
	ring_snapshot_unref(snapshot);
	return err;
}

/* --- its end ---------------------------------------------------------------------------------- */

static void answer(struct served_write *write, enum err err)
{
	struct peer_request *request = write->request;
	write->request = NULL;
	peer_request_answer(request, err);
}

static void open_next(struct shard_service *service);

static void end(struct served_write *write)
{
	struct shard_service *service = write->service;
	assert(!write->request && appends_in_flight(write) == 0);
	give(write);
	open_next(service);
	served_ended(service);
}

static void dropped_freed(struct shard_free *op, enum err err)
{
	err_ignore(err); /* the drive is fenced; a census finds the shard when it is back */
	end(CONTAINER_OF(op, struct served_write, free));
}

/* Frees what was sealed and is not wanted (V4). */
static void free_sealed(struct served_write *write)
{
	write->state = SERVED_DROPPING;
	write->free = (struct shard_free){
		.loop = write->service->store->loop,
		.done = dropped_freed,
		.drive = write->drive,
		.extent = write->key.extent,
		.index = write->key.index,
	};
	shard_free_start(&write->free);
}

static void drop(struct served_write *write)
{
	if (write->is_dropped || write->state == SERVED_DROPPING)
		return;
	write->is_dropped = true;
	advance(write);
}

static void advance(struct served_write *write)
{
	if (!write->is_dropped || write->state != SERVED_OPEN || appends_in_flight(write) > 0)
		return;
	shard_write_abort(&write->write);
	write->service->counters.aborted++;
	end(write);
}

static bool is_of(const struct peer_request *request, const struct shard_key *key)
{
	struct shard_key its;
	return request->head.len >= SHARD_KEY_LEN &&
		shard_key_decode(bytes_make(request->head.data, SHARD_KEY_LEN), &its) == ERR_OK &&
		shard_key_is_equal(&its, key);
}

/* Those that wait for a place in the table are in no bucket yet. Of a key, or of a node. */
static void drop_waiting(
	struct shard_service *service, const struct shard_key *key, const struct id *from)
{
	struct served_line line = service->opens;
	struct peer_request *request;
	service->opens = (struct served_line){0};
	while ((request = served_line_take(&line)))
		if (key ? is_of(request, key) : id_is_equal(request->from, *from))
			peer_request_answer(request, ERR_CANCELED);
		else
			served_line_append(&service->opens, request);
}

void served_write_drop(struct shard_service *service, const struct shard_key *key)
{
	struct served_write *write = find(service, key);
	if (write)
		drop(write);
	if (service->opens.first)
		drop_waiting(service, key, NULL);
}

void served_writes_drop(struct shard_service *service, const struct id *from)
{
	for (unsigned i = 0; i < SHARD_SERVICE_WRITES; i++) {
		struct served_write *write = &service->writes[i];
		if (write->state != SERVED_FREE && (!from || id_is_equal(write->from, *from)))
			drop(write);
	}
	if (from && service->opens.first)
		drop_waiting(service, NULL, from);
}

/* Who writes an extent for the first time holds it unsettled; who rebuilds one is not silent. */
static bool is_settled(struct shard_service *service, struct extent_id extent)
{
	bool is_settled = false;
	if (index_view_begin(service->store->reader) != ERR_OK)
		return false;
	err_ignore(index_extent_is_settled(service->store->reader, extent, &is_settled));
	index_view_end(service->store->reader);
	return is_settled;
}

static bool is_abandoned(struct shard_service *service, const struct served_write *write)
{
	if (write->state != SERVED_OPEN ||
		write->used_ms + SHARD_SERVICE_LEASE_MS > now_ms(service))
		return false;
	struct peer_info info;
	peer_info(service->store->peers, write->from, &info);
	return info.silent_ms > SHARD_SERVICE_LEASE_MS || is_settled(service, write->key.extent);
}

void served_writes_expire(struct shard_service *service)
{
	for (unsigned i = 0; i < SHARD_SERVICE_WRITES; i++)
		if (is_abandoned(service, &service->writes[i]))
			drop(&service->writes[i]);
}

/* --- open ------------------------------------------------------------------------------------- */

/* The bytes of one that came by one call are on the drive; or not. */
static void whole_written(struct shard_append *local, enum err err)
{
	struct served_append *append = CONTAINER_OF(local, struct served_append, append);
	struct served_write *write = append->owner;
	append->request = NULL;
	if (err == ERR_OK)
		err = write->is_dropped ? ERR_CANCELED : check_owner(write->service, &write->key);
	if (err == ERR_OK) {
		write->state = SERVED_SEALING;
		shard_write_seal(&write->write);
		return;
	}
	answer(write, err);
	write->is_dropped = true;
	advance(write);
}

static void write_whole(struct served_write *write)
{
	struct peer_request *request = write->request;
	struct served_append *append = &write->appends[0];
	struct shard_whole whole;
	enum err err = shard_whole_decode(request->head, request->payload_len, &whole);
	assert(err == ERR_OK); /* it was looked at before */
	append->owner = write;
	append->request = request;
	append->append.done = whole_written;
	shard_write_append(&write->write, &append->append, request->payload, request->payload_len,
		whole.sums, whole.sum_count);
}

static void opened(struct served_write *write)
{
	write->state = SERVED_OPEN;
	write->used_ms = now_ms(write->service);
	write->service->counters.opened++;
	if (write->is_whole && !write->is_dropped) {
		write_whole(write);
		return;
	}
	answer(write, write->is_whole ? ERR_CANCELED : ERR_OK);
	advance(write);
}

static void write_ready(struct shard_write *local, enum err err)
{
	struct served_write *write = CONTAINER_OF(local, struct served_write, write);
	if (err) {
		answer(write, err);
		end(write);
	} else {
		opened(write);
	}
}

static void write_sealed(struct shard_write *local, enum err err)
{
	struct served_write *write = CONTAINER_OF(local, struct served_write, write);
	write->service->counters.sealed += err == ERR_OK;
	answer(write, err == ERR_OK && write->is_dropped ? ERR_CANCELED : err);
	if (err == ERR_OK && write->is_dropped)
		free_sealed(write);
	else
		end(write);
}

/* (V1) Reads an OPEN or a WHOLE, whose bytes are checked here. */
static enum err read_request(struct shard_service *service, const struct peer_request *request,
	struct shard_open *ret_open, struct bytes *ret_hint)
{
	if (request->kind == PEER_SHARD_OPEN) {
		*ret_hint = bytes_make(request->payload, request->payload_len);
		return shard_open_decode(request->head, ret_open);
	}
	struct shard_whole whole;
	enum err err = shard_whole_decode(request->head, request->payload_len, &whole);
	if (err)
		return err;
	const struct shard_key *key = &whole.open.key;
	uint64_t seed = shard_checksum_seed(key->extent, key->index);
	if (checksum_blocks_verify(request->payload, request->payload_len, seed, 0, whole.sums) !=
		whole.sum_count) {
		service->counters.bad_units++;
		return ERR_CHECKSUM;
	}
	*ret_open = whole.open;
	*ret_hint = whole.hint;
	return ERR_OK;
}

static enum err begin_open(struct shard_service *service, struct peer_request *request)
{
	struct shard_open open;
	struct bytes hint;
	struct drive *drive;
	bool is_whole = request->kind == PEER_SHARD_WHOLE;
	enum err err = read_request(service, request, &open, &hint);
	if (err == ERR_OK && hint.len > DRIVE_HINT_LEN_MAX)
		err = ERR_INVALID;
	if (err == ERR_OK && find(service, &open.key))
		err = ERR_EXISTS;
	if (err == ERR_OK)
		err = served_drive(service, &open.key, &drive);
	if (err == ERR_OK && !is_whole)
		err = check_owner(service, &open.key);
	if (err)
		return err;
	struct served_write *write = take(service, &open.key);
	write->is_whole = is_whole;
	write->state = SERVED_OPENING;
	write->from = request->from;
	write->drive = drive;
	write->request = request;
	write->used_ms = now_ms(service);
	write->write.loop = service->store->loop;
	write->write.ready = write_ready;
	write->write.sealed = write_sealed;
	struct shard_info info = {
		.extent = open.key.extent,
		.index = open.key.index,
		.k = open.geometry.k,
		.m = open.geometry.m,
		.unit_len = open.geometry.unit_len,
		.extent_len = open.geometry.body_len,
		.shard_len = stripe_shard_len(&open.geometry),
		.hint = hint,
	};
	err = shard_write_open(&write->write, drive, &info);
	if (err == ERR_OK)
		opened(write);
	else if (err != ERR_BUSY)
		give(write);
	return err == ERR_BUSY ? ERR_OK : err;
}

static void open_or_refuse(struct shard_service *service, struct peer_request *request)
{
	enum err err = service->is_stopping ? ERR_UNAVAILABLE : begin_open(service, request);
	service->counters.refused += err != ERR_OK;
	if (err)
		peer_request_answer(request, err);
	if (!service->is_stopping && !service->lease.is_set)
		timer_set(service->store->loop, &service->lease, SHARD_SERVICE_LEASE_MS / 4);
}

static void open_next(struct shard_service *service)
{
	struct peer_request *request;
	while (service->writes_used < SHARD_SERVICE_WRITES &&
		(request = served_line_take(&service->opens)))
		open_or_refuse(service, request);
}

void served_open(void *arg, struct peer_request *request)
{
	struct shard_service *service = arg;
	if (service->writes_used == SHARD_SERVICE_WRITES && !service->is_stopping)
		served_line_append(&service->opens, request);
	else
		open_or_refuse(service, request);
}

/* --- append ----------------------------------------------------------------------------------- */

static void append_done(struct shard_append *local, enum err err)
{
	struct served_append *append = CONTAINER_OF(local, struct served_append, append);
	struct served_write *write = append->owner;
	struct peer_request *request = append->request;
	append->request = NULL;
	if (write->err == ERR_OK)
		write->err = err;
	peer_request_answer(request, err);
	advance(write);
}

static struct served_append *free_append(struct served_write *write)
{
	for (unsigned i = 0; i < SHARD_SERVICE_APPENDS; i++)
		if (!write->appends[i].request)
			return &write->appends[i];
	return NULL;
}

static enum err begin_append(struct shard_service *service, struct peer_request *request)
{
	struct shard_key key;
	uint64_t offset, sums[SHARD_SUMS_MAX];
	size_t len = request->payload_len;
	enum err err = shard_append_decode(request->head, len, &key, &offset, sums);
	if (err)
		return err;
	struct served_write *write = find_open(service, &key, request->from);
	if (!write)
		return ERR_CLOSED;
	if (write->err)
		return write->err;
	struct served_append *append = free_append(write);
	if (!append || write->write.in_flight_len + len > SHARD_APPEND_IN_FLIGHT_MAX)
		return ERR_LIMIT;
	if (offset != write->received_len || offset + len > write->write.info.shard_len)
		return ERR_INVALID;
	size_t count = checksum_block_count(len);
	uint64_t seed = shard_checksum_seed(key.extent, key.index);
	if (checksum_blocks_verify(request->payload, len, seed, offset / BLOCK_LEN, sums) !=
		count) {
		service->counters.bad_units++;
		return ERR_CHECKSUM;
	}
	write->received_len += len;
	append->owner = write;
	append->request = request;
	append->append.done = append_done;
	shard_write_append(&write->write, &append->append, request->payload, len, sums, count);
	return ERR_OK;
}

void served_append(void *arg, struct peer_request *request)
{
	enum err err = begin_append(arg, request);
	if (err)
		peer_request_answer(request, err);
}

/* --- seal and abort --------------------------------------------------------------------------- */

static enum err begin_seal(struct shard_service *service, struct peer_request *request)
{
	struct shard_key key;
	enum err err = shard_key_decode(request->head, &key);
	if (err)
		return err;
	struct served_write *write = find_open(service, &key, request->from);
	if (!write)
		return ERR_CLOSED;
	if (appends_in_flight(write) > 0 ||
		(!write->err && write->received_len != write->write.info.shard_len))
		return ERR_INVALID;
	err = write->err ? write->err : check_owner(service, &key);
	if (err) {
		drop(write);
		return err;
	}
	write->state = SERVED_SEALING;
	write->request = request;
	shard_write_seal(&write->write);
	return ERR_OK;
}

void served_seal(void *arg, struct peer_request *request)
{
	enum err err = begin_seal(arg, request);
	if (err)
		peer_request_answer(request, err);
}

void served_abort(void *arg, struct peer_request *request)
{
	struct shard_service *service = arg;
	struct shard_key key;
	enum err err = shard_key_decode(request->head, &key);
	struct served_write *write = err == ERR_OK ? find(service, &key) : NULL;
	bool is_its = write && id_is_equal(write->from, request->from);
	peer_request_answer(request, err);
	if (is_its)
		drop(write);
}
