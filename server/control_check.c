/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket that compare nodes: in the control thread. */
#include "server/control_check.h"

#include <stdlib.h>
#include <string.h>

#include "server/facts.h"

#define TIME_LIMIT_MS_DEFAULT 1000
#define TIME_LIMIT_MS_MAX 86400000

/* --- rubus time check ------------------------------------------------------------------------- */

static json_t *time_json(const struct fact_node *node, int64_t limit_ms, bool *io_are_fine)
{
	int64_t ahead_ms = node->view.ahead_ms;
	bool is_told = node->is_own || (node->is_up && node->view.has_time);
	bool is_fine = is_told && llabs(ahead_ms) <= limit_ms + node->view.ahead_within_ms;
	const char *state = !is_told ? "unknown" : is_fine ? "ok" : "wrong";
	json_t *json = json_pack("{s:s, s:i, s:s, s:s}", "node", node->name, "number", node->number,
		"state", state, "why",
		is_fine                ? ""
			: !is_told     ? "the node is away"
			: ahead_ms > 0 ? "its clock is ahead of this node's"
				       : "its clock is behind this node's");
	if (is_told) {
		json_object_set_new(json, "ahead_ms", json_integer(ahead_ms));
		json_object_set_new(json, "within_ms", json_integer(node->view.ahead_within_ms));
	}
	*io_are_fine &= is_fine;
	return json;
}

enum err control_time_check(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *text = json_string_value(json_object_get(request, "limit-ms"));
	char *end = NULL;
	long limit_ms = text ? strtol(text, &end, 10) : TIME_LIMIT_MS_DEFAULT;
	if (text && (!*text || *end || limit_ms < 0 || limit_ms > TIME_LIMIT_MS_MAX))
		return node_refuse(message, ERR_INVALID,
			"--limit-ms is '%.32s'; it must be 0 to %d", text, TIME_LIMIT_MS_MAX);
	struct facts *facts;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	json_t *list = json_array();
	bool are_fine = true;
	for (size_t i = 0; i < facts->node_count; i++)
		json_array_append_new(list, time_json(&facts->nodes[i], limit_ms, &are_fine));
	facts_free(facts);
	*ret_result = json_pack(
		"{s:b, s:I, s:o}", "ok", are_fine, "limit_ms", (json_int_t)limit_ms, "nodes", list);
	return ERR_OK;
}
