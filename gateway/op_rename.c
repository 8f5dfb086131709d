/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_rename.h"

#include "gateway/authorize.h"
#include "gateway/op_change.h"
#include "gateway/op_put_conditions.h"
#include "gateway/s3_time.h"

#define SOURCE "x-amz-rename-source"

struct op_rename {
	struct op_change change; /* first */
	struct bytes source; /* key, in buf */
	struct conditional_write condition; /* of the new key */
	struct conditional_read source_condition;
	uint8_t buf[3 * URI_KEY_LEN_MAX + 8];
};

static enum s3_code invalid(struct request *request, struct bytes value)
{
	request->error.message = "The rename source must be a key of the same bucket, URL encoded.";
	s3_error_add(&request->error, "ArgumentName", bytes_of(SOURCE));
	s3_error_add(&request->error, "ArgumentValue", value);
	return S3_INVALID_ARGUMENT;
}

/* A key, with or without a slash in front of it, as clients write it. */
static enum s3_code read_source(struct request *request, struct op_rename *op)
{
	struct bytes value;
	if (!request_header(request, SOURCE, &value))
		return invalid(request, (struct bytes){0});
	if (uri_decode(value, op->buf, sizeof op->buf, &op->source) != ERR_OK)
		return invalid(request, value);
	if (op->source.len > 0 && op->source.data[0] == '/')
		op->source = bytes_from(op->source, 1);
	if (op->source.len == 0 || op->source.len > URI_KEY_LEN_MAX || !uri_is_utf8(op->source))
		return invalid(request, value);
	if (!bytes_is_equal(op->source, request->resource.key))
		return S3_OK;
	request->error.message = "An object cannot be renamed to its own key.";
	return S3_INVALID_REQUEST;
}

static bool read_time(const struct request *request, const char *name, uint64_t *ret_s)
{
	struct bytes text;
	return request_header(request, name, &text) && s3_time_parse_http(text, ret_s) == ERR_OK;
}

static void read_source_condition(const struct request *request, struct conditional_read *ret)
{
	*ret = (struct conditional_read){.has_match = false};
	ret->has_match = request_header(request, SOURCE "-if-match", &ret->match);
	ret->has_none_match = request_header(request, SOURCE "-if-none-match", &ret->none_match);
	ret->has_modified = read_time(request, SOURCE "-if-modified-since", &ret->modified_s);
	ret->has_unmodified = read_time(request, SOURCE "-if-unmodified-since", &ret->unmodified_s);
}

/* What would have to be judged by a time of the new key is not promised. */
static enum s3_code read_condition(struct request *request, struct op_rename *op)
{
	static const char *const refused[] = {"if-modified-since", "if-unmodified-since"};
	const struct exchange *x = request->exchange;
	for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
		if (!request_header(request, refused[i], NULL))
			continue;
		s3_error_add(&request->error, "Header", bytes_of(refused[i]));
		return S3_NOT_IMPLEMENTED;
	}
	return conditional_parse_write(
		x->headers, x->header_count, &op->condition, &request->error);
}

static enum s3_code find_source(
	struct request *request, struct op_rename *op, struct object_info *ret_object)
{
	uint8_t text[48];
	struct text_out out;
	enum err err = index_version_find(
		request_reader(request), request->bucket.id, op->source, ret_object);
	if (err == ERR_NOT_FOUND)
		s3_error_add(&request->error, "Key", op->source);
	if (err != ERR_OK)
		return s3_error_from_err(err, S3_NO_SUCH_KEY);
	text_out_init(&out, text, sizeof text);
	response_put_etag(&out, &ret_object->row.etag);
	return conditional_check_copy_source(&op->source_condition,
		conditional_bare_etag(text_out_bytes(&out)), ret_object->row.time_ms / 1000,
		&request->error);
}

/* To take an object away from a key is to read it there, and to delete it. */
static bool may_take(struct request *request, const struct op_rename *op)
{
	struct authorize_target target = authorize_target_of(request);
	target.key = op->source;
	return authorize(request, &target, "s3:GetObject") &&
		authorize(request, &target, "s3:DeleteObject");
}

static enum s3_code make_command(struct request *request, struct command *command)
{
	struct op_rename *op = REQUEST_OP(request, struct op_rename);
	struct object_info object;
	if (!may_take(request, op))
		return S3_ACCESS_DENIED;
	if (request->bucket.versioning != BUCKET_UNVERSIONED) {
		request->error.message = "Objects can be renamed in buckets without versions only.";
		return S3_INVALID_BUCKET_STATE;
	}
	enum s3_code code = find_source(request, op, &object);
	if (code != S3_OK)
		return code;
	command->type = COMMAND_OBJECT_RENAME;
	command->object_rename = (struct command_object_rename){
		.bucket = request->bucket.id,
		.source_key = op->source,
		.source_version = object.version,
		.key = request->resource.key,
	};
	op_put_conditions_command(&op->condition, &command->object_rename.conditions);
	return S3_OK;
}

static void answer(struct request *request)
{
	request_answer(request, 200, NULL, 0);
}

static enum s3_code explain(struct request *request, const struct command_result *result)
{
	const struct op_rename *op = REQUEST_OP(request, struct op_rename);
	if (result->code == COMMAND_PRECONDITION)
		conditional_explain_write(&op->condition, &request->error);
	return result->code == COMMAND_LOCKED ? S3_INVALID_BUCKET_STATE : S3_OK;
}

static const struct op_change_parts parts = {
	.command = make_command,
	.answer = answer,
	.explain = explain,
};

void op_rename_start(struct request *request)
{
	struct op_rename *op = REQUEST_OP(request, struct op_rename);
	enum s3_code code = read_source(request, op);
	if (code == S3_OK)
		code = read_condition(request, op);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	read_source_condition(request, &op->source_condition);
	op_change_start(request, &op->change, &parts);
}
