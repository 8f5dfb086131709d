/* SPDX-License-Identifier: Apache-2.0 */
/* One drive under random load and faults, from a seed: writers, readers, frees and compaction,
 * lives that end in order, by a kill, or by a power cut, and starts that are cut off too.
 *
 * Oracles:
 *  - no read ever returns bytes other than were written;
 *  - what was sealed is read after every start, while the disk keeps its promises;
 *  - what was freed stays gone;
 *  - the drive's list agrees with a reader of segments of its own, and its space with its list;
 *  - every job ends, and after a quiet while nothing is uncommitted.
 *
 *	drive               SEEDS seeds from 0 on
 *	drive --seed=N      one seed, told about
 *	drive N COUNT       COUNT seeds from N on */
#include "storage/drive/drive.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/drive_totals.h"
#include "tests/lib/segment_reader.h"
#include "tests/lib/sim_drive.h"
#include "tests/lib/test.h"

enum { SEEDS = 12 };
enum { SEEDS_FOR_ALL_FAULTS = 100, LIVES = 5, JOBS_MAX = 10, SHARDS_MAX = 400 };

enum mode {
	MODE_CRASH, /* the disk keeps its promises */
	MODE_ERRORS, /* calls fail */
	MODE_FULL, /* there is little space */
	MODE_KV, /* the location table fails */
	MODE_DAMAGE, /* writes are lost, torn or misdirected, flushes lie, bits rot */
	MODES,
};

enum shard_state {
	SHARD_WRITING,
	SHARD_SEALED,
	SHARD_FREEING,
	SHARD_FREED,
	SHARD_UNKNOWN, /* was being written or freed when its life ended */
	SHARD_NONE, /* was never sealed and is not there */
};

struct shard {
	enum shard_state state;
	struct extent_id extent;
	uint8_t index;
	uint64_t len;
	bool was_sealed;
	bool is_rewritten; /* a job writes it again */
};

struct world {
	struct sim_drive rig;
	enum mode mode;
	uint64_t random;
	bool is_verbose;
	struct shard shards[SHARDS_MAX];
	size_t shard_count;
	struct drive_job *jobs[JOBS_MAX];
	struct drive_totals totals;
	bool has_lost; /* a start could not read all that it had to */
};

static uint64_t below(struct world *world, uint64_t n)
{
	return test_random(&world->random) % n;
}

/* Does the disk break promises that durability rests on? */
static bool is_excused(const struct world *world)
{
	return world->mode == MODE_DAMAGE || world->has_lost;
}

#define SAY(world, ...) \
	do { \
		if ((world)->is_verbose) \
			fprintf(stderr, __VA_ARGS__); \
	} while (0)

/* --- jobs ------------------------------------------------------------------------------------- */

static void broken(const struct shard *shard, const char *what, enum err err)
{
	ck_abort_msg("shard %ju.%u in state %d: %s: %s", (uintmax_t)shard->extent.counter,
		shard->index, shard->state, what, err_name(err));
}

static void write_done(struct world *world, struct shard *shard, const struct drive_job *job)
{
	if (job->err == ERR_OK) {
		shard->state = SHARD_SEALED;
		shard->was_sealed = true;
	} else if (!shard->was_sealed) {
		shard->state = SHARD_UNKNOWN;
	}
	shard->is_rewritten = false;
	world->totals.full += job->err == ERR_NO_SPACE;
	if (job->err == ERR_NO_SPACE && world->mode != MODE_FULL)
		broken(shard, "write", job->err);
}

static void read_done(struct world *world, struct shard *shard, const struct drive_job *job)
{
	if (job->is_wrong)
		broken(shard, "wrong bytes", ERR_OK);
	bool was_there = shard->state == SHARD_SEALED;
	bool may_fail = world->mode == MODE_ERRORS || world->mode == MODE_KV || is_excused(world);
	if (job->err != ERR_OK && was_there && !may_fail)
		broken(shard, "read", job->err);
}

static void free_done(struct shard *shard, const struct drive_job *job)
{
	shard->state = job->err == ERR_OK ? SHARD_FREED : SHARD_UNKNOWN;
}

