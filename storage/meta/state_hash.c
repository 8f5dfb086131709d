/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/state_hash.h"

#include "erasure/checksum.h"
#include "storage/meta/row_keys.h"

#define PAIR_LEN 9

static uint64_t row_hash(struct bytes key, struct bytes value)
{
	return checksum(value.data, value.len, checksum(key.data, key.len, 0));
}

void state_hash_add(struct state_hash *hash, struct bytes key, struct bytes value)
{
	if (key.data[0] != TABLE_LOCAL)
		hash->tables[key.data[0]] += row_hash(key, value);
}

void state_hash_subtract(struct state_hash *hash, struct bytes key, struct bytes value)
{
	if (key.data[0] != TABLE_LOCAL)
		hash->tables[key.data[0]] -= row_hash(key, value);
}

size_t state_hash_encode(const struct state_hash *hash, uint8_t *buf)
{
	size_t len = 0;
	for (size_t table = 0; table < 256; table++) {
		if (hash->tables[table] == 0)
			continue;
		buf[len] = table;
		put_le64(buf + len + 1, hash->tables[table]);
		len += PAIR_LEN;
	}
	return len;
}

enum err state_hash_decode(struct bytes in, struct state_hash *ret_hash)
{
	if (in.len % PAIR_LEN != 0 || in.len > STATE_HASH_LEN_MAX)
		return ERR_CORRUPT;
	memset(ret_hash, 0, sizeof *ret_hash);
	for (; in.len > 0; in = bytes_from(in, PAIR_LEN))
		ret_hash->tables[in.data[0]] = get_le64(in.data + 1);
	return ERR_OK;
}
