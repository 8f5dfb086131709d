/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_body.h"

#include "gateway/conditional.h"
#include "gateway/names.h"
#include "gateway/s3_time.h"

static bool is(struct bytes name, const char *expected)
{
	return bytes_is_text(name, expected);
}

/* Keeps a text in a buffer of the body, until the element around it ends. */
static bool keep(uint8_t *buf, size_t cap, size_t *len, struct bytes text, struct bytes *ret_kept)
{
	if (text.len > cap - *len)
		return false;
	if (text.len > 0)
		memcpy(buf + *len, text.data, text.len);
	*ret_kept = bytes_make(buf + *len, text.len);
	*len += text.len;
	return true;
}

static bool parse_uint(struct bytes text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = text.data[i] - (unsigned)'0';
		if (digit > 9 || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return text.len > 0;
}

static bool parse_bool(struct bytes text, bool *ret_value)
{
	*ret_value = is(text, "true") || is(text, "TRUE") || is(text, "True") || is(text, "1");
	return *ret_value || is(text, "false") || is(text, "FALSE") || is(text, "False") ||
		is(text, "0");
}

/* The root must have this name. */
static void check_root(struct xml_in *in, unsigned depth, struct bytes name, const char *expected)
{
	if (depth == 1 && !is(name, expected))
		xml_in_stop(in, S3_MALFORMED_XML);
}

/* --- Delete ---------------------------------------------------------------------------------- */

static void delete_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct xml_delete *body = CONTAINER_OF(in, struct xml_delete, in);
	(void)attributes;
	check_root(in, depth, name, "Delete");
	if (depth == 2 && is(name, "Object")) {
		body->now = (struct xml_delete_object){.has_etag = false};
		body->buf_len = 0;
	}
}

static void delete_object_ended(struct xml_delete *body)
{
	if (body->now.key.len == 0 || body->object_count == XML_DELETE_COUNT_MAX) {
		xml_in_stop(&body->in, S3_MALFORMED_XML);
		return;
	}
	body->object_count++;
	enum s3_code code = body->object(body->context, &body->now);
	if (code != S3_OK)
		xml_in_stop(&body->in, code);
}

static bool take_delete_part(struct xml_delete *body, struct bytes name, struct bytes text)
{
	struct xml_delete_object *now = &body->now;
	size_t cap = sizeof body->buf;
	if (is(name, "Key"))
		return !now->key.data && keep(body->buf, cap, &body->buf_len, text, &now->key);
	text = bytes_trim(text, XML_IN_SPACE);
	if (is(name, "VersionId")) {
		now->has_version_id = text.len > 0;
		return keep(body->buf, cap, &body->buf_len, text, &now->version_id);
	}
	if (is(name, "ETag")) {
		now->has_etag = true;
		text = conditional_bare_etag(text);
		return keep(body->buf, cap, &body->buf_len, text, &now->etag);
	}
	if (is(name, "Size")) {
		now->has_size = true;
		return parse_uint(text, UINT64_MAX, &now->size);
	}
	if (is(name, "LastModifiedTime")) {
		uint64_t time_ms = 0;
		now->has_last_modified = true;
		bool is_iso = s3_time_parse_iso8601(text, &time_ms) == ERR_OK;
		now->last_modified_s = time_ms / 1000;
		return is_iso || s3_time_parse_http(text, &now->last_modified_s) == ERR_OK;
	}
	return true;
}

static void delete_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_delete *body = CONTAINER_OF(in, struct xml_delete, in);
	bool is_good = true;
	if (depth == 3 && body->buf_len + text.len <= sizeof body->buf)
		is_good = take_delete_part(body, name, text);
	else if (depth == 3)
		is_good = false;
	else if (depth == 2 && is(name, "Object"))
		delete_object_ended(body);
	else if (depth == 2 && is(name, "Quiet"))
		is_good = parse_bool(bytes_trim(text, XML_IN_SPACE), &body->is_quiet);
	else if (depth == 1)
		is_good = body->object_count > 0;
	if (!is_good)
		xml_in_stop(in, S3_MALFORMED_XML);
}

enum err xml_delete_init(struct xml_delete *body,
	enum s3_code (*object)(void *context, const struct xml_delete_object *object),
	void *context)
{
	body->object = object;
	body->context = context;
	body->object_count = 0;
	body->is_quiet = false;
	body->now = (struct xml_delete_object){.has_etag = false};
	body->buf_len = 0;
	return xml_in_init(&body->in, delete_open, delete_close);
}

/* --- CompleteMultipartUpload ----------------------------------------------------------------- */

static const char *const checksum_names[XML_CHECKSUM_COUNT] = {
	[XML_CHECKSUM_CRC32] = "ChecksumCRC32",
	[XML_CHECKSUM_CRC32C] = "ChecksumCRC32C",
	[XML_CHECKSUM_CRC64NVME] = "ChecksumCRC64NVME",
	[XML_CHECKSUM_SHA1] = "ChecksumSHA1",
	[XML_CHECKSUM_SHA256] = "ChecksumSHA256",
};

