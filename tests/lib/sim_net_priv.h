/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_NET_PRIV_H
#define TESTS_LIB_SIM_NET_PRIV_H

#include "tests/lib/sim_net.h"

/* What sim_net.c (who is there, which lanes are up) and sim_net_wire.c (what is on them) share. */

struct lane;

/* A note, or a call with its answer, from its start to when nobody looks at it any more. */
struct item {
	struct endpoint *from;
	struct lane *lane; /* NULL: to itself */
	struct item *next; /* on the lane, or among the answers */
	struct item *next_call, **link_call; /* of the endpoint that called */
	struct peer_call *call; /* NULL: a note, ended, or its node is dead */
	unsigned refs; /* of the call, the lane or the request, the deadline */
	uint64_t due_ns, epoch;
	uint64_t borrowed_hash;
	bool is_note, is_stalled, is_due; /* is_due: the answer */
	uint16_t kind;
	size_t head_len, len;
	uint8_t *bytes; /* head and payload */

	enum err end_err, answer_err;
	size_t answer_head_len, answer_len;
	uint8_t *answer;
};

/* A request in the hands of a handler. */
struct delivery {
	struct peer_request request;
	struct delivery *next, **link; /* of the endpoint */
	struct item *item;
	struct endpoint *endpoint;
	uint8_t *head;
	size_t room;
	uint64_t borrowed_hash;
};

struct endpoint {
	struct peers base;
	struct sim_net *net;
	struct sim_node *node;
	unsigned node_index, ordinal;
	int purpose;
	bool is_up;
	size_t room_cap, room_len;
	struct item *calls;
	struct delivery *deliveries;
	struct lane *lanes;
	uint64_t heard_ns[SIM_NET_NODES_MAX]; /* 0: never */
	struct sim_hook hook;
	struct endpoint *next;
};

/* From an endpoint to an endpoint. */
struct lane {
	struct endpoint *from, *to;
	bool is_up;
	bool is_dead; /* up, as far as anybody knows, but the other died */
	bool is_told, is_telling; /* what the watches know; the task is posted */
	bool is_doomed; /* breaks soon, if still cut */
	uint64_t epoch, told_epoch; /* counts breaks */
	struct item *first, **last;
	struct item *answers;
	uint64_t last_due_ns;
	struct task tell_task;
	struct lane *next;
};

struct sim_net {
	struct sim *sim;
	struct sim_net_odds odds;
	uint64_t latency_us;
	struct endpoint *endpoints, **endpoints_tail;
	struct sim_node *nodes[SIM_NET_NODES_MAX];
	unsigned node_count;
	bool is_cut[SIM_NET_NODES_MAX][SIM_NET_NODES_MAX];
	bool (*filter)(void *arg, struct id to, struct peer_request *request);
	void *filter_arg;
	struct sim_net_stats stats;
};

extern const struct peers_ops sim_net_ops;

static inline bool lane_is_cut(const struct lane *lane)
{
	return lane->from->net->is_cut[lane->from->node_index][lane->to->node_index];
}

static inline bool lane_back_is_cut(const struct lane *lane)
{
	return lane->from->net->is_cut[lane->to->node_index][lane->from->node_index];
}

/* The lane of the endpoint to a node; NULL if nobody there serves this purpose. */
struct lane *sim_net_lane(struct endpoint *from, struct id node);

/* Brings a lane down. */
void sim_net_lane_break(struct lane *lane);

/* Delivers what can be delivered on the lane. */
void sim_net_lane_pump(struct lane *lane);

/* Drops what is on the lane from a random place on (from the first, if all), and all answers. */
void sim_net_lane_clear(struct lane *lane, bool all);

/* Ends the calls of the lane that began before its last break. */
void sim_net_lane_end_calls(struct lane *lane);

/* The endpoint's node is dead: its calls and deliveries are forgotten. */
void sim_net_forget(struct endpoint *endpoint);

#endif
