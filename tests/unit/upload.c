/* SPDX-License-Identifier: Apache-2.0 */
/* What commands on uploads do, and what dismantling leaves. */
#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

static uint64_t upload;

static struct command_result create(const char *key)
{
	struct command command = {.type = COMMAND_UPLOAD_CREATE};
	command.upload_create.bucket = bucket;
	command.upload_create.key = bytes_of(key);
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	upload = result.id;
	return result;
}

static struct command part_command(uint16_t part, const char *text)
{
	struct command command = {.type = COMMAND_UPLOAD_PART};
	command.upload_part.bucket = bucket;
	command.upload_part.key = bytes_of("key");
	command.upload_part.upload = upload;
	command.upload_part.part = part;
	command.upload_part.is_counted = true;
	command.upload_part.body = put_command("key", text, part).object_put.body;
	return command;
}

static struct command_result put_part(uint16_t part, const char *text)
{
	struct command command = part_command(part, text);
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	return result;
}

static struct command_result put_part_extents(uint16_t part, size_t count)
{
	struct command command = part_command(part, "");
	command.upload_part.body = extents_body(count, 5 << 20, part);
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	return result;
}

static struct command complete_command(const uint16_t *parts, size_t count, uint64_t change_count)
{
	static uint8_t list[2 * ROW_PART_MAX];
	struct command command = {.type = COMMAND_UPLOAD_COMPLETE};
	for (size_t i = 0; i < count; i++)
		put_le16(list + 2 * i, parts[i]);
	command.upload_complete.bucket = bucket;
	command.upload_complete.key = bytes_of("key");
	command.upload_complete.upload = upload;
	command.upload_complete.change_count = change_count;
	command.upload_complete.parts = bytes_make(list, 2 * count);
	command.upload_complete.etag = (struct etag){{99}, count};
	command.upload_complete.parts_hash = 77;
	return command;
}

static struct command abort_command(void)
{
	struct command command = {.type = COMMAND_UPLOAD_ABORT};
	command.upload_abort.bucket = bucket;
	command.upload_abort.key = bytes_of("key");
	command.upload_abort.upload = upload;
	return command;
}

/* Reads a body of inline leaves as text. */
static void check_text(const char *key, const char *text)
{
	struct object_info object;
	uint64_t offset = 0;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_version_find(rig.reader, bucket, bytes_of(key), &object));
	ck_assert_uint_eq(object.row.len, strlen(text));
	while (offset < object.row.len) {
		struct index_piece piece;
		ck_assert_ok(index_piece_find(rig.reader, object.row.body, offset, &piece));
		ck_assert_uint_eq(piece.start, offset);
		ck_assert_uint_eq(piece.len, piece.inline_data.len);
		ck_assert_mem_eq(piece.inline_data.data, text + offset, piece.len);
		offset += piece.len;
	}
	index_view_end(rig.reader);
}

static void check_nothing_is_left(void)
{
	ck_assert(!has_rows(TABLE_BODY));
	ck_assert(!has_rows(TABLE_PIECES));
	ck_assert(!has_rows(TABLE_INLINE));
	ck_assert(!has_rows(TABLE_EXTENT));
	ck_assert(!has_rows(TABLE_PART));
	ck_assert(!has_rows(TABLE_UPLOAD));
	ck_assert(!has_rows(TABLE_GARBAGE));
}

START_TEST(parts_become_one_object)
{
	static const uint16_t parts[] = {2, 7, 10000};
	create("key");
	check_counts(0, 0, 0, 1);
	put_part(7, "middle ");
	put_part(2, "first ");
	put_part(9, "not listed");
	struct command_result last = put_part(10000, "last");
	struct command command = complete_command(parts, 3, last.count);
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	ck_assert_uint_eq(result.len, 17);
	check_counts(1, 1, 17, 0);
	check_text("key", "first middle last");
	rig_collect(&rig);
	check_text("key", "first middle last");
	ck_assert(!has_rows(TABLE_PART));
	delete_key("key");
	rig_collect(&rig);
	check_nothing_is_left();
}
END_TEST

