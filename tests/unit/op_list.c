/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_list.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

static struct gateway_rig rig;
static uint64_t bucket;

static void setup(void)
{
	gateway_rig_open(&rig);
	bucket = gateway_rig_bucket(&rig, "garden");
}

static void teardown(void)
{
	gateway_rig_close(&rig);
}

static const char *answer(void)
{
	return rig.fake.answer ? (const char *)rig.fake.answer : "";
}

static void put_all(const char *const *keys)
{
	for (; *keys; keys++)
		gateway_rig_put(&rig, bucket, *keys, "x");
}

static void ask(const char *query)
{
	char target[4096];
	snprintf(target, sizeof target, "/garden%s%s", *query ? "?" : "", query);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", target), 200);
}

/* What stands in all elements of that name, joined by commas. */
static const char *all_of(const char *name)
{
	static char text[8192];
	char open[64], close[64];
	size_t len = 0, count = 0;
	snprintf(open, sizeof open, "<%s>", name);
	snprintf(close, sizeof close, "</%s>", name);
	text[0] = '\0';
	for (const char *p = answer(); (p = strstr(p, open));) {
		p += strlen(open);
		const char *end = strstr(p, close);
		ck_assert_ptr_nonnull(end);
		len += snprintf(text + len, sizeof text - len, "%s%.*s", count++ > 0 ? "," : "",
			(int)(end - p), p);
		ck_assert_uint_lt(len, sizeof text);
	}
	return text;
}

static const char *element(const char *name)
{
	const char *text = fake_exchange_element(&rig.fake, name);
	return text ? text : "(none)";
}

static void assert_invalid(const char *query)
{
	char target[4096];
	snprintf(target, sizeof target, "/garden?%s", query);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", target), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "InvalidArgument");
}

static const char *const mixed[] = {"a-b", "a/b", "a/c", "a0", "b", "b/x/y", "c", NULL};

/* --- what all listings have in common --------------------------------------------------------- */

START_TEST(keys_are_in_the_order_of_their_bytes)
{
	put_all(mixed);
	ask("");
	ck_assert_str_eq(all_of("Key"), "a-b,a/b,a/c,a0,b,b/x/y,c");
	ck_assert_str_eq(element("IsTruncated"), "false");
	ck_assert_str_eq(element("MaxKeys"), "1000");
	ck_assert_str_eq(element("Name"), "garden");
}
END_TEST

START_TEST(a_row_says_all_about_an_object)
{
	gateway_rig_put(&rig, bucket, "rose", "red");
	ask("");
	ck_assert_str_eq(element("ETag"), "\"bda9643ac6601722a28f238714274da4\"");
	ck_assert_str_eq(element("Size"), "3");
	ck_assert_str_eq(element("StorageClass"), "STANDARD");
	ck_assert_uint_eq(strlen(element("LastModified")), 24);
	ck_assert_str_eq(element("DisplayName"), "alice");
}
END_TEST

START_TEST(a_delimiter_rolls_keys_up)
{
	put_all(mixed);
	ask("delimiter=%2F");
	ck_assert_str_eq(all_of("Key"), "a-b,a0,b,c");
	ck_assert_str_eq(all_of("Prefix"), ",a/,b/");
	/* Siblings of one kind stand together. */
	ck_assert_ptr_null(strstr(strstr(answer(), "<CommonPrefixes>"), "<Contents>"));
}
END_TEST

START_TEST(an_empty_delimiter_is_none)
{
	put_all(mixed);
	ask("delimiter=");
	ck_assert_str_eq(all_of("Key"), "a-b,a/b,a/c,a0,b,b/x/y,c");
	ck_assert_str_eq(element("Delimiter"), "(none)");
}
END_TEST

START_TEST(a_prefix_limits_the_listing)
{
	put_all(mixed);
	ask("prefix=a%2F");
	ck_assert_str_eq(all_of("Key"), "a/b,a/c");
	ask("prefix=nothing");
	ck_assert_str_eq(all_of("Key"), "");
}
END_TEST

START_TEST(deleted_keys_are_not_listed)
{
	put_all(mixed);
	gateway_rig_delete(&rig, bucket, "a/b");
	gateway_rig_delete(&rig, bucket, "b/x/y");
	ask("delimiter=%2F");
	ck_assert_str_eq(all_of("Key"), "a-b,a0,b,c");
	ck_assert_str_eq(all_of("Prefix"), ",a/");
}
END_TEST

