/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/s3_error.h"

#include "gateway/xml_out.h"

static const struct {
	const char *code;
	unsigned status;
	const char *message;
} table[S3_CODE_COUNT] = {
#define X(name, code, status, message) [S3_##name] = {code, status, message},
	S3_ERROR_TABLE(X)
#undef X
};

const char *s3_error_code(enum s3_code code)
{
	assert(code < S3_CODE_COUNT);
	return table[code].code;
}

unsigned s3_error_status(enum s3_code code)
{
	assert(code < S3_CODE_COUNT);
	return table[code].status;
}

const char *s3_error_message(enum s3_code code)
{
	assert(code < S3_CODE_COUNT);
	return table[code].message;
}

enum s3_code s3_error_from_err(enum err err, enum s3_code not_found)
{
	switch (err) {
	case ERR_OK:
		return S3_OK;
	case ERR_NOT_FOUND:
		return not_found;
	case ERR_PRECONDITION:
		return S3_PRECONDITION_FAILED;
	case ERR_CONFLICT:
		return S3_CONDITIONAL_REQUEST_CONFLICT;
	case ERR_NOT_EMPTY:
		return S3_BUCKET_NOT_EMPTY;
	case ERR_EXISTS:
		return S3_BUCKET_ALREADY_EXISTS;
	case ERR_INVALID:
		return S3_INVALID_ARGUMENT;
	case ERR_UNSUPPORTED:
		return S3_NOT_IMPLEMENTED;
	case ERR_REFUSED:
	case ERR_DENIED:
		return S3_ACCESS_DENIED;
	case ERR_LIMIT:
		return S3_QUOTA_EXCEEDED;
	case ERR_CHECKSUM:
		return S3_BAD_DIGEST;
	case ERR_NO_SPACE:
		return S3_STORAGE_FULL;
	case ERR_TIMEOUT:
		return S3_REQUEST_TIMEOUT;
	case ERR_CLOSED:
		return S3_INCOMPLETE_BODY;
	case ERR_BUSY:
	case ERR_NO_MEMORY:
		return S3_SLOW_DOWN;
	case ERR_QUORUM:
	case ERR_UNAVAILABLE:
	case ERR_CANCELED:
	case ERR_READ_ONLY:
	case ERR_FENCED:
		return S3_SERVICE_UNAVAILABLE;
	default:
		return S3_INTERNAL_ERROR;
	}
}

void s3_error_detail_init(struct s3_error_detail *detail)
{
	detail->message = NULL;
	detail->field_count = 0;
	detail->text_len = 0;
}

void s3_error_add(struct s3_error_detail *detail, const char *name, struct bytes value)
{
	assert(detail->field_count <= S3_ERROR_FIELDS_MAX);
	if (detail->field_count == S3_ERROR_FIELDS_MAX)
		return;
	detail->fields[detail->field_count++] = (struct s3_error_field){name, value};
}

void s3_error_add_copy(struct s3_error_detail *detail, const char *name, struct bytes value)
{
	assert(detail->text_len <= S3_ERROR_TEXT_MAX);
	size_t room = S3_ERROR_TEXT_MAX - detail->text_len;
	if (value.len > room)
		value.len = room;
	uint8_t *copy = detail->text + detail->text_len;
	if (value.len > 0)
		memcpy(copy, value.data, value.len);
	detail->text_len += value.len;
	s3_error_add(detail, name, bytes_make(copy, value.len));
}

void s3_error_add_uint(struct s3_error_detail *detail, const char *name, uint64_t value)
{
	uint8_t digits[20];
	struct text_out out;
	text_out_init(&out, digits, sizeof digits);
	text_put_uint(&out, value);
	s3_error_add_copy(detail, name, text_out_bytes(&out));
}

static void put_element(struct text_out *out, const char *name, struct bytes value)
{
	xml_open(out, name);
	xml_put_any(out, value);
	xml_close(out, name);
}

void s3_error_format(struct text_out *out, enum s3_code code, const struct s3_error_detail *detail,
	struct bytes resource, struct bytes request_id, struct bytes host_id)
{
	assert(code != S3_OK && code < S3_CODE_COUNT);
	const char *message = detail && detail->message ? detail->message : table[code].message;

	text_put_text(out, XML_DECLARATION "<Error>");
	put_element(out, "Code", bytes_of(table[code].code));
	put_element(out, "Message", bytes_of(message));
	for (size_t i = 0; detail && i < detail->field_count; i++)
		put_element(out, detail->fields[i].name, detail->fields[i].value);
	if (resource.len > 0)
		put_element(out, "Resource", resource);
	put_element(out, "RequestId", request_id);
	put_element(out, "HostId", host_id);
	text_put_text(out, "</Error>");
}
