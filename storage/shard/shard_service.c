/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/shard/shard_service.h"

#include <stdlib.h>

#include "storage/meta/index_ledger.h"
#include "storage/shard/shard_service_priv.h"

void served_line_append(struct served_line *line, struct peer_request *request)
{
	request->handler_data = NULL;
	if (line->last)
		line->last->handler_data = request;
	else
		line->first = request;
	line->last = request;
}

struct peer_request *served_line_take(struct served_line *line)
{
	struct peer_request *request = line->first;
	if (!request)
		return NULL;
	line->first = request->handler_data;
	if (!line->first)
		line->last = NULL;
	request->handler_data = NULL;
	return request;
}

void served_line_refuse(struct served_line *line)
{
	struct peer_request *request;
	while ((request = served_line_take(line)))
		peer_request_answer(request, ERR_UNAVAILABLE);
}

enum err served_drive(
	const struct shard_service *service, const struct shard_key *key, struct drive **ret_drive)
{
	struct drive *drive = store_drive(service->store->store, key->drive);
	if (!drive)
		return ERR_FENCED;
	*ret_drive = drive;
	return ERR_OK;
}

/* --- freeing ---------------------------------------------------------------------------------- */

static void begin_free(struct shard_service *service, struct peer_request *request, bool is_sure);

/* Takes the request of that node for the same shard out of a line: it asks again, so that nobody
 * waits for the earlier one any more. */
static void replace_earlier(struct served_line *line, const struct peer_request *again)
{
	struct served_line rest = {0};
	struct peer_request *request;
	while ((request = served_line_take(line)))
		if (id_is_equal(request->from, again->from) &&
			bytes_is_equal(request->head, again->head))
			peer_request_answer(request, ERR_TIMEOUT);
		else
			served_line_append(&rest, request);
	*line = rest;
}

/* May a body that is read have the shard here, now or when a repair that wrote it is applied? Under
 * a view. Errors: ERR_NOT_FOUND, there is no such extent. */
