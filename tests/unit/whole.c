/* SPDX-License-Identifier: Apache-2.0 */
/* Short shards that are written by one call to another node: what is refused, what comes twice, and
 * what is there when the link, the node or its power ends in the middle. */
#include "storage/shard/whole.h"

#include "erasure/checksum.h"
#include "tests/lib/sim_nodes.h"
#include "tests/lib/test.h"

enum { NODES = 3, BODY_LEN = 20000, SHARD_LEN = 20480, STEPS_MAX = 5000 };

static struct sim_nodes rig;
static struct index_hold held; /* of all that are made */
static bool is_held;

static void set_up(void)
{
	sim_nodes_start(&rig, NODES);
}

static void release(void *arg)
{
	if (is_held)
		index_release_write(rig.stores[0].life->loops[0].reader, arg);
	is_held = false;
}

static void tear_down(void)
{
	sim_call(rig.sim, rig.stores[0].loops[0], release, &held);
	sim_run_ms(rig.sim, 12000);
	sim_nodes_stop(&rig);
}

static struct shard_service *service(void)
{
	return &rig.stores[1].life->services[0];
}

/* --- one write, from node 0 ------------------------------------------------------------------- */

struct one {
	struct site_whole whole;
	struct site site;
	struct shard_info info;
	uint8_t bytes[SHARD_LEN] __attribute__((aligned(4096)));
	uint64_t sums[SHARD_WHOLE_SUMS_MAX];
	bool is_done;
	enum err err;
};

static struct one one;

static void whole_done(struct site_whole *whole, enum err err)
{
	struct one *its = CONTAINER_OF(whole, struct one, whole);
	ck_assert(!its->is_done);
	its->is_done = true;
	its->err = err;
}

/* A shard of an extent that node 0 could be writing. */
static void make(struct one *its, unsigned node)
{
	struct store_loop *loop = &rig.stores[0].life->loops[0];
	memset(its, 0, sizeof *its);
	if (!is_held)
		index_hold_write(loop->reader, &held);
	is_held = true;
	its->info = (struct shard_info){.extent = index_extent_id_make(loop->reader),
		.index = 1,
		.k = 1,
		.m = 1,
		.unit_len = UNIT_LEN,
		.extent_len = BODY_LEN,
		.shard_len = SHARD_LEN,
		.hint = bytes_of("bucket/key")};
	its->site = (struct site){.number = rig.stores[node].drives[0].number,
		.drive = node == 0 ? rig.stores[0].drives[0].drive : NULL,
		.peers = rig.stores[0].peers[0],
		.node = rig.stores[node].options.node_id};
	for (size_t i = 0; i < sizeof its->bytes; i++)
		its->bytes[i] = i * 7;
	checksum_blocks(
		its->bytes, SHARD_LEN, shard_checksum_seed(its->info.extent, 1), 0, its->sums);
}

static void start_write(void *arg)
{
	struct one *its = arg;
	its->is_done = false;
	its->whole.loop = rig.stores[0].loops[0];
	its->whole.done = whole_done;
	site_whole_start(&its->whole, &its->site, &its->info, its->bytes, its->sums,
		checksum_block_count(SHARD_LEN));
}

static bool is_done(void *arg)
{
	return ((struct one *)arg)->is_done;
}

static enum err await(struct one *its)
{
	ck_assert(sim_run_until(rig.sim, is_done, its, SIM_NODES_WAIT_MS));
	return its->err;
}

static void start(struct one *its)
{
	sim_call(rig.sim, rig.stores[0].loops[0], start_write, its);
}

static enum err write_one(struct one *its)
{
	start(its);
	return await(its);
}

/* --- reading and freeing it ------------------------------------------------------------------- */

struct reading {
	struct site_read read;
	struct site_free free;
	uint8_t bytes[SHARD_LEN] __attribute__((aligned(4096)));
	bool is_done;
	enum err err;
};

static struct reading reading;

