/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of others: shaken on the listener's loop, then handed to the loop they asked for.
 *
 * Who has not proven anything costs a descriptor, a buffer and a deadline; there are at most
 * shake_count_max of them, and the oldest goes for one more. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/channel_priv.h"
#include "server/join.h"
#include "server/listen.h"
#include "server/loop.h"

#define ACCEPTS_PER_TURN 16
#define PAUSE_MS 100 /* when the process has no descriptor or memory left */

/* --- those that are being shaken -------------------------------------------------------------- */

static void remember(struct channel_link *link)
{
	struct channel_listener *listener = &link->channel->listener;
	link->next = listener->shaking;
	if (link->next)
		link->next->prev = link;
	else
		listener->oldest = link;
	listener->shaking = link;
	listener->shaking_count++;
}

void listener_forget(struct channel_link *link)
{
	struct channel_listener *listener = &link->channel->listener;
	if (link->prev)
		link->prev->next = link->next;
	else
		listener->shaking = link->next;
	if (link->next)
		link->next->prev = link->prev;
	else
		listener->oldest = link->prev;
	link->next = link->prev = NULL;
	listener->shaking_count--;
	if (link->joining)
		join_request_leave(link->joining);
	link->joining = NULL;
}

/* Tells the other side why not, if it knows the secret, and lets it go. */
static void refuse(struct channel_link *link, enum channel_refusal reason, uint64_t value)
{
	struct channel_refused refused = {.reason = reason,
		.version_min = CHANNEL_VERSION_MIN,
		.version_max = CHANNEL_VERSION_MAX,
		.value = value};
	uint8_t bytes[CHANNEL_REFUSAL_LEN];
	channel_shake_refuse(link->shake, &refused, bytes);
	/* Whoever does not take even this is not missed. */
	err_ignore(link_send_now(link, bytes, sizeof bytes));
	link_close(link, NULL);
}

/* Refuses a node that has proven itself, in a frame. */
static void say_bye(struct channel_link *link, enum channel_refusal reason, uint64_t value)
{
	struct channel_frame frame = {.type = CHANNEL_BYE, .err = reason, .value = value};
	uint8_t plain[CHANNEL_FRAME_LEN], wire[CHANNEL_FRAME_WIRE_LEN];
	channel_frame_encode(&frame, plain);
	if (channel_seal_put(&link->seal_out, (struct bytes){0}, plain, sizeof plain, wire,
		    wire + CHANNEL_FRAME_LEN) == ERR_OK)
		err_ignore(link_send_now(link, wire, sizeof wire)); /* as above */
	link_close(link, NULL);
}

static void complain(struct channel_link *link, enum channel_refusal reason)
{
	const struct channel_hello *hello = &link->shake->hello;
	char node[ID_TEXT_LEN], cluster[ID_TEXT_LEN];
	channel_complain(link->channel, reason, channel_who(hello->from),
		"refused node %s at %s (version %u to %u, cluster %.8s, epoch %llu): %s",
		channel_id_text(hello->from, node), link->name, hello->version_min,
		hello->version_max, channel_id_text(hello->cluster, cluster),
		(unsigned long long)hello->epoch, channel_refusal_text(reason));
}

/* --- hello ------------------------------------------------------------------------------------ */

static bool has_purpose(const struct channel *channel, uint8_t purpose)
{
	for (unsigned i = 0; i < channel->peers_count; i++) {
		if (channel->peers[i]->purpose == purpose)
			return true;
	}
	return purpose == CHANNEL_JOIN;
}

/* Why a node of this cluster, as it says, is not let in; 0: it may prove itself. */
static enum channel_refusal judge(struct channel_link *link, uint64_t *ret_value)
{
	struct channel *channel = link->channel;
	const struct channel_hello *hello = &link->shake->hello;
	struct channel_node node;
	if (channel_hello_version(hello) == 0)
		return CHANNEL_REFUSED_VERSION;
	if (!id_is_equal(hello->cluster, channel->self.cluster))
		return CHANNEL_REFUSED_CLUSTER;
	if (hello->purpose == CHANNEL_JOIN)
		return 0; /* it has the secret of a token */
	if (!id_is_equal(hello->to, channel->self.node))
		return CHANNEL_REFUSED_TO;
	if (id_is_equal(hello->from, channel->self.node))
		return CHANNEL_REFUSED_ELSEWHERE;
	bool is_known = channel_find_node(channel, hello->from, &node, ret_value);
	/* Another epoch is told to who has proven itself: see take_proof(). */
	if (!is_known)
		return CHANNEL_REFUSED_UNKNOWN;
	return has_purpose(channel, hello->purpose) ? 0 : CHANNEL_REFUSED_PURPOSE;
}

