/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/digest_lanes.h"
#include "gateway/op_copy_source.h"
#include "gateway/op_put.h"
#include "gateway/op_upload.h"
#include "gateway/range.h"
#include "gateway/xml_out.h"

/* UploadPartCopy: a part that is a range of another version's body. Nothing is written, but a part
 * has an ETag and a checksum, which are those of the source only if it is copied as a whole; else
 * the bytes are read once to compute them.
 *
 *	LOOKING → (READING) → PROPOSING → answered
 *	   ↑________ the source's version went meanwhile ________|
 */
enum { LOOKING, READING, PROPOSING };
enum { TRIES_MAX = 8 };

struct op_part_copy {
	struct op_copy_source source;
	struct range range;
	uint64_t upload;
	uint16_t number;
	enum checksum_algorithm algorithm;
	bool is_named; /* the client named it at the start of the upload */
	unsigned tries;
	struct etag etag; /* of the part */
	struct checksum checksum;

	/* READING */
	struct get get;
	bool is_get_active;
	bool is_piece_here; /* it is with the digest */
	enum err get_err;
	struct digest_stream stream;
	struct digest_job job;
};

/* --- reading ---------------------------------------------------------------------------------- */

static void digest_done(struct digest_job *job)
{
	struct op_part_copy *op = CONTAINER_OF(job, struct op_part_copy, job);
	op->is_piece_here = false;
	get_sent(&op->get);
}

static void piece_came(struct get *get, const uint8_t *data, size_t len)
{
	struct op_part_copy *op = CONTAINER_OF(get, struct op_part_copy, get);
	op->is_piece_here = true;
	op->job.stream = &op->stream;
	op->job.buf = data;
	op->job.len = len;
	op->job.done = digest_done;
	digest_lanes_submit(&REQUEST_OF_OP(op)->loop->lanes, &op->job);
}

static void get_ended(struct get *get, enum err err)
{
	struct op_part_copy *op = CONTAINER_OF(get, struct op_part_copy, get);
	struct request *request = REQUEST_OF_OP(op);
	op->is_get_active = false;
	op->get_err = err;
	request_advance_soon(request);
	request_release(request);
}

/* Under the view in which the source was found. */
static void start_get(struct request *request, struct op_part_copy *op)
{
	struct get_setup setup = {
		.store = request->loop->store,
		.body = op->source.body,
		.start = op->range.offset,
		.len = op->range.len,
		.request_id = request->exchange->request_id,
		.piece = piece_came,
		.done = get_ended,
	};
	op->get.magic = 0;
	op->is_get_active = true;
	op->is_piece_here = false;
	op->get_err = ERR_OK;
	memset(&op->job, 0, sizeof op->job);
	request_hold(request);
	get_start(&op->get, &setup);
}

static void take_digests(struct op_part_copy *op)
{
	struct digest_values values;
	digest_stream_final(&op->stream, &values);
	memcpy(op->etag.md5, values.md5, sizeof op->etag.md5);
	op->etag.part_count = 0;
	struct bytes value = digest_value(&values, checksum_s3_digest(op->algorithm));
	op->checksum = (struct checksum){.algorithm = op->algorithm, .len = value.len};
	memcpy(op->checksum.value, value.data, value.len);
}

/* --- looking ---------------------------------------------------------------------------------- */

static enum s3_code read_range(struct request *request, struct op_part_copy *op)
{
	struct bytes header;
	op->range = (struct range){.len = op->source.len};
	if (request_header(request, "x-amz-copy-source-range", &header)) {
		enum s3_code code = range_parse_copy(
			header, op->source.len, &op->range, &request->error);
		if (code != S3_OK)
			return code;
	}
	if (op->range.len <= request->loop->gateway->settings.object_len_max)
		return S3_OK;
	s3_error_add_uint(&request->error, "ProposedSize", op->range.len);
	return S3_ENTITY_TOO_LARGE;
}

/* Is the part the source as a whole, whose digests are known? */
static bool is_known(const struct op_part_copy *op)
{
	const struct checksum *checksum = &op->source.checksum;
	return op->range.len == op->source.len && op->source.etag.part_count == 0 &&
		checksum->algorithm == op->algorithm && checksum->type == CHECKSUM_FULL_OBJECT;
}

