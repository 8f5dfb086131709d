/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request.h"

#include <stdlib.h>

#include "gateway/cors.h"
#include "gateway/op_sts.h"
#include "gateway/request_priv.h"
#include "gateway/request_stranger.h"
#include "gateway/website.h"

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
	request_stranger_end(request);
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

/* --- in at the gate --------------------------------------------------------------------------- */

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

static void run_sts(struct request *request)
{
	request->loop->counters.unrouted++; /* it is no operation of S3 */
	request->state = REQUEST_RUNNING;
	op_sts_start(request);
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
	bool is_sts = request->route == &op_sts_route;
	enum s3_code code = request_is_preflight(request) || is_sts ? S3_OK
								    : request_admit(request);
	if (code != S3_OK || request_is_preflight(request))
		cors_prepare(request);
	index_view_end(request_reader(request));
	if (code != S3_OK)
		request_fail_gate(request, code);
	else if (request_is_preflight(request))
		cors_answer_preflight(request);
	else if (is_sts)
		run_sts(request);
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
	enum s3_code code = request_parse(request);
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
