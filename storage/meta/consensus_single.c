/* SPDX-License-Identifier: Apache-2.0 */
/* Consensus of one member.
 *
 *   proposers --post--> pending --gather--> group --log_append--> written --post--> apply loop
 *       ^                                     ^                                        |
 *       +-- proposal_end() -------------------|------------- group_applied() ----------+
 *
 * The log's loop owns pending proposals and free groups, the apply loop the queue of groups that
 * wait for it. A group holds no bytes: its commands are those of its proposals, which stay until
 * the apply side ended them.
 *
 * (G1) One group is in the log's hands at a time; what arrives meanwhile is the next one.
 * (G2) A proposal that is in no group when the log dies ends with ERR_UNAVAILABLE; one in a group
 *      that the log had ends with ERR_UNKNOWN.
 * (G3) After a stop pending proposals are still written; what arrives later is refused. */
#include "storage/meta/consensus_single.h"

#include <stdatomic.h>
#include <stdlib.h>

#define SINGLE_MAGIC 0x636f6e73u

enum {
	FIRST_TERM = 1,
};

struct single_group {
	struct group group;
	struct single *single;
	struct single_group *next;
	struct log_op op;
	struct task task; /* on its way to the apply loop, and back */
	uint8_t header[GROUP_HEADER_LEN];
	uint8_t heads[GROUP_COMMANDS_MAX][GROUP_COMMAND_HEAD_LEN];
	struct bytes parts[1 + 2 * GROUP_COMMANDS_MAX];
	struct group_command commands[GROUP_COMMANDS_MAX];
};

struct single {
	struct consensus consensus;
	uint32_t magic;
	struct consensus_single_setup setup;
	struct consensus_apply apply;
	struct log *log;
	struct single_group *groups; /* GROUPS_MAX */
	size_t len_max; /* of an entry */

	/* Of the log's loop. */
	struct proposal *first, **last; /* pending */
	struct single_group *free;
	size_t free_count;
	struct log_op vote_op;
	bool has_started, is_writing, is_gather_posted, is_stopping, has_stopped;
	uint64_t time_ms;
	struct task start_task, gather_task, stop_task, release_task;

	/* Of the apply loop. */
	struct single_group *queue, **queue_last;
	bool is_applying, is_deliver_posted;
	struct task deliver_task, failed_task, stopped_task;
	void (*stopped)(void *arg);
	void *stopped_arg;

	_Atomic int err; /* enum err */
	_Atomic bool is_leader;
	_Atomic bool is_release_posted;
	_Atomic uint64_t commit_index, released, log_len, live_len, first_index;
	_Atomic uint64_t group_count, command_count;
};

static struct single *single_of(struct consensus *consensus)
{
	struct single *single = CONTAINER_OF(consensus, struct single, consensus);
	assert(single->magic == SINGLE_MAGIC);
	return single;
}

static void advance(struct single *single);

/* --- the apply loop --------------------------------------------------------------------------- */

static void deliver_run(struct task *task)
{
	struct single *single = CONTAINER_OF(task, struct single, deliver_task);
	single->is_deliver_posted = false;
	if (single->is_applying || !single->queue)
		return;
	single->is_applying = true;
	single->apply.committed(single->apply.arg, &single->queue->group);
}

/* A written group arrives. */
static void arrive_run(struct task *task)
{
	struct single_group *group = CONTAINER_OF(task, struct single_group, task);
	struct single *single = group->single;
	group->next = NULL;
	*single->queue_last = group;
	single->queue_last = &group->next;
	if (!single->is_applying && !single->is_deliver_posted)
		deliver_run(&single->deliver_task);
}

static void failed_run(struct task *task)
{
	struct single *single = CONTAINER_OF(task, struct single, failed_task);
	single->apply.failed(single->apply.arg, atomic_load(&single->err));
}

static void stopped_run(struct task *task)
{
	struct single *single = CONTAINER_OF(task, struct single, stopped_task);
	single->stopped(single->stopped_arg);
}

/* A group is back on the log's loop. */
static void return_run(struct task *task)
{
	struct single_group *group = CONTAINER_OF(task, struct single_group, task);
	struct single *single = group->single;
	group->next = single->free;
	single->free = group;
	single->free_count++;
	advance(single);
}

