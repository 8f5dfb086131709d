/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, and the loop that applies.
 *
 * Groups come from consensus one at a time. Each command is one command of the read buffer, with
 * its place as the sequence, so that a commit may end inside a group; the last command of a group
 * is marked, because a state in the middle of a group may not be taken for that of its log index.
 * When the buffer is full, the group waits where it is until there is room.
 */
#include "storage/meta/index.h"

#include <stdlib.h>

#include "storage/meta/index_priv.h"

#define IDLE_MS_DEFAULT 1000
#define BARRIER_TICK_MS 1000
#define COMMIT_PART 4 /* of a generation: enough for a commit, if nothing else is committed */

/* --- applying: on the apply loop -------------------------------------------------------------- */

void index_fail(struct index *index, enum err err)
{
	int none = ERR_OK;
	if (!atomic_compare_exchange_strong(&index->err, &none, err))
		return;
	trace_event(index->setup.trace, err == ERR_CANCELED ? TRACE_INFO : TRACE_ERROR, 0,
		"the index stops at log index %llu: %s",
		(unsigned long long)atomic_load(&index->applied), err_text(err));
	index_propose_failed(index);
	if (index->setup.failed)
		index->setup.failed(index->setup.failed_arg, err);
}

static void publish_ring(struct index *index)
{
	struct ring_snapshot *ring = index->apply.ring;
	if (index->ring == ring)
		return;
	pthread_mutex_lock(&index->lock);
	struct ring_snapshot *old = index->ring;
	index->ring = ring_snapshot_ref(ring);
	pthread_mutex_unlock(&index->lock);
	ring_snapshot_unref(old);
}

/* After a command was published: what loops see besides rows. */
static void publish_rest(struct index *index)
{
	publish_ring(index);
	if (index->apply.access_keys_changed) {
		index->apply.access_keys_changed = false;
		atomic_fetch_add(&index->access_key_generation, 1);
	}
	if (index->apply.nodes_changed) {
		index->apply.nodes_changed = false;
		atomic_fetch_add(&index->node_generation, 1);
	}
	atomic_fetch_add_explicit(&index->commands, 1, memory_order_relaxed);
}

static uint64_t place_of(const struct group *group, size_t at)
{
	uint64_t number = at + 1 == group->count ? PLACE_LAST : at + 1;
	return group->index << PLACE_BITS | number;
}

/* Applies one command of a group. Errors: ERR_BUSY, the buffer is full; of the machine. */
static enum err apply_one(struct index *index, const struct group *group, size_t at,
	struct command_result *ret_result)
{
	struct version_id place = {group->index, row_position_make(at, 0)};
	enum err err = buffer_begin(index->buffer, place_of(group, at));
	if (err == ERR_OK)
		err = index->apply.err; /* of freezing */
	if (err != ERR_OK)
		return err;
	err = apply_command(
		&index->apply, group->commands[at].bytes, place, group->time_ms, ret_result);
	if (err != ERR_OK)
		return err;
	buffer_publish(index->buffer);
	publish_rest(index);
	return index->apply.err;
}

static void answer(const struct group_command *command, const struct command_result *result)
{
	struct proposal *proposal = command->proposal;
	if (!proposal)
		return;
	proposal->result_len = command_result_encode(result, proposal->result);
	proposal_end(proposal, ERR_OK);
}
static_assert(COMMAND_RESULT_LEN_MAX <= PROPOSAL_RESULT_LEN, "results fit");

static void barrier_end(struct index_barrier *barrier, enum err err)
{
	barrier->err = err;
	loop_post(barrier->loop, &barrier->task);
}

static void end_barriers(struct index *index)
{
	uint64_t applied = atomic_load(&index->applied);
	struct index_barrier **at = &index->barriers;
	while (*at) {
		struct index_barrier *barrier = *at;
		if (barrier->read.index > applied && index_err(index) == ERR_OK) {
			at = &barrier->next;
			continue;
		}
		*at = barrier->next;
		barrier_end(barrier, index_err(index) == ERR_OK ? ERR_OK : ERR_UNAVAILABLE);
	}
	if (!index->barriers && index->barrier_timer.is_set)
		timer_cancel(index->setup.apply, &index->barrier_timer);
}

