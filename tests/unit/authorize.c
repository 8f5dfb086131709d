/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/authorize.h"

#include <stdio.h>

#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

static struct gateway_rig rig;

static void setup(void)
{
	gateway_rig_open(&rig);
	gateway_rig_key(&rig, "bob", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0, "");
}

static void teardown(void)
{
	gateway_rig_close(&rig);
}

/* --- policies --------------------------------------------------------------------------------- */

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

#define EVERYBODY "\"*\""
#define BOB "{\"AWS\":\"arn:aws:iam:::user/bob\"}"

static unsigned ask(const char *who, const char *method, const char *target)
{
	if (who)
		gateway_rig_be(&rig, who);
	gateway_rig_make(&rig, method, target);
	if (who) {
		sign_request(&rig.fake, &rig.sign, NULL);
	} else {
		fake_exchange_header(&rig.fake, "host", "s3.test");
	}
	gateway_rig_run(&rig);
	return rig.fake.response.status;
}

/* --- operations and principals ---------------------------------------------------------------- */

static const char *const methods[] = {
	[HTTP_GET] = "GET",
	[HTTP_HEAD] = "HEAD",
	[HTTP_PUT] = "PUT",
	[HTTP_POST] = "POST",
	[HTTP_DELETE] = "DELETE",
};

/* The least request of a route. */
static void make_target(const struct route *route, const char *bucket, char *target, size_t cap)
{
	size_t len = route->scope == ROUTE_SERVICE ? (size_t)snprintf(target, cap, "/")
		: route->scope == ROUTE_BUCKET     ? (size_t)snprintf(target, cap, "/%s", bucket)
						   : (size_t)snprintf(target, cap, "/%s/k", bucket);
	for (size_t i = 0; i < ROUTE_PARAMS_MAX && route->params[i]; i++)
		len += snprintf(target + len, cap - len, "%c%s%s", i ? '&' : '?', route->params[i],
			strcmp(route->params[i], "partNumber") == 0 ? "=1" : "");
}

static uint64_t admitted(void)
{
	uint64_t count = 0;
	for (size_t i = 0; i < route_count; i++)
		count += rig.loop.counters.requests[i];
	return count;
}

/* Is the request let in to the handler of its route? */
static bool is_let_in(const struct route *route, const char *bucket, const char *who)
{
	char target[256];
	uint64_t before = admitted();
	make_target(route, bucket, target, sizeof target);
	if (who)
		gateway_rig_be(&rig, who);
	gateway_rig_make(&rig, methods[route->method], target);
	if (route->header)
		fake_exchange_header(&rig.fake, route->header, "value");
	if (who) {
		sign_request(&rig.fake, &rig.sign, NULL);
	} else {
		fake_exchange_header(&rig.fake, "host", "s3.test");
	}
	gateway_rig_run(&rig);
	bool is_in = admitted() > before;
	ck_assert_msg(is_in || rig.fake.response.status == 403 || rig.fake.response.status == 405,
		"%s: %u", route->operation, rig.fake.response.status);
	return is_in;
}

enum say { NOTHING, ALLOW_BOB, ALLOW_ALL, DENY_ALL, DENY_BOB, ALLOW_OTHER, SAY_COUNT };

static void say(uint64_t bucket, const char *name, const struct route *route, enum say what)
{
	static const char *const words[][2] = {
		[ALLOW_BOB] = {"Allow", BOB},
		[ALLOW_ALL] = {"Allow", EVERYBODY},
		[DENY_ALL] = {"Deny", EVERYBODY},
		[DENY_BOB] = {"Deny", BOB},
	};
	if (what == NOTHING)
		return;
	if (what == ALLOW_OTHER) {
		snprintf(text, sizeof text,
			"{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\","
			"\"NotAction\":\"%s\",\"Resource\":[\"arn:aws:s3:::%s\","
			"\"arn:aws:s3:::%s/*\"]}}",
			route->action, name, name);
		set_policy(bucket, text);
		return;
	}
	set_policy(bucket, policy(words[what][0], words[what][1], route->action, name));
}

