/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <h2o.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/listen.h"
#include "server/loop.h"
#include "storage/trace.h"

#define ACCEPTS_PER_TURN 64
#define PAUSE_MS 100 /* when the process has no descriptor or memory left */

struct http_listener {
	int fd;
	uint16_t port;
	struct tls *tls;
	bool require_tls;
	bool is_stopped;
	struct loop *loop;
	struct trace *trace;
	h2o_socket_t *socket;
	struct timer pause;
	struct task start;
	size_t hub_count;
	struct http_hub *hubs[LISTENER_HUB_COUNT_MAX];
	struct loop *loops[LISTENER_HUB_COUNT_MAX];
	struct exchange_handler *handlers[LISTENER_HUB_COUNT_MAX];
};

/* A connection on its way to another loop. */
struct hand_over {
	struct task task;
	struct http_hub *hub;
	struct http_accepted accepted;
};

static void arrive(struct task *task)
{
	struct hand_over *hand_over = CONTAINER_OF(task, struct hand_over, task);
	http_hub_take(hand_over->hub, &hand_over->accepted);
	free(hand_over);
}

static void format_peer(const struct sockaddr_storage *address, char *text, size_t cap)
{
	text[0] = 0;
	if (address->ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, cap);
	if (address->ss_family != AF_INET6)
		return;
	const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
	if (IN6_IS_ADDR_V4MAPPED(six))
		inet_ntop(AF_INET, six->s6_addr + 12, text, cap);
	else
		inet_ntop(AF_INET6, six, text, cap);
}

static void hand_over(struct http_listener *listener, struct http_accepted *accepted)
{
	size_t best = 0;

	for (size_t i = 1; i < listener->hub_count; i++) {
		if (http_hub_connection_count(listener->hubs[i]) <
			http_hub_connection_count(listener->hubs[best]))
			best = i;
	}
	accepted->handler = listener->handlers[best];
	if (listener->loops[best] == listener->loop) {
		http_hub_reserve(listener->hubs[best]);
		http_hub_take(listener->hubs[best], accepted);
		return;
	}
	struct hand_over *message = calloc(1, sizeof *message);
	if (!message) {
		close(accepted->fd);
		return;
	}
	http_hub_reserve(listener->hubs[best]);
	message->task.run = arrive;
	message->hub = listener->hubs[best];
	message->accepted = *accepted;
	loop_post(listener->loops[best], &message->task);
}

static void on_acceptable(h2o_socket_t *socket, const char *error)
{
	struct http_listener *listener = socket->data;

	(void)error;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct http_accepted accepted = {
			.tls = listener->tls, .require_tls = listener->require_tls};
		struct sockaddr_storage address;
		socklen_t len = sizeof address;
		accepted.fd = accept4(listener->fd, (struct sockaddr *)&address, &len,
			SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (accepted.fd >= 0) {
			format_peer(&address, accepted.peer, sizeof accepted.peer);
			hand_over(listener, &accepted);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			trace_event(listener->trace, TRACE_WARNING, 0,
				"cannot accept connections: %s", strerror(errno));
			h2o_socket_read_stop(socket);
			timer_set(listener->loop, &listener->pause, PAUSE_MS);
			return;
		}
		if (errno == EAGAIN)
			return;
		/* Anything else is about the connection that was to be accepted, or a signal. */
	}
}

static void go_on(struct timer *timer)
{
	struct http_listener *listener = CONTAINER_OF(timer, struct http_listener, pause);
	h2o_socket_read_start(listener->socket, on_acceptable);
}

static void begin(struct task *task)
{
	struct http_listener *listener = CONTAINER_OF(task, struct http_listener, start);

	if (listener->is_stopped)
		return;
	listener->socket = h2o_evloop_socket_create(server_loop_h2o(server_loop_of(listener->loop)),
		listener->fd, H2O_SOCKET_FLAG_DONT_READ);
	listener->socket->data = listener;
	h2o_socket_read_start(listener->socket, on_acceptable);
}

/* --- opening ---------------------------------------------------------------------------------- */

enum err http_listener_open(const struct http_listener_options *options, char *message,
	struct http_listener **ret_listener)
{
	assert(options->hub_count > 0 && options->hub_count <= LISTENER_HUB_COUNT_MAX);
	assert(options->tls || !options->require_tls);
	struct http_listener *listener = calloc(1, sizeof *listener);
	if (!listener) {
		snprintf(message, LISTENER_MESSAGE_LEN, "no memory");
		return ERR_NO_MEMORY;
	}
	enum err err = listen_open(
		options->address, options->port, message, &listener->fd, &listener->port);
	if (err) {
		free(listener);
		return err;
	}
	listener->tls = options->tls;
	listener->require_tls = options->require_tls;
	listener->loop = options->loop;
	listener->trace = options->trace;
	listener->pause.fire = go_on;
	listener->hub_count = options->hub_count;
	for (size_t i = 0; i < options->hub_count; i++) {
		listener->hubs[i] = options->hubs[i];
		listener->loops[i] = options->loops[i];
		listener->handlers[i] = options->handlers[i];
	}
	listener->start.run = begin;
	loop_post(listener->loop, &listener->start);
	*ret_listener = listener;
	return ERR_OK;
}

uint16_t http_listener_port(const struct http_listener *listener)
{
	return listener->port;
}

void http_listener_stop(struct http_listener *listener)
{
	assert(loop_is_current(listener->loop) && !listener->is_stopped);
	listener->is_stopped = true;
	timer_cancel(listener->loop, &listener->pause);
	if (listener->socket)
		h2o_socket_close(listener->socket);
	else
		close(listener->fd);
	listener->socket = NULL;
}

void http_listener_free(struct http_listener *listener)
{
	if (!listener)
		return;
	assert(listener->is_stopped);
	free(listener);
}
