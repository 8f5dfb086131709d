/* SPDX-License-Identifier: Apache-2.0 */
/* The seam of exchanges, from the handler's side: a loop in this thread, clients on loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/http_hub.h"
#include "server/loop.h"
#include "tests/lib/test.h"

#define EVENTS_LEN 2048

/* A server of one loop, whose handler does what the test says and writes down what it saw. */
struct fixture {
	struct server_loop *loop;
	struct loop *base;
	struct http_hub *hub;
	struct exchange_handler handler;
	struct exchange *x; /* the running one */
	struct task task;
	struct timer timer, patience;
	unsigned step;
	unsigned exchange_count;
	bool in_call; /* an exchange's function runs: nothing may call back (X2) */
	bool is_stopped;
	void (*on_start)(struct fixture *f);
	void (*on_readable)(struct fixture *f);
	void (*on_sent)(struct fixture *f, enum err err);
	void (*on_gone)(struct fixture *f);
	void (*script)(struct fixture *f); /* the client, a step each few milliseconds */
	int client;
	char events[EVENTS_LEN];
	size_t events_len;
	uint8_t body[65536];
	size_t body_len;
	char answer[65536];
	size_t answer_len;
	bool answer_ended;
};

static struct fixture fixture;

static void note(struct fixture *f, const char *event)
{
	ck_assert(!f->in_call);
	f->events_len += snprintf(
		f->events + f->events_len, EVENTS_LEN - f->events_len, "%s ", event);
	ck_assert(f->events_len < EVENTS_LEN);
}

/* --- the handler ------------------------------------------------------------------------------ */

static enum err read_some(struct fixture *f, size_t cap)
{
	size_t len = 0;
	f->in_call = true;
	enum err err = exchange_read(f->x, f->body + f->body_len, cap, &len);
	f->in_call = false;
	f->body_len += len;
	return err;
}

static void respond(struct fixture *f, unsigned status, bool has_len, uint64_t len)
{
	struct http_response response = {.status = status, .has_len = has_len, .len = len};
	f->in_call = true;
	exchange_respond(f->x, &response);
	f->in_call = false;
}

static void send_text(struct fixture *f, const char *text, bool is_last)
{
	static char kept[256];
	struct iovec piece = {kept, strlen(text)};
	memcpy(kept, text, piece.iov_len);
	f->in_call = true;
	exchange_send(f->x, &piece, 1, is_last);
	f->in_call = false;
}

static void end(struct fixture *f)
{
	struct exchange *x = f->x;
	f->x = NULL;
	f->in_call = true;
	exchange_end(x);
	f->in_call = false;
}

static void readable(struct exchange *x)
{
	ck_assert_ptr_eq(x, fixture.x);
	note(&fixture, "readable");
	fixture.on_readable(&fixture);
}

static void sent(struct exchange *x, enum err err)
{
	ck_assert_ptr_eq(x, fixture.x);
	note(&fixture, err == ERR_OK ? "sent" : err_name(err));
	fixture.on_sent(&fixture, err);
}

static void gone(struct exchange *x)
{
	ck_assert_ptr_eq(x, fixture.x);
	note(&fixture, "gone");
	fixture.on_gone(&fixture);
}

static void start(struct exchange_handler *handler, struct exchange *x)
{
	struct fixture *f = CONTAINER_OF(handler, struct fixture, handler);
	ck_assert_ptr_null(f->x);
	note(f, "start");
	f->exchange_count++;
	f->x = x;
	x->readable = readable;
	x->sent = sent;
	x->gone = gone;
	f->on_start(f);
}

static void answer_empty(struct fixture *f)
{
	respond(f, 200, true, 0);
	end(f);
}

static void just_end(struct fixture *f)
{
	end(f);
}

static void end_when_sent(struct fixture *f, enum err err)
{
	(void)err;
	end(f);
}

static void read_all(struct fixture *f)
{
	enum err err;
	do
		err = read_some(f, sizeof f->body - f->body_len);
	while (err == ERR_OK);
	if (err == ERR_BUSY)
		return;
	note(f, err_name(err));
	if (err == ERR_END)
		answer_empty(f);
	else
		end(f);
}

/* --- the client ------------------------------------------------------------------------------- */

