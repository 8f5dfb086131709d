/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_in.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"

static struct xml_in in;
static char seen[4096];
static enum s3_code stop_at_close;

static void note(const char *what, unsigned depth, struct bytes name, struct bytes text)
{
	size_t len = strlen(seen);
	snprintf(seen + len, sizeof seen - len, "%s%u%.*s(%.*s) ", what, depth, (int)name.len,
		(const char *)name.data, (int)text.len, (const char *)text.data);
}

static void open_seen(struct xml_in *of, unsigned depth, struct bytes name, const char **attributes)
{
	ck_assert_ptr_eq(of, &in);
	note("<", depth, name, bytes_of(attributes[0] ? attributes[0] : ""));
}

static void close_seen(struct xml_in *of, unsigned depth, struct bytes name, struct bytes text)
{
	note(">", depth, name, text);
	if (stop_at_close != S3_OK)
		xml_in_stop(of, stop_at_close);
}

/* Parses a document in pieces of that length. */
static enum s3_code parse(struct bytes document, size_t piece_len)
{
	seen[0] = 0;
	ck_assert_ok(xml_in_init(&in, open_seen, close_seen));
	enum s3_code code = S3_OK;
	while (document.len > 0 && code == S3_OK) {
		size_t len = document.len < piece_len ? document.len : piece_len;
		code = xml_in_feed(&in, bytes_make(document.data, len));
		ck_assert_uint_le(in.memory, XML_IN_MEMORY_MAX);
		document = bytes_from(document, len);
	}
	enum s3_code end = xml_in_finish(&in);
	if (code != S3_OK)
		ck_assert_int_eq(end, code);
	xml_in_fini(&in);
	return end;
}

static enum s3_code parse_text(const char *text)
{
	return parse(bytes_of(text), SIZE_MAX);
}

START_TEST(elements_and_their_text_are_told)
{
	static const char text[] = "<?xml version=\"1.0\"?><a xmlns=\"u\"> <s:b x='1'>t&amp;&#x41; "
				   "</s:b>\n<c/><d><![CDATA[<&]]>e</d></a>\n";
	static const char *const expected =
		"<1a(xmlns) <2b(x) >2b(t&A ) <2c() >2c() <2d() >2d(<&e) >1a() ";
	ck_assert_int_eq(parse_text(text), S3_OK);
	ck_assert_str_eq(seen, expected);
	ck_assert_int_eq(parse(bytes_of(text), 1), S3_OK);
	ck_assert_str_eq(seen, expected);
}
END_TEST

START_TEST(documents_with_a_type_are_refused)
{
	static const char *const documents[] = {
		"<!DOCTYPE a><a/>",
		"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
		"<!DOCTYPE a SYSTEM \"http://127.0.0.1/a.dtd\"><a/>",
		"<!DOCTYPE a PUBLIC \"-//x\" \"http://127.0.0.1/a.dtd\"><a/>",
		"<!DOCTYPE a [<!ENTITY % p SYSTEM \"http://127.0.0.1/\"> %p;]><a/>",
		"<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol1 "
		"\"&lol;&lol;&lol;&lol;&lol;&lol;\"><!ENTITY lol2 \"&lol1;&lol1;&lol1;\">]>"
		"<lolz>&lol2;</lolz>",
	};
	for (size_t i = 0; i < ARRAY_COUNT(documents); i++) {
		ck_assert_int_eq(parse_text(documents[i]), S3_MALFORMED_XML);
		ck_assert_str_eq(seen, "");
	}
}
END_TEST

START_TEST(what_is_not_xml_is_refused)
{
	static const char *const documents[] = {"", " ", "a", "<a>", "<a></b>", "<a>&x;</a>",
		"<a>&</a>", "<a>\x01</a>", "<a>&#x1;</a>", "<a>&#0;</a>", "<a>\xff</a>", "<a/><b/>",
		"<a x=1/>", "<a x='1' x='2'/>", "{\"a\":1}", "\xff\xfe<\0a\0/\0>\0",
		"<?xml version=\"1.0\" encoding=\"x\"?", "<a>\xed\xa0\x80</a>"};
	for (size_t i = 0; i < ARRAY_COUNT(documents); i++)
		ck_assert_msg(parse_text(documents[i]) == S3_MALFORMED_XML, "%s", documents[i]);
}
END_TEST

