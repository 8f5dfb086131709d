/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_object_lock.h"

#include "gateway/op_change.h"
#include "gateway/op_get_plan.h"
#include "gateway/op_put.h"
#include "gateway/s3_time.h"
#include "gateway/xml_lock.h"
#include "gateway/xml_out.h"

#define DOCUMENT_LEN_MAX (16u << 10)

#define MODE "x-amz-object-lock-mode"
#define UNTIL "x-amz-object-lock-retain-until-date"
#define HOLD "x-amz-object-lock-legal-hold"

/* --- what requests say ------------------------------------------------------------------------ */

bool op_object_lock_is_bypassed(const struct request *request)
{
	struct bytes text;
	return request_header(request, "x-amz-bypass-governance-retention", &text) &&
		text.len == 4 && strncasecmp((const char *)text.data, "true", 4) == 0;
}

static enum s3_code refuse(struct request *request, const char *message)
{
	request->error.message = message;
	return S3_INVALID_REQUEST;
}

static enum s3_code invalid(
	struct request *request, const char *name, struct bytes value, const char *message)
{
	request->error.message = message;
	s3_error_add(&request->error, "ArgumentName", bytes_of(name));
	s3_error_add(&request->error, "ArgumentValue", value);
	return S3_INVALID_ARGUMENT;
}

static enum s3_code check_bucket(struct request *request)
{
	return request->bucket.has_lock
		? S3_OK
		: refuse(request, "Bucket is missing Object Lock Configuration");
}

static enum s3_code read_retention(
	struct request *request, struct bytes mode, struct bytes until, struct op_object_lock *lock)
{
	if (!xml_lock_parse_mode(mode, &lock->retention))
		return invalid(request, MODE, mode, "Unknown wormMode directive.");
	if (s3_time_parse_iso8601(until, &lock->until_ms) != ERR_OK)
		return invalid(request, UNTIL, until,
			"The retain until date must be provided in ISO 8601 format");
	if (lock->until_ms <= request->now_ms)
		return invalid(
			request, UNTIL, until, "The retain until date must be in the future!");
	return S3_OK;
}

/* A signed digest of the body is not enough: AWS wants one that the client computed for this. */
static bool has_checksum(const struct request *request)
{
	const struct exchange *x = request->exchange;
	static const char *const not_values[] = {
		"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"};
	for (size_t i = 0; i < x->header_count; i++) {
		struct bytes name = x->headers[i].name;
		bool is_value = bytes_has_prefix(name, bytes_of("x-amz-checksum-"));
		for (size_t j = 0; j < ARRAY_COUNT(not_values); j++)
			is_value = is_value && !bytes_is_text(name, not_values[j]);
		if (is_value || bytes_is_text(name, "content-md5") ||
			bytes_is_text(name, "x-amz-trailer"))
			return true;
	}
	return false;
}

enum s3_code op_object_lock_check_body(struct request *request, bool has_own)
{
	bool is_kept = has_own || (request->rules && request->rules->has_retention);
	if (!is_kept || request->route->body != ROUTE_BODY_PAYLOAD || has_checksum(request))
		return S3_OK;
	return refuse(request,
		"Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object and Put "
		"Part requests with Object Lock parameters");
}

enum s3_code op_object_lock_read_headers(struct request *request, struct op_object_lock *lock)
{
	struct bytes mode = {0}, until = {0}, hold = {0};
	bool has_mode = request_header(request, MODE, &mode);
	bool has_until = request_header(request, UNTIL, &until);
	bool has_hold = request_header(request, HOLD, &hold);
	*lock = (struct op_object_lock){.retention = RETENTION_NONE};
	if (!has_mode && !has_until && !has_hold)
		return op_object_lock_check_body(request, false);
	enum s3_code code = check_bucket(request);
	if (code != S3_OK)
		return code;
	if (has_mode != has_until)
		return invalid(request, has_mode ? UNTIL : MODE, (struct bytes){0},
			UNTIL " and " MODE " must both be supplied");
	if (has_mode)
		code = read_retention(request, mode, until, lock);
	if (code == S3_OK && has_hold && !bytes_is_text(hold, "ON") && !bytes_is_text(hold, "OFF"))
		code = invalid(request, HOLD, hold, "Legal Hold must be either of 'ON' or 'OFF'");
	lock->has_legal_hold = has_hold && bytes_is_text(hold, "ON");
	return code == S3_OK ? op_object_lock_check_body(request, true) : code;
}

/* --- what answers say ------------------------------------------------------------------------- */

static const char *mode_name(uint8_t mode)
{
	return mode == RETENTION_COMPLIANCE ? "COMPLIANCE" : "GOVERNANCE";
}

void op_object_lock_add_headers(
	struct request *request, struct response_headers *headers, const struct row_version *row)
{
	struct text_out out;
	if (row->retention != RETENTION_NONE) {
		response_add(headers, MODE, bytes_of(mode_name(row->retention)));
		request_note_begin(request, &out);
		response_put_time(&out, row->retain_until_ms);
		response_add(headers, UNTIL, request_note_end(request, &out));
	}
	if (row->had_legal_hold)
		response_add(headers, HOLD, bytes_of(row->has_legal_hold ? "ON" : "OFF"));
}

/* --- GET -------------------------------------------------------------------------------------- */

