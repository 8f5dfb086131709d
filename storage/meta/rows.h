/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_ROWS_H
#define STORAGE_META_ROWS_H

#include "storage/bytes.h"
#include "storage/err.h"
#include "storage/id.h"

/* The rows of the index: what a value holds, table by table. Keys are in row_keys.h.
 *
 * A value is one byte, the version of its format, and fields (fields.h). All struct bytes in
 * decoded rows are borrowed from the value.
 *
 * Ids of buckets, bodies, uploads and sessions are 64 bits, made by apply of the place in the log
 * where the thing began (row_id_make()): unique for ever, the same on every member, in the order of
 * time, never 0.
 */
#define ROW_FORMAT 1
#define ROW_LEN_MAX (48 * 1024) /* of any value */
#define ROW_VERSION_LEN_MAX 1024 /* of the value of a version row */
#define ROW_INLINE_LEN_MAX 4096 /* bytes of a body that is kept in the index itself */
#define ROW_PIECES_MAX 128 /* entries of one row of a body */
#define ROW_OWNER_LEN_MAX 64
#define ROW_KEY_LEN_MAX 1024 /* of an S3 key */
#define ROW_BUCKET_NAME_LEN_MAX 63
#define ROW_META_LEN_MAX (12 * 1024) /* headers kept with a version, see metadata below */
#define ROW_META_INLINE_MAX 600 /* more than this, with the tags, goes to the overflow table */
#define ROW_TAGS_LEN_MAX (16 * 1024)
#define ROW_ACL_LEN_MAX 256 /* of a version, always in its row */
#define ROW_SHARDS_MAX 32 /* k + m of one extent */
#define ROW_DEPTH_MAX 8 /* of bodies made of slices of bodies */
#define ROW_PART_MAX 10000 /* the greatest part number */
#define ROW_CONFIG_LEN_MAX (40 * 1024)
#define ROW_FRAMES_LEN_MAX (32 * 1024) /* lengths of the frames of a compressed body */
#define ROW_ENCRYPTION_LEN_MAX 512
#define ROW_ZONE_LEN_MAX 64
#define ROW_NODE_NAME_LEN_MAX 64
#define ROW_NODE_KEY_LEN 32
#define ROW_ADDRESSES_LEN_MAX 1024
#define ROW_NODES_MAX 256
#define ROW_SECRET_LEN_MAX 512
#define ROW_DESCRIPTION_LEN_MAX 1024
#define ROW_POLICY_LEN_MAX (20 * 1024)
#define ROW_PARTS_TAKEN_LEN ((ROW_PART_MAX + 7) / 8 + 1) /* a bit per part number */
#define ROW_ACCESS_KEY_ID_LEN_MAX 128
#define ROW_USER_NAME_LEN_MAX 256
#define ROW_EMAIL_LEN_MAX 254
#define ROW_SETTING_NAME_LEN_MAX 128
#define ROW_TASK_NAME_LEN_MAX 32
#define ROW_TASK_TEXT_LEN_MAX 1024

/* Which version: the place in the log where it was made. {0, 0} is none. */
struct version_id {
	uint64_t index;
	uint32_t position; /* row_position_make() */
};

static inline bool version_id_is_none(struct version_id id)
{
	return id.index == 0 && id.position == 0;
}

static inline bool version_id_is_equal(struct version_id a, struct version_id b)
{
	return a.index == b.index && a.position == b.position;
}

/* Position inside a log entry: number of the command in its group (below 512), and which of the
 * things that the command makes (below 2048). */
static inline uint32_t row_position_make(uint32_t command, uint32_t part)
{
	return command << 11 | part;
}

/* The 64-bit id of what was made there: 44 bits of log index are 55 years at 10000 groups/s. */
#define ROW_ID_INDEX_MAX ((UINT64_C(1) << 44) - 1)
static inline uint64_t row_id_make(struct version_id place)
{
	return place.index << 20 | place.position;
}

