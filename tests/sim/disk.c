/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_disk.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/bytes.h"
#include "tests/lib/test.h"

/* The simulated disk itself: that it keeps the promises of the seam, breaks what is not promised,
 * and injects the faults it was asked for. "Sometimes" below means: in at least one
 * of SEEDS seeds. */
enum { SEEDS = 100, BLOCK = DISK_BLOCK_LEN, BLOCKS = 16, SECTOR = 512 };

struct rig {
	struct sim *sim;
	struct sim_node *node;
	struct loop *loop;
	struct sim_disk *sim_disk;
	struct disk *disk;
	struct disk_file *file;
};

static void rig_open(struct rig *rig, uint64_t seed)
{
	rig->sim = sim_new(seed);
	rig->node = sim_node_new(rig->sim, "node");
	rig->loop = sim_node_loop(rig->node);
	rig->sim_disk = sim_disk_new(rig->node, "disk", 0);
	rig->disk = sim_disk_base(rig->sim_disk);
	ck_assert_ok(disk_open(rig->disk, "file", DISK_CREATE, &rig->file));
	ck_assert_ok(disk_sync_dir(rig->disk));
}

static void rig_close(struct rig *rig)
{
	disk_close(rig->file);
	sim_node_kill(rig->node);
	sim_disk_free(rig->sim_disk);
	sim_free(rig->sim);
}

/* The power fails, and the file is opened again. */
static void rig_crash(struct rig *rig)
{
	sim_node_kill(rig->node);
	disk_close(rig->file);
	sim_disk_crash(rig->sim_disk);
	sim_disk_heal(rig->sim_disk);
	ck_assert_ok(disk_open(rig->disk, "file", 0, &rig->file));
}

struct wait {
	struct disk_op op;
	struct rig *rig;
	const void *buf;
	uint64_t offset;
	bool is_sync, is_done;
	unsigned flags;
};

static void wait_done(struct disk_op *op)
{
	CONTAINER_OF(op, struct wait, op)->is_done = true;
}

static void wait_start(void *arg)
{
	struct wait *wait = arg;
	wait->op.done = wait_done;
	wait->op.loop = wait->rig->loop;
	if (wait->is_sync)
		disk_sync(&wait->op, wait->rig->file);
	else
		disk_write(&wait->op, wait->rig->file, wait->buf, BLOCK, wait->offset, wait->flags);
}

static bool is_done(void *arg)
{
	return ((struct wait *)arg)->is_done;
}

static enum err perform(struct rig *rig, struct wait wait)
{
	wait.rig = rig;
	sim_call(rig->sim, rig->loop, wait_start, &wait);
	ck_assert(sim_run_until(rig->sim, is_done, &wait, 60000));
	return wait.op.err;
}

/* A block that tells of its number and version in every sector. */
static const uint8_t *block(unsigned number, unsigned version)
{
	static uint8_t buf[BLOCK];
	for (unsigned i = 0; i < BLOCK; i += SECTOR) {
		memset(buf + i, version, SECTOR);
		put_le32(buf + i, number);
	}
	return buf;
}

static void write_block(struct rig *rig, unsigned number, unsigned version)
{
	ck_assert_ok(
		disk_write_now(rig->file, block(number, version), BLOCK, (uint64_t)number * BLOCK));
}

/* The version that the sector holds; 0 where there is nothing. */
static unsigned version_of(struct rig *rig, unsigned number, unsigned sector)
{
	uint8_t buf[SECTOR] = {0};
	size_t len;
	ck_assert_ok(disk_read_now(
		rig->file, buf, SECTOR, (uint64_t)number * BLOCK + sector * SECTOR, &len));
	unsigned version = buf[SECTOR - 1];
	if (version != 0)
		ck_assert_uint_eq(get_le32(buf), number);
	return version;
}

