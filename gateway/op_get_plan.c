/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_get_plan.h"

#include "gateway/authorize.h"
#include "gateway/conditional.h"
#include "gateway/expiration.h"
#include "gateway/metadata_headers.h"
#include "gateway/op_object_lock.h"
#include "gateway/op_put.h"
#include "gateway/range.h"
#include "gateway/s3_time.h"

/* The order of what can go wrong is that of S3: parameters, then the key, then conditions, then the
 * range. */

/* --- finding ---------------------------------------------------------------------------------- */

enum s3_code op_get_find_version(struct request *request, uint64_t bucket, struct bytes key,
	bool has_version, struct bytes version_text, struct object_info *ret_object)
{
	struct index_reader *reader = request_reader(request);
	struct version_id version;
	bool is_null;
	if (!has_version)
		return s3_error_from_err(
			index_version_find(reader, bucket, key, ret_object), S3_NO_SUCH_KEY);
	enum s3_code code = response_read_version(request, version_text, &version, &is_null);
	if (code != S3_OK)
		return code;
	enum err err = is_null ? index_version_null(reader, bucket, key, ret_object)
			       : index_version_get(reader, bucket, key, version, ret_object);
	if (err == ERR_NOT_FOUND) {
		s3_error_add(&request->error, "Key", key);
		s3_error_add(&request->error, "VersionId", version_text);
	}
	return s3_error_from_err(err, S3_NO_SUCH_VERSION);
}

static struct bytes note_time(struct request *request, uint64_t time_ms)
{
	uint8_t text[S3_TIME_HTTP_LEN];
	s3_time_format_http(time_ms / 1000, text);
	return request_note(request, bytes_make(text, sizeof text));
}

/* A delete marker is nothing to be read; the answer says what it is. */
static enum s3_code refuse_marker(struct request *request, struct response_headers *headers,
	const struct object_info *object, bool has_version)
{
	response_add(headers, "x-amz-delete-marker", bytes_of("true"));
	op_put_add_version(request, headers, object->version, object->row.is_null);
	if (!has_version)
		return S3_NO_SUCH_KEY;
	response_add(headers, "last-modified", note_time(request, object->row.time_ms));
	response_add(headers, "allow", bytes_of("DELETE"));
	s3_error_add(&request->error, "Method", request->exchange->method_name);
	s3_error_add(&request->error, "ResourceType", bytes_of("DeleteMarker"));
	return S3_METHOD_NOT_ALLOWED;
}

enum s3_code op_get_find_object(
	struct request *request, struct response_headers *headers, struct object_info *ret_object)
{
	struct bytes version_text = {0};
	bool has_version = query_find(&request->query, "versionId", &version_text);
	headers->count = 0;
	if (!authorize_object(request))
		return S3_ACCESS_DENIED;
	enum s3_code code = op_get_find_version(request, request->bucket.id, request->resource.key,
		has_version, version_text, ret_object);
	if (code == S3_OK && ret_object->row.is_delete_marker)
		return refuse_marker(request, headers, ret_object, has_version);
	return code;
}

/* --- conditions ------------------------------------------------------------------------------- */

static enum s3_code check_conditions(struct request *request, const struct row_version *row)
{
	const struct exchange *x = request->exchange;
	struct conditional_read conditions;
	uint8_t text[48];
	struct text_out out;
	text_out_init(&out, text, sizeof text);
	response_put_etag(&out, &row->etag);
	conditional_parse_read(x->headers, x->header_count, false, &conditions);
	return conditional_check_read(&conditions, conditional_bare_etag(text_out_bytes(&out)),
		row->time_ms / 1000, &request->error);
}

/* What a cache may want to know again with "not modified". */
static void add_validators(
	struct request *request, struct response_headers *headers, const struct object_info *object)
{
	static const char *const names[] = {"cache-control", "expires"};
	struct bytes rest = object->row.metadata;
	struct metadata_pair pair;
	op_put_add_etag(request, headers, &object->row.etag);
	response_add(headers, "last-modified", note_time(request, object->row.time_ms));
	op_put_add_version(request, headers, object->version, object->row.is_null);
	while (metadata_next(&rest, &pair))
		for (size_t i = 0; i < ARRAY_COUNT(names); i++)
			if (bytes_is_text(pair.name, names[i]))
				response_add(headers, names[i], request_note(request, pair.value));
}

/* --- which bytes ------------------------------------------------------------------------------ */

