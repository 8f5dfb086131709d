/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/command.h"

#include "tests/lib/test.h"

static uint8_t buf[COMMAND_LEN_MAX];
static uint8_t lists[COMMAND_LEN_MAX];

static struct command make_put(void)
{
	struct command command = {
		.type = COMMAND_OBJECT_PUT, .session = 5, .sequence = 6, .result_low = 3};
	command.object_put.bucket = 1 << 20;
	command.object_put.key = bytes_of("a/key");
	command.object_put.conditions.if_none_match_any = true;
	command.object_put.attributes.owner = bytes_of("me");
	command.object_put.body.len = 5;
	command.object_put.body.inline_data = bytes_of("hello");
	command.object_put.body.etag = (struct etag){"0123456789abcde", 0};
	command.object_put.body.checksums[0] = (struct checksum){
		CHECKSUM_CRC32, CHECKSUM_FULL_OBJECT, 4, {1, 2, 3, 4}};
	command.object_put.invocation = 99;
	return command;
}

static enum err decode_of(const struct command *command, struct command *ret_command)
{
	size_t len;
	ck_assert_ok(command_encode(command, buf, sizeof buf, &len));
	return command_decode(bytes_make(buf, len), ret_command);
}

START_TEST(a_put_reads_as_it_was_written)
{
	struct command command = make_put();
	struct command got;
	ck_assert_ok(decode_of(&command, &got));
	ck_assert_uint_eq(got.type, COMMAND_OBJECT_PUT);
	ck_assert_uint_eq(got.session, 5);
	ck_assert_uint_eq(got.sequence, 6);
	ck_assert_uint_eq(got.result_low, 3);
	ck_assert_uint_eq(got.object_put.bucket, 1 << 20);
	ck_assert(bytes_is_text(got.object_put.key, "a/key"));
	ck_assert(got.object_put.conditions.if_none_match_any);
	ck_assert(!got.object_put.conditions.has_if_match);
	ck_assert(bytes_is_text(got.object_put.attributes.owner, "me"));
	ck_assert(bytes_is_text(got.object_put.body.inline_data, "hello"));
	ck_assert_mem_eq(&got.object_put.body.checksums, &command.object_put.body.checksums,
		sizeof got.object_put.body.checksums);
	ck_assert_uint_eq(got.object_put.invocation, 99);
}
END_TEST

START_TEST(stamping_changes_only_the_header)
{
	struct command command = make_put();
	struct command got;
	size_t len;
	ck_assert_ok(command_encode(&command, buf, sizeof buf, &len));
	command_stamp(buf, 50, 60, 30);
	ck_assert_ok(command_decode(bytes_make(buf, len), &got));
	ck_assert_uint_eq(got.session, 50);
	ck_assert_uint_eq(got.sequence, 60);
	ck_assert_uint_eq(got.result_low, 30);
	ck_assert(bytes_is_text(got.object_put.body.inline_data, "hello"));
}
END_TEST

START_TEST(fields_of_a_newer_writer_are_skipped)
{
	struct command command = make_put();
	struct command got;
	size_t len;
	ck_assert_ok(command_encode(&command, buf, sizeof buf, &len));
	static const uint8_t unknown[] = {250, 3, 1, 2, 3};
	memcpy(buf + len, unknown, sizeof unknown);
	ck_assert_ok(command_decode(bytes_make(buf, len + sizeof unknown), &got));
	ck_assert(bytes_is_text(got.object_put.key, "a/key"));
}
END_TEST

START_TEST(a_type_or_format_not_known_is_unsupported)
{
	struct command command = make_put();
	struct command got;
	size_t len;
	ck_assert_ok(command_encode(&command, buf, sizeof buf, &len));
	buf[1] = COMMAND_TYPE_COUNT;
	ck_assert_err(command_decode(bytes_make(buf, len), &got), ERR_UNSUPPORTED);
	buf[1] = COMMAND_OBJECT_PUT;
	buf[0] = COMMAND_FORMAT + 1;
	ck_assert_err(command_decode(bytes_make(buf, len), &got), ERR_UNSUPPORTED);
}
END_TEST

START_TEST(a_command_that_does_not_fit_is_not_written)
{
	struct command command = make_put();
	size_t len, short_len;
	ck_assert_ok(command_encode(&command, buf, sizeof buf, &len));
	for (size_t cap = 0; cap < len; cap++)
		ck_assert_err(command_encode(&command, buf, cap, &short_len), ERR_LIMIT);
}
END_TEST

START_TEST(a_command_cut_anywhere_is_read_or_refused)
{
	struct command command = make_put();
	struct command got;
	size_t len;
	ck_assert_ok(command_encode(&command, buf, sizeof buf, &len));
	for (size_t cut = 0; cut < COMMAND_HEADER_LEN; cut++)
		ck_assert_err(command_decode(bytes_make(buf, cut), &got), ERR_INVALID);
	for (size_t cut = COMMAND_HEADER_LEN; cut < len; cut++)
		err_ignore(command_decode(bytes_make(buf, cut), &got)); /* either is fine */
}
END_TEST

