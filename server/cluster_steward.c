/* SPDX-License-Identifier: Apache-2.0 */
/* Every member asks the others how they are, and tells the steward (storage/meta/steward.h), which
 * acts on it where this node leads. */
#include <string.h>

#include "server/cluster.h"
#include "server/loop_call.h"
#include "server/node.h"
#include "server/node_space.h"
#include "storage/bytes.h"

#define STATUS_DEADLINE_MS 2000
#define STOP_TICKS 4 /* two seconds: so that the others learn which rows this node has */

/* --- how a node is ---------------------------------------------------------------------------- */

/* Writes what this node says of its drives; gives the length. */
static size_t put_drives(const struct node *node, uint8_t *at)
{
	size_t len = 0;
	for (unsigned i = 0; i < node->store.drive_count; i++) {
		const struct store_drive *own = &node->store.drives[i];
		struct drive_space space;
		struct drive_counters counters;
		node_drive_space(node, i, &space);
		drive_counters(own->drive, &counters);
		put_le16(at + len, own->number);
		at[len + 2] = drive_state(own->drive) == DRIVE_UP;
		put_le64(at + len + 3, space.total);
		put_le64(at + len + 11, space.used);
		put_le64(at + len + 19, space.free);
		put_le64(at + len + 27, counters.flush_ns);
		len += CLUSTER_STATUS_DRIVE_LEN;
	}
	return len;
}

static void serve_status(void *arg, struct peer_request *request)
{
	struct cluster *cluster = arg;
	struct node *node = cluster->node;
	struct consensus_info info;
	struct index_status status;
	uint8_t head[CLUSTER_STATUS_LEN + STORE_DRIVES_MAX * CLUSTER_STATUS_DRIVE_LEN];
	consensus_info(node->consensus, &info);
	index_status(node->index, &status);
	put_le64(head, info.id);
	put_le64(head + 8, status.applied);
	put_le64(head + 16, clock_wall_ms(node->clock));
	struct state_mark mark = index_state_mark(node->index);
	put_le64(head + 24, mark.log_index);
	put_le64(head + 32, mark.digest);
	put_le64(head + 40, atomic_load(&cluster->agrees_with));
	size_t len = CLUSTER_STATUS_LEN;
	if (node->is_ready)
		len += put_drives(node, head + len);
	request->answer_head = bytes_make(head, len);
	peer_request_answer(request, ERR_OK);
}

static void take_drives(struct cluster_node *node, struct bytes bytes)
{
	node->drive_count = 0;
	while (bytes.len >= CLUSTER_STATUS_DRIVE_LEN && node->drive_count < STORE_DRIVES_MAX) {
		node->drives[node->drive_count++] = (struct cluster_drive){
			.number = get_le16(bytes.data),
			.is_up = bytes.data[2] == 1,
			.total = get_le64(bytes.data + 3),
			.used = get_le64(bytes.data + 11),
			.free = get_le64(bytes.data + 19),
			.flush_ns = get_le64(bytes.data + 27)};
		bytes = bytes_from(bytes, CLUSTER_STATUS_DRIVE_LEN);
	}
}

/* Its clock was read at some moment between the question and the answer: half way, give or take
 * that half. A time that no clock has is none. */
static void take_time(struct cluster *cluster, struct cluster_node *node, uint64_t wall_ms)
{
	uint64_t took_ms = (clock_mono_ns(cluster->node->clock) - node->asked_ns) / 1000000;
	node->has_time = wall_ms < INT64_MAX / 2;
	if (!node->has_time)
		return;
	node->ahead_ms = (int64_t)wall_ms + (int64_t)(took_ms / 2) -
		clock_wall_ms(cluster->node->clock);
	node->ahead_within_ms = took_ms / 2 + 1;
}

static void answered(struct peer_call *call)
{
	struct cluster_node *node = CONTAINER_OF(call, struct cluster_node, call);
	node->is_asked = false;
	struct bytes answer = call->answer_head;
	bool is_fine = call->err == ERR_OK && call->answer_err == ERR_OK &&
		answer.len >= CLUSTER_STATUS_LEN_MIN;
	if (!is_fine)
		return;
	node->log_id = get_le64(answer.data);
	node->applied = get_le64(answer.data + 8);
	if (answer.len < CLUSTER_STATUS_LEN)
		return;
	take_time(node->cluster, node, get_le64(answer.data + 16));
	struct state_mark mark = {get_le64(answer.data + 24), get_le64(answer.data + 32)};
	uint64_t agrees_with = get_le64(answer.data + 40);
	state_peer_tell(&node->state, &mark, agrees_with < ROW_NODES_MAX ? agrees_with : 0);
	if (answer.len > CLUSTER_STATUS_LEN)
		take_drives(node, bytes_from(answer, CLUSTER_STATUS_LEN));
}

static void ask(struct cluster *cluster, struct cluster_node *node)
{
	struct peers *peers = cluster->loop_peers[0];
	struct peer_info info;
	peer_info(peers, node->channel.id, &info);
	if (node->is_linked != info.is_linked)
		node->changed_ms = loop_now_ms(cluster->loop);
	node->is_linked = info.is_linked;
	node->silent_ms = info.silent_ms;
	node->rtt_us = info.rtt_us;
	if (node->is_asked || !info.is_linked)
		return;
	node->is_asked = true;
	node->cluster = cluster;
	node->asked_ns = clock_mono_ns(cluster->node->clock);
	node->call = (struct peer_call){.node = node->channel.id,
		.kind = PEER_STATUS,
		.deadline_ms = STATUS_DEADLINE_MS,
		.done = answered};
	peer_call_start(peers, &node->call);
}

