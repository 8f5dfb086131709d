/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_acl.h"

#include "gateway/op_change.h"
#include "gateway/op_get_plan.h"
#include "gateway/op_put.h"
#include "gateway/op_stub.h"

#define DOCUMENT_LEN_MAX (64u << 10)

struct op_acl {
	struct op_change change; /* first */
	struct response_headers headers;
	struct version_id version;
	bool is_null;
	struct acl acl;
	struct acl_document document;
};

static const struct {
	const char *name;
	enum acl_permission permission;
} grant_headers[] = {
	{"x-amz-grant-read", ACL_READ},
	{"x-amz-grant-write", ACL_WRITE},
	{"x-amz-grant-read-acp", ACL_READ_ACP},
	{"x-amz-grant-write-acp", ACL_WRITE_ACP},
	{"x-amz-grant-full-control", ACL_FULL_CONTROL},
};

/* --- headers ---------------------------------------------------------------------------------- */

bool op_acl_has_grants(const struct request *request)
{
	for (size_t i = 0; i < ARRAY_COUNT(grant_headers); i++)
		if (request_header(request, grant_headers[i].name, NULL))
			return true;
	return false;
}

bool op_acl_has_headers(const struct request *request)
{
	return request_header(request, "x-amz-acl", NULL) || op_acl_has_grants(request);
}

struct bytes op_acl_object_owner(const struct request *request)
{
	const struct bucket_rules *rules = request->rules;
	struct bytes writer = auth_owner(&request->principal), canned;
	bool is_given = request_header(request, "x-amz-acl", &canned) &&
		bytes_is_text(canned, "bucket-owner-full-control");
	if (!bucket_rules_has_acls(rules) || writer.len == 0 ||
		(rules->ownership == BUCKET_OWNER_PREFERRED && is_given))
		return request->bucket.owner;
	return writer;
}

static enum s3_code read_grants(struct request *request, struct acl *acl)
{
	struct bytes value;
	acl_init(acl);
	for (size_t i = 0; i < ARRAY_COUNT(grant_headers); i++) {
		if (!request_header(request, grant_headers[i].name, &value))
			continue;
		enum s3_code code = acl_add_header(acl, grant_headers[i].permission, value);
		if (code != S3_OK) {
			s3_error_add(
				&request->error, "ArgumentName", bytes_of(grant_headers[i].name));
			s3_error_add(&request->error, "ArgumentValue", value);
			return code;
		}
	}
	return S3_OK;
}

/* What the bucket does not let itself, or what is in it, be given. */
static enum s3_code check_public(const struct request *request, const struct acl *acl)
{
	const struct bucket_rules *rules = request->rules;
	bool is_blocked = rules && rules->public_access & BUCKET_BLOCK_PUBLIC_ACLS;
	return is_blocked && acl_is_public(acl_bytes(acl)) ? S3_ACCESS_DENIED : S3_OK;
}

enum s3_code op_acl_parse_headers(
	struct request *request, struct bytes owner, struct bytes bucket_owner, struct acl *ret_acl)
{
	struct bytes canned;
	acl_init(ret_acl);
	bool has_canned = request_header(request, "x-amz-acl", &canned);
	if (has_canned && op_acl_has_grants(request)) {
		request->error.message =
			"Specifying both Canned ACLs and Header Grants is not allowed";
		return S3_INVALID_REQUEST;
	}
	if (!has_canned)
		return read_grants(request, ret_acl);
	enum s3_code code = acl_make_canned(ret_acl, canned, owner, bucket_owner);
	if (code != S3_OK) {
		s3_error_add(&request->error, "ArgumentName", bytes_of("x-amz-acl"));
		s3_error_add(&request->error, "ArgumentValue", canned);
	}
	return code;
}

/* May it be set now? */
static enum s3_code check_list(struct request *request, const struct acl *acl)
{
	const struct index *index = request->loop->gateway->store->index;
	enum s3_code code = check_public(request, acl);
	if (code != S3_OK || acl->len == 0 ||
		index_known_command_version(index) >= COMMAND_ACL_VERSION)
		return code;
	request->error.message = "Not all nodes know ACLs yet.";
	return S3_SERVICE_UNAVAILABLE;
}

enum s3_code op_acl_read_headers(
	struct request *request, struct bytes owner, struct bytes bucket_owner, struct acl *ret_acl)
{
	acl_init(ret_acl);
	if (!bucket_rules_has_acls(request->rules))
		return op_stub_check_acl(request);
	enum s3_code code = op_acl_parse_headers(request, owner, bucket_owner, ret_acl);
	return code == S3_OK ? check_list(request, ret_acl) : code;
}

/* --- get -------------------------------------------------------------------------------------- */

