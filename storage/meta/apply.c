/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/apply.h"

#include <stdlib.h>

#include "storage/meta/apply_priv.h"
#include "storage/meta/ring_rows.h"

static apply_function apply_noop;

static void apply_noop(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	(void)apply;
	(void)command;
	result->code = COMMAND_OK;
}

static apply_function *const functions[COMMAND_TYPE_COUNT] = {
	[COMMAND_NOOP] = apply_noop,
	[COMMAND_SESSION_OPEN] = apply_session_open,
	[COMMAND_SESSION_CLOSE] = apply_session_close,
	[COMMAND_SESSION_REPORT] = apply_session_report,
	[COMMAND_BUCKET_CREATE] = apply_bucket_create,
	[COMMAND_BUCKET_DELETE] = apply_bucket_delete,
	[COMMAND_BUCKET_UPDATE] = apply_bucket_update,
	[COMMAND_OBJECT_PUT] = apply_object_put,
	[COMMAND_OBJECT_DELETE] = apply_object_delete,
	[COMMAND_OBJECT_COPY] = apply_object_copy,
	[COMMAND_OBJECT_UPDATE] = apply_object_update,
	[COMMAND_UPLOAD_CREATE] = apply_upload_create,
	[COMMAND_UPLOAD_PART] = apply_upload_part,
	[COMMAND_UPLOAD_PART_COPY] = apply_upload_part_copy,
	[COMMAND_UPLOAD_COMPLETE] = apply_upload_complete,
	[COMMAND_UPLOAD_ABORT] = apply_upload_abort,
	[COMMAND_BODY_STAGE] = apply_body_stage,
	[COMMAND_BODY_SWAP] = apply_body_swap,
	[COMMAND_EXTENT_UPDATE] = apply_extent_update,
	[COMMAND_GARBAGE_DONE] = apply_garbage_done,
	[COMMAND_DRIVE_ADD] = apply_drive_add,
	[COMMAND_DRIVE_UPDATE] = apply_drive_update,
	[COMMAND_RING_SET] = apply_ring_set,
	[COMMAND_KEY_PUT] = apply_key_put,
	[COMMAND_NODE_PUT] = apply_node_put,
	[COMMAND_NODE_REMOVE] = apply_node_remove,
	[COMMAND_TOKEN_PUT] = apply_token_put,
	[COMMAND_TOKEN_DELETE] = apply_token_delete,
	[COMMAND_KEY_DELETE] = apply_key_delete,
	[COMMAND_SETTING_PUT] = apply_setting_put,
	[COMMAND_RING_TARGET] = apply_ring_target,
	[COMMAND_MOVE_BEGIN] = apply_move_begin,
	[COMMAND_MOVE_ADVANCE] = apply_move_advance,
	[COMMAND_MOVE_FLIP] = apply_move_flip,
	[COMMAND_MOVE_CANCEL] = apply_move_cancel,
	[COMMAND_MOVE_EMPTIED] = apply_move_emptied,
	[COMMAND_SPAN_BEGIN] = apply_span_begin,
	[COMMAND_TASK_PUT] = apply_task_put,
	[COMMAND_BUCKET_WATCH] = apply_bucket_watch,
	[COMMAND_EVENT_FILL] = apply_event_fill,
	[COMMAND_EVENT_DONE] = apply_event_done,
	[COMMAND_EXPIRE] = apply_expire,
	[COMMAND_USER_PUT] = apply_user_put,
	[COMMAND_USER_DELETE] = apply_user_delete,
	[COMMAND_BUCKET_NOTIFY] = apply_bucket_notify,
	[COMMAND_NOTICE_DONE] = apply_notice_done,
	[COMMAND_OBJECT_RENAME] = apply_object_rename,
};

/* --- what is kept beside the tables ----------------------------------------------------------- */

static void hash_key(struct row_key *key)
{
	row_key_name(key, TABLE_LOCAL, bytes_of("state-hash"));
}

static void time_key(struct row_key *key)
{
	row_key_name(key, TABLE_LOCAL, bytes_of("time"));
}