static void job_done(struct drive_job *job)
{
	struct world *world = CONTAINER_OF(job->rig, struct world, rig);
	struct shard *shard = job->arg;
	if (job->kind == JOB_WRITE)
		write_done(world, shard, job);
	else if (job->kind == JOB_READ)
		read_done(world, shard, job);
	else
		free_done(shard, job);
}

static void reap(struct world *world)
{
	for (size_t i = 0; i < JOBS_MAX; i++) {
		if (!world->jobs[i] || !world->jobs[i]->is_done)
			continue;
		drive_job_fini(world->jobs[i]);
		free(world->jobs[i]);
		world->jobs[i] = NULL;
	}
}

static bool all_done(void *arg)
{
	struct world *world = arg;
	for (size_t i = 0; i < JOBS_MAX; i++) {
		if (world->jobs[i] && !world->jobs[i]->is_done)
			return false;
	}
	return true;
}

static void drop_jobs(struct world *world)
{
	for (size_t i = 0; i < JOBS_MAX; i++) {
		struct drive_job *job = world->jobs[i];
		if (!job)
			continue;
		struct shard *shard = job->arg;
		if (!job->is_done && job->kind == JOB_FREE)
			shard->state = SHARD_UNKNOWN;
		if (!job->is_done && job->kind == JOB_WRITE && !shard->was_sealed)
			shard->state = SHARD_UNKNOWN;
		shard->is_rewritten = false;
		drive_job_fini(job);
		free(job);
		world->jobs[i] = NULL;
	}
}

static struct drive_job *job_new(struct world *world, enum job_kind kind, struct shard *shard)
{
	struct drive_job *job = calloc(1, sizeof *job);
	ck_assert_ptr_nonnull(job);
	job->rig = &world->rig;
	job->loop = world->rig.loops[below(world, 2) ? 2 : below(world, 2) ? 3 : 0];
	job->kind = kind;
	job->extent = shard->extent;
	job->index = shard->index;
	job->arg = shard;
	job->done = job_done;
	return job;
}

static struct drive_job *write_job(struct world *world, struct shard *shard)
{
	struct drive_job *job = job_new(world, JOB_WRITE, shard);
	job->len = shard->len;
	job->piece_len = (1 + below(world, 4)) * (16 << 10);
	job->depth = 1 + below(world, JOB_DEPTH_MAX);
	if (below(world, 10) == 0)
		job->abort_at = 1 + below(world, shard->len);
	return job;
}

static struct drive_job *new_write(struct world *world)
{
	if (world->shard_count == SHARDS_MAX)
		return NULL;
	struct shard *shard = &world->shards[world->shard_count];
	uint64_t pages = below(world, 3) ? 1 + below(world, 12) : 1 + below(world, 60);
	*shard = (struct shard){
		.state = SHARD_WRITING,
		.extent = {7, world->shard_count++},
		.index = below(world, 3),
		.len = pages * 4096,
	};
	return write_job(world, shard);
}

/* A shard in a state, of those that nobody is changing. */
static struct shard *choose(struct world *world, enum shard_state state)
{
	for (unsigned i = 0; i < 20 && world->shard_count > 0; i++) {
		struct shard *shard = &world->shards[below(world, world->shard_count)];
		if (shard->state == state && !shard->is_rewritten)
			return shard;
	}
	return NULL;
}

static struct drive_job *new_read(struct world *world)
{
	struct shard *shard = choose(world, SHARD_SEALED);
	if (!shard)
		return NULL;
	struct drive_job *job = job_new(world, JOB_READ, shard);
	uint64_t blocks = (shard->len + (16 << 10) - 1) / (16 << 10);
	uint64_t first = below(world, blocks);
	uint64_t count = 1 + below(world, blocks - first);
	job->start = first * (16 << 10);
	job->len = count * (16 << 10);
	if (job->start + job->len > shard->len)
		job->len = shard->len - job->start;
	job->is_cached = below(world, 2);
	return job;
}

static struct drive_job *new_free(struct world *world)
{
	struct shard *shard = choose(world, below(world, 4) ? SHARD_SEALED : SHARD_UNKNOWN);
	if (!shard)
		return NULL;
	shard->state = SHARD_FREEING;
	return job_new(world, JOB_FREE, shard);
}

