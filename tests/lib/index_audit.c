/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/index_audit.h"

#include <stdlib.h>

#include "storage/meta/index_priv.h"
#include "tests/lib/model.h"
#include "tests/lib/test.h"

/* Numbers by key, in a map that is too simple to be wrong. */
static void count(struct model *model, const struct row_key *key, int64_t by)
{
	uint8_t value[8] = {0};
	const struct model_row *row = model_get(model, row_key_bytes(key));
	put_le64(value, (row ? get_le64(row->value.data) : 0) + by);
	model_put(model, row_key_bytes(key), bytes_make(value, sizeof value));
}

struct audit {
	struct index_reader *reader;
	struct row_key last; /* object of the version before */
	struct model refs; /* body → references found */
	struct model bodies; /* body → rows found */
	struct model counts; /* bucket and which → number */
	struct model slots; /* slot and which → number */
	struct model shards; /* slot, shard and which → number */
	struct model lefts; /* slot and shard → extents that a move has not passed */
	struct model drives; /* drive → exceptions */
	struct ring_snapshot *ring;
	struct model overflows; /* version → 1 if named, 2 if there */
	struct model extents; /* extent → times named by a piece, less times there */
	struct model inlines; /* body → 1 if it should have a row, less 1 if it has */
	struct model uploads; /* open upload → what it says its counted parts have */
	struct model parts; /* upload → what its counted parts have */
	struct model garbage; /* body → 1 if it has no reference, less 1 if it is queued */
	struct model nulls; /* object → null versions with a row, less rows */
};

enum which {
	OBJECTS,
	VERSIONS,
	LEN,
	UPLOADS,
	PARTS_LEN,
	EXTENTS = 0,
	EXTENT_LEN,
	EXCEPTIONS,
	MISSING,
	OF_SHARD,
	OF_CODE,
	OF_KIND,
};

static void count_which(struct model *model, uint64_t id, enum which which, int64_t by)
{
	struct row_key key;
	row_key_id(&key, TABLE_BUCKET, id);
	row_key_u8(&key, which);
	count(model, &key, by);
}

static void count_id(struct model *model, uint64_t id, int64_t by)
{
	struct row_key key;
	row_key_id(&key, TABLE_BODY, id);
	count(model, &key, by);
}

/* --- one function for each table -------------------------------------------------------------- */

static void audit_version(struct audit *audit, struct bytes key, struct bytes value)
{
	uint8_t key_buf[ROW_KEY_LEN_MAX];
	struct row_object_key parsed;
	struct row_version row;
	struct row_key object;
	ck_assert_ok(row_key_parse_object(key, key_buf, &parsed));
	ck_assert_ok(row_version_decode(value, &row));
	row_key_object(&object, TABLE_NULL_VERSION, parsed.bucket, parsed.key);
	bool is_newest = !bytes_is_equal(row_key_bytes(&object), row_key_bytes(&audit->last));
	audit->last = object;
	count_which(&audit->counts, parsed.bucket, VERSIONS, 1);
	count_which(&audit->counts, parsed.bucket, LEN, row.len);
	count_which(&audit->counts, parsed.bucket, OBJECTS, is_newest && !row.is_delete_marker);
	if (!row.is_delete_marker)
		count_id(&audit->refs, row.body, 1);
	if (row.has_overflow) {
		struct row_key overflow;
		row_key_overflow(&overflow, parsed.version);
		count(&audit->overflows, &overflow, 1);
	}
	if (!row.is_null)
		return;
	/* A row in NULL_VERSION may be there for a newest one and must for another. */
	struct bytes pointer;
	enum err err = index_get(audit->reader, &object, &pointer);
	ck_assert(err == ERR_OK || is_newest);
	if (err == ERR_OK) {
		ck_assert_uint_eq(get_le64(pointer.data), parsed.version.index);
		ck_assert_uint_eq(get_le32(pointer.data + 8), parsed.version.position);
		count(&audit->nulls, &object, 1);
	}
}

