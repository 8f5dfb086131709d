/* SPDX-License-Identifier: Apache-2.0 */
/* What commands on versions and bodies do, seen through proposals and lookups. */
#include "storage/meta/index.h"

#include "storage/meta/index_ledger.h"
#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

/* --- versions --------------------------------------------------------------------------------- */

START_TEST(versions_stack_and_come_off)
{
	set_versioning(BUCKET_ENABLED);
	struct command_result first = put("key", "1", 1);
	struct command_result second = put("key", "22", 2);
	ck_assert(!first.is_null);
	check_counts(1, 2, 3, 0);
	struct command_result marker = delete_key("key");
	ck_assert_uint_eq(command_result_delete(&marker, 0), DELETE_MARKER_MADE);
	check_counts(0, 3, 3, 0);
	ck_assert(!is_there("key"));
	struct command_result gone = delete_one(
		&(struct command_delete){.key = bytes_of("key"), .version = marker.version});
	ck_assert_uint_eq(command_result_delete(&gone, 0), DELETE_MARKER_GONE);
	check_counts(1, 3 - 1, 3, 0);
	struct object_info object;
	ck_assert_ok(find("key", &object));
	ck_assert(version_id_is_equal(object.version, second.version));
	delete_one(&(struct command_delete){.key = bytes_of("key"), .version = second.version});
	ck_assert_ok(find("key", &object));
	ck_assert(version_id_is_equal(object.version, first.version));
	check_counts(1, 1, 1, 0);
}
END_TEST

START_TEST(there_is_at_most_one_null_version)
{
	struct object_info object;
	struct command_result null1 = put("key", "1", 1);
	set_versioning(BUCKET_ENABLED);
	struct command_result v2 = put("key", "22", 2);
	ck_assert(null1.is_null && !v2.is_null);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_version_null(rig.reader, bucket, bytes_of("key"), &object));
	ck_assert(version_id_is_equal(object.version, null1.version));
	index_view_end(rig.reader);
	set_versioning(BUCKET_SUSPENDED);
	struct command_result null3 = put("key", "333", 3); /* replaces the first only */
	ck_assert(null3.is_null);
	check_counts(1, 2, 5, 0);
	struct command_result marker = delete_key("key"); /* and is replaced by a null marker */
	ck_assert(marker.is_null);
	check_counts(0, 2, 2, 0);
	delete_one(&(struct command_delete){.key = bytes_of("key"), .is_null = true});
	ck_assert_ok(find("key", &object));
	ck_assert(version_id_is_equal(object.version, v2.version));
	check_counts(1, 1, 2, 0);
	ck_assert(!has_rows(TABLE_NULL_VERSION));
}
END_TEST

START_TEST(a_null_version_below_can_be_deleted)
{
	struct object_info object;
	put("key", "1", 1);
	set_versioning(BUCKET_ENABLED);
	put("key", "22", 2);
	delete_one(&(struct command_delete){.key = bytes_of("key"), .is_null = true});
	check_counts(1, 1, 2, 0);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_err(
		index_version_null(rig.reader, bucket, bytes_of("key"), &object), ERR_NOT_FOUND);
	index_view_end(rig.reader);
	ck_assert(!has_rows(TABLE_NULL_VERSION));
}
END_TEST

START_TEST(a_locked_version_stays)
{
	set_versioning(BUCKET_ENABLED);
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_LOCK;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	command = put_command("key", "text", 1);
	command.object_put.attributes.retention = RETENTION_GOVERNANCE;
	command.object_put.attributes.retain_until_ms = rig.log.time_ms + 1000000;
	struct command_result result = rig_propose(&rig, &command);
	struct command_delete item = {.key = bytes_of("key"), .version = result.version};
	ck_assert_uint_eq(delete_one(&item).code, COMMAND_LOCKED);
	struct command update = {.type = COMMAND_OBJECT_UPDATE};
	update.object_update.bucket = bucket;
	update.object_update.key = bytes_of("key");
	update.object_update.version = result.version;
	update.object_update.set = OBJECT_SET_RETENTION;
	ck_assert_uint_eq(rig_code(&rig, &update), COMMAND_LOCKED); /* shorter */
	update.object_update.bypass_governance = true;
	ck_assert_uint_eq(rig_code(&rig, &update), COMMAND_OK);
	update.object_update.set = OBJECT_SET_LEGAL_HOLD;
	update.object_update.has_legal_hold = true;
	ck_assert_uint_eq(rig_code(&rig, &update), COMMAND_OK);
	ck_assert_uint_eq(delete_one(&item).code, COMMAND_LOCKED);
	update.object_update.has_legal_hold = false;
	ck_assert_uint_eq(rig_code(&rig, &update), COMMAND_OK);
	ck_assert_uint_eq(delete_one(&item).code, COMMAND_OK);
	check_counts(0, 0, 0, 0);
}
END_TEST

