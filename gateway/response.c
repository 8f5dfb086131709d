/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/response.h"

#include "gateway/authorize.h"
#include "gateway/cors.h"
#include "gateway/digest/hex.h"
#include "gateway/request_priv.h"
#include "gateway/s3_time.h"
#include "gateway/website.h"
#include "gateway/xml_out.h"

/* --- pieces ----------------------------------------------------------------------------------- */

void response_put_owner(struct text_out *out, struct bytes owner)
{
	text_put_text(out, "<Owner><ID>");
	xml_put_any(out, owner);
	text_put_text(out, "</ID><DisplayName>");
	xml_put_any(out, owner);
	text_put_text(out, "</DisplayName></Owner>");
}

void response_put_etag(struct text_out *out, const struct etag *etag)
{
	text_put_char(out, '"');
	text_put_hex(out, bytes_make(etag->md5, sizeof etag->md5));
	if (etag->part_count > 0) {
		text_put_char(out, '-');
		text_put_uint(out, etag->part_count);
	}
	text_put_char(out, '"');
}

void response_put_time(struct text_out *out, uint64_t time_ms)
{
	uint8_t text[S3_TIME_ISO8601_LEN];
	s3_time_format_iso8601(time_ms, text);
	text_put(out, text, sizeof text);
}

void response_put_version(struct text_out *out, struct version_id version, bool is_null)
{
	uint8_t place[(RESPONSE_VERSION_LEN - 1) / 2];
	if (is_null) {
		text_put_text(out, "null");
		return;
	}
	put_be64(place, version.index);
	put_be32(place + 8, version.position);
	text_put_char(out, 'v');
	text_put_hex(out, bytes_make(place, sizeof place));
}

enum err response_parse_version(
	struct bytes text, struct version_id *ret_version, bool *ret_is_null)
{
	uint8_t place[(RESPONSE_VERSION_LEN - 1) / 2];
	struct version_id version = {0};
	if (bytes_is_text(text, "null")) {
		*ret_version = version;
		*ret_is_null = true;
		return ERR_OK;
	}
	if (text.len == 0 || text.data[0] != 'v' ||
		hex_decode(bytes_make(text.data + 1, text.len - 1), place, sizeof place) != ERR_OK)
		return ERR_INVALID;
	version = (struct version_id){get_be64(place), get_be32(place + 8)};
	if (version_id_is_none(version))
		return ERR_INVALID;
	*ret_version = version;
	*ret_is_null = false;
	return ERR_OK;
}

enum s3_code response_read_version(struct request *request, struct bytes text,
	struct version_id *ret_version, bool *ret_is_null)
{
	if (response_parse_version(text, ret_version, ret_is_null) == ERR_OK)
		return S3_OK;
	request->error.message = text.len > 0 ? "Invalid version id specified"
					      : "Version id cannot be the empty string";
	s3_error_add(&request->error, "ArgumentName", bytes_of("versionId"));
	s3_error_add(&request->error, "ArgumentValue", text);
	return S3_INVALID_ARGUMENT;
}

/* --- values of headers ------------------------------------------------------------------------ */

void request_note_begin(struct request *request, struct text_out *ret_out)
{
	text_out_init(ret_out, request->reply_buf + request->reply_len,
		sizeof request->reply_buf - request->reply_len);
}

struct bytes request_note_end(struct request *request, struct text_out *out)
{
	assert(out->buf == request->reply_buf + request->reply_len);
	if (out->overflowed)
		return (struct bytes){0};
	request->reply_len += out->len;
	return text_out_bytes(out);
}

struct bytes request_note(struct request *request, struct bytes bytes)
{
	struct text_out out;
	request_note_begin(request, &out);
	text_put_bytes(&out, bytes);
	return request_note_end(request, &out);
}

/* --- the head --------------------------------------------------------------------------------- */

static void count(struct request *request, unsigned status)
{
	struct gateway_counters *counters = &request->loop->counters;
	if (status >= 500)
		counters->errors_5xx++;
	else if (status >= 400)
		counters->errors_4xx++;
}

static bool is_bodiless(const struct request *request, unsigned status)
{
	return request->exchange->method == HTTP_HEAD || status == 204 || status == 304;
}

