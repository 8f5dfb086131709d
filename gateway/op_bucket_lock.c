/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_bucket_lock.h"

#include "gateway/op_change.h"
#include "gateway/xml_body.h"
#include "gateway/xml_lock.h"
#include "gateway/xml_out.h"

#define DOCUMENT_LEN_MAX (16u << 10)

struct put_bucket {
	struct op_change change; /* first */
	union {
		struct xml_versioning versioning;
		struct xml_lock_configuration lock;
	};
	uint8_t rule[64]; /* encoded */
};

static_assert(sizeof(struct row_bucket_lock) <= 16, "an encoded rule has room");

static void answer(struct request *request)
{
	request_answer(request, 200, NULL, 0);
}

/* --- versioning ------------------------------------------------------------------------------- */

static enum s3_code make_versioning(struct request *request, struct command *command)
{
	const struct put_bucket *op = REQUEST_OP(request, struct put_bucket);
	bool is_enabled = op->versioning.status == XML_VERSIONING_ENABLED;
	command->type = COMMAND_BUCKET_UPDATE;
	command->bucket_update = (struct command_bucket_update){
		.bucket = request->bucket.id,
		.set = BUCKET_SET_VERSIONING,
		.versioning = is_enabled ? BUCKET_ENABLED : BUCKET_SUSPENDED,
	};
	return S3_OK;
}

static enum s3_code explain_versioning(struct request *request, const struct command_result *result)
{
	if (result->code != COMMAND_LOCKED)
		return S3_OK;
	request->error.message = "An Object Lock configuration is present on this bucket, so the "
				 "versioning state cannot be changed.";
	return S3_INVALID_BUCKET_STATE;
}

static struct xml_in *open_versioning(struct request *request)
{
	struct put_bucket *op = REQUEST_OP(request, struct put_bucket);
	return xml_versioning_init(&op->versioning) == ERR_OK ? &op->versioning.in : NULL;
}

static const struct op_change_parts versioning_parts = {
	DOCUMENT_LEN_MAX, open_versioning, make_versioning, answer, explain_versioning};

void op_bucket_lock_put_versioning(struct request *request)
{
	struct put_bucket *op = REQUEST_OP(request, struct put_bucket);
	if (request_header(request, "x-amz-mfa", NULL)) {
		s3_error_add(&request->error, "Header", bytes_of("x-amz-mfa"));
		request_fail(request, S3_NOT_IMPLEMENTED);
		return;
	}
	op_change_start(request, &op->change, &versioning_parts);
}

/* --- object lock ------------------------------------------------------------------------------ */

static enum s3_code make_lock(struct request *request, struct command *command)
{
	struct put_bucket *op = REQUEST_OP(request, struct put_bucket);
	uint8_t row[ROW_LEN_MAX];
	size_t len = 0;
	if (op->lock.has_rule) {
		len = row_bucket_lock_encode(&op->lock.rule, row);
		assert(len <= sizeof op->rule);
		memcpy(op->rule, row, len);
	}
	command->type = COMMAND_BUCKET_UPDATE;
	command->bucket_update = (struct command_bucket_update){
		.bucket = request->bucket.id,
		.set = BUCKET_SET_LOCK | BUCKET_SET_CONFIG,
		.config_kind = BUCKET_CONFIG_LOCK,
		.config = bytes_make(op->rule, len),
	};
	return S3_OK;
}

static enum s3_code explain_lock(struct request *request, const struct command_result *result)
{
	if (result->code != COMMAND_LOCKED)
		return S3_OK;
	request->error.message =
		"Versioning must be 'Enabled' on the bucket to apply a Object Lock "
		"configuration";
	return S3_INVALID_BUCKET_STATE;
}

static struct xml_in *open_lock(struct request *request)
{
	struct put_bucket *op = REQUEST_OP(request, struct put_bucket);
	return xml_lock_configuration_init(&op->lock) == ERR_OK ? &op->lock.in : NULL;
}

static const struct op_change_parts lock_parts = {
	DOCUMENT_LEN_MAX, open_lock, make_lock, answer, explain_lock};

void op_bucket_lock_put(struct request *request)
{
	struct put_bucket *op = REQUEST_OP(request, struct put_bucket);
	op_change_start(request, &op->change, &lock_parts);
}

static void put_configuration(struct text_out *out, const struct row_bucket_lock *rule)
{
	text_put_text(out,
		XML_DECLARATION "<ObjectLockConfiguration" XML_NAMESPACE
				"><ObjectLockEnabled>Enabled</ObjectLockEnabled>");
	if (rule) {
		bool is_compliance = rule->mode == RETENTION_COMPLIANCE;
		text_put_text(out, "<Rule><DefaultRetention>");
		xml_element(out, "Mode", bytes_of(is_compliance ? "COMPLIANCE" : "GOVERNANCE"));
		xml_element_uint(out, rule->days > 0 ? "Days" : "Years",
			rule->days > 0 ? rule->days : rule->years);
		text_put_text(out, "</DefaultRetention></Rule>");
	}
	text_put_text(out, "</ObjectLockConfiguration>");
}

void op_bucket_lock_get(struct request *request)
{
	struct index_reader *reader = request_reader(request);
	struct row_bucket_lock rule;
	struct bytes config;
	struct text_out out;
	if (!request->bucket.has_lock) {
		request_fail(request, S3_OBJECT_LOCK_NOT_FOUND);
		return;
	}
	enum err err = index_view_begin(reader);
	if (err == ERR_OK) {
		err = index_bucket_config(reader, request->bucket.id, BUCKET_CONFIG_LOCK, &config);
		if (err == ERR_OK)
			err = row_bucket_lock_decode(config, &rule);
		index_view_end(reader);
	}
	if (err != ERR_OK && err != ERR_NOT_FOUND) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		return;
	}
	request_note_begin(request, &out);
	put_configuration(&out, err == ERR_OK ? &rule : NULL);
	request_answer_document(request, request_note_end(request, &out));
}
