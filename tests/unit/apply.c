/* SPDX-License-Identifier: Apache-2.0 */
/* What commands on buckets and objects do, seen through proposals and lookups. */
#include "storage/meta/index.h"

#include <stdio.h>

#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

/* --- buckets ---------------------------------------------------------------------------------- */

START_TEST(a_bucket_is_found_by_its_name)
{
	struct row_bucket row;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_bucket_find(rig.reader, bytes_of("bucket"), &row));
	ck_assert_uint_eq(row.id, bucket);
	ck_assert(bytes_is_text(row.owner, "owner"));
	ck_assert_err(index_bucket_find(rig.reader, bytes_of("bucke"), &row), ERR_NOT_FOUND);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(a_name_is_taken_once)
{
	struct command command = create_command("bucket", "owner");
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_EXISTS);
	ck_assert(result.is_mine && result.id == bucket);
	command = create_command("bucket", "stranger");
	result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_EXISTS);
	ck_assert(!result.is_mine);
}
END_TEST

START_TEST(a_bucket_goes_only_when_it_is_empty)
{
	struct command command = {.type = COMMAND_BUCKET_DELETE};
	command.bucket_delete.bucket = bucket;
	put("a", "text", 1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_NOT_EMPTY);
	delete_key("a");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_NO_BUCKET);
	struct command late = put_command("a", "text", 1);
	ck_assert_uint_eq(rig_code(&rig, &late), COMMAND_NO_BUCKET);
}
END_TEST

START_TEST(a_delete_marker_keeps_its_bucket)
{
	struct command command = {.type = COMMAND_BUCKET_DELETE};
	command.bucket_delete.bucket = bucket;
	set_versioning(BUCKET_ENABLED);
	struct command_result marker = delete_key("never there");
	ck_assert_uint_eq(command_result_delete(&marker, 0), DELETE_MARKER_MADE);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_NOT_EMPTY);
	delete_one(&(struct command_delete){
		.key = bytes_of("never there"), .version = marker.version});
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}
END_TEST

START_TEST(settings_change_under_the_count_they_were_read_at)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.change_count = 1;
	command.bucket_update.set = BUCKET_SET_CONFIG;
	command.bucket_update.config_kind = BUCKET_CONFIG_POLICY;
	command.bucket_update.config = bytes_of("{}");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_STALE);
	struct bytes config;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_bucket_config(rig.reader, bucket, BUCKET_CONFIG_POLICY, &config));
	ck_assert(bytes_is_text(config, "{}"));
	index_view_end(rig.reader);
	command.bucket_update.change_count = 2;
	command.bucket_update.config = bytes_of("");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_err(index_bucket_config(rig.reader, bucket, BUCKET_CONFIG_POLICY, &config),
		ERR_NOT_FOUND);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(a_quota_counts_what_is_replaced)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_QUOTA;
	command.bucket_update.quota.len = 10;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	put("a", "12345678", 1);
	put("a", "1234567890", 2);
	struct command more = put_command("b", "1", 3);
	ck_assert_uint_eq(rig_code(&rig, &more), COMMAND_QUOTA);
	check_counts(1, 1, 10, 0);
}
END_TEST

/* --- put and delete --------------------------------------------------------------------------- */

START_TEST(a_put_is_seen_and_counted)
{
	struct command_result result = put("key", "hello", 1);
	struct object_info object;
	struct bytes data;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_version_find(rig.reader, bucket, bytes_of("key"), &object));
	ck_assert(version_id_is_equal(object.version, result.version));
	ck_assert_uint_eq(object.row.len, 5);
	ck_assert_uint_eq(object.row.time_ms, result.time_ms);
	ck_assert(object.row.is_null && object.is_latest);
	ck_assert_ok(index_inline_get(rig.reader, object.row.body, &data));
	ck_assert(bytes_is_text(data, "hello"));
	index_view_end(rig.reader);
	check_counts(1, 1, 5, 0);
}
END_TEST

