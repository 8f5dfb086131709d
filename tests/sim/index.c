/* SPDX-License-Identifier: Apache-2.0 */
/* The index over its log, through crashes and errors of disk and map.
 *
 * Clients put and delete keys, each key by one client at a time, so that what a key must hold is
 * known: what was answered last, or, when the answer was lost, that or the one before. Lives end by
 * a kill, often with the power too; each next one must find
 *   - every answered command, and none that was refused;
 *   - the same state hash at the same log index as in any life before;
 *   - the results that the session before was told and had not let go;
 *   - rows that agree with each other. */
#include <stdio.h>
#include <stdlib.h>

#include "storage/meta/consensus_single.h"
#include "storage/meta/index_priv.h"
#include "tests/lib/index_audit.h"
#include "tests/lib/sim.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/sim_kv.h"
#include "tests/lib/test.h"

enum {
	LOOPS = 2,
	KEYS = 24,
	LIVES = 6,
	HASHES = 4096,
	RESULTS = 4096,
	DRIVES = 3,
	SEEDS_FOR_FAILURES = 4, /* fewer may meet no failure at all */
};

static uint64_t seed_first = 1, seed_count = 5;

struct rig;

struct client {
	struct rig *rig;
	struct index_proposal proposal;
	uint8_t bytes[1024];
	unsigned key;
	uint64_t number; /* that is being put; 0: deletes */
	struct index_hold hold;
	bool is_busy, is_holding;
};

struct rig {
	uint64_t seed, random;
	struct sim *sim;
	struct sim_node *node;
	struct loop *loops[LOOPS];
	struct sim_disk *sim_disk;
	struct sim_kv *sim_kv;
	struct consensus_single_setup log;
	struct index_setup setup;
	struct index *index;
	struct index_reader *readers[LOOPS];
	struct client clients[KEYS];
	bool is_open, has_stopped;
	int failed_count;

	uint64_t bucket;
	uint64_t next_number;
	uint64_t known[KEYS]; /* number that the key holds; 0: nothing */
	uint64_t doubt[KEYS]; /* or this one; HOLD_NONE: no doubt */

	uint64_t hashes[HASHES]; /* by log index */
	struct {
		uint64_t session, sequence;
		struct command_result result;
	} results[RESULTS];
	size_t result_count;
	uint64_t answered, hashes_compared, results_compared, failures;
};

static uint64_t below(struct rig *rig, uint64_t n)
{
	return test_random(&rig->random) % n;
}

/* --- what must hold --------------------------------------------------------------------------- */

static uint64_t fold(const struct index_state_hash *hash)
{
	return sim_hash_bytes(hash->tables, sizeof hash->tables) | 1;
}

/* The same log index has the same state in every life. */
static void check_hash(struct rig *rig)
{
	struct index_state_hash hash;
	uint64_t published = buffer_published(rig->index->buffer);
	if ((published & PLACE_LAST) != PLACE_LAST || index_err(rig->index) != ERR_OK)
		return; /* in the middle of a group */
	index_state_hash(rig->index, &hash);
	ck_assert_uint_lt(hash.applied, HASHES);
	if (rig->hashes[hash.applied] != 0) {
		ck_assert_msg(rig->hashes[hash.applied] == fold(&hash),
			"seed %lu: another state at log index %lu", (unsigned long)rig->seed,
			(unsigned long)hash.applied);
		rig->hashes_compared++;
	}
	rig->hashes[hash.applied] = fold(&hash);
}

static struct bytes key_name(unsigned key, char buf[16])
{
	return bytes_make(buf, snprintf(buf, 16, "key %u", key));
}

