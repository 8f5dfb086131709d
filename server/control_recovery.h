/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_RECOVERY_H
#define SERVER_CONTROL_RECOVERY_H

#include <jansson.h>

#include "server/node.h"

/* Requests of the control socket for when a cluster was in trouble, or is to rest. In the control
 * thread; as control_call(). */
MUST_USE enum err control_cluster_confirm(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

/* Steps of rubus cluster stop: {"step": "close" | "open" | "busy" | "end", "name": NODE}. */
MUST_USE enum err control_cluster_rest(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

#endif
