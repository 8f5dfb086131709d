/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request.h"

#include <stdlib.h>

#include "gateway/authorize.h"
#include "gateway/cors.h"
#include "gateway/request_priv.h"
#include "gateway/sigv2.h"
#include "gateway/website.h"

/* 2026-01-01: an earlier clock is one that was not set yet, and no date can be judged by it. */
#define CLOCK_MS_MIN UINT64_C(1767225600000)

/* Free structs that are kept: a burst gives its memory back, a steady load allocates nothing. */
#define REQUESTS_KEPT_MAX 16

/* --- the life of the struct ------------------------------------------------------------------- */

static void set_id_text(struct request *request, uint64_t id)
{
	static const char digits[] = "0123456789ABCDEF";
	for (int i = 15; i >= 0; i--, id >>= 4)
		request->id_text[i] = digits[id & 15];
}

/* A free request, all zero up to its buffers. NULL: there are as many as may be. */
static struct request *take(struct gateway_loop *loop, struct exchange *x)
{
	struct request *request = loop->free_requests;
	if (request) {
		loop->free_requests = request->next;
		loop->free_count--;
	} else {
		if (loop->request_count >= loop->gateway->settings.requests_max)
			return NULL;
		request = malloc(sizeof *request);
		if (!request)
			return NULL;
		loop->request_count++;
	}
	memset(request, 0, offsetof(struct request, target_buf));
	request->magic = REQUEST_MAGIC;
	request->state = REQUEST_STARTING;
	request->loop = loop;
	request->exchange = x;
	request->reply_len = 0;
	s3_error_detail_init(&request->error);
	set_id_text(request, x->request_id);
	loop->counters.in_progress++;
	return request;
}

/* Lets those that wait begin, soon: not inside the end of another. */
static void admit_soon(struct gateway_loop *loop)
{
	if (!loop->waiting.first || loop->is_admit_posted)
		return;
	loop->is_admit_posted = true;
	loop_post(loop->loop, &loop->admit_task);
}

static void finish(struct request *request)
{
	struct gateway_loop *loop = request->loop;
	struct exchange *x = request->exchange;

	assert(request->magic == REQUEST_MAGIC && request->state == REQUEST_ENDING);
	if (request->fini)
		request->fini(request);
	if (request->text_wait.is_waiting)
		pool_wait_cancel(&loop->text_pool, &request->text_wait);
	pool_give(&loop->text_pool, request->text);
	bucket_rules_release(request->rules);
	auth_principal_fini(&request->principal);
	explicit_bzero(&request->auth.signing_key, sizeof request->auth.signing_key);
	request->magic = 0;
	request->state = REQUEST_FREE;
	if (loop->free_count < REQUESTS_KEPT_MAX) {
		request->next = loop->free_requests;
		loop->free_requests = request;
		loop->free_count++;
	} else {
		free(request);
		loop->request_count--;
	}
	loop->counters.in_progress--;
	exchange_end(x);
	admit_soon(loop);
}

void request_maybe_end(struct request *request)
{
	if (request->state == REQUEST_ENDING && request->holds == 0 && !request->is_sending &&
		!request->is_advancing && !request->is_advance_posted)
		finish(request);
}

void request_hold(struct request *request)
{
	assert(request->magic == REQUEST_MAGIC);
	request->holds++;
}

void request_release(struct request *request)
{
	assert(request->magic == REQUEST_MAGIC && request->holds > 0);
	request->holds--;
	request_maybe_end(request);
}

/* --- telling the handler ---------------------------------------------------------------------- */

void request_advance(struct request *request)
{
	assert(request->magic == REQUEST_MAGIC && !request->is_advancing);
	if (request->state == REQUEST_RUNNING) {
		request->is_advancing = true;
		request->advance(request);
		request->is_advancing = false;
	}
	request_maybe_end(request);
}

static void advance_posted(struct task *task)
{
	struct request *request = CONTAINER_OF(task, struct request, advance_task);
	request->is_advance_posted = false;
	request_advance(request);
}

void request_advance_soon(struct request *request)
{
	assert(request->magic == REQUEST_MAGIC);
	if (request->is_advance_posted)
		return;
	request->is_advance_posted = true;
	request->advance_task.run = advance_posted;
	loop_post(request->loop->loop, &request->advance_task);
}

static void readable(struct exchange *x)
{
	struct request *request = x->handler_data;
	request->is_readable = true;
	request_advance(request);
}

static void sent(struct exchange *x, enum err err)
{
	struct request *request = x->handler_data;
	assert(request->is_sending);
	request->is_sending = false;
	if (err != ERR_OK)
		request->is_gone = true;
	if (request->state == REQUEST_ANSWERING) {
		request->state = REQUEST_ENDING;
		if (request->last_sent)
			request->last_sent(request);
	}
	request_advance(request);
}

static void gone(struct exchange *x)
{
	struct request *request = x->handler_data;
	request->is_gone = true;
	request_advance(request);
}

/* --- the gate --------------------------------------------------------------------------------- */

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
static bool is_preflight(const struct request *request)
{
	return request->exchange->method == HTTP_OPTIONS && request->resource.bucket.len > 0;
}

/* All that can be refused without the index. Whether there is such an operation is told only to who
 * has signed. */
static enum s3_code parse(struct request *request)
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
	if (is_preflight(request))
		return S3_OK;
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
static enum s3_code admit(struct request *request)
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
	return request->route->flags & ROUTE_FORM ? S3_OK : check_rights(request);
}