/* The ETag of S3: MD5 of the body, or MD5 of the MD5s of part_count parts. */
struct etag {
	uint8_t md5[16];
	uint32_t part_count; /* 0: no parts, plain MD5 */
};

static inline bool etag_is_equal(const struct etag *a, const struct etag *b)
{
	return a->part_count == b->part_count && memcmp(a->md5, b->md5, sizeof a->md5) == 0;
}

enum checksum_algorithm { /* numbers are kept on disk */
	CHECKSUM_NONE = 0,
	CHECKSUM_CRC32 = 1,
	CHECKSUM_CRC32C = 2,
	CHECKSUM_SHA1 = 3,
	CHECKSUM_SHA256 = 4,
	CHECKSUM_CRC64NVME = 5,
};

enum checksum_type {
	CHECKSUM_FULL_OBJECT = 0,
	CHECKSUM_COMPOSITE = 1, /* checksum of the parts' checksums; part count as in the ETag */
};

/* A typed checksum of a body, in the bytes that S3 writes in base64. */
struct checksum {
	uint8_t algorithm; /* CHECKSUM_NONE: none */
	uint8_t type;
	uint8_t len; /* of value */
	uint8_t value[64]; /* zero behind len */
};

/* --- buckets ---------------------------------------------------------------------------------- */

enum bucket_versioning { /* kept on disk */
	BUCKET_UNVERSIONED = 0,
	BUCKET_ENABLED = 1,
	BUCKET_SUSPENDED = 2,
};

/* How much there may be; 0: any amount. The soft ones are only told of. */
struct row_quota {
	uint64_t len; /* bytes of all versions, as clients see them */
	uint64_t versions; /* delete markers count, and are never refused */
	uint64_t soft_len, soft_versions;
};

struct row_bucket {
	uint64_t id;
	struct bytes name;
	struct bytes owner;
	uint64_t created_ms;
	uint8_t versioning;
	bool has_lock; /* object lock was enabled */
	struct row_quota quota;
	uint64_t change_count; /* raised by every change of the bucket's settings */
	uint8_t class; /* storage class for objects that name none */
	uint64_t watched; /* for which lifecycle rules events are kept; 0: none are */
	bool is_watch_filled; /* what was there before has its events, too */
	uint32_t notified; /* set of 1 << enum notice_event: what others are told of */
};

/* Exact, in the same command as what they count. */
struct row_bucket_counts {
	uint64_t objects; /* keys with a current version that is not a delete marker */
	uint64_t versions; /* rows, delete markers too */
	uint64_t len; /* bytes of all versions, as clients see them */
	uint64_t uploads, parts_len; /* in progress; bytes of their counted parts */
};

/* What a bucket's settings beyond those of its row are filed under; each is a blob of the gateway's
 * making (table BUCKET_CONFIG), but for that of LOCK. Numbers are kept on disk. */
enum bucket_config {
	BUCKET_CONFIG_POLICY = 1,
	BUCKET_CONFIG_LIFECYCLE = 2,
	BUCKET_CONFIG_CORS = 3,
	BUCKET_CONFIG_TAGS = 4,
	BUCKET_CONFIG_LOCK = 5,
	BUCKET_CONFIG_ENCRYPTION = 6,
	BUCKET_CONFIG_NOTIFICATION = 7,
	BUCKET_CONFIG_OWNERSHIP = 8,
	BUCKET_CONFIG_PUBLIC_ACCESS = 9,
	BUCKET_CONFIG_ACL = 10,
	BUCKET_CONFIG_WEBSITE = 11,
	BUCKET_CONFIG_COMPRESSION = 16,
	BUCKET_CONFIG_GRANTS = 20,
};

enum retention_mode { /* kept on disk */
	RETENTION_NONE = 0,
	RETENTION_GOVERNANCE = 1,
	RETENTION_COMPLIANCE = 2,
};

