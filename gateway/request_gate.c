/* SPDX-License-Identifier: Apache-2.0 */
/* The gate: what a request asks for, who it is from, and whether they may. */
#include "gateway/authorize.h"
#include "gateway/op_sts.h"
#include "gateway/quota.h"
#include "gateway/request_priv.h"
#include "gateway/request_stranger.h"
#include "gateway/sigv2.h"
#include "gateway/website.h"

/* 2026-01-01: an earlier clock is one that was not set yet, and no date can be judged by it. */
#define CLOCK_MS_MIN UINT64_C(1767225600000)

/* What the target asks for. */
static enum s3_code read_target(struct request *request)
{
	const struct exchange *x = request->exchange;
	const struct gateway_settings *settings = &request->loop->gateway->settings;
	struct bytes host = {0};

	if (uri_split(x->target, &request->uri) != ERR_OK)
		return S3_INVALID_URI;
	request_header(request, "host", &host);
	size_t query_len = request->uri.query.len;
	size_t path_len = request->uri.path.len + host.len;
	if (query_len + path_len > sizeof request->target_buf)
		return S3_INVALID_URI;
	if (query_parse(request->uri.query, request->target_buf, query_len, &request->query) !=
		ERR_OK)
		return S3_INVALID_URI;
	uint8_t *buf = request->target_buf + query_len;
	size_t cap = sizeof request->target_buf - query_len;
	if (settings->website_domain_count > 0) {
		enum s3_code code = uri_resolve(request->uri.path, host, settings->website_domains,
			settings->website_domain_count, buf, cap, &request->resource,
			&request->error);
		request->is_website = code == S3_OK && request->resource.is_virtual_host;
		if (code != S3_OK || request->is_website)
			return code;
	}
	return uri_resolve(request->uri.path, host, settings->domains, settings->domain_count, buf,
		cap, &request->resource, &request->error);
}

static enum s3_code find_route(struct request *request)
{
	const struct exchange *x = request->exchange;
	enum route_scope scope = request->resource.key.len > 0 ? ROUTE_OBJECT
		: request->resource.bucket.len > 0             ? ROUTE_BUCKET
							       : ROUTE_SERVICE;
	enum s3_code code = route_find(
		x->method, scope, &request->query, x->headers, x->header_count, &request->route);
	if (code == S3_METHOD_NOT_ALLOWED) {
		static const char *const types[] = {"SERVICE", "BUCKET", "OBJECT"};
		s3_error_add(&request->error, "Method", x->method_name);
		s3_error_add(&request->error, "ResourceType", bytes_of(types[scope]));
	}
	return code;
}

struct sigv4_request request_signed(const struct request *request)
{
	const struct exchange *x = request->exchange;
	return (struct sigv4_request){
		.method = x->method_name,
		.path = request->uri.path,
		.query = &request->query,
		.headers = x->headers,
		.header_count = x->header_count,
		.host_bucket = request->resource.is_virtual_host ? request->resource.bucket
								 : (struct bytes){0},
	};
}

static struct sigv4_settings signature_settings(const struct request *request)
{
	const struct gateway_settings *settings = &request->loop->gateway->settings;
	return (struct sigv4_settings){
		.region = settings->region,
		.region_is_strict = settings->region_is_strict,
		.v2 = settings->v2,
	};
}

/* A browser asks what it may ask: it has nothing to sign with. */
bool request_is_preflight(const struct request *request)
{
	return request->exchange->method == HTTP_OPTIONS && request->resource.bucket.len > 0;
}

/* All that can be refused without the index. Whether there is such an operation is told only to who
 * has signed. */
enum s3_code request_parse(struct request *request)
{
	struct sigv4_request signed_one;
	struct sigv4_settings settings = signature_settings(request);

	enum s3_code code = read_target(request);
	if (code != S3_OK)
		return code;
	if (request->now_ms < CLOCK_MS_MIN) {
		request->error.message = "The clock of this server is not set.";
		return S3_SERVICE_UNAVAILABLE;
	}
	if (request_is_preflight(request))
		return S3_OK;
	if (op_sts_is_meant(request)) { /* it asks who it is when it has read the form */
		request->auth = (struct sigv4){
			.is_anonymous = true, .payload = SIGV4_PAYLOAD_UNSIGNED};
		request->route = &op_sts_route;
		return S3_OK;
	}
	if (request->is_website)
		return website_prepare(request);
	signed_one = request_signed(request);
	code = sigv4_parse(
		&signed_one, &settings, request->now_ms / 1000, &request->auth, &request->error);
	if (code != S3_OK)
		return code;
	/* Only the rules of a bucket may let strangers in. */
	return request->auth.is_anonymous && request->resource.bucket.len == 0 ? S3_ACCESS_DENIED
									       : S3_OK;
}

