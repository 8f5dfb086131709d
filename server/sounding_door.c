/* SPDX-License-Identifier: Apache-2.0 */
/* The side of server/sounding.h that answers. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <h2o.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/listen.h"
#include "server/loop.h"
#include "server/loop_call.h"
#include "server/node.h"
#include "server/sounding.h"
#include "storage/bytes.h"

#define DOOR_MS 60000
#define DATAGRAMS_PER_TURN 64
#define SECRETS 8 /* at a time; the oldest goes */

struct known_secret {
	uint8_t secret[SOUNDING_SECRET_LEN];
	uint64_t until_ms; /* of the cluster's loop; 0: none */
	unsigned answers;
	bool is_told; /* that a packet of ours was too long, by a router */
};

/* On the loop of the cluster, but for what the lock is of. */
struct sounding_door {
	struct cluster *cluster;
	pthread_mutex_t lock; /* of what follows */
	struct known_secret secrets[SECRETS];
	unsigned next, last; /* the slot to fill, the one that was answered last */
	bool is_posted;
	struct task open;

	int fd; /* -1: closed */
	h2o_socket_t *socket;
	struct timer close;
	bool is_stopped;
};

/* --- answers ---------------------------------------------------------------------------------- */

/* A router could not send on what we sent: notes it, and clears the error. */
static void take_error(struct sounding_door *door)
{
	uint8_t control[512], byte;
	struct iovec part = {&byte, sizeof byte};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	if (recvmsg(door->fd, &message, MSG_ERRQUEUE) < 0)
		return;
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head;
		head = CMSG_NXTHDR(&message, head)) {
		struct sock_extended_err error;
		bool is_error = (head->cmsg_level == IPPROTO_IP && head->cmsg_type == IP_RECVERR) ||
			(head->cmsg_level == IPPROTO_IPV6 && head->cmsg_type == IPV6_RECVERR);
		if (!is_error)
			continue;
		memcpy(&error, CMSG_DATA(head), sizeof error);
		if (error.ee_errno == EMSGSIZE && error.ee_origin != SO_EE_ORIGIN_LOCAL)
			door->secrets[door->last].is_told = true;
	}
}

/* Copies what the answer is to be. False: nobody we know (S1). */
static bool judge(struct sounding_door *door, const struct sounding_question *question,
	struct sounding_answer *answer)
{
	uint64_t now_ms = loop_now_ms(door->cluster->loop);
	bool is_known = false;
	pthread_mutex_lock(&door->lock);
	for (unsigned i = 0; i < SECRETS && !is_known; i++) {
		struct known_secret *secret = &door->secrets[i];
		is_known = secret->until_ms > now_ms && secret->answers < SOUNDING_ANSWERS_MAX &&
			memcmp(secret->secret, question->secret, SOUNDING_SECRET_LEN) == 0;
		if (!is_known)
			continue;
		secret->answers++;
		answer->is_told = secret->is_told;
		door->last = i;
	}
	pthread_mutex_unlock(&door->lock);
	return is_known;
}

/* Sends to where the question came from, from the address that it came to. */
static void answer(struct sounding_door *door, struct msghdr *asked,
	const struct sounding_question *question, const struct sounding_answer *answer)
{
	static uint8_t zeros[SOUNDING_LEN_MAX]; /* never written: takes no memory */
	uint8_t head[SOUNDING_LEN_MIN];
	struct iovec parts[2] = {{head, sizeof head}, {zeros, 0}};
	sounding_encode_answer(answer, head);
	if (question->answer_len > sizeof head)
		parts[1].iov_len = question->answer_len - sizeof head;
	struct msghdr message = {.msg_name = asked->msg_name,
		.msg_namelen = asked->msg_namelen,
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = asked->msg_control,
		.msg_controllen = asked->msg_controllen};
	/* What cannot be sent is lost, as it would be on the way. */
	if (sendmsg(door->fd, &message, 0) < 0 && errno == EMSGSIZE)
		take_error(door);
}

static void on_readable(h2o_socket_t *socket, const char *error)
{
	struct sounding_door *door = socket->data;
	(void)error;
	for (unsigned i = 0; i < DATAGRAMS_PER_TURN; i++) {
		uint8_t buf[SOUNDING_LEN_MIN], control[256];
		struct sockaddr_storage from;
		struct iovec part = {buf, sizeof buf};
		struct msghdr message = {.msg_name = &from,
			.msg_namelen = sizeof from,
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof control};
		struct sounding_question question;
		struct sounding_answer said = {0};
		char name[IF_NAMESIZE];
		size_t len;
		unsigned device;
		if (!sounding_receive(door->fd, &message, &len, &device)) {
			if (errno == EAGAIN) {
				take_error(door);
				return;
			}
			take_error(door);
			continue;
		}
		if (!sounding_decode_question(buf, len, &question) ||
			!judge(door, &question, &said))
			continue;
		said.number = question.number;
		said.len = (uint32_t)len;
		said.mtu = sounding_mtu(door->fd, device, name);
		answer(door, &message, &question, &said);
	}
}

