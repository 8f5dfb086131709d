/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/checksum_s3.h"
#include "gateway/digest/base64.h"
#include "gateway/expiration.h"
#include "gateway/op_put.h"
#include "gateway/op_put_conditions.h"
#include "gateway/op_upload.h"
#include "gateway/request_document.h"
#include "gateway/xml_body.h"
#include "gateway/xml_out.h"

/* CompleteMultipartUpload: a list of parts becomes a version. Only the index changes, so that the
 * answer comes in milliseconds, however long the object is.
 *
 *	READING (each part is compared with its row as it comes) → PROPOSING → answered
 *	             ↑___ the upload changed meanwhile: all parts once more ___|
 *
 * (I1) The command carries the change counter of the state in which every part was compared; when
 *      the parts were seen in several views, these had the same counter.
 * (I2) A part that does not fit is only remembered until the list is over: the upload may have been
 *      completed by the same request before, and then the parts are gone and the answer is the
 *      earlier one.
 * (I3) The list is not kept, but a digest of what was compared: number, ETag, and the checksum
 *where the list has one of the upload's algorithm. The same digest of the rows compares them again.
 *      Another digest, of all that the list says, tells a repeated Complete from a new one.
 */
enum { READING, PROPOSING };
enum { TRIES_MAX = 8 };
#define PART_LEN_MIN (UINT64_C(5) << 20)
static const struct checksum none = {.algorithm = CHECKSUM_NONE};

/* What the parts come to, as far as they were looked at. */
struct sum {
	uint64_t change_count; /* of the upload; 0: nothing was looked at */
	bool is_mixed; /* parts of several states were looked at */
	bool is_named; /* the upload was begun with an algorithm */
	struct checksum_s3_whole checksum;
	uint64_t len;
	uint64_t last_len; /* of the last part */
	uint16_t last_number;
	enum s3_code code; /* the first thing that was wrong, with `number` */
	uint16_t number;
	struct etag etag; /* as the list has it */
	uint64_t small_len; /* of EntityTooSmall */
};

struct op_complete {
	struct request_document document;
	struct xml_complete xml;
	struct request *request;
	uint64_t upload;
	struct conditional_write condition;
	uint64_t invocation;
	unsigned tries;
	enum sse_mode mode;
	bool has_len;
	uint64_t len; /* x-amz-mp-object-size */
	enum checksum_algorithm algorithm; /* of the checksum that the client gave, or NONE */
	struct checksum checksum;
	uint32_t checksum_part_count;
	bool has_type;
	enum checksum_type type;

	/* The list. */
	struct digest_stream etags; /* MD5 of the parts' MD5s, as the client has them */
	struct digest_stream said, compared; /* (I3) */
	uint8_t md5[MD5_LEN]; /* of the list's end */
	uint64_t parts_hash;
	uint32_t part_count;
	uint8_t has_checksum[(ROW_PART_MAX + 7) / 8]; /* bit i: the i-th part's was compared */
	uint8_t numbers[2 * ROW_PART_MAX];

	struct sum sum;
	bool is_open; /* in the present view; else it was completed or is gone */
	bool is_completed;
	struct checksum whole; /* of the object */
};

static enum s3_code refuse(struct op_complete *op, enum s3_code code, const char *message)
{
	op->request->error.message = message;
	return code;
}

/* --- parts ------------------------------------------------------------------------------------ */

static void start_sum(struct sum *sum, const struct row_upload *upload)
{
	memset(sum, 0, sizeof *sum);
	sum->change_count = upload->change_count;
	sum->is_named = upload->checksum_algorithm != CHECKSUM_NONE;
	checksum_s3_whole_init(&sum->checksum, op_upload_algorithm(upload),
		upload->checksum_algorithm != CHECKSUM_NONE ? upload->checksum_type
							    : CHECKSUM_FULL_OBJECT);
}

static void refuse_part(struct sum *sum, enum s3_code code, uint16_t number)
{
	if (sum->code != S3_OK)
		return;
	sum->code = code;
	sum->number = number;
}

static void add_part(struct sum *sum, uint16_t number, const struct row_part *row)
{
	if (sum->last_number != 0 && sum->last_len < PART_LEN_MIN && sum->code == S3_OK) {
		sum->small_len = sum->last_len;
		refuse_part(sum, S3_ENTITY_TOO_SMALL, sum->last_number);
	}
	checksum_s3_whole_add(&sum->checksum, &row->checksum, row->len);
	sum->len += row->len;
	sum->last_len = row->len;
	sum->last_number = number;
}

