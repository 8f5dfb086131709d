/* SPDX-License-Identifier: Apache-2.0 */
/* A node archives what is committed, through lives that end in order, by a kill or by a power cut,
 * on drives whose calls fail and that vanish. What is committed is a function of a number, the
 * command, so that what a crash takes from the kv comes again, the same, as from a log.
 *
 * (O1) Once there was a complete archive there always is one, whatever was cut off when.
 * (O2) What an archive brings back is the state after a command, exactly, and none that was older
 *      than what was told to be flushed.
 * (O3) Without faults it gets all there is, on as many drives as are wanted, and each is enough.
 * (O4) When nothing is committed nothing is written, and no timer is set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/meta/index_archive.h"
#include "storage/meta/index_priv.h"
#include "storage/meta/state_hash.h"
#include "tests/lib/sim.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/sim_kv.h"
#include "tests/lib/test.h"

enum {
	DISKS = 4,
	COPIES = 2,
	LIVES = 6,
	KEYS = 300,
	VALUE_LEN_MAX = 3000,
	COMMANDS_MAX = 12000,
	INTERVAL_MS = 20000,
	BATCH = 10,
};

enum { SEEDS = 30 };

static uint64_t seed_first = 1, seed_count = SEEDS;
static const uint8_t table = 3; /* any but LOCAL */

struct run {
	uint64_t seed, random;
	struct sim *sim;
	struct sim_node *node;
	struct loop *loop;
	struct sim_disk *disks[DISKS];
	struct sim_kv *sim_kv, *restored;
	struct kv *kv;
	struct index_archive_setup setup;
	struct index_archive *archive;
	uint64_t command; /* the last that was applied */
	uint64_t logged; /* the last in the log: no crash takes it */
	uint64_t hashes[COMMANDS_MAX]; /* of the state after each */
	bool has_faults, was_complete;
	bool was_lent; /* the last disk, to a life that began without it */
	uint64_t flushed; /* log index that was told */
};

static uint64_t below(struct run *run, uint64_t n)
{
	return test_random(&run->random) % n;
}

/* --- what commands do ------------------------------------------------------------------------- */

struct change {
	unsigned key;
	size_t len; /* 0: the row goes */
	uint8_t key_bytes[16], value[VALUE_LEN_MAX];
};

static void change_of(struct run *run, uint64_t command, struct change *ret)
{
	uint64_t state = run->seed * 1000003 + command;
	uint64_t chance = test_random(&state);
	ret->key = chance % KEYS;
	ret->len = chance >> 32 & 3 ? 1 + (chance >> 40) % (VALUE_LEN_MAX - 1) : 0;
	ret->key_bytes[0] = table;
	snprintf((char *)ret->key_bytes + 1, sizeof ret->key_bytes - 1, "key-%06u", ret->key);
	/* Half of it can be compressed. */
	memset(ret->value, command, ret->len / 2);
	test_random_fill(&state, ret->value + ret->len / 2, ret->len - ret->len / 2);
}

static uint64_t hash_of(const struct change *change)
{
	struct state_hash hash = {0};
	state_hash_add(
		&hash, bytes_make(change->key_bytes, 11), bytes_make(change->value, change->len));
	return hash.tables[table];
}

/* The state hash after each command, once. */
static void make_history(struct run *run)
{
	static struct change change, old;
	uint64_t puts[KEYS] = {0};
	for (uint64_t command = 1; command < COMMANDS_MAX; command++) {
		uint64_t hash = run->hashes[command - 1];
		change_of(run, command, &change);
		if (puts[change.key] > 0) {
			change_of(run, puts[change.key], &old);
			hash -= old.len > 0 ? hash_of(&old) : 0;
		}
		puts[change.key] = command;
		run->hashes[command] = hash + (change.len > 0 ? hash_of(&change) : 0);
	}
}

static void put_local(struct kv *kv, const char *name, struct bytes value)
{
	struct row_key key;
	row_key_name(&key, TABLE_LOCAL, bytes_of(name));
	ck_assert_ok(kv_put(kv, row_key_bytes(&key), value));
}

/* One commit of some commands, as the index makes them. */
static void commit(struct run *run, unsigned count)
{
	static struct change change;
	static const uint8_t applied_key[] = {INDEX_APPLIED_KEY};
	struct kv *kv = index_archive_kv(run->archive);
	uint8_t applied[8], hash_bytes[STATE_HASH_LEN_MAX];
	if (run->command + count >= COMMANDS_MAX)
		return;
	ck_assert_ok(kv_write_begin(kv));
	for (unsigned i = 0; i < count; i++) {
		if (below(run, 8) == 0)
			sim_run_ms(run->sim, below(run, 50)); /* the archive does not wait */
		change_of(run, ++run->command, &change);
		struct bytes key = bytes_make(change.key_bytes, 11);
		ck_assert_ok(change.len > 0 ? kv_put(kv, key, bytes_make(change.value, change.len))
					    : kv_remove(kv, key));
	}
	struct state_hash hash = {0};
	hash.tables[table] = run->hashes[run->command];
	put_local(kv, "state-hash", bytes_make(hash_bytes, state_hash_encode(&hash, hash_bytes)));
	put_le64(applied, run->command << PLACE_BITS | PLACE_LAST);
	ck_assert_ok(kv_put(kv, bytes_make(applied_key, sizeof applied_key),
		bytes_make(applied, sizeof applied)));
	ck_assert_ok(kv_commit(kv));
	if (run->logged < run->command)
		run->logged = run->command;
}

