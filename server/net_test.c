/* SPDX-License-Identifier: Apache-2.0 */
#include "server/net_test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/facts.h"
#include "server/loop_call.h"
#include "server/net_errand.h"
#include "server/net_way.h"
#include "server/thread.h"

#define ASK_DEADLINE_MS 2000
#define ASK_PAUSE_US 50000
#define MUTE_MS 5000 /* without an answer */
#define PAIR_DEADLINE_MS 60000

struct test_node {
	struct id id;
	uint16_t number;
	char name[ROW_NODE_NAME_LEN_MAX + 1];
	uint64_t silent_since_ns; /* it was asked and did not answer; 0: it did */
	bool is_mute;
	enum err mute_err;
};

enum pair_state { PAIR_WAITS, PAIR_MEASURED, PAIR_UNKNOWN };

/* Two nodes; `from` goes. What is told of a pair is under the lock once its round has begun. */
struct test_pair {
	struct net_test *test;
	unsigned from, to;
	enum pair_state state;
	enum err err; /* why it is unknown */
	struct net_way way;
	/* Of the round: */
	bool has_begun;
	unsigned asked; /* who was asked, of the two */
	uint8_t head[NET_ERRAND_LEN];
	struct peer_call call;
	enum err call_err; /* ERR_OK: it was answered, with: */
	enum err answer_err;
	size_t answer_len;
	uint8_t answer[NET_WAY_LEN];
};

struct net_test {
	struct node *node;
	pthread_t thread;
	_Atomic bool is_canceled, is_done;
	unsigned node_count;
	struct test_node *nodes; /* the own one is the first */
	unsigned pair_count;
	struct test_pair *pairs;
	pthread_mutex_t lock;
	unsigned done; /* pairs */

	unsigned asking_count; /* of the round, as below */
	struct test_pair **asking;
	unsigned answers_left; /* on the loop */
	struct completion completion;
};

/* --- asking ----------------------------------------------------------------------------------- */

static void answered(struct peer_call *call)
{
	struct test_pair *pair = CONTAINER_OF(call, struct test_pair, call);
	struct net_test *test = pair->test;
	pair->call_err = call->err;
	pair->answer_err = call->answer_err;
	pair->answer_len = 0;
	if (!call->err && !call->answer_err && call->answer_head.len >= NET_WAY_LEN) {
		pair->answer_len = NET_WAY_LEN;
		memcpy(pair->answer, call->answer_head.data, NET_WAY_LEN);
	}
	if (--test->answers_left == 0)
		completion_end(&test->completion, ERR_OK);
}

static enum err begin_asking(void *arg)
{
	struct net_test *test = arg;
	test->answers_left = test->asking_count;
	for (unsigned i = 0; i < test->asking_count; i++)
		peer_call_start(test->node->cluster->loop_peers[0], &test->asking[i]->call);
	return ERR_OK;
}

/* Says who is to go (T3). False: nobody can. */
static bool prepare(struct net_test *test, struct test_pair *pair)
{
	struct test_node *nodes = test->nodes;
	unsigned goes = nodes[pair->from].is_mute ? pair->to : pair->from;
	if (nodes[goes].is_mute)
		return false;
	if (!pair->has_begun || pair->asked != goes) {
		random_fill(test->node->random, pair->head, NET_ERRAND_NAME_LEN);
		pair->has_begun = true;
		pair->asked = goes;
	}
	unsigned target = goes == pair->from ? pair->to : pair->from;
	memcpy(pair->head + NET_ERRAND_NAME_LEN, nodes[target].id.bytes, ID_LEN);
	pair->call = (struct peer_call){.node = nodes[goes].id,
		.kind = PEER_NET_WAY,
		.deadline_ms = ASK_DEADLINE_MS,
		.head = bytes_make(pair->head, sizeof pair->head),
		.done = answered};
	return true;
}

static void end_pair(struct test_pair *pair, enum pair_state state, enum err err)
{
	pthread_mutex_lock(&pair->test->lock);
	pair->state = state;
	pair->err = err;
	if (state == PAIR_MEASURED && pair->asked != pair->from) {
		pair->to = pair->from;
		pair->from = pair->asked;
	}
	pair->test->done++;
	pthread_mutex_unlock(&pair->test->lock);
}

