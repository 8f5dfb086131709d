/* SPDX-License-Identifier: Apache-2.0 */
/* The seam of exchanges, from the handler's side: a loop in this thread, clients on loopback. */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/http_rig.h"
#include "tests/lib/test.h"

static void script_of_body_in_pieces(struct http_rig *f)
{
	static const char *const pieces[] = {
		"PUT /a HTTP/1.1\r\nHos", "t: a\r\nContent-Length: 11\r\n\r\n", "hello", " world"};
	if (f->step < 4)
		http_rig_say(f, pieces[f->step]);
	else if (f->answer_len > 0)
		http_rig_finish(f);
}

START_TEST(a_body_is_read_as_it_comes)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = http_rig_read_all;
	f->script = script_of_body_in_pieces;
	http_rig_run_default(f);
	ck_assert_str_eq(f->events, "start readable readable END ");
	ck_assert_int_eq(memcmp(f->body, "hello world", 11), 0);
	ck_assert_ptr_nonnull(strstr(f->answer, "HTTP/1.1 200 OK\r\n"));
}
END_TEST

static void script_of_pipelining(struct http_rig *f)
{
	if (f->step == 0) {
		static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
		static char text[100 * (sizeof head - 1) + 1];
		for (size_t i = 0; i < 100; i++)
			memcpy(text + i * (sizeof head - 1), head, sizeof head);
		http_rig_say(f, text);
	}
	if (f->exchange_count == 100)
		http_rig_finish(f);
}

START_TEST(a_hundred_requests_at_once_are_answered_one_by_one)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = http_rig_answer_empty;
	f->script = script_of_pipelining;
	http_rig_run_default(f);
	ck_assert_uint_eq(f->exchange_count, 100);
}
END_TEST

static void send_hello(struct http_rig *f)
{
	http_rig_respond(f, 200, true, 5);
	http_rig_send_text(f, "hello", true);
}

static void script_of_one_get(struct http_rig *f)
{
	if (f->step == 0)
		http_rig_say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step > 3 && !f->x && f->events_len > 6)
		http_rig_finish(f);
}

START_TEST(what_was_sent_is_told_after_the_call)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = send_hello;
	f->script = script_of_one_get;
	http_rig_run_default(f);
	ck_assert_str_eq(f->events, "start sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "Content-Length: 5\r\n\r\nhello"));
}
END_TEST

static void do_nothing(struct http_rig *f)
{
	(void)f;
}

static void script_of_late_answer(struct http_rig *f)
{
	if (f->step == 0)
		http_rig_say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step == 3)
		send_hello(f);
	if (f->step > 4 && !f->x)
		http_rig_finish(f);
}

START_TEST(an_answer_may_come_from_outside_a_callback)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = do_nothing;
	f->script = script_of_late_answer;
	http_rig_run_default(f);
	ck_assert_str_eq(f->events, "start sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "hello"));
}
END_TEST

static void script_of_reset(struct http_rig *f)
{
	struct linger linger = {.l_onoff = 1};
	if (f->step == 0)
		http_rig_say(f, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
	if (f->step == 3) {
		setsockopt(f->client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
		close(f->client);
		f->client = -1;
	}
	if (f->step > 4 && !f->x)
		http_rig_finish(f);
}

/* Reading, the client is gone: the read says so, then gone() is called unless the exchange ended.
 */
static void read_and_wait_for_gone(struct http_rig *f)
{
	enum err err;
	do
		err = http_rig_read_some(f, 100);
	while (err == ERR_OK);
	if (err != ERR_BUSY)
		http_rig_note(f, err_name(err));
}

static void after_gone(struct http_rig *f)
{
	ck_assert_err(http_rig_read_some(f, 100), ERR_CLOSED);
	http_rig_respond(f, 200, true, 5);
	http_rig_send_text(f, "hello", true);
}

START_TEST(a_client_that_is_gone_is_told_once_and_everything_fails_after)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = read_and_wait_for_gone;
	f->on_readable = read_and_wait_for_gone;
	f->on_gone = after_gone;
	f->script = script_of_reset;
	http_rig_run_default(f);
	ck_assert_str_eq(f->events, "start readable CLOSED gone CLOSED ");
}
END_TEST

static void script_of_idle_reset(struct http_rig *f)
{
	struct linger linger = {.l_onoff = 1};
	if (f->step == 0)
		http_rig_say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step == 3) {
		setsockopt(f->client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
		close(f->client);
		f->client = -1;
	}
	if (f->step > 4 && !f->x)
		http_rig_finish(f);
}

START_TEST(a_reset_is_noticed_while_the_handler_works)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = do_nothing;
	f->script = script_of_idle_reset;
	http_rig_run_default(f);
	ck_assert_str_eq(f->events, "start gone ");
}
END_TEST