/* BUCKET_CONFIG_LOCK, the one blob that apply reads: how long a new version is kept that does not
 * say so itself. */
#define ROW_LOCK_DAYS_MAX 36500
#define ROW_LOCK_YEARS_MAX 100
struct row_bucket_lock {
	uint8_t mode; /* enum retention_mode; not RETENTION_NONE */
	uint32_t days; /* or */
	uint32_t years; /* of 365 days; one of both is 0 */
};

/* --- versions --------------------------------------------------------------------------------- */

struct row_version {
	bool is_null; /* S3 shows "null" for its id */
	bool is_delete_marker; /* then it has no body */
	bool has_overflow; /* metadata and tags are in table OVERFLOW, under the version's id */
	uint64_t body; /* id */
	uint64_t len;
	struct etag etag;
	uint64_t time_ms; /* Last-Modified */
	uint8_t class; /* storage class */
	uint8_t checksum_algorithm; /* of the body, for listings */
	uint8_t checksum_type;
	uint64_t invocation; /* hash of amz-sdk-invocation-id; 0: none */
	struct bytes owner;
	struct bytes metadata; /* see metadata_next() */
	struct bytes tags; /* likewise; empty: none */
	uint8_t retention; /* enum retention_mode */
	uint64_t retain_until_ms;
	bool has_legal_hold;
	bool had_legal_hold; /* it was set or lifted: S3 then says ON or OFF, and else nothing */
	struct bytes acl; /* of the gateway's making; empty: all is the owner's */
};

/* Something happened to a key of a watched bucket, storage/meta/apply_event.c: in the order of
 * where in the log, and of a hash of the key, since a command may be about many keys. */
struct event_place {
	struct version_id at;
	uint64_t hash;
};

struct row_event {
	uint64_t time_ms;
	struct bytes key;
};

/* What did not fit into the version row. */
struct row_overflow {
	struct bytes metadata;
	struct bytes tags;
};

/* Metadata and tags are pairs of bytes: name length (1 byte), value length (2 bytes,
 * little-endian), name, value. Header names are in lower case; the gateway chooses which headers
 * there are. */
struct metadata_pair {
	struct bytes name, value;
};

/* Takes the first pair off. False at the end, and where the rest is not well-formed. */
bool metadata_next(struct bytes *rest, struct metadata_pair *ret_pair);

/* Appends a pair at *len. Errors: ERR_LIMIT, no room, or a name above 255 or value above 65535. */
MUST_USE enum err metadata_append(
	uint8_t *buf, size_t cap, size_t *len, struct bytes name, struct bytes value);

/* Is the whole of it well-formed? */
bool metadata_is_valid(struct bytes metadata);

/* --- bodies ----------------------------------------------------------------------------------- */

enum body_kind { /* kept on disk */
	BODY_INLINE =
		1, /* its bytes are a row of table INLINE; the empty body too, without a row */
	BODY_EXTENTS = 2,
	BODY_SLICES = 3, /* of other bodies */
};

#define ROW_CHECKSUMS_MAX 2

struct row_body {
	uint8_t kind;
	uint8_t depth; /* 0 for inline and extents; else one more than the deepest it refers to */
	uint64_t refs; /* versions, parts, slices and stages that name it; 0 is final */
	uint32_t generation; /* raised by every swap of its extents */
	uint64_t len; /* as clients see it */
	uint64_t stored_len; /* in its extents; differs where it is compressed or encrypted */
	struct etag etag;
	struct checksum checksums[ROW_CHECKSUMS_MAX];
	uint32_t part_count; /* of a completed upload; each slice is a part. 0: not of parts */
	uint32_t piece_count; /* entries in its rows of pieces */
	uint8_t class; /* storage class it was stored under */
	uint8_t compression; /* 0: none */
	struct bytes encryption; /* sealed key and parameters; empty: none */
	uint64_t bucket; /* extents were written for it; with key: hints for rescue */
	struct bytes key;
};

