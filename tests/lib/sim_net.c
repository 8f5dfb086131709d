/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tests/lib/sim_net_priv.h"
#include "tests/lib/test.h"

enum {
	MS = 1000 * 1000, /* in nanoseconds */
	LATENCY_US = 500,
	UP_MS_MAX = 100, /* from a break to the lane being up again */
	DEATH_MS_MAX = 3000, /* until a death is noticed */
	CUT_MS_MIN = 300, /* until a cut breaks a lane */
	CUT_MS_MAX = 8000,
	ROOM_LEN = 4 << 20,
};

/* --- telling who watches ---------------------------------------------------------------------- */

static void tell_watches(struct endpoint *endpoint, struct id node, bool is_linked)
{
	for (struct peer_watch *watch = endpoint->base.watches; watch; watch = watch->next)
		watch->changed(watch, node, is_linked);
}

static void tell_run(struct task *task)
{
	struct lane *lane = CONTAINER_OF(task, struct lane, tell_task);
	lane->is_telling = false;
	if (lane->is_told && lane->told_epoch != lane->epoch) {
		lane->is_told = false;
		tell_watches(lane->from, lane->to->base.self, false);
	}
	if (!lane->is_told && lane->is_up) {
		lane->is_told = true;
		lane->told_epoch = lane->epoch;
		tell_watches(lane->from, lane->to->base.self, true);
	}
}

static void tell(struct lane *lane)
{
	if (lane->is_telling || !lane->from->is_up)
		return;
	lane->is_telling = true;
	lane->tell_task.run = tell_run;
	loop_post(lane->from->base.loop, &lane->tell_task);
}

/* --- lanes up and down ------------------------------------------------------------------------ */

static void up_run(void *arg)
{
	struct lane *lane = arg;
	bool is_there = lane->from->is_up && lane->to->is_up;
	if (lane->is_up || !is_there || lane_is_cut(lane) || lane_back_is_cut(lane))
		return;
	lane->is_up = true;
	sim_note(lane->from->net->sim, "lane up", lane->from->node_index, lane->to->node_index, 0);
	tell(lane);
}

static void want_up(struct lane *lane)
{
	struct sim *sim = lane->from->net->sim;
	if (!lane->is_up)
		sim_later(sim, NULL, sim_random_below(sim, UP_MS_MAX * MS), up_run, NULL, lane);
}

void sim_net_lane_break(struct lane *lane)
{
	if (!lane->is_up)
		return;
	sim_note(lane->from->net->sim, "lane down", lane->from->node_index, lane->to->node_index,
		lane->epoch);
	lane->is_up = lane->is_dead = false;
	lane->epoch++;
	sim_net_lane_clear(lane, false);
	sim_net_lane_end_calls(lane);
	tell(lane);
	want_up(lane);
}

static void death_run(void *arg)
{
	struct lane *lane = arg;
	if (lane->is_dead)
		sim_net_lane_break(lane);
}

static void doom_run(void *arg)
{
	struct lane *lane = arg;
	lane->is_doomed = false;
	if (!lane->is_up || lane->is_dead || (!lane_is_cut(lane) && !lane_back_is_cut(lane)))
		return;
	lane->from->net->stats.faults[SIM_NET_CUT_OFF]++;
	sim_net_lane_break(lane);
}

static void doom(struct lane *lane)
{
	struct sim *sim = lane->from->net->sim;
	if (lane->is_doomed)
		return;
	lane->is_doomed = true;
	uint64_t ms = CUT_MS_MIN + sim_random_below(sim, CUT_MS_MAX - CUT_MS_MIN);
	sim_later(sim, NULL, ms * MS, doom_run, NULL, lane);
}

static struct endpoint *find_endpoint(const struct endpoint *from, struct id node)
{
	unsigned count = 0;
	for (struct endpoint *to = from->net->endpoints; to; to = to->next)
		count += to->purpose == from->purpose && id_is_equal(to->base.self, node);
	for (struct endpoint *to = from->net->endpoints; to; to = to->next)
		if (to->purpose == from->purpose && id_is_equal(to->base.self, node) &&
			to->ordinal == from->ordinal % count)
			return to;
	return NULL;
}

