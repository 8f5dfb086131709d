/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_HEALTH_H
#define SERVER_CONTROL_HEALTH_H

#include <jansson.h>

#include "server/node.h"

/* What the control socket can be asked about how the cluster is: as control_call(). None of these
 * waits for other nodes. */
MUST_USE enum err control_health(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_tree(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

/* How the cluster of a node is, for its status; NULL when the node is alone. Gives the object. */
MUST_USE enum err control_cluster_status(struct node *node, json_t **ret_status);

/* What has used up a quota, or more than a soft one, with as many names as fit. */
struct control_quotas {
	struct control_quota {
		size_t count;
		char names[384];
	} full, soft;
};
MUST_USE enum err control_quotas(struct node *node, struct control_quotas *ret_quotas);

#endif
