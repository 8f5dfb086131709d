/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_ROW_KEYS_H
#define STORAGE_META_ROW_KEYS_H

#include "storage/kv.h"
#include "storage/meta/rows.h"

/* The keys of the index. The first byte is the table; ids are big-endian.
 *
 * (K1) An S3 key is written with 00 as 00 FF and ended by 00 00, so that rows are in the byte order
 *      of S3 keys, and no key is a prefix of another.
 * (K2) A version's id follows as its complement: the newest version of a key comes first, and both
 *      LIST and "current version" are one seek.
 * (K3) Table LOCAL belongs to one member; it is never hashed and never sent.
 */
enum row_table { /* numbers are kept on disk */
	TABLE_LOCAL = 0x01, /* name → of this replica */
	TABLE_BUCKET_NAME = 0x10, /* name → bucket id (8 bytes, little-endian) */
	TABLE_BUCKET = 0x11, /* bucket → row_bucket */
	TABLE_BUCKET_COUNTS = 0x12, /* bucket → row_bucket_counts */
	TABLE_BUCKET_CONFIG = 0x13, /* bucket, enum bucket_config → blob */
	TABLE_VERSION = 0x20, /* bucket, S3 key, ~version → row_version */
	TABLE_NULL_VERSION =
		0x21, /* bucket, S3 key → version id of a null version that is not newest */
	TABLE_OVERFLOW = 0x22, /* version → row_overflow */
	TABLE_EVENT = 0x23, /* bucket, event_place → row_event */
	TABLE_NOTICE = 0x24, /* webhook, place in the log → row_notice */
	TABLE_NOTICE_QUEUE = 0x25, /* webhook → row_notice_queue */
	TABLE_BODY = 0x30, /* body → row_body */
	TABLE_PIECES = 0x31, /* body, end offset of its last piece, number → row_pieces */
	TABLE_INLINE = 0x32, /* body → its bytes */
	TABLE_EXTENT = 0x33, /* slot, extent id → row_extent */
	TABLE_STAGE = 0x34, /* session, body → nothing: a body that nothing visible names yet */
	TABLE_FRAMES = 0x35, /* body → lengths of the frames of a compressed body */
	TABLE_UPLOAD = 0x40, /* bucket, S3 key, upload → row_upload */
	TABLE_PART = 0x41, /* upload, part number → row_part */
	TABLE_SESSION = 0x50, /* session → row_session */
	TABLE_RESULT = 0x51, /* session, sequence → command_result */
	TABLE_GARBAGE = 0x52, /* log index, kind, id → row_garbage */
	TABLE_DRIVE = 0x60, /* drive number → row_drive */
	TABLE_RING = 0x61, /* ring, version, part → of ring.h; version 0: which is current */
	TABLE_NODE = 0x68, /* node number → row_node */
	TABLE_TOKEN = 0x69, /* token → row_token */
	TABLE_MOVE = 0x62, /* slot, shard → row_move, while it is pending */
	TABLE_SPAN = 0x63, /* drive, slot → row_span of a gone drive */
	TABLE_LEFTOVER = 0x64, /* slot, shard, drive → row_leftover */
	TABLE_ACCESS_KEY = 0x70, /* access key id → row_access_key */
	TABLE_SETTING = 0x71, /* name → blob */
	TABLE_USER = 0x72, /* user id → row_user */
	TABLE_USER_USAGE = 0x73, /* user id → row_user_usage */
	TABLE_TASK = 0x78, /* task → row_task */
	TABLE_SLOT_COUNTS = 0x80, /* slot → row_slot_counts */
	TABLE_DRIVE_COUNTS = 0x81, /* drive number → row_drive_counts */
};

/* A key being built. */
struct row_key {
	size_t len;
	uint8_t data[KV_KEY_LEN_MAX];
};

static inline struct bytes row_key_bytes(const struct row_key *key)
{
	return (struct bytes){key->data, key->len};
}

/* Pieces of keys, for seeks and for keys that have no function below. */
void row_key_begin(struct row_key *key, enum row_table table);
void row_key_u8(struct row_key *key, uint8_t v);
void row_key_u16(struct row_key *key, uint16_t v);
void row_key_u64(struct row_key *key, uint64_t v);
void row_key_bytes_append(struct row_key *key, struct bytes bytes); /* as they are */
void row_key_escaped(struct row_key *key, struct bytes s3_key); /* without its end */
void row_key_escaped_end(struct row_key *key);

/* The first key behind all keys that begin like this one. False: there is none. */
bool row_key_make_successor(struct row_key *key);

void row_key_bucket_name(struct row_key *key, struct bytes name);
void row_key_id(struct row_key *key, enum row_table table, uint64_t id);
void row_key_bucket_config(struct row_key *key, uint64_t bucket, uint8_t kind);
void row_key_version(
	struct row_key *key, uint64_t bucket, struct bytes s3_key, struct version_id version);
/* What all versions of an S3 key begin with. Table VERSION, NULL_VERSION or UPLOAD. */
void row_key_object(
	struct row_key *key, enum row_table table, uint64_t bucket, struct bytes s3_key);
void row_key_event(struct row_key *key, uint64_t bucket, const struct event_place *place);
/* The webhook's name is written like an S3 key (K1); the place is ROW_KEY_PLACE_LEN bytes. */
#define ROW_KEY_PLACE_LEN (8 + 4)
void row_key_notice(struct row_key *key, struct bytes target, struct version_id place);
void row_key_overflow(struct row_key *key, struct version_id version);
void row_key_pieces(struct row_key *key, uint64_t body, uint64_t end, uint16_t number);
void row_key_extent(struct row_key *key, uint16_t slot, struct extent_id extent);
void row_key_stage(struct row_key *key, uint64_t session, uint64_t body);
void row_key_upload(struct row_key *key, uint64_t bucket, struct bytes s3_key, uint64_t upload);
void row_key_part(struct row_key *key, uint64_t upload, uint16_t part);
void row_key_result(struct row_key *key, uint64_t session, uint64_t sequence);
void row_key_garbage(struct row_key *key, uint64_t log_index, uint8_t kind, uint64_t id);
void row_key_drive(struct row_key *key, uint16_t number);
void row_key_node(struct row_key *key, uint16_t number);
void row_key_token(struct row_key *key, struct id token);
void row_key_slot(struct row_key *key, uint16_t slot);
void row_key_ring(struct row_key *key, uint8_t ring, uint64_t version, uint16_t part);
void row_key_move(struct row_key *key, uint16_t slot, uint8_t shard);
void row_key_span(struct row_key *key, uint16_t drive, uint16_t slot);
void row_key_leftover(struct row_key *key, uint16_t slot, uint8_t shard, uint16_t drive);
void row_key_drive_counts(struct row_key *key, uint16_t drive);
void row_key_name(struct row_key *key, enum row_table table, struct bytes name);

/* What a version's or upload's key holds. The S3 key is unescaped into key_buf, which has
 * ROW_KEY_LEN_MAX bytes. Errors: ERR_CORRUPT. */
struct row_object_key {
	uint64_t bucket;
	struct bytes key; /* in key_buf */
	struct version_id version; /* of table VERSION */
	uint64_t upload; /* of table UPLOAD */
};
MUST_USE enum err row_key_parse_object(
	struct bytes key, uint8_t *key_buf, struct row_object_key *ret_parsed);

#endif
