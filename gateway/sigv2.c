/* SPDX-License-Identifier: Apache-2.0 */

/* AWS Signature Version 2: an HMAC-SHA1 over
 *
 *	method \n Content-MD5 \n Content-Type \n date \n (x-amz-name:value \n)* resource
 *
 * where the date is that of the Date header (empty if there is an x-amz-date), or Expires of a
 * presigned query, and the resource is the path as it stands on the wire, with the bucket in front
 * if that was in the Host header, and those parameters of the query that are in `covered`.
 *
 * It says less than version 4: neither the body nor the host nor most of the query is under it.
 *
 * (W1) What it leaves open is not acted upon: a request that names a sub-resource which is not
 *      covered is refused (sigv2_covers(); the gate asks).
 * (W2) A presigned query may carry x-amz-* headers, Content-Type and Content-MD5 as parameters:
 *      they are signed as if they were headers. Where the header itself is there, that counts.
 * (W3) An unknown access key and a wrong signature take the same path.
 * (W4) A request states its mechanism once.
 */
#include "gateway/sigv2.h"

#include "gateway/digest/base64.h"
#include "gateway/digest/digest.h"
#include "gateway/digest/digest_stream.h"
#include "gateway/s3_time.h"
#include "gateway/sigv4_canonical.h"

#define HEADER_PREFIX "AWS "

/* Sorted. */
static const char *const covered[] = {
	"accelerate",
	"acl",
	"analytics",
	"cors",
	"defaultObjectAcl",
	"delete",
	"inventory",
	"lifecycle",
	"location",
	"logging",
	"metrics",
	"notification",
	"object-lock",
	"partNumber",
	"policy",
	"replication",
	"requestPayment",
	"response-cache-control",
	"response-content-disposition",
	"response-content-encoding",
	"response-content-language",
	"response-content-type",
	"response-expires",
	"restore",
	"select",
	"select-type",
	"storageClass",
	"tagging",
	"torrent",
	"uploadId",
	"uploads",
	"versionId",
	"versioning",
	"versions",
	"website",
};

bool sigv2_covers(const char *selector)
{
	size_t len = strcspn(selector, "=");
	for (size_t i = 0; i < ARRAY_COUNT(covered); i++)
		if (strlen(covered[i]) == len && memcmp(covered[i], selector, len) == 0)
			return true;
	/* Without it the same bucket is listed in the older way. */
	return strcmp(selector, "list-type=2") == 0;
}

static enum s3_code fail(struct s3_error_detail *detail, enum s3_code code, const char *message)
{
	detail->message = message;
	return code;
}

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

/* --- what is signed --------------------------------------------------------------------------- */

/* A header, or else (W2). */
static struct bytes header_or_param(
	const struct sigv4 *auth, const struct sigv4_request *request, const char *name)
{
	struct bytes value = {0};
	if (find_header(request, name, &value) == 0 && auth->is_query)
		query_find(request->query, name, &value);
	return value;
}

static bool is_amz(struct bytes name)
{
	return bytes_has_prefix(name, bytes_of("x-amz-"));
}

/* Is it a better next one, after `last`, than `best` (empty: none yet)? */
static bool is_next(struct bytes name, struct bytes last, struct bytes best)
{
	return is_amz(name) && bytes_compare(name, last) > 0 &&
		(best.len == 0 || bytes_compare(name, best) < 0);
}

/* The x-amz-* names in their order: the one behind `last`; empty: there is none. */
static struct bytes next_amz(
	const struct sigv4 *auth, const struct sigv4_request *request, struct bytes last)
{
	struct bytes best = {0};
	for (size_t i = 0; i < request->header_count; i++)
		if (is_next(request->headers[i].name, last, best))
			best = request->headers[i].name;
	for (size_t i = 0; auth->is_query && i < request->query->param_count; i++)
		if (is_next(request->query->params[i].name, last, best))
			best = request->query->params[i].name;
	return best;
}

