/* SPDX-License-Identifier: Apache-2.0 */
#include "server/lost_shards.h"

#include <stdlib.h>
#include <string.h>

#include "server/cluster.h"
#include "server/loop_call.h"
#include "server/worker_threads.h"
#include "storage/bytes.h"
#include "storage/drive/shard_list.h"

#define LIST_COUNT 256 /* shards that are asked of a drive at once */
#define ASK_DEADLINE_MS 20000

/* --- here ------------------------------------------------------------------------------------- */

struct scan {
	struct drive *drive;
	struct shard_look *look;
	struct index_reader *reader;
	struct ring_snapshot *ring;
	struct lost_batch *batch;
	unsigned scanned;
	bool is_full;
};

static void put_shard(struct lost_batch *batch, const struct shard_info *info)
{
	struct shard_key key = {
		.extent = info->extent, .drive = batch->next.drive, .index = info->index};
	uint8_t *at = batch->bytes + batch->len;
	shard_key_encode(&key, at);
	at += SHARD_KEY_LEN;
	at[0] = info->k;
	at[1] = info->m;
	put_le16(at + 2, (uint16_t)info->hint.len);
	put_le32(at + 4, info->unit_len);
	put_le64(at + 8, info->extent_len);
	if (info->hint.len > 0)
		memcpy(at + 16, info->hint.data, info->hint.len);
	batch->len += LOST_SHARD_LEN + info->hint.len;
}

