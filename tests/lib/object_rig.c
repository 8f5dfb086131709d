/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/object_rig.h"

#include <stdlib.h>

#include "gateway/request.h"
#include "storage/meta/consensus_single.h"
#include "tests/lib/test.h"

#define SEAL "sealed:"
#define WAIT_MS 600000

static const struct id cluster = {{0xc1}}, node_id = {{0xe1}};

/* --- seams ------------------------------------------------------------------------------------ */

static enum err open_secret(
	struct secrets *secrets, struct bytes sealed, uint8_t *buf, size_t cap, size_t *ret_len)
{
	(void)secrets;
	struct bytes secret = bytes_from(sealed, strlen(SEAL));
	ck_assert_uint_le(secret.len, cap);
	memcpy(buf, secret.data, secret.len);
	*ret_len = secret.len;
	return ERR_OK;
}

/* So is what is sealed. */
static enum err seal_secret(
	struct secrets *secrets, struct bytes secret, uint8_t *buf, size_t cap, size_t *ret_len)
{
	(void)secrets;
	if (strlen(SEAL) + secret.len > cap)
		return ERR_LIMIT;
	memcpy(buf, SEAL, strlen(SEAL));
	memcpy(buf + strlen(SEAL), secret.data, secret.len);
	*ret_len = strlen(SEAL) + secret.len;
	return ERR_OK;
}

static const struct secrets_ops secrets_ops = {open_secret, seal_secret};

/* --- calls on a loop -------------------------------------------------------------------------- */

struct one_proposal {
	struct object_rig *rig;
	struct index_proposal proposal;
	bool is_done;
};

static void proposal_done(struct index_proposal *proposal)
{
	CONTAINER_OF(proposal, struct one_proposal, proposal)->is_done = true;
}

static bool is_proposed(void *arg)
{
	const struct one_proposal *one = arg;
	return one->is_done;
}

static void propose(void *arg)
{
	struct one_proposal *one = arg;
	index_propose(one->rig->index, &one->proposal);
}

struct command_result object_rig_propose(struct object_rig *rig, const struct command *command)
{
	struct one_proposal one = {.rig = rig,
		.proposal = {.loop = rig->client, .bytes = rig->bytes, .done = proposal_done}};
	ck_assert_ok(command_encode(command, rig->bytes, COMMAND_LEN_MAX, &one.proposal.len));
	sim_call(rig->sim, rig->client, propose, &one);
	ck_assert(sim_run_until(rig->sim, is_proposed, &one, WAIT_MS));
	ck_assert_err(one.proposal.err, ERR_OK);
	ck_assert_uint_eq(one.proposal.result.code, COMMAND_OK);
	return one.proposal.result;
}

/* --- making it -------------------------------------------------------------------------------- */

static void index_failed(void *arg, enum err err)
{
	(void)arg;
	ck_abort_msg("the index failed: %s", err_name(err));
}

static void index_opened(void *arg, enum err err)
{
	struct object_rig *rig = arg;
	ck_assert_err(err, ERR_OK);
	rig->is_opened = true;
}

static bool is_opened(void *arg)
{
	const struct object_rig *rig = arg;
	return rig->is_opened;
}

static void start_index(void *arg)
{
	struct object_rig *rig = arg;
	index_start(rig->index, index_opened, rig);
}

static void open_index(struct object_rig *rig)
{
	struct consensus_single_setup log = {
		.log = {.disk = sim_disk_base(rig->log_disk),
			.state_disk = sim_disk_base(rig->log_disk),
			.node = node_id,
			.loop = rig->apply,
			.worker = sim_node_worker(rig->node),
			.random = sim_node_random(rig->node),
			.trace = sim_node_trace(rig->node),
			.segment_len = 1 << 20},
		.clock = sim_node_clock(rig->node),
	};
	ck_assert_ok(log_create(&log.log));
	ck_assert_ok(consensus_single_open(&log, &rig->consensus));
	struct index_setup setup = {
		.kv = sim_kv_open(rig->rows),
		.consensus = rig->consensus,
		.apply = rig->apply,
		.committer = rig->owner,
		.clock = sim_node_clock(rig->node),
		.random = sim_node_random(rig->node),
		.trace = sim_node_trace(rig->node),
		.node = node_id,
		.settings = {.is_alone = true},
		.failed = index_failed,
		.failed_arg = rig,
	};
	ck_assert_ok(index_open(&setup, &rig->index));
	sim_call(rig->sim, rig->apply, start_index, rig);
	ck_assert(sim_run_until(rig->sim, is_opened, rig, WAIT_MS));
	ck_assert_ok(index_reader_open(rig->index, &rig->store_loop.reader));
}

static void drive_fenced(struct drive *drive, enum err err, void *arg)
{
	(void)drive;
	(void)err;
	(void)arg;
}

