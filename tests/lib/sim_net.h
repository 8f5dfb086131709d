/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_NET_H
#define TESTS_LIB_SIM_NET_H

#include "storage/peer.h"
#include "tests/lib/sim.h"

/* A simulated network: keeps what storage/peer.h promises, (E1) to (E6), and nothing beyond.
 *
 * Each struct peers has a lane to each node, which carries what it starts there and brings back the
 * answers: in order on the way out, in any order back. A lane is up or down, by itself.
 *
 * - What is cut does not arrive; it waits. If the cut is healed soon it arrives late, and if not
 *   the lanes break. A broken lane comes up again by itself when nothing is cut.
 * - When a lane breaks, by a fault or because a node died, a beginning of what was on its way may
 *   arrive still, and every call of it ends with ERR_CLOSED, some time later when the other node
 *   died and cannot say so.
 * - The bytes of a call and of an answer are looked at again when they are given back: who changed
 *   what was borrowed ends the test.
 * - What the handlers of a killed node had is gone; its services and watches are forgotten.
 */
struct sim_net;

enum { SIM_NET_NODES_MAX = 16 };

enum sim_net_fault {
	SIM_NET_LOST, /* a note */
	SIM_NET_SLOW, /* something takes 100 times as long, and all behind it */
	SIM_NET_BREAK, /* a lane, with something new on it */
	SIM_NET_STALL, /* something waited because of a cut */
	SIM_NET_CUT_OFF, /* a lane broke because of a cut */
	SIM_NET_FULL, /* a call waited because the receiver had no room */
	SIM_NET_DEAD, /* a lane broke because a node died */
	SIM_NET_TIMEOUT, /* a call met its deadline */
	SIM_NET_FAULTS,
};

struct sim_net_odds { /* per mille */
	unsigned lose, slow, brk;
};

struct sim_net_stats {
	uint64_t notes, calls, answers; /* that arrived */
	uint64_t sent_len; /* bytes given to lanes */
	uint64_t faults[SIM_NET_FAULTS];
};

/* Makes the network of a world. Gives it to the caller. */
struct sim_net *sim_net_new(struct sim *sim);

/* Takes the network, when no node uses it any more (kill them first). Before sim_free(). */
void sim_net_free(struct sim_net *net);

/* Makes the peers of a loop of a node, for as long as the network. Loops of one purpose meet: the
 * n-th of a node talks to the n-th of others, modulo how many they have. */
struct peers *sim_net_peers(
	struct sim_net *net, struct sim_node *node, struct loop *loop, struct id id, int purpose);

/* The services and watches are there: lanes come up. Again in every life of the node. */
void sim_net_start(struct peers *peers);

/* To be written by tests. A message takes from 20 us to latency_us (500 to begin with). */
struct sim_net_odds *sim_net_odds(struct sim_net *net);
void sim_net_set_latency(struct sim_net *net, uint64_t latency_us);

/* How many bytes of unanswered requests the peers hold; 4 MiB to begin with. */
void sim_net_set_room(struct peers *peers, size_t room_len);

/* Cuts or heals one direction. */
void sim_net_cut(struct sim_net *net, struct sim_node *from, struct sim_node *to, bool is_cut);

/* Cuts between the nodes whose bits (1 << index, in the order in which they got their first peers)
 * are set and those whose bits are not; heals all the rest. 0 heals everything. */
void sim_net_partition(struct sim_net *net, uint32_t nodes);

/* Forgets odds, latency and cuts. */
void sim_net_heal(struct sim_net *net);

/* Breaks all lanes between two nodes. */
void sim_net_break(struct sim_net *net, struct sim_node *a, struct sim_node *b);

/* Called for each message that arrives, before it is handled; may change the bytes, or return false
 * to lose a note. For tests that forge. */
void sim_net_set_filter(struct sim_net *net,
	bool (*filter)(void *arg, struct id to, struct peer_request *request), void *arg);

/* Borrowed. */
const struct sim_net_stats *sim_net_stats(const struct sim_net *net);
const char *sim_net_fault_name(enum sim_net_fault fault);

#endif