/* Could no command give it a row any more, and does it have none? */
static enum err is_lost(struct scan *scan, struct extent_id extent, bool *ret_is_lost)
{
	struct row_extent row;
	bool is_settled;
	enum err err = index_extent_is_settled(scan->reader, extent, &is_settled);
	uint16_t slot = ring_slot(ring_snapshot_ring(scan->ring), extent);
	if (!err)
		err = index_extent_get(scan->reader, slot, extent, &row);
	*ret_is_lost = err == ERR_NOT_FOUND && is_settled;
	scan->batch->unsettled += err == ERR_NOT_FOUND && !is_settled;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err take_entry(struct scan *scan, const struct shard_entry *entry)
{
	struct lost_batch *batch = scan->batch;
	struct shard_info info;
	bool lost;
	enum err err = is_lost(scan, entry->extent, &lost);
	if (err)
		return err;
	if (lost && batch->len + LOST_SHARD_LEN + DRIVE_HINT_LEN_MAX > sizeof batch->bytes) {
		scan->is_full = true;
		return ERR_OK;
	}
	if (lost && shard_look_read(scan->look, entry, &info) == ERR_OK)
		put_shard(batch, &info); /* else it is no shard that could be read */
	batch->next.extent = entry->extent;
	batch->next.index = entry->index + 1;
	scan->scanned++;
	return ERR_OK;
}

static enum err scan_some(struct scan *scan)
{
	struct lost_batch *batch = scan->batch;
	struct shard_entry entries[LIST_COUNT];
	size_t count;
	enum err err = ERR_OK;
	while (!err && !scan->is_full && !batch->is_end && scan->scanned < LOST_SCAN_MAX) {
		err = drive_list(scan->drive, batch->next.extent, batch->next.index, entries,
			LIST_COUNT, &count);
		if (!err)
			err = index_view_begin(scan->reader);
		if (err)
			break;
		batch->is_end = count == 0;
		for (size_t i = 0; !err && !scan->is_full && i < count; i++)
			err = take_entry(scan, &entries[i]);
		index_view_end(scan->reader);
	}
	return err;
}

static const struct node_drive *find_here(struct node *node, uint16_t number)
{
	for (unsigned i = 0; i < node->drive_count; i++)
		if (number != 0 && node->drives[i].number == number && node->drives[i].drive)
			return &node->drives[i];
	return NULL;
}

static enum err read_here(
	struct node *node, const struct node_drive *drive, struct lost_batch *batch)
{
	struct scan scan = {.drive = drive->drive, .batch = batch};
	batch->len = 0;
	batch->unsettled = 0;
	batch->is_end = false;
	enum err err = shard_look_open(
		drive->disk.disk, drive_identity(drive->drive)->drive, &scan.look);
	if (!err)
		err = index_reader_open(node->index, &scan.reader);
	if (!err && !(scan.ring = index_ring(node->index)))
		err = ERR_UNAVAILABLE;
	if (!err)
		err = scan_some(&scan);
	ring_snapshot_unref(scan.ring);
	index_reader_close(scan.reader);
	shard_look_close(scan.look);
	return err;
}

/* --- for other nodes -------------------------------------------------------------------------- */

struct lost_request {
	struct peer_request *request;
	struct node *node;
	struct work work;
	enum err err;
	struct lost_batch batch;
};

static void read_for_other(struct work *work)
{
	struct lost_request *lost = CONTAINER_OF(work, struct lost_request, work);
	const struct node_drive *drive = find_here(lost->node, lost->batch.next.drive);
	lost->err = drive ? read_here(lost->node, drive, &lost->batch) : ERR_NOT_FOUND;
}

static void answer_was_sent(struct peer_request *request)
{
	free(request->handler_data);
}

static void answer_other(struct work *work)
{
	struct lost_request *lost = CONTAINER_OF(work, struct lost_request, work);
	struct peer_request *request = lost->request;
	uint8_t head[LOST_HEAD_LEN];
	shard_key_encode(&lost->batch.next, head);
	put_le64(head + SHARD_KEY_LEN, lost->batch.unsettled);
	head[LOST_HEAD_LEN - 1] = lost->batch.is_end;
	request->handler_data = lost;
	request->sent = answer_was_sent;
	if (!lost->err) {
		request->answer_head = bytes_make(head, sizeof head);
		request->answer_payload = bytes_make(lost->batch.bytes, lost->batch.len);
	}
	peer_request_answer(request, lost->err);
}

static void serve(void *arg, struct peer_request *request)
{
	struct cluster *cluster = arg;
	struct shard_key from;
	enum err err = shard_key_decode(request->head, &from);
	if (!err && !cluster->node->is_ready)
		err = ERR_UNAVAILABLE;
	struct lost_request *lost = err ? NULL : malloc(sizeof *lost);
	if (!lost) {
		peer_request_answer(request, err ? err : ERR_NO_MEMORY);
		return;
	}
	lost->request = request;
	lost->node = cluster->node;
	lost->batch.next = from;
	lost->work = (struct work){
		.run = read_for_other, .done = answer_other, .loop = request->peers->loop};
	worker_submit(worker_threads_worker(cluster->node->workers), &lost->work);
}

void lost_shards_serve(struct cluster *cluster)
{
	for (unsigned i = 0; i < cluster->node->config->loops; i++)
		peers_serve(cluster->loop_peers[i], PEER_SHARD_LIST, serve, cluster);
}

/* --- of other nodes --------------------------------------------------------------------------- */

struct question {
	struct peer_call call;
	struct peers *peers;
	struct completion completion;
	uint8_t head[SHARD_KEY_LEN];
	struct lost_batch *batch;
};

static void answered(struct peer_call *call)
{
	struct question *question = CONTAINER_OF(call, struct question, call);
	struct lost_batch *batch = question->batch;
	struct shard_key next;
	enum err err = call->err ? call->err : call->answer_err;
	struct bytes head = call->answer_head;
	if (!err && (head.len != LOST_HEAD_LEN || head.data[LOST_HEAD_LEN - 1] > 1))
		err = ERR_INVALID;
	if (!err)
		err = shard_key_decode(bytes_make(head.data, SHARD_KEY_LEN), &next);
	if (!err) {
		batch->is_end = head.data[LOST_HEAD_LEN - 1];
		batch->unsettled = get_le64(head.data + SHARD_KEY_LEN);
		next.drive = batch->next.drive;
		batch->next = next;
		batch->len = call->answer_len;
	}
	completion_end(&question->completion, err);
}

static enum err begin(void *arg)
{
	struct question *question = arg;
	peer_call_start(question->peers, &question->call);
	return ERR_OK;
}

static enum err read_there(struct node *node, struct id other, struct lost_batch *batch)
{
	struct question question = {.peers = node->cluster->loop_peers[0], .batch = batch};
	shard_key_encode(&batch->next, question.head);
	question.call = (struct peer_call){.node = other,
		.kind = PEER_SHARD_LIST,
		.deadline_ms = ASK_DEADLINE_MS,
		.head = bytes_make(question.head, sizeof question.head),
		.answer_buf = batch->bytes,
		.answer_cap = sizeof batch->bytes,
		.done = answered};
	completion_init(&question.completion);
	enum err err = loop_call(node->cluster->loop, begin, &question);
	return err ? err : completion_wait(&question.completion);
}

static enum err find_owner(struct node *node, uint16_t number, struct id *ret_node)
{
	struct index_reader *reader;
	struct row_drive row;
	enum err err = index_reader_open(node->index, &reader);
	if (err)
		return err;
	err = index_view_begin(reader);
	if (!err) {
		err = index_drive_get(reader, number, &row);
		if (!err)
			*ret_node = row.node;
		index_view_end(reader);
	}
	index_reader_close(reader);
	return err;
}

enum err lost_shards_read(struct node *node, struct lost_batch *batch)
{
	const struct node_drive *drive = find_here(node, batch->next.drive);
	struct id other;
	if (drive)
		return read_here(node, drive, batch);
	if (!node->cluster)
		return ERR_UNAVAILABLE;
	enum err err = find_owner(node, batch->next.drive, &other);
	if (!err && id_is_equal(other, node->identity.node))
		err = ERR_UNAVAILABLE;
	return err ? err : read_there(node, other, batch);
}

/* --- what is in a batch ----------------------------------------------------------------------- */

enum err lost_shards_next(const struct lost_batch *batch, size_t *at, struct lost_shard *ret_shard)
{
	const uint8_t *from = batch->bytes + *at;
	size_t left = batch->len - *at;
	struct lost_shard shard;
	if (left == 0)
		return ERR_END;
	if (left < LOST_SHARD_LEN ||
		shard_key_decode(bytes_make(from, SHARD_KEY_LEN), &shard.key) != ERR_OK)
		return ERR_INVALID;
	from += SHARD_KEY_LEN;
	size_t hint_len = get_le16(from + 2);
	uint64_t extent_len = get_le64(from + 8);
	struct geometry geometry;
	shard.k = from[0];
	shard.m = from[1];
	shard.unit_len = get_le32(from + 4);
	if (hint_len > DRIVE_HINT_LEN_MAX || hint_len > left - LOST_SHARD_LEN || extent_len == 0 ||
		extent_len > EXTENT_LEN_MAX ||
		!stripe_geometry_init(
			&geometry, shard.k, shard.m, shard.unit_len, (uint32_t)extent_len) ||
		shard.key.index >= shard.k + shard.m)
		return ERR_INVALID;
	shard.extent_len = (uint32_t)extent_len;
	shard.hint = bytes_make(from + 16, hint_len);
	*at += LOST_SHARD_LEN + hint_len;
	*ret_shard = shard;
	return ERR_OK;
}
