/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/log.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/sim.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

/* The log on a simulated disk. The model is the list of all operations ever given: what a
 * log_open() finds must be the effect of a beginning of it that has at least all that was done (L1,
 * L3). */
enum {
	LIVES = 6,
	OPS_MAX = 600,
	SEGMENT_LEN = 64 * 1024,
	BODY_LEN_MAX = 20000,
	BIG_BODY_LEN = 40000,
};

/* --seed=N runs that one; SEEDS in the environment, how many from 1 on. */
static uint64_t seed_first = 1, seed_count = 30;

struct test_op {
	struct log_op op; /* first, so that it is found */
	struct rig *rig;
	uint32_t type;
	uint64_t index, term;
	uint64_t seed;
	size_t len;
	uint8_t *body;
	struct bytes parts[2];
	bool is_ended, is_done;
};

struct rig {
	struct sim *sim;
	struct sim_node *node;
	struct loop *loop;
	struct sim_disk *sim_disk;
	struct log_setup setup;
	struct log *log;
	uint64_t seed, random;
	struct test_op *ops[OPS_MAX];
	size_t op_count;
	size_t ended_count;
	uint64_t released, term;
	uint64_t low; /* nothing below is truncated */
	int failed_count;
	bool is_plain; /* entries only */
	bool is_big; /* each entry fills a segment, and is released at once */
};

/* --- what a beginning of the operations comes to ---------------------------------------------------- */

struct state {
	const struct test_op *entries[OPS_MAX + 1]; /* by index - base */
	uint64_t base; /* index of entries[0] */
	uint64_t next_index, last_term, term, vote;
};

