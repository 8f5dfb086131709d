/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions of statements, and what they have to do with being public. */
#include "gateway/policy_build.h"

/* --- conditions ------------------------------------------------------------------------------- */

#define BAD_VALUE "Condition values do not fit their operator."

/* The text of a value: numbers and booleans need no quotes. */
static bool value_text(const json_t *value, uint8_t *buf, size_t cap, struct bytes *ret_text)
{
	struct text_out out;
	if (json_is_string(value)) {
		*ret_text = policy_build_string(value);
		return true;
	}
	text_out_init(&out, buf, cap);
	if (json_is_boolean(value)) {
		text_put_text(&out, json_is_true(value) ? "true" : "false");
	} else if (json_is_integer(value)) {
		json_int_t number = json_integer_value(value);
		if (number < 0)
			text_put_char(&out, '-');
		text_put_uint(&out, number < 0 ? -(uint64_t)number : (uint64_t)number);
	} else {
		return false;
	}
	*ret_text = text_out_bytes(&out);
	return true;
}

static bool put_value(struct policy_build *build, enum policy_value_kind kind, struct bytes text)
{
	struct policy_network network = {.bits = 0};
	uint8_t number[8];
	int64_t value;
	bool is_true;

	switch (kind) {
	case POLICY_VALUE_TEXT:
	case POLICY_VALUE_PATTERN:
		return policy_build_put_pattern(build, text, kind == POLICY_VALUE_PATTERN);
	case POLICY_VALUE_NUMBER:
	case POLICY_VALUE_DATE:
		if (kind == POLICY_VALUE_NUMBER ? !policy_parse_number(text, &value)
						: !policy_parse_date(text, &value))
			return policy_build_refuse(build, BAD_VALUE);
		put_le64(number, (uint64_t)value);
		return policy_build_put_plain(build, bytes_make(number, sizeof number));
	case POLICY_VALUE_BOOL:
		if (!policy_parse_bool(text, &is_true))
			return policy_build_refuse(build, BAD_VALUE);
		return policy_build_put_plain(build, bytes_make(&(uint8_t){is_true}, 1));
	case POLICY_VALUE_NETWORK:
		if (!policy_parse_network(text, &network))
			return policy_build_refuse(build, BAD_VALUE);
		return policy_build_put_plain(build, bytes_make(&network, sizeof network));
	}
	return policy_build_refuse(build, BAD_VALUE);
}

static bool put_values(struct policy_build *build, const json_t *list, enum policy_value_kind kind,
	struct policy_range *ret_values)
{
	uint8_t buf[32];
	struct bytes text;

	if (policy_build_is_empty(list))
		return policy_build_refuse(build, BAD_VALUE);
	ret_values->from = build->item_count;
	for (size_t i = 0; policy_build_element(list, i); i++) {
		if (!value_text(policy_build_element(list, i), buf, sizeof buf, &text))
			return policy_build_refuse(build, BAD_VALUE);
		if (!put_value(build, kind, text))
			return false;
	}
	ret_values->count = build->item_count - ret_values->from;
	return true;
}

/* Networks are of addresses, and addresses in networks. */
static bool is_operator_for(const struct policy_operator_name *operator, enum policy_key key)
{
	if (operator->value_kind == POLICY_VALUE_NETWORK)
		return key == POLICY_KEY_SOURCE_IP;
	return key != POLICY_KEY_SOURCE_IP || operator->operator== POLICY_NULL;
}

static bool put_condition(struct policy_build *build, const struct policy_operator_name *operator,
	struct policy_condition condition, const char *key_name, const json_t *values)
{
	enum policy_key key;
	struct bytes name;

	if (build->condition_count == POLICY_CONDITIONS_MAX)
		return policy_build_refuse_size(build);
	if (policy_find_key(bytes_of(key_name), &key, &name) != ERR_OK)
		return policy_build_refuse(build, "Policy has an invalid condition key");
	if (!is_operator_for(operator, key))
		return policy_build_refuse(
			build, "Policy has an invalid condition key for its operator");
	condition.key = key;
	build->asks_object |= key == POLICY_KEY_EXISTING_TAG;
	if (name.len > 0) {
		if (!policy_build_put_plain(build, name))
			return false;
		condition.name = build->items[build->item_count - 1];
	}
	if (!put_values(build, values, operator->value_kind, &condition.values))
		return false;
	build->conditions[build->condition_count++] = condition;
	return true;
}

