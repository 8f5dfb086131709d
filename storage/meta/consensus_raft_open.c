/* SPDX-License-Identifier: Apache-2.0 */
/* From the log to RAFT_START.
 *
 * libraft is given the term of every entry that is in the log behind the base, the configurations
 * among them, and, in the form of a snapshot, what is known to be committed: the index that the
 * apply side has durably, or that of the configuration in "log-members". */
#include <stdlib.h>

#include "storage/meta/consensus_raft_priv.h"

/* --- reading the log -------------------------------------------------------------------------- */

struct scan {
	struct member *member;
	size_t cap;
};

static enum err grow(struct scan *scan)
{
	struct member *member = scan->member;
	if (member->start_count < scan->cap)
		return ERR_OK;
	size_t cap = scan->cap > 0 ? 2 * scan->cap : 256;
	struct raft_entry *entries = reallocarray(member->start_entries, cap, sizeof *entries);
	if (!entries)
		return ERR_NO_MEMORY;
	member->start_entries = entries;
	scan->cap = cap;
	return ERR_OK;
}

static void cut(struct member *member, uint64_t index)
{
	while (member->start_count > 0 && member->start_first + member->start_count - 1 >= index)
		raft_free(member->start_entries[--member->start_count].buf.base);
}

static enum err keep_change(struct bytes body, struct raft_entry *entry)
{
	struct consensus_members members;
	struct bytes conf = bytes_from(body, GROUP_HEADER_LEN);
	if (configuration_decode(conf, &members) != ERR_OK)
		return ERR_CORRUPT;
	entry->type = RAFT_CHANGE;
	entry->buf.base = raft_malloc(conf.len);
	if (!entry->buf.base)
		return ERR_NO_MEMORY;
	memcpy(entry->buf.base, conf.data, conf.len);
	entry->buf.len = conf.len;
	return ERR_OK;
}

static enum err take_entry(struct scan *scan, const struct log_record *record)
{
	struct member *member = scan->member;
	struct group group;
	enum err err = group_decode(record->body, member->scratch, &group);
	if (err == ERR_OK)
		err = grow(scan);
	if (err != ERR_OK)
		return err;
	if (group.time_ms > member->time_ms)
		member->time_ms = group.time_ms;
	if (member->start_count == 0)
		member->start_first = record->index;
	if (record->term == 0 || record->index != member->start_first + member->start_count)
		return ERR_CORRUPT;
	struct raft_entry entry = {.term = record->term, .type = RAFT_COMMAND};
	if (group_kind(record->body) == GROUP_CHANGE)
		err = keep_change(record->body, &entry);
	if (err == ERR_OK)
		member->start_entries[member->start_count++] = entry;
	return err;
}

static enum err found_record(void *arg, const struct log_record *record)
{
	struct scan *scan = arg;
	switch (record->type) {
	case LOG_ENTRY:
		return take_entry(scan, record);
	case LOG_TRUNCATE:
		cut(scan->member, record->index);
		return ERR_OK;
	default:
		cut(scan->member, 0);
		return ERR_OK;
	}
}

/* Entries of segments that are about to go, or from before the base, are of no use. */
static void drop_before(struct member *member, uint64_t first)
{
	size_t count = 0;
	while (count < member->start_count && member->start_first + count < first)
		raft_free(member->start_entries[count++].buf.base);
	if (count == 0)
		return;
	memmove(member->start_entries, member->start_entries + count,
		(member->start_count - count) * sizeof *member->start_entries);
	member->start_count -= count;
	member->start_first += count;
}

enum err member_open_log(struct member *member)
{
	struct scan scan = {.member = member};
	enum err err = log_open(&member->setup.log, found_record, &scan, &member->log);
	if (err != ERR_OK)
		return err;
	member->id = log_id(member->log);
	err = members_file_read(member->setup.log.state_disk, &member->file);
	if (err == ERR_NOT_FOUND)
		err = ERR_OK;
	if (err != ERR_OK)
		return err;
	if (member->file.log_id != 0 && member->file.log_id != member->id)
		return ERR_FOREIGN;
	const struct members_place *now = &member->file.now;
	member->is_founder = now->conf_len > 0 && now->conf_index == 0 &&
		log_end_index(member->log) == 1;
	return ERR_OK;
}