static enum err find_reader(struct shard_service *service, const struct ring_snapshot *ring,
	const struct shard_key *key, bool *ret_is_read)
{
	struct index_reader *reader = service->store->reader;
	struct row_extent row;
	struct row_body body;
	uint16_t slot = ring_slot(ring_snapshot_ring(ring), key->extent);
	enum err err = index_extent_get(reader, slot, key->extent, &row);
	bool belongs = err == ERR_OK &&
		index_shard_belongs(ring, slot, &row, key->index, key->drive);
	*ret_is_read = false;
	if (!belongs)
		return err;
	err = index_body_get(reader, row.body, &body);
	*ret_is_read = err == ERR_OK && body.refs > 0;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* (V6) Errors: ERR_EXISTS, it is read; ERR_NOT_FOUND, there is no such extent as far as this node
 * knows. */
static enum err check_unread(struct shard_service *service, const struct shard_key *key)
{
	struct ring_snapshot *ring = index_ring(service->store->store->index);
	enum err err = ring ? index_view_begin(service->store->reader) : ERR_UNAVAILABLE;
	if (err != ERR_OK) {
		ring_snapshot_unref(ring);
		return err;
	}
	bool is_read;
	err = find_reader(service, ring, key, &is_read);
	index_view_end(service->store->reader);
	ring_snapshot_unref(ring);
	return err == ERR_OK && is_read ? ERR_EXISTS : err;
}

/* Was the shard written anew since its free began? */
static bool is_there_again(const struct shard_free *free)
{
	struct shard_entry entry;
	size_t count = 0;
	return drive_list(free->drive, free->extent, free->index, &entry, 1, &count) == ERR_OK &&
		count == 1 && extent_id_is_equal(entry.extent, free->extent) &&
		entry.index == free->index;
}

static void free_done(struct shard_free *local, enum err err)
{
	struct served_free *op = CONTAINER_OF(local, struct served_free, free);
	struct shard_service *service = op->service;
	struct peer_request *request;
	if (!err && op->is_shared && is_there_again(local)) {
		enum err unread = check_unread(service, &op->key);
		if (unread == ERR_OK || unread == ERR_NOT_FOUND) {
			op->is_shared = false;
			shard_free_start(local);
			return;
		}
	}
	service->frees_used--;
	service->counters.freed += err == ERR_OK;
	while ((request = served_line_take(&op->requests)))
		peer_request_answer(request, err);
	struct peer_request *next;
	while (service->frees_used < SHARD_SERVICE_FREES &&
		(next = served_line_take(&service->free_line)))
		begin_free(service, next, false);
	served_ended(service);
}

/* The free of that shard that goes on; NULL: none does. */
static struct served_free *find_free(
	const struct shard_service *service, const struct drive *drive, const struct shard_key *key)
{
	for (unsigned i = 0; service->frees_used > 0 && i < SHARD_SERVICE_FREES; i++) {
		struct served_free *op = &service->frees[i];
		if (op->requests.first && op->free.drive == drive && op->free.index == key->index &&
			extent_id_is_equal(op->free.extent, key->extent))
			return op;
	}
	return NULL;
}

static void start_free(struct shard_service *service, struct peer_request *request,
	struct drive *drive, const struct shard_key *key)
{
	struct served_free *op = service->frees;
	while (op->requests.first)
		op++;
	*op = (struct served_free){.service = service, .key = *key};
	served_line_append(&op->requests, request);
	op->free = (struct shard_free){
		.loop = service->store->loop,
		.done = free_done,
		.drive = drive,
		.extent = key->extent,
		.index = key->index,
	};
	service->frees_used++;
	shard_free_start(&op->free);
}

/* Asks again about extents that are not known, when this node knows all that was decided. */
static void end_doubts(struct shard_service *service, enum err err)
{
	struct peer_request *request;
	while ((request = served_line_take(&service->asked)))
		if (err)
			peer_request_answer(request, ERR_UNAVAILABLE);
		else
			begin_free(service, request, true);
}

static void ask_about_doubts(struct shard_service *service)
{
	while (!service->is_asking && service->doubts.first) {
		service->asked = service->doubts;
		service->doubts = (struct served_line){0};
		enum err err = index_read_barrier(service->store->store->index, &service->barrier);
		service->is_asking = err == ERR_BUSY;
		if (!service->is_asking)
			end_doubts(service, err);
	}
}

static void barrier_done(struct index_barrier *barrier, enum err err)
{
	struct shard_service *service = CONTAINER_OF(barrier, struct shard_service, barrier);
	service->is_asking = false;
	end_doubts(service, err);
	ask_about_doubts(service);
	served_ended(service);
}

static void doubt(struct shard_service *service, struct peer_request *request)
{
	replace_earlier(&service->asked, request);
	replace_earlier(&service->doubts, request);
	served_line_append(&service->doubts, request);
	ask_about_doubts(service);
}

static void begin_free(struct shard_service *service, struct peer_request *request, bool is_sure)
{
	struct shard_key key;
	struct drive *drive;
	enum err err = shard_key_decode(request->head, &key);
	if (err == ERR_OK && service->is_stopping)
		err = ERR_UNAVAILABLE;
	if (err == ERR_OK)
		err = served_drive(service, &key, &drive);
	if (err == ERR_OK)
		err = check_unread(service, &key);
	if (err == ERR_NOT_FOUND && !is_sure) {
		doubt(service, request);
		return;
	}
	if (err && err != ERR_NOT_FOUND) {
		peer_request_answer(request, err == ERR_EXISTS ? ERR_OK : err);
		return;
	}
	struct served_free *op = find_free(service, drive, &key);
	if (!op && service->frees_used == SHARD_SERVICE_FREES) {
		replace_earlier(&service->free_line, request);
		served_line_append(&service->free_line, request);
		return;
	}
	served_write_drop(service, &key);
	if (!op) {
		start_free(service, request, drive, &key);
		return;
	}
	replace_earlier(&op->requests, request);
	served_line_append(&op->requests, request);
	op->is_shared = true;
}

static void served_free(void *arg, struct peer_request *request)
{
	begin_free(arg, request, false);
}

/* The collector sees it. */
static void served_census(void *arg, struct peer_request *request)
{
	struct shard_service *service = arg;
	if (request->head.len != SHARD_CENSUS_LEN) {
		peer_request_answer(request, ERR_INVALID);
		return;
	}
	uint64_t index = get_le64(request->head.data);
	atomic_uint_least64_t *highest = &service->store->store->census_index;
	uint_least64_t before = atomic_load(highest);
	while (before < index && !atomic_compare_exchange_weak(highest, &before, index))
		;
	peer_request_answer(request, ERR_OK);
}

/* --- links and leases ------------------------------------------------------------------------- */

static void link_changed(struct peer_watch *watch, struct id node, bool is_linked)
{
	struct shard_service *service = CONTAINER_OF(watch, struct shard_service, watch);
	if (!is_linked)
		served_writes_drop(service, &node);
}

static void lease_fired(struct timer *timer)
{
	struct shard_service *service = CONTAINER_OF(timer, struct shard_service, lease);
	served_writes_expire(service);
	if (service->writes_used > 0 && !service->is_stopping)
		timer_set(service->store->loop, &service->lease, SHARD_SERVICE_LEASE_MS / 4);
}

/* --- beginning and end ------------------------------------------------------------------------ */

static void free_tables(struct shard_service *service)
{
	free(service->writes);
	free(service->reads);
	free(service->frees);
	owed_close(&service->owed);
}

enum err shard_service_open(
	struct shard_service *service, struct store_loop *store, size_t pool_len)
{
	struct peers *peers = store->peers;
	assert(peers && peers->loop == store->loop);
	*service = (struct shard_service){.store = store};
	service->writes = calloc(SHARD_SERVICE_WRITES, sizeof *service->writes);
	service->reads = calloc(SHARD_SERVICE_READS, sizeof *service->reads);
	service->frees = calloc(SHARD_SERVICE_FREES, sizeof *service->frees);
	enum err err = owed_open(&service->owed, store);
	if (err || !service->writes || !service->reads || !service->frees) {
		free_tables(service);
		return ERR_NO_MEMORY;
	}
	store->owed = &service->owed;
	for (unsigned i = 0; i < SHARD_SERVICE_WRITES; i++) {
		service->writes[i].next = service->unused_writes;
		service->unused_writes = &service->writes[i];
	}
	pool_init(&service->pool, store->loop, "peer reads", pool_len);
	service->barrier = (struct index_barrier){.loop = store->loop, .done = barrier_done};
	service->lease.fire = lease_fired;
	service->watch.changed = link_changed;
	peers_watch(peers, &service->watch);
	peers_serve(peers, PEER_SHARD_OPEN, served_open, service);
	peers_serve(peers, PEER_SHARD_WHOLE, served_open, service);
	peers_serve(peers, PEER_SHARD_APPEND, served_append, service);
	peers_serve(peers, PEER_SHARD_SEAL, served_seal, service);
	peers_serve(peers, PEER_SHARD_ABORT, served_abort, service);
	peers_serve(peers, PEER_SHARD_READ, served_read, service);
	peers_serve(peers, PEER_SHARD_FREE, served_free, service);
	peers_serve(peers, PEER_SHARD_CENSUS, served_census, service);
	return ERR_OK;
}

static void run_stop(struct task *task)
{
	struct shard_service *service = CONTAINER_OF(task, struct shard_service, stop_task);
	service->is_stop_posted = false;
	unsigned used = service->writes_used + service->reads_used + service->frees_used +
		service->owed.count + service->is_asking;
	if (used == 0 && service->stopped) {
		void (*stopped)(struct shard_service *) = service->stopped;
		service->stopped = NULL;
		pool_fini(&service->pool); /* here, for its timer is of this loop */
		stopped(service);
	}
}

void served_ended(struct shard_service *service)
{
	if (!service->is_stopping || service->is_stop_posted)
		return;
	service->is_stop_posted = true;
	service->stop_task.run = run_stop;
	loop_post(service->store->loop, &service->stop_task);
}

static void owed_ended(struct owed *owed)
{
	served_ended(CONTAINER_OF(owed, struct shard_service, owed));
}

void shard_service_stop(
	struct shard_service *service, void (*stopped)(struct shard_service *service))
{
	service->is_stopping = true;
	service->stopped = stopped;
	timer_cancel(service->store->loop, &service->lease);
	served_line_refuse(&service->opens);
	served_line_refuse(&service->read_line);
	served_line_refuse(&service->free_line);
	served_line_refuse(&service->doubts);
	served_writes_drop(service, NULL);
	owed_stop(&service->owed, owed_ended);
	served_ended(service);
}

void shard_service_close(struct shard_service *service)
{
	assert(service->writes_used + service->reads_used + service->frees_used == 0);
	pool_fini(&service->pool);
	service->store->owed = NULL;
	free_tables(service);
}
