/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/ring_oracle.h"

#include <math.h>
#include <stdlib.h>

#include "storage/drive/drive.h"
#include "tests/lib/test.h"

/* --- who may be chosen ------------------------------------------------------------------------ */

static bool are_joined(
	const struct ring_drive_info *a, const struct ring_drive_info *b, enum ring_domain level)
{
	if (level == RING_DOMAIN_DRIVE)
		return a->number == b->number;
	if (memcmp(a->node.bytes, b->node.bytes, ID_LEN) == 0)
		return true;
	return level == RING_DOMAIN_ZONE && a->zone.len > 0 && a->zone.len == b->zone.len &&
		memcmp(a->zone.data, b->zone.data, a->zone.len) == 0;
}

/* Joined drives get the lower of their numbers until nothing changes. */
static void find_domains(struct ring_oracle *oracle, enum ring_domain level)
{
	uint32_t *domains = oracle->domains;
	for (uint32_t i = 0; i < oracle->drive_count; i++)
		domains[i] = i;
	for (bool is_changed = true; is_changed;) {
		is_changed = false;
		for (uint32_t i = 0; i < oracle->drive_count; i++) {
			for (uint32_t j = 0; j < oracle->drive_count; j++) {
				if (domains[i] <= domains[j] ||
					!are_joined(&oracle->drives[i], &oracle->drives[j], level))
					continue;
				domains[i] = domains[j];
				is_changed = true;
			}
		}
	}
	oracle->domain_count = 0;
	for (uint32_t i = 0; i < oracle->drive_count; i++)
		domains[i] = domains[i] == i ? oracle->domain_count++ : domains[domains[i]];
}

static void choose(struct ring_oracle *oracle, const struct ring_plan_request *request, int is_hdd)
{
	oracle->drive_count = 0;
	for (size_t i = 0; i < request->drive_count; i++) {
		const struct ring_drive_info *drive = &request->drives[i];
		if (drive->weight > 0 && (is_hdd < 0 || is_hdd == (drive->class == DRIVE_HDD)))
			oracle->drives[oracle->drive_count++] = *drive;
	}
	find_domains(oracle, request->domain);
}

/* The level of water at which all positions are taken, no domain taking more than each slot. */
static void find_shares(struct ring_oracle *oracle)
{
	double weights[RING_ORACLE_DRIVES_MAX] = {0};
	double low = 0, high = 1;
	for (uint32_t i = 0; i < oracle->drive_count; i++)
		weights[oracle->domains[i]] += oracle->drives[i].weight;
	high = 2.0 * oracle->slot_count;
	for (int round = 0; round < 200; round++) {
		double level = (low + high) / 2, sum = 0;
		for (uint32_t i = 0; i < oracle->domain_count; i++)
			sum += fmin(oracle->slot_count, level * weights[i]);
		if (sum < (double)oracle->slot_count * oracle->width)
			low = level;
		else
			high = level;
	}
	for (uint32_t i = 0; i < oracle->drive_count; i++) {
		double weight = weights[oracle->domains[i]];
		double share = fmin(oracle->slot_count, high * weight);
		oracle->shares[i] = share * oracle->drives[i].weight / weight;
	}
}

bool ring_oracle_init(struct ring_oracle *oracle, const struct ring_plan_request *request)
{
	ck_assert_uint_le(request->drive_count, RING_ORACLE_DRIVES_MAX);
	*oracle = (struct ring_oracle){
		.slot_count = request->slot_count,
		.width = request->profile.k + request->profile.m,
	};
	choose(oracle, request, request->drive_class == DRIVE_HDD);
	if (oracle->domain_count < oracle->width)
		choose(oracle, request, -1);
	if (oracle->domain_count < oracle->width)
		return false;
	find_shares(oracle);
	return true;
}

/* --- flows ------------------------------------------------------------------------------------ */

struct arc {
	uint32_t to, room;
	int32_t cost;
	uint32_t next; /* arc of the same node; 0: none */
};

