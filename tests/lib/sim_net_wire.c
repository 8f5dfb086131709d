/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tests/lib/sim_net_priv.h"
#include "tests/lib/test.h"

enum {
	LATENCY_US_MIN = 20,
	SLOW_FACTOR = 100,
	PAYLOAD_GRAIN = 4096,
};

enum call_state { CALL_IDLE, CALL_STARTED, CALL_ENDING };

static struct endpoint *endpoint_of(struct peers *peers)
{
	return CONTAINER_OF(peers, struct endpoint, base);
}

static uint64_t hash_of(struct bytes a, struct bytes b)
{
	return sim_hash_bytes(a.data, a.len) * 3 + sim_hash_bytes(b.data, b.len);
}

static uint64_t latency_ns(struct sim_net *net)
{
	uint64_t us = LATENCY_US_MIN + sim_random_below(net->sim, net->latency_us);
	if (sim_chance(net->sim, net->odds.slow)) {
		net->stats.faults[SIM_NET_SLOW]++;
		us *= SLOW_FACTOR;
	}
	return us * 1000;
}

/* Exactly as long as it is, so that who reads beyond the end is caught. */
static uint8_t *copy_of(struct bytes a, struct bytes b)
{
	uint8_t *copy = sim_must(malloc(a.len + b.len + 1));
	if (a.len > 0)
		memcpy(copy, a.data, a.len);
	if (b.len > 0)
		memcpy(copy + a.len, b.data, b.len);
	return copy;
}

/* --- items ------------------------------------------------------------------------------------ */

static struct item *item_new(
	struct endpoint *from, uint16_t kind, struct bytes head, struct bytes payload)
{
	struct item *item = sim_must(calloc(1, sizeof *item));
	item->from = from;
	item->refs = 1;
	item->kind = kind;
	item->head_len = head.len;
	item->len = payload.len;
	item->bytes = copy_of(head, payload);
	return item;
}

static void item_unref(struct item *item)
{
	assert(item->refs > 0);
	if (--item->refs > 0)
		return;
	free(item->bytes);
	free(item->answer);
	free(item);
}

static void item_drop(void *arg)
{
	item_unref(arg);
}

static void forget_call(struct item *item)
{
	item->call = NULL;
	*item->link_call = item->next_call;
	if (item->next_call)
		item->next_call->link_call = item->link_call;
	item_unref(item);
}

/* --- the end of a call ------------------------------------------------------------------------ */

static void end_run(struct task *task)
{
	struct peer_call *call = CONTAINER_OF(task, struct peer_call, task);
	struct item *item = call->link;
	assert(item->call == call && call->state == CALL_ENDING);
	ck_assert_msg(hash_of(call->head, call->payload) == item->borrowed_hash,
		"what a call borrowed has changed");
	call->err = item->end_err;
	if (call->err == ERR_OK && item->answer_len > call->answer_cap)
		call->err = ERR_LIMIT;
	call->answer_err = ERR_OK;
	call->answer_head = bytes_make(NULL, 0);
	call->answer_len = 0;
	if (call->err == ERR_OK) {
		call->answer_err = item->answer_err;
		call->answer_head = bytes_make(item->answer, item->answer_head_len);
		call->answer_len = item->answer_len;
		if (item->answer_len > 0)
			memcpy(call->answer_buf, item->answer + item->answer_head_len,
				item->answer_len);
	}
	call->state = CALL_IDLE;
	call->link = NULL;
	item->refs++;
	forget_call(item);
	call->done(call);
	item_unref(item);
}

static void end_call(struct item *item, enum err err)
{
	struct peer_call *call = item->call;
	if (!call || call->state == CALL_ENDING)
		return;
	item->end_err = err;
	call->state = CALL_ENDING;
	call->task.run = end_run;
	loop_post(item->from->base.loop, &call->task);
}

static void deadline_run(void *arg)
{
	struct item *item = arg;
	if (item->call && item->call->state == CALL_STARTED) {
		item->from->net->stats.faults[SIM_NET_TIMEOUT]++;
		end_call(item, ERR_TIMEOUT);
	}
	item_unref(item);
}

