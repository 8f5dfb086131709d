/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/bucket_config.h"

#include "gateway/policy.h"
#include "gateway/xml_out.h"

/* A blob is a byte, the version of its format, and then
 *
 *	POLICY         the JSON, as it was sent (policy.h compiles it)
 *	TAGS           pairs, as rows of versions have them (metadata_next())
 *	CORS           items {tag (1 byte), length (2, little-endian), value}, a rule's behind its
 *	               BUCKET_CORS_RULE: by tag, then in the order of the document
 *	LIFECYCLE      a list of rules (storage/meta/lifecycle.h)
 *	NOTIFICATION   a list of rules (storage/meta/notice.h)
 *	WEBSITE        of website_config.h
 *	OWNERSHIP      enum bucket_ownership, 1 byte
 *	ENCRYPTION     what xml_encryption.h says, 2 bytes
 *	COMPRESSION    enum frame_compression, 1 byte; no document says so
 *	PUBLIC_ACCESS  set of enum bucket_public_access, 1 byte
 *
 * (B1) A blob is only made of a document that was checked to its end, so that what is read later
 *      needs no judgement; what does not decode is damage, and whoever asks for it is refused.
 * (B2) Documents are taken strictly: an element that is not known is refused, not passed over, as
 *      these decide who may do what.
 */
enum { FORMAT = 1, ITEM_HEAD_LEN = 3, CORS_ID_LEN_MAX = 255 };

static bool is(struct bytes name, const char *expected)
{
	return bytes_is_text(name, expected);
}

static struct bucket_config_parse *parse_of(struct xml_in *in)
{
	return CONTAINER_OF(in, struct bucket_config_parse, xml.in);
}

static void refuse(struct xml_in *in, enum s3_code code, const char *message)
{
	struct bucket_config_parse *parse = parse_of(in);
	if (in->code == S3_OK)
		parse->message = message;
	xml_in_stop(in, code);
}

/* --- CORS ------------------------------------------------------------------------------------- */

static const char *const cors_names[] = {
	[BUCKET_CORS_RULE] = "CORSRule",
	[BUCKET_CORS_ID] = "ID",
	[BUCKET_CORS_HEADER] = "AllowedHeader",
	[BUCKET_CORS_METHOD] = "AllowedMethod",
	[BUCKET_CORS_ORIGIN] = "AllowedOrigin",
	[BUCKET_CORS_EXPOSE] = "ExposeHeader",
	[BUCKET_CORS_MAX_AGE] = "MaxAgeSeconds",
};

static enum bucket_cors_tag cors_tag(struct bytes name)
{
	for (enum bucket_cors_tag tag = BUCKET_CORS_ID; tag <= BUCKET_CORS_MAX_AGE; tag++)
		if (is(name, cors_names[tag]))
			return tag;
	return 0;
}

static size_t count_stars(struct bytes text)
{
	size_t count = 0;
	for (size_t i = 0; i < text.len; i++)
		count += text.data[i] == '*';
	return count;
}

static bool is_cors_method(struct bytes text)
{
	return is(text, "GET") || is(text, "PUT") || is(text, "HEAD") || is(text, "POST") ||
		is(text, "DELETE");
}

/* Header values are made of these texts: visible ASCII only. */
static bool is_visible(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
			return false;
	return text.len > 0;
}

static bool is_seconds(struct bytes text)
{
	if (text.len == 0 || text.len > 9)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	return true;
}

