/* SPDX-License-Identifier: Apache-2.0 */
/* Multipart uploads.
 *
 * An upload is a row, and a row for each part, whose body it refers to. Complete makes a body of
 * slices that takes the references of the parts it names over; the upload's row becomes a tombstone
 * with the answer, and its parts' rows go in the collector's steps: those not named lose their
 * reference then.
 *
 * (P1) The parts_len of an open upload is the sum of its counted parts, and that of a bucket the
 * sum of its open uploads. A part says itself whether it is counted, so those from before there
 *      were such counts are never subtracted.
 */
#include <stdlib.h>

#include "storage/meta/apply_priv.h"

static bool find_upload(struct apply *apply, uint64_t bucket, struct bytes key, uint64_t upload,
	struct row_key *ret_key, struct row_upload *ret_row)
{
	row_key_upload(ret_key, bucket, key, upload);
	return apply_get_upload(apply, ret_key, ret_row);
}

static bool find_open_upload(struct apply *apply, uint64_t bucket, struct bytes key,
	uint64_t upload, struct row_key *ret_key, struct row_upload *ret_row)
{
	return find_upload(apply, bucket, key, upload, ret_key, ret_row) &&
		ret_row->state == UPLOAD_OPEN;
}

static bool has_bucket(struct apply *apply, uint64_t bucket)
{
	struct row_key key;
	struct bytes value;
	row_key_id(&key, TABLE_BUCKET, bucket);
	return apply_get(apply, &key, &value);
}

