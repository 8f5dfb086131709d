/* SPDX-License-Identifier: Apache-2.0 */
/* Shards on drives of other nodes: what the service refuses, how writes end, and how long put and
 * get wait for a node that hangs. */
#include "storage/shard/shard_service_priv.h"

#include <stdlib.h>

#include "erasure/checksum.h"
#include "tests/lib/sim_nodes.h"
#include "tests/lib/test.h"

enum { NODES = 3 };

static struct sim_nodes rig;

static void set_up(void)
{
	sim_nodes_start(&rig, NODES);
}

static void tear_down(void)
{
	sim_nodes_stop(&rig);
}

/* --- calls from node 0 to node 1 -------------------------------------------------------------- */

static struct sim_question question;

/* The answer to a call with that head and payload. */
static enum err ask(uint16_t kind, size_t head_len, const void *payload, size_t payload_len)
{
	enum err err = sim_nodes_ask(&rig, &question, kind, head_len, payload, payload_len);
	ck_assert_err(question.call.err, ERR_OK);
	return err;
}

static struct shard_service *service(void)
{
	return &rig.stores[1].life->services[0];
}

enum { BODY_LEN = 200000, SHARD_LEN = 102400 };

static enum err ask_open(const struct shard_key *key)
{
	struct shard_open open = {.key = *key};
	ck_assert(stripe_geometry_init(&open.geometry, 2, 1, UNIT_LEN, BODY_LEN));
	ck_assert_uint_eq(stripe_shard_len(&open.geometry), SHARD_LEN);
	shard_open_encode(&open, question.head);
	return ask(PEER_SHARD_OPEN, SHARD_OPEN_LEN, "hint", 4);
}

static uint8_t data[SHARD_LEN];

static enum err ask_append(const struct shard_key *key, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = i * 7;
	uint64_t sums[SHARD_SUMS_MAX];
	size_t count = checksum_block_count(len);
	checksum_blocks(data + offset, len, shard_checksum_seed(key->extent, key->index),
		offset / BLOCK_LEN, sums);
	shard_append_encode(key, offset, question.head);
	shard_sums_encode(sums, count, question.head + SHARD_APPEND_LEN);
	return ask(PEER_SHARD_APPEND, SHARD_APPEND_LEN + 8 * count, data + offset, len);
}

static enum err ask_key(uint16_t kind, const struct shard_key *key)
{
	shard_key_encode(key, question.head);
	return ask(kind, SHARD_KEY_LEN, NULL, 0);
}

static enum err ask_read(const struct shard_key *key, uint64_t start, uint32_t len)
{
	struct shard_read_range range = {.key = *key, .start = start, .len = len};
	shard_read_range_encode(&range, question.head);
	return ask(PEER_SHARD_READ, SHARD_READ_LEN, NULL, 0);
}

static void write_shard(const struct shard_key *key)
{
	ck_assert_ok(ask_open(key));
	ck_assert_ok(ask_append(key, 0, 65536));
	ck_assert_ok(ask_append(key, 65536, SHARD_LEN - 65536));
	ck_assert_ok(ask_key(PEER_SHARD_SEAL, key));
}

/* --- what is asked is done -------------------------------------------------------------------- */

START_TEST(a_shard_is_read_as_it_was_written)
{
	struct shard_key key = sim_nodes_make_key(&rig);
	write_shard(&key);
	ck_assert_ok(ask_read(&key, BLOCK_LEN, SHARD_LEN - BLOCK_LEN));
	ck_assert_uint_eq(question.call.answer_len, SHARD_LEN - BLOCK_LEN);
	ck_assert_mem_eq(question.answer, data + BLOCK_LEN, SHARD_LEN - BLOCK_LEN);
	ck_assert_ok(ask_key(PEER_SHARD_FREE, &key));
	ck_assert_err(ask_read(&key, 0, BLOCK_LEN), ERR_NOT_FOUND);
}
END_TEST

START_TEST(an_aborted_write_gives_its_room_back)
{
	struct shard_key key = sim_nodes_make_key(&rig);
	ck_assert_ok(ask_open(&key));
	ck_assert_uint_eq(service()->writes_used, 1);
	ck_assert_ok(ask_key(PEER_SHARD_ABORT, &key));
	ck_assert_uint_eq(service()->writes_used, 0);
	ck_assert_err(ask_append(&key, 0, 65536), ERR_CLOSED);
}
END_TEST

