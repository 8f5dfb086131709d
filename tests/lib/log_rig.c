/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/log_rig.h"

#include <stdlib.h>

#include "tests/lib/test.h"

enum {
	BODY_LEN_MAX = 20000,
	BIG_BODY_LEN = 40000,
};

/* --- what a beginning of the operations comes to ---------------------------------------------- */

void log_rig_make_state(const struct log_rig *rig, size_t count, struct log_rig_state *state)
{
	*state = (struct log_rig_state){.base = 1, .next_index = 1};
	for (size_t i = 0; i < count; i++) {
		const struct log_rig_op *op = rig->ops[i];
		switch (op->type) {
		case LOG_ENTRY:
			ck_assert_uint_eq(op->index, state->next_index);
			state->entries[op->index - state->base] = op;
			state->next_index++;
			state->last_term = op->term;
			break;
		case LOG_VOTE:
			state->term = op->term;
			state->vote = op->index;
			break;
		case LOG_TRUNCATE:
			state->next_index = op->index;
			state->last_term = op->term;
			break;
		default:
			state->base = state->next_index = op->index + 1;
			state->last_term = op->term;
			break;
		}
	}
}

enum err log_rig_compare(void *arg, const struct log_record *record)
{
	struct log_rig_reading *reading = arg;
	const struct log_rig_op *op =
		reading->state->entries[reading->index - reading->state->base];
	if (record->index != reading->index || record->term != op->term)
		return ERR_CONFLICT;
	if (record->body.len != op->len || memcmp(record->body.data, op->body, op->len) != 0)
		return ERR_CONFLICT;
	reading->index++;
	return ERR_OK;
}

static bool is_state(struct log_rig *rig, const struct log_rig_state *state)
{
	struct log *log = rig->log;
	if (log_end_index(log) != state->next_index || log_term(log) != state->term ||
		log_vote(log) != state->vote || log_last_term(log) != state->last_term)
		return false;
	uint64_t first = log_first_index(log);
	uint64_t needed = rig->released + 1 > state->base ? rig->released + 1 : state->base;
	if (first < state->base || (first > needed && first < state->next_index) ||
		(first > state->next_index))
		return false;
	if (first == state->next_index && needed < state->next_index)
		return false;
	struct log_rig_reading reading = {state, first};
	return log_read(log, first, state->next_index, log_rig_compare, &reading) == ERR_OK &&
		reading.index == state->next_index;
}

/* Finds the beginning that the log holds, and forgets the operations behind it. */
void log_rig_ck_prefix(struct log_rig *rig)
{
	static struct log_rig_state state;
	size_t done = 0;
	for (size_t i = 0; i < rig->op_count; i++)
		if (rig->ops[i]->is_done)
			done = i + 1;
	for (size_t count = rig->op_count + 1; count-- > done;) {
		log_rig_make_state(rig, count, &state);
		if (!is_state(rig, &state))
			continue;
		while (rig->op_count > count) {
			struct log_rig_op *op = rig->ops[--rig->op_count];
			free(op->body);
			free(op);
		}
		for (size_t i = 0; i < count; i++)
			rig->ops[i]->is_ended = rig->ops[i]->is_done = true;
		return;
	}
	ck_abort_msg("seed %lu: entries to %lu, term %lu: no beginning of %zu operations, %zu done",
		(unsigned long)rig->seed, (unsigned long)log_end_index(rig->log),
		(unsigned long)log_term(rig->log), rig->op_count, done);
}

/* --- the rig ---------------------------------------------------------------------------------- */

static void failed(void *arg, enum err err)
{
	struct log_rig *rig = arg;
	ck_assert_int_ne(err, ERR_OK);
	rig->failed_count++;
}

void log_rig_open(struct log_rig *rig, uint64_t seed)
{
	*rig = (struct log_rig){.seed = seed, .random = seed};
	rig->sim = sim_new(seed);
	rig->node = sim_node_new(rig->sim, "node");
	rig->loop = sim_node_loop(rig->node);
	rig->sim_disk = sim_disk_new(rig->node, "disk", 0);
	rig->setup = (struct log_setup){
		.disk = sim_disk_base(rig->sim_disk),
		.state_disk = sim_disk_base(rig->sim_disk),
		.node = {{1, 2, 3}},
		.loop = rig->loop,
		.worker = sim_node_worker(rig->node),
		.random = sim_node_random(rig->node),
		.trace = sim_node_trace(rig->node),
		.segment_len = LOG_RIG_SEGMENT_LEN,
		.failed = failed,
		.arg = rig,
	};
}

bool log_rig_is_idle(void *arg)
{
	struct log_rig *rig = arg;
	return log_is_idle(rig->log);
}

void log_rig_close_log(struct log_rig *rig)
{
	ck_assert(sim_run_until(rig->sim, log_rig_is_idle, rig, 600000) || log_rig_is_idle(rig));
	log_close(rig->log);
	rig->log = NULL;
}