/* The number that a key holds. */
static enum err look(
	struct rig *rig, struct index_reader *reader, unsigned key, uint64_t *ret_number)
{
	char name[16];
	struct object_info object;
	*ret_number = 0;
	enum err err = index_view_begin(reader);
	if (err != ERR_OK)
		return err;
	err = index_version_find(reader, rig->bucket, key_name(key, name), &object);
	if (err == ERR_OK)
		*ret_number = get_le64(object.row.etag.md5);
	index_view_end(reader);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void check_keys(struct rig *rig)
{
	for (unsigned key = 0; key < KEYS && rig->bucket != 0; key++) {
		uint64_t number;
		ck_assert_ok(look(rig, rig->readers[0], key, &number));
		ck_assert_msg(number == rig->known[key] || number == rig->doubt[key],
			"seed %lu: key %u has %lu, not %lu or %lu", (unsigned long)rig->seed, key,
			(unsigned long)number, (unsigned long)rig->known[key],
			(unsigned long)rig->doubt[key]);
		rig->known[key] = number;
		rig->doubt[key] = HOLD_NONE;
	}
}

/* Results that were told and not let go are still there, before a new session closes the old one.
 */
static void check_results(struct rig *rig)
{
	ck_assert_ok(index_view_begin(rig->readers[0]));
	for (size_t i = 0; i < rig->result_count; i++) {
		struct row_key key;
		struct bytes value;
		struct row_session session;
		struct command_result result;
		row_key_id(&key, TABLE_SESSION, rig->results[i].session);
		if (index_get(rig->readers[0], &key, &value) != ERR_OK)
			continue; /* closed */
		ck_assert_ok(row_session_decode(value, &session));
		if (rig->results[i].sequence < session.result_low)
			continue;
		row_key_result(&key, rig->results[i].session, rig->results[i].sequence);
		ck_assert_ok(index_get(rig->readers[0], &key, &value));
		ck_assert_ok(command_result_decode(value, &result));
		ck_assert_mem_eq(&result, &rig->results[i].result, sizeof result);
		rig->results_compared++;
	}
	index_view_end(rig->readers[0]);
	rig->result_count = 0;
}

/* --- clients ---------------------------------------------------------------------------------- */

static struct index_reader *reader_of(struct client *client)
{
	return client->rig->readers[client->key % LOOPS];
}

static void client_done(struct index_proposal *proposal)
{
	struct client *client = CONTAINER_OF(proposal, struct client, proposal);
	struct rig *rig = client->rig;
	client->is_busy = false;
	if (client->is_holding && proposal->err != ERR_UNKNOWN) {
		index_release_write(reader_of(client), &client->hold);
		client->is_holding = false;
	}
	if (proposal->err == ERR_UNKNOWN) {
		rig->doubt[client->key] = client->number;
		return;
	}
	if (proposal->err != ERR_OK)
		return; /* not done, and check_keys() holds us to it */
	ck_assert_uint_eq(proposal->result.code, COMMAND_OK);
	rig->known[client->key] = client->number;
	rig->answered++;
	if (rig->result_count < RESULTS) {
		rig->results[rig->result_count].session = proposal->session;
		rig->results[rig->result_count].sequence = proposal->sequence;
		rig->results[rig->result_count++].result = proposal->result;
	}
	uint64_t number;
	enum err err = look(rig, reader_of(client), client->key, &number);
	if (err == ERR_OK)
		ck_assert_uint_eq(number, client->number); /* (I2) */
	check_hash(rig);
}

static void add_extent(struct client *client, struct command *command)
{
	static uint8_t list[200];
	static const uint8_t drives[] = {1, 0, 2, 0, 3, 0};
	struct fields_out out = {.data = list, .cap = sizeof list};
	index_hold_write(reader_of(client), &client->hold);
	client->is_holding = true;
	struct command_extent extent = {
		.extent = index_extent_id_make(reader_of(client)),
		.k = 2,
		.m = 1,
		.unit_len = 4096,
		.len = 5000,
		.drives = bytes_make(drives, sizeof drives),
	};
	command_extent_append(&out, &extent);
	command->object_put.body.len = 5000;
	command->object_put.body.stored_len = 5000;
	command->object_put.body.extents = bytes_make(list, out.len);
}

static void send(struct client *client, const struct command *command)
{
	client->proposal = (struct index_proposal){
		.loop = client->rig->loops[client->key % LOOPS],
		.bytes = client->bytes,
		.done = client_done,
	};
	ck_assert_ok(command_encode(
		command, client->bytes, sizeof client->bytes, &client->proposal.len));
	client->is_busy = true;
	index_propose(client->rig->index, &client->proposal);
}

static void client_put(struct client *client)
{
	struct rig *rig = client->rig;
	char name[16];
	struct command command = {.type = COMMAND_OBJECT_PUT};
	client->number = ++rig->next_number;
	command.object_put.bucket = rig->bucket;
	command.object_put.key = key_name(client->key, name);
	put_le64(command.object_put.body.etag.md5, client->number);
	if (below(rig, 3) == 0 && index_session(rig->index) != 0) {
		add_extent(client, &command);
	} else {
		command.object_put.body.len = 8;
		command.object_put.body.inline_data = bytes_make("12345678", 8);
	}
	send(client, &command);
}

static void client_delete(struct client *client)
{
	static uint8_t list[100];
	char name[16];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command_delete item = {.key = key_name(client->key, name)};
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	command_delete_append(&out, &item);
	client->number = 0;
	command.object_delete.bucket = client->rig->bucket;
	command.object_delete.deletes = bytes_make(list, out.len);
	send(client, &command);
}

static void client_act(void *arg)
{
	struct client *client = arg;
	if (client->is_busy || client->rig->doubt[client->key] != HOLD_NONE)
		return;
	if (below(client->rig, 4) == 0)
		client_delete(client);
	else
		client_put(client);
}

/* --- single commands -------------------------------------------------------------------------- */

struct single {
	struct index_proposal proposal;
	uint8_t bytes[64 * 1024];
	bool is_done;
};

static struct single single;

static void single_done(struct index_proposal *proposal)
{
	CONTAINER_OF(proposal, struct single, proposal)->is_done = true;
}

static bool is_set(void *arg)
{
	return *(bool *)arg;
}

/* Proposes and waits for the end, while the clients' commands go on. */
static enum err propose(
	struct rig *rig, const struct command *command, struct command_result *result)
{
	single.is_done = false;
	single.proposal = (struct index_proposal){
		.loop = rig->loops[0], .bytes = single.bytes, .done = single_done};
	ck_assert_ok(
		command_encode(command, single.bytes, sizeof single.bytes, &single.proposal.len));
	index_propose(rig->index, &single.proposal);
	if (!sim_run_until(rig->sim, is_set, &single.is_done, 60000))
		return ERR_TIMEOUT;
	*result = single.proposal.result;
	return single.proposal.err;
}

/* One bucket, three drives and a ring: in a life without faults. */
static void make_cluster(struct rig *rig)
{
	static uint8_t slots[RING_SLOTS_DEFAULT * DRIVES * 2];
	static uint8_t bytes[sizeof slots + 100];
	struct ring_drive_info drives[DRIVES] = {0};
	struct command_result result;
	for (unsigned i = 0; i < DRIVES; i++) {
		struct command add = {.type = COMMAND_DRIVE_ADD};
		add.drive_add.drive.bytes[0] = i + 1;
		add.drive_add.weight = 1000;
		ck_assert_ok(propose(rig, &add, &result));
		drives[i] = (struct ring_drive_info){.number = result.id, .weight = 1000};
	}
	struct ring ring;
	struct command set = {.type = COMMAND_RING_SET};
	ck_assert_ok(ring_plan_initial(drives, DRIVES, (struct ring_profile){2, 1},
		RING_DOMAIN_DRIVE, RING_SLOTS_DEFAULT, slots, &ring));
	set.ring_set.ring.data = bytes;
	ck_assert_ok(ring_encode(&ring, bytes, sizeof bytes, &set.ring_set.ring.len));
	ck_assert_ok(propose(rig, &set, &result));
	ck_assert_uint_eq(result.code, COMMAND_OK);
	struct command create = {.type = COMMAND_BUCKET_CREATE};
	create.bucket_create.name = bytes_of("bucket");
	create.bucket_create.owner = bytes_of("owner");
	ck_assert_ok(propose(rig, &create, &result));
	rig->bucket = result.id;
}

/* A step of the collector. ERR_NOT_FOUND: there is nothing to collect. */
static enum err collect(struct rig *rig)
{
	struct index_garbage garbage;
	struct command_result result;
	struct command command = {.type = COMMAND_GARBAGE_DONE};
	err_ignore(index_report(rig->index)); /* one may be on its way */
	enum err err = index_view_begin(rig->readers[0]);
	if (err != ERR_OK)
		return err;
	err = index_garbage_next(rig->readers[0], 0, 0, 0, &garbage);
	index_view_end(rig->readers[0]);
	if (err != ERR_OK)
		return err;
	command.garbage_done.log_index = garbage.log_index;
	command.garbage_done.kind = garbage.kind;
	command.garbage_done.id = garbage.id;
	return propose(rig, &command, &result);
}

/* --- lives ------------------------------------------------------------------------------------ */

static void index_failed(void *arg, enum err err)
{
	struct rig *rig = arg;
	ck_assert_int_ne(err, ERR_OK);
	rig->failed_count++;
}

static void index_opened(void *arg, enum err err)
{
	struct rig *rig = arg;
	rig->is_open = err == ERR_OK;
}

static void rig_open(struct rig *rig, uint64_t seed)
{
	memset(rig, 0, sizeof *rig);
	rig->seed = rig->random = seed;
	rig->sim = sim_new(seed);
	rig->node = sim_node_new(rig->sim, "node");
	for (int i = 0; i < LOOPS; i++)
		rig->loops[i] = sim_node_loop(rig->node);
	rig->sim_disk = sim_disk_new(rig->node, "disk", 0);
	rig->sim_kv = sim_kv_new(rig->node, 0);
	rig->log = (struct consensus_single_setup){
		.log = {.disk = sim_disk_base(rig->sim_disk),
			.state_disk = sim_disk_base(rig->sim_disk),
			.loop = sim_node_loop(rig->node),
			.worker = sim_node_worker(rig->node),
			.random = sim_node_random(rig->node),
			.trace = sim_node_trace(rig->node),
			.segment_len = 64 * 1024},
		.clock = sim_node_clock(rig->node),
	};
	ck_assert_ok(log_create(&rig->log.log));
	rig->setup = (struct index_setup){
		.apply = sim_node_loop(rig->node),
		.committer = sim_node_loop(rig->node),
		.clock = sim_node_clock(rig->node),
		.random = sim_node_random(rig->node),
		.trace = sim_node_trace(rig->node),
		.node = {"node"},
		.settings = {.rows_max = 1 + below(rig, 300),
			.idle_ms = 1 + below(rig, 1000),
			.is_alone = true},
		.failed = index_failed,
		.failed_arg = rig,
	};
	for (unsigned key = 0; key < KEYS; key++)
		rig->doubt[key] = HOLD_NONE;
}

static void start(struct rig *rig)
{
	rig->failed_count = 0;
	rig->is_open = false;
	rig->setup.kv = sim_kv_open(rig->sim_kv);
	ck_assert_ok(consensus_single_open(&rig->log, &rig->setup.consensus));
	ck_assert_ok(index_open(&rig->setup, &rig->index));
	check_hash(rig);
	for (int i = 0; i < LOOPS; i++)
		ck_assert_ok(index_reader_open(rig->index, &rig->readers[i]));
	check_results(rig);
	check_keys(rig);
	index_audit(rig->index, rig->readers[0]);
	for (unsigned key = 0; key < KEYS; key++)
		rig->clients[key] = (struct client){.rig = rig, .key = key};
	index_start(rig->index, index_opened, rig);
}

static void plan_faults(struct rig *rig)
{
	static const enum sim_kv_fault faults[] = {
		SIM_KV_COMMIT_IO, SIM_KV_READ_IO, SIM_KV_CORRUPT, SIM_KV_FULL};
	static const unsigned calls[] = {6, 3000, 3000, 1500};
	uint64_t which = below(rig, 8);
	if (which < ARRAY_COUNT(faults))
		sim_kv_fail_nth(rig->sim_kv, faults[which], 1 + below(rig, calls[which]));
	else if (which == ARRAY_COUNT(faults))
		sim_disk_fail_nth(rig->sim_disk, SIM_WRITE, 1 + below(rig, 300), SIM_EIO);
}

static void live(struct rig *rig, unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		struct client *client = &rig->clients[below(rig, KEYS)];
		sim_call(rig->sim, rig->loops[client->key % LOOPS], client_act, client);
		for (uint64_t steps = below(rig, 12); steps > 0; steps--)
			sim_step(rig->sim);
		if (below(rig, 30) == 0)
			err_ignore(collect(rig)); /* it may have failed already */
		if (below(rig, 100) == 0)
			sim_run_ms(rig->sim, below(rig, 1500));
	}
}

