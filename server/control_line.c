/* SPDX-License-Identifier: Apache-2.0 */
/* What both sides of the control socket share: where it is, and lines on it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/control_priv.h"

enum err control_place_open(const char *state_dir, struct control_place *ret_place)
{
	int fd = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_from_errno(errno);
	memset(&ret_place->address, 0, sizeof ret_place->address);
	ret_place->address.sun_family = AF_UNIX;
	ret_place->dir_fd = fd;
	snprintf(ret_place->address.sun_path, sizeof ret_place->address.sun_path,
		"/proc/self/fd/%d/%s", fd, CONTROL_SOCKET);
	return ERR_OK;
}

void control_place_close(struct control_place *place)
{
	if (place->dir_fd >= 0)
		close(place->dir_fd);
	place->dir_fd = -1;
}

enum err control_line_limit(int fd, unsigned timeout_s)
{
	struct timeval timeout = {.tv_sec = timeout_s};
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0)
		return err_from_errno(errno);
	return ERR_OK;
}

enum err control_line_read(int fd, size_t len_max, char **ret_line)
{
	size_t cap = 4096, len = 0;
	char *line = malloc(cap);
	enum err err = line ? ERR_OK : ERR_NO_MEMORY;
	while (!err) {
		ssize_t got = recv(fd, line + len, cap - len - 1, 0);
		if (got <= 0) {
			err = ERR_CLOSED;
			break;
		}
		len += got;
		line[len] = '\0';
		if (memchr(line + len - got, '\n', got))
			break;
		if (len + 1 < cap)
			continue;
		if (cap >= len_max) {
			err = ERR_LIMIT;
			break;
		}
		char *longer = realloc(line, cap *= 2);
		if (!longer)
			err = ERR_NO_MEMORY;
		else
			line = longer;
	}
	if (err) {
		free(line);
		return err;
	}
	*ret_line = line;
	return ERR_OK;
}

enum err control_line_write(int fd, const json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	if (!text)
		return ERR_NO_MEMORY;
	size_t len = strlen(text);
	text[len++] = '\n'; /* in the place of its end, which is not sent */
	enum err err = ERR_OK;
	for (size_t sent = 0; !err && sent < len;) {
		ssize_t done = send(fd, text + sent, len - sent, MSG_NOSIGNAL);
		if (done <= 0)
			err = ERR_CLOSED;
		else
			sent += done;
	}
	free(text);
	return err;
}
