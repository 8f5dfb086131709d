/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_website.h"

#include "gateway/xml_out.h"

enum element {
	NONE,
	CONFIGURATION,
	INDEX,
	INDEX_SUFFIX,
	ERROR,
	ERROR_KEY,
	ALL,
	RULES,
	RULE,
	CONDITION,
	PREFIX,
	ERROR_CODE,
	REDIRECT,
	HOST,
	PROTOCOL,
	REPLACE_PREFIX,
	REPLACE_KEY,
	CODE,
};

#define IN(element) (1u << (element))

static const struct {
	const char *name;
	uint32_t parents;
} elements[] = {
	[CONFIGURATION] = {"WebsiteConfiguration", IN(NONE)},
	[INDEX] = {"IndexDocument", IN(CONFIGURATION)},
	[INDEX_SUFFIX] = {"Suffix", IN(INDEX)},
	[ERROR] = {"ErrorDocument", IN(CONFIGURATION)},
	[ERROR_KEY] = {"Key", IN(ERROR)},
	[ALL] = {"RedirectAllRequestsTo", IN(CONFIGURATION)},
	[RULES] = {"RoutingRules", IN(CONFIGURATION)},
	[RULE] = {"RoutingRule", IN(RULES)},
	[CONDITION] = {"Condition", IN(RULE)},
	[PREFIX] = {"KeyPrefixEquals", IN(CONDITION)},
	[ERROR_CODE] = {"HttpErrorCodeReturnedEquals", IN(CONDITION)},
	[REDIRECT] = {"Redirect", IN(RULE)},
	[HOST] = {"HostName", IN(ALL) | IN(REDIRECT)},
	[PROTOCOL] = {"Protocol", IN(ALL) | IN(REDIRECT)},
	[REPLACE_PREFIX] = {"ReplaceKeyPrefixWith", IN(REDIRECT)},
	[REPLACE_KEY] = {"ReplaceKeyWith", IN(REDIRECT)},
	[CODE] = {"HttpRedirectCode", IN(REDIRECT)},
};

static const char *const protocols[] = {
	[WEBSITE_SAME] = "", [WEBSITE_HTTP] = "http", [WEBSITE_HTTPS] = "https"};

static struct xml_website *body_of(struct xml_in *in)
{
	return CONTAINER_OF(in, struct xml_website, in);
}

static void refuse(struct xml_website *body, enum s3_code code, const char *message)
{
	if (body->in.code == S3_OK)
		body->message = message;
	xml_in_stop(&body->in, code);
}

static void opened(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct xml_website *body = body_of(in);
	enum element parent = body->path[depth - 1], element = NONE;
	(void)attributes;
	for (enum element i = CONFIGURATION; i < ARRAY_COUNT(elements); i++)
		if (bytes_is_text(name, elements[i].name) && (elements[i].parents & IN(parent)))
			element = i;
	if (element == NONE || (element != RULE && (body->seen[depth - 1] & IN(element)))) {
		refuse(body, S3_MALFORMED_XML, NULL);
		return;
	}
	body->seen[depth - 1] |= IN(element);
	body->path[depth] = element;
	body->seen[depth] = 0;
	if (element == RULE)
		body->rule = (struct website_rule){.error = 0};
}

/* --- what elements say ------------------------------------------------------------------------ */

static void keep(struct xml_website *body, struct bytes text, uint8_t *place, size_t cap,
	struct bytes *ret_text)
{
	if (text.len > cap) {
		refuse(body, S3_INVALID_REQUEST, "A value is too long.");
		return;
	}
	if (text.len > 0)
		memcpy(place, text.data, text.len);
	*ret_text = bytes_make(place, text.len);
}

/* It becomes part of a header: letters, digits, and what ports and addresses have. */
static bool is_host(struct bytes host)
{
	for (size_t i = 0; i < host.len; i++) {
		uint8_t c = host.data[i];
		bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!is_letter && !(c >= '0' && c <= '9') && (c == '\0' || !strchr("-._:[]", c)))
			return false;
	}
	return host.len > 0;
}

static void read_host(struct xml_website *body, struct bytes text, bool is_all)
{
	if (!is_host(text))
		refuse(body, S3_INVALID_REQUEST, "The HostName is not well formed.");
	else if (is_all)
		keep(body, text, body->all_host, sizeof body->all_host, &body->website.host);
	else
		keep(body, text, body->host, sizeof body->host, &body->rule.host);
}

