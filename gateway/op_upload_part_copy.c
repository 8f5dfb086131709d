/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/digest_lanes.h"
#include "gateway/op_copy_source.h"
#include "gateway/op_put.h"
#include "gateway/op_upload.h"
#include "gateway/op_upload_bytes.h"
#include "gateway/range.h"
#include "gateway/xml_out.h"

/* UploadPartCopy: a part that is a range of another version's body. Nothing is written, but a part
 * has an ETag and a checksum, which are those of the source only if it is copied as a whole; else
 * the bytes are read once to compute them.
 *
 *	LOOKING → (READING) → PROPOSING → answered
 *	  ↑ ↓ ↑________ the source's version went meanwhile ________|
 *	COPYING: the source is slices of slices to the depth that there may be (LIMIT), and its
 *	bytes are written again; then the part is proposed as an uploaded one is.
 */
enum { LOOKING, READING, COPYING, PROPOSING };
enum { TRIES_MAX = 8 };

struct op_part_copy {
	struct op_copy_source source;
	struct range range;
	uint64_t upload;
	uint16_t number;
	enum checksum_algorithm algorithm;
	bool is_named; /* the client named it at the start of the upload */
	unsigned tries;
	struct etag etag; /* of the part, when it was made of known_body */
	struct checksum checksum;
	uint64_t known_body; /* 0: none */
	uint8_t class; /* storage class of the upload */
	struct sse sse; /* how it is encrypted */

	/* READING and COPYING */
	struct unpack get;
	bool is_get_active;
	bool is_piece_here; /* it is with the digest */
	enum err get_err;
	struct digest_stream stream;
	struct digest_job job;

	/* COPYING */
	bool must_copy;
	bool is_recoded; /* because source and upload are encrypted differently (E3) */
	struct op_upload_bytes *bytes; /* in a text buffer; NULL: not in use */
};

static_assert(sizeof(struct op_upload_bytes) <= REQUEST_TEXT_LEN, "it fits into a text buffer");

/* --- reading ---------------------------------------------------------------------------------- */

static void digest_done(struct digest_job *job)
{
	struct op_part_copy *op = CONTAINER_OF(job, struct op_part_copy, job);
	op->is_piece_here = false;
	if (REQUEST_OF_OP(op)->is_gone)
		request_advance_soon(REQUEST_OF_OP(op)); /* which waited for this */
	else
		unpack_sent(&op->get);
}

static enum err open_key(struct unpack *get, struct bytes encryption, struct frame_key *ret_key)
{
	struct op_part_copy *op = CONTAINER_OF(get, struct op_part_copy, get);
	return sse_open(
		REQUEST_OF_OP(op)->loop->gateway, &op->source.customer, encryption, ret_key);
}

static void piece_came(struct unpack *get, const uint8_t *data, size_t len)
{
	struct op_part_copy *op = CONTAINER_OF(get, struct op_part_copy, get);
	if (op->must_copy) {
		op_upload_bytes_piece(op->bytes, data, len);
		return;
	}
	op->is_piece_here = true;
	op->job.stream = &op->stream;
	op->job.buf = data;
	op->job.len = len;
	op->job.done = digest_done;
	digest_lanes_submit(&REQUEST_OF_OP(op)->loop->lanes, &op->job);
}

static void get_ended(struct unpack *get, enum err err)
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
	struct unpack_setup setup = {
		.store = request->loop->store,
		.body = op->source.body,
		.start = op->range.offset,
		.len = op->range.len,
		.request_id = request->exchange->request_id,
		.open = open_key,
		.piece = piece_came,
		.done = get_ended,
	};
	op->get.magic = 0;
	op->is_get_active = true;
	op->is_piece_here = false;
	op->get_err = ERR_OK;
	memset(&op->job, 0, sizeof op->job);
	request_hold(request);
	unpack_start(&op->get, &setup);
}

static void take_digests(
	struct request *request, struct op_part_copy *op, struct digest_stream *stream)
{
	struct digest_values values;
	digest_stream_final(stream, &values);
	if (op->sse.mode == SSE_C) /* (E4) of sse.h */
		random_fill(request->loop->store->store->random, op->etag.md5, sizeof op->etag.md5);
	else
		memcpy(op->etag.md5, values.md5, sizeof op->etag.md5);
	op->etag.part_count = 0;
	struct bytes value = digest_value(&values, checksum_s3_digest(op->algorithm));
	op->checksum = (struct checksum){.algorithm = op->algorithm, .len = value.len};
	memcpy(op->checksum.value, value.data, value.len);
}

/* --- copying ---------------------------------------------------------------------------------- */

static void bytes_changed(struct op_upload_bytes *bytes)
{
	struct request *request = bytes->owner;
	request_advance_soon(request);
	if (!bytes->is_put_active)
		request_release(request);
}

