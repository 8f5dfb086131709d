/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_WAITING_H
#define SERVER_CONTROL_WAITING_H

#include <jansson.h>

#include "server/node.h"

/* What the control socket answers before the node serves: how far it is and who is missing. All
 * else is refused, with what to do. As control_call(); ERR_UNAVAILABLE. */
MUST_USE enum err control_waiting(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

#endif
