/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of the table, as one struct peers dials them: one address after the other, then again
 * after a while that doubles, with jitter, until a link is ready. */
#include <errno.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/channel_priv.h"
#include "server/listen.h"

/* --- linked or not ---------------------------------------------------------------------------- */

void remote_set_linked(struct channel_remote *remote, bool is_linked)
{
	struct channel_peers *peers = remote->peers;
	if (remote->is_linked == is_linked)
		return;
	remote->is_linked = is_linked;
	if (is_linked)
		atomic_fetch_add_explicit(&peers->linked_count, 1, memory_order_relaxed);
	else
		atomic_fetch_sub_explicit(&peers->linked_count, 1, memory_order_relaxed);
	for (struct peer_watch *watch = peers->base.watches; watch; watch = watch->next)
		watch->changed(watch, remote->node.id, is_linked);
}

void remote_note_ready(struct channel_link *link)
{
	channel_count(&link->peers->cells.links_dialed, 1);
	link->opened_ms = loop_now_ms(link->peers->loop);
	trace_event(link->channel->trace, TRACE_INFO, 0, "node channel: linked to %s", link->name);
	remote_set_linked(link->remote, true);
}

/* Half of a delay, and up to half of it more. */
static uint64_t jitter(uint64_t delay_ms)
{
	return delay_ms / 2 + randombytes_uniform(delay_ms / 2 + 1);
}

void remote_note_closed(struct channel_link *link, bool was_open)
{
	struct channel_remote *remote = link->remote;
	struct channel_peers *peers = link->peers;
	const struct channel_settings *settings = &peers->channel->settings;
	if (!remote)
		return;
	assert(remote->link == link);
	remote->link = NULL;
	remote_set_linked(remote, false);
	if (peers->is_stopped)
		return;
	uint64_t now_ms = loop_now_ms(peers->loop);
	if (was_open) {
		remote->address_index = 0;
		if (now_ms - link->opened_ms >= settings->silence_ms)
			remote->retry_ms = settings->retry_ms_min;
	} else if (++remote->address_index < remote->node.address_count) {
		timer_set(peers->loop, &remote->retry, 0);
		return;
	}
	remote->address_index = 0;
	timer_set(peers->loop, &remote->retry, jitter(remote->retry_ms));
	remote->retry_ms *= 2;
	if (remote->retry_ms > settings->retry_ms_max)
		remote->retry_ms = settings->retry_ms_max;
}

/* --- dialing ---------------------------------------------------------------------------------- */

static void note_unreachable(struct channel_link *link, const char *why)
{
	channel_complain(link->channel, 0, channel_who(link->node),
		"cannot reach %s: %s; is it up, and is its port open?", link->name, why);
	link_close(link, why);
}

static void note_timeout(struct timer *timer)
{
	struct channel_link *link = CONTAINER_OF(timer, struct channel_link, timer);
	note_unreachable(link,
		link->state == LINK_CONNECTING ? "no connection in time"
					       : "no answer to our hello in time");
}

/* A socket that connects; -1: none. */
static int connect_to(const struct channel_address *address)
{
	struct sockaddr_storage to;
	socklen_t len;
	int on = 1;
	if (!listen_parse_address(address->host, address->port, &to, &len))
		return -1;
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
		(connect(fd, (struct sockaddr *)&to, len) == 0 || errno == EINPROGRESS))
		return fd;
	close(fd);
	return -1;
}

static void dial(struct channel_remote *remote)
{
	struct channel_peers *peers = remote->peers;
	char id[ID_TEXT_LEN];
	assert(!remote->link && !peers->is_stopped);
	if (remote->node.address_count == 0)
		return;
	const struct channel_address *address = &remote->node.addresses[remote->address_index];
	int fd = connect_to(address);
	struct channel_link *link;
	if (fd >= 0 && link_new(peers->channel, fd, &link) == ERR_OK) {
		link->is_dialer = true;
		link->state = LINK_CONNECTING;
		link->peers = peers;
		link->remote = remote;
		link->node = remote->node.id;
		link->purpose = peers->purpose;
		remote->link = link;
		snprintf(link->name, sizeof link->name, "node %.8s at %s:%u",
			channel_id_text(link->node, id), address->host, address->port);
		link->timer.fire = note_timeout;
		timer_set(peers->loop, &link->timer, peers->channel->settings.connect_timeout_ms);
		link_attach(link, peers->loop);
		link_await_write(link);
		return;
	}
	if (fd >= 0)
		close(fd);
	/* The next address, or this one again, when others had their turn. */
	if (++remote->address_index >= remote->node.address_count)
		remote->address_index = 0;
	timer_set(peers->loop, &remote->retry, jitter(remote->retry_ms));
}

