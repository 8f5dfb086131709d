/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/drive.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/sim_drive.h"
#include "tests/lib/test.h"

static const struct drive_settings small = {
	.segment_len = 1 << 20,
	.commit_ms = 50,
	.max_uncommitted = 64,
	.compact_percent = 25,
	.reserve_len = 256 << 10,
};

/* Of the calls that may fail, if not --all do. */
#ifdef __SANITIZE_ADDRESS__
static unsigned step = 4;
#else
static unsigned step = 1;
#endif

static struct extent_id extent(uint64_t counter)
{
	return (struct extent_id){3, counter};
}

static void open_new(struct sim_drive *rig, const struct drive_settings *settings)
{
	sim_drive_init(rig, 1, 0, settings);
	ck_assert_ok(sim_drive_open(rig));
}

static void reopen(struct sim_drive *rig)
{
	ck_assert_ok(sim_drive_open(rig));
}

static size_t count_listed(struct sim_drive *rig, uint64_t *ret_len)
{
	struct shard_entry entries[512];
	size_t count;
	ck_assert_ok(drive_list(rig->drive, (struct extent_id){0, 0}, 0, entries, 512, &count));
	uint64_t len = 0;
	for (size_t i = 0; i < count; i++)
		len += entries[i].record_len;
	if (ret_len)
		*ret_len = len;
	return count;
}

static struct drive_counters counters(struct sim_drive *rig)
{
	struct drive_counters result;
	drive_counters(rig->drive, &result);
	return result;
}