/* A node that did not answer is mute after a while, one that does not know how at once (T3). */
static void note_silence(struct net_test *test, struct test_pair *pair, uint64_t now_ns)
{
	struct test_node *node = &test->nodes[pair->asked];
	if (node->silent_since_ns == 0)
		node->silent_since_ns = now_ns;
	node->mute_err = pair->call_err;
	node->is_mute = now_ns - node->silent_since_ns >= MUTE_MS * UINT64_C(1000000);
}

static void take_answer(struct net_test *test, struct test_pair *pair, uint64_t now_ns)
{
	struct test_node *node = &test->nodes[pair->asked];
	if (pair->call_err) {
		note_silence(test, pair, now_ns);
		return;
	}
	node->silent_since_ns = 0;
	if (pair->answer_err == ERR_UNSUPPORTED) {
		node->is_mute = true;
		node->mute_err = ERR_UNSUPPORTED;
	} else if (pair->answer_err && pair->answer_err != ERR_BUSY) {
		end_pair(pair, PAIR_UNKNOWN, pair->answer_err);
	} else if (pair->answer_len > 0) {
		struct net_way way;
		enum err err = net_way_decode(bytes_make(pair->answer, pair->answer_len), &way);
		if (!err)
			pair->way = way; /* nobody looks before it has its end */
		end_pair(pair, err ? PAIR_UNKNOWN : PAIR_MEASURED, err);
	}
}

/* Asks all that are left of a round once. */
static void ask_round(struct net_test *test, struct test_pair **round, unsigned count, bool is_late)
{
	test->asking_count = 0;
	for (unsigned i = 0; i < count; i++) {
		if (round[i]->state != PAIR_WAITS)
			continue;
		if (is_late)
			end_pair(round[i], PAIR_UNKNOWN, ERR_TIMEOUT);
		else if (!prepare(test, round[i]))
			end_pair(round[i], PAIR_UNKNOWN, test->nodes[round[i]->to].mute_err);
		else
			test->asking[test->asking_count++] = round[i];
	}
	if (test->asking_count == 0)
		return;
	completion_init(&test->completion);
	err_ignore(loop_call(test->node->cluster->loop, begin_asking, test)); /* never fails */
	err_ignore(completion_wait(&test->completion)); /* each has its own end */
	uint64_t now_ns = clock_mono_ns(test->node->clock);
	for (unsigned i = 0; i < test->asking_count; i++)
		take_answer(test, test->asking[i], now_ns);
}

static bool is_left(struct test_pair *const *round, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (round[i]->state == PAIR_WAITS)
			return true;
	return false;
}

/* --- rounds ----------------------------------------------------------------------------------- */

/* The pair that nodes a and b make; pairs lie by the first node, then by the second. */
static struct test_pair *find_pair(struct net_test *test, unsigned a, unsigned b)
{
	unsigned first = a < b ? a : b, second = a < b ? b : a;
	assert(first < second && second < test->node_count);
	return &test->pairs[first * (2 * test->node_count - first - 1) / 2 + second - first - 1];
}

/* One node keeps its seat and the others go around it; of an odd count the one that meets the seat
 * where nobody sits rests. */
bool net_test_meet(unsigned count, unsigned round, unsigned table, unsigned *ret_a, unsigned *ret_b)
{
	unsigned around = count + count % 2 - 1;
	assert(round < around && 2 * table < count + count % 2);
	unsigned a = table == 0 ? around : (round + table) % around;
	unsigned b = (round + around - table) % around;
	if (a >= count || b >= count)
		return false;
	*ret_a = a;
	*ret_b = b;
	return true;
}

static unsigned list_round(struct net_test *test, unsigned round, struct test_pair **ret_pairs)
{
	unsigned count = 0, a, b;
	for (unsigned table = 0; 2 * table < test->node_count; table++)
		if (net_test_meet(test->node_count, round, table, &a, &b))
			ret_pairs[count++] = find_pair(test, a, b);
	return count;
}

