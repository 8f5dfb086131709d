/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_notification.h"

#include <stdio.h>

#include "gateway/xml_out.h"

enum element {
	NONE,
	CONFIGURATION,
	QUEUE_RULE,
	TOPIC_RULE,
	FUNCTION_RULE,
	BUS_RULE,
	ID,
	QUEUE,
	TOPIC,
	EVENT,
	FILTER,
	KEY,
	FILTER_RULE,
	NAME,
	VALUE,
};

enum filter { FILTER_UNKNOWN, FILTER_PREFIX, FILTER_SUFFIX };

#define IN(element) (1u << (element))
#define IN_RULES (IN(QUEUE_RULE) | IN(TOPIC_RULE))

static const struct {
	const char *name;
	uint32_t parents;
} elements[] = {
	[CONFIGURATION] = {"NotificationConfiguration", IN(NONE)},
	[QUEUE_RULE] = {"QueueConfiguration", IN(CONFIGURATION)},
	[TOPIC_RULE] = {"TopicConfiguration", IN(CONFIGURATION)},
	[FUNCTION_RULE] = {"CloudFunctionConfiguration", IN(CONFIGURATION)},
	[BUS_RULE] = {"EventBridgeConfiguration", IN(CONFIGURATION)},
	[ID] = {"Id", IN_RULES},
	[QUEUE] = {"Queue", IN(QUEUE_RULE)},
	[TOPIC] = {"Topic", IN(TOPIC_RULE)},
	[EVENT] = {"Event", IN_RULES},
	[FILTER] = {"Filter", IN_RULES},
	[KEY] = {"S3Key", IN(FILTER)},
	[FILTER_RULE] = {"FilterRule", IN(KEY)},
	[NAME] = {"Name", IN(FILTER_RULE)},
	[VALUE] = {"Value", IN(FILTER_RULE)},
};

#define EVENT_BIT(event) (1u << NOTICE_##event)
#define CREATED \
	(EVENT_BIT(CREATED_PUT) | EVENT_BIT(CREATED_POST) | EVENT_BIT(CREATED_COPY) | \
		EVENT_BIT(CREATED_COMPLETE))

static const struct {
	const char *name;
	uint32_t group; /* enum notice_group; 0: one event */
	uint32_t events;
} events[] = {
	{"s3:ObjectCreated:*", NOTICE_GROUP_CREATED, CREATED},
	{"s3:ObjectCreated:Put", 0, EVENT_BIT(CREATED_PUT)},
	{"s3:ObjectCreated:Post", 0, EVENT_BIT(CREATED_POST)},
	{"s3:ObjectCreated:Copy", 0, EVENT_BIT(CREATED_COPY)},
	{"s3:ObjectCreated:CompleteMultipartUpload", 0, EVENT_BIT(CREATED_COMPLETE)},
	{"s3:ObjectRemoved:*", NOTICE_GROUP_REMOVED,
		EVENT_BIT(REMOVED_DELETE) | EVENT_BIT(REMOVED_MARKER)},
	{"s3:ObjectRemoved:Delete", 0, EVENT_BIT(REMOVED_DELETE)},
	{"s3:ObjectRemoved:DeleteMarkerCreated", 0, EVENT_BIT(REMOVED_MARKER)},
	{"s3:LifecycleExpiration:*", NOTICE_GROUP_EXPIRED,
		EVENT_BIT(EXPIRED_DELETE) | EVENT_BIT(EXPIRED_MARKER)},
	{"s3:LifecycleExpiration:Delete", 0, EVENT_BIT(EXPIRED_DELETE)},
	{"s3:LifecycleExpiration:DeleteMarkerCreated", 0, EVENT_BIT(EXPIRED_MARKER)},
	{"s3:ObjectTagging:*", NOTICE_GROUP_TAGS, EVENT_BIT(TAGS_PUT) | EVENT_BIT(TAGS_DELETE)},
	{"s3:ObjectTagging:Put", 0, EVENT_BIT(TAGS_PUT)},
	{"s3:ObjectTagging:Delete", 0, EVENT_BIT(TAGS_DELETE)},
};

/* Events of S3 that nothing here ever causes. */
static const char *const absent_events[] = {"s3:ObjectRestore:*", "s3:ObjectRestore:Post",
	"s3:ObjectRestore:Completed", "s3:ObjectRestore:Delete", "s3:ReducedRedundancyLostObject",
	"s3:Replication:*", "s3:Replication:OperationFailedReplication",
	"s3:Replication:OperationNotTracked", "s3:Replication:OperationMissedThreshold",
	"s3:Replication:OperationReplicatedAfterThreshold", "s3:LifecycleTransition",
	"s3:IntelligentTiering", "s3:ObjectAcl:Put"};

