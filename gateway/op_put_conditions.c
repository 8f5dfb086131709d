/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_put_conditions.h"

#include "gateway/digest/digest.h"
#include "gateway/digest/hex.h"
#include "gateway/response.h"
#include "gateway/s3_time.h"

/* Part counts are at most ROW_PART_MAX, so no body has this ETag. */
static const struct etag etag_of_nothing = {.part_count = UINT32_MAX};

static bool parse_part_count(struct bytes digits, uint32_t *ret_count)
{
	uint32_t count = 0;
	if (digits.len == 0 || digits.len > 5)
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.data[i] < '0' || digits.data[i] > '9')
			return false;
		count = 10 * count + (digits.data[i] - '0');
	}
	*ret_count = count;
	return count > 0;
}

void op_put_conditions_parse_etag(struct bytes text, struct etag *ret_etag)
{
	struct etag etag = {0};
	*ret_etag = etag_of_nothing;
	text = conditional_bare_etag(text);
	if (text.len < 2 * sizeof etag.md5 ||
		hex_decode(bytes_make(text.data, 2 * sizeof etag.md5), etag.md5, sizeof etag.md5) !=
			ERR_OK)
		return;
	text = bytes_from(text, 2 * sizeof etag.md5);
	if (text.len > 0 &&
		(text.data[0] != '-' || !parse_part_count(bytes_from(text, 1), &etag.part_count)))
		return;
	*ret_etag = etag;
}

void op_put_conditions_command(
	const struct conditional_write *condition, struct command_conditions *ret_conditions)
{
	*ret_conditions = (struct command_conditions){
		.if_none_match_any = condition->want == CONDITIONAL_ABSENT,
		.if_match_any = condition->want == CONDITIONAL_PRESENT,
		.has_if_match = condition->want == CONDITIONAL_ETAG,
	};
	if (condition->want == CONDITIONAL_ETAG)
		op_put_conditions_parse_etag(condition->etag, &ret_conditions->if_match);
}

static enum s3_code invalid(struct request *request, const char *name, struct bytes value)
{
	s3_error_add(&request->error, "ArgumentName", bytes_of(name));
	s3_error_add(&request->error, "ArgumentValue", value);
	return S3_INVALID_ARGUMENT;
}

static enum s3_code read_uint(
	struct request *request, const char *name, struct bytes text, uint64_t *ret_value)
{
	uint64_t value = 0;
	bool is_valid = text.len > 0 && text.len <= 18;
	for (size_t i = 0; is_valid && i < text.len; i++) {
		is_valid = text.data[i] >= '0' && text.data[i] <= '9';
		value = 10 * value + (text.data[i] - '0');
	}
	if (is_valid) {
		*ret_value = value;
		return S3_OK;
	}
	return invalid(request, name, text);
}

enum s3_code op_put_conditions_read_delete(
	struct request *request, struct command_conditions *conditions)
{
	static const char time_name[] = "x-amz-if-match-last-modified-time";
	static const char size_name[] = "x-amz-if-match-size";
	struct bytes value;
	if (request_header(request, time_name, &value)) {
		uint64_t time_s;
		if (s3_time_parse_http(value, &time_s) != ERR_OK || time_s == 0)
			return invalid(request, time_name, value);
		conditions->if_match_time_ms = 1000 * time_s;
	}
	if (request_header(request, size_name, &value)) {
		enum s3_code code = read_uint(request, size_name, value, &conditions->if_match_len);
		if (code != S3_OK)
			return code;
		conditions->has_if_match_len = true;
	}
	return S3_OK;
}

uint64_t op_put_conditions_invocation(const struct request *request)
{
	struct bytes id;
	uint8_t digest[SHA256_LEN];
	if (!request_header(request, "amz-sdk-invocation-id", &id) || id.len == 0)
		return 0;
	digest_sha256(id.data, id.len, digest);
	uint64_t hash = get_le64(digest);
	return hash != 0 ? hash : 1;
}

/* Under a view. */
static enum s3_code check(
	struct request *request, const struct conditional_write *condition, uint64_t invocation)
{
	struct object_info object;
	enum err err = index_version_find(
		request_reader(request), request->bucket.id, request->resource.key, &object);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	bool is_there = err == ERR_OK && !object.row.is_delete_marker;
	/* It may be this very request, sent again. */
	if (is_there && invocation != 0 && object.row.invocation == invocation)
		return S3_OK;
	uint8_t text[48];
	struct text_out out;
	text_out_init(&out, text, sizeof text);
	if (is_there)
		response_put_etag(&out, &object.row.etag);
	return conditional_check_write(
		condition, is_there, conditional_bare_etag(text_out_bytes(&out)), &request->error);
}

enum s3_code op_put_conditions_check_early(
	struct request *request, const struct conditional_write *condition, uint64_t invocation)
{
	if (condition->want == CONDITIONAL_NONE)
		return S3_OK;
	enum err err = index_view_begin(request_reader(request));
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	enum s3_code code = check(request, condition, invocation);
	index_view_end(request_reader(request));
	return code;
}
