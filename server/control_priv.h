/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_PRIV_H
#define SERVER_CONTROL_PRIV_H

#include <sys/un.h>

#include "server/control.h"

/* The address of the socket in a state directory. It goes by way of a descriptor of the directory,
 * because an address has 108 bytes and a path may have more; it is good while the place is open. */
struct control_place {
	int dir_fd; /* -1: not open */
	struct sockaddr_un address;
};

/* Errors: those of opening a directory. */
MUST_USE enum err control_place_open(const char *state_dir, struct control_place *ret_place);
void control_place_close(struct control_place *place);

/* Lets no wait on a connection last longer than this. */
MUST_USE enum err control_line_limit(int fd, unsigned timeout_s);

/* Reads up to a line's end; gives memory. Errors: ERR_CLOSED, no line came; ERR_LIMIT, it is longer
 * than about len_max; ERR_NO_MEMORY. */
MUST_USE enum err control_line_read(int fd, size_t len_max, char **ret_line);

/* Writes a document (borrowed) as one line. Errors: ERR_CLOSED, ERR_NO_MEMORY. */
MUST_USE enum err control_line_write(int fd, const json_t *json);

#endif
