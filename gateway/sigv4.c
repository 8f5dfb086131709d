/* SPDX-License-Identifier: Apache-2.0 */

/* AWS Signature Version 4.
 *
 * The sender signs a canonical form of its request with a key derived from its secret, the date,
 * a region and the service:
 *
 *	canonical request = method \n path \n query \n (name:value \n)* \n names \n payload
 *	string to sign    = AWS4-HMAC-SHA256 \n time \n scope \n hex(sha256(canonical request))
 *	signature         = hex(hmac(signing key, string to sign))
 *
 * What has to hold:
 *
 * (V1) There is one way in. Whatever the payload mode, the signature of the head is verified; a
 *      request without credentials is an anonymous one, explicitly.
 * (V2) The payload mode comes from the same bytes that end the canonical request, so nobody can
 *      change how a body is read without changing the signature. An unknown mode is refused.
 * (V3) Every x-amz-* header of the request is signed, for presigned requests too, and so is Host.
 *      x-amz-content-sha256 alone may be missing from the list: (V2) covers it. And every one that
 *      was signed is there: one that is empty hashes like one that was taken away.
 * (V4) Headers are hashed as they were received: nothing is decoded, reordered or lower-cased,
 *      except that runs of spaces count as one and repeated headers are joined by commas.
 * (V5) An unknown access key and a wrong signature take the same path and time.
 * (V6) A request states its mechanism once: header or query, and each header that matters once.
 */
#include "gateway/sigv4.h"

#include "gateway/digest/digest.h"
#include "gateway/digest/hex.h"
#include "gateway/s3_time.h"
#include "gateway/sigv2.h"
#include "gateway/sigv4_canonical.h"

enum { REGION_LEN_MAX = 64 };

/* Where the parts of the credentials were found, before they mean anything. */
struct claims {
	struct bytes credential;
	struct bytes signed_headers;
	struct bytes signature;
};

static enum s3_code fail(struct s3_error_detail *detail, enum s3_code code, const char *message)
{
	detail->message = message;
	return code;
}

/* The code for credentials that are not well-formed. */
static enum s3_code malformed(
	const struct sigv4 *auth, struct s3_error_detail *detail, const char *message)
{
	return fail(detail,
		auth->is_query ? S3_AUTHORIZATION_QUERY_PARAMETERS_ERROR
			       : S3_AUTHORIZATION_HEADER_MALFORMED,
		message);
}

/* --- headers -------------------------------------------------------------------------------- */

/* How often a header occurs; ret_value is its first value. */
static size_t find_header(
	const struct sigv4_request *request, const char *name, struct bytes *ret_value)
{
	size_t count = 0;
	for (size_t i = 0; i < request->header_count; i++) {
		if (!bytes_is_text(request->headers[i].name, name))
			continue;
		if (count++ == 0)
			*ret_value = request->headers[i].value;
	}
	return count;
}

static bool is_signed(struct bytes signed_headers, struct bytes name)
{
	while (signed_headers.len > 0) {
		if (bytes_is_equal(sigv4_take_name(&signed_headers), name))
			return true;
	}
	return false;
}

/* (V3) */
static bool is_all_there(const struct sigv4 *auth, const struct sigv4_request *request)
{
	for (struct bytes list = auth->signed_headers; list.len > 0;) {
		struct bytes name = sigv4_take_name(&list);
		size_t i = 0;
		if (!bytes_has_prefix(name, bytes_of("x-amz-")))
			continue;
		while (i < request->header_count && !bytes_is_equal(request->headers[i].name, name))
			i++;
		if (i == request->header_count)
			return false;
	}
	return true;
}

/* (V3) */
static enum s3_code check_all_signed(const struct sigv4 *auth, const struct sigv4_request *request,
	struct s3_error_detail *detail)
{
	uint8_t names[S3_ERROR_TEXT_MAX / 2];
	struct text_out missing;
	if (!is_all_there(auth, request))
		return fail(detail, S3_ACCESS_DENIED,
			"There were headers signed which are not present in the request");
	text_out_init(&missing, names, sizeof names);
	if (!is_signed(auth->signed_headers, bytes_of("host")))
		text_put_text(&missing, "host");
	for (size_t i = 0; i < request->header_count; i++) {
		struct bytes name = request->headers[i].name;
		if (!bytes_has_prefix(name, bytes_of("x-amz-")) ||
			bytes_is_text(name, "x-amz-content-sha256") ||
			is_signed(auth->signed_headers, name))
			continue;
		if (missing.len > 0)
			text_put_text(&missing, ", ");
		text_put_bytes(&missing, name);
	}
	if (missing.len == 0 && !missing.overflowed)
		return S3_OK;
	s3_error_add_copy(detail, "HeadersNotSigned", text_out_bytes(&missing));
	return fail(detail, S3_ACCESS_DENIED,
		"There were headers present in the request which were not signed");
}