enum s3_code request_admit_form(struct request *request, const struct sigv4_form *form)
{
	struct sigv4_settings settings = signature_settings(request);
	assert(request->route->flags & ROUTE_FORM && request->state == REQUEST_RUNNING);
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

/* Refused before a byte of the body is asked for: what the index has no room for. */
static bool has_no_room(const struct request *request)
{
	if ((request->route->flags & (ROUTE_WRITE | ROUTE_FREES)) != ROUTE_WRITE)
		return false;
	return !index_may_grow(request->loop->gateway->store->index);
}

/* The cluster is about to be put to rest: whoever writes comes back later. */
static bool is_closed(const struct request *request)
{
	const struct gateway *gateway = request->loop->gateway;
	uint64_t until_ns = atomic_load(&gateway->writes_closed_until_ns);
	return (request->route->flags & ROUTE_WRITE) && until_ns > 0 &&
		clock_mono_ns(gateway->clock) < until_ns;
}

static void run(struct request *request)
{
	const struct route *route = request->route;

	request->loop->counters.requests[route_index(route)]++;
	request->state = REQUEST_RUNNING;
	if (!route->start) {
		request_fail(request, route->refusal);
		return;
	}
	if (is_closed(request)) {
		static const struct http_header later = {
			.name = {(const uint8_t *)"retry-after", 11},
			.value = {(const uint8_t *)"30", 2}};
		request_fail_with(request, S3_SERVICE_UNAVAILABLE, &later, 1);
		return;
	}
	if (has_no_room(request)) {
		request_fail(request, S3_STORAGE_FULL);
		return;
	}
	if (request->is_website)
		website_start(request);
	else
		route->start(request);
}

/* Behind the barrier. */
static void enter(struct request *request, enum err err)
{
	if (err == ERR_OK)
		err = index_view_begin(request_reader(request));
	if (err != ERR_OK) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		return;
	}
	enum s3_code code = is_preflight(request) ? S3_OK : admit(request);
	if (code != S3_OK || is_preflight(request))
		cors_prepare(request);
	index_view_end(request_reader(request));
	if (code != S3_OK)
		request_fail_gate(request, code);
	else if (is_preflight(request))
		cors_answer_preflight(request);
	else
		run(request);
}

static void barrier_done(struct index_barrier *barrier, enum err err)
{
	struct request *request = CONTAINER_OF(barrier, struct request, barrier);
	assert(request->magic == REQUEST_MAGIC && request->state == REQUEST_STARTING);
	request->is_advancing = true;
	if (request->is_gone)
		request_abandon(request);
	else
		enter(request, err);
	request->is_advancing = false;
	request_release(request);
}

static void begin(struct request *request)
{
	enum s3_code code = parse(request);
	if (code != S3_OK) {
		request->loop->counters.unrouted++;
		if (index_view_begin(request_reader(request)) == ERR_OK) {
			cors_prepare(request);
			index_view_end(request_reader(request));
		}
		request_fail_gate(request, code);
		return;
	}
	request->barrier.loop = request->loop->loop;
	request->barrier.done = barrier_done;
	enum err err = index_read_barrier(request->loop->gateway->store->index, &request->barrier);
	if (err == ERR_BUSY)
		request_hold(request);
	else
		enter(request, err);
}

/* --- too many --------------------------------------------------------------------------------- */

static void refused_gone(struct exchange *x)
{
	(void)x; /* it was ended already: the server does not call */
}

static void refuse(struct gateway_loop *loop, struct exchange *x)
{
	struct http_response response = {.status = s3_error_status(S3_SLOW_DOWN), .has_len = true};
	struct http_header headers[] = {{bytes_of("retry-after"), bytes_of("1")}};

	response.headers = headers;
	response.header_count = ARRAY_COUNT(headers);
	loop->counters.errors_5xx++;
	loop->counters.unrouted++;
	x->gone = refused_gone;
	exchange_respond(x, &response);
	exchange_end(x);
}

static void refuse_waiting(struct request_queue *queue, struct exchange *x)
{
	refuse(CONTAINER_OF(queue, struct gateway_loop, waiting), x);
}

static void start(struct request *request, struct exchange *x)
{
	struct gateway_loop *loop = request->loop;
	x->handler_data = request;
	x->readable = readable;
	x->sent = sent;
	x->gone = gone;
	int64_t now_ms = clock_wall_ms(loop->gateway->clock);
	request->now_ms = now_ms > 0 ? now_ms : 0;
	request->is_advancing = true;
	begin(request);
	request->is_advancing = false;
	request_maybe_end(request);
}

static void admit_posted(struct task *task)
{
	struct gateway_loop *loop = CONTAINER_OF(task, struct gateway_loop, admit_task);
	loop->is_admit_posted = false;
	while (loop->waiting.first) {
		struct request *request = take(loop, loop->waiting.first);
		if (!request)
			return;
		start(request, request_queue_take(&loop->waiting));
	}
}

void request_loop_init(struct gateway_loop *loop)
{
	request_queue_init(&loop->waiting, loop->loop, refuse_waiting);
	loop->admit_task.run = admit_posted;
}

void request_start(struct exchange_handler *handler, struct exchange *x)
{
	struct gateway_loop *loop = CONTAINER_OF(handler, struct gateway_loop, handler);
	assert(x->loop == loop->loop);
	struct request *request = loop->waiting.first ? NULL : take(loop, x);
	if (request)
		start(request, x);
	else if (loop->request_count > 0)
		request_queue_append(&loop->waiting, x);
	else
		refuse(loop, x); /* no memory, and nobody to wait for */
}