/* --- rules ------------------------------------------------------------------------------------ */

START_TEST(a_put_without_a_key_or_session_is_refused)
{
	struct command command = make_put();
	struct command got;
	command.object_put.key = bytes_of("");
	ck_assert_err(decode_of(&command, &got), ERR_INVALID);
	command = make_put();
	command.session = 0;
	ck_assert_err(decode_of(&command, &got), ERR_INVALID);
	command = make_put();
	command.sequence = 0;
	ck_assert_err(decode_of(&command, &got), ERR_INVALID);
}
END_TEST

START_TEST(an_inline_body_has_the_length_it_says)
{
	struct command command = make_put();
	struct command got;
	command.object_put.body.len = 6;
	ck_assert_err(decode_of(&command, &got), ERR_INVALID);
}
END_TEST

START_TEST(metadata_that_is_not_pairs_is_refused)
{
	struct command command = make_put();
	struct command got;
	command.object_put.attributes.metadata = bytes_of("\xff\xff\xff");
	ck_assert_err(decode_of(&command, &got), ERR_INVALID);
}
END_TEST

static struct command_extent make_extent(const uint8_t *drives)
{
	return (struct command_extent){
		.extent = {5, 1},
		.k = 2,
		.m = 1,
		.unit_len = 65536,
		.len = 1 << 20,
		.drives = bytes_make(drives, 6),
	};
}

static enum err decode_extents(const struct command_extent *extents, size_t count)
{
	struct command command = make_put();
	struct command got;
	struct fields_out out = {.data = lists, .cap = sizeof lists};
	command.object_put.body.len = 0;
	for (size_t i = 0; i < count; i++) {
		command_extent_append(&out, &extents[i]);
		command.object_put.body.len += extents[i].len;
	}
	command.object_put.body.inline_data = bytes_make(NULL, 0);
	command.object_put.body.stored_len = command.object_put.body.len;
	command.object_put.body.extents = bytes_make(lists, out.len);
	return decode_of(&command, &got);
}

START_TEST(an_extent_needs_one_shard_more_than_data)
{
	static const uint8_t all[] = {1, 0, 2, 0, 3, 0};
	static const uint8_t two[] = {1, 0, 0, 0, 3, 0};
	struct command_extent extent = make_extent(all);
	ck_assert_ok(decode_extents(&extent, 1));
	extent.drives = bytes_make(two, sizeof two);
	ck_assert_err(decode_extents(&extent, 1), ERR_INVALID);
	extent.m = 0; /* and without parity all of them */
	extent.drives = bytes_make(two, 4);
	ck_assert_err(decode_extents(&extent, 1), ERR_INVALID);
	extent.drives = bytes_make(all, 4);
	ck_assert_ok(decode_extents(&extent, 1));
}
END_TEST

START_TEST(extents_that_cannot_be_are_refused)
{
	static const uint8_t all[] = {1, 0, 2, 0, 3, 0};
	struct command_extent extents[2] = {make_extent(all), make_extent(all)};
	ck_assert_err(decode_extents(extents, 2), ERR_INVALID); /* the same twice */
	extents[1].extent.counter = 2;
	ck_assert_ok(decode_extents(extents, 2));
	extents[1].extent.session = 6; /* of somebody else */
	ck_assert_err(decode_extents(extents, 2), ERR_INVALID);
	extents[0].len = (64 << 20) + 1;
	ck_assert_err(decode_extents(extents, 1), ERR_INVALID);
	extents[0] = make_extent(all);
	extents[0].unit_len = 5000;
	ck_assert_err(decode_extents(extents, 1), ERR_INVALID);
	extents[0] = make_extent(all);
	extents[0].k = 3; /* more shards than drives */
	ck_assert_err(decode_extents(extents, 1), ERR_INVALID);
}
END_TEST

START_TEST(part_numbers_ascend)
{
	static const uint8_t ascending[] = {1, 0, 7, 0, 0x10, 0x27};
	static const uint8_t equal[] = {1, 0, 1, 0};
	static const uint8_t beyond[] = {0x11, 0x27};
	struct command command = {.type = COMMAND_UPLOAD_COMPLETE, .session = 1, .sequence = 1};
	struct command got;
	command.upload_complete.key = bytes_of("k");
	command.upload_complete.parts = bytes_make(ascending, sizeof ascending);
	ck_assert_ok(decode_of(&command, &got));
	command.upload_complete.parts = bytes_make(equal, sizeof equal);
	ck_assert_err(decode_of(&command, &got), ERR_INVALID);
	command.upload_complete.parts = bytes_make(beyond, sizeof beyond);
	ck_assert_err(decode_of(&command, &got), ERR_INVALID);
	command.upload_complete.parts = bytes_make(NULL, 0);
	ck_assert_err(decode_of(&command, &got), ERR_INVALID);
}
END_TEST