static struct drive *open_drive(struct object_rig *rig, unsigned i, struct id id)
{
	struct drive_settings settings = drive_settings_default();
	settings.segment_len = 32 << 20;
	struct drive_identity identity = {.cluster = cluster, .drive = id, .node = node_id};
	ck_assert_ok(drive_format(sim_disk_base(rig->disks[i]), &identity, &settings));
	struct drive_setup setup = {
		.disk = sim_disk_base(rig->disks[i]),
		.locations = sim_kv_open(rig->locations[i]),
		.owner = rig->owner,
		.committer = rig->owner,
		.worker = sim_node_worker(rig->node),
		.clock = sim_node_clock(rig->node),
		.random = sim_node_random(rig->node),
		.trace = sim_node_trace(rig->node),
		.settings = settings,
		.fenced = drive_fenced,
	};
	struct drive *drive;
	ck_assert_ok(drive_open(&setup, cluster, &drive));
	return drive;
}

static void open_drives(struct object_rig *rig)
{
	struct ring_drive_info infos[OBJECT_RIG_DRIVES] = {0};
	for (unsigned i = 0; i < OBJECT_RIG_DRIVES; i++) {
		struct command add = {.type = COMMAND_DRIVE_ADD};
		struct id id = {{i + 1}};
		add.drive_add.drive = id;
		add.drive_add.node = node_id;
		add.drive_add.weight = 1000;
		uint16_t number = object_rig_propose(rig, &add).id;
		infos[i] = (struct ring_drive_info){
			.number = number, .node = node_id, .weight = 1000};
		rig->store.drives[i] = (struct store_drive){number, open_drive(rig, i, id)};
	}
	rig->store.drive_count = OBJECT_RIG_DRIVES;
	static uint8_t slots[RING_SLOTS_DEFAULT * 2 * RING_WIDTH_MAX];
	static uint8_t bytes[sizeof slots + 100];
	struct ring ring;
	struct command set = {.type = COMMAND_RING_SET};
	struct ring_profile profile = {.k = 2, .m = 1};
	ck_assert_ok(ring_plan_initial(infos, OBJECT_RIG_DRIVES, profile, RING_DOMAIN_DRIVE,
		RING_SLOTS_DEFAULT, slots, &ring));
	set.ring_set.ring.data = bytes;
	ck_assert_ok(ring_encode(&ring, bytes, sizeof bytes, &set.ring_set.ring.len));
	object_rig_propose(rig, &set);
}

static void make_rows(struct object_rig *rig)
{
	struct command command = {.type = COMMAND_KEY_PUT};
	command.key_put.id = bytes_of("AKALICE");
	command.key_put.secret = bytes_of(SEAL "secret-alice");
	command.key_put.owner = bytes_of("alice");
	object_rig_propose(rig, &command);
	command = (struct command){.type = COMMAND_BUCKET_CREATE};
	command.bucket_create.name = bytes_of("bkt");
	command.bucket_create.owner = bytes_of("alice");
	rig->bucket = object_rig_propose(rig, &command).id;
}

static void init_loop(void *arg)
{
	struct object_rig *rig = arg;
	struct store_loop *store = &rig->store_loop;
	pool_init(&store->put_pool, rig->client, "put", 32 << 20);
	pool_init(&store->get_pool, rig->client, "get", 32 << 20);
	pool_init(&store->decode_pool, rig->client, "decode", 32 << 20);
	pool_init(&store->unpack_pool, rig->client, "unpack", 8 << 20);
	pool_init(&store->pack_pool, rig->client, "pack", 8 << 20);
	digest_hall_init(&rig->gateway.hall);
	ck_assert_ok(gateway_loop_init(&rig->loop, &rig->gateway, rig->client, store));
}

void object_rig_open(struct object_rig *rig, uint64_t seed)
{
	memset(rig, 0, sizeof *rig);
	rig->bytes = malloc(COMMAND_LEN_MAX);
	ck_assert_ptr_nonnull(rig->bytes);
	rig->sim = sim_new(seed);
	rig->node = sim_node_new(rig->sim, "node");
	rig->client = sim_node_loop(rig->node);
	rig->apply = sim_node_loop(rig->node);
	rig->owner = sim_node_loop(rig->node);
	rig->log_disk = sim_disk_new(rig->node, "log", 0);
	rig->rows = sim_kv_new(rig->node, 0);
	for (unsigned i = 0; i < OBJECT_RIG_DRIVES; i++) {
		rig->disks[i] = sim_disk_new(rig->node, "drive", UINT64_C(1) << 30);
		rig->locations[i] = sim_kv_new(rig->node, 0);
	}
	open_index(rig);
	rig->store.index = rig->index;
	rig->store.clock = sim_node_clock(rig->node);
	rig->store.random = sim_node_random(rig->node);
	rig->store.trace = sim_node_trace(rig->node);
	rig->store_loop.store = &rig->store;
	rig->store_loop.loop = rig->client;
	rig->secrets.ops = &secrets_ops;
	rig->gateway = (struct gateway){
		.settings = {.region = bytes_of(OBJECT_RIG_REGION),
			.requests_max = 64,
			.buckets_max = 4,
			.text_len_max = 16 << 20,
			.object_len_max = UINT64_C(5) << 30},
		.store = &rig->store,
		.secrets = &rig->secrets,
		.worker = sim_node_worker(rig->node),
		.clock = sim_node_clock(rig->node),
		.trace = sim_node_trace(rig->node),
	};
	open_drives(rig);
	make_rows(rig);
	sim_call(rig->sim, rig->client, init_loop, rig);
	rig->sign = (struct sign){"AKALICE", "secret-alice", OBJECT_RIG_REGION, 0};
}

