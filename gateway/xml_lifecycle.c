/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_lifecycle.h"

#include <stdio.h>

#include "gateway/s3_time.h"
#include "gateway/xml_out.h"
#include "storage/meta/rows.h"

enum element {
	NONE,
	CONFIGURATION,
	RULE,
	ID,
	STATUS,
	PREFIX,
	FILTER,
	AND,
	TAG,
	KEY,
	VALUE,
	ABOVE,
	BELOW,
	EXPIRATION,
	DAYS,
	DATE,
	MARKER,
	OLD,
	OLD_DAYS,
	OLD_KEEP,
	ABORT,
	ABORT_DAYS,
	TRANSITION,
	OLD_TRANSITION,
};

#define IN(element) (1u << (element))

static const struct {
	const char *name;
	uint32_t parents;
} elements[] = {
	[CONFIGURATION] = {"LifecycleConfiguration", IN(NONE)},
	[RULE] = {"Rule", IN(CONFIGURATION)},
	[ID] = {"ID", IN(RULE)},
	[STATUS] = {"Status", IN(RULE)},
	[PREFIX] = {"Prefix", IN(RULE) | IN(FILTER) | IN(AND)},
	[FILTER] = {"Filter", IN(RULE)},
	[AND] = {"And", IN(FILTER)},
	[TAG] = {"Tag", IN(FILTER) | IN(AND)},
	[KEY] = {"Key", IN(TAG)},
	[VALUE] = {"Value", IN(TAG)},
	[ABOVE] = {"ObjectSizeGreaterThan", IN(FILTER) | IN(AND)},
	[BELOW] = {"ObjectSizeLessThan", IN(FILTER) | IN(AND)},
	[EXPIRATION] = {"Expiration", IN(RULE)},
	[DAYS] = {"Days", IN(EXPIRATION)},
	[DATE] = {"Date", IN(EXPIRATION)},
	[MARKER] = {"ExpiredObjectDeleteMarker", IN(EXPIRATION)},
	[OLD] = {"NoncurrentVersionExpiration", IN(RULE)},
	[OLD_DAYS] = {"NoncurrentDays", IN(OLD)},
	[OLD_KEEP] = {"NewerNoncurrentVersions", IN(OLD)},
	[ABORT] = {"AbortIncompleteMultipartUpload", IN(RULE)},
	[ABORT_DAYS] = {"DaysAfterInitiation", IN(ABORT)},
	[TRANSITION] = {"Transition", IN(RULE)},
	[OLD_TRANSITION] = {"NoncurrentVersionTransition", IN(RULE)},
};

static struct xml_lifecycle *body_of(struct xml_in *in)
{
	return CONTAINER_OF(in, struct xml_lifecycle, in);
}

static void refuse(struct xml_lifecycle *body, enum s3_code code, const char *message)
{
	if (body->in.code == S3_OK)
		body->message = message;
	xml_in_stop(&body->in, code);
}

static enum element element_of(struct bytes name, enum element parent)
{
	for (enum element i = CONFIGURATION; i < ARRAY_COUNT(elements); i++)
		if (bytes_is_text(name, elements[i].name) && (elements[i].parents & IN(parent)))
			return i;
	return NONE;
}

/* --- elements begin --------------------------------------------------------------------------- */

static void begin_rule(struct xml_lifecycle *body)
{
	body->rule = (struct lifecycle_rule){.form = LIFECYCLE_PREFIX};
	body->tags_len = body->tag_count = 0;
	if (body->rule_count++ == LIFECYCLE_RULES_MAX)
		refuse(body, S3_INVALID_REQUEST, "There are more than 1000 rules.");
}

static void opened(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct xml_lifecycle *body = body_of(in);
	enum element parent = body->path[depth - 1];
	enum element element = element_of(name, parent);
	bool may_repeat = element == RULE || (element == TAG && parent == AND);
	(void)attributes;
	if (element == TRANSITION || element == OLD_TRANSITION) {
		refuse(body, S3_NOT_IMPLEMENTED, "There is one storage class: nothing can move.");
		return;
	}
	if (element == NONE || (!may_repeat && (body->seen[depth - 1] & IN(element))) ||
		(parent == FILTER && body->seen[depth - 1] != 0)) {
		refuse(body, S3_MALFORMED_XML, NULL);
		return;
	}
	body->seen[depth - 1] |= IN(element);
	body->path[depth] = element;
	body->seen[depth] = 0;
	if (element == RULE)
		begin_rule(body);
	else if (element == FILTER)
		body->rule.form = LIFECYCLE_FILTER;
	else if (element == AND)
		body->rule.form = LIFECYCLE_AND;
	else if (element == TAG)
		body->key_len = body->value_len = 0;
}

