/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP server for tests and measurements: the real connections with a handler that knows
 *
 *	GET  /bytes/N      N bytes, with a length
 *	GET  /chunked/N    N bytes, without
 *	GET  /short/N      announces N bytes and ends after half of them
 *	PUT  /echo         the body, sent back while it comes
 *	PUT  /sink         reads the body and answers with its length
 *	PUT  /refuse       403, without a look at the body
 *	GET  /silent       ends without an answer
 *	GET  /inject       a header with a line break in its value
 *	GET  /stats        connections, and the memory of the process
 *
 * Everything else echoes the body with status 200. Prints "port N" when it is ready and ends on
 * SIGTERM or SIGINT.
 */
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/http_hub.h"
#include "server/http_listener.h"
#include "server/loop.h"
#include "server/tls.h"

#define BUFFER_LEN (256 * 1024)
#define LOOP_COUNT_MAX 16

struct server {
	size_t loop_count;
	struct server_loop *loops[LOOP_COUNT_MAX];
	struct loop *bases[LOOP_COUNT_MAX];
	struct http_hub *hubs[LOOP_COUNT_MAX];
	struct exchange_handler handlers[LOOP_COUNT_MAX];
	struct exchange_handler *handler_pointers[LOOP_COUNT_MAX];
};

static struct server server;
static uint8_t filler[BUFFER_LEN];

/* One exchange in the hands of this handler. */
struct echo {
	struct exchange *x;
	uint64_t left; /* to send from filler */
	uint64_t total; /* read */
	bool is_sink;
	bool is_short;
	bool is_sending;
	bool ended;
	size_t len;
	char text[128];
	uint8_t buffer[];
};

static void finish(struct echo *echo)
{
	struct exchange *x = echo->x;
	free(echo);
	exchange_end(x);
}

static void respond(struct exchange *x, unsigned status, bool has_len, uint64_t len)
{
	struct http_response response = {.status = status, .has_len = has_len, .len = len};
	exchange_respond(x, &response);
}

static void send_text(struct echo *echo, unsigned status)
{
	struct iovec piece = {echo->text, strlen(echo->text)};
	respond(echo->x, status, true, piece.iov_len);
	echo->ended = true;
	echo->is_sending = true;
	exchange_send(echo->x, &piece, 1, true);
}

/* --- filler ----------------------------------------------------------------------------------- */

static void send_filler(struct echo *echo)
{
	size_t len = echo->left < sizeof filler ? echo->left : sizeof filler;
	struct iovec piece = {filler, len};
	echo->left -= len;
	echo->is_sending = true;
	exchange_send(echo->x, &piece, 1, echo->left == 0 && !echo->is_short);
}

static void filler_sent(struct exchange *x, enum err err)
{
	struct echo *echo = x->handler_data;
	echo->is_sending = false;
	if (err != ERR_OK || echo->left == 0)
		finish(echo);
	else
		send_filler(echo);
}

/* --- echo ------------------------------------------------------------------------------------- */

static void pump(struct echo *echo)
{
	while (!echo->is_sending) {
		if (echo->ended) {
			finish(echo);
			return;
		}
		size_t len = 0;
		enum err err = exchange_read(echo->x, echo->buffer, BUFFER_LEN, &len);
		if (err == ERR_BUSY)
			return;
		echo->total += len;
		if (err == ERR_OK && echo->is_sink)
			continue;
		if (err == ERR_END && echo->is_sink) {
			snprintf(echo->text, sizeof echo->text, "%llu\n",
				(unsigned long long)echo->total);
			send_text(echo, 200);
			return;
		}
		if (err == ERR_OK || err == ERR_END) {
			struct iovec piece = {echo->buffer, len};
			echo->ended = err == ERR_END;
			echo->is_sending = true;
			exchange_send(echo->x, &piece, 1, echo->ended);
			return;
		}
		if (err == ERR_CLOSED || !echo->is_sink) {
			finish(echo);
			return;
		}
		snprintf(echo->text, sizeof echo->text, "%s\n", err_name(err));
		send_text(echo, err == ERR_TIMEOUT ? 408 : 400);
	}
}

