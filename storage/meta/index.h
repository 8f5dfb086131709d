/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_INDEX_H
#define STORAGE_META_INDEX_H

#include "storage/buffer.h"
#include "storage/clock.h"
#include "storage/loop.h"
#include "storage/meta/command.h"
#include "storage/meta/consensus.h"
#include "storage/meta/row_keys.h"
#include "storage/meta/rows.h"
#include "storage/meta/state_compare.h"
#include "storage/random.h"
#include "storage/ring/ring.h"
#include "storage/trace.h"

/* The index: buckets, versions, bodies, uploads, sessions, keys, drives and the ring, as a state
 * machine that a log drives.
 *
 *   proposal → consensus (durable) → apply, one thread, in order → read buffer → kv
 *                                                    ↘ done() on the proposer's loop
 *
 * (I1) The rows after log index i are a function of the rows before and of the entry at i.
 * (I2) done() with a result comes after the command is durable and after a new view sees it.
 * (I3) A command of a session has its effect at most once, and one result.
 * (I4) An error of the machine stops the member: nothing is applied, answered or proposed after it;
 *      setup.failed() says so once. It is never a result.
 * (I5) A view is a state between two commands.
 * (I6) What a view showed of a body's extents stays readable while an index_hold_read() that was
 *      taken under that view is kept.
 *
 * Reading, on any loop, each with a reader of its own:
 *
 *   index_view_begin(reader); index_version_find(...); index_body_find(...);
 * index_view_end(reader);
 *
 * Everything found is borrowed until index_view_end(). A view lasts less than a second. A request
 * whose answer must be linearizable calls index_read_barrier() before the view.
 */
struct index;

#define INDEX_PATIENCE_MS 10000 /* how long a proposal waits for a session, a read for the log */

struct index_settings {
	size_t arena_len; /* of each generation of the read buffer; 0: the default */
	size_t rows_max; /* 0: the default */
	uint64_t idle_ms; /* uncommitted rows are committed after so long; 0: 1000 */
	bool is_alone; /* the only member: reads need not ask anybody */
	/* What must be free on setup.disk for writes to be taken, as in index_space.h. */
	uint64_t log_len, kv_len;
};

struct index_setup {
	struct kv *kv; /* borrowed */
	struct disk *disk; /* borrowed; whose space the kv and the log use; NULL: not looked at */
	struct disk *log_disk; /* borrowed; whose space the log uses; NULL: disk's */
	struct consensus *consensus; /* borrowed; opened, not started */
	struct loop *apply; /* the loop that applies */
	struct loop *committer; /* commits to the kv; may block */
	struct clock *clock;
	struct random_source *random;
	struct trace *trace;
	struct id node;
	struct index_settings settings;
	void (*failed)(void *arg, enum err err); /* once, on the apply loop (I4) */
	/* The kv is complete up to the log index: instead of consensus_release(), for who keeps
	 * more of the log. On the apply loop; NULL: the log is let go of. */
	void (*committed)(void *arg, uint64_t log_index);
	void *failed_arg; /* of both */
};

/* Opens the index and replays what the kv does not have yet. Blocks; before the loops run. Errors:
 * ERR_CORRUPT, ERR_VERSION, ERR_IO, ERR_NO_SPACE, ERR_NO_MEMORY. */
MUST_USE enum err index_open(const struct index_setup *setup, struct index **ret_index);

/* Opens this node's session, however long it takes; then opened(arg, err) on the apply loop, with
 * an error only if the member fails. Proposals wait for it. Any thread, once, when the loops run.
 */
void index_start(struct index *index, void (*opened)(void *arg, enum err err), void *arg);

/* Commits what is uncommitted and frees. Blocks; after the loops have stopped; no proposal is in
 * flight and no reader is open. */
void index_close(struct index *index);

/* Id of the session; extents are named by it. 0: none is open now. Any thread. */
uint64_t index_session(const struct index *index);

struct index_status {
	enum err err; /* ERR_OK while it serves */
	uint64_t applied; /* log index */
	uint64_t committed; /* log index in the kv */
	uint64_t session;
	uint64_t kv_used; /* bytes */
	uint64_t log_count; /* groups in the log that the kv does not have yet */
	size_t buffer_rows;
	size_t proposals; /* in flight */
	uint64_t commands; /* applied since start */
	uint64_t time_ms; /* cluster time of the last group */
	bool is_space_low; /* growth is refused: less is free than is wanted */
	uint64_t space_free, space_wanted; /* bytes, as of the last look; 0: not looked at */
};
void index_status(struct index *index, struct index_status *ret_status); /* any thread */

