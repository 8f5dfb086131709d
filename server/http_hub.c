/* SPDX-License-Identifier: Apache-2.0 */
/* All connections of one loop: their deadlines, their memory, their number.
 *
 * A connection is always in exactly one list: that of what it waits for. Each list has one timeout,
 * so its oldest member is its next deadline, and the first of all lists also is the longest idle
 * connection. Moving between lists is a few pointers; the one timer is only ever set to an earlier
 * moment, and looks again when it fires. */
#include "server/http_hub.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "server/http_conn_priv.h"
#include "server/loop.h"
#include "storage/trace.h"

#define STOP_LINGER_MS 500 /* while the hub stops */

/* --- memory ----------------------------------------------------------------------------------- */

void *hub_lend(struct spares *spares)
{
	void *block = spares->first;

	if (spares->lent_count == spares->lent_max)
		return NULL;
	if (!block) {
		block = malloc(spares->len);
		spares->lent_count += block != NULL;
		return block;
	}
	spares->lent_count++;
	memcpy(&spares->first, block, sizeof spares->first);
	spares->count--;
	return block;
}

void hub_take_back(struct spares *spares, void *block)
{
	assert(spares->lent_count > 0);
	spares->lent_count--;
	if (spares->count == SPARE_COUNT_MAX) {
		free(block);
		return;
	}
	memcpy(block, &spares->first, sizeof spares->first);
	spares->first = block;
	spares->count++;
}

static void free_spares(struct spares *spares)
{
	while (spares->first) {
		void *next;
		memcpy(&next, spares->first, sizeof next);
		free(spares->first);
		spares->first = next;
	}
}

/* --- waiting ---------------------------------------------------------------------------------- */

static struct http_conn *conn_at(struct links *links)
{
	struct http_conn *conn = CONTAINER_OF(links, struct http_conn, links);
	assert(conn->magic == CONN_MAGIC);
	return conn;
}

static struct http_conn *oldest(struct http_hub *hub, enum http_wait wait)
{
	struct links *list = &hub->waits[wait];
	return list->next == list ? NULL : conn_at(list->next);
}

static void unlink_conn(struct http_conn *conn)
{
	conn->links.next->prev = conn->links.prev;
	conn->links.prev->next = conn->links.next;
	conn->links.next = conn->links.prev = &conn->links;
}

/* 0 is no deadline. */
static unsigned timeout_of(const struct http_hub *hub, enum http_wait wait)
{
	switch (wait) {
	case WAIT_IDLE:
		return hub->settings.idle_timeout_ms;
	case WAIT_SHAKE:
	case WAIT_HEAD:
		return hub->settings.head_timeout_ms;
	case WAIT_CLIENT:
		return hub->settings.progress_timeout_ms;
	case WAIT_LINGER:
		return hub->is_stopping && hub->settings.linger_timeout_ms > STOP_LINGER_MS
			? STOP_LINGER_MS
			: hub->settings.linger_timeout_ms;
	case WAIT_HANDLER:
	case WAIT_COUNT:
		break;
	}
	return 0;
}

void hub_wait(struct http_hub *hub, struct http_conn *conn, enum http_wait wait)
{
	struct links *list = &hub->waits[wait];
	unsigned timeout_ms = timeout_of(hub, wait);

	unlink_conn(conn);
	conn->links = (struct links){.next = list, .prev = list->prev};
	list->prev->next = &conn->links;
	list->prev = &conn->links;
	conn->wait = wait;
	conn->wait_since_ms = loop_now_ms(hub->loop);
	if (timeout_ms > 0 &&
		(!hub->timer.is_set || hub->timer.due_ms > conn->wait_since_ms + timeout_ms))
		timer_set(hub->loop, &hub->timer, timeout_ms);
}