static void read_protocol(struct xml_website *body, struct bytes text, bool is_all)
{
	uint8_t *protocol = is_all ? &body->website.protocol : &body->rule.protocol;
	for (uint8_t i = WEBSITE_HTTP; i < ARRAY_COUNT(protocols); i++)
		if (bytes_is_text(text, protocols[i])) {
			*protocol = i;
			return;
		}
	refuse(body, S3_INVALID_REQUEST,
		"Invalid protocol, protocol can be http or https. If not defined the protocol will "
		"be selected automatically.");
}

static void read_index(struct xml_website *body, struct bytes text)
{
	if (text.len == 0 || memchr(text.data, '/', text.len)) {
		body->argument_name = "IndexDocument";
		refuse(body, S3_INVALID_ARGUMENT, "The IndexDocument Suffix is not well formed");
		return;
	}
	keep(body, text, body->index, sizeof body->index, &body->website.index);
}

static void read_error(struct xml_website *body, struct bytes text)
{
	if (text.len == 0) {
		body->argument_name = "ErrorDocument";
		refuse(body, S3_INVALID_ARGUMENT, "The ErrorDocument Key is not well formed");
		return;
	}
	keep(body, text, body->error, sizeof body->error, &body->website.error);
}

/* A status of three digits, whose first is one of those. 0: it is not. */
static uint16_t read_status(struct bytes text, const char *classes)
{
	if (text.len != 3 || text.data[0] == '\0' || !strchr(classes, text.data[0]))
		return 0;
	uint16_t status = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return 0;
		status = status * 10 + (text.data[i] - '0');
	}
	return status;
}

static void read_replacement(struct xml_website *body, struct bytes text, bool *has)
{
	if (body->rule.replaces_key || body->rule.replaces_prefix) {
		refuse(body, S3_INVALID_REQUEST,
			"You can only define ReplaceKeyPrefix or ReplaceKey but not both.");
		return;
	}
	*has = true;
	keep(body, text, body->replacement, sizeof body->replacement, &body->rule.replacement);
}

static void read_code(struct xml_website *body, struct bytes text, bool is_error)
{
	uint16_t status = read_status(text, is_error ? "45" : "3");
	if (is_error && status == 0)
		refuse(body, S3_INVALID_REQUEST,
			"The provided HTTP error code is not valid. Valid codes are 4XX or 5XX.");
	else if (!is_error && (status == 0 || status == 300 || status == 304))
		refuse(body, S3_INVALID_REQUEST,
			"The provided HTTP redirect code is not valid. Valid codes are 3XX except "
			"300.");
	else if (is_error)
		body->rule.error = status;
	else
		body->rule.code = status;
}

/* --- elements end ----------------------------------------------------------------------------- */

static void end_rule(struct xml_website *body, uint32_t seen)
{
	if (!(seen & IN(REDIRECT)))
		refuse(body, S3_MALFORMED_XML, NULL);
	if (++body->rule_count > WEBSITE_RULES_MAX)
		refuse(body, S3_INVALID_REQUEST,
			"The number of routing rules in a website configuration is limited to 50.");
	website_rule_append(&body->rules, &body->rule);
	if (body->rules.is_full)
		refuse(body, S3_MAX_MESSAGE_LENGTH_EXCEEDED, NULL);
	body->website.rules = bytes_make(body->rules.data, body->rules.len);
}

static void end_whole(struct xml_website *body, uint32_t seen)
{
	if (seen & IN(ALL)) {
		if (seen != IN(ALL))
			refuse(body, S3_MALFORMED_XML, NULL);
		return;
	}
	if (seen & IN(INDEX))
		return;
	body->argument_name = "IndexDocument";
	refuse(body, S3_INVALID_ARGUMENT,
		"A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is "
		"empty");
}

/* Elements that must have something in them. */
static void end_group(struct xml_website *body, enum element element, uint32_t seen)
{
	if (element == CONDITION && seen == 0)
		refuse(body, S3_INVALID_REQUEST,
			"Condition cannot be empty. To redirect all requests without a condition, "
			"the condition element shouldn't be present.");
	else if ((element == ALL && !(seen & IN(HOST))) || (element == REDIRECT && seen == 0) ||
		(element == INDEX && seen == 0) || (element == ERROR && seen == 0) ||
		(element == RULES && seen == 0))
		refuse(body, S3_MALFORMED_XML, NULL);
}

