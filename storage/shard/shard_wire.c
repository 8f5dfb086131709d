/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/shard/shard_wire.h"

#include "erasure/checksum.h"

static_assert(BLOCK_LEN == 16384, "the number of checksums of a transfer");

static bool is_zero(const uint8_t *p, size_t len)
{
	while (len > 0 && p[len - 1] == 0)
		len--;
	return len == 0;
}

void shard_key_encode(const struct shard_key *key, uint8_t *out)
{
	memset(out, 0, SHARD_KEY_LEN);
	put_le64(out, key->extent.session);
	put_le64(out + 8, key->extent.counter);
	put_le16(out + 16, key->drive);
	out[18] = key->index;
}

static enum err take_key(struct bytes head, size_t len, struct shard_key *ret_key)
{
	if (head.len != len || !is_zero(head.data + 19, SHARD_KEY_LEN - 19))
		return ERR_INVALID;
	struct shard_key key = {
		.extent = {get_le64(head.data), get_le64(head.data + 8)},
		.drive = get_le16(head.data + 16),
		.index = head.data[18],
	};
	if (key.extent.session == 0 || key.drive == 0)
		return ERR_INVALID;
	*ret_key = key;
	return ERR_OK;
}

enum err shard_key_decode(struct bytes head, struct shard_key *ret_key)
{
	return take_key(head, SHARD_KEY_LEN, ret_key);
}

void shard_open_encode(const struct shard_open *open, uint8_t *out)
{
	shard_key_encode(&open->key, out);
	out += SHARD_KEY_LEN;
	memset(out, 0, SHARD_OPEN_LEN - SHARD_KEY_LEN);
	out[0] = open->geometry.k;
	out[1] = open->geometry.m;
	put_le32(out + 4, open->geometry.unit_len);
	put_le64(out + 8, open->geometry.body_len);
}

enum err shard_open_decode(struct bytes head, struct shard_open *ret_open)
{
	struct shard_open open;
	enum err err = take_key(head, SHARD_OPEN_LEN, &open.key);
	if (err)
		return err;
	const uint8_t *in = head.data + SHARD_KEY_LEN;
	if (!is_zero(in + 2, 2) ||
		!stripe_geometry_init(
			&open.geometry, in[0], in[1], get_le32(in + 4), get_le64(in + 8)) ||
		open.key.index >= in[0] + in[1])
		return ERR_INVALID;
	*ret_open = open;
	return ERR_OK;
}

void shard_read_range_encode(const struct shard_read_range *range, uint8_t *out)
{
	shard_key_encode(&range->key, out);
	out += SHARD_KEY_LEN;
	memset(out, 0, SHARD_READ_LEN - SHARD_KEY_LEN);
	put_le64(out, range->start);
	put_le32(out + 8, range->len);
	out[12] = range->is_cached;
}

enum err shard_read_range_decode(struct bytes head, struct shard_read_range *ret_range)
{
	struct shard_read_range range;
	enum err err = take_key(head, SHARD_READ_LEN, &range.key);
	if (err)
		return err;
	const uint8_t *in = head.data + SHARD_KEY_LEN;
	range.start = get_le64(in);
	range.len = get_le32(in + 8);
	range.is_cached = in[12] == 1;
	if (in[12] > 1 || !is_zero(in + 13, 3) || range.len == 0 ||
		range.len > SHARD_TRANSFER_LEN_MAX || range.start % BLOCK_LEN != 0 ||
		range.start >= EXTENT_LEN_MAX)
		return ERR_INVALID;
	*ret_range = range;
	return ERR_OK;
}

void shard_append_encode(const struct shard_key *key, uint64_t offset, uint8_t *out)
{
	shard_key_encode(key, out);
	put_le64(out + SHARD_KEY_LEN, offset);
}

void shard_sums_encode(const uint64_t *sums, size_t count, uint8_t *out)
{
	assert(count <= SHARD_SUMS_MAX);
	for (size_t i = 0; i < count; i++)
		put_le64(out + 8 * i, sums[i]);
}

enum err shard_sums_decode(struct bytes head, size_t len, uint64_t ret_sums[SHARD_SUMS_MAX])
{
	if (len == 0 || len > SHARD_TRANSFER_LEN_MAX || head.len != 8 * checksum_block_count(len))
		return ERR_INVALID;
	for (size_t i = 0; i < head.len / 8; i++)
		ret_sums[i] = get_le64(head.data + 8 * i);
	return ERR_OK;
}

size_t shard_whole_encode(const struct shard_whole *whole, uint8_t *out)
{
	assert(whole->sum_count <= SHARD_WHOLE_SUMS_MAX);
	size_t len = SHARD_OPEN_LEN + 8 * whole->sum_count;
	shard_open_encode(&whole->open, out);
	shard_sums_encode(whole->sums, whole->sum_count, out + SHARD_OPEN_LEN);
	if (whole->hint.len > 0)
		memcpy(out + len, whole->hint.data, whole->hint.len);
	return len + whole->hint.len;
}

enum err shard_whole_decode(struct bytes head, size_t len, struct shard_whole *ret_whole)
{
	struct shard_whole whole;
	size_t count = checksum_block_count(len);
	if (len == 0 || len > SHARD_WHOLE_LEN_MAX || head.len < SHARD_OPEN_LEN + 8 * count)
		return ERR_INVALID;
	enum err err = shard_open_decode(bytes_make(head.data, SHARD_OPEN_LEN), &whole.open);
	if (err)
		return err;
	if (stripe_shard_len(&whole.open.geometry) != len)
		return ERR_INVALID;
	whole.sum_count = count;
	for (size_t i = 0; i < count; i++)
		whole.sums[i] = get_le64(head.data + SHARD_OPEN_LEN + 8 * i);
	whole.hint = bytes_from(head, SHARD_OPEN_LEN + 8 * count);
	*ret_whole = whole;
	return ERR_OK;
}

enum err shard_append_decode(struct bytes head, size_t len, struct shard_key *ret_key,
	uint64_t *ret_offset, uint64_t ret_sums[SHARD_SUMS_MAX])
{
	if (head.len < SHARD_APPEND_LEN || len % UNIT_GRAIN != 0)
		return ERR_INVALID;
	uint64_t offset = get_le64(head.data + SHARD_KEY_LEN);
	if (offset % BLOCK_LEN != 0 || offset >= EXTENT_LEN_MAX)
		return ERR_INVALID;
	struct shard_key key;
	enum err err = take_key(bytes_make(head.data, SHARD_KEY_LEN), SHARD_KEY_LEN, &key);
	if (err == ERR_OK)
		err = shard_sums_decode(bytes_from(head, SHARD_APPEND_LEN), len, ret_sums);
	if (err)
		return err;
	*ret_key = key;
	*ret_offset = offset;
	return ERR_OK;
}