/* How a block came through: all sectors of one version, or a mixture. */
static unsigned whole_version(struct rig *rig, unsigned number)
{
	unsigned first = version_of(rig, number, 0);
	for (unsigned sector = 1; sector < BLOCK / SECTOR; sector++)
		if (version_of(rig, number, sector) != first)
			return UINT_MAX;
	return first;
}

/* --- what a crash takes ------------------------------------------------------------------- */

START_TEST(a_crash_takes_only_what_was_not_synced)
{
	unsigned kept = 0, lost = 0, torn = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		for (unsigned i = 0; i < BLOCKS; i++)
			write_block(&rig, i, 1);
		ck_assert_ok(disk_sync_now(rig.file));
		for (unsigned i = 0; i < BLOCKS; i += 2)
			write_block(&rig, i, 2);
		rig_crash(&rig);
		for (unsigned i = 0; i < BLOCKS; i++) {
			unsigned version = whole_version(&rig, i);
			ck_assert(i % 2 == 0 || version == 1);
			for (unsigned s = 0; s < BLOCK / SECTOR; s++)
				ck_assert_uint_ge(version_of(&rig, i, s), 1);
			kept += version == 2;
			lost += i % 2 == 0 && version == 1;
			torn += version == UINT_MAX;
		}
		rig_close(&rig);
	}
	ck_assert_uint_gt(kept, 0);
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_gt(torn, 0);
}
END_TEST

START_TEST(what_a_crash_left_is_there_after_the_next_crash)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		for (unsigned i = 0; i < BLOCKS; i++)
			write_block(&rig, i, 1);
		rig_crash(&rig);
		uint8_t before[BLOCKS * BLOCK] = {0}, after[BLOCKS * BLOCK] = {0};
		size_t before_len, after_len;
		ck_assert_ok(disk_read_now(rig.file, before, sizeof before, 0, &before_len));
		rig_crash(&rig);
		ck_assert_ok(disk_read_now(rig.file, after, sizeof after, 0, &after_len));
		ck_assert_uint_eq(before_len, after_len);
		ck_assert_mem_eq(before, after, sizeof after);
		rig_close(&rig);
	}
}
END_TEST

START_TEST(a_killed_process_loses_nothing_that_was_written)
{
	struct rig rig;
	rig_open(&rig, 1);
	write_block(&rig, 0, 1);
	sim_node_kill(rig.node);
	disk_close(rig.file);
	ck_assert_ok(disk_open(rig.disk, "file", 0, &rig.file));
	ck_assert_uint_eq(whole_version(&rig, 0), 1);
	rig_close(&rig);
}
END_TEST

START_TEST(a_write_with_dsync_makes_itself_durable_and_no_other)
{
	unsigned lost = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		write_block(&rig, 0, 1);
		write_block(&rig, 1, 1);
		struct wait wait = {.buf = block(1, 2), .offset = BLOCK, .flags = DISK_DSYNC};
		ck_assert_ok(perform(&rig, wait));
		rig_crash(&rig);
		ck_assert_uint_eq(whole_version(&rig, 1), 2);
		lost += whole_version(&rig, 0) == 0;
		rig_close(&rig);
	}
	ck_assert_uint_gt(lost, 0);
}
END_TEST

START_TEST(a_sync_covers_what_was_written_before_it_was_started)
{
	unsigned lost = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		write_block(&rig, 0, 1);
		struct wait sync = {.rig = &rig, .is_sync = true};
		sim_call(rig.sim, rig.loop, wait_start, &sync);
		write_block(&rig, 1, 1);
		ck_assert(sim_run_until(rig.sim, is_done, &sync, 1000));
		rig_crash(&rig);
		ck_assert_uint_eq(whole_version(&rig, 0), 1);
		lost += whole_version(&rig, 1) != 1;
		rig_close(&rig);
	}
	ck_assert_uint_gt(lost, 0);
}
END_TEST

