/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_store.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

enum {
	SEGMENT_LEN = 1 << 20,
	POOL_LEN = 2 << 20,
	WAIT_MS = 60000,
	PATIENCE_MS = 2000, /* of a node that stops */
};

void sim_store_init(struct sim_store *rig, uint64_t seed, const struct sim_store_options *options)
{
	assert(options->drive_count > 0 && options->drive_count <= SIM_STORE_DRIVES_MAX);
	memset(rig, 0, sizeof *rig);
	rig->options = *options;
	if (options->segment_len == 0)
		rig->options.segment_len = SEGMENT_LEN;
	if (!options->sim)
		rig->options.node_id = (struct id){{0xe1}};
	rig->sim = options->sim ? options->sim : sim_new(seed);
	rig->node = sim_node_new(rig->sim, options->sim ? options->name : "node");
	for (unsigned i = 0; i < SIM_STORE_LOOPS; i++)
		rig->loops[i] = sim_node_loop(rig->node);
	for (unsigned i = 0; options->net && i < SIM_STORE_LOOPS; i++)
		rig->peers[i] = sim_net_peers(
			options->net, rig->node, rig->loops[i], options->node_id, 0);
	rig->log_loop = sim_node_loop(rig->node);
	rig->apply_loop = sim_node_loop(rig->node);
	rig->commit_loop = sim_node_loop(rig->node);
	rig->state = sim_disk_new(rig->node, "state", 0);
	rig->index_kv = sim_kv_new(rig->node, 0);
	if (options->watch)
		rig->log_peers = sim_net_peers(
			options->net, rig->node, rig->log_loop, options->node_id, 1);
	sim_store_found(rig);
	for (unsigned i = 0; i < options->drive_count; i++)
		sim_store_make_drive(rig, i);
}

void sim_store_fini(struct sim_store *rig)
{
	assert(!rig->life);
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		sim_kv_free(rig->drives[i].locations);
		sim_disk_free(rig->drives[i].disk);
	}
	sim_kv_free(rig->index_kv);
	sim_kv_free(rig->staged);
	sim_kv_free(rig->replaced);
	sim_disk_free(rig->state);
	if (!rig->options.sim)
		sim_free(rig->sim);
}

/* --- proposing from outside the loops --------------------------------------------------------- */

struct waiting {
	struct index_proposal proposal;
	struct index *index;
	uint8_t bytes[16 * 1024];
	bool is_done;
};

static void proposal_done(struct index_proposal *proposal)
{
	CONTAINER_OF(proposal, struct waiting, proposal)->is_done = true;
}

static void propose(void *arg)
{
	struct waiting *waiting = arg;
	index_propose(waiting->index, &waiting->proposal);
}

static bool is_answered(void *arg)
{
	return ((struct waiting *)arg)->is_done;
}

enum err sim_store_propose(
	struct sim_store *rig, const struct command *command, struct command_result *ret_result)
{
	struct waiting *waiting = sim_must(calloc(1, sizeof *waiting));
	waiting->index = rig->index;
	waiting->proposal.loop = rig->loops[0];
	waiting->proposal.bytes = waiting->bytes;
	waiting->proposal.done = proposal_done;
	ck_assert_ok(command_encode(
		command, waiting->bytes, sizeof waiting->bytes, &waiting->proposal.len));
	sim_call(rig->sim, rig->loops[0], propose, waiting);
	if (!sim_run_until(rig->sim, is_answered, waiting, WAIT_MS)) {
		sim_bury(waiting);
		return ERR_TIMEOUT;
	}
	enum err err = waiting->proposal.err;
	if (err == ERR_OK) {
		*ret_result = waiting->proposal.result;
		err = command_code_err(ret_result->code);
	}
	free(waiting);
	return err;
}

/* --- starting --------------------------------------------------------------------------------- */

static void index_failed(void *arg, enum err err)
{
	struct sim_store *rig = arg;
	ck_assert_int_ne(err, ERR_OK);
	ck_assert_int_eq(rig->failed, ERR_OK); /* it says so once */
	rig->failed = err;
}