static bool is_of_policy(const struct route *route)
{
	const char *noun = strstr(route->operation, "BucketPolicy");
	return noun && strcmp(noun, "BucketPolicy") == 0;
}

/* What ought to be, from the words of S3 and not from the code. */
static bool ought(const struct route *route, const char *who, enum say what)
{
	bool is_stranger = !who, is_bob = who && strcmp(who, "bob") == 0;
	if (!(route->flags & ROUTE_BUCKET_MUST_BE))
		return !is_stranger;
	if (strcmp(route->operation, "PostObject") == 0)
		return true; /* who it is from stands in the form, later */
	if (strcmp(route->operation, "DeleteObjects") == 0)
		return (!is_stranger && !is_bob) || what != NOTHING; /* key by key, later */
	if (is_of_policy(route))
		return !is_stranger && !is_bob;
	if (what == DENY_ALL)
		return false;
	if (!is_stranger && !is_bob)
		return true; /* the owner, an admin */
	return what == ALLOW_ALL || (what == ALLOW_BOB && is_bob);
}

enum { PROCESSES = 10 }; /* each looks for leaks in the end, for longer than it tests */

START_TEST(every_operation_is_open_to_whom_it_ought_to_be)
{
	static const char *const whos[] = {"alice", "admin", "bob", NULL};
	char bucket[32];

	for (size_t at = _i; at < route_count * SAY_COUNT * ARRAY_COUNT(whos); at += PROCESSES) {
		const char *who = whos[at % ARRAY_COUNT(whos)];
		enum say what = at / ARRAY_COUNT(whos) % SAY_COUNT;
		const struct route *route = &route_table[at / ARRAY_COUNT(whos) / SAY_COUNT];
		snprintf(bucket, sizeof bucket, "bucket-%zu", at);
		uint64_t id = gateway_rig_bucket(&rig, bucket);
		gateway_rig_put(&rig, id, "k", "data");
		/* An action of the service applies to no bucket, so no policy names it. */
		if (route->scope != ROUTE_SERVICE)
			say(id, bucket, route, what);
		ck_assert_msg(is_let_in(route, bucket, who) == ought(route, who, what),
			"%s as %s, %u: %u", route->operation, who ? who : "nobody", what,
			rig.fake.response.status);
	}
}
END_TEST

START_TEST(a_disabled_key_opens_nothing)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	set_policy(id, policy("Allow", EVERYBODY, "s3:*", "garden"));
	gateway_rig_key(&rig, "bob", ACCESS_KEY_DISABLED, AUTH_ROLE_OWNER, 0, "");
	for (size_t i = 0; i < route_count; i++)
		ck_assert(!is_let_in(&route_table[i], "garden", "bob"));
}
END_TEST

/* --- what a request needs --------------------------------------------------------------------- */

START_TEST(a_version_needs_the_right_to_versions)
{
	static const char *const pairs[][3] = {
		{"GET", "/garden/k?versionId=null", "s3:GetObjectVersion"},
		{"GET", "/garden/k?acl&versionId=null", "s3:GetObjectVersionAcl"},
		{"GET", "/garden/k?tagging&versionId=null", "s3:GetObjectVersionTagging"},
		{"DELETE", "/garden/k?versionId=null", "s3:DeleteObjectVersion"},
	};
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
		gateway_rig_put(&rig, id, "k", "data");
		snprintf(text, sizeof text,
			"{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\","
			"\"NotAction\":\"%s\",\"Resource\":\"arn:aws:s3:::garden/*\"}}",
			pairs[i][2]);
		set_policy(id, text);
		ck_assert_uint_eq(ask("bob", pairs[i][0], pairs[i][1]), 403);
		set_policy(id, policy("Allow", EVERYBODY, pairs[i][2], "garden"));
		ck_assert_uint_lt(ask("bob", pairs[i][0], pairs[i][1]), 300);
	}
}
END_TEST

