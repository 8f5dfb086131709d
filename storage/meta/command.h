/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_COMMAND_H
#define STORAGE_META_COMMAND_H

#include "storage/err.h"
#include "storage/meta/command_code.h"
#include "storage/meta/command_conditions.h"
#include "storage/meta/command_event.h"
#include "storage/meta/command_notice.h"
#include "storage/meta/command_rename.h"
#include "storage/meta/command_ring.h"
#include "storage/meta/command_user.h"
#include "storage/meta/fields.h"
#include "storage/meta/row_keys.h"
#include "storage/meta/rows.h"
#include "storage/version_bump.h"

/* Commands: everything that changes the index, as it stands in the log.
 *
 * Bytes: a header of COMMAND_HEADER_LEN bytes (format 1 byte, type 1, flags 2, reserved 4, session
 * 8, sequence 8, result_low 8; little-endian), then the fields of the type (fields.h).
 *
 * (C1) Numbers of types and of results are never used again. A type is proposed only when all
 *      members know it.
 * (C2) A command is at most COMMAND_LEN_MAX bytes and changes at most COMMAND_ROWS_MAX rows.
 * (C3) What does not decode, or breaks a rule, has the result REFUSED on every member alike.
 * (C4) Commands name what they mean by id (bucket, body, version), never by what a name meant when
 *      they were made; what is gone meanwhile has a result that says so.
 * (C5) Nothing in a command is random or a time, except what its proposer put there.
 */
#define COMMAND_FORMAT 1
#define COMMAND_HEADER_LEN 32
#define COMMAND_LEN_MAX (256 * 1024)
#define COMMAND_ROWS_MAX 1000
#define COMMAND_EXTENTS_MAX 400 /* in one command: 25 GiB; more is staged */
#define COMMAND_DELETES_MAX 128 /* keys of one OBJECT_DELETE; more are several commands */
#define COMMAND_MOVES_MAX 256 /* shards of one EXTENT_UPDATE */
#define COMMAND_IN_FLIGHT_MAX 512 /* sequences of a session without a known result */

enum command_type { /* kept on disk */
	COMMAND_NOOP = 0,
	COMMAND_SESSION_OPEN = 1,
	COMMAND_SESSION_CLOSE = 2,
	COMMAND_SESSION_REPORT = 3,
	COMMAND_BUCKET_CREATE = 4,
	COMMAND_BUCKET_DELETE = 5,
	COMMAND_BUCKET_UPDATE = 6,
	COMMAND_OBJECT_PUT = 7,
	COMMAND_OBJECT_DELETE = 8,
	COMMAND_OBJECT_COPY = 9,
	COMMAND_OBJECT_UPDATE = 10,
	COMMAND_UPLOAD_CREATE = 11,
	COMMAND_UPLOAD_PART = 12,
	COMMAND_UPLOAD_PART_COPY = 13,
	COMMAND_UPLOAD_COMPLETE = 14,
	COMMAND_UPLOAD_ABORT = 15,
	COMMAND_BODY_STAGE = 16,
	COMMAND_BODY_SWAP = 17,
	COMMAND_EXTENT_UPDATE = 18,
	COMMAND_GARBAGE_DONE = 19,
	COMMAND_DRIVE_ADD = 20,
	COMMAND_DRIVE_UPDATE = 21,
	COMMAND_RING_SET = 22,
	COMMAND_KEY_PUT = 23, /* also changes one */
	COMMAND_KEY_DELETE = 24,
	COMMAND_SETTING_PUT = 25,
	COMMAND_NODE_PUT = 26, /* also changes one */
	COMMAND_NODE_REMOVE = 27,
	COMMAND_TOKEN_PUT = 28,
	COMMAND_TOKEN_DELETE = 29,
	COMMAND_RING_TARGET = 30,
	COMMAND_MOVE_BEGIN = 31,
	COMMAND_MOVE_ADVANCE = 32,
	COMMAND_MOVE_FLIP = 33,
	COMMAND_MOVE_CANCEL = 34,
	COMMAND_MOVE_EMPTIED = 35,
	COMMAND_SPAN_BEGIN = 36,
	COMMAND_TASK_PUT = 45, /* begins, tells of, or ends one */
	COMMAND_BUCKET_WATCH = 46,
	COMMAND_EVENT_FILL = 47,
	COMMAND_EVENT_DONE = 48,
	COMMAND_EXPIRE = 49,
	COMMAND_USER_PUT = 50, /* also changes one */
	COMMAND_USER_DELETE = 51,
	COMMAND_BUCKET_NOTIFY = 58,
	COMMAND_NOTICE_DONE = 59,
	COMMAND_OBJECT_RENAME = 60,
	COMMAND_TYPE_COUNT
};

