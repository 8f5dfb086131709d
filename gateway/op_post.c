/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_post.h"

#include "gateway/digest/base64.h"
#include "gateway/form_file.h"
#include "gateway/form_policy.h"
#include "gateway/metadata_headers.h"
#include "gateway/op_object_lock.h"
#include "gateway/op_put.h"
#include "gateway/post_reply.h"
#include "gateway/request_stranger.h"
#include "gateway/xml_body.h"

/* PostObject: fields, then who may, then the file, then one command.
 *
 *	READING_FIELDS → (the file begins) READING_END → RECEIVING → (durable) PROPOSING → answered
 *	                                 long files ↗
 *
 * (O1) The fields decide who sent the form; until they are all there nothing of it is acted upon,
 *      and no byte of the file goes anywhere.
 * (O2) Fields that are headers of a PUT stand for them: they are judged by the same functions.
 * (O3) request->text has the fields, and behind them the tail of the file (form_file.h). What is
 *      needed later is copied from it, since the command is made there too.
 * (O4) A field may be a customer's key: wherever the form ends, neither the text nor op->sse keeps
 *      it.
 */
enum { READING_FIELDS, READING_END, RECEIVING, PROPOSING };

enum {
	HEADERS_MAX = FORM_FIELDS_MAX + 8,
	REDIRECT_LEN_MAX = 1024,
	READ_LEN = 4 << 10,
};

/* What is needed until the file was read. */
struct post_fields {
	struct form form;
	size_t header_count;
	struct http_header headers[HEADERS_MAX]; /* made of fields */
	char why[512]; /* a policy's refusal */
};

/* request->text (O3). */
enum {
	FIELDS_AT = FORM_HEAD_LEN_MAX + READ_LEN,
	TAIL_AT = REQUEST_TEXT_LEN - FORM_SHORT_LEN_MAX,
};

static_assert(FIELDS_AT % _Alignof(struct post_fields) == 0, "it is aligned there");
static_assert(FIELDS_AT + sizeof(struct post_fields) <= TAIL_AT, "fields and tail have room");
static_assert(FORM_FIELDS_LEN_MAX / 4 * 3 <= FORM_SHORT_LEN_MAX, "a policy is decoded in the tail");

struct op_post {
	struct body body;
	struct metadata metadata;
	struct op_object_lock lock;
	struct form_file file;
	struct checksum checksum;
	struct sse sse;
	bool is_open; /* open_form() was called: the form is there */
	size_t len; /* of what was read into text */
	unsigned status; /* success_action_status */
	struct bytes redirect; /* in target_buf, as the key is */
};

static struct post_fields *fields_of(struct request *request)
{
	return (struct post_fields *)(void *)(request->text + FIELDS_AT);
}

/* --- fields ----------------------------------------------------------------------------------- */

/* Where the tail of the file is kept. */
static uint8_t *tail_of(struct request *request)
{
	return request->text + TAIL_AT;
}

static enum s3_code bad_argument(
	struct request *request, const char *name, struct bytes value, const char *message)
{
	request->error.message = message;
	s3_error_add(&request->error, "ArgumentName", bytes_of(name));
	s3_error_add(&request->error, "ArgumentValue", value);
	return S3_INVALID_ARGUMENT;
}

/* Room behind what the target of the request left of target_buf. */
static uint8_t *room_for(struct request *request, size_t at, size_t len)
{
	size_t used = request->uri.query.len + request->uri.path.len;
	struct bytes host = {0};
	request_header(request, "host", &host);
	used += host.len;
	return used + at + len <= sizeof request->target_buf ? request->target_buf + used + at
							     : NULL;
}

/* The key, with the name of the file where the field says so. */
static enum s3_code take_key(struct request *request)
{
	const struct form *form = &fields_of(request)->form;
	struct bytes mark = bytes_of("${filename}"), text;
	struct text_out out;
	uint8_t *buf = room_for(request, 0, URI_KEY_LEN_MAX);