static unsigned put_with(const char *name, const char *value)
{
	gateway_rig_be(&rig, "bob");
	gateway_rig_make(&rig, "PUT", "/garden/k");
	fake_exchange_header(&rig.fake, name, value);
	sign_request(&rig.fake, &rig.sign, NULL);
	gateway_rig_run(&rig);
	return rig.fake.response.status;
}

START_TEST(headers_may_need_rights_of_their_own)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	set_policy(id, policy("Allow", EVERYBODY, "s3:PutObject", "garden"));
	ck_assert_uint_ne(put_with("x-amz-meta-a", "1"), 403);
	ck_assert_uint_eq(put_with("x-amz-tagging", "a=1"), 403);
	ck_assert_uint_eq(put_with("x-amz-object-lock-mode", "GOVERNANCE"), 403);
	ck_assert_uint_eq(put_with("x-amz-object-lock-legal-hold", "ON"), 403);
	set_policy(id, policy("Allow", EVERYBODY, "s3:PutObject*", "garden"));
	ck_assert_uint_ne(put_with("x-amz-tagging", "a=1"), 403);
}
END_TEST

#define DELETE_BOTH \
	"<Delete><Object><Key>mine</Key></Object><Object><Key>yours</Key></Object></Delete>"

START_TEST(of_many_keys_only_those_are_deleted_that_may_be)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "mine", "data");
	gateway_rig_put(&rig, id, "yours", "data");
	set_policy(id,
		"{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":" BOB ",\"Action\":"
		"\"s3:DeleteObject\",\"Resource\":\"arn:aws:s3:::garden/mine\"}}");
	gateway_rig_be(&rig, "bob");
	ck_assert_uint_eq(gateway_rig_send(&rig, "POST", "/garden?delete", DELETE_BOTH), 200);
	ck_assert_ptr_nonnull(strstr((char *)rig.fake.answer, "<Deleted><Key>mine</Key>"));
	ck_assert_ptr_nonnull(strstr(
		(char *)rig.fake.answer, "<Error><Key>yours</Key><Code>AccessDenied</Code>"));
	ck_assert_uint_eq(ask("alice", "HEAD", "/garden/mine"), 404);
	ck_assert_uint_eq(ask("alice", "HEAD", "/garden/yours"), 200);
}
END_TEST

START_TEST(what_is_denied_is_denied_to_the_owner_key_by_key)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "mine", "data");
	gateway_rig_put(&rig, id, "yours", "data");
	set_policy(id,
		"{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":"
		"\"s3:Delete*\",\"Resource\":\"arn:aws:s3:::garden/yours\"}}");
	gateway_rig_be(&rig, "alice");
	ck_assert_uint_eq(gateway_rig_send(&rig, "POST", "/garden?delete", DELETE_BOTH), 200);
	ck_assert_uint_eq(ask("alice", "HEAD", "/garden/mine"), 404);
	ck_assert_uint_eq(ask("alice", "HEAD", "/garden/yours"), 200);
}
END_TEST

static unsigned copy(const char *who, const char *source, const char *target)
{
	gateway_rig_be(&rig, who);
	gateway_rig_make(&rig, "PUT", target);
	fake_exchange_header(&rig.fake, "x-amz-copy-source", source);
	sign_request(&rig.fake, &rig.sign, NULL);
	gateway_rig_run(&rig);
	return rig.fake.response.status;
}

START_TEST(a_copy_needs_the_right_to_read_its_source)
{
	uint64_t garden = gateway_rig_bucket(&rig, "garden");
	uint64_t meadow = gateway_rig_bucket(&rig, "meadow");
	gateway_rig_put(&rig, garden, "k", "data");
	set_policy(meadow, policy("Allow", BOB, "s3:PutObject", "meadow"));
	ck_assert_uint_eq(copy("bob", "garden/k", "/meadow/k"), 403);
	set_policy(garden, policy("Allow", BOB, "s3:GetObject", "garden"));
	ck_assert_uint_eq(copy("bob", "garden/k", "/meadow/k"), 200);
	ck_assert_uint_eq(copy("bob", "garden/none", "/meadow/k"), 403);
	ck_assert_uint_eq(copy("bob", "garden/k?versionId=null", "/meadow/k"), 403);
	set_policy(garden, policy("Allow", BOB, "s3:*", "garden"));
	ck_assert_uint_eq(copy("bob", "garden/none", "/meadow/k"), 404);
	set_policy(garden, policy("Deny", EVERYBODY, "s3:GetObject", "garden"));
	ck_assert_uint_eq(copy("alice", "garden/k", "/meadow/k"), 403);
}
END_TEST