START_TEST(tags_change_without_a_new_version)
{
	static uint8_t tags[ROW_TAGS_LEN_MAX];
	static char value[2000];
	memset(value, 't', sizeof value);
	size_t tags_len = 0;
	ck_assert_ok(metadata_append(
		tags, sizeof tags, &tags_len, bytes_of("a"), bytes_make(value, sizeof value)));
	struct command_result result = put("key", "text", 1);
	struct command update = {.type = COMMAND_OBJECT_UPDATE};
	update.object_update.bucket = bucket;
	update.object_update.key = bytes_of("key");
	update.object_update.version = result.version;
	update.object_update.set = OBJECT_SET_TAGS;
	update.object_update.tags = bytes_make(tags, tags_len);
	ck_assert_uint_eq(rig_code(&rig, &update), COMMAND_OK);
	ck_assert(has_rows(TABLE_OVERFLOW));
	update.object_update.tags = bytes_make(NULL, 0);
	ck_assert_uint_eq(rig_code(&rig, &update), COMMAND_OK);
	ck_assert(!has_rows(TABLE_OVERFLOW));
	check_counts(1, 1, 4, 0);
}
END_TEST

/* --- extents and copies ----------------------------------------------------------------------- */

START_TEST(extents_are_found_in_order)
{
	struct object_info object;
	struct index_piece piece;
	put_extents("key", 200, 1);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_version_find(rig.reader, bucket, bytes_of("key"), &object));
	uint64_t offset = 5;
	for (size_t i = 0; i < 200; i++) {
		ck_assert_ok(index_piece_find(rig.reader, object.row.body, offset, &piece));
		ck_assert_uint_eq(piece.start, offset);
		ck_assert_uint_eq(piece.extent.counter, i + 1);
		ck_assert_uint_eq(piece.extent_offset, i == 0 ? 5 : 0);
		ck_assert_uint_eq(piece.row.k, 2);
		offset = piece.start + piece.len;
	}
	ck_assert_uint_eq(offset, 200 << 20);
	ck_assert_err(index_piece_find(rig.reader, object.row.body, offset, &piece), ERR_NOT_FOUND);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(shards_elsewhere_are_exceptions)
{
	static const uint8_t elsewhere[] = {9, 0, 8, 0, 7, 0};
	struct command command = put_extents_command("key", 1, 1);
	struct object_info object;
	struct index_piece piece;
	static uint8_t extents[200];
	struct fields_out out = {.data = extents, .cap = sizeof extents};
	struct bytes list = command.object_put.body.extents;
	struct command_extent extent;
	ck_assert_ok(command_extent_next(&list, &extent));
	extent.drives = bytes_make(elsewhere, sizeof elsewhere);
	command_extent_append(&out, &extent);
	command.object_put.body.extents = bytes_make(extents, out.len);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_version_find(rig.reader, bucket, bytes_of("key"), &object));
	ck_assert_ok(index_piece_find(rig.reader, object.row.body, 0, &piece));
	ck_assert_uint_eq(row_exception_count(&piece.row), 3);
	ck_assert_uint_eq(row_exception_at(&piece.row, 1).drive, 8);
	struct row_slot_counts counts;
	ck_assert_ok(index_slot_counts(rig.reader, piece.slot, &counts));
	ck_assert_uint_eq(counts.extents, 1);
	ck_assert_uint_eq(counts.exceptions, 3);
	ck_assert_uint_eq(counts.missing, 0);
	index_view_end(rig.reader);
	struct ring_snapshot *ring = index_ring(rig.index);
	struct command update = {.type = COMMAND_EXTENT_UPDATE};
	struct command_shard_move move = {.slot = piece.slot,
		.extent = piece.extent,
		.from = 9,
		.drive = ring_drive(ring_snapshot_ring(ring), piece.slot, 0)};
	ring_snapshot_unref(ring);
	static uint8_t moves[100];
	struct fields_out moves_out = {.data = moves, .cap = sizeof moves};
	command_shard_move_append(&moves_out, &move);
	update.extent_update.moves = bytes_make(moves, moves_out.len);
	ck_assert_uint_eq(rig_code(&rig, &update), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &update), COMMAND_STALE);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_slot_counts(rig.reader, piece.slot, &counts));
	ck_assert_uint_eq(counts.exceptions, 2);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(an_extent_is_named_once)
{
	struct command command = put_extents_command("a", 1, 1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	command.object_put.key = bytes_of("b");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_REFUSED);
}
END_TEST

