/* SPDX-License-Identifier: Apache-2.0 */
#include "server/channel.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/channel_foe.h"
#include "tests/lib/channel_rig.h"
#include "tests/lib/test.h"

/* What comes from who is no node, and from a node that went bad. After each of it a good node is
 * still served. */

static struct rig_node good, target;
static struct channel_self bad; /* admitted, and not to be trusted */
static struct channel_settings settings;
static struct foe foe;

/* A service that answers at the end of the test only. */
enum { KIND_KEEP = 100 };
static struct peer_request *kept[8];
static unsigned kept_count;

static void keep(void *arg, struct peer_request *request)
{
	(void)arg;
	assert(kept_count < ARRAY_COUNT(kept));
	kept[kept_count++] = request;
}

static void serve(struct peers *peers)
{
	peers_serve(peers, KIND_KEEP, keep, NULL);
}

static void answer_kept(struct task *task)
{
	(void)task;
	while (kept_count > 0)
		peer_request_answer(kept[--kept_count], ERR_OK);
}

static void admit(void)
{
	struct channel_node nodes[3];
	rig_describe(&good, &nodes[0]);
	rig_describe(&target, &nodes[1]);
	nodes[2] = (struct channel_node){.id = bad.node};
	memcpy(nodes[2].key, bad.public_key, CHANNEL_KEY_LEN);
	nodes[0].address_count = 0;
	struct channel_table table = {1, nodes, 3};
	ck_assert_ok(channel_set_table(target.channel, &table));
	ck_assert_ok(channel_set_table(good.channel, &table));
}

static void set_up(void)
{
	settings = rig_settings();
	settings.shake_timeout_ms = 500;
	settings.shake_count_max = 8;
	rig_init(&good, 1, 1);
	rig_init(&target, 1, 2);
	rig_make_self(&bad, 1, 3);
	rig_start(&good, &settings, 1, false, NULL);
	rig_start(&target, &settings, 1, false, serve);
	admit();
	rig_await_links(&good, 1);
}

/* The good node's link never broke, and works. */
static void tear_down(void)
{
	struct rig_call call;
	rig_call_init(&call, good.peers[0], &target, PEER_PING, bytes_of("x"), bytes_of("y"));
	uint8_t answer[1];
	call.call.answer_buf = answer;
	call.call.answer_cap = 1;
	rig_call_start(&call);
	ck_assert_int_eq(rig_call_wait(&call), ERR_OK);
	ck_assert_uint_eq(rig_counts(&good).links_broken, 0);
	rig_stop(&good);
	struct task task = {.run = answer_kept};
	loop_post(target.peers[0]->loop, &task);
	rig_stop(&target);
}

static void connect_foe(void)
{
	foe_connect(&foe, channel_port(target.channel));
}

static bool is_refused(void *arg)
{
	return rig_counts(&target).refused[*(enum channel_refusal *)arg] > 0;
}

static void await_refusal(enum channel_refusal reason)
{
	rig_await(is_refused, &reason);
}

/* The node ends the connection and has sent nothing that was not expected. */
static void expect_end(size_t len)
{
	bool has_ended;
	size_t got = foe_read_all(&foe, 20 * 1000, &has_ended);
	ck_assert(has_ended);
	ck_assert_uint_eq(got, len);
	foe_close(&foe);
}

/* --- strangers -------------------------------------------------------------------------------- */

START_TEST(garbage_gets_no_byte)
{
	uint8_t garbage[1000];
	uint64_t seed = 1;
	for (unsigned i = 0; i < 20; i++) {
		test_random_fill(&seed, garbage, sizeof garbage);
		if (i == 0)
			memcpy(garbage, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 28);
		connect_foe();
		foe_send(&foe, garbage, sizeof garbage);
		expect_end(0);
	}
	await_refusal(CHANNEL_REFUSED_GARBAGE);
	ck_assert_uint_eq(rig_counts(&target).refused[CHANNEL_REFUSED_GARBAGE], 20);
}
END_TEST

START_TEST(a_hello_with_any_bit_changed_gets_no_accept)
{
	uint8_t hello[CHANNEL_HELLO_LEN];
	for (size_t i = 0; i < CHANNEL_HELLO_LEN; i++) {
		connect_foe();
		foe_hello(&foe, &bad, target.self.node, 1, hello);
		hello[i] ^= 1 << i % 8;
		foe_send(&foe, hello, sizeof hello);
		expect_end(0);
	}
	ck_assert_uint_eq(rig_counts(&target).links_accepted, 1);
}
END_TEST