/* --- and taking it apart ---------------------------------------------------------------------- */

static void drop_fake(struct object_rig *rig)
{
	if (rig->has_fake)
		fake_exchange_fini(&rig->fake);
	rig->has_fake = false;
}

static void fini_loop(void *arg)
{
	struct object_rig *rig = arg;
	struct store_loop *store = &rig->store_loop;
	ck_assert_uint_eq(rig->loop.text_pool.lent_len, 0);
	ck_assert_uint_eq(store->put_pool.lent_len, 0);
	ck_assert_uint_eq(store->get_pool.lent_len, 0);
	ck_assert_uint_eq(store->decode_pool.lent_len, 0);
	ck_assert_uint_eq(store->unpack_pool.lent_len, 0);
	ck_assert_uint_eq(store->pack_pool.lent_len, 0);
	ck_assert_uint_eq(store->open_puts, 0);
	ck_assert_uint_eq(rig->loop.counters.in_progress, 0);
	gateway_loop_fini(&rig->loop);
	digest_hall_fini(&rig->gateway.hall);
	pool_fini(&store->put_pool);
	pool_fini(&store->get_pool);
	pool_fini(&store->decode_pool);
	pool_fini(&store->unpack_pool);
	pool_fini(&store->pack_pool);
	frame_zip_fini(&store->zip);
}

void object_rig_close(struct object_rig *rig)
{
	drop_fake(rig);
	sim_run_ms(rig->sim, 100);
	sim_call(rig->sim, rig->client, fini_loop, rig);
	/* The process ends; what it has allocated goes with it. */
	sim_node_kill(rig->node);
	sim_bury(rig->index);
	sim_bury(rig->store_loop.reader);
	sim_bury(rig->consensus);
	for (unsigned i = 0; i < OBJECT_RIG_DRIVES; i++) {
		sim_bury(rig->store.drives[i].drive);
		sim_kv_free(rig->locations[i]);
		sim_disk_free(rig->disks[i]);
	}
	sim_kv_free(rig->rows);
	sim_disk_free(rig->log_disk);
	sim_free(rig->sim);
	free(rig->bytes);
}

/* --- requests --------------------------------------------------------------------------------- */

struct fake_exchange *object_rig_make(
	struct object_rig *rig, const char *method, const char *target)
{
	drop_fake(rig);
	fake_exchange_init(&rig->fake, rig->client, method, target);
	rig->has_fake = true;
	return &rig->fake;
}

struct start {
	struct object_rig *rig;
	struct fake_exchange *fake;
};

static void start_request(void *arg)
{
	struct start *start = arg;
	fake_exchange_start(start->fake, &start->rig->loop.handler);
}

void object_rig_start(struct object_rig *rig, struct fake_exchange *fake)
{
	struct start start = {rig, fake};
	sim_call(rig->sim, rig->client, start_request, &start);
}

static bool is_ended(void *arg)
{
	const struct fake_exchange *fake = arg;
	return fake->is_ended;
}

void object_rig_wait(struct object_rig *rig, struct fake_exchange *fake)
{
	ck_assert(sim_run_until(rig->sim, is_ended, fake, WAIT_MS));
}

unsigned object_rig_run(struct object_rig *rig, const char *payload)
{
	rig->sign.wall_ms = clock_wall_ms(sim_node_clock(rig->node));
	sign_request(&rig->fake, &rig->sign, payload);
	object_rig_start(rig, &rig->fake);
	object_rig_wait(rig, &rig->fake);
	return rig->fake.is_answered ? rig->fake.response.status : 0;
}

unsigned object_rig_send(struct object_rig *rig, const char *method, const char *target,
	const void *body, size_t len)
{
	object_rig_make(rig, method, target);
	fake_exchange_body(&rig->fake, body, len);
	return object_rig_run(rig, NULL);
}

unsigned object_rig_ask(struct object_rig *rig, const char *method, const char *target)
{
	object_rig_make(rig, method, target);
	return object_rig_run(rig, NULL);
}

const char *object_rig_header(struct object_rig *rig, const char *name)
{
	const char *value = fake_exchange_answer_header(&rig->fake, name);
	return value ? value : "";
}

const char *object_rig_code(struct object_rig *rig)
{
	const char *code = fake_exchange_element(&rig->fake, "Code");
	return code ? code : "";
}
