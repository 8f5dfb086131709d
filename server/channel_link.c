/* SPDX-License-Identifier: Apache-2.0 */
/* A connection and its life, on whichever loop has it.
 *
 *	dialed     CONNECTING -> SHAKING -> PROVING -> OPEN
 *	accepted                 SHAKING -> PROVING -> MOVING -> OPEN
 *	                                            -> JOINING
 *
 * A link is closed by the one place that learns that it must end: readiness, its timer, the flush
 * at the end of a turn, or who has it in a list. Handlers and done() never close one, so whoever
 * calls them may go on. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/channel_priv.h"
#include "server/join.h"
#include "server/loop.h"

static struct loop *loop_of(const struct channel_link *link)
{
	return link->peers ? link->peers->loop : link->channel->listener.loop;
}

static bool is_framed(const struct channel_link *link)
{
	return link->state == LINK_OPEN || (link->state == LINK_PROVING && link->is_dialer);
}

enum err link_new(struct channel *channel, int fd, struct channel_link **ret_link)
{
	struct channel_link *link = calloc(1, sizeof *link);
	if (!link)
		return ERR_NO_MEMORY;
	link->in.buffer = malloc(LINK_IN_LEN);
	if (!link->in.buffer) {
		free(link);
		return ERR_NO_MEMORY;
	}
	link->magic = LINK_MAGIC;
	link->state = LINK_SHAKING;
	link->channel = channel;
	link->fd = fd;
	*ret_link = link;
	return ERR_OK;
}

/* --- readiness -------------------------------------------------------------------------------- */

static void on_readable(h2o_socket_t *socket, const char *error)
{
	struct channel_link *link = socket->data;
	assert(link->magic == LINK_MAGIC);
	if (error) {
		link_close(link, "the connection broke");
	} else if (is_framed(link)) {
		enum err err = link_receive(link);
		if (err)
			link_close(link,
				err == ERR_CLOSED             ? "the other side closed it"
					: err == ERR_END      ? "it was refused"
					: err == ERR_CHECKSUM ? "what came was altered on the way"
					: err == ERR_LIMIT    ? "more came than was granted"
							      : err_text(err));
	} else if (link->is_dialer) {
		link_step_dialed(link);
	} else {
		link_step_accepted(link);
	}
}

static void on_writable(h2o_socket_t *socket, const char *error)
{
	struct channel_link *link = socket->data;
	assert(link->magic == LINK_MAGIC);
	link->is_write_awaited = false;
	if (error && link->state != LINK_CONNECTING)
		link_close(link, "the connection broke");
	else if (is_framed(link))
		link_mark(link);
	else
		link_step_dialed(link);
}

void link_attach(struct channel_link *link, struct loop *loop)
{
	link->socket = h2o_evloop_socket_create(
		server_loop_h2o(server_loop_of(loop)), link->fd, H2O_SOCKET_FLAG_DONT_READ);
	link->socket->data = link;
}

void link_detach(struct channel_link *link)
{
	h2o_socket_export_t export;
	if (link->is_read_watched)
		h2o_socket_read_stop(link->socket);
	link->is_read_watched = false;
	int failed = h2o_socket_export(link->socket, &export);
	assert(!failed);
	h2o_buffer_dispose(&export.input);
	link->socket = NULL;
}

void link_watch_read(struct channel_link *link)
{
	if (!link->is_read_watched)
		h2o_socket_read_start(link->socket, on_readable);
	link->is_read_watched = true;
}

void link_await_write(struct channel_link *link)
{
	link->is_write_awaited = true;
	if (!h2o_socket_is_writing(link->socket))
		h2o_socket_notify_write(link->socket, on_writable);
}

