/* SPDX-License-Identifier: Apache-2.0 */
/* usage: plant INDEX
 *
 * Makes the index of a node that does not run a little different from that of the others, as a
 * command does that is applied wrongly. For tests of what members do then. */
#include <stdio.h>

#include "storage/kv_lmdb.h"
#include "storage/meta/row_keys.h"
#include "storage/meta/state_hash.h"

static enum err plant(struct kv *kv)
{
	struct kv_reader *reader;
	struct row_key key;
	struct bytes value;
	struct state_hash hash = {0};
	uint8_t buf[STATE_HASH_LEN_MAX];
	row_key_name(&key, TABLE_LOCAL, bytes_of("state-hash"));
	enum err err = kv_reader_open(kv, &reader);
	if (err)
		return err;
	err = kv_reader_begin(reader);
	if (!err)
		err = kv_get(reader, row_key_bytes(&key), &value);
	if (!err)
		err = state_hash_decode(value, &hash);
	kv_reader_end(reader);
	kv_reader_close(reader);
	hash.tables[TABLE_SETTING] ^= 1;
	if (!err)
		err = kv_write_begin(kv);
	if (!err)
		err = kv_put(kv, row_key_bytes(&key),
			bytes_make(buf, state_hash_encode(&hash, buf)));
	return err ? err : kv_commit(kv);
}

int main(int argc, char **argv)
{
	struct kv *kv;
	if (argc != 2)
		return 2;
	enum err err = kv_lmdb_open(argv[1], UINT64_C(1) << 38, &kv);
	if (!err) {
		err = plant(kv);
		kv_close(kv);
	}
	if (err)
		fprintf(stderr, "%s: %s\n", argv[1], err_text(err));
	return err ? 1 : 0;
}