static void script_of_half_close(struct http_rig *f)
{
	if (f->step == 0) {
		http_rig_say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		shutdown(f->client, SHUT_WR);
	}
	if (f->step == 3)
		send_hello(f);
	if (f->step > 4 && f->answer_ended)
		http_rig_finish(f);
}

START_TEST(a_client_that_only_stops_sending_gets_its_answer)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = do_nothing;
	f->script = script_of_half_close;
	http_rig_run_default(f);
	ck_assert_str_eq(f->events, "start sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "hello"));
}
END_TEST

static void start_short(struct http_rig *f)
{
	http_rig_respond(f, 200, true, 10);
	http_rig_send_text(f, "hello", false);
}

static void script_until_ended(struct http_rig *f)
{
	if (f->step == 0)
		http_rig_say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->answer_ended)
		http_rig_finish(f);
}

START_TEST(an_answer_that_ends_early_cuts_the_connection)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = start_short;
	f->script = script_until_ended;
	http_rig_run_default(f);
	ck_assert(f->answer_ended);
}
END_TEST

START_TEST(an_exchange_without_an_answer_cuts_the_connection)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = http_rig_just_end;
	f->script = script_until_ended;
	http_rig_run_default(f);
	ck_assert_uint_eq(f->answer_len, 0);
}
END_TEST

static void send_chunk(struct http_rig *f)
{
	http_rig_respond(f, 200, false, 0);
	http_rig_send_text(f, "hello", false);
}

static void send_last_chunk(struct http_rig *f, enum err err)
{
	(void)err;
	if (f->step == 0xff) {
		http_rig_end(f);
		return;
	}
	f->step = 0xff - 1;
	http_rig_send_text(f, "", true);
	f->step++;
}