START_TEST(a_hello_that_stops_early_is_forgotten)
{
	uint8_t hello[CHANNEL_HELLO_LEN];
	for (size_t len = 0; len < CHANNEL_HELLO_LEN; len += 7) {
		connect_foe();
		foe_hello(&foe, &bad, target.self.node, 1, hello);
		foe_send(&foe, hello, len);
		foe_close(&foe);
	}
}
END_TEST

START_TEST(a_slow_handshake_ends_at_its_deadline_however_many_bytes_come)
{
	uint8_t hello[CHANNEL_HELLO_LEN];
	connect_foe();
	foe_hello(&foe, &bad, target.self.node, 1, hello);
	for (size_t i = 0; i < 20; i++) {
		foe_send(&foe, hello + i, 1);
		usleep(40000);
	}
	expect_end(0);
	await_refusal(CHANNEL_REFUSED_SLOW);
}
END_TEST

START_TEST(many_that_wait_do_not_keep_a_node_out)
{
	struct foe foes[30];
	for (size_t i = 0; i < ARRAY_COUNT(foes); i++)
		foe_connect(&foes[i], channel_port(target.channel));
	connect_foe();
	ck_assert_uint_eq(foe_enter(&foe, &bad, target.self.node), settings.window_len);
	foe_close(&foe);
	for (size_t i = 0; i < ARRAY_COUNT(foes); i++)
		foe_close(&foes[i]);
}
END_TEST

START_TEST(a_hello_that_is_played_again_leads_nowhere)
{
	uint8_t hello[CHANNEL_HELLO_LEN], accept[CHANNEL_ACCEPT_LEN], proof[CHANNEL_PROOF_LEN];
	connect_foe();
	foe_hello(&foe, &bad, target.self.node, 1, hello);
	foe_send(&foe, hello, sizeof hello);
	ck_assert(foe_read(&foe, accept, sizeof accept));
	ck_assert_ok(channel_shake_accepted(&foe.shake, accept));
	channel_shake_prove(&foe.shake, proof);
	foe_close(&foe);
	/* Hello and proof of another connection: the accept is another, so the proof is wrong. */
	connect_foe();
	foe_send(&foe, hello, sizeof hello);
	ck_assert(foe_read(&foe, accept, sizeof accept));
	foe_send(&foe, proof, sizeof proof);
	expect_end(0);
	await_refusal(CHANNEL_REFUSED_KEY);
	ck_assert_uint_eq(rig_counts(&target).links_accepted, 1);
}
END_TEST

START_TEST(a_proof_by_another_key_is_refused)
{
	uint8_t hello[CHANNEL_HELLO_LEN], accept[CHANNEL_ACCEPT_LEN], proof[CHANNEL_PROOF_LEN];
	struct channel_self thief;
	/* It has the cluster's secret and says the id of the good node, with a key of its own. */
	rig_make_self(&thief, 1, 9);
	thief.node = good.self.node;
	thief.life = good.self.life;
	connect_foe();
	foe_hello(&foe, &thief, target.self.node, 1, hello);
	foe_send(&foe, hello, sizeof hello);
	ck_assert(foe_read(&foe, accept, sizeof accept));
	ck_assert_ok(channel_shake_accepted(&foe.shake, accept));
	channel_shake_prove(&foe.shake, proof);
	foe_send(&foe, proof, sizeof proof);
	expect_end(CHANNEL_FRAME_WIRE_LEN);
	await_refusal(CHANNEL_REFUSED_KEY);
}
END_TEST

START_TEST(versions_without_overlap_are_told_which_there_are)
{
	uint8_t hello[CHANNEL_HELLO_LEN], reply[CHANNEL_REFUSAL_LEN];
	struct channel_refused refused;
	connect_foe();
	foe_hello(&foe, &bad, target.self.node, 1, hello);
	put_le16(hello + 10, CHANNEL_VERSION_MAX + 1);
	put_le16(hello + 12, CHANNEL_VERSION_MAX + 3);
	hello[14] = 77; /* a purpose of that time */
	foe_sum(&bad, hello);
	memcpy(foe.shake.hello_bytes, hello, sizeof hello);
	foe_send(&foe, hello, sizeof hello);
	ck_assert(foe_read(&foe, reply, sizeof reply));
	ck_assert_ok(channel_shake_refused(&foe.shake, reply, &refused));
	ck_assert_int_eq(refused.reason, CHANNEL_REFUSED_VERSION);
	ck_assert_uint_eq(refused.version_max, CHANNEL_VERSION_MAX);
	reply[12] ^= 1;
	ck_assert_err(channel_shake_refused(&foe.shake, reply, &refused), ERR_DENIED);
	foe_close(&foe);
	await_refusal(CHANNEL_REFUSED_VERSION);
}
END_TEST

