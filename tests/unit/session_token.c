/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: their tokens, and what a request with one may. */
#include "gateway/session_token.h"

#include <stdio.h>

#include "gateway/digest/base64.h"
#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

static struct gateway_rig rig;
static char token[SESSION_TOKEN_LEN_MAX + 1];

static void setup(void)
{
	gateway_rig_open(&rig);
}

static void teardown(void)
{
	gateway_rig_close(&rig);
}

/* Makes a session of a key and signs as it from here on. */
static void begin(const char *parent, uint64_t expires_ms, const char *policy)
{
	size_t len;
	struct session session = {
		.expires_ms = expires_ms,
		.parent = bytes_of(parent),
		.key_id = bytes_of("RBSTSESSION"),
		.secret = bytes_of("a secret of a session"),
		.name = bytes_of("test"),
		.policy = bytes_of(policy),
	};
	ck_assert_ok(session_token_make(&rig.secrets, &session, token, &len));
	ck_assert_uint_eq(strlen(token), len);
	rig.sign.key_id = "RBSTSESSION";
	rig.sign.secret = "a secret of a session";
}

static const char *ask(const char *method, const char *target)
{
	gateway_rig_make(&rig, method, target);
	fake_exchange_header(&rig.fake, "x-amz-security-token", token);
	sign_request(&rig.fake, &rig.sign, NULL);
	gateway_rig_run(&rig);
	return rig.fake.response.status < 300 ? "" : gateway_rig_code(&rig);
}

START_TEST(a_token_opens_as_it_was_sealed)
{
	static char policy[SESSION_POLICY_LEN_MAX + 1], parent[ROW_ACCESS_KEY_ID_LEN_MAX + 1];
	uint8_t buf[SESSION_SEALED_LEN_MAX];
	struct session session;
	memset(policy, 'p', sizeof policy - 1);
	memset(parent, 'k', sizeof parent - 1);
	begin(parent, 12345678, policy);
	ck_assert_ok(session_token_open(&rig.secrets, bytes_of(token), buf, &session));
	ck_assert_uint_eq(session.expires_ms, 12345678);
	ck_assert(bytes_is_text(session.parent, parent));
	ck_assert(bytes_is_text(session.name, "test"));
	ck_assert(bytes_is_text(session.policy, policy));
}
END_TEST

START_TEST(what_the_key_sealed_for_others_is_no_token)
{
	/* A whole session, but for what it begins with; cut off; and nothing. */
	static const char *const plains[] = {"", "rubus", "rubus session", "secret-alice",
		"Rubus session\1........\1p\1k\1s\1n"};
	uint8_t sealed[256], buf[SESSION_SEALED_LEN_MAX];
	struct session session;
	size_t len;
	for (size_t i = 0; i < ARRAY_COUNT(plains); i++) {
		ck_assert_ok(secrets_seal(
			&rig.secrets, bytes_of(plains[i]), sealed, sizeof sealed, &len));
		base64_encode(sealed, len, token);
		ck_assert_err(session_token_open(&rig.secrets, bytes_of(token), buf, &session),
			ERR_CORRUPT);
	}
	ck_assert_ok(secrets_seal(&rig.secrets, bytes_of("rubus session\1........\1p\1k\1s\1n"),
		sealed, sizeof sealed, &len));
	base64_encode(sealed, len, token);
	ck_assert_ok(session_token_open(&rig.secrets, bytes_of(token), buf, &session));
}
END_TEST

START_TEST(a_session_ends)
{
	gateway_rig_bucket(&rig, "garden");
	begin("AKALICE", rig.wall_ms + 1, "");
	ck_assert_str_eq(ask("GET", "/garden"), "");
	begin("AKALICE", rig.wall_ms, "");
	ck_assert_str_eq(ask("GET", "/garden"), "ExpiredToken");
	ck_assert_uint_eq(rig.fake.response.status, 400);
}
END_TEST

START_TEST(a_session_is_no_more_than_its_key)
{
	gateway_rig_bucket(&rig, "garden");
	begin("AKBOB", rig.wall_ms + 1000, "");
	ck_assert_str_eq(ask("GET", "/garden"), "AccessDenied");
	begin("AKALICE", rig.wall_ms + 1000,
		"{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:ListBucket\","
		"\"Resource\":\"*\"}}");
	ck_assert_str_eq(ask("GET", "/garden"), "");
	ck_assert_str_eq(ask("DELETE", "/garden"), "AccessDenied");
	gateway_rig_key(&rig, "alice", ACCESS_KEY_DISABLED, AUTH_ROLE_OWNER, 0, "");
	ck_assert_str_eq(ask("GET", "/garden"), "InvalidAccessKeyId");
	begin("NOBODY", rig.wall_ms + 1000, "");
	ck_assert_str_eq(ask("GET", "/garden"), "InvalidAccessKeyId");
}
END_TEST

START_TEST(a_token_is_for_the_key_that_it_names)
{
	begin("AKALICE", rig.wall_ms + 1000, "");
	rig.sign.key_id = "AKALICE";
	rig.sign.secret = "secret-alice";
	ck_assert_str_eq(ask("GET", "/"), "InvalidToken");
	rig.sign.key_id = "RBSTSESSION";
	rig.sign.secret = "secret-alice";
	ck_assert_str_eq(ask("GET", "/"), "SignatureDoesNotMatch");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_token");
	TCase *tc = tcase_create("session_token");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_token_opens_as_it_was_sealed);
	tcase_add_test(tc, what_the_key_sealed_for_others_is_no_token);
	tcase_add_test(tc, a_session_ends);
	tcase_add_test(tc, a_session_is_no_more_than_its_key);
	tcase_add_test(tc, a_token_is_for_the_key_that_it_names);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