/* As repair does when a shard is damaged. */
static struct drive_job *new_rewrite(struct world *world)
{
	struct shard *shard = choose(world, SHARD_SEALED);
	if (!shard)
		return NULL;
	shard->is_rewritten = true;
	return write_job(world, shard);
}

static void start_job(struct world *world, unsigned free_share)
{
	size_t slot = 0;
	while (slot < JOBS_MAX && world->jobs[slot])
		slot++;
	if (slot == JOBS_MAX)
		return;
	uint64_t dice = below(world, 100);
	struct drive_job *job;
	if (dice < 30)
		job = new_read(world);
	else if (dice < 30 + free_share)
		job = new_free(world);
	else if (dice < 33 + free_share)
		job = new_rewrite(world);
	else
		job = new_write(world);
	if (!job)
		return;
	world->jobs[slot] = job;
	world->totals.ops++;
	drive_job_start(job);
}

/* --- what must hold --------------------------------------------------------------------------- */

struct census {
	struct world *world;
	struct shard_entry entries[SHARDS_MAX];
	size_t count;
	bool is_found[SHARDS_MAX];
};

static struct shard *shard_of(struct world *world, uint64_t session, uint64_t counter)
{
	ck_assert_uint_eq(session, 7);
	ck_assert_uint_lt(counter, world->shard_count);
	return &world->shards[counter];
}

static void found_record(void *arg, const struct segment_record *record)
{
	struct census *census = arg;
	struct shard *shard = shard_of(census->world, record->session, record->counter);
	ck_assert_uint_eq(record->shard_len, shard->len);
	ck_assert_uint_eq(record->index, shard->index);
	for (size_t i = 0; i < census->count; i++) {
		const struct shard_entry *entry = &census->entries[i];
		if (entry->segment != record->segment || entry->offset != record->offset)
			continue;
		census->is_found[i] = true;
		if (is_excused(census->world))
			continue; /* it may be one of an earlier life, whose end was lost */
		ck_assert_uint_eq(entry->record_len, record->record_len);
		ck_assert_uint_eq(entry->extent.counter, record->counter);
		if (shard->state == SHARD_SEALED)
			ck_assert_uint_eq(record->bad_blocks, 0);
	}
}

/* The list, a reader of segments, and the space used tell the same. */
static void take_census(struct world *world)
{
	struct census *census = calloc(1, sizeof *census);
	ck_assert_ptr_nonnull(census);
	census->world = world;
	ck_assert_ok(drive_list(world->rig.drive, (struct extent_id){0, 0}, 0, census->entries,
		SHARDS_MAX, &census->count));
	uint64_t used = 0;
	for (size_t i = 0; i < census->count; i++) {
		const struct shard_entry *entry = &census->entries[i];
		shard_of(world, entry->extent.session, entry->extent.counter);
		used += entry->record_len;
	}
	struct drive_space space;
	drive_space(world->rig.drive, &space);
	ck_assert_uint_eq(space.used, used);
	segment_reader_run(sim_disk_base(world->rig.disk), found_record, census);
	/* After a flush failed nothing is known of what was never acknowledged, also not by a start
	 * that flushes again. */
	bool has_failed = sim_disk_stats(world->rig.disk)->faults[SIM_EIO] > 0;
	for (size_t i = 0; i < census->count && !is_excused(world); i++) {
		const struct shard_entry *entry = &census->entries[i];
		if (has_failed && world->shards[entry->extent.counter].state != SHARD_SEALED)
			continue;
		ck_assert_msg(census->is_found[i],
			"extent %ju, in state %d, is listed at %ju:%ju and not there",
			(uintmax_t)entry->extent.counter,
			world->shards[entry->extent.counter].state, (uintmax_t)entry->segment,
			(uintmax_t)entry->offset);
	}
	free(census);
}