START_TEST(a_version_that_overlaps_is_spoken)
{
	uint8_t hello[CHANNEL_HELLO_LEN], accept[CHANNEL_ACCEPT_LEN];
	connect_foe();
	foe_hello(&foe, &bad, target.self.node, 1, hello);
	put_le16(hello + 12, CHANNEL_VERSION_MAX + 3);
	foe_sum(&bad, hello);
	foe_send(&foe, hello, sizeof hello);
	ck_assert(foe_read(&foe, accept, sizeof accept));
	ck_assert_uint_eq(get_le16(accept + 12), CHANNEL_VERSION_MAX);
	foe_close(&foe);
}
END_TEST

/* --- a node that went bad --------------------------------------------------------------------- */

static const struct channel_frame call = {
	.type = CHANNEL_CALL, .kind = PEER_PING, .number = 1, .value = 1000};

/* Each of these ends the link at once. */
START_TEST(a_frame_that_breaks_a_rule_ends_the_link)
{
	struct channel_frame frames[] = {
		{.type = CHANNEL_ANSWER, .number = 1},
		{.type = CHANNEL_CREDIT, .value = 1},
		{.type = CHANNEL_READY, .value = 1},
		{.type = CHANNEL_BYE, .err = 1},
		{.type = CHANNEL_PONG},
		{.type = 0},
		{.type = CHANNEL_FRAME_TYPE_END},
		{.type = 255},
		{.type = CHANNEL_CALL, .number = 0, .value = 1},
		{.type = CHANNEL_CALL, .number = 1, .value = 0},
		{.type = CHANNEL_CALL, .number = 1, .value = UINT64_C(1) << 32},
		{.type = CHANNEL_CALL, .number = 1, .value = 1, .err = 1},
		{.type = CHANNEL_CALL, .number = 1, .value = 1, .head_len = PEER_HEAD_LEN_MAX + 1},
		{.type = CHANNEL_CALL, .number = 1, .value = 1, .head_len = UINT32_MAX},
		{.type = CHANNEL_CALL,
			.number = 1,
			.value = 1,
			.payload_len = PEER_PAYLOAD_LEN_MAX + 1},
		{.type = CHANNEL_NOTE, .payload_len = UINT32_MAX},
		{.type = CHANNEL_NOTE, .number = 1},
		{.type = CHANNEL_NOTE, .value = 1},
		{.type = CHANNEL_CANCEL, .number = 1, .payload_len = 1},
		{.type = CHANNEL_PING, .head_len = 1},
		{.type = CHANNEL_PING, .kind = 1},
	};
	uint8_t bytes[CHANNEL_FRAME_LEN];
	for (size_t i = 0; i <= ARRAY_COUNT(frames); i++) {
		connect_foe();
		foe_enter(&foe, &bad, target.self.node);
		channel_frame_encode(i < ARRAY_COUNT(frames) ? &frames[i] : &call, bytes);
		if (i == ARRAY_COUNT(frames))
			bytes[1] = 1;
		foe_send_frame(&foe, bytes, 0, 0);
		expect_end(0);
	}
}
END_TEST

START_TEST(more_than_the_credit_ends_the_link)
{
	uint8_t bytes[CHANNEL_FRAME_LEN];
	struct channel_frame big = call;
	big.kind = KIND_KEEP;
	big.payload_len = PEER_PAYLOAD_LEN_MAX;
	connect_foe();
	uint64_t credit = foe_enter(&foe, &bad, target.self.node);
	size_t fit = credit / channel_charge(0, big.payload_len);
	ck_assert_uint_eq(fit, 2);
	channel_frame_encode(&big, bytes);
	foe_send_frame(&foe, bytes, 0, big.payload_len);
	foe_send_frame(&foe, bytes, 0, big.payload_len);
	foe_send_frame(&foe, bytes, 0, 0);
	expect_end(0);
	ck_assert(rig_has_logged(&target, "more came than was granted"));
}
END_TEST