/* States the head. What follows may be a body. */
static void respond(struct request *request, struct http_response *response)
{
	struct http_header list[REQUEST_HEADERS_MAX + 4 + CORS_HEADERS_MAX];
	uint8_t cors_buf[CORS_TEXT_LEN];
	const struct gateway *gateway = request->loop->gateway;
	size_t n = 0;

	assert(request->state == REQUEST_STARTING || request->state == REQUEST_RUNNING);
	assert(!request->has_begun && response->header_count <= REQUEST_HEADERS_MAX);
	list[n++] = (struct http_header){bytes_of("x-amz-request-id"),
		bytes_make(request->id_text, sizeof request->id_text)};
	if (gateway->settings.host_id.len > 0)
		list[n++] = (struct http_header){bytes_of("x-amz-id-2"), gateway->settings.host_id};
	/* Also for strangers: they look for the region to sign for. */
	if (request->exchange->method == HTTP_HEAD && request->resource.bucket.len > 0 &&
		request->resource.key.len == 0 && gateway->settings.region.len > 0 &&
		response->status != 404)
		list[n++] = (struct http_header){
			bytes_of("x-amz-bucket-region"), gateway->settings.region};
	cors_add_headers(request, cors_buf, list, &n);
	for (size_t i = 0; i < response->header_count; i++)
		list[n++] = response->headers[i];
	response->headers = list;
	response->header_count = n;
	request->has_begun = true;
	count(request, response->status);
	exchange_respond(request->exchange, response);
}

static void conclude(struct request *request)
{
	request->state = REQUEST_ENDING;
	if (!request->is_advancing)
		request_maybe_end(request);
}

void request_begin(struct request *request, unsigned status, const struct http_header *headers,
	size_t header_count, bool has_len, uint64_t len)
{
	bool is_object = status == 200 || status == 206;
	struct http_response response = {
		.status = request->website.status && is_object ? request->website.status : status,
		.headers = headers,
		.header_count = header_count,
		.has_len = has_len,
		.len = len,
	};
	respond(request, &response);
	if (is_bodiless(request, status) || (has_len && len == 0))
		conclude(request);
}

void request_send(struct request *request, const uint8_t *data, size_t len, bool is_last)
{
	struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};

	assert(request->magic == REQUEST_MAGIC && request->has_begun && !request->is_sending);
	assert(request->state == REQUEST_RUNNING || request->state == REQUEST_STARTING);
	request->is_sending = true;
	request->loop->counters.bytes_out += len;
	if (is_last)
		request->state = REQUEST_ANSWERING;
	exchange_send(request->exchange, &piece, 1, is_last);
}

void request_answer(struct request *request, unsigned status, const struct http_header *headers,
	size_t header_count)
{
	request_begin(request, status, headers, header_count, true, 0);
}

/* Answers with a document that stays where it is until it is sent. */
static void answer_document(struct request *request, unsigned status,
	const struct http_header *headers, size_t header_count, struct bytes document)
{
	struct http_header list[REQUEST_HEADERS_MAX];
	assert(header_count < REQUEST_HEADERS_MAX && document.len > 0);
	for (size_t i = 0; i < header_count; i++)
		list[i] = headers[i];
	const char *type = request->is_website ? "text/html; charset=utf-8" : "application/xml";
	list[header_count] = (struct http_header){bytes_of("content-type"), bytes_of(type)};
	request_begin(request, status, list, header_count + 1, true, document.len);
	if (request->state != REQUEST_ENDING)
		request_send(request, document.data, document.len, true);
}

void request_answer_xml(struct request *request, unsigned status, const struct http_header *headers,
	size_t header_count)
{
	assert(request->text && !request->out.overflowed);
	answer_document(request, status, headers, header_count, text_out_bytes(&request->out));
}

void request_answer_document(struct request *request, struct bytes document)
{
	answer_document(request, 200, NULL, 0, document);
}

/* --- errors ----------------------------------------------------------------------------------- */

static void add_once(struct request *request, const char *name, struct bytes value)
{
	for (size_t i = 0; i < request->error.field_count; i++)
		if (strcmp(request->error.fields[i].name, name) == 0)
			return;
	s3_error_add(&request->error, name, value);
}

