/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_LAYOUT_H
#define SERVER_CONTROL_LAYOUT_H

#include <jansson.h>

#include "server/node.h"
#include "storage/ring/ring.h"

/* What rings mean, for the control socket. */

#define LAYOUT_RATE (UINT64_C(100) << 20) /* bytes per second that a node is taken to move */

/* The ring there is: what it holds, what it survives, and how likely that is enough. As
 * control_call(). */
MUST_USE enum err control_layout_show(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

/* Adds to an object what the step from one ring (NULL: none) to another takes and gives. drives are
 * those of the new ring. */
MUST_USE enum err control_layout_describe(struct node *node, const struct ring *old,
	const struct ring *new, const struct ring_drive_info *drives, size_t drive_count,
	json_t *object);

#endif