START_TEST(a_free_ends_a_write_that_goes_on)
{
	struct shard_key key = sim_nodes_make_key(&rig);
	ck_assert_ok(ask_open(&key));
	ck_assert_ok(ask_key(PEER_SHARD_FREE, &key));
	ck_assert_uint_eq(service()->writes_used, 0);
	ck_assert_err(ask_key(PEER_SHARD_SEAL, &key), ERR_CLOSED);
}
END_TEST

START_TEST(a_silent_write_ends_when_its_extent_is_settled)
{
	struct shard_key key = sim_nodes_make_key(&rig);
	ck_assert_ok(ask_open(&key));
	sim_run_ms(rig.sim, SHARD_SERVICE_LEASE_MS / 2);
	ck_assert_uint_eq(service()->writes_used, 1);
	sim_run_ms(rig.sim, SHARD_SERVICE_LEASE_MS);
	ck_assert_uint_eq(service()->writes_used, 0);
}
END_TEST

static void hold(void *arg)
{
	index_hold_write(rig.stores[0].life->loops[0].reader, arg);
}

static void release(void *arg)
{
	index_release_write(rig.stores[0].life->loops[0].reader, arg);
}

START_TEST(a_silent_write_goes_on_while_its_extent_is_held)
{
	static struct index_hold held;
	sim_call(rig.sim, rig.stores[0].loops[0], hold, &held);
	struct shard_key key = sim_nodes_make_key(&rig);
	ck_assert_ok(ask_open(&key));
	for (unsigned i = 0; i < 12; i++) {
		sim_run_ms(rig.sim, SHARD_SERVICE_LEASE_MS / 4);
		struct shard_key other = sim_nodes_make_key(&rig);
		ck_assert_err(ask_read(&other, 0, BLOCK_LEN), ERR_NOT_FOUND); /* it is there */
	}
	ck_assert_ok(ask_append(&key, 0, 65536));
	sim_call(rig.sim, rig.stores[0].loops[0], release, &held);
}
END_TEST

START_TEST(a_broken_link_ends_its_writes)
{
	struct shard_key key = sim_nodes_make_key(&rig);
	ck_assert_ok(ask_open(&key));
	sim_net_break(rig.net, rig.stores[0].node, rig.stores[1].node);
	sim_run_ms(rig.sim, 1000);
	ck_assert_uint_eq(service()->writes_used, 0);
}
END_TEST

/* --- what is not believed --------------------------------------------------------------------- */

START_TEST(a_unit_that_was_changed_is_refused)
{
	struct shard_key key = sim_nodes_make_key(&rig);
	ck_assert_ok(ask_open(&key));
	ck_assert_ok(ask_append(&key, 0, 65536));
	question.head[SHARD_APPEND_LEN + 9] ^= 1; /* as if it were another's checksum */
	put_le64(question.head + SHARD_KEY_LEN, 65536);
	ck_assert_err(
		ask(PEER_SHARD_APPEND, SHARD_APPEND_LEN + 8 * 3, data + 65536, SHARD_LEN - 65536),
		ERR_CHECKSUM);
	ck_assert_uint_eq(service()->counters.bad_units, 1);
	ck_assert_ok(ask_append(&key, 65536, SHARD_LEN - 65536)); /* it can be sent again */
	ck_assert_ok(ask_key(PEER_SHARD_SEAL, &key));
}
END_TEST

START_TEST(units_come_in_their_order)
{
	struct shard_key key = sim_nodes_make_key(&rig);
	ck_assert_ok(ask_open(&key));
	ck_assert_err(ask_append(&key, 65536, SHARD_LEN - 65536), ERR_INVALID);
	ck_assert_ok(ask_append(&key, 0, 65536));
	ck_assert_err(ask_append(&key, 0, 65536), ERR_INVALID);
	ck_assert_err(ask_key(PEER_SHARD_SEAL, &key), ERR_INVALID); /* it is not all there */
}
END_TEST

START_TEST(a_write_of_a_settled_extent_is_refused)
{
	struct shard_key key = sim_nodes_make_key(&rig);
	key.extent.session += 5; /* no session has that, or will */
	ck_assert_err(ask_open(&key), ERR_REFUSED);
	key.extent.session -= 5;
	key.extent.counter = 0;
	ck_assert_err(ask_open(&key), ERR_REFUSED);
}
END_TEST

