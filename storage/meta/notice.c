/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/notice.h"

#include <xxhash.h>

static const struct field rule_list[] = {
	FIELD(1, FIELD_BYTES, struct notice_rule, id, NOTICE_ID_LEN_MAX),
	FIELD(2, FIELD_U8, struct notice_rule, form, 0),
	FIELD(3, FIELD_BYTES, struct notice_rule, target, NOTICE_TARGET_LEN_MAX),
	FIELD(4, FIELD_BYTES, struct notice_rule, arn, NOTICE_ARN_LEN_MAX),
	FIELD(5, FIELD_U32, struct notice_rule, events, 0),
	FIELD(6, FIELD_U32, struct notice_rule, singles, 0),
	FIELD(7, FIELD_U32, struct notice_rule, groups, 0),
	FIELD(8, FIELD_BOOL, struct notice_rule, has_prefix, 0),
	FIELD(9, FIELD_BOOL, struct notice_rule, has_suffix, 0),
	FIELD(10, FIELD_BYTES, struct notice_rule, prefix, NOTICE_FILTER_LEN_MAX),
	FIELD(11, FIELD_BYTES, struct notice_rule, suffix, NOTICE_FILTER_LEN_MAX),
};
static FIELDS(rule_fields, struct notice_rule, rule_list);

void notice_begin(struct fields_out *out)
{
	fields_append(out, &(uint8_t){NOTICE_FORMAT}, 1);
}

void notice_append(struct fields_out *out, const struct notice_rule *rule)
{
	fields_list_append(out, &rule_fields, rule);
}

enum err notice_open(struct bytes config, struct bytes *ret_list)
{
	if (config.len == 0)
		return ERR_CORRUPT;
	if (config.data[0] != NOTICE_FORMAT)
		return ERR_VERSION;
	*ret_list = bytes_from(config, 1);
	return ERR_OK;
}

enum err notice_next(struct bytes *list, struct notice_rule *ret_rule)
{
	enum err err = fields_list_next(&rule_fields, list, ret_rule);
	if (err == ERR_OK && ret_rule->target.len == 0)
		return ERR_CORRUPT;
	return err == ERR_INVALID ? ERR_CORRUPT : err;
}

uint32_t notice_events_of(struct bytes config)
{
	struct bytes list;
	struct notice_rule rule;
	uint32_t events = 0;
	enum err err = notice_open(config, &list);
	while (err == ERR_OK && (err = notice_next(&list, &rule)) == ERR_OK)
		events |= rule.events;
	return err == ERR_END ? events : 0;
}

static bool has_suffix(struct bytes key, struct bytes suffix)
{
	return key.len >= suffix.len &&
		bytes_is_equal(bytes_from(key, key.len - suffix.len), suffix);
}

bool notice_find(struct bytes config, enum notice_event event, struct bytes key,
	struct notice_rule *ret_rule)
{
	struct bytes list;
	struct notice_rule rule;
	if (notice_open(config, &list) != ERR_OK)
		return false;
	while (notice_next(&list, &rule) == ERR_OK) {
		if (!(rule.events & 1u << event) || !bytes_has_prefix(key, rule.prefix) ||
			!has_suffix(key, rule.suffix))
			continue;
		*ret_rule = rule;
		return true;
	}
	return false;
}

uint64_t notice_hash_of(struct bytes config)
{
	return XXH3_64bits(config.data, config.len);
}

bool notice_overlaps(const struct notice_rule *a, const struct notice_rule *b)
{
	bool shares_prefix = bytes_has_prefix(a->prefix, b->prefix) ||
		bytes_has_prefix(b->prefix, a->prefix);
	bool shares_suffix = has_suffix(a->suffix, b->suffix) || has_suffix(b->suffix, a->suffix);
	return (a->events & b->events) && shares_prefix && shares_suffix;
}