static void note_retry(struct timer *timer)
{
	dial(CONTAINER_OF(timer, struct channel_remote, retry));
}

/* --- the handshake ---------------------------------------------------------------------------- */

static void say_hello(struct channel_link *link)
{
	struct channel_peers *peers = link->peers;
	const struct channel_self *self = &peers->channel->self;
	int error = 0;
	socklen_t len = sizeof error;
	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
		note_unreachable(link, strerror(error));
		return;
	}
	uint8_t hello_bytes[CHANNEL_HELLO_LEN];
	struct channel_hello hello = {.purpose = peers->purpose,
		.cluster = self->cluster,
		.epoch = peers->epoch,
		.from = self->node,
		.to = link->node,
		.index = peers->index};
	link->epoch = peers->epoch;
	link->shake = malloc(sizeof *link->shake);
	if (!link->shake) {
		link_close(link, err_text(ERR_NO_MEMORY));
		return;
	}
	channel_shake_hello(link->shake, self, self->secret, &hello, hello_bytes);
	link->state = LINK_SHAKING;
	timer_set(peers->loop, &link->timer, peers->channel->settings.shake_timeout_ms);
	if (link_send_now(link, hello_bytes, sizeof hello_bytes) != ERR_OK)
		link_close(link, "the connection broke");
	else
		link_watch_read(link);
}

static void note_refusal(struct channel_link *link)
{
	struct channel_refused refused;
	if (channel_shake_refused(link->shake, link->in.buffer, &refused) != ERR_OK) {
		link_close(link, "its answer is not of a node of this cluster");
		return;
	}
	channel_count(&link->peers->cells.refused_us, 1);
	channel_complain(link->channel, 0, channel_who(link->node) + refused.reason,
		"%s does not let us in: %s (it: version %u to %u, %llu; we: version %u to %u, "
		"epoch %llu)",
		link->name, channel_refusal_text(refused.reason), refused.version_min,
		refused.version_max, (unsigned long long)refused.value, CHANNEL_VERSION_MIN,
		CHANNEL_VERSION_MAX, (unsigned long long)link->epoch);
	link_close(link, "it was refused");
}

/* The other side is who it says; is it who we meant? Then it is told who we are. */
static enum err prove(struct channel_link *link)
{
	char theirs[CHANNEL_FINGERPRINT_LEN + 1], ours[CHANNEL_FINGERPRINT_LEN + 1];
	uint8_t proof[CHANNEL_PROOF_LEN];
	struct channel_shake *shake = link->shake;
	enum err err = channel_shake_accepted(shake, link->in.buffer);
	if (err)
		return err;
	if (memcmp(shake->peer_key, link->remote->node.key, CHANNEL_KEY_LEN) != 0) {
		channel_fingerprint(shake->peer_key, theirs);
		channel_fingerprint(link->remote->node.key, ours);
		channel_complain(link->channel, CHANNEL_REFUSED_KEY, channel_who(link->node),
			"%s shows key %s, not %s: %s", link->name, theirs, ours,
			channel_refusal_text(CHANNEL_REFUSED_KEY));
		return ERR_DENIED;
	}
	link->life = shake->peer_life;
	channel_shake_prove(shake, proof);
	err = link_send_now(link, proof, sizeof proof);
	if (!err)
		err = channel_shake_finish(shake, &link->seal_out, &link->seal_in);
	if (err)
		return err;
	free(link->shake);
	link->shake = NULL;
	link->state = LINK_PROVING;
	return link_open(link);
}

void link_step_dialed(struct channel_link *link)
{
	size_t len = 0;
	if (link->state == LINK_CONNECTING) {
		say_hello(link);
		return;
	}
	if (link->state != LINK_SHAKING)
		return;
	enum err err = link_read_exactly(link, CHANNEL_REFUSAL_LEN);
	if (!err)
		err = channel_reply_len(link->in.buffer, &len);
	if (!err && len > CHANNEL_REFUSAL_LEN)
		err = link_read_exactly(link, len);
	if (err == ERR_BUSY)
		return;
	if (!err && len == CHANNEL_REFUSAL_LEN) {
		note_refusal(link);
		return;
	}
	if (!err)
		err = prove(link);
	if (!err)
		return;
	const char *why = err == ERR_CLOSED
		? "it closed the connection without a word; see that both have the same "
		  "cluster.secret and that a node listens there"
		: "its answer is not of the node that was meant";
	channel_complain(link->channel, 0, channel_who(link->node) + ERR_COUNT + err, "%s: %s",
		link->name, why);
	link_close(link, why);
}

