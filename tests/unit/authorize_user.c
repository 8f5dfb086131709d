/* SPDX-License-Identifier: Apache-2.0 */
/* What users, grants and policies of users and keys do to rights. */
#include <stdio.h>

#include "gateway/authorize.h"
#include "gateway/grants.h"
#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

static struct gateway_rig rig;

static void setup(void)
{
	gateway_rig_open(&rig);
}

static void teardown(void)
{
	gateway_rig_close(&rig);
}

static char text[8192];

/* Sets what the index keeps under a kind, as any node may do it. */
static void set_config(uint64_t bucket, enum bucket_config kind, struct bytes blob)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_CONFIG;
	command.bucket_update.config_kind = kind;
	command.bucket_update.config = blob;
	ck_assert_uint_eq(rig_code(&rig.rig, &command), COMMAND_OK);
}

static void set_policy(uint64_t bucket, const char *json)
{
	static char blob[8192];
	size_t len = snprintf(blob, sizeof blob, "\1%s", json);
	set_config(bucket, BUCKET_CONFIG_POLICY, bytes_make(blob, len));
}

/* One statement about a bucket and what is in it. */
static const char *policy(
	const char *effect, const char *principal, const char *action, const char *bucket)
{
	snprintf(text, sizeof text,
		"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"%s\",\"Principal\":%s,"
		"\"Action\":\"%s\",\"Resource\":[\"arn:aws:s3:::%s\",\"arn:aws:s3:::%s/*\"]}}",
		effect, principal, action, bucket, bucket);
	return text;
}

#define BOB "{\"AWS\":\"arn:aws:iam:::user/bob\"}"

static unsigned ask(const char *who, const char *method, const char *target)
{
	gateway_rig_be(&rig, who);
	return gateway_rig_ask(&rig, method, target);
}

static void make_user(const char *id, const char *json, enum user_state state)
{
	struct command command = {.type = COMMAND_USER_PUT};
	struct row_user row;
	ck_assert_ok(index_view_begin(rig.rig.reader));
	command.user_put.must_be_new = index_user_get(rig.rig.reader, bytes_of(id), &row) ==
		ERR_NOT_FOUND;
	index_view_end(rig.rig.reader);
	command.user_put.id = bytes_of(id);
	command.user_put.set = USER_SET_POLICY | USER_SET_STATE;
	command.user_put.policy = bytes_of(json);
	command.user_put.state = state;
	ck_assert_uint_eq(rig_code(&rig.rig, &command), COMMAND_OK);
}

static void grant(uint64_t bucket, enum grant_kind kind, const char *id, uint8_t rights)
{
	static uint8_t blob[4096];
	struct text_out out;
	text_out_init(&out, blob, sizeof blob);
	struct grant one = {.kind = kind, .rights = rights, .id = bytes_of(id)};
	ck_assert_ok(grants_set((struct bytes){0}, &one, &out));
	set_config(bucket, BUCKET_CONFIG_GRANTS, text_out_bytes(&out));
}

/* Of a user or key: without principals. */
static const char *identity(const char *effect, const char *action, const char *resource)
{
	static char json[512];
	snprintf(json, sizeof json,
		"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"%s\",\"Action\":\"%s\","
		"\"Resource\":\"arn:aws:s3:::%s\"}}",
		effect, action, resource);
	return json;
}

START_TEST(a_grant_gives_its_rights_and_no_more)
{
	static const struct {
		const char *method, *target;
		uint8_t rights; /* any of these is enough */
	} asked[] = {
		{"GET", "/garden/k", GRANT_READ | GRANT_OWN},
		{"GET", "/garden", GRANT_READ | GRANT_OWN},
		{"HEAD", "/garden", GRANT_READ | GRANT_OWN},
		{"GET", "/garden?location", GRANT_RIGHTS},
		{"GET", "/garden?policy", GRANT_OWN},
		{"PUT", "/garden/k?tagging", GRANT_WRITE | GRANT_OWN},
		{"POST", "/garden/k?uploads", GRANT_WRITE | GRANT_OWN},
		{"DELETE", "/garden?cors", GRANT_OWN},
	};
	for (uint8_t rights = 0; rights <= GRANT_RIGHTS; rights++)
		for (size_t i = 0; i < ARRAY_COUNT(asked); i++)
			for (int is_key = 0; is_key < 2; is_key++) {
				char name[64];
				snprintf(name, sizeof name, "g-%u-%zu-%d", rights, i, is_key);
				uint64_t id = gateway_rig_bucket(&rig, name);
				gateway_rig_put(&rig, id, "k", "data");
				grant(id, is_key ? GRANT_OF_KEY : GRANT_OF_USER,
					is_key ? "AKBOB" : "bob", rights);
				char target[128];
				snprintf(target, sizeof target, "/%s%s", name,
					asked[i].target + strlen("/garden"));
				unsigned status = ask("bob", asked[i].method, target);
				ck_assert_msg((status != 403) == !!(rights & asked[i].rights),
					"%s %s with %u: %u", asked[i].method, target, rights,
					status);
			}
}
END_TEST