static void read_done(struct site_read *read, enum err err)
{
	site_read_fini(read);
	reading.is_done = true;
	reading.err = err;
}

static void start_read(void *arg)
{
	struct one *its = arg;
	reading.read.loop = rig.stores[0].loops[0];
	reading.read.done = read_done;
	site_read_init(&reading.read, &its->site, its->info.extent, its->info.index);
	site_read_start(&reading.read, 0, SHARD_LEN, reading.bytes, false);
}

static void free_done(struct site_free *op, enum err err)
{
	(void)op;
	reading.is_done = true;
	reading.err = err;
}

static void start_free(void *arg)
{
	struct one *its = arg;
	reading.free.loop = rig.stores[0].loops[0];
	reading.free.done = free_done;
	reading.is_done = false;
	site_free_start(&reading.free, &its->site, its->info.extent, its->info.index);
}

static bool has_read(void *arg)
{
	return ((struct reading *)arg)->is_done;
}

static enum err read_back(struct one *its)
{
	reading.is_done = false;
	sim_call(rig.sim, rig.stores[0].loops[0], start_read, its);
	ck_assert(sim_run_until(rig.sim, has_read, &reading, SIM_NODES_WAIT_MS));
	if (reading.err == ERR_OK)
		ck_assert_mem_eq(reading.bytes, its->bytes, SHARD_LEN);
	return reading.err;
}

static enum err free_one(struct one *its)
{
	sim_call(rig.sim, rig.stores[0].loops[0], start_free, its);
	ck_assert(sim_run_until(rig.sim, has_read, &reading, SIM_NODES_WAIT_MS));
	return reading.err;
}

/* --- what is asked is done -------------------------------------------------------------------- */

START_TEST(a_short_shard_is_durable_by_one_call)
{
	make(&one, 1);
	uint64_t before = sim_net_stats(rig.net)->calls;
	ck_assert_ok(write_one(&one));
	ck_assert_uint_eq(sim_net_stats(rig.net)->calls - before, 1);
	ck_assert_uint_eq(service()->writes_used, 0);
	sim_store_kill(&rig.stores[1], true);
	ck_assert_ok(sim_store_start(&rig.stores[1]));
	sim_run_ms(rig.sim, 3000);
	ck_assert_ok(read_back(&one));
}
END_TEST

START_TEST(a_drive_of_this_node_is_written_without_a_call)
{
	make(&one, 0);
	uint64_t before = sim_net_stats(rig.net)->calls;
	ck_assert_ok(write_one(&one));
	ck_assert_uint_eq(sim_net_stats(rig.net)->calls, before);
	ck_assert_ok(read_back(&one));
}
END_TEST