/* Finds a part's row, or remembers that it is not there. */
static enum err find_part(
	struct op_complete *op, uint16_t number, struct row_part *ret_row, bool *ret_is_there)
{
	uint16_t found;
	enum err err = index_part_next(
		request_reader(op->request), op->upload, number, &found, ret_row);
	*ret_is_there = err == ERR_OK && found == number;
	if (err == ERR_NOT_FOUND)
		err = ERR_OK;
	if (err == ERR_OK && !*ret_is_there)
		refuse_part(&op->sum, S3_INVALID_PART, number);
	return err;
}

/* The checksum that the list has of a part, or CHECKSUM_NONE. False: it is none, or one of many. */
static bool read_part_checksum(const struct xml_part *part, struct checksum *ret_checksum)
{
	static const enum checksum_algorithm algorithms[XML_CHECKSUM_COUNT] = {
		[XML_CHECKSUM_CRC32] = CHECKSUM_CRC32,
		[XML_CHECKSUM_CRC32C] = CHECKSUM_CRC32C,
		[XML_CHECKSUM_CRC64NVME] = CHECKSUM_CRC64NVME,
		[XML_CHECKSUM_SHA1] = CHECKSUM_SHA1,
		[XML_CHECKSUM_SHA256] = CHECKSUM_SHA256,
	};
	*ret_checksum = (struct checksum){.algorithm = CHECKSUM_NONE};
	for (unsigned i = 0; i < XML_CHECKSUM_COUNT; i++) {
		uint32_t part_count;
		if (part->checksums[i].len == 0)
			continue;
		if (ret_checksum->algorithm != CHECKSUM_NONE ||
			checksum_s3_parse(part->checksums[i], algorithms[i], ret_checksum,
				&part_count) != ERR_OK ||
			part_count != 0)
			return false;
	}
	return true;
}

static bool is_checksum_equal(const struct checksum *a, const struct checksum *b)
{
	return a->algorithm == b->algorithm && a->len == b->len &&
		memcmp(a->value, b->value, a->len) == 0;
}

/* What is said of one part (I3). */
static void hash_part(struct digest_stream *hash, uint16_t number, const struct etag *etag,
	const struct checksum *checksum)
{
	uint8_t head[2];
	put_le16(head, number);
	digest_stream_update(hash, head, sizeof head);
	digest_stream_update(hash, &etag->md5, sizeof etag->md5);
	put_le16(head, etag->part_count);
	digest_stream_update(hash, head, sizeof head);
	digest_stream_update(hash, &checksum->algorithm, sizeof checksum->algorithm);
	digest_stream_update(hash, checksum->value, checksum->len);
}

/* The upload's checksum of a part, if the list is to have compared it, or none. An upload that was
 * begun without an algorithm has CRC64NVME; what the list has of others is then passed over, since
 * parts could be sent with any. */
static bool is_compared(const struct op_complete *op, const struct checksum *checksum)
{
	return checksum->algorithm != CHECKSUM_NONE &&
		(op->sum.is_named || checksum->algorithm == op->sum.checksum.checksum.algorithm);
}

/* Compares a part with its row. */
static enum err compare_part(struct op_complete *op, uint32_t index, uint16_t number,
	const struct etag *etag, const struct checksum *checksum)
{
	struct row_part row;
	bool is_there;
	if (!is_compared(op, checksum))
		checksum = &none;
	else
		op->has_checksum[index / 8] |= 1u << index % 8;
	hash_part(&op->compared, number, etag, checksum);
	if (op->sum.code == S3_OK)
		op->sum.etag = *etag;
	enum err err = find_part(op, number, &row, &is_there);
	if (err || !is_there)
		return err;
	if (!etag_is_equal(&row.etag, etag) ||
		(checksum != &none && !is_checksum_equal(&row.checksum, checksum)))
		refuse_part(&op->sum, S3_INVALID_PART, number);
	add_part(&op->sum, number, &row);
	return ERR_OK;
}

/* One part of the list, under a view. */
static enum s3_code take_part(void *context, const struct xml_part *part)
{
	struct op_complete *op = context;
	struct etag etag;
	struct checksum checksum;
	assert(part->number > 0 && part->number <= ROW_PART_MAX && op->part_count < ROW_PART_MAX);
	if (!read_part_checksum(part, &checksum))
		return refuse(op, S3_INVALID_ARGUMENT,
			"Invalid Base64 or multiple checksums present in request");
	uint32_t index = op->part_count++;
	put_le16(op->numbers + 2 * index, part->number);
	op_put_conditions_parse_etag(part->etag, &etag);
	digest_stream_update(&op->etags, etag.md5, sizeof etag.md5);
	hash_part(&op->said, part->number, &etag, &checksum);
	if (!op->is_open)
		return S3_OK;
	enum err err = compare_part(op, index, part->number, &etag, &checksum);
	return err ? s3_error_from_err(err, S3_INTERNAL_ERROR) : S3_OK;
}

