/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metadata_headers.h"

#include "gateway/names.h"
#include "gateway/op_acl.h"

#define USER_PREFIX "x-amz-meta-"

static const char *const kept_names[] = {
	"cache-control",
	"content-disposition",
	"content-encoding",
	"content-language",
	"content-type",
	"expires",
	"x-amz-website-redirect-location",
};

static const char *const storage_classes[] = {
	"STANDARD",
	"REDUCED_REDUNDANCY",
	"STANDARD_IA",
	"ONEZONE_IA",
	"INTELLIGENT_TIERING",
	"GLACIER",
	"GLACIER_IR",
	"DEEP_ARCHIVE",
	"OUTPOSTS",
	"SNOW",
	"EXPRESS_ONEZONE",
	"FSX_OPENZFS",
};

/* --- headers in ------------------------------------------------------------------------------- */

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static bool is_aws_chunked(struct bytes token)
{
	static const char name[] = "aws-chunked";
	if (token.len != sizeof name - 1)
		return false;
	for (size_t i = 0; i < token.len; i++)
		if (lower(token.data[i]) != name[i])
			return false;
	return true;
}

void metadata_put_content_encoding(struct text_out *out, struct bytes value)
{
	bool is_first = true;
	while (value.len > 0) {
		const uint8_t *comma = memchr(value.data, ',', value.len);
		size_t len = comma ? (size_t)(comma - value.data) : value.len;
		struct bytes token = bytes_trim(bytes_make(value.data, len), " \t");
		value = bytes_from(value, comma ? len + 1 : len);
		if (token.len == 0 || is_aws_chunked(token))
			continue;
		if (!is_first)
			text_put_char(out, ',');
		text_put_bytes(out, token);
		is_first = false;
	}
}

/* Writes all values of one name, joined by commas, behind what out has. */
static void put_joined(struct text_out *out, const struct exchange *x, size_t first)
{
	bool is_encoding = bytes_is_text(x->headers[first].name, "content-encoding");
	size_t start = out->len;
	for (size_t i = first; i < x->header_count; i++) {
		if (!bytes_is_equal(x->headers[i].name, x->headers[first].name))
			continue;
		size_t comma = out->len;
		if (comma > start)
			text_put_char(out, ',');
		size_t before = out->len;
		if (is_encoding)
			metadata_put_content_encoding(out, x->headers[i].value);
		else
			text_put_bytes(out, x->headers[i].value);
		if (out->len == before && is_encoding && !out->overflowed)
			text_out_rewind(out, comma);
	}
}

static bool is_repeated(const struct exchange *x, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (bytes_is_equal(x->headers[i].name, x->headers[index].name))
			return true;
	return false;
}

static bool is_kept(struct bytes name)
{
	for (size_t i = 0; i < ARRAY_COUNT(kept_names); i++)
		if (bytes_is_text(name, kept_names[i]))
			return true;
	return false;
}

static enum s3_code too_large(struct request *request, uint64_t len)
{
	s3_error_add_uint(&request->error, "Size", len);
	s3_error_add_uint(&request->error, "MaxSizeAllowed", METADATA_USER_LEN_MAX);
	return S3_METADATA_TOO_LARGE;
}

enum s3_code metadata_read_headers(struct request *request, struct metadata *metadata)
{
	const struct exchange *x = request->exchange;
	struct bytes prefix = bytes_of(USER_PREFIX);
	size_t user_len = 0;
	metadata->len = 0;
	metadata->owner = op_acl_object_owner(request);
	enum s3_code code = op_acl_read_headers(
		request, metadata->owner, request->bucket.owner, &metadata->acl);
	if (code != S3_OK)
		return code;
	for (size_t i = 0; i < x->header_count; i++) {
		struct bytes name = x->headers[i].name;
		bool is_user = bytes_has_prefix(name, prefix) && name.len > prefix.len;
		if ((!is_user && !is_kept(name)) || is_repeated(x, i))
			continue;
		/* The value is joined where the pair puts it: behind its name and three bytes. */
		size_t head_len = 3 + name.len;
		if (name.len > UINT8_MAX || sizeof metadata->pairs - metadata->len < head_len)
			return too_large(request, user_len + name.len);
		struct text_out out;
		text_out_init(&out, metadata->pairs + metadata->len + head_len,
			sizeof metadata->pairs - metadata->len - head_len);
		put_joined(&out, x, i);
		if (is_user)
			user_len += name.len - prefix.len + out.len;
		if (out.overflowed || user_len > METADATA_USER_LEN_MAX)
			return too_large(request, user_len);
		if (out.len == 0 && !is_user)
			continue;
		uint8_t *pair = metadata->pairs + metadata->len;
		pair[0] = name.len;
		put_le16(pair + 1, out.len);
		memcpy(pair + 3, name.data, name.len);
		metadata->len += head_len + out.len;
	}
	return S3_OK;
}

