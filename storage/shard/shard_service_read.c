/* SPDX-License-Identifier: Apache-2.0 */
/* Shards of this node's drives that other nodes read. */
#include <assert.h>

#include "erasure/checksum.h"
#include "storage/shard/shard_service_priv.h"

static void begin_read(struct shard_service *service, struct peer_request *request);

static void end(struct served_read *read)
{
	struct shard_service *service = read->service;
	pool_give(&service->pool, read->buf);
	read->buf = NULL;
	read->request = NULL;
	service->reads_used--;
	struct peer_request *next;
	while (service->reads_used < SHARD_SERVICE_READS &&
		(next = served_line_take(&service->read_line)))
		begin_read(service, next);
	served_ended(service);
}

static void was_sent(struct peer_request *request)
{
	end(request->handler_data);
}

static void answer(struct served_read *read, enum err err)
{
	struct peer_request *request = read->request;
	if (err == ERR_OK) {
		size_t count = checksum_block_count(read->range.len);
		shard_sums_encode(read->sums, count, read->head);
		request->answer_head = bytes_make(read->head, 8 * count);
		request->answer_payload = bytes_make(read->buf, read->range.len);
		read->service->counters.reads++;
	}
	request->handler_data = read;
	request->sent = was_sent;
	peer_request_answer(request, err);
}

static void was_read(struct shard_read *local, enum err err)
{
	struct served_read *read = CONTAINER_OF(local, struct served_read, read);
	shard_read_fini(&read->read);
	answer(read, err);
}

static enum pool_size size_for(uint32_t len)
{
	return len <= 4096     ? POOL_4K
		: len <= 16384 ? POOL_16K
		: len <= 65536 ? POOL_64K
			       : POOL_256K;
}

/* Reads, if there is memory for it; else waits in the pool's line. */
static void take_and_read(struct served_read *read)
{
	struct shard_service *service = read->service;
	enum pool_size size = size_for(read->range.len);
	enum err err = pool_take(&service->pool, size, 1, &read->buf);
	if (err == ERR_BUSY) {
		pool_wait_start(&service->pool, &read->wait, pool_buffer_len(size));
		return;
	}
	struct drive *drive;
	if (err == ERR_OK)
		err = served_drive(service, &read->range.key, &drive);
	if (err) {
		answer(read, err);
		return;
	}
	shard_read_init(&read->read, service->store->loop, drive, read->range.key.extent,
		read->range.key.index);
	read->read.done = was_read;
	read->read.sums = read->sums;
	shard_read_start(
		&read->read, read->range.start, read->range.len, read->buf, read->range.is_cached);
}

static void pool_ready(struct pool_wait *wait)
{
	take_and_read(CONTAINER_OF(wait, struct served_read, wait));
}

static void begin_read(struct shard_service *service, struct peer_request *request)
{
	struct shard_read_range range;
	enum err err = shard_read_range_decode(request->head, &range);
	if (err == ERR_OK && service->is_stopping)
		err = ERR_UNAVAILABLE;
	if (err) {
		peer_request_answer(request, err);
		return;
	}
	struct served_read *read = service->reads;
	while (read->request)
		read++;
	*read = (struct served_read){.service = service, .request = request, .range = range};
	read->wait.ready = pool_ready;
	service->reads_used++;
	take_and_read(read);
}

void served_read(void *arg, struct peer_request *request)
{
	struct shard_service *service = arg;
	if (service->reads_used == SHARD_SERVICE_READS && !service->is_stopping)
		served_line_append(&service->read_line, request);
	else
		begin_read(service, request);
}