enum err link_read_exactly(struct channel_link *link, size_t len)
{
	struct link_in *in = &link->in;
	assert(len <= LINK_IN_LEN && in->from == 0);
	while (in->to < len) {
		ssize_t got = recv(link->fd, in->buffer + in->to, len - in->to, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_BUSY : ERR_CLOSED;
		if (got == 0)
			return ERR_CLOSED;
		in->to += got;
	}
	return ERR_OK;
}

enum err link_send_now(struct channel_link *link, const uint8_t *data, size_t len)
{
	ssize_t sent;
	do
		sent = send(link->fd, data, len, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)len ? ERR_OK : ERR_CLOSED;
}

/* --- flushing --------------------------------------------------------------------------------- */

void link_mark(struct channel_link *link)
{
	struct channel_peers *peers = link->peers;
	if (link->is_dirty || !peers || !is_framed(link))
		return;
	link->is_dirty = true;
	if (!peers->is_flush_posted)
		loop_post(peers->loop, &peers->flush_task);
	peers->is_flush_posted = true;
	link->next_dirty = peers->dirty;
	peers->dirty = link;
}

void link_flush_marked(struct task *task)
{
	struct channel_peers *peers = CONTAINER_OF(task, struct channel_peers, flush_task);
	struct channel_link *todo = peers->dirty;
	peers->dirty = NULL;
	peers->is_flush_posted = false;
	while (todo) {
		struct channel_link *link = todo;
		todo = link->next_dirty;
		link->next_dirty = NULL;
		link->is_dirty = false;
		enum err err = link_flush(link);
		if (err)
			link_close(
				link, err == ERR_CLOSED ? "the connection broke" : err_text(err));
	}
}

/* The list is empty while it is flushed, and then a link closes itself only. */
static void unmark(struct channel_link *link)
{
	if (!link->is_dirty)
		return;
	struct channel_link **at = &link->peers->dirty;
	while (*at && *at != link)
		at = &(*at)->next_dirty;
	assert(*at);
	*at = link->next_dirty;
	link->is_dirty = false;
}

/* --- open and closed -------------------------------------------------------------------------- */

static void tick(struct timer *timer)
{
	struct channel_link *link = CONTAINER_OF(timer, struct channel_link, timer);
	const struct channel_settings *settings = &link->channel->settings;
	uint64_t now_ms = loop_now_ms(link->peers->loop);
	uint64_t heard_ms = atomic_load_explicit(&link->heard_ms, memory_order_relaxed);
	/* Who was stopped himself has not listened: what came meanwhile is read first. */
	bool was_stopped = now_ms - link->tick_ms > 2 * settings->ping_ms;
	link->tick_ms = now_ms;
	if (!was_stopped && now_ms - heard_ms >= settings->silence_ms) {
		link_close(link, "it is silent");
		return;
	}
	if (link->is_dialer && link->state == LINK_OPEN) {
		link->ping_owed = true;
		link_mark(link);
	}
	timer_set(link->peers->loop, timer, settings->ping_ms);
}

enum err link_open(struct channel_link *link)
{
	struct loop *loop = link->peers->loop;
	enum err err = ERR_OK;
	link->in.from = link->in.to = 0;
	if (link->is_dialer)
		err = link_make_slots(link);
	if (err)
		return err;
	link->tick_ms = link->opened_ms = loop_now_ms(loop);
	atomic_store_explicit(&link->heard_ms, link->tick_ms, memory_order_relaxed);
	link->timer.fire = tick;
	timer_set(loop, &link->timer, link->channel->settings.ping_ms);
	link_watch_read(link);
	return ERR_OK;
}

static void leave_accepted(struct channel_link *link)
{
	struct channel_peers *peers = link->peers;
	channel_forget_proven(link);
	atomic_fetch_sub_explicit(&peers->accepted_count, 1, memory_order_relaxed);
	if (link->granted == 0)
		return; /* it never arrived */
	peers->reserved_len -= link->channel->settings.window_len;
	if (link->prev)
		link->prev->next = link->next;
	else
		peers->accepted = link->next;
	if (link->next)
		link->next->prev = link->prev;
}

void link_close(struct channel_link *link, const char *why)
{
	struct channel_peers *peers = link->peers;
	assert(link->magic == LINK_MAGIC && link->state != LINK_CLOSED);
	bool was_open = link->state == LINK_OPEN;
	if (why && (was_open || link->is_dialer))
		trace_event(link->channel->trace, was_open ? TRACE_INFO : TRACE_DEBUG, 0,
			"node channel: %s %s ended: %s", link->name,
			link->is_dialer ? "(dialed)" : "(accepted)", why);
	unmark(link);
	link->state = LINK_CLOSED;
	timer_cancel(loop_of(link), &link->timer);
	if (link->socket)
		h2o_socket_close(link->socket);
	else
		close(link->fd);
	link->socket = NULL;
	if (was_open)
		channel_count(&peers->cells.links_broken, 1);
	if (link->is_dialer && link->in.head != link->in.short_head)
		free(link->in.head);
	if (peers) {
		link_end_calls(link);
		link_orphan_requests(link);
		link_drop_out(link);
	}
	if (!peers)
		listener_forget(link);
	else if (!link->is_dialer)
		leave_accepted(link);
	if (link->is_dialer)
		remote_note_closed(link, was_open);
	if (link->shake)
		channel_shake_fini(link->shake);
	free(link->shake);
	channel_seal_fini(&link->seal_in);
	channel_seal_fini(&link->seal_out);
	free(link->in.buffer);
	link->magic = 0;
	free(link);
}
