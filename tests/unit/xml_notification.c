/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_notification.h"

#include "gateway/bucket_config.h"
#include "tests/lib/test.h"

#define DECLARED "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define CONFIG(rules) "<NotificationConfiguration" NS ">" rules "</NotificationConfiguration>"
#define QUEUE(items) "<QueueConfiguration>" items "</QueueConfiguration>"
#define ARN(name) "<Queue>arn:rubus:sqs::" name ":webhook</Queue>"
#define EVENT(name) "<Event>s3:" name "</Event>"
#define LEAST ARN("hook") EVENT("ObjectCreated:Put")
#define FILTER(rules) "<Filter><S3Key>" rules "</S3Key></Filter>"
#define RULE(name, value) "<FilterRule><Name>" name "</Name><Value>" value "</Value></FilterRule>"

static struct bucket_config_parse parse;
static char text[64 * 1024];

/* S3_OK: text is what is given back. */
static enum s3_code give(const char *document)
{
	static const struct bytes webhooks[] = {
		{(const uint8_t *)"hook", 4}, {(const uint8_t *)"other", 5}};
	struct bytes blob;
	struct text_out out;
	enum s3_code code = bucket_config_parse_init(
		&parse, BUCKET_CONFIG_NOTIFICATION, bytes_of("garden"));
	ck_assert_int_eq(code, S3_OK);
	parse.xml.notification.webhooks = webhooks;
	parse.xml.notification.webhook_count = ARRAY_COUNT(webhooks);
	code = bucket_config_parse_feed(&parse, bytes_of(document));
	if (code == S3_OK)
		code = bucket_config_parse_finish(&parse, &blob);
	if (code == S3_OK && blob.len > 0) {
		text_out_init(&out, text, sizeof text - 1);
		ck_assert_ok(bucket_config_render(BUCKET_CONFIG_NOTIFICATION, blob, &out));
		ck_assert(!out.overflowed);
		text[out.len] = '\0';
	} else {
		text[0] = '\0';
	}
	bucket_config_parse_fini(&parse);
	return code;
}

START_TEST(what_was_set_is_given_back)
{
	static const char *const documents[] = {
		CONFIG(QUEUE("<Id>one</Id>" LEAST)),
		CONFIG(QUEUE("<Id>&lt;1&gt;</Id>" ARN("hook") EVENT("ObjectCreated:*")
				EVENT("ObjectRemoved:Delete") EVENT("LifecycleExpiration:*")
					FILTER(RULE("Prefix", "a b/") RULE("Suffix", ".jpg")))),
		CONFIG("<TopicConfiguration><Id>t</Id><Topic>arn:aws:sns:r:1:other</Topic>" EVENT(
			"ObjectTagging:Put") "</TopicConfiguration>" QUEUE("<Id>q</Id>" LEAST)),
	};
	ck_assert_int_eq(give(documents[_i]), S3_OK);
	ck_assert_str_eq(text + strlen(DECLARED), documents[_i]);
}
END_TEST

