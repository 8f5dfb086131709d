/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/log.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/log_rig.h"
#include "tests/lib/test.h"

enum { LIVES = 6 };

/* --seed=N runs that one; SEEDS in the environment, how many from 1 on. */
enum { SEEDS = 30 };
static uint64_t seed_first = 1, seed_count = SEEDS;

/* --- crashes and errors ----------------------------------------------------------------------- */

static uint64_t writes, ops, crashes_in_flight;

static void live(struct log_rig *rig, int life)
{
	bool fails = test_random(&rig->random) % 3 == 0;
	if (fails)
		sim_disk_fail_nth(
			rig->sim_disk, SIM_WRITE, 1 + test_random(&rig->random) % 30, SIM_EIO);
	log_rig_give_some(rig, 1 + test_random(&rig->random) % 60, true);
	struct log_stats stats;
	log_stats(rig->log, &stats);
	writes += stats.writes;
	ops += stats.ops;
	if (log_rig_has_waiting(rig))
		crashes_in_flight++;
	if (rig->failed_count == 0 && test_random(&rig->random) % 4 == 0)
		log_rig_close_log(rig);
	else
		log_rig_stop(rig, life % 2 == 0 || rig->failed_count == 0);
	rig->failed_count = 0;
	sim_disk_heal(rig->sim_disk);
}

START_TEST(what_was_done_is_found_after_any_crash_or_error)
{
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		struct log_rig rig;
		log_rig_open(&rig, seed);
		rig.is_big = seed % 4 == 0;
		ck_assert_ok(log_create(&rig.setup));
		for (int i = 0; i < LIVES; i++) {
			enum err err = log_open(&rig.setup, NULL, NULL, &rig.log);
			ck_assert_msg(
				err == ERR_OK, "seed %d, life %d: %s", (int)seed, i, err_name(err));
			log_rig_ck_prefix(&rig);
			live(&rig, i);
		}
		log_rig_close(&rig);
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
		struct log_rig rig;
		log_rig_open(&rig, n);
		uint64_t calls = 0;
		sim_disk_fail_nth(rig.sim_disk, SIM_ANY_CALL, n, _i == 0 ? SIM_EIO : SIM_FULL);
		bool is_created = log_create(&rig.setup) == ERR_OK;
		if (is_created && log_open(&rig.setup, NULL, NULL, &rig.log) == ERR_OK) {
			log_rig_give_some(&rig, 15, true);
			if (rig.failed_count == 0)
				sim_run_until(rig.sim, log_rig_all_ended, &rig, 60000);
			log_rig_stop(&rig, true);
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
		log_rig_ck_prefix(&rig);
		log_rig_give_some(&rig, 5, false);
		log_rig_close(&rig);
		if (!was_hit && n > calls)
			break;
	}
}
END_TEST

/* --- damage: what no crash does --------------------------------------------------------------- */

/* Whatever a lying disk did to one write, or rot to the files, is told, or made no difference. */
static void ck_assert_told_or_exact(struct log_rig *rig, uint64_t *told)
{
	enum err err = log_open(&rig->setup, NULL, NULL, &rig->log);
	if (err == ERR_OK) {
		size_t count = rig->op_count;
		log_rig_ck_prefix(rig);
		ck_assert_uint_eq(rig->op_count, count);
		return;
	}
	ck_assert_msg(err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_NOT_FOUND ||
			err == ERR_FOREIGN,
		"%s", err_name(err));
	(*told)++;
}

/* Lets the disk lie about one write, and at least two frames follow. */
static uint64_t lie_once(struct log_rig *rig, enum sim_fault fault)
{
	const struct sim_disk_stats *stats = sim_disk_stats(rig->sim_disk);
	log_rig_give_some(rig, 1 + test_random(&rig->random) % 60, false);
	sim_disk_fail_nth(rig->sim_disk, SIM_WRITE, 1 + test_random(&rig->random) % 5, fault);
	for (int i = 0; i < 50 && stats->faults[fault] == 0; i++)
		log_rig_give_some(rig, 1, false);
	for (int i = 0; i < 3; i++) {
		log_rig_give_some(rig, 1, false);
		ck_assert(sim_run_until(rig->sim, log_rig_all_ended, rig, 60000) ||
			log_rig_all_ended(rig));
	}
	sim_disk_heal(rig->sim_disk);
	return stats->faults[fault];
}