/* Looks at the upload, under a view. */
static enum err look(struct op_complete *op, struct row_upload *upload)
{
	struct request *request = op->request;
	enum err err = index_upload_get(request_reader(request), request->bucket.id,
		request->resource.key, op->upload, upload);
	op->is_open = err == ERR_OK && upload->state == UPLOAD_OPEN;
	if (op->is_open && sse_mode_of(upload->encryption) == SSE_S3)
		op->mode = SSE_S3; /* what a customer's key seals is not told of here */
	op->is_completed = err == ERR_OK && upload->state == UPLOAD_COMPLETED;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum s3_code take_piece(struct request_document *document, struct bytes piece)
{
	struct op_complete *op = CONTAINER_OF(document, struct op_complete, document);
	struct index_reader *reader = request_reader(op->request);
	struct row_upload upload;
	enum s3_code code = S3_INTERNAL_ERROR;
	enum err err = index_view_begin(reader);
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	err = look(op, &upload);
	if (err == ERR_OK) {
		if (op->is_open && op->part_count == 0)
			start_sum(&op->sum, &upload);
		else if (op->is_open && upload.change_count != op->sum.change_count)
			op->sum.is_mixed = true;
		code = xml_in_feed(&op->xml.in, piece);
	}
	index_view_end(reader);
	return err ? s3_error_from_err(err, S3_INTERNAL_ERROR) : code;
}

/* Looks at all parts in one state of the upload, under a view. */
static enum err look_again(struct op_complete *op, const struct row_upload *upload)
{
	struct digest_stream rows;
	start_sum(&op->sum, upload);
	digest_stream_init(&rows, DIGEST_SHA256);
	for (uint32_t i = 0; i < op->part_count; i++) {
		uint16_t number = get_le16(op->numbers + 2 * i);
		bool has_checksum = op->has_checksum[i / 8] >> i % 8 & 1;
		struct row_part row;
		bool is_there;
		enum err err = find_part(op, number, &row, &is_there);
		if (err)
			return err;
		if (!is_there)
			continue;
		hash_part(&rows, number, &row.etag, has_checksum ? &row.checksum : &none);
		add_part(&op->sum, number, &row);
	}
	struct digest_stream compared = op->compared;
	struct digest_values was, is;
	digest_stream_final(&compared, &was);
	digest_stream_final(&rows, &is);
	if (memcmp(was.sha256, is.sha256, sizeof was.sha256) != 0)
		refuse_part(&op->sum, S3_INVALID_PART, 0); /* (I3) */
	return ERR_OK;
}

static void finish_list(struct op_complete *op)
{
	struct digest_values values;
	digest_stream_final(&op->etags, &values);
	memcpy(op->md5, values.md5, sizeof op->md5);
	digest_stream_final(&op->said, &values);
	op->parts_hash = get_le64(values.sha256);
}

/* --- judging ---------------------------------------------------------------------------------- */

static enum s3_code explain_part(struct op_complete *op)
{
	struct request *request = op->request;
	const struct sum *sum = &op->sum;
	if (sum->number != 0)
		op_upload_explain_part(
			request, sum->number, sum->code == S3_INVALID_PART ? &sum->etag : NULL);
	if (sum->code == S3_ENTITY_TOO_SMALL) {
		s3_error_add_uint(&request->error, "ProposedSize", sum->small_len);
		s3_error_add_uint(&request->error, "MinSizeAllowed", PART_LEN_MIN);
	}
	return sum->code;
}

/* Compares what the client says of the whole with what its parts come to. */
static enum s3_code judge(struct op_complete *op, const struct row_upload *upload)
{
	if (op->sum.code != S3_OK)
		return explain_part(op);
	if (op->has_len && op->len != op->sum.len)
		return refuse(op, S3_INVALID_REQUEST,
			"The provided 'x-amz-mp-object-size' header value does not match what was "
			"computed.");
	checksum_s3_whole_final(&op->sum.checksum, &op->whole);
	if (op->has_type && upload->checksum_algorithm != CHECKSUM_NONE &&
		op->type != upload->checksum_type)
		return refuse(op, S3_INVALID_REQUEST,
			"The upload was created with another checksum type.");
	if (op->algorithm == CHECKSUM_NONE)
		return S3_OK;
	if (op->algorithm != op->whole.algorithm)
		return refuse(op, S3_INVALID_REQUEST,
			"The upload was created with another checksum algorithm.");
	if (op->checksum_part_count != 0 && op->checksum_part_count != op->part_count)
		return S3_BAD_DIGEST;
	return memcmp(op->checksum.value, op->whole.value, sizeof op->whole.value) == 0
		? S3_OK
		: S3_BAD_DIGEST;
}

/* Under a view: is the list good for a command? */
static enum s3_code check(struct op_complete *op, uint64_t *ret_change_count)
{
	struct row_upload upload;
	enum err err = look(op, &upload);
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	if (op->is_completed) {
		op->whole = (struct checksum){.algorithm = CHECKSUM_NONE};
		*ret_change_count = upload.change_count;
		return S3_OK; /* (I2) */
	}
	if (!op->is_open)
		return S3_NO_SUCH_UPLOAD;
	if (op->sum.is_mixed || op->sum.change_count != upload.change_count) {
		err = look_again(op, &upload);
		if (err)
			return s3_error_from_err(err, S3_INTERNAL_ERROR);
	}
	*ret_change_count = upload.change_count;
	return judge(op, &upload);
}

/* --- the operation ---------------------------------------------------------------------------- */

static enum err propose(struct request *request, struct op_complete *op, uint64_t change_count)
{
	struct command command = {.type = COMMAND_UPLOAD_COMPLETE};
	struct command_upload_complete *complete = &command.upload_complete;
	complete->bucket = request->bucket.id;
	complete->key = request->resource.key;
	complete->upload = op->upload;
	complete->change_count = change_count;
	complete->parts = bytes_make(op->numbers, 2 * op->part_count);
	memcpy(complete->etag.md5, op->md5, sizeof complete->etag.md5);
	complete->etag.part_count = op->part_count;
	complete->checksums[0] = op->whole;
	op_put_conditions_command(&op->condition, &complete->conditions);
	complete->parts_hash = op->parts_hash;
	complete->invocation = op->invocation;
	return request_propose(request, &command);
}

/* Checks and proposes. */
static void check_and_propose(struct request *request, struct op_complete *op)
{
	uint64_t change_count = 0;
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	enum s3_code code = S3_OK;
	if (err == ERR_OK)
		err = index_view_begin(request_reader(request));
	if (err == ERR_OK) {
		code = check(op, &change_count);
		index_view_end(request_reader(request));
		if (code == S3_OK)
			err = propose(request, op, change_count);
	}
	if (err)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
	else if (code != S3_OK)
		request_fail(request, code);
}

/* The checksum of the version that the first Complete made. */
static void find_earlier_checksum(struct request *request, struct op_complete *op)
{
	const struct command_result *result = &request->proposal.result;
	struct index_reader *reader = request_reader(request);
	struct object_info object;
	struct row_body body;
	op->whole = (struct checksum){.algorithm = CHECKSUM_NONE};
	if (index_view_begin(reader) != ERR_OK)
		return;
	if (index_version_get(reader, request->bucket.id, request->resource.key, result->version,
		    &object) == ERR_OK &&
		index_body_get(reader, object.row.body, &body) == ERR_OK)
		op->whole = body.checksums[0];
	index_view_end(reader);
}

static void answer(struct request *request, struct op_complete *op)
{
	const struct command_result *result = &request->proposal.result;
	struct response_headers headers = {0};
	if (result->is_earlier)
		find_earlier_checksum(request, op);
	op_put_add_version(request, &headers, result->version, result->is_null);
	expiration_add_written(request, &headers, result->version);
	sse_add_headers(request, &headers, op->mode, NULL);
	enum err err = request_take_text(request); /* it has one, and starts anew */
	assert(err == ERR_OK);
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<CompleteMultipartUploadResult" XML_NAMESPACE ">");
	response_put_location(out, request);
	xml_element(out, "Bucket", request->bucket.name);
	xml_element(out, "Key", request->resource.key);
	text_put_text(out, "<ETag>");
	response_put_etag(out, &result->etag);
	text_put_text(out, "</ETag>");
	op_upload_put_checksum(out, &op->whole, result->etag.part_count);
	if (op->whole.algorithm != CHECKSUM_NONE)
		xml_element(out, "ChecksumType", bytes_of(checksum_s3_type_name(op->whole.type)));
	text_put_text(out, "</CompleteMultipartUploadResult>");
	request_answer_xml(request, 200, headers.list, headers.count);
}

/* True: the upload changed, and is to be looked at again. */
static bool take_result(struct request *request, struct op_complete *op)
{
	const struct command_result *result = &request->proposal.result;
	if (!request_proposal_has_result(request))
		return false;
	if (result->code == COMMAND_OK) {
		answer(request, op);
		return false;
	}
	if (result->code == COMMAND_STALE && ++op->tries < TRIES_MAX)
		return true;
	if (result->code == COMMAND_PRECONDITION)
		conditional_explain_write(&op->condition, &request->error);
	request_fail_command(request, result);
	return false;
}

static void advance(struct request *request)
{
	struct op_complete *op = REQUEST_OP(request, struct op_complete);
	if (request->is_proposed && (!request->is_proposal_done || !take_result(request, op)))
		return;
	if (request->step == READING) {
		enum s3_code code;
		enum err err = request_document_read(&op->document, &code);
		if (err == ERR_BUSY)
			return;
		if (err == ERR_OK)
			code = xml_in_finish(&op->xml.in);
		if (code != S3_OK) {
			request_fail(request, code);
			return;
		}
		finish_list(op);
		request->step = PROPOSING;
	}
	check_and_propose(request, op);
}

static void fini(struct request *request)
{
	struct op_complete *op = REQUEST_OP(request, struct op_complete);
	request_document_fini(&op->document);
	xml_in_fini(&op->xml.in);
}

/* --- headers ---------------------------------------------------------------------------------- */

static enum s3_code read_len(struct request *request, struct op_complete *op)
{
	struct bytes text;
	op->has_len = request_header(request, "x-amz-mp-object-size", &text);
	op->len = 0;
	if (!op->has_len)
		return S3_OK;
	bool is_valid = text.len > 0 && text.len <= 18;
	for (size_t i = 0; is_valid && i < text.len; i++) {
		is_valid = text.data[i] >= '0' && text.data[i] <= '9';
		op->len = 10 * op->len + (text.data[i] - '0');
	}
	return is_valid ? S3_OK
			: refuse(op, S3_INVALID_REQUEST,
				  "Value for x-amz-mp-object-size header is invalid.");
}

/* x-amz-checksum-* of a Complete are of the object. */
static enum s3_code read_checksum(struct request *request, struct op_complete *op)
{
	const struct exchange *x = request->exchange;
	struct bytes type;
	op->algorithm = CHECKSUM_NONE;
	for (size_t i = 0; i < x->header_count; i++) {
		enum checksum_algorithm algorithm = checksum_s3_from_header(x->headers[i].name);
		if (algorithm == CHECKSUM_NONE)
			continue;
		if (op->algorithm != CHECKSUM_NONE ||
			checksum_s3_parse(x->headers[i].value, algorithm, &op->checksum,
				&op->checksum_part_count) != ERR_OK)
			return refuse(op, S3_INVALID_REQUEST,
				"Value for a x-amz-checksum- header is invalid.");
		op->algorithm = algorithm;
	}
	op->has_type = request_header(request, "x-amz-checksum-type", &type);
	if (!op->has_type)
		return S3_OK;
	op->type = bytes_is_text(type, "COMPOSITE") ? CHECKSUM_COMPOSITE : CHECKSUM_FULL_OBJECT;
	if (op->type == CHECKSUM_FULL_OBJECT && !bytes_is_text(type, "FULL_OBJECT"))
		return refuse(
			op, S3_INVALID_REQUEST, "Value for x-amz-checksum-type header is invalid.");
	return S3_OK;
}

static enum s3_code prepare(struct request *request, struct op_complete *op)
{
	const struct exchange *x = request->exchange;
	enum s3_code code = op_upload_read_id(request, &op->upload);
	if (code == S3_OK)
		code = conditional_parse_write(
			x->headers, x->header_count, &op->condition, &request->error);
	if (code == S3_OK)
		code = read_len(request, op);
	if (code == S3_OK)
		code = read_checksum(request, op);
	return code;
}

void op_upload_complete(struct request *request)
{
	struct op_complete *op = REQUEST_OP(request, struct op_complete);
	op->request = request;
	enum s3_code code = prepare(request, op);
	if (code == S3_OK && xml_complete_init(&op->xml, take_part, op) != ERR_OK)
		code = S3_SLOW_DOWN;
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->fini = fini;
	op->invocation = op_put_conditions_invocation(request);
	op->tries = 0;
	op->mode = SSE_NONE;
	op->part_count = 0;
	memset(op->has_checksum, 0, sizeof op->has_checksum);
	memset(&op->sum, 0, sizeof op->sum);
	digest_stream_init(&op->etags, DIGEST_MD5);
	digest_stream_init(&op->said, DIGEST_SHA256);
	digest_stream_init(&op->compared, DIGEST_SHA256);
	code = request_document_init(&op->document, request, XML_IN_DOCUMENT_LEN_MAX, take_piece);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->advance = advance;
	request->step = READING;
	request_advance_soon(request);
}