/* A snapshot was being installed: the state machine is there already, or it was not begun (V4). */
static void settle_install(struct member *member, uint64_t after)
{
	struct members_file *file = &member->file;
	if (file->next.base_index > 0 && after >= file->next.base_index) {
		file->now = file->next;
		member->must_mark = log_first_index(member->log) <= file->now.base_index;
		member->is_founder = false;
	}
	member->is_file_stale = file->next.base_index > 0;
	file->next = (struct members_place){0};
}

enum err member_open_place(struct member *member, uint64_t after)
{
	settle_install(member, after);
	const struct members_place *now = &member->file.now;
	uint64_t first = log_first_index(member->log), end = log_end_index(member->log);
	if (member->must_mark)
		first = end = now->base_index + 1;
	if (after >= end || after + 1 < first || now->base_index >= end || now->conf_index >= end)
		return ERR_CORRUPT;
	if (first <= now->base_index)
		first = now->base_index + 1;
	if (member->must_mark)
		cut(member, 0);
	drop_before(member, first);
	if (member->start_count == 0)
		member->start_first = end;
	member->replay_after = after;
	return ERR_OK;
}

void member_open_fini(struct member *member)
{
	cut(member, 0);
	free(member->start_entries);
	member->start_entries = NULL;
}

enum err member_open_founded(struct member *member)
{
	const struct entry *entry = member->found_entry;
	struct raft_entry *first = calloc(1, sizeof *first);
	if (!first)
		return ERR_NO_MEMORY;
	assert(!member->start_entries && member->start_first == 1);
	member->start_entries = first;
	first->term = entry->term;
	enum err err = keep_change(entry->part, first);
	member->start_count = err == ERR_OK;
	return err;
}

/* --- starting --------------------------------------------------------------------------------- */

static uint64_t term_at(const struct member *member, uint64_t index)
{
	uint64_t first = member->start_first;
	if (index >= first && index - first < member->start_count)
		return member->start_entries[index - first].term;
	if (index == member->file.now.base_index)
		return member->file.now.base_term;
	if (index + 1 == log_end_index(member->log))
		return log_last_term(member->log);
	return 0;
}

/* The configuration that counts at an index: the last one in the log, or the file's. */
static int configuration_at(
	const struct member *member, uint64_t index, struct raft_snapshot_metadata *metadata)
{
	struct raft_buffer buf = {(void *)member->file.now.conf, member->file.now.conf_len};
	metadata->configuration_index = member->file.now.conf_index;
	for (size_t i = 0; i < member->start_count; i++) {
		uint64_t at = member->start_first + i;
		if (at > index || at <= member->file.now.conf_index)
			continue;
		if (member->start_entries[i].type != RAFT_CHANGE)
			continue;
		buf = member->start_entries[i].buf;
		metadata->configuration_index = at;
	}
	if (buf.len == 0 || metadata->configuration_index == 0)
		return RAFT_CORRUPT;
	return raft_configuration_decode(&buf, &metadata->configuration);
}

/* What is known to be committed. Returns false if what the log has does not tell its term. */
static bool make_metadata(struct member *member, struct raft_snapshot_metadata *metadata)
{
	uint64_t index = member->replay_after;
	if (index < member->file.now.conf_index)
		index = member->file.now.conf_index;
	if (index < member->file.now.base_index)
		index = member->file.now.base_index;
	metadata->index = index;
	metadata->term = term_at(member, index);
	return metadata->term > 0 && configuration_at(member, index, metadata) == 0;
}

/* The last configuration of the log, also when it is not known to be committed. */
static struct bytes last_configuration(const struct member *member)
{
	struct bytes conf = bytes_make(member->file.now.conf, member->file.now.conf_len);
	for (size_t i = 0; i < member->start_count; i++) {
		const struct raft_entry *entry = &member->start_entries[i];
		bool is_later = member->start_first + i > member->file.now.conf_index;
		if (entry->type == RAFT_CHANGE && is_later)
			conf = bytes_make(entry->buf.base, entry->buf.len);
	}
	return conf;
}

