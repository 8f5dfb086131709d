/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of commands that need no look at the index. What breaks one is refused. */
#include "storage/meta/command_priv.h"
#include "storage/meta/notice.h"

#define EXTENT_LEN_MAX (64u << 20)
#define UNIT_LEN_MAX (1u << 20)
#define TOKEN_LIFE_MS_MAX (UINT64_C(366) * 24 * 3600 * 1000)
#define BODY_LEN_MAX (UINT64_C(1) << 50)

static bool is_key(struct bytes key)
{
	return key.len >= 1 && key.len <= ROW_KEY_LEN_MAX;
}

static bool is_name(struct bytes name)
{
	return name.len >= 1;
}

static bool are_checksums(const struct checksum *checksums, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (checksums[i].len > sizeof checksums[i].value)
			return false;
	}
	return true;
}

static bool is_attributes(const struct command_attributes *attributes)
{
	return attributes->retention <= RETENTION_COMPLIANCE &&
		metadata_is_valid(attributes->metadata) && metadata_is_valid(attributes->tags);
}

/* Is enough of the extent durable, on a drive each, to be called written (P1)? */
static bool is_durable(const struct command_extent *extent)
{
	unsigned durable = 0;
	for (size_t i = 0; i < extent->drives.len / 2; i++) {
		uint16_t drive = get_le16(extent->drives.data + 2 * i);
		for (size_t j = 0; j < i; j++)
			if (drive != 0 && get_le16(extent->drives.data + 2 * j) == drive)
				return false;
		durable += drive != 0;
	}
	return durable >= extent->k + (extent->m > 0);
}

static bool is_extent(const struct command_extent *extent)
{
	return extent->extent.session != 0 && extent->k >= 1 &&
		extent->k + extent->m <= ROW_SHARDS_MAX &&
		extent->drives.len == 2 * (size_t)(extent->k + extent->m) && extent->len >= 1 &&
		extent->len <= EXTENT_LEN_MAX && extent->unit_len >= 4096 &&
		extent->unit_len % 4096 == 0 && extent->unit_len <= UNIT_LEN_MAX &&
		is_durable(extent);
}

/* Checks a list of extents of the proposer's session, and adds their lengths. */
static bool check_extents(uint64_t session, struct bytes list, uint64_t *ret_len)
{
	struct command_extent extent;
	uint64_t len = 0;
	uint64_t counter = 0;
	size_t count = 0;
	enum err err;
	while ((err = command_extent_next(&list, &extent)) == ERR_OK) {
		if (!is_extent(&extent) || extent.extent.session != session)
			return false;
		/* Ascending, so that none is named twice. */
		if (count > 0 && extent.extent.counter <= counter)
			return false;
		counter = extent.extent.counter;
		len += extent.len;
		if (++count > COMMAND_EXTENTS_MAX)
			return false;
	}
	*ret_len = len;
	return err == ERR_END;
}

static bool is_body(uint64_t session, const struct command_body *body)
{
	if (body->len > BODY_LEN_MAX || body->stored_len > BODY_LEN_MAX ||
		!are_checksums(body->checksums, ROW_CHECKSUMS_MAX))
		return false;
	bool is_plain = body->compression == 0 && body->encryption.len == 0;
	if (body->extents.len == 0 && body->staged == 0)
		return body->inline_data.len == (is_plain ? body->len : body->stored_len) &&
			body->frame_lens.len == 0;
	uint64_t len;
	if (body->inline_data.len > 0 || !check_extents(session, body->extents, &len))
		return false;
	if (is_plain && (body->stored_len != body->len || body->frame_lens.len > 0))
		return false;
	return body->staged != 0 ? len <= body->stored_len : len == body->stored_len;
}

static bool is_bucket_create(const struct command_bucket_create *create)
{
	return is_name(create->name) && is_name(create->owner) &&
		create->versioning <= BUCKET_SUSPENDED &&
		(!create->has_lock || create->versioning == BUCKET_ENABLED);
}

/* What apply is to find in the row of BUCKET_CONFIG_LOCK. */
static bool is_lock_config(struct bytes config)
{
	struct row_bucket_lock lock;
	if (config.len == 0)
		return true;
	return row_bucket_lock_decode(config, &lock) == ERR_OK &&
		(lock.mode == RETENTION_GOVERNANCE || lock.mode == RETENTION_COMPLIANCE) &&
		(lock.days == 0) != (lock.years == 0) && lock.days <= ROW_LOCK_DAYS_MAX &&
		lock.years <= ROW_LOCK_YEARS_MAX;
}

static bool is_bucket_update(const struct command_bucket_update *update)
{
	uint32_t set = update->set;
	if ((set & BUCKET_SET_VERSIONING) &&
		(update->versioning == BUCKET_UNVERSIONED || update->versioning > BUCKET_SUSPENDED))
		return false;
	if ((set & BUCKET_SET_OWNER) && !is_name(update->owner))
		return false;
	if ((set & BUCKET_SET_CONFIG) && update->config_kind == BUCKET_CONFIG_LOCK &&
		!is_lock_config(update->config))
		return false;
	return update->bucket != 0 && !((set & BUCKET_SET_CONFIG) && update->config_kind == 0);
}