/* The process ends, and with it the power if is_crash. */
void log_rig_stop(struct log_rig *rig, bool is_crash)
{
	sim_node_kill(rig->node);
	if (is_crash)
		sim_disk_crash(rig->sim_disk);
	sim_disk_heal(rig->sim_disk);
	sim_bury(rig->log);
	rig->log = NULL;
}

void log_rig_close(struct log_rig *rig)
{
	if (rig->log)
		log_rig_close_log(rig);
	sim_node_kill(rig->node);
	sim_disk_free(rig->sim_disk);
	sim_free(rig->sim);
	for (size_t i = 0; i < rig->op_count; i++) {
		free(rig->ops[i]->body);
		free(rig->ops[i]);
	}
}

/* --- operations ------------------------------------------------------------------------------- */

static void op_done(struct log_op *log_op, enum err err)
{
	struct log_rig_op *op = CONTAINER_OF(log_op, struct log_rig_op, op);
	ck_assert(!op->is_ended);
	op->is_ended = true;
	op->is_done = err == ERR_OK;
	/* (L2): what is done is a beginning. */
	for (size_t i = 0; op->is_done && i < op->rig->op_count && op->rig->ops[i] != op; i++)
		ck_assert(op->rig->ops[i]->is_done);
}

static void make_body(struct log_rig_op *op, uint64_t *random)
{
	static const size_t lens[] = {0, 1, 8, 100, 3951, 3952, 4000, 4096, 8000, BODY_LEN_MAX};
	uint64_t choice = test_random(random) % 20;
	op->len = choice < ARRAY_COUNT(lens) ? lens[choice] : test_random(random) % 600;
	if (op->rig->is_big)
		op->len = BIG_BODY_LEN;
	op->body = malloc(op->len + 1);
	test_random_fill(random, op->body, op->len);
	size_t half = op->len / 2;
	op->parts[0] = bytes_make(op->body, half);
	op->parts[1] = bytes_make(op->body + half, op->len - half);
}

void log_rig_give(void *arg)
{
	struct log_rig *rig = arg;
	uint64_t choice = test_random(&rig->random) % 100;
	uint64_t next = log_next_index(rig->log);
	struct log_rig_op *op = calloc(1, sizeof *op);
	ck_assert_uint_lt(rig->op_count, LOG_RIG_OPS_MAX);
	rig->ops[rig->op_count++] = op;
	op->rig = rig;
	op->op.done = op_done;
	op->term = rig->term;
	if (choice < 85 || next == 1 || rig->is_plain) {
		op->type = LOG_ENTRY;
		op->index = next;
		make_body(op, &rig->random);
		log_append(rig->log, &op->op, next, op->term, op->parts, 2);
	} else if (choice < 92) {
		op->type = LOG_VOTE;
		op->index = test_random(&rig->random) % 5;
		op->term = rig->term += test_random(&rig->random) % 3;
		log_set_vote(rig->log, &op->op, op->term, op->index);
	} else if (choice < 99) {
		/* Never what may have been released. */
		op->type = LOG_TRUNCATE;
		uint64_t low = rig->released < rig->low ? rig->low : rig->released + 1;
		op->index = next <= low ? next : low + test_random(&rig->random) % (next - low + 1);
		log_truncate(rig->log, &op->op, op->index, op->term);
	} else {
		op->type = LOG_SNAPSHOT;
		op->index = next + test_random(&rig->random) % 10;
		rig->low = op->index + 1;
		log_mark_snapshot(rig->log, &op->op, op->index, op->term);
	}
	ck_assert(!op->is_ended);
}

static void release_some(void *arg)
{
	struct log_rig *rig = arg;
	uint64_t end = log_end_index(rig->log);
	if (end - 1 <= rig->released)
		return;
	/* Only what no later truncation of ours can reach. */
	uint64_t count = end - 1 - rig->released;
	rig->released += rig->is_big ? count : test_random(&rig->random) % (count + 1);
	log_release(rig->log, rig->released);
}

bool log_rig_has_waiting(const struct log_rig *rig)
{
	return rig->op_count > 0 && !rig->ops[rig->op_count - 1]->is_ended;
}

bool log_rig_all_ended(void *arg)
{
	return !log_rig_has_waiting(arg);
}

void log_rig_give_some(struct log_rig *rig, int count, bool releases)
{
	for (int i = 0; i < count && rig->failed_count == 0; i++) {
		sim_call(rig->sim, rig->loop, log_rig_give, rig);
		uint64_t choice = test_random(&rig->random) % 10;
		if (choice < 3)
			sim_run_until(rig->sim, log_rig_all_ended, rig, 60000);
		else if (choice < 5)
			sim_step(rig->sim);
		bool is_time = rig->is_big || test_random(&rig->random) % 8 == 0;
		if (releases && is_time && !log_rig_has_waiting(rig))
			sim_call(rig->sim, rig->loop, release_some, rig);
	}
}
