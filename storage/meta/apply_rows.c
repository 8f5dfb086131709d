/* SPDX-License-Identifier: Apache-2.0 */
/* How apply reads and writes rows: the state hash follows each change, and the first error of the
 * machine stays (A3). */
#include "storage/meta/apply_priv.h"

void apply_fail(struct apply *apply, enum err err)
{
	assert(err != ERR_OK);
	if (apply->err == ERR_OK)
		apply->err = err;
}

bool apply_decode_is_ok(struct apply *apply, enum err err)
{
	if (err != ERR_OK)
		apply_fail(apply, err);
	return err == ERR_OK;
}

/* A row that is not there is no error of the machine. */
static bool is_found(struct apply *apply, enum err err)
{
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		apply_fail(apply, err);
	return err == ERR_OK;
}

bool apply_get(struct apply *apply, const struct row_key *key, struct bytes *ret_value)
{
	if (apply->err != ERR_OK)
		return false;
	return is_found(apply, buffer_view_get(&apply->view, row_key_bytes(key), ret_value));
}

static void put(struct apply *apply, struct bytes key, struct bytes value)
{
	if (apply->err != ERR_OK)
		return;
	state_hash_add(&apply->hash, key, value);
	enum err err = buffer_put(apply->buffer, key, value);
	if (err != ERR_OK)
		apply_fail(apply, err);
}

void apply_put_new(struct apply *apply, const struct row_key *key, struct bytes value)
{
	put(apply, row_key_bytes(key), value);
}

void apply_put(struct apply *apply, const struct row_key *key, struct bytes value)
{
	struct bytes old;
	if (apply_get(apply, key, &old))
		state_hash_subtract(&apply->hash, row_key_bytes(key), old);
	put(apply, row_key_bytes(key), value);
}

void apply_remove_found(struct apply *apply, struct bytes key)
{
	struct row_key copy;
	row_key_begin(&copy, key.data[0]);
	row_key_bytes_append(&copy, bytes_from(key, 1));
	apply_remove(apply, &copy);
}

void apply_remove(struct apply *apply, const struct row_key *key)
{
	struct bytes old;
	if (!apply_get(apply, key, &old))
		return;
	state_hash_subtract(&apply->hash, row_key_bytes(key), old);
	enum err err = buffer_remove(apply->buffer, row_key_bytes(key));
	if (err != ERR_OK)
		apply_fail(apply, err);
}

bool apply_seek(struct apply *apply, const struct row_key *key, size_t prefix_len,
	struct bytes *ret_key, struct bytes *ret_value)
{
	assert(prefix_len <= key->len);
	if (apply->err != ERR_OK)
		return false;
	return is_found(apply,
		       buffer_view_seek(&apply->view, row_key_bytes(key), ret_key, ret_value)) &&
		bytes_has_prefix(*ret_key, bytes_make(key->data, prefix_len));
}

bool apply_next(
	struct apply *apply, struct bytes prefix, struct bytes *ret_key, struct bytes *ret_value)
{
	if (apply->err != ERR_OK)
		return false;
	return is_found(apply, buffer_view_next(&apply->view, ret_key, ret_value)) &&
		bytes_has_prefix(*ret_key, prefix);
}

#define X(name) \
	bool apply_get_##name( \
		struct apply *apply, const struct row_key *key, struct row_##name *ret_row) \
	{ \
		struct bytes value; \
		return apply_get(apply, key, &value) && APPLY_DECODE(apply, name, value, ret_row); \
	} \
	void apply_put_##name( \
		struct apply *apply, const struct row_key *key, const struct row_##name *row) \
	{ \
		size_t len = row_##name##_encode(row, apply->row_buf); \
		apply_put(apply, key, bytes_make(apply->row_buf, len)); \
	} \
	void apply_new_##name( \
		struct apply *apply, const struct row_key *key, const struct row_##name *row) \
	{ \
		size_t len = row_##name##_encode(row, apply->row_buf); \
		apply_put_new(apply, key, bytes_make(apply->row_buf, len)); \
	}
ROWS_TABLE(X)
#undef X
