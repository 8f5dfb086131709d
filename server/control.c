/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/node.h"
#include "server/thread.h"

struct control {
	struct node *node;
	int fd;
	int stop_fd;
	pthread_t thread;
	struct sockaddr_un address;
};

/* --- lines ---------------------------------------------------------------------------------------- */

static enum err set_timeout(int fd)
{
	struct timeval timeout = {.tv_sec = CONTROL_TIMEOUT_S};
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0)
		return err_from_errno(errno);
	return ERR_OK;
}

/* Reads up to a line's end; gives memory. */
static enum err read_line(int fd, char **ret_line)
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
		if (cap >= CONTROL_LINE_LEN_MAX) {
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

static enum err write_json(int fd, const json_t *json)
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

/* --- the node's side ------------------------------------------------------------------------------ */

static void answer(struct control *control, int fd)
{
	char *line = NULL;
	char message[CONTROL_MESSAGE_LEN] = "";
	json_t *result = NULL, *request = NULL;
	enum err err = set_timeout(fd);
	if (!err)
		err = read_line(fd, &line);
	if (!err) {
		request = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		err = request ? control_call(control->node, request, &result, message)
			      : ERR_INVALID;
	}
	json_t *reply = err ? json_pack("{s:s, s:s}", "error", message[0] ? message : err_text(err),
				      "code", err_name(err))
			    : json_pack("{s:o}", "result", result ? result : json_null());
	if (reply)
		err_ignore(write_json(fd, reply)); /* who asked has gone */
	json_decref(reply);
	json_decref(request);
	free(line);
}

static void *run(void *arg)
{
	struct control *control = arg;
	struct pollfd fds[2] = {
		{.fd = control->fd, .events = POLLIN}, {.fd = control->stop_fd, .events = POLLIN}};
	while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
		if (fds[1].revents)
			break;
		if (!fds[0].revents)
			continue;
		int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		answer(control, fd);
		close(fd);
	}
	return NULL;
}

static enum err make_address(const char *state_dir, struct sockaddr_un *address)
{
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	int len = snprintf(
		address->sun_path, sizeof address->sun_path, "%s/%s", state_dir, CONTROL_SOCKET);
	return len < (int)sizeof address->sun_path ? ERR_OK : ERR_LIMIT;
}

static enum err bind_socket(struct control *control, char *message)
{
	enum err err = make_address(control->node->config->state_dir, &control->address);
	if (err)
		return node_refuse(message, err,
			"state_dir is too long for a socket in it (at most %zu characters)",
			sizeof control->address.sun_path - sizeof CONTROL_SOCKET - 1);
	unlink(control->address.sun_path);
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mode_t mask = umask(0077);
	bool is_bound = control->fd >= 0 &&
		bind(control->fd, (struct sockaddr *)&control->address, sizeof control->address) ==
			0 &&
		listen(control->fd, 16) == 0;
	int number = errno;
	umask(mask);
	if (!is_bound)
		return node_refuse(message, err_from_errno(number), "%s: %s",
			control->address.sun_path, strerror(number));
	return ERR_OK;
}

enum err control_open(struct node *node, char *message, struct control **ret_control)
{
	struct control *control = calloc(1, sizeof *control);
	if (!control)
		return ERR_NO_MEMORY;
	control->node = node;
	control->fd = -1;
	control->stop_fd = eventfd(0, EFD_CLOEXEC);
	enum err err = control->stop_fd < 0 ? ERR_LIMIT : bind_socket(control, message);
	if (!err && pthread_create(&control->thread, NULL, run, control) != 0)
		err = ERR_NO_MEMORY;
	if (err) {
		if (control->fd >= 0)
			close(control->fd);
		if (control->stop_fd >= 0)
			close(control->stop_fd);
		free(control);
		return err;
	}
	pthread_setname_np(control->thread, "control");
	*ret_control = control;
	return ERR_OK;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	uint64_t one = 1;
	ssize_t written = write(control->stop_fd, &one, sizeof one);
	assert(written == sizeof one);
	pthread_join(control->thread, NULL);
	unlink(control->address.sun_path);
	close(control->fd);
	close(control->stop_fd);
	free(control);
}

/* --- the asking side ------------------------------------------------------------------------------ */

static enum err err_of_name(const char *name)
{
	for (int i = 0; i < ERR_COUNT; i++)
		if (name && strcmp(name, err_name(i)) == 0)
			return i;
	return ERR_IO;
}

static enum err take_reply(const char *line, json_t **ret_result, char *message)
{
	json_t *reply = json_loads(line, 0, NULL);
	json_t *result = json_object_get(reply, "result");
	enum err err = ERR_OK;
	if (result) {
		*ret_result = json_incref(result);
	} else {
		const char *text = json_string_value(json_object_get(reply, "error"));
		snprintf(message, CONTROL_MESSAGE_LEN, "%s",
			text ? text : "the node's answer was not understood");
		err = err_of_name(json_string_value(json_object_get(reply, "code")));
		if (err == ERR_OK)
			err = ERR_INVALID;
	}
	json_decref(reply);
	return err;
}

enum err control_ask(
	const char *state_dir, const json_t *request, json_t **ret_result, char *message)
{
	struct sockaddr_un address;
	enum err err = make_address(state_dir, &address);
	if (err)
		return err;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_from_errno(errno);
	char *line = NULL;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		int number = errno;
		if (number == EACCES)
			snprintf(message, CONTROL_MESSAGE_LEN,
				"%s: no permission; run this as the user that runs the node",
				address.sun_path);
		else
			snprintf(message, CONTROL_MESSAGE_LEN,
				"no node runs on %s; start one with rubus serve or rubus demo",
				state_dir);
		err = number == EACCES ? ERR_DENIED : ERR_CLOSED;
	}
	if (!err)
		err = set_timeout(fd);
	if (!err)
		err = write_json(fd, request);
	if (!err && (err = read_line(fd, &line)) != ERR_OK)
		snprintf(
			message, CONTROL_MESSAGE_LEN, "the node did not answer: %s", err_text(err));
	if (!err)
		err = take_reply(line, ret_result, message);
	free(line);
	close(fd);
	return err;
}
