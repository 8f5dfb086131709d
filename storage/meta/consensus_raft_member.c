/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in the group: changes, one at a time, and what is kept of it.
 *
 * A change is a CHANGE entry with the whole configuration. libraft goes by it from when it is in
 * the log. A leader makes none before its barrier is committed: two leaders whose changes are both
 * uncommitted would have majorities that do not meet.
 *
 * A leader does not demote or remove itself: if it died with the change in its log alone, it would
 * stand for no election, and nobody with less would get its vote. It gives the lead away first. For
 * the same reason a change is sent only when it is durable here, a member is promoted only when it
 * has the entry that added it, and a learner votes (consensus_raft_receive.c).
 *
 * The log keeps the entry of the last committed configuration until "log-members" has it. */
#include <stdlib.h>

#include "storage/meta/consensus_raft_priv.h"

/* --- the list --------------------------------------------------------------------------------- */

static void copy_members(const struct member *member, struct consensus_members *ret_members)
{
	const struct raft *raft = &member->raft;
	uint64_t changing = raft->configuration_uncommitted_index;
	struct consensus_members members = {
		.index = changing ? changing : raft->configuration_committed_index,
		.is_committed = changing == 0,
	};
	for (unsigned i = 0; i < raft->configuration.n && i < CONSENSUS_MEMBERS_MAX; i++) {
		const struct raft_server *server = &raft->configuration.servers[i];
		struct consensus_member *to = &members.members[members.count];
		if (node_parse(server->address, &to->node) != ERR_OK)
			continue;
		raft_index match = 0;
		if (raft->state == RAFT_LEADER)
			raft_match_index(raft, server->id, &match);
		to->id = server->id;
		to->duty = server->role == RAFT_VOTER ? CONSENSUS_VOTER : CONSENSUS_LEARNER;
		to->match_index = match;
		members.count++;
	}
	*ret_members = members;
}

void consensus_raft_members(struct consensus *consensus, struct consensus_members *ret_members)
{
	struct member *member = member_of(consensus);
	pthread_mutex_lock(&member->lock);
	*ret_members = member->members;
	pthread_mutex_unlock(&member->lock);
}

bool member_is_of_group(const struct member *member, struct id node)
{
	const struct raft_configuration *conf = &member->raft.configuration;
	char address[ADDRESS_LEN + 1];
	node_format(node, address);
	for (unsigned i = 0; i < conf->n; i++)
		if (strcmp(conf->servers[i].address, address) == 0)
			return true;
	return false;
}

/* --- the file, and what the log may forget ---------------------------------------------------- */

static void file_run(struct work *work)
{
	struct member *member = CONTAINER_OF(work, struct member, file_work);
	member->file_err = members_file_write(member->setup.log.state_disk, &member->file_out);
}

static void file_done(struct work *work)
{
	struct member *member = CONTAINER_OF(work, struct member, file_work);
	assert(member->magic == MEMBER_MAGIC && member->is_file_writing);
	member->is_file_writing = false;
	if (member->file_err == ERR_OK)
		member->file = member->file_out;
	else if (member->install.state !=
		INSTALL_FILING) /* The log is kept longer then; the next change writes again. */
		trace_event(member->setup.log.trace, TRACE_WARNING, 0, "raft: log-members: %s",
			err_text(member->file_err));
	member_release(member);
	member_advance_stop(member);
	member_settle(member);
}

void member_write_file(struct member *member)
{
	assert(!member->is_file_writing);
	member->is_file_writing = true;
	member->file_work = (struct work){.run = file_run, .done = file_done, .loop = member->loop};
	worker_submit(member->setup.log.worker, &member->file_work);
}

/* The committed configuration, whose entry is durable here, goes to the file. */
static void keep_file(struct member *member)
{
	const struct raft *raft = &member->raft;
	uint64_t index = raft->configuration_committed_index;
	bool is_new = index > member->file.now.conf_index && index <= raft->last_stored &&
		index != member->file_out.now.conf_index;
	if ((!is_new && !member->is_file_stale) || member->is_file_writing || member->has_stopped ||
		member->install.state >= INSTALL_OFFERED)
		return;
	member->is_file_stale = false;
	member->file_out = member->file;
	member->file_out.log_id = member->id;
	if (is_new) {
		struct members_place *place = &member->file_out.now;
		struct raft_buffer buf;
		if (raft_configuration_encode(&raft->configuration_committed, &buf) != 0) {
			member_fail(member, ERR_NO_MEMORY);
			return;
		}
		assert(buf.len <= CONFIGURATION_LEN_MAX);
		place->conf_index = index;
		place->conf_len = buf.len;
		memcpy(place->conf, buf.base, buf.len);
		raft_free(buf.base);
	}
	member_write_file(member);
}

/* What all members are known to have. */
static uint64_t lowest_match(const struct member *member)
{
	const struct raft *raft = &member->raft;
	uint64_t low = UINT64_MAX;
	for (unsigned i = 0; i < raft->configuration.n; i++) {
		raft_index match = 0;
		raft_match_index(raft, raft->configuration.servers[i].id, &match);
		if (match < low)
			low = match;
	}
	return low;
}

