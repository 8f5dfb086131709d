/* SPDX-License-Identifier: Apache-2.0 */
/* Which drives a put takes after some of them failed, and what becomes of what it left there: three
 * nodes with a drive each, 2+1. */
#include "tests/lib/sim_nodes.h"
#include "tests/lib/test.h"

static struct sim_nodes rig;
static struct sim_question question;

static void set_up(void)
{
	sim_nodes_start(&rig, 3);
}

static void tear_down(void)
{
	sim_nodes_stop(&rig);
}

/* What a put of node 0 ends with, and how many drives failed it. */
static enum err put(uint64_t len, unsigned *ret_failed)
{
	struct client *client;
	enum err err;
	do {
		client = client_start(&rig.worlds[0], CLIENT_PUT, 1, len, true);
		err = sim_nodes_await(&rig, client);
		*ret_failed = client->put.failed_count;
		client_free(client);
	} while (err == ERR_CANCELED); /* it went away itself */
	return err;
}

static void fail_drive(void *arg)
{
	const struct sim_store *node = arg;
	for (unsigned i = 0; i < SIM_STORE_LOOPS; i++)
		reach_failed(&rig.stores[0].life->loops[i], node->drives[0].number);
}

static void forget(void)
{
	sim_run_ms(rig.sim, REACH_AVOID_MS + 1);
}

/* The drive of node 1 was of no use to another put a moment ago; that of node 2 is of none to this
 * one. So the first is taken again, and the second is not. */
START_TEST(a_drive_that_failed_others_is_taken_before_one_that_failed_this_put)
{
	unsigned failed, failed_ever = 0;
	sim_disk_vanish(rig.stores[2].drives[0].disk);
	for (unsigned i = 0; i < 12; i++) {
		sim_call(rig.sim, rig.stores[0].loops[0], fail_drive, &rig.stores[1]);
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
	sim_disk_vanish(rig.stores[1].drives[0].disk);
	sim_disk_set_slow_times(rig.stores[2].drives[0].disk, 10);
	for (unsigned call = 0; call < SIM_CALLS; call++)
		sim_disk_per_mille(rig.stores[2].drives[0].disk)[call][SIM_SLOW] = 1000;
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
	sim_call(rig.sim, rig.stores[0].loops[0], fail_drive, &rig.stores[1]);
	sim_call(rig.sim, rig.stores[0].loops[0], fail_drive, &rig.stores[2]);
	sim_run_ms(rig.sim, 1);
	ck_assert_err(put(300000, &failed), ERR_OK);
	ck_assert_uint_eq(failed, 0);
}
END_TEST

START_TEST(a_put_with_one_drive_left_fails)
{
	unsigned failed;
	sim_disk_vanish(rig.stores[1].drives[0].disk);
	sim_disk_vanish(rig.stores[2].drives[0].disk);
	ck_assert_err(put(300000, &failed), ERR_QUORUM);
}
END_TEST

/* A put asks until it is answered that a shard be freed which it gave up, and a repair may have
 * brought that back meanwhile. */
START_TEST(a_late_free_leaves_what_is_read)
{
	struct client *client = client_start(&rig.worlds[0], CLIENT_PUT, 1, 300000, true);
	ck_assert_err(sim_nodes_await(&rig, client), ERR_OK);
	struct shard_key key = {
		.extent = client->put.extent, .drive = rig.stores[1].drives[0].number};
	while (client->put.shards[key.index].drive != key.drive)
		key.index++;
	sim_run_ms(rig.sim, 1000);
	ck_assert(sim_nodes_has_shard(&rig, &key));
	ck_assert_ok(sim_nodes_ask_key(&rig, &question, PEER_SHARD_FREE, &key));
	ck_assert(sim_nodes_has_shard(&rig, &key));
	client_free(client);
}
END_TEST

/* --- a body whose length comes in pieces ------------------------------------------------------ */

#define PIECES 3

/* Each piece is announced as soon as the one before is filled in, while that is being written. */
struct open_put {
	struct put put;
	size_t piece_len;
	uint64_t filled_len;
	unsigned announced; /* pieces */
	bool is_closed, is_over;
	enum err err;
	struct command_body body;
};

static struct open_put open_put;

static void announce(void)
{
	if (open_put.filled_len < open_put.announced * open_put.piece_len || open_put.is_closed)
		return;
	if (open_put.announced < PIECES) {
		open_put.announced++;
		put_extend(&open_put.put, open_put.piece_len);
	} else {
		open_put.is_closed = true;
		put_close(&open_put.put);
	}
}

static void pump(struct put *put)
{
	uint8_t *buf;
	size_t cap;
	while (!open_put.is_closed && put_buffer(put, &buf, &cap) == ERR_OK) {
		memset(buf, 'p', cap);
		open_put.filled_len += cap;
		put_filled(put, cap);
		announce();
	}
}

static void frame_came(struct put *put, struct put_frame *frame)
{
	put_frame_done(put, frame);
}

static void is_over(struct put *put)
{
	(void)put;
	open_put.is_over = true;
}

static void is_durable(struct put *put, enum err err)
{
	open_put.err = err;
	if (err == ERR_OK) {
		put_body(put, &open_put.body);
		put_discard(put); /* nobody proposes it */
	} else {
		open_put.is_over = true;
	}
}

static void start_open_put(void *arg)
{
	(void)arg;
	struct put_setup put_setup = {
		.store = &rig.stores[0].life->loops[0],
		.hint = client_key(1),
		.len = open_put.piece_len,
		.is_open = true,
		.request_id = 1,
		.room = pump,
		.frame = frame_came,
		.durable = is_durable,
		.discarded = is_over,
	};
	open_put.announced = 1;
	ck_assert_ok(put_start(&open_put.put, &put_setup));
	pump(&open_put.put);
}

static bool is_open_put_over(void *arg)
{
	(void)arg;
	return open_put.is_over;
}

/* The first copies are of the first piece, and so are those that are made of it when they fail. */
static void extend_and_fail(size_t piece_len)
{
	unsigned failed_ever = 0;
	sim_disk_vanish(rig.stores[1].drives[0].disk);
	for (unsigned i = 0; i < 12; i++) {
		memset(&open_put, 0, sizeof open_put);
		open_put.piece_len = piece_len;
		sim_call(rig.sim, rig.stores[0].loops[0], start_open_put, NULL);
		ck_assert(sim_run_until(rig.sim, is_open_put_over, NULL, SIM_NODES_WAIT_MS));
		ck_assert_err(open_put.err, ERR_OK);
		ck_assert_uint_eq(open_put.body.len, PIECES * piece_len);
		ck_assert_uint_eq(open_put.body.stored_len, PIECES * piece_len);
		failed_ever += open_put.put.failed_count;
		forget();
	}
	ck_assert_uint_gt(failed_ever, 0);
}

START_TEST(a_body_that_grows_while_copies_fail_is_stored_whole)
{
	extend_and_fail(20000);
}
END_TEST

START_TEST(a_body_that_grows_by_units_while_copies_fail_is_stored_whole)
{
	extend_and_fail(UNIT_LEN_SMALL);
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
	tcase_add_test(tcase, a_body_that_grows_while_copies_fail_is_stored_whole);
	tcase_add_test(tcase, a_body_that_grows_by_units_while_copies_fail_is_stored_whole);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