START_TEST(each_part_is_found_by_its_place)
{
	static const uint16_t parts[] = {2, 7};
	struct object_info object;
	struct index_part part;
	create("key");
	put_part(2, "first ");
	struct command command = complete_command(parts, 2, put_part(7, "last").count);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_ok(find("key", &object));
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_body_part(rig.reader, object.row.body, 2, &part));
	ck_assert_uint_eq(part.offset, 6);
	ck_assert_uint_eq(part.len, 4);
	ck_assert_uint_eq(part.number, 7);
	ck_assert_err(index_body_part(rig.reader, object.row.body, 3, &part), ERR_NOT_FOUND);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(the_last_upload_of_a_part_wins)
{
	static const uint16_t parts[] = {1};
	create("key");
	struct command_result old = put_part(1, "old");
	struct row_body body;
	ck_assert_ok(body_of(old.id, &body));
	struct command_result new = put_part(1, "newer");
	ck_assert_err(body_of(old.id, &body), ERR_NOT_FOUND);
	struct command command = complete_command(parts, 1, old.count);
	struct command_result stale = rig_propose(&rig, &command);
	ck_assert_uint_eq(stale.code, COMMAND_STALE);
	ck_assert_uint_eq(stale.count, new.count);
	command = complete_command(parts, 1, new.count);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	check_text("key", "newer");
}
END_TEST

START_TEST(a_second_complete_has_the_first_answer)
{
	static const uint16_t parts[] = {1};
	create("key");
	struct command command = complete_command(parts, 1, put_part(1, "text").count);
	struct command_result first = rig_propose(&rig, &command);
	struct command_result again = rig_propose(&rig, &command);
	ck_assert_uint_eq(again.code, COMMAND_OK);
	ck_assert(again.is_earlier);
	ck_assert(version_id_is_equal(first.version, again.version));
	ck_assert_uint_eq(again.etag.part_count, 1);
	command.upload_complete.parts_hash = 78; /* other parts */
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_NO_UPLOAD);
	command.upload_complete.parts_hash = 77;
	struct command abort = abort_command();
	ck_assert_uint_eq(rig_code(&rig, &abort), COMMAND_NO_UPLOAD);
	put("key", "changed", 1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_NO_UPLOAD);
	check_counts(1, 1, 7, 0);
}
END_TEST

START_TEST(complete_has_conditions)
{
	static const uint16_t parts[] = {1};
	create("key");
	struct command command = complete_command(parts, 1, put_part(1, "text").count);
	command.upload_complete.conditions.if_none_match_any = true;
	put("key", "first", 1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_PRECONDITION);
	check_counts(1, 1, 5, 1);
	delete_key("key");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}
END_TEST

START_TEST(a_part_that_is_not_there_is_named)
{
	static const uint16_t parts[] = {1, 3};
	create("key");
	put_part(1, "text");
	struct command command = complete_command(parts, 2, put_part(4, "text").count);
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_NO_PART);
	ck_assert_uint_eq(result.count, 3);
	check_counts(0, 0, 0, 1);
}
END_TEST

START_TEST(an_abort_leaves_nothing)
{
	create("key");
	for (uint16_t part = 1; part <= 200; part++)
		put_part(part, "text");
	put_part_extents(500, 3);
	struct command command = abort_command();
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	check_counts(0, 0, 0, 0);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_NO_UPLOAD);
	struct command late = part_command(3, "late");
	ck_assert_uint_eq(rig_code(&rig, &late), COMMAND_NO_UPLOAD);
	ck_assert_uint_ge(rig_collect(&rig), 3); /* bounded steps */
	check_nothing_is_left();
}
END_TEST

START_TEST(a_bucket_goes_with_its_uploads)
{
	struct command command = {.type = COMMAND_BUCKET_DELETE};
	command.bucket_delete.bucket = bucket;
	for (int i = 0; i < 3; i++) {
		create("key");
		put_part(1, "text");
	}
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	struct command late = part_command(2, "late");
	ck_assert_uint_eq(rig_code(&rig, &late), COMMAND_NO_BUCKET);
	struct command abort = abort_command();
	ck_assert_uint_eq(rig_code(&rig, &abort), COMMAND_OK);
	rig_collect(&rig);
	check_nothing_is_left();
}
END_TEST

/* --- parts that are copies -------------------------------------------------------------------- */

