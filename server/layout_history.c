/* SPDX-License-Identifier: Apache-2.0 */
#include "server/layout_history.h"

#include <stdlib.h>
#include <string.h>

enum err layout_history_append(json_t *list, json_t *entry)
{
	while (json_array_size(list) >= LAYOUT_HISTORY_MAX)
		if (json_array_remove(list, 0) != 0)
			break;
	return json_array_append_new(list, entry) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

json_t *layout_history_parse(struct bytes text)
{
	json_t *list = text.len > 0 ? json_loadb((const char *)text.data, text.len, 0, NULL) : NULL;
	if (json_is_array(list))
		return list;
	json_decref(list);
	return json_array();
}

enum err layout_history_read(struct node *node, json_t **ret_list)
{
	struct bytes value = {0};
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_setting_get(node->reader, bytes_of(LAYOUT_HISTORY), &value);
	if (err == ERR_NOT_FOUND)
		err = ERR_OK;
	json_t *list = err ? NULL : layout_history_parse(value);
	index_view_end(node->reader);
	if (err)
		return err;
	*ret_list = list;
	return list ? ERR_OK : ERR_NO_MEMORY;
}

enum err layout_history_add(struct node *node, const struct layout *layout, const char *what)
{
	json_t *list;
	struct command command = {.type = COMMAND_SETTING_PUT};
	struct command_result result;
	enum err err = layout_history_read(node, &list);
	if (err)
		return err;
	const struct ring *ring = &layout->ring;
	err = layout_history_append(list,
		json_pack("{s:I, s:I, s:s, s:s, s:s, s:o}", "version", (json_int_t)ring->version,
			"time_ms", (json_int_t)clock_wall_ms(node->clock), "node",
			node->config->node_name, "what", what, "plan", layout->name, "profile",
			json_sprintf("%u+%u", ring->profile.k, ring->profile.m)));
	char *text = err ? NULL : json_dumps(list, JSON_COMPACT);
	json_decref(list);
	if (!text)
		return err ? err : ERR_NO_MEMORY;
	command.setting_put.name = bytes_of(LAYOUT_HISTORY);
	command.setting_put.value = bytes_of(text);
	err = node_propose_until(node, &command, &result);
	free(text);
	return err;
}