const char *xml_notification_event_name(unsigned event)
{
	for (size_t i = 0; event < NOTICE_EVENT_COUNT && i < ARRAY_COUNT(events); i++)
		if (events[i].group == 0 && events[i].events == 1u << event)
			return events[i].name;
	return NULL;
}

static struct xml_notification *body_of(struct xml_in *in)
{
	return CONTAINER_OF(in, struct xml_notification, in);
}

static void refuse(struct xml_notification *body, enum s3_code code, const char *message)
{
	if (body->in.code == S3_OK)
		body->message = message;
	xml_in_stop(&body->in, code);
}

static void refuse_argument(
	struct xml_notification *body, const char *message, const char *name, struct bytes value)
{
	size_t len = value.len < sizeof body->argument ? value.len : sizeof body->argument;
	if (body->in.code == S3_OK) {
		body->argument_name = name;
		if (len > 0)
			memcpy(body->argument, value.data, len);
		body->argument_len = len;
	}
	refuse(body, S3_INVALID_ARGUMENT, message);
}

/* --- ARNs ------------------------------------------------------------------------------------- */

static bool is_name(struct bytes name)
{
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];
		bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!is_letter && !(c >= '0' && c <= '9') && !strchr("-_.", c))
			return false;
	}
	return name.len > 0 && name.len <= NOTICE_TARGET_LEN_MAX;
}

bool xml_notification_parse_arn(struct bytes arn, struct bytes *ret_name)
{
	struct bytes parts[6];
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		bool is_last = i + 1 == ARRAY_COUNT(parts);
		const uint8_t *colon = arn.len > 0 ? memchr(arn.data, ':', arn.len) : NULL;
		if (is_last != !colon)
			return false;
		size_t len = colon ? (size_t)(colon - arn.data) : arn.len;
		parts[i] = bytes_make(arn.data, len);
		arn = bytes_from(arn, colon ? len + 1 : len);
	}
	bool is_own = bytes_is_text(parts[1], "rubus") || bytes_is_text(parts[1], "minio");
	if (!bytes_is_text(parts[0], "arn") || (!is_own && !bytes_is_text(parts[1], "aws")) ||
		(!bytes_is_text(parts[2], "sqs") && !bytes_is_text(parts[2], "sns")) ||
		(is_own && !bytes_is_text(parts[5], "webhook")))
		return false;
	*ret_name = is_own ? parts[4] : parts[5];
	return is_name(*ret_name);
}

static bool is_webhook(const struct xml_notification *body, struct bytes name)
{
	for (size_t i = 0; i < body->webhook_count; i++)
		if (bytes_is_equal(body->webhooks[i], name))
			return true;
	return false;
}

static void read_arn(struct xml_notification *body, struct bytes text)
{
	const char *message = "Unable to validate the following destination configurations";
	struct bytes name;
	char shown[NOTICE_ARN_LEN_MAX + 1] = "";
	bool is_good = text.len <= sizeof body->arn && xml_notification_parse_arn(text, &name);
	if (!is_good || !is_webhook(body, name)) {
		snprintf(shown, sizeof shown, "%s, %.*s",
			is_good ? "The destination does not exist" : "The ARN is not well formed",
			(int)(text.len < 200 ? text.len : 200), (const char *)text.data);
		refuse_argument(body, message, body->rule.form == NOTICE_QUEUE ? "Queue" : "Topic",
			bytes_of(shown));
		return;
	}
	memcpy(body->arn, text.data, text.len);
	body->rule.arn = bytes_make(body->arn, text.len);
	body->rule.target = bytes_make(
		body->arn + (name.data - text.data), name.len); /* inside of it */
}

/* --- elements begin --------------------------------------------------------------------------- */

static enum element element_of(struct bytes name, enum element parent)
{
	for (enum element i = CONFIGURATION; i < ARRAY_COUNT(elements); i++)
		if (bytes_is_text(name, elements[i].name) && (elements[i].parents & IN(parent)))
			return i;
	return NONE;
}

static bool may_repeat(enum element element)
{
	return element == QUEUE_RULE || element == TOPIC_RULE || element == EVENT ||
		element == FILTER_RULE;
}