/* --- what elements say ------------------------------------------------------------------------ */

static bool read_number(struct bytes text, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;
	text = bytes_trim(text, XML_IN_SPACE);
	if (text.len == 0 || text.len > 18)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		number = number * 10 + (text.data[i] - '0');
	}
	*ret_number = number;
	return number <= max;
}

static void read_days(struct xml_lifecycle *body, struct bytes text, uint64_t max,
	const char *message, uint32_t *ret_days)
{
	uint64_t days;
	if (!read_number(text, max, &days) || days == 0)
		refuse(body, S3_INVALID_ARGUMENT, message);
	else
		*ret_days = days;
}

static void read_size(
	struct xml_lifecycle *body, struct bytes text, bool *ret_has, uint64_t *ret_size)
{
	*ret_has = true;
	if (!read_number(text, UINT64_MAX, ret_size))
		refuse(body, S3_MALFORMED_XML, NULL);
}

static void read_id(struct xml_lifecycle *body, struct bytes text)
{
	if (text.len > sizeof body->id) {
		refuse(body, S3_INVALID_ARGUMENT,
			"ID length should not exceed allowed limit of 255");
		return;
	}
	if (text.len > 0)
		memcpy(body->id, text.data, text.len);
	body->rule.id = bytes_make(body->id, text.len);
}

static void read_prefix(struct xml_lifecycle *body, struct bytes text)
{
	if (text.len > sizeof body->prefix) {
		refuse(body, S3_INVALID_REQUEST, "The maximum size of a prefix is 1024.");
		return;
	}
	if (text.len > 0)
		memcpy(body->prefix, text.data, text.len);
	body->rule.has_prefix = true;
	body->rule.prefix = bytes_make(body->prefix, text.len);
}

static void read_status(struct xml_lifecycle *body, struct bytes text)
{
	text = bytes_trim(text, XML_IN_SPACE);
	body->rule.is_enabled = bytes_is_text(text, "Enabled");
	if (!body->rule.is_enabled && !bytes_is_text(text, "Disabled"))
		refuse(body, S3_MALFORMED_XML, NULL);
}

/* A day alone is its midnight, as some clients write it. */
static void read_date(struct xml_lifecycle *body, struct bytes text)
{
	char full[32];
	text = bytes_trim(text, XML_IN_SPACE);
	if (text.len == 10) {
		int len = snprintf(full, sizeof full, "%.10sT00:00:00Z", (const char *)text.data);
		text = bytes_make(full, len);
	}
	if (s3_time_parse_iso8601(text, &body->rule.date_ms) != ERR_OK)
		refuse(body, S3_MALFORMED_XML, NULL);
	else if (body->rule.date_ms == 0 || body->rule.date_ms % LIFECYCLE_DAY_MS != 0)
		refuse(body, S3_INVALID_ARGUMENT, "'Date' must be at midnight GMT");
}

static void read_marker(struct xml_lifecycle *body, struct bytes text)
{
	text = bytes_trim(text, XML_IN_SPACE);
	body->rule.removes_markers = bytes_is_text(text, "true");
	if (!body->rule.removes_markers && !bytes_is_text(text, "false"))
		refuse(body, S3_MALFORMED_XML, NULL);
}

static void keep_text(struct xml_lifecycle *body, struct bytes text, uint8_t *buf, size_t *ret_len)
{
	if (text.len > XML_LIFECYCLE_TEXT_MAX) {
		refuse(body, S3_INVALID_TAG, NULL);
		return;
	}
	if (text.len > 0)
		memcpy(buf, text.data, text.len);
	*ret_len = text.len;
}

/* --- elements end ----------------------------------------------------------------------------- */

static bool has_tag(const struct xml_lifecycle *body, struct bytes key)
{
	struct bytes list = bytes_make(body->tags, body->tags_len);
	struct metadata_pair pair;
	while (metadata_next(&list, &pair))
		if (bytes_is_equal(pair.name, key))
			return true;
	return false;
}

static void end_tag(struct xml_lifecycle *body, uint32_t seen)
{
	struct bytes key = bytes_make(body->key, body->key_len);
	struct bytes value = bytes_make(body->value, body->value_len);
	if (seen != (IN(KEY) | IN(VALUE)))
		refuse(body, S3_MALFORMED_XML, NULL);
	else if (names_check_tag(key, value) != S3_OK)
		refuse(body, S3_INVALID_TAG, NULL);
	else if (has_tag(body, key))
		refuse(body, S3_INVALID_REQUEST, "Duplicate Tag Keys are not allowed.");
	else if (metadata_append(body->tags, sizeof body->tags, &body->tags_len, key, value) !=
		ERR_OK)
		refuse(body, S3_INVALID_REQUEST, "A rule may have 10 tags.");
	body->rule.tags = bytes_make(body->tags, body->tags_len);
}

