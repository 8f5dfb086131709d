/* SPDX-License-Identifier: Apache-2.0 */
/* Filling the slots: a flow of least cost.
 *
 * Each slot sends width units, over different domains, to drives; a drive lets its first lo units
 * out at a great reward, those up to its share for nothing, those up to hi at a small price, and no
 * more. A unit from a slot to a drive costs 1 move, or nothing if the drive was in that slot. The
 * flow of all units that costs least is then the table that moves least (N5) among those within the
 * bounds (N3, N4), and of those the one with fewest positions above the shares (N6).
 *
 * It is found by successive shortest paths: as long as there is a free position, along the cheapest
 * ways from slots to drives with room, where a way may take a position from one drive and give it
 * to another. Ways of the same cost are used up together, by levels (Dinic's blocking flows): there
 * are only as many rounds of costs as there are different costs, which are few.
 *
 * The graph is not stored. Its nodes are slots, entries (positions that are taken) and drives:
 *   slot → drive whose domain is not in the slot yet
 *   drive → entry that it holds → its slot, or another drive of the same domain
 * The last arc is there because a domain's place in a slot need not be given up to change drives.
 */
#include <stdlib.h>

#include "erasure/checksum.h"
#include "storage/ring/ring_plan_priv.h"

#define COST_MOVE (INT64_C(1) << 24) /* more than all positions above the shares: 2^21 */
#define COST_LO (-(INT64_C(1) << 50)) /* more than any way of moves: 2^21 of them */
#define COST_NEVER INT64_MAX
#define AT_END UINT32_MAX

struct flow {
	struct plan *plan;
	uint32_t first_entry, first_drive, node_count;
	uint32_t *order; /* slots, shuffled: those that come last give most away */
	uint32_t *turns; /* each slot looks at the drives beginning with another */
	uint8_t *taken; /* entries of each slot that have a drive */
	uint32_t *next, *prev; /* entries of one drive, linked */
	uint32_t *heads; /* first entry of each drive */
	int64_t *dist; /* the cost to get to a node */
	uint32_t *level;
	uint32_t *at; /* where the search goes on at a node */
	uint32_t *queue; /* a ring of node_count nodes */
	bool *is_queued;
	uint32_t *path;
	uint64_t left; /* units to be sent */
};

/* --- the graph -------------------------------------------------------------------------------- */

static uint32_t entry_slot(const struct flow *flow, uint32_t entry)
{
	return entry / flow->plan->width;
}

static int64_t cost_of(const struct plan *plan, uint32_t slot, uint32_t drive)
{
	return plan_bit(plan->was_there, plan->drive_words, slot, drive) ? 0 : COST_MOVE;
}

/* What the next unit costs behind a drive. */
static int64_t exit_cost(const struct plan_drive *drive)
{
	if (drive->count < drive->lo)
		return COST_LO;
	if (drive->count < drive->fair)
		return 0;
	return drive->count < drive->hi ? 1 : COST_NEVER;
}

static bool next_of_slot(
	struct flow *flow, uint32_t slot, uint32_t *at, uint32_t *ret_node, int64_t *ret_cost)
{
	struct plan *plan = flow->plan;
	while (*at < plan->drive_count) {
		uint32_t drive = flow->turns[slot] + (*at)++;
		if (drive >= plan->drive_count)
			drive -= plan->drive_count;
		if (plan_bit(
			    plan->has_domain, plan->domain_words, slot, plan->drives[drive].domain))
			continue;
		*ret_node = flow->first_drive + drive;
		*ret_cost = cost_of(plan, slot, drive);
		return true;
	}
	return false;
}