static void single_group_applied(struct consensus *consensus, struct group *applied)
{
	struct single *single = single_of(consensus);
	struct single_group *group = CONTAINER_OF(applied, struct single_group, group);
	assert(single->is_applying && single->queue == group);
	single->is_applying = false;
	single->queue = group->next;
	if (!single->queue)
		single->queue_last = &single->queue;
	group->task.run = return_run;
	loop_post(single->setup.log.loop, &group->task);
	if (single->queue && !single->is_deliver_posted) {
		single->is_deliver_posted = true;
		loop_post(single->apply.loop, &single->deliver_task);
	}
}

/* --- the log's loop --------------------------------------------------------------------------- */

static void end_pending(struct single *single, enum err err)
{
	while (single->first) {
		struct proposal *proposal = single->first;
		single->first = proposal->next;
		proposal_end(proposal, err);
	}
	single->last = &single->first;
}

static void log_failed(void *arg, enum err err)
{
	struct single *single = arg;
	atomic_store(&single->err, err);
	atomic_store(&single->is_leader, false);
	loop_post(single->apply.loop, &single->failed_task);
	end_pending(single, ERR_UNAVAILABLE);
}

static void keep_log_len(struct single *single)
{
	struct log_stats stats;
	log_stats(single->log, &stats);
	atomic_store(&single->log_len, stats.len);
	atomic_store(&single->live_len,
		(stats.segments - stats.free_segments) * single->setup.log.segment_len);
	atomic_store(&single->first_index, log_first_index(single->log));
}

static void group_written(struct log_op *op, enum err err)
{
	struct single_group *group = CONTAINER_OF(op, struct single_group, op);
	struct single *single = group->single;
	assert(single->magic == SINGLE_MAGIC && single->is_writing);
	single->is_writing = false;
	if (err != ERR_OK) {
		atomic_store(&single->err, err);
		atomic_store(&single->is_leader, false);
		for (size_t i = 0; i < group->group.count; i++)
			proposal_end(group->commands[i].proposal, ERR_UNKNOWN);
		return_run(&group->task);
		return;
	}
	keep_log_len(single);
	atomic_fetch_add(&single->group_count, 1);
	atomic_fetch_add(&single->command_count, group->group.count);
	atomic_store(&single->commit_index, group->group.index);
	group->task.run = arrive_run;
	loop_post(single->apply.loop, &group->task);
	advance(single);
}

/* Moves pending proposals into the group, as many as it may have. */
static void fill(struct single *single, struct single_group *group)
{
	size_t count = 0, len = GROUP_HEADER_LEN;
	while (single->first && count < GROUP_COMMANDS_MAX) {
		struct proposal *proposal = single->first;
		size_t more = GROUP_COMMAND_HEAD_LEN + proposal->command.len;
		if (len + more > single->len_max)
			break;
		len += more;
		single->first = proposal->next;
		group_encode_command_head(group->heads[count], proposal->command.len, 0, 0);
		group->parts[1 + 2 * count] = bytes_make(
			group->heads[count], GROUP_COMMAND_HEAD_LEN);
		group->parts[2 + 2 * count] = proposal->command;
		group->commands[count] = (struct group_command){
			.bytes = proposal->command, .proposal = proposal};
		count++;
	}
	if (!single->first)
		single->last = &single->first;
	assert(count > 0);
	int64_t now_ms = clock_wall_ms(single->setup.clock);
	if (now_ms > 0 && (uint64_t)now_ms > single->time_ms)
		single->time_ms = now_ms;
	group_encode_header(group->header, GROUP_COMMANDS, single->time_ms, count);
	group->parts[0] = bytes_make(group->header, GROUP_HEADER_LEN);
	group->group = (struct group){
		.index = log_next_index(single->log),
		.term = log_term(single->log),
		.time_ms = single->time_ms,
		.count = count,
		.commands = group->commands,
	};
}

static void advance(struct single *single)
{
	bool is_dead = atomic_load(&single->err) != ERR_OK;
	bool can_write = single->has_started && !single->is_writing && single->free && !is_dead;
	if (can_write && single->first) {
		struct single_group *group = single->free;
		single->free = group->next;
		single->free_count--;
		fill(single, group);
		single->is_writing = true;
		group->op.done = group_written;
		log_append(single->log, &group->op, group->group.index, group->group.term,
			group->parts, 1 + 2 * group->group.count);
	}
	bool is_empty = !single->first && single->free_count == GROUPS_MAX;
	if (single->is_stopping && is_empty && !single->has_stopped) {
		single->has_stopped = true;
		atomic_store(&single->is_leader, false);
		log_stop(single->log, single->apply.loop, &single->stopped_task);
	}
}

