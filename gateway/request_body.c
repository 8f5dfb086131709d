/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request_body.h"

#include "gateway/checksum_s3.h"
#include "gateway/digest/base64.h"
#include "gateway/digest/hex.h"
#include "gateway/form_file.h"

#define PREFIX "x-amz-checksum-"

/* The digest of a checksum's name in any case; 0 if there is none of that name. */
static unsigned kind_of(struct bytes name)
{
	enum checksum_algorithm algorithm = checksum_s3_from_name(name);
	return algorithm == CHECKSUM_NONE ? 0 : checksum_s3_digest(algorithm);
}

/* --- what was promised ------------------------------------------------------------------------ */

static enum s3_code refuse(struct request_body *body, enum s3_code code, const char *message)
{
	body->request->error.message = message;
	return code;
}

static enum s3_code take_md5(struct request_body *body)
{
	struct bytes text;
	size_t len;

	if (!request_header(body->request, "content-md5", &text))
		return S3_OK;
	if (base64_decode(text, body->md5, sizeof body->md5, &len) != ERR_OK || len != MD5_LEN) {
		s3_error_add(&body->request->error, "Content-MD5", text);
		return S3_INVALID_DIGEST;
	}
	body->has_md5 = true;
	return S3_OK;
}

/* The value of a checksum, in a header or a trailer. */
static enum s3_code take_checksum(struct request_body *body, struct bytes text)
{
	size_t len;
	if (base64_decode(text, body->checksum, sizeof body->checksum, &len) != ERR_OK ||
		len != digest_len(body->checksum_kind))
		return refuse(body, S3_INVALID_REQUEST,
			"The value of a checksum header or trailer is not valid.");
	body->has_checksum = true;
	return S3_OK;
}

/* Which algorithm a header or trailer is about. */
static enum s3_code choose_checksum(struct request_body *body, struct bytes name)
{
	unsigned kind = 0;
	if (name.len > strlen(PREFIX) &&
		strncasecmp((const char *)name.data, PREFIX, strlen(PREFIX)) == 0)
		kind = kind_of(bytes_from(name, strlen(PREFIX)));
	if (kind == 0)
		return refuse(body, S3_INVALID_REQUEST,
			"This checksum algorithm is not supported: CRC32, CRC32C, CRC64NVME, SHA1 "
			"and SHA256 are.");
	if (body->checksum_kind != 0)
		return refuse(body, S3_INVALID_REQUEST,
			"Expecting a single x-amz-checksum- header or trailer.");
	body->checksum_kind = kind;
	return S3_OK;
}

/* Names that begin like a checksum's but say something else. */
static bool is_value_name(struct bytes name)
{
	static const char *const others[] = {"algorithm", "type", "mode"};
	if (!bytes_has_prefix(name, bytes_of(PREFIX)))
		return false;
	for (size_t i = 0; i < ARRAY_COUNT(others); i++)
		if (bytes_is_text(bytes_from(name, strlen(PREFIX)), others[i]))
			return false;
	return true;
}

static enum s3_code take_checksum_headers(struct request_body *body)
{
	const struct exchange *x = body->request->exchange;
	if (body->request->route->flags & ROUTE_OBJECT_CHECKSUM)
		return S3_OK;
	for (size_t i = 0; i < x->header_count; i++) {
		if (!is_value_name(x->headers[i].name))
			continue;
		enum s3_code code = choose_checksum(body, x->headers[i].name);
		if (code == S3_OK)
			code = take_checksum(body, x->headers[i].value);
		if (code != S3_OK)
			return code;
	}
	return S3_OK;
}

static enum s3_code take_trailer(struct request_body *body, struct bytes *ret_name)
{
	enum sigv4_payload payload = body->request->auth.payload;

	*ret_name = (struct bytes){0};
	if (!request_header(body->request, "x-amz-trailer", ret_name))
		return S3_OK;
	if (payload != SIGV4_PAYLOAD_SIGNED_CHUNKS_TRAILER &&
		payload != SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER)
		return S3_MALFORMED_TRAILER;
	return choose_checksum(body, *ret_name);
}