static bool next_of_entry(
	struct flow *flow, uint32_t entry, uint32_t *at, uint32_t *ret_node, int64_t *ret_cost)
{
	struct plan *plan = flow->plan;
	uint32_t slot = entry_slot(flow, entry);
	uint32_t holder = plan->entries[entry];
	const struct plan_domain *domain = &plan->domains[plan->drives[holder].domain];
	if (*at == 0) {
		*at = 1;
		*ret_node = slot;
		*ret_cost = 0;
		return true;
	}
	while (*at <= domain->drive_count) {
		uint32_t drive = domain->first + (*at)++ - 1;
		if (drive == holder)
			continue;
		*ret_node = flow->first_drive + drive;
		*ret_cost = cost_of(plan, slot, drive);
		return true;
	}
	return false;
}

/* The place holds the entry to come plus one, so that what came before it may change its drive. */
static bool next_of_drive(
	struct flow *flow, uint32_t drive, uint32_t *at, uint32_t *ret_node, int64_t *ret_cost)
{
	uint32_t entry = *at == 0 ? flow->heads[drive] : *at - 1;
	if (*at == AT_END || entry == PLAN_NONE)
		return false;
	uint32_t next = flow->next[entry];
	*at = next == PLAN_NONE ? AT_END : next + 1;
	*ret_node = flow->first_entry + entry;
	*ret_cost = -cost_of(flow->plan, entry_slot(flow, entry), drive);
	return true;
}

/* The next arc from a node; at is 0 at first. */
static bool next_arc(
	struct flow *flow, uint32_t node, uint32_t *at, uint32_t *ret_node, int64_t *ret_cost)
{
	if (node < flow->first_entry)
		return next_of_slot(flow, node, at, ret_node, ret_cost);
	if (node < flow->first_drive)
		return next_of_entry(flow, node - flow->first_entry, at, ret_node, ret_cost);
	return next_of_drive(flow, node - flow->first_drive, at, ret_node, ret_cost);
}

static void link_entry(struct flow *flow, uint32_t entry, uint32_t drive)
{
	struct plan *plan = flow->plan;
	uint32_t head = flow->heads[drive];
	plan->entries[entry] = drive;
	plan->drives[drive].count++;
	plan_bit_set(plan->has_domain, plan->domain_words, entry_slot(flow, entry),
		plan->drives[drive].domain);
	flow->next[entry] = head;
	flow->prev[entry] = PLAN_NONE;
	if (head != PLAN_NONE)
		flow->prev[head] = entry;
	flow->heads[drive] = entry;
}

static void unlink_entry(struct flow *flow, uint32_t entry)
{
	struct plan *plan = flow->plan;
	uint32_t drive = plan->entries[entry];
	uint32_t next = flow->next[entry];
	uint32_t prev = flow->prev[entry];
	if (next != PLAN_NONE)
		flow->prev[next] = prev;
	if (prev != PLAN_NONE)
		flow->next[prev] = next;
	else
		flow->heads[drive] = next;
	plan->entries[entry] = PLAN_NONE;
	plan->drives[drive].count--;
	plan_bit_clear(plan->has_domain, plan->domain_words, entry_slot(flow, entry),
		plan->drives[drive].domain);
}

/* --- the search ------------------------------------------------------------------------------- */

/* The queue takes each node once at a time, so it never holds more than there are. */
struct queue {
	uint32_t first, count;
};

static void enqueue(struct flow *flow, struct queue *queue, uint32_t node)
{
	assert(queue->count < flow->node_count);
	uint32_t last = (queue->first + queue->count++) % flow->node_count;
	flow->queue[last] = node;
}

static uint32_t dequeue(struct flow *flow, struct queue *queue)
{
	uint32_t node = flow->queue[queue->first];
	queue->first = (queue->first + 1) % flow->node_count;
	queue->count--;
	return node;
}

/* Finds what it costs to get to each node from a slot with a free position. Costs are corrected
 * until none gets better; there is no circle that gains, or the flow so far were not the best. */