void apply_upload_create(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_upload_create *create = &command->upload_create;
	const struct command_attributes *attributes = &create->attributes;
	struct row_key key;
	struct row_bucket bucket;
	row_key_id(&key, TABLE_BUCKET, create->bucket);
	if (!apply_get_bucket(apply, &key, &bucket)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	if (!apply_lock_may_have(&bucket, attributes)) {
		result->code = COMMAND_REFUSED;
		return;
	}
	apply_event_add(apply, &bucket, create->key);
	uint64_t upload = row_id_make(apply_place(apply, 0));
	struct row_upload row = {
		.change_count = 1,
		.state = UPLOAD_OPEN,
		.initiated_ms = apply->time_ms,
		.owner = attributes->owner,
		.class = attributes->class,
		.checksum_algorithm = create->checksum_algorithm,
		.checksum_type = create->checksum_type,
		.acl = attributes->acl,
		.metadata = attributes->metadata,
		.tags = attributes->tags,
		.encryption = create->encryption,
		.retention = attributes->retention,
		.retain_until_ms = attributes->retain_until_ms,
		.has_legal_hold = attributes->has_legal_hold,
	};
	row_key_upload(&key, create->bucket, create->key, upload);
	apply_new_upload(apply, &key, &row);
	accounting_add(apply, create->bucket, &(struct row_bucket_counts){.uploads = 1});
	result->id = upload;
	result->count = row.change_count;
}

/* --- parts ------------------------------------------------------------------------------------ */

/* What the part that a new one would replace has in the counts. */
static uint64_t counted_len(struct apply *apply, uint64_t upload, uint16_t number)
{
	struct row_key key;
	struct row_part part;
	row_key_part(&key, upload, number);
	return apply_get_part(apply, &key, &part) && part.is_counted ? part.len : 0;
}

/* Modulo 2^64, as all counts: what is replaced may be longer (P1). */
static void count_part(struct apply *apply, uint64_t bucket, struct row_upload *upload,
	uint64_t old_len, const struct row_part *part)
{
	uint64_t change = (part->is_counted ? part->len : 0) - old_len;
	upload->parts_len += change;
	accounting_add(apply, bucket, &(struct row_bucket_counts){.parts_len = change});
}

/* Files the part; what was under its number before loses its reference. */
static void put_part(struct apply *apply, const struct row_key *upload_key,
	struct row_upload *upload, uint64_t id, uint16_t number, const struct row_part *part,
	struct command_result *result)
{
	struct row_key key;
	struct row_part old;
	row_key_part(&key, id, number);
	if (apply_get_part(apply, &key, &old)) {
		apply_put_part(apply, &key, part);
		apply_body_unref(apply, old.body);
	} else {
		apply_new_part(apply, &key, part);
	}
	upload->change_count++;
	apply_put_upload(apply, upload_key, upload);
	result->id = part->body;
	result->etag = part->etag;
	result->len = part->len;
	result->count = upload->change_count;
}

void apply_upload_part(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_upload_part *put = &command->upload_part;
	struct row_key key;
	struct row_upload upload;
	if (!has_bucket(apply, put->bucket)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	if (!find_open_upload(apply, put->bucket, put->key, put->upload, &key, &upload)) {
		result->code = COMMAND_NO_UPLOAD;
		return;
	}
	uint64_t old_len = counted_len(apply, put->upload, put->part);
	if (apply_part_is_over_quota(apply, put->bucket, put->key, put->body.len, old_len)) {
		result->code = COMMAND_QUOTA;
		return;
	}
	struct row_part part = {
		.len = put->body.len,
		.etag = put->body.etag,
		.time_ms = apply->time_ms,
		.checksum = put->body.checksums[0],
		.is_counted = put->is_counted,
	};
	result->code = apply_body_make(
		apply, 0, put->bucket, put->key, upload.class, &put->body, &part.body);
	if (result->code != COMMAND_OK)
		return;
	count_part(apply, put->bucket, &upload, old_len, &part);
	put_part(apply, &key, &upload, put->upload, put->part, &part, result);
}

/* While the range lies inside one slice of a body of slices, that slice's body serves as well, and
 * keeps the new body less deep. */
static void look_through_slices(struct apply *apply, uint64_t *body, uint64_t *offset, uint64_t len)
{
	for (int depth = 0; depth < ROW_DEPTH_MAX; depth++) {
		struct row_key key;
		struct bytes found, value;
		row_key_pieces(&key, *body, *offset + 1, 0);
		if (!apply_seek(apply, &key, 1 + 8, &found, &value))
			return;
		struct row_pieces pieces;
		struct row_piece piece;
		if (!apply_decode_is_ok(apply, row_pieces_decode(value, &pieces)))
			return;
		uint64_t row_len = 0;
		for (struct row_pieces all = pieces; row_piece_next(&all, &piece) == ERR_OK;)
			row_len += piece.len;
		uint64_t start = get_be64(found.data + 1 + 8) - row_len;
		do {
			if (row_piece_next(&pieces, &piece) != ERR_OK)
				return;
			start += piece.len;
		} while (start <= *offset);
		start -= piece.len;
		if (piece.extent.session != 0 || *offset + len > start + piece.len)
			return;
		*body = piece.body;
		*offset = *offset - start + piece.offset;
	}
}

/* Makes the body of a part that is a slice. */
static enum command_code make_slice(
	struct apply *apply, const struct row_piece *piece, uint8_t class, struct row_part *part)
{
	struct row_key key;
	struct row_body source;
	row_key_id(&key, TABLE_BODY, piece->body);
	if (!apply_get_body(apply, &key, &source) || source.refs == 0) {
		apply_fail(apply, ERR_CORRUPT);
		return COMMAND_REFUSED;
	}
	if (source.depth + 2 > ROW_DEPTH_MAX) /* Complete goes one deeper still. */
		return COMMAND_LIMIT;
	source.refs++;
	apply_put_body(apply, &key, &source);
	part->depth = source.depth + 1;
	struct row_body row = {
		.depth = part->depth,
		.len = part->len,
		.etag = part->etag,
		.checksums = {part->checksum},
		.class = class,
	};
	part->body = apply_body_make_slices(apply, 0, &row, piece, 1);
	return COMMAND_OK;
}

void apply_upload_part_copy(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_upload_part_copy *copy = &command->upload_part_copy;
	struct row_key key;
	struct row_upload upload;
	struct row_version source;
	if (!has_bucket(apply, copy->bucket)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	if (!find_open_upload(apply, copy->bucket, copy->key, copy->upload, &key, &upload)) {
		result->code = COMMAND_NO_UPLOAD;
		return;
	}
	if (!apply_source_find(apply, copy->source_bucket, copy->source_key, copy->source_version,
		    copy->source_body, &source)) {
		result->code = COMMAND_NO_VERSION;
		return;
	}
	if (copy->offset > source.len || copy->len > source.len - copy->offset) {
		result->code = COMMAND_REFUSED;
		return;
	}
	uint64_t old_len = counted_len(apply, copy->upload, copy->part);
	if (apply_part_is_over_quota(apply, copy->bucket, copy->key, copy->len, old_len)) {
		result->code = COMMAND_QUOTA;
		return;
	}
	struct row_piece piece = {
		.len = copy->len,
		.body = copy->source_body,
		.offset = copy->offset,
	};
	look_through_slices(apply, &piece.body, &piece.offset, piece.len);
	struct row_part part = {
		.len = copy->len,
		.etag = copy->etag,
		.time_ms = apply->time_ms,
		.checksum = copy->checksum,
		.is_counted = copy->is_counted,
	};
	result->code = make_slice(apply, &piece, upload.class, &part);
	if (result->code != COMMAND_OK)
		return;
	count_part(apply, copy->bucket, &upload, old_len, &part);
	put_part(apply, &key, &upload, copy->upload, copy->part, &part, result);
}

/* --- complete --------------------------------------------------------------------------------- */

/* What the parts named come to. */
struct parts {
	struct row_piece *pieces; /* owned; count of them */
	size_t count;
	uint64_t len;
	uint8_t depth;
	uint8_t taken[ROW_PARTS_TAKEN_LEN];
};

/* Finds the rows of the parts named in the command: both are in order of their numbers. */
static enum command_code collect_parts(struct apply *apply,
	const struct command_upload_complete *complete, struct parts *parts,
	struct command_result *result)
{
	struct row_key key;
	struct bytes found, value;
	row_key_part(&key, complete->upload, get_le16(complete->parts.data));
	struct bytes prefix = bytes_make(key.data, 1 + 8);
	bool is_there = apply_seek(apply, &key, prefix.len, &found, &value);
	for (size_t i = 0; i < parts->count; i++) {
		uint16_t number = get_le16(complete->parts.data + 2 * i);
		while (is_there && get_be16(found.data + prefix.len) < number)
			is_there = apply_next(apply, prefix, &found, &value);
		struct row_part row;
		if (!is_there || get_be16(found.data + prefix.len) != number) {
			result->count = number;
			return COMMAND_NO_PART;
		}
		if (!APPLY_DECODE(apply, part, value, &row))
			return COMMAND_REFUSED;
		parts->pieces[i] = (struct row_piece){
			.len = row.len,
			.body = row.body,
			.part = number,
		};
		parts->len += row.len;
		if (row.depth > parts->depth)
			parts->depth = row.depth;
		parts->taken[number / 8] |= 1 << number % 8;
	}
	return parts->depth >= ROW_DEPTH_MAX ? COMMAND_LIMIT : COMMAND_OK;
}

static void leave_tombstone(struct apply *apply, const struct command_upload_complete *complete,
	const struct row_key *key, const struct parts *parts, const struct row_upload *upload,
	const struct command_result *result)
{
	struct row_upload tombstone = {
		.change_count = upload->change_count + 1,
		.state = UPLOAD_COMPLETED,
		.initiated_ms = upload->initiated_ms,
		.owner = upload->owner,
		.version = result->version,
		.is_null = result->is_null,
		.etag = result->etag,
		.len = result->len,
		.completed_ms = apply->time_ms,
		.parts_hash = complete->parts_hash,
	};
	apply_put_upload(apply, key, &tombstone);
	apply_garbage_add(apply, GARBAGE_UPLOAD, complete->upload,
		&(struct row_garbage){
			.bucket = complete->bucket,
			.key = complete->key,
			.parts_taken = bytes_make(parts->taken, sizeof parts->taken),
		});
	apply_upload_uncount(apply, complete->bucket, upload);
}

/* A second Complete has the answer of the first, while its version is there. */
static void answer_from_tombstone(struct apply *apply,
	const struct command_upload_complete *complete, const struct row_upload *tombstone,
	struct command_result *result)
{
	struct row_version row;
	if (tombstone->parts_hash != complete->parts_hash ||
		!apply_version_get(
			apply, complete->bucket, complete->key, tombstone->version, &row)) {
		result->code = COMMAND_NO_UPLOAD;
		return;
	}
	result->is_earlier = true;
	result->version = tombstone->version;
	result->is_null = row.is_null;
	result->etag = row.etag;
	result->len = row.len;
	result->time_ms = row.time_ms;
}

static void make_version(struct apply *apply, const struct command_upload_complete *complete,
	struct apply_object *object, const struct row_key *key, const struct row_upload *upload,
	const struct parts *parts, struct command_result *result)
{
	struct row_body body = {
		.depth = parts->depth + 1,
		.len = parts->len,
		.etag = complete->etag,
		.part_count = parts->count,
		.class = upload->class,
	};
	memcpy(body.checksums, complete->checksums, sizeof body.checksums);
	struct row_version row = {
		.body = apply_body_make_slices(apply, 0, &body, parts->pieces, parts->count),
		.len = parts->len,
		.etag = complete->etag,
		.checksum_algorithm = complete->checksums[0].algorithm,
		.checksum_type = complete->checksums[0].type,
		.invocation = complete->invocation,
	};
	struct command_attributes attributes = {
		.metadata = upload->metadata,
		.tags = upload->tags,
		.class = upload->class,
		.retention = upload->retention,
		.retain_until_ms = upload->retain_until_ms,
		.has_legal_hold = upload->has_legal_hold,
		.owner = upload->owner,
		.acl = upload->acl,
	};
	apply_object_put_version(apply, object, &row, &attributes, result);
	apply_notice_put(apply, object, NOTICE_CREATED_COMPLETE, complete->origin);
	leave_tombstone(apply, complete, key, parts, upload, result);
}

void apply_upload_complete(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_upload_complete *complete = &command->upload_complete;
	struct apply_object object;
	struct row_key key;
	struct row_upload upload;
	if (!apply_object_find(apply, complete->bucket, complete->key, &object)) {
		result->code = COMMAND_NO_BUCKET;
		return;
	}
	if (!find_upload(apply, complete->bucket, complete->key, complete->upload, &key, &upload)) {
		result->code = COMMAND_NO_UPLOAD;
		return;
	}
	if (upload.state != UPLOAD_OPEN) {
		answer_from_tombstone(apply, complete, &upload, result);
		return;
	}
	if (upload.change_count != complete->change_count) {
		result->code = COMMAND_STALE;
		result->count = upload.change_count;
		return;
	}
	if (!apply_conditions_hold(
		    &object, &complete->conditions, &complete->etag, complete->invocation, result))
		return;
	struct parts parts = {.count = complete->parts.len / 2};
	parts.pieces = malloc(parts.count * sizeof *parts.pieces);
	if (!parts.pieces) {
		apply_fail(apply, ERR_NO_MEMORY);
		return;
	}
	result->code = collect_parts(apply, complete, &parts, result);
	if (result->code == COMMAND_OK &&
		apply_is_over_quota(apply, &object, parts.len, upload.parts_len))
		result->code = COMMAND_QUOTA;
	if (result->code == COMMAND_OK && apply_lock_is_in_the_way(apply, &object))
		result->code = COMMAND_LOCKED;
	if (result->code == COMMAND_OK)
		make_version(apply, complete, &object, &key, &upload, &parts, result);
	free(parts.pieces);
}

void apply_upload_abort(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_upload_abort *abort = &command->upload_abort;
	struct row_key key;
	struct row_upload upload;
	if (!find_open_upload(apply, abort->bucket, abort->key, abort->upload, &key, &upload)) {
		result->code = COMMAND_NO_UPLOAD;
		return;
	}
	apply_upload_drop(apply, abort->bucket, abort->key, abort->upload);
	if (has_bucket(apply, abort->bucket))
		apply_upload_uncount(apply, abort->bucket, &upload);
}

void apply_upload_uncount(struct apply *apply, uint64_t bucket, const struct row_upload *row)
{
	accounting_add(apply, bucket,
		&(struct row_bucket_counts){.uploads = -UINT64_C(1), .parts_len = -row->parts_len});
}

void apply_upload_drop(struct apply *apply, uint64_t bucket, struct bytes key, uint64_t upload)
{
	struct row_key row_key;
	row_key_upload(&row_key, bucket, key, upload);
	apply_remove(apply, &row_key);
	apply_garbage_add(
		apply, GARBAGE_UPLOAD, upload, &(struct row_garbage){.bucket = bucket, .key = key});
}
