/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sigv4_canonical.h"

#include "gateway/digest/digest.h"
#include "gateway/digest/digest_stream.h"
#include "gateway/uri.h"

struct bytes sigv4_take_name(struct bytes *list)
{
	const uint8_t *end = memchr(list->data, ';', list->len);
	struct bytes name = {list->data, end ? (size_t)(end - list->data) : list->len};
	*list = bytes_from(*list, end ? name.len + 1 : name.len);
	return name;
}

/* (V4) */
static void put_header_value(struct text_out *out, struct bytes value)
{
	bool is_first = true;
	while (value.len > 0) {
		if (value.data[0] == ' ') {
			value = bytes_from(value, 1);
			continue;
		}
		const uint8_t *end = memchr(value.data, ' ', value.len);
		size_t len = end ? (size_t)(end - value.data) : value.len;
		if (!is_first)
			text_put_char(out, ' ');
		text_put(out, value.data, len);
		value = bytes_from(value, len);
		is_first = false;
	}
}

void sigv4_put_canonical(
	struct text_out *out, const struct sigv4 *auth, const struct sigv4_request *request)
{
	text_put_bytes(out, request->method);
	text_put_char(out, '\n');
	uri_put_canonical_path(out, request->path);
	text_put_char(out, '\n');
	query_put_canonical(out, request->query, auth->is_query ? "X-Amz-Signature" : NULL);
	text_put_char(out, '\n');
	for (struct bytes list = auth->signed_headers; list.len > 0;) {
		struct bytes name = sigv4_take_name(&list);
		bool is_first = true;
		text_put_bytes(out, name);
		text_put_char(out, ':');
		for (size_t i = 0; i < request->header_count; i++) {
			if (!bytes_is_equal(request->headers[i].name, name))
				continue;
			if (!is_first)
				text_put_char(out, ',');
			put_header_value(out, request->headers[i].value);
			is_first = false;
		}
		text_put_char(out, '\n');
	}
	text_put_char(out, '\n');
	text_put_bytes(out, auth->signed_headers);
	text_put_char(out, '\n');
	text_put_bytes(out, auth->payload_text);
}

static void flush_to_digest(struct text_out *out)
{
	digest_stream_update(out->context, out->buf, out->len);
}

struct bytes sigv4_string_to_sign(
	const struct sigv4 *auth, const struct sigv4_request *request, uint8_t *buf)
{
	uint8_t canonical[2048];
	struct digest_stream stream;
	struct digest_values values;
	struct text_out out;
	digest_stream_init(&stream, DIGEST_SHA256);
	text_out_init(&out, canonical, sizeof canonical);
	out.flush = flush_to_digest;
	out.context = &stream;
	sigv4_put_canonical(&out, auth, request);
	text_out_flush(&out);
	digest_stream_final(&stream, &values);

	text_out_init(&out, buf, SIGV4_STRING_TO_SIGN_LEN_MAX);
	text_put_text(&out, SIGV4_ALGORITHM "\n");
	text_put(&out, auth->amz_date, sizeof auth->amz_date);
	text_put_char(&out, '\n');
	text_put_bytes(&out, auth->scope);
	text_put_char(&out, '\n');
	text_put_hex(&out, bytes_make(values.sha256, SHA256_LEN));
	assert(!out.overflowed);
	return text_out_bytes(&out);
}

enum s3_code sigv4_need_field(
	struct bytes field, const char *name, const char *message, struct s3_error_detail *detail)
{
	if (field.data)
		return S3_OK;
	s3_error_add(detail, "ArgumentName", bytes_of(name));
	detail->message = message;
	return S3_INVALID_ARGUMENT;
}
