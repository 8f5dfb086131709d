/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/body.h"
#include "gateway/op_object_lock.h"
#include "gateway/op_put.h"
#include "gateway/op_upload.h"

/* UploadPart: as PutObject, but that what is made is a part of an upload. */
enum { RECEIVING, PROPOSING };

struct op_upload_part {
	struct body body;
	uint64_t upload;
	uint16_t number;
	enum checksum_algorithm algorithm; /* of the upload's parts */
	uint8_t class; /* storage class */
	bool is_named; /* the client named it at the start */
	struct sse sse; /* as the upload was begun */
};

static enum err propose(struct request *request)
{
	struct op_upload_part *op = REQUEST_OP(request, struct op_upload_part);
	struct command command = {.type = COMMAND_UPLOAD_PART};
	struct command_upload_part *part = &command.upload_part;
	part->bucket = request->bucket.id;
	part->key = request->resource.key;
	part->upload = op->upload;
	part->part = op->number;
	part->is_counted = op_upload_counts_parts(request);
	body_describe(&op->body, &part->body);
	command.session = body_session(&op->body);
	body_checksum(&op->body, op->algorithm, &part->body.checksums[0]);
	return request_propose(request, &command);
}

static void answer(struct request *request, struct op_upload_part *op)
{
	struct response_headers headers = {0};
	struct checksum checksum;
	op_put_add_etag(request, &headers, &request->proposal.result.etag);
	request_body_checksum(&op->body.source, &checksum);
	if (op->is_named)
		body_checksum(&op->body, op->algorithm, &checksum);
	op_put_add_checksum(request, &headers, &checksum, 0, false);
	sse_add_headers(request, &headers, op->sse.mode, &op->sse.customer);
	request_answer(request, 200, headers.list, headers.count);
}

static void advance(struct request *request)
{
	struct op_upload_part *op = REQUEST_OP(request, struct op_upload_part);
	if (request->step == PROPOSING) {
		if (!request->is_proposal_done)
			return;
		const struct command_result *result = &request->proposal.result;
		body_settle(&op->body);
		if (!request_proposal_has_result(request))
			return;
		if (result->code != COMMAND_OK)
			request_fail_command(request, result);
		else
			answer(request, op);
		return;
	}
	if (op_put_receive(request, &op->body, propose))
		request->step = PROPOSING;
}

/* What the upload says about its parts. */
static enum s3_code look(struct request *request, struct op_upload_part *op)
{
	struct row_upload upload;
	enum err err = index_view_begin(request_reader(request));
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	enum s3_code code = op_upload_find(request, op->upload, &upload);
	if (code == S3_OK) {
		op->algorithm = op_upload_algorithm(&upload);
		op->class = upload.class;
		op->is_named = upload.checksum_algorithm != CHECKSUM_NONE;
		code = op_upload_read_encryption(request, &upload, &op->sse);
	}
	index_view_end(request_reader(request));
	return code;
}

/* A part has the algorithm that its upload was begun with, or none of its own. */
static enum s3_code check_algorithm(struct request *request, const struct op_upload_part *op)
{
	unsigned kind = op->body.source.checksum_kind;
	if (!op->is_named || kind == 0 || kind == checksum_s3_digest(op->algorithm))
		return S3_OK;
	request->error.message =
		"Checksum Type mismatch occurred: the part's checksum is not of the "
		"algorithm that the upload was created with.";
	return S3_INVALID_REQUEST;
}

void op_upload_part(struct request *request)
{
	struct op_upload_part *op = REQUEST_OP(request, struct op_upload_part);
	enum s3_code code = op_object_lock_check_body(request, false);
	if (code == S3_OK)
		code = op_upload_read_number(request, &op->number);
	if (code == S3_OK)
		code = op_upload_read_id(request, &op->upload);
	if (code == S3_OK)
		code = look(request, op);
	if (code == S3_OK) {
		struct body_setup setup = {.kinds = checksum_s3_digest(op->algorithm),
			.storage_class = op->class,
			.upload = op->upload,
			.part = op->number,
			.sse = &op->sse};
		code = body_start(&op->body, request, &setup);
		explicit_bzero(op->sse.customer.key, sizeof op->sse.customer.key);
		if (code == S3_OK) {
			code = check_algorithm(request, op);
			if (code != S3_OK)
				body_drop(&op->body);
		}
	}
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->advance = advance;
	request->step = RECEIVING;
	request_advance_soon(request);
}