/* --- the table -------------------------------------------------------------------------------- */

static void drop_accepted(struct channel_peers *peers, const struct channel_remote *remote)
{
	for (struct channel_link *link = peers->accepted, *next; link; link = next) {
		next = link->next;
		if (!remote ? link->epoch != peers->epoch : link->remote == remote)
			link_close(link,
				remote ? "the node is no longer admitted as it was"
				       : "the epoch has changed");
	}
}

/* why is NULL when we end ourselves. */
static void drop_remote(struct channel_remote *remote, const char *why)
{
	struct channel_peers *peers = remote->peers;
	if (remote->link)
		link_close(remote->link, why);
	timer_cancel(peers->loop, &remote->retry);
	drop_accepted(peers, remote);
	free(remote);
}

static void add_remote(struct channel_peers *peers, const struct channel_node *node)
{
	struct channel_remote *remote = calloc(1, sizeof *remote);
	if (!remote) {
		trace_event(peers->channel->trace, TRACE_ERROR, 0,
			"node channel: no memory for another node");
		return;
	}
	remote->peers = peers;
	remote->node = *node;
	remote->is_seen = true;
	remote->retry.fire = note_retry;
	remote->retry_ms = peers->channel->settings.retry_ms_min;
	remote->next = peers->remotes;
	peers->remotes = remote;
	for (struct channel_link *link = peers->accepted; link; link = link->next) {
		if (id_is_equal(link->node, node->id))
			link->remote = remote;
	}
	dial(remote);
}

static void update_remote(struct channel_remote *remote, const struct channel_node *node)
{
	bool is_same_key = memcmp(remote->node.key, node->key, CHANNEL_KEY_LEN) == 0;
	bool is_old_epoch = remote->link && remote->link->state != LINK_CONNECTING &&
		remote->link->epoch != remote->peers->epoch;
	remote->node = *node;
	remote->is_seen = true;
	if (remote->address_index >= node->address_count)
		remote->address_index = 0;
	if (!is_same_key)
		drop_accepted(remote->peers, remote);
	if (remote->link && (!is_same_key || is_old_epoch))
		link_close(remote->link, "the table has changed");
	else if (!remote->link)
		timer_set(remote->peers->loop, &remote->retry, 0);
}

static void compare(struct channel_peers *peers, const struct channel_node *nodes, size_t count)
{
	drop_accepted(peers, NULL);
	for (struct channel_remote *remote = peers->remotes; remote; remote = remote->next)
		remote->is_seen = false;
	for (size_t i = 0; i < count; i++) {
		struct channel_remote *remote = channel_find_remote(peers, nodes[i].id);
		if (remote)
			update_remote(remote, &nodes[i]);
		else if (!id_is_equal(nodes[i].id, peers->base.self))
			add_remote(peers, &nodes[i]);
	}
	for (struct channel_remote **at = &peers->remotes; *at;) {
		struct channel_remote *remote = *at;
		if (remote->is_seen) {
			at = &remote->next;
			continue;
		}
		*at = remote->next;
		drop_remote(remote, "the node is no longer admitted");
	}
}

void peers_take_table(struct task *task)
{
	struct channel_peers *peers = CONTAINER_OF(task, struct channel_peers, table_task);
	struct channel *channel = peers->channel;
	atomic_store(&peers->is_table_posted, false);
	if (peers->is_stopped)
		return;
	pthread_mutex_lock(&channel->lock);
	size_t count = channel->node_count;
	struct channel_node *nodes = malloc((count + 1) * sizeof *nodes);
	if (nodes && count > 0)
		memcpy(nodes, channel->nodes, count * sizeof *nodes);
	peers->epoch = channel->epoch;
	pthread_mutex_unlock(&channel->lock);
	if (nodes)
		compare(peers, nodes, count);
	else
		trace_event(
			channel->trace, TRACE_ERROR, 0, "node channel: no memory for the table");
	free(nodes);
}

void peers_drop_remotes(struct channel_peers *peers)
{
	while (peers->remotes) {
		struct channel_remote *remote = peers->remotes;
		peers->remotes = remote->next;
		drop_remote(remote, NULL);
	}
}