START_TEST(max_keys_counts_keys_and_prefixes)
{
	put_all(mixed);
	ask("delimiter=%2F&max-keys=3");
	ck_assert_str_eq(all_of("Key"), "a-b,a0");
	ck_assert_str_eq(all_of("Prefix"), ",a/");
	ck_assert_str_eq(element("IsTruncated"), "true");
	ask("max-keys=0");
	ck_assert_str_eq(all_of("Key"), "");
	ck_assert_str_eq(element("IsTruncated"), "false");
	ask("max-keys=5000");
	ck_assert_str_eq(element("MaxKeys"), "1000");
	assert_invalid("max-keys=many");
	assert_invalid("max-keys=-1");
}
END_TEST

START_TEST(names_are_escaped_as_asked)
{
	gateway_rig_put(&rig, bucket, "a b+c&d\x01\r", "x");
	ask("");
	ck_assert_str_eq(all_of("Key"), "a b+c&amp;d&#x1;&#13;");
	ask("encoding-type=url&prefix=a%20b%2B");
	ck_assert_str_eq(all_of("Key"), "a%20b%2Bc%26d%01%0D");
	ck_assert_str_eq(element("Prefix"), "a%20b%2B");
	ck_assert_str_eq(element("EncodingType"), "url");
	assert_invalid("encoding-type=latin1");
}
END_TEST

/* --- V1 --------------------------------------------------------------------------------------- */

START_TEST(a_next_marker_is_there_only_with_a_delimiter)
{
	put_all(mixed);
	ask("max-keys=2");
	ck_assert_str_eq(element("NextMarker"), "(none)");
	ask("delimiter=%2F&max-keys=2");
	ck_assert_str_eq(element("NextMarker"), "a/");
	ask("delimiter=%2F&marker=a%2F&max-keys=2");
	ck_assert_str_eq(all_of("Key"), "a0,b");
	ck_assert_str_eq(element("NextMarker"), "b");
	ask("delimiter=%2F&marker=b&max-keys=2");
	ck_assert_str_eq(all_of("Key"), "c");
	ck_assert_str_eq(all_of("Prefix"), ",b/");
	ck_assert_str_eq(element("NextMarker"), "(none)");
}
END_TEST

START_TEST(a_marker_need_not_be_a_key)
{
	put_all(mixed);
	ask("marker=a%2Fbb");
	ck_assert_str_eq(all_of("Key"), "a/c,a0,b,b/x/y,c");
	ck_assert_str_eq(element("Marker"), "a/bb");
}
END_TEST

/* --- V2 --------------------------------------------------------------------------------------- */

START_TEST(pages_go_on_by_token)
{
	char query[2048];
	put_all(mixed);
	ask("delimiter=%2F&list-type=2&max-keys=2");
	ck_assert_str_eq(all_of("Key"), "a-b");
	ck_assert_str_eq(all_of("Prefix"), ",a/");
	ck_assert_str_eq(element("KeyCount"), "2");
	snprintf(query, sizeof query,
		"continuation-token=%s&delimiter=%%2F&list-type=2&max-keys=2&start-after=zzz",
		element("NextContinuationToken"));
	ask(query);
	ck_assert_str_eq(all_of("Key"), "a0,b");
	ck_assert_str_eq(element("StartAfter"), "zzz");
	ck_assert_str_ne(element("ContinuationToken"), "(none)");
}
END_TEST

START_TEST(an_empty_token_is_the_start)
{
	put_all(mixed);
	ask("continuation-token=&list-type=2&start-after=b");
	ck_assert_str_eq(all_of("Key"), "a-b,a/b,a/c,a0,b,b/x/y,c");
	ck_assert_str_eq(element("ContinuationToken"), "");
	assert_invalid("continuation-token=garbage&list-type=2");
}
END_TEST

START_TEST(an_owner_is_shown_when_asked_for)
{
	put_all(mixed);
	ask("list-type=2");
	ck_assert_str_eq(element("Owner"), "(none)");
	ask("fetch-owner=true&list-type=2");
	ck_assert_ptr_nonnull(strstr(element("Owner"), "alice"));
}
END_TEST

START_TEST(start_after_leaves_out_what_is_before)
{
	put_all(mixed);
	ask("list-type=2&start-after=a0");
	ck_assert_str_eq(all_of("Key"), "b,b/x/y,c");
	ask("list-type=2&prefix=b&start-after=a");
	ck_assert_str_eq(all_of("Key"), "b,b/x/y");
}
END_TEST

/* --- versions --------------------------------------------------------------------------------- */

static void set_versioning(enum bucket_versioning versioning)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_VERSIONING;
	command.bucket_update.versioning = versioning;
	ck_assert_uint_eq(rig_code(&rig.rig, &command), COMMAND_OK);
}