/* A body's rows of pieces are keyed by the offset at which the row's last piece ends, and by their
 * number, from 0 (the last pieces may be empty). The offsets
 * of extents count stored bytes, those of slices bytes as clients see them. */
struct row_piece {
	uint64_t len;
	/* An extent of its own: */
	struct extent_id extent; /* session 0: a slice */
	uint16_t slot;
	/* A slice of another body: */
	uint64_t body;
	uint64_t offset;
	uint16_t part; /* part number in a completed upload; 0: none */
};

struct row_pieces {
	struct bytes list; /* row_piece_next() */
};

/* Drives have numbers, given when they are added and never reused; 0 is none: a missing shard. */
struct row_exception {
	uint8_t shard;
	uint16_t drive; /* 0: missing */
};

struct row_extent {
	uint8_t k, m;
	uint32_t unit_len;
	uint32_t len; /* stored bytes of the body in it, at most 64 MiB */
	uint8_t class;
	uint64_t body; /* whose piece it is */
	struct bytes exceptions; /* 3 bytes each: shard, drive (little-endian), ascending */
};

static inline size_t row_exception_count(const struct row_extent *extent)
{
	return extent->exceptions.len / 3;
}

static inline struct row_exception row_exception_at(const struct row_extent *extent, size_t i)
{
	const uint8_t *p = extent->exceptions.data + 3 * i;
	return (struct row_exception){p[0], get_le16(p + 1)};
}

/* --- uploads ---------------------------------------------------------------------------------- */

enum upload_state { /* kept on disk */
	UPLOAD_OPEN = 0,
	UPLOAD_COMPLETED = 1, /* a tombstone: the answer of a second Complete */
};

struct row_upload {
	uint64_t change_count; /* raised by every part; Complete names the one it checked */
	uint8_t state;
	uint64_t initiated_ms, parts_len; /* bytes of its counted parts; of an open one */
	struct bytes owner; /* who began it */
	uint8_t class;
	uint8_t checksum_algorithm; /* CHECKSUM_NONE: the client named none */
	uint8_t checksum_type;
	struct bytes metadata, tags;
	struct bytes encryption; /* as in row_body */
	uint8_t retention;
	uint64_t retain_until_ms;
	bool has_legal_hold;
	/* Of a completed one: */
	struct version_id version;
	bool is_null; /* of that version */
	struct etag etag;
	uint64_t completed_ms;
	uint64_t parts_hash; /* of the part list it was completed with */
	uint64_t len;
	struct bytes acl; /* that the version is to have */
};

struct row_part {
	uint64_t body;
	uint64_t len;
	struct etag etag;
	uint64_t time_ms;
	uint8_t depth; /* of the body */
	struct checksum checksum;
	bool is_counted; /* in parts_len of upload and bucket; older ones are not */
};

/* --- sessions and collection ------------------------------------------------------------------ */

struct row_session {
	struct id node;
	uint64_t start; /* nonce of the node's start; the same start gets the same session */
	uint64_t opened_ms;
	uint64_t open_low; /* extent counters below are settled */
	uint64_t read_low; /* no GET of the node reads an older state than this log index */
	uint64_t result_low; /* results of sequences below are no longer kept */
};

enum garbage_kind { /* kept on disk */
	GARBAGE_BODY = 1, /* no reference is left; extents may be freed below every read_low */
	GARBAGE_UPLOAD = 2, /* completed or aborted: its parts are to be dismantled */
	GARBAGE_TOMBSTONE = 3, /* of a completed upload: to be removed when old enough */
	GARBAGE_BUCKET = 4, /* deleted: its uploads are to be aborted */
	GARBAGE_SESSION = 5, /* closed: its results and stages are to be removed */
};

