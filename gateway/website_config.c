/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/website_config.h"

static const struct field rule_list[] = {
	FIELD(1, FIELD_BOOL, struct website_rule, has_prefix, 0),
	FIELD(2, FIELD_BYTES, struct website_rule, prefix, WEBSITE_KEY_LEN_MAX),
	FIELD(3, FIELD_U16, struct website_rule, error, 0),
	FIELD(4, FIELD_U8, struct website_rule, protocol, 0),
	FIELD(5, FIELD_BYTES, struct website_rule, host, WEBSITE_HOST_LEN_MAX),
	FIELD(6, FIELD_BOOL, struct website_rule, replaces_prefix, 0),
	FIELD(7, FIELD_BOOL, struct website_rule, replaces_key, 0),
	FIELD(8, FIELD_BYTES, struct website_rule, replacement, WEBSITE_KEY_LEN_MAX),
	FIELD(9, FIELD_U16, struct website_rule, code, 0),
};
static FIELDS(rule_fields, struct website_rule, rule_list);

static const struct field website_list[] = {
	FIELD(1, FIELD_BYTES, struct website, index, WEBSITE_KEY_LEN_MAX),
	FIELD(2, FIELD_BYTES, struct website, error, WEBSITE_KEY_LEN_MAX),
	FIELD(3, FIELD_BYTES, struct website, host, WEBSITE_HOST_LEN_MAX),
	FIELD(4, FIELD_U8, struct website, protocol, 0),
	FIELD(5, FIELD_BYTES, struct website, rules, WEBSITE_RULES_LEN_MAX),
};
static FIELDS(website_fields, struct website, website_list);

void website_encode(struct fields_out *out, const struct website *website)
{
	fields_append(out, &(uint8_t){WEBSITE_FORMAT}, 1);
	fields_encode(out, &website_fields, website);
}

void website_rule_append(struct fields_out *out, const struct website_rule *rule)
{
	fields_list_append(out, &rule_fields, rule);
}

enum err website_decode(struct bytes config, struct website *ret_website)
{
	if (config.len == 0)
		return ERR_CORRUPT;
	if (config.data[0] != WEBSITE_FORMAT)
		return ERR_VERSION;
	enum err err = fields_decode(&website_fields, bytes_from(config, 1), ret_website);
	bool is_whole = err == ERR_OK && (ret_website->index.len > 0 || ret_website->host.len > 0);
	return is_whole ? ERR_OK : ERR_CORRUPT;
}

enum err website_rule_next(struct bytes *list, struct website_rule *ret_rule)
{
	enum err err = fields_list_next(&rule_fields, list, ret_rule);
	return err == ERR_INVALID ? ERR_CORRUPT : err;
}