START_TEST(who_may_not_list_does_not_learn_what_is_not_there)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	set_policy(id, policy("Allow", EVERYBODY, "s3:GetObject", "garden"));
	ck_assert_uint_eq(ask(NULL, "GET", "/garden/none"), 403);
	ck_assert_str_eq(gateway_rig_code(&rig), "AccessDenied");
	ck_assert_uint_eq(ask(NULL, "HEAD", "/garden/none"), 403);
	ck_assert_uint_eq(ask("alice", "GET", "/garden/none"), 404);
	set_policy(id, policy("Allow", EVERYBODY, "s3:*", "garden"));
	ck_assert_uint_eq(ask(NULL, "GET", "/garden/none"), 404);
}
END_TEST

/* --- conditions, as requests fulfil them ------------------------------------------------------ */

static const struct {
	const char *condition, *target;
	bool is_tls;
	const char *header, *value;
	unsigned status;
} asked[] = {
	{"\"Bool\":{\"aws:SecureTransport\":\"true\"}", "/garden/k", true, NULL, NULL, 200},
	{"\"Bool\":{\"aws:SecureTransport\":\"true\"}", "/garden/k", false, NULL, NULL, 403},
	{"\"IpAddress\":{\"aws:SourceIp\":\"192.0.2.0/24\"}", "/garden/k", false, NULL, NULL, 200},
	{"\"IpAddress\":{\"aws:SourceIp\":\"192.0.3.0/24\"}", "/garden/k", false, NULL, NULL, 403},
	{"\"StringEquals\":{\"s3:prefix\":\"a/\"}", "/garden?prefix=a%2F", false, NULL, NULL, 200},
	{"\"StringEquals\":{\"s3:prefix\":\"a/\"}", "/garden?prefix=b", false, NULL, NULL, 403},
	{"\"StringEquals\":{\"s3:delimiter\":\"/\"}", "/garden?delimiter=%2F", false, NULL, NULL,
		200},
	{"\"NumericLessThan\":{\"s3:max-keys\":10}", "/garden?max-keys=9", false, NULL, NULL, 200},
	{"\"NumericLessThan\":{\"s3:max-keys\":10}", "/garden?max-keys=10", false, NULL, NULL, 403},
	{"\"NumericLessThan\":{\"s3:max-keys\":10}", "/garden", false, NULL, NULL, 403},
	{"\"StringEquals\":{\"aws:username\":\"bob\"}", "/garden/k", false, NULL, NULL, 200},
	{"\"StringEquals\":{\"aws:username\":\"eve\"}", "/garden/k", false, NULL, NULL, 403},
	{"\"ArnEquals\":{\"aws:PrincipalArn\":\"arn:aws:iam::bob:user/bob\"}", "/garden/k", false,
		NULL, NULL, 200},
	{"\"NumericLessThan\":{\"s3:signatureAge\":1000}", "/garden/k", false, NULL, NULL, 200},
	{"\"DateGreaterThan\":{\"aws:CurrentTime\":\"2026-11-01T00:00:00Z\"}", "/garden/k", false,
		NULL, NULL, 200},
	{"\"DateLessThan\":{\"aws:EpochTime\":1700000000}", "/garden/k", false, NULL, NULL, 403},
	{"\"StringLike\":{\"aws:Referer\":\"https://example.org/*\"}", "/garden/k", false,
		"referer", "https://example.org/a", 200},
	{"\"StringLike\":{\"aws:UserAgent\":\"curl*\"}", "/garden/k", false, "user-agent", "wget/1",
		403},
	{"\"StringEquals\":{\"s3:VersionId\":\"null\"}", "/garden/k?versionId=null", false, NULL,
		NULL, 200},
	{"\"StringEquals\":{\"s3:ExistingObjectTag/open\":\"yes\"}", "/garden/k", false, NULL, NULL,
		403},
	{"\"Null\":{\"s3:ExistingObjectTag/open\":true}", "/garden/k", false, NULL, NULL, 200},
};

