/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/policy_build.h"

bool policy_build_refuse(struct policy_build *build, const char *why)
{
	if (!build->why)
		build->why = why;
	return false;
}

bool policy_build_refuse_size(struct policy_build *build)
{
	return policy_build_refuse(build, "The policy has too many elements.");
}

/* --- lists ------------------------------------------------------------------------------------ */

const json_t *policy_build_element(const json_t *list, size_t i)
{
	if (json_is_array(list))
		return json_array_get(list, i);
	return i == 0 ? list : NULL;
}

bool policy_build_is_empty(const json_t *list)
{
	return json_is_array(list) && json_array_size(list) == 0;
}

bool policy_build_check_fields(
	struct policy_build *build, const json_t *object, const char *const *names, const char *why)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		size_t i = 0;
		while (names[i] && strcmp(names[i], name) != 0)
			i++;
		if (!names[i])
			return policy_build_refuse(build, why);
	}
	return true;
}

/* --- items ------------------------------------------------------------------------------------ */

static bool put_byte(struct policy_build *build, uint8_t c)
{
	if (build->text_len == sizeof build->text)
		return policy_build_refuse_size(build);
	build->text[build->text_len++] = c;
	return true;
}

static bool put_bytes(struct policy_build *build, struct bytes bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		if (!put_byte(build, bytes.data[i]))
			return false;
	return true;
}

/* "${...}" at the start of text: a variable, or one of the three characters that need it. */
static bool put_variable(
	struct policy_build *build, struct bytes text, struct policy_item *item, size_t *ret_len)
{
	const uint8_t *end = memchr(text.data, '}', text.len);
	enum policy_key key;
	struct bytes rest;

	if (!end)
		return policy_build_refuse(build, "A policy variable has no end.");
	struct bytes name = bytes_make(text.data + 2, end - text.data - 2);
	*ret_len = name.len + 3;
	if (name.len == 1 && memchr("*?$", name.data[0], 3))
		return put_byte(build, name.data[0]);
	if (policy_find_key(name, &key, &rest) != ERR_OK || rest.len > 0)
		return policy_build_refuse(build, "The policy has an unknown policy variable.");
	item->has_variable = true;
	return put_byte(build, POLICY_VARIABLE) && put_byte(build, key);
}

/* The item is what was put since `from`. */
static bool end_item(struct policy_build *build, size_t from, struct policy_item *item)
{
	size_t len = build->text_len - from;
	if (len > POLICY_PATTERN_LEN_MAX)
		return policy_build_refuse(build, "A value of the policy is too long.");
	item->offset = from;
	item->len = len;
	if (build->item_count == POLICY_ITEMS_MAX)
		return policy_build_refuse_size(build);
	build->items[build->item_count++] = *item;
	return true;
}

bool policy_build_put_pattern(struct policy_build *build, struct bytes text, bool has_wildcards)
{
	struct policy_item item = {.has_variable = false};
	size_t from = build->text_len;

	while (text.len > 0) {
		uint8_t c = text.data[0];
		size_t len = 1;
		bool is_put;
		if (build->has_variables && c == '$' && text.len > 1 && text.data[1] == '{')
			is_put = put_variable(build, text, &item, &len);
		else if (has_wildcards && (c == '*' || c == '?'))
			is_put = put_byte(build, c == '*' ? POLICY_ANY_RUN : POLICY_ANY_ONE);
		else
			is_put = put_byte(build, c);
		if (!is_put)
			return false;
		text = bytes_from(text, len);
	}
	return end_item(build, from, &item);
}

bool policy_build_put_plain(struct policy_build *build, struct bytes bytes)
{
	struct policy_item item = {.has_variable = false};
	size_t from = build->text_len;
	return put_bytes(build, bytes) && end_item(build, from, &item);
}