struct row_garbage {
	uint64_t bucket; /* of an upload or tombstone, to find its row */
	struct bytes key;
	uint64_t time_ms; /* when it became garbage, in cluster time */
	struct bytes parts_taken; /* of a completed upload: whose parts' bodies have a new owner */
};

/* --- machines --------------------------------------------------------------------------------- */

enum row_drive_state { /* kept on disk */
	DRIVE_ROW_IN = 0,
	DRIVE_ROW_DRAINING = 1,
	DRIVE_ROW_GONE = 2, /* given up: what it held is made anew */
	DRIVE_ROW_REMOVED =
		3, /* nothing refers to it; the row keeps its number from being reused */
};

struct row_drive {
	uint16_t number;
	struct id drive;
	struct id node;
	uint64_t mount; /* newest claim */
	uint8_t class; /* enum drive_class */
	uint8_t state;
	uint64_t weight; /* bytes */
	struct bytes zone; /* name of the domain above the node; empty: none */
	uint64_t added_ms;
	uint64_t gone_ms; /* when it was given up */
};

enum access_key_state { /* kept on disk */
	ACCESS_KEY_ENABLED = 0,
	ACCESS_KEY_DISABLED = 1,
};

/* Keyed by the access key id. */
struct row_access_key {
	struct bytes secret; /* sealed */
	struct bytes owner;
	struct bytes description;
	struct bytes policy; /* JSON; empty: the owner's rights */
	uint8_t state;
	uint8_t role; /* the gateway's numbers */
	uint64_t created_ms;
	uint64_t expires_ms; /* 0: never */
	bool has_user; /* the owner has a row_user; kept by apply */
};

enum user_state { /* kept on disk */
	USER_ENABLED = 0,
	USER_DISABLED = 1,
};

/* Keyed by the user's id: an owner whom somebody has named. Owners without a row are users with no
 * name, policy or quota. */
struct row_user {
	struct bytes name, email;
	struct bytes policy; /* JSON; empty: none */
	uint8_t state;
	uint64_t created_ms;
};

/* What the buckets of a user have in all, exact in the command that changes it. */
struct row_user_usage {
	struct row_bucket_counts counts;
	uint64_t buckets;
	struct row_quota quota;
};

enum node_role { /* kept on disk */
	NODE_ROLE_STORAGE = 0,
	NODE_ROLE_WITNESS = 1,
};

enum node_row_state { /* kept on disk */
	NODE_ROW_IN = 0,
	NODE_ROW_DRAINING = 1, /* it is to hold nothing, and then to be removed */
};

/* A node that was admitted. */
struct row_node {
	uint16_t number; /* from 1 */
	struct id id;
	uint8_t key[ROW_NODE_KEY_LEN]; /* its Ed25519 key */
	struct bytes name;
	struct bytes zone;
	struct bytes addresses; /* "HOST:PORT", in the order to try, with a space between */
	uint8_t role;
	uint8_t state;
	uint16_t version_min, version_max; /* of commands that it knows; 0: not said */
	uint64_t joined_ms;
	uint64_t maintenance_until_ms; /* cluster time: until then it is away on purpose */
	uint64_t away_ms; /* that leaders have seen it away, in all since it was last there */
};

/* What a new node joins with, once. */
struct row_token {
	struct bytes secret; /* sealed */
	uint64_t made_ms, end_ms; /* cluster time */
	struct id spent_by; /* all 0: nobody yet */
};

/* A shard of a slot on its way from one drive to another, because the ring changed; at most one for
 * each (slot, shard). Extents of the slot are moved in the order of their keys. */
struct row_move {
	uint16_t from; /* 0: no drive has it, it is made anew */
	uint16_t to;
	struct extent_id cursor; /* extents up to this one are on the target, or exceptions */
	bool is_ended; /* the cursor has passed the last extent */
	uint64_t began_ms;
	uint64_t since; /* log index of the command that began it, and its name */
	uint64_t left; /* shards without an exception that the cursor has not passed */
};

