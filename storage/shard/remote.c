/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/shard/remote.h"

#include "erasure/checksum.h"

static void call_start(struct peer_call *call, struct peers *peers, struct id node, uint16_t kind,
	struct bytes head, struct bytes payload, void (*done)(struct peer_call *call))
{
	*call = (struct peer_call){
		.node = node,
		.kind = kind,
		.deadline_ms = REMOTE_DEADLINE_MS,
		.head = head,
		.payload = payload,
		.done = done,
	};
	peer_call_start(peers, call);
}

static enum err call_err(const struct peer_call *call)
{
	return call->err ? call->err : call->answer_err;
}

/* --- writing ---------------------------------------------------------------------------------- */

void remote_write_abort(struct remote_write *write)
{
	assert(!write->is_calling && write->in_flight == 0);
	uint8_t head[SHARD_KEY_LEN];
	shard_key_encode(&write->key, head);
	peer_note(write->peers, write->node, PEER_SHARD_ABORT, bytes_make(head, sizeof head),
		(struct bytes){0});
}

static void open_answered(struct peer_call *call)
{
	struct remote_write *write = CONTAINER_OF(call, struct remote_write, call);
	write->is_calling = false;
	if (call->err != ERR_OK && call->err != ERR_UNAVAILABLE)
		remote_write_abort(write); /* it may be open there, or still on its way */
	write->ready(write, call_err(call));
}

void remote_write_open(struct remote_write *write, struct peers *peers, struct id node,
	uint16_t drive, const struct shard_info *info)
{
	assert(write->ready && write->sealed && !write->is_calling);
	write->peers = peers;
	write->node = node;
	write->key = (struct shard_key){info->extent, drive, info->index};
	write->shard_len = info->shard_len;
	write->written_len = 0;
	write->in_flight = write->in_flight_len = 0;
	write->is_sealing = false;
	write->err = ERR_OK;
	struct shard_open open = {.key = write->key};
	bool is_geometry = stripe_geometry_init(
		&open.geometry, info->k, info->m, info->unit_len, info->extent_len);
	assert(is_geometry && stripe_shard_len(&open.geometry) == info->shard_len);
	shard_open_encode(&open, write->head);
	write->is_calling = true;
	call_start(&write->call, peers, node, PEER_SHARD_OPEN,
		bytes_make(write->head, SHARD_OPEN_LEN), info->hint, open_answered);
}

static void append_answered(struct peer_call *call)
{
	struct remote_append *append = CONTAINER_OF(call, struct remote_append, call);
	struct remote_write *write = append->write;
	append->is_calling = false;
	write->in_flight--;
	write->in_flight_len -= append->len;
	if (write->err == ERR_OK)
		write->err = call_err(call);
	append->done(append, call_err(call));
}

void remote_write_append(struct remote_write *write, struct remote_append *append,
	const uint8_t *buf, size_t len, const uint64_t *checksums, size_t checksum_count)
{
	assert(!write->is_calling && !write->is_sealing);
	assert(len > 0 && len <= SHARD_TRANSFER_LEN_MAX && len <= write->shard_len);
	assert(write->written_len <= write->shard_len - len);
	assert(checksum_count == checksum_block_count(len));
	assert(write->in_flight_len + len <= SHARD_APPEND_IN_FLIGHT_MAX);
	append->write = write;
	append->len = len;
	append->is_calling = true;
	shard_append_encode(&write->key, write->written_len, append->head);
	shard_sums_encode(checksums, checksum_count, append->head + SHARD_APPEND_LEN);
	write->written_len += len;
	write->in_flight++;
	write->in_flight_len += len;
	call_start(&append->call, write->peers, write->node, PEER_SHARD_APPEND,
		bytes_make(append->head, SHARD_APPEND_LEN + 8 * checksum_count),
		bytes_make(buf, len), append_answered);
}

static void seal_answered(struct peer_call *call)
{
	struct remote_write *write = CONTAINER_OF(call, struct remote_write, call);
	write->is_calling = false;
	write->sealed(write, call_err(call));
}

void remote_write_seal(struct remote_write *write)
{
	assert(!write->is_calling && !write->is_sealing && write->in_flight == 0);
	assert(write->err != ERR_OK || write->written_len == write->shard_len);
	write->is_sealing = true;
	shard_key_encode(&write->key, write->head);
	write->is_calling = true;
	call_start(&write->call, write->peers, write->node, PEER_SHARD_SEAL,
		bytes_make(write->head, SHARD_KEY_LEN), (struct bytes){0}, seal_answered);
}

void remote_write_cancel(struct remote_write *write)
{
	if (write->is_calling)
		peer_call_cancel(&write->call);
}

void remote_append_cancel(struct remote_append *append)
{
	if (append->is_calling)
		peer_call_cancel(&append->call);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* (R1) */
static enum err check_answer(const struct remote_read *read)
{
	const struct shard_read_range *range = &read->range;
	const struct peer_call *call = &read->call;
	uint64_t sums[SHARD_SUMS_MAX];
	if (call->answer_len != range->len ||
		shard_sums_decode(call->answer_head, range->len, sums) != ERR_OK)
		return ERR_CORRUPT;
	size_t count = checksum_block_count(range->len);
	uint64_t seed = shard_checksum_seed(range->key.extent, range->key.index);
	size_t first_bad = checksum_blocks_verify(
		read->buf, range->len, seed, range->start / BLOCK_LEN, sums);
	return first_bad == count ? ERR_OK : ERR_CHECKSUM;
}

static void read_answered(struct peer_call *call)
{
	struct remote_read *read = CONTAINER_OF(call, struct remote_read, call);
	read->is_calling = false;
	enum err err = call_err(call);
	read->done(read, err ? err : check_answer(read));
}

void remote_read_init(struct remote_read *read, struct peers *peers, struct id node, uint16_t drive,
	struct extent_id extent, uint8_t index)
{
	read->peers = peers;
	read->node = node;
	read->range.key = (struct shard_key){extent, drive, index};
	read->is_calling = false;
}

void remote_read_start(
	struct remote_read *read, uint64_t start, size_t len, uint8_t *buf, bool cached)
{
	assert(read->done && !read->is_calling);
	assert(len > 0 && len <= SHARD_TRANSFER_LEN_MAX && start % BLOCK_LEN == 0);
	read->range.start = start;
	read->range.len = len;
	read->range.is_cached = cached;
	read->buf = buf;
	shard_read_range_encode(&read->range, read->head);
	read->is_calling = true;
	read->call = (struct peer_call){
		.node = read->node,
		.kind = PEER_SHARD_READ,
		.deadline_ms = REMOTE_DEADLINE_MS,
		.head = {read->head, SHARD_READ_LEN},
		.answer_buf = buf,
		.answer_cap = len,
		.done = read_answered,
	};
	peer_call_start(read->peers, &read->call);
}

void remote_read_cancel(struct remote_read *read)
{
	if (read->is_calling)
		peer_call_cancel(&read->call);
}

/* --- freeing ---------------------------------------------------------------------------------- */

static void free_answered(struct peer_call *call)
{
	struct remote_free *op = CONTAINER_OF(call, struct remote_free, call);
	op->done(op, call_err(call));
}

void remote_free_start(struct remote_free *op, struct peers *peers, struct id node, uint16_t drive,
	struct extent_id extent, uint8_t index)
{
	assert(op->done);
	shard_key_encode(&(struct shard_key){extent, drive, index}, op->head);
	call_start(&op->call, peers, node, PEER_SHARD_FREE, bytes_make(op->head, SHARD_KEY_LEN),
		(struct bytes){0}, free_answered);
}
