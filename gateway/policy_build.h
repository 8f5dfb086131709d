/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_POLICY_BUILD_H
#define GATEWAY_POLICY_BUILD_H

#include <jansson.h>

#include "gateway/policy_priv.h"

/* Where a policy grows before its size is known. Functions that return false have refused it. */
struct policy_build {
	enum policy_kind kind;
	struct bytes bucket;
	bool has_variables; /* of the policy's version */
	bool is_public, asks_object;
	const char *why; /* it is refused; NULL: not yet */
	unsigned statement_count, condition_count, item_count, action_count;
	size_t text_len;
	unsigned reach; /* enum policy_scope of the resources of the open statement */
	const char *sids[POLICY_STATEMENTS_MAX];
	struct policy_statement statements[POLICY_STATEMENTS_MAX];
	struct policy_condition conditions[POLICY_CONDITIONS_MAX];
	struct policy_item items[POLICY_ITEMS_MAX];
	uint8_t text[POLICY_TEXT_LEN_MAX];
};

/* Keeps the first reason, a literal. Always false. */
bool policy_build_refuse(struct policy_build *build, const char *why);
bool policy_build_refuse_size(struct policy_build *build);

/* A value that may stand alone or in an array: element i, NULL behind the last. */
const json_t *policy_build_element(const json_t *list, size_t i);
bool policy_build_is_empty(const json_t *list);

static inline struct bytes policy_build_string(const json_t *string)
{
	return bytes_make(json_string_value(string), json_string_length(string));
}

/* Only these fields, up to a NULL. */
bool policy_build_check_fields(struct policy_build *build, const json_t *object,
	const char *const *names, const char *why);

/* Adds an item: text with variables and wildcards, or as it is. */
bool policy_build_put_pattern(struct policy_build *build, struct bytes text, bool has_wildcards);
bool policy_build_put_plain(struct policy_build *build, struct bytes bytes);

/* Adds the conditions of a statement's object. */
bool policy_build_put_conditions(
	struct policy_build *build, const json_t *object, struct policy_statement *statement);

/* Does the statement allow anything to everybody? */
bool policy_build_is_public(
	const struct policy_build *build, const struct policy_statement *statement);

#endif
