/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_STATE_HASH_H
#define STORAGE_META_STATE_HASH_H

#include "storage/bytes.h"
#include "storage/err.h"

/* The state hash: for each table the sum, modulo 2^64, of a hash of each of its rows. Order does
 * not matter, so it is kept up to date row by row, and two members that applied the same log index
 * have the same sums or different rows. Table LOCAL is left out. */
struct state_hash {
	uint64_t tables[256]; /* by the first byte of the keys */
};

void state_hash_add(struct state_hash *hash, struct bytes key, struct bytes value);
void state_hash_subtract(struct state_hash *hash, struct bytes key, struct bytes value);

/* As bytes: pairs of table and sum, those that are not 0. */
#define STATE_HASH_LEN_MAX (256 * 9)
size_t state_hash_encode(const struct state_hash *hash, uint8_t *buf);
MUST_USE enum err state_hash_decode(struct bytes in, struct state_hash *ret_hash);

#endif
