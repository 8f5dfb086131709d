/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_CHECK_H
#define SERVER_CONTROL_CHECK_H

#include <jansson.h>

#include "server/node.h"

/* What the control socket can be asked about what nodes have in common: as control_call(). */

/* Compares wall clocks, as the nodes said last. */
MUST_USE enum err control_time_check(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

#endif