/* What every error of a kind says, whoever failed. */
static void explain(struct request *request, enum s3_code code)
{
	switch (code) {
	case S3_NO_SUCH_BUCKET:
	case S3_BUCKET_NOT_EMPTY:
	case S3_INVALID_BUCKET_NAME:
		add_once(request, "BucketName", request->resource.bucket);
		break;
	case S3_NO_SUCH_KEY:
		add_once(request, "Key", request->resource.key);
		break;
	case S3_NO_SUCH_VERSION:
		add_once(request, "Key", request->resource.key);
		add_once(request, "VersionId", request_param(request, "versionId"));
		break;
	case S3_NO_SUCH_UPLOAD:
	case S3_INVALID_PART:
		add_once(request, "UploadId", request_param(request, "uploadId"));
		break;
	case S3_QUOTA_EXCEEDED:
		request->loop->counters.over_quota++;
		trace_event(request->loop->gateway->trace, TRACE_DEBUG,
			request->exchange->request_id, "refused by a quota: bucket %.*s",
			(int)request->bucket.name.len, (const char *)request->bucket.name.data);
		break;
	case S3_SLOW_DOWN:
	case S3_SERVICE_UNAVAILABLE:
		trace_event(request->loop->gateway->trace, TRACE_DEBUG,
			request->exchange->request_id, "answered %s", s3_error_code(code));
		break;
	case S3_INTERNAL_ERROR:
		trace_event(request->loop->gateway->trace, TRACE_ERROR,
			request->exchange->request_id, "answered InternalError to %s",
			request->route ? request->route->operation : "a request");
		break;
	default:
		/* What is not configured, is not so in a bucket. */
		if (s3_error_status(code) == 404 && request->resource.key.len == 0)
			add_once(request, "BucketName", request->resource.bucket);
		break;
	}
}

/* Closes the connection behind an answer that is not whole. */
static void cut(struct request *request)
{
	if (!request->is_gone)
		request->loop->counters.errors_5xx++;
	conclude(request);
}

static void fail_in(struct request *request, enum s3_code code, const struct http_header *headers,
	size_t header_count, uint8_t *buf, size_t cap)
{
	if ((code == S3_NO_SUCH_KEY || code == S3_NO_SUCH_VERSION) && request->route &&
		request->bucket.id != 0 && !request->is_absence_told &&
		!authorize_tells_absence(request)) {
		code = S3_ACCESS_DENIED;
		header_count = 0; /* of a delete marker, too */
	}
	unsigned status = s3_error_status(code);
	struct bytes id = bytes_make(request->id_text, sizeof request->id_text);
	struct bytes host_id = request->loop->gateway->settings.host_id;
	struct text_out out;

	static const struct http_header later = {
		.name = {(const uint8_t *)"retry-after", 11}, .value = {(const uint8_t *)"1", 1}};

	assert(code != S3_OK);
	if (request->has_begun || request->is_gone) {
		cut(request);
		return;
	}
	if (status == 503 && header_count == 0) {
		headers = &later;
		header_count = 1;
	}
	if (is_bodiless(request, status)) {
		request_answer(request, status, headers, header_count);
		return;
	}
	explain(request, code);
	text_out_init(&out, buf, cap);
	if (request->is_website)
		website_put_error(&out, request, code);
	else
		s3_error_format(&out, code, &request->error, request->uri.path, id, host_id);
	if (out.overflowed) {
		text_out_init(&out, buf, cap);
		s3_error_format(&out, code, NULL, (struct bytes){0}, id, host_id);
	}
	if (out.overflowed) {
		request_answer(request, status, headers, header_count);
		return;
	}
	answer_document(request, status, headers, header_count, text_out_bytes(&out));
}

void request_fail_with(struct request *request, enum s3_code code,
	const struct http_header *headers, size_t header_count)
{
	fail_in(request, code, headers, header_count, request->reply_buf + request->reply_len,
		sizeof request->reply_buf - request->reply_len);
}

void request_fail(struct request *request, enum s3_code code)
{
	request_fail_with(request, code, NULL, 0);
}

