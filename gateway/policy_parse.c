/* SPDX-License-Identifier: Apache-2.0 */
/* JSON into compiled policies (P1). */
#include <stdlib.h>

#include "gateway/policy_build.h"

/* --- principals ------------------------------------------------------------------------------- */

#define BAD_PRINCIPAL "Invalid principal in policy"

/* An owner is an account with one user in it: its ARN is arn:aws:iam::OWNER:root, or :user/OWNER
 * with the account or without. */
static bool put_owner(struct policy_build *build, struct bytes text)
{
	struct bytes prefix = bytes_of("arn:aws:iam::");
	struct bytes account = text, user = text;

	if (bytes_has_prefix(text, prefix)) {
		account = bytes_from(text, prefix.len);
		const uint8_t *colon = memchr(account.data, ':', account.len);
		if (!colon)
			return policy_build_refuse(build, BAD_PRINCIPAL);
		account.len = colon - account.data;
		user = bytes_from(text, prefix.len + account.len + 1);
		if (bytes_has_prefix(user, bytes_of("user/")))
			user = bytes_from(user, 5);
		else if (bytes_is_text(user, "root"))
			user = account;
		else
			return policy_build_refuse(build, BAD_PRINCIPAL);
		if (account.len > 0 && !bytes_is_equal(account, user))
			return policy_build_refuse(build, BAD_PRINCIPAL);
	}
	if (user.len == 0 || user.len > 64 || memchr(user.data, '*', user.len) ||
		memchr(user.data, '?', user.len) || memchr(user.data, ':', user.len) ||
		memchr(user.data, '/', user.len))
		return policy_build_refuse(build, BAD_PRINCIPAL);
	return policy_build_put_plain(build, user);
}

static bool put_principals(
	struct policy_build *build, const json_t *list, struct policy_statement *statement)
{
	if (policy_build_is_empty(list))
		return policy_build_refuse(build, BAD_PRINCIPAL);
	for (size_t i = 0; policy_build_element(list, i); i++) {
		if (!json_is_string(policy_build_element(list, i)))
			return policy_build_refuse(build, BAD_PRINCIPAL);
		struct bytes text = policy_build_string(policy_build_element(list, i));
		if (bytes_is_text(text, "*"))
			statement->is_anybody = true;
		else if (!put_owner(build, text))
			return false;
	}
	return true;
}

static bool take_principal(
	struct policy_build *build, const json_t *object, struct policy_statement *statement)
{
	static const char *const types[] = {"AWS", "CanonicalUser", NULL};
	const json_t *principal = json_object_get(object, "Principal");
	const json_t *other = json_object_get(object, "NotPrincipal");

	if (build->kind == POLICY_OF_KEY)
		return !principal && !other
			? true
			: policy_build_refuse(
				  build, "The policy of an access key has no principals.");
	if (!principal && !other)
		return policy_build_refuse(build, "Missing required field Principal");
	if (principal && other)
		return policy_build_refuse(build, "Principal and NotPrincipal exclude each other.");
	if (other && statement->effect == POLICY_ALLOW)
		return policy_build_refuse(build, "Allow with NotPrincipal is not supported.");
	statement->is_not_principal = other != NULL;
	if (other)
		principal = other;
	statement->principals.from = build->item_count;
	if (json_is_string(principal) && bytes_is_text(policy_build_string(principal), "*")) {
		statement->is_anybody = true;
		return true;
	}
	if (!json_is_object(principal) || json_object_size(principal) == 0 ||
		!policy_build_check_fields(build, principal, types, BAD_PRINCIPAL))
		return policy_build_refuse(build, BAD_PRINCIPAL);
	for (size_t i = 0; types[i]; i++) {
		const json_t *list = json_object_get(principal, types[i]);
		if (list && !put_principals(build, list, statement))
			return false;
	}
	statement->principals.count = build->item_count - statement->principals.from;
	return true;
}

/* --- resources -------------------------------------------------------------------------------- */

#define BAD_RESOURCE "Policy has invalid resource"

