/* SPDX-License-Identifier: Apache-2.0 */
/* Where the bytes of a body are. A row of pieces is keyed by where its last piece ends, so the row
 * that has an offset is the first one behind it; and a slice leads on to another body,
 * ROW_DEPTH_MAX times at most. */
#include "storage/meta/index_priv.h"

/* The piece of a body that has an offset, or the next one. */
struct found_piece {
	struct row_piece piece;
	uint64_t start; /* of it, in its body */
};

static enum err sum_pieces(struct row_pieces pieces, uint64_t *ret_len)
{
	struct row_piece piece;
	uint64_t len = 0;
	enum err err;
	while ((err = row_piece_next(&pieces, &piece)) == ERR_OK)
		len += piece.len;
	*ret_len = len;
	return err == ERR_END ? ERR_OK : err;
}

static enum err find_in_row(
	struct row_pieces pieces, uint64_t start, uint64_t offset, struct found_piece *ret_found)
{
	for (;;) {
		struct row_piece piece;
		enum err err = row_piece_next(&pieces, &piece);
		if (err != ERR_OK)
			return err == ERR_END ? ERR_CORRUPT : err;
		if (offset < start + piece.len) {
			*ret_found = (struct found_piece){piece, start};
			return ERR_OK;
		}
		start += piece.len;
	}
}

static enum err find_piece(
	struct index_reader *reader, uint64_t body, uint64_t offset, struct found_piece *ret_found)
{
	struct row_key key;
	struct bytes found, value;
	row_key_pieces(&key, body, offset + 1, 0);
	enum err err = index_seek(reader, &key, 1 + 8, &found, &value);
	if (err != ERR_OK)
		return err;
	struct row_pieces pieces;
	uint64_t row_len;
	uint64_t end = get_be64(found.data + 1 + 8);
	err = row_pieces_decode(value, &pieces);
	if (err == ERR_OK)
		err = sum_pieces(pieces, &row_len);
	if (err == ERR_OK && row_len > end)
		err = ERR_CORRUPT;
	return err != ERR_OK ? err : find_in_row(pieces, end - row_len, offset, ret_found);
}

/* A run of a leaf: inline bytes from the offset on. */
static enum err find_inline(
	struct index_reader *reader, uint64_t body, uint64_t offset, struct index_piece *piece)
{
	struct bytes data;
	enum err err = index_inline_get(reader, body, &data);
	if (err != ERR_OK)
		return err;
	if (offset >= data.len)
		return ERR_NOT_FOUND;
	piece->inline_data = bytes_from(data, offset);
	piece->len = piece->inline_data.len;
	return ERR_OK;
}

