/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/consensus_single.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/sim.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

/* Proposers on three loops, a log, and an apply side that keeps what it is given. */
enum {
	LOOPS = 3,
	COMMANDS_MAX = 4000,
	LIVES = 5,
	SEGMENT_LEN = 64 * 1024,
};

/* --seed=N runs that one; SEEDS in the environment, how many from 1 on. */
static uint64_t seed_first = 1, seed_count = 40;

struct command {
	struct proposal proposal;
	struct rig *rig;
	uint32_t number; /* the first bytes of the command */
	uint8_t *bytes;
	size_t len;
	bool is_given, is_ended, is_applied;
};

struct rig {
	uint64_t seed, random;
	struct sim *sim;
	struct sim_node *node;
	struct loop *loops[LOOPS], *apply_loop;
	struct sim_disk *sim_disk;
	struct consensus_single_setup setup;
	struct consensus *consensus;
	struct command commands[COMMANDS_MAX];
	uint32_t given, ended;
	/* Of the apply side; what was applied is a list of numbers. */
	uint32_t applied[COMMANDS_MAX];
	size_t applied_count;
	uint64_t index, time_ms;
	struct group *held;
	bool is_holding, has_stopped;
	int failed_count;
	size_t replayed;
};

/* --- the apply side --------------------------------------------------------------------------- */

static void check_group(struct rig *rig, const struct group *group)
{
	ck_assert_uint_eq(group->index, rig->index + 1);
	ck_assert_uint_ge(group->time_ms, rig->time_ms);
	ck_assert_uint_ge(group->count, 1);
	rig->index = group->index;
	rig->time_ms = group->time_ms;
}

static struct command *command_of(struct rig *rig, struct bytes bytes)
{
	ck_assert_uint_ge(bytes.len, 4);
	uint32_t number = get_le32(bytes.data);
	ck_assert_uint_lt(number, rig->given);
	struct command *command = &rig->commands[number];
	ck_assert(bytes_is_equal(bytes, bytes_make(command->bytes, command->len)));
	ck_assert_msg(!command->is_applied, "seed %lu: twice", (unsigned long)rig->seed);
	return command;
}

static void apply_held(void *arg)
{
	struct rig *rig = arg;
	struct group *group = rig->held;
	rig->held = NULL;
	for (size_t i = 0; i < group->count; i++) {
		struct command *command = command_of(rig, group->commands[i].bytes);
		struct proposal *proposal = group->commands[i].proposal;
		ck_assert_ptr_eq(proposal, &command->proposal);
		command->is_applied = true;
		rig->applied[rig->applied_count++] = command->number;
		put_le64(proposal->result, rig->applied_count);
		proposal->result_len = 8;
		proposal_end(proposal, ERR_OK);
	}
	group_applied(rig->consensus, group);
}

static void committed(void *arg, struct group *group)
{
	struct rig *rig = arg;
	ck_assert_ptr_null(rig->held);
	check_group(rig, group);
	rig->held = group;
	if (!rig->is_holding)
		apply_held(rig);
}

static void failed(void *arg, enum err err)
{
	struct rig *rig = arg;
	ck_assert_int_ne(err, ERR_OK);
	rig->failed_count++;
}

/* --- one life after another ------------------------------------------------------------------- */

static void rig_open(struct rig *rig, uint64_t seed)
{
	*rig = (struct rig){.seed = seed, .random = seed};
	rig->sim = sim_new(seed);
	rig->node = sim_node_new(rig->sim, "node");
	for (int i = 0; i < LOOPS; i++)
		rig->loops[i] = sim_node_loop(rig->node);
	rig->apply_loop = sim_node_loop(rig->node);
	rig->sim_disk = sim_disk_new(rig->node, "disk", 0);
	rig->setup = (struct consensus_single_setup){
		.log = {.disk = sim_disk_base(rig->sim_disk),
			.state_disk = sim_disk_base(rig->sim_disk),
			.loop = sim_node_loop(rig->node),
			.worker = sim_node_worker(rig->node),
			.random = sim_node_random(rig->node),
			.trace = sim_node_trace(rig->node),
			.segment_len = SEGMENT_LEN},
		.clock = sim_node_clock(rig->node),
	};
	ck_assert_ok(log_create(&rig->setup.log));
}

/* Every command that was acknowledged comes again, in the same order; what comes behind was given
 * and not refused. */
static enum err replayed(void *arg, const struct group *group)
{
	struct rig *rig = arg;
	check_group(rig, group);
	for (size_t i = 0; i < group->count; i++) {
		ck_assert_ptr_null(group->commands[i].proposal);
		struct command *command = command_of(rig, group->commands[i].bytes);
		command->is_applied = true;
		if (rig->replayed < rig->applied_count)
			ck_assert_uint_eq(rig->applied[rig->replayed], command->number);
		else
			ck_assert(!command->is_ended || command->proposal.err == ERR_UNKNOWN);
		rig->applied[rig->replayed++] = command->number;
	}
	return ERR_OK;
}

