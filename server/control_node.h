/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_NODE_H
#define SERVER_CONTROL_NODE_H

#include <jansson.h>

#include "server/node.h"

/* What the control socket can be asked about one node or drive: as control_call(). */
MUST_USE enum err control_node_show(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_node_maintenance(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_node_can_stop(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_drive_safe_to_remove(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

/* What if nodes failed. */
MUST_USE enum err control_layout_simulate(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

#endif