void member_release(struct member *member)
{
	struct raft *raft = &member->raft;
	uint64_t index = member->released_wanted;
	if (!member->has_started || member_is_dead(member) || member->has_stopped ||
		member->install.state >= INSTALL_OFFERED)
		return;
	struct log_stats stats;
	log_stats(member->log, &stats);
	atomic_store(&member->log_len, stats.len);
	if (raft->state == RAFT_LEADER && stats.len <= member->setup.keep_len &&
		index > lowest_match(member))
		index = lowest_match(member);
	if (raft->state != RAFT_LEADER && stats.len <= member->setup.keep_len)
		return;
	uint64_t conf = raft->configuration_committed_index;
	if (conf > member->file.now.conf_index && index > conf)
		index = conf;
	if (index > raft->last_stored)
		index = raft->last_stored;
	if (member_is_pushing(member) && index > member->push.index)
		index = member->push.index;
	/* The last one released stays: its term is asked for when this member starts. */
	if (index <= raft->trail.snapshot.index || index < 2)
		return;
	log_release(member->log, index - 1);
	uint64_t first = log_first_index(member->log);
	if (first <= raft->trail.offset + 1 || first > index)
		return;
	struct raft_event event = {.type = RAFT_SNAPSHOT,
		.snapshot = {.metadata = {.index = index}, .trailing = index - (first - 1)}};
	member_step_bare(member, &event);
}

void member_keep_members(struct member *member)
{
	struct consensus_members members;
	copy_members(member, &members);
	pthread_mutex_lock(&member->lock);
	member->members = members;
	pthread_mutex_unlock(&member->lock);
	keep_file(member);
}

/* --- changes ---------------------------------------------------------------------------------- */

static void change_done_run(struct task *task)
{
	struct consensus_change *change = CONTAINER_OF(task, struct consensus_change, task);
	change->done(change);
}

static void end_change(struct consensus_change *change, enum err err)
{
	change->err = err;
	change->task.run = change_done_run;
	loop_post(change->loop, &change->task);
}

void member_end_change(struct member *member, enum err err)
{
	struct consensus_change *change = member->change;
	if (!change)
		return;
	member->change = NULL;
	bool is_over = change->kind == CONSENSUS_HAND_OVER && err == ERR_UNKNOWN;
	end_change(change, is_over ? ERR_OK : err);
}

static struct consensus_member *find(struct consensus_members *members, uint64_t id)
{
	for (size_t i = 0; i < members->count; i++)
		if (members->members[i].id == id)
			return &members->members[i];
	return NULL;
}

static size_t count_voters(const struct consensus_members *members)
{
	size_t count = 0;
	for (size_t i = 0; i < members->count; i++)
		count += members->members[i].duty == CONSENSUS_VOTER;
	return count;
}

static enum err add(struct consensus_members *members, const struct consensus_change *change)
{
	struct consensus_member *found = find(members, change->id);
	if (found)
		return id_is_equal(found->node, change->node) ? ERR_EXISTS : ERR_CONFLICT;
	for (size_t i = 0; i < members->count; i++)
		if (id_is_equal(members->members[i].node, change->node))
			return ERR_CONFLICT;
	if (members->count == CONSENSUS_MEMBERS_MAX || change->id == 0)
		return ERR_LIMIT;
	members->members[members->count++] = (struct consensus_member){
		.id = change->id, .node = change->node, .duty = CONSENSUS_LEARNER};
	return ERR_OK;
}

static enum err edit(struct member *member, struct consensus_members *members,
	const struct consensus_change *change)
{
	if (change->kind == CONSENSUS_ADD)
		return add(members, change);
	struct consensus_member *found = find(members, change->id);
	if (!found)
		return change->kind == CONSENSUS_REMOVE ? ERR_EXISTS : ERR_NOT_FOUND;
	bool is_voter = found->duty == CONSENSUS_VOTER;
	if (change->kind == CONSENSUS_PROMOTE) {
		if (is_voter)
			return ERR_EXISTS;
		if (found->match_index + GROUPS_MAX < raft_last_index(&member->raft) ||
			found->match_index < members->index)
			return ERR_REFUSED;
		found->duty = CONSENSUS_VOTER;
		return ERR_OK;
	}
	if (found->id == member->id || (is_voter && count_voters(members) == 1))
		return ERR_REFUSED;
	if (change->kind == CONSENSUS_DEMOTE) {
		found->duty = CONSENSUS_LEARNER;
		return is_voter ? ERR_OK : ERR_EXISTS;
	}
	members->count--;
	memmove(found, found + 1, (members->members + members->count - found) * sizeof *found);
	return ERR_OK;
}