static void echo_readable(struct exchange *x)
{
	pump(x->handler_data);
}

static void echo_sent(struct exchange *x, enum err err)
{
	struct echo *echo = x->handler_data;
	echo->is_sending = false;
	if (err != ERR_OK)
		finish(echo);
	else
		pump(echo);
}

static void echo_gone(struct exchange *x)
{
	finish(x->handler_data);
}

/* --- routes ----------------------------------------------------------------------------------- */

static bool route(struct exchange *x, const char *prefix, uint64_t *ret_number)
{
	char number[24] = "";
	struct bytes rest;
	if (!bytes_has_prefix(x->target, bytes_of(prefix)))
		return false;
	rest = bytes_from(x->target, strlen(prefix));
	memcpy(number, rest.data, rest.len < sizeof number ? rest.len : sizeof number - 1);
	*ret_number = strtoull(number, NULL, 10);
	return true;
}

static long resident_kib(void)
{
	long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/self/status", "re");
	while (file && fgets(line, sizeof line, file))
		sscanf(line, "RssAnon: %ld", &kib);
	if (file)
		fclose(file);
	return kib;
}

static void start_stats(struct echo *echo)
{
	struct http_counts counts = {0};
	unsigned connections = 0;
	for (size_t i = 0; i < server.loop_count; i++) {
		http_hub_add_counts(server.hubs[i], &counts);
		connections += http_hub_connection_count(server.hubs[i]);
	}
	snprintf(echo->text, sizeof echo->text,
		"connections %u requests %llu refused %llu evicted %llu rss_kib %ld\n", connections,
		(unsigned long long)counts.requests, (unsigned long long)counts.refused,
		(unsigned long long)counts.evicted, resident_kib());
	send_text(echo, 200);
}

static void start_filler(struct echo *echo, uint64_t len, bool has_len)
{
	echo->x->sent = filler_sent;
	echo->left = echo->is_short ? len / 2 : len;
	respond(echo->x, 200, has_len, len);
	if (echo->x->method == HTTP_HEAD || (has_len && len == 0))
		finish(echo);
	else
		send_filler(echo);
}

static void start_inject(struct echo *echo)
{
	struct http_header header = {bytes_of("x-evil"), bytes_of("a\r\nSet-Cookie: b")};
	struct http_response response = {
		.status = 200, .headers = &header, .header_count = 1, .has_len = true};
	exchange_respond(echo->x, &response);
	finish(echo);
}

static void start(struct exchange_handler *handler, struct exchange *x)
{
	uint64_t number = 0;
	bool is_fixed = bytes_has_prefix(x->target, bytes_of("/bytes/"));
	struct echo *echo = malloc(sizeof *echo + (is_fixed ? 0 : BUFFER_LEN));
	(void)handler;

	if (!echo) {
		exchange_end(x);
		return;
	}
	memset(echo, 0, sizeof *echo);
	echo->x = x;
	x->handler_data = echo;
	x->readable = echo_readable;
	x->sent = echo_sent;
	x->gone = echo_gone;
	echo->is_short = bytes_has_prefix(x->target, bytes_of("/short/"));
	if (route(x, "/bytes/", &number) || route(x, "/short/", &number)) {
		start_filler(echo, number, true);
	} else if (route(x, "/chunked/", &number)) {
		start_filler(echo, number, false);
	} else if (bytes_is_text(x->target, "/stats")) {
		start_stats(echo);
	} else if (bytes_is_text(x->target, "/refuse")) {
		respond(x, 403, true, 0);
		finish(echo);
	} else if (bytes_is_text(x->target, "/inject")) {
		start_inject(echo);
	} else if (bytes_is_text(x->target, "/silent")) {
		finish(echo);
	} else if (bytes_is_text(x->target, "/sink")) {
		echo->is_sink = true;
		pump(echo);
	} else {
		respond(x, 200, x->has_body_len || !x->has_body, x->body_len);
		if (x->has_body)
			pump(echo);
		else
			finish(echo);
	}
}