static void find_costs(struct flow *flow)
{
	struct queue queue = {0};
	for (uint32_t node = 0; node < flow->node_count; node++)
		flow->dist[node] = COST_NEVER;
	for (uint32_t slot = 0; slot < flow->plan->slot_count; slot++) {
		if (flow->taken[slot] == flow->plan->width)
			continue;
		flow->dist[slot] = 0;
		flow->is_queued[slot] = true;
		enqueue(flow, &queue, slot);
	}
	while (queue.count > 0) {
		uint32_t node = dequeue(flow, &queue);
		flow->is_queued[node] = false;
		uint32_t at = 0, next;
		int64_t cost;
		while (next_arc(flow, node, &at, &next, &cost)) {
			if (flow->dist[node] + cost >= flow->dist[next])
				continue;
			flow->dist[next] = flow->dist[node] + cost;
			if (flow->is_queued[next])
				continue;
			flow->is_queued[next] = true;
			enqueue(flow, &queue, next);
		}
	}
}

/* The least that a unit costs over all drives with room. */
static int64_t best_cost(const struct flow *flow)
{
	int64_t best = COST_NEVER;
	for (uint32_t i = 0; i < flow->plan->drive_count; i++) {
		int64_t dist = flow->dist[flow->first_drive + i];
		int64_t cost = exit_cost(&flow->plan->drives[i]);
		if (dist != COST_NEVER && cost != COST_NEVER && dist + cost < best)
			best = dist + cost;
	}
	return best;
}

/* Numbers nodes by how many of the cheapest arcs they are away from a free position. */
static void find_levels(struct flow *flow)
{
	struct queue queue = {0};
	for (uint32_t node = 0; node < flow->node_count; node++) {
		bool is_source = node < flow->first_entry && flow->taken[node] < flow->plan->width;
		flow->level[node] = is_source ? 0 : PLAN_NONE;
		flow->at[node] = 0;
		if (is_source)
			enqueue(flow, &queue, node);
	}
	while (queue.count > 0) {
		uint32_t node = dequeue(flow, &queue);
		uint32_t at = 0, next;
		int64_t cost;
		while (next_arc(flow, node, &at, &next, &cost)) {
			if (flow->level[next] != PLAN_NONE ||
				flow->dist[next] != flow->dist[node] + cost)
				continue;
			flow->level[next] = flow->level[node] + 1;
			enqueue(flow, &queue, next);
		}
	}
}

static bool is_exit(const struct flow *flow, uint32_t node, int64_t best)
{
	if (node < flow->first_drive)
		return false;
	int64_t cost = exit_cost(&flow->plan->drives[node - flow->first_drive]);
	return cost != COST_NEVER && flow->dist[node] + cost == best;
}

/* Looks for a way from a slot, level by level; nodes that lead nowhere are not tried again. Returns
 * its number of nodes, 0 if there is none. */
static uint32_t find_path(struct flow *flow, uint32_t slot, int64_t best)
{
	uint32_t len = 1;
	flow->path[0] = slot;
	while (len > 0) {
		uint32_t node = flow->path[len - 1], next;
		int64_t cost;
		if (is_exit(flow, node, best))
			return len;
		bool is_found = false;
		while (!is_found && next_arc(flow, node, &flow->at[node], &next, &cost))
			is_found = flow->level[next] == flow->level[node] + 1 &&
				flow->dist[next] == flow->dist[node] + cost;
		if (is_found) {
			flow->path[len++] = next;
		} else {
			flow->level[node] = PLAN_NONE;
			len--;
		}
	}
	return 0;
}

/* Sends one unit along the path: the slot's free entry goes to the first drive, the entry that this
 * one gives up to the next, and so on. */
static void send_unit(struct flow *flow, uint32_t len)
{
	uint32_t slot = flow->path[0];
	uint32_t entry = slot * flow->plan->width + flow->taken[slot]++;
	for (uint32_t i = 1; i < len; i++) {
		uint32_t node = flow->path[i];
		if (node >= flow->first_drive) {
			link_entry(flow, entry, node - flow->first_drive);
		} else if (node >= flow->first_entry) {
			entry = node - flow->first_entry;
			unlink_entry(flow, entry);
		}
	}
	flow->left--;
}