static void audit_body(struct audit *audit, struct bytes key, struct bytes value)
{
	struct row_body row;
	uint64_t id = get_be64(key.data + 1);
	ck_assert_ok(row_body_decode(value, &row));
	ck_assert_uint_le(row.depth, ROW_DEPTH_MAX);
	ck_assert(row.refs > 0 || row.kind != BODY_INLINE);
	count_id(&audit->bodies, id, 1);
	count_id(&audit->refs, id, -(int64_t)row.refs);
	count_id(&audit->garbage, id, row.refs == 0);
	count_id(&audit->inlines, id, row.kind == BODY_INLINE && row.stored_len > 0);
}

static void audit_pieces(struct audit *audit, struct bytes key, struct bytes value)
{
	struct row_pieces pieces;
	struct row_piece piece;
	uint64_t body = get_be64(key.data + 1);
	ck_assert_ok(row_pieces_decode(value, &pieces));
	while (row_piece_next(&pieces, &piece) == ERR_OK) {
		if (piece.extent.session == 0) {
			count_id(&audit->refs, piece.body, 1);
			continue;
		}
		struct row_extent row;
		struct row_key extent;
		row_key_extent(&extent, piece.slot, piece.extent);
		count(&audit->extents, &extent, 1);
		ck_assert_ok(index_extent_get(audit->reader, piece.slot, piece.extent, &row));
		ck_assert_uint_eq(row.body, body);
		ck_assert_uint_eq(row.len, piece.len);
	}
}

static void count_shard(struct audit *audit, uint16_t slot, enum which table, uint8_t shard,
	enum which which, int64_t by)
{
	struct row_key key;
	row_key_slot(&key, slot);
	row_key_u8(&key, table);
	row_key_u8(&key, shard);
	row_key_u8(&key, which);
	count(&audit->shards, &key, by);
}

static void count_left(struct audit *audit, uint16_t slot, uint8_t shard, int64_t by)
{
	struct row_key key;
	row_key_move(&key, slot, shard);
	count(&audit->lefts, &key, by);
}

static void audit_shard(struct audit *audit, uint16_t slot, struct extent_id extent,
	const struct row_extent *row, uint8_t shard)
{
	const struct ring_moving *move = ring_snapshot_move(audit->ring, slot, shard);
	count_shard(audit, slot, OF_SHARD, shard, EXTENTS, 1);
	count_shard(audit, slot, OF_SHARD, shard, EXTENT_LEN, (row->len + row->k - 1) / row->k);
	for (size_t i = 0; i < row_exception_count(row); i++) {
		struct row_exception exception = row_exception_at(row, i);
		if (exception.shard != shard)
			continue;
		count_shard(audit, slot, OF_SHARD, shard, EXCEPTIONS, 1);
		count_shard(audit, slot, OF_SHARD, shard, MISSING, exception.drive == 0);
		return;
	}
	if (move && !ring_moving_has_passed(move, extent))
		count_left(audit, slot, shard, 1);
}

static void audit_move(struct audit *audit, struct bytes key, struct bytes value)
{
	struct row_move row;
	uint16_t slot = get_be16(key.data + 1);
	const struct ring_moving *move = ring_snapshot_move(audit->ring, slot, key.data[3]);
	ck_assert_ok(row_move_decode(value, &row));
	ck_assert(move && move->from == row.from && move->to == row.to &&
		move->since == row.since && move->is_ended == row.is_ended &&
		extent_id_is_equal(move->cursor, row.cursor));
	count_left(audit, slot, key.data[3], -(int64_t)row.left);
}

static void audit_leftover(struct audit *audit, struct bytes key)
{
	ck_assert(!ring_snapshot_is_place(
		audit->ring, get_be16(key.data + 1), key.data[3], get_be16(key.data + 4)));
}

static void audit_span(struct audit *audit, struct bytes key, struct bytes value)
{
	struct row_span row;
	uint16_t drive = get_be16(key.data + 1);
	ck_assert_ok(row_span_decode(value, &row));
	ck_assert(ring_snapshot_is_gone(audit->ring, drive));
	ck_assert(ring_snapshot_is_place(audit->ring, get_be16(key.data + 3), row.shard, drive));
}