START_TEST(a_write_in_flight_is_kept_lost_or_torn)
{
	unsigned kept = 0, lost = 0, torn = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		write_block(&rig, 0, 1);
		ck_assert_ok(disk_sync_now(rig.file));
		struct wait wait = {.rig = &rig, .buf = block(0, 2), .flags = DISK_DSYNC};
		sim_call(rig.sim, rig.loop, wait_start, &wait);
		rig_crash(&rig);
		unsigned version = whole_version(&rig, 0);
		kept += version == 2;
		lost += version == 1;
		torn += version == UINT_MAX;
		rig_close(&rig);
	}
	ck_assert_uint_eq(kept + lost + torn, SEEDS);
	ck_assert(kept > 0 && lost > 0 && torn > 0);
}
END_TEST

START_TEST(a_name_is_durable_after_sync_dir_and_not_before)
{
	unsigned lost = 0, undone = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		struct disk_file *made, *synced;
		rig_open(&rig, seed);
		ck_assert_ok(disk_open(rig.disk, "synced", DISK_CREATE, &synced));
		ck_assert_ok(disk_sync_dir(rig.disk));
		ck_assert_ok(disk_open(rig.disk, "made", DISK_CREATE, &made));
		ck_assert_ok(disk_sync_now(made));
		ck_assert_ok(disk_rename(rig.disk, "synced", "renamed"));
		disk_close(made);
		disk_close(synced);
		rig_crash(&rig);
		enum err err = disk_open(rig.disk, "made", 0, &made);
		lost += err == ERR_NOT_FOUND;
		if (err == ERR_OK)
			disk_close(made);
		err = disk_open(rig.disk, "renamed", 0, &made);
		enum err old_err = disk_open(rig.disk, "synced", 0, &synced);
		ck_assert((err == ERR_OK) != (old_err == ERR_OK));
		undone += old_err == ERR_OK;
		disk_close(err == ERR_OK ? made : synced);
		rig_close(&rig);
	}
	ck_assert(lost > 0 && lost < SEEDS);
	ck_assert(undone > 0 && undone < SEEDS);
}
END_TEST

/* --- faults ------------------------------------------------------------------------------- */

START_TEST(a_lying_sync_loses_what_it_said_was_safe)
{
	unsigned lost = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		sim_disk_per_mille(rig.sim_disk)[SIM_SYNC][SIM_LIES] = 1000;
		write_block(&rig, 0, 1);
		ck_assert_ok(disk_sync_now(rig.file));
		ck_assert_uint_eq(sim_disk_stats(rig.sim_disk)->faults[SIM_LIES], 1);
		rig_crash(&rig);
		lost += whole_version(&rig, 0) == 0;
		rig_close(&rig);
	}
	ck_assert_uint_gt(lost, 0);
}
END_TEST

START_TEST(a_lying_write_with_dsync_is_lost_likewise)
{
	unsigned lost = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		sim_disk_fail_nth(rig.sim_disk, SIM_WRITE, 1, SIM_LIES);
		struct wait wait = {.buf = block(0, 1), .flags = DISK_DSYNC};
		ck_assert_ok(perform(&rig, wait));
		rig_crash(&rig);
		lost += whole_version(&rig, 0) == 0;
		rig_close(&rig);
	}
	ck_assert_uint_gt(lost, 0);
}
END_TEST

START_TEST(after_a_failed_sync_the_next_one_saves_less_than_it_says)
{
	unsigned first_lost = 0, second_lost = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		write_block(&rig, 0, 1);
		write_block(&rig, 1, 1);
		sim_disk_fail_nth(rig.sim_disk, SIM_SYNC, 1, SIM_EIO);
		ck_assert_err(disk_sync_now(rig.file), ERR_IO);
		ck_assert_ok(disk_sync_now(rig.file));
		rig_crash(&rig);
		bool is_first_lost = whole_version(&rig, 0) == 0;
		bool is_second_lost = whole_version(&rig, 1) == 0;
		first_lost += is_first_lost && !is_second_lost;
		second_lost += is_second_lost && !is_first_lost;
		rig_close(&rig);
	}
	ck_assert(first_lost > 0 && second_lost > 0);
	ck_assert(first_lost + second_lost < SEEDS);
}
END_TEST