static enum s3_code check_cors_item(
	enum bucket_cors_tag tag, struct bytes text, const char **ret_message)
{
	switch (tag) {
	case BUCKET_CORS_ID:
		return text.len <= CORS_ID_LEN_MAX ? S3_OK : S3_INVALID_ARGUMENT;
	case BUCKET_CORS_METHOD:
		if (is_cors_method(text))
			return S3_OK;
		*ret_message = "Found unsupported HTTP method in CORS config.";
		return S3_INVALID_REQUEST;
	case BUCKET_CORS_ORIGIN:
	case BUCKET_CORS_HEADER:
		if (count_stars(text) <= 1)
			return is_visible(text) ? S3_OK : S3_MALFORMED_XML;
		*ret_message = tag == BUCKET_CORS_ORIGIN
			? "AllowedOrigin can not have more than one wildcard."
			: "AllowedHeader can not have more than one wildcard.";
		return S3_INVALID_REQUEST;
	case BUCKET_CORS_EXPOSE:
		if (count_stars(text) == 0)
			return is_visible(text) ? S3_OK : S3_MALFORMED_XML;
		*ret_message = "ExposeHeader contains wildcard. We currently do not support "
			       "wildcard for ExposeHeader.";
		return S3_INVALID_REQUEST;
	case BUCKET_CORS_MAX_AGE:
		return is_seconds(text) ? S3_OK : S3_MALFORMED_XML;
	default:
		return S3_MALFORMED_XML;
	}
}

static bool put_item(struct bucket_config_parse *parse, enum bucket_cors_tag tag, struct bytes text)
{
	/* What is kept has a bound of its own, below that of the arena. */
	if (ITEM_HEAD_LEN + text.len > ROW_CONFIG_LEN_MAX - parse->len)
		return false;
	uint8_t *p = parse->arena + parse->len;
	p[0] = tag;
	put_le16(p + 1, text.len);
	if (text.len > 0)
		memcpy(p + ITEM_HEAD_LEN, text.data, text.len);
	parse->len += ITEM_HEAD_LEN + text.len;
	return true;
}

static void cors_open(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct bucket_config_parse *parse = parse_of(in);
	(void)attributes;
	bool is_known = depth == 1 ? is(name, "CORSConfiguration")
		: depth == 2       ? is(name, "CORSRule")
				   : depth == 3 && cors_tag(name) != 0;
	if (!is_known) {
		refuse(in, S3_MALFORMED_XML, NULL);
		return;
	}
	if (depth != 2)
		return;
	parse->seen = 0;
	if (parse->rule_count++ == BUCKET_CONFIG_CORS_RULES_MAX)
		refuse(in, S3_INVALID_REQUEST, "The number of CORS rules should not exceed 100.");
	else if (!put_item(parse, BUCKET_CORS_RULE, (struct bytes){0}))
		refuse(in, S3_MAX_MESSAGE_LENGTH_EXCEEDED, NULL);
}

static void cors_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct bucket_config_parse *parse = parse_of(in);
	const unsigned needed = 1 << BUCKET_CORS_METHOD | 1 << BUCKET_CORS_ORIGIN;
	const unsigned once = 1 << BUCKET_CORS_ID | 1 << BUCKET_CORS_MAX_AGE;
	const char *message = NULL;

	if (depth == 1 && parse->rule_count == 0)
		refuse(in, S3_MALFORMED_XML, NULL);
	if (depth == 2 && (parse->seen & needed) != needed)
		refuse(in, S3_MALFORMED_XML, NULL);
	if (depth != 3)
		return;
	enum bucket_cors_tag tag = cors_tag(name);
	text = bytes_trim(text, XML_IN_SPACE);
	enum s3_code code = check_cors_item(tag, text, &message);
	if (code == S3_OK && (parse->seen & once & 1u << tag))
		code = S3_MALFORMED_XML;
	parse->seen |= 1u << tag;
	if (code == S3_OK && !put_item(parse, tag, text))
		code = S3_MAX_MESSAGE_LENGTH_EXCEEDED;
	if (code != S3_OK)
		refuse(in, code, message);
}

enum err bucket_config_cors_next(
	struct bytes *rest, enum bucket_cors_tag *ret_tag, struct bytes *ret_value)
{
	if (rest->len == 0)
		return ERR_END;
	if (rest->len < ITEM_HEAD_LEN)
		return ERR_CORRUPT;
	uint8_t tag = rest->data[0];
	size_t len = get_le16(rest->data + 1);
	if (tag < BUCKET_CORS_RULE || tag > BUCKET_CORS_MAX_AGE || len > rest->len - ITEM_HEAD_LEN)
		return ERR_CORRUPT;
	*ret_tag = tag;
	*ret_value = bytes_make(rest->data + ITEM_HEAD_LEN, len);
	*rest = bytes_from(*rest, ITEM_HEAD_LEN + len);
	return ERR_OK;
}

