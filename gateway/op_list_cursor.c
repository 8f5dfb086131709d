/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_list_cursor.h"

#define SUB_LEN 13

struct bytes op_list_sub_encode(struct version_id version, bool is_null, uint8_t *buf)
{
	put_be64(buf, version.index);
	put_be32(buf + 8, version.position);
	buf[12] = is_null;
	return bytes_make(buf, SUB_LEN);
}

void op_list_sub_decode(struct bytes sub, struct version_id *ret_version, bool *ret_is_null)
{
	assert(sub.len == SUB_LEN);
	*ret_version = (struct version_id){get_be64(sub.data), get_be32(sub.data + 8)};
	*ret_is_null = sub.data[12];
}

static void show(struct op_list_cursor *cursor)
{
	const struct object_info *row = op_list_cursor_row(cursor);
	cursor->is_skipping = false;
	cursor->base.key = cursor->versions.key;
	cursor->base.sub = (struct bytes){0};
	if (cursor->is_all)
		cursor->base.sub = op_list_sub_encode(row->version, row->row.is_null, cursor->sub);
}

/* From the row that was reached on to one that counts. */
static enum err settle(struct op_list_cursor *cursor, enum err err)
{
	while (err == ERR_OK) {
		struct bytes key = cursor->versions.key;
		if (cursor->is_all || !op_list_cursor_row(cursor)->row.is_delete_marker) {
			show(cursor);
			return ERR_OK;
		}
		if (++cursor->steps > OP_LIST_STEPS_MAX) {
			memcpy(cursor->skipped, key.data, key.len);
			cursor->skipped_len = key.len;
			cursor->is_skipping = true;
			return ERR_BUSY;
		}
		err = index_versions_next_key(&cursor->versions);
	}
	return err;
}

static struct op_list_cursor *cursor_of(struct listing_cursor *base)
{
	return CONTAINER_OF(base, struct op_list_cursor, base);
}

static enum err seek(struct listing_cursor *base, struct bytes key)
{
	struct op_list_cursor *cursor = cursor_of(base);
	struct bytes skipped = bytes_make(cursor->skipped, cursor->skipped_len);

	if (cursor->is_skipping && bytes_compare(key, skipped) <= 0)
		return settle(cursor, index_versions_seek_after(&cursor->versions, skipped));
	return settle(cursor, index_versions_seek(&cursor->versions, key));
}

static enum err seek_after(struct listing_cursor *base, struct bytes key, struct bytes sub)
{
	struct op_list_cursor *cursor = cursor_of(base);
	struct version_id version;
	bool is_null;

	op_list_sub_decode(sub, &version, &is_null);
	return settle(cursor, index_versions_seek_after_version(&cursor->versions, key, version));
}

static enum err next(struct listing_cursor *base)
{
	struct op_list_cursor *cursor = cursor_of(base);
	return settle(cursor,
		cursor->is_all ? index_versions_next(&cursor->versions)
			       : index_versions_next_key(&cursor->versions));
}

void op_list_cursor_init(struct op_list_cursor *cursor, bool is_all)
{
	cursor->base = (struct listing_cursor){
		.seek = seek, .seek_after = seek_after, .next = next};
	cursor->is_all = is_all;
	cursor->is_skipping = false;
	cursor->skipped_len = 0;
}

void op_list_cursor_resume(
	struct op_list_cursor *cursor, struct index_reader *reader, uint64_t bucket)
{
	cursor->steps = 0;
	index_versions_init(&cursor->versions, reader, bucket);
}