static void count_kind(
	struct audit *audit, uint16_t slot, const struct row_slot_kind *kind, int sign)
{
	struct row_key key;
	if (kind->k == 0)
		return;
	row_key_slot(&key, slot);
	row_key_u8(&key, OF_KIND);
	row_key_u8(&key, kind->k);
	row_key_u8(&key, kind->m);
	row_key_u8(&key, kind->is_mirrored);
	struct row_key len = key;
	row_key_u8(&key, EXTENTS);
	row_key_u8(&len, EXTENT_LEN);
	count(&audit->slots, &key, sign * (int64_t)kind->extents);
	count(&audit->slots, &len, sign * (int64_t)kind->len);
}

static void audit_extent(struct audit *audit, struct bytes key, struct bytes value)
{
	struct row_extent row;
	struct row_key extent;
	uint16_t slot = get_be16(key.data + 1);
	row_key_extent(&extent, slot, extent_id_decode(key.data + 3));
	count(&audit->extents, &extent, -1);
	ck_assert_ok(row_extent_decode(value, &row));
	count_which(&audit->slots, slot, EXTENTS, 1);
	count_which(&audit->slots, slot, EXTENT_LEN, row.len);
	count_shard(audit, slot, OF_CODE, row.m, EXTENTS, 1);
	count_shard(audit, slot, OF_CODE, row.m, EXTENT_LEN, row.len);
	count_kind(audit, slot,
		&(struct row_slot_kind){row.k, row.m, row.len <= RING_MIRROR_LEN_MAX, 1, row.len},
		1);
	for (size_t i = 0; i < row_exception_count(&row); i++) {
		uint16_t drive = row_exception_at(&row, i).drive;
		count_which(&audit->slots, slot, EXCEPTIONS, 1);
		count_which(&audit->slots, slot, MISSING, drive == 0);
		if (drive != 0)
			count_id(&audit->drives, drive, 1);
	}
	for (uint8_t i = 0; i < row.k + row.m; i++)
		audit_shard(audit, slot, extent_id_decode(key.data + 3), &row, i);
}

/* Has a completed upload given the body of the part to the object it made? */
static bool is_taken(struct audit *audit, uint64_t upload, uint16_t part)
{
	struct index_garbage garbage = {0};
	while (index_garbage_next(audit->reader, garbage.log_index, garbage.kind, garbage.id,
		       &garbage) == ERR_OK) {
		if (garbage.kind == GARBAGE_UPLOAD && garbage.id == upload)
			return garbage.row.parts_taken.len > 0 &&
				(garbage.row.parts_taken.data[part / 8] >> part % 8 & 1);
	}
	return false;
}

static void audit_part(struct audit *audit, struct bytes key, struct bytes value)
{
	struct row_part row;
	ck_assert_ok(row_part_decode(value, &row));
	if (row.is_counted)
		count_id(&audit->parts, get_be64(key.data + 1), row.len);
	if (!is_taken(audit, get_be64(key.data + 1), get_be16(key.data + 9)))
		count_id(&audit->refs, row.body, 1);
}

static void audit_upload(struct audit *audit, struct bytes key, struct bytes value)
{
	uint8_t key_buf[ROW_KEY_LEN_MAX];
	struct row_object_key parsed;
	struct row_upload row;
	ck_assert_ok(row_key_parse_object(key, key_buf, &parsed));
	ck_assert_ok(row_upload_decode(value, &row));
	count_which(&audit->counts, parsed.bucket, UPLOADS, row.state == UPLOAD_OPEN);
	count_which(&audit->counts, parsed.bucket, PARTS_LEN, row.parts_len);
	if (row.state == UPLOAD_OPEN)
		count_id(&audit->uploads, parsed.upload, row.parts_len);
	else
		ck_assert_uint_eq(row.parts_len, 0);
}

static void audit_garbage(struct audit *audit, struct bytes key)
{
	if (key.data[9] == GARBAGE_BODY)
		count_id(&audit->garbage, get_be64(key.data + 10), -1);
}