static bool put_resource(struct policy_build *build, struct bytes text)
{
	struct bytes prefix = bytes_of("arn:aws:s3:::");
	bool is_all = build->kind == POLICY_OF_KEY && bytes_is_text(text, "*");

	if (!is_all && (!bytes_has_prefix(text, prefix) || text.len == prefix.len))
		return policy_build_refuse(build, BAD_RESOURCE);
	if (!policy_build_put_pattern(build, is_all ? text : bytes_from(text, prefix.len), true))
		return false;
	if (build->kind == POLICY_OF_KEY)
		return true;
	const struct policy_item *item = &build->items[build->item_count - 1];
	unsigned reach = policy_reach(
		bytes_make(build->text + item->offset, item->len), build->bucket);
	build->reach |= reach;
	return reach ? true : policy_build_refuse(build, BAD_RESOURCE);
}

static bool take_resource(
	struct policy_build *build, const json_t *object, struct policy_statement *statement)
{
	const json_t *list = json_object_get(object, "Resource");
	const json_t *other = json_object_get(object, "NotResource");

	if (!list && !other)
		return policy_build_refuse(build, "Missing required field Resource");
	if (list && other)
		return policy_build_refuse(build, "Resource and NotResource exclude each other.");
	statement->is_not_resource = other != NULL;
	if (other)
		list = other;
	if (policy_build_is_empty(list))
		return policy_build_refuse(build, BAD_RESOURCE);
	statement->resources.from = build->item_count;
	build->reach = 0;
	for (size_t i = 0; policy_build_element(list, i); i++)
		if (!json_is_string(policy_build_element(list, i)) ||
			!put_resource(build, policy_build_string(policy_build_element(list, i))))
			return policy_build_refuse(build, BAD_RESOURCE);
	statement->resources.count = build->item_count - statement->resources.from;
	if (other || build->kind == POLICY_OF_KEY)
		build->reach = POLICY_SERVICE | POLICY_BUCKET | POLICY_OBJECT;
	return true;
}

/* --- actions ---------------------------------------------------------------------------------- */

#define BAD_ACTION "Policy has invalid action"

/* Names of actions have no case: the pattern and what it is held against are made lower. */
static struct bytes lower(struct bytes text, uint8_t *buf, bool is_pattern)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];
		if (c >= 'A' && c <= 'Z')
			c += 32;
		if (is_pattern && c == '*')
			c = POLICY_ANY_RUN;
		if (is_pattern && c == '?')
			c = POLICY_ANY_ONE;
		buf[i] = c;
	}
	return bytes_make(buf, text.len);
}

static bool put_action(struct policy_build *build, struct bytes text,
	struct policy_statement *statement, bool is_not)
{
	uint8_t pattern_buf[128], name_buf[128];
	unsigned scopes = 0;

	if (build->action_count++ == POLICY_ACTIONS_NAMED_MAX)
		return policy_build_refuse_size(build);
	if (bytes_is_text(text, "*"))
		text = bytes_of("s3:*");
	if (text.len > sizeof pattern_buf || text.len < 4 ||
		!policy_is_equal_ignoring_case(bytes_make(text.data, 3), bytes_of("s3:")))
		return policy_build_refuse(build, BAD_ACTION);
	struct bytes pattern = lower(bytes_from(text, 3), pattern_buf, true);
	for (size_t i = 0; i < policy_action_count; i++) {
		struct bytes name = lower(bytes_of(policy_actions[i].name), name_buf, false);
		if (!policy_is_match(pattern, name))
			continue;
		scopes |= policy_actions[i].scope;
		statement->actions[i / 64] |= UINT64_C(1) << i % 64;
	}
	if (!scopes)
		return policy_build_refuse(build, BAD_ACTION);
	if (!is_not && !(scopes & build->reach))
		return policy_build_refuse(
			build, "Action does not apply to any resource(s) in statement");
	return true;
}

