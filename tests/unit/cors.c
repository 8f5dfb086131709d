/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cors.h"

#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

/* --- rules ------------------------------------------------------------------------------------ */

#define RULE(items) "<CORSRule>" items "</CORSRule>"
#define CORS(rules) "<CORSConfiguration>" rules "</CORSConfiguration>"
#define ORIGIN(text) "<AllowedOrigin>" text "</AllowedOrigin>"
#define METHOD(text) "<AllowedMethod>" text "</AllowedMethod>"
#define HEADER(text) "<AllowedHeader>" text "</AllowedHeader>"
#define EXPOSE(text) "<ExposeHeader>" text "</ExposeHeader>"
#define GARDEN \
	CORS(RULE(ORIGIN("https://a.org") METHOD("GET") METHOD("PUT") HEADER("x-*") EXPOSE("ETag") \
		  EXPOSE("x-amz-meta-a") "<MaxAgeSeconds>60</MaxAgeSeconds>"))
#define TWO \
	CORS(RULE("<ID>first</ID>" ORIGIN("https://a.org") METHOD("PUT")) \
			RULE("<ID>second</ID>" ORIGIN("*") METHOD("GET") METHOD("HEAD")))

static const struct {
	const char *rules, *origin, *method, *headers;
	enum { NO, OWN, ANY } allowed;
} rows[] = {
	{CORS(RULE(ORIGIN("https://a.org") METHOD("GET"))), "https://a.org", "GET", NULL, OWN},
	{CORS(RULE(ORIGIN("https://a.org") METHOD("GET"))), "https://b.org", "GET", NULL, NO},
	{CORS(RULE(ORIGIN("https://a.org") METHOD("GET"))), "http://a.org", "GET", NULL, NO},
	{CORS(RULE(ORIGIN("https://a.org") METHOD("GET"))), "https://a.org:8080", "GET", NULL, NO},
	{CORS(RULE(ORIGIN("https://a.org") METHOD("GET"))), "https://A.org", "GET", NULL, NO},
	{CORS(RULE(ORIGIN("https://a.org") METHOD("GET"))), "null", "GET", NULL, NO},
	{CORS(RULE(ORIGIN("https://a.org") METHOD("GET"))), "", "GET", NULL, NO},
	{CORS(RULE(ORIGIN("https://a.org") METHOD("GET"))), "https://a.org", "PUT", NULL, NO},
	{CORS(RULE(ORIGIN("https://a.org") METHOD("GET"))), "https://a.org", "HEAD", NULL, NO},
	{CORS(RULE(ORIGIN("https://a.org") METHOD("GET"))), "https://a.org", "get", NULL, NO},
	{CORS(RULE(ORIGIN("https://a.org") METHOD("GET"))), "https://a.org", "PATCH", NULL, NO},
	{CORS(RULE(ORIGIN("*") METHOD("GET"))), "https://a.org", "GET", NULL, ANY},
	{CORS(RULE(ORIGIN("*") METHOD("GET"))), "null", "GET", NULL, ANY},
	{CORS(RULE(ORIGIN("https://*.a.org") METHOD("GET"))), "https://b.a.org", "GET", NULL, OWN},
	{CORS(RULE(ORIGIN("https://*.a.org") METHOD("GET"))), "https://a.org", "GET", NULL, NO},
	{CORS(RULE(ORIGIN("https://*.a.org") METHOD("GET"))), "https://b.a.org.b", "GET", NULL, NO},
	{CORS(RULE(ORIGIN("https://a*a.org") METHOD("GET"))), "https://a.org", "GET", NULL, NO},
	{CORS(RULE(ORIGIN("https://*") METHOD("GET"))), "http://a.org", "GET", NULL, NO},
	{CORS(RULE(ORIGIN("x") ORIGIN("https://a.org") METHOD("GET"))), "https://a.org", "GET",
		NULL, OWN},
	/* Headers of a preflight. */
	{CORS(RULE(ORIGIN("*") METHOD("PUT"))), "x", "PUT", "", ANY},
	{CORS(RULE(ORIGIN("*") METHOD("PUT"))), "x", "PUT", "x-amz-date", NO},
	{CORS(RULE(ORIGIN("*") METHOD("PUT") HEADER("*"))), "x", "PUT", "x-amz-date, a", ANY},
	{CORS(RULE(ORIGIN("*") METHOD("PUT") HEADER("x-amz-*"))), "x", "PUT", "X-AMZ-Date", ANY},
	{CORS(RULE(ORIGIN("*") METHOD("PUT") HEADER("X-Amz-Date"))), "x", "PUT", "x-amz-date", ANY},
	{CORS(RULE(ORIGIN("*") METHOD("PUT") HEADER("x-amz-*"))), "x", "PUT", "x-amz-date,other",
		NO},
	{CORS(RULE(ORIGIN("*") METHOD("PUT") HEADER("a") HEADER("b"))), "x", "PUT", " b ,, a ",
		ANY},
	/* The first rule that allows all of it. */
	{TWO, "https://a.org", "PUT", NULL, OWN},
	{TWO, "https://a.org", "GET", NULL, ANY},
	{TWO, "https://b.org", "PUT", NULL, NO},
	{TWO, "https://b.org", "HEAD", NULL, ANY},
};