START_TEST(what_comes_twice_is_there_once)
{
	make(&one, 1);
	ck_assert_ok(write_one(&one));
	uint64_t sealed = service()->counters.sealed;
	ck_assert_ok(write_one(&one)); /* as if the answer was lost */
	ck_assert_uint_eq(service()->counters.sealed, sealed + 1);
	ck_assert_ok(read_back(&one));
	ck_assert_ok(free_one(&one));
	ck_assert_err(read_back(&one), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_second_call_beside_the_first_is_refused)
{
	static struct one other;
	make(&one, 1);
	other = one;
	start(&one);
	start(&other);
	ck_assert_ok(await(&one));
	ck_assert_err(await(&other), ERR_EXISTS);
	ck_assert_ok(read_back(&one));
}
END_TEST

static void refuse(void *arg, struct peer_request *request)
{
	(void)arg;
	peer_request_answer(request, ERR_UNSUPPORTED);
}

START_TEST(a_node_that_does_not_know_the_call_is_written_to_step_by_step)
{
	make(&one, 1);
	rig.stores[1].peers[0]->services[PEER_SHARD_WHOLE].handle = refuse;
	uint64_t before = sim_net_stats(rig.net)->calls;
	ck_assert_ok(write_one(&one));
	ck_assert_uint_eq(sim_net_stats(rig.net)->calls - before, 4);
	ck_assert_ok(read_back(&one));
}
END_TEST

START_TEST(a_short_put_makes_one_call_for_each_copy_elsewhere)
{
	enum { PUTS = 12 };
	unsigned good = 0;
	uint64_t before = sim_net_stats(rig.net)->calls;
	for (unsigned key = 0; key < PUTS; key++) {
		struct client *client = client_start(
			&rig.worlds[0], CLIENT_PUT, key % 4, BODY_LEN, true);
		sim_nodes_await(&rig, client);
		good += client->err == ERR_OK;
		client_free(client);
	}
	ck_assert_uint_ge(good, PUTS / 2); /* some go away */
	ck_assert_uint_le(sim_net_stats(rig.net)->calls - before, 2 * PUTS);
	for (unsigned i = 0; i < NODES; i++)
		ck_assert_uint_eq(rig.stores[i].life->services[0].writes_used, 0);
}
END_TEST

/* --- what is refused -------------------------------------------------------------------------- */

START_TEST(a_shard_that_was_changed_is_refused)
{
	make(&one, 1);
	one.sums[1] ^= 1;
	ck_assert_err(write_one(&one), ERR_CHECKSUM);
	ck_assert_uint_eq(service()->counters.bad_units, 1);
	ck_assert_uint_eq(service()->writes_used, 0);
	ck_assert_err(read_back(&one), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_shard_of_a_settled_extent_is_refused)
{
	make(&one, 1);
	one.info.extent.counter = 0;
	checksum_blocks(one.bytes, SHARD_LEN, shard_checksum_seed(one.info.extent, 1), 0, one.sums);
	ck_assert_err(write_one(&one), ERR_REFUSED);
	ck_assert_uint_eq(service()->writes_used, 0);
	ck_assert_err(read_back(&one), ERR_NOT_FOUND);
}
END_TEST

START_TEST(whatever_its_head_says_the_service_goes_on)
{
	static struct sim_question question;
	uint8_t *head = question.head;
	uint64_t random = 5;
	for (unsigned round = 0; round < 2000; round++) {
		make(&one, 1);
		struct shard_whole whole = {
			.open.key = {one.info.extent, one.site.number, 1}, .sum_count = 2};
		ck_assert(stripe_geometry_init(&whole.open.geometry, 1, 1, UNIT_LEN, BODY_LEN));
		memcpy(whole.sums, one.sums, sizeof whole.sums);
		size_t len = shard_whole_encode(&whole, head);
		if (test_random(&random) % 2)
			len = test_random(&random) % sizeof question.head;
		for (unsigned i = test_random(&random) % 4; i > 0; i--)
			head[test_random(&random) % SHARD_WHOLE_HEAD_LEN] = test_random(&random);
		size_t payload_len = round % 3 ? SHARD_LEN : 4096 * (round % 5);
		sim_nodes_ask(&rig, &question, PEER_SHARD_WHOLE, len, one.bytes, payload_len);
		ck_assert_uint_eq(service()->writes_used, 0);
	}
	make(&one, 1);
	ck_assert_ok(write_one(&one));
}
END_TEST

/* --- the end comes in the middle -------------------------------------------------------------- */

START_TEST(a_free_that_follows_is_the_last_word)
{
	for (unsigned steps = 0, is_over = false; steps < STEPS_MAX && !is_over; steps += 3) {
		make(&one, 1);
		start(&one);
		for (unsigned i = 0; i < steps && !one.is_done; i++)
			ck_assert(sim_step(rig.sim));
		is_over = one.is_done;
		ck_assert_ok(free_one(&one));
		await(&one);
		sim_run_ms(rig.sim, 100);
		ck_assert_err(read_back(&one), ERR_NOT_FOUND);
		ck_assert_uint_eq(service()->writes_used, 0);
	}
}
END_TEST

static struct one line[SHARD_SERVICE_WRITES];

START_TEST(a_free_reaches_one_that_waits_for_a_place)
{
	make(&one, 1);
	sim_net_set_room(rig.stores[1].peers[0], 64 << 20);
	for (unsigned i = 0; i < SHARD_SERVICE_WRITES; i++) {
		make(&line[i], 1);
		start(&line[i]);
	}
	start(&one);
	while (service()->writes_used < SHARD_SERVICE_WRITES || !service()->opens.first)
		ck_assert(sim_step(rig.sim));
	ck_assert_ok(free_one(&one));
	ck_assert_err(await(&one), ERR_CANCELED);
	for (unsigned i = 0; i < SHARD_SERVICE_WRITES; i++)
		ck_assert_ok(await(&line[i]));
	ck_assert_err(read_back(&one), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_link_that_breaks_leaves_a_whole_shard_or_none)
{
	unsigned there = 0, none = 0;
	for (unsigned steps = 0, is_over = false; steps < STEPS_MAX && !is_over; steps += 3) {
		make(&one, 1);
		start(&one);
		for (unsigned i = 0; i < steps && !one.is_done; i++)
			ck_assert(sim_step(rig.sim));
		is_over = one.is_done;
		sim_net_break(rig.net, rig.stores[0].node, rig.stores[1].node);
		bool is_good = await(&one) == ERR_OK;
		sim_run_ms(rig.sim, 1000);
		ck_assert_uint_eq(service()->writes_used, 0);
		enum err err = read_back(&one);
		ck_assert(err == ERR_OK || (err == ERR_NOT_FOUND && !is_good));
		there += err == ERR_OK;
		none += err != ERR_OK;
	}
	ck_assert_uint_gt(there, 0);
	ck_assert_uint_gt(none, 0);
}
END_TEST

START_TEST(what_was_acknowledged_outlives_a_power_cut_at_any_step)
{
	unsigned there = 0, none = 0;
	for (unsigned steps = 0, is_over = false; steps < STEPS_MAX && !is_over; steps += 7) {
		make(&one, 1);
		start(&one);
		for (unsigned i = 0; i < steps && !one.is_done; i++)
			ck_assert(sim_step(rig.sim));
		is_over = one.is_done;
		sim_store_kill(&rig.stores[1], true);
		bool is_good = await(&one) == ERR_OK;
		ck_assert_ok(sim_store_start(&rig.stores[1]));
		sim_run_ms(rig.sim, 3000);
		enum err err = read_back(&one);
		/* A header may outlive what it is of, but is not believed. */
		ck_assert(err == ERR_OK ||
			(!is_good && (err == ERR_NOT_FOUND || err == ERR_CHECKSUM)));
		there += err == ERR_OK;
		none += err != ERR_OK;
		ck_assert_ok(write_one(&one)); /* it can be sent again */
		ck_assert_ok(read_back(&one));
	}
	ck_assert_uint_gt(there, 0);
	ck_assert_uint_gt(none, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("whole");
	TCase *tcase = tcase_create("whole");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_short_shard_is_durable_by_one_call);
	tcase_add_test(tcase, a_drive_of_this_node_is_written_without_a_call);
	tcase_add_test(tcase, what_comes_twice_is_there_once);
	tcase_add_test(tcase, a_second_call_beside_the_first_is_refused);
	tcase_add_test(tcase, a_node_that_does_not_know_the_call_is_written_to_step_by_step);
	tcase_add_test(tcase, a_short_put_makes_one_call_for_each_copy_elsewhere);
	tcase_add_test(tcase, a_shard_that_was_changed_is_refused);
	tcase_add_test(tcase, a_shard_of_a_settled_extent_is_refused);
	tcase_add_test(tcase, whatever_its_head_says_the_service_goes_on);
	tcase_add_test(tcase, a_free_that_follows_is_the_last_word);
	tcase_add_test(tcase, a_free_reaches_one_that_waits_for_a_place);
	tcase_add_test(tcase, a_link_that_breaks_leaves_a_whole_shard_or_none);
	tcase_add_test(tcase, what_was_acknowledged_outlives_a_power_cut_at_any_step);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
