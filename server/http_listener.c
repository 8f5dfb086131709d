/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <h2o.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/loop.h"
#include "server/port_owner.h"
#include "storage/trace.h"

#define BACKLOG 1024
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

static bool parse_address(
	const char *text, uint16_t port, struct sockaddr_storage *ret_address, socklen_t *ret_len)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_address;

	memset(ret_address, 0, sizeof *ret_address);
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		*ret_len = sizeof *four;
		return true;
	}
	if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1)
		return false;
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	*ret_len = sizeof *six;
	return true;
}

static enum err complain(
	const struct http_listener_options *options, int errno_value, char *message)
{
	char owner[128] = "another process";

	switch (errno_value) {
	case EADDRINUSE:
		port_owner_find(options->port, owner, sizeof owner);
		snprintf(message, LISTENER_MESSAGE_LEN, "port %u of %s is in use by %s",
			options->port, options->address, owner);
		return ERR_EXISTS;
	case EADDRNOTAVAIL:
		snprintf(message, LISTENER_MESSAGE_LEN, "%s is not an address of this machine",
			options->address);
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
		snprintf(message, LISTENER_MESSAGE_LEN, "no permission to listen on port %u of %s",
			options->port, options->address);
		return ERR_DENIED;
	case EMFILE:
	case ENFILE:
		snprintf(message, LISTENER_MESSAGE_LEN, "no file descriptor left");
		return ERR_LIMIT;
	default:
		snprintf(message, LISTENER_MESSAGE_LEN, "cannot listen on port %u of %s: %s",
			options->port, options->address, strerror(errno_value));
		return err_from_errno(errno_value);
	}
}

static int listen_on(const struct sockaddr_storage *address, socklen_t len)
{
	int on = 1, off = 0;
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	/* Accepted connections inherit TCP_NODELAY. */
	bool is_set = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
	if (is_set && address->ss_family == AF_INET6)
		is_set = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0;
	if (is_set && bind(fd, (const struct sockaddr *)address, len) == 0 &&
		listen(fd, BACKLOG) == 0)
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;

	if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
		return 0;
	/* Both kinds have the port at the same place. */
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

enum err http_listener_open(const struct http_listener_options *options, char *message,
	struct http_listener **ret_listener)
{
	struct sockaddr_storage address;
	socklen_t len = 0;

	assert(options->hub_count > 0 && options->hub_count <= LISTENER_HUB_COUNT_MAX);
	assert(options->tls || !options->require_tls);
	if (!parse_address(options->address, options->port, &address, &len)) {
		snprintf(message, LISTENER_MESSAGE_LEN, "%.200s is not a numeric address",
			options->address);
		return ERR_INVALID;
	}
	struct http_listener *listener = calloc(1, sizeof *listener);
	if (!listener) {
		snprintf(message, LISTENER_MESSAGE_LEN, "no memory");
		return ERR_NO_MEMORY;
	}
	listener->fd = listen_on(&address, len);
	if (listener->fd < 0) {
		enum err err = complain(options, errno, message);
		free(listener);
		return err;
	}
	listener->port = port_of(listener->fd);
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