struct lane *sim_net_lane(struct endpoint *from, struct id node)
{
	for (struct lane *lane = from->lanes; lane; lane = lane->next)
		if (id_is_equal(lane->to->base.self, node))
			return lane;
	struct endpoint *to = find_endpoint(from, node);
	if (!to)
		return NULL;
	struct lane *lane = sim_must(calloc(1, sizeof *lane));
	lane->from = from;
	lane->to = to;
	lane->last = &lane->first;
	lane->next = from->lanes;
	from->lanes = lane;
	return lane;
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* The lanes of a dead node carry no more; those to it learn it later. */
static void endpoint_killed(struct sim_hook *hook)
{
	struct endpoint *endpoint = CONTAINER_OF(hook, struct endpoint, hook);
	struct sim_net *net = endpoint->net;
	endpoint->is_up = false;
	sim_net_forget(endpoint);
	memset(endpoint->base.services, 0, sizeof endpoint->base.services);
	endpoint->base.watches = NULL;
	for (struct lane *lane = endpoint->lanes; lane; lane = lane->next) {
		lane->is_up = lane->is_dead = lane->is_told = lane->is_telling = false;
		lane->epoch++;
		sim_net_lane_clear(lane, false);
	}
	for (struct endpoint *from = net->endpoints; from; from = from->next)
		for (struct lane *lane = from->lanes; lane; lane = lane->next) {
			if (lane->to != endpoint)
				continue;
			sim_net_lane_clear(lane, true);
			if (!lane->is_up || lane->is_dead)
				continue;
			net->stats.faults[SIM_NET_DEAD]++;
			lane->is_dead = true;
			uint64_t ms = sim_random_below(net->sim, DEATH_MS_MAX);
			sim_later(net->sim, NULL, ms * MS, death_run, NULL, lane);
		}
}

static unsigned index_of_node(struct sim_net *net, struct sim_node *node)
{
	for (unsigned i = 0; i < net->node_count; i++)
		if (net->nodes[i] == node)
			return i;
	assert(net->node_count < SIM_NET_NODES_MAX);
	net->nodes[net->node_count] = node;
	return net->node_count++;
}

struct peers *sim_net_peers(
	struct sim_net *net, struct sim_node *node, struct loop *loop, struct id id, int purpose)
{
	struct endpoint *endpoint = sim_must(calloc(1, sizeof *endpoint));
	endpoint->base = (struct peers){.ops = &sim_net_ops, .loop = loop, .self = id};
	endpoint->net = net;
	endpoint->node = node;
	endpoint->node_index = index_of_node(net, node);
	endpoint->purpose = purpose;
	endpoint->room_cap = ROOM_LEN;
	for (const struct endpoint *other = net->endpoints; other; other = other->next)
		endpoint->ordinal += other->node == node && other->purpose == purpose;
	endpoint->hook.killed = endpoint_killed;
	sim_node_hook(node, &endpoint->hook);
	*net->endpoints_tail = endpoint;
	net->endpoints_tail = &endpoint->next;
	return &endpoint->base;
}

void sim_net_start(struct peers *peers)
{
	struct endpoint *endpoint = CONTAINER_OF(peers, struct endpoint, base);
	assert(!endpoint->is_up);
	endpoint->is_up = true;
	for (struct endpoint *other = endpoint->net->endpoints; other; other = other->next) {
		if (other->purpose != endpoint->purpose || other->node == endpoint->node)
			continue;
		want_up(sim_net_lane(endpoint, other->base.self));
		struct lane *back = sim_net_lane(other, endpoint->base.self);
		if (back->is_dead)
			sim_net_lane_break(back);
		else
			want_up(back);
	}
}

/* --- faults ----------------------------------------------------------------------------------- */

/* Looks at all lanes again after a change of what is cut. */
static void cuts_changed(struct sim_net *net)
{
	for (struct endpoint *from = net->endpoints; from; from = from->next)
		for (struct lane *lane = from->lanes; lane; lane = lane->next) {
			if (lane_is_cut(lane) || lane_back_is_cut(lane))
				doom(lane);
			else
				want_up(lane);
			sim_net_lane_pump(lane);
		}
}

void sim_net_cut(struct sim_net *net, struct sim_node *from, struct sim_node *to, bool is_cut)
{
	unsigned a = index_of_node(net, from), b = index_of_node(net, to);
	sim_note(net->sim, "cut", a, b, is_cut);
	net->is_cut[a][b] = is_cut;
	cuts_changed(net);
}

void sim_net_partition(struct sim_net *net, uint32_t nodes)
{
	sim_note(net->sim, "partition", nodes, 0, 0);
	for (unsigned a = 0; a < SIM_NET_NODES_MAX; a++)
		for (unsigned b = 0; b < SIM_NET_NODES_MAX; b++)
			net->is_cut[a][b] = nodes && (nodes >> a & 1) != (nodes >> b & 1);
	cuts_changed(net);
}

void sim_net_heal(struct sim_net *net)
{
	net->odds = (struct sim_net_odds){0};
	net->latency_us = LATENCY_US;
	sim_net_partition(net, 0);
}

void sim_net_break(struct sim_net *net, struct sim_node *a, struct sim_node *b)
{
	for (struct endpoint *from = net->endpoints; from; from = from->next)
		for (struct lane *lane = from->lanes; lane; lane = lane->next) {
			bool is_there = from->node == a && lane->to->node == b;
			bool is_back = from->node == b && lane->to->node == a;
			if (!is_there && !is_back)
				continue;
			net->stats.faults[SIM_NET_BREAK] += lane->is_up;
			sim_net_lane_break(lane);
		}
}

struct sim_net_odds *sim_net_odds(struct sim_net *net)
{
	return &net->odds;
}

void sim_net_set_latency(struct sim_net *net, uint64_t latency_us)
{
	net->latency_us = latency_us;
}

void sim_net_set_room(struct peers *peers, size_t room_len)
{
	CONTAINER_OF(peers, struct endpoint, base)->room_cap = room_len;
}

void sim_net_set_filter(struct sim_net *net,
	bool (*filter)(void *arg, struct id to, struct peer_request *request), void *arg)
{
	net->filter = filter;
	net->filter_arg = arg;
}

const struct sim_net_stats *sim_net_stats(const struct sim_net *net)
{
	return &net->stats;
}

const char *sim_net_fault_name(enum sim_net_fault fault)
{
	static const char *const names[SIM_NET_FAULTS] = {
		[SIM_NET_LOST] = "lost",
		[SIM_NET_SLOW] = "slow",
		[SIM_NET_BREAK] = "break",
		[SIM_NET_STALL] = "stall",
		[SIM_NET_CUT_OFF] = "cut_off",
		[SIM_NET_FULL] = "full",
		[SIM_NET_DEAD] = "dead",
		[SIM_NET_TIMEOUT] = "timeout",
	};
	return names[fault];
}

/* --- the network ------------------------------------------------------------------------------ */

struct sim_net *sim_net_new(struct sim *sim)
{
	struct sim_net *net = sim_must(calloc(1, sizeof *net));
	net->sim = sim;
	net->latency_us = LATENCY_US;
	net->endpoints_tail = &net->endpoints;
	return net;
}

void sim_net_free(struct sim_net *net)
{
	if (!net)
		return;
	for (struct endpoint *from = net->endpoints; from; from = from->next) {
		sim_net_forget(from);
		for (struct lane *lane = from->lanes; lane; lane = lane->next)
			sim_net_lane_clear(lane, true);
	}
	while (net->endpoints) {
		struct endpoint *endpoint = net->endpoints;
		net->endpoints = endpoint->next;
		while (endpoint->lanes) {
			struct lane *lane = endpoint->lanes;
			endpoint->lanes = lane->next;
			free(lane);
		}
		sim_node_unhook(endpoint->node, &endpoint->hook);
		free(endpoint);
	}
	free(net);
}
