/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket about the way to other nodes: in the control thread. */
#include "server/control_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/facts.h"
#include "server/sounding.h"

#define PING_COUNT 10
#define PING_LEN 32
#define LOAD_COUNT 16
#define LOAD_LEN (256u << 10)
#define LOAD_FLIGHT_MAX 4 /* at a time; well below one link's window */
#define CALL_DEADLINE_MS 2000
#define TIME_LIMIT_MS_DEFAULT 1000
#define TIME_LIMIT_MS_MAX 86400000

/* --- rubus net test --------------------------------------------------------------------------- */

/* Calls to one node, a few at a time; ends with the first that fails. */
struct probe;

struct probe_call {
	struct peer_call call;
	struct probe *probe;
	uint64_t begun_ns;
	uint8_t *answer;
};

struct probe {
	struct node *node;
	struct id target;
	const uint8_t *payload; /* NULL: a head alone */
	size_t payload_len;
	unsigned wanted, flight_max;
	unsigned begun, ended;
	enum err err;
	bool is_changed; /* what came back is not what was sent */
	uint64_t rtt_ns_min, rtt_ns_max, rtt_ns_sum;
	uint64_t begun_ns, ended_ns;
	struct probe_call calls[LOAD_FLIGHT_MAX];
	struct completion completion;
};

static const uint8_t ping_head[PING_LEN] = "rubus net test";

static void call_done(struct peer_call *call);

static void begin_call(struct probe *probe, struct probe_call *one)
{
	one->probe = probe;
	one->begun_ns = clock_mono_ns(probe->node->clock);
	one->call = (struct peer_call){.node = probe->target,
		.kind = PEER_PING,
		.deadline_ms = CALL_DEADLINE_MS,
		.head = bytes_make(ping_head, sizeof ping_head),
		.payload = bytes_make(probe->payload, probe->payload_len),
		.answer_buf = one->answer,
		.answer_cap = probe->payload_len,
		.done = call_done};
	probe->begun++;
	peer_call_start(probe->node->cluster->loop_peers[0], &one->call);
}

static void take_answer(struct probe *probe, const struct probe_call *one)
{
	const struct peer_call *call = &one->call;
	uint64_t rtt_ns = clock_mono_ns(probe->node->clock) - one->begun_ns;
	enum err err = call->err ? call->err : call->answer_err;
	bool is_same = err ||
		(bytes_is_equal(call->answer_head, call->head) &&
			call->answer_len == probe->payload_len &&
			(probe->payload_len == 0 ||
				memcmp(one->answer, probe->payload, probe->payload_len) == 0));
	probe->is_changed |= !is_same;
	if (err && !probe->err)
		probe->err = err;
	if (err)
		return;
	probe->rtt_ns_sum += rtt_ns;
	if (probe->rtt_ns_min == 0 || rtt_ns < probe->rtt_ns_min)
		probe->rtt_ns_min = rtt_ns;
	if (rtt_ns > probe->rtt_ns_max)
		probe->rtt_ns_max = rtt_ns;
}

static void call_done(struct peer_call *call)
{
	struct probe_call *one = CONTAINER_OF(call, struct probe_call, call);
	struct probe *probe = one->probe;
	take_answer(probe, one);
	probe->ended++;
	if (!probe->err && !probe->is_changed && probe->begun < probe->wanted) {
		begin_call(probe, one);
		return;
	}
	if (probe->ended < probe->begun)
		return;
	probe->ended_ns = clock_mono_ns(probe->node->clock);
	completion_end(&probe->completion, ERR_OK);
}

static enum err begin_probe(void *arg)
{
	struct probe *probe = arg;
	probe->begun_ns = clock_mono_ns(probe->node->clock);
	for (unsigned i = 0; i < probe->flight_max; i++)
		begin_call(probe, &probe->calls[i]);
	return ERR_OK;
}

