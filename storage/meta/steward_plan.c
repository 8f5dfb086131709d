/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/steward_plan.h"

/* A member together with its node; NULL: it is not admitted, or has another log now. */
struct seat {
	const struct consensus_member *member;
	const struct steward_node *node;
	bool is_able; /* linked and up to date (W5) */
	bool is_silent; /* (W4) */
};

struct table {
	struct seat seats[CONSENSUS_MEMBERS_MAX];
	size_t count, voter_count;
	uint64_t self;
};

unsigned steward_voter_count(size_t member_count)
{
	if (member_count <= 2)
		return member_count;
	size_t most = member_count < STEWARD_VOTERS_MAX ? member_count : STEWARD_VOTERS_MAX;
	return most % 2 ? most : most - 1;
}

static const struct steward_node *find_node(
	const struct steward_node *nodes, size_t count, struct id id)
{
	for (size_t i = 0; i < count; i++)
		if (id_is_equal(nodes[i].id, id))
			return &nodes[i];
	return NULL;
}

static uint64_t last_match(const struct consensus_members *members)
{
	uint64_t last = 0;
	for (size_t i = 0; i < members->count; i++)
		if (members->members[i].match_index > last)
			last = members->members[i].match_index;
	return last;
}

static void make_table(const struct consensus_members *members, const struct steward_node *nodes,
	size_t node_count, uint64_t self, struct table *table)
{
	uint64_t last = last_match(members);
	*table = (struct table){.count = members->count, .self = self};
	for (size_t i = 0; i < members->count; i++) {
		const struct consensus_member *member = &members->members[i];
		const struct steward_node *node = find_node(nodes, node_count, member->node);
		bool has_log = node && (node->log_id == 0 || node->log_id == member->id);
		struct seat *seat = &table->seats[i];
		*seat = (struct seat){.member = member, .node = has_log ? node : NULL};
		seat->is_able = has_log && (member->id == self || node->is_linked) &&
			last - member->match_index <= STEWARD_LAG_MAX;
		seat->is_silent = has_log && member->id != self && !node->is_linked &&
			node->silent_ms >= STEWARD_SILENT_MS;
		table->voter_count += member->duty == CONSENSUS_VOTER;
	}
}

static enum err choose(
	struct consensus_change *change, enum consensus_change_kind kind, const struct seat *seat)
{
	change->kind = kind;
	change->id = seat->member->id;
	change->node = seat->member->node;
	return ERR_OK;
}

static enum err plan_removal(const struct table *table, struct consensus_change *change)
{
	for (size_t i = 0; i < table->count; i++)
		if (!table->seats[i].node && table->seats[i].member->id != table->self)
			return choose(change, CONSENSUS_REMOVE, &table->seats[i]);
	return ERR_END;
}

/* A leader that is to go, because its node was removed, first gives the lead away. */
static enum err plan_own_end(const struct table *table, struct consensus_change *change)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct seat *seat = &table->seats[i];
		bool is_own = seat->member->id == table->self && !seat->node;
		if (is_own && table->voter_count > 1) {
			*change = (struct consensus_change){.kind = CONSENSUS_HAND_OVER};
			return ERR_OK;
		}
	}
	return ERR_END;
}

static enum err plan_addition(const struct table *table, const struct steward_node *nodes,
	size_t node_count, struct consensus_change *change)
{
	if (table->count >= CONSENSUS_MEMBERS_MAX)
		return ERR_END;
	for (size_t i = 0; i < node_count; i++) {
		bool is_member = false;
		for (size_t j = 0; j < table->count; j++)
			is_member |= id_is_equal(table->seats[j].member->node, nodes[i].id);
		if (is_member || !nodes[i].is_linked || nodes[i].log_id == 0)
			continue;
		change->kind = CONSENSUS_ADD;
		change->id = nodes[i].log_id;
		change->node = nodes[i].id;
		return ERR_OK;
	}
	return ERR_END;
}

/* The learner that is furthest. */
static const struct seat *best_learner(const struct table *table)
{
	const struct seat *best = NULL;
	for (size_t i = 0; i < table->count; i++) {
		const struct seat *seat = &table->seats[i];
		if (seat->member->duty != CONSENSUS_LEARNER || !seat->is_able)
			continue;
		if (!best || seat->member->match_index > best->member->match_index)
			best = seat;
	}
	return best;
}

static enum err plan_votes(const struct table *table, struct consensus_change *change)
{
	unsigned wanted = steward_voter_count(table->count);
	const struct seat *learner = best_learner(table), *silent = NULL, *spare = NULL;
	for (size_t i = 0; i < table->count; i++) {
		const struct seat *seat = &table->seats[i];
		if (seat->member->duty != CONSENSUS_VOTER)
			continue;
		if (seat->is_silent)
			silent = seat;
		if (seat->member->id != table->self)
			spare = seat;
	}
	if (table->voter_count < wanted && learner)
		return choose(change, CONSENSUS_PROMOTE, learner);
	if (table->voter_count == wanted && silent && learner)
		return choose(change, CONSENSUS_PROMOTE, learner);
	if (table->voter_count > wanted && (silent || spare))
		return choose(change, CONSENSUS_DEMOTE, silent ? silent : spare);
	return ERR_END;
}

enum err steward_plan(const struct consensus_members *members, const struct steward_node *nodes,
	size_t node_count, uint64_t self, struct consensus_change *ret_change)
{
	struct table table;
	*ret_change = (struct consensus_change){0};
	make_table(members, nodes, node_count, self, &table);
	enum err err = plan_own_end(&table, ret_change);
	if (err == ERR_END)
		err = plan_removal(&table, ret_change);
	if (err == ERR_END)
		err = plan_addition(&table, nodes, node_count, ret_change);
	if (err == ERR_END)
		err = plan_votes(&table, ret_change);
	return err;
}