static void answer_document(struct request *request, struct text_out *out)
{
	if (out->overflowed)
		request_fail(request, S3_INTERNAL_ERROR);
	else
		request_answer_document(request, request_note_end(request, out));
}

void op_acl_get_bucket(struct request *request)
{
	struct text_out out;
	if (!bucket_rules_has_acls(request->rules)) {
		op_stub_bucket_acl(request);
		return;
	}
	request_note_begin(request, &out);
	acl_put_document(&out, request->bucket.owner, bucket_rules_acl(request->rules));
	answer_document(request, &out);
}

void op_acl_get_object(struct request *request)
{
	struct response_headers headers = {0};
	struct object_info object;
	struct text_out out;

	if (!bucket_rules_has_acls(request->rules)) {
		op_stub_object_acl(request);
		return;
	}
	enum err err = index_view_begin(request_reader(request));
	if (err != ERR_OK) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		return;
	}
	enum s3_code code = op_get_find_object(request, &headers, &object);
	request_note_begin(request, &out);
	if (code == S3_OK)
		acl_put_document(&out, object.row.owner, object.row.acl);
	index_view_end(request_reader(request));
	if (code != S3_OK)
		request_fail_with(request, code, headers.list, headers.count);
	else
		answer_document(request, &out);
}

/* --- put -------------------------------------------------------------------------------------- */

static struct xml_in *open_document(struct request *request)
{
	struct op_acl *op = REQUEST_OP(request, struct op_acl);
	return acl_document_init(&op->document) == ERR_OK ? &op->document.in : NULL;
}

/* The list, from the document or the headers. */
static enum s3_code take_list(
	struct request *request, struct op_acl *op, struct bytes owner, struct bytes bucket_owner)
{
	if (op_acl_has_headers(request))
		return op_acl_read_headers(request, owner, bucket_owner, &op->acl);
	op->acl = op->document.acl;
	return check_list(request, &op->acl);
}

static enum s3_code make_object(struct request *request, struct command *command)
{
	struct op_acl *op = REQUEST_OP(request, struct op_acl);
	struct object_info object;
	op->change.headers = &op->headers;
	enum s3_code code = op_get_find_object(request, &op->headers, &object);
	if (code == S3_OK)
		code = take_list(request, op, object.row.owner, request->bucket.owner);
	if (code != S3_OK)
		return code;
	op->version = object.version;
	op->is_null = object.row.is_null;
	command->type = COMMAND_OBJECT_UPDATE;
	command->object_update = (struct command_object_update){
		.bucket = request->bucket.id,
		.key = request->resource.key,
		.version = object.version,
		.set = OBJECT_SET_ACL,
		.acl = acl_bytes(&op->acl),
	};
	return S3_OK;
}

static enum s3_code make_bucket(struct request *request, struct command *command)
{
	struct op_acl *op = REQUEST_OP(request, struct op_acl);
	enum s3_code code = take_list(request, op, request->bucket.owner, (struct bytes){0});
	if (code != S3_OK)
		return code;
	command->type = COMMAND_BUCKET_UPDATE;
	command->bucket_update = (struct command_bucket_update){
		.bucket = request->bucket.id,
		.set = BUCKET_SET_CONFIG,
		.config_kind = BUCKET_CONFIG_ACL,
		.config = acl_bytes(&op->acl),
	};
	return S3_OK;
}

static void answer_object(struct request *request)
{
	const struct op_acl *op = REQUEST_OP(request, struct op_acl);
	struct response_headers headers = {0};
	op_put_add_version(request, &headers, op->version, op->is_null);
	request_answer(request, 200, headers.list, headers.count);
}

static void answer_bucket(struct request *request)
{
	request_answer(request, 200, NULL, 0);
}

static void start_put(struct request *request, const struct op_change_parts *by_document,
	const struct op_change_parts *by_headers)
{
	struct op_acl *op = REQUEST_OP(request, struct op_acl);
	bool has_headers = op_acl_has_headers(request);
	if (!bucket_rules_has_acls(request->rules)) {
		op_stub_put_acl(request);
		return;
	}
	op->headers.count = 0;
	op_change_start(request, &op->change, has_headers ? by_headers : by_document);
}

void op_acl_put_object(struct request *request)
{
	static const struct op_change_parts by_document = {
		DOCUMENT_LEN_MAX, open_document, make_object, answer_object, NULL};
	static const struct op_change_parts by_headers = {
		0, NULL, make_object, answer_object, NULL};
	start_put(request, &by_document, &by_headers);
}

void op_acl_put_bucket(struct request *request)
{
	static const struct op_change_parts by_document = {
		DOCUMENT_LEN_MAX, open_document, make_bucket, answer_bucket, NULL};
	static const struct op_change_parts by_headers = {
		0, NULL, make_bucket, answer_bucket, NULL};
	start_put(request, &by_document, &by_headers);
}