/* Blocks until all calls have ended, which each does by its deadline. */
static void run_probe(struct probe *probe)
{
	completion_init(&probe->completion);
	err_ignore(loop_call(probe->node->cluster->loop, begin_probe, probe)); /* never fails */
	err_ignore(completion_wait(&probe->completion)); /* the probe has its own error */
}

static void probe_failed(json_t *json, const struct probe *probe, const char *what)
{
	const char *more = json_string_value(json_object_get(json, "why"));
	char why[768];
	snprintf(why, sizeof why, "%s: %s%s%s", what,
		probe->is_changed                       ? "other bytes came back"
			: probe->err == ERR_UNAVAILABLE ? "there is no link"
							: err_text(probe->err),
		more ? "; " : "", more ? more : "");
	json_object_set_new(json, "state", json_string("failed"));
	json_object_set_new(json, "why", json_string(why));
}

static void name_mismatch(
	json_t *json, const struct sounding *sounding, const struct fact_node *target)
{
	char why[512];
	snprintf(why, sizeof why,
		"MTU mismatch: %s here has %u, %s has %u, and packets of more than %u bytes there "
		"or %u back are lost without a word; set the same on all nodes, as much as all "
		"that lies between carries: ip link set dev %s mtu %u",
		sounding->device, sounding->mtu_here, target->name, sounding->mtu_there,
		sounding->there, sounding->back, sounding->device,
		sounding->there < sounding->back ? sounding->there : sounding->back);
	json_object_set_new(json, "state", json_string("mtu"));
	json_object_set_new(json, "why", json_string(why));
}

/* Says how long packets may be. What cannot be measured is no fault of the network. */
static void tell_mtu(struct node *node, const struct fact_node *target, json_t *json)
{
	struct channel_node channel = {.id = target->id};
	struct sounding sounding = {0};
	enum err err = cluster_parse_addresses(bytes_of(target->addresses), &channel);
	if (!err)
		err = sounding_measure(node->cluster, &channel, &sounding);
	if (err || !sounding.is_known) {
		json_object_set_new(json, "mtu_why",
			json_string(err == ERR_UNSUPPORTED ? "the node is of an older version"
					: err              ? err_text(err)
							   : "its UDP port does not answer"));
		return;
	}
	json_object_set_new(json, "mtu", json_integer(sounding.mtu_here));
	json_object_set_new(json, "mtu_there", json_integer(sounding.mtu_there));
	json_object_set_new(json, "path_mtu", json_integer(sounding.there));
	json_object_set_new(json, "path_mtu_back", json_integer(sounding.back));
	if (sounding_is_mismatch(&sounding))
		name_mismatch(json, &sounding, target);
}

/* Pings, measures lengths, then loads, which may break a link that loses what is long. load has
 * (1 + LOAD_FLIGHT_MAX) * LOAD_LEN bytes. */
static json_t *test_node(struct node *node, const struct fact_node *target, uint8_t *load)
{
	json_t *json = json_pack(
		"{s:s, s:i, s:s}", "node", target->name, "number", target->number, "state", "ok");
	struct probe ping = {
		.node = node, .target = target->id, .wanted = PING_COUNT, .flight_max = 1};
	run_probe(&ping);
	tell_mtu(node, target, json);
	if (ping.err || ping.is_changed) {
		probe_failed(json, &ping, "small messages");
		return json;
	}
	json_object_set_new(json, "rtt_us", json_integer(ping.rtt_ns_sum / PING_COUNT / 1000));
	json_object_set_new(json, "rtt_us_min", json_integer(ping.rtt_ns_min / 1000));
	json_object_set_new(json, "rtt_us_max", json_integer(ping.rtt_ns_max / 1000));
	struct probe bulk = {.node = node,
		.target = target->id,
		.payload = load,
		.payload_len = LOAD_LEN,
		.wanted = LOAD_COUNT,
		.flight_max = LOAD_FLIGHT_MAX};
	for (unsigned i = 0; i < LOAD_FLIGHT_MAX; i++)
		bulk.calls[i].answer = load + (1 + i) * (size_t)LOAD_LEN;
	run_probe(&bulk);
	if (bulk.err || bulk.is_changed) {
		probe_failed(json, &bulk, "messages of 256 KiB");
		return json;
	}
	uint64_t took_ns = bulk.ended_ns - bulk.begun_ns;
	double rate = (double)LOAD_COUNT * LOAD_LEN * 1e9 / (double)(took_ns > 0 ? took_ns : 1);
	json_object_set_new(json, "bytes_per_second", json_integer((json_int_t)rate));
	return json;
}