static enum err render_cors(struct bytes rest, struct text_out *out)
{
	enum bucket_cors_tag tag;
	struct bytes value;
	bool has_rule = false;
	enum err err;

	text_put_text(out, "<CORSConfiguration" XML_NAMESPACE ">");
	while ((err = bucket_config_cors_next(&rest, &tag, &value)) == ERR_OK) {
		if (tag != BUCKET_CORS_RULE) {
			xml_open(out, cors_names[tag]);
			xml_put_any(out, value);
			xml_close(out, cors_names[tag]);
			continue;
		}
		text_put_text(out, has_rule ? "</CORSRule><CORSRule>" : "<CORSRule>");
		has_rule = true;
	}
	text_put_text(out, has_rule ? "</CORSRule></CORSConfiguration>" : "</CORSConfiguration>");
	return err == ERR_END ? ERR_OK : err;
}

/* --- ownership -------------------------------------------------------------------------------- */

static const char *const ownership_names[] = {
	[BUCKET_OWNER_ENFORCED] = "BucketOwnerEnforced",
	[BUCKET_OWNER_PREFERRED] = "BucketOwnerPreferred",
	[BUCKET_OBJECT_WRITER] = "ObjectWriter",
};

uint8_t bucket_config_ownership(struct bytes name)
{
	for (uint8_t i = BUCKET_OWNER_ENFORCED; i <= BUCKET_OBJECT_WRITER; i++)
		if (is(name, ownership_names[i]))
			return i;
	return 0;
}

void bucket_config_make_ownership(uint8_t ownership, uint8_t ret_blob[BUCKET_CONFIG_OWNERSHIP_LEN])
{
	assert(ownership >= BUCKET_OWNER_ENFORCED && ownership <= BUCKET_OBJECT_WRITER);
	ret_blob[0] = FORMAT;
	ret_blob[1] = ownership;
}

static void ownership_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct bucket_config_parse *parse = parse_of(in);
	static const char *const names[] = {"OwnershipControls", "Rule", "ObjectOwnership"};
	(void)attributes;
	if (depth > ARRAY_COUNT(names) || !is(name, names[depth - 1]) ||
		(parse->seen & 1u << depth))
		refuse(in, S3_MALFORMED_XML, NULL);
	parse->seen |= 1u << depth;
}

static void ownership_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct bucket_config_parse *parse = parse_of(in);
	(void)name;
	if (depth == 1 && parse->value == 0)
		refuse(in, S3_MALFORMED_XML, NULL);
	if (depth != 3)
		return;
	text = bytes_trim(text, XML_IN_SPACE);
	parse->value = bucket_config_ownership(text);
	if (parse->value == 0)
		refuse(in, S3_MALFORMED_XML, NULL);
}

static enum err render_ownership(struct bytes rest, struct text_out *out)
{
	if (rest.len != 1 || rest.data[0] < BUCKET_OWNER_ENFORCED ||
		rest.data[0] > BUCKET_OBJECT_WRITER)
		return ERR_CORRUPT;
	text_put_text(out, "<OwnershipControls" XML_NAMESPACE "><Rule><ObjectOwnership>");
	text_put_text(out, ownership_names[rest.data[0]]);
	text_put_text(out, "</ObjectOwnership></Rule></OwnershipControls>");
	return ERR_OK;
}

/* --- public access ---------------------------------------------------------------------------- */

static const char *const public_access_names[] = {
	"BlockPublicAcls",
	"IgnorePublicAcls",
	"BlockPublicPolicy",
	"RestrictPublicBuckets",
};