static void complete_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct xml_complete *body = CONTAINER_OF(in, struct xml_complete, in);
	(void)attributes;
	if (depth == 2 && is(name, "Part")) {
		body->now = (struct xml_part){.number = 0};
		body->has_number = false;
		body->has_etag = false;
		body->buf_len = 0;
	}
}

static void part_ended(struct xml_complete *body)
{
	if (!body->has_number || !body->has_etag || body->part_count == XML_COMPLETE_PARTS_MAX) {
		xml_in_stop(&body->in, S3_MALFORMED_XML);
		return;
	}
	if (body->now.number == 0 || body->now.number > XML_COMPLETE_PARTS_MAX) {
		xml_in_stop(&body->in, S3_INVALID_ARGUMENT);
		return;
	}
	if (body->now.number <= body->last_number) {
		xml_in_stop(&body->in, S3_INVALID_PART_ORDER);
		return;
	}
	body->last_number = body->now.number;
	body->part_count++;
	enum s3_code code = body->part(body->context, &body->now);
	if (code != S3_OK)
		xml_in_stop(&body->in, code);
}

static bool take_part_part(struct xml_complete *body, struct bytes name, struct bytes text)
{
	text = bytes_trim(text, XML_IN_SPACE);
	if (is(name, "PartNumber")) {
		uint64_t number = 0;
		bool is_number = parse_uint(text, INT32_MAX, &number);
		body->now.number = number;
		body->has_number = true;
		return is_number;
	}
	if (is(name, "ETag")) {
		body->has_etag = true;
		return keep(body->buf, sizeof body->buf, &body->buf_len,
			conditional_bare_etag(text), &body->now.etag);
	}
	for (size_t i = 0; i < XML_CHECKSUM_COUNT; i++) {
		if (is(name, checksum_names[i]))
			return text.len <= XML_CHECKSUM_LEN_MAX &&
				keep(body->buf, sizeof body->buf, &body->buf_len, text,
					&body->now.checksums[i]);
	}
	return true;
}

static void complete_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_complete *body = CONTAINER_OF(in, struct xml_complete, in);
	bool is_good = true;
	if (depth == 3)
		is_good = take_part_part(body, name, text);
	else if (depth == 2 && is(name, "Part"))
		part_ended(body);
	else if (depth == 1)
		is_good = body->part_count > 0;
	if (!is_good)
		xml_in_stop(in, S3_MALFORMED_XML);
}

enum err xml_complete_init(struct xml_complete *body,
	enum s3_code (*part)(void *context, const struct xml_part *part), void *context)
{
	body->part = part;
	body->context = context;
	body->part_count = 0;
	body->has_number = false;
	body->has_etag = false;
	body->last_number = 0;
	body->now = (struct xml_part){.number = 0};
	body->buf_len = 0;
	return xml_in_init(&body->in, complete_open, complete_close);
}

/* --- CreateBucketConfiguration --------------------------------------------------------------- */

static void create_bucket_close(
	struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_create_bucket *body = CONTAINER_OF(in, struct xml_create_bucket, in);
	if (depth != 2 || !is(name, "LocationConstraint"))
		return;
	text = bytes_trim(text, XML_IN_SPACE);
	if (text.len > sizeof body->location) {
		xml_in_stop(in, S3_INVALID_LOCATION_CONSTRAINT);
		return;
	}
	body->location_len = text.len;
	if (text.len > 0)
		memcpy(body->location, text.data, text.len);
}

static void create_bucket_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	(void)attributes;
	check_root(in, depth, name, "CreateBucketConfiguration");
}

enum err xml_create_bucket_init(struct xml_create_bucket *body)
{
	body->location_len = 0;
	return xml_in_init(&body->in, create_bucket_open, create_bucket_close);
}

/* --- VersioningConfiguration ----------------------------------------------------------------- */

static void versioning_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	(void)attributes;
	check_root(in, depth, name, "VersioningConfiguration");
}

static void versioning_close(
	struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_versioning *body = CONTAINER_OF(in, struct xml_versioning, in);
	text = bytes_trim(text, XML_IN_SPACE);
	if (depth == 2 && is(name, "Status")) {
		if (is(text, "Enabled"))
			body->status = XML_VERSIONING_ENABLED;
		else if (is(text, "Suspended"))
			body->status = XML_VERSIONING_SUSPENDED;
		else
			xml_in_stop(in, S3_MALFORMED_XML);
	} else if (depth == 2 && is(name, "MfaDelete") && !is(text, "Disabled")) {
		xml_in_stop(in, is(text, "Enabled") ? S3_NOT_IMPLEMENTED : S3_MALFORMED_XML);
	} else if (depth == 1 && body->status == XML_VERSIONING_ABSENT) {
		xml_in_stop(in, S3_ILLEGAL_VERSIONING_CONFIGURATION);
	}
}

enum err xml_versioning_init(struct xml_versioning *body)
{
	body->status = XML_VERSIONING_ABSENT;
	return xml_in_init(&body->in, versioning_open, versioning_close);
}

