/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/http_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/lib/test.h"

static struct http_rig the_rig;

void http_rig_note(struct http_rig *f, const char *event)
{
	ck_assert(!f->in_call);
	f->events_len += snprintf(
		f->events + f->events_len, HTTP_RIG_EVENTS_LEN - f->events_len, "%s ", event);
	ck_assert(f->events_len < HTTP_RIG_EVENTS_LEN);
}

/* --- the handler ------------------------------------------------------------------------------ */

enum err http_rig_read_some(struct http_rig *f, size_t cap)
{
	size_t len = 0;
	f->in_call = true;
	enum err err = exchange_read(f->x, f->body + f->body_len, cap, &len);
	f->in_call = false;
	f->body_len += len;
	return err;
}

void http_rig_respond(struct http_rig *f, unsigned status, bool has_len, uint64_t len)
{
	struct http_response response = {.status = status, .has_len = has_len, .len = len};
	f->in_call = true;
	exchange_respond(f->x, &response);
	f->in_call = false;
}

void http_rig_send_text(struct http_rig *f, const char *text, bool is_last)
{
	static char kept[256];
	struct iovec piece = {kept, strlen(text)};
	memcpy(kept, text, piece.iov_len);
	f->in_call = true;
	exchange_send(f->x, &piece, 1, is_last);
	f->in_call = false;
}

void http_rig_end(struct http_rig *f)
{
	struct exchange *x = f->x;
	f->x = NULL;
	f->in_call = true;
	exchange_end(x);
	f->in_call = false;
}

static void readable(struct exchange *x)
{
	ck_assert_ptr_eq(x, the_rig.x);
	http_rig_note(&the_rig, "readable");
	the_rig.on_readable(&the_rig);
}

static void sent(struct exchange *x, enum err err)
{
	ck_assert_ptr_eq(x, the_rig.x);
	http_rig_note(&the_rig, err == ERR_OK ? "sent" : err_name(err));
	the_rig.on_sent(&the_rig, err);
}

static void gone(struct exchange *x)
{
	ck_assert_ptr_eq(x, the_rig.x);
	http_rig_note(&the_rig, "gone");
	the_rig.on_gone(&the_rig);
}

static void start(struct exchange_handler *handler, struct exchange *x)
{
	struct http_rig *f = CONTAINER_OF(handler, struct http_rig, handler);
	ck_assert_ptr_null(f->x);
	http_rig_note(f, "start");
	f->exchange_count++;
	f->x = x;
	x->readable = readable;
	x->sent = sent;
	x->gone = gone;
	f->on_start(f);
}

void http_rig_answer_empty(struct http_rig *f)
{
	http_rig_respond(f, 200, true, 0);
	http_rig_end(f);
}

void http_rig_just_end(struct http_rig *f)
{
	http_rig_end(f);
}

static void end_when_sent(struct http_rig *f, enum err err)
{
	(void)err;
	http_rig_end(f);
}

void http_rig_read_all(struct http_rig *f)
{
	enum err err;
	do
		err = http_rig_read_some(f, sizeof f->body - f->body_len);
	while (err == ERR_OK);
	if (err == ERR_BUSY)
		return;
	http_rig_note(f, err_name(err));
	if (err == ERR_END)
		http_rig_answer_empty(f);
	else
		http_rig_end(f);
}

/* --- the client ------------------------------------------------------------------------------- */

void http_rig_say(struct http_rig *f, const char *text)
{
	size_t len = strlen(text);
	ck_assert_int_eq(send(f->client, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

void http_rig_stopped(void *arg)
{
	struct http_rig *f = arg;
	f->is_stopped = true;
	server_loop_stop(f->loop);
}

void http_rig_finish(struct http_rig *f)
{
	http_hub_stop(f->hub, 100, http_rig_stopped, f);
}

static void tick(struct timer *timer)
{
	struct http_rig *f = CONTAINER_OF(timer, struct http_rig, timer);
	ssize_t n;
	while (f->client >= 0 &&
		(n = recv(f->client, f->answer + f->answer_len,
			 sizeof f->answer - 1 - f->answer_len, MSG_DONTWAIT)) >= 0) {
		f->answer_len += n;
		f->answer_ended = n == 0;
		if (n == 0)
			break;
	}
	if (f->client >= 0 && !f->answer_ended && errno == ECONNRESET)
		f->answer_ended = true;
	f->answer[f->answer_len] = 0;
	f->script(f);
	f->step++;
	if (!f->is_stopped)
		timer_set(f->base, timer, 5);
}

static void lose_patience(struct timer *timer)
{
	struct http_rig *f = CONTAINER_OF(timer, struct http_rig, patience);
	ck_abort_msg("stuck at step %u after: %s", f->step, f->events);
}

/* Two ends of a TCP connection; a socketpair has no resets. */
static void connect_pair(int *ret_client, int *ret_server)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	*ret_client = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(*ret_client, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	ck_assert_int_eq(connect(*ret_client, (struct sockaddr *)&address, len), 0);
	*ret_server = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	setsockopt(*ret_server, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	int on = 1;
	setsockopt(*ret_client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	ck_assert_int_ge(*ret_server, 0);
	close(listener);
}

static void begin(struct task *task)
{
	struct http_rig *f = CONTAINER_OF(task, struct http_rig, task);
	struct http_accepted accepted = {.handler = &f->handler, .peer = "192.0.2.1"};
	connect_pair(&f->client, &accepted.fd);
	http_hub_reserve(f->hub);
	http_hub_take(f->hub, &accepted);
	timer_set(f->base, &f->timer, 1);
	timer_set(f->base, &f->patience, 10 * 1000);
}

/* Runs the loop until the script has called http_rig_finish(). */
void http_rig_run(struct http_rig *f, const struct http_settings *settings)
{
	struct server_loop_options options = {.is_ringless = true};
	ck_assert_ok(server_loop_new(0, "test", &options, &f->loop));
	f->base = server_loop_base(f->loop);
	ck_assert_ok(http_hub_new(f->base, settings, NULL, &f->hub));
	f->handler.start = start;
	f->task.run = begin;
	f->timer.fire = tick;
	f->patience.fire = lose_patience;
	if (!f->on_readable)
		f->on_readable = http_rig_read_all;
	if (!f->on_sent)
		f->on_sent = end_when_sent;
	if (!f->on_gone)
		f->on_gone = http_rig_just_end;
	loop_post(f->base, &f->task);
	server_loop_run(f->loop);
	ck_assert_ptr_null(f->x);
	ck_assert_uint_eq(http_hub_connection_count(f->hub), 0);
	http_hub_free(f->hub);
	server_loop_free(f->loop);
	if (f->client >= 0)
		close(f->client);
}

void http_rig_run_default(struct http_rig *f)
{
	struct http_settings settings = http_settings_default();
	settings.linger_timeout_ms = 50;
	http_rig_run(f, &settings);
}

struct http_rig *http_rig_reset(void)
{
	memset(&the_rig, 0, sizeof the_rig);
	return &the_rig;
}
