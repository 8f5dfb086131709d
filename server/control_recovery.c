/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control_recovery.h"

#include <string.h>

#include "server/cluster.h"
#include "server/facts.h"
#include "server/loop_call.h"
#include "server/salvage.h"

/* --- rubus cluster confirm -------------------------------------------------------------------- */

static enum err is_set(struct node *node, const char *name, bool *ret_is_set)
{
	struct bytes value;
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_setting_get(node->reader, bytes_of(name), &value);
	index_view_end(node->reader);
	*ret_is_set = err == ERR_OK;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err remove_setting(struct node *node, const char *name, bool *ret_was_set)
{
	struct command command = {.type = COMMAND_SETTING_PUT};
	struct command_result result;
	enum err err = is_set(node, name, ret_was_set);
	command.setting_put.name = bytes_of(name);
	if (!err && *ret_was_set)
		err = node_propose(node, &command, &result);
	return err;
}

enum err control_cluster_confirm(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	bool was_held, had_bucket;
	if (salvage_is_running(node->salvage))
		return node_refuse(message, ERR_BUSY,
			"rubus index salvage is at work; confirm when it has ended");
	enum err err = remove_setting(node, SALVAGE_SETTING_BUCKET, &had_bucket);
	if (!err)
		err = remove_setting(node, COMMAND_SETTING_HELD, &was_held);
	if (!err)
		*ret_result = json_pack("{s:b}", "was_held", was_held);
	return err;
}

/* --- rubus cluster stop ----------------------------------------------------------------------- */

/* Closes or opens writes on every node that is there. One that cannot be told is named. */
static json_t *close_all(const struct facts *facts, bool are_closed)
{
	json_t *list = json_array();
	for (size_t i = 0; i < facts->node_count; i++) {
		const struct fact_node *node = &facts->nodes[i];
		enum err err = ERR_UNAVAILABLE;
		if (node->is_up)
			err = cluster_close_writes(facts->node->cluster, node->id, are_closed);
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:b, s:b, s:s}", "name", node->name, "state",
				!node->is_up         ? "away"
					: err        ? "unreached"
					: are_closed ? "closed"
						     : "open",
				"is_this", node->is_own, "leads", node->is_leader, "why",
				err && node->is_up ? err_text(err) : ""));
	}
	return list;
}

struct busy {
	const struct gateway_loop *loop;
	uint64_t count;
};

static enum err count_busy(void *arg)
{
	struct busy *busy = arg;
	busy->count += busy->loop->counters.in_progress;
	return ERR_OK;
}

/* Requests of clients that run here. */
static uint64_t requests_here(struct node *node)
{
	struct busy busy = {0};
	for (unsigned i = 0; i < node->config->loops; i++) {
		busy.loop = &node->gateway_loops[i];
		err_ignore(loop_call(server_loop_base(node->loops[i]), count_busy, &busy));
	}
	return busy.count;
}

static enum err end_node(
	const struct facts *facts, const char *name, json_t **ret_result, char *message)
{
	const struct fact_node *node = facts_find_node(facts, name ? name : "");
	if (!node)
		return node_refuse(message, ERR_NOT_FOUND, "there is no such node");
	enum err err = cluster_end_node(facts->node->cluster, node->id);
	if (err)
		return node_refuse(message, err, "node %s could not be told to end: %s", node->name,
			err_text(err));
	*ret_result = json_pack("{s:s}", "name", node->name);
	return ERR_OK;
}

enum err control_cluster_rest(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *step = json_string_value(json_object_get(request, "step"));
	const char *name = json_string_value(json_object_get(request, "name"));
	struct facts *facts;
	if (!node->cluster)
		return node_refuse(message, ERR_UNSUPPORTED,
			"this node is alone: end it with SIGTERM, or systemctl stop rubus");
	if (!step)
		return ERR_INVALID;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	if (strcmp(step, "close") == 0 || strcmp(step, "open") == 0)
		*ret_result = close_all(facts, strcmp(step, "close") == 0);
	else if (strcmp(step, "busy") == 0)
		*ret_result = json_pack("{s:I}", "requests", (json_int_t)requests_here(node));
	else if (strcmp(step, "end") == 0)
		err = end_node(facts, name, ret_result, message);
	else
		err = ERR_INVALID;
	facts_free(facts);
	return err;
}