/* --- Tagging --------------------------------------------------------------------------------- */

static void tagging_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct xml_tagging *body = CONTAINER_OF(in, struct xml_tagging, in);
	(void)attributes;
	check_root(in, depth, name, "Tagging");
	if (depth == 2 && !is(name, "TagSet"))
		xml_in_stop(in, S3_MALFORMED_XML);
	if (depth == 3) {
		if (!is(name, "Tag"))
			xml_in_stop(in, S3_MALFORMED_XML);
		body->has_key = false;
		body->has_value = false;
	}
}

static enum s3_code tag_ended(struct xml_tagging *body)
{
	if (!body->has_key || !body->has_value)
		return S3_MALFORMED_XML;
	if (body->tag_count == body->tags_max)
		return S3_INVALID_TAG;
	for (uint32_t i = 0; i < body->tag_count; i++) {
		if (bytes_is_equal(body->tags[i].key, body->now.key))
			return S3_INVALID_TAG;
	}
	enum s3_code code = names_check_tag(body->now.key, body->now.value);
	if (code == S3_OK)
		body->tags[body->tag_count++] = body->now;
	return code;
}

static void tagging_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_tagging *body = CONTAINER_OF(in, struct xml_tagging, in);
	enum s3_code code = S3_OK;
	if (depth == 4 && is(name, "Key")) {
		code = body->has_key ? S3_MALFORMED_XML
			: keep(body->buf, body->buf_cap, &body->buf_len, text, &body->now.key)
			? S3_OK
			: S3_INVALID_TAG;
		body->has_key = true;
	} else if (depth == 4 && is(name, "Value")) {
		code = body->has_value ? S3_MALFORMED_XML
			: keep(body->buf, body->buf_cap, &body->buf_len, text, &body->now.value)
			? S3_OK
			: S3_INVALID_TAG;
		body->has_value = true;
	} else if (depth == 3) {
		code = tag_ended(body);
	}
	if (code != S3_OK)
		xml_in_stop(in, code);
}

enum err xml_tagging_init(struct xml_tagging *body, uint32_t tags_max, uint8_t *buf, size_t cap)
{
	assert(tags_max <= XML_TAGS_MAX);
	body->tag_count = 0;
	body->tags_max = tags_max;
	body->has_key = false;
	body->has_value = false;
	body->buf = buf;
	body->buf_len = 0;
	body->buf_cap = cap;
	return xml_in_init(&body->in, tagging_open, tagging_close);
}

/* --- AccessControlPolicy --------------------------------------------------------------------- */

static void acl_open(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct xml_acl *body = CONTAINER_OF(in, struct xml_acl, in);
	(void)attributes;
	check_root(in, depth, name, "AccessControlPolicy");
	if (depth == 3 && is(name, "Grant")) {
		body->is_full_control = false;
		body->has_grantee = false;
	}
}

static void grant_ended(struct xml_acl *body)
{
	body->grant_count++;
	body->is_plain = body->is_plain && body->is_full_control && body->has_grantee;
}

/* The grantee's ID; a second one that differs makes the list more than plain. */
static void take_grantee(struct xml_acl *body, struct bytes id)
{
	bool is_other = body->grantee_len > 0 &&
		!bytes_is_equal(bytes_make(body->grantee, body->grantee_len), id);
	if (is_other || id.len == 0 || id.len > sizeof body->grantee) {
		body->is_plain = false;
		return;
	}
	memcpy(body->grantee, id.data, id.len);
	body->grantee_len = id.len;
	body->has_grantee = true;
}

static void acl_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_acl *body = CONTAINER_OF(in, struct xml_acl, in);
	text = bytes_trim(text, XML_IN_SPACE);
	if (depth == 3 && is(name, "ID")) {
		if (text.len > sizeof body->owner) {
			xml_in_stop(in, S3_MALFORMED_ACL);
			return;
		}
		body->owner_len = text.len;
		if (text.len > 0)
			memcpy(body->owner, text.data, text.len);
	} else if (depth == 3 && is(name, "Grant")) {
		grant_ended(body);
	} else if (depth == 4 && is(name, "Permission")) {
		body->is_full_control = is(text, "FULL_CONTROL");
	} else if (depth == 5 && is(name, "ID")) {
		take_grantee(body, text);
	} else if (depth == 5 && (is(name, "URI") || is(name, "EmailAddress"))) {
		body->is_plain = false;
	}
}

enum err xml_acl_init(struct xml_acl *body)
{
	body->grant_count = 0;
	body->is_plain = true;
	body->owner_len = 0;
	body->grantee_len = 0;
	body->is_full_control = false;
	body->has_grantee = false;
	return xml_in_init(&body->in, acl_open, acl_close);
}

bool xml_acl_is_private(const struct xml_acl *body)
{
	struct bytes owner = {body->owner, body->owner_len};
	struct bytes grantee = {body->grantee, body->grantee_len};
	return body->is_plain && body->grant_count <= 1 &&
		(body->grant_count == 0 || owner.len == 0 || bytes_is_equal(owner, grantee));
}