static void public_access_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	bool is_known = depth == 1 && is(name, "PublicAccessBlockConfiguration");
	(void)attributes;
	for (size_t i = 0; depth == 2 && i < ARRAY_COUNT(public_access_names); i++)
		is_known |= is(name, public_access_names[i]);
	if (!is_known)
		refuse(in, S3_MALFORMED_XML, NULL);
}

static void public_access_close(
	struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct bucket_config_parse *parse = parse_of(in);
	if (depth != 2)
		return;
	text = bytes_trim(text, XML_IN_SPACE);
	bool is_set = is(text, "true") || is(text, "TRUE") || is(text, "True");
	if (!is_set && !is(text, "false") && !is(text, "FALSE") && !is(text, "False"))
		refuse(in, S3_MALFORMED_XML, NULL);
	for (size_t i = 0; i < ARRAY_COUNT(public_access_names); i++) {
		if (!is(name, public_access_names[i]))
			continue;
		if (parse->seen & 1u << i)
			refuse(in, S3_MALFORMED_XML, NULL);
		parse->seen |= 1u << i;
		parse->value |= is_set << i;
	}
}

static enum err render_public_access(struct bytes rest, struct text_out *out)
{
	if (rest.len != 1 || rest.data[0] >> ARRAY_COUNT(public_access_names))
		return ERR_CORRUPT;
	text_put_text(out, "<PublicAccessBlockConfiguration" XML_NAMESPACE ">");
	for (size_t i = 0; i < ARRAY_COUNT(public_access_names); i++)
		xml_element_bool(out, public_access_names[i], rest.data[0] >> i & 1);
	text_put_text(out, "</PublicAccessBlockConfiguration>");
	return ERR_OK;
}

/* --- tags ------------------------------------------------------------------------------------- */

static enum s3_code finish_tags(struct bucket_config_parse *parse, struct bytes *ret_blob)
{
	uint8_t *blob = parse->arena + BUCKET_CONFIG_TAGS_LEN_MAX;
	size_t cap = sizeof parse->arena - BUCKET_CONFIG_TAGS_LEN_MAX;
	size_t len = 1;

	blob[0] = FORMAT;
	for (uint32_t i = 0; i < parse->xml.tagging.tag_count; i++) {
		const struct xml_tag *tag = &parse->xml.tagging.tags[i];
		/* The length of a name is one byte in a pair: 255 bytes of UTF-8. */
		if (metadata_append(blob, cap, &len, tag->key, tag->value) != ERR_OK)
			return S3_INVALID_TAG;
	}
	/* No tags are not a set of tags. */
	*ret_blob = bytes_make(blob, parse->xml.tagging.tag_count > 0 ? len : 0);
	return S3_OK;
}

static enum err render_tags(struct bytes rest, struct text_out *out)
{
	struct metadata_pair tag;
	if (!metadata_is_valid(rest))
		return ERR_CORRUPT;
	text_put_text(out, "<Tagging" XML_NAMESPACE "><TagSet>");
	while (metadata_next(&rest, &tag)) {
		text_put_text(out, "<Tag><Key>");
		xml_put_any(out, tag.name);
		text_put_text(out, "</Key><Value>");
		xml_put_any(out, tag.value);
		text_put_text(out, "</Value></Tag>");
	}
	text_put_text(out, "</TagSet></Tagging>");
	return ERR_OK;
}

/* --- website ---------------------------------------------------------------------------------- */

/* Its rules are in the first half of the arena, the whole goes to the second. */
static enum s3_code finish_website(struct bucket_config_parse *parse, struct bytes *ret_blob)
{
	static_assert(WEBSITE_RULES_LEN_MAX <= BUCKET_CONFIG_TAGS_LEN_MAX, "a half of the arena");
	struct fields_out out = {.data = parse->arena + BUCKET_CONFIG_TAGS_LEN_MAX,
		.cap = sizeof parse->arena - BUCKET_CONFIG_TAGS_LEN_MAX};
	website_encode(&out, &parse->xml.website.website);
	if (out.is_full)
		return S3_MAX_MESSAGE_LENGTH_EXCEEDED;
	*ret_blob = bytes_make(out.data, out.len);
	return S3_OK;
}

