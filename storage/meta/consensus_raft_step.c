/* SPDX-License-Identifier: Apache-2.0 */
/* libraft, and what it says is to be done: each event goes through member_step(), which writes what
 * is to be durable, sends what is to be sent, and then looks at what has become possible. */
#include <stdlib.h>

#include "storage/meta/consensus_raft_priv.h"

/* --- the log ---------------------------------------------------------------------------------- */

static struct member *op_free(struct log_op *op)
{
	struct member_op *own = CONTAINER_OF(op, struct member_op, op);
	struct member *member = own->member;
	assert(member->magic == MEMBER_MAGIC && member->ops_pending > 0);
	member->ops_pending--;
	free(own);
	return member;
}

/* A vote that could not be written stays pending, and what waits for it is never sent: the log,
 * which is dead, tells so later, to log_failed(). */
static void vote_written(struct log_op *op, enum err err)
{
	struct member *member = op_free(op);
	if (err != ERR_OK)
		return;
	assert(member->votes_pending > 0);
	if (--member->votes_pending == 0 && !member_is_dead(member))
		member_send_held(member);
}

static void cut_written(struct log_op *op, enum err err)
{
	err_ignore(err); /* as above */
	op_free(op);
}

static struct member_op *op_new(
	struct member *member, void (*done)(struct log_op *op, enum err err))
{
	struct member_op *own = calloc(1, sizeof *own);
	if (!own) {
		member_fail(member, ERR_NO_MEMORY);
		return NULL;
	}
	own->member = member;
	own->op.done = done;
	member->ops_pending++;
	return own;
}

static void write_vote(struct member *member)
{
	struct member_op *own = op_new(member, vote_written);
	if (!own)
		return;
	member->votes_pending++;
	log_set_vote(member->log, &own->op, member->raft.current_term, member->raft.voted_for);
}

/* Takes back what is in the log from index on (R8). */
static void write_cut(struct member *member, uint64_t index)
{
	struct member_op *own = op_new(member, cut_written);
	if (!own)
		return;
	uint64_t before = index > 1 ? member_term_of(member, index - 1) : 0;
	member_truncate_cache(member, index);
	if (member->written >= index)
		member->written = index - 1;
	log_truncate(member->log, &own->op, index, before);
}

static void written_run(struct task *task)
{
	struct member *member = CONTAINER_OF(task, struct member, written_task);
	member->is_written_posted = false;
	bool is_news = member->written > member->raft.last_stored &&
		!member->raft.snapshot.installing && !member_is_dead(member);
	if (!is_news || !member->has_started)
		return;
	struct raft_event event = {
		.type = RAFT_PERSISTED_ENTRIES, .persisted_entries.index = member->written};
	member_step(member, &event);
}

/* --- entries ---------------------------------------------------------------------------------- */

static struct entry *barrier_new(struct member *member, uint64_t index)
{
	struct entry *entry = entry_new(member, index, member->raft.current_term, GROUP_HEADER_LEN);
	if (entry)
		group_encode_header(entry->bytes, GROUP_BARRIER, member->time_ms, 0);
	return entry;
}

/* Our form of an entry that libraft wants to be written; gives a reference. */
static struct entry *entry_of(struct member *member, uint64_t index, bool is_barrier)
{
	if (is_barrier)
		return barrier_new(member, index);
	assert(member->taken && index >= member->taken_first);
	return entry_ref(member->taken[index - member->taken_first]);
}

static void write_entries(struct member *member, const struct raft_update *update)
{
	uint64_t index = update->entries.index;
	bool is_barrier = update->entries.batch == &member->raft.barrier;
	if (index < log_next_index(member->log))
		write_cut(member, index);
	void *batch = update->entries.batch[0].batch;
	for (unsigned i = 0; i < update->entries.n && !member_is_dead(member); i++) {
		struct entry *entry = entry_of(member, index + i, is_barrier);
		if (!entry) {
			member_fail(member, ERR_NO_MEMORY);
			break;
		}
		assert(entry->index == index + i);
		member_append(member, entry);
	}
	if (is_barrier)
		member->barrier_index = index;
	/* What was submitted is our own. */
	if (is_barrier || member->raft.state != RAFT_LEADER)
		raft_free(batch);
}

/* --- stepping --------------------------------------------------------------------------------- */

bool member_is_only_voter(const struct member *member)
{
	const struct raft_configuration *conf = &member->raft.configuration;
	unsigned voters = 0;
	bool is_voter = false;
	for (unsigned i = 0; i < conf->n; i++) {
		bool votes = conf->servers[i].role == RAFT_VOTER;
		voters += votes;
		is_voter |= votes && conf->servers[i].id == member->id;
	}
	return is_voter && voters == 1;
}

static bool must_renew_term(const struct member *member)
{
	const struct raft *raft = &member->raft;
	return raft->state == RAFT_FOLLOWER && !raft->snapshot.installing &&
		member->renewed_term != raft->current_term && member_is_only_voter(member) &&
		raft_timeout(raft) <= member_now_ms(member);
}

