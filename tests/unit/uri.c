/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/uri.h"

#include <stdlib.h>

#include "tests/lib/test.h"

static struct s3_error_detail detail;
static uint8_t scratch[8192];

static enum s3_code resolve(const char *path, const char *host, struct uri_resource *ret_resource)
{
	static const char *const names[] = {"s3.example.com", "example.com", "s3.Local"};
	struct bytes domains[ARRAY_COUNT(names)];
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		domains[i] = bytes_of(names[i]);
	s3_error_detail_init(&detail);
	return uri_resolve(bytes_of(path), bytes_of(host), domains, ARRAY_COUNT(domains), scratch,
		sizeof scratch, ret_resource, &detail);
}

static void check(const char *path, const char *host, const char *bucket, const char *key)
{
	struct uri_resource resource;
	enum s3_code code = resolve(path, host, &resource);
	ck_assert_msg(code == S3_OK, "%s: %s", path, s3_error_code(code));
	ck_assert_msg(bytes_is_text(resource.bucket, bucket), "%s %s: bucket %.*s", host, path,
		(int)resource.bucket.len, (const char *)resource.bucket.data);
	ck_assert_msg(bytes_is_text(resource.key, key), "%s %s: key %.*s", host, path,
		(int)resource.key.len, (const char *)resource.key.data);
}

START_TEST(a_target_is_split_at_the_first_question_mark)
{
	struct uri uri;
	ck_assert_ok(uri_split(bytes_of("/b/k?a=b?c"), &uri));
	ck_assert(bytes_is_text(uri.path, "/b/k"));
	ck_assert(bytes_is_text(uri.query, "a=b?c"));
	ck_assert_ok(uri_split(bytes_of("/"), &uri));
	ck_assert(bytes_is_text(uri.path, "/"));
	ck_assert_uint_eq(uri.query.len, 0);
	ck_assert_err(uri_split(bytes_of("http://h/b"), &uri), ERR_INVALID);
	ck_assert_err(uri_split(bytes_of("*"), &uri), ERR_INVALID);
	ck_assert_err(uri_split(bytes_of(""), &uri), ERR_INVALID);
}
END_TEST

START_TEST(path_style_takes_the_first_segment_as_bucket)
{
	check("/", "10.0.0.1:9000", "", "");
	check("/b", "10.0.0.1:9000", "b", "");
	check("/b/", "[::1]:9000", "b", "");
	check("/b/k", "[::1]", "b", "k");
	check("/b//k/", "", "b", "/k/");
	check("/b/../x/./y", "other.org", "b", "../x/./y");
	check("/b/a+b%20c%2Bd%25e", "other.org", "b", "a+b c+d%e");
	check("/b/%e4%BD%a0", "other.org", "b", "\xe4\xbd\xa0");
	check("/b%2Fk", "other.org", "b", "k");
	check("/b/%252e", "other.org", "b", "%2e");
}
END_TEST

START_TEST(a_host_under_a_domain_is_the_bucket)
{
	check("/k", "b.s3.example.com:9000", "b", "k");
	check("/k", "B.S3.EXAMPLE.com", "b", "k");
	check("/", "a.b.s3.local", "a.b", "");
	check("//k", "a.b.s3.local", "a.b", "/k");
	check("/b/k", "s3.example.com", "b", "k");
	check("/b/k", "example.com:80", "b", "k");
	check("/k", "x.example.com", "x", "k");
	check("/b/k", "xs3.local", "b", "k");
	check("/b/k", ".s3.local", "b", "k");
}
END_TEST

START_TEST(broken_paths_are_refused)
{
	struct uri_resource resource;
	ck_assert_int_eq(resolve("/b/%", "", &resource), S3_INVALID_URI);
	ck_assert_int_eq(resolve("/b/%2", "", &resource), S3_INVALID_URI);
	ck_assert_int_eq(resolve("/b/%zz", "", &resource), S3_INVALID_URI);
	ck_assert_int_eq(resolve("/b/%c0%af", "", &resource), S3_INVALID_URI);
	ck_assert_int_eq(resolve("/b/%ed%a0%80", "", &resource), S3_INVALID_URI);
	ck_assert_int_eq(resolve("/b/%f4%90%80%80", "", &resource), S3_INVALID_URI);
	ck_assert_int_eq(resolve("//k", "", &resource), S3_INVALID_URI);
}
END_TEST