/* Finds the secret that the hello must know. */
static enum err find_secret(struct channel_link *link, const struct channel_hello *hello,
	uint8_t ret_secret[CHANNEL_KEY_LEN])
{
	struct channel *channel = link->channel;
	if (hello->purpose == CHANNEL_JOIN && channel_hello_version(hello) != 0) {
		if (!channel->join)
			return ERR_UNSUPPORTED;
		return channel->join->ops->find(channel->join, hello->to, ret_secret);
	}
	memcpy(ret_secret, channel->self.secret, CHANNEL_KEY_LEN);
	return ERR_OK;
}

static void take_hello(struct channel_link *link)
{
	struct channel *channel = link->channel;
	struct channel_hello hello;
	uint8_t secret[CHANNEL_KEY_LEN], accept[CHANNEL_ACCEPT_LEN];
	uint64_t value = 0;
	if (channel_hello_decode(link->in.buffer, &hello) != ERR_OK) {
		channel_complain(channel, CHANNEL_REFUSED_GARBAGE, 0, "%s: %s", link->name,
			channel_refusal_text(CHANNEL_REFUSED_GARBAGE));
		link_close(link, NULL);
		return;
	}
	link->shake = calloc(1, sizeof *link->shake);
	if (!link->shake) {
		link_close(link, NULL);
		return;
	}
	enum channel_refusal reason = hello.purpose == CHANNEL_JOIN  ? CHANNEL_REFUSED_TOKEN
		: !id_is_equal(hello.cluster, channel->self.cluster) ? CHANNEL_REFUSED_CLUSTER
								     : CHANNEL_REFUSED_SECRET;
	link->shake->hello = hello;
	/* Who does not know the secret gets no byte (K2). */
	if (find_secret(link, &hello, secret) != ERR_OK ||
		channel_shake_take(link->shake, &channel->self, secret, &hello, link->in.buffer) !=
			ERR_OK) {
		complain(link, reason);
		link_close(link, NULL);
		return;
	}
	reason = judge(link, &value);
	if (reason != 0) {
		complain(link, reason);
		refuse(link, reason, value);
		return;
	}
	link->in.to = 0;
	link->state = LINK_PROVING;
	if (channel_shake_accept(link->shake, accept) != ERR_OK ||
		link_send_now(link, accept, sizeof accept) != ERR_OK)
		link_close(link, NULL);
}

/* --- proof ------------------------------------------------------------------------------------ */

void channel_forget_proven(struct channel_link *link)
{
	struct channel *channel = link->channel;
	pthread_mutex_lock(&channel->lock);
	struct channel_link **at = &channel->proven;
	while (*at && *at != link)
		at = &(*at)->next_proven;
	if (*at)
		*at = link->next_proven;
	pthread_mutex_unlock(&channel->lock);
}

/* Is this node here in another life (K4)? And who has the link of these peers (K3)? */
static bool is_elsewhere(struct channel_link *link, struct channel_peers **ret_peers)
{
	struct channel *channel = link->channel;
	uint64_t now_ms = loop_now_ms(channel->listener.loop);
	for (struct channel_link *other = channel->proven; other; other = other->next_proven) {
		if (!id_is_equal(other->node, link->node))
			continue;
		uint64_t heard_ms = atomic_load_explicit(&other->heard_ms, memory_order_relaxed);
		if (other->life != link->life && heard_ms + channel->settings.silence_ms > now_ms)
			return true;
		if (other->life == link->life && other->index == link->index)
			*ret_peers = other->peers;
	}
	return false;
}

static struct channel_peers *choose_peers(const struct channel *channel, uint8_t purpose)
{
	struct channel_peers *best = NULL;
	for (unsigned i = 0; i < channel->peers_count; i++) {
		struct channel_peers *peers = channel->peers[i];
		if (peers->purpose == purpose &&
			(!best ||
				atomic_load(&peers->accepted_count) <
					atomic_load(&best->accepted_count)))
			best = peers;
	}
	return best;
}