/* Begins a term by a vote for itself; libraft leads after the next election timeout (R12). */
static void renew_term(struct member *member)
{
	struct raft *raft = &member->raft;
	uint64_t last = raft_last_index(raft);
	struct raft_message message = {.type = RAFT_REQUEST_VOTE,
		.server_id = member->id,
		.server_address = raft->address,
		.request_vote = {
			.version = 2,
			.term = raft->current_term + 1,
			.candidate_id = member->id,
			.last_log_index = last,
			.last_log_term = last > 0 ? member_term_of(member, last) : 0,
			.disrupt_leader = true,
		}};
	member->renewed_term = raft->current_term + 1;
	struct raft_event event = {.type = RAFT_RECEIVE, .receive.message = &message};
	member_step(member, &event);
}

/* A voter forgets a leader that it no longer hears of when it becomes a candidate. A learner does
 * not become one, and libraft denies the vote of whoever knows a leader: but a change that made a
 * voter of it may be in the candidate's log alone, who cannot win without it (give_vote()). */
static void forget_leader(struct raft *raft)
{
	raft_free(raft->follower_state.current_leader.address);
	raft->follower_state.current_leader.address = NULL;
	raft->follower_state.current_leader.id = 0;
}

static bool has_silent_leader(const struct member *member)
{
	const struct raft *raft = &member->raft;
	return raft->state == RAFT_FOLLOWER && !raft->snapshot.installing &&
		raft_timeout(raft) <= member_now_ms(member);
}

static void timer_fire(struct timer *timer)
{
	struct member *member = CONTAINER_OF(timer, struct member, timer);
	if (member->has_stopped || member_is_dead(member))
		return;
	if (must_renew_term(member)) {
		renew_term(member);
		return;
	}
	if (has_silent_leader(member))
		forget_leader(&member->raft);
	struct raft_event event = {.type = RAFT_TIMEOUT};
	member_step(member, &event);
}

static void set_timer(struct member *member)
{
	uint64_t now = member_now_ms(member);
	uint64_t due = raft_timeout(&member->raft);
	timer_set(
		member->loop, &member->timer, due > now + TIMER_MS_MIN ? due - now : TIMER_MS_MIN);
}

/* libraft was left in no known state, or has seen what cannot be. */
static void step_failed(struct member *member, int rv)
{
	trace_event(member->setup.log.trace, TRACE_ERROR, 0, "raft: %s", raft_strerror(rv));
	member_fail(member, rv == RAFT_NOMEM ? ERR_NO_MEMORY : ERR_CORRUPT);
}

static bool step(struct member *member, struct raft_event *event)
{
	if (member_is_dead(member))
		return false;
	struct raft_update update = {0};
	event->time = member_now_ms(member);
	assert(!member->is_stepping);
	member->is_stepping = true;
	int rv = raft_step(&member->raft, event, &update);
	member->is_stepping = false;
	if (rv != 0) {
		step_failed(member, rv);
		return false;
	}
	if (update.flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR))
		write_vote(member);
	if (update.flags & RAFT_UPDATE_ENTRIES)
		write_entries(member, &update);
	if (update.flags & RAFT_UPDATE_SNAPSHOT)
		member_take_snapshot(member, &update.snapshot.metadata);
	if (update.flags & RAFT_UPDATE_MESSAGES && !member_is_dead(member))
		for (unsigned i = 0; i < update.messages.n; i++)
			member_send(member, &update.messages.batch[i]);
	if (member->raft.commit_index > member->commit)
		member->commit = member->raft.commit_index;
	return true;
}

void member_step(struct member *member, struct raft_event *event)
{
	if (step(member, event))
		member_settle(member);
}

void member_commit_configuration(struct member *member, uint64_t index)
{
	const struct raft_configuration *conf = &member->raft.configuration;
	struct raft_event event = {.type = RAFT_CONFIGURATION, .configuration.index = index};
	raft_configuration_init(&event.configuration.conf);
	int rv = 0;
	for (unsigned i = 0; i < conf->n && rv == 0; i++)
		rv = raft_configuration_add(&event.configuration.conf, conf->servers[i].id,
			conf->servers[i].address, conf->servers[i].role);
	if (rv != 0) {
		raft_configuration_close(&event.configuration.conf);
		step_failed(member, rv);
		return;
	}
	step(member, &event);
}

void member_step_bare(struct member *member, struct raft_event *event)
{
	step(member, event);
}

enum err member_submit(struct member *member, struct entry *entry, enum raft_entry_type type)
{
	assert(member_leads(member) && !member->taken);
	struct raft_entry list = {
		.term = entry->term,
		.type = type,
		.buf = {entry->bytes + GROUP_HEADER_LEN, entry->len - GROUP_HEADER_LEN},
		.batch = entry,
	};
	struct raft_event event = {.type = RAFT_SUBMIT, .submit = {&list, 1}};
	bool is_taken = raft_transferee(&member->raft) == 0;
	if (is_taken) {
		member->taken = &entry;
		member->taken_first = entry->index;
		is_taken = step(member, &event);
		member->taken = NULL;
	}
	entry_unref(entry);
	return is_taken ? ERR_OK : ERR_UNAVAILABLE;
}