static void check_shard(struct world *world, struct shard *shard)
{
	bool cached = below(world, 2);
	enum err err = sim_drive_read(
		&world->rig, shard->extent, shard->index, 0, shard->len, cached);
	if (err == ERR_COUNT)
		broken(shard, "wrong bytes after a start", err);
	bool is_gone = err == ERR_NOT_FOUND;
	bool is_good = err == ERR_OK;
	switch (shard->state) {
	case SHARD_SEALED:
		if (!is_good && !is_excused(world))
			broken(shard, "sealed and not read after a start", err);
		break;
	case SHARD_FREED:
	case SHARD_NONE:
		if (!is_gone && !is_excused(world))
			broken(shard, "gone and back after a start", err);
		break;
	case SHARD_UNKNOWN:
		if (!is_good && !is_gone && err != ERR_CHECKSUM && !is_excused(world))
			broken(shard, "not known after a start", err);
		if (is_gone)
			shard->state = shard->was_sealed ? SHARD_FREED : SHARD_NONE;
		break;
	case SHARD_WRITING:
	case SHARD_FREEING:
		broken(shard, "left over", err);
	}
}

static void check_all(struct world *world)
{
	struct drive_counters counters;
	drive_counters(world->rig.drive, &counters);
	if (counters.unreadable_len > 0)
		world->has_lost = true;
	take_census(world);
	for (size_t i = 0; i < world->shard_count; i++)
		check_shard(world, &world->shards[i]);
}

/* --- lives ------------------------------------------------------------------------------------ */

static void set_odds(struct world *world)
{
	unsigned(*odds)[SIM_FAULTS] = sim_disk_per_mille(world->rig.disk);
	unsigned rare = 1 + below(world, 4);
	odds[SIM_SYNC][SIM_SLOW] = odds[SIM_WRITE][SIM_SLOW] = odds[SIM_READ][SIM_SLOW] = 10;
	if (world->mode == MODE_ERRORS) {
		sim_disk_all_odds(world->rig.disk, 0);
		for (size_t i = 0; i < SIM_CALLS; i++)
			odds[i][SIM_EIO] = i == SIM_LIST ? 0 : rare;
	}
	if (world->mode == MODE_DAMAGE) {
		odds[SIM_WRITE][SIM_LOST] = 3 * rare;
		odds[SIM_WRITE][SIM_TORN] = 3 * rare;
		odds[SIM_WRITE][SIM_MISDIRECTED] = 3 * rare;
		odds[SIM_READ][SIM_ROT] = 3 * rare;
		odds[SIM_SYNC][SIM_LIES] = 100;
	}
	if (world->mode == MODE_KV) {
		sim_kv_set_odds(world->rig.kv, SIM_KV_BEGIN_IO, rare);
		sim_kv_set_odds(world->rig.kv, SIM_KV_READ_IO, rare);
		sim_kv_set_odds(world->rig.kv, SIM_KV_WRITE_IO, rare);
		sim_kv_set_odds(world->rig.kv, SIM_KV_FULL, rare);
		sim_kv_set_odds(world->rig.kv, SIM_KV_COMMIT_IO, 10 * rare);
	}
}

static void heal(struct world *world)
{
	sim_disk_heal(world->rig.disk);
	sim_kv_heal(world->rig.kv);
}

/* A start that may be cut off at any call, twice, and then one that is not. False: the disk broke
 * what no start can do without. */
static bool start_life(struct world *world)
{
	struct sim_drive *rig = &world->rig;
	for (unsigned i = below(world, 3); i > 0; i--) {
		set_odds(world);
		if (below(world, 2))
			sim_disk_fail_nth(rig->disk, SIM_ANY_CALL, 1 + below(world, 40), SIM_EIO);
		if (sim_drive_open(rig) != ERR_OK) {
			heal(world);
			continue;
		}
		struct drive_counters counters;
		drive_counters(rig->drive, &counters);
		if (counters.unreadable_len > 0)
			world->has_lost = true;
		heal(world);
		sim_drive_kill(rig, below(world, 2));
	}
	heal(world);
	enum err err = sim_drive_open(rig);
	if (err != ERR_OK && world->mode == MODE_DAMAGE)
		return false;
	ck_assert_ok(err);
	return true;
}

static void note_counters(struct world *world)
{
	struct drive_counters counters;
	drive_counters(world->rig.drive, &counters);
	world->totals.moved += counters.moved;
	world->totals.recycled += counters.segments_recycled;
	world->totals.punched += counters.punched_len;
	world->totals.rereads += counters.reread;
	world->totals.fences += drive_state(world->rig.drive) == DRIVE_FENCED;
}

