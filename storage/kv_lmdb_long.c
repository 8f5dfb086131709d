/* SPDX-License-Identifier: Apache-2.0 */
/* Long keys in LMDB, in order.
 *
 * A database has three kinds of rows, told apart by the first byte of the LMDB key:
 *
 *   00 key            a row of the root level, or a branch row
 *   01 id(8) rest     the same one level or more below, in the branch with that number
 *   02                the format of this file
 *
 * A level takes up to L bytes of a key (LONG_ROOT_LEN, or LONG_BRANCH_LEN below the root). A key
 * with fewer bytes left than L is a row, right there. One with L or more has a *branch row* at its
 * first L bytes, whose value is the number of a branch, and goes on there with what is left, which
 * may be nothing. Each value is followed by 8 bytes: XXH3 of the value, seeded with XXH3 of the
 * LMDB key.
 *
 * (I1) A row's part of the key is shorter than L, a branch row's is L: the two never meet, and all
 *      keys behind a branch row begin with its L bytes. So the order of LMDB keys, each branch read
 *      where its branch row stands, is the order of whole keys.
 * (I2) A branch has at least one row. Removing the last one removes the branch row, and so on up.
 * (I3) A new branch's number is one more than the highest in use; (I2) makes that the last 01 row.
 * (I4) The trailer is checked before any byte of a value is used. A row that stands at another key
 *      than it was written for does not pass.
 */
#include "storage/kv_lmdb_long.h"

#include <xxhash.h>

enum {
	TAG_ROOT = 0,
	TAG_BRANCH = 1,
	TAG_FORMAT = 2,
	BRANCH_HEAD_LEN = 9,
	TRAILER_LEN = 8,
	MDB_KEY_LEN_MAX = 511,
	FORMAT_VERSION = 1,
};

static_assert(1 + LONG_ROOT_LEN <= MDB_KEY_LEN_MAX, "a root key fits");
static_assert(BRANCH_HEAD_LEN + LONG_BRANCH_LEN <= MDB_KEY_LEN_MAX, "a branch key fits");

static const char format_name[8] = "rubus-kv";

/* One LMDB key. */
struct mdb_key {
	MDB_val val;
	uint8_t bytes[MDB_KEY_LEN_MAX];
};

enum err long_err(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return ERR_OK;
	case MDB_NOTFOUND:
		return ERR_NOT_FOUND;
	case MDB_MAP_FULL:
		return ERR_NO_SPACE;
	case MDB_READERS_FULL:
		return ERR_LIMIT;
	case MDB_VERSION_MISMATCH:
		return ERR_VERSION;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_CURSOR_FULL:
	case MDB_PAGE_FULL:
	case MDB_INCOMPATIBLE:
		return ERR_CORRUPT;
	default:
		return rc > 0 ? err_from_errno(rc) : ERR_IO;
	}
}

/* --- rows ------------------------------------------------------------------------------------- */

static size_t level_len(unsigned depth)
{
	return depth == 0 ? LONG_ROOT_LEN : LONG_BRANCH_LEN;
}

static size_t level_head_len(unsigned depth)
{
	return depth == 0 ? 1 : BRANCH_HEAD_LEN;
}

static void make_key(struct mdb_key *key, unsigned depth, uint64_t id, struct bytes part)
{
	size_t head_len = level_head_len(depth);
	assert(part.len <= level_len(depth));
	key->bytes[0] = depth == 0 ? TAG_ROOT : TAG_BRANCH;
	if (depth > 0)
		put_be64(key->bytes + 1, id);
	if (part.len > 0)
		memcpy(key->bytes + head_len, part.data, part.len);
	key->val = (MDB_val){head_len + part.len, key->bytes};
}

static uint64_t checksum(const MDB_val *key, const void *value, size_t len)
{
	return XXH3_64bits_withSeed(value, len, XXH3_64bits(key->mv_data, key->mv_size));
}

/* Takes the trailer off a value (I4). */
static enum err check_row(const MDB_val *key, const MDB_val *data, struct bytes *ret_value)
{
	if (data->mv_size < TRAILER_LEN)
		return ERR_CORRUPT;
	size_t len = data->mv_size - TRAILER_LEN;
	const uint8_t *value = data->mv_data;
	if (get_le64(value + len) != checksum(key, value, len))
		return ERR_CORRUPT;
	*ret_value = bytes_make(value, len);
	return ERR_OK;
}

