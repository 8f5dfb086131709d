/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_KV_LMDB_LONG_H
#define STORAGE_KV_LMDB_LONG_H

#include <lmdb.h>

#include "storage/kv.h"

/* The rows of a kv in an LMDB database, whose keys stop at 511 bytes where ours do not. The format
 * is told in kv_lmdb_long.c. Only storage/kv_lmdb*.c include this. */
enum {
	LONG_ROOT_LEN = 510, /* key bytes that the root level takes */
	LONG_BRANCH_LEN = 502, /* key bytes that each level below takes */
	LONG_LEVELS = 5,
};

static_assert(LONG_ROOT_LEN + (LONG_LEVELS - 1) * LONG_BRANCH_LEN > KV_KEY_LEN_MAX, "levels");

/* A place in the order of all keys. Zeroed before its first use. */
struct long_cursor {
	MDB_cursor *mdb; /* owned by the reader */
	unsigned depth;
	uint64_t ids[LONG_LEVELS]; /* of the branches down to here; ids[0] is unused */
	uint8_t key[LONG_ROOT_LEN +
		LONG_LEVELS * LONG_BRANCH_LEN]; /* of the row, if below the root */
};

/* Ours for an error of LMDB. */
MUST_USE enum err long_err(int rc);

/* Reads, or for a fresh database writes, the row that names the format. */
MUST_USE enum err long_check_format(MDB_txn *txn, MDB_dbi dbi);

/* Is the trailer right (I4)? */
bool long_is_whole(const MDB_val *key, const MDB_val *data);

/* As in kv.h. */
MUST_USE enum err long_get(MDB_txn *txn, MDB_dbi dbi, struct bytes key, struct bytes *ret_value);
MUST_USE enum err long_put(MDB_txn *txn, MDB_dbi dbi, struct bytes key, struct bytes value);
MUST_USE enum err long_remove(MDB_txn *txn, MDB_dbi dbi, struct bytes key);
MUST_USE enum err long_seek(struct long_cursor *cursor, struct bytes key, struct bytes *ret_key,
	struct bytes *ret_value);
MUST_USE enum err long_next(
	struct long_cursor *cursor, struct bytes *ret_key, struct bytes *ret_value);

#endif
