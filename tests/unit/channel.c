/* SPDX-License-Identifier: Apache-2.0 */
#include "server/channel.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/channel_rig.h"
#include "tests/lib/test.h"

/* Two nodes that do what they should; server/channel_format.h has the rules. */

enum { KIND_KEEP = 100, KIND_NOTE = 101, KIND_BIG = 102, KIND_SLOW = 103 };

static struct rig_node a, b;

/* --- services --------------------------------------------------------------------------------- */

static struct peer_request *kept[64];
static _Atomic unsigned kept_count;
static uint32_t notes[4096];
static _Atomic unsigned note_count;
static uint8_t *big;
static _Atomic unsigned sent_count;
static _Atomic bool was_misaligned;

static void keep(void *arg, struct peer_request *request)
{
	(void)arg;
	if ((uintptr_t)request->payload % 4096 != 0)
		was_misaligned = true;
	kept[kept_count] = request;
	kept_count++;
}

static void take_note(void *arg, struct peer_request *request)
{
	(void)arg;
	if (note_count < ARRAY_COUNT(notes))
		notes[note_count] = get_le32(request->head.data);
	note_count++;
	peer_request_answer(request, ERR_OK);
}

static void note_sent(struct peer_request *request)
{
	(void)request;
	sent_count++;
}

/* Answers with as many bytes as the head asks for. */
static void answer_big(void *arg, struct peer_request *request)
{
	(void)arg;
	request->answer_payload = bytes_make(big, get_le32(request->head.data));
	request->sent = note_sent;
	peer_request_answer(request, ERR_OK);
}

static void serve(struct peers *peers)
{
	peers_serve(peers, KIND_KEEP, keep, NULL);
	peers_serve(peers, KIND_NOTE, take_note, NULL);
	peers_serve(peers, KIND_BIG, answer_big, NULL);
}

static struct channel_settings settings;

static void start_two(unsigned loop_count)
{
	struct rig_node *nodes[] = {&a, &b};
	if (settings.ping_ms == 0)
		settings = rig_settings();
	rig_init(&a, 1, 1);
	rig_init(&b, 1, 2);
	rig_start(&a, &settings, loop_count, false, serve);
	rig_start(&b, &settings, 1, false, serve);
	rig_admit(nodes, 2, 1);
	rig_await_links(&a, loop_count);
	rig_await_links(&b, 1);
}

static void stop_two(void)
{
	rig_stop(&a);
	rig_stop(&b);
}

struct answer_task {
	struct task task;
	unsigned from, to;
	sem_t ended;
};

static void run_answers(struct task *task)
{
	struct answer_task *answers = CONTAINER_OF(task, struct answer_task, task);
	for (unsigned i = answers->from; i < answers->to; i++)
		peer_request_answer(kept[i], ERR_OK);
	sem_post(&answers->ended);
}

/* Answers kept requests on the loop that has them. */
static void answer_kept(struct rig_node *node, unsigned from, unsigned to)
{
	struct answer_task answers = {.task.run = run_answers, .from = from, .to = to};
	sem_init(&answers.ended, 0, 0);
	loop_post(node->peers[0]->loop, &answers.task);
	sem_wait(&answers.ended);
}

static bool has_kept(void *arg)
{
	return kept_count >= *(unsigned *)arg;
}

static void await_kept(unsigned count)
{
	rig_await(has_kept, &count);
}

/* --- tests ------------------------------------------------------------------------------------ */

