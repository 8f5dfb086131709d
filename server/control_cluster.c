/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket about nodes: in the control thread. */
#include "server/control_cluster.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/digest/hex.h"
#include "server/cluster.h"

#define MINUTE_MS 60000
#define TOKEN_MINUTES_DEFAULT 60
#define TOKEN_MINUTES_MAX (7 * 24 * 60)

static enum err refuse_alone(char *message)
{
	return node_refuse(message, ERR_UNSUPPORTED,
		"this node is alone; set cluster_address (and advertised_addresses) in its "
		"configuration and start it again");
}

/* --- tokens ----------------------------------------------------------------------------------- */

enum err control_token_create(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *minutes_text = json_string_value(json_object_get(request, "minutes"));
	char text[JOIN_TOKEN_TEXT_MAX], *end = NULL;
	uint64_t end_ms;
	long minutes = minutes_text ? strtol(minutes_text, &end, 10) : TOKEN_MINUTES_DEFAULT;
	if (!node->cluster)
		return refuse_alone(message);
	if ((minutes_text && (!*minutes_text || *end)) || minutes < 1 ||
		minutes > TOKEN_MINUTES_MAX)
		return node_refuse(message, ERR_INVALID, "--minutes is '%s'; it must be 1 to %d",
			minutes_text ? minutes_text : "", TOKEN_MINUTES_MAX);
	enum err err = cluster_make_token(
		node->cluster, (uint64_t)minutes * MINUTE_MS, text, &end_ms, message);
	if (!err)
		*ret_result = json_pack("{s:s, s:I}", "token", text, "end_ms", (json_int_t)end_ms);
	explicit_bzero(text, sizeof text);
	return err;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static json_t *text_of(struct bytes bytes)
{
	json_t *text = json_stringn(bytes.len ? (const char *)bytes.data : "", bytes.len);
	return text ? text : json_string("?"); /* not UTF-8 */
}

static const char *duty_of(const struct consensus_members *members, struct id node)
{
	for (size_t i = 0; i < members->count; i++)
		if (id_is_equal(members->members[i].node, node))
			return members->members[i].duty == CONSENSUS_VOTER ? "voter" : "learner";
	return "none";
}

static json_t *node_json(struct node *node, const struct row_node *row)
{
	struct consensus_members members;
	struct cluster_view view;
	char id[2 * ID_LEN + 1];
	consensus_raft_members(node->consensus, &members);
	cluster_view(node->cluster, row->id, &view);
	hex_encode(row->id.bytes, ID_LEN, id);
	bool is_own = id_is_equal(row->id, node->identity.node);
	return json_pack("{s:i, s:o, s:s, s:s, s:s, s:o, s:o, s:s, s:b}", "number", row->number,
		"name", text_of(row->name), "id", id, "state",
		is_own || view.is_linked ? "up" : "away", "duty", duty_of(&members, row->id),
		"zone", text_of(row->zone), "addresses", text_of(row->addresses), "role",
		row->role == NODE_ROLE_WITNESS ? "witness" : "storage", "is_this", is_own);
}

enum err control_node_list(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	if (!node->cluster)
		return refuse_alone(message);
	struct row_node row;
	json_t *list = json_array();
	enum err err = index_view_begin(node->reader);
	if (err) {
		json_decref(list);
		return err;
	}
	for (uint32_t from = 1; from <= UINT16_MAX; from = row.number + 1u) {
		err = index_node_next(node->reader, from, &row);
		if (err)
			break;
		json_array_append_new(list, node_json(node, &row));
	}
	index_view_end(node->reader);
	if (err != ERR_NOT_FOUND) {
		json_decref(list);
		return err;
	}
	*ret_result = list;
	return ERR_OK;
}

static json_t *members_json(
	const struct consensus_members *members, uint64_t leader, int *ret_voters)
{
	json_t *list = json_array();
	*ret_voters = 0;
	for (size_t i = 0; i < members->count; i++) {
		const struct consensus_member *member = &members->members[i];
		bool is_voter = member->duty == CONSENSUS_VOTER;
		char id[2 * ID_LEN + 1];
		hex_encode(member->node.bytes, ID_LEN, id);
		*ret_voters += is_voter;
		json_array_append_new(list,
			json_pack("{s:o, s:s, s:s, s:b, s:I}", "log",
				json_sprintf("%016llx", (unsigned long long)member->id), "node", id,
				"duty", is_voter ? "voter" : "learner", "leads",
				member->id == leader, "match", (json_int_t)member->match_index));
	}
	return list;
}

enum err control_quorum(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	static const char *const roles[] = {[CONSENSUS_STOPPED] = "stopped",
		[CONSENSUS_FOLLOWER] = "follower",
		[CONSENSUS_LEADER] = "leader"};
	(void)request;
	struct consensus_info info;
	struct consensus_members members;
	int voters;
	if (!node->cluster)
		return refuse_alone(message);
	consensus_info(node->consensus, &info);
	consensus_raft_members(node->consensus, &members);
	json_t *list = members_json(&members, info.leader, &voters);
	*ret_result = json_pack("{s:i, s:s, s:I, s:I, s:b, s:i, s:i, s:o}", "command_version",
		index_known_command_version(node->index), "role", roles[info.role], "term",
		(json_int_t)info.term, "commit", (json_int_t)info.commit_index, "has_leader",
		info.leader != 0, "voters", voters, "needed", voters / 2 + 1, "members", list);
	return ERR_OK;
}