static enum err open_index(struct sim_store *rig)
{
	enum err err = sim_store_open_consensus(rig);
	if (err != ERR_OK)
		return err;
	rig->kv = sim_kv_open(rig->index_kv);
	if (rig->mirror)
		err = sim_store_restore_index(rig);
	if (err != ERR_OK)
		return err;
	struct index_setup setup = {
		.kv = rig->kv,
		.disk = sim_disk_base(rig->state),
		.consensus = rig->consensus,
		.apply = rig->apply_loop,
		.committer = rig->commit_loop,
		.clock = sim_node_clock(rig->node),
		.random = sim_node_random(rig->node),
		.trace = sim_node_trace(rig->node),
		.node = rig->options.node_id,
		.settings = {.is_alone = !rig->options.order && !rig->options.watch,
			.idle_ms = 200,
			.log_len = SIM_STORE_LOG_LEN},
		.log_disk = rig->mirror ? log_mirror_disk(rig->mirror) : NULL,
		.failed = index_failed,
		.committed = rig->mirror ? sim_store_committed : NULL,
		.failed_arg = rig,
	};
	err = index_open(&setup, &rig->index);
	if (err == ERR_OK && rig->options.watch)
		sim_store_attach_raft(rig);
	if (err == ERR_OK)
		index_state_hash(rig->index, &rig->replayed);
	return err != ERR_OK ? err : index_reader_open(rig->index, &rig->reader);
}

static size_t pool_len(size_t len)
{
	return len > 0 ? len : POOL_LEN;
}

static enum err open_store(struct sim_store *rig)
{
	struct sim_store_life *life = rig->life;
	life->store.index = rig->index;
	life->store.clock = sim_node_clock(rig->node);
	life->store.random = sim_node_random(rig->node);
	life->store.trace = sim_node_trace(rig->node);
	life->store.extent_len_max = rig->options.extent_len_max;
	for (unsigned i = 0; i < SIM_STORE_LOOPS; i++) {
		struct store_loop *loop = &life->loops[i];
		loop->store = &life->store;
		loop->loop = rig->loops[i];
		enum err err = index_reader_open(rig->index, &loop->reader);
		if (err != ERR_OK)
			return err;
		pool_init(&loop->put_pool, loop->loop, "put", pool_len(rig->options.put_pool_len));
		pool_init(&loop->get_pool, loop->loop, "get", pool_len(rig->options.get_pool_len));
		pool_init(&loop->decode_pool, loop->loop, "decode",
			pool_len(rig->options.decode_pool_len));
		life->loop_count++;
		loop->peers = rig->peers[i];
		if (!loop->peers)
			continue;
		err = shard_service_open(
			&life->services[i], loop, pool_len(rig->options.get_pool_len));
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

static void index_opened(void *arg, enum err err)
{
	struct sim_store *rig = arg;
	rig->is_opened = true;
	rig->opened_err = err;
}

static bool is_opened(void *arg)
{
	return ((struct sim_store *)arg)->is_opened;
}

bool sim_store_has_begun(const struct sim_store *rig)
{
	return rig->is_opened;
}

static enum err wait_for_session(struct sim_store *rig)
{
	if (!sim_run_until(rig->sim, is_opened, rig, WAIT_MS))
		return ERR_TIMEOUT;
	return rig->opened_err;
}

/* --- what the index has to know first --------------------------------------------------------- */

static enum err find_number(struct sim_store *rig, struct sim_store_drive *drive)
{
	enum err err = index_view_begin(rig->reader);
	if (err != ERR_OK)
		return err;
	struct row_drive row;
	for (uint16_t from = 1; drive->number == 0; from = row.number + 1) {
		err = index_drive_next(rig->reader, from, &row);
		if (err != ERR_OK)
			break;
		if (memcmp(&row.drive, &drive->id, sizeof row.drive) == 0)
			drive->number = row.number;
	}
	index_view_end(rig->reader);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err sim_store_find_number(struct sim_store *rig, unsigned drive)
{
	return find_number(rig, &rig->drives[drive]);
}

static enum err add_drive(struct sim_store *rig, struct sim_store_drive *drive)
{
	enum err err = drive->number == 0 ? find_number(rig, drive) : ERR_OK;
	if (err != ERR_OK || drive->number != 0)
		return err;
	struct command command = {.type = COMMAND_DRIVE_ADD};
	command.drive_add.drive = drive->id;
	command.drive_add.node = rig->options.node_id;
	command.drive_add.weight = UINT64_C(1) << 40;
	struct command_result result;
	err = sim_store_propose(rig, &command, &result);
	if (err == ERR_OK || err == ERR_EXISTS)
		drive->number = result.id;
	return err == ERR_EXISTS ? ERR_OK : err;
}

static enum err bootstrap(struct sim_store *rig)
{
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		enum err err = add_drive(rig, &rig->drives[i]);
		if (err != ERR_OK)
			return err;
	}
	if (rig->options.sim)
		return ERR_OK;
	struct ring_snapshot *snapshot = index_ring(rig->index);
	if (!snapshot) {
		enum err err = sim_store_propose_ring(&rig, 1);
		if (err != ERR_OK)
			return err;
		snapshot = index_ring(rig->index);
		ck_assert_ptr_nonnull(snapshot);
	}
	rig->profile = ring_snapshot_ring(snapshot)->profile;
	ring_snapshot_unref(snapshot);
	return ERR_OK;
}

static void start_collecting(void *arg)
{
	struct sim_store *rig = arg;
	rig->life->is_collecting = collect_start(&rig->life->collector, &rig->life->loops[0]) ==
		ERR_OK;
	struct mender_setup setup = {.store = &rig->life->loops[0],
		.job_max = 6,
		.scrub_period_ms = rig->options.scrub_period_ms};
	if (rig->options.has_mender)
		mender_start(&rig->life->mender, &setup);
}

enum err sim_store_serve(struct sim_store *rig)
{
	struct store *store = &rig->life->store;
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		struct sim_store_drive *drive = &rig->drives[i];
		if (drive->drive)
			store->drives[store->drive_count++] = (struct store_drive){
				drive->number, drive->drive};
	}
	for (unsigned i = 0; rig->peers[0] && !rig->log_peers && i < SIM_STORE_LOOPS; i++)
		sim_net_start(rig->peers[i]);
	sim_call(rig->sim, rig->loops[0], start_collecting, rig);
	return rig->life->is_collecting ? ERR_OK : ERR_NO_MEMORY;
}

enum err sim_store_begin(struct sim_store *rig)
{
	assert(!rig->life);
	rig->life = sim_must(calloc(1, sizeof *rig->life));
	rig->failed = ERR_OK;
	enum err err = open_index(rig);
	if (err != ERR_OK)
		return err;
	sim_store_open_drives(rig);
	err = open_store(rig);
	if (err != ERR_OK)
		return err;
	for (unsigned i = 0; rig->log_peers && i < SIM_STORE_LOOPS; i++)
		sim_net_start(rig->peers[i]);
	if (rig->log_peers)
		sim_net_start(rig->log_peers);
	rig->is_opened = false;
	index_start(rig->index, index_opened, rig);
	return ERR_OK;
}

enum err sim_store_start(struct sim_store *rig)
{
	enum err err = sim_store_begin(rig);
	if (err == ERR_OK)
		err = wait_for_session(rig);
	if (err == ERR_OK)
		err = bootstrap(rig);
	return err == ERR_OK ? sim_store_serve(rig) : err;
}

/* --- ending ----------------------------------------------------------------------------------- */

/* What the end of a process leaves in memory stays reachable. */
static void forget(struct sim_store *rig)
{
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		struct sim_store_drive *drive = &rig->drives[i];
		drive->drive = NULL;
		drive->kv = NULL;
		drive->is_fenced = false;
	}
	rig->life = NULL;
	rig->consensus = NULL;
	rig->raft = NULL;
	rig->snapshots = NULL;
	rig->mirror = NULL;
	rig->index = NULL;
	rig->reader = NULL;
	rig->kv = NULL;
}