static void audit_bucket_counts(struct audit *audit, struct bytes key, struct bytes value)
{
	struct row_bucket_counts row;
	uint64_t bucket = get_be64(key.data + 1);
	ck_assert_ok(row_bucket_counts_decode(value, &row));
	count_which(&audit->counts, bucket, OBJECTS, -(int64_t)row.objects);
	count_which(&audit->counts, bucket, VERSIONS, -(int64_t)row.versions);
	count_which(&audit->counts, bucket, LEN, -(int64_t)row.len);
	count_which(&audit->counts, bucket, UPLOADS, -(int64_t)row.uploads);
	count_which(&audit->counts, bucket, PARTS_LEN, -(int64_t)row.parts_len);
}

static void audit_slot_counts(struct audit *audit, struct bytes key, struct bytes value)
{
	struct row_slot_counts row;
	uint16_t slot = get_be16(key.data + 1);
	ck_assert_ok(row_slot_counts_decode(value, &row));
	count_which(&audit->slots, slot, EXTENTS, -(int64_t)row.extents);
	count_which(&audit->slots, slot, EXTENT_LEN, -(int64_t)row.len);
	count_which(&audit->slots, slot, EXCEPTIONS, -(int64_t)row.exceptions);
	count_which(&audit->slots, slot, MISSING, -(int64_t)row.missing);
	for (uint8_t i = 0; i < ROW_SHARDS_MAX; i++) {
		const struct row_slot_shard *shard = &row.shards[i];
		count_shard(audit, slot, OF_SHARD, i, EXTENTS, -(int64_t)shard->count);
		count_shard(audit, slot, OF_SHARD, i, EXTENT_LEN, -(int64_t)shard->len);
		count_shard(audit, slot, OF_SHARD, i, EXCEPTIONS, -(int64_t)shard->exceptions);
		count_shard(audit, slot, OF_SHARD, i, MISSING, -(int64_t)shard->missing);
		count_shard(audit, slot, OF_CODE, i, EXTENTS, -(int64_t)row.codes[i].extents);
		count_shard(audit, slot, OF_CODE, i, EXTENT_LEN, -(int64_t)row.codes[i].len);
	}
	for (unsigned i = 0; i < ROW_KINDS_MAX; i++)
		count_kind(audit, slot, &row.kinds[i], -1);
}

static void audit_drive_counts(struct audit *audit, struct bytes key, struct bytes value)
{
	struct row_drive_counts row;
	ck_assert_ok(row_drive_counts_decode(value, &row));
	ck_assert_uint_gt(row.exceptions, 0);
	count_id(&audit->drives, get_be16(key.data + 1), -(int64_t)row.exceptions);
}

static void audit_key(struct audit *audit, struct bytes key)
{
	struct row_key copy;
	row_key_begin(&copy, key.data[0]);
	row_key_bytes_append(&copy, bytes_from(key, 1));
	count(key.data[0] == TABLE_OVERFLOW ? &audit->overflows : &audit->nulls, &copy, -1);
}

static void audit_row(struct audit *audit, struct bytes key, struct bytes value)
{
	switch (key.data[0]) {
	case TABLE_VERSION:
		audit_version(audit, key, value);
		break;
	case TABLE_BODY:
		audit_body(audit, key, value);
		break;
	case TABLE_PIECES:
		audit_pieces(audit, key, value);
		break;
	case TABLE_EXTENT:
		audit_extent(audit, key, value);
		break;
	case TABLE_INLINE:
		count_id(&audit->inlines, get_be64(key.data + 1), -1);
		break;
	case TABLE_STAGE:
		count_id(&audit->refs, get_be64(key.data + 9), 1);
		break;
	case TABLE_PART:
		audit_part(audit, key, value);
		break;
	case TABLE_UPLOAD:
		audit_upload(audit, key, value);
		break;
	case TABLE_GARBAGE:
		audit_garbage(audit, key);
		break;
	case TABLE_BUCKET_COUNTS:
		audit_bucket_counts(audit, key, value);
		break;
	case TABLE_SLOT_COUNTS:
		audit_slot_counts(audit, key, value);
		break;
	case TABLE_DRIVE_COUNTS:
		audit_drive_counts(audit, key, value);
		break;
	case TABLE_MOVE:
		audit_move(audit, key, value);
		break;
	case TABLE_SPAN:
		audit_span(audit, key, value);
		break;
	case TABLE_LEFTOVER:
		audit_leftover(audit, key);
		break;
	case TABLE_EVENT:
		ck_assert_ok(row_event_decode(value, &(struct row_event){0}));
		break;
	case TABLE_NOTICE:
		ck_assert_ok(row_notice_decode(value, &(struct row_notice){0}));
		break;
	case TABLE_NOTICE_QUEUE:
		ck_assert_ok(row_notice_queue_decode(value, &(struct row_notice_queue){0}));
		break;
	case TABLE_OVERFLOW:
	case TABLE_NULL_VERSION:
		audit_key(audit, key);
		break;
	}
}