struct graph {
	struct arc *arcs; /* from 2 on; arc and its reverse differ in the last bit */
	uint32_t arc_count;
	uint32_t *first; /* arc of each node */
	int32_t *dist;
	uint32_t *queue;
	bool *is_in;
	uint32_t node_count;
};

enum { SOURCE, SINK, SLOTS };

static void add_arc(struct graph *graph, uint32_t from, uint32_t to, uint32_t room, int32_t cost)
{
	graph->arcs[graph->arc_count] = (struct arc){to, room, cost, graph->first[from]};
	graph->first[from] = graph->arc_count++;
	graph->arcs[graph->arc_count] = (struct arc){from, 0, -cost, graph->first[to]};
	graph->first[to] = graph->arc_count++;
}

static bool is_there(const struct ring *old, uint32_t width, uint32_t slot, uint16_t number)
{
	for (uint8_t i = 0; old && i < old->width && i < width; i++) {
		if (ring_drive(old, slot, i) == number)
			return true;
	}
	return false;
}

/* Slots, then a node for each slot and domain, then drives. The last arcs of a drive are made by
 * the caller. */
static uint32_t make_graph(
	struct graph *graph, const struct ring_oracle *oracle, const struct ring *old)
{
	uint32_t slots = oracle->slot_count;
	uint32_t pairs = SLOTS + slots;
	uint32_t drives = pairs + slots * oracle->domain_count;
	graph->node_count = drives + oracle->drive_count;
	size_t arcs = 2 +
		2 *
			((size_t)slots * (1 + oracle->domain_count + oracle->drive_count) +
				2 * oracle->drive_count);
	graph->arcs = calloc(arcs, sizeof *graph->arcs);
	graph->first = calloc(graph->node_count, sizeof *graph->first);
	graph->dist = calloc(graph->node_count, sizeof *graph->dist);
	graph->queue = calloc(graph->node_count + 1, sizeof *graph->queue);
	graph->is_in = calloc(graph->node_count, sizeof *graph->is_in);
	graph->arc_count = 2;
	for (uint32_t slot = 0; slot < slots; slot++) {
		uint32_t pair = pairs + slot * oracle->domain_count;
		add_arc(graph, SOURCE, SLOTS + slot, oracle->width, 0);
		for (uint32_t i = 0; i < oracle->domain_count; i++)
			add_arc(graph, SLOTS + slot, pair + i, 1, 0);
		for (uint32_t i = 0; i < oracle->drive_count; i++) {
			bool stays = is_there(old, oracle->width, slot, oracle->drives[i].number);
			add_arc(graph, pair + oracle->domains[i], drives + i, 1, !stays);
		}
	}
	return drives;
}

static void free_graph(struct graph *graph)
{
	free(graph->arcs);
	free(graph->first);
	free(graph->dist);
	free(graph->queue);
	free(graph->is_in);
}

/* Bellman and Ford, with a queue. */
static bool find_distances(struct graph *graph)
{
	uint32_t head = 0, tail = 0, cap = graph->node_count + 1;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		graph->dist[i] = INT32_MAX;
		graph->is_in[i] = false;
	}
	graph->dist[SOURCE] = 0;
	graph->queue[tail++] = SOURCE;
	while (head != tail) {
		uint32_t node = graph->queue[head];
		head = (head + 1) % cap;
		graph->is_in[node] = false;
		for (uint32_t a = graph->first[node]; a; a = graph->arcs[a].next) {
			const struct arc *arc = &graph->arcs[a];
			if (arc->room == 0 || graph->dist[node] + arc->cost >= graph->dist[arc->to])
				continue;
			graph->dist[arc->to] = graph->dist[node] + arc->cost;
			if (graph->is_in[arc->to])
				continue;
			graph->is_in[arc->to] = true;
			graph->queue[tail] = arc->to;
			tail = (tail + 1) % cap;
		}
	}
	return graph->dist[SINK] != INT32_MAX;
}