START_TEST(conditions_are_held_against_the_request)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "k", "data");
	snprintf(text, sizeof text,
		"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":"
		"\"*\",\"Action\":[\"s3:GetObject\",\"s3:GetObjectVersion\",\"s3:ListBucket\"],"
		"\"Resource\":[\"arn:aws:s3:::garden\",\"arn:aws:s3:::garden/*\"],"
		"\"Condition\":{%s}}}",
		asked[_i].condition);
	set_policy(id, text);
	gateway_rig_be(&rig, "bob");
	gateway_rig_make(&rig, "GET", asked[_i].target);
	rig.fake.x.is_tls = asked[_i].is_tls;
	rig.fake.x.peer = "192.0.2.7";
	if (asked[_i].header)
		fake_exchange_header(&rig.fake, asked[_i].header, asked[_i].value);
	sign_request(&rig.fake, &rig.sign, NULL);
	gateway_rig_run(&rig);
	ck_assert_msg(rig.fake.response.status == asked[_i].status, "%s: %u", asked[_i].condition,
		rig.fake.response.status);
}
END_TEST

/* --- public access ---------------------------------------------------------------------------- */

static unsigned put_policy(const char *json)
{
	gateway_rig_be(&rig, "alice");
	return gateway_rig_send(&rig, "PUT", "/garden?policy", json);
}

static void set_public_access(uint64_t bucket, uint8_t set)
{
	uint8_t blob[] = {1, set};
	set_config(bucket, BUCKET_CONFIG_PUBLIC_ACCESS, bytes_make(blob, sizeof blob));
}

START_TEST(a_public_policy_is_not_taken_where_they_are_blocked)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	set_public_access(id, BUCKET_BLOCK_PUBLIC_POLICY);
	ck_assert_uint_eq(put_policy(policy("Allow", EVERYBODY, "s3:GetObject", "garden")), 403);
	ck_assert_uint_eq(put_policy(policy("Allow", BOB, "s3:GetObject", "garden")), 204);
	ck_assert_uint_eq(put_policy(policy("Deny", EVERYBODY, "s3:GetObject", "garden")), 204);
}
END_TEST

START_TEST(a_public_policy_opens_nothing_where_they_are_restricted)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "k", "data");
	set_policy(id, policy("Allow", EVERYBODY, "s3:GetObject", "garden"));
	ck_assert_uint_eq(ask(NULL, "GET", "/garden/k"), 200);
	set_public_access(id, BUCKET_RESTRICT_PUBLIC_BUCKETS);
	ck_assert_uint_eq(ask(NULL, "GET", "/garden/k"), 403);
	ck_assert_uint_eq(ask("bob", "GET", "/garden/k"), 403);
	ck_assert_uint_eq(ask("alice", "GET", "/garden/k"), 200);
	set_policy(id, policy("Allow", BOB, "s3:GetObject", "garden"));
	ck_assert_uint_eq(ask("bob", "GET", "/garden/k"), 200);
}
END_TEST

START_TEST(a_public_policy_is_set_under_the_rules_it_was_held_against)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	policy("Allow", EVERYBODY, "s3:GetObject", "garden");
	gateway_rig_be(&rig, "alice");
	gateway_rig_make(&rig, "PUT", "/garden?policy");
	fake_exchange_body(&rig.fake, text, strlen(text));
	sign_request(&rig.fake, &rig.sign, NULL);
	/* The body is late; meanwhile public policies are blocked. */
	rig.fake.is_slow = true;
	fake_exchange_start(&rig.fake, &rig.loop.handler);
	set_public_access(id, BUCKET_BLOCK_PUBLIC_POLICY);
	rig_run(&rig.rig);
	ck_assert_uint_eq(rig.fake.response.status, 409);
	ck_assert_str_eq(gateway_rig_code(&rig), "OperationAborted");
	ck_assert_uint_eq(ask("alice", "GET", "/garden?policy"), 404);
}
END_TEST

