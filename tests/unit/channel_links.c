/* SPDX-License-Identifier: Apache-2.0 */
#include "server/channel.h"

#include <stdio.h>
#include <unistd.h>

#include "tests/lib/channel_rig.h"
#include "tests/lib/test.h"

/* Who is linked to whom, and who is not let in. */

static struct rig_node a, b;
static struct channel_settings settings;

static void start_two(void)
{
	struct rig_node *nodes[] = {&a, &b};
	settings = rig_settings();
	rig_init(&a, 1, 1);
	rig_init(&b, 1, 2);
	rig_start(&a, &settings, 1, false, NULL);
	rig_start(&b, &settings, 1, false, NULL);
	rig_admit(nodes, 2, 1);
	rig_await_links(&a, 1);
	rig_await_links(&b, 1);
}

static void stop_two(void)
{
	rig_stop(&a);
	rig_stop(&b);
}

/* --- links ------------------------------------------------------------------------------------ */

static struct linked {
	struct peer_watch watch;
	_Atomic unsigned up, down;
} linked;

static void note_change(struct peer_watch *watch, struct id node, bool is_linked)
{
	(void)watch;
	(void)node;
	if (is_linked)
		linked.up++;
	else
		linked.down++;
}

static void serve_watched(struct peers *peers)
{
	linked.watch.changed = note_change;
	peers_watch(peers, &linked.watch);
}

START_TEST(a_node_that_comes_back_is_dialed_again_and_watches_are_told)
{
	struct rig_node *nodes[] = {&a, &b};
	settings = rig_settings();
	rig_init(&a, 1, 1);
	rig_start(&a, &settings, 1, false, serve_watched);
	for (unsigned round = 1; round <= 3; round++) {
		rig_init(&b, 1, 2);
		rig_start(&b, &settings, 1, false, NULL);
		rig_admit(nodes, 2, 1);
		rig_await_links(&a, 1);
		rig_await_links(&b, 1);
		ck_assert_uint_eq(linked.up, round);
		rig_stop(&b);
		rig_await_links(&a, 0);
		ck_assert_uint_eq(linked.down, round);
	}
	rig_stop(&a);
}
END_TEST

START_TEST(loops_that_differ_in_number_meet_by_purpose)
{
	struct rig_node *nodes[] = {&a, &b};
	unsigned dialed, accepted;
	settings = rig_settings();
	rig_init(&a, 1, 1);
	rig_init(&b, 1, 2);
	rig_start(&a, &settings, 4, true, NULL);
	rig_start(&b, &settings, 2, true, NULL);
	rig_admit(nodes, 2, 1);
	rig_await_links(&a, 4);
	rig_await_links(&b, 2);
	channel_link_count(a.channel, &dialed, &accepted);
	ck_assert_uint_eq(accepted, 2);
	channel_link_count(b.channel, &dialed, &accepted);
	ck_assert_uint_eq(accepted, 4);
	for (unsigned i = 0; i < 4; i++) {
		struct rig_call call;
		rig_call_init(&call, a.peers[i], &b, PEER_PING, bytes_of("h"), bytes_of(""));
		rig_call_start(&call);
		ck_assert_int_eq(rig_call_wait(&call), ERR_OK);
	}
	stop_two();
}
END_TEST

struct info_task {
	struct task task;
	struct peers *peers;
	struct id node;
	struct peer_info info;
	sem_t ended;
};

static void run_info(struct task *task)
{
	struct info_task *it = CONTAINER_OF(task, struct info_task, task);
	peer_info(it->peers, it->node, &it->info);
	sem_post(&it->ended);
}

static struct peer_info get_info(struct rig_node *of, struct rig_node *about)
{
	struct info_task it = {
		.task.run = run_info, .peers = of->peers[0], .node = about->self.node};
	sem_init(&it.ended, 0, 0);
	loop_post(it.peers->loop, &it.task);
	sem_wait(&it.ended);
	return it.info;
}

