/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/form_policy.h"

#include <jansson.h>

#include "gateway/s3_time.h"

enum { NUMBER_DIGITS_MAX = 18 };

static const char *const uncovered[] = {
	"awsaccesskeyid", "file", "policy", "signature", "x-amz-signature"};

/* --- why not ---------------------------------------------------------------------------------- */

static enum s3_code refuse(
	struct form_policy *policy, enum s3_code code, const char *why, struct bytes more)
{
	struct text_out out;
	text_out_init(&out, policy->message, sizeof policy->message - 1);
	text_put_text(&out,
		code == S3_ACCESS_DENIED ? "Invalid according to Policy: " : "Invalid Policy: ");
	text_put_text(&out, why);
	size_t room = out.cap - out.len;
	text_put(&out, more.data, more.len < room ? more.len : room);
	policy->message[out.len] = '\0';
	policy->message_len = out.len;
	return code;
}

static enum s3_code malformed(struct form_policy *policy, const char *why)
{
	return refuse(policy, S3_INVALID_POLICY_DOCUMENT, why, (struct bytes){0});
}

static enum s3_code failed(struct form_policy *policy, const json_t *condition)
{
	char text[256];
	size_t len = json_dumpb(condition, text, sizeof text, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	if (len > sizeof text)
		len = 0;
	return refuse(policy, S3_ACCESS_DENIED, "Policy Condition failed: ", bytes_make(text, len));
}

/* --- conditions ------------------------------------------------------------------------------- */

static struct bytes string_of(const json_t *text)
{
	return bytes_make(json_string_value(text), json_string_length(text));
}

static bool is_same_in_any_case(struct bytes a, struct bytes b)
{
	return a.len == b.len &&
		strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

/* The field that a condition is about. SIZE_MAX: there is none. */
static size_t find_field(const struct form *form, struct bytes name)
{
	for (size_t i = 0; i < form->field_count; i++)
		if (is_same_in_any_case(form->fields[i].name, name))
			return i;
	return SIZE_MAX;
}

/* Of a list of types, each begins so. */
static bool all_begin(struct bytes list, struct bytes prefix)
{
	while (list.len > 0) {
		const uint8_t *comma = memchr(list.data, ',', list.len);
		struct bytes item = bytes_make(
			list.data, comma ? (size_t)(comma - list.data) : list.len);
		if (!bytes_has_prefix(bytes_trim(item, " \t"), prefix))
			return false;
		list = bytes_from(list, comma ? item.len + 1 : item.len);
	}
	return true;
}

struct condition {
	struct bytes name, value;
	bool is_prefix;
};

/* (P2) */
static bool holds(const struct form_policy *policy, const struct condition *condition, size_t field)
{
	struct bytes value = condition->value;
	if (is_same_in_any_case(condition->name, bytes_of("bucket"))) /* (P3) */
		return condition->is_prefix ? bytes_has_prefix(policy->bucket, value)
					    : bytes_is_equal(policy->bucket, value);
	if (field == SIZE_MAX)
		return false;
	struct bytes text = policy->form->fields[field].value;
	if (is_same_in_any_case(condition->name, bytes_of("key"))) {
		bool is_raw = !condition->is_prefix && bytes_is_equal(text, value);
		text = policy->key;
		if (is_raw)
			return true;
	}
	if (!condition->is_prefix)
		return bytes_is_equal(text, value);
	if (is_same_in_any_case(condition->name, bytes_of("content-type")))
		return text.len > 0 ? all_begin(text, value) : value.len == 0;
	return bytes_has_prefix(text, value);
}

/* A number, or a string that is one. */
static bool read_number(const json_t *json, uint64_t *ret_value)
{
	if (json_is_integer(json) && json_integer_value(json) >= 0) {
		*ret_value = json_integer_value(json);
		return true;
	}
	struct bytes text = json_is_string(json) ? string_of(json) : (struct bytes){0};
	uint64_t value = 0;
	if (text.len == 0 || text.len > NUMBER_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (text.data[i] - '0');
	}
	*ret_value = value;
	return true;
}

static enum s3_code take_range(struct form_policy *policy, const json_t *list)
{
	uint64_t min, max;
	if (json_array_size(list) != 3 || !read_number(json_array_get(list, 1), &min) ||
		!read_number(json_array_get(list, 2), &max))
		return malformed(policy, "Invalid content-length-range condition.");
	if (min > policy->len_min)
		policy->len_min = min;
	if (max < policy->len_max)
		policy->len_max = max;
	return S3_OK;
}

static enum s3_code weigh(struct form_policy *policy, const struct condition *condition,
	const json_t *json, bool *covered)
{
	size_t field = find_field(policy->form, condition->name);
	if (field != SIZE_MAX)
		covered[field] = true;
	return holds(policy, condition, field) ? S3_OK : failed(policy, json);
}

/* ["eq", "$name", "value"], ["starts-with", "$name", "prefix"], ["content-length-range", 1, 9] */
static enum s3_code weigh_list(struct form_policy *policy, const json_t *list, bool *covered)
{
	const json_t *op = json_array_get(list, 0), *name = json_array_get(list, 1);
	const json_t *value = json_array_get(list, 2);
	struct condition condition = {.is_prefix = false};

	if (!json_is_string(op))
		return malformed(policy, "Invalid Condition: it must begin with its operation.");
	if (is_same_in_any_case(string_of(op), bytes_of("content-length-range")))
		return take_range(policy, list);
	condition.is_prefix = is_same_in_any_case(string_of(op), bytes_of("starts-with"));
	if (!condition.is_prefix && !is_same_in_any_case(string_of(op), bytes_of("eq")))
		return malformed(policy, "Invalid Condition: unknown operation.");
	if (json_array_size(list) != 3 || !json_is_string(name) || !json_is_string(value) ||
		!bytes_has_prefix(string_of(name), bytes_of("$")))
		return malformed(policy, "Invalid Condition: wrong number or kind of arguments.");
	condition.name = bytes_from(string_of(name), 1);
	condition.value = string_of(value);
	return weigh(policy, &condition, list, covered);
}

/* {"name": "value"} */
static enum s3_code weigh_pair(struct form_policy *policy, json_t *object, bool *covered)
{
	void *pair = json_object_iter(object);
	if (json_object_size(object) != 1 || !json_is_string(json_object_iter_value(pair)))
		return malformed(policy,
			"Invalid Simple-Condition: Simple-Conditions must have exactly one "
			"property specified.");
	struct condition condition = {
		.name = bytes_of(json_object_iter_key(pair)),
		.value = string_of(json_object_iter_value(pair)),
	};
	return weigh(policy, &condition, object, covered);
}

/* (P1) */
static enum s3_code check_covered(struct form_policy *policy, const bool *covered)
{
	for (size_t i = 0; i < policy->form->field_count; i++) {
		struct bytes name = policy->form->fields[i].name;
		bool is_free = covered[i] || bytes_has_prefix(name, bytes_of("x-ignore-"));
		for (size_t j = 0; j < ARRAY_COUNT(uncovered) && !is_free; j++)
			is_free = bytes_is_text(name, uncovered[j]);
		if (!is_free)
			return refuse(policy, S3_ACCESS_DENIED, "Extra input fields: ", name);
	}
	return S3_OK;
}

/* --- the document ----------------------------------------------------------------------------- */

static enum s3_code check_expiration(struct form_policy *policy, const json_t *document)
{
	const json_t *expiration = json_object_get(document, "expiration");
	uint64_t until_ms;
	if (!expiration)
		return malformed(policy, "Policy missing expiration.");
	if (!json_is_string(expiration) ||
		s3_time_parse_iso8601(string_of(expiration), &until_ms) != ERR_OK)
		return refuse(policy, S3_INVALID_POLICY_DOCUMENT, "Invalid 'expiration' value: ",
			json_is_string(expiration) ? string_of(expiration) : (struct bytes){0});
	if (policy->now_ms >= until_ms)
		return refuse(policy, S3_ACCESS_DENIED, "Policy expired.", (struct bytes){0});
	return S3_OK;
}

static enum s3_code check_document(struct form_policy *policy, const json_t *document)
{
	bool covered[FORM_FIELDS_MAX] = {false};
	const json_t *conditions = json_object_get(document, "conditions");

	enum s3_code code = check_expiration(policy, document);
	if (code != S3_OK)
		return code;
	if (!json_is_array(conditions))
		return malformed(policy, "Policy missing conditions.");
	for (size_t i = 0; i < json_array_size(conditions) && code == S3_OK; i++) {
		json_t *condition = json_array_get(conditions, i);
		if (json_is_array(condition))
			code = weigh_list(policy, condition, covered);
		else if (json_is_object(condition))
			code = weigh_pair(policy, condition, covered);
		else
			code = malformed(policy, "Invalid Condition: neither a list nor a pair.");
	}
	return code == S3_OK ? check_covered(policy, covered) : code;
}

enum s3_code form_policy_check(struct form_policy *policy, struct bytes json)
{
	policy->len_min = 0;
	policy->len_max = UINT64_MAX;
	policy->message_len = 0;
	json_t *document = json_loadb(
		(const char *)json.data, json.len, JSON_REJECT_DUPLICATES, NULL);
	enum s3_code code = json_is_object(document) ? check_document(policy, document)
						     : malformed(policy, "Invalid JSON.");
	json_decref(document);
	return code;
}