/* Finds the loop of a proven link; 0, or why there is none. */
static enum channel_refusal find_place(struct channel_link *link, struct channel_peers **ret_peers)
{
	struct channel *channel = link->channel;
	struct channel_peers *peers = NULL;
	enum channel_refusal reason = 0;
	pthread_mutex_lock(&channel->lock);
	if (is_elsewhere(link, &peers))
		reason = CHANNEL_REFUSED_ELSEWHERE;
	if (!peers)
		peers = choose_peers(channel, link->purpose);
	if (!reason && (!peers || peers->purpose != link->purpose))
		reason = CHANNEL_REFUSED_PURPOSE;
	if (!reason &&
		atomic_load(&peers->accepted_count) >= channel_link_limit(channel, link->purpose))
		reason = CHANNEL_REFUSED_FULL;
	if (!reason) {
		atomic_fetch_add(&peers->accepted_count, 1);
		atomic_store(&link->heard_ms, loop_now_ms(channel->listener.loop));
		link->next_proven = channel->proven;
		channel->proven = link;
	}
	pthread_mutex_unlock(&channel->lock);
	*ret_peers = peers;
	return reason;
}

/* On the loop that has it from now on. */
static void arrive(struct task *task)
{
	struct channel_link *link = CONTAINER_OF(task, struct channel_link, task);
	struct channel_peers *peers = link->peers;
	const struct channel_settings *settings = &link->channel->settings;
	char id[ID_TEXT_LEN];
	assert(link->state == LINK_MOVING);
	for (struct channel_link *other = peers->accepted, *next; other; other = next) {
		next = other->next;
		if (id_is_equal(other->node, link->node) &&
			(other->life != link->life || other->index == link->index))
			link_close(other, "the node has dialed anew"); /* (K3) */
	}
	if (peers->is_stopped || link->epoch != peers->epoch) {
		link_close(link, NULL);
		return;
	}
	if (peers->reserved_len + settings->window_len > peers->limit_len) {
		trace_event(link->channel->trace, TRACE_WARNING, 0,
			"node channel: no room for a link of node %s: requests of links that broke "
			"are not answered yet",
			channel_id_text(link->node, id));
		say_bye(link, CHANNEL_REFUSED_FULL, 0);
		return;
	}
	peers->reserved_len += settings->window_len;
	link->granted = settings->window_len;
	link->next = peers->accepted;
	if (link->next)
		link->next->prev = link;
	peers->accepted = link;
	link->remote = channel_find_remote(peers, link->node);
	link_attach(link, peers->loop);
	link->state = LINK_OPEN;
	channel_count(&peers->cells.links_accepted, 1);
	if (link_open(link) != ERR_OK) {
		link_close(link, "no memory");
		return;
	}
	link->ready_owed = true;
	link_mark(link);
}

static void move(struct channel_link *link, struct channel_peers *peers)
{
	struct channel *channel = link->channel;
	timer_cancel(channel->listener.loop, &link->timer);
	listener_forget(link);
	link_detach(link);
	link->state = LINK_MOVING;
	link->peers = peers;
	link->task.run = arrive;
	loop_post(peers->loop, &link->task);
}

static void take_proof(struct channel_link *link)
{
	struct channel *channel = link->channel;
	struct channel_shake *shake = link->shake;
	struct channel_node node = {0};
	struct channel_peers *peers;
	enum channel_refusal reason = 0;
	uint64_t epoch = 0;
	if (channel_shake_proven(shake, link->in.buffer) != ERR_OK) {
		complain(link, CHANNEL_REFUSED_KEY);
		link_close(link, NULL);
		return;
	}
	link->node = shake->hello.from;
	link->life = shake->hello.life;
	link->index = shake->hello.index;
	link->purpose = shake->hello.purpose;
	link->epoch = shake->hello.epoch;
	link->in.to = 0;
	if (channel_shake_finish(shake, &link->seal_out, &link->seal_in) != ERR_OK) {
		link_close(link, NULL);
		return;
	}
	if (link->purpose == CHANNEL_JOIN) {
		link->state = LINK_JOINING;
		return;
	}
	/* The table may have changed since the hello. */
	if (!channel_find_node(channel, link->node, &node, &epoch))
		reason = CHANNEL_REFUSED_UNKNOWN;
	else if (memcmp(node.key, shake->peer_key, CHANNEL_KEY_LEN) != 0)
		reason = CHANNEL_REFUSED_KEY;
	else if (epoch != link->epoch)
		reason = CHANNEL_REFUSED_EPOCH;
	else
		reason = find_place(link, &peers);
	if (reason == CHANNEL_REFUSED_EPOCH)
		channel_note_epoch(channel, link->epoch);
	if (reason != 0) {
		complain(link, reason);
		say_bye(link, reason, epoch);
		return;
	}
	free(shake);
	link->shake = NULL;
	move(link, peers);
}

