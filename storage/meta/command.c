/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/command.h"

#include "storage/meta/command_priv.h"

#define AT_FORMAT 0
#define AT_TYPE 1
#define AT_SESSION 8
#define AT_SEQUENCE 16
#define AT_RESULT_LOW 24
static_assert(AT_RESULT_LOW + 8 == COMMAND_HEADER_LEN, "the header has no gap");

/* --- names ------------------------------------------------------------------------------------ */

const char *command_code_name(enum command_code code)
{
	switch (code) {
#define X(name, number, err) \
	case COMMAND_##name: \
		return #name;
		COMMAND_CODES(X)
#undef X
	}
	return "?";
}

enum err command_code_err(enum command_code code)
{
	switch (code) {
#define X(name, number, err) \
	case COMMAND_##name: \
		return err;
		COMMAND_CODES(X)
#undef X
	}
	return ERR_VERSION;
}

const char *command_type_name(enum command_type type)
{
	static const char *const names[COMMAND_TYPE_COUNT] = {
		[COMMAND_NOOP] = "noop",
		[COMMAND_SESSION_OPEN] = "session_open",
		[COMMAND_SESSION_CLOSE] = "session_close",
		[COMMAND_SESSION_REPORT] = "session_report",
		[COMMAND_BUCKET_CREATE] = "bucket_create",
		[COMMAND_BUCKET_DELETE] = "bucket_delete",
		[COMMAND_BUCKET_UPDATE] = "bucket_update",
		[COMMAND_OBJECT_PUT] = "object_put",
		[COMMAND_OBJECT_DELETE] = "object_delete",
		[COMMAND_OBJECT_COPY] = "object_copy",
		[COMMAND_OBJECT_UPDATE] = "object_update",
		[COMMAND_UPLOAD_CREATE] = "upload_create",
		[COMMAND_UPLOAD_PART] = "upload_part",
		[COMMAND_UPLOAD_PART_COPY] = "upload_part_copy",
		[COMMAND_UPLOAD_COMPLETE] = "upload_complete",
		[COMMAND_UPLOAD_ABORT] = "upload_abort",
		[COMMAND_BODY_STAGE] = "body_stage",
		[COMMAND_BODY_SWAP] = "body_swap",
		[COMMAND_EXTENT_UPDATE] = "extent_update",
		[COMMAND_GARBAGE_DONE] = "garbage_done",
		[COMMAND_DRIVE_ADD] = "drive_add",
		[COMMAND_DRIVE_UPDATE] = "drive_update",
		[COMMAND_RING_SET] = "ring_set",
		[COMMAND_KEY_PUT] = "key_put",
		[COMMAND_KEY_DELETE] = "key_delete",
		[COMMAND_SETTING_PUT] = "setting_put",
		[COMMAND_NODE_PUT] = "node_put",
		[COMMAND_NODE_REMOVE] = "node_remove",
		[COMMAND_TOKEN_PUT] = "token_put",
		[COMMAND_TOKEN_DELETE] = "token_delete",
		[COMMAND_RING_TARGET] = "ring_target",
		[COMMAND_MOVE_BEGIN] = "move_begin",
		[COMMAND_MOVE_ADVANCE] = "move_advance",
		[COMMAND_MOVE_FLIP] = "move_flip",
		[COMMAND_MOVE_CANCEL] = "move_cancel",
		[COMMAND_MOVE_EMPTIED] = "move_emptied",
		[COMMAND_SPAN_BEGIN] = "span_begin",
		[COMMAND_TASK_PUT] = "task_put",
		[COMMAND_BUCKET_WATCH] = "bucket_watch",
		[COMMAND_EVENT_FILL] = "event_fill",
		[COMMAND_EVENT_DONE] = "event_done",
		[COMMAND_EXPIRE] = "expire",
		[COMMAND_USER_PUT] = "user_put",
		[COMMAND_USER_DELETE] = "user_delete",
		[COMMAND_BUCKET_NOTIFY] = "bucket_notify",
		[COMMAND_NOTICE_DONE] = "notice_done",
		[COMMAND_OBJECT_RENAME] = "object_rename",
	};
	return type < COMMAND_TYPE_COUNT && names[type] ? names[type] : "?";
}

uint16_t command_type_version(enum command_type type)
{
	if (type < COMMAND_NODE_PUT)
		return 1;
	if (type < COMMAND_BUCKET_WATCH)
		return 2;
	return type < COMMAND_USER_PUT ? 3 : 4;
}

/* --- the whole -------------------------------------------------------------------------------- */

void command_stamp(uint8_t *bytes, uint64_t session, uint64_t sequence, uint64_t result_low)
{
	put_le64(bytes + AT_SESSION, session);
	put_le64(bytes + AT_SEQUENCE, sequence);
	put_le64(bytes + AT_RESULT_LOW, result_low);
}