/* Will libraft lead at once, being the only voter of that (R12)? */
static bool will_lead(const struct member *member)
{
	struct consensus_members members;
	if (configuration_decode(last_configuration(member), &members) != ERR_OK)
		return false;
	size_t voters = 0;
	bool is_voter = false;
	for (size_t i = 0; i < members.count; i++) {
		bool votes = members.members[i].duty == CONSENSUS_VOTER;
		voters += votes;
		is_voter |= votes && members.members[i].id == member->id;
	}
	return is_voter && voters == 1;
}

enum err consensus_raft_end(struct consensus *consensus, struct consensus_end *ret_end)
{
	struct member *member = member_of(consensus);
	struct consensus_end end = {
		.index = log_end_index(member->log) - 1, .term = log_last_term(member->log)};
	enum err err = configuration_decode(last_configuration(member), &end.members);
	if (err == ERR_OK)
		*ret_end = end;
	return err;
}

/* --- taking over (R13) ------------------------------------------------------------------------ */

static void take_over_done(struct log_op *op, enum err err)
{
	struct member *member = CONTAINER_OF(op, struct member, found_op);
	if (err != ERR_OK)
		return;
	struct raft_entry *entries = reallocarray(
		member->start_entries, member->start_count + 1, sizeof *entries);
	if (!entries) {
		member_fail(member, ERR_NO_MEMORY);
		return;
	}
	member->start_entries = entries;
	struct raft_entry *last = &entries[member->start_count];
	*last = (struct raft_entry){.term = member->found_entry->term};
	err = keep_change(member->found_entry->part, last);
	if (err != ERR_OK) {
		member_fail(member, err);
		return;
	}
	member->start_count++;
	member_start_in_term(member);
}

static void take_over_voted(struct log_op *op, enum err err)
{
	struct member *member = CONTAINER_OF(op, struct member, found_op);
	if (err != ERR_OK)
		return;
	struct entry *entry = member->found_entry;
	member->found_part = entry->part;
	member->found_op.done = take_over_done;
	log_append(
		member->log, &member->found_op, entry->index, entry->term, &member->found_part, 1);
}

void member_take_over(struct member *member)
{
	if (will_lead(member)) { /* it has done so already */
		member_start_in_term(member);
		return;
	}
	struct consensus_members members = {.count = 1};
	members.members[0] = (struct consensus_member){
		.id = member->id, .node = member->setup.log.node, .duty = CONSENSUS_VOTER};
	uint64_t term = log_term(member->log) + 1;
	member->found_entry = member_change_entry(
		member, log_end_index(member->log), term, &members);
	if (!member->found_entry) {
		member_fail(member, ERR_NO_MEMORY);
		return;
	}
	member->found_op.done = take_over_voted;
	log_set_vote(member->log, &member->found_op, term, member->id);
}

/* --- starting in a term ----------------------------------------------------------------------- */

static void term_written(struct log_op *op, enum err err)
{
	struct member *member = CONTAINER_OF(op, struct member, found_op);
	member->renewed_term = log_term(member->log);
	if (err == ERR_OK)
		member_start_raft(member);
}

void member_start_in_term(struct member *member)
{
	if (!will_lead(member)) {
		member_start_raft(member);
		return;
	}
	member->found_op.done = term_written;
	log_set_vote(member->log, &member->found_op, log_term(member->log) + 1, member->id);
}

void member_start_raft(struct member *member)
{
	struct raft_snapshot_metadata metadata = {0};
	bool is_new = member->replay_after == 0 && member->file.now.conf_index == 0 &&
		member->start_first == 1;
	if (is_new && member->start_count > 0 && member->start_entries[0].type != RAFT_CHANGE) {
		member_fail(member, ERR_CORRUPT);
		return;
	}
	if (!is_new && !make_metadata(member, &metadata)) {
		member_fail(member, ERR_CORRUPT);
		return;
	}
	uint64_t term = log_term(member->log);
	struct raft_event event = {.type = RAFT_START,
		.start = {
			.term = term,
			.voted_for = log_vote(member->log),
			.metadata = is_new ? NULL : &metadata,
			.start_index = member->start_first,
			.entries = member->start_entries,
			.n_entries = member->start_count,
		}};
	member->has_started = true;
	member->delivered = member->replay_after;
	member_step(member, &event);
	member_open_fini(member);
}