START_TEST(no_rules_are_no_configuration)
{
	ck_assert_int_eq(give(CONFIG("")), S3_OK);
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(a_rule_without_a_name_gets_one)
{
	ck_assert_int_eq(
		give(CONFIG(QUEUE(LEAST) QUEUE(ARN("hook") EVENT("ObjectRemoved:*")))), S3_OK);
	ck_assert_ptr_nonnull(strstr(text, "<Id>rule-1-"));
	ck_assert_ptr_nonnull(strstr(text, "<Id>rule-2-"));
}
END_TEST

static const struct refused {
	const char *document;
	enum s3_code code;
	const char *argument;
} refused[] = {
	{"<NotificationConfiguration>", S3_MALFORMED_XML, NULL},
	{CONFIG("<Other/>"), S3_MALFORMED_XML, NULL},
	{CONFIG(QUEUE("")), S3_MALFORMED_XML, NULL},
	{CONFIG(QUEUE(ARN("hook"))), S3_MALFORMED_XML, NULL},
	{CONFIG(QUEUE(EVENT("ObjectCreated:Put"))), S3_MALFORMED_XML, NULL},
	{CONFIG(QUEUE(LEAST ARN("hook"))), S3_MALFORMED_XML, NULL},
	{CONFIG(QUEUE("<Topic>arn:rubus:sqs::hook:webhook</Topic>")), S3_MALFORMED_XML, NULL},
	{CONFIG(QUEUE(ARN("nobody") EVENT("ObjectCreated:Put"))), S3_INVALID_ARGUMENT, "Queue"},
	{CONFIG(QUEUE("<Queue>hook</Queue>")), S3_INVALID_ARGUMENT, "Queue"},
	{CONFIG(QUEUE(ARN("hook") EVENT("ObjectCreated:Never"))), S3_INVALID_ARGUMENT, "Event"},
	{CONFIG(QUEUE(ARN("hook") EVENT("ObjectRestore:*"))), S3_NOT_IMPLEMENTED, NULL},
	{CONFIG("<CloudFunctionConfiguration/>"), S3_NOT_IMPLEMENTED, NULL},
	{CONFIG("<EventBridgeConfiguration/>"), S3_NOT_IMPLEMENTED, NULL},
	{CONFIG(QUEUE(LEAST FILTER(RULE("infix", "x")))), S3_INVALID_ARGUMENT, "FilterRule.Name"},
	{CONFIG(QUEUE(LEAST FILTER(RULE("prefix", "x") RULE("PREFIX", "y")))), S3_INVALID_ARGUMENT,
		"FilterRule.Name"},
	{CONFIG(QUEUE(LEAST FILTER("<FilterRule><Name>prefix</Name></FilterRule>"))),
		S3_MALFORMED_XML, NULL},
	{CONFIG(QUEUE(LEAST) QUEUE(LEAST)), S3_INVALID_ARGUMENT, NULL},
	{CONFIG(QUEUE("<Id>a</Id>" LEAST) QUEUE("<Id>a</Id>" ARN("hook") EVENT("ObjectRemoved:*"))),
		S3_INVALID_ARGUMENT, NULL},
	{CONFIG(QUEUE(LEAST FILTER(RULE("prefix", "a")))
			 QUEUE(ARN("other") EVENT("ObjectCreated:*") FILTER(RULE("prefix", "ab")))),
		S3_INVALID_ARGUMENT, NULL},
};

START_TEST(what_cannot_be_done_is_refused)
{
	const struct refused *one = &refused[_i];
	ck_assert_msg(give(one->document) == one->code, "%s", one->document);
	const char *argument = parse.xml.notification.argument_name;
	ck_assert_msg(one->argument ? argument && strcmp(argument, one->argument) == 0 : !argument,
		"%s", one->document);
}
END_TEST

START_TEST(a_webhook_has_three_names)
{
	static const char *const good[] = {"arn:rubus:sqs::my-hook_1.x:webhook",
		"arn:minio:sqs:us-east-1:my-hook_1.x:webhook", "arn:aws:sqs:r:1:my-hook_1.x",
		"arn:aws:sns:::my-hook_1.x"};
	static const char *const bad[] = {"", "arn:rubus:sqs::hook", "arn:rubus:sqs::hook:kafka",
		"arn:rubus:sqs:::webhook", "arn:aws:sqs:::a/b", "arn:aws:lambda:::hook",
		"arn:aws:sqs:::a:b", "urn:aws:sqs:::hook", "arn:other:sqs::hook:webhook"};
	struct bytes name;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		ck_assert_msg(xml_notification_parse_arn(bytes_of(good[i]), &name), "%s", good[i]);
		ck_assert(bytes_is_text(name, "my-hook_1.x"));
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		ck_assert_msg(!xml_notification_parse_arn(bytes_of(bad[i]), &name), "%s", bad[i]);
}
END_TEST

START_TEST(every_event_has_a_name)
{
	for (unsigned i = 0; i < NOTICE_EVENT_COUNT; i++)
		ck_assert_ptr_nonnull(xml_notification_event_name(i));
	ck_assert_ptr_null(xml_notification_event_name(NOTICE_EVENT_COUNT));
}
END_TEST

START_TEST(a_list_that_is_damaged_is_not_rendered)
{
	struct text_out out;
	text_out_init(&out, text, sizeof text);
	ck_assert_err(xml_notification_render(bytes_of("\7x"), &out), ERR_CORRUPT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("xml_notification");
	TCase *tcase = tcase_create("documents");
	tcase_add_loop_test(tcase, what_was_set_is_given_back, 0, 3);
	tcase_add_test(tcase, no_rules_are_no_configuration);
	tcase_add_test(tcase, a_rule_without_a_name_gets_one);
	tcase_add_loop_test(tcase, what_cannot_be_done_is_refused, 0, ARRAY_COUNT(refused));
	tcase_add_test(tcase, a_webhook_has_three_names);
	tcase_add_test(tcase, every_event_has_a_name);
	tcase_add_test(tcase, a_list_that_is_damaged_is_not_rendered);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