START_TEST(a_policy_outweighs_a_grant_and_the_owner_keeps_the_bucket)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "k", "data");
	grant(id, GRANT_OF_USER, "bob", GRANT_READ);
	ck_assert_uint_eq(ask("bob", "GET", "/garden/k"), 200);
	set_policy(id, policy("Deny", BOB, "s3:GetObject", "garden"));
	ck_assert_uint_eq(ask("bob", "GET", "/garden/k"), 403);
	ck_assert_uint_eq(ask("alice", "GET", "/garden/k"), 200);
}
END_TEST

START_TEST(a_policy_of_a_user_adds_and_denies)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "k", "data");
	make_user("bob", "", USER_ENABLED);
	ck_assert_uint_eq(ask("bob", "GET", "/garden/k"), 403);
	make_user("bob", identity("Allow", "s3:GetObject", "garden/*"), USER_ENABLED);
	ck_assert_uint_eq(ask("bob", "GET", "/garden/k"), 200);
	ck_assert_uint_eq(ask("bob", "DELETE", "/garden/k"), 403);
	ck_assert_uint_eq(ask("bob", "PUT", "/bobs"), 200);
	/* An allowance of the bucket does not outweigh a denial of the user, nor the other way. */
	set_policy(id, policy("Deny", BOB, "s3:GetObject", "garden"));
	ck_assert_uint_eq(ask("bob", "GET", "/garden/k"), 403);
	set_policy(id, policy("Allow", BOB, "s3:*", "garden"));
	make_user("bob", identity("Deny", "s3:GetObject", "*"), USER_ENABLED);
	ck_assert_uint_eq(ask("bob", "GET", "/garden/k"), 403);
	ck_assert_uint_eq(ask("bob", "GET", "/garden"), 200);
	make_user("bob", identity("Deny", "s3:*", "*"), USER_ENABLED);
	ck_assert_uint_eq(ask("bob", "GET", "/bobs"), 403); /* which is his */
	ck_assert_uint_eq(ask("bob", "GET", "/"), 403);
	ck_assert_uint_eq(ask("bob", "PUT", "/more"), 403);
}
END_TEST

START_TEST(a_policy_of_a_key_only_narrows)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "k", "data");
	gateway_rig_key(&rig, "alice", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0,
		identity("Allow", "s3:GetObject", "garden/*"));
	ck_assert_uint_eq(ask("alice", "GET", "/garden/k"), 200);
	ck_assert_uint_eq(ask("alice", "DELETE", "/garden/k"), 403);
	ck_assert_uint_eq(ask("alice", "GET", "/"), 403);
	ck_assert_uint_eq(ask("alice", "PUT", "/more"), 403);
	gateway_rig_key(&rig, "bob", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0,
		identity("Allow", "s3:*", "*"));
	ck_assert_uint_eq(ask("bob", "GET", "/garden/k"), 403); /* it gives nothing */
	set_policy(id, policy("Allow", BOB, "s3:*", "garden"));
	ck_assert_uint_eq(ask("bob", "GET", "/garden/k"), 200);
	gateway_rig_key(&rig, "admin", ACCESS_KEY_ENABLED, AUTH_ROLE_ADMIN, 0,
		identity("Allow", "s3:GetObject", "garden/*"));
	ck_assert_uint_eq(ask("admin", "DELETE", "/garden/k"), 403);
}
END_TEST

/* How many of the three keys of a DeleteObjects are refused. */
static unsigned refused_of_three(const char *who, bool bypasses)
{
	static const char body[] = "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key>"
				   "</Object><Object><Key>c</Key></Object></Delete>";
	unsigned count = 0;
	gateway_rig_be(&rig, who);
	gateway_rig_make(&rig, "POST", "/garden?delete");
	fake_exchange_body(&rig.fake, body, strlen(body));
	if (bypasses)
		fake_exchange_header(&rig.fake, "x-amz-bypass-governance-retention", "true");
	sign_request(&rig.fake, &rig.sign, NULL);
	gateway_rig_run(&rig);
	ck_assert_uint_eq(rig.fake.response.status, 200);
	const char *at = (const char *)rig.fake.answer;
	for (; (at = strstr(at, "<Code>AccessDenied</Code>")); at++)
		count++;
	return count;
}

