/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/policy.h"

#include <stdlib.h>

#include "gateway/policy_priv.h"

/* Evaluation. All that changes while a policy is held against a request is on the stack. */
enum match {
	NO_MATCH,
	MATCH,
	UNKNOWN, /* the pattern has a variable without a value */
};

struct evaluation {
	const struct policy *policy;
	const struct policy_request *request;
	size_t action;
	struct bytes resource; /* bucket/key */
};

/* --- patterns --------------------------------------------------------------------------------- */

/* Puts the values of variables into a pattern. False: one has none, or one that no pattern could
 * hold; or it does not fit, and then nothing is as long as it. */
static bool expand(const struct evaluation *evaluation, struct bytes pattern, struct text_out *out)
{
	const struct policy_request *request = evaluation->request;
	uint8_t buf[POLICY_VALUE_LEN_MAX];
	struct bytes value;

	for (size_t i = 0; i < pattern.len; i++) {
		if (pattern.data[i] != POLICY_VARIABLE) {
			text_put_char(out, (char)pattern.data[i]);
			continue;
		}
		enum policy_key key = pattern.data[++i];
		if (!request->value(request, key, (struct bytes){0}, buf, &value))
			return false;
		for (size_t j = 0; j < value.len; j++)
			if (value.data[j] >= POLICY_VARIABLE)
				return false;
		text_put_bytes(out, value);
	}
	return !out->overflowed;
}

static enum match match_item(const struct evaluation *evaluation, const struct policy_item *item,
	struct bytes text, bool ignores_case)
{
	struct bytes pattern = policy_item_bytes(evaluation->policy, item);
	uint8_t buf[POLICY_PATTERN_LEN_MAX];
	struct text_out out;

	if (item->has_variable) {
		text_out_init(&out, buf, sizeof buf);
		if (!expand(evaluation, pattern, &out))
			return UNKNOWN;
		pattern = text_out_bytes(&out);
	}
	if (ignores_case)
		return policy_is_equal_ignoring_case(pattern, text) ? MATCH : NO_MATCH;
	return policy_is_match(pattern, text) ? MATCH : NO_MATCH;
}

/* --- conditions ------------------------------------------------------------------------------- */

static bool compare(uint8_t operator, int64_t asked, int64_t limit)
{
	switch (operator) {
	case POLICY_NUMERIC_EQUALS:
	case POLICY_DATE_EQUALS:
		return asked == limit;
	case POLICY_NUMERIC_LESS:
	case POLICY_DATE_LESS:
		return asked < limit;
	case POLICY_NUMERIC_LESS_EQUALS:
	case POLICY_DATE_LESS_EQUALS:
		return asked <= limit;
	case POLICY_NUMERIC_GREATER:
	case POLICY_DATE_GREATER:
		return asked > limit;
	default:
		return asked >= limit;
	}
}

static enum match match_number(
	uint8_t operator, struct bytes limit, struct bytes text, bool is_date)
{
	int64_t asked;
	if (is_date ? !policy_parse_date(text, &asked) : !policy_parse_number(text, &asked))
		return NO_MATCH;
	return compare(operator, asked, (int64_t)get_le64(limit.data)) ? MATCH : NO_MATCH;
}

static enum match match_network(struct bytes value, struct bytes text)
{
	struct policy_network network, address;
	memcpy(&network, value.data, sizeof network);
	if (!policy_parse_network(text, &address))
		return NO_MATCH;
	return policy_is_inside(&network, &address) ? MATCH : NO_MATCH;
}

static enum match match_value(const struct evaluation *evaluation,
	const struct policy_condition *condition, const struct policy_item *item, struct bytes text)
{
	struct bytes value = policy_item_bytes(evaluation->policy, item);
	bool is_true;

	switch (condition->operator) {
	case POLICY_STRING_EQUALS:
	case POLICY_STRING_LIKE:
		return match_item(evaluation, item, text, false);
	case POLICY_STRING_EQUALS_IGNORE_CASE:
		return match_item(evaluation, item, text, true);
	case POLICY_BOOL:
		return policy_parse_bool(text, &is_true) && is_true == value.data[0] ? MATCH
										     : NO_MATCH;
	case POLICY_IP_ADDRESS:
		return match_network(value, text);
	default:
		return match_number(
			condition->operator, value, text, condition->operator>= POLICY_DATE_EQUALS);
	}
}