START_TEST(a_delete_has_at_most_so_many_keys)
{
	struct command command = {.type = COMMAND_OBJECT_DELETE, .session = 1, .sequence = 1};
	struct command got;
	struct fields_out out = {.data = lists, .cap = sizeof lists};
	command.object_delete.bucket = 1;
	ck_assert_err(decode_of(&command, &got), ERR_INVALID); /* none */
	struct command_delete item = {.key = bytes_of("k")};
	for (size_t i = 0; i < COMMAND_DELETES_MAX; i++)
		command_delete_append(&out, &item);
	command.object_delete.deletes = bytes_make(lists, out.len);
	ck_assert_ok(decode_of(&command, &got));
	command_delete_append(&out, &item);
	command.object_delete.deletes = bytes_make(lists, out.len);
	ck_assert_err(decode_of(&command, &got), ERR_INVALID);
}
END_TEST

START_TEST(random_bytes_are_never_trusted)
{
	uint64_t seed = 11;
	struct command got;
	for (int i = 0; i < 50000; i++) {
		size_t len = COMMAND_HEADER_LEN + test_random(&seed) % 300;
		test_random_fill(&seed, buf, len);
		buf[0] = COMMAND_FORMAT;
		buf[1] = test_random(&seed) % COMMAND_TYPE_COUNT;
		/* Small tags and lengths reach deeper. */
		for (size_t j = COMMAND_HEADER_LEN; j < len; j++)
			buf[j] %= 1 << test_random(&seed) % 9;
		err_ignore(command_decode(bytes_make(buf, len), &got)); /* either is fine */
	}
}
END_TEST

/* --- results ---------------------------------------------------------------------------------- */

START_TEST(the_longest_result_fits)
{
	struct command_result result;
	struct command_result got;
	uint8_t bytes[COMMAND_RESULT_LEN_MAX];
	memset(&result, 0xff, sizeof result);
	result.is_null = result.is_delete_marker = result.is_earlier = result.is_mine = true;
	size_t len = command_result_encode(&result, bytes);
	ck_assert_ok(command_result_decode(bytes_make(bytes, len), &got));
	ck_assert_uint_eq(got.code, UINT16_MAX);
	ck_assert_uint_eq(got.version.position, UINT32_MAX);
	ck_assert_uint_eq(got.count, UINT64_MAX);
	ck_assert(got.is_mine && got.is_earlier);
	ck_assert_uint_eq(command_result_delete(&got, COMMAND_DELETES_MAX - 1), 15);
}
END_TEST

START_TEST(every_code_has_a_name_and_an_error)
{
	ck_assert_str_eq(command_code_name(COMMAND_OK), "OK");
	ck_assert_str_eq(command_code_name(COMMAND_QUOTA), "QUOTA");
	ck_assert_err(command_code_err(COMMAND_OK), ERR_OK);
	ck_assert_err(command_code_err(COMMAND_PRECONDITION), ERR_PRECONDITION);
	for (int type = 0; type < COMMAND_TYPE_COUNT; type++) {
		uint8_t bytes[COMMAND_HEADER_LEN] = {COMMAND_FORMAT, type};
		struct command got;
		bool is_known =
			command_decode(bytes_make(bytes, sizeof bytes), &got) != ERR_UNSUPPORTED;
		ck_assert_int_eq(strcmp(command_type_name(type), "?") != 0, is_known);
	}
	ck_assert_str_eq(command_type_name(COMMAND_TYPE_COUNT), "?");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("command");
	TCase *tc = tcase_create("command");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_put_reads_as_it_was_written);
	tcase_add_test(tc, stamping_changes_only_the_header);
	tcase_add_test(tc, fields_of_a_newer_writer_are_skipped);
	tcase_add_test(tc, a_type_or_format_not_known_is_unsupported);
	tcase_add_test(tc, a_command_that_does_not_fit_is_not_written);
	tcase_add_test(tc, a_command_cut_anywhere_is_read_or_refused);
	tcase_add_test(tc, a_put_without_a_key_or_session_is_refused);
	tcase_add_test(tc, an_inline_body_has_the_length_it_says);
	tcase_add_test(tc, metadata_that_is_not_pairs_is_refused);
	tcase_add_test(tc, an_extent_needs_one_shard_more_than_data);
	tcase_add_test(tc, extents_that_cannot_be_are_refused);
	tcase_add_test(tc, part_numbers_ascend);
	tcase_add_test(tc, a_delete_has_at_most_so_many_keys);
	tcase_add_test(tc, random_bytes_are_never_trusted);
	tcase_add_test(tc, the_longest_result_fits);
	tcase_add_test(tc, every_code_has_a_name_and_an_error);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