START_TEST(of_many_keys_each_is_weighed_where_the_bucket_has_no_rules)
{
	static const char *const action = "s3:DeleteObject";
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	for (const char *key = "abc"; *key; key++)
		gateway_rig_put(&rig, id, (char[]){*key, 0}, "data");
	/* Who may do all in another bucket. */
	make_user("bob", identity("Allow", "s3:*", "meadow*"), USER_ENABLED);
	ck_assert_uint_eq(refused_of_three("bob", false), 3);
	make_user("bob", identity("Allow", action, "garden/a"), USER_ENABLED);
	ck_assert_uint_eq(refused_of_three("bob", false), 2);
	ck_assert_uint_eq(refused_of_three("bob", true), 3);
	/* What the owner is denied, or may not by this key. */
	make_user("alice", identity("Deny", action, "garden/*"), USER_ENABLED);
	ck_assert_uint_eq(refused_of_three("alice", false), 3);
	make_user("alice", "", USER_ENABLED);
	gateway_rig_key(&rig, "alice", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0,
		identity("Allow", "s3:Get*", "*"));
	ck_assert_uint_eq(refused_of_three("alice", false), 3);
	gateway_rig_key(&rig, "alice", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0,
		identity("Allow", action, "*"));
	ck_assert_uint_eq(refused_of_three("alice", true), 3);
	gateway_rig_key(&rig, "admin", ACCESS_KEY_ENABLED, AUTH_ROLE_ADMIN, 0,
		identity("Allow", action, "garden/b"));
	ck_assert_uint_eq(refused_of_three("admin", false), 2);
	gateway_rig_key(&rig, "alice", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0, "");
	ck_assert_uint_eq(ask("alice", "HEAD", "/garden/c"), 200);
	ck_assert_uint_eq(refused_of_three("alice", true), 0);
	ck_assert_uint_eq(ask("alice", "HEAD", "/garden/c"), 404);
}
END_TEST

/* A bucket of alice with ObjectWriter and, if there is one, a list. */
static unsigned create(const char *target, const char *canned)
{
	gateway_rig_be(&rig, "alice");
	gateway_rig_make(&rig, "PUT", target);
	fake_exchange_header(&rig.fake, "x-amz-object-ownership", "ObjectWriter");
	if (canned)
		fake_exchange_header(&rig.fake, "x-amz-acl", canned);
	sign_request(&rig.fake, &rig.sign, NULL);
	gateway_rig_run(&rig);
	return rig.fake.response.status;
}

START_TEST(what_a_new_bucket_is_made_with_needs_its_own_rights)
{
	gateway_rig_key(&rig, "alice", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0,
		identity("Allow", "s3:CreateBucket", "*"));
	ck_assert_uint_eq(ask("alice", "PUT", "/plain"), 200);
	ck_assert_uint_eq(create("/garden", NULL), 403);
	gateway_rig_key(&rig, "alice", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0,
		identity("Allow", "s3:*Bucket*", "*"));
	ck_assert_uint_eq(create("/garden", "public-read"), 200);
	make_user("alice", identity("Deny", "s3:PutBucketAcl", "*"), USER_ENABLED);
	ck_assert_uint_eq(create("/meadow", "public-read"), 403);
	ck_assert_uint_eq(create("/meadow", "private"), 200);
	make_user("alice", identity("Deny", "s3:PutBucketOwnershipControls", "*"), USER_ENABLED);
	ck_assert_uint_eq(create("/forest", NULL), 403);
	ck_assert_uint_eq(ask("alice", "PUT", "/forest"), 200);
}
END_TEST

START_TEST(a_policy_that_does_not_compile_denies)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "k", "data");
	make_user("alice", "{}", USER_ENABLED);
	ck_assert_uint_eq(ask("alice", "GET", "/garden/k"), 403);
	make_user("alice", "", USER_ENABLED);
	ck_assert_uint_eq(ask("alice", "GET", "/garden/k"), 200);
}
END_TEST

START_TEST(all_keys_of_a_disabled_user_are_refused)
{
	ck_assert_uint_eq(ask("alice", "GET", "/"), 200);
	make_user("alice", "", USER_DISABLED);
	ck_assert_uint_eq(ask("alice", "GET", "/"), 403);
	ck_assert_str_eq(gateway_rig_code(&rig), "InvalidAccessKeyId");
	ck_assert_uint_eq(ask("bob", "GET", "/"), 200);
	make_user("alice", "", USER_ENABLED);
	ck_assert_uint_eq(ask("alice", "GET", "/"), 200);
}
END_TEST