/* --- what follows ----------------------------------------------------------------------------- */

/* A leader begins with a barrier; libraft gives one only if it has entries that may not be
 * committed, and not if it is the only voter (R4). */
static void lead(struct member *member)
{
	if (member->barrier_index > 0 || raft_transferee(&member->raft) != 0)
		return;
	uint64_t index = raft_last_index(&member->raft) + 1;
	struct entry *entry = barrier_new(member, index);
	if (!entry) {
		member_fail(member, ERR_NO_MEMORY);
		return;
	}
	if (member_submit(member, entry, RAFT_BARRIER) == ERR_OK)
		member->barrier_index = index;
}

static void lose_lead(struct member *member)
{
	if (member->barrier_index == 0)
		return;
	member->barrier_index = 0;
	memset(member->told, 0, sizeof member->told);
	member_refuse_batches(member);
	member_lose_reads(member);
	member_end_change(member, ERR_UNKNOWN);
}

static void tell_info(struct member *member)
{
	static const int roles[] = {
		CONSENSUS_STOPPED, CONSENSUS_FOLLOWER, CONSENSUS_FOLLOWER, CONSENSUS_LEADER};
	raft_id leader;
	const char *address;
	raft_leader(&member->raft, &leader, &address);
	int role = member_is_dead(member) ? CONSENSUS_STOPPED : roles[member->raft.state];
	atomic_store(&member->role, role);
	atomic_store(&member->leader_id, leader);
	atomic_store(&member->term, member->raft.current_term);
	uint64_t durable = member->raft.last_stored;
	atomic_store(&member->commit_index, member->commit < durable ? member->commit : durable);
}

void member_settle(struct member *member)
{
	if (member->is_settling || member_is_dead(member) || !member->has_started)
		return;
	member->is_settling = true;
	uint64_t changing = member->raft.configuration_uncommitted_index;
	if (changing > 0 && changing <= member->commit)
		member_commit_configuration(member, changing);
	if (member->raft.state == RAFT_LEADER)
		lead(member);
	if (member->raft.state != RAFT_LEADER)
		lose_lead(member);
	member_keep_members(member);
	member_send_commit(member);
	member_deliver(member);
	member_gather(member);
	member_ask(member);
	member_advance_change(member);
	member_advance_install(member);
	tell_info(member);
	if (!member_is_dead(member) && !member->has_stopped)
		set_timer(member);
	member->is_settling = false;
}

static void settle_run(struct task *task)
{
	struct member *member = CONTAINER_OF(task, struct member, settle_task);
	member->is_settle_posted = false;
	member_settle(member);
}

void member_settle_soon(struct member *member)
{
	if (member->is_settle_posted)
		return;
	member->is_settle_posted = true;
	loop_post(member->loop, &member->settle_task);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* As TrailTermOf() in libraft: records of the last index of each term, in a ring. */
uint64_t member_term_of(const struct member *member, uint64_t index)
{
	const struct raft_trail *trail = &member->raft.trail;
	uint64_t term = 0;
	if (index == trail->snapshot.index)
		term = trail->snapshot.term;
	if (index <= trail->offset || trail->size == 0)
		return term;
	for (unsigned i = trail->front; i != trail->back; i = (i + 1) % trail->size)
		if (index <= trail->records[i].index)
			return trail->records[i].term;
	return term;
}

bool member_leader_node(struct member *member, struct id *ret_node)
{
	raft_id id;
	const char *address;
	if (!member->has_started)
		return false;
	raft_leader(&member->raft, &id, &address);
	if (id == 0 || id == member->id || !address)
		return false;
	return node_parse(address, ret_node) == ERR_OK;
}

/* --- time ------------------------------------------------------------------------------------- */

static void retry_fire(struct timer *timer)
{
	member_settle(CONTAINER_OF(timer, struct member, retry));
}

void member_retry(struct member *member)
{
	if (!member->retry.is_set && !member->has_stopped)
		timer_set(member->loop, &member->retry, RETRY_MS);
}

static void tick_fire(struct timer *timer)
{
	struct member *member = CONTAINER_OF(timer, struct member, tick);
	if (member_is_dead(member) || member->has_stopped)
		return;
	uint64_t now = member_now_ms(member);
	member_expire_proposals(member, now);
	member_expire_reads(member, now);
	member_advance_change(member);
	member_settle(member);
	member_advance_stop(member); /* which ends when it is late, too */
	bool is_watched = member_has_proposals(member) || member_has_reads(member) ||
		member->change || member->is_stopping;
	if (is_watched && !member->has_stopped)
		timer_set(member->loop, timer, TICK_MS);
}

void member_watch_deadlines(struct member *member)
{
	if (!member->tick.is_set)
		timer_set(member->loop, &member->tick, TICK_MS);
}

void member_step_init(struct member *member)
{
	member->timer.fire = timer_fire;
	member->retry.fire = retry_fire;
	member->tick.fire = tick_fire;
	member->written_task.run = written_run;
	member->settle_task.run = settle_run;
}