static void *run(void *arg)
{
	struct net_test *test = arg;
	struct test_pair *round[ROW_NODES_MAX];
	unsigned rounds = test->node_count - 1 + test->node_count % 2;
	thread_set_name("net-test");
	for (unsigned i = 0; i < rounds; i++) {
		unsigned count = list_round(test, i, round);
		uint64_t begun_ns = clock_mono_ns(test->node->clock);
		while (is_left(round, count) && !atomic_load(&test->is_canceled)) {
			uint64_t took_ns = clock_mono_ns(test->node->clock) - begun_ns;
			ask_round(test, round, count,
				took_ns >= PAIR_DEADLINE_MS * UINT64_C(1000000));
			if (is_left(round, count))
				usleep(ASK_PAUSE_US);
		}
	}
	atomic_store(&test->is_done, true);
	return NULL;
}

static void free_test(struct net_test *test)
{
	pthread_mutex_destroy(&test->lock);
	free(test->nodes);
	free(test->pairs);
	free(test->asking);
	free(test);
}

static void add_node(struct net_test *test, const struct fact_node *fact)
{
	struct test_node *node = &test->nodes[test->node_count++];
	node->id = fact->id;
	node->number = fact->number;
	snprintf(node->name, sizeof node->name, "%s", fact->name);
}

static void fill(struct net_test *test, const struct facts *facts)
{
	for (unsigned is_other = 0; is_other < 2; is_other++)
		for (size_t i = 0; i < facts->node_count; i++)
			if (facts->nodes[i].is_own == !is_other)
				add_node(test, &facts->nodes[i]);
	for (unsigned a = 0; a < test->node_count; a++)
		for (unsigned b = a + 1; b < test->node_count; b++)
			test->pairs[test->pair_count++] = (struct test_pair){
				.test = test, .from = a, .to = b};
}

static enum err begin(struct node *node, struct net_test **ret_test)
{
	struct facts *facts;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	size_t count = facts->node_count;
	struct net_test *test = calloc(1, sizeof *test);
	if (test) {
		pthread_mutex_init(&test->lock, NULL);
		test->node = node;
		test->nodes = calloc(count, sizeof *test->nodes);
		test->pairs = calloc(count * (count - 1) / 2 + 1, sizeof *test->pairs);
		test->asking = calloc(count, sizeof(struct test_pair *));
	}
	if (!test || !test->nodes || !test->pairs || !test->asking) {
		err = ERR_NO_MEMORY;
	} else {
		fill(test, facts);
		err = thread_start(&test->thread, run, test);
	}
	facts_free(facts);
	if (err && test)
		free_test(test);
	else if (!err)
		*ret_test = test;
	return err;
}

void net_test_stop(struct net_test *test)
{
	if (!test)
		return;
	atomic_store(&test->is_canceled, true);
	pthread_join(test->thread, NULL);
	free_test(test);
}

/* --- what is told ----------------------------------------------------------------------------- */

static const char *why_none(enum err err)
{
	return err == ERR_OK             ? "other bytes came back"
		: err == ERR_UNAVAILABLE ? "there is no link"
		: err == ERR_UNSUPPORTED ? "the node is of an older version"
					 : err_text(err);
}

static void name_mismatch(json_t *json, const struct sounding *sounding,
	const struct test_node *from, const struct test_node *to, char *why, size_t cap)
{
	snprintf(why, cap,
		"MTU mismatch: %s of %s has %u, %s has %u, and packets of more than %u bytes there "
		"or %u back are lost without a word; set the same on all nodes, as much as all "
		"that lies between carries: on %s: ip link set dev %s mtu %u",
		sounding->device, from->name, sounding->mtu_here, to->name, sounding->mtu_there,
		sounding->there, sounding->back, from->name, sounding->device,
		sounding->there < sounding->back ? sounding->there : sounding->back);
	json_object_set_new(json, "state", json_string("mtu"));
}