START_TEST(a_frame_that_is_played_again_or_altered_ends_the_link)
{
	uint8_t plain[CHANNEL_FRAME_LEN], wire[CHANNEL_FRAME_WIRE_LEN];
	struct channel_frame ping = {.type = CHANNEL_PING, .value = 5}, pong;
	channel_frame_encode(&ping, plain);
	for (unsigned i = 0; i < 3; i++) {
		connect_foe();
		foe_enter(&foe, &bad, target.self.node);
		ck_assert_ok(channel_seal_put(&foe.out, (struct bytes){0}, plain, sizeof plain,
			wire, wire + CHANNEL_FRAME_LEN));
		if (i == 2) /* the record before was left out */
			ck_assert_ok(channel_seal_put(&foe.out, (struct bytes){0}, plain,
				sizeof plain, wire, wire + CHANNEL_FRAME_LEN));
		if (i == 1)
			wire[3] ^= 0x10;
		foe_send(&foe, wire, sizeof wire);
		if (i == 0) {
			ck_assert(foe_read_frame(&foe, &pong));
			ck_assert_int_eq(pong.type, CHANNEL_PONG);
			ck_assert_uint_eq(pong.value, 5);
			foe_send(&foe, wire, sizeof wire);
		}
		expect_end(0);
	}
	ck_assert(rig_has_logged(&target, "altered on the way"));
}
END_TEST

START_TEST(a_link_may_end_in_the_middle_of_anything)
{
	struct channel_frame frame = call;
	uint8_t bytes[CHANNEL_FRAME_LEN];
	frame.head_len = 100;
	frame.payload_len = 200000;
	channel_frame_encode(&frame, bytes);
	for (unsigned i = 0; i < 4; i++) {
		connect_foe();
		foe_enter(&foe, &bad, target.self.node);
		foe_send_frame(&foe, bytes, i > 0 ? 100 : 0, i > 1 ? 70000 : 0);
		if (i == 3)
			usleep(20000);
		foe_close(&foe);
	}
}
END_TEST

START_TEST(random_frames_of_a_member_do_no_harm)
{
	uint64_t seed = 11;
	for (unsigned i = 0; i < 200; i++) {
		uint8_t bytes[CHANNEL_FRAME_LEN];
		connect_foe();
		foe_enter(&foe, &bad, target.self.node);
		for (unsigned j = 0; j < 4; j++) {
			struct channel_frame frame = {.type = test_random(&seed) % 10,
				.kind = test_random(&seed) % 130,
				.number = test_random(&seed) % 3,
				.value = test_random(&seed) % 3,
				.head_len = test_random(&seed) % 3 * 20,
				.payload_len = test_random(&seed) % 3 * 5000};
			channel_frame_encode(&frame, bytes);
			foe_send_frame(&foe, bytes, frame.head_len, frame.payload_len);
		}
		foe_close(&foe);
	}
}
END_TEST

/* A window of requests, each answered into a socket that nobody reads: the node keeps no more than
 * the credit it gave. */
START_TEST(who_reads_no_answers_is_sent_no_credit)
{
	struct channel_frame frame = call;
	uint8_t bytes[CHANNEL_FRAME_LEN];
	frame.payload_len = 256 << 10;
	connect_foe();
	uint64_t credit = foe_enter(&foe, &bad, target.self.node), spent = 0;
	for (unsigned i = 1; spent + channel_charge(0, frame.payload_len) <= credit; i++) {
		frame.number = i;
		channel_frame_encode(&frame, bytes);
		foe_send_frame(&foe, bytes, 0, frame.payload_len);
		spent += channel_charge(0, frame.payload_len);
	}
	usleep(50000);
	struct channel_frame answer;
	ck_assert(foe_read_frame(&foe, &answer));
	ck_assert_int_eq(answer.type, CHANNEL_ANSWER);
	ck_assert_uint_le(answer.value, credit);
	foe_close(&foe);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("channel_hostile");
	TCase *tcase = tcase_create("channel_hostile");
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, garbage_gets_no_byte);
	tcase_add_test(tcase, a_hello_with_any_bit_changed_gets_no_accept);
	tcase_add_test(tcase, a_hello_that_stops_early_is_forgotten);
	tcase_add_test(tcase, a_slow_handshake_ends_at_its_deadline_however_many_bytes_come);
	tcase_add_test(tcase, many_that_wait_do_not_keep_a_node_out);
	tcase_add_test(tcase, a_hello_that_is_played_again_leads_nowhere);
	tcase_add_test(tcase, a_proof_by_another_key_is_refused);
	tcase_add_test(tcase, versions_without_overlap_are_told_which_there_are);
	tcase_add_test(tcase, a_version_that_overlaps_is_spoken);
	tcase_add_test(tcase, a_frame_that_breaks_a_rule_ends_the_link);
	tcase_add_test(tcase, more_than_the_credit_ends_the_link);
	tcase_add_test(tcase, a_frame_that_is_played_again_or_altered_ends_the_link);
	tcase_add_test(tcase, a_link_may_end_in_the_middle_of_anything);
	tcase_add_test(tcase, random_frames_of_a_member_do_no_harm);
	tcase_add_test(tcase, who_reads_no_answers_is_sent_no_credit);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