void sim_store_kill(struct sim_store *rig, bool is_power_cut)
{
	sim_node_kill(rig->node);
	for (unsigned i = 0; i < SIM_STORE_LOOPS && rig->life; i++) {
		sim_bury(rig->life->services[i].writes);
		sim_bury(rig->life->services[i].reads);
		sim_bury(rig->life->services[i].frees);
		sim_bury(rig->life->services[i].owed.entries);
	}
	sim_bury(rig->life);
	sim_bury(rig->consensus);
	sim_store_bury_raft(rig);
	sim_bury(rig->mirror);
	sim_bury(rig->index);
	sim_bury(rig->reader);
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		sim_bury(rig->drives[i].drive);
		if (is_power_cut)
			sim_disk_crash(rig->drives[i].disk);
	}
	if (is_power_cut)
		sim_disk_crash(rig->state);
	forget(rig);
}

static void collector_stopped(struct collector *collector)
{
	CONTAINER_OF(collector, struct sim_store_life, collector)->is_collector_stopped = true;
}

static void stop_collector(void *arg)
{
	collect_stop(&((struct sim_store *)arg)->life->collector, collector_stopped);
}

static bool has_collector_stopped(void *arg)
{
	return ((struct sim_store *)arg)->life->is_collector_stopped;
}

static void mender_stopped(struct mender *mender)
{
	CONTAINER_OF(mender, struct sim_store_life, mender)->is_mender_stopped = true;
}

static void stop_mender(void *arg)
{
	mender_stop(&((struct sim_store *)arg)->life->mender, mender_stopped);
}

static bool has_mender_stopped(void *arg)
{
	return ((struct sim_store *)arg)->life->is_mender_stopped;
}

static void consensus_stopped(void *arg)
{
	((struct sim_store *)arg)->life->is_consensus_stopped = true;
}

static bool has_consensus_stopped(void *arg)
{
	return ((struct sim_store *)arg)->life->is_consensus_stopped;
}