static bool is_failed(const json_t *json)
{
	const char *state = json_string_value(json_object_get(json, "state"));
	return !state || strcmp(state, "ok") != 0;
}

enum err control_net_test(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	struct facts *facts;
	if (!node->cluster)
		return node_refuse(message, ERR_UNSUPPORTED, "this node is alone");
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	uint8_t *load = malloc((1 + LOAD_FLIGHT_MAX) * (size_t)LOAD_LEN);
	if (!load) {
		facts_free(facts);
		return ERR_NO_MEMORY;
	}
	for (size_t i = 0; i < LOAD_LEN; i++)
		load[i] = (uint8_t)(i * 31 + i / 251);
	json_t *list = json_array();
	bool are_fine = true;
	for (size_t i = 0; i < facts->node_count; i++) {
		if (facts->nodes[i].is_own)
			continue;
		json_t *json = test_node(node, &facts->nodes[i], load);
		are_fine &= !is_failed(json);
		json_array_append_new(list, json);
	}
	free(load);
	facts_free(facts);
	*ret_result = json_pack("{s:b, s:o}", "ok", are_fine, "nodes", list);
	return ERR_OK;
}

/* --- rubus time check ------------------------------------------------------------------------- */

static json_t *time_json(const struct fact_node *node, int64_t limit_ms, bool *io_are_fine)
{
	int64_t ahead_ms = node->view.ahead_ms;
	bool is_told = node->is_own || (node->is_up && node->view.has_time);
	bool is_fine = is_told && llabs(ahead_ms) <= limit_ms + node->view.ahead_within_ms;
	const char *state = !is_told ? "unknown" : is_fine ? "ok" : "wrong";
	json_t *json = json_pack("{s:s, s:i, s:s, s:s}", "node", node->name, "number", node->number,
		"state", state, "why",
		is_fine                ? ""
			: !is_told     ? "the node is away"
			: ahead_ms > 0 ? "its clock is ahead of this node's"
				       : "its clock is behind this node's");
	if (is_told) {
		json_object_set_new(json, "ahead_ms", json_integer(ahead_ms));
		json_object_set_new(json, "within_ms", json_integer(node->view.ahead_within_ms));
	}
	*io_are_fine &= is_fine;
	return json;
}

enum err control_time_check(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *text = json_string_value(json_object_get(request, "limit-ms"));
	char *end = NULL;
	long limit_ms = text ? strtol(text, &end, 10) : TIME_LIMIT_MS_DEFAULT;
	if (text && (!*text || *end || limit_ms < 0 || limit_ms > TIME_LIMIT_MS_MAX))
		return node_refuse(message, ERR_INVALID,
			"--limit-ms is '%.32s'; it must be 0 to %d", text, TIME_LIMIT_MS_MAX);
	struct facts *facts;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	json_t *list = json_array();
	bool are_fine = true;
	for (size_t i = 0; i < facts->node_count; i++)
		json_array_append_new(list, time_json(&facts->nodes[i], limit_ms, &are_fine));
	facts_free(facts);
	*ret_result = json_pack(
		"{s:b, s:I, s:o}", "ok", are_fine, "limit_ms", (json_int_t)limit_ms, "nodes", list);
	return ERR_OK;
}
