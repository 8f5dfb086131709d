/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_GONE_H
#define SERVER_CONTROL_GONE_H

#include <jansson.h>

#include "server/node.h"

/* Nodes that do not come back: in the control thread.
 *
 * To give a node up is to give its drives up; what they held is made anew elsewhere. By itself that
 * is done only if it all finds a place, in the same profile or in one for fewer nodes that has
 * parity too; so the drives are first planned without, and put back if it does not. By command a
 * smaller profile is only shown. */

/* rubus node gone NAME; as control_call(). */
MUST_USE enum err control_node_gone(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

/* rubus node gone-after [TIME]: how long a node is away before it is given up. */
MUST_USE enum err control_node_gone_after(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

/* Gives up a node that was away for long, if it may be (server/cluster_away.c); logs what came of
 * it. */
void control_give_up(struct node *node, uint16_t number);

#endif
