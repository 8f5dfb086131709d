/* SPDX-License-Identifier: Apache-2.0 */
/* The main thread has the node's reader until the node serves; so this opens one of its own. */
#include "server/control_waiting.h"

#include <stdio.h>
#include <string.h>

#include "gateway/digest/hex.h"
#include "server/cluster.h"
#include "server/loop_call.h"
#include "server/version.h"

#define NAMES_LEN 512
#define WHY_LEN 768

/* Who votes, and who of them is here. */
struct roll {
	struct cluster *cluster;
	struct consensus_members members;
	bool is_here[CONSENSUS_MEMBERS_MAX];
	char names[CONSENSUS_MEMBERS_MAX][ROW_NODE_NAME_LEN_MAX + 1];
	unsigned voters, here;
};

static enum err call_roll(void *arg)
{
	struct roll *roll = arg;
	struct id own = roll->cluster->self.node;
	for (size_t i = 0; i < roll->members.count; i++) {
		struct peer_info info;
		struct id node = roll->members.members[i].node;
		peer_info(roll->cluster->loop_peers[0], node, &info);
		roll->is_here[i] = info.is_linked || id_is_equal(node, own);
	}
	return ERR_OK;
}

static void name_member(struct index_reader *reader, struct id node, char *name, size_t cap)
{
	struct row_node row;
	char id[2 * ID_LEN + 1];
	hex_encode(node.bytes, ID_LEN, id);
	snprintf(name, cap, "%.8s", id);
	if (index_view_begin(reader) != ERR_OK)
		return;
	if (index_node_find(reader, node, &row) == ERR_OK)
		snprintf(name, cap, "%.*s", (int)row.name.len, (const char *)row.name.data);
	index_view_end(reader);
}

static enum err take_roll(struct node *node, struct roll *roll)
{
	struct index_reader *reader;
	enum err err = index_reader_open(node->index, &reader);
	if (err)
		return err;
	*roll = (struct roll){.cluster = node->cluster};
	consensus_raft_members(node->consensus, &roll->members);
	err_ignore(loop_call(node->cluster->loop, call_roll, roll)); /* never fails */
	for (size_t i = 0; i < roll->members.count; i++) {
		bool is_voter = roll->members.members[i].duty == CONSENSUS_VOTER;
		name_member(reader, roll->members.members[i].node, roll->names[i],
			sizeof roll->names[i]);
		roll->voters += is_voter;
		roll->here += is_voter && roll->is_here[i];
	}
	index_reader_close(reader);
	return ERR_OK;
}

static json_t *members_json(const struct roll *roll, char *missing, size_t cap)
{
	json_t *list = json_array();
	size_t len = 0;
	missing[0] = '\0';
	for (size_t i = 0; i < roll->members.count; i++) {
		bool is_voter = roll->members.members[i].duty == CONSENSUS_VOTER;
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s}", "name", roll->names[i], "duty",
				is_voter ? "voter" : "learner", "state",
				roll->is_here[i] ? "up" : "away"));
		if (is_voter && !roll->is_here[i] && len < cap)
			len += snprintf(missing + len, cap - len, "%s%s", len > 0 ? ", " : "",
				roll->names[i]);
	}
	return list;
}

/* The state in two words, why, and what to do. */
static enum err judge(struct node *node, const char **ret_state, char *why, const char **ret_next,
	json_t **ret_members)
{
	char missing[NAMES_LEN];
	struct roll roll = {0};
	*ret_state = "starting";
	*ret_next = "wait until it serves";
	why[0] = '\0';
	*ret_members = json_array();
	if (!node->cluster || !node->is_index_started)
		return ERR_OK;
	enum err err = take_roll(node, &roll);
	if (err)
		return err;
	json_decref(*ret_members);
	*ret_members = members_json(&roll, missing, sizeof missing);
	if (roll.members.count == 0) {
		*ret_state = "waiting to be a member";
		*ret_next = "start the other nodes; the one that leads makes it a member";
	} else if (roll.here < roll.voters / 2 + 1) {
		*ret_state = "waiting for quorum";
		snprintf(why, WHY_LEN, "%u of %u voters are here, %u are needed; missing: %s",
			roll.here, roll.voters, roll.voters / 2 + 1, missing);
		*ret_next = "start the nodes that are missing; if they are lost for ever, stop "
			    "this one and see: rubus cluster recover";
	}
	return ERR_OK;
}

enum err control_waiting(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *call = json_string_value(json_object_get(request, "call"));
	const char *state, *next;
	char why[WHY_LEN];
	json_t *members;
	enum err err = judge(node, &state, why, &next, &members);
	if (err)
		return err;
	if (call && strcmp(call, "status") == 0) {
		*ret_result = json_pack("{s:b, s:s, s:s, s:s, s:s, s:I, s:O}", "ready", 0, "state",
			state, "why", why, "next", next, "version", RUBUS_VERSION, "started_ms",
			(json_int_t)node->started_ms, "members", members);
	} else {
		err = node_refuse(message, ERR_UNAVAILABLE, "the node does not serve yet: %s%s%s",
			state, why[0] ? ": " : "", why);
	}
	json_decref(members);
	return err;
}