static struct command copy_part_command(
	const char *from, uint16_t part, uint64_t offset, uint64_t len)
{
	struct object_info source;
	struct command command = {.type = COMMAND_UPLOAD_PART_COPY};
	ck_assert_ok(find(from, &source));
	command.upload_part_copy.source_bucket = bucket;
	command.upload_part_copy.source_key = bytes_of(from);
	command.upload_part_copy.source_version = source.version;
	command.upload_part_copy.source_body = source.row.body;
	command.upload_part_copy.offset = offset;
	command.upload_part_copy.len = len;
	command.upload_part_copy.bucket = bucket;
	command.upload_part_copy.key = bytes_of("key");
	command.upload_part_copy.upload = upload;
	command.upload_part_copy.part = part;
	command.upload_part_copy.is_counted = true;
	return command;
}

START_TEST(a_copied_range_is_a_slice)
{
	static const uint16_t parts[] = {1, 2, 3};
	put("source", "0123456789", 1);
	create("key");
	struct command command = copy_part_command("source", 1, 5, 3);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	command = copy_part_command("source", 3, 0, 10);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	command = copy_part_command("source", 3, 5, 6);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_REFUSED);
	command = complete_command(parts, 3, put_part(2, "-").count);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	delete_key("source");
	rig_collect(&rig);
	check_text("key", "567-0123456789");
	delete_key("key");
	rig_collect(&rig);
	check_nothing_is_left();
}
END_TEST

START_TEST(a_copy_of_what_changed_is_refused)
{
	put("source", "0123456789", 1);
	create("key");
	struct command command = copy_part_command("source", 1, 5, 3);
	put("source", "0123456789", 1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_NO_VERSION);
}
END_TEST

/* Appends to an object as a registry does: a new upload whose first part is all that was. */
START_TEST(appending_often_stays_readable_or_says_that_it_is_too_deep)
{
	static const uint16_t parts[] = {1, 2};
	char text[40] = "0";
	unsigned rounds = 0;
	put("key", text, 1);
	for (;; rounds++) {
		create("key");
		struct command command = copy_part_command("key", 1, 0, strlen(text));
		enum command_code code = rig_code(&rig, &command);
		if (code == COMMAND_LIMIT)
			break;
		ck_assert_uint_eq(code, COMMAND_OK);
		text[strlen(text)] = 'x';
		command = complete_command(parts, 2, put_part(2, "x").count);
		ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
		check_text("key", text);
		rig_collect(&rig);
		check_text("key", text);
		ck_assert_uint_lt(rounds, 10);
	}
	ck_assert_uint_ge(rounds, 3);
}
END_TEST

START_TEST(a_range_inside_one_slice_goes_past_it)
{
	static const uint16_t parts[] = {1, 2};
	struct row_body body;
	create("key");
	put_part(1, "0123456789");
	struct command command = complete_command(parts, 2, put_part(2, "abcdef").count);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	create("key");
	command = copy_part_command("key", 1, 11, 3);
	struct command_result inside = rig_propose(&rig, &command);
	ck_assert_ok(body_of(inside.id, &body));
	ck_assert_uint_eq(body.depth, 1);
	command = copy_part_command("key", 2, 9, 3);
	struct command_result across = rig_propose(&rig, &command);
	ck_assert_ok(body_of(across.id, &body));
	ck_assert_uint_eq(body.depth, 2);
	command = complete_command(parts, 2, across.count);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	check_text("key", "bcd9ab");
}
END_TEST

START_TEST(ten_thousand_parts_complete_in_one_command)
{
	static uint16_t parts[ROW_PART_MAX];
	struct object_info object;
	struct index_piece piece;
	struct index_part part;
	struct command_result last = create("key");
	for (size_t i = 0; i < ROW_PART_MAX; i++) {
		parts[i] = i + 1;
		last = put_part(i + 1, "0123456789");
	}
	struct command command = complete_command(parts, ROW_PART_MAX, last.count);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	check_counts(1, 1, 10 * ROW_PART_MAX, 0);
	ck_assert_ok(find("key", &object));
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_piece_find(rig.reader, object.row.body, 54321, &piece));
	ck_assert_uint_eq(piece.leaf_offset, 1);
	ck_assert_uint_eq(piece.len, 9);
	ck_assert_ok(index_body_part(rig.reader, object.row.body, ROW_PART_MAX, &part));
	ck_assert_uint_eq(part.offset, 10 * (ROW_PART_MAX - 1));
	index_view_end(rig.reader);
	delete_key("key");
	rig_collect(&rig);
	check_nothing_is_left();
}
END_TEST

