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
#include "gateway/xml_out.h"

/* CopyObject: a second version that names the same body. No byte is read or written, and ETag and
 * checksum are those of the source.
 *
 *	LOOKING (source found under a view) → PROPOSING → answered
 *	    ↑______ the source's version went meanwhile ______|
 */
enum { LOOKING, PROPOSING };
enum { TRIES_MAX = 8 };

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
	enum s3_code code = metadata_refuse_headers(request);
	if (code == S3_OK)
		code = op_copy_source_parse(request, &op->source);
	if (code == S3_OK)
		code = read_directive(request, "x-amz-metadata-directive", &op->metadata_directive);
	if (code == S3_OK)
		code = read_directive(request, "x-amz-tagging-directive", &op->tagging_directive);
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
	return code;
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
	return S3_OK;
}

static enum err propose(struct request *request, struct op_copy *op)
{
	struct command command = {.type = COMMAND_OBJECT_COPY};
	struct command_object_copy *copy = &command.object_copy;
	copy->source_bucket = op->source.bucket.id;
	copy->source_key = op->source.key;
	copy->source_version = op->source.version;
	copy->source_body = op->source.body;
	copy->bucket = request->bucket.id;
	copy->key = request->resource.key;
	op_put_conditions_command(&op->condition, &copy->conditions);
	copy->attributes.metadata = metadata_pairs(&op->metadata);
	copy->attributes.tags = op->tags;
	copy->attributes.class = request->bucket.class;
	copy->attributes.owner = request->bucket.owner;
	op_object_lock_describe(&op->lock, &copy->attributes);
	copy->invocation = op->invocation;
	return request_propose(request, &command);
}

static void answer(struct request *request, struct op_copy *op)
{
	const struct command_result *result = &request->proposal.result;
	const struct checksum *checksum = &op->source.checksum;
	struct response_headers headers = {0};
	op_put_add_version(request, &headers, result->version, result->is_null);
	expiration_add_written(request, &headers, result->version);
	op_copy_source_add_version(request, &op->source, &headers);

	enum err err = request_take_text(request); /* it has one, and starts anew */
	assert(err == ERR_OK);
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<CopyObjectResult" XML_NAMESPACE "><LastModified>");
	response_put_time(out, result->time_ms);
	text_put_text(out, "</LastModified><ETag>");
	response_put_etag(out, &result->etag);
	text_put_text(out, "</ETag>");
	if (checksum->algorithm != CHECKSUM_NONE) {
		op_upload_put_checksum(out, checksum, op->source.etag.part_count);
		xml_element(out, "ChecksumType", bytes_of(checksum_s3_type_name(checksum->type)));
	}
	text_put_text(out, "</CopyObjectResult>");
	request_answer_xml(request, 200, headers.list, headers.count);
}

static void advance(struct request *request)
{
	struct op_copy *op = REQUEST_OP(request, struct op_copy);
	if (request->step == PROPOSING) {
		if (!request->is_proposal_done || !request_proposal_has_result(request))
			return;
		const struct command_result *result = &request->proposal.result;
		if (result->code == COMMAND_OK) {
			answer(request, op);
			return;
		}
		if (result->code == COMMAND_PRECONDITION)
			conditional_explain_write(&op->condition, &request->error);
		if (result->code != COMMAND_NO_VERSION || ++op->tries == TRIES_MAX) {
			request_fail_command(request, result);
			return;
		}
		request->step = LOOKING;
	}
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	enum s3_code code = S3_OK;
	if (err == ERR_OK)
		err = index_view_begin(request_reader(request));
	if (err == ERR_OK) {
		code = look(request, op);
		index_view_end(request_reader(request));
		if (code == S3_OK)
			err = propose(request, op);
	}
	if (err)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
	else if (code != S3_OK)
		request_fail(request, code);
	else
		request->step = PROPOSING;
}

void op_copy_start(struct request *request)
{
	struct op_copy *op = REQUEST_OP(request, struct op_copy);
	enum s3_code code = prepare(request, op);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->advance = advance;
	request->step = LOOKING;
	request_advance_soon(request);
}
