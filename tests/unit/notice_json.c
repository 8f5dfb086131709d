/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/notice_json.h"

#include "storage/meta/notice.h"
#include "tests/lib/test.h"

static char text[NOTICE_JSON_LEN_MAX + 1];

static const char *message_of(const struct row_notice *notice)
{
	struct text_out out;
	text_out_init(&out, text, NOTICE_JSON_LEN_MAX);
	notice_json_put(&out, notice, (struct version_id){0x1234, 7}, bytes_of("rubus"));
	ck_assert(!out.overflowed);
	text[out.len] = '\0';
	return text;
}

START_TEST(a_message_is_the_one_of_s3)
{
	uint8_t origin[NOTICE_ORIGIN_LEN_MAX];
	struct row_notice notice = {.event = NOTICE_CREATED_PUT,
		.time_ms = 1795259296123,
		.bucket = bytes_of("bkt"),
		.owner = bytes_of("alice"),
		.key = bytes_of("a b/\"\\.jpg"),
		.rule = bytes_of("rule<1>"),
		.has_body = true,
		.len = 5,
		.origin = notice_origin_format(&(struct notice_origin){bytes_of("bob"),
						       bytes_of("10.0.0.1"), bytes_of("ID")},
			origin)};
	ck_assert_str_eq(message_of(&notice),
		"{\"EventName\":\"s3:ObjectCreated:Put\",\"Key\":\"bkt/a b/\\\"\\\\.jpg\","
		"\"Records\":["
		"{\"eventVersion\":\"2.1\",\"eventSource\":\"aws:s3\",\"awsRegion\":\"rubus\","
		"\"eventTime\":\"2026-11-21T11:08:16.123Z\",\"eventName\":\"ObjectCreated:Put\","
		"\"userIdentity\":{\"principalId\":\"bob\"},"
		"\"requestParameters\":{\"sourceIPAddress\":\"10.0.0.1\"},"
		"\"responseElements\":{\"x-amz-request-id\":\"ID\"},"
		"\"s3\":{\"s3SchemaVersion\":\"1.0\",\"configurationId\":\"rule<1>\","
		"\"bucket\":{\"name\":\"bkt\",\"ownerIdentity\":{\"principalId\":\"alice\"},"
		"\"arn\":\"arn:aws:s3:::bkt\"},"
		"\"object\":{\"key\":\"a+b/%22%5C.jpg\",\"size\":5,"
		"\"eTag\":\"00000000000000000000000000000000\","
		"\"sequencer\":\"000000000000123400000007\"}}}]}");
}
END_TEST

START_TEST(the_longest_message_has_room)
{
	static uint8_t key[ROW_KEY_LEN_MAX], rule[NOTICE_ID_LEN_MAX], name[ROW_OWNER_LEN_MAX];
	memset(key, 1, sizeof key);
	memset(rule, 1, sizeof rule);
	memset(name, 1, sizeof name);
	uint8_t origin[NOTICE_ORIGIN_LEN_MAX];
	struct bytes owner = bytes_make(name, sizeof name);
	struct row_notice notice = {.event = NOTICE_EXPIRED_MARKER,
		.time_ms = UINT64_MAX,
		.bucket = bytes_make(name, ROW_BUCKET_NAME_LEN_MAX),
		.owner = owner,
		.key = bytes_make(key, sizeof key),
		.rule = bytes_make(rule, sizeof rule),
		.version = {UINT64_MAX, UINT32_MAX},
		.has_body = true,
		.len = UINT64_MAX,
		.origin = notice_origin_format(
			&(struct notice_origin){owner, owner, owner}, origin)};
	ck_assert_uint_gt(strlen(message_of(&notice)), 9 * ROW_KEY_LEN_MAX);
}
END_TEST

START_TEST(an_event_that_is_not_known_has_a_name)
{
	struct row_notice notice = {.event = 200, .key = bytes_of("k")};
	ck_assert_ptr_nonnull(strstr(message_of(&notice), "\"eventName\":\"Unknown\""));
}
END_TEST

START_TEST(who_did_it_is_read_as_it_was_written)
{
	uint8_t buf[NOTICE_ORIGIN_LEN_MAX], long_text[NOTICE_ORIGIN_LEN_MAX] = {'x'};
	struct notice_origin origin = {bytes_of("me"), bytes_of("::1"), bytes_of("1")}, found;
	notice_origin_parse(notice_origin_format(&origin, buf), &found);
	ck_assert(bytes_is_equal(found.principal, origin.principal));
	ck_assert(bytes_is_equal(found.address, origin.address));
	ck_assert(bytes_is_equal(found.request_id, origin.request_id));
	origin.address = bytes_make(long_text, sizeof long_text);
	notice_origin_parse(notice_origin_format(&origin, buf), &found);
	ck_assert(bytes_is_equal(found.principal, origin.principal));
	ck_assert_uint_eq(found.address.len, 0);
	notice_origin_parse(bytes_of("\1"), &found);
	ck_assert_uint_eq(found.principal.len, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notice_json");
	TCase *tcase = tcase_create("messages");
	tcase_add_test(tcase, a_message_is_the_one_of_s3);
	tcase_add_test(tcase, the_longest_message_has_room);
	tcase_add_test(tcase, an_event_that_is_not_known_has_a_name);
	tcase_add_test(tcase, who_did_it_is_read_as_it_was_written);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