static void start(struct rig *rig)
{
	ck_assert_ok(consensus_single_open(&rig->setup, &rig->consensus));
	for (size_t i = 0; i < rig->applied_count; i++)
		rig->commands[rig->applied[i]].is_applied = false;
	rig->replayed = 0;
	rig->index = rig->time_ms = 0;
	ck_assert_ok(consensus_replay(rig->consensus, 0, replayed, rig));
	ck_assert_msg(rig->replayed >= rig->applied_count, "seed %lu: %zu of %zu commands",
		(unsigned long)rig->seed, rig->replayed, rig->applied_count);
	rig->applied_count = rig->replayed;
	for (uint32_t i = 0; i < rig->given; i++)
		rig->commands[i].is_ended = true;
	rig->ended = rig->given;
	struct consensus_apply apply = {
		.loop = rig->apply_loop, .committed = committed, .failed = failed, .arg = rig};
	consensus_start(rig->consensus, &apply);
}

static void die(struct rig *rig, bool is_crash)
{
	sim_node_kill(rig->node);
	if (is_crash)
		sim_disk_crash(rig->sim_disk);
	sim_disk_heal(rig->sim_disk);
	sim_bury(rig->consensus);
	rig->held = NULL;
	rig->is_holding = false;
	rig->failed_count = 0;
}

static void stopped(void *arg)
{
	((struct rig *)arg)->has_stopped = true;
}

static bool has_stopped(void *arg)
{
	return ((struct rig *)arg)->has_stopped;
}

static bool all_ended(void *arg)
{
	const struct rig *rig = arg;
	return rig->ended == rig->given;
}

static void stop(struct rig *rig)
{
	rig->has_stopped = false;
	consensus_stop(rig->consensus, stopped, rig);
	ck_assert(sim_run_until(rig->sim, has_stopped, rig, 60000));
	/* The ends may still be on their way to their loops. */
	ck_assert(sim_run_until(rig->sim, all_ended, rig, 60000));
	sim_run_ms(rig->sim, 60000);
	consensus_close(rig->consensus);
}

static void rig_close(struct rig *rig)
{
	sim_node_kill(rig->node);
	sim_disk_free(rig->sim_disk);
	sim_free(rig->sim);
	for (uint32_t i = 0; i < rig->given; i++)
		free(rig->commands[i].bytes);
}

/* --- proposing -------------------------------------------------------------------------------- */

static void proposal_done(struct proposal *proposal)
{
	struct command *command = CONTAINER_OF(proposal, struct command, proposal);
	struct rig *rig = command->rig;
	ck_assert(!command->is_ended);
	command->is_ended = true;
	rig->ended++;
	ck_assert_int_eq(command->is_applied, proposal->err == ERR_OK);
	if (proposal->err != ERR_OK)
		return;
	ck_assert_uint_eq(proposal->result_len, 8);
	ck_assert_uint_eq(rig->applied[get_le64(proposal->result) - 1], command->number);
}

static void propose(void *arg)
{
	struct rig *rig = arg;
	ck_assert_uint_lt(rig->given, COMMANDS_MAX);
	struct command *command = &rig->commands[rig->given];
	command->rig = rig;
	command->number = rig->given++;
	command->len = 4 + test_random(&rig->random) % (command->number % 50 == 0 ? 30000 : 300);
	command->bytes = malloc(command->len);
	test_random_fill(&rig->random, command->bytes, command->len);
	put_le32(command->bytes, command->number);
	command->proposal.loop = rig->loops[test_random(&rig->random) % LOOPS];
	command->proposal.done = proposal_done;
	command->proposal.command = bytes_make(command->bytes, command->len);
	consensus_propose(rig->consensus, &command->proposal);
	ck_assert(!command->is_ended);
}

static void propose_some(struct rig *rig, int count)
{
	for (int i = 0; i < count; i++) {
		propose(rig);
		for (int steps = test_random(&rig->random) % 6; steps > 0; steps--)
			sim_step(rig->sim);
		if (test_random(&rig->random) % 20 == 0)
			rig->is_holding = !rig->is_holding;
		if (rig->held && !rig->is_holding)
			sim_call(rig->sim, rig->apply_loop, apply_held, rig);
		if (test_random(&rig->random) % 50 == 0)
			sim_node_jump_wall(
				rig->node, (int64_t)(test_random(&rig->random) % 20000) - 10000);
	}
}

START_TEST(every_answer_is_in_the_log_after_any_crash_or_error)
{
	static struct rig rig;
	uint64_t groups = 0, commands = 0;
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		rig_open(&rig, seed);
		for (int i = 0; i < LIVES; i++) {
			start(&rig);
			bool fails = test_random(&rig.random) % 3 == 0;
			if (fails)
				sim_disk_fail_nth(rig.sim_disk, SIM_WRITE,
					1 + test_random(&rig.random) % 20, SIM_EIO);
			propose_some(&rig, 1 + test_random(&rig.random) % 200);
			struct consensus_info info;
			consensus_info(rig.consensus, &info);
			groups += info.groups;
			commands += info.commands;
			if (rig.failed_count > 0) {
				ck_assert_int_eq(rig.failed_count, 1);
				ck_assert_err(info.err, ERR_IO);
			}
			die(&rig, test_random(&rig.random) % 2 == 0);
		}
		start(&rig);
		propose_some(&rig, 20);
		rig.is_holding = false;
		if (rig.held)
			sim_call(rig.sim, rig.apply_loop, apply_held, &rig);
		stop(&rig);
		rig_close(&rig);
	}
	if (seed_count > 1)
		ck_assert_uint_gt(commands, groups + groups / 2);
	printf("consensus_commands_per_group %.2f\n", (double)commands / groups);
}
END_TEST