static void note_deadlines(struct timer *timer)
{
	struct http_hub *hub = CONTAINER_OF(timer, struct http_hub, timer);
	uint64_t now_ms = loop_now_ms(hub->loop), next_ms = UINT64_MAX;

	for (enum http_wait wait = 0; wait < WAIT_COUNT; wait++) {
		unsigned timeout_ms = timeout_of(hub, wait);
		struct http_conn *conn;
		if (timeout_ms == 0)
			continue;
		while ((conn = oldest(hub, wait)) && conn->wait_since_ms + timeout_ms <= now_ms) {
			/* It leaves the list, or is its newest, whatever it decides. */
			hub_wait(hub, conn, wait);
			conn->has_timed_out = true;
			conn_advance(conn);
		}
		if (conn && conn->wait_since_ms + timeout_ms < next_ms)
			next_ms = conn->wait_since_ms + timeout_ms;
	}
	if (next_ms != UINT64_MAX && (!timer->is_set || timer->due_ms > next_ms))
		timer_set(hub->loop, timer, next_ms - now_ms);
}

/* --- connections ------------------------------------------------------------------------------ */

static void run_stopped(struct task *task)
{
	struct http_hub *hub = CONTAINER_OF(task, struct http_hub, stopped_task);
	hub->stopped(hub->stopped_arg);
}

static void note_stopped(struct http_hub *hub)
{
	if (!hub->stopped || atomic_load(&hub->connection_count) > 0)
		return;
	timer_cancel(hub->loop, &hub->stop_timer);
	timer_cancel(hub->loop, &hub->timer);
	hub->stopped_task.run = run_stopped;
	loop_post(hub->loop, &hub->stopped_task);
}

/* Makes room for one more: the longest idle goes, else who is slowest with its head. */
static bool evict(struct http_hub *hub)
{
	static const enum http_wait order[] = {WAIT_IDLE, WAIT_LINGER, WAIT_SHAKE, WAIT_HEAD};

	for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
		struct http_conn *conn = oldest(hub, order[i]);
		if (conn) {
			hub_count(&hub->counts.evicted, 1);
			conn_cut(conn);
			return true;
		}
	}
	return false;
}

void hub_admit_handshake(struct http_hub *hub)
{
	if (hub->shaking_count < hub->settings.handshake_count_max)
		return;
	struct http_conn *conn = oldest(hub, WAIT_SHAKE);
	assert(conn);
	hub_count(&hub->counts.evicted, 1);
	conn_cut(conn);
}

void http_hub_reserve(struct http_hub *hub)
{
	atomic_fetch_add_explicit(&hub->connection_count, 1, memory_order_relaxed);
}

static void count_down(struct http_hub *hub)
{
	atomic_fetch_sub_explicit(&hub->connection_count, 1, memory_order_relaxed);
	note_stopped(hub);
}

void hub_forget(struct http_hub *hub, struct http_conn *conn)
{
	unlink_conn(conn);
	count_down(hub);
}

void http_hub_take(struct http_hub *hub, const struct http_accepted *accepted)
{
	assert(loop_is_current(hub->loop));
	bool has_room = !hub->is_stopping;
	if (has_room && http_hub_connection_count(hub) > hub->settings.connection_count_max)
		has_room = evict(hub);
	struct http_conn *conn = has_room ? conn_new(hub, accepted) : NULL;
	if (!conn) {
		close(accepted->fd);
		count_down(hub);
		return;
	}
	hub_count(&hub->counts.connections, 1);
	conn->links.next = conn->links.prev = &conn->links;
	hub_wait(hub, conn, WAIT_IDLE);
	conn_watch_read(conn);
}

unsigned http_hub_connection_count(const struct http_hub *hub)
{
	return atomic_load_explicit(&hub->connection_count, memory_order_relaxed);
}

static uint64_t peek(const _Atomic uint64_t *cell)
{
	return atomic_load_explicit(cell, memory_order_relaxed);
}

void http_hub_add_counts(const struct http_hub *hub, struct http_counts *io_counts)
{
	const struct http_count_cells *cells = &hub->counts;

	io_counts->connections += peek(&cells->connections);
	io_counts->requests += peek(&cells->requests);
	io_counts->refused += peek(&cells->refused);
	io_counts->timeouts += peek(&cells->timeouts);
	io_counts->cut += peek(&cells->cut);
	io_counts->evicted += peek(&cells->evicted);
	io_counts->bytes_in += peek(&cells->bytes_in);
	io_counts->bytes_out += peek(&cells->bytes_out);
	for (size_t i = 0; i < ARRAY_COUNT(cells->statuses); i++)
		io_counts->statuses[i] += peek(&cells->statuses[i]);
	for (size_t i = 0; i < HTTP_KINDS; i++) {
		io_counts->answered[i] += peek(&cells->answered[i]);
		io_counts->answer_us[i] += peek(&cells->answer_us[i]);
	}
}