static bool put_retention(struct text_out *out, const struct row_version *row)
{
	if (row->retention == RETENTION_NONE)
		return false;
	text_put_text(out, XML_DECLARATION "<Retention" XML_NAMESPACE ">");
	xml_element(out, "Mode", bytes_of(mode_name(row->retention)));
	text_put_text(out, "<RetainUntilDate>");
	response_put_time(out, row->retain_until_ms);
	text_put_text(out, "</RetainUntilDate></Retention>");
	return true;
}

static bool put_legal_hold(struct text_out *out, const struct row_version *row)
{
	if (!row->had_legal_hold)
		return false;
	text_put_text(out, XML_DECLARATION "<LegalHold" XML_NAMESPACE ">");
	xml_element(out, "Status", bytes_of(row->has_legal_hold ? "ON" : "OFF"));
	text_put_text(out, "</LegalHold>");
	return true;
}

static void answer_about(
	struct request *request, bool (*put)(struct text_out *out, const struct row_version *row))
{
	struct response_headers headers = {0};
	struct object_info object;
	struct text_out out;
	enum s3_code code = check_bucket(request);
	enum err err = code == S3_OK ? index_view_begin(request_reader(request)) : ERR_OK;
	if (err != ERR_OK) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		return;
	}
	if (code == S3_OK) {
		code = op_get_find_object(request, &headers, &object);
		request_note_begin(request, &out);
		if (code == S3_OK && !put(&out, &object.row))
			code = S3_NO_SUCH_OBJECT_LOCK;
		index_view_end(request_reader(request));
	}
	if (code == S3_OK)
		request_answer_document(request, request_note_end(request, &out));
	else
		request_fail_with(request, code, headers.list, headers.count);
}

void op_object_lock_get_retention(struct request *request)
{
	answer_about(request, put_retention);
}

void op_object_lock_get_legal_hold(struct request *request)
{
	answer_about(request, put_legal_hold);
}

/* --- PUT -------------------------------------------------------------------------------------- */

struct put_lock {
	struct op_change change; /* first */
	struct response_headers headers;
	union {
		struct xml_retention retention;
		struct xml_legal_hold legal_hold;
	};
};

/* The version, in the command. */
static enum s3_code name_version(
	struct request *request, struct put_lock *op, struct command *command)
{
	struct object_info object;
	op->change.headers = &op->headers;
	enum s3_code code = op_get_find_object(request, &op->headers, &object);
	if (code != S3_OK)
		return code;
	command->type = COMMAND_OBJECT_UPDATE;
	command->object_update = (struct command_object_update){
		.bucket = request->bucket.id,
		.key = request->resource.key,
		.version = object.version,
	};
	return S3_OK;
}

static enum s3_code make_retention(struct request *request, struct command *command)
{
	struct put_lock *op = REQUEST_OP(request, struct put_lock);
	struct command_object_update *update = &command->object_update;
	if (op->retention.mode != RETENTION_NONE && op->retention.until_ms <= request->now_ms) {
		request->error.message = "The retain until date must be in the future!";
		return S3_INVALID_ARGUMENT;
	}
	enum s3_code code = name_version(request, op, command);
	update->set = OBJECT_SET_RETENTION;
	update->retention = op->retention.mode;
	update->retain_until_ms = op->retention.until_ms;
	update->bypass_governance = op_object_lock_is_bypassed(request);
	return code;
}

static enum s3_code make_legal_hold(struct request *request, struct command *command)
{
	struct put_lock *op = REQUEST_OP(request, struct put_lock);
	enum s3_code code = name_version(request, op, command);
	command->object_update.set = OBJECT_SET_LEGAL_HOLD;
	command->object_update.has_legal_hold = op->legal_hold.is_on;
	return code;
}

static void answer(struct request *request)
{
	request_answer(request, 200, NULL, 0);
}

static enum s3_code explain(struct request *request, const struct command_result *result)
{
	if (result->code != COMMAND_LOCKED)
		return S3_OK;
	request->error.message = OP_OBJECT_LOCK_MESSAGE;
	return S3_ACCESS_DENIED;
}

static struct xml_in *open_retention(struct request *request)
{
	struct put_lock *op = REQUEST_OP(request, struct put_lock);
	return xml_retention_init(&op->retention) == ERR_OK ? &op->retention.in : NULL;
}

static struct xml_in *open_legal_hold(struct request *request)
{
	struct put_lock *op = REQUEST_OP(request, struct put_lock);
	return xml_legal_hold_init(&op->legal_hold) == ERR_OK ? &op->legal_hold.in : NULL;
}

static const struct op_change_parts retention_parts = {
	DOCUMENT_LEN_MAX, open_retention, make_retention, answer, explain};
static const struct op_change_parts legal_hold_parts = {
	DOCUMENT_LEN_MAX, open_legal_hold, make_legal_hold, answer, explain};

static void start(struct request *request, const struct op_change_parts *parts)
{
	struct put_lock *op = REQUEST_OP(request, struct put_lock);
	enum s3_code code = check_bucket(request);
	if (code != S3_OK)
		request_fail(request, code);
	else
		op_change_start(request, &op->change, parts);
}

void op_object_lock_put_retention(struct request *request)
{
	start(request, &retention_parts);
}

void op_object_lock_put_legal_hold(struct request *request)
{
	start(request, &legal_hold_parts);
}