static bool take_action(
	struct policy_build *build, const json_t *object, struct policy_statement *statement)
{
	const json_t *list = json_object_get(object, "Action");
	const json_t *other = json_object_get(object, "NotAction");

	if (!list && !other)
		return policy_build_refuse(build, "Missing required field Action");
	if (list && other)
		return policy_build_refuse(build, "Action and NotAction exclude each other.");
	if (policy_build_is_empty(list ? list : other))
		return policy_build_refuse(build, BAD_ACTION);
	for (size_t i = 0; policy_build_element(list ? list : other, i); i++) {
		const json_t *name = policy_build_element(list ? list : other, i);
		if (!json_is_string(name) ||
			!put_action(build, policy_build_string(name), statement, other != NULL))
			return policy_build_refuse(build, BAD_ACTION);
	}
	for (size_t i = 0; other && i < ARRAY_COUNT(statement->actions); i++)
		statement->actions[i] = ~statement->actions[i];
	return true;
}

/* --- statements ------------------------------------------------------------------------------- */

static bool take_sid(struct policy_build *build, const json_t *object)
{
	const json_t *sid = json_object_get(object, "Sid");
	const char *text = json_string_value(sid);

	if (sid && !text)
		return policy_build_refuse(build, "Invalid policy syntax.");
	for (unsigned i = 0; text && *text && i < build->statement_count; i++)
		if (build->sids[i] && strcmp(build->sids[i], text) == 0)
			return policy_build_refuse(
				build, "Statement IDs (SID) in a single policy must be unique.");
	build->sids[build->statement_count] = text && *text ? text : NULL;
	return true;
}

static bool take_effect(
	struct policy_build *build, const json_t *object, struct policy_statement *statement)
{
	const char *effect = json_string_value(json_object_get(object, "Effect"));

	if (!json_object_get(object, "Effect"))
		return policy_build_refuse(build, "Missing required field Effect");
	if (!effect || (strcmp(effect, "Allow") != 0 && strcmp(effect, "Deny") != 0))
		return policy_build_refuse(build, "Invalid effect");
	statement->effect = strcmp(effect, "Allow") == 0 ? POLICY_ALLOW : POLICY_DENY;
	return true;
}

static bool put_statement(struct policy_build *build, const json_t *object)
{
	static const char *const fields[] = {"Sid", "Effect", "Principal", "NotPrincipal", "Action",
		"NotAction", "Resource", "NotResource", "Condition", NULL};

	if (build->statement_count == POLICY_STATEMENTS_MAX)
		return policy_build_refuse_size(build);
	if (!json_is_object(object))
		return policy_build_refuse(build, "Invalid policy syntax.");
	struct policy_statement *statement = &build->statements[build->statement_count];
	*statement = (struct policy_statement){.effect = POLICY_DENY};
	/* Actions are held against the reach of the resources. */
	if (!policy_build_check_fields(build, object, fields, "Unknown field in a statement") ||
		!take_sid(build, object) || !take_effect(build, object, statement) ||
		!take_principal(build, object, statement) ||
		!take_resource(build, object, statement) ||
		!take_action(build, object, statement) ||
		!policy_build_put_conditions(build, object, statement))
		return false;
	build->is_public |= policy_build_is_public(build, statement);
	build->statement_count++;
	return true;
}

static bool take_version(struct policy_build *build, const json_t *root)
{
	const json_t *version = json_object_get(root, "Version");
	const char *text = json_string_value(version);

	if (version &&
		(!text || (strcmp(text, "2012-10-17") != 0 && strcmp(text, "2008-10-17") != 0)))
		return policy_build_refuse(build, "The policy must contain a valid version string");
	/* Variables came with the later version; before, they are text. */
	build->has_variables = text && strcmp(text, "2012-10-17") == 0;
	return true;
}

