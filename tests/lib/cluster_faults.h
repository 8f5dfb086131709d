/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_CLUSTER_FAULTS_H
#define TESTS_LIB_CLUSTER_FAULTS_H

#include "tests/lib/sim_cluster_admin.h"

/* What befalls a simulated cluster, by chance, within what it has to survive: anything that ends,
 * anywhere and at once; and of what does not end, one domain: the shards of one node, or its state
 * disk, or all of it. Nodes join and targets are set besides. */
enum befall {
	BEFALL_KILL,
	BEFALL_STOP, /* in order */
	BEFALL_POWER_CUT,
	BEFALL_HOUSE_CUT, /* the power of all */
	BEFALL_START,
	BEFALL_PAUSE,
	BEFALL_GO_ON,
	BEFALL_ONE_WAY,
	BEFALL_PARTITION,
	BEFALL_BREAK,
	BEFALL_ODDS,
	BEFALL_HEAL,
	BEFALL_JUMP,
	BEFALL_LEADER_CUT,
	BEFALL_LEADER_KILL,
	BEFALL_STATE_SLOW,
	BEFALL_STATE_HANG, /* for longer than an election */
	BEFALL_STATE_FULL, /* until faults end */
	BEFALL_STATE_EIO,
	BEFALL_INDEX_EIO,
	BEFALL_DRIVE_SLOW,
	BEFALL_DRIVE_FULL, /* until faults end, or for a moment */
	BEFALL_DRIVE_EIO,
	BEFALL_LOCATIONS, /* the table of a drive fails */
	BEFALL_DRIVE_GONE, /* until faults end */
	BEFALL_DRIVE_LOSES, /* what it said it has */
	BEFALL_WIPE, /* a state disk */
	BEFALL_LOSE, /* a node, for good */
	BEFALL_JOIN,
	BEFALL_TARGET,
	BEFALLS,
};
const char *befall_name(enum befall what);

enum cluster_loss { LOSS_NONE, LOSS_OF_SHARDS, LOSS_OF_STATE, LOSS_OF_ALL, LOSSES };

struct cluster_faults {
	struct sim_cluster *cluster;
	struct sim_admin *admin;
	uint64_t random;
	enum cluster_loss loss; /* that one node may suffer */
	struct sim_cluster_node *loser; /* NULL: none did yet */
	uint64_t befell[BEFALLS];
	uint64_t replaced; /* drives */
};

void cluster_faults_init(struct cluster_faults *faults, struct sim_cluster *cluster,
	struct sim_admin *admin, uint64_t seed);

/* Lets something befall the cluster now or soon. */
void cluster_faults_inject(struct cluster_faults *faults);

/* Ends all faults: what may come back does, and who was to join does. */
void cluster_faults_heal(struct cluster_faults *faults);

/* Those that joined, or were taken out for a while, get shards as soon as they serve. */
void cluster_faults_extend_ring(struct cluster_faults *faults);

/* A drive that rotted so far that nothing tells whose it is gets replaced by an empty one, and is
 * given up: when faults have ended and the administrator has nothing else to do. */
void cluster_faults_replace_drives(struct cluster_faults *faults);

/* Has it a drive that is fenced, or was not opened? That lasts until the next start. */
bool cluster_node_is_crippled(const struct sim_cluster_node *node);

/* Has the node to serve in the end? */
static inline bool cluster_node_is_there(const struct sim_cluster_node *node)
{
	return node->is_admitted && !node->is_lost;
}

#endif
