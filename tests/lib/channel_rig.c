/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/channel_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/test.h"

/* Polls with a patience that a sanitizer on a busy machine needs. */
enum { POLL_US = 2000, POLLS = 15000 };

struct channel_settings rig_settings(void)
{
	struct channel_settings settings = channel_settings_default();
	settings.connect_timeout_ms = 2000;
	settings.ping_ms = 50;
	settings.silence_ms = 3000;
	settings.retry_ms_min = 10;
	settings.retry_ms_max = 200;
	return settings;
}

static void keep_event(
	struct trace *trace, enum trace_level level, uint64_t request_id, const char *text)
{
	struct rig_node *node = CONTAINER_OF(trace, struct rig_node, trace);
	(void)level;
	(void)request_id;
	pthread_mutex_lock(&node->lock);
	int len = snprintf(node->log + node->log_len, RIG_LOG_LEN - node->log_len, "%s\n", text);
	node->log_len += len;
	if (node->log_len >= RIG_LOG_LEN)
		node->log_len = RIG_LOG_LEN - 1;
	pthread_mutex_unlock(&node->lock);
	if (getenv("RIG_TRACE"))
		fprintf(stderr, "%02x %s\n", node->self.node.bytes[0], text);
}

static const struct trace_ops trace_ops = {keep_event};

void rig_make_self(struct channel_self *ret_self, unsigned cluster, unsigned node)
{
	struct id cluster_id, node_id;
	uint8_t seed[CHANNEL_KEY_LEN], secret[CHANNEL_KEY_LEN];
	memset(cluster_id.bytes, cluster, ID_LEN);
	memset(node_id.bytes, node, ID_LEN);
	memset(seed, node, sizeof seed);
	memset(secret, cluster, sizeof secret);
	channel_self_init(ret_self, cluster_id, node_id, seed, secret);
}

void rig_init(struct rig_node *node, unsigned cluster, unsigned number)
{
	memset(node, 0, sizeof *node);
	pthread_mutex_init(&node->lock, NULL);
	node->trace = (struct trace){&trace_ops, TRACE_DEBUG};
	rig_make_self(&node->self, cluster, number);
}

static void start(struct rig_node *node, const struct channel_settings *settings,
	unsigned loop_count, bool has_consensus, void (*serve)(struct peers *peers),
	struct channel_join *join)
{
	char message[CHANNEL_MESSAGE_LEN];
	struct server_loop_options options = {.is_ringless = true};
	struct channel_options channel_options = {
		.self = &node->self, .settings = settings, .trace = &node->trace, .join = join};
	ck_assert_ok(channel_new(&channel_options, &node->channel));
	node->loop_count = loop_count;
	for (unsigned i = 0; i < loop_count; i++) {
		bool is_consensus = has_consensus && i == loop_count - 1;
		ck_assert_ok(server_loop_new(i, "rig", &options, &node->loops[i]));
		ck_assert_ok(channel_add(node->channel, server_loop_base(node->loops[i]),
			is_consensus ? CHANNEL_CONSENSUS : CHANNEL_CLIENTS, &node->peers[i]));
		if (serve)
			serve(node->peers[i]);
	}
	ck_assert_ok(channel_listen(
		node->channel, server_loop_base(node->loops[0]), "127.0.0.1", 0, message));
	for (unsigned i = 0; i < loop_count; i++)
		ck_assert_ok(server_loop_start(node->loops[i]));
}

void rig_start(struct rig_node *node, const struct channel_settings *settings, unsigned loop_count,
	bool has_consensus, void (*serve)(struct peers *peers))
{
	start(node, settings, loop_count, has_consensus, serve, NULL);
}

void rig_start_joined(struct rig_node *node, const struct channel_settings *settings,
	unsigned loop_count, struct channel_join *join)
{
	start(node, settings, loop_count, false, NULL, join);
}

void rig_stop(struct rig_node *node)
{
	channel_stop(node->channel);
	for (unsigned i = 0; i < node->loop_count; i++) {
		server_loop_stop(node->loops[i]);
		server_loop_join(node->loops[i]);
	}
	channel_free(node->channel);
	for (unsigned i = 0; i < node->loop_count; i++)
		server_loop_free(node->loops[i]);
	node->channel = NULL;
	pthread_mutex_destroy(&node->lock);
}

