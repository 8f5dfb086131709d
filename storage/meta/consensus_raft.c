/* SPDX-License-Identifier: Apache-2.0 */
/* Consensus of several members, with libraft as the rules and everything else our own.
 *
 *   proposers --post--> pending --> group, at the leader --> entry --> log  -- commit --> apply
 *      (any loop)          \--batch, to the leader--/          \-----> notes to followers
 *
 * All but the ends is on the log's loop. libraft is a function of an event and its own state
 * (raft_step()); it keeps indices and terms, no bytes. The files: _step what it says is to be done,
 * _entry entries in memory, _send and _receive notes, _wire their bytes, _propose proposals, _apply
 * committed groups, _read linearizable reads, _member changes of the group, _push and _install
 * snapshots, _file and _open what is there at a start.
 *
 * (R1) A message leaves after the term and the vote that it speaks for are durable.
 * (R2) An entry that changes the configuration is submitted alone, and alone in its APPEND: libraft
 *      0.22.1 takes the index of the first new entry of a message for that of the change, and then
 *      keeps a configuration whose entry was taken back.
 * (R3) What is applied is committed and durable here: a member may learn of a commit before its own
 *      write ends, and must not lose with the power what its index has seen.
 * (R4) A leader begins with an entry of its own term and serves no read before that is committed:
 *      until then it does not know what is.
 * (R5) A read has the commit index from before a majority said, to a question sent after the read
 *      arrived, that the leader's term is still theirs. No clock, no lease.
 * (R6) A group is one entry: at most GROUP_COMMANDS_MAX commands and GROUP_LEN_MAX bytes. At most
 *      IN_FLIGHT_MAX entries are on their way to a follower, GROUPS_MAX are not committed.
 * (R7) When the commit index moves, and nothing that is sent says so, an empty APPEND does: without
 *      it followers learn of a commit with the next one or the next heartbeat.
 * (R8) The end of a write whose entry was taken back meanwhile is not told to libraft, which would
 *      take the entry that came to its place for durable.
 * (R9) What libraft frees is one raft_malloc() for each message: here a token, since the bytes of
 *      entries are our own. struct raft and every event are zero before they are filled.
 * (R10) Every field of what another member says is checked before libraft sees it.
 * (R11) The commit index that counts is the highest that libraft named: its own goes back when an
 *      APPEND ends below it.
 *
 * (R12) Who is the only voter begins a term before it leads: libraft lets it lead in the term that
 *      is, in which another may have led, or itself before a crash, and sent entries that its log
 *      has lost. So a start, and the end of an election timeout, first makes a term and a vote for
 *      itself durable.
 *
 * (R13) A forced recovery is one entry more, in a term of its own: the configuration with this
 *      member alone. All that its log has is committed with it, also what no majority had. The
 *      others must not meet it again: the epoch of the cluster sees to that, not the term.
 *
 * A leader that is removed or demoted steps down when that is committed. A member whose log or
 * memory fails stops for good; its node ends and starts again. */
#include "storage/meta/consensus_raft.h"

#include <stdlib.h>

#include "storage/meta/consensus_raft_priv.h"

#define KEEP_LEN_DEFAULT (UINT64_C(256) << 20)

/* --- failing, stopping ------------------------------------------------------------------------ */

void member_fail(struct member *member, enum err err)
{
	int none = ERR_OK;
	if (!atomic_compare_exchange_strong(&member->err, &none, err))
		return;
	atomic_store(&member->role, CONSENSUS_STOPPED);
	timer_cancel(member->loop, &member->timer);
	member_end_proposals(member);
	member_end_reads(member);
	member_refuse_batches(member);
	member_end_change(member, ERR_UNKNOWN);
	loop_post(member->apply.loop, &member->failed_task);
}

static void log_failed(void *arg, enum err err)
{
	member_fail(arg, err);
}

static bool has_calls(const struct member *member)
{
	bool has = member->forward.state == FORWARD_CALLING || member->is_reading;
	for (size_t i = 0; i < CONSENSUS_MEMBERS_MAX; i++)
		has |= member->asks[i].is_busy;
	return has;
}

static void cancel_calls(struct member *member)
{
	if (member->forward.state == FORWARD_CALLING)
		peer_call_cancel(&member->forward.call);
	if (member->is_reading)
		peer_call_cancel(&member->read_call);
	if (member->push.state == PUSH_SENDING)
		peer_call_cancel(&member->push.call);
	for (size_t i = 0; i < CONSENSUS_MEMBERS_MAX; i++)
		if (member->asks[i].is_busy)
			peer_call_cancel(&member->asks[i].call);
}