/* --- proposing -----------------------------------------------------------------------------------
 */

/* Embedded in what it is about, zeroed before its first use. */
struct index_proposal {
	struct loop *loop; /* done() is called here */
	uint8_t *
		bytes; /* of command_encode(); borrowed until done(), which may change its header */
	size_t len;
	void (*done)(struct index_proposal *proposal);
	uint64_t made_in; /* the session that gave the extents it names their ids; 0: any will do */

	/* In done(): */
	enum err err; /* ERR_OK: result holds. ERR_UNAVAILABLE, ERR_NO_SPACE: it was not done; the
		       * latter for commands that need what is low. ERR_UNKNOWN: it may
		       * or may not be done; a write hold is then kept while the session lives.
		       * ERR_CLOSED: the session was closed; not done. ERR_VERSION: not all members
		       * know such commands; not done. */
	struct command_result result;

	/* Of the index. */
	struct index *index;
	struct proposal proposal;
	struct task task;
	struct index_proposal *next, *prev;
	uint64_t session, sequence;
	uint64_t due_ns;
};

/* What all members know (index_command_version()), as whoever watches the nodes has seen it last;
 * newer commands are not proposed. COMMAND_VERSION at first. Any thread. */
void index_set_command_version(struct index *index, uint16_t version);
uint16_t index_known_command_version(const struct index *index);

/* Proposes a command, exactly once. At most COMMAND_IN_FLIGHT_MAX are in flight; more wait inside.
 * Never calls back before it returns. Any loop. */
void index_propose(struct index *index, struct index_proposal *proposal);

/* May commands be proposed that make the index grow (command_is_growth())? false: they would be
 * refused with ERR_NO_SPACE. Any thread. */
bool index_may_grow(struct index *index);

/* --- reading -------------------------------------------------------------------------------------
 */

/* One for each loop or thread that reads. */
struct index_reader;

/* Errors: ERR_NO_MEMORY, ERR_LIMIT. May block shortly. */
MUST_USE enum err index_reader_open(struct index *index, struct index_reader **ret_reader);
void index_reader_close(struct index_reader *reader); /* NULL is fine */

/* Errors: ERR_IO; ERR_UNAVAILABLE, the member has failed. Does not nest. */
MUST_USE enum err index_view_begin(struct index_reader *reader);
void index_view_end(struct index_reader *reader);

/* Is a view open, so that lookups may be done? */
bool index_view_has_begun(const struct index_reader *reader);

/* Log index that the view shows, and the cluster time of then. */
uint64_t index_view_index(const struct index_reader *reader);

/* Waits until a view begun after done() shows everything answered before the call. ERR_OK: that is
 * so already, done() is not called; ERR_BUSY: done() follows, on barrier->loop. Its errors:
 * ERR_UNAVAILABLE, no leader was found, or what it named did not come here in INDEX_PATIENCE_MS. */
struct index_barrier {
	struct loop *loop;
	void (*done)(struct index_barrier *barrier, enum err err);

	/* Of the index. */
	struct index *index;
	struct read_index read;
	struct task task;
	struct index_barrier *next;
	enum err err;
};
MUST_USE enum err index_read_barrier(struct index *index, struct index_barrier *barrier);

/* --- holds: what collection waits for
 * ---------------------------------------------------------------- Embedded in the operation; taken
 * and released on the reader's thread. */
struct index_hold {
	uint64_t low;
	struct index_hold *next, *prev;
};

/* Under a view: the extents that it shows stay readable until the release (I6). */
void index_hold_read(struct index_reader *reader, struct index_hold *hold);
void index_release_read(struct index_reader *reader, struct index_hold *hold);

/* Before an operation makes extents; the release comes when its proposal has a known result, or
 * nothing will be proposed. Until then none of its extents are taken for garbage. */
void index_hold_write(struct index_reader *reader, struct index_hold *hold);
void index_release_write(struct index_reader *reader, struct index_hold *hold);

/* A new extent id, never given before. Under a write hold. session 0: no session is open now. */
struct extent_id index_extent_id_make(struct index_reader *reader);

/* Proposes this node's open_low and read_low if they rose; called by who waits for them. One at a
 * time; ERR_BUSY: one is on its way already. Any loop. */
MUST_USE enum err index_report(struct index *index);

/* The same, for who waits until no session reads what the log index left behind: only if this node
 * has not said so yet. What waits for another session may wait long, and each report makes the log,
 * and so the next one's read_low, grow. */