void rig_describe(const struct rig_node *node, struct channel_node *ret_node)
{
	*ret_node = (struct channel_node){.id = node->self.node, .address_count = 1};
	memcpy(ret_node->key, node->self.public_key, CHANNEL_KEY_LEN);
	snprintf(ret_node->addresses[0].host, CHANNEL_HOST_LEN, "127.0.0.1");
	ret_node->addresses[0].port = node->channel ? channel_port(node->channel) : 1;
}

void rig_admit(struct rig_node **nodes, unsigned count, uint64_t epoch)
{
	struct channel_node described[8];
	ck_assert_uint_le(count, ARRAY_COUNT(described));
	for (unsigned i = 0; i < count; i++)
		rig_describe(nodes[i], &described[i]);
	struct channel_table table = {epoch, described, count};
	for (unsigned i = 0; i < count; i++) {
		if (nodes[i]->channel)
			ck_assert_ok(channel_set_table(nodes[i]->channel, &table));
	}
}

void rig_await(bool (*holds)(void *arg), void *arg)
{
	for (unsigned i = 0; i < POLLS; i++) {
		if (holds(arg))
			return;
		usleep(POLL_US);
	}
	ck_abort_msg("waited in vain");
}

void rig_await_links(struct rig_node *node, unsigned dialed)
{
	unsigned now, accepted;
	for (unsigned i = 0; i < POLLS; i++) {
		channel_link_count(node->channel, &now, &accepted);
		if (now == dialed)
			return;
		usleep(POLL_US);
	}
	ck_abort_msg("%u links instead of %u; the log:\n%s", now, dialed, node->log);
}

bool rig_has_logged(struct rig_node *node, const char *text)
{
	bool is_there = false;
	for (unsigned i = 0; i < 2500 && !is_there; i++) {
		if (i > 0)
			usleep(POLL_US);
		pthread_mutex_lock(&node->lock);
		is_there = strstr(node->log, text) != NULL;
		pthread_mutex_unlock(&node->lock);
	}
	if (!is_there)
		fprintf(stderr, "not logged: %s\nbut:\n%s", text, node->log);
	return is_there;
}

struct channel_counts rig_counts(struct rig_node *node)
{
	struct channel_counts counts = {0};
	channel_add_counts(node->channel, &counts);
	return counts;
}

/* --- calls ------------------------------------------------------------------------------------ */

static void note_done(struct peer_call *base)
{
	struct rig_call *call = CONTAINER_OF(base, struct rig_call, call);
	assert(loop_is_current(call->peers->loop) && !call->is_starting);
	call->end_count++;
	call->head_len = base->answer_head.len < sizeof call->head ? base->answer_head.len
								   : sizeof call->head;
	if (call->head_len > 0)
		memcpy(call->head, base->answer_head.data, call->head_len);
	sem_post(&call->ended);
}

static void run_start(struct task *task)
{
	struct rig_call *call = CONTAINER_OF(task, struct rig_call, task);
	call->is_starting = true;
	peer_call_start(call->peers, &call->call);
	if (call->cancels_at_once)
		peer_call_cancel(&call->call);
	call->is_starting = false;
}

static void run_cancel(struct task *task)
{
	struct rig_call *call = CONTAINER_OF(task, struct rig_call, cancel_task);
	peer_call_cancel(&call->call);
}

void rig_call_init(struct rig_call *call, struct peers *peers, const struct rig_node *to,
	uint16_t kind, struct bytes head, struct bytes payload)
{
	memset(call, 0, sizeof *call);
	sem_init(&call->ended, 0, 0);
	call->peers = peers;
	call->call.node = to->self.node;
	call->call.kind = kind;
	call->call.deadline_ms = 60 * 1000;
	call->call.head = head;
	call->call.payload = payload;
	call->call.done = note_done;
	call->task.run = run_start;
	call->cancel_task.run = run_cancel;
}

void rig_call_start(struct rig_call *call)
{
	loop_post(call->peers->loop, &call->task);
}

void rig_call_cancel(struct rig_call *call)
{
	loop_post(call->peers->loop, &call->cancel_task);
}

enum err rig_call_wait(struct rig_call *call)
{
	struct timespec limit;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 60;
	int failed;
	do
		failed = sem_timedwait(&call->ended, &limit);
	while (failed && errno == EINTR);
	ck_assert_msg(!failed, "a call did not end");
	ck_assert_uint_eq(call->end_count, 1);
	return call->call.err;
}
