/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tests/lib/sim_net.h"
#include "tests/lib/test.h"

/* Nodes that call each other, and keep what arrived. */
enum {
	NODES = 3,
	CALLS_MAX = 3000,
	SEEDS = 30,
	PAYLOAD_LEN_MAX = 40000,
};

struct ask {
	struct peer_call call;
	struct rig *rig;
	uint32_t number;
	uint8_t head[4];
	uint8_t *payload, answer[8];
	bool is_ended, is_forgotten, has_arrived;
};

struct member {
	struct rig *rig;
	struct sim_node *node;
	struct loop *loop;
	struct peers *peers;
	struct peer_watch watch;
	int64_t last[NODES]; /* number that arrived last, by sender */
	struct peer_request *held[CALLS_MAX];
	size_t held_count;
	int linked[NODES];
	unsigned changes;
};

struct rig {
	struct sim *sim;
	struct sim_net *net;
	struct member members[NODES];
	struct ask *asks;
	uint64_t random;
	uint32_t given, ended;
	unsigned arrived, ends[ERR_COUNT];
	bool is_holding;
};

static struct rig rig;

static struct id id_of(unsigned i)
{
	return (struct id){{0x40 + i}};
}

static void arrive(struct member *member, struct peer_request *request)
{
	unsigned from = request->from.bytes[0] - 0x40;
	ck_assert_uint_lt(from, NODES);
	ck_assert_uint_ge(request->head.len, 4);
	int64_t number = get_le32(request->head.data);
	/* (E2) */
	ck_assert_int_gt(number, member->last[from]);
	member->last[from] = number;
	rig.arrived++;
}

static void answer(struct peer_request *request)
{
	uint8_t head[4];
	put_le32(head, get_le32(request->head.data) + 1);
	request->answer_head = bytes_make(head, sizeof head);
	if (!request->is_note && request->payload_len >= 8)
		request->answer_payload = bytes_make(request->payload, 8);
	peer_request_answer(request, ERR_OK);
}

static void handle_note(void *arg, struct peer_request *request)
{
	ck_assert(request->is_note);
	arrive(arg, request);
	answer(request);
}

static void handle_call(void *arg, struct peer_request *request)
{
	struct member *member = arg;
	ck_assert(!request->is_note);
	arrive(member, request);
	struct ask *ask = &rig.asks[get_le32(request->head.data)];
	ck_assert(!ask->has_arrived);
	ask->has_arrived = true;
	ck_assert_uint_eq((uintptr_t)request->payload % 4096, 0);
	if (rig.is_holding)
		member->held[member->held_count++] = request;
	else
		answer(request);
}

static void changed(struct peer_watch *watch, struct id node, bool is_linked)
{
	struct member *member = CONTAINER_OF(watch, struct member, watch);
	int *linked = &member->linked[node.bytes[0] - 0x40];
	ck_assert_int_ne(*linked, is_linked);
	*linked = is_linked;
	member->changes++;
}

static void answer_held(void *arg)
{
	struct member *member = arg;
	/* In another order. */
	while (member->held_count > 0)
		answer(member->held[--member->held_count]);
}

static void member_start(struct member *member)
{
	memset(member->linked, 0, sizeof member->linked);
	member->held_count = 0;
	peers_serve(member->peers, PEER_RAFT, handle_note, member);
	peers_serve(member->peers, PEER_PROPOSE, handle_call, member);
	member->watch.changed = changed;
	peers_watch(member->peers, &member->watch);
	sim_net_start(member->peers);
}

static void rig_open(uint64_t seed)
{
	rig = (struct rig){.random = seed, .sim = sim_new(seed)};
	rig.asks = calloc(CALLS_MAX, sizeof *rig.asks);
	rig.net = sim_net_new(rig.sim);
	for (unsigned i = 0; i < NODES; i++) {
		struct member *member = &rig.members[i];
		member->rig = &rig;
		member->node = sim_node_new(rig.sim, "node");
		member->loop = sim_node_loop(member->node);
		member->peers = sim_net_peers(rig.net, member->node, member->loop, id_of(i), 0);
		for (unsigned j = 0; j < NODES; j++)
			member->last[j] = -1;
		member_start(member);
	}
	sim_run_ms(rig.sim, 200);
}

