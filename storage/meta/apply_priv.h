/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_APPLY_PRIV_H
#define STORAGE_META_APPLY_PRIV_H

#include "storage/meta/apply.h"
#include "storage/meta/notice.h"
#include "storage/meta/row_keys.h"
#include "storage/meta/rows_notice.h"

/* Access to rows, apply_rows.c. Nothing here returns an error: those of the machine are latched in
 * apply->err, and from then on nothing is found and nothing is written (A3). What is found is
 * borrowed until the end of the command. */
bool apply_get(struct apply *apply, const struct row_key *key, struct bytes *ret_value);
void apply_put(struct apply *apply, const struct row_key *key, struct bytes value);
void apply_put_new(struct apply *apply, const struct row_key *key, struct bytes value);
void apply_remove(struct apply *apply, const struct row_key *key); /* fine if it is not there */

/* The first row at or behind key whose key begins with the first prefix_len bytes of key. */
bool apply_seek(struct apply *apply, const struct row_key *key, size_t prefix_len,
	struct bytes *ret_key, struct bytes *ret_value);
/* The row behind the one found last, if its key begins with prefix. */
bool apply_next(
	struct apply *apply, struct bytes prefix, struct bytes *ret_key, struct bytes *ret_value);

/* Removes a row whose key was found. */
void apply_remove_found(struct apply *apply, struct bytes key);

/* Latches an error; CORRUPT when rows contradict each other. */
void apply_fail(struct apply *apply, enum err err);

#define X(name) \
	bool apply_get_##name( \
		struct apply *apply, const struct row_key *key, struct row_##name *ret_row); \
	void apply_put_##name( \
		struct apply *apply, const struct row_key *key, const struct row_##name *row); \
	void apply_new_##name( \
		struct apply *apply, const struct row_key *key, const struct row_##name *row);
ROWS_TABLE(X)
#undef X

