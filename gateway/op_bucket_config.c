/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_bucket_config.h"

#include "gateway/bucket_config.h"
#include "gateway/request_document.h"
#include "gateway/xml_out.h"

/* Configurations of buckets: documents in and out, one command of the index in between.
 *
 *	put:    READING (the document) → PROPOSING → answered
 *	delete: LOOKING (is there one?) → PROPOSING → answered
 *
 * What is there counts from the answer on: the command raises the bucket's change_count, by which
 * every loop of every node knows that what it has parsed is old (bucket_rules.h). */
struct config_put {
	struct request_document document;
	bool has_document;
	bool is_read;
	struct bytes blob; /* in parse */
	struct bucket_config_parse parse;
};

static enum bucket_config kind_of(const struct request *request)
{
	assert(request->route->config != 0);
	return request->route->config;
}

/* A public policy is set where none is blocked: under no other change than was looked at. */
static uint64_t guard_of(const struct request *request, const struct bucket_config_parse *parse)
{
	return parse->is_public ? request->bucket.change_count : 0;
}

/* --- get -------------------------------------------------------------------------------------- */

static void answer_document(struct request *request)
{
	struct http_header type = {.name = bytes_of("content-type"),
		.value = bytes_of(bucket_config_type(kind_of(request)))};
	request_begin(request, 200, &type, 1, true, request->out.len);
	request_send(request, request->out.buf, request->out.len, true);
}

/* A document that stands for nothing, where that is not an error: a format byte and no more. */
static struct bytes empty_of(enum bucket_config kind)
{
	static const uint8_t format[] = {NOTICE_FORMAT};
	return bytes_make(format, kind == BUCKET_CONFIG_NOTIFICATION ? sizeof format : 0);
}

static void advance_get(struct request *request)
{
	struct index_reader *reader = request_reader(request);
	struct bytes blob;

	if (request->is_gone) {
		request_abandon(request);
		return;
	}
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	if (err == ERR_OK)
		err = index_view_begin(reader);
	if (err == ERR_OK) {
		err = index_bucket_config(reader, request->bucket.id, kind_of(request), &blob);
		if (err == ERR_NOT_FOUND && empty_of(kind_of(request)).len > 0) {
			blob = empty_of(kind_of(request));
			err = ERR_OK;
		}
		if (err == ERR_OK)
			err = bucket_config_render(kind_of(request), blob, &request->out);
		index_view_end(reader);
	}
	if (err != ERR_OK)
		request_fail_err(request, err, request->route->missing);
	else if (request->out.overflowed)
		request_fail(request, S3_INTERNAL_ERROR);
	else
		answer_document(request);
}

void op_bucket_config_get(struct request *request)
{
	request->advance = advance_get;
	advance_get(request);
}

/* --- the command ------------------------------------------------------------------------------ */

static enum err propose(struct request *request, struct bytes blob, uint64_t guard)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	struct command_bucket_update *update = &command.bucket_update;
	if (kind_of(request) == BUCKET_CONFIG_NOTIFICATION) {
		command.type = COMMAND_BUCKET_NOTIFY;
		command.bucket_notify = (struct command_bucket_notify){
			.bucket = request->bucket.id, .change_count = guard, .config = blob};
		return request_propose(request, &command);
	}
	update->bucket = request->bucket.id;
	update->change_count = guard;
	update->set = BUCKET_SET_CONFIG;
	update->config_kind = kind_of(request);
	update->config = blob;
	return request_propose(request, &command);
}

static void answer(struct request *request, unsigned status)
{
	const struct command_result *result = &request->proposal.result;
	if (!request->is_proposal_done || !request_proposal_has_result(request))
		return;
	if (result->code == COMMAND_OK)
		request_answer(request, status, NULL, 0);
	else if (result->code == COMMAND_STALE)
		request_fail(request, S3_OPERATION_ABORTED);
	else
		request_fail_command(request, result);
}

/* --- delete ----------------------------------------------------------------------------------- */

/* Is there one? ERR_NOT_FOUND. */
static enum err look(struct request *request)
{
	struct bytes blob;
	enum err err = index_view_begin(request_reader(request));
	if (err != ERR_OK)
		return err;
	err = index_bucket_config(
		request_reader(request), request->bucket.id, kind_of(request), &blob);
	index_view_end(request_reader(request));
	return err;
}

static void advance_delete(struct request *request)
{
	if (request->is_proposed) {
		answer(request, 204);
		return;
	}
	if (request->is_gone) {
		request_abandon(request);
		return;
	}
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	if (err == ERR_OK)
		err = look(request);
	if (err == ERR_NOT_FOUND) {
		request_answer(request, 204, NULL, 0);
		return;
	}
	if (err == ERR_OK)
		err = propose(request, (struct bytes){0}, 0);
	if (err != ERR_OK)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
}

void op_bucket_config_delete(struct request *request)
{
	request->advance = advance_delete;
	advance_delete(request);
}

/* --- put -------------------------------------------------------------------------------------- */

static enum s3_code feed(struct request_document *document, struct bytes piece)
{
	return bucket_config_parse_feed(
		&CONTAINER_OF(document, struct config_put, document)->parse, piece);
}

static void fini_put(struct request *request)
{
	struct config_put *put = REQUEST_OP(request, struct config_put);
	if (put->has_document)
		request_document_fini(&put->document);
	bucket_config_parse_fini(&put->parse);
}

static void add_argument(struct request *request, const struct xml_notification *body)
{
	if (!body->argument_name)
		return;
	s3_error_add(&request->error, "ArgumentName", bytes_of(body->argument_name));
	s3_error_add_copy(
		&request->error, "ArgumentValue", bytes_make(body->argument, body->argument_len));
}

