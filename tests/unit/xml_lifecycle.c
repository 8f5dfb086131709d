/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_lifecycle.h"

#include <stdio.h>

#include "storage/meta/rows.h"
#include "tests/lib/test.h"

static struct xml_lifecycle body;
static struct fields_out rules;
static uint8_t arena[ROW_CONFIG_LEN_MAX], text[256 << 10];

static enum s3_code parse(const char *document)
{
	rules = (struct fields_out){.data = arena, .cap = sizeof arena};
	ck_assert_ok(xml_lifecycle_init(&body, &rules));
	enum s3_code code = xml_in_feed(&body.in, bytes_of(document));
	if (code == S3_OK)
		code = xml_in_finish(&body.in);
	xml_in_fini(&body.in);
	return code;
}

static const char *render(void)
{
	struct text_out out;
	struct bytes list;
	text_out_init(&out, text, sizeof text - 1);
	ck_assert_ok(lifecycle_open(bytes_make(arena, rules.len), &list));
	ck_assert_ok(xml_lifecycle_render(list, &out));
	ck_assert(!out.overflowed);
	text[out.len] = '\0';
	return (const char *)text;
}

#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define ALL(rules) "<LifecycleConfiguration" NS ">" rules "</LifecycleConfiguration>"
#define RULE(filter, actions) \
	"<Rule><ID>one</ID>" filter "<Status>Enabled</Status>" actions "</Rule>"
#define ONE(filter, actions) ALL(RULE(filter, actions))
#define PREFIX "<Prefix>a</Prefix>"
#define FILTER(text) "<Filter>" text "</Filter>"
#define AND(text) FILTER("<And>" text "</And>")
#define TAG(key, value) "<Tag><Key>" key "</Key><Value>" value "</Value></Tag>"
#define ABOVE(n) "<ObjectSizeGreaterThan>" n "</ObjectSizeGreaterThan>"
#define BELOW(n) "<ObjectSizeLessThan>" n "</ObjectSizeLessThan>"
#define EXPIRE(text) "<Expiration>" text "</Expiration>"
#define DAYS(n) EXPIRE("<Days>" n "</Days>")
#define DATE(text) EXPIRE("<Date>" text "</Date>")
#define MARKER EXPIRE("<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>")
#define OLD(text) "<NoncurrentVersionExpiration>" text "</NoncurrentVersionExpiration>"
#define OLD_DAYS(n) "<NoncurrentDays>" n "</NoncurrentDays>"
#define KEEP(n) "<NewerNoncurrentVersions>" n "</NewerNoncurrentVersions>"
#define ABORT(n) \
	"<AbortIncompleteMultipartUpload><DaysAfterInitiation>" n \
	"</DaysAfterInitiation></AbortIncompleteMultipartUpload>"

#define TWO "<Rule><ID>two</ID><Filter></Filter><Status>Disabled</Status>" ABORT("9") "</Rule>"

static const char *const kept[] = {
	ONE(PREFIX, DAYS("1")),
	ONE("<Prefix></Prefix>", DAYS("36500")),
	ONE(FILTER(""), MARKER),
	ONE(FILTER(PREFIX), DATE("2030-01-02T00:00:00.000Z")),
	ONE(FILTER(TAG("k", "v&amp;w")), DAYS("7")),
	ONE(FILTER(ABOVE("0")), DAYS("7")),
	ONE(AND(PREFIX TAG("k", "v") TAG("l", "") ABOVE("10") BELOW("12")), DAYS("7")),
	ONE(PREFIX, DAYS("2") OLD(OLD_DAYS("3") KEEP("100")) ABORT("4")),
	ALL(RULE(PREFIX, DAYS("1")) TWO),
};

START_TEST(rules_come_back_as_they_were_set)
{
	ck_assert_uint_eq(parse(kept[_i]), S3_OK);
	ck_assert_str_eq(render(), kept[_i]);
}
END_TEST

START_TEST(what_is_written_otherwise_means_the_same)
{
	ck_assert_uint_eq(parse(ONE(PREFIX, DATE(" 2030-01-02 "))), S3_OK);
	ck_assert_str_eq(render(), ONE(PREFIX, DATE("2030-01-02T00:00:00.000Z")));
	ck_assert_uint_eq(parse(ONE(PREFIX, DAYS("\n 07 "))), S3_OK);
	ck_assert_str_eq(render(), ONE(PREFIX, DAYS("7")));
}
END_TEST

START_TEST(rules_without_a_name_get_one_each)
{
	const char *rule = "<Rule>" PREFIX "<Status>Enabled</Status>" DAYS("1") "</Rule>";
	char document[1024];
	snprintf(document, sizeof document, "<LifecycleConfiguration>%s%s</LifecycleConfiguration>",
		rule, rule);
	struct lifecycle_rule one, two;
	struct bytes list;
	ck_assert_uint_eq(parse(document), S3_OK);
	ck_assert_ok(lifecycle_open(bytes_make(arena, rules.len), &list));
	ck_assert_ok(lifecycle_next(&list, &one));
	ck_assert_ok(lifecycle_next(&list, &two));
	ck_assert(one.id.len > 0 && two.id.len > 0 && !bytes_is_equal(one.id, two.id));
}
END_TEST