void sim_net_lane_end_calls(struct lane *lane)
{
	for (struct item *item = lane->from->calls; item; item = item->next_call)
		if (item->lane == lane && item->epoch < lane->epoch)
			end_call(item, ERR_CLOSED);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void arrive_answer(struct item *item)
{
	struct sim_net *net = item->from->net;
	net->stats.answers++;
	if (item->lane)
		item->from->heard_ns[item->lane->to->node_index] = sim_now_ns(net->sim) + 1;
	end_call(item, ERR_OK);
}

/* Takes a due answer off the lane and brings it, unless something is cut. */
static void pump_answers(struct lane *lane)
{
	struct item **link = &lane->answers;
	while (*link) {
		struct item *item = *link;
		if (!item->is_due || lane_back_is_cut(lane)) {
			if (item->is_due && !item->is_stalled)
				lane->from->net->stats.faults[SIM_NET_STALL]++;
			item->is_stalled |= item->is_due;
			link = &item->next;
			continue;
		}
		*link = item->next;
		arrive_answer(item);
		item_unref(item);
	}
}

static void answer_due(void *arg)
{
	struct item *item = arg;
	item->is_due = true;
	item->is_stalled = false;
	if (item->lane)
		pump_answers(item->lane);
	else
		arrive_answer(item);
	item_unref(item);
}

static void free_delivery(struct delivery *delivery)
{
	*delivery->link = delivery->next;
	if (delivery->next)
		delivery->next->link = delivery->link;
	free(delivery->head);
	free(delivery->request.payload);
	free(delivery);
}

static void sent_run(struct task *task)
{
	struct peer_request *request = CONTAINER_OF(task, struct peer_request, task);
	struct delivery *delivery = CONTAINER_OF(request, struct delivery, request);
	ck_assert_msg(
		hash_of(bytes_make(NULL, 0), request->answer_payload) == delivery->borrowed_hash,
		"what an answer borrowed has changed");
	if (request->sent)
		request->sent(request);
	free_delivery(delivery);
}

/* The room goes to who waits for it. */
static void give_room(struct delivery *delivery)
{
	struct endpoint *to = delivery->endpoint;
	assert(to->room_len >= delivery->room);
	to->room_len -= delivery->room;
	delivery->room = 0;
	for (struct endpoint *from = to->net->endpoints; from; from = from->next)
		for (struct lane *lane = from->lanes; lane; lane = lane->next)
			if (lane->to == to)
				sim_net_lane_pump(lane);
}

static void wire_answer(struct peers *peers, struct peer_request *request)
{
	struct delivery *delivery = CONTAINER_OF(request, struct delivery, request);
	struct item *item = delivery->item;
	struct sim *sim = delivery->endpoint->net->sim;
	assert(loop_is_current(peers->loop) && item);
	assert(request->answer_head.len <= PEER_HEAD_LEN_MAX);
	assert(request->answer_payload.len <= PEER_PAYLOAD_LEN_MAX);
	delivery->item = NULL;
	delivery->borrowed_hash = hash_of(bytes_make(NULL, 0), request->answer_payload);
	struct lane *lane = item->lane;
	if (item->call && (!lane || lane->epoch == item->epoch)) {
		item->answer_err = request->answer_err;
		item->answer_head_len = request->answer_head.len;
		item->answer_len = request->answer_payload.len;
		item->answer = copy_of(request->answer_head, request->answer_payload);
		item->refs++;
		if (lane) {
			item->refs++;
			item->next = lane->answers;
			lane->answers = item;
		}
		sim_later(sim, NULL, lane ? latency_ns(item->from->net) : 0, answer_due, item_drop,
			item);
	}
	item_unref(item);
	request->task.run = sent_run;
	loop_post(peers->loop, &request->task);
	give_room(delivery);
}

/* --- what arrives ----------------------------------------------------------------------------- */

static void handle_run(struct task *task)
{
	struct peer_request *request = CONTAINER_OF(task, struct peer_request, task);
	struct endpoint *to = endpoint_of(request->peers);
	struct sim_net *net = to->net;
	struct peer_service *service = &to->base.services[request->kind];
	bool is_lost = net->filter && !net->filter(net->filter_arg, to->base.self, request);
	if (request->is_note)
		net->stats.notes++;
	else
		net->stats.calls++;
	if (!service->handle || is_lost)
		peer_request_answer(request, ERR_UNSUPPORTED);
	else
		service->handle(service->arg, request);
}

/* Takes the item's reference. */
static void deliver(struct endpoint *to, struct item *item)
{
	struct sim_net *net = to->net;
	sim_note(net->sim, "deliver", item->from->node_index, to->node_index, item->kind);
	struct delivery *delivery = sim_must(calloc(1, sizeof *delivery));
	delivery->endpoint = to;
	delivery->item = item;
	delivery->room = item->lane ? item->len : 0;
	to->room_len += delivery->room;
	delivery->link = &to->deliveries;
	delivery->next = to->deliveries;
	if (delivery->next)
		delivery->next->link = &delivery->next;
	to->deliveries = delivery;
	delivery->head = copy_of(bytes_make(item->bytes, item->head_len), bytes_make(NULL, 0));
	uint8_t *payload = NULL;
	if (item->len > 0) {
		size_t room = round_up(item->len, PAYLOAD_GRAIN);
		payload = sim_must(aligned_alloc(PAYLOAD_GRAIN, room));
		memcpy(payload, item->bytes + item->head_len, item->len);
		memset(payload + item->len, 0xdb, room - item->len);
	}
	free(item->bytes);
	item->bytes = NULL;
	if (item->lane)
		to->heard_ns[item->from->node_index] = sim_now_ns(net->sim) + 1;
	delivery->request = (struct peer_request){
		.peers = &to->base,
		.from = item->from->base.self,
		.kind = item->kind,
		.is_note = item->is_note,
		.head = bytes_make(delivery->head, item->head_len),
		.payload = payload,
		.payload_len = item->len,
		.task.run = handle_run,
	};
	loop_post(to->base.loop, &delivery->request.task);
}

/* Must the first item wait? */
static bool must_wait(struct lane *lane, struct item *item)
{
	struct sim_net *net = lane->from->net;
	if (item->due_ns > sim_now_ns(net->sim))
		return true;
	bool is_cut = lane_is_cut(lane);
	size_t room = lane->to->room_len;
	bool is_full = room > 0 && item->len > 0 && room + item->len > lane->to->room_cap;
	if (!item->is_stalled)
		net->stats.faults[is_cut ? SIM_NET_STALL : SIM_NET_FULL] += is_cut || is_full;
	item->is_stalled = is_cut || is_full;
	return is_cut || (is_full && !item->is_note);
}

void sim_net_lane_pump(struct lane *lane)
{
	pump_answers(lane);
	while (lane->first && !must_wait(lane, lane->first)) {
		struct item *item = lane->first;
		lane->first = item->next;
		if (!lane->first)
			lane->last = &lane->first;
		item->next = NULL;
		bool is_lost = item->is_note && item->is_stalled; /* for want of room */
		if (!lane->to->is_up || is_lost)
			item_unref(item);
		else
			deliver(lane->to, item);
	}
}

void sim_net_lane_clear(struct lane *lane, bool all)
{
	struct sim *sim = lane->from->net->sim;
	struct item **link = &lane->first;
	while (*link && !all && sim_random_below(sim, 4) > 0)
		link = &(*link)->next;
	struct item *item = *link;
	*link = NULL;
	lane->last = link;
	while (item) {
		struct item *next = item->next;
		item_unref(item);
		item = next;
	}
	while (lane->answers) {
		item = lane->answers;
		lane->answers = item->next;
		item_unref(item);
	}
}

static void pump_run(void *arg)
{
	sim_net_lane_pump(arg);
}

/* Puts the item on the lane, which takes its reference. */
static void push(struct lane *lane, struct item *item)
{
	struct sim_net *net = lane->from->net;
	item->lane = lane;
	item->epoch = lane->epoch;
	if (lane->is_dead) {
		item_unref(item);
		return;
	}
	uint64_t now = sim_now_ns(net->sim);
	item->due_ns = now + latency_ns(net);
	if (item->due_ns < lane->last_due_ns)
		item->due_ns = lane->last_due_ns;
	lane->last_due_ns = item->due_ns;
	net->stats.sent_len += item->head_len + item->len;
	*lane->last = item;
	lane->last = &item->next;
	sim_later(net->sim, NULL, item->due_ns - now, pump_run, NULL, lane);
	if (sim_chance(net->sim, net->odds.brk)) {
		net->stats.faults[SIM_NET_BREAK]++;
		sim_net_lane_break(lane);
	}
}

/* --- what is started -------------------------------------------------------------------------- */

static void wire_call(struct peers *peers, struct peer_call *call)
{
	struct endpoint *from = endpoint_of(peers);
	assert(loop_is_current(peers->loop) && call->state == CALL_IDLE && from->is_up);
	struct item *item = item_new(from, call->kind, call->head, call->payload);
	item->call = call;
	item->borrowed_hash = hash_of(call->head, call->payload);
	item->link_call = &from->calls;
	item->next_call = from->calls;
	if (item->next_call)
		item->next_call->link_call = &item->next_call;
	from->calls = item;
	call->link = item;
	call->state = CALL_STARTED;

	item->refs++;
	sim_later(from->net->sim, from->node, (uint64_t)call->deadline_ms * 1000000, deadline_run,
		item_drop, item);
	if (id_is_equal(call->node, peers->self)) {
		item->refs++;
		deliver(from, item);
		return;
	}
	struct lane *lane = sim_net_lane(from, call->node);
	if (!lane || !lane->is_up) {
		end_call(item, ERR_UNAVAILABLE);
		return;
	}
	item->refs++;
	push(lane, item);
}

static void wire_cancel(struct peers *peers, struct peer_call *call)
{
	assert(loop_is_current(peers->loop) && call->state != CALL_IDLE);
	end_call(call->link, ERR_CANCELED);
}

static void wire_note(
	struct peers *peers, struct id node, uint16_t kind, struct bytes head, struct bytes payload)
{
	struct endpoint *from = endpoint_of(peers);
	struct sim_net *net = from->net;
	assert(loop_is_current(peers->loop) && from->is_up);
	bool is_self = id_is_equal(node, peers->self);
	struct lane *lane = is_self ? NULL : sim_net_lane(from, node);
	if (!is_self && (!lane || !lane->is_up))
		return;
	if (!is_self && sim_chance(net->sim, net->odds.lose)) {
		net->stats.faults[SIM_NET_LOST]++;
		return;
	}
	struct item *item = item_new(from, kind, head, payload);
	item->is_note = true;
	if (is_self)
		deliver(from, item);
	else
		push(lane, item);
}

static void wire_info(struct peers *peers, struct id node, struct peer_info *ret_info)
{
	struct endpoint *from = endpoint_of(peers);
	struct sim_net *net = from->net;
	*ret_info = (struct peer_info){.is_linked = true};
	if (id_is_equal(node, peers->self))
		return;
	struct lane *lane = sim_net_lane(from, node);
	uint64_t heard_ns = lane ? from->heard_ns[lane->to->node_index] : 0;
	ret_info->is_linked = lane && lane->is_up;
	ret_info->rtt_us = heard_ns ? net->latency_us : 0;
	ret_info->silent_ms = heard_ns ? (sim_now_ns(net->sim) + 1 - heard_ns) / 1000000
				       : UINT64_MAX;
}

const struct peers_ops sim_net_ops = {
	.call = wire_call,
	.cancel = wire_cancel,
	.note = wire_note,
	.answer = wire_answer,
	.info = wire_info,
};

void sim_net_forget(struct endpoint *endpoint)
{
	while (endpoint->calls)
		forget_call(endpoint->calls);
	while (endpoint->deliveries) {
		struct delivery *delivery = endpoint->deliveries;
		if (delivery->item)
			item_unref(delivery->item);
		free_delivery(delivery);
	}
	endpoint->room_len = 0;
}
