/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/row_keys.h"

#define VERSION_LEN 12

/* The longest key is a version's whose S3 key is all zeros. */
static_assert(1 + 8 + 2 * ROW_KEY_LEN_MAX + 2 + VERSION_LEN <= KV_KEY_LEN_MAX, "keys fit");

void row_key_begin(struct row_key *key, enum row_table table)
{
	key->data[0] = table;
	key->len = 1;
}

void row_key_u8(struct row_key *key, uint8_t v)
{
	assert(key->len < sizeof key->data);
	key->data[key->len++] = v;
}

void row_key_u16(struct row_key *key, uint16_t v)
{
	assert(key->len + 2 <= sizeof key->data);
	put_be16(key->data + key->len, v);
	key->len += 2;
}

static void append_u32(struct row_key *key, uint32_t v)
{
	assert(key->len + 4 <= sizeof key->data);
	put_be32(key->data + key->len, v);
	key->len += 4;
}

void row_key_u64(struct row_key *key, uint64_t v)
{
	assert(key->len + 8 <= sizeof key->data);
	put_be64(key->data + key->len, v);
	key->len += 8;
}

void row_key_bytes_append(struct row_key *key, struct bytes bytes)
{
	assert(bytes.len <= sizeof key->data - key->len);
	if (bytes.len > 0)
		memcpy(key->data + key->len, bytes.data, bytes.len);
	key->len += bytes.len;
}

void row_key_escaped(struct row_key *key, struct bytes s3_key)
{
	assert(s3_key.len <= ROW_KEY_LEN_MAX);
	assert(2 * s3_key.len <= sizeof key->data - key->len);
	while (s3_key.len > 0) {
		const uint8_t *zero = memchr(s3_key.data, 0, s3_key.len);
		size_t plain = zero ? zero - s3_key.data : s3_key.len;
		memcpy(key->data + key->len, s3_key.data, plain);
		key->len += plain;
		s3_key = bytes_from(s3_key, plain);
		if (zero) {
			row_key_u16(key, 0x00ff);
			s3_key = bytes_from(s3_key, 1);
		}
	}
}

void row_key_escaped_end(struct row_key *key)
{
	row_key_u16(key, 0);
}

bool row_key_make_successor(struct row_key *key)
{
	while (key->len > 0 && key->data[key->len - 1] == 0xff)
		key->len--;
	if (key->len == 0)
		return false;
	key->data[key->len - 1]++;
	return true;
}

void row_key_name(struct row_key *key, enum row_table table, struct bytes name)
{
	row_key_begin(key, table);
	row_key_bytes_append(key, name);
}

void row_key_bucket_name(struct row_key *key, struct bytes name)
{
	row_key_name(key, TABLE_BUCKET_NAME, name);
}

void row_key_id(struct row_key *key, enum row_table table, uint64_t id)
{
	row_key_begin(key, table);
	row_key_u64(key, id);
}

void row_key_bucket_config(struct row_key *key, uint64_t bucket, uint8_t kind)
{
	row_key_id(key, TABLE_BUCKET_CONFIG, bucket);
	row_key_u8(key, kind);
}

void row_key_object(struct row_key *key, enum row_table table, uint64_t bucket, struct bytes s3_key)
{
	row_key_id(key, table, bucket);
	row_key_escaped(key, s3_key);
	row_key_escaped_end(key);
}

void row_key_version(
	struct row_key *key, uint64_t bucket, struct bytes s3_key, struct version_id version)
{
	row_key_object(key, TABLE_VERSION, bucket, s3_key);
	row_key_u64(key, ~version.index);
	append_u32(key, ~version.position);
}

void row_key_overflow(struct row_key *key, struct version_id version)
{
	row_key_id(key, TABLE_OVERFLOW, version.index);
	append_u32(key, version.position);
}

void row_key_event(struct row_key *key, uint64_t bucket, const struct event_place *place)
{
	row_key_id(key, TABLE_EVENT, bucket);
	row_key_u64(key, place->at.index);
	append_u32(key, place->at.position);
	row_key_u64(key, place->hash);
}

void row_key_notice(struct row_key *key, struct bytes target, struct version_id place)
{
	row_key_begin(key, TABLE_NOTICE);
	row_key_escaped(key, target);
	row_key_escaped_end(key);
	row_key_u64(key, place.index);
	append_u32(key, place.position);
}

void row_key_pieces(struct row_key *key, uint64_t body, uint64_t end, uint16_t number)
{
	row_key_id(key, TABLE_PIECES, body);
	row_key_u64(key, end);
	row_key_u16(key, number);
}

