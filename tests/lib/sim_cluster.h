/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_CLUSTER_H
#define TESTS_LIB_SIM_CLUSTER_H

#include "storage/meta/steward.h"
#include "tests/lib/sim_store.h"

/* A whole cluster in one thread: nodes that are members of one group, keep each other's shards, and
 * mend what is not in its place. What server/ adds to storage/ is done here as it does it: a node
 * opens everything, takes part, adds its drives when it has a session, and then serves; where it
 * leads it is its group's steward; when its index fails or was replaced, its process ends and
 * starts again.
 *
 * Nothing here waits: who runs the world calls sim_cluster_poll() again and again. */
#define SIM_CLUSTER_NODES_MAX 9

enum sim_cluster_state {
	SIM_NODE_DOWN,
	SIM_NODE_OPENING, /* waits for its session */
	SIM_NODE_ADDING, /* its drives */
	SIM_NODE_SERVING,
	SIM_NODE_STOPPING, /* in order, when nobody uses it any more */
	SIM_NODE_STATES,
};

struct sim_cluster;
struct sim_cluster_life;

struct sim_cluster_node {
	struct sim_cluster *cluster;
	unsigned number;
	struct sim_store rig;
	enum sim_cluster_state state;
	bool is_wanted; /* down, it is started by sim_cluster_poll() */
	bool is_admitted; /* to the cluster: the steward makes it a member */
	bool is_in_ring; /* its drives should be */
	bool is_lost; /* for good: it never starts again, and its drives are given up */
	unsigned gone_count; /* of its drives that were given up */
	uint16_t replaced; /* a drive that is to be given up: it has another one instead; 0: none */
	bool is_paused;
	bool starts_again; /* when it has stopped */
	struct sim_cluster_life *life;
	uint64_t known_logs[SIM_CLUSTER_NODES_MAX]; /* as others said last; 0: not yet */
	uint64_t lives;
};

struct sim_cluster_counts {
	uint64_t lives, failures,
		replaced; /* processes; that ended by themselves; for a snapshot */
	uint64_t stops; /* in order */
	uint64_t start_errors;
};

struct sim_cluster {
	uint64_t seed;
	struct sim *sim;
	struct sim_net *net;
	struct sim_watch *watch;
	struct sim_cluster_node nodes[SIM_CLUSTER_NODES_MAX];
	unsigned node_count;
	struct sim_cluster_counts counts;

	/* A node's process ends now: what ran in it is lost. */
	void (*ended)(void *arg, struct sim_cluster_node *node);
	/* Are there operations on it? NULL: never. */
	bool (*is_used)(void *arg, const struct sim_cluster_node *node);
	void *arg; /* of both */
};

/* Makes the world. */
void sim_cluster_init(struct sim_cluster *cluster, uint64_t seed);

/* Frees it; all nodes are down. */
void sim_cluster_fini(struct sim_cluster *cluster);

/* Makes one more node with empty disks, which is down; the first one founds the group. options need
 * not say what is of the cluster. */
struct sim_cluster_node *sim_cluster_add(
	struct sim_cluster *cluster, const struct sim_store_options *options);

/* Does what is to be done outside the loops: starts, adds drives, ends what failed. */
void sim_cluster_poll(struct sim_cluster *cluster);

/* Ends a node's process; is_power_cut: and the power of its disks. It stays down until it is
 * wanted. */
void sim_cluster_kill(struct sim_cluster_node *node, bool is_power_cut);

void sim_cluster_pause(struct sim_cluster_node *node, bool is_paused);

/* Runs the world, polls, and looks at everything that can be looked at, until the predicate holds;
 * returns whether it does within max_ms. */
bool sim_cluster_run_until(
	struct sim_cluster *cluster, bool (*predicate)(void *arg), void *arg, uint64_t max_ms);
void sim_cluster_run_ms(struct sim_cluster *cluster, uint64_t ms);

/* The node that leads as far as it knows, with the highest term; NULL: none. */
struct sim_cluster_node *sim_cluster_leader(struct sim_cluster *cluster);

/* Do all that are admitted serve, with one list of members, all of them on it, the right number of
 * voters, and have they applied the same? */
bool sim_cluster_is_settled(void *cluster);

/* A node that serves is to stop in order, as soon as nobody uses it, and perhaps to start again. */
void sim_cluster_restart(struct sim_cluster_node *node, bool starts_again);

/* Stops a node that serves in order, and closes it: nobody uses it. Errors: ERR_TIMEOUT. */
MUST_USE enum err sim_cluster_stop(struct sim_cluster_node *node);

/* Tells what each node thinks, to stderr. */
void sim_cluster_print(struct sim_cluster *cluster);

#endif