/* --- lives ------------------------------------------------------------------------------------ */

static uint64_t kv_command(struct run *run)
{
	static const uint8_t applied_key[] = {INDEX_APPLIED_KEY};
	struct kv_reader *reader;
	struct bytes value;
	ck_assert_ok(kv_reader_open(run->kv, &reader));
	ck_assert_ok(kv_reader_begin(reader));
	enum err err = kv_get(reader, bytes_make(applied_key, sizeof applied_key), &value);
	uint64_t command = err == ERR_OK ? get_le64(value.data) >> PLACE_BITS : 0;
	kv_reader_end(reader);
	kv_reader_close(reader);
	return command;
}

static void open_life(struct run *run)
{
	run->kv = sim_kv_open(run->sim_kv);
	run->command = kv_command(run);
	run->setup.kv = run->kv;
	run->setup.log_last = run->logged;
	ck_assert_ok(index_archive_new(&run->setup, &run->archive));
	index_archive_start(run->archive);
}

static void look(struct run *run)
{
	struct index_archive_status status;
	index_archive_status(run->archive, &status);
	run->was_complete |= status.is_complete;
	if (status.log_index > run->flushed && !run->has_faults)
		run->flushed = status.log_index;
}

static void stop_life(struct run *run)
{
	index_archive_cancel(run->archive);
	sim_run_ms(run->sim, 5000); /* what runs ends */
	look(run);
	index_archive_free(run->archive);
	kv_close(run->kv);
}

static void crash_life(struct run *run, bool is_power_cut)
{
	look(run);
	sim_bury(run->archive);
	sim_node_kill(run->node);
	for (unsigned i = 0; is_power_cut && i < DISKS; i++)
		sim_disk_crash(run->disks[i]);
}

static void add_fault(struct run *run)
{
	struct sim_disk *disk = run->disks[below(run, DISKS)];
	run->has_faults = true;
	if (below(run, 4) == 0)
		sim_disk_vanish(disk);
	else
		sim_disk_fail_nth(
			disk, SIM_ANY_CALL, 1 + below(run, 60), below(run, 2) ? SIM_EIO : SIM_FULL);
}

static void heal(struct run *run)
{
	for (unsigned i = 0; i < DISKS; i++) {
		sim_disk_heal(run->disks[i]);
		sim_disk_return(run->disks[i]);
	}
}

/* --- what is left ----------------------------------------------------------------------------- */

static void restore(struct run *run, unsigned disk, const struct archive_found *found)
{
	uint64_t command = archive_log_index(found->sequence);
	ck_assert_uint_lt(command, COMMANDS_MAX);
	struct kv *kv = sim_kv_open(run->restored);
	ck_assert_ok(archive_restore(sim_disk_base(run->disks[disk]), found, kv, NULL, NULL));
	struct kv_reader *reader;
	struct bytes key, value;
	struct state_hash hash = {0};
	ck_assert_ok(kv_reader_open(kv, &reader));
	ck_assert_ok(kv_reader_begin(reader));
	enum err err = kv_seek(reader, bytes_make(&table, 1), &key, &value);
	for (; err == ERR_OK; err = kv_next(reader, &key, &value))
		state_hash_add(&hash, key, value);
	kv_reader_end(reader);
	kv_reader_close(reader);
	kv_close(kv);
	ck_assert_msg(hash.tables[table] == run->hashes[command],
		"seed %lu: not the state after %lu", (unsigned long)run->seed,
		(unsigned long)command);
}

/* Finds the best archive of all drives but one; DISKS: of all. */
static uint64_t best_without(struct run *run, unsigned without)
{
	uint64_t best = 0;
	unsigned from = DISKS;
	struct archive_found found, chosen = {0};
	for (unsigned i = 0; i < DISKS; i++) {
		if (i == without || archive_find(sim_disk_base(run->disks[i]), 0, &found) != ERR_OK)
			continue;
		if (from == DISKS || found.sequence > chosen.sequence) {
			chosen = found;
			from = i;
		}
	}
	if (from == DISKS)
		return 0;
	restore(run, from, &chosen);
	best = archive_log_index(chosen.sequence);
	return best;
}

static void check_left(struct run *run)
{
	uint64_t best = best_without(run, DISKS);
	ck_assert_msg(best > 0 || !run->was_complete, "seed %lu: no archive is left (O1)",
		(unsigned long)run->seed);
	ck_assert_msg(best >= run->flushed, "seed %lu: %lu was flushed, %lu is there (O2)",
		(unsigned long)run->seed, (unsigned long)run->flushed, (unsigned long)best);
}