/* --- the whole -------------------------------------------------------------------------------- */

static void check_zero(struct model *model, const char *what)
{
	for (size_t i = 0; i < model->count; i++)
		ck_assert_msg(get_le64(model->rows[i].value.data) == 0, "%s, row %zu: %ld", what, i,
			(long)get_le64(model->rows[i].value.data));
	model_free(model);
}

/* Parts of uploads that are open no more wait for the collector, and count for nothing. */
static void check_parts(struct audit *audit)
{
	for (size_t i = 0; i < audit->uploads.count; i++) {
		const struct model_row *row = &audit->uploads.rows[i];
		const struct model_row *parts = model_get(&audit->parts, row->key);
		ck_assert_uint_eq(
			get_le64(row->value.data), parts ? get_le64(parts->value.data) : 0);
	}
	model_free(&audit->uploads);
	model_free(&audit->parts);
}

void index_audit(struct index *index, struct index_reader *reader)
{
	struct audit audit = {.reader = reader, .ring = index_ring(index)};
	struct buffer_view view;
	struct bytes key, value;
	struct index_state_hash rolling, recounted;
	ck_assert_ok(index_view_begin(reader));
	ck_assert_ok(index_state_recount(reader, &recounted));
	ck_assert_ok(buffer_view_open(index->buffer, &view)); /* a cursor of its own */
	ck_assert_ok(buffer_view_begin(&view));
	enum err err = buffer_view_seek(&view, bytes_make("\1", 1), &key, &value);
	for (; err == ERR_OK; err = buffer_view_next(&view, &key, &value))
		audit_row(&audit, key, value);
	ck_assert_err(err, ERR_NOT_FOUND);
	buffer_view_end(&view);
	buffer_view_close(&view);
	index_view_end(reader);
	for (size_t i = 0; i < audit.refs.count; i++)
		ck_assert_msg(model_get(&audit.bodies, audit.refs.rows[i].key),
			"a body is named that is not there");
	model_free(&audit.bodies);
	check_zero(&audit.refs, "references of a body");
	check_zero(&audit.counts, "counts of a bucket");
	check_parts(&audit);
	check_zero(&audit.slots, "counts of a slot");
	check_zero(&audit.shards, "counts of a slot's shards and codes");
	check_zero(&audit.lefts, "what a move has not passed");
	check_zero(&audit.drives, "exceptions that name a drive");
	ring_snapshot_unref(audit.ring);
	check_zero(&audit.overflows, "overflow");
	check_zero(&audit.extents, "extents and pieces");
	check_zero(&audit.inlines, "inline bodies");
	check_zero(&audit.garbage, "bodies without references");
	check_zero(&audit.nulls, "null versions");
	index_state_hash(index, &rolling);
	ck_assert_uint_eq(rolling.applied, recounted.applied);
	for (int table = 0; table < 256; table++)
		ck_assert_msg(rolling.tables[table] == recounted.tables[table],
			"state hash of table %02x", table);
}

void index_audit_is_clean(struct index_reader *reader)
{
	struct bytes key, value;
	ck_assert_ok(index_view_begin(reader));
	enum err err = buffer_view_seek(&reader->view, bytes_make("\1", 1), &key, &value);
	for (; err == ERR_OK; err = buffer_view_next(&reader->view, &key, &value)) {
		struct row_body body;
		ck_assert_uint_ne(key.data[0], TABLE_GARBAGE);
		if (key.data[0] != TABLE_BODY)
			continue;
		ck_assert_ok(row_body_decode(value, &body));
		ck_assert_uint_gt(body.refs, 0);
	}
	index_view_end(reader);
}
