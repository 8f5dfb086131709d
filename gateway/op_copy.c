/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_copy.h"

#include "gateway/authorize.h"
#include "gateway/expiration.h"
#include "gateway/metadata_headers.h"
#include "gateway/op_copy_source.h"
#include "gateway/op_object_lock.h"
#include "gateway/op_put.h"
#include "gateway/op_put_conditions.h"
#include "gateway/op_upload.h"
#include "gateway/op_upload_bytes.h"
#include "gateway/xml_out.h"

/* CopyObject: a second version that names the same body. No byte is read or written, and ETag and
 * checksum are those of the source.
 *
 *	LOOKING (source found under a view) → PROPOSING → answered
 *	    ↑______ the source's version went meanwhile ______|
 *
 * Where the copy is to be encrypted otherwise than the source, its bytes are written anew
 *(COPYING), with digests of their own; then it is proposed as an object that was put.
 */
enum { LOOKING, COPYING, PROPOSING };
enum { TRIES_MAX = 8 };

/* The reading of the source. */
struct copy_read {
	struct request *request;
	struct unpack get;
	bool is_active;
	enum err err;
};

static_assert(sizeof(struct op_upload_bytes) <= REQUEST_TEXT_LEN, "it fits into a text buffer");
static_assert(sizeof(struct copy_read) <= REQUEST_TEXT_LEN, "it fits into a text buffer");

enum directive {
	DIRECTIVE_COPY,
	DIRECTIVE_REPLACE,
};

struct op_copy {
	struct op_copy_source source;
	struct metadata metadata;
	struct op_object_lock lock;
	enum directive metadata_directive, tagging_directive;
	struct conditional_write condition;
	uint64_t invocation;
	unsigned tries;
	struct bytes tags; /* as the copy is to have them */
	uint8_t copied_tags[METADATA_TAGS_LEN_MAX];
	struct sse sse; /* how it is to be encrypted */
	struct checksum checksum; /* of the copy */

	/* COPYING */
	bool is_recoded; /* it is, or was, needed */
	struct copy_read *read; /* in text buffers; NULL: not in use */
	struct op_upload_bytes *bytes;
};

static enum s3_code read_directive(
	struct request *request, const char *name, enum directive *ret_directive)
{
	struct bytes value;
	*ret_directive = DIRECTIVE_COPY;
	if (!request_header(request, name, &value) || bytes_is_text(value, "COPY"))
		return S3_OK;
	if (bytes_is_text(value, "REPLACE")) {
		*ret_directive = DIRECTIVE_REPLACE;
		return S3_OK;
	}
	s3_error_add(&request->error, "ArgumentName", bytes_of(name));
	s3_error_add(&request->error, "ArgumentValue", value);
	return S3_INVALID_ARGUMENT;
}

/* An object copied onto itself, with nothing changed, is a mistake of the client's. */
static enum s3_code refuse_no_change(struct request *request, const struct op_copy *op)
{
	if (op->source.has_version || op->metadata_directive == DIRECTIVE_REPLACE ||
		op->tagging_directive == DIRECTIVE_REPLACE ||
		request_header(request, "x-amz-storage-class", NULL) ||
		request_header(request, "x-amz-website-redirect-location", NULL) ||
		request_header(request, "x-amz-server-side-encryption", NULL) ||
		op->sse.mode == SSE_C || op->source.customer.is_given ||
		!bytes_is_equal(op->source.bucket_name, request->bucket.name) ||
		!bytes_is_equal(op->source.key, request->resource.key))
		return S3_OK;
	request->error.message =
		"This copy request is illegal because it is trying to copy an object to itself "
		"without changing the object's metadata, storage class, website redirect location "
		"or encryption attributes.";
	return S3_INVALID_REQUEST;
}