static enum err load(struct apply *apply)
{
	struct row_key key;
	struct bytes value;
	hash_key(&key);
	enum err err = buffer_view_get(&apply->view, row_key_bytes(&key), &value);
	if (err == ERR_OK)
		err = state_hash_decode(value, &apply->hash);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	time_key(&key);
	err = buffer_view_get(&apply->view, row_key_bytes(&key), &value);
	if (err == ERR_OK && value.len == 8)
		apply->time_ms = get_le64(value.data);
	else if (err != ERR_NOT_FOUND)
		return err == ERR_OK ? ERR_CORRUPT : err;
	apply->has_users = apply_user_is_any(apply);
	if (apply->err != ERR_OK)
		return apply->err;
	err = ring_rows_load(&apply->view, RING_STANDARD, &apply->ring);
	if (err == ERR_OK)
		err = ring_rows_load(
			&apply->view, RING_STANDARD | RING_ROWS_TARGET, &apply->target);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err apply_init(struct apply *apply, struct buffer *buffer)
{
	*apply = (struct apply){.buffer = buffer};
	apply->row_buf = malloc(ROW_LEN_MAX);
	if (!apply->row_buf)
		return ERR_NO_MEMORY;
	enum err err = buffer_view_open(buffer, &apply->view);
	if (err == ERR_OK)
		err = buffer_view_begin(&apply->view);
	if (err == ERR_OK) {
		err = load(apply);
		buffer_view_end(&apply->view);
	}
	if (err != ERR_OK)
		apply_fini(apply);
	return err;
}

void apply_fini(struct apply *apply)
{
	buffer_view_close(&apply->view);
	ring_snapshot_unref(apply->ring);
	ring_snapshot_unref(apply->ring_next);
	ring_snapshot_unref(apply->target);
	ring_snapshot_unref(apply->target_next);
	free(apply->row_buf);
	*apply = (struct apply){0};
}

void apply_freezing(struct apply *apply)
{
	struct row_key key;
	uint8_t buf[STATE_HASH_LEN_MAX];
	hash_key(&key);
	/* What a failed command has changed is not published (A3). */
	const struct state_hash *hash = apply->err == ERR_OK ? &apply->hash : &apply->hash_before;
	struct bytes value = bytes_make(buf, state_hash_encode(hash, buf));
	enum err err = buffer_put(apply->buffer, row_key_bytes(&key), value);
	uint8_t time[8];
	put_le64(time, apply->time_ms);
	time_key(&key);
	if (err == ERR_OK)
		err = buffer_put(apply->buffer, row_key_bytes(&key), bytes_make(time, sizeof time));
	if (err != ERR_OK)
		apply_fail(apply, err);
}

/* --- one command ------------------------------------------------------------------------------ */

static void apply_decoded(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	if (!apply_session_enter(apply, command, result))
		return;
	functions[command->type](apply, command, result);
	accounting_flush(apply);
	apply_session_leave(apply, command, result);
}

/* What the command made of the ring is what the next one sees. */
static void take_ring(struct apply *apply)
{
	if (apply->ring_next) {
		ring_snapshot_unref(apply->ring);
		apply->ring = apply->ring_next;
		apply->ring_next = NULL;
	}
	if (apply->target_changes) {
		ring_snapshot_unref(apply->target);
		apply->target = apply->target_next;
		apply->target_next = NULL;
		apply->target_changes = false;
	}
}

enum err apply_command(struct apply *apply, struct bytes bytes, struct version_id place,
	uint64_t time_ms, struct command_result *ret_result)
{
	assert(apply->err == ERR_OK);
	assert(place.index <= ROW_ID_INDEX_MAX);
	struct command command;
	struct command_result result = {.code = COMMAND_OK, .time_ms = time_ms};
	enum err err = command_decode(bytes, &command);
	if (err == ERR_UNSUPPORTED)
		return ERR_VERSION;
	apply->commands++;
	if (err != ERR_OK) {
		result.code = COMMAND_REFUSED;
		*ret_result = result;
		return ERR_OK;
	}
	apply->hash_before = apply->hash;
	apply->place = place;
	apply->time_ms = time_ms;
	err = buffer_view_begin_latest(&apply->view);
	if (err != ERR_OK)
		return err;
	apply_decoded(apply, &command, &result);
	buffer_view_end(&apply->view);
	if (apply->err != ERR_OK)
		return apply->err;
	take_ring(apply);
	*ret_result = result;
	return ERR_OK;
}