START_TEST(a_write_that_the_disk_lied_about_is_told_and_never_cut_off)
{
	static const enum sim_fault faults[] = {SIM_LOST, SIM_TORN, SIM_MISDIRECTED};
	uint64_t told = 0, injected = 0;
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		struct log_rig rig;
		log_rig_open(&rig, seed);
		ck_assert_ok(log_create(&rig.setup));
		ck_assert_ok(log_open(&rig.setup, NULL, NULL, &rig.log));
		injected += lie_once(&rig, faults[seed % ARRAY_COUNT(faults)]);
		/* What a state file that is up to date would tell is not needed. */
		if (seed % 2 == 0)
			log_rig_close_log(&rig);
		else
			log_rig_stop(&rig, false);
		ck_assert_told_or_exact(&rig, &told);
		log_rig_close(&rig);
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
		struct log_rig rig;
		log_rig_open(&rig, seed);
		ck_assert_ok(log_create(&rig.setup));
		ck_assert_ok(log_open(&rig.setup, NULL, NULL, &rig.log));
		log_rig_give_some(&rig, 1 + test_random(&rig.random) % 100, seed % 2 == 0);
		log_rig_close_log(&rig);
		char name[64];
		snprintf(name, sizeof name, "log/%016x", (int)(test_random(&rig.random) % 3));
		(void)sim_disk_rot(rig.sim_disk, name, 1 + test_random(&rig.random) % 3);
		ck_assert_told_or_exact(&rig, &told);
		log_rig_close(&rig);
	}
	if (seed_count > 1)
		ck_assert_uint_gt(told, seed_count / 10);
}
END_TEST

/* --- single cases ----------------------------------------------------------------------------- */

static struct log_rig rig;

static void setup(void)
{
	log_rig_open(&rig, 1);
	ck_assert_ok(log_create(&rig.setup));
	ck_assert_ok(log_open(&rig.setup, NULL, NULL, &rig.log));
}

static void teardown(void)
{
	log_rig_close(&rig);
}

START_TEST(a_log_is_made_once)
{
	ck_assert_err(log_create(&rig.setup), ERR_EXISTS);
	log_rig_close_log(&rig);
	ck_assert_err(log_create(&rig.setup), ERR_EXISTS);
}
END_TEST

START_TEST(a_log_without_its_state_file_is_neither_opened_nor_made_anew)
{
	log_rig_give_some(&rig, 5, false);
	log_rig_close_log(&rig);
	ck_assert_ok(disk_remove(rig.setup.disk, "log-state"));
	ck_assert_err(log_open(&rig.setup, NULL, NULL, &rig.log), ERR_NOT_FOUND);
	ck_assert_err(log_create(&rig.setup), ERR_EXISTS);
}
END_TEST

START_TEST(a_log_of_another_node_is_foreign)
{
	log_rig_close_log(&rig);
	rig.setup.node.bytes[0]++;
	ck_assert_err(log_open(&rig.setup, NULL, NULL, &rig.log), ERR_FOREIGN);
}
END_TEST

START_TEST(a_log_that_lost_a_file_is_damaged)
{
	rig.is_plain = true;
	log_rig_give_some(&rig, 100, false);
	log_rig_close_log(&rig);
	char name[64];
	snprintf(name, sizeof name, "log/%016x", _i);
	ck_assert_ok(disk_remove(rig.setup.disk, name));
	ck_assert_err(log_open(&rig.setup, NULL, NULL, &rig.log), ERR_CORRUPT);
}
END_TEST