/* From here on nothing new is begun. */
static void quit(struct member *member)
{
	member->has_stopped = true;
	timer_cancel(member->loop, &member->timer);
	timer_cancel(member->loop, &member->tick);
	timer_cancel(member->loop, &member->retry);
	member_end_proposals(member);
	member_end_reads(member);
	member_refuse_batches(member);
	member_end_change(member, ERR_UNKNOWN);
	cancel_calls(member);
	atomic_store(&member->role, CONSENSUS_STOPPED);
}

/* Proposals go out, the lead is given to another, then everything ends. */
void member_advance_stop(struct member *member)
{
	if (!member->is_stopping || member->is_log_stopped)
		return;
	/* Without a leader nothing goes out; what went out before has its time to come back. */
	bool is_vain = atomic_load(&member->leader_id) == 0 && !member->in_flight.first;
	bool is_late = is_vain || member_now_ms(member) >= member->stop_due_ms ||
		member_is_dead(member);
	bool is_quiet = !member_has_proposals(member) && member->batch_count == 0;
	if (!member->has_stopped && (is_quiet || is_late)) {
		bool leads = member_leads(member) && !is_late;
		if (leads && !member->has_given_lead) {
			member->has_given_lead = true;
			member_give_lead(member);
		}
		if (!leads || raft_transferee(&member->raft) == 0 || !member_leads(member))
			quit(member);
	}
	if (!member->has_stopped || member->free_count < GROUPS_MAX || has_calls(member) ||
		member->is_file_writing || member_is_pushing(member) ||
		member_has_install_op(member))
		return;
	member->is_log_stopped = true;
	log_stop(member->log, member->apply.loop, &member->stopped_task);
}

static void stop_run(struct task *task)
{
	struct member *member = CONTAINER_OF(task, struct member, stop_task);
	member->is_stopping = true;
	member->stop_due_ms = member_now_ms(member) + STOP_MS_MAX;
	member_watch_deadlines(member);
	member_advance_stop(member);
}

static void member_stop(struct consensus *consensus, void (*stopped)(void *arg), void *arg)
{
	struct member *member = member_of(consensus);
	member->stopped = stopped;
	member->stopped_arg = arg;
	loop_post(member->loop, &member->stop_task);
}

/* --- starting --------------------------------------------------------------------------------- */

static void found_done(struct log_op *op, enum err err)
{
	struct member *member = CONTAINER_OF(op, struct member, found_op);
	if (err == ERR_OK && member_open_founded(member) == ERR_OK)
		member_start_raft(member);
	else if (err == ERR_OK)
		member_fail(member, ERR_NO_MEMORY);
}

static void found_vote_done(struct log_op *op, enum err err)
{
	struct member *member = CONTAINER_OF(op, struct member, found_op);
	if (err != ERR_OK)
		return;
	member->found_op.done = found_done;
	log_append(
		member->log, &member->found_op, 1, log_term(member->log), &member->found_part, 1);
}

/* The first entry of a group: who founds it. */
static void found(struct member *member)
{
	struct entry *entry = member->found_entry;
	member->found_part = entry->part;
	member->found_op.done = found_vote_done;
	uint64_t term = log_term(member->log) > 0 ? log_term(member->log) : 1;
	entry->term = term;
	log_set_vote(member->log, &member->found_op, term, member->id);
}

static void mark_done(struct log_op *op, enum err err)
{
	struct member *member = CONTAINER_OF(op, struct member, found_op);
	if (err == ERR_OK && member->setup.takes_over)
		member_take_over(member);
	else if (err == ERR_OK)
		member_start_in_term(member);
}

static void start_run(struct task *task)
{
	struct member *member = CONTAINER_OF(task, struct member, start_task);
	assert(member->magic == MEMBER_MAGIC && !member->has_started);
	if (member->must_mark) {
		const struct members_place *now = &member->file.now;
		member->found_op.done = mark_done;
		log_mark_snapshot(member->log, &member->found_op, now->base_index, now->base_term);
	} else if (member->is_founder)
		found(member);
	else if (member->setup.takes_over)
		member_take_over(member);
	else
		member_start_in_term(member);
}