static struct rig rig;

static void setup(void)
{
	rig_open(&rig, 7);
	start(&rig);
}

static void teardown(void)
{
	sim_node_kill(rig.node);
	rig_close(&rig);
}

START_TEST(what_waits_during_a_write_is_one_group)
{
	for (int i = 0; i < 400; i++)
		propose(&rig);
	ck_assert(sim_run_until(rig.sim, all_ended, &rig, 60000));
	struct consensus_info info;
	consensus_info(rig.consensus, &info);
	ck_assert_uint_eq(info.commands, 400);
	ck_assert_uint_le(info.groups, 10);
	die(&rig, true);
}
END_TEST

START_TEST(an_apply_side_that_waits_holds_back_the_groups)
{
	rig.is_holding = true;
	for (int i = 0; i < 1000; i++) {
		propose(&rig);
		for (int j = 0; j < 10; j++)
			sim_step(rig.sim);
	}
	sim_run_ms(rig.sim, 1000);
	struct consensus_info info;
	consensus_info(rig.consensus, &info);
	ck_assert_uint_eq(info.groups, GROUPS_MAX);
	rig.is_holding = false;
	sim_call(rig.sim, rig.apply_loop, apply_held, &rig);
	ck_assert(sim_run_until(rig.sim, all_ended, &rig, 60000));
	die(&rig, true);
}
END_TEST

START_TEST(after_a_stop_nothing_is_taken)
{
	propose_some(&rig, 10);
	rig.is_holding = false;
	if (rig.held)
		sim_call(rig.sim, rig.apply_loop, apply_held, &rig);
	rig.has_stopped = false;
	consensus_stop(rig.consensus, stopped, &rig);
	ck_assert(sim_run_until(rig.sim, has_stopped, &rig, 60000));
	sim_run_ms(rig.sim, 1000);
	propose(&rig);
	ck_assert(sim_run_until(rig.sim, all_ended, &rig, 60000));
	ck_assert_err(rig.commands[rig.given - 1].proposal.err, ERR_UNAVAILABLE);
	die(&rig, true);
}
END_TEST

static bool has_read;

static void read_done(struct read_index *read)
{
	ck_assert_err(read->err, ERR_OK);
	ck_assert_uint_ge(read->index, rig.index);
	has_read = true;
}

static bool is_read(void *arg)
{
	(void)arg;
	return has_read;
}

START_TEST(a_read_index_is_at_least_what_was_answered)
{
	struct read_index read = {.loop = rig.loops[0], .done = read_done};
	propose(&rig);
	ck_assert(sim_run_until(rig.sim, all_ended, &rig, 60000));
	has_read = false;
	consensus_read_index(rig.consensus, &read);
	ck_assert(!has_read);
	ck_assert(sim_run_until(rig.sim, is_read, NULL, 60000));
	die(&rig, true);
}
END_TEST

START_TEST(a_log_that_begins_later_than_asked_is_damage)
{
	for (int i = 0; i < 40; i++) {
		for (int j = 0; j < 20; j++)
			propose(&rig);
		ck_assert(sim_run_until(rig.sim, all_ended, &rig, 60000));
		consensus_release(rig.consensus, rig.index);
		sim_run_ms(rig.sim, 1000);
	}
	uint64_t index = rig.index;
	die(&rig, true);
	ck_assert_ok(consensus_single_open(&rig.setup, &rig.consensus));
	ck_assert_err(consensus_replay(rig.consensus, 0, replayed, &rig), ERR_CORRUPT);
	ck_assert_ok(consensus_replay(rig.consensus, index, replayed, &rig));
	ck_assert_err(consensus_replay(rig.consensus, index + 1, replayed, &rig), ERR_CORRUPT);
	consensus_close(rig.consensus);
}
END_TEST

int main(int argc, char **argv)
{
	if (getenv("SEEDS"))
		seed_count = strtoull(getenv("SEEDS"), NULL, 10);
	seed_first = sim_seed_of(argc, argv, 0);
	seed_count = seed_first > 0 ? 1 : seed_count;
	seed_first = seed_first > 0 ? seed_first : 1;
	Suite *suite = suite_create("consensus");
	TCase *tcase = tcase_create("one");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, what_waits_during_a_write_is_one_group);
	tcase_add_test(tcase, an_apply_side_that_waits_holds_back_the_groups);
	tcase_add_test(tcase, after_a_stop_nothing_is_taken);
	tcase_add_test(tcase, a_read_index_is_at_least_what_was_answered);
	tcase_add_test(tcase, a_log_that_begins_later_than_asked_is_damage);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("seeds");
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, every_answer_is_in_the_log_after_any_crash_or_error);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