static void gather_run(struct task *task)
{
	struct single *single = CONTAINER_OF(task, struct single, gather_task);
	single->is_gather_posted = false;
	advance(single);
}

/* A proposal arrives. Those behind it in the loop's queue arrive before the group is gathered. */
static void propose_run(struct task *task)
{
	struct proposal *proposal = CONTAINER_OF(task, struct proposal, task);
	struct single *single = single_of(proposal->consensus);
	if (single->is_stopping || atomic_load(&single->err) != ERR_OK) {
		proposal_end(proposal, ERR_UNAVAILABLE);
		return;
	}
	if (GROUP_HEADER_LEN + GROUP_COMMAND_HEAD_LEN + proposal->command.len > single->len_max) {
		proposal_end(proposal, ERR_LIMIT);
		return;
	}
	proposal->next = NULL;
	*single->last = proposal;
	single->last = &proposal->next;
	if (single->is_writing || single->is_gather_posted)
		return;
	single->is_gather_posted = true;
	loop_post(single->setup.log.loop, &single->gather_task);
}

static void single_propose(struct consensus *consensus, struct proposal *proposal)
{
	struct single *single = single_of(consensus);
	proposal->consensus = consensus;
	proposal->result_len = 0;
	proposal->task.run = propose_run;
	loop_post(single->setup.log.loop, &proposal->task);
}

/* --- starting, stopping ----------------------------------------------------------------------- */

static void lead(struct single *single)
{
	single->has_started = true;
	atomic_store(&single->is_leader, true);
	advance(single);
}

static void vote_done(struct log_op *op, enum err err)
{
	struct single *single = CONTAINER_OF(op, struct single, vote_op);
	if (err == ERR_OK)
		lead(single);
}

/* A new log gets its first term; it stays the only one while there is one member. */
static void start_run(struct task *task)
{
	struct single *single = CONTAINER_OF(task, struct single, start_task);
	assert(single->magic == SINGLE_MAGIC && !single->has_started);
	if (log_term(single->log) >= FIRST_TERM) {
		lead(single);
		return;
	}
	single->vote_op.done = vote_done;
	log_set_vote(single->log, &single->vote_op, FIRST_TERM, log_id(single->log));
}

static void single_start(struct consensus *consensus, const struct consensus_apply *apply)
{
	struct single *single = single_of(consensus);
	assert(apply->loop && apply->committed && apply->failed);
	single->apply = *apply;
	if (apply->time_ms > single->time_ms)
		single->time_ms = apply->time_ms;
	loop_post(single->setup.log.loop, &single->start_task);
}

static void stop_run(struct task *task)
{
	struct single *single = CONTAINER_OF(task, struct single, stop_task);
	single->is_stopping = true;
	advance(single);
}

static void single_stop(struct consensus *consensus, void (*stopped)(void *arg), void *arg)
{
	struct single *single = single_of(consensus);
	single->stopped = stopped;
	single->stopped_arg = arg;
	loop_post(single->setup.log.loop, &single->stop_task);
}

/* --- what any thread asks --------------------------------------------------------------------- */

static void read_index_run(struct task *task)
{
	struct read_index *read = CONTAINER_OF(task, struct read_index, task);
	read->done(read);
}

/* What was acknowledged was written before; it is at or below the index written last. */
static void single_read_index(struct consensus *consensus, struct read_index *read)
{
	struct single *single = single_of(consensus);
	read->err = atomic_load(&single->is_leader) ? ERR_OK : ERR_UNAVAILABLE;
	read->index = atomic_load(&single->commit_index);
	read->task.run = read_index_run;
	loop_post(read->loop, &read->task);
}

static void release_run(struct task *task)
{
	struct single *single = CONTAINER_OF(task, struct single, release_task);
	atomic_store(&single->is_release_posted, false);
	log_release(single->log, atomic_load(&single->released));
	keep_log_len(single);
}

static void single_release(struct consensus *consensus, uint64_t index)
{
	struct single *single = single_of(consensus);
	uint64_t before = atomic_load(&single->released);
	while (index > before)
		if (atomic_compare_exchange_weak(&single->released, &before, index))
			break;
	if (index > before && !atomic_exchange(&single->is_release_posted, true))
		loop_post(single->setup.log.loop, &single->release_task);
}