static void make_state(const struct rig *rig, size_t count, struct state *state)
{
	*state = (struct state){.base = 1, .next_index = 1};
	for (size_t i = 0; i < count; i++) {
		const struct test_op *op = rig->ops[i];
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

struct reading {
	const struct state *state;
	uint64_t index;
};

static enum err compare_entry(void *arg, const struct log_record *record)
{
	struct reading *reading = arg;
	const struct test_op *op = reading->state->entries[reading->index - reading->state->base];
	if (record->index != reading->index || record->term != op->term)
		return ERR_CONFLICT;
	if (record->body.len != op->len || memcmp(record->body.data, op->body, op->len) != 0)
		return ERR_CONFLICT;
	reading->index++;
	return ERR_OK;
}

static bool is_state(struct rig *rig, const struct state *state)
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
	struct reading reading = {state, first};
	return log_read(log, first, state->next_index, compare_entry, &reading) == ERR_OK &&
		reading.index == state->next_index;
}

/* Finds the beginning that the log holds, and forgets the operations behind it. */
static void ck_assert_prefix(struct rig *rig)
{
	static struct state state;
	size_t done = 0;
	for (size_t i = 0; i < rig->op_count; i++)
		if (rig->ops[i]->is_done)
			done = i + 1;
	for (size_t count = rig->op_count + 1; count-- > done;) {
		make_state(rig, count, &state);
		if (!is_state(rig, &state))
			continue;
		while (rig->op_count > count) {
			struct test_op *op = rig->ops[--rig->op_count];
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

/* --- the rig --------------------------------------------------------------------------------------- */

static void failed(void *arg, enum err err)
{
	struct rig *rig = arg;
	ck_assert_int_ne(err, ERR_OK);
	rig->failed_count++;
}

static void rig_open(struct rig *rig, uint64_t seed)
{
	*rig = (struct rig){.seed = seed, .random = seed};
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
		.segment_len = SEGMENT_LEN,
		.failed = failed,
		.arg = rig,
	};
}

static bool is_idle(void *arg)
{
	struct rig *rig = arg;
	return log_is_idle(rig->log);
}

static void close_log(struct rig *rig)
{
	ck_assert(sim_run_until(rig->sim, is_idle, rig, 600000) || is_idle(rig));
	log_close(rig->log);
	rig->log = NULL;
}

/* The process ends, and with it the power if is_crash. */
static void stop(struct rig *rig, bool is_crash)
{
	sim_node_kill(rig->node);
	if (is_crash)
		sim_disk_crash(rig->sim_disk);
	sim_disk_heal(rig->sim_disk);
	sim_bury(rig->log);
	rig->log = NULL;
}

static void rig_close(struct rig *rig)
{
	if (rig->log)
		close_log(rig);
	sim_node_kill(rig->node);
	sim_disk_free(rig->sim_disk);
	sim_free(rig->sim);
	for (size_t i = 0; i < rig->op_count; i++) {
		free(rig->ops[i]->body);
		free(rig->ops[i]);
	}
}

/* --- operations ------------------------------------------------------------------------------------ */

static void op_done(struct log_op *log_op, enum err err)
{
	struct test_op *op = CONTAINER_OF(log_op, struct test_op, op);
	ck_assert(!op->is_ended);
	op->is_ended = true;
	op->is_done = err == ERR_OK;
	op->rig->ended_count++;
	/* (L2): what is done is a beginning. */
	for (size_t i = 0; op->is_done && i < op->rig->op_count && op->rig->ops[i] != op; i++)
		ck_assert(op->rig->ops[i]->is_done);
}

static void make_body(struct test_op *op, uint64_t *random)
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

static void give_op(void *arg)
{
	struct rig *rig = arg;
	uint64_t choice = test_random(&rig->random) % 100;
	uint64_t next = log_next_index(rig->log);
	struct test_op *op = calloc(1, sizeof *op);
	ck_assert_uint_lt(rig->op_count, OPS_MAX);
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
	struct rig *rig = arg;
	uint64_t end = log_end_index(rig->log);
	if (end - 1 <= rig->released)
		return;
	/* Only what no later truncation of ours can reach. */
	uint64_t count = end - 1 - rig->released;
	rig->released += rig->is_big ? count : test_random(&rig->random) % (count + 1);
	log_release(rig->log, rig->released);
}

static bool has_waiting(const struct rig *rig)
{
	return rig->op_count > 0 && !rig->ops[rig->op_count - 1]->is_ended;
}

static bool all_ended(void *arg)
{
	return !has_waiting(arg);
}

static void give_some(struct rig *rig, int count, bool releases)
{
	for (int i = 0; i < count && rig->failed_count == 0; i++) {
		sim_call(rig->sim, rig->loop, give_op, rig);
		uint64_t choice = test_random(&rig->random) % 10;
		if (choice < 3)
			sim_run_until(rig->sim, all_ended, rig, 60000);
		else if (choice < 5)
			sim_step(rig->sim);
		bool is_time = rig->is_big || test_random(&rig->random) % 8 == 0;
		if (releases && is_time && !has_waiting(rig))
			sim_call(rig->sim, rig->loop, release_some, rig);
	}
}

/* --- crashes and errors ---------------------------------------------------------------------------- */

static uint64_t writes, ops, crashes_in_flight;

static void live(struct rig *rig, int life)
{
	bool fails = test_random(&rig->random) % 3 == 0;
	if (fails)
		sim_disk_fail_nth(
			rig->sim_disk, SIM_WRITE, 1 + test_random(&rig->random) % 30, SIM_EIO);
	give_some(rig, 1 + test_random(&rig->random) % 60, true);
	struct log_stats stats;
	log_stats(rig->log, &stats);
	writes += stats.writes;
	ops += stats.ops;
	if (has_waiting(rig))
		crashes_in_flight++;
	if (rig->failed_count == 0 && test_random(&rig->random) % 4 == 0)
		close_log(rig);
	else
		stop(rig, life % 2 == 0 || rig->failed_count == 0);
	rig->failed_count = 0;
	sim_disk_heal(rig->sim_disk);
}

START_TEST(what_was_done_is_found_after_any_crash_or_error)
{
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		rig.is_big = seed % 4 == 0;
		ck_assert_ok(log_create(&rig.setup));
		for (int i = 0; i < LIVES; i++) {
			enum err err = log_open(&rig.setup, NULL, NULL, &rig.log);
			ck_assert_msg(
				err == ERR_OK, "seed %d, life %d: %s", (int)seed, i, err_name(err));
			ck_assert_prefix(&rig);
			live(&rig, i);
		}
		rig_close(&rig);
	}
	/* Groups: what waits goes together. */
	if (seed_count > 1) {
		ck_assert_uint_gt(crashes_in_flight, seed_count);
		ck_assert_uint_gt(ops, writes + writes / 4);
	}
	printf("log_ops_per_write %.2f\n", (double)ops / writes);
}
END_TEST

START_TEST(a_disk_that_is_always_busy_with_errors_loses_nothing_that_was_done)
{
	for (uint64_t n = 1;; n++) {
		struct rig rig;
		rig_open(&rig, n);
		uint64_t calls = 0;
		sim_disk_fail_nth(rig.sim_disk, SIM_ANY_CALL, n, _i == 0 ? SIM_EIO : SIM_FULL);
		bool is_created = log_create(&rig.setup) == ERR_OK;
		if (is_created && log_open(&rig.setup, NULL, NULL, &rig.log) == ERR_OK) {
			give_some(&rig, 15, true);
			if (rig.failed_count == 0)
				sim_run_until(rig.sim, all_ended, &rig, 60000);
			stop(&rig, true);
		}
		const struct sim_disk_stats *stats = sim_disk_stats(rig.sim_disk);
		for (int i = 0; i < SIM_CALLS; i++)
			calls += stats->calls[i];
		bool was_hit = stats->faults[_i == 0 ? SIM_EIO : SIM_FULL] > 0;
		sim_disk_heal(rig.sim_disk);
		rig.failed_count = 0;
		if (!is_created) {
			/* The state file may be there nevertheless. */
			enum err err = log_create(&rig.setup);
			ck_assert(err == ERR_OK || err == ERR_EXISTS);
		}
		ck_assert_ok(log_open(&rig.setup, NULL, NULL, &rig.log));
		ck_assert_prefix(&rig);
		give_some(&rig, 5, false);
		rig_close(&rig);
		if (!was_hit && n > calls)
			break;
	}
}
END_TEST

/* --- damage: what no crash does --------------------------------------------------------------------- */

/* Whatever a lying disk did to one write, or rot to the files, is told, or made no difference. */
static void ck_assert_told_or_exact(struct rig *rig, uint64_t *told)
{
	enum err err = log_open(&rig->setup, NULL, NULL, &rig->log);
	if (err == ERR_OK) {
		size_t count = rig->op_count;
		ck_assert_prefix(rig);
		ck_assert_uint_eq(rig->op_count, count);
		return;
	}
	ck_assert_msg(err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_NOT_FOUND ||
			err == ERR_FOREIGN,
		"%s", err_name(err));
	(*told)++;
}

/* Lets the disk lie about one write, and at least two frames follow. */
static uint64_t lie_once(struct rig *rig, enum sim_fault fault)
{
	const struct sim_disk_stats *stats = sim_disk_stats(rig->sim_disk);
	give_some(rig, 1 + test_random(&rig->random) % 60, false);
	sim_disk_fail_nth(rig->sim_disk, SIM_WRITE, 1 + test_random(&rig->random) % 5, fault);
	for (int i = 0; i < 50 && stats->faults[fault] == 0; i++)
		give_some(rig, 1, false);
	for (int i = 0; i < 3; i++) {
		give_some(rig, 1, false);
		ck_assert(sim_run_until(rig->sim, all_ended, rig, 60000) || all_ended(rig));
	}
	sim_disk_heal(rig->sim_disk);
	return stats->faults[fault];
}

START_TEST(a_write_that_the_disk_lied_about_is_told_and_never_cut_off)
{
	static const enum sim_fault faults[] = {SIM_LOST, SIM_TORN, SIM_MISDIRECTED};
	uint64_t told = 0, injected = 0;
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		ck_assert_ok(log_create(&rig.setup));
		ck_assert_ok(log_open(&rig.setup, NULL, NULL, &rig.log));
		injected += lie_once(&rig, faults[seed % ARRAY_COUNT(faults)]);
		/* What a state file that is up to date would tell is not needed. */
		if (seed % 2 == 0)
			close_log(&rig);
		else
			stop(&rig, false);
		ck_assert_told_or_exact(&rig, &told);
		rig_close(&rig);
	}
	if (seed_count > 1) {
		ck_assert_uint_gt(injected, seed_count / 2);
		ck_assert_uint_gt(told, injected / 3);
	}
}
END_TEST

START_TEST(rot_anywhere_is_told_and_never_cut_off)
{
	uint64_t told = 0;
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		ck_assert_ok(log_create(&rig.setup));
		ck_assert_ok(log_open(&rig.setup, NULL, NULL, &rig.log));
		give_some(&rig, 1 + test_random(&rig.random) % 100, seed % 2 == 0);
		close_log(&rig);
		char name[64];
		snprintf(name, sizeof name, "log/%016x", (int)(test_random(&rig.random) % 3));
		(void)sim_disk_rot(rig.sim_disk, name, 1 + test_random(&rig.random) % 3);
		ck_assert_told_or_exact(&rig, &told);
		rig_close(&rig);
	}
	if (seed_count > 1)
		ck_assert_uint_gt(told, seed_count / 10);
}
END_TEST

