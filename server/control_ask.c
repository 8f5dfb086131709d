/* SPDX-License-Identifier: Apache-2.0 */
/* The asking side of the control socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/control_priv.h"

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

/* Why there is no connection, in one line. */
static enum err refuse(const char *state_dir, enum err err, char *message)
{
	if (err == ERR_DENIED)
		snprintf(message, CONTROL_MESSAGE_LEN,
			"%.300s: no permission; run this as the user that runs the node, or with "
			"sudo",
			state_dir);
	else
		snprintf(message, CONTROL_MESSAGE_LEN,
			"no node runs on %.300s; start one with rubus serve or rubus demo",
			state_dir);
	return err == ERR_DENIED ? ERR_DENIED : ERR_CLOSED;
}

static enum err reach(const char *state_dir, char *message, int *ret_fd)
{
	struct control_place place;
	enum err err = control_place_open(state_dir, &place);
	if (err)
		return refuse(state_dir, err, message);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&place.address, sizeof place.address) != 0) {
		err = refuse(state_dir, err_from_errno(errno), message);
		if (fd >= 0)
			close(fd);
	} else {
		*ret_fd = fd;
	}
	control_place_close(&place);
	return err;
}

enum err control_ask(
	const char *state_dir, const json_t *request, json_t **ret_result, char *message)
{
	int fd = -1;
	char *line = NULL;
	message[0] = '\0';
	enum err err = reach(state_dir, message, &fd);
	if (err)
		return err;
	err = control_line_limit(fd, CONTROL_ANSWER_TIMEOUT_S);
	if (!err)
		err = control_line_write(fd, request);
	if (!err)
		err = control_line_read(fd, CONTROL_ANSWER_LEN_MAX, &line);
	if (err)
		snprintf(message, CONTROL_MESSAGE_LEN, "the node did not answer: %s; see its log",
			err_text(err));
	else
		err = take_reply(line, ret_result, message);
	free(line);
	close(fd);
	return err;
}