static void opened(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct xml_notification *body = body_of(in);
	enum element parent = body->path[depth - 1];
	enum element element = element_of(name, parent);
	(void)attributes;
	if (element == FUNCTION_RULE || element == BUS_RULE) {
		refuse(body, S3_NOT_IMPLEMENTED, "Only webhooks can be told: queues and topics.");
		return;
	}
	if (element == NONE || (!may_repeat(element) && (body->seen[depth - 1] & IN(element)))) {
		refuse(body, S3_MALFORMED_XML, NULL);
		return;
	}
	body->seen[depth - 1] |= IN(element);
	body->path[depth] = element;
	body->seen[depth] = 0;
	if (element == QUEUE_RULE || element == TOPIC_RULE)
		body->rule = (struct notice_rule){
			.form = element == QUEUE_RULE ? NOTICE_QUEUE : NOTICE_TOPIC};
	if (element == FILTER_RULE) {
		body->filter = FILTER_UNKNOWN;
		body->value_len = 0;
	}
}

/* --- what elements say ------------------------------------------------------------------------ */

static void read_id(struct xml_notification *body, struct bytes text)
{
	if (text.len > sizeof body->id) {
		refuse(body, S3_INVALID_ARGUMENT, "The ID must be at most 255 characters long");
		return;
	}
	if (text.len > 0)
		memcpy(body->id, text.data, text.len);
	body->rule.id = bytes_make(body->id, text.len);
}

static void read_event(struct xml_notification *body, struct bytes text)
{
	for (size_t i = 0; i < ARRAY_COUNT(absent_events); i++)
		if (bytes_is_text(text, absent_events[i]))
			refuse(body, S3_NOT_IMPLEMENTED, "No such events happen on this server.");
	for (size_t i = 0; i < ARRAY_COUNT(events); i++) {
		if (!bytes_is_text(text, events[i].name))
			continue;
		body->rule.events |= events[i].events;
		body->rule.groups |= events[i].group;
		body->rule.singles |= events[i].group ? 0 : events[i].events;
		return;
	}
	refuse_argument(
		body, "A specified event is not supported for notifications.", "Event", text);
}

static bool is_word(struct bytes text, const char *word)
{
	if (text.len != strlen(word))
		return false;
	for (size_t i = 0; i < text.len; i++)
		if ((text.data[i] | 0x20) != word[i])
			return false;
	return true;
}

static void read_filter_name(struct xml_notification *body, struct bytes text)
{
	body->filter = is_word(text, "prefix") ? FILTER_PREFIX
		: is_word(text, "suffix")      ? FILTER_SUFFIX
					       : FILTER_UNKNOWN;
	if (body->filter == FILTER_UNKNOWN)
		refuse_argument(body, "filter rule name must be either prefix or suffix",
			"FilterRule.Name", text);
}

static void read_filter_value(struct xml_notification *body, struct bytes text)
{
	if (text.len > sizeof body->value) {
		refuse_argument(body,
			"Size of filter rule value cannot exceed 1024 bytes in UTF-8 "
			"representation",
			"FilterRule.Value", text);
		return;
	}
	if (text.len > 0)
		memcpy(body->value, text.data, text.len);
	body->value_len = text.len;
}

/* --- elements end ----------------------------------------------------------------------------- */

static void end_filter(struct xml_notification *body, uint32_t seen)
{
	bool is_prefix = body->filter == FILTER_PREFIX;
	bool *has = is_prefix ? &body->rule.has_prefix : &body->rule.has_suffix;
	uint8_t *place = is_prefix ? body->prefix : body->suffix;
	if (seen != (IN(NAME) | IN(VALUE))) {
		refuse(body, S3_MALFORMED_XML, NULL);
		return;
	}
	if (*has) {
		refuse_argument(body,
			is_prefix ? "Cannot specify more than one prefix rule in a filter."
				  : "Cannot specify more than one suffix rule in a filter.",
			"FilterRule.Name", bytes_of(is_prefix ? "prefix" : "suffix"));
		return;
	}
	*has = true;
	memcpy(place, body->value, body->value_len);
	*(is_prefix ? &body->rule.prefix : &body->rule.suffix) = bytes_make(place, body->value_len);
}

/* What does not let the rule stand beside those before it; NULL: nothing. */
static const char *what_is_in_the_way(const struct xml_notification *body)
{
	struct bytes list = bytes_make(body->out->data + 1, body->out->len - 1);
	struct notice_rule rule;
	while (notice_next(&list, &rule) == ERR_OK) {
		if (bytes_is_equal(rule.id, body->rule.id))
			return "Same ID used for multiple configurations. IDs must be unique";
		if (notice_overlaps(&rule, &body->rule))
			return "Configuration is ambiguously defined. Cannot have overlapping "
			       "suffixes in two rules if the prefixes are overlapping for the same "
			       "event type.";
	}
	return NULL;
}

