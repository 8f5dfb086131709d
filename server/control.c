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
#include <unistd.h>

#include "server/cluster.h"
#include "server/control_gone.h"
#include "server/control_priv.h"
#include "server/node.h"
#include "server/thread.h"

#define ACCEPT_RETRY_MS 100

struct control {
	struct node *node;
	int fd;
	int stop_fd;
	int wake_fd;
	pthread_t thread;
	struct control_place place;
};

/* --- the node's side -------------------------------------------------------------------------- */

static void answer(struct control *control, int fd)
{
	char *line = NULL;
	char message[NODE_MESSAGE_LEN] = ""; /* calls write it with node_refuse() */
	json_t *result = NULL, *request = NULL;
	enum err err = control_line_limit(fd, CONTROL_REQUEST_TIMEOUT_S);
	if (!err)
		err = control_line_read(fd, CONTROL_REQUEST_LEN_MAX, &line);
	if (!err) {
		request = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		err = request ? control_call(control->node, request, &result, message)
			      : ERR_INVALID;
	}
	json_t *reply = err ? json_pack("{s:s, s:s}", "error", message[0] ? message : err_text(err),
				      "code", err_name(err))
			    : json_pack("{s:o}", "result", result ? result : json_null());
	if (reply)
		err_ignore(control_line_write(fd, reply)); /* who asked has gone */
	json_decref(reply);
	json_decref(request);
	free(line);
}

/* What the cluster wants done by a thread that may wait. */
static void give_up(struct control *control)
{
	uint64_t count;
	struct cluster *cluster = control->node->cluster;
	if (read(control->wake_fd, &count, sizeof count) < 0 || !control->node->is_ready)
		return;
	uint16_t number = atomic_load(&cluster->gone_wanted);
	if (number > 0)
		control_give_up(control->node, number);
	atomic_store(&cluster->gone_wanted, 0);
}

void control_wake(struct control *control)
{
	uint64_t one = 1;
	if (control && write(control->wake_fd, &one, sizeof one) < 0)
		return; /* it is awake */
}

static void *run(void *arg)
{
	struct control *control = arg;
	struct pollfd fds[3] = {{.fd = control->fd, .events = POLLIN},
		{.fd = control->stop_fd, .events = POLLIN},
		{.fd = control->wake_fd, .events = POLLIN}};
	while (poll(fds, 3, -1) >= 0 || errno == EINTR) {
		if (fds[1].revents)
			break;
		if (fds[2].revents)
			give_up(control);
		if (!fds[0].revents)
			continue;
		int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) {
			/* Most often no descriptor is free; who asks is still there after a while.
			 */
			if (poll(&fds[1], 1, ACCEPT_RETRY_MS) > 0)
				break;
			continue;
		}
		answer(control, fd);
		close(fd);
	}
	return NULL;
}

static enum err bind_socket(struct control *control, char *message)
{
	const char *state_dir = control->node->config->state_dir;
	struct control_place *place = &control->place;
	enum err err = control_place_open(state_dir, place);
	if (err)
		return node_refuse(message, err, "%.300s: %s", state_dir, err_text(err));
	unlinkat(place->dir_fd, CONTROL_SOCKET, 0);
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mode_t mask = umask(0077);
	bool is_bound = control->fd >= 0 &&
		bind(control->fd, (struct sockaddr *)&place->address, sizeof place->address) == 0 &&
		listen(control->fd, 16) == 0;
	int number = errno;
	umask(mask);
	if (!is_bound)
		return node_refuse(message, err_from_errno(number), "%.300s/%s: %s", state_dir,
			CONTROL_SOCKET, strerror(number));
	return ERR_OK;
}

enum err control_open(struct node *node, char *message, struct control **ret_control)
{
	struct control *control = calloc(1, sizeof *control);
	if (!control)
		return ERR_NO_MEMORY;
	control->node = node;
	control->fd = -1;
	control->place.dir_fd = -1;
	control->stop_fd = eventfd(0, EFD_CLOEXEC);
	control->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	enum err err = control->stop_fd < 0 || control->wake_fd < 0 ? ERR_LIMIT
								    : bind_socket(control, message);
	if (!err && pthread_create(&control->thread, NULL, run, control) != 0)
		err = ERR_NO_MEMORY;
	if (err) {
		if (control->fd >= 0)
			close(control->fd);
		if (control->stop_fd >= 0)
			close(control->stop_fd);
		if (control->wake_fd >= 0)
			close(control->wake_fd);
		control_place_close(&control->place);
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
	unlinkat(control->place.dir_fd, CONTROL_SOCKET, 0);
	control_place_close(&control->place);
	close(control->fd);
	close(control->stop_fd);
	close(control->wake_fd);
	free(control);
}
