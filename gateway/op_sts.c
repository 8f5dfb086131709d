/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary credentials (session_token.h) for those who have others.
 *
 * Roles are not kept: RoleArn is taken and not looked at, and a session is the principal that asked
 * for it, narrowed by the policy it asked for. Who is a session itself gets no other.
 */
#include "gateway/op_sts.h"

#include "gateway/digest/hex.h"
#include "gateway/request_document.h"
#include "gateway/request_stranger.h"
#include "gateway/response.h"
#include "gateway/session_token.h"
#include "gateway/xml_out.h"

enum { FORM_LEN_MAX = 12 << 10 };
#define NAMESPACE " xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\""

const struct route op_sts_route = {
	.operation = "SecurityTokenService",
	.action = "sts:AssumeRole",
	.method = HTTP_POST,
	.scope = ROUTE_SERVICE,
	.support = ROUTE_YES,
	.body = ROUTE_BODY_XML,
	.start = op_sts_start,
};

struct op {
	struct request_document document;
	struct query form; /* in decoded */
	bool is_read;
	size_t len;
	uint8_t text[FORM_LEN_MAX];
	uint8_t decoded[FORM_LEN_MAX];
	char digest[2 * SHA256_LEN + 1];
	char token[SESSION_TOKEN_LEN_MAX + 1];
};

bool op_sts_is_meant(const struct request *request)
{
	struct bytes type;
	return request->exchange->method == HTTP_POST && request->resource.bucket.len == 0 &&
		request_header(request, "content-type", &type) &&
		bytes_has_prefix(type, bytes_of("application/x-www-form-urlencoded"));
}

/* --- answers ---------------------------------------------------------------------------------- */

static void put_request_id(struct request *request)
{
	xml_element(
		&request->out, "RequestId", bytes_make(request->id_text, sizeof request->id_text));
}

static void fail(struct request *request, unsigned status, const char *code, const char *message)
{
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<ErrorResponse" NAMESPACE "><Error><Type>");
	text_put_text(out, status < 500 ? "Sender" : "Receiver");
	text_put_text(out, "</Type>");
	xml_element(out, "Code", bytes_of(code));
	xml_element(out, "Message", bytes_of(message));
	text_put_text(out, "</Error>");
	put_request_id(request);
	text_put_text(out, "</ErrorResponse>");
	request_answer_xml(request, status, NULL, 0);
}

static void fail_code(struct request *request, enum s3_code code)
{
	static const struct {
		enum s3_code code;
		unsigned status;
		const char *name, *message;
	} others[] = {
		{S3_INVALID_ACCESS_KEY_ID, 403, "InvalidClientTokenId",
			"The security token included in the request is invalid."},
		{S3_INVALID_TOKEN, 403, "InvalidClientTokenId",
			"The security token included in the request is invalid."},
		{S3_EXPIRED_TOKEN, 403, "ExpiredToken",
			"The security token included in the request is expired"},
		{S3_ACCESS_DENIED, 403, "AccessDenied", "Access denied"},
		{S3_REQUEST_TIME_TOO_SKEWED, 403, "SignatureDoesNotMatch",
			"Signature expired or not yet current: look at the clock."},
		{S3_AUTHORIZATION_HEADER_MALFORMED, 400, "IncompleteSignature",
			"The credential is not one of the service sts, or of another day."},
	};
	const char *message = request->error.message;
	for (size_t i = 0; i < ARRAY_COUNT(others); i++)
		if (code == others[i].code) {
			fail(request, others[i].status, others[i].name, others[i].message);
			return;
		}
	fail(request, s3_error_status(code), s3_error_code(code),
		message ? message : s3_error_message(code));
}

static void begin_answer(struct request *request, const char *action)
{
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<");
	text_put_text(out, action);
	text_put_text(out, "Response" NAMESPACE "><");
	text_put_text(out, action);
	text_put_text(out, "Result>");
}

static void end_answer(struct request *request, const char *action)
{
	struct text_out *out = &request->out;
	text_put_text(out, "</");
	text_put_text(out, action);
	text_put_text(out, "Result><ResponseMetadata>");
	put_request_id(request);
	text_put_text(out, "</ResponseMetadata></");
	text_put_text(out, action);
	text_put_text(out, "Response>");
	request_answer_xml(request, 200, NULL, 0);
}

static void put_arn(struct request *request, struct bytes name)
{
	struct text_out *out = &request->out;
	struct bytes owner = auth_owner(&request->principal);
	text_put_text(out, name.len > 0 ? "<Arn>arn:aws:sts::" : "<Arn>arn:aws:iam::");
	xml_put_any(out, owner);
	text_put_text(out, name.len > 0 ? ":assumed-role/" : ":user/");
	xml_put_any(out, owner);
	if (name.len > 0) {
		text_put_char(out, '/');
		xml_put_any(out, name);
	}
	text_put_text(out, "</Arn>");
}