	if (!buf)
		return S3_INVALID_URI;
	if (!form_find(form, "key", &text))
		return bad_argument(request, "key", (struct bytes){0},
			"Bucket POST must contain a field named 'key'.  If it is specified, please "
			"check the order of the fields.");
	text_out_init(&out, buf, URI_KEY_LEN_MAX);
	while (text.len > 0) {
		bool is_mark = bytes_has_prefix(text, mark);
		text_put_bytes(&out, is_mark ? form->file_name : bytes_make(text.data, 1));
		text = bytes_from(text, is_mark ? mark.len : 1);
	}
	if (out.overflowed) {
		s3_error_add_uint(&request->error, "MaxSizeAllowed", URI_KEY_LEN_MAX);
		return S3_KEY_TOO_LONG;
	}
	request->resource.key = text_out_bytes(&out);
	if (out.len == 0)
		return bad_argument(request, "key", (struct bytes){0},
			"User key must have a length greater than 0.");
	return uri_is_utf8(request->resource.key)
		? S3_OK
		: bad_argument(request, "key", request->resource.key, "A key must be UTF-8.");
}

static bool is_token(struct bytes name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] <= ' ' || name.data[i] >= 0x7f ||
			strchr("\"(),/:;<=>?@[\\]{}", name.data[i]))
			return false;
	return name.len > 0;
}

/* What would end a header, or is none of its characters. */
static bool is_header_value(struct bytes value)
{
	for (size_t i = 0; i < value.len; i++)
		if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
			return false;
	return true;
}

/* The header that a field stands for (O2); empty: none. */
static struct bytes header_of(struct bytes field)
{
	static const char *const plain[] = {"cache-control", "content-disposition",
		"content-encoding", "content-language", "content-md5", "content-type", "expires"};
	static const char *const of_forms[] = {"x-amz-algorithm", "x-amz-credential", "x-amz-date",
		"x-amz-security-token", "x-amz-signature"};
	if (bytes_is_text(field, "acl"))
		return bytes_of("x-amz-acl");
	if (bytes_is_text(field, "tagging"))
		return bytes_of("x-amz-tagging");
	for (size_t i = 0; i < ARRAY_COUNT(plain); i++)
		if (bytes_is_text(field, plain[i]))
			return field;
	for (size_t i = 0; i < ARRAY_COUNT(of_forms); i++)
		if (bytes_is_text(field, of_forms[i]))
			return (struct bytes){0};
	return bytes_has_prefix(field, bytes_of("x-amz-")) ? field : (struct bytes){0};
}

static void add_header(struct post_fields *fields, struct bytes name, struct bytes value)
{
	assert(fields->header_count < HEADERS_MAX);
	fields->headers[fields->header_count++] = (struct http_header){name, value};
}

static enum s3_code make_headers(struct request *request, struct post_fields *fields)
{
	static const char *const kept[] = {
		"host", "origin", "referer", "user-agent", "x-amz-expected-bucket-owner"};
	struct bytes value;

	fields->header_count = 0;
	for (size_t i = 0; i < ARRAY_COUNT(kept); i++)
		if (request_header(request, kept[i], &value))
			add_header(fields, bytes_of(kept[i]), value);
	for (size_t i = 0; i < fields->form.field_count; i++) {
		const struct form_field *field = &fields->form.fields[i];
		struct bytes name = header_of(field->name);
		if (name.len == 0)
			continue;
		value = bytes_trim(field->value, " \t");
		/* A document, which take_tagging() reads; the header says that there are tags. */
		if (bytes_is_text(field->name, "tagging"))
			value = (struct bytes){0};
		if (!is_token(name) || !is_header_value(value))
			return bad_argument(request, "field", name,
				"This field of the form cannot be a header.");
		add_header(fields, name, value);
	}
	return S3_OK;
}

/* The field is a document, that of PutObjectTagging. */
static enum s3_code take_tagging(const struct form *form, struct metadata *metadata)
{
	struct xml_tagging xml;
	uint8_t buf[METADATA_TAGS_MAX * 1536];
	struct bytes text;

	if (!form_find(form, "tagging", &text))
		return S3_OK;
	if (form_find(form, "x-amz-tagging", NULL))
		return S3_INVALID_TAG;
	if (xml_tagging_init(&xml, METADATA_TAGS_MAX, buf, sizeof buf) != ERR_OK)
		return S3_SLOW_DOWN;
	enum s3_code code = xml_in_feed(&xml.in, text);
	if (code == S3_OK)
		code = xml_in_finish(&xml.in);
	for (uint32_t i = 0; i < xml.tag_count && code == S3_OK; i++)
		if (metadata_tag_append(metadata->tags, sizeof metadata->tags, &metadata->tags_len,
			    xml.tags[i].key, xml.tags[i].value) != ERR_OK)
			code = S3_INVALID_TAG;
	xml_in_fini(&xml.in);
	return code;
}