START_TEST(bytes_of_any_length_come_back_as_they_went)
{
	static const size_t lens[] = {0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 262144, 262145,
		1048576, PEER_PAYLOAD_LEN_MAX};
	uint8_t *out = malloc(PEER_PAYLOAD_LEN_MAX), *in = malloc(PEER_PAYLOAD_LEN_MAX);
	uint64_t seed = 7;
	test_random_fill(&seed, out, PEER_PAYLOAD_LEN_MAX);
	start_two(1);
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		struct rig_call call;
		size_t head_len = i * 31;
		/* To the other node, and to ourselves. */
		rig_call_init(&call, a.peers[0],
			i % 2 == 0   ? &b
				: _i ? &a
				     : &b,
			PEER_PING, bytes_make(out, head_len), bytes_make(out, lens[i]));
		call.call.answer_buf = in;
		call.call.answer_cap = PEER_PAYLOAD_LEN_MAX;
		rig_call_start(&call);
		ck_assert_int_eq(rig_call_wait(&call), ERR_OK);
		ck_assert_int_eq(call.call.answer_err, ERR_OK);
		ck_assert_uint_eq(call.call.answer_len, lens[i]);
		ck_assert_uint_eq(call.head_len, head_len);
		ck_assert_mem_eq(call.head, out, head_len);
		ck_assert_mem_eq(in, out, lens[i]);
	}
	stop_two();
	free(out);
	free(in);
}
END_TEST

START_TEST(every_cipher_carries_calls)
{
	static const struct {
		bool is_clear[2], has_aes[2];
	} cases[] = {
		{{false, false}, {true, true}},
		{{false, false}, {true, false}},
		{{true, true}, {true, true}},
		{{true, true}, {false, false}},
		{{true, false}, {false, true}},
	};
	uint8_t out[70000], in[70000];
	struct rig_node *nodes[] = {&a, &b};
	memset(out, 'x', sizeof out);
	settings = rig_settings();
	rig_init(&a, 1, 1);
	rig_init(&b, 1, 2);
	a.self.is_integrity_only = cases[_i].is_clear[0];
	b.self.is_integrity_only = cases[_i].is_clear[1];
	a.self.has_fast_aes = cases[_i].has_aes[0];
	b.self.has_fast_aes = cases[_i].has_aes[1];
	rig_start(&a, &settings, 1, false, serve);
	rig_start(&b, &settings, 1, false, serve);
	rig_admit(nodes, 2, 1);
	rig_await_links(&a, 1);
	struct rig_call call;
	rig_call_init(
		&call, a.peers[0], &b, PEER_PING, bytes_of("head"), bytes_make(out, sizeof out));
	call.call.answer_buf = in;
	call.call.answer_cap = sizeof in;
	rig_call_start(&call);
	ck_assert_int_eq(rig_call_wait(&call), ERR_OK);
	ck_assert_mem_eq(in, out, sizeof in);
	stop_two();
}
END_TEST

START_TEST(a_kind_that_nobody_serves_is_answered)
{
	struct rig_call call;
	start_two(1);
	for (unsigned i = 0; i < 2; i++) {
		rig_call_init(&call, a.peers[0], i ? &a : &b, 99, bytes_of("?"), bytes_of("?"));
		rig_call_start(&call);
		ck_assert_int_eq(rig_call_wait(&call), ERR_OK);
		ck_assert_int_eq(call.call.answer_err, ERR_UNSUPPORTED);
	}
	stop_two();
}
END_TEST

START_TEST(an_answer_without_room_ends_the_call_and_not_the_link)
{
	uint8_t in[70000], want[4];
	struct rig_call call;
	big = calloc(1, sizeof in);
	put_le32(want, sizeof in);
	start_two(1);
	for (unsigned i = 0; i < 2; i++) {
		rig_call_init(&call, a.peers[0], i ? &a : &b, KIND_BIG, bytes_make(want, 4),
			(struct bytes){0});
		call.call.answer_buf = in;
		call.call.answer_cap = sizeof in - 1;
		rig_call_start(&call);
		ck_assert_int_eq(rig_call_wait(&call), ERR_LIMIT);
	}
	rig_call_init(&call, a.peers[0], &b, KIND_BIG, bytes_make(want, 4), (struct bytes){0});
	call.call.answer_buf = in;
	call.call.answer_cap = sizeof in;
	rig_call_start(&call);
	ck_assert_int_eq(rig_call_wait(&call), ERR_OK);
	ck_assert_uint_eq(call.call.answer_len, sizeof in);
	ck_assert_uint_eq(rig_counts(&a).links_broken, 0);
	stop_two();
	ck_assert_uint_eq(sent_count, 3);
	free(big);
}
END_TEST