/* Is a majority of the voters there? */
static bool has_majority(struct cluster *cluster)
{
	struct consensus_members members;
	unsigned voters = 0, there = 0;
	consensus_raft_members(cluster->node->consensus, &members);
	for (size_t i = 0; i < members.count; i++) {
		if (members.members[i].duty != CONSENSUS_VOTER)
			continue;
		struct peer_info info;
		voters++;
		peer_info(cluster->loop_peers[0], members.members[i].node, &info);
		there += info.is_linked;
	}
	return voters > 0 && there >= voters / 2 + 1;
}

/* --- do all have the same rows? --------------------------------------------------------------- */

static void compare_states(struct cluster *cluster)
{
	struct node *own = cluster->node;
	struct consensus_members members;
	struct state_peer peers[ROW_NODES_MAX];
	size_t count = 0;
	for (size_t i = 0; i < cluster->node_count; i++) {
		struct cluster_node *node = cluster->nodes[i];
		if (id_is_equal(node->channel.id, cluster->self.node))
			continue;
		if (index_state_compare(own->index, &node->state))
			trace_event(own->trace, TRACE_ERROR, 0,
				"node %02x%02x%02x%02x has other rows than this one at log index "
				"%llu: the index of one of them is damaged; see rubus health",
				node->channel.id.bytes[0], node->channel.id.bytes[1],
				node->channel.id.bytes[2], node->channel.id.bytes[3],
				(unsigned long long)node->state.compared);
		peers[count++] = node->state;
	}
	atomic_store(&cluster->agrees_with, state_agrees_with(peers, count));
	consensus_raft_members(own->consensus, &members);
	bool must_stop = state_must_stop(peers, count, members.count);
	cluster->stop_ticks = must_stop ? cluster->stop_ticks + 1 : 0;
	if (own->has_failed || cluster->stop_ticks < STOP_TICKS)
		return;
	node_fail(own, ERR_CORRUPT,
		"the index of this node differs from that of most others: it leaves service; move "
		"%.300s away, and have the node join again with its drives: rubus join",
		own->config->state_dir);
}

/* --- leaving ---------------------------------------------------------------------------------- */

/* Another node says that this one was removed. */
static void serve_removed(void *arg, struct peer_request *request)
{
	struct cluster *cluster = arg;
	char message[IDENTITY_MESSAGE_LEN] = "";
	enum err err = identity_put_removed(cluster->node->config->state_dir, message);
	if (err)
		trace_event(cluster->node->trace, TRACE_WARNING, 0,
			"it could not be noted that this node was removed: %s", message);
	peer_request_answer(request, ERR_OK);
	node_fail(cluster->node, ERR_DENIED,
		"this node was removed from its cluster, and ends; it can join again with an empty "
		"state directory, empty drives and a new token");
}

struct farewell {
	struct cluster *cluster;
	struct peer_call call;
	struct completion completion;
};

static void farewell_ended(struct peer_call *call)
{
	struct farewell *farewell = CONTAINER_OF(call, struct farewell, call);
	completion_end(&farewell->completion, call->err ? call->err : call->answer_err);
}

static enum err say_farewell(void *arg)
{
	struct farewell *farewell = arg;
	peer_call_start(farewell->cluster->loop_peers[0], &farewell->call);
	return ERR_OK;
}

enum err cluster_tell_removed(struct cluster *cluster, struct id node)
{
	struct farewell farewell = {.cluster = cluster,
		.call = {.node = node,
			.kind = PEER_REMOVED,
			.deadline_ms = STATUS_DEADLINE_MS,
			.done = farewell_ended}};
	completion_init(&farewell.completion);
	err_ignore(loop_call(cluster->loop, say_farewell, &farewell)); /* never fails */
	return completion_wait(&farewell.completion);
}

/* --- the whole -------------------------------------------------------------------------------- */

void cluster_steward_init(struct cluster *cluster)
{
	for (unsigned i = 0; i < cluster->node->config->loops; i++) {
		peers_serve(cluster->loop_peers[i], PEER_STATUS, serve_status, cluster);
		peers_serve(cluster->loop_peers[i], PEER_REMOVED, serve_removed, cluster);
	}
}

static enum err look(void *arg)
{
	struct cluster *cluster = arg;
	atomic_store(&cluster->has_majority, has_majority(cluster));
	return ERR_OK;
}

bool cluster_look_for_majority(struct cluster *cluster)
{
	err_ignore(loop_call(cluster->loop, look, cluster)); /* never fails */
	return atomic_load(&cluster->has_majority);
}

void cluster_steward_tick(struct cluster *cluster)
{
	struct steward_node nodes[ROW_NODES_MAX];
	unsigned linked = 0;
	for (size_t i = 0; i < cluster->node_count; i++) {
		const struct cluster_node *node = cluster->nodes[i];
		ask(cluster, cluster->nodes[i]);
		linked += node->is_linked && !id_is_equal(node->channel.id, cluster->self.node);
		nodes[i] = (struct steward_node){.id = node->channel.id,
			.is_linked = node->is_linked,
			.silent_ms = node->silent_ms,
			.log_id = node->log_id,
			.is_draining = node->is_draining};
	}
	compare_states(cluster);
	atomic_store(&cluster->linked_count, linked);
	atomic_store(&cluster->has_majority, has_majority(cluster));
	steward_tick(&cluster->steward, nodes, cluster->node_count);
}
