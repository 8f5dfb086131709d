/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "storage/err.h"

/* Sockets that listen, for clients and for nodes. */
#define LISTEN_MESSAGE_LEN 256

/* Reads a numeric address of either kind. */
bool listen_parse_address(
	const char *text, uint16_t port, struct sockaddr_storage *ret_address, socklen_t *ret_len);

/* Binds and listens, without waiting; what is accepted sends without delay. port 0 lets the system
 * choose. message has LISTEN_MESSAGE_LEN bytes and gets one sentence on failure, which names the
 * process that has the port when that can be known. Errors: ERR_EXISTS, the port is in use;
 * ERR_DENIED; ERR_INVALID, the address; ERR_NOT_FOUND, it is not an address of this machine;
 * ERR_LIMIT; those of errno. */
MUST_USE enum err listen_open(
	const char *host, uint16_t port, char *message, int *ret_fd, uint16_t *ret_port);

#endif