START_TEST(a_settled_extent_is_refused)
{
	struct index_hold hold;
	index_hold_write(rig.reader, &hold);
	for (int i = 0; i < 5; i++)
		(void)index_extent_id_make(rig.reader);
	index_release_write(rig.reader, &hold);
	ck_assert_ok(index_report(rig.index));
	rig_run(&rig);
	struct command command = put_extents_command("a", 1, 1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_REFUSED);
	next_counter = 6;
	command = put_extents_command("a", 1, 1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}
END_TEST

START_TEST(a_copy_is_a_reference)
{
	struct object_info source, copy;
	struct row_body body;
	put_extents("a", 3, 1);
	ck_assert_ok(find("a", &source));
	struct command command = copy_command("a", &source, "b");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_ok(find("b", &copy));
	ck_assert_uint_eq(copy.row.body, source.row.body);
	ck_assert_ok(body_of(source.row.body, &body));
	ck_assert_uint_eq(body.refs, 2);
	delete_key("a");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_NO_VERSION);
	ck_assert_ok(body_of(source.row.body, &body));
	ck_assert_uint_eq(body.refs, 1);
	delete_key("b");
	ck_assert_ok(body_of(source.row.body, &body));
	ck_assert_uint_eq(body.refs, 0);
	rig_collect(&rig);
	ck_assert_err(body_of(source.row.body, &body), ERR_NOT_FOUND);
	ck_assert(!has_rows(TABLE_EXTENT) && !has_rows(TABLE_PIECES));
}
END_TEST

START_TEST(a_copy_onto_itself_loses_nothing)
{
	struct object_info source;
	struct row_body body;
	put_extents("a", 1, 1);
	ck_assert_ok(find("a", &source));
	struct command command = copy_command("a", &source, "a");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_ok(body_of(source.row.body, &body));
	ck_assert_uint_eq(body.refs, 1);
	check_counts(1, 1, 1 << 20, 0);
}
END_TEST

START_TEST(a_swap_keeps_the_bytes_and_moves_the_extents)
{
	struct object_info object;
	struct row_body body;
	struct index_piece piece;
	put_extents("a", 130, 1);
	ck_assert_ok(find("a", &object));
	struct command command = {.type = COMMAND_BODY_SWAP};
	struct command_body fresh = extents_body(65, 2 << 20, 1);
	command.body_swap.body = object.row.body;
	command.body_swap.stored_len = fresh.stored_len;
	command.body_swap.extents = fresh.extents;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_STALE);
	ck_assert_ok(body_of(object.row.body, &body));
	ck_assert_uint_eq(body.generation, 1);
	ck_assert_uint_eq(body.len, 130 << 20);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_piece_find(rig.reader, object.row.body, 3 << 20, &piece));
	ck_assert_uint_eq(piece.extent.counter, 132);
	ck_assert_uint_eq(piece.extent_offset, 1 << 20);
	index_view_end(rig.reader);
	ck_assert_uint_ge(rig_collect(&rig), 2);
	delete_key("a");
	rig_collect(&rig);
	ck_assert(!has_rows(TABLE_EXTENT) && !has_rows(TABLE_BODY));
}
END_TEST

