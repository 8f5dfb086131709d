/* SPDX-License-Identifier: Apache-2.0 */
/* What lists of buckets and objects give, and what they do not. */
#include <stdio.h>

#include "gateway/acl.h"
#include "gateway/authorize.h"
#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

static struct gateway_rig rig;
static uint64_t garden;

static void set_config(enum bucket_config kind, struct bytes blob)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = garden;
	command.bucket_update.set = BUCKET_SET_CONFIG;
	command.bucket_update.config_kind = kind;
	command.bucket_update.config = blob;
	ck_assert_uint_eq(rig_code(&rig.rig, &command), COMMAND_OK);
}

static void setup(void)
{
	uint8_t blob[BUCKET_CONFIG_OWNERSHIP_LEN];
	gateway_rig_open(&rig);
	garden = gateway_rig_bucket(&rig, "garden");
	bucket_config_make_ownership(BUCKET_OBJECT_WRITER, blob);
	set_config(BUCKET_CONFIG_OWNERSHIP, bytes_make(blob, sizeof blob));
	gateway_rig_put(&rig, garden, "k", "data");
}

static void teardown(void)
{
	gateway_rig_close(&rig);
}

static void list_bob(uint8_t permissions)
{
	struct acl acl;
	acl_init(&acl);
	ck_assert_ok(acl_append(&acl, &(struct acl_grant){permissions, ACL_USER, bytes_of("bob")}));
	set_config(BUCKET_CONFIG_ACL, acl_bytes(&acl));
}

/* An empty action: the bucket has no policy. */
static void set_policy(const char *effect, const char *action)
{
	static char blob[512];
	size_t len = snprintf(blob, sizeof blob,
		"\1{\"Statement\":{\"Effect\":\"%s\",\"Principal\":{\"AWS\":\"bob\"},"
		"\"Action\":\"%s\",\"Resource\":\"arn:aws:s3:::garden/*\"}}",
		effect, action);
	set_config(BUCKET_CONFIG_POLICY, bytes_make(blob, *action ? len : 0));
}

static const char *identity(const char *effect, const char *action)
{
	static char json[512];
	snprintf(json, sizeof json,
		"{\"Statement\":{\"Effect\":\"%s\",\"Action\":\"%s\",\"Resource\":\"*\"}}", effect,
		action);
	return json;
}

static void set_user_policy(const char *json)
{
	struct command command = {.type = COMMAND_USER_PUT};
	struct row_user row;
	ck_assert_ok(index_view_begin(rig.rig.reader));
	command.user_put.must_be_new = index_user_get(rig.rig.reader, bytes_of("bob"), &row) ==
		ERR_NOT_FOUND;
	index_view_end(rig.rig.reader);
	command.user_put.id = bytes_of("bob");
	command.user_put.set = USER_SET_POLICY;
	command.user_put.policy = bytes_of(json);
	ck_assert_uint_eq(rig_code(&rig.rig, &command), COMMAND_OK);
}

static unsigned ask(const char *method, const char *target)
{
	gateway_rig_be(&rig, "bob");
	return gateway_rig_ask(&rig, method, target);
}

/* Is bob refused to put it with such a list? */
static bool is_refused(const char *target, const char *canned)
{
	gateway_rig_be(&rig, "bob");
	gateway_rig_make(&rig, "PUT", target);
	fake_exchange_header(&rig.fake, "x-amz-acl", canned);
	sign_request(&rig.fake, &rig.sign, NULL);
	gateway_rig_run(&rig);
	return rig.fake.response.status == 403;
}

START_TEST(who_writes_gives_what_is_written_unless_that_is_denied)
{
	list_bob(ACL_WRITE);
	ck_assert(!is_refused("/garden/n", "public-read"));
	set_policy("Deny", "s3:PutObjectAcl");
	ck_assert(is_refused("/garden/n", "public-read"));
	ck_assert(!is_refused("/garden/n", "private"));
	set_policy("Deny", "");
	ck_assert(!is_refused("/garden/n", "public-read"));
	set_user_policy(identity("Deny", "s3:PutObjectAcl"));
	ck_assert(is_refused("/garden/n", "public-read"));
	set_user_policy("");
	ck_assert(!is_refused("/garden/n", "public-read"));
	gateway_rig_key(&rig, "bob", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0,
		identity("Allow", "s3:PutObject"));
	ck_assert(is_refused("/garden/n", "public-read"));
	ck_assert(!is_refused("/garden/n", "private"));
	gateway_rig_key(&rig, "bob", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0,
		identity("Allow", "s3:PutObject*"));
	ck_assert(!is_refused("/garden/n", "public-read"));
}
END_TEST

START_TEST(who_lists_is_told_of_absence_and_sets_no_lists)
{
	list_bob(ACL_READ);
	set_policy("Allow", "s3:PutObject");
	ck_assert(!is_refused("/garden/n", "private"));
	ck_assert(is_refused("/garden/n", "public-read"));
	ck_assert(is_refused("/garden/n?acl", "public-read"));
	ck_assert(is_refused("/garden/k?acl", "public-read"));
	ck_assert(is_refused("/garden/k?acl&versionId=garbage", "public-read"));
	ck_assert_uint_eq(ask("GET", "/garden/n"), 404);
	ck_assert_uint_eq(ask("GET", "/garden/n?acl"), 404);
	ck_assert_uint_eq(ask("GET", "/garden/n?versionId=null"), 404);
	ck_assert_uint_eq(ask("GET", "/garden/k"), 403);
	ck_assert_uint_eq(ask("GET", "/garden/k?versionId=garbage"), 403);
}
END_TEST

START_TEST(an_object_that_came_after_the_gate_is_weighed_again)
{
	static const char tags[] = "<Tagging><TagSet><Tag><Key>open</Key><Value>yes</Value></Tag>"
				   "</TagSet></Tagging>";
	for (int is_replaced = 0; is_replaced < 2; is_replaced++) {
		gateway_rig_be(&rig, "alice");
		ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden/k?tagging", tags), 200);
		set_config(BUCKET_CONFIG_POLICY,
			bytes_of("\1{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":"
				 "{\"AWS\":\"bob\"},\"Action\":\"s3:PutObjectTagging\","
				 "\"Resource\":\"arn:aws:s3:::garden/*\",\"Condition\":{"
				 "\"StringEquals\":{\"s3:ExistingObjectTag/open\":\"yes\"}}}}"));
		gateway_rig_be(&rig, "bob");
		gateway_rig_make(&rig, "PUT", "/garden/k?tagging");
		fake_exchange_body(&rig.fake, tags, strlen(tags));
		sign_request(&rig.fake, &rig.sign, NULL);
		/* The body is late; meanwhile there is another object, which is not open. */
		rig.fake.is_slow = true;
		fake_exchange_start(&rig.fake, &rig.loop.handler);
		if (is_replaced)
			gateway_rig_put(&rig, garden, "k", "other");
		rig_run(&rig.rig);
		ck_assert_uint_eq(rig.fake.response.status, is_replaced ? 403 : 200);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("authorize_acl");
	TCase *tc = tcase_create("authorize_acl");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, who_writes_gives_what_is_written_unless_that_is_denied);
	tcase_add_test(tc, who_lists_is_told_of_absence_and_sets_no_lists);
	tcase_add_test(tc, an_object_that_came_after_the_gate_is_weighed_again);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