static const char *what_is_wrong(const struct xml_lifecycle *body)
{
	const struct lifecycle_rule *rule = &body->rule;
	bool is_narrow = rule->tags.len > 0 || rule->has_above || rule->has_below;
	if (rule->days == 0 && rule->date_ms == 0 && !rule->removes_markers &&
		rule->old_days == 0 && rule->abort_days == 0)
		return "At least one action needs to be specified in a rule.";
	if (rule->has_above && rule->has_below && rule->above >= rule->below)
		return "ObjectSizeLessThan has to be a value greater than ObjectSizeGreaterThan.";
	if (is_narrow && rule->removes_markers)
		return "ExpiredObjectDeleteMarker cannot be specified with tags or object sizes.";
	if (is_narrow && rule->abort_days > 0)
		return "AbortIncompleteMultipartUpload cannot be specified with tags or object "
		       "sizes.";
	return NULL;
}

static bool is_id_taken(const struct xml_lifecycle *body)
{
	struct bytes list = bytes_make(body->out->data + 1, body->out->len - 1);
	struct lifecycle_rule rule;
	while (lifecycle_next(&list, &rule) == ERR_OK)
		if (bytes_is_equal(rule.id, body->rule.id))
			return true;
	return false;
}

/* A rule without a name gets one that is likely no other's. */
static void name_rule(struct xml_lifecycle *body)
{
	uint64_t hash = lifecycle_watch_of(bytes_make(body->out->data, body->out->len));
	int len = snprintf((char *)body->id, sizeof body->id, "rule-%u-%016llx", body->rule_count,
		(unsigned long long)hash);
	body->rule.id = bytes_make(body->id, len);
}

static void end_rule(struct xml_lifecycle *body, uint32_t seen)
{
	bool has_filter = seen & IN(FILTER), has_prefix = seen & IN(PREFIX);
	if (!(seen & IN(STATUS)) || has_filter == has_prefix) {
		refuse(body, S3_MALFORMED_XML, NULL);
		return;
	}
	const char *wrong = what_is_wrong(body);
	if (body->rule.id.len == 0)
		name_rule(body);
	if (wrong) {
		refuse(body, S3_INVALID_REQUEST, wrong);
	} else if (is_id_taken(body)) {
		refuse(body, S3_INVALID_ARGUMENT,
			"Rule ID must be unique. Found same ID for more than one rule");
	} else {
		lifecycle_append(body->out, &body->rule);
		if (body->out->is_full)
			refuse(body, S3_MAX_MESSAGE_LENGTH_EXCEEDED, NULL);
	}
}

/* How many of the things that exclude each other are there? */
static unsigned count_bits(uint32_t bits)
{
	return (unsigned)__builtin_popcount(bits);
}

static void end_group(struct xml_lifecycle *body, enum element element, uint32_t seen)
{
	switch (element) {
	case CONFIGURATION:
		if (body->rule_count == 0)
			refuse(body, S3_MALFORMED_XML, NULL);
		return;
	case RULE:
		end_rule(body, seen);
		return;
	case AND:
		if (seen == 0)
			refuse(body, S3_MALFORMED_XML, NULL);
		return;
	case TAG:
		end_tag(body, seen);
		return;
	case EXPIRATION:
		if (count_bits(seen) != 1)
			refuse(body, S3_MALFORMED_XML, NULL);
		return;
	case OLD:
		if (!(seen & IN(OLD_DAYS)))
			refuse(body, S3_MALFORMED_XML, NULL);
		return;
	case ABORT:
		if (seen == 0)
			refuse(body, S3_MALFORMED_XML, NULL);
		return;
	default:
		return;
	}
}

