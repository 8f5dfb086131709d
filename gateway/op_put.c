/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_put.h"

#include "gateway/body.h"
#include "gateway/expiration.h"
#include "gateway/metadata_headers.h"
#include "gateway/op_object_lock.h"
#include "gateway/op_put_conditions.h"

/* PutObject: headers, then the body, then one command.
 *
 *	RECEIVING → (body ready) PROPOSING → (result) answered
 *
 * The put keeps the body until the command's result is known: it is taken over by the index, or
 * freed when nothing was made of it. When nobody knows, it is left to collection. */
enum { RECEIVING, PROPOSING };

struct op_put {
	struct body body;
	struct metadata metadata;
	struct op_object_lock lock;
	struct conditional_write condition;
	uint64_t invocation;
	struct checksum checksum; /* of the body, for the answer */
	struct sse sse;
};

/* --- headers of answers ----------------------------------------------------------------------- */

void op_put_add_etag(
	struct request *request, struct response_headers *headers, const struct etag *etag)
{
	struct text_out out;
	request_note_begin(request, &out);
	response_put_etag(&out, etag);
	response_add(headers, "etag", request_note_end(request, &out));
}

void op_put_add_version(struct request *request, struct response_headers *headers,
	struct version_id version, bool is_null)
{
	struct text_out out;
	/* Versioning may have come since the bucket was looked at. */
	if (request->bucket.versioning == BUCKET_UNVERSIONED && is_null)
		return;
	request_note_begin(request, &out);
	response_put_version(&out, version, is_null);
	response_add(headers, "x-amz-version-id", request_note_end(request, &out));
}

void op_put_add_checksum(struct request *request, struct response_headers *headers,
	const struct checksum *checksum, uint32_t part_count, bool with_type)
{
	struct text_out out;
	if (checksum->algorithm == CHECKSUM_NONE)
		return;
	request_note_begin(request, &out);
	checksum_s3_put(&out, checksum, part_count);
	response_add(
		headers, checksum_s3_header(checksum->algorithm), request_note_end(request, &out));
	if (with_type)
		response_add(headers, "x-amz-checksum-type",
			bytes_of(checksum_s3_type_name(checksum->type)));
}

/* --- the body -------------------------------------------------------------------------------- */

bool op_put_receive(
	struct request *request, struct body *body, enum err (*propose)(struct request *request))
{
	enum body_progress progress = body_advance(body);
	if (progress == BODY_GOING)
		return false;
	if (progress == BODY_FAILED) {
		request_fail(request, body->code);
		return false;
	}
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return false;
	if (err == ERR_OK)
		err = propose(request);
	if (err) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		body_drop(body);
		return false;
	}
	return true;
}

/* --- the operation ---------------------------------------------------------------------------- */

static void finish(struct request *request, struct op_put *op)
{
	const struct command_result *result = &request->proposal.result;
	body_settle(&op->body);
	if (!request_proposal_has_result(request))
		return;
	if (result->code != COMMAND_OK) {
		if (result->code == COMMAND_PRECONDITION)
			conditional_explain_write(&op->condition, &request->error);
		request_fail_command(request, result);
		return;
	}
	struct response_headers headers = {0};
	op_put_add_etag(request, &headers, &result->etag);
	op_put_add_version(request, &headers, result->version, result->is_null);
	expiration_add_written(request, &headers, result->version);
	op_put_add_checksum(request, &headers, &op->checksum, 0, true);
	sse_add_headers(request, &headers, op->sse.mode, &op->sse.customer);
	request_answer(request, 200, headers.list, headers.count);
}

static enum err propose(struct request *request)
{
	struct op_put *op = REQUEST_OP(request, struct op_put);
	struct command command = {.type = COMMAND_OBJECT_PUT};
	struct command_object_put *put = &command.object_put;
	put->bucket = request->bucket.id;
	put->key = request->resource.key;
	op_put_conditions_command(&op->condition, &put->conditions);
	metadata_describe(&op->metadata, &put->attributes);
	put->attributes.class = request->bucket.class;
	op_object_lock_describe(&op->lock, &put->attributes);
	put->invocation = op->invocation;
	body_describe(&op->body, &put->body);
	command.session = body_session(&op->body);
	op->checksum = put->body.checksums[0];
	return request_propose(request, &command);
}

static void advance(struct request *request)
{
	struct op_put *op = REQUEST_OP(request, struct op_put);
	if (request->step == PROPOSING) {
		if (request->is_proposal_done)
			finish(request, op);
		return;
	}
	if (op_put_receive(request, &op->body, propose))
		request->step = PROPOSING;
}

/* All that can be refused before the body is asked for. */
static enum s3_code prepare(struct request *request, struct op_put *op)
{
	const struct exchange *x = request->exchange;
	enum s3_code code = metadata_refuse_headers(request);
	if (code == S3_OK)
		code = conditional_parse_write(
			x->headers, x->header_count, &op->condition, &request->error);
	if (code == S3_OK)
		code = metadata_read_headers(request, &op->metadata);
	if (code == S3_OK)
		code = metadata_read_tags(request, &op->metadata);
	if (code == S3_OK)
		code = op_object_lock_read_headers(request, &op->lock);
	op->invocation = op_put_conditions_invocation(request);
	if (code == S3_OK)
		code = op_put_conditions_check_early(request, &op->condition, op->invocation);
	if (code == S3_OK)
		code = sse_read(request, &op->sse);
	struct body_setup setup = {
		.wants_crc64 = true, .storage_class = request->bucket.class, .sse = &op->sse};
	if (code == S3_OK)
		code = body_start(&op->body, request, &setup);
	explicit_bzero(op->sse.customer.key, sizeof op->sse.customer.key);
	return code;
}

void op_put_start(struct request *request)
{
	struct op_put *op = REQUEST_OP(request, struct op_put);
	enum s3_code code = prepare(request, op);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->advance = advance;
	request->step = RECEIVING;
	request_advance_soon(request);
}