/* Pushes along arcs that are as short as can be; a node that was passed is not passed again before
 * the next distances. */
static uint32_t push(struct graph *graph, uint32_t node, uint32_t room)
{
	if (node == SINK)
		return room;
	graph->is_in[node] = true;
	uint32_t sent = 0;
	for (uint32_t a = graph->first[node]; a && sent < room; a = graph->arcs[a].next) {
		struct arc *arc = &graph->arcs[a];
		if (arc->room == 0 || graph->is_in[arc->to] ||
			graph->dist[arc->to] != graph->dist[node] + arc->cost)
			continue;
		uint32_t most = room - sent < arc->room ? room - sent : arc->room;
		uint32_t got = push(graph, arc->to, most);
		arc->room -= got;
		graph->arcs[a ^ 1].room += got;
		sent += got;
	}
	if (sent > 0)
		graph->is_in[node] = false;
	return sent;
}

/* The flow that is greatest, and of those the one that costs least. */
static uint64_t flow_all(struct graph *graph, int64_t *ret_cost)
{
	uint64_t flow = 0;
	*ret_cost = 0;
	while (find_distances(graph)) {
		for (uint32_t i = 0; i < graph->node_count; i++)
			graph->is_in[i] = false;
		uint32_t got = push(graph, SOURCE, UINT32_MAX);
		ck_assert_uint_gt(got, 0);
		flow += got;
		*ret_cost += (int64_t)got * graph->dist[SINK];
	}
	return flow;
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool is_filled(const struct ring_oracle *oracle, double len)
{
	struct graph graph = {0};
	int64_t cost;
	uint32_t drives = make_graph(&graph, oracle, NULL);
	for (uint32_t i = 0; i < oracle->drive_count; i++)
		add_arc(&graph, drives + i, SINK,
			fmin(oracle->slot_count, oracle->drives[i].weight / len), 0);
	uint64_t flow = flow_all(&graph, &cost);
	free_graph(&graph);
	return flow == (uint64_t)oracle->slot_count * oracle->width;
}

double ring_oracle_best(const struct ring_oracle *oracle)
{
	double low = 1;
	for (uint32_t i = 0; i < oracle->drive_count; i++)
		low += oracle->drives[i].weight;
	double high = low;
	while (!is_filled(oracle, low)) {
		high = low;
		low /= 2;
	}
	while (high - low > low * 1e-4) {
		double middle = (low + high) / 2;
		if (is_filled(oracle, middle))
			low = middle;
		else
			high = middle;
	}
	return low;
}

double ring_oracle_len(const struct ring_oracle *oracle, const struct ring *ring)
{
	double least = INFINITY;
	for (uint32_t i = 0; i < oracle->drive_count; i++) {
		uint32_t count = ring_count_drive(ring, oracle->drives[i].number);
		if (count > 0)
			least = fmin(least, (double)oracle->drives[i].weight / count);
	}
	return least;
}

uint32_t ring_oracle_least(
	const struct ring_oracle *oracle, const struct ring *old, double len, bool has_floors)
{
	static const int32_t reward = 1 << 20; /* more than all moves of one way */
	struct graph graph = {0};
	uint32_t drives = make_graph(&graph, oracle, old);
	int64_t cost, floors = 0;
	for (uint32_t i = 0; i < oracle->drive_count; i++) {
		double share = oracle->shares[i];
		double most = fmin(oracle->slot_count, oracle->drives[i].weight / len + 1e-6);
		double floor_count = fmin(floor(share + 1e-6), ceil(share * 7 / 8 - 1e-6));
		uint32_t lo = has_floors ? floor_count : 0;
		add_arc(&graph, drives + i, SINK, lo, -reward);
		add_arc(&graph, drives + i, SINK, (uint32_t)most - lo, 0);
		floors += lo;
	}
	uint64_t flow = flow_all(&graph, &cost);
	free_graph(&graph);
	ck_assert_uint_eq(flow, (uint64_t)oracle->slot_count * oracle->width);
	return cost + floors * reward;
}
