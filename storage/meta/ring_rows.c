/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/ring_rows.h"

#include <stdlib.h>

#include "storage/meta/row_keys.h"

#define RING_LEN_MAX (8u << 20)

void ring_head_encode(const struct ring_head *head, uint8_t *buf)
{
	put_le64(buf, head->version);
	put_le32(buf + 8, head->len);
	put_le32(buf + 12, head->part_len);
}

enum err ring_head_decode(struct bytes value, struct ring_head *ret_head)
{
	if (value.len != RING_HEAD_LEN && value.len != RING_HEAD_LEN_OLD)
		return ERR_CORRUPT;
	ret_head->version = get_le64(value.data);
	ret_head->len = get_le32(value.data + 8);
	ret_head->part_len = value.len == RING_HEAD_LEN ? get_le32(value.data + 12)
							: RING_PART_LEN_OLD;
	return ret_head->len <= RING_LEN_MAX && ret_head->part_len >= 1024 ? ERR_OK : ERR_CORRUPT;
}

static enum err load_parts(
	struct buffer_view *view, uint8_t class, const struct ring_head *head, uint8_t *buf)
{
	for (size_t at = 0; at < head->len; at += head->part_len) {
		struct row_key key;
		struct bytes value;
		size_t len = head->len - at < head->part_len ? head->len - at : head->part_len;
		row_key_ring(&key, class, head->version, at / head->part_len);
		enum err err = buffer_view_get(view, row_key_bytes(&key), &value);
		if (err != ERR_OK)
			return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
		if (value.len != len)
			return ERR_CORRUPT;
		memcpy(buf + at, value.data, len);
	}
	return ERR_OK;
}

/* --- moves and gone drives -------------------------------------------------------------------- */

struct beside {
	struct ring_moving moves[RING_MOVES_MAX];
	size_t move_count;
	uint16_t gone[RING_DRIVES_MAX];
	size_t gone_count;
};

static enum err add_move(struct bytes key, struct bytes value, struct beside *beside)
{
	struct row_move row;
	enum err err = row_move_decode(value, &row);
	if (err == ERR_OK && (key.len != 4 || beside->move_count == RING_MOVES_MAX))
		err = ERR_CORRUPT;
	if (err != ERR_OK)
		return err;
	beside->moves[beside->move_count++] = (struct ring_moving){
		.slot = get_be16(key.data + 1),
		.shard = key.data[3],
		.is_ended = row.is_ended,
		.from = row.from,
		.to = row.to,
		.cursor = row.cursor,
		.since = row.since,
	};
	return ERR_OK;
}

static enum err add_gone(struct bytes value, struct beside *beside)
{
	struct row_drive row;
	enum err err = row_drive_decode(value, &row);
	if (err != ERR_OK || row.state < DRIVE_ROW_GONE)
		return err;
	if (beside->gone_count == RING_DRIVES_MAX)
		return ERR_CORRUPT;
	beside->gone[beside->gone_count++] = row.number;
	return ERR_OK;
}

static enum err load_beside(struct buffer_view *view, enum row_table table, struct beside *beside)
{
	uint8_t first = table;
	struct bytes key, value;
	enum err err = buffer_view_seek(view, bytes_make(&first, 1), &key, &value);
	while (err == ERR_OK && key.data[0] == table) {
		err = table == TABLE_MOVE ? add_move(key, value, beside) : add_gone(value, beside);
		if (err == ERR_OK)
			err = buffer_view_next(view, &key, &value);
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err load_snapshot(struct buffer_view *view, uint8_t class, const struct ring *ring,
	struct ring_snapshot **ret_snapshot)
{
	if (class & RING_ROWS_TARGET)
		return ring_snapshot_new(ring, ret_snapshot);
	struct ring_snapshot *target = NULL;
	enum err err = ring_rows_load(view, class | RING_ROWS_TARGET, &target);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	struct beside *beside = malloc(sizeof *beside);
	if (!beside) {
		ring_snapshot_unref(target);
		return ERR_NO_MEMORY;
	}
	beside->move_count = 0;
	beside->gone_count = 0;
	err = load_beside(view, TABLE_MOVE, beside);
	if (err == ERR_OK)
		err = load_beside(view, TABLE_DRIVE, beside);
	if (err == ERR_OK)
		err = ring_snapshot_new_moving(ring, target ? ring_snapshot_ring(target) : NULL,
			beside->moves, beside->move_count, beside->gone, beside->gone_count,
			ret_snapshot);
	ring_snapshot_unref(target);
	free(beside);
	return err;
}

enum err ring_rows_load(
	struct buffer_view *view, uint8_t class, struct ring_snapshot **ret_snapshot)
{
	struct row_key key;
	struct bytes value;
	row_key_ring(&key, class, 0, 0);
	enum err err = buffer_view_get(view, row_key_bytes(&key), &value);
	if (err != ERR_OK)
		return err;
	struct ring_head head;
	err = ring_head_decode(value, &head);
	if (err != ERR_OK)
		return err;
	uint8_t *buf = malloc(head.len + 1);
	if (!buf)
		return ERR_NO_MEMORY;
	struct ring ring;
	err = load_parts(view, class, &head, buf);
	if (err == ERR_OK)
		err = ring_decode(bytes_make(buf, head.len), &ring);
	if (err == ERR_INVALID)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		err = load_snapshot(view, class, &ring, ret_snapshot);
	free(buf);
	return err;
}
