/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_ORDER_H
#define TESTS_LIB_SIM_ORDER_H

#include "storage/meta/consensus.h"
#include "tests/lib/sim.h"

/* One order of commands for many simulated nodes: what a group of logs does for them, without the
 * group. It keeps what storage/meta/consensus.h promises, and knows no leader, terms or elections:
 * a proposal that is not held back is in the order at once, and each member sees the order as late
 * as chance wants. A member that is cut off proposes and sees nothing until it is back.
 *
 * It stands in where several nodes are to be tested and not how they agree. */
struct sim_order;

struct sim_order *sim_order_new(struct sim *sim);

/* Takes the order; no member is open. */
void sim_order_free(struct sim_order *order);

/* A member, for one life of a node, given to the caller; apply is where it applies. */
struct consensus *sim_order_open(
	struct sim_order *order, struct sim_node *node, struct loop *apply);

/* The most that a member sees something later than it could. */
void sim_order_set_lag(struct sim_order *order, uint64_t lag_us);

void sim_order_cut(struct sim_order *order, struct sim_node *node, bool is_cut);

#endif
