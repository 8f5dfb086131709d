/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_watch.h"

#include <stdlib.h>

#include "tests/lib/sim.h"
#include "tests/lib/test.h"

enum { TERMS_MAX = 8192 };

struct entry { /* of the one log that all members should have */
	uint64_t term, time_ms, hash; /* term 0: nobody applied it yet */
	uint64_t state;
	bool has_state;
};

struct sim_watch {
	uint64_t seed;
	struct entry *entries; /* by log index */
	uint64_t cap;
	uint64_t leaders[TERMS_MAX];
	struct sim_watch_counts counts;
};

struct watched {
	struct consensus consensus;
	struct sim_watch *watch;
	struct consensus *inner;
	struct consensus_apply apply;
	struct index *index; /* NULL: states are not compared */
};

static struct watched *watched_of(struct consensus *consensus)
{
	return CONTAINER_OF(consensus, struct watched, consensus);
}

#define WATCH_ASSERT(watch, index, condition) \
	ck_assert_msg(condition, "seed %lu: log index %lu: %s", (unsigned long)(watch)->seed, \
		(unsigned long)(index), #condition)

/* --- looking ---------------------------------------------------------------------------------- */

static struct entry *entry_at(struct sim_watch *watch, uint64_t index)
{
	if (index >= watch->cap) {
		uint64_t cap = 2 * index + 1024;
		watch->entries = sim_must(
			reallocarray(watch->entries, cap, sizeof *watch->entries));
		memset(watch->entries + watch->cap, 0, (cap - watch->cap) * sizeof *watch->entries);
		watch->cap = cap;
	}
	return &watch->entries[index];
}

static uint64_t hash_group(const struct group *group)
{
	uint64_t hash = group->count;
	for (size_t i = 0; i < group->count; i++) {
		const struct group_command *command = &group->commands[i];
		hash = hash * 31 + sim_hash_bytes(command->bytes.data, command->bytes.len);
		hash = hash * 31 + command->origin;
		hash = hash * 31 + command->number;
	}
	return hash;
}

/* (W1) */
static void look_at_group(struct sim_watch *watch, const struct group *group)
{
	struct entry *entry = entry_at(watch, group->index);
	struct entry found = {group->term, group->time_ms, hash_group(group), 0, false};
	WATCH_ASSERT(watch, group->index, group->term > 0);
	if (group->index > watch->counts.last)
		watch->counts.last = group->index;
	if (entry->term == 0) {
		*entry = found;
		return;
	}
	WATCH_ASSERT(watch, group->index, entry->term == found.term);
	WATCH_ASSERT(watch, group->index, entry->time_ms == found.time_ms);
	WATCH_ASSERT(watch, group->index, entry->hash == found.hash);
	watch->counts.groups++;
}

/* (W2) */
static void look_at_state(struct watched *watched, uint64_t index)
{
	struct sim_watch *watch = watched->watch;
	struct index_state_hash state;
	index_state_hash(watched->index, &state);
	if (state.applied != index)
		return; /* the member has failed in the middle of it */
	uint64_t hash = sim_hash_bytes(state.tables, sizeof state.tables);
	struct entry *entry = entry_at(watch, index);
	if (!entry->has_state) {
		entry->has_state = true;
		entry->state = hash;
		return;
	}
	WATCH_ASSERT(watch, index, entry->state == hash);
	watch->counts.states++;
}

void sim_watch_look(struct sim_watch *watch, struct consensus *inner)
{
	struct consensus_info info;
	consensus_info(inner, &info);
	if (info.role != CONSENSUS_LEADER)
		return;
	WATCH_ASSERT(watch, info.term, info.term < TERMS_MAX);
	uint64_t *leader = &watch->leaders[info.term];
	watch->counts.leads += *leader == 0;
	bool is_only_leader = *leader == 0 || *leader == info.id;
	WATCH_ASSERT(watch, info.term, is_only_leader);
	*leader = info.id;
}

/* --- the seam --------------------------------------------------------------------------------- */

static enum err watch_replay(struct consensus *consensus, uint64_t after,
	enum err (*found)(void *arg, const struct group *group), void *arg)
{
	return consensus_replay(watched_of(consensus)->inner, after, found, arg);
}

static void committed(void *arg, struct group *group)
{
	struct watched *watched = arg;
	look_at_group(watched->watch, group);
	watched->apply.committed(watched->apply.arg, group);
}

static void failed(void *arg, enum err err)
{
	struct watched *watched = arg;
	watched->apply.failed(watched->apply.arg, err);
}

static void watch_start(struct consensus *consensus, const struct consensus_apply *apply)
{
	struct watched *watched = watched_of(consensus);
	watched->apply = *apply;
	struct consensus_apply ours = {.loop = apply->loop,
		.time_ms = apply->time_ms,
		.committed = committed,
		.failed = failed,
		.arg = watched};
	consensus_start(watched->inner, &ours);
}

static void watch_propose(struct consensus *consensus, struct proposal *proposal)
{
	consensus_propose(watched_of(consensus)->inner, proposal);
}

static void watch_applied(struct consensus *consensus, struct group *group)
{
	struct watched *watched = watched_of(consensus);
	if (watched->index)
		look_at_state(watched, group->index);
	group_applied(watched->inner, group);
}

static void watch_read_index(struct consensus *consensus, struct read_index *read)
{
	consensus_read_index(watched_of(consensus)->inner, read);
}

static void watch_release(struct consensus *consensus, uint64_t index)
{
	consensus_release(watched_of(consensus)->inner, index);
}

static void watch_info(struct consensus *consensus, struct consensus_info *ret_info)
{
	consensus_info(watched_of(consensus)->inner, ret_info);
}

static void watch_stop(struct consensus *consensus, void (*stopped)(void *arg), void *arg)
{
	consensus_stop(watched_of(consensus)->inner, stopped, arg);
}

static void watch_close(struct consensus *consensus)
{
	struct watched *watched = watched_of(consensus);
	consensus_close(watched->inner);
	free(watched);
}

static const struct consensus_ops watch_ops = {
	.replay = watch_replay,
	.start = watch_start,
	.propose = watch_propose,
	.group_applied = watch_applied,
	.read_index = watch_read_index,
	.release = watch_release,
	.info = watch_info,
	.stop = watch_stop,
	.close = watch_close,
};

struct consensus *sim_watch_open(struct sim_watch *watch, struct consensus *inner)
{
	struct watched *watched = sim_must(calloc(1, sizeof *watched));
	watched->consensus.ops = &watch_ops;
	watched->watch = watch;
	watched->inner = inner;
	return &watched->consensus;
}

void sim_watch_attach(struct consensus *consensus, struct index *index)
{
	watched_of(consensus)->index = index;
}

struct sim_watch *sim_watch_new(uint64_t seed)
{
	struct sim_watch *watch = sim_must(calloc(1, sizeof *watch));
	watch->seed = seed;
	return watch;
}

void sim_watch_free(struct sim_watch *watch)
{
	free(watch->entries);
	free(watch);
}

void sim_watch_counts(const struct sim_watch *watch, struct sim_watch_counts *ret_counts)
{
	*ret_counts = watch->counts;
}