static void end_group(struct index *index)
{
	struct group *group = index->group;
	index->group = NULL;
	if (index_err(index) == ERR_OK) {
		atomic_store(&index->time_ms, group->time_ms);
		atomic_store(&index->applied, group->index);
		state_trail_add(&index->trail, group->index, &index->apply.hash);
	}
	group_applied(index->setup.consensus, group);
	end_barriers(index);
}

/* What is in the log and not applied may be applied by a later start, or by others. */
static void give_up_group(struct index *index)
{
	for (; index->group_at < index->group->count; index->group_at++) {
		struct proposal *proposal = index->group->commands[index->group_at].proposal;
		if (proposal)
			proposal_end(proposal, ERR_UNKNOWN);
	}
	end_group(index);
}

static void advance(struct index *index)
{
	while (index->group && index_err(index) == ERR_OK &&
		index->group_at < index->group->count) {
		struct command_result result;
		enum err err = apply_one(index, index->group, index->group_at, &result);
		if (err == ERR_BUSY)
			return; /* until room() */
		if (err != ERR_OK) {
			index_fail(index, err);
			break;
		}
		answer(&index->group->commands[index->group_at++], &result);
	}
	if (!index->group)
		return;
	if (index_err(index) != ERR_OK)
		give_up_group(index);
	else
		end_group(index);
}

/* --- callbacks -------------------------------------------------------------------------------- */

static void group_committed(void *arg, struct group *group)
{
	struct index *index = arg;
	assert(index->magic == INDEX_MAGIC && !index->group);
	index->group = group;
	index->group_at = 0;
	/* The state may come from a commit, or a snapshot, that ended inside the group. */
	while (index->group_at < group->count &&
		place_of(group, index->group_at) <= buffer_published(index->buffer)) {
		assert(!group->commands[index->group_at].proposal);
		index->group_at++;
	}
	advance(index);
}

static void consensus_failed(void *arg, enum err err)
{
	index_fail(arg, err);
	advance(arg);
}

static void buffer_has_room(void *arg)
{
	advance(arg);
}

static void buffer_committed(void *arg, uint64_t sequence)
{
	struct index *index = arg;
	uint64_t complete = place_complete(sequence);
	if (index->setup.committed)
		index->setup.committed(index->setup.failed_arg, complete);
	else
		consensus_release(index->setup.consensus, complete);
	index_space_look(&index->space);
}

static void buffer_failed(void *arg, enum err err)
{
	index_fail(arg, err);
	advance(arg);
}

static void buffer_freezing(void *arg, struct buffer *buffer)
{
	struct index *index = arg;
	(void)buffer;
	apply_freezing(&index->apply);
}

/* --- opening ---------------------------------------------------------------------------------- */

static enum err replay_group(void *arg, const struct group *group)
{
	struct index *index = arg;
	uint64_t applied = buffer_published(index->buffer);
	for (size_t at = 0; at < group->count; at++) {
		struct command_result result;
		if (place_of(group, at) <= applied)
			continue;
		enum err err = apply_one(index, group, at, &result);
		if (err != ERR_OK)
			return err;
	}
	atomic_store(&index->time_ms, group->time_ms);
	atomic_store(&index->applied, group->index);
	state_trail_add(&index->trail, group->index, &index->apply.hash);
	return ERR_OK;
}