/* Sends all units that the levels allow. */
static bool send_units(struct flow *flow, int64_t best)
{
	uint64_t left = flow->left;
	for (uint32_t i = 0; i < flow->plan->slot_count; i++) {
		uint32_t slot = flow->order[i];
		uint32_t len = 1;
		while (len > 0 && flow->taken[slot] < flow->plan->width) {
			len = find_path(flow, slot, best);
			if (len > 0)
				send_unit(flow, len);
		}
	}
	return flow->left < left;
}

static void send_all(struct flow *flow)
{
	while (flow->left > 0) {
		find_costs(flow);
		int64_t best = best_cost(flow);
		assert(best != COST_NEVER);
		do {
			find_levels(flow);
		} while (send_units(flow, best));
	}
}

/* --- the whole -------------------------------------------------------------------------------- */

static void free_flow(struct flow *flow)
{
	free(flow->order);
	free(flow->turns);
	free(flow->taken);
	free(flow->next);
	free(flow->prev);
	free(flow->heads);
	free(flow->dist);
	free(flow->level);
	free(flow->at);
	free(flow->queue);
	free(flow->is_queued);
	free(flow->path);
}

/* Each ring after the first shuffles anew, so that it is not always the same slots that change. */
static void shuffle(struct flow *flow)
{
	uint64_t seed = flow->plan->old ? flow->plan->old->version : 0;
	for (uint32_t slot = 0; slot < flow->plan->slot_count; slot++) {
		uint8_t bytes[4];
		put_le32(bytes, slot);
		uint64_t chance = checksum(bytes, sizeof bytes, seed);
		uint32_t other = (uint32_t)chance % (slot + 1);
		flow->turns[slot] = (chance >> 32) % flow->plan->drive_count;
		flow->order[slot] = flow->order[other];
		flow->order[other] = slot;
	}
}

static enum err make_flow(struct flow *flow, struct plan *plan)
{
	uint32_t entry_count = plan->slot_count * plan->width;
	*flow = (struct flow){
		.plan = plan,
		.first_entry = plan->slot_count,
		.first_drive = plan->slot_count + entry_count,
		.node_count = plan->slot_count + entry_count + plan->drive_count,
		.left = entry_count,
	};
	flow->order = calloc(plan->slot_count, sizeof *flow->order);
	flow->turns = calloc(plan->slot_count, sizeof *flow->turns);
	flow->taken = calloc(plan->slot_count, sizeof *flow->taken);
	flow->next = calloc(entry_count, sizeof *flow->next);
	flow->prev = calloc(entry_count, sizeof *flow->prev);
	flow->heads = calloc(plan->drive_count, sizeof *flow->heads);
	flow->dist = calloc(flow->node_count, sizeof *flow->dist);
	flow->level = calloc(flow->node_count, sizeof *flow->level);
	flow->at = calloc(flow->node_count, sizeof *flow->at);
	flow->queue = calloc(flow->node_count, sizeof *flow->queue);
	flow->is_queued = calloc(flow->node_count, sizeof *flow->is_queued);
	flow->path = calloc(flow->node_count, sizeof *flow->path);
	if (!flow->order || !flow->turns || !flow->taken || !flow->next || !flow->prev ||
		!flow->heads || !flow->dist || !flow->level || !flow->at || !flow->queue ||
		!flow->is_queued || !flow->path)
		return ERR_NO_MEMORY;
	for (uint32_t i = 0; i < plan->drive_count; i++)
		flow->heads[i] = PLAN_NONE;
	shuffle(flow);
	return ERR_OK;
}

enum err plan_fill(struct plan *plan)
{
	struct flow flow;
	enum err err = make_flow(&flow, plan);
	if (err == ERR_OK)
		send_all(&flow);
	free_flow(&flow);
	return err;
}
