/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_upload.h"

#include "gateway/body.h"
#include "gateway/checksum_s3.h"
#include "gateway/conditional.h"
#include "gateway/metadata_headers.h"
#include "gateway/op_object_lock.h"
#include "gateway/op_upload_id.h"
#include "gateway/response.h"
#include "gateway/xml_out.h"

/* CreateMultipartUpload and AbortMultipartUpload, and what all operations on uploads share. */

enum s3_code op_upload_read_id(struct request *request, uint64_t *ret_upload)
{
	struct bytes text = request_param(request, "uploadId");
	return op_upload_id_parse(text, ret_upload) == ERR_OK ? S3_OK : S3_NO_SUCH_UPLOAD;
}

enum s3_code op_upload_read_number(struct request *request, uint16_t *ret_number)
{
	uint64_t number;
	enum s3_code code = request_param_uint(request, "partNumber", 0, ROW_PART_MAX, &number);
	if (code == S3_OK && number == 0) {
		s3_error_add(&request->error, "ArgumentName", bytes_of("partNumber"));
		s3_error_add(
			&request->error, "ArgumentValue", request_param(request, "partNumber"));
		code = S3_INVALID_ARGUMENT;
	}
	if (code == S3_OK)
		*ret_number = number;
	else
		request->error.message =
			"Part number must be an integer between 1 and 10000, inclusive";
	return code;
}

enum s3_code op_upload_find(struct request *request, uint64_t upload, struct row_upload *ret_upload)
{
	enum err err = index_upload_get(request_reader(request), request->bucket.id,
		request->resource.key, upload, ret_upload);
	if (err == ERR_OK && ret_upload->state != UPLOAD_OPEN)
		err = ERR_NOT_FOUND;
	return s3_error_from_err(err, S3_NO_SUCH_UPLOAD);
}

bool op_upload_counts_parts(const struct request *request)
{
	const struct index *index = request->loop->store->store->index;
	return index_known_command_version(index) >= COMMAND_VERSION_PARTS;
}

void op_upload_explain_part(struct request *request, uint16_t number, const struct etag *etag)
{
	uint8_t text[48];
	struct text_out out;
	s3_error_add_uint(&request->error, "PartNumber", number);
	if (!etag)
		return;
	text_out_init(&out, text, sizeof text);
	response_put_etag(&out, etag);
	s3_error_add_copy(&request->error, "ETag", conditional_bare_etag(text_out_bytes(&out)));
}

enum s3_code op_upload_read_encryption(
	struct request *request, const struct row_upload *upload, struct sse *ret_sse)
{
	struct sse_customer *customer = &ret_sse->customer;
	ret_sse->mode = sse_mode_of(upload->encryption);
	enum s3_code code = sse_read_customer(request, SSE_OF_OBJECT, customer);
	if (code != S3_OK)
		return code;
	if (customer->is_given != (ret_sse->mode == SSE_C)) {
		request->error.message = customer->is_given
			? "The multipart upload was not initiated with encryption by a key of the "
			  "customer."
			: "The multipart upload initiate requested encryption. Subsequent part "
			  "requests must include the appropriate encryption parameters.";
		return S3_INVALID_REQUEST;
	}
	if (ret_sse->mode != SSE_C)
		return S3_OK;
	struct frame_key key;
	enum err err = sse_open(request->loop->gateway, customer, upload->encryption, &key);
	if (err == ERR_OK)
		frame_key_wipe(&key);
	if (err == ERR_DENIED) {
		request->error.message = "The provided encryption parameters did not match the "
					 "ones used originally.";
		return S3_INVALID_REQUEST;
	}
	return s3_error_from_err(err, S3_INTERNAL_ERROR);
}

void op_upload_put_checksum(
	struct text_out *out, const struct checksum *checksum, uint32_t part_count)
{
	if (checksum->algorithm == CHECKSUM_NONE)
		return;
	xml_open(out, checksum_s3_element(checksum->algorithm));
	checksum_s3_put(out, checksum, part_count);
	xml_close(out, checksum_s3_element(checksum->algorithm));
}

/* --- create ----------------------------------------------------------------------------------- */

struct op_upload_create {
	struct metadata metadata;
	struct op_object_lock lock;
	enum checksum_algorithm algorithm;
	enum checksum_type type;
	struct sse sse;
	struct sse_row encryption;
};

static enum s3_code refuse_checksum(struct request *request, const char *message)
{
	request->error.message = message;
	return S3_INVALID_REQUEST;
}