static bool is_object_delete(const struct command_object_delete *delete)
{
	struct bytes list = delete->deletes;
	struct command_delete item;
	size_t count = 0;
	enum err err;
	while ((err = command_delete_next(&list, &item)) == ERR_OK) {
		if (!is_key(item.key) || ++count > COMMAND_DELETES_MAX)
			return false;
	}
	return err == ERR_END && count > 0 && delete->bucket != 0;
}

static bool is_event_fill(const struct command_event_fill *fill)
{
	struct bytes list = fill->events;
	struct command_event event;
	enum err err;
	while ((err = command_event_next(&list, &event)) == ERR_OK)
		if (!is_key(event.key) || version_id_is_none(event.place))
			return false;
	return err == ERR_END && fill->bucket != 0 && fill->watched != 0;
}

static bool is_expire(const struct command_expire *expire)
{
	struct bytes list = expire->items;
	struct command_expire_item item;
	size_t count = 0;
	enum err err;
	while ((err = command_expire_next(&list, &item)) == ERR_OK)
		if (!is_key(item.key) || item.kind < EXPIRE_CURRENT || item.kind > EXPIRE_UPLOAD ||
			++count > COMMAND_EXPIRE_MAX)
			return false;
	return err == ERR_END && count > 0 && expire->bucket != 0 && expire->watched != 0;
}

/* A configuration that has rules is for some event. */
static bool is_bucket_notify(const struct command_bucket_notify *notify)
{
	return notify->bucket != 0 &&
		(notify->config.len == 0 || notice_events_of(notify->config) != 0);
}

static bool is_object_rename(const struct command_object_rename *rename)
{
	return is_key(rename->source_key) && is_key(rename->key) &&
		!bytes_is_equal(rename->source_key, rename->key);
}

static bool is_object_update(const struct command_object_update *update)
{
	return is_key(update->key) && update->retention <= RETENTION_COMPLIANCE &&
		metadata_is_valid(update->tags);
}

static bool is_part(uint16_t part)
{
	return part >= 1 && part <= ROW_PART_MAX;
}

static bool is_upload_part_copy(const struct command_upload_part_copy *copy)
{
	return is_key(copy->source_key) && is_key(copy->key) && is_part(copy->part) &&
		copy->len <= BODY_LEN_MAX && copy->offset <= BODY_LEN_MAX &&
		are_checksums(&copy->checksum, 1);
}

static bool is_upload_complete(const struct command_upload_complete *complete)
{
	struct bytes parts = complete->parts;
	if (!is_key(complete->key) || parts.len == 0 || parts.len % 2 != 0)
		return false;
	unsigned last = 0;
	for (size_t i = 0; i < parts.len / 2; i++) {
		unsigned part = get_le16(parts.data + 2 * i);
		if (part <= last || part > ROW_PART_MAX)
			return false;
		last = part;
	}
	return are_checksums(complete->checksums, ROW_CHECKSUMS_MAX);
}

static bool is_body_stage(uint64_t session, const struct command_body_stage *stage)
{
	uint64_t len;
	return is_key(stage->key) && stage->extents.len > 0 &&
		check_extents(session, stage->extents, &len);
}

static bool is_body_swap(uint64_t session, const struct command_body_swap *swap)
{
	uint64_t len;
	return swap->extents.len > 0 && check_extents(session, swap->extents, &len) &&
		len == swap->stored_len;
}

static bool is_extent_update(const struct command_extent_update *update)
{
	struct bytes list = update->moves;
	struct command_shard_move move;
	size_t count = 0;
	enum err err;
	while ((err = command_shard_move_next(&list, &move)) == ERR_OK) {
		if (move.shard >= ROW_SHARDS_MAX || ++count > COMMAND_MOVES_MAX)
			return false;
	}
	return err == ERR_END && count > 0;
}

static bool is_ring_moves(struct bytes list, size_t count_max)
{
	struct command_ring_move move;
	uint32_t last = 0;
	size_t count = 0;
	enum err err;
	while ((err = command_ring_move_next(&list, &move)) == ERR_OK) {
		uint32_t place = (uint32_t)move.slot << 8 | move.shard;
		/* Ascending, so that none is named twice. */
		if (move.shard >= ROW_SHARDS_MAX || (count > 0 && place <= last) ||
			++count > count_max)
			return false;
		last = place;
	}
	return err == ERR_END && count > 0;
}

static bool is_leftovers(struct bytes list)
{
	struct command_ring_move move;
	size_t count = 0;
	enum err err;
	while ((err = command_ring_move_next(&list, &move)) == ERR_OK) {
		if (move.shard >= ROW_SHARDS_MAX || ++count > COMMAND_RING_MOVES_MAX)
			return false;
	}
	return err == ERR_END && count > 0;
}