static void rig_close(void)
{
	for (unsigned i = 0; i < NODES; i++)
		sim_node_kill(rig.members[i].node);
	sim_net_free(rig.net);
	sim_free(rig.sim);
	for (uint32_t i = 0; i < rig.given; i++)
		free(rig.asks[i].payload);
	free(rig.asks);
}

static void setup(void)
{
	rig_open(1);
}

static void call_done(struct peer_call *call)
{
	struct ask *ask = CONTAINER_OF(call, struct ask, call);
	ck_assert(!ask->is_ended && !ask->is_forgotten);
	ask->is_ended = true;
	rig.ended++;
	rig.ends[call->err]++;
	if (call->err == ERR_UNAVAILABLE)
		ck_assert(!ask->has_arrived);
	if (call->err != ERR_OK || call->answer_err == ERR_UNSUPPORTED)
		return;
	ck_assert(ask->has_arrived);
	ck_assert_err(call->answer_err, ERR_OK);
	ck_assert_uint_eq(call->answer_head.len, 4);
	ck_assert_uint_eq(get_le32(call->answer_head.data), ask->number + 1);
	ck_assert_uint_eq(call->answer_len, call->payload.len >= 8 ? 8 : 0);
	ck_assert(memcmp(call->answer_buf, ask->payload, call->answer_len) == 0);
}

static struct ask *ask_new(size_t payload_len, unsigned to)
{
	ck_assert_uint_lt(rig.given, CALLS_MAX);
	struct ask *ask = &rig.asks[rig.given];
	ask->number = rig.given++;
	ask->payload = malloc(payload_len + 1);
	test_random_fill(&rig.random, ask->payload, payload_len);
	put_le32(ask->head, ask->number);
	ask->call.node = id_of(to);
	ask->call.kind = PEER_PROPOSE;
	ask->call.deadline_ms = 1 + test_random(&rig.random) % 5000;
	ask->call.head = bytes_make(ask->head, 4);
	ask->call.payload = bytes_make(ask->payload, payload_len);
	ask->call.answer_buf = ask->answer;
	ask->call.answer_cap = sizeof ask->answer;
	ask->call.done = call_done;
	return ask;
}

struct start {
	struct ask *ask;
	unsigned from;
	bool is_note;
};

static void start_run(void *arg)
{
	struct start *start = arg;
	struct ask *ask = start->ask;
	struct peers *peers = rig.members[start->from].peers;
	if (start->is_note) {
		peer_note(peers, ask->call.node, PEER_RAFT, ask->call.head, ask->call.payload);
		ask->is_ended = true;
		rig.ended++;
		return;
	}
	peer_call_start(peers, &ask->call);
	ck_assert(!ask->is_ended);
}

static struct ask *start(unsigned from, unsigned to, size_t payload_len, bool is_note)
{
	struct start start = {ask_new(payload_len, to), from, is_note};
	sim_call(rig.sim, rig.members[from].loop, start_run, &start);
	start.ask->rig = &rig;
	return start.ask;
}

static bool all_ended(void *arg)
{
	(void)arg;
	return rig.ended == rig.given;
}

static void kill_member(unsigned i)
{
	sim_node_kill(rig.members[i].node);
	for (uint32_t j = 0; j < rig.given; j++) {
		struct ask *ask = &rig.asks[j];
		if (ask->is_ended || ask->call.peers != rig.members[i].peers)
			continue;
		ask->is_ended = ask->is_forgotten = true;
		rig.ended++;
	}
	member_start(&rig.members[i]);
}

static uint64_t below(uint64_t n)
{
	return test_random(&rig.random) % n;
}

