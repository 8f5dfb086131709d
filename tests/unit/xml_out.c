/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_out.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"

static uint8_t buf[8192];
static struct text_out out;

static void check(const char *expected)
{
	ck_assert_msg(bytes_is_text(text_out_bytes(&out), expected), "%.*s", (int)out.len,
		(const char *)buf);
	text_out_init(&out, buf, sizeof buf);
}

START_TEST(text_is_escaped_but_quotes_are_not)
{
	text_out_init(&out, buf, sizeof buf);
	xml_put(&out, bytes_of("\"abc\" <&> it's"));
	check("\"abc\" &lt;&amp;&gt; it's");
	xml_put(&out,
		bytes_of("a\rb\tc\nd\x01"
			 "e\x1f"));
	check("a&#13;b\tc\nd&#x1;e&#x1F;");
	xml_put(&out, bytes_make("\0", 1));
	check("&#x0;");
}
END_TEST

START_TEST(url_mode_encodes_all_but_unreserved_and_slash)
{
	text_out_init(&out, buf, sizeof buf);
	xml_put_key(&out, bytes_of("a b+c/d%~\xc3\xa4&"), true);
	check("a%20b%2Bc/d%25~%C3%A4%26");
	xml_put_key(&out, bytes_of("a b&"), false);
	check("a b&amp;");
}
END_TEST

START_TEST(elements_are_written_whole)
{
	text_out_init(&out, buf, sizeof buf);
	xml_element(&out, "Key", bytes_of("<"));
	xml_element_uint(&out, "Size", 18);
	xml_element_bool(&out, "IsTruncated", false);
	check("<Key>&lt;</Key><Size>18</Size><IsTruncated>false</IsTruncated>");
}
END_TEST

static size_t escape_model(const uint8_t *text, size_t len, char *model)
{
	size_t model_len = 0;
	for (size_t i = 0; i < len; i++) {
		const char *format = text[i] == '&' ? "&amp;"
			: text[i] == '<'            ? "&lt;"
			: text[i] == '>'            ? "&gt;"
			: text[i] == '\r'           ? "&#%d;"
						    : "&#x%X;";
		if (strchr("&<>\r", text[i]) || (text[i] < 0x20 && !strchr("\t\n", text[i])))
			model_len += snprintf(model + model_len, 8, format, text[i]);
		else
			model[model_len++] = text[i];
	}
	return model_len;
}

START_TEST(the_fast_scan_agrees_with_one_byte_at_a_time)
{
	uint64_t seed = 3;
	for (int round = 0; round < 20000; round++) {
		size_t len = test_random(&seed) % 100;
		/* On the heap, so that the sanitizer sees a read beyond the end. */
		uint8_t *text = malloc(len + 1);
		test_random_fill(&seed, text, len);
		for (size_t i = 0; i < len; i++) {
			if (test_random(&seed) % 16 != 0)
				text[i] = 'a' + text[i] % 26;
		}
		text = realloc(text, len > 0 ? len : 1);
		char model[700];
		size_t model_len = escape_model(text, len, model);
		text_out_init(&out, buf, sizeof buf);
		xml_put(&out, bytes_make(text, len));
		ck_assert(bytes_is_equal(text_out_bytes(&out), bytes_make(model, model_len)));
		free(text);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("xml_out");
	TCase *tc = tcase_create("xml_out");
	tcase_add_test(tc, text_is_escaped_but_quotes_are_not);
	tcase_add_test(tc, url_mode_encodes_all_but_unreserved_and_slash);
	tcase_add_test(tc, elements_are_written_whole);
	tcase_add_test(tc, the_fast_scan_agrees_with_one_byte_at_a_time);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
