/* SPDX-License-Identifier: Apache-2.0 */
/* Entries in memory. The newest are kept, without a gap: those that are not durable, since the log
 * borrows their bytes, and behind them as many as the bounds allow, so that what is sent and
 * applied is seldom read again. A group on its way to the apply loop holds its entry for itself.
 *
 * Who lags behind that gets entries that are read from the log, some at a time, on this loop: a few
 * milliseconds for each AHEAD_LEN, during which nothing is committed. */
#include <stdlib.h>

#include "storage/meta/consensus_raft_priv.h"

static struct entry **slot_of(struct member *member, uint64_t index)
{
	return &member->entries[index % ENTRIES_CACHED];
}

struct entry *entry_new(struct member *member, uint64_t index, uint64_t term, size_t len)
{
	assert(len >= GROUP_HEADER_LEN && len <= GROUP_LEN_MAX);
	struct entry *entry = malloc(sizeof *entry + len);
	if (!entry)
		return NULL;
	*entry = (struct entry){
		.refs = 1, .index = index, .term = term, .member = member, .len = len};
	entry->part = bytes_make(entry->bytes, len);
	return entry;
}

struct entry *entry_ref(struct entry *entry)
{
	assert(entry->refs > 0);
	entry->refs++;
	return entry;
}

void entry_unref(struct entry *entry)
{
	assert(entry->refs > 0);
	if (--entry->refs == 0)
		free(entry);
}

struct entry *member_cached(struct member *member, uint64_t index)
{
	if (index < member->entries_first || index >= member->entries_end)
		return NULL;
	return *slot_of(member, index);
}

static void drop_first(struct member *member)
{
	struct entry **slot = slot_of(member, member->entries_first);
	member->entries_len -= (*slot)->len;
	entry_unref(*slot);
	*slot = NULL;
	member->entries_first++;
}

static void forget_ahead(struct member *member)
{
	while (member->ahead_count > 0)
		entry_unref(member->ahead[--member->ahead_count]);
	member->ahead_len = 0;
}

void member_trim_cache(struct member *member, bool all)
{
	while (member->entries_first < member->entries_end) {
		bool is_full = member->entries_len > ENTRIES_CACHED_LEN ||
			member->entries_end - member->entries_first >= ENTRIES_CACHED;
		bool is_durable = member->entries_first <= member->raft.last_stored;
		if (!all && (!is_full || !is_durable))
			return;
		drop_first(member);
	}
	if (all)
		forget_ahead(member);
}

void member_truncate_cache(struct member *member, uint64_t index)
{
	forget_ahead(member);
	while (member->entries_end > index && member->entries_end > member->entries_first) {
		struct entry **slot = slot_of(member, --member->entries_end);
		(*slot)->is_void = true;
		member->entries_len -= (*slot)->len;
		entry_unref(*slot);
		*slot = NULL;
	}
}

/* --- the log ---------------------------------------------------------------------------------- */

/* What was taken back meanwhile does not count (R8); the rest is told to libraft together. */
static void entry_written(struct log_op *op, enum err err)
{
	struct entry *entry = CONTAINER_OF(op, struct entry, op);
	struct member *member = entry->member;
	assert(member->magic == MEMBER_MAGIC && member->ops_pending > 0);
	member->ops_pending--;
	if (err == ERR_OK && !entry->is_void) {
		member->written = entry->index;
		if (!member->is_written_posted) {
			member->is_written_posted = true;
			loop_post(member->loop, &member->written_task);
		}
	}
	entry_unref(entry);
}

void member_append(struct member *member, struct entry *entry)
{
	member_trim_cache(member, false);
	if (member->entries_first == member->entries_end)
		member->entries_first = member->entries_end = entry->index;
	assert(entry->index == member->entries_end);
	if (member->entries_end - member->entries_first == ENTRIES_CACHED) {
		/* So many are not durable: no more is taken than IN_FLIGHT_MAX at a time. */
		member_fail(member, ERR_LIMIT);
		entry_unref(entry);
		return;
	}
	*slot_of(member, entry->index) = entry;
	member->entries_end++;
	member->entries_len += entry->len;
	uint64_t time_ms = get_le64(entry->bytes + 8);
	if (time_ms > member->time_ms)
		member->time_ms = time_ms;
	member->ops_pending++;
	entry->op.done = entry_written;
	log_append(member->log, &entry_ref(entry)->op, entry->index, entry->term, &entry->part, 1);
}

/* --- reading ---------------------------------------------------------------------------------- */

static enum err found_entry(void *arg, const struct log_record *record)
{
	struct member *member = arg;
	if (record->body.len < GROUP_HEADER_LEN || record->body.len > GROUP_LEN_MAX)
		return ERR_CORRUPT;
	if (member->ahead_len > AHEAD_LEN)
		return ERR_END;
	struct entry *entry = entry_new(member, record->index, record->term, record->body.len);
	if (!entry)
		return ERR_NO_MEMORY;
	memcpy(entry->bytes, record->body.data, record->body.len);
	member->ahead[member->ahead_count++] = entry;
	member->ahead_len += entry->len;
	return ERR_OK;
}

/* Reads the entry and some that follow it, up to those that are kept. */
static enum err read_ahead(struct member *member, uint64_t index)
{
	bool is_any = member->entries_first < member->entries_end;
	uint64_t end = is_any ? member->entries_first : member->raft.last_stored + 1;
	if (end > log_end_index(member->log))
		end = log_end_index(member->log);
	if (index >= end)
		return ERR_NOT_FOUND;
	forget_ahead(member);
	member->ahead_first = index;
	if (end - index > AHEAD_MAX)
		end = index + AHEAD_MAX;
	enum err err = log_read(member->log, index, end, found_entry, member);
	return err == ERR_END ? ERR_OK : err;
}

enum err member_entry(struct member *member, uint64_t index, struct entry **ret_entry)
{
	struct entry *entry = member_cached(member, index);
	if (entry) {
		*ret_entry = entry_ref(entry);
		return ERR_OK;
	}
	bool is_ahead = index >= member->ahead_first &&
		index - member->ahead_first < member->ahead_count;
	enum err err = is_ahead ? ERR_OK : read_ahead(member, index);
	if (err != ERR_OK)
		return err;
	*ret_entry = entry_ref(member->ahead[index - member->ahead_first]);
	return ERR_OK;
}