START_TEST(an_overwritten_body_is_gone_at_once_when_inline)
{
	struct object_info first, second;
	struct row_body body;
	put("key", "hello", 1);
	ck_assert_ok(find("key", &first));
	put("key", "good bye", 2);
	ck_assert_ok(find("key", &second));
	ck_assert_uint_ne(first.row.body, second.row.body);
	ck_assert_err(body_of(first.row.body, &body), ERR_NOT_FOUND);
	check_counts(1, 1, 8, 0);
	ck_assert_uint_eq(rig_collect(&rig), 0);
}
END_TEST

START_TEST(metadata_of_any_length_comes_back)
{
	static uint8_t metadata[ROW_META_LEN_MAX];
	static char value[8000];
	memset(value, 'v', sizeof value - 1);
	for (size_t len = 1; len < sizeof value; len = len * 3 + 100) {
		size_t metadata_len = 0;
		ck_assert_ok(metadata_append(metadata, sizeof metadata, &metadata_len,
			bytes_of("x-amz-meta-a"), bytes_make(value, len)));
		struct command command = put_command("key", "text", 1);
		command.object_put.attributes.metadata = bytes_make(metadata, metadata_len);
		ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
		struct object_info object;
		ck_assert_ok(index_view_begin(rig.reader));
		ck_assert_ok(index_version_find(rig.reader, bucket, bytes_of("key"), &object));
		ck_assert_uint_eq(object.row.metadata.len, metadata_len);
		ck_assert_mem_eq(object.row.metadata.data, metadata, metadata_len);
		index_view_end(rig.reader);
	}
	delete_key("key");
	ck_assert(!has_rows(TABLE_OVERFLOW));
}
END_TEST

START_TEST(a_delete_is_answered_alike_for_what_is_not_there)
{
	put("key", "hello", 1);
	struct command_result result = delete_key("key");
	ck_assert_uint_eq(result.code, COMMAND_OK);
	ck_assert_uint_eq(command_result_delete(&result, 0), DELETE_DONE);
	ck_assert(!is_there("key"));
	result = delete_key("key");
	ck_assert_uint_eq(result.code, COMMAND_OK);
	check_counts(0, 0, 0, 0);
}
END_TEST

START_TEST(many_keys_go_in_one_command)
{
	static uint8_t list[COMMAND_LEN_MAX];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	char key[20];
	for (int i = 0; i < COMMAND_DELETES_MAX; i++) {
		snprintf(key, sizeof key, "key %d", i);
		if (i % 2 == 0)
			put(key, "hello", 1);
	}
	char keys[COMMAND_DELETES_MAX][20];
	for (int i = 0; i < COMMAND_DELETES_MAX; i++) {
		snprintf(keys[i], sizeof keys[i], "key %d", i);
		struct command_delete item = {.key = bytes_of(keys[i])};
		item.conditions.if_match_any = i < 2;
		command_delete_append(&out, &item);
	}
	check_counts(
		COMMAND_DELETES_MAX / 2, COMMAND_DELETES_MAX / 2, COMMAND_DELETES_MAX / 2 * 5, 0);
	command.object_delete.bucket = bucket;
	command.object_delete.deletes = bytes_make(list, out.len);
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	ck_assert_uint_eq(result.count, COMMAND_DELETES_MAX);
	for (int i = 0; i < COMMAND_DELETES_MAX; i++)
		ck_assert_uint_eq(
			command_result_delete(&result, i), i == 1 ? DELETE_NO_KEY : DELETE_DONE);
	check_counts(0, 0, 0, 0);
}
END_TEST

/* --- conditions ------------------------------------------------------------------------------- */

START_TEST(if_none_match_lets_one_writer_through)
{
	struct command command = put_command("key", "hello", 1);
	command.object_put.conditions.if_none_match_any = true;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_PRECONDITION);
	ck_assert_uint_eq(result.etag.md5[0], 1);
	delete_key("key");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}
END_TEST