static struct bucket_config_parse parse;

static struct bytes parse_rules(const char *rules)
{
	struct bytes blob, cors;
	ck_assert_int_eq(
		bucket_config_parse_init(&parse, BUCKET_CONFIG_CORS, bytes_of("garden")), S3_OK);
	ck_assert_int_eq(bucket_config_parse_feed(&parse, bytes_of(rules)), S3_OK);
	ck_assert_int_eq(bucket_config_parse_finish(&parse, &blob), S3_OK);
	bucket_config_parse_fini(&parse);
	ck_assert_ok(bucket_config_open(blob, &cors));
	return cors;
}

START_TEST(a_rule_allows_what_it_says)
{
	struct cors_match match;
	struct bytes headers = {0};
	if (rows[_i].headers)
		headers = bytes_of(rows[_i].headers);
	bool is_allowed = cors_find(parse_rules(rows[_i].rules), bytes_of(rows[_i].origin),
		bytes_of(rows[_i].method), headers, &match);
	ck_assert_msg(is_allowed == (rows[_i].allowed != NO), "%s: %s %s %s", rows[_i].rules,
		rows[_i].origin, rows[_i].method, rows[_i].headers ? rows[_i].headers : "");
	if (is_allowed)
		ck_assert(match.is_any_origin == (rows[_i].allowed == ANY));
}
END_TEST

START_TEST(rules_that_are_damaged_allow_nothing)
{
	struct cors_match match;
	struct bytes whole = parse_rules(CORS(RULE(METHOD("GET") ORIGIN("*"))));
	for (size_t len = 0; len < whole.len; len++)
		ck_assert(!cors_find(bytes_make(whole.data, len), bytes_of("x"), bytes_of("GET"),
			(struct bytes){0}, &match));
	ck_assert(cors_find(whole, bytes_of("x"), bytes_of("GET"), (struct bytes){0}, &match));
}
END_TEST

/* --- answers ---------------------------------------------------------------------------------- */

static struct gateway_rig rig;

static void setup(void)
{
	gateway_rig_open(&rig);
	gateway_rig_put(&rig, gateway_rig_bucket(&rig, "garden"), "k", "data");
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden?cors", GARDEN), 200);
}

static void teardown(void)
{
	gateway_rig_close(&rig);
}

static const char *header(const char *name)
{
	const char *value = fake_exchange_answer_header(&rig.fake, name);
	return value ? value : "";
}

static unsigned preflight(
	const char *target, const char *origin, const char *method, const char *headers)
{
	gateway_rig_make(&rig, "OPTIONS", target);
	fake_exchange_header(&rig.fake, "host", "s3.test");
	if (origin)
		fake_exchange_header(&rig.fake, "origin", origin);
	if (method)
		fake_exchange_header(&rig.fake, "access-control-request-method", method);
	if (headers)
		fake_exchange_header(&rig.fake, "access-control-request-headers", headers);
	gateway_rig_run(&rig);
	return rig.fake.response.status;
}

START_TEST(a_preflight_is_told_what_the_rule_says)
{
	ck_assert_uint_eq(preflight("/garden/k", "https://a.org", "PUT", "X-One,x-two"), 200);
	ck_assert_str_eq(header("access-control-allow-origin"), "https://a.org");
	ck_assert_str_eq(header("access-control-allow-methods"), "GET, PUT");
	ck_assert_str_eq(header("access-control-allow-headers"), "x-one, x-two");
	ck_assert_str_eq(header("access-control-expose-headers"), "ETag, x-amz-meta-a");
	ck_assert_str_eq(header("access-control-max-age"), "60");
	ck_assert_str_eq(header("access-control-allow-credentials"), "true");
	ck_assert_ptr_nonnull(strstr(header("vary"), "Origin"));
	ck_assert_uint_eq(rig.fake.answer_len, 0);
}
END_TEST