static void check_all(struct run *run)
{
	struct index_archive_status status;
	open_life(run);
	for (unsigned i = 0; i < 20; i++) {
		commit(run, 1);
		sim_run_ms(run->sim, 500);
	}
	sim_run_ms(run->sim, 100000 + 2 * INTERVAL_MS);
	index_archive_status(run->archive, &status);
	ck_assert_msg(status.is_complete && !status.is_behind && !status.is_copying &&
			status.copies == COPIES && status.waiting_ms == 0 &&
			status.log_index == run->command,
		"seed %lu: %u copies of %lu at %lu of %lu (O3)", (unsigned long)run->seed,
		status.copies, (unsigned long)status.generation, (unsigned long)status.log_index,
		(unsigned long)run->command);
	uint64_t written = 0;
	for (unsigned i = 0; i < DISKS; i++)
		written += sim_disk_stats(run->disks[i])->written_len;
	sim_run_ms(run->sim, 3600000);
	for (unsigned i = 0; i < DISKS; i++)
		written -= sim_disk_stats(run->disks[i])->written_len;
	ck_assert_msg(written == 0, "seed %lu: it is not quiet (O4)", (unsigned long)run->seed);
	stop_life(run);
	for (unsigned i = 0; i < DISKS; i++)
		ck_assert_uint_eq(best_without(run, i), run->command);
}

/* --- one seed --------------------------------------------------------------------------------- */

/* A drive is added. */
static void lend(struct run *run)
{
	ck_assert_ok(index_archive_add(run->archive, &run->setup.homes[DISKS - 1], COPIES));
	run->was_lent = true;
}

static void live(struct run *run)
{
	bool is_late = run->seed % 3 == 0 && !run->was_lent;
	if (is_late) {
		run->setup.home_count = DISKS - 1;
		run->setup.copies = COPIES - 1;
	}
	open_life(run);
	run->setup.home_count = DISKS;
	run->setup.copies = COPIES;
	run->has_faults = false;
	unsigned rounds = below(run, 3) ? 5 + below(run, 40) : below(run, 5);
	for (unsigned i = 0; i < rounds; i++) {
		if (below(run, 30) == 0)
			add_fault(run);
		if (is_late && !run->was_lent && i > rounds / 4)
			lend(run);
		commit(run, below(run, 20) ? 1 + below(run, 30) : 300); /* or of several frames */
		sim_run_ms(run->sim, below(run, 4) ? below(run, 300) : below(run, 30000));
		look(run);
	}
	switch (below(run, 3)) {
	case 0:
		stop_life(run);
		break;
	default:
		crash_life(run, below(run, 2));
	}
	heal(run);
	check_left(run);
}

static void open_world(struct run *run)
{
	static const char *const paths[DISKS] = {"/a", "/b", "/c", "/d"};
	run->sim = sim_new(run->seed);
	run->node = sim_node_new(run->sim, "node");
	run->loop = sim_node_loop(run->node);
	run->sim_kv = sim_kv_new(run->node, 0);
	run->restored = sim_kv_new(run->node, 0);
	for (unsigned i = 0; i < DISKS; i++) {
		run->disks[i] = sim_disk_new(run->node, paths[i], 0);
		run->setup.homes[i].disk = sim_disk_base(run->disks[i]);
		run->setup.homes[i].drive.bytes[0] = i + 1;
	}
	run->setup.home_count = DISKS;
	run->setup.copies = COPIES;
	run->setup.loop = run->loop;
	run->setup.worker = sim_node_worker(run->node);
	run->setup.clock = sim_node_clock(run->node);
	run->setup.trace = sim_node_trace(run->node);
	run->setup.interval_ms = INTERVAL_MS;
	run->setup.rate = UINT64_C(1) << (16 + below(run, 6));
	run->setup.log_len_min = 50000;
}

static void close_world(struct run *run)
{
	for (unsigned i = 0; i < DISKS; i++)
		sim_disk_free(run->disks[i]);
	sim_kv_free(run->sim_kv);
	sim_kv_free(run->restored);
	sim_free(run->sim);
}

static void run_seed(uint64_t seed)
{
	struct run *run = calloc(1, sizeof *run);
	ck_assert_ptr_nonnull(run);
	run->seed = seed;
	run->random = seed;
	make_history(run);
	open_world(run);
	for (unsigned i = 0; i < LIVES; i++)
		live(run);
	check_all(run);
	close_world(run);
	free(run);
}

START_TEST(a_complete_archive_is_always_left)
{
	for (uint64_t i = 0; i < BATCH; i++) {
		uint64_t number = (uint64_t)_i * BATCH + i;
		if (number < seed_count)
			run_seed(seed_first + number);
	}
}
END_TEST

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--seeds=", 8) == 0)
			seed_count = strtoull(argv[i] + 8, NULL, 10);
	uint64_t seed = sim_seed_of(argc, argv, 0);
	if (seed) {
		seed_first = seed;
		seed_count = 1;
	}
	Suite *suite = suite_create("archive");
	TCase *lives = tcase_create("lives");
	tcase_set_timeout(lives, 120);
	tcase_add_loop_test(lives, a_complete_archive_is_always_left, 0,
		(int)((seed_count + BATCH - 1) / BATCH));
	suite_add_tcase(suite, lives);
	return test_run(suite);
}