/* What the answer is to be. What is no address or status that S3 knows is passed over, as there. */
static void take_success(struct request *request, struct op_post *op)
{
	const struct form *form = &fields_of(request)->form;
	struct bytes text;
	op->status = 204;
	op->redirect = (struct bytes){0};
	if (form_find(form, "success_action_status", &text))
		op->status = bytes_is_text(text, "200") ? 200
			: bytes_is_text(text, "201")    ? 201
							: 204;
	if (!form_find(form, "success_action_redirect", &text) &&
		!form_find(form, "redirect", &text))
		return;
	uint8_t *buf = room_for(request, URI_KEY_LEN_MAX, REDIRECT_LEN_MAX);
	bool is_good = buf && text.len <= REDIRECT_LEN_MAX &&
		(bytes_has_prefix(text, bytes_of("http://")) ||
			bytes_has_prefix(text, bytes_of("https://")));
	for (size_t i = 0; i < text.len && is_good; i++)
		is_good = text.data[i] > ' ' && text.data[i] < 0x7f;
	if (!is_good)
		return;
	memcpy(buf, text.data, text.len);
	op->redirect = bytes_make(buf, text.len);
}

/* --- who may ---------------------------------------------------------------------------------- */

static struct bytes field_of(const struct form *form, const char *name)
{
	struct bytes value = {0};
	form_find(form, name, &value);
	return value;
}

/* The policy was signed by somebody: what does it say? */
static enum s3_code check_policy(struct request *request, struct op_post *op)
{
	struct post_fields *fields = fields_of(request);
	struct form_policy policy = {
		.form = &fields->form,
		.bucket = request->bucket.name,
		.key = request->resource.key,
		.now_ms = request->now_ms,
	};
	size_t len;
	enum s3_code code = S3_INVALID_POLICY_DOCUMENT;
	if (request->auth.is_anonymous)
		return S3_OK;
	if (base64_decode(request->auth.form_policy, tail_of(request), FORM_SHORT_LEN_MAX, &len) !=
		ERR_OK) {
		request->error.message = "Invalid Policy: Invalid Base64 Encoding.";
		return code;
	}
	code = form_policy_check(&policy, bytes_make(tail_of(request), len));
	if (code != S3_OK) {
		static_assert(sizeof fields->why >= sizeof policy.message, "room for the message");
		memcpy(fields->why, policy.message, policy.message_len + 1);
		request->error.message = fields->why;
		return code;
	}
	op->file.len_min = policy.len_min;
	op->file.len_max = policy.len_max;
	if (!op->file.is_long || op->file.sure_len <= policy.len_max)
		return S3_OK;
	s3_error_add_uint(&request->error, "ProposedSize", op->file.sure_len);
	s3_error_add_uint(&request->error, "MaxSizeAllowed", policy.len_max);
	return S3_ENTITY_TOO_LARGE;
}

static enum s3_code admit(struct request *request, struct op_post *op)
{
	const struct form *form = &fields_of(request)->form;
	struct bytes bucket;
	const struct sigv4_form claims = {
		.policy = field_of(form, "policy"),
		.algorithm = field_of(form, "x-amz-algorithm"),
		.credential = field_of(form, "x-amz-credential"),
		.date = field_of(form, "x-amz-date"),
		.signature = field_of(form, "x-amz-signature"),
		.v2_key_id = field_of(form, "awsaccesskeyid"),
		.v2_signature = field_of(form, "signature"),
		.session_token = field_of(form, "x-amz-security-token"),
	};
	enum s3_code code = request_admit_form(request, &claims);
	if (code == S3_OK)
		code = check_policy(request, op);
	if (code == S3_OK && form_find(form, "bucket", &bucket) &&
		!bytes_is_equal(bucket, request->bucket.name))
		code = S3_ACCESS_DENIED;
	return code;
}

/* --- the body --------------------------------------------------------------------------------- */