/* Under the view in which the source was found. */
static enum s3_code start_copying(struct request *request, struct op_part_copy *op)
{
	uint8_t *buffer;
	if (op->bytes && op->bytes->is_put_active)
		return S3_SLOW_DOWN; /* those of the try before are still being freed */
	/* It holds one of these already, and so does not wait for another. */
	if (!op->bytes && pool_take(&request->loop->text_pool, POOL_64K, 1, &buffer) != ERR_OK)
		return S3_SLOW_DOWN;
	if (!op->bytes)
		op->bytes = memset(buffer, 0, sizeof *op->bytes);
	op->bytes->owner = request;
	struct op_upload_bytes_setup setup = {
		.request = request,
		.upload = op->upload,
		.part = op->number,
		.len = op->range.len,
		.storage_class = op->class,
		.sse = &op->sse,
		.kinds = op->is_recoded ? DIGEST_MD5 | checksum_s3_digest(op->algorithm) : 0,
		.get = &op->get,
		.changed = bytes_changed,
	};
	enum s3_code code = op_upload_bytes_start(op->bytes, &setup);
	if (code != S3_OK)
		return code;
	request_hold(request);
	request->step = COPYING;
	start_get(request, op);
	return S3_OK;
}

/* True: all bytes are written. Else it goes on, or was answered. */
static bool advance_copying(struct request *request, struct op_part_copy *op)
{
	struct op_upload_bytes *bytes = op->bytes;
	enum err err = op->get_err ? op->get_err : bytes->err;
	if (!err && !request->is_gone)
		return !op->is_get_active && op_upload_bytes_is_ready(bytes);
	op_upload_bytes_drop(bytes);
	if (op->is_get_active)
		unpack_cancel(&op->get);
	if (err)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
	else
		request_abandon(request);
	return false;
}

/* After the proposal, before its result is cleared. */
static void settle_bytes(struct request *request, struct op_part_copy *op)
{
	if (op->bytes && op->bytes->is_put_active && !op->bytes->is_discarding &&
		op_upload_bytes_settle(op->bytes, &request->proposal))
		request_release(request);
}

static void fini(struct request *request)
{
	struct op_part_copy *op = REQUEST_OP(request, struct op_part_copy);
	pool_give(&request->loop->text_pool, (uint8_t *)op->bytes);
	sse_wipe(&op->source.customer);
	sse_wipe(&op->sse.customer);
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
	op->class = upload.class;
	code = op_upload_read_encryption(request, &upload, &op->sse);
	if (code != S3_OK)
		return code;
	code = op_copy_source_find(request, &op->source, &object);
	if (code == S3_OK)
		code = read_range(request, op);
	if (code != S3_OK)
		return code;
	op->is_recoded = op->range.len > 0 &&
		(op->source.mode != op->sse.mode || op->sse.mode == SSE_C);
	if (op->is_recoded) {
		op->must_copy = true;
		return start_copying(request, op);
	}
	if (op->must_copy && op->known_body == op->source.body && op->range.len > 0)
		return start_copying(request, op);
	op->must_copy = false;
	op->known_body = op->source.body;
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
		take_digests(request, op, &op->stream);
	}
	return S3_OK;
}

/* --- the operation ---------------------------------------------------------------------------- */

/* As an uploaded part. */
static enum err propose_bytes(struct request *request, struct op_part_copy *op)
{
	struct command command = {.type = COMMAND_UPLOAD_PART};
	struct command_upload_part *part = &command.upload_part;
	part->bucket = request->bucket.id;
	part->key = request->resource.key;
	part->upload = op->upload;
	part->part = op->number;
	part->is_counted = op_upload_counts_parts(request);
	op_upload_bytes_describe(op->bytes, &part->body);
	command.session = pack_session(&op->bytes->pack);
	part->body.etag = op->etag;
	part->body.checksums[0] = op->checksum;
	return request_propose(request, &command);
}

static enum err propose(struct request *request, struct op_part_copy *op)
{
	if (op->must_copy)
		return propose_bytes(request, op);
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
	copy->is_counted = op_upload_counts_parts(request);
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
	settle_bytes(request, op);
	if (!request_proposal_has_result(request))
		return false;
	if (result->code == COMMAND_LIMIT && !op->must_copy) {
		op->must_copy = true;
		return true;
	}
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
			unpack_cancel(&op->get);
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
		take_digests(request, op, &op->stream);
		request->step = PROPOSING;
	}
	if (request->step == COPYING && request->state == REQUEST_RUNNING &&
		advance_copying(request, op)) {
		if (op->is_recoded)
			take_digests(request, op, &op->bytes->stream);
		request->step = PROPOSING;
	}
	if (request->step != PROPOSING || request->state != REQUEST_RUNNING)
		return;
	err = propose(request, op);
	if (err) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		if (op->bytes)
			op_upload_bytes_drop(op->bytes);
	}
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
	op->must_copy = false;
	op->known_body = 0;
	op->bytes = NULL;
	request->fini = fini;
	request->advance = advance;
	request->step = LOOKING;
	request_advance_soon(request);
}