static void put_amz_value(
	struct text_out *out, const struct sigv4_request *request, struct bytes name)
{
	size_t count = 0;
	for (size_t i = 0; i < request->header_count; i++) {
		if (!bytes_is_equal(request->headers[i].name, name))
			continue;
		if (count++ > 0)
			text_put_char(out, ',');
		text_put_bytes(out, request->headers[i].value);
	}
	for (size_t i = 0; count == 0 && i < request->query->param_count; i++) {
		if (!bytes_is_equal(request->query->params[i].name, name))
			continue;
		text_put_bytes(out, request->query->params[i].value);
		return;
	}
}

/* Is it a bucket in path style, without a slash behind it? Clients sign one that they do not send.
 */
static bool is_bare_bucket(const struct sigv4_request *request)
{
	return request->host_bucket.len == 0 && request->path.len > 1 &&
		!memchr(request->path.data + 1, '/', request->path.len - 1);
}

static void put_resource(struct text_out *out, const struct sigv4_request *request, bool adds_slash)
{
	char before = '?';
	if (request->host_bucket.len > 0) {
		text_put_char(out, '/');
		text_put_bytes(out, request->host_bucket);
	}
	text_put_bytes(out, request->path);
	if (adds_slash)
		text_put_char(out, '/');
	for (size_t i = 0; i < ARRAY_COUNT(covered); i++) {
		struct bytes value;
		if (!query_find(request->query, covered[i], &value))
			continue;
		text_put_char(out, before);
		text_put_text(out, covered[i]);
		if (value.len > 0) {
			text_put_char(out, '=');
			text_put_bytes(out, value);
		}
		before = '&';
	}
}

static void put_date(
	struct text_out *out, const struct sigv4 *auth, const struct sigv4_request *request)
{
	struct bytes text = {0};
	if (auth->is_query)
		query_find(request->query, "Expires", &text);
	else if (find_header(request, "x-amz-date", &text) > 0)
		text = (struct bytes){0};
	else
		find_header(request, "date", &text);
	text_put_bytes(out, text);
}

static void put_string_to_sign(struct text_out *out, const struct sigv4 *auth,
	const struct sigv4_request *request, bool adds_slash)
{
	if (auth->form_policy.len > 0) {
		text_put_bytes(out, auth->form_policy);
		return;
	}
	text_put_bytes(out, request->method);
	text_put_char(out, '\n');
	text_put_bytes(out, header_or_param(auth, request, "content-md5"));
	text_put_char(out, '\n');
	text_put_bytes(out, header_or_param(auth, request, "content-type"));
	text_put_char(out, '\n');
	put_date(out, auth, request);
	text_put_char(out, '\n');
	struct bytes name = {0};
	while ((name = next_amz(auth, request, name)).len > 0) {
		text_put_bytes(out, name);
		text_put_char(out, ':');
		put_amz_value(out, request, name);
		text_put_char(out, '\n');
	}
	put_resource(out, request, adds_slash);
}

/* --- what a request says ---------------------------------------------------------------------- */

bool sigv2_is_meant(const struct sigv4_request *request)
{
	struct bytes authorization = {0};
	if (query_has(request->query, "AWSAccessKeyId") || query_has(request->query, "Signature"))
		return true;
	return find_header(request, "authorization", &authorization) > 0 &&
		bytes_has_prefix(authorization, bytes_of(HEADER_PREFIX));
}

/* The base64 of the MAC. */
static bool take_mac(struct sigv4 *auth, struct bytes text)
{
	size_t len;
	auth->mac_text = text;
	return base64_decode(text, auth->mac, sizeof auth->mac, &len) == ERR_OK && len == SHA1_LEN;
}

static bool take_key_id(struct sigv4 *auth, struct bytes text)
{
	auth->access_key_id = text;
	return text.len > 0 && text.len <= SIGV4_KEY_ID_LEN_MAX;
}