/* Does a request fulfil the condition? is_deny: of a statement that denies (P4). */
static bool is_fulfilled(
	const struct evaluation *evaluation, const struct policy_condition *condition, bool is_deny)
{
	const struct policy *policy = evaluation->policy;
	const struct policy_request *request = evaluation->request;
	const struct policy_item *items = policy->items + condition->values.from;
	struct bytes name = policy_item_bytes(policy, &condition->name), text;
	uint8_t buf[POLICY_VALUE_LEN_MAX];

	bool is_there = request->value(request, condition->key, name, buf, &text);
	if (condition->operator== POLICY_NULL) {
		for (unsigned i = 0; i < condition->values.count; i++)
			if (policy_item_bytes(policy, &items[i]).data[0] == !is_there)
				return true;
		return false;
	}
	if (!is_there)
		return condition->if_exists || (condition->is_not && !condition->is_any);
	for (unsigned i = 0; i < condition->values.count; i++) {
		enum match match = match_value(evaluation, condition, &items[i], text);
		if (match == MATCH)
			return !condition->is_not;
		if (match == UNKNOWN && condition->is_not && !is_deny)
			return false;
	}
	return condition->is_not;
}

/* --- statements ------------------------------------------------------------------------------- */

static bool is_for_principal(
	const struct evaluation *evaluation, const struct policy_statement *statement)
{
	const struct policy *policy = evaluation->policy;
	const struct policy_request *request = evaluation->request;
	bool is_named = statement->is_anybody;

	if (policy->kind == POLICY_OF_KEY)
		return true;
	for (unsigned i = 0; !is_named && !request->is_anonymous && i < statement->principals.count;
		i++)
		is_named = bytes_is_equal(
			policy_item_bytes(policy, &policy->items[statement->principals.from + i]),
			request->owner);
	return is_named != statement->is_not_principal;
}

static bool is_for_resource(
	const struct evaluation *evaluation, const struct policy_statement *statement)
{
	const struct policy_item *items = evaluation->policy->items + statement->resources.from;
	bool is_deny = statement->effect == POLICY_DENY;

	for (unsigned i = 0; i < statement->resources.count; i++) {
		enum match match = match_item(evaluation, &items[i], evaluation->resource, false);
		if (match == MATCH)
			return !statement->is_not_resource;
		if (match == UNKNOWN && statement->is_not_resource && !is_deny)
			return false;
	}
	return statement->is_not_resource;
}

static bool applies(const struct evaluation *evaluation, const struct policy_statement *statement)
{
	const struct policy_condition *conditions = evaluation->policy->conditions +
		statement->conditions.from;

	if (!(statement->actions[evaluation->action / 64] >> evaluation->action % 64 & 1))
		return false;
	if (!is_for_principal(evaluation, statement) || !is_for_resource(evaluation, statement))
		return false;
	for (unsigned i = 0; i < statement->conditions.count; i++)
		if (!is_fulfilled(evaluation, &conditions[i], statement->effect == POLICY_DENY))
			return false;
	return true;
}

enum policy_effect policy_evaluate(
	const struct policy *policy, const struct policy_request *request)
{
	struct evaluation evaluation = {.policy = policy, .request = request};
	enum policy_effect effect = POLICY_NEUTRAL;
	uint8_t resource[POLICY_RESOURCE_LEN_MAX];
	struct text_out out;

	/* Nothing is allowed to do what has no name. */
	if (policy_find_action(request->action, &evaluation.action) != ERR_OK)
		return POLICY_DENY;
	text_out_init(&out, resource, sizeof resource);
	text_put_bytes(&out, request->bucket);
	if (request->key.len > 0) {
		text_put_char(&out, '/');
		text_put_bytes(&out, request->key);
	}
	if (out.overflowed)
		return POLICY_DENY;
	evaluation.resource = text_out_bytes(&out);
	for (unsigned i = 0; i < policy->statement_count; i++) {
		const struct policy_statement *statement = &policy->statements[i];
		if (!applies(&evaluation, statement))
			continue;
		if (statement->effect == POLICY_DENY)
			return POLICY_DENY;
		effect = POLICY_ALLOW;
	}
	return effect;
}

/* --- the rest --------------------------------------------------------------------------------- */

void policy_free(struct policy *policy)
{
	free(policy);
}

size_t policy_memory(const struct policy *policy)
{
	return policy->len;
}

bool policy_is_public(const struct policy *policy)
{
	return policy->is_public;
}

bool policy_asks_object(const struct policy *policy)
{
	return policy->asks_object;
}
