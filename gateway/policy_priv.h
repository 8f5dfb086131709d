/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_POLICY_PRIV_H
#define GATEWAY_POLICY_PRIV_H

#include "gateway/policy.h"

/* A compiled policy: one block, without pointers. Statements name ranges of conditions and items,
 * conditions name ranges of items, items are runs of its text. */
enum {
	POLICY_ACTIONS_MAX = 192,
	POLICY_ACTIONS_NAMED_MAX = 1000, /* in all statements */
	POLICY_STATEMENTS_MAX = 256,
	POLICY_CONDITIONS_MAX = 512,
	POLICY_ITEMS_MAX = 4096,
	POLICY_TEXT_LEN_MAX = 64 << 10,
};

/* Patterns: UTF-8, which has none of these bytes. */
enum {
	POLICY_ANY_RUN = 0xff, /* star */
	POLICY_ANY_ONE = 0xfe, /* question mark: one character */
	POLICY_VARIABLE = 0xfd, /* and behind it a byte: enum policy_key */
};

enum policy_operator {
	POLICY_STRING_EQUALS,
	POLICY_STRING_EQUALS_IGNORE_CASE,
	POLICY_STRING_LIKE,
	POLICY_NUMERIC_EQUALS,
	POLICY_NUMERIC_LESS,
	POLICY_NUMERIC_LESS_EQUALS,
	POLICY_NUMERIC_GREATER,
	POLICY_NUMERIC_GREATER_EQUALS,
	POLICY_DATE_EQUALS,
	POLICY_DATE_LESS,
	POLICY_DATE_LESS_EQUALS,
	POLICY_DATE_GREATER,
	POLICY_DATE_GREATER_EQUALS,
	POLICY_BOOL,
	POLICY_IP_ADDRESS,
	POLICY_NULL,
};

/* What values of an operator are compiled to. */
enum policy_value_kind {
	POLICY_VALUE_TEXT, /* with variables */
	POLICY_VALUE_PATTERN, /* with variables and wildcards */
	POLICY_VALUE_NUMBER, /* int64_t, little-endian */
	POLICY_VALUE_DATE, /* the same, milliseconds */
	POLICY_VALUE_BOOL, /* 1 byte */
	POLICY_VALUE_NETWORK, /* struct policy_network */
};

struct policy_network {
	uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t bits; /* that count, of 128 */
};

struct policy_operator_name {
	const char *name;
	uint8_t operator; /* enum policy_operator */
	bool is_not;
	uint8_t value_kind;
};

struct policy_item {
	uint32_t offset; /* in the text */
	uint16_t len;
	bool has_variable;
};

struct policy_range {
	uint16_t from, count;
};

struct policy_condition {
	uint8_t operator; /* enum policy_operator */
	bool is_not, if_exists;
	bool is_any; /* ForAnyValue: of a request without the key it holds for none */
	uint8_t key; /* enum policy_key */
	struct policy_item name; /* behind the key's slash */
	struct policy_range values;
};

struct policy_statement {
	uint64_t actions[POLICY_ACTIONS_MAX / 64]; /* set of indices of policy_actions */
	uint8_t effect; /* enum policy_effect */
	bool is_anybody; /* Principal is a star, or has one */
	bool is_not_principal, is_not_resource;
	struct policy_range principals, resources, conditions;
};

struct policy {
	uint32_t len; /* of the block */
	uint8_t kind;
	bool is_public, asks_object;
	uint16_t statement_count, condition_count, item_count;
	uint32_t text_len;
	const struct policy_statement *statements; /* in the block, as are these */
	const struct policy_condition *conditions;
	const struct policy_item *items;
	const uint8_t *text;
};

static inline struct bytes policy_item_bytes(
	const struct policy *policy, const struct policy_item *item)
{
	return bytes_make(policy->text + item->offset, item->len);
}

/* --- names ------------------------------------------------------------------------------------ */

enum policy_scope {
	POLICY_SERVICE = 1 << 0,
	POLICY_BUCKET = 1 << 1,
	POLICY_OBJECT = 1 << 2,
};

struct policy_action {
	const char *name; /* without "s3:" */
	uint8_t scope;
};

extern const struct policy_action policy_actions[]; /* in order of name */
extern const size_t policy_action_count;

/* The index of "s3:GetObject". Errors: ERR_NOT_FOUND. */
MUST_USE enum err policy_find_action(const char *name, size_t *ret_index);

/* The key of a name, whatever its case; *ret_name is what is behind the slash of those with one.
 * Errors: ERR_NOT_FOUND. */
MUST_USE enum err policy_find_key(
	struct bytes text, enum policy_key *ret_key, struct bytes *ret_name);

/* Without IfExists. NULL: there is none. */
const struct policy_operator_name *policy_find_operator(struct bytes name);

/* --- values ----------------------------------------------------------------------------------- */

/* Does the pattern, without variables, match the whole text? */
bool policy_is_match(struct bytes pattern, struct bytes text);

/* Can it match `bucket` (POLICY_BUCKET), or anything that begins with `bucket/` (POLICY_OBJECT)? */
unsigned policy_reach(struct bytes pattern, struct bytes bucket);

bool policy_is_equal_ignoring_case(struct bytes a, struct bytes b);
bool policy_parse_number(struct bytes text, int64_t *ret_value);
bool policy_parse_date(struct bytes text, int64_t *ret_ms);
bool policy_parse_bool(struct bytes text, bool *ret_value);
bool policy_parse_network(struct bytes text, struct policy_network *ret_network);
bool policy_is_inside(const struct policy_network *network, const struct policy_network *address);

#endif
