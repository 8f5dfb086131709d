/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_CLUSTER_ADMIN_H
#define TESTS_LIB_SIM_CLUSTER_ADMIN_H

#include "tests/lib/sim_cluster.h"

/* What an administrator does with a cluster: gives drives up, and sets targets. One thing after the
 * other, at any node that serves, and again until it is answered; in the end things are as the
 * rest of the simulation says that they should be (struct sim_cluster_node). */
struct sim_admin {
	struct sim_cluster *cluster;
	uint64_t random;
	struct order *order; /* on its way; NULL: none */
	struct sim_cluster_node *at; /* through that node */
	uint64_t life; /* of the node */
	bool wants_target;
	uint64_t targets, gone, refused; /* that were answered */
};

void sim_admin_init(struct sim_admin *admin, struct sim_cluster *cluster, uint64_t seed);

/* A ring of all drives of those that are in the ring is wanted. */
void sim_admin_want_target(struct sim_admin *admin);

/* Goes on; outside the loops. */
void sim_admin_poll(struct sim_admin *admin);

/* Is all done? */
bool sim_admin_is_idle(const struct sim_admin *admin);

#endif