static bool is_ring_command(const struct command *command)
{
	switch (command->type) {
	case COMMAND_RING_TARGET:
		return command->ring_target.ring.len > 0;
	case COMMAND_MOVE_BEGIN:
	case COMMAND_MOVE_CANCEL:
		return is_ring_moves(command->move_begin.moves, COMMAND_RING_MOVES_MAX);
	case COMMAND_MOVE_FLIP:
		return is_ring_moves(command->move_flip.moves, COMMAND_RING_FLIPS_MAX);
	case COMMAND_MOVE_ADVANCE:
		return command->move_advance.shard < ROW_SHARDS_MAX &&
			command->move_advance.since != 0;
	case COMMAND_MOVE_EMPTIED:
		return is_leftovers(command->move_emptied.leftovers);
	default:
		return command->span_begin.drive != 0;
	}
}

/* Session 0 has no exactly-once; only these may do without. */
static bool needs_session(uint8_t type)
{
	return type != COMMAND_NOOP && type != COMMAND_SESSION_OPEN &&
		type != COMMAND_SESSION_CLOSE;
}

static bool is_object_command(const struct command *command)
{
	switch (command->type) {
	case COMMAND_OBJECT_PUT:
		return is_key(command->object_put.key) &&
			is_attributes(&command->object_put.attributes) &&
			is_body(command->session, &command->object_put.body);
	case COMMAND_OBJECT_DELETE:
		return is_object_delete(&command->object_delete);
	case COMMAND_OBJECT_COPY:
		return is_key(command->object_copy.key) &&
			is_key(command->object_copy.source_key) &&
			is_attributes(&command->object_copy.attributes);
	case COMMAND_OBJECT_UPDATE:
		return is_object_update(&command->object_update);
	case COMMAND_UPLOAD_CREATE:
		return is_key(command->upload_create.key) &&
			is_attributes(&command->upload_create.attributes);
	case COMMAND_UPLOAD_PART:
		return is_key(command->upload_part.key) && is_part(command->upload_part.part) &&
			is_body(command->session, &command->upload_part.body);
	case COMMAND_UPLOAD_PART_COPY:
		return is_upload_part_copy(&command->upload_part_copy);
	case COMMAND_UPLOAD_COMPLETE:
		return is_upload_complete(&command->upload_complete);
	case COMMAND_UPLOAD_ABORT:
		return is_key(command->upload_abort.key);
	case COMMAND_BODY_STAGE:
		return is_body_stage(command->session, &command->body_stage);
	default:
		return is_body_swap(command->session, &command->body_swap);
	}
}

bool command_is_valid(const struct command *command)
{
	if (command->session == 0 ? needs_session(command->type) : command->sequence == 0)
		return false;
	if (command->type >= COMMAND_OBJECT_PUT && command->type <= COMMAND_BODY_SWAP)
		return is_object_command(command);
	if (command->type >= COMMAND_RING_TARGET && command->type <= COMMAND_SPAN_BEGIN)
		return is_ring_command(command);
	switch (command->type) {
	case COMMAND_SESSION_OPEN:
		return command->session == 0 && command->session_open.start != 0;
	case COMMAND_SESSION_CLOSE:
		return command->session_close.session != 0;
	case COMMAND_BUCKET_CREATE:
		return is_bucket_create(&command->bucket_create);
	case COMMAND_BUCKET_UPDATE:
		return is_bucket_update(&command->bucket_update);
	case COMMAND_EXTENT_UPDATE:
		return is_extent_update(&command->extent_update);
	case COMMAND_DRIVE_UPDATE:
		return command->drive_update.state <= DRIVE_ROW_REMOVED;
	case COMMAND_RING_SET:
		return command->ring_set.ring.len > 0;
	case COMMAND_KEY_PUT:
		return is_name(command->key_put.id) && is_name(command->key_put.owner) &&
			command->key_put.state <= ACCESS_KEY_DISABLED;
	case COMMAND_KEY_DELETE:
		return is_name(command->key_delete.id);
	case COMMAND_USER_PUT:
		return is_name(command->user_put.id) && command->user_put.state <= USER_DISABLED;
	case COMMAND_USER_DELETE:
		return is_name(command->user_delete.id);
	case COMMAND_NODE_PUT:
		return command->node_put.role <= NODE_ROLE_WITNESS &&
			command->node_put.state <= NODE_ROW_DRAINING;
	case COMMAND_TOKEN_PUT:
		return command->token_put.secret.len > 0 && command->token_put.life_ms > 0 &&
			command->token_put.life_ms <= TOKEN_LIFE_MS_MAX;
	case COMMAND_TASK_PUT:
		return is_name(command->task_put.name);
	case COMMAND_SETTING_PUT:
		return is_name(command->setting_put.name);
	case COMMAND_BUCKET_WATCH:
		return command->bucket_watch.bucket != 0;
	case COMMAND_EVENT_FILL:
		return is_event_fill(&command->event_fill);
	case COMMAND_EVENT_DONE:
		return command->event_done.bucket != 0;
	case COMMAND_EXPIRE:
		return is_expire(&command->expire);
	case COMMAND_BUCKET_NOTIFY:
		return is_bucket_notify(&command->bucket_notify);
	case COMMAND_OBJECT_RENAME:
		return is_object_rename(&command->object_rename);
	case COMMAND_NOTICE_DONE:
		return command->notice_done.target.len > 0;
	default:
		return true;
	}
}
