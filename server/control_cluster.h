/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_CLUSTER_H
#define SERVER_CONTROL_CLUSTER_H

#include <jansson.h>

#include "server/node.h"

/* What the control socket can be asked about nodes: as control_call(). */
MUST_USE enum err control_token_create(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_node_list(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_quorum(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

#endif