static enum s3_code check_skew(
	const struct sigv4 *auth, struct bytes text, uint64_t now_s, struct s3_error_detail *detail)
{
	uint64_t skew_s = auth->time_s > now_s ? auth->time_s - now_s : now_s - auth->time_s;
	if (skew_s <= SIGV4_SKEW_S_MAX)
		return S3_OK;
	uint8_t server_time[S3_TIME_ISO8601_LEN];
	s3_time_format_iso8601(now_s * 1000, server_time);
	s3_error_add(detail, "RequestTime", text);
	s3_error_add_copy(detail, "ServerTime", bytes_make(server_time, sizeof server_time));
	s3_error_add_uint(detail, "MaxAllowedSkewMilliseconds", SIGV4_SKEW_S_MAX * 1000);
	return S3_REQUEST_TIME_TOO_SKEWED;
}

/* As HTTP writes dates, with the zone as mail writes it, too; or as version 4 does. */
static bool parse_date(struct bytes text, uint64_t *ret_time_s)
{
	uint8_t http[40];
	struct bytes zone = bytes_of(" +0000"), utc = bytes_of(" GMT");
	if (text.len > zone.len && text.len < sizeof http &&
		bytes_is_equal(bytes_from(text, text.len - zone.len), zone)) {
		memcpy(http, text.data, text.len - zone.len);
		memcpy(http + text.len - zone.len, utc.data, utc.len);
		text = bytes_make(http, text.len - zone.len + utc.len);
	}
	return s3_time_parse_http(text, ret_time_s) == ERR_OK ||
		s3_time_parse_amz(text, ret_time_s) == ERR_OK;
}

static enum s3_code parse_header(struct sigv4 *auth, struct bytes authorization,
	const struct sigv4_request *request, uint64_t now_s, struct s3_error_detail *detail)
{
	struct bytes rest = bytes_from(authorization, strlen(HEADER_PREFIX)), date;
	const uint8_t *colon = rest.len > 0 ? memrchr(rest.data, ':', rest.len) : NULL;
	if (!colon || !take_key_id(auth, bytes_make(rest.data, colon - rest.data)) ||
		!take_mac(auth, bytes_from(rest, auth->access_key_id.len + 1)))
		return fail(detail, S3_INVALID_ARGUMENT,
			"AWS authorization header is invalid. Expected AwsAccessKeyId:signature");
	if ((find_header(request, "x-amz-date", &date) == 0 &&
		    find_header(request, "date", &date) == 0) ||
		!parse_date(date, &auth->time_s))
		return fail(detail, S3_ACCESS_DENIED,
			"AWS authentication requires a valid Date or x-amz-date header");
	if (find_header(request, "x-amz-security-token", &auth->session_token) > 1)
		return fail(detail, S3_INVALID_REQUEST, "x-amz-security-token is there twice.");
	return check_skew(auth, date, now_s, detail);
}

/* Seconds since 1970. */
static bool parse_expires(struct bytes text, uint64_t *ret_value)
{
	uint64_t value = 0;
	if (text.len == 0 || text.len > 12)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = text.data[i] - (unsigned)'0';
		if (digit > 9)
			return false;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return true;
}