const char *command_type_name(enum command_type type);

/* (C1) Which version of commands a type belongs to, from 1. Members say in their rows which they
 * know; index_command_version() is what all of them do. */
#define COMMAND_VERSION_FRAMES 4 /* who knows it reads bodies that have frames */
#define COMMAND_VERSION (4 + RUBUS_TEST_VERSION_BUMP) /* the newest that this program knows */
#define COMMAND_VERSION_PARTS 4 /* who knows it counts the parts of uploads */
#define COMMAND_ACL_VERSION 4 /* from which ACLs of objects are known */
uint16_t command_type_version(enum command_type type);

/* The setting that holds the epoch of the cluster: 8 bytes, little-endian. It only rises (STALE),
 * by forced recovery, and never goes (REFUSED). */
#define COMMAND_SETTING_EPOCH "cluster-epoch"

/* While this setting has a value nothing is collected: after a forced recovery the index may be
 * older than what lies on drives, until an operator has confirmed that it is to count. The value is
 * a text that says why. */
#define COMMAND_SETTING_HELD "collection.held"

/* What each key of an OBJECT_DELETE came to; 4 bits. */
enum command_delete_code { /* kept on disk */
	DELETE_DONE = 0, /* a version is gone, or there was nothing */
	DELETE_MARKER_MADE =
		1, /* its version id: {result.version.index, .position + number of key} */
	DELETE_MARKER_GONE = 2, /* the version named was a delete marker */
	DELETE_NO_KEY = 3, /* condition on a key that is not there */
	DELETE_PRECONDITION = 4,
	DELETE_LOCKED = 5,
	DELETE_REFUSED = 6,
};

/* Kept by the session until its sequence is answered. At most 256 bytes when written. */
struct command_result {
	uint16_t code; /* enum command_code */
	struct version_id version; /* made, or in the way */
	uint64_t id; /* of the bucket, upload, session, body or drive that was made */
	struct etag etag; /* of that version */
	uint64_t len; /* of that version */
	uint64_t time_ms; /* cluster time of the command: Last-Modified */
	uint64_t count; /* change counter of an upload; keys deleted; rows left to dismantle */
	bool is_null; /* the version's id is "null" to S3 */
	bool is_delete_marker;
	bool is_earlier; /* own earlier success answered for this one; or second Complete */
	bool is_mine; /* EXISTS: the owner is the same */
	uint8_t deletes[COMMAND_DELETES_MAX / 2]; /* command_result_delete() */
};

static inline enum command_delete_code command_result_delete(
	const struct command_result *result, size_t i)
{
	assert(i < COMMAND_DELETES_MAX);
	return result->deletes[i / 2] >> (i % 2 * 4) & 15;
}

/* --- parts of commands ------------------------------------------------------------------------ */

/* One extent as it was written. Its session is the proposer's. */
struct command_extent {
	struct extent_id extent;
	uint8_t k, m;
	uint8_t class;
	uint32_t unit_len;
	uint32_t len;
	struct bytes drives; /* k + m drive numbers, 2 bytes each, little-endian; 0: not durable */
};

/* A body that comes with the command: inline bytes, or extents, or one that was staged. */
struct command_body {
	uint64_t len;
	uint64_t stored_len; /* the sum of the extents; not for inline */
	struct etag etag;
	struct checksum checksums[ROW_CHECKSUMS_MAX];
	uint8_t compression;
	struct bytes frame_lens;
	struct bytes encryption;
	struct bytes inline_data; /* len bytes, when there are no extents and no stage */
	struct bytes extents; /* list of command_extent, in order */
	uint64_t staged; /* body id given by BODY_STAGE; extents come behind what was staged */
};

/* What is kept with a version beside its body. */
struct command_attributes {
	struct bytes metadata; /* pairs, rows.h */
	struct bytes tags;
	uint8_t class;
	uint8_t retention;
	uint64_t retain_until_ms;
	bool has_legal_hold;
	struct bytes owner;
	struct bytes acl; /* at most ROW_ACL_LEN_MAX */
};

/* --- commands --------------------------------------------------------------------------------- */

/* Closes the node's earlier sessions and opens one: result.id. Not in a session itself. */
struct command_session_open {
	struct id node;
	uint64_t start; /* nonce of this start of the node; never 0 */
};

/* By the leader, or by a node that stops. */
struct command_session_close {
	uint64_t session;
};

/* Both only rise. */
struct command_session_report {
	uint64_t open_low, read_low;
};