/* --- policy ----------------------------------------------------------------------------------- */

static enum s3_code feed_policy(struct bucket_config_parse *parse, struct bytes piece)
{
	if (piece.len > POLICY_LEN_MAX + 1 - parse->len) {
		parse->message = "Policy exceeds the maximum allowed document size of 20480 bytes.";
		return S3_MALFORMED_POLICY;
	}
	if (piece.len > 0)
		memcpy(parse->arena + parse->len, piece.data, piece.len);
	parse->len += piece.len;
	return S3_OK;
}

static enum s3_code finish_policy(struct bucket_config_parse *parse, struct bytes *ret_blob)
{
	struct bytes json = bytes_make(parse->arena + 1, parse->len - 1);
	struct policy *policy;

	enum err err = policy_parse(
		POLICY_OF_BUCKET, json, parse->bucket, &policy, &parse->message);
	if (err == ERR_NO_MEMORY)
		parse->message = NULL;
	if (err != ERR_OK)
		return err == ERR_NO_MEMORY ? S3_SLOW_DOWN : S3_MALFORMED_POLICY;
	parse->is_public = policy_is_public(policy);
	policy_free(policy);
	*ret_blob = bytes_make(parse->arena, parse->len);
	return S3_OK;
}

/* --- all -------------------------------------------------------------------------------------- */

static enum err init_xml(struct bucket_config_parse *parse)
{
	switch (parse->kind) {
	case BUCKET_CONFIG_TAGS:
		return xml_tagging_init(&parse->xml.tagging, BUCKET_CONFIG_TAGS_MAX, parse->arena,
			BUCKET_CONFIG_TAGS_LEN_MAX);
	case BUCKET_CONFIG_LIFECYCLE:
		parse->rules = (struct fields_out){.data = parse->arena, .cap = ROW_CONFIG_LEN_MAX};
		return xml_lifecycle_init(&parse->xml.lifecycle, &parse->rules);
	case BUCKET_CONFIG_WEBSITE:
		return xml_website_init(&parse->xml.website, parse->arena);
	case BUCKET_CONFIG_NOTIFICATION:
		parse->rules = (struct fields_out){.data = parse->arena, .cap = ROW_CONFIG_LEN_MAX};
		return xml_notification_init(&parse->xml.notification, &parse->rules);
	case BUCKET_CONFIG_ENCRYPTION:
		return xml_encryption_init(&parse->xml.encryption);
	case BUCKET_CONFIG_CORS:
		return xml_in_init(&parse->xml.in, cors_open, cors_close);
	case BUCKET_CONFIG_OWNERSHIP:
		return xml_in_init(&parse->xml.in, ownership_open, ownership_close);
	default:
		assert(parse->kind == BUCKET_CONFIG_PUBLIC_ACCESS);
		return xml_in_init(&parse->xml.in, public_access_open, public_access_close);
	}
}

enum s3_code bucket_config_parse_init(
	struct bucket_config_parse *parse, enum bucket_config kind, struct bytes bucket)
{
	static_assert(offsetof(struct xml_tagging, in) == 0 &&
			offsetof(struct xml_lifecycle, in) == 0 &&
			offsetof(struct xml_notification, in) == 0 &&
			offsetof(struct xml_website, in) == 0 &&
			offsetof(struct xml_encryption, in) == 0,
		"their parsers are the union's");
	static_assert(sizeof parse->arena >= ROW_CONFIG_LEN_MAX, "room for any blob");
	parse->kind = kind;
	parse->bucket = bucket;
	parse->message = NULL;
	parse->seen = 0;
	parse->rule_count = 0;
	parse->value = 0;
	parse->is_public = false;
	parse->arena[0] = FORMAT;
	parse->len = 1;
	parse->has_xml = false;
	if (kind == BUCKET_CONFIG_POLICY)
		return S3_OK;
	parse->has_xml = init_xml(parse) == ERR_OK;
	return parse->has_xml ? S3_OK : S3_SLOW_DOWN;
}