/* A rule without a name gets one that is likely no other's. */
static void name_rule(struct xml_notification *body)
{
	uint64_t hash = notice_hash_of(bytes_make(body->out->data, body->out->len));
	int len = snprintf((char *)body->id, sizeof body->id, "rule-%u-%016llx", body->rule_count,
		(unsigned long long)hash);
	body->rule.id = bytes_make(body->id, len);
}

static void end_rule(struct xml_notification *body, uint32_t seen)
{
	if (!(seen & (IN(QUEUE) | IN(TOPIC))) || !(seen & IN(EVENT))) {
		refuse(body, S3_MALFORMED_XML, NULL);
		return;
	}
	if (body->rule_count++ == NOTICE_RULES_MAX) {
		refuse(body, S3_INVALID_REQUEST, "There are more than 100 configurations.");
		return;
	}
	if (body->rule.id.len == 0)
		name_rule(body);
	const char *wrong = what_is_in_the_way(body);
	if (wrong) {
		refuse(body, S3_INVALID_ARGUMENT, wrong);
		return;
	}
	notice_append(body->out, &body->rule);
	if (body->out->is_full)
		refuse(body, S3_MAX_MESSAGE_LENGTH_EXCEEDED, NULL);
}

static void closed(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_notification *body = body_of(in);
	(void)name;
	switch (body->path[depth]) {
	case QUEUE_RULE:
	case TOPIC_RULE:
		end_rule(body, body->seen[depth]);
		break;
	case ID:
		read_id(body, bytes_trim(text, XML_IN_SPACE));
		break;
	case QUEUE:
	case TOPIC:
		read_arn(body, bytes_trim(text, XML_IN_SPACE));
		break;
	case EVENT:
		read_event(body, bytes_trim(text, XML_IN_SPACE));
		break;
	case FILTER_RULE:
		end_filter(body, body->seen[depth]);
		break;
	case NAME:
		read_filter_name(body, bytes_trim(text, XML_IN_SPACE));
		break;
	case VALUE:
		read_filter_value(body, text);
		break;
	default:
		break;
	}
}

enum err xml_notification_init(struct xml_notification *body, struct fields_out *out)
{
	body->webhooks = NULL;
	body->webhook_count = 0;
	body->message = body->argument_name = NULL;
	body->argument_len = 0;
	body->out = out;
	body->rule_count = 0;
	body->path[0] = NONE;
	body->seen[0] = 0;
	notice_begin(out);
	return xml_in_init(&body->in, opened, closed);
}

/* --- back ------------------------------------------------------------------------------------- */

static void render_filter(struct text_out *out, const char *name, struct bytes value)
{
	text_put_text(out, "<FilterRule>");
	xml_element(out, "Name", bytes_of(name));
	text_put_text(out, "<Value>");
	xml_put_any(out, value);
	text_put_text(out, "</Value></FilterRule>");
}

static void render_rule(struct text_out *out, const struct notice_rule *rule)
{
	bool is_queue = rule->form == NOTICE_QUEUE;
	xml_open(out, is_queue ? "QueueConfiguration" : "TopicConfiguration");
	text_put_text(out, "<Id>");
	xml_put_any(out, rule->id);
	text_put_text(out, "</Id>");
	xml_element(out, is_queue ? "Queue" : "Topic", rule->arn);
	for (size_t i = 0; i < ARRAY_COUNT(events); i++)
		if (events[i].group ? (rule->groups & events[i].group) != 0
				    : (rule->singles & events[i].events) != 0)
			xml_element(out, "Event", bytes_of(events[i].name));
	if (rule->has_prefix || rule->has_suffix) {
		text_put_text(out, "<Filter><S3Key>");
		if (rule->has_prefix)
			render_filter(out, "Prefix", rule->prefix);
		if (rule->has_suffix)
			render_filter(out, "Suffix", rule->suffix);
		text_put_text(out, "</S3Key></Filter>");
	}
	xml_close(out, is_queue ? "QueueConfiguration" : "TopicConfiguration");
}

enum err xml_notification_render(struct bytes list, struct text_out *out)
{
	struct notice_rule rule;
	enum err err;
	text_put_text(out, "<NotificationConfiguration" XML_NAMESPACE ">");
	while ((err = notice_next(&list, &rule)) == ERR_OK)
		render_rule(out, &rule);
	text_put_text(out, "</NotificationConfiguration>");
	return err == ERR_END ? ERR_OK : err;
}