static void add_content_range(
	struct request *request, struct op_get_plan *plan, uint64_t object_len)
{
	struct text_out out;
	request_note_begin(request, &out);
	text_put_text(&out, "bytes ");
	if (plan->len > 0) {
		text_put_uint(&out, plan->start);
		text_put_char(&out, '-');
		text_put_uint(&out, plan->start + plan->len - 1);
	} else {
		text_put_char(&out, '*');
	}
	text_put_char(&out, '/');
	text_put_uint(&out, object_len);
	response_add(&plan->headers, "content-range", request_note_end(request, &out));
}

static enum s3_code plan_range(
	struct request *request, struct op_get_plan *plan, struct bytes header, uint64_t object_len)
{
	struct range range;
	switch (range_parse(header, object_len, &range, &request->error)) {
	case RANGE_WHOLE:
		return S3_OK;
	case RANGE_PART:
		plan->status = 206;
		plan->start = range.offset;
		plan->len = range.len;
		add_content_range(request, plan, object_len);
		return S3_OK;
	case RANGE_OUTSIDE:
		plan->len = 0;
		plan->headers.count = 0;
		add_content_range(request, plan, object_len);
		return S3_INVALID_RANGE;
	}
	return S3_INTERNAL_ERROR;
}

static enum s3_code no_such_part(struct request *request, uint64_t number, uint64_t count)
{
	s3_error_add_uint(&request->error, "PartNumberRequested", number);
	s3_error_add_uint(&request->error, "ActualPartCount", count);
	return S3_INVALID_PART_NUMBER;
}

/* One part of an upload in parts; a plain object is one part. */
static enum s3_code plan_part(struct request *request, struct op_get_plan *plan,
	const struct row_body *body, uint64_t number, struct checksum *checksum)
{
	struct index_reader *reader = request_reader(request);
	if (body->part_count == 0) {
		if (number != 1)
			return no_such_part(request, number, 1);
		if (body->len > 0) {
			plan->status = 206;
			add_content_range(request, plan, body->len);
		}
		return S3_OK;
	}
	struct index_part part;
	struct row_body part_body;
	enum err err = index_body_part(reader, plan->body, number, &part);
	if (err == ERR_NOT_FOUND)
		return no_such_part(request, number, body->part_count);
	if (err == ERR_OK)
		err = index_body_get(reader, part.body, &part_body);
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	*checksum = part_body.checksums[0];
	plan->start = part.offset;
	plan->len = part.len;
	if (part.len > 0) {
		plan->status = 206;
		add_content_range(request, plan, body->len);
	}
	struct text_out out;
	request_note_begin(request, &out);
	text_put_uint(&out, body->part_count);
	response_add(&plan->headers, "x-amz-mp-parts-count", request_note_end(request, &out));
	return S3_OK;
}

/* Who has not the key is told nothing of the bytes. */
static enum s3_code plan_encryption(
	struct request *request, struct op_get_plan *plan, const struct row_body *body)
{
	struct bytes encryption;
	enum err err = sse_find(request_reader(request), plan->body, body, &encryption);
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	enum s3_code code = sse_check(request, &plan->customer, encryption);
	if (code == S3_OK)
		sse_add_headers(request, &plan->headers, sse_mode_of(encryption), &plan->customer);
	return code;
}

static enum s3_code plan_bytes(struct request *request, struct op_get_plan *plan,
	const struct object_info *object, uint64_t part_number)
{
	struct bytes range, mode = {0};
	struct row_body body;
	enum err err = index_body_get(request_reader(request), object->row.body, &body);
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	struct checksum checksum = body.checksums[0];
	enum s3_code code = plan_encryption(request, plan, &body);
	if (code != S3_OK)
		return code;
	if (part_number > 0)
		code = plan_part(request, plan, &body, part_number, &checksum);
	else if (request_header(request, "range", &range))
		code = plan_range(request, plan, range, body.len);
	request_header(request, "x-amz-checksum-mode", &mode);
	bool wants_checksum = mode.len == 7 &&
		strncasecmp((const char *)mode.data, "ENABLED", 7) == 0;
	if (code == S3_OK && wants_checksum && (plan->status == 200 || part_number > 0))
		op_put_add_checksum(request, &plan->headers, &checksum, body.part_count, true);
	return code;
}

/* --- headers ---------------------------------------------------------------------------------- */

static bool is_header_value(struct bytes value)
{
	for (size_t i = 0; i < value.len; i++)
		if (value.data[i] < ' ' || value.data[i] == 0x7f)
			return false;
	return true;
}