static enum command_code swap(uint64_t body, uint32_t generation, size_t count, uint32_t len)
{
	struct command command = {.type = COMMAND_BODY_SWAP};
	struct command_body fresh = extents_body(count, len, 1);
	command.body_swap.body = body;
	command.body_swap.generation = generation;
	command.body_swap.stored_len = fresh.stored_len;
	command.body_swap.extents = fresh.extents;
	return rig_code(&rig, &command);
}

static bool has_extents(size_t count)
{
	struct index_slot_sums sums;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_slot_sums(rig.reader, 0, &sums));
	index_view_end(rig.reader);
	return sums.extents == count;
}

START_TEST(a_swap_that_comes_too_late_changes_nothing)
{
	struct object_info object;
	put_extents("a", 2, 1);
	put("b", "inline", 2);
	ck_assert_ok(find("a", &object));
	uint64_t body = object.row.body;
	ck_assert_uint_eq(swap(body, 1, 1, 2 << 20), COMMAND_STALE);
	ck_assert_uint_eq(swap(body, 0, 1, 1 << 20), COMMAND_REFUSED); /* not the same bytes */
	ck_assert_uint_eq(swap(body + 1, 0, 1, 2 << 20), COMMAND_NO_BODY);
	ck_assert(has_extents(2));
	delete_key("a");
	ck_assert_uint_eq(swap(body, 0, 1, 2 << 20), COMMAND_NO_BODY); /* it is garbage */
	ck_assert(has_extents(2));
	rig_collect(&rig);
	ck_assert_uint_eq(swap(body, 0, 1, 2 << 20), COMMAND_NO_BODY);
	ck_assert(has_extents(0));
	ck_assert_ok(find("b", &object));
	ck_assert_uint_eq(swap(object.row.body, 0, 1, 1 << 20), COMMAND_REFUSED); /* inline */
	ck_assert(has_extents(0));
}
END_TEST

/* A part is swapped while its upload is open, and again when it is a slice of the object. */
START_TEST(a_part_is_swapped_before_and_after_its_upload_ends)
{
	static const uint8_t parts[] = {1, 0};
	struct object_info object;
	struct row_body body;
	struct command command = {.type = COMMAND_UPLOAD_CREATE};
	command.upload_create.bucket = bucket;
	command.upload_create.key = bytes_of("a");
	uint64_t upload = rig_propose(&rig, &command).id;
	command = (struct command){.type = COMMAND_UPLOAD_PART};
	command.upload_part.bucket = bucket;
	command.upload_part.key = bytes_of("a");
	command.upload_part.upload = upload;
	command.upload_part.part = 1;
	command.upload_part.body = extents_body(3, 1 << 20, 1);
	struct command_result part = rig_propose(&rig, &command);
	ck_assert_uint_eq(swap(part.id, 0, 1, 3 << 20), COMMAND_OK);
	command = (struct command){.type = COMMAND_UPLOAD_COMPLETE};
	command.upload_complete.bucket = bucket;
	command.upload_complete.key = bytes_of("a");
	command.upload_complete.upload = upload;
	command.upload_complete.change_count = part.count;
	command.upload_complete.parts = bytes_make(parts, sizeof parts);
	command.upload_complete.etag = (struct etag){{99}, 1};
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_ok(find("a", &object));
	ck_assert_uint_eq(swap(object.row.body, 0, 1, 3 << 20), COMMAND_REFUSED); /* slices */
	ck_assert_uint_eq(swap(part.id, 0, 3, 1 << 20), COMMAND_STALE);
	ck_assert_uint_eq(swap(part.id, 1, 3, 1 << 20), COMMAND_OK);
	ck_assert_ok(body_of(part.id, &body));
	ck_assert_uint_eq(body.generation, 2);
	rig_collect(&rig);
	ck_assert(has_extents(3));
	delete_key("a");
	rig_collect(&rig);
	ck_assert(!has_rows(TABLE_EXTENT) && !has_rows(TABLE_BODY) && !has_rows(TABLE_PIECES));
}
END_TEST

