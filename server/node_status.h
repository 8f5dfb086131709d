/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NODE_STATUS_H
#define SERVER_NODE_STATUS_H

#include <jansson.h>

#include "server/node.h"

/* What a node tells of itself, as JSON: for `rubus status` and `rubus drive list`. All
 * numbers come from where the node itself takes them (P7). In the control thread. */
enum err node_status(
	struct node *node, const json_t *request, json_t **ret_result, char *message) MUST_USE;
enum err node_status_drives(
	struct node *node, const json_t *request, json_t **ret_result, char *message) MUST_USE;

#endif
