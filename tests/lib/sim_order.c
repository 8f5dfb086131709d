/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_order.h"

#include <stdlib.h>

#include "tests/lib/test.h"

enum { NODES_MAX = 16, LAG_US = 2000 };

struct member;

struct entry {
	uint8_t *bytes; /* as in a log */
	size_t len;
	struct member *proposer; /* while it is there and has not seen the entry */
	struct proposal *proposal;
};

struct member {
	struct consensus consensus;
	struct sim_order *order;
	struct sim_node *node;
	struct sim_hook hook;
	struct consensus_apply apply;
	struct loop *loop;
	uint64_t seen; /* index of the last entry given to the apply side */
	bool has_started, is_coming, is_applying, is_stopping, has_stopped;
	struct proposal *held, **held_last; /* while it is cut off */
	struct read_index *reads; /* likewise */
	struct group group;
	struct group_command command;
	struct task task, stopped_task;
	void (*stopped)(void *arg);
	void *stopped_arg;
	struct member *next;
};

struct sim_order {
	struct sim *sim;
	struct entry *entries; /* entry i has index i + 1 */
	uint64_t count, cap;
	uint64_t time_ms, lag_us;
	struct member *members;
	struct sim_node *cut[NODES_MAX];
};

static struct member *member_of(struct consensus *consensus)
{
	return CONTAINER_OF(consensus, struct member, consensus);
}

static bool is_cut(const struct sim_order *order, const struct sim_node *node)
{
	for (size_t i = 0; i < NODES_MAX; i++)
		if (order->cut[i] == node)
			return true;
	return false;
}

/* --- seeing the order ------------------------------------------------------------------------- */

static void come(struct member *member);

static void apply_run(struct task *task)
{
	struct member *member = CONTAINER_OF(task, struct member, task);
	struct sim_order *order = member->order;
	struct entry *entry = &order->entries[member->seen++];
	member->is_coming = false;
	member->is_applying = true;
	ck_assert_ok(group_decode(
		bytes_make(entry->bytes, entry->len), &member->command, &member->group));
	member->group.index = member->seen;
	member->group.term = 1;
	if (entry->proposer == member) {
		member->command.proposal = entry->proposal;
		member->command.bytes = entry->proposal->command;
		entry->proposer = NULL;
	}
	member->apply.committed(member->apply.arg, &member->group);
}

static void arrive(void *arg)
{
	struct member *member = arg;
	loop_post(member->loop, &member->task);
}

static void come(struct member *member)
{
	struct sim_order *order = member->order;
	if (member->is_stopping && !member->is_coming && !member->is_applying &&
		!member->has_stopped) {
		member->has_stopped = true;
		loop_post(member->loop, &member->stopped_task);
	}
	if (!member->has_started || member->is_coming || member->is_applying ||
		member->has_stopped || member->seen == order->count || is_cut(order, member->node))
		return;
	member->is_coming = true;
	sim_later(order->sim, member->node, 1000 * sim_random_below(order->sim, order->lag_us + 1),
		arrive, NULL, member);
}

static void order_applied(struct consensus *consensus, struct group *group)
{
	struct member *member = member_of(consensus);
	assert(group == &member->group && member->is_applying);
	member->is_applying = false;
	come(member);
}

/* --- proposing -------------------------------------------------------------------------------- */

static void enter(struct member *member, struct proposal *proposal)
{
	struct sim_order *order = member->order;
	if (order->count == order->cap) {
		order->cap = order->cap ? 2 * order->cap : 256;
		order->entries = sim_must(
			reallocarray(order->entries, order->cap, sizeof *order->entries));
	}
	int64_t wall_ms = clock_wall_ms(sim_node_clock(member->node));
	if (wall_ms > 0 && (uint64_t)wall_ms > order->time_ms)
		order->time_ms = wall_ms;
	struct entry *entry = &order->entries[order->count++];
	size_t len = proposal->command.len;
	entry->len = GROUP_HEADER_LEN + GROUP_COMMAND_HEAD_LEN + len;
	entry->bytes = sim_must(malloc(entry->len));
	group_encode_header(entry->bytes, GROUP_COMMANDS, order->time_ms, 1);
	group_encode_command_head(entry->bytes + GROUP_HEADER_LEN, len, 0, 0);
	memcpy(entry->bytes + entry->len - len, proposal->command.data, len);
	entry->proposer = member;
	entry->proposal = proposal;
	for (struct member *each = order->members; each; each = each->next)
		come(each);
}

static void order_propose(struct consensus *consensus, struct proposal *proposal)
{
	struct member *member = member_of(consensus);
	proposal->consensus = consensus;
	proposal->result_len = 0;
	proposal->next = NULL;
	if (member->is_stopping) {
		proposal_end(proposal, ERR_UNAVAILABLE);
	} else if (is_cut(member->order, member->node)) {
		*member->held_last = proposal;
		member->held_last = &proposal->next;
	} else {
		enter(member, proposal);
	}
}

static void read_run(struct task *task)
{
	struct read_index *read = CONTAINER_OF(task, struct read_index, task);
	read->done(read);
}