bool long_is_whole(const MDB_val *key, const MDB_val *data)
{
	struct bytes value;
	return check_row(key, data, &value) == ERR_OK;
}

static enum err get_row(MDB_txn *txn, MDB_dbi dbi, struct mdb_key *key, struct bytes *ret_value)
{
	MDB_val data;
	int rc = mdb_get(txn, dbi, &key->val, &data);
	return rc == 0 ? check_row(&key->val, &data, ret_value) : long_err(rc);
}

static enum err put_row(MDB_txn *txn, MDB_dbi dbi, struct mdb_key *key, struct bytes value)
{
	MDB_val data = {value.len + TRAILER_LEN, NULL};
	int rc = mdb_put(txn, dbi, &key->val, &data, MDB_RESERVE);
	if (rc != 0)
		return long_err(rc);
	uint8_t *out = data.mv_data;
	if (value.len > 0)
		memcpy(out, value.data, value.len);
	put_le64(out + value.len, checksum(&key->val, out, value.len));
	return ERR_OK;
}

static enum err decode_branch(struct bytes value, uint64_t *ret_id)
{
	if (value.len != sizeof *ret_id)
		return ERR_CORRUPT;
	*ret_id = get_le64(value.data);
	return ERR_OK;
}

/* The LMDB key of the level at which a key is a row, by way of its branches; ids has their numbers.
 * ERR_NOT_FOUND: a branch is not there, and key is what its branch row would have. */
static enum err walk(MDB_txn *txn, MDB_dbi dbi, struct bytes key, struct mdb_key *mdb_key,
	uint64_t ids[LONG_LEVELS], unsigned *depth)
{
	size_t offset = 0;
	for (unsigned d = 0; d < *depth; d++)
		offset += level_len(d);
	struct bytes rest = bytes_from(key, offset);
	while (rest.len >= level_len(*depth)) {
		size_t len = level_len(*depth);
		make_key(mdb_key, *depth, ids[*depth], bytes_make(rest.data, len));
		struct bytes value = {NULL, 0};
		enum err err = get_row(txn, dbi, mdb_key, &value);
		if (err == ERR_OK)
			err = decode_branch(value, &ids[*depth + 1]);
		if (err != ERR_OK)
			return err;
		*depth += 1;
		rest = bytes_from(rest, len);
	}
	make_key(mdb_key, *depth, ids[*depth], rest);
	return ERR_OK;
}

enum err long_get(MDB_txn *txn, MDB_dbi dbi, struct bytes key, struct bytes *ret_value)
{
	assert(key.len > 0 && key.len <= KV_KEY_LEN_MAX);
	struct mdb_key mdb_key;
	uint64_t ids[LONG_LEVELS] = {0};
	unsigned depth = 0;
	enum err err = walk(txn, dbi, key, &mdb_key, ids, &depth);
	return err == ERR_OK ? get_row(txn, dbi, &mdb_key, ret_value) : err;
}

/* --- changing --------------------------------------------------------------------------------- */

/* (I3) */
static enum err next_branch_id(MDB_txn *txn, MDB_dbi dbi, uint64_t *ret_id)
{
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, dbi, &cursor);
	if (rc != 0)
		return long_err(rc);
	uint8_t tag = TAG_FORMAT;
	MDB_val key = {1, &tag}, data;
	rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_KEY);
	if (rc == 0)
		rc = mdb_cursor_get(cursor, &key, &data, MDB_PREV);
	uint64_t id = 1;
	const uint8_t *last = key.mv_data;
	if (rc == 0 && key.mv_size >= BRANCH_HEAD_LEN && last[0] == TAG_BRANCH)
		id = get_be64(last + 1) + 1;
	mdb_cursor_close(cursor);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return long_err(rc);
	*ret_id = id;
	return ERR_OK;
}