START_TEST(a_write_is_not_sealed_after_its_session_was_closed)
{
	struct shard_key key = sim_nodes_make_key(&rig);
	ck_assert_ok(ask_open(&key));
	ck_assert_ok(ask_append(&key, 0, 65536));
	ck_assert_ok(ask_append(&key, 65536, SHARD_LEN - 65536));
	struct command command = {.type = COMMAND_SESSION_CLOSE};
	command.session_close.session = key.extent.session;
	struct command_result result;
	ck_assert_ok(sim_store_propose(&rig.stores[2], &command, &result));
	sim_run_ms(rig.sim, 100);
	ck_assert_err(ask_key(PEER_SHARD_SEAL, &key), ERR_REFUSED);
	ck_assert_uint_eq(service()->writes_used, 0);
}
END_TEST

START_TEST(nobody_ends_the_write_of_another)
{
	struct shard_key key = sim_nodes_make_key(&rig);
	ck_assert_ok(ask_open(&key));
	struct served_write *write = NULL;
	for (unsigned i = 0; i < ARRAY_COUNT(service()->buckets); i++)
		if (service()->buckets[i])
			write = service()->buckets[i];
	ck_assert_ptr_nonnull(write);
	write->from = rig.stores[2].options.node_id; /* as if node 2 had opened it */
	ck_assert_err(ask_append(&key, 0, 65536), ERR_CLOSED);
	ck_assert_ok(ask_key(PEER_SHARD_ABORT, &key));
	ck_assert_uint_eq(service()->writes_used, 1);
}
END_TEST

START_TEST(whatever_a_head_says_the_service_goes_on)
{
	static const uint16_t kinds[] = {PEER_SHARD_OPEN, PEER_SHARD_APPEND, PEER_SHARD_SEAL,
		PEER_SHARD_ABORT, PEER_SHARD_READ, PEER_SHARD_FREE};
	struct shard_key key = sim_nodes_make_key(&rig);
	uint64_t random = 11;
	for (unsigned round = 0; round < 3000; round++) {
		uint16_t kind = kinds[test_random(&random) % ARRAY_COUNT(kinds)];
		size_t lens[] = {SHARD_KEY_LEN, SHARD_OPEN_LEN, SHARD_APPEND_LEN + 8,
			SHARD_READ_LEN, test_random(&random) % 100};
		size_t len = lens[test_random(&random) % ARRAY_COUNT(lens)];
		for (size_t i = 0; i < len; i++)
			question.head[i] = test_random(&random) % 4 ? 0 : test_random(&random);
		if (len >= SHARD_KEY_LEN && round % 3 > 0)
			shard_key_encode(&key, question.head);
		if (len == SHARD_OPEN_LEN && round % 2) {
			question.head[SHARD_KEY_LEN] = 2;
			put_le32(question.head + SHARD_KEY_LEN + 4, UNIT_LEN);
		}
		size_t payload_len = test_random(&random) % 3 ? 0 : 4096 * (round % 25);
		if (ask(kind, len, data, payload_len) == ERR_OK && kind == PEER_SHARD_OPEN)
			ck_assert_ok(ask_key(PEER_SHARD_ABORT, &key));
	}
	write_shard(&key);
	ck_assert_ok(ask_key(PEER_SHARD_FREE, &key));
}
END_TEST

/* --- nodes that hang -------------------------------------------------------------------------- */

/* Runs a client that is not slow itself, and does not go away; how long it took. */
static uint64_t run_client(unsigned node, enum client_kind kind, unsigned key, uint64_t len)
{
	uint64_t begin;
	enum err err;
	do {
		begin = sim_now_ns(rig.sim);
		struct client *client = client_start(&rig.worlds[node], kind, key, len, true);
		err = sim_nodes_await(&rig, client);
		client_free(client);
	} while (err == ERR_CANCELED);
	ck_assert_err(err, ERR_OK);
	return (sim_now_ns(rig.sim) - begin) / 1000000;
}

START_TEST(a_get_does_not_wait_for_a_node_that_hangs)
{
	for (unsigned key = 0; key < 6; key++)
		run_client(0, CLIENT_PUT, key, 600000);
	sim_node_pause(rig.stores[1].node, true);
	uint64_t longest = 0, sum = 0;
	for (unsigned key = 0; key < 6; key++) {
		uint64_t took = run_client(0, CLIENT_GET, key, 0);
		sum += took;
		longest = took > longest ? took : longest;
	}
	ck_assert_uint_le(longest, 3 * REACH_HEDGE_MS_MIN);
	ck_assert_uint_le(sum, 5 * REACH_HEDGE_MS_MIN); /* one delay, not six */
	sim_node_pause(rig.stores[1].node, false);
}
END_TEST

