/* SPDX-License-Identifier: Apache-2.0 */
/* What is found in order: versions, buckets, uploads, access keys. */
#include "storage/meta/index.h"

#include <stdio.h>

#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

static void check_at(struct index_version_cursor *cursor, enum err err, const char *key)
{
	if (!key) {
		ck_assert_err(err, ERR_NOT_FOUND);
		return;
	}
	ck_assert_ok(err);
	ck_assert_msg(bytes_is_text(cursor->key, key), "%.*s, not %s", (int)cursor->key.len,
		(const char *)cursor->key.data, key);
}

START_TEST(keys_are_listed_in_order_and_prefixes_are_skipped)
{
	static const char *const keys[] = {"a", "a-b", "a/b", "a/c", "a/c/d", "a0", "b"};
	struct index_version_cursor cursor;
	for (size_t i = ARRAY_COUNT(keys); i-- > 0;)
		put(keys[i], "text", 1);
	ck_assert_ok(index_view_begin(rig.reader));
	index_versions_init(&cursor, rig.reader, bucket);
	check_at(&cursor, index_versions_seek(&cursor, bytes_of("")), "a");
	for (size_t i = 1; i < ARRAY_COUNT(keys); i++)
		check_at(&cursor, index_versions_next_key(&cursor), keys[i]);
	check_at(&cursor, index_versions_next_key(&cursor), NULL);
	check_at(&cursor, index_versions_seek(&cursor, bytes_of("a/")), "a/b");
	check_at(&cursor, index_versions_skip_prefix(&cursor, bytes_of("a/")), "a0");
	check_at(&cursor, index_versions_next(&cursor), "b");
	check_at(&cursor, index_versions_seek_after(&cursor, bytes_of("a/c")), "a/c/d");
	check_at(&cursor, index_versions_seek_after(&cursor, bytes_of("a/b\xff")), "a/c");
	check_at(&cursor, index_versions_seek_after(&cursor, bytes_of("b")), NULL);
	check_at(&cursor, index_versions_skip_prefix(&cursor, bytes_of("")), NULL);
	check_at(&cursor, index_versions_skip_prefix(&cursor, bytes_of("\xff\xff")), NULL);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(a_list_ends_with_its_bucket)
{
	struct index_version_cursor cursor;
	put("z", "text", 1);
	struct command command = create_command("other", "owner");
	uint64_t other = rig_propose(&rig, &command).id;
	command = put_command("a", "text", 1);
	command.object_put.bucket = other;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_ok(index_view_begin(rig.reader));
	index_versions_init(&cursor, rig.reader, bucket);
	check_at(&cursor, index_versions_seek(&cursor, bytes_of("")), "z");
	check_at(&cursor, index_versions_next(&cursor), NULL);
	check_at(&cursor, index_versions_seek_after(&cursor, bytes_of("z")), NULL);
	check_at(&cursor, index_versions_skip_prefix(&cursor, bytes_of("\xff")), NULL);
	index_versions_init(&cursor, rig.reader, other);
	check_at(&cursor, index_versions_seek(&cursor, bytes_of("")), "a");
	index_view_end(rig.reader);
}
END_TEST

START_TEST(versions_are_listed_newest_first)
{
	struct index_version_cursor cursor;
	set_versioning(BUCKET_ENABLED);
	struct command_result first = put("a", "1", 1);
	struct command_result second = put("a", "2", 1);
	put("b", "3", 1);
	ck_assert_ok(index_view_begin(rig.reader));
	index_versions_init(&cursor, rig.reader, bucket);
	check_at(&cursor, index_versions_seek(&cursor, bytes_of("a")), "a");
	ck_assert(version_id_is_equal(cursor.object.version, second.version));
	ck_assert(cursor.object.is_latest);
	check_at(&cursor, index_versions_next(&cursor), "a");
	ck_assert(version_id_is_equal(cursor.object.version, first.version));
	ck_assert(!cursor.object.is_latest);
	check_at(&cursor, index_versions_next(&cursor), "b");
	ck_assert(cursor.object.is_latest);
	check_at(&cursor, index_versions_seek_after_version(&cursor, bytes_of("a"), second.version),
		"a");
	ck_assert(!cursor.object.is_latest);
	check_at(&cursor, index_versions_next_key(&cursor), "b");
	index_view_end(rig.reader);
}
END_TEST

/* Random keys and markers against a sorted array. */
START_TEST(any_seek_finds_what_a_sorted_array_has)
{
	static const uint8_t letters[] = {0, 1, 'a', '/', 0xff};
	static uint8_t keys[100][5];
	size_t lens[100];
	uint64_t seed = 17;
	for (int i = 0; i < 100; i++) {
		lens[i] = test_random(&seed) % 4 + 1;
		for (size_t j = 0; j < lens[i]; j++)
			keys[i][j] = letters[test_random(&seed) % sizeof letters];
		struct command command = put_command("x", "1", 1);
		command.object_put.key = bytes_make(keys[i], lens[i]);
		ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	}
	struct index_version_cursor cursor;
	ck_assert_ok(index_view_begin(rig.reader));
	index_versions_init(&cursor, rig.reader, bucket);
	for (int round = 0; round < 3000; round++) {
		uint8_t marker[5];
		size_t len = test_random(&seed) % 4 + (round % 3 != 0);
		for (size_t j = 0; j < len; j++)
			marker[j] = letters[test_random(&seed) % sizeof letters];
		struct bytes m = bytes_make(marker, len);
		const uint8_t *best = NULL;
		size_t best_len = 0;
		for (int i = 0; i < 100; i++) {
			struct bytes k = bytes_make(keys[i], lens[i]);
			bool fits = round % 3 == 0 ? bytes_compare(k, m) >= 0
				: round % 3 == 1
				? bytes_compare(k, m) > 0
				: bytes_compare(k, m) > 0 && !bytes_has_prefix(k, m);
			if (fits && (!best || bytes_compare(k, bytes_make(best, best_len)) < 0)) {
				best = keys[i];
				best_len = lens[i];
			}
		}
		enum err err = round % 3 == 0 ? index_versions_seek(&cursor, m)
			: round % 3 == 1      ? index_versions_seek_after(&cursor, m)
					      : index_versions_skip_prefix(&cursor, m);
		ck_assert_err(err, best ? ERR_OK : ERR_NOT_FOUND);
		if (best)
			ck_assert(bytes_is_equal(cursor.key, bytes_make(best, best_len)));
	}
	index_view_end(rig.reader);
}
END_TEST

START_TEST(buckets_are_listed_by_name_and_owner)
{
	static const char *const names[] = {"zoo", "art", "cat"};
	struct row_bucket row;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		struct command command = create_command(names[i], i == 2 ? "other" : "owner");
		ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	}
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_bucket_next(rig.reader, bytes_of(""), bytes_of("owner"), &row));
	ck_assert(bytes_is_text(row.name, "art"));
	ck_assert_ok(index_bucket_next(rig.reader, bytes_of("buckets"), bytes_of("owner"), &row));
	ck_assert(bytes_is_text(row.name, "zoo"));
	ck_assert_ok(index_bucket_next(rig.reader, bytes_of("buckets"), bytes_of(""), &row));
	ck_assert(bytes_is_text(row.name, "cat"));
	ck_assert_err(
		index_bucket_next(rig.reader, bytes_of("zz"), bytes_of(""), &row), ERR_NOT_FOUND);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(uploads_are_listed_by_key_then_age)
{
	static const char *const keys[] = {"b/2", "b/1", "b/1", "a", "c"};
	uint64_t ids[ARRAY_COUNT(keys)];
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
		struct command command = {.type = COMMAND_UPLOAD_CREATE};
		command.upload_create.bucket = bucket;
		command.upload_create.key = bytes_of(keys[i]);
		ids[i] = rig_propose(&rig, &command).id;
	}
	static const int wanted[] = {1, 2, 0};
	static struct index_upload upload;
	struct bytes key = bytes_of("");
	uint64_t id = 0;
	uint8_t last[8];
	ck_assert_ok(index_view_begin(rig.reader));
	for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
		ck_assert_ok(
			index_upload_next(rig.reader, bucket, bytes_of("b/"), key, id, &upload));
		ck_assert_uint_eq(upload.upload, ids[wanted[i]]);
		memcpy(last, upload.key.data, upload.key.len);
		key = bytes_make(last, upload.key.len);
		id = upload.upload;
	}
	ck_assert_err(index_upload_next(rig.reader, bucket, bytes_of("b/"), key, id, &upload),
		ERR_NOT_FOUND);
	ck_assert_ok(index_upload_next(
		rig.reader, bucket, bytes_of(""), bytes_of("b/1"), UINT64_MAX, &upload));
	ck_assert_uint_eq(upload.upload, ids[0]);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(access_keys_are_found_and_changes_are_told)
{
	struct command command = {.type = COMMAND_KEY_PUT};
	struct row_access_key key;
	uint64_t generation = index_access_key_generation(rig.index);
	command.key_put.id = bytes_of("AKID");
	command.key_put.owner = bytes_of("owner");
	command.key_put.secret = bytes_of("sealed");
	command.key_put.must_be_new = true;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_EXISTS);
	ck_assert_uint_gt(index_access_key_generation(rig.index), generation);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_access_key_get(rig.reader, bytes_of("AKID"), &key));
	ck_assert(bytes_is_text(key.secret, "sealed"));
	ck_assert_err(index_access_key_get(rig.reader, bytes_of("AKI"), &key), ERR_NOT_FOUND);
	index_view_end(rig.reader);
	struct command delete = {.type = COMMAND_KEY_DELETE};
	delete.key_delete.id = bytes_of("AKID");
	ck_assert_uint_eq(rig_code(&rig, &delete), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &delete), COMMAND_NO_KEY);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_lists");
	TCase *tc = tcase_create("index_lists");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, keys_are_listed_in_order_and_prefixes_are_skipped);
	tcase_add_test(tc, a_list_ends_with_its_bucket);
	tcase_add_test(tc, versions_are_listed_newest_first);
	tcase_add_test(tc, any_seek_finds_what_a_sorted_array_has);
	tcase_add_test(tc, buckets_are_listed_by_name_and_owner);
	tcase_add_test(tc, uploads_are_listed_by_key_then_age);
	tcase_add_test(tc, access_keys_are_found_and_changes_are_told);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