static void say(struct fixture *f, const char *text)
{
	size_t len = strlen(text);
	ck_assert_int_eq(send(f->client, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void stopped(void *arg)
{
	struct fixture *f = arg;
	f->is_stopped = true;
	server_loop_stop(f->loop);
}

static void finish(struct fixture *f)
{
	http_hub_stop(f->hub, 100, stopped, f);
}

static void tick(struct timer *timer)
{
	struct fixture *f = CONTAINER_OF(timer, struct fixture, timer);
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
	struct fixture *f = CONTAINER_OF(timer, struct fixture, patience);
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
	struct fixture *f = CONTAINER_OF(task, struct fixture, task);
	struct http_accepted accepted = {.handler = &f->handler, .peer = "192.0.2.1"};
	connect_pair(&f->client, &accepted.fd);
	http_hub_reserve(f->hub);
	http_hub_take(f->hub, &accepted);
	timer_set(f->base, &f->timer, 1);
	timer_set(f->base, &f->patience, 10 * 1000);
}

/* Runs the loop until the script has called finish(). */
static void run(struct fixture *f, const struct http_settings *settings)
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
		f->on_readable = read_all;
	if (!f->on_sent)
		f->on_sent = end_when_sent;
	if (!f->on_gone)
		f->on_gone = just_end;
	loop_post(f->base, &f->task);
	server_loop_run(f->loop);
	ck_assert_ptr_null(f->x);
	ck_assert_uint_eq(http_hub_connection_count(f->hub), 0);
	http_hub_free(f->hub);
	server_loop_free(f->loop);
	if (f->client >= 0)
		close(f->client);
}

static void run_default(struct fixture *f)
{
	struct http_settings settings = http_settings_default();
	settings.linger_timeout_ms = 50;
	run(f, &settings);
}

static struct fixture *reset(void)
{
	memset(&fixture, 0, sizeof fixture);
	return &fixture;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void script_of_body_in_pieces(struct fixture *f)
{
	static const char *const pieces[] = {
		"PUT /a HTTP/1.1\r\nHos", "t: a\r\nContent-Length: 11\r\n\r\n", "hello", " world"};
	if (f->step < 4)
		say(f, pieces[f->step]);
	else if (f->answer_len > 0)
		finish(f);
}

START_TEST(a_body_is_read_as_it_comes)
{
	struct fixture *f = reset();
	f->on_start = read_all;
	f->script = script_of_body_in_pieces;
	run_default(f);
	ck_assert_str_eq(f->events, "start readable readable END ");
	ck_assert_int_eq(memcmp(f->body, "hello world", 11), 0);
	ck_assert_ptr_nonnull(strstr(f->answer, "HTTP/1.1 200 OK\r\n"));
}
END_TEST

static void script_of_pipelining(struct fixture *f)
{
	if (f->step == 0) {
		static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
		static char text[100 * (sizeof head - 1) + 1];
		for (size_t i = 0; i < 100; i++)
			memcpy(text + i * (sizeof head - 1), head, sizeof head);
		say(f, text);
	}
	if (f->exchange_count == 100)
		finish(f);
}

START_TEST(a_hundred_requests_at_once_are_answered_one_by_one)
{
	struct fixture *f = reset();
	f->on_start = answer_empty;
	f->script = script_of_pipelining;
	run_default(f);
	ck_assert_uint_eq(f->exchange_count, 100);
}
END_TEST

static void send_hello(struct fixture *f)
{
	respond(f, 200, true, 5);
	send_text(f, "hello", true);
}

static void script_of_one_get(struct fixture *f)
{
	if (f->step == 0)
		say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step > 3 && !f->x && f->events_len > 6)
		finish(f);
}

START_TEST(what_was_sent_is_told_after_the_call)
{
	struct fixture *f = reset();
	f->on_start = send_hello;
	f->script = script_of_one_get;
	run_default(f);
	ck_assert_str_eq(f->events, "start sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "Content-Length: 5\r\n\r\nhello"));
}
END_TEST

static void do_nothing(struct fixture *f)
{
	(void)f;
}

static void script_of_late_answer(struct fixture *f)
{
	if (f->step == 0)
		say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step == 3)
		send_hello(f);
	if (f->step > 4 && !f->x)
		finish(f);
}

START_TEST(an_answer_may_come_from_outside_a_callback)
{
	struct fixture *f = reset();
	f->on_start = do_nothing;
	f->script = script_of_late_answer;
	run_default(f);
	ck_assert_str_eq(f->events, "start sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "hello"));
}
END_TEST

static void script_of_reset(struct fixture *f)
{
	struct linger linger = {.l_onoff = 1};
	if (f->step == 0)
		say(f, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
	if (f->step == 3) {
		setsockopt(f->client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
		close(f->client);
		f->client = -1;
	}
	if (f->step > 4 && !f->x)
		finish(f);
}

/* Reading, the client is gone: the read says so, then gone() is called unless the exchange ended.
 */
static void read_and_wait_for_gone(struct fixture *f)
{
	enum err err;
	do
		err = read_some(f, 100);
	while (err == ERR_OK);
	if (err != ERR_BUSY)
		note(f, err_name(err));
}

static void after_gone(struct fixture *f)
{
	ck_assert_err(read_some(f, 100), ERR_CLOSED);
	respond(f, 200, true, 5);
	send_text(f, "hello", true);
}

START_TEST(a_client_that_is_gone_is_told_once_and_everything_fails_after)
{
	struct fixture *f = reset();
	f->on_start = read_and_wait_for_gone;
	f->on_readable = read_and_wait_for_gone;
	f->on_gone = after_gone;
	f->script = script_of_reset;
	run_default(f);
	ck_assert_str_eq(f->events, "start readable CLOSED gone CLOSED ");
}
END_TEST

static void script_of_idle_reset(struct fixture *f)
{
	struct linger linger = {.l_onoff = 1};
	if (f->step == 0)
		say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step == 3) {
		setsockopt(f->client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
		close(f->client);
		f->client = -1;
	}
	if (f->step > 4 && !f->x)
		finish(f);
}

START_TEST(a_reset_is_noticed_while_the_handler_works)
{
	struct fixture *f = reset();
	f->on_start = do_nothing;
	f->script = script_of_idle_reset;
	run_default(f);
	ck_assert_str_eq(f->events, "start gone ");
}
END_TEST

static void script_of_half_close(struct fixture *f)
{
	if (f->step == 0) {
		say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		shutdown(f->client, SHUT_WR);
	}
	if (f->step == 3)
		send_hello(f);
	if (f->step > 4 && f->answer_ended)
		finish(f);
}

START_TEST(a_client_that_only_stops_sending_gets_its_answer)
{
	struct fixture *f = reset();
	f->on_start = do_nothing;
	f->script = script_of_half_close;
	run_default(f);
	ck_assert_str_eq(f->events, "start sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "hello"));
}
END_TEST

static void start_short(struct fixture *f)
{
	respond(f, 200, true, 10);
	send_text(f, "hello", false);
}

static void script_until_ended(struct fixture *f)
{
	if (f->step == 0)
		say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->answer_ended)
		finish(f);
}

START_TEST(an_answer_that_ends_early_cuts_the_connection)
{
	struct fixture *f = reset();
	f->on_start = start_short;
	f->script = script_until_ended;
	run_default(f);
	ck_assert(f->answer_ended);
}
END_TEST

START_TEST(an_exchange_without_an_answer_cuts_the_connection)
{
	struct fixture *f = reset();
	f->on_start = just_end;
	f->script = script_until_ended;
	run_default(f);
	ck_assert_uint_eq(f->answer_len, 0);
}
END_TEST

static void send_chunk(struct fixture *f)
{
	respond(f, 200, false, 0);
	send_text(f, "hello", false);
}

static void send_last_chunk(struct fixture *f, enum err err)
{
	(void)err;
	if (f->step == 0xff) {
		end(f);
		return;
	}
	f->step = 0xff - 1;
	send_text(f, "", true);
	f->step++;
}

START_TEST(an_answer_of_unknown_length_is_chunked)
{
	struct fixture *f = reset();
	f->on_start = send_chunk;
	f->on_sent = send_last_chunk;
	f->script = script_of_one_get;
	run_default(f);
	ck_assert_str_eq(f->events, "start sent sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "Transfer-Encoding: chunked\r\n"));
	ck_assert_ptr_nonnull(strstr(f->answer, "\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
}
END_TEST

static void answer_304(struct fixture *f)
{
	respond(f, f->exchange_count == 1 ? 304 : 204, false, 0);
	end(f);
}

static void script_of_two(struct fixture *f)
{
	if (f->step == 0)
		say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\nDELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->exchange_count == 2 && f->step > 4)
		finish(f);
}

START_TEST(answers_that_have_no_body_have_no_framing_either)
{
	struct fixture *f = reset();
	f->on_start = answer_304;
	f->script = script_of_two;
	run_default(f);
	ck_assert_ptr_nonnull(strstr(f->answer, "HTTP/1.1 304 "));
	ck_assert_ptr_nonnull(strstr(f->answer, "HTTP/1.1 204 "));
	ck_assert_ptr_null(strstr(f->answer, "chunked"));
	ck_assert_ptr_null(strstr(f->answer, "Content-Length"));
}
END_TEST

static void script_of_silent_body(struct fixture *f)
{
	if (f->step == 0)
		say(f, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
	if (f->answer_ended)
		finish(f);
}

START_TEST(a_body_that_does_not_come_times_out_for_the_handler)
{
	struct fixture *f = reset();
	struct http_settings settings = http_settings_default();
	settings.progress_timeout_ms = 50;
	settings.linger_timeout_ms = 50;
	f->on_start = read_all;
	f->script = script_of_silent_body;
	run(f, &settings);
	ck_assert_str_eq(f->events, "start readable TIMEOUT ");
}
END_TEST

static void script_of_waiting_handler(struct fixture *f)
{
	if (f->step == 0)
		say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step == 40)
		send_hello(f);
	if (f->step > 45 && !f->x)
		finish(f);
}

START_TEST(a_handler_that_takes_long_has_no_deadline_of_ours)
{
	struct fixture *f = reset();
	struct http_settings settings = http_settings_default();
	settings.progress_timeout_ms = settings.head_timeout_ms = settings.idle_timeout_ms = 50;
	f->on_start = do_nothing;
	f->script = script_of_waiting_handler;
	run(f, &settings);
	ck_assert_str_eq(f->events, "start sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "hello"));
}
END_TEST

static void script_of_stop(struct fixture *f)
{
	if (f->step == 0)
		say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step == 2)
		http_hub_stop(f->hub, 5000, stopped, f);
	if (f->step == 5)
		send_hello(f);
}

START_TEST(a_graceful_stop_lets_the_running_exchange_finish)
{
	struct fixture *f = reset();
	f->on_start = do_nothing;
	f->script = script_of_stop;
	run_default(f);
	ck_assert_str_eq(f->events, "start sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "Connection: close\r\n"));
	ck_assert_ptr_nonnull(strstr(f->answer, "hello"));
}
END_TEST

static void script_of_hard_stop(struct fixture *f)
{
	if (f->step == 0)
		say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step == 2)
		http_hub_stop(f->hub, 20, stopped, f);
}

START_TEST(a_stop_cuts_what_is_left_at_its_deadline)
{
	struct fixture *f = reset();
	f->on_start = do_nothing;
	f->script = script_of_hard_stop;
	run_default(f);
	ck_assert_str_eq(f->events, "start gone ");
}
END_TEST

static void read_late(struct fixture *f)
{
	if (f->step < 20)
		return;
	read_all(f);
}

static void script_of_back_pressure(struct fixture *f)
{
	static char text[60000];
	if (f->step == 0) {
		memset(text, 'x', sizeof text - 1);
		say(f, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 59999\r\n\r\n");
		fcntl(f->client, F_SETFL, O_NONBLOCK);
		ck_assert_int_gt(send(f->client, text, sizeof text - 1, MSG_NOSIGNAL), 0);
	}
	if (f->step == 20)
		read_all(f);
	if (f->step > 20 && f->answer_len > 0)
		finish(f);
}

START_TEST(a_body_waits_until_it_is_wanted)
{
	struct fixture *f = reset();
	f->on_start = read_late;
	f->script = script_of_back_pressure;
	run_default(f);
	ck_assert_uint_eq(f->body_len, 59999);
	ck_assert_int_eq(memcmp(f->events, "start ", 6), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http_conn");
	TCase *tests = tcase_create("http_conn");
	tcase_set_timeout(tests, 30);
	tcase_add_test(tests, a_body_is_read_as_it_comes);
	tcase_add_test(tests, a_hundred_requests_at_once_are_answered_one_by_one);
	tcase_add_test(tests, what_was_sent_is_told_after_the_call);
	tcase_add_test(tests, an_answer_may_come_from_outside_a_callback);
	tcase_add_test(tests, a_client_that_is_gone_is_told_once_and_everything_fails_after);
	tcase_add_test(tests, a_reset_is_noticed_while_the_handler_works);
	tcase_add_test(tests, a_client_that_only_stops_sending_gets_its_answer);
	tcase_add_test(tests, an_answer_that_ends_early_cuts_the_connection);
	tcase_add_test(tests, an_exchange_without_an_answer_cuts_the_connection);
	tcase_add_test(tests, an_answer_of_unknown_length_is_chunked);
	tcase_add_test(tests, answers_that_have_no_body_have_no_framing_either);
	tcase_add_test(tests, a_body_that_does_not_come_times_out_for_the_handler);
	tcase_add_test(tests, a_handler_that_takes_long_has_no_deadline_of_ours);
	tcase_add_test(tests, a_graceful_stop_lets_the_running_exchange_finish);
	tcase_add_test(tests, a_stop_cuts_what_is_left_at_its_deadline);
	tcase_add_test(tests, a_body_waits_until_it_is_wanted);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