START_TEST(without_versioning_every_version_is_null)
{
	gateway_rig_put(&rig, bucket, "rose", "red");
	ask("versions");
	ck_assert_str_eq(all_of("VersionId"), "null");
	ck_assert_str_eq(all_of("IsLatest"), "true");
}
END_TEST

START_TEST(versions_are_newest_first_and_markers_among_them)
{
	gateway_rig_put(&rig, bucket, "rose", "1");
	set_versioning(BUCKET_ENABLED);
	gateway_rig_put(&rig, bucket, "rose", "22");
	gateway_rig_delete(&rig, bucket, "rose");
	gateway_rig_put(&rig, bucket, "rose", "333");
	ask("versions");
	ck_assert_str_eq(all_of("Size"), "3,2,1");
	ck_assert_str_eq(all_of("IsLatest"), "true,false,false,false");
	const char *marker = strstr(answer(), "<DeleteMarker>");
	ck_assert_ptr_nonnull(marker);
	ck_assert(strstr(answer(), "<Size>3") < marker && marker < strstr(answer(), "<Size>2"));
	ck_assert_ptr_nonnull(strstr(all_of("VersionId"), ",null"));
}
END_TEST

START_TEST(pages_of_versions_go_on_within_a_key)
{
	char query[2048] = "max-keys=1&versions", version[64];
	char sizes[64] = "";
	gateway_rig_put(&rig, bucket, "rose", "1");
	set_versioning(BUCKET_ENABLED);
	gateway_rig_put(&rig, bucket, "rose", "22");
	gateway_rig_put(&rig, bucket, "tulip", "4444");
	for (unsigned i = 0; i < 3; i++) {
		ask(query);
		snprintf(
			sizes + strlen(sizes), sizeof sizes - strlen(sizes), "%s;", all_of("Size"));
		if (i == 2)
			break;
		ck_assert_str_eq(element("IsTruncated"), "true");
		snprintf(version, sizeof version, "%s", element("NextVersionIdMarker"));
		snprintf(query, sizeof query,
			"key-marker=%s&max-keys=1&version-id-marker=%s&versions",
			element("NextKeyMarker"), version);
	}
	/* The second page began behind a version with an id, the third behind null. */
	ck_assert_str_eq(sizes, "2;1;4;");
	ck_assert_str_eq(element("IsTruncated"), "false");
}
END_TEST

START_TEST(a_version_marker_needs_a_key_marker)
{
	assert_invalid("version-id-marker=null&versions");
	assert_invalid("key-marker=rose&version-id-marker=wrong&versions");
}
END_TEST

/* --- long ones -------------------------------------------------------------------------------- */

/* Numbers that stand behind "key-" in all keys of the answer must go on from *next. */
static void assert_numbers(unsigned *next, const char *open)
{
	for (const char *p = answer(); (p = strstr(p, open));) {
		p += strlen(open) + 4;
		ck_assert_uint_eq(strtoul(p, NULL, 10), *next);
		++*next;
	}
}

START_TEST(many_keys_come_once_each_in_pages_of_pieces)
{
	char key[64], query[2048] = "list-type=2";
	unsigned next = 0, pages = 0;
	for (unsigned i = 0; i < 2500; i++) {
		snprintf(key, sizeof key, "key-%05u/of-some-length-to-fill-buffers", i);
		gateway_rig_put(&rig, bucket, key, "x");
	}
	for (;; pages++) {
		ask(query);
		assert_numbers(&next, "<Key>");
		if (strcmp(element("IsTruncated"), "false") == 0)
			break;
		ck_assert_uint_gt(rig.fake.sends, 1);
		ck_assert(!rig.fake.response.has_len);
		snprintf(query, sizeof query, "continuation-token=%s&list-type=2",
			element("NextContinuationToken"));
	}
	ck_assert_uint_eq(next, 2500);
	ck_assert_uint_eq(pages, 2);
}
END_TEST

START_TEST(prefixes_without_room_end_the_page_early)
{
	char key[1025], query[4096] = "delimiter=%2F&list-type=2";
	unsigned next = 0, pages = 0;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(key, sizeof key, "key-%05u-%0990u/x", i, 0u);
		gateway_rig_put(&rig, bucket, key, "x");
	}
	for (;; pages++) {
		ask(query);
		assert_numbers(&next, "<CommonPrefixes><Prefix>");
		if (strcmp(element("IsTruncated"), "false") == 0)
			break;
		snprintf(query, sizeof query, "continuation-token=%s&delimiter=%%2F&list-type=2",
			element("NextContinuationToken"));
	}
	ck_assert_uint_eq(next, 100);
	ck_assert_uint_gt(pages, 1);
}
END_TEST