MUST_USE enum err index_report_past(struct index *index, uint64_t log_index);

/* Were extents made, and their proposals answered, since the last report? Any loop. */
bool index_report_is_due(struct index *index);

/* --- lookups: under a view
 * -------------------------------------------------------------------------- Errors of all:
 * ERR_NOT_FOUND; ERR_CORRUPT, ERR_VERSION, ERR_IO.
 */
MUST_USE enum err index_bucket_find(
	struct index_reader *reader, struct bytes name, struct row_bucket *ret_bucket);
MUST_USE enum err index_bucket_get(
	struct index_reader *reader, uint64_t bucket, struct row_bucket *ret_bucket);
MUST_USE enum err index_bucket_counts(
	struct index_reader *reader, uint64_t bucket, struct row_bucket_counts *ret_counts);
MUST_USE enum err index_bucket_config(struct index_reader *reader, uint64_t bucket,
	enum bucket_config kind, struct bytes *ret_config);

/* A version, with metadata and tags wherever they are stored. */
struct object_info {
	struct version_id version;
	struct row_version row;
	bool is_latest; /* known for index_version_find() without a version, and for cursors */
};

/* The current version of a key; a delete marker is found too: see row.is_delete_marker. */
MUST_USE enum err index_version_find(struct index_reader *reader, uint64_t bucket, struct bytes key,
	struct object_info *ret_object);

/* A certain version of a key. */
MUST_USE enum err index_version_get(struct index_reader *reader, uint64_t bucket, struct bytes key,
	struct version_id version, struct object_info *ret_object);

/* The version of a key that is "null" to S3. */
MUST_USE enum err index_version_null(struct index_reader *reader, uint64_t bucket, struct bytes key,
	struct object_info *ret_object);

MUST_USE enum err index_body_get(
	struct index_reader *reader, uint64_t body, struct row_body *ret_body);

/* The bytes of an inline body. They are gone with the last version that names it, so they are taken
 * under the view that found the version. An empty body has none: ERR_OK, len 0. */
MUST_USE enum err index_inline_get(
	struct index_reader *reader, uint64_t body, struct bytes *ret_data);

/* The body that has the bytes of another one at an offset: the same, or what its slices lead to. */
struct index_leaf {
	uint64_t id;
	uint64_t offset; /* in the leaf, of bytes as clients see them */
	uint64_t len; /* from there on, that follow each other in both */
	struct row_body body; /* the leaf's; not a BODY_SLICES */
};

/* Errors: ERR_NOT_FOUND, offset is at or behind the end, or the body is gone. */
MUST_USE enum err index_leaf_find(
	struct index_reader *reader, uint64_t body, uint64_t offset, struct index_leaf *ret_leaf);

/* The lengths of the frames of a zipped body that has extents (storage/object/frame.h). */
MUST_USE enum err index_frames_get(
	struct index_reader *reader, uint64_t body, struct bytes *ret_table);

/* A run of a body that is in one place. */
struct index_piece {
	uint64_t start; /* in the body asked about */
	uint64_t len;
	uint64_t leaf; /* the body that has it, kind BODY_INLINE or BODY_EXTENTS */
	uint64_t leaf_offset; /* where in the leaf it begins */
	struct bytes inline_data; /* the run's bytes, if the leaf is inline */
	struct extent_id extent; /* else */
	uint16_t slot;
	uint64_t extent_offset; /* where in the extent's bytes the run begins */
	struct row_extent row;
	struct row_body body; /* the leaf's: compression, encryption */
};

/* The first piece of [offset, end of the body): descends through slices. The caller goes on at
 * start + len, under this or a later view (with a read hold). A leaf that is compressed or
 * encrypted is found by offsets in its stored bytes; the caller reads such a body leaf by leaf.
 * Errors: ERR_NOT_FOUND, offset is at or behind the end, or the body is gone. */
MUST_USE enum err index_piece_find(
	struct index_reader *reader, uint64_t body, uint64_t offset, struct index_piece *ret_piece);

/* The part'th part of a completed upload, counted from 1 in order: offset and length in the body,
 * its number in the upload, and its body (for its checksum). ERR_NOT_FOUND: there are fewer. */
struct index_part {
	uint64_t offset, len;
	uint16_t number;
	uint64_t body;
};
MUST_USE enum err index_body_part(
	struct index_reader *reader, uint64_t body, uint32_t part, struct index_part *ret_part);

/* The next parts in order, at most cap of them: those with a greater number than that one. Fewer:
 * there are no more. */
