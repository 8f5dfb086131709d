/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket can be asked. The functions run in the control thread, which has the
 * node's own reader of the index to itself once the node has started. */
#include <string.h>

#include "server/control.h"
#include "server/control_check.h"
#include "server/control_cluster.h"
#include "server/control_drive.h"
#include "server/control_gone.h"
#include "server/control_health.h"
#include "server/control_layout.h"
#include "server/control_leave.h"
#include "server/control_node.h"
#include "server/control_recovery.h"
#include "server/control_tasks.h"
#include "server/control_user.h"
#include "server/control_waiting.h"
#include "server/net_test.h"
#include "server/node.h"
#include "server/node_space.h"
#include "server/node_status.h"
#include "server/salvage.h"

static const struct {
	const char *name;
	enum err (*call)(
		struct node *node, const json_t *request, json_t **ret_result, char *message);
} calls[] = {
	{"key.create", control_key_create},
	{"key.list", control_key_list},
	{"key.show", control_key_show},
	{"key.rotate", control_key_rotate},
	{"key.disable", control_key_disable},
	{"key.enable", control_key_enable},
	{"key.delete", control_key_delete},
	{"key.policy", control_key_policy},
	{"user.create", control_user_create},
	{"user.list", control_user_list},
	{"user.show", control_user_show},
	{"user.set", control_user_set},
	{"user.disable", control_user_disable},
	{"user.enable", control_user_enable},
	{"user.delete", control_user_delete},
	{"user.policy", control_user_policy},
	{"bucket.create", control_bucket_create},
	{"bucket.list", control_bucket_list},
	{"bucket.show", control_bucket_show},
	{"bucket.delete", control_bucket_delete},
	{"bucket.set", control_bucket_set},
	{"bucket.allow", control_bucket_allow},
	{"bucket.deny", control_bucket_deny},
	{"status", node_status},
	{"drive.list", node_status_drives},
	{"df", node_space},
	{"token.create", control_token_create},
	{"node.list", control_node_list},
	{"quorum", control_quorum},
	{"health", control_health},
	{"tree", control_tree},
	{"node.show", control_node_show},
	{"node.maintenance", control_node_maintenance},
	{"node.can-stop", control_node_can_stop},
	{"drive.safe-to-remove", control_drive_safe_to_remove},
	{"cluster.confirm", control_cluster_confirm},
	{"index.salvage", control_index_salvage},
	{"cluster.rest", control_cluster_rest},
	{"node.gone", control_node_gone},
	{"node.gone-after", control_node_gone_after},
	{"net.test", control_net_test},
	{"time.check", control_time_check},
	{"layout.show", control_layout_show},
	{"layout.simulate", control_layout_simulate},
	{"layout.plan", control_layout_plan},
	{"layout.apply", control_layout_apply},
	{"tasks", control_tasks},
	{"task.show", control_task_show},
	{"repair.status", control_repair_status},
	{"repair.report", control_repair_report},
	{"repair.pause", control_repair_pause},
	{"repair.resume", control_repair_resume},
	{"repair.speed", control_repair_speed},
	{"scrub.start", control_scrub_start},
	{"scrub.status", control_scrub_status},
	{"scrub.pause", control_scrub_pause},
	{"scrub.resume", control_scrub_resume},
	{"scrub.speed", control_scrub_speed},
	{"scrub.period", control_scrub_period},
	{"layout.diff", control_layout_diff},
	{"layout.revert", control_layout_revert},
	{"layout.history", control_layout_history},
	{"drive.add", control_drive_add},
	{"drive.drain", control_drive_drain},
	{"drive.remove", control_drive_remove},
	{"drive.gone", control_drive_gone},
	{"drive.replace", control_drive_replace},
	{"node.drain", control_node_drain},
	{"node.remove", control_node_remove},
};

enum err control_call(struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *name = control_argument(request, "call");
	if (!node->is_ready)
		return control_waiting(node, request, ret_result, message);
	for (size_t i = 0; name && i < ARRAY_COUNT(calls); i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].call(node, request, ret_result, message);
	return node_refuse(message, ERR_UNSUPPORTED, "the node does not know this request");
}
