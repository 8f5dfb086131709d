/* SPDX-License-Identifier: Apache-2.0 */
/* Which drives a put takes after some of them failed, and what becomes of what it left there: three
 * nodes with a drive each, 2+1. */
#include "storage/shard/shard_wire.h"
#include "tests/lib/store_client.h"
#include "tests/lib/test.h"

enum { NODES = 3, WAIT_MS = 100000 };

static struct sim *sim;
static struct sim_net *net;
static struct sim_order *order;
static struct sim_store nodes[NODES];
static struct store_model model;
static struct client_world world; /* of node 0 */
static struct client_stats stats;
static bool may_reads_fail;

static void set_up(void)
{
	static const char *const names[NODES] = {"n0", "n1", "n2"};
	struct sim_store *all[NODES];
	sim = sim_new(7);
	net = sim_net_new(sim);
	order = sim_order_new(sim);
	store_model_init(&model, 7);
	for (unsigned i = 0; i < NODES; i++) {
		struct sim_store_options options = {.drive_count = 1,
			.sim = sim,
			.net = net,
			.order = order,
			.name = names[i],
			.node_id = {{0xe0, i + 1}}};
		sim_store_init(&nodes[i], 0, &options);
		ck_assert_ok(sim_store_start(&nodes[i]));
		all[i] = &nodes[i];
	}
	ck_assert_ok(sim_store_propose_ring(all, NODES));
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	command.bucket_create.name = bytes_of("bucket");
	command.bucket_create.owner = bytes_of("owner");
	struct command_result result;
	ck_assert_ok(sim_store_propose(&nodes[0], &command, &result));
	world = (struct client_world){.rig = &nodes[0],
		.model = &model,
		.bucket = result.id,
		.may_reads_fail = &may_reads_fail,
		.stats = &stats};
	sim_run_ms(sim, 1000);
}

static void tear_down(void)
{
	for (unsigned i = 0; i < NODES; i++)
		sim_disk_return(nodes[i].drives[0].disk);
	sim_run_ms(sim, 2000);
	for (unsigned i = 0; i < NODES; i++) {
		ck_assert_ok(sim_store_stop(&nodes[i]));
		sim_store_fini(&nodes[i]);
	}
	sim_order_free(order);
	sim_net_free(net);
	sim_free(sim);
}

static bool is_client_done(void *arg)
{
	return ((const struct client *)arg)->is_done;
}

/* What a put of node 0 ends with, and how many drives failed it. */
static enum err put(uint64_t len, unsigned *ret_failed)
{
	struct client *client;
	enum err err;
	do {
		client = client_start(&world, CLIENT_PUT, 1, len, true);
		ck_assert(sim_run_until(sim, is_client_done, client, WAIT_MS));
		err = client->err;
		*ret_failed = client->put.failed_count;
		client_free(client);
	} while (err == ERR_CANCELED); /* it went away itself */
	return err;
}

static void fail_drive(void *arg)
{
	const struct sim_store *node = arg;
	for (unsigned i = 0; i < SIM_STORE_LOOPS; i++)
		reach_failed(&nodes[0].life->loops[i], node->drives[0].number);
}

static void forget(void)
{
	sim_run_ms(sim, REACH_AVOID_MS + 1);
}

/* The drive of node 1 was of no use to another put a moment ago; that of node 2 is of none to this
 * one. So the first is taken again, and the second is not. */
START_TEST(a_drive_that_failed_others_is_taken_before_one_that_failed_this_put)
{
	unsigned failed, failed_ever = 0;
	sim_disk_vanish(nodes[2].drives[0].disk);
	for (unsigned i = 0; i < 12; i++) {
		sim_call(sim, nodes[0].loops[0], fail_drive, &nodes[1]);
		ck_assert_err(put(i % 2 ? 20000 : 300000, &failed), ERR_OK);
		failed_ever += failed;
		forget();
	}
	ck_assert_uint_gt(failed_ever, 0);
}
END_TEST

/* The drive of node 1 fails, and the put does not wait for that of node 2, which is slow, but
 * begins anew at once. That one has not failed it. */