/* A run of a leaf: what is left of one extent. */
static enum err find_extent(
	struct index_reader *reader, uint64_t body, uint64_t offset, struct index_piece *piece)
{
	struct found_piece found;
	enum err err = find_piece(reader, body, offset, &found);
	if (err != ERR_OK)
		return err;
	if (found.start > offset) {
		/* What was before is dismantled already. */
		if (piece->body.refs > 0)
			return ERR_CORRUPT;
		piece->start += found.start - offset;
		piece->leaf_offset = found.start;
		offset = found.start;
	}
	piece->extent = found.piece.extent;
	piece->slot = found.piece.slot;
	piece->extent_offset = offset - found.start;
	piece->len = found.piece.len - piece->extent_offset;
	err = index_extent_get(reader, piece->slot, piece->extent, &piece->row);
	return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

enum err index_piece_find(
	struct index_reader *reader, uint64_t body, uint64_t offset, struct index_piece *ret_piece)
{
	struct index_piece piece = {.start = offset};
	uint64_t limit = UINT64_MAX; /* what the slices on the way leave of the run */
	for (int depth = 0; depth <= ROW_DEPTH_MAX; depth++) {
		enum err err = index_body_get(reader, body, &piece.body);
		if (err != ERR_OK)
			return err == ERR_NOT_FOUND && depth > 0 ? ERR_CORRUPT : err;
		piece.leaf = body;
		piece.leaf_offset = offset;
		if (piece.body.kind == BODY_SLICES) {
			struct found_piece found;
			err = find_piece(reader, body, offset, &found);
			if (err == ERR_OK && found.start > offset)
				err = ERR_CORRUPT;
			if (err != ERR_OK)
				return err;
			uint64_t in_piece = offset - found.start;
			if (found.piece.len - in_piece < limit)
				limit = found.piece.len - in_piece;
			body = found.piece.body;
			offset = found.piece.offset + in_piece;
			continue;
		}
		err = piece.body.kind == BODY_INLINE ? find_inline(reader, body, offset, &piece)
						     : find_extent(reader, body, offset, &piece);
		if (err != ERR_OK)
			return err;
		if (piece.len > limit)
			piece.len = limit;
		if (piece.inline_data.len > piece.len)
			piece.inline_data.len = piece.len;
		*ret_piece = piece;
		return ERR_OK;
	}
	return ERR_CORRUPT;
}

enum err index_leaf_find(
	struct index_reader *reader, uint64_t body, uint64_t offset, struct index_leaf *ret_leaf)
{
	uint64_t limit = UINT64_MAX; /* what the slices on the way leave of the run */
	for (int depth = 0; depth <= ROW_DEPTH_MAX; depth++) {
		struct row_body row;
		struct found_piece found;
		enum err err = index_body_get(reader, body, &row);
		if (err != ERR_OK)
			return err == ERR_NOT_FOUND && depth > 0 ? ERR_CORRUPT : err;
		if (row.kind != BODY_SLICES) {
			if (offset >= row.len)
				return depth > 0 ? ERR_CORRUPT : ERR_NOT_FOUND;
			uint64_t left = row.len - offset;
			*ret_leaf = (struct index_leaf){
				body, offset, left < limit ? left : limit, row};
			return ERR_OK;
		}
		err = find_piece(reader, body, offset, &found);
		if (err == ERR_OK && found.start > offset)
			err = ERR_CORRUPT;
		if (err != ERR_OK)
			return err;
		uint64_t in_piece = offset - found.start;
		if (found.piece.len - in_piece < limit)
			limit = found.piece.len - in_piece;
		body = found.piece.body;
		offset = found.piece.offset + in_piece;
	}
	return ERR_CORRUPT;
}

enum err index_body_part(
	struct index_reader *reader, uint64_t body, uint32_t part, struct index_part *ret_part)
{
	assert(part >= 1);
	struct row_key key;
	struct bytes found, value;
	uint64_t offset = 0;
	uint32_t number = 0;
	row_key_id(&key, TABLE_PIECES, body);
	for (;;) {
		struct row_pieces pieces;
		struct row_piece piece;
		enum err err = index_seek(reader, &key, 1 + 8, &found, &value);
		if (err == ERR_OK)
			err = row_pieces_decode(value, &pieces);
		if (err != ERR_OK)
			return err;
		while ((err = row_piece_next(&pieces, &piece)) == ERR_OK) {
			if (++number == part) {
				*ret_part = (struct index_part){
					offset, piece.len, piece.part, piece.body};
				return ERR_OK;
			}
			offset += piece.len;
		}
		if (err != ERR_END)
			return err;
		row_key_begin(&key, TABLE_PIECES);
		row_key_bytes_append(&key, bytes_from(found, 1));
		row_key_u8(&key, 0); /* just behind it */
	}
}

enum err index_body_parts_after(struct index_reader *reader, uint64_t body, uint16_t number,
	struct index_part *parts, size_t cap, size_t *ret_count)
{
	struct row_key key;
	struct bytes found, value;
	uint64_t offset = 0;
	size_t count = 0;
	row_key_id(&key, TABLE_PIECES, body);
	while (count < cap) {
		struct row_pieces pieces;
		struct row_piece piece;
		enum err err = index_seek(reader, &key, 1 + 8, &found, &value);
		if (err == ERR_NOT_FOUND)
			break;
		if (err == ERR_OK)
			err = row_pieces_decode(value, &pieces);
		if (err != ERR_OK)
			return err;
		while (count < cap && (err = row_piece_next(&pieces, &piece)) == ERR_OK) {
			if (piece.part > number)
				parts[count++] = (struct index_part){
					offset, piece.len, piece.part, piece.body};
			offset += piece.len;
		}
		if (err != ERR_OK && err != ERR_END)
			return err;
		row_key_begin(&key, TABLE_PIECES);
		row_key_bytes_append(&key, bytes_from(found, 1));
		row_key_u8(&key, 0); /* just behind it */
	}
	*ret_count = count;
	return ERR_OK;
}