MUST_USE enum err index_body_parts_after(struct index_reader *reader, uint64_t body,
	uint16_t number, struct index_part *parts, size_t cap, size_t *ret_count);

/* --- versions in order: LIST
 * -------------------------------------------------------------------------- A cursor over all
 * versions of a bucket, by key, then newest first. One cursor of any kind moves in a view at a
 * time. After index_view_end() go on with a seek in a new view.
 */
struct index_version_cursor {
	struct index_reader *reader;
	uint64_t bucket;
	/* After a seek or next that succeeded: */
	struct bytes key; /* in key_buf */
	struct object_info object; /* without overflow: metadata and tags may be empty */

	uint8_t key_buf[ROW_KEY_LEN_MAX];
	struct row_key last;
};

void index_versions_init(
	struct index_version_cursor *cursor, struct index_reader *reader, uint64_t bucket);

/* To the newest version of the first key at or after the given one. ERR_NOT_FOUND: at the end. */
MUST_USE enum err index_versions_seek(struct index_version_cursor *cursor, struct bytes key);

/* Behind all versions of a key. */
MUST_USE enum err index_versions_seek_after(struct index_version_cursor *cursor, struct bytes key);

/* Behind a version of a key: for key-marker with version-id-marker. */
MUST_USE enum err index_versions_seek_after_version(
	struct index_version_cursor *cursor, struct bytes key, struct version_id version);

/* Behind all keys that begin with a prefix: past a common prefix. */
MUST_USE enum err index_versions_skip_prefix(
	struct index_version_cursor *cursor, struct bytes prefix);

/* To the next version, or to the newest version of the next key. */
MUST_USE enum err index_versions_next(struct index_version_cursor *cursor);
MUST_USE enum err index_versions_next_key(struct index_version_cursor *cursor);

/* --- other things in order
 * ------------------------------------------------------------------------------ Each finds the
 * first at or behind a place; the caller goes on from what it got. ERR_NOT_FOUND at the end.
 */

/* By name; names before from are not given. owner empty: everybody's. */
MUST_USE enum err index_bucket_next(struct index_reader *reader, struct bytes from,
	struct bytes owner, struct row_bucket *ret_bucket);

/* An upload in progress or completed. */
MUST_USE enum err index_upload_get(struct index_reader *reader, uint64_t bucket, struct bytes key,
	uint64_t upload, struct row_upload *ret_upload);

/* Open uploads by key, then by id, which is the order they were begun in: the first that begins
 * with prefix and is behind (key, upload). upload UINT64_MAX: behind all uploads of the key. */
struct index_upload {
	struct bytes key; /* in key_buf */
	uint64_t upload;
	struct row_upload row;
	uint8_t key_buf[ROW_KEY_LEN_MAX];
};
MUST_USE enum err index_upload_next(struct index_reader *reader, uint64_t bucket,
	struct bytes prefix, struct bytes key, uint64_t upload, struct index_upload *ret_upload);

/* The first event of a bucket behind another, or behind a zeroed one, of all. */
struct index_event {
	struct event_place place;
	struct row_event row;
};
MUST_USE enum err index_event_next(struct index_reader *reader, uint64_t bucket,
	const struct event_place *behind, struct index_event *ret_event);

/* The first bucket, by id from that one on, that has events; it may be gone. */
MUST_USE enum err index_event_bucket_next(
	struct index_reader *reader, uint64_t from, uint64_t *ret_bucket);

/* The first notice for a webhook behind that place in the log, or behind a zeroed one, of all. */
struct index_notice {
	struct version_id place;
	struct row_notice row;
};
MUST_USE enum err index_notice_next(struct index_reader *reader, struct bytes target,
	struct version_id behind, struct index_notice *ret_notice);

/* The queue of a webhook; and the first by name, from that one on. */
MUST_USE enum err index_notice_queue(
	struct index_reader *reader, struct bytes target, struct row_notice_queue *ret_queue);
MUST_USE enum err index_notice_queue_next(struct index_reader *reader, struct bytes from,
	struct bytes *ret_target, struct row_notice_queue *ret_queue);

/* The first part of an upload with at least that number. */
MUST_USE enum err index_part_next(struct index_reader *reader, uint64_t upload, uint16_t from,
	uint16_t *ret_number, struct row_part *ret_part);

MUST_USE enum err index_access_key_get(
	struct index_reader *reader, struct bytes id, struct row_access_key *ret_key);
MUST_USE enum err index_access_key_next(struct index_reader *reader, struct bytes from,
	struct bytes *ret_id, struct row_access_key *ret_key);

