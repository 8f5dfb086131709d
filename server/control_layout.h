/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_LAYOUT_H
#define SERVER_CONTROL_LAYOUT_H

#include <jansson.h>

#include "server/layout.h"
#include "storage/ring/ring.h"

/* What rings mean, for the control socket. */

#define LAYOUT_RATE (UINT64_C(100) << 20) /* bytes per second that a node is taken to move */

/* The ring there is: what it holds, what it survives, and how likely that is enough. As
 * control_call(). */
MUST_USE enum err control_layout_show(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

/* Adds to an object what the step from one ring (NULL: none) to another takes and gives. drives are
 * those of the new ring. One that is planned is checked, too; one that was taken before may have
 * drives that are to leave since. */
MUST_USE enum err control_layout_describe(struct node *node, const struct ring *old,
	const struct ring *new, const struct ring_drive_info *drives, size_t drive_count,
	bool is_plan, json_t *object);

/* --- for other commands that change the ring -------------------------------------------------- */

/* A layout with the ring that the drives ask for; says what is wrong. */
MUST_USE enum err control_layout_make(struct node *node, struct layout **ret_layout, char *message);

/* What the step to the layout's ring means, for the one who asked. */
MUST_USE enum err control_layout_json(
	struct node *node, const struct layout *layout, json_t **ret_result);

/* Has the index take the ring, if it changes anything; says what is wrong. */
MUST_USE enum err control_layout_take(
	struct node *node, const struct layout *layout, const char *what, char *message);

/* As control_call(). */
MUST_USE enum err control_layout_plan(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_layout_apply(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_layout_diff(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_layout_revert(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_layout_history(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

#endif
