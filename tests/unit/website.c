/* SPDX-License-Identifier: Apache-2.0 */
/* Websites: what a browser is answered. Bodies are for tests/s3/website.py. */
#include "gateway/website.h"

#include <stdio.h>

#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

static struct gateway_rig rig;
static uint64_t garden;

#define INDEX "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
#define WEBSITE(items) "<WebsiteConfiguration>" items "</WebsiteConfiguration>"
#define RULE(condition, redirect) \
	"<RoutingRules><RoutingRule><Condition>" condition "</Condition><Redirect>" redirect \
	"</Redirect></RoutingRule></RoutingRules>"

static void setup(void)
{
	gateway_rig_open(&rig);
	garden = gateway_rig_bucket(&rig, "garden");
	rig.gateway.settings.website_domains[0] = bytes_of("web.test");
	rig.gateway.settings.website_domain_count = 1;
}

static void teardown(void)
{
	gateway_rig_close(&rig);
}

static void configure(const char *document)
{
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden?website", document), 200);
}

/* Strangers may read and list everything, or what begins with that. */
static void open_to_all(const char *resource)
{
	char policy[512];
	snprintf(policy, sizeof policy,
		"{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", "
		"\"Principal\": \"*\", \"Action\": [\"s3:GetObject\", \"s3:ListBucket\"], "
		"\"Resource\": [\"arn:aws:s3:::garden\", \"arn:aws:s3:::garden/%s\"]}]}",
		resource);
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden?policy", policy), 204);
}

static unsigned browse(const char *method, const char *target)
{
	gateway_rig_make(&rig, method, target);
	fake_exchange_header(&rig.fake, "host", "Garden.web.test:8080");
	gateway_rig_run(&rig);
	ck_assert(rig.fake.is_answered);
	return rig.fake.response.status;
}

static const char *location(void)
{
	const char *text = fake_exchange_answer_header(&rig.fake, "location");
	return text ? text : "";
}

static bool says(const char *text)
{
	return rig.fake.answer && strstr((const char *)rig.fake.answer, text);
}

START_TEST(a_bucket_that_is_none_says_so_in_a_page)
{
	ck_assert_uint_eq(browse("GET", "/%3Cb%3E"), 404);
	ck_assert(says("<li>Code: NoSuchWebsiteConfiguration</li>"));
	ck_assert_str_eq(
		fake_exchange_answer_header(&rig.fake, "content-type"), "text/html; charset=utf-8");
}
END_TEST

START_TEST(strangers_are_shown_nothing_that_no_policy_lets_them_read)
{
	configure(WEBSITE(INDEX));
	gateway_rig_put(&rig, garden, "index.html", "front");
	ck_assert_uint_eq(browse("GET", "/"), 403);
	ck_assert(says("<h1>403 Forbidden</h1>"));
	open_to_all("other*");
	ck_assert_uint_eq(browse("HEAD", "/"), 403);
	open_to_all("*");
	ck_assert_uint_eq(browse("HEAD", "/"), 200);
}
END_TEST

START_TEST(what_is_not_there_is_named_without_being_believed)
{
	configure(WEBSITE(INDEX));
	open_to_all("*");
	ck_assert_uint_eq(browse("GET", "/%3Cscript%3E"), 404);
	ck_assert(says("<li>Key: &lt;script&gt;</li>"));
	ck_assert_uint_eq(browse("GET", "/docs/"), 404);
	ck_assert(says("<li>Key: docs/index.html</li>"));
}
END_TEST

START_TEST(a_place_without_its_slash_is_sent_there)
{
	configure(WEBSITE(INDEX));
	open_to_all("*");
	gateway_rig_put(&rig, garden, "a b/index.html", "here");
	ck_assert_uint_eq(browse("GET", "/a%20b"), 302);
	ck_assert_str_eq(location(), "http://Garden.web.test:8080/a%20b/");
	ck_assert_uint_eq(browse("HEAD", "/a%20b/"), 200);
}
END_TEST