void bucket_config_parse_fini(struct bucket_config_parse *parse)
{
	if (parse->has_xml)
		xml_in_fini(&parse->xml.in);
	parse->has_xml = false;
}

enum s3_code bucket_config_parse_feed(struct bucket_config_parse *parse, struct bytes piece)
{
	if (parse->kind == BUCKET_CONFIG_POLICY)
		return feed_policy(parse, piece);
	enum s3_code code = xml_in_feed(&parse->xml.in, piece);
	if (parse->kind == BUCKET_CONFIG_LIFECYCLE)
		parse->message = parse->xml.lifecycle.message;
	if (parse->kind == BUCKET_CONFIG_ENCRYPTION)
		parse->message = parse->xml.encryption.message;
	if (parse->kind == BUCKET_CONFIG_NOTIFICATION)
		parse->message = parse->xml.notification.message;
	if (parse->kind == BUCKET_CONFIG_WEBSITE)
		parse->message = parse->xml.website.message;
	return code;
}

enum s3_code bucket_config_parse_finish(struct bucket_config_parse *parse, struct bytes *ret_blob)
{
	if (parse->kind == BUCKET_CONFIG_POLICY)
		return finish_policy(parse, ret_blob);
	enum s3_code code = xml_in_finish(&parse->xml.in);
	if (code != S3_OK)
		return code;
	if (parse->kind == BUCKET_CONFIG_TAGS)
		return finish_tags(parse, ret_blob);
	if (parse->kind == BUCKET_CONFIG_WEBSITE)
		return finish_website(parse, ret_blob);
	if (parse->kind == BUCKET_CONFIG_ENCRYPTION) {
		memcpy(parse->arena + parse->len, parse->xml.encryption.config, XML_ENCRYPTION_LEN);
		parse->len += XML_ENCRYPTION_LEN;
	} else if (parse->kind == BUCKET_CONFIG_LIFECYCLE)
		parse->len = parse->rules.len;
	else if (parse->kind == BUCKET_CONFIG_NOTIFICATION) /* no rules are none */
		parse->len = parse->xml.notification.rule_count > 0 ? parse->rules.len : 0;
	else if (parse->kind != BUCKET_CONFIG_CORS)
		parse->arena[parse->len++] = parse->value;
	*ret_blob = bytes_make(parse->arena, parse->len);
	return S3_OK;
}

const char *bucket_config_type(enum bucket_config kind)
{
	return kind == BUCKET_CONFIG_POLICY ? "application/json" : "application/xml";
}

enum err bucket_config_open(struct bytes blob, struct bytes *ret_rest)
{
	if (blob.len == 0)
		return ERR_CORRUPT;
	if (blob.data[0] != FORMAT)
		return ERR_VERSION;
	*ret_rest = bytes_from(blob, 1);
	return ERR_OK;
}

enum err bucket_config_render(enum bucket_config kind, struct bytes blob, struct text_out *out)
{
	struct bytes rest;
	enum err err = bucket_config_open(blob, &rest);
	if (err != ERR_OK)
		return err;
	if (kind == BUCKET_CONFIG_POLICY) {
		text_put_bytes(out, rest);
		return ERR_OK;
	}
	text_put_text(out, XML_DECLARATION);
	switch (kind) {
	case BUCKET_CONFIG_TAGS:
		return render_tags(rest, out);
	case BUCKET_CONFIG_LIFECYCLE:
		return xml_lifecycle_render(rest, out);
	case BUCKET_CONFIG_WEBSITE:
		return xml_website_render(blob, out);
	case BUCKET_CONFIG_NOTIFICATION:
		return xml_notification_render(rest, out);
	case BUCKET_CONFIG_ENCRYPTION:
		return xml_encryption_render(rest, out);
	case BUCKET_CONFIG_CORS:
		return render_cors(rest, out);
	case BUCKET_CONFIG_OWNERSHIP:
		return render_ownership(rest, out);
	default:
		assert(kind == BUCKET_CONFIG_PUBLIC_ACCESS);
		return render_public_access(rest, out);
	}
}