enum err long_put(MDB_txn *txn, MDB_dbi dbi, struct bytes key, struct bytes value)
{
	assert(key.len > 0 && key.len <= KV_KEY_LEN_MAX);
	assert(value.len <= KV_VALUE_LEN_MAX);
	struct mdb_key mdb_key;
	uint64_t ids[LONG_LEVELS] = {0};
	unsigned depth = 0;
	uint64_t new_id = 0;
	enum err err;
	while ((err = walk(txn, dbi, key, &mdb_key, ids, &depth)) == ERR_NOT_FOUND) {
		/* The rows of further new branches come last, so theirs just count on. */
		err = new_id == 0 ? next_branch_id(txn, dbi, &new_id) : ERR_OK;
		if (err != ERR_OK)
			return err;
		uint8_t number[8];
		put_le64(number, new_id++);
		err = put_row(txn, dbi, &mdb_key, bytes_make(number, sizeof number));
		if (err != ERR_OK)
			return err;
	}
	return err == ERR_OK ? put_row(txn, dbi, &mdb_key, value) : err;
}

static enum err branch_is_empty(MDB_txn *txn, MDB_dbi dbi, uint64_t id, bool *ret_is_empty)
{
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, dbi, &cursor);
	if (rc != 0)
		return long_err(rc);
	struct mdb_key key;
	make_key(&key, 1, id, bytes_make(NULL, 0));
	MDB_val found = key.val, data;
	rc = mdb_cursor_get(cursor, &found, &data, MDB_SET_RANGE);
	if (rc == 0)
		*ret_is_empty = found.mv_size < BRANCH_HEAD_LEN ||
			memcmp(found.mv_data, key.bytes, BRANCH_HEAD_LEN) != 0;
	else if (rc == MDB_NOTFOUND)
		*ret_is_empty = true;
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? ERR_OK : long_err(rc);
}