static void stopped(void *arg)
{
	((struct rig *)arg)->has_stopped = true;
}

static bool are_all_idle(void *arg)
{
	const struct rig *rig = arg;
	for (unsigned key = 0; key < KEYS; key++) {
		if (rig->clients[key].is_busy)
			return false;
	}
	return true;
}

/* An orderly end, also of a member that has failed. */
static void stop(struct rig *rig)
{
	rig->has_stopped = false;
	consensus_stop(rig->setup.consensus, stopped, rig);
	ck_assert(sim_run_until(rig->sim, is_set, &rig->has_stopped, 60000));
	ck_assert(sim_run_until(rig->sim, are_all_idle, rig, 60000));
	sim_run_ms(rig->sim, 5000);
	for (unsigned key = 0; key < KEYS; key++) {
		struct client *client = &rig->clients[key];
		if (client->is_holding)
			index_release_write(reader_of(client), &client->hold);
	}
	for (int i = 0; i < LOOPS; i++)
		index_reader_close(rig->readers[i]);
	index_close(rig->index);
	consensus_close(rig->setup.consensus);
	kv_close(rig->setup.kv);
	sim_node_kill(rig->node);
	sim_disk_heal(rig->sim_disk);
	sim_kv_heal(rig->sim_kv);
}

static void die(struct rig *rig)
{
	sim_node_kill(rig->node);
	if (below(rig, 2) == 0)
		sim_disk_crash(rig->sim_disk);
	sim_disk_heal(rig->sim_disk);
	sim_kv_heal(rig->sim_kv);
	for (unsigned key = 0; key < KEYS; key++) {
		if (rig->clients[key].is_busy)
			rig->doubt[key] = rig->clients[key].number;
	}
	sim_bury(rig->index);
	sim_bury(rig->setup.consensus);
	for (int i = 0; i < LOOPS; i++)
		sim_bury(rig->readers[i]);
}