/* How long packets may be. What cannot be measured is no fault of the network. */
static void tell_mtu(json_t *json, const struct net_way *way, const struct test_node *from,
	const struct test_node *to, char *why, size_t cap)
{
	const struct sounding *sounding = &way->sounding;
	if (way->sounding_err || !sounding->is_known) {
		json_object_set_new(json, "mtu_why",
			json_string(way->sounding_err ? why_none(way->sounding_err)
						      : "its UDP port does not answer"));
		return;
	}
	json_object_set_new(json, "mtu", json_integer(sounding->mtu_here));
	json_object_set_new(json, "mtu_there", json_integer(sounding->mtu_there));
	json_object_set_new(json, "path_mtu", json_integer(sounding->there));
	json_object_set_new(json, "path_mtu_back", json_integer(sounding->back));
	if (sounding_is_mismatch(sounding))
		name_mismatch(json, sounding, from, to, why, cap);
}

static void tell_way(json_t *json, const struct net_way *way, const struct test_node *from,
	const struct test_node *to)
{
	char mismatch[512] = "", why[768];
	json_object_set_new(json, "state", json_string("ok"));
	tell_mtu(json, way, from, to, mismatch, sizeof mismatch);
	if (way->end != NET_WAY_NO_SMALL) {
		json_object_set_new(json, "rtt_us", json_integer((json_int_t)way->rtt_us));
		json_object_set_new(json, "rtt_us_min", json_integer((json_int_t)way->rtt_us_min));
		json_object_set_new(json, "rtt_us_max", json_integer((json_int_t)way->rtt_us_max));
	}
	if (way->end == NET_WAY_WHOLE) {
		json_object_set_new(
			json, "bytes_per_second", json_integer((json_int_t)way->bytes_per_second));
		if (mismatch[0])
			json_object_set_new(json, "why", json_string(mismatch));
		return;
	}
	snprintf(why, sizeof why, "%s: %s%s%s",
		way->end == NET_WAY_NO_SMALL ? "small messages" : "messages of 256 KiB",
		why_none(way->err), mismatch[0] ? "; " : "", mismatch);
	json_object_set_new(json, "state", json_string("failed"));
	json_object_set_new(json, "why", json_string(why));
}

static json_t *pair_json(struct net_test *test, const struct test_pair *pair)
{
	const struct test_node *from = &test->nodes[pair->from], *to = &test->nodes[pair->to];
	json_t *json = json_pack("{s:s, s:i, s:s, s:i}", "from", from->name, "from_number",
		from->number, "to", to->name, "to_number", to->number);
	if (pair->state == PAIR_MEASURED) {
		tell_way(json, &pair->way, from, to);
		return json;
	}
	json_object_set_new(json, "state", json_string("unknown"));
	json_object_set_new(json, "why",
		json_sprintf("this node could not have it measured: %s", why_none(pair->err)));
	return json;
}

static bool is_fine(const json_t *json)
{
	const char *state = json_string_value(json_object_get(json, "state"));
	return state && strcmp(state, "ok") == 0;
}

static json_t *report(struct net_test *test)
{
	bool is_done = atomic_load(&test->is_done), are_fine = true;
	json_t *list = json_array();
	pthread_mutex_lock(&test->lock);
	unsigned done = test->done;
	for (unsigned i = 0; is_done && i < test->pair_count; i++) {
		json_t *json = pair_json(test, &test->pairs[i]);
		are_fine &= is_fine(json);
		json_array_append_new(list, json);
	}
	pthread_mutex_unlock(&test->lock);
	return json_pack("{s:b, s:b, s:i, s:i, s:o}", "done", is_done, "ok", is_done && are_fine,
		"pairs_done", done, "pairs_count", test->pair_count, "pairs", list);
}

enum err control_net_test(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct net_test *test = node->net_test;
	if (!node->cluster)
		return node_refuse(message, ERR_UNSUPPORTED, "this node is alone");
	if (json_is_true(json_object_get(request, "begin")) &&
		(!test || atomic_load(&test->is_done))) {
		node->net_test = NULL;
		net_test_stop(test);
		enum err err = begin(node, &node->net_test);
		if (err)
			return err;
	}
	if (!node->net_test)
		return node_refuse(message, ERR_NOT_FOUND, "none is on its way; begin one");
	*ret_result = report(node->net_test);
	return ERR_OK;
}