bool command_is_growth(const uint8_t *bytes)
{
	switch (bytes[AT_TYPE]) {
	case COMMAND_BUCKET_CREATE:
	case COMMAND_BUCKET_UPDATE:
	case COMMAND_OBJECT_PUT:
	case COMMAND_OBJECT_COPY:
	case COMMAND_OBJECT_UPDATE:
	case COMMAND_UPLOAD_CREATE:
	case COMMAND_UPLOAD_PART:
	case COMMAND_UPLOAD_PART_COPY:
	case COMMAND_UPLOAD_COMPLETE:
	case COMMAND_BODY_STAGE:
	case COMMAND_EVENT_FILL:
		return true;
	default:
		return false;
	}
}

enum err command_encode(const struct command *command, uint8_t *buf, size_t cap, size_t *ret_len)
{
	assert(command->type < COMMAND_TYPE_COUNT && command_type_fields[command->type]);
	if (cap < COMMAND_HEADER_LEN)
		return ERR_LIMIT;
	memset(buf, 0, COMMAND_HEADER_LEN);
	buf[AT_FORMAT] = COMMAND_FORMAT;
	buf[AT_TYPE] = command->type;
	command_stamp(buf, command->session, command->sequence, command->result_low);
	struct fields_out out = {
		.data = buf,
		.len = COMMAND_HEADER_LEN,
		.cap = cap < COMMAND_LEN_MAX ? cap : COMMAND_LEN_MAX,
	};
	/* All members of the union begin at the same place. */
	fields_encode(&out, command_type_fields[command->type], &command->session_open);
	if (out.is_full)
		return ERR_LIMIT;
	*ret_len = out.len;
	return ERR_OK;
}

enum err command_decode(struct bytes in, struct command *ret_command)
{
	if (in.len < COMMAND_HEADER_LEN || in.len > COMMAND_LEN_MAX)
		return ERR_INVALID;
	if (in.data[AT_FORMAT] != COMMAND_FORMAT || in.data[AT_TYPE] >= COMMAND_TYPE_COUNT ||
		!command_type_fields[in.data[AT_TYPE]])
		return ERR_UNSUPPORTED;
	ret_command->type = in.data[AT_TYPE];
	ret_command->session = get_le64(in.data + AT_SESSION);
	ret_command->sequence = get_le64(in.data + AT_SEQUENCE);
	ret_command->result_low = get_le64(in.data + AT_RESULT_LOW);
	enum err err = fields_decode(command_type_fields[ret_command->type],
		bytes_from(in, COMMAND_HEADER_LEN), &ret_command->session_open);
	if (err != ERR_OK)
		return err;
	return command_is_valid(ret_command) ? ERR_OK : ERR_INVALID;
}

/* --- lists ------------------------------------------------------------------------------------ */

void command_extent_append(struct fields_out *out, const struct command_extent *extent)
{
	fields_list_append(out, &command_extent_fields, extent);
}

enum err command_extent_next(struct bytes *list, struct command_extent *ret_extent)
{
	return fields_list_next(&command_extent_fields, list, ret_extent);
}

void command_delete_append(struct fields_out *out, const struct command_delete *item)
{
	fields_list_append(out, &command_delete_fields, item);
}

enum err command_delete_next(struct bytes *list, struct command_delete *ret_item)
{
	return fields_list_next(&command_delete_fields, list, ret_item);
}

void command_shard_move_append(struct fields_out *out, const struct command_shard_move *move)
{
	fields_list_append(out, &command_shard_move_fields, move);
}

enum err command_shard_move_next(struct bytes *list, struct command_shard_move *ret_move)
{
	return fields_list_next(&command_shard_move_fields, list, ret_move);
}

void command_ring_move_append(struct fields_out *out, const struct command_ring_move *move)
{
	fields_list_append(out, &command_ring_move_fields, move);
}

enum err command_ring_move_next(struct bytes *list, struct command_ring_move *ret_move)
{
	return fields_list_next(&command_ring_move_fields, list, ret_move);
}

void command_event_append(struct fields_out *out, const struct command_event *event)
{
	fields_list_append(out, &command_event_fields, event);
}

enum err command_event_next(struct bytes *list, struct command_event *ret_event)
{
	return fields_list_next(&command_event_fields, list, ret_event);
}

void command_expire_append(struct fields_out *out, const struct command_expire_item *item)
{
	fields_list_append(out, &command_expire_item_fields, item);
}

enum err command_expire_next(struct bytes *list, struct command_expire_item *ret_item)
{
	return fields_list_next(&command_expire_item_fields, list, ret_item);
}

/* --- results ---------------------------------------------------------------------------------- */

size_t command_result_encode(const struct command_result *result, uint8_t *buf)
{
	struct fields_out out = {.data = buf, .cap = COMMAND_RESULT_LEN_MAX};
	buf[0] = COMMAND_FORMAT;
	out.len = 1;
	fields_encode(&out, &command_result_fields, result);
	assert(!out.is_full);
	return out.len;
}

enum err command_result_decode(struct bytes value, struct command_result *ret_result)
{
	if (value.len == 0 || value.data[0] == 0)
		return ERR_CORRUPT;
	if (value.data[0] > COMMAND_FORMAT)
		return ERR_VERSION;
	enum err err = fields_decode(&command_result_fields, bytes_from(value, 1), ret_result);
	return err == ERR_OK ? ERR_OK : ERR_CORRUPT;
}