static enum s3_code prepare(struct request *request, struct op_copy *op)
{
	const struct exchange *x = request->exchange;
	op->bytes = NULL;
	op->read = NULL;
	enum s3_code code = metadata_refuse_headers(request);
	if (code == S3_OK)
		code = op_copy_source_parse(request, &op->source);
	if (code == S3_OK)
		code = read_directive(request, "x-amz-metadata-directive", &op->metadata_directive);
	if (code == S3_OK)
		code = read_directive(request, "x-amz-tagging-directive", &op->tagging_directive);
	if (code == S3_OK)
		code = sse_read(request, &op->sse);
	if (code == S3_OK)
		code = refuse_no_change(request, op);
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
	op->tries = 0;
	op->is_recoded = false;
	return code;
}

/* --- copying bytes ---------------------------------------------------------------------------- */

static void piece_came(struct unpack *get, const uint8_t *data, size_t len)
{
	struct copy_read *read = CONTAINER_OF(get, struct copy_read, get);
	op_upload_bytes_piece(REQUEST_OP(read->request, struct op_copy)->bytes, data, len);
}

static enum err open_key(struct unpack *get, struct bytes encryption, struct frame_key *ret_key)
{
	struct request *request = CONTAINER_OF(get, struct copy_read, get)->request;
	struct op_copy *op = REQUEST_OP(request, struct op_copy);
	return sse_open(request->loop->gateway, &op->source.customer, encryption, ret_key);
}

static void get_ended(struct unpack *get, enum err err)
{
	struct copy_read *read = CONTAINER_OF(get, struct copy_read, get);
	read->is_active = false;
	read->err = err;
	request_advance_soon(read->request);
	request_release(read->request);
}

static void bytes_changed(struct op_upload_bytes *bytes)
{
	struct request *request = bytes->owner;
	request_advance_soon(request);
	if (!bytes->is_put_active)
		request_release(request);
}

/* Under the view in which the source was found. */
static void start_get(struct request *request, struct op_copy *op)
{
	struct unpack_setup setup = {
		.store = request->loop->store,
		.body = op->source.body,
		.len = op->source.len,
		.request_id = request->exchange->request_id,
		.open = open_key,
		.piece = piece_came,
		.done = get_ended,
	};
	op->read->err = ERR_OK;
	if (op->source.len == 0)
		return;
	op->read->get.magic = 0;
	op->read->is_active = true;
	request_hold(request);
	unpack_start(&op->read->get, &setup);
}

/* The checksum that the copy has: as the source, or CRC64NVME. */
static enum checksum_algorithm algorithm_of(const struct op_copy *op)
{
	enum checksum_algorithm algorithm = op->source.checksum.algorithm;
	return algorithm != CHECKSUM_NONE ? algorithm : CHECKSUM_CRC64NVME;
}

