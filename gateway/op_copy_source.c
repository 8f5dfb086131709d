/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_copy_source.h"

#include "gateway/authorize.h"
#include "gateway/conditional.h"
#include "gateway/op_get_plan.h"

static enum s3_code invalid(struct request *request, struct bytes value)
{
	request->error.message = "Copy Source must mention the source bucket and key: "
				 "sourcebucket/sourcekey.";
	s3_error_add(&request->error, "ArgumentName", bytes_of("x-amz-copy-source"));
	s3_error_add(&request->error, "ArgumentValue", value);
	return S3_INVALID_ARGUMENT;
}

/* Takes "?versionId=..." off the end. A question mark of the key itself is encoded. */
static void split_version(struct bytes *text, struct op_copy_source *source)
{
	struct bytes mark = bytes_of("?versionId=");
	source->has_version = false;
	source->version_text = (struct bytes){0};
	for (size_t i = text->len; i-- > 0;) {
		if (text->data[i] != '?' || !bytes_has_prefix(bytes_from(*text, i), mark))
			continue;
		source->has_version = true;
		source->version_text = bytes_from(*text, i + mark.len);
		text->len = i;
		return;
	}
}

enum s3_code op_copy_source_parse(struct request *request, struct op_copy_source *source)
{
	struct bytes value, text, path;
	if (!request_header(request, "x-amz-copy-source", &value))
		return invalid(request, (struct bytes){0});
	text = value;
	split_version(&text, source);
	if (uri_decode(text, source->buf, sizeof source->buf, &path) != ERR_OK)
		return invalid(request, value);
	if (path.len > 0 && path.data[0] == '/')
		path = bytes_from(path, 1);
	const uint8_t *slash = path.len > 0 ? memchr(path.data, '/', path.len) : NULL;
	if (!slash)
		return invalid(request, value);
	source->bucket_name = bytes_make(path.data, slash - path.data);
	source->key = bytes_from(path, source->bucket_name.len + 1);
	if (source->bucket_name.len == 0 || source->bucket_name.len > ROW_BUCKET_NAME_LEN_MAX ||
		source->key.len == 0 || source->key.len > URI_KEY_LEN_MAX ||
		!uri_is_utf8(source->key))
		return invalid(request, value);
	return sse_read_customer(request, SSE_OF_SOURCE, &source->customer);
}

/* May they read it? What is not there is told to who may list the bucket. */
static enum s3_code check_rights(
	struct request *request, struct op_copy_source *source, const struct bucket_rules *rules)
{
	struct authorize_target target = {
		.bucket = &source->bucket,
		.rules = rules,
		.name = source->bucket_name,
		.key = source->key,
		.has_version = source->has_version,
		.version = source->version_text,
	};
	struct bytes expected;

	if (!authorize(
		    request, &target, source->has_version ? "s3:GetObjectVersion" : "s3:GetObject"))
		return S3_ACCESS_DENIED;
	if (request_header(request, "x-amz-source-expected-bucket-owner", &expected) &&
		!bytes_is_equal(expected, source->bucket.owner))
		return S3_ACCESS_DENIED;
	source->may_read_tags = authorize(request, &target,
		source->has_version ? "s3:GetObjectVersionTagging" : "s3:GetObjectTagging");
	target.key = (struct bytes){0};
	target.has_version = false;
	source->tells_absence = authorize(request, &target, "s3:ListBucket");
	return S3_OK;
}

static enum s3_code find_bucket(struct request *request, struct op_copy_source *source)
{
	struct index_reader *reader = request_reader(request);
	struct bucket_rules *rules;

	enum err err = index_bucket_find(reader, source->bucket_name, &source->bucket);
	if (err == ERR_NOT_FOUND)
		s3_error_add(&request->error, "BucketName", source->bucket_name);
	if (err)
		return s3_error_from_err(err, S3_NO_SUCH_BUCKET);
	err = bucket_rules_take(&request->loop->rules, reader, &source->bucket, &rules);
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	enum s3_code code = check_rights(request, source, rules);
	bucket_rules_release(rules);
	source->bucket.name = source->bucket.owner = (struct bytes){0};
	return code;
}

static enum s3_code check_conditions(struct request *request, const struct row_version *row)
{
	const struct exchange *x = request->exchange;
	struct conditional_read conditions;
	uint8_t text[48];
	struct text_out out;
	text_out_init(&out, text, sizeof text);
	response_put_etag(&out, &row->etag);
	conditional_parse_read(x->headers, x->header_count, true, &conditions);
	return conditional_check_copy_source(&conditions,
		conditional_bare_etag(text_out_bytes(&out)), row->time_ms / 1000, &request->error);
}

enum s3_code op_copy_source_find(
	struct request *request, struct op_copy_source *source, struct object_info *ret_object)
{
	enum s3_code code = find_bucket(request, source);
	if (code == S3_OK)
		code = op_get_find_version(request, source->bucket.id, source->key,
			source->has_version, source->version_text, ret_object);
	if (code == S3_OK && ret_object->row.is_delete_marker && !source->has_version)
		code = S3_NO_SUCH_KEY;
	if ((code == S3_NO_SUCH_KEY || code == S3_NO_SUCH_VERSION) && !source->tells_absence)
		return S3_ACCESS_DENIED;
	request->is_absence_told = code != S3_OK;
	if (code == S3_NO_SUCH_KEY)
		s3_error_add(&request->error, "Key", source->key);
	if (code != S3_OK)
		return code;
	if (ret_object->row.is_delete_marker) {
		request->error.message = "The source of a copy request may not specifically refer "
					 "to a delete marker by version id.";
		return S3_INVALID_REQUEST;
	}
	code = check_conditions(request, &ret_object->row);
	if (code != S3_OK)
		return code;
	struct row_body body;
	enum err err = index_body_get(request_reader(request), ret_object->row.body, &body);
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	struct bytes encryption;
	err = sse_find(request_reader(request), ret_object->row.body, &body, &encryption);
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	code = sse_check(request, &source->customer, encryption);
	if (code != S3_OK)
		return code;
	source->mode = sse_mode_of(encryption);
	source->version = ret_object->version;
	source->is_null = ret_object->row.is_null;
	source->body = ret_object->row.body;
	source->len = ret_object->row.len;
	source->etag = ret_object->row.etag;
	source->checksum = body.checksums[0];
	return S3_OK;
}

void op_copy_source_add_version(struct request *request, const struct op_copy_source *source,
	struct response_headers *headers)
{
	struct text_out out;
	if (source->bucket.versioning == BUCKET_UNVERSIONED)
		return;
	request_note_begin(request, &out);
	response_put_version(&out, source->version, source->is_null);
	response_add(headers, "x-amz-copy-source-version-id", request_note_end(request, &out));
}