void request_fail_gate(struct request *request, enum s3_code code)
{
	static_assert(REQUEST_OP_LEN >= 4 * SIGV4_EXPLAIN_LEN, "room to explain and to escape");
	assert(request->state == REQUEST_STARTING);
	if (code == S3_SIGNATURE_DOES_NOT_MATCH) {
		struct sigv4_request signed_one = request_signed(request);
		sigv4_explain(&request->auth, &signed_one, request->op, SIGV4_EXPLAIN_LEN,
			&request->error);
	}
	fail_in(request, code, NULL, 0, request->op + SIGV4_EXPLAIN_LEN,
		REQUEST_OP_LEN - SIGV4_EXPLAIN_LEN);
}

void request_fail_err(struct request *request, enum err err, enum s3_code not_found)
{
	assert(err != ERR_OK);
	if (err == ERR_UNKNOWN) {
		request_abandon(request);
		return;
	}
	if (err == ERR_CORRUPT || err == ERR_IO || err == ERR_VERSION)
		trace_event(request->loop->gateway->trace, TRACE_ERROR,
			request->exchange->request_id, "%s: %s",
			request->route ? request->route->operation : "a request", err_text(err));
	request_fail(request, s3_error_from_err(err, not_found));
}

static enum s3_code command_s3_code(const struct command_result *result)
{
	switch (result->code) {
	case COMMAND_NO_BUCKET:
		return S3_NO_SUCH_BUCKET;
	case COMMAND_NO_KEY:
		return S3_NO_SUCH_KEY;
	case COMMAND_NO_VERSION:
		return S3_NO_SUCH_VERSION;
	case COMMAND_NO_UPLOAD:
		return S3_NO_SUCH_UPLOAD;
	case COMMAND_NO_PART:
		return S3_INVALID_PART;
	case COMMAND_EXISTS:
		return result->is_mine ? S3_BUCKET_ALREADY_OWNED_BY_YOU : S3_BUCKET_ALREADY_EXISTS;
	case COMMAND_NOT_EMPTY:
		return S3_BUCKET_NOT_EMPTY;
	case COMMAND_PRECONDITION:
		return S3_PRECONDITION_FAILED;
	case COMMAND_STALE:
		return S3_CONDITIONAL_REQUEST_CONFLICT;
	case COMMAND_QUOTA:
		return S3_QUOTA_EXCEEDED;
	case COMMAND_LOCKED:
		return S3_ACCESS_DENIED;
	case COMMAND_NO_SESSION:
		return S3_SERVICE_UNAVAILABLE;
	default:
		return S3_INTERNAL_ERROR;
	}
}

void request_fail_command(struct request *request, const struct command_result *result)
{
	assert(result->code != COMMAND_OK);
	if (result->code == COMMAND_NO_RESULT) {
		request_abandon(request);
		return;
	}
	enum s3_code code = command_s3_code(result);
	if (code == S3_INTERNAL_ERROR)
		trace_event(request->loop->gateway->trace, TRACE_ERROR,
			request->exchange->request_id, "%s: the index answered %s",
			request->route->operation, command_code_name(result->code));
	request_fail(request, code);
}

void request_abandon(struct request *request)
{
	assert(request->state == REQUEST_STARTING || request->state == REQUEST_RUNNING);
	conclude(request);
}

void response_put_location(struct text_out *out, const struct request *request)
{
	struct bytes host = {0};
	uint8_t path[3 * (1 + ROW_BUCKET_NAME_LEN_MAX + 1 + URI_KEY_LEN_MAX)];
	struct text_out encoded;
	request_header(request, "host", &host);
	text_out_init(&encoded, path, sizeof path);
	if (!request->resource.is_virtual_host) {
		text_put_char(&encoded, '/');
		text_put_bytes(&encoded, request->bucket.name);
	}
	text_put_char(&encoded, '/');
	uri_encode(&encoded, request->resource.key, true);
	text_put_text(out, request->exchange->is_tls ? "<Location>https://" : "<Location>http://");
	xml_put_any(out, host);
	xml_put(out, text_out_bytes(&encoded));
	text_put_text(out, "</Location>");
}