/* --- sessions --------------------------------------------------------------------------------- */

static void make_text(struct random_source *random, const char *alphabet, char *text, size_t len)
{
	uint8_t chance[SESSION_SECRET_LEN];
	size_t count = strlen(alphabet); /* a power of two, so that all are equally likely */
	assert(len <= sizeof chance && (count & (count - 1)) == 0);
	random_fill(random, chance, len);
	for (size_t i = 0; i < len; i++)
		text[i] = alphabet[chance[i] & (count - 1)];
	explicit_bzero(chance, sizeof chance);
}

static void put_credentials(
	struct request *request, const struct session *session, struct bytes token)
{
	struct text_out *out = &request->out;
	text_put_text(out, "<Credentials>");
	xml_element(out, "AccessKeyId", session->key_id);
	xml_element(out, "SecretAccessKey", session->secret);
	xml_element(out, "SessionToken", token);
	text_put_text(out, "<Expiration>");
	response_put_time(out, session->expires_ms);
	text_put_text(out, "</Expiration></Credentials>");
}

/* Gives a session to the principal. */
static void give(struct request *request, const char *action, uint64_t seconds, struct bytes name,
	struct bytes policy)
{
	struct op *op = REQUEST_OP(request, struct op);
	struct gateway *gateway = request->loop->gateway;
	char key_id[SESSION_KEY_ID_LEN], secret[SESSION_SECRET_LEN];
	size_t token_len;

	memcpy(key_id, "RBST", 4);
	make_text(gateway->store->random, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", key_id + 4,
		sizeof key_id - 4);
	make_text(gateway->store->random,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", secret,
		sizeof secret);
	struct session session = {
		.expires_ms = request->now_ms + seconds * 1000,
		.parent = auth_key_id(&request->principal),
		.key_id = bytes_make(key_id, sizeof key_id),
		.secret = bytes_make(secret, sizeof secret),
		.name = name,
		.policy = policy,
	};
	if (session_token_make(gateway->secrets, &session, op->token, &token_len) != ERR_OK) {
		fail_code(request, S3_INTERNAL_ERROR);
		return;
	}
	begin_answer(request, action);
	put_credentials(request, &session, bytes_make(op->token, token_len));
	explicit_bzero(secret, sizeof secret);
	if (name.len > 0) {
		text_put_text(&request->out, "<AssumedRoleUser>");
		put_arn(request, name);
		text_put_text(&request->out, "<AssumedRoleId>");
		xml_put_any(&request->out, session.key_id);
		text_put_char(&request->out, ':');
		xml_put_any(&request->out, name);
		text_put_text(&request->out, "</AssumedRoleId></AssumedRoleUser>");
	}
	end_answer(request, action);
}

/* DurationSeconds. False: it was refused. */
static bool read_duration(
	struct request *request, uint64_t fallback, uint64_t max, uint64_t *ret_seconds)
{
	struct op *op = REQUEST_OP(request, struct op);
	struct bytes text;
	uint64_t seconds = 0;
	*ret_seconds = fallback;
	if (!query_find(&op->form, "DurationSeconds", &text))
		return true;
	for (size_t i = 0; i < text.len && i < 9; i++)
		seconds = text.data[i] >= '0' && text.data[i] <= '9'
			? seconds * 10 + (text.data[i] - '0')
			: max + 1;
	*ret_seconds = seconds;
	if (text.len > 0 && text.len < 9 && seconds >= 900 && seconds <= max)
		return true;
	fail(request, 400, "ValidationError",
		max > 43200 ? "DurationSeconds is 900 to 129600."
			    : "DurationSeconds is 900 to 43200.");
	return false;
}

static bool is_session_name(struct bytes name)
{
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];
		bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || memchr("_+=,.@-", c, 7);
		if (!is_fine)
			return false;
	}
	return name.len >= 2 && name.len <= SESSION_NAME_LEN_MAX;
}

/* A policy is compiled before it is sealed, so that one that nobody understands is not given out.
 */
static bool check_policy(struct request *request, struct bytes json)
{
	struct policy *policy;
	const char *why = NULL;
	if (json.len > SESSION_POLICY_LEN_MAX) {
		fail(request, 400, "PackedPolicyTooLarge", "Policy has at most 2048 characters.");
		return false;
	}
	enum err err = policy_parse(POLICY_OF_KEY, json, (struct bytes){0}, &policy, &why);
	if (err == ERR_NO_MEMORY) {
		fail_code(request, S3_SLOW_DOWN);
		return false;
	}
	if (err != ERR_OK) {
		fail(request, 400, "MalformedPolicyDocument",
			why ? why : "The policy is too long.");
		return false;
	}
	policy_free(policy);
	return true;
}