enum err long_remove(MDB_txn *txn, MDB_dbi dbi, struct bytes key)
{
	assert(key.len > 0 && key.len <= KV_KEY_LEN_MAX);
	struct mdb_key mdb_key;
	uint64_t ids[LONG_LEVELS] = {0};
	unsigned depth = 0;
	enum err err = walk(txn, dbi, key, &mdb_key, ids, &depth);
	if (err == ERR_OK)
		err = long_err(mdb_del(txn, dbi, &mdb_key.val, NULL));
	/* (I2) */
	while (err == ERR_OK && depth > 0) {
		bool is_empty = false;
		err = branch_is_empty(txn, dbi, ids[depth], &is_empty);
		if (err != ERR_OK || !is_empty)
			break;
		depth--;
		size_t offset = 0;
		for (unsigned d = 0; d < depth; d++)
			offset += level_len(d);
		make_key(&mdb_key, depth, ids[depth],
			bytes_make(key.data + offset, level_len(depth)));
		err = long_err(mdb_del(txn, dbi, &mdb_key.val, NULL));
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* --- the cursor: what decides is settle() ----------------------------------------------------- */

/* Where the current level's part begins in cursor->key. */
static size_t level_offset(unsigned depth)
{
	return depth == 0 ? 0 : LONG_ROOT_LEN + (depth - 1) * (size_t)LONG_BRANCH_LEN;
}

static int go_to(struct long_cursor *cursor, struct bytes part, MDB_val *key, MDB_val *data)
{
	struct mdb_key from;
	make_key(&from, cursor->depth, cursor->ids[cursor->depth], part);
	*key = from.val;
	return mdb_cursor_get(cursor->mdb, key, data, MDB_SET_RANGE);
}

static bool is_in_level(const struct long_cursor *cursor, const MDB_val *key)
{
	const uint8_t *bytes = key->mv_data;
	if (cursor->depth == 0)
		return bytes[0] == TAG_ROOT;
	return key->mv_size >= BRANCH_HEAD_LEN && bytes[0] == TAG_BRANCH &&
		get_be64(bytes + 1) == cursor->ids[cursor->depth];
}

/* Goes back to the branch row that led here, and past it. */
static int ascend(struct long_cursor *cursor, MDB_val *key, MDB_val *data)
{
	assert(cursor->depth > 0);
	cursor->depth--;
	const uint8_t *part = cursor->key + level_offset(cursor->depth);
	int rc = go_to(cursor, bytes_make(part, level_len(cursor->depth)), key, data);
	return rc == 0 ? mdb_cursor_get(cursor->mdb, key, data, MDB_NEXT) : rc;
}

/* Enters the branch whose branch row was found; part is its part of the key. */
static enum err descend(
	struct long_cursor *cursor, struct bytes part, const MDB_val *key, const MDB_val *data)
{
	struct bytes value;
	enum err err = check_row(key, data, &value);
	uint64_t id = 0;
	if (err == ERR_OK)
		err = decode_branch(value, &id);
	if (err == ERR_OK && cursor->depth + 1 == LONG_LEVELS)
		err = ERR_CORRUPT;
	if (err != ERR_OK)
		return err;
	memmove(cursor->key + level_offset(cursor->depth), part.data, part.len);
	cursor->depth++;
	cursor->ids[cursor->depth] = id;
	return ERR_OK;
}

/* From where LMDB's cursor is (rc, key, data), finds the first row at or after it. */
static enum err settle(struct long_cursor *cursor, int rc, MDB_val key, MDB_val data,
	struct bytes *ret_key, struct bytes *ret_value)
{
	for (;;) {
		if (rc != 0 && rc != MDB_NOTFOUND)
			return long_err(rc);
		if (rc == MDB_NOTFOUND || key.mv_size == 0 || !is_in_level(cursor, &key)) {
			if (cursor->depth == 0)
				return ERR_NOT_FOUND;
			rc = ascend(cursor, &key, &data);
			continue;
		}
		size_t head_len = level_head_len(cursor->depth);
		struct bytes part = bytes_from(bytes_make(key.mv_data, key.mv_size), head_len);
		if (part.len < level_len(cursor->depth)) {
			enum err err = check_row(&key, &data, ret_value);
			if (err != ERR_OK)
				return err;
			*ret_key = part;
			if (cursor->depth > 0) {
				size_t offset = level_offset(cursor->depth);
				if (part.len > 0)
					memcpy(cursor->key + offset, part.data, part.len);
				*ret_key = bytes_make(cursor->key, offset + part.len);
			}
			return ERR_OK;
		}
		enum err err = descend(cursor, part, &key, &data);
		if (err != ERR_OK)
			return err;
		rc = go_to(cursor, bytes_make(NULL, 0), &key, &data);
	}
}

enum err long_seek(struct long_cursor *cursor, struct bytes key, struct bytes *ret_key,
	struct bytes *ret_value)
{
	assert(key.len <= KV_KEY_LEN_MAX);
	cursor->depth = 0;
	struct bytes rest = key;
	for (;;) {
		size_t len = level_len(cursor->depth);
		struct bytes part = rest.len < len ? rest : bytes_make(rest.data, len);
		MDB_val found = {0, NULL}, data = {0, NULL};
		int rc = go_to(cursor, part, &found, &data);
		struct mdb_key wanted;
		make_key(&wanted, cursor->depth, cursor->ids[cursor->depth], part);
		bool is_branch = rc == 0 && part.len == len &&
			found.mv_size == wanted.val.mv_size &&
			memcmp(found.mv_data, wanted.bytes, found.mv_size) == 0;
		if (!is_branch)
			return settle(cursor, rc, found, data, ret_key, ret_value);
		enum err err = descend(cursor, part, &found, &data);
		if (err != ERR_OK)
			return err;
		rest = bytes_from(rest, len);
	}
}

enum err long_next(struct long_cursor *cursor, struct bytes *ret_key, struct bytes *ret_value)
{
	MDB_val key = {0, NULL}, data = {0, NULL};
	int rc = mdb_cursor_get(cursor->mdb, &key, &data, MDB_NEXT);
	return settle(cursor, rc, key, data, ret_key, ret_value);
}

/* --- the format row --------------------------------------------------------------------------- */

enum err long_check_format(MDB_txn *txn, MDB_dbi dbi)
{
	struct mdb_key key = {.bytes = {TAG_FORMAT}};
	key.val = (MDB_val){1, key.bytes};
	struct bytes value = {NULL, 0};
	enum err err = get_row(txn, dbi, &key, &value);
	if (err == ERR_OK) {
		if (value.len < 12 || memcmp(value.data, format_name, 8) != 0)
			return ERR_CORRUPT;
		return get_le32(value.data + 8) == FORMAT_VERSION ? ERR_OK : ERR_VERSION;
	}
	if (err != ERR_NOT_FOUND)
		return err;
	MDB_stat stat;
	err = long_err(mdb_stat(txn, dbi, &stat));
	if (err != ERR_OK)
		return err;
	if (stat.ms_entries > 0)
		return ERR_CORRUPT;
	uint8_t out[12];
	memcpy(out, format_name, 8);
	put_le32(out + 8, FORMAT_VERSION);
	return put_row(txn, dbi, &key, bytes_make(out, sizeof out));
}