/* Under a view. What is to be read begins to be read. */
static enum s3_code look(struct request *request, struct op_part_copy *op)
{
	struct row_upload upload;
	struct object_info object;
	enum s3_code code = op_upload_find(request, op->upload, &upload);
	if (code != S3_OK)
		return code;
	op->algorithm = op_upload_algorithm(&upload);
	op->is_named = upload.checksum_algorithm != CHECKSUM_NONE;
	code = op_copy_source_find(request, &op->source, &object);
	if (code == S3_OK)
		code = read_range(request, op);
	if (code != S3_OK)
		return code;
	if (is_known(op)) {
		op->etag = op->source.etag;
		op->checksum = op->source.checksum;
		request->step = PROPOSING;
		return S3_OK;
	}
	digest_stream_init(&op->stream, DIGEST_MD5 | checksum_s3_digest(op->algorithm));
	if (op->range.len > 0) {
		request->step = READING;
		start_get(request, op);
	} else {
		request->step = PROPOSING;
		take_digests(op);
	}
	return S3_OK;
}

/* --- the operation ---------------------------------------------------------------------------- */

static enum err propose(struct request *request, struct op_part_copy *op)
{
	struct command command = {.type = COMMAND_UPLOAD_PART_COPY};
	struct command_upload_part_copy *copy = &command.upload_part_copy;
	copy->source_bucket = op->source.bucket.id;
	copy->source_key = op->source.key;
	copy->source_version = op->source.version;
	copy->source_body = op->source.body;
	copy->offset = op->range.offset;
	copy->len = op->range.len;
	copy->bucket = request->bucket.id;
	copy->key = request->resource.key;
	copy->upload = op->upload;
	copy->part = op->number;
	copy->etag = op->etag;
	copy->checksum = op->checksum;
	return request_propose(request, &command);
}

static void answer(struct request *request, struct op_part_copy *op)
{
	const struct command_result *result = &request->proposal.result;
	struct response_headers headers = {0};
	op_copy_source_add_version(request, &op->source, &headers);
	enum err err = request_take_text(request); /* it has one, and starts anew */
	assert(err == ERR_OK);
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<CopyPartResult" XML_NAMESPACE "><LastModified>");
	response_put_time(out, result->time_ms);
	text_put_text(out, "</LastModified><ETag>");
	response_put_etag(out, &op->etag);
	text_put_text(out, "</ETag>");
	if (op->is_named)
		op_upload_put_checksum(out, &op->checksum, 0);
	text_put_text(out, "</CopyPartResult>");
	request_answer_xml(request, 200, headers.list, headers.count);
}

static void start_looking(struct request *request, struct op_part_copy *op)
{
	enum s3_code code = S3_OK;
	enum err err = index_view_begin(request_reader(request));
	if (err == ERR_OK) {
		code = look(request, op);
		index_view_end(request_reader(request));
	}
	if (err)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
	else if (code != S3_OK)
		request_fail(request, code);
}

/* After a result. True: the source is to be looked for again. */
static bool take_result(struct request *request, struct op_part_copy *op)
{
	const struct command_result *result = &request->proposal.result;
	if (!request_proposal_has_result(request))
		return false;
	if (result->code == COMMAND_OK)
		answer(request, op);
	else if (result->code == COMMAND_NO_VERSION && ++op->tries < TRIES_MAX)
		return true;
	else
		request_fail_command(request, result);
	return false;
}

static void advance(struct request *request)
{
	struct op_part_copy *op = REQUEST_OP(request, struct op_part_copy);
	if (request->is_proposed) {
		if (!request->is_proposal_done || !take_result(request, op))
			return;
		request->step = LOOKING;
	}
	if (request->step == READING && request->is_gone) {
		if (op->is_get_active && !op->is_piece_here)
			get_cancel(&op->get);
		if (!op->is_piece_here)
			request_abandon(request);
		return;
	}
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	if (err) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		return;
	}
	if (request->step == LOOKING)
		start_looking(request, op);
	if (request->step == READING && request->state == REQUEST_RUNNING) {
		if (op->is_get_active)
			return;
		if (op->get_err) {
			request_fail_err(request, op->get_err, S3_INTERNAL_ERROR);
			return;
		}
		take_digests(op);
		request->step = PROPOSING;
	}
	if (request->step != PROPOSING)
		return;
	err = propose(request, op);
	if (err)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
}

void op_upload_part_copy(struct request *request)
{
	struct op_part_copy *op = REQUEST_OP(request, struct op_part_copy);
	enum s3_code code = op_upload_read_number(request, &op->number);
	if (code == S3_OK)
		code = op_upload_read_id(request, &op->upload);
	if (code == S3_OK)
		code = op_copy_source_parse(request, &op->source);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	op->tries = 0;
	request->advance = advance;
	request->step = LOOKING;
	request_advance_soon(request);
}