static void assume_role(struct request *request)
{
	struct op *op = REQUEST_OP(request, struct op);
	struct bytes arn, name, policy = {0};
	uint64_t seconds;

	if (!query_find(&op->form, "RoleArn", &arn) || arn.len == 0 ||
		!query_find(&op->form, "RoleSessionName", &name) || !is_session_name(name)) {
		fail(request, 400, "ValidationError",
			"RoleArn and RoleSessionName are needed, the latter of 2 to 64 letters, "
			"digits and _+=,.@-");
		return;
	}
	if (query_find(&op->form, "Policy", &policy) && !check_policy(request, policy))
		return;
	if (read_duration(request, 3600, 43200, &seconds))
		give(request, "AssumeRole", seconds, name, policy);
}

static void get_session_token(struct request *request)
{
	uint64_t seconds;
	if (read_duration(request, 43200, 129600, &seconds))
		give(request, "GetSessionToken", seconds, (struct bytes){0}, (struct bytes){0});
}

static void get_caller_identity(struct request *request)
{
	struct text_out *out = &request->out;
	begin_answer(request, "GetCallerIdentity");
	put_arn(request, auth_session_name(&request->principal));
	xml_element(out, "UserId", auth_owner(&request->principal));
	xml_element(out, "Account", auth_owner(&request->principal));
	end_answer(request, "GetCallerIdentity");
}

/* --- the form --------------------------------------------------------------------------------- */

static enum s3_code feed(struct request_document *document, struct bytes piece)
{
	struct op *op = CONTAINER_OF(document, struct op, document);
	if (piece.len > sizeof op->text - op->len)
		return S3_MAX_MESSAGE_LENGTH_EXCEEDED;
	memcpy(op->text + op->len, piece.data, piece.len);
	op->len += piece.len;
	return S3_OK;
}

static enum s3_code authenticate(struct request *request)
{
	struct op *op = REQUEST_OP(request, struct op);
	uint8_t sha256[SHA256_LEN];

	digest_sha256(op->text, op->len, sha256);
	hex_encode(sha256, sizeof sha256, op->digest);
	return request_admit_signed(request, bytes_of("sts"), bytes_of(op->digest));
}

static void run(struct request *request)
{
	struct op *op = REQUEST_OP(request, struct op);
	struct bytes action = {0};
	enum s3_code code = authenticate(request);

	if (code != S3_OK) {
		fail_code(request, code);
		return;
	}
	if (query_parse(bytes_make(op->text, op->len), op->decoded, sizeof op->decoded,
		    &op->form) != ERR_OK) {
		fail(request, 400, "MalformedQueryString", "The form is not well-formed.");
		return;
	}
	query_find(&op->form, "Action", &action);
	if (bytes_is_text(action, "GetCallerIdentity"))
		get_caller_identity(request);
	else if (!bytes_is_text(action, "AssumeRole") && !bytes_is_text(action, "GetSessionToken"))
		fail(request, 400, "InvalidAction", "Could not find the operation.");
	else if (request->principal.is_session)
		fail(request, 403, "AccessDenied", "A session cannot ask for another.");
	else if (bytes_is_text(action, "AssumeRole"))
		assume_role(request);
	else
		get_session_token(request);
}

static void advance(struct request *request)
{
	struct op *op = REQUEST_OP(request, struct op);
	enum s3_code code = S3_OK;

	if (request->is_gone) {
		request_abandon(request);
		return;
	}
	enum err err = op->is_read ? ERR_OK : request_document_read(&op->document, &code);
	if (err == ERR_OK) {
		op->is_read = true;
		err = request_take_text(request);
		code = s3_error_from_err(err, S3_INTERNAL_ERROR);
	}
	if (err == ERR_BUSY)
		code = request_stranger_wait(request);
	if (err == ERR_OK)
		run(request);
	else if (code != S3_OK)
		request_fail(request, code);
}

static void fini(struct request *request)
{
	struct op *op = REQUEST_OP(request, struct op);
	request_document_fini(&op->document);
	explicit_bzero(op->token, sizeof op->token);
}

void op_sts_start(struct request *request)
{
	struct op *op = REQUEST_OP(request, struct op);
	op->is_read = false;
	op->len = 0;
	request->advance = advance;
	request->fini = fini;
	enum s3_code code = request_document_init(&op->document, request, FORM_LEN_MAX, feed);
	if (code != S3_OK)
		request_fail(request, code);
	else
		advance(request);
}