/* Sets a header that may be there already. */
static void set_header(struct response_headers *headers, const char *name, struct bytes value)
{
	for (size_t i = 0; i < headers->count; i++)
		if (bytes_is_text(headers->list[i].name, name)) {
			headers->list[i].value = value;
			return;
		}
	if (headers->count + 1 < REQUEST_HEADERS_MAX)
		response_add(headers, name, value);
}

/* response-content-type and its like, which the signature covers. */
static enum s3_code override_headers(struct request *request, struct response_headers *headers)
{
	static const char *const names[][2] = {
		{"response-cache-control", "cache-control"},
		{"response-content-disposition", "content-disposition"},
		{"response-content-encoding", "content-encoding"},
		{"response-content-language", "content-language"},
		{"response-content-type", "content-type"},
		{"response-expires", "expires"},
	};
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		struct bytes value;
		if (!query_find(&request->query, names[i][0], &value))
			continue;
		if (request->auth.is_anonymous)
			return S3_INVALID_REQUEST;
		if (!is_header_value(value)) {
			s3_error_add(&request->error, "ArgumentName", bytes_of(names[i][0]));
			return S3_INVALID_ARGUMENT;
		}
		set_header(headers, names[i][1], value);
	}
	return S3_OK;
}

static void add_count(
	struct request *request, struct response_headers *headers, const char *name, unsigned count)
{
	struct text_out out;
	if (count == 0)
		return;
	request_note_begin(request, &out);
	text_put_uint(&out, count);
	response_add(headers, name, request_note_end(request, &out));
}

static void add_object_headers(
	struct request *request, struct op_get_plan *plan, const struct object_info *object)
{
	struct response_headers *headers = &plan->headers;
	const struct row_version *row = &object->row;
	unsigned missing;
	response_add(headers, "accept-ranges", bytes_of("bytes"));
	response_add(headers, "last-modified", note_time(request, row->time_ms));
	op_put_add_etag(request, headers, &row->etag);
	op_put_add_version(request, headers, object->version, row->is_null);
	add_count(request, headers, "x-amz-tagging-count", metadata_tag_count(row->tags));
	op_object_lock_add_headers(request, headers, row);
	if (!query_has(&request->query, "versionId"))
		expiration_add(request, headers, object);
	assert(row->metadata.len <= sizeof plan->pairs);
	if (row->metadata.len > 0)
		memcpy(plan->pairs, row->metadata.data, row->metadata.len);
	metadata_add_headers(headers, bytes_make(plan->pairs, row->metadata.len), &missing);
	if (headers->count < REQUEST_HEADERS_MAX)
		add_count(request, headers, "x-amz-missing-meta", missing);
}

/* --- the whole -------------------------------------------------------------------------------- */

static enum s3_code read_part_number(struct request *request, uint64_t *ret_number)
{
	enum s3_code code = request_param_uint(request, "partNumber", 0, ROW_PART_MAX, ret_number);
	if (code != S3_OK || !query_has(&request->query, "partNumber"))
		return code;
	if (*ret_number == 0) {
		s3_error_add(&request->error, "ArgumentName", bytes_of("partNumber"));
		return S3_INVALID_ARGUMENT;
	}
	if (request_header(request, "range", NULL)) {
		request->error.message = "Cannot specify both Range header and partNumber query "
					 "parameter.";
		return S3_INVALID_REQUEST;
	}
	return S3_OK;
}

enum s3_code op_get_plan(struct request *request, struct op_get_plan *plan)
{
	struct object_info object;
	uint64_t part_number;
	plan->headers.count = 0;
	enum s3_code code = read_part_number(request, &part_number);
	if (code == S3_OK)
		code = sse_refuse_on_read(request);
	if (code == S3_OK)
		code = sse_read_customer(request, SSE_OF_OBJECT, &plan->customer);
	if (code == S3_OK)
		code = op_get_find_object(request, &plan->headers, &object);
	if (code != S3_OK)
		return code;
	code = check_conditions(request, &object.row);
	if (code == S3_NOT_MODIFIED)
		add_validators(request, &plan->headers, &object);
	if (code != S3_OK)
		return code;

	plan->status = 200;
	plan->body = object.row.body;
	plan->start = 0;
	plan->len = object.row.len;
	code = plan_bytes(request, plan, &object, part_number);
	if (code != S3_OK)
		return code;
	add_object_headers(request, plan, &object);
	return override_headers(request, &plan->headers);
}