/* The SDK's word for the algorithm must be the one that came. */
static enum s3_code check_sdk_algorithm(struct request_body *body)
{
	struct bytes name;
	if (body->request->route->flags & ROUTE_OBJECT_CHECKSUM ||
		!request_header(body->request, "x-amz-sdk-checksum-algorithm", &name))
		return S3_OK;
	if (body->checksum_kind == 0)
		return refuse(body, S3_INVALID_REQUEST,
			"x-amz-sdk-checksum-algorithm specified, but no corresponding "
			"x-amz-checksum-* or x-amz-trailer headers were found.");
	if (kind_of(name) != body->checksum_kind)
		return refuse(body, S3_INVALID_REQUEST,
			"The value of x-amz-sdk-checksum-algorithm does not fit the checksum that "
			"was sent.");
	return S3_OK;
}

static enum s3_code take_decoded_len(struct request_body *body)
{
	struct bytes text;
	uint64_t len = 0;
	if (!request_header(body->request, "x-amz-decoded-content-length", &text))
		return S3_MISSING_CONTENT_LENGTH;
	bool is_good = text.len > 0 && text.len <= 18;
	for (size_t i = 0; i < text.len && is_good; i++) {
		is_good = text.data[i] >= '0' && text.data[i] <= '9';
		len = len * 10 + (text.data[i] - '0');
	}
	if (!is_good) {
		s3_error_add(&body->request->error, "ArgumentName",
			bytes_of("x-amz-decoded-content-length"));
		s3_error_add(&body->request->error, "ArgumentValue", text);
		return S3_INVALID_ARGUMENT;
	}
	body->has_len = true;
	body->len = len;
	return S3_OK;
}

static enum s3_code take_len(struct request_body *body, struct bytes trailer)
{
	struct request *request = body->request;
	const struct exchange *x = request->exchange;

	if (body->is_aws_chunked) {
		enum s3_code code = take_decoded_len(body);
		if (code == S3_OK)
			code = chunked_init(&body->chunked, &request->auth, body->len, trailer,
				&request->error);
		if (code != S3_OK)
			return code;
	} else if (request->form_file) {
		const struct form_file *file = request->form_file;
		body->has_len = true;
		body->len = file->is_end_known ? file->len : file->sure_len;
	} else {
		body->has_len = !x->has_body || x->has_body_len;
		body->len = x->has_body && x->has_body_len ? x->body_len : 0;
	}
	if (body->has_len && body->len > body->len_max) {
		s3_error_add_uint(&request->error, "ProposedSize", body->len);
		s3_error_add_uint(&request->error, "MaxSizeAllowed", body->len_max);
		return S3_ENTITY_TOO_LARGE;
	}
	return S3_OK;
}

enum s3_code request_body_init(
	struct request_body *body, struct request *request, unsigned wanted, uint64_t len_max)
{
	struct bytes trailer;

	memset(body, 0, sizeof *body);
	body->request = request;
	body->len_max = len_max;
	body->is_aws_chunked = request->auth.payload >= SIGV4_PAYLOAD_SIGNED_CHUNKS;
	body->has_sha256 = request->auth.payload == SIGV4_PAYLOAD_HEX;
	digest_stream_init(&body->chunk_digest, DIGEST_SHA256);

	enum s3_code code = take_md5(body);
	if (code == S3_OK)
		code = take_checksum_headers(body);
	if (code == S3_OK)
		code = take_trailer(body, &trailer);
	if (code == S3_OK)
		code = check_sdk_algorithm(body);
	if (code == S3_OK)
		code = take_len(body, trailer);
	body->kinds = wanted | body->checksum_kind | (body->has_md5 ? DIGEST_MD5 : 0) |
		(body->has_sha256 ? DIGEST_SHA256 : 0);
	return code;
}

void request_body_fini(struct request_body *body)
{
	if (body->is_aws_chunked)
		chunked_fini(&body->chunked);
}