START_TEST(a_drive_that_was_not_waited_for_has_not_failed)
{
	unsigned failed, failed_ever = 0;
	sim_disk_vanish(nodes[1].drives[0].disk);
	sim_disk_set_slow_times(nodes[2].drives[0].disk, 10);
	for (unsigned call = 0; call < SIM_CALLS; call++)
		sim_disk_per_mille(nodes[2].drives[0].disk)[call][SIM_SLOW] = 1000;
	for (unsigned i = 0; i < 12; i++) {
		ck_assert_err(put(20000, &failed), ERR_OK);
		ck_assert_uint_le(failed, 1);
		failed_ever += failed;
		forget();
	}
	ck_assert_uint_gt(failed_ever, 0);
}
END_TEST

START_TEST(a_drive_that_failed_others_is_taken_when_too_few_are_left)
{
	unsigned failed;
	sim_call(sim, nodes[0].loops[0], fail_drive, &nodes[1]);
	sim_call(sim, nodes[0].loops[0], fail_drive, &nodes[2]);
	sim_run_ms(sim, 1);
	ck_assert_err(put(300000, &failed), ERR_OK);
	ck_assert_uint_eq(failed, 0);
}
END_TEST

START_TEST(a_put_with_one_drive_left_fails)
{
	unsigned failed;
	sim_disk_vanish(nodes[1].drives[0].disk);
	sim_disk_vanish(nodes[2].drives[0].disk);
	ck_assert_err(put(300000, &failed), ERR_QUORUM);
}
END_TEST

static void start_call(void *arg)
{
	peer_call_start(nodes[0].peers[0], arg);
}

static bool is_call_done;

static void call_done(struct peer_call *call)
{
	(void)call;
	is_call_done = true;
}

/* Node 0 asks node 1 to free the shard of the key. */
static void ask_free(const struct shard_key *key)
{
	static struct peer_call call;
	uint8_t head[SHARD_KEY_LEN];
	shard_key_encode(key, head);
	is_call_done = false;
	call = (struct peer_call){.node = nodes[1].options.node_id,
		.kind = PEER_SHARD_FREE,
		.deadline_ms = 5000,
		.head = {head, sizeof head},
		.done = call_done};
	sim_call(sim, nodes[0].loops[0], start_call, &call);
	sim_run_ms(sim, 2000);
	ck_assert(is_call_done);
	ck_assert_err(call.err, ERR_OK);
	ck_assert_err(call.answer_err, ERR_OK);
}

static bool is_there(const struct shard_key *key)
{
	struct shard_entry entry;
	size_t count = 0;
	ck_assert_ok(
		drive_list(nodes[1].drives[0].drive, key->extent, key->index, &entry, 1, &count));
	return count == 1 && extent_id_is_equal(entry.extent, key->extent) &&
		entry.index == key->index;
}

/* A put asks until it is answered that a shard be freed which it gave up, and a repair may have
 * brought that back meanwhile. */
START_TEST(a_late_free_leaves_what_is_read)
{
	struct client *client = client_start(&world, CLIENT_PUT, 1, 300000, true);
	ck_assert(sim_run_until(sim, is_client_done, client, WAIT_MS));
	ck_assert_err(client->err, ERR_OK);
	struct shard_key key = {.extent = client->put.extent, .drive = nodes[1].drives[0].number};
	while (client->put.shards[key.index].drive != key.drive)
		key.index++;
	sim_run_ms(sim, 1000);
	ck_assert(is_there(&key));
	ask_free(&key);
	ck_assert(is_there(&key));
	client_free(client);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("put_failed");
	TCase *tcase = tcase_create("drives");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_drive_that_failed_others_is_taken_before_one_that_failed_this_put);
	tcase_add_test(tcase, a_drive_that_was_not_waited_for_has_not_failed);
	tcase_add_test(tcase, a_drive_that_failed_others_is_taken_when_too_few_are_left);
	tcase_add_test(tcase, a_put_with_one_drive_left_fails);
	tcase_add_test(tcase, a_late_free_leaves_what_is_read);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