static enum s3_code read_fields(struct request *request, struct op_post *op)
{
	enum s3_code code = metadata_refuse_headers(request);
	if (code == S3_OK)
		code = metadata_read_headers(request, &op->metadata);
	if (code == S3_OK)
		code = metadata_read_tags(request, &op->metadata);
	if (code == S3_OK)
		code = take_tagging(&fields_of(request)->form, &op->metadata);
	if (code == S3_OK)
		code = op_object_lock_read_headers(request, &op->lock);
	if (code == S3_OK)
		code = sse_read(request, &op->sse);
	take_success(request, op);
	return code;
}

/* Calls a function while the fields stand for the headers (O2). */
static enum s3_code with_fields(
	struct request *request, enum s3_code (*judge)(struct request *request, struct op_post *op))
{
	struct op_post *op = REQUEST_OP(request, struct op_post);
	const struct post_fields *fields = fields_of(request);
	struct exchange *x = request->exchange;
	const struct http_header *headers = x->headers;
	size_t header_count = x->header_count;

	x->headers = fields->headers;
	x->header_count = fields->header_count;
	enum s3_code code = judge(request, op);
	x->headers = headers;
	x->header_count = header_count;
	return code;
}

static enum s3_code judge_fields(struct request *request, struct op_post *op)
{
	enum s3_code code = admit(request, op);
	return code == S3_OK ? read_fields(request, op) : code;
}

/* All fields are there (O1). */
static enum s3_code judge(struct request *request, struct op_post *op)
{
	struct post_fields *fields = fields_of(request);
	size_t file_at = fields->form.file_at;
	struct bytes staged = bytes_make(request->text + file_at, op->len - file_at);

	form_file_init(&op->file, request->exchange, &fields->form, staged, tail_of(request));
	enum s3_code code = take_key(request);
	if (code == S3_OK)
		code = make_headers(request, fields);
	return code == S3_OK ? with_fields(request, judge_fields) : code;
}

static enum s3_code start_body(struct request *request, struct op_post *op)
{
	struct body_setup setup = {
		.wants_crc64 = true, .storage_class = request->bucket.class, .sse = &op->sse};
	request->form_file = &op->file;
	enum s3_code code = body_start(&op->body, request, &setup);
	explicit_bzero(op->sse.customer.key, sizeof op->sse.customer.key);
	return code;
}

/* More of the fields. ERR_BUSY; ERR_OK, the file begins; any other: *ret_code. */
static enum err read_form(struct request *request, struct op_post *op, enum s3_code *ret_code)
{
	struct exchange *x = request->exchange;
	struct form *form = &fields_of(request)->form;
	size_t len;

	for (;;) {
		enum err err = exchange_read(x, request->text + op->len, READ_LEN, &len);
		if (err == ERR_BUSY)
			return err;
		if (err != ERR_OK) {
			*ret_code = err == ERR_TIMEOUT ? S3_REQUEST_TIMEOUT
				: err == ERR_END       ? S3_MALFORMED_POST_REQUEST
						       : S3_INCOMPLETE_BODY;
			return err;
		}
		op->len += len;
		switch (form_feed(form, request->text, op->len)) {
		case FORM_FILE:
			return ERR_OK;
		case FORM_MORE:
			break;
		case FORM_END:
			*ret_code = bad_argument(request, "file", bytes_of("0"),
				s3_error_message(S3_INCORRECT_NUMBER_OF_FILES));
			return ERR_INVALID;
		case FORM_BAD:
			request->error.message = form->message;
			*ret_code = form->code;
			return ERR_INVALID;
		}
	}
}

/* What can be refused before a byte of the body. */
static enum s3_code open_form(struct request *request)
{
	struct bytes type = {0};
	request_header(request, "content-type", &type);
	enum s3_code code = form_init(&fields_of(request)->form, type);
	if (code == S3_PRECONDITION_FAILED)
		s3_error_add(&request->error, "Condition",
			bytes_of("Bucket POST must be of the enclosure-type multipart/form-data"));
	if (code != S3_OK)
		return code;
	if (!request->auth.is_anonymous) {
		request->error.message = "A form is signed by its own fields, and nothing else.";
		return S3_INVALID_ARGUMENT;
	}
	if (request->auth.payload != SIGV4_PAYLOAD_UNSIGNED)
		return S3_INVALID_REQUEST;
	return request->exchange->has_body_len ? S3_OK : S3_MISSING_CONTENT_LENGTH;
}