static void drive_stopped(void *arg)
{
	((struct sim_store_drive *)arg)->is_stopped = true;
}

static void stop_drive(void *arg)
{
	struct sim_store_drive *drive = arg;
	drive_stop(drive->drive, drive_stopped, drive);
}

static bool has_drive_stopped(void *arg)
{
	return ((struct sim_store_drive *)arg)->is_stopped;
}

static enum err stop_consensus(struct sim_store *rig)
{
	if (!rig->life->is_consensus_stopping) {
		rig->life->is_consensus_stopping = true;
		consensus_stop(rig->consensus, consensus_stopped, rig);
	}
	return sim_run_until(rig->sim, has_consensus_stopped, rig, WAIT_MS) ? ERR_OK : ERR_TIMEOUT;
}

/* As server/node_background.c does it: what waits for a proposal that nobody decides ends with
 * consensus. */
static enum err stop_background(
	struct sim_store *rig, void (*stop)(void *arg), bool (*has_stopped)(void *arg))
{
	sim_call(rig->sim, rig->loops[0], stop, rig);
	if (sim_run_until(rig->sim, has_stopped, rig, PATIENCE_MS))
		return ERR_OK;
	enum err err = stop_consensus(rig);
	if (err != ERR_OK)
		return err;
	return sim_run_until(rig->sim, has_stopped, rig, WAIT_MS) ? ERR_OK : ERR_TIMEOUT;
}

static enum err stop_drives(struct sim_store *rig)
{
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		struct sim_store_drive *drive = &rig->drives[i];
		if (!drive->drive)
			continue;
		sim_call(rig->sim, rig->loops[i % SIM_STORE_LOOPS], stop_drive, drive);
		if (!sim_run_until(rig->sim, has_drive_stopped, drive, WAIT_MS))
			return ERR_TIMEOUT;
	}
	return ERR_OK;
}

static void service_stopped(struct shard_service *service)
{
	struct store_loop *loop = service->store;
	struct sim_store_life *life = CONTAINER_OF(loop->store, struct sim_store_life, store);
	life->services_stopped++;
}

static void stop_service(void *arg)
{
	shard_service_stop(arg, service_stopped);
}

static bool have_services_stopped(void *arg)
{
	return ((struct sim_store *)arg)->life->services_stopped == SIM_STORE_LOOPS;
}

static enum err stop_services(struct sim_store *rig)
{
	for (unsigned i = 0; i < SIM_STORE_LOOPS; i++)
		sim_call(rig->sim, rig->loops[i], stop_service, &rig->life->services[i]);
	return sim_run_until(rig->sim, have_services_stopped, rig, WAIT_MS) ? ERR_OK : ERR_TIMEOUT;
}

static void close_service(void *arg)
{
	shard_service_close(arg);
}

static void close_pools(void *arg)
{
	struct store_loop *loop = arg;
	pool_fini(&loop->put_pool);
	pool_fini(&loop->get_pool);
	pool_fini(&loop->decode_pool);
}

static void close_all(struct sim_store *rig)
{
	for (unsigned i = 0; i < SIM_STORE_LOOPS; i++) {
		if (rig->peers[i])
			sim_call(rig->sim, rig->loops[i], close_service, &rig->life->services[i]);
		sim_call(rig->sim, rig->loops[i], close_pools, &rig->life->loops[i]);
		index_reader_close(rig->life->loops[i].reader);
	}
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		if (!rig->drives[i].drive)
			continue;
		drive_close(rig->drives[i].drive);
		kv_close(rig->drives[i].kv);
	}
	index_reader_close(rig->reader);
	index_close(rig->index);
	consensus_close(rig->consensus);
	sim_store_close_raft(rig);
	log_mirror_close(rig->mirror);
	kv_close(rig->kv);
	free(rig->life);
}

enum err sim_store_stop(struct sim_store *rig)
{
	enum err err = ERR_OK;
	if (rig->options.has_mender)
		err = stop_background(rig, stop_mender, has_mender_stopped);
	if (err == ERR_OK)
		err = stop_background(rig, stop_collector, has_collector_stopped);
	if (err == ERR_OK && rig->peers[0])
		err = stop_services(rig);
	if (err != ERR_OK)
		return err;
	index_copies_cancel(&rig->life->copies);
	err = stop_consensus(rig);
	if (err == ERR_OK)
		err = stop_drives(rig);
	if (err != ERR_OK)
		return err;
	/* Commits and segments that are being made come to their end. */
	sim_run_ms(rig->sim, 2000);
	close_all(rig);
	if (rig->peers[0])
		sim_node_kill(rig->node); /* nobody calls what is closed */
	forget(rig);
	return ERR_OK;
}