/* --- single cases ----------------------------------------------------------------------------------- */

static struct rig rig;

static void setup(void)
{
	rig_open(&rig, 1);
	ck_assert_ok(log_create(&rig.setup));
	ck_assert_ok(log_open(&rig.setup, NULL, NULL, &rig.log));
}

static void teardown(void)
{
	rig_close(&rig);
}

START_TEST(a_log_is_made_once)
{
	ck_assert_err(log_create(&rig.setup), ERR_EXISTS);
	close_log(&rig);
	ck_assert_err(log_create(&rig.setup), ERR_EXISTS);
}
END_TEST

START_TEST(a_log_without_its_state_file_is_neither_opened_nor_made_anew)
{
	give_some(&rig, 5, false);
	close_log(&rig);
	ck_assert_ok(disk_remove(rig.setup.disk, "log-state"));
	ck_assert_err(log_open(&rig.setup, NULL, NULL, &rig.log), ERR_NOT_FOUND);
	ck_assert_err(log_create(&rig.setup), ERR_EXISTS);
}
END_TEST

START_TEST(a_log_of_another_node_is_foreign)
{
	close_log(&rig);
	rig.setup.node.bytes[0]++;
	ck_assert_err(log_open(&rig.setup, NULL, NULL, &rig.log), ERR_FOREIGN);
}
END_TEST