/* --- the process ------------------------------------------------------------------------------ */

struct stopping {
	struct task task;
	struct http_listener *listener;
	struct http_hub *hub;
	struct server_loop *loop;
};

static void hub_stopped(void *arg)
{
	struct stopping *stopping = arg;
	server_loop_stop(stopping->loop);
}

static void run_stop(struct task *task)
{
	struct stopping *stopping = CONTAINER_OF(task, struct stopping, task);
	if (stopping->listener)
		http_listener_stop(stopping->listener);
	http_hub_stop(stopping->hub, 2000, hub_stopped, stopping);
}

static void fail(const char *what)
{
	fprintf(stderr, "http_echo: %s\n", what);
	exit(EXIT_FAILURE);
}

static void make_loops(const struct http_settings *settings)
{
	static const struct server_loop_options options = {.is_ringless = true};
	for (size_t i = 0; i < server.loop_count; i++) {
		if (server_loop_new(i, "loop", &options, &server.loops[i]) != ERR_OK)
			fail("no loop");
		server.bases[i] = server_loop_base(server.loops[i]);
		if (http_hub_new(server.bases[i], settings, NULL, &server.hubs[i]) != ERR_OK)
			fail("no hub");
		server.handlers[i].start = start;
		server.handler_pointers[i] = &server.handlers[i];
		if (server_loop_start(server.loops[i]) != ERR_OK)
			fail("no thread");
	}
}

static void stop_all(struct http_listener *listener)
{
	struct stopping stopping[LOOP_COUNT_MAX] = {0};
	for (size_t i = 0; i < server.loop_count; i++) {
		stopping[i] = (struct stopping){
			.task = {.run = run_stop},
			.listener = i == 0 ? listener : NULL,
			.hub = server.hubs[i],
			.loop = server.loops[i],
		};
		loop_post(server.bases[i], &stopping[i].task);
		server_loop_join(server.loops[i]);
	}
	for (size_t i = 0; i < server.loop_count; i++) {
		http_hub_free(server.hubs[i]);
		server_loop_free(server.loops[i]);
	}
	http_listener_free(listener);
}

static int number_of(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);
	if (end == text || *end || number < 0 || number > INT_MAX)
		fail("a number is no number");
	return number;
}

int main(int argc, char **argv)
{
	struct http_settings settings = http_settings_default();
	struct http_listener_options options = {.address = "127.0.0.1"};
	char message[LISTENER_MESSAGE_LEN];
	const char *cert = NULL, *key = NULL;
	sigset_t signals;
	int number;

	server.loop_count = 1;
	for (int option; (option = getopt(argc, argv, "p:n:m:t:c:k:r")) != -1;) {
		if (option == 'p')
			options.port = number_of(optarg);
		else if (option == 'n')
			server.loop_count = number_of(optarg);
		else if (option == 'm')
			settings.connection_count_max = number_of(optarg);
		else if (option == 't')
			settings.head_timeout_ms = settings.idle_timeout_ms =
				settings.progress_timeout_ms = settings.linger_timeout_ms =
					number_of(optarg);
		else if (option == 'c')
			cert = optarg;
		else if (option == 'k')
			key = optarg;
		else if (option == 'r')
			options.require_tls = true;
		else
			return EXIT_FAILURE;
	}
	memset(filler, 'x', sizeof filler);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	if (cert && tls_new(cert, key, message, &options.tls) != ERR_OK)
		fail(message);
	make_loops(&settings);
	options.loop = server.bases[0];
	options.hubs = server.hubs;
	options.loops = server.bases;
	options.handlers = server.handler_pointers;
	options.hub_count = server.loop_count;
	struct http_listener *listener = NULL;
	if (http_listener_open(&options, message, &listener) != ERR_OK)
		fail(message);
	printf("port %u\n", http_listener_port(listener));
	fflush(stdout);
	sigwait(&signals, &number);
	stop_all(listener);
	tls_free(options.tls);
	return EXIT_SUCCESS;
}