/* Puts an object that says where it is. */
static void put_moved(const char *key, const char *to)
{
	uint8_t metadata[256];
	size_t len = 0;
	struct command command = {.type = COMMAND_OBJECT_PUT};
	ck_assert_ok(metadata_append(metadata, sizeof metadata, &len,
		bytes_of("x-amz-website-redirect-location"), bytes_of(to)));
	command.object_put.bucket = garden;
	command.object_put.key = bytes_of(key);
	command.object_put.attributes.metadata = bytes_make(metadata, len);
	command.object_put.body.inline_data = bytes_of("here");
	command.object_put.body.len = strlen("here");
	ck_assert_uint_eq(rig_code(&rig.rig, &command), COMMAND_OK);
}

START_TEST(an_object_that_is_elsewhere_is_shown_if_it_does_not_say_where)
{
	configure(WEBSITE(INDEX));
	open_to_all("*");
	put_moved("moved", "/there");
	ck_assert_uint_eq(browse("HEAD", "/moved"), 301);
	ck_assert_str_eq(location(), "/there");
	put_moved("lost", "");
	ck_assert_uint_eq(browse("HEAD", "/lost"), 200);
}
END_TEST

START_TEST(rules_are_followed_by_prefix_and_error)
{
	configure(
		WEBSITE(INDEX RULE("<KeyPrefixEquals>old/</KeyPrefixEquals>"
				   "<HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>",
			"<HostName>h</HostName><Protocol>https</Protocol>"
			"<ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith>"
			"<HttpRedirectCode>307</HttpRedirectCode>")));
	open_to_all("*");
	gateway_rig_put(&rig, garden, "old/is", "there");
	ck_assert_uint_eq(browse("GET", "/old/was"), 307);
	ck_assert_str_eq(location(), "https://h/new/was");
	ck_assert_uint_eq(browse("HEAD", "/old/is"), 200);
	ck_assert_uint_eq(browse("GET", "/other"), 404);
}
END_TEST

START_TEST(a_host_in_a_redirect_cannot_end_a_header)
{
	configure(
		WEBSITE("<RedirectAllRequestsTo><HostName>h:1</HostName></RedirectAllRequestsTo>"));
	ck_assert_uint_eq(browse("GET", "/a%0D%0Ab?c"), 301);
	ck_assert_str_eq(location(), "http://h:1/a%0D%0Ab");
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden?website",
				  WEBSITE("<RedirectAllRequestsTo><HostName>h&#13;&#10;x</HostName>"
					  "</RedirectAllRequestsTo>")),
		400);
}
END_TEST

START_TEST(a_website_takes_nothing_and_sub_resources_mean_nothing)
{
	configure(WEBSITE(INDEX));
	open_to_all("*");
	gateway_rig_put(&rig, garden, "index.html", "front");
	ck_assert_uint_eq(browse("PUT", "/x"), 405);
	ck_assert_uint_eq(browse("DELETE", "/index.html"), 405);
	ck_assert_uint_eq(browse("HEAD", "/index.html?acl&policy&versionId=x"), 200);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("website");
	TCase *tcase = tcase_create("pages");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_bucket_that_is_none_says_so_in_a_page);
	tcase_add_test(tcase, strangers_are_shown_nothing_that_no_policy_lets_them_read);
	tcase_add_test(tcase, what_is_not_there_is_named_without_being_believed);
	tcase_add_test(tcase, a_place_without_its_slash_is_sent_there);
	tcase_add_test(tcase, an_object_that_is_elsewhere_is_shown_if_it_does_not_say_where);
	tcase_add_test(tcase, rules_are_followed_by_prefix_and_error);
	tcase_add_test(tcase, a_host_in_a_redirect_cannot_end_a_header);
	tcase_add_test(tcase, a_website_takes_nothing_and_sub_resources_mean_nothing);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