void row_key_extent(struct row_key *key, uint16_t slot, struct extent_id extent)
{
	row_key_begin(key, TABLE_EXTENT);
	row_key_u16(key, slot);
	row_key_u64(key, extent.session);
	row_key_u64(key, extent.counter);
}

void row_key_stage(struct row_key *key, uint64_t session, uint64_t body)
{
	row_key_id(key, TABLE_STAGE, session);
	row_key_u64(key, body);
}

void row_key_upload(struct row_key *key, uint64_t bucket, struct bytes s3_key, uint64_t upload)
{
	row_key_object(key, TABLE_UPLOAD, bucket, s3_key);
	row_key_u64(key, upload);
}

void row_key_part(struct row_key *key, uint64_t upload, uint16_t part)
{
	row_key_id(key, TABLE_PART, upload);
	row_key_u16(key, part);
}

void row_key_result(struct row_key *key, uint64_t session, uint64_t sequence)
{
	row_key_id(key, TABLE_RESULT, session);
	row_key_u64(key, sequence);
}

void row_key_garbage(struct row_key *key, uint64_t log_index, uint8_t kind, uint64_t id)
{
	row_key_id(key, TABLE_GARBAGE, log_index);
	row_key_u8(key, kind);
	row_key_u64(key, id);
}

void row_key_drive(struct row_key *key, uint16_t number)
{
	row_key_begin(key, TABLE_DRIVE);
	row_key_u16(key, number);
}

void row_key_node(struct row_key *key, uint16_t number)
{
	row_key_begin(key, TABLE_NODE);
	row_key_u16(key, number);
}

void row_key_token(struct row_key *key, struct id token)
{
	row_key_name(key, TABLE_TOKEN, bytes_make(token.bytes, sizeof token.bytes));
}

void row_key_slot(struct row_key *key, uint16_t slot)
{
	row_key_begin(key, TABLE_SLOT_COUNTS);
	row_key_u16(key, slot);
}

void row_key_ring(struct row_key *key, uint8_t ring, uint64_t version, uint16_t part)
{
	row_key_begin(key, TABLE_RING);
	row_key_u8(key, ring);
	row_key_u64(key, version);
	row_key_u16(key, part);
}

void row_key_move(struct row_key *key, uint16_t slot, uint8_t shard)
{
	row_key_begin(key, TABLE_MOVE);
	row_key_u16(key, slot);
	row_key_u8(key, shard);
}

void row_key_leftover(struct row_key *key, uint16_t slot, uint8_t shard, uint16_t drive)
{
	row_key_begin(key, TABLE_LEFTOVER);
	row_key_u16(key, slot);
	row_key_u8(key, shard);
	row_key_u16(key, drive);
}

void row_key_drive_counts(struct row_key *key, uint16_t drive)
{
	row_key_begin(key, TABLE_DRIVE_COUNTS);
	row_key_u16(key, drive);
}

void row_key_span(struct row_key *key, uint16_t drive, uint16_t slot)
{
	row_key_begin(key, TABLE_SPAN);
	row_key_u16(key, drive);
	row_key_u16(key, slot);
}

/* Unescapes up to and over the end of an S3 key. */
static enum err take_s3_key(struct bytes *in, uint8_t *key_buf, struct bytes *ret_key)
{
	size_t len = 0;
	size_t i = 0;
	for (;;) {
		if (i >= in->len)
			return ERR_CORRUPT;
		uint8_t byte = in->data[i++];
		if (byte == 0) {
			if (i >= in->len || (in->data[i] != 0 && in->data[i] != 0xff))
				return ERR_CORRUPT;
			if (in->data[i++] == 0)
				break;
		}
		if (len == ROW_KEY_LEN_MAX)
			return ERR_CORRUPT;
		key_buf[len++] = byte;
	}
	*in = bytes_from(*in, i);
	*ret_key = bytes_make(key_buf, len);
	return ERR_OK;
}

enum err row_key_parse_object(struct bytes key, uint8_t *key_buf, struct row_object_key *ret_parsed)
{
	if (key.len < 1 + 8)
		return ERR_CORRUPT;
	uint8_t table = key.data[0];
	struct row_object_key parsed = {.bucket = get_be64(key.data + 1)};
	struct bytes rest = bytes_from(key, 9);
	enum err err = take_s3_key(&rest, key_buf, &parsed.key);
	if (err != ERR_OK)
		return err;
	if (table == TABLE_VERSION && rest.len == VERSION_LEN) {
		parsed.version.index = ~get_be64(rest.data);
		parsed.version.position = ~get_be32(rest.data + 8);
	} else if (table == TABLE_UPLOAD && rest.len == 8) {
		parsed.upload = get_be64(rest.data);
	} else {
		return ERR_CORRUPT;
	}
	*ret_parsed = parsed;
	return ERR_OK;
}
