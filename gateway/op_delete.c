/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_delete.h"

#include "gateway/conditional.h"
#include "gateway/op_object_lock.h"
#include "gateway/op_put.h"
#include "gateway/op_put_conditions.h"

/* DeleteObject: one command. A key that is not there is deleted as well. */
struct op_delete {
	struct command_delete item;
	struct conditional_write condition;
	bool bypass_governance;
	uint8_t list[ROW_KEY_LEN_MAX + 512];
};

static enum s3_code prepare(struct request *request, struct op_delete *op)
{
	const struct exchange *x = request->exchange;
	struct bytes text;
	memset(op, 0, offsetof(struct op_delete, list));
	op->item.key = request->resource.key;
	enum s3_code code = S3_OK;
	if (query_find(&request->query, "versionId", &text))
		code = response_read_version(request, text, &op->item.version, &op->item.is_null);
	if (code != S3_OK)
		return code;
	op->bypass_governance = op_object_lock_is_bypassed(request);
	if (request_header(request, "x-amz-mfa", NULL)) {
		s3_error_add(&request->error, "Header", bytes_of("x-amz-mfa"));
		return S3_NOT_IMPLEMENTED;
	}
	code = conditional_parse_write(
		x->headers, x->header_count, &op->condition, &request->error);
	if (code != S3_OK)
		return code;
	op_put_conditions_command(&op->condition, &op->item.conditions);
	return op_put_conditions_read_delete(request, &op->item.conditions);
}

static enum err propose(struct request *request, struct op_delete *op)
{
	struct fields_out list = {.data = op->list, .cap = sizeof op->list};
	command_delete_append(&list, &op->item);
	assert(!list.is_full);
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	command.object_delete.bucket = request->bucket.id;
	command.object_delete.bypass_governance = op->bypass_governance;
	command.object_delete.deletes = bytes_make(op->list, list.len);
	return request_propose(request, &command);
}

static void answer(struct request *request, const struct op_delete *op)
{
	const struct command_result *result = &request->proposal.result;
	enum command_delete_code code = command_result_delete(result, 0);
	bool is_named = op->item.is_null || !version_id_is_none(op->item.version);
	struct response_headers headers = {0};
	if (code == DELETE_MARKER_MADE || code == DELETE_MARKER_GONE)
		response_add(&headers, "x-amz-delete-marker", bytes_of("true"));
	if (is_named)
		op_put_add_version(request, &headers, op->item.version, op->item.is_null);
	else if (code == DELETE_MARKER_MADE)
		op_put_add_version(request, &headers, result->version, result->is_null);
	request_answer(request, 204, headers.list, headers.count);
}

static void advance(struct request *request)
{
	struct op_delete *op = REQUEST_OP(request, struct op_delete);
	if (request->is_proposed) {
		if (!request->is_proposal_done || !request_proposal_has_result(request))
			return;
		const struct command_result *result = &request->proposal.result;
		if (result->code == COMMAND_LOCKED)
			request->error.message = OP_OBJECT_LOCK_MESSAGE;
		if (result->code == COMMAND_PRECONDITION)
			conditional_explain_write(&op->condition, &request->error);
		if (result->code != COMMAND_OK)
			request_fail_command(request, result);
		else
			answer(request, op);
		return;
	}
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	if (err == ERR_OK)
		err = propose(request, op);
	if (err)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
}

void op_delete_start(struct request *request)
{
	struct op_delete *op = REQUEST_OP(request, struct op_delete);
	enum s3_code code = prepare(request, op);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->advance = advance;
	request_advance_soon(request);
}