static void answer_read(struct member *member, struct read_index *read)
{
	read->err = ERR_OK;
	read->index = member->order->count;
	read->task.run = read_run;
	loop_post(read->loop, &read->task);
}

static void order_read_index(struct consensus *consensus, struct read_index *read)
{
	struct member *member = member_of(consensus);
	if (is_cut(member->order, member->node)) {
		read->next = member->reads;
		member->reads = read;
	} else {
		answer_read(member, read);
	}
}

void sim_order_cut(struct sim_order *order, struct sim_node *node, bool cut)
{
	for (size_t i = 0; i < NODES_MAX; i++)
		if (order->cut[i] == node)
			order->cut[i] = NULL;
	if (cut) {
		size_t i = 0;
		while (order->cut[i])
			i++;
		order->cut[i] = node;
		return;
	}
	for (struct member *member = order->members; member; member = member->next) {
		if (member->node != node)
			continue;
		while (member->held) {
			struct proposal *proposal = member->held;
			member->held = proposal->next;
			if (!member->held)
				member->held_last = &member->held;
			enter(member, proposal);
		}
		while (member->reads) {
			struct read_index *read = member->reads;
			member->reads = read->next;
			answer_read(member, read);
		}
		come(member);
	}
}

/* --- the rest of the seam --------------------------------------------------------------------- */

static enum err order_replay(struct consensus *consensus, uint64_t after,
	enum err (*found)(void *arg, const struct group *group), void *arg)
{
	struct member *member = member_of(consensus);
	struct sim_order *order = member->order;
	if (after > order->count)
		return ERR_CORRUPT;
	member->seen = after + sim_random_below(order->sim, order->count - after + 1);
	for (uint64_t i = after; i < member->seen; i++) {
		struct group group;
		struct group_command command;
		ck_assert_ok(
			group_decode(bytes_make(order->entries[i].bytes, order->entries[i].len),
				&command, &group));
		group.index = i + 1;
		group.term = 1;
		enum err err = found(arg, &group);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

static void order_start(struct consensus *consensus, const struct consensus_apply *apply)
{
	struct member *member = member_of(consensus);
	member->apply = *apply;
	member->has_started = true;
	come(member);
}

static void order_release(struct consensus *consensus, uint64_t index)
{
	(void)consensus;
	(void)index;
}

static void order_info(struct consensus *consensus, struct consensus_info *ret_info)
{
	struct member *member = member_of(consensus);
	*ret_info = (struct consensus_info){
		.role = CONSENSUS_FOLLOWER, .term = 1, .commit_index = member->order->count};
}

static void stopped_run(struct task *task)
{
	struct member *member = CONTAINER_OF(task, struct member, stopped_task);
	member->stopped(member->stopped_arg);
}

static void order_stop(struct consensus *consensus, void (*stopped)(void *arg), void *arg)
{
	struct member *member = member_of(consensus);
	member->stopped = stopped;
	member->stopped_arg = arg;
	member->is_stopping = true;
	come(member);
}

static void leave(struct member *member)
{
	struct sim_order *order = member->order;
	for (uint64_t i = 0; i < order->count; i++)
		if (order->entries[i].proposer == member)
			order->entries[i].proposer = NULL;
	struct member **at = &order->members;
	while (*at != member)
		at = &(*at)->next;
	*at = member->next;
}

static void order_close(struct consensus *consensus)
{
	struct member *member = member_of(consensus);
	sim_node_unhook(member->node, &member->hook);
	leave(member);
	free(member);
}

static void killed(struct sim_hook *hook)
{
	struct member *member = CONTAINER_OF(hook, struct member, hook);
	leave(member);
	sim_node_unhook(member->node, hook);
}

static const struct consensus_ops order_ops = {
	.replay = order_replay,
	.start = order_start,
	.propose = order_propose,
	.group_applied = order_applied,
	.read_index = order_read_index,
	.release = order_release,
	.info = order_info,
	.stop = order_stop,
	.close = order_close,
};

struct consensus *sim_order_open(struct sim_order *order, struct sim_node *node, struct loop *apply)
{
	struct member *member = sim_must(calloc(1, sizeof *member));
	member->consensus.ops = &order_ops;
	member->order = order;
	member->node = node;
	member->loop = apply;
	member->held_last = &member->held;
	member->task.run = apply_run;
	member->stopped_task.run = stopped_run;
	member->next = order->members;
	order->members = member;
	member->hook.killed = killed;
	sim_node_hook(node, &member->hook);
	return &member->consensus;
}

struct sim_order *sim_order_new(struct sim *sim)
{
	struct sim_order *order = sim_must(calloc(1, sizeof *order));
	order->sim = sim;
	order->lag_us = LAG_US;
	return order;
}

void sim_order_free(struct sim_order *order)
{
	for (struct member *member = order->members; member; member = member->next)
		ck_abort_msg("a member is still open");
	for (uint64_t i = 0; i < order->count; i++)
		free(order->entries[i].bytes);
	free(order->entries);
	free(order);
}

void sim_order_set_lag(struct sim_order *order, uint64_t lag_us)
{
	order->lag_us = lag_us;
}