static void closed(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_lifecycle *body = body_of(in);
	struct lifecycle_rule *rule = &body->rule;
	enum element element = body->path[depth];
	(void)name;
	switch (element) {
	case ID:
		read_id(body, text);
		return;
	case STATUS:
		read_status(body, text);
		return;
	case PREFIX:
		read_prefix(body, text);
		return;
	case KEY:
		keep_text(body, text, body->key, &body->key_len);
		return;
	case VALUE:
		keep_text(body, text, body->value, &body->value_len);
		return;
	case ABOVE:
		read_size(body, text, &rule->has_above, &rule->above);
		return;
	case BELOW:
		read_size(body, text, &rule->has_below, &rule->below);
		return;
	case DAYS:
		read_days(body, text, LIFECYCLE_DAYS_MAX,
			"'Days' for Expiration action must be a positive integer", &rule->days);
		return;
	case DATE:
		read_date(body, text);
		return;
	case MARKER:
		read_marker(body, text);
		return;
	case OLD_DAYS:
		read_days(body, text, LIFECYCLE_DAYS_MAX,
			"'NoncurrentDays' for NoncurrentVersionExpiration action must be a "
			"positive integer",
			&rule->old_days);
		return;
	case OLD_KEEP:
		read_days(body, text, LIFECYCLE_KEEP_MAX,
			"'NewerNoncurrentVersions' must be a number from 1 to 100",
			&rule->old_keep);
		return;
	case ABORT_DAYS:
		read_days(body, text, LIFECYCLE_DAYS_MAX,
			"'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be "
			"a positive integer",
			&rule->abort_days);
		return;
	default:
		end_group(body, element, body->seen[depth]);
	}
}

enum err xml_lifecycle_init(struct xml_lifecycle *body, struct fields_out *out)
{
	body->message = NULL;
	body->out = out;
	body->rule_count = 0;
	body->path[0] = NONE;
	body->seen[0] = 0;
	lifecycle_begin(out);
	return xml_in_init(&body->in, opened, closed);
}

/* --- back ------------------------------------------------------------------------------------- */

static void put(struct text_out *out, enum element element, struct bytes value)
{
	xml_open(out, elements[element].name);
	xml_put_any(out, value);
	xml_close(out, elements[element].name);
}

static void put_number(struct text_out *out, enum element element, uint64_t number)
{
	if (number > 0)
		xml_element_uint(out, elements[element].name, number);
}

static void put_conditions(struct text_out *out, const struct lifecycle_rule *rule)
{
	struct bytes tags = rule->tags;
	struct metadata_pair tag;
	if (rule->has_prefix)
		put(out, PREFIX, rule->prefix);
	while (metadata_next(&tags, &tag)) {
		xml_open(out, "Tag");
		put(out, KEY, tag.name);
		put(out, VALUE, tag.value);
		xml_close(out, "Tag");
	}
	if (rule->has_above)
		xml_element_uint(out, elements[ABOVE].name, rule->above);
	if (rule->has_below)
		xml_element_uint(out, elements[BELOW].name, rule->below);
}

static void put_filter(struct text_out *out, const struct lifecycle_rule *rule)
{
	if (rule->form != LIFECYCLE_PREFIX)
		xml_open(out, "Filter");
	if (rule->form == LIFECYCLE_AND)
		xml_open(out, "And");
	put_conditions(out, rule);
	if (rule->form == LIFECYCLE_AND)
		xml_close(out, "And");
	if (rule->form != LIFECYCLE_PREFIX)
		xml_close(out, "Filter");
}

static void put_expiration(struct text_out *out, const struct lifecycle_rule *rule)
{
	uint8_t date[S3_TIME_ISO8601_LEN];
	if (rule->days == 0 && rule->date_ms == 0 && !rule->removes_markers)
		return;
	xml_open(out, "Expiration");
	put_number(out, DAYS, rule->days);
	s3_time_format_iso8601(rule->date_ms, date);
	if (rule->date_ms > 0)
		put(out, DATE, bytes_make(date, sizeof date));
	if (rule->removes_markers)
		put(out, MARKER, bytes_of("true"));
	xml_close(out, "Expiration");
}

static void put_rule(struct text_out *out, const struct lifecycle_rule *rule)
{
	xml_open(out, "Rule");
	put(out, ID, rule->id);
	put_filter(out, rule);
	put(out, STATUS, bytes_of(rule->is_enabled ? "Enabled" : "Disabled"));
	put_expiration(out, rule);
	if (rule->old_days > 0) {
		xml_open(out, elements[OLD].name);
		put_number(out, OLD_DAYS, rule->old_days);
		put_number(out, OLD_KEEP, rule->old_keep);
		xml_close(out, elements[OLD].name);
	}
	if (rule->abort_days > 0) {
		xml_open(out, elements[ABORT].name);
		put_number(out, ABORT_DAYS, rule->abort_days);
		xml_close(out, elements[ABORT].name);
	}
	xml_close(out, "Rule");
}

enum err xml_lifecycle_render(struct bytes list, struct text_out *out)
{
	struct lifecycle_rule rule;
	enum err err;
	text_put_text(out, "<LifecycleConfiguration" XML_NAMESPACE ">");
	while ((err = lifecycle_next(&list, &rule)) == ERR_OK)
		put_rule(out, &rule);
	text_put_text(out, "</LifecycleConfiguration>");
	return err == ERR_END ? ERR_OK : err;
}
