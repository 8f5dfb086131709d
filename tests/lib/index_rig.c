/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/index_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "storage/kv_lmdb.h"
#include "tests/lib/test.h"

/* --- the loop --------------------------------------------------------------------------------- */

static void loop_post_task(struct loop *loop, struct task *task)
{
	struct rig_loop *rig_loop = CONTAINER_OF(loop, struct rig_loop, loop);
	task->next = NULL;
	*rig_loop->last = task;
	rig_loop->last = &task->next;
}

static void loop_timer_cancel(struct loop *loop, struct timer *timer)
{
	struct rig_loop *own = CONTAINER_OF(loop, struct rig_loop, loop);
	struct timer **at = &own->timers;
	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = timer->next;
	timer->is_set = false;
}

static void loop_timer_set(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
	struct rig_loop *own = CONTAINER_OF(loop, struct rig_loop, loop);
	loop_timer_cancel(loop, timer);
	timer->due_ms = own->now_ms + delay_ms;
	timer->is_set = true;
	timer->next = own->timers;
	own->timers = timer;
}

static uint64_t loop_now(struct loop *loop)
{
	return CONTAINER_OF(loop, struct rig_loop, loop)->now_ms;
}

static bool loop_is_here(struct loop *loop)
{
	(void)loop;
	return true;
}

static const struct loop_ops rig_loop_ops = {
	loop_post_task, loop_timer_set, loop_timer_cancel, loop_now, loop_is_here};

/* Time stands still but for the log's. */
static uint64_t clock_mono(struct clock *clock)
{
	(void)clock;
	return 0;
}

static int64_t clock_wall(struct clock *clock)
{
	const struct rig *rig = CONTAINER_OF(clock, struct rig, clock);
	return (int64_t)rig->log.time_ms;
}

static const struct clock_ops rig_clock_ops = {clock_mono, clock_wall};

void rig_run(struct rig *rig)
{
	struct rig_loop *loop = &rig->loop;
	while (loop->first) {
		struct task *task = loop->first;
		loop->first = task->next;
		if (!loop->first)
			loop->last = &loop->first;
		task->run(task);
	}
}

void rig_pass(struct rig *rig, uint64_t ms)
{
	struct rig_loop *loop = &rig->loop;
	for (uint64_t end_ms = loop->now_ms + ms; loop->now_ms < end_ms; loop->now_ms++) {
		struct timer *timer = loop->timers;
		while (timer && timer->due_ms > loop->now_ms)
			timer = timer->next;
		if (!timer)
			continue;
		loop_timer_cancel(&loop->loop, timer);
		timer->fire(timer);
		rig_run(rig);
	}
}

/* --- the log ---------------------------------------------------------------------------------- */

struct rig_entry {
	uint64_t time_ms;
	size_t count;
	struct bytes *commands; /* owned, and what they point to */
};

static struct rig_log *log_of(struct consensus *consensus)
{
	return CONTAINER_OF(consensus, struct rig_log, consensus);
}

static void post_log(struct rig_log *log)
{
	if (log->is_posted || log->is_applying || !log->first)
		return;
	log->is_posted = true;
	loop_post(&log->loop->loop, &log->task);
}

static void log_run(struct task *task)
{
	struct rig_log *log = CONTAINER_OF(task, struct rig_log, task);
	log->is_posted = false;
	struct rig_entry entry = {.time_ms = log->time_ms};
	entry.commands = calloc(GROUP_COMMANDS_MAX, sizeof *entry.commands);
	while (log->first && entry.count < GROUP_COMMANDS_MAX) {
		struct proposal *proposal = log->first;
		log->first = proposal->next;
		uint8_t *copy = malloc(proposal->command.len);
		memcpy(copy, proposal->command.data, proposal->command.len);
		entry.commands[entry.count] = bytes_make(copy, proposal->command.len);
		log->commands[entry.count] = (struct group_command){
			.bytes = entry.commands[entry.count], .proposal = proposal};
		entry.count++;
	}
	if (!log->first)
		log->last = &log->first;
	if (log->count == log->cap) {
		log->cap = log->cap ? 2 * log->cap : 64;
		log->entries = realloc(log->entries, log->cap * sizeof *log->entries);
	}
	log->entries[log->count++] = entry;
	log->group = (struct group){
		.index = log->count,
		.term = 1,
		.time_ms = entry.time_ms,
		.count = entry.count,
		.commands = log->commands,
	};
	log->is_applying = true;
	log->apply.committed(log->apply.arg, &log->group);
}