START_TEST(empty_parts_at_the_end_do_no_harm)
{
	static uint16_t parts[130];
	struct command_result last = create("key");
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		parts[i] = i + 1;
		last = put_part(i + 1, i < 128 ? "1" : "");
	}
	struct command command = complete_command(parts, ARRAY_COUNT(parts), last.count);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	struct object_info object;
	struct index_part part;
	ck_assert_ok(find("key", &object));
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_body_part(rig.reader, object.row.body, 130, &part));
	ck_assert_uint_eq(part.len, 0);
	index_view_end(rig.reader);
	delete_key("key");
	rig_collect(&rig);
	check_nothing_is_left();
}
END_TEST

/* --- collection ------------------------------------------------------------------------------- */

START_TEST(what_is_being_read_is_not_dismantled)
{
	struct object_info object;
	struct index_hold hold;
	struct index_piece piece;
	struct index_garbage garbage;
	put_extents("a", 2, 1);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_version_find(rig.reader, bucket, bytes_of("a"), &object));
	index_hold_read(rig.reader, &hold);
	index_view_end(rig.reader);
	delete_key("a");
	ck_assert_ok(index_report(rig.index));
	rig_run(&rig);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_garbage_next(rig.reader, 0, 0, 0, &garbage));
	index_view_end(rig.reader);
	struct command command = {.type = COMMAND_GARBAGE_DONE};
	command.garbage_done.log_index = garbage.log_index;
	command.garbage_done.kind = garbage.kind;
	command.garbage_done.id = garbage.id;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_EARLY);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_piece_find(rig.reader, object.row.body, 1 << 20, &piece));
	index_view_end(rig.reader);
	index_release_read(rig.reader, &hold);
	ck_assert_ok(index_report(rig.index));
	rig_run(&rig);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	check_nothing_is_left();
}
END_TEST

START_TEST(a_long_body_goes_row_by_row)
{
	struct object_info object;
	struct index_garbage garbage;
	put_extents("a", 300, 1);
	ck_assert_ok(find("a", &object));
	delete_key("a");
	ck_assert_ok(index_report(rig.index));
	rig_run(&rig);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_garbage_next(rig.reader, 0, 0, 0, &garbage));
	index_view_end(rig.reader);
	struct command command = {.type = COMMAND_GARBAGE_DONE};
	command.garbage_done.log_index = garbage.log_index;
	command.garbage_done.kind = garbage.kind;
	command.garbage_done.id = garbage.id;
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.count, 1);
	/* The collector finds where the rest begins. */
	struct index_piece piece;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_piece_find(rig.reader, object.row.body, 0, &piece));
	ck_assert_uint_eq(piece.start, 128 << 20);
	ck_assert_uint_eq(piece.extent.counter, 129);
	index_view_end(rig.reader);
	ck_assert_uint_eq(rig_collect(&rig), 2);
	check_nothing_is_left();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("upload");
	TCase *tc = tcase_create("upload");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, parts_become_one_object);
	tcase_add_test(tc, each_part_is_found_by_its_place);
	tcase_add_test(tc, the_last_upload_of_a_part_wins);
	tcase_add_test(tc, a_second_complete_has_the_first_answer);
	tcase_add_test(tc, complete_has_conditions);
	tcase_add_test(tc, a_part_that_is_not_there_is_named);
	tcase_add_test(tc, an_abort_leaves_nothing);
	tcase_add_test(tc, a_bucket_goes_with_its_uploads);
	tcase_add_test(tc, a_copied_range_is_a_slice);
	tcase_add_test(tc, a_copy_of_what_changed_is_refused);
	tcase_add_test(tc, appending_often_stays_readable_or_says_that_it_is_too_deep);
	tcase_add_test(tc, a_range_inside_one_slice_goes_past_it);
	tcase_add_test(tc, ten_thousand_parts_complete_in_one_command);
	tcase_add_test(tc, empty_parts_at_the_end_do_no_harm);
	tcase_add_test(tc, what_is_being_read_is_not_dismantled);
	tcase_add_test(tc, a_long_body_goes_row_by_row);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
