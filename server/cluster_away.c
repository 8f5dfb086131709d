/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that are away: how long, and when they are given up.
 *
 *	up		linked
 *	suspect		not linked for less than CLUSTER_SUSPECT_MS
 *	away		longer; nothing moves, new writes have less parity
 *	gone		its drives were given up, and their shards are made anew elsewhere
 *
 * (A1) Time away is time in which the node that leads has seen it away, by its own monotonic clock
 *      and in small steps: neither a clock that jumps nor a leader that stood still, was killed or
 *      changed adds to it.
 * (A2) What was counted is committed to the node's row every CLUSTER_AWAY_COMMIT_MS, and when it is
 *      enough; a leader that dies loses at most that, in favour of the node that is away. One that
 *      is back begins at zero.
 * (A3) A node in maintenance is not counted.
 * (A4) A node is given up by itself only if all of its shards find a place elsewhere, if need be
 *      in a smaller profile that has parity; server/control_gone.h decides, in the control thread.
 * (A5) Who leads and is in maintenance gives the lead away. */
#include <stdlib.h>
#include <string.h>

#include "server/cluster.h"
#include "server/control.h"
#include "server/node.h"

#define STEP_MS_MAX (2 * CLUSTER_TICK_MS) /* longer, and this node stood still */
#define GONE_TRY_MS 600000
#define REST_TRY_MS 10000

/* --- how long --------------------------------------------------------------------------------- */

static bool is_in_maintenance(const struct cluster *cluster, const struct cluster_node *node)
{
	int64_t now_ms = clock_wall_ms(cluster->node->clock);
	return now_ms > 0 && node->maintenance_until_ms > (uint64_t)now_ms;
}

uint64_t cluster_read_gone_after(struct index_reader *reader)
{
	struct bytes value;
	char text[24] = "", *end;
	if (index_setting_get(reader, bytes_of(CLUSTER_GONE_AFTER), &value) != ERR_OK ||
		value.len >= sizeof text)
		return CLUSTER_GONE_AFTER_MS;
	memcpy(text, value.data, value.len);
	uint64_t ms = strtoull(text, &end, 10);
	return *end ? CLUSTER_GONE_AFTER_MS : ms;
}

/* The setting; 0: never, also while it cannot be read. */
static uint64_t gone_after_ms(struct cluster *cluster)
{
	struct index_reader *reader = cluster->node->store_loops[0].reader;
	if (index_view_begin(reader) != ERR_OK)
		return 0;
	uint64_t ms = cluster_read_gone_after(reader);
	index_view_end(reader);
	return ms;
}

/* Adds the step to those that are away (A1). Is there any, or one that is back and was counted? */
static bool count(struct cluster *cluster, uint64_t now_ms, uint64_t step_ms)
{
	bool is_any = false;
	for (size_t i = 0; i < cluster->node_count; i++) {
		struct cluster_node *node = cluster->nodes[i];
		bool is_own = id_is_equal(node->channel.id, cluster->self.node);
		bool is_away = !is_own && !node->is_linked && !is_in_maintenance(cluster, node) &&
			now_ms - node->changed_ms >= CLUSTER_SUSPECT_MS;
		node->seen_away_ms = is_away ? node->seen_away_ms + step_ms : 0;
		is_any |= is_away || node->away_ms > 0;
	}
	return is_any;
}

/* --- committing it ---------------------------------------------------------------------------- */

static void committed(struct index_proposal *proposal)
{
	struct cluster *cluster = CONTAINER_OF(proposal, struct cluster, away_proposal);
	cluster->is_away_proposed =
		false; /* if it failed it is done again: nothing was taken off */
}

static void commit(struct cluster *cluster, struct cluster_node *node, uint64_t away_ms)
{
	struct command command = {.type = COMMAND_NODE_PUT};
	command.node_put.id = node->channel.id;
	command.node_put.set = NODE_SET_AWAY;
	command.node_put.away_ms = away_ms;
	cluster->away_proposal = (struct index_proposal){
		.loop = cluster->loop, .bytes = cluster->away_bytes, .done = committed};
	enum err err = command_encode(&command, cluster->away_bytes, sizeof cluster->away_bytes,
		&cluster->away_proposal.len);
	assert(err == ERR_OK);
	cluster->is_away_proposed = true;
	index_propose(cluster->node->index, &cluster->away_proposal);
}