/* --- the document ----------------------------------------------------------------------------- */

START_TEST(a_policy_is_given_back_as_it_was_sent)
{
	static const char json[] =
		"{ \"Statement\" : [ {\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"
		"\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::garden/*\"} ] }\n";
	gateway_rig_bucket(&rig, "garden");
	ck_assert_uint_eq(put_policy(json), 204);
	ck_assert_uint_eq(ask("alice", "GET", "/garden?policy"), 200);
	ck_assert_str_eq((char *)rig.fake.answer, json);
	ck_assert_str_eq(
		fake_exchange_answer_header(&rig.fake, "content-type"), "application/json");
	ck_assert_uint_eq(ask("alice", "GET", "/garden?policyStatus"), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "IsPublic"), "true");
	ck_assert_uint_eq(put_policy(policy("Allow", BOB, "s3:GetObject", "garden")), 204);
	ck_assert_uint_eq(ask("alice", "GET", "/garden?policyStatus"), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "IsPublic"), "false");
	ck_assert_uint_eq(ask("alice", "DELETE", "/garden?policy"), 204);
	ck_assert_uint_eq(ask("alice", "GET", "/garden?policy"), 404);
	ck_assert_str_eq(gateway_rig_code(&rig), "NoSuchBucketPolicy");
}
END_TEST

START_TEST(a_policy_that_is_none_is_malformed)
{
	static char large[POLICY_LEN_MAX + 2];
	gateway_rig_bucket(&rig, "garden");
	memset(large, ' ', sizeof large - 1);
	ck_assert_uint_eq(put_policy("{}"), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "MalformedPolicy");
	ck_assert_str_eq(
		fake_exchange_element(&rig.fake, "Message"), "Missing required field Statement");
	ck_assert_uint_eq(put_policy(large), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "MalformedPolicy");
	ck_assert_uint_eq(put_policy(""), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "MissingRequestBodyError");
	ck_assert_uint_eq(put_policy(policy("Allow", BOB, "s3:GetObject", "meadow")), 400);
	ck_assert_str_eq(gateway_rig_code(&rig), "MalformedPolicy");
}
END_TEST

START_TEST(nobody_is_locked_out_of_the_policy)
{
	gateway_rig_bucket(&rig, "garden");
	ck_assert_uint_eq(put_policy(policy("Deny", EVERYBODY, "s3:*", "garden")), 204);
	ck_assert_uint_eq(ask("alice", "GET", "/garden"), 403);
	ck_assert_uint_eq(ask("admin", "GET", "/garden"), 403);
	ck_assert_uint_eq(ask("alice", "GET", "/garden?policy"), 200);
	ck_assert_uint_eq(put_policy(policy("Deny", BOB, "s3:*", "garden")), 204);
	ck_assert_uint_eq(ask("alice", "GET", "/garden"), 200);
}
END_TEST

START_TEST(a_policy_that_cannot_be_read_allows_nothing_but_its_end)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "k", "data");
	set_config(id, BUCKET_CONFIG_POLICY, bytes_of("\1{\"Statement\":[]}"));
	ck_assert_uint_eq(ask("alice", "GET", "/garden/k"), 403);
	ck_assert_uint_eq(ask("admin", "GET", "/garden/k"), 403);
	ck_assert_uint_eq(ask(NULL, "GET", "/garden/k"), 403);
	ck_assert_uint_eq(ask("alice", "GET", "/garden?policyStatus"), 403);
	ck_assert_uint_eq(ask("alice", "DELETE", "/garden?policy"), 204);
	ck_assert_uint_eq(ask("alice", "GET", "/garden/k"), 200);
	set_config(id, BUCKET_CONFIG_POLICY, bytes_of("\2{}"));
	ck_assert_uint_eq(ask("alice", "GET", "/garden/k"), 403);
}
END_TEST