bool request_body_is_protected(const struct request_body *body)
{
	return body->has_md5 || body->checksum_kind != 0 || body->has_sha256 ||
		(body->is_aws_chunked &&
			body->request->auth.payload != SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Bytes of the wire. */
static enum err read_wire(struct request_body *body, uint8_t *buf, size_t cap, size_t *ret_len,
	enum s3_code *ret_code)
{
	struct request *request = body->request;
	enum err err = exchange_read(request->exchange, buf, cap, ret_len);

	assert(err != ERR_OK || (*ret_len > 0 && *ret_len <= cap));
	switch (err) {
	case ERR_OK:
	case ERR_END:
		break;
	case ERR_BUSY:
		request->is_readable = false;
		break;
	case ERR_TIMEOUT:
		*ret_code = S3_REQUEST_TIMEOUT;
		break;
	case ERR_CLOSED:
		request->is_gone = true;
		*ret_code = S3_INCOMPLETE_BODY;
		break;
	default:
		*ret_code = S3_INCOMPLETE_BODY;
		break;
	}
	return err;
}

static void took(struct request_body *body, size_t len)
{
	body->taken_len += len;
	body->request->loop->counters.bytes_in += len;
}

static enum err read_plain(struct request_body *body, uint8_t *buf, size_t cap, size_t *ret_len,
	enum s3_code *ret_code)
{
	enum err err = read_wire(body, buf, cap, ret_len, ret_code);
	if (err == ERR_END && body->has_len && body->taken_len != body->len) {
		*ret_code = S3_INCOMPLETE_BODY;
		return ERR_INVALID;
	}
	if (err != ERR_OK)
		return err;
	took(body, *ret_len);
	if (body->taken_len > (body->has_len ? body->len : body->len_max)) {
		*ret_code = S3_ENTITY_TOO_LARGE;
		return ERR_LIMIT;
	}
	return ERR_OK;
}

/* A signed chunk is complete. */
static enum s3_code seal_chunk(struct request_body *body)
{
	struct digest_values values;
	digest_stream_final(&body->chunk_digest, &values);
	digest_stream_init(&body->chunk_digest, DIGEST_SHA256);
	return chunked_verify(&body->chunked, values.sha256);
}

/* The end of the framing; the trailer was there. */
static enum s3_code end_chunks(struct request_body *body)
{
	if (body->stage_from != body->stage_to)
		return refuse(body, S3_INVALID_REQUEST, "There are bytes behind the last chunk.");
	if (chunked_trailer_name(&body->chunked).len == 0)
		return S3_OK;
	return take_checksum(body, chunked_trailer_value(&body->chunked));
}

static void hash_payload(struct request_body *body, const uint8_t *data, size_t len)
{
	if (body->chunked.is_signed)
		digest_stream_update(&body->chunk_digest, data, len);
	took(body, len);
}

/* More of the wire: payload goes straight to the caller, anything else to the stage. ERR_OK with
 * *ret_len 0: there is more in the stage. */
static enum err fill(struct request_body *body, uint8_t *buf, size_t cap, size_t *ret_len,
	enum s3_code *ret_code)
{
	uint64_t left = chunked_payload_left(&body->chunked);
	size_t len;

	*ret_len = 0;
	if (left > 0) {
		enum err err = read_wire(body, buf, left < cap ? left : cap, &len, ret_code);
		if (err == ERR_OK) {
			chunked_take(&body->chunked, len);
			hash_payload(body, buf, len);
			*ret_len = len;
		}
		return err;
	}
	enum err err = read_wire(body, body->stage, sizeof body->stage, &len, ret_code);
	if (err == ERR_OK) {
		body->stage_from = 0;
		body->stage_to = len;
	}
	return err;
}

/* Goes on with what is in the stage. ERR_OK with *ret_len 0: it is used up. */
static enum err decode(struct request_body *body, uint8_t *buf, size_t cap, size_t *ret_len,
	enum s3_code *ret_code)
{
	for (;;) {
		size_t len = body->stage_to - body->stage_from;
		size_t used = 0;
		struct bytes payload = {0};
		enum chunked_event event = chunked_feed(&body->chunked,
			body->stage + body->stage_from, len < cap ? len : cap, &used, &payload);
		body->stage_from += used;
		*ret_code = S3_OK;
		switch (event) {
		case CHUNKED_PAYLOAD:
			memcpy(buf, payload.data, payload.len);
			hash_payload(body, buf, payload.len);
			*ret_len = payload.len;
			return ERR_OK;
		case CHUNKED_SEALED:
			*ret_code = seal_chunk(body);
			break;
		case CHUNKED_END:
			*ret_code = end_chunks(body);
			if (*ret_code == S3_OK)
				return ERR_END;
			break;
		case CHUNKED_ERROR:
			*ret_code = body->chunked.code;
			break;
		case CHUNKED_MORE:
			*ret_len = 0;
			if (body->stage_from == body->stage_to)
				return ERR_OK;
			break;
		}
		if (*ret_code != S3_OK)
			return ERR_INVALID;
	}
}

static enum err read_chunks(struct request_body *body, uint8_t *buf, size_t cap, size_t *ret_len,
	enum s3_code *ret_code)
{
	for (;;) {
		enum err err = decode(body, buf, cap, ret_len, ret_code);
		if (err != ERR_OK || *ret_len > 0)
			return err;
		err = fill(body, buf, cap, ret_len, ret_code);
		if (err == ERR_END) {
			*ret_code = chunked_cut(&body->chunked);
			return ERR_INVALID;
		}
		if (err != ERR_OK || *ret_len > 0)
			return err;
	}
}

static enum err read_file(struct request_body *body, uint8_t *buf, size_t cap, size_t *ret_len,
	enum s3_code *ret_code)
{
	struct request *request = body->request;
	enum err err = form_file_read(request->form_file, buf, cap, ret_len, ret_code);
	if (err == ERR_OK)
		took(body, *ret_len);
	return err;
}

enum err request_body_read(struct request_body *body, uint8_t *buf, size_t cap, size_t *ret_len,
	enum s3_code *ret_code)
{
	assert(cap > 0);
	if (body->is_over)
		return ERR_END;
	enum err err = body->is_aws_chunked ? read_chunks(body, buf, cap, ret_len, ret_code)
		: body->request->form_file  ? read_file(body, buf, cap, ret_len, ret_code)
					    : read_plain(body, buf, cap, ret_len, ret_code);
	if (err == ERR_END)
		body->is_over = true;
	return err;
}

/* --- the end ---------------------------------------------------------------------------------- */

static enum s3_code bad_digest(
	struct request_body *body, struct bytes expected, struct bytes calculated)
{
	char text[BASE64_LEN(DIGEST_LEN_MAX) + 1];
	struct s3_error_detail *detail = &body->request->error;

	base64_encode(expected.data, expected.len, text);
	s3_error_add_copy(detail, "ExpectedDigest", bytes_of(text));
	base64_encode(calculated.data, calculated.len, text);
	s3_error_add_copy(detail, "CalculatedDigest", bytes_of(text));
	return S3_BAD_DIGEST;
}

static enum s3_code sha256_mismatch(struct request_body *body, const uint8_t *calculated)
{
	char text[2 * SHA256_LEN + 1];
	struct s3_error_detail *detail = &body->request->error;

	hex_encode(body->request->auth.payload_sha256, SHA256_LEN, text);
	s3_error_add_copy(detail, "ClientComputedContentSHA256", bytes_of(text));
	hex_encode(calculated, SHA256_LEN, text);
	s3_error_add_copy(detail, "S3ComputedContentSHA256", bytes_of(text));
	return S3_CONTENT_SHA256_MISMATCH;
}

enum s3_code request_body_check(struct request_body *body, const struct digest_values *values)
{
	assert(body->is_over && (values->kinds & body->kinds) == body->kinds);
	if (body->has_sha256 &&
		memcmp(values->sha256, body->request->auth.payload_sha256, SHA256_LEN) != 0)
		return sha256_mismatch(body, values->sha256);
	if (body->has_md5 && memcmp(values->md5, body->md5, MD5_LEN) != 0)
		return bad_digest(
			body, bytes_make(body->md5, MD5_LEN), bytes_make(values->md5, MD5_LEN));
	if (body->checksum_kind == 0)
		return S3_OK;
	/* The decoder does not end without the trailer that was announced. */
	assert(body->has_checksum);
	struct bytes calculated = digest_value(values, body->checksum_kind);
	struct bytes expected = bytes_make(body->checksum, calculated.len);
	return bytes_is_equal(expected, calculated) ? S3_OK
						    : bad_digest(body, expected, calculated);
}

void request_body_checksum(const struct request_body *body, struct checksum *ret_checksum)
{
	*ret_checksum = (struct checksum){.algorithm = CHECKSUM_NONE};
	if (!body->has_checksum)
		return;
	ret_checksum->algorithm = checksum_s3_from_digest(body->checksum_kind);
	ret_checksum->type = CHECKSUM_FULL_OBJECT;
	ret_checksum->len = digest_len(body->checksum_kind);
	memcpy(ret_checksum->value, body->checksum, ret_checksum->len);
}