static bool has_rtt(void *arg)
{
	(void)arg;
	return get_info(&a, &b).rtt_us > 0;
}

START_TEST(pings_tell_how_far_a_node_is)
{
	struct rig_node c;
	start_two();
	rig_make_self(&c.self, 1, 9);
	rig_await(has_rtt, NULL);
	struct peer_info info = get_info(&a, &b);
	ck_assert(info.is_linked);
	ck_assert_uint_lt(info.rtt_us, 5000000);
	ck_assert_uint_lt(info.silent_ms, 3000);
	ck_assert(get_info(&a, &a).is_linked);
	ck_assert(!get_info(&a, &c).is_linked);
	ck_assert(get_info(&a, &c).silent_ms == UINT64_MAX);
	stop_two();
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

/* Starts a and b as they are set up, with a table of either's own. */
static void start_strangers(uint64_t epoch_of_a, uint64_t epoch_of_b)
{
	struct channel_node nodes[2];
	settings = rig_settings();
	rig_start(&a, &settings, 1, false, NULL);
	rig_start(&b, &settings, 1, false, NULL);
	rig_describe(&a, &nodes[0]);
	rig_describe(&b, &nodes[1]);
	/* Only a dials: b knows no address of it. */
	nodes[0].address_count = 0;
	ck_assert_ok(channel_set_table(b.channel, &(struct channel_table){epoch_of_b, nodes, 2}));
	ck_assert_ok(channel_set_table(a.channel, &(struct channel_table){epoch_of_a, nodes, 2}));
}

static bool is_refused(void *arg)
{
	return rig_counts(&b).refused[*(enum channel_refusal *)arg] > 0;
}

static void await_refusal(enum channel_refusal reason)
{
	unsigned dialed, accepted;
	rig_await(is_refused, &reason);
	ck_assert(rig_has_logged(&b, channel_refusal_text(reason)));
	channel_link_count(a.channel, &dialed, &accepted);
	ck_assert_uint_eq(dialed, 0);
	ck_assert_uint_eq(rig_counts(&b).links_accepted, 0);
}

START_TEST(a_node_with_another_secret_gets_no_byte_and_both_say_why)
{
	rig_init(&a, 1, 1);
	rig_init(&b, 1, 2);
	memset(a.self.secret, 9, CHANNEL_KEY_LEN);
	start_strangers(1, 1);
	await_refusal(CHANNEL_REFUSED_SECRET);
	ck_assert(rig_has_logged(&a, "without a word"));
	ck_assert_uint_eq(rig_counts(&a).refused_us, 0);
	stop_two();
}
END_TEST

START_TEST(a_node_of_another_cluster_gets_no_byte)
{
	rig_init(&a, 3, 1);
	rig_init(&b, 1, 2);
	start_strangers(1, 1);
	await_refusal(CHANNEL_REFUSED_CLUSTER);
	ck_assert_uint_eq(rig_counts(&a).refused_us, 0);
	stop_two();
}
END_TEST

START_TEST(a_node_of_another_epoch_is_told_so_until_it_has_the_same)
{
	struct channel_node nodes[2];
	rig_init(&a, 1, 1);
	rig_init(&b, 1, 2);
	start_strangers(1, 2);
	await_refusal(CHANNEL_REFUSED_EPOCH);
	ck_assert(rig_has_logged(&a, channel_refusal_text(CHANNEL_REFUSED_EPOCH)));
	ck_assert_uint_gt(rig_counts(&a).refused_us, 0);
	ck_assert_uint_eq(channel_epoch_seen(a.channel), 2);
	ck_assert_uint_eq(channel_epoch_seen(b.channel), 1);
	rig_describe(&a, &nodes[0]);
	rig_describe(&b, &nodes[1]);
	ck_assert_ok(channel_set_table(a.channel, &(struct channel_table){2, nodes, 2}));
	rig_await_links(&a, 1);
	/* And the links end when the epoch changes under them. */
	ck_assert_ok(channel_set_table(b.channel, &(struct channel_table){3, nodes, 2}));
	rig_await_links(&a, 0);
	stop_two();
}
END_TEST

START_TEST(a_node_that_is_not_admitted_is_told_so)
{
	struct channel_node node;
	rig_init(&a, 1, 1);
	rig_init(&b, 1, 2);
	start_strangers(1, 1);
	rig_await_links(&a, 1);
	rig_describe(&b, &node);
	ck_assert_ok(channel_set_table(b.channel, &(struct channel_table){1, &node, 1}));
	rig_await_links(&a, 0);
	enum channel_refusal reason = CHANNEL_REFUSED_UNKNOWN;
	rig_await(is_refused, &reason);
	ck_assert(rig_has_logged(&a, channel_refusal_text(reason)));
	stop_two();
}
END_TEST

START_TEST(a_node_whose_key_is_not_the_admitted_one_is_refused)
{
	rig_init(&a, 1, 1);
	rig_init(&b, 1, 2);
	struct channel_self other;
	rig_make_self(&other, 1, 7);
	struct channel_node nodes[2];
	start_strangers(1, 1);
	rig_describe(&a, &nodes[0]);
	rig_describe(&b, &nodes[1]);
	memcpy(nodes[0].key, other.public_key, CHANNEL_KEY_LEN);
	nodes[0].address_count = 0;
	ck_assert_ok(channel_set_table(b.channel, &(struct channel_table){1, nodes, 2}));
	enum channel_refusal reason = CHANNEL_REFUSED_KEY;
	rig_await(is_refused, &reason);
	ck_assert(rig_has_logged(&a, channel_refusal_text(reason)));
	rig_await_links(&a, 0);
	stop_two();
}
END_TEST

START_TEST(a_node_that_answers_in_the_place_of_another_is_not_spoken_to)
{
	struct channel_node node;
	settings = rig_settings();
	rig_init(&a, 1, 1);
	rig_init(&b, 1, 2);
	start_strangers(1, 1);
	rig_describe(&b, &node);
	/* Its key is another: it has b's id, not b's key. */
	node.key[0] ^= 1;
	ck_assert_ok(channel_set_table(a.channel, &(struct channel_table){1, &node, 1}));
	ck_assert(rig_has_logged(&a, "shows key"));
	/* Another node at its address says so itself. */
	rig_describe(&b, &node);
	memset(node.id.bytes, 5, ID_LEN);
	ck_assert_ok(channel_set_table(a.channel, &(struct channel_table){1, &node, 1}));
	enum channel_refusal reason = CHANNEL_REFUSED_TO;
	rig_await(is_refused, &reason);
	rig_await_links(&a, 0);
	stop_two();
}
END_TEST

START_TEST(a_copy_of_a_node_is_refused_while_the_node_is_there)
{
	struct rig_node copy;
	struct channel_node nodes[2];
	start_two();
	rig_describe(&a, &nodes[0]);
	rig_describe(&b, &nodes[1]);
	rig_init(&copy, 1, 1);
	ck_assert_uint_ne(copy.self.life, a.self.life);
	rig_start(&copy, &settings, 1, false, NULL);
	ck_assert_ok(channel_set_table(copy.channel, &(struct channel_table){1, nodes, 2}));
	enum channel_refusal reason = CHANNEL_REFUSED_ELSEWHERE;
	rig_await(is_refused, &reason);
	ck_assert(rig_has_logged(&b, channel_refusal_text(reason)));
	rig_await_links(&copy, 0);
	rig_await_links(&a, 1);
	ck_assert_uint_eq(rig_counts(&a).links_broken, 0);
	/* When the node is gone the other is taken for a new life of it. */
	rig_stop(&a);
	rig_await_links(&copy, 1);
	rig_stop(&copy);
	rig_stop(&b);
}
END_TEST

START_TEST(addresses_are_tried_in_order_until_one_answers)
{
	struct channel_node nodes[2];
	settings = rig_settings();
	rig_init(&a, 1, 1);
	rig_init(&b, 1, 2);
	start_strangers(1, 1);
	rig_await_links(&a, 1);
	rig_describe(&a, &nodes[0]);
	rig_describe(&b, &nodes[1]);
	nodes[1].addresses[2] = nodes[1].addresses[0];
	nodes[1].addresses[0].port = 1; /* nobody is there */
	snprintf(nodes[1].addresses[1].host, CHANNEL_HOST_LEN, "not-an-address");
	nodes[1].address_count = 3;
	ck_assert_ok(channel_set_table(a.channel, &(struct channel_table){2, nodes, 2}));
	ck_assert_ok(channel_set_table(b.channel, &(struct channel_table){2, nodes, 2}));
	rig_await_links(&a, 1);
	stop_two();
}
END_TEST

struct gate {
	struct task task;
	sem_t reached, opened;
};

static void run_gate(struct task *task)
{
	struct gate *gate = CONTAINER_OF(task, struct gate, task);
	sem_post(&gate->reached);
	sem_wait(&gate->opened);
}

START_TEST(a_link_that_ends_before_it_is_flushed_harms_no_other)
{
	struct rig_node c, *all[] = {&a, &b, &c};
	struct rig_call to_b, to_c;
	struct channel_node nodes[2];
	settings = rig_settings();
	rig_init(&a, 1, 1);
	rig_init(&b, 1, 2);
	rig_init(&c, 1, 3);
	for (unsigned i = 0; i < 3; i++)
		rig_start(all[i], &settings, 1, false, NULL);
	rig_admit(all, 3, 1);
	rig_await_links(&a, 2);
	/* All in one turn of the loop: a call to b, b leaves the table, a call to c. */
	struct gate gate = {.task.run = run_gate};
	sem_init(&gate.reached, 0, 0);
	sem_init(&gate.opened, 0, 0);
	rig_call_init(&to_b, a.peers[0], &b, PEER_PING, bytes_of("b"), bytes_of(""));
	rig_call_init(&to_c, a.peers[0], &c, PEER_PING, bytes_of("c"), bytes_of(""));
	rig_describe(&a, &nodes[0]);
	rig_describe(&c, &nodes[1]);
	loop_post(a.peers[0]->loop, &gate.task);
	sem_wait(&gate.reached);
	rig_call_start(&to_b);
	ck_assert_ok(channel_set_table(a.channel, &(struct channel_table){1, nodes, 2}));
	rig_call_start(&to_c);
	sem_post(&gate.opened);
	ck_assert_int_eq(rig_call_wait(&to_b), ERR_UNAVAILABLE);
	ck_assert_int_eq(rig_call_wait(&to_c), ERR_OK);
	for (unsigned i = 0; i < 3; i++)
		rig_stop(all[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("channel_links");
	TCase *tcase = tcase_create("channel_links");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_node_that_comes_back_is_dialed_again_and_watches_are_told);
	tcase_add_test(tcase, loops_that_differ_in_number_meet_by_purpose);
	tcase_add_test(tcase, pings_tell_how_far_a_node_is);
	tcase_add_test(tcase, a_node_with_another_secret_gets_no_byte_and_both_say_why);
	tcase_add_test(tcase, a_node_of_another_cluster_gets_no_byte);
	tcase_add_test(tcase, a_node_of_another_epoch_is_told_so_until_it_has_the_same);
	tcase_add_test(tcase, a_node_that_is_not_admitted_is_told_so);
	tcase_add_test(tcase, a_node_whose_key_is_not_the_admitted_one_is_refused);
	tcase_add_test(tcase, a_node_that_answers_in_the_place_of_another_is_not_spoken_to);
	tcase_add_test(tcase, a_copy_of_a_node_is_refused_while_the_node_is_there);
	tcase_add_test(tcase, addresses_are_tried_in_order_until_one_answers);
	tcase_add_test(tcase, a_link_that_ends_before_it_is_flushed_harms_no_other);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