/* Copies the bucket's row out of the view, and takes its rules. */
static enum s3_code find_bucket(struct request *request)
{
	struct row_bucket *bucket = &request->bucket;
	enum err err = ERR_NOT_FOUND;
	if (request->resource.bucket.len <= ROW_BUCKET_NAME_LEN_MAX)
		err = index_bucket_find(request_reader(request), request->resource.bucket, bucket);
	if (err != ERR_OK)
		return s3_error_from_err(err, S3_NO_SUCH_BUCKET);
	assert(bucket->name.len + bucket->owner.len <= sizeof request->bucket_buf);
	memcpy(request->bucket_buf, bucket->name.data, bucket->name.len);
	bucket->name.data = request->bucket_buf;
	uint8_t *owner = request->bucket_buf + bucket->name.len;
	if (bucket->owner.len > 0)
		memcpy(owner, bucket->owner.data, bucket->owner.len);
	bucket->owner.data = owner;
	err = bucket_rules_take(
		&request->loop->rules, request_reader(request), bucket, &request->rules);
	return err == ERR_OK ? S3_OK : s3_error_from_err(err, S3_INTERNAL_ERROR);
}

/* Who signed; nobody is somebody, too. */
static enum s3_code identify(struct request *request)
{
	struct gateway_loop *loop = request->loop;
	struct sigv4_request signed_one = request_signed(request);

	auth_principal_fini(&request->principal);
	if (request->auth.is_anonymous) {
		request->principal = (struct auth_principal){.is_anonymous = true};
		return S3_OK;
	}
	return auth_verify(&loop->keys, request_reader(request), loop->gateway->secrets,
		request->now_ms, &signed_one, &request->auth, &request->principal, &request->error);
}

/* A signature of version 2 says nothing of sub-resources that came after it. */
static enum s3_code check_covered(struct request *request)
{
	const struct route *route = request->route;
	if (!request->auth.is_v2 || request->auth.form_policy.len > 0)
		return S3_OK;
	for (size_t i = 0; i < ROUTE_PARAMS_MAX && route->params[i]; i++) {
		if (sigv2_covers(route->params[i]))
			continue;
		request->error.message = "The authorization mechanism you have provided does not "
					 "cover this operation. Please use AWS4-HMAC-SHA256.";
		return S3_INVALID_REQUEST;
	}
	return S3_OK;
}

/* Of the bucket that is there. */
static enum s3_code check_rights(struct request *request)
{
	struct bytes expected;
	enum s3_code code = authorize_request(request);
	if (code != S3_OK)
		return code;
	if (request_header(request, "x-amz-expected-bucket-owner", &expected) &&
		!bytes_is_equal(expected, request->bucket.owner))
		return S3_ACCESS_DENIED;
	return S3_OK;
}

/* Under a view: who is it, is there such a bucket, and may they? */
enum s3_code request_admit(struct request *request)
{
	enum s3_code code = identify(request);
	if (code == S3_OK && request->is_website)
		code = find_bucket(request);
	if (code == S3_OK && request->is_website)
		return website_admit(request);
	if (code != S3_OK)
		return code;
	code = find_route(request);
	if (code == S3_OK)
		code = check_covered(request);
	if (request->principal.is_anonymous &&
		(code != S3_OK || !(request->route->flags & ROUTE_BUCKET_MUST_BE)))
		return S3_ACCESS_DENIED;
	if (code != S3_OK)
		return code;
	if (!(request->route->flags & ROUTE_BUCKET_MUST_BE))
		return authorize_service(request) ? S3_OK : S3_ACCESS_DENIED;
	code = find_bucket(request);
	if (code != S3_OK)
		return code;
	if (request->route->flags & ROUTE_FORM)
		return S3_OK;
	code = check_rights(request);
	if (code == S3_OK && quota_is_exceeded(request))
		return S3_QUOTA_EXCEEDED;
	return code;
}

enum s3_code request_admit_form(struct request *request, const struct sigv4_form *form)
{
	struct sigv4_settings settings = signature_settings(request);
	assert(request->route->flags & ROUTE_FORM && request->state == REQUEST_RUNNING);
	request_stranger_end(request);
	enum s3_code code = sigv4_parse_form(form, &settings, &request->auth, &request->error);
	if (code != S3_OK)
		return code;
	enum err err = index_view_begin(request_reader(request));
	if (err != ERR_OK)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	code = identify(request);
	if (code == S3_OK)
		code = check_rights(request);
	index_view_end(request_reader(request));
	return code;
}

enum s3_code request_admit_signed(
	struct request *request, struct bytes service, struct bytes payload)
{
	struct sigv4_request signed_one = request_signed(request);
	struct sigv4_settings settings = signature_settings(request);
	settings.service = service;
	settings.payload = payload;
	request_stranger_end(request);
	enum s3_code code = sigv4_parse(
		&signed_one, &settings, request->now_ms / 1000, &request->auth, &request->error);
	if (code == S3_OK && request->auth.is_anonymous)
		code = S3_ACCESS_DENIED;
	if (code != S3_OK)
		return code;
	enum err err = index_view_begin(request_reader(request));
	if (err != ERR_OK)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	code = identify(request);
	index_view_end(request_reader(request));
	return code;
}