/* --- what a request says -------------------------------------------------------------------- */

/* (V2) text is the value that will end the canonical request. */
static enum s3_code parse_payload(
	struct sigv4 *auth, struct bytes text, struct s3_error_detail *detail)
{
	static const struct {
		const char *text;
		enum sigv4_payload payload;
	} modes[] = {
		{"UNSIGNED-PAYLOAD", SIGV4_PAYLOAD_UNSIGNED},
		{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", SIGV4_PAYLOAD_SIGNED_CHUNKS},
		{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", SIGV4_PAYLOAD_SIGNED_CHUNKS_TRAILER},
		{"STREAMING-UNSIGNED-PAYLOAD-TRAILER", SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER},
	};
	auth->payload_text = text;
	for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
		if (bytes_is_text(text, modes[i].text)) {
			auth->payload = modes[i].payload;
			return S3_OK;
		}
	}
	if (bytes_has_prefix(text, bytes_of("STREAMING-"))) {
		s3_error_add(detail, "Header", bytes_of("x-amz-content-sha256"));
		return fail(detail, S3_NOT_IMPLEMENTED,
			"This form of x-amz-content-sha256 is not implemented.");
	}
	auth->payload = SIGV4_PAYLOAD_HEX;
	if (hex_decode(text, auth->payload_sha256, sizeof auth->payload_sha256) == ERR_OK)
		return S3_OK;
	s3_error_add(detail, "ArgumentName", bytes_of("x-amz-content-sha256"));
	s3_error_add(detail, "ArgumentValue", text);
	return fail(detail, S3_INVALID_ARGUMENT,
		"x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD, or a valid sha256 value.");
}

enum s3_code sigv4_find_payload(
	struct sigv4 *auth, const struct sigv4_request *request, struct s3_error_detail *detail)
{
	struct bytes text;
	bool is_in_query = auth->is_query &&
		query_find(request->query, "X-Amz-Content-Sha256", &text);
	if (!is_in_query) {
		size_t count = find_header(request, "x-amz-content-sha256", &text);
		if (count > 1)
			return fail(
				detail, S3_INVALID_REQUEST, "x-amz-content-sha256 is there twice.");
		if (count == 0 && !auth->is_query && !auth->is_anonymous && !auth->is_v2)
			return fail(detail, S3_INVALID_REQUEST,
				"Missing required header for this request: x-amz-content-sha256");
		if (count == 0)
			text = bytes_of("UNSIGNED-PAYLOAD");
	}
	enum s3_code code = parse_payload(auth, text, detail);
	bool has_key = !auth->is_anonymous && !auth->is_v2; /* to sign chunks with */
	if (code != S3_OK || has_key || (auth->is_v2 && auth->payload == SIGV4_PAYLOAD_HEX))
		return code;
	if (auth->payload == SIGV4_PAYLOAD_UNSIGNED ||
		auth->payload == SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER)
		return S3_OK;
	return fail(detail, S3_INVALID_REQUEST,
		"Requests without a signature of version 4 cannot have a signed payload. "
		"Please use UNSIGNED-PAYLOAD.");
}

/* "Credential=..., SignedHeaders=..., Signature=...": any order, spaces or none. */
static bool parse_fields(struct bytes text, struct claims *claims)
{
	while (text.len > 0) {
		const uint8_t *end = memchr(text.data, ',', text.len);
		struct bytes field = {text.data, end ? (size_t)(end - text.data) : text.len};
		text = bytes_from(text, end ? field.len + 1 : field.len);
		field = bytes_trim(field, " ");
		const uint8_t *equals = memchr(field.data, '=', field.len);
		if (!equals)
			return false;
		struct bytes name = bytes_trim(bytes_make(field.data, equals - field.data), " ");
		struct bytes value = bytes_trim(bytes_from(field, equals - field.data + 1), " ");
		struct bytes *place = bytes_is_text(name, "Credential") ? &claims->credential
			: bytes_is_text(name, "SignedHeaders")          ? &claims->signed_headers
			: bytes_is_text(name, "Signature")              ? &claims->signature
									: NULL;
		if (!place || place->data)
			return false;
		*place = value;
	}
	return claims->credential.data && claims->signed_headers.data && claims->signature.data;
}

/* "id/20130524/region/s3/aws4_request", from the right: an id may have slashes in it. */
static enum s3_code parse_credential(struct sigv4 *auth, struct bytes credential,
	const struct sigv4_settings *settings, struct s3_error_detail *detail)
{
	struct bytes parts[5]; /* id, date, region, service, terminator */
	struct bytes rest = credential;
	for (size_t i = ARRAY_COUNT(parts) - 1; i > 0; i--) {
		const uint8_t *slash = rest.len > 0 ? memrchr(rest.data, '/', rest.len) : NULL;
		if (!slash)
			return malformed(auth, detail,
				"The Credential is mal-formed; expecting "
				"\"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".");
		parts[i] = bytes_from(rest, slash - rest.data + 1);
		rest.len = slash - rest.data;
	}
	if (rest.len == 0 || rest.len > SIGV4_KEY_ID_LEN_MAX || parts[2].len > REGION_LEN_MAX)
		return malformed(auth, detail, "The Credential is mal-formed.");
	if (settings->service.len > 0 ? !bytes_is_equal(parts[3], settings->service)
				      : !bytes_is_text(parts[3], "s3"))
		return malformed(auth, detail,
			settings->service.len > 0 ? "The Credential is of another service."
						  : "The Credential must name the service \"s3\".");
	if (!bytes_is_text(parts[4], "aws4_request"))
		return malformed(auth, detail, "The Credential must end with \"aws4_request\".");
	if (!bytes_is_equal(parts[1], bytes_make(auth->amz_date, 8)))
		return malformed(
			auth, detail, "The date in the Credential is not that of the request.");
	if (settings->region_is_strict && !bytes_is_equal(parts[2], settings->region)) {
		s3_error_add(detail, "Region", settings->region);
		return malformed(auth, detail, "The region in the Credential is wrong.");
	}
	auth->access_key_id = rest;
	auth->region = parts[2];
	auth->scope = bytes_from(credential, rest.len + 1);
	assert(auth->scope.len <= SIGV4_SCOPE_LEN_MAX);
	return S3_OK;
}

static enum s3_code check_claims(struct sigv4 *auth, const struct claims *claims,
	const struct sigv4_settings *settings, struct s3_error_detail *detail)
{
	enum s3_code code = parse_credential(auth, claims->credential, settings, detail);
	if (code != S3_OK)
		return code;
	uint8_t binary[SHA256_LEN];
	if (hex_decode(claims->signature, binary, sizeof binary) != ERR_OK)
		return malformed(auth, detail, "The Signature is mal-formed.");
	memcpy(auth->signature, claims->signature.data, SIGV4_SIGNATURE_LEN);
	if (claims->signed_headers.len == 0)
		return malformed(auth, detail, "SignedHeaders is empty.");
	auth->signed_headers = claims->signed_headers;
	return S3_OK;
}

static enum s3_code check_skew(
	const struct sigv4 *auth, uint64_t now_s, struct s3_error_detail *detail)
{
	uint64_t skew_s = auth->time_s > now_s ? auth->time_s - now_s : now_s - auth->time_s;
	if (skew_s <= SIGV4_SKEW_S_MAX)
		return S3_OK;
	uint8_t server_time[S3_TIME_ISO8601_LEN];
	s3_time_format_iso8601(now_s * 1000, server_time);
	s3_error_add_copy(detail, "RequestTime", bytes_make(auth->amz_date, sizeof auth->amz_date));
	s3_error_add_copy(detail, "ServerTime", bytes_make(server_time, sizeof server_time));
	s3_error_add_uint(detail, "MaxAllowedSkewMilliseconds", SIGV4_SKEW_S_MAX * 1000);
	return S3_REQUEST_TIME_TOO_SKEWED;
}

/* The time of a request with an Authorization header: X-Amz-Date, else Date. */
static enum s3_code parse_header_time(
	struct sigv4 *auth, const struct sigv4_request *request, struct s3_error_detail *detail)
{
	struct bytes text;
	size_t count = find_header(request, "x-amz-date", &text);
	if (count == 1 && s3_time_parse_amz(text, &auth->time_s) == ERR_OK) {
		memcpy(auth->amz_date, text.data, sizeof auth->amz_date);
		return S3_OK;
	}
	if (count == 0 && find_header(request, "date", &text) == 1 &&
		(s3_time_parse_http(text, &auth->time_s) == ERR_OK ||
			s3_time_parse_amz(text, &auth->time_s) == ERR_OK)) {
		s3_time_format_amz(auth->time_s, auth->amz_date);
		return S3_OK;
	}
	return fail(detail, S3_ACCESS_DENIED,
		"AWS authentication requires a valid Date or x-amz-date header");
}

static enum s3_code parse_header(struct sigv4 *auth, struct bytes authorization,
	const struct sigv4_request *request, const struct sigv4_settings *settings, uint64_t now_s,
	struct s3_error_detail *detail)
{
	if (!bytes_has_prefix(authorization, bytes_of(SIGV4_ALGORITHM " ")))
		return fail(detail, S3_INVALID_ARGUMENT, "Unsupported Authorization Type");
	struct claims claims = {.credential.data = NULL};
	if (!parse_fields(bytes_from(authorization, strlen(SIGV4_ALGORITHM " ")), &claims))
		return malformed(auth, detail,
			"The authorization header must have Credential, SignedHeaders and "
			"Signature.");

	enum s3_code code = parse_header_time(auth, request, detail);
	if (code == S3_OK)
		code = check_claims(auth, &claims, settings, detail);
	if (code == S3_OK)
		code = check_skew(auth, now_s, detail);
	if (find_header(request, "x-amz-security-token", &auth->session_token) > 1)
		return fail(detail, S3_INVALID_REQUEST, "x-amz-security-token is there twice.");
	return code;
}

static bool parse_decimal(struct bytes text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = text.data[i] - (unsigned)'0';
		if (digit > 9 || value > max)
			return false;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return text.len > 0 && value <= max;
}

static enum s3_code check_life(
	const struct sigv4 *auth, uint64_t now_s, struct s3_error_detail *detail)
{
	if (auth->time_s > now_s + SIGV4_SKEW_S_MAX)
		return fail(detail, S3_ACCESS_DENIED, "Request is not yet valid");
	if (now_s <= auth->time_s + auth->expires_s)
		return S3_OK;
	uint8_t text[S3_TIME_ISO8601_LEN];
	s3_error_add_uint(detail, "X-Amz-Expires", auth->expires_s);
	s3_time_format_iso8601((auth->time_s + auth->expires_s) * 1000, text);
	s3_error_add_copy(detail, "Expires", bytes_make(text, sizeof text));
	s3_time_format_iso8601(now_s * 1000, text);
	s3_error_add_copy(detail, "ServerTime", bytes_make(text, sizeof text));
	return fail(detail, S3_ACCESS_DENIED, "Request has expired");
}

static enum s3_code parse_presigned(struct sigv4 *auth, const struct sigv4_request *request,
	const struct sigv4_settings *settings, uint64_t now_s, struct s3_error_detail *detail)
{
	const struct query *query = request->query;
	struct bytes algorithm, date, expires;
	struct claims claims;
	if (!query_find(query, "X-Amz-Algorithm", &algorithm) ||
		!query_find(query, "X-Amz-Credential", &claims.credential) ||
		!query_find(query, "X-Amz-Date", &date) ||
		!query_find(query, "X-Amz-Expires", &expires) ||
		!query_find(query, "X-Amz-SignedHeaders", &claims.signed_headers) ||
		!query_find(query, "X-Amz-Signature", &claims.signature))
		return malformed(auth, detail,
			"Query-string authentication version 4 requires the X-Amz-Algorithm, "
			"X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and "
			"X-Amz-Expires parameters.");
	if (!bytes_is_text(algorithm, SIGV4_ALGORITHM))
		return malformed(
			auth, detail, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
	if (s3_time_parse_amz(date, &auth->time_s) != ERR_OK)
		return malformed(auth, detail,
			"X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
	memcpy(auth->amz_date, date.data, sizeof auth->amz_date);
	if (!parse_decimal(expires, SIGV4_EXPIRES_S_MAX, &auth->expires_s) || auth->expires_s == 0)
		return malformed(auth, detail,
			"X-Amz-Expires must be between 1 and a week (in seconds), that is 604800");
	if (!query_find(query, "X-Amz-Security-Token", &auth->session_token))
		auth->session_token = (struct bytes){NULL, 0};

	enum s3_code code = check_claims(auth, &claims, settings, detail);
	return code == S3_OK ? check_life(auth, now_s, detail) : code;
}

enum s3_code sigv4_parse(const struct sigv4_request *request, const struct sigv4_settings *settings,
	uint64_t now_s, struct sigv4 *ret_auth, struct s3_error_detail *ret_detail)
{
	if (settings->service.len == 0 && sigv2_is_meant(request))
		return sigv2_parse(request, settings, now_s, ret_auth, ret_detail);
	*ret_auth = (struct sigv4){.payload = SIGV4_PAYLOAD_UNSIGNED};
	struct sigv4 *auth = ret_auth;
	struct bytes authorization;
	size_t header_count = find_header(request, "authorization", &authorization);
	auth->is_query = query_has(request->query, "X-Amz-Algorithm") ||
		query_has(request->query, "X-Amz-Credential") ||
		query_has(request->query, "X-Amz-Signature");
	if (header_count + auth->is_query > 1)
		return fail(ret_detail, S3_INVALID_ARGUMENT,
			"Only one auth mechanism allowed; only the X-Amz-Algorithm query "
			"parameter, "
			"Signature query string parameter or the Authorization header should be "
			"specified");

	enum s3_code code = S3_OK;
	if (auth->is_query)
		code = parse_presigned(auth, request, settings, now_s, ret_detail);
	else if (header_count == 1)
		code = parse_header(auth, authorization, request, settings, now_s, ret_detail);
	else
		auth->is_anonymous = true;
	if (code == S3_OK && !auth->is_anonymous)
		code = check_all_signed(auth, request, ret_detail);
	if (settings->service.len > 0)
		auth->payload_text = settings->payload;
	return code == S3_OK && settings->service.len == 0
		? sigv4_find_payload(auth, request, ret_detail)
		: code;
}

static enum s3_code parse_form(struct sigv4 *auth, const struct sigv4_form *form,
	const struct sigv4_settings *settings, struct s3_error_detail *detail)
{
	struct claims claims = {
		.credential = form->credential,
		.signed_headers = bytes_of("policy"),
		.signature = form->signature,
	};
	enum s3_code code = sigv4_need_field(form->credential, "x-amz-credential",
		SIGV4_FORM_MISSING("x-amz-credential"), detail);
	if (code == S3_OK)
		code = sigv4_need_field(
			form->date, "x-amz-date", SIGV4_FORM_MISSING("x-amz-date"), detail);
	if (code == S3_OK)
		code = sigv4_need_field(form->signature, "x-amz-signature",
			SIGV4_FORM_MISSING("x-amz-signature"), detail);
	if (code != S3_OK)
		return code;
	if (!bytes_is_text(form->algorithm, SIGV4_ALGORITHM))
		return malformed(
			auth, detail, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
	if (s3_time_parse_amz(form->date, &auth->time_s) != ERR_OK)
		return malformed(auth, detail,
			"X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
	memcpy(auth->amz_date, form->date.data, sizeof auth->amz_date);
	return check_claims(auth, &claims, settings, detail);
}

enum s3_code sigv4_parse_form(const struct sigv4_form *form, const struct sigv4_settings *settings,
	struct sigv4 *ret_auth, struct s3_error_detail *ret_detail)
{
	*ret_auth = (struct sigv4){.payload = SIGV4_PAYLOAD_UNSIGNED};
	bool is_v4 = form->algorithm.data || form->credential.data || form->signature.data;
	bool is_v2 = form->v2_key_id.data || form->v2_signature.data;
	if (!form->policy.data && !is_v4 && !is_v2) {
		ret_auth->is_anonymous = true;
		return S3_OK;
	}
	if (is_v4 && is_v2)
		return fail(ret_detail, S3_INVALID_ARGUMENT, "Only one auth mechanism allowed");
	enum s3_code code = sigv4_need_field(
		form->policy, "policy", SIGV4_FORM_MISSING("policy"), ret_detail);
	if (code != S3_OK)
		return code;
	if (form->policy.len == 0)
		return fail(
			ret_detail, S3_INVALID_POLICY_DOCUMENT, "Invalid Policy: Invalid JSON.");
	ret_auth->is_query = !is_v2; /* errors are those of presigned requests */
	ret_auth->form_policy = form->policy;
	ret_auth->session_token = form->session_token;
	return is_v4 ? parse_form(ret_auth, form, settings, ret_detail)
		     : sigv2_parse_form(form, settings, ret_auth, ret_detail);
}

/* --- signatures ----------------------------------------------------------------------------- */

/* What is signed: the policy of a form is so itself. */
static struct bytes message_of(
	const struct sigv4 *auth, const struct sigv4_request *request, uint8_t *buf)
{
	return auth->form_policy.len > 0 ? auth->form_policy
					 : sigv4_string_to_sign(auth, request, buf);
}

static bool is_signature_of(const struct hmac_key *key, struct bytes message,
	const uint8_t signature[SIGV4_SIGNATURE_LEN])
{
	uint8_t mac[SHA256_LEN], given[SHA256_LEN];
	hmac_sign(key, message.data, message.len, mac);
	if (hex_decode(bytes_make(signature, SIGV4_SIGNATURE_LEN), given, sizeof given) != ERR_OK)
		return false;
	return digest_is_equal(mac, given, sizeof mac);
}

enum s3_code sigv4_verify(struct sigv4 *auth, const struct sigv4_request *request,
	const struct bytes *secret, struct sigv4_keys *keys, struct s3_error_detail *ret_detail)
{
	assert(!auth->is_anonymous && auth->access_key_id.len > 0);
	if (auth->is_v2)
		return sigv2_verify(auth, request, secret, ret_detail);
	bool is_known = secret && secret->len <= SIGV4_SECRET_LEN_MAX;
	if (is_known)
		sigv4_keys_find(
			keys, auth->access_key_id, *secret, auth->scope, &auth->signing_key);
	else
		sigv4_keys_find_none(keys, auth->scope, &auth->signing_key);

	uint8_t buf[SIGV4_STRING_TO_SIGN_LEN_MAX];
	bool is_equal = is_signature_of(
		&auth->signing_key, message_of(auth, request, buf), auth->signature);
	if (is_known && is_equal) {
		auth->is_verified = true;
		return S3_OK;
	}
	hmac_key_fini(&auth->signing_key);
	s3_error_add(ret_detail, "AWSAccessKeyId", auth->access_key_id);
	return is_known ? S3_SIGNATURE_DOES_NOT_MATCH : S3_INVALID_ACCESS_KEY_ID;
}

static void put_dump(struct text_out *out, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (i > 0)
			text_put_char(out, ' ');
		text_put_hex(out, bytes_make(text.data + i, 1));
	}
}

/* What was written to out since `from`. */
static struct bytes written_since(const struct text_out *out, size_t from)
{
	return bytes_make(out->buf + from, out->len - from);
}

void sigv4_explain(const struct sigv4 *auth, const struct sigv4_request *request, uint8_t *buf,
	size_t cap, struct s3_error_detail *detail)
{
	uint8_t message[SIGV4_STRING_TO_SIGN_LEN_MAX];
	struct text_out out;
	if (auth->is_v2) {
		sigv2_explain(auth, request, buf, cap, detail);
		return;
	}
	text_out_init(&out, buf, cap);
	text_put_bytes(&out, message_of(auth, request, message));
	struct bytes to_sign = text_out_bytes(&out);
	if (auth->form_policy.len == 0)
		sigv4_put_canonical(&out, auth, request);
	struct bytes canonical = written_since(&out, to_sign.len);
	size_t mark = out.len;
	put_dump(&out, to_sign);
	struct bytes to_sign_dump = written_since(&out, mark);
	mark = out.len;
	put_dump(&out, canonical);
	struct bytes canonical_dump = written_since(&out, mark);

	s3_error_add(detail, "StringToSign", to_sign);
	s3_error_add(detail, "SignatureProvided", bytes_make(auth->signature, SIGV4_SIGNATURE_LEN));
	s3_error_add(detail, "StringToSignBytes", to_sign_dump);
	s3_error_add(detail, "CanonicalRequest", canonical);
	s3_error_add(detail, "CanonicalRequestBytes", canonical_dump);
}