START_TEST(a_log_that_lost_a_file_is_damaged)
{
	rig.is_plain = true;
	give_some(&rig, 100, false);
	close_log(&rig);
	char name[64];
	snprintf(name, sizeof name, "log/%016x", _i);
	ck_assert_ok(disk_remove(rig.setup.disk, name));
	ck_assert_err(log_open(&rig.setup, NULL, NULL, &rig.log), ERR_CORRUPT);
}
END_TEST

/* Changes an entry and makes the checksums of its frame right again. */
START_TEST(a_frame_that_was_replaced_by_another_is_damage)
{
	static uint8_t buf[SEGMENT_LEN] __attribute__((aligned(DISK_BLOCK_LEN)));
	rig.is_plain = true;
	give_some(&rig, 10, false);
	close_log(&rig);
	struct disk_file *file;
	struct log_frame frame;
	size_t len;
	ck_assert_ok(disk_open(rig.setup.disk, "log/0000000000000000", 0, &file));
	ck_assert_ok(disk_read_now(file, buf, sizeof buf, 0, &len));
	ck_assert_ok(log_frame_decode(buf, &frame));
	buf[LOG_FRAME_HEADER_LEN + frame.payload_len - 1] ^= _i;
	log_frame_seal(buf, &frame);
	ck_assert_ok(disk_write_now(file, buf, log_frame_len(frame.payload_len), 0));
	disk_close(file);
	ck_assert_err(log_open(&rig.setup, NULL, NULL, &rig.log), _i == 0 ? ERR_OK : ERR_CORRUPT);
}
END_TEST

START_TEST(a_released_log_stays_small)
{
	uint64_t most = 0;
	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < 25; j++) {
			sim_call(rig.sim, rig.loop, give_op, &rig);
			sim_run_until(rig.sim, all_ended, &rig, 60000);
		}
		rig.released = log_end_index(rig.log) - 1;
		log_release(rig.log, rig.released);
		sim_run_until(rig.sim, is_idle, &rig, 60000);
		struct log_stats stats;
		log_stats(rig.log, &stats);
		most = stats.segments > most ? stats.segments : most;
	}
	ck_assert_uint_le(most, 7);
	close_log(&rig);
	ck_assert_ok(log_open(&rig.setup, NULL, NULL, &rig.log));
	ck_assert_prefix(&rig);
}
END_TEST

START_TEST(reading_a_range_gives_the_range)
{
	static struct state state;
	give_some(&rig, 60, false);
	sim_run_until(rig.sim, all_ended, &rig, 60000);
	make_state(&rig, rig.op_count, &state);
	for (uint64_t first = state.base; first < state.next_index; first += 3) {
		uint64_t end = first + (state.next_index - first) / 2;
		struct reading reading = {&state, first};
		ck_assert_ok(log_read(rig.log, first, end, compare_entry, &reading));
		ck_assert_uint_eq(reading.index, end);
	}
	struct reading reading = {&state, state.next_index};
	ck_assert_err(
		log_read(rig.log, state.next_index, state.next_index + 1, compare_entry, &reading),
		ERR_NOT_FOUND);
}
END_TEST

int main(int argc, char **argv)
{
	if (getenv("SEEDS"))
		seed_count = strtoull(getenv("SEEDS"), NULL, 10);
	seed_first = sim_seed_of(argc, argv, 0);
	seed_count = seed_first > 0 ? 1 : seed_count;
	seed_first = seed_first > 0 ? seed_first : 1;
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("one");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_log_is_made_once);
	tcase_add_test(tcase, a_log_without_its_state_file_is_neither_opened_nor_made_anew);
	tcase_add_test(tcase, a_log_of_another_node_is_foreign);
	tcase_add_loop_test(tcase, a_log_that_lost_a_file_is_damaged, 0, 3);
	tcase_add_loop_test(tcase, a_frame_that_was_replaced_by_another_is_damage, 0, 2);
	tcase_add_test(tcase, a_released_log_stays_small);
	tcase_add_test(tcase, reading_a_range_gives_the_range);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("seeds");
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, what_was_done_is_found_after_any_crash_or_error);
	tcase_add_loop_test(
		tcase, a_disk_that_is_always_busy_with_errors_loses_nothing_that_was_done, 0, 2);
	tcase_add_test(tcase, a_write_that_the_disk_lied_about_is_told_and_never_cut_off);
	tcase_add_test(tcase, rot_anywhere_is_told_and_never_cut_off);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