START_TEST(the_claimed_encoding_changes_nothing)
{
	ck_assert_int_eq(
		parse_text("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xc3\xa4</a>"),
		S3_OK);
	ck_assert_str_eq(seen, "<1a() >1a(\xc3\xa4) ");
}
END_TEST

START_TEST(every_bound_ends_the_parse)
{
	uint8_t *text = malloc(XML_IN_DOCUMENT_LEN_MAX + 100);
	struct text_out out;

	for (int depth = XML_IN_DEPTH_MAX; depth <= XML_IN_DEPTH_MAX + 1; depth++) {
		text_out_init(&out, text, 1000);
		for (int i = 0; i < depth; i++)
			text_put_text(&out, "<a>");
		for (int i = 0; i < depth; i++)
			text_put_text(&out, "</a>");
		ck_assert_int_eq(parse(text_out_bytes(&out), SIZE_MAX),
			depth <= XML_IN_DEPTH_MAX ? S3_OK : S3_MALFORMED_XML);
	}
	for (int more = 0; more <= 1; more++) {
		memcpy(text, "<a>", 3);
		memset(text + 3, 't', XML_IN_TEXT_LEN_MAX + more);
		memcpy(text + 3 + XML_IN_TEXT_LEN_MAX + more, "</a>", 4);
		ck_assert_int_eq(parse(bytes_make(text, 7 + XML_IN_TEXT_LEN_MAX + more), 100),
			more == 0 ? S3_OK : S3_MALFORMED_XML);
	}
	for (int more = 0; more <= 1; more++) {
		memset(text, ' ', XML_IN_DOCUMENT_LEN_MAX + 1);
		memcpy(text, "<a/>", 4);
		ck_assert_int_eq(parse(bytes_make(text, XML_IN_DOCUMENT_LEN_MAX + more), 65536),
			more == 0 ? S3_OK : S3_MAX_MESSAGE_LENGTH_EXCEEDED);
	}
	/* One token of a megabyte: the parser may not collect it. */
	static const char *const tokens[] = {"<a x='", "<!--", "<", "<a ", "<?a "};
	for (size_t i = 0; i < ARRAY_COUNT(tokens); i++) {
		memset(text, 'x', 1 << 20);
		memcpy(text, tokens[i], strlen(tokens[i]));
		ck_assert_int_eq(parse(bytes_make(text, 1 << 20), 16384), S3_MALFORMED_XML);
	}
	/* Many attributes. */
	text_out_init(&out, text, 1 << 20);
	text_put_text(&out, "<a");
	for (int i = 0; i < 20000; i++) {
		text_put_text(&out, " a");
		text_put_uint(&out, i);
		text_put_text(&out, "=''");
	}
	text_put_text(&out, "/>");
	ck_assert_int_eq(parse(text_out_bytes(&out), 16384), S3_MALFORMED_XML);
	free(text);
}
END_TEST

START_TEST(a_handler_can_end_the_parse)
{
	stop_at_close = S3_INVALID_TAG;
	ck_assert_int_eq(parse_text("<a><b/><c/></a>"), S3_INVALID_TAG);
	ck_assert_str_eq(seen, "<1a() <2b() >2b() ");
	stop_at_close = S3_OK;
}
END_TEST

START_TEST(two_parsers_take_turns)
{
	struct xml_in other;
	seen[0] = 0;
	ck_assert_ok(xml_in_init(&in, open_seen, close_seen));
	ck_assert_ok(xml_in_init(&other, open_seen, close_seen));
	ck_assert_int_eq(xml_in_feed(&in, bytes_of("<a>")), S3_OK);
	ck_assert_int_eq(xml_in_feed(&in, bytes_of("text")), S3_OK);
	xml_in_fini(&other);
	ck_assert_int_eq(xml_in_feed(&in, bytes_of("</a>")), S3_OK);
	ck_assert_int_eq(xml_in_finish(&in), S3_OK);
	ck_assert_str_eq(seen, "<1a() >1a(text) ");
	xml_in_fini(&in);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("xml_in");
	TCase *tc = tcase_create("xml_in");
	tcase_add_test(tc, elements_and_their_text_are_told);
	tcase_add_test(tc, documents_with_a_type_are_refused);
	tcase_add_test(tc, what_is_not_xml_is_refused);
	tcase_add_test(tc, the_claimed_encoding_changes_nothing);
	tcase_add_test(tc, every_bound_ends_the_parse);
	tcase_add_test(tc, a_handler_can_end_the_parse);
	tcase_add_test(tc, two_parsers_take_turns);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