static const struct refused {
	const char *document;
	enum s3_code code;
} refused[] = {
	{"<LifecycleConfiguration/>", S3_MALFORMED_XML},
	{"<Rules/>", S3_MALFORMED_XML},
	{ONE("", DAYS("1")), S3_MALFORMED_XML},
	{ONE(PREFIX FILTER(PREFIX), DAYS("1")), S3_MALFORMED_XML},
	{ONE(FILTER(PREFIX TAG("k", "v")), DAYS("1")), S3_MALFORMED_XML},
	{ONE(AND(""), DAYS("1")), S3_MALFORMED_XML},
	{ONE(FILTER("<Key>k</Key>"), DAYS("1")), S3_MALFORMED_XML},
	{ONE(FILTER("<Tag><Key>k</Key></Tag>"), DAYS("1")), S3_MALFORMED_XML},
	{ONE(PREFIX, "<Days>1</Days>"), S3_MALFORMED_XML},
	{ONE(PREFIX, EXPIRE("")), S3_MALFORMED_XML},
	{ONE(PREFIX, EXPIRE("<Days>1</Days><Days>1</Days>")), S3_MALFORMED_XML},
	{ONE(PREFIX, EXPIRE("<Days>1</Days><Date>2030-01-02T00:00:00Z</Date>")), S3_MALFORMED_XML},
	{ONE(PREFIX, DATE("20300102")), S3_MALFORMED_XML},
	{ONE(PREFIX, DATE("2030-13-02")), S3_MALFORMED_XML},
	{ONE(PREFIX, DATE("2030-01-02T00:00:01Z")), S3_INVALID_ARGUMENT},
	{ONE(PREFIX, DAYS("0")), S3_INVALID_ARGUMENT},
	{ONE(PREFIX, DAYS("-1")), S3_INVALID_ARGUMENT},
	{ONE(PREFIX, DAYS("36501")), S3_INVALID_ARGUMENT},
	{ONE(PREFIX, DAYS("18446744073709551617")), S3_INVALID_ARGUMENT},
	{ONE(PREFIX, OLD(KEEP("1"))), S3_MALFORMED_XML},
	{ONE(PREFIX, OLD(OLD_DAYS("1") KEEP("101"))), S3_INVALID_ARGUMENT},
	{ONE(PREFIX, ABORT("0")), S3_INVALID_ARGUMENT},
	{ONE(PREFIX, ""), S3_INVALID_REQUEST},
	{ONE(FILTER(TAG("k", "v")), MARKER), S3_INVALID_REQUEST},
	{ONE(FILTER(ABOVE("1")), ABORT("1")), S3_INVALID_REQUEST},
	{ONE(AND(ABOVE("5") BELOW("5")), DAYS("1")), S3_INVALID_REQUEST},
	{ONE(AND(TAG("k", "v") TAG("k", "w")), DAYS("1")), S3_INVALID_REQUEST},
	{ONE(FILTER(TAG("", "v")), DAYS("1")), S3_INVALID_TAG},
	{ONE(FILTER(ABOVE("x")), DAYS("1")), S3_MALFORMED_XML},
	{ONE(PREFIX, DAYS("1") "<Status>Disabled</Status>"), S3_MALFORMED_XML},
	{ALL("<Rule>" PREFIX "<Status>enabled</Status>" DAYS("1") "</Rule>"), S3_MALFORMED_XML},
	{ALL("<Rule>" PREFIX DAYS("1") "</Rule>"), S3_MALFORMED_XML},
	{ALL(RULE(PREFIX, DAYS("1")) RULE(PREFIX, DAYS("2"))), S3_INVALID_ARGUMENT},
	{ONE(PREFIX, "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"),
		S3_NOT_IMPLEMENTED},
};

START_TEST(what_is_not_understood_deletes_nothing)
{
	enum s3_code code = parse(refused[_i].document);
	ck_assert_msg(code == refused[_i].code, "%s: %d, not %d", refused[_i].document, code,
		refused[_i].code);
}
END_TEST

START_TEST(there_are_not_more_rules_than_there_is_room_for)
{
	static char document[1 << 20];
	size_t len = (size_t)snprintf(document, sizeof document, "<LifecycleConfiguration>");
	for (int i = 0; i < 900; i++)
		len += (size_t)snprintf(document + len, sizeof document - len,
			"<Rule><ID>%0100d</ID>" PREFIX
			"<Status>Enabled</Status>" DAYS("1") "</Rule>",
			i);
	ck_assert_uint_eq(parse(document), S3_MAX_MESSAGE_LENGTH_EXCEEDED);
	memset(document, 'x', 4000);
	snprintf(document + 3000, 100, "</Prefix>");
	char *p = document;
	memcpy(p, "<LifecycleConfiguration><Rule><Prefix>", 38);
	ck_assert_uint_eq(parse(document), S3_INVALID_REQUEST);
	memcpy(p, "<LifecycleConfiguration><Rule><ID>xxxx", 38);
	snprintf(document + 3000, 100, "</ID>");
	ck_assert_uint_eq(parse(document), S3_INVALID_ARGUMENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("xml_lifecycle");
	TCase *tcase = tcase_create("documents");
	tcase_add_loop_test(tcase, rules_come_back_as_they_were_set, 0, ARRAY_COUNT(kept));
	tcase_add_test(tcase, what_is_written_otherwise_means_the_same);
	tcase_add_test(tcase, rules_without_a_name_get_one_each);
	tcase_add_loop_test(tcase, what_is_not_understood_deletes_nothing, 0, ARRAY_COUNT(refused));
	tcase_add_test(tcase, there_are_not_more_rules_than_there_is_room_for);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