/* result: OK with id; EXISTS with id and is_mine. */
struct command_bucket_create {
	struct bytes name;
	struct bytes owner;
	uint8_t versioning;
	bool has_lock;
	uint8_t class;
};

struct command_bucket_delete {
	uint64_t bucket;
};

/* Sets what is named in set. STALE if change_count is not 0 and not the bucket's. */
enum command_bucket_set {
	BUCKET_SET_VERSIONING = 1 << 0,
	BUCKET_SET_LOCK = 1 << 1, /* enables; never disables */
	BUCKET_SET_QUOTA = 1 << 2,
	BUCKET_SET_OWNER = 1 << 3,
	BUCKET_SET_CONFIG = 1 << 4,
	BUCKET_SET_CLASS = 1 << 5,
};

struct command_bucket_update {
	uint64_t bucket;
	uint64_t change_count;
	uint32_t set;
	uint8_t versioning;
	struct row_quota quota;
	struct bytes owner;
	uint8_t class;
	uint8_t config_kind; /* enum bucket_config */
	struct bytes config; /* empty: removed */
};

/* result: version, is_null, etag, len, time; PRECONDITION or NO_KEY; NO_BUCKET; QUOTA. */
struct command_object_put {
	uint64_t bucket;
	struct bytes key;
	struct command_conditions conditions;
	struct command_attributes attributes;
	struct command_body body;
	uint64_t invocation; /* hash of amz-sdk-invocation-id; 0: none */
	bool is_form; /* of an HTML form */
	struct bytes origin; /* who, where notices are kept (row_notice.origin) */
};

/* One key of a delete. */
struct command_delete {
	struct bytes key;
	struct version_id version; /* none: the key */
	bool is_null; /* versionId=null */
	struct command_conditions conditions;
};

/* Results of each key are in result.deletes; of one key also in code, version and is_delete_marker.
 */
struct command_object_delete {
	uint64_t bucket;
	bool bypass_governance;
	struct bytes deletes; /* list of command_delete, at most COMMAND_DELETES_MAX */
	struct bytes origin;
};

/* A version with the body of another. NO_VERSION if the source does not name that body any more. */
struct command_object_copy {
	uint64_t source_bucket;
	struct bytes source_key;
	struct version_id source_version;
	uint64_t source_body;
	uint64_t bucket;
	struct bytes key;
	struct command_conditions conditions;
	struct command_attributes attributes; /* as the new version is to have them */
	uint64_t invocation;
	struct bytes origin;
};

/* Changes a version where it is: tags, retention, legal hold, ACL. */
enum command_object_set {
	OBJECT_SET_TAGS = 1 << 0,
	OBJECT_SET_RETENTION = 1 << 1,
	OBJECT_SET_LEGAL_HOLD = 1 << 2,
	OBJECT_SET_ACL = 1 << 3,
};

struct command_object_update {
	uint64_t bucket;
	struct bytes key;
	struct version_id version;
	uint32_t set;
	struct bytes tags;
	uint8_t retention;
	uint64_t retain_until_ms;
	bool has_legal_hold;
	bool bypass_governance;
	struct bytes origin;
	struct bytes acl;
};

/* result: id, the upload. */
struct command_upload_create {
	uint64_t bucket;
	struct bytes key;
	struct command_attributes attributes;
	uint8_t checksum_algorithm;
	uint8_t checksum_type;
	struct bytes encryption;
};

/* result: id is the part's body, count the upload's change counter, etag, time. */
struct command_upload_part {
	uint64_t bucket;
	struct bytes key;
	uint64_t upload;
	uint16_t part;
	struct command_body body;
	bool is_counted; /* for quotas; from COMMAND_VERSION_PARTS on */
};

/* A part that is a range of another version's body; NO_VERSION as in a copy. LIMIT: too deep. The
 * ETag and checksum of the part are not known without reading it: the proposer did. */
struct command_upload_part_copy {
	uint64_t source_bucket;
	struct bytes source_key;
	struct version_id source_version;
	uint64_t source_body;
	uint64_t offset, len;
	uint64_t bucket;
	struct bytes key;
	uint64_t upload;
	uint16_t part;
	struct etag etag;
	struct checksum checksum;
	bool is_counted; /* as above */
};

/* Parts become a version. STALE if the upload's change counter is another than the list was checked
 * at. A second one with the same parts is answered from the tombstone (is_earlier). */
struct command_upload_complete {
	uint64_t bucket;
	struct bytes key;
	uint64_t upload;
	uint64_t change_count;
	struct bytes parts; /* part numbers, 2 bytes each, little-endian, ascending */
	struct etag etag;
	struct checksum checksums[ROW_CHECKSUMS_MAX];
	struct command_conditions conditions;
	uint64_t parts_hash; /* of numbers and ETags, for the second Complete */
	uint64_t invocation;
	struct bytes origin;
};

