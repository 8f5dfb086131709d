/* SPDX-License-Identifier: Apache-2.0 */
/* Dismantling: what nothing refers to goes in bounded steps, each a command of the collector.
 *
 * (G1) A row of the garbage table is there from the command that took the last reference until the
 *      last of what it names is gone.
 * (G2) Extents go only when no open session reads a state as old as the row's log index.
 * (G3) A step changes at most COMMAND_ROWS_MAX rows, and leaves the rest for the next.
 */
#include "storage/meta/apply_priv.h"

#define PARTS_PER_STEP 150
#define UPLOADS_PER_STEP 100
#define RESULTS_PER_STEP 400
#define STAGES_PER_STEP 100

void apply_garbage_add(
	struct apply *apply, enum garbage_kind kind, uint64_t id, const struct row_garbage *row)
{
	struct row_garbage stamped = *row;
	stamped.time_ms = apply->time_ms;
	struct row_key key;
	row_key_garbage(&key, apply->place.index, kind, id);
	apply_new_garbage(apply, &key, &stamped);
}

/* Is some session reading a state from before this log index (G2)? */
bool apply_is_read(struct apply *apply, uint64_t log_index)
{
	struct row_key key;
	struct bytes found, value;
	row_key_begin(&key, TABLE_SESSION);
	bool is_there = apply_seek(apply, &key, 1, &found, &value);
	while (is_there) {
		struct row_session row;
		if (!APPLY_DECODE(apply, session, value, &row) || row.read_low < log_index)
			return true;
		is_there = apply_next(apply, bytes_make(key.data, 1), &found, &value);
	}
	return false;
}

/* --- steps: true when nothing is left --------------------------------------------------------- */

static void drop_slices(struct apply *apply, struct bytes pieces_value)
{
	struct row_pieces pieces;
	struct row_piece piece;
	if (!apply_decode_is_ok(apply, row_pieces_decode(pieces_value, &pieces)))
		return;
	enum err err;
	while ((err = row_piece_next(&pieces, &piece)) == ERR_OK)
		apply_body_unref(apply, piece.body);
	if (err != ERR_END)
		apply_fail(apply, err);
}

static bool step_body(struct apply *apply, uint64_t id, struct command_result *result)
{
	struct row_key key;
	struct row_body row;
	row_key_id(&key, TABLE_BODY, id);
	if (!apply_get_body(apply, &key, &row) || row.refs != 0) {
		apply_fail(apply, ERR_CORRUPT);
		return false;
	}
	struct row_key pieces_key;
	struct bytes found, value;
	row_key_id(&pieces_key, TABLE_PIECES, id);
	if (apply_seek(apply, &pieces_key, pieces_key.len, &found, &value)) {
		struct row_key first;
		row_key_begin(&first, TABLE_PIECES);
		row_key_bytes_append(&first, bytes_from(found, 1));
		if (row.kind == BODY_SLICES)
			drop_slices(apply, value);
		else
			apply_extents_remove(apply, value);
		apply_remove(apply, &first);
		result->count = apply_seek(apply, &first, pieces_key.len, &found, &value);
		if (result->count > 0)
			return false;
	}
	apply_remove(apply, &key);
	row_key_id(&key, TABLE_FRAMES, id);
	apply_remove(apply, &key);
	return true;
}

static bool is_taken(struct bytes parts_taken, uint16_t number)
{
	return number / 8 < parts_taken.len && (parts_taken.data[number / 8] >> number % 8 & 1);
}