START_TEST(an_answer_of_unknown_length_is_chunked)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = send_chunk;
	f->on_sent = send_last_chunk;
	f->script = script_of_one_get;
	http_rig_run_default(f);
	ck_assert_str_eq(f->events, "start sent sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "Transfer-Encoding: chunked\r\n"));
	ck_assert_ptr_nonnull(strstr(f->answer, "\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
}
END_TEST

static void answer_304(struct http_rig *f)
{
	http_rig_respond(f, f->exchange_count == 1 ? 304 : 204, false, 0);
	http_rig_end(f);
}

static void script_of_two(struct http_rig *f)
{
	if (f->step == 0)
		http_rig_say(
			f, "GET / HTTP/1.1\r\nHost: a\r\n\r\nDELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->exchange_count == 2 && f->step > 4)
		http_rig_finish(f);
}

START_TEST(answers_that_have_no_body_have_no_framing_either)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = answer_304;
	f->script = script_of_two;
	http_rig_run_default(f);
	ck_assert_ptr_nonnull(strstr(f->answer, "HTTP/1.1 304 "));
	ck_assert_ptr_nonnull(strstr(f->answer, "HTTP/1.1 204 "));
	ck_assert_ptr_null(strstr(f->answer, "chunked"));
	ck_assert_ptr_null(strstr(f->answer, "Content-Length"));
}
END_TEST

static void script_of_silent_body(struct http_rig *f)
{
	if (f->step == 0)
		http_rig_say(f, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
	if (f->answer_ended)
		http_rig_finish(f);
}

START_TEST(a_body_that_does_not_come_times_out_for_the_handler)
{
	struct http_rig *f = http_rig_reset();
	struct http_settings settings = http_settings_default();
	settings.progress_timeout_ms = 50;
	settings.linger_timeout_ms = 50;
	f->on_start = http_rig_read_all;
	f->script = script_of_silent_body;
	http_rig_run(f, &settings);
	ck_assert_str_eq(f->events, "start readable TIMEOUT ");
}
END_TEST

static void script_of_waiting_handler(struct http_rig *f)
{
	if (f->step == 0)
		http_rig_say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step == 40)
		send_hello(f);
	if (f->step > 45 && !f->x)
		http_rig_finish(f);
}

START_TEST(a_handler_that_takes_long_has_no_deadline_of_ours)
{
	struct http_rig *f = http_rig_reset();
	struct http_settings settings = http_settings_default();
	settings.progress_timeout_ms = settings.head_timeout_ms = settings.idle_timeout_ms = 50;
	f->on_start = do_nothing;
	f->script = script_of_waiting_handler;
	http_rig_run(f, &settings);
	ck_assert_str_eq(f->events, "start sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "hello"));
}
END_TEST

static void script_of_stop(struct http_rig *f)
{
	if (f->step == 0)
		http_rig_say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step == 2)
		http_hub_stop(f->hub, 5000, http_rig_stopped, f);
	if (f->step == 5)
		send_hello(f);
}

START_TEST(a_graceful_stop_lets_the_running_exchange_finish)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = do_nothing;
	f->script = script_of_stop;
	http_rig_run_default(f);
	ck_assert_str_eq(f->events, "start sent ");
	ck_assert_ptr_nonnull(strstr(f->answer, "Connection: close\r\n"));
	ck_assert_ptr_nonnull(strstr(f->answer, "hello"));
}
END_TEST

static void script_of_hard_stop(struct http_rig *f)
{
	if (f->step == 0)
		http_rig_say(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	if (f->step == 2)
		http_hub_stop(f->hub, 20, http_rig_stopped, f);
}

START_TEST(a_stop_cuts_what_is_left_at_its_deadline)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = do_nothing;
	f->script = script_of_hard_stop;
	http_rig_run_default(f);
	ck_assert_str_eq(f->events, "start gone ");
}
END_TEST

static void script_of_stop_beside_lingering(struct http_rig *f)
{
	if (f->step == 0)
		http_rig_say(f, "nonsense\r\n\r\n");
	if (f->step == 5)
		http_hub_stop(f->hub, 20000, http_rig_stopped, f);
}

START_TEST(a_stop_waits_shortly_for_a_client_that_does_not_hang_up)
{
	struct http_rig *f = http_rig_reset();
	struct http_settings settings = http_settings_default();
	struct timespec begin, end;
	settings.linger_timeout_ms = 4000;
	f->on_start = do_nothing;
	f->script = script_of_stop_beside_lingering;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	http_rig_run(f, &settings);
	clock_gettime(CLOCK_MONOTONIC, &end);
	ck_assert_ptr_nonnull(strstr(f->answer, "HTTP/1.1 400 "));
	ck_assert_int_lt(end.tv_sec - begin.tv_sec, 3);
}
END_TEST

static void read_late(struct http_rig *f)
{
	if (f->step < 20)
		return;
	http_rig_read_all(f);
}

static void script_of_back_pressure(struct http_rig *f)
{
	static char text[60000];
	if (f->step == 0) {
		memset(text, 'x', sizeof text - 1);
		http_rig_say(f, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 59999\r\n\r\n");
		fcntl(f->client, F_SETFL, O_NONBLOCK);
		ck_assert_int_gt(send(f->client, text, sizeof text - 1, MSG_NOSIGNAL), 0);
	}
	if (f->step == 20)
		http_rig_read_all(f);
	if (f->step > 20 && f->answer_len > 0)
		http_rig_finish(f);
}

START_TEST(a_body_waits_until_it_is_wanted)
{
	struct http_rig *f = http_rig_reset();
	f->on_start = read_late;
	f->script = script_of_back_pressure;
	http_rig_run_default(f);
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
	tcase_add_test(tests, a_stop_waits_shortly_for_a_client_that_does_not_hang_up);
	tcase_add_test(tests, a_body_waits_until_it_is_wanted);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