/* Keeps the order of those that stay: libraft keeps what it knows of them by place. */
enum err members_encode(const struct consensus_members *members, uint8_t out[CONFIGURATION_LEN_MAX],
	size_t *ret_len)
{
	struct raft_configuration conf;
	raft_configuration_init(&conf);
	int rv = 0;
	for (size_t i = 0; i < members->count && rv == 0; i++) {
		char address[ADDRESS_LEN + 1];
		node_format(members->members[i].node, address);
		bool is_voter = members->members[i].duty == CONSENSUS_VOTER;
		rv = raft_configuration_add(&conf, members->members[i].id, address,
			is_voter ? RAFT_VOTER : RAFT_STANDBY);
	}
	struct raft_buffer buf = {0};
	if (rv == 0)
		rv = raft_configuration_encode(&conf, &buf);
	raft_configuration_close(&conf);
	if (rv != 0)
		return ERR_NO_MEMORY;
	assert(buf.len <= CONFIGURATION_LEN_MAX);
	memcpy(out, buf.base, buf.len);
	*ret_len = buf.len;
	raft_free(buf.base);
	return ERR_OK;
}

struct entry *member_change_entry(struct member *member, uint64_t index, uint64_t term,
	const struct consensus_members *members)
{
	uint8_t conf[CONFIGURATION_LEN_MAX];
	size_t len;
	if (members_encode(members, conf, &len) != ERR_OK)
		return NULL;
	struct entry *entry = entry_new(member, index, term, GROUP_HEADER_LEN + len);
	if (!entry)
		return NULL;
	group_encode_header(entry->bytes, GROUP_CHANGE, member->time_ms, 0);
	memcpy(entry->bytes + GROUP_HEADER_LEN, conf, len);
	return entry;
}

static enum err hand_over(struct member *member, struct consensus_change *change)
{
	struct consensus_members members;
	copy_members(member, &members);
	size_t others = 0;
	bool is_found = change->id == 0;
	for (size_t i = 0; i < members.count; i++) {
		bool is_other = members.members[i].duty == CONSENSUS_VOTER &&
			members.members[i].id != member->id;
		others += is_other;
		is_found |= is_other && members.members[i].id == change->id;
	}
	if (others == 0 || !is_found)
		return ERR_NOT_FOUND;
	struct raft_event event = {.type = RAFT_TRANSFER, .transfer.server_id = change->id};
	member->change = change;
	member_step(member, &event);
	return ERR_OK;
}

void member_give_lead(struct member *member)
{
	struct consensus_members members;
	copy_members(member, &members);
	for (size_t i = 0; i < members.count; i++)
		if (members.members[i].duty == CONSENSUS_VOTER &&
			members.members[i].id != member->id &&
			raft_transferee(&member->raft) == 0) {
			struct raft_event event = {.type = RAFT_TRANSFER};
			member_step(member, &event);
			return;
		}
}

static enum err start_change(struct member *member, struct consensus_change *change)
{
	struct raft *raft = &member->raft;
	if (!member_leads(member) || member->has_stopped || member_is_dead(member))
		return ERR_UNAVAILABLE;
	if (member->change || raft->configuration_uncommitted_index > 0 ||
		raft_transferee(raft) != 0 || member->barrier_index == 0 ||
		raft->commit_index < member->barrier_index)
		return ERR_BUSY;
	change->term = raft->current_term;
	change->due_ms = member_now_ms(member) + CONSENSUS_FLIGHT_MS_MAX;
	if (change->kind == CONSENSUS_HAND_OVER)
		return hand_over(member, change);
	struct consensus_members members;
	copy_members(member, &members);
	enum err err = edit(member, &members, change);
	if (err != ERR_OK)
		return err;
	change->index = raft_last_index(raft) + 1;
	struct entry *entry = member_change_entry(member, change->index, change->term, &members);
	if (!entry)
		return ERR_NO_MEMORY;
	err = member_submit(member, entry, RAFT_CHANGE);
	if (err == ERR_OK)
		member->change = change;
	return err;
}

void member_advance_change(struct member *member)
{
	struct consensus_change *change = member->change;
	const struct raft *raft = &member->raft;
	if (!change || member_is_dead(member))
		return;
	if (raft->current_term != change->term || raft->state != RAFT_LEADER)
		member_end_change(member, ERR_UNKNOWN);
	else if (change->kind == CONSENSUS_HAND_OVER && raft_transferee(raft) == 0)
		member_end_change(member, ERR_TIMEOUT);
	else if (change->kind != CONSENSUS_HAND_OVER && member->commit >= change->index)
		member_end_change(member, ERR_OK);
	else if (change->due_ms <= member_now_ms(member))
		member_end_change(member, ERR_UNKNOWN);
}

static void change_run(struct task *task)
{
	struct consensus_change *change = CONTAINER_OF(task, struct consensus_change, task);
	struct member *member = member_of(change->consensus);
	enum err err = member->is_stopping ? ERR_UNAVAILABLE : start_change(member, change);
	if (err != ERR_OK) {
		end_change(change, err == ERR_EXISTS ? ERR_OK : err);
		return;
	}
	member_watch_deadlines(member);
	member_settle(member);
}

void consensus_raft_change(struct consensus *consensus, struct consensus_change *change)
{
	assert(change->loop && change->done);
	change->consensus = consensus;
	change->task.run = change_run;
	loop_post(member_of(consensus)->loop, &change->task);
}