/* Which webhooks a document may name: also one that asks not to have its destinations validated
 * (x-amz-skip-destination-validation), since those are not sought out, only looked up, and notices
 * for nobody would be kept for nothing. */
static void name_webhooks(struct request *request, struct xml_notification *body)
{
	const struct gateway_settings *settings = &request->loop->gateway->settings;
	body->webhooks = settings->webhooks;
	body->webhook_count = settings->webhook_count;
}

/* ERR_BUSY: more of it is to come. */
static enum err read_put(struct request *request, struct config_put *put, enum s3_code *ret_code)
{
	enum err err = request_document_read(&put->document, ret_code);
	if (err == ERR_BUSY)
		return err;
	if (err == ERR_OK && put->document.body.taken_len == 0)
		*ret_code = S3_MISSING_REQUEST_BODY;
	else if (err == ERR_OK)
		*ret_code = bucket_config_parse_finish(&put->parse, &put->blob);
	if (*ret_code != S3_OK && put->parse.message)
		request->error.message = put->parse.message;
	if (*ret_code != S3_OK && kind_of(request) == BUCKET_CONFIG_WEBSITE &&
		put->parse.xml.website.argument_name)
		s3_error_add(&request->error, "ArgumentName",
			bytes_of(put->parse.xml.website.argument_name));
	if (*ret_code != S3_OK && kind_of(request) == BUCKET_CONFIG_NOTIFICATION)
		add_argument(request, &put->parse.xml.notification);
	return *ret_code == S3_OK ? ERR_OK : ERR_INVALID;
}

/* What the bucket does not let itself be given. */
static enum s3_code check_public(const struct request *request, const struct config_put *put)
{
	const struct bucket_rules *rules = request->rules;
	bool is_blocked = rules && rules->public_access & BUCKET_BLOCK_PUBLIC_POLICY;
	bool ends_acls = kind_of(request) == BUCKET_CONFIG_OWNERSHIP && put->blob.len == 2 &&
		put->blob.data[1] == BUCKET_OWNER_ENFORCED;
	if (ends_acls && bucket_rules_acl(rules).len > 0)
		return S3_INVALID_BUCKET_ACL;
	return put->parse.is_public && is_blocked ? S3_ACCESS_DENIED : S3_OK;
}

/* What cannot be given back later is not taken. */
static enum s3_code check_room(struct request *request, struct config_put *put)
{
	if (put->blob.len == 0)
		return S3_OK;
	if (bucket_config_render(kind_of(request), put->blob, &request->out) != ERR_OK)
		return S3_INTERNAL_ERROR;
	return request->out.overflowed ? S3_MAX_MESSAGE_LENGTH_EXCEEDED : S3_OK;
}

static unsigned status_of(enum bucket_config kind)
{
	return kind == BUCKET_CONFIG_TAGS || kind == BUCKET_CONFIG_POLICY ? 204 : 200;
}

static void advance_put(struct request *request)
{
	struct config_put *put = REQUEST_OP(request, struct config_put);
	enum s3_code code = S3_OK;

	if (request->is_proposed) {
		answer(request, status_of(kind_of(request)));
		return;
	}
	if (request->is_gone) {
		request_abandon(request);
		return;
	}
	if (!put->is_read) {
		enum err err = read_put(request, put, &code);
		if (err == ERR_BUSY)
			return;
		put->is_read = true;
	}
	if (code == S3_OK) {
		enum err err = request_take_text(request);
		if (err == ERR_BUSY)
			return;
		if (err == ERR_OK)
			code = check_public(request, put);
		if (err == ERR_OK && code == S3_OK)
			code = check_room(request, put);
		if (err == ERR_OK && code == S3_OK)
			err = propose(request, put->blob, guard_of(request, &put->parse));
		if (err != ERR_OK)
			code = s3_error_from_err(err, S3_INTERNAL_ERROR);
	}
	if (code != S3_OK)
		request_fail(request, code);
}

void op_bucket_config_put(struct request *request)
{
	struct config_put *put = REQUEST_OP(request, struct config_put);
	put->has_document = put->is_read = false;
	enum s3_code code = bucket_config_parse_init(
		&put->parse, kind_of(request), request->bucket.name);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	if (kind_of(request) == BUCKET_CONFIG_NOTIFICATION)
		name_webhooks(request, &put->parse.xml.notification);
	request->fini = fini_put;
	request->advance = advance_put;
	put->has_document = true;
	code = request_document_init(&put->document, request, BUCKET_CONFIG_DOCUMENT_LEN_MAX, feed);
	if (code != S3_OK)
		request_fail(request, code);
	else
		advance_put(request);
}

/* --- what it comes to ------------------------------------------------------------------------- */

void op_bucket_config_policy_status(struct request *request)
{
	const struct bucket_rules *rules = request->rules;
	struct text_out out;

	if (!rules || !rules->policy) {
		bool is_unreadable = rules && rules->is_policy_unreadable;
		request_fail(request, is_unreadable ? S3_INTERNAL_ERROR : S3_NO_SUCH_BUCKET_POLICY);
		return;
	}
	request_note_begin(request, &out);
	text_put_text(&out, XML_DECLARATION "<PolicyStatus" XML_NAMESPACE ">");
	xml_element_bool(&out, "IsPublic", policy_is_public(rules->policy));
	xml_close(&out, "PolicyStatus");
	request_answer_document(request, request_note_end(request, &out));
}
