/* SPDX-License-Identifier: Apache-2.0 */
/* Committed groups: from the log's loop to the apply loop and back, as in consensus_single.c, but
 * only what is durable here too (R3), and with the proposals of this life found in it. */
#include "storage/meta/consensus_raft_priv.h"

/* --- the apply loop --------------------------------------------------------------------------- */

static void deliver_run(struct task *task)
{
	struct member *member = CONTAINER_OF(task, struct member, deliver_task);
	member->is_deliver_posted = false;
	if (member->is_applying || !member->queue)
		return;
	member->is_applying = true;
	member->apply.committed(member->apply.arg, &member->queue->group);
}

static void arrive_run(struct task *task)
{
	struct member_group *group = CONTAINER_OF(task, struct member_group, task);
	struct member *member = group->member;
	group->next = NULL;
	*member->queue_last = group;
	member->queue_last = &group->next;
	if (!member->is_applying && !member->is_deliver_posted)
		deliver_run(&member->deliver_task);
}

/* A group is back on the log's loop. */
static void return_run(struct task *task)
{
	struct member_group *group = CONTAINER_OF(task, struct member_group, task);
	struct member *member = group->member;
	entry_unref(group->entry);
	group->entry = NULL;
	group->next = member->free_groups;
	member->free_groups = group;
	member->free_count++;
	member_advance_stop(member);
	member_settle(member);
}

void member_group_applied(struct consensus *consensus, struct group *applied)
{
	struct member *member = member_of(consensus);
	struct member_group *group = CONTAINER_OF(applied, struct member_group, group);
	assert(member->is_applying && member->queue == group);
	member->is_applying = false;
	member->queue = group->next;
	if (!member->queue)
		member->queue_last = &member->queue;
	group->task.run = return_run;
	loop_post(member->loop, &group->task);
	if (member->queue && !member->is_deliver_posted) {
		member->is_deliver_posted = true;
		loop_post(member->apply.loop, &member->deliver_task);
	}
}

static void failed_run(struct task *task)
{
	struct member *member = CONTAINER_OF(task, struct member, failed_task);
	member->apply.failed(member->apply.arg, atomic_load(&member->err));
}

static void stopped_run(struct task *task)
{
	struct member *member = CONTAINER_OF(task, struct member, stopped_task);
	member->stopped(member->stopped_arg);
}

/* --- the log's loop --------------------------------------------------------------------------- */

/* Takes the reference of the entry. */
static enum err deliver_one(struct member *member, struct entry *entry)
{
	struct member_group *group = member->free_groups;
	enum err err = group_decode(entry->part, group->commands, &group->group);
	if (err != ERR_OK)
		return err;
	group->group.index = entry->index;
	group->group.term = entry->term;
	for (size_t i = 0; i < group->group.count; i++) {
		struct group_command *command = &group->commands[i];
		command->proposal = member_match(member, command->origin, command->number);
	}
	member_void_terms_before(member, entry->term);
	member->free_groups = group->next;
	member->free_count--;
	group->entry = entry;
	group->task.run = arrive_run;
	atomic_fetch_add_explicit(&member->group_count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&member->command_count, group->group.count, memory_order_relaxed);
	loop_post(member->apply.loop, &group->task);
	return ERR_OK;
}

void member_deliver(struct member *member)
{
	uint64_t durable = member->raft.last_stored;
	uint64_t end = member->commit < durable ? member->commit : durable;
	while (member->free_groups && member->delivered < end && !member->has_stopped &&
		!member->raft.snapshot.installing) {
		struct entry *entry;
		enum err err = member_entry(member, member->delivered + 1, &entry);
		if (err == ERR_OK) {
			err = deliver_one(member, entry);
			if (err != ERR_OK)
				entry_unref(entry);
		}
		if (err != ERR_OK) {
			member_fail(member, err == ERR_NOT_FOUND ? ERR_CORRUPT : err);
			return;
		}
		member->delivered++;
	}
}

void member_apply_init(struct member *member)
{
	member->queue_last = &member->queue;
	member->deliver_task.run = deliver_run;
	member->failed_task.run = failed_run;
	member->stopped_task.run = stopped_run;
	for (size_t i = 0; i < GROUPS_MAX; i++) {
		struct member_group *group = &member->groups[i];
		group->member = member;
		group->next = member->free_groups;
		member->free_groups = group;
	}
	member->free_count = GROUPS_MAX;
}