static enum err open_buffer(struct index *index)
{
	const struct index_settings *settings = &index->setup.settings;
	size_t arena_len = settings->arena_len ? settings->arena_len : BUFFER_ARENA_LEN_DEFAULT;
	size_t rows_max = settings->rows_max ? settings->rows_max : BUFFER_ROWS_DEFAULT;
	uint8_t applied_key[] = {INDEX_APPLIED_KEY};
	struct buffer_setup setup = {
		.kv = index->setup.kv,
		.writer = index->setup.apply,
		.committer = index->setup.committer,
		.applied_key = bytes_make(applied_key, sizeof applied_key),
		.arena_len = arena_len,
		.rows_max = rows_max,
		.commit_len = arena_len / COMMIT_PART,
		.commit_rows = rows_max / COMMIT_PART,
		.command_len = APPLY_COMMAND_ROWS_LEN,
		.idle_ms = settings->idle_ms ? settings->idle_ms : IDLE_MS_DEFAULT,
		.is_replaying = true,
		.room = buffer_has_room,
		.committed = buffer_committed,
		.failed = buffer_failed,
		.freezing = buffer_freezing,
		.arg = index,
	};
	return buffer_new(&setup, &index->buffer);
}

static enum err replay(struct index *index)
{
	enum err err = open_buffer(index);
	if (err != ERR_OK)
		return err;
	err = apply_init(&index->apply, index->buffer);
	if (err != ERR_OK)
		return err;
	uint64_t complete = place_complete(buffer_applied(index->buffer));
	atomic_store(&index->applied, complete);
	atomic_store(&index->time_ms, index->apply.time_ms);
	err = consensus_replay(index->setup.consensus, complete, replay_group, index);
	if (err != ERR_OK)
		return err;
	publish_ring(index);
	buffer_start(index->buffer);
	return ERR_OK;
}

static void open_space(struct index *index)
{
	struct index_space_setup setup = {
		.disk = index->setup.disk,
		.log_disk = index->setup.log_disk,
		.kv = index->setup.kv,
		.consensus = index->setup.consensus,
		.loop = index->setup.committer,
		.clock = index->setup.clock,
		.trace = index->setup.trace,
		.log_len = index->setup.settings.log_len,
		.kv_len = index->setup.settings.kv_len,
	};
	index_space_init(&index->space, &setup);
}

static void index_free(struct index *index)
{
	buffer_view_close(&index->apply.view);
	/* Whatever could not be committed is in the log, and the next start replays it. The last
	 * commit asks apply for its hash. */
	if (index->buffer)
		err_ignore(buffer_close(index->buffer));
	apply_fini(&index->apply);
	ring_snapshot_unref(index->ring);
	pthread_mutex_destroy(&index->lock);
	state_trail_fini(&index->trail);
	index->magic = 0;
	free(index);
}

enum err index_open(const struct index_setup *setup, struct index **ret_index)
{
	assert(setup->kv && setup->consensus && setup->apply && setup->committer);
	struct index *index = calloc(1, sizeof *index);
	if (!index)
		return ERR_NO_MEMORY;
	index->magic = INDEX_MAGIC;
	index->setup = *setup;
	pthread_mutex_init(&index->lock, NULL);
	state_trail_init(&index->trail);
	index_propose_init(index);
	enum err err = replay(index);
	if (err != ERR_OK) {
		index_free(index);
		return err;
	}
	open_space(index);
	*ret_index = index;
	return ERR_OK;
}

void index_start(struct index *index, void (*opened)(void *arg, enum err err), void *arg)
{
	assert(index->magic == INDEX_MAGIC && !index->opened);
	index->opened = opened;
	index->opened_arg = arg;
	struct consensus_apply apply = {
		.loop = index->setup.apply,
		.committed = group_committed,
		.failed = consensus_failed,
		.time_ms = atomic_load(&index->time_ms),
		.arg = index,
	};
	consensus_start(index->setup.consensus, &apply);
	index_session_open(index);
}

void index_close(struct index *index)
{
	assert(index->magic == INDEX_MAGIC);
	assert(!index->readers);
	index_free(index);
}

/* --- looking ---------------------------------------------------------------------------------- */

uint64_t index_session(const struct index *index)
{
	return atomic_load(&index->session);
}

uint64_t index_access_key_generation(const struct index *index)
{
	return atomic_load(&index->access_key_generation);
}

uint64_t index_node_generation(const struct index *index)
{
	return atomic_load(&index->node_generation);
}

