/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_lock.h"

#include "tests/lib/test.h"

static enum s3_code feed(struct xml_in *in, const char *text)
{
	struct bytes document = bytes_of(text);
	enum s3_code code = S3_OK;
	for (; document.len > 0 && code == S3_OK; document = bytes_from(document, 1))
		code = xml_in_feed(in, bytes_make(document.data, 1));
	if (code == S3_OK)
		code = xml_in_finish(in);
	xml_in_fini(in);
	return code;
}

static struct xml_lock_configuration configuration;
static struct xml_retention retention;
static struct xml_legal_hold legal_hold;

static enum s3_code parse_configuration(const char *text)
{
	ck_assert_ok(xml_lock_configuration_init(&configuration));
	return feed(&configuration.in, text);
}

static enum s3_code parse_retention(const char *text)
{
	ck_assert_ok(xml_retention_init(&retention));
	return feed(&retention.in, text);
}

static enum s3_code parse_legal_hold(const char *text)
{
	ck_assert_ok(xml_legal_hold_init(&legal_hold));
	return feed(&legal_hold.in, text);
}

#define ENABLED "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
#define LOCK(inner) "<ObjectLockConfiguration>" inner "</ObjectLockConfiguration>"
#define RULE(inner) LOCK(ENABLED "<Rule><DefaultRetention>" inner "</DefaultRetention></Rule>")

START_TEST(a_lock_has_a_rule_or_none)
{
	ck_assert_int_eq(parse_configuration(LOCK(ENABLED)), S3_OK);
	ck_assert(!configuration.has_rule);
	ck_assert_int_eq(
		parse_configuration(RULE("<Mode>GOVERNANCE</Mode>\n <Days> 30 </Days>")), S3_OK);
	ck_assert(configuration.has_rule);
	ck_assert_int_eq(configuration.rule.mode, RETENTION_GOVERNANCE);
	ck_assert_uint_eq(configuration.rule.days, 30);
	ck_assert_uint_eq(configuration.rule.years, 0);
	ck_assert_int_eq(
		parse_configuration(RULE("<Years>100</Years><Mode>COMPLIANCE</Mode>")), S3_OK);
	ck_assert_int_eq(configuration.rule.mode, RETENTION_COMPLIANCE);
	ck_assert_uint_eq(configuration.rule.years, 100);
}
END_TEST

START_TEST(a_lock_that_is_not_whole_is_refused)
{
	static const char *const documents[] = {
		LOCK(""),
		LOCK("<ObjectLockEnabled>Disabled</ObjectLockEnabled>"),
		LOCK(ENABLED "<Rule/>"),
		RULE(""),
		RULE("<Mode>GOVERNANCE</Mode>"),
		RULE("<Days>1</Days>"),
		RULE("<Mode>governance</Mode><Days>1</Days>"),
		RULE("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"),
		RULE("<Mode>GOVERNANCE</Mode><Days>one</Days>"),
		RULE("<Mode>GOVERNANCE</Mode><Days/>"),
		"<ObjectLock>" ENABLED "</ObjectLock>",
		LOCK(ENABLED "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days>"
			     "</DefaultRetention><DefaultRetention><Mode>COMPLIANCE</Mode>"
			     "</DefaultRetention></Rule>"),
	};
	for (size_t i = 0; i < ARRAY_COUNT(documents); i++)
		ck_assert_msg(
			parse_configuration(documents[i]) == S3_MALFORMED_XML, "%s", documents[i]);
}
END_TEST

START_TEST(a_period_has_bounds)
{
	static const char *const documents[] = {
		RULE("<Mode>GOVERNANCE</Mode><Days>0</Days>"),
		RULE("<Mode>GOVERNANCE</Mode><Days>-1</Days>"),
		RULE("<Mode>GOVERNANCE</Mode><Days>36501</Days>"),
		RULE("<Mode>GOVERNANCE</Mode><Days>99999999999999999999999</Days>"),
		RULE("<Mode>GOVERNANCE</Mode><Years>101</Years>"),
	};
	for (size_t i = 0; i < ARRAY_COUNT(documents); i++)
		ck_assert_msg(parse_configuration(documents[i]) == S3_INVALID_RETENTION_PERIOD,
			"%s", documents[i]);
}
END_TEST

START_TEST(a_retention_has_both_or_nothing)
{
	ck_assert_int_eq(
		parse_retention(
			"<Retention><Mode>COMPLIANCE</Mode>"
			"<RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>"),
		S3_OK);
	ck_assert_int_eq(retention.mode, RETENTION_COMPLIANCE);
	ck_assert_uint_eq(retention.until_ms, UINT64_C(1893456000000));
	ck_assert_int_eq(parse_retention("<Retention/>"), S3_OK);
	ck_assert_int_eq(retention.mode, RETENTION_NONE);
	ck_assert_uint_eq(retention.until_ms, 0);
	static const char *const documents[] = {
		"<Retention><Mode>COMPLIANCE</Mode></Retention>",
		"<Retention><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>",
		"<Retention><Mode>NONE</Mode></Retention>",
		"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>soon</RetainUntilDate>"
		"</Retention>",
		"<Retain/>",
	};
	for (size_t i = 0; i < ARRAY_COUNT(documents); i++)
		ck_assert_msg(
			parse_retention(documents[i]) == S3_MALFORMED_XML, "%s", documents[i]);
}
END_TEST

START_TEST(a_legal_hold_is_on_or_off)
{
	ck_assert_int_eq(parse_legal_hold("<LegalHold><Status>ON</Status></LegalHold>"), S3_OK);
	ck_assert(legal_hold.is_on);
	ck_assert_int_eq(parse_legal_hold("<LegalHold><Status>OFF</Status></LegalHold>"), S3_OK);
	ck_assert(!legal_hold.is_on);
	static const char *const documents[] = {"<LegalHold/>",
		"<LegalHold><Status>on</Status></LegalHold>", "<LegalHold><Status/></LegalHold>",
		"<Hold><Status>ON</Status></Hold>"};
	for (size_t i = 0; i < ARRAY_COUNT(documents); i++)
		ck_assert_msg(
			parse_legal_hold(documents[i]) == S3_MALFORMED_XML, "%s", documents[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("xml_lock");
	TCase *tc = tcase_create("xml_lock");
	tcase_add_test(tc, a_lock_has_a_rule_or_none);
	tcase_add_test(tc, a_lock_that_is_not_whole_is_refused);
	tcase_add_test(tc, a_period_has_bounds);
	tcase_add_test(tc, a_retention_has_both_or_nothing);
	tcase_add_test(tc, a_legal_hold_is_on_or_off);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