struct command_upload_abort {
	uint64_t bucket;
	struct bytes key;
	uint64_t upload;
};

/* Writes down extents of a body that is not visible yet. result.id: the body. */
struct command_body_stage {
	uint64_t staged; /* 0: a new one */
	uint64_t bucket;
	struct bytes key;
	struct bytes extents; /* list of command_extent */
};

/* New extents for the same bytes. NO_BODY; STALE if the generation is another. */
struct command_body_swap {
	uint64_t body;
	uint32_t generation;
	uint64_t stored_len;
	uint8_t class;
	struct bytes extents;
};

/* Where a shard is now: after repair, or when it was found to be lost. Only the drive where the
 * ring wants it, as it is at apply, or 0; STALE if that has changed meanwhile. EARLY: another shard
 * of the extent is there, and the same command has to move it away. */
struct command_shard_move {
	uint16_t slot;
	struct extent_id extent;
	uint8_t shard;
	uint16_t from; /* where it was; STALE for the whole command if not so */
	uint16_t drive; /* 0: nowhere */
};

struct command_extent_update {
	struct bytes moves; /* list of command_shard_move */
};

/* One bounded step of dismantling what a garbage row names; result.count is how many rows of it are
 * left at most (0: the garbage row is gone too). For a body, the proposer has freed the shards of
 * the extents in its first row of pieces, or knows that a census will. */
struct command_garbage_done {
	uint64_t log_index; /* the garbage row's key */
	uint8_t kind;
	uint64_t id;
};

/* result.id is the number; EXISTS with the number if the drive was added before. */
struct command_drive_add {
	struct id drive, node;
	uint8_t class;
	uint64_t weight;
	struct bytes zone;
};

enum command_drive_set {
	DRIVE_SET_STATE = 1 << 0,
	DRIVE_SET_WEIGHT = 1 << 1,
	DRIVE_SET_ZONE = 1 << 2,
	DRIVE_SET_MOUNT = 1 << 3, /* a claim: (drive, node, next mount number); STALE if not next */
	DRIVE_SET_CLASS = 1 << 4,
};

struct command_drive_update {
	uint16_t number;
	uint32_t set;
	uint8_t state;
	uint8_t class;
	uint64_t weight;
	struct bytes zone;
	struct id node;
	uint64_t mount;
};

/* A whole ring (ring.h), checked at apply too. STALE if its version is not the next one. */
struct command_ring_set {
	struct bytes ring; /* ring_encode() */
};

struct command_key_put {
	struct bytes id;
	bool must_be_new; /* else EXISTS */
	bool must_exist; /* else NO_KEY */
	struct bytes secret, owner, description, policy;
	uint8_t state, role;
	uint64_t expires_ms;
};

struct command_key_delete {
	struct bytes id;
};

enum command_node_set {
	NODE_SET_ABOUT =
		1 << 0, /* name, zone, addresses, role, versions: what a node says of itself */
	NODE_SET_STATE = 1 << 1,
	NODE_SET_MAINTENANCE = 1 << 2,
	NODE_SET_AWAY = 1 << 3,
};

/* Admits a node or changes one; result.id is its number. The first node of all is admitted without
 * a token. Others need one, which is spent in the same step: LOCKED if it is not there, past its
 * end, or spent by another, also for a node that asks again. REFUSED: another node has that key, or
 * this node has another. */
struct command_node_put {
	struct id id;
	uint32_t set;
	uint8_t key[ROW_NODE_KEY_LEN];
	struct bytes name, zone, addresses;
	uint8_t role, state;
	uint16_t version_min, version_max;
	uint64_t maintenance_until_ms, away_ms;
	struct id token; /* of one that joins */
};

/* NOT_EMPTY: a drive of it is in or draining. Its sessions are closed. NO_KEY: there is none. */
struct command_node_remove {
	struct id id;
};

/* A token to join with, for so long; ended ones go. EXISTS; LIMIT: TOKENS_MAX. */
#define COMMAND_TOKENS_MAX 64
struct command_token_put {
	struct id token;
	struct bytes secret; /* sealed */
	uint64_t life_ms;
};

struct command_token_delete {
	struct id token;
};

struct command_setting_put {
	struct bytes name;
	struct bytes value; /* empty: removed */
};

/* Without an id, a task begins, and result.id is its id; EXISTS if one of that name is open:
 * result.id is that one's; LIMIT: TASKS_OPEN_MAX. With one, its text is replaced; STALE if it is
 * not open. With is_end it ends, and the TASKS_ENDED_MAX newest that ended are kept; one that
 * begins and ends at once brings the time when it began. */
