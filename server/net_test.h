/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NET_TEST_H
#define SERVER_NET_TEST_H

#include <jansson.h>

#include "server/node.h"

/* rubus net test: every pair of nodes measures the way between them, asked by one node.
 *
 * (T1) Pairs go in rounds in which no node is in two, as in a tournament where each meets each:
 *	what one pair sends is not in another's way at its ends, and n nodes take n rounds.
 * (T2) The way of a pair goes there and back, so that one of the two goes (server/net_errand.h);
 *	the first in the order of the nodes, this one before all others.
 * (T3) A node that has not answered for a while is mute: the other of each pair goes. A pair of
 *	two that are mute is unknown.
 * (T4) Each pair has an end by its deadline, and so the test has one.
 */
struct net_test;

/* Ends what runs. Blocks for seconds at most; when the channel was stopped. NULL is fine. */
void net_test_stop(struct net_test *test);

/* Who meet in a round at a table (T1): count + count % 2 - 1 rounds, of (count + 1) / 2 tables.
 * False: one of them has nobody to meet. */
bool net_test_meet(
	unsigned count, unsigned round, unsigned table, unsigned *ret_a, unsigned *ret_b);

/* Of the control socket: begins a test if "begin" is true and none is on its way; says how far it
 * is, with what was found so far. In the control thread. */
MUST_USE enum err control_net_test(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

#endif