static void end_life(struct world *world)
{
	struct sim_drive *rig = &world->rig;
	bool in_order = below(world, 3) == 0;
	if (in_order) {
		ck_assert_msg(
			sim_run_until(rig->sim, all_done, world, 120000), "a job does not end");
		reap(world);
		sim_run_ms(rig->sim, 3000);
	}
	note_counters(world);
	heal(world);
	if (in_order) {
		sim_drive_close(rig);
		SAY(world, "closed\n");
	} else {
		bool power = below(world, 3) > 0;
		sim_drive_kill(rig, power);
		drop_jobs(world);
		world->totals.crashes += power;
		SAY(world, "killed, power %d\n", power);
	}
}

static void live(struct world *world)
{
	struct sim_drive *rig = &world->rig;
	check_all(world);
	set_odds(world);
	unsigned free_share = 15 + below(world, 30);
	uint64_t steps = 20 + below(world, 150);
	for (uint64_t i = 0; i < steps; i++) {
		start_job(world, free_share);
		if (below(world, 3) == 0)
			sim_run_ms(rig->sim, below(world, 8));
		if (below(world, 40) == 0)
			drive_commit(rig->drive);
		reap(world);
		if (drive_state(rig->drive) == DRIVE_FENCED && below(world, 10) == 0)
			break;
	}
	if (world->mode == MODE_CRASH || world->mode == MODE_FULL)
		ck_assert_int_eq(drive_state(rig->drive), DRIVE_UP);
	end_life(world);
}

static struct drive_settings settings_of(struct world *world)
{
	return (struct drive_settings){
		.segment_len = (4 + below(world, 5)) * (128 << 10),
		.commit_ms = 1 + below(world, 100),
		.max_uncommitted = 4 + below(world, 200),
		.compact_percent = 10 + below(world, 60),
		.reserve_len = 256 << 10,
	};
}

/* Runs one seed; the hash of all that happened. */
static uint64_t run(uint64_t seed, bool is_verbose, struct drive_totals *totals)
{
	struct world *world = calloc(1, sizeof *world);
	ck_assert_ptr_nonnull(world);
	world->random = seed;
	world->is_verbose = is_verbose;
	world->mode = below(world, MODES);
	struct drive_settings settings = settings_of(world);
	uint64_t capacity = world->mode == MODE_FULL ? 6 * settings.segment_len : 0;
	SAY(world, "seed %ju: mode %d\n", (uintmax_t)seed, world->mode);
	sim_drive_init(&world->rig, seed, capacity, &settings);
	bool is_open = true;
	for (unsigned i = 0; i < LIVES && is_open; i++) {
		is_open = start_life(world);
		if (is_open)
			live(world);
		world->totals.lives++;
	}
	if (is_open && start_life(world)) {
		check_all(world);
		sim_drive_close(&world->rig);
	}
	world->totals.no_start += !is_open;
	drive_totals_note_faults(&world->totals, &world->rig);
	drive_totals_add(totals, &world->totals);
	uint64_t hash = sim_trace_hash(world->rig.sim);
	sim_drive_fini(&world->rig);
	free(world);
	return hash;
}

static uint64_t first_seed;
static uint64_t seed_count = SEEDS;

START_TEST(a_drive_keeps_its_promises_from_any_seed)
{
	struct drive_totals totals = {0};
	bool is_single = seed_count == 1;
	for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
		fprintf(stderr, "seed %ju\n", (uintmax_t)seed);
		uint64_t hash = run(seed, is_single, &totals);
		if (seed % 20 == 0 || is_single) {
			struct drive_totals ignored = {0};
			ck_assert_msg(run(seed, false, &ignored) == hash, "seed %ju differs",
				(uintmax_t)seed);
		}
	}
	drive_totals_print(&totals);
	if (seed_count >= SEEDS_FOR_ALL_FAULTS)
		drive_totals_check(&totals);
}
END_TEST

int main(int argc, char **argv)
{
	first_seed = sim_seed_of(argc, argv, 0);
	if (argc == 2)
		seed_count = 1;
	if (argc == 3) {
		first_seed = strtoull(argv[1], NULL, 10);
		seed_count = strtoull(argv[2], NULL, 10);
	}
	Suite *suite = suite_create("drive");
	TCase *tc = tcase_create("drive");
	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, a_drive_keeps_its_promises_from_any_seed);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
