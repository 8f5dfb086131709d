/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control_leave.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/control_drive.h"
#include "server/facts.h"
#include "server/layout.h"

static const char *argument(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));
	return text ? text : "";
}

/* A copy of what is known of a node, with its drives that are in or draining. */
struct leaver {
	struct fact_node node;
	struct fact_drive drives[STORE_DRIVES_MAX];
	unsigned drive_count;
};

static enum err find(struct node *node, const char *name, struct leaver *ret_leaver, char *message)
{
	struct facts *facts;
	if (!node->cluster)
		return node_refuse(message, ERR_UNSUPPORTED, "this node is alone");
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	const struct fact_node *found = facts_find_node(facts, name);
	ret_leaver->drive_count = 0;
	if (!found)
		err = node_refuse(message, ERR_NOT_FOUND,
			"there is no node '%.64s', or several have that name; see rubus node list",
			name);
	else if (!facts->has_quorum)
		err = node_refuse(message, ERR_UNAVAILABLE,
			"there is no quorum, so nothing can be decided; see rubus quorum");
	else
		ret_leaver->node = *found;
	for (size_t i = 0; !err && i < facts->drive_count; i++)
		if (facts->drives[i].node == found && ret_leaver->drive_count < STORE_DRIVES_MAX)
			ret_leaver->drives[ret_leaver->drive_count++] = facts->drives[i];
	facts_free(facts);
	return err;
}

static enum err set_state(struct node *node, struct id id, enum node_row_state state)
{
	struct command command = {.type = COMMAND_NODE_PUT};
	struct command_result result;
	command.node_put.id = id;
	command.node_put.set = NODE_SET_STATE;
	command.node_put.state = state;
	return node_propose_until(node, &command, &result);
}

/* --- drain ------------------------------------------------------------------------------------ */

static enum err mark(
	struct node *node, const struct leaver *leaver, bool is_draining, char *message)
{
	enum err err = ERR_OK;
	for (unsigned i = 0; !err && i < leaver->drive_count; i++)
		err = control_drive_set_state(node, leaver->drives[i].number,
			is_draining ? DRIVE_ROW_DRAINING : DRIVE_ROW_IN);
	if (!err)
		err = set_state(
			node, leaver->node.id, is_draining ? NODE_ROW_DRAINING : NODE_ROW_IN);
	return err ? node_refuse(message, err, "node %.64s could not be changed: %s; try again",
			     leaver->node.name, err_text(err))
		   : ERR_OK;
}

enum err control_node_drain(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct leaver *leaver = malloc(sizeof *leaver);
	char what[LAYOUT_WHAT_LEN];
	char ignored[NODE_MESSAGE_LEN];
	bool is_canceled = json_object_get(request, "cancel") != NULL;
	if (!leaver)
		return ERR_NO_MEMORY;
	enum err err = find(node, argument(request, "name"), leaver, message);
	if (!err && leaver->drive_count == 0)
		err = node_refuse(message, ERR_CONFLICT,
			"node %.64s has no drives to drain; remove it: rubus node remove %.64s",
			leaver->node.name, leaver->node.name);
	if (!err)
		err = mark(node, leaver, !is_canceled, message);
	if (!err) {
		snprintf(what, sizeof what, "%s node %.64s", is_canceled ? "do not drain" : "drain",
			leaver->node.name);
		err = control_drive_show_drain(node, request, what, ret_result, message);
		if (err == ERR_NOT_EMPTY) /* it has the last drives: it stays */
			err_ignore(mark(node, leaver, false, ignored));
	}
	free(leaver);
	return err;
}

/* --- remove ----------------------------------------------------------------------------------- */

static enum err check(const struct leaver *leaver, char *message)
{
	const struct fact_node *node = &leaver->node;
	if (node->is_own)
		return node_refuse(message, ERR_CONFLICT,
			"this is node %.64s itself; remove it from another node", node->name);
	if (node->is_up && node->state != NODE_ROW_DRAINING && leaver->drive_count > 0)
		return node_refuse(message, ERR_NOT_EMPTY,
			"node %.64s works; first have its shards moved away: rubus node drain "
			"%.64s --apply",
			node->name, node->name);
	return ERR_OK;
}

/* What a drive that cannot be let go needs first. */
static enum err refuse_drive(const struct leaver *leaver, uint16_t drive, char *message)
{
	if (leaver->node.is_up)
		return node_refuse(message, ERR_NOT_EMPTY,
			"drive %u of node %.64s still holds shards; see how they move: rubus "
			"layout "
			"diff",
			drive, leaver->node.name);
	return node_refuse(message, ERR_NOT_EMPTY,
		"node %.64s is away, and the ring keeps shards on its drive %u; bring it back, or "
		"give the drive up: rubus drive gone %u",
		leaver->node.name, drive, drive);
}

static enum err let_go(struct node *node, const struct leaver *leaver, char *message)
{
	enum err err = ERR_OK;
	for (unsigned i = 0; !err && i < leaver->drive_count; i++) {
		err = control_drive_let_go(node, leaver->drives[i].number, message);
		if (err == ERR_NOT_EMPTY)
			err = refuse_drive(leaver, leaver->drives[i].number, message);
	}
	if (!err && leaver->node.state != NODE_ROW_DRAINING)
		err = set_state(node, leaver->node.id, NODE_ROW_DRAINING);
	return err;
}

/* It is no member any more. */
static enum err finish(struct node *node, const struct leaver *leaver, char *message)
{
	struct command command = {.type = COMMAND_NODE_REMOVE};
	struct command_result result;
	command.node_remove.id = leaver->node.id;
	enum err err = leaver->node.is_up ? cluster_tell_removed(node->cluster, leaver->node.id)
					  : ERR_UNAVAILABLE;
	if (err && leaver->node.is_up)
		trace_event(node->trace, TRACE_WARNING, 0,
			"node %s could not be told that it was removed: %s", leaver->node.name,
			err_text(err));
	err = node_propose_until(node, &command, &result);
	if (err && err != ERR_NOT_FOUND)
		return node_refuse(message, err, "node %.64s could not be removed: %s; try again",
			leaver->node.name, err_text(err));
	trace_event(node->trace, TRACE_INFO, 0, "node %s was removed", leaver->node.name);
	return ERR_OK;
}

enum err control_node_remove(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct leaver *leaver = malloc(sizeof *leaver);
	if (!leaver)
		return ERR_NO_MEMORY;
	enum err err = find(node, argument(request, "name"), leaver, message);
	if (!err)
		err = check(leaver, message);
	if (!err)
		err = let_go(node, leaver, message);
	bool is_member = !err && cluster_is_member(node->cluster, leaver->node.id);
	if (!err && !is_member)
		err = finish(node, leaver, message);
	if (!err)
		*ret_result = json_pack("{s:s, s:s}", "node", leaver->node.name, "state",
			is_member ? "leaving" : "removed");
	free(leaver);
	return err;
}
