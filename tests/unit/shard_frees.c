/* SPDX-License-Identifier: Apache-2.0 */
/* Frees of shards that other nodes ask for again and again, while a slow upload keeps them from
 * being done. */
#include "storage/shard/shard_service_priv.h"

#include "erasure/checksum.h"
#include "tests/lib/sim_nodes.h"
#include "tests/lib/test.h"

enum { BODY_LEN = 60000, LEN = 61440, TIMES = 12 };

static struct sim_nodes rig;
static struct sim_question question;
static uint8_t data[LEN];

static void set_up(void)
{
	sim_nodes_start(&rig, 2);
}

static void tear_down(void)
{
	sim_nodes_stop(&rig);
}

static enum err ask(uint16_t kind, size_t head_len, const void *payload, size_t payload_len)
{
	return sim_nodes_ask(&rig, &question, kind, head_len, payload, payload_len);
}

static enum err ask_key(uint16_t kind, const struct shard_key *key)
{
	return sim_nodes_ask_key(&rig, &question, kind, key);
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

static unsigned frees_used(void)
{
	return rig.stores[1].life->services[0].frees_used;
}

/* A write that is open, so that no free of what is written behind it is done. */
static struct shard_key begin_slow_write(void)
{
	struct shard_key key = sim_nodes_make_key(&rig);
	open_shard(&key);
	return key;
}

/* --- tests ------------------------------------------------------------------------------------ */

START_TEST(a_free_that_is_asked_for_again_and_again_takes_one_place)
{
	struct shard_key slow = begin_slow_write(), key = sim_nodes_make_key(&rig);
	write_shard(&key);
	for (unsigned i = 0; i < TIMES; i++) {
		ck_assert_err(ask_key(PEER_SHARD_FREE, &key), ERR_TIMEOUT);
		ck_assert_uint_eq(frees_used(), 1);
	}
	ck_assert_ok(ask_key(PEER_SHARD_ABORT, &slow));
	ck_assert_ok(ask_key(PEER_SHARD_FREE, &key));
	ck_assert_uint_eq(frees_used(), 0);
	ck_assert(!sim_nodes_has_shard(&rig, &key));
}
END_TEST

START_TEST(a_free_that_is_asked_for_again_is_answered_with_the_first)
{
	struct shard_key slow = begin_slow_write(), key = sim_nodes_make_key(&rig);
	write_shard(&key);
	ck_assert_err(ask_key(PEER_SHARD_FREE, &key), ERR_TIMEOUT);
	uint64_t freed = rig.stores[1].life->services[0].counters.freed;
	ck_assert_err(ask_key(PEER_SHARD_FREE, &key), ERR_TIMEOUT);
	ck_assert_ok(ask_key(PEER_SHARD_ABORT, &slow));
	sim_run_ms(rig.sim, 3000);
	ck_assert_uint_eq(frees_used(), 0);
	ck_assert_uint_eq(rig.stores[1].life->services[0].counters.freed, freed + 1);
}
END_TEST

START_TEST(a_shard_that_is_written_anew_meanwhile_is_freed_by_the_next)
{
	struct shard_key slow = begin_slow_write(), key = sim_nodes_make_key(&rig);
	write_shard(&key);
	ck_assert_err(ask_key(PEER_SHARD_FREE, &key), ERR_TIMEOUT);
	ck_assert(!sim_nodes_has_shard(&rig, &key));
	write_shard(&key);
	ck_assert(sim_nodes_has_shard(&rig, &key));
	ck_assert_err(ask_key(PEER_SHARD_FREE, &key), ERR_TIMEOUT);
	ck_assert_ok(ask_key(PEER_SHARD_ABORT, &slow));
	sim_run_ms(rig.sim, 5000);
	ck_assert_uint_eq(frees_used(), 0);
	ck_assert(!sim_nodes_has_shard(&rig, &key));
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