/* What the row is to say; its own value: nothing is to be done. */
static uint64_t due_away_ms(const struct cluster_node *node, uint64_t gone_ms)
{
	uint64_t every_ms = CLUSTER_AWAY_COMMIT_MS;
	if (gone_ms > 0 && gone_ms / 4 < every_ms)
		every_ms = gone_ms / 4;
	if (node->is_linked)
		return 0;
	bool is_enough = gone_ms > 0 && node->away_ms >= gone_ms;
	if (is_enough || node->seen_away_ms < every_ms)
		return node->away_ms;
	return node->away_ms + node->seen_away_ms;
}

static void commit_next(struct cluster *cluster, uint64_t gone_ms)
{
	for (size_t i = 0; i < cluster->node_count && !cluster->is_away_proposed; i++) {
		struct cluster_node *node = cluster->nodes[i];
		uint64_t away_ms = due_away_ms(node, gone_ms);
		if (away_ms != node->away_ms)
			commit(cluster, node, away_ms);
	}
}

/* --- giving up, resting ----------------------------------------------------------------------- */

static void give_up(struct cluster *cluster, uint64_t now_ms, uint64_t gone_ms)
{
	uint64_t again_ms = gone_ms < GONE_TRY_MS ? gone_ms : GONE_TRY_MS;
	for (size_t i = 0; i < cluster->node_count; i++) {
		struct cluster_node *node = cluster->nodes[i];
		bool is_due = gone_ms > 0 && !node->is_linked && node->away_ms >= gone_ms &&
			!is_in_maintenance(cluster, node) && now_ms >= node->gone_due_ms;
		if (!is_due || atomic_load(&cluster->gone_wanted) != 0)
			continue;
		node->gone_due_ms = now_ms + again_ms;
		atomic_store(&cluster->gone_wanted, node->number);
		control_wake(cluster->node->control);
	}
}

static void rested(struct consensus_change *change)
{
	struct cluster *cluster = CONTAINER_OF(change, struct cluster, rest_change);
	cluster->is_resting = false;
}

/* (A5) */
static void rest(struct cluster *cluster, uint64_t now_ms)
{
	if (cluster->is_resting || now_ms < cluster->rest_due_ms)
		return;
	for (size_t i = 0; i < cluster->node_count; i++) {
		const struct cluster_node *node = cluster->nodes[i];
		if (!id_is_equal(node->channel.id, cluster->self.node) ||
			!is_in_maintenance(cluster, node))
			continue;
		cluster->is_resting = true;
		cluster->rest_due_ms = now_ms + REST_TRY_MS;
		cluster->rest_change = (struct consensus_change){
			.kind = CONSENSUS_HAND_OVER, .loop = cluster->loop, .done = rested};
		consensus_raft_change(cluster->node->consensus, &cluster->rest_change);
	}
}

/* --- the whole -------------------------------------------------------------------------------- */

/* Says which nodes are better not asked for reads. */
static void tell_store(struct cluster *cluster)
{
	struct store *store = &cluster->node->store;
	size_t count = 0;
	for (size_t i = 0; i < cluster->node_count && count < STORE_RESTING_MAX; i++)
		if (is_in_maintenance(cluster, cluster->nodes[i]))
			atomic_store(&store->resting[count++],
				reach_resting_mark(cluster->nodes[i]->channel.id));
	while (count < STORE_RESTING_MAX)
		atomic_store(&store->resting[count++], 0);
}

void cluster_away_tick(struct cluster *cluster)
{
	struct consensus_info info;
	uint64_t now_ms = loop_now_ms(cluster->loop);
	tell_store(cluster);
	consensus_info(cluster->node->consensus, &info);
	bool leads = info.role == CONSENSUS_LEADER;
	uint64_t step_ms = cluster->away_tick_ms > 0 ? now_ms - cluster->away_tick_ms : 0;
	if (!leads || step_ms > STEP_MS_MAX)
		step_ms = 0;
	cluster->away_tick_ms = leads ? now_ms : 0;
	if (!count(cluster, now_ms, step_ms) && !leads)
		return;
	if (!leads)
		return;
	rest(cluster, now_ms);
	uint64_t gone_ms = gone_after_ms(cluster);
	commit_next(cluster, gone_ms);
	give_up(cluster, now_ms, gone_ms);
}