void link_step_accepted(struct channel_link *link)
{
	size_t len = link->state == LINK_SHAKING ? CHANNEL_HELLO_LEN
		: link->state == LINK_PROVING    ? CHANNEL_PROOF_LEN
						 : JOIN_ASK_WIRE_LEN;
	/* Who asks to join has asked; only an end is news. */
	if (link->joining)
		len = LINK_IN_LEN;
	enum err err = link_read_exactly(link, len);
	if (err == ERR_BUSY && !(link->joining && link->in.to > JOIN_ASK_WIRE_LEN))
		return;
	if (err)
		link_close(link, NULL);
	else if (link->state == LINK_SHAKING)
		take_hello(link);
	else if (link->state == LINK_PROVING)
		take_proof(link);
	else
		join_take_ask(link);
}

/* --- listening -------------------------------------------------------------------------------- */

static void note_slow(struct timer *timer)
{
	struct channel_link *link = CONTAINER_OF(timer, struct channel_link, timer);
	channel_complain(link->channel, CHANNEL_REFUSED_SLOW, 0, "%s: %s", link->name,
		channel_refusal_text(CHANNEL_REFUSED_SLOW));
	link_close(link, NULL);
}

static void format_name(const struct sockaddr_storage *address, char *name, size_t cap)
{
	char host[INET6_ADDRSTRLEN] = "";
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
	if (address->ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, host,
			sizeof host);
	else
		inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
	/* Both kinds have the port at the same place. */
	snprintf(name, cap, "%s:%u", host, ntohs(six->sin6_port));
}

static void take_connection(struct channel *channel, int fd, const struct sockaddr_storage *address)
{
	struct channel_listener *listener = &channel->listener;
	struct channel_link *link;
	if (link_new(channel, fd, &link) != ERR_OK) {
		close(fd);
		return;
	}
	format_name(address, link->name, sizeof link->name);
	link_attach(link, listener->loop);
	remember(link);
	link->timer.fire = note_slow;
	timer_set(listener->loop, &link->timer, channel->settings.shake_timeout_ms);
	link_watch_read(link);
	if (listener->shaking_count > channel->settings.shake_count_max)
		link_close(listener->oldest, NULL);
}

static void on_acceptable(h2o_socket_t *socket, const char *error)
{
	struct channel *channel = socket->data;
	struct channel_listener *listener = &channel->listener;
	(void)error;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage address;
		socklen_t len = sizeof address;
		int fd = accept4(listener->fd, (struct sockaddr *)&address, &len,
			SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			take_connection(channel, fd, &address);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			trace_event(channel->trace, TRACE_WARNING, 0,
				"node channel: cannot accept connections: %s", strerror(errno));
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
	struct channel_listener *listener = CONTAINER_OF(timer, struct channel_listener, pause);
	h2o_socket_read_start(listener->socket, on_acceptable);
}

static void begin(struct task *task)
{
	struct channel_listener *listener = CONTAINER_OF(task, struct channel_listener, start);
	if (listener->is_stopped)
		return;
	listener->socket = h2o_evloop_socket_create(server_loop_h2o(server_loop_of(listener->loop)),
		listener->fd, H2O_SOCKET_FLAG_DONT_READ);
	listener->socket->data = CONTAINER_OF(listener, struct channel, listener);
	h2o_socket_read_start(listener->socket, on_acceptable);
}

enum err channel_listen(struct channel *channel, struct loop *loop, const char *address,
	uint16_t port, char *message)
{
	struct channel_listener *listener = &channel->listener;
	assert(!listener->loop);
	enum err err = listen_open(address, port, message, &listener->fd, &listener->port);
	if (err)
		return err;
	listener->loop = loop;
	listener->pause.fire = go_on;
	listener->start.run = begin;
	loop_post(loop, &listener->start);
	return ERR_OK;
}

uint16_t channel_port(const struct channel *channel)
{
	return channel->listener.port;
}

void channel_stop_listening(struct channel *channel)
{
	struct channel_listener *listener = &channel->listener;
	assert(loop_is_current(listener->loop) && !listener->is_stopped);
	listener->is_stopped = true;
	timer_cancel(listener->loop, &listener->pause);
	if (listener->socket)
		h2o_socket_close(listener->socket);
	else
		close(listener->fd);
	listener->socket = NULL;
	while (listener->shaking)
		link_close(listener->shaking, NULL);
}