static enum s3_code read_checksum(struct request *request, struct op_upload_create *op)
{
	struct bytes name, type = {0};
	bool has_type = request_header(request, "x-amz-checksum-type", &type);
	op->algorithm = CHECKSUM_NONE;
	op->type = CHECKSUM_FULL_OBJECT;
	if (!request_header(request, "x-amz-checksum-algorithm", &name))
		return has_type ? refuse_checksum(request,
					  "The x-amz-checksum-type header can only be used with "
					  "the x-amz-checksum-algorithm header.")
				: S3_OK;
	op->algorithm = checksum_s3_from_name(name);
	if (op->algorithm == CHECKSUM_NONE)
		return refuse_checksum(request,
			"Checksum algorithm provided is unsupported. Please try again with any of "
			"the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
	op->type = checksum_s3_default_type(op->algorithm);
	if (has_type && bytes_is_text(type, "COMPOSITE"))
		op->type = CHECKSUM_COMPOSITE;
	else if (has_type && bytes_is_text(type, "FULL_OBJECT"))
		op->type = CHECKSUM_FULL_OBJECT;
	else if (has_type)
		return refuse_checksum(request, "Value for x-amz-checksum-type header is invalid.");
	if (!checksum_s3_is_type_allowed(op->algorithm, op->type))
		return refuse_checksum(request,
			"The checksum type cannot be used with the checksum algorithm of this "
			"upload.");
	return S3_OK;
}

static enum err propose_create(struct request *request, struct op_upload_create *op)
{
	struct command command = {.type = COMMAND_UPLOAD_CREATE};
	struct command_upload_create *create = &command.upload_create;
	create->bucket = request->bucket.id;
	create->key = request->resource.key;
	metadata_describe(&op->metadata, &create->attributes);
	create->attributes.class = request->bucket.class;
	op_object_lock_describe(&op->lock, &create->attributes);
	create->checksum_algorithm = op->algorithm;
	create->encryption = sse_row_bytes(&op->encryption);
	create->checksum_type = op->type;
	return request_propose(request, &command);
}

/* How parts are to be encrypted, and by whose key: that of the upload's row has no other use. */
static enum s3_code read_encryption(struct request *request, struct op_upload_create *op)
{
	struct frame_key key;
	op->encryption.len = 0;
	enum s3_code code = sse_read(request, &op->sse);
	if (code != S3_OK || op->sse.mode == SSE_NONE)
		return code;
	if (!body_may_have_frames(request))
		return S3_SERVICE_UNAVAILABLE;
	enum err err = sse_make_key(request->loop->gateway, &op->sse, &key, &op->encryption);
	explicit_bzero(op->sse.customer.key, sizeof op->sse.customer.key);
	if (err == ERR_OK)
		frame_key_wipe(&key);
	return s3_error_from_err(err, S3_INTERNAL_ERROR);
}

static void answer_create(struct request *request, const struct op_upload_create *op)
{
	struct response_headers headers = {0};
	if (op->algorithm != CHECKSUM_NONE) {
		response_add(&headers, "x-amz-checksum-algorithm",
			bytes_of(checksum_s3_name(op->algorithm)));
		response_add(
			&headers, "x-amz-checksum-type", bytes_of(checksum_s3_type_name(op->type)));
	}
	sse_add_headers(request, &headers, op->sse.mode, &op->sse.customer);
	enum err err = request_take_text(request); /* it has one, and starts anew */
	assert(err == ERR_OK);
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<InitiateMultipartUploadResult" XML_NAMESPACE ">");
	xml_element(out, "Bucket", request->bucket.name);
	xml_element(out, "Key", request->resource.key);
	xml_open(out, "UploadId");
	op_upload_id_put(out, request->proposal.result.id);
	xml_close(out, "UploadId");
	text_put_text(out, "</InitiateMultipartUploadResult>");
	request_answer_xml(request, 200, headers.list, headers.count);
}

static void advance_create(struct request *request)
{
	struct op_upload_create *op = REQUEST_OP(request, struct op_upload_create);
	if (request->is_proposed) {
		if (!request->is_proposal_done || !request_proposal_has_result(request))
			return;
		if (request->proposal.result.code != COMMAND_OK)
			request_fail_command(request, &request->proposal.result);
		else
			answer_create(request, op);
		return;
	}
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	if (err == ERR_OK)
		err = propose_create(request, op);
	if (err)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
}

void op_upload_create(struct request *request)
{
	struct op_upload_create *op = REQUEST_OP(request, struct op_upload_create);
	enum s3_code code = metadata_refuse_headers(request);
	if (code == S3_OK)
		code = metadata_read_headers(request, &op->metadata);
	if (code == S3_OK)
		code = metadata_read_tags(request, &op->metadata);
	if (code == S3_OK)
		code = op_object_lock_read_headers(request, &op->lock);
	if (code == S3_OK)
		code = read_checksum(request, op);
	if (code == S3_OK)
		code = read_encryption(request, op);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->advance = advance_create;
	request_advance_soon(request);
}

/* --- abort ------------------------------------------------------------------------------------ */

struct op_upload_abort {
	uint64_t upload;
};

static void advance_abort(struct request *request)
{
	const struct op_upload_abort *op = REQUEST_OP(request, struct op_upload_abort);
	if (request->is_proposed) {
		if (!request->is_proposal_done || !request_proposal_has_result(request))
			return;
		if (request->proposal.result.code != COMMAND_OK)
			request_fail_command(request, &request->proposal.result);
		else
			request_answer(request, 204, NULL, 0);
		return;
	}
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	if (err == ERR_OK) {
		struct command command = {.type = COMMAND_UPLOAD_ABORT};
		command.upload_abort.bucket = request->bucket.id;
		command.upload_abort.key = request->resource.key;
		command.upload_abort.upload = op->upload;
		err = request_propose(request, &command);
	}
	if (err)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
}

void op_upload_abort(struct request *request)
{
	struct op_upload_abort *op = REQUEST_OP(request, struct op_upload_abort);
	enum s3_code code = op_upload_read_id(request, &op->upload);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->advance = advance_abort;
	request_advance_soon(request);
}