/* Under the view in which the source was found. */
static enum s3_code start_copying(struct request *request, struct op_copy *op)
{
	uint8_t *buffers[2];
	if (op->source.len > request->loop->gateway->settings.object_len_max) {
		request->error.message = "The specified copy source is larger than the maximum "
					 "allowable size for a copy source: 5368709120";
		return S3_INVALID_REQUEST;
	}
	if (op->bytes && (op->bytes->is_put_active || op->read->is_active))
		return S3_SLOW_DOWN; /* those of the try before are still being freed */
	/* It holds one of these already, and so does not wait for another. */
	if (!op->bytes && pool_take(&request->loop->text_pool, POOL_64K, 2, buffers) != ERR_OK)
		return S3_SLOW_DOWN;
	if (!op->bytes) {
		op->bytes = memset(buffers[0], 0, sizeof *op->bytes);
		op->read = memset(buffers[1], 0, sizeof *op->read);
	}
	op->bytes->owner = op->read->request = request;
	struct op_upload_bytes_setup setup = {
		.request = request,
		.len = op->source.len,
		.storage_class = request->bucket.class,
		.sse = &op->sse,
		.kinds = DIGEST_MD5 | checksum_s3_digest(algorithm_of(op)),
		.get = &op->read->get,
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
static bool advance_copying(struct request *request, struct op_copy *op)
{
	struct op_upload_bytes *bytes = op->bytes;
	enum err err = op->read->err ? op->read->err : bytes->err;
	if (!err && !request->is_gone)
		return !op->read->is_active && op_upload_bytes_is_ready(bytes);
	op_upload_bytes_drop(bytes);
	if (op->read->is_active)
		unpack_cancel(&op->read->get);
	if (err)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
	else
		request_abandon(request);
	return false;
}

static void fini(struct request *request)
{
	struct op_copy *op = REQUEST_OP(request, struct op_copy);
	pool_give(&request->loop->text_pool, (uint8_t *)op->bytes);
	pool_give(&request->loop->text_pool, (uint8_t *)op->read);
	sse_wipe(&op->source.customer);
	sse_wipe(&op->sse.customer);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* (E3) of sse.h. What asks for nothing is kept as it is. */
static bool must_recode(const struct op_copy *op)
{
	return op->sse.mode == SSE_C || op->source.mode == SSE_C ||
		(op->sse.mode == SSE_S3 && op->source.mode != SSE_S3);
}

/* Tags are read and set by rights of their own. */
static bool may_copy_tags(struct request *request, const struct op_copy *op)
{
	struct authorize_target target = authorize_target_of(request);
	return op->source.may_read_tags && authorize(request, &target, "s3:PutObjectTagging");
}

/* Under a view: the source, and what of it the copy keeps. */
static enum s3_code look(struct request *request, struct op_copy *op)
{
	struct object_info object;
	enum s3_code code = op_copy_source_find(request, &op->source, &object);
	if (code != S3_OK)
		return code;
	struct metadata *metadata = &op->metadata;
	if (op->metadata_directive == DIRECTIVE_COPY) {
		assert(object.row.metadata.len <= sizeof metadata->pairs);
		metadata->len = object.row.metadata.len;
		if (metadata->len > 0)
			memcpy(metadata->pairs, object.row.metadata.data, metadata->len);
	}
	op->tags = metadata_tags(metadata);
	if (op->tagging_directive == DIRECTIVE_COPY) {
		if (object.row.tags.len > sizeof op->copied_tags)
			return S3_INTERNAL_ERROR;
		if (object.row.tags.len > 0 && !may_copy_tags(request, op))
			return S3_ACCESS_DENIED;
		op->tags = bytes_make(op->copied_tags, object.row.tags.len);
		if (op->tags.len > 0)
			memcpy(op->copied_tags, object.row.tags.data, op->tags.len);
	}
	op->checksum = op->source.checksum;
	op->is_recoded = must_recode(op);
	if (op->is_recoded)
		return start_copying(request, op);
	request->step = PROPOSING;
	return S3_OK;
}

/* --- the command ------------------------------------------------------------------------------ */

static void describe(
	struct request *request, struct op_copy *op, struct command_attributes *attributes)
{
	metadata_describe(&op->metadata, attributes);
	attributes->tags = op->tags;
	attributes->class = request->bucket.class;
	op_object_lock_describe(&op->lock, attributes);
}

/* As an object that was put. */
static enum err propose_bytes(struct request *request, struct op_copy *op)
{
	struct command command = {.type = COMMAND_OBJECT_PUT};
	struct command_object_put *put = &command.object_put;
	struct digest_values values;
	enum checksum_algorithm algorithm = algorithm_of(op);
	put->bucket = request->bucket.id;
	put->key = request->resource.key;
	op_put_conditions_command(&op->condition, &put->conditions);
	describe(request, op, &put->attributes);
	put->invocation = op->invocation;
	op_upload_bytes_describe(op->bytes, &put->body);
	command.session = pack_session(&op->bytes->pack);
	digest_stream_final(&op->bytes->stream, &values);
	struct bytes value = digest_value(&values, checksum_s3_digest(algorithm));
	op->checksum = (struct checksum){
		.algorithm = algorithm, .type = CHECKSUM_FULL_OBJECT, .len = value.len};
	memcpy(op->checksum.value, value.data, value.len);
	put->body.checksums[0] = op->checksum;
	if (op->sse.mode == SSE_C) /* (E4) of sse.h */
		random_fill(request->loop->store->store->random, put->body.etag.md5,
			sizeof put->body.etag.md5);
	else
		memcpy(put->body.etag.md5, values.md5, sizeof put->body.etag.md5);
	return request_propose(request, &command);
}

static enum err propose(struct request *request, struct op_copy *op)
{
	if (op->is_recoded)
		return propose_bytes(request, op);
	struct command command = {.type = COMMAND_OBJECT_COPY};
	struct command_object_copy *copy = &command.object_copy;
	copy->source_bucket = op->source.bucket.id;
	copy->source_key = op->source.key;
	copy->source_version = op->source.version;
	copy->source_body = op->source.body;
	copy->bucket = request->bucket.id;
	copy->key = request->resource.key;
	op_put_conditions_command(&op->condition, &copy->conditions);
	describe(request, op, &copy->attributes);
	copy->invocation = op->invocation;
	return request_propose(request, &command);
}

static void answer(struct request *request, struct op_copy *op)
{
	const struct command_result *result = &request->proposal.result;
	const struct checksum *checksum = &op->checksum;
	uint32_t part_count = op->is_recoded ? 0 : op->source.etag.part_count;
	enum sse_mode mode = op->is_recoded ? op->sse.mode : op->source.mode;
	struct response_headers headers = {0};
	op_put_add_version(request, &headers, result->version, result->is_null);
	expiration_add_written(request, &headers, result->version);
	op_copy_source_add_version(request, &op->source, &headers);
	sse_add_headers(request, &headers, mode, &op->sse.customer);

	enum err err = request_take_text(request); /* it has one, and starts anew */
	assert(err == ERR_OK);
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<CopyObjectResult" XML_NAMESPACE "><LastModified>");
	response_put_time(out, result->time_ms);
	text_put_text(out, "</LastModified><ETag>");
	response_put_etag(out, &result->etag);
	text_put_text(out, "</ETag>");
	if (checksum->algorithm != CHECKSUM_NONE) {
		op_upload_put_checksum(out, checksum, part_count);
		xml_element(out, "ChecksumType", bytes_of(checksum_s3_type_name(checksum->type)));
	}
	text_put_text(out, "</CopyObjectResult>");
	request_answer_xml(request, 200, headers.list, headers.count);
}

/* After a result. True: the source is to be looked for again. */
static bool take_result(struct request *request, struct op_copy *op)
{
	const struct command_result *result = &request->proposal.result;
	if (op->is_recoded && op_upload_bytes_settle(op->bytes, &request->proposal))
		request_release(request);
	if (!request_proposal_has_result(request))
		return false;
	if (result->code == COMMAND_OK) {
		answer(request, op);
		return false;
	}
	if (result->code == COMMAND_PRECONDITION)
		conditional_explain_write(&op->condition, &request->error);
	if (result->code == COMMAND_NO_VERSION && ++op->tries < TRIES_MAX)
		return true;
	request_fail_command(request, result);
	return false;
}

static void start_looking(struct request *request, struct op_copy *op)
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

static void advance(struct request *request)
{
	struct op_copy *op = REQUEST_OP(request, struct op_copy);
	if (request->is_proposed) {
		if (!request->is_proposal_done || !take_result(request, op))
			return;
		request->step = LOOKING;
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
	if (request->step == COPYING && request->state == REQUEST_RUNNING &&
		advance_copying(request, op))
		request->step = PROPOSING;
	if (request->step != PROPOSING || request->state != REQUEST_RUNNING)
		return;
	err = propose(request, op);
	if (err) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		if (op->is_recoded)
			op_upload_bytes_drop(op->bytes);
	}
}

void op_copy_start(struct request *request)
{
	struct op_copy *op = REQUEST_OP(request, struct op_copy);
	enum s3_code code = prepare(request, op);
	request->fini = fini;
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->advance = advance;
	request->step = LOOKING;
	request_advance_soon(request);
}