static void member_start(struct consensus *consensus, const struct consensus_apply *apply)
{
	struct member *member = member_of(consensus);
	assert(apply->loop && apply->committed && apply->failed);
	member->apply = *apply;
	if (apply->time_ms > member->time_ms)
		member->time_ms = apply->time_ms;
	loop_post(member->loop, &member->start_task);
}

/* --- what any thread asks --------------------------------------------------------------------- */

static void release_run(struct task *task)
{
	struct member *member = CONTAINER_OF(task, struct member, release_task);
	atomic_store(&member->is_release_posted, false);
	member->released_wanted = atomic_load(&member->released);
	member_release(member);
	member_settle(member);
}

static void member_release_any(struct consensus *consensus, uint64_t index)
{
	struct member *member = member_of(consensus);
	uint64_t before = atomic_load(&member->released);
	while (index > before)
		if (atomic_compare_exchange_weak(&member->released, &before, index))
			break;
	if (index > before && !atomic_exchange(&member->is_release_posted, true))
		loop_post(member->loop, &member->release_task);
}

static void member_info(struct consensus *consensus, struct consensus_info *ret_info)
{
	struct member *member = member_of(consensus);
	*ret_info = (struct consensus_info){
		.role = atomic_load(&member->role),
		.err = atomic_load(&member->err),
		.id = member->id,
		.leader = atomic_load(&member->leader_id),
		.term = atomic_load(&member->term),
		.commit_index = atomic_load(&member->commit_index),
		.released_index = atomic_load(&member->released),
		.log_len = atomic_load(&member->log_len),
		.groups = atomic_load(&member->group_count),
		.commands = atomic_load(&member->command_count),
	};
}

/* --- opening and closing ---------------------------------------------------------------------- */

static enum err member_replay(struct consensus *consensus, uint64_t after,
	enum err (*found_group)(void *arg, const struct group *group), void *arg)
{
	(void)found_group;
	(void)arg;
	return member_open_place(member_of(consensus), after);
}

static void member_close(struct consensus *consensus)
{
	struct member *member = member_of(consensus);
	member_trim_cache(member, true);
	member_open_fini(member);
	member_install_fini(member);
	free(member->push.buf);
	if (member->is_raft_init)
		raft_close(&member->raft, NULL);
	if (member->found_entry)
		entry_unref(member->found_entry);
	log_close(member->log);
	free(member->groups);
	free(member->forward.buf);
	free(member->out);
	pthread_mutex_destroy(&member->lock);
	member->magic = 0;
	free(member);
}

static const struct consensus_ops member_ops = {
	.replay = member_replay,
	.start = member_start,
	.propose = member_propose,
	.group_applied = member_group_applied,
	.read_index = member_read_index,
	.release = member_release_any,
	.info = member_info,
	.stop = member_stop,
	.close = member_close,
};

static enum err init_raft(struct member *member)
{
	char address[ADDRESS_LEN + 1];
	node_format(member->setup.log.node, address);
	if (raft_init(&member->raft, NULL, NULL, member->id, address) != 0)
		return ERR_NO_MEMORY;
	member->is_raft_init = true;
	member->raft.tracer = NULL;
	raft_seed(&member->raft, (unsigned)random_u64(member->setup.log.random));
	raft_set_election_timeout(&member->raft, CONSENSUS_ELECTION_MS);
	raft_set_heartbeat_timeout(&member->raft, CONSENSUS_HEARTBEAT_MS);
	raft_set_pre_vote(&member->raft, true);
	raft_set_max_inflight_entries(&member->raft, IN_FLIGHT_MAX);
	return ERR_OK;
}

/* The founder alone, in the form of the first entry. */
static enum err make_found_entry(struct member *member)
{
	struct consensus_members members = {.count = 1};
	members.members[0] = (struct consensus_member){
		.id = member->id, .node = member->setup.log.node, .duty = CONSENSUS_VOTER};
	member->found_entry = member_change_entry(member, 1, 1, &members);
	return member->found_entry ? ERR_OK : ERR_NO_MEMORY;
}

static enum err open_all(struct member *member)
{
	member->groups = calloc(GROUPS_MAX, sizeof *member->groups);
	member->forward.buf = malloc(GROUP_LEN_MAX);
	member->out = malloc(PEER_NOTE_LEN_MAX);
	if (!member->groups || !member->forward.buf || !member->out)
		return ERR_NO_MEMORY;
	enum err err = member_open_log(member);
	if (err == ERR_OK)
		err = init_raft(member);
	if (err == ERR_OK && member->is_founder)
		err = make_found_entry(member);
	return err;
}