START_TEST(another_policy_counts_from_the_next_request_on)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "k", "data");
	for (unsigned i = 0; i < 3; i++) {
		set_policy(id, policy("Allow", EVERYBODY, "s3:GetObject", "garden"));
		ck_assert_uint_eq(ask(NULL, "GET", "/garden/k"), 200);
		set_policy(id, policy("Allow", EVERYBODY, "s3:PutObject", "garden"));
		ck_assert_uint_eq(ask(NULL, "GET", "/garden/k"), 403);
	}
}
END_TEST

/* --- what is kept ----------------------------------------------------------------------------- */

START_TEST(a_bucket_without_rules_costs_nothing)
{
	uint64_t id = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, id, "k", "data");
	ck_assert_uint_eq(ask("alice", "GET", "/garden/k"), 200);
	for (size_t i = 0; i < BUCKET_RULES_SLOTS; i++)
		ck_assert_uint_eq(rig.loop.rules.slots[i].bucket, 0);
	set_config(id, BUCKET_CONFIG_TAGS, bytes_of("\1"));
	ck_assert_uint_eq(ask("alice", "GET", "/garden/k"), 200);
	ck_assert_uint_eq(rig.loop.rules.memory, 0);
}
END_TEST

START_TEST(what_is_kept_is_bounded)
{
	static char blob[30 << 10];
	char name[32], target[40];
	/* One rule with an origin as long as it may be. */
	memset(blob, 'a', sizeof blob);
	memcpy(blob, "\1\1\0\0\4\3\0GET\5", 11);
	put_le16((uint8_t *)blob + 11, sizeof blob - 13);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "bucket-%u", i);
		snprintf(target, sizeof target, "/%s", name);
		uint64_t id = gateway_rig_bucket(&rig, name);
		set_config(id, BUCKET_CONFIG_CORS, bytes_make(blob, sizeof blob));
		ck_assert_uint_eq(ask("alice", "GET", target), 200);
		ck_assert_uint_le(rig.loop.rules.memory, BUCKET_RULES_MEMORY_MAX);
	}
	ck_assert_uint_gt(rig.loop.rules.memory, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("authorize");
	TCase *matrix = tcase_create("matrix");
	tcase_add_checked_fixture(matrix, setup, teardown);
	tcase_add_loop_test(matrix, every_operation_is_open_to_whom_it_ought_to_be, 0, PROCESSES);
	tcase_add_test(matrix, a_disabled_key_opens_nothing);
	suite_add_tcase(suite, matrix);
	TCase *tc = tcase_create("rights");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_version_needs_the_right_to_versions);
	tcase_add_test(tc, headers_may_need_rights_of_their_own);
	tcase_add_test(tc, of_many_keys_only_those_are_deleted_that_may_be);
	tcase_add_test(tc, what_is_denied_is_denied_to_the_owner_key_by_key);
	tcase_add_test(tc, a_copy_needs_the_right_to_read_its_source);
	tcase_add_test(tc, who_may_not_list_does_not_learn_what_is_not_there);
	tcase_add_loop_test(tc, conditions_are_held_against_the_request, 0, ARRAY_COUNT(asked));
	tcase_add_test(tc, a_public_policy_is_not_taken_where_they_are_blocked);
	tcase_add_test(tc, a_public_policy_opens_nothing_where_they_are_restricted);
	tcase_add_test(tc, a_public_policy_is_set_under_the_rules_it_was_held_against);
	tcase_add_test(tc, a_policy_is_given_back_as_it_was_sent);
	tcase_add_test(tc, a_policy_that_is_none_is_malformed);
	tcase_add_test(tc, nobody_is_locked_out_of_the_policy);
	tcase_add_test(tc, a_policy_that_cannot_be_read_allows_nothing_but_its_end);
	tcase_add_test(tc, another_policy_counts_from_the_next_request_on);
	tcase_add_test(tc, a_bucket_without_rules_costs_nothing);
	tcase_add_test(tc, what_is_kept_is_bounded);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
