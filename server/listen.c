/* SPDX-License-Identifier: Apache-2.0 */
#include "server/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/port_owner.h"

#define BACKLOG 1024

bool listen_parse_address(
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

static enum err complain(const char *host, uint16_t port, int errno_value, char *message)
{
	char owner[128] = "another process";

	switch (errno_value) {
	case EADDRINUSE:
		port_owner_find(port, owner, sizeof owner);
		snprintf(message, LISTEN_MESSAGE_LEN, "port %u of %s is in use by %s", port, host,
			owner);
		return ERR_EXISTS;
	case EADDRNOTAVAIL:
		snprintf(message, LISTEN_MESSAGE_LEN, "%s is not an address of this machine", host);
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
		snprintf(message, LISTEN_MESSAGE_LEN, "no permission to listen on port %u of %s",
			port, host);
		return ERR_DENIED;
	case EMFILE:
	case ENFILE:
		snprintf(message, LISTEN_MESSAGE_LEN, "no file descriptor left");
		return ERR_LIMIT;
	default:
		snprintf(message, LISTEN_MESSAGE_LEN, "cannot listen on port %u of %s: %s", port,
			host, strerror(errno_value));
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

enum err listen_open(
	const char *host, uint16_t port, char *message, int *ret_fd, uint16_t *ret_port)
{
	struct sockaddr_storage address;
	socklen_t len = 0;
	if (!listen_parse_address(host, port, &address, &len)) {
		snprintf(message, LISTEN_MESSAGE_LEN, "%.200s is not a numeric address", host);
		return ERR_INVALID;
	}
	int fd = listen_on(&address, len);
	if (fd < 0)
		return complain(host, port, errno, message);
	*ret_fd = fd;
	*ret_port = port_of(fd);
	return ERR_OK;
}