START_TEST(a_put_waits_a_second_for_a_node_that_hangs)
{
	sim_node_pause(rig.stores[1].node, true);
	uint64_t first = run_client(0, CLIENT_PUT, 1, 300000); /* 2+1 over three nodes: all */
	uint64_t second = run_client(0, CLIENT_PUT, 2, 300000);
	ck_assert_uint_ge(first, PUT_LATE_MS_MIN);
	ck_assert_uint_le(first, PUT_LATE_MS_MIN + 500);
	ck_assert_uint_le(second, PUT_LATE_MS_MIN + 500); /* perhaps on the other loop */
	uint64_t third = run_client(0, CLIENT_PUT, 3, 300000);
	ck_assert_uint_le(third, 500); /* the node is avoided now */
	ck_assert_uint_gt(rig.stores[0].life->loops[0].counters.narrowed +
			rig.stores[0].life->loops[1].counters.narrowed,
		0);
	sim_node_pause(rig.stores[1].node, false);
	sim_run_ms(rig.sim, 5000);
}
END_TEST

/* What it wrote before is read back, and written again without that node (put_rescue.c). */
START_TEST(a_put_goes_on_when_a_drive_fails_in_its_middle)
{
	const struct store_loop *loops = rig.stores[0].life->loops;
	struct client *client;
	do {
		client = client_start(&rig.worlds[0], CLIENT_PUT, 1, 900000, true); /* 2 stripes */
		while (!client->is_done && client->filled < 700000)
			ck_assert(sim_step(rig.sim));
		if (client->is_done)
			client_free(client);
		else
			break;
	} while (true);
	sim_disk_vanish(rig.stores[1].drives[0].disk);
	ck_assert_err(sim_nodes_await(&rig, client), ERR_OK);
	client_free(client);
	ck_assert_uint_eq(loops[0].counters.rescued + loops[1].counters.rescued, 1);
	sim_disk_vanish(rig.stores[2].drives[0].disk); /* it stands the loss of one more */
	run_client(0, CLIENT_GET, 1, 0);
}
END_TEST

static void avoid_node_2(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < SIM_STORE_LOOPS; i++)
		reach_failed(&rig.stores[0].life->loops[i], rig.stores[2].drives[0].number);
}

/* A put of node 0 whose copies are being written, to itself and to node 1. */
static struct client *start_copies(void)
{
	for (;;) {
		struct client *client = client_start(&rig.worlds[0], CLIENT_PUT, 1, 200000, true);
		while (!client->is_done && !(client->put.kept && client->put.kept->is_written))
			ck_assert(sim_step(rig.sim));
		if (!client->is_done)
			return client;
		client_free(client); /* it went away itself */
	}
}

/* There are drives for 2+1 when it begins anew, but in memory is one unit, a copy. */
START_TEST(copies_begun_anew_stay_copies_when_more_drives_are_there)
{
	sim_call(rig.sim, rig.stores[0].loops[0], avoid_node_2, NULL);
	sim_run_ms(rig.sim, 1);
	struct client *client = start_copies();
	sim_node_pause(rig.stores[1].node, true);
	while (!client->is_done && client->put.tries == 0)
		ck_assert(sim_step(rig.sim));
	ck_assert(!client->is_done);
	sim_node_pause(rig.stores[1].node, false);
	ck_assert_err(sim_nodes_await(&rig, client), ERR_OK);
	ck_assert_uint_eq(client->put.geometry.k, 1);
	client_free(client);
	run_client(2, CLIENT_GET, 1, 0);
}
END_TEST

/* The node that a put from this one has its other copy on; NODES: not so. */
static unsigned other_node(const struct client *client, unsigned node)
{
	const struct put_shard *shards = client->put.shards;
	uint16_t here = rig.stores[node].drives[0].number;
	bool is_first = shards[0].drive == here;
	unsigned number = is_first || shards[1].drive == here ? 0 : NODES;
	while (number < NODES && rig.stores[number].drives[0].number != shards[is_first].drive)
		number++;
	return number;
}

/* Until a put seals both copies, one on this node; then the drive of the other is gone. */
static struct client *fail_sealing(unsigned node)
{
	for (;;) {
		struct client *client = client_start(
			&rig.worlds[node], CLIENT_PUT, 1, 100000, true);
		while (!client->is_done && client->put.state != PUT_SEALING)
			ck_assert(sim_step(rig.sim));
		if (!client->is_done && other_node(client, node) < NODES) {
			sim_disk_vanish(rig.stores[other_node(client, node)].drives[0].disk);
			return client;
		}
		sim_nodes_await(&rig, client);
		client_free(client);
	}
}