static void advance_fields(struct request *request, struct op_post *op)
{
	enum s3_code code = S3_OK;
	enum err err = request_take_text(request);
	if (err != ERR_OK) {
		code = s3_error_from_err(err, S3_INTERNAL_ERROR);
	} else {
		if (!op->is_open)
			code = open_form(request);
		op->is_open = true;
		err = code == S3_OK ? read_form(request, op, &code) : ERR_INVALID;
	}
	if (err == ERR_BUSY)
		code = request_stranger_wait(request);
	if (err == ERR_OK)
		code = judge(request, op);
	if (code != S3_OK)
		request_fail(request, code);
	else if (err == ERR_OK)
		request->step = READING_END;
}

/* How long a short file is must be known before it is written; a long one can be begun. */
static void advance_end(struct request *request, struct op_post *op)
{
	enum s3_code code = S3_OK;
	if (!op->file.is_long) {
		enum err err = form_file_end(&op->file, &request->error, &code);
		if (err == ERR_BUSY)
			return;
	}
	if (code == S3_OK)
		code = with_fields(request, start_body);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->step = RECEIVING;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void answer(struct request *request, struct op_post *op)
{
	const struct command_result *result = &request->proposal.result;
	struct response_headers headers = {0};
	struct text_out out;

	op_put_add_etag(request, &headers, &result->etag);
	op_put_add_version(request, &headers, result->version, result->is_null);
	op_put_add_checksum(request, &headers, &op->checksum, 0, true);
	sse_add_headers(request, &headers, op->sse.mode, &op->sse.customer);
	request_note_begin(request, &out);
	if (op->redirect.len > 0)
		post_reply_put_redirect(request, op->redirect, &result->etag, &out);
	else
		post_reply_put_location(request, &out);
	struct bytes location = request_note_end(request, &out);
	if (location.len > 0)
		response_add(&headers, "location", location);
	if (op->redirect.len > 0) {
		request_answer(request, 303, headers.list, headers.count);
	} else if (op->status == 201) {
		text_out_init(&request->out, request->text, REQUEST_TEXT_LEN);
		post_reply_put_document(request, &result->etag, location);
		request_answer_xml(request, 201, headers.list, headers.count);
	} else {
		request_answer(request, op->status, headers.list, headers.count);
	}
}

static void finish(struct request *request, struct op_post *op)
{
	const struct command_result *result = &request->proposal.result;
	body_settle(&op->body);
	if (!request_proposal_has_result(request))
		return;
	if (result->code == COMMAND_OK)
		answer(request, op);
	else
		request_fail_command(request, result);
}

static enum err propose(struct request *request)
{
	struct op_post *op = REQUEST_OP(request, struct op_post);
	struct command command = {.type = COMMAND_OBJECT_PUT};
	struct command_object_put *put = &command.object_put;
	put->bucket = request->bucket.id;
	put->key = request->resource.key;
	metadata_describe(&op->metadata, &put->attributes);
	put->attributes.class = request->bucket.class;
	op_object_lock_describe(&op->lock, &put->attributes);
	body_describe(&op->body, &put->body);
	command.session = body_session(&op->body);
	op->checksum = put->body.checksums[0];
	return request_propose(request, &command);
}

static void advance(struct request *request)
{
	struct op_post *op = REQUEST_OP(request, struct op_post);
	if (request->is_gone && request->step < RECEIVING) {
		request_abandon(request);
		return;
	}
	if (request->step == READING_FIELDS)
		advance_fields(request, op);
	if (request->step == READING_END && request->state == REQUEST_RUNNING)
		advance_end(request, op);
	if (request->step == RECEIVING && request->state == REQUEST_RUNNING &&
		op_put_receive(request, &op->body, propose))
		request->step = PROPOSING;
	else if (request->step == PROPOSING && request->is_proposal_done)
		finish(request, op);
}

/* (O4) */
static void fini(struct request *request)
{
	struct op_post *op = REQUEST_OP(request, struct op_post);
	sse_wipe(&op->sse.customer);
	if (request->text)
		explicit_bzero(request->text, REQUEST_TEXT_LEN);
}

void op_post_start(struct request *request)
{
	struct op_post *op = REQUEST_OP(request, struct op_post);
	op->is_open = false;
	op->len = 0;
	request->fini = fini;
	request->advance = advance;
	request->step = READING_FIELDS;
	request_advance_soon(request);
}