START_TEST(thousands_of_delete_markers_are_passed_over)
{
	char key[64];
	set_versioning(BUCKET_ENABLED);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(key, sizeof key, "key-%05u", i);
		gateway_rig_delete(&rig, bucket, key);
	}
	gateway_rig_put(&rig, bucket, "last", "x");
	ask("");
	ck_assert_str_eq(all_of("Key"), "last");
}
END_TEST

START_TEST(a_client_that_goes_away_in_the_middle_leaves_nothing)
{
	char key[64];
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "key-%05u/of-some-length-to-fill-buffers", i);
		gateway_rig_put(&rig, bucket, key, "x");
	}
	gateway_rig_make(&rig, "GET", "/garden");
	sign_request(&rig.fake, &rig.sign, NULL);
	rig.fake.gone_after = 1000;
	gateway_rig_run(&rig);
	ck_assert_uint_eq(rig.fake.sends, 1);
	ck_assert_uint_eq(rig.loop.counters.in_progress, 0);
	ck_assert_uint_eq(rig.loop.text_pool.lent_len, 0);
}
END_TEST

START_TEST(a_listing_waits_for_its_buffer)
{
	struct fake_exchange fakes[4];
	uint8_t *all[64];
	size_t count = 0;
	put_all(mixed);
	while (count < 64 && pool_take(&rig.loop.text_pool, POOL_64K, 1, &all[count]) == ERR_OK)
		count++;
	rig.sign.wall_ms = rig.wall_ms;
	for (size_t i = 0; i < 4; i++) {
		fake_exchange_init(&fakes[i], &rig.rig.loop.loop, "GET", "/garden");
		sign_request(&fakes[i], &rig.sign, NULL);
		fake_exchange_start(&fakes[i], &rig.loop.handler);
	}
	rig_run(&rig.rig);
	ck_assert(!fakes[0].is_answered);
	while (count > 0)
		pool_give(&rig.loop.text_pool, all[--count]);
	rig_run(&rig.rig);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(fakes[i].response.status, 200);
		fake_exchange_fini(&fakes[i]);
	}
}
END_TEST

static TCase *make_case(Suite *suite, const char *name)
{
	TCase *made = tcase_create(name);
	tcase_add_checked_fixture(made, setup, teardown);
	tcase_set_timeout(made, 60);
	suite_add_tcase(suite, made);
	return made;
}

int main(void)
{
	Suite *suite = suite_create("op_list");
	TCase *common = make_case(suite, "common");
	tcase_add_test(common, keys_are_in_the_order_of_their_bytes);
	tcase_add_test(common, a_row_says_all_about_an_object);
	tcase_add_test(common, a_delimiter_rolls_keys_up);
	tcase_add_test(common, an_empty_delimiter_is_none);
	tcase_add_test(common, a_prefix_limits_the_listing);
	tcase_add_test(common, deleted_keys_are_not_listed);
	tcase_add_test(common, max_keys_counts_keys_and_prefixes);
	tcase_add_test(common, names_are_escaped_as_asked);
	TCase *v1 = make_case(suite, "v1");
	tcase_add_test(v1, a_next_marker_is_there_only_with_a_delimiter);
	tcase_add_test(v1, a_marker_need_not_be_a_key);
	TCase *v2 = make_case(suite, "v2");
	tcase_add_test(v2, pages_go_on_by_token);
	tcase_add_test(v2, an_empty_token_is_the_start);
	tcase_add_test(v2, an_owner_is_shown_when_asked_for);
	tcase_add_test(v2, start_after_leaves_out_what_is_before);
	TCase *versions = make_case(suite, "versions");
	tcase_add_test(versions, without_versioning_every_version_is_null);
	tcase_add_test(versions, versions_are_newest_first_and_markers_among_them);
	tcase_add_test(versions, pages_of_versions_go_on_within_a_key);
	tcase_add_test(versions, a_version_marker_needs_a_key_marker);
	TCase *lengthy = make_case(suite, "long");
	tcase_add_test(lengthy, many_keys_come_once_each_in_pages_of_pieces);
	tcase_add_test(lengthy, prefixes_without_room_end_the_page_early);
	tcase_add_test(lengthy, thousands_of_delete_markers_are_passed_over);
	tcase_add_test(lengthy, a_client_that_goes_away_in_the_middle_leaves_nothing);
	tcase_add_test(lengthy, a_listing_waits_for_its_buffer);
	return test_run(suite);
}