static void one_fault(void)
{
	switch (below(6)) {
	case 0:
		sim_net_partition(rig.net, below(8));
		break;
	case 1:
		sim_net_cut(rig.net, rig.members[below(NODES)].node, rig.members[below(NODES)].node,
			true);
		break;
	case 2:
		kill_member(below(NODES));
		break;
	case 3:
		sim_net_break(rig.net, rig.members[0].node, rig.members[1 + below(2)].node);
		break;
	case 4:
		rig.is_holding = !rig.is_holding;
		break;
	default:
		sim_net_heal(rig.net);
		*sim_net_odds(rig.net) = (struct sim_net_odds){below(50), below(50), below(20)};
		break;
	}
}

static uint64_t run_seed(uint64_t seed, struct sim_net_stats *stats)
{
	rig_open(seed);
	for (unsigned i = 0; i < NODES; i++)
		sim_net_set_room(rig.members[i].peers, 30000);
	for (int i = 0; i < 600; i++) {
		uint64_t len = below(4) == 0 ? below(PAYLOAD_LEN_MAX) : below(100);
		start(below(NODES), below(NODES), len, below(2));
		for (int steps = below(20); steps > 0; steps--)
			sim_step(rig.sim);
		if (below(20) == 0)
			sim_run_ms(rig.sim, below(1000));
		if (below(30) == 0)
			one_fault();
		struct member *member = &rig.members[below(NODES)];
		if (below(5) == 0)
			sim_call(rig.sim, member->loop, answer_held, member);
	}
	sim_net_heal(rig.net);
	rig.is_holding = false;
	for (unsigned i = 0; i < NODES; i++)
		sim_call(rig.sim, rig.members[i].loop, answer_held, &rig.members[i]);
	/* (E1): each call has its end, whatever happened. */
	ck_assert_msg(sim_run_until(rig.sim, all_ended, NULL, 10000), "seed %lu: %u of %u ended",
		(unsigned long)seed, rig.ended, rig.given);
	sim_run_ms(rig.sim, 10000);
	uint32_t arrived = rig.arrived;
	for (unsigned i = 0; i < NODES; i++)
		for (unsigned j = 0; j < NODES; j++)
			if (i != j) {
				ck_assert(rig.members[i].linked[j]);
				start(i, j, 10, false);
			}
	ck_assert(sim_run_until(rig.sim, all_ended, NULL, 10000));
	ck_assert_uint_ge(rig.arrived, arrived + NODES * (NODES - 1));
	const struct sim_net_stats *more = sim_net_stats(rig.net);
	for (int i = 0; i < SIM_NET_FAULTS; i++)
		stats->faults[i] += more->faults[i];
	uint64_t hash = sim_trace_hash(rig.sim);
	rig_close();
	return hash;
}

START_TEST(each_call_has_one_end_and_all_arrives_in_order_and_once)
{
	struct sim_net_stats stats = {0};
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		run_seed(seed, &stats);
	for (int i = 0; i < SIM_NET_FAULTS; i++)
		ck_assert_msg(stats.faults[i] > 0, "never: %s", sim_net_fault_name(i));
}
END_TEST

START_TEST(the_same_seed_gives_the_same_events)
{
	struct sim_net_stats stats = {0};
	uint64_t hash = run_seed(5, &stats);
	ck_assert_uint_eq(hash, run_seed(5, &stats));
	ck_assert_uint_ne(hash, run_seed(6, &stats));
}
END_TEST