#define COMMAND_TASKS_OPEN_MAX 512
#define COMMAND_TASKS_ENDED_MAX 32
struct command_task_put {
	uint64_t id;
	struct bytes name;
	bool is_end;
	uint64_t began_ms;
	struct bytes text;
};

/* --- the whole
 * ------------------------------------------------------------------------------------- */

struct command {
	uint8_t type;
	uint64_t session; /* 0: none; then the command is applied each time it is proposed */
	uint64_t sequence; /* from 1, each once in a session */
	uint64_t result_low; /* results of sequences below this one are no longer needed */
	union {
		struct command_session_open session_open;
		struct command_session_close session_close;
		struct command_session_report session_report;
		struct command_bucket_create bucket_create;
		struct command_bucket_delete bucket_delete;
		struct command_bucket_update bucket_update;
		struct command_object_put object_put;
		struct command_object_delete object_delete;
		struct command_object_copy object_copy;
		struct command_object_update object_update;
		struct command_upload_create upload_create;
		struct command_upload_part upload_part;
		struct command_upload_part_copy upload_part_copy;
		struct command_upload_complete upload_complete;
		struct command_upload_abort upload_abort;
		struct command_body_stage body_stage;
		struct command_body_swap body_swap;
		struct command_extent_update extent_update;
		struct command_garbage_done garbage_done;
		struct command_drive_add drive_add;
		struct command_drive_update drive_update;
		struct command_ring_set ring_set;
		struct command_key_put key_put;
		struct command_key_delete key_delete;
		struct command_setting_put setting_put;
		struct command_node_put node_put;
		struct command_node_remove node_remove;
		struct command_token_put token_put;
		struct command_token_delete token_delete;
		struct command_ring_target ring_target;
		struct command_moves move_begin, move_flip, move_cancel;
		struct command_move_advance move_advance;
		struct command_move_emptied move_emptied;
		struct command_span_begin span_begin;
		struct command_task_put task_put;
		struct command_bucket_watch bucket_watch;
		struct command_event_fill event_fill;
		struct command_event_done event_done;
		struct command_expire expire;
		struct command_user_put user_put;
		struct command_user_delete user_delete;
		struct command_bucket_notify bucket_notify;
		struct command_notice_done notice_done;
		struct command_object_rename object_rename;
	};
};

/* Writes a command. The caller zeroes the struct, sets type and the member of that name; session,
 * sequence and result_low are set by index_propose(). Errors: ERR_LIMIT, it does not fit into cap
 * or COMMAND_LEN_MAX. */
MUST_USE enum err command_encode(
	const struct command *command, uint8_t *buf, size_t cap, size_t *ret_len);

/* Reads and checks one: lengths, ranges, well-formed lists, no session where there must be one.
 * Bytes are borrowed from in. Never asserts. Errors: ERR_INVALID; ERR_UNSUPPORTED, a type or format
 * that this program does not know. */
MUST_USE enum err command_decode(struct bytes in, struct command *ret_command);

/* Sets session, sequence and result_low in the bytes of an encoded command. */
void command_stamp(uint8_t *bytes, uint64_t session, uint64_t sequence, uint64_t result_low);

/* Does the encoded command make the index grow for long? It is refused when space is low; what
 * deletes, aborts, repairs, or is one of the few things that administrators do is not. */
bool command_is_growth(const uint8_t *bytes);

/* Lists inside commands. The appenders set out->is_full when there is no room; the takers' errors:
 * ERR_END, ERR_INVALID. */
void command_extent_append(struct fields_out *out, const struct command_extent *extent);
MUST_USE enum err command_extent_next(struct bytes *list, struct command_extent *ret_extent);
void command_delete_append(struct fields_out *out, const struct command_delete *item);
MUST_USE enum err command_delete_next(struct bytes *list, struct command_delete *ret_item);
void command_shard_move_append(struct fields_out *out, const struct command_shard_move *move);
MUST_USE enum err command_shard_move_next(struct bytes *list, struct command_shard_move *ret_move);
void command_ring_move_append(struct fields_out *out, const struct command_ring_move *move);
MUST_USE enum err command_ring_move_next(struct bytes *list, struct command_ring_move *ret_move);

/* A result, as the session keeps it and as it crosses the channel. */
#define COMMAND_RESULT_LEN_MAX 256
size_t command_result_encode(const struct command_result *result, uint8_t *buf);
MUST_USE enum err command_result_decode(struct bytes value, struct command_result *ret_result);

#endif