struct ring_snapshot *index_ring(struct index *index)
{
	pthread_mutex_lock(&index->lock);
	struct ring_snapshot *ring = index->ring ? ring_snapshot_ref(index->ring) : NULL;
	pthread_mutex_unlock(&index->lock);
	return ring;
}

void index_status(struct index *index, struct index_status *ret_status)
{
	struct consensus_info info;
	consensus_info(index->setup.consensus, &info);
	pthread_mutex_lock(&index->lock);
	size_t proposals = index->waiting.count + index->in_flight.count + index->orphans.count;
	pthread_mutex_unlock(&index->lock);
	*ret_status = (struct index_status){
		.err = index_err(index),
		.applied = atomic_load(&index->applied),
		.committed = place_complete(buffer_applied(index->buffer)),
		.session = atomic_load(&index->session),
		.kv_used = kv_used(index->setup.kv),
		.log_count = info.commit_index - info.released_index,
		.buffer_rows = buffer_row_count(index->buffer),
		.proposals = proposals,
		.commands = atomic_load(&index->commands),
		.time_ms = atomic_load(&index->time_ms),
		.is_space_low = atomic_load(&index->space.is_low),
		.space_free = atomic_load(&index->space.free),
		.space_wanted = atomic_load(&index->space.wanted),
	};
}

struct state_mark index_state_mark(struct index *index)
{
	return state_trail_last(&index->trail);
}

bool index_state_find(struct index *index, uint64_t log_index, uint64_t *ret_digest)
{
	return state_trail_find(&index->trail, log_index, ret_digest);
}

bool index_state_compare(struct index *index, struct state_peer *peer)
{
	return state_peer_compare(peer, &index->trail);
}

void index_state_hash(struct index *index, struct index_state_hash *ret_hash)
{
	ret_hash->applied = place_complete(buffer_published(index->buffer));
	memcpy(ret_hash->tables, index->apply.hash.tables, sizeof ret_hash->tables);
}

/* --- linearizable reads ----------------------------------------------------------------------- */

static void barrier_run(struct task *task)
{
	struct index_barrier *barrier = CONTAINER_OF(task, struct index_barrier, task);
	barrier->done(barrier, barrier->err);
}

/* Who was cut off after the leader answered may never see what it named. */
static void barrier_timer_fired(struct timer *timer)
{
	struct index *index = CONTAINER_OF(timer, struct index, barrier_timer);
	uint64_t now_ms = loop_now_ms(index->setup.apply);
	struct index_barrier **at = &index->barriers;
	while (*at) {
		struct index_barrier *barrier = *at;
		if (barrier->read.due_ms > now_ms) {
			at = &barrier->next;
			continue;
		}
		*at = barrier->next;
		barrier_end(barrier, ERR_UNAVAILABLE);
	}
	if (index->barriers)
		timer_set(index->setup.apply, timer, BARRIER_TICK_MS);
}

static void read_index_done(struct read_index *read)
{
	struct index_barrier *barrier = CONTAINER_OF(read, struct index_barrier, read);
	struct index *index = barrier->index;
	if (read->err != ERR_OK) {
		barrier_end(barrier, read->err);
		return;
	}
	read->due_ms = loop_now_ms(index->setup.apply) + INDEX_PATIENCE_MS;
	barrier->next = index->barriers;
	index->barriers = barrier;
	end_barriers(index);
	index->barrier_timer.fire = barrier_timer_fired;
	if (index->barriers && !index->barrier_timer.is_set)
		timer_set(index->setup.apply, &index->barrier_timer, BARRIER_TICK_MS);
}

enum err index_read_barrier(struct index *index, struct index_barrier *barrier)
{
	assert(index->magic == INDEX_MAGIC && barrier->loop && barrier->done);
	if (index->setup.settings.is_alone && index_err(index) == ERR_OK)
		return ERR_OK; /* whatever was answered was applied here (I2) */
	barrier->index = index;
	barrier->task = (struct task){.run = barrier_run};
	barrier->read = (struct read_index){.loop = index->setup.apply, .done = read_index_done};
	consensus_read_index(index->setup.consensus, &barrier->read);
	return ERR_BUSY;
}