/* --- the door --------------------------------------------------------------------------------- */

static void close_door(struct sounding_door *door)
{
	if (door->fd < 0)
		return;
	timer_cancel(door->cluster->loop, &door->close);
	h2o_socket_close(door->socket); /* and with it the descriptor */
	door->socket = NULL;
	door->fd = -1;
}

static void close_later(struct timer *timer)
{
	close_door(CONTAINER_OF(timer, struct sounding_door, close));
}

static enum err bind_door(struct sounding_door *door, int *ret_fd)
{
	struct sockaddr_storage address;
	socklen_t len;
	char host[64];
	uint16_t port;
	int fd, on = 1;
	enum err err = config_parse_address(
		door->cluster->node->config->cluster_address, host, &port);
	if (err)
		return err;
	if (!listen_parse_address(host, channel_port(door->cluster->channel), &address, &len))
		return ERR_INVALID;
	err = sounding_socket(address.ss_family, &fd);
	if (err)
		return err;
	/* Without what routers say the door is as good, but for one answer. */
	(void)setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
	if (address.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
	if (bind(fd, (const struct sockaddr *)&address, len) != 0) {
		err = err_from_errno(errno);
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return ERR_OK;
}

static void open_door(struct task *task)
{
	struct sounding_door *door = CONTAINER_OF(task, struct sounding_door, open);
	struct cluster *cluster = door->cluster;
	pthread_mutex_lock(&door->lock);
	door->is_posted = false;
	pthread_mutex_unlock(&door->lock);
	if (door->is_stopped)
		return;
	if (door->fd >= 0) {
		timer_cancel(cluster->loop, &door->close);
		timer_set(cluster->loop, &door->close, DOOR_MS);
		return;
	}
	enum err err = bind_door(door, &door->fd);
	if (err) {
		door->fd = -1;
		trace_event(cluster->node->trace, TRACE_WARNING, 0,
			"the UDP port %u, by which another node measures the MTU, cannot be "
			"opened: %s",
			channel_port(cluster->channel), err_text(err));
		return;
	}
	h2o_socket_t *socket = h2o_evloop_socket_create(
		server_loop_h2o(server_loop_of(cluster->loop)), door->fd,
		H2O_SOCKET_FLAG_DONT_READ);
	socket->data = door;
	door->socket = socket;
	h2o_socket_read_start(socket, on_readable);
	timer_set(cluster->loop, &door->close, DOOR_MS);
}

/* On any of the loops. */
static void serve(void *arg, struct peer_request *request)
{
	struct sounding_door *door = arg;
	bool is_first;
	if (request->head.len != SOUNDING_SECRET_LEN) {
		peer_request_answer(request, ERR_INVALID);
		return;
	}
	pthread_mutex_lock(&door->lock);
	struct known_secret *secret = &door->secrets[door->next];
	door->next = (door->next + 1) % SECRETS;
	*secret = (struct known_secret){.until_ms = loop_now_ms(request->peers->loop) + DOOR_MS};
	memcpy(secret->secret, request->head.data, SOUNDING_SECRET_LEN);
	is_first = !door->is_posted;
	door->is_posted = true;
	pthread_mutex_unlock(&door->lock);
	if (is_first)
		loop_post(door->cluster->loop, &door->open);
	peer_request_answer(request, ERR_OK);
}

enum err sounding_serve(struct cluster *cluster)
{
	struct sounding_door *door = calloc(1, sizeof *door);
	if (!door)
		return ERR_NO_MEMORY;
	cluster->sounding_door = door;
	door->cluster = cluster;
	door->fd = -1;
	door->open.run = open_door;
	door->close.fire = close_later;
	pthread_mutex_init(&door->lock, NULL);
	for (unsigned i = 0; i < cluster->node->config->loops; i++)
		peers_serve(cluster->loop_peers[i], PEER_SOUND, serve, door);
	return ERR_OK;
}

static enum err stop(void *arg)
{
	struct sounding_door *door = arg;
	door->is_stopped = true;
	close_door(door);
	return ERR_OK;
}

void sounding_stop(struct cluster *cluster)
{
	err_ignore(loop_call(cluster->loop, stop, cluster->sounding_door)); /* never fails */
}

void sounding_free(struct cluster *cluster)
{
	if (!cluster->sounding_door)
		return;
	pthread_mutex_destroy(&cluster->sounding_door->lock);
	free(cluster->sounding_door);
	cluster->sounding_door = NULL;
}