START_TEST(a_preflight_that_is_not_allowed_is_forbidden)
{
	static const struct {
		const char *target, *origin, *method, *headers;
		unsigned status;
		const char *code;
	} asked[] = {
		{"/garden/k", NULL, "PUT", NULL, 400, "BadRequest"},
		{"/garden/k", "https://a.org", NULL, NULL, 400, "BadRequest"},
		{"/garden/k", "https://a.org", "FETCH", NULL, 400, "BadRequest"},
		{"/garden/k", "https://b.org", "PUT", NULL, 403, "AccessForbidden"},
		{"/garden/k", "https://a.org", "DELETE", NULL, 403, "AccessForbidden"},
		{"/garden/k", "https://a.org", "PUT", "other", 403, "AccessForbidden"},
		{"/meadow/k", "https://a.org", "PUT", NULL, 403, "AccessForbidden"},
		{"/", "https://a.org", "PUT", NULL, 403, "AccessDenied"},
	};
	for (size_t i = 0; i < ARRAY_COUNT(asked); i++) {
		ck_assert_uint_eq(preflight(asked[i].target, asked[i].origin, asked[i].method,
					  asked[i].headers),
			asked[i].status);
		ck_assert_str_eq(gateway_rig_code(&rig), asked[i].code);
		ck_assert_str_eq(header("access-control-allow-origin"), "");
	}
}
END_TEST

START_TEST(a_list_of_headers_that_is_too_long_is_forbidden)
{
	static char names[8000];
	for (size_t i = 0; i + 1 < sizeof names; i++)
		names[i] = "x-,"[i % 3];
	ck_assert_uint_eq(preflight("/garden/k", "https://a.org", "PUT", names), 403);
}
END_TEST

static unsigned get(const char *target, const char *origin, bool is_signed)
{
	gateway_rig_make(&rig, "GET", target);
	if (origin)
		fake_exchange_header(&rig.fake, "origin", origin);
	if (is_signed)
		sign_request(&rig.fake, &rig.sign, NULL);
	else
		fake_exchange_header(&rig.fake, "host", "s3.test");
	gateway_rig_run(&rig);
	return rig.fake.response.status;
}

START_TEST(an_answer_carries_what_a_browser_needs)
{
	ck_assert_uint_eq(get("/garden/k", "https://a.org", true), 200);
	ck_assert_str_eq(header("access-control-allow-origin"), "https://a.org");
	ck_assert_str_eq(header("access-control-expose-headers"), "ETag, x-amz-meta-a");
	ck_assert_ptr_nonnull(strstr(header("vary"), "Origin"));
}
END_TEST

START_TEST(errors_carry_it_too)
{
	ck_assert_uint_eq(get("/garden/none", "https://a.org", true), 404);
	ck_assert_str_eq(header("access-control-allow-origin"), "https://a.org");
	ck_assert_uint_eq(get("/garden/k", "https://a.org", false), 403);
	ck_assert_str_eq(header("access-control-allow-origin"), "https://a.org");
	rig.sign.secret = "another";
	ck_assert_uint_eq(get("/garden/k", "https://a.org", true), 403);
	ck_assert_str_eq(header("access-control-allow-origin"), "https://a.org");
	ck_assert_uint_eq(
		get("/garden/k?X-Amz-Algorithm=AWS4-HMAC-SHA256", "https://a.org", false), 400);
	ck_assert_str_eq(header("access-control-allow-origin"), "https://a.org");
}
END_TEST

START_TEST(another_origin_is_told_only_that_answers_vary)
{
	ck_assert_uint_eq(get("/garden/k", "https://b.org", true), 200);
	ck_assert_str_eq(header("access-control-allow-origin"), "");
	ck_assert_ptr_nonnull(strstr(header("vary"), "Origin"));
	ck_assert_uint_eq(get("/garden/k", NULL, true), 200);
	ck_assert_ptr_nonnull(strstr(header("vary"), "Origin"));
}
END_TEST

START_TEST(a_bucket_without_rules_says_nothing_of_it)
{
	gateway_rig_put(&rig, gateway_rig_bucket(&rig, "meadow"), "k", "data");
	ck_assert_uint_eq(get("/meadow/k", "https://a.org", true), 200);
	ck_assert_str_eq(header("access-control-allow-origin"), "");
	ck_assert_str_eq(header("vary"), "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cors");
	TCase *rules = tcase_create("rules");
	tcase_add_loop_test(rules, a_rule_allows_what_it_says, 0, ARRAY_COUNT(rows));
	tcase_add_test(rules, rules_that_are_damaged_allow_nothing);
	suite_add_tcase(suite, rules);
	TCase *answers = tcase_create("answers");
	tcase_add_checked_fixture(answers, setup, teardown);
	tcase_add_test(answers, a_preflight_is_told_what_the_rule_says);
	tcase_add_test(answers, a_preflight_that_is_not_allowed_is_forbidden);
	tcase_add_test(answers, a_list_of_headers_that_is_too_long_is_forbidden);
	tcase_add_test(answers, an_answer_carries_what_a_browser_needs);
	tcase_add_test(answers, errors_carry_it_too);
	tcase_add_test(answers, another_origin_is_told_only_that_answers_vary);
	tcase_add_test(answers, a_bucket_without_rules_says_nothing_of_it);
	suite_add_tcase(suite, answers);
	return test_run(suite);
}
