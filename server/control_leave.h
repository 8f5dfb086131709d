/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_LEAVE_H
#define SERVER_CONTROL_LEAVE_H

#include <jansson.h>

#include "server/node.h"

/* How a node leaves its cluster: as control_call().
 *
 *	drain	  the node and its drives are to hold nothing; moved by layout apply
 *	remove	  1. its drives, which must be empty, are removed
 *		  2. the steward, wherever it is, takes the node out of the group (cluster.h)
 *		  3. the node is told, if it is there, and ends
 *		  4. its row goes, with its key and its sessions: it is a stranger
 *
 * A node must have left the group before its row goes: the others refuse it from then on, and two
 * voters of which one is refused decide nothing any more. So `remove` answers "leaving" until the
 * steward is done, and is asked again. */
MUST_USE enum err control_node_drain(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_node_remove(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

#endif