/* A drive that may still hold shards of (slot, shard) that are not to be there any more: they moved
 * away. It gets none again until it was emptied of them. */
struct row_leftover {
	uint64_t since; /* log index: gets that read an older state may ask it */
};

/* Work in the background, while it is open; and for some time after, what came of it. */
struct row_task {
	uint64_t id;
	struct bytes name; /* of an open task: no other has it */
	uint64_t began_ms, ended_ms; /* cluster time; ended_ms 0: it is open */
	struct bytes text; /* JSON, of who does it: how far it is; then its verdict */
};

/* The shards that a gone drive held in a slot: one row for them all. */
struct row_span {
	uint8_t shard;
	struct extent_id cursor; /* extents up to this one were made anew, or are exceptions */
	uint64_t began_ms; /* when the drive was given up */
};

/* Counts kept by apply for one slot of the ring. Shards that a gone drive took along are not among
 * the missing: index_span_next() counts them. */
struct row_slot_shard { /* of all extents that have a shard of that number */
	uint64_t count;
	uint64_t len; /* bytes, but for the rounding of stripes */
	uint64_t exceptions;
	uint64_t missing;
};

struct row_slot_code { /* of all extents that have so many parity units */
	uint64_t extents;
	uint64_t len;
};

/* Of all extents of one code and one size class: which of them a put of today would write
 * otherwise. What does not fit into the list is not counted here, nor are rows of programs without
 * the list. */
#define ROW_KINDS_MAX 24
struct row_slot_kind {
	uint8_t k, m; /* k 0: nothing is in this place */
	bool is_mirrored; /* of at most RING_MIRROR_LEN_MAX bytes */
	uint64_t extents;
	uint64_t len;
};

struct row_slot_counts {
	uint64_t extents;
	uint64_t len; /* bytes in extents */
	uint64_t exceptions; /* rows of the ledger: shards not where the ring says */
	uint64_t missing; /* of them, those that are nowhere */
	struct row_slot_shard shards[ROW_SHARDS_MAX]; /* by number */
	struct row_slot_code codes[ROW_SHARDS_MAX]; /* by m: below the profile's, under profile */
	struct row_slot_kind kinds[ROW_KINDS_MAX]; /* in any order */
};

/* Shards that are on a drive by an exception. */
struct row_drive_counts {
	uint64_t exceptions;
};

/* --- bytes ------------------------------------------------------------------------------------ */
/* Encoders return the length; the buffer has ROW_LEN_MAX bytes. Decoders' errors: ERR_CORRUPT;
 * ERR_VERSION, written by a newer format. */
#define ROWS_TABLE(X) \
	X(bucket) \
	X(bucket_lock) \
	X(bucket_counts) \
	X(version) \
	X(overflow) \
	X(event) \
	X(notice) \
	X(notice_queue) \
	X(body) \
	X(extent) \
	X(upload) \
	X(part) \
	X(session) \
	X(garbage) \
	X(drive) \
	X(node) \
	X(token) \
	X(access_key) \
	X(user) \
	X(user_usage) \
	X(move) \
	X(span) \
	X(leftover) \
	X(task) \
	X(slot_counts) \
	X(drive_counts)

struct row_notice; /* rows_notice.h */
struct row_notice_queue;

#define X(name) \
	size_t row_##name##_encode(const struct row_##name *row, uint8_t *buf); \
	MUST_USE enum err row_##name##_decode(struct bytes value, struct row_##name *ret_row);
ROWS_TABLE(X)
#undef X

/* A row of pieces. */
size_t row_pieces_encode(const struct row_piece *pieces, size_t count, uint8_t *buf);
MUST_USE enum err row_pieces_decode(struct bytes value, struct row_pieces *ret_row);

/* Takes the first piece off. Errors: ERR_END, ERR_CORRUPT. */
MUST_USE enum err row_piece_next(struct row_pieces *row, struct row_piece *ret_piece);

#endif