START_TEST(extents_are_counted_by_their_code)
{
	struct index_profile_sums sums;
	put_extents("a", 2, 1); /* 2+1, of 1 MiB */
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_profile_sums(rig.reader, (struct ring_profile){2, 1}, &sums));
	ck_assert_uint_eq(sums.off_extents, 0);
	ck_assert_ok(index_profile_sums(rig.reader, (struct ring_profile){3, 2}, &sums));
	ck_assert_uint_eq(sums.off_extents, 2);
	ck_assert_uint_eq(sums.under_len, 2 << 20);
	ck_assert_uint_eq(sums.bare_len + sums.wide_extents, 0);
	ck_assert_ok(index_profile_sums(rig.reader, (struct ring_profile){1, 1}, &sums));
	ck_assert_uint_eq(sums.under_extents, 0);
	ck_assert_uint_eq(sums.wide_extents, 2);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(a_stage_is_invisible_until_it_is_put)
{
	struct command stage = {.type = COMMAND_BODY_STAGE};
	struct command_body body = extents_body(2, 1 << 20, 1);
	stage.body_stage.bucket = bucket;
	stage.body_stage.key = bytes_of("a");
	stage.body_stage.extents = body.extents;
	struct command_result result = rig_propose(&rig, &stage);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	body = extents_body(2, 1 << 20, 1);
	stage.body_stage.staged = result.id;
	stage.body_stage.extents = body.extents;
	ck_assert_uint_eq(rig_code(&rig, &stage), COMMAND_OK);
	check_counts(0, 0, 0, 0);
	struct command command = put_extents_command("a", 1, 7);
	command.object_put.body.staged = result.id;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_REFUSED); /* not the length */
	command.object_put.body.len = 5 << 20;
	command.object_put.body.stored_len = 5 << 20;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	check_counts(1, 1, 5 << 20, 0);
	struct object_info object;
	struct index_piece piece;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_version_find(rig.reader, bucket, bytes_of("a"), &object));
	for (uint64_t i = 0; i < 5; i++) {
		ck_assert_ok(index_piece_find(rig.reader, object.row.body, i << 20, &piece));
		ck_assert_uint_eq(piece.extent.counter, i + 1);
	}
	index_view_end(rig.reader);
	ck_assert(!has_rows(TABLE_STAGE));
}
END_TEST

START_TEST(a_stage_goes_with_its_session)
{
	struct command stage = {.type = COMMAND_BODY_STAGE};
	struct command_body body = extents_body(2, 1 << 20, 1);
	stage.body_stage.bucket = bucket;
	stage.body_stage.key = bytes_of("a");
	stage.body_stage.extents = body.extents;
	ck_assert_uint_eq(rig_code(&rig, &stage), COMMAND_OK);
	rig_reopen(&rig, false);
	rig_collect(&rig);
	ck_assert(!has_rows(TABLE_STAGE) && !has_rows(TABLE_EXTENT));
	ck_assert(!has_rows(TABLE_BODY));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("apply_body");
	TCase *tc = tcase_create("apply_body");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, versions_stack_and_come_off);
	tcase_add_test(tc, there_is_at_most_one_null_version);
	tcase_add_test(tc, a_null_version_below_can_be_deleted);
	tcase_add_test(tc, a_locked_version_stays);
	tcase_add_test(tc, tags_change_without_a_new_version);
	tcase_add_test(tc, extents_are_found_in_order);
	tcase_add_test(tc, shards_elsewhere_are_exceptions);
	tcase_add_test(tc, an_extent_is_named_once);
	tcase_add_test(tc, a_settled_extent_is_refused);
	tcase_add_test(tc, a_copy_is_a_reference);
	tcase_add_test(tc, a_copy_onto_itself_loses_nothing);
	tcase_add_test(tc, a_swap_keeps_the_bytes_and_moves_the_extents);
	tcase_add_test(tc, a_swap_that_comes_too_late_changes_nothing);
	tcase_add_test(tc, a_part_is_swapped_before_and_after_its_upload_ends);
	tcase_add_test(tc, extents_are_counted_by_their_code);
	tcase_add_test(tc, a_stage_is_invisible_until_it_is_put);
	tcase_add_test(tc, a_stage_goes_with_its_session);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