static bool take_prefix(struct bytes *name, const char *prefix)
{
	if (!bytes_has_prefix(*name, bytes_of(prefix)))
		return false;
	*name = bytes_from(*name, strlen(prefix));
	return true;
}

static bool take_suffix(struct bytes *name, const char *text)
{
	struct bytes suffix = bytes_of(text);
	if (name->len <= suffix.len ||
		!bytes_is_equal(bytes_from(*name, name->len - suffix.len), suffix))
		return false;
	name->len -= suffix.len;
	return true;
}

/* All keys that there are have one value or none: so ForAllValues is fulfilled without one, and
 * ForAnyValue is not. */
static bool put_operator(struct policy_build *build, const char *text, const json_t *keys)
{
	struct bytes name = bytes_of(text);
	struct policy_condition condition = {.is_any = take_prefix(&name, "ForAnyValue:")};
	bool is_all = !condition.is_any && take_prefix(&name, "ForAllValues:");
	bool if_exists = take_suffix(&name, "IfExists");
	const char *key;
	json_t *values;

	condition.if_exists = is_all || if_exists;
	const struct policy_operator_name *operator= policy_find_operator(name);
	if (!operator||(
		    (condition.if_exists || condition.is_any) &&operator->operator== POLICY_NULL))
		return policy_build_refuse(build, "Invalid Condition type");
	if (!json_is_object(keys) || json_object_size(keys) == 0)
		return policy_build_refuse(build, "Invalid policy syntax.");
	condition.operator= operator->operator;
	condition.is_not = operator->is_not;
	json_object_foreach((json_t *)(uintptr_t)keys, key,
		values) if (!put_condition(build, operator, condition, key, values)) return false;
	return true;
}

bool policy_build_put_conditions(
	struct policy_build *build, const json_t *object, struct policy_statement *statement)
{
	const json_t *conditions = json_object_get(object, "Condition");
	const char *operator;
	json_t *keys;

	statement->conditions.from = build->condition_count;
	if (!conditions)
		return true;
	if (!json_is_object(conditions))
		return policy_build_refuse(build, "Invalid policy syntax.");
	json_object_foreach((json_t *)(uintptr_t)conditions, operator,
		keys) if (!put_operator(build, operator, keys)) return false;
	statement->conditions.count = build->condition_count - statement->conditions.from;
	return true;
}

/* --- is it public? ---------------------------------------------------------------------------- */

static bool is_fixed(const struct policy_build *build, const struct policy_condition *condition)
{
	for (unsigned i = 0; i < condition->values.count; i++) {
		const struct policy_item *item = &build->items[condition->values.from + i];
		struct bytes value = bytes_make(build->text + item->offset, item->len);
		if (item->has_variable || value.len == 0)
			return false;
		if (condition->operator== POLICY_IP_ADDRESS) {
			/* Broader than /8, or /32 of IPv6, is everybody. */
			struct policy_network network;
			memcpy(&network, value.data, sizeof network);
			if (network.bits < (network.address[10] == 0xff ? 96 + 8 : 32))
				return false;
		} else if (memchr(value.data, POLICY_ANY_RUN, value.len) ||
			memchr(value.data, POLICY_ANY_ONE, value.len)) {
			return false;
		}
	}
	return true;
}

/* Does the condition fix who asks, or from where? */
static bool narrows(const struct policy_build *build, const struct policy_condition *condition)
{
	if (condition->is_not || condition->if_exists)
		return false;
	switch (condition->key) {
	case POLICY_KEY_SOURCE_IP:
		return condition->operator== POLICY_IP_ADDRESS && is_fixed(build, condition);
	case POLICY_KEY_PRINCIPAL_ACCOUNT:
	case POLICY_KEY_PRINCIPAL_ARN:
	case POLICY_KEY_USER_ID:
	case POLICY_KEY_USERNAME:
		return condition->operator<= POLICY_STRING_LIKE && is_fixed(build, condition);
	default:
		return false;
	}
}

bool policy_build_is_public(
	const struct policy_build *build, const struct policy_statement *statement)
{
	if (statement->effect != POLICY_ALLOW || !statement->is_anybody)
		return false;
	for (unsigned i = 0; i < statement->conditions.count; i++)
		if (narrows(build, &build->conditions[statement->conditions.from + i]))
			return false;
	return true;
}
