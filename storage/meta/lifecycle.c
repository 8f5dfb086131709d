/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/lifecycle.h"

#include <xxhash.h>

#include "storage/meta/rows.h"

static const struct field rule_list[] = {
	FIELD(1, FIELD_BYTES, struct lifecycle_rule, id, LIFECYCLE_ID_LEN_MAX),
	FIELD(2, FIELD_BOOL, struct lifecycle_rule, is_enabled, 0),
	FIELD(3, FIELD_U8, struct lifecycle_rule, form, 0),
	FIELD(4, FIELD_BOOL, struct lifecycle_rule, has_prefix, 0),
	FIELD(5, FIELD_BYTES, struct lifecycle_rule, prefix, ROW_KEY_LEN_MAX),
	FIELD(6, FIELD_BYTES, struct lifecycle_rule, tags, LIFECYCLE_TAGS_LEN_MAX),
	FIELD(7, FIELD_BOOL, struct lifecycle_rule, has_above, 0),
	FIELD(8, FIELD_BOOL, struct lifecycle_rule, has_below, 0),
	FIELD(9, FIELD_U64, struct lifecycle_rule, above, 0),
	FIELD(10, FIELD_U64, struct lifecycle_rule, below, 0),
	FIELD(11, FIELD_U32, struct lifecycle_rule, days, 0),
	FIELD(12, FIELD_U64, struct lifecycle_rule, date_ms, 0),
	FIELD(13, FIELD_BOOL, struct lifecycle_rule, removes_markers, 0),
	FIELD(14, FIELD_U32, struct lifecycle_rule, old_days, 0),
	FIELD(15, FIELD_U32, struct lifecycle_rule, old_keep, 0),
	FIELD(16, FIELD_U32, struct lifecycle_rule, abort_days, 0),
};
static FIELDS(rule_fields, struct lifecycle_rule, rule_list);

void lifecycle_begin(struct fields_out *out)
{
	fields_append(out, &(uint8_t){LIFECYCLE_FORMAT}, 1);
}

void lifecycle_append(struct fields_out *out, const struct lifecycle_rule *rule)
{
	fields_list_append(out, &rule_fields, rule);
}

enum err lifecycle_open(struct bytes config, struct bytes *ret_list)
{
	if (config.len == 0)
		return ERR_CORRUPT;
	if (config.data[0] != LIFECYCLE_FORMAT)
		return ERR_VERSION;
	*ret_list = bytes_from(config, 1);
	return ERR_OK;
}

enum err lifecycle_next(struct bytes *list, struct lifecycle_rule *ret_rule)
{
	enum err err = fields_list_next(&rule_fields, list, ret_rule);
	if (err == ERR_OK &&
		(ret_rule->days > LIFECYCLE_DAYS_MAX || ret_rule->old_days > LIFECYCLE_DAYS_MAX ||
			ret_rule->abort_days > LIFECYCLE_DAYS_MAX ||
			!metadata_is_valid(ret_rule->tags)))
		return ERR_CORRUPT;
	return err == ERR_INVALID ? ERR_CORRUPT : err;
}

uint64_t lifecycle_watch_of(struct bytes config)
{
	return config.len > 0 ? XXH3_64bits(config.data, config.len) | 1 : 0;
}

uint64_t lifecycle_due_ms(uint64_t time_ms, uint32_t days, uint64_t day_ms)
{
	uint64_t due = time_ms + days * day_ms;
	return (due + day_ms - 1) / day_ms * day_ms;
}

static bool has_tag(struct bytes tags, const struct metadata_pair *wanted)
{
	struct metadata_pair pair;
	while (metadata_next(&tags, &pair))
		if (bytes_is_equal(pair.name, wanted->name) &&
			bytes_is_equal(pair.value, wanted->value))
			return true;
	return false;
}

bool lifecycle_fits(
	const struct lifecycle_rule *rule, struct bytes key, struct bytes tags, uint64_t len)
{
	struct bytes wanted = rule->tags;
	struct metadata_pair pair;
	if (!rule->is_enabled || !bytes_has_prefix(key, rule->prefix) ||
		(rule->has_above && len <= rule->above) || (rule->has_below && len >= rule->below))
		return false;
	while (metadata_next(&wanted, &pair))
		if (!has_tag(tags, &pair))
			return false;
	return true;
}

bool lifecycle_fits_key(const struct lifecycle_rule *rule, struct bytes key)
{
	return rule->is_enabled && rule->tags.len == 0 && !rule->has_above && !rule->has_below &&
		bytes_has_prefix(key, rule->prefix);
}
