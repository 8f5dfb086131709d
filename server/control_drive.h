/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_DRIVE_H
#define SERVER_CONTROL_DRIVE_H

#include <jansson.h>

#include "server/node.h"

/* What the control socket can be asked that changes drives: as control_call(). */
MUST_USE enum err control_drive_add(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_drive_drain(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_drive_remove(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_drive_gone(
	struct node *node, const json_t *request, json_t **ret_result, char *message);
MUST_USE enum err control_drive_replace(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

/* Moves a drive to another state. Errors: those of the command. */
MUST_USE enum err control_drive_set_state(
	struct node *node, uint16_t number, enum row_drive_state state);

/* Was a drive of that number, or path on this node, given up or removed? */
bool control_drive_is_late(struct node *node, const char *name, uint16_t *ret_number);

/* Takes a drive without shards out of the index for good; says what is still in the way. */
MUST_USE enum err control_drive_let_go(struct node *node, uint16_t number, char *message);

/* Plans without what is draining, shows it as `what` (a word and its value), and applies it if the
 * request says so; says how to go on if not. */
MUST_USE enum err control_drive_show_drain(struct node *node, const json_t *request,
	const char *what, json_t **ret_result, char *message);

#endif
