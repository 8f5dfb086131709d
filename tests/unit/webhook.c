/* SPDX-License-Identifier: Apache-2.0 */
#include "server/webhook.h"

#include "tests/lib/test.h"

static const struct address {
	const char *text, *host, *path;
	uint16_t port;
	bool is_tls;
} addresses[] = {
	{"http://host", "host", "/", 80, false},
	{"https://host", "host", "/", 443, true},
	{"http://10.0.0.1:8080/a/b?c=d", "10.0.0.1", "/a/b?c=d", 8080, false},
	{"https://[::1]:1/x", "::1", "/x", 1, true},
	{"http://[fe80::2]", "fe80::2", "/", 80, false},
	{"http://host?q", "host", "/?q", 80, false},
};

START_TEST(an_address_is_taken_apart)
{
	const struct address *one = &addresses[_i];
	struct webhook_url url;
	ck_assert(webhook_parse_url(one->text, &url));
	ck_assert_str_eq(url.host, one->host);
	ck_assert_str_eq(url.path, one->path);
	ck_assert_uint_eq(url.port, one->port);
	ck_assert(url.is_tls == one->is_tls);
}
END_TEST

static const char *const wrong[] = {"", "host", "ftp://host", "http://", "http:///path",
	"http://host:", "http://host:0", "http://host:65536", "http://host:8x", "http://[::1",
	"http://[::1]x", "http://user@host", "http://ho st", "http://host/a b", "http://host/a#b",
	"http://host/a\r\nx: y"};

START_TEST(what_is_no_address_is_refused)
{
	struct webhook_url url;
	ck_assert_msg(!webhook_parse_url(wrong[_i], &url), "%s", wrong[_i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("webhook");
	TCase *tcase = tcase_create("addresses");
	tcase_add_loop_test(tcase, an_address_is_taken_apart, 0, ARRAY_COUNT(addresses));
	tcase_add_loop_test(tcase, what_is_no_address_is_refused, 0, ARRAY_COUNT(wrong));
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
