/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control_recovery.h"

#include <string.h>

#include "server/cluster.h"

/* --- rubus cluster confirm -------------------------------------------------------------------- */

static enum err is_held(struct node *node, bool *ret_is_held)
{
	struct bytes value;
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_setting_get(node->reader, bytes_of(COMMAND_SETTING_HELD), &value);
	index_view_end(node->reader);
	*ret_is_held = err == ERR_OK;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err control_cluster_confirm(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	struct command command = {.type = COMMAND_SETTING_PUT};
	struct command_result result;
	bool was_held;
	enum err err = is_held(node, &was_held);
	command.setting_put.name = bytes_of(COMMAND_SETTING_HELD);
	if (!err && was_held)
		err = node_propose(node, &command, &result);
	if (!err)
		*ret_result = json_pack("{s:b}", "was_held", was_held);
	return err;
}
