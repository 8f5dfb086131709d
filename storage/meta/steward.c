/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/steward.h"

/* --- members ---------------------------------------------------------------------------------- */

static void changed(struct consensus_change *change)
{
	static const char *const texts[] = {[CONSENSUS_ADD] = "is a member now",
		[CONSENSUS_PROMOTE] = "has a vote now",
		[CONSENSUS_DEMOTE] = "has no vote any more",
		[CONSENSUS_REMOVE] = "is no member any more",
		[CONSENSUS_HAND_OVER] = "leads now"};
	struct steward *steward = CONTAINER_OF(change, struct steward, change);
	steward->is_changing = false;
	if (change->err == ERR_OK)
		trace_event(steward->setup.trace, TRACE_INFO, 0, "log %016llx %s",
			(unsigned long long)change->id, texts[change->kind]);
}

static bool has_drives(struct steward *steward, struct id node)
{
	struct row_drive row;
	enum err err = ERR_OK;
	for (uint32_t from = 1; from <= UINT16_MAX; from = row.number + 1u) {
		err = index_drive_next(steward->setup.reader, from, &row);
		if (err || (row.state < DRIVE_ROW_GONE && id_is_equal(row.node, node)))
			break;
	}
	return err != ERR_NOT_FOUND;
}

/* Those that are to be members: all but who has left. */
static size_t choose_staying(struct steward *steward, const struct steward_node *nodes,
	size_t node_count, struct steward_node *staying)
{
	size_t count = 0;
	bool has_begun = index_view_begin(steward->setup.reader) == ERR_OK;
	for (size_t i = 0; i < node_count; i++)
		if (!nodes[i].is_draining || !has_begun || has_drives(steward, nodes[i].id))
			staying[count++] = nodes[i];
	if (has_begun)
		index_view_end(steward->setup.reader);
	return count;
}

static void change_members(
	struct steward *steward, uint64_t self, const struct steward_node *nodes, size_t node_count)
{
	struct consensus_members members;
	consensus_raft_members(steward->setup.consensus, &members);
	if (steward->is_changing || members.count == 0 || !members.is_committed)
		return;
	struct consensus_change *change = &steward->change;
	struct steward_node staying[ROW_NODES_MAX];
	size_t count = choose_staying(steward, nodes, node_count, staying);
	if (steward_plan(&members, staying, count, self, change) != ERR_OK)
		return;
	change->loop = steward->setup.loop;
	change->done = changed;
	steward->is_changing = true;
	consensus_raft_change(steward->setup.consensus, change);
}

/* --- sessions --------------------------------------------------------------------------------- */

static bool is_silent(const struct steward *steward, struct id id, const struct steward_node *nodes,
	size_t node_count, uint64_t now_ms)
{
	if (id_is_equal(id, steward->setup.node))
		return false;
	if (now_ms - steward->led_since_ms < STEWARD_SESSION_SILENT_MS)
		return false;
	for (size_t i = 0; i < node_count; i++)
		if (id_is_equal(nodes[i].id, id))
			return !nodes[i].is_linked &&
				nodes[i].silent_ms >= STEWARD_SESSION_SILENT_MS;
	return true;
}

static enum err find_silent(struct steward *steward, const struct steward_node *nodes,
	size_t node_count, uint64_t now_ms, uint64_t *ret_session)
{
	struct row_session row;
	uint64_t session = 0;
	enum err err = index_view_begin(steward->setup.reader);
	if (err)
		return err;
	do
		err = index_session_next(steward->setup.reader, session + 1, &session, &row);
	while (!err && !is_silent(steward, row.node, nodes, node_count, now_ms));
	index_view_end(steward->setup.reader);
	if (!err)
		*ret_session = session;
	return err;
}

static void closed(struct index_proposal *proposal)
{
	struct steward *steward = CONTAINER_OF(proposal, struct steward, close);
	steward->is_closing = false;
}

static void close_silent(struct steward *steward, const struct steward_node *nodes,
	size_t node_count, uint64_t now_ms)
{
	struct command command = {.type = COMMAND_SESSION_CLOSE};
	uint64_t session;
	if (steward->is_closing ||
		find_silent(steward, nodes, node_count, now_ms, &session) != ERR_OK)
		return;
	trace_event(steward->setup.trace, TRACE_WARNING, 0,
		"session %llx is closed: its node was not heard for %d s",
		(unsigned long long)session, STEWARD_SESSION_SILENT_MS / 1000);
	command.session_close.session = session;
	steward->close = (struct index_proposal){
		.loop = steward->setup.loop, .bytes = steward->close_bytes, .done = closed};
	enum err err = command_encode(
		&command, steward->close_bytes, sizeof steward->close_bytes, &steward->close.len);
	assert(err == ERR_OK);
	steward->is_closing = true;
	index_propose(steward->setup.index, &steward->close);
}

/* --- the whole -------------------------------------------------------------------------------- */

void steward_init(struct steward *steward, const struct steward_setup *setup)
{
	*steward = (struct steward){.setup = *setup};
}

void steward_tick(struct steward *steward, const struct steward_node *nodes, size_t count)
{
	struct consensus_info info;
	uint64_t now_ms = loop_now_ms(steward->setup.loop);
	consensus_info(steward->setup.consensus, &info);
	if (info.role != CONSENSUS_LEADER) {
		steward->led_since_ms = 0;
		return;
	}
	if (steward->led_since_ms == 0)
		steward->led_since_ms = now_ms;
	if (now_ms - steward->led_since_ms < STEWARD_SETTLE_MS)
		return;
	change_members(steward, info.id, nodes, count);
	close_silent(steward, nodes, count, now_ms);
}