START_TEST(a_lost_write_leaves_the_old_and_a_misdirected_one_hits_another_place)
{
	unsigned elsewhere = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		for (unsigned i = 0; i < BLOCKS; i++)
			write_block(&rig, i, 1);
		sim_disk_fail_nth(rig.sim_disk, SIM_WRITE, 1, SIM_LOST);
		write_block(&rig, 3, 2);
		ck_assert_uint_eq(whole_version(&rig, 3), 1);
		sim_disk_fail_nth(rig.sim_disk, SIM_WRITE, 1, SIM_MISDIRECTED);
		write_block(&rig, 3, 2);
		ck_assert_uint_eq(whole_version(&rig, 3), 1);
		for (unsigned i = 0; i <= BLOCKS; i++) {
			uint8_t buf[BLOCK];
			size_t len;
			ck_assert_ok(
				disk_read_now(rig.file, buf, BLOCK, (uint64_t)i * BLOCK, &len));
			elsewhere += len == BLOCK && memcmp(buf, block(3, 2), BLOCK) == 0;
		}
		rig_close(&rig);
	}
	ck_assert_uint_eq(elsewhere, SEEDS);
}
END_TEST

START_TEST(a_torn_write_says_ok_and_a_failed_one_may_have_been_done_in_part)
{
	unsigned torn = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		write_block(&rig, 0, 1);
		write_block(&rig, 1, 1);
		sim_disk_fail_nth(rig.sim_disk, SIM_WRITE, 1, SIM_TORN);
		write_block(&rig, 0, 2);
		sim_disk_fail_nth(rig.sim_disk, SIM_WRITE, 1, SIM_EIO);
		ck_assert_err(disk_write_now(rig.file, block(1, 2), BLOCK, BLOCK), ERR_IO);
		torn += whole_version(&rig, 0) == UINT_MAX && whole_version(&rig, 1) == UINT_MAX;
		rig_close(&rig);
	}
	ck_assert_uint_gt(torn, 0);
}
END_TEST

START_TEST(rot_turns_bits_over_and_a_crash_does_not_heal_it)
{
	struct rig rig;
	rig_open(&rig, 1);
	for (unsigned i = 0; i < BLOCKS; i++)
		write_block(&rig, i, 1);
	ck_assert_ok(disk_sync_now(rig.file));
	ck_assert(sim_disk_rot(rig.sim_disk, "file", 1));
	ck_assert(!sim_disk_rot(rig.sim_disk, "missing", 1));
	rig_crash(&rig);
	uint8_t whole[BLOCKS * BLOCK];
	size_t whole_len;
	sim_disk_fail_nth(rig.sim_disk, SIM_READ, 1, SIM_ROT);
	ck_assert_ok(disk_read_now(rig.file, whole, sizeof whole, 0, &whole_len));
	unsigned bits = 0;
	for (unsigned i = 0; i < BLOCKS; i++) {
		uint8_t buf[BLOCK];
		size_t len;
		ck_assert_ok(disk_read_now(rig.file, buf, BLOCK, (uint64_t)i * BLOCK, &len));
		const uint8_t *expected = block(i, 1);
		for (unsigned j = 0; j < BLOCK; j++)
			bits += __builtin_popcount(buf[j] ^ expected[j]);
	}
	ck_assert_uint_eq(bits, 2);
	rig_close(&rig);
}
END_TEST