START_TEST(notes_and_calls_arrive_in_the_order_they_were_started)
{
	enum { COUNT = 500 };
	static struct rig_call calls[COUNT];
	static uint8_t numbers[COUNT][4];
	for (unsigned i = 0; i < COUNT; i++)
		put_le32(numbers[i], i);
	start_two(1);
	for (unsigned i = 0; i < COUNT; i++) {
		rig_call_init(&calls[i], a.peers[0], _i ? &a : &b, KIND_NOTE,
			bytes_make(numbers[i], 4),
			bytes_make(numbers, i % 7 == 0 ? sizeof numbers : 0));
		rig_call_start(&calls[i]);
	}
	for (unsigned i = 0; i < COUNT; i++)
		ck_assert_int_eq(rig_call_wait(&calls[i]), ERR_OK);
	ck_assert_uint_eq(note_count, COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		ck_assert_uint_eq(notes[i], i);
	stop_two();
}
END_TEST

struct sender {
	struct task task;
	struct peers *peers;
	struct id to;
	unsigned count;
};

static void send_notes(struct task *task)
{
	struct sender *sender = CONTAINER_OF(task, struct sender, task);
	static uint8_t payload[3000];
	for (unsigned i = 0; i < sender->count; i++) {
		uint8_t head[4];
		put_le32(head, i);
		peer_note(sender->peers, sender->to, KIND_NOTE, bytes_make(head, 4),
			bytes_make(payload, sizeof payload));
	}
}

static bool has_notes(void *arg)
{
	return note_count >= *(unsigned *)arg;
}

START_TEST(notes_arrive_once_and_beyond_the_bound_are_lost_and_counted)
{
	unsigned count = 1000;
	start_two(1);
	struct sender sender = {
		{.run = send_notes}, a.peers[0], _i ? a.self.node : b.self.node, 1000};
	loop_post(a.peers[0]->loop, &sender.task);
	rig_await(has_notes, &count);
	sender.count = 4000;
	loop_post(a.peers[0]->loop, &sender.task);
	/* When a call to a itself has ended, all were started. */
	struct rig_call fence;
	rig_call_init(&fence, a.peers[0], &a, PEER_PING, (struct bytes){0}, (struct bytes){0});
	rig_call_start(&fence);
	ck_assert_int_eq(rig_call_wait(&fence), ERR_OK);
	uint64_t lost = rig_counts(&a).notes_lost;
	ck_assert_uint_gt(lost, 0);
	count = 5000 - lost;
	rig_await(has_notes, &count);
	stop_two();
	ck_assert_uint_eq(note_count, count);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_uint_eq(notes[i], i);
}
END_TEST

START_TEST(a_payload_waits_until_the_receiver_has_room)
{
	enum { COUNT = 8 };
	static struct rig_call calls[COUNT];
	uint8_t *payload = calloc(1, PEER_PAYLOAD_LEN_MAX);
	start_two(1);
	/* A window holds two of them. */
	for (unsigned i = 0; i < COUNT; i++) {
		rig_call_init(&calls[i], a.peers[0], _i ? &a : &b, KIND_KEEP, (struct bytes){0},
			bytes_make(payload, PEER_PAYLOAD_LEN_MAX));
		rig_call_start(&calls[i]);
	}
	await_kept(2);
	usleep(50000);
	ck_assert_uint_eq(kept_count, 2);
	for (unsigned i = 0; i < COUNT; i++) {
		await_kept(i + 1);
		ck_assert_uint_le(kept_count, i + 2);
		answer_kept(_i ? &a : &b, i, i + 1);
		ck_assert_int_eq(rig_call_wait(&calls[i]), ERR_OK);
	}
	ck_assert(!was_misaligned);
	stop_two();
	free(payload);
}
END_TEST

START_TEST(a_deadline_ends_a_call_wherever_it_is)
{
	enum { COUNT = 4 };
	static struct rig_call calls[COUNT];
	uint8_t *payload = calloc(1, PEER_PAYLOAD_LEN_MAX);
	start_two(1);
	for (unsigned i = 0; i < COUNT; i++) {
		rig_call_init(&calls[i], a.peers[0], _i ? &a : &b, KIND_KEEP, (struct bytes){0},
			bytes_make(payload, PEER_PAYLOAD_LEN_MAX));
		calls[i].call.deadline_ms = 200 + i;
		rig_call_start(&calls[i]);
	}
	for (unsigned i = 0; i < COUNT; i++)
		ck_assert_int_eq(rig_call_wait(&calls[i]), ERR_TIMEOUT);
	ck_assert_uint_eq(rig_counts(&a).timeouts, COUNT);
	unsigned taken = kept_count;
	ck_assert_uint_ge(taken, 1);
	answer_kept(_i ? &a : &b, 0, taken);
	/* The room is back, and the link still there. */
	struct rig_call call;
	rig_call_init(&call, a.peers[0], _i ? &a : &b, PEER_PING, (struct bytes){0},
		bytes_make(payload, PEER_PAYLOAD_LEN_MAX));
	call.call.answer_buf = payload;
	call.call.answer_cap = PEER_PAYLOAD_LEN_MAX;
	rig_call_start(&call);
	ck_assert_int_eq(rig_call_wait(&call), ERR_OK);
	ck_assert_uint_eq(rig_counts(&a).links_broken, 0);
	stop_two();
	free(payload);
}
END_TEST

/* Cancels at moments that differ from round to round: queued, being sent, sent, being answered. */
START_TEST(a_canceled_call_ends_once_and_its_bytes_are_free)
{
	enum { ROUNDS = 150 };
	uint8_t *payload = calloc(1, PEER_PAYLOAD_LEN_MAX);
	uint64_t seed = 3;
	unsigned canceled = 0;
	start_two(1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct rig_call call;
		uint8_t *own = malloc(PEER_PAYLOAD_LEN_MAX), *answer = malloc(PEER_PAYLOAD_LEN_MAX);
		memset(own, i, PEER_PAYLOAD_LEN_MAX);
		rig_call_init(&call, a.peers[0], _i ? &a : &b, PEER_PING, bytes_of("h"),
			bytes_make(own, PEER_PAYLOAD_LEN_MAX));
		call.call.answer_buf = answer;
		call.call.answer_cap = PEER_PAYLOAD_LEN_MAX;
		call.cancels_at_once = i % 8 == 0;
		rig_call_start(&call);
		usleep(i % 2 == 0 ? 0 : test_random(&seed) % 3000);
		rig_call_cancel(&call);
		enum err err = rig_call_wait(&call);
		ck_assert(err == ERR_OK || err == ERR_CANCELED);
		canceled += err == ERR_CANCELED;
		if (err == ERR_OK)
			ck_assert_mem_eq(own, answer, PEER_PAYLOAD_LEN_MAX);
		/* The cancel may still be on its way to the loop: it borrows the call. */
		struct rig_call fence;
		rig_call_init(
			&fence, a.peers[0], &a, PEER_PING, (struct bytes){0}, (struct bytes){0});
		rig_call_start(&fence);
		ck_assert_int_eq(rig_call_wait(&fence), ERR_OK);
		free(own);
		free(answer);
	}
	ck_assert_uint_gt(canceled, 0);
	ck_assert_uint_eq(rig_counts(&a).links_broken + rig_counts(&b).links_broken, 0);
	stop_two();
	free(payload);
}
END_TEST

START_TEST(calls_to_a_node_without_a_link_end_at_once)
{
	struct rig_node c;
	struct rig_call call;
	start_two(1);
	rig_make_self(&c.self, 1, 9);
	rig_call_init(&call, a.peers[0], &c, PEER_PING, (struct bytes){0}, (struct bytes){0});
	rig_call_start(&call);
	ck_assert_int_eq(rig_call_wait(&call), ERR_UNAVAILABLE);
	stop_two();
}
END_TEST

/* What is answered, sent, queued: all ends when the other node goes. */
START_TEST(every_call_ends_once_when_its_link_breaks)
{
	enum { COUNT = 60 };
	static struct rig_call calls[COUNT];
	uint8_t *payload = calloc(1, PEER_PAYLOAD_LEN_MAX);
	unsigned ends[ERR_COUNT] = {0};
	start_two(1);
	for (unsigned i = 0; i < COUNT; i++) {
		bool is_kept = i == 20;
		rig_call_init(&calls[i], a.peers[0], &b, is_kept ? KIND_KEEP : PEER_PING,
			bytes_of("x"), bytes_make(payload, i < 20 ? 100 : PEER_PAYLOAD_LEN_MAX));
		calls[i].call.answer_buf = malloc(PEER_PAYLOAD_LEN_MAX);
		calls[i].call.answer_cap = PEER_PAYLOAD_LEN_MAX;
		rig_call_start(&calls[i]);
	}
	await_kept(1);
	ck_assert_int_eq(rig_call_wait(&calls[0]), ERR_OK);
	free(calls[0].call.answer_buf);
	channel_stop(b.channel);
	ends[ERR_OK] = 1;
	for (unsigned i = 1; i < COUNT; i++) {
		ends[rig_call_wait(&calls[i])]++;
		free(calls[i].call.answer_buf);
	}
	ck_assert_uint_ge(ends[ERR_CLOSED], 1);
	ck_assert_uint_eq(ends[ERR_OK] + ends[ERR_CLOSED] + ends[ERR_UNAVAILABLE], COUNT);
	answer_kept(&b, 0, 1);
	rig_stop(&a);
	for (unsigned i = 0; i < b.loop_count; i++) {
		server_loop_stop(b.loops[i]);
		server_loop_join(b.loops[i]);
	}
	channel_free(b.channel);
	server_loop_free(b.loops[0]);
	free(payload);
}
END_TEST

START_TEST(small_calls_that_start_together_share_their_system_calls)
{
	enum { COUNT = 200 };
	static struct rig_call calls[COUNT];
	start_two(1);
	uint64_t writes = rig_counts(&a).writes;
	for (unsigned i = 0; i < COUNT; i++) {
		rig_call_init(
			&calls[i], a.peers[0], &b, PEER_PING, bytes_of("x"), (struct bytes){0});
	}
	for (unsigned i = 0; i < COUNT; i++)
		rig_call_start(&calls[i]);
	for (unsigned i = 0; i < COUNT; i++)
		ck_assert_int_eq(rig_call_wait(&calls[i]), ERR_OK);
	ck_assert_uint_le(rig_counts(&a).writes - writes, COUNT + 20);
	ck_assert_uint_ge(rig_counts(&a).messages_out, COUNT);
	ck_assert_uint_ge(rig_counts(&b).messages_in, COUNT);
	stop_two();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("channel");
	TCase *tcase = tcase_create("channel");
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, bytes_of_any_length_come_back_as_they_went, 0, 2);
	tcase_add_loop_test(tcase, every_cipher_carries_calls, 0, 5);
	tcase_add_test(tcase, a_kind_that_nobody_serves_is_answered);
	tcase_add_test(tcase, an_answer_without_room_ends_the_call_and_not_the_link);
	tcase_add_loop_test(tcase, notes_and_calls_arrive_in_the_order_they_were_started, 0, 2);
	tcase_add_loop_test(
		tcase, notes_arrive_once_and_beyond_the_bound_are_lost_and_counted, 0, 2);
	tcase_add_loop_test(tcase, a_payload_waits_until_the_receiver_has_room, 0, 2);
	tcase_add_loop_test(tcase, a_deadline_ends_a_call_wherever_it_is, 0, 2);
	tcase_add_loop_test(tcase, a_canceled_call_ends_once_and_its_bytes_are_free, 0, 2);
	tcase_add_test(tcase, calls_to_a_node_without_a_link_end_at_once);
	tcase_add_test(tcase, every_call_ends_once_when_its_link_breaks);
	tcase_add_test(tcase, small_calls_that_start_together_share_their_system_calls);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