static bool put_policy(struct policy_build *build, const json_t *root)
{
	static const char *const fields[] = {"Version", "Id", "Statement", NULL};
	const json_t *id = json_object_get(root, "Id");
	const json_t *list = json_object_get(root, "Statement");

	if (!policy_build_check_fields(build, root, fields, "Unknown field in the policy") ||
		!take_version(build, root))
		return false;
	if (id && !json_is_string(id))
		return policy_build_refuse(build, "Invalid policy syntax.");
	if (!list)
		return policy_build_refuse(build, "Missing required field Statement");
	if (policy_build_is_empty(list))
		return policy_build_refuse(
			build, "Could not parse the policy: Statement is empty!");
	for (size_t i = 0; policy_build_element(list, i); i++)
		if (!put_statement(build, policy_build_element(list, i)))
			return false;
	return true;
}

/* --- the block -------------------------------------------------------------------------------- */

static struct policy *seal(const struct policy_build *build)
{
	size_t statements_len = build->statement_count * sizeof *build->statements;
	size_t conditions_len = build->condition_count * sizeof *build->conditions;
	size_t items_len = build->item_count * sizeof *build->items;
	size_t len = sizeof(struct policy) + statements_len + conditions_len + items_len +
		build->text_len;
	struct policy *policy = malloc(len);
	if (!policy)
		return NULL;
	static_assert(_Alignof(struct policy_statement) >= _Alignof(struct policy_condition) &&
			_Alignof(struct policy_condition) >= _Alignof(struct policy_item),
		"one behind the other, they are aligned");
	uint8_t *p = (uint8_t *)(policy + 1);
	*policy = (struct policy){
		.len = len,
		.kind = build->kind,
		.is_public = build->is_public,
		.asks_object = build->asks_object,
		.statement_count = build->statement_count,
		.condition_count = build->condition_count,
		.item_count = build->item_count,
		.text_len = build->text_len,
		.statements = (void *)p,
		.conditions = (void *)(p + statements_len),
		.items = (void *)(p + statements_len + conditions_len),
		.text = p + statements_len + conditions_len + items_len,
	};
	memcpy(p, build->statements, statements_len);
	memcpy(p + statements_len, build->conditions, conditions_len);
	memcpy(p + statements_len + conditions_len, build->items, items_len);
	memcpy(p + statements_len + conditions_len + items_len, build->text, build->text_len);
	return policy;
}

/* The parser of JSON calls itself for each level: no policy has more than six. */
static bool is_flat(struct bytes json)
{
	bool is_in_string = false;
	int depth = 0;
	for (size_t i = 0; i < json.len; i++) {
		uint8_t c = json.data[i];
		if (is_in_string && c == '\\')
			i++;
		else if (c == '"')
			is_in_string = !is_in_string;
		else if (!is_in_string && (c == '{' || c == '['))
			depth++;
		else if (!is_in_string && (c == '}' || c == ']'))
			depth--;
		if (depth > 8)
			return false;
	}
	return true;
}

enum err policy_parse(enum policy_kind kind, struct bytes json, struct bytes bucket,
	struct policy **ret_policy, const char **ret_why)
{
	static const char not_json[] = "Policies must be valid JSON and the first byte must be '{'";
	json_error_t error;

	if (json.len > POLICY_LEN_MAX)
		return ERR_LIMIT;
	*ret_why = not_json;
	if (json.len == 0 || json.data[0] != '{' || !is_flat(json))
		return ERR_INVALID;
	json_t *root = json_loadb(
		(const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return json_error_code(&error) == json_error_out_of_memory ? ERR_NO_MEMORY
									   : ERR_INVALID;
	struct policy_build *build = malloc(sizeof *build);
	enum err err = build ? ERR_OK : ERR_NO_MEMORY;
	if (build) {
		memset(build, 0, offsetof(struct policy_build, sids));
		build->kind = kind;
		build->bucket = bucket;
		if (!put_policy(build, root)) {
			*ret_why = build->why;
			err = ERR_INVALID;
		}
	}
	json_decref(root);
	struct policy *policy = err == ERR_OK ? seal(build) : NULL;
	free(build);
	if (err == ERR_OK && !policy)
		err = ERR_NO_MEMORY;
	if (err == ERR_OK)
		*ret_policy = policy;
	return err;
}