START_TEST(a_full_disk_refuses_and_a_punch_makes_room)
{
	struct rig rig;
	rig_open(&rig, 1);
	sim_disk_set_capacity(rig.sim_disk, 4 * BLOCK);
	ck_assert_ok(disk_allocate(rig.file, 3 * BLOCK));
	struct disk_space space;
	ck_assert_ok(disk_space(rig.disk, &space));
	ck_assert_uint_eq(space.total, 4 * BLOCK);
	ck_assert_uint_eq(space.free, BLOCK);
	ck_assert_err(disk_allocate(rig.file, 5 * BLOCK), ERR_NO_SPACE);
	write_block(&rig, 0, 1); /* reserved */
	write_block(&rig, 3, 1);
	ck_assert_err(disk_write_now(rig.file, block(4, 1), BLOCK, 4 * BLOCK), ERR_NO_SPACE);
	ck_assert_ok(disk_truncate(rig.file, 3 * BLOCK));
	ck_assert_ok(disk_write_now(rig.file, block(4, 1), BLOCK, 4 * BLOCK));
	rig_close(&rig);
}
END_TEST

START_TEST(a_drive_that_vanished_fails_every_call_until_it_returns)
{
	struct rig rig;
	rig_open(&rig, 1);
	write_block(&rig, 0, 1);
	sim_disk_vanish(rig.sim_disk);
	uint8_t buf[BLOCK];
	size_t len;
	struct disk_file *file;
	ck_assert_err(disk_read_now(rig.file, buf, BLOCK, 0, &len), ERR_IO);
	ck_assert_err(disk_open(rig.disk, "file", 0, &file), ERR_IO);
	struct wait wait = {.buf = block(0, 2)};
	ck_assert_err(perform(&rig, wait), ERR_IO);
	ck_assert_err(perform(&rig, (struct wait){.is_sync = true}), ERR_IO);
	sim_disk_return(rig.sim_disk);
	ck_assert_uint_eq(whole_version(&rig, 0), 1);
	rig_close(&rig);
}
END_TEST

static void count_name(void *arg, const char *name)
{
	(void)name;
	++*(unsigned *)arg;
}

START_TEST(a_short_list_leaves_names_out)
{
	struct rig rig;
	rig_open(&rig, 1);
	for (char name[] = "a"; *name <= 'z'; ++*name) {
		struct disk_file *file;
		ck_assert_ok(disk_open(rig.disk, name, DISK_CREATE, &file));
		disk_close(file);
	}
	unsigned count = 0;
	ck_assert_ok(disk_list(rig.disk, ".", count_name, &count));
	ck_assert_uint_eq(count, 27);
	sim_disk_fail_nth(rig.sim_disk, SIM_LIST, 1, SIM_SHORT);
	count = 0;
	ck_assert_ok(disk_list(rig.disk, ".", count_name, &count));
	ck_assert_uint_lt(count, 27);
	rig_close(&rig);
}
END_TEST

START_TEST(a_slow_operation_takes_long)
{
	struct rig rig;
	rig_open(&rig, 1);
	uint64_t start_ns = sim_now_ns(rig.sim);
	ck_assert_ok(perform(&rig, (struct wait){.buf = block(0, 1)}));
	uint64_t usual_ns = sim_now_ns(rig.sim) - start_ns;
	sim_disk_fail_nth(rig.sim_disk, SIM_WRITE, 1, SIM_SLOW);
	start_ns = sim_now_ns(rig.sim);
	ck_assert_ok(perform(&rig, (struct wait){.buf = block(0, 2)}));
	ck_assert_uint_gt(sim_now_ns(rig.sim) - start_ns, 50 * usual_ns);
	rig_close(&rig);
}
END_TEST

START_TEST(the_nth_call_fails_and_no_other)
{
	for (uint64_t n = 1; n <= 5; n++) {
		struct rig rig;
		rig_open(&rig, n);
		sim_disk_fail_nth(rig.sim_disk, SIM_ANY_CALL, n, SIM_EIO);
		for (uint64_t i = 1; i <= 5; i++) {
			uint64_t size;
			ck_assert_err(disk_size(rig.file, &size), i == n ? ERR_IO : ERR_OK);
		}
		ck_assert_uint_eq(sim_disk_stats(rig.sim_disk)->calls[SIM_SIZE], 5);
		rig_close(&rig);
	}
}
END_TEST