/* --- the hub ---------------------------------------------------------------------------------- */

/* Cuts whoever is in a list now; a connection that its handler still needs stays and is not met
 * again. */
static void cut_list(struct http_hub *hub, enum http_wait wait)
{
	struct links *list = &hub->waits[wait], members = {&members, &members};

	if (list->next == list)
		return;
	members = *list;
	members.next->prev = members.prev->next = &members;
	list->next = list->prev = list;
	while (members.next != &members) {
		struct http_conn *conn = conn_at(members.next);
		hub_wait(hub, conn, wait);
		conn_cut(conn);
	}
}

static void cut_all(struct timer *timer)
{
	struct http_hub *hub = CONTAINER_OF(timer, struct http_hub, stop_timer);

	for (enum http_wait wait = 0; wait < WAIT_COUNT; wait++)
		cut_list(hub, wait);
}

void http_hub_stop(
	struct http_hub *hub, unsigned deadline_ms, void (*stopped)(void *arg), void *arg)
{
	assert(loop_is_current(hub->loop) && !hub->is_stopping);
	hub->is_stopping = true;
	hub->stopped_arg = arg;
	cut_list(hub, WAIT_IDLE);
	hub->stopped = stopped;
	hub->stop_timer.fire = cut_all;
	timer_set(hub->loop, &hub->stop_timer, deadline_ms);
	/* Who lingers already has less time from here on, too. */
	if (oldest(hub, WAIT_LINGER))
		timer_set(hub->loop, &hub->timer, STOP_LINGER_MS);
	note_stopped(hub);
}

struct http_settings http_settings_default(void)
{
	return (struct http_settings){
		.limits = {.head_len_max = 16384, .target_len_max = 8192, .header_count_max = 100},
		.connection_count_max = 1024,
		.handshake_count_max = 256,
		.head_timeout_ms = 10 * 1000,
		.idle_timeout_ms = 60 * 1000,
		.progress_timeout_ms = 30 * 1000,
		.linger_timeout_ms = 3 * 1000,
		.rate_min = 1024,
		.long_head_count_max = 64,
		.drain_len_max = 65536,
	};
}

enum err http_hub_new(struct loop *loop, const struct http_settings *settings, struct trace *trace,
	struct http_hub **ret_hub)
{
	struct http_hub *hub = calloc(1, sizeof *hub);
	if (!hub)
		return ERR_NO_MEMORY;
	hub->loop = loop;
	hub->h2o = server_loop_h2o(server_loop_of(loop));
	hub->settings = *settings;
	hub->trace = trace;
	hub->timer.fire = note_deadlines;
	hub->small = (struct spares){.len = SMALL_BUFFER_LEN, .lent_max = SIZE_MAX};
	hub->large.lent_max = settings->long_head_count_max;
	hub->exchanges.lent_max = SIZE_MAX;
	hub->large.len = settings->limits.head_len_max + LARGE_BUFFER_EXTRA_LEN;
	assert(hub->large.len > SMALL_BUFFER_LEN);
	hub->exchanges.len = sizeof(struct http_exchange) +
		settings->limits.header_count_max * sizeof(struct http_header);
	for (size_t i = 0; i < WAIT_COUNT; i++)
		hub->waits[i].next = hub->waits[i].prev = &hub->waits[i];
	/* Ids only have to differ between lives of the process; a weak start does no harm. */
	if (getrandom(&hub->last_request_id, sizeof hub->last_request_id, GRND_NONBLOCK) < 0)
		hub->last_request_id = (uintptr_t)hub ^ (uint64_t)time(NULL) << 24;
	*ret_hub = hub;
	return ERR_OK;
}

void http_hub_free(struct http_hub *hub)
{
	if (!hub)
		return;
	assert(atomic_load(&hub->connection_count) == 0);
	free_spares(&hub->small);
	free_spares(&hub->large);
	free_spares(&hub->exchanges);
	free(hub);
}