void metadata_describe(const struct metadata *metadata, struct command_attributes *attributes)
{
	attributes->metadata = metadata_pairs(metadata);
	attributes->tags = metadata_tags(metadata);
	attributes->owner = metadata->owner;
	attributes->acl = acl_bytes(&metadata->acl);
}

/* --- tags ------------------------------------------------------------------------------------- */

static bool is_tag_valid(const struct query *query, size_t index)
{
	const struct query_param *tag = &query->params[index];
	for (size_t i = 0; i < index; i++)
		if (bytes_is_equal(query->params[i].name, tag->name))
			return false;
	return names_check_tag(tag->name, tag->value) == S3_OK;
}

enum s3_code metadata_parse_tags(struct bytes text, struct metadata *metadata)
{
	uint8_t buf[METADATA_TAGS_TEXT_LEN_MAX];
	struct query query;
	metadata->tags_len = 0;
	if (text.len == 0)
		return S3_OK;
	if (text.len > sizeof buf || query_parse(text, buf, sizeof buf, &query) != ERR_OK ||
		query.param_count > METADATA_TAGS_MAX)
		return S3_INVALID_TAG;
	for (size_t i = 0; i < query.param_count; i++) {
		if (!is_tag_valid(&query, i))
			return S3_INVALID_TAG;
		if (metadata_tag_append(metadata->tags, sizeof metadata->tags, &metadata->tags_len,
			    query.params[i].name, query.params[i].value) != ERR_OK)
			return S3_INVALID_TAG;
	}
	return S3_OK;
}

enum s3_code metadata_read_tags(struct request *request, struct metadata *metadata)
{
	struct bytes text = {0};
	request_header(request, "x-amz-tagging", &text);
	return metadata_parse_tags(text, metadata);
}

bool metadata_tag_next(struct bytes *rest, struct metadata_pair *ret_tag)
{
	struct metadata_pair tag, value;
	if (!metadata_next(rest, &tag))
		return false;
	if (tag.name.len == 0) {
		if (!metadata_next(rest, &value))
			return false;
		tag = (struct metadata_pair){tag.value, value.value};
	}
	*ret_tag = tag;
	return true;
}

enum err metadata_tag_append(
	uint8_t *buf, size_t cap, size_t *len, struct bytes name, struct bytes value)
{
	struct bytes none = {0};
	size_t before = *len;
	if (name.len <= UINT8_MAX)
		return metadata_append(buf, cap, len, name, value);
	enum err err = metadata_append(buf, cap, len, none, name);
	if (err == ERR_OK)
		err = metadata_append(buf, cap, len, none, value);
	if (err != ERR_OK)
		*len = before;
	return err;
}

unsigned metadata_tag_count(struct bytes tags)
{
	struct metadata_pair tag;
	unsigned count = 0;
	while (metadata_tag_next(&tags, &tag))
		count++;
	return count;
}

/* --- what is refused -------------------------------------------------------------------------- */

static enum s3_code refuse_acl(const struct http_header *header)
{
	if (bytes_has_prefix(header->name, bytes_of("x-amz-grant-")))
		return S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED;
	if (bytes_is_text(header->name, "x-amz-acl") && !bytes_is_text(header->value, "private") &&
		!bytes_is_text(header->value, "bucket-owner-full-control"))
		return S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED;
	return S3_OK;
}

static bool is_storage_class(struct bytes name)
{
	for (size_t i = 0; i < ARRAY_COUNT(storage_classes); i++)
		if (bytes_is_text(name, storage_classes[i]))
			return true;
	return false;
}

enum s3_code metadata_refuse_headers(struct request *request)
{
	const struct exchange *x = request->exchange;
	bool has_acls = bucket_rules_has_acls(request->rules);
	for (size_t i = 0; i < x->header_count; i++) {
		const struct http_header *header = &x->headers[i];
		enum s3_code code = has_acls ? S3_OK : refuse_acl(header);
		if (bytes_is_text(header->name, "x-amz-storage-class") &&
			!is_storage_class(header->value)) {
			s3_error_add(&request->error, "StorageClassRequested", header->value);
			code = S3_INVALID_STORAGE_CLASS;
		}
		if (bytes_is_text(header->name, "x-amz-write-offset-bytes")) {
			s3_error_add(&request->error, "Header", header->name);
			code = S3_NOT_IMPLEMENTED;
		}
		if (code != S3_OK)
			return code;
	}
	return S3_OK;
}

/* --- headers out ------------------------------------------------------------------------------ */

void metadata_add_headers(
	struct response_headers *headers, struct bytes pairs, unsigned *ret_missing)
{
	struct metadata_pair pair;
	bool has_type = false;
	unsigned missing = 0;
	while (metadata_next(&pairs, &pair)) {
		has_type |= bytes_is_text(pair.name, "content-type");
		if (headers->count + 1 < REQUEST_HEADERS_MAX)
			headers->list[headers->count++] = (struct http_header){
				pair.name, pair.value};
		else
			missing++;
	}
	if (!has_type)
		response_add(headers, "content-type", bytes_of("binary/octet-stream"));
	*ret_missing = missing;
}