/* Is there a bucket of that name in the last listing? */
static bool lists(const char *who, const char *name)
{
	char element[64];
	ck_assert_uint_eq(ask(who, "GET", "/"), 200);
	snprintf(element, sizeof element, "<Name>%s</Name>", name);
	return strstr((const char *)rig.fake.answer, element) != NULL;
}

START_TEST(list_buckets_shows_what_is_granted_and_nothing_else)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_bucket(&rig, "hidden");
	ck_assert(lists("alice", "garden") && lists("admin", "garden"));
	ck_assert(!lists("bob", "garden"));
	grant(id, GRANT_OF_KEY, "AKBOB", GRANT_WRITE);
	ck_assert(lists("bob", "garden") && !lists("bob", "hidden"));
	grant(id, GRANT_OF_KEY, "AKCARL", GRANT_WRITE);
	ck_assert(!lists("bob", "garden"));
	make_user("bob", identity("Allow", "s3:ListBucket", "gard*"), USER_ENABLED);
	ck_assert(lists("bob", "garden") && !lists("bob", "hidden"));
}
END_TEST

/* --- quotas ----------------------------------------------------------------------------------- */

static void set_quota(uint64_t bucket, struct row_quota quota)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_QUOTA;
	command.bucket_update.quota = quota;
	ck_assert_uint_eq(rig_code(&rig.rig, &command), COMMAND_OK);
}

/* Is a PUT refused by a quota at the gate? Else it is refused for its storage class, as the rig has
 * no place for bodies. */
static bool is_refused_early(const char *target, const char *body)
{
	gateway_rig_be(&rig, "alice");
	gateway_rig_make(&rig, "PUT", target);
	fake_exchange_body(&rig.fake, body, strlen(body));
	fake_exchange_header(&rig.fake, "x-amz-storage-class", "NO_SUCH");
	sign_request(&rig.fake, &rig.sign, NULL);
	gateway_rig_run(&rig);
	bool is_quota = strcmp(gateway_rig_code(&rig), "QuotaExceeded") == 0;
	ck_assert_uint_eq(rig.fake.response.status, is_quota ? 403 : 400);
	return is_quota;
}

START_TEST(a_body_that_cannot_fit_is_not_read)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "k", "12345678");
	ck_assert(!is_refused_early("/garden/n", "123"));
	set_quota(id, (struct row_quota){.len = 10});
	ck_assert(is_refused_early("/garden/m", "12345678"));
	ck_assert(!is_refused_early("/garden/k", "12345678")); /* it replaces as much */
	set_quota(id, (struct row_quota){.versions = 1});
	ck_assert(is_refused_early("/garden/m", "1"));
	set_quota(id, (struct row_quota){.soft_len = 1, .soft_versions = 1});
	ck_assert(!is_refused_early("/garden/m", "1"));
}
END_TEST

START_TEST(a_users_quota_is_asked_before_the_body_too)
{
	struct command command = {.type = COMMAND_USER_PUT};
	gateway_rig_bucket(&rig, "garden");
	make_user("alice", "", USER_ENABLED);
	ck_assert(!is_refused_early("/garden/n", "12345678"));
	command.user_put.id = bytes_of("alice");
	command.user_put.set = USER_SET_QUOTA;
	command.user_put.quota.len = 7;
	ck_assert_uint_eq(rig_code(&rig.rig, &command), COMMAND_OK);
	ck_assert(is_refused_early("/garden/m", "12345678"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("authorize_user");
	TCase *tc = tcase_create("authorize_user");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_grant_gives_its_rights_and_no_more);
	tcase_add_test(tc, a_policy_outweighs_a_grant_and_the_owner_keeps_the_bucket);
	tcase_add_test(tc, a_policy_of_a_user_adds_and_denies);
	tcase_add_test(tc, a_policy_of_a_key_only_narrows);
	tcase_add_test(tc, of_many_keys_each_is_weighed_where_the_bucket_has_no_rules);
	tcase_add_test(tc, what_a_new_bucket_is_made_with_needs_its_own_rights);
	tcase_add_test(tc, a_policy_that_does_not_compile_denies);
	tcase_add_test(tc, all_keys_of_a_disabled_user_are_refused);
	tcase_add_test(tc, list_buckets_shows_what_is_granted_and_nothing_else);
	tcase_add_test(tc, a_body_that_cannot_fit_is_not_read);
	tcase_add_test(tc, a_users_quota_is_asked_before_the_body_too);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