static enum s3_code parse_query(struct sigv4 *auth, const struct sigv4_request *request,
	uint64_t now_s, struct s3_error_detail *detail)
{
	struct bytes key_id, signature, expires;
	uint64_t until_s;
	if (!query_find(request->query, "AWSAccessKeyId", &key_id) ||
		!query_find(request->query, "Signature", &signature) ||
		!query_find(request->query, "Expires", &expires) || !take_key_id(auth, key_id))
		return fail(detail, S3_ACCESS_DENIED,
			"Query-string authentication requires the Signature, Expires and "
			"AWSAccessKeyId parameters");
	if (!parse_expires(expires, &until_s))
		return fail(
			detail, S3_ACCESS_DENIED, "Invalid date (should be seconds since epoch)");
	if (!take_mac(auth, signature)) {
		s3_error_add(detail, "AWSAccessKeyId", key_id);
		s3_error_add(detail, "SignatureProvided", signature);
		return S3_SIGNATURE_DOES_NOT_MATCH;
	}
	auth->session_token = header_or_param(auth, request, "x-amz-security-token");
	auth->time_s = now_s; /* it does not say when it was signed */
	if (now_s <= until_s)
		return S3_OK;
	uint8_t text[S3_TIME_ISO8601_LEN];
	s3_time_format_iso8601(until_s * 1000, text);
	s3_error_add_copy(detail, "Expires", bytes_make(text, sizeof text));
	s3_time_format_iso8601(now_s * 1000, text);
	s3_error_add_copy(detail, "ServerTime", bytes_make(text, sizeof text));
	return fail(detail, S3_ACCESS_DENIED, "Request has expired");
}

enum s3_code sigv2_parse(const struct sigv4_request *request, const struct sigv4_settings *settings,
	uint64_t now_s, struct sigv4 *ret_auth, struct s3_error_detail *ret_detail)
{
	*ret_auth = (struct sigv4){.payload = SIGV4_PAYLOAD_UNSIGNED, .is_v2 = true};
	struct bytes authorization;
	size_t header_count = find_header(request, "authorization", &authorization);
	ret_auth->is_query = query_has(request->query, "AWSAccessKeyId") ||
		query_has(request->query, "Signature");
	bool has_v4 = query_has(request->query, "X-Amz-Algorithm") ||
		query_has(request->query, "X-Amz-Credential") ||
		query_has(request->query, "X-Amz-Signature");
	if (header_count + ret_auth->is_query + has_v4 > 1) /* (W4) */
		return fail(ret_detail, S3_INVALID_ARGUMENT,
			"Only one auth mechanism allowed; only the X-Amz-Algorithm query "
			"parameter, Signature query string parameter or the Authorization header "
			"should be specified");
	if (settings->v2 == SIGV2_OFF || (settings->v2 != SIGV2_ALL && !ret_auth->is_query))
		return fail(ret_detail, S3_INVALID_REQUEST,
			"The authorization mechanism you have provided is not supported. "
			"Please use AWS4-HMAC-SHA256.");
	enum s3_code code = ret_auth->is_query
		? parse_query(ret_auth, request, now_s, ret_detail)
		: parse_header(ret_auth, authorization, request, now_s, ret_detail);
	return code == S3_OK ? sigv4_find_payload(ret_auth, request, ret_detail) : code;
}

enum s3_code sigv2_parse_form(const struct sigv4_form *form, const struct sigv4_settings *settings,
	struct sigv4 *auth, struct s3_error_detail *detail)
{
	auth->is_v2 = true;
	enum s3_code code = sigv4_need_field(
		form->v2_key_id, "AWSAccessKeyId", SIGV4_FORM_MISSING("AWSAccessKeyId"), detail);
	if (code == S3_OK)
		code = sigv4_need_field(
			form->v2_signature, "signature", SIGV4_FORM_MISSING("signature"), detail);
	if (code != S3_OK)
		return code;
	if (settings->v2 == SIGV2_OFF)
		return fail(detail, S3_INVALID_REQUEST,
			"The authorization mechanism you have provided is not supported. "
			"Please use AWS4-HMAC-SHA256.");
	if (!take_key_id(auth, form->v2_key_id))
		return S3_INVALID_ACCESS_KEY_ID;
	if (take_mac(auth, form->v2_signature))
		return S3_OK;
	s3_error_add(detail, "AWSAccessKeyId", form->v2_key_id);
	s3_error_add(detail, "SignatureProvided", form->v2_signature);
	return S3_SIGNATURE_DOES_NOT_MATCH;
}

/* --- signatures ------------------------------------------------------------------------------- */