static enum err log_replay(struct consensus *consensus, uint64_t after,
	enum err (*found)(void *arg, const struct group *group), void *arg)
{
	struct rig_log *log = log_of(consensus);
	for (size_t i = after; i < log->count; i++) {
		struct rig_entry *entry = &log->entries[i];
		for (size_t j = 0; j < entry->count; j++)
			log->commands[j] = (struct group_command){.bytes = entry->commands[j]};
		log->group = (struct group){
			.index = i + 1,
			.term = 1,
			.time_ms = entry->time_ms,
			.count = entry->count,
			.commands = log->commands,
		};
		enum err err = found(arg, &log->group);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

static void log_start(struct consensus *consensus, const struct consensus_apply *apply)
{
	log_of(consensus)->apply = *apply;
}

static void log_propose(struct consensus *consensus, struct proposal *proposal)
{
	struct rig_log *log = log_of(consensus);
	proposal->next = NULL;
	*log->last = proposal;
	log->last = &proposal->next;
	post_log(log);
}

static void log_group_applied(struct consensus *consensus, struct group *group)
{
	struct rig_log *log = log_of(consensus);
	ck_assert_ptr_eq(group, &log->group);
	log->is_applying = false;
	post_log(log);
}

static void read_index_run(struct task *task)
{
	struct read_index *read = CONTAINER_OF(task, struct read_index, task);
	read->done(read);
}

static void log_read_index(struct consensus *consensus, struct read_index *read)
{
	read->err = ERR_OK;
	read->index = log_of(consensus)->count + log_of(consensus)->ahead;
	read->task = (struct task){.run = read_index_run};
	loop_post(read->loop, &read->task);
}

static void log_release(struct consensus *consensus, uint64_t index)
{
	ck_assert_uint_le(index, log_of(consensus)->count);
}

static void log_info(struct consensus *consensus, struct consensus_info *ret_info)
{
	*ret_info = (struct consensus_info){.commit_index = log_of(consensus)->count};
}

static const struct consensus_ops log_ops = {
	.replay = log_replay,
	.start = log_start,
	.propose = log_propose,
	.group_applied = log_group_applied,
	.read_index = log_read_index,
	.release = log_release,
	.info = log_info,
};

static void log_free(struct rig_log *log)
{
	for (size_t i = 0; i < log->count; i++) {
		for (size_t j = 0; j < log->entries[i].count; j++)
			free((void *)log->entries[i].commands[j].data);
		free(log->entries[i].commands);
	}
	free(log->entries);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void random_fill_rig(struct random_source *random, void *buf, size_t len)
{
	struct rig *rig = CONTAINER_OF(random, struct rig, random);
	test_random_fill(&rig->seed, buf, len);
}

static const struct random_ops rig_random_ops = {random_fill_rig};

static void trace_nothing(
	struct trace *trace, enum trace_level level, uint64_t request_id, const char *text)
{
	(void)trace;
	(void)level;
	(void)request_id;
	(void)text;
}

static const struct trace_ops rig_trace_ops = {trace_nothing};

static void index_failed(void *arg, enum err err)
{
	struct rig *rig = arg;
	rig->failed = err;
}

static void index_opened(void *arg, enum err err)
{
	(void)arg;
	ck_assert_err(err, ERR_OK);
}

static void open_index(struct rig *rig)
{
	struct index_setup setup = {
		.kv = rig->kv,
		.consensus = &rig->log.consensus,
		.apply = &rig->loop.loop,
		.committer = &rig->loop.loop,
		.clock = &rig->clock,
		.random = &rig->random,
		.trace = &rig->trace,
		.node = {"a node's id"},
		.settings = rig->settings,
		.failed = index_failed,
		.failed_arg = rig,
	};
	ck_assert_ok(index_open(&setup, &rig->index));
	index_start(rig->index, index_opened, rig);
	rig_run(rig);
	ck_assert_ok(index_reader_open(rig->index, &rig->reader));
}

static void open_kv(struct rig *rig)
{
	char path[PATH_MAX + 16];
	snprintf(path, sizeof path, "%s/rows", rig->dir);
	ck_assert_ok(kv_lmdb_open(path, UINT64_C(1) << 30, &rig->kv));
}

void rig_open_with(struct rig *rig, const struct index_settings *settings)
{
	*rig = (struct rig){
		.loop.loop.ops = &rig_loop_ops,
		.log.consensus.ops = &log_ops,
		.log.task.run = log_run,
		.log.time_ms = 1000000,
		.clock.ops = &rig_clock_ops,
		.random.ops = &rig_random_ops,
		.trace = {&rig_trace_ops, TRACE_ERROR},
		.seed = 1,
		.settings = *settings,
	};
	rig->loop.last = &rig->loop.first;
	rig->log.loop = &rig->loop;
	rig->log.last = &rig->log.first;
	rig->bytes = malloc(COMMAND_LEN_MAX);
	ck_assert_ptr_nonnull(rig->bytes);
	test_dir_make(rig->dir);
	open_kv(rig);
	open_index(rig);
}

void rig_open(struct rig *rig)
{
	rig_open_with(rig, &(struct index_settings){.is_alone = true});
}

static void close_index(struct rig *rig)
{
	index_reader_close(rig->reader);
	index_close(rig->index);
	rig->loop.timers = NULL;
	kv_close(rig->kv);
	rig_run(rig);
}

void rig_close(struct rig *rig)
{
	close_index(rig);
	test_dir_remove(rig->dir);
	log_free(&rig->log);
	free(rig->bytes);
}

void rig_reopen(struct rig *rig, bool forgets_rows)
{
	close_index(rig);
	if (forgets_rows) {
		test_dir_remove(rig->dir);
		test_dir_make(rig->dir);
	}
	open_kv(rig);
	open_index(rig);
}

struct one_proposal {
	struct index_proposal proposal;
	bool is_done;
};

static void one_done(struct index_proposal *proposal)
{
	CONTAINER_OF(proposal, struct one_proposal, proposal)->is_done = true;
}

enum err rig_try(struct rig *rig, const struct command *command, struct command_result *ret_result)
{
	struct one_proposal one = {
		.proposal = {.loop = &rig->loop.loop, .bytes = rig->bytes, .done = one_done}};
	ck_assert_ok(command_encode(command, rig->bytes, COMMAND_LEN_MAX, &one.proposal.len));
	index_propose(rig->index, &one.proposal);
	rig_run(rig);
	ck_assert(one.is_done);
	rig->log.time_ms += 1000;
	*ret_result = one.proposal.result;
	return one.proposal.err;
}

struct command_result rig_propose(struct rig *rig, const struct command *command)
{
	struct command_result result;
	ck_assert_ok(rig_try(rig, command, &result));
	return result;
}

enum command_code rig_code(struct rig *rig, const struct command *command)
{
	return rig_propose(rig, command).code;
}

void rig_add_drives(struct rig *rig, unsigned count, struct ring_profile profile)
{
	struct ring_drive_info drives[64] = {0};
	ck_assert_uint_le(count, ARRAY_COUNT(drives));
	for (unsigned i = 0; i < count; i++) {
		struct command add = {.type = COMMAND_DRIVE_ADD};
		add.drive_add.drive.bytes[0] = i + 1;
		add.drive_add.node.bytes[0] = i + 1;
		add.drive_add.weight = 1000;
		struct command_result result = rig_propose(rig, &add);
		ck_assert_uint_eq(result.code, COMMAND_OK);
		drives[i] = (struct ring_drive_info){
			.number = result.id, .node = add.drive_add.node, .weight = 1000};
	}
	static uint8_t slots[RING_SLOTS_DEFAULT * 2 * RING_WIDTH_MAX];
	static uint8_t bytes[sizeof slots + 100];
	struct ring ring;
	struct command set = {.type = COMMAND_RING_SET};
	ck_assert_ok(ring_plan_initial(
		drives, count, profile, RING_DOMAIN_NODE, RING_SLOTS_DEFAULT, slots, &ring));
	set.ring_set.ring.data = bytes;
	ck_assert_ok(ring_encode(&ring, bytes, sizeof bytes, &set.ring_set.ring.len));
	ck_assert_uint_eq(rig_code(rig, &set), COMMAND_OK);
}

size_t rig_collect(struct rig *rig)
{
	for (size_t steps = 0;; steps++) {
		struct index_garbage garbage;
		struct command command = {.type = COMMAND_GARBAGE_DONE};
		ck_assert_ok(index_report(rig->index));
		rig_run(rig);
		ck_assert_ok(index_view_begin(rig->reader));
		enum err err = index_garbage_next(rig->reader, 0, 0, 0, &garbage);
		index_view_end(rig->reader);
		if (err == ERR_NOT_FOUND)
			return steps;
		ck_assert_ok(err);
		command.garbage_done.log_index = garbage.log_index;
		command.garbage_done.kind = garbage.kind;
		command.garbage_done.id = garbage.id;
		ck_assert_uint_eq(rig_code(rig, &command), COMMAND_OK);
	}
}