/* Users by id, and what their buckets come to. */
MUST_USE enum err index_user_get(
	struct index_reader *reader, struct bytes id, struct row_user *ret_user);
MUST_USE enum err index_user_next(struct index_reader *reader, struct bytes from,
	struct bytes *ret_id, struct row_user *ret_user);
MUST_USE enum err index_user_usage_get(
	struct index_reader *reader, struct bytes id, struct row_user_usage *ret_usage);

/* A number that changes whenever any access key does: for caches. Any thread, no view. */
uint64_t index_access_key_generation(const struct index *index);

MUST_USE enum err index_setting_get(
	struct index_reader *reader, struct bytes name, struct bytes *ret_value);

/* Tasks by id: the first with at least that one; and the open one of a name. Borrowed of the view,
 * as all texts of rows. */
MUST_USE enum err index_task_next(
	struct index_reader *reader, uint64_t from, struct row_task *ret_task);
MUST_USE enum err index_task_find(
	struct index_reader *reader, struct bytes name, struct row_task *ret_task);

struct index_garbage {
	uint64_t log_index;
	uint8_t kind;
	uint64_t id;
	struct row_garbage row;
};

/* The first garbage row behind (log_index, kind, id); all 0: the first of all. */
MUST_USE enum err index_garbage_next(struct index_reader *reader, uint64_t log_index, uint8_t kind,
	uint64_t id, struct index_garbage *ret_garbage);

/* Smallest read_low of all open sessions; UINT64_MAX: no session is open. */
MUST_USE enum err index_read_low(struct index_reader *reader, uint64_t *ret_read_low);

MUST_USE enum err index_session_next(struct index_reader *reader, uint64_t from,
	uint64_t *ret_session, struct row_session *ret_row);

/* Is the extent settled garbage if no row names it: its session is closed, or its counter is below
 * what is open there? */
MUST_USE enum err index_extent_is_settled(
	struct index_reader *reader, struct extent_id extent, bool *ret_is_settled);

MUST_USE enum err index_extent_get(struct index_reader *reader, uint16_t slot,
	struct extent_id extent, struct row_extent *ret_row);

/* The first extent of the slot with at least that id. */
MUST_USE enum err index_extent_next(struct index_reader *reader, uint16_t slot,
	struct extent_id from, struct extent_id *ret_extent, struct row_extent *ret_row);

MUST_USE enum err index_slot_counts(
	struct index_reader *reader, uint16_t slot, struct row_slot_counts *ret_counts);

MUST_USE enum err index_drive_get(
	struct index_reader *reader, uint16_t number, struct row_drive *ret_drive);
MUST_USE enum err index_drive_next(
	struct index_reader *reader, uint16_t from, struct row_drive *ret_drive);

/* Nodes by number: the first with at least that one. */
MUST_USE enum err index_node_next(
	struct index_reader *reader, uint16_t from, struct row_node *ret_node);
MUST_USE enum err index_node_find(
	struct index_reader *reader, struct id id, struct row_node *ret_node);
MUST_USE enum err index_token_get(
	struct index_reader *reader, struct id token, struct row_token *ret_token);

/* A number that changes whenever any node or token does. Any thread, no view. */
uint64_t index_node_generation(const struct index *index);

/* The newest applied ring, with a reference for the caller; NULL: none was set yet. Any thread, no
 * view. */
struct ring_snapshot *index_ring(struct index *index);

/* --- state hash
 * ------------------------------------------------------------------------------------- */

/* For each table the sum (mod 2^64) over its rows of XXH3(key, value). */
struct index_state_hash {
	uint64_t applied; /* log index */
	uint64_t tables[256]; /* by table tag; LOCAL is 0 */
};

/* Where this member is, and the digest of the hash there; log index 0: nothing was applied yet. Any
 * thread. */
struct state_mark index_state_mark(struct index *index);

/* The digest at a log index. false: it is not known any more, or not yet. Any thread. */
bool index_state_find(struct index *index, uint64_t log_index, uint64_t *ret_digest);

/* state_peer_compare() with this index. Any thread. */
bool index_state_compare(struct index *index, struct state_peer *peer);

/* The rolling hash, as of the last applied command. On the apply loop, or when the loops stand. */
void index_state_hash(struct index *index, struct index_state_hash *ret_hash);

/* The hash counted anew from all rows of a view. Long; for tests and checks. */
MUST_USE enum err index_state_recount(
	struct index_reader *reader, struct index_state_hash *ret_hash);

#endif
