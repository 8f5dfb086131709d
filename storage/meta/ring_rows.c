/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/ring_rows.h"

#include <stdlib.h>

#include "storage/meta/row_keys.h"

#define RING_LEN_MAX (8u << 20)

void ring_head_encode(const struct ring_head *head, uint8_t *buf)
{
	put_le64(buf, head->version);
	put_le32(buf + 8, head->len);
}

enum err ring_head_decode(struct bytes value, struct ring_head *ret_head)
{
	if (value.len != RING_HEAD_LEN)
		return ERR_CORRUPT;
	ret_head->version = get_le64(value.data);
	ret_head->len = get_le32(value.data + 8);
	return ret_head->len <= RING_LEN_MAX ? ERR_OK : ERR_CORRUPT;
}

static enum err load_parts(
	struct buffer_view *view, uint8_t class, const struct ring_head *head, uint8_t *buf)
{
	for (size_t at = 0; at < head->len; at += RING_PART_LEN) {
		struct row_key key;
		struct bytes value;
		size_t len = head->len - at < RING_PART_LEN ? head->len - at : RING_PART_LEN;
		row_key_ring(&key, class, head->version, at / RING_PART_LEN);
		enum err err = buffer_view_get(view, row_key_bytes(&key), &value);
		if (err != ERR_OK)
			return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
		if (value.len != len)
			return ERR_CORRUPT;
		memcpy(buf + at, value.data, len);
	}
	return ERR_OK;
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
		err = ring_snapshot_new(&ring, ret_snapshot);
	free(buf);
	return err;
}