static bool step_upload(struct apply *apply, uint64_t id, const struct row_garbage *row,
	struct command_result *result)
{
	struct row_key key;
	struct bytes found, value;
	row_key_id(&key, TABLE_PART, id);
	size_t prefix_len = key.len;
	for (int i = 0; i < PARTS_PER_STEP; i++) {
		if (!apply_seek(apply, &key, prefix_len, &found, &value)) {
			if (row->parts_taken.len > 0)
				apply_garbage_add(apply, GARBAGE_TOMBSTONE, id,
					&(struct row_garbage){
						.bucket = row->bucket, .key = row->key});
			return true;
		}
		struct row_part part;
		if (!APPLY_DECODE(apply, part, value, &part))
			return false;
		uint16_t number = get_be16(found.data + prefix_len);
		row_key_part(&key, id, number);
		apply_remove(apply, &key);
		if (!is_taken(row->parts_taken, number))
			apply_body_unref(apply, part.body);
	}
	result->count = 1;
	return false;
}

static bool step_bucket(struct apply *apply, uint64_t id, struct command_result *result)
{
	struct row_key key;
	struct bytes found, value;
	row_key_id(&key, TABLE_UPLOAD, id);
	size_t prefix_len = key.len;
	for (int i = 0; i < UPLOADS_PER_STEP; i++) {
		if (!apply_seek(apply, &key, prefix_len, &found, &value))
			return true;
		uint8_t key_buf[ROW_KEY_LEN_MAX];
		struct row_object_key parsed;
		struct row_upload upload;
		if (!apply_decode_is_ok(apply, row_key_parse_object(found, key_buf, &parsed)) ||
			!APPLY_DECODE(apply, upload, value, &upload))
			return false;
		row_key_upload(&key, id, parsed.key, parsed.upload);
		if (upload.state == UPLOAD_OPEN)
			apply_upload_drop(apply, id, parsed.key, parsed.upload);
		else
			apply_remove(apply, &key);
	}
	result->count = 1;
	return false;
}

static bool step_session(struct apply *apply, uint64_t id, struct command_result *result)
{
	struct row_key key;
	struct bytes found, value;
	int done = 0;
	row_key_id(&key, TABLE_RESULT, id);
	size_t prefix_len = key.len;
	while (done < RESULTS_PER_STEP && apply_seek(apply, &key, prefix_len, &found, &value)) {
		row_key_result(&key, id, get_be64(found.data + prefix_len));
		apply_remove(apply, &key);
		done++;
	}
	result->count = done == RESULTS_PER_STEP;
	done = 0;
	row_key_id(&key, TABLE_STAGE, id);
	while (done < STAGES_PER_STEP && apply_seek(apply, &key, prefix_len, &found, &value)) {
		uint64_t body = get_be64(found.data + prefix_len);
		row_key_stage(&key, id, body);
		apply_remove(apply, &key);
		apply_body_unref(apply, body);
		done++;
	}
	result->count += done == STAGES_PER_STEP;
	return result->count == 0;
}

static bool step_tombstone(struct apply *apply, uint64_t id, const struct row_garbage *row)
{
	struct row_key key;
	row_key_upload(&key, row->bucket, row->key, id);
	apply_remove(apply, &key);
	return true;
}

void apply_garbage_done(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_garbage_done *done = &command->garbage_done;
	struct row_key key;
	struct row_garbage row;
	row_key_garbage(&key, done->log_index, done->kind, done->id);
	if (!apply_get_garbage(apply, &key, &row)) {
		result->code = COMMAND_NO_BODY;
		return;
	}
	if (done->kind == GARBAGE_BODY && apply_is_read(apply, done->log_index)) {
		result->code = COMMAND_EARLY;
		return;
	}
	bool is_done = false;
	switch (done->kind) {
	case GARBAGE_BODY:
		is_done = step_body(apply, done->id, result);
		break;
	case GARBAGE_UPLOAD:
		is_done = step_upload(apply, done->id, &row, result);
		break;
	case GARBAGE_TOMBSTONE:
		is_done = step_tombstone(apply, done->id, &row);
		break;
	case GARBAGE_BUCKET:
		is_done = step_bucket(apply, done->id, result);
		break;
	case GARBAGE_SESSION:
		is_done = step_session(apply, done->id, result);
		break;
	default:
		apply_fail(apply, ERR_CORRUPT);
	}
	if (is_done)
		apply_remove(apply, &key);
}