START_TEST(a_key_has_at_most_1024_decoded_bytes)
{
	char path[3 + 3 * 1025 + 1] = "/b/";
	for (size_t i = 0; i < 1024; i++)
		memcpy(path + 3 + 3 * i, "%61", 4);
	char *end = path + strlen(path);
	struct uri_resource resource;
	ck_assert_int_eq(resolve(path, "", &resource), S3_OK);
	ck_assert_uint_eq(resource.key.len, 1024);
	end[0] = 'a';
	ck_assert_int_eq(resolve(path, "", &resource), S3_KEY_TOO_LONG);
	ck_assert_str_eq(detail.fields[0].name, "Size");
	ck_assert(bytes_is_text(detail.fields[0].value, "1025"));
	ck_assert(bytes_is_text(detail.fields[1].value, "1024"));
}
END_TEST

START_TEST(the_canonical_path_is_decoded_once_and_encoded_again)
{
	static const struct {
		const char *path;
		const char *canonical;
	} cases[] = {
		{"/", "/"},
		{"/b/a+b", "/b/a%2Bb"},
		{"/b/a%20b", "/b/a%20b"},
		{"/b/%7e~", "/b/~~"},
		{"/b/%2f", "/b//"},
		{"/b/../c//", "/b/../c//"},
		{"/b/%252e", "/b/%252e"},
		{"/b/%e4%bd%a0!*", "/b/%E4%BD%A0%21%2A"},
		{"/b/%zz", "/b/%25zz"},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint8_t buf[64];
		struct text_out out;
		text_out_init(&out, buf, sizeof buf);
		uri_put_canonical_path(&out, bytes_of(cases[i].path));
		ck_assert_msg(bytes_is_text(text_out_bytes(&out), cases[i].canonical), "%s: %.*s",
			cases[i].path, (int)out.len, (const char *)buf);
	}
}
END_TEST

START_TEST(decoding_what_was_encoded_gives_the_same_bytes)
{
	uint64_t seed = 1;
	for (int round = 0; round < 2000; round++) {
		uint8_t text[100], encoded[300], decoded[100];
		size_t len = test_random(&seed) % sizeof text;
		test_random_fill(&seed, text, len);
		struct text_out out;
		text_out_init(&out, encoded, sizeof encoded);
		uri_encode(&out, bytes_make(text, len), round % 2);
		struct bytes result;
		ck_assert_ok(uri_decode(text_out_bytes(&out), decoded, sizeof decoded, &result));
		ck_assert(bytes_is_equal(result, bytes_make(text, len)));
	}
}
END_TEST

/* The definition, by way of code points. */
static bool is_utf8_model(struct bytes text)
{
	for (size_t i = 0; i < text.len;) {
		bool found = false;
		for (uint32_t len = 1; len <= 4 && i + len <= text.len && !found; len++) {
			static const uint8_t lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
			static const uint32_t least[6] = {0, 0, 0x80, 0x800, 0x10000, 0x110000};
			uint32_t point = len == 1 ? text.data[i] : text.data[i] ^ lead[len];
			bool is_form = len == 1 ? point < 0x80 : point < (1u << (7 - len));
			for (uint32_t j = 1; j < len; j++) {
				uint32_t low = text.data[i + j] ^ 0x80;
				is_form = is_form && low < 64;
				point = point << 6 | low;
			}
			if (is_form && point >= least[len] && point < least[5] &&
				point >> 11 != 27) {
				i += len;
				found = true;
			}
		}
		if (!found)
			return false;
	}
	return true;
}

START_TEST(utf8_is_what_its_definition_says)
{
	for (uint32_t lead = 0; lead < 256; lead++) {
		for (uint32_t second = 0; second < 256; second++) {
			uint8_t text[12] = {
				lead, second, 0x80, 0xbf, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'};
			for (size_t len = 1; len <= 5; len++) {
				struct bytes bytes = {text, len};
				ck_assert_int_eq(uri_is_utf8(bytes), is_utf8_model(bytes));
			}
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("uri");
	TCase *tc = tcase_create("uri");
	tcase_add_test(tc, a_target_is_split_at_the_first_question_mark);
	tcase_add_test(tc, path_style_takes_the_first_segment_as_bucket);
	tcase_add_test(tc, a_host_under_a_domain_is_the_bucket);
	tcase_add_test(tc, broken_paths_are_refused);
	tcase_add_test(tc, a_key_has_at_most_1024_decoded_bytes);
	tcase_add_test(tc, the_canonical_path_is_decoded_once_and_encoded_again);
	tcase_add_test(tc, decoding_what_was_encoded_gives_the_same_bytes);
	tcase_add_test(tc, utf8_is_what_its_definition_says);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