static void closed(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_website *body = body_of(in);
	enum element element = body->path[depth];
	bool is_all = body->path[depth - 1] == ALL;
	(void)name;
	switch (element) {
	case CONFIGURATION:
		end_whole(body, body->seen[depth]);
		break;
	case RULE:
		end_rule(body, body->seen[depth]);
		break;
	case INDEX_SUFFIX:
		read_index(body, bytes_trim(text, XML_IN_SPACE));
		break;
	case ERROR_KEY:
		read_error(body, text);
		break;
	case HOST:
		read_host(body, bytes_trim(text, XML_IN_SPACE), is_all);
		break;
	case PROTOCOL:
		read_protocol(body, bytes_trim(text, XML_IN_SPACE), is_all);
		break;
	case PREFIX:
		body->rule.has_prefix = true;
		keep(body, text, body->prefix, sizeof body->prefix, &body->rule.prefix);
		break;
	case REPLACE_PREFIX:
		read_replacement(body, text, &body->rule.replaces_prefix);
		break;
	case REPLACE_KEY:
		read_replacement(body, text, &body->rule.replaces_key);
		break;
	case ERROR_CODE:
	case CODE:
		read_code(body, bytes_trim(text, XML_IN_SPACE), element == ERROR_CODE);
		break;
	default:
		end_group(body, element, body->seen[depth]);
		break;
	}
}

enum err xml_website_init(struct xml_website *body, uint8_t *rules)
{
	body->message = body->argument_name = NULL;
	body->rules = (struct fields_out){.data = rules, .cap = WEBSITE_RULES_LEN_MAX};
	body->rule_count = 0;
	body->path[0] = NONE;
	body->seen[0] = 0;
	body->website = (struct website){.protocol = WEBSITE_SAME};
	return xml_in_init(&body->in, opened, closed);
}

/* --- back ------------------------------------------------------------------------------------- */

static void put_text(struct text_out *out, const char *name, struct bytes value)
{
	xml_open(out, name);
	xml_put_any(out, value);
	xml_close(out, name);
}

static void put_target(struct text_out *out, struct bytes host, uint8_t protocol)
{
	if (host.len > 0)
		put_text(out, "HostName", host);
	if (protocol != WEBSITE_SAME && protocol < ARRAY_COUNT(protocols))
		put_text(out, "Protocol", bytes_of(protocols[protocol]));
}

static void put_rule(struct text_out *out, const struct website_rule *rule)
{
	text_put_text(out, "<RoutingRule>");
	if (rule->has_prefix || rule->error) {
		text_put_text(out, "<Condition>");
		if (rule->error)
			xml_element_uint(out, "HttpErrorCodeReturnedEquals", rule->error);
		if (rule->has_prefix)
			put_text(out, "KeyPrefixEquals", rule->prefix);
		text_put_text(out, "</Condition>");
	}
	text_put_text(out, "<Redirect>");
	put_target(out, rule->host, rule->protocol);
	if (rule->code)
		xml_element_uint(out, "HttpRedirectCode", rule->code);
	if (rule->replaces_prefix)
		put_text(out, "ReplaceKeyPrefixWith", rule->replacement);
	if (rule->replaces_key)
		put_text(out, "ReplaceKeyWith", rule->replacement);
	text_put_text(out, "</Redirect></RoutingRule>");
}

enum err xml_website_render(struct bytes config, struct text_out *out)
{
	struct website website;
	struct website_rule rule;
	enum err err = website_decode(config, &website);
	if (err != ERR_OK)
		return err;
	text_put_text(out, "<WebsiteConfiguration" XML_NAMESPACE ">");
	if (website.host.len > 0) {
		text_put_text(out, "<RedirectAllRequestsTo>");
		put_target(out, website.host, website.protocol);
		text_put_text(out, "</RedirectAllRequestsTo>");
	}
	if (website.index.len > 0) {
		text_put_text(out, "<IndexDocument>");
		put_text(out, "Suffix", website.index);
		text_put_text(out, "</IndexDocument>");
	}
	if (website.error.len > 0) {
		text_put_text(out, "<ErrorDocument>");
		put_text(out, "Key", website.error);
		text_put_text(out, "</ErrorDocument>");
	}
	if (website.rules.len > 0)
		text_put_text(out, "<RoutingRules>");
	struct bytes list = website.rules;
	while ((err = website_rule_next(&list, &rule)) == ERR_OK)
		put_rule(out, &rule);
	if (website.rules.len > 0)
		text_put_text(out, "</RoutingRules>");
	text_put_text(out, "</WebsiteConfiguration>");
	return err == ERR_END ? ERR_OK : err;
}