/* What a try left on the drive of this node is freed while the last one is opened there. */
START_TEST(a_put_whose_last_try_fails_comes_to_an_end)
{
	rig.may_reads_fail = true;
	struct client *client = fail_sealing(0);
	while (client->put.tries == 0 || client->put.state != PUT_SEALING)
		ck_assert(sim_step(rig.sim));
	sim_disk_vanish(rig.stores[1].drives[0].disk);
	sim_disk_vanish(rig.stores[2].drives[0].disk);
	ck_assert_err(sim_nodes_await(&rig, client), ERR_QUORUM);
	client_free(client);
}
END_TEST

START_TEST(a_put_that_is_begun_anew_does_not_wait_for_the_writes_of_others)
{
	struct shard_key key = sim_nodes_make_key(&rig); /* of one that takes its time */
	ck_assert_err(ask_open(&key), ERR_OK);
	struct client *client = fail_sealing(1);
	while (client->put.tries == 0)
		ck_assert(sim_step(rig.sim));
	uint64_t begin = sim_now_ns(rig.sim);
	ck_assert_err(sim_nodes_await(&rig, client), ERR_OK);
	ck_assert_uint_le((sim_now_ns(rig.sim) - begin) / 1000000, 500);
	client_free(client);
	ck_assert_err(ask_key(PEER_SHARD_ABORT, &key), ERR_OK);
}
END_TEST

START_TEST(a_copy_is_read_where_it_is_near)
{
	for (unsigned key = 0; key < 4; key++)
		run_client(0, CLIENT_PUT, key, 20000);
	uint64_t before = sim_net_stats(rig.net)->calls;
	for (unsigned node = 0; node < NODES; node++)
		for (unsigned key = 0; key < 4; key++)
			run_client(node, CLIENT_GET, key, 0);
	/* Two of three nodes have a copy of each. */
	ck_assert_uint_eq(sim_net_stats(rig.net)->calls - before, 4);
}
END_TEST

START_TEST(parity_of_this_node_spares_a_unit_of_another)
{
	run_client(0, CLIENT_PUT, 0, 400000); /* one stripe of 2+1 */
	uint64_t before = sim_net_stats(rig.net)->calls;
	for (unsigned node = 0; node < NODES; node++)
		run_client(node, CLIENT_GET, 0, 0);
	ck_assert_uint_eq(sim_net_stats(rig.net)->calls - before, NODES);
	for (unsigned node = 0; node < NODES; node++)
		for (unsigned i = 0; i < SIM_STORE_LOOPS; i++)
			ck_assert_uint_eq(
				rig.stores[node].life->loops[i].counters.degraded_reads, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shards");
	TCase *tcase = tcase_create("service");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_shard_is_read_as_it_was_written);
	tcase_add_test(tcase, an_aborted_write_gives_its_room_back);
	tcase_add_test(tcase, a_free_ends_a_write_that_goes_on);
	tcase_add_test(tcase, a_silent_write_ends_when_its_extent_is_settled);
	tcase_add_test(tcase, a_silent_write_goes_on_while_its_extent_is_held);
	tcase_add_test(tcase, a_broken_link_ends_its_writes);
	tcase_add_test(tcase, a_unit_that_was_changed_is_refused);
	tcase_add_test(tcase, units_come_in_their_order);
	tcase_add_test(tcase, a_write_of_a_settled_extent_is_refused);
	tcase_add_test(tcase, a_write_is_not_sealed_after_its_session_was_closed);
	tcase_add_test(tcase, nobody_ends_the_write_of_another);
	tcase_add_test(tcase, whatever_a_head_says_the_service_goes_on);
	tcase_add_test(tcase, a_get_does_not_wait_for_a_node_that_hangs);
	tcase_add_test(tcase, a_put_waits_a_second_for_a_node_that_hangs);
	tcase_add_test(tcase, a_put_goes_on_when_a_drive_fails_in_its_middle);
	tcase_add_test(tcase, copies_begun_anew_stay_copies_when_more_drives_are_there);
	tcase_add_test(tcase, a_put_whose_last_try_fails_comes_to_an_end);
	tcase_add_test(tcase, a_put_that_is_begun_anew_does_not_wait_for_the_writes_of_others);
	tcase_add_test(tcase, a_copy_is_read_where_it_is_near);
	tcase_add_test(tcase, parity_of_this_node_spares_a_unit_of_another);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
