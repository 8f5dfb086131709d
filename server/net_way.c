/* SPDX-License-Identifier: Apache-2.0 */
#include "server/net_way.h"

#include <stdlib.h>
#include <string.h>

#include "server/loop_call.h"
#include "server/node.h"
#include "storage/bytes.h"

#define PING_COUNT 10
#define PING_LEN 32
#define LOAD_COUNT 16
#define LOAD_LEN (256u << 10)
#define LOAD_FLIGHT_MAX 4 /* at a time; well below one link's window */
#define CALL_DEADLINE_MS 2000

/* --- messages --------------------------------------------------------------------------------- */

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

/* --- the measurement -------------------------------------------------------------------------- */

static bool measure_small(
	struct cluster *cluster, const struct channel_node *target, struct net_way *way)
{
	struct probe ping = {
		.node = cluster->node, .target = target->id, .wanted = PING_COUNT, .flight_max = 1};
	run_probe(&ping);
	if (ping.err || ping.is_changed) {
		way->end = NET_WAY_NO_SMALL;
		way->err = ping.err;
		return false;
	}
	way->rtt_us = ping.rtt_ns_sum / PING_COUNT / 1000;
	way->rtt_us_min = ping.rtt_ns_min / 1000;
	way->rtt_us_max = ping.rtt_ns_max / 1000;
	return true;
}

/* load has (1 + LOAD_FLIGHT_MAX) * LOAD_LEN bytes. */
static void measure_large(struct cluster *cluster, const struct channel_node *target, uint8_t *load,
	struct net_way *way)
{
	struct probe bulk = {.node = cluster->node,
		.target = target->id,
		.payload = load,
		.payload_len = LOAD_LEN,
		.wanted = LOAD_COUNT,
		.flight_max = LOAD_FLIGHT_MAX};
	for (size_t i = 0; i < LOAD_LEN; i++)
		load[i] = (uint8_t)(i * 31 + i / 251);
	for (unsigned i = 0; i < LOAD_FLIGHT_MAX; i++)
		bulk.calls[i].answer = load + (1 + i) * (size_t)LOAD_LEN;
	run_probe(&bulk);
	if (bulk.err || bulk.is_changed) {
		way->end = NET_WAY_NO_LARGE;
		way->err = bulk.err;
		return;
	}
	uint64_t took_ns = bulk.ended_ns - bulk.begun_ns;
	way->bytes_per_second = (uint64_t)((double)LOAD_COUNT * LOAD_LEN * 1e9 /
		(double)(took_ns > 0 ? took_ns : 1));
}

enum err net_way_measure(struct cluster *cluster, const struct channel_node *target,
	const _Atomic bool *is_canceled, struct net_way *ret_way)
{
	struct net_way way = {.end = NET_WAY_WHOLE};
	uint8_t *load = malloc((1 + LOAD_FLIGHT_MAX) * (size_t)LOAD_LEN);
	if (!load)
		return ERR_NO_MEMORY;
	bool passes = measure_small(cluster, target, &way);
	way.sounding_err = sounding_measure(cluster, target, is_canceled, &way.sounding);
	if (passes && !atomic_load(is_canceled))
		measure_large(cluster, target, load, &way);
	free(load);
	*ret_way = way;
	return ERR_OK;
}

/* --- bytes ------------------------------------------------------------------------------------ */

enum { FLAG_KNOWN = 1, FLAG_TOLD_THERE = 2, FLAG_TOLD_BACK = 4 };

void net_way_encode(const struct net_way *way, uint8_t *buf)
{
	const struct sounding *sounding = &way->sounding;
	const uint64_t fields[] = {way->end, way->err, way->rtt_us, way->rtt_us_min,
		way->rtt_us_max, way->bytes_per_second, way->sounding_err,
		(sounding->is_known ? FLAG_KNOWN : 0) |
			(sounding->is_told_there ? FLAG_TOLD_THERE : 0) |
			(sounding->is_told_back ? FLAG_TOLD_BACK : 0),
		sounding->mtu_here, sounding->mtu_there, sounding->there, sounding->back};
	memset(buf, 0, NET_WAY_LEN);
	static_assert(sizeof fields + IF_NAMESIZE == NET_WAY_LEN, "all of it is sent");
	for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
		put_le64(buf + 8 * i, fields[i]);
	memcpy(buf + sizeof fields, sounding->device, strnlen(sounding->device, IF_NAMESIZE - 1));
}

/* A name that is shown: what would be no word in a line becomes a question mark. */
static void take_device(const uint8_t *buf, char *device)
{
	memset(device, 0, IF_NAMESIZE);
	for (size_t i = 0; i < IF_NAMESIZE - 1 && buf[i]; i++)
		device[i] = buf[i] > 0x20 && buf[i] < 0x7f ? (char)buf[i] : '?';
}

enum err net_way_decode(struct bytes bytes, struct net_way *ret_way)
{
	uint64_t fields[(NET_WAY_LEN - IF_NAMESIZE) / 8];
	if (bytes.len < NET_WAY_LEN)
		return ERR_INVALID;
	for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
		fields[i] = get_le64(bytes.data + 8 * i);
	if (fields[0] >= NET_WAY_END_COUNT || fields[1] >= ERR_COUNT || fields[6] >= ERR_COUNT)
		return ERR_INVALID;
	for (size_t i = 2; i < 6; i++)
		if (fields[i] > INT64_MAX)
			return ERR_INVALID;
	for (size_t i = 8; i < 12; i++)
		if (fields[i] > UINT32_MAX)
			return ERR_INVALID;
	*ret_way = (struct net_way){.end = (enum net_way_end)fields[0],
		.err = (enum err)fields[1],
		.rtt_us = fields[2],
		.rtt_us_min = fields[3],
		.rtt_us_max = fields[4],
		.bytes_per_second = fields[5],
		.sounding_err = (enum err)fields[6],
		.sounding = {.is_known = (fields[7] & FLAG_KNOWN) != 0,
			.is_told_there = (fields[7] & FLAG_TOLD_THERE) != 0,
			.is_told_back = (fields[7] & FLAG_TOLD_BACK) != 0,
			.mtu_here = (uint32_t)fields[8],
			.mtu_there = (uint32_t)fields[9],
			.there = (uint32_t)fields[10],
			.back = (uint32_t)fields[11]}};
	take_device(bytes.data + sizeof fields, ret_way->sounding.device);
	return ERR_OK;
}