static void serve(struct member *member)
{
	peers_serve(member->setup.peers, PEER_RAFT, member_receive, member);
	peers_serve(member->setup.peers, PEER_PROPOSE, member_serve_propose, member);
	peers_serve(member->setup.peers, PEER_READ_INDEX, member_serve_read, member);
	peers_serve(member->setup.peers, PEER_SNAPSHOT, member_serve_snapshot, member);
}

enum err consensus_raft_open(
	const struct consensus_raft_setup *setup, struct consensus **ret_consensus)
{
	struct member *member = calloc(1, sizeof *member);
	if (!member)
		return ERR_NO_MEMORY;
	member->consensus.ops = &member_ops;
	member->magic = MEMBER_MAGIC;
	member->setup = *setup;
	member->setup.log.failed = log_failed;
	member->setup.log.arg = member;
	if (member->setup.keep_len == 0)
		member->setup.keep_len = KEEP_LEN_DEFAULT;
	member->loop = setup->log.loop;
	pthread_mutex_init(&member->lock, NULL);
	member_step_init(member);
	member_propose_init(member);
	member_read_init(member);
	member->start_task.run = start_run;
	member->stop_task.run = stop_run;
	member->release_task.run = release_run;
	enum err err = open_all(member);
	if (err != ERR_OK) {
		member_close(&member->consensus);
		return err;
	}
	member_apply_init(member);
	size_t len_max = log_entry_len_max(member->log);
	member->len_max = len_max < GROUP_LEN_MAX ? len_max : GROUP_LEN_MAX;
	serve(member);
	*ret_consensus = &member->consensus;
	return ERR_OK;
}

enum err consensus_raft_found(const struct consensus_raft_setup *setup)
{
	struct members_file file = {0};
	enum err err = members_file_read(setup->log.state_disk, &file);
	if (err != ERR_NOT_FOUND)
		return err == ERR_OK ? ERR_EXISTS : err;
	struct log_setup log_setup = setup->log;
	log_setup.failed = NULL;
	struct log *log;
	err = log_open(&log_setup, NULL, NULL, &log);
	if (err != ERR_OK)
		return err;
	file = (struct members_file){
		.log_id = log_id(log),
		.now = {.base_index = log_end_index(log) - 1,
			.base_term = log_last_term(log),
			.conf_index = log_end_index(log) - 1},
	};
	log_close(log);
	struct consensus_members members = {.count = 1};
	members.members[0] = (struct consensus_member){
		.id = file.log_id, .node = setup->log.node, .duty = CONSENSUS_VOTER};
	err = members_encode(&members, file.now.conf, &file.now.conf_len);
	return err == ERR_OK ? members_file_write(setup->log.state_disk, &file) : err;
}

/* The last change of members that a log has. */
struct last_change {
	uint64_t after; /* log index */
	struct consensus_members members;
};

/* One that was taken back counts like any other: with it the log was one of several. */
static enum err find_change(void *arg, const struct log_record *record)
{
	struct last_change *last = arg;
	if (record->type != LOG_ENTRY || record->index <= last->after ||
		record->body.len < GROUP_HEADER_LEN || group_kind(record->body) != GROUP_CHANGE)
		return ERR_OK;
	return configuration_decode(bytes_from(record->body, GROUP_HEADER_LEN), &last->members);
}

enum err consensus_raft_count(const struct log_setup *setup, size_t *ret_count)
{
	struct members_file file;
	struct last_change last = {0};
	struct log_setup log_setup = *setup;
	struct log *log;
	enum err err = members_file_read(setup->state_disk, &file);
	*ret_count = 0;
	if (err != ERR_OK)
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	if (file.now.conf_len > 0)
		err = configuration_decode(
			bytes_make(file.now.conf, file.now.conf_len), &last.members);
	/* A crash may have come between a change and the file. */
	last.after = file.now.conf_index;
	log_setup.failed = NULL;
	if (err == ERR_OK)
		err = log_open(&log_setup, find_change, &last, &log);
	if (err != ERR_OK)
		return err;
	log_close(log);
	*ret_count = last.members.count;
	return ERR_OK;
}