START_TEST(what_is_sealed_survives_a_power_cut)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	for (uint64_t i = 0; i < 30; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(i), i % 3, 4096 * (1 + i * 3)));
	sim_drive_kill(&rig, true);
	reopen(&rig);
	ck_assert_uint_eq(count_listed(&rig, NULL), 30);
	for (uint64_t i = 0; i < 30; i++)
		ck_assert_ok(sim_drive_read(&rig, extent(i), i % 3, 0, 4096 * (1 + i * 3), false));
	ck_assert_uint_gt(counters(&rig).scanned, 0);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_start_reads_only_what_came_after_the_last_commit)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	for (uint64_t i = 0; i < 20; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(i), 0, 16 << 10));
	sim_run_ms(rig.sim, 1000);
	for (uint64_t i = 20; i < 23; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(i), 0, 16 << 10));
	sim_drive_kill(&rig, true);
	reopen(&rig);
	ck_assert_uint_eq(counters(&rig).scanned, 3);
	ck_assert_uint_eq(count_listed(&rig, NULL), 23);
	sim_drive_kill(&rig, true);
	reopen(&rig);
	ck_assert_uint_eq(counters(&rig).scanned, 0);
	ck_assert_uint_eq(count_listed(&rig, NULL), 23);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_lost_table_is_rebuilt_from_the_segments)
{
	struct sim_drive rig;
	open_new(&rig, &small);
	for (uint64_t i = 0; i < 50; i++)
		ck_assert_ok(sim_drive_write(&rig, extent(i), 0, 60 << 10));
	sim_drive_close(&rig);
	sim_kv_free(rig.kv);
	rig.kv = sim_kv_new(rig.node, 0);
	reopen(&rig);
	ck_assert_uint_eq(count_listed(&rig, NULL), 50);
	for (uint64_t i = 0; i < 50; i++)
		ck_assert_ok(sim_drive_read(&rig, extent(i), 0, 0, 60 << 10, false));
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

/* --- who a directory is ----------------------------------------------------------------------- */

START_TEST(a_directory_is_formatted_once)
{
	struct sim_drive rig;
	sim_drive_init(&rig, 1, 0, &small);
	struct drive_identity identity;
	ck_assert_ok(drive_identify(sim_disk_base(rig.disk), &identity));
	ck_assert_mem_eq(identity.cluster.bytes, sim_drive_cluster.bytes, ID_LEN);
	ck_assert_uint_eq(identity.mount, 0);
	ck_assert_err(drive_format(sim_disk_base(rig.disk), &identity, &small), ERR_EXISTS);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(a_mounting_and_its_claim_are_kept)
{
	static const struct id node = {.bytes = {9, 8, 7}};
	struct sim_drive rig;
	sim_drive_init(&rig, 1, 0, &small);
	reopen(&rig);
	ck_assert_uint_eq(drive_identity(rig.drive)->mount, 0);
	ck_assert_ok(drive_set_mount(rig.drive, node, 0, 1));
	sim_drive_close(&rig);
	reopen(&rig);
	ck_assert_uint_eq(drive_identity(rig.drive)->mount, 0);
	ck_assert_uint_eq(drive_identity(rig.drive)->claim, 1);
	ck_assert(id_is_equal(drive_identity(rig.drive)->node, node));
	ck_assert_ok(drive_set_mount(rig.drive, node, 1, 0));
	sim_drive_close(&rig);
	reopen(&rig);
	ck_assert_uint_eq(drive_identity(rig.drive)->mount, 1);
	ck_assert_uint_eq(drive_identity(rig.drive)->claim, 0);
	sim_drive_close(&rig);
	sim_drive_fini(&rig);
}
END_TEST

START_TEST(what_is_not_empty_is_not_formatted)
{
	struct sim *sim = sim_new(1);
	struct sim_disk *sim_disk = sim_disk_new(sim_node_new(sim, "node"), "disk", 0);
	struct disk *disk = sim_disk_base(sim_disk);
	struct disk_file *file;
	ck_assert_ok(disk_open(disk, "photos", DISK_CREATE, &file));
	disk_close(file);
	struct drive_identity identity = {.cluster = sim_drive_cluster};
	ck_assert_err(drive_format(disk, &identity, &small), ERR_NOT_EMPTY);
	ck_assert_err(drive_identify(disk, &identity), ERR_NOT_FOUND);
	ck_assert_ok(disk_remove(disk, "photos"));
	ck_assert_ok(drive_format(disk, &identity, &small));
	sim_disk_free(sim_disk);
	sim_free(sim);
}
END_TEST

START_TEST(a_format_cut_off_anywhere_can_be_done_again)
{
	for (uint64_t n = 1;; n++) {
		struct sim *sim = sim_new(n);
		struct sim_disk *sim_disk = sim_disk_new(sim_node_new(sim, "node"), "disk", 0);
		struct disk *disk = sim_disk_base(sim_disk);
		struct drive_identity identity = {.cluster = sim_drive_cluster};
		sim_disk_fail_nth(sim_disk, SIM_ANY_CALL, n, SIM_EIO);
		enum err err = drive_format(disk, &identity, &small);
		bool was_hit = sim_disk_stats(sim_disk)->faults[SIM_EIO] > 0;
		sim_disk_heal(sim_disk);
		if (err != ERR_OK && drive_identify(disk, &identity) != ERR_OK)
			ck_assert_ok(drive_format(disk, &identity, &small));
		ck_assert_ok(drive_identify(disk, &identity));
		sim_disk_free(sim_disk);
		sim_free(sim);
		if (!was_hit) {
			ck_assert_ok(err);
			ck_assert_uint_gt(n, 8);
			break;
		}
		ck_assert_int_ne(err, ERR_OK);
	}
}
END_TEST

START_TEST(a_drive_of_another_cluster_is_refused)
{
	struct sim_drive rig;
	sim_drive_init(&rig, 1, 0, &small);
	struct drive_setup setup = {
		.disk = sim_disk_base(rig.disk),
		.locations = sim_kv_open(rig.kv),
		.owner = rig.loops[0],
		.committer = rig.loops[1],
		.worker = sim_node_worker(rig.node),
		.clock = sim_node_clock(rig.node),
		.random = sim_node_random(rig.node),
		.settings = small,
	};
	struct id other = {{9}};
	struct drive *drive;
	ck_assert_err(drive_open(&setup, other, &drive), ERR_FOREIGN);
	ck_assert_ok(drive_open(&setup, sim_drive_cluster, &drive));
	struct drive *second;
	ck_assert_err(drive_open(&setup, sim_drive_cluster, &second), ERR_BUSY);
	drive_close(drive);
	kv_close(setup.locations);
	sim_drive_fini(&rig);
}
END_TEST

/* --- every failure ---------------------------------------------------------------------------- */

/* A little of everything, from the opening to the stop. False when a call of it failed. */
static bool use(struct sim_drive *rig)
{
	if (sim_drive_open(rig) != ERR_OK)
		return false;
	bool is_good = true;
	for (uint64_t i = 0; i < 12; i++)
		is_good &= sim_drive_write(rig, extent(1000 + i), 0, 124 << 10) == ERR_OK;
	for (uint64_t i = 0; i < 11; i++)
		is_good &= sim_drive_free(rig, extent(1000 + i), 0) == ERR_OK;
	is_good &= sim_drive_read(rig, extent(1011), 0, 0, 124 << 10, false) == ERR_OK;
	is_good &= sim_drive_read(rig, extent(1), 0, 0, 28 << 10, true) == ERR_OK;
	sim_run_ms(rig->sim, 500);
	sim_drive_close(rig);
	return is_good;
}

START_TEST(after_any_failed_call_the_drive_is_whole)
{
	bool was_hit = true;
	uint64_t n = 1;
	for (; was_hit; n += step) {
		struct sim_drive rig;
		sim_drive_init(&rig, n, 0, &small);
		ck_assert_ok(sim_drive_open(&rig));
		for (uint64_t i = 0; i < 3; i++)
			ck_assert_ok(sim_drive_write(&rig, extent(i), 0, 28 << 10));
		sim_drive_kill(&rig, true);
		sim_disk_fail_nth(rig.disk, SIM_ANY_CALL, n, SIM_EIO);
		bool is_good = use(&rig);
		was_hit = sim_disk_stats(rig.disk)->faults[SIM_EIO] > 0;
		ck_assert(is_good || was_hit);
		sim_disk_heal(rig.disk);
		reopen(&rig);
		for (uint64_t i = 0; i < 3; i++)
			ck_assert_ok(sim_drive_read(&rig, extent(i), 0, 0, 28 << 10, false));
		sim_drive_close(&rig);
		sim_drive_fini(&rig);
	}
	ck_assert_uint_gt(n, 60);
}
END_TEST

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--all") == 0)
		step = 1;
	Suite *suite = suite_create("drive_open");
	TCase *tc = tcase_create("drive_open");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_is_sealed_survives_a_power_cut);
	tcase_add_test(tc, a_start_reads_only_what_came_after_the_last_commit);
	tcase_add_test(tc, a_lost_table_is_rebuilt_from_the_segments);
	tcase_add_test(tc, a_directory_is_formatted_once);
	tcase_add_test(tc, a_mounting_and_its_claim_are_kept);
	tcase_add_test(tc, what_is_not_empty_is_not_formatted);
	tcase_add_test(tc, a_format_cut_off_anywhere_can_be_done_again);
	tcase_add_test(tc, a_drive_of_another_cluster_is_refused);
	tcase_add_test(tc, after_any_failed_call_the_drive_is_whole);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