START_TEST(a_delete_marker_counts_as_absent)
{
	set_versioning(BUCKET_ENABLED);
	struct command command = put_command("key", "hello", 1);
	command.object_put.conditions.if_none_match_any = true;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	delete_key("key");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	check_counts(1, 3, 10, 0);
}
END_TEST

START_TEST(if_match_wants_the_etag_that_is_there)
{
	struct command command = put_command("key", "hello", 2);
	command.object_put.conditions.has_if_match = true;
	command.object_put.conditions.if_match = etag_of(1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_NO_KEY);
	put("key", "hello", 3);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_PRECONDITION);
	put("key", "hello", 1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_PRECONDITION);
}
END_TEST

START_TEST(an_etag_of_parts_is_another_etag)
{
	put("key", "hello", 1);
	struct command command = put_command("key", "hello", 2);
	command.object_put.conditions.has_if_match = true;
	command.object_put.conditions.if_match = (struct etag){{1, 1, 2, 3}, 2};
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_PRECONDITION);
}
END_TEST

START_TEST(a_repeated_request_meets_its_own_success)
{
	struct command command = put_command("key", "hello", 1);
	command.object_put.conditions.if_none_match_any = true;
	command.object_put.invocation = 42;
	struct command_result first = rig_propose(&rig, &command);
	struct command_result again = rig_propose(&rig, &command);
	ck_assert_uint_eq(again.code, COMMAND_OK);
	ck_assert(again.is_earlier && !first.is_earlier);
	ck_assert(version_id_is_equal(first.version, again.version));
	ck_assert_uint_eq(first.time_ms, again.time_ms);
	command.object_put.invocation = 43; /* somebody else */
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_PRECONDITION);
	command.object_put.invocation = 42;
	command.object_put.body.etag = etag_of(2); /* something else */
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_PRECONDITION);
	check_counts(1, 1, 5, 0);
}
END_TEST

START_TEST(a_delete_has_conditions_too)
{
	put("key", "hello", 1);
	struct command_delete item = {.key = bytes_of("key")};
	item.conditions.has_if_match = true;
	item.conditions.if_match = etag_of(2);
	ck_assert_uint_eq(delete_one(&item).code, COMMAND_PRECONDITION);
	ck_assert(is_there("key"));
	item.conditions.if_match = etag_of(1);
	item.conditions.has_if_match_len = true;
	item.conditions.if_match_len = 6;
	ck_assert_uint_eq(delete_one(&item).code, COMMAND_PRECONDITION);
	item.conditions.if_match_len = 5;
	ck_assert_uint_eq(delete_one(&item).code, COMMAND_OK);
	ck_assert(!is_there("key"));
	ck_assert_uint_eq(delete_one(&item).code, COMMAND_NO_KEY);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("apply");
	TCase *tc = tcase_create("apply");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, a_bucket_is_found_by_its_name);
	tcase_add_test(tc, a_name_is_taken_once);
	tcase_add_test(tc, a_bucket_goes_only_when_it_is_empty);
	tcase_add_test(tc, a_delete_marker_keeps_its_bucket);
	tcase_add_test(tc, settings_change_under_the_count_they_were_read_at);
	tcase_add_test(tc, a_quota_counts_what_is_replaced);
	tcase_add_test(tc, a_put_is_seen_and_counted);
	tcase_add_test(tc, an_overwritten_body_is_gone_at_once_when_inline);
	tcase_add_test(tc, metadata_of_any_length_comes_back);
	tcase_add_test(tc, a_delete_is_answered_alike_for_what_is_not_there);
	tcase_add_test(tc, many_keys_go_in_one_command);
	tcase_add_test(tc, if_none_match_lets_one_writer_through);
	tcase_add_test(tc, a_delete_marker_counts_as_absent);
	tcase_add_test(tc, if_match_wants_the_etag_that_is_there);
	tcase_add_test(tc, an_etag_of_parts_is_another_etag);
	tcase_add_test(tc, a_repeated_request_meets_its_own_success);
	tcase_add_test(tc, a_delete_has_conditions_too);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