/* HMAC-SHA1 of what is written to `out`, between begin and end. */
struct mac {
	struct digest_stream inner;
	struct text_out out;
	uint8_t outer[HASH_BLOCK_LEN + SHA1_LEN];
	uint8_t buf[1024];
};

static void flush_to_mac(struct text_out *out)
{
	digest_stream_update(out->context, out->buf, out->len);
}

static void mac_begin(struct mac *mac, struct bytes secret)
{
	uint8_t block[HASH_BLOCK_LEN] = {0};
	if (secret.len > sizeof block)
		digest_sha1(secret.data, secret.len, block);
	else if (secret.len > 0)
		memcpy(block, secret.data, secret.len);
	for (size_t i = 0; i < sizeof block; i++) {
		mac->outer[i] = block[i] ^ 0x5c;
		block[i] ^= 0x36;
	}
	digest_stream_init(&mac->inner, DIGEST_SHA1);
	digest_stream_update(&mac->inner, block, sizeof block);
	text_out_init(&mac->out, mac->buf, sizeof mac->buf);
	mac->out.flush = flush_to_mac;
	mac->out.context = &mac->inner;
	explicit_bzero(block, sizeof block);
}

static void mac_end(struct mac *mac, uint8_t ret_mac[SHA1_LEN])
{
	struct digest_values values;
	text_out_flush(&mac->out);
	digest_stream_final(&mac->inner, &values);
	memcpy(mac->outer + HASH_BLOCK_LEN, values.sha1, SHA1_LEN);
	digest_sha1(mac->outer, sizeof mac->outer, ret_mac);
	explicit_bzero(mac, sizeof *mac);
}

static bool is_mac_of(const struct sigv4 *auth, const struct sigv4_request *request,
	struct bytes secret, bool adds_slash)
{
	struct mac mac;
	uint8_t expected[SHA1_LEN];
	mac_begin(&mac, secret);
	put_string_to_sign(&mac.out, auth, request, adds_slash);
	mac_end(&mac, expected);
	bool is_equal = digest_is_equal(expected, auth->mac, sizeof expected);
	explicit_bzero(expected, sizeof expected);
	return is_equal;
}

enum s3_code sigv2_verify(struct sigv4 *auth, const struct sigv4_request *request,
	const struct bytes *secret, struct s3_error_detail *ret_detail)
{
	static const uint8_t nobody[SHA1_LEN]; /* (W3) */
	assert(auth->is_v2 && auth->access_key_id.len > 0);
	bool is_known = secret && secret->len <= SIGV4_SECRET_LEN_MAX;
	struct bytes used = is_known ? *secret : bytes_make(nobody, sizeof nobody);
	bool is_equal = is_mac_of(auth, request, used, false) ||
		(auth->form_policy.len == 0 && is_bare_bucket(request) &&
			is_mac_of(auth, request, used, true));
	if (is_known && is_equal) {
		auth->is_verified = true;
		return S3_OK;
	}
	s3_error_add(ret_detail, "AWSAccessKeyId", auth->access_key_id);
	return is_known ? S3_SIGNATURE_DOES_NOT_MATCH : S3_INVALID_ACCESS_KEY_ID;
}

void sigv2_explain(const struct sigv4 *auth, const struct sigv4_request *request, uint8_t *buf,
	size_t cap, struct s3_error_detail *detail)
{
	struct text_out out;
	text_out_init(&out, buf, cap);
	put_string_to_sign(&out, auth, request, is_bare_bucket(request));
	struct bytes to_sign = text_out_bytes(&out);
	size_t mark = out.len;
	for (size_t i = 0; i < to_sign.len; i++) {
		if (i > 0)
			text_put_char(&out, ' ');
		text_put_hex(&out, bytes_make(to_sign.data + i, 1));
	}
	s3_error_add(detail, "StringToSign", to_sign);
	s3_error_add(detail, "SignatureProvided", auth->mac_text);
	s3_error_add(detail, "StringToSignBytes", bytes_make(buf + mark, out.len - mark));
}