START_TEST(a_log_whose_file_is_cut_off_anywhere_is_damaged)
{
	static const uint64_t lens[] = {100, 4096, 4097, 8192 + 511, 3 * 4096 - 1};
	rig.is_plain = true;
	log_rig_give_some(&rig, 10, false);
	log_rig_close_log(&rig);
	struct disk_file *file;
	ck_assert_ok(disk_open(rig.setup.disk, "log/0000000000000000", 0, &file));
	ck_assert_ok(disk_truncate(file, lens[_i]));
	disk_close(file);
	ck_assert_err(log_open(&rig.setup, NULL, NULL, &rig.log), ERR_CORRUPT);
	/* What is left of it is left. */
	ck_assert_ok(disk_open(rig.setup.disk, "log/0000000000000000", 0, &file));
	disk_close(file);
}
END_TEST

START_TEST(a_file_that_is_of_no_use_goes_when_the_log_is_written_to)
{
	static const char name[] = "log/00000000000000ff";
	struct disk_file *file;
	log_rig_close_log(&rig);
	ck_assert_ok(disk_open(rig.setup.disk, name, DISK_CREATE, &file));
	ck_assert_ok(disk_truncate(file, 5000));
	disk_close(file);
	ck_assert_ok(log_open(&rig.setup, NULL, NULL, &rig.log));
	ck_assert_ok(disk_open(rig.setup.disk, name, 0, &file));
	disk_close(file);
	log_rig_give_some(&rig, 3, false);
	sim_run_until(rig.sim, log_rig_is_idle, &rig, 60000);
	ck_assert_err(disk_open(rig.setup.disk, name, 0, &file), ERR_NOT_FOUND);
	log_rig_close_log(&rig);
	ck_assert_ok(log_open(&rig.setup, NULL, NULL, &rig.log));
	log_rig_ck_prefix(&rig);
}
END_TEST

/* Changes an entry and makes the checksums of its frame right again. */
START_TEST(a_frame_that_was_replaced_by_another_is_damage)
{
	static uint8_t buf[LOG_RIG_SEGMENT_LEN] __attribute__((aligned(DISK_BLOCK_LEN)));
	rig.is_plain = true;
	log_rig_give_some(&rig, 10, false);
	log_rig_close_log(&rig);
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
			sim_call(rig.sim, rig.loop, log_rig_give, &rig);
			sim_run_until(rig.sim, log_rig_all_ended, &rig, 60000);
		}
		rig.released = log_end_index(rig.log) - 1;
		log_release(rig.log, rig.released);
		sim_run_until(rig.sim, log_rig_is_idle, &rig, 60000);
		struct log_stats stats;
		log_stats(rig.log, &stats);
		most = stats.segments > most ? stats.segments : most;
	}
	ck_assert_uint_le(most, 7);
	log_rig_close_log(&rig);
	ck_assert_ok(log_open(&rig.setup, NULL, NULL, &rig.log));
	log_rig_ck_prefix(&rig);
}
END_TEST

START_TEST(reading_a_range_gives_the_range)
{
	static struct log_rig_state state;
	log_rig_give_some(&rig, 60, false);
	sim_run_until(rig.sim, log_rig_all_ended, &rig, 60000);
	log_rig_make_state(&rig, rig.op_count, &state);
	for (uint64_t first = state.base; first < state.next_index; first += 3) {
		uint64_t end = first + (state.next_index - first) / 2;
		struct log_rig_reading reading = {&state, first};
		ck_assert_ok(log_read(rig.log, first, end, log_rig_compare, &reading));
		ck_assert_uint_eq(reading.index, end);
	}
	struct log_rig_reading reading = {&state, state.next_index};
	ck_assert_err(log_read(rig.log, state.next_index, state.next_index + 1, log_rig_compare,
			      &reading),
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
	tcase_add_loop_test(tcase, a_log_whose_file_is_cut_off_anywhere_is_damaged, 0, 5);
	tcase_add_test(tcase, a_file_that_is_of_no_use_goes_when_the_log_is_written_to);
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
