/* SPDX-License-Identifier: Apache-2.0 */
/* Frees of shards that other nodes ask for again and again, while a slow upload keeps them from
 * being done. */
#include "storage/shard/shard_service_priv.h"

#include "erasure/checksum.h"
#include "tests/lib/sim_store.h"
#include "tests/lib/test.h"

enum { NODES = 2, WAIT_MS = 100000, BODY_LEN = 60000, LEN = 61440, TIMES = 12 };

static struct sim *sim;
static struct sim_net *net;
static struct sim_order *order;
static struct sim_store nodes[NODES];

static void set_up(void)
{
	static const char *const names[NODES] = {"n0", "n1"};
	struct sim_store *all[NODES];
	sim = sim_new(7);
	net = sim_net_new(sim);
	order = sim_order_new(sim);
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
	sim_run_ms(sim, 1000);
}

static void tear_down(void)
{
	for (unsigned i = 0; i < NODES; i++)
		ck_assert_ok(sim_store_stop(&nodes[i]));
	for (unsigned i = 0; i < NODES; i++)
		sim_store_fini(&nodes[i]);
	sim_order_free(order);
	sim_net_free(net);
	sim_free(sim);
}

/* --- calls from node 0 to node 1 -------------------------------------------------------------- */

struct question {
	struct peer_call call;
	uint8_t head[SHARD_APPEND_LEN + SHARD_SUMS_LEN_MAX];
	bool is_done;
};

static struct question question;
static uint8_t data[LEN];

static void answered(struct peer_call *call)
{
	CONTAINER_OF(call, struct question, call)->is_done = true;
}

static void start_call(void *arg)
{
	peer_call_start(nodes[0].peers[0], arg);
}

static bool is_done(void *arg)
{
	return ((struct question *)arg)->is_done;
}

static enum err ask(uint16_t kind, size_t head_len, const void *payload, size_t payload_len)
{
	question.is_done = false;
	question.call = (struct peer_call){.node = nodes[1].options.node_id,
		.kind = kind,
		.deadline_ms = 3000,
		.head = {question.head, head_len},
		.payload = {payload, payload_len},
		.done = answered};
	sim_call(sim, nodes[0].loops[0], start_call, &question.call);
	ck_assert(sim_run_until(sim, is_done, &question, WAIT_MS));
	return question.call.err ? question.call.err : question.call.answer_err;
}

static enum err ask_key(uint16_t kind, const struct shard_key *key)
{
	shard_key_encode(key, question.head);
	return ask(kind, SHARD_KEY_LEN, NULL, 0);
}

static struct shard_key make_key(void)
{
	struct store_loop *loop = &nodes[0].life->loops[0];
	static struct index_hold hold;
	index_hold_write(loop->reader, &hold);
	struct shard_key key = {.extent = index_extent_id_make(loop->reader),
		.drive = nodes[1].drives[0].number,
		.index = 1};
	index_release_write(loop->reader, &hold);
	return key;
}

static void open_shard(const struct shard_key *key)
{
	struct shard_open open = {.key = *key};
	ck_assert(stripe_geometry_init(&open.geometry, 1, 1, UNIT_LEN, BODY_LEN));
	ck_assert_uint_eq(stripe_shard_len(&open.geometry), LEN);
	shard_open_encode(&open, question.head);
	ck_assert_ok(ask(PEER_SHARD_OPEN, SHARD_OPEN_LEN, "hint", 4));
}

static void write_shard(const struct shard_key *key)
{
	uint64_t sums[SHARD_SUMS_MAX];
	size_t count = checksum_block_count(LEN);
	open_shard(key);
	checksum_blocks(data, LEN, shard_checksum_seed(key->extent, key->index), 0, sums);
	shard_append_encode(key, 0, question.head);
	shard_sums_encode(sums, count, question.head + SHARD_APPEND_LEN);
	ck_assert_ok(ask(PEER_SHARD_APPEND, SHARD_APPEND_LEN + 8 * count, data, LEN));
	ck_assert_ok(ask_key(PEER_SHARD_SEAL, key));
}

static bool is_there(const struct shard_key *key)
{
	struct shard_entry entry;
	size_t count;
	struct drive *drive = store_drive(&nodes[1].life->store, key->drive);
	ck_assert_ok(drive_list(drive, key->extent, key->index, &entry, 1, &count));
	return count == 1 && extent_id_is_equal(entry.extent, key->extent);
}

static unsigned frees_used(void)
{
	return nodes[1].life->services[0].frees_used;
}

/* A write that is open, so that no free of what is written behind it is done. */
static struct shard_key begin_slow_write(void)
{
	struct shard_key key = make_key();
	open_shard(&key);
	return key;
}

/* --- tests ------------------------------------------------------------------------------------ */

START_TEST(a_free_that_is_asked_for_again_and_again_takes_one_place)
{
	struct shard_key slow = begin_slow_write(), key = make_key();
	write_shard(&key);
	for (unsigned i = 0; i < TIMES; i++) {
		ck_assert_err(ask_key(PEER_SHARD_FREE, &key), ERR_TIMEOUT);
		ck_assert_uint_eq(frees_used(), 1);
	}
	ck_assert_ok(ask_key(PEER_SHARD_ABORT, &slow));
	ck_assert_ok(ask_key(PEER_SHARD_FREE, &key));
	ck_assert_uint_eq(frees_used(), 0);
	ck_assert(!is_there(&key));
}
END_TEST

START_TEST(a_free_that_is_asked_for_again_is_answered_with_the_first)
{
	struct shard_key slow = begin_slow_write(), key = make_key();
	write_shard(&key);
	ck_assert_err(ask_key(PEER_SHARD_FREE, &key), ERR_TIMEOUT);
	uint64_t freed = nodes[1].life->services[0].counters.freed;
	ck_assert_err(ask_key(PEER_SHARD_FREE, &key), ERR_TIMEOUT);
	ck_assert_ok(ask_key(PEER_SHARD_ABORT, &slow));
	sim_run_ms(sim, 3000);
	ck_assert_uint_eq(frees_used(), 0);
	ck_assert_uint_eq(nodes[1].life->services[0].counters.freed, freed + 1);
}
END_TEST

START_TEST(a_shard_that_is_written_anew_meanwhile_is_freed_by_the_next)
{
	struct shard_key slow = begin_slow_write(), key = make_key();
	write_shard(&key);
	ck_assert_err(ask_key(PEER_SHARD_FREE, &key), ERR_TIMEOUT);
	ck_assert(!is_there(&key));
	write_shard(&key);
	ck_assert(is_there(&key));
	ck_assert_err(ask_key(PEER_SHARD_FREE, &key), ERR_TIMEOUT);
	ck_assert_ok(ask_key(PEER_SHARD_ABORT, &slow));
	sim_run_ms(sim, 5000);
	ck_assert_uint_eq(frees_used(), 0);
	ck_assert(!is_there(&key));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shard_frees");
	TCase *tcase = tcase_create("frees");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_free_that_is_asked_for_again_and_again_takes_one_place);
	tcase_add_test(tcase, a_free_that_is_asked_for_again_is_answered_with_the_first);
	tcase_add_test(tcase, a_shard_that_is_written_anew_meanwhile_is_freed_by_the_next);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