START_TEST(what_is_cut_waits_until_it_is_healed_or_the_lane_breaks)
{
	sim_net_cut(rig.net, rig.members[0].node, rig.members[1].node, true);
	struct ask *ask = start(0, 1, 5, false);
	ask->call.deadline_ms = 60000;
	sim_run_ms(rig.sim, 100);
	ck_assert(!ask->has_arrived && !ask->is_ended);
	sim_net_heal(rig.net);
	ck_assert(sim_run_until(rig.sim, all_ended, NULL, 100));
	ck_assert_uint_eq(rig.ends[ERR_OK], 1);

	/* The answer is cut. */
	sim_net_cut(rig.net, rig.members[1].node, rig.members[0].node, true);
	struct start late = {ask_new(5, 1), 0, false};
	late.ask->call.deadline_ms = 60000;
	sim_call(rig.sim, rig.members[0].loop, start_run, &late);
	ck_assert(sim_run_until(rig.sim, all_ended, NULL, 20000));
	ck_assert(late.ask->has_arrived);
	ck_assert_err(late.ask->call.err, ERR_CLOSED);
	sim_run_ms(rig.sim, 10);
	ck_assert(!rig.members[0].linked[1]);
	ck_assert(rig.members[0].linked[2]);
	start(0, 1, 5, false);
	ck_assert(sim_run_until(rig.sim, all_ended, NULL, 10));
	ck_assert_uint_eq(rig.ends[ERR_UNAVAILABLE], 1);
	rig_close();
}
END_TEST

START_TEST(a_payload_waits_for_room_at_the_receiver)
{
	sim_net_set_room(rig.members[1].peers, 10000);
	rig.is_holding = true;
	struct ask *first = start(0, 1, 8000, false);
	struct ask *second = start(2, 1, 8000, false);
	first->call.deadline_ms = second->call.deadline_ms = 60000;
	sim_run_ms(rig.sim, 100);
	ck_assert_int_eq(first->has_arrived + second->has_arrived, 1);
	sim_call(rig.sim, rig.members[1].loop, answer_held, &rig.members[1]);
	sim_run_ms(rig.sim, 100);
	ck_assert_int_eq(first->has_arrived + second->has_arrived, 2);
	rig_close();
}
END_TEST

static void cancel_run(void *arg)
{
	peer_call_cancel(&((struct ask *)arg)->call);
}

START_TEST(a_canceled_call_ends_once)
{
	rig.is_holding = true;
	struct ask *ask = start(0, 1, 8, false);
	sim_call(rig.sim, rig.members[0].loop, cancel_run, ask);
	ck_assert(!ask->is_ended);
	sim_run_ms(rig.sim, 100);
	ck_assert(ask->is_ended);
	ck_assert_err(ask->call.err, ERR_CANCELED);
	sim_call(rig.sim, rig.members[1].loop, answer_held, &rig.members[1]);
	sim_run_ms(rig.sim, 10000);
	rig_close();
}
END_TEST

START_TEST(a_node_calls_itself_without_a_wire)
{
	sim_net_partition(rig.net, 1);
	start(0, 0, 100, false);
	ck_assert(sim_run_until(rig.sim, all_ended, NULL, 100));
	ck_assert_uint_eq(rig.ends[ERR_OK], 1);
	rig_close();
}
END_TEST

START_TEST(a_kind_that_nobody_serves_is_unsupported)
{
	struct start unknown = {ask_new(5, 1), 0, false};
	unknown.ask->call.kind = PEER_STATUS;
	sim_call(rig.sim, rig.members[0].loop, start_run, &unknown);
	sim_run_ms(rig.sim, 100);
	ck_assert_err(unknown.ask->call.answer_err, ERR_UNSUPPORTED);
	rig_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net");
	TCase *tcase = tcase_create("one");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, what_is_cut_waits_until_it_is_healed_or_the_lane_breaks);
	tcase_add_test(tcase, a_payload_waits_for_room_at_the_receiver);
	tcase_add_test(tcase, a_canceled_call_ends_once);
	tcase_add_test(tcase, a_node_calls_itself_without_a_wire);
	tcase_add_test(tcase, a_kind_that_nobody_serves_is_unsupported);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("seeds");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, each_call_has_one_end_and_all_arrives_in_order_and_once);
	tcase_add_test(tcase, the_same_seed_gives_the_same_events);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