START_TEST(every_fault_is_injected_when_it_is_asked_for)
{
	uint64_t faults[SIM_FAULTS] = {0};
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		sim_disk_all_odds(rig.sim_disk, 30);
		for (unsigned i = 0; i < 200; i++) {
			uint8_t buf[BLOCK];
			size_t len;
			unsigned count = 0;
			/* Only the faults count here. */
			err_ignore(disk_write_now(rig.file, block(i, 1), BLOCK, i * BLOCK));
			err_ignore(disk_sync_now(rig.file));
			err_ignore(disk_read_now(rig.file, buf, BLOCK, 0, &len));
			err_ignore(disk_list(rig.disk, ".", count_name, &count));
		}
		sim_disk_vanish(rig.sim_disk);
		for (unsigned fault = 0; fault < SIM_FAULTS; fault++)
			faults[fault] += sim_disk_stats(rig.sim_disk)->faults[fault];
		rig_close(&rig);
	}
	for (unsigned fault = 0; fault < SIM_FAULTS; fault++)
		ck_assert_msg(faults[fault] > 0, "never injected: %s", sim_fault_name(fault));
}
END_TEST

START_TEST(flushes_are_counted)
{
	struct rig rig;
	rig_open(&rig, 1);
	uint64_t before = sim_disk_flushes(rig.sim_disk);
	ck_assert_ok(perform(&rig, (struct wait){.buf = block(0, 1)}));
	ck_assert_uint_eq(sim_disk_flushes(rig.sim_disk), before);
	ck_assert_ok(perform(&rig, (struct wait){.buf = block(0, 1), .flags = DISK_DSYNC}));
	ck_assert_ok(perform(&rig, (struct wait){.is_sync = true}));
	ck_assert_ok(disk_sync_now(rig.file));
	ck_assert_uint_eq(sim_disk_flushes(rig.sim_disk), before + 3);
	rig_close(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_disk");
	TCase *tc = tcase_create("sim_disk");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_crash_takes_only_what_was_not_synced);
	tcase_add_test(tc, what_a_crash_left_is_there_after_the_next_crash);
	tcase_add_test(tc, a_killed_process_loses_nothing_that_was_written);
	tcase_add_test(tc, a_write_with_dsync_makes_itself_durable_and_no_other);
	tcase_add_test(tc, a_sync_covers_what_was_written_before_it_was_started);
	tcase_add_test(tc, a_write_in_flight_is_kept_lost_or_torn);
	tcase_add_test(tc, a_name_is_durable_after_sync_dir_and_not_before);
	tcase_add_test(tc, a_lying_sync_loses_what_it_said_was_safe);
	tcase_add_test(tc, a_lying_write_with_dsync_is_lost_likewise);
	tcase_add_test(tc, after_a_failed_sync_the_next_one_saves_less_than_it_says);
	tcase_add_test(tc, a_lost_write_leaves_the_old_and_a_misdirected_one_hits_another_place);
	tcase_add_test(tc, a_torn_write_says_ok_and_a_failed_one_may_have_been_done_in_part);
	tcase_add_test(tc, rot_turns_bits_over_and_a_crash_does_not_heal_it);
	tcase_add_test(tc, a_full_disk_refuses_and_a_punch_makes_room);
	tcase_add_test(tc, a_drive_that_vanished_fails_every_call_until_it_returns);
	tcase_add_test(tc, a_short_list_leaves_names_out);
	tcase_add_test(tc, a_slow_operation_takes_long);
	tcase_add_test(tc, the_nth_call_fails_and_no_other);
	tcase_add_test(tc, every_fault_is_injected_when_it_is_asked_for);
	tcase_add_test(tc, flushes_are_counted);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