/* Reads a row that apply_seek() or apply_next() found; false latches. */
#define APPLY_DECODE(apply, name, value, ret_row) \
	apply_decode_is_ok((apply), row_##name##_decode((value), (ret_row)))
bool apply_decode_is_ok(struct apply *apply, enum err err);

/* The id of the part'th thing that the command makes. */
static inline struct version_id apply_place(const struct apply *apply, uint32_t part)
{
	return (struct version_id){apply->place.index, apply->place.position + part};
}

/* --- bodies, apply_body.c --------------------------------------------------------------------- */

/* Makes a body of what came with a command, with one reference. part: of its id. REFUSED, NO_BODY
 * or OK; not OK: nothing was changed. */
enum command_code apply_body_make(struct apply *apply, uint32_t part, uint64_t bucket,
	struct bytes key, uint8_t class, const struct command_body *body, uint64_t *ret_body);

/* Makes a body of slices. pieces are body, offset, len and part; they take one reference each over.
 * row has everything but kind, refs and piece_count. */
uint64_t apply_body_make_slices(struct apply *apply, uint32_t part, struct row_body *row,
	const struct row_piece *pieces, size_t count);

/* Adds a reference; false: there is no such body, or it has none left. */
bool apply_body_ref(struct apply *apply, uint64_t body, struct row_body *ret_row);
void apply_body_unref(struct apply *apply, uint64_t body);

/* Can the extents be new rows of this proposer? Checks what needs the index. REFUSED, LOST or OK.
 */
enum command_code apply_extents_check(struct apply *apply, struct bytes extents);

/* --- extents, apply_extent.c ------------------------------------------------------------------ */

/* Adds rows and pieces for a list of extents behind what the body has already. */
void apply_extents_add(
	struct apply *apply, uint64_t body, struct row_body *row, struct bytes extents);

/* Removes the extents of one row of pieces. */
void apply_extents_remove(struct apply *apply, struct bytes pieces_value);

/* Names another body in the rows of the extents of one row of pieces. */
void apply_extents_rename(struct apply *apply, struct bytes pieces_value, uint64_t body);

/* Writes an extent's row and counts it; without old it is new, without new it goes. */
void apply_extent_write(struct apply *apply, uint32_t slot, struct extent_id extent,
	const struct row_extent *old, struct row_extent *new);

/* The exception of a shard, if it has one. */
bool apply_exception_find(const struct row_extent *row, uint8_t shard, uint16_t *ret_drive);

/* The exceptions of a row once a shard of it is on that drive, in buf, which has room for all. */
struct bytes apply_exception_set(const struct apply *apply, uint32_t slot, struct extent_id extent,
	const struct row_extent *row, uint8_t shard, uint16_t drive, uint8_t *buf);

/* --- the ring, apply_ring.c ------------------------------------------------------------------- */

/* A copy of the ring with its moves and gone drives, to be changed by a command. */
struct ring_edit {
	struct ring ring; /* of slots */
	uint8_t *slots; /* owned, as all of these */
	struct ring_moving *moves; /* room for RING_MOVES_MAX */
	size_t move_count;
	uint16_t *gone; /* room for RING_DRIVES_MAX */
	size_t gone_count;
};

/* There is a ring. False: latched. */
bool apply_ring_edit(struct apply *apply, struct ring_edit *ret_edit);

/* Writes what changed of the ring's own rows; the edit is what the next command sees. If the target
 * is reached it becomes the ring. */
void apply_ring_edited(struct apply *apply, struct ring_edit *edit);

/* Nothing of it is to be. */
void apply_ring_dropped(struct ring_edit *edit);

/* All drives but those that are gone; owned by the caller. NULL: latched. */
struct ring_drive_info *apply_ring_drives(struct apply *apply, size_t *ret_count);

/* Has any slot the drive in ring, target or moves? */
bool apply_ring_has_drive(const struct apply *apply, uint16_t drive);

/* Notes that shards of (slot, shard) are on a drive that need not be there; but for a drive that is
 * gone, 0, or a place by the ring as it is now. apply_move.c. */
void apply_leftover_add(struct apply *apply, uint32_t slot, uint8_t shard, uint16_t drive);

/* Is some session reading a state from before this log index? apply_garbage.c. */
bool apply_is_read(struct apply *apply, uint64_t log_index);

/* --- versions, apply_version.c ---------------------------------------------------------------- */

/* A key in a bucket, and its newest version. */
struct apply_object {
	struct row_bucket bucket;
	struct bytes key;
	bool has_newest;
	struct version_id newest_id;
	struct row_version newest;
	bool is_current; /* the newest is there and no delete marker */
};

/* False: there is no such bucket. */
bool apply_object_find(
	struct apply *apply, uint64_t bucket, struct bytes key, struct apply_object *ret_object);
void apply_object_newest(struct apply *apply, struct apply_object *object);

/* A certain version of a key. */
bool apply_version_get(struct apply *apply, uint64_t bucket, struct bytes key,
	struct version_id version, struct row_version *ret_row);

/* The version that is "null" to S3. */
bool apply_version_null(struct apply *apply, const struct apply_object *object,
	struct version_id *ret_version, struct row_version *ret_row);

/* Removes a version: its rows, its reference, its counts. object is looked up anew. */
void apply_version_remove(struct apply *apply, struct apply_object *object,
	struct version_id version, const struct row_version *row);

/* Judges conditions. etag and invocation are the new version's, or NULL and 0. EXISTS: an earlier
 * try of the same request was the cause, and it is the answer. */
enum command_code apply_conditions(const struct apply_object *object,
	const struct command_conditions *conditions, const struct etag *etag, uint64_t invocation);

/* Adds the newest version of a key, as the bucket's versioning has it. row has everything but
 * is_null, has_overflow, metadata and tags. The reference on its body is there already. */
void apply_version_insert(struct apply *apply, struct apply_object *object, uint32_t part,
	struct row_version *row, struct bytes metadata, struct bytes tags);

/* Changes metadata and tags of a version where it is, and writes its row. */
void apply_version_write(struct apply *apply, uint64_t bucket, struct bytes key,
	struct version_id version, struct row_version *row, struct bytes metadata,
	struct bytes tags, bool is_new);

/* The source of a copy: the version is there and still has that body. */
bool apply_source_find(struct apply *apply, uint64_t bucket, struct bytes key,
	struct version_id version, uint64_t body, struct row_version *ret_row);

/* True: go on. False: the result says what they came to. */
bool apply_conditions_hold(const struct apply_object *object,
	const struct command_conditions *conditions, const struct etag *etag, uint64_t invocation,
	struct command_result *result);

/* Inserts a version with the attributes of a command, and tells it. */
void apply_object_put_version(struct apply *apply, struct apply_object *object,
	struct row_version *row, const struct command_attributes *attributes,
	struct command_result *result);

/* Deletes the key: what that means depends on the bucket's versioning. LOCKED, MARKER_MADE, DONE.
 */
enum command_delete_code apply_object_remove(
	struct apply *apply, struct apply_object *object, uint32_t part);

/* Would a version of so many bytes be too much for the bucket, or for the user who owns it, when
 * so many bytes of counted parts go? */
bool apply_is_over_quota(
	struct apply *apply, const struct apply_object *object, uint64_t len, uint64_t parts_len);

/* The same of a part, by bytes alone: the version is asked about when the upload is completed. */
bool apply_part_is_over_quota(
	struct apply *apply, uint64_t bucket, struct bytes key, uint64_t len, uint64_t parts_len);

/* --- users, apply_user.c ---------------------------------------------------------------------- */

bool apply_user_is_any(struct apply *apply);
bool apply_user_is_there(struct apply *apply, struct bytes id);

/* --- object lock, apply_lock.c ---------------------------------------------------------------- */

/* Is the version to be kept (K1)? */
bool apply_version_is_locked(
	const struct apply *apply, const struct row_version *row, bool bypass_governance);

/* May a version of the bucket have these attributes (K2)? */
bool apply_lock_may_have(
	const struct row_bucket *bucket, const struct command_attributes *attributes);

/* Would a newest version, or the end of the key, replace a version that is to be kept? */
bool apply_lock_is_in_the_way(struct apply *apply, const struct apply_object *object);

/* Both. REFUSED, LOCKED or OK. */
enum command_code apply_lock_check_insert(struct apply *apply, const struct apply_object *object,
	const struct command_attributes *attributes);

/* Sets retention and legal hold of a new version: the command's, or what the bucket has. */
void apply_lock_set(struct apply *apply, const struct row_bucket *bucket,
	const struct command_attributes *attributes, struct row_version *row);

/* Sets what an update says of them. REFUSED, LOCKED or OK; not OK: the row is as it was. */
enum command_code apply_lock_update(
	struct apply *apply, const struct command_object_update *update, struct row_version *row);

/* Tells of a key, if the bucket is watched. apply_event.c. */
void apply_event_add(struct apply *apply, const struct row_bucket *bucket, struct bytes key);

/* --- notices, apply_notice.c ------------------------------------------------------------------ */

struct apply_notice {
	struct bytes key;
	struct version_id version;
	const struct row_version *row; /* that was made, or is gone; NULL: none */
	struct bytes origin;
};

/* Tells of an event, if the bucket has a rule for it. part: as in apply_place(). */
void apply_notice_add(struct apply *apply, const struct row_bucket *bucket, enum notice_event event,
	uint32_t part, const struct apply_notice *about);

/* The same of the version that was just made the newest. */
void apply_notice_put(struct apply *apply, const struct apply_object *object,
	enum notice_event event, struct bytes origin);

/* The same of a key that was removed: the delete marker that is the newest now, or nothing. */
void apply_notice_removed(struct apply *apply, const struct apply_object *object, uint32_t part,
	enum notice_event event, struct bytes origin);

/* --- commands --------------------------------------------------------------------------------- */

/* Each sets result->code, and what else it has to tell. */
typedef void apply_function(
	struct apply *apply, const struct command *command, struct command_result *result);

apply_function apply_session_open, apply_session_close, apply_session_report;
apply_function apply_bucket_create, apply_bucket_delete, apply_bucket_update;
apply_function apply_object_put, apply_object_delete, apply_object_copy, apply_object_update;
apply_function apply_upload_create, apply_upload_part, apply_upload_part_copy;
apply_function apply_upload_complete, apply_upload_abort;
apply_function apply_body_stage, apply_body_swap, apply_extent_update;
apply_function apply_garbage_done;
apply_function apply_drive_add, apply_drive_update, apply_ring_set, apply_ring_target;
apply_function apply_move_begin, apply_move_advance, apply_move_flip, apply_move_cancel;
apply_function apply_move_emptied, apply_span_begin;
apply_function apply_key_put, apply_key_delete, apply_setting_put, apply_task_put;
apply_function apply_user_put, apply_user_delete;
apply_function apply_bucket_watch, apply_event_fill, apply_event_done, apply_expire;
apply_function apply_bucket_notify, apply_notice_done, apply_object_rename;
apply_function apply_node_put, apply_node_remove, apply_token_put, apply_token_delete;

/* Closes all sessions of a node. */
void apply_session_close_all(struct apply *apply, struct id node);

/* Removes the row of an upload, and leaves its parts to the collector. */
void apply_upload_drop(struct apply *apply, uint64_t bucket, struct bytes key, uint64_t upload);

/* An open upload of a bucket that is there is none any more: its counts go. */
void apply_upload_uncount(struct apply *apply, uint64_t bucket, const struct row_upload *row);

/* Puts something in the garbage table. */
void apply_garbage_add(
	struct apply *apply, enum garbage_kind kind, uint64_t id, const struct row_garbage *row);

/* Sessions around a command, apply_session.c. */

/* True: go on and apply it. False: result is the answer. */
bool apply_session_enter(
	struct apply *apply, const struct command *command, struct command_result *result);
/* Keeps the result. */
void apply_session_leave(
	struct apply *apply, const struct command *command, const struct command_result *result);

#endif