/* The last life: nothing fails any more, everything ends, and nothing is left over. */
static void last_life(struct rig *rig)
{
	start(rig);
	ck_assert(sim_run_until(rig->sim, is_set, &rig->is_open, 60000));
	live(rig, 200);
	ck_assert(sim_run_until(rig->sim, are_all_idle, rig, 60000));
	enum err err;
	for (int steps = 0; (err = collect(rig)) == ERR_OK; steps++) {
		sim_run_ms(rig->sim, 10);
		ck_assert_int_lt(steps, 2000);
	}
	ck_assert_err(err, ERR_NOT_FOUND);
	check_keys(rig);
	index_audit(rig->index, rig->readers[0]);
	index_audit_is_clean(rig->readers[0]);
	ck_assert_int_eq(rig->failed_count, 0);
	stop(rig);
}

static void run_seed(struct rig *rig, uint64_t seed)
{
	rig_open(rig, seed);
	start(rig);
	make_cluster(rig);
	for (int i = 0; i < LIVES; i++) {
		if (i > 0)
			start(rig);
		plan_faults(rig);
		live(rig, 1 + below(rig, 400));
		ck_assert_int_le(rig->failed_count, 1);
		rig->failures += rig->failed_count;
		if (below(rig, 3) == 0)
			stop(rig);
		else
			die(rig);
	}
	last_life(rig);
	sim_kv_free(rig->sim_kv);
	sim_disk_free(rig->sim_disk);
	sim_free(rig->sim);
}

START_TEST(what_was_answered_is_there_in_every_life)
{
	static struct rig rig;
	uint64_t answered = 0, hashes = 0, results = 0, failures = 0;
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		run_seed(&rig, seed);
		answered += rig.answered;
		hashes += rig.hashes_compared;
		results += rig.results_compared;
		failures += rig.failures;
	}
	printf("answered %lu, states compared %lu, results compared %lu\n", (unsigned long)answered,
		(unsigned long)hashes, (unsigned long)results);
	ck_assert_uint_gt(answered, 100 * seed_count);
	ck_assert_uint_gt(hashes, seed_count);
	ck_assert_uint_gt(results, seed_count);
	if (seed_count >= SEEDS_FOR_FAILURES)
		ck_assert_uint_gt(failures, seed_count / 3);
}
END_TEST

int main(int argc, char **argv)
{
	const char *seeds = getenv("SEEDS");
	uint64_t seed = sim_seed_of(argc, argv, 0);
	if (seeds || seed != 0)
		seed_count = seed != 0 ? 1 : strtoull(seeds, NULL, 10);
	if (seed != 0)
		seed_first = seed;
	Suite *suite = suite_create("index");
	TCase *tc = tcase_create("index");
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, what_was_answered_is_there_in_every_life);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