static void single_info(struct consensus *consensus, struct consensus_info *ret_info)
{
	struct single *single = single_of(consensus);
	bool is_leader = atomic_load(&single->is_leader);
	uint64_t id = log_id(single->log);
	*ret_info = (struct consensus_info){
		.role = is_leader ? CONSENSUS_LEADER : CONSENSUS_STOPPED,
		.err = atomic_load(&single->err),
		.id = id,
		.leader = is_leader ? id : 0,
		.term = FIRST_TERM,
		.commit_index = atomic_load(&single->commit_index),
		.released_index = atomic_load(&single->released),
		.log_len = atomic_load(&single->log_len),
		.first_index = atomic_load(&single->first_index),
		.live_len = atomic_load(&single->live_len),
		.groups = atomic_load(&single->group_count),
		.commands = atomic_load(&single->command_count),
	};
}

/* --- opening and closing ---------------------------------------------------------------------- */

struct replay {
	struct group_command *commands;
	enum err (*found)(void *arg, const struct group *group);
	void *arg;
};

static enum err replay_entry(void *arg, const struct log_record *record)
{
	struct replay *replay = arg;
	struct group group;
	enum err err = group_decode(record->body, replay->commands, &group);
	if (err != ERR_OK)
		return err;
	group.index = record->index;
	group.term = record->term;
	return replay->found(replay->arg, &group);
}

static enum err single_replay(struct consensus *consensus, uint64_t after,
	enum err (*found)(void *arg, const struct group *group), void *arg)
{
	struct single *single = single_of(consensus);
	uint64_t end = log_end_index(single->log);
	if (after + 1 > end || after + 1 < log_first_index(single->log))
		return ERR_CORRUPT;
	/* Nothing has started: a group's room for commands is free. */
	struct replay replay = {single->groups[0].commands, found, arg};
	return log_read(single->log, after + 1, end, replay_entry, &replay);
}

/* Remembers the cluster time of the last group. */
static enum err found_entry(void *arg, const struct log_record *record)
{
	struct single *single = arg;
	if (record->type != LOG_ENTRY)
		return ERR_OK;
	struct group group;
	enum err err = group_decode(record->body, single->groups[0].commands, &group);
	if (err == ERR_OK && group.time_ms > single->time_ms)
		single->time_ms = group.time_ms;
	return err;
}

static void single_close(struct consensus *consensus)
{
	struct single *single = single_of(consensus);
	log_close(single->log);
	free(single->groups);
	single->magic = 0;
	free(single);
}

static const struct consensus_ops single_ops = {
	.replay = single_replay,
	.start = single_start,
	.propose = single_propose,
	.group_applied = single_group_applied,
	.read_index = single_read_index,
	.release = single_release,
	.info = single_info,
	.stop = single_stop,
	.close = single_close,
};

static void set_tasks(struct single *single)
{
	single->start_task.run = start_run;
	single->gather_task.run = gather_run;
	single->stop_task.run = stop_run;
	single->release_task.run = release_run;
	single->deliver_task.run = deliver_run;
	single->failed_task.run = failed_run;
	single->stopped_task.run = stopped_run;
}

static void set_groups(struct single *single)
{
	for (size_t i = 0; i < GROUPS_MAX; i++) {
		struct single_group *group = &single->groups[i];
		group->single = single;
		group->next = single->free;
		single->free = group;
	}
	single->free_count = GROUPS_MAX;
}

enum err consensus_single_open(
	const struct consensus_single_setup *setup, struct consensus **ret_consensus)
{
	struct single *single = calloc(1, sizeof *single);
	if (!single)
		return ERR_NO_MEMORY;
	single->consensus.ops = &single_ops;
	single->magic = SINGLE_MAGIC;
	single->setup = *setup;
	single->setup.log.failed = log_failed;
	single->setup.log.arg = single;
	single->last = &single->first;
	single->queue_last = &single->queue;
	set_tasks(single);
	single->groups = calloc(GROUPS_MAX, sizeof *single->groups);
	enum err err = single->groups ? ERR_OK : ERR_NO_MEMORY;
	if (err == ERR_OK)
		err = log_open(&single->setup.log, found_entry, single, &single->log);
	if (err != ERR_OK) {
		single_close(&single->consensus);
		return err;
	}
	set_groups(single);
	keep_log_len(single);
	size_t len_max = log_entry_len_max(single->log);
	single->len_max = len_max < GROUP_LEN_MAX ? len_max : GROUP_LEN_MAX;
	atomic_store(&single->commit_index, log_end_index(single->log) - 1);
	*ret_consensus = &single->consensus;
	return ERR_OK;
}
